"""The equations of a network at a fixed point as matrices: what each region and each coupling does to a small deviation."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xmass.analysis.linear_noise import Density
from xmass.analysis.rates import INPUTS, Equations
from xmass.core.model import bound, per_ms
from xmass.labelled.schema import WEIGHTS

Numbers = np.ndarray


class Edges(NamedTuple):
    """Projections with their delays: derivative of the receiving current by the source, and delays [ms], ``(region, region)``."""

    gain: np.ndarray
    delay: np.ndarray


class Channel(NamedTuple):
    """A coupling: where its current enters ``(region, state)``, what is sent ``(region, state)``, edges, and the own part ``(region,)``."""

    target: str
    enters: np.ndarray
    source: np.ndarray
    edges: tuple[Edges, ...]
    own: np.ndarray

    @property
    def delayed(self) -> bool:
        """Whether an edge has a delay."""
        return any((e.delay[e.gain != 0] > 0).any() for e in self.edges)

    def sized(self) -> Channel:
        """The sizes of its terms."""
        edges = tuple(e._replace(gain=np.abs(e.gain)) for e in self.edges)
        return self._replace(enters=np.abs(self.enters), source=np.abs(self.source), edges=edges)

    @property
    def gain(self) -> np.ndarray:
        """All edges without their delays."""
        return np.asarray(sum(e.gain for e in self.edges))


class Memory(NamedTuple):
    """A state of the own region that is read late: ``effect (region, state)`` of the state number ``of``, ``delay (region,)`` [ms]."""

    name: str
    of: int
    effect: np.ndarray
    delay: np.ndarray

    def sized(self) -> Memory:
        """The size of its term."""
        return self._replace(effect=np.abs(self.effect))


class Entry(NamedTuple):
    """A noise: its input, where it enters ``(region, state)``, its spectral density, and the root of its covariance, if any."""

    path: str
    target: str
    white: bool
    enters: np.ndarray
    density: Density
    root: np.ndarray | None


class Readout(NamedTuple):
    """A state or an output: its value ``(region,)``, derivatives by the states ``(region, state)`` and by the inputs, by name."""

    name: str
    value: np.ndarray
    states: np.ndarray
    inputs: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """A network around a fixed point; everything per ms."""

    local: np.ndarray
    """Derivatives of the rates of a region by its own states ``(region, state, state)``, without couplings and memories."""
    channels: tuple[Channel, ...]
    memories: tuple[Memory, ...]
    entries: tuple[Entry, ...]
    readouts: tuple[Readout, ...]

    @property
    def regions(self) -> int:
        return self.local.shape[0]

    @property
    def states(self) -> int:
        return self.local.shape[1]

    @property
    def delayed(self) -> bool:
        """Whether anything arrives late."""
        return any(c.delayed for c in self.channels) or any((m.delay > 0).any() for m in self.memories)

    def own(self) -> np.ndarray:
        """``local`` with the undelayed part that couplings take from the region itself."""
        return self.local + sum(c.own[:, None, None] * c.enters[:, :, None] * c.source[:, None, :] for c in self.channels)

    def jacobian(self, factor: complex | None = None) -> np.ndarray:
        """The whole matrix ``(state * region, state * region)``, states outermost; delays as ``exp(-factor * delay)``, none: 1."""
        return self._whole(self.own(), factor, lambda gain, delay: gain if factor is None else gain * np.exp(-factor * delay))

    def reach(self, line: float) -> float:
        """No root right of ``line`` is further from 0: the Perron root of the sizes of all terms there, whatever the units of states."""
        own = np.abs(self.own())
        sized = dataclasses.replace(
            self, channels=tuple(c.sized() for c in self.channels), memories=tuple(m.sized() for m in self.memories)
        )
        matrix = sized._whole(own, complex(line), lambda gain, delay: gain * np.exp(-line * delay)).real
        return float(np.abs(np.linalg.eigvals(matrix)).max())

    def slope(self, factor: complex) -> np.ndarray:
        """The derivative of :meth:`jacobian` by ``factor``."""
        return self._whole(np.zeros_like(self.local), factor, lambda gain, delay: -gain * delay * np.exp(-factor * delay))

    def _whole(self, own: np.ndarray, factor: complex | None, late: Callable[[Any, Any], Any]) -> np.ndarray:
        n, s = self.regions, self.states
        full = np.zeros((s, n, s, n), dtype=np.float64 if factor is None else np.complex128)
        each = np.arange(n)
        full[:, each, :, each] += own
        for m in self.memories:
            full[:, each, m.of, each] += late(m.effect, m.delay[:, None]).T
        for c in self.channels:
            matrix = sum(late(e.gain, e.delay) for e in c.edges)
            full += c.enters.T[:, :, None, None] * matrix[None, :, None, :] * c.source.T[None, None]
        return full.reshape(s * n, s * n)


class Derivatives(NamedTuple):
    """What :func:`derivatives` finds, arrays."""

    local: Any
    inputs: Any
    past: Any
    readouts: dict[str, tuple[Any, Any, Any]]
    channels: dict[str, tuple[Any, Any, Any]]


@functools.lru_cache(maxsize=64)
def _compiled(equations: Equations, names: tuple[str, ...]) -> Callable[..., Derivatives]:
    return jax.jit(functools.partial(_derivatives, equations, names))


def derivatives(equations: Equations, names: tuple[str, ...], x: np.ndarray, point: Mapping[str, np.ndarray]) -> Derivatives:
    """Derivatives at the states ``x (state, region)``, in float64; ``names`` are the states and outputs that are read."""
    with jax.enable_x64(True):
        found = _compiled(equations, names)(jnp.asarray(x), {k: jnp.asarray(v) for k, v in point.items()})
        return jax.tree.map(np.asarray, found)


def _derivatives(equations: Equations, names: tuple[str, ...], x: jax.Array, p: Mapping[str, Any]) -> Derivatives:
    model, shape = bound(equations.model, "", dict(p)), (equations.regions, 1)
    s = {name: x[i][:, None] for i, name in enumerate(equations.states)}
    u = {i.name: jnp.broadcast_to(p[f"{INPUTS}.{i.name}"], shape) for i in model.inputs}
    past = {q.name: s[q.state] for q in model.past}
    channels = {}
    for path, blank in equations.couplings:
        coupling = bound(blank, f"{path}.", dict(p))
        weights = p[f"{path}.{WEIGHTS}"]
        strength = weights.sum(axis=1, keepdims=True)

        def source(now: dict[str, Any], name: str = coupling.source) -> Any:
            return now[name] if name in now else getattr(model, name)(SimpleNamespace(**now), None)

        own = jnp.broadcast_to(source(s), shape)
        sent, sent_by = jax.jvp(coupling.pre, (own,), (jnp.ones_like(own),))
        several = isinstance(sent, tuple)
        parts = [jnp.broadcast_to(v, shape) for v in (sent if several else (sent,))]
        slopes = [jnp.broadcast_to(v, shape) for v in (sent_by if several else (sent_by,))]
        totals = [weights @ v for v in parts]

        def post(own: Any, *totals: Any, coupling: Any = coupling, several: bool = several, strength: Any = strength) -> Any:
            return jnp.broadcast_to(coupling.post(totals if several else totals[0], own, strength), shape)

        zeros, one = [jnp.zeros(shape) for _ in totals], jnp.ones(shape)
        current, by_own = jax.jvp(post, (own, *totals), (one, *zeros))
        gain = jnp.zeros_like(weights)
        for k, slope in enumerate(slopes):
            _, by_total = jax.jvp(post, (own, *totals), (jnp.zeros(shape), *zeros[:k], one, *zeros[k + 1 :]))
            gain = gain + by_total * weights * slope.T
        channels[path] = (_columns(lambda v: {"": source(v)}, s, shape)[:, 0], gain, by_own[:, 0])
        u[coupling.target] = u[coupling.target] + current
    scale = per_ms(model)

    def rates(now: dict[str, Any], then: dict[str, Any], arriving: dict[str, Any]) -> dict[str, Any]:
        made = model.drift(SimpleNamespace(**now, **then), SimpleNamespace(**arriving))
        return {n: scale * jnp.asarray(made[n]) for n in equations.states}

    readouts = {}
    for name in names:

        def read(now: dict[str, Any], arriving: dict[str, Any], name: str = name) -> dict[str, Any]:
            return {"": now[name] if name in now else getattr(model, name)(SimpleNamespace(**now), SimpleNamespace(**arriving))}

        value = jnp.broadcast_to(read(s, u)[""], shape)[:, 0]
        by_states = _columns(functools.partial(_swapped, read, u), s, shape)[:, 0]
        by_inputs = _columns(functools.partial(read, s), u, shape)[:, 0]
        readouts[name] = (value, by_states, by_inputs)
    return Derivatives(
        _columns(lambda v: rates(v, past, u), s, shape),
        _columns(lambda v: rates(s, past, v), u, shape),
        _columns(lambda v: rates(s, v, u), past, shape) if past else jnp.zeros((equations.regions, len(s), 0)),
        readouts,
        channels,
    )


def _swapped(function: Callable[[Any, Any], Any], second: Any, first: Any) -> Any:
    """The function with its second argument given."""
    return function(first, second)


def _columns(function: Callable[[dict[str, Any]], dict[str, Any]], at: dict[str, Any], shape: tuple[int, int]) -> Any:
    """Derivatives ``(region, result, argument)`` of results by arguments of the same region."""

    def stacked(values: dict[str, Any]) -> Any:
        return jnp.stack([jnp.broadcast_to(v, shape)[:, 0] for v in function(values).values()], axis=1)

    columns = []
    for name, value in at.items():
        _, column = jax.jvp(lambda v, name=name: stacked({**at, name: v}), (value,), (jnp.ones_like(value),))
        columns.append(column)
    return jnp.stack(columns, axis=2)
