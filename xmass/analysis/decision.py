"""Choice and decision time of a model with two competing populations, read from its recorded rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.clock import time_unit
from xmass.labelled.schema import LONG_NAME, UNITS, time_dim
from xmass.labelled.units import to_declared

RATES = ("r1", "r2")


def decision(rates: xr.Dataset, *, threshold: Any = 15.0, onset: Any = 0.0) -> xr.Dataset:
    """Which of two populations first reaches a rate, and when, in every run.

    The rates are those of the run itself, under its stimulus and noise. The first sample at or above the threshold counts; where
    both populations reach it in the same sample, the one with the higher rate there.

    Parameters
    ----------
    rates : Dataset
        ``r1`` and ``r2``, each ``(..., time, region)`` or without regions: a result of ``run(monitors=["r1", "r2"])``. Decision
        times are as exact as its sampling. Instantaneous rates carry the noise of the currents and cross the threshold early;
        averages over some ms, observed in the run and renamed to ``r1`` and ``r2``, do not.
    threshold : float, Quantity or DataArray
        The rate at which the decision is made [Hz], with any dims of its own.
    onset : float, Quantity or DataArray
        When the stimulus begins: samples up to then do not count, and decision times are from then on. A bare number is in the
        unit of the time coordinate. A population that is above the threshold at the onset decides at the first sample after it.

    Returns
    -------
    Dataset
        ``choice``: 1 or -1, and 0 where neither population reached the threshold; ``decision_time`` in the unit of the time
        coordinate, NaN where ``choice`` is 0. Dims of the rates without time, and those of ``threshold`` and ``onset``. Lazy if
        the rates are lazy. A run whose rates are NaN has made no decision.

    Raises
    ------
    TypeError
        If ``rates`` is no Dataset.
    KeyError
        If it lacks ``r1`` or ``r2``.
    ValueError
        If there is no time, both have different times, a unit is wrong, or the threshold is not positive.

    References
    ----------
    Wong, Wang (2006), doi:10.1523/JNEUROSCI.3733-05.2006, with a threshold of 15 Hz.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> time = ("time", [1.0, 2.0, 3.0], {"units": "ms", "axis": "T"})
    >>> rates = xr.Dataset({"r1": ("time", [3.0, 9.0, 20.0]), "r2": ("time", [3.0, 2.0, 1.0])}, {"time": time})
    >>> read = xm.decision(rates)
    >>> int(read.choice), float(read.decision_time)
    (1, 3.0)
    """
    r1, r2, time = _rates(rates)
    stamps, unit = r1[time], time_unit(r1, time)
    level, start = _labelled(threshold, "Hz", "threshold"), _labelled(onset, unit, "onset")
    if not bool((level > 0).all()):
        raise ValueError(f"threshold is {float(level.min()):g} Hz at its smallest, needs more than 0.")
    after = stamps > start
    first, second = (xr.where((rate >= level) & after, stamps, np.inf).min(time) for rate in (r1, r2))
    at = np.minimum(first, second)
    tied = np.sign((r1 - r2).where(stamps == at, 0.0).sum(time))
    choice = xr.where(first < second, 1, xr.where(second < first, -1, tied))
    found = xr.Dataset({"choice": choice.astype(np.int8), "decision_time": (at - start).where(choice != 0)})
    found.choice.attrs = {UNITS: "1", LONG_NAME: "choice: 1, -1, or 0 for none"}
    found.decision_time.attrs = {UNITS: unit, LONG_NAME: "time from the onset to the decision"}
    return found


def _labelled(value: Any, unit: str, name: str) -> xr.DataArray:
    data = to_declared(value, unit, name)
    if not isinstance(data, xr.DataArray) and np.ndim(data):
        raise TypeError(f"{name} is an array without named dims, needs a number or a DataArray: xr.DataArray({name}, dims='{name}').")
    return data if isinstance(data, xr.DataArray) else xr.DataArray(data)


def _rates(rates: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray, Any]:
    """Both rates in Hz on one time dim, which is the third."""
    if not isinstance(rates, xr.Dataset):
        raise TypeError(
            f"rates is a {type(rates).__name__}, needs a Dataset with r1 and r2, a result of sim.run(..., monitors=['r1', 'r2'])."
        )
    if lacking := [name for name in RATES if name not in rates.data_vars]:
        raise KeyError(f"rates has {sorted(map(str, rates.data_vars))}, lacks {lacking}. Run with monitors=['r1', 'r2'].")
    r1, r2 = (to_declared(rates[name], "Hz", name) for name in RATES)
    time, other = time_dim(r1), time_dim(r2)
    if time != other:
        r2 = r2.rename({other: time})
    if time in r1.coords and (time not in r2.coords or not r1.indexes[time].equals(r2.indexes[time])):
        raise ValueError("r1 and r2 have different times, needs the same. Observe both with the same period.")
    return r1, r2, time
