"""Spatial statistics of maps over regions, on arrays: Moran's I, variograms, and random maps that keep them."""

from __future__ import annotations

import numpy as np

SHARES = tuple(k / 10 for k in range(1, 10))
"""Neighbourhoods that are tried, as shares of the regions."""
BINS, REACH = 25, 0.25
"""Distances at which a variogram is taken, up to this quantile of them."""
_DECAY = 2.68
_AT_ONCE = 20_000_000


def moran_weights(distances: np.ndarray) -> np.ndarray:
    """Inverse distances with a zero diagonal."""
    away = ~np.eye(len(distances), dtype=bool)
    weights = np.zeros_like(distances)
    weights[away] = 1.0 / distances[away]
    return weights


def moran_index(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Moran's I of maps ``(..., region)``."""
    centred = maps - maps.mean(axis=-1, keepdims=True)
    among = np.einsum("...i,ij,...j->...", centred, weights, centred)
    return maps.shape[-1] / weights.sum() * among / (centred**2).sum(axis=-1)


def moran_vectors(weights: np.ndarray) -> np.ndarray:
    """Eigenvectors ``(region, regions - 1)`` of the doubly centred weights: all maps without a mean, by their Moran's I."""
    n = len(weights)
    centred = weights - weights.mean(axis=0) - weights.mean(axis=1)[:, None] + weights.mean()
    # the constant map is put below all others, so that it is the one that is left out
    shift = 2.0 * np.abs(centred).sum(axis=1).max() + 1.0
    return np.asarray(np.linalg.eigh(centred - shift * np.full((n, n), 1.0 / n))[1][:, :0:-1])


def moran_nulls(values: np.ndarray, vectors: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Maps ``(count, region)`` with the same mean, variance and share of each eigenvector, its sign at random."""
    mean = values.mean()
    parts = (values - mean) @ vectors
    signs = rng.integers(0, 2, (count, len(parts))) * 2.0 - 1.0
    return np.asarray(mean + (signs * parts) @ vectors.T)


class Variogram:
    """The smoothed semivariance of maps at a number of distances.

    gamma(h) = sum w_ij (x_i - x_j)^2 / (2 sum w_ij) over pairs up to a quantile of the distances, with
    w_ij = exp(-(2.68 (h - d_ij))^2 / (2 b^2)) and b three times the spacing of the h.
    """

    def __init__(self, distances: np.ndarray) -> None:
        self.rows, self.columns = np.triu_indices(len(distances), 1)
        apart = distances[self.rows, self.columns]
        # a quarter of the pairs, but as many as there are distances to take it at
        reach = np.quantile(apart, max(REACH, min(1.0, BINS / len(apart))))
        near = apart <= reach
        self.rows, self.columns, apart = self.rows[near], self.columns[near], apart[near]
        self.at = np.linspace(apart.min(), apart.max(), BINS)
        width = 3.0 * max(self.at[1] - self.at[0], 1e-12 * max(apart.max(), 1e-300))
        weights = np.exp(-((_DECAY * (self.at[:, None] - apart)) ** 2) / (2 * width**2))
        self.weights = weights / (2 * weights.sum(axis=1, keepdims=True))

    def __call__(self, maps: np.ndarray) -> np.ndarray:
        """``(..., region)`` to ``(..., distance)``."""
        flat = maps.reshape(-1, maps.shape[-1])
        result = np.empty((len(flat), len(self.at)))
        step = max(_AT_ONCE // max(len(self.rows), 1), 1)
        for i in range(0, len(flat), step):
            result[i : i + step] = (flat[i : i + step, self.rows] - flat[i : i + step, self.columns]) ** 2 @ self.weights.T
        return result.reshape(*maps.shape[:-1], -1)


def smoothers(distances: np.ndarray) -> list[np.ndarray]:
    """For each share of the regions the matrix that takes the mean over so many neighbours, with exponentially falling weights."""
    n = len(distances)
    order = np.sort(distances + np.diag(np.full(n, -1.0)), axis=1)[:, 1:]  # without itself
    found = []
    for share in SHARES:
        k = max(round(share * n), 1)
        reach = order[:, min(k, n - 1) - 1][:, None]
        kernel = np.where((distances <= reach) & ~np.eye(n, dtype=bool), np.exp(-distances / np.maximum(reach, 1e-300)), 0.0)
        found.append(kernel / kernel.sum(axis=1, keepdims=True))
    return found


def variogram_nulls(
    values: np.ndarray,
    distances: np.ndarray,
    variogram: Variogram,
    smooth: list[np.ndarray],
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Maps ``(count, region)`` by shuffling, smoothing and adding noise, so that the variogram is that of ``values``."""
    target = variogram(values)
    shuffled = rng.permuted(np.tile(values, (count, 1)), axis=1)
    noise = rng.standard_normal(shuffled.shape)
    best, error = np.empty_like(shuffled), np.full(count, np.inf)
    for kernel in smooth:
        smoothed = shuffled @ kernel.T
        own = variogram(smoothed)
        slope, offset = _nonnegative_line(own, target)
        misfit = ((slope[:, None] * own + offset[:, None] - target) ** 2).sum(axis=1)
        made = np.sqrt(slope)[:, None] * smoothed + np.sqrt(offset)[:, None] * noise
        better = misfit < error
        best[better], error[better] = made[better], misfit[better]
    return best


def _nonnegative_line(own: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the slope and offset, neither negative, by which it is nearest to ``target``: both are variances."""
    middle = own - own.mean(axis=1, keepdims=True)
    square, whole = (middle**2).sum(axis=1), (own**2).sum(axis=1)
    slope = (middle @ target) / np.where(square > 0, square, 1.0)
    offset = target.mean() - slope * own.mean(axis=1)
    slope = np.where(offset < 0, (own @ target) / np.where(whole > 0, whole, 1.0), np.maximum(slope, 0.0))
    return slope, np.maximum(np.where(slope > 0, offset, target.mean()), 0.0)
