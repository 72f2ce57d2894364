"""The generic two-dimensional oscillator."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise


class Generic2dOscillatorStep(NeuralMass):
    r"""Generic two-dimensional oscillator.

    .. math::
        \dot V &= d\,\tau\,(-f V^3 + e V^2 + g V + \alpha W + \gamma I + \gamma c) + I_V \\
        \dot W &= \frac{d}{\tau}\,(a + b V + c_2 V^2 - \beta W) + I_W

    The input ``c`` is the coupling of the literature, scaled by :math:`d\tau\gamma`; ``V`` and ``W`` are direct inputs. The
    parameter ``c`` of the papers is called ``c2`` here.

    Parameters
    ----------
    a, b, c2, e, f, g, alpha, beta, gamma, I, tau : float or DataArray
        Dimensionless coefficients.
    d : float, Quantity or DataArray
        Rate [1/ms].
    noise_V, noise_W, noise_c : Noise, optional
        Noise of the inputs.

    References
    ----------
    Sanz-Leon et al. (2015), doi:10.1016/j.neuroimage.2015.01.002. Stefanescu, Jirsa (2008), doi:10.1371/journal.pcbi.1000219.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.Generic2dOscillatorStep().a
    -2.0
    """

    category: ClassVar[str] = "phenomenological"
    use_case: ClassVar[str] = "Excitability, bistability, oscillation in one form"
    states: ClassVar[tuple[State, ...]] = (State("V", 0.0, "1", "fast variable"), State("W", 0.0, "1", "slow variable"))
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("V", "1/ms", "added to dV/dt"),
        Input("W", "1/ms", "added to dW/dt"),
        Input("c", "1", "coupling, scaled by d*tau*gamma"),
    )

    noise_V: Noise | None = None
    noise_W: Noise | None = None
    noise_c: Noise | None = None
    a: Value = parameter(-2.0, "1", "vertical shift of the slow nullcline")
    b: Value = parameter(-10.0, "1", "linear slope of the slow nullcline")
    c2: Value = parameter(0.0, "1", "parabolic term of the slow nullcline")
    d: Value = parameter(0.02, "1/ms", "time scale")
    e: Value = parameter(3.0, "1", "quadratic coefficient")
    f: Value = parameter(1.0, "1", "cubic coefficient")
    g: Value = parameter(0.0, "1", "linear coefficient")
    alpha: Value = parameter(1.0, "1", "gain of the slow variable")
    beta: Value = parameter(1.0, "1", "decay of the slow variable")
    gamma: Value = parameter(1.0, "1", "gain of input and coupling")
    I: Value = parameter(0.0, "1", "constant input")
    tau: Value = parameter(1.0, "1", "time-scale separation")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        cubic = -self.f * s.V**3 + self.e * s.V**2 + self.g * s.V
        fast = self.d * self.tau * (cubic + self.alpha * s.W + self.gamma * self.I + self.gamma * u.c)
        slow = self.d / self.tau * (self.a + self.b * s.V + self.c2 * s.V**2 - self.beta * s.W)
        return dict(V=fast + u.V, W=slow + u.W)
