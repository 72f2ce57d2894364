"""The equations of a system without noise and delays as one function of one vector, for the points of a parameter Dataset."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core.coupling import Coupling
from xmass.core.model import Mixed, NeuralMass, Uniform, bound, declared_parameters, evaluate, models_of, noise_fields, per_ms, replace
from xmass.labelled.network import Network
from xmass.labelled.parameters import System, node_of
from xmass.labelled.resolve import Request, Resolved, resolve
from xmass.labelled.schema import INITIAL, LAG, REGION, REGION_OTHER, SEED, TIME, WEIGHTS
from xmass.labelled.source import read_by
from xmass.labelled.values import Value
from xmass.simulator import Simulator

INPUTS = "inputs"
_ELEMENTS = 4_000_000
_LENGTHS = tuple(4 * 16**k for k in range(8))
_FEW = 16
_RANGE_STEPS = 1000

Point = dict[str, np.ndarray]
"""Everything that the equations read, by path: numbers ``(region or 1, 1)``, weights ``(region, region)``, ``inputs.<name>``."""


@dataclasses.dataclass(frozen=True)
class Equations:
    """What shapes the function; equal ones share a compilation. The vector holds the regions of the first state, then the next."""

    model: NeuralMass
    couplings: tuple[tuple[str, Coupling], ...]
    regions: int
    around: str = ""
    """What the user's own code reads from around its text when it is traced."""

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.model.states)

    @functools.cached_property
    def active(self) -> np.ndarray:
        """Positions of the unknowns in all states of all regions: a region has the states of its own model."""
        model, every = self.model, np.ones(self.regions, bool)
        return np.flatnonzero(np.concatenate([model.mask(s) if isinstance(model, Mixed) else every for s in self.states]))

    @property
    def size(self) -> int:
        return len(self.active)

    def unpacked(self, x: np.ndarray) -> np.ndarray:
        """Vectors ``(..., size)`` as ``(..., state, region)``, NaN where a region has no such state."""
        full = np.full((*x.shape[:-1], len(self.states) * self.regions), np.nan, x.dtype)
        full[..., self.active] = x
        return full.reshape(*x.shape[:-1], len(self.states), self.regions)

    def packed(self, full: np.ndarray) -> np.ndarray:
        """The vectors ``(..., size)`` of values ``(..., state, region)``."""
        return full.reshape(*full.shape[:-2], -1)[..., self.active]


def rates(equations: Equations, x: jax.Array, p: Mapping[str, Any]) -> jax.Array:
    """Time derivative per ms. A delayed state is the state itself, as it is at a fixed point."""
    model, names, shape = bound(equations.model, "", dict(p)), equations.states, (equations.regions, 1)
    s = dict(zip(names, jnp.zeros(len(names) * equations.regions, x.dtype).at[equations.active].set(x).reshape(len(names), *shape)))
    u = {i.name: p[f"{INPUTS}.{i.name}"] for i in model.inputs}
    for path, blank in equations.couplings:
        coupling = bound(blank, f"{path}.", dict(p))
        own = s[coupling.source] if coupling.source in s else evaluate(model, coupling.source, s, None)
        if isinstance(model, Mixed):  # in regions of another model the source may be anything, also infinite
            own = jnp.where(model.mask(coupling.source)[:, None], own, 0.0)
        matrix, sent = p[_matrix(path)], coupling.pre(own)
        total = tuple(matrix @ x for x in sent) if isinstance(sent, tuple) else matrix @ sent
        u[coupling.target] = u[coupling.target] + coupling.post(total, own, matrix.sum(axis=1, keepdims=True))
    past = {q.name: s[q.state] for q in model.past}
    made = model.drift(SimpleNamespace(**s, **past), SimpleNamespace(**u))
    return per_ms(model) * jnp.concatenate([jnp.broadcast_to(made[n], shape)[:, 0] for n in names])[equations.active]


def _matrix(path: str) -> str:
    """The path of the matrix that a coupling sums with."""
    return f"{path}.{WEIGHTS}"


class Compiled(NamedTuple):
    """Functions of ``(x, system, own, shared)``: rates, rates and their Jacobian, and what a trajectory passes through."""

    value: Callable[..., Any]
    both: Callable[..., Any]
    ranges: Callable[..., Any]


