from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import scipy.signal
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.cases import cohort, series
from tests.oracles import references
from xmass.analysis import band_pass, functional_connectivity, peak_frequency, power_spectrum, preprocess

MULTI = {"method": "multitaper"}
FUNCTIONS = {
    "welch": power_spectrum,
    "multitaper": lambda x, **o: power_spectrum(x, **MULTI, **o),
    "band_pass": lambda x, **o: band_pass(x, (0.05, 0.3), **o),
}


def functions():
    return pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def sine(hertz: float, *, samples: int = 1000, period: float = 0.01, unit: str = "s") -> xr.DataArray:
    t = np.arange(samples) * period
    stamps = t if unit == "s" else t * 1000
    return xr.DataArray(
        np.sin(2 * np.pi * hertz * t)[:, None],
        dims=("time", "sensor"),
        coords={"time": ("time", stamps, {"units": unit, "axis": "T"})},
        attrs={"units": "uV"},
    )


# ---- what all have in common
@functions()
def test_other_dims_are_kept_in_their_place_and_lazy_stays_lazy(function):
    bold = cohort().bold.transpose("region", "time", "subject")
    found = function(bold)
    middle = "time" if found.name == "bold" else "frequency"
    assert found.dims == ("region", middle, "subject")
    one = function(bold.sel(subject="S2").transpose("time", "region"))
    xr.testing.assert_identical(found.sel(subject="S2").transpose(middle, "region"), one)
    assert found.hemisphere.dims == ("region",)
    lazy = function(bold.chunk({"subject": 1, "time": 50, "region": 2}))
    assert lazy.chunks is not None
    assert (lazy.dtype, lazy.dims) == (bold.dtype, found.dims)
    xr.testing.assert_identical(lazy.compute(), found)


@functions()
def test_float32_stays_float32_and_no_region_is_needed(function):
    x = series().rename(region="sensor")
    found = function(x.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, function(x), rtol=1e-5, atol=1e-6)


@functions()
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_series_with_a_sample_that_is_no_number_is_nan_and_the_others_do_not_notice(function, value):
    x = series()
    x[5, 2] = value
    found = function(x)
    assert found.isel(region=2).isnull().all()
    keep = [0, 1, 3, 4, 5]
    xr.testing.assert_identical(found.isel(region=keep), function(series().isel(region=keep)))


@functions()
def test_preprocessing_is_told(function):
    clean = preprocess(series())
    assert function(clean).attrs["preprocess"].startswith('[{"detrend": "linear"}')


@functions()
def test_two_time_dims_are_an_error_that_dim_settles(function):
    x = series().expand_dims(bold_time=2).assign_coords(bold_time=("bold_time", [0.0, 1.0], {"axis": "T", "units": "s"}))
    with pytest.raises(ValueError, match="two time dimensions"):
        function(x)
    assert "bold_time" in function(x, dim="time").dims


@functions()
@pytest.mark.parametrize(
    ("signal", "error", "words"),
    [
        (series(samples=7), ValueError, "7|less than one period"),
        (series(unit="mV"), ValueError, "needs 'ms' or 's'"),
        (series().drop_vars("time"), ValueError, "no coordinate on 'time'"),
        (series().rename(time="t").drop_vars("t"), ValueError, "none of which is time"),
        (series().values, TypeError, "DataArray"),
        (series() > 0, TypeError, "bool"),
        (series().assign_coords(time=("time", np.arange(120) ** 2.0, {"units": "s"})), ValueError, "evenly spaced"),
    ],
)
def test_what_is_no_series_is_refused(function, signal, error, words):
    with pytest.raises(error, match=words):
        function(signal)


# ---- spectra
def test_welch_is_scipys_with_labels():
    x = series()
    found = power_spectrum(x, segment=0.72 * 40, overlap=0.25)
    f, p = scipy.signal.welch(x.values, fs=1 / 0.72, nperseg=40, noverlap=10, axis=0)
    np.testing.assert_allclose(found, p, rtol=1e-12)
    np.testing.assert_allclose(found.frequency, f, rtol=1e-12)
    assert (found.name, found.frequency.attrs["units"], found.attrs["units"]) == ("power_spectrum", "Hz", "1/Hz")
    assert power_spectrum(x).sizes["frequency"] == 120 // 8 // 2 + 1


@pytest.mark.parametrize("samples", [120, 121])  # with and without a bin at half the sampling rate, which has one sign only
def test_multitaper_is_the_mean_of_periodograms_with_each_taper(samples):
    x = series(samples=samples).values
    tapers, ratios = scipy.signal.windows.dpss(samples, 4, 7, return_ratios=True)
    parts = [scipy.signal.periodogram(x - x.mean(0), fs=1 / 0.72, window=taper, detrend=False, axis=0)[1] for taper in tapers]
    expected = np.average(parts, axis=0, weights=ratios)
    np.testing.assert_allclose(power_spectrum(series(samples=samples), **MULTI), expected, rtol=1e-11)


