"""Relaxation oscillators: a fast variable with a cubic nullcline and a slow one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Uniform, Value, parameter
from xmass.core.noise import Noise


class VanDerPolStep(NeuralMass):
    r"""Van der Pol oscillator in Liénard's coordinates.

    .. math::
        \dot x = \frac{\mu}{\tau}\left(x - \frac{x^3}{3} - y\right) + I_x, \qquad
        \dot y = \frac{x}{\mu\,\tau} + I_y

    Without input :math:`\ddot x - \mu(1 - x^2)\dot x + x = 0` in units of :math:`\tau`: a nearly harmonic oscillation of amplitude 2
    and period :math:`2\pi` for small ``mu``, slow charging and fast jumps for large ``mu``. Every positive ``mu`` has one cycle.

    Parameters
    ----------
    mu : float or DataArray
        Strength of the nonlinear damping.
    tau : float, Quantity or DataArray
        Unit of time of the equations [ms]; the paper has no such parameter.
    noise_x, noise_y : Noise, optional
        Noise of the direct inputs.

    References
    ----------
    van der Pol (1926), doi:10.1080/14786442608564127.

    Examples
    --------
    >>> import xmass as xm
    >>> x = xm.Simulator(xm.VanDerPolStep(), dt=0.01).run(60.0, transient=40.0, monitors=["x"], seed=0).x
    >>> round(float(x.max()), 3)
    2.009
    """

    category: ClassVar[str] = "phenomenological"
    use_case: ClassVar[str] = "Relaxation oscillation"
    states: ClassVar[tuple[State, ...]] = (
        State("x", Uniform(0.0, 0.05), "1", "fast variable"),
        State("y", Uniform(0.0, 0.05), "1", "slow variable"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (Input("x", "1/ms", "added to dx/dt"), Input("y", "1/ms", "added to dy/dt"))

    noise_x: Noise | None = None
    noise_y: Noise | None = None
    mu: Value = parameter(1.0, "1", "strength of the nonlinear damping")
    tau: Value = parameter(1.0, "ms", "unit of time of the equations")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        cubic = s.x - s.x**3 / 3.0 - s.y
        return dict(x=self.mu / self.tau * cubic + u.x, y=s.x / (self.mu * self.tau) + u.y)


class FitzHughNagumoStep(NeuralMass):
    r"""FitzHugh-Nagumo model: excitable, and oscillating under constant input.

    .. math::
        \dot V = \frac{-\alpha V^3 + \beta V^2 + \gamma V - w}{\tau_V} + I_V, \qquad
        \dot w = \frac{V - \delta - \epsilon w}{\tau} + I_w

    With the defaults the node is silent up to a constant input ``V`` of 0.726 per ms, cycles near 33 Hz above it, and is silent
    again from 1.332 per ms on.

    Parameters
    ----------
    alpha, beta, gamma : float or DataArray
        Coefficients of the cubic.
    delta, epsilon : float or DataArray
        Shift and decay of the recovery variable.
    tau : float, Quantity or DataArray
        Time constant of the recovery variable [ms].
    tau_V : float, Quantity or DataArray
        Unit of time of the equation of V [ms]; the papers have no such parameter.
    noise_V, noise_w : Noise, optional
        Noise of the direct inputs.

    References
    ----------
    FitzHugh (1961), doi:10.1016/S0006-3495(61)86902-6. Nagumo, Arimoto, Yoshizawa (1962), doi:10.1109/JRPROC.1962.288235.
    The form with these parameters: Kostova, Ravindran, Schonbek (2004), doi:10.1142/S0218127404009685.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.FitzHughNagumoStep(), dt=0.1)
    >>> V = sim.run(600.0, transient=300.0, monitors=["V"], inputs={"V": 1.0}, seed=0).V
    >>> round(float(V.min()), 3), round(float(V.max()), 3)
    (0.102, 0.772)
    """

    category: ClassVar[str] = "phenomenological"
    use_case: ClassVar[str] = "Excitability"
    states: ClassVar[tuple[State, ...]] = (
        State("V", Uniform(0.0, 0.05), "1", "fast variable"),
        State("w", Uniform(0.0, 0.05), "1", "recovery variable"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (Input("V", "1/ms", "added to dV/dt"), Input("w", "1/ms", "added to dw/dt"))

    noise_V: Noise | None = None
    noise_w: Noise | None = None
    alpha: Value = parameter(3.0, "1", "cubic coefficient")
    beta: Value = parameter(4.0, "1", "quadratic coefficient")
    gamma: Value = parameter(-1.5, "1", "linear coefficient")
    delta: Value = parameter(0.0, "1", "shift of the slow nullcline")
    epsilon: Value = parameter(0.5, "1", "decay of the recovery variable")
    tau: Value = parameter(20.0, "ms", "time constant of the recovery variable")
    tau_V: Value = parameter(1.0, "ms", "unit of time of the equation of V")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        cubic = -self.alpha * s.V**3 + self.beta * s.V**2 + self.gamma * s.V
        return dict(V=(cubic - s.w) / self.tau_V + u.V, w=(s.V - self.delta - self.epsilon * s.w) / self.tau + u.w)
