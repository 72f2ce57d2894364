"""Array functions shared by the analyses and the objectives: they take numpy and jax arrays alike."""

from __future__ import annotations

from typing import Any

import numpy as np


def array_namespace(*arrays: Any) -> Any:
    """The module that computes with these arrays: ``jax.numpy`` as soon as one of them is a jax array, else ``numpy``."""
    for array in arrays:
        space = array.__array_namespace__() if not isinstance(array, np.ndarray | np.generic | float | int) else np
        if space is not np:
            return space
    return np


def off_diagonal(matrix: Any) -> Any:
    """All entries ``i != j`` of ``(..., n, n)`` as ``(..., n * (n - 1))``.

    Means, correlations and root mean squares over these equal those over the strict upper triangle where a matrix is
    symmetric, and use both triangles where it is not.
    """
    rows, columns = np.nonzero(~np.eye(matrix.shape[-1], dtype=bool))
    entries = matrix[..., rows, columns]
    # one memory order, so that sums have the same last bit whatever the dims were before
    return np.ascontiguousarray(entries) if isinstance(entries, np.ndarray) else entries


def safe_sqrt(value: Any) -> Any:
    """Square root whose gradient at 0 is 0 instead of infinite."""
    xp = array_namespace(value)
    positive = value > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, value, 1.0)), value * 0.0)


def quarter_turn(values: Any, *, axis: int = -1) -> Any:
    """The Hilbert transform: every frequency a quarter of a period later, but 0 and half the sampling rate, which are left out."""
    xp = array_namespace(values)
    samples = values.shape[axis]
    frequency = np.arange(samples // 2 + 1).reshape(-1, *(1,) * (-axis - 1))
    turns = (frequency > 0) & (2 * frequency < samples)
    return xp.fft.irfft(xp.where(turns, -1j * xp.fft.rfft(values, axis=axis), 0.0), n=samples, axis=axis)


def root_mean_square(residuals: Any) -> Any:
    """Root of the mean square over the last axis; its gradient at 0 is 0."""
    xp = array_namespace(residuals)
    # one memory order, so that sums have the same last bit whatever the dims were before
    residuals = np.ascontiguousarray(residuals) if isinstance(residuals, np.ndarray) else residuals
    return safe_sqrt(xp.mean(residuals * residuals, axis=-1))


def pearson(a: Any, b: Any, *, where: Any = None) -> Any:
    """Pearson correlation over the last axis; leading axes broadcast. NaN where one side is constant.

    ``where`` (bool, the shape of ``b``) says which entries count.
    """
    xp = array_namespace(a, b)
    if where is not None:
        # an entry that does not count takes the place of the mean, so that it adds nothing
        a, b = xp.where(where, a, _mean(a, where)), xp.where(where, b, _mean(b, where))
    a, a_varies = _unit_length(a, where)
    b, b_varies = _unit_length(b, where)
    r = xp.vecdot(a, b)  # no broadcast temporary, so that a sweep against a cohort stays small; one order of summation
    return xp.where(a_varies & b_varies, xp.clip(r, -1.0, 1.0), xp.nan)


def _mean(values: Any, where: Any) -> Any:
    xp = array_namespace(values)
    if where is None:
        return xp.mean(values, axis=-1, keepdims=True)
    count = xp.sum(xp.where(where, 1.0, 0.0), axis=-1, keepdims=True)
    return xp.sum(xp.where(where, values, 0.0), axis=-1, keepdims=True) / xp.maximum(count, 1.0)


def _unit_length(values: Any, where: Any) -> tuple[Any, Any]:
    """Centred values of length 1, and whether they vary at all: by their range, since a computed mean may be off by a bit."""
    xp = array_namespace(values)
    high, low = (values, values) if where is None else (xp.where(where, values, -xp.inf), xp.where(where, values, xp.inf))
    varies = xp.max(high, axis=-1) > xp.min(low, axis=-1)
    # what does not vary has no result, and its derivatives are 0 instead of NaN
    values = xp.where(varies[..., None], values, 0.0)
    centred = values - _mean(values, where)
    centred = centred if where is None else xp.where(where, centred, 0.0)
    square = xp.vecdot(centred, centred)
    return centred / xp.sqrt(xp.where(varies & (square > 0), square, 1.0))[..., None], varies
