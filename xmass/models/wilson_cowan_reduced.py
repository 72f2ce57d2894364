"""Wilson-Cowan models with fewer parameters: one set for both populations, one weight per source, a linear response."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise
from xmass.models.wilson_cowan import ACTIVITIES, DRIVES, shifted_sigmoid


class WilsonCowanSymmetricStep(NeuralMass):
    r"""Wilson-Cowan model whose populations differ in their weights only.

    .. math::
        \tau\,\dot r_E = -r_E + (1 - r\,r_E)\,F(w_{ee} r_E - w_{ei} r_I + e) + \tau I_E, \qquad
        \tau\,\dot r_I = -r_I + (1 - r\,r_I)\,F(w_{ie} r_E - w_{ii} r_I + i) + \tau I_I

    with :math:`F(x) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. All else is as in :class:`WilsonCowanStep`.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
    tau : float, Quantity or DataArray
        Time constant of both populations [ms].
    a, theta, r : float or DataArray
        Slope, threshold and refractory fraction of both populations [1].
    noise_rE, noise_rI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``) and of the inputs inside F (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.WilsonCowanSymmetricStep().theta
    3.4
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Mathematical analysis with few parameters"
    states: ClassVar[tuple[State, ...]] = ACTIVITIES
    inputs: ClassVar[tuple[Input, ...]] = DRIVES

    noise_rE: Noise | None = None
    noise_rI: Noise | None = None
    noise_e: Noise | None = None
    noise_i: Noise | None = None
    w_ee: Value = parameter(12.0, "1", "weight onto E from E")
    w_ei: Value = parameter(4.0, "1", "weight onto E from I")
    w_ie: Value = parameter(13.0, "1", "weight onto I from E")
    w_ii: Value = parameter(11.0, "1", "weight onto I from I")
    tau: Value = parameter(1.0, "ms", "time constant")
    a: Value = parameter(1.1, "1", "slope")
    theta: Value = parameter(3.4, "1", "threshold")
    r: Value = parameter(1.0, "1", "refractory fraction")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = shifted_sigmoid(self.w_ee * s.rE - self.w_ei * s.rI + u.e, self.a, self.theta)
        f_i = shifted_sigmoid(self.w_ie * s.rE - self.w_ii * s.rI + u.i, self.a, self.theta)
        return dict(
            rE=(-s.rE + (1.0 - self.r * s.rE) * f_e) / self.tau + u.rE,
            rI=(-s.rI + (1.0 - self.r * s.rI) * f_i) / self.tau + u.rI,
        )


class WilsonCowanSimplifiedStep(NeuralMass):
    r"""Wilson-Cowan model in which both populations receive the same recurrent input.

    .. math::
        \tau_e\,\dot r_E &= -r_E + (1 - r_e r_E)\,F(w_{exc} r_E - w_{inh} r_I + e;\,a_e,\theta_e) + \tau_e I_E \\
        \tau_i\,\dot r_I &= -r_I + (1 - r_i r_I)\,F(w_{exc} r_E - w_{inh} r_I + i;\,a_i,\theta_i) + \tau_i I_I

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. All else is as in :class:`WilsonCowanStep`.

    Parameters
    ----------
    w_exc, w_inh : float or DataArray
        Weights from E and from I, onto both populations [1].
    tau_e, tau_i : float, Quantity or DataArray
        Time constants [ms].
    a_e, a_i, theta_e, theta_i, r_e, r_i : float or DataArray
        Slopes, thresholds and refractory fractions [1].
    noise_rE, noise_rI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``) and of the inputs inside F (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.WilsonCowanSimplifiedStep().w_inh
    12.0
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Excitation-inhibition balance with two weights"
    states: ClassVar[tuple[State, ...]] = ACTIVITIES
    inputs: ClassVar[tuple[Input, ...]] = DRIVES

    noise_rE: Noise | None = None
    noise_rI: Noise | None = None
    noise_e: Noise | None = None
    noise_i: Noise | None = None
    w_exc: Value = parameter(8.0, "1", "weight from E onto both")
    w_inh: Value = parameter(12.0, "1", "weight from I onto both")
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    a_e: Value = parameter(1.2, "1", "excitatory slope")
    a_i: Value = parameter(1.0, "1", "inhibitory slope")
    theta_e: Value = parameter(2.8, "1", "excitatory threshold")
    theta_i: Value = parameter(4.0, "1", "inhibitory threshold")
    r_e: Value = parameter(1.0, "1", "excitatory refractory fraction")
    r_i: Value = parameter(1.0, "1", "inhibitory refractory fraction")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        x = self.w_exc * s.rE - self.w_inh * s.rI
        f_e = shifted_sigmoid(x + u.e, self.a_e, self.theta_e)
        f_i = shifted_sigmoid(x + u.i, self.a_i, self.theta_i)
        return dict(
            rE=(-s.rE + (1.0 - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (1.0 - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
        )


class WilsonCowanLinearStep(NeuralMass):
    r"""Wilson-Cowan model with a threshold-linear response.

    .. math::
        \tau_e\,\dot r_E = -r_E + (1 - r_e r_E)\,[w_{ee} r_E - w_{ei} r_I + e]_+ + \tau_e I_E, \qquad
        \tau_i\,\dot r_I = -r_I + (1 - r_i r_I)\,[w_{ie} r_E - w_{ii} r_I + i]_+ + \tau_i I_I

    with :math:`[x]_+ = \max(x, 0)`, whose gradient at 0 is taken as 0.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
    tau_e, tau_i : float, Quantity or DataArray
        Time constants [ms].
    r_e, r_i : float or DataArray
        Refractory fractions [1].
    noise_rE, noise_rI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``) and of the inputs inside the response (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5, with another response.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanLinearStep(), dt=0.1, precision="float64")
    >>> run = sim.run(60.0, monitors=["rE"], inputs={"e": 0.5})
    >>> round(float(run.rE[-1, 0]), 4)
    0.4415
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Rate dynamics that can be solved by hand"
    states: ClassVar[tuple[State, ...]] = ACTIVITIES
    inputs: ClassVar[tuple[Input, ...]] = DRIVES

    noise_rE: Noise | None = None
    noise_rI: Noise | None = None
    noise_e: Noise | None = None
    noise_i: Noise | None = None
    w_ee: Value = parameter(0.8, "1", "weight onto E from E")
    w_ei: Value = parameter(0.3, "1", "weight onto E from I")
    w_ie: Value = parameter(1.0, "1", "weight onto I from E")
    w_ii: Value = parameter(0.85, "1", "weight onto I from I")
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    r_e: Value = parameter(1.0, "1", "excitatory refractory fraction")
    r_i: Value = parameter(1.0, "1", "inhibitory refractory fraction")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = jax.nn.relu(self.w_ee * s.rE - self.w_ei * s.rI + u.e)
        f_i = jax.nn.relu(self.w_ie * s.rE - self.w_ii * s.rI + u.i)
        return dict(
            rE=(-s.rE + (1.0 - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (1.0 - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
        )