@functools.lru_cache(maxsize=64)
def compiled(equations: Equations) -> Compiled:
    """Compiled once for equal equations; ``own`` holds one entry per system, ``shared`` what they have in common."""

    def at(x: jax.Array, i: jax.Array, own: dict, shared: dict) -> jax.Array:
        return rates(equations, x, {**shared, **{path: v[i] for path, v in own.items()}})

    def both(x: jax.Array, i: jax.Array, own: dict, shared: dict) -> tuple[jax.Array, jax.Array]:
        return at(x, i, own, shared), jax.jacfwd(at)(x, i, own, shared)

    def ranges(x: jax.Array, i: jax.Array, own: dict, shared: dict, dt: jax.Array, low: jax.Array, high: jax.Array) -> Any:
        def step(_: int, carry: tuple) -> tuple:
            x, least, most = carry
            x = jnp.clip(x + dt * at(x, i, own, shared), low, high)
            return x, jnp.minimum(least, x), jnp.maximum(most, x)

        return jax.lax.fori_loop(0, _RANGE_STEPS, step, (x, x, x))

    one = (0, 0, None, None)
    return Compiled(jax.jit(jax.vmap(at, one)), jax.jit(jax.vmap(both, one)), jax.jit(jax.vmap(ranges, (*one, 0, None, None))))


