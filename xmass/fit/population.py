"""The loop of every optimiser that asks for candidates and is told their losses, and how it resumes.

Such optimisers keep their state in objects of their libraries, which cannot be stored without pickles. They are functions of a seed and of
the losses told, so the losses are stored, and a resumed fit tells them again: candidates are asked for and compared, not evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from xmass.fit import checks
from xmass.fit.backend import PATIENCE, Ending, Problem, Recorder

UNKNOWN = 1e10
"""The loss told where nothing finite is known yet."""


class Sampler(Protocol):
    """The optimiser of one fit; what it asks for depends on its seed and on what it was told, on nothing else."""

    def ask(self) -> np.ndarray:
        """Candidates ``(candidates, size)``, always as many."""

    def tell(self, losses: np.ndarray) -> None:
        """Takes finite losses ``(candidates, objectives)`` of what was asked last."""

    def ended(self) -> Ending | None:
        """How the fit ended by the optimiser's own criteria, or None."""


class Replay:
    """Numbers told in each step, stored as they come; on resuming, those of the steps before.

    Parameters
    ----------
    record : Recorder
        What stores them.
    n_steps : int
        Steps at most.
    shapes : dict
        The shape of the numbers of one step, by name.
    """

    def __init__(self, record: Recorder, n_steps: int, shapes: dict[str, tuple[int, ...]]) -> None:
        saved = record.saved()
        self.known = 0 if saved is None else int(saved["step"])
        self._record = record
        self._kept = {name: np.full((max(n_steps, self.known), *shape), np.nan) for name, shape in (shapes | {"sum": ()}).items()}
        for name, kept in self._kept.items() if saved is not None else ():
            if saved is None or name not in saved or saved[name].shape != (self.known, *kept.shape[1:]):
                raise ValueError("the saved state is that of other options or another problem: resume with those of the first call.")
            kept[: self.known] = saved[name]

    def told(self, step: int, c: np.ndarray) -> dict[str, np.ndarray] | None:
        """The numbers of a step before the interruption, after checking that the same points ``c`` were asked for; else None."""
        if step >= self.known:
            return None
        if self._kept["sum"][step] != c.sum():
            raise ValueError(
                f"the resumed fit asks for other points in step {step} than the interrupted one: the seed, an option or the version of a "
                "library has changed. Resume with those of the first call, or start anew."
            )
        return {name: kept[step] for name, kept in self._kept.items() if name != "sum"}

    def keep(self, step: int, c: np.ndarray, numbers: dict[str, np.ndarray]) -> None:
        """Stores the numbers of a new step."""
        for name, value in (numbers | {"sum": c.sum()}).items():
            self._kept[name][step] = value
        self._record.save(step, {"step": np.asarray(step + 1)} | {name: kept[: step + 1] for name, kept in self._kept.items()})


class Finite:
    """Finite losses for an optimiser: those that are not are told as the worst finite one so far.

    A fit without any yet is told a large number, and one that has had none for several steps in a row is given up.
    """

    def __init__(self) -> None:
        self._worst: np.ndarray | None = None
        self._empty = 0
        self._replaced = 0

    def __call__(self, losses: np.ndarray) -> np.ndarray:
        """Losses ``(candidates, objectives)`` without NaN."""
        good = ~np.isnan(losses).any(axis=-1)
        self._empty = 0 if good.any() else self._empty + 1
        self._replaced += int((~good).sum())
        if good.any():
            worst = losses[good].max(axis=0)
            self._worst = worst if self._worst is None else np.maximum(self._worst, worst)
        return np.where(good[:, None], losses, UNKNOWN if self._worst is None else self._worst)

    @property
    def known(self) -> bool:
        """Whether the last step had a finite loss: without one the optimiser sees a flat loss, at which it may think it is done."""
        return self._worst is not None and not self._empty

    @property
    def note(self) -> str:
        return f"{self._replaced} evaluations had no finite loss" if self._replaced else ""

    def ended(self) -> Ending | None:
        """Whether the fit is given up."""
        return Ending("diverged", f"{self.note}; the last {PATIENCE} steps had none") if self._empty >= PATIENCE else None

    def exhausted(self) -> Ending:
        """How a fit ended that made all steps."""
        return Ending("diverged" if self._worst is None else "steps", self.note)


def evolve(
    problem: Problem,
    record: Recorder,
    samplers: Sequence[Sampler],
    candidates: int,
    n_steps: int,
    seen: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> list[Ending]:
    """Asks the optimisers of all fits, evaluates all candidates in one call, and tells the losses, at most ``n_steps`` times.

    ``seen(c, losses)`` is called in each step, those before an interruption included.
    """
    shape = (problem.fits, candidates, problem.objectives)
    replay = Replay(record, n_steps, {"losses": shape})
    resting, least = checks.starts(problem), np.full(problem.fits, np.inf)
    finite = [Finite() for _ in samplers]
    endings: list[Ending | None] = [None] * problem.fits
    for step in range(max(n_steps, replay.known)):
        live = [k for k, ending in enumerate(endings) if ending is None]
        if not live:
            break
        c = np.repeat(resting[:, None, :], candidates, axis=1)
        for k in live:
            c[k] = samplers[k].ask()
        known = replay.told(step, c)
        losses = checks.evaluated(problem.losses(c, draw=step), shape) if known is None else known["losses"]
        if seen is not None:
            seen(c, losses)
        if known is None:
            record.evaluated(step, c, losses)
        for k in live:
            samplers[k].tell(finite[k](losses[k]))
            endings[k] = finite[k].ended() or (samplers[k].ended() if finite[k].known else None)
            first = np.where(np.isnan(losses[k, :, 0]), np.inf, losses[k, :, 0])
            if first.min() < least[k]:
                resting[k], least[k] = c[k, first.argmin()], first.min()
        if known is None:
            replay.keep(step, c, {"losses": losses})
    return [ending or finite[k].exhausted() for k, ending in enumerate(endings)]
