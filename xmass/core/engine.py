"""A compiled run: blocks of steps, their observers, and the cache of compiled programs.

Arrays are ``(region, run)``. A call of :func:`advance` moves one tile of runs over whole segments of ``segment`` steps that are
aligned to absolute time; ``start`` and ``stop`` cut the first and the last. Observers read a segment's tape when it is complete.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core import delay, noise
from xmass.core.coupling import Coupling
from xmass.core.integrate import SCHEMES, STAGES_AHEAD
from xmass.core.kernel import compile_options, one_kernel, rounded
from xmass.core.model import NeuralMass, bound, per_ms
from xmass.core.observe import Block, Node, Source, due_rows


@dataclasses.dataclass(frozen=True)
class Program:
    """Everything that shapes the compiled code. Equal programs share one compilation."""

    model: NeuralMass
    couplings: tuple[tuple[str, Coupling], ...]
    noises: tuple[tuple[str, str, noise.Noise], ...]
    """Path (``noise_x``), input and process."""
    stimuli: tuple[str, ...]
    scheme: str
    frozen: bool
    bounds: bool
    delay: delay.DelayShape | None
    undelayed: bool
    past: int
    """Steps of a region's own past that its model reads; 0: none."""
    nodes: tuple[Node, ...]
    recorded: tuple[int, ...]
    regions: int
    width: int
    segment: int
    segments: int
    dtype: str

    @property
    def ahead(self) -> int:
        """Steps that a delayed read goes beyond the block."""
        return 1 if self.reads_end else self.stage_ahead

    @property
    def stage_ahead(self) -> int:
        return 0 if self.frozen else STAGES_AHEAD.get(self.scheme, 0)

    @property
    def history(self) -> int:
        """Steps of the past that a run holds, the present one included."""
        return max(self.delay.history if self.delay is not None else 1, self.past + 1 if self.past else 1)

    @property
    def remembered(self) -> tuple[str, ...]:
        """States whose past the model itself reads."""
        return tuple(dict.fromkeys(p.state for p in self.model.past))

    @property
    def reads_end(self) -> bool:
        """An output that needs the coupling at the end of the step is monitored."""
        return any(s.kind == "output" for s in self.sources)

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(dict.fromkeys(n.input for n in self.nodes if isinstance(n.input, Source)))

    @property
    def tapes(self) -> tuple[str, ...]:
        """Names of the states and outputs that a segment records step by step."""
        names = [s.name for s in self.sources if s.kind in ("state", "output")]
        if any(s.kind in ("derived", "function") for s in self.sources):
            names += [s.name for s in self.model.states]
        return tuple(dict.fromkeys(names))


