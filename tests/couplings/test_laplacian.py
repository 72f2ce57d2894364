"""The Laplacian coupling beside scipy's Laplacians, and at the regions and weights where a normalisation could divide by zero."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.csgraph
import xarray as xr

import xmass as xm
from tests.couplings.cases import DIMS, HOPF, XX, connectome, start

RNG = np.random.default_rng(0)
DIRECTED = RNG.uniform(0, 1, (5, 5)) * (1 - np.eye(5))
SYMMETRIC = DIRECTED + DIRECTED.T
LONELY = SYMMETRIC * np.outer([1, 1, 0, 1, 1], [1, 1, 0, 1, 1])


def matrix(weights, normalization="none"):
    return xm.LaplacianCoupling(normalization=normalization, **XX).weighting(np.asarray(weights))


@pytest.mark.parametrize("weights", [DIRECTED, SYMMETRIC, LONELY], ids=["directed", "symmetric", "with a lonely region"])
def test_none_is_minus_the_laplacian_of_scipy(weights):
    # Row sums: out-degrees there, where a row sends.
    np.testing.assert_allclose(matrix(weights), -scipy.sparse.csgraph.laplacian(weights, use_out_degree=True), rtol=0, atol=1e-15)


@pytest.mark.parametrize("weights", [DIRECTED, SYMMETRIC, LONELY], ids=["directed", "symmetric", "with a lonely region"])
def test_symmetric_is_minus_the_normed_laplacian_of_scipy(weights):
    expected = -scipy.sparse.csgraph.laplacian(weights, normed=True, use_out_degree=True)
    np.testing.assert_allclose(matrix(weights, "symmetric"), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("weights", [DIRECTED, LONELY], ids=["directed", "with a lonely region"])
def test_random_walk_is_the_laplacian_divided_by_the_row_sums(weights):
    degree = weights.sum(axis=1)
    plain = -scipy.sparse.csgraph.laplacian(weights, use_out_degree=True)
    expected = plain / np.where(degree > 0, degree, 1)[:, None]
    np.testing.assert_allclose(matrix(weights, "random_walk"), expected, rtol=0, atol=1e-15)


def test_symmetric_and_random_walk_have_the_same_eigenvalues():
    both = [np.sort(np.linalg.eigvals(matrix(SYMMETRIC, n)).real) for n in ("symmetric", "random_walk")]
    np.testing.assert_allclose(both[0], both[1], atol=1e-14)
    assert both[0].max() == pytest.approx(0, abs=1e-14) and both[0].min() >= -2


def simulate(weights, coupling, **options):
    net = xm.Network(HOPF, xr.Dataset({"weights": (DIMS, weights)}), coupling=coupling)
    n = len(weights)
    begin = {name: v.drop_vars("region") for name, v in start(regions=n).items()}
    return xm.Simulator(net, dt=0.1, precision="float64", **options).run(10.0, monitors=["x"], initial=begin).x


@pytest.mark.parametrize("normalization", ["none", "random_walk", "symmetric"])
def test_a_region_without_connections_is_alone(normalization):
    coupled = simulate(LONELY, xm.LaplacianCoupling(k=0.5, normalization=normalization, **XX))
    alone = simulate(np.zeros((5, 5)), xm.LaplacianCoupling(k=0.5, **XX))
    np.testing.assert_array_equal(coupled[:, 2], alone[:, 2])
    assert float(abs(coupled - alone).isel(region=0).max()) > 1e-3


def test_none_is_diffusion_for_negative_weights_too():
    mixed = DIRECTED - 0.4
    laplacian, diffusive = (simulate(mixed, cls(k=0.1, **XX)) for cls in (xm.LaplacianCoupling, xm.DiffusiveCoupling))
    np.testing.assert_allclose(laplacian, diffusive, rtol=0, atol=1e-13)


@pytest.mark.parametrize("normalization", ["random_walk", "symmetric"])
def test_negative_row_sums_are_refused_where_they_divide(normalization):
    with pytest.raises(ValueError, match=rf"normalization='{normalization}' divides by the row sums of the weights, and one is -"):
        simulate(DIRECTED - 0.8, xm.LaplacianCoupling(normalization=normalization, **XX))


def test_an_unknown_normalization_is_refused():
    with pytest.raises(ValueError, match="normalization='rw', needs 'none', 'random_walk' or 'symmetric'"):
        xm.LaplacianCoupling(normalization="rw", **XX)


@pytest.mark.long
def test_each_subject_has_its_own_laplacian():
    both = xr.concat([connectome(0), connectome(1)], "subject").assign_coords(subject=["a", "b"])
    coupling = xm.LaplacianCoupling(k=0.3, normalization="random_walk", **XX)
    together = xm.Simulator(xm.Network(HOPF, both, speed=5.0, coupling=coupling), dt=0.1).run(10.0, initial=start()).x
    for seed, subject in enumerate(["a", "b"]):
        one = xm.Simulator(xm.Network(HOPF, connectome(seed), speed=5.0, coupling=coupling), dt=0.1).run(10.0, initial=start()).x
        np.testing.assert_allclose(together.sel(subject=subject), one, rtol=0, atol=1e-6)  # float32, edges in another order


def test_a_laplacian_and_an_additive_coupling_share_a_connectome_and_not_a_matrix():
    two = {"diffuse": xm.LaplacianCoupling(k=0.3, **XX), "add": xm.AdditiveCoupling(k=0.1, **XX)}
    again = {"diffuse": xm.DiffusiveCoupling(k=0.3, **XX), "add": xm.AdditiveCoupling(k=0.1, **XX)}
    first, second = (simulate(DIRECTED, c) for c in (two, again))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-14)
