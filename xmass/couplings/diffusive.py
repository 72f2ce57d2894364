"""Diffusive coupling."""

from __future__ import annotations

from typing import Any

import equinox as eqx

from xmass.core.coupling import Coupling
from xmass.core.model import Value, parameter


class DiffusiveCoupling(Coupling):
    r"""Weighted sum of differences, :math:`k\sum_j W_{ij}\,(x_j(t-\tau_{ij}) - x_i(t))`.

    Parameters
    ----------
    k : float, Quantity or DataArray
        Global strength, in units of the target input per unit of the source.
    source : str
        State or output of the sending regions.
    target : str
        Input of the receiving regions.

    References
    ----------
    Deco, Kringelbach, Jirsa, Ritter (2017), doi:10.1038/s41598-017-03073-5.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.DiffusiveCoupling(k=0.5, source="x", target="x").k
    0.5
    """

    k: Value = parameter(1.0, "target/source", "global strength")
    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        return self.k * (total - strength * own)
