"""Run tiles: arrays in and out of the compiled program, on several threads, with progress and interruption."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core import engine
from xmass.core.kernel import all_ones
from xmass.core.model import NeuralMass, Uniform, noise_fields
from xmass.core.observe import noise_stream
from xmass.labelled.epochs import stretches
from xmass.labelled.initial import history_of
from xmass.labelled.parameters import carried_path, node_of
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import INITIAL, LAG
from xmass.labelled.values import Value

Report = Callable[[int], None]
_COPIED = 80_000
"""Numbers that are copied into a result at a time, so that the runs of a tile are taken apart within the cache."""


class Arrays(NamedTuple):
    """Results of some runs, run axis first: series ``(run, time, region)`` and reductions by node, end states, and finiteness."""

    series: dict[int, np.ndarray]
    reductions: dict[int, np.ndarray]
    end: dict[str, np.ndarray]
    finite: np.ndarray


class Cancelled(Exception):
    """The run was interrupted from another thread."""


def tiles_of(resolved: Resolved, runs: np.ndarray) -> list[np.ndarray]:
    """Cut runs into tiles of one connectome each, the last of each padded by repeating its last run."""
    width = resolved.program.width
    structure = resolved.structures.of_runs(resolved.sizes, runs) if resolved.structures is not None else np.zeros(len(runs), np.int64)
    tiles = []
    for s in np.unique(structure):
        own = np.flatnonzero(structure == s)
        for first in range(0, len(own), width):
            part = own[first : first + width]
            tiles.append(np.concatenate([part, np.full(width - len(part), part[-1])]) if len(part) < width else part)
    return tiles


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def execute(resolved: Resolved, runs: np.ndarray, *, threads: int | None = None, report: Report | None = None) -> Arrays:
    """Simulate ``runs`` (flat indices over the run dims) and return their arrays in that order."""
    out = _allocate(resolved, len(runs))
    tiles = tiles_of(resolved, runs)
    workers = min(threads or cores(), len(tiles))
    stop = threading.Event()
    cache = _StructureArrays(resolved)
    if workers <= 1:
        for positions in tiles:
            _tile(resolved, runs, positions, out, cache, report, stop)
        return out
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    jobs = [pool.submit(_tile, resolved, runs, positions, out, cache, report, stop) for positions in tiles]
    try:
        for job in concurrent.futures.as_completed(jobs):
            job.result()
    except BaseException:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()
    return out


def sample_range(resolved: Resolved, period: int) -> tuple[int, int]:
    """First and last-plus-one sample number (from 1) of a series with a period in steps."""
    return resolved.keep // period + 1, resolved.stop // period + 1


def _allocate(resolved: Resolved, count: int) -> Arrays:
    dtype = np.dtype(resolved.config.precision)
    regions = resolved.program.regions
    series = {}
    for index in resolved.graph.recorded:
        first, last = sample_range(resolved, resolved.graph.nodes[index].period)
        entries = resolved.graph.nodes[index].entries or regions
        series[index] = np.empty((count, max(last - first, 0), entries), dtype)
    return Arrays(series, {}, {}, np.ones(count, bool))


def _tile(
    resolved: Resolved,
    runs: np.ndarray,
    positions: np.ndarray,
    out: Arrays,
    cache: _StructureArrays,
    report: Report | None,
    stop: threading.Event,
) -> None:
    with jax.enable_x64(resolved.config.precision == "float64"):
        program = resolved.program
        functions = engine.compiled(program, engine.platform())
        members = runs[positions]
        args = _arguments(resolved, members, cache)
        carry = functions.initialise({k: v for k, v in args.items() if k != "stimulus"}, _initial(resolved, members))
        k, i32 = program.segment, np.int32
        for epoch, begin, end in _stretches(resolved):
            args |= cache.get(_structure(resolved, members), epoch)
            first, last = begin // k, -(-end // k)
            while first < last:
                if stop.is_set():
                    raise Cancelled
                count = min(program.segments, last - first)
                args["stimulus"] = _stimulus(resolved, members, first)
                carry, outs = functions.advance(carry, args, i32(first), i32(count), i32(begin), i32(end), i32(resolved.keep))
                for name, values in outs.items():
                    _store(resolved, out.series[int(name)], int(name), np.asarray(values), positions, first, count)
                jax.block_until_ready(carry.states)
                first += count
                if report is not None:
                    report(count * k * len(np.unique(positions)))
        ended = functions.finish(carry, {k: v for k, v in args.items() if k != "stimulus"}, i32(resolved.stop))
        _keep(resolved, out, ended, positions, len(runs))


def _store(resolved: Resolved, target: np.ndarray, index: int, values: np.ndarray, positions: np.ndarray, first: int, count: int) -> None:
    """Copy the samples of one call ``(row, region, run)`` into the result ``(run, time, region)``."""
    k, period = resolved.program.segment, resolved.graph.nodes[index].period
    lowest, highest = sample_range(resolved, period)
    base = first * k // period
    a = max(lowest, base + 1)
    b = min(highest, (first + count) * k // period + 1)
    if b <= a:
        return
    own = _filled(positions)
    rows = max(_COPIED // values[0].size, 1)
    for first_row in range(a, b, rows):
        block = values[first_row - 1 - base : min(first_row + rows, b) - 1 - base]
        for column, position in enumerate(own):
            target[position, first_row - lowest : first_row - lowest + len(block)] = block[:, :, column]


def _filled(positions: np.ndarray) -> np.ndarray:
    """The positions of a tile without those that fill it up: what is returned of a run comes from one column throughout."""
    return positions[: 1 + np.count_nonzero(np.diff(positions))]


_lock = threading.Lock()


def _keep(resolved: Resolved, out: Arrays, ended: dict[str, Any], positions: np.ndarray, count: int) -> None:
    """Copy reductions, end states and finiteness of a tile."""
    found: dict[tuple[str, Any], np.ndarray] = {("reduction", int(i)): np.asarray(v) for i, v in ended["reductions"].items()}
    if resolved.request.restart:
        for name, v in (ended["states"] | ended["history"]).items():
            found["end", f"{INITIAL}.{name}"] = np.asarray(v)
        for path, carried in ended["coloured"].items():
            for name, v in carried.items():
                found["end", carried_path(path, name)] = np.asarray(v)
        for index, observation in enumerate(resolved.graph.observations):
            for name, v in zip(observation.state_names, ended["observers"].get(str(index), ()), strict=False):
                found["end", f"{INITIAL}.{observation.name}.{name}"] = np.asarray(v)
    out.finite[positions] = np.asarray(ended["finite"])
    own = _filled(positions)
    for (kind, key), values in found.items():
        target = out.reductions if kind == "reduction" else out.end
        with _lock:
            if key not in target:
                target[key] = np.empty((count, *values.shape[:-1]), values.dtype)
        target[key][own] = np.moveaxis(values, -1, 0)[: len(own)]


class _StructureArrays:
    """Device arrays of the connectomes, made once each and shared by the tiles that use them."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.lock = threading.Lock()
        self.last: tuple[tuple[int, int], dict[str, Any]] | None = None

    def get(self, structure: int, epoch: int = 0) -> dict[str, Any]:
        """Arguments of all projections, for one connectome and one sample of weights that vary in time."""
        with self.lock:
            if self.last is not None and self.last[0] == (structure, epoch):
                return self.last[1]
            made = self._make(structure, epoch)
            self.last = ((structure, epoch), made)
            return made

    def _make(self, structure: int, epoch: int) -> dict[str, Any]:
        structures, dtype = self.resolved.structures, self.resolved.config.precision
        if structures is None:
            return {"projections": []}
        index = structure * len(structures.starts) + epoch
        projections = []
        for wiring in structures.projections:
            made: dict[str, Any] = {"strength": jnp.asarray(wiring.weights[structure, epoch].sum(axis=1)[:, None], dtype)}
            if wiring.plan is not None:
                made["delayed"] = [
                    {
                        "base": [jnp.asarray(b) for b in level["base"]],
                        "weight": [jnp.asarray(w, dtype) for w in level["weight"]],
                        "inverse": jnp.asarray(level["inverse"]),
                    }
                    for level in wiring.plan.arrays[index]
                ]
            if wiring.kind.undelayed == "dense":
                made["undelayed"] = jnp.asarray(wiring.undelayed[index], dtype)
            elif wiring.kind.undelayed == "sparse":
                rest = wiring.undelayed[index]
                made["undelayed"] = {
                    "source": [jnp.asarray(s) for s in rest["source"]],
                    "weight": [jnp.asarray(w, dtype) for w in rest["weight"]],
                    "inverse": jnp.asarray(rest["inverse"]),
                }
            projections.append(made)
        return {"projections": projections}


