"""How far regions are in phase, at each time and over time."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from xmass.core.observe import Block, Observation, Timing
from xmass.observations.moments import moments_after, moments_start


def order(phases: jax.Array) -> jax.Array:
    """|mean over regions of exp(i phase)| of phases ``(time, region, run)``: ``(time, 1, run)``."""
    square = jnp.cos(phases).mean(axis=1, keepdims=True) ** 2 + jnp.sin(phases).mean(axis=1, keepdims=True) ** 2
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


class OrderParameter(Observation):
    r"""Kuramoto order parameter of phases, a series without a region: 1 when all are in phase.

    .. math:: R(t) = \left|\frac1N \sum_j e^{i\theta_j(t)}\right|

    Its :class:`Mean` is the synchrony.

    Parameters
    ----------
    of : str, Observation or callable
        Phases in rad: ``theta`` of :class:`KuramotoStep`, or a function such as ``lambda s: jnp.arctan2(s.y, s.x)``.
    name : str
        Name under which the observation is listed.

    References
    ----------
    Kuramoto (1984), doi:10.1007/978-3-642-69689-3.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.KuramotoStep(), dt=0.1, regions=5)
    >>> run = sim.run(20.0, monitors={"r": xm.OrderParameter(of="theta"), "synchrony": xm.Mean(of=xm.OrderParameter(of="theta"))}, seed=1)
    >>> run.r.dims, run.synchrony.dims
    (('r_time',), ())
    """

    unit: ClassVar[str] = "1"
    space: ClassVar[str | None] = ""

    of: Any = eqx.field(static=True, kw_only=True)
    name: str = eqx.field(default="order", static=True, kw_only=True)

    def timing(self, row: float) -> Timing:
        return Timing(1, 1)

    def init(self, like: jax.Array) -> tuple:
        return ()

    def step(self, state: tuple, block: Block, timing: Timing, row: Any) -> tuple[tuple, jax.Array]:
        return state, order(block.values)


class Metastability(Observation):
    """Standard deviation over time of the Kuramoto order parameter, over the samples after the transient.

    Parameters
    ----------
    of : str, Observation or callable
        Phases in rad, as for :class:`OrderParameter`.
    name : str
        Name under which the observation is listed.

    References
    ----------
    Shanahan (2010), doi:10.1063/1.3305451.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.KuramotoStep(), dt=0.1, regions=5)
    >>> sim.run(20.0, monitors={"m": xm.Metastability(of="theta")}, seed=1).m.ndim
    0
    """

    reduces: ClassVar[bool] = True
    unit: ClassVar[str] = "1"
    dims: ClassVar[tuple[str, ...]] = ()

    of: Any = eqx.field(static=True, kw_only=True)
    name: str = eqx.field(default="metastability", static=True, kw_only=True)

    @property
    def fewest(self) -> int:
        """As many as ``xm.metastability`` asks for."""
        return 3

    def timing(self, row: float) -> Timing:
        return Timing(1, 0)

    def memory(self, entries: int) -> int:
        return 1

    def init(self, like: jax.Array) -> dict[str, jax.Array]:
        return moments_start(like[:1])

    def step(self, state: dict[str, jax.Array], block: Block, timing: Timing, row: Any) -> tuple[dict[str, jax.Array], None]:
        return moments_after(state, order(block.values), block.mask()), None

    def value(self, state: dict[str, jax.Array]) -> jax.Array:
        square = (state["moment"] / state["count"])[0]
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
