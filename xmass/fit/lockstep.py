"""Several solvers that call a function, run side by side so that their calls are answered together.

A solver of SciPy drives: it calls the loss when it likes. Each runs in a thread of its own that waits at every call; when all of them wait,
one batched evaluation answers them. Only one thread runs at a time, so the order of events is the same in every run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np

Ask = Callable[[str, np.ndarray], Any]


@dataclass(frozen=True)
class Question:
    """What a solver wants to know: ``kind`` at ``c (size,)``."""

    kind: str
    c: np.ndarray


@dataclass(frozen=True)
class Done:
    """What a solver returned, or the error that ended it."""

    value: Any = None
    error: BaseException | None = None


class Abandoned(BaseException):
    """Raised inside a solver that is no longer needed; no Exception, so that no solver takes it for a bad value."""


class Solver:
    """A solver that is stopped at each of its calls.

    Parameters
    ----------
    solve : callable
        ``solve(ask) -> value``; it calls ``ask(kind, c)`` wherever it needs a value.
    """

    def __init__(self, solve: Callable[[Ask], Any]) -> None:
        self._questions: SimpleQueue[Question | Done] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, args=(solve,), daemon=True)
        self._thread.start()
        self.now: Question | Done = self._questions.get()

    def _run(self, solve: Callable[[Ask], Any]) -> None:
        try:
            done = Done(value=solve(self._ask))
        except Abandoned:
            done = Done()
        except BaseException as error:  # noqa: BLE001  raised again by the thread that drives
            done = Done(error=error)
        self._questions.put(done)

    def _ask(self, kind: str, c: np.ndarray) -> Any:
        if self._closed:
            raise Abandoned
        self._questions.put(Question(kind, np.array(c, dtype=np.float64)))
        answer = self._answers.get()
        if self._closed:
            raise Abandoned
        return answer

    def answer(self, value: Any) -> None:
        """Gives the value asked for and waits for the next question, or the end."""
        self._answers.put(value)
        self.now = self._questions.get()

    def close(self) -> None:
        """Ends the solver if it has not ended."""
        self._closed = True
        if isinstance(self.now, Question):
            self._answers.put(None)
            self.now = self._questions.get()
        self._thread.join()


def close(solvers: Sequence[Solver]) -> None:
    """Ends all solvers."""
    for solver in solvers:
        solver.close()
