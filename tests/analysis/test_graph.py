from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.cases import REGIONS, cohort, series
from xmass.analysis import functional_connectivity, graph_measures

LABELS = {"region": REGIONS, "region_other": REGIONS}


def matrix(values, **attrs) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), dims=("region", "region_other"), coords=LABELS, attrs=attrs)


def random_weights(*, symmetric: bool, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    w = rng.gamma(1.0, size=(6, 6)) * (rng.random((6, 6)) < 0.7)
    return w + w.T if symmetric else w


def onnela(w: np.ndarray) -> np.ndarray:
    """Clustering of a symmetric graph, triangle by triangle."""
    w, n = w / w.max(), len(w)
    found = np.zeros(n)
    for i in range(n):
        k = (w[i] > 0).sum() - (w[i, i] > 0)
        triangles = sum(np.cbrt(w[i, j] * w[j, h] * w[i, h]) for j, h in itertools.permutations(range(n), 2) if i not in (j, h))
        found[i] = triangles / (k * (k - 1)) if k > 1 else 0.0
    return found


def newman(w: np.ndarray, modules: np.ndarray, resolution: float = 1.0) -> float:
    """Modularity by its definition."""
    total, k_in, k_out = w.sum(), w.sum(1), w.sum(0)
    same = modules[:, None] == modules
    return float(((w - resolution * np.outer(k_in, k_out) / total) * same).sum() / total)


def test_two_groups_are_found_with_the_modularity_of_their_definition():
    groups = np.repeat([0, 1], 3)
    w = np.where(groups[:, None] == groups, 1.0, 0.05)
    np.fill_diagonal(w, 0)
    found = graph_measures(matrix(w, units="mm"))
    assert found.module.values.tolist() == [0, 0, 0, 1, 1, 1]
    assert float(found.modularity) == pytest.approx(newman(w, groups), abs=1e-14)
    assert float(graph_measures(matrix(w), resolution=0.5).modularity) == pytest.approx(newman(w, groups, 0.5), abs=1e-14)
    assert found.strength_in.attrs["units"] == "mm" and found.clustering.attrs["units"] == "1"
    assert found.region.values.tolist() == REGIONS


@pytest.mark.parametrize("symmetric", [True, False])
def test_degrees_strengths_and_modularity_by_their_definitions(symmetric):
    w = random_weights(symmetric=symmetric)
    found = graph_measures(matrix(w))
    np.fill_diagonal(w, 0)  # the diagonal does not count
    np.testing.assert_allclose(found.strength_in, w.sum(1), rtol=1e-14)
    np.testing.assert_allclose(found.strength_out, w.sum(0), rtol=1e-14)
    np.testing.assert_array_equal(found.degree_in, (w > 0).sum(1))
    np.testing.assert_array_equal(found.degree_out, (w > 0).sum(0))
    assert float(found.modularity) == pytest.approx(newman(w, found.module.values), abs=1e-13)


def test_clustering_triangle_by_triangle():
    w = random_weights(symmetric=True)
    np.fill_diagonal(w, 0)
    np.testing.assert_allclose(graph_measures(matrix(w)).clustering, onnela(w), rtol=1e-12)


def test_clustering_of_a_directed_graph_is_that_of_fagiolo():
    w = random_weights(symmetric=False)
    np.fill_diagonal(w, 0)
    s = np.cbrt(w / w.max())
    a = (w > 0).astype(float)
    total, both = a.sum(0) + a.sum(1), np.diagonal(a @ a)
    expected = np.diagonal(np.linalg.matrix_power(s + s.T, 3)) / (2 * (total * (total - 1) - 2 * both))
    np.testing.assert_allclose(graph_measures(matrix(w)).clustering, expected, rtol=1e-12)


def test_rich_club_by_counting():
    w = random_weights(symmetric=True, seed=3)
    np.fill_diagonal(w, 0)
    found = graph_measures(matrix(w)).rich_club
    a, degree = w > 0, (w > 0).sum(1)
    for k in range(5):
        rich = np.flatnonzero(degree > k)
        if rich.size > 1:
            assert float(found[k]) == pytest.approx(a[np.ix_(rich, rich)].sum() / (rich.size * (rich.size - 1)), abs=1e-14)
        else:
            assert np.isnan(found[k])


def test_density_keeps_the_largest_weights():
    w = random_weights(symmetric=False, seed=1)
    np.fill_diagonal(w, 0)
    found = graph_measures(matrix(w), density=0.2)
    limit = np.sort(w[~np.eye(6, dtype=bool)])[-6]
    np.testing.assert_allclose(found.strength_in, np.where(w >= limit, w, 0).sum(1), rtol=1e-14)
    assert float(found.degree_in.sum()) == 6


@given(st.integers(-20, 20), st.randoms(use_true_random=False))
def test_scaling_scales_strengths_only_and_relabelling_relabels(power, random):
    w = matrix(random_weights(symmetric=False))
    found, scaled = graph_measures(w), graph_measures(w * 2.0**power)
    for name in found:
        factor = 2.0**power if name.startswith("strength") else 1.0
        np.testing.assert_allclose(scaled[name], found[name] * factor, rtol=1e-12)
    order = random.sample(range(6), 6)
    other = graph_measures(w.isel(region=order, region_other=order)).sel(region=REGIONS)
    for name in ("degree_in", "degree_out", "strength_in", "strength_out", "clustering", "rich_club"):
        np.testing.assert_allclose(other[name], found[name], rtol=1e-12)  # modules depend on the order in which a heuristic visits


def test_subjects_are_kept_and_lazy_stays_lazy():
    weights = cohort().weights.transpose("region_other", "subject", "region")
    found = graph_measures(weights)
    assert found.module.dims == ("subject", "region") and found.rich_club.dims == ("subject", "degree")
    lazy = graph_measures(weights.chunk({"subject": 1, "region": 2}))
    assert lazy.modularity.chunks is not None
    xr.testing.assert_identical(lazy.compute(), found)
    xr.testing.assert_identical(graph_measures(weights.sel(subject="S2").transpose("region", "region_other")), found.sel(subject="S2"))


def test_a_dead_region_is_nan_and_left_out_and_any_other_nan_leaves_nothing():
    x = series()
    x[:, 2] = 1.0
    fc = abs(functional_connectivity(x))
    found = graph_measures(fc)
    keep = [r for r in REGIONS if r != "B_L"]
    alone = graph_measures(fc.sel(region=keep, region_other=keep))
    for name in ("strength_in", "clustering", "module"):
        assert np.isnan(found[name].sel(region="B_L"))
        np.testing.assert_allclose(found[name].sel(region=keep), alone[name], rtol=1e-14)
    broken = matrix(random_weights(symmetric=True))
    broken[0, 1] = np.nan
    assert all(bool(v.isnull().all()) for v in graph_measures(broken).data_vars.values())


def test_a_graph_without_edges_has_no_modules():
    found = graph_measures(matrix(np.zeros((6, 6))))
    assert (found.strength_in == 0).all() and (found.clustering == 0).all()
    assert found.module.isnull().all() and np.isnan(found.modularity)


@pytest.mark.parametrize(
    ("weights", "options", "error", "words"),
    [
        (functional_connectivity(series()) - 1, {}, ValueError, "fc.clip"),
        (series(), {}, ValueError, "xm.functional_connectivity"),
        (matrix(np.eye(6)), {"density": 0}, ValueError, "fraction of the pairs"),
        (matrix(np.eye(6)), {"resolution": -1}, ValueError, "positive number"),
        (np.eye(6), {}, TypeError, "DataArray"),
        (matrix(np.eye(6)) > 0, {}, TypeError, "bool"),
    ],
)
def test_what_is_no_graph_is_refused(weights, options, error, words):
    with pytest.raises(error, match=words):
        graph_measures(weights, **options)