@pytest.mark.long
@pytest.mark.parametrize("samples", [400, 401])
@pytest.mark.parametrize("options", [MULTI, {"segment": 10.0}], ids=["multitaper", "welch"])
def test_the_spectrum_of_white_noise_is_flat_and_adds_up_to_the_variance(samples, options):
    # variance 4 at 10 Hz sampling: 4 / 5 per Hz; 2000 series, so a standard error of about 1 percent per bin
    rng = np.random.default_rng(0)
    time = ("time", np.arange(samples) * 0.1, {"units": "s"})
    x = xr.DataArray(rng.normal(0, 2, size=(2000, samples)), dims=("run", "time"), coords={"time": time}, attrs={"units": "mV"})
    p = power_spectrum(x, **options)
    assert p.attrs["units"] == "mV^2/Hz"
    df = float(p.frequency[1])
    np.testing.assert_allclose((p.sum("frequency") * df).mean(), x.var("time").mean(), rtol=0.01)
    # near 0 the mean has been taken away, and at half the sampling rate there is one sign only
    np.testing.assert_allclose(p.mean("run").sel(frequency=slice(0.5, 4.5)), 0.8, rtol=0.05)


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_the_power_of_a_sine_is_half_its_square_and_sits_at_its_frequency(unit):
    for options in ({"segment": 4 * u.second}, MULTI):
        p = power_spectrum(sine(10.0, unit=unit), **options).isel(sensor=0)
        assert abs(float(p.idxmax("frequency")) - 10) < 0.5
        assert float(p.sum() * p.frequency[1]) == pytest.approx(0.5, rel=1e-3)


def test_bandwidth_is_the_half_width_of_the_multitaper_peak():
    p = power_spectrum(sine(10.0), method="multitaper", bandwidth=1 * u.Hz).isel(sensor=0)
    inside = p.sel(frequency=slice(9, 11)).sum() / p.sum()
    assert float(inside) > 0.99
    assert float(power_spectrum(sine(10.0), method="multitaper", bandwidth=0.2).isel(sensor=0).sel(frequency=slice(9.8, 10.2)).sum()) > 0


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("mV", "mV^2/Hz"), ("1", "1/Hz"), ("mV/ms", "mV^2/Hz/ms^2"), ("a.u.", "1/Hz"), ("raw counts", "(raw counts)^2/Hz"), (None, None)],
)
def test_the_unit_is_that_of_the_signal_squared_over_hertz(unit, expected):
    x = series().drop_attrs(deep=False)
    x = x if unit is None else x.assign_attrs(units=unit)
    found = power_spectrum(x).attrs.get("units")
    assert found == expected
    if unit in ("mV", "mV/ms", "1"):
        from xmass import units

        assert units.same_dimension(found, f"({unit})*({unit})*s" if unit != "1" else "s")


@given(st.integers(-30, 30))
def test_power_grows_with_the_square_of_the_scale(power):
    for options in ({}, MULTI):
        found = power_spectrum(series() * 2.0**power, **options)
        np.testing.assert_allclose(found, power_spectrum(series(), **options) * 4.0**power, rtol=1e-12)


def test_a_constant_has_no_power_and_no_peak():
    x = series()
    x[:, 1] = 0.1
    p = power_spectrum(x)
    assert (p.isel(region=1) == 0).all() and (p.isel(region=0) > 0).any()
    assert peak_frequency(p).isnull().values.tolist()[1]


def test_power_is_that_of_the_reference():
    found = references.compare_power(precision="float64")
    assert found.deviation <= found.tolerance


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "fft"}, "needs 'welch'"),
        ({"segment": 1.0}, "has 1 samples"),
        ({"segment": 100.0}, "has 139 samples of the 120"),
        ({"segment": 10.0 * u.mV}, "segment"),
        ({"overlap": 1.0}, "overlap"),
        ({"bandwidth": 0.1}, "of method='multitaper'"),
        ({**MULTI, "segment": 20.0}, "of method='welch'"),
        ({**MULTI, "bandwidth": 0.001}, "one over the length"),
        ({**MULTI, "bandwidth": 1.0}, "half the sampling"),
    ],
)
def test_options_that_make_no_spectrum_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        power_spectrum(series(), **options)


# ---- peaks
@given(st.floats(2.0, 40.0))
def test_a_peak_is_found_between_the_bins(hertz):
    # a Hann window's main lobe is not quite Gaussian: 2 percent of a bin of 0.5 Hz, as measured
    p = power_spectrum(sine(hertz), segment=2 * u.second)
    assert float(peak_frequency(p)[0]) == pytest.approx(hertz, abs=0.02)


