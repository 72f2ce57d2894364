"""Two sides of a comparison as lagged FC at the same lags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xmass.analysis.align import complete_matrix_labels
from xmass.analysis.clock import period_in_seconds, time_unit
from xmass.analysis.correlation import lagged_fc, lagged_matrices
from xmass.labelled import schema, units

LAGGED_DIMS = (schema.LAG, *schema.MATRIX_DIMS)
AGREE = 0.02
"""Lags are whole samples of each side: by this share of the lag the two may differ."""


class Lagged(NamedTuple):
    """Two sides as lagged FC; ``made`` makes the first of an array, ``(..., time, region)``, or takes it as it is."""

    simulated: xr.DataArray
    recorded: xr.DataArray
    made: Callable[[Any], Any]


def paired_lags(simulated: xr.DataArray, recorded: xr.DataArray, *, lags: tuple[float, ...] | None, what: str) -> Lagged:
    """Both sides with the dims ``lag``, ``region`` and ``region_other``, at lag 0 and at ``lags`` seconds.

    Without ``lags`` they are those of a side that has some, else one sample of the slower side.

    Raises
    ------
    ValueError
        If a side is neither a series nor lagged FC with the lag 0 first, or the lags of both sides differ.
    """
    sides = {"simulated": simulated, "recorded": recorded}
    for which, side in sides.items():
        if schema.REGION not in side.dims or (schema.REGION_OTHER in side.dims and not is_lagged(side)):
            raise ValueError(
                f"{what}: a score of lagged covariances takes series with dims (..., time, region), or (..., lag, region, region_other) as "
                f"xm.lagged_fc makes it, and {which} has {tuple(side.dims)}. Name one of these on each side: lagged_cov('bold', 'bold')."
            )
    given = [_seconds(side, f"{what}: {which}") for which, side in sides.items() if is_lagged(side)]
    if lags is not None:
        seconds = np.array([0.0, *lags])
    elif given:
        seconds = given[0]
    else:
        seconds = np.array([0.0, max(period_in_seconds(side, schema.time_dim(side)) for side in sides.values())])
    first, second = (_lagged(side, seconds) for side in sides.values())
    ours, theirs = (_seconds(side, f"{what}: {which}") for which, side in zip(sides, (first, second), strict=True))
    if ours.size != theirs.size or np.abs(ours - theirs).max() > AGREE * np.abs(seconds).max():
        raise ValueError(
            f"{what}: the lags are {ours.tolist()} s and {theirs.tolist()} s, whole samples of each side, and covariances depend on them. "
            "Give a lag that is a whole number of samples on both sides, lagged_cov(lag=...), or observe the simulation with the period of "
            "the recording."
        )
    made: Callable[[Any], Any] = _as_it_is
    if not is_lagged(simulated):
        period = period_in_seconds(simulated, schema.time_dim(simulated))
        made = partial(lagged_matrices, steps=np.rint(ours / period).astype(int).tolist())
    return Lagged(first, second, made)


def is_lagged(side: xr.DataArray) -> bool:
    """Whether ``side`` is lagged FC already."""
    return all(d in side.dims for d in LAGGED_DIMS)


def _lagged(side: xr.DataArray, seconds: Sequence[float] | np.ndarray) -> xr.DataArray:
    if not is_lagged(side):
        time = schema.time_dim(side)
        side = lagged_fc(side, np.asarray(seconds) * units.factor("s", time_unit(side, time)))
    return complete_matrix_labels(side)


def _seconds(side: xr.DataArray, what: str) -> np.ndarray:
    """The lags of a side that has them, in seconds."""
    unit = side[schema.LAG].attrs.get(schema.UNITS) if schema.LAG in side.coords else None
    if unit is None or side.sizes[schema.LAG] < 2 or side[schema.LAG].values[0] != 0:
        raise ValueError(
            f"{what} needs a coordinate 'lag' with a unit of time, 0 and then one lag or more: xm.lagged_fc(signal, [0, ...])."
        )
    return np.asarray(side[schema.LAG].values, np.float64) * units.factor(str(unit), "s")


def _as_it_is(values: Any) -> Any:
    return values
