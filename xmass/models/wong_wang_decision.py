"""Wong-Wang model of a decision: two populations that compete, and the threshold-linear form in which they do not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp

from xmass.core.model import Input, NeuralMass, Output, State, Value, parameter
from xmass.core.noise import Noise, OUProcess
from xmass.models.wong_wang import transfer

STATES = (
    State("S1", 0.0, "1", "gating of the population for choice 1", (0.0, 1.0)),
    State("S2", 0.0, "1", "gating of the population for choice 2", (0.0, 1.0)),
)
INPUTS = (
    Input("S1", "1/ms", "added to dS1/dt"),
    Input("S2", "1/ms", "added to dS2/dt"),
    Input("I1", "nA", "current into population 1"),
    Input("I2", "nA", "current into population 2"),
    Input("coherence", "1", "evidence for choice 1, from -1 to 1"),
)
OUTPUTS = (
    Output("r1", "Hz", "rate of population 1", uses_input=True),
    Output("r2", "Hz", "rate of population 2", uses_input=True),
)
NOISES = {"noise_s1": "I1", "noise_s2": "I2", "noise_gating1": "S1", "noise_gating2": "S2"}


def currents(m: Any, s: SimpleNamespace, u: SimpleNamespace) -> tuple[Any, Any]:
    """Total current into each population [nA]: recurrence, stimulus, background, and what comes from outside."""
    stimulus = m.J_A_ext * m.mu_0
    return (
        m.J_N11 * s.S1 - m.J_N12 * s.S2 + stimulus * (1.0 + u.coherence) + m.I_0 + u.I1,
        m.J_N22 * s.S2 - m.J_N21 * s.S1 + stimulus * (1.0 - u.coherence) + m.I_0 + u.I2,
    )


def gating(S: Any, rate: Any, tau: Any, gamma: Any) -> Any:
    """Derivative of an NMDA gating variable under the population's own rate."""
    return -S / tau + (1.0 - S) * gamma * rate


