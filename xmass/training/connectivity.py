"""Which inputs reach which units: masks that are drawn once, with the weights, and stay."""

from __future__ import annotations

import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "AllToAll",
    "Connectivity",
    "FixedInputs",
    "FixedOutputs",
    "FixedTotal",
    "GaussianDistance",
    "Given",
    "OneToOne",
    "ScaleFree",
    "SmallWorld",
    "Sparse",
]


class Connectivity(eqx.Module):
    """Says which entries of a matrix ``(input, unit)`` exist. A subclass defines :meth:`mask`."""

    @property
    def everything(self) -> bool:
        """Whether every entry exists, so that no mask is needed."""
        return False

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """Booleans ``(input, unit)``.

        Raises
        ------
        ValueError
            If there is no such connectivity between these numbers of inputs and units.
        """
        raise NotImplementedError(f"{type(self).__name__} must define mask(self, key, shape).")


class AllToAll(Connectivity):
    """Every input reaches every unit; ``self_connections=False`` leaves out the unit of the same number.

    Examples
    --------
    >>> import jax
    >>> import xmass as xm
    >>> c = xm.training.connectivity
    >>> c.AllToAll(self_connections=False).mask(jax.random.key(0), (2, 2)).tolist()
    [[False, True], [True, False]]
    >>> c.FixedInputs(3).mask(jax.random.key(0), (10, 4)).sum(axis=0).tolist()
    [3, 3, 3, 3]
    """

    self_connections: bool = eqx.field(default=True, static=True)

    @property
    def everything(self) -> bool:
        """Whether units reach themselves."""
        return self.self_connections

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """All, or all but the diagonal."""
        return jnp.asarray(_possible(self, shape, self.self_connections))


class OneToOne(Connectivity):
    """Every input reaches the unit of the same number."""

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """The diagonal."""
        _square(self, shape)
        return jnp.eye(shape[0], dtype=bool)


class Sparse(Connectivity):
    """Every connection exists with probability ``p``, each on its own."""

    p: float = eqx.field(static=True)
    self_connections: bool = eqx.field(default=True, static=True)

    def __check_init__(self) -> None:
        _probability("p", self.p)

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """Independent draws."""
        return jax.random.bernoulli(key, self.p, shape) & _possible(self, shape, self.self_connections)


class FixedTotal(Connectivity):
    """``n`` connections in all."""

    n: int = eqx.field(static=True)
    self_connections: bool = eqx.field(default=True, static=True)

    def __check_init__(self) -> None:
        _whole("n", self.n)

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """Any n of those that are possible."""
        possible = _possible(self, shape, self.self_connections)
        return _chosen(self, key, self.n, possible.reshape(1, -1)).reshape(shape)


class FixedInputs(Connectivity):
    """Every unit receives ``n`` inputs."""

    n: int = eqx.field(static=True)
    self_connections: bool = eqx.field(default=True, static=True)

    def __check_init__(self) -> None:
        _whole("n", self.n)

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """Any n of every column."""
        return _chosen(self, key, self.n, _possible(self, shape, self.self_connections).T).T


class FixedOutputs(Connectivity):
    """Every input reaches ``n`` units."""

    n: int = eqx.field(static=True)
    self_connections: bool = eqx.field(default=True, static=True)

    def __check_init__(self) -> None:
        _whole("n", self.n)

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """Any n of every row."""
        return _chosen(self, key, self.n, _possible(self, shape, self.self_connections))


class GaussianDistance(Connectivity):
    r"""Inputs and units lie evenly on a ring of length 1; a connection over the distance d exists with probability
    :math:`e^{-d^2 / 2 \sigma^2}`. ``ring=False`` puts them on a line from 0 to 1."""

    sigma: float = eqx.field(static=True)
    ring: bool = eqx.field(default=True, static=True)
    self_connections: bool = eqx.field(default=True, static=True)

    def __check_init__(self) -> None:
        if isinstance(self.sigma, bool) or not isinstance(self.sigma, int | float) or not 0 < self.sigma < np.inf:
            raise ValueError(f"sigma={self.sigma!r}, needs a positive number, a share of the length of the ring.")

    def probability(self, shape: tuple[int, int]) -> np.ndarray:
        """Of every connection."""
        places = [np.arange(n) / n if self.ring else np.linspace(0, 1, n) if n > 1 else np.array([0.5]) for n in shape]
        d = np.abs(places[0][:, None] - places[1])
        return np.exp(-((np.minimum(d, 1 - d) if self.ring else d) ** 2) / (2 * self.sigma**2))

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """Independent draws."""
        p = jnp.asarray(self.probability(shape), jnp.float32)
        return jax.random.bernoulli(key, p) & _possible(self, shape, self.self_connections)


