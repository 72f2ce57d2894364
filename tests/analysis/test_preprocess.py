from __future__ import annotations

import json

import brainunit as u
import numpy as np
import pytest
import xarray as xr
from scipy import signal as scipy_signal

from tests.analysis.cases import cohort, series
from xmass.analysis import functional_connectivity, preprocess

PERIOD = 0.72


def steps(data: xr.DataArray) -> list[dict]:
    return json.loads(data.attrs["preprocess"])


def test_by_default_it_removes_a_straight_line_and_nothing_else():
    x = series()
    trend = xr.DataArray(np.linspace(3, -2, 120), dims="time")
    slope = xr.DataArray(np.arange(6.0), dims="region")
    clean = preprocess((x + 50 + trend * slope).rename("bold"))
    xr.testing.assert_allclose(clean.drop_attrs(), preprocess(x).drop_attrs(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(clean.values, scipy_signal.detrend(x.values, axis=0), rtol=0, atol=1e-12)
    assert steps(clean) == [{"detrend": "linear"}]
    assert (clean.name, clean.attrs["units"], clean.dims) == ("bold", "1", x.dims)
    assert clean.time.identical(x.time)


def test_nothing_asked_nothing_done():
    x = series()
    clean = preprocess(x, detrend=None)
    np.testing.assert_array_equal(clean.values, x.values)
    assert steps(clean) == []


def test_the_band_passes_what_is_inside_without_a_shift_and_stops_the_rest():
    t = np.arange(2000) * PERIOD
    slow, inside, fast = (np.sin(2 * np.pi * f * t) for f in (0.002, 0.04, 0.4))
    x = xr.DataArray((slow + inside + fast)[:, None], dims=("time", "region"), coords={"time": ("time", t, {"units": "s", "axis": "T"})})
    clean = preprocess(x, detrend=None, band=(0.02, 0.08)).values[:, 0]
    middle = slice(300, 1700)  # away from the ends, where padding shows
    np.testing.assert_allclose(clean[middle], inside[middle], rtol=0, atol=0.03)
    power = np.abs(np.fft.rfft(clean * np.hanning(2000))) ** 2
    frequency = np.fft.rfftfreq(2000, PERIOD)
    at = [power[np.abs(frequency - f).argmin()] for f in (0.002, 0.04, 0.4)]
    assert max(at[0], at[2]) < 1e-4 * at[1]


def test_the_filter_is_scipys_zero_phase_butterworth_of_order_two():
    x = series(samples=300)
    sections = scipy_signal.butter(2, (0.01, 0.1), btype="bandpass", fs=1 / PERIOD, output="sos")
    expected = scipy_signal.sosfiltfilt(sections, scipy_signal.detrend(x.values, axis=0), axis=0)
    clean = preprocess(x, band=(0.01, 0.1))
    np.testing.assert_allclose(clean.values, expected, rtol=0, atol=1e-12)
    assert steps(clean) == [{"detrend": "linear"}, {"band": [0.01, 0.1]}]


def test_the_global_signal_is_regressed_out_of_every_region():
    x = series(samples=300)
    clean = preprocess(x, global_signal=True)
    common = scipy_signal.detrend(x.values, axis=0).mean(axis=1)
    for before, after in zip(scipy_signal.detrend(x.values, axis=0).T, clean.values.T, strict=True):
        slope = np.polyfit(common, before, 1)[0]
        np.testing.assert_allclose(after, before - slope * common, rtol=0, atol=1e-12)
    assert abs(functional_connectivity(clean).values[~np.eye(6, dtype=bool)].mean()) < 0.25  # 0.5 before


@pytest.mark.parametrize(("discard", "left"), [(7.2, 110), (7.2 * u.second, 110), (7200 * u.ms, 110), (7.3, 109), (0, 120)])
def test_discard_counts_whole_samples_in_the_unit_of_the_time_coordinate(discard, left):
    clean = preprocess(series(), discard=discard, detrend=None)
    assert clean.sizes["time"] == left
    np.testing.assert_array_equal(clean.time, series().time[120 - left :])


def test_milliseconds_and_seconds_are_the_same_series():
    in_seconds, in_ms = series(samples=300), series(samples=300, period=720.0, unit="ms")
    a = preprocess(in_seconds, band=(0.01 * u.Hz, 0.1 * u.Hz), discard=7.2)
    b = preprocess(in_ms, band=(0.01, 0.1), discard=7200)
    np.testing.assert_allclose(a.values, b.values, rtol=0, atol=1e-12)
    assert a.attrs["preprocess"] == b.attrs["preprocess"]


def test_discard_comes_before_detrending():
    x = series()
    x[:10] += 1000
    np.testing.assert_allclose(preprocess(x, discard=7.2), scipy_signal.detrend(x.values[10:], axis=0), rtol=0, atol=1e-12)


def test_other_dims_chunks_and_precision():
    bold = cohort().bold.transpose("region", "subject", "time")
    clean = preprocess(bold, band=(0.01, 0.1), global_signal=True)
    assert clean.dims == bold.dims
    one = preprocess(cohort().bold[1], band=(0.01, 0.1), global_signal=True)
    np.testing.assert_allclose(clean.isel(subject=1).transpose("time", "region"), one, rtol=0, atol=1e-12)
    lazy = preprocess(bold.chunk({"subject": 1, "time": 40}), band=(0.01, 0.1), global_signal=True, discard=7.2)
    assert lazy.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), preprocess(bold, band=(0.01, 0.1), global_signal=True, discard=7.2), rtol=1e-12)
    assert preprocess(bold.astype(np.float32)).dtype == np.float32


def test_a_region_with_a_nan_is_nan_and_the_others_are_as_without_it():
    x = series()
    broken = x.copy()
    broken[7, 3] = np.nan
    clean = preprocess(broken, band=(0.01, 0.1), global_signal=True)
    keep = [0, 1, 2, 4, 5]
    assert clean[:, 3].isnull().all()
    np.testing.assert_allclose(clean[:, keep], preprocess(x[:, keep], band=(0.01, 0.1), global_signal=True), rtol=0, atol=1e-12)


def test_a_second_call_adds_its_steps():
    twice = preprocess(preprocess(series(), discard=7.2), detrend=None, band=(0.01, 0.1))
    assert steps(twice) == [{"discard": [7.2, "s"]}, {"detrend": "linear"}, {"band": [0.01, 0.1]}]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"detrend": "constant"}, "needs 'linear' or None"),
        ({"band": (0.1, 0.01)}, "0 < low < high"),
        ({"band": (0.01, 0.8)}, "half the sampling rate"),
        ({"band": 0.1}, "two frequencies"),
        ({"band": (0.01 * u.second, 0.1)}, "band"),
        ({"discard": -1}, "negative"),
        ({"discard": 86.0}, "samples are left"),
        ({"discard": 3 * u.mV}, "discard"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        preprocess(series(), **options)


def test_a_clock_without_unit_or_with_gaps_is_refused_where_it_is_needed():
    x = series()
    bare = x.assign_coords(time=x.time.values)
    preprocess(bare.assign_coords(time=("time", x.time.values, {"axis": "T"})))  # detrending needs no clock
    with pytest.raises(ValueError, match="needs 'ms' or 's'"):
        preprocess(bare, band=(0.01, 0.1))
    with pytest.raises(ValueError, match="evenly spaced"):
        preprocess(x.isel(time=[*range(50), *range(60, 120)]), band=(0.01, 0.1))
