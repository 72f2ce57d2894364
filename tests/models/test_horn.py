"""The harmonic oscillator with its own scheme: vector, energy, damping, refusals, trials, and noise in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import xarray as xr

import xmass as xm

OMEGA = 2 * np.pi / 28


def simulator(dt=1.0, *, regions=None, precision="float64", **parameters):
    return xm.Simulator(xm.HORNStep(**parameters), dt=dt, regions=regions, precision=precision)


def matrix(h, omega, gamma):
    """One step of the linear oscillator: (x, y) after it."""
    y = np.array([-h * omega**2, 1 - 2 * gamma * h])
    return np.array([[1.0, 0.0] + h * y, y])


def test_one_step():
    # The vector of the other simulator, printed with ten digits of y.
    run = simulator().run(1.0, initial={"x": 0.3, "y": -0.1}, inputs={"I": 0.5})
    np.testing.assert_allclose([run.x.item(), run.y.item()], [0.20537814895, -0.09462185106], rtol=0, atol=1e-11)


def test_every_input_enters_once():
    h, omega, gamma, alpha, v = 0.5, 0.3, 0.05, 0.2, 0.7
    x, y = 0.3, -0.1
    run = simulator(h, omega=omega, gamma=gamma, alpha=alpha, v=v).run(h, initial={"x": x, "y": y}, inputs={"I": 0.5, "x": 0.01, "y": 0.02})
    y1 = y + h * (alpha * np.tanh(0.5 + v * x) - omega**2 * x - 2 * gamma * y + 0.02)
    np.testing.assert_allclose([run.x.item(), run.y.item()], [x + h * (y1 + 0.01), y1], rtol=1e-15)


def test_many_steps_are_powers_of_the_matrix():
    run = simulator(0.7, alpha=0.0).run(70.0, initial={"x": 1.0, "y": 0.2})
    expected = np.linalg.matrix_power(matrix(0.7, OMEGA, 0.01), 100) @ [1.0, 0.2]
    np.testing.assert_allclose([run.x[-1].item(), run.y[-1].item()], expected, rtol=1e-12)


class Plain(xm.NeuralMass):
    r"""The undamped oscillator without a scheme of its own, :math:`\dot x = y,\ \dot y = -\omega^2 x`."""

    states = (xm.State("x", 1.0, "1"), xm.State("y", 0.0, "1/ms"))
    inputs = (xm.Input("x", "1/ms"), xm.Input("y", "1/ms^2"))
    omega: float = xm.parameter(OMEGA, "1/ms", "angular frequency")

    def drift(self, s, u):
        return dict(x=s.y + u.x, y=-(self.omega**2) * s.x + u.y)


def energy(run):
    return 0.5 * run.y**2 + 0.5 * OMEGA**2 * run.x**2


def test_energy_stays_over_a_hundred_thousand_steps():
    # Symplectic Euler keeps (y^2 + w^2 x^2 - h w^2 x y) / 2 exactly, so the energy swings by a part of h w / 2 and does not drift.
    run = simulator(gamma=0.0, alpha=0.0).run(100_000.0, initial={"x": 1.0, "y": 0.0})
    kept = energy(run) - 0.5 * OMEGA**2 * run.x * run.y
    np.testing.assert_allclose(kept, 0.5 * OMEGA**2, rtol=1e-10)  # 1e5 roundings of 1e-16, and some
    swing = energy(run) / (0.5 * OMEGA**2)
    assert 1 - OMEGA / 2 - 0.03 < float(swing.min()) < float(swing.max()) < 1 + OMEGA / 2 + 0.03
    first, last = (swing.isel(time=slice(a, a + 2800)).max() for a in (0, 97_200))
    assert float(abs(first - last)) < 1e-4  # of two hundred periods each, of which the largest sample lies anywhere near the top


def test_explicit_euler_grows_where_symplectic_euler_does_not():
    # Euler multiplies the energy by 1 + h^2 w^2 in each step: 1.0503, after 1000 steps 2e21.
    run = xm.Simulator(Plain(), dt=1.0, method="euler", precision="float64").run(1000.0)
    np.testing.assert_allclose(energy(run).isel(time=-1, region=0), 0.5 * OMEGA**2 * (1 + OMEGA**2) ** 1000, rtol=1e-10)


@pytest.mark.parametrize("gamma", [0.01, 0.05])
def test_frequency_and_decay_of_the_damped_oscillator(gamma):
    # sqrt(w^2 - gamma^2) and gamma, reached at first order in the step; the period from zero crossings, the decay from one to the next.
    found = []
    for dt in (0.1, 0.05):
        run = simulator(dt, alpha=0.0, gamma=gamma).run(200.0, initial={"x": 1.0, "y": 0.0})
        x, y, t = run.x.values[:, 0], run.y.values[:, 0], run.time.values
        up = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
        part = x[up] / (x[up] - x[up + 1])
        crossing, speed = t[up] + dt * part, y[up] + part * (y[up + 1] - y[up])
        frequency = 2 * np.pi * (len(up) - 1) / (crossing[-1] - crossing[0])
        decay = np.log(speed[0] / speed[-1]) / (crossing[-1] - crossing[0])
        found.append(np.array([frequency - np.sqrt(OMEGA**2 - gamma**2), decay - gamma]))
    # The roots of z^2 - (2 - 2 gamma h - h^2 w^2) z + 1 - 2 gamma h: off by gamma w h / 2 and gamma^2 h at first order.
    damped = np.sqrt(OMEGA**2 - gamma**2)
    np.testing.assert_allclose(found[0], [gamma * damped * 0.05, gamma**2 * 0.1], rtol=0.1)
    np.testing.assert_allclose(np.log2(found[0] / found[1]), 1, atol=0.1)


def test_a_strong_damping_does_not_oscillate():
    run = simulator(0.1, alpha=0.0, gamma=0.5).run(400.0, initial={"x": 1.0, "y": 0.0})
    assert float(run.x.min()) > 0


def test_the_saturating_input_moves_the_rest():
    # A constant input rests at x = alpha tanh(I) / w^2.
    run = simulator(gamma=0.05).run(1000.0, inputs={"I": 0.5})
    assert float(run.x[-1, 0]) == pytest.approx(0.04 * np.tanh(0.5) / OMEGA**2, rel=1e-12)


@pytest.mark.parametrize("method", ["heun", "euler", "rk4", "exp_euler"])
def test_another_scheme_is_refused(method):
    with pytest.raises(ValueError, match=r"HORNStep has a scheme of its own, 'symplectic_euler'. Leave method out"):
        xm.Simulator(xm.HORNStep(), dt=1.0, method=method)
    assert xm.Simulator(xm.HORNStep(), dt=1.0, method="symplectic_euler").method == "symplectic_euler"


# ---- trials and networks
def noisy(**parameters):
    return xm.HORNStep(noise_y=xm.WhiteNoise(sigma=0.01), **parameters)


def test_trials_are_a_dimension_with_noises_of_their_own():
    # The other simulator ignores batch_size here.
    sim = xm.Simulator(noisy(omega=0.0, gamma=0.0), dt=1.0, regions=3)
    trials = sim.run(400.0, batch_size=4, seed=2)
    assert trials.x.dims == ("batch", "time", "region") and trials.x.shape == (4, 400, 3)
    draws = trials.y.diff("time").transpose("batch", "region", "time").values.reshape(12, 399)
    assert float(np.abs(np.corrcoef(draws) - np.eye(12)).max()) < 4.5 / np.sqrt(399)  # 66 pairs of independent series
    alone = xm.Simulator(noisy(omega=0.0, gamma=0.0), dt=1.0, regions=3, tile=16).run(400.0, seed=int(trials.seed[2]))
    np.testing.assert_array_equal(trials.x[2], alone.x)


def test_start_and_parameters_may_differ_between_trials():
    start = xr.DataArray([0.1, 0.5], dims="batch")
    p = xr.Dataset({"alpha": ("alpha", [0.0, 0.04]), "initial.x": start})
    run = simulator(gamma=0.0).run(20.0, p, inputs={"I": 0.3})
    assert run.x.dims == ("alpha", "batch", "time", "region")
    linear = run.x.sel(alpha=0.0)
    np.testing.assert_allclose(linear.isel(batch=1), 5 * linear.isel(batch=0), rtol=1e-13)


def test_recurrence_divided_by_the_square_root_of_the_number_of_units():
    # The papers' factor is part of k: one step from the velocities, by numpy.
    number = 5
    weights = np.random.default_rng(0).normal(size=(number, number))
    sc = xr.Dataset({"weights": (("region", "region_other"), weights)})
    net = xm.Network(xm.HORNStep(v=0.1), sc, coupling=xm.AdditiveCoupling(k=1 / np.sqrt(number), source="y", target="I"))
    sim = xm.Simulator(net, dt=1.0, precision="float64")
    assert sim.parameters()["coupling.k"].attrs["units"] == "ms"
    x, y = np.linspace(-1, 1, number), np.linspace(0.5, -0.5, number)
    run = sim.run(1.0, initial={"x": xr.DataArray(x, dims="region"), "y": xr.DataArray(y, dims="region")})
    y1 = y + 0.04 * np.tanh(weights @ y / np.sqrt(number) + 0.1 * x) - OMEGA**2 * x - 2 * 0.01 * y
    np.testing.assert_allclose(run.y[0], y1, rtol=1e-13)
    np.testing.assert_allclose(run.x[0], x + y1, rtol=1e-13)


def test_delayed_recurrence_reads_what_was_there():
    # Two units, the second driven by the first 3 ms ago: its input is the first's velocity, which nothing drives.
    sc = xr.Dataset(
        {
            "weights": (("region", "region_other"), [[0.0, 0.0], [1.0, 0.0]]),
            "distances": (("region", "region_other"), [[0.0, 0.0], [3.0, 0.0]], {"units": "mm"}),
        }
    )
    net = xm.Network(xm.HORNStep(), sc, speed=1.0, coupling=xm.AdditiveCoupling(k=2.0, source="y", target="I"))
    start = {"x": xr.DataArray([1.0, 0.0], dims="region"), "y": 0.0}
    run = xm.Simulator(net, dt=1.0, precision="float64").run(60.0, initial=start)
    first = np.concatenate([np.zeros(4), run.y.values[:, 0]])  # steps -3 to 60
    x, y = 0.0, 0.0
    for n in range(60):
        y = y + 0.04 * np.tanh(2.0 * first[n]) - OMEGA**2 * x - 0.02 * y
        x = x + y
        np.testing.assert_allclose([run.x[n, 1], run.y[n, 1]], [x, y], rtol=1e-11, atol=1e-15)


# ---- noise
@pytest.mark.parametrize("noise", ["y", "x"])
def test_white_noise_has_the_covariance_of_the_discrete_lyapunov_equation(noise):
    # z' = M z + w with M the matrix of a step, so P = M P M^T + Q. 4000 units after 8 times of the decay; their sample covariance is
    # good to sqrt(2 / 4000) = 2.2 % of the product of the deviations, four times that is allowed.
    gamma, sigma, h, number = 0.05, 0.02, 1.0, 4000
    field = {f"noise_{noise}": xm.WhiteNoise(sigma=sigma)}
    run = simulator(h, regions=number, precision="float32", alpha=0.0, gamma=gamma, **field).run(400.0, seed=5, transient=399.0)
    step = matrix(h, OMEGA, gamma)
    # What is added to y in a step moves x by h times it; what is added to x does not move y.
    enters = np.array([h, 1.0]) if noise == "y" else np.array([1.0, 0.0])
    expected = scipy.linalg.solve_discrete_lyapunov(step, sigma**2 * h * np.outer(enters, enters))
    found = np.cov(np.stack([run.x.values[-1], run.y.values[-1]]))
    allowed = 4 * 0.022 * np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert (np.abs(found - expected) < allowed).all(), (found, expected)


def test_coloured_noise_inside_the_input():
    run = xm.Simulator(xm.HORNStep(noise_I=xm.OUProcess(sigma=0.5, tau=20.0)), dt=1.0, regions=500).run(300.0, seed=0)
    assert 0.01 < float(run.x.std()) < 1
    with pytest.raises(ValueError, match="noise_I is white noise on the input 'I', which is inside the equation"):
        xm.Simulator(xm.HORNStep(noise_I=xm.WhiteNoise(sigma=0.5)), dt=1.0)


def test_a_run_continues_bit_for_bit():
    sim = xm.Simulator(noisy(), dt=1.0, regions=2)
    whole = sim.run(60.0, seed=4)
    first = sim.run(25.0, seed=4, restart=True)
    second = sim.run(35.0, initial=first)
    np.testing.assert_array_equal(second.x, whole.x.sel(time=slice(25.5, None)))