def test_the_highest_peak_in_the_band_and_no_slope_at_its_end():
    f = np.arange(0, 50.0)
    peaks = np.exp(-((f - 10.2) ** 2) / 4) + 0.1 * np.exp(-((f - 30.4) ** 2) / 4)
    p = xr.DataArray(
        np.stack([peaks, 1 / (1 + f)]), dims=("region", "frequency"), coords={"frequency": ("frequency", f * 1000, {"units": "mHz"})}
    )
    np.testing.assert_allclose(peak_frequency(p), [10.2, np.nan], rtol=1e-6)
    np.testing.assert_allclose(peak_frequency(p, band=(20, 40)), [30.4, np.nan], rtol=1e-6)
    np.testing.assert_allclose(peak_frequency(p, band=(15 * u.Hz, 25 * u.Hz)), [np.nan, np.nan])
    lazy = peak_frequency(p.chunk({"region": 1, "frequency": 10}))
    assert lazy.chunks is not None and lazy.attrs["units"] == "Hz"
    xr.testing.assert_identical(lazy.compute(), peak_frequency(p))


@pytest.mark.parametrize(
    ("spectrum", "band", "error", "words"),
    [
        (power_spectrum(series()), (0.1, 0.11), ValueError, "Widen the band"),
        (power_spectrum(series()), (0.3, 0.1), ValueError, "low < high"),
        (power_spectrum(series()), 0.3, ValueError, "two frequencies"),
        (power_spectrum(series()), (1 * u.mV, 2 * u.mV), ValueError, "band"),
        (series(), None, ValueError, "needs a coordinate 'frequency'"),
        (power_spectrum(series()).isel(frequency=[0, 1, 3]), None, ValueError, "evenly spaced"),
        (power_spectrum(series()).values, None, TypeError, "DataArray"),
    ],
)
def test_what_has_no_peak_frequency_is_refused(spectrum, band, error, words):
    with pytest.raises(error, match=words):
        peak_frequency(spectrum, band=band)


# ---- pass bands
@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("band", [(8, 12), (8, None), (None, 12)])
def test_amplitudes_follow_the_squared_butterworth_without_a_shift(band, order):
    for hertz in (8, 12, 9.8):
        x = sine(hertz, samples=20_000)
        found = band_pass(x, band, order=order)
        sections = scipy.signal.butter(
            order,
            band if None not in band else band[0] or band[1],
            btype="bandpass" if None not in band else ("highpass" if band[1] is None else "lowpass"),
            fs=100,
            output="sos",
        )
        gain = abs(scipy.signal.freqz_sos(sections, worN=[hertz], fs=100)[1][0]) ** 2
        if hertz in band:
            assert gain == pytest.approx(0.5, rel=1e-9)
        middle = slice(8000, 12_000)  # far from the ends
        np.testing.assert_allclose(found[middle], gain * x[middle], rtol=0, atol=1e-6)


def test_the_band_is_told_as_by_preprocess_and_dims_coords_and_unit_are_kept():
    x = series()
    found = band_pass(x, (0.05 * u.Hz, 0.3 * u.Hz))
    alike = preprocess(x, detrend=None, band=(0.05, 0.3))
    xr.testing.assert_identical(found, alike)
    assert band_pass(x, (0.05, None), order=3).attrs["preprocess"] == '[{"band": [0.05, null], "order": 3}]'
    assert functional_connectivity(found).attrs["preprocess"] == found.attrs["preprocess"]


@pytest.mark.parametrize(
    ("band", "options", "error", "words"),
    [
        ((0.3, 0.1), {}, ValueError, "low < high"),
        ((0.1, 0.8), {}, ValueError, "half the sampling rate"),
        ((0.0, 0.3), {}, ValueError, "0 < low"),
        ((None, None), {}, ValueError, "None on one side"),
        ((0.001, 0.3), {}, ValueError, "less than one period"),
        (0.3, {}, ValueError, "two frequencies"),
        ((1 * u.mV, 0.3), {}, ValueError, "band"),
        ((0.1, 0.3), {"order": 0}, ValueError, "order 1 or more"),
        ((0.1, 0.3), {"order": 1.5}, TypeError, "whole number"),
        ((0.1, 0.3), {"order": 30}, ValueError, "needs 184"),
    ],
)
def test_bands_that_make_no_sense_are_refused(band, options, error, words):
    with pytest.raises(error, match=words):
        band_pass(series(), band, **options)


def test_the_accessor_has_it():
    xr.testing.assert_identical(series().xmass.psd(segment=20), power_spectrum(series(), segment=20))
