from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr

from tests.analysis.cases import cohort, series
from xmass.analysis import intrinsic_frequency

LENGTH, PERIOD = 1200, 0.72


def rhythm(*frequencies: float, noise: float = 0.3, unit: str = "s") -> xr.DataArray:
    t = np.arange(LENGTH) * PERIOD
    rng = np.random.default_rng(0)
    # the fall of a BOLD spectrum: a random walk far stronger than the rhythm at low frequencies
    walk = rng.normal(size=(LENGTH, len(frequencies))).cumsum(axis=0) * noise
    values = np.sin(2 * np.pi * np.array(frequencies) * t[:, None]) + walk
    stamps = t if unit == "s" else 1000 * t
    return xr.DataArray(values, dims=("time", "region"), coords={"time": ("time", stamps, {"units": unit, "axis": "T"})})


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_it_finds_the_frequency_of_a_rhythm_below_a_falling_spectrum(unit):
    truth = np.array([0.045, 0.05, 0.055, 0.06])
    w = intrinsic_frequency(rhythm(*truth, unit=unit))
    assert (w.name, w.dims, w.attrs["units"]) == ("w", ("region",), "rad/ms")
    resolution = 1 / (LENGTH * PERIOD)  # 0.0012 Hz
    np.testing.assert_allclose(w.values * 1000 / (2 * np.pi), truth, rtol=0, atol=resolution)


def test_the_peak_is_sought_in_the_band_only():
    both = rhythm(0.05, noise=0.0) + 10 * rhythm(0.1, noise=0.0)
    assert abs(float(intrinsic_frequency(both)[0]) * 1000 / (2 * np.pi) - 0.05) < 0.0012
    assert abs(float(intrinsic_frequency(both, (0.08 * u.Hz, 0.12 * u.Hz))[0]) * 1000 / (2 * np.pi) - 0.1) < 0.0012


def test_subjects_are_kept_and_lazy_stays_lazy():
    bold = cohort().bold.transpose("region", "time", "subject")
    w = intrinsic_frequency(bold)
    assert w.dims == ("region", "subject")
    assert w.hemisphere.dims == ("region",)
    lazy = intrinsic_frequency(bold.chunk({"subject": 1, "time": 50}))
    assert lazy.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), w)


def test_a_dead_region_has_no_frequency():
    x = series(samples=600)
    x[:, 1], x[5, 2] = 3.3, np.nan
    assert intrinsic_frequency(x).isnull().values.tolist() == [False, True, True, False, False, False]


def test_a_recording_that_cannot_resolve_the_band_is_refused():
    with pytest.raises(ValueError, match="too short"):
        intrinsic_frequency(series(samples=40))