def _arguments(resolved: Resolved, members: np.ndarray, cache: _StructureArrays) -> dict[str, Any]:
    """Everything but the stimulus that a tile's program takes."""
    dtype = resolved.config.precision
    args: dict[str, Any] = {"dt": jnp.asarray(resolved.config.dt, dtype)}
    args["ones"] = jnp.asarray(all_ones(dtype))
    args["params"] = {
        path: jnp.asarray(_wide(value.take(resolved.sizes, members), len(members)), dtype)
        for path, value in resolved.values.items()
        if not path.startswith(f"{INITIAL}.") and not resolved.specs[path].matrix and not resolved.specs[path].per_run
    }
    args["constant"] = {
        s.name: jnp.asarray(_wide(s.value.take(resolved.sizes, members), len(members)), dtype)
        for s in resolved.stimuli
        if s.constant and s.value is not None
    }
    args["past"] = {
        p.name: jnp.asarray(
            np.rint(_wide(resolved.values[p.delay].take(resolved.sizes, members), len(members)) / resolved.config.dt), "int32"
        )
        for p in resolved.program.model.past
    }
    args["keys"] = _keys(resolved, members)
    args["roots"] = {path: jnp.asarray(root, dtype) for path, root in resolved.roots.items()}
    return args | cache.get(_structure(resolved, members))


