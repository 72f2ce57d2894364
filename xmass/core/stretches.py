"""A run cut into stretches, whose derivative follows each of them backwards (:mod:`xmass.core.adjoint`), as saved or simulated again."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core import delay, engine
from xmass.core.adjoint import Cotangent, Given, Stretch, Transposed, backward, opaque, places, record, tapes_of
from xmass.core.program import Carry, Program

Tree = Any


class Turns(NamedTuple):
    """``times`` stretches of ``segments`` segments from segment ``first`` on, each segment from step ``lo`` to ``hi``.

    For a derivative every step of those that are ``kept`` is saved; the others are simulated again from where they start.
    """

    first: int
    segments: int
    times: int
    lo: int
    hi: int
    kept: bool


def compact(program: Program, carry: Carry, step: jax.Array) -> Carry:
    """A carry with histories ``(region, history, run)`` from oldest to newest in place of rings."""
    if program.delay is None:
        return carry
    history = program.delay.history
    slot = lax.rem(step, jnp.int32(history))
    return carry._replace(rings={key: delay.read_past(ring, slot, history) for key, ring in carry.rings.items()})


def whole(program: Program, carry: Carry, step: jax.Array) -> Carry:
    """The carry that :func:`compact` made smaller."""
    if program.delay is None:
        return carry
    slot = lax.rem(step, jnp.int32(program.delay.history))
    return carry._replace(rings={key: delay.empty_ring(past, program.delay, slot) for key, past in carry.rings.items()})


def run(program: Program, plan: list[list[Transposed]], turns: Turns, origin: int, keep: int) -> Any:
    """The function from a compact carry and arguments to the carry after these stretches and the rows of the recorded series."""
    k, sizes = program.segment, Stretch(turns.segments, turns.lo, turns.hi)

    def numbers() -> jax.Array:
        return jnp.int32(turns.first) + jnp.int32(turns.segments) * lax.iota(jnp.int32, turns.times)

    def start_of(first: jax.Array) -> jax.Array:
        return first * jnp.int32(k) + jnp.int32(turns.lo)

    def end_of(first: jax.Array) -> jax.Array:
        return (first + jnp.int32(turns.segments - 1)) * jnp.int32(k) + jnp.int32(turns.hi)

    def rows_of(args: dict, first: jax.Array) -> dict[str, jax.Array]:
        place = (first - jnp.int32(origin)) * jnp.int32(k)
        cut = {n: lax.dynamic_slice_in_dim(x, place, turns.segments * k) for n, x in args["stimulus"].items()}
        return {n: x.reshape(turns.segments, k, *x.shape[1:]) for n, x in cut.items()}

    def simulated(carry: Carry, args: dict, *, save: bool) -> tuple[Carry, dict[int, jax.Array], Any]:
        """All stretches as the engine takes them; with ``save`` the carries that they start from, and their steps if they are kept."""
        lo, hi = opaque(turns.lo, turns.hi)

        def stretch(carry: Carry, first: jax.Array) -> tuple[Carry, tuple[dict[int, jax.Array], Any]]:
            if save and turns.kept:
                before, stimulus = compact(program, carry, start_of(first)), rows_of(args, first)
                ended, saved, outputs = record(program, args, carry, first, stimulus, sizes)
                tapes = tapes_of(program, saved, outputs, sizes)
                observers, rows = _observed(program, args, carry.observers, first, stimulus, tapes, sizes, keep)
                return ended._replace(observers=observers), (rows, (before, (saved, outputs)))

            def segment(carry: Carry, given: tuple[jax.Array, dict]) -> tuple[Carry, dict[int, jax.Array]]:
                t0 = given[0] * jnp.int32(k)
                tapes = {n: jnp.zeros((k, program.regions, program.width), jnp.dtype(program.dtype)) for n in program.tapes}
                own = {**args, "stimulus": given[1]}
                states, rings, coloured, tapes = engine.take_steps(program, own, carry, tapes, t0, 0, lo, hi)
                observers, blocks = engine.observe(program, own, carry.observers, tapes, t0, turns.lo, turns.hi, keep)
                return Carry(states, rings, coloured, observers), {i: block.values for i, block in blocks.items()}

            start = (compact(program, carry, start_of(first)), None) if save else None
            numbers = first + np.arange(turns.segments, dtype=np.int32)
            carry, made = lax.scan(segment, carry, (numbers, rows_of(args, first)))
            return carry, ({i: engine.due(rows, program.nodes[i].period, k, first) for i, rows in made.items()}, start)

        firsts = numbers()
        carry, (rows, before) = lax.scan(stretch, whole(program, carry, start_of(firsts[0])), firsts)
        return compact(program, carry, end_of(firsts[-1])), rows, before

    @jax.custom_vjp
    def function(carry: Carry, args: dict) -> tuple[Carry, dict[int, jax.Array]]:
        return simulated(carry, args, save=False)[:2]

    def forward(carry: Any, args: Any) -> tuple[tuple[Carry, dict[int, jax.Array]], tuple[Any, Given]]:
        leaves, tree = jax.tree.flatten(args, is_leaf=_primal)
        values = jax.tree.unflatten(tree, [x.value for x in leaves])
        varied = {i: x.value for i, x in enumerate(leaves) if x.perturbed and _real(x.value)}
        carry, rows, before = simulated(jax.tree.map(lambda x: x.value, carry, is_leaf=_primal), values, save=True)
        return (carry, rows), (before, Given(values, varied))

    def backwards(kept: tuple[Any, Given], after: tuple[Carry, dict[int, jax.Array]]) -> tuple[Carry, dict]:
        before, given = kept
        end, rows = jax.tree.map(_filled, after, is_leaf=_zero)
        local, _, drives = places(program, given)
        totals = {i: jnp.zeros_like(x) for i, x in given.varied.items()}

        def stretch(loop: tuple, own: tuple) -> tuple[tuple, None]:
            after, seen, totals = loop
            (before, steps), rows, first = own
            stimulus = rows_of(given.args, first)
            if not turns.kept:
                steps = record(program, given.args, whole(program, before, start_of(first)), first, stimulus, sizes)[1:]
            saved, outputs = steps
            tapes = tapes_of(program, saved, outputs, sizes)
            watch = functools.partial(_watched, program, given, before.observers, first, stimulus, sizes, keep)
            _, pull = jax.vjp(watch, _reals(before.observers), tapes, {i: given.varied[i] for i in local})
            seen, of_tapes, of_varied = pull((seen, rows))
            found, made = backward(program, given, plan, saved, before.rings, first, stimulus, after, of_tapes, sizes)
            totals = dict(totals)
            for i in totals:
                if i in drives:
                    place = (first - jnp.int32(origin)) * jnp.int32(k) + jnp.int32(turns.lo)
                    flat = made[i].reshape(-1, *made[i].shape[2:])
                    totals[i] = lax.dynamic_update_slice_in_dim(totals[i], flat, place, 0)
                else:
                    totals[i] = totals[i] + made[i] + of_varied.get(i, 0.0)
            return (found, seen, totals), None

        loop = (Cotangent(end.states, end.rings, end.coloured), _reals(end.observers), totals)
        (found, seen, totals), _ = lax.scan(stretch, loop, (before, rows, numbers()), reverse=True)
        start = jax.tree.map(lambda x: x[0], before[0])
        observers = _merged(seen, start.observers)
        leaves, tree = jax.tree.flatten(given.args)
        args = jax.tree.unflatten(tree, [totals[i] if i in totals else _none(x) for i, x in enumerate(leaves)])
        return Carry(found.states, found.past, found.coloured, observers), args

    function.defvjp(forward, backwards, symbolic_zeros=True)
    return function


def _watched(
    program: Program,
    given: Given,
    observers: tuple,
    first: jax.Array,
    stimulus: dict,
    sizes: Stretch,
    keep: int,
    reals: list[jax.Array],
    tapes: dict,
    varied: dict,
) -> tuple[list[jax.Array], dict[int, jax.Array]]:
    """The observers of a stretch as a function of its tapes; of their states only the real numbers are followed."""
    args = given.filled({**given.varied, **varied})
    after, rows = _observed(program, args, _with(reals, observers), first, stimulus, tapes, sizes, keep)
    return _reals(after), rows


def _observed(
    program: Program, args: dict, observers: tuple, first: jax.Array, stimulus: dict, tapes: dict, sizes: Stretch, keep: int
) -> tuple[tuple, dict[int, jax.Array]]:
    """The observers after a stretch with these tapes, and the rows of the recorded series."""
    k = program.segment

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def segment(observers: tuple, given: tuple) -> tuple[tuple, dict[int, jax.Array]]:
        number, tapes, rows = given
        own = {**args, "stimulus": rows}
        observers, blocks = engine.observe(program, own, observers, tapes, number * jnp.int32(k), sizes.lo, sizes.hi, keep)
        return observers, {i: block.values for i, block in blocks.items()}

    numbers = first + np.arange(sizes.segments, dtype=np.int32)
    after, made = lax.scan(segment, observers, (numbers, tapes, stimulus))
    return after, {i: engine.due(rows, program.nodes[i].period, k, first) for i, rows in made.items()}


# ------------------------------------------------------------------------------------------------------------------ leaves
def _primal(x: Any) -> bool:
    return isinstance(x, jax.custom_derivatives.CustomVJPPrimal)


def _zero(x: Any) -> bool:
    return isinstance(x, jax.custom_derivatives.SymbolicZero)


def _real(x: Any) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.inexact))


def _filled(x: Any) -> Any:
    """A derivative as an array; of whole numbers there is none."""
    return (jnp.zeros(x.shape, x.dtype) if _real(x) else np.zeros(x.shape, jax.dtypes.float0)) if _zero(x) else x


def _none(x: Any) -> Any:
    return jnp.zeros_like(x) if _real(x) else np.zeros(x.shape, jax.dtypes.float0)


def _reals(tree: Tree) -> list[jax.Array]:
    return [x for x in jax.tree.leaves(tree) if _real(x)]


def _with(reals: list[jax.Array], tree: Tree) -> Tree:
    """A tree with these real numbers in place of its own."""
    every = iter(reals)
    return jax.tree.map(lambda x: next(every) if _real(x) else x, tree)


def _merged(reals: list[jax.Array], tree: Tree) -> Tree:
    every = iter(reals)
    return jax.tree.map(lambda x: next(every) if _real(x) else _none(x), tree)
