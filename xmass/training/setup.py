"""From what the user gave to what is compiled: sizes, numbers, runs, and starting values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core.model import declared_parameters, parameter_value, replace
from xmass.core.param import Param
from xmass.fit.layout import Layout, layout_of
from xmass.labelled.free import declared
from xmass.labelled.parameters import Spec
from xmass.labelled.schema import UNITS
from xmass.labelled.suggest import nearest
from xmass.labelled.units import counted, same_dimension, to_declared
from xmass.training.data import CLASS, Frame
from xmass.training.optimizers import built, is_transformation
from xmass.training.program import Program
from xmass.training.runs import Runs
from xmass.training.sequential import Sequential, Weight

Terms = dict[str, Callable[..., Any]]
RESERVED = ("loss", "learning_rate", "gradient_norm", "seconds", "step", "epoch", "split", "status")


def named(given: Any, what: str) -> Terms:
    """Losses or metrics by name; one alone has the name ''."""
    if given is None:
        return {}
    terms = dict(given) if isinstance(given, Mapping) else {"": given}
    if not terms:
        raise ValueError(f"{what} is empty, needs one or more: {what}={{'mse': xm.training.MeanSquaredError()}}.")
    for name, term in terms.items():
        if isinstance(term, type):
            raise TypeError(f"{what} is the class {term.__name__}, needs an object: {term.__name__}().")
        if not callable(term):
            raise TypeError(f"{what} is {term!r}, needs a function f(output, target, weights), or an object of xm.training.")
        if not isinstance(name, str) or "/" in name or (what == "metrics" and (not name or name in RESERVED or name.startswith("loss."))):
            raise ValueError(f"{what} is named {name!r}, which cannot be a variable of the history: give it another name.")
    return terms


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """A program and where it starts."""

    program: Program
    runs: Runs
    hyper: dict[str, np.ndarray]
    start: dict[str, np.ndarray]
    given: dict[str, np.ndarray]
    rate: np.ndarray | None
    seeds: np.ndarray
    weights: dict[str, Weight]
    params: dict[str, tuple[Param, Spec]]

    def keys(self) -> Any:
        """The key, or that of every run."""
        seeds = jnp.asarray(self.seeds, jnp.uint32)
        return jax.vmap(jax.random.key)(seeds) if self.program.seeded else jax.random.key(seeds)


def filled(model: Sequential, frame: Frame) -> Sequential:
    """The network with the number of outputs where it was left open, checked against the targets."""
    layers = [
        replace(layer, {"units": frame.size}) if "units" in _fields(layer) and layer.__dict__["units"] is None else layer
        for layer in model.layers
    ]
    whole = Sequential(*layers)
    size = frame.width
    for layer in whole.layers:
        size = layer.size(size)
    if size != frame.size:
        wanted = f"{frame.size} classes" if frame.classes is not None else f"{frame.size} columns of {[c.name for c in frame.outputs]}"
        raise ValueError(
            f"the network has {size} outputs, needs {wanted}: end it with xm.training.Linear(), which has as many as are needed."
        )
    late = [n for n, layer in zip(whole.names, whole.layers, strict=True) if layer.uses_time]
    if late and (frame.time_unit is None or not same_dimension(frame.time_unit, "ms")):
        raise ValueError(
            f"{late[0]} has constants in ms, but time is in {frame.time_unit!r}, needs a unit of time: ds.time.attrs[{UNITS!r}] = 'ms'."
        )
    return whole


def _fields(layer: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(layer)]


def _owners(model: Sequential, losses: Terms) -> list[tuple[str, Any]]:
    """What has parameters, with the path in front of their names."""
    owners: list[tuple[str, Any]] = [(f"{name}.", layer) for name, layer in zip(model.names, model.layers, strict=True)]
    return owners + [(f"/{name}/", loss) for name, loss in losses.items() if isinstance(loss, eqx.Module)]


def frozen_paths(frozen: str | Sequence[str], weights: Mapping[str, Weight], params: Iterable[str]) -> tuple[str, ...]:
    """Arrays that stay: those that are fixed, and those that were named, alone or by their layer."""
    named_ = (frozen,) if isinstance(frozen, str) else tuple(frozen)
    stay = [p for p, w in weights.items() if w.fixed]
    for name in named_:
        hit = [p for p in weights if p == name or p.rpartition(".")[0] == name]
        trained = [p for p in params if p == name or p.rpartition(".")[0] == name]
        if trained:
            raise ValueError(f"frozen names {name!r}, but {trained[0]} is a Param, which is trained: give it as a number.")
        if not hit:
            raise ValueError(f"frozen names {name!r}, which is no array or layer of the network{nearest(name, list(weights))}")
        stay += hit
    return tuple(dict.fromkeys(stay))


def setup(
    model: Sequential,
    losses: Terms,
    metrics: Terms,
    optimizer: Any,
    learning_rate: Any,
    frame: Frame,
    *,
    clip: float | None,
    frozen: str | Sequence[str],
    dtype: Any,
    seed: Any,
    initial: xr.Dataset | None = None,
) -> Setup:
    """Everything that a fit needs besides its data."""
    whole = filled(model, frame)
    runs = Runs()
    numbers: dict[str, Any] = {}
    params: dict[str, tuple[Param, Spec]] = {}
    for prefix, owner in _owners(whole, losses):
        for d in declared_parameters(owner):
            path, value = prefix + d.name, parameter_value(owner, d.name)
            if value is None:
                continue
            spec = Spec(path, d.default, d.unit, d.meaning)
            if isinstance(value, Param) and value.fit:
                if path.startswith("/"):
                    raise TypeError(f"{path[1:].replace('/', '.')} is a Param: a factor of a loss cannot be trained. Give a number.")
                params[path] = (_trained(path, value, spec, runs), spec)
                continue
            plain = to_declared(counted(value), d.unit, path.strip("/").replace("/", "."))
            if isinstance(plain, xr.DataArray):
                if not np.isfinite(plain.values).all():
                    raise ValueError(f"{path} has values that are not finite, needs finite ones.")
                runs.add(path, plain)
                numbers[path] = float(plain.values.flat[0])  # where shapes are asked for; every run has its own
            else:
                if not np.isfinite(plain).all():
                    raise ValueError(f"{path.strip('/').replace('/', '.')} is {plain}, needs a finite number.")
                numbers[path] = float(plain) if plain.ndim == 0 else np.asarray(plain, dtype)
    rate, schedule = _rate(optimizer, learning_rate, runs)
    if isinstance(seed, xr.DataArray):
        runs.add("seed", seed)
    seeds = _seeds(runs.flat("seed") if isinstance(seed, xr.DataArray) else np.asarray(seed))
    weights = whole.weights(frame.width)
    check_names(runs, {*(d for c in (*frame.inputs, *frame.outputs) for d in c.dims)}, "the data")
    check_names(runs, {d for path, weight in weights.items() for d in dims_of(path, weight)}, "the weights")
    check_names(runs, {CLASS, *RESERVED} - {"learning_rate"}, "the history")
    both = [p for p in weights if p in numbers or p in params]
    if both:
        raise ValueError(f"{both[0]} is the name of an array and of a parameter of the layer: rename one in its class.")
    losses = {n: _plain_loss(loss, f"/{n}/", numbers, runs) for n, loss in losses.items()}
    layout = layout_of({p: (param, {}) for p, (param, _) in params.items()}) if params else Layout(())
    program = Program(
        model=whole,
        inputs=frame.width,
        dt=frame.step,
        losses=losses,
        metrics=metrics,
        optimizer=built(optimizer, 0.0 if schedule is None else schedule, dtype),
        layout=layout,
        numbers={p: v for p, v in numbers.items() if not p.startswith("/")},
        varied=tuple(p for p in runs.held if p not in ("seed", "learning rate") and p not in params and not p.startswith("/")),
        frozen=frozen_paths(frozen, weights, params),
        runs=runs.count,
        seeded="seed" in runs.held and bool(runs.sizes),
        timed=frame.timed,
        clip=clip,
        dtype=dtype,
    )
    _check_ends(program, frame)

    def spread(v: Any) -> np.ndarray:
        array = np.asarray(v)
        return np.broadcast_to(array, (runs.count, *array.shape)) if runs.count is not None else array

    hyper = {p: runs.flat(p).astype(dtype) for p in runs.held if p not in ("seed", "learning rate") and p not in params}
    start = {
        p: layout_start(layout, p, runs.flat(p)) if p in runs.held else spread(layout_start(layout, p, param.value))
        for p, (param, _) in params.items()
    }
    start = {p: v.astype(dtype) for p, v in start.items()}
    rates = None
    if schedule is None and not is_transformation(optimizer):
        rates = (runs.flat("learning rate") if "learning rate" in runs.held else spread(rate)).astype(dtype)
    single = {p: Weight((), (), jax.nn.initializers.zeros) for p in params}
    given = {} if initial is None else given_weights(_by_label(initial, labels_of(whole, frame)), {**weights, **single}, runs)
    given = {p: v if v.ndim > len({**weights, **single}[p].shape) else spread(v) for p, v in given.items()}
    start |= {p: layout_start(layout, p, v).astype(dtype) for p, v in given.items() if p in params}
    ready = {p: v.astype(dtype) for p, v in given.items() if p in weights}
    return Setup(program, runs, hyper, start, ready, rates, seeds, weights, params)


def layout_start(layout: Layout, path: str, values: Any) -> np.ndarray:
    """Coordinates ``(..., size)`` of values of one parameter."""
    one = Layout(tuple(e for e in layout.entries if e.path == path))
    return one.to_coordinates({path: values})


def _trained(path: str, param: Param, spec: Spec, runs: Runs) -> Param:
    if param.prior is not None:
        raise ValueError(f"{path} has a prior, which a loss that is no likelihood cannot be added to: use reg=.")
    if param.dims:
        raise ValueError(f"{path} is a Param with dims={param.dims!r}, needs one number: in a layer a parameter counts for all units.")
    value = to_declared(param.value, spec.unit, path)
    if isinstance(value, xr.DataArray):
        runs.add(path, value)
        param = dataclasses.replace(param, value=float(value.mean()))
    return declared(path, param, spec)


def _rate(optimizer: Any, learning_rate: Any, runs: Runs) -> tuple[Any, Any]:
    """A learning rate, or a schedule."""
    if is_transformation(optimizer):
        if learning_rate is not None:
            raise ValueError(
                "learning_rate= with an optimizer that has its own: give optimizer=optax.adam without "
                "calling it, or leave learning_rate out."
            )
        return None, None
    learning_rate = 1e-3 if learning_rate is None else learning_rate
    if isinstance(learning_rate, xr.DataArray):
        if learning_rate.dtype.kind not in "iuf" or not np.isfinite(learning_rate.values).all() or (learning_rate.values < 0).any():
            raise ValueError("learning_rate holds values that are negative or not finite, needs numbers that are neither.")
        runs.add("learning rate", learning_rate)
        return None, None
    if callable(learning_rate):
        return None, learning_rate
    if isinstance(learning_rate, bool) or not isinstance(learning_rate, (int, float, np.number)) or not 0 <= learning_rate < np.inf:
        raise ValueError(f"learning_rate={learning_rate!r}, needs a number, a DataArray of them, or a schedule of optax.")
    return float(learning_rate), None


def _seeds(seeds: np.ndarray) -> np.ndarray:
    if seeds.dtype.kind not in "iu" or (seeds < 0).any() or (seeds >= 2**32).any():
        raise ValueError(f"seed={seeds.tolist()!r}, needs whole numbers from 0 to 2**32 - 1.")
    return seeds.astype(np.uint32)


def _plain_loss(loss: Any, prefix: str, numbers: Mapping[str, Any], runs: Runs) -> Any:
    """A loss with plain numbers for parameters; those that differ between runs come later."""
    if not isinstance(loss, eqx.Module):
        return loss
    own = {p.removeprefix(prefix): v for p, v in numbers.items() if p.startswith(prefix)}
    return replace(loss, own)


def _check_ends(program: Program, frame: Frame) -> None:
    """That time ends in the network if and only if targets have none."""
    with jax.enable_x64(program.dtype == np.float64):
        out = program.shape(3)[0]
    ends = len(out.shape) == 2
    if ends and frame.timed:
        raise ValueError(f"the network ends time, but {frame.outputs[0].name} has it: leave out the layer that ends it (OverTime).")
    if not ends and not frame.timed:
        raise ValueError(f"{frame.outputs[0].name} has no time, but the outputs have: add xm.training.OverTime('last') to the network.")


def counts_of(losses: Terms) -> bool | None:
    """Whether whole numbers are classes: not where a loss wants numbers; None where no loss says it."""
    said = {getattr(loss, "of", None) for loss in losses.values()}
    return False if "numbers" in said else True if "classes" in said else None


def check_names(runs: Runs, names: Iterable[Hashable], what: str) -> None:
    """Refuse a dim or coordinate of runs that something else has."""
    both = [n for n in names if n in runs.sizes or n in runs.coords]
    if both:
        raise ValueError(
            f"a hyper-parameter has the dim or coordinate {both[0]!r}, which {what} have: rename it, as in .rename({both[0]}='run')."
        )


def dims_of(path: str, weight: Weight) -> tuple[str, ...]:
    """Names of the dims of an array in a Dataset."""
    layer = path.rpartition(".")[0]
    return tuple(f"{layer}_{d}" for d in weight.dims)


def labels_of(model: Sequential, frame: Frame) -> dict[str, list[Any]]:
    """Names of the columns that go in, and of those that come out, by the dims of weights."""
    ends = list(frame.classes) if frame.classes is not None else [n for c in frame.outputs for n in c.labels]
    return {f"{model.names[0]}_input": [n for c in frame.inputs for n in c.labels], f"{model.names[-1]}_unit": ends}


def _by_label(ds: Any, labels: Mapping[str, list[Any]]) -> xr.Dataset:
    """Weights with columns in the order of those of the data."""
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"initial is a {type(ds).__name__}, needs a Dataset of weights, as trainer.weights is.")
    for d, known in labels.items():
        if d in ds.coords and d in ds.dims and ds[d].values.tolist() != (wanted := np.asarray(known).tolist()):
            if sorted(map(str, ds[d].values)) != sorted(map(str, wanted)) or len(set(wanted)) < len(wanted):
                raise ValueError(
                    f"initial has {d}={ds[d].values.tolist()}, needs the columns of the data, {wanted}: "
                    f".drop_vars({d!r}) if they are the same."
                )
            ds = ds.sel({d: wanted})
    return ds


def given_weights(ds: xr.Dataset, weights: Mapping[str, Weight], runs: Runs) -> dict[str, np.ndarray]:
    """Arrays by path from a Dataset of weights, for :meth:`Trainer.fit`; runs are taken by their labels."""
    found = {}
    ds = _in_order(ds, runs)
    for name in map(str, ds.data_vars):
        if name not in weights:
            raise ValueError(f"initial has {name!r}, which is no array of the network{nearest(name, list(weights))}")
        weight, value = weights[name], ds[name]
        dims = dims_of(name, weight)
        if set(dims) - set(value.dims):
            raise ValueError(f"{name} of initial has dims {value.dims}, needs {dims}.")
        lead = [d for d in value.dims if d not in dims]
        wrong = [d for d in lead if d not in runs.sizes]
        if wrong:
            raise ValueError(f"{name} of initial has the dim {wrong[0]!r} too much: select one with .isel({wrong[0]}=0).")
        absent = {d: n for d, n in runs.sizes.items() if d not in value.dims} if lead else {}
        value = (value.expand_dims(absent) if absent else value).transpose(*(runs.sizes if lead else ()), *dims)
        values = np.asarray(value.values, dtype=np.float64)
        values = values.reshape(-1, *values.shape[len(runs.sizes) :]) if lead else values
        if values.shape[-len(weight.shape) :] != weight.shape and weight.shape:
            raise ValueError(f"{name} of initial has sizes {dict(value.sizes)}, needs {dict(zip(dims, weight.shape))}.")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} of initial has values that are not finite, needs none.")
        found[name] = values
    return found


def _in_order(ds: xr.Dataset, runs: Runs) -> xr.Dataset:
    """Weights with their runs in the order of those that are to be."""
    for d, known in runs.coords.items():
        if d not in ds.coords or d not in ds.dims or d not in known.dims:
            continue
        if set(ds[d].values.tolist()) != set(known.values.tolist()):
            raise ValueError(
                f"initial has {d}={ds[d].values.tolist()}, needs the labels of the hyper-parameters, {known.values.tolist()}: select one "
                f"with .isel({d}=0), or .assign_coords({d}=...)."
            )
        ds = ds.sel({d: known.values}) if not np.array_equal(ds[d].values, known.values) else ds
    return ds
