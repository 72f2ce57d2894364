"""Wilson-Cowan models of an excitatory and an inhibitory population."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise


def shifted_sigmoid(x: Any, slope: Any, threshold: Any) -> Any:
    """Logistic response, shifted so that it is 0 without input."""
    return jax.nn.sigmoid(slope * (x - threshold)) - jax.nn.sigmoid(-slope * threshold)


class WilsonCowanStep(NeuralMass):
    r"""Wilson-Cowan model with a refractory fraction.

    .. math::
        \tau_e\,\dot r_E &= -r_E + (1 - r_e r_E)\,F(w_{ee} r_E - w_{ei} r_I + e;\,a_e,\theta_e) + \tau_e I_E \\
        \tau_i\,\dot r_I &= -r_I + (1 - r_i r_I)\,F(w_{ie} r_E - w_{ii} r_I + i;\,a_i,\theta_i) + \tau_i I_I

    with :math:`F(x;a,\theta) = \sigma(a(x-\theta)) - \sigma(-a\theta)`. Weights are named target first: ``w_ei`` is the weight
    onto E from I. The paper's saturation is :math:`k - r E` with k the maximum of F; here k = 1.

    Parameters
    ----------
    w_ee, w_ei, w_ie, w_ii : float or DataArray
        Weights, target first [1].
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
    >>> run = xm.Simulator(xm.WilsonCowanStep(), dt=0.1, precision="float64").run(60.0, monitors=["rE"], initial={"rE": 0.3})
    >>> round(float(run.rE[-1, 0]), 4)
    0.4625
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Excitation-inhibition balance, bistability, rhythms"
    states: ClassVar[tuple[State, ...]] = (
        State("rE", 0.0, "1", "excitatory activity"),
        State("rI", 0.0, "1", "inhibitory activity"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("rE", "1/ms", "added to drE/dt"),
        Input("rI", "1/ms", "added to drI/dt"),
        Input("e", "1", "input of the excitatory population, inside F"),
        Input("i", "1", "input of the inhibitory population, inside F"),
    )

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

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f_e = shifted_sigmoid(self.w_ee * s.rE - self.w_ei * s.rI + u.e, self.a_e, self.theta_e)
        f_i = shifted_sigmoid(self.w_ie * s.rE - self.w_ii * s.rI + u.i, self.a_i, self.theta_i)
        return dict(
            rE=(-s.rE + (1.0 - self.r_e * s.rE) * f_e) / self.tau_e + u.rE,
            rI=(-s.rI + (1.0 - self.r_i * s.rI) * f_i) / self.tau_i + u.rI,
        )
