"""What a Trainer reads: Datasets in memory, Datasets that dask reads piece by piece, and generators."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.labelled.schema import UNITS, time_dim
from xmass.labelled.suggest import nearest
from xmass.labelled.units import factor, same_dimension, to_declared
from xmass.training.frame import Column, Rows, columns_of, labelled, matrix_of, names_of, rows_of
from xmass.training.trained import check_step, time_unit_of

CLASS = "class"
LOGIT = "logit"


@dataclass(frozen=True, eq=False)
class Frame:
    """What a fit knows of its data: the columns of inputs and targets, and the step of time."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    features: tuple[Hashable, ...]
    timed: bool
    """Whether targets have time."""
    classes: np.ndarray | None
    dt: float
    time_unit: str | None

    @property
    def width(self) -> int:
        """How many inputs there are."""
        return sum(c.width for c in self.inputs)

    @property
    def size(self) -> int:
        """How many outputs there are."""
        return sum(c.width for c in self.outputs) if self.classes is None else len(self.classes)

    @property
    def step(self) -> float:
        """The time between samples: in ms if time has a unit."""
        known = self.time_unit is not None and same_dimension(self.time_unit, "ms")
        return self.dt * factor(self.time_unit, "ms") if known else self.dt


def frame_of(
    ds: xr.Dataset,
    x: str | Sequence[str],
    y: str | Sequence[str],
    features: str | Sequence[str] | None,
    *,
    counts: bool | None,
    classes: Mapping[str, Any] | None = None,
) -> Frame:
    """The frame of a Dataset to be learned; ``counts`` says whether whole numbers are classes, None that nobody knows."""
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"came a {type(ds).__name__}, needs a Dataset: array.to_dataset(name='x').")
    names, targets = names_of(x, "x"), names_of(y, "y")
    for what, name in (*(("x", n) for n in names), *(("y", n) for n in targets)):
        if name not in ds:
            raise KeyError(f"{what} names {name!r}, which the Dataset has not{nearest(name, map(str, ds.data_vars))}")
    wide = _wide(ds, names, targets, features)
    rows = rows_of(ds, names, wide)
    inputs = columns_of(ds, names, rows.dims, "x")
    outputs = columns_of(ds, targets, rows.dims, "y")
    timed = [rows.time in ds[n].dims for n in targets]
    if len(set(timed)) > 1:
        raise ValueError(f"some of y={list(targets)} have {rows.time!r} and some have not, needs all of one kind: train them apart.")
    kinds = [ds[n].dtype.kind for n in targets]
    if counts is None and any(k in "iu" for k in kinds):
        name = next(n for n, k in zip(targets, kinds, strict=True) if k in "iu")
        raise ValueError(
            f"{name} holds whole numbers, and the losses do not say whether they are classes: ds.{name}.astype(float) for numbers; for "
            "classes xm.training.CrossEntropy(), or a function whose attribute of is 'classes'."
        )
    labelled_ = [k in "bOUST" or (k in "iu" and bool(counts)) for k in kinds]
    found: np.ndarray | None = None
    if any(labelled_):
        if len(targets) > 1:
            raise ValueError(f"y={list(targets)} has {targets[labelled_.index(True)]!r}, which are classes: needs that variable alone.")
        if outputs[0].dims:
            raise ValueError(
                f"{targets[0]} holds classes and has the dims {outputs[0].dims} that x has not, needs one label for each sample: "
                f"select one with .isel({outputs[0].dims[0]}=0)."
            )
        if counts is False:
            raise ValueError(
                f"{targets[0]} holds classes, but a loss wants numbers: use xm.training.CrossEntropy(), or ds.{targets[0]}.astype(float)."
            )
        found = _classes(ds[targets[0]], None if classes is None else classes.get(targets[0]))
    dt = rows.dt
    return Frame(inputs, outputs, wide, timed[0], found, dt, time_unit_of(ds[list(names)]))


def _wide(ds: xr.Dataset, x: Sequence[str], y: Sequence[str], features: str | Sequence[str] | None) -> tuple[Hashable, ...]:
    """Dims of inputs that are columns: by default those that targets have not."""
    own = {d for n in y for d in ds[n].dims}
    time = time_dim(ds[[*x, *y]])
    if features is not None:
        given = (features,) if isinstance(features, str) else tuple(features)
        known = list(dict.fromkeys(str(d) for n in (*x, *y) for d in ds[n].dims if d != time))
        wrong = [d for d in given if d not in known]
        if wrong:
            raise ValueError(f"features names {wrong[0]!r}, needs dims of x or y that are not time: {known}.")
        return given
    return tuple(dict.fromkeys(("feature", *(d for n in x for d in ds[n].dims if d not in own and d != time))))


