"""Correlation of simulated and recorded functional connectivity dynamics, window by window."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmass.analysis.arrays import pearson
from xmass.labelled import units
from xmass.objectives.objective import Objective


def fcd(simulated: str | None = None, recorded: str | None = None, *, window: Any = 60.0, step: Any = 3.0, name: str = "fcd") -> Objective:
    """Pearson correlation of two FCD matrices, over their strict upper triangles; large is good.

    Windows are paired by position, so there must be as many on both sides. Meant for driven responses: when a resting brain changes its
    FC is chance, and the distributions are to be compared, with :func:`fcd_ks` or :func:`fcd_wasserstein`.

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
    >>> from xmass.objectives import fcd
    >>> m = np.corrcoef(np.random.default_rng(0).normal(size=(4, 50)))
    >>> round(float(fcd()(m, 0.5 * m)), 12)
    1.0
    """
    meaning = "Pearson correlation of the entries of simulated and recorded FCD above the diagonal"
    return Objective(
        _correlation,
        name=name,
        direction="max",
        best=1.0,
        takes="fcd",
        simulated=simulated,
        recorded=recorded,
        meaning=meaning,
        windows=windows_in_seconds(window, step),
    )


def windows_in_seconds(window: Any, step: Any) -> tuple[float, float]:
    """Length and step of the windows, as numbers that an objective can be hashed and pickled with."""
    found = (units.in_unit(window, "s", "window"), units.in_unit(step, "s", "step"))
    if min(found) <= 0:
        raise ValueError(f"window={window!r} and step={step!r}, need positive times: window=60 * u.second, step=3 * u.second.")
    return found


def upper_triangle(matrix: Any) -> Any:
    """The entries above the diagonal of ``(..., n, n)``, as ``(..., n * (n - 1) / 2)``."""
    rows, columns = np.triu_indices(matrix.shape[-1], 1)
    return matrix[..., rows, columns]


def _correlation(simulated: Any, recorded: Any) -> Any:
    ours, theirs = simulated.shape[-1], recorded.shape[-1]
    if ours != theirs:
        raise ValueError(
            f"objective fcd pairs windows, and there are {ours} in simulated and {theirs} in recorded: cut the longer series, "
            "or compare the distributions with fcd_ks or fcd_wasserstein."
        )
    return pearson(upper_triangle(simulated), upper_triangle(recorded))
