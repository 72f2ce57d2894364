from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.conftest import shared_path
from xmass.datasets import make_cohort
from xmass.io.netcdf import open_subjects

MATRIX = ("region", "region_other")


def subject(*, seed=0, volumes=6, regions=16):
    """One subject as a file holds it: no subject dim, flags, and a variable that nobody needs."""
    rng = np.random.default_rng(seed)
    ds = make_cohort(n_subjects=1, n_regions=regions, seed=seed).isel(subject=0, drop=True).drop_attrs(deep=False)
    ds["bold"] = (("time", "region"), rng.normal(size=(volumes, regions)), {"units": "a.u."})
    ds = ds.assign_coords(time=("time", 0.72 * np.arange(1, volumes + 1), {"units": "s", "axis": "T"}))
    return ds.assign(waytotal=("region", rng.uniform(size=regions)), cortical=("region", np.arange(regions) % 4 != 3))


@pytest.fixture
def write(tmp_path):
    def store(ds, name):
        path = tmp_path / f"{name}.nc"
        ds.to_netcdf(path, engine="h5netcdf")
        return path

    return store


def test_files_become_subjects_named_after_them(write):
    ones = [subject(seed=0), subject(seed=1)]
    ds = open_subjects([write(ones[0], "anna"), str(write(ones[1], "bert"))], cortical_only=False)
    assert ds.subject.values.tolist() == ["anna", "bert"]
    assert ds.weights.dims == ds.distances.dims == ("subject", *MATRIX)
    assert ds.bold.dims == ("subject", "time", "region")
    for one, label in zip(ones, ds.subject.values, strict=True):
        for name in ("weights", "distances", "bold"):
            xr.testing.assert_equal(ds[name].sel(subject=label, drop=True).reset_coords(drop=True), one[name].reset_coords(drop=True))
    assert ds.time.attrs == {"units": "s", "axis": "T"}
    assert ds.distances.attrs["units"] == "mm"
    assert ds.bold.attrs["units"] == "a.u."


def test_it_keeps_cortical_regions_and_says_so(write):
    one = subject()
    ds = open_subjects(write(one, "anna"))
    keep = one.cortical.values
    np.testing.assert_array_equal(ds.region, one.region[keep])
    np.testing.assert_array_equal(ds.region_other, one.region[keep])
    np.testing.assert_array_equal(ds.weights[0], one.weights.values[keep][:, keep])
    history = ds.attrs["history"].splitlines()
    assert history[0] == "read 1 file: anna.nc"
    assert "waytotal" in history[1]
    assert history[2] == "kept 12 of 16 regions: those flagged cortical"
    assert ds.attrs["source_files"] == ["anna.nc"]
    unflagged = open_subjects(write(one.drop_vars("cortical"), "bert"))
    assert unflagged.sizes["region"] == 16
    assert "there is no 'cortical'" in unflagged.attrs["history"]


def test_regions_are_paired_by_label(write):
    one, two = subject(seed=0), subject(seed=1)
    shuffled = two.isel(region=np.random.default_rng(0).permutation(16)).isel(region_other=slice(None, None, -1))
    expected = open_subjects([write(one, "a"), write(two, "b")])
    xr.testing.assert_identical(open_subjects([write(one, "a"), write(shuffled, "b")]), expected)


def test_what_differs_between_files_is_no_coordinate_of_all(write):
    one, two = subject(seed=0), subject(seed=1)
    two = two.assign_coords(hemisphere=("region", ["?"] * 16))
    ds = open_subjects([write(one, "a"), write(two, "b")], cortical_only=False)
    assert "hemisphere" not in ds.coords
    assert "hemisphere" in open_subjects([write(one, "a")]).coords


def test_a_file_with_subjects_and_a_choice_of_them(write):
    cohort = make_cohort(n_subjects=3, n_regions=16)
    cohort["bold"] = (("subject", "time", "region"), np.random.default_rng(0).normal(size=(3, 5, 16)), {"units": "a.u."})
    path = write(cohort, "cohort")
    xr.testing.assert_equal(open_subjects(path).weights, cohort.weights)
    chosen = open_subjects(path, subject=["S3", "S1"])
    assert chosen.subject.values.tolist() == ["S3", "S1"]
    xr.testing.assert_equal(chosen.bold, cohort.bold.sel(subject=["S3", "S1"]))
    assert open_subjects(path, subject="S2").subject.values.tolist() == ["S2"]
    mixed = open_subjects([path, write(subject(volumes=5).drop_vars("time"), "anna")], cortical_only=False)
    assert mixed.subject.values.tolist() == ["S1", "S2", "S3", "anna"]
    with pytest.raises(KeyError, match="there is no subject 'S9': there are 'S1', 'S2', 'S3'"):
        open_subjects(path, subject=["S1", "S9"])


