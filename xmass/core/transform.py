"""Transforms: values that must stay within bounds, positive, on a simplex or in order, from coordinates that may be any numbers.

``value = forward(z)`` is smooth and has the inverse ``z = inverse(value)``; ``log_det(z)`` is the logarithm of the volume that
``forward`` stretches a small volume by, which turns a density of values into one of coordinates. All three are pure JAX and keep the
dtype of their argument. An elementwise transform gives one value for each coordinate; the others mix those of the last axis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

TransformName = Literal["identity", "logit", "softplus", "log", "simplex", "ordered"]
NAMES: tuple[str, ...] = ("identity", "logit", "softplus", "log", "simplex", "ordered")
Bound = Any
"""A number or an array that broadcasts against the values; ``-inf`` or ``inf`` where there is none."""


@runtime_checkable
class Invertible(Protocol):
    """What a user's own transform has."""

    def forward(self, z: Any) -> Any:
        """Values of coordinates."""

    def inverse(self, value: Any) -> Any:
        """Coordinates of values."""


class Transform(Protocol):
    """What all transforms here have."""

    @property
    def elementwise(self) -> bool:
        """Whether each value has one coordinate of its own."""

    def forward(self, z: jax.Array) -> jax.Array:
        """Values of coordinates."""

    def inverse(self, value: jax.Array) -> jax.Array:
        """Coordinates of values."""

    def log_det(self, z: jax.Array) -> jax.Array:
        """Logarithm of the stretched volume: for each coordinate, or for each last axis where they are mixed."""

    def size(self, n: int) -> int:
        """Coordinates of ``n`` values (along the last axis)."""


def _as(number: Bound, like: jax.Array) -> jax.Array:
    return jnp.asarray(number, like.dtype)


def _log_logistic(z: jax.Array) -> jax.Array:
    return -jax.nn.softplus(-z)


@dataclasses.dataclass(frozen=True, eq=False)
class Identity:
    r""":math:`v = c z` with the scale c: what is fitted does not depend on the unit."""

    scale: float = 1.0
    elementwise: ClassVar[bool] = True

    def forward(self, z: jax.Array) -> jax.Array:
        return _as(self.scale, z) * z

    def inverse(self, value: jax.Array) -> jax.Array:
        return value / _as(self.scale, value)

    def log_det(self, z: jax.Array) -> jax.Array:
        return jnp.full_like(z, np.log(self.scale))

    def size(self, n: int) -> int:
        return n


@dataclasses.dataclass(frozen=True, eq=False)
class Logistic:
    r"""Between two bounds, :math:`v = l + (h - l)/(1 + e^{-z})`, precise near either."""

    low: Bound = 0.0
    high: Bound = 1.0
    elementwise: ClassVar[bool] = True

    def forward(self, z: jax.Array) -> jax.Array:
        low, high = _as(self.low, z), _as(self.high, z)
        part = (high - low) * jax.nn.sigmoid(-jnp.abs(z))  # distance from the nearer bound
        return jnp.where(z < 0, low + part, high - part)

    def inverse(self, value: jax.Array) -> jax.Array:
        return jnp.log(value - _as(self.low, value)) - jnp.log(_as(self.high, value) - value)

    def log_det(self, z: jax.Array) -> jax.Array:
        return jnp.log(_as(self.high, z) - _as(self.low, z)) + _log_logistic(z) + _log_logistic(-z)

    def size(self, n: int) -> int:
        return n


@dataclasses.dataclass(frozen=True, eq=False)
class Softplus:
    r"""Above one bound (``sign`` 1) or below it (-1), :math:`v = b \pm c \log(1 + e^z)` with the scale c."""

    bound: Bound = 0.0
    sign: Literal[1, -1] = 1
    scale: float = 1.0
    elementwise: ClassVar[bool] = True

    def forward(self, z: jax.Array) -> jax.Array:
        return _as(self.bound, z) + _as(self.sign * self.scale, z) * jax.nn.softplus(z)

    def inverse(self, value: jax.Array) -> jax.Array:
        over = (value - _as(self.bound, value)) / _as(self.sign * self.scale, value)
        return over + jnp.log(-jnp.expm1(-over))

    def log_det(self, z: jax.Array) -> jax.Array:
        return _log_logistic(z) + _as(np.log(self.scale), z)

    def size(self, n: int) -> int:
        return n