def _classes(labels: xr.DataArray, given: Any) -> np.ndarray:
    values = np.asarray(labels.values if given is None else given).ravel()
    if values.dtype.kind == "O":
        values = _as_text(values, str(labels.name))
    found = np.unique(values)
    if len(found) < 2:
        raise ValueError(f"{labels.name} has the one class {found.tolist()}, needs two or more.")
    return found


def _as_text(values: np.ndarray, name: str) -> np.ndarray:
    wrong = [v for v in values.ravel().tolist() if not isinstance(v, str)]
    if wrong:
        raise ValueError(f"{name} holds {wrong[0]!r} among its labels, needs text, whole numbers, booleans or numbers alone.")
    return values.astype(str)


def rows_in(ds: xr.Dataset, frame: Frame, *, checked: bool = True) -> Rows:
    """The rows of a Dataset, checked against the frame."""
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"came a {type(ds).__name__}, needs a Dataset with {[c.name for c in frame.inputs]}.")
    missing = [c.name for c in frame.inputs if c.name not in ds]
    if missing:
        raise KeyError(f"the Dataset has no {missing[0]!r}, which the fit had as x{nearest(missing[0], map(str, ds.data_vars))}")
    rows = rows_of(ds, [c.name for c in frame.inputs], frame.features)
    if frame.classes is not None and (CLASS in rows.dims or CLASS in rows.coords):
        raise ValueError(f"the Dataset has {CLASS!r}, which predictions call the classes: ds.rename({{{CLASS!r}: 'kind'}}), or drop_vars.")
    if checked:
        check_step(ds, rows, frame.dt, frame.time_unit)
    return rows


def inputs_of(ds: xr.Dataset, frame: Frame, rows: Rows, dtype: Any) -> np.ndarray:
    """``(time, batch, input)``."""
    values = matrix_of(ds, frame.inputs, rows, "x", dtype)
    return np.ascontiguousarray(np.swapaxes(values, 0, 1), dtype=dtype)


def targets_of(ds: xr.Dataset, frame: Frame, rows: Rows, dtype: Any) -> np.ndarray:
    """``(time, batch, output)``, ``(batch, output)`` where targets have no time; counts of classes without the last axis."""
    missing = [c.name for c in frame.outputs if c.name not in ds]
    if missing:
        raise KeyError(f"the Dataset has no {missing[0]!r}, which the fit had as y{nearest(missing[0], map(str, ds.data_vars))}")
    if frame.classes is not None:
        return _counts(ds[frame.outputs[0].name], frame, rows)
    if frame.timed:
        values = matrix_of(ds, frame.outputs, rows, "y", dtype)
        return np.ascontiguousarray(np.swapaxes(values, 0, 1), dtype=dtype)
    parts = [_still(ds[c.name], c, rows) for c in frame.outputs]
    return np.concatenate(parts, axis=-1).astype(dtype)


def _fitted(v: xr.DataArray, dims: Sequence[Hashable], sizes: Sequence[int], columns: Sequence[Hashable], *, name: str) -> xr.DataArray:
    """A variable on all rows and its columns, in that order."""
    extra = [d for d in v.dims if d not in (*dims, *columns)]
    missing = [d for d in columns if d not in v.dims]
    if extra or missing:
        raise ValueError(f"{name} has dims {v.dims}, needs some of {tuple(dims)} and {tuple(columns)} as in the fit: select, or rename.")
    absent = {d: n for d, n in zip(dims, sizes, strict=True) if d not in v.dims}
    return (v.expand_dims(absent) if absent else v).transpose(*dims, *columns)


def _still(v: xr.DataArray, column: Column, rows: Rows) -> np.ndarray:
    """Targets ``(batch, column)`` without time."""
    if UNITS in column.attrs:
        v = to_declared(v, column.attrs[UNITS], column.name)
    v = _fitted(v, rows.dims[:-1], rows.sizes[:-1], column.dims, name=column.name)
    for d, n in zip(column.dims, column.sizes, strict=True):
        known, came = column.coords.get(d), v.coords.get(d)
        if v.sizes[d] != n or (known is not None and came is not None and not np.array_equal(known, came.values)):
            raise ValueError(f"{column.name} has other labels or sizes along {d!r} than in the fit: reorder with .sel({d}=...).")
    values = np.asarray(v.values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{column.name} has {int((~np.isfinite(values)).sum())} values that are not finite, needs none: drop these samples with "
            f".dropna({str(rows.dims[0])!r})."
        )
    return values.reshape(int(np.prod(rows.sizes[:-1], dtype=int)), column.width)


