"""Van der Pol and FitzHugh-Nagumo nodes: reference vectors, cycles, bifurcation points, against numbers and solvers of others."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import xarray as xr

import xmass as xm
from tests.models.test_facts import fixed_point, period, simulate
from tests.models.test_vectors import derivative, one_step

VECTORS = [
    (
        xm.VanDerPolStep(),
        {"x": 0.3, "y": -0.2},
        {"x": 0.1, "y": 0.05},
        (0.591, 0.35),
        (0.3618725078, -0.165),
        (0.3599283695, -0.1620163854),
    ),
    (
        xm.FitzHughNagumoStep(),
        {"V": 0.3, "w": 0.1},
        {"V": 0.5, "w": 0.01},
        (0.229, 0.0225),
        (0.3230033598, 0.1022471898),
        (0.3229105849, 0.1023044018),
    ),
]


@pytest.mark.parametrize(("model", "state", "inputs", "rates", "exponential", "rk4"), VECTORS, ids=["van_der_pol", "fitzhugh_nagumo"])
def test_derivative_and_one_step(model, state, inputs, rates, exponential, rk4):
    np.testing.assert_allclose(derivative(model, state, inputs), rates, rtol=1e-14)
    # Ten printed digits.
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "exp_euler"), exponential, rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "rk4"), rk4, rtol=2e-9)


# ---------------------------------------------------------------------------------------------------------- van der Pol
@pytest.mark.parametrize(("mu", "top", "length"), [(0.1, 2.0001, None), (1.0, 2.0086, 6.6633), (5.0, 2.0215, 11.6122)])
def test_van_der_pol_cycle(mu, top, length):
    # Started on the cycle to four digits; a multiplier exp(-mu period) of at most 0.5 per cycle does the rest.
    dt = 0.005 / max(mu, 1.0)
    x = simulate(xm.VanDerPolStep(mu=mu), 150.0, dt=dt, initial={"x": 2.0, "y": -0.67}, transient=90.0, monitors=["x"]).x.values[:, 0]
    # One unit of the last printed digit. Heun at mu dt = 0.005 is off by 1e-5; a maximum between samples by less than 1e-6.
    assert x.max() == pytest.approx(top, abs=1e-4) and x.min() == pytest.approx(-top, abs=1e-4)
    if length is not None:
        assert period(x, dt) == pytest.approx(length, abs=1e-4)


def test_van_der_pol_solves_the_equation_of_second_order():
    # x'' - mu (1 - x^2) x' + x = 0, integrated by SciPy in x and x', not in Liénard's y.
    mu, x0, y0 = 1.5, 0.5, -0.4
    slope = mu * (x0 - x0**3 / 3 - y0)
    t = np.arange(1, 401) * 0.05
    exact = scipy.integrate.solve_ivp(
        lambda t, z: [z[1], mu * (1 - z[0] ** 2) * z[1] - z[0]], (0, 20), [x0, slope], method="DOP853", rtol=1e-11, atol=1e-12, t_eval=t
    ).y[0]
    run = simulate(xm.VanDerPolStep(mu=mu), 20.0, dt=0.01, method="rk4", initial={"x": x0, "y": y0}, monitors=["x"]).x.values[4::5, 0]
    np.testing.assert_allclose(run, exact, atol=1e-6)  # RK4 at mu dt = 0.015


def test_van_der_pol_rest_is_unstable():
    # Eigenvalues of x'' - mu x' + x = 0.
    _, rates = fixed_point(xm.VanDerPolStep(mu=0.6), [0.1, 0.1])
    np.testing.assert_allclose(np.sort_complex(rates), np.sort_complex(np.roots([1.0, -0.6, 1.0])), atol=1e-12)


def test_van_der_pol_tau_is_the_unit_of_time():
    fast, slow = (
        simulate(xm.VanDerPolStep(tau=tau), 10.0 * tau, dt=0.05 * tau, initial={"x": 0.5, "y": 0.1}).isel(region=0) for tau in (1.0, 20.0)
    )
    np.testing.assert_allclose(slow.x.values, fast.x.values, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slow.y.values, fast.y.values, rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------------------ FitzHugh-Nagumo
@pytest.mark.long
@pytest.mark.parametrize(("current", "V"), [(0.72606, 0.27685), (1.33155, 0.61203)])
def test_fitzhugh_nagumo_hopf_points(current, V):
    # Printed to 1e-5: the real part changes its sign within one unit of the last digit on either side.
    points, rates = zip(*(fixed_point(xm.FitzHughNagumoStep(), [V, 2 * V], {"V": current + side}) for side in (-1e-5, 1e-5)), strict=True)
    np.testing.assert_allclose([p[0] for p in points], V, atol=2e-5)
    growth = [r.real.max() for r in rates]
    assert growth[0] * growth[1] < 0
    assert (growth[0] < 0) == (current < 1)  # stable below the first and above the second
    # At a Hopf point the trace is zero, so w^2 = 1 / tau - (epsilon / tau)^2.
    assert abs(rates[0].imag).max() == pytest.approx(np.sqrt(1 / 20 - (0.5 / 20) ** 2), abs=1e-5)


def test_fitzhugh_nagumo_is_silent_cycles_and_is_silent_again():
    p = xr.Dataset({"seed": ("batch", [0])})
    current = xr.DataArray([0.7, 1.0, 1.5], dims="I")
    V = simulate(xm.FitzHughNagumoStep(), 2000.0, dt=0.05, params=p, inputs={"V": current}, transient=1500.0, monitors=["V"]).V
    V = V.isel(region=0, batch=0)
    size = (V.max("time") - V.min("time")).values
    # At 0.7 the focus attracts with 0.0068 per ms: 1e-4 is left after 1500 ms.
    assert size[0] < 1e-3 and size[2] < 1e-6
    cycle = V.isel(I=1).values
    assert (cycle.min(), cycle.max()) == (pytest.approx(0.10183, abs=2e-5), pytest.approx(0.77166, abs=2e-5))
    assert period(cycle, 0.05) == pytest.approx(30.545, abs=1e-3)
    assert 1000 / period(cycle, 0.05) == pytest.approx(32.74, abs=0.005)


def test_fitzhugh_nagumo_has_a_time_constant_for_each_equation():
    # Four independent numbers against the formula, with every parameter away from its default.
    p = dict(alpha=2.0, beta=3.0, gamma=-0.5, delta=0.2, epsilon=0.7, tau=10.0, tau_V=4.0)
    V, w, I_V, I_w = 0.4, 0.3, 0.05, -0.02
    found = derivative(xm.FitzHughNagumoStep(**p), {"V": V, "w": w}, {"V": I_V, "w": I_w})
    np.testing.assert_allclose(found, [(-2 * V**3 + 3 * V**2 - 0.5 * V - w) / 4 + I_V, (V - 0.2 - 0.7 * w) / 10 + I_w], rtol=1e-14)