class Carry(NamedTuple):
    """State of a tile between calls."""

    states: dict[str, jax.Array]
    rings: dict[str, jax.Array]
    """Delayed signals ``(region, history and its mirror, run)``; of a region's own past, ``own:<state>``, ``(history, region, run)``."""
    coloured: dict[str, jax.Array]
    observers: tuple[Any, ...]


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
        for key, source in _ring_sources(program).items():
            past = initial["history"].get(source)
            if past is not None:
                past = past[:, -program.delay.history :]
            if past is None:
                past = jnp.broadcast_to(states[source][:, None, :], (program.regions, program.delay.history, program.width))
            past = jnp.broadcast_to(past, (program.regions, program.delay.history, program.width)).astype(dtype)
            rings[key] = delay.empty_ring(_sent(program, args, key, past, axis=True), program.delay, slot)
    for name in program.remembered:
        rings[_own(name)] = _own_ring(program, initial["history"].get(name), states[name], initial["step"])
    coloured = {}
    for path, _, process in program.noises:
        if not process.white:
            if path in initial["coloured"]:
                value = initial["coloured"][path]
            else:
                draw = noise.stationary_normal(args["keys"][path], program.regions).astype(dtype)
                value = args["params"][f"{path}.mean"] + args["params"][f"{path}.sigma"] * draw
            coloured[path] = jnp.broadcast_to(value, shape).astype(dtype)
    like = jnp.zeros(shape, dtype)
    observers = []
    for index, node in enumerate(program.nodes):
        given = initial["observers"].get(str(index))
        fresh = _observation(program, args, node).init(like)
        observers.append(fresh if given is None else jax.tree.map(lambda a, b: jnp.broadcast_to(b, a.shape).astype(a.dtype), fresh, given))
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
        outs[str(index)] = jnp.zeros((rows + 1, n, b), dtype)
    tapes = {name: jnp.zeros((k, n, b), dtype) for name in program.tapes}

    def segment(i: jax.Array, loop: tuple) -> tuple:
        carry, outs, tapes = loop
        t0 = (first + i) * k
        lo, hi = jnp.maximum(start - t0, 0), jnp.minimum(stop - t0, k)
        states, rings, coloured, tapes = _steps(program, args, carry, tapes, t0, i * k, lo, hi)
        observers, outs = _observe(program, args, carry.observers, outs, tapes, t0, first * k, lo, hi, keep)
        return Carry(states, rings, coloured, observers), outs, tapes

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
        for key, source in _ring_sources(program).items():
            if key == _raw(source):
                histories[source] = delay.read_past(carry.rings[key], slot, program.delay.history)
    for name in program.remembered:
        order = lax.rem(step + 1 + lax.iota(jnp.int32, program.history), jnp.int32(program.history))
        histories[name] = carry.rings[_own(name)][order].transpose(1, 0, 2)
    finite = jnp.ones(program.width, bool)
    for leaf in jax.tree.leaves((carry.states, carry.observers)):
        if leaf.shape == (program.regions, program.width):
            finite = finite & jnp.isfinite(leaf).all(axis=tuple(range(leaf.ndim - 1)))
    return {
        "reductions": reductions,
        "states": carry.states,
        "history": histories,
        "coloured": carry.coloured,
        "observers": {str(i): s for i, s in enumerate(carry.observers)},
        "finite": finite,
    }


