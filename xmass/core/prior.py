"""Priors: densities of a parameter's value in its declared unit. Distributions of numpyro serve as well."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

_LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)


def _as(number: Any, like: jax.Array) -> jax.Array:
    return jnp.asarray(number, like.dtype)


def _positive(prior: Any, name: str) -> None:
    value = getattr(prior, name)
    numbers = getattr(value, "mantissa", getattr(value, "magnitude", value))
    if not (np.asarray(numbers) > 0).all():
        raise ValueError(f"{type(prior).__name__} has {name}={value!r}, needs it positive.")


@dataclasses.dataclass(frozen=True)
class Normal:
    """A normal distribution.

    Parameters
    ----------
    mean, sd : float or Quantity
        Mean and standard deviation, in the unit of the parameter.

    Examples
    --------
    >>> import xmass as xm
    >>> round(float(xm.priors.Normal(0.0, 1.0).log_prob(0.0)), 4)
    -0.9189
    """

    with_unit: ClassVar[tuple[str, ...]] = ("mean", "sd")
    mean: Any = 0.0
    sd: Any = 1.0

    def __post_init__(self) -> None:
        _positive(self, "sd")

    def log_prob(self, value: Any) -> jax.Array:
        """Logarithm of the density."""
        value = jnp.asarray(value)
        away = (value - _as(self.mean, value)) / _as(self.sd, value)
        return -0.5 * away**2 - _as(_LOG_ROOT_TAU + np.log(self.sd), value)

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws of the given shape."""
        z = jax.random.normal(key, shape)
        return _as(self.mean, z) + _as(self.sd, z) * z


@dataclasses.dataclass(frozen=True)
class LogNormal:
    """A positive value whose logarithm is normal.

    Parameters
    ----------
    median : float or Quantity
        The median, in the unit of the parameter.
    sd : float
        Standard deviation of the natural logarithm: 0.7 is about a factor of two either way.

    Examples
    --------
    >>> import xmass as xm
    >>> round(float(xm.priors.LogNormal(2.0, 0.5).log_prob(2.0)), 4)
    -0.9189
    """

    with_unit: ClassVar[tuple[str, ...]] = ("median",)
    median: Any = 1.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, "median")
        _positive(self, "sd")

    def log_prob(self, value: Any) -> jax.Array:
        """Logarithm of the density; minus infinity at 0 and below."""
        value = jnp.asarray(value)
        safe = jnp.where(value > 0, value, _as(1.0, value))
        away = (jnp.log(safe) - _as(np.log(self.median), value)) / _as(self.sd, value)
        inside = -0.5 * away**2 - jnp.log(safe) - _as(_LOG_ROOT_TAU + np.log(self.sd), value)
        return jnp.where(value > 0, inside, _as(-np.inf, value))

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws of the given shape."""
        z = jax.random.normal(key, shape)
        return _as(self.median, z) * jnp.exp(_as(self.sd, z) * z)


@dataclasses.dataclass(frozen=True)
class HalfNormal:
    """The absolute value of a normal distribution around 0.

    Parameters
    ----------
    sd : float or Quantity
        Standard deviation of that normal distribution, in the unit of the parameter.

    Examples
    --------
    >>> import xmass as xm
    >>> round(float(xm.priors.HalfNormal(1.0).log_prob(0.0)), 4)
    -0.2258
    """

    with_unit: ClassVar[tuple[str, ...]] = ("sd",)
    sd: Any = 1.0

    def __post_init__(self) -> None:
        _positive(self, "sd")

    def log_prob(self, value: Any) -> jax.Array:
        """Logarithm of the density; minus infinity below 0."""
        value = jnp.asarray(value)
        inside = -0.5 * (value / _as(self.sd, value)) ** 2 + _as(math.log(2.0) - _LOG_ROOT_TAU - np.log(self.sd), value)
        return jnp.where(value >= 0, inside, _as(-np.inf, value))

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws of the given shape."""
        z = jax.random.normal(key, shape)
        return _as(self.sd, z) * jnp.abs(z)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A uniform distribution between two values.

    Parameters
    ----------
    low, high : float or Quantity
        The ends, in the unit of the parameter.

    Examples
    --------
    >>> import xmass as xm
    >>> float(xm.priors.Uniform(0.0, 2.0).log_prob(3.0))
    -inf
    """

    with_unit: ClassVar[tuple[str, ...]] = ("low", "high")
    low: Any = 0.0
    high: Any = 1.0

    def __post_init__(self) -> None:
        if not np.all(self.high > self.low):
            raise ValueError(f"Uniform has low={self.low!r} and high={self.high!r}, needs low < high.")

    def log_prob(self, value: Any) -> jax.Array:
        """Logarithm of the density; minus infinity outside."""
        value = jnp.asarray(value)
        inside = (value >= _as(self.low, value)) & (value <= _as(self.high, value))
        return jnp.where(inside, _as(-np.log(self.high - self.low), value), _as(-np.inf, value))

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws of the given shape."""
        part = jax.random.uniform(key, shape)
        return _as(self.low, part) + (_as(self.high, part) - _as(self.low, part)) * part
