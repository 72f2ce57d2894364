"""Runs that continue others, or borrow dims, labels and values from their results."""

from __future__ import annotations

import time

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.labelled.bad import DIMS, N, R, bold, network, node, noisy, params, refused

RNG = np.random.default_rng(5)
WEIGHTS = xr.DataArray(RNG.uniform(0.1, 1.0, (N, N)) * (1 - np.eye(N)), dims=DIMS, coords={"region": R, "region_other": R})
SC = xr.Dataset({"weights": WEIGHTS, "distances": 10.0 * WEIGHTS})
START = {"x": 0.1, "y": 0.1}


def hopf(dt=0.1, **arguments):
    return xm.Simulator(xm.HopfStep(w=0.3), dt=dt, **arguments)


# ---- a label says what was simulated
def swept():
    return hopf().run(2.0, params(a=("a", [-0.1, 0.1])), monitors=["x"], initial=START, restart=True)


PULSES = xr.DataArray([0.1, 0.2], dims="a", coords={"a": [1, 2]})
LABELS = {
    "a result": (lambda: {"initial": swept()}, "initial.x brings the dim 'a'"),
    "a state": (lambda: {"initial": {"x": swept().x.isel(time=-1)}}, "initial.x brings the dim 'a'"),
    "an input": (lambda: {"inputs": {"x": PULSES}, "initial": START}, "inputs['x'] brings"),
    "beside a sweep": (lambda: {"params": params(w=("k", [0.1])), "initial": {"x": swept().x[:, -1]}}, "initial.x brings"),
}


@pytest.mark.parametrize(("arguments", "said"), LABELS.values(), ids=LABELS)
def test_a_dim_called_like_a_parameter_is_one_of_that_parameter(arguments, said):
    given = arguments()
    refused(lambda: hopf().run(2.0, monitors=["x"], **given), ValueError, [said, "dim 'a'", "params=xr.Dataset({'a'", ".rename({'a'"])


def test_a_connectome_with_a_dim_called_like_a_parameter():
    weights = xr.concat([WEIGHTS, 2 * WEIGHTS], xr.DataArray([1.0, 2.0], dims="w", name="w"))
    sim = network(xr.Dataset({"weights": weights}), speed=None)
    refused(lambda: sim.run(2.0), ValueError, ["the connectome brings the dim 'w'"])


def test_a_dim_called_like_a_parameter_is_fine_where_the_parameter_has_it_or_it_is_renamed():
    first = swept()
    again = hopf().run(2.0, params(a=("a", [-0.1, 0.1])), monitors=["x"], initial=first)
    assert again.a.values.tolist() == [-0.1, 0.1]
    other = hopf().run(2.0, monitors=["x"], initial={"x": first.x.isel(time=-1).rename(a="a_before")})
    assert other.a_before.values.tolist() == [-0.1, 0.1] and "a" not in other.coords


# ---- weights with labels on one axis
@pytest.mark.parametrize("kept", ["region", "region_other"])
def test_weights_with_labels_on_one_axis_are_aligned_on_both(kept):
    sim = network(SC)
    shuffled = (2.0 * WEIGHTS).isel(region=[2, 0, 3, 1], region_other=[2, 0, 3, 1])
    other = next(d for d in DIMS if d != kept)
    start = {"x": xr.DataArray(RNG.normal(size=N), dims="region", coords={"region": R}), "y": 0.1}
    right = sim.run(3.0, params(weights=2.0 * WEIGHTS), monitors=["x"], initial=start)
    made = sim.run(3.0, params(weights=shuffled.drop_vars(other)), monitors=["x"], initial=start)
    np.testing.assert_array_equal(made.x, right.x)


