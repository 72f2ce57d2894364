"""A parameter that may be fitted: its starting value, its bounds, and what is known about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.transform import NAMES, Invertible, TransformName


@runtime_checkable
class Prior(Protocol):
    """What ``prior=`` takes: the logarithm of a density of values in the declared unit, traceable by JAX."""

    def log_prob(self, value: Any) -> Any:
        """Logarithm of the density at ``value``."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Param:
    """A parameter's value, and how it may change in a fit. Everywhere else it counts as its value.

    Parameters
    ----------
    value : number, Quantity or DataArray
        Where a fit starts. A DataArray over ``region`` has a value for each region; an array needs ``dims``.
    bounds : pair, optional
        Lowest and highest value, numbers in the declared unit, quantities or DataArrays (by region); None for no bound.
    transform : str or object, optional
        How values follow from unbounded coordinates: "logit" between two bounds, "softplus" on one side of one, "log" on a logarithmic
        scale, "identity", "simplex" (positive, sum 1), "ordered" (increasing), the last two along the last dim; or an object with
        ``forward(z)`` and ``inverse(value)`` in jax.numpy. By default it follows from the bounds.
    prior : object, optional
        What is known about the value: an object with ``log_prob(value)``, such as ``xm.priors.Normal(0.1, 0.05)`` or a distribution of
        numpyro, of values in the declared unit.
    reg : float or callable, optional
        Penalty that is added to the loss. A number is the weight of the mean squared distance from the starting value, measured in widths
        of the bounds, or in sizes of the starting value where there are none. A function of the array of values returns the penalty.
    fit : bool
        False holds the value.
    dims : str or tuple of str
        Dims of the value that it has not yet: ``"region"`` fits one value for each region.

    Raises
    ------
    TypeError, ValueError
        For bounds that are no pair, an unknown transform, a prior without ``log_prob``, a regularisation that is not positive.

    Examples
    --------
    >>> import xmass as xm
    >>> node = xm.HopfStep(a=xm.Param(-0.02, bounds=(-0.2, 0.1)))
    >>> node.a
    Param(-0.02, bounds=(-0.2, 0.1))
    >>> float(xm.Simulator(node, dt=0.1).parameters().a)
    -0.02
    """

    value: Any
    bounds: tuple[Any, Any] | None = dataclasses.field(default=None, kw_only=True)
    transform: TransformName | Any = dataclasses.field(default=None, kw_only=True)
    prior: Any = dataclasses.field(default=None, kw_only=True)
    reg: float | Callable[[jax.Array], Any] | None = dataclasses.field(default=None, kw_only=True)
    fit: bool = dataclasses.field(default=True, kw_only=True)
    dims: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if self.value is None or isinstance(self.value, Param | bool | str):
            raise TypeError(f"the value of a Param is {self.value!r}, needs a number, a quantity or a DataArray: xm.Param(0.1).")
        object.__setattr__(self, "dims", (self.dims,) if isinstance(self.dims, str) else tuple(self.dims))
        if not all(isinstance(d, str) and d for d in self.dims) or len(set(self.dims)) < len(self.dims):
            raise ValueError(f"dims={self.dims!r}, needs different names: dims=('region',).")
        if self.bounds is not None:
            if not isinstance(self.bounds, tuple | list) or len(self.bounds) != 2:
                raise TypeError(f"bounds={self.bounds!r}, needs a pair: bounds=(0, 1), or (0, None) for a lower bound alone.")
            object.__setattr__(self, "bounds", tuple(self.bounds))
        known = self.transform in NAMES if isinstance(self.transform, str) else isinstance(self.transform, Invertible | None)
        if not known:
            names = ", ".join(map(repr, NAMES))
            raise ValueError(f"transform={self.transform!r}, needs one of {names}, or an object with forward(z) and inverse(value).")
        if self.prior is not None and not isinstance(self.prior, Prior):
            raise TypeError(
                f"prior is a {type(self.prior).__name__}, needs an object with log_prob(value) that JAX can trace, such as "
                "xm.priors.Normal(0.1, 0.05) or a distribution of numpyro."
            )
        if self.reg is not None and not callable(self.reg):
            number = self.reg if isinstance(self.reg, int | float | np.integer | np.floating) and not isinstance(self.reg, bool) else np.nan
            if not 0 < number < np.inf:
                raise ValueError(f"reg={self.reg!r}, needs a positive weight or a function of the values. Leave it out for no penalty.")
        if not isinstance(self.fit, bool):
            raise TypeError(f"fit={self.fit!r}, needs True or False.")

    def __repr__(self) -> str:
        said = [f"{f.name}={v!r}" for f in dataclasses.fields(self)[1:] if (v := getattr(self, f.name)) is not f.default and v != f.default]
        return f"Param({', '.join([repr(self.value), *said])})"


def _number(bounds: tuple[Any, Any] | None, which: int) -> Any:
    """A bound as numbers, infinite where there is none."""
    bound = None if bounds is None else bounds[which]
    return (-np.inf, np.inf)[which] if bound is None else np.asarray(bound, dtype=np.float64)


def limits(param: Param) -> tuple[Any, Any]:
    """Lower and upper bound as numbers, infinite where there is none."""
    return _number(param.bounds, 0), _number(param.bounds, 1)


def penalty(param: Param, value: jax.Array, start: Any) -> jax.Array:
    """The penalty of ``reg=`` for an array of values; 0 without one.

    Parameters
    ----------
    param : Param
        With bounds as plain numbers or arrays that broadcast against ``value``.
    value : Array
        Values in the declared unit.
    start : float or array
        The values that the fit starts from.
    """
    if param.reg is None:
        return jnp.zeros((), value.dtype)
    if callable(param.reg):
        return jnp.sum(jnp.asarray(param.reg(value), value.dtype))
    low, high = limits(param)
    first, width = jnp.asarray(start, value.dtype), jnp.asarray(high - low, value.dtype)
    size = jnp.where(jnp.isfinite(width), width, jnp.where(first == 0, jnp.ones_like(first), jnp.abs(first)))
    away = (value - first) / size
    return jnp.asarray(param.reg, value.dtype) * jnp.mean(away**2)


def log_prior(param: Param, value: jax.Array) -> jax.Array:
    """Logarithm of the prior density of an array of values, summed; 0 without a prior."""
    if param.prior is None:
        return jnp.zeros((), value.dtype)
    return jnp.sum(jnp.asarray(param.prior.log_prob(value), value.dtype))
