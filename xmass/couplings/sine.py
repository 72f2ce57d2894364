"""Coupling of phases."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from xmass.core.coupling import Coupling
from xmass.core.model import Value, parameter


class SineCoupling(Coupling):
    r"""Sine of phase differences, :math:`k\sum_j W_{ij}\,\sin(\theta_j(t-\tau_{ij}) - \theta_i(t) - \alpha)`.

    The coupling of Kuramoto, with a phase lag :math:`\alpha` that of Sakaguchi and Kuramoto, and with the delays of the network. The own
    phase has no delay. The sum is not divided by the number of regions: for the all-to-all model of strength K give ``k=K/N``.
    A region sends its sine and its cosine; it is these that ``delays="linear"`` interpolates.

    Parameters
    ----------
    k : float, Quantity or DataArray
        Global strength, in the unit of the target input.
    alpha : float, Quantity or DataArray
        Phase lag of the receiving region [rad].
    source : str
        Phase of the sending regions [rad]; ``theta`` unless told otherwise.
    target : str
        Input of the receiving regions; ``theta`` unless told otherwise.

    References
    ----------
    Sakaguchi, Kuramoto (1986), doi:10.1143/PTP.76.576.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.SineCoupling(k=0.1, alpha=0.3).alpha
    0.3
    """

    k: Value = parameter(1.0, "target", "global strength")
    alpha: Value = parameter(0.0, "rad", "phase lag")
    source: str = eqx.field(default="theta", static=True, kw_only=True)
    target: str = eqx.field(default="theta", static=True, kw_only=True)

    def pre(self, x: Any) -> Any:
        return jnp.sin(x), jnp.cos(x)

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        sines, cosines = total
        return self.k * (jnp.cos(own + self.alpha) * sines - jnp.sin(own + self.alpha) * cosines)
