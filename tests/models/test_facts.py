"""What the models do by default: fixed points, eigenvalues, cycles, thresholds, against numbers computed apart from the library."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import xarray as xr

import xmass as xm
from xmass.labelled.checks import SpuriousGrowthWarning
from xmass.models.wong_wang import transfer


def simulate(model, duration, dt=0.1, **options):
    run_options = {k: options.pop(k) for k in ("params", "inputs", "initial", "monitors", "transient") if k in options}
    params = run_options.pop("params", None)
    return xm.Simulator(model, dt=dt, precision="float64", **options).run(duration, params, **run_options)


def field(model, inputs=None):
    """Derivative as a numpy function of the state vector, and its Jacobian by automatic differentiation in float64."""
    names = [s.name for s in model.states]
    u = SimpleNamespace(**{i.name: (inputs or {}).get(i.name, 0.0) for i in model.inputs})

    def rates(x):
        r = model.drift(SimpleNamespace(**dict(zip(names, x))), u)
        return jnp.stack([r[n] for n in names])

    def value(x):
        with jax.enable_x64(True):
            return np.asarray(rates(jnp.asarray(x, jnp.float64)))

    def jacobian(x):
        with jax.enable_x64(True):
            return np.asarray(jax.jacobian(rates)(jnp.asarray(x, jnp.float64)))

    return value, jacobian


def fixed_point(model, start, inputs=None):
    value, jacobian = field(model, inputs)
    x = np.array(start, dtype=np.float64)
    for _ in range(50):
        x = x - np.linalg.solve(jacobian(x), value(x))
    assert np.abs(value(x)).max() < 1e-12 * max(1.0, np.abs(jacobian(x)).max())
    return x, np.linalg.eigvals(jacobian(x))


# ------------------------------------------------------------------------------------------------------------------ Hopf
def test_hopf_amplitude_is_within_two_hundredths_of_a_percent():
    a = np.linspace(-0.2, 0.4, 13)
    p = xr.Dataset({"a": ("a", a)})
    x = simulate(xm.HopfStep(w=0.3), 400.0, params=p, monitors=["x"], transient=200.0, initial={"x": 0.1}).x.isel(region=0)
    size = (x.max("time") - x.min("time")).values
    assert (size[a < -0.049] < 1e-4).all()
    assert size[np.abs(a) < 1e-9] == pytest.approx(0.0869, abs=5e-5)  # critical slowing
    above = a > 0.049
    # Heun: -0.02 %. Sampling a maximum every 0.1 ms loses at most (w dt / 2)^2 / 2 = 1e-4.
    np.testing.assert_allclose(size[above], 2 * np.sqrt(a[above]), rtol=2.5e-4)


@pytest.mark.parametrize(("a", "percent"), [(0.05, 4.37), (0.10, 2.16), (0.40, 0.39)])
def test_exponential_euler_feeds_the_cycle(a, percent):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpuriousGrowthWarning)
        sim = xm.Simulator(xm.HopfStep(a=a, w=0.3), dt=0.1, method="exp_euler", precision="float64")
    x = sim.run(400.0, monitors=["x"], transient=200.0, initial={"x": 0.1}).x
    assert 100 * (float(x.max() - x.min()) / (2 * np.sqrt(a)) - 1) == pytest.approx(percent, abs=0.03)


def test_hopf_rest_is_exact():
    assert float(abs(simulate(xm.HopfStep(), 100.0).x).max()) == 0.0


# ---------------------------------------------------------------------------------------------------------- Wilson-Cowan
@pytest.mark.long
def test_wilson_cowan_is_bistable():
    model = xm.WilsonCowanStep()
    low, low_rates = fixed_point(model, [0.0, 0.0])
    saddle, saddle_rates = fixed_point(model, [0.18, 0.06])
    high, high_rates = fixed_point(model, [0.46, 0.24])
    np.testing.assert_allclose(low, 0.0, atol=1e-12)
    np.testing.assert_allclose(saddle, [0.178037, 0.062801], atol=1e-6)
    np.testing.assert_allclose(high, [0.462465, 0.243364], atol=1e-6)
    assert low_rates.real.max() < 0 and high_rates.real.max() < 0
    assert sorted(np.sign(saddle_rates.real)) == [-1, 1]
    start = xr.Dataset({"initial.rE": ("start", [0.3, 0.1])})
    end = simulate(model, 60.0, params=start).isel(time=-1, region=0)
    np.testing.assert_allclose([end.rE[0], end.rI[0]], [0.46246, 0.24336], atol=1e-5)
    np.testing.assert_allclose([end.rE[1], end.rI[1]], 0.0, atol=1e-5)


OSCILLATING = xm.WilsonCowanStep(w_ee=16, w_ei=12, w_ie=15, w_ii=3, a_e=1.3, theta_e=4, a_i=2, theta_i=3.7, tau_e=8, tau_i=8)


def period(series, dt):
    """Mean period by the upward crossings of the mean, interpolated."""
    y = series - series.mean()
    up = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    times = (up - y[up] / (y[up + 1] - y[up])) * dt
    return float(np.diff(times).mean())


def test_wilson_cowan_oscillates_as_in_1972():
    # Period 40.03 ms at P = 1.25; with 12 and 15 swapped it would be 38.12 ms.
    x = simulate(OSCILLATING, 1000.0, inputs={"e": 1.25}, initial={"rE": 0.1}, transient=400.0, monitors=["rE"]).rE.values[:, 0]
    assert (x.min(), x.max()) == (pytest.approx(0.10152, abs=2e-5), pytest.approx(0.27149, abs=2e-5))
    assert period(x, 0.1) == pytest.approx(40.03, abs=0.01)
    faster = simulate(OSCILLATING, 1000.0, inputs={"e": 1.5}, initial={"rE": 0.1}, transient=400.0, monitors=["rE"]).rE.values[:, 0]
    assert period(faster, 0.1) == pytest.approx(26.71, abs=0.01)
    silent = simulate(OSCILLATING, 1000.0, inputs={"e": 1.0}, initial={"rE": 0.1}, monitors=["rE"]).rE.values[-1, 0]
    assert silent == pytest.approx(0.02869, abs=1e-5)


# --------------------------------------------------------------------------------------------------------- Generic 2-D
@pytest.mark.long
@pytest.mark.parametrize(
    ("parameters", "start", "point", "rates"),
    [
        ({}, [0, 0], [-0.18865, -0.11348], [-0.02239 - 0.06320j, -0.02239 + 0.06320j]),
        (dict(a=1, b=0, c2=-5, d=0.02), [-1.6, -12], [-1.61803, -12.09017], None),
        (dict(a=1, b=0, c2=-5, d=0.02), [-1, -4], [-1, -4], None),
        (dict(a=1, b=0, c2=-5, d=0.02), [0.6, -0.9], [0.61803, -0.90983], None),
    ],
)
def test_generic_2d_fixed_points(parameters, start, point, rates):
    found, eigenvalues = fixed_point(xm.Generic2dOscillatorStep(**parameters), start)
    np.testing.assert_allclose(found, point, atol=1e-5)
    if rates is not None:
        np.testing.assert_allclose(np.sort_complex(eigenvalues), rates, atol=1e-5)
    kind = {-1.6: "node", -1: "saddle", 0.6: "repeller"}.get(start[0])
    if kind == "node":
        assert (eigenvalues.real < 0).all() and (eigenvalues.imag == 0).all()
    elif kind == "saddle":
        assert sorted(np.sign(eigenvalues.real)) == [-1, 1]
    elif kind == "repeller":
        assert (eigenvalues.real > 0).all() and (eigenvalues.imag != 0).all()


def test_generic_2d_with_constant_input_is_a_damped_focus():
    found, eigenvalues = fixed_point(xm.Generic2dOscillatorStep(a=-0.5, d=0.1), [0.0, -0.4], {"c": 0.5})
    np.testing.assert_allclose(found, [0.0, -0.5], atol=1e-9)
    np.testing.assert_allclose(np.sort_complex(eigenvalues), [-0.05 - 0.31225j, -0.05 + 0.31225j], atol=1e-5)


def test_generic_2d_bistable_cycle():
    model = xm.Generic2dOscillatorStep(a=1, b=0, c2=-5, d=0.02)
    v = simulate(model, 6000.0, initial={"V": 1.0, "W": -2.0}, transient=2500.0, monitors=["V"]).V.values[:, 0]
    assert (v.min(), v.max()) == (pytest.approx(-0.93104, abs=2e-4), pytest.approx(1.68602, abs=2e-4))
    assert period(v, 0.1) == pytest.approx(931.7, abs=0.5)


# ------------------------------------------------------------------------------------------------- Montbrió, Pazó, Roxin
@pytest.mark.long
@pytest.mark.parametrize(
    ("J", "points"),
    [
        (14.0, (0.08017043, 0.66133975, 0.74220586)),
        (15.0, (0.08113444, 0.47298034, 1.03059680)),
        (21.0, (0.08878608, 0.24699571, 1.85505157)),
    ],
)
def test_montbrio_fixed_points(J, points):
    model = xm.MontbrioPazoRoxinStep(J=J)
    found = [fixed_point(model, [r, -1 / (2 * np.pi * r)]) for r in points]
    np.testing.assert_allclose([x[0] for x, _ in found], points, atol=1e-8)
    np.testing.assert_allclose([x[1] for x, _ in found], [-1 / (2 * np.pi * r) for r in points], rtol=1e-6)
    node, saddle, focus = (rates for _, rates in found)
    assert (node.real < 0).all() and sorted(np.sign(saddle.real)) == [-1, 1]
    expected = {14.0: -0.4289 + 0.9827j, 15.0: -0.3089 + 3.3186j, 21.0: -0.1716 + 7.6119j}[J]
    assert focus[np.argmax(focus.imag)] == pytest.approx(expected, abs=1e-4)


def test_montbrio_pulse_moves_the_regime():
    # Walkthrough C5: a pulse I = 3 from 20 to 40 ms; J = 14 falls back, 15 and 21 stay up.
    p = xr.Dataset({"J": ("J", [14.0, 15.0, 21.0])})
    times = xr.DataArray([0.0, 20.0, 40.0, 120.0], dims="time", attrs={"units": "ms"})
    pulse = xr.DataArray([0.0, 3.0, 0.0, 0.0], dims="time", coords={"time": times})
    run = simulate(
        xm.MontbrioPazoRoxinStep(),
        120.0,
        dt=0.01,
        params=p,
        inputs={"I": pulse},
        initial={"r": 0.05, "v": 0.02},
        monitors=["r"],
        regions=1,
    ).r.isel(region=0)
    rest = run.sel(time=20.0, method="nearest")
    np.testing.assert_allclose(rest, [0.080170, 0.081134, 0.088786], atol=2e-6)
    np.testing.assert_allclose(run.isel(time=-1), [0.080170, 1.030597, 1.85505], atol=2e-5)
    assert float(run.sel(J=14.0).max()) == pytest.approx(2.47, abs=0.01)


def test_montbrio_time_constant_scales_rates_and_times():
    runs = [
        simulate(xm.MontbrioPazoRoxinStep(tau=tau), 20.0 * tau, dt=0.02 * tau, initial={"r": 0.5 / tau, "v": -1.0}).isel(region=0)
        for tau in (1.0, 10.0)
    ]
    np.testing.assert_allclose(runs[1].r.values * 10, runs[0].r.values, rtol=1e-9)
    np.testing.assert_allclose(runs[1].v.values, runs[0].v.values, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------------------------------------- Wong-Wang
def test_wong_wang_rest():
    run = simulate(xm.WongWangExcInhStep(), 6000.0, dt=1.0, monitors=["S_e", "S_i", "H_e", "H_i"]).isel(time=-1, region=0)
    expected = [0.16475721, 0.03921845, 3.07732706, 3.92184486]
    np.testing.assert_allclose([run.S_e, run.S_i, run.H_e, run.H_i], expected, rtol=0, atol=2e-8)
    x = 1.4 * 0.15 * float(run.S_e) - float(run.S_i) + 0.382
    assert x - 125 / 310 == pytest.approx(-0.025845, abs=1e-6)


def exact_transfer(z):
    """z / (1 - exp(-z)) and its derivative, in extended precision."""
    z = np.asarray(z, np.longdouble)
    small = np.abs(z) < 1e-2
    s = np.where(small, np.longdouble(1), z)
    e = np.exp(-s)
    value = np.where(small, 1 + z / 2 + z**2 / 12 - z**4 / 720, s / -np.expm1(-s))
    slope = np.where(small, 0.5 + z / 6 - z**3 / 180, (-np.expm1(-s) - s * e) / np.expm1(-s) ** 2)
    return value.astype(float), slope.astype(float)


@pytest.mark.long
@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-10), (False, 2e-5)])
@pytest.mark.parametrize(("a", "b", "d"), [(310.0, 125.0, 0.160), (615.0, 177.0, 0.087)])
def test_transfer_function_is_safe_at_its_singularity(a, b, d, x64, tolerance):
    # Over seven decades of the distance from a x = b, on both sides, and exactly there: 1 / d and slope a / 2.
    gap = np.concatenate([-np.logspace(-7, 0, 141), [0.0], np.logspace(-7, 0, 141)])  # in z = d (a x - b)
    with jax.enable_x64(x64):
        dtype = jnp.float64 if x64 else jnp.float32
        # x is 0 and b carries the distance, so that a x - b itself is not rounded.
        drive = jnp.asarray(gap / d, dtype)

        def rate(y):
            return transfer(jnp.ones((), dtype), y, jnp.zeros((), dtype), jnp.asarray(d, dtype))

        value = np.asarray(jax.vmap(rate)(drive), float)
        slope = np.asarray(jax.vmap(jax.grad(rate))(drive), float)
        at = transfer(jnp.asarray(b / a, dtype), jnp.asarray(a, dtype), jnp.asarray(b, dtype), jnp.asarray(d, dtype))
    expected, expected_slope = exact_transfer(gap)
    # float32: the slope is a difference of numbers of order one over the square of the distance, taken from 0.02 on.
    np.testing.assert_allclose(value * d, expected, rtol=1e-12 if x64 else 5e-7)
    np.testing.assert_allclose(slope, expected_slope, rtol=tolerance)
    assert float(at) == pytest.approx(1 / d, rel=1e-4)


@pytest.mark.parametrize("x64", [True, False])
def test_transfer_function_far_from_its_singularity(x64):
    # Rates fall to 0 exponentially below threshold and become a x - b above; never negative by more than rounding.
    y = np.array([-400.0, -100.0, -40.0, -10.0, 10.0, 100.0, 1000.0])
    with jax.enable_x64(x64):
        dtype = jnp.float64 if x64 else jnp.float32
        found = np.asarray(transfer(jnp.asarray(y, dtype), jnp.ones((), dtype), jnp.zeros((), dtype), jnp.asarray(0.16, dtype)), float)
    expected = exact_transfer(0.16 * y)[0] / 0.16
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=np.finfo(dtype).eps * 400)
    assert np.isfinite(found).all()


def test_wong_wang_states_are_held_in_their_bounds_and_can_be_freed():
    strong = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.2), noise_i=xm.WhiteNoise(sigma=0.2))
    held = xm.Simulator(strong, dt=1.0, regions=20).run(400.0, seed=1)
    assert float(held.S_e.min()) == 0.0 and float(held.S_e.max()) <= 1.0 and float(held.S_i.min()) == 0.0
    free = xm.Simulator(strong, dt=1.0, regions=20, bounds=False).run(400.0, seed=1)
    assert float(free.S_i.min()) < -0.01


# ---------------------------------------------------------------------------------------------------------------- linear
def test_linear_node_with_input_and_exact_exponential_euler():
    sim = xm.Simulator(xm.LinearStep(), dt=0.1, method="exp_euler", precision="float64")
    x = sim.run(2.0, monitors=["x"], initial={"x": 1.0}, inputs={"x": 5.0}).x.isel(region=0)
    np.testing.assert_allclose(x, 0.5 + 0.5 * np.exp(-10.0 * x.time.values), rtol=1e-13)


def test_nodes_agree_with_an_adaptive_solver():
    # Heun at a small step against DOP853 with the same drift, for a model with every kind of input.
    model, inputs = xm.WilsonCowanStep(tau_e=8, tau_i=5), {"e": 1.2, "i": 0.3, "rE": 0.001, "rI": -0.002}
    value, _ = field(model, inputs)
    exact = scipy.integrate.solve_ivp(lambda t, x: value(x), (0, 20), [0.2, 0.1], method="DOP853", rtol=1e-9, atol=1e-11).y[:, -1]
    run = simulate(model, 20.0, dt=0.02, method="rk4", initial={"rE": 0.2, "rI": 0.1}, inputs=inputs).isel(time=-1, region=0)
    np.testing.assert_allclose([run.rE, run.rI], exact, rtol=1e-7)
