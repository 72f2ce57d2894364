"""A run as a function of traced parameters: the values are those of an ordinary run, the derivatives those of finite differences."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.core import adjoint, engine, reverse
from xmass.labelled import traced
from xmass.labelled.execute import execute
from xmass.labelled.resolve import Request, Resolved, resolve

DIMS = ("region", "region_other")
LENGTH = 12.0
RNG = np.random.default_rng(3)
START = {"x": xr.DataArray(RNG.uniform(-0.4, 0.4, 8), dims="region"), "y": xr.DataArray(RNG.uniform(-0.4, 0.4, 8), dims="region")}


def connectome(**changed) -> xr.Dataset:
    return xm.datasets.load_dataset("example_connectome").assign(changed)


def simulator(*, sc=None, coupling=None, speed=None, delays="nearest", tile=None, noise=None) -> xm.Simulator:
    coupling = coupling or xm.DiffusiveCoupling(k=0.3, source="x", target="x")
    node = xm.HopfStep(a=0.1, w=0.3, noise_x=noise)
    net = xm.Network(node, connectome() if sc is None else sc, speed=speed, coupling=coupling, delays=delays)
    return xm.Simulator(net, dt=0.1, precision="float64", tile=tile)


def planned(sim: xm.Simulator, params: xr.Dataset | None = None, **options) -> Resolved:
    return resolve(sim.config, Request(LENGTH, params, monitors=["x"], initial=START, **options))


def end(resolved: Resolved, tile: traced.Tile, overrides: dict) -> jax.Array:
    """The state x at the end ``(region, run)``: by the functions that the engine compiles."""
    args, initial = traced.arguments(tile, overrides)
    carry = engine.initialise(resolved.program, args, initial)
    segments = -(-resolved.stop // resolved.program.segment)
    steps = (np.int32(v) for v in (0, segments, 0, resolved.stop, 0))
    return engine.advance(resolved.program, carry, args, *steps)[0].states["x"]


def ended(sim: xm.Simulator, params: xr.Dataset | None = None, **options) -> np.ndarray:
    """The same of an ordinary run, for one run ``(region,)``."""
    return sim.run(LENGTH, params, monitors=["x"], **({"initial": START} | options)).x.isel(time=-1).transpose(..., "region").values


def check(sim: xm.Simulator, path: str, value: np.ndarray, made, *, resolved: Resolved | None = None) -> None:
    """Value and derivative along a random direction of one traced parameter, against ordinary runs: ``made(value)`` is one."""
    with jax.enable_x64(True):
        run = planned(sim) if resolved is None else resolved
        (tile,) = traced.tiles(run, paths=[path])
        direction = np.random.default_rng(5).uniform(0.5, 1.5, np.shape(value)) * (np.asarray(value) != 0)

        @jax.jit
        def slope(tile, value, direction):
            wide = functools.partial(_wide, run.program.width)
            return jax.jvp(lambda v: end(run, tile, {path: wide(v)}), (value,), (direction,))

        found, derivative = (np.asarray(a) for a in slope(tile, jnp.asarray(value), jnp.asarray(direction)))
    # 1e-12: sums over edges in another order, products rounded once more.
    np.testing.assert_allclose(found[:, 0], made(value), rtol=0, atol=1e-12)
    h = 1e-6 * max(1.0, np.abs(value).max())
    difference = (made(value + h * direction) - made(value - h * direction)) / (2 * h)
    # Central differences of float64 runs: truncation of order h^2, rounding of order 1e-16 / h, some of them for the sums of a run.
    np.testing.assert_allclose(derivative[:, 0], difference, rtol=1e-6, atol=2e-15 / h)
    assert np.abs(difference).max() > 1e-11 / h


def _wide(width, value):
    return jnp.broadcast_to(value, (width, *jnp.shape(value)))


WEIGHTS = connectome().weights.values
LONG = pytest.mark.long
VALUES = {
    "a": np.linspace(-0.1, 0.2, 8),
    "w": np.array(0.27),
    "coupling.k": np.array(0.21),
    "initial.y": np.linspace(-0.3, 0.4, 8),
}


@pytest.mark.parametrize(
    ("path", "speed"),
    [
        ("initial.y", 5.0),
        *(pytest.param(p, s, marks=LONG) for p, s in (("a", 5.0), ("w", None), ("coupling.k", 5.0), ("initial.y", None))),
    ],
)
def test_a_parameter_or_an_initial_value(path, speed):
    sim = simulator(speed=speed)

    def made(value):
        name, given = path.removeprefix("initial."), xr.DataArray(value, dims="region" if np.ndim(value) else ())
        return ended(sim, initial=START | {name: given}) if path != name else ended(sim, xr.Dataset({path: given}))

    check(sim, path, VALUES[path], made)


@pytest.mark.parametrize(
    ("speed", "delays"),
    [
        (None, "nearest"),
        (5.0, "linear"),
        *(pytest.param(s, d, marks=LONG) for s, d in ((5.0, "nearest"), (5.0, "ceil"), (40.0, "nearest"))),
    ],
)
def test_weights(speed, delays):
    # Without delays, with, and at 40 mm/ms (delays of 0.2 to 3 ms, 2 to 30 steps).
    sim = simulator(speed=speed, delays=delays)
    check(sim, "weights", WEIGHTS * np.linspace(0.5, 1.5, 64).reshape(8, 8), lambda v: ended(sim, xr.Dataset({"weights": (DIMS, v)})))


SPEEDS = [(5.3, (2.0, 10.0)), (300.0, (150.0, 1000.0))]
"""Delays of 48 to 151 steps; of 0.85 to 2.7 steps, each of which may be below one step within the limits."""


@pytest.mark.parametrize(("speed", "limits"), [pytest.param(*SPEEDS[0], marks=LONG), SPEEDS[1]])
def test_speed(speed, limits):
    sim = simulator(speed=speed, delays="linear")
    run = planned(sim, limits={"speed": limits})
    check(sim, "speed", np.array(speed), lambda v: ended(sim, xr.Dataset({"speed": float(v)})), resolved=run)


@LONG
def test_distances():
    sim, lengths = simulator(speed=5.3, delays="linear"), connectome().distances.values
    run = planned(sim, limits={"distances": (0.0, 2 * lengths.max())})
    check(sim, "distances", lengths, lambda v: ended(sim, xr.Dataset({"distances": (DIMS, v)})), resolved=run)


@LONG
@pytest.mark.parametrize(("speed", "limits"), SPEEDS)
def test_a_plan_for_many_speeds_serves_each(speed, limits):
    sim = simulator(speed=speed, delays="linear")
    runs = [planned(sim, xr.Dataset({"speed": v}), limits={"speed": limits}) for v in (*limits, speed)]
    assert len({r.program for r in runs}) == 1  # nothing is compiled again
    for run, v in zip(runs, (*limits, speed), strict=True):
        last = execute(run, np.arange(1)).series[0][0, -1]
        # Blocks of another length add in another order.
        np.testing.assert_allclose(last, ended(sim, xr.Dataset({"speed": v})), rtol=0, atol=1e-12)


@LONG
@pytest.mark.parametrize("rule", ["nearest", "ceil"])
def test_whole_delays_have_a_plan_for_many_speeds_too(rule):
    sim = simulator(speed=5.3, delays=rule)
    run = planned(sim, limits={"speed": (2.0, 400.0)})
    np.testing.assert_allclose(execute(run, np.arange(1)).series[0][0, -1], ended(sim), rtol=0, atol=1e-12)


def values_of(run, overrides, members=None):
    with jax.enable_x64(run.config.precision == "float64"):
        (tile,) = traced.tiles(run, members)
        return np.asarray(jax.jit(functools.partial(end, run))(tile, {p: jnp.asarray(v) for p, v in overrides.items()}))


@LONG
def test_weights_and_speed_at_once():
    sim = simulator(speed=5.3, delays="linear")
    run = planned(sim, limits={"speed": (2.0, 10.0)})
    found = values_of(run, {"weights": 0.8 * WEIGHTS[None], "speed": np.full(1, 7.7)})
    expected = ended(sim, xr.Dataset({"weights": (DIMS, 0.8 * WEIGHTS), "speed": 7.7}))
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-12)


def test_a_delay_beyond_its_limits_is_marked_as_diverged():
    run = planned(simulator(speed=5.3, delays="linear"), limits={"speed": (5.0, 6.0)})
    assert np.isnan(values_of(run, {"speed": np.array([4.9])})).any()
    assert np.isnan(values_of(run, {"speed": np.array([np.nan])})).any()
    assert np.isfinite(values_of(run, {"speed": np.array([5.0])})).all()


@LONG
def test_what_is_no_edge_stays_none():
    sc = connectome(weights=(DIMS, np.where(np.arange(64).reshape(8, 8) % 3 == 0, WEIGHTS, 0.0)))
    sim = simulator(sc=sc, speed=5.0)
    found = values_of(planned(sim), {"weights": WEIGHTS[None]})
    np.testing.assert_allclose(found[:, 0], ended(sim), rtol=0, atol=1e-12)


class Normalised(xm.Coupling):
    """Weights in parts of the sum of their row."""

    source: str = "x"
    target: str = "x"

    def weighting(self, weights):
        return weights / weights.sum(-1, keepdims=True)

    def post(self, total, own, strength):
        return 0.3 * (total - strength * own)


@LONG
@pytest.mark.parametrize(
    "coupling",
    [Normalised(), *(xm.LaplacianCoupling(k=0.3, normalization=n, source="x", target="x") for n in ("none", "random_walk", "symmetric"))],
    ids=["normalised", "laplacian", "random walk", "symmetric"],
)
def test_weights_of_a_coupling_with_a_weighting_of_its_own(coupling):
    # The diagonal of a Laplacian has no delay, the other edges have one.
    sim = simulator(coupling=coupling, speed=5.0)
    check(sim, "weights", WEIGHTS * np.linspace(0.5, 1.5, 64).reshape(8, 8), lambda v: ended(sim, xr.Dataset({"weights": (DIMS, v)})))


@LONG
def test_weights_of_each_coupling():
    fast, slow = xm.AdditiveCoupling(k=0.1, source="x", target="x"), xm.DiffusiveCoupling(k=0.2, source="y", target="y")
    net = xm.Network(
        xm.HopfStep(a=0.1, w=0.3),
        {"fast": connectome(), "slow": connectome(weights=(DIMS, WEIGHTS.T))},
        speed={"slow": 5.0},
        coupling={"fast": fast, "slow": slow},
    )
    sim, path = xm.Simulator(net, dt=0.1, precision="float64"), "coupling.slow.weights"
    found = values_of(planned(sim), {path: 0.7 * WEIGHTS.T[None]})
    np.testing.assert_allclose(found[:, 0], ended(sim, xr.Dataset({path: (DIMS, 0.7 * WEIGHTS.T)})), rtol=0, atol=1e-12)


def test_one_compilation_for_the_tiles_of_several_connectomes():
    several = xr.DataArray(np.stack([WEIGHTS, 0.5 * WEIGHTS, 0.2 * WEIGHTS]), dims=("subject", *DIMS))
    sim = simulator(speed=5.0, tile=4, noise=xm.OUProcess(sigma=0.05, tau=5.0))
    options = dict(params=xr.Dataset({"weights": several}), batch_size=2, seed=4)
    run = planned(sim, **options)
    new = several.values * 1.1
    with jax.enable_x64(True):
        last = jax.jit(functools.partial(end, run))
        every = traced.tiles(run)
        found = [last(t, {"weights": jnp.asarray(_wide(4, new[i])), "a": jnp.full(4, 0.2)}) for i, t in enumerate(every)]
        assert last._cache_size() == 1
    changed = xr.Dataset({"weights": several.copy(data=new), "a": 0.2})
    expected = sim.run(LENGTH, changed, monitors=["x"], initial=START, batch_size=2, seed=4).x.isel(time=-1)
    for i, values in enumerate(found):
        np.testing.assert_allclose(np.asarray(values)[:, :2].T, expected.isel(subject=i), rtol=0, atol=1e-12)
        np.testing.assert_array_equal(np.asarray(values)[:, 1], np.asarray(values)[:, 3])  # filled up with the last run


@LONG
def test_other_noise():
    sim = simulator(noise=xm.OUProcess(sigma=0.05, tau=5.0))
    run, other = planned(sim, seed=4), planned(sim, seed=9)
    with jax.enable_x64(True):
        (tile,) = traced.tiles(run)
        last = jax.jit(functools.partial(end, run))  # draws are float32: single operations would round otherwise than compiled ones
        found = np.asarray(last(tile.with_seeds(other.seeds), {}))
        started = np.asarray(last(tile.with_seeds(other.seeds), {"initial.noise_x": jnp.full((1, 8), 0.1)}))
    np.testing.assert_allclose(found[:, 0], ended(sim, seed=9), rtol=0, atol=1e-12)
    np.testing.assert_allclose(started[:, 0], ended(sim, seed=9, initial=START | {"noise_x": 0.1}), rtol=0, atol=1e-12)


@LONG
def test_a_stimulus_covers_the_run():
    sim = simulator()
    drive = xr.DataArray(np.sin(np.arange(121.0)), dims="time", coords={"time": ("time", np.arange(121) * 0.1, {"units": "ms"})})
    run = planned(sim, inputs={"x": drive})
    (tile,) = traced.tiles(run)
    segments = -(-run.stop // run.program.segment)
    assert tile.args["stimulus"]["x"].shape == (segments * run.program.segment, 8, run.program.width)
    np.testing.assert_allclose(values_of(run, {})[:, 0], ended(sim, inputs={"x": drive}), rtol=0, atol=1e-12)


@LONG
@pytest.mark.parametrize("speed", [None, 5.3])
def test_weights_of_a_large_network_with_few_edges(speed):
    # 220 regions with 3 % of the edges: products read edges, not a matrix. Self-connections have no delay.
    rng, n = np.random.default_rng(2), 220
    weights = np.where(rng.random((n, n)) < 0.03, rng.random((n, n)), 0.0)
    np.fill_diagonal(weights, 0.1)
    lengths = rng.uniform(5, 20, (n, n)) * (1 - np.eye(n))
    sc = xr.Dataset({"weights": (DIMS, weights), "distances": (DIMS, lengths, {"units": "mm"})})
    sim = simulator(sc=sc, speed=speed, coupling=xm.AdditiveCoupling(k=0.1, source="x", target="x"))
    options = dict(initial={"x": xr.DataArray(rng.normal(0, 0.3, n), dims="region"), "y": 0.1})
    run = resolve(sim.config, Request(3.0, monitors=["x"], **options))
    assert run.structures.projections[0].kind.undelayed == "sparse"
    found = values_of(run, {"weights": 0.5 * weights[None]})
    expected = sim.run(3.0, xr.Dataset({"weights": (DIMS, 0.5 * weights)}), monitors=["x"], **options).x.isel(time=-1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-12)


class Deciding(Normalised):
    """A weighting that looks at numbers."""

    def weighting(self, weights):
        return weights if (weights > 0).any() else -weights


def test_what_cannot_be_traced_is_said():
    delayed = planned(simulator(speed=5.0))
    with pytest.raises(ValueError, match="delays='linear'"):
        traced.tiles(delayed, paths=["speed"])
    with pytest.raises(ValueError, match="Give it bounds"):
        traced.tiles(planned(simulator(speed=5.0, delays="linear")), paths=["speed"])
    with pytest.raises(KeyError, match="not a parameter"):
        traced.tiles(delayed, paths=["b"])
    with pytest.raises(KeyError, match="not a parameter"):
        traced.tiles(planned(simulator()), paths=["speed"])
    with pytest.raises(ValueError, match="seed cannot be traced"):
        traced.tiles(delayed, paths=["seed"])
    (plain,) = traced.tiles(delayed, paths=["a"])
    with pytest.raises(ValueError, match="Name them"), jax.enable_x64(True):
        traced.arguments(plain, {"weights": WEIGHTS[None]})
    with pytest.raises(ValueError, match="run axis first"), jax.enable_x64(True):
        traced.arguments(plain, {"a": np.zeros(3)})
    (tile,) = traced.tiles(planned(simulator(coupling=Deciding())))
    with pytest.raises(TypeError, match="weighting of Deciding cannot be differentiated"), jax.enable_x64(True):
        jax.jit(lambda t, w: traced.arguments(t, {"weights": w})[0])(tile, WEIGHTS[None])


def test_limits_that_do_not_fit_are_said():
    sim = simulator(speed=5.0, delays="linear")
    for limits, message in (((0.0, 10.0), "lower bound 0 mm/ms"), ((6.0, 10.0), "outside its limits"), ((1e-6, 10.0), "slowest speed")):
        with pytest.raises(ValueError, match=message):
            planned(sim, limits={"speed": limits})
    with pytest.raises(KeyError, match="needs a speed or distances"):
        planned(sim, limits={"weights": (0.0, 1.0)})


@pytest.mark.parametrize(
    ("speed", "limits"), [(None, None), pytest.param(5.3, (2.0, 10.0), marks=LONG), pytest.param(300.0, (150.0, 1000.0), marks=LONG)]
)
def test_reverse_mode_equals_forward_mode(speed, limits):
    # Both are exact; 1e-11: the derivative with respect to a speed is a difference of neighbouring steps, which cancel.
    run = planned(simulator(speed=speed, delays="linear"), limits=limits and {"speed": limits})
    given = {"weights": WEIGHTS[None], "a": np.full((1, 8), 0.1)} | ({"speed": np.full(1, speed)} if speed else {})

    def loss(given, tile, forward=False):
        args, initial = traced.arguments(tile, given)
        assert adjoint.transpose(run.program, args["projections"]) is not None  # also where delays are traced
        made = reverse.simulate(run.program, args, initial, start=run.start, stop=run.stop, keep=run.keep, forward=forward)
        return (made.series[0] ** 2).sum()

    with jax.enable_x64(True):
        (tile,) = traced.tiles(run)
        backward = jax.jit(jax.grad(loss))(given, tile)
        forward = jax.jit(jax.jacfwd(functools.partial(loss, forward=True)))(given, tile)
    for path in given:
        size = np.abs(forward[path]).max()
        assert size > 1e-4
        np.testing.assert_allclose(backward[path], forward[path], rtol=0, atol=1e-11 * size)


@LONG
@pytest.mark.parametrize("seed", range(4))
def test_random_graphs(seed):
    # Sparse and dense, weights of both signs, delays of 0 to 150 steps, tiles of one run and of several, every scheme of reading.
    rng = np.random.default_rng(seed)
    n, width = int(rng.integers(3, 20)), int(rng.choice([1, 4]))
    weights = np.where(rng.random((n, n)) < rng.uniform(0.1, 0.9), rng.normal(0, 0.3 / np.sqrt(n), (n, n)), 0.0)
    lengths = rng.uniform(0, rng.choice([2.0, 20.0, 90.0]), (n, n)) * (rng.random((n, n)) < 0.9)
    sc = xr.Dataset({"weights": (DIMS, weights), "distances": (DIMS, lengths, {"units": "mm"})})
    net = xm.Network(
        xm.HopfStep(a=0.1, w=0.3), sc, speed=6.0, delays="linear", coupling=xm.DiffusiveCoupling(k=0.5, source="x", target="x")
    )
    method = ["heun", "euler", "rk4"][seed % 3]
    sim = xm.Simulator(net, dt=0.1, method=method, precision="float64", tile=width)
    start = {"initial": {s: xr.DataArray(rng.normal(0, 0.3, n), dims="region") for s in "xy"}}
    params = xr.Dataset({"a": ("run", np.linspace(-0.1, 0.2, width))})
    run = resolve(sim.config, Request(30.0, params, monitors=["x"], limits={"speed": (3.0, 12.0)}, **start))
    for speed in (3.0, 4.7, 12.0):
        new = {"weights": np.broadcast_to(weights * 1.2, (width, n, n)), "speed": np.full(width, speed)}
        expected = sim.run(30.0, params.assign(weights=(DIMS, weights * 1.2), speed=speed), monitors=["x"], **start).x.isel(time=-1)
        np.testing.assert_allclose(values_of(run, new).T, expected.transpose("run", "region"), rtol=0, atol=1e-12)
