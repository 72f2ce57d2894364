"""Mean and variance over time as running reductions."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from xmass.core.observe import Block, Observation, Timing


def moments_start(like: jax.Array) -> dict[str, jax.Array]:
    """No samples yet, of entries shaped as ``like``."""
    zero = jnp.zeros_like(like)
    return {"count": jnp.zeros((), like.dtype), "origin": zero, "mean": zero, "moment": zero}


def moments_after(state: dict[str, jax.Array], values: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
    """Merge the masked rows of a block: count, first sample, mean and second moment of what is left after subtracting it.

    Chan, Golub, LeVeque 1983, doi:10.1080/00031305.1983.10483115. Differences of close numbers are exact, so everything is
    rounded on the scale of the fluctuations, however large the mean.
    """
    weight = mask.astype(values.dtype)[:, None, None]
    count = weight.sum()
    first = jax.lax.dynamic_index_in_dim(values, jnp.argmax(mask), 0, keepdims=False)
    origin = jnp.where(state["count"] > 0, state["origin"], first)
    x = jnp.where(weight > 0, values - origin, 0.0)
    mean = x.sum(axis=0) / jnp.maximum(count, 1.0)
    centred = jnp.where(weight > 0, x - mean, 0.0)
    total = state["count"] + count
    share = count / jnp.maximum(total, 1.0)
    shift = mean - state["mean"]
    return {
        "count": total,
        "origin": origin,
        "mean": state["mean"] + shift * share,
        "moment": state["moment"] + (centred * centred).sum(axis=0) + shift * shift * (share * state["count"]),
    }


class Mean(Observation):
    """Mean over the samples after the transient.

    Parameters
    ----------
    of : str, Observation or callable
        A series: a state, an output or another observation.
    name : str
        Name under which the observation is listed.

    References
    ----------
    Chan, Golub, LeVeque (1983), doi:10.1080/00031305.1983.10483115.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.LinearStep(), dt=0.1, regions=3)
    >>> sim.run(20.0, monitors={"level": xm.Mean(of="x")}).level.dims
    ('region',)
    """

    reduces: ClassVar[bool] = True
    dims: ClassVar[tuple[str, ...]] = ("region",)

    of: Any = eqx.field(static=True, kw_only=True)
    name: str = eqx.field(default="mean", static=True, kw_only=True)

    def timing(self, row: float) -> Timing:
        return Timing(1, 0)

    def memory(self, entries: int) -> int:
        return 3

    def init(self, like: jax.Array) -> dict[str, jax.Array]:
        return moments_start(like)

    def step(self, state: dict[str, jax.Array], block: Block, timing: Timing, row: Any) -> tuple[dict[str, jax.Array], None]:
        return moments_after(state, block.values, block.mask()), None

    def value(self, state: dict[str, jax.Array]) -> jax.Array:
        return state["origin"] + state["mean"]


class Variance(Observation):
    """Variance over the samples after the transient, exact to the last digits however large the mean.

    Parameters
    ----------
    of : str, Observation or callable
        A series: a state, an output or another observation.
    ddof : int
        Divide by the number of samples less this.
    name : str
        Name under which the observation is listed.

    References
    ----------
    Chan, Golub, LeVeque (1983), doi:10.1080/00031305.1983.10483115.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1, regions=3)
    >>> sim.run(20.0, monitors={"power": xm.Variance(of="x")}).power.dims
    ('region',)
    """

    reduces: ClassVar[bool] = True
    unit: ClassVar[str] = "source*source"
    dims: ClassVar[tuple[str, ...]] = ("region",)

    of: Any = eqx.field(static=True, kw_only=True)
    ddof: int = eqx.field(default=0, static=True, kw_only=True)
    name: str = eqx.field(default="variance", static=True, kw_only=True)

    @property
    def fewest(self) -> int:
        """One sample has no variance."""
        return 2 + self.ddof

    def timing(self, row: float) -> Timing:
        return Timing(1, 0)

    def memory(self, entries: int) -> int:
        return 3

    def init(self, like: jax.Array) -> dict[str, jax.Array]:
        return moments_start(like)

    def step(self, state: dict[str, jax.Array], block: Block, timing: Timing, row: Any) -> tuple[dict[str, jax.Array], None]:
        return moments_after(state, block.values, block.mask()), None

    def value(self, state: dict[str, jax.Array]) -> jax.Array:
        return state["moment"] / (state["count"] - self.ddof)
