"""The clock of a stored series: its sampling period, and times given by a user in the unit of its coordinate."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled import schema, units


def time_unit(series: xr.DataArray, time: Hashable) -> str:
    """The unit of the time coordinate.

    Raises
    ------
    ValueError
        If there is no coordinate, or it has no unit of time.
    """
    if time not in series.coords:
        raise ValueError(
            f"{series.name!r} has no coordinate on {time!r}, so its period is not known. Add stamps with their unit: "
            f".assign_coords({time}=('{time}', np.arange(n) * 0.72, {{'units': 's', 'axis': 'T'}}))."
        )
    unit = series[time].attrs.get(schema.UNITS)
    if unit is None or not units.same_dimension(unit, "s"):
        raise ValueError(
            f"the coordinate {time!r} of {series.name!r} has units {unit!r}, needs 'ms' or 's'. "
            f"Set it: da[{str(time)!r}].attrs['units'] = 's'."
        )
    return str(unit)


def period_in_seconds(series: xr.DataArray, time: Hashable) -> float:
    """The time between samples, in seconds.

    Raises
    ------
    ValueError
        As :func:`time_unit`; or if there are fewer than two samples, or they are not evenly spaced to a thousandth of a period.
    """
    unit = time_unit(series, time)
    stamps = np.asarray(series[time].values, dtype=np.float64)
    if stamps.size < 2:
        raise ValueError(f"{series.name!r} has {stamps.size} sample along {time!r}, needs two or more to have a period.")
    steps = np.diff(stamps)
    period = (stamps[-1] - stamps[0]) / (stamps.size - 1)
    if not period > 0 or np.abs(steps - period).max() > 1e-3 * period:
        raise ValueError(
            f"the samples of {series.name!r} are {steps.min():g} to {steps.max():g} {unit} apart along {time!r}, "
            f"and must be evenly spaced. Interpolate: .interp({time}=np.arange(start, stop, period))."
        )
    return float(period * units.factor(unit, "s"))


def duration_in_seconds(value: Any, series: xr.DataArray, time: Hashable, name: str) -> float:
    """A time given by a user, in seconds; a bare number is in the unit of the time coordinate."""
    unit = time_unit(series, time)
    return units.in_unit(value, unit, name) * units.factor(unit, "s")