def test_one_matrix_for_all_subjects_of_a_file_is_given_to_each(write):
    cohort = make_cohort(n_subjects=2, n_regions=16)
    cohort["bold"] = (("subject", "time", "region"), np.zeros((2, 5, 16)))
    cohort["distances"] = cohort.distances.isel(subject=0, drop=True)
    ds = open_subjects(write(cohort, "cohort"))
    assert ds.distances.dims == ("subject", *MATRIX)
    np.testing.assert_array_equal(ds.distances[0], ds.distances[1])


def test_files_that_cannot_be_read_are_errors(write, tmp_path):
    write(subject(), "anna")
    with pytest.raises(FileNotFoundError, match=r"no file .*berta.nc'; its folder has \['anna.nc'\]"):
        open_subjects(tmp_path / "berta.nc")
    with pytest.raises(ValueError, match="paths is empty"):
        open_subjects([])
    (tmp_path / "text.nc").write_text("no netCDF")
    with pytest.raises(OSError, match=r"text.nc' cannot be read as netCDF4"):
        open_subjects(tmp_path / "text.nc")
    with pytest.raises(KeyError, match=r"bert.nc has no distances, bold among \['centres', 'waytotal', 'weights'\]"):
        open_subjects(write(subject().drop_vars(["distances", "bold"]), "bert"))


def test_contents_that_are_wrong_name_the_file(write):
    bad = subject()
    bad.weights[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"a.nc: weights is NaN.*region=L02, region_other=L03"):
        open_subjects(write(bad, "a"))
    bad = subject()
    bad.bold[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"b.nc: bold has NaN in the regions \['L03'\]"):
        open_subjects(write(bad, "b"))
    with pytest.raises(ValueError, match=r"c.nc has no labels for region"):
        open_subjects(write(subject().drop_vars(MATRIX), "c"))
    with pytest.raises(ValueError, match=r"d.nc: the data have dims \('volume', 'region'\), none of which is time"):
        open_subjects(write(subject().drop_vars("time").rename(time="volume"), "d"))


def test_files_that_do_not_fit_name_both(write):
    one = write(subject(), "one")
    names = [{"L08": "X", "R08": "Y"}.get(label, label) for label in subject().region.values]
    with pytest.raises(ValueError, match=r"two.nc lacks \['L08', 'R08'\] and has \['X', 'Y'\] instead"):
        open_subjects([one, write(subject().assign_coords(region=names, region_other=names), "two")], cortical_only=False)
    with pytest.raises(ValueError, match=r"two.nc has 4 volumes and one.nc has 6.*isel\(time=slice\(None, 4\)\)"):
        open_subjects([one, write(subject(volumes=4), "two")])
    slow = subject()
    with pytest.raises(ValueError, match="needs one clock"):
        open_subjects([one, write(slow.assign_coords(time=("time", 2 * slow.time.values, slow.time.attrs)), "two")])
    metres = subject()
    metres.distances.attrs["units"] = "m"
    with pytest.raises(ValueError, match=r"distances is in 'm' in two\.nc and in 'mm' in one\.nc"):
        open_subjects([one, write(metres, "two")])
    with pytest.raises(ValueError, match=r"subjects \['one'\] are there twice"):
        open_subjects([one, one])


def test_recorded_subjects():
    files = [shared_path("data", f"hcp_subject_{i}.nc") for i in (1, 2)]
    ds = open_subjects(files)
    assert ds.subject.values.tolist() == ["hcp_subject_1", "hcp_subject_2"]
    assert dict(ds.sizes) == {"subject": 2, "region": 80, "region_other": 80, "time": 1200}
    assert "kept 80 of 94 regions: those flagged cortical" in ds.attrs["history"]
    assert float(ds.weights.max()) > 1e6
