"""Root mean square difference of FC and lagged covariances: what a directed connectome is fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmass.analysis.arrays import array_namespace, off_diagonal, root_mean_square
from xmass.labelled import units
from xmass.objectives.objective import Objective


def lagged_cov(simulated: str | None = None, recorded: str | None = None, *, lag: Any = None, name: str = "lagged_cov") -> Objective:
    """Root mean square difference of FC and of normalised lagged covariances; small is good, 0 is equal.

    FC is symmetric and cannot tell which of two regions drives the other. Lagged covariances are not: the entry ``i, j`` relates ``i`` now
    to ``j`` a lag before. The off-diagonal entries of FC and all entries of each lagged matrix, its diagonal included, count alike.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, a series ``(..., time, region)`` or what :func:`xmass.lagged_fc` returns, with the lag 0 first; by default the one
        data variable that both sides have.
    lag : time or list of times, optional
        Positive; a bare number is in seconds. By default that of a side which has lags already, else one sample of the slower side. A good
        lag is near the time in which the autocorrelation of the recording decays.
    name : str
        The name in the result.

    Raises
    ------
    ValueError
        If a lag is not positive.

    Notes
    -----
    Gilson, Moreno-Bote, Ponce-Alvarez, Ritter and Deco 2016, doi:10.1371/journal.pcbi.1004762, with covariances. Here each is divided by
    the standard deviations of both series, so that the amplitude, which differs between a model and a scanner, has no effect.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import lagged_cov
    >>> fc, lagged = np.eye(3), np.full((3, 3), 0.5)
    >>> forwards, backwards = np.triu(lagged), np.tril(lagged)
    >>> round(float(lagged_cov()(np.stack([fc, forwards]), np.stack([fc, backwards]))), 6)             # (lag, region, region_other)
    0.316228
    """
    if lag is None:
        lags = None
    else:
        given = lag if isinstance(lag, (list, tuple)) else [lag]
        lags = tuple(sorted(units.in_unit(one, "s", "lag") for one in given))
        if not lags or lags[0] <= 0:
            raise ValueError(f"lag={lag!r}, needs one or more positive times such as lag=2 * u.second.")
    return Objective(
        _rmse,
        name=name,
        direction="min",
        best=0.0,
        takes="lagged",
        simulated=simulated,
        recorded=recorded,
        meaning="root mean square difference of simulated and recorded FC and lagged covariances, normalised",
        lags=lags,
        residual=_residual,
    )


def _entries(matrices: Any) -> Any:
    """Off-diagonal entries at lag 0 and all entries at every other lag, of ``(..., lag, region, region_other)``."""
    xp = array_namespace(matrices)
    lagged = matrices[..., 1:, :, :]
    lagged = lagged.reshape(*lagged.shape[:-3], -1)
    found = xp.concatenate([off_diagonal(matrices[..., 0, :, :]), lagged], axis=-1)
    return np.ascontiguousarray(found) if isinstance(found, np.ndarray) else found


def _residual(simulated: Any, recorded: Any) -> Any:
    return _entries(simulated) - _entries(recorded)


def _rmse(simulated: Any, recorded: Any) -> Any:
    return root_mean_square(_residual(simulated, recorded))
