"""Next-generation reservoir: delayed inputs and their products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import jax.numpy as jnp
import numpy as np

from xmass.training.layer import FeatureLayer, Fixed

MOST_FEATURES = 100_000


@dataclass(frozen=True, kw_only=True)
class NVAR(FeatureLayer):
    r"""Nonlinear vector autoregression, the next-generation reservoir: nothing is random, and a readout is all there is to fit.

    The features at a time are, in this order, 1 if ``constant``; the inputs at delays of 0, s, ..., (k - 1) s samples, newest first;
    and for each order p all products of p of these, repetitions included, in lexicographic order. Lower orders come only if they are
    named: ``orders=[3]`` has no squares. There are :math:`D + \sum_p \binom{D + p - 1}{p}` of them, for D = inputs times k, and one more
    with ``constant``. Inputs have whatever unit; features are numbers in powers of it.

    Parameters
    ----------
    delay : int
        k, how many times are read.
    stride : int
        s, samples between them.
    orders : int or sequence of int
        Orders of the products, each 2 or more; empty for none.
    constant : bool
        Whether the first feature is 1. A readout with an intercept needs none.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    Gauthier, Bollt, Griffith & Barbosa (2021), Nat. Commun. 12, 5564, doi:10.1038/s41467-021-25801-2.

    Examples
    --------
    >>> import xmass as xm
    >>> layer = xm.training.NVAR(delay=2, stride=5, orders=[2])
    >>> layer.names(["x"])
    ('x(t)', 'x(t-5)', 'x(t)^2', 'x(t) x(t-5)', 'x(t-5)^2')
    >>> ds = xm.datasets.load_dataset("lorenz")
    >>> model = layer.fit(ds.sel(time=slice(20, 80)), x=["x", "y", "z"])
    >>> error = model.predict(ds.sel(time=slice(80, 100))) - ds
    >>> bool((error.x**2).mean() < 1e-8)
    True
    """

    delay: int = 2
    stride: int = 1
    orders: int | Sequence[int] = (2,)
    constant: bool = False

    def __post_init__(self) -> None:
        orders = (self.orders,) if isinstance(self.orders, (int, np.integer)) else tuple(self.orders)
        for name, value in (("delay", self.delay), ("stride", self.stride)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name}={value!r}, needs a whole number of 1 or more.")
        if any(isinstance(p, bool) or not isinstance(p, (int, np.integer)) or p < 2 for p in orders) or len(set(orders)) != len(orders):
            raise ValueError(
                f"orders={self.orders!r}, needs whole numbers of 2 or more, each once: orders=[2, 3]. The linear terms are always there."
            )
        object.__setattr__(self, "orders", tuple(int(p) for p in orders))

    @property
    def memory(self) -> int:
        """(delay - 1) stride: the samples before the first with all of its past."""
        return (self.delay - 1) * self.stride

    def names(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """A name for each feature, as ``x(t)``, ``x(t-5)``, ``x(t)^2``, ``x(t) y(t-5)``; ``1`` for the constant."""
        linear = [f"{name}(t-{tap * self.stride})" if tap else f"{name}(t)" for tap in range(self.delay) for name in inputs]
        return (
            *(("1",) if self.constant else ()),
            *linear,
            *(_product_name([linear[i] for i in term]) for _, terms in self._terms(len(linear)) for term in terms),
        )

    def fixed(self, inputs: int) -> dict[str, np.ndarray]:
        """None: nothing is drawn."""
        return {}

    def start(self, batch: int, inputs: int) -> np.ndarray:
        """The past, oldest first: zeros."""
        return np.zeros((batch, self.memory + 1, inputs))

    def step(self, fixed: Fixed, state: Any, u: Any, noise: Any) -> tuple[Any, Any]:
        """Past and features after the inputs ``u (batch, input)``."""
        state = jnp.concatenate([state[:, 1:], u[:, None]], axis=1)
        taps = state[:, :: -self.stride] if self.memory else state
        return state, self._expand(taps.reshape(len(u), -1), jnp)

    def run(self, u: np.ndarray, *, training: bool = False) -> np.ndarray:
        """Features ``(batch, time, feature)``; before the first sample the inputs are zero."""
        padded = np.concatenate([np.zeros((len(u), self.memory, u.shape[2])), u], axis=1)
        length = u.shape[1]
        linear = np.concatenate(
            [padded[:, self.memory - t * self.stride : self.memory - t * self.stride + length] for t in range(self.delay)], -1
        )
        return self._expand(linear, np)

    def _terms(self, linear: int) -> list[tuple[int, np.ndarray]]:
        total = linear + sum(comb(linear + p - 1, p) for p in self._orders)
        if total > MOST_FEATURES:
            raise ValueError(
                f"{linear} linear features make {total} with orders={list(self._orders)}: take fewer inputs, delays or orders."
            )
        return [(p, np.array(list(combinations_with_replacement(range(linear), p)))) for p in self._orders]

    @property
    def _orders(self) -> tuple[int, ...]:
        assert isinstance(self.orders, tuple)
        return self.orders

    def _expand(self, linear: Any, xp: Any) -> Any:
        parts = [xp.ones((*linear.shape[:-1], 1), linear.dtype)] if self.constant else []
        parts.append(linear)
        for p, terms in self._terms(linear.shape[-1]):
            product = linear[..., terms[:, 0]]
            for place in range(1, p):
                product = product * linear[..., terms[:, place]]
            parts.append(product)
        return xp.concatenate(parts, axis=-1)


def _product_name(factors: list[str]) -> str:
    counts = {f: factors.count(f) for f in dict.fromkeys(factors)}
    return " ".join(f if n == 1 else f"{f}^{n}" for f, n in counts.items())
