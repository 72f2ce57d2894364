"""Phase oscillators with sine coupling: vectors of another simulator, locking, the transition of Kuramoto, phase lags, delays."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

DIMS = ("region", "region_other")
PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])


def connectome(weights, lengths=None):
    ds = xr.Dataset({"weights": (DIMS, np.asarray(weights, float))})
    return ds if lengths is None else ds.assign(distances=(DIMS, np.asarray(lengths, float), {"units": "mm"}))


def over(values, dim="region"):
    return xr.DataArray(np.asarray(values, float), dims=dim)


def simulator(omega, weights, *, dt=0.1, lengths=None, delays="nearest", speed=1.0, method="heun", precision="float64", **coupling):
    net = xm.Network(
        xm.KuramotoStep(omega=omega),
        connectome(weights, lengths),
        speed=None if lengths is None else speed,
        coupling=xm.SineCoupling(**coupling),
        delays=delays,
    )
    return xm.Simulator(net, dt=dt, method=method, precision=precision)


def slope(theta, last):
    """Mean angular frequency over the last part of a run [rad/ms]."""
    part = theta.isel(time=slice(-last, None))
    return (part.isel(time=-1) - part.isel(time=0)) / float(part.time[-1] - part.time[0])


# ---- vectors: the other simulator's 1/N is part of k here, its excluded self a zero on the diagonal
MATRIX = np.array([[0, 1, 0.5], [0.3, 0, 0.2], [0.7, 0.1, 0]])
VECTORS = {
    "all to all": (1 - np.eye(3), 2 / 3, 0.0, (0.21225267, 1.02927787, 2.40346946)),
    "matrix": (MATRIX, 2 / 3, 0.0, (0.18973723, 1.01263339, 2.47682842)),
    "matrix, lag, no 1/N": (MATRIX, 2.0, 0.3, (0.31424943, 0.99635922, 2.43568986)),
    "all to all, lag, self": (np.ones((3, 3)), 2 / 3, 0.3, (0.19048878, 0.99529865, 2.40188349)),
}


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("method", ["euler", "exp_euler"])  # the same here: the derivative of a phase does not read it, but the coupling
def test_one_step(name, method):
    weights, k, alpha, expected = VECTORS[name]
    sim = simulator(0.1, weights, k=k, alpha=alpha, method=method)
    theta = sim.run(0.1, initial={"theta": over([0.1, 1, 2.5])}, inputs={"theta": 0.05}).theta
    np.testing.assert_allclose(theta[0], expected, rtol=0, atol=6e-9)


def test_a_lag_belongs_to_the_region_that_receives():
    # The other simulator's array of lags acts by the sending region.
    alpha, start, k = np.array([0.1, 0.5, 0.9]), np.array([0.1, 1.0, 2.5]), np.array([1.0, 2.0, 3.0])
    theta = simulator(0.0, MATRIX, k=over(k), alpha=over(alpha), method="euler").run(0.1, initial={"theta": over(start)}).theta[0]
    expected = start + 0.1 * k * (MATRIX * np.sin(start[None, :] - start[:, None] - alpha[:, None])).sum(axis=1)
    np.testing.assert_allclose(theta, expected, rtol=1e-14)


# ---- two oscillators
def test_two_oscillators_lock_where_the_coupling_exceeds_half_the_difference():
    # phi' = dw - 2 k sin(phi): a fixed point asin(dw / 2k) for 2k > |dw|, else a beat at sqrt(dw^2 - 4 k^2).
    dw = 0.1
    k = xr.DataArray([0.02, 0.04, 0.06, 0.1, 0.5], dims="k")
    theta = simulator(over([0.3, 0.3 + dw]), PAIR).run(3000.0, xr.Dataset({"coupling.k": k}), initial={"theta": 0.0}, transient=500.0).theta
    phase = theta.isel(region=1) - theta.isel(region=0)
    locked = 2 * k.values > dw
    # The slowest locked pair relaxes at 2 k cos(phi) = 0.066 / ms: 500 ms are 33 time constants.
    np.testing.assert_allclose(phase.isel(time=-1)[locked], np.arcsin(dw / (2 * k.values[locked])), rtol=1e-10)
    assert float((phase.max("time") - phase.min("time"))[locked].max()) < 1e-10
    beat = (phase.isel(time=-1) - phase.isel(time=0)) / 2499.9
    # Of 31 and 24 turns at most one is counted wrongly by where the run is cut.
    np.testing.assert_allclose(beat[~locked], np.sqrt(dw**2 - 4 * k.values[~locked] ** 2), rtol=0.04)


def test_the_sum_of_phases_of_a_symmetric_pair_moves_at_the_mean_frequency():
    theta = simulator(over([0.3, 0.4]), PAIR, k=0.02).run(500.0, initial={"theta": over([0.0, 1.0])}).theta
    np.testing.assert_allclose(theta.sum("region"), 1.0 + 0.7 * theta.time, rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize(("omega", "k", "tau"), [(0.3, 0.05, 2.0), (0.3, 0.05, 7.0), (0.3, 0.05, 12.0), (0.5, 0.2, 3.0), (0.3, 0.05, 7.35)])
@pytest.mark.parametrize("apart", [0.1, np.pi - 0.1])
def test_two_delayed_oscillators_turn_at_the_frequency_of_yeung_and_strogatz(omega, k, tau, apart):
    # Locked in phase, Omega = omega - k sin(Omega tau), stable where cos(Omega tau) > 0; in antiphase both signs turn.
    # A locked phase is a straight line in time, which Heun's method follows exactly. What is sent are its sine and cosine: halfway
    # between two steps their mean is cos(Omega dt / 2) times what it should be.
    sim = simulator(omega, PAIR, k=k, lengths=tau * PAIR, delays="linear")
    theta = sim.run(3000.0, initial={"theta": over([0.0, apart])}).theta
    turning = slope(theta, 5000)
    assert float(abs(turning[0] - turning[1])) < 1e-9
    sign = np.cos(float(theta[-1, 1] - theta[-1, 0]))
    assert abs(abs(sign) - 1) < 1e-9
    found = float(turning[0])
    between = np.cos(found * 0.05) if tau == 7.35 else 1.0
    assert found == pytest.approx(omega - sign * k * between * np.sin(found * tau), abs=1e-9)
    assert sign * np.cos(found * tau) > 0
    assert abs(found - omega) > 1e-3  # the delay matters


# ---- many oscillators
def order_parameter(theta):
    return np.hypot(np.cos(theta).mean("region"), np.sin(theta).mean("region"))


@pytest.mark.long
def test_the_transition_of_kuramoto():
    # Lorentzian frequencies of half-width 0.01: g(0) = 1 / (0.01 pi), so K_c = 2 / (pi g(0)) = 0.02, and R = sqrt(1 - K_c / K) above.
    # Frequencies are the quantiles, so that 500 oscillators leave R near 1 / sqrt(500) = 0.045 below, and 0.03 of error above.
    width, number = 0.01, 500
    omega = width * np.tan(np.pi * ((np.arange(number) + 0.5) / number - 0.5))
    strength = np.array([0.0, 0.01, 0.015, 0.025, 0.03, 0.04, 0.06, 0.1])
    order = np.random.default_rng(0).permutation(number)
    sim = simulator(over(omega[order]), np.ones((number, number)), dt=0.25, precision="float32")
    start = np.random.default_rng(1).uniform(0, 2 * np.pi, number)
    p = xr.Dataset({"coupling.k": ("K", strength / number)})
    theta = sim.run(2500.0, p, initial={"theta": over(start)}, transient=1500.0, sample_every=40).theta.astype(float)
    found = order_parameter(theta).mean("time").values
    below = strength < 2 * width
    assert (found[below] < 0.12).all()
    np.testing.assert_allclose(found[~below], np.sqrt(1 - 2 * width / strength[~below]), atol=0.04)


def test_a_lag_turns_the_whole_population():
    # Sakaguchi and Kuramoto: equal oscillators synchronise for cos(alpha) > 0 and turn at omega - K sin(alpha), with themselves counted.
    number, strength = 6, 0.2
    alpha = xr.DataArray([0.0, 0.4, 0.8, 1.2], dims="alpha")
    sim = simulator(0.3, np.ones((number, number)), k=strength / number)
    start = over(np.random.default_rng(0).uniform(-1, 1, number))
    theta = sim.run(800.0, xr.Dataset({"coupling.alpha": alpha}), initial={"theta": start}).theta
    # They approach each other at K cos(alpha) >= 0.07 / ms: 700 ms are 50 time constants.
    np.testing.assert_allclose(order_parameter(theta.isel(time=-1)), 1.0, atol=1e-12)
    np.testing.assert_allclose(slope(theta, 1000).isel(region=0), 0.3 - strength * np.sin(alpha), rtol=1e-10)


def test_phases_start_anywhere_on_the_circle_by_the_seed():
    theta = xm.Simulator(xm.KuramotoStep(), dt=0.1, regions=4000).run(0.1, seed=3).theta[0]
    assert 0 <= float(theta.min()) < 0.01 and 2 * np.pi - 0.01 < float(theta.max()) < 2 * np.pi
    # The order parameter of 4000 uniform phases is about 1 / sqrt(4000) = 0.016; 0.05 is beyond it with probability exp(-10).
    assert float(order_parameter(theta)) < 0.05


def test_white_noise_diffuses_a_phase():
    # Var(theta) = sigma^2 t; 4000 phases estimate it to sqrt(2 / 4000) = 2.2 %, three of those are allowed.
    node = xm.KuramotoStep(omega=0.1, noise_theta=xm.WhiteNoise(sigma=0.05))
    theta = xm.Simulator(node, dt=0.1, regions=4000).run(100.0, initial={"theta": 0.0}, seed=1).theta.isel(time=-1)
    np.testing.assert_allclose(float(theta.mean()), 10.0, atol=4 * 0.5 / np.sqrt(4000))
    np.testing.assert_allclose(float(theta.var()), 0.05**2 * 100, rtol=0.07)
