"""What a run will take, before anything runs."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import xarray as xr

from xmass.core.signal import contracted, raw_key
from xmass.labelled.execute import cores, execute, tiles_of
from xmass.labelled.monitors import Monitors
from xmass.labelled.resolve import Config, Request, Resolved, resolve
from xmass.scale.chunks import boxes, chunk_sizes, default_chunks, runs_of, template

_MEASURED_SECONDS = 0.3


class Configured(Protocol):
    """What has the configuration of a run: a Simulator."""

    @property
    def config(self) -> Config:
        """System, time step and scheme."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes and costs of a run. Bytes are bytes, times are seconds."""

    sizes: dict[str, int]
    """Runs along each run dim."""
    runs: int
    steps: int
    regions: int
    connectomes: int
    tile: int
    """Runs that are computed together."""
    tiles: int
    padding: float
    """Part of the computed runs that only fill tiles."""
    compilations: int
    nbytes: dict[str, int]
    """Size of the result, per variable."""
    chunk: dict[str, int]
    """Runs per chunk along each run dim."""
    chunks: int
    chunk_nbytes: int
    """Size of the largest chunk, before compression."""
    memory: int
    """Estimated peak of the arrays of a stored or lazy run, all cores busy; a run in memory adds the result."""
    workers: int
    seconds: float | None = None
    """Predicted wall time on this machine, if measured."""
    compile_seconds: float | None = None

    @property
    def total_nbytes(self) -> int:
        """Size of the result."""
        return sum(self.nbytes.values())

    def __repr__(self) -> str:
        over = " x ".join(f"{d}={n}" for d, n in self.sizes.items())
        each = ", ".join(f"{n} {_bytes(b)}" for n, b in self.nbytes.items())
        size = " x ".join(f"{d}={n}" for d, n in self.chunk.items())
        measured = "measure=True predicts it"
        if self.seconds is not None and self.compile_seconds is not None:
            measured = f"{in_seconds(self.seconds)} on {self.workers} cores, after {in_seconds(self.compile_seconds)} of compiling"
        rows = {
            "runs": f"{self.runs}" + (f" ({over})" if over else "") + f" of {self.steps} steps, {_count(self.regions, 'region')}",
            "tiles": f"{self.tiles} of {self.tile} runs, {self.padding:.0%} padding, {_count(self.connectomes, 'connectome')}",
            "compilations": f"{self.compilations}",
            "result": f"{_bytes(self.total_nbytes)} ({each})",
            "chunks": f"{self.chunks}" + (f" of {size}" if size else "") + f", {_bytes(self.chunk_nbytes)} each",
            "memory": f"about {_bytes(self.memory)} on {self.workers} cores, beside the result where that is kept in memory",
            "time": measured,
        }
        return "\n".join(["Plan", *(f"  {name:<13} {text}" for name, text in rows.items())])


def plan(
    sim: Configured,
    duration: Any,
    params: xr.Dataset | None = None,
    *,
    monitors: Monitors = None,
    transient: Any = 0.0,
    sample_every: Any = None,
    batch_size: int | None = None,
    seed: Any = None,
    inputs: Mapping[str, Any] | None = None,
    initial: Any = None,
    restart: bool = False,
    chunks: Mapping[str, int] | None = None,
    measure: bool = False,
) -> Plan:
    """Say what a run will take, without running it.

    Parameters
    ----------
    sim : Simulator
        The simulator that would run.
    duration, params, monitors, transient, sample_every, batch_size, seed, inputs, initial, restart
        As for ``sim.run``; everything is checked as there.
    chunks : mapping of str to int, optional
        Runs per chunk along run dims; by default those that ``run_to_zarr`` would take.
    measure : bool
        Run a tile per core for less than a second, and predict the wall time.

    Returns
    -------
    Plan
        Runs, tiles, padding, bytes of every variable and of a chunk, memory, and if measured the time.

    Raises
    ------
    ValueError, KeyError, TypeError
        For anything that ``sim.run`` would refuse.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1)
    >>> xm.plan(sim, 100.0, xr.Dataset({"a": ("a", np.linspace(-0.2, 0.4, 40))}), monitors=["x"], chunks={"a": 20})
    Plan
      runs          40 (a=40) of 1000 steps, 1 region
      tiles         4 of 16 runs, 38% padding, 0 connectomes
      compilations  1
      result        160 kB (x 160 kB)
      chunks        2 of a=20, 80 kB each
      memory        about ... beside the result where that is kept in memory
      time          measure=True predicts it
    """
    request = Request(duration, params, monitors, transient, sample_every, batch_size, seed, inputs, initial, restart)
    resolved = resolve(sim.config, request)
    chunk = default_chunks(resolved) if chunks is None else chunk_sizes(resolved, chunks)
    grid = boxes(resolved.sizes, chunk)
    width = resolved.program.width
    tiles = sum(len(tiles_of(resolved, runs_of(resolved, box))) for box in grid.values())
    nbytes = {str(n): v.nbytes for n, v in template(resolved, {}).data_vars.items()}
    chunk_nbytes = int(sum(nbytes.values()) / max(resolved.runs, 1) * math.prod(chunk.values()))
    workers = max(min(cores(), tiles), 1)
    seconds, compile_seconds = _measured(resolved, tiles, workers) if measure else (None, None)
    return Plan(
        sizes=dict(resolved.sizes),
        runs=resolved.runs,
        steps=resolved.stop - resolved.start,
        regions=resolved.program.regions,
        connectomes=resolved.structures.count if resolved.structures is not None else 0,
        tile=width,
        tiles=tiles,
        padding=1.0 - resolved.runs / max(tiles * width, 1),
        compilations=1,
        nbytes=nbytes,
        chunk=chunk,
        chunks=len(grid),
        chunk_nbytes=chunk_nbytes,
        memory=_structure_bytes(resolved) + workers * tile_bytes(resolved) + 2 * min(workers, len(grid)) * chunk_nbytes,
        workers=workers,
        seconds=seconds,
        compile_seconds=compile_seconds,
    )


