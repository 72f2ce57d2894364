"""Functional connectivity as a running reduction."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from xmass.core.observe import Block, Observation, Timing


class FunctionalConnectivity(Observation):
    """Pearson correlation between regions over the samples after the transient.

    Means and co-moments of what is left after subtracting the first counted sample are merged block by block (Chan, Golub,
    LeVeque 1983, doi:10.1080/00031305.1983.10483115), so a mean that is large against the fluctuations does no harm.

    Parameters
    ----------
    of : str, Observation or callable
        A series: a state, an output or another observation such as :class:`BOLDSignal`.
    detrend : {"linear", None}
        Remove each region's linear trend over time first. It needs at least 4 samples, 3 without.
    name : str
        Name under which the observation is listed.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1, regions=3)
    >>> sim.run(20.0, monitors={"fc": xm.FunctionalConnectivity(of="x")}).fc.dims
    ('region', 'region_other')
    """

    reduces: ClassVar[bool] = True
    unit: ClassVar[str] = "1"

    of: Any = eqx.field(static=True, kw_only=True)
    detrend: Literal["linear"] | None = eqx.field(default=None, static=True, kw_only=True)
    name: str = eqx.field(default="fc", static=True, kw_only=True)

    @property
    def fewest(self) -> int:
        """Two points, or three without their trend, lie on a line: their correlation is 1 or -1 whatever they are."""
        return 4 if self.detrend else 3

    def timing(self, row: float) -> Timing:
        return Timing(1, 0)

    def init(self, like: jax.Array) -> dict[str, jax.Array]:
        n, runs = like.shape
        zero = jnp.zeros((), like.dtype)
        state = {
            "count": zero,
            "origin": jnp.zeros_like(like),
            "mean": jnp.zeros_like(like),
            "moment": jnp.zeros((runs, n, n), like.dtype),
        }
        if self.detrend == "linear":
            state |= {"time": zero, "time_moment": zero, "slope_moment": jnp.zeros_like(like)}
        return state

    def step(self, state: dict[str, jax.Array], block: Block, timing: Timing, row: Any) -> tuple[dict[str, jax.Array], None]:
        mask = block.mask()
        kept = mask.astype(block.values.dtype)
        count = kept.sum()
        # Differences of close numbers are exact, so the block's mean is rounded on the scale of the fluctuations.
        first = jax.lax.dynamic_index_in_dim(block.values, jnp.argmax(mask), 0, keepdims=False)
        origin = jnp.where(state["count"] > 0, state["origin"], first)
        x = block.values - origin
        divisor = jnp.maximum(count, 1.0)
        weight = kept[:, None, None]
        mean = jnp.where(weight > 0, x, 0.0).sum(axis=0) / divisor
        centred = jnp.where(weight > 0, x - mean, 0.0)
        total = state["count"] + count
        share = state["count"] * count / jnp.maximum(total, 1.0)
        shift = mean - state["mean"]
        by_run = jnp.transpose(centred, (2, 1, 0))
        moment = jnp.matmul(by_run, jnp.swapaxes(by_run, 1, 2), precision=jax.lax.Precision.HIGHEST)
        step = jnp.transpose(shift)
        new = {
            "count": total,
            "origin": origin,
            "mean": state["mean"] + shift * count / jnp.maximum(total, 1.0),
            "moment": state["moment"] + moment + step[:, :, None] * step[:, None, :] * share,
        }
        if self.detrend == "linear":
            index = (jax.lax.iota(jnp.int32, x.shape[0]) + block.first).astype(x.dtype)
            time = (index * kept).sum() / divisor
            late = (index - time) * kept
            lag = time - state["time"]
            new["time"] = state["time"] + lag * count / jnp.maximum(total, 1.0)
            new["time_moment"] = state["time_moment"] + (late * late).sum() + lag * lag * share
            new["slope_moment"] = state["slope_moment"] + (late[:, None, None] * centred).sum(axis=0) + lag * shift * share
        return new, None

    def record(self) -> dict[str, str]:
        return {"preprocess": json.dumps([{"detrend": self.detrend}])} if self.detrend else {}

    def value(self, state: dict[str, jax.Array]) -> jax.Array:
        moment = state["moment"]
        if self.detrend == "linear":
            slope = jnp.transpose(state["slope_moment"])
            moment = moment - slope[:, :, None] * slope[:, None, :] / jnp.where(state["time_moment"] > 0, state["time_moment"], 1.0)
        variance = jnp.diagonal(moment, axis1=1, axis2=2)
        scale = jnp.sqrt(variance[:, :, None] * variance[:, None, :])
        fc = jnp.clip(moment / jnp.where(scale > 0, scale, jnp.nan), -1.0, 1.0)
        n = fc.shape[-1]
        fc = jnp.where(jnp.eye(n, dtype=bool) & (scale > 0), 1.0, fc)
        return jnp.moveaxis(fc, 0, -1)
