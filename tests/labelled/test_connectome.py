from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.conftest import shared_path
from xmass.labelled.connectome import check_connectome, cortical, normalize, spectral_radius

LABELS = ["A", "B", "C"]


def connectome(*, subjects: int | None = None, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    shape = (3, 3) if subjects is None else (subjects, 3, 3)
    dims = ("subject", "region", "region_other")[-len(shape) :]
    coords = {"region": LABELS, "region_other": LABELS}
    if subjects is not None:
        coords["subject"] = [f"S{i + 1}" for i in range(subjects)]
    return xr.Dataset(
        {"weights": (dims, rng.uniform(0.1, 5, shape), {"long_name": "counts"}), "distances": (dims, rng.uniform(1, 90, shape))}, coords
    )


def test_a_valid_connectome_comes_back_unchanged():
    ds = connectome(subjects=2)
    xr.testing.assert_identical(check_connectome(ds), ds)


def test_the_second_axis_follows_the_labels_of_the_first():
    ds = connectome()
    shuffled = ds.isel(region_other=[2, 0, 1])
    xr.testing.assert_identical(check_connectome(shuffled), ds)


def test_an_axis_without_labels_takes_those_of_the_other():
    ds = connectome()
    for dim in ("region", "region_other"):
        xr.testing.assert_equal(check_connectome(ds.drop_vars(dim)), ds)
    plain = ds.drop_vars(["region", "region_other"])
    xr.testing.assert_identical(check_connectome(plain), plain)


def test_the_checks_name_what_is_wrong():
    ds = connectome(subjects=2)
    with pytest.raises(TypeError, match="is a DataArray, needs a Dataset"):
        check_connectome(ds.weights)
    with pytest.raises(KeyError, match="needs 'weights'"):
        check_connectome(ds[["distances"]])
    with pytest.raises(ValueError, match=r"weights has dims \('x', 'y'\).*weights.rename\(x='region', y='region_other'\)"):
        check_connectome(xr.Dataset({"weights": (("x", "y"), np.eye(3))}))
    with pytest.raises(ValueError, match=r"region has repeated labels \['A'\]"):
        check_connectome(ds.assign_coords(region=["A", "A", "C"]))
    with pytest.raises(ValueError, match=r"Only region has \['C'\]. Only region_other has \['D'\]"):
        check_connectome(ds.assign_coords(region_other=["A", "B", "D"]))
    with pytest.raises(ValueError, match=r"3 regions and 2 in region_other.*Only region has \['C'\]"):
        check_connectome(ds.isel(region_other=[0, 1]))
    with pytest.raises(TypeError, match="holds complex128 values"):
        check_connectome(ds.astype(complex))


def test_nan_and_negative_lengths_are_errors_that_name_the_edge():
    ds = connectome(subjects=2)
    bad = ds.copy(deep=True)
    bad.weights.loc["S2", "A", "C"] = np.nan
    with pytest.raises(ValueError, match=r"weights is NaN.*\(subject=S2, region=A, region_other=C\), needs"):
        check_connectome(bad)
    bad = ds.copy(deep=True)
    bad.distances.loc["S1", "B", "A"] = -1
    with pytest.raises(ValueError, match=r"distances is negative at \(subject=S1, region=B, region_other=A\), needs"):
        check_connectome(bad)
    merged = xr.concat([ds.isel(subject=[0]), ds.isel(subject=[1], region=[0, 1], region_other=[0, 1])], "subject", join="outer")
    with pytest.raises(ValueError, match=r"region=C.* and 2 more.*xr.concat leaves NaN"):
        check_connectome(merged)


def test_spectral_radius_of_known_matrices():
    # A directed ring of weight w has eigenvalues of absolute value w; a full matrix of ones has N; [[0, b], [c, 0]] has sqrt(b c).
    dims = ("region", "region_other")
    ring = xr.DataArray(-3.0 * np.roll(np.eye(5), 1, axis=0), dims=dims)
    assert float(spectral_radius(ring)) == pytest.approx(3, rel=1e-12)
    assert float(spectral_radius(xr.ones_like(ring))) == pytest.approx(5, rel=1e-12)
    pair = xr.DataArray([[[0, 8.0], [2.0, 0]], [[0, 1], [1, 0]]], dims=("subject", *dims), attrs={"units": "1"})
    radius = spectral_radius(pair)
    assert radius.dims == ("subject",)
    assert radius.attrs["units"] == "1"
    np.testing.assert_allclose(radius, [4, 1], rtol=1e-12)
    lazy = spectral_radius(pair.chunk({"subject": 1, "region": 1}))
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.compute(), radius)
    with pytest.raises(ValueError, match="NaN"):
        spectral_radius(pair.where(pair < 8))


