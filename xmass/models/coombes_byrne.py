"""Exact mean fields of quadratic integrate-and-fire neurons with conductance-based synapses."""

from __future__ import annotations

import math
from math import inf
from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise


def quadratic_population(r: Any, v: Any, g: Any, p: Any, current: Any) -> tuple[Any, Any]:
    """dr/dt and dv/dt of a population with conductance ``g``; ``p`` has tau, Delta, eta and v_syn."""
    rate = (p.Delta / (math.pi * p.tau) + 2.0 * r * v - g * r) / p.tau
    potential = (v**2 - (math.pi * p.tau * r) ** 2 + p.eta + current + (p.v_syn - v) * g) / p.tau
    return rate, potential


class CoombesByrneStep(NeuralMass):
    r"""Mean field of quadratic integrate-and-fire neurons with instantaneous conductance-based synapses.

    .. math::
        \tau\dot r &= \frac{\Delta}{\pi\tau} + 2 r v - g r + \tau I_r, \qquad g = \kappa\pi\tau r \\
        \tau\dot v &= v^2 - (\pi\tau r)^2 + \eta + I + (v_{syn} - v)\,g + \tau I_v

    The limit of :class:`CoombesByrneSynapseStep` for a fast synapse. Coupling and stimuli act on the potential: they target
    ``v``, or ``I``, the current inside the bracket in the unit of ``eta``; with tau = 1 ms both are the same. The rate equation
    has a direct input ``r`` too, which is no place for a coupling. Without synapses (``k=0``) this is
    :class:`MontbrioPazoRoxinStep` with ``J=0``.

    Parameters
    ----------
    tau : float, Quantity or DataArray
        Membrane time constant [ms]. The paper's equations have the time unit of the membrane: tau = 1.
    Delta : float or DataArray
        Half width of the distribution of excitabilities [1].
    eta : float or DataArray
        Centre of the distribution of excitabilities [1].
    k : float or DataArray
        Synaptic strength :math:`\kappa` [1].
    v_syn : float or DataArray
        Reversal potential of the synapses [1].
    noise_r, noise_v, noise_I : Noise, optional
        Noise of the inputs.

    References
    ----------
    Coombes, Byrne (2019), doi:10.1007/978-3-319-71048-8_1. Byrne, O'Dea, Forrester, Ross, Coombes (2020),
    doi:10.1152/jn.00406.2019.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.CoombesByrneStep(), dt=0.01, precision="float64").run(20.0)
    >>> round(float(run.r[-1, 0]), 6), round(float(run.v[-1, 0]), 6)
    (0.184726, -0.571409)
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Firing rate and synchrony of spiking populations"
    states: ClassVar[tuple[State, ...]] = (
        State("r", 0.1, "1/ms", "firing rate", (0.0, inf)),
        State("v", 0.0, "1", "mean membrane potential"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("r", "1/ms^2", "added to dr/dt"),
        Input("v", "1/ms", "added to dv/dt"),
        Input("I", "1", "current, divided by tau"),
    )

    noise_r: Noise | None = None
    noise_v: Noise | None = None
    noise_I: Noise | None = None
    tau: Value = parameter(1.0, "ms", "membrane time constant")
    Delta: Value = parameter(1.0, "1", "half width of the excitabilities")
    eta: Value = parameter(2.0, "1", "centre of the excitabilities")
    k: Value = parameter(1.0, "1", "synaptic strength")
    v_syn: Value = parameter(-4.0, "1", "reversal potential of the synapses")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        g = self.k * math.pi * self.tau * s.r
        rate, potential = quadratic_population(s.r, s.v, g, self, u.I)
        return dict(r=rate + u.r, v=potential + u.v)


class CoombesByrneSynapseStep(NeuralMass):
    r"""Mean field of quadratic integrate-and-fire neurons with a second-order conductance-based synapse.

    .. math::
        \tau\dot r &= \frac{\Delta}{\pi\tau} + 2 r v - g r + \tau I_r, \qquad
        \tau\dot v = v^2 - (\pi\tau r)^2 + \eta + I + (v_{syn} - v)\,g + \tau I_v \\
        \dot g &= \alpha q, \qquad
        \dot q = \alpha\,(\kappa\pi\tau r + c - g - 2 q) + I_q

    The last two equations are :math:`(1 + \alpha^{-1} d/dt)^2 g = \kappa\pi\tau r + c`: the conductance ``g`` follows the rate
    with the alpha function :math:`\alpha^2 t e^{-\alpha t}`. Other regions may reach ``v`` (or ``I``, the current in the unit of
    ``eta``), as in :class:`CoombesByrneStep`, or the synapse: ``c`` is their summed rate in the unit of g, for synapses with the
    reversal potential and time course of the local ones.

    Parameters
    ----------
    tau : float, Quantity or DataArray
        Membrane time constant [ms]. The paper's equations have the time unit of the membrane: tau = 1.
    Delta : float or DataArray
        Half width of the distribution of excitabilities [1].
    eta : float or DataArray
        Centre of the distribution of excitabilities [1].
    k : float or DataArray
        Synaptic strength :math:`\kappa` [1].
    v_syn : float or DataArray
        Reversal potential of the synapses [1].
    alpha : float, Quantity or DataArray
        Rate of the synapse [1/ms].
    noise_r, noise_v, noise_q, noise_I, noise_c : Noise, optional
        Noise of the inputs.

    References
    ----------
    Byrne, O'Dea, Forrester, Ross, Coombes (2020), doi:10.1152/jn.00406.2019. Coombes, Byrne (2019),
    doi:10.1007/978-3-319-71048-8_1.

    Examples
    --------
    >>> import xmass as xm
    >>> late = xm.Simulator(xm.CoombesByrneSynapseStep(), dt=0.01).run(100.0, monitors=["r"], transient=80.0)
    >>> float(late.r.max()) > 4 * float(late.r.min())      # a rhythm: CoombesByrneStep has none
    True
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Rhythms of spiking populations by slow synapses"
    states: ClassVar[tuple[State, ...]] = (
        State("r", 0.1, "1/ms", "firing rate", (0.0, inf)),
        State("v", 0.0, "1", "mean membrane potential"),
        State("g", 0.0, "1", "synaptic conductance"),
        State("q", 0.0, "1", "rate of change of g over alpha"),
    )
    indirect: ClassVar[tuple[str, ...]] = ("g",)
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("r", "1/ms^2", "added to dr/dt"),
        Input("v", "1/ms", "added to dv/dt"),
        Input("q", "1/ms", "added to dq/dt"),
        Input("I", "1", "current, divided by tau"),
        Input("c", "1", "drive of the synapse by other regions"),
    )

    noise_r: Noise | None = None
    noise_v: Noise | None = None
    noise_q: Noise | None = None
    noise_I: Noise | None = None
    noise_c: Noise | None = None
    tau: Value = parameter(1.0, "ms", "membrane time constant")
    Delta: Value = parameter(0.5, "1", "half width of the excitabilities")
    eta: Value = parameter(20.0, "1", "centre of the excitabilities")
    k: Value = parameter(1.0, "1", "synaptic strength")
    v_syn: Value = parameter(-10.0, "1", "reversal potential of the synapses")
    alpha: Value = parameter(0.95, "1/ms", "rate of the synapse")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        rate, potential = quadratic_population(s.r, s.v, s.g, self, u.I)
        synapse = self.alpha * (self.k * math.pi * self.tau * s.r + u.c - s.g - 2.0 * s.q)
        return dict(r=rate + u.r, v=potential + u.v, g=self.alpha * s.q, q=synapse + u.q)
