"""Noise of the size of a function of the state: moments and logarithms of geometric Brownian motion in both calculi."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.core.test_noise import normals

MU, SIGMA, STOP, NODES = 0.05, 0.2, 10.0, 20_000


def x_of(s):
    return s.x


def y_of(s):
    return s.y


def growth(noise, *, method="heun", dt=0.05, regions=NODES, seed=1):
    """Geometric Brownian motion dx = mu x dt + sigma x dW from 1, at the end."""
    sim = xm.Simulator(xm.LinearStep(gamma=MU, noise_x=noise), dt=dt, method=method, regions=regions, precision="float64")
    return sim.run(STOP, initial={"x": 1.0}, seed=seed, transient=STOP - dt).x.isel(time=-1).values


def assert_moments(x, mean, log_mean, *, start=1.0):
    """Mean, mean of the logarithm, and its variance sigma^2 t, each within five standard errors of ``len(x)`` runs.

    The bias of a step of 0.05 ms is below 0.1 % in all three.
    """
    spread = SIGMA**2 * STOP
    assert abs(x.mean() / mean - 1) < 5 * np.sqrt(np.expm1(spread) / x.size) + 1e-3
    assert abs(np.log(x / start).mean() - log_mean) < 5 * np.sqrt(spread / x.size) + 1e-3
    assert abs(np.log(x / start).var() / spread - 1) < 5 * np.sqrt(2 / x.size) + 1e-3


@pytest.mark.long
@pytest.mark.parametrize("method", ["heun", "euler", "rk4", "exp_euler"])
def test_ito_is_ito_in_every_scheme(method):
    # E[x] = exp(mu t), E[log x] = (mu - sigma^2 / 2) t. Stratonovich has exp(0.2) = 22 % more in the mean.
    x = growth(xm.ItoNoise(sigma=SIGMA, amplitude=x_of), method=method)
    assert_moments(x, np.exp(MU * STOP), (MU - SIGMA**2 / 2) * STOP)


@pytest.mark.parametrize("method", ["heun", "euler", "rk4", "exp_euler"])
def test_stratonovich_is_stratonovich_in_every_scheme(method):
    # E[x] = exp((mu + sigma^2 / 2) t), E[log x] = mu t, by the ordinary chain rule.
    x = growth(xm.StratonovichNoise(sigma=SIGMA, amplitude=x_of), method=method)
    assert_moments(x, np.exp((MU + SIGMA**2 / 2) * STOP), MU * STOP)


def plane(noise_x, noise_y, *, a=MU, start=(1.0, 1.0), regions=NODES, dt=0.05, **options):
    """Two states that grow alike, x' = a x and y' = a y, each with its noise, at the end."""
    node = xm.HopfStep(a=a, w=0.0, beta=0.0, noise_x=noise_x, noise_y=noise_y)
    sim = xm.Simulator(node, dt=dt, regions=regions, precision="float64", **options)
    end = sim.run(STOP, initial={"x": start[0], "y": start[1]}, seed=2, transient=STOP - dt).isel(time=-1)
    return end.x.values, end.y.values


def test_two_noises_of_one_model_keep_their_calculus():
    x, y = plane(xm.StratonovichNoise(sigma=SIGMA, amplitude=x_of), xm.ItoNoise(sigma=SIGMA, amplitude=y_of))
    assert_moments(x, np.exp((MU + SIGMA**2 / 2) * STOP), MU * STOP)
    assert_moments(y, np.exp(MU * STOP), (MU - SIGMA**2 / 2) * STOP)
    assert abs(np.corrcoef(np.log(x), np.log(y))[0, 1]) < 5 / np.sqrt(NODES)


@pytest.mark.parametrize("kind", [xm.ItoNoise, xm.StratonovichNoise])
def test_noise_of_the_size_of_the_other_state_has_no_drift_in_either_calculus(kind):
    # dx = sigma y dW1, dy = sigma x dW2: no noise moves what sets its own size, so the calculi agree. The means stay, and
    # x^2 + y^2 grows by sigma^2 of itself: E = 2 exp(sigma^2 t). Errors by the spread of the runs.
    x, y = plane(kind(sigma=SIGMA, amplitude=y_of), kind(sigma=SIGMA, amplitude=x_of), a=0.0)
    for found, wanted in ((x, 1.0), (y, 1.0), (x**2 + y**2, 2 * np.exp(SIGMA**2 * STOP))):
        assert abs(found.mean() - wanted) < 5 * found.std() / np.sqrt(NODES) + 1e-3


def test_additive_noise_beside_it_does_not_change_the_calculus():
    # dx = sigma y o dW1 with dy = s dW2, independent: no correction. The state after all increments holds that of y too.
    x, _ = plane(xm.StratonovichNoise(sigma=SIGMA, amplitude=y_of), xm.WhiteNoise(sigma=0.5), a=0.0)
    assert abs(x.mean() - 1.0) < 5 * x.std() / np.sqrt(NODES)
    variance = SIGMA**2 * (STOP + 0.25 * STOP**2 / 2)  # integral of sigma^2 E[y^2], E[y^2] = 1 + s^2 t
    assert abs((x - 1.0).var() / variance - 1) < 0.05  # heavier tails than a normal number: 5 standard errors are 4.5 %


def test_amplitude_one_is_white_noise():
    runs = [growth(n, regions=50) for n in (xm.WhiteNoise(sigma=0.1), xm.ItoNoise(sigma=0.1, amplitude=lambda s: 1.0))]
    np.testing.assert_allclose(runs[0], runs[1], rtol=0, atol=1e-14)
    strat = growth(xm.StratonovichNoise(sigma=0.1, amplitude=lambda s: jnp.ones_like(s.x)), regions=50)
    np.testing.assert_allclose(runs[0], strat, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("kind", "order", "correction"), [(xm.ItoNoise, 0.5, SIGMA**2 / 2), (xm.StratonovichNoise, 1.0, 0.0)])
def test_strong_order_on_the_exact_path(kind, order, correction):
    # x(t) = exp((mu - correction) t + sigma W(t)) with the Brownian path of the run's own draws. 4000 paths, steps of 0.4 and
    # 0.1 ms: the ratio of the errors is 4^order, within a few per cent of chance and of the next order.
    errors = []
    for dt in (0.4, 0.1):
        steps = round(STOP / dt)
        w = np.sqrt(dt) * normals(3, "noise_x", steps, 4000).astype(np.float64).sum(axis=0)
        exact = np.exp((MU - correction) * STOP + SIGMA * w)
        x = growth(kind(sigma=SIGMA, amplitude=x_of), dt=dt, regions=4000, seed=3)
        errors.append(np.sqrt(np.mean((x / exact - 1) ** 2)))
    assert np.log(errors[0] / errors[1]) / np.log(4) == pytest.approx(order, abs=0.1)


def test_one_step_is_as_written():
    # Heun's method by hand, with the increments of each calculus.
    dt, x0 = 0.1, 1.3
    w = SIGMA * np.sqrt(dt) * normals(1, "noise_x", 1, 5)[0].astype(np.float64)

    def g(x):
        return x**2 / (1 + x**2)

    for kind, size in ((xm.ItoNoise, g(x0)), (xm.StratonovichNoise, 0.5 * (g(x0) + g(x0 + g(x0) * w)))):
        node = xm.LinearStep(gamma=MU, noise_x=kind(sigma=SIGMA, amplitude=lambda s: s.x**2 / (1 + s.x**2)))
        found = xm.Simulator(node, dt=dt, regions=5, precision="float64").run(dt, initial={"x": x0}, seed=1).x[0]
        ahead = x0 + dt * MU * x0 + size * w
        np.testing.assert_allclose(found, x0 + 0.5 * dt * MU * (x0 + ahead) + size * w, rtol=0, atol=1e-14)


def test_an_amplitude_sees_one_region_of_one_run():
    # The mean over "all" is the value itself: nothing in the function can reach another region or run.
    node = xm.LinearStep(gamma=MU, noise_x=xm.ItoNoise(sigma=SIGMA, amplitude=lambda s: jnp.mean(s.x)))
    plain = xm.LinearStep(gamma=MU, noise_x=xm.ItoNoise(sigma=SIGMA, amplitude=x_of))
    p = xr.Dataset({"initial.x": (("s", "region"), np.arange(1.0, 13.0).reshape(4, 3)), "noise_x.sigma": ("s", [0.1, 0.2, 0.3, 0.4])})
    runs = [xm.Simulator(n, dt=0.1, regions=3, tile=4, precision="float64").run(5.0, p, seed=1).x for n in (node, plain)]
    np.testing.assert_array_equal(*runs)


def test_it_is_the_same_for_shared_and_own_seeds_and_continues():
    node = xm.HopfStep(
        a=-0.05,
        w=0.3,
        noise_x=xm.StratonovichNoise(sigma=0.3, amplitude=lambda s: s.x * s.y),
        noise_y=xm.ItoNoise(sigma=0.3, amplitude=lambda s: jnp.cos(s.x)),
    )
    sim = xm.Simulator(node, dt=0.1, regions=5, precision="float64", tile=3)
    p = xr.Dataset({"a": ("a", [-0.05, -0.1, -0.2])})
    whole = sim.run(20.0, p, seed=7, initial={"x": 0.5})
    own = sim.run(20.0, p.assign(seed=("a", [7, 7, 7])), initial={"x": 0.5})
    np.testing.assert_array_equal(own.x, whole.x)
    first = sim.run(7.7, p, seed=7, initial={"x": 0.5}, restart=True)
    second = sim.run(12.3, p, initial=first)
    np.testing.assert_array_equal(xr.concat([first.x, second.x], "time").transpose(*whole.x.dims), whole.x)


def test_a_record_asks_for_the_function():
    sim = xm.Simulator(xm.LinearStep(noise_x=xm.ItoNoise(sigma=0.1, amplitude=x_of)), dt=0.1)
    run = sim.run(2.0, seed=1)
    with pytest.raises(ValueError, match=r"x_of.*sim="):
        xm.rerun(run)
    np.testing.assert_array_equal(xm.rerun(run, sim=sim).x, run.x)
    other = xm.Simulator(xm.LinearStep(noise_x=xm.ItoNoise(sigma=0.1, amplitude=lambda s: 2 * s.x)), dt=0.1)
    with pytest.raises(ValueError, match="amplitude"):
        xm.rerun(run, sim=other)


def test_exponential_euler_warns_of_nothing_here():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xm.Simulator(xm.LinearStep(noise_x=xm.ItoNoise(amplitude=x_of)), dt=0.1, method="exp_euler")