def test_each_normalisation_has_its_scale_per_subject():
    ds = connectome(subjects=3)
    region_dims = ["region", "region_other"]
    by = {method: normalize(ds, method).weights for method in ("max", "row", "spectral", "log")}
    np.testing.assert_array_equal(by["max"].max(region_dims), 1)
    np.testing.assert_allclose(by["row"].sum("region_other"), 1, rtol=1e-14)
    np.testing.assert_allclose(spectral_radius(by["spectral"]), 1, rtol=1e-13)
    np.testing.assert_allclose(by["log"].max(region_dims), 1, rtol=1e-14)
    one = ds.weights.sel(subject="S2").values
    np.testing.assert_allclose(by["log"].sel(subject="S2"), np.log(1 + one / one.min()) / np.log(1 + one.max() / one.min()), rtol=1e-14)
    np.testing.assert_allclose(by["row"].sel(subject="S2"), one / one.sum(axis=1, keepdims=True), rtol=1e-14)
    for method, weights in by.items():
        assert weights.dims == ds.weights.dims
        assert weights.attrs == {"long_name": "counts", "units": "1", "normalization": method}
    xr.testing.assert_identical(normalize(ds, "max").distances, ds.distances)


@pytest.mark.parametrize("method", ["max", "row", "spectral", "log"])
def test_normalisation_does_not_depend_on_the_unit_of_the_weights(method):
    ds = connectome(subjects=2)
    xr.testing.assert_allclose(normalize(ds.weights * 1e6, method), normalize(ds.weights, method), rtol=1e-12)


def test_normalisation_keeps_the_kind_and_its_input():
    ds = connectome()
    before = ds.copy(deep=True)
    weights = normalize(ds.weights, "max")
    assert isinstance(weights, xr.DataArray)
    xr.testing.assert_identical(weights, normalize(ds, "max").weights)
    assert normalize(weights, "row").attrs["normalization"] == "max, row"
    xr.testing.assert_identical(ds, before)
    lazy = normalize(ds.chunk(), "log")
    assert lazy.weights.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), normalize(ds, "log"), rtol=1e-15)


def test_a_region_without_inputs_stays_without():
    ds = connectome()
    ds["weights"] = ds.weights.where(ds.region != "B", 0)
    for method in ("row", "log", "max"):
        np.testing.assert_array_equal(normalize(ds, method).weights.sel(region="B"), 0)


def test_what_cannot_be_normalised_is_an_error():
    ds = connectome(subjects=2)
    with pytest.raises(ValueError, match="needs one of 'max', 'row'"):
        normalize(ds, "waytotal")
    with pytest.raises(ValueError, match=r"no positive entry at \{'subject': 1\}"):
        normalize(ds.weights * xr.DataArray([1, 0], dims="subject"), "spectral")
    for method in ("row", "log"):
        with pytest.raises(ValueError, match="weights is negative at"):
            normalize(ds.weights - 1, method)


def test_cortical_selects_on_both_axes_by_label():
    ds = connectome(subjects=2).isel(region_other=[2, 1, 0])
    ds["cortical"] = ("region", [True, False, True])
    kept = cortical(ds)
    assert kept.region.values.tolist() == kept.region_other.values.tolist() == ["A", "C"]
    xr.testing.assert_equal(kept.weights.sel(region="A", region_other="C"), ds.weights.sel(region="A", region_other="C").assign_coords())
    weights = ds.set_coords("cortical").weights
    xr.testing.assert_identical(cortical(weights), cortical(ds.set_coords("cortical")).weights)
    bold = xr.DataArray(np.zeros((5, 3)), dims=("time", "region"), coords={"cortical": ("region", [0, 1, 1])})
    assert cortical(bold).shape == (5, 2)


def test_flags_that_are_none_are_errors():
    ds = connectome(subjects=2)
    with pytest.raises(KeyError, match=r"no 'cortical'.*assign_coords"):
        cortical(ds)
    with pytest.raises(ValueError, match=r"needs \('region',\)"):
        cortical(ds.assign(cortical=(("subject", "region"), np.ones((2, 3), bool))))
    with pytest.raises(TypeError, match="needs True and False"):
        cortical(ds.assign_coords(cortical=("region", ["yes", "no", "yes"])))
    with pytest.raises(ValueError, match="False for every region"):
        cortical(ds.assign_coords(cortical=("region", [False] * 3)))


def test_recorded_connectomes():
    # spectral radius of weights / max over the 80 cortical regions, computed beforehand with numpy
    for subject, radius in {1: 2.347, 2: 2.391, 3: 2.512, 4: 2.419}.items():
        with xr.open_dataset(shared_path("data", f"hcp_subject_{subject}.nc"), engine="h5netcdf") as ds:
            kept = normalize(cortical(ds.load()), "max")
        assert kept.sizes["region"] == kept.sizes["region_other"] == 80
        assert float(spectral_radius(kept.weights)) == pytest.approx(radius, abs=5e-4)
