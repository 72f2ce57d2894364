"""Correlation of simulated and recorded functional connectivity."""

from __future__ import annotations

from typing import Any

from xmass.analysis.arrays import off_diagonal, pearson
from xmass.objectives.objective import Objective


def fc_corr(simulated: str | None = None, recorded: str | None = None, *, name: str = "fc_corr") -> Objective:
    """Pearson correlation of the off-diagonal entries of two FC matrices; large is good.

    For symmetric matrices this is the correlation of the strict upper triangles. It does not see the mean nor the size of
    FC: rank by it together with :func:`mean_fc`, or by :func:`fc_rmse`.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, a matrix or a series ``(..., time, region)``; by default the one data variable that both sides have.
    name : str
        The name in the result.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import fc_corr
    >>> m = np.corrcoef(np.random.default_rng(0).normal(size=(4, 50)))
    >>> round(float(fc_corr()(m, 0.5 * m)), 12)
    1.0
    """
    meaning = "Pearson correlation of the off-diagonal entries of simulated and recorded FC"
    return Objective(
        _correlation, name=name, direction="max", best=1.0, takes="fc", simulated=simulated, recorded=recorded, meaning=meaning
    )


def _correlation(simulated: Any, recorded: Any) -> Any:
    return pearson(off_diagonal(simulated), off_diagonal(recorded))
