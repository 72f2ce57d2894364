"""Fits whose optimum is known: closed forms behind the protocol of a problem, and a recorder that can be interrupted."""

from __future__ import annotations

import numpy as np


class Analytic:
    """Independent fits of a closed form; counts its calls.

    ``optimum (fits, size)`` is where each fit has its least loss; ``kind`` is "quadratic", "rosenbrock" or "two": the squared distances
    to ``optimum`` and to its mirror image in the centre of the box, whose Pareto set is the segment between them.
    ``nan`` takes points ``(fits, ..., size)`` and says where the loss is NaN.
    """

    def __init__(self, optimum, *, kind="quadratic", lower=0.0, upper=1.0, start=0.5, space="box", nan=None):
        self.optimum = np.atleast_2d(np.asarray(optimum, dtype=float))
        self.fits, self.size = self.optimum.shape
        self.names = tuple(f"p{k}" for k in range(self.size))
        self.space, self.kind, self.nan = space, kind, nan
        self.lower, self.upper = np.broadcast_to(float(lower), self.size), np.broadcast_to(float(upper), self.size)
        self.start = np.broadcast_to(np.asarray(start, dtype=float), (self.fits, self.size))
        self.objectives = 2 if kind == "two" else 1
        self.scale = np.linspace(1.0, 3.0, self.size)  # no two numbers matter alike
        self.calls, self.shapes, self.draws = [], [], []

    def _called(self, what, c, draw=0):
        self.calls.append(what)
        self.shapes.append(c.shape)
        self.draws.append(draw)
        assert np.isfinite(c).all()
        assert (c >= self.lower).all() and (c <= self.upper).all()

    def _bad(self, c):
        return np.zeros(c.shape[:-1], dtype=bool) if self.nan is None else self.nan(c)

    def losses(self, c, *, draw=0):
        self._called("losses", c, draw)
        centre = self.optimum[:, None]
        if self.kind == "two":
            out = np.stack([np.square(c - centre).sum(-1), np.square(c - (1 - centre)).sum(-1)], axis=-1)
        elif self.kind == "rosenbrock":
            z = c - centre + 1.0  # its minimum, at 1, is moved to the optimum
            out = (100 * np.square(z[..., 1:] - z[..., :-1] ** 2) + np.square(1 - z[..., :-1])).sum(-1)[..., None]
        else:
            out = (self.scale * np.square(c - centre)).sum(-1)[..., None]
        return np.where(self._bad(c)[..., None], np.nan, out)

    def gradient(self, c, *, draw=0):
        self._called("gradient", c, draw)
        if self.kind == "rosenbrock":
            z = c - self.optimum + 1.0
            step = z[:, 1:] - z[:, :-1] ** 2
            loss = (100 * step**2 + np.square(1 - z[:, :-1])).sum(-1)
            slope = np.zeros_like(z)
            slope[:, 1:] += 200 * step
            slope[:, :-1] += -400 * step * z[:, :-1] - 2 * (1 - z[:, :-1])
        else:
            loss = (self.scale * np.square(c - self.optimum)).sum(-1)
            slope = 2 * self.scale * (c - self.optimum)
        bad = self._bad(c)
        return np.where(bad, np.nan, loss), np.where(bad[:, None], np.nan, slope)

    def residuals(self, c, *, draw=0):
        self._called("residuals", c, draw)
        if self.kind == "rosenbrock":
            z = c - self.optimum + 1.0
            out = np.concatenate([10 * (z[:, 1:] - z[:, :-1] ** 2), 1 - z[:, :-1]], axis=1)
        else:
            out = np.sqrt(self.scale) * (c - self.optimum)
        out = np.where(self._bad(c)[:, None], np.nan, out)
        return np.sqrt(np.mean(out**2, axis=1)), out

    def jacobian(self, c, *, draw=0):
        self._called("jacobian", c, draw)
        n = self.size
        if self.kind != "rosenbrock":
            return np.broadcast_to(np.diag(np.sqrt(self.scale)), (self.fits, n, n))
        z, k = c - self.optimum + 1.0, np.arange(n - 1)
        out = np.zeros((self.fits, 2 * (n - 1), n))
        out[:, k, k + 1], out[:, k, k], out[:, n - 1 + k, k] = 10.0, -20 * z[:, :-1], -1.0
        return out


class Interrupted(Exception):
    pass


class Memory:
    """A recorder that keeps everything, and is interrupted after ``stop_after`` evaluated steps, or after as many saved ones."""

    def __init__(self, *, state=None, stop_after=None, before_saving=True):
        self.state, self.stop_after, self.before_saving = state, stop_after, before_saving
        self.steps, self.points, self.losses = [], [], []

    def evaluated(self, step, c, losses):
        assert c.shape[:2] == losses.shape[:2]
        self.steps.append(step)
        self.points.append(np.array(c))
        self.losses.append(np.array(losses))
        if self.before_saving and self.stop_after is not None and len(self.steps) > self.stop_after:
            raise Interrupted

    def saved(self):
        return self.state

    def save(self, step, state):
        assert step == self.steps[-1]
        assert all(isinstance(value, np.ndarray) and value.dtype != object for value in state.values())
        self.state = {name: value.copy() for name, value in state.items()}
        if not self.before_saving and self.stop_after is not None and len(self.steps) > self.stop_after:
            raise Interrupted

    def best(self):
        """The best evaluated point of each fit, by the first objective."""
        c, losses = np.concatenate(self.points, axis=1), np.concatenate(self.losses, axis=1)[..., 0]
        fit = np.arange(len(c))
        return c[fit, np.where(np.isnan(losses), np.inf, losses).argmin(axis=1)]

    def least(self):
        return np.nanmin(np.concatenate(self.losses, axis=1)[..., 0], axis=1)


def finished(backend, problem, n_steps, seed=0):
    """A fit from beginning to end: what was recorded and what came out."""
    record = Memory()
    return record, backend.run(problem, record, n_steps, seed)


def check_resuming(backend, problem, n_steps, *, stop_after, repeats=False):
    """Interrupted and resumed is bit for bit the same as uninterrupted, wherever it was interrupted.

    ``repeats`` allows evaluations that were made before to be made again.
    """
    whole, outcome = finished(backend, problem(), n_steps)
    for before_saving in (True, False):
        first = Memory(stop_after=stop_after, before_saving=before_saving)
        try:
            backend.run(problem(), first, n_steps, 0)
            raise AssertionError("the fit was not interrupted")
        except Interrupted:
            pass
        again = problem()
        second = Memory(state=first.state)
        resumed = backend.run(again, second, n_steps, 0)
        lost = before_saving  # the step that was evaluated but not saved is made again
        kept = len(first.steps) - lost
        assert [*first.steps[:kept], *second.steps] == whole.steps
        for name in ("points", "losses"):
            np.testing.assert_array_equal(np.stack([*getattr(first, name)[:kept], *getattr(second, name)]), np.stack(getattr(whole, name)))
        assert resumed.endings == outcome.endings
        if not repeats:
            assert len(again.calls) == len(whole.steps) - kept
    return whole
