"""Fits by a sweep and its smallest loss, refined by zooming in on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xmass.fit import checks
from xmass.fit.backend import Ending, Outcome, Problem, Recorder, Space

MOST = 3
"""Free numbers that a grid can have."""


@dataclass(frozen=True)
class GridBackend:
    """A grid over the whole box, then finer ones around the best point; each grid of all fits is one batched run.

    Parameters
    ----------
    points : int
        Points along each axis, the bounds included: at least 4.
    levels : int
        Grids in all, at least 1: a plain sweep. Each has an interval of two steps of the grid before, so that the resolution after all
        levels is ``(upper - lower) / (points - 1) * (2 / (points - 1)) ** (levels - 1)``: 0.0004 of the box by default. ``n_steps`` of a
        fit limits the levels too.

    Raises
    ------
    ValueError
        If an option is out of its range; in a run, if there are more than 3 free numbers, or one has no finite bounds.

    Notes
    -----
    The zoom finds the optimum next to the best point of the first grid: a valley narrower than a step of that grid can be missed. NaN
    losses lose; a fit whose first grid has no finite loss ends as "diverged".

    Examples
    --------
    >>> import xmass as xm
    >>> from xmass.fit.grid import GridBackend
    >>> GridBackend(points=21, levels=1)
    GridBackend(points=21, levels=1)
    """

    points: int = 11
    levels: int = 3

    space: ClassVar[Space] = "box"
    gradient: ClassVar[bool] = False
    residuals: ClassVar[bool] = False
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        checks.whole("points", self.points, 4)
        checks.whole("levels", self.levels, 1)

    def run(self, problem: Problem, record: Recorder, n_steps: int, seed: int | Sequence[int] = 0) -> Outcome:
        """Makes ``min(levels, n_steps)`` grids; see :class:`~xmass.fit.backend.Backend`. Nothing is drawn, ``seed`` has no effect."""
        checks.steps(n_steps)
        checks.one_objective(problem, self)
        self._check(problem)
        saved = record.saved()
        first = 0 if saved is None else int(saved["step"])
        best = checks.starts(problem) if saved is None else np.array(saved["best"])
        least = np.full(problem.fits, np.inf) if saved is None else np.array(saved["least"])
        lower, upper = np.asarray(problem.lower, dtype=np.float64), np.asarray(problem.upper, dtype=np.float64)
        for step in range(first, min(n_steps, self.levels)):
            if step and not np.isfinite(least).any():
                break
            c = self._grids(best, lower, upper, step)
            losses = checks.evaluated(problem.losses(c, draw=step), (*c.shape[:2], 1))
            record.evaluated(step, c, losses)
            ranked = np.where(np.isnan(losses[..., 0]), np.inf, losses[..., 0])
            fit, winner = np.arange(problem.fits), ranked.argmin(axis=1)
            better = ranked[fit, winner] < least
            best = np.where(better[:, None], c[fit, winner], best)
            least = np.where(better, ranked[fit, winner], least)
            record.save(step, {"step": np.asarray(step + 1), "best": best, "least": least})
        return Outcome(
            tuple(
                Ending("steps") if np.isfinite(value) else Ending("diverged", "no point of the first grid has a finite loss")
                for value in least
            )
        )

    def _check(self, problem: Problem) -> None:
        if problem.size > MOST:
            raise ValueError(
                f"a grid takes 1 to {MOST} free numbers, this fit has {problem.size}: {self.points} points along each axis would be "
                f"{self.points}**{problem.size} runs. Use backend='cma' or 'grad', or fit fewer numbers."
            )
        checks.finite_bounds(problem, "a grid")

    def _grids(self, best: np.ndarray, lower: np.ndarray, upper: np.ndarray, level: int) -> np.ndarray:
        """Grids ``(fits, points ** size, size)`` of a level: the box, or an interval around the best point that stays inside the box."""
        width = (upper - lower) * (2.0 / (self.points - 1)) ** level
        low = np.clip(best - 0.5 * width, lower, upper - width) if level else np.broadcast_to(lower, best.shape)
        mesh = np.meshgrid(*[np.arange(self.points) / (self.points - 1)] * lower.size, indexing="ij")
        unit = np.stack([axis.ravel() for axis in mesh], axis=-1)
        return np.clip(low[:, None, :] + width * unit, lower, upper)
