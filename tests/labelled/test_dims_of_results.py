"""What dims, coordinates and labels a result has: every promise of the design's first section."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xmass as xm
from tests.labelled.bad import DIMS, X_TO_X, N, R, network, node, noisy, params, regional
from xmass.core.observe import Timing

RNG = np.random.default_rng(1)
WEIGHTS = xr.DataArray(RNG.uniform(0.1, 1.0, (N, N)) * (1 - np.eye(N)), dims=DIMS, coords={"region": R, "region_other": R})
LENGTHS = xr.DataArray(RNG.integers(1, 9, (N, N)) * 5.0 * (1 - np.eye(N)), dims=DIMS, coords=WEIGHTS.coords)
SC = xr.Dataset({"weights": WEIGHTS, "distances": LENGTHS})
X0 = regional(RNG.normal(size=N))
START = {"x": X0, "y": 0.1}
SUBJECTS = xr.DataArray(["s1", "s2"], dims="subject", name="subject")
COHORT = xr.Dataset({"weights": xr.concat([WEIGHTS, 0.5 * WEIGHTS], SUBJECTS), "distances": LENGTHS})


def short(sim, p=None, **arguments):
    return sim.run(3.0, p, **{"monitors": ["x"], "initial": START, **arguments})


def point(result, **where):
    """One run of a result, without what tells it from the run alone."""
    return result.sel(where).reset_coords(drop=True)


# ---- sweeps
def test_different_dims_combine_and_a_shared_one_pairs():
    p = params(a=("a", [0.1, 0.2]), w=("w", [0.3, 0.4, 0.5]), beta=("a", [1.0, 2.0]))
    run = short(network(SC), p)
    assert run.x.dims == ("a", "w", "time", "region")
    alone = short(network(SC), params(a=0.2, w=0.4, beta=2.0))
    np.testing.assert_allclose(run.x.sel(a=0.2, w=0.4), alone.x, rtol=2e-5, atol=1e-6)  # float32, two tile widths


def test_shared_dims_pair_by_label_not_by_position():
    labels = ["p", "q", "r"]
    a = xr.DataArray([0.1, 0.2, 0.3], dims="point", coords={"point": labels})
    x = xr.DataArray([0.5, 0.6, 0.7], dims="point", coords={"point": labels})
    forward = node().run(3.0, params(a=a), monitors=["x"], initial={"x": x})
    backward = node().run(3.0, params(a=a), monitors=["x"], initial={"x": x[::-1]})
    xr.testing.assert_equal(forward.x, backward.x)


def test_a_parameter_per_region():
    a = regional(np.linspace(-0.1, 0.2, N))
    run = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1, regions=R).run(3.0, params(a=a), monitors=["x"], initial={"x": 0.3})
    assert run.x.dims == ("time", "region") and list(run.region.values) == R
    assert "a" not in run.coords  # it has a region dim
    for name in R:
        alone = node().run(3.0, params(a=float(a.sel(region=name))), monitors=["x"], initial={"x": 0.3})
        np.testing.assert_allclose(run.x.sel(region=name), alone.x[:, 0], rtol=1e-6)


def test_a_parameter_per_region_and_subject():
    a = xr.concat([regional(np.full(N, 0.1)), regional(np.full(N, 0.2))], SUBJECTS)
    run = short(network(SC), params(a=a))
    assert run.x.dims == ("subject", "time", "region")
    np.testing.assert_allclose(run.x.sel(subject="s2"), short(network(SC), params(a=0.2)).x, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("where", ["network", "params"])
def test_a_connectome_per_subject(where):
    if where == "network":
        run = short(network(COHORT))
    else:
        run = short(network(SC), COHORT[["weights"]])
    assert run.x.dims == ("subject", "time", "region")
    for s, factor in (("s1", 1.0), ("s2", 0.5)):
        alone = short(network(SC.assign(weights=factor * WEIGHTS)))
        np.testing.assert_allclose(run.x.sel(subject=s), alone.x, rtol=2e-5, atol=1e-6)


def test_order_of_dims():
    p = params(a=("k", [0.1, 0.2]))
    run = network(COHORT).run(3.0, p, monitors=["x"], batch_size=2, initial={"x": xr.DataArray([0.1, 0.2], dims="start")}, seed=1)
    assert run.x.dims == ("k", "subject", "start", "batch", "time", "region")
    late = xr.Dataset({"a": (("batch", "z"), [[0.1, 0.2], [0.3, 0.4]])}, coords={"lab": ("z", [1, 2])})
    assert noisy().run(1.0, late, monitors=["x"], seed=1).x.dims == ("z", "batch", "time", "region")


def test_a_dim_that_no_parameter_has_is_refused():
    # A misspelt name makes a coordinate, which would be a label: the same run three times, without a word.
    with pytest.raises(ValueError, match=r"'weigth'.*no seed, input or parameter.*parameters\(\)"):
        node().run(1.0, xr.Dataset({"weigth": ("weigth", [0.1, 0.2, 0.3])}))


def test_a_reduction_by_region_has_that_dim():
    class Largest(xm.Observation):
        reduces: ClassVar[bool] = True
        dims: ClassVar[tuple[str, ...]] = ("region",)
        of: Any = eqx.field(static=True, kw_only=True)
        name: str = eqx.field(default="largest", static=True, kw_only=True)

        def timing(self, row):
            return Timing(1, 0)

        def init(self, like):
            return jnp.full_like(like, -jnp.inf)

        def step(self, state, block, timing, row):
            return jnp.maximum(state, jnp.where(block.mask()[:, None, None], block.values, -jnp.inf).max(axis=0)), None

        def value(self, state):
            return state

    p = params(a=("a", [0.1, 0.2]))
    sim = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1, regions=3)
    run = sim.run(40.0, p, monitors={"x": "x", "top": Largest(of="x")}, initial={"x": 0.1})
    assert run.top.dims == ("a", "region")
    np.testing.assert_array_equal(run.top, run.x.max("time"))
    lazy = sim.run(40.0, p, monitors={"top": Largest(of="x")}, initial={"x": 0.1}, chunks={"a": 1})
    np.testing.assert_array_equal(lazy.top, run.top)


def test_dims_of_the_dataset_in_the_order_of_its_sizes():
    p = xr.Dataset({"a": (("z", "y"), np.full((2, 3), 0.1)), "w": ("q", [0.1, 0.2])})
    assert short(node(), p, initial={"x": 0.1}).x.dims == (*p.sizes, "time", "region")


def test_speeds_are_a_dim_and_each_equals_its_own_run():
    speeds = [2.0, 5.0, 1000.0]  # the last: no edge is delayed
    sim = xm.Simulator(xm.Network(xm.HopfStep(w=0.3), SC, speed=2.0, coupling=X_TO_X), dt=0.1, precision="float64")
    swept = sim.run(30.0, params(speed=("speed", speeds)), monitors=["x"], initial=START)
    assert swept.x.dims == ("speed", "time", "region") and swept.speed.attrs["units"] == "mm/ms"
    for v in speeds:
        alone = sim.run(30.0, params(speed=v), monitors=["x"], initial=START)
        np.testing.assert_allclose(swept.x.sel(speed=v), alone.x, rtol=1e-11, atol=1e-13)
    assert abs(swept.x.sel(speed=2.0) - swept.x.sel(speed=5.0)).max() > 1e-3


def test_a_speed_for_a_network_without_one():
    still = xm.Simulator(xm.Network(xm.HopfStep(w=0.3), SC, coupling=X_TO_X), dt=0.1)
    np.testing.assert_allclose(short(still, params(speed=2.0)).x, short(network(SC, speed=2.0)).x, rtol=1e-6)
    assert (
        abs(still.run(30.0, params(speed=2.0), monitors=["x"], initial=START).x - still.run(30.0, monitors=["x"], initial=START).x).max()
        > 1e-3
    )


def test_initial_states_per_region_and_run():
    x0 = xr.concat([0.3 * X0, -0.3 * X0, 0.1 * X0], "start")
    run = network(SC).run(3.0, monitors=["x"], initial={"x": x0})
    assert run.x.dims == ("start", "time", "region")
    np.testing.assert_allclose(run.x[0], -run.x[1], atol=1e-7)  # the equations are odd
    by_params = network(SC).run(3.0, params(**{"initial.x": x0}), monitors=["x"])
    xr.testing.assert_equal(run.x, by_params.x)


def test_inputs_bring_their_dims():
    level = xr.DataArray([0.0, 0.1], dims="level", coords={"level": ["off", "on"]})
    pulse = level * xr.DataArray(np.ones(4), dims="time", coords={"time": np.arange(4.0)})
    for x in (level, pulse):
        run = node().run(3.0, monitors=["x"], inputs={"x": x})
        assert run.x.dims == ("level", "time", "region")
        assert not run.x.sel(level="off").any() and (run.x.sel(level="on") > 0).all()


def test_a_parameter_of_an_observation_and_of_a_coupling_and_of_a_noise():
    bold = xm.BOLDSignal(of="x", tr=1.0)
    p = params(**{"bold.tau": ("tau", [0.9, 1.0]), "coupling.k": ("k", [0.0, 0.5])})
    run = network(SC).run(4.0, p, monitors={"b": bold}, initial=START)
    assert run.b.dims == ("tau", "k", "b_time", "region")
    assert run["bold.tau"].attrs["units"] == "s" and run["coupling.k"].attrs["units"] == "1/ms"
    sigma = noisy().run(2.0, params(**{"noise_x.sigma": ("s", [0.0, 0.1, 0.2])}), monitors=["x"], seed=0)
    assert not sigma.x[0].any()
    np.testing.assert_allclose(sigma.x[2, :3], 2 * sigma.x[1, :3], rtol=0.01)  # nearly linear while it is small


# ---- coordinates
def test_coordinates_are_the_varied_parameters_and_the_labels():
    p = xr.Dataset(
        {"a": ("point", [0.1, 0.2]), "beta": 2.0, "w": regional(np.full(N, 0.3))},
        coords={"point": ["one", "two"], "condition": ("point", ["rest", "task"]), "session": 7},
    )
    run = short(network(SC), p)
    assert list(run.point.values) == ["one", "two"]
    assert list(run.condition.values) == ["rest", "task"]
    assert run.a.dims == ("point",) and run.a.attrs == {"units": "1/ms", "long_name": "distance to the bifurcation"}
    assert int(run.session) == 7
    assert "beta" not in run.coords and "w" not in run.coords
    assert run.diverged.dims == ("point",) and run.diverged.dtype == bool


def test_an_index_that_is_a_parameter_keeps_its_labels_and_its_unit():
    p = xr.Dataset(coords={"a": ("a", [100.0, 200.0], {"units": "Hz"})})
    run = short(node(), p, initial={"x": 0.1})
    assert run.a.attrs["units"] == "Hz" and list(run.a.values) == [100.0, 200.0]
    plain = short(node(), params(a=("a", [0.1, 0.2])), initial={"x": 0.1})
    np.testing.assert_array_equal(run.x, plain.x)


def test_coordinates_of_regions_are_kept():
    sc = SC.assign_coords(hemisphere=("region", ["L", "L", "R", "R"]), cortical=("region", [True, True, False, True]))
    run = short(network(sc))
    assert list(run.hemisphere.values) == ["L", "L", "R", "R"] and list(run.cortical.values) == [True, True, False, True]


def test_seed_is_a_coordinate_and_data():
    run = noisy().run(1.0, monitors=["x"], seed=5)
    assert int(run.seed) == 5 and run.seed.dims == ()
    run = noisy().run(
        1.0, monitors=["x"], seed=xr.DataArray(np.array([5, 2**63 + 1], np.uint64), dims="trial", coords={"trial": ["p", "q"]})
    )
    assert run.x.dims == ("trial", "time", "region") and run.seed.values.tolist() == [5, 2**63 + 1]
    xr.testing.assert_equal(point(run.x, trial="p"), noisy().run(1.0, monitors=["x"], seed=5).x.reset_coords(drop=True))
    drawn = noisy().run(1.0, monitors=["x"])
    xr.testing.assert_equal(drawn.x, noisy().run(1.0, monitors=["x"], seed=int(drawn.seed)).x)
    assert "seed" not in node().run(1.0, monitors=["x"]).coords


def test_far_apart_seeds_are_different_seeds():
    # jax.random.key makes these one key
    run = noisy().run(1.0, monitors=["x"], seed=xr.DataArray([0, 2**32, 2**40], dims="s"))
    assert len(np.unique(run.x.isel(time=-1, region=0))) == 3


# ---- time
def test_stamps_are_the_ends_of_steps_after_the_transient():
    run = node().run(2.0, monitors=["x"], transient=0.5)
    np.testing.assert_allclose(run.time, np.arange(6, 21) * 0.1, rtol=1e-12)
    assert run.time.dtype == np.float64 and run.time.attrs["units"] == "ms" and run.time.attrs["axis"] == "T"
    whole = node().run(2.0, monitors=["x"])
    xr.testing.assert_equal(whole.x.isel(time=slice(5, None)).drop_vars("time"), run.x.drop_vars("time"))


@pytest.mark.parametrize("every", [5, 0.5])
def test_sample_every_is_a_number_of_steps_or_a_time(every):
    whole = node().run(3.0, monitors=["x"], initial={"x": 0.1})
    thin = node().run(3.0, monitors=["x"], initial={"x": 0.1}, transient=0.7, sample_every=every)
    np.testing.assert_allclose(thin.time, [1.0, 1.5, 2.0, 2.5, 3.0], rtol=1e-12)  # multiples of the period, after the transient
    xr.testing.assert_equal(thin.x.drop_vars("time"), whole.x[4::5][1:].drop_vars("time"))


def test_observations_start_at_zero_and_have_their_own_clock():
    seen = {"mean": xm.TemporalAverage(of="x", period=0.4), "x": "x"}
    run = node().run(2.0, monitors=seen, transient=0.5, initial={"x": 0.3})
    np.testing.assert_allclose(run.mean_time, [0.8, 1.2, 1.6, 2.0], rtol=1e-12)
    whole = node().run(2.0, monitors=["x"], initial={"x": 0.3}).x
    expected = whole.values.reshape(5, 4, 1).mean(axis=1)[1:]  # the window from 0.4 to 0.8 ms began before the transient ended
    np.testing.assert_allclose(run["mean"], expected, rtol=1e-6)


def test_every_variable_of_time_has_one_time_dim():
    run = network(SC).run(
        4.0, monitors={"x": "x", "b": xm.BOLDSignal(of="x", tr=1.0), "fc": xm.FunctionalConnectivity(of="x")}, initial=START
    )
    assert run.x.dims == ("time", "region") and run.b.dims == ("b_time", "region") and run.fc.dims == ("region", "region_other")
    assert list(run.region_other.values) == R


# ---- one node, a bank
def test_a_lone_node_and_a_bank():
    assert list(node().run(1.0).region.values) == [0]
    assert set(node().run(1.0).data_vars) == {"x", "y"}  # all states by default
    bank = xm.Simulator(xm.HopfStep(), dt=0.1, regions=3)
    assert list(bank.run(1.0).region.values) == [0, 1, 2]
    assert list(xm.Simulator(xm.HopfStep(), dt=0.1, regions=["left", "right"]).run(1.0).region.values) == ["left", "right"]
    by_field = xm.Simulator(xm.HopfStep(a=regional(np.zeros(N))), dt=0.1)
    assert list(by_field.run(1.0).region.values) == R


# ---- relabelling
@settings(max_examples=5)
@given(order=st.permutations(range(N)))
def test_relabelling_regions_relabels_the_result(order):
    sim = network(SC, speed=5.0)
    moved = network(SC.isel(region=order, region_other=order), speed=5.0)
    a = regional(np.linspace(0.0, 0.2, N))
    here, there = short(sim, params(a=a)), short(moved, params(a=a))
    assert list(there.region.values) == [R[i] for i in order]
    np.testing.assert_allclose(there.x.sel(region=R), here.x, rtol=2e-5, atol=1e-6)  # sums over regions in another order
