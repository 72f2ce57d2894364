"""What a fit remembers of its evaluations: the best point of each fit, losses by step, and what is needed to go on."""

from __future__ import annotations

import dataclasses
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xmass.fit.backend import Stop
from xmass.labelled.progress import Bar


@dataclasses.dataclass(frozen=True, eq=False)
class Progress:
    """What a callback is given after each step."""

    step: int
    loss: np.ndarray
    """Best loss of this step, for each fit."""
    best_loss: np.ndarray
    """Best loss so far, for each fit."""


Callback = Callable[[Progress], Any]


class Recorder:
    """Keeps the best evaluated point of every fit, and the losses of every step.

    Parameters
    ----------
    fits, size, objectives, n_steps : int
        Sizes of the fits, and how many steps there will be at most.
    callbacks : sequence of callable
        Called after every step with a :class:`Progress`; one that returns True stops the fit.
    bar : Bar, optional
        Counts steps.
    file : Path, optional
        Where the state is kept, so that an interrupted fit goes on; arrays alone, whole or not at all.
    identity : str
        What the state belongs to; another one is not taken up.
    """

    def __init__(
        self,
        fits: int,
        size: int,
        objectives: int,
        n_steps: int,
        *,
        callbacks: Sequence[Callback] = (),
        bar: Bar | None = None,
        file: Path | None = None,
        identity: str = "",
    ) -> None:
        self.best = np.full((fits, size), np.nan)
        self.best_losses = np.full((fits, objectives), np.nan)
        self.best_step = np.full(fits, -1)
        self.history = np.full((fits, n_steps), np.nan)
        self.steps = 0
        self._callbacks, self._bar, self._file, self._identity = tuple(callbacks), bar, file, identity
        self._stop = False

    def evaluated(self, step: int, c: np.ndarray, losses: np.ndarray) -> None:
        """Points ``(fits, candidates, size)`` of a step and their losses ``(fits, candidates, objectives)``."""
        first = np.where(np.isfinite(losses[..., 0]), losses[..., 0], np.inf)
        which = first.argmin(axis=1)
        fit = np.arange(len(which))
        found = first[fit, which]
        better = found < np.where(np.isnan(self.best_losses[:, 0]), np.inf, self.best_losses[:, 0])
        self.best[better] = c[fit, which][better]
        self.best_losses[better] = losses[fit, which][better]
        self.best_step[better] = step
        self.history[:, step] = np.where(np.isfinite(found), found, np.nan)
        if self._bar is not None:
            self._bar.add(max(step + 1 - self.steps, 0))
        self.steps = max(self.steps, step + 1)
        now = Progress(step, self.history[:, step].copy(), self.best_losses[:, 0].copy())
        asked = [callback(now) for callback in self._callbacks]
        self._stop = any(isinstance(answer, bool | np.bool_) and answer for answer in asked)

    def take(self, other: Recorder, which: np.ndarray) -> None:
        """What another recorder knows of the fits ``which``."""
        self.best[which], self.best_losses[which], self.best_step[which] = other.best, other.best_losses, other.best_step
        self.history[which, : other.history.shape[1]] = other.history
        self.steps = max(self.steps, other.steps)

    # ---------------------------------------------------------------------------------------------------------- state
    def saved(self) -> dict[str, np.ndarray] | None:
        """The state of an interrupted fit, if there is one; what was recorded is taken up again."""
        if self._file is None or not self._file.exists():
            return None
        found = read_arrays(self._file)
        if str(found.pop("identity", "")) != self._identity:
            raise ValueError(f"{self._file} belongs to another fit. Delete it, or choose another store.")
        for name in ("best", "best_losses", "best_step", "history"):
            setattr(self, name, found.pop(f"record_{name}"))
        self.steps = int(found.pop("record_steps"))
        if self._bar is not None:
            self._bar.add(self.steps)
        return found

    def save(self, step: int, state: dict[str, np.ndarray]) -> None:
        """Keep the state after a step: written beside, then moved into place.

        Raises
        ------
        Stop
            If a callback has returned True: a fit that is continued goes on after this step.
        """
        if self._file is not None:
            record = {f"record_{n}": getattr(self, n) for n in ("best", "best_losses", "best_step", "history", "steps")}
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(self._file, {"identity": np.asarray(self._identity), **record, **state})
        if self._stop:
            raise Stop


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Arrays in a file, written beside and moved into place: whole, or not there."""
    beside = path.with_suffix(".part")
    with beside.open("wb") as out:
        np.savez(out, **arrays)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file; only arrays are read, never objects.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it to start this part of the fit again.") from None