def _counts(v: xr.DataArray, frame: Frame, rows: Rows) -> np.ndarray:
    """Which class, ``(time, batch)`` or ``(batch,)``."""
    assert frame.classes is not None
    dims, sizes = (rows.dims, rows.sizes) if frame.timed else (rows.dims[:-1], rows.sizes[:-1])
    values = np.asarray(_fitted(v, dims, sizes, (), name=str(v.name)).values)
    values = _as_text(values, str(v.name)) if values.dtype.kind == "O" else values
    at = np.minimum(np.searchsorted(frame.classes, values), len(frame.classes) - 1)
    unknown = values[frame.classes[at] != values]
    if unknown.size:
        raise ValueError(f"{v.name} has the label {unknown.ravel()[0].item()!r}, needs those of the fit: {frame.classes.tolist()}.")
    batch = int(np.prod(rows.sizes[:-1], dtype=int))
    counts = at.astype(np.int32).reshape(batch, -1)
    return np.ascontiguousarray(counts.T) if frame.timed else counts[:, 0]


def samples(ds: xr.Dataset, rows: Rows, which: np.ndarray, names: Sequence[str]) -> tuple[xr.Dataset, Rows]:
    """Some samples by their flat number, along one dim; that is where dask reads."""
    dims, sizes = rows.dims[:-1], rows.sizes[:-1]
    if not dims:
        return ds[list(names)].compute(), rows
    new = "_sample"
    index = {d: xr.DataArray(i, dims=[new]) for d, i in zip(dims, np.unravel_index(which, sizes), strict=True)}
    part = ds[list(names)].isel(index).reset_coords(drop=True).compute()
    coords = {k: c for k, c in rows.coords.items() if c.dims == (rows.time,)}
    return part, Rows((new, rows.time), (len(which), rows.sizes[-1]), coords, rows.time, rows.dt)


def is_lazy(ds: xr.Dataset, names: Sequence[str]) -> bool:
    """Whether a variable is read by dask."""
    return any(ds[n].chunks is not None for n in names)


def predicted(output: np.ndarray, frame: Frame, rows: Rows, front: Sequence[Hashable], sizes: Sequence[int]) -> xr.Dataset:
    """Outputs ``(run..., time, batch, output)`` (without time where a layer ends it) as a Dataset; ``front`` are the dims of runs."""
    lead = len(sizes)
    if frame.timed:
        output = np.moveaxis(output, lead, lead + 1)
    else:
        coords = {k: c for k, c in rows.coords.items() if rows.time not in c.dims}
        rows = Rows(rows.dims[:-1], rows.sizes[:-1], coords, rows.time, rows.dt)
    flat = output.reshape((int(np.prod(sizes, dtype=int)), *output.shape[lead:]))
    shape, dims = (*sizes, *rows.sizes), (*front, *rows.dims)
    if frame.classes is None:
        run = "_run"
        ds = labelled(flat, frame.outputs, rows, ahead=(run, xr.DataArray(np.arange(len(flat)), dims=[run])))
        made = {c.name: ((*dims, *c.dims), ds[c.name].values.reshape((*shape, *c.sizes)), c.attrs) for c in frame.outputs}
        return xr.Dataset(made, coords={k: c for k, c in ds.coords.items() if k != run})
    (column,) = frame.outputs
    best = frame.classes[flat.argmax(axis=-1)].reshape(shape)
    made = {
        column.name: (dims, best, column.attrs),
        f"{column.name}.{LOGIT}": ((*dims, CLASS), flat.reshape((*shape, len(frame.classes))), {"long_name": f"logit of {column.name}"}),
    }
    return xr.Dataset(made, coords={**rows.coords, CLASS: frame.classes})