# ---- the clock
def test_a_run_with_another_dt_goes_on_at_the_same_time():
    first = hopf(0.1).run(20.0, monitors=["x"], initial=START, restart=True)
    assert first["initial.step"].attrs["dt"] == 0.1
    for dt in (0.05, 0.1, 0.2):
        second = hopf(dt).run(10.0, monitors=["x"], initial=first, restart=True)
        np.testing.assert_allclose(second.time[[0, -1]], [20.0 + dt, 30.0], atol=1e-9)
        assert int(second["initial.step"]) == round(30.0 / dt) and second["initial.step"].attrs["dt"] == dt
        np.testing.assert_array_equal(xm.rerun(second).x, second.x)
        np.testing.assert_array_equal(xm.rerun(second).time, second.time)


def test_a_time_that_is_no_step_of_the_other_dt_is_refused():
    first = hopf(0.1).run(20.1, monitors=["x"], initial=START, restart=True)
    said = ["20.1 ms", "dt=0.1 ms", "not a multiple of dt=0.2 ms", "drop_vars('initial.step')"]
    refused(lambda: hopf(0.2).run(10.0, initial=first), ValueError, said)
    assert float(hopf(0.2).run(10.0, initial=first.drop_vars("initial.step")).time[0]) == 0.2


def test_an_end_state_without_its_dt_counts_in_steps_of_the_run():
    first = hopf(0.1).run(20.0, initial=START, restart=True)
    first["initial.step"].attrs.clear()
    assert float(hopf(0.2).run(1.0, initial=first).time[0]) == pytest.approx(40.2)


@pytest.mark.long
def test_a_delayed_history_goes_on_with_another_dt():
    sim = {dt: xm.Simulator(network(SC).system, dt=dt, precision="float64") for dt in (0.1, 0.05)}
    first = sim[0.1].run(4.0, monitors=["x"], initial=START, restart=True)
    ends = [s.run(4.0, monitors=["x"], initial=first).x.sel(time=8.0, method="nearest") for s in sim.values()]
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-3)
    assert sim[0.05].run(4.0, initial=first).time.values[-1] == pytest.approx(8.0)


# ---- other monitors
def test_a_state_of_an_observation_that_is_not_made_again_is_named():
    first = node().run(4.0, monitors={"b": bold(name="hemo")}, initial=START, restart=True)
    said = ["initial.hemo.x", "the state of 'hemo'", "monitors={", "'initial.hemo.f', 'initial.hemo.v', 'initial.hemo.q'"]
    refused(lambda: node().run(4.0, monitors=["x"], initial=first), KeyError, ["drop_vars(", *said])
    node().run(4.0, monitors=["x"], initial=first.drop_vars([f"initial.hemo.{n}" for n in "xfvq"]))


def test_an_observation_does_not_start_in_the_middle():
    first = node().run(4.0, monitors=["x"], initial=START, restart=True)
    said = ["continues at step 40", "'initial.bold.x'", "first part with that monitor", "drop_vars('initial.step')"]
    refused(lambda: node().run(4.0, monitors={"b": bold()}, initial=first), ValueError, said)
    assert float(node().run(4.0, monitors={"b": bold()}, initial=first.drop_vars("initial.step")).b_time[0]) == 1.0


def test_half_a_state_of_an_observation_is_refused():
    first = node().run(4.0, monitors={"b": bold()}, initial=START, restart=True).drop_vars("initial.bold.q")
    refused(lambda: node().run(4.0, monitors={"b": bold()}, initial=first), ValueError, ["lacks ['initial.bold.q']", "drop_vars("])


# ---- values out of a result
def test_the_stamp_of_a_value_is_no_label():
    ds = hopf().run(4.0, monitors={"x": "x", "m": xm.TemporalAverage(of="x", period=1.0)}, initial=START)
    for value in (ds.x.isel(time=-1), ds.m.isel(m_time=-1).rename(m_time="when"), ds.x.isel(time=-1).assign_coords(lag=0.0)):
        run = hopf().run(1.0, params(**{"initial.x": value}), monitors={"x": "x", "m": xm.TemporalAverage(of="x", period=1.0)})
        np.testing.assert_allclose(run.x[0], value, atol=0.2)
        assert not {"when", "lag"} & set(run.coords)
        assert run.time.dims == ("time",)