class WongWangStep(NeuralMass):
    r"""Reduced Wong-Wang model of a two-choice decision: two populations excite themselves and inhibit each other.

    .. math::
        \dot S_i &= -S_i/\tau_S + (1 - S_i)\,\gamma\,r_i + I_{S_i}, \qquad
        r_i = \frac{a x_i - b}{1 - e^{-d(a x_i - b)}} \\
        x_1 &= J_{N11} S_1 - J_{N12} S_2 + J_{A,ext}\,\mu_0 (1 + c) + I_0 + I_1 \\
        x_2 &= J_{N22} S_2 - J_{N21} S_1 + J_{A,ext}\,\mu_0 (1 - c) + I_0 + I_2

    The stimulus has the rate ``mu_0`` and the coherence c, an input in fractions of one: 25.6 % is 0.256. Under it the
    symmetric state is a saddle, and one population wins. The outputs ``r1`` and ``r2`` are the rates at the current state,
    stimulus and noise; :func:`xmass.decision` reads choice and decision time from them.

    The noise of the paper is in the currents, :math:`\tau\dot\eta = -\eta + \xi\sqrt{\tau\sigma^2}` with
    :math:`\tau = 2` ms and :math:`\sigma = 0.02` nA, whose standard deviation is :math:`\sigma/\sqrt 2`:
    ``noise_s1=OUProcess(sigma=0.02 / 2**0.5, tau=2.0)``; :meth:`noisy` sets both. Other regions act through ``I1`` and ``I2``.

    The weights are those of the paper's model without recurrent AMPA currents, to which ``J_A_ext`` belongs.

    Parameters
    ----------
    a, b, d : float, Quantity or DataArray
        Gain, threshold and curvature of the transfer function.
    gamma : float or DataArray
        Kinetic factor, 0.641 of the paper in 1/(ms Hz).
    tau_S : float, Quantity or DataArray
        NMDA time constant [ms].
    J_N11, J_N22, J_N12, J_N21 : float, Quantity or DataArray
        Self-excitation and mutual inhibition [nA]; ``J_N12`` onto population 1 from population 2.
    J_A_ext, mu_0 : float, Quantity or DataArray
        Weight [nA/Hz] and rate [Hz] of the stimulus.
    I_0 : float, Quantity or DataArray
        Background current [nA].
    noise_s1, noise_s2 : Noise, optional
        Noise of the currents ``I1`` and ``I2``; not white.
    noise_gating1, noise_gating2 : Noise, optional
        Noise of the direct inputs ``S1`` and ``S2``.
    noise_coherence : Noise, optional
        Noise of the evidence; not white.

    References
    ----------
    Wong, Wang (2006), doi:10.1523/JNEUROSCI.3733-05.2006.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WongWangStep(), dt=0.5)
    >>> run = sim.run(2000.0, monitors=["r1", "r2"], inputs={"coherence": 0.256})
    >>> int(xm.decision(run).choice[0])
    1
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Two-choice decision, working memory"
    states: ClassVar[tuple[State, ...]] = STATES
    inputs: ClassVar[tuple[Input, ...]] = INPUTS
    outputs: ClassVar[tuple[Output, ...]] = OUTPUTS
    noise_targets: ClassVar[dict[str, str]] = NOISES

    noise_s1: Noise | None = None
    noise_s2: Noise | None = None
    noise_gating1: Noise | None = None
    noise_gating2: Noise | None = None
    noise_coherence: Noise | None = None
    a: Value = parameter(270.0, "Hz/nA", "gain")
    b: Value = parameter(108.0, "Hz", "threshold")
    d: Value = parameter(0.154, "s", "curvature")
    gamma: Value = parameter(0.641e-3, "1/(ms*Hz)", "kinetic factor")
    tau_S: Value = parameter(100.0, "ms", "NMDA time constant")
    J_N11: Value = parameter(0.2609, "nA", "weight of population 1 onto itself")
    J_N22: Value = parameter(0.2609, "nA", "weight of population 2 onto itself")
    J_N12: Value = parameter(0.0497, "nA", "inhibition of population 1 by population 2")
    J_N21: Value = parameter(0.0497, "nA", "inhibition of population 2 by population 1")
    J_A_ext: Value = parameter(5.2e-4, "nA/Hz", "weight of the stimulus")
    mu_0: Value = parameter(30.0, "Hz", "rate of the stimulus")
    I_0: Value = parameter(0.3255, "nA", "background current")

    def r1(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Rate of population 1 [Hz]."""
        return transfer(currents(self, s, u)[0], self.a, self.b, self.d)

    def r2(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Rate of population 2 [Hz]."""
        return transfer(currents(self, s, u)[1], self.a, self.b, self.d)

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        return dict(
            S1=gating(s.S1, self.r1(s, u), self.tau_S, self.gamma) + u.S1,
            S2=gating(s.S2, self.r2(s, u), self.tau_S, self.gamma) + u.S2,
        )

    @classmethod
    def noisy(cls, sigma: Value = 0.02, tau: Value = 2.0) -> WongWangStep:
        """The model with the noise of Wong and Wang (2006) in both currents.

        Parameters
        ----------
        sigma : float
            Amplitude as the paper writes it [nA]; the standard deviation of each current is sigma / √2.
        tau : float or Quantity
            AMPA time constant [ms].

        Examples
        --------
        >>> import xmass as xm
        >>> round(xm.WongWangStep.noisy().noise_s1.sigma, 5)
        0.01414
        """
        spread = sigma * 0.5**0.5
        return cls(noise_s1=OUProcess(sigma=spread, tau=tau), noise_s2=OUProcess(sigma=spread, tau=tau))


class WongWangNoDecisionStep(NeuralMass):
    r"""Threshold-linear form of the Wong-Wang equations, compatible with brainmass. **It is no model of a decision.**

    .. math::
        \dot S_i &= -S_i/\tau_S + (1 - S_i)\,\gamma\,r_i + I_{S_i}, \qquad r_i = a\,[x_i - \theta]_+ \\
        x_1 &= J_{N11} S_1 - J_{N12} S_2 + J_{A,ext}\,\mu_0 (1 + c) + I_0 + I_1 \\
        x_2 &= J_{N22} S_2 - J_{N21} S_1 + J_{A,ext}\,\mu_0 (1 - c) + I_0 + I_2

    The line through :math:`\theta = 0.31` nA is not the paper's curve, whose threshold is b/a = 0.4 nA, and this ``J_A_ext``
    belongs to another set of weights. With both, the symmetric state is stable: from rest both populations rise together, with
    and without a stimulus, to 49.3 and 47.0 Hz, and full evidence moves their rates apart by 5 Hz. Take it to reproduce results
    of that simulator, and
    :class:`WongWangStep` for everything else.

    Parameters
    ----------
    a, theta : float, Quantity or DataArray
        Gain [Hz/nA] and threshold [nA].
    gamma : float or DataArray
        Kinetic factor [1/(ms Hz)].
    tau_S : float, Quantity or DataArray
        NMDA time constant [ms].
    J_N11, J_N22, J_N12, J_N21 : float, Quantity or DataArray
        Self-excitation and mutual inhibition [nA].
    J_A_ext, mu_0 : float, Quantity or DataArray
        Weight [nA/Hz] and rate [Hz] of the stimulus.
    I_0 : float, Quantity or DataArray
        Background current [nA].
    noise_s1, noise_s2, noise_gating1, noise_gating2, noise_coherence : Noise, optional
        As in :class:`WongWangStep`.

    References
    ----------
    After Wong, Wang (2006), doi:10.1523/JNEUROSCI.3733-05.2006, with another transfer function.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WongWangNoDecisionStep(), dt=0.5)
    >>> run = sim.run(2000.0, monitors=["r1", "r2"], inputs={"coherence": 1.0}).isel(time=-1, region=0)
    >>> round(float(run.r1), 1), round(float(run.r2), 1)
    (51.9, 46.7)
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Results of brainmass only; makes no decision"
    states: ClassVar[tuple[State, ...]] = STATES
    inputs: ClassVar[tuple[Input, ...]] = INPUTS
    outputs: ClassVar[tuple[Output, ...]] = OUTPUTS
    noise_targets: ClassVar[dict[str, str]] = NOISES

    noise_s1: Noise | None = None
    noise_s2: Noise | None = None
    noise_gating1: Noise | None = None
    noise_gating2: Noise | None = None
    noise_coherence: Noise | None = None
    a: Value = parameter(270.0, "Hz/nA", "gain")
    theta: Value = parameter(0.31, "nA", "threshold")
    gamma: Value = parameter(0.641e-3, "1/(ms*Hz)", "kinetic factor")
    tau_S: Value = parameter(100.0, "ms", "NMDA time constant")
    J_N11: Value = parameter(0.2609, "nA", "weight of population 1 onto itself")
    J_N22: Value = parameter(0.2609, "nA", "weight of population 2 onto itself")
    J_N12: Value = parameter(0.0497, "nA", "inhibition of population 1 by population 2")
    J_N21: Value = parameter(0.0497, "nA", "inhibition of population 2 by population 1")
    J_A_ext: Value = parameter(2.243e-4, "nA/Hz", "weight of the stimulus")
    mu_0: Value = parameter(30.0, "Hz", "rate of the stimulus")
    I_0: Value = parameter(0.3255, "nA", "background current")

    def r1(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Rate of population 1 [Hz]."""
        return self.a * jnp.maximum(currents(self, s, u)[0] - self.theta, 0.0)

    def r2(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Rate of population 2 [Hz]."""
        return self.a * jnp.maximum(currents(self, s, u)[1] - self.theta, 0.0)

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        return dict(
            S1=gating(s.S1, self.r1(s, u), self.tau_S, self.gamma) + u.S1,
            S2=gating(s.S2, self.r2(s, u), self.tau_S, self.gamma) + u.S2,
        )
