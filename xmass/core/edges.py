"""Arrays of a planned projection made again from traced weights and delays: what a plan writes on the host, as functions of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core.delay import DelayShape, Tables


def edge_index(tables: Tables, regions: int, kinds: int) -> list[np.ndarray]:
    """Per group, positions in a flat array ``(kind, target, source)``; those of padding are one beyond its end."""
    order, groups = tables
    end = kinds * regions**2
    found = []
    for table in groups:
        kind, source = np.divmod(np.maximum(table, 0), regions)
        target = order[: table.shape[2]][None, None, :]
        found.append(np.where(table >= 0, (kind * regions + target) * regions + source, end).astype(np.int32))
    return found


def edge_values(index: list[Any], matrices: jax.Array) -> list[jax.Array]:
    """Per group, the weights of its edges from matrices ``(kind, region, region)``; 0 where there is padding."""
    flat = jnp.concatenate([matrices.reshape(-1), jnp.zeros(1, matrices.dtype)])
    return [flat.at[i].get(mode="promise_in_bounds") for i in index]


def edge_bases(index: list[Any], steps: jax.Array, shape: DelayShape, width: int) -> list[jax.Array]:
    """Per group, where in the rings its edges begin to read, for whole delays ``(kind, region, region)``; 0 is an edge that is not read."""
    n = steps.shape[-1]
    rows = jnp.arange(n, dtype=jnp.uint32) * np.uint32(shape.row) + np.uint32(shape.history)
    back = jnp.where(steps > 0, steps, shape.history).astype(jnp.uint32)
    flat = ((jnp.broadcast_to(rows, steps.shape) - back) * np.uint32(width)).reshape(-1)
    flat = jnp.concatenate([flat, jnp.zeros(1, jnp.uint32)])
    return [flat.at[i].get(mode="promise_in_bounds") for i in index]


def interpolated_between(exact: jax.Array, low: jax.Array, high: jax.Array, edges: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whole delays ``(2, region, region)`` below and above exact ones in steps, and the part of the weight that each has.

    Delays of ``edges`` beyond ``low`` and ``high``, for which the projection is planned, make NaN: the run is marked as diverged.
    """
    inside = (exact >= low) & (exact <= high) | ~edges
    held = lax.stop_gradient(jnp.where(inside, jnp.clip(exact, low, high), low))  # NaN is no delay that can be read
    lower = jnp.floor(held + 1e-9)
    part = jnp.clip(held - lower, 0.0, 1.0)
    part = jnp.where(part < 1e-9, 0.0, part) + jnp.where(inside & edges, exact - lax.stop_gradient(exact), 0.0)
    part = jnp.where(inside, part, jnp.nan)
    steps = lower.astype(jnp.int32)
    return jnp.stack([steps, steps + 1]), jnp.stack([1.0 - part, part])
