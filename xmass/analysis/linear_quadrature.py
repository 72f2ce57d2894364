"""Integrals of many functions over positive frequencies at once, to a tolerance: arrays only."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Nodes and weights of Kronrod's rule with 15 points and of Gauss's with 7 (Piessens et al. 1983, QUADPACK, doi:10.1007/978-3-642-61786-7).
_X = np.array(
    [
        0.991455371120812639206854697526329,
        0.949107912342758524526189684047851,
        0.864864423359769072789712788640926,
        0.741531185599394439863864773280788,
        0.586087235467691130294144691693013,
        0.405845151377397166906606412076961,
        0.207784955007898467600689403773245,
        0.0,
    ]
)
_K = np.array(
    [
        0.022935322010529224963732008058970,
        0.063092092629978553290700663189204,
        0.104790010322250183839876322541518,
        0.140653259715525918745189590510238,
        0.169004726639267902826583426598550,
        0.190350578064785409913256402421014,
        0.204432940075298892414161999234649,
        0.209482141084727828012999174891714,
    ]
)
_G = np.array(
    [
        0.129484966168869693270611432679082,
        0.279705391489276667901467771423780,
        0.381830050505118944950369775488975,
        0.417959183673469387755102040816327,
    ]
)
NODES = np.concatenate([-_X, _X[-2::-1]])
KRONROD = np.concatenate([_K, _K[-2::-1]])
_HALF = np.zeros(8)
_HALF[1::2] = _G
GAUSS = np.concatenate([_HALF, _HALF[-2::-1]])

Integrand = Callable[[np.ndarray], np.ndarray]


class Integral(NamedTuple):
    """The value, the estimated error of each function, how many frequencies were evaluated, and whether the tolerance was met."""

    value: np.ndarray
    error: np.ndarray
    evaluations: int
    reached: bool


def integrate(
    function: Integrand,
    edges: np.ndarray,
    size: Callable[[np.ndarray], np.ndarray],
    tolerance: float,
    *,
    tail: bool = True,
    block: int = 32,
    most: int = 400_000,
) -> Integral:
    """Integrate from 0 by Gauss and Kronrod's pair on panels that are halved where the error is large.

    Parameters
    ----------
    function : callable
        Of frequencies ``(n,)``, gives ``(n, functions, ...)``.
    edges : array
        Increasing positive frequencies between the first panels.
    size : callable
        Of an integral ``(functions, ...)``: the scale of each function ``(functions,)`` that the tolerance is relative to.
    tolerance : float
        Largest sum of the panels' errors, relative to ``size``.
    tail : bool
        Go on to infinity, where the variable is the inverse of frequency; else end at the last edge.
    block, most : int
        Panels per call, and the number of evaluations after which it gives up.
    """
    edges = np.unique(edges)
    low, high = np.concatenate([[0.0], edges[:-1]]), edges
    if tail:
        low, high = np.append(low, 0.0), np.append(high, 1.0 / edges[-1])
    inverse = tail & (np.arange(len(low)) == len(edges))
    settled: np.ndarray | float = 0.0
    settled_error: np.ndarray | float = 0.0
    evaluations = 0
    while True:
        made = [_panels(function, low[i : i + block], high[i : i + block], inverse[i : i + block]) for i in range(0, len(low), block)]
        values, errors = np.concatenate([m[0] for m in made]), np.concatenate([m[1] for m in made])
        evaluations += len(NODES) * len(values)
        total = settled + values.sum(axis=0)
        scale = np.maximum(size(total), np.finfo(float).tiny)
        relative, before = (errors / scale).max(axis=1), float((settled_error / scale).max())
        reached = before + relative.sum() <= tolerance
        if reached or evaluations >= most:
            return Integral(total, settled_error + errors.sum(axis=0), evaluations, bool(reached))
        # panels with small errors are settled: together they may take half of what is left of the tolerance
        order = np.argsort(relative)
        spared = order[np.cumsum(relative[order]) <= 0.5 * (tolerance - before)]
        settled, settled_error = settled + values[spared].sum(axis=0), settled_error + errors[spared].sum(axis=0)
        halved = np.setdiff1d(order, spared)
        middle = 0.5 * (low[halved] + high[halved])
        low, high = np.concatenate([low[halved], middle]), np.concatenate([middle, high[halved]])
        inverse = np.concatenate([inverse[halved], inverse[halved]])


def _panels(function: Integrand, low: np.ndarray, high: np.ndarray, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integrals over panels and the error of each function there, as QUADPACK estimates it."""
    half = 0.5 * (high - low)
    at = (0.5 * (high + low))[:, None] + half[:, None] * NODES
    w = np.where(inverse[:, None], 1.0 / at, at)
    weight = half[:, None] * np.where(inverse[:, None], w**2, 1.0)
    values = function(w.reshape(-1))
    shape = values.shape[1:]
    flat = values.reshape(len(low), len(NODES), -1)
    fine = np.matmul((weight * KRONROD)[:, None], flat)[:, 0].reshape(len(low), *shape)
    coarse = np.matmul((weight * GAUSS)[:, None], flat)[:, 0].reshape(len(low), *shape)
    inner = tuple(range(2, 1 + len(shape)))
    gap = np.abs(fine - coarse)
    gap = gap.max(axis=inner) if inner else gap
    span = np.abs(flat).reshape(len(low), len(NODES), *shape)
    reach = (weight * KRONROD)[:, :, None] * (span.max(axis=tuple(i + 1 for i in inner)) if inner else span)
    spread = np.maximum(reach.sum(axis=1), np.finfo(float).tiny)
    return fine, spread * np.minimum(1.0, (200.0 * gap / spread) ** 1.5)
