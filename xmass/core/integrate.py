"""One step of each integration scheme.

``f(s, stage)`` is the derivative at the state ``s`` and at the time of a stage: 0 the start of the step, 1 its end, 0.5 its
middle. ``w`` holds the white-noise increments of the step, zero where a state has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Arrays = dict[str, Any]
Derivative = Callable[[Arrays, float], Arrays]


def euler(f: Derivative, s: Arrays, dt: Any, w: Arrays) -> Arrays:
    """Euler's method (Euler-Maruyama with noise), first order."""
    k = f(s, 0.0)
    return {n: _add(s[n] + dt * k[n], w, n) for n in s}


def heun(f: Derivative, s: Arrays, dt: Any, w: Arrays) -> Arrays:
    """Heun's method in two stages, second order; with noise, stochastic Heun with one increment in both stages."""
    k0 = f(s, 0.0)
    ahead = {n: _add(s[n] + dt * k0[n], w, n) for n in s}
    k1 = f(ahead, 1.0)
    # ahead - s is the first increment: k0 itself is not used again, or the compiler would compute it twice.
    return {n: s[n] + 0.5 * ((ahead[n] - s[n]) + _add(dt * k1[n], w, n)) for n in s}


def rk4(f: Derivative, s: Arrays, dt: Any, w: Arrays) -> Arrays:
    """The classical Runge-Kutta method, fourth order without noise."""
    k0 = f(s, 0.0)
    k1 = f({n: s[n] + 0.5 * dt * k0[n] for n in s}, 0.5)
    k2 = f({n: s[n] + 0.5 * dt * k1[n] for n in s}, 0.5)
    k3 = f({n: s[n] + dt * k2[n] for n in s}, 1.0)
    return {n: _add(s[n] + dt / 6.0 * (k0[n] + 2.0 * k1[n] + 2.0 * k2[n] + k3[n]), w, n) for n in s}


def exp_euler(f: Derivative, s: Arrays, dt: Any, w: Arrays) -> Arrays:
    """Exponential Euler: each state relaxes exactly along its own derivative, the others held. First order."""

    def frozen(x: Arrays) -> Arrays:
        return f(x, 0.0)

    k = frozen(s)
    new = {}
    for n in s:
        tangent = {m: jnp.ones_like(s[m]) if m == n else jnp.zeros_like(s[m]) for m in s}
        slope = jax.jvp(frozen, (s,), (tangent,))[1][n]
        new[n] = _add(s[n] + dt * _phi(dt * slope) * k[n], w, n)
    return new


def _phi(z: Any) -> Any:
    """(exp(z) - 1) / z, 1 at 0, also for gradients."""
    small = jnp.abs(z) < 1e-5
    safe = jnp.where(small, jnp.ones_like(z), z)
    return jnp.where(small, 1.0 + 0.5 * z, jnp.expm1(safe) / safe)


def _add(x: Any, w: Arrays, name: str) -> Any:
    return x + w[name] if name in w else x


SCHEMES: dict[str, Callable[[Derivative, Arrays, Any, Arrays], Arrays]] = {
    "heun": heun,
    "euler": euler,
    "rk4": rk4,
    "exp_euler": exp_euler,
}
STAGES_AHEAD = {"heun": 1, "euler": 0, "rk4": 1, "exp_euler": 0}
"""How many steps beyond the first a scheme reads the delayed coupling, when it is taken per stage."""