@dataclasses.dataclass(frozen=True, eq=False)
class Exponential:
    """The exponential of another elementwise transform: positive values on a logarithmic scale."""

    inner: Transform = Identity()
    elementwise: ClassVar[bool] = True

    def forward(self, z: jax.Array) -> jax.Array:
        return jnp.exp(self.inner.forward(z))

    def inverse(self, value: jax.Array) -> jax.Array:
        return self.inner.inverse(jnp.log(value))

    def log_det(self, z: jax.Array) -> jax.Array:
        return self.inner.log_det(z) + self.inner.forward(z)

    def size(self, n: int) -> int:
        return self.inner.size(n)


@dataclasses.dataclass(frozen=True, eq=False)
class Simplex:
    r"""Positive values with the sum 1 along the last axis, by breaking a stick: n values have n - 1 coordinates.

    A part :math:`s_k = 1/(1 + e^{-z_k} (n - k))` of what is left is broken off for value k, so that :math:`z = 0` gives equal values
    (Stan Reference Manual, chapter on transforms). ``log_det`` is that of the first n - 1 values.
    """

    elementwise: ClassVar[bool] = False

    def _shifted(self, z: jax.Array) -> jax.Array:
        return z - jnp.log(jnp.arange(z.shape[-1], 0, -1).astype(z.dtype))

    def forward(self, z: jax.Array) -> jax.Array:
        y = self._shifted(z)
        left = jnp.cumsum(_log_logistic(-y), axis=-1)  # logarithm of what is left after each break
        before = jnp.concatenate([jnp.zeros_like(left[..., :1]), left[..., :-1]], axis=-1)
        return jnp.exp(jnp.concatenate([before + _log_logistic(y), left[..., -1:]], axis=-1))

    def inverse(self, value: jax.Array) -> jax.Array:
        after = jnp.cumsum(value[..., :0:-1], axis=-1)[..., ::-1]  # sums of all later values, small ones first
        y = jnp.log(value[..., :-1]) - jnp.log(after)
        return y + jnp.log(jnp.arange(y.shape[-1], 0, -1).astype(y.dtype))

    def log_det(self, z: jax.Array) -> jax.Array:
        y = self._shifted(z)
        left = jnp.cumsum(_log_logistic(-y), axis=-1)
        return (_log_logistic(y) + left).sum(axis=-1)

    def size(self, n: int) -> int:
        return n - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Ordered:
    r"""Increasing values along the last axis, :math:`v_1 = c z_1`, :math:`v_k = v_{k-1} + c\,e^{z_k}` with the scale c."""

    scale: float = 1.0
    elementwise: ClassVar[bool] = False

    def forward(self, z: jax.Array) -> jax.Array:
        steps = jnp.concatenate([z[..., :1], jnp.exp(z[..., 1:])], axis=-1)
        return _as(self.scale, z) * jnp.cumsum(steps, axis=-1)

    def inverse(self, value: jax.Array) -> jax.Array:
        value = value / _as(self.scale, value)
        return jnp.concatenate([value[..., :1], jnp.log(jnp.diff(value, axis=-1))], axis=-1)

    def log_det(self, z: jax.Array) -> jax.Array:
        return z[..., 1:].sum(axis=-1) + _as(z.shape[-1] * np.log(self.scale), z)

    def size(self, n: int) -> int:
        return n


