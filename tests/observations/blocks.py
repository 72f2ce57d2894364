"""An observation fed a series in blocks of any size, by the protocol alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.engine import advance_node
from xmass.core.model import bound, declared_parameters, parameter_value
from xmass.core.observe import Block, Node, Source
from xmass.labelled.monitors import plain_times


def fed(observation, series, size, *, row=1.0, keep=0):
    """Rows of a series, or the value of a reduction, of ``series (time, region, run)`` taken ``size`` rows at a time.

    ``keep`` rows at the start are a transient. Float64.
    """
    with jax.enable_x64(True):
        observation = plain_times(observation).fitted(row, keep, len(series))
        timing = observation.timing(row)
        name = f"{observation.name}."
        params = {name + d.name: jnp.asarray(parameter_value(observation, d.name), jnp.float64) for d in declared_parameters(observation)}
        observation = bound(observation, name, params)
        node = Node(observation, Source("state", "x"), timing, timing.period, 1, max(timing.period, 1))
        state = observation.init(jnp.zeros(series.shape[1:], jnp.float64))

        @jax.jit
        def step(state, values, t0, lo, hi):
            block = Block(values, lo, hi, t0, jnp.int32(keep), jnp.bool_(True))
            return advance_node(node, observation, state, block, size, t0, jnp.int32(keep), jnp.asarray(row))

        rows = []
        for t0 in range(0, len(series), size):
            part = np.zeros((size, *series.shape[1:]))
            count = min(size, len(series) - t0)
            part[:count] = series[t0 : t0 + count]
            state, made = step(state, jnp.asarray(part), jnp.int32(t0), jnp.int32(0), jnp.int32(count))
            if made is not None and bool(made.due):
                rows.append(np.asarray(made.values)[int(made.lo) : int(made.hi)])
        return np.asarray(observation.value(state)) if observation.reduces else np.concatenate(rows)


def relative(a, b):
    """Largest difference over the largest value."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return np.abs(a - b).max() / np.abs(b).max()
