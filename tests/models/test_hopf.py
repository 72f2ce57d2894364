"""The Stuart-Landau oscillator: reference vector, closed solution, and its relation to the Hopf node. HopfStep is in test_facts."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.models.test_facts import fixed_point, simulate
from tests.models.test_vectors import derivative, one_step


def test_derivative_and_one_step_of_stuart_landau():
    model, state, inputs = xm.StuartLandauStep(), {"x": 0.3, "y": -0.2}, {"x": 0.1, "y": 0.05}
    np.testing.assert_allclose(derivative(model, state, inputs), (0.176, 0.086), rtol=1e-14)
    # Ten printed digits.
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "exp_euler"), (0.3175473054, -0.191382777), rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "rk4"), (0.317504087, -0.1911013739), rtol=2e-9)


@pytest.mark.parametrize("tau", [1.0, 5.0])
def test_stuart_landau_follows_its_closed_solution(tau):
    # r^2 solves a logistic equation with the limit a tau, the phase grows by w.
    a, w, start = 0.1, 0.3, 0.2
    run = simulate(xm.StuartLandauStep(a=a, w=w, tau=tau), 40.0, dt=0.05, method="rk4", initial={"x": start, "y": 0.0}).isel(region=0)
    t = run.time.values
    radius = np.sqrt(a * tau / (1 + (a * tau / start**2 - 1) * np.exp(-2 * a * t)))
    exact = radius * np.exp(1j * w * t)
    # RK4: the phase drifts by w (w dt)^4 / 120 per ms, 5e-9 in 40 ms, and the amplitude is of the same order.
    np.testing.assert_allclose(run.x.values + 1j * run.y.values, exact, atol=2e-8)
    assert radius[-1] == pytest.approx(np.sqrt(a * tau), rel=0.01)


def test_stuart_landau_is_the_hopf_node_with_beta_one():
    start = {"x": 0.1, "y": -0.3}
    ours = simulate(xm.StuartLandauStep(a=-0.03, w=0.25), 20.0, initial=start)
    theirs = simulate(xm.HopfStep(a=-0.03, w=0.25, beta=1.0), 20.0, initial=start)
    for name in ("x", "y"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-13)


@pytest.mark.parametrize("a", [-0.1, 0.1])
def test_stuart_landau_origin_gains_or_loses_stability_at_zero(a):
    point, rates = fixed_point(xm.StuartLandauStep(a=a), [0.01, 0.01])
    np.testing.assert_allclose(point, 0.0, atol=1e-12)
    np.testing.assert_allclose(np.sort_complex(rates), [a - 0.2j, a + 0.2j], atol=1e-12)


def test_stuart_landau_starts_near_the_fixed_point_by_the_seed():
    sim = xm.Simulator(xm.StuartLandauStep(a=0.0, w=0.0), dt=0.1, regions=200, precision="float64")
    # Without growth and rotation 1 - r^2 dt of the start is left after a step: at most 3e-4 of it is lost.
    first, again, other = (sim.run(0.1, seed=s).isel(time=0) for s in (3, 3, 4))
    for name in ("x", "y"):
        assert 0 <= float(first[name].min()) < 0.005 and 0.045 < float(first[name].max()) <= 0.05
        assert abs(float(first[name].mean()) - 0.025) < 0.004  # 0.05 / sqrt(12 * 200) = 0.001
    xr.testing.assert_equal(first.drop_attrs(), again.drop_attrs())
    assert not np.allclose(first.x, other.x) and not np.allclose(first.x, first.y)


def test_stuart_landau_takes_the_frequencies_of_a_hopf_node():
    # w in rad/ms, region by region, as xm.intrinsic_frequency gives it
    w = xr.DataArray([0.1, 0.2, 0.4], dims="region", attrs={"units": "rad/ms"})
    sim = xm.Simulator(xm.StuartLandauStep(w=w), dt=0.05, regions=3, precision="float64")
    run = sim.run(300.0, transient=200.0, seed=0)
    phase = np.unwrap(np.angle(run.x.values + 1j * run.y.values), axis=0)
    rate = (phase[-1] - phase[0]) / float(run.time[-1] - run.time[0])
    # Heun shortens the period by (w dt)^2 / 6 = 7e-5 at most.
    np.testing.assert_allclose(rate, w, rtol=1e-4)
