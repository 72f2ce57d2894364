"""Delayed coupling: a plan made on the host, and the kernel that follows it.

The history of every source region is a row of a ring in memory, so the sum that a block of M steps receives is, for each
edge, a weight times one contiguous slice of the row. A block reads the past alone, hence M is at most the shortest delay.
Nothing above this file sees an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_GROUP = 8
_MERGE = 1.3
_LANES = 16
Tables = tuple[np.ndarray, list[np.ndarray]]
"""Targets in the order of a level, and per group the sources ``(turn, edge, target)`` over all kinds of edges; -1 pads."""
_SLICE = lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(), start_index_map=(0,))


class Level(NamedTuple):
    """One block length and the jagged groups of edges that are read with it: (turns, targets) each."""

    block: int
    groups: tuple[tuple[int, int], ...]


class DelayShape(NamedTuple):
    """All sizes that shape the compiled kernel."""

    levels: tuple[Level, ...]
    history: int
    row: int


class Delayed(NamedTuple):
    """Edges of one projection: arrays ``(structure, edge_kind, region, region)``; ``edge_kind`` is 1 long, 2 for interpolated delays."""

    weights: np.ndarray
    steps: np.ndarray
    """Whole delays; 0: none."""
    span: tuple[np.ndarray, np.ndarray] | None = None
    """The shortest and the longest whole delay that an edge may be given later, the longest 0 where there is no edge with a delay."""


class DelayPlan(NamedTuple):
    """Of one projection: the sizes, and per structure (connectome and set of delays) the index and weight arrays of every group."""

    shape: DelayShape
    arrays: list[Any]
    undelayed: list[np.ndarray] | None
    tables: list[Tables]
    """Of each level, the edges that its groups hold."""


def plan_delays(parts: Sequence[Delayed], *, width: int, ahead: int, least: int = 1) -> list[DelayPlan]:
    """Plan the delayed coupling of several projections, each of several structures, that share one compiled kernel.

    All projections advance in the same blocks and have histories of the same length.

    Parameters
    ----------
    parts : sequence of Delayed
        Weights and delays of each projection.
    width : int
        Runs in a tile.
    ahead : int
        Steps beyond the block that a scheme reads.
    least : int
        Steps that a history has at least.
    """
    spans = [(p.steps, p.steps) if p.span is None else (np.maximum(p.span[0], 1), p.span[1]) for p in parts]
    delayed = [(s > 0) & (p.weights != 0.0) if p.span is None else s > 0 for p, (_, s) in zip(parts, spans, strict=True)]
    edges = [np.asarray(d.any(axis=0)) for d in delayed]
    shortest = [np.where(d, s, np.iinfo(np.int64).max).min(axis=0) for d, (s, _) in zip(delayed, spans, strict=True)]
    history = max(1 + max(int(s[d].max(initial=0)) for d, (_, s) in zip(delayed, spans, strict=True)), least)
    found = np.concatenate([s[e] for s, e in zip(shortest, edges, strict=True)])
    blocks = _blocks(found, width, ahead) if len(found) else ()
    slack = 3 + _LANES // width
    row = 2 * history + slack
    if row % 64 == 0:
        row += slack
    return [_plan(p.weights, p.steps, s, e, blocks, history, row, width) for p, s, e in zip(parts, shortest, edges, strict=True)]


def _plan(
    weights: np.ndarray,
    steps: np.ndarray,
    shortest: np.ndarray,
    edges: np.ndarray,
    blocks: tuple[int, ...],
    history: int,
    row: int,
    width: int,
) -> DelayPlan:
    """The plan of one projection, in blocks that are those of all."""
    undelayed = [w.sum(0) for w in np.where(steps == 0, weights, 0.0)]
    levels: list[Level] = []
    every: list[Tables] = []
    arrays: list[list[dict]] = [[] for _ in weights]
    for position, block in enumerate(blocks):
        lower = block if position else 0
        upper = blocks[position + 1] if position + 1 < len(blocks) else np.iinfo(np.int64).max
        # The smallest blocks also take what is shorter than any of them would allow: there is nothing below.
        level, tables = _group(edges & (shortest >= lower) & (shortest < upper), block)
        levels.append(level)
        every.append(tables)
        for own, w, d in zip(arrays, weights, steps, strict=True):
            own.append(_fill(tables, w, d, history, row, width))
    shape = DelayShape(tuple(levels), history, row)
    return DelayPlan(shape, arrays, undelayed if any(u.any() for u in undelayed) else None, every)


def _blocks(delays: np.ndarray, width: int, ahead: int) -> tuple[int, ...]:
    """Block lengths: for a batch one, for a single run a second four times as long where most delays allow it; one more from below 4."""
    shortest = int(delays.min())
    lengths = [m - ahead for m in (4, 8, 16, 32)]
    if width > 1:
        first = min(shortest, 8 - ahead)
    else:
        first = max((m for m in lengths if m <= shortest), default=shortest)
    blocks = [first]
    limit = 16 if width > 1 else 64
    most = 2 if first + ahead >= 4 else 3
    while blocks[-1] * 4 <= limit and (delays >= blocks[-1] * 4).mean() > 0.5 and (width == 1 or blocks[-1] < 4):
        blocks.append(blocks[-1] * 4)
    return tuple(blocks[:most])


def _group(member: np.ndarray, block: int) -> tuple[Level, Tables]:
    """Sort targets by in-degree and cut their edges into groups of eight; merge neighbours where padding stays small."""
    kinds, n, _ = member.shape
    edges = member.transpose(1, 0, 2).reshape(n, kinds * n)
    degree = edges.sum(axis=1)
    order = np.argsort(-degree, kind="stable")
    counts = [int((degree > first).sum()) for first in range(0, int(degree.max(initial=0)), _GROUP)]
    groups: list[list[int]] = []
    for c in counts:
        if groups and groups[-1][1] * (groups[-1][0] + 1) < _MERGE * (groups[-1][2] + c):
            groups[-1][0] += 1
            groups[-1][2] += c
        else:
            groups.append([1, c, c])
    sources = np.full((n, len(counts) * _GROUP), -1, dtype=np.int64)
    target, source = np.nonzero(edges[order])
    sources[target, np.arange(len(target)) - np.searchsorted(target, target)] = source
    tables, first = [], 0
    for turns, targets, _ in groups:
        own = sources[:targets, first : first + turns * _GROUP]
        tables.append(own.reshape(targets, turns, _GROUP).transpose(1, 2, 0))
        first += turns * _GROUP
    return Level(block, tuple((g[0], g[1]) for g in groups)), (order, tables)


def _fill(tables: Tables, weights: np.ndarray, steps: np.ndarray, history: int, row: int, width: int) -> dict:
    """Index and weight arrays of one level for one structure. Padding reads row 0 with weight 0."""
    order, groups = tables
    n = weights.shape[-1]
    bases, values = [], []
    for table in groups:
        kind, source = np.divmod(np.maximum(table, 0), n)
        target = order[: table.shape[2]][None, None, :]
        d = steps[kind, target, source]
        w = np.where((table >= 0) & (d > 0), weights[kind, target, source], 0.0)
        d = np.where((table >= 0) & (d > 0), d, history)
        bases.append(((source * row + history - d) * width).astype(np.uint32))
        values.append(w)
    inverse = np.empty(n, dtype=np.int32)
    inverse[order] = np.arange(n, dtype=np.int32)
    return {"base": bases, "weight": values, "inverse": inverse}


def contract(ring: jax.Array, slot: jax.Array, level: Level, arrays: dict, ahead: int) -> jax.Array:
    """Sums ``(region, step, run)`` that arrive during the block which starts at ``slot`` of the ring, ``block + ahead`` steps or more."""
    n, _, runs = ring.shape
    steps = _fetched(level.block + ahead, runs)
    length = steps * runs
    flat = ring.reshape(-1)
    offset = slot.astype(jnp.uint32) * np.uint32(runs)
    total = jnp.zeros((n, length), ring.dtype)
    for (_, targets), base, weight in zip(level.groups, arrays["base"], arrays["weight"], strict=True):

        def add(part: jax.Array, edges: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            starts, values = edges
            for k in range(_GROUP):
                part = part + values[k][:, None] * _slices(flat, starts[k] + offset, length)
            return part, None

        part = jnp.zeros((targets, length), ring.dtype)
        part, _ = lax.scan(add, part, (base, weight))
        total = total + part if targets == n else total.at[:targets].add(part)
    return total[arrays["inverse"]].reshape(n, steps, runs)


def _fetched(steps: int, runs: int) -> int:
    """Steps that a slice covers: slices of whole vectors take half the time of slightly shorter ones. What is more is not used."""
    if steps * runs <= 4 or _LANES % runs:
        return steps
    return -(-steps * runs // _LANES) * _LANES // runs


def sparse_plan(weights: Sequence[np.ndarray], used: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Per matrix (region, region) with few entries, the edges that exist in any of them, or are ``used``, in groups as delayed ones."""
    kinds = np.any([w != 0.0 for w in weights] if used is None else [used], axis=0)[None]
    _, (order, tables) = _group(kinds, 0)
    inverse = np.empty(len(order), dtype=np.int32)
    inverse[order] = np.arange(len(order), dtype=np.int32)
    sources = [np.maximum(table, 0).astype(np.int32) for table in tables]
    return [
        {
            "source": sources,
            "weight": [np.where(t >= 0, w[order[: t.shape[2]], s], 0.0) for t, s in zip(tables, sources, strict=True)],
            "inverse": inverse,
            "tables": (order, tables),
        }
        for w in weights
    ]


