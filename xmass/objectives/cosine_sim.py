"""Cosine similarity of simulated and recorded functional connectivity."""

from __future__ import annotations

from typing import Any

from xmass.analysis.arrays import array_namespace, off_diagonal
from xmass.objectives.objective import Objective


def cosine_sim(simulated: str | None = None, recorded: str | None = None, *, name: str = "cosine_sim") -> Objective:
    """Cosine of the angle between the off-diagonal entries of two FC matrices; large is good, 1 is the same pattern.

    Unlike :func:`fc_corr` the mean is not removed, so that two matrices with a high mean FC are alike whatever their pattern. It does not
    see the size: rank by it together with :func:`mean_fc`, or by :func:`fc_rmse`.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, a matrix or a series ``(..., time, region)``; by default the one data variable that both sides have.
    name : str
        The name in the result.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import cosine_sim
    >>> m = np.corrcoef(np.random.default_rng(0).normal(size=(4, 50)))
    >>> round(float(cosine_sim()(m, 0.5 * m)), 12), round(float(cosine_sim()(m, -m)), 12)
    (1.0, -1.0)
    """
    meaning = "cosine of the angle between the off-diagonal entries of simulated and recorded FC"
    return Objective(_cosine, name=name, direction="max", best=1.0, takes="fc", simulated=simulated, recorded=recorded, meaning=meaning)


def _cosine(simulated: Any, recorded: Any) -> Any:
    xp = array_namespace(simulated, recorded)
    (a, a_exists), (b, b_exists) = _unit(off_diagonal(simulated)), _unit(off_diagonal(recorded))
    return xp.where(a_exists & b_exists, xp.clip(xp.vecdot(a, b), -1.0, 1.0), xp.nan)


def _unit(entries: Any) -> tuple[Any, Any]:
    """Entries of length 1, and whether they have a direction at all: zeros and NaN have none."""
    xp = array_namespace(entries)
    exists = xp.max(xp.abs(entries), axis=-1) > 0
    entries = xp.where(exists[..., None], entries, 0.0)
    square = xp.vecdot(entries, entries)
    return entries / xp.sqrt(xp.where(square > 0, square, 1.0))[..., None], exists
