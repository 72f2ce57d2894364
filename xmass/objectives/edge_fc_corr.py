"""Correlation of simulated and recorded edge functional connectivity."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmass.analysis.arrays import array_namespace
from xmass.objectives.objective import Objective


def edge_fc_corr(simulated: str | None = None, recorded: str | None = None, *, name: str = "edge_fc_corr") -> Objective:
    """Pearson correlation of the off-diagonal entries of two edge FC matrices; large is good, 1 is the same pattern.

    Edge FC says how alike the time courses of two pairs of regions are, see :func:`xmass.edge_fc`. The matrices are not made, which for 80
    regions have 10 million entries each: sums over their entries are sums over pairs of times. Lengths may differ.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, series ``(..., time, region)`` of three regions or more; by default the one data variable that both sides have.
    name : str
        The name in the result.

    Notes
    -----
    Faskowitz, Esfahlani, Jo, Sporns and Betzel 2020, doi:10.1038/s41593-020-00719-y. With T times, R regions and E = R (R - 1) / 2 edges a
    score costs about 6 T² E operations and 8 T E bytes.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import edge_fc_corr
    >>> x = np.random.default_rng(0).normal(size=(50, 4))
    >>> round(float(edge_fc_corr()(x, 3 * x + 1)), 12)
    1.0
    """
    meaning = "Pearson correlation of the off-diagonal entries of simulated and recorded edge FC"
    return Objective(
        _correlation, name=name, direction="max", best=1.0, takes="series", simulated=simulated, recorded=recorded, meaning=meaning
    )


def _correlation(simulated: Any, recorded: Any) -> Any:
    if array_namespace(simulated, recorded) is not np:
        return _of_edges(*_edges(simulated), *_edges(recorded))
    # one pair of runs after the other: the edges of all of them are many times the size of their series
    lead = np.broadcast_shapes(simulated.shape[:-2], recorded.shape[:-2])
    a, b = (np.broadcast_to(side, (*lead, *side.shape[-2:])) for side in (simulated, recorded))
    found = np.empty(lead, np.result_type(simulated, recorded))
    for place in np.ndindex(lead):
        found[place] = _of_edges(*_edges(np.ascontiguousarray(a[place])), *_edges(np.ascontiguousarray(b[place])))
    return found[()]


def _edges(series: Any) -> tuple[Any, Any]:
    """Products of the centred series of every pair of regions ``(..., time, edge)``, each of length 1, and whether all regions vary."""
    xp = array_namespace(series)
    varies = xp.max(series, axis=-2, keepdims=True) > xp.min(series, axis=-2, keepdims=True)
    centred = series - xp.mean(series, axis=-2, keepdims=True)
    centred = centred - xp.mean(centred, axis=-2, keepdims=True)
    largest = xp.max(xp.abs(centred), axis=-2, keepdims=True)
    centred = xp.where(varies, centred / xp.where(varies, largest, 1.0), 0.0)
    rows, columns = np.triu_indices(series.shape[-1], 1)
    products = centred[..., rows] * centred[..., columns]
    square = xp.sum(products * products, axis=-2, keepdims=True)
    return products / xp.sqrt(xp.where(square == 0, 1.0, square)), xp.all(varies, axis=(-2, -1))


def _of_edges(a: Any, a_varies: Any, b: Any, b_varies: Any) -> Any:
    """Correlation of the entries of a'a and b'b off the diagonal, where both are 1."""
    xp = array_namespace(a, b)
    edges = a.shape[-1]
    if edges < 3:  # one entry, or none, does not vary
        return xp.sum(a, axis=(-2, -1)) * xp.nan
    count = edges * (edges - 1)
    mean_a, mean_b = ((xp.sum(xp.sum(x, axis=-1) ** 2, axis=-1) - edges) / count for x in (a, b))
    both, own_a, own_b = ((_squares(x, y) - edges) / count for x, y in ((a, b), (a, a), (b, b)))
    spread_a, spread_b = own_a - mean_a * mean_a, own_b - mean_b * mean_b
    least = 100 * np.finfo(np.dtype(spread_a.dtype)).eps  # what rounding leaves where all edges go together
    varies = a_varies & b_varies & (spread_a > least * own_a) & (spread_b > least * own_b)
    root = xp.sqrt(xp.where(varies, spread_a, 1.0)) * xp.sqrt(xp.where(varies, spread_b, 1.0))
    return xp.where(varies, xp.clip((both - mean_a * mean_b) / root, -1.0, 1.0), xp.nan)


def _squares(a: Any, b: Any) -> Any:
    """The sum over edges e, f of (a'a)_ef (b'b)_ef, which is the sum of squares of a b'."""
    xp = array_namespace(a, b)
    product = xp.matmul(a, xp.swapaxes(b, -1, -2))
    return xp.sum(product * product, axis=(-2, -1))
