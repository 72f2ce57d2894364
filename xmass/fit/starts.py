"""Where fits start: at the values that were given, and at points drawn between the bounds or from the priors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.param import limits
from xmass.core.transform import Transform
from xmass.fit.layout import Entry, Layout, Space, scale_of

_SPREAD = 1.0
"""Standard deviation of a free coordinate without a prior."""
_INSIDE = 1e-6
"""How near to a bound a drawn point may be, in widths of the interval."""


def starting_points(layout: Layout, first: np.ndarray, starts: int, seed: int, space: Space) -> np.ndarray:
    """Coordinates ``(fits, starts, size)``: first those given, ``(fits, size)``, then points that fill the space evenly.

    A parameter with a prior that can be sampled is drawn from it. Else one between two bounds is drawn uniformly, by a Latin hypercube,
    and a free coordinate from a normal distribution around its starting value.
    """
    from scipy.stats import qmc  # imported here: it takes a third of a second

    fits, size = first.shape
    found = np.repeat(first[:, None, :], starts, axis=1)
    if starts == 1 or not size:
        return found
    for fit in range(fits):
        uniform = qmc.LatinHypercube(size, rng=np.random.default_rng([seed, fit])).random(starts - 1)
        position = 0
        for number, entry in enumerate(layout.entries):
            own = slice(position, position + entry.size)
            position += entry.size
            keys = np.random.default_rng([seed, fit, number]).integers(0, 2**32, starts - 1)
            for k in range(starts - 1):
                found[fit, k + 1, own] = _drawn(entry, first[fit, own], uniform[k, own], int(keys[k]), space)
    return found


def _drawn(entry: Entry, first: np.ndarray, uniform: np.ndarray, key: int, space: Space) -> np.ndarray:
    sample = getattr(entry.param.prior, "sample", None)
    if callable(sample):
        with jax.enable_x64(True):
            values = np.asarray(sample(jax.random.key(key), _sampled(entry)), np.float64)
        return entry.coordinates(_inside(values, entry), space)
    if entry.boxed:
        uniform = _INSIDE + (1.0 - 2.0 * _INSIDE) * uniform
        if space == "box":
            return uniform
        with jax.enable_x64(True):
            return entry.coordinates(np.asarray(entry.value(jnp.asarray(uniform), "box")), space)
    normal = np.sqrt(2.0) * np.asarray(jax.scipy.special.erfinv(2.0 * uniform - 1.0), np.float64)
    size = _SPREAD if _moves(entry.transform) else np.maximum(np.abs(first), _SPREAD)
    return first + size * normal


def _sampled(entry: Entry) -> tuple[int, ...]:
    """The shape to ask a prior for: without that which its own parameters have."""
    own = (*getattr(entry.param.prior, "batch_shape", ()), *getattr(entry.param.prior, "event_shape", ()))
    return entry.shape[: len(entry.shape) - len(own)]


def _inside(values: np.ndarray, entry: Entry) -> np.ndarray:
    """Values strictly between the bounds: on a bound there may be no coordinate."""
    low, high = (np.broadcast_to(b, entry.shape) for b in limits(entry.param))
    with np.errstate(invalid="ignore"):
        margin = _INSIDE * np.where(np.isfinite(high - low), high - low, scale_of(entry))
        return np.clip(values, low + margin, high - margin)


def _moves(transform: Transform) -> bool:
    """Whether a step of 1 in its coordinate is a change of a known size, whatever the unit."""
    return type(transform).__name__ != "Identity"
