"""The Balloon model around the activity at a fixed point, as a linear filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.model import bound, declared_parameters
from xmass.observations.bold import BOLDSignal

_PER_MS = 1e-3


class Balloon(NamedTuple):
    """A filter of each region: rates ``(region, 4, 4)`` and entry of the activity ``(region, 4)`` per ms, readout, and value at rest."""

    local: np.ndarray
    enters: np.ndarray
    reads: np.ndarray
    value: np.ndarray

    def gain(self, w: np.ndarray) -> np.ndarray:
        """Transfer function ``(n, region)`` from activity to BOLD at angular frequencies [rad/ms]."""
        matrix = 1j * np.asarray(w)[:, None, None, None] * np.eye(4) - self.local
        return np.einsum(
            "ra,nra->nr", self.reads, np.linalg.solve(matrix, np.broadcast_to(self.enters, matrix.shape[:-1])[..., None])[..., 0]
        )


def balloon(bold: BOLDSignal, values: Mapping[str, np.ndarray], activity: np.ndarray) -> Balloon:
    """Linearise at the rest that a constant ``activity (region,)`` leads to; ``values`` are the parameters ``(region,)``.

    Raises
    ------
    ValueError
        If the activity is so negative that there is no flow.
    """
    with jax.enable_x64(True):
        filled = bound(bold, "", {d.name: jnp.asarray(values[d.name]) for d in declared_parameters(bold)})
        z = jnp.asarray(activity)
        flow = 1.0 + z / filled.gamma
        if float(flow.min()) <= 0:
            raise ValueError(
                f"the activity that {bold.name} reads is {float(z.min()):g} at the fixed point, where the Balloon model has no blood "
                "flow: it needs more than -gamma, of order 0.1 to 1. Read another state or output with of=."
            )
        volume = flow**filled.alpha
        content = volume * -jnp.expm1(jnp.log1p(-filled.rho) / flow) / filled.rho
        rest = jnp.stack([jnp.zeros_like(flow), flow, volume, content])

        def rates(state: jax.Array, z: jax.Array) -> jax.Array:
            return jnp.stack([jnp.broadcast_to(v, z.shape) for v in filled.rates(tuple(state), z)])

        def signal(state: jax.Array) -> jax.Array:
            return filled.signal(tuple(state))

        one, none = jnp.ones_like(z), jnp.zeros_like(z)
        local, reads = [], []
        for k in range(4):
            direction = jnp.zeros_like(rest).at[k].set(1.0)
            local.append(jax.jvp(lambda s: rates(s, z), (rest,), (direction,))[1])
            reads.append(jax.jvp(signal, (rest,), (direction,))[1])
        enters = jax.jvp(lambda v: rates(rest, v), (z,), (one,))[1]
        matrix = _PER_MS * np.asarray(jnp.stack(local)).transpose(2, 1, 0)
        return Balloon(matrix, _PER_MS * np.asarray(enters).T, np.asarray(jnp.stack(reads)).T, np.asarray(signal(rest) + none))
