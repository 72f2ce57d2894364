"""Wilson-Cowan models with more state than two activities: local delays, adaptation, a third population."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, Past, State, Value, parameter
from xmass.core.noise import Noise
from xmass.models.wilson_cowan import ACTIVITIES, DRIVES, shifted_sigmoid


class WilsonCowanDelayedStep(NeuralMass):
    r"""Wilson-Cowan model whose local connections take time.

    .. math::
        \tau_e\,\dot r_E &= -r_E + (1 - r_e r_E)\,F(w_{ee} r_E(t - \delta_{ee}) - w_{ei} r_I(t - \delta_{ei}) + e;\,a_e,\theta_e)
        + \tau_e I_E \\
        \tau_i\,\dot r_I &= -r_I + (1 - r_i r_I)\,F(w_{ie} r_E(t - \delta_{ie}) - w_{ii} r_I(t - \delta_{ii}) + i;\,a_i,\theta_i)
        + \tau_i I_I

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. Weights and delays are named target first: ``delay_ei`` is
    the delay of the connection onto E from I. Delays do not move the fixed points of :class:`WilsonCowanStep`, but longer ones
    make the active state oscillate.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
    delay_ee, delay_ei, delay_ie, delay_ii : float, Quantity or DataArray
        Delays, target first [ms].
    tau_e, tau_i : float, Quantity or DataArray
        Time constants [ms].
    a_e, a_i, theta_e, theta_i, r_e, r_i : float or DataArray
        Slopes, thresholds and refractory fractions [1].
    noise_rE, noise_rI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``) and of the inputs inside F (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5. Delays in this model: Coombes, Laing (2009),
    doi:10.1098/rsta.2008.0256.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanDelayedStep(), dt=0.1, precision="float64")
    >>> run = sim.run(200.0, monitors=["rE"], initial={"rE": 0.46, "rI": 0.24})
    >>> round(float(run.rE[-1, 0]), 4)
    0.4625
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Rhythms that conduction and synaptic delays make"
    states: ClassVar[tuple[State, ...]] = ACTIVITIES
    inputs: ClassVar[tuple[Input, ...]] = DRIVES
    past: ClassVar[tuple[Past, ...]] = (
        Past("E_ee", "rE", "delay_ee"),
        Past("I_ei", "rI", "delay_ei"),
        Past("E_ie", "rE", "delay_ie"),
        Past("I_ii", "rI", "delay_ii"),
    )

    noise_rE: Noise | None = None
    noise_rI: Noise | None = None
    noise_e: Noise | None = None
    noise_i: Noise | None = None
    w_ee: Value = parameter(12.0, "1", "weight onto E from E")
    w_ei: Value = parameter(4.0, "1", "weight onto E from I")
    w_ie: Value = parameter(13.0, "1", "weight onto I from E")
    w_ii: Value = parameter(11.0, "1", "weight onto I from I")
    delay_ee: Value = parameter(2.0, "ms", "delay onto E from E")
    delay_ei: Value = parameter(1.5, "ms", "delay onto E from I")
    delay_ie: Value = parameter(2.0, "ms", "delay onto I from E")
    delay_ii: Value = parameter(1.5, "ms", "delay onto I from I")
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    a_e: Value = parameter(1.2, "1", "excitatory slope")
    a_i: Value = parameter(1.0, "1", "inhibitory slope")
    theta_e: Value = parameter(2.8, "1", "excitatory threshold")
    theta_i: Value = parameter(4.0, "1", "inhibitory threshold")
    r_e: Value = parameter(1.0, "1", "excitatory refractory fraction")
    r_i: Value = parameter(1.0, "1", "inhibitory refractory fraction")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = shifted_sigmoid(self.w_ee * s.E_ee - self.w_ei * s.I_ei + u.e, self.a_e, self.theta_e)
        f_i = shifted_sigmoid(self.w_ie * s.E_ie - self.w_ii * s.I_ii + u.i, self.a_i, self.theta_i)
        return dict(
            rE=(-s.rE + (1.0 - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (1.0 - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
        )


class WilsonCowanAdaptiveStep(NeuralMass):
    r"""Wilson-Cowan model with spike-frequency adaptation of both populations.

    .. math::
        \tau_e\,\dot r_E &= -r_E + (1 - r_e r_E)\,F(w_{ee} r_E - w_{ei} r_I + e - a_E;\,a_e,\theta_e) + \tau_e I_E, \qquad
        \tau_{ae}\,\dot a_E = -a_E + b_e r_E + \tau_{ae} I_{aE} \\
        \tau_i\,\dot r_I &= -r_I + (1 - r_i r_I)\,F(w_{ie} r_E - w_{ii} r_I + i - a_I;\,a_i,\theta_i) + \tau_i I_I, \qquad
        \tau_{ai}\,\dot a_I = -a_I + b_i r_I + \tau_{ai} I_{aI}

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. The states ``aE`` and ``aI`` are the slow currents of
    adaptation; ``a_e`` and ``a_i`` are slopes, as in :class:`WilsonCowanStep`.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
    b_e, b_i : float or DataArray
        Strengths of adaptation [1].
    tau_ae, tau_ai : float, Quantity or DataArray
        Time constants of adaptation [ms].
    tau_e, tau_i : float, Quantity or DataArray
        Time constants of the activities [ms].
    a_e, a_i, theta_e, theta_i, r_e, r_i : float or DataArray
        Slopes, thresholds and refractory fractions [1].
    noise_rE, noise_rI, noise_aE, noise_aI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``, ``aE``, ``aI``) and of the inputs inside F (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5. Adaptation: Benda, Herz (2003), doi:10.1162/089976603322385063.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanAdaptiveStep(), dt=0.1, precision="float64")
    >>> run = sim.run(1500.0, monitors=["rE"], initial={"rE": 0.3})
    >>> round(float(run.rE[-1, 0]), 4)
    0.4604
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Up and down states, slow rhythms, responses that fade"
    states: ClassVar[tuple[State, ...]] = (
        *ACTIVITIES,
        State("aE", 0.0, "1", "adaptation of the excitatory population"),
        State("aI", 0.0, "1", "adaptation of the inhibitory population"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        *DRIVES,
        Input("aE", "1/ms", "added to daE/dt"),
        Input("aI", "1/ms", "added to daI/dt"),
    )

    noise_rE: Noise | None = None
    noise_rI: Noise | None = None
    noise_aE: Noise | None = None
    noise_aI: Noise | None = None
    noise_e: Noise | None = None
    noise_i: Noise | None = None
    w_ee: Value = parameter(12.0, "1", "weight onto E from E")
    w_ei: Value = parameter(4.0, "1", "weight onto E from I")
    w_ie: Value = parameter(13.0, "1", "weight onto I from E")
    w_ii: Value = parameter(11.0, "1", "weight onto I from I")
    b_e: Value = parameter(0.1, "1", "strength of excitatory adaptation")
    b_i: Value = parameter(0.08, "1", "strength of inhibitory adaptation")
    tau_ae: Value = parameter(100.0, "ms", "time constant of excitatory adaptation")
    tau_ai: Value = parameter(80.0, "ms", "time constant of inhibitory adaptation")
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    a_e: Value = parameter(1.2, "1", "excitatory slope")
    a_i: Value = parameter(1.0, "1", "inhibitory slope")
    theta_e: Value = parameter(2.8, "1", "excitatory threshold")
    theta_i: Value = parameter(4.0, "1", "inhibitory threshold")
    r_e: Value = parameter(1.0, "1", "excitatory refractory fraction")
    r_i: Value = parameter(1.0, "1", "inhibitory refractory fraction")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = shifted_sigmoid(self.w_ee * s.rE - self.w_ei * s.rI + u.e - s.aE, self.a_e, self.theta_e)
        f_i = shifted_sigmoid(self.w_ie * s.rE - self.w_ii * s.rI + u.i - s.aI, self.a_i, self.theta_i)
        return dict(
            rE=(-s.rE + (1.0 - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (1.0 - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
            aE=(-s.aE + self.b_e * s.rE) / self.tau_ae + u.aE,
            aI=(-s.aI + self.b_i * s.rI) / self.tau_ai + u.aI,
        )


class WilsonCowanThreePopulationStep(NeuralMass):
    r"""Wilson-Cowan model with a third, modulatory population.

    .. math::
        \tau_e\,\dot r_E &= -r_E + (1 - r_e r_E)\,F(w_{ee} r_E - w_{ei} r_I + w_{em} r_M + e;\,a_e,\theta_e) + \tau_e I_E \\
        \tau_i\,\dot r_I &= -r_I + (1 - r_i r_I)\,F(w_{ie} r_E - w_{ii} r_I + w_{im} r_M + i;\,a_i,\theta_i) + \tau_i I_I \\
        \tau_m\,\dot r_M &= -r_M + (1 - r_m r_M)\,F(w_{me} r_E - w_{mi} r_I + w_{mm} r_M + m;\,a_m,\theta_m) + \tau_m I_M

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. M excites with the default signs; negative ``w_em``,
    ``w_im``, ``w_mm`` make it a second class of inhibitory cells.

    Parameters
    ----------
    w_ee, w_ei, w_em, w_ie, w_ii, w_im, w_me, w_mi, w_mm : float or DataArray
        Weights, target first [1].
    tau_e, tau_i, tau_m : float, Quantity or DataArray
        Time constants [ms].
    a_e, a_i, a_m, theta_e, theta_i, theta_m, r_e, r_i, r_m : float or DataArray
        Slopes, thresholds and refractory fractions [1].
    noise_rE, noise_rI, noise_rM, noise_e, noise_i, noise_m : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``, ``rM``) and of the inputs inside F (``e``, ``i``, ``m``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5. Classes of inhibitory cells: Pfeffer, Xue, He, Huang, Scanziani (2013),
    doi:10.1038/nn.3446.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanThreePopulationStep(), dt=0.1, precision="float64")
    >>> run = sim.run(60.0, initial={"rE": 0.3})
    >>> [round(float(run[name][-1, 0]), 4) for name in ("rE", "rI", "rM")]
    [0.4813, 0.2781, 0.2052]
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Modulation, several classes of cells"
    states: ClassVar[tuple[State, ...]] = (*ACTIVITIES, State("rM", 0.0, "1", "modulatory activity"))
    inputs: ClassVar[tuple[Input, ...]] = (
        *DRIVES,
        Input("rM", "1/ms", "added to drM/dt"),
        Input("m", "1", "input of the modulatory population, inside F"),
    )

    noise_rE: Noise | None = None
    noise_rI: Noise | None = None
    noise_rM: Noise | None = None
    noise_e: Noise | None = None
    noise_i: Noise | None = None
    noise_m: Noise | None = None
    w_ee: Value = parameter(12.0, "1", "weight onto E from E")
    w_ei: Value = parameter(4.0, "1", "weight onto E from I")
    w_em: Value = parameter(4.0, "1", "weight onto E from M")
    w_ie: Value = parameter(13.0, "1", "weight onto I from E")
    w_ii: Value = parameter(11.0, "1", "weight onto I from I")
    w_im: Value = parameter(2.0, "1", "weight onto I from M")
    w_me: Value = parameter(8.0, "1", "weight onto M from E")
    w_mi: Value = parameter(6.0, "1", "weight onto M from I")
    w_mm: Value = parameter(2.0, "1", "weight onto M from M")
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    tau_m: Value = parameter(2.0, "ms", "modulatory time constant")
    a_e: Value = parameter(1.2, "1", "excitatory slope")
    a_i: Value = parameter(1.0, "1", "inhibitory slope")
    a_m: Value = parameter(1.0, "1", "modulatory slope")
    theta_e: Value = parameter(2.8, "1", "excitatory threshold")
    theta_i: Value = parameter(4.0, "1", "inhibitory threshold")
    theta_m: Value = parameter(3.5, "1", "modulatory threshold")
    r_e: Value = parameter(1.0, "1", "excitatory refractory fraction")
    r_i: Value = parameter(1.0, "1", "inhibitory refractory fraction")
    r_m: Value = parameter(1.0, "1", "modulatory refractory fraction")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = shifted_sigmoid(self.w_ee * s.rE - self.w_ei * s.rI + self.w_em * s.rM + u.e, self.a_e, self.theta_e)
        f_i = shifted_sigmoid(self.w_ie * s.rE - self.w_ii * s.rI + self.w_im * s.rM + u.i, self.a_i, self.theta_i)
        f_m = shifted_sigmoid(self.w_me * s.rE - self.w_mi * s.rI + self.w_mm * s.rM + u.m, self.a_m, self.theta_m)
        return dict(
            rE=(-s.rE + (1.0 - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (1.0 - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
            rM=(-s.rM + (1.0 - self.r_m * s.rM) * f_m) / self.tau_m + u.rM,
        )
