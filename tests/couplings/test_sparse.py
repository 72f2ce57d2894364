"""Connectomes with few edges: the product that reads existing edges equals that of the matrix, and reads little more than the edges."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.couplings.cases import DIMS, HOPF, XX, connectome, start
from xmass.core.delay import sparse_plan, sparse_product
from xmass.labelled import structure


def random_edges(regions, part, seed=0, hub=False):
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 1, (regions, regions)) * (rng.random((regions, regions)) < part)
    weights[5] = 0.0  # one region receives nothing
    if hub:
        weights[3] = rng.normal(0, 1, regions)  # and one from everywhere
    return weights


def arrays(weights):
    plan = sparse_plan(weights)[0]
    return {"source": [jnp.asarray(s) for s in plan["source"]], "weight": [jnp.asarray(w, jnp.float32) for w in plan["weight"]]} | {
        "inverse": jnp.asarray(plan["inverse"])
    }


@pytest.mark.long
@pytest.mark.parametrize("hub", [False, True])
@pytest.mark.parametrize("runs", [1, 5])
def test_the_product_is_that_of_the_matrix(hub, runs):
    weights = random_edges(60, 0.07, hub=hub)
    x = np.random.default_rng(1).normal(size=(60, runs)).astype(np.float32)
    np.testing.assert_allclose(sparse_product(arrays([weights]), jnp.asarray(x)), weights @ x, rtol=0, atol=1e-5)


def test_nothing_but_edges():
    np.testing.assert_array_equal(sparse_product(arrays([np.zeros((7, 7))]), jnp.ones((7, 2))), np.zeros((7, 2)))


@pytest.mark.parametrize("hub", [False, True])
def test_it_reads_little_more_than_the_edges(hub):
    # Groups of eight: each region is padded to the next group, and some groups are merged; a hub costs its own edges alone.
    weights = random_edges(1000, 0.02, hub=hub)
    edges = int((weights != 0).sum())
    read = sum(w.size for w in sparse_plan([weights])[0]["weight"])
    assert edges <= read < 1.3 * edges + 8 * 1000
    assert read < 0.05 * weights.size


def test_several_matrices_share_their_edges():
    first, second = random_edges(60, 0.05, 0), random_edges(60, 0.05, 1)
    x = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    for weights, plan in zip((first, second), sparse_plan([first, second]), strict=True):
        made = {"source": plan["source"], "weight": [w.astype(np.float32) for w in plan["weight"]], "inverse": plan["inverse"]}
        np.testing.assert_allclose(sparse_product(made, jnp.asarray(x)), weights @ x, rtol=0, atol=1e-5)


# ---- in a network
def network(weights, speed=None, **options):
    lengths = np.where(np.arange(len(weights)) % 3, 0.0, 5.0)[:, None] * np.ones_like(weights)  # two regions in three receive at once
    sc = xr.Dataset({"weights": (DIMS, weights), "distances": (DIMS, lengths, {"units": "mm"})})
    coupling = options.pop("coupling", xm.DiffusiveCoupling(k=0.05, **XX))
    return xm.Simulator(xm.Network(HOPF, sc, speed=speed, coupling=coupling), dt=0.1, precision="float64", **options)


def begin(regions):
    return {n: v.drop_vars("region") for n, v in start(regions=regions).items()}


@pytest.mark.long
@pytest.mark.parametrize("speed", [None, 5.0])
@pytest.mark.parametrize(
    "coupling", [xm.DiffusiveCoupling(k=0.05, **XX), xm.SineCoupling(k=0.05, **XX), xm.LaplacianCoupling(k=0.05, **XX)]
)
def test_a_network_with_few_edges_equals_the_dense_one(speed, coupling, monkeypatch):
    sim = network(random_edges(220, 0.05, hub=True), speed, coupling=coupling)
    sparse = sim.run(5.0, initial=begin(220))
    monkeypatch.setattr(structure, "_LARGE", 10_000)
    np.testing.assert_allclose(sim.run(5.0, initial=begin(220)).x, sparse.x, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("regions", "part", "expected"), [(220, 0.05, 1), (220, 0.2, 0), (150, 0.05, 0)])
def test_when_edges_are_read(regions, part, expected, monkeypatch):
    made = []
    monkeypatch.setattr(structure, "sparse_plan", lambda rest: made.append(1) or sparse_plan(rest))
    network(random_edges(regions, part)).run(0.1, initial=begin(regions))
    assert len(made) == expected


def test_subjects_and_times_of_weights_are_planned_once(monkeypatch):
    made = []
    monkeypatch.setattr(structure, "sparse_plan", lambda rest: made.append(1) or sparse_plan(rest))
    one = xr.DataArray(random_edges(220, 0.05), dims=DIMS)
    weights = one * xr.DataArray([1.0, 2.0], dims="subject") * xr.DataArray([1.0, -1.0], dims="time", coords={"time": [0.0, 2.0]})
    run = network(one.values).run(4.0, xr.Dataset({"weights": weights}), initial=begin(220))
    assert len(made) == 1
    np.testing.assert_allclose(run.x[1, :20], network(2 * one.values).run(2.0, initial=begin(220)).x, rtol=0, atol=1e-13)


# ---- arrays of the package sparse
def test_weights_of_the_package_sparse():
    sparse = pytest.importorskip("sparse")
    sc = connectome()
    held = sc.assign(weights=sc.weights.copy(data=sparse.COO.from_numpy(sc.weights.values)))
    runs = []
    for given in (sc, held):
        sim = xm.Simulator(xm.Network(HOPF, given, speed=5.0, coupling=xm.DiffusiveCoupling(k=0.3, **XX)), dt=0.1)
        runs += [sim.run(5.0, initial=start()).x, sim.run(5.0, xr.Dataset({"weights": given.weights}), initial=start()).x]
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])
    np.testing.assert_array_equal(xm.normalize(held, "max").weights, xm.normalize(sc, "max").weights)
    assert float(xm.spectral_radius(held.weights)) == float(xm.spectral_radius(sc.weights))
