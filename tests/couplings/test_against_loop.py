"""Every kind of coupling, with delays from none to many steps, beside the numpy loop that keeps every past state."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.couplings.cases import XX
from tests.oracles import loop

N, DT, SPEED, COUNT = 6, 0.1, 2.0, 150
RNG = np.random.default_rng(0)
WEIGHTS = RNG.uniform(0.1, 1.0, (N, N)) * (RNG.random((N, N)) < 0.7)
STEPS = RNG.integers(0, 40, (N, N)) * (1 - np.eye(N, dtype=int))  # no delay within a region, and on one edge in 40
START = {"x": RNG.normal(0, 0.5, N), "y": RNG.normal(0, 0.5, N)}


def simulate(node, coupling, start, scheme, *, frozen=False):
    dims = ("region", "region_other")
    sc = xr.Dataset({"weights": (dims, WEIGHTS), "distances": (dims, STEPS * DT * SPEED, {"units": "mm"})})
    net = xm.Network(node, sc, speed=SPEED, coupling=coupling)
    sim = xm.Simulator(net, dt=DT, method=scheme, precision="float64", frozen_coupling=frozen)
    return sim.run(COUNT * DT, initial={n: xr.DataArray(v, dims="region") for n, v in start.items()})


def random_walk_laplacian():
    return WEIGHTS / WEIGHTS.sum(axis=1, keepdims=True) - np.eye(N)


KINDS = {
    "additive": (xm.AdditiveCoupling(k=0.3, b=0.1, **XX), WEIGHTS, dict(k=1.0, post=lambda total: 0.3 * total + 0.1)),
    "diffusive": (xm.DiffusiveCoupling(k=0.3, **XX), WEIGHTS, dict(k=0.3, diffusive=True)),
    "sigmoidal": (
        xm.SigmoidalCoupling(k=0.3, a=1.5, b=0.2, slope=2.0, midpoint=0.4, **XX),
        WEIGHTS,
        dict(k=0.3, post=lambda total: loop.logistic(2.0 * (1.5 * total + 0.2 - 0.4))),
    ),
    "tanh": (xm.HyperbolicTangentCoupling(k=0.3, scale=1.5, **XX), WEIGHTS, dict(k=0.3, post=lambda total: np.tanh(1.5 * total))),
    "jansen_rit": (
        xm.SigmoidalJansenRitCoupling(k=0.3, c_min=0.1, c_max=0.8, midpoint=0.2, r=3.0, **XX),
        WEIGHTS,
        dict(k=0.3, carried=lambda x, own: 0.1 + 0.7 * loop.logistic(3.0 * (x - 0.2))),
    ),
    "laplacian": (xm.LaplacianCoupling(k=0.3, **XX), loop.laplacian(WEIGHTS), dict(k=0.3)),
    "random walk": (xm.LaplacianCoupling(k=0.3, normalization="random_walk", **XX), random_walk_laplacian(), dict(k=0.3)),
    "sine": (
        xm.SineCoupling(k=0.3, alpha=0.4, **XX),
        WEIGHTS,
        dict(k=0.3, carried=lambda x, own: np.sin(x - own - 0.4)),
    ),
}


@pytest.mark.long
@pytest.mark.parametrize(("scheme", "frozen"), [("heun", False), ("heun", True), ("rk4", False)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_equals_the_loop(kind, scheme, frozen):
    # RK4 reads a delayed sum halfway between two steps as their mean; the loop does so too.
    coupling, weights, options = KINDS[kind]
    run = simulate(xm.HopfStep(a=-0.1, w=0.3), coupling, START, scheme, frozen=frozen)
    edges = loop.Edges(weights, STEPS, "x", "x", **options)
    path = loop.integrate(loop.hopf(-0.1, 0.3), START, [edges], dt=DT, count=COUNT, scheme=scheme, frozen=frozen)
    for name in ("x", "y"):
        np.testing.assert_allclose(run[name], path[name], rtol=0, atol=1e-13)  # 150 steps of sums in another order


def test_an_output_with_delays_equals_the_loop():
    # The potential E - I of a Jansen-Rit column, a sigmoid of it on every edge, into the rate of the others.
    rng = np.random.default_rng(3)
    values = {"M": 0.1, "E": 12.0, "I": 6.0, "Mv": 1.0, "Ev": 20.0, "Iv": -10.0}
    start = {n: v + 0.1 * abs(v) * rng.normal(size=N) for n, v in values.items()}
    run = simulate(xm.JansenRitStep.alpha(), xm.SigmoidalJansenRitCoupling(k=20.0), start, "heun")

    def rate(v):
        return 5.0 * loop.logistic(0.56 * (v - 6.0))

    def drift(s, u):  # per ms
        def synapse(enters, height, speed, x, v):
            return 1e-3 * (height * speed * enters - 2 * speed * v - speed**2 * x)

        return {
            **{n: 1e-3 * s[f"{n}v"] for n in ("M", "E", "I")},
            "Mv": synapse(rate(s["E"] - s["I"]), 3.25, 100.0, s["M"], s["Mv"]),
            "Ev": synapse(220.0 + 108.0 * rate(135.0 * s["M"]) + u["E"], 3.25, 100.0, s["E"], s["Ev"]),
            "Iv": synapse(33.75 * rate(33.75 * s["M"]), 22.0, 50.0, s["I"], s["Iv"]),
        }

    edges = loop.Edges(WEIGHTS, STEPS, lambda s: s["E"] - s["I"], "E", 20.0, carried=lambda x, own: rate(x))
    path = loop.integrate(drift, start, [edges], dt=DT, count=COUNT)
    for name in start:
        np.testing.assert_allclose(run[name], path[name], rtol=1e-11, atol=1e-11)
