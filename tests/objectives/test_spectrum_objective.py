"""``spectrum_rmse`` against SciPy, and against spectra whose difference is known."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr
from scipy import signal as scipy_signal

import xmass as xm
from tests.analysis.cases import REGIONS, cohort, series, sweep
from xmass import objectives

SIMULATED, RECORDED = sweep(), cohort()  # 90 samples over k and sigma, 120 samples of three subjects, 0.72 s apart
PERIOD = 0.72


def scipys(x: xr.DataArray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and dB ``(frequency, region)`` without 0 and half the sampling rate."""
    f, power = scipy_signal.welch(
        x.transpose("time", "region").values, fs=1 / PERIOD, nperseg=samples, noverlap=samples // 2, detrend="constant", axis=0
    )
    return f[1:-1], 10 * np.log10(power[1:-1])


@pytest.mark.parametrize("band", [None, (0.1, 0.3), (None, 0.2)])
def test_the_difference_of_two_series_is_that_of_scipys_spectra(band):
    score = xm.compare(SIMULATED, RECORDED, objectives.spectrum_rmse(segment=20 * PERIOD * u.second, band=band)).spectrum_rmse
    assert set(score.dims) == {"k", "sigma", "subject"}
    assert score.attrs["direction"] == "min"
    for at in ({"k": 0, "sigma": 1, "subject": 2}, {"k": 2, "sigma": 0, "subject": 0}):
        f, a = scipys(SIMULATED.bold.isel({d: at[d] for d in ("k", "sigma")}), 20)
        _, b = scipys(RECORDED.bold.isel(subject=at["subject"]), 20)
        low, high = band or (None, None)
        inside = (f >= (low or 0)) & (f <= (high or np.inf))
        assert 1 < inside.sum() <= f.size
        np.testing.assert_allclose(score.isel(at), np.sqrt(np.mean((a - b)[inside] ** 2)), rtol=1e-12)


def test_the_default_segment_is_an_eighth_of_the_shorter_side():
    default = xm.compare(SIMULATED, RECORDED, objectives.spectrum_rmse())
    named = xm.compare(SIMULATED, RECORDED, objectives.spectrum_rmse(segment=11 * PERIOD))
    xr.testing.assert_identical(default, named)


def test_ten_times_the_amplitude_is_20_decibel_and_the_form_does_not_see_it():
    louder = RECORDED.assign(bold=(10 * RECORDED.bold).assign_attrs(units="1"))[["bold"]]
    score = xm.compare(louder, RECORDED, [objectives.spectrum_rmse(), objectives.spectrum_rmse(relative=True, name="form")])
    np.testing.assert_allclose(score.spectrum_rmse, 20.0, rtol=1e-12)
    np.testing.assert_allclose(score.form, 0.0, atol=1e-12)
    raw = RECORDED.assign(bold=RECORDED.bold.assign_attrs(units="a.u."))
    with pytest.raises(ValueError, match=r"'1/Hz' and '\(a\.u\.\)\^2/Hz'"):
        xm.compare(SIMULATED, raw, objectives.spectrum_rmse())
    xm.compare(SIMULATED, raw, objectives.spectrum_rmse(relative=True))


def spectrum(frequency: np.ndarray, power, *, regions: list[str] = REGIONS, unit: str = "Hz") -> xr.Dataset:
    values = np.broadcast_to(power(frequency)[None], (len(regions), frequency.size))
    coords = {"region": regions, "frequency": ("frequency", frequency / (1000 if unit == "kHz" else 1), {"units": unit})}
    return xr.Dataset({"power": (("region", "frequency"), values, {"units": "1/Hz"})}, coords)


