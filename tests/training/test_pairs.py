"""Pairs of inputs and later values, and no leak between splits."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmass.training import forecast_pairs


def series(n=20):
    time = xr.DataArray(np.arange(n) * 0.5, dims="time", attrs={"axis": "T", "units": "ms"})
    values = {"x": ("time", np.arange(float(n)), {"units": "mV"}), "u": (("subject", "time"), np.arange(2.0 * n).reshape(2, n))}
    return xr.Dataset(values, coords={"time": time})


def test_each_value_is_that_of_the_steps_ahead():
    pairs = forecast_pairs(series(), horizon=[1, 5])
    assert pairs.x_ahead.dims == ("time", "horizon") and pairs.u_ahead.dims == ("subject", "time", "horizon")
    assert pairs.sizes["time"] == 15 and pairs.x_ahead.attrs["units"] == "mV"
    for h in (1, 5):
        np.testing.assert_array_equal(pairs.x_ahead.sel(horizon=h), pairs.x + h)
        np.testing.assert_array_equal(pairs.u_ahead.sel(horizon=h), pairs.u + h)
    np.testing.assert_array_equal(pairs.lead, [0.5, 2.5])
    assert pairs.lead.attrs["units"] == "ms"
    assert list(forecast_pairs(series(), horizon=2, variables="x").x_ahead.horizon) == [2]


def test_no_pair_reaches_out_of_its_split():
    labels = np.array(["train"] * 12 + ["test"] * 8)
    ds = series().assign_coords(split=("time", labels))
    pairs = forecast_pairs(ds, horizon=[1, 3], split="split")
    owner = dict(zip(ds.x.values, labels, strict=True))  # the value of x is the number of its sample
    for h in (1, 3):
        later = [owner[v] for v in pairs.x_ahead.sel(horizon=h).values]
        np.testing.assert_array_equal(later, pairs.split)
    assert (pairs.split == "train").sum() == 9 and (pairs.split == "test").sum() == 5
    # the same samples by pairing each selection alone
    train = forecast_pairs(ds.isel(time=slice(0, 12)), horizon=[1, 3])
    xr.testing.assert_equal(train, pairs.isel(time=pairs.split.values == "train"))


def test_no_pair_steps_over_another_split():
    ds = series().assign_coords(split=("time", np.array(["a"] * 8 + ["b"] * 1 + ["a"] * 11)))
    pairs = forecast_pairs(ds, horizon=2, split="split")
    assert 7.0 not in pairs.x.values and 6.0 not in pairs.x.values  # 7 + 2 is "a" again, behind a sample of "b"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"horizon": 0}, ValueError, "from 1 on"),
        ({"horizon": [1, 1]}, ValueError, "each once"),
        ({"horizon": 1.5}, ValueError, "whole numbers"),
        ({"horizon": 20}, ValueError, "more than the longest horizon"),
        ({"variables": "y"}, KeyError, "names 'y'"),
        ({"split": "fold"}, KeyError, "no coordinate along"),
    ],
)
def test_mistakes_are_named(options, error, message):
    with pytest.raises(error, match=message):
        forecast_pairs(series(), **options)
    gap = series().isel(time=[0, 1, 2, 5, 6])
    with pytest.raises(ValueError, match="one step throughout"):
        forecast_pairs(gap)