# ---- chunks, dt, labels
def test_chunked_parameters_with_a_region_dim():
    a = xr.DataArray(RNG.uniform(-0.1, 0.1, (4, 3)), dims=("k", "region"))
    sim = hopf(regions=3)
    eager = sim.run(2.0, params(a=a), monitors=["x"], initial=START)
    lazy = sim.run(2.0, params(a=a).chunk({"k": 2}), monitors=["x"], initial=START)
    assert lazy.x.chunksizes["k"] == (2, 2)
    np.testing.assert_array_equal(lazy.x, eager.x)


@pytest.mark.parametrize("dt", [np.float32(0.1), np.array(0.1, np.float32)], ids=["scalar", "array"])
def test_a_dt_in_single_precision_is_the_decimal_that_was_meant(dt):
    sim = hopf(dt)
    assert sim.dt == 0.1
    assert sim.run(100.0, monitors=["x"], initial=START).sizes["time"] == 1000


def test_repeated_labels_are_found_in_linear_time():
    labels = np.r_[np.arange(30_000), 0]
    a = xr.DataArray(np.zeros(len(labels)), dims="k", coords={"k": labels})
    started = time.process_time()
    refused(lambda: hopf().run(1.0, params(a=a)), ValueError, ["repeats the labels ['0'] along 'k'"])
    many = hopf(regions=30_000)
    regional = xr.DataArray(np.zeros(len(labels)), dims="region", coords={"region": labels})
    refused(lambda: many.run(1.0, params(a=regional)), ValueError, ["repeats ['0']"])
    assert time.process_time() - started < 5.0


def test_the_label_of_one_subject_reaches_the_result():
    cohort = xr.Dataset({"weights": xr.concat([WEIGHTS, 2 * WEIGHTS], xr.DataArray(["S1", "S2"], dims="subject", name="subject"))})
    one = cohort.sel(subject="S2").assign_coords(age=31.0)
    run = network(one, speed=None).run(2.0, monitors=["x"], initial=START, restart=True)
    assert run.subject.item() == "S2" and run.age.item() == 31.0
    assert run.subject.dims == ()
    again = network(one, speed=None).run(2.0, monitors=["x"], initial=run)
    assert again.subject.item() == "S2"
    assert xm.rerun(run).subject.item() == "S2"
    assert network(one, speed=None).run(2.0, cohort, monitors=["x"], initial=START).subject.values.tolist() == ["S1", "S2"]


def test_the_label_of_one_subject_reaches_a_store(tmp_path):
    one = SC.assign_coords(subject="S2")
    run = network(one).run_to_zarr(tmp_path / "s.zarr", 2.0, params(a=("a", [0.1, 0.2])), monitors=["x"], initial=START)
    assert run.subject.item() == "S2"


@pytest.mark.parametrize("name", ["a", "y", "x", "m", "m_time", "time", "seed", "diverged"])
def test_a_label_of_the_connectome_gives_way_to_a_name_of_the_run(name):
    watched = {"x": "x", "m": xm.TemporalAverage(of="x", period=1.0)}
    plain = network(SC).run(2.0, params(a=0.2), monitors=watched, initial=START)
    run = network(SC.assign_coords({name: 7.0})).run(2.0, params(a=0.2), monitors=watched, initial=START)
    xr.testing.assert_equal(run, plain)


def test_noise_goes_on_without_its_observers():
    first = noisy().run(4.0, monitors=["x"], initial=START, seed=1, restart=True)
    second = noisy().run(4.0, monitors=["x", "y"], initial=first)
    whole = noisy().run(8.0, monitors=["x", "y"], initial=START, seed=1)
    np.testing.assert_array_equal(second.y, whole.y[40:])
