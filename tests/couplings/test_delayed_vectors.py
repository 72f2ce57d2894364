"""Three delayed Hopf nodes, exponential Euler, against vectors of an independent loop, printed with eight digits.

Every kind of coupling runs here, and in the plain numpy loop that the tests of the block engine trust, so that the loop is itself
checked from outside.
"""

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
GROWN = np.exp(WEIGHTS) * WEIGHTS
"""What the simulator that printed the vectors makes of the weights in its Laplacian coupling; ours takes them as they are."""
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
    "tanh": [
        (0.15110585, 0.15110585, 0.16157090),
        (0.25410349, 0.25154586, 0.24370782),
        (-0.55460191, -0.57262695, -0.62307784),
    ],
    "sigmoidal": [
        (0.36119587, 0.36119587, 0.36240199),
        (0.56100343, 0.56060744, 0.56070954),
        (0.46381518, 0.46428062, 0.47424062),
    ],
    "laplacian": [
        (0.09782592, 0.09782838, 0.09781880),
        (-0.04701655, -0.04372085, -0.01542160),
        (0.22624371, 0.19864631, 0.14200362),
    ],
    "jansen_rit": [
        (0.09792407, 0.09792407, 0.09793359),
        (-0.09664820, -0.09664765, -0.09660185),
        (0.44667591, 0.44667592, 0.44670027),
    ],
}
XX = dict(source="x", target="x")
KINDS = {
    "diffusive": xm.DiffusiveCoupling(k=0.5, **XX),
    "additive": xm.AdditiveCoupling(k=0.5, **XX),
    "tanh": xm.HyperbolicTangentCoupling(k=0.5, scale=2.0, **XX),
    "sigmoidal": xm.SigmoidalCoupling(k=0.5, **XX),
    "laplacian": xm.LaplacianCoupling(k=0.5, **XX),
    "jansen_rit": xm.SigmoidalJansenRitCoupling(k=0.5, c_max=0.005, **XX),  # its c_max: 5 Hz per ms
}
LOOPS = {
    "diffusive": dict(diffusive=True),
    "additive": {},
    "tanh": dict(post=lambda total: np.tanh(2.0 * total)),
    "sigmoidal": dict(post=loop.logistic),
    "laplacian": {},
    "jansen_rit": dict(carried=lambda x, own: 0.005 * loop.logistic(0.56 * (x - 6.0))),
}


def weights_of(kind):
    return GROWN if kind == "laplacian" else WEIGHTS


def simulate(coupling, weights, delays="nearest"):
    dims = ("region", "region_other")
    sc = xr.Dataset({"weights": (dims, weights), "distances": (dims, DISTANCES, {"units": "mm"})})
    net = xm.Network(xm.HopfStep(a=0.2, w=0.3), sc, speed=2.0, coupling=coupling, delays=delays)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpuriousGrowthWarning)
        sim = xm.Simulator(net, dt=0.1, method="exp_euler", precision="float64")
    return sim.run(20.0, monitors=["x"], initial={"x": 0.1, "y": 0.05}).x


@pytest.mark.long
@pytest.mark.parametrize("delays", ["ceil", "nearest"])  # 17.5 steps are 18 for both: half to even
@pytest.mark.parametrize("kind", VECTORS)
def test_delayed_network(kind, delays):
    x = simulate(KINDS[kind], weights_of(kind), delays)
    np.testing.assert_allclose(x.isel(time=[9, 49, 199]), VECTORS[kind], rtol=0, atol=6e-9)


@pytest.mark.parametrize("kind", VECTORS)
def test_the_numpy_loop_meets_the_same_vectors(kind):
    steps = np.ceil(np.round(DISTANCES / 2.0 / 0.1, 9)).astype(int)
    weights = loop.laplacian(weights_of(kind)) if kind == "laplacian" else WEIGHTS
    edges = loop.Edges(weights, steps, "x", "x", 0.5, **LOOPS[kind])
    start = {"x": np.full(3, 0.1), "y": np.full(3, 0.05)}
    path = loop.integrate(
        loop.hopf(0.2, 0.3), start, [edges], dt=0.1, count=200, scheme="exp_euler", jacobian=loop.hopf_diagonal(0.2, 0.3), frozen=True
    )
    np.testing.assert_allclose(path["x"][[9, 49, 199]], VECTORS[kind], rtol=0, atol=6e-9)


def test_the_laplacian_of_the_weights_as_they_are_diffuses():
    # The diagonal of L is read without delay, so the sums are those of x_j - x_i, in another order: 200 steps of rounding.
    laplacian, diffusive = (simulate(KINDS[kind], WEIGHTS) for kind in ("laplacian", "diffusive"))
    np.testing.assert_allclose(laplacian, diffusive, rtol=0, atol=1e-14)
    assert float(abs(laplacian.isel(time=-1) - np.array(VECTORS["laplacian"][2])).max()) > 0.05


def test_a_rate_per_second_as_if_per_ms_is_a_thousand_times_too_strong():
    # The default is 5 Hz, for an input in Hz; on a derivative per ms it would be another model, which the vectors tell apart.
    x = simulate(xm.SigmoidalJansenRitCoupling(k=0.5, **XX), WEIGHTS)
    assert float(abs(x.isel(time=-1) - np.array(VECTORS["jansen_rit"][2])).max()) > 0.1
