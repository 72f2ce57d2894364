"""Haemodynamic response kernels: the BOLD response to an impulse of activity."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax import lax

from xmass.core.model import Value, parameter


class ResponseKernel(eqx.Module):
    """The response to an impulse at time 0; a subclass declares its parameters and is called with times.

    ``duration`` is the time [s] after which the response counts as over. ``flow`` says that it is the response of the blood flow,
    from which TVB makes a signal.
    """

    duration: ClassVar[float] = 20.0
    flow: ClassVar[bool] = False

    def __call__(self, t: Any) -> Any:
        """Response at times ``t`` [s], an increasing array with time first."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, t), the response at times t [s].")


def _power(t: Any, exponent: Any) -> Any:
    """t^exponent, 0 at t = 0, with finite derivatives."""
    return jnp.where(t > 0, jnp.exp(exponent * jnp.log(jnp.where(t > 0, t, 1.0))), 0.0)


def _to_peak(shape: Any, peak: Any) -> Any:
    """A response whose largest value on the grid of times is ``peak``."""
    return peak * shape / jnp.max(shape, axis=0, keepdims=True)


class FirstOrderVolterra(ResponseKernel):
    r"""The first-order Volterra kernel of the flow: a damped oscillation that peaks at 0.8 s.

    .. math:: h(t) = \tfrac13\, e^{-t/(2\tau_s)}\, \frac{\sin \omega t}{\omega}, \qquad \omega^2 = \frac{1}{\tau_f} - \frac{1}{4\tau_s^2}

    Where :math:`\omega^2` is negative it is overdamped, with the hyperbolic sine.

    Parameters
    ----------
    tau_s : float or DataArray
        Signal decay [s].
    tau_f : float or DataArray
        Feedback by the flow [s^2].
    amplitude : float or DataArray
        Initial slope [1/s^2].

    References
    ----------
    Friston, Mechelli, Turner, Price (2000), doi:10.1006/nimg.2000.0630.

    Examples
    --------
    >>> import xmass as xm
    >>> round(float(xm.FirstOrderVolterra()(1.0)), 4)
    0.122
    """

    flow: ClassVar[bool] = True

    tau_s: Value = parameter(0.8, "s", "signal decay")
    tau_f: Value = parameter(0.4, "s^2", "feedback by the flow")
    amplitude: Value = parameter(1.0 / 3.0, "1/s^2", "initial slope")

    def __call__(self, t: Any) -> Any:
        square = 1.0 / self.tau_f - 0.25 / self.tau_s**2
        damped, over = square > 1e-12, square < -1e-12
        slow = jnp.sqrt(jnp.where(damped, square, 1.0))
        fast = jnp.sqrt(jnp.where(over, -square, 1.0))
        # e^(-t / 2 tau_s) goes into the exponentials, which would overflow alone
        decay = 0.5 / self.tau_s
        critical = t * jnp.exp(-decay * t)
        overdamped = 0.5 * (jnp.exp((fast - decay) * t) - jnp.exp(-(fast + decay) * t)) / fast
        oscillating = jnp.exp(-decay * t) * jnp.sin(slow * t) / slow
        return self.amplitude * jnp.where(damped, oscillating, jnp.where(over, overdamped, critical))


class Gamma(ResponseKernel):
    r"""A gamma function with its peak at (n - 1) tau, 2.16 s.

    .. math:: h(t) \propto \left(\frac{t}{\tau}\right)^{n-1} e^{-t/\tau}, \qquad \max h = a

    Parameters
    ----------
    tau : float or DataArray
        Time constant [s].
    n : float or DataArray
        Phase delay, the number of stages.
    a : float or DataArray
        Peak [1/s], the largest value on the grid of times.

    References
    ----------
    Boynton, Engel, Glover, Heeger (1996), doi:10.1523/JNEUROSCI.16-13-04207.1996.

    Examples
    --------
    >>> import numpy as np, xmass as xm
    >>> t = np.linspace(0.01, 20.0, 2000)
    >>> round(float(t[np.argmax(xm.Gamma()(t))]), 2)
    2.16
    """

    tau: Value = parameter(1.08, "s", "time constant")
    n: Value = parameter(3.0, "1", "phase delay")
    a: Value = parameter(0.1, "1/s", "peak")

    def __call__(self, t: Any) -> Any:
        return _to_peak(_power(t / self.tau, self.n - 1.0) * jnp.exp(-t / self.tau), self.a)


