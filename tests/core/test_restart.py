"""A run cut in two by restart=True equals the uninterrupted run, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.core.test_same_noise import DT, network

BOLD = xm.BOLDSignal(of="x", tr=4.0, name="hemo")
MONITORS = {"x": "x", "y": "y", "bold": BOLD, "mean": xm.TemporalAverage(of="x", period=2.0)}


def sweep():
    return xr.Dataset({"coupling.k": ("k", [0.1, 0.3, 0.2])}, coords={"k": [1, 2, 3]})


def joined(first, second, names):
    return {n: xr.concat([first[n], second[n]], dim=next(d for d in first[n].dims if str(d).endswith("time"))) for n in names}


def assert_same(whole, parts):
    for name, values in parts.items():
        dim = next(d for d in values.dims if str(d).endswith("time"))
        np.testing.assert_array_equal(values.transpose(*whole[name].dims).values, whole[name].values, err_msg=name)
        # Stamps are absolute; step * dt in one product for both.
        np.testing.assert_array_equal(values[dim].values, whole[name][dim].values)


@pytest.mark.parametrize(
    ("precision", "method", "cut"),
    [("float64", "heun", 24.0), pytest.param("float64", "heun", 52.0, marks=pytest.mark.long), ("float32", "euler", 24.0)],
)
def test_a_delayed_noisy_network_continues(precision, method, cut):
    # Delays up to 3.9 ms, white and OU noise, BOLD with its haemodynamic state, an average; the cut is inside a segment.
    sim = xm.Simulator(network(), dt=DT, method=method, precision=precision)
    whole = sim.run(80.0, monitors=MONITORS, initial={"x": 0.1}, seed=3)
    first = sim.run(cut, monitors=MONITORS, initial={"x": 0.1}, seed=3, restart=True)
    second = sim.run(80.0 - cut, monitors=MONITORS, initial=first)
    assert_same(whole, joined(first, second, MONITORS))


@pytest.mark.parametrize("batch", [None, pytest.param(2, marks=pytest.mark.long)])
def test_a_sweep_continues_all_at_once_and_each_run_alone(batch):
    sim = xm.Simulator(network(), dt=DT, precision="float64", tile=4)
    whole = sim.run(40.0, sweep(), monitors=MONITORS, seed=3, batch_size=batch)
    first = sim.run(16.0, sweep(), monitors=MONITORS, seed=3, batch_size=batch, restart=True)
    second = sim.run(24.0, sweep(), monitors=MONITORS, initial=first)
    assert_same(whole, joined(first, second, MONITORS))
    if batch is None:
        alone = sim.run(24.0, sweep().isel(k=[1]), monitors=MONITORS, initial=first.isel(k=[1]))
        assert_same(whole.isel(k=[1]), joined(first.isel(k=[1]), alone, MONITORS))


def test_many_cuts_equal_none():
    sim = xm.Simulator(network(), dt=DT, precision="float64")
    whole = sim.run(40.0, monitors=["x"], seed=9).x
    part = sim.run(0.1, monitors=["x"], seed=9, restart=True)
    series = [part.x]
    for length in (0.1, 0.7, 3.1, 6.0, 30.0):
        part = sim.run(length, monitors=["x"], initial=part, restart=True)
        series.append(part.x)
    np.testing.assert_array_equal(xr.concat(series, "time").values, whole.values)


@pytest.mark.parametrize("delays", ["nearest", "linear"])
def test_an_undelayed_and_an_interpolated_network_continue(delays):
    base = network(delays=False) if delays == "nearest" else network()
    net = xm.Network(base.node, base.connectome, speed=base.speed and 1.37, coupling=base.coupling, delays=delays)
    sim = xm.Simulator(net, dt=DT, precision="float64")
    whole = sim.run(20.0, seed=3)
    first = sim.run(7.3, seed=3, restart=True)
    second = sim.run(12.7, initial=first)
    assert_same(whole, joined(first, second, ["x", "y"]))


def test_a_stimulus_goes_on_in_absolute_time():
    sim = xm.Simulator(network(), dt=DT, precision="float64")
    drive = {"x": lambda t: 0.1 * np.sin(0.5 * t), "y": 0.01}
    whole = sim.run(20.0, seed=3, inputs=drive)
    first = sim.run(7.3, seed=3, inputs=drive, restart=True)
    second = sim.run(12.7, initial=first, inputs=drive)
    assert_same(whole, joined(first, second, ["x", "y"]))


def test_the_end_state_is_the_last_sample_and_the_history_before_it():
    sim = xm.Simulator(network(), dt=DT, precision="float64")
    run = sim.run(20.0, seed=3, restart=True)
    past = run["initial.x"]
    assert past.dims == ("lag", "region")
    newest_first = run.x.values[::-1][: past.sizes["lag"]]
    np.testing.assert_array_equal(past.values, newest_first)
    np.testing.assert_array_equal(run["initial.y"].values, run.y.values[-1])
    assert int(run["initial.step"]) == 200


def test_reductions_start_anew():
    sim = xm.Simulator(network(), dt=DT, precision="float64")
    fc = {"x": "x", "fc": xm.FunctionalConnectivity(of="x")}
    first = sim.run(20.0, monitors=fc, seed=3, restart=True)
    second = sim.run(30.0, monitors=fc, initial=first)
    np.testing.assert_allclose(second.fc, np.corrcoef(second.x.values.T), atol=1e-13)
