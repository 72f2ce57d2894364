from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmass import datasets
from xmass.datasets.cohort import GENERATOR, make_cohort, write_cohort
from xmass.labelled.connectome import check_connectome, spectral_radius


@pytest.fixture(scope="module")
def cohort():
    return make_cohort()


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(datasets, "_LOADERS", dict(datasets._LOADERS))


def test_the_list_has_names_and_descriptions():
    pairs = dict(datasets.list_datasets())
    assert {"example_connectome", "example_cohort"} <= set(pairs)
    assert all(pairs.values())
    assert datasets.list_datasets()[0].name == "example_connectome"


def test_example_connectome_is_that_of_the_walkthrough():
    ds = datasets.load_dataset("example_connectome")
    xr.testing.assert_identical(check_connectome(ds), ds)
    assert ds.region.values.tolist() == ds.region_other.values.tolist() == [f"R{i}" for i in range(8)]
    np.testing.assert_array_equal(ds.weights, ds.weights.values.T)
    np.testing.assert_array_equal(ds.distances, ds.distances.values.T)
    np.testing.assert_array_equal(np.diag(ds.weights), 0)
    assert float(ds.weights.max()) == 1
    assert float(ds.distances.max()) == pytest.approx(80, rel=1e-15)
    assert ds.distances.attrs["units"] == ds.centres.attrs["units"] == "mm"
    assert ds.weights.attrs["units"] == "1"


def test_each_load_is_a_dataset_of_its_own():
    first = datasets.load_dataset("example_connectome")
    first.weights[:] = 0
    assert float(datasets.load_dataset("example_connectome").weights.max()) == 1


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'example_cohort'"):
        datasets.load_dataset("example_cohorts")
    with pytest.raises(KeyError, match="no dataset 'zzz': it has 'example_connectome', 'example_cohort'"):
        datasets.load_dataset("zzz")


@pytest.mark.usefixtures("registry")
def test_a_registered_dataset_loads_and_is_listed():
    mine = xr.Dataset({"weights": (("region", "region_other"), np.eye(2))})
    datasets.register_dataset("mine", lambda: mine, "two regions")
    assert datasets.load_dataset("mine") is mine
    assert ("mine", "two regions") in datasets.list_datasets()
    with pytest.raises(ValueError, match="'mine' is taken"):
        datasets.register_dataset("mine", lambda: mine, "again")
    with pytest.raises(ValueError, match="is empty"):
        datasets.register_dataset("", lambda: mine, "")
    with pytest.raises(TypeError, match="loader is a Dataset, needs a function"):
        datasets.register_dataset("other", mine, "not a function")
    with pytest.raises(TypeError, match="needed as strings"):
        datasets.register_dataset(1, lambda: mine, "a number")


def test_cohort_is_labelled_and_has_units(cohort):
    xr.testing.assert_identical(check_connectome(cohort), cohort)
    assert cohort.weights.dims == cohort.distances.dims == ("subject", "region", "region_other")
    assert cohort.sizes["region"] == 68
    assert cohort.subject.values.tolist() == ["S1", "S2", "S3", "S4"]
    assert (cohort.hemisphere == "L").sum() == (cohort.hemisphere == "R").sum() == 34
    assert cohort.cortical.dtype == bool
    assert cohort.distances.attrs["units"] == "mm"
    assert cohort.attrs["generator_seed"] == 0
    assert {f"generator_{name}" for name in GENERATOR} <= set(cohort.attrs)


@pytest.mark.parametrize(("subjects", "regions", "seed"), [(4, 68, 0), (2, 90, 1), (3, 40, 2)])
def test_every_cohort_has_the_scale_of_recorded_connectomes(subjects, regions, seed):
    ds = make_cohort(n_subjects=subjects, n_regions=regions, seed=seed)
    off = ~np.eye(regions, dtype=bool)
    weights, lengths = ds.weights.values, ds.distances.values
    np.testing.assert_array_equal(weights, weights.swapaxes(1, 2))
    np.testing.assert_array_equal(lengths, lengths.swapaxes(1, 2))
    np.testing.assert_array_equal(np.diagonal(weights, axis1=1, axis2=2), 0)
    np.testing.assert_array_equal(weights.max(axis=(1, 2)), 1)
    assert (weights[:, off] > 0).all()
    radius = spectral_radius(ds.weights)
    assert ((radius > 2.2) & (radius < 2.6)).all()
    straight = np.linalg.norm(ds.centres.values[:, None] - ds.centres.values[None], axis=-1)
    assert (lengths[:, off] > straight[off]).all()
    for w, d in zip(weights[:, off], lengths[:, off], strict=True):
        assert np.corrcoef(np.log(w), d)[0, 1] < -0.6  # they fall with length
        assert np.sort(w)[-len(w) // 10 :].sum() > 0.5 * w.sum()  # by a tenth of them: .73-.79 in recordings of 80 regions
    upper = np.triu_indices(regions, 1)
    similar = np.corrcoef([w[upper] for w in weights])
    assert (similar[np.triu_indices(subjects, 1)] > 0.7).all()
    assert (similar[np.triu_indices(subjects, 1)] < 0.98).all()


def test_mirrored_regions_are_connected_more_than_others_at_their_distance(cohort):
    weights, lengths = np.log(cohort.weights.values[0, :34, 34:]), cohort.distances.values[0, :34, 34:]  # left from right
    slope, intercept = np.polyfit(lengths.ravel(), weights.ravel(), 1)
    assert np.diag(weights - (slope * lengths + intercept)).mean() > 0.3


def test_the_seed_decides(cohort):
    xr.testing.assert_identical(make_cohort(), cohort)
    xr.testing.assert_identical(make_cohort(n_subjects=2).weights, cohort.weights.isel(subject=[0, 1]))
    assert not np.array_equal(make_cohort(seed=1).weights, cohort.weights)


@pytest.mark.parametrize("bad", [{"n_regions": 67}, {"n_regions": 8}, {"n_subjects": 0}, {"seed": -1}])
def test_sizes_that_make_no_cohort_are_errors(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        make_cohort(**bad)


def test_a_stored_cohort_reads_back(cohort, tmp_path):
    noise = np.random.default_rng(0).normal(0.016, 0.01, (4, 417, 68))
    recorded = cohort.assign(bold=(("subject", "time", "region"), noise, {"units": "1"})).assign_coords(time=0.72 * np.arange(1, 418))
    write_cohort(recorded, tmp_path / "cohort.nc")
    assert (tmp_path / "cohort.nc").stat().st_size < 700_000
    with xr.open_dataset(tmp_path / "cohort.nc", engine="h5netcdf") as ds:
        xr.testing.assert_allclose(
            ds.drop_vars("bold").drop_attrs(), recorded.drop_vars("bold").drop_attrs(), rtol=1e-7
        )  # single precision
        np.testing.assert_allclose(ds.bold, recorded.bold, rtol=2.0**-12)  # rounded to 12 bits: half of the last one
        assert ds.bold.dtype == np.float32
        np.testing.assert_array_equal(ds.weights.max(["region", "region_other"]), 1)