class DoubleExponential(ResponseKernel):
    r"""The difference of two damped oscillations, with its peak at 5.94 s.

    .. math:: h(t) \propto A_1 e^{-t/\tau_1} \sin 2\pi f_1 t - A_2 e^{-t/\tau_2} \sin 2\pi f_2 t, \qquad \max h = a

    Parameters
    ----------
    tau_1, tau_2 : float or DataArray
        Decay times [s].
    f_1, f_2 : float or DataArray
        Frequencies [Hz].
    amp_1, amp_2 : float or DataArray
        Amplitudes.
    a : float or DataArray
        Peak [1/s], the largest value on the grid of times.

    References
    ----------
    Polonsky, Blake, Braun, Heeger (2000), doi:10.1038/80676.

    Examples
    --------
    >>> import numpy as np, xmass as xm
    >>> t = np.linspace(0.01, 40.0, 4000)
    >>> round(float(t[np.argmax(xm.DoubleExponential()(t))]), 2)
    5.94
    """

    duration: ClassVar[float] = 40.0

    tau_1: Value = parameter(7.22, "s", "first decay time")
    tau_2: Value = parameter(7.4, "s", "second decay time")
    f_1: Value = parameter(0.03, "Hz", "first frequency")
    f_2: Value = parameter(0.12, "Hz", "second frequency")
    amp_1: Value = parameter(0.1, "1", "first amplitude")
    amp_2: Value = parameter(0.1, "1", "second amplitude")
    a: Value = parameter(0.1, "1/s", "peak")

    def __call__(self, t: Any) -> Any:
        first = self.amp_1 * jnp.exp(-t / self.tau_1) * jnp.sin(2 * jnp.pi * self.f_1 * t)
        second = self.amp_2 * jnp.exp(-t / self.tau_2) * jnp.sin(2 * jnp.pi * self.f_2 * t)
        return _to_peak(first - second, self.a)


class MixtureOfGammas(ResponseKernel):
    r"""A gamma function with the undershoot of a second one: the BOLD response, with its peak at 4.95 s.

    .. math::
        h(t) = \lambda \left(\frac{(\lambda t)^{a_1-1} e^{-\lambda t}}{\Gamma(a_1)}
        - c\,\frac{(\lambda t)^{a_2-1} e^{-\lambda t}}{\Gamma(a_2)}\right)

    Parameters
    ----------
    a_1, a_2 : float or DataArray
        Shapes of the response and of the undershoot.
    rate : float or DataArray
        The rate lambda [1/s].
    c : float or DataArray
        Size of the undershoot.

    References
    ----------
    Glover (1999), doi:10.1006/nimg.1998.0419.

    Examples
    --------
    >>> import xmass as xm
    >>> round(float(xm.MixtureOfGammas()(4.95)), 4)
    0.1741
    """

    a_1: Value = parameter(6.0, "1", "shape of the response")
    a_2: Value = parameter(13.0, "1", "shape of the undershoot")
    rate: Value = parameter(1.0, "1/s", "rate of both")
    c: Value = parameter(0.4, "1", "size of the undershoot")

    def __call__(self, t: Any) -> Any:
        x = self.rate * t
        return self.rate * (_density(x, self.a_1) - self.c * _density(x, self.a_2))


def _density(x: Any, shape: Any) -> Any:
    """x^(shape - 1) e^-x / Gamma(shape)."""
    return _power(x, shape - 1.0) * jnp.exp(-x - lax.lgamma(jnp.asarray(shape)))
