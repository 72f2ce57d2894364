"""The arrays of a run's first tile, as the compiled functions take them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import xmass as xm
from xmass.labelled import execute
from xmass.labelled.resolve import Request, Resolved, resolve


def first_tile(sim: xm.Simulator, duration: float, **given: Any) -> tuple[Resolved, dict, dict]:
    """A resolved run, its arguments and its initial state; stimuli cover all segments."""
    resolved = resolve(sim.config, Request(duration, **given))
    members = execute.tiles_of(resolved, np.arange(resolved.runs))[0]
    k = resolved.program.segment
    first, last = resolved.start // k, -(-resolved.stop // k)
    with jax.enable_x64(resolved.config.precision == "float64"):
        args = execute._arguments(resolved, members, execute._StructureArrays(resolved))
        args["stimulus"] = {
            s.name: jnp.asarray(
                s.rows(resolved.sizes, members, first * k, (last - first) * k, resolved.config.dt, resolved.program.regions),
                resolved.config.precision,
            )
            for s in resolved.stimuli
            if not s.constant
        }
        return resolved, args, execute._initial(resolved, members)
