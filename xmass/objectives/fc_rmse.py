"""Root mean square difference of simulated and recorded functional connectivity."""

from __future__ import annotations

from typing import Any

from xmass.analysis.arrays import off_diagonal, root_mean_square
from xmass.objectives.objective import Objective


def fc_rmse(simulated: str | None = None, recorded: str | None = None, *, name: str = "fc_rmse") -> Objective:
    """Root mean square difference of the off-diagonal entries of two FC matrices; small is good.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, a matrix or a series ``(..., time, region)``; by default the one data variable that both sides have.
    name : str
        The name in the result.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import fc_rmse
    >>> float(fc_rmse()(np.full((3, 3), 0.5), np.full((3, 3), 0.25)))
    0.25
    """
    meaning = "root mean square difference of the off-diagonal entries of simulated and recorded FC"
    return Objective(
        _rmse,
        name=name,
        direction="min",
        best=0.0,
        takes="fc",
        simulated=simulated,
        recorded=recorded,
        meaning=meaning,
        residual=_residual,
    )


def _residual(simulated: Any, recorded: Any) -> Any:
    return off_diagonal(simulated) - off_diagonal(recorded)


def _rmse(simulated: Any, recorded: Any) -> Any:
    return root_mean_square(_residual(simulated, recorded))
