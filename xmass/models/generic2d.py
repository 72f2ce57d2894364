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

    @classmethod
    def excitable(cls) -> Generic2dOscillatorStep:
        """The defaults: a stable focus, which an input ``c`` above 3.7402 turns into a cycle of about 10 Hz.

        Examples
        --------
        >>> import xmass as xm
        >>> xm.Generic2dOscillatorStep.excitable() == xm.Generic2dOscillatorStep()
        True
        """
        return cls()

    @classmethod
    def bistable(cls) -> Generic2dOscillatorStep:
        """A stable node beside a slow cycle of 931.7 ms: the start decides (a = 1, b = 0, c2 = -5, d = 0.02 per ms).

        Examples
        --------
        >>> import xmass as xm
        >>> xm.Generic2dOscillatorStep.bistable().c2
        -5.0
        """
        return cls(a=1.0, b=0.0, c2=-5.0, d=0.02)

    @classmethod
    def morris_lecar(cls) -> Generic2dOscillatorStep:
        """As the Morris-Lecar model: a node that meets a saddle at an input ``c`` of 0.1211, and cycles of any length above it.

        The coefficients are a = 0.5, b = 0.6, c2 = -4, d = 0.02 per ms.

        Examples
        --------
        >>> import xmass as xm
        >>> xm.Generic2dOscillatorStep.morris_lecar().b
        0.6
        """
        return cls(a=0.5, b=0.6, c2=-4.0, d=0.02)
