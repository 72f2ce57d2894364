"""Exact mean fields of quadratic integrate-and-fire neurons."""

from __future__ import annotations

import math
from math import inf
from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Uniform, Value, parameter
from xmass.core.noise import Noise


class MontbrioPazoRoxinStep(NeuralMass):
    r"""Exact mean field of a network of quadratic integrate-and-fire neurons.

    .. math::
        \tau\dot r = \frac{\Delta}{\pi\tau} + 2 r v + \tau I_r, \qquad
        \tau\dot v = v^2 + \eta + J\tau r + I - (\pi\tau r)^2 + \tau I_v

    ``r`` and ``v`` are direct inputs; ``I`` is the current inside the bracket, where coupling and stimuli usually enter. Take
    dt = 0.01 ms with ``heun`` or ``rk4``: Euler's method is unstable at the high branch for dt > 0.0059 ms (J = 21).

    Parameters
    ----------
    tau : float, Quantity or DataArray
        Membrane time constant [ms].
    Delta : float or DataArray
        Half width of the distribution of excitabilities [1].
    eta : float or DataArray
        Centre of the distribution of excitabilities [1].
    J : float or DataArray
        Synaptic weight [1].
    noise_r, noise_v, noise_I : Noise, optional
        Noise of the inputs.

    References
    ----------
    Montbrió, Pazó, Roxin (2015), doi:10.1103/PhysRevX.5.021028.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.MontbrioPazoRoxinStep().eta
    -5.0
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Firing rate and mean potential of spiking populations"
    states: ClassVar[tuple[State, ...]] = (
        State("r", Uniform(0.0, 0.05), "1/ms", "firing rate", (0.0, inf)),
        State("v", Uniform(0.0, 0.05), "1", "mean membrane potential"),
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
    eta: Value = parameter(-5.0, "1", "centre of the excitabilities")
    J: Value = parameter(15.0, "1", "synaptic weight")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        rate = (self.Delta / (math.pi * self.tau) + 2.0 * s.r * s.v) / self.tau
        potential = (s.v**2 + self.eta + u.I + self.J * s.r * self.tau - (math.pi * s.r * self.tau) ** 2) / self.tau
        return dict(r=rate + u.r, v=potential + u.v)
