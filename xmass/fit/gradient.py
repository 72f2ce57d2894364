"""Fits by gradient descent with any optimiser of optax, all fits in one compiled program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from xmass.fit import checks
from xmass.fit.backend import PATIENCE, Ending, Outcome, Problem, Recorder, Space, extra
from xmass.fit.fingerprint import fingerprint

if TYPE_CHECKING:
    import optax


@dataclass(frozen=True, repr=False)
class GradientBackend:
    """Gradient descent in unconstrained coordinates; each step is one batched gradient of all fits.

    Parameters
    ----------
    optimizer : optax.GradientTransformation, optional
        By default ``optax.adam(0.05)``. Chains and schedules work: ``optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))``. Each
        fit has its own optimiser, so a global norm is that of one fit. The loss is passed on as ``value`` to those that ask for it
        (``optax.polyak_sgd``). An optimiser that evaluates on its own (``optax.lbfgs`` with its line search) does not fit here: use
        :class:`~xmass.fit.scipy_backend.ScipyBackend`.
    tolerance : float, optional
        A fit ends as "converged" once its best loss has improved by less than this in ``patience`` steps; by default all steps are made.
    patience : int
        See ``tolerance``.

    Raises
    ------
    ImportError
        In a run, if optax is not installed: ``pip install "xmass[fit]"``.
    TypeError
        If ``optimizer`` is no optimiser of optax.
    ValueError
        If another option is out of its range.

    Notes
    -----
    Optimisers compute in float64. The point after the last update is not evaluated, so it is no result: ``n_steps`` evaluations, as many
    updates less one count. Where loss or gradient of a fit is not finite, its optimiser is not updated and the fit goes back half of its
    last step; after five such steps in a row it stays at its last good point: "stalled", or "diverged" if it had none.

    Examples
    --------
    >>> import xmass as xm
    >>> from xmass.fit.gradient import GradientBackend
    >>> GradientBackend(tolerance=1e-4).patience
    20
    """

    optimizer: optax.GradientTransformation | None = None
    tolerance: float | None = None
    patience: int = 20

    space: ClassVar[Space] = "free"
    gradient: ClassVar[bool] = True
    residuals: ClassVar[bool] = False
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.optimizer is not None and not (callable(getattr(self.optimizer, "init", None)) and hasattr(self.optimizer, "update")):
            raise TypeError(f"optimizer is {self.optimizer!r}, needs an optimiser of optax such as optax.adam(0.05).")
        if self.tolerance is not None:
            checks.positive("tolerance", self.tolerance)
        checks.whole("patience", self.patience, 1)

    def __repr__(self) -> str:
        # A stored fit compares this text: an optimiser's own would have addresses in memory, which differ in every process.
        optimizer = None if self.optimizer is None else f"<optax {fingerprint(self.optimizer)}>"
        return f"GradientBackend(optimizer={optimizer}, tolerance={self.tolerance!r}, patience={self.patience!r})"

    def run(self, problem: Problem, record: Recorder, n_steps: int, seed: int | Sequence[int] = 0) -> Outcome:
        """Makes ``n_steps`` batched gradients; see :class:`~xmass.fit.backend.Backend`. Nothing is drawn, ``seed`` has no effect."""
        checks.steps(n_steps)
        checks.one_objective(problem, self)
        optimizer, update = _compiled(self.optimizer)
        state = _State.first(optimizer, checks.starts(problem)).restored(record.saved())
        for step in range(state.step, n_steps):
            if state.over.all():
                break
            loss, gradient = (np.array(a, dtype=np.float64) for a in problem.gradient(state.c, draw=step))
            record.evaluated(step, state.c[:, None, :].copy(), checks.evaluated(loss[:, None, None], (problem.fits, 1, 1)))
            state = self._next(update, state, loss, gradient)
            record.save(step, state.arrays())
        return Outcome(tuple(state.ending(k, self) for k in range(problem.fits)))

    def _next(self, update: Any, s: _State, loss: np.ndarray, gradient: np.ndarray) -> _State:
        """The state after an evaluation at ``s.c``."""
        good = np.isfinite(loss) & np.isfinite(gradient).all(axis=1)
        live = good & ~s.over
        value, slope = np.where(good, loss, 0.0), np.where(good[:, None], gradient, 0.0)
        try:
            # Third-party code, in the promotion that it was written for.
            with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
                moved, memory, finite = jax.device_get(update(slope, s.memory, s.c, value, live))
        except TypeError as error:
            if "missing" not in str(error):
                raise
            raise TypeError(
                f"optimizer needs more than a gradient and a loss ({error}). Use one that does not evaluate on its own, or backend='scipy'."
            ) from error
        live, good = live & finite, good & finite
        kept = np.where(live[:, None], s.c, s.kept)
        failures = np.where(s.over | good, 0, s.failures + 1)
        given_up = ~s.over & (failures >= PATIENCE)
        c = np.where(live[:, None], moved, np.where((s.over | given_up)[:, None], kept, 0.5 * (s.c + kept)))
        better = live & (value < s.reference - (self.tolerance or 0.0))
        since = np.where(better, 0, s.since + live)
        converged = live & (since >= self.patience) & (self.tolerance is not None)
        return _State(
            step=s.step + 1,
            c=np.where(converged[:, None], kept, c),
            kept=kept,
            memory=memory,
            reference=np.where(better, value, s.reference),
            since=since,
            failures=failures,
            skipped=s.skipped + (~s.over & ~good),
            met=s.met | live,
            over=s.over | given_up | converged,
            converged=s.converged | converged,
        )


@dataclass(frozen=True)
class _State:
    """Everything that a step changes; ``(fits, ...)`` each."""

    step: int
    c: np.ndarray  # the point to be evaluated next
    kept: np.ndarray  # the last point with a finite gradient; the start before there is one
    memory: Any  # of the optimiser
    reference: np.ndarray  # the best loss, up to the tolerance
    since: np.ndarray  # steps since then
    failures: np.ndarray  # in a row
    skipped: np.ndarray  # in all
    met: np.ndarray  # whether there was a finite gradient
    over: np.ndarray
    converged: np.ndarray

    @classmethod
    def first(cls, optimizer: Any, c: np.ndarray) -> _State:
        with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
            memory = jax.device_get(jax.vmap(optimizer.init)(jnp.asarray(c)))
        count, no = np.zeros(len(c), dtype=np.int64), np.zeros(len(c), dtype=bool)
        return cls(0, c, c.copy(), memory, np.full(len(c), np.inf), count, count, count, no, no, no)

    def arrays(self) -> dict[str, np.ndarray]:
        leaves = {f"optimizer.{k}": np.asarray(leaf) for k, leaf in enumerate(jax.tree.leaves(self.memory))}
        return {name: np.asarray(getattr(self, name)) for name in _NAMES} | leaves

    def restored(self, saved: dict[str, np.ndarray] | None) -> _State:
        """The state with the saved values; refuses those of another optimiser."""
        if saved is None:
            return self
        leaves, tree = jax.tree.flatten(self.memory)
        found = [saved.get(f"optimizer.{k}") for k in range(len(leaves) + 1)]
        kinds = [None if a is None else (np.shape(a), np.asarray(a).dtype) for a in found]
        needed = [(np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves]
        if kinds != [*needed, None] or "c" not in saved or saved["c"].shape != self.c.shape:
            raise ValueError("the saved state is that of another optimizer or another problem: resume with the options of the first call.")
        values = {name: np.array(saved[name]) for name in _NAMES if name != "step"}
        return _State(step=int(saved["step"]), memory=jax.tree.unflatten(tree, [np.array(a) for a in found[:-1]]), **values)

    def ending(self, k: int, backend: GradientBackend) -> Ending:
        note = f"{int(self.skipped[k])} steps had no finite gradient and were skipped" if self.skipped[k] else ""
        if self.converged[k]:
            return Ending("converged", note)
        if not self.over[k]:
            return Ending("steps" if self.met[k] else "diverged", note)
        return Ending("stalled" if self.met[k] else "diverged", f"{note}; the last {PATIENCE} in a row ended the fit")


_NAMES = ("step", "c", "kept", "reference", "since", "failures", "skipped", "met", "over", "converged")


@lru_cache(maxsize=16)
def _compiled(optimizer: optax.GradientTransformation | None) -> tuple[Any, Any]:
    """The optimiser in the form that takes the loss as ``value``, and the update of all fits; the same objects for the same optimiser."""
    optax = extra("optax", "GradientBackend")
    taking = optax.with_extra_args_support(optax.adam(0.05) if optimizer is None else optimizer)
    return taking, partial(_each, jax.jit(partial(_update, taking)))


def _each(update: Any, gradient: np.ndarray, memory: Any, c: np.ndarray, value: np.ndarray, live: np.ndarray) -> tuple[Any, Any, Any]:
    """The update of every fit, one by one: in one batch the last bits of a fit would depend on how many there are."""
    made = [jax.device_get(update(gradient[k], jax.tree.map(lambda m, k=k: m[k], memory), c[k], value[k], live[k])) for k in range(len(c))]
    return jax.tree.map(lambda *parts: np.stack(parts), *made)


def _update(optimizer: Any, gradient: Any, memory: Any, c: Any, value: Any, live: Any) -> tuple[Any, Any, Any]:
    """Point and optimiser state after an update, and whether the update is finite; a fit that is not live keeps its own."""
    change, new = optimizer.update(gradient, memory, c, value=value, grad=gradient)
    # A huge gradient can leave the memory of an optimiser infinite for good where the change is 0.
    spoilt = jax.tree.map(lambda a, b: (jnp.isfinite(b) & ~jnp.isfinite(a)).any(), new, memory)
    finite = jnp.isfinite(change).all() & ~jnp.any(jnp.asarray(jax.tree.leaves(spoilt), bool))
    take = live & finite
    return jnp.where(take, c + change, c), jax.tree.map(lambda a, b: jnp.where(take, a, b), new, memory), finite
