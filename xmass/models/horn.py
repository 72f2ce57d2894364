"""Harmonic oscillators of recurrent networks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise


class HORNStep(NeuralMass):
    r"""Damped harmonic oscillator driven through a saturating input, the unit of a harmonic oscillator recurrent network.

    .. math::
        \dot x = y + I_x, \qquad \dot y = \alpha \tanh(I + v x) - \omega^2 x - 2\gamma y + I_y

    It has a scheme of its own, symplectic Euler: first the velocity, then the position with the new velocity,

    .. math::
        y_{n+1} = y_n + h\,\bigl(\alpha \tanh(I + v x_n) - \omega^2 x_n - 2\gamma y_n + I_y\bigr), \qquad
        x_{n+1} = x_n + h\,(y_{n+1} + I_x).

    The papers take a step of 1 ms. ``method=`` is refused. The papers divide the recurrent sum by the square root of the number of units;
    here that is part of the weights or of ``k``.

    Parameters
    ----------
    omega : float, Quantity or DataArray
        Natural angular frequency [rad/ms].
    gamma : float, Quantity or DataArray
        Damping [1/ms].
    alpha : float, Quantity or DataArray
        Excitability [1/ms²].
    v : float or DataArray
        Feedback of the position into the saturating input.
    noise_I, noise_x, noise_y : Noise, optional
        Noise of the inputs; white noise on x and y only.

    References
    ----------
    Effenberger, Carvalho, Dubinin, Singer (2025), doi:10.1073/pnas.2412830122.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.HORNStep(), dt=1.0)
    >>> sim.method
    'symplectic_euler'
    >>> round(float(sim.run(28.0, monitors=["x"], initial={"x": 1.0}).x[-1, 0]), 2)
    0.75
    """

    category: ClassVar[str] = "network"
    use_case: ClassVar[str] = "Recurrent networks of oscillators, training"
    scheme: ClassVar[str] = "symplectic_euler"
    states: ClassVar[tuple[State, ...]] = (State("x", 0.0, "1", "position"), State("y", 0.0, "1/ms", "velocity"))
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("I", "1", "inside tanh"),
        Input("x", "1/ms", "added to dx/dt"),
        Input("y", "1/ms^2", "added to dy/dt"),
    )

    noise_I: Noise | None = None
    noise_x: Noise | None = None
    noise_y: Noise | None = None
    omega: Value = parameter(2 * 3.141592653589793 / 28.0, "rad/ms", "natural angular frequency")
    gamma: Value = parameter(0.01, "1/ms", "damping")
    alpha: Value = parameter(0.04, "1/ms^2", "excitability")
    v: Value = parameter(0.0, "1", "feedback of the position")

    def _acceleration(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        return self.alpha * jnp.tanh(u.I + self.v * s.x) - self.omega**2 * s.x - 2 * self.gamma * s.y + u.y

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        return dict(x=s.y + u.x, y=self._acceleration(s, u))

    def step(self, s: SimpleNamespace, u: SimpleNamespace, w: SimpleNamespace, dt: Any) -> dict[str, Any]:
        y = s.y + dt * self._acceleration(s, u) + w.y
        return dict(x=s.x + dt * (y + u.x) + w.x, y=y)
