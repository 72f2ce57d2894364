"""Three delayed Hopf nodes, exponential Euler, against vectors of an independent loop, printed with eight digits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.oracles import loop
from xmass.labelled.checks import SpuriousGrowthWarning

WEIGHTS = np.array([[0, 0.4, 0.1], [0.2, 0, 0.3], [0.5, 0.1, 0]])
DISTANCES = np.array([[0, 2, 5], [2, 0, 3.5], [5, 3.5, 0]])
VECTORS = {
    "diffusive": [
        (0.09783601, 0.09783601, 0.09783069),
        (-0.05787762, -0.05413603, -0.03631616),
        (0.30655783, 0.28534368, 0.23956902),
    ],
    "additive": [
        (0.12466626, 0.12466626, 0.13000416),
        (0.04670663, 0.04949931, 0.06495964),
        (0.07125593, 0.03067573, -0.06656609),
    ],
}
KINDS = {"diffusive": xm.DiffusiveCoupling, "additive": xm.AdditiveCoupling}


def network(kind, delays):
    dims = ("region", "region_other")
    sc = xr.Dataset({"weights": (dims, WEIGHTS), "distances": (dims, DISTANCES, {"units": "mm"})})
    return xm.Network(xm.HopfStep(a=0.2, w=0.3), sc, speed=2.0, coupling=KINDS[kind](k=0.5, source="x", target="x"), delays=delays)


@pytest.mark.parametrize("delays", ["ceil", "nearest"])  # 17.5 steps are 18 for both: half to even
@pytest.mark.parametrize("kind", VECTORS)
def test_delayed_network(kind, delays):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpuriousGrowthWarning)
        sim = xm.Simulator(network(kind, delays), dt=0.1, method="exp_euler", precision="float64")
    x = sim.run(20.0, monitors=["x"], initial={"x": 0.1, "y": 0.05}).x
    np.testing.assert_allclose(x.isel(time=[9, 49, 199]), VECTORS[kind], rtol=0, atol=6e-9)


@pytest.mark.parametrize("kind", VECTORS)
def test_the_numpy_loop_meets_the_same_vectors(kind):
    # So that the loop, which the tests of the block engine trust, is itself checked from outside.
    steps = np.ceil(np.round(DISTANCES / 2.0 / 0.1, 9)).astype(int)
    edges = loop.Edges(WEIGHTS, steps, "x", "x", 0.5, kind == "diffusive")
    start = {"x": np.full(3, 0.1), "y": np.full(3, 0.05)}
    path = loop.integrate(
        loop.hopf(0.2, 0.3), start, [edges], dt=0.1, count=200, scheme="exp_euler", jacobian=loop.hopf_diagonal(0.2, 0.3), frozen=True
    )
    np.testing.assert_allclose(path["x"][[9, 49, 199]], VECTORS[kind], rtol=0, atol=6e-9)
