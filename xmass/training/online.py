"""Readouts that learn sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xmass.training.layer import FeatureLayer, Fixed


@dataclass(frozen=True, kw_only=True)
class RLS:
    r"""Recursive least squares: the readout is corrected after every sample, and all samples so far count.

    For the rows H of one time (one for each series of a batch, with a leading 1 for the intercept) and the targets Y:
    :math:`K = P H^T (\lambda I + H P H^T)^{-1}`, :math:`W \leftarrow W - K (H W - Y)`, :math:`P \leftarrow (P - K H P) / \lambda`, from
    W = 0 and :math:`P = I / \alpha`. Without forgetting the end is ridge regression with the penalty :math:`\alpha`, intercept included.

    Parameters
    ----------
    alpha : float
        Penalty: P starts at 1 / alpha. Some libraries call alpha what P starts at.
    forgetting : float
        :math:`\lambda` in (0, 1]: a sample n steps back counts :math:`\lambda^n`.
    every : int
        Correct at every so many samples.
    force : bool
        FORCE learning: while it is fitted, the layer is driven by what the readout says (before the correction), not by the data. Needs
        a fit without ``y``, and a readout that is to run free afterwards.
    intercept : bool
        Whether there is a constant term.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    Sussillo & Abbott (2009), Neuron 63, 544-557, doi:10.1016/j.neuron.2009.07.018.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.lorenz(duration=20.0)
    >>> model = xm.training.NVAR(orders=[2]).fit(ds, x=["x", "y", "z"], readout=xm.training.RLS(alpha=1e-3))
    >>> bool(model.history.error.isel(time=slice(-100, None)).mean() < 1e-4)
    True
    """

    alpha: float = 1.0
    forgetting: float = 1.0
    every: int = 1
    force: bool = False
    intercept: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha={self.alpha!r}, needs a number above 0: the covariance starts at 1 / alpha.")
        if not 0 < self.forgetting <= 1:
            raise ValueError(f"forgetting={self.forgetting!r}, needs a number above 0, at most 1, which forgets nothing.")
        _check_every(self.every)

    def begin(self, features: int) -> np.ndarray:
        """P before the first sample."""
        return np.eye(features) / self.alpha

    def correct(self, weights: Any, p: Any, h: Any, y: Any) -> tuple[Any, Any]:
        """W ``(feature, target)`` and P after the rows ``h (row, feature)`` with the targets ``y (row, target)``."""
        ph = p @ h.T
        gain = jnp.linalg.solve(self.forgetting * jnp.eye(len(h), dtype=h.dtype) + h @ ph, ph.T).T
        p = (p - gain @ ph.T) / self.forgetting
        return weights - gain @ (h @ weights - y), (p + p.T) / 2


@dataclass(frozen=True, kw_only=True)
class LMS:
    r"""Least mean squares: after every sample the readout takes one step down the gradient of its error.

    For the rows H and targets Y of one time, as in :class:`RLS`: :math:`W \leftarrow W - \eta H^T (H W - Y)`, from W = 0. It costs as much
    as the prediction, but needs many more samples than :class:`RLS`, and features of a like size: it is stable while :math:`\eta` times
    the largest eigenvalue of :math:`\langle H^T H \rangle` is below 2.

    Parameters
    ----------
    rate : float
        :math:`\eta`.
    normalize : bool
        Divide the step by :math:`|H|^2`: a rate in (0, 2) is stable whatever the size of the features.
    every, force, intercept
        As for :class:`RLS`.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    Widrow & Stearns (1985), Adaptive Signal Processing, ISBN 0-13-004029-0.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.lorenz(duration=20.0)
    >>> layer = xm.training.Reservoir(units=50, input_scaling=0.05)
    >>> model = layer.fit(ds, x=["x", "y", "z"], readout=xm.training.LMS(rate=0.05))
    >>> bool(model.history.error.isel(time=slice(-500, None)).mean() < 0.02 * ds.x.var())
    True
    """

    rate: float = 0.1
    normalize: bool = False
    every: int = 1
    force: bool = False
    intercept: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rate) and self.rate > 0) or (self.normalize and self.rate >= 2):
            raise ValueError(f"rate={self.rate!r}, needs a number above 0{', below 2 with normalize=True' if self.normalize else ''}.")
        _check_every(self.every)

    def begin(self, features: int) -> np.ndarray:
        """Nothing is remembered but the weights."""
        return np.zeros(0)

    def correct(self, weights: Any, p: Any, h: Any, y: Any) -> tuple[Any, Any]:
        """W ``(feature, target)`` after the rows ``h (row, feature)`` with the targets ``y (row, target)``."""
        size = (h**2).sum() if self.normalize else 1.0
        return weights - self.rate / jnp.where(size > 0, size, 1.0) * (h.T @ (h @ weights - y)), p


def _check_every(every: Any) -> None:
    if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
        raise ValueError(f"every={every!r}, needs a whole number of samples, 1 or more.")


@partial(jax.jit, static_argnames=("layer", "rule", "washout", "increment"))
def learn(
    layer: FeatureLayer, rule: RLS | LMS, fixed: Fixed, state: Any, u: Any, y: Any, w: Any, p: Any, *, washout: int, increment: bool
) -> tuple[Any, Any]:
    """Last weights and mean square error before each correction, from inputs ``(time, batch, input)`` and targets."""
    bias = rule.intercept

    def advance(carry: tuple[Any, Any, Any, Any], z: tuple[Any, Any, Any]) -> tuple[tuple[Any, Any, Any, Any], Any]:
        s, weights, p, said = carry
        index, given, wanted = z
        drive = jnp.where(index > washout, said, given) if rule.force else given
        s, f = layer.step(fixed, s, drive, jnp.zeros((), u.dtype))
        h = jnp.concatenate([jnp.ones((len(f), 1), f.dtype), f], axis=1) if bias else f
        out = h @ weights
        aim = wanted + (given - drive) if increment else wanted  # an increment leads from where the layer is
        new_weights, new_p = rule.correct(weights, p, h, aim)
        due = (index >= washout) & ((index - washout) % rule.every == 0)
        weights, p = jnp.where(due, new_weights, weights), jnp.where(due, new_p, p)
        said = (out + drive if increment else out) if rule.force else said
        return (s, weights, p, said), ((out - aim) ** 2).mean()

    (_, w, _, _), error = jax.lax.scan(advance, (state, w, p, u[0]), (jnp.arange(len(u)), u, y))
    return w, error
