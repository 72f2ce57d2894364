"""Ridge regression by one singular value decomposition: the whole path of penalties, and cross-validation, without a second one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

ALPHA = "alpha"


@dataclass(frozen=True, kw_only=True)
class Ridge:
    r"""Linear readout with a penalty on the squares of its weights, solved in double precision without normal equations.

    With the centred features :math:`X = U S V^T` the weights are :math:`W = V \, s / (s^2 + \alpha) \, U^T Y`. The errors of
    cross-validation follow from the same decomposition: what a fit without the rows B would leave there is :math:`(I - H_{BB})^{-1} e_B`
    with the residuals e and the hat matrix H of the fit with all rows, exactly.

    Parameters
    ----------
    alpha : float, or DataArray with one dim
        Penalty, not divided by the number of samples. With a DataArray every one is solved: predictions have its dim, unless ``cv``
        chooses the best.
    intercept : bool
        Whether there is a constant term.
    penalize_intercept : bool
        Whether the constant is penalised like the weights. Other libraries do this.
    standardize : bool
        Divide the features by their standard deviations, which is another penalty.
    cv : "loo", int or None
        Choose ``alpha`` by leaving out one row, or one of so many stretches of rows that follow each other.

    Raises
    ------
    ValueError
        If a penalty is negative or not finite, or ``cv`` is none of these.

    References
    ----------
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, doi:10.1007/978-0-387-84858-7, sections 3.4.1 and 7.10.

    Examples
    --------
    >>> import numpy as np, xmass as xm
    >>> X, Y = np.array([[0.0], [1], [2], [3]]), np.array([[1], [2], [2.5], [4.2]])
    >>> solved = xm.training.Ridge(alpha=0.1).solve(X, Y)
    >>> solved.intercept.round(6), solved.weights[0].round(6)
    (array([[0.939706]]), array([[0.990196]]))
    """

    alpha: float | xr.DataArray = 1e-6
    intercept: bool = True
    penalize_intercept: bool = False
    standardize: bool = False
    cv: Literal["loo"] | int | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.alpha, dtype=np.float64)
        if values.ndim > 1 or not values.size or not np.isfinite(values).all() or values.min() < 0:
            raise ValueError(
                f"alpha={self.alpha!r}, needs numbers of 0 or more, one or along one dim: xr.DataArray([1e-8, 1e-6], dims='alpha')."
            )
        if values.ndim and not isinstance(self.alpha, xr.DataArray):
            raise TypeError(f"alpha={self.alpha!r} has no name for its dim: xr.DataArray(alpha, dims='alpha').")
        if self.cv not in (None, "loo") and not (isinstance(self.cv, int) and not isinstance(self.cv, bool) and self.cv >= 2):
            raise ValueError(f"cv={self.cv!r}, needs 'loo', a number of stretches from 2 on, or None.")
        if self.penalize_intercept and not self.intercept:
            raise ValueError("penalize_intercept=True with intercept=False: there is no intercept to penalise. Leave one of them out.")

    @property
    def path(self) -> tuple[str, xr.DataArray] | None:
        """Dim and coordinate of the penalties, None for a single one."""
        if not isinstance(self.alpha, xr.DataArray) or not self.alpha.ndim:
            return None
        dim = str(self.alpha.dims[0])
        return dim, xr.DataArray(self.alpha.values.astype(np.float64), dims=dim, attrs={"long_name": "ridge penalty", "units": "1"})

    def solve(self, features: np.ndarray, targets: np.ndarray) -> Solved:
        """Weights for every penalty.

        Parameters
        ----------
        features, targets : ndarray
            ``(row, feature)`` and ``(row, target)``.

        Returns
        -------
        Solved
            ``weights (alpha, feature, target)``, ``intercept (alpha, target)``, ``error (alpha, target)`` of cross-validation
            (mean square), None without ``cv``; ``best``, the index of the penalty with the least error summed over targets.
        """
        x, y = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
        rows, width = x.shape
        scale = np.ones(width)
        if self.standardize:
            scale = x.std(axis=0)
            scale = np.where(scale > 0, scale, 1.0)
            x = x / scale
        free = self.intercept and not self.penalize_intercept
        x_mean, y_mean = (x.mean(axis=0), y.mean(axis=0)) if free else (np.zeros(width), np.zeros(y.shape[1]))
        design = x - x_mean
        if self.penalize_intercept:
            design = np.concatenate([np.ones((rows, 1)), design], axis=1)
        table, aim = design, y - y_mean
        if self.cv is None:  # an orthogonal change of rows first: the same singular values of far fewer rows
            small = np.asarray(np.linalg.qr(np.concatenate([design, aim], axis=1), mode="r"))
            table, aim = small[:, : design.shape[1]], small[:, design.shape[1] :]
        u, s, vt = np.linalg.svd(table, full_matrices=False)
        alphas = np.atleast_1d(np.asarray(self.alpha, dtype=np.float64))
        gain, shrink = _filters(s, alphas, max(design.shape))
        projected = u.T @ aim
        weights = np.einsum("fk,ak,kt->aft", vt.T, gain, projected, optimize=True)
        first = np.zeros((alphas.size, y.shape[1]))
        if self.penalize_intercept:
            first, weights = weights[:, 0], weights[:, 1:]
        weights = weights / scale[:, None]
        mean = x_mean * scale
        intercept = first + y_mean - np.einsum("f,aft->at", mean, weights)
        error = best = None
        if self.cv is not None:
            basis = np.concatenate([np.full((rows, 1), rows**-0.5), u], axis=1) if free else u
            error = np.stack([_left_out(basis, np.concatenate([[1.0], d]) if free else d, y, self.cv) for d in shrink])
            total = error.sum(axis=1)
            if not np.isfinite(total).any():
                raise ValueError("cross-validation is not defined for any alpha: a left-out row decides alone. Take larger penalties.")
            best = int(np.nanargmin(np.where(np.isfinite(total), total, np.nan)))
        return Solved(weights, intercept, error, best)


@dataclass(frozen=True)
class Solved:
    """What :meth:`Ridge.solve` returns."""

    weights: np.ndarray
    intercept: np.ndarray
    error: np.ndarray | None = None
    best: int | None = None


def _filters(s: np.ndarray, alphas: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """``s / (s^2 + alpha)`` and ``s^2 / (s^2 + alpha)``; directions below rounding are left out."""
    real = s > np.finfo(np.float64).eps * size * s.max(initial=0.0)
    below = s**2 + alphas[:, None]
    safe = np.where(below > 0, below, 1.0)
    return np.where(real, s / safe, 0.0), np.where(real, s**2 / safe, 0.0)


def _left_out(basis: np.ndarray, shrink: np.ndarray, y: np.ndarray, cv: Any) -> np.ndarray:
    """Mean square error of each target, every row predicted by a fit without its stretch."""
    rows = len(y)
    half = basis * np.sqrt(shrink)
    residual = y - half @ (half.T @ y)
    if cv == "loo":
        left = 1 - (half**2).sum(axis=1)
        if left.min() <= 1e-12:
            return np.full(y.shape[1], np.inf)
        return ((residual / left[:, None]) ** 2).mean(axis=0)
    if cv > rows:
        raise ValueError(f"cv={cv} stretches of {rows} rows, needs at least one row in each.")
    total = np.zeros(y.shape[1])
    for part in np.array_split(np.arange(rows), cv):
        block, wrong = half[part], residual[part]
        try:
            if len(part) <= block.shape[1]:
                out = np.linalg.solve(np.eye(len(part)) - block @ block.T, wrong)
            else:  # the same by the Woodbury identity: a system of the size of the features
                out = wrong + block @ np.linalg.solve(np.eye(block.shape[1]) - block.T @ block, block.T @ wrong)
        except np.linalg.LinAlgError:
            return np.full(y.shape[1], np.inf)
        total += (out**2).sum(axis=0)
    return total / rows
