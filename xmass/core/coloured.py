"""Noise whose power falls or rises as a power of frequency."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from xmass.core.model import Value, parameter
from xmass.core.noise import Draw, Noise

_COUNT = 12
_FASTEST = 4.0
"""Relaxations, the fastest with a rate of 4 per step: ripple of the spectrum below 0.4 % for ``slowest`` up to 1e5 steps."""
SLOWEST = 10_000.0
"""Default of the longest correlation time [ms]."""
_NAMES = tuple(f"relaxation{k}" for k in range(_COUNT))


class ColoredNoise(Noise):
    r"""Noise with power proportional to :math:`1/f^\beta` in time, independent between regions.

    With :math:`\beta` = ``exponent`` from -2 to 2: 1 is pink, 0 independent numbers for each step, -1 blue, -2 violet. It is held over
    each step and stationary from the start. The process is :math:`(1-B)^{-\beta/2}\xi`, where :math:`B` is the shift by one step (Kasdin
    1995), so that its power is proportional to :math:`(2\sin \pi f\,dt)^{-\beta}`, within 1 % from :math:`5/` ``slowest`` to the
    Nyquist frequency. Its memory is a mixture of relaxations (Granger 1980): for positive exponents the spectrum becomes flat below
    :math:`1/(2\pi` ``slowest`` :math:`)`, and an exponent of 2 is :class:`OUProcess` with that correlation time. A negative exponent is
    the first difference of the process with ``exponent`` + 2.

    For exponents below 1 most of the variance is that of the fastest frequencies, so the effect of ``sigma`` depends on dt, as it
    does for :class:`GaussianNoise`.

    Parameters
    ----------
    sigma : float or DataArray
        Stationary standard deviation, in the input's unit.
    exponent : float or DataArray
        Exponent :math:`\beta`, from -2 to 2.
    slowest : float, Quantity or DataArray
        Longest correlation time [ms], at least ten steps.
    covariance : DataArray, optional
        Covariance between regions ``(region, region_other)``, in units of ``sigma`` squared; independent regions without it.

    References
    ----------
    Kasdin (1995), doi:10.1109/5.381848. Granger (1980), doi:10.1016/0304-4076(80)90092-5.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.HopfStep(noise_x=xm.ColoredNoise(sigma=0.1, exponent=1.5)).noise_x.exponent
    1.5
    """

    carried: ClassVar[dict[str, str]] = {"previous": "1", **dict.fromkeys(_NAMES, "1")}
    start_draws: ClassVar[int] = 1 + _COUNT

    sigma: Value = parameter(1.0, "input", "stationary standard deviation")
    exponent: Value = parameter(1.0, "1", "exponent of frequency, power falls as 1/f^exponent")
    slowest: Value = parameter(SLOWEST, "ms", "longest correlation time")

    def factors(self, dt: Any) -> dict[str, Any]:
        rate = _rates(self.slowest, dt)
        differenced = jnp.where(self.exponent < 0, 1.0, 0.0).astype(rate.dtype)
        weight = _weights(self.exponent / 2 + differenced, rate)
        # y = z + recent * previous + sum(kept * relaxation), all independent but for the relaxations among themselves.
        recent = weight.sum(axis=0) - differenced
        kept = weight * ((1.0 - differenced) + jnp.expm1(-rate))
        pairs = kept[:, None] * kept[None] / -jnp.expm1(-(rate[:, None] + rate[None]))
        scale = self.sigma / jnp.sqrt(1.0 + recent**2 + pairs.sum(axis=(0, 1)))
        return {"scale": scale, "recent": scale * recent, "kept": tuple(scale * kept), "leak": tuple(-jnp.expm1(-rate))}

    def start(self, dt: Any, draws: Any) -> dict[str, Any]:
        relaxations = (_root(_rates(self.slowest, dt)) * draws[None, :-1]).sum(axis=1)
        return {"previous": draws[-1], **dict(zip(_NAMES, relaxations))}

    def advance(self, carry: dict[str, Any], draw: Draw, factors: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        previous = carry["previous"]
        value = draw(factors["scale"]) + factors["recent"] * previous
        after = {"previous": draw(1.0)}
        for name, kept, leak in zip(_NAMES, factors["kept"], factors["leak"]):
            value = value + kept * carry[name]
            after[name] = carry[name] - leak * carry[name] + previous
        return value, after


def _rates(slowest: Any, dt: Any) -> Any:
    """Rates of the relaxations per step ``(relaxation, region, run)``, evenly spaced on a logarithmic scale, slowest first."""
    part = np.linspace(0.0, 1.0, _COUNT).reshape(-1, 1, 1)
    first = jnp.log(dt / slowest)
    return jnp.exp(first + (math.log(_FASTEST) - first) * part.astype(first.dtype))


def _weights(order: Any, rate: Any) -> Any:
    r"""Weights of relaxations whose sum is the impulse response of :math:`(1-B)^{-order}` after its first number, which is 1.

    :math:`\binom{j+s-1}{j} = \frac{\sin \pi s}{\pi} \int_0^\infty e^{-\lambda (j+s)} (1-e^{-\lambda})^{-s} d\lambda` by the trapezoidal
    rule in :math:`\log\lambda`; all that is slower than the slowest is added to it.
    """
    width = jnp.log(rate[1] / rate[0])
    weight = jnp.sin(math.pi * order) / math.pi * width * rate * jnp.exp(-rate * (1.0 + order)) * (-jnp.expm1(-rate)) ** (-order)
    slower = jnp.sinc(1.0 - order) * rate[0] ** (1.0 - order) * jnp.exp(-rate[0])
    return weight.at[0].set(0.5 * weight[0] + slower)


def _root(rate: Any) -> Any:
    """The triangular root of the stationary covariance of relaxations with one drive, 1 / (1 - a_j a_k) with a = exp(-rate).

    Entry (j, k) is the k-th Takenaka-Malmquist function at a_j: products, and no differences of large numbers.
    """
    j, k = rate[:, None], rate[None]
    pole = -jnp.expm1(-(j + k))
    blaschke = -jnp.exp(-j) * jnp.expm1(j - k) / pole
    before = jnp.concatenate([jnp.ones_like(blaschke[:, :1]), jnp.cumprod(blaschke[:, :-1], axis=1)], axis=1)
    return jnp.sqrt(-jnp.expm1(-2.0 * k)) / pole * before


def PinkNoise(sigma: Value = 1.0, *, slowest: Value = SLOWEST, covariance: Any = None) -> ColoredNoise:
    r"""Pink noise: :class:`ColoredNoise` with exponent 1.0, power :math:`1/f`.

    Parameters
    ----------
    sigma, slowest, covariance
        As there.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.PinkNoise(sigma=0.1).exponent
    1.0
    """
    return ColoredNoise(sigma=sigma, exponent=1.0, slowest=slowest, covariance=covariance)


def BlueNoise(sigma: Value = 1.0, *, slowest: Value = SLOWEST, covariance: Any = None) -> ColoredNoise:
    r"""Blue noise: :class:`ColoredNoise` with exponent -1.0, power :math:`f`.

    Parameters
    ----------
    sigma, slowest, covariance
        As there.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.BlueNoise(sigma=0.1).exponent
    -1.0
    """
    return ColoredNoise(sigma=sigma, exponent=-1.0, slowest=slowest, covariance=covariance)


def VioletNoise(sigma: Value = 1.0, *, slowest: Value = SLOWEST, covariance: Any = None) -> ColoredNoise:
    r"""Violet noise: :class:`ColoredNoise` with exponent -2.0, power :math:`f^2`, the first difference of independent numbers.

    Parameters
    ----------
    sigma, slowest, covariance
        As there.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.VioletNoise(sigma=0.1).exponent
    -2.0
    """
    return ColoredNoise(sigma=sigma, exponent=-2.0, slowest=slowest, covariance=covariance)