@dataclasses.dataclass(frozen=True, eq=False)
class Systems:
    """The equations at every point: a system for each combination of run dims and, in a bank of uncoupled nodes, region."""

    equations: Equations
    shared: Point
    own: Point
    """One entry per system along the first axis."""
    sizes: dict[str, int]
    """Dims of the systems with their lengths, ``region`` last in a bank."""
    start: dict[str, np.ndarray]
    """Where a run would start: per state ``(systems or 1, region or 1)``; half the width of a random start in ``spread``."""
    spread: dict[str, float]
    lower: np.ndarray
    upper: np.ndarray
    """Declared bounds of the vector, infinite where there are none."""
    dt: float

    @property
    def count(self) -> int:
        return int(np.prod(tuple(self.sizes.values()), dtype=np.int64))

    @property
    def bank(self) -> bool:
        return REGION in self.sizes

    def value(self, x: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Rates ``(n, size)`` of vectors ``(n, size)`` in the systems ``index``."""
        return self._call(compiled(self.equations).value, x, index)[0]

    def both(self, x: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rates and Jacobians ``(n, size, size)``."""
        f, j = self._call(compiled(self.equations).both, x, index)
        return f, j

    def ranges(self, x: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """End, least and greatest value of trajectories of 1000 steps of Euler's method, of dt or what the equations allow."""
        fastest = np.abs(self.both(x, index)[1]).sum(axis=2).max(axis=1)
        dt = np.where(np.isfinite(fastest), np.minimum(self.dt, 0.5 / np.maximum(fastest, 1e-300)), self.dt)
        end, least, most = self._call(compiled(self.equations).ranges, x, index, dt=dt)
        return end, least, most

    def point(self, system: int) -> Point:
        """What the equations of one system read."""
        return {**self.shared, **{path: v[system] for path, v in self.own.items()}}

    def at(self, point: Point) -> Systems:
        """The one system that reads ``point``."""
        return dataclasses.replace(self, shared=point, own={}, sizes={})

    def _call(self, function: Callable[..., Any], x: np.ndarray, index: np.ndarray, dt: np.ndarray | None = None) -> list[np.ndarray]:
        """Call in blocks that fit into memory, each padded to one of a few lengths, as every length is compiled."""
        block = max(_ELEMENTS // self.equations.size**2, 1)
        lengths = _LENGTHS if self.equations.size > _FEW else _LENGTHS[1:]
        parts = []
        with jax.enable_x64(True):
            for first in range(0, len(x), block):
                rows = [v[first : first + block] for v in ((x, index) if dt is None else (x, index, dt))]
                pad = min(next(length for length in lengths if length >= len(rows[0])), block) - len(rows[0])
                padded = [np.concatenate([v, np.repeat(v[-1:], pad, axis=0)]) for v in rows]
                more = () if dt is None else (padded[2], self.lower, self.upper)
                made = function(*padded[:2], self.own, self.shared, *more)
                parts.append([np.asarray(m)[: len(rows[0])] for m in jax.tree.leaves(made)])
        return [np.concatenate(p) for p in zip(*parts)]


def system_of(sim: Simulator) -> System:
    """What a Simulator integrates, if it has equations."""
    if not isinstance(sim, Simulator):
        raise TypeError(f"sim is a {type(sim).__name__}, needs a Simulator: xm.Simulator(model, dt=0.1).")
    if not isinstance(sim.system, NeuralMass | Network):
        raise TypeError(f"sim simulates a {type(sim.system).__name__}, which has no equations: give a model or a Network.")
    return sim.system


def resolved_point(sim: Simulator, params: xr.Dataset | None, inputs: Mapping[str, Any] | None) -> Resolved:
    """Parameters and constant inputs, checked and aligned as a run would."""
    system_of(sim)
    for name, value in (inputs or {}).items():
        if isinstance(value, xr.DataArray) and TIME in value.dims:
            raise ValueError(
                f"inputs[{name!r}] varies in time; a fixed point needs constant inputs. Give one time: .isel(time=0, drop=True)."
            )
    return resolve(sim.config, Request(sim.dt, params, inputs=inputs))


def systems_of(sim: Simulator, resolved: Resolved) -> Systems:
    """The equations at every point of a resolved request."""
    system = system_of(sim)
    model = node_of(system)
    if model.scheme and type(model).drift is NeuralMass.drift:
        raise TypeError(f"{type(model).__name__} has a step of its own and no drift(s, u): fixed points are those of the drift.")
    couplings = system.couplings if isinstance(system, Network) else {}
    regions = len(resolved.config.regions)
    bank = regions > 1 and not couplings and not isinstance(model, Mixed)
    read = _read(resolved, system)
    sizes = {d: n for d, n in resolved.sizes.items() if any(d in v.dims for v in read.values())}
    runs = np.arange(int(np.prod(tuple(sizes.values()), dtype=np.int64)))
    shared: Point = {}
    own: Point = {}
    for path, value in read.items():
        rows, varies = value.take(sizes, runs), value.varies
        if REGION_OTHER not in value.inner:
            rows = rows.reshape(len(rows), -1, 1)
            if bank and (varies or REGION in value.inner):
                rows, varies = np.broadcast_to(rows, (len(runs), regions, 1)).reshape(-1, 1, 1), True
        (own if varies else shared)[path] = rows if varies else rows[0]
    blank = {**{d.name: 0.0 for d in declared_parameters(model)}, **{p: None for p, _, _ in noise_fields(model)}}
    equations = Equations(
        replace(model, blank),
        tuple((path, replace(c, {d.name: 0.0 for d in declared_parameters(c)})) for path, c in couplings.items()),
        1 if bank else regions,
        read_by([*models_of(model), *couplings.values()]),
    )
    bounds = [s.bounds if s.bounds is not None and sim.bounds else (-np.inf, np.inf) for s in model.states]
    low, high = (equations.packed(np.repeat(b[:, None], equations.regions, axis=1)) for b in np.array(bounds, dtype=np.float64).T)
    start, spread = _starts(resolved, model, sizes, runs, regions if bank else 0)
    return Systems(
        equations, shared, own, {**sizes, REGION: regions} if bank else sizes, start, spread, low, high, float(resolved.config.dt)
    )


def _read(resolved: Resolved, system: System) -> dict[str, Value]:
    """The values that the equations read, by path; of each coupling the matrix that it sums with."""
    model, wired = node_of(system), resolved.structures
    found = {d.name: resolved.values[d.name] for d in declared_parameters(model)}
    couplings, prefix_of = (system.couplings, system.prefix_of) if isinstance(system, Network) else ({}, str)
    for path, coupling in couplings.items():
        found |= {f"{path}.{d.name}": resolved.values[f"{path}.{d.name}"] for d in declared_parameters(coupling)}
        assert wired is not None
        if TIME in resolved.values[prefix_of(path) + WEIGHTS].inner:
            raise ValueError("weights has the dim 'time'; a fixed point needs weights that do not change. Take one time: .isel(time=0).")
        matrices = wired.projections[wired.of_coupling[path]].weights[:, 0]
        shape = tuple(resolved.sizes[d] for d in wired.dims)
        found[_matrix(path)] = Value(wired.dims, matrices.reshape(*shape, *matrices.shape[1:]), (REGION, REGION_OTHER))
    found |= {f"{INPUTS}.{i.name}": Value((), np.zeros(()), ()) for i in model.inputs}
    for drive in resolved.stimuli:
        if drive.value is None:
            raise ValueError(f"inputs[{drive.name!r}] varies in time; a fixed point needs constant inputs, a number or a DataArray.")
        found[f"{INPUTS}.{drive.name}"] = drive.value
    return found


def _starts(
    resolved: Resolved, model: NeuralMass, sizes: dict[str, int], runs: np.ndarray, bank: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Initial states ``(systems or 1, region or 1)``; the middle of what is drawn, with half its width."""
    start, spread = {}, {}
    for state in model.states:
        value = resolved.values.get(f"{INITIAL}.{state.name}")
        spread[state.name] = 0.0
        if value is None or LAG in value.inner or not set(value.dims) <= set(sizes):
            given = state.initial
            middle = 0.5 * (given.low + given.high) if isinstance(given, Uniform) else float(given)
            spread[state.name] = 0.5 * (given.high - given.low) if isinstance(given, Uniform) else 0.0
            start[state.name] = np.full((1, 1), middle)
            continue
        rows = value.take(sizes, runs)
        rows = rows.reshape(len(rows), -1)
        start[state.name] = np.broadcast_to(rows, (len(runs), bank)).reshape(-1, 1) if bank else rows
    return start, spread


def kept_coords(resolved: Resolved, dims: set[str]) -> dict[str, xr.DataArray]:
    """Coordinates of a result over these dims, without the seed."""
    return {n: c for n, c in resolved.coords.items() if n != SEED and set(map(str, c.dims)) <= dims}
