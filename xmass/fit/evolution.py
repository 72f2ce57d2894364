"""Fits by CMA-ES: the populations of all fits are evaluated in one batched run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xmass.fit import checks
from xmass.fit.backend import Ending, Outcome, Problem, Recorder, Space, extra
from xmass.fit.population import evolve

TILE = 16
_MET = ("tolx", "tolfun", "tolfunhist", "tolfunrel", "ftarget")


@dataclass(frozen=True)
class EvolutionBackend:
    r"""Covariance matrix adaptation (CMA-ES) by pycma; needs no gradient.

    Parameters
    ----------
    population : int, optional
        Candidates of each fit in each step, at least 4. By default :math:`4 + 3 \ln n` for n free numbers, rounded up to a multiple of 16:
        runs are computed in tiles of 16, so fewer would not be faster.
    sigma0 : float
        First standard deviation of the candidates around the start: a fraction of the box for a number with two finite bounds, else in the
        units of its coordinate.
    tolerance : float, optional
        A fit ends as "converged" when the losses of recent steps differ by less than this; by default 1e-11, the value of pycma.

    Raises
    ------
    ImportError
        In a run, if pycma is not installed: ``pip install "xmass[fit]"``.
    ValueError
        If an option is out of its range.

    Notes
    -----
    N. Hansen & A. Ostermeier, Evolutionary Computation 9(2):159-195 (2001), doi:10.1162/106365601750190398. Each fit has an optimiser of
    its own that draws from its own seed; the global generators are left alone. Candidates stay inside the bounds. A candidate without a
    finite loss is told the worst finite one so far; a fit without any in five steps in a row ends as "diverged". pycma asks for two free
    numbers at least: one alone is given a companion without effect.

    Examples
    --------
    >>> import xmass as xm
    >>> from xmass.fit.evolution import EvolutionBackend
    >>> EvolutionBackend().candidates(5), EvolutionBackend(population=40).candidates(5)
    (16, 40)
    """

    population: int | None = None
    sigma0: float = 0.3
    tolerance: float | None = None

    space: ClassVar[Space] = "box"
    gradient: ClassVar[bool] = False
    residuals: ClassVar[bool] = False
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.population is not None:
            checks.whole("population", self.population, 4)
        checks.positive("sigma0", self.sigma0)
        if self.tolerance is not None:
            checks.positive("tolerance", self.tolerance)

    def candidates(self, size: int) -> int:
        """Candidates of each fit in each step."""
        return self.population or TILE * math.ceil((4 + 3 * math.log(max(size, 2))) / TILE)

    def run(self, problem: Problem, record: Recorder, n_steps: int, seed: int | Sequence[int] = 0) -> Outcome:
        """Makes at most ``n_steps`` generations; see :class:`~xmass.fit.backend.Backend`."""
        checks.steps(n_steps)
        checks.one_objective(problem, self)
        candidates, start = self.candidates(problem.size), checks.starts(problem)
        samplers = [_Cma(self, problem, start[k], candidates, own) for k, own in enumerate(checks.seeds(seed, problem.fits))]
        return Outcome(tuple(evolve(problem, record, samplers, candidates, n_steps)))


class _Cma:
    """CMA-ES of one fit."""

    def __init__(self, backend: EvolutionBackend, problem: Problem, start: np.ndarray, candidates: int, seed: int) -> None:
        cma = extra("cma", "EvolutionBackend")
        lower, upper = np.asarray(problem.lower, dtype=np.float64), np.asarray(problem.upper, dtype=np.float64)
        width = np.where(np.isfinite(upper - lower), upper - lower, 1.0)
        self.size = problem.size
        if self.size == 1:
            start, lower, upper, width = (np.append(a, b) for a, b in ((start, 0.5), (lower, 0.0), (upper, 1.0), (width, 1.0)))
        options: dict[str, Any] = {
            "popsize": candidates,
            "bounds": [[b if np.isfinite(b) else None for b in bounds] for bounds in (lower, upper)],
            "CMA_stds": width,
            "randn": _normal(np.random.default_rng(seed)),
            "seed": np.nan,  # which leaves numpy's global generator alone
            "maxiter": np.inf,
            "tolflatfitness": 10,
            "verbose": -10,  # nothing printed, written or read
            "verb_log": 0,
            "verb_disp": 0,
            "signals_filename": "",
        }
        if backend.tolerance is not None:
            options |= {"tolfun": backend.tolerance, "tolfunhist": backend.tolerance}
        self._strategy = cma.CMAEvolutionStrategy(start, backend.sigma0, options)
        self._asked: list[np.ndarray] = []

    def ask(self) -> np.ndarray:
        self._asked = self._strategy.ask()
        return np.stack(self._asked)[:, : self.size]

    def tell(self, losses: np.ndarray) -> None:
        self._strategy.tell(self._asked, losses[:, 0].tolist())

    def ended(self) -> Ending | None:
        why = self._strategy.stop()
        if not why:
            return None
        if any(name in _MET for name in why):
            return Ending("converged")
        return Ending("stalled", f"CMA-ES ended by {', '.join(sorted(why))}")


def _normal(generator: np.random.Generator) -> Any:
    """Normal numbers in the way that pycma asks for them."""

    def randn(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape)

    return randn
