"""What regions send and receive during a step: couplings at a stage, rings of the past, and a region's own past."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from xmass.core import delay
from xmass.core.coupling import sends_itself, signals
from xmass.core.model import NeuralMass, bound, evaluate
from xmass.core.program import Link, Program, Projection


def source_value(model: NeuralMass, source: str, s: dict) -> Any:
    """A state, or an output made from the states."""
    return s[source] if source in s else evaluate(model, source, s, None)


def coupling_current(program: Program, args: dict, link: Link, own: Any, sums: dict | None, column: Any, stage: float) -> Any:
    """The current of one coupling at a stage: delayed sums already fetched, undelayed ones from the stage's own state."""
    coupling = bound(link.coupling, f"{link.name}.", args["params"])
    projection, arrays = program.projections[link.projection], args["projections"][link.projection]
    count = signals(link.coupling)
    totals: list[Any] = [0.0] * max(count, 1)
    if projection.undelayed:
        sent = coupling.pre(own)
        totals = [_product(projection, arrays, jnp.broadcast_to(x, own.shape)) for x in (sent if count else (sent,))]
    if projection.delay is not None:
        series = [sums[key, link.projection] for key in _ring_keys(link)]  # type: ignore[index]
        totals = [total + _at_stage(x, column, stage) for total, x in zip(totals, series, strict=True)]
    return coupling.post(tuple(totals) if count else totals[0], own, arrays["strength"])


def _product(projection: Projection, arrays: dict, x: jax.Array) -> jax.Array:
    if projection.undelayed == "sparse":
        return delay.sparse_product(arrays["undelayed"], x)
    return jnp.matmul(arrays["undelayed"], x, precision=lax.Precision.HIGHEST)


def _at_stage(series: jax.Array, column: jax.Array, stage: float) -> jax.Array:
    if stage == 0.5:
        return 0.5 * (_at_stage(series, column, 0.0) + _at_stage(series, column, 1.0))
    return lax.dynamic_index_in_dim(series, column + jnp.int32(stage), 1, keepdims=False)


# ------------------------------------------------------------------------------------------------------------------ own past
def own_key(state: str) -> str:
    """The name of the ring of a state that its own region reads."""
    return f"own:{state}"


def own_ring(program: Program, past: jax.Array | None, now: jax.Array, step: jax.Array) -> jax.Array:
    """A ring ``(history, region, run)`` with the state of absolute step m in row ``m % history``."""
    history = program.history
    if past is None:
        return jnp.broadcast_to(now, (history, *now.shape))
    rows = jnp.broadcast_to(past.transpose(1, 0, 2), (history, *now.shape)).astype(now.dtype)
    return jnp.zeros_like(rows).at[(lax.iota(jnp.int32, history) + step + 1) % history].set(rows)


def remember(ring: jax.Array, values: jax.Array, step: jax.Array) -> jax.Array:
    """Put the state of an absolute step into its ring."""
    return lax.dynamic_update_index_in_dim(ring, values, lax.rem(step, jnp.int32(ring.shape[0])), 0)


def own_past(program: Program, args: dict, rings: dict, past: Any, step: jax.Array, now: jax.Array, stage: float) -> jax.Array:
    """A state as it was ``past.delay`` before a stage of the step; a delay of no steps reads the stage's own state."""
    steps = args["past"][past.name]
    if stage == 0.5:
        return 0.5 * (own_past(program, args, rings, past, step, now, 0.0) + own_past(program, args, rings, past, step, now, 1.0))
    row = lax.rem(step + jnp.int32(stage) - steps + jnp.int32(program.history), jnp.int32(program.history))
    then = jnp.take_along_axis(rings[own_key(past.state)], jnp.broadcast_to(row, now.shape)[None], axis=0)[0]
    return jnp.where(steps == 0, now, then)


# ------------------------------------------------------------------------------------------------------------------ rings
def raw_key(source: str) -> str:
    """The name of the ring that holds a delayed source as it is."""
    return f"state:{source}"


def _ring_keys(link: Link) -> tuple[str, ...]:
    """The rings that a coupling sums: that of its source, or one for each signal that its ``pre`` makes."""
    if sends_itself(link.coupling):
        return (raw_key(link.coupling.source),)
    return tuple(f"{link.name}:{i}" for i in range(max(signals(link.coupling), 1)))


def contracted(program: Program) -> tuple[tuple[str, int], ...]:
    """Rings that are summed, each with the projection that it is summed over."""
    return tuple(dict.fromkeys((key, link.projection) for link in program.delayed for key in _ring_keys(link)))


def source_pasts(program: Program, args: dict, given: dict, states: dict) -> dict[str, jax.Array]:
    """The past ``(region, history, run)`` of every delayed source: as given, else constant; that of an output from its states."""
    shape = (program.regions, program.delay.history, program.width)  # type: ignore[union-attr]

    def past(name: str) -> jax.Array:
        then = given[name][:, -shape[1] :] if name in given else states[name][:, None, :]
        return jnp.broadcast_to(then, shape).astype(jnp.dtype(program.dtype))

    found = {}
    for source in program.delayed_sources:
        if source in states or source in given:
            found[source] = past(source)
        else:
            model = bound(program.model, "", {p: v[:, None, :] for p, v in args["params"].items()})
            found[source] = jnp.broadcast_to(source_value(model, source, {s: past(s) for s in states}), shape)
    return found


def ring_values(program: Program, args: dict, sources: dict[str, jax.Array], *, axis: bool = False) -> dict[str, jax.Array]:
    """What each ring stores of the values of the delayed sources (with a history axis if ``axis``)."""
    params = {p: v[:, None, :] for p, v in args["params"].items()} if axis else args["params"]
    found = {raw_key(source): values for source, values in sources.items()}
    for link in program.delayed:
        values = sources[link.coupling.source]
        if not sends_itself(link.coupling):
            made = bound(link.coupling, f"{link.name}.", params).pre(values)
            parts = made if signals(link.coupling) else (made,)
            found |= {k: jnp.broadcast_to(p, values.shape).astype(values.dtype) for k, p in zip(_ring_keys(link), parts, strict=True)}
    return found


def sent_values(program: Program, args: dict, states: dict) -> dict[str, jax.Array]:
    """What regions in these states send: for each ring ``(region, run)``, or with axes before these as the states have them."""
    model = bound(program.model, "", args["params"])
    shape = (*next(iter(states.values())).shape[:-2], program.regions, program.width)
    sources = program.delayed_sources
    values = {s: jnp.broadcast_to(source_value(model, s, states), shape).astype(jnp.dtype(program.dtype)) for s in sources}
    return ring_values(program, args, values)


def write_rings(program: Program, args: dict, states: dict, rings: dict, slot: jax.Array) -> dict:
    """Put what is sent after a step into every ring that delayed couplings read."""
    if program.delay is None:
        return rings
    history = program.delay.history
    return rings | {key: delay.write(rings[key], sent, slot, history) for key, sent in sent_values(program, args, states).items()}