class SmallWorld(Connectivity):
    """A ring where every unit has ``k`` neighbours, each edge moved with probability ``p``: Watts & Strogatz (1998), doi:10.1038/30918.

    Connections go both ways. Needs the extra ``graph``.
    """

    k: int = eqx.field(static=True)
    p: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        _whole("k", self.k)
        _probability("p", self.p)

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """The edges of ``networkx.watts_strogatz_graph``."""
        n = _square(self, shape)
        if self.k >= n:
            raise ValueError(f"SmallWorld(k={self.k}) between {n} units: needs fewer neighbours than there are units.")
        return _drawn_by_networkx("watts_strogatz_graph", key, n, self.k, self.p)


class ScaleFree(Connectivity):
    """A graph that grows unit by unit, each with ``m`` edges, to those most likely that have many: Barabási & Albert (1999),
    doi:10.1126/science.286.5439.509.

    Connections go both ways. Needs the extra ``graph``.
    """

    m: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _whole("m", self.m)

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """The edges of ``networkx.barabasi_albert_graph``."""
        n = _square(self, shape)
        if self.m >= n:
            raise ValueError(f"ScaleFree(m={self.m}) between {n} units: needs fewer edges for each than there are units.")
        return _drawn_by_networkx("barabasi_albert_graph", key, n, self.m)


class Given(Connectivity):
    """The connections where ``matrix (input, unit)`` is not zero: an array, or what ``numpy.asarray`` makes one of."""

    matrix: np.ndarray = eqx.field(converter=lambda m: np.asarray(m) != 0)

    def __check_init__(self) -> None:
        if self.matrix.ndim != 2:
            raise ValueError(f"Given(matrix) came with shape {self.matrix.shape}, needs a matrix (input, unit).")

    def mask(self, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """The matrix."""
        if self.matrix.shape != tuple(shape):
            raise ValueError(f"Given(matrix) came with shape {self.matrix.shape}, needs (input, unit) = {tuple(shape)}.")
        return jnp.asarray(self.matrix)


def _square(of: Connectivity, shape: tuple[int, int]) -> int:
    if shape[0] != shape[1]:
        raise ValueError(f"{type(of).__name__} between {shape[0]} inputs and {shape[1]} units: needs as many of both.")
    return shape[0]


def _possible(of: Connectivity, shape: tuple[int, int], self_connections: bool) -> np.ndarray:
    if self_connections:
        return np.ones(shape, dtype=bool)
    if shape[0] != shape[1]:
        raise ValueError(
            f"{type(of).__name__}(self_connections=False) between {shape[0]} inputs and {shape[1]} units: units are connected to "
            "themselves only where both are the same. Leave self_connections out."
        )
    return ~np.eye(shape[0], dtype=bool)


def _chosen(of: Connectivity, key: jax.Array, n: int, possible: np.ndarray) -> jax.Array:
    """Any n of those that are possible in every row."""
    most = int(possible.sum(axis=1).min())
    if n > most:
        raise ValueError(f"{type(of).__name__}({n}), needs {most} at most: there are no more to choose from.")
    order = jnp.argsort(jnp.where(possible, jax.random.uniform(key, possible.shape), 2.0), axis=1)
    return jnp.argsort(order, axis=1) < n


def _drawn_by_networkx(graph: str, key: jax.Array, n: int, *arguments: Any) -> jax.Array:
    try:
        import networkx
    except ImportError as error:
        raise ImportError("SmallWorld and ScaleFree need networkx: pip install 'xmass[graph]'.") from error

    def draw(seed: Any) -> np.ndarray:
        return networkx.to_numpy_array(getattr(networkx, graph)(n, *arguments, seed=int(seed)), dtype=bool)

    seed = jax.random.bits(key, dtype=jnp.uint32)
    return jax.pure_callback(draw, jax.ShapeDtypeStruct((n, n), bool), seed, vmap_method="sequential")


def _whole(name: str, value: Any) -> None:
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 1:
        raise ValueError(f"{name}={value!r}, needs a whole number, at least 1.")


def _probability(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0 <= value <= 1:
        raise ValueError(f"{name}={value!r}, needs a probability from 0 to 1.")
