"""Roots of many small systems at once, from many starts: arrays only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Both = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Value = Callable[[np.ndarray, np.ndarray], np.ndarray]

_STEPS = 80
_FRACTIONS = 0.5 ** np.arange(1, 9)
STEP_TOLERANCE = 1e-10
RESIDUAL_TOLERANCE = 1e-12
_NEAR = 1e-6


def solve(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Solutions of many linear systems; of singular ones the shortest."""
    try:
        return np.linalg.solve(matrices, vectors[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return (np.linalg.pinv(matrices) @ vectors[..., None])[..., 0]


def weights_of(j: np.ndarray, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """How large each rate is made of: the residual is held against the sum of its terms."""
    return (np.abs(j) * (np.abs(x) + scale)[:, None, :]).sum(axis=2) + np.finfo(float).tiny


def damped_newton(both: Both, value: Value, x: np.ndarray, index: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Roots from the starts ``x (n, size)`` of the systems ``index (n,)``; NaN where none was reached.

    A step is shortened until the residual, weighted by what its terms are made of, falls. ``scale (n, size)`` is the size of
    each unknown. A start ends where no step helps, as at a minimum of the residual that is no root.
    """
    x, found = np.array(x, dtype=np.float64), np.full(x.shape, np.nan)
    active = np.flatnonzero(np.isfinite(x).all(axis=1))
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            if not len(active):
                break
            at, own, size = x[active], index[active], scale[active]
            f, j = both(at, own)
            fine = np.isfinite(f).all(axis=1) & np.isfinite(j).all(axis=(1, 2))
            active, at, own, size, f, j = active[fine], at[fine], own[fine], size[fine], f[fine], j[fine]
            step = solve(j, -f)
            length = np.abs(step / (size + np.abs(at))).max(axis=1, initial=0.0)
            weight = weights_of(j, at, size)
            merit = np.abs(f / weight).max(axis=1, initial=0.0)
            # at a double root the Jacobian is singular: steps stay near the square root of the rounding
            done = (length <= STEP_TOLERANCE) | ((length <= 1e-6) & (merit <= 1e-14))
            found[active[done]] = at[done] + np.where(length[done] <= STEP_TOLERANCE, 1.0, 0.0)[:, None] * step[done]
            rest = ~done & np.isfinite(length)
            active, at, own, weight, merit = active[rest], at[rest], own[rest], weight[rest], merit[rest]
            step = step[rest] * np.minimum(1.0, 2.0 / np.maximum(length[rest], 1e-300))[:, None]
            active, x = _shortened(value, x, active, at, own, step, weight, merit)
    return found


def _shortened(
    value: Value,
    x: np.ndarray,
    active: np.ndarray,
    at: np.ndarray,
    own: np.ndarray,
    step: np.ndarray,
    weight: np.ndarray,
    merit: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Take the longest of the shortened steps that lowers the residual; starts without one are given up."""
    waiting = np.arange(len(active))
    kept = np.zeros(len(active), bool)
    for fraction in (1.0, *_FRACTIONS):
        if not len(waiting):
            break
        trial = at[waiting] + fraction * step[waiting]
        better = np.abs(value(trial, own[waiting]) / weight[waiting]).max(axis=1, initial=0.0) < (1.0 - 0.05 * fraction) * merit[waiting]
        x[active[waiting[better]]] = trial[better]
        kept[waiting[better]] = True
        waiting = waiting[~better]
    return active[kept], x


def polished(both: Both, x: np.ndarray, index: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roots after further full steps, their Jacobians, and which of them have a residual at the rounding of its terms.

    At a double root every step halves the distance, and the terms fall with it: hence many steps.
    """
    best, j_best, r_best = np.array(x), np.zeros((*x.shape, x.shape[1])), np.full(len(x), np.inf)
    with np.errstate(all="ignore"):
        for turn in range(_STEPS):
            f, j = both(x, index)
            residual = np.abs(f / weights_of(j, x, scale)).max(axis=1, initial=0.0)
            better = residual < r_best
            best[better], j_best[better], r_best[better] = x[better], j[better], residual[better]
            if not better.any() or (turn > 3 and (r_best <= RESIDUAL_TOLERANCE).all()):
                break
            x = x + solve(j, -f)
    return best, j_best, r_best <= RESIDUAL_TOLERANCE


def distinct(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Positions of points that differ, the first of each."""
    kept: list[int] = []
    for i, point in enumerate(x):
        if not kept or (np.abs(x[kept] - point) > _NEAR * (scale + np.abs(point))).any(axis=1).all():
            kept.append(i)
    return np.array(kept, dtype=np.int64)
