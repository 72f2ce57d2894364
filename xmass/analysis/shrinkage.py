"""Shrinkage of correlation matrices towards the identity, for series with few samples."""

from __future__ import annotations

from typing import Any, Literal

from xmass.analysis.arrays import array_namespace

Shrinkage = float | Literal["ledoit_wolf"] | None


def checked_shrinkage(shrinkage: Shrinkage) -> Shrinkage:
    """``shrinkage`` as a float, ``"ledoit_wolf"`` or None; everything else is an error."""
    if shrinkage is None or (isinstance(shrinkage, str) and shrinkage == "ledoit_wolf"):
        return shrinkage
    if isinstance(shrinkage, (str, bool)) or not 0 <= float(shrinkage) <= 1:
        raise ValueError(f"shrinkage={shrinkage!r}, needs 'ledoit_wolf', a number from 0 (none) to 1 (no correlations are left), or None.")
    return float(shrinkage)


def intensity(series: Any, correlation: Any, shrinkage: Shrinkage) -> Any:
    """How far to shrink, in [0, 1], for ``(..., time, region)`` and its correlation matrix; regions that are NaN there do not count.

    ``"ledoit_wolf"`` is the estimate of Ledoit and Wolf 2004, lemmas 3.2 to 3.5, for standardised series: the error of the sample
    correlations over their distance from the identity, both in squared Frobenius norm.
    """
    if shrinkage is None or not isinstance(shrinkage, str):
        return 0.0 if shrinkage is None else shrinkage
    xp = array_namespace(series)
    alive = ~xp.isnan(xp.diagonal(correlation, axis1=-2, axis2=-1))
    samples = series.shape[-2]
    kept = xp.where(alive[..., None, :], series, 0.0)
    centred = kept - xp.mean(kept, axis=-2, keepdims=True)
    variance = xp.mean(centred * centred, axis=-2, keepdims=True)
    standard = centred / xp.sqrt(xp.where(variance > 0, variance, 1.0))
    square = xp.sum(xp.where(xp.isnan(correlation), 0.0, correlation) ** 2, axis=(-2, -1))
    error = (xp.mean(xp.sum(standard * standard, axis=-1) ** 2, axis=-1) - square) / samples
    distance = square - xp.sum(xp.where(alive, 1.0, 0.0), axis=-1)  # the diagonal is 1 on both sides
    return xp.where(distance > 0, xp.clip(error / xp.where(distance > 0, distance, 1.0), 0.0, 1.0), 0.0)


def shrunk(correlation: Any, amount: Any) -> Any:
    """``(1 - amount) * correlation`` off the diagonal, which stays 1."""
    xp = array_namespace(correlation)
    on_diagonal = xp.eye(correlation.shape[-1], dtype=bool)
    return xp.where(on_diagonal, correlation, correlation * (1.0 - xp.asarray(amount)[..., None, None]))
