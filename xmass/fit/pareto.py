"""Fits of several objectives at once: the points that no other point beats in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xmass.fit import checks
from xmass.fit.backend import Ending, Front, Interrupted, Outcome, Problem, Recorder, Space, Stop, extra
from xmass.fit.population import evolve


@dataclass(frozen=True)
class ParetoBackend:
    """NSGA-II by pymoo, one for each fit; needs no gradient. The result is a Pareto front.

    Parameters
    ----------
    population : int
        Candidates of each fit in each step, at least 4.

    Raises
    ------
    ImportError
        In a run, if pymoo is not installed: ``pip install "xmass[fit]"``.
    ValueError
        If an option is out of its range; in a run, if there is one objective only, or a free number has no finite bounds.

    Notes
    -----
    K. Deb, A. Pratap, S. Agarwal & T. Meyarivan, IEEE Transactions on Evolutionary Computation 6(2):182-197 (2002),
    doi:10.1109/4235.996017. The first generation is the start and a Latin hypercube of the box. The front is that of all evaluated points,
    not of the last generation. A candidate with a loss that is not finite is told the worst finite losses so far and is never in the front;
    a fit without any in five steps in a row ends as "diverged".

    Examples
    --------
    >>> import xmass as xm
    >>> from xmass.fit.pareto import ParetoBackend
    >>> ParetoBackend(population=32)
    ParetoBackend(population=32)
    """

    population: int = 48

    space: ClassVar[Space] = "box"
    gradient: ClassVar[bool] = False
    residuals: ClassVar[bool] = False
    several: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.whole("population", self.population, 4)

    def run(self, problem: Problem, record: Recorder, n_steps: int, seed: int | Sequence[int] = 0) -> Outcome:
        """Makes ``n_steps`` generations; see :class:`~xmass.fit.backend.Backend`."""
        checks.steps(n_steps)
        if problem.objectives < 2:
            raise ValueError(
                "a Pareto front needs two objectives at least, this fit has one. Give several, objective=[fc_corr(), fcd_ks()], or use "
                "another backend, such as 'cma'."
            )
        checks.finite_bounds(problem, "a Pareto front")
        start = checks.starts(problem)
        samplers = [_Nsga2(self, problem, start[k], own) for k, own in enumerate(checks.seeds(seed, problem.fits))]
        archives = [Archive(problem.size, problem.objectives) for _ in samplers]

        def seen(c: np.ndarray, losses: np.ndarray) -> None:
            for k, archive in enumerate(archives):
                archive.add(c[k], losses[k])

        def so_far() -> Outcome:
            return Outcome(tuple(Ending() for _ in archives), tuple(archive.front() for archive in archives))

        try:
            endings = evolve(problem, record, samplers, self.population, n_steps, seen)
        except Stop as stop:
            stop.outcome = so_far()
            raise
        except KeyboardInterrupt:
            raise Interrupted(so_far()) from None
        return Outcome(tuple(endings), tuple(archive.front() for archive in archives))


class _Nsga2:
    """NSGA-II of one fit."""

    def __init__(self, backend: ParetoBackend, problem: Problem, start: np.ndarray, seed: int) -> None:
        from scipy.stats import qmc

        nsga2 = extra("pymoo.algorithms.moo.nsga2", "ParetoBackend")
        lower, upper = np.asarray(problem.lower, dtype=np.float64), np.asarray(problem.upper, dtype=np.float64)
        spread = qmc.LatinHypercube(problem.size, rng=np.random.default_rng(seed)).random(backend.population - 1)
        self._population, self._start = backend.population, start
        self._box = extra("pymoo.core.problem", "ParetoBackend").Problem(n_var=problem.size, n_obj=problem.objectives, xl=lower, xu=upper)
        self._algorithm = nsga2.NSGA2(pop_size=backend.population, sampling=np.vstack([start, lower + (upper - lower) * spread]))
        endless = extra("pymoo.core.termination", "ParetoBackend").NoTermination()
        self._algorithm.setup(self._box, termination=endless, seed=seed % 2**32, verbose=False)
        self._evaluator = extra("pymoo.core.evaluator", "ParetoBackend").Evaluator()
        self._known = extra("pymoo.problems.static", "ParetoBackend").StaticProblem
        self._asked: Any = None

    def ask(self) -> np.ndarray:
        # Candidates that repeat earlier ones are left out by pymoo: their places are filled with the start, whose losses it is not told.
        self._asked = self._algorithm.ask()
        c = np.tile(self._start, (self._population, 1))
        c[: len(self._asked)] = self._asked.get("X")
        return c

    def tell(self, losses: np.ndarray) -> None:
        self._evaluator.eval(self._known(self._box, F=losses[: len(self._asked)]), self._asked)
        self._algorithm.tell(infills=self._asked)

    def ended(self) -> Ending | None:
        return None


class Archive:
    """The points, of all that were added, that no other one dominates; of points with the same losses the first one.

    Parameters
    ----------
    size, objectives : int
        Lengths of the coordinates and of the losses of a point.
    """

    def __init__(self, size: int, objectives: int) -> None:
        self._c, self._losses = np.empty((0, size)), np.empty((0, objectives))

    def add(self, c: np.ndarray, losses: np.ndarray) -> None:
        """Takes points ``(n, size)`` and losses ``(n, objectives)``; those with a NaN are left out."""
        good = ~np.isnan(losses).any(axis=1)
        c, losses = c[good], losses[good]
        _, first = np.unique(losses, axis=0, return_index=True)
        first.sort()
        c, losses = c[first], losses[first]
        beaten = dominated(losses, losses) | dominated(losses, self._losses) | _among(losses, self._losses)
        c, losses = c[~beaten], losses[~beaten]
        kept = ~dominated(self._losses, losses)
        self._c, self._losses = np.vstack([self._c[kept], c]), np.vstack([self._losses[kept], losses])

    def front(self) -> Front:
        """The points, sorted by the first objective."""
        order = np.lexsort(self._losses.T[::-1])
        return Front(self._c[order], self._losses[order])


def dominated(losses: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of ``losses (n, objectives)`` have one among ``others (m, objectives)`` that is nowhere larger and somewhere smaller.

    Examples
    --------
    >>> import numpy as np, xmass as xm
    >>> from xmass.fit.pareto import dominated
    >>> points = np.array([[0.0, 2.0], [1.0, 1.0], [1.0, 3.0]])
    >>> dominated(points, points)
    array([False, False,  True])
    """
    a, b = losses[:, None], others[None]
    beaten: np.ndarray = np.any(np.all(b <= a, axis=2) & np.any(b < a, axis=2), axis=1)
    return beaten


def _among(losses: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of ``losses`` are equal to one of ``others``."""
    found: np.ndarray = np.any(np.all(losses[:, None] == others[None], axis=2), axis=1)
    return found
