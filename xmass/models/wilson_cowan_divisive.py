"""Wilson-Cowan models with divisive inhibition: of the whole response, or of the excitatory input alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise
from xmass.models.wilson_cowan import ACTIVITIES, DRIVES, shifted_sigmoid


class WilsonCowanDivisiveStep(NeuralMass):
    r"""Wilson-Cowan model in which inhibition divides the response.

    .. math::
        \tau_e\,\dot r_E &= -r_E + \frac{1 - r_e r_E}{\sigma_e + w_{ei} r_I}\,F(w_{ee} r_E + e;\,a_e,\theta_e) + \tau_e I_E \\
        \tau_i\,\dot r_I &= -r_I + \frac{1 - r_i r_I}{\sigma_i + w_{ii} r_I}\,F(w_{ie} r_E + i;\,a_i,\theta_i) + \tau_i I_I

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. Weights are named target first: ``w_ei`` is the weight
    onto E from I. The equation has a pole at :math:`r_I = -\sigma_e / w_{ei}` and :math:`-\sigma_i / w_{ii}`, -0.15 and -0.18 by
    default: keep noise on rI well below that.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
    sigma_e, sigma_i : float or DataArray
        Semi-saturations: what the response is divided by without inhibition [1].
    tau_e, tau_i : float, Quantity or DataArray
        Time constants [ms].
    a_e, a_i, theta_e, theta_i, r_e, r_i : float or DataArray
        Slopes, thresholds and refractory fractions [1].
    noise_rE, noise_rI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``) and of the inputs inside F (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5. Divisive normalization: Carandini, Heeger (2012), doi:10.1038/nrn3136.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanDivisiveStep(), dt=0.1, precision="float64")
    >>> run = sim.run(60.0, monitors=["rE"], inputs={"e": 1.5})
    >>> round(float(run.rE[-1, 0]), 4)
    0.4033
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Gain control, normalization"
    states: ClassVar[tuple[State, ...]] = ACTIVITIES
    inputs: ClassVar[tuple[Input, ...]] = DRIVES

    noise_rE: Noise | None = None
    noise_rI: Noise | None = None
    noise_e: Noise | None = None
    noise_i: Noise | None = None
    w_ee: Value = parameter(6.0, "1", "weight onto E from E")
    w_ei: Value = parameter(6.5, "1", "weight onto E from I, in the divisor")
    w_ie: Value = parameter(2.0, "1", "weight onto I from E")
    w_ii: Value = parameter(5.5, "1", "weight onto I from I, in the divisor")
    sigma_e: Value = parameter(1.0, "1", "excitatory semi-saturation")
    sigma_i: Value = parameter(1.0, "1", "inhibitory semi-saturation")
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    a_e: Value = parameter(1.2, "1", "excitatory slope")
    a_i: Value = parameter(1.0, "1", "inhibitory slope")
    theta_e: Value = parameter(2.8, "1", "excitatory threshold")
    theta_i: Value = parameter(4.0, "1", "inhibitory threshold")
    r_e: Value = parameter(1.0, "1", "excitatory refractory fraction")
    r_i: Value = parameter(1.0, "1", "inhibitory refractory fraction")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = shifted_sigmoid(self.w_ee * s.rE + u.e, self.a_e, self.theta_e) / (self.sigma_e + self.w_ei * s.rI)
        f_i = shifted_sigmoid(self.w_ie * s.rE + u.i, self.a_i, self.theta_i) / (self.sigma_i + self.w_ii * s.rI)
        return dict(
            rE=(-s.rE + (1.0 - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (1.0 - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
        )


class WilsonCowanDivisiveInputStep(NeuralMass):
    r"""Wilson-Cowan model in which inhibition divides the recurrent input, inside the response.

    .. math::
        \tau_e\,\dot r_E &= -r_E + (1 - r_e r_E)\,F\!\left(\frac{w_{ee} r_E}{\sigma_e + w_{ei} r_I} + e;\,a_e,\theta_e\right)
        + \tau_e I_E \\
        \tau_i\,\dot r_I &= -r_I + (1 - r_i r_I)\,F\!\left(\frac{w_{ie} r_E}{\sigma_i + w_{ii} r_I} + i;\,a_i,\theta_i\right)
        + \tau_i I_I

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. External input is not divided. Weights and poles are those of
    :class:`WilsonCowanDivisiveStep`.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
    sigma_e, sigma_i : float or DataArray
        Semi-saturations: what the recurrent input is divided by without inhibition [1].
    tau_e, tau_i : float, Quantity or DataArray
        Time constants [ms].
    a_e, a_i, theta_e, theta_i, r_e, r_i : float or DataArray
        Slopes, thresholds and refractory fractions [1].
    noise_rE, noise_rI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``) and of the inputs inside F (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5. Divisive normalization: Carandini, Heeger (2012), doi:10.1038/nrn3136.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanDivisiveInputStep(), dt=0.1, precision="float64")
    >>> run = sim.run(60.0, monitors=["rE"], inputs={"e": 1.5})
    >>> round(float(run.rE[-1, 0]), 4)
    0.4187
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Gain control of recurrent input"
    states: ClassVar[tuple[State, ...]] = ACTIVITIES
    inputs: ClassVar[tuple[Input, ...]] = DRIVES

    noise_rE: Noise | None = None
    noise_rI: Noise | None = None
    noise_e: Noise | None = None
    noise_i: Noise | None = None
    w_ee: Value = parameter(6.0, "1", "weight onto E from E")
    w_ei: Value = parameter(6.5, "1", "weight onto E from I, in the divisor")
    w_ie: Value = parameter(2.0, "1", "weight onto I from E")
    w_ii: Value = parameter(5.5, "1", "weight onto I from I, in the divisor")
    sigma_e: Value = parameter(1.0, "1", "excitatory semi-saturation")
    sigma_i: Value = parameter(1.0, "1", "inhibitory semi-saturation")
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    a_e: Value = parameter(1.2, "1", "excitatory slope")
    a_i: Value = parameter(1.0, "1", "inhibitory slope")
    theta_e: Value = parameter(2.8, "1", "excitatory threshold")
    theta_i: Value = parameter(4.0, "1", "inhibitory threshold")
    r_e: Value = parameter(1.0, "1", "excitatory refractory fraction")
    r_i: Value = parameter(1.0, "1", "inhibitory refractory fraction")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = shifted_sigmoid(self.w_ee * s.rE / (self.sigma_e + self.w_ei * s.rI) + u.e, self.a_e, self.theta_e)
        f_i = shifted_sigmoid(self.w_ie * s.rE / (self.sigma_i + self.w_ii * s.rI) + u.i, self.a_i, self.theta_i)
        return dict(
            rE=(-s.rE + (1.0 - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (1.0 - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
        )
