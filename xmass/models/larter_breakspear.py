"""Larter-Breakspear model: a conductance-based neural mass with chaotic bursts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise


def fraction(x: Any, threshold: Any, width: Any) -> Any:
    """Fraction of open channels or firing cells: 0 far below the threshold, 1/2 at it, 1 far above."""
    return 0.5 * (1.0 + jnp.tanh((x - threshold) / width))


class LarterBreakspearStep(NeuralMass):
    r"""Larter-Breakspear model of pyramidal cells with calcium, sodium and potassium channels and an inhibitory population.

    .. math::
        \dot V &= t_s\big\{-\left[g_{Ca} + r_N a_{ee}\left((1-C) Q_V + C c\right)\right] m_{Ca}(V - V_{Ca})
                  - g_K W (V - V_K) - g_L (V - V_L) \\
               &\qquad - \left[g_{Na} m_{Na} + a_{ee}\left((1-C) Q_V + C c\right)\right](V - V_{Na})
                  - a_{ie} Z Q_Z + a_{ne} I_{ext}\big\} + I_V \\
        \dot W &= t_s\,\phi\,(m_K - W)/\tau_K + I_W, \qquad
        \dot Z = t_s\,b\,(a_{ni} I_{ext} + a_{ei} V Q_V) + I_Z \\
        m_X &= \tfrac12\left(1 + \tanh\frac{V - T_X}{\delta_X}\right), \qquad
        Q_V = \tfrac12 Q_{V,max}\left(1 + \tanh\frac{V - V_T}{\delta_V}\right), \qquad
        Q_Z = \tfrac12 Q_{Z,max}\left(1 + \tanh\frac{Z - Z_T}{\delta_Z}\right)

    The input ``c`` is the mean firing of the other regions, a number from 0 to 1 that stands beside :math:`Q_V`; coupling goes
    there. It acts through the conductances, so noise on ``c`` is multiplicative and coloured; ``noise_V`` is added to dV/dt.
    Without noise take ``precision="float64"`` for bursts: between them rounding decides when the node leaves its fixed point.

    Parameters
    ----------
    gCa, gK, gL, gNa : float or DataArray
        Conductances of calcium, potassium, leak and sodium.
    TCa, TK, TNa, d_Ca, d_K, d_Na : float or DataArray
        Threshold and width of the channels' activation.
    VCa, VK, VL, VNa : float or DataArray
        Nernst potentials.
    phi, tau_K : float or DataArray
        Temperature scaling and time constant of the potassium channel.
    aee, aei, aie, ane, ani : float or DataArray
        Synaptic strengths: excitatory to excitatory, excitatory to inhibitory, inhibitory to excitatory, external input to
        excitatory, external input to inhibitory.
    b : float or DataArray
        Relative rate of the inhibitory population.
    C : float or DataArray
        Share of the excitatory input that comes from other regions.
    Iext : float or DataArray
        External (subcortical) input.
    rNMDA : float or DataArray
        Ratio of NMDA to AMPA receptors.
    VT, d_V, ZT, d_Z : float or DataArray
        Mean and width of the firing thresholds of excitatory and inhibitory cells. ``d_V`` sets the regime.
    QV_max, QZ_max : float or DataArray
        Largest firing of excitatory and inhibitory cells.
    t_scale : float, Quantity or DataArray
        Time scale [1/ms].
    noise_V, noise_W, noise_Z, noise_c : Noise, optional
        Noise of the inputs.

    References
    ----------
    Larter, Speelman, Worth (1999), doi:10.1063/1.166453. Breakspear, Terry, Friston (2003),
    doi:10.1088/0954-898X_14_4_305.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.LarterBreakspearStep(d_V=0.50), dt=0.1).run(2000.0, monitors=["V"], transient=1900.0)
    >>> bool(run.V.max() - run.V.min() < 1e-3)      # below the Hopf bifurcation at d_V = 0.515272
    True
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Chaotic bursts, metastable networks"
    states: ClassVar[tuple[State, ...]] = (
        State("V", 0.0, "1", "mean membrane potential of excitatory cells"),
        State("W", 0.0, "1", "fraction of open potassium channels"),
        State("Z", 0.0, "1", "mean membrane potential of inhibitory cells"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("V", "1/ms", "added to dV/dt"),
        Input("W", "1/ms", "added to dW/dt"),
        Input("Z", "1/ms", "added to dZ/dt"),
        Input("c", "1", "mean firing of other regions"),
    )

    noise_V: Noise | None = None
    noise_W: Noise | None = None
    noise_Z: Noise | None = None
    noise_c: Noise | None = None
    gCa: Value = parameter(1.1, "1", "calcium conductance")
    gK: Value = parameter(2.0, "1", "potassium conductance")
    gL: Value = parameter(0.5, "1", "leak conductance")
    gNa: Value = parameter(6.7, "1", "sodium conductance")
    TCa: Value = parameter(-0.01, "1", "threshold of calcium channels")
    TK: Value = parameter(0.0, "1", "threshold of potassium channels")
    TNa: Value = parameter(0.3, "1", "threshold of sodium channels")
    d_Ca: Value = parameter(0.15, "1", "width of calcium activation")
    d_K: Value = parameter(0.3, "1", "width of potassium activation")
    d_Na: Value = parameter(0.15, "1", "width of sodium activation")
    VCa: Value = parameter(1.0, "1", "Nernst potential of calcium")
    VK: Value = parameter(-0.7, "1", "Nernst potential of potassium")
    VL: Value = parameter(-0.5, "1", "Nernst potential of the leak")
    VNa: Value = parameter(0.53, "1", "Nernst potential of sodium")
    phi: Value = parameter(0.7, "1", "temperature scaling of the potassium channel")
    tau_K: Value = parameter(1.0, "1", "time constant of the potassium channel")
    aee: Value = parameter(0.4, "1", "excitatory to excitatory")
    aei: Value = parameter(2.0, "1", "excitatory to inhibitory")
    aie: Value = parameter(2.0, "1", "inhibitory to excitatory")
    ane: Value = parameter(1.0, "1", "external input to excitatory")
    ani: Value = parameter(0.4, "1", "external input to inhibitory")
    b: Value = parameter(0.1, "1", "relative rate of the inhibitory population")
    C: Value = parameter(0.1, "1", "share of excitation from other regions")
    Iext: Value = parameter(0.3, "1", "external input")
    rNMDA: Value = parameter(0.25, "1", "ratio of NMDA to AMPA receptors")
    VT: Value = parameter(0.0, "1", "mean firing threshold of excitatory cells")
    d_V: Value = parameter(0.65, "1", "width of the excitatory firing thresholds")
    ZT: Value = parameter(0.0, "1", "mean firing threshold of inhibitory cells")
    d_Z: Value = parameter(0.7, "1", "width of the inhibitory firing thresholds")
    QV_max: Value = parameter(1.0, "1", "largest excitatory firing")
    QZ_max: Value = parameter(1.0, "1", "largest inhibitory firing")
    t_scale: Value = parameter(1.0, "1/ms", "time scale")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        firing = self.QV_max * fraction(s.V, self.VT, self.d_V)
        inhibition = self.QZ_max * fraction(s.Z, self.ZT, self.d_Z)
        excitation = self.aee * ((1.0 - self.C) * firing + self.C * u.c)
        current = (
            (self.gCa + self.rNMDA * excitation) * fraction(s.V, self.TCa, self.d_Ca) * (s.V - self.VCa)
            + self.gK * s.W * (s.V - self.VK)
            + self.gL * (s.V - self.VL)
            + (self.gNa * fraction(s.V, self.TNa, self.d_Na) + excitation) * (s.V - self.VNa)
            + self.aie * s.Z * inhibition
            - self.ane * self.Iext
        )
        channels = self.phi * (fraction(s.V, self.TK, self.d_K) - s.W) / self.tau_K
        interneurons = self.b * (self.ani * self.Iext + self.aei * s.V * firing)
        return dict(V=u.V - self.t_scale * current, W=self.t_scale * channels + u.W, Z=self.t_scale * interneurons + u.Z)
