r"""Spikes with a gradient: the Heaviside function forward, a surrogate slope backward.

A spike is :math:`s = H(x)`, :math:`x = v - v_{th}`, with :math:`H(0) = 1`. Its derivative is zero wherever it exists, so training puts the
slope of a smooth function in its place. Every class here is one such slope; calling it gives spikes in the dtype of x.

Examples
--------
>>> import jax, jax.numpy as jnp
>>> import xmass as xm
>>> spike = xm.training.surrogate.InvSquare(alpha=100)
>>> x = jnp.array([-0.01, 0.0, 0.03])
>>> [float(s) for s in spike(x)]
[0.0, 1.0, 1.0]
>>> [round(float(s), 4) for s in jax.vmap(jax.grad(spike))(x)]
[0.25, 1.0, 0.0625]
"""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import expit
from jax.scipy.stats import norm

from xmass.core.model import parameter

__all__ = [
    "Arctan",
    "ERF",
    "Gaussian",
    "InvSquare",
    "LeakyRelu",
    "LogTailedRelu",
    "MultiGaussian",
    "NonzeroSignLog",
    "PiecewiseExp",
    "PiecewiseLeakyRelu",
    "PiecewiseQuadratic",
    "QPseudoSpike",
    "ReluGrad",
    "S2NN",
    "Sigmoid",
    "Slayer",
    "SoftSign",
    "SquarewaveFourier",
    "Surrogate",
]


@jax.custom_jvp
def _spike(x: jax.Array, slope: jax.Array) -> jax.Array:
    return jnp.where(jnp.isnan(x), x, (x >= 0).astype(x.dtype))


@_spike.defjvp
def _spike_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    x, slope = primals
    return _spike(x, slope), slope * tangents[0]


class Surrogate(eqx.Module):
    """A slope that stands for the derivative of a spike. Its parameters shape gradients and have none themselves.

    A subclass declares its parameters and defines :meth:`slope`, which must be finite for every finite x.
    """

    positive: ClassVar[tuple[str, ...]] = ()
    """Parameters that must be above 0."""

    def slope(self, x: jax.Array) -> jax.Array:
        """The derivative at ``x``, in its dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define slope(self, x).")

    def __call__(self, x: jax.Array) -> jax.Array:
        """Spikes, 1 where ``x`` is 0 or more, in the dtype of ``x``; NaN where it is NaN."""
        return _spike(x, jax.lax.stop_gradient(self.slope(x)))


class InvSquare(Surrogate):
    r""":math:`1 / (\alpha |x| + 1)^2`, the slope of SuperSpike: Zenke & Ganguli (2018), doi:10.1162/neco_a_01086."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(100.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return 1 / (self.alpha * jnp.abs(x) + 1) ** 2


class Sigmoid(Surrogate):
    r""":math:`\alpha \sigma(\alpha x) (1 - \sigma(\alpha x))`, the slope of the logistic function."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(4.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return self.alpha * expit(self.alpha * x) * expit(-self.alpha * x)


class PiecewiseQuadratic(Surrogate):
    r""":math:`\max(0, \alpha - \alpha^2 |x|)`."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(1.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return jnp.maximum(self.alpha - self.alpha**2 * jnp.abs(x), 0)


class PiecewiseExp(Surrogate):
    r""":math:`(\alpha / 2) e^{-\alpha |x|}`."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(1.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return self.alpha / 2 * jnp.exp(-self.alpha * jnp.abs(x))


class SoftSign(Surrogate):
    r""":math:`\alpha / (2 (1 + |\alpha x|)^2)`."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(1.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return self.alpha / (2 * (1 + jnp.abs(self.alpha * x)) ** 2)


class Arctan(Surrogate):
    r""":math:`\alpha / (2 (1 + (\pi \alpha x / 2)^2))`: Fang et al. (2021), doi:10.1109/ICCV48922.2021.00266."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(1.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return self.alpha / (2 * (1 + (jnp.pi / 2 * self.alpha * x) ** 2))


class NonzeroSignLog(Surrogate):
    r""":math:`1 / (1 / \alpha + |x|)`."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(1.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return 1 / (1 / self.alpha + jnp.abs(x))


