"""From a Simulator and a parameter Dataset to linear networks: one for each point of what the equations, noises and delays read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.analysis.linear_blocks import Channel, Edges, Entry, Linear, Memory, Readout, derivatives
from xmass.analysis.linear_noise import density
from xmass.analysis.linear_rest import rest_points
from xmass.analysis.rates import INPUTS, Systems, systems_of
from xmass.core.model import declared_parameters, noise_fields
from xmass.core.noise import OUProcess
from xmass.labelled.inputs import Drive
from xmass.labelled.network import Network
from xmass.labelled.parameters import Spec, node_of
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import DISTANCES, INITIAL, LAG, REGION, SPEED, WEIGHTS
from xmass.labelled.suggest import nearest
from xmass.labelled.values import Dims, Value, to_value
from xmass.simulator import Simulator

DelayRule = Literal["exact", "simulator"]


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Every point of a twin: the fixed points, and how to make the linear network of each."""

    resolved: Resolved
    systems: Systems
    sizes: dict[str, int]
    """Dims that anything reads, with their lengths."""
    rest: np.ndarray
    """Fixed points ``(systems, size)``, NaN where there is none."""
    rule: DelayRule

    @property
    def count(self) -> int:
        return int(np.prod(tuple(self.sizes.values()), dtype=np.int64))

    @property
    def regions(self) -> int:
        return len(self.resolved.config.regions)

    def position(self, run: int) -> dict[str, int]:
        """Where a point is along the dims."""
        return dict(zip(self.sizes, (int(i) for i in np.unravel_index(run, tuple(self.sizes.values())) if self.sizes), strict=True))

    def states(self, run: int) -> np.ndarray:
        """The fixed point ``(state, region)``."""
        at, sizes = self.position(run), {d: n for d, n in self.systems.sizes.items() if d != REGION}
        first = int(np.ravel_multi_index(tuple(at[d] for d in sizes), tuple(sizes.values()))) if sizes else 0
        states = len(self.systems.equations.states)
        if self.systems.bank:
            return self.rest.reshape(-1, self.regions, states)[first].T
        return self.rest[first].reshape(states, self.regions)

    def numbers(self, path: str, run: int) -> np.ndarray:
        """A parameter ``(region,)``, or a matrix ``(region, region)``."""
        return self._taken(self.resolved.values[path], run)

    def _taken(self, value: Value, run: int) -> np.ndarray:
        found = value.take(self.sizes, np.array([run]))[0]
        return np.broadcast_to(found, (self.regions,)) if found.ndim < 2 else found

    def linear(self, run: int, names: tuple[str, ...]) -> Linear:
        """The network around its fixed point; ``names`` are the states and outputs that are read."""
        model, system = self.systems.equations.model, self.resolved.config.system
        couplings = system.couplings if isinstance(system, Network) else {}
        point = {d.name: self.numbers(d.name, run)[:, None] for d in declared_parameters(type(model))}
        point |= {f"{INPUTS}.{i.name}": np.zeros((self.regions, 1)) for i in model.inputs}
        for drive in self.resolved.stimuli:
            assert drive.value is not None
            point[f"{INPUTS}.{drive.name}"] = self._taken(drive.value, run)[:, None]
        for path, coupling in couplings.items():
            assert isinstance(system, Network)
            point |= {f"{path}.{d.name}": self.numbers(f"{path}.{d.name}", run)[:, None] for d in declared_parameters(type(coupling))}
            given = self.numbers(system.prefix_of(path) + WEIGHTS, run)
            point[f"{path}.{WEIGHTS}"] = np.asarray(coupling.weighting(given), dtype=np.float64)
        equations = dataclasses.replace(self.systems.equations, regions=self.regions)
        made = derivatives(equations, names, self.states(run), point)
        inputs = [i.name for i in model.inputs]
        enters = {name: made.inputs[:, :, k] for k, name in enumerate(inputs)}
        channels = tuple(
            Channel(coupling.target, enters[coupling.target], source, self._edges(path, gain, run), own)
            for (path, coupling), (source, gain, own) in zip(couplings.items(), made.channels.values(), strict=True)
        )
        states = list(equations.states)
        memories = tuple(
            Memory(q.name, states.index(q.state), made.past[:, :, k], self._rounded(self.numbers(q.delay, run)))
            for k, q in enumerate(model.past)
        )
        entries = []
        for path, target, process in noise_fields(node_of(system)):
            values = {d.name: self.numbers(f"{path}.{d.name}", run) for d in declared_parameters(type(process))}
            shape = density(path, process, values, self.resolved.config.dt)
            entries.append(Entry(path, target, process.white, enters[target], shape, self.resolved.roots.get(path)))
        readouts = tuple(
            Readout(n, value, by_states, {name: by_inputs[:, k] for k, name in enumerate(inputs)})
            for n, (value, by_states, by_inputs) in ((n, made.readouts[n]) for n in names)
        )
        return Linear(made.local, channels, memories, tuple(entries), readouts)

    def _rounded(self, delay: np.ndarray) -> np.ndarray:
        dt = self.resolved.config.dt
        return np.rint(delay / dt) * dt if self.rule == "simulator" else delay

    def _edges(self, path: str, gain: np.ndarray, run: int) -> tuple[Edges, ...]:
        """Edges with their delays: length by speed, or the steps that a run takes for them."""
        system, dt = self.resolved.config.system, self.resolved.config.dt
        assert isinstance(system, Network)
        prefix = system.prefix_of(path)
        if prefix + SPEED not in self.resolved.values:
            return (Edges(gain, np.zeros_like(gain)),)
        delay = self.numbers(prefix + DISTANCES, run) / self.numbers(prefix + SPEED, run)[0]
        if self.rule == "exact":
            return (Edges(gain, delay),)
        steps = delay / dt
        if system.delays == "nearest":
            return (Edges(gain, np.rint(steps) * dt),)
        if system.delays == "ceil":
            return (Edges(gain, np.ceil(np.round(steps, 9)) * dt),)
        lower = np.floor(steps + 1e-9)
        part = np.clip(steps - lower, 0.0, 1.0)
        return (Edges(gain * (1.0 - part), lower * dt), Edges(gain * part, (lower + 1.0) * dt))


