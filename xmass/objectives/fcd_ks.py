"""Kolmogorov-Smirnov distance of simulated and recorded functional connectivity dynamics."""

from __future__ import annotations

from typing import Any

from xmass.analysis.distributions import ks_statistic, one_by_one
from xmass.objectives.fcd import upper_triangle, windows_in_seconds
from xmass.objectives.objective import Objective


def fcd_ks(
    simulated: str | None = None, recorded: str | None = None, *, window: Any = 60.0, step: Any = 3.0, name: str = "fcd_ks"
) -> Objective:
    """Kolmogorov-Smirnov distance of the distributions of two FCD matrices, over their strict upper triangles; small is good.

    It is 0 for equal distributions and at most 1; lengths of the series may differ. Its gradient is 0 wherever it exists: to fit with
    gradients take :func:`fcd_wasserstein`.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, a series ``(..., time, region)`` or an FCD matrix ``(..., window, window_other)`` as it is; by default the one data
        variable that both sides have. An FC matrix has no dynamics and is refused.
    window, step : time
        The windows in which a series becomes its FCD; bare numbers are in seconds.
    name : str
        The name in the result.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import fcd_ks
    >>> float(fcd_ks()(np.full((3, 3), 0.5), np.full((4, 4), 0.25)))
    1.0
    """
    meaning = "Kolmogorov-Smirnov distance of the entries of simulated and recorded FCD above the diagonal"
    return Objective(
        _ks,
        name=name,
        direction="min",
        best=0.0,
        takes="fcd",
        simulated=simulated,
        recorded=recorded,
        meaning=meaning,
        windows=windows_in_seconds(window, step),
        differentiable=False,
    )


def _ks(simulated: Any, recorded: Any) -> Any:
    return one_by_one(ks_statistic, upper_triangle(simulated), upper_triangle(recorded))
