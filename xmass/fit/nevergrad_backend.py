"""Fits by any optimiser of nevergrad: a whole batch of candidates is asked for and evaluated in one run."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xmass.fit import checks
from xmass.fit.backend import Ending, Outcome, Problem, Recorder, Space, extra
from xmass.fit.population import evolve

_SOUND = ("DE", "TwoPointsDE", "LhsDE", "PSO", "CMA", "TBPSA", "OnePlusOne")
"""Optimisers that work with every numpy since 2.0."""
_REHEARSED = 3
"""Steps of made-up losses in which a failing optimiser is found out."""


@dataclass(frozen=True)
class NevergradBackend:
    """An optimiser of nevergrad for each fit; needs no gradient.

    Parameters
    ----------
    optimizer : str
        A name of ``nevergrad.optimizers.registry``: "DE", "LhsDE", "TwoPointsDE", "PSO", "CMA", "TBPSA", "OnePlusOne", "RandomSearch", ...
    population : int
        Candidates of each fit in each step. Some optimisers take one after the other: 1 for those.

    Raises
    ------
    ImportError
        In a run, if nevergrad is not installed: ``pip install "xmass[fit]"``.
    ValueError
        If an option is out of its range; in a run, if there is no such optimiser, or it cannot take several candidates at once.
    RuntimeError
        In a run, if the optimiser itself fails.

    Notes
    -----
    J. Rapin & O. Teytaud, Nevergrad: a gradient-free optimization platform, https://github.com/facebookresearch/nevergrad. The optimiser is
    told a budget of ``population * n_steps`` evaluations and ``population`` workers. Each fit draws from its own seed; some optimisers draw
    from numpy's global generator too, which is put back as it was after every call. Candidates stay inside the bounds. A candidate without
    a finite loss is told the worst finite one so far; a fit without any in five steps in a row ends as "diverged". Of version 1.0.12 those
    optimisers that learn a model of the loss ("NGOpt" is one) fail with numpy 2.4: each fit tries its optimiser on made-up losses first,
    and one that fails is an error before anything is simulated.

    Examples
    --------
    >>> import xmass as xm
    >>> from xmass.fit.nevergrad_backend import NevergradBackend
    >>> NevergradBackend("TwoPointsDE", population=32)
    NevergradBackend(optimizer='TwoPointsDE', population=32)
    """

    optimizer: str = "DE"
    population: int = 16

    space: ClassVar[Space] = "box"
    gradient: ClassVar[bool] = False
    residuals: ClassVar[bool] = False
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, str):
            raise ValueError(f"optimizer is {self.optimizer!r}, needs the name of an optimiser of nevergrad, such as 'DE'.")
        checks.whole("population", self.population, 1)

    def run(self, problem: Problem, record: Recorder, n_steps: int, seed: int | Sequence[int] = 0) -> Outcome:
        """Makes ``n_steps`` batches of ``population`` candidates; see :class:`~xmass.fit.backend.Backend`."""
        checks.steps(n_steps)
        checks.one_objective(problem, self)
        start = checks.starts(problem)
        _rehearse(_Nevergrad(self, problem, start[0], n_steps, 0), min(n_steps, _REHEARSED))
        samplers = [_Nevergrad(self, problem, start[k], n_steps, own) for k, own in enumerate(checks.seeds(seed, problem.fits))]
        return Outcome(tuple(evolve(problem, record, samplers, self.population, n_steps)))


def _rehearse(sampler: _Nevergrad, n_steps: int) -> None:
    """A few steps with made-up losses, in which an optimiser that cannot work with the installed libraries fails."""
    rng = np.random.default_rng(0)
    for _ in range(n_steps):
        sampler.tell(rng.uniform(size=(len(sampler.ask()), 1)))


class _Nevergrad:
    """The optimiser of one fit."""

    def __init__(self, backend: NevergradBackend, problem: Problem, start: np.ndarray, n_steps: int, seed: int) -> None:
        self._name = backend.optimizer
        ng = extra("nevergrad", "NevergradBackend")
        registry = ng.optimizers.registry
        if backend.optimizer not in registry:
            close = difflib.get_close_matches(backend.optimizer, list(registry), n=3)
            guess = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
            raise ValueError(
                f"nevergrad has no optimiser {backend.optimizer!r}{guess}. They are listed by sorted(nevergrad.optimizers.registry)."
            )
        kind = registry[backend.optimizer]
        if kind.no_parallelization and backend.population > 1:
            raise ValueError(
                f"{backend.optimizer} takes candidates one after the other: use NevergradBackend({backend.optimizer!r}, population=1), or "
                "one that takes several, such as 'DE'."
            )
        self._population = backend.population
        lower, upper = np.asarray(problem.lower, dtype=np.float64), np.asarray(problem.upper, dtype=np.float64)
        self._bounded = np.isfinite(lower) & np.isfinite(upper)
        self._lower, self._upper = lower, upper
        self._globals = np.random.RandomState(seed % 2**32).get_state()
        with self._own_globals():
            boxed, free = self._bounded, ~self._bounded
            parts = [ng.p.Array(init=start[boxed], lower=lower[boxed], upper=upper[boxed])] if boxed.any() else []
            parts += [ng.p.Array(init=start[free])] if free.any() else []
            parametrization = parts[0] if len(parts) == 1 else ng.p.Tuple(*parts)
            parametrization.random_state = np.random.RandomState(seed % 2**32)
            self._optimizer = kind(parametrization, budget=n_steps * backend.population, num_workers=backend.population)
        self._asked: list[Any] = []

    @contextmanager
    def _own_globals(self) -> Iterator[None]:
        """The global numpy generator in the state of this fit, and afterwards as it was; without a warning that is not for users.

        Whatever the optimiser raises is an error that says so.
        """
        outside = np.random.get_state()  # noqa: NPY002  nevergrad draws from it in places
        np.random.set_state(self._globals)  # noqa: NPY002
        try:
            with warnings.catch_warnings():
                # nevergrad's "CMA" tells pycma of candidates in batches that are not its own.
                warnings.filterwarnings("ignore", message="orphanated injected solution")
                yield
        except Exception as error:
            raise RuntimeError(
                f"nevergrad's optimiser {self._name!r} fails ({type(error).__name__}: {error}), with numpy {np.__version__}. Use one that "
                f"learns no model of the loss, such as {', '.join(map(repr, _SOUND))}: backend=xm.fit.NevergradBackend('DE')."
            ) from error
        finally:
            self._globals = np.random.get_state()  # noqa: NPY002
            np.random.set_state(outside)  # noqa: NPY002

    def ask(self) -> np.ndarray:
        with self._own_globals():
            self._asked = [self._optimizer.ask() for _ in range(self._population)]
        c = np.empty((self._population, len(self._bounded)))
        for row, candidate in zip(c, self._asked, strict=True):
            if isinstance(candidate.value, tuple):
                row[self._bounded], row[~self._bounded] = candidate.value
            else:
                row[:] = candidate.value
        return np.clip(c, self._lower, self._upper)

    def tell(self, losses: np.ndarray) -> None:
        with self._own_globals():
            for candidate, loss in zip(self._asked, losses[:, 0], strict=True):
                self._optimizer.tell(candidate, float(loss))

    def ended(self) -> Ending | None:
        return None