# ------------------------------------------------------------------------------------------------------------------ steps
def _steps(
    program: Program, args: dict, carry: Carry, tapes: dict, t0: jax.Array, offset: jax.Array, lo: jax.Array, hi: jax.Array
) -> tuple[dict, dict, dict, dict]:
    """Take the steps ``lo <= q < hi`` of the segment that starts at absolute step ``t0``."""
    draws = {path: noise.normal_pairs(args["keys"][path], t0, program.segment, program.regions) for path, _, _ in program.noises}
    spreads = {path: _spread(args, path, process, per_ms(program.model)) for path, _, process in program.noises}
    take = functools.partial(_step, program, args, draws, spreads, t0, offset)
    loop = (carry.states, carry.rings, carry.coloured, tapes)
    loop_kernel = one_kernel if program.width == 1 else _call
    if program.delay is None:
        return loop_kernel(lambda lo, hi, loop: lax.fori_loop(lo, hi, lambda q, c: take(q, c, None, None), loop), lo, hi, loop)
    history = program.delay.history
    levels = program.delay.levels

    def block(depth: int, q0: jax.Array, end: jax.Array, loop: tuple, outer: tuple[dict, jax.Array] | None) -> tuple:
        level = levels[depth]
        slot = lax.rem(t0 + q0, jnp.int32(history))
        rings, sums = loop[1], {}
        for key in _ring_sources(program):
            if key in _contracted(program):
                part = delay.contract(rings[key], slot, level, args["delayed"][depth], program.ahead)
                if outer is not None:
                    length = level.block + program.ahead
                    part = part[:, :length] + lax.dynamic_slice_in_dim(outer[0][key], q0 - outer[1], length, axis=1)
                sums[key] = part
        last = jnp.minimum(q0 + level.block, end)
        if depth > 0:
            inner = levels[depth - 1].block
            turns = -((q0 - last) // inner)
            return lax.fori_loop(jnp.int32(0), turns, lambda i, c: block(depth - 1, q0 + i * inner, last, c, (sums, q0)), loop)

        def step(q: jax.Array, c: tuple) -> tuple:
            states, rings, coloured, tapes = take(q, c, sums, q - q0)
            after = slot + (q - q0) + 1
            return states, _write(program, args, states, rings, jnp.where(after >= history, after - history, after)), coloured, tapes

        return loop_kernel(lambda q0, last, loop: lax.fori_loop(q0, last, step, loop), q0, last, loop)

    top = len(levels) - 1
    turns = -((lo - hi) // levels[top].block)
    return lax.fori_loop(jnp.int32(0), turns, lambda i, c: block(top, lo + i * levels[top].block, hi, c, None), loop)


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _spread(args: dict, path: str, process: noise.Noise, scale: float) -> jax.Array:
    """Standard deviation of what a noise adds in one step, with a column per run: shared and own draws round alike."""
    params, dt = args["params"], args["dt"]
    variance = dt if process.white else -jnp.expm1(-2.0 * dt / params[f"{path}.tau"])
    spread = params[f"{path}.sigma"] * jnp.sqrt(variance)
    return spread * scale if process.white and scale != 1.0 else spread


def _step(
    program: Program,
    args: dict,
    draws: dict,
    spreads: dict,
    t0: jax.Array,
    offset: jax.Array,
    q: jax.Array,
    loop: tuple,
    sums: dict | None,
    column: Any,
) -> tuple:
    """One step: noises, stimuli and couplings into the inputs, the scheme, the bounds, the tape."""
    states, rings, coloured, tapes = loop
    dtype = jnp.dtype(program.dtype)
    params, dt = args["params"], args["dt"]
    model = bound(program.model, "", params)
    held: dict[str, Any] = {i.name: 0.0 for i in program.model.inputs}
    for name in args["constant"]:
        held[name] = held[name] + args["constant"][name]
    for name in program.stimuli:
        held[name] = held[name] + lax.dynamic_index_in_dim(args["stimulus"][name], offset + q, 0, keepdims=False)
    increments = {}
    coloured = dict(coloured)
    for path, name, process in program.noises:
        row = lax.dynamic_index_in_dim(draws[path], q, 0, keepdims=False)
        kick = rounded(spreads[path] * noise.unpack(row, program.regions).astype(dtype), args["ones"])
        if process.white:
            increments[name] = kick
        else:
            held[name] = held[name] + coloured[path]
            mean, decay = params[f"{path}.mean"], jnp.exp(-dt / params[f"{path}.tau"])
            coloured[path] = mean + (coloured[path] - mean) * decay + kick

    def arrived(s: dict, stage: float) -> dict[str, Any]:
        """Couplings at a stage, added to the held inputs."""
        total = dict(held)
        for name, coupling in program.couplings:
            own = _source_value(model, coupling, s)
            current = _coupling(program, args, name, coupling, own, sums, column, stage)
            total[coupling.target] = total[coupling.target] + current
        return total

    if program.frozen:
        fixed = arrived(states, 0.0)

    scale = per_ms(model)

    def derivative(s: dict, stage: float) -> dict[str, Any]:
        u = fixed if program.frozen else arrived(s, stage)
        past = {p.name: _past(program, args, rings, p, t0 + q, s[p.state], stage) for p in program.model.past}
        rates = model.drift(SimpleNamespace(**s, **past), SimpleNamespace(**u))
        return {n: jnp.broadcast_to(rates[n] if scale == 1.0 else scale * rates[n], s[n].shape) for n in s}

    if model.scheme:
        kicks = SimpleNamespace(**{n: increments.get(n, 0.0) for n in states})
        made = model.step(SimpleNamespace(**states), SimpleNamespace(**arrived(states, 0.0)), kicks, dt if scale == 1.0 else scale * dt)
        states = {n: jnp.broadcast_to(made[n], states[n].shape).astype(dtype) for n in states}
    else:
        states = SCHEMES[program.scheme](derivative, states, dt, increments)
    if program.bounds:
        states = {
            s.name: states[s.name] if s.bounds is None else jnp.clip(states[s.name], s.bounds[0], s.bounds[1]) for s in program.model.states
        }
    rings = {**rings, **{_own(n): _remember(rings[_own(n)], states[n], t0 + q + 1) for n in program.remembered}}
    tapes = dict(tapes)
    end = None
    for name in tapes:
        if name in states:
            row = states[name]
        else:
            end = SimpleNamespace(**arrived(states, 1.0)) if end is None else end
            row = jnp.broadcast_to(getattr(model, name)(SimpleNamespace(**states), end), (program.regions, program.width))
        tapes[name] = lax.dynamic_update_index_in_dim(tapes[name], row.astype(dtype), q, 0)
    return states, rings, coloured, tapes


def _source_value(model: NeuralMass, coupling: Coupling, s: dict) -> Any:
    if coupling.source in s:
        return s[coupling.source]
    return getattr(model, coupling.source)(SimpleNamespace(**s), None)


def _coupling(program: Program, args: dict, name: str, coupling: Coupling, own: Any, sums: dict | None, column: Any, stage: float) -> Any:
    """The current of one coupling at a stage: delayed sums already fetched, undelayed ones from the stage's own state."""
    object_ = bound(coupling, f"{name}.", args["params"])
    total: Any = 0.0
    if program.undelayed:
        total = jnp.matmul(args["undelayed"], object_.pre(own), precision=lax.Precision.HIGHEST)
    if sums is not None:
        series = sums[_ring_key(coupling, name)]
        total = total + _at_stage(series, column, stage)
    return object_.post(total, own, args["strength"])


def _at_stage(series: jax.Array, column: jax.Array, stage: float) -> jax.Array:
    if stage == 0.5:
        return 0.5 * (_at_stage(series, column, 0.0) + _at_stage(series, column, 1.0))
    return lax.dynamic_index_in_dim(series, column + jnp.int32(stage), 1, keepdims=False)


# ------------------------------------------------------------------------------------------------------------------ own past
def _own(state: str) -> str:
    return f"own:{state}"


def _own_ring(program: Program, past: jax.Array | None, now: jax.Array, step: jax.Array) -> jax.Array:
    """A ring ``(history, region, run)`` with the state of absolute step m in row ``m % history``."""
    history = program.history
    if past is None:
        return jnp.broadcast_to(now, (history, *now.shape))
    rows = jnp.broadcast_to(past.transpose(1, 0, 2), (history, *now.shape)).astype(now.dtype)
    return jnp.zeros_like(rows).at[(lax.iota(jnp.int32, history) + step + 1) % history].set(rows)


def _remember(ring: jax.Array, values: jax.Array, step: jax.Array) -> jax.Array:
    return lax.dynamic_update_index_in_dim(ring, values, lax.rem(step, jnp.int32(ring.shape[0])), 0)


def _past(program: Program, args: dict, rings: dict, past: Any, step: jax.Array, now: jax.Array, stage: float) -> jax.Array:
    """A state as it was ``past.delay`` before a stage of the step; a delay of no steps reads the stage's own state."""
    steps = args["past"][past.name]
    if stage == 0.5:
        return 0.5 * (_past(program, args, rings, past, step, now, 0.0) + _past(program, args, rings, past, step, now, 1.0))
    row = lax.rem(step + jnp.int32(stage) - steps + jnp.int32(program.history), jnp.int32(program.history))
    then = jnp.take_along_axis(rings[_own(past.state)], jnp.broadcast_to(row, now.shape)[None], axis=0)[0]
    return jnp.where(steps == 0, now, then)


# ------------------------------------------------------------------------------------------------------------------ rings
def _raw(source: str) -> str:
    return f"state:{source}"


def _plain(coupling: Coupling) -> bool:
    return type(coupling).pre is Coupling.pre


def _ring_key(coupling: Coupling, name: str) -> str:
    return _raw(coupling.source) if _plain(coupling) else f"coupling:{name}"


def _ring_sources(program: Program) -> dict[str, str]:
    """Every ring and the state whose past it holds: raw for each delayed state, transformed where a coupling has a ``pre``."""
    found = {}
    for name, coupling in program.couplings:
        found[_raw(coupling.source)] = coupling.source
        found[_ring_key(coupling, name)] = coupling.source
    return found


def _contracted(program: Program) -> set[str]:
    return {_ring_key(c, name) for name, c in program.couplings}


def _sent(program: Program, args: dict, key: str, values: jax.Array, *, axis: bool = False) -> jax.Array:
    """What a ring stores of a state's values (with a history axis if ``axis``)."""
    for name, coupling in program.couplings:
        if key == f"coupling:{name}":
            params = {p: v[:, None, :] for p, v in args["params"].items()} if axis else args["params"]
            return jnp.broadcast_to(bound(coupling, f"{name}.", params).pre(values), values.shape).astype(values.dtype)
    return values


def _write(program: Program, args: dict, states: dict, rings: dict, slot: jax.Array) -> dict:
    sources = _ring_sources(program)
    history = program.delay.history if program.delay is not None else 0
    written = {k: delay.write(rings[k], _sent(program, args, k, states[source]), slot, history) for k, source in sources.items()}
    return {**rings, **written}


# ------------------------------------------------------------------------------------------------------------------ observers
def _observation(program: Program, args: dict, node: Node) -> Any:
    return bound(node.observation, f"{node.observation.name}.", args["params"])


def _observe(
    program: Program,
    args: dict,
    observers: tuple,
    outs: dict,
    tapes: dict,
    t0: jax.Array,
    base: jax.Array,
    lo: jax.Array,
    hi: jax.Array,
    keep: jax.Array,
) -> tuple[tuple, dict]:
    """Advance every observation over the segment whose tape is complete."""
    blocks = _tape_blocks(program, args, tapes, t0, lo, hi, keep)
    new: list[Any] = []
    results: list[Any] = []
    outs = dict(outs)
    for index, (node, state) in enumerate(zip(program.nodes, observers, strict=True)):
        block = blocks[node.input] if isinstance(node.input, Source) else results[node.input]
        state, block = advance_node(node, _observation(program, args, node), state, block, program.segment, t0, keep, args["dt"])
        new.append(state)
        results.append(block)
        if index in program.recorded and block is not None:
            rows = block.values.shape[0]
            scratch = outs[str(index)].shape[0] - rows
            row = jnp.where(block.due, (t0 + program.segment) // node.period - rows - base // node.period, scratch)
            outs[str(index)] = lax.dynamic_update_slice_in_dim(outs[str(index)], block.values.astype(outs[str(index)].dtype), row, 0)
    return tuple(new), outs


def advance_node(
    node: Node, observation: Any, state: Any, block: Block, segment: int, t0: jax.Array, keep: jax.Array, dt: Any
) -> tuple[Any, Block | None]:
    """Advance one observation over one block of its input and make the block of its output."""
    rows = due_rows(node.period_in, segment)
    row_time = dt * node.period_in
    reduces = observation.reduces
    due = jnp.bool_(True)
    if not reduces and node.period > segment:
        due = (lax.rem(t0 + segment, jnp.int32(node.period)) == 0) & (block.hi == rows)
    due = due & block.due
    inner = block._replace(due=due)

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
    else:
        lo, hi = jnp.int32(0), jnp.where(due, 1, 0).astype(jnp.int32)
    first = (t0 + segment) // node.period - made
    return state, Block(out, lo, hi, first, keep // node.period, due)


def _tape_blocks(
    program: Program, args: dict, tapes: dict, t0: jax.Array, lo: jax.Array, hi: jax.Array, keep: jax.Array
) -> dict[Source, Block]:
    model = bound(program.model, "", args["params"])
    shape = (program.segment, program.regions, program.width)
    blocks = {}
    for source in program.sources:
        if source.kind in ("state", "output"):
            values = tapes[source.name]
        else:
            s = SimpleNamespace(**{st.name: tapes[st.name] for st in program.model.states})
            values = getattr(model, source.name)(s, None) if source.kind == "derived" else source.function(s)
            values = jnp.broadcast_to(values, shape).astype(jnp.dtype(program.dtype))
        blocks[source] = Block(values, lo, hi, t0, keep, jnp.bool_(True))
    return blocks


def platform() -> str:
    """The platform that a computation started here runs on."""
    return jax.default_backend()


def words(seeds: np.ndarray, stream: str) -> np.ndarray:
    """Key words ``(2, run)`` of seeds."""
    return np.stack([noise.key_words(int(s), stream) for s in np.atleast_1d(seeds)], axis=1)
