"""A noise without a model: the variable ``noise``, its parameters, and everything that a run of a model has."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.core.test_noise import normals
from tests.core.test_noise_processes import lag_one


@pytest.mark.parametrize(("tau", "rho"), [(5.0, 0.98020), (40.0, 0.99750)])
def test_walkthrough_a_sampled_ou_noise_has_its_spread_and_memory(tau, rho):
    # 100 ms in steps of 0.1 ms, 2000 regions, no mean removed. Lag-1: residuals are independent, error sqrt((1 - rho^2) / n).
    # Spread: 2000 independent values at every time; over all about 100 / tau independent squares more per region.
    noise = xm.Simulator(xm.OUProcess(sigma=1.0, tau=tau), dt=0.1, regions=2000).run(100.0, seed=1).noise
    x = noise.values.astype(np.float64)
    assert noise.dims == ("time", "region") and noise.shape == (1000, 2000)
    assert np.exp(-0.1 / tau) == pytest.approx(rho, abs=5e-6)
    assert abs(lag_one(x) - np.exp(-0.1 / tau)) < 5 * np.sqrt((1 - rho**2) / x.size)
    assert abs(x.std() - 1.0) < 5 * np.sqrt(1 / (2 * 2000 * 100 / tau))
    for at in (0, 500, -1):
        assert abs(x[at].std() - 1.0) < 5 * np.sqrt(1 / (2 * 2000))


def test_a_single_trace_of_slow_noise_shows_less():
    # 100 ms are 2.5 correlation times of 40 ms: 0.67 +- 0.21 over traces, as a mean over 2000 of them, 0.67 +- 0.005.
    x = xm.Simulator(xm.OUProcess(sigma=1.0, tau=40.0), dt=0.1, regions=2000).run(100.0, seed=1).noise
    single = x.std("time")
    assert float(single.mean()) == pytest.approx(0.67, abs=0.005 + 5 * 0.21 / np.sqrt(2000))
    assert float(single.std()) == pytest.approx(0.21, abs=0.005 + 5 * 0.21 / np.sqrt(2 * 2000))


def test_white_noise_is_its_mean_over_each_step():
    for dt in (0.1, 0.4):
        x = xm.Simulator(xm.WhiteNoise(sigma=0.5), dt=dt, regions=2000, precision="float64").run(100 * dt, seed=1).noise
        np.testing.assert_allclose(x, 0.5 / np.sqrt(dt) * normals(1, "noise", 100, 2000).astype(np.float64), rtol=1e-12)
    assert x.attrs["units"] == "1"


def test_what_it_adds_to_a_model_is_what_it_shows():
    # The same key words for both: the noise of noise_x under the name noise. An Euler step adds dt times it.
    process = xm.OUProcess(sigma=0.3, tau=2.0, mean=0.1)
    x = xm.Simulator(xm.LinearStep(gamma=0.0, noise_x=process), dt=0.1, method="euler", regions=3, precision="float64").run(
        20.0, initial={"x": 0.0}, seed=1
    )
    added = np.diff(x.x.values, axis=0, prepend=0.0) / 0.1
    z = normals(1, "noise", 200, 3).astype(np.float64)
    alone = xm.Simulator(process, dt=0.1, regions=3, precision="float64").run(20.0, seed=1).noise.values
    rho = np.exp(-0.1 / 2.0)
    np.testing.assert_allclose(alone[1:] - 0.1, rho * (alone[:-1] - 0.1) + 0.3 * np.sqrt(1 - rho**2) * z[:-1], rtol=0, atol=1e-12)
    z = normals(1, "noise_x", 200, 3).astype(np.float64)
    np.testing.assert_allclose(added[1:] - 0.1, rho * (added[:-1] - 0.1) + 0.3 * np.sqrt(1 - rho**2) * z[:-1], rtol=0, atol=1e-11)


def test_its_parameters_are_listed_with_units():
    listed = {
        xm.WhiteNoise: {"noise.sigma": "ms^0.5"},
        xm.OUProcess: {"noise.sigma": "1", "noise.tau": "ms", "noise.mean": "1"},
        xm.BrownianNoise: {"noise.sigma": "1/ms^0.5"},
        xm.GaussianNoise: {"noise.sigma": "1"},
        xm.ColoredNoise: {"noise.sigma": "1", "noise.exponent": "1", "noise.slowest": "ms"},
    }
    for kind, units in listed.items():
        found = xm.Simulator(kind(), dt=0.1).parameters()
        assert {n: v.attrs["units"] for n, v in found.items()} == units


def test_it_is_swept_in_trials_with_several_regions():
    p = xr.Dataset({"noise.tau": ("tau", [5.0, 40.0]), "noise.sigma": ("region", [1.0, 2.0, 0.0])})
    run = xm.Simulator(xm.OUProcess(), dt=0.1, regions=3).run(5.0, p, batch_size=4, seed=1)
    assert dict(run.noise.sizes) == {"tau": 2, "batch": 4, "time": 50, "region": 3}
    assert (run.noise.isel(region=2) == 0).all()
    assert run["noise.tau"].dims == ("tau",)
    # trials have seeds of their own, the sweep shares them: at the start both are sigma times the same number
    np.testing.assert_array_equal(run.noise.isel(tau=0, time=0), run.noise.isel(tau=1, time=0))
    assert len(np.unique(run.noise.isel(tau=0, time=0, region=0))) == 4


@pytest.mark.long
def test_regions_come_from_its_parameters():
    sigma = xr.DataArray([1.0, 2.0], dims="region", coords={"region": ["left", "right"]})
    run = xm.Simulator(xm.PinkNoise(sigma=sigma), dt=0.1).run(1.0, seed=1)
    assert run.region.values.tolist() == ["left", "right"]
    assert xm.Simulator(xm.PinkNoise(), dt=0.1).run(1.0, seed=1).sizes["region"] == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "process", [xm.OUProcess(tau=3.0), xm.BrownianNoise(), xm.PinkNoise(), xm.WhiteNoise()], ids=lambda p: type(p).__name__
)
def test_it_continues_and_is_stored_and_made_again(process, tmp_path):
    sim = xm.Simulator(process, dt=0.1, regions=3)
    p = xr.Dataset({"noise.sigma": ("s", [1.0, 2.0])})
    whole = sim.run(12.0, p, seed=1)
    first = sim.run(5.3, p, seed=1, restart=True)
    second = sim.run(6.7, p, initial=first)
    np.testing.assert_array_equal(xr.concat([first.noise, second.noise], "time").transpose(*whole.noise.dims), whole.noise)
    np.testing.assert_array_equal(xm.rerun(whole).noise, whole.noise)
    np.testing.assert_array_equal(xm.rerun(second).noise, second.noise)
    stored = sim.run_to_zarr(tmp_path / "s.zarr", 5.3, p, seed=1, chunks={"s": 1}, restart=True)
    xr.testing.assert_equal(stored.load().noise, first.noise)
    np.testing.assert_array_equal(sim.run(6.7, p, initial=stored).noise, second.noise)


def test_it_starts_where_it_is_told_and_inputs_add_to_it():
    sim = xm.Simulator(xm.OUProcess(sigma=0.0, tau=2.0), dt=0.1)
    x = sim.run(1.0, initial={"noise": 3.0}, inputs={"noise": 0.5}, seed=1).noise.values[:, 0]
    np.testing.assert_allclose(x, 0.5 + 3.0 * np.exp(-np.arange(10) * 0.1 / 2.0), rtol=1e-6)


def test_it_is_observed_as_any_state():
    seen = {"mean": xm.TemporalAverage(of="noise", period=1.0), "noise": "noise", "square": lambda s: s.noise**2}
    run = xm.Simulator(xm.PinkNoise(), dt=0.1, regions=3, precision="float64").run(10.0, monitors=seen, seed=1)
    np.testing.assert_allclose(run["mean"], run.noise.values.reshape(10, 10, 3).mean(axis=1), rtol=0, atol=1e-13)
    np.testing.assert_allclose(run.square, run.noise**2, rtol=1e-13)
    assert xm.plan(xm.Simulator(xm.PinkNoise(), dt=0.1, regions=3), 10.0) is not None
