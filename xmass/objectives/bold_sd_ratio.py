"""Ratio of the standard deviations of two series."""

from __future__ import annotations

from typing import Any

from xmass.analysis.arrays import array_namespace, safe_sqrt
from xmass.objectives.objective import Objective


def bold_sd_ratio(simulated: str | None = None, recorded: str | None = None, *, name: str = "bold_sd_ratio") -> Objective:
    """|log(sd simulated / sd recorded)|, each the mean over regions of the sd over time; small is good, 0 is equal.

    The logarithm makes twice and half as large equally wrong. FC does not see the amplitude: with :func:`fc_rmse` this
    tells apart points that FC alone leaves on a ridge. Both sides must have one unit; a recording in raw scanner units is
    not comparable. Lengths may differ.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, series ``(..., time, region)``; by default the one data variable that both sides have.
    name : str
        The name in the result.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import bold_sd_ratio
    >>> x = np.random.default_rng(0).normal(size=(50, 4))
    >>> round(float(bold_sd_ratio()(x, 2 * x) / np.log(2)), 12)
    1.0
    """
    meaning = "absolute logarithm of the ratio of simulated to recorded standard deviation, mean over regions"
    return Objective(
        _log_ratio,
        name=name,
        direction="min",
        best=0.0,
        takes="series",
        simulated=simulated,
        recorded=recorded,
        meaning=meaning,
        same_unit=True,
    )


def _log_ratio(simulated: Any, recorded: Any) -> Any:
    xp = array_namespace(simulated, recorded)
    above, below = _mean_sd(simulated), _mean_sd(recorded)
    varies = ~((above == 0) | (below == 0))  # a silent side has no finite ratio: NaN, without a warning
    return xp.where(varies, abs(xp.log(xp.where(varies, above, 1.0)) - xp.log(xp.where(varies, below, 1.0))), xp.nan)


def _mean_sd(series: Any) -> Any:
    xp = array_namespace(series)
    centred = series - xp.mean(series, axis=-2, keepdims=True)
    centred = centred - xp.mean(centred, axis=-2, keepdims=True)
    return xp.mean(safe_sqrt(xp.sum(centred * centred, axis=-2) / (series.shape[-2] - 1)), axis=-1)
