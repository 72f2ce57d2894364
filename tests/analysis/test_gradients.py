from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.cases import REGIONS, cohort, series
from xmass.analysis import connectivity_gradients, functional_connectivity

DENSE = {"sparsity": 0.0}


def matrix(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), dims=("region", "region_other"))


def cosine_affinity(values: np.ndarray) -> np.ndarray:
    rows = np.maximum(values, 0)
    return rows @ rows.T / np.outer(np.linalg.norm(rows, axis=1), np.linalg.norm(rows, axis=1))


def up_to_sign(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a * np.sign((a * b).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_diffusion_maps_are_eigenvectors_of_the_random_walk(alpha):
    fc = functional_connectivity(series())
    found = connectivity_gradients(fc, components=3, alpha=alpha, **DENSE)
    kernel = cosine_affinity(fc.values)
    kernel = kernel / np.outer(kernel.sum(1), kernel.sum(1)) ** alpha
    walk = kernel / kernel.sum(1, keepdims=True)
    np.testing.assert_allclose(found.gradient.values @ walk.T, found.eigenvalue.values[:, None] * found.gradient.values, rtol=0, atol=1e-12)
    values = np.sort(np.linalg.eigvals(walk).real)[::-1]
    np.testing.assert_allclose(found.eigenvalue, values[1:4], rtol=0, atol=1e-12)
    # scale: unit length under the stationary distribution, times eigenvalue / (1 - eigenvalue)
    stationary = kernel.sum(1) / kernel.sum()
    length = np.sqrt((found.gradient**2 @ xr.DataArray(stationary, dims="region")).values)
    np.testing.assert_allclose(length, values[1:4] / (1 - values[1:4]), rtol=1e-10)
    assert found.gradient.dims == ("component", "region") and found.component.values.tolist() == [1, 2, 3]


def test_the_gradients_of_a_ring_are_sines_with_known_eigenvalues():
    # a circulant affinity has Fourier modes as eigenvectors and its Fourier transform as eigenvalues, in pairs
    n = 24
    near = np.exp(-(np.minimum(np.arange(n), n - np.arange(n)) ** 2) / 8.0)
    ring = np.array([np.roll(near, i) for i in range(n)])
    found = connectivity_gradients(matrix(ring), components=4, **DENSE)
    spectrum = np.fft.fft(np.fft.ifft(np.abs(np.fft.fft(near)) ** 2)).real  # of the autocorrelation, which is what the cosine is here
    expected = spectrum[[1, 1, 2, 2]] / spectrum[0]
    np.testing.assert_allclose(found.eigenvalue, expected, rtol=1e-12)
    power = np.abs(np.fft.fft(found.gradient.values, axis=1)) ** 2
    for k, row in zip((1, 1, 2, 2), power, strict=True):
        assert (row[k] + row[-k]) / row.sum() == pytest.approx(1, abs=1e-10)


def test_pca_is_that_of_the_covariance_of_affinities():
    fc = functional_connectivity(series())
    found = connectivity_gradients(fc, components=2, method="pca", **DENSE)
    affinity = cosine_affinity(fc.values)
    values, vectors = np.linalg.eigh(np.cov(affinity.T))
    scores = ((affinity - affinity.mean(0)) @ vectors[:, ::-1][:, :2]).T
    np.testing.assert_allclose(up_to_sign(scores, found.gradient.values), found.gradient, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.eigenvalue, values[::-1][:2] / values.sum(), rtol=1e-11)


def test_sparsity_keeps_the_largest_entries_of_each_row():
    values = functional_connectivity(series()).values
    kept = np.where(values >= np.sort(values, axis=1)[:, [3]], values, 0)  # the larger half of 6
    found = connectivity_gradients(matrix(values), components=2, sparsity=0.5)
    xr.testing.assert_allclose(found.drop_attrs(), connectivity_gradients(matrix(kept), components=2, **DENSE).drop_attrs(), rtol=1e-12)


def test_the_largest_entry_is_positive():
    found = connectivity_gradients(functional_connectivity(series()), components=4, **DENSE).gradient
    at = abs(found).argmax("region")
    assert (found.isel(region=at) > 0).all()


@given(st.integers(-20, 20), st.randoms(use_true_random=False))
def test_scaling_changes_nothing_and_relabelling_relabels(power, random):
    fc = functional_connectivity(series(seed=4))
    order = random.sample(range(6), 6)
    for method in ("diffusion", "pca"):
        found = connectivity_gradients(fc, components=2, method=method, **DENSE)
        xr.testing.assert_allclose(
            connectivity_gradients(fc * 2.0**power, components=2, method=method, **DENSE), found, rtol=1e-9, atol=1e-12
        )
        other = connectivity_gradients(fc.isel(region=order, region_other=order), components=2, method=method, **DENSE).sel(region=REGIONS)
        np.testing.assert_allclose(other.eigenvalue, found.eigenvalue, rtol=1e-10)
        np.testing.assert_allclose(up_to_sign(other.gradient.values, found.gradient.values), found.gradient, rtol=0, atol=1e-9)


def test_subjects_are_kept_and_lazy_stays_lazy():
    fc = functional_connectivity(cohort().bold).transpose("region_other", "region", "subject")
    found = connectivity_gradients(fc, components=2, **DENSE)
    assert found.gradient.dims == ("subject", "component", "region") and found.hemisphere.dims == ("region",)
    lazy = connectivity_gradients(fc.chunk({"subject": 1, "region": 2}), components=2, **DENSE)
    assert lazy.gradient.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), found, rtol=1e-10)


def test_a_dead_region_is_nan_and_left_out():
    x = series()
    x[:, 2] = 1.0
    fc = functional_connectivity(x)
    keep = [r for r in REGIONS if r != "B_L"]
    found = connectivity_gradients(fc, components=2, **DENSE)
    assert found.gradient.sel(region="B_L").isnull().all()
    alone = connectivity_gradients(fc.sel(region=keep, region_other=keep), components=2, **DENSE)
    np.testing.assert_allclose(found.gradient.sel(region=keep), alone.gradient, rtol=1e-10)
    broken = functional_connectivity(series())
    broken[0, 1] = np.nan
    assert connectivity_gradients(broken, components=2).gradient.isnull().all()


def test_an_affinity_in_two_pieces_has_no_diffusion_map():
    groups = np.repeat([0, 1], 3)
    found = connectivity_gradients(matrix(groups[:, None] == groups), components=2, **DENSE)
    assert found.gradient.isnull().all() and found.eigenvalue.isnull().all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"components": 6}, ValueError, "needs 1 to 5"),
        ({"components": 1.5}, TypeError, "whole number"),
        ({"method": "le"}, ValueError, "needs 'diffusion'"),
        ({"sparsity": 1.0}, ValueError, "sparsity in"),
        ({"alpha": 2.0}, ValueError, "alpha in"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        connectivity_gradients(functional_connectivity(series()), **options)


@pytest.mark.parametrize(("given_", "error"), [(series(), ValueError), (np.eye(6), TypeError), (matrix(np.eye(6)) > 0, TypeError)])
def test_what_is_no_matrix_is_refused(given_, error):
    with pytest.raises(error, match=r"xm.functional_connectivity|astype"):
        connectivity_gradients(given_)
