"""Stationary statistics of noise and of noisy systems against theory, within Monte-Carlo error."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import xarray as xr

import xmass as xm


def ou_samples(sigma, tau, *, regions=2000, dt=0.1, duration=100.0, seed=4, mean=0.0):
    """The process itself ``(time, region)``: a bank of integrators whose Euler steps are dt times the held input."""
    bank = xm.LinearStep(gamma=0.0, noise_x=xm.OUProcess(sigma=sigma, tau=tau, mean=mean))
    x = xm.Simulator(bank, dt=dt, method="euler", regions=regions, precision="float64").run(duration, initial={"x": 0.0}, seed=seed).x
    return np.diff(np.concatenate([np.zeros((1, regions)), x.values]), axis=0) / dt


@pytest.mark.parametrize(("tau", "rho"), [(5.0, 0.98020), (40.0, 0.99750)])
def test_ou_is_stationary_from_the_start_and_correlated_as_declared(tau, rho):
    # Walkthrough A: 2000 regions, 100 ms, no mean removed.
    eta = ou_samples(1.0, tau)
    regions, dt, duration = eta.shape[1], 0.1, 100.0
    # 2000 independent values at every time: the variance has a standard error of sqrt(2 / 2000) = 3.2 %.
    for at in (0, 10, 500, -1):
        assert abs(eta[at].var() - 1.0) < 5 * np.sqrt(2 / regions)
        assert abs(eta[at].mean()) < 5 / np.sqrt(regions)
    # Over all samples: about duration / tau independent values of eta^2 per region (its correlation time is tau / 2).
    independent = regions * max(duration / tau, 1.0)
    assert abs((eta**2).mean() - 1.0) < 5 * np.sqrt(2 / independent)
    # Lag-1 autocorrelation: the residuals eta' - rho eta are independent, so its error is sqrt((1 - rho^2) / n).
    found = (eta[1:] * eta[:-1]).sum() / (eta[:-1] ** 2).sum()
    assert np.exp(-dt / tau) == pytest.approx(rho, abs=5e-6)
    assert abs(found - np.exp(-dt / tau)) < 5 * np.sqrt((1 - rho**2) / eta[1:].size)


def test_ou_has_no_bias_at_large_steps_and_keeps_its_mean():
    # An Euler step of an OU process would have sigma times 1 / sqrt(1 - dt / (2 tau)): +15 % at dt / tau = 0.5.
    eta = ou_samples(0.3, 2.0, dt=1.0, duration=200.0, mean=0.7)
    n = eta.size
    rho = np.exp(-0.5)
    spread = np.sqrt(2 / n * (1 + rho**2) / (1 - rho**2))  # standard error of the variance of correlated samples
    assert abs(eta.var() / 0.09 - 1) < 5 * spread
    assert abs(eta.mean() - 0.7) < 5 * 0.3 * np.sqrt((1 + rho) / (1 - rho) / n)
    residuals = (eta[1:] - 0.7) - rho * (eta[:-1] - 0.7)
    np.testing.assert_allclose(residuals.var(), 0.09 * (1 - rho**2), rtol=5 * np.sqrt(2 / residuals.size))


def test_white_noise_scales_with_the_square_root_of_the_step():
    # dx = sigma dW: variance sigma^2 t at time t, whatever dt. Per-step noise would change tenfold.
    for dt in (1.0, 0.1):
        bank = xm.LinearStep(gamma=0.0, noise_x=xm.WhiteNoise(sigma=0.5))
        x = xm.Simulator(bank, dt=dt, regions=4000, precision="float64").run(20.0, initial={"x": 0.0}, seed=1).x.isel(time=-1)
        assert abs(float(x.var()) / (0.25 * 20.0) - 1) < 5 * np.sqrt(2 / 4000)


def linear_network(rng, n):
    """Weights of both signs and a rate that makes the network stable, with noise of another size in every region."""
    weights = np.where(rng.random((n, n)) < 0.5, rng.normal(0, 0.3, (n, n)), 0.0)
    return weights, rng.uniform(0.5, 1.5, n)


@pytest.mark.parametrize(("method", "dt"), [("heun", 0.1), ("euler", 0.1)])
def test_covariance_of_a_noisy_linear_network(method, dt):
    # dx = A x dt + S dW. In continuous time A C + C A' + S S' = 0; a scheme with one-step matrix M and noise matrix N h has
    # C = M C M' + h N S S' N', exactly. The run must meet the second; the second must lie within O(dt) of the first.
    rng = np.random.default_rng(3)
    n, runs, duration = 5, 64, 400.0
    weights, sigma = linear_network(rng, n)
    A, S = 0.6 * weights - 1.0 * np.eye(n), np.diag(sigma)
    assert np.linalg.eigvals(A).real.max() < -0.3
    exact = scipy.linalg.solve_continuous_lyapunov(A, -S @ S.T)
    one = np.eye(n)
    step, noise = (one + dt * A, one) if method == "euler" else (one + dt * A + dt**2 / 2 * A @ A, one + dt / 2 * A)
    discrete = scipy.linalg.solve_discrete_lyapunov(step, dt * noise @ S @ S.T @ noise.T)
    bias = {"euler": 0.1, "heun": 0.01}[method]  # first and second order in dt times rates of about one
    np.testing.assert_allclose(discrete, exact, atol=bias * exact.max())

    sc = xr.Dataset({"weights": (("region", "region_other"), weights)})
    node = xm.LinearStep(gamma=-1.0, noise_x=xm.WhiteNoise(sigma=xr.DataArray(sigma, dims="region")))
    net = xm.Network(node, sc, coupling=xm.AdditiveCoupling(k=0.6, source="x", target="x"))
    sim = xm.Simulator(net, dt=dt, method=method, precision="float64")
    x = sim.run(duration, monitors=["x"], initial={"x": 0.0}, transient=20.0, batch_size=runs, seed=8, sample_every=5).x
    found = np.einsum("bti,btj->ij", x.values, x.values) / (x.sizes["batch"] * x.sizes["time"])
    # Standard error by the spread over independent runs.
    per_run = np.einsum("bti,btj->bij", x.values, x.values) / x.sizes["time"]
    error = per_run.std(axis=0, ddof=1) / np.sqrt(runs)
    assert (np.abs(found - discrete) < 5 * error).all()
    # The test can tell: without the sqrt, or with the covariance of the transposed weights, it fails by far.
    wrong = scipy.linalg.solve_continuous_lyapunov(A.T, -S @ S.T)
    assert (np.abs(found - wrong) > 5 * error).any()


A, W, TAU = -0.05, 0.3, 20.0


def hopf_spread(sigma):
    """Standard deviations of x and y of 500 noisy nodes over 800 ms, and their standard errors from the spread over nodes."""
    node = xm.HopfStep(a=A, w=W, noise_x=xm.OUProcess(sigma=sigma, tau=TAU))
    run = xm.Simulator(node, dt=0.1, regions=500, precision="float64").run(1000.0, transient=200.0, sample_every=10, seed=3)
    squares = [(run[s] ** 2).mean("time").values for s in "xy"]
    return np.array([np.sqrt(q.mean()) for q in squares]), np.array([q.std() / np.sqrt(q.size) / (2 * np.sqrt(q.mean())) for q in squares])


def test_noisy_hopf_has_the_spread_of_the_lyapunov_equation():
    # Walkthrough A2: x .2325, y .3820 at sigma = .1 by the Lyapunov equation, which is linear: 2.325 and 3.820 times sigma where
    # the cubic term is negligible (sigma = .001: r^2 of 2e-5 against a = -.05).
    matrix = np.array([[A, -W, 1.0], [W, A, 0.0], [0.0, 0.0, -1 / TAU]])
    covariance = scipy.linalg.solve_continuous_lyapunov(matrix, -np.diag([0.0, 0.0, 2 * 0.1**2 / TAU]))
    theory = np.sqrt(np.diag(covariance))[:2]
    np.testing.assert_allclose(theory, [0.2325, 0.3820], atol=5e-5)
    found, error = hopf_spread(0.001)
    assert (np.abs(100 * found - theory) < 5 * 100 * error + 2e-3 * theory).all()  # 0.2 %: held noise lags by dt / 2


def test_noisy_hopf_at_full_amplitude_saturates():
    # With the cubic term the same noise gives less: r^2 of about .09 adds to the damping of .05. Against an integration in
    # numpy with its own random numbers.
    rng, n, dt = np.random.default_rng(11), 2000, 0.1
    x, y, eta = np.zeros(n), np.zeros(n), 0.1 * rng.normal(size=n)
    decay = np.exp(-dt / TAU)
    squares = []
    for step in range(6000):
        k0x, k0y = (A - x * x - y * y) * x - W * y + eta, (A - x * x - y * y) * y + W * x
        px, py = x + dt * k0x, y + dt * k0y
        x, y = x + dt / 2 * (k0x + (A - px * px - py * py) * px - W * py + eta), y + dt / 2 * (k0y + (A - px * px - py * py) * py + W * px)
        eta = decay * eta + 0.1 * np.sqrt(1 - decay**2) * rng.normal(size=n)
        if step >= 2000 and step % 10 == 0:
            squares.append([(x * x).mean(), (y * y).mean()])
    expected = np.sqrt(np.mean(squares, axis=0))
    found, error = hopf_spread(0.1)
    assert (found < [0.20, 0.25]).all()
    assert (np.abs(found - expected) < 5 * np.sqrt(error**2 + error**2 / 2)).all()
