"""Every dimension, coordinate and attribute name that xmass uses, and the checks that find them."""

from __future__ import annotations

from collections.abc import Hashable

import xarray as xr

TIME = "time"
REGION = "region"
REGION_OTHER = "region_other"
BATCH = "batch"
SENSOR = "sensor"
SENSOR_OTHER = "sensor_other"
LAG = "lag"
SUBJECT = "subject"

WEIGHTS = "weights"
DISTANCES = "distances"
SPEED = "speed"
SEED = "seed"
INITIAL = "initial"
STEP = "initial.step"
STEP_DT = "dt"
"""Attribute of ``initial.step``: the time step in which it counts [ms]."""
DIVERGED = "diverged"

LEAD_FIELD = "lead_field"
"""Attribute of a gain and of a result: the embedded head that it was made with."""
CENTRES, ORIENTATIONS, HEMISPHERE = "centres", "orientations", "hemisphere"

UNITS = "units"
LONG_NAME = "long_name"
CONVENTIONS = "xmass-1.0"
TIME_AXIS = {"axis": "T"}

MATRIX_DIMS = (REGION, REGION_OTHER)


def time_attrs(unit: str = "ms") -> dict[str, str]:
    """Attributes of a time coordinate."""
    return {UNITS: unit, **TIME_AXIS, LONG_NAME: "time"}


def time_dim(data: xr.DataArray | xr.Dataset, dim: str | None = None) -> Hashable:
    """The dimension that is time: the one whose coordinate has ``axis="T"``, else the one called ``time``.

    Raises
    ------
    ValueError
        If there is none, or more than one, or ``dim`` is not a dimension of ``data``.
    """
    if dim is not None:
        if dim not in data.dims:
            raise ValueError(f"dim={dim!r} is not a dimension of the data, which has {tuple(data.dims)}.")
        return dim
    found = [d for d in data.dims if d in data.coords and data[d].attrs.get("axis") == "T"]
    if len(found) > 1:
        raise ValueError(f"the data have two time dimensions, {found[0]!r} and {found[1]!r}: say which with dim={found[0]!r}.")
    if found:
        return found[0]
    if TIME in data.dims:
        return TIME
    raise ValueError(
        f"the data have dims {tuple(data.dims)}, none of which is time: rename one with .rename({{...: 'time'}}), "
        "or mark its coordinate with attrs axis='T'."
    )