def _structure(resolved: Resolved, members: np.ndarray) -> int:
    """The connectome of a tile."""
    return int(resolved.structures.of_runs(resolved.sizes, members[:1])[0]) if resolved.structures is not None else 0


def _stretches(resolved: Resolved) -> list[tuple[int, int, int]]:
    starts = resolved.structures.starts if resolved.structures is not None else (0,)
    return stretches(starts, resolved.start, resolved.stop)


def _wide(rows: np.ndarray, width: int) -> np.ndarray:
    """A column for each run, also of what does not vary: one program and one rounding, whatever varies."""
    array = columns(rows)
    return np.broadcast_to(array, (array.shape[0], width))


def columns(rows: np.ndarray) -> np.ndarray:
    """``(run, region)`` or ``(run,)`` to ``(region or 1, run)``."""
    return rows.reshape(len(rows), -1).T


def _keys(resolved: Resolved, members: np.ndarray) -> dict[str, jax.Array]:
    model = node_of(resolved.config.system)
    streams = [path for path, _, _ in noise_fields(model)]
    streams += [f"{INITIAL}.{s.name}" for s in model.states if isinstance(s.initial, Uniform)]
    streams += [noise_stream(o) for o in resolved.graph.observations if o.random]
    if not streams or resolved.seeds is None:
        return {}
    seeds = np.atleast_1d(resolved.seeds.take(resolved.sizes, members))
    return {s: jnp.asarray(engine.words(seeds, s)) for s in streams}


def _stimulus(resolved: Resolved, members: np.ndarray, first: int) -> dict[str, jax.Array]:
    program = resolved.program
    count = program.segments * program.segment
    return {
        s.name: jnp.asarray(
            s.rows(resolved.sizes, members, first * program.segment, count, resolved.config.dt, program.regions), resolved.config.precision
        )
        for s in resolved.stimuli
        if not s.constant
    }


def _as_history(value: Value) -> Value:
    """A value that does not depend on the lag, with a lag of one entry."""
    return Value(value.dims, np.expand_dims(value.array, len(value.dims)), (LAG, *value.inner))


def _initial(resolved: Resolved, members: np.ndarray) -> dict[str, Any]:
    """Initial states, histories, coloured noises and observer states of a tile."""
    dtype = resolved.config.precision
    model: NeuralMass = node_of(resolved.config.system)
    found: dict[str, Any] = {"step": jnp.int32(resolved.start), "states": {}, "history": {}, "coloured": {}, "observers": {}}

    def arrays(path: str) -> jax.Array:
        return jnp.asarray(columns(resolved.values[path].take(resolved.sizes, members)), dtype)

    for state in model.states:
        path = f"{INITIAL}.{state.name}"
        if path not in resolved.values:
            assert isinstance(state.initial, Uniform)
            found["states"][state.name] = {"uniform": (jnp.asarray(state.initial.low, dtype), jnp.asarray(state.initial.high, dtype))}
        elif path in resolved.lags:
            count = resolved.program.history
            value, lags = resolved.values[path], resolved.lags[path]
            rows = history_of(value, lags, count, resolved.config.dt, path, resolved.sizes, members)
            past = jnp.asarray(rows.transpose(2, 1, 0), dtype)
            found["history"][state.name] = past
            found["states"][state.name] = {"value": past[:, -1]}
        else:
            found["states"][state.name] = {"value": arrays(path)}
    for name in (n for n in resolved.program.pasts if n not in found["states"] and f"{INITIAL}.{n}" in resolved.values):
        path = f"{INITIAL}.{name}"
        lags = resolved.lags.get(path, np.zeros(1))
        value = resolved.values[path] if path in resolved.lags else _as_history(resolved.values[path])
        count = resolved.program.history if path in resolved.lags else 1
        rows = history_of(value, lags, count, resolved.config.dt, path, resolved.sizes, members)
        found["history"][name] = jnp.asarray(rows.transpose(2, 1, 0), dtype)
    for path, _, process in noise_fields(model):
        if process.carried and all(carried_path(path, name) in resolved.values for name in process.carried):
            found["coloured"][path] = {name: arrays(carried_path(path, name)) for name in process.carried}
    for index, observation in enumerate(resolved.graph.observations):
        paths = [f"{INITIAL}.{observation.name}.{n}" for n in observation.state_names]
        if paths and all(p in resolved.values for p in paths):
            found["observers"][str(index)] = tuple(arrays(p) for p in paths)
    return found
