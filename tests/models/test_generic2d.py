"""The parameter sets of the generic two-dimensional oscillator. Its equation and defaults are in test_vectors and test_facts."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.models.test_facts import field, fixed_point, period, simulate
from xmass.core.model import declared_parameters

Step = xm.Generic2dOscillatorStep


@pytest.mark.parametrize(
    ("model", "changed"),
    [
        (Step.excitable(), {}),
        (Step.bistable(), dict(a=1.0, b=0.0, c2=-5.0, d=0.02)),
        (Step.morris_lecar(), dict(a=0.5, b=0.6, c2=-4.0, d=0.02)),
    ],
    ids=["excitable", "bistable", "morris_lecar"],
)
def test_a_preset_is_a_model_with_these_parameters(model, changed):
    assert type(model) is Step
    declared = {d.name: d.default for d in declared_parameters(Step)}
    assert {name: getattr(model, name) for name in declared} == declared | changed


def kinds(model, starts, inputs=None):
    """Fixed points found from some starts, with their kind."""
    for start in starts:
        point, rates = fixed_point(model, start, inputs)
        kind = "saddle" if rates.real.min() < 0 < rates.real.max() else "stable" if rates.real.max() < 0 else "unstable"
        yield *point, f"{kind} {'focus' if abs(rates.imag).max() > 0 else 'node'}" if kind != "saddle" else kind


# ------------------------------------------------------------------------------------------------------------ excitable
def test_excitable_rests_in_a_focus():
    point, rates = fixed_point(Step.excitable(), [0.0, 0.0])
    np.testing.assert_allclose(point, [-0.18865, -0.11348], atol=1e-5)
    np.testing.assert_allclose(np.sort_complex(rates), [-0.02239 - 0.06320j, -0.02239 + 0.06320j], atol=1e-5)


def test_excitable_starts_to_cycle_at_a_hopf_point():
    # The trace d (-3 V^2 + 6 V - 1) is zero at V = 1 - sqrt(2/3); there w = d sqrt(10 - 1) = 0.06 rad/ms, 9.55 Hz.
    V = 1 - np.sqrt(2 / 3)
    current = V**3 - 3 * V**2 + 2 + 10 * V
    assert current == pytest.approx(3.74019, abs=1e-5)
    found, rates = fixed_point(Step.excitable(), [0.2, -4.0], {"c": current})
    assert found[0] == pytest.approx(V, rel=1e-10)
    np.testing.assert_allclose(np.sort_complex(rates), [-0.06j, 0.06j], atol=1e-12)
    drive = xr.DataArray([3.0, 4.0], dims="drive")
    V = simulate(Step.excitable(), 4000.0, inputs={"c": drive}, transient=3000.0, monitors=["V"]).V.isel(region=0)
    size = (V.max("time") - V.min("time")).values
    assert size[0] < 1e-3 and size[1] > 0.5  # the focus attracts with 0.0033 per ms at c = 3


# ------------------------------------------------------------------------------------------------------------- bistable
@pytest.mark.long
def test_bistable_has_a_node_a_saddle_and_a_focus():
    found = list(kinds(Step.bistable(), [[-1.6, -12.0], [-1.0, -4.0], [0.6, -0.9]]))
    golden = (np.sqrt(5) - 1) / 2  # V^3 + 2 V^2 - 1 = (V + 1)(V^2 + V - 1)
    V = np.array([-1 - golden, -1.0, golden])
    np.testing.assert_allclose([f[0] for f in found], V, atol=1e-9)
    np.testing.assert_allclose([f[1] for f in found], 1 - 5 * V**2, atol=1e-8)
    assert [f[2] for f in found] == ["stable node", "saddle", "unstable focus"]
    np.testing.assert_allclose(found[0][:2], [-1.61803, -12.09017], atol=1e-5)
    np.testing.assert_allclose(found[2][:2], [0.61803, -0.90983], atol=1e-5)


def test_bistable_keeps_the_node_or_the_cycle_by_its_start():
    starts = xr.Dataset({"initial.V": ("start", [-1.6, 0.7]), "initial.W": ("start", [-12.0, -0.9])})
    run = simulate(Step.bistable(), 6000.0, params=starts, transient=3000.0, monitors=["V"]).V.isel(region=0)
    # The node's slow rate is 0.0015 per ms: 1e-4 of the 0.02 of the start are left.
    np.testing.assert_allclose(run.isel(start=0), -1.61803, atol=2e-4)
    cycle = run.isel(start=1).values
    assert (cycle.min(), cycle.max()) == (pytest.approx(-0.93104, abs=2e-5), pytest.approx(1.68602, abs=2e-5))
    # 931.740 by DOP853 at rtol 1e-11; Heun lengthens it by 3e-5 of it.
    assert period(cycle, 0.1) == pytest.approx(931.74, abs=0.05)


# --------------------------------------------------------------------------------------------------------- Morris-Lecar
@pytest.mark.long
def test_morris_lecar_rests_in_a_node_beside_a_saddle():
    found = list(kinds(Step.morris_lecar(), [[-1.1, -5.4], [-0.6, -1.3], [0.7, -1.2]]))
    # Roots of -V^3 - V^2 + 0.6 V + 0.5, and W = 0.5 + 0.6 V - 4 V^2, by numpy.
    roots = np.sort(np.roots([-1.0, -1.0, 0.6, 0.5]))
    np.testing.assert_allclose([f[0] for f in found], roots, atol=1e-9)
    np.testing.assert_allclose([f[1] for f in found], 0.5 + 0.6 * roots - 4 * roots**2, atol=1e-8)
    np.testing.assert_allclose([f[0] for f in found], [-1.14201, -0.59448, 0.73649], atol=1e-5)
    assert [f[2] for f in found] == ["stable node", "saddle", "unstable focus"]


# The cubic -V^3 - V^2 + 0.6 V + 0.5 + c has a double root where its slope is zero, at V = -(1 + sqrt(2.8)) / 3.
DOUBLE = -(1 + np.sqrt(2.8)) / 3
ONSET = DOUBLE**3 + DOUBLE**2 - 0.6 * DOUBLE - 0.5


def test_morris_lecar_node_and_saddle_meet():
    np.testing.assert_allclose(ONSET, 0.121133, atol=1e-6)
    value, jacobian = field(Step.morris_lecar(), {"c": ONSET})
    at = np.array([DOUBLE, 0.5 + 0.6 * DOUBLE - 4 * DOUBLE**2])
    np.testing.assert_allclose(value(at), 0.0, atol=1e-15)
    assert np.linalg.det(jacobian(at)) == pytest.approx(0.0, abs=1e-16)


# Periods by DOP853 and LSODA, rtol 1e-9.
@pytest.mark.parametrize(("current", "length"), [(0.2, 1928.317), (0.5, 668.882), (1.0, 381.970), (2.0, 233.990)])
def test_morris_lecar_cycles_slowly_above_the_onset(current, length):
    start = {"V": 1.5, "W": -1.0}
    model = Step.morris_lecar()
    V = simulate(model, 7000.0, dt=0.2, inputs={"c": current}, initial=start, transient=2500.0, monitors=["V"]).V.values[:, 0]
    # Heun at the fastest rate of 0.2 per ms: 2e-4 relatively.
    assert period(V, 0.2) == pytest.approx(length, rel=5e-4)


def test_morris_lecar_is_silent_below_the_onset():
    model = Step.morris_lecar()
    V = simulate(model, 8000.0, dt=0.2, inputs={"c": 0.1}, initial={"V": 1.5, "W": -1.0}, transient=7000.0, monitors=["V"]).V
    # At c = 0.1 the node is at V = -1 exactly; its slow rate is 0.0008 per ms.
    np.testing.assert_allclose(V, -1.0, atol=0.01)
