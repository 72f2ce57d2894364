"""Wong-Wang models: NMDA-gated populations."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp

from xmass.core.model import Input, NeuralMass, Output, State, Value, parameter
from xmass.core.noise import Noise


def transfer(x: Any, a: Any, b: Any, d: Any) -> Any:
    """Rate of the population transfer function (a x - b) / (1 - exp(-d (a x - b))), finite at a x = b in value and gradient."""
    # With h = d (a x - b) / 2 the rate is (h + h coth h) / d: one tanh, and h coth h is smooth at 0. Its series is taken where
    # the derivative of h / tanh(h) would lose digits: below 0.02 it is exact to 1e-17 and the other side to 1e-5 in float32.
    h = 0.5 * d * (a * x - b)
    h2 = h * h
    small = h2 < 4e-4
    safe = jnp.where(small, 1.0, h)
    series = 1.0 + h2 * (1.0 / 3.0 - h2 * (1.0 / 45.0 - h2 * (2.0 / 945.0)))
    return (h + jnp.where(small, series, safe / jnp.tanh(safe))) * (1.0 / d)


class WongWangExcInhStep(NeuralMass):
    r"""Reduced Wong-Wang model of an excitatory and an inhibitory population (dynamic mean field).

    .. math::
        x_E &= w_p J_N S_E - J_i S_I + W_e I_o + J_N c + I_{ext}, \qquad
        x_I = J_N S_E - J_{ii} S_I + W_i I_o + \lambda J_N c \\
        \dot S_E &= -S_E/\tau_e + (1 - S_E)\,\gamma_e H(x_E; a_e, b_e, d_e) + I_{S_E} \\
        \dot S_I &= -S_I/\tau_i + \gamma_i H(x_I; a_i, b_i, d_i) + I_{S_I}, \qquad
        H(x;a,b,d) = \frac{a x - b}{1 - e^{-d(a x - b)}}

    The input ``coupling`` is c, the summed excitatory gating of the other regions: the global coupling G of the literature is
    the network's ``coupling.k`` and nothing else. Both gating variables are held in [0, 1] after each step, as in Deco et al.
    (2014). ``noise_e`` and ``noise_i`` enter the derivatives of S_e and S_i. Outputs: ``H_e`` and ``H_i``, the rates [Hz] at
    the current state and coupling.

    Parameters
    ----------
    J_i : float, Quantity or DataArray
        Feedback inhibition [nA]; see :func:`xmass.inhibition_control`.
    J_ii : float, Quantity or DataArray
        Inhibition of the inhibitory population [nA]: the 1 nA that the paper leaves unwritten in :math:`-S_I`.
    w_p, J_N, W_e, W_i, I_o, I_ext, lamda : float or DataArray
        Recurrence, NMDA weight, scaling of the background current per population, background and external current, and
        long-range feed-forward inhibition.
    a_e, b_e, d_e, gamma_e, tau_e, a_i, b_i, d_i, gamma_i, tau_i : float or DataArray
        Transfer function, kinetic factor and time constant of each population.

    References
    ----------
    Deco et al. (2014), doi:10.1523/JNEUROSCI.5068-13.2014.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.WongWangExcInhStep(), dt=1.0, precision="float64").run(4000.0, monitors=["H_e"])
    >>> round(float(run.H_e[-1, 0]), 4)
    3.0773
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Resting-state BOLD and functional connectivity"
    states: ClassVar[tuple[State, ...]] = (
        State("S_e", 0.001, "1", "excitatory gating", (0.0, 1.0)),
        State("S_i", 0.001, "1", "inhibitory gating", (0.0, 1.0)),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("S_e", "1/ms", "added to dS_e/dt"),
        Input("S_i", "1/ms", "added to dS_i/dt"),
        Input("coupling", "1", "summed excitatory gating of other regions"),
    )
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("H_e", "Hz", "excitatory rate", uses_input=True),
        Output("H_i", "Hz", "inhibitory rate", uses_input=True),
    )
    noise_targets: ClassVar[dict[str, str]] = {"noise_e": "S_e", "noise_i": "S_i"}

    noise_e: Noise | None = None
    noise_i: Noise | None = None
    noise_coupling: Noise | None = None
    a_e: Value = parameter(310.0, "Hz/nA", "excitatory gain")
    b_e: Value = parameter(125.0, "Hz", "excitatory threshold")
    d_e: Value = parameter(0.160, "s", "excitatory curvature")
    gamma_e: Value = parameter(0.641e-3, "1/(ms*Hz)", "excitatory kinetic factor")
    tau_e: Value = parameter(100.0, "ms", "NMDA time constant")
    w_p: Value = parameter(1.4, "1", "local excitatory recurrence")
    W_e: Value = parameter(1.0, "1", "background current onto E")
    a_i: Value = parameter(615.0, "Hz/nA", "inhibitory gain")
    b_i: Value = parameter(177.0, "Hz", "inhibitory threshold")
    d_i: Value = parameter(0.087, "s", "inhibitory curvature")
    gamma_i: Value = parameter(1e-3, "1/(ms*Hz)", "inhibitory kinetic factor")
    tau_i: Value = parameter(10.0, "ms", "GABA time constant")
    W_i: Value = parameter(0.7, "1", "background current onto I")
    J_N: Value = parameter(0.15, "nA", "NMDA weight")
    J_i: Value = parameter(1.0, "nA", "feedback inhibition")
    J_ii: Value = parameter(1.0, "nA", "inhibition of the inhibitory population")
    I_o: Value = parameter(0.382, "nA", "background current")
    I_ext: Value = parameter(0.0, "nA", "external current")
    lamda: Value = parameter(0.0, "1", "long-range feed-forward inhibition")

    def H_e(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Excitatory rate [Hz]."""
        x = self.w_p * self.J_N * s.S_e - self.J_i * s.S_i + self.W_e * self.I_o + self.J_N * u.coupling + self.I_ext
        return transfer(x, self.a_e, self.b_e, self.d_e)

    def H_i(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Inhibitory rate [Hz]."""
        x = self.J_N * s.S_e - self.J_ii * s.S_i + self.W_i * self.I_o + self.lamda * self.J_N * u.coupling
        return transfer(x, self.a_i, self.b_i, self.d_i)

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        return dict(
            S_e=-s.S_e / self.tau_e + (1.0 - s.S_e) * self.gamma_e * self.H_e(s, u) + u.S_e,
            S_i=-s.S_i / self.tau_i + self.gamma_i * self.H_i(s, u) + u.S_i,
        )


class ReducedWongWangStep(NeuralMass):
    r"""Reduced Wong-Wang model of a region as one excitatory population.

    .. math::
        \dot S = -S/\tau_s + (1 - S)\,\gamma H(x) + I_S, \qquad
        x = w J_N S + I_o + J_N c, \qquad
        H(x) = \frac{a x - b}{1 - e^{-d(a x - b)}}

    The input ``coupling`` is c, the summed gating of the other regions: the global coupling G of the literature is the network's
    ``coupling.k``. The gating variable is held in [0, 1] after each step. The output ``H`` is the rate at the current state and
    coupling. Times are in ms and rates in 1/ms.

    Parameters
    ----------
    a, b, d : float, Quantity or DataArray
        Gain [1/(ms nA)], threshold [1/ms] and curvature [ms] of the transfer function.
    gamma : float or DataArray
        Kinetic factor.
    tau_s : float, Quantity or DataArray
        NMDA time constant [ms].
    w : float or DataArray
        Local excitatory recurrence.
    J_N, I_o : float, Quantity or DataArray
        NMDA weight and background current [nA].
    noise_S, noise_coupling : Noise, optional
        Noise of the inputs.

    References
    ----------
    Deco et al. (2013), doi:10.1523/JNEUROSCI.1091-13.2013.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.ReducedWongWangStep(), dt=1.0).run(4000.0, monitors=["S"])
    >>> round(float(run.S[-1, 0]), 4)
    0.098
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Resting-state BOLD with one equation per region"
    states: ClassVar[tuple[State, ...]] = (State("S", 0.1, "1", "excitatory gating", (0.0, 1.0)),)
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("S", "1/ms", "added to dS/dt"),
        Input("coupling", "1", "summed excitatory gating of other regions"),
    )
    outputs: ClassVar[tuple[Output, ...]] = (Output("H", "1/ms", "rate", uses_input=True),)

    noise_S: Noise | None = None
    noise_coupling: Noise | None = None
    a: Value = parameter(0.270, "1/(ms*nA)", "gain")
    b: Value = parameter(0.108, "1/ms", "threshold")
    d: Value = parameter(154.0, "ms", "curvature")
    gamma: Value = parameter(0.641, "1", "kinetic factor")
    tau_s: Value = parameter(100.0, "ms", "NMDA time constant")
    w: Value = parameter(0.6, "1", "local excitatory recurrence")
    J_N: Value = parameter(0.2609, "nA", "NMDA weight")
    I_o: Value = parameter(0.33, "nA", "background current")

    def H(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Rate [1/ms]."""
        return transfer(self.w * self.J_N * s.S + self.I_o + self.J_N * u.coupling, self.a, self.b, self.d)

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        return dict(S=-s.S / self.tau_s + (1.0 - s.S) * self.gamma * self.H(s, u) + u.S)
