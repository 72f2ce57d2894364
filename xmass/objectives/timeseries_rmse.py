"""Root mean square difference of two series, sample by sample."""

from __future__ import annotations

from typing import Any

from xmass.analysis.arrays import root_mean_square
from xmass.objectives.objective import Objective


def timeseries_rmse(simulated: str | None = None, recorded: str | None = None, *, name: str = "timeseries_rmse") -> Objective:
    """Root mean square difference of two series over time and region; small is good.

    Samples are paired by position; period, length and unit must agree. Meant for driven or deterministic responses: the
    samples of two noisy resting recordings have nothing to do with each other.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, series ``(..., time, region)``; by default the one data variable that both sides have.
    name : str
        The name in the result.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import timeseries_rmse
    >>> float(timeseries_rmse()(np.ones((10, 2)), np.zeros((10, 2))))
    1.0
    """
    meaning = "root mean square difference of simulated and recorded series over time and region"
    return Objective(
        _rmse,
        name=name,
        direction="min",
        best=0.0,
        takes="paired",
        simulated=simulated,
        recorded=recorded,
        meaning=meaning,
        same_unit=True,
        residual=_residual,
    )


def _residual(simulated: Any, recorded: Any) -> Any:
    difference = simulated - recorded
    return difference.reshape(*difference.shape[:-2], -1)


def _rmse(simulated: Any, recorded: Any) -> Any:
    return root_mean_square(_residual(simulated, recorded))
