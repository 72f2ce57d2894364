"""Each process against its own theory, over 2000 independent regions: variance, correlation in time, independence of regions and runs."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.core.test_noise import normals

PROCESSES = {
    "white": xm.WhiteNoise(sigma=0.3),
    "ou": xm.OUProcess(sigma=0.3, tau=2.0),
    "brownian": xm.BrownianNoise(sigma=0.3),
    "gaussian": xm.GaussianNoise(sigma=0.3),
    "pink": xm.PinkNoise(sigma=0.3, slowest=100.0),
    "blue": xm.BlueNoise(sigma=0.3, slowest=100.0),
    "violet": xm.VioletNoise(sigma=0.3, slowest=100.0),
}
every_process = pytest.mark.parametrize("name", PROCESSES)


def alone(process, *, dt=0.1, duration=20.0, regions=2000, seed=1, precision="float64", **options):
    """The process itself, ``(..., time, region)``."""
    return xm.Simulator(process, dt=dt, regions=regions, precision=precision).run(duration, seed=seed, **options).noise.values


@functools.cache
def two_trials(name):
    """Two runs of a process, ``(batch, time, region)``."""
    return alone(PROCESSES[name], batch_size=2)


def lag_one(x):
    return (x[1:] * x[:-1]).sum() / (x[:-1] ** 2).sum()


# ---- independence
@pytest.mark.long
@every_process
def test_item_12_runs_are_independent(name):
    # Correlation over 2000 regions at one time: a standard error of 1 / sqrt(2000) each, and no two times are the same number.
    first, second = two_trials(name)
    for at in (1, 50, -1):
        assert abs(np.corrcoef(first[at], second[at])[0, 1]) < 5 / np.sqrt(2000)
    assert not (first[1:] == second[1:]).any()


@every_process
def test_item_11_regions_are_independent_and_their_mean_is_free(name):
    # Neighbours, the two halves of a pair of draws, and the mean over regions, which noise drawn over regions would hold at zero.
    x = two_trials(name)[0]
    for shift in (1, 2, 1000):
        for at in (1, 50, -1):
            assert abs(np.corrcoef(x[at], np.roll(x[at], shift))[0, 1]) < 5 / np.sqrt(2000)
    at = [10 * k for k in range(1, 20)]
    scaled = x[at].mean(axis=1) / x[at].std(axis=1) * np.sqrt(2000)  # standard normal, 19 of them
    assert np.abs(scaled).max() < 5
    assert np.abs(scaled).max() > 0.5


# ---- Ornstein-Uhlenbeck
@pytest.mark.parametrize(("tau", "dt"), [(5.0, 1.0), (1.0, 1.0), (0.25, 1.0)])
def test_item_13_ou_has_the_declared_spread_and_correlation_for_any_step(tau, dt):
    # dt / tau = 0.2, 1 and 4. The form x + (1 - exp(-dt/tau)) (mu - x) + sigma sqrt(dt/tau) xi has 0.779 and 1.075 times
    # sigma at the first two: 22 % and 7.5 % away, more than 30 standard errors.
    x = alone(xm.OUProcess(sigma=0.7, tau=tau), dt=dt, duration=500 * dt)
    rho, n = np.exp(-dt / tau), x.size
    assert abs(x.var() / 0.49 - 1) < 5 * np.sqrt(2 / n * (1 + rho**2) / (1 - rho**2))
    assert abs(lag_one(x) - rho) < 5 * np.sqrt((1 - rho**2) / n)
    for at in (0, 1, -1):
        assert abs(x[at].var() / 0.49 - 1) < 5 * np.sqrt(2 / 2000)
    # one step of the exact transition, number by number
    z = normals(1, "noise", 500, 2000).astype(np.float64)
    np.testing.assert_allclose(x[1:], rho * x[:-1] + 0.7 * np.sqrt(1 - rho**2) * z[:-1], rtol=0, atol=1e-12)


# ---- Brownian
def test_brownian_motion_starts_at_zero_and_its_variance_grows_with_time():
    sigma, dt = 0.3, 0.1
    x = alone(xm.BrownianNoise(sigma=sigma), dt=dt, duration=100.0)
    assert (x[0] == 0).all()
    for at in (1, 10, 100, 999):  # value k is held from k dt on
        assert abs(x[at].var() / (sigma**2 * at * dt) - 1) < 5 * np.sqrt(2 / 2000)
    steps = np.diff(x, axis=0)
    assert abs(lag_one(steps)) < 5 / np.sqrt(steps.size)
    np.testing.assert_allclose(steps, sigma * np.sqrt(dt) * normals(1, "noise", 999, 2000), rtol=0, atol=1e-12)


def test_brownian_motion_does_not_depend_on_the_step_and_starts_where_it_is_told():
    for dt in (0.5, 0.05):
        x = alone(xm.BrownianNoise(sigma=0.3), dt=dt, duration=20.0 + dt, initial={"noise": 2.0})
        assert (x[0] == 2.0).all()
        assert abs((x[-1] - 2.0).var() / (0.09 * 20.0) - 1) < 5 * np.sqrt(2 / 2000)


# ---- per step
def leaky(noise, dt, **options):
    """Stationary values of dx = (-x + noise) dt over 4000 nodes, ``(run, region)``."""
    bank = xm.LinearStep(gamma=-1.0, noise_x=noise)
    sim = xm.Simulator(bank, dt=dt, regions=4000, precision="float64")
    return sim.run(10.0, initial={"x": 0.0}, seed=1, transient=10.0 - dt, **options).x.isel(time=-1).values


@pytest.mark.parametrize(("dt", "spread"), [(0.1, 0.2239), (0.01, 0.0708)])
def test_item_12_noise_per_step_is_named_so_and_fades_with_the_step(dt, spread):
    # sigma sqrt(dt / 2), to 0.5 % (dt^2 in Heun's method) beside the Monte-Carlo error.
    found = leaky(xm.GaussianNoise(sigma=1.0), dt).std()
    assert abs(found / spread - 1) < 5 * np.sqrt(1 / 8000) + 0.005


@pytest.mark.parametrize("dt", [0.1, 0.01])
def test_item_12_white_noise_keeps_its_effect_at_any_step(dt):
    # dx = -x dt + sigma dW has the variance sigma^2 / 2; Heun's method adds a relative error of order dt^2.
    found = leaky(xm.WhiteNoise(sigma=1.0), dt).var()
    assert abs(found / 0.5 - 1) < 5 * np.sqrt(2 / 4000) + dt**2


def test_white_noise_is_noise_per_step_over_the_root_of_the_step():
    white, other = leaky(xm.WhiteNoise(sigma=1.0), 0.1), leaky(xm.GaussianNoise(sigma=1.0 / np.sqrt(0.1)), 0.1)
    np.testing.assert_allclose(white, other, rtol=0, atol=1e-12)


def test_item_12_trials_of_a_model_do_not_share_noise():
    both = leaky(xm.GaussianNoise(sigma=1.0), 0.1, batch_size=2)
    assert abs(np.corrcoef(both.reshape(2, -1))[0, 1]) < 5 / np.sqrt(4000)


def test_gaussian_noise_is_sigma_times_the_draws():
    x = alone(PROCESSES["gaussian"], dt=0.37, duration=37.0)
    np.testing.assert_allclose(x, 0.3 * normals(1, "noise", 100, 2000).astype(np.float64), rtol=0, atol=1e-15)


# ---- however a run is cut: white and Ornstein-Uhlenbeck noise in test_same_noise.py and test_restart.py
PAIRS = {"motion": ("brownian", "pink"), "numbers": ("gaussian", "violet")}
each_pair = pytest.mark.parametrize("pair", PAIRS)


def simulator(pair, **options):
    x, y = (PROCESSES[name] for name in PAIRS[pair])
    return xm.Simulator(xm.HopfStep(a=-0.05, w=0.3, noise_x=x, noise_y=y), dt=0.1, regions=5, precision="float64", **options)


@pytest.mark.long
@each_pair
def test_a_restart_changes_no_bit(pair):
    sim = simulator(pair)
    whole = sim.run(30.0, seed=3)
    first = sim.run(12.3, seed=3, restart=True)
    second = sim.run(17.7, initial=first)
    for state in ("x", "y"):
        np.testing.assert_array_equal(xr.concat([first[state], second[state]], "time"), whole[state])


@pytest.mark.long
@each_pair
def test_neighbours_chunks_and_shared_seeds_change_no_bit(pair):
    sim = simulator(pair, tile=3)
    p = xr.Dataset({"noise_x.sigma": ("s", [0.1, 0.2, 0.3, 0.4]), "seed": ("s", [5, 6, 7, 8])})
    whole = sim.run(12.0, p, monitors=["x", "y"])
    xr.testing.assert_equal(sim.run(12.0, p, monitors=["x", "y"], chunks={"s": 3}).compute(), whole)
    xr.testing.assert_equal(sim.run(12.0, p.isel(s=[2]), monitors=["x", "y"]).x, whole.x.isel(s=[2]))
    # one seed for the sweep: the same numbers as when each point is told that seed
    common = sim.run(12.0, p.drop_vars("seed"), monitors=["x", "y"], seed=7)
    np.testing.assert_array_equal(common.y.isel(s=2), whole.y.isel(s=2))
    np.testing.assert_array_equal(common.x.isel(s=2), whole.x.isel(s=2))


@pytest.mark.long
@each_pair
def test_tiles_leave_the_noise_to_rounding_and_monitors_leave_it_alone(pair):
    one, many = (simulator(pair, tile=tile).run(12.0, seed=3) for tile in (1, 16))
    xr.testing.assert_allclose(one, many, rtol=0, atol=1e-12)
    mean = {"mean": xm.TemporalAverage(of="y", period=0.7), "x": "x"}
    np.testing.assert_array_equal(simulator(pair, tile=1).run(12.0, monitors=mean, seed=3).x, one.x)


@pytest.mark.long
def test_float32_follows_float64():
    # The draws are float32 in both. A sum of 500 steps rounds to about 1e-6 of its size.
    for name in ("brownian", "pink"):
        x = [alone(PROCESSES[name], duration=50.0, regions=5, precision=p) for p in ("float32", "float64")]
        np.testing.assert_allclose(*x, rtol=0, atol=1e-5)
