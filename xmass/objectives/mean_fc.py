"""Difference of the mean functional connectivity."""

from __future__ import annotations

from typing import Any

from xmass.analysis.arrays import array_namespace, off_diagonal
from xmass.objectives.objective import Objective


def mean_fc(simulated: str | None = None, recorded: str | None = None, *, name: str = "mean_fc") -> Objective:
    """|mean simulated FC − mean recorded FC| over the off-diagonal entries; small is good.

    It tells an over-synchronised network, whose FC has the right pattern, from the right one.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, a matrix or a series ``(..., time, region)``; by default the one data variable that both sides have.
    name : str
        The name in the result.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import mean_fc
    >>> float(mean_fc()(np.full((3, 3), 0.25), np.full((3, 3), 0.5)))
    0.25
    """
    meaning = "absolute difference of the mean off-diagonal FC, simulated and recorded"
    return Objective(_difference, name=name, direction="min", best=0.0, takes="fc", simulated=simulated, recorded=recorded, meaning=meaning)


def _difference(simulated: Any, recorded: Any) -> Any:
    xp = array_namespace(simulated, recorded)
    return abs(xp.mean(off_diagonal(simulated), axis=-1) - xp.mean(off_diagonal(recorded), axis=-1))
