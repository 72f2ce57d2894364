"""Wilson-Cowan models of an excitatory and an inhibitory population: the full form, and the form without saturation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import equinox as eqx
import jax

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise

ACTIVITIES = (
    State("rE", 0.0, "1", "excitatory activity"),
    State("rI", 0.0, "1", "inhibitory activity"),
)
"""States that the members of the family share."""
DRIVES = (
    Input("rE", "1/ms", "added to drE/dt"),
    Input("rI", "1/ms", "added to drI/dt"),
    Input("e", "1", "input of the excitatory population, inside F"),
    Input("i", "1", "input of the inhibitory population, inside F"),
)
"""Inputs that the members of the family share."""


def sigmoid(x: Any, slope: Any, threshold: Any) -> Any:
    """Logistic response, 1/2 at the threshold."""
    return jax.nn.sigmoid(slope * (x - threshold))


def shifted_sigmoid(x: Any, slope: Any, threshold: Any) -> Any:
    """Logistic response, shifted so that it is 0 without input."""
    return sigmoid(x, slope, threshold) - jax.nn.sigmoid(-slope * threshold)


class WilsonCowanStep(NeuralMass):
    r"""Wilson-Cowan model with a refractory fraction.

    .. math::
        \tau_e\,\dot r_E &= -r_E + (k_e - r_e r_E)\,c_e F(x_e;\,a_e,\theta_e) + \tau_e I_E, \qquad
        x_e = \alpha_e (w_{ee} r_E - w_{ei} r_I + P + e - d_e) \\
        \tau_i\,\dot r_I &= -r_I + (k_i - r_i r_I)\,c_i F(x_i;\,a_i,\theta_i) + \tau_i I_I, \qquad
        x_i = \alpha_i (w_{ie} r_E - w_{ii} r_I + Q + i - d_i)

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`, so that no input gives no activity;
    ``shift_sigmoid=False`` leaves out the second term. Weights are named target first: ``w_ei`` is the weight onto E from I.
    P and Q are constants beside the inputs ``e`` and ``i``. :math:`d_e` is ``offset_e``. Sanz-Leon et al. (2015) write
    :math:`b_e` for ``theta_e`` and :math:`\theta_e` for ``offset_e``. The paper of 1972 has the maximum of F as
    :math:`k`, below 1; the default is 1, as in most later work.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
    tau_e, tau_i : float, Quantity or DataArray
        Time constants [ms].
    a_e, a_i, theta_e, theta_i : float or DataArray
        Slopes and thresholds of F [1].
    r_e, r_i, k_e, k_i : float or DataArray
        Refractory fractions, and the largest fraction of cells that can be active [1].
    c_e, c_i, alpha_e, alpha_i, offset_e, offset_i : float or DataArray
        Heights of the response, gains of the input and what is subtracted from it [1].
    P, Q : float or DataArray
        Constant inputs of the excitatory and the inhibitory population [1].
    shift_sigmoid : bool
        Shift F so that it is 0 without input.
    noise_rE, noise_rI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``) and of the inputs inside F (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5. Form with every parameter: Sanz-Leon, Knock, Spiegler, Jirsa (2015),
    doi:10.1016/j.neuroimage.2015.01.002.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.WilsonCowanStep(), dt=0.1, precision="float64").run(60.0, monitors=["rE"], initial={"rE": 0.3})
    >>> round(float(run.rE[-1, 0]), 4)
    0.4625
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Excitation-inhibition balance, bistability, rhythms"
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
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    a_e: Value = parameter(1.2, "1", "excitatory slope")
    a_i: Value = parameter(1.0, "1", "inhibitory slope")
    theta_e: Value = parameter(2.8, "1", "excitatory threshold")
    theta_i: Value = parameter(4.0, "1", "inhibitory threshold")
    r_e: Value = parameter(1.0, "1", "excitatory refractory fraction")
    r_i: Value = parameter(1.0, "1", "inhibitory refractory fraction")
    k_e: Value = parameter(1.0, "1", "largest excitatory activity")
    k_i: Value = parameter(1.0, "1", "largest inhibitory activity")
    c_e: Value = parameter(1.0, "1", "height of the excitatory response")
    c_i: Value = parameter(1.0, "1", "height of the inhibitory response")
    alpha_e: Value = parameter(1.0, "1", "gain of the excitatory input")
    alpha_i: Value = parameter(1.0, "1", "gain of the inhibitory input")
    offset_e: Value = parameter(0.0, "1", "subtracted from the excitatory input")
    offset_i: Value = parameter(0.0, "1", "subtracted from the inhibitory input")
    P: Value = parameter(0.0, "1", "constant input of the excitatory population")
    Q: Value = parameter(0.0, "1", "constant input of the inhibitory population")
    shift_sigmoid: bool = eqx.field(default=True, static=True, kw_only=True)

    def __check_init__(self) -> None:
        if not isinstance(self.shift_sigmoid, bool):
            raise TypeError(f"shift_sigmoid={self.shift_sigmoid!r}, needs True or False: it chooses the form of F and is no parameter.")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        response = shifted_sigmoid if self.shift_sigmoid else sigmoid
        x_e = self.alpha_e * (self.w_ee * s.rE - self.w_ei * s.rI + self.P + u.e - self.offset_e)
        x_i = self.alpha_i * (self.w_ie * s.rE - self.w_ii * s.rI + self.Q + u.i - self.offset_i)
        f_e = self.c_e * response(x_e, self.a_e, self.theta_e)
        f_i = self.c_i * response(x_i, self.a_i, self.theta_i)
        return dict(
            rE=(-s.rE + (self.k_e - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (self.k_i - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
        )


class WilsonCowanNoSaturationStep(NeuralMass):
    r"""Wilson-Cowan model without the refractory factor.

    .. math::
        \tau_e\,\dot r_E = -r_E + F(w_{ee} r_E - w_{ei} r_I + e;\,a_e,\theta_e) + \tau_e I_E, \qquad
        \tau_i\,\dot r_I = -r_I + F(w_{ie} r_E - w_{ii} r_I + i;\,a_i,\theta_i) + \tau_i I_I

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. All else is as in :class:`WilsonCowanStep`.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
    tau_e, tau_i : float, Quantity or DataArray
        Time constants [ms].
    a_e, a_i, theta_e, theta_i : float or DataArray
        Slopes and thresholds of F [1].
    noise_rE, noise_rI, noise_e, noise_i : Noise, optional
        Noise of the direct inputs (``rE``, ``rI``) and of the inputs inside F (``e``, ``i``).

    References
    ----------
    Wilson, Cowan (1972), doi:10.1016/S0006-3495(72)86068-5, with the refractory period of zero length.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanNoSaturationStep(), dt=0.1, precision="float64")
    >>> run = sim.run(60.0, monitors=["rE"], initial={"rE": 0.3})
    >>> round(float(run.rE[-1, 0]), 4)
    0.9657
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Bistable populations that can become fully active"
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
    tau_e: Value = parameter(1.0, "ms", "excitatory time constant")
    tau_i: Value = parameter(1.0, "ms", "inhibitory time constant")
    a_e: Value = parameter(1.2, "1", "excitatory slope")
    a_i: Value = parameter(1.0, "1", "inhibitory slope")
    theta_e: Value = parameter(2.8, "1", "excitatory threshold")
    theta_i: Value = parameter(4.0, "1", "inhibitory threshold")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = shifted_sigmoid(self.w_ee * s.rE - self.w_ei * s.rI + u.e, self.a_e, self.theta_e)
        f_i = shifted_sigmoid(self.w_ie * s.rE - self.w_ii * s.rI + u.i, self.a_i, self.theta_i)
        return dict(rE=(-s.rE + f_e) / self.tau_e + u.rE, rI=(-s.rI + f_i) / self.tau_i + u.rI)
