"""The figures that independent code measured on the real recordings (spec: 80 cortical regions, detrended, unfiltered)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.conftest import shared_path
from xmass import objectives
from xmass.analysis import compare, functional_connectivity, intrinsic_frequency, preprocess
from xmass.analysis.arrays import off_diagonal

NAMES = ("S1", "S2", "S3", "S4")


@pytest.fixture(scope="module", name="recordings")
def recordings_fixture() -> xr.Dataset:
    def load(number: int) -> xr.Dataset:
        with xr.open_dataset(shared_path("data", f"hcp_subject_{number}.nc"), engine="h5netcdf") as file:
            ds = file[["bold", "weights"]].load()
        keep = np.flatnonzero(ds.cortical.values)
        return ds.isel(region=keep, region_other=keep)

    cohort = xr.concat([load(n) for n in (1, 2, 3, 4)], dim="subject", coords="minimal", compat="override", join="exact")
    return cohort.assign_coords(subject=list(NAMES))


@pytest.fixture(scope="module", name="score")
def score_fixture(recordings) -> xr.Dataset:
    return compare(recordings[["bold"]], recordings, objectives.fc_corr())


@pytest.mark.parametrize("number", [1, 2, 3])
def test_fc_is_that_of_the_reference(recordings, number):
    with xr.open_dataset(shared_path("reference", f"analysis_fc_fcd_hcp_subject_{number}.nc"), engine="h5netcdf") as file:
        reference = file.fc.load()
    fc = functional_connectivity(recordings.bold.isel(subject=number - 1))
    np.testing.assert_allclose(fc.sel(region=reference.region), reference.values, rtol=0, atol=2e-15)


# the figures are given to three digits
ATOL = 6e-4


@pytest.mark.parametrize(("subject", "mean"), list(zip(NAMES, (0.309, 0.365, 0.321, 0.235), strict=True)))
def test_mean_fc(recordings, subject, mean):
    fc = functional_connectivity(recordings.bold.sel(subject=subject))
    assert off_diagonal(fc.values).mean() == pytest.approx(mean, abs=ATOL)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("baseline_weights", (0.314, 0.275, 0.279, 0.314)),
        ("baseline_log_weights", (0.477, 0.342, 0.392, 0.392)),
        ("baseline_other_subjects", (0.782, 0.698, 0.760, 0.692)),
        ("ceiling_split_half", (0.920, 0.967, 0.959, 0.898)),
    ],
)
def test_baselines_and_ceiling(score, name, expected):
    np.testing.assert_allclose(score[name], expected, rtol=0, atol=ATOL)


def test_fc_corr_between_subjects_is_that_of_the_reference(recordings):
    with xr.open_dataset(shared_path("reference", "analysis_between_subjects.nc"), engine="h5netcdf") as file:
        reference = file.fc_corr.load()
    others = recordings[["bold"]].isel(subject=slice(0, 3)).rename(subject="other")
    score = compare(others, recordings.isel(subject=slice(0, 3)), objectives.fc_corr())
    np.testing.assert_allclose(score.fc_corr.transpose("subject", "other"), reference.values, rtol=0, atol=1e-12)


def test_five_minutes_against_all_of_it(recordings):
    short = recordings[["bold"]].isel(time=slice(0, 417))
    score = compare(short, recordings, objectives.fc_corr())
    np.testing.assert_allclose(score.fc_corr, (0.967, 0.983, 0.949, 0.949), rtol=0, atol=ATOL)


def test_the_recordings_are_detrended_already(recordings):
    change = functional_connectivity(preprocess(recordings.bold)) - functional_connectivity(recordings.bold)
    assert float(abs(change).max()) < 2e-5


def test_split_half_after_other_preprocessing(recordings):
    first = recordings.isel(subject=[0])
    for options, expected in (({"band": (0.01, 0.1)}, 0.86), ({"band": (0.04, 0.07)}, 0.70), ({"global_signal": True}, 0.85)):
        clean = first.assign(bold=preprocess(first.bold, **options))
        ceiling = float(compare(clean, clean, objectives.fc_corr("bold")).ceiling_split_half[0])
        assert ceiling == pytest.approx(expected, abs=0.03)  # the filter of the source is not stated
    assert off_diagonal(functional_connectivity(clean.bold).values).mean() == pytest.approx(-0.004, abs=ATOL)


def test_intrinsic_frequency(recordings):
    hertz = intrinsic_frequency(recordings.bold.sel(subject="S1")) * 1000 / (2 * np.pi)
    assert 0.0475 < float(hertz.mean()) < 0.0495
    # regions .043 to .062, and a bin of the spectrum is .0012 Hz wide
    assert float(hertz.min()) == pytest.approx(0.043, abs=0.002)
    assert float(hertz.max()) == pytest.approx(0.062, abs=0.002)