def sparse_product(arrays: dict, x: jax.Array) -> jax.Array:
    """The product of a matrix with few entries and ``(region, run)``: only existing edges are read."""
    total = jnp.zeros_like(x)
    for source, weight in zip(arrays["source"], arrays["weight"], strict=True):

        def add(part: jax.Array, edges: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            sources, values = edges
            for k in range(_GROUP):
                part = part + values[k][:, None] * x.at[sources[k]].get(mode="promise_in_bounds")
            return part, None

        part, _ = lax.scan(add, jnp.zeros((source.shape[2], x.shape[1]), x.dtype), (source, weight))
        total = total.at[: source.shape[2]].add(part)
    return total[arrays["inverse"]]


def _slices(flat: jax.Array, start: jax.Array, width: int) -> jax.Array:
    return lax.gather(flat, start[:, None], _SLICE, slice_sizes=(width,), mode="promise_in_bounds")


def empty_ring(past: jax.Array, shape: DelayShape, slot: jax.Array) -> jax.Array:
    """A ring that holds ``past``, ``(region, history, run)`` from oldest to newest, the newest at ``slot``."""
    history = shape.history
    index = (lax.iota(jnp.int32, history) + slot.astype(jnp.int32) + 1) % history
    half = jnp.zeros_like(past).at[:, index].set(past)
    pad = jnp.zeros((past.shape[0], shape.row - 2 * history, past.shape[2]), past.dtype)
    return jnp.concatenate([half, half, pad], axis=1)


def write(ring: jax.Array, values: jax.Array, slot: jax.Array, history: int) -> jax.Array:
    """Put ``(region, run)`` at ``slot`` and at its mirror."""
    zero = jnp.zeros((), slot.dtype)
    column = values[:, None, :]
    ring = lax.dynamic_update_slice(ring, column, (zero, slot, zero))
    return lax.dynamic_update_slice(ring, column, (zero, slot + history, zero))


def read_past(ring: jax.Array, slot: jax.Array, history: int) -> jax.Array:
    """The ring's content ``(region, history, run)`` from oldest to newest, the newest at ``slot``."""
    n, _, runs = ring.shape
    zero = jnp.zeros((), slot.dtype)
    return lax.dynamic_slice(ring, (zero, slot + 1, zero), (n, history, runs))
