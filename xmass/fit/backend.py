"""What a fit is to an optimiser: three protocols, how a fit ends, and the backends by name.

A :class:`Problem` evaluates candidates of all fits in one batched run, a :class:`Recorder` keeps what was evaluated, and a :class:`Backend`
chooses the candidates. None of them knows the models, the labels or the units: they see coordinates and losses.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

Space = Literal["box", "free"]
Status = Literal["steps", "converged", "stalled", "diverged"]
PATIENCE = 5
"""A fit ends as diverged after this many steps in a row without a finite value."""

BACKENDS = {
    "grad": ("gradient", "GradientBackend"),
    "cma": ("evolution", "EvolutionBackend"),
    "nevergrad": ("nevergrad_backend", "NevergradBackend"),
    "scipy": ("scipy_backend", "ScipyBackend"),
    "grid": ("grid", "GridBackend"),
    "pareto": ("pareto", "ParetoBackend"),
    "nuts": ("nuts", "NutsBackend"),
}


class Stop(Exception):
    """Raised by a recorder to end a fit early; what was evaluated is kept.

    Attributes
    ----------
    outcome : Outcome, optional
        Set by a backend that knows more than the recorder: the Pareto front so far.
    """

    outcome: Outcome | None = None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a backend that knows more than the recorder.

    Parameters
    ----------
    outcome : Outcome
        What is known so far.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("interrupted")
        self.outcome = outcome


class Problem(Protocol):
    """Several independent fits of the same free numbers, evaluated together.

    Attributes
    ----------
    fits, size, objectives : int
        Independent fits, free numbers of each, and losses of each candidate.
    names : tuple of str
        A name for each free number, for messages.
    space : {"box", "free"}
        What the coordinates are: "box" has [0, 1] for each number with two finite bounds and an elementwise transform, and unconstrained
        coordinates for the others; "free" is unconstrained throughout.
    lower, upper : ndarray
        ``(size,)``, bounds of the coordinates; ±inf where there is none.
    start : ndarray
        ``(fits, size)``, where each fit starts.
    """

    @property
    def fits(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def space(self) -> Space: ...
    @property
    def lower(self) -> np.ndarray: ...
    @property
    def upper(self) -> np.ndarray: ...
    @property
    def start(self) -> np.ndarray: ...
    @property
    def objectives(self) -> int: ...

    def losses(self, c: np.ndarray, *, draw: int = 0) -> np.ndarray:
        """Losses ``(fits, candidates, objectives)`` of ``c (fits, candidates, size)`` in one batched run; NaN where a run diverged.

        ``draw`` counts the steps of the backend: the noise is that of this draw where fresh noise was asked for, else the same for all.
        """

    def gradient(self, c: np.ndarray, *, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Loss ``(fits,)`` and gradient ``(fits, size)`` at ``c (fits, size)``."""

    def residuals(self, c: np.ndarray, *, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Loss ``(fits,)`` and residuals ``(fits, m)`` at ``c (fits, size)``: the loss is the root of their mean square."""

    def jacobian(self, c: np.ndarray, *, draw: int = 0) -> np.ndarray:
        """Derivatives ``(fits, m, size)`` of the residuals at ``c (fits, size)``."""


class Recorder(Protocol):
    """What keeps a fit: the best evaluated point, the history, progress, callbacks, and the state to resume from.

    A backend calls, in each step, ``evaluated`` and then ``save``. A resumed backend goes on after the last saved step, so ``evaluated``
    may be called twice with the same ``step`` and the same values: if the fit was interrupted between the two.
    """

    def evaluated(self, step: int, c: np.ndarray, losses: np.ndarray) -> None:
        """Takes ``c (fits, candidates, size)`` and ``losses (fits, candidates, objectives)``; may raise :class:`Stop`, as ``save`` may.

        A fit that has ended stays in the batch: its candidates repeat a point that it has evaluated before.
        """

    def saved(self) -> dict[str, np.ndarray] | None:
        """The state that ``save`` was last given, if a fit is resumed."""

    def save(self, step: int, state: dict[str, np.ndarray]) -> None:
        """Takes the state after a step: arrays only. They may be views that a later step extends: copy what you keep."""


@dataclass(frozen=True)
class Ending:
    """How one fit ended.

    Attributes
    ----------
    status : {"steps", "converged", "stalled", "diverged"}
        "steps": all steps were made; "converged": the optimiser's own criterion was met; "stalled": it could not go on from a point with a
        finite loss; "diverged": no finite loss, or none in several steps in a row.
    note : str
        What the user should know, empty if nothing.
    """

    status: Status = "steps"
    note: str = ""


@dataclass(frozen=True)
class Front:
    """A Pareto front of one fit: points of which no other evaluated point is better in one objective and as good in all others.

    Attributes
    ----------
    c : ndarray
        ``(points, size)``, coordinates, sorted by the first objective.
    losses : ndarray
        ``(points, objectives)``.
    """

    c: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What a backend knows when it is done, beyond what the recorder was given.

    Attributes
    ----------
    endings : tuple of Ending
        One for each fit.
    fronts : tuple of Front
        One for each fit; empty unless the backend has several objectives.
    """

    endings: tuple[Ending, ...]
    fronts: tuple[Front, ...] = field(default=())


@runtime_checkable
class Backend(Protocol):
    """Chooses candidates. A frozen dataclass: its fields are its options, everything that changes is local to ``run``.

    Attributes
    ----------
    space : {"box", "free"}
        The coordinates that it asks for.
    gradient, residuals, several : bool
        Whether it calls ``Problem.gradient``; ``Problem.residuals`` and ``Problem.jacobian``; whether it takes several objectives.
    """

    space: ClassVar[Space]

    @property
    def gradient(self) -> bool: ...
    @property
    def residuals(self) -> bool: ...
    @property
    def several(self) -> bool: ...

    def run(self, problem: Problem, record: Recorder, n_steps: int, seed: int | Sequence[int]) -> Outcome:
        """Makes at most ``n_steps`` batched evaluations of ``problem``.

        ``seed`` is one number, from which each fit draws by its position, or one for each fit.
        """


def backend_named(name: str) -> Backend:
    """The backend with the default options that a name stands for.

    Parameters
    ----------
    name : str
        "grad", "cma", "nevergrad", "scipy", "grid", "pareto" or "nuts". For other options make the object:
        ``EvolutionBackend(population=64)``.

    Returns
    -------
    Backend

    Raises
    ------
    ValueError
        If there is no backend of that name.

    Examples
    --------
    >>> import xmass as xm
    >>> from xmass.fit.backend import backend_named
    >>> backend_named("grid")
    GridBackend(points=11, levels=3)
    """
    if name not in BACKENDS:
        raise ValueError(f"there is no backend {name!r}: take one of {', '.join(map(repr, BACKENDS))}, or an object such as GridBackend().")
    module, attribute = BACKENDS[name]
    made: Backend = getattr(importlib.import_module(f"xmass.fit.{module}"), attribute)()
    return made


def extra(module: str, purpose: str, name: str = "fit") -> Any:
    """A module of the extra ``name``, imported when it is needed."""
    drawn = np.random.get_state()  # noqa: NPY002  nevergrad draws from the global generator while it is imported
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{purpose} needs {module.split(".")[0]}: pip install "xmass[{name}]".') from error
    finally:
        np.random.set_state(drawn)  # noqa: NPY002
