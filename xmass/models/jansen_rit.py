"""Cortical columns of Jansen and Rit: three populations, second-order synapses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax

from xmass.core.model import Input, NeuralMass, Output, State, Value, parameter
from xmass.core.noise import Noise


def firing_rate(v: Any, s_max: Any, v0: Any, r: Any) -> Any:
    """Rate of a population at the potential ``v``: a sigmoid from 0 to ``s_max``, half of it at ``v0``, steepness ``r``."""
    return s_max * jax.nn.sigmoid(r * (v - v0))


def synapse(drive: Any, gain: Any, rate: Any, y: Any, velocity: Any) -> Any:
    """Second derivative of a postsynaptic potential ``y`` under the firing rate ``drive``; critically damped."""
    return gain * rate * drive - 2.0 * rate * velocity - rate * rate * y


class JansenRitStep(NeuralMass):
    r"""Cortical column of pyramidal cells, excitatory and inhibitory interneurons, which makes the alpha rhythm.

    .. math::
        \dot M &= M_v, \qquad \dot E = E_v, \qquad \dot I = I_v \\
        \dot M_v &= A_e b_e\,S(E - I + u_M) - 2 b_e M_v - b_e^2 M + I_{Mv} \\
        \dot E_v &= A_e b_e\,\bigl(p + u_E + C a_2\,S(C a_1 M)\bigr) - 2 b_e E_v - b_e^2 E + I_{Ev} \\
        \dot I_v &= A_i b_i\,C a_4\,S(C a_3 M + u_I) - 2 b_i I_v - b_i^2 I + I_{Iv}, \qquad
        S(v) = \frac{s_{max}}{1 + e^{r(v_0 - v)}}

    M, E and I are :math:`y_0, y_1, y_2` of the paper: the potentials that pyramidal cells, excitatory and inhibitory
    interneurons cause. The output ``eeg`` is E - I, the potential of the pyramidal cells. Time is in seconds inside the
    equations, as in the paper.

    The inputs ``M``, ``E`` and ``I`` are inside the equations: ``E`` is the rate p(t) [Hz] that other columns and the thalamus
    send, where coupling belongs (source ``eeg``, target ``E``); ``M`` and ``I`` shift the potential [mV] that pyramidal cells
    and inhibitory interneurons see. ``Mv``, ``Ev`` and ``Iv`` are the direct inputs. White noise goes to ``noise_Ev``, an
    Ornstein-Uhlenbeck process also to ``noise_E``.

    Without a drive the column is silent; :meth:`alpha` gives it 220 Hz.

    Parameters
    ----------
    Ae, Ai : float, Quantity or DataArray
        Largest excitatory and inhibitory postsynaptic potential [mV].
    be, bi : float, Quantity or DataArray
        Rates of the excitatory and the inhibitory synapse [1/s].
    C, a1, a2, a3, a4 : float or DataArray
        Number of synapses, and the share of it from pyramidal cells to excitatory interneurons (a1), back (a2), from pyramidal
        cells to inhibitory interneurons (a3), and back (a4).
    s_max : float, Quantity or DataArray
        Largest firing rate [Hz], :math:`2 e_0` of the paper.
    v0 : float, Quantity or DataArray
        Potential at half of it [mV].
    r : float, Quantity or DataArray
        Steepness of the sigmoid [1/mV].
    p : float, Quantity or DataArray
        Constant part of the drive [Hz].
    noise_M, noise_E, noise_I : Noise, optional
        Noise of the inputs inside the equations; not white.
    noise_Mv, noise_Ev, noise_Iv : Noise, optional
        Noise of the direct inputs.

    References
    ----------
    Jansen, Rit (1995), doi:10.1007/BF00199471.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.JansenRitStep.alpha(), dt=0.1).run(4000.0, monitors=["eeg"], transient=3000.0)
    >>> round(float(run.eeg.min()), 1), round(float(run.eeg.max()), 1)
    (6.1, 9.0)
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "EEG, alpha rhythm"
    time_unit: ClassVar[str] = "s"
    states: ClassVar[tuple[State, ...]] = (
        State("M", 0.0, "mV", "potential caused by pyramidal cells"),
        State("E", 0.0, "mV", "potential caused by excitatory interneurons and the drive"),
        State("I", 0.0, "mV", "potential caused by inhibitory interneurons"),
        State("Mv", 0.0, "mV/s", "derivative of M"),
        State("Ev", 0.0, "mV/s", "derivative of E"),
        State("Iv", 0.0, "mV/s", "derivative of I"),
    )
    indirect: ClassVar[tuple[str, ...]] = ("M", "E", "I")
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("M", "mV", "added to the potential of pyramidal cells, inside S"),
        Input("E", "Hz", "rate from other columns and the thalamus, added to p"),
        Input("I", "mV", "added to the potential of inhibitory interneurons, inside S"),
        Input("Mv", "mV/s^2", "added to dMv/dt"),
        Input("Ev", "mV/s^2", "added to dEv/dt"),
        Input("Iv", "mV/s^2", "added to dIv/dt"),
    )
    outputs: ClassVar[tuple[Output, ...]] = (Output("eeg", "mV", "potential of pyramidal cells, E - I"),)

    noise_M: Noise | None = None
    noise_E: Noise | None = None
    noise_I: Noise | None = None
    noise_Mv: Noise | None = None
    noise_Ev: Noise | None = None
    noise_Iv: Noise | None = None
    Ae: Value = parameter(3.25, "mV", "largest excitatory postsynaptic potential")
    Ai: Value = parameter(22.0, "mV", "largest inhibitory postsynaptic potential")
    be: Value = parameter(100.0, "1/s", "rate of the excitatory synapse")
    bi: Value = parameter(50.0, "1/s", "rate of the inhibitory synapse")
    C: Value = parameter(135.0, "1", "number of synapses")
    a1: Value = parameter(1.0, "1", "share from pyramidal cells to excitatory interneurons")
    a2: Value = parameter(0.8, "1", "share from excitatory interneurons to pyramidal cells")
    a3: Value = parameter(0.25, "1", "share from pyramidal cells to inhibitory interneurons")
    a4: Value = parameter(0.25, "1", "share from inhibitory interneurons to pyramidal cells")
    s_max: Value = parameter(5.0, "Hz", "largest firing rate")
    v0: Value = parameter(6.0, "mV", "potential at half of the largest firing rate")
    r: Value = parameter(0.56, "1/mV", "steepness of the sigmoid")
    p: Value = parameter(0.0, "Hz", "constant drive")

    def eeg(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Potential of the pyramidal cells [mV]."""
        return s.E - s.I

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        pyramidal = firing_rate(s.E - s.I + u.M, self.s_max, self.v0, self.r)
        excitatory = self.C * self.a2 * firing_rate(self.C * self.a1 * s.M, self.s_max, self.v0, self.r)
        inhibitory = self.C * self.a4 * firing_rate(self.C * self.a3 * s.M + u.I, self.s_max, self.v0, self.r)
        return dict(
            M=s.Mv,
            E=s.Ev,
            I=s.Iv,
            Mv=synapse(pyramidal, self.Ae, self.be, s.M, s.Mv) + u.Mv,
            Ev=synapse(self.p + u.E + excitatory, self.Ae, self.be, s.E, s.Ev) + u.Ev,
            Iv=synapse(inhibitory, self.Ai, self.bi, s.I, s.Iv) + u.Iv,
        )

    @classmethod
    def alpha(cls, p: Value = 220.0) -> JansenRitStep:
        """The column that oscillates at 10.9 Hz under the mean drive of Jansen and Rit (1995), 120 to 320 Hz.

        Parameters
        ----------
        p : float, Quantity or DataArray
            Constant drive [Hz]. The rhythm exists from 89.83 to 315.70 Hz; up to 137.4 Hz beside rest or slow spikes.

        Examples
        --------
        >>> import xmass as xm
        >>> xm.JansenRitStep.alpha().p
        220.0
        """
        return cls(p=p)
