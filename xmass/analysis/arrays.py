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


def pearson(a: Any, b: Any, *, where: Any = None) -> Any:
    """Pearson correlation over the last axis; leading axes broadcast. NaN where one side is constant.

    ``where`` (bool, the shape of ``b``) says which entries count.
    """
    xp = array_namespace(a, b)
    if where is None:
        a = a - xp.mean(a, axis=-1, keepdims=True)
        b = b - xp.mean(b, axis=-1, keepdims=True)
    else:
        count = xp.maximum(xp.sum(xp.where(where, 1.0, 0.0), axis=-1, keepdims=True), 1.0)
        a, b = xp.where(where, a, 0.0), xp.where(where, b, 0.0)
        a = xp.where(where, a - xp.sum(a, axis=-1, keepdims=True) / count, 0.0)
        b = xp.where(where, b - xp.sum(b, axis=-1, keepdims=True) / count, 0.0)
    a, a_varies = _unit_length(a)
    b, b_varies = _unit_length(b)
    r = xp.vecdot(a, b)  # no broadcast temporary, so that a sweep against a cohort stays small; one order of summation
    return xp.where(a_varies & b_varies, xp.clip(r, -1.0, 1.0), xp.nan)


def _unit_length(centred: Any) -> tuple[Any, Any]:
    xp = array_namespace(centred)
    square = xp.vecdot(centred, centred)
    varies = ~(square == 0)  # a NaN is not zero: it goes through to the result
    return centred / xp.sqrt(xp.where(varies, square, 1.0))[..., None], varies
