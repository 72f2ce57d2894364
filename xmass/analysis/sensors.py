"""Series of sensors in the place of regions: what is defined for one is computed for the other, with its dims and labels."""

from __future__ import annotations

from typing import Any, TypeVar

import xarray as xr

from xmass.labelled.schema import REGION, REGION_OTHER, SENSOR, SENSOR_OTHER

_BACK = {REGION: SENSOR, REGION_OTHER: SENSOR_OTHER, "edge_region": "edge_sensor", "edge_region_other": "edge_sensor_other"}
Result = TypeVar("Result", xr.DataArray, xr.Dataset)


def of_sensors(signal: Any) -> bool:
    """Whether a series has sensors and no regions."""
    return isinstance(signal, xr.DataArray) and SENSOR in signal.dims and REGION not in signal.dims


def as_regions(signal: xr.DataArray) -> xr.DataArray:
    """The series with its sensors called regions; a scalar label of a region, which was selected before, is left out."""
    if SENSOR_OTHER in signal.dims or SENSOR_OTHER in signal.coords:
        raise ValueError(
            f"signal has {SENSOR_OTHER!r} already, which the result needs: rename it with signal.rename({SENSOR_OTHER}='...')."
        )
    return signal.drop_vars([REGION, REGION_OTHER], errors="ignore").rename({SENSOR: REGION})


def entries_as_regions(variable: xr.DataArray) -> xr.DataArray:
    """A series, a spectrum or a matrix of sensors with these called regions; of regions as it is."""
    if not of_sensors(variable):
        return variable
    names = {*variable.dims, *variable.coords}
    both = {SENSOR: REGION, SENSOR_OTHER: REGION_OTHER}
    return variable.drop_vars([REGION, REGION_OTHER], errors="ignore").rename({old: new for old, new in both.items() if old in names})


def as_sensors(result: Result) -> Result:
    """A result for regions with these called sensors again."""
    names = {*result.dims, *result.coords}
    return result.rename({old: new for old, new in _BACK.items() if old in names})
