"""The derivative of a run, backwards in time: what each step did to the next is transposed by hand.

The transposed sum over delayed edges is a sum of the same form: what a region sent at time u was read at time u + d, so its derivative
is the sum of ``weight * m(u + d)`` over the edges that leave it, where ``m`` is the derivative of what arrived. With ``m`` kept in rows
of memory as the history is, this is one contiguous slice per edge and block, by the kernel of the forward run; nothing is scattered.
The derivative of one step alone is JAX's. States and sums of a stretch of steps are saved while it is simulated again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core import delay, driven, engine
from xmass.core.delay import Level
from xmass.core.kernel import one_kernel
from xmass.core.program import Carry, Program
from xmass.core.signal import contracted, sent_values


class Transposed(NamedTuple):
    """One level of a projection with its edges sorted by the region that sends."""

    level: Level
    inverse: np.ndarray
    receiver: list[np.ndarray]
    """Of each group ``(turn, edge, sender)`` the region that receives."""
    place: list[np.ndarray]
    """Where the weight of the edge is among those of the forward groups, one after the other; -1 pads."""


def transpose(program: Program, projections: Sequence[dict]) -> list[list[Transposed]] | None:
    """The edges of every projection by sender; None where that is not known because the delays are traced, without ``sources``."""
    found: list[list[Transposed]] = []
    for kind, arrays in zip(program.projections, projections, strict=True):
        levels: list[Transposed] = []
        if kind.delay is not None:
            for level, own in zip(kind.delay.levels, arrays["delayed"], strict=True):
                if any(isinstance(x, jax.core.Tracer) for x in (*own.get("sources", own["base"]), own["inverse"])):
                    return None
                levels.append(_transposed(program, kind.delay.row, level, own))
        found.append(levels)
    return found


def _transposed(program: Program, row: int, level: Level, arrays: dict) -> Transposed:
    n = program.regions
    order = np.argsort(np.asarray(arrays["inverse"]))
    senders, receivers = [], []
    sources = arrays["sources"] if "sources" in arrays else [_sources(b, row * program.width) for b in arrays["base"]]
    for source, (_, targets) in zip(sources, level.groups, strict=True):
        senders.append(source.ravel())
        receivers.append(np.broadcast_to(order[:targets], source.shape).ravel())
    sender = np.concatenate([*senders, np.empty(0, np.int64)])
    receiver = np.concatenate([*receivers, np.empty(0, np.int64)])
    places = np.flatnonzero(sender >= 0)
    pair = sender[places] * n + receiver[places]
    by_pair = np.argsort(pair, kind="stable")
    places, pair = places[by_pair], pair[by_pair]
    kind = np.arange(len(pair)) - np.searchsorted(pair, pair)  # edges of one pair that differ in their delay, one after the other
    where = np.full((int(kind.max(initial=0)) + 1, n, n), -1)
    where[kind, pair // n, pair % n] = places
    mirrored, (rows, tables) = delay._group(where >= 0, level.block)
    inverse = np.empty(n, np.int32)
    inverse[rows] = np.arange(n, dtype=np.int32)
    place, receives = [], []
    for table in tables:
        k, receiver = np.divmod(np.maximum(table, 0), n)
        found = where[k, rows[: table.shape[2]][None, None, :], receiver]
        place.append(np.where(table >= 0, found, -1).astype(np.int32))
        receives.append(receiver.astype(np.int32))
    return Transposed(mirrored, inverse, receives, place)


def _sources(base: Any, row: int) -> np.ndarray:
    """The region that each edge of a group reads, from the place where it begins to; -1 pads."""
    start = np.asarray(base).astype(np.int64)
    return np.where(start > 0, start // row, -1)


def opaque(*steps: int) -> Any:
    """Steps that the compiler does not know: a kernel of its own (:func:`one_kernel`) must not be called with constants."""
    return lax.optimization_barrier(tuple(jnp.int32(step) for step in steps))


# ------------------------------------------------------------------------------------------------------------------ a stretch
class Stretch(NamedTuple):
    """Sizes of a stretch: ``segments`` of them, each from step ``lo`` to ``hi``."""

    segments: int
    lo: int
    hi: int

    @property
    def steps(self) -> int:
        return self.segments * (self.hi - self.lo)


class Given(NamedTuple):
    """Arguments of a run and those numbers among them that are differentiated, by their place in ``jax.tree.leaves(args)``."""

    args: dict
    varied: dict[int, jax.Array]

    def filled(self, varied: dict[int, jax.Array]) -> dict:
        """The arguments with other numbers in those places."""
        leaves, tree = jax.tree.flatten(self.args)
        return jax.tree.unflatten(tree, [varied.get(i, x) for i, x in enumerate(leaves)])


class Saved(NamedTuple):
    """What a stretch leaves for its derivative, step by step ``(step, region, run)``."""

    states: dict[str, jax.Array]
    """At the start of each step, and at the end of the last."""
    coloured: dict[str, dict[str, jax.Array]]
    sums: dict[tuple[str, int], jax.Array]
    """What arrives at each step; with stages ahead also at the step after the last."""
    following: dict[tuple[str, int], jax.Array]
    """What arrives at the step after the present one."""


def record(program: Program, args: dict, carry: Carry, first: jax.Array, stimulus: dict, sizes: Stretch) -> tuple[Carry, Saved, dict]:
    """Simulate a stretch and save it; also its tapes of outputs ``(segment, step, region, run)``."""
    k, shape = program.segment, (program.regions, program.width)
    dtype = jnp.dtype(program.dtype)

    def zeros(*rows: int) -> jax.Array:
        return jnp.zeros((*rows, *shape), dtype)

    saved = Saved(
        {n: zeros(sizes.steps + 1) for n in carry.states},
        jax.tree.map(lambda _: zeros(sizes.steps), carry.coloured),
        {pair: zeros(sizes.steps + program.ahead) for pair in contracted(program)},
        {pair: zeros() for pair in contracted(program)} if program.ahead else {},
    )

    def segment(loop: tuple[Carry, Saved], given: tuple[jax.Array, jax.Array, dict]) -> tuple[tuple[Carry, Saved], dict]:
        (carry, saved), (index, number, rows) = loop, given
        tapes = {name: zeros(k) for name in program.tapes if name not in carry.states}
        own = {**args, "stimulus": rows}
        lo, hi = opaque(sizes.lo, sizes.hi)
        step = functools.partial(_recorded, place=index * jnp.int32(sizes.hi - sizes.lo) - jnp.int32(sizes.lo))
        states, rings, coloured, (tapes, saved) = engine.take_steps(
            program, own, carry, (lax.optimization_barrier(tapes), saved), number * jnp.int32(k), 0, lo, hi, step
        )
        return (Carry(states, rings, coloured, ()), saved), tapes

    index = lax.iota(jnp.int32, sizes.segments)
    (carry, saved), tapes = lax.scan(segment, (carry._replace(observers=()), saved), (index, first + index, stimulus))
    states = {n: rows.at[sizes.steps].set(carry.states[n]) for n, rows in saved.states.items()}
    sums = {pair: rows.at[sizes.steps].set(saved.following[pair]) if program.ahead else rows for pair, rows in saved.sums.items()}
    return carry, saved._replace(states=states, sums=sums), tapes


def tapes_of(program: Program, saved: Saved, outputs: dict, sizes: Stretch) -> dict[str, jax.Array]:
    """All tapes of a stretch: those of states are what was saved of them."""
    k, tapes = program.segment, dict(outputs)
    for name in program.tapes:
        if name in saved.states:
            rows = saved.states[name][1:]
            rows = rows.reshape(sizes.segments, sizes.hi - sizes.lo, *rows.shape[1:])
            tapes[name] = jnp.pad(rows, ((0, 0), (sizes.lo, k - sizes.hi), (0, 0), (0, 0)))
    return {name: tapes[name] for name in program.tapes}


def _recorded(
    program: Program,
    args: dict,
    draws: dict,
    factors: dict,
    t0: Any,
    offset: Any,
    q: Any,
    loop: tuple,
    sums: dict | None,
    column: Any,
    *,
    place: jax.Array,
) -> tuple:
    """One step that first writes down what it starts from, ``place`` rows further on than its number."""
    states, rings, coloured, (tapes, saved) = loop

    def put(rows: jax.Array, value: jax.Array) -> jax.Array:
        return lax.dynamic_update_index_in_dim(rows, value, q + place, 0)

    def arrived(pair: tuple[str, int], ahead: int) -> jax.Array:
        return lax.dynamic_index_in_dim(sums[pair], column + ahead, 1, keepdims=False)  # type: ignore[index]

    saved = Saved(
        {n: put(rows, states[n]) for n, rows in saved.states.items()},
        jax.tree.map(put, saved.coloured, coloured),
        {pair: put(rows, arrived(pair, 0)) for pair, rows in saved.sums.items()},
        {pair: arrived(pair, 1) for pair in saved.following},
    )
    states, rings, coloured, tapes = engine.take_step(
        program, args, draws, factors, t0, offset, q, (states, rings, coloured, tapes), sums, column
    )
    return states, rings, coloured, (tapes, saved)


# ------------------------------------------------------------------------------------------------------------------ one step
class Ends(NamedTuple):
    """What a step hands on: states, noises, rows of the tapes, and what is sent. Also the derivatives of these."""

    states: dict[str, jax.Array]
    coloured: dict[str, dict[str, jax.Array]]
    tapes: dict[str, jax.Array]
    sent: dict[str, jax.Array]


class Back(NamedTuple):
    """What goes from step to step backwards in time."""

    states: dict[str, jax.Array]
    coloured: dict[str, dict[str, jax.Array]]
    arrivals: dict[tuple[str, int], jax.Array]
    """Derivatives of what arrived ``(region, step, run)``, those of the future."""
    pending: dict[tuple[str, int], jax.Array]
    """With stages ahead: of what arrived at the present step, without what the step before read of it."""
    varied: dict[int, jax.Array]
    factors: dict
    drives: dict[str, jax.Array]


def _step(program: Program, args: dict, factors: dict, row: dict, states: dict, coloured: dict, sums: dict) -> Ends:
    """One step as a function of what it starts from; ``row`` has its random numbers and stimuli, ``sums`` are ``(stage, region, run)``."""
    shape, zero = (1, program.regions, program.width), jnp.int32(0)
    own = {**args, "stimulus": {n: x[None] for n, x in row["stimulus"].items()}}
    draws = {path: x[None] for path, x in row["draws"].items()}
    tapes = {name: jnp.zeros(shape, jnp.dtype(program.dtype)) for name in program.tapes}
    arrived = {pair: jnp.moveaxis(x, 0, 1) for pair, x in sums.items()}
    states, _, coloured, tapes = engine.take_step(
        program, own, draws, factors, zero, zero, zero, (states, {}, coloured, tapes), arrived, zero
    )
    sent = sent_values(program, args, states) if program.delay is not None else {}
    return Ends(states, coloured, {n: rows[0] for n, rows in tapes.items()}, sent)


# ------------------------------------------------------------------------------------------------------------------ backwards
class Cotangent(NamedTuple):
    """Derivatives with respect to what a stretch ends with, and with respect to what it begins with."""

    states: dict[str, jax.Array]
    past: dict[str, jax.Array]
    """Of what was sent ``(region, history, run)``, the newest last."""
    coloured: dict[str, dict[str, jax.Array]]


class Reader(NamedTuple):
    """Where the derivatives of what arrived are kept in memory, and the groups of edges that read them."""

    width: int
    arrays: dict[tuple[str, int], list[dict]]
    levels: dict[tuple[str, int], list[Level]]


def backward(
    program: Program,
    given: Given,
    plan: list[list[Transposed]],
    saved: Saved,
    past: dict[str, jax.Array],
    first: jax.Array,
    stimulus: dict,
    after: Cotangent,
    tapes: dict[str, jax.Array],
    sizes: Stretch,
) -> tuple[Cotangent, dict[int, jax.Array]]:
    """Derivatives with respect to the start of a stretch and to what is varied, from those of its end and of its tapes.

    ``past`` is what was sent before the stretch ``(region, history, run)``.
    """
    k, args = program.segment, given.args
    history = program.delay.history if program.delay is not None else 0
    local, weights, rows_of = places(program, given)
    reader = _reader(program, args, plan, sizes, history)
    shape, dtype = (program.regions, program.width), jnp.dtype(program.dtype)
    arrivals = {pair: jnp.zeros((program.regions, reader.width, program.width), dtype) for pair in contracted(program)}
    pending = {pair: jnp.zeros(shape, dtype) for pair in arrivals} if program.ahead else {}

    noises = _noises_of(program, given)
    every = driven.factors(program.noises, args)

    def spread(varied: dict) -> tuple[dict, dict]:
        """One number for each region: then no step sums over them."""
        factors = driven.factors(program.noises, given.filled({**given.varied, **varied}))
        factors = {path: factors[path] for path in noises}
        return jax.tree.map(lambda x: jnp.broadcast_to(x, shape) if x.shape == (1, program.width) else x, (varied, factors))

    (varied, factors), pull = jax.vjp(spread, {i: given.varied[i] for i in local})
    given = given._replace(varied={**given.varied, **varied})
    none = jax.tree.map(jnp.zeros_like, (varied, factors))
    drives = {name: jnp.zeros((k, *shape), dtype) for name in rows_of.values()}

    def segment(loop: tuple[Back, Any], own: tuple) -> tuple[tuple[Back, Any], dict[str, jax.Array]]:
        back, totals = loop
        index, number, stimulus, tapes = own
        draws = driven.draws(program.noises, args, number * jnp.int32(k), k, program.regions)
        rows = {"stimulus": stimulus, "draws": draws}
        at = functools.partial(_back, program, given, factors, every, rows, saved, tapes, after.past, index, sizes)
        back = back._replace(varied=none[0], factors=none[1], drives=drives)
        back = _blocks_back(program, reader, at, index, sizes, back)
        return (back, jax.tree.map(jnp.add, totals, (back.varied, back.factors))), back.drives

    index = lax.iota(jnp.int32, sizes.segments)
    loop = (Back(after.states, after.coloured, arrivals, pending, none[0], none[1], drives), none)
    (back, (totals, of_factors)), drives = lax.scan(segment, loop, (index, first + index, stimulus, tapes), reverse=True)
    totals = pull((totals, of_factors))[0]
    arrivals = {pair: _put(x, back.pending[pair], jnp.int32(history)) if program.ahead else x for pair, x in back.arrivals.items()}
    before = {key: _earlier(after.past[key], sizes.steps) for key in after.past}
    for pair in arrivals:
        for level, own_arrays in zip(reader.levels[pair], reader.arrays[pair], strict=True):
            found = delay.contract(arrivals[pair], jnp.int32(0), Level(history, level.groups), own_arrays, 0)
            before[pair[0]] = before[pair[0]] + found[:, :history]
    totals |= _weights(program, given, weights, saved, past, arrivals, sizes)
    totals |= {i: drives[name][:, sizes.lo : sizes.hi] for i, name in rows_of.items()}
    return Cotangent(back.states, before, back.coloured), totals


def places(program: Program, given: Given) -> tuple[list[int], dict[int, tuple[int, int, int]], dict[int, str]]:
    """Which varied numbers a step reads itself, which are weights of delayed edges (projection, level, group) and which are stimuli."""
    local, weights, rows = [], {}, {}
    for i, (path, _) in enumerate(jax.tree_util.tree_leaves_with_path(given.args)):
        if i in given.varied:
            names: list[Any] = [getattr(p, "key", getattr(p, "idx", None)) for p in path]
            if names[0] == "stimulus":
                rows[i] = names[1]
            elif names[0] == "projections" and names[2] == "delayed":
                weights[i] = (names[1], names[3], names[5])
            else:
                local.append(i)
    return local, weights, rows


def _noises_of(program: Program, given: Given) -> list[str]:
    """The noises of which a parameter is varied."""
    names = [jax.tree_util.keystr(path) for i, (path, _) in enumerate(jax.tree_util.tree_leaves_with_path(given.args)) if i in given.varied]
    return [path for path, _, _ in program.noises if any(f"{path}." in name for name in names)]


def _reader(program: Program, args: dict, plan: list[list[Transposed]], sizes: Stretch, history: int) -> Reader:
    """Index and weight arrays of the transposed sums. Column ``history + t`` of the memory has what arrived at step t of the stretch."""
    width = 2 * history + sizes.steps + 5 + delay._LANES // program.width
    arrays: dict[tuple[str, int], list[dict]] = {}
    levels: dict[tuple[str, int], list[Level]] = {}
    for pair in contracted(program):
        shape, given = program.projections[pair[1]].delay, args["projections"][pair[1]]["delayed"]
        levels[pair] = [t.level for t in plan[pair[1]]]
        arrays[pair] = []
        for own, mirrored in zip(given, plan[pair[1]], strict=True):
            late = [history - (b.astype(jnp.int32) // program.width) % shape.row for b in map(jnp.asarray, own["base"])]  # type: ignore[union-attr]
            steps = jnp.concatenate([x.ravel() for x in late] or [jnp.zeros(0, jnp.int32)])
            weight = jnp.concatenate([x.ravel() for x in own["weight"]] or [jnp.zeros(0, jnp.dtype(program.dtype))])
            base, value = [], []
            for receiver, place in zip(mirrored.receiver, mirrored.place, strict=True):
                d = jnp.where(place >= 0, steps[np.maximum(place, 0)], 0)
                base.append(((receiver * width + 1 + d) * program.width).astype(jnp.uint32))
                value.append(jnp.where(place >= 0, weight[np.maximum(place, 0)], 0.0))
            arrays[pair].append({"base": base, "weight": value, "inverse": jnp.asarray(mirrored.inverse)})
    return Reader(width, arrays, levels)


def _blocks_back(program: Program, reader: Reader, at: Any, index: jax.Array, sizes: Stretch, loop: Back) -> Back:
    """All steps of a segment from the last to the first, in blocks whose transposed sums are read at once."""
    if program.delay is None:
        lo, hi = opaque(0, sizes.hi - sizes.lo)
        return _steps_back(program, lambda hi, j, c: at(hi - 1 - j, None, None, c), lo, hi, loop)
    history, blocks = program.delay.history, [level.block for level in program.delay.levels]
    base = index * jnp.int32(sizes.hi - sizes.lo)

    def cut(depth: int, start: Any, end: Any, loop: Back, outer: tuple[dict, Any] | None) -> Back:
        turns = -((start - end) // blocks[depth])

        def turn(i: jax.Array, c: Back) -> Back:
            last = end - i * blocks[depth]
            return block(depth, jnp.maximum(last - blocks[depth], start), last, c, outer)

        return lax.fori_loop(jnp.int32(0), turns, turn, loop)

    def block(depth: int, start: Any, end: Any, loop: Back, outer: tuple[dict, Any] | None) -> Back:
        sums = {}
        for pair, arrivals in loop.arrivals.items():
            before = None if outer is None else lax.dynamic_slice_in_dim(outer[0][pair], start - outer[1], blocks[depth], axis=1)
            level, arrays = reader.levels[pair][depth], reader.arrays[pair][depth]
            if level.groups or before is None:
                part = delay.contract(arrivals, base + start + history, level, arrays, 0)
                before = part if before is None else part[:, : blocks[depth]] + before
            sums[pair] = before
        if depth > 0:
            return cut(depth - 1, start, end, loop, (sums, start))
        return _steps_back(program, lambda end, j, c: at(end - 1 - j, sums, end - 1 - j - start, c), start, end, loop)

    return cut(len(blocks) - 1, jnp.int32(0), jnp.int32(sizes.hi - sizes.lo), loop, None)


def _steps_back(program: Program, step: Callable[..., Back], start: Any, end: Any, loop: Back) -> Back:
    """All steps of a block; those of a single run as one kernel."""

    def steps(start: Any, end: Any, loop: Back) -> Back:
        return lax.fori_loop(jnp.int32(0), end - start, lambda j, c: step(end, j, c), loop)

    return one_kernel(steps, start, end, loop) if program.width == 1 else steps(start, end, loop)


def _back(
    program: Program,
    given: Given,
    factors: dict,
    every: dict,
    rows: dict,
    saved: Saved,
    tapes: dict,
    later: dict,
    index: jax.Array,
    sizes: Stretch,
    j: jax.Array,
    sums: dict | None,
    column: Any,
    loop: Back,
) -> Back:
    """One step backwards, number ``j`` of those of its segment that are taken."""
    q = j + sizes.lo
    t = index * jnp.int32(sizes.hi - sizes.lo) + j
    history = program.delay.history if program.delay is not None else 0

    def of_segment(x: jax.Array) -> jax.Array:
        return lax.dynamic_index_in_dim(x, q, 0, keepdims=False)

    def of_stretch(x: jax.Array) -> jax.Array:
        return lax.dynamic_index_in_dim(x, t, 0, keepdims=False)

    sent = {}
    for key, x in later.items():
        place = t - sizes.steps + history
        then = lax.dynamic_index_in_dim(x, jnp.maximum(place, 0), 1, keepdims=False)
        sent[key] = jnp.where(place >= 0, then, jnp.zeros_like(then))
    for pair in loop.arrivals:
        sent[pair[0]] = sent[pair[0]] + lax.dynamic_index_in_dim(sums[pair], column, 1, keepdims=False)  # type: ignore[index]
    after = Ends(loop.states, loop.coloured, {n: of_segment(x) for n, x in tapes.items()}, sent)
    rows = jax.tree.map(of_segment, rows)

    def step(varied: dict, factors: dict, drives: dict, states: dict, coloured: dict, sums: dict) -> Ends:
        own = {**rows, "stimulus": {**rows["stimulus"], **drives}}
        return _step(program, given.filled({**given.varied, **varied}), {**every, **factors}, own, states, coloured, sums)

    arrived = {pair: lax.dynamic_slice_in_dim(x, t, program.ahead + 1, 0) for pair, x in saved.sums.items()}
    _, pull = jax.vjp(
        step,
        {i: given.varied[i] for i in loop.varied},
        factors,
        {n: rows["stimulus"][n] for n in loop.drives},
        {n: of_stretch(x) for n, x in saved.states.items()},
        jax.tree.map(of_stretch, saved.coloured),
        arrived,
    )
    # Or the compiler would evaluate the step once more for each of the derivatives.
    pull, after = lax.optimization_barrier((pull, after))
    varied, of_factors, drives, states, coloured, found = pull(after)
    arrivals, pending = dict(loop.arrivals), dict(loop.pending)
    for pair, x in found.items():
        if program.ahead:
            arrivals[pair] = _put(arrivals[pair], pending[pair] + x[1], t + 1 + history)
            pending[pair] = x[0]
        else:
            arrivals[pair] = _put(arrivals[pair], x[0], t + history)
    return Back(
        states,
        coloured,
        arrivals,
        pending,
        jax.tree.map(jnp.add, loop.varied, varied),
        jax.tree.map(jnp.add, loop.factors, of_factors),
        {n: lax.dynamic_update_index_in_dim(x, drives[n], q, 0) for n, x in loop.drives.items()},
    )


def _put(memory: jax.Array, value: jax.Array, column: jax.Array) -> jax.Array:
    zero = jnp.zeros((), column.dtype)
    return lax.dynamic_update_slice(memory, value[:, None, :], (zero, column, zero))


def _earlier(past: jax.Array, steps: int) -> jax.Array:
    """The part of what was sent that a stretch of so many steps had before it."""
    history = past.shape[1]
    if steps >= history:
        return jnp.zeros_like(past)
    return jnp.concatenate([jnp.zeros_like(past[:, :steps]), past[:, : history - steps]], axis=1)


def _weights(
    program: Program,
    given: Given,
    weights: dict[int, tuple[int, int, int]],
    saved: Saved,
    past: dict[str, jax.Array],
    arrivals: dict[tuple[str, int], jax.Array],
    sizes: Stretch,
) -> dict[int, jax.Array]:
    """Derivatives with respect to weights of delayed edges: what arrived against what was sent, summed over the steps of a stretch."""
    if not weights:
        return {}
    width, steps = program.width, sizes.steps
    history = program.delay.history  # type: ignore[union-attr]
    sent = sent_values(program, given.args, {n: x[:-1] for n, x in saved.states.items()})
    totals: dict[int, jax.Array] = {}
    # What was sent at step u of the stretch is in column ``u + history - 1``; the newest of the past is that of step 0.
    chunk = 256
    for key, index in contracted(program):
        rows = jnp.concatenate(
            [past[key], jnp.moveaxis(sent[key][1:], 0, 1), jnp.zeros((program.regions, chunk + 2, width), past[key].dtype)], axis=1
        )
        long = rows.shape[1]
        flat = rows.reshape(-1)
        for i, (projection, level, group) in weights.items():
            if projection != index:
                continue
            shape = program.projections[index].delay
            own = given.args["projections"][index]["delayed"][level]
            base = jnp.asarray(own["base"][group]).astype(jnp.int32) // width
            late = history - base % shape.row  # type: ignore[union-attr]
            starts = (((base // shape.row) * long + history - 1 - late) * width).astype(jnp.uint32)  # type: ignore[union-attr]
            starts = jnp.where(base > 0, starts, 0)
            receivers = jnp.argsort(own["inverse"])[: base.shape[2]]
            arrived = arrivals[key, index][receivers, history : history + steps + 1]
            arrived = jnp.pad(arrived, ((0, 0), (0, -(steps + 1) % chunk), (0, 0))).reshape(len(receivers), -1, chunk * width)

            def part(total: jax.Array, number: jax.Array, starts: Any = starts, arrived: Any = arrived, flat: Any = flat) -> tuple:
                own = lax.dynamic_index_in_dim(arrived, number, 1, keepdims=False)
                offset = (number * (chunk * width)).astype(jnp.uint32)

                def edge(_: None, start: jax.Array) -> tuple[None, jax.Array]:
                    return None, (delay._slices(flat, start + offset, chunk * width) * own).sum(axis=1)

                found = lax.scan(edge, None, starts.reshape(-1, starts.shape[2]))[1]
                return total + found.reshape(starts.shape), None

            number = lax.iota(jnp.int32, arrived.shape[1])
            totals[i] = lax.scan(part, totals.get(i, jnp.zeros_like(given.varied[i])), number)[0]
    return totals
