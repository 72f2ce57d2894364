"""Connectomes of a run as arrays: weights and delays per structure, planned once for all of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.coupling import Coupling
from xmass.core.delay import Delayed, DelayPlan, plan_delays, sparse_plan
from xmass.core.model import Mixed, NeuralMass, declared_parameters, replace
from xmass.core.program import Projection
from xmass.labelled.network import Network
from xmass.labelled.schema import DISTANCES, SPEED, TIME, WEIGHTS
from xmass.labelled.values import Value

_INDEX_LIMIT = 2**32 - 1
_SPARSE = 0.1
"""Below this part of existing edges an undelayed product reads edges, not a matrix, from ``_LARGE`` regions on."""
_LARGE = 200
_BEYOND = 1e-5
"""Part of a delay by which it may lie beyond its limits: a value on a limit is rounded."""
Limits = Mapping[str, tuple[Value, Value]]
"""Lowest and highest distances and speeds, by path."""


@dataclasses.dataclass(frozen=True, eq=False)
class Wiring:
    """One projection: weights ``(structure, epoch, region, region)``, and how they are read."""

    weights: np.ndarray
    plan: DelayPlan | None
    kind: Projection
    undelayed: Sequence[Any]
    """Of each structure and epoch, the matrix of the edges without delay, or its existing edges."""
    path: str
    """A coupling that sums with these weights."""
    span: tuple[np.ndarray, np.ndarray] | None = None
    """Where delays may change later, the shortest and longest of every pair in steps ``(structure, region, region)``."""


@dataclasses.dataclass(frozen=True, eq=False)
class Structures:
    """All connectomes (with their delays) that a run uses: ``dims`` are the run dims along which they differ."""

    dims: tuple[str, ...]
    count: int
    starts: tuple[int, ...]
    """Steps from which on the weights of each epoch hold; one epoch where weights do not vary in time."""
    projections: tuple[Wiring, ...]
    of_coupling: Mapping[str, int]
    """Projection of each coupling, by its path."""

    def of_runs(self, sizes: dict[str, int], runs: np.ndarray) -> np.ndarray:
        """The structure of each run."""
        if not self.dims:
            return np.zeros(len(runs), dtype=np.int64)
        position = dict(zip(sizes, np.unravel_index(runs, tuple(sizes.values())), strict=True))
        return np.ravel_multi_index(tuple(position[d] for d in self.dims), tuple(sizes[d] for d in self.dims))


def structure_dims(system: Network, values: dict[str, Value], sizes: dict[str, int]) -> tuple[str, ...]:
    """The run dims along which connectomes differ."""
    names = [prefix + name for prefix in system.connectomes for name in (WEIGHTS, DISTANCES, SPEED)]
    used = {d for name in names if name in values for d in values[name].dims}
    return tuple(d for d in sizes if d in used)


def plan_structures(
    system: Network,
    values: dict[str, Value],
    sizes: dict[str, int],
    starts: tuple[int, ...],
    *,
    dt: float,
    width: int,
    ahead: int,
    least: int,
    limits: Limits,
) -> Structures:
    """Plan the coupling of every connectome at once, so that all share one compiled program.

    ``limits`` of distances and speeds that may change later: the program serves every value between them.
    """
    dims = structure_dims(system, values, sizes)
    shape = tuple(sizes[d] for d in dims)
    count = int(np.prod(shape, dtype=np.int64))
    _check_count(count * len(starts) * len(system.connectomes), next(iter(system.connectomes.values())).sizes["region"])

    def spread(name: str, value: Value | None = None) -> np.ndarray:
        value = values[name] if value is None else value
        lead = tuple(sizes[d] if d in value.dims else 1 for d in dims)
        array = value.array.reshape((*lead, *value.array.shape[len(value.dims) :]))
        return np.broadcast_to(array, (*shape, *array.shape[len(dims) :])).reshape(count, *array.shape[len(dims) :])

    def delays(prefix: str) -> np.ndarray | None:
        if prefix + SPEED not in values:
            return None
        return delays_in_steps(spread(prefix + DISTANCES), spread(prefix + SPEED)[:, None, None], dt)

    def reach(prefix: str) -> tuple[np.ndarray, np.ndarray] | None:
        if prefix + SPEED not in values or not {prefix + DISTANCES, prefix + SPEED} & set(limits):
            return None
        lengths, speeds = ([*(spread(prefix + n, v) for v in limits.get(prefix + n, ())), spread(prefix + n)] for n in (DISTANCES, SPEED))
        low = delays_in_steps(np.min(lengths, axis=0), np.max(speeds, axis=0)[:, None, None], dt)
        high = delays_in_steps(np.max(lengths, axis=0), np.min(speeds, axis=0)[:, None, None], dt)
        return low * (1.0 - _BEYOND), high * (1.0 + _BEYOND)

    def weights(prefix: str) -> np.ndarray:
        found = spread(prefix + WEIGHTS)
        every = found if TIME in values[prefix + WEIGHTS].inner else found[:, None]
        return np.broadcast_to(every, (count, len(starts), *every.shape[2:]))

    keys: dict[tuple, int] = {}
    of_coupling, matrices, exact, spans, first = {}, [], [], [], []
    for path, coupling in system.couplings.items():
        prefix = system.prefix_of(path)
        key = (prefix, _weighting(coupling), *_ends(system.model, coupling))
        if key not in keys:
            keys[key] = len(keys)
            first.append(path)
            matrices.append(_summed(path, coupling, between(weights(prefix), system.model, coupling)))
            exact.append(delays(prefix))
            spans.append(reach(prefix))
        of_coupling[path] = keys[key]
    parts = [_edges(w, d, r, system.delays) for w, d, r in zip(matrices, exact, spans, strict=True) if d is not None]
    speeds = [v for found in ({n: (v,) for n, v in values.items()}, limits) for n, vs in found.items() if _is_speed(n) for v in vs]
    slowest = min((float(v.array.min()) for v in speeds), default=np.inf)
    for part in parts:
        _check_memory(part.steps if part.span is None else part.span[1], slowest, dt, width)
    plans = iter(plan_delays(parts, width=width, ahead=ahead, least=least) if parts else ())
    wirings = tuple(_wiring(p, w, None if d is None else next(plans), r) for p, w, d, r in zip(first, matrices, exact, spans, strict=True))
    return Structures(dims, count, starts, wirings, of_coupling)


def _is_speed(path: str) -> bool:
    return path.rpartition(".")[2] == SPEED


def _ends(model: NeuralMass, coupling: Coupling) -> tuple[str, ...]:
    """With several models, those that a coupling goes from and to."""
    return tuple(n.partition(".")[0] for n in (coupling.source, coupling.target)) if isinstance(model, Mixed) else ()


def between(weights: Any, model: NeuralMass, coupling: Coupling) -> Any:
    """The weights of the edges from regions that have the source to regions that have the target."""
    if not isinstance(model, Mixed):
        return weights
    where = np.where if isinstance(weights, np.ndarray) else jnp.where
    return where(model.mask(coupling.target)[:, None] & model.mask(coupling.source), weights, 0.0)


class _Swept:
    """Stands for a parameter where the matrix is made: the matrix is one for all runs, a parameter may differ between them."""

    def __init__(self, path: str) -> None:
        self.path = path

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"weighting reads {self.path}, which may differ between runs and regions; the matrix may not. Use it in pre or post, or make "
            "it a fixed option of the class: eqx.field(static=True, kw_only=True)."
        )

    __array_ufunc__ = __array__ = __float__ = __index__ = __bool__ = __neg__ = __pow__ = __rpow__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


def _own_weighting(path: str, coupling: Coupling) -> Callable[[Any], Any]:
    """The weighting of a coupling whose parameters cannot be read."""
    return replace(coupling, {d.name: _Swept(f"{path}.{d.name}") for d in declared_parameters(coupling)}).weighting


def weighted(path: str, coupling: Coupling, weights: jax.Array) -> jax.Array:
    """The matrix ``(region, region)`` that a coupling sums with, of traced weights."""
    try:
        return jnp.asarray(_own_weighting(path, coupling)(weights), weights.dtype)
    except jax.errors.JAXTypeError as error:
        raise TypeError(
            f"weighting of {type(coupling).__name__} cannot be differentiated: it makes numpy arrays or decisions from the weights. Write "
            "it with arithmetic, methods such as weights.sum(-1) and jax.numpy, or keep the weights of this coupling fixed."
        ) from error


def _summed(path: str, coupling: Coupling, weights: np.ndarray) -> np.ndarray:
    """The matrices ``(structure, epoch, region, region)`` that a coupling sums with."""
    made = np.asarray(_own_weighting(path, coupling)(weights), dtype=np.float64)
    name = f"weighting of {type(coupling).__name__}"
    if made.shape != weights.shape:
        raise ValueError(f"{name} returns shape {made.shape} for weights of shape {weights.shape} (..., region, region), needs the same.")
    if not np.isfinite(made).all():
        raise ValueError(
            f"{name} returns NaN or infinity, needs a finite number for each pair. Look for a division by a row without entries."
        )
    return made


def _weighting(coupling: Coupling) -> object:
    """What makes two couplings sum with the same matrix: no weighting of their own, or equal ones."""
    if type(coupling).weighting is Coupling.weighting:
        return None
    return replace(coupling, {d.name: 0.0 for d in declared_parameters(coupling)})


def _wiring(path: str, weights: np.ndarray, plan: DelayPlan | None, span: tuple[np.ndarray, np.ndarray] | None) -> Wiring:
    """How a projection is read: through its plan where an edge has a delay, and undelayed edges by a product."""
    delayed = plan if plan is not None and plan.shape.levels else None
    rest: Sequence[Any] | None = delayed.undelayed if delayed is not None else list(weights.reshape(-1, *weights.shape[2:]))
    shape = delayed.shape if delayed is not None else None
    used = np.any([m != 0 for m in rest], axis=0) if rest is not None else np.zeros(weights.shape[2:], bool)
    if span is not None:  # a delay may become shorter than a step
        used = used | ((weights != 0).any(axis=1) & (span[0] < 1)).any(axis=0)
        rest = [np.zeros_like(used, np.float64)] * (weights.shape[0] * weights.shape[1]) if rest is None and used.any() else rest
    if rest is None:
        return Wiring(weights, delayed, Projection(shape, ""), (), path, span)
    if len(used) < _LARGE or used.mean() >= _SPARSE:
        return Wiring(weights, delayed, Projection(shape, "dense"), rest, path, span)
    edges = sparse_plan(rest) if span is None else sparse_plan(rest, used)
    return Wiring(weights, delayed, Projection(shape, "sparse"), edges, path, span)


def _edges(weights: np.ndarray, exact: np.ndarray, reach: tuple[np.ndarray, np.ndarray] | None, rule: str) -> Delayed:
    """Weights and whole delays ``(structure * epoch, edge kind, region, region)`` of what ``exact`` gives in steps."""
    repeated = np.repeat(exact, weights.shape[1], axis=0)
    steps, factor = interpolated(repeated, rule)
    flat = weights.reshape(-1, 1, *weights.shape[2:])
    kinds = flat * factor
    steps = np.where(kinds != 0.0, steps, 0.0).astype(np.int64)
    if reach is None:
        return Delayed(kinds, steps)
    low, high = (interpolated(np.repeat(r, weights.shape[1], axis=0), rule)[0] for r in reach)
    edge = (flat != 0.0) & (np.repeat(reach[1], weights.shape[1], axis=0)[:, None] > 0.0)
    return Delayed(kinds, steps, (low.astype(np.int64), np.where(edge, high, 0.0).astype(np.int64)))


def delays_in_steps(distances: Any, speed: Any, dt: float) -> Any:
    """Delays in steps of ``dt`` ms, not rounded."""
    return distances / speed / dt


def interpolated(exact: np.ndarray, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """Whole delays of each kind of edge ``(..., edge kind, region, region)``, and the part of the weight that it has."""
    if rule == "linear":
        lower = np.floor(exact + 1e-9)
        part = np.clip(exact - lower, 0.0, 1.0)
        part = np.where(part < 1e-9, 0.0, part)
        return np.stack([lower, lower + 1], axis=-3), np.stack([1.0 - part, part], axis=-3)
    steps = np.rint(exact) if rule == "nearest" else np.ceil(np.round(exact, 9))
    return steps[..., None, :, :], np.ones((1, 1, 1))


def _check_count(count: int, regions: int) -> None:
    """Plans of many connectomes or speeds fit into memory: about eight matrices of float64 each while they are made."""
    needed = 8 * 8 * count * regions**2
    if needed > half_memory():
        raise ValueError(
            f"{count} connectomes (or speeds, which are delays of their own) of {regions} regions need {needed / 1e9:.3g} GB to plan. "
            "Run them in parts, a selection of params each."
        )


def half_memory() -> float:
    """Half of the machine's memory, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def _check_memory(steps: np.ndarray, slowest: float, dt: float, width: int) -> None:
    longest, regions = float(steps.max(initial=0)), steps.shape[-1]
    elements = regions * (2 * longest + 64) * width
    if elements > _INDEX_LIMIT or elements * 8 > half_memory():
        raise ValueError(
            f"the longest delay is {longest * dt:g} ms, {longest:.3g} steps of {dt:g} ms: its history needs "
            f"{elements * 8 / 1e9:.3g} GB for {regions} regions and {width} runs. "
            f"The slowest speed is {slowest:g} mm/ms; check its unit and that of distances (mm)."
        )
