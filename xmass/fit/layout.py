"""Free parameters as one flat vector: which entry is which, and how values follow from coordinates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core.param import Param, limits, log_prior, penalty
from xmass.core.transform import Transform, transform_of

Space = Literal["box", "free"]
Labels = Mapping[str, np.ndarray]
"""Dims in order, and the labels of each."""


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One parameter: ``param`` holds its starting value, bounds and prior as arrays over ``labels``.

    The starting value may have the dims of fits first. ``free`` says which entries are fitted; the others keep their value.
    """

    path: str
    param: Param
    labels: Labels
    transform: Transform
    free: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of its values in one fit."""
        return tuple(len(v) for v in self.labels.values())

    @property
    def count(self) -> int:
        """Values that are fitted."""
        return int(np.prod(self.shape)) if self.free is None else int(self.free.sum())

    @property
    def inner(self) -> tuple[int, ...]:
        """Shape of its coordinates."""
        if self.transform.elementwise:
            return (self.count,)
        return (*self.shape[:-1], self.transform.size(self.shape[-1]))

    @property
    def size(self) -> int:
        """Number of its coordinates."""
        return int(np.prod(self.inner))

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of each value that is fitted, infinite where there are none."""
        low, high = (self.picked(np.broadcast_to(b, self.shape)) for b in limits(self.param))
        return low, high

    @property
    def boxed(self) -> bool:
        """Whether its coordinates in a box go from 0 to 1."""
        return self.transform.elementwise and bool(np.isfinite(self.limits).all()) and not (self._log and (self.limits[0] <= 0).any())

    @property
    def _log(self) -> bool:
        return isinstance(self.param.transform, str) and self.param.transform == "log"

    def picked(self, values: Any) -> Any:
        """The fitted ones of ``(..., *shape)``, as ``(..., count)``."""
        lead = values.shape[: values.ndim - len(self.shape)]
        flat = values.reshape(*lead, -1)
        return flat if self.free is None else flat[..., np.flatnonzero(self.free)]

    def whole(self, values: jax.Array) -> jax.Array:
        """``(*shape)`` from ``(count,)``; what is not fitted keeps its value."""
        if self.free is None:
            return values.reshape(self.shape)
        held = jnp.asarray(np.asarray(self.param.value).reshape(-1, int(np.prod(self.shape)))[0], values.dtype)
        return held.at[np.flatnonzero(self.free)].set(values).reshape(self.shape)

    def value(self, z: jax.Array, space: Space) -> jax.Array:
        """Values ``(*shape)`` of coordinates ``(size,)``."""
        if not self.transform.elementwise:
            return self.transform.forward(z.reshape(self.inner)).reshape(self.shape)
        if space == "free" or not self.boxed:
            return self.whole(self.transform.forward(z))
        low, high = (jnp.asarray(b, z.dtype) for b in self.limits)
        if not self._log:
            return self.whole(low * (1.0 - z) + high * z)
        width = jnp.log(high / low)
        return self.whole(jnp.where(z < 0.5, low * jnp.exp(z * width), high * jnp.exp((z - 1.0) * width)))  # exact at both ends

    def coordinates(self, values: np.ndarray, space: Space) -> np.ndarray:
        """Coordinates ``(..., size)`` of values ``(..., *shape)``, in float64."""
        lead = values.shape[: values.ndim - len(self.shape)]
        if self.transform.elementwise and space == "box" and self.boxed:
            low, high = self.limits
            picked = self.picked(values)
            if self._log:
                low, high, picked = np.log(low), np.log(high), np.log(picked)
            return (picked - low) / (high - low)
        with jax.enable_x64(True):
            given = self.picked(values) if self.transform.elementwise else values
            z = np.asarray(self.transform.inverse(jnp.asarray(given, jnp.float64)))
        return z.reshape(*lead, self.size)

    def log_det(self, z: jax.Array) -> jax.Array:
        """Logarithm of the volume that free coordinates ``(size,)`` are stretched by."""
        return jnp.sum(self.transform.log_det(z.reshape(self.inner)))

    def names(self) -> list[str]:
        """Of each coordinate: the path, and in brackets the labels of its value."""
        if not self.labels:
            return [self.path]
        sizes = self.shape if self.transform.elementwise else self.inner
        index = np.indices(sizes).reshape(len(sizes), -1).T
        if self.free is not None:
            index = index[np.flatnonzero(self.free)]
        labels = list(self.labels.values())
        return [f"{self.path}[{','.join(str(labels[d][i]) for d, i in enumerate(row))}]" for row in index]


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The flat vector of all free parameters, of ``size`` coordinates in one of two spaces.

    In ``"free"`` every coordinate may be any number. In ``"box"`` those of a parameter between two bounds go from 0 to 1, linear in the
    value, or in its logarithm with ``transform="log"``; the others are as in ``"free"``.
    """

    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return sum(e.size for e in self.entries)

    @property
    def names(self) -> tuple[str, ...]:
        """Of each coordinate, such as ``a`` or ``a[R3]``; of a simplex, all but the last value."""
        return tuple(name for e in self.entries for name in e.names())

    def parts(self, c: Any) -> list[tuple[Entry, Any]]:
        """Each entry with its part of ``(..., size)``."""
        stops = np.cumsum([e.size for e in self.entries]).tolist()
        return [(e, c[..., stop - e.size : stop]) for e, stop in zip(self.entries, stops, strict=True)]

    def to_values(self, c: jax.Array, space: Space = "free") -> dict[str, jax.Array]:
        """Values by path from coordinates ``(size,)``; traceable, in the dtype of ``c``."""
        return {e.path: e.value(z, space) for e, z in self.parts(c)}

    def to_coordinates(self, values: Mapping[str, Any], space: Space = "free") -> np.ndarray:
        """Coordinates ``(..., size)`` from values by path ``(..., *shape)``; leading axes are broadcast.

        Raises
        ------
        ValueError
            If a value lies where its transform has no coordinate: on a bound, or off the simplex.
        """
        found = []
        for e in self.entries:
            given = np.asarray(values[e.path], dtype=np.float64)
            z = e.coordinates(given, space)
            if not np.isfinite(z).all():
                raise ValueError(_without_coordinate(e, given, z))
            found.append(z)
        lead = np.broadcast_shapes(*(z.shape[:-1] for z in found)) if found else ()
        return np.concatenate([np.broadcast_to(z, (*lead, z.shape[-1])) for z in found], axis=-1) if found else np.zeros((*lead, 0))

    def start(self, space: Space = "free") -> np.ndarray:
        """Coordinates of the starting values ``(size,)``; where values have dims of fits ``(*fits, size)``, 1 along those that none has."""
        return self.to_coordinates({e.path: e.param.value for e in self.entries}, space)

    def lower(self, space: Space = "free") -> np.ndarray:
        """Lowest coordinates, minus infinity where there is no bound."""
        return self._filled(space, 0.0, -np.inf)

    def upper(self, space: Space = "free") -> np.ndarray:
        """Highest coordinates, infinity where there is no bound."""
        return self._filled(space, 1.0, np.inf)

    def _filled(self, space: Space, boxed: float, other: float) -> np.ndarray:
        parts = [np.full(e.size, boxed if space == "box" and e.boxed else other) for e in self.entries]
        return np.concatenate(parts) if parts else np.zeros(0)

    def log_det(self, c: jax.Array) -> jax.Array:
        """Logarithm of the volume that free coordinates ``(size,)`` are stretched by."""
        return sum((e.log_det(z) for e, z in self.parts(c)), jnp.zeros((), c.dtype))

    def penalty(self, c: jax.Array, space: Space = "free", start: Mapping[str, Any] | None = None) -> jax.Array:
        """The sum of all penalties at coordinates ``(size,)``; ``start`` are the starting values of the fit, if they differ by fit."""
        first = {e.path: e.param.value for e in self.entries} | dict(start or {})
        several = next((e.path for e in self.entries if np.ndim(first[e.path]) > len(e.shape)), None)
        if several is not None:
            raise ValueError(f"{several} starts at other values in each fit: give those of the fit with start=.")
        values = self.to_values(c, space)
        found = (penalty(e.param, values[e.path], first[e.path]) for e in self.entries)
        return sum(found, jnp.zeros((), c.dtype))

    def log_prior(self, c: jax.Array, space: Space = "free") -> jax.Array:
        """Logarithm of the prior density of the values at coordinates ``(size,)``."""
        values = self.to_values(c, space)
        return sum((log_prior(e.param, values[e.path]) for e in self.entries), jnp.zeros((), c.dtype))


def _without_coordinate(entry: Entry, values: np.ndarray, z: np.ndarray) -> str:
    """What to do about the first value without a coordinate."""
    if not entry.transform.elementwise:
        return f"{entry.path} is {values.tolist()}, which its transform {entry.param.transform!r} does not reach."
    bad = int(np.argmax(~np.isfinite(z).reshape(-1)))
    names, value = entry.names(), entry.picked(values).reshape(-1)[bad]
    said = f"{names[bad % len(names)]} is {value:g}"
    if np.isnan(z.reshape(-1)[bad]):
        return f"{said}, which its transform {entry.param.transform!r} does not reach. Give another value or bounds."
    return f"{said}, at its bound, which unbounded coordinates do not reach: give a value inside the bounds."


def layout_of(
    params: Mapping[str, tuple[Param, Labels]],
    *,
    fits: Labels | None = None,
    free: Mapping[str, np.ndarray] | None = None,
) -> Layout:
    """The layout of some parameters.

    Parameters
    ----------
    params : mapping of str to (Param, mapping of str to array)
        By path: the parameter with numbers or DataArrays in its unit, as :func:`xmass.labelled.free.declared` makes it, and the labels of
        each dim of its full shape, in order.
    fits : mapping of str to array, optional
        Dims of independent fits and their labels; a starting value may have them, nothing else may.
    free : mapping of str to array of bool, optional
        Of parameters by path, which entries of the full shape are fitted (the edges of a connectome).

    Raises
    ------
    ValueError
        If a value, bound or prior has a dim that the full shape lacks, or other labels; if values that a transform mixes are held; if a
        transform does not fit the bounds or the starting value.

    Examples
    --------
    >>> from xmass import Param
    >>> layout = layout_of({"a": (Param(0.2, bounds=(0.0, 1.0), dims="region"), {"region": np.array(["L", "R"])})})
    >>> layout.names, layout.start("box")
    (('a[L]', 'a[R]'), array([0.2, 0.2]))
    """
    masks = free or {}
    return Layout(tuple(_entry(path, p, labels, fits or {}, masks.get(path)) for path, (p, labels) in params.items()))


def _entry(path: str, param: Param, labels: Labels, fits: Labels, free: np.ndarray | None) -> Entry:
    shape = tuple(len(v) for v in labels.values())
    if free is not None and free.shape != shape:
        raise ValueError(f"free[{path!r}] has shape {free.shape}, needs {shape}.")
    value = aligned(param.value, labels, fits, f"the value of {path}")
    low, high = (
        None if b is None else aligned(b, labels, {}, f"the {which} bound of {path}")
        for which, b in zip(("lower", "upper"), param.bounds or (None, None), strict=True)
    )
    prior = param.prior
    if fields := getattr(prior, "with_unit", ()):
        prior = dataclasses.replace(prior, **{n: aligned(getattr(prior, n), labels, {}, f"{n} of the prior of {path}") for n in fields})
    param = dataclasses.replace(param, value=value, bounds=None if low is None and high is None else (low, high), prior=prior, dims=())
    entry = Entry(path, param, labels, transform_of(), free)
    lowest, highest = entry.limits
    try:
        transform = transform_of(param.transform, lowest, highest, scale_of(entry))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    entry = dataclasses.replace(entry, transform=transform)
    if not transform.elementwise:
        _check_mixed(entry)
    held = value.reshape(-1, *shape) if free is None else value.reshape(-1, *shape)[:, ~free]
    if free is not None and (held != held[:1]).any():
        raise ValueError(f"the value of {path} differs between fits where it is held; only fitted values can.")
    return entry


def aligned(value: Any, labels: Labels, fits: Labels, name: str) -> np.ndarray:
    """A value over its full shape, dims of fits before it if it has any."""
    shape = tuple(len(v) for v in labels.values())
    if not isinstance(value, xr.DataArray):
        return np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
    known = {**fits, **labels}
    for dim in map(str, value.dims):
        if dim not in known:
            raise ValueError(f"{name} has the dim {dim!r}, needs some of {tuple(known)}. Select: .isel({dim}=0).")
        own = known[dim].tolist()
        if dim in value.coords:
            given = value[dim].values.tolist()
            missing, extra = [v for v in own if v not in given][:5], [v for v in given if v not in own][:5]
            if missing or extra or len(given) != len(own):
                raise ValueError(
                    f"{name} has labels along {dim!r} that differ: it lacks {missing} and has {extra} more. Use .sel({dim}=...)."
                )
            value = value.isel({dim: [given.index(v) for v in own]})
        elif value.sizes[dim] != len(own):
            raise ValueError(f"{name} has {value.sizes[dim]} entries along {dim!r}, needs {len(own)}.")
    lead = {d: len(fits[d]) for d in fits if d in value.dims}
    sizes = {**(dict.fromkeys(fits, 1) | lead if lead else {}), **{d: len(v) for d, v in labels.items()}}
    ordered = value.transpose(*(d for d in sizes if d in value.dims)).values.astype(np.float64)
    ordered = ordered.reshape([n if d in value.dims else 1 for d, n in sizes.items()])
    return np.broadcast_to(ordered, tuple(sizes.values()))


def scale_of(entry: Entry) -> float:
    """A typical size of the starting values, from the one bound where there is one; 1 where that is 0."""
    low, high = entry.limits
    value = entry.picked(np.asarray(entry.param.value))
    below, above = bool(np.isfinite(low).all()), bool(np.isfinite(high).all())
    away = value - low if below else high - value if above else value
    size = float(np.abs(away).mean()) if away.size else 0.0
    return size if size > 0 and np.isfinite(size) else 1.0


def _check_mixed(entry: Entry) -> None:
    """A transform that mixes the last axis needs one, all of it free, and a starting value that it can reach."""
    transform = entry.param.transform
    name = f"transform={transform!r}" if isinstance(transform, str) else f"transform {type(transform).__name__}"
    if not entry.labels:
        raise ValueError(f"{entry.path} is one number, {name} needs values along a dim: dims=('region',).")
    along = f"along {list(entry.labels)[-1]!r}"
    if entry.free is not None:
        raise ValueError(f"{entry.path} has values that are held; {name} needs all values {along} free.")
    value = np.asarray(entry.param.value)
    total = value.sum(axis=-1)
    if transform == "simplex" and (np.abs(total - 1.0) > 1e-6).any():
        raise ValueError(f"{entry.path} starts with the sum {total.ravel()[0]:g} {along}, {name} needs 1: value / value.sum().")
    if transform == "simplex" and (value <= 0).any():
        raise ValueError(f"{entry.path} starts at {value.min():g}, {name} needs positive values.")
    if transform == "ordered" and (np.diff(value, axis=-1) <= 0).any():
        raise ValueError(f"{entry.path} does not start in increasing order {along}, which {name} needs.")
