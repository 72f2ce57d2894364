"""Threshold-linear rate populations."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise


class ThresholdLinearStep(NeuralMass):
    r"""An excitatory and an inhibitory population with threshold-linear rates.

    .. math::
        \tau_E\,\dot E = -E + \beta_E\,[D_E]_+ + \tau_E I_E, \qquad
        \tau_I\,\dot I = -I + \beta_I\,[D_I]_+ + \tau_I I_I, \qquad [D]_+ = \max(D, 0)

    The inputs ``drive_E`` and ``drive_I`` are the currents :math:`D_E` and :math:`D_I` in pA, all that a population receives.
    The two populations do not meet inside the node: recurrence within a region and between regions is coupling, into these two
    inputs. Rates are in Hz and are held at 0 or above after each step.

    Parameters
    ----------
    tau_E, tau_I : float, Quantity or DataArray
        Time constant of each population [ms].
    beta_E, beta_I : float, Quantity or DataArray
        Slope of the rate over the current [Hz/pA].
    noise_E, noise_I, noise_drive_E, noise_drive_I : Noise, optional
        Noise of the inputs.

    References
    ----------
    Chaudhuri, Knoblauch, Gariel, Kennedy, Wang (2015), doi:10.1016/j.neuron.2015.09.008.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.ThresholdLinearStep(), dt=0.1)
    >>> run = sim.run(400.0, inputs={"drive_E": 100.0, "drive_I": 100.0}).isel(time=-1, region=0)
    >>> round(float(run.E), 3), round(float(run.I), 3)
    (6.6, 35.1)
    """

    category: ClassVar[str] = "phenomenological"
    use_case: ClassVar[str] = "Rates above threshold, hierarchy of time scales"
    states: ClassVar[tuple[State, ...]] = (
        State("E", 0.0, "Hz", "excitatory rate", (0.0, float("inf"))),
        State("I", 0.0, "Hz", "inhibitory rate", (0.0, float("inf"))),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("E", "Hz/ms", "added to dE/dt"),
        Input("I", "Hz/ms", "added to dI/dt"),
        Input("drive_E", "pA", "current into the excitatory population"),
        Input("drive_I", "pA", "current into the inhibitory population"),
    )

    noise_E: Noise | None = None
    noise_I: Noise | None = None
    noise_drive_E: Noise | None = None
    noise_drive_I: Noise | None = None
    tau_E: Value = parameter(20.0, "ms", "excitatory time constant")
    tau_I: Value = parameter(10.0, "ms", "inhibitory time constant")
    beta_E: Value = parameter(0.066, "Hz/pA", "excitatory slope")
    beta_I: Value = parameter(0.351, "Hz/pA", "inhibitory slope")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        excitation = self.beta_E * jnp.maximum(u.drive_E, 0.0)
        inhibition = self.beta_I * jnp.maximum(u.drive_I, 0.0)
        return dict(E=(excitation - s.E) / self.tau_E + u.E, I=(inhibition - s.I) / self.tau_I + u.I)