def twin_points(sim: Simulator, resolved: Resolved, near: Mapping[str, Any] | None, rule: DelayRule) -> Points:
    """Find the fixed point of every system."""
    resolved = _with_means(resolved)
    systems = _with_starts(systems_of(sim, resolved), resolved)
    read = {p: v for p, v in resolved.values.items() if not p.startswith(f"{INITIAL}.")}
    values = [*read.values(), *(s.value for s in resolved.stimuli if s.value is not None)]
    sizes = {d: n for d, n in resolved.sizes.items() if d in systems.sizes or any(d in v.dims for v in values)}
    rest, _ = rest_points(systems, _start(resolved, systems, near))
    return Points(resolved, systems, sizes, rest, rule)


def _start(resolved: Resolved, systems: Systems, near: Mapping[str, Any] | None) -> np.ndarray:
    """Where the fixed point is looked for ``(systems, size)``: where a run would start, or what is given."""
    eq = systems.equations
    columns = {n: np.broadcast_to(systems.start[n], (systems.count, eq.regions)) for n in eq.states}
    units = {s.name: s.unit for s in eq.model.states}
    for name, raw in (near or {}).items():
        if name not in units:
            raise KeyError(f"near has {name!r}, which is no state{nearest(name, list(units))}")
        other = [str(d) for d in raw.dims if d != REGION] if isinstance(raw, xr.DataArray) else []
        if other:
            raise ValueError(
                f"near[{name!r}] has the dim {other[0]!r}, needs one number for each region or for all. For another start at each point "
                f"give params the variable 'initial.{name}'."
            )
        value = to_value(raw, Spec(f"near[{name!r}]", raw, units[name], ""), Dims(), resolved.config.regions)
        rows = np.broadcast_to(value.array, (len(resolved.config.regions),))
        columns[name] = np.tile(rows, systems.count // len(rows))[:, None] if systems.bank else np.broadcast_to(rows, columns[name].shape)
    return np.stack([columns[n] for n in eq.states], axis=1).reshape(systems.count, eq.size)


def _with_starts(systems: Systems, resolved: Resolved) -> Systems:
    """A system for each start as well, where initial values have dims that no equation reads."""
    given = {s.name: resolved.values.get(f"{INITIAL}.{s.name}") for s in systems.equations.model.states}
    starts = {n: v for n, v in given.items() if v is not None and LAG not in v.inner}
    known = {d: n for d, n in systems.sizes.items() if d != REGION}
    sizes = {d: n for d, n in resolved.sizes.items() if d in known or any(d in v.dims for v in starts.values())}
    if sizes == known:
        return systems
    runs, regions = np.arange(int(np.prod(tuple(sizes.values()), dtype=np.int64))), len(resolved.config.regions)
    at = dict(zip(sizes, np.unravel_index(runs, tuple(sizes.values())), strict=True))
    rows = np.ravel_multi_index(tuple(at[d] for d in known), tuple(known.values())) if known else np.zeros_like(runs)
    rows = (rows[:, None] * regions + np.arange(regions)).reshape(-1) if systems.bank else rows
    start = {n: v[rows] if len(v) > 1 else v for n, v in systems.start.items()}
    for name, value in starts.items():
        taken = value.take(sizes, runs)
        taken = np.broadcast_to(taken.reshape(len(taken), -1), (len(runs), regions))
        start[name] = taken.reshape(-1, 1) if systems.bank else taken
    own = {path: v[rows] for path, v in systems.own.items()}
    return dataclasses.replace(systems, own=own, start=start, sizes={**sizes, REGION: regions} if systems.bank else sizes)


def _with_means(resolved: Resolved) -> Resolved:
    """The mean of a noise is a constant input, and shifts the fixed point."""
    stimuli = {s.name: s for s in resolved.stimuli}
    for path, target, process in noise_fields(node_of(resolved.config.system)):
        mean = resolved.values.get(f"{path}.mean") if isinstance(process, OUProcess) else None
        if mean is None or not mean.array.any():
            continue
        drive = stimuli.get(target)
        if drive is not None and drive.value is None:
            continue  # varies in time, which is refused with its name
        total = mean if drive is None or drive.value is None else _sum(drive.value, mean, resolved)
        stimuli[target] = dataclasses.replace(drive, value=total) if drive is not None else Drive(target, value=total)
    return dataclasses.replace(resolved, stimuli=tuple(stimuli.values()))


def _sum(a: Value, b: Value, resolved: Resolved) -> Value:
    """The sum over the dims of both."""
    dims = tuple(d for d in resolved.sizes if d in a.dims or d in b.dims)
    inner = a.inner or b.inner
    arrays = [xr.DataArray(v.array, dims=(*v.dims, *v.inner)) for v in (a, b)]
    return Value(dims, (arrays[0] + arrays[1]).transpose(*dims, *inner).values, inner)
