"""The threshold-linear node: the sign of the paper, steady states, bounds, and the paper's local circuit made of couplings."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.models.test_facts import simulate
from tests.models.test_vectors import derivative, one_step


def paper(E, I, drive_E, drive_I, tau_E=20.0, tau_I=10.0, beta_E=0.066, beta_I=0.351):
    """Chaudhuri et al. (2015): tau dnu/dt = -nu + beta [I]_+ for both populations."""
    return np.array([(-E + beta_E * max(drive_E, 0.0)) / tau_E, (-I + beta_I * max(drive_I, 0.0)) / tau_I])


@pytest.mark.parametrize("drives", [(5.0, 4.0), (-5.0, 4.0), (5.0, -4.0), (0.0, 0.0)])
def test_derivative_has_the_sign_of_the_paper(drives):
    # Another simulator has +I - beta_I [D]_+ for the inhibitory population.
    found = derivative(xm.ThresholdLinearStep(), {"E": 0.3, "I": 0.2}, dict(zip(("drive_E", "drive_I"), drives)))
    np.testing.assert_allclose(found, paper(0.3, 0.2, *drives), rtol=1e-14)


def test_one_step():
    model, state, inputs = xm.ThresholdLinearStep(), {"E": 0.3, "I": 0.2}, {"drive_E": 5.0, "drive_I": 4.0}
    # Eight printed digits; with the other sign I would be 0.18789960.
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "exp_euler"), [0.30014963, 0.21198000], atol=5e-9)
    # Relaxation to beta D: the exponential step is exact, RK4 is the series of exp to z^4.
    target, z = np.array([0.066 * 5, 0.351 * 4]), np.array([-0.1 / 20, -0.1 / 10])
    left = np.array([0.3, 0.2]) - target
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "exp_euler"), target + left * np.exp(z), rtol=1e-14)
    series = 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "rk4"), target + left * series, rtol=1e-14)


def test_rates_decay_without_input():
    run = simulate(xm.ThresholdLinearStep(), 100.0, dt=0.1, initial={"E": 5.0, "I": 5.0}).isel(region=0)
    t = run.time.values
    # Heun: the decay rate is off by (dt / tau)^2 / 6, so 2e-5 * t / tau relatively.
    np.testing.assert_allclose(run.E, 5 * np.exp(-t / 20), rtol=1e-4)
    np.testing.assert_allclose(run.I, 5 * np.exp(-t / 10), rtol=2e-4)


def test_rates_are_threshold_linear_in_the_drive():
    drive = xr.DataArray([-100.0, 0.0, 50.0, 100.0, 200.0], dims="drive")
    end = simulate(xm.ThresholdLinearStep(), 600.0, inputs={"drive_E": drive, "drive_I": drive}).isel(time=-1, region=0)
    np.testing.assert_allclose(end.E, 0.066 * np.maximum(drive, 0), rtol=1e-10)
    np.testing.assert_allclose(end.I, 0.351 * np.maximum(drive, 0), rtol=1e-10)


def test_direct_inputs_are_added_to_the_derivative():
    end = simulate(xm.ThresholdLinearStep(), 600.0, inputs={"E": 0.5, "I": 0.2}).isel(time=-1, region=0)
    np.testing.assert_allclose([end.E, end.I], [0.5 * 20, 0.2 * 10], rtol=1e-10)


def test_rates_are_held_at_zero_and_have_no_upper_bound():
    noisy = xm.ThresholdLinearStep(noise_E=xm.WhiteNoise(sigma=0.5), noise_I=xm.WhiteNoise(sigma=0.5))
    held = xm.Simulator(noisy, dt=0.1, regions=20).run(100.0, seed=1)
    assert float(held.E.min()) == 0.0 and float(held.I.min()) == 0.0 and bool(np.isfinite(held.E).all())
    free = xm.Simulator(noisy, dt=0.1, regions=20, bounds=False).run(100.0, seed=1)
    assert float(free.E.min()) < -0.5
    high = simulate(xm.ThresholdLinearStep(), 600.0, inputs={"drive_E": 1e5}).isel(time=-1, region=0)
    assert float(high.E) == pytest.approx(6600.0, rel=1e-9)


W_EE, W_EI, W_IE, W_II = 24.3, 19.7, 12.2, 12.5  # pA/Hz


def test_the_local_circuit_of_the_paper_is_four_couplings_of_a_region_with_itself():
    node = xm.ThresholdLinearStep()
    itself = xr.Dataset({"weights": (("region", "region_other"), np.eye(2))})
    loops = {
        "ee": xm.AdditiveCoupling(k=W_EE, source="E", target="drive_E"),
        "ei": xm.AdditiveCoupling(k=-W_EI, source="I", target="drive_E"),
        "ie": xm.AdditiveCoupling(k=W_IE, source="E", target="drive_I"),
        "ii": xm.AdditiveCoupling(k=-W_II, source="I", target="drive_I"),
    }
    sim = xm.Simulator(xm.Network(node, itself, coupling=loops), dt=0.1, precision="float64")
    current = 50.0
    run = sim.run(1200.0, inputs={"drive_E": current}, initial={"E": xr.DataArray([2.0, 12.0], dims="region")})
    # Linear above threshold: with A the Jacobian, the rates are -A^-1 (beta_E I / tau_E, 0), and the slow mode decays as exp(t l).
    A = np.array([[(-1 + 0.066 * W_EE) / 20, -0.066 * W_EI / 20], [0.351 * W_IE / 10, (-1 - 0.351 * W_II) / 10]])
    rest = -np.linalg.solve(A, [0.066 * current / 20, 0.0])
    assert rest == pytest.approx([0.15361310 * current, 0.12209782 * current], rel=1e-7)
    end = run.isel(time=-1)
    np.testing.assert_allclose(np.stack([end.E, end.I]), np.stack([rest, rest], axis=1), rtol=1e-9)
    slow = np.linalg.eigvals(A).max()
    assert slow == pytest.approx(-0.02387905, rel=1e-6)  # 41.9 ms, twice the time constant of the population
    gap = np.log(np.abs(run.E.sel(time=[200.0, 300.0], method="nearest") - rest[0]))
    # The fast mode (-0.485 per ms) is gone; Heun changes a rate by (l dt)^2 / 6 = 1e-6 of it.
    np.testing.assert_allclose(gap.diff("time") / 100.0, slow, rtol=1e-5)