class ERF(Surrogate):
    r""":math:`(\alpha / \sqrt\pi) e^{-\alpha^2 x^2}`, half the slope of the error function."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(1.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return self.alpha / jnp.pi**0.5 * jnp.exp(-((self.alpha * x) ** 2))


class PiecewiseLeakyRelu(Surrogate):
    r""":math:`1 / (2 w)` where :math:`|x| \le w`, c elsewhere."""

    positive: ClassVar[tuple[str, ...]] = ("w",)
    c: Any = parameter(0.01, "1", "slope outside")
    w: Any = parameter(1.0, "1", "half the width")

    def slope(self, x: jax.Array) -> jax.Array:
        return jnp.where(jnp.abs(x) <= self.w, 1 / (2 * self.w), self.c).astype(x.dtype)


class SquarewaveFourier(Surrogate):
    r""":math:`(4 / T) \sum_{i=1}^n \cos((2 i - 1) 2 \pi x / T)`, the slope of the first terms of a square wave."""

    positive: ClassVar[tuple[str, ...]] = ("T",)
    n: int = eqx.field(default=2, static=True)
    T: Any = parameter(8.0, "1", "period")

    def __check_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise ValueError(f"n={self.n!r}, needs a whole number of terms, at least 1.")

    def slope(self, x: jax.Array) -> jax.Array:
        phase = 2 * jnp.pi * (x / self.T - jnp.round(x / self.T))  # in half a turn either way: a large x has no other cosine
        return 4 / self.T * sum(jnp.cos((2 * i - 1) * phase) for i in range(1, self.n + 1))


class S2NN(Surrogate):
    r""":math:`\alpha \sigma(\alpha x) (1 - \sigma(\alpha x))` below 0, :math:`\beta / (x + 1)` from 0 on: Suetake et al. (2023),
    doi:10.1016/j.neunet.2022.12.008."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(4.0, "1", "sharpness below")
    beta: Any = parameter(1.0, "1", "slope above")

    def slope(self, x: jax.Array) -> jax.Array:
        below = self.alpha * expit(self.alpha * x) * expit(-self.alpha * x)
        return jnp.where(x < 0, below, self.beta / (jnp.maximum(x, 0) + 1))


class QPseudoSpike(Surrogate):
    r""":math:`(1 + 2 |x| / (\alpha + 1))^{-\alpha}`: Herranz-Celotti & Rouat (2022), arXiv:2202.00282."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(2.0, "1", "exponent of the tail")

    def slope(self, x: jax.Array) -> jax.Array:
        return (1 + 2 / (self.alpha + 1) * jnp.abs(x)) ** -self.alpha


class LeakyRelu(Surrogate):
    r""":math:`\alpha` below 0, :math:`\beta` from 0 on."""

    alpha: Any = parameter(0.1, "1", "slope below")
    beta: Any = parameter(1.0, "1", "slope above")

    def slope(self, x: jax.Array) -> jax.Array:
        return jnp.where(x < 0, self.alpha, self.beta).astype(x.dtype)


class LogTailedRelu(Surrogate):
    r""":math:`1/x` above 1, 1 in (0, 1], :math:`\alpha` elsewhere: Cai et al. (2017), doi:10.1109/CVPR.2017.574."""

    alpha: Any = parameter(0.0, "1", "slope below")

    def slope(self, x: jax.Array) -> jax.Array:
        return jnp.where(x > 0, 1 / jnp.maximum(x, 1), self.alpha)


class ReluGrad(Surrogate):
    r""":math:`\max(0, \alpha (w - |x|))`, a triangle: Neftci, Mostafa & Zenke (2019), doi:10.1109/MSP.2019.2931595."""

    positive: ClassVar[tuple[str, ...]] = ("alpha", "w")
    alpha: Any = parameter(0.3, "1", "steepness of the sides")
    w: Any = parameter(1.0, "1", "half the width")

    def slope(self, x: jax.Array) -> jax.Array:
        return jnp.maximum(self.alpha * (self.w - jnp.abs(x)), 0)


class Gaussian(Surrogate):
    r""":math:`\alpha N(x; 0, \sigma^2)`: Yin, Corradi & Bohté (2021), doi:10.1038/s42256-021-00397-w."""

    positive: ClassVar[tuple[str, ...]] = ("sigma", "alpha")
    sigma: Any = parameter(0.5, "1", "standard deviation")
    alpha: Any = parameter(0.5, "1", "area")

    def slope(self, x: jax.Array) -> jax.Array:
        return self.alpha * _normal(x, self.sigma)


class MultiGaussian(Surrogate):
    r""":math:`\gamma [(1 + h) N(x; 0, \sigma^2) - h N(x; \sigma, (s \sigma)^2) - h N(x; -\sigma, (s \sigma)^2)]`.

    Yin, Corradi & Bohté (2021), doi:10.1038/s42256-021-00397-w.
    """

    positive: ClassVar[tuple[str, ...]] = ("s", "sigma", "scale")
    h: Any = parameter(0.15, "1", "height of the sides")
    s: Any = parameter(6.0, "1", "how much wider the sides are")
    sigma: Any = parameter(0.5, "1", "standard deviation")
    scale: Any = parameter(0.5, "1", "gamma")

    def slope(self, x: jax.Array) -> jax.Array:
        wide = self.s * self.sigma
        sides = _normal(x - self.sigma, wide) + _normal(x + self.sigma, wide)
        return self.scale * ((1 + self.h) * _normal(x, self.sigma) - self.h * sides)


class Slayer(Surrogate):
    r""":math:`e^{-\alpha |x|}`: Shrestha & Orchard (2018), arXiv:1810.08646."""

    positive: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Any = parameter(1.0, "1", "sharpness")

    def slope(self, x: jax.Array) -> jax.Array:
        return jnp.exp(-self.alpha * jnp.abs(x))


def _normal(x: jax.Array, sigma: Any) -> jax.Array:
    return norm.pdf(x / sigma) / sigma
