"""Inputs and the values that follow them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

from xmass.labelled.schema import time_dim
from xmass.training.frame import names_of, step_of

HORIZON = "horizon"


def forecast_pairs(
    ds: xr.Dataset, *, horizon: int | Sequence[int] = 1, variables: str | Sequence[str] | None = None, split: str | None = None
) -> xr.Dataset:
    """A series beside itself some steps later: what a forecast is trained on and scored by.

    A sample is kept where its value at the longest horizon exists, so that all horizons have the same samples. To keep a split free of
    the data of another, pair each selection by itself, ``forecast_pairs(ds.sel(time=slice(20, 80)))``, or name a coordinate that says
    where each sample belongs: a pair whose later value lies in another split is dropped, and so is one that steps over another split.

    Parameters
    ----------
    ds : Dataset
        Series with a time dim of one step.
    horizon : int or sequence of int
        Steps ahead, each at least 1.
    variables : str or sequence of str, optional
        What is to be forecast, all data variables with time if not given.
    split : str, optional
        A coordinate along time, as ``"train"``, ``"test"`` for each sample.

    Returns
    -------
    Dataset
        The variables of ``ds`` and, for each of ``variables``, ``<name>_ahead`` with the dim ``horizon``, whose coordinate counts steps;
        ``lead`` is the same in the unit of time. Time is that of the input.

    Raises
    ------
    ValueError
        If a horizon is less than 1 or repeated, the steps of time differ, or no pair is left.
    KeyError
        If there is no variable or coordinate of a name.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xmass as xm
    >>> ds = xr.Dataset({"x": ("time", np.arange(5.0))}, coords={"time": np.arange(5) * 0.5})
    >>> pairs = xm.training.forecast_pairs(ds, horizon=[1, 3])
    >>> pairs.x.values, pairs.x_ahead.sel(horizon=3).values, pairs.lead.values
    (array([0., 1.]), array([3., 4.]), array([0.5, 1.5]))
    """
    time = time_dim(ds)
    steps = np.atleast_1d(np.asarray(horizon))
    if steps.ndim != 1 or steps.dtype.kind not in "iu" or not steps.size or steps.min() < 1 or len(set(steps.tolist())) != steps.size:
        raise ValueError(f"horizon={horizon!r}, needs whole numbers of steps from 1 on, each once, as horizon=[1, 10, 100].")
    wanted = [str(k) for k, v in ds.data_vars.items() if time in v.dims] if variables is None else names_of(variables, "variables")
    for name in wanted:
        if name not in ds.data_vars:
            raise KeyError(f"variables names {name!r}, but the Dataset has {sorted(map(str, ds.data_vars))}.")
    dt, longest = step_of(ds, time), int(steps.max())
    count = ds.sizes[time] - longest
    if count < 1:
        raise ValueError(f"the series has {ds.sizes[time]} samples, needs more than the longest horizon, {longest}: take shorter horizons.")
    keep = np.arange(count)
    if split is not None:
        keep = keep[_inside(ds, split, time, longest)]
    base = ds.isel({time: keep})
    lead = xr.DataArray(steps * dt, dims=HORIZON, attrs={**ds[time].attrs, "long_name": "time ahead"} if time in ds.coords else {})
    lead.attrs.pop("axis", None)
    later = {f"{name}_ahead": _ahead(ds[name], time, keep, steps) for name in wanted}
    return base.assign(later).assign_coords({HORIZON: (HORIZON, steps, {"long_name": "steps ahead", "units": "1"}), "lead": lead})


def _inside(ds: xr.Dataset, split: str, time: Hashable, longest: int) -> np.ndarray:
    if split not in ds.coords or ds[split].dims != (time,):
        raise KeyError(f"split={split!r} is no coordinate along {time!r}: add it with ds.assign_coords({split}=({time!r}, labels)).")
    labels = ds[split].values
    changes = np.concatenate([[0], np.cumsum(labels[1:] != labels[:-1])])
    same = changes[: len(labels) - longest] == changes[longest:]
    if not same.any():
        raise ValueError(f"no pair lies within one stretch of {split!r}, needs stretches longer than the longest horizon, {longest}.")
    return same


def _ahead(variable: xr.DataArray, time: Hashable, keep: np.ndarray, steps: np.ndarray) -> xr.DataArray:
    values = [variable.isel({time: keep + int(h)}).drop_vars([c for c in variable.coords if time in variable[c].dims]) for h in steps]
    joined = xr.concat(values, dim=HORIZON, coords="minimal", compat="override")
    dims = [d for d in variable.dims if d != HORIZON]
    joined = joined.transpose(*dims, HORIZON)
    joined.attrs = {**variable.attrs, "long_name": f"{variable.attrs.get('long_name', variable.name)}, later"}
    return joined
