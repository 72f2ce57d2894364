"""An edge's pulse arrives at exactly the stated step; the block engine equals a plain loop over steps on random graphs."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.oracles import loop

DIMS = ("region", "region_other")
DELAYS = (1, 2, 7, 8, 9, 64, 100)


def connectome(weights, steps, dt=1.0):
    """Delays in whole steps: distances for a speed of 1 mm/ms."""
    return xr.Dataset({"weights": (DIMS, weights), "distances": (DIMS, np.asarray(steps) * dt, {"units": "mm"})})


def kicked(weights, steps, *, method, tile, k=1.0, count=240):
    """A bank of integrators; region 0 gets a kick of 1 at step 0 that is taken back at step 1, so x_0 = 1 at step 1 alone."""
    kick = np.zeros((count, len(weights)))
    kick[0, 0], kick[1, 0] = 1.0, -1.0
    drive = xr.DataArray(kick, dims=("time", "region"), coords={"time": ("time", np.arange(count) * 1.0, {"units": "ms"})})
    net = xm.Network(xm.LinearStep(gamma=0.0), connectome(weights, steps), speed=1.0, coupling=xm.AdditiveCoupling(source="x", target="x"))
    sim = xm.Simulator(net, dt=1.0, method=method, tile=tile, precision="float64")
    p = xr.Dataset({"coupling.k": k}) if isinstance(k, xr.DataArray) else None
    return sim.run(float(count), p, monitors=["x"], initial={"x": 0.0}, inputs={"x": drive}).x


def arrival(method, weight, delay, count=240):
    """What a target that only integrates must hold after each step."""
    x = np.zeros(count)
    if method == "euler":  # reads x_0(n - d) for step n: x_0(1) = 1 is read at step d + 1, seen after it
        x[delay + 1 :] = weight
    else:  # two stages: half a step earlier, at the end of step d, and half at the start of step d + 1
        x[delay] = weight / 2
        x[delay + 1 :] = weight
    return x


@pytest.mark.parametrize(
    ("tile", "delay"),
    [(1, 1), (1, 7), (1, 8), (1, 100), (16, 1), (16, 9), *(pytest.param(1, d, marks=pytest.mark.long) for d in (2, 9, 64))],
)
def test_a_pulse_through_one_edge(tile, delay):
    weights, steps = np.zeros((3, 3)), np.zeros((3, 3), int)
    weights[2, 0], steps[2, 0] = 0.75, delay  # onto 2 from 0
    x = kicked(weights, steps, method="heun", tile=tile)
    np.testing.assert_array_equal(x.sel(region=2), arrival("heun", 0.75, delay))
    np.testing.assert_array_equal(x.sel(region=1), 0.0)
    np.testing.assert_array_equal(x.sel(region=0), [1.0, *[0.0] * 239])


@pytest.mark.parametrize("tile", [1, 16])
@pytest.mark.parametrize("method", ["euler", "heun"])
def test_pulses_through_all_edges_of_one_network(method, tile):
    # Every delay once, each to its own target with its own weight, for a batch of global strengths.
    n = len(DELAYS) + 1
    weights, steps = np.zeros((n, n)), np.zeros((n, n), int)
    weights[1:, 0] = 0.5 ** np.arange(n - 1)
    steps[1:, 0] = DELAYS
    k = xr.DataArray([1.0, 0.5, 2.0], dims="k")
    x = kicked(weights, steps, method=method, tile=tile, k=k)
    for run in range(3):
        for target, delay in enumerate(DELAYS, start=1):
            expected = arrival(method, weights[target, 0] * float(k[run]), delay)
            np.testing.assert_array_equal(x.isel(k=run, region=target), expected)


@pytest.mark.parametrize("tile", [1, 16])
def test_the_reverse_edge_is_another_edge(tile):
    # 0 -> 1 takes 3 steps, 1 -> 0 takes 11: a pulse comes back after 14, not after 6 or 22.
    weights, steps = np.array([[0, 0.5], [1.0, 0]]), np.array([[0, 11], [3, 0]])
    x = kicked(weights, steps, method="euler", tile=tile, count=20)
    np.testing.assert_array_equal(np.flatnonzero(np.diff(x.sel(region=1).values)), [3])
    # region 1 steps to 1 at state 5 and integrates no further; region 0 grows from state 5 + 11 + 1 on.
    expected = np.zeros(20)
    expected[0] = 1.0
    expected[16:] = 0.5 * np.arange(1, 5)
    np.testing.assert_array_equal(x.sel(region=0), expected)


class Saturating(xm.Coupling):
    """A coupling with a transform of the source, so that the ring holds something else than the state."""

    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)
    k: float = xm.parameter(1.0, "target/source", "strength")
    gain: float = xm.parameter(2.0, "1/source", "slope")

    def pre(self, x):
        return jnp.tanh(self.gain * x)

    def post(self, total, own, strength):
        return self.k * total


def random_graph(rng, n):
    """A sparse asymmetric graph with weights of both signs, a few self-connections, delays from 0 on, mixed short and long."""
    weights = np.where(rng.random((n, n)) < rng.uniform(0.1, 0.9), rng.normal(0, 0.3 / np.sqrt(n), (n, n)), 0.0)
    shortest = int(rng.choice([1, 2, 4, 5, 8, 11, 35]))
    longest = int(rng.choice([shortest + 1, 40, 150]))
    steps = rng.integers(shortest, max(longest, shortest) + 1, (n, n))
    if rng.random() < 0.5:
        steps[rng.random((n, n)) < 0.2] = 0
    return weights, steps


CASES = [
    pytest.param(0, 1, "heun", False, marks=pytest.mark.long),
    (1, 1, "heun", False),
    (2, 1, "euler", False),
    (3, 1, "rk4", False),
    (4, 16, "heun", False),
    (5, 16, "heun", True),
    (6, 16, "rk4", False),
    pytest.param(7, 4, "heun", False, marks=pytest.mark.long),
    (10, 16, "rk4", True),
    pytest.param(9, 1, "heun", True, marks=pytest.mark.long),
]


@pytest.mark.parametrize(("seed", "tile", "method", "frozen"), CASES)
def test_the_engine_equals_a_plain_loop(seed, tile, method, frozen):
    # Two couplings, a varying history, three runs. 700 steps cross the segments of the engine. 1e-12: only the order of
    # sums differs, and these networks do not amplify.
    rng = np.random.default_rng(100 + seed)
    n, dt, count = int(rng.integers(2, 24)), 0.1, 700
    weights, steps = random_graph(rng, n)
    longest = int(steps[weights != 0].max(initial=0))
    past = {s: rng.normal(0, 0.3, (longest + 1, n)) for s in "xy"}  # by lag, newest first
    couplings = {
        "a": xm.DiffusiveCoupling(source="x", target="x"),
        "b": xm.AdditiveCoupling(k=0.3, b=0.0, source="y", target="y"),
    }
    net = xm.Network(xm.HopfStep(a=-0.1, w=0.3), connectome(weights, steps, dt), speed=1.0, coupling=couplings)
    strengths = [0.5, 1.0, 0.25]
    lag = ("lag", np.arange(longest + 1) * dt, {"units": "ms"})
    initial = {s: xr.DataArray(v, dims=("lag", "region"), coords={"lag": lag}) for s, v in past.items()}
    sim = xm.Simulator(net, dt=dt, method=method, frozen_coupling=frozen, tile=tile, precision="float64")
    run = sim.run(count * dt, xr.Dataset({"coupling.a.k": ("k", strengths)}), initial=initial)
    for i, k in enumerate(strengths):
        edges = [loop.Edges(weights, steps, "x", "x", k, True), loop.Edges(weights, steps, "y", "y", 0.3)]
        expected = loop.integrate(
            loop.hopf(-0.1, 0.3),
            {s: v[0] for s, v in past.items()},
            edges,
            dt=dt,
            count=count,
            scheme=method,
            frozen=frozen,
            history=lambda m: {s: v[m] for s, v in past.items()},
        )
        for s in "xy":
            np.testing.assert_allclose(run[s].isel(k=i), expected[s], rtol=0, atol=1e-12)


@pytest.mark.parametrize("tile", [1, 16])
def test_a_coupling_with_a_transform_of_the_source(tile):
    rng = np.random.default_rng(5)
    weights, steps = random_graph(rng, 9)
    start = {"x": rng.normal(0, 0.5, 9), "y": rng.normal(0, 0.5, 9)}
    net = xm.Network(xm.HopfStep(a=-0.1, w=0.3), connectome(weights, steps, 0.1), speed=1.0, coupling=Saturating(source="x", target="x"))
    initial = {s: xr.DataArray(v, dims="region") for s, v in start.items()}
    run = xm.Simulator(net, dt=0.1, tile=tile, precision="float64").run(60.0, initial=initial)

    # The same as an additive coupling of a third quantity, tanh(2 x), which the loop gets as a state of its own.
    def drift(s, u):
        return {**loop.hopf(-0.1, 0.3)(s, u), "t": 0.0 * s["x"]}

    path = _with_transform(drift, {**start, "t": np.tanh(2 * start["x"])}, weights, steps)
    np.testing.assert_allclose(run.x, path, rtol=0, atol=1e-12)


def _with_transform(drift, start, weights, steps):
    """Heun's method with the sum of tanh(2 x) over sources, past states kept in a list."""
    xs, ys, dt = [start["x"]], [start["y"]], 0.1
    edges = np.argwhere(weights != 0)

    def total(own, n):
        c = np.zeros(len(own))
        for i, j in edges:
            d = steps[i, j]
            x = own[j] if d == 0 else xs[max(n - d, 0)][j]
            c[i] += weights[i, j] * np.tanh(2 * x)
        return c

    for n in range(600):
        s = {"x": xs[-1], "y": ys[-1], "t": np.zeros(len(xs[-1]))}
        k0 = drift(s, {"x": total(s["x"], n)})
        e = {m: s[m] + dt * k0[m] for m in s}
        k1 = drift(e, {"x": total(e["x"], n + 1)})
        xs.append(s["x"] + dt / 2 * (k0["x"] + k1["x"]))
        ys.append(s["y"] + dt / 2 * (k0["y"] + k1["y"]))
    return np.array(xs[1:])