def tile_bytes(resolved: Resolved) -> int:
    """Bytes of the arrays that one tile works on: series of one call, tapes, draws, histories, observers, stimuli."""
    program = resolved.program
    steps, row = program.segment, program.regions * program.width
    item = np.dtype(program.dtype).itemsize
    call = program.segments * steps
    nodes = program.nodes
    series = sum((max(call // nodes[i].period, 1) + 2) * (nodes[i].entries or program.regions) for i in program.recorded)
    held = [(n.entries_in or program.regions, o) for n, o in zip(nodes, resolved.graph.observations, strict=True)]
    series += sum(entries * (n.timing.frame + o.memory(entries)) for n, (entries, o) in zip(nodes, held, strict=True))
    rows = -(-series // program.regions) + len(program.tapes) * steps + 4 * len(program.model.states)
    if program.delay is not None:
        rings = {raw_key(link.coupling.source) for link in program.delayed} | {key for key, _ in contracted(program)}
        rows += program.delay.row * len(rings)
    rows += program.history * len(program.remembered)
    draws = 2 * len(program.noises) * steps * 4
    return row * (rows * item + draws) + len(program.stimuli) * call * row * (item + 8)


def _structure_bytes(resolved: Resolved) -> int:
    """Connectomes as they are kept, and one on the device."""
    structures = resolved.structures
    if structures is None:
        return 0
    size = 0
    for wiring in structures.projections:
        size += wiring.weights.nbytes
        if wiring.plan is not None:
            size += sum(_nbytes(level) for level in wiring.plan.arrays)
            size += sum(u.nbytes for u in wiring.plan.undelayed or ())
    return size + size // max(structures.count, 1)


def _nbytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value
    return sum(_nbytes(v) for v in parts)


def _measured(resolved: Resolved, tiles: int, workers: int) -> tuple[float, float]:
    """Predicted seconds of all tiles, and those of the first short call, which compiles."""
    width, own = resolved.program.width, tiles_of(resolved, np.arange(resolved.runs))[:workers]
    some = np.unique(np.concatenate(own))
    used = len(tiles_of(resolved, some))
    steps = resolved.stop - resolved.start
    length = min(resolved.program.segment, steps)
    compiling = _timed(resolved, some[:width], length, 1)
    while True:
        elapsed = _timed(resolved, some, length, workers)
        if elapsed > _MEASURED_SECONDS or length >= steps:
            return elapsed / length * steps * tiles / used, max(compiling - elapsed, 0.0)
        length = min(length * 4 if elapsed < _MEASURED_SECONDS / 4 else length * 2, steps)


def _timed(resolved: Resolved, runs: np.ndarray, steps: int, threads: int) -> float:
    """Seconds of a shorter run: the same program, which takes its end as an argument."""
    short = dataclasses.replace(resolved, stop=resolved.start + steps, keep=resolved.start)
    began = time.perf_counter()
    execute(short, runs, threads=threads)
    return time.perf_counter() - began


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def in_seconds(seconds: float) -> str:
    """A time as text."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")
