"""A run that can be differentiated: the same steps and observers as :mod:`xmass.core.engine`, in loops of fixed length.

What a derivative needs of a run is its states in reverse order. The segments are cut into stretches, the state at the start of each
stretch is saved, and the stretch is simulated again when its turn comes, so memory grows with the square root of the number of steps.
Stretches of which every step is saved, where memory allows, need not be simulated again.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core import adjoint, engine, stretches
from xmass.core.program import Carry, Program
from xmass.core.signal import contracted


class Simulated(NamedTuple):
    """Results of a tile of runs, run axis last."""

    series: dict[int, jax.Array]
    """Of each recorded node ``(row, entry, run)``: the samples after the transient."""
    reductions: dict[int, jax.Array]
    states: dict[str, jax.Array]
    finite: jax.Array
    """Which runs have only finite numbers ``(run,)``."""


class _Span(NamedTuple):
    """Segments ``first`` to ``first + segments``, each from step ``lo`` to ``hi`` of itself."""

    first: int
    segments: int
    lo: int
    hi: int


class _Part(NamedTuple):
    """Rows ``(stretch, row, entry, run)`` of the recorded series, from stretches of ``segments`` of which the first is ``first``."""

    first: int
    segments: int
    rows: dict[int, jax.Array]


def simulate(
    program: Program,
    args: dict,
    initial: dict,
    *,
    start: int,
    stop: int,
    keep: int,
    memory: float | None = None,
    window: int | None = None,
    forward: bool = False,
) -> Simulated:
    """The runs of a tile from absolute step ``start`` to ``stop``, as a function that JAX can trace and differentiate.

    Parameters
    ----------
    program, args, initial
        As :func:`xmass.core.engine.advance` and :func:`xmass.core.engine.initialise` take them; ``args["stimulus"]`` covers all segments
        from the one that holds ``start``: ``(step, region, run)`` by name.
    start, stop, keep : int
        Absolute steps: first, last plus one, and the end of the transient.
    memory : float, optional
        Bytes that what is saved for a derivative may take; what is saved need not be simulated again. By default as little as possible,
        which grows with the square root of the number of segments.
    window : int, optional
        Truncated derivative: what happened more than about this many steps ago counts as given. States and histories are cut at the end of
        the segment that completes each window; observers are not cut.
    forward : bool
        For derivatives in forward mode (``jax.jvp``, ``jax.jacfwd``), which the faster reverse mode excludes.

    Returns
    -------
    Simulated
        As from :mod:`xmass.core.engine`, to rounding.
    """
    k = program.segment
    carry = engine.initialise(program, {n: v for n, v in args.items() if n != "stimulus"}, initial)
    origin = start // k
    short = (-(-stop // k) - origin) * k
    args = {**args, "stimulus": {n: _padded(v, short) for n, v in args["stimulus"].items()}}
    made: list[_Part] = []
    plan = None if program.remembered or window is not None or forward else adjoint.transpose(program, args["projections"])
    if plan is not None:
        carry = stretches.compact(program, carry, jnp.int32(start))
        for span in _spans(start, stop, k):
            for turns in _turns(program, carry, span, memory):
                carry, rows = stretches.run(program, plan, turns, origin, keep)(carry, args)
                made.append(_Part(turns.first, turns.segments, rows))
        carry = stretches.whole(program, carry, jnp.int32(stop))
    else:
        take = functools.partial(_stretch, program, args, origin=origin, keep=keep, window=window)
        for span in _spans(start, stop, k):
            carry, parts = _run(take, carry, span, _checkpoints(program, carry, span, memory))
            made += parts
    ended = engine.finish(program, carry, {n: v for n, v in args.items() if n != "stimulus"}, jnp.int32(stop))
    return Simulated(
        {i: _samples(made, i, program.nodes[i].period, k, stop, keep) for i in program.recorded},
        {int(i): v for i, v in ended["reductions"].items()},
        ended["states"],
        ended["finite"],
    )


def _spans(start: int, stop: int, k: int) -> list[_Span]:
    """A part of a segment, whole segments, a part of a segment."""
    first, last = -(-start // k), stop // k
    if first > last:
        return [_Span(last, 1, start - last * k, stop - last * k)]
    spans = [_Span(first - 1, 1, start - (first - 1) * k, k)] if start % k else []
    spans += [_Span(first, last - first, 0, k)] if last > first else []
    return spans + ([_Span(last, 1, 0, stop - last * k)] if stop % k else [])


def _padded(rows: jax.Array, steps: int) -> jax.Array:
    """At least ``steps`` rows: those of the last segment that lie beyond the run are not used."""
    missing = max(steps - rows.shape[0], 0)
    return jnp.pad(rows, ((0, missing), (0, 0), (0, 0))) if missing else rows


# ------------------------------------------------------------------------------------------------------------------ checkpoints
class _Checkpoints(NamedTuple):
    """Segments in a stretch, and whether stretches and segments are simulated again for a derivative."""

    length: int
    stretches: bool
    segments: bool


_INTERMEDIATES = 12
"""About how many numbers a derivative needs of a step, for each state of a region."""


def _checkpoints(program: Program, carry: Carry, span: _Span, memory: float | None) -> _Checkpoints:
    """Where to save: everything where memory allows, else the start of each segment, else stretches of about the root of their number."""
    count = span.segments
    if memory is not None:
        size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(carry))
        state = program.regions * program.width * jnp.dtype(program.dtype).itemsize * len(program.model.states)
        steps = _INTERMEDIATES * program.segment * state
        if count * (size + steps) <= memory:
            return _Checkpoints(count, False, False)
        if count * size + steps <= memory:
            return _Checkpoints(count, False, True)
    if count <= 3:
        return _Checkpoints(count, False, True)
    root = math.isqrt(count)
    near = [m for m in range(max(root // 2, 1), 2 * root + 1) if count % m == 0]
    return _Checkpoints(min(near, key=lambda m: abs(m - root), default=root), True, True)


def _turns(program: Program, carry: Carry, span: _Span, memory: float | None) -> list[stretches.Turns]:
    """The stretches of a span: as many segments in each as make what is saved least, and as many of them kept as memory allows."""
    count = span.segments
    item = program.regions * program.width * jnp.dtype(program.dtype).itemsize
    start = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(carry))
    outputs = sum(name not in carry.states for name in program.tapes)
    step = item * (len(program.model.states) + len(contracted(program)) + outputs + len(jax.tree.leaves(carry.coloured)))
    segment = 2 * program.segment * step  # as saved, and about as much for what arrives and what is observed
    times = max(round(count / max(math.sqrt(count * start / segment), 1.0)), 1)
    length = -(-count // times)
    times, rest = divmod(count, length)
    spare = 0.0 if memory is None else memory - times * start - length * segment
    kept = min(max(int(spare / (length * program.segment * step)), 0), times)
    first, made = span.first, []
    for segments, turns, keep in ((length, times - kept, False), (length, kept, True), (rest, 1, kept == times)):
        if segments and turns:
            made.append(stretches.Turns(first, segments, turns, span.lo, span.hi, keep))
            first += segments * turns
    return made


def _run(take: Any, carry: Carry, span: _Span, plan: _Checkpoints) -> tuple[Carry, list[_Part]]:
    """All segments of a span, stretch by stretch."""
    turns, rest = divmod(span.segments, plan.length)
    parts = []
    for first, count, times in ((span.first, plan.length, turns), (span.first + turns * plan.length, rest, 1)):
        body = functools.partial(take, count=count, lo=span.lo, hi=span.hi, again=plan.segments)
        if count and times:
            turn = jax.checkpoint(body, prevent_cse=False) if plan.stretches else body
            carry, rows = lax.scan(turn, carry, first + count * np.arange(times, dtype=np.int32))
            parts.append(_Part(first, count, rows))
    return carry, parts


# ------------------------------------------------------------------------------------------------------------------ segments
def _stretch(
    program: Program,
    args: dict,
    carry: Carry,
    first: jax.Array,
    *,
    count: int,
    lo: int,
    hi: int,
    origin: int,
    keep: int,
    window: int | None,
    again: bool,
) -> tuple[Carry, dict[int, jax.Array]]:
    """Some segments one after the other; the rows of each recorded series that are due in them."""
    k = program.segment

    def segment(carry: Carry, given: tuple[jax.Array, dict]) -> tuple[Carry, dict[int, jax.Array]]:
        number, stimulus = given
        return _segment(program, {**args, "stimulus": stimulus}, carry, number * jnp.int32(k), lo, hi, keep, window)

    body = jax.checkpoint(segment, prevent_cse=False) if again else segment
    place = (first - jnp.int32(origin)) * jnp.int32(k)
    stimulus = {n: lax.dynamic_slice_in_dim(v, place, count * k) for n, v in args["stimulus"].items()}
    numbers = first + np.arange(count, dtype=np.int32)
    carry, made = lax.scan(body, carry, (numbers, {n: v.reshape(count, k, *v.shape[1:]) for n, v in stimulus.items()}))
    return carry, {i: engine.due(rows, program.nodes[i].period, k, first) for i, rows in made.items()}


def _segment(
    program: Program, args: dict, carry: Carry, t0: jax.Array, lo: int, hi: int, keep: int, window: int | None
) -> tuple[Carry, dict[int, jax.Array]]:
    """One segment from absolute step ``t0``, as the engine takes it."""
    k = program.segment
    if window is not None:
        carry = _cut(carry, (t0 // window) != ((t0 - k) // window))
    dtype = jnp.dtype(program.dtype)
    tapes = {name: jnp.zeros((k, program.regions, program.width), dtype) for name in program.tapes}
    states, rings, coloured, tapes = engine.take_steps(program, args, carry, tapes, t0, 0, lo, hi)
    observers, blocks = engine.observe(program, args, carry.observers, tapes, t0, lo, hi, keep)
    return Carry(states, rings, coloured, observers), {i: block.values.astype(dtype) for i, block in blocks.items()}


def _cut(carry: Carry, where: jax.Array) -> Carry:
    """The states, what they left behind and their noises as given numbers, where a window ends."""
    cut = jax.tree.map(lambda x: jnp.where(where, lax.stop_gradient(x), x), carry._replace(observers=()))
    return cut._replace(observers=carry.observers)


def _samples(parts: list[_Part], node: int, period: int, k: int, stop: int, keep: int) -> jax.Array:
    """The samples after the transient of a series that was made stretch by stretch."""
    wanted = np.arange(keep // period + 1, stop // period + 1)
    segment = (wanted * period - 1) // k
    places = np.full(len(wanted), -1)
    every, offset = [], 0
    for part in parts:
        rows = part.rows[node]
        turn = (segment - part.first) // part.segments
        place = offset + turn * rows.shape[1] + wanted - (part.first + turn * part.segments) * k // period - 1
        places = np.where((turn >= 0) & (turn < len(rows)), place, places)
        every.append(rows.reshape(-1, *rows.shape[2:]))
        offset += rows.shape[0] * rows.shape[1]
    return jnp.concatenate(every)[places]
