"""Series of a Dataset as arrays with rows and columns, and back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.schema import UNITS, time_dim
from xmass.labelled.suggest import nearest
from xmass.labelled.units import to_declared

SAME_STEP = 1e-6  # relative: what steps of one series may differ by, rounding of stored times


@dataclass(frozen=True)
class Column:
    """A variable and the dims of it that are neither time nor a batch: they are laid out as columns."""

    name: str
    dims: tuple[Hashable, ...]
    sizes: tuple[int, ...]
    coords: dict[Hashable, Any]
    attrs: dict[str, Any]

    @property
    def width(self) -> int:
        """How many columns it has."""
        return int(np.prod(self.sizes, dtype=int))

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each column."""
        if not self.dims:
            return (self.name,)
        tags = [[str(v.item() if hasattr(v, "item") else v) for v in self.coords.get(d, range(n))] for d, n in zip(self.dims, self.sizes)]
        return tuple(f"{self.name}[{','.join(t)}]" for t in _product(tags))


def _product(tags: list[list[str]]) -> list[tuple[str, ...]]:
    out: list[tuple[str, ...]] = [()]
    for values in tags:
        out = [(*head, v) for head in out for v in values]
    return out


@dataclass(frozen=True)
class Rows:
    """Where rows come from: the dims and coords of a Dataset that are not columns; time is the last of them."""

    dims: tuple[Hashable, ...]
    sizes: tuple[int, ...]
    coords: dict[Hashable, xr.DataArray]
    time: Hashable
    dt: float


def names_of(given: str | Sequence[str], what: str) -> tuple[str, ...]:
    """Names of variables as a tuple."""
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names:
        raise ValueError(f"{what} is empty, needs the names of variables, as {what}=['x', 'y'].")
    if len(set(names)) != len(names):
        raise ValueError(f"{what}={list(names)} has a name twice, needs each once.")
    return names


def step_of(ds: xr.Dataset | xr.DataArray, time: Hashable) -> float:
    """The time between two samples; 1 without a coordinate, or for a single sample."""
    if time not in ds.coords or ds.sizes[time] < 2:
        return 1.0
    gaps = np.diff(ds[time].values.astype(np.float64))
    if not np.all(np.isfinite(gaps)) or gaps.min() <= 0 or gaps.max() - gaps.min() > SAME_STEP * gaps.mean() + 1e-9:
        raise ValueError(
            f"{time} has steps from {gaps.min():g} to {gaps.max():g}, needs one step throughout. Take one stretch with "
            f".sel({time}=slice(...)), or resample with .interp({time}=...)."
        )
    return float(gaps.mean())


def columns_of(ds: xr.Dataset, names: Sequence[str], rows: Sequence[Hashable], what: str) -> tuple[Column, ...]:
    """What each variable adds as columns, given the dims of the rows."""
    found = []
    for name in names:
        variable = _variable(ds, name, what)
        dims = tuple(d for d in variable.dims if d not in rows)
        coords = {d: variable[d].values for d in dims if d in variable.coords}
        found.append(Column(name, dims, tuple(variable.sizes[d] for d in dims), coords, dict(variable.attrs)))
    return tuple(found)


def _variable(ds: xr.Dataset, name: str, what: str) -> xr.DataArray:
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"came a {type(ds).__name__}, needs a Dataset: array.to_dataset(name='x').")
    if name not in ds:
        raise KeyError(f"{what} names {name!r}, which the Dataset has not{nearest(name, map(str, ds.data_vars))}")
    return ds[name]


def rows_of(ds: xr.Dataset, names: Sequence[str], columns: Sequence[Hashable]) -> Rows:
    """The dims of the rows: all of the variables but ``columns``, time last."""
    variables = [_variable(ds, name, "x") for name in names]
    time = time_dim(ds[list(names)])
    for v in variables:
        if time not in v.dims:
            raise ValueError(f"{v.name} has dims {v.dims}, needs {time!r}: expand it with .expand_dims({time}=ds.{time}).")
        if v.size == 0:
            raise ValueError(f"{v.name} has sizes {dict(v.sizes)}, needs samples: the selection that made it is empty.")
    seen: dict[Hashable, int] = {}
    for v in variables:
        seen |= {d: n for d, n in v.sizes.items() if d not in columns and d != time}
    dims = (*seen, time)
    coords = {k: c for k, c in ds[list(names)].coords.items() if set(c.dims) <= set(dims)}
    return Rows(dims, (*seen.values(), ds.sizes[time]), coords, time, step_of(ds, time))


def matrix_of(ds: xr.Dataset, columns: Sequence[Column], rows: Rows, what: str, dtype: Any = np.float64) -> np.ndarray:
    """``(batch, time, column)``; variables in the units of the columns."""
    parts = []
    for column in columns:
        v = _variable(ds, column.name, what)
        if UNITS in column.attrs and not (v.dtype.kind in "iu" and v.attrs.get(UNITS) == column.attrs[UNITS]):
            v = to_declared(v, column.attrs[UNITS], column.name)
        missing = [d for d in column.dims if d not in v.dims]
        extra = [d for d in v.dims if d not in (*rows.dims, *column.dims)]
        if missing or extra or rows.time not in v.dims:
            raise ValueError(
                f"{column.name} has dims {v.dims}, needs {(rows.time, *column.dims)}"
                + (" and dims of its own batch." if not extra else f": {extra} is too much, select it or name it as a feature.")
            )
        for d, n in zip(column.dims, column.sizes, strict=True):
            known, came = column.coords.get(d), v.coords.get(d)
            if v.sizes[d] != n:
                raise ValueError(f"{column.name} has {v.sizes[d]} entries along {d!r}, needs the {n} of the fit.")
            if known is not None and came is not None and not np.array_equal(known, came.values):
                raise ValueError(f"{column.name} has {d}={list(came.values)}, needs {list(known)}: reorder with .sel({d}=...).")
        absent = {d: n for d, n in zip(rows.dims, rows.sizes, strict=True) if d not in v.dims}
        v = v.expand_dims(absent) if absent else v
        values = np.asarray(v.transpose(*rows.dims, *column.dims).values, dtype=dtype)
        if not np.isfinite(values).all():
            raise ValueError(
                f"{column.name} has {int((~np.isfinite(values)).sum())} values that are not finite, needs none: "
                f"select the stretch without them, or fill them with .interpolate_na({rows.time!r})."
            )
        parts.append(values.reshape(-1, rows.sizes[-1], column.width))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def labelled(
    values: np.ndarray, columns: Sequence[Column], rows: Rows, *, ahead: tuple[Hashable, xr.DataArray] | None = None
) -> xr.Dataset:
    """``(path?, batch, time, column)`` as a Dataset; ``ahead`` is the dim in front and its coordinate."""
    front = (ahead[0],) if ahead else ()
    lead = values.shape[:1] if ahead else ()
    out, at = {}, 0
    for c in columns:
        part = values[..., at : at + c.width].reshape(*lead, *rows.sizes, *c.sizes)
        out[c.name] = ((*front, *rows.dims, *c.dims), part, c.attrs)
        at += c.width
    extra = {d: v for c in columns for d, v in c.coords.items()}
    return xr.Dataset(out, coords={**rows.coords, **extra, **({ahead[0]: ahead[1]} if ahead else {})})