def test_frequencies_pair_by_their_values_and_not_by_their_place():
    # two straight lines, which linear interpolation meets exactly, on grids that differ in step, start and end
    ours = spectrum(np.arange(0.0, 40.5, 1.0), lambda f: 5 + 2 * f)
    theirs = spectrum(np.arange(0.0, 30.0, 1.05), lambda f: 50 + 20 * f, unit="kHz")
    found = xm.compare(ours, theirs, objectives.spectrum_rmse()).spectrum_rmse
    np.testing.assert_allclose(found, 10.0, rtol=1e-9)
    shuffled = theirs.isel(region=[3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(xm.compare(ours, shuffled, objectives.spectrum_rmse()).spectrum_rmse, 10.0, rtol=1e-9)
    shifted = spectrum(np.arange(0.0, 40.5, 1.0), lambda f: 5 + 2 * (f - 3) ** 2)
    assert float(xm.compare(ours, shifted, objectives.spectrum_rmse(band=(10, 20))).spectrum_rmse) > 5


def test_a_side_that_is_a_spectrum_is_taken_as_it_is():
    psd = xr.Dataset({"psd": xm.power_spectrum(SIMULATED.bold, segment=20 * PERIOD)})
    score = xm.compare(psd, RECORDED, objectives.spectrum_rmse("psd", "bold"))
    series_score = xm.compare(SIMULATED, RECORDED, objectives.spectrum_rmse(segment=20 * PERIOD))
    np.testing.assert_allclose(score.spectrum_rmse, series_score.spectrum_rmse, rtol=1e-12)


def test_series_of_another_period_have_the_same_frequencies():
    # one tone of 0.1 Hz over white noise, sampled every 0.72 s and, in ms, every 0.5 s: segments of 36 s are whole in both
    def tone(period, unit, seed, samples=4000):
        x = series(samples=samples, period=period * (1000 if unit == "ms" else 1), unit=unit, seed=seed)
        seconds = np.arange(samples) * period
        noise = np.random.default_rng(seed).normal(size=x.shape) / np.sqrt(period)  # equal density per Hz
        return xr.Dataset({"bold": x.copy(data=noise + 3 * np.sin(2 * np.pi * 0.1 * seconds)[:, None])})

    score = xm.compare(tone(0.5, "ms", 1), tone(PERIOD, "s", 2), objectives.spectrum_rmse(segment=36.0, band=(None, 0.6)))
    # about 110 and 160 segments, half overlapping: 4.3 / sqrt(segments / 1.06) dB for each side
    assert float(score.spectrum_rmse) < 0.8
    slow = tone(0.5, "ms", 1)
    slow = slow.assign_coords(time=("time", slow.time.values * 1.3, slow.time.attrs))  # the tone is at 0.077 Hz
    assert float(xm.compare(slow, tone(PERIOD, "s", 2), objectives.spectrum_rmse(segment=36.0, band=(0.05, 0.12))).spectrum_rmse) > 3


def test_lazy_sides_give_the_same_bits():
    score = xm.compare(SIMULATED.chunk({"k": 1, "time": 30}), RECORDED.chunk({"subject": 2}), objectives.spectrum_rmse())
    assert score.spectrum_rmse.chunks is not None
    xr.testing.assert_identical(score.compute(), xm.compare(SIMULATED, RECORDED, objectives.spectrum_rmse()))


def test_a_silent_region_and_a_diverged_run_have_no_score():
    broken = SIMULATED.copy(deep=True)
    broken.bold[{"k": 0, "region": 2}] = 0.3
    broken.bold[{"k": 1, "sigma": 0, "time": 5}] = np.nan
    score = xm.compare(broken, RECORDED, objectives.spectrum_rmse()).spectrum_rmse
    assert score.isel(k=0).isnull().all() and score.isel(k=1, sigma=0).isnull().all()
    assert score.isel(k=2).notnull().all() and score.isel(k=1, sigma=1).notnull().all()


def test_what_cannot_be_paired_is_refused():
    rmse = objectives.spectrum_rmse
    power = spectrum(np.arange(0.0, 40.5, 1.0), lambda f: 5 + 2 * f)
    with pytest.raises(ValueError, match=r"1 Hz and 0\.5 Hz"):
        xm.compare(power, spectrum(np.arange(0.0, 40.5, 0.5), lambda f: 5 + 2 * f), rmse())
    with pytest.raises(ValueError, match="no frequency is left"):
        xm.compare(power, power, rmse(band=(50, 60)))
    fc = xr.Dataset({"fc": xm.functional_connectivity(SIMULATED.bold)})
    with pytest.raises(ValueError, match="takes series"):
        xm.compare(fc, RECORDED, rmse("fc", "bold"))
    with pytest.raises(ValueError, match="preprocessed differently"):
        xm.compare(SIMULATED.assign(bold=xm.preprocess(SIMULATED.bold)), RECORDED, rmse())
    with pytest.raises(ValueError, match="positive time"):
        rmse(segment=0)
    with pytest.raises(ValueError, match="low < high"):
        rmse(band=(3, 2))
    with pytest.raises(ValueError, match="two frequencies"):
        rmse(band=3)


def test_a_swept_parameter_called_frequency_is_a_dim_like_any_other():
    swept = SIMULATED.rename(k="frequency")
    found = xm.compare(swept, RECORDED, objectives.fc_corr())
    np.testing.assert_array_equal(found.fc_corr, xm.compare(SIMULATED, RECORDED, objectives.fc_corr()).fc_corr)
    assert "frequency" in found.attrs["comparison"]
    with pytest.raises(ValueError, match="'frequency' already"):
        xm.compare(swept, RECORDED, objectives.spectrum_rmse())