class Generator:
    """Batches that are drawn anew for every update, inside the compiled program.

    Parameters
    ----------
    draw : callable
        ``draw(key) -> {variable: array}``, in jax.numpy: arrays with the dims of ``like``, in the same order.
    like : Dataset
        One batch as an example: names, dims, sizes, units and coordinates.
    classes : mapping, optional
        All labels of a variable of classes, numbers: ``{"match": [0, 1]}``. Without it those that ``like`` has.

    Raises
    ------
    TypeError, ValueError
        If ``draw`` makes something else than ``like`` has.

    Examples
    --------
    >>> import jax, numpy as np, xarray as xr, xmass as xm
    >>> like = xr.Dataset({"u": (("trial", "time"), np.zeros((8, 5))), "sum": (("trial", "time"), np.zeros((8, 5)))})
    >>> def draw(key):
    ...     u = jax.random.normal(key, (8, 5))
    ...     return {"u": u, "sum": u.cumsum(axis=1)}
    >>> xm.training.Generator(draw, like).sample(seed=1).sizes
    Frozen({'trial': 8, 'time': 5})
    """

    def __init__(self, draw: Callable[[Any], Mapping[str, Any]], like: xr.Dataset, classes: Mapping[str, Any] | None = None) -> None:
        if not callable(draw):
            raise TypeError(f"draw is a {type(draw).__name__}, needs a function draw(key) -> {{variable: array}}.")
        if not isinstance(like, xr.Dataset):
            raise TypeError(f"like is a {type(like).__name__}, needs a Dataset: one batch as an example.")
        try:
            made = jax.eval_shape(lambda: draw(jax.random.key(0)))
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
            raise TypeError(
                "draw(key) needs values of its key while it is compiled, as numpy does: write it with jax.random and jax.numpy alone."
            ) from error
        if not isinstance(made, Mapping):
            raise TypeError(f"draw(key) made a {type(made).__name__}, needs {{variable: array}}.")
        for name, array in made.items():
            if name not in like:
                raise ValueError(f"draw(key) makes {name!r}, which like has not: it has {sorted(map(str, like.data_vars))}.")
            if array.shape != like[name].shape:
                raise ValueError(f"draw(key) makes {name!r} of shape {array.shape}, needs {like[name].shape} as in like.")
        self.draw, self.like, self.classes, self.names = draw, like, dict(classes or {}), tuple(made)

    def check(self, frame: Frame) -> None:
        """That all variables of a fit are drawn, and labels are known ones."""
        absent = [c.name for c in (*frame.inputs, *frame.outputs) if c.name not in self.names]
        if absent:
            raise KeyError(f"draw(key) makes no {absent[0]!r}, which the fit has: it makes {list(self.names)}.")
        if frame.classes is not None:
            name = frame.outputs[0].name
            drawn = np.unique(np.asarray(self.draw(jax.random.key(0))[name]))
            new = sorted(set(drawn.tolist()) - set(frame.classes.tolist()))
            if new:
                raise ValueError(
                    f"draw(key) makes {name}={new[0]!r}, which like has not, needs all labels: Generator(..., "
                    f"classes={{{name!r}: {sorted({*drawn.tolist(), *frame.classes.tolist()})}}})."
                )

    def sample(self, seed: int = 0) -> xr.Dataset:
        """One batch as a Dataset, for validation or to look at."""
        made = self.draw(jax.random.key(seed))
        return self.like[list(self.names)].copy(data={n: np.asarray(v) for n, v in made.items()})

    def batch(self, key: Any, frame: Frame, rows: Rows, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """Inputs ``(time, batch, input)`` and targets of a key; traced."""
        made = self.draw(key)
        x = [self._laid(made[c.name], c, rows.dims, rows.sizes, dtype) for c in frame.inputs]
        batch = int(np.prod(rows.sizes[:-1], dtype=int))
        inputs = jnp.swapaxes(jnp.concatenate([v.reshape(batch, rows.sizes[-1], -1) for v in x], axis=-1), 0, 1)
        dims, sizes = (rows.dims, rows.sizes) if frame.timed else (rows.dims[:-1], rows.sizes[:-1])
        kind = dtype if frame.classes is None else None
        y = [self._laid(made[c.name], c, dims, sizes, kind) for c in frame.outputs]
        y = [v.reshape(batch, *((rows.sizes[-1],) if frame.timed else ()), -1) for v in y]
        target = jnp.concatenate(y, axis=-1)
        target = jnp.swapaxes(target, 0, 1) if frame.timed else target
        if frame.classes is not None:
            known, target = jnp.asarray(frame.classes), target[..., 0]
            at = jnp.searchsorted(known, target.astype(known.dtype)).astype(jnp.int32)
            # a label that is none of them has no number, and a loss that is not finite
            target = jnp.where(known[jnp.minimum(at, len(known) - 1)] == target.astype(known.dtype), at, len(known))
        return inputs, target

    def _laid(self, value: Any, column: Column, dims: Sequence[Hashable], sizes: Sequence[int], dtype: Any) -> jax.Array:
        array = jnp.asarray(value) if dtype is None else jnp.asarray(value).astype(dtype)
        own = self.like[column.name].dims
        order = [own.index(d) for d in (*dims, *column.dims) if d in own]
        array = jnp.transpose(array, order)
        lead = tuple(n if d in own else 1 for d, n in zip(dims, sizes, strict=True))
        return jnp.broadcast_to(array.reshape(*lead, *column.sizes), (*sizes, *column.sizes))
