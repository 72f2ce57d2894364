"""A compiled run: blocks of steps, their observers, and the cache of compiled programs.

Arrays are ``(region, run)``. A call of :func:`advance` moves one tile of runs over whole segments of ``segment`` steps that are
aligned to absolute time; ``start`` and ``stop`` cut the first and the last. Observers read a segment's tape when it is complete.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core import delay, driven, noise
from xmass.core.integrate import SCHEMES
from xmass.core.kernel import compile_options, one_kernel
from xmass.core.model import Mixed, bound, evaluate, per_ms
from xmass.core.observe import Block, Node, Source, due_rows, noise_stream, rows
from xmass.core.program import Carry, Program
from xmass.core.signal import (
    contracted,
    coupling_current,
    own_key,
    own_past,
    own_ring,
    raw_key,
    remember,
    ring_values,
    source_pasts,
    source_value,
    write_rings,
)


class Compiled(NamedTuple):
    """The three compiled functions of a program."""

    initialise: Any
    advance: Any
    finish: Any


@functools.lru_cache(maxsize=64)
def compiled(program: Program, platform: str) -> Compiled:
    """Functions of a program, compiled once per process and platform."""
    options = compile_options(platform, program.width)
    return Compiled(
        jax.jit(functools.partial(initialise, program)),
        jax.jit(functools.partial(advance, program), compiler_options=options, donate_argnums=(0,)),
        jax.jit(functools.partial(finish, program)),
    )


def initialise(program: Program, args: dict, initial: dict) -> Carry:
    """The carry at absolute step ``initial["step"]`` from initial states, histories and noises."""
    dtype = jnp.dtype(program.dtype)
    shape = (program.regions, program.width)
    states = {}
    for state in program.model.states:
        value = initial["states"][state.name]
        if "uniform" in value:
            draw = noise.initial_uniform(args["keys"][f"initial.{state.name}"], program.regions).astype(dtype)
            low, high = value["uniform"]
            value = low + (high - low) * draw
        else:
            value = value["value"]
        states[state.name] = jnp.broadcast_to(value, shape).astype(dtype)
    rings = {}
    if program.delay is not None:
        slot = lax.rem(initial["step"], jnp.int32(program.delay.history))
        pasts = source_pasts(program, args, initial["history"], states)
        for key, sent in ring_values(program, args, pasts, axis=True).items():
            rings[key] = delay.empty_ring(sent.astype(dtype), program.delay, slot)
    for name in program.remembered:
        rings[own_key(name)] = own_ring(program, initial["history"].get(name), states[name], initial["step"])
    coloured = driven.start(program.noises, args, initial["coloured"], shape, dtype)
    observers = []
    for index, node in enumerate(program.nodes):
        like = jnp.zeros((node.entries_in or program.regions, program.width), dtype)
        fresh, given = _observation(program, args, node).init(like), initial["observers"].get(str(index))
        if given is not None:
            fresh = (*(_shaped(b, a) for a, b in zip(fresh, given, strict=False)), *fresh[len(given) :])
        observers.append(fresh)
    return Carry(states, rings, coloured, tuple(observers))


def advance(
    program: Program, carry: Carry, args: dict, first: jax.Array, count: jax.Array, start: jax.Array, stop: jax.Array, keep: jax.Array
) -> tuple[Carry, dict[str, jax.Array]]:
    """Advance over ``count`` segments from segment ``first``; steps outside ``[start, stop)`` are not taken.

    Returns the carry and, per recorded node, the output rows of these segments (the last row is scratch).
    """
    dtype = jnp.dtype(program.dtype)
    k, n, b = program.segment, program.regions, program.width
    outs = {}
    for index in program.recorded:
        rows = max(program.segments * k // program.nodes[index].period, 1) + 1
        outs[str(index)] = jnp.zeros((rows + 1, program.nodes[index].entries or n, b), dtype)
    tapes = {name: jnp.zeros((k, n, b), dtype) for name in program.tapes}

    def segment(i: jax.Array, loop: tuple) -> tuple:
        carry, outs, tapes = loop
        t0 = (first + i) * k
        lo, hi = jnp.maximum(start - t0, 0), jnp.minimum(stop - t0, k)
        states, rings, coloured, tapes = take_steps(program, args, carry, tapes, t0, i * k, lo, hi)
        observers, made = observe(program, args, carry.observers, tapes, t0, lo, hi, keep)
        return Carry(states, rings, coloured, observers), _written(program, outs, made, t0, first * k), tapes

    carry, outs, _ = lax.fori_loop(jnp.int32(0), count, segment, (carry, outs, tapes))
    return carry, outs


def finish(program: Program, carry: Carry, args: dict, step: jax.Array) -> dict[str, Any]:
    """Reductions, the end state, its history, and which runs are still finite."""
    reductions = {
        str(i): _observation(program, args, n).value(s)
        for i, (n, s) in enumerate(zip(program.nodes, carry.observers, strict=True))
        if n.observation.reduces
    }
    histories = {}
    if program.delay is not None:
        slot = lax.rem(step, jnp.int32(program.delay.history))
        for source in program.delayed_sources:
            histories[source] = delay.read_past(carry.rings[raw_key(source)], slot, program.delay.history)
    for name in program.remembered:
        order = lax.rem(step + 1 + lax.iota(jnp.int32, program.history), jnp.int32(program.history))
        histories[name] = remember(carry.rings[own_key(name)], carry.states[name], step)[order].transpose(1, 0, 2)
    return {
        "reductions": reductions,
        "states": carry.states,
        "history": histories,
        "coloured": carry.coloured,
        "observers": {str(i): s for i, s in enumerate(carry.observers)},
        "finite": _finite(program, carry),
    }


def _finite(program: Program, carry: Carry) -> jax.Array:
    """Which runs have finite states and observers, each in the regions of its model. Of functions only the states count."""
    model, found = program.model, jnp.ones(program.width, bool)
    parts: list[tuple[str, Any, int]] = [(name, state, program.regions) for name, state in carry.states.items()]
    for node, state in zip(program.nodes, carry.observers, strict=True):
        entries = node.entries_in or program.regions
        while not isinstance(node.input, Source):
            node = program.nodes[node.input]
        if not (isinstance(model, Mixed) and node.input.kind == "function"):
            parts.append((node.input.name, state, entries))
    for name, part, entries in parts:
        elsewhere = ~model.mask(name)[:, None] if isinstance(model, Mixed) else False
        for leaf in jax.tree.leaves(part):
            if leaf.shape == (entries, program.width):
                found = found & (jnp.isfinite(leaf) | elsewhere).all(axis=0)
    return found


# ------------------------------------------------------------------------------------------------------------------ steps
def take_steps(
    program: Program,
    args: dict,
    carry: Carry,
    tapes: Any,
    t0: jax.Array,
    offset: Any,
    lo: Any,
    hi: Any,
    step: Callable[..., Any] | None = None,
) -> tuple[dict, dict, dict, Any]:
    """Take the steps ``lo <= q < hi`` of the segment that starts at absolute step ``t0``.

    With Python ints for ``lo`` and ``hi`` all loops have a fixed length, which can be differentiated in reverse. ``step`` may take
    the place of :func:`take_step`, with more than the tapes in theirs.
    """
    draws = driven.draws(program.noises, args, t0, program.segment, program.regions)
    factors = driven.factors(program.noises, args)
    take = functools.partial(step or take_step, program, args, draws, factors, t0, offset)
    loop = (carry.states, carry.rings, carry.coloured, tapes)
    fixed = isinstance(lo, int)
    loop_kernel = one_kernel if program.width == 1 and not fixed else _call
    if program.delay is None:
        lo, hi = rows(lo, hi)
        return loop_kernel(lambda lo, hi, loop: lax.fori_loop(lo, hi, lambda q, c: take(q, c, None, None), loop), lo, hi, loop)
    history = program.delay.history
    levels = program.delay.levels

    def blocks(depth: int, q0: Any, end: Any, size: int | None, loop: tuple, outer: tuple[dict, Any] | None) -> tuple:
        """Cut the steps from ``q0`` to ``end`` into blocks of a level; ``size`` is their number where it is known."""
        length = levels[depth].block
        if size is None:
            turns = -((q0 - end) // length)
            return lax.fori_loop(
                jnp.int32(0),
                turns,
                lambda i, c: block(depth, q0 + i * length, jnp.minimum(q0 + i * length + length, end), None, c, outer),
                loop,
            )
        turns, rest = divmod(size, length)
        if turns:
            loop = lax.fori_loop(
                np.int32(0), np.int32(turns), lambda i, c: block(depth, q0 + i * length, q0 + (i + 1) * length, length, c, outer), loop
            )
        return block(depth, q0 + turns * length, end, rest, loop, outer) if rest else loop

    def block(depth: int, q0: Any, last: Any, size: int | None, loop: tuple, outer: tuple[dict, Any] | None) -> tuple:
        level = levels[depth]
        slot = lax.rem(t0 + q0, jnp.int32(history))
        rings, sums = loop[1], {}
        for key, index in contracted(program):
            own = program.projections[index].delay.levels[depth]  # type: ignore[union-attr]
            length = level.block + program.ahead
            before = None if outer is None else lax.dynamic_slice_in_dim(outer[0][key, index], q0 - outer[1], length, axis=1)
            if own.groups or before is None:
                part = delay.contract(rings[key], slot, own, args["projections"][index]["delayed"][depth], program.ahead)
                before = part if before is None else part[:, :length] + before
            sums[key, index] = before
        if depth > 0:
            return blocks(depth - 1, q0, last, size, loop, (sums, q0))

        def step(q: jax.Array, c: tuple) -> tuple:
            states, rings, coloured, tapes = take(q, c, sums, q - q0)
            after = slot + (q - q0) + 1
            return states, write_rings(program, args, states, rings, jnp.where(after >= history, after - history, after)), coloured, tapes

        if size is not None:
            return lax.fori_loop(np.int32(0), np.int32(size), lambda i, c: step(q0 + i, c), loop)
        return loop_kernel(lambda q0, last, loop: lax.fori_loop(q0, last, step, loop), q0, last, loop)

    return blocks(len(levels) - 1, lo, hi, hi - lo if fixed else None, loop, None)


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def take_step(
    program: Program,
    args: dict,
    draws: dict,
    factors: dict,
    t0: jax.Array,
    offset: jax.Array,
    q: jax.Array,
    loop: tuple,
    sums: dict | None,
    column: Any,
) -> tuple:
    """One step: noises, stimuli and couplings into the inputs, the scheme, the bounds, the tape."""
    states, rings, coloured, tapes = loop
    # The present is written before the past is read: what is read and then written in one step would be copied whole.
    rings = {**rings, **{own_key(n): remember(rings[own_key(n)], states[n], t0 + q) for n in program.remembered}}
    dtype = jnp.dtype(program.dtype)
    params, dt = args["params"], args["dt"]
    model = bound(program.model, "", params)
    held: dict[str, Any] = {i.name: 0.0 for i in program.model.inputs}
    for name in args["constant"]:
        held[name] = held[name] + args["constant"][name]
    for name in program.stimuli:
        held[name] = held[name] + lax.dynamic_index_in_dim(args["stimulus"][name], offset + q, 0, keepdims=False)
    held, increments, coloured = driven.advance(program.noises, args, draws, factors, q, states, held, coloured, model)
    scale = per_ms(model)

    def arrived(s: dict, stage: float) -> dict[str, Any]:
        """Couplings at a stage, added to the held inputs."""
        total = dict(held)
        for link in program.couplings:
            current = coupling_current(program, args, link, source_value(model, link.coupling.source, s), sums, column, stage)
            total[link.coupling.target] = total[link.coupling.target] + current
        return total

    if program.frozen:
        fixed = arrived(states, 0.0)

    def derivative(s: dict, stage: float) -> dict[str, Any]:
        u = fixed if program.frozen else arrived(s, stage)
        past = {p.name: own_past(program, args, rings, p, t0 + q, s[p.state], stage) for p in program.model.past}
        rates = model.drift(SimpleNamespace(**s, **past), SimpleNamespace(**u))
        return {n: jnp.broadcast_to(rates[n] if scale == 1.0 else scale * rates[n], s[n].shape) for n in s}

    if model.scheme:
        kicks = SimpleNamespace(**{n: increments.get(n, 0.0) for n in states})
        made = model.step(SimpleNamespace(**states), SimpleNamespace(**arrived(states, 0.0)), kicks, dt if scale == 1.0 else scale * dt)
        states = {n: jnp.broadcast_to(made[n], states[n].shape).astype(dtype) for n in states}
    else:
        states = SCHEMES[program.scheme](derivative, states, dt, increments)
    if isinstance(model, Mixed):
        states = model.kept(loop[0], states)
    if program.bounds:
        states = {
            s.name: states[s.name] if s.bounds is None else jnp.clip(states[s.name], s.bounds[0], s.bounds[1]) for s in program.model.states
        }
    tapes = dict(tapes)
    end = None
    for name in tapes:
        if name in states:
            row = states[name]
        else:
            end = SimpleNamespace(**arrived(states, 1.0)) if end is None else end
            row = jnp.broadcast_to(evaluate(model, name, states, end), (program.regions, program.width))
        tapes[name] = lax.dynamic_update_index_in_dim(tapes[name], row.astype(dtype), q, 0)
    return states, rings, coloured, tapes


# ------------------------------------------------------------------------------------------------------------------ observers
def _observation(program: Program, args: dict, node: Node) -> Any:
    return bound(node.observation, f"{node.observation.name}.", args["params"])


def observe(
    program: Program, args: dict, observers: tuple, tapes: dict, t0: jax.Array, lo: Any, hi: Any, keep: Any
) -> tuple[tuple, dict[int, Block]]:
    """Advance every observation over the segment whose tape is complete; also the block of every recorded series."""
    blocks = _tape_blocks(program, args, tapes, t0, lo, hi, keep)
    new: list[Any] = []
    results: list[Any] = []
    for node, state in zip(program.nodes, observers, strict=True):
        block = blocks[node.input] if isinstance(node.input, Source) else results[node.input]
        observation, keys = _observation(program, args, node), args["keys"].get(noise_stream(node.observation))
        state, block = advance_node(node, observation, state, block, program.segment, t0, keep, args["dt"], keys)
        new.append(state)
        results.append(block)
    return tuple(new), {i: results[i] for i in program.recorded if results[i] is not None}


def _written(program: Program, outs: dict, made: dict[int, Block], t0: jax.Array, base: jax.Array) -> dict:
    """The output rows of a segment in their places; rows that are not due go into the last."""
    outs = dict(outs)
    for index, block in made.items():
        period, rows = program.nodes[index].period, block.values.shape[0]
        scratch = outs[str(index)].shape[0] - rows
        row = jnp.where(block.due, (t0 + program.segment) // period - rows - base // period, scratch)
        outs[str(index)] = lax.dynamic_update_slice_in_dim(outs[str(index)], block.values.astype(outs[str(index)].dtype), row, 0)
    return outs


def due(rows: jax.Array, period: int, k: int, first: jax.Array) -> jax.Array:
    """Of the rows that segments return ``(segment, row, entry, run)``, those that are samples, and room for one more."""
    count = rows.shape[0]
    if period <= k:
        return rows.reshape(-1, *rows.shape[2:])
    sample = (first * jnp.int32(k)) // period + 1 + np.arange(count * k // period + 1, dtype=np.int32)
    return rows[jnp.clip(sample * period // k - 1 - first, 0, count - 1), 0]


def advance_node(
    node: Node, observation: Any, state: Any, block: Block, segment: int, t0: jax.Array, keep: Any, dt: Any, keys: Any = None
) -> tuple[Any, Block | None]:
    """Advance one observation over one block of its input and make the block of its output; ``keys`` are those of a random one."""
    count = due_rows(node.period_in, segment)
    row_time = dt * node.period_in
    reduces = observation.reduces
    due = jnp.bool_(True)
    if not reduces and node.period > segment:
        due = (lax.rem(t0 + segment, jnp.int32(node.period)) == 0) & (block.hi == count)
    due = due & block.due
    inner = block._replace(due=due)
    if observation.random:
        pairs = noise.normal_pairs(keys, block.first, count, block.values.shape[1])
        normals = jnp.concatenate([pairs.real, pairs.imag], axis=1)[:, : block.values.shape[1]]
        inner = inner._replace(normals=normals.astype(block.values.dtype))

    def run(state: Any) -> tuple[Any, Any]:
        return observation.step(state, inner, node.timing, row_time)

    if node.period_in > segment:
        shapes = jax.eval_shape(run, state)
        state, out = lax.cond(block.due, run, lambda s: (s, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes[1])), state)
    else:
        state, out = run(state)
    if reduces:
        return state, None
    made = due_rows(node.period, segment)
    if node.period <= segment:
        per = node.period // node.period_in
        whole = observation.windowed and not observation.state_names
        lo, hi = -(-block.lo // per) if whole else block.lo // per, block.hi // per
    elif isinstance(block.lo, int):
        lo, hi = 0, 1  # read only where it is due
    else:
        lo, hi = jnp.int32(0), jnp.where(due, 1, 0).astype(jnp.int32)
    first = (t0 + segment) // node.period - made
    return state, Block(out, lo, hi, first, keep // node.period, due)


def _tape_blocks(program: Program, args: dict, tapes: dict, t0: jax.Array, lo: Any, hi: Any, keep: Any) -> dict[Source, Block]:
    model = bound(program.model, "", args["params"])
    shape = (program.segment, program.regions, program.width)
    blocks = {}
    for source in program.sources:
        if source.kind in ("state", "output"):
            values = tapes[source.name]
        else:
            s = {st.name: tapes[st.name] for st in program.model.states}
            if source.kind == "derived":
                values = evaluate(model, source.name, s, None)
            else:
                values = source.function(SimpleNamespace(**(model.apart(s) if isinstance(model, Mixed) else s)))
            values = jnp.broadcast_to(values, shape).astype(jnp.dtype(program.dtype))
        blocks[source] = Block(values, lo, hi, t0, keep, jnp.bool_(True))
    return blocks


def _shaped(given: jax.Array, like: jax.Array) -> jax.Array:
    """A value ``(entries or 1, run or 1)`` in the shape of a leaf, whose leading axes may be several."""
    if given.shape[0] > 1:
        given = given.reshape(*like.shape[:-1], given.shape[-1])
    return jnp.broadcast_to(given, like.shape).astype(like.dtype)


def platform() -> str:
    """The platform that a computation started here runs on."""
    return jax.default_backend()


def words(seeds: np.ndarray, stream: str) -> np.ndarray:
    """Key words ``(2, run)`` of seeds."""
    return np.stack([noise.key_words(int(s), stream) for s in np.atleast_1d(seeds)], axis=1)
