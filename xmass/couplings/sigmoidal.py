"""Couplings that saturate: in the sum over edges, or in what each region sends."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from xmass.core.coupling import Coupling
from xmass.core.model import Value, parameter


class SigmoidalCoupling(Coupling):
    r"""A logistic function of the weighted sum.

    .. math:: k\,\sigma\bigl(s\,(a \sum_j W_{ij}\,x_j(t-\tau_{ij}) + b - m)\bigr), \qquad \sigma(u) = \frac{1}{1 + e^{-u}}

    ``s`` is ``slope`` and ``m`` is ``midpoint``. Without any activity a region receives ``k`` times the value of the logistic function
    at ``s (b - m)``, half of ``k`` with the defaults.

    Parameters
    ----------
    k : float, Quantity or DataArray
        Largest current, in the unit of the target input.
    a : float, Quantity or DataArray
        Gain of the sum, per unit of the source.
    b : float or DataArray
        Added to the sum.
    slope : float or DataArray
        Steepness.
    midpoint : float or DataArray
        Where half of ``k`` is reached.
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
    >>> xm.SigmoidalCoupling(k=0.5, slope=4.0, midpoint=0.3, source="x", target="x").slope
    4.0
    """

    k: Value = parameter(1.0, "target", "largest current")
    a: Value = parameter(1.0, "1/source", "gain of the sum")
    b: Value = parameter(0.0, "1", "added to the sum")
    slope: Value = parameter(1.0, "1", "steepness")
    midpoint: Value = parameter(0.0, "1", "where half of the largest current is reached")
    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        return self.k * jax.nn.sigmoid(self.slope * (self.a * total + self.b - self.midpoint))


class HyperbolicTangentCoupling(Coupling):
    r"""The hyperbolic tangent of the weighted sum, :math:`k\tanh\bigl(s\sum_j W_{ij}\,x_j(t-\tau_{ij})\bigr)`.

    ``s`` is ``scale``. The sum saturates, not what each region sends.

    Parameters
    ----------
    k : float, Quantity or DataArray
        Largest current, in the unit of the target input.
    scale : float, Quantity or DataArray
        Gain of the sum, per unit of the source.
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
    >>> xm.HyperbolicTangentCoupling(k=0.5, source="x", target="x").scale
    2.0
    """

    k: Value = parameter(1.0, "target", "largest current")
    scale: Value = parameter(2.0, "1/source", "gain of the sum")
    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        return self.k * jnp.tanh(self.scale * total)


class SigmoidalJansenRitCoupling(Coupling):
    r"""Firing rates of distant columns, summed.

    .. math:: k \sum_j W_{ij} \Bigl[c_{min} + \frac{c_{max} - c_{min}}{1 + e^{r (m - x_j(t-\tau_{ij}))}}\Bigr]

    ``m`` is ``midpoint``. What a column sends is the rate of its pyramidal cells at their potential, the ``eeg`` of
    :class:`JansenRitStep`; it arrives as a rate in the input ``E``, beside p(t). ``c_max`` is 5 Hz, the largest rate of the model.

    Parameters
    ----------
    k : float or DataArray
        Global strength.
    c_min, c_max : float, Quantity or DataArray
        Smallest and largest rate, in the unit of the target input.
    midpoint : float, Quantity or DataArray
        Potential at which half of the rate is reached, in the unit of the source.
    r : float, Quantity or DataArray
        Steepness, per unit of the source.
    source : str
        State or output of the sending regions; ``eeg`` unless told otherwise.
    target : str
        Input of the receiving regions; ``E`` unless told otherwise.

    References
    ----------
    Jansen, Rit (1995), doi:10.1007/BF00199471.

    Examples
    --------
    >>> import xmass as xm
    >>> coupling = xm.SigmoidalJansenRitCoupling(k=10.0)
    >>> coupling.source, coupling.target, coupling.c_max
    ('eeg', 'E', 5.0)
    """

    k: Value = parameter(1.0, "1", "global strength")
    c_min: Value = parameter(0.0, "target", "smallest rate")
    c_max: Value = parameter(5.0, "target", "largest rate")
    midpoint: Value = parameter(6.0, "source", "potential at half of the rate")
    r: Value = parameter(0.56, "1/source", "steepness")
    source: str = eqx.field(default="eeg", static=True, kw_only=True)
    target: str = eqx.field(default="E", static=True, kw_only=True)

    def pre(self, x: Any) -> Any:
        return self.c_min + (self.c_max - self.c_min) * jax.nn.sigmoid(self.r * (x - self.midpoint))

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        return self.k * total
