"""Checks that the backends share; each says what came, what is needed and what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from xmass.fit.backend import Backend, Problem


def whole(name: str, value: object, least: int) -> None:
    """Refuses anything but a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} is {value!r}, needs a whole number of at least {least}.")


def positive(name: str, value: object) -> None:
    """Refuses anything but a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0 < value < np.inf:
        raise ValueError(f"{name} is {value!r}, needs a finite number above 0.")


def steps(n_steps: object) -> None:
    """Refuses a number of steps below 1."""
    whole("n_steps", n_steps, 1)


def one_objective(problem: Problem, backend: Backend) -> None:
    """Refuses several objectives where a backend takes one."""
    if problem.objectives != 1:
        raise ValueError(
            f"{type(backend).__name__} takes one objective, this problem has {problem.objectives}. "
            "Weigh them into one with xm.objectives.combine, or use backend='pareto'."
        )


def starts(problem: Problem) -> np.ndarray:
    """A copy of the starting points, in float64; refuses any that is not finite or out of bounds."""
    c = np.array(problem.start, dtype=np.float64)
    if c.shape != (problem.fits, problem.size):
        raise ValueError(f"the starting points have shape {c.shape}, need (fits, size) = {(problem.fits, problem.size)}.")
    for k, name in enumerate(problem.names):
        bad = ~np.isfinite(c[:, k]) | (c[:, k] < problem.lower[k]) | (c[:, k] > problem.upper[k])
        if bad.any():
            raise ValueError(
                f"{name} starts at the coordinate {c[bad, k][0]:g}, needs a finite one in [{problem.lower[k]:g}, {problem.upper[k]:g}]. "
                "Give a value inside the bounds."
            )
    return c


def finite_bounds(problem: Problem, what: str) -> None:
    """Refuses a free number without two finite bounds."""
    for name, low, high in zip(problem.names, problem.lower, problem.upper, strict=True):
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError(f"{name} has no finite bounds, which {what} needs: give Param(value, bounds=(low, high)).")


def evaluated(losses: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Losses in float64 with NaN for what is not finite; refuses another shape."""
    out = np.array(losses, dtype=np.float64)
    if out.shape != shape:
        raise ValueError(f"the problem returned losses of shape {out.shape}, needs {shape}: (fits, candidates, objectives).")
    out[~np.isfinite(out)] = np.nan
    return out


def seeds(seed: int | Sequence[int], fits: int) -> list[int]:
    """One seed of 64 bits for each fit: those given, or one number hashed with the position of the fit."""
    if isinstance(seed, int | np.integer):
        whole("seed", seed, 0)
        return [int.from_bytes(hashlib.sha256(f"{int(seed)}:{k}".encode()).digest()[:8], "little") for k in range(fits)]
    given = [int(one) for one in seed]
    if len(given) != fits or min(given, default=0) < 0:
        raise ValueError(f"seed has {len(given)} entries, needs one number of at least 0, or one for each of {fits} fits.")
    return given