@dataclasses.dataclass(frozen=True, eq=False)
class Own:
    """A user's transform: its ``log_det`` and ``size`` where it has them, else those of an elementwise one by differentiation."""

    given: Any

    @property
    def elementwise(self) -> bool:
        """As the object says; yes if it says nothing."""
        return bool(getattr(self.given, "elementwise", True))

    def forward(self, z: jax.Array) -> jax.Array:
        return self.given.forward(z)

    def inverse(self, value: jax.Array) -> jax.Array:
        return self.given.inverse(value)

    def log_det(self, z: jax.Array) -> jax.Array:
        own: Callable[[jax.Array], jax.Array] | None = getattr(self.given, "log_det", None)
        if own is not None:
            return own(z)
        if not self.elementwise:
            raise TypeError(f"the transform {type(self.given).__name__} is not elementwise and has no log_det(z), which a density needs.")
        slope = jax.jvp(self.given.forward, (z,), (jnp.ones_like(z),))[1]
        return jnp.log(jnp.abs(slope))

    def size(self, n: int) -> int:
        own: Callable[[int], int] | None = getattr(self.given, "size", None)
        return n if own is None else own(n)


def transform_of(transform: Any = None, low: Bound = -np.inf, high: Bound = np.inf, scale: float = 1.0) -> Transform:
    """The transform of a parameter between ``low`` and ``high``, each of which is finite everywhere or nowhere.

    Parameters
    ----------
    transform : str or object with forward and inverse, optional
        A name; without one the transform that keeps the bounds: "logit" between two, "softplus" at one, "identity" without.
    low, high : float or array
        The bounds, ``-inf`` and ``inf`` for none.
    scale : float
        Size of a typical value (or of its distance from the one bound), which one unit of the coordinate stands for.

    Raises
    ------
    ValueError
        If the transform cannot keep such bounds.
    """
    if not (transform is None or isinstance(transform, str)):
        return Own(transform)
    below, above = bool(np.isfinite(low).all()), bool(np.isfinite(high).all())
    name = transform or {0: "identity", 1: "softplus", 2: "logit"}[below + above]
    if name in ("identity", "simplex", "ordered") and (below or above):
        raise ValueError(f"transform={name!r} keeps no bounds. Leave bounds out, or leave transform out for one that keeps them.")
    if name == "identity":
        return Identity(scale)
    if name == "simplex":
        return Simplex()
    if name == "ordered":
        return Ordered(scale)
    if name == "logit":
        if not (below and above):
            raise ValueError("transform='logit' needs two finite bounds: bounds=(low, high).")
        return Logistic(low, high)
    if name == "softplus":
        if below and above:
            raise ValueError("transform='softplus' keeps one bound, two are given. Leave transform out, or leave one of them out.")
        return Softplus(high, -1, scale) if above else Softplus(low if below else 0.0, 1, scale)
    if name == "log":
        return Exponential(_of_logarithm(low, high, below, above))
    raise ValueError(f"transform={name!r}, needs one of {', '.join(map(repr, NAMES))}, or an object with forward and inverse.")


def _of_logarithm(low: Bound, high: Bound, below: bool, above: bool) -> Transform:
    """The transform of the logarithm of a positive value."""
    if (below and np.min(low) < 0) or (above and np.min(high) <= 0):
        raise ValueError("transform='log' is for positive values: needs a lower bound of 0 or above, and an upper one above 0.")
    below = below and bool(np.max(low) > 0)  # 0 is no bound of a logarithm
    if below and np.min(low) == 0:
        raise ValueError("transform='log' needs a lower bound above 0 everywhere, or 0 everywhere.")
    if below and above:
        return Logistic(np.log(low), np.log(high))
    if below or above:
        return Softplus(np.log(low), 1) if below else Softplus(np.log(high), -1)
    return Identity()


def default_transform(bounds: tuple[Bound | None, Bound | None] | None) -> Transform:
    """The transform that keeps some bounds; None stands for no bound.

    Examples
    --------
    >>> default_transform((0.0, None))
    Softplus(bound=0.0, sign=1, scale=1.0)
    """
    low, high = bounds or (None, None)
    return transform_of(None, -np.inf if low is None else low, np.inf if high is None else high)
