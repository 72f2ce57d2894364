"""Additive coupling."""

from __future__ import annotations

from typing import Any

import equinox as eqx

from xmass.core.coupling import Coupling
from xmass.core.model import Value, parameter


class AdditiveCoupling(Coupling):
    r"""Weighted sum, :math:`k\sum_j W_{ij}\,x_j(t-\tau_{ij}) + b`.

    Parameters
    ----------
    k : float, Quantity or DataArray
        Global strength, in units of the target input per unit of the source.
    b : float, Quantity or DataArray
        Offset, in the unit of the target input.
    source : str
        State or output of the sending regions.
    target : str
        Input of the receiving regions.

    References
    ----------
    Sanz-Leon et al. (2015), doi:10.1016/j.neuroimage.2015.01.002.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.AdditiveCoupling(k=0.4, source="S_e", target="coupling").k
    0.4
    """

    k: Value = parameter(1.0, "target/source", "global strength")
    b: Value = parameter(0.0, "target", "offset")
    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        return self.k * total + self.b
