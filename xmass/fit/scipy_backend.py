"""Fits by the optimisers of scipy.optimize, with our gradients; those of all fits advance together, in batched evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from xmass.fit import checks
from xmass.fit.backend import PATIENCE, Ending, Outcome, Problem, Recorder, Space
from xmass.fit.lockstep import Ask, Done, Question, Solver, close
from xmass.fit.population import Finite, Replay

Method = Literal["L-BFGS-B", "TNC", "SLSQP", "least_squares", "Nelder-Mead", "Powell"]
_SLOPE = ("L-BFGS-B", "TNC", "SLSQP")
_LIMITS = {
    "L-BFGS-B": ("maxiter", "maxfun"),
    "TNC": ("maxfun",),
    "SLSQP": ("maxiter",),
    "Nelder-Mead": ("maxiter", "maxfev"),
    "Powell": ("maxiter", "maxfev"),
}
_ENDLESS = 10**9  # steps are counted here, not by SciPy


@dataclass(frozen=True)
class ScipyBackend:
    """An optimiser of :mod:`scipy.optimize` for each fit, within the bounds.

    Parameters
    ----------
    method : {"L-BFGS-B", "TNC", "SLSQP", "least_squares", "Nelder-Mead", "Powell"}
        The first three use gradients. "least_squares" (trust region reflective) uses residuals and their Jacobian: the objective must have
        residuals. The last two need no gradient and are for few free numbers.
    tolerance : float, optional
        Passed to SciPy as ``tol``, or as ``ftol``, ``xtol`` and ``gtol`` of ``least_squares``; by default SciPy's own. Losses of float32
        runs have a relative error of about 1e-6, below which no line search can go: such a fit ends as "stalled".

    Raises
    ------
    ValueError
        If an option is out of its range.

    Notes
    -----
    A step is one batched evaluation of the point that each fit asks for; line searches count. A fit that has ended waits for the others at
    its best point. The noise is the same throughout, as line searches need: fresh noise is refused. Where loss or gradient is
    not finite, SciPy is told the worst finite loss so far and a gradient of 0, from which its line searches step back; a fit that starts at
    such a point ends as "diverged" with a method that uses gradients. A resumed fit of least squares evaluates again what it had evaluated,
    as Jacobians are too large to be stored; the other methods do not.

    Examples
    --------
    >>> import xmass as xm
    >>> from xmass.fit.scipy_backend import ScipyBackend
    >>> ScipyBackend().gradient, ScipyBackend("Powell").gradient
    (True, False)
    """

    method: Method = "L-BFGS-B"
    tolerance: float | None = None

    space: ClassVar[Space] = "box"

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"method is {self.method!r}, needs one of {', '.join(map(repr, get_args(Method)))}.")
        if self.tolerance is not None:
            checks.positive("tolerance", self.tolerance)

    @property
    def gradient(self) -> bool:
        return self.method in _SLOPE

    @property
    def residuals(self) -> bool:
        return self.method == "least_squares"

    @property
    def several(self) -> bool:
        return False

    def run(self, problem: Problem, record: Recorder, n_steps: int, seed: int | Sequence[int] = 0) -> Outcome:
        """Makes at most ``n_steps`` batched evaluations; see :class:`~xmass.fit.backend.Backend`. ``seed`` has no effect."""
        checks.steps(n_steps)
        checks.one_objective(problem, self)
        start = checks.starts(problem)
        solvers: list[Solver] = []
        try:
            for k in range(problem.fits):
                solvers.append(Solver(self._solve(problem, start[k])))
            return Outcome(tuple(_Rounds(self, problem, record, n_steps, solvers, start).run()))
        finally:
            close(solvers)

    def _solve(self, problem: Problem, start: np.ndarray) -> Callable[[Ask], Any]:
        """What runs in the thread of one fit."""
        from scipy import optimize

        lower, upper = np.asarray(problem.lower, dtype=np.float64), np.asarray(problem.upper, dtype=np.float64)

        def solve(ask: Ask) -> Any:
            if self.method == "least_squares":
                tolerance = {} if self.tolerance is None else dict.fromkeys(("ftol", "xtol", "gtol"), self.tolerance)
                return optimize.least_squares(
                    lambda c: ask("residuals", c),
                    start,
                    jac=lambda c: ask("jacobian", c),
                    bounds=(lower, upper),
                    method="trf",
                    max_nfev=_ENDLESS,
                    **tolerance,
                )
            return optimize.minimize(
                lambda c: ask("gradient" if self.gradient else "loss", np.clip(c, lower, upper)),
                start,
                jac=True if self.gradient else None,
                method=self.method,
                bounds=optimize.Bounds(lower, upper),
                tol=self.tolerance,
                options=dict.fromkeys(_LIMITS[self.method], _ENDLESS),
            )

        return solve


class _Rounds:
    """Answers the solvers of all fits, round by round."""

    def __init__(
        self, backend: ScipyBackend, problem: Problem, record: Recorder, n_steps: int, solvers: Sequence[Solver], start: np.ndarray
    ) -> None:
        self.problem, self.record, self.n_steps, self.solvers = problem, record, n_steps, solvers
        self.resting, self.least = start.copy(), np.full(problem.fits, np.inf)
        self.finite = [Finite() for _ in solvers]
        self.endings: list[Ending | None] = [None] * problem.fits
        self.backend = backend
        shapes: dict[str, tuple[int, ...]] = {"losses": (problem.fits,)}
        if backend.gradient:
            shapes["slopes"] = (problem.fits, problem.size)
        self.replay = Replay(record, n_steps, shapes)

    def run(self) -> list[Ending]:
        step = 0
        while True:
            waiting = self._waiting()
            if not waiting:
                break
            if all(kind == "jacobian" for kind in waiting.values()):
                self._derivatives(list(waiting))
                continue
            if step >= max(self.n_steps, self.replay.known):
                break
            self._evaluations([k for k, kind in waiting.items() if kind != "jacobian"], step)
            step += 1
        return [ending or self.finite[k].exhausted() for k, ending in enumerate(self.endings)]

    def _waiting(self) -> dict[int, str]:
        """What each fit that goes on asks for; notes how the others ended."""
        waiting = {}
        for k, solver in enumerate(self.solvers):
            if self.endings[k] is not None:
                continue
            if isinstance(solver.now, Question):
                waiting[k] = solver.now.kind
            else:
                self.endings[k] = self._ended(solver.now, k)
        return waiting

    def _ended(self, done: Done, k: int) -> Ending:
        if done.error is not None:
            raise done.error
        if done.value.success:
            return Ending("converged", self.finite[k].note)
        return Ending("stalled", "; ".join(part for part in (self.finite[k].note, str(done.value.message)) if part))

    def _points(self, fits: Sequence[int]) -> np.ndarray:
        """A point of every fit: what these ask for, the best ones of the others."""
        c = self.resting.copy()
        for k in fits:
            now = self.solvers[k].now
            assert isinstance(now, Question)
            c[k] = now.c
        return c

    def _derivatives(self, fits: Sequence[int]) -> None:
        found = np.asarray(self.problem.jacobian(self._points(fits)), dtype=np.float64)
        for k in fits:
            if np.isfinite(found[k]).all():
                self.solvers[k].answer(found[k])
            else:
                self._give_up(k, "the Jacobian is not finite at a point with a finite loss", "stalled")

    def _evaluations(self, fits: Sequence[int], step: int) -> None:
        """One step: evaluates, records, answers, stores."""
        c = self._points(fits)
        known = self.replay.told(step, c)
        numbers, vectors = self._evaluate(c, known)
        losses = numbers["losses"]
        if known is None:
            self.record.evaluated(step, c[:, None, :], losses[:, None, None])
        for k in fits:
            told = self.finite[k](losses[k : k + 1, None])[0, 0]
            if losses[k] < self.least[k]:
                self.resting[k], self.least[k] = c[k], losses[k]
            if np.isnan(losses[k]) and (not np.isfinite(self.least[k])) and (self.backend.gradient or self.backend.residuals):
                self._give_up(k, "the start has no finite loss and gradient", "diverged")
            elif self.finite[k].ended() is not None:
                self._give_up(
                    k, f"the last {PATIENCE} evaluations had no finite loss", "stalled" if np.isfinite(self.least[k]) else "diverged"
                )
            elif vectors is not None:
                self.solvers[k].answer(vectors[k])
            elif self.backend.gradient:
                self.solvers[k].answer((told, np.nan_to_num(numbers["slopes"][k])))
            else:
                self.solvers[k].answer(told)
        if known is None:
            self.replay.keep(step, c, numbers)

    def _evaluate(self, c: np.ndarray, known: dict[str, np.ndarray] | None) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """What is stored of a step, and the residuals. Losses are NaN where something is not finite, and slopes with them."""
        if self.backend.residuals:
            losses, vectors = (np.array(a, dtype=np.float64) for a in self.problem.residuals(c))
            losses[~(np.isfinite(losses) & np.isfinite(vectors).all(axis=1))] = np.nan
            return {"losses": losses}, vectors
        if known is not None:
            return known, None
        if not self.backend.gradient:
            return {"losses": checks.evaluated(self.problem.losses(c[:, None, :])[:, 0, 0], (len(c),))}, None
        losses, slopes = (np.array(a, dtype=np.float64) for a in self.problem.gradient(c))
        bad = ~(np.isfinite(losses) & np.isfinite(slopes).all(axis=1))
        losses[bad], slopes[bad] = np.nan, np.nan
        return {"losses": losses, "slopes": slopes}, None

    def _give_up(self, k: int, why: str, status: Literal["stalled", "diverged"]) -> None:
        self.solvers[k].close()
        self.endings[k] = Ending(status, why)
