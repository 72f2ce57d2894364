"""The Balloon-Windkessel model: equations at a point, read-out, response to a box, steady states, in a run and after it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

BOLD = xm.BOLDSignal(of="z", tr=10.0)


def respond(z, dt=1.0, tr=10.0):
    """BOLD of an activity ``(time, region)`` sampled every dt ms."""
    stamps = ("time", np.arange(1, len(z) + 1) * dt, {"units": "ms", "axis": "T"})
    ds = xr.Dataset({"z": (("time", "region"), z)}, coords={"time": stamps})
    return xm.observe(ds, {"bold": xm.BOLDSignal(of="z", tr=tr)}).bold


def seconds(bold):
    clock = bold.bold_time
    return clock.values * {"ms": 1e-3, "s": 1.0}[clock.attrs["units"]]


def test_derivative_and_read_out_at_a_point():
    # With k2 (1 - q / v); the form with q / rho would give -0.062082 here and -0.0776 at rest.
    found = [float(r) for r in BOLD.rates((0.2, 1.3, 1.1, 0.9), 0.5)]
    np.testing.assert_allclose(found[:2], [0.247, 0.2], rtol=1e-12)
    # The last two go through float32 powers here.
    np.testing.assert_allclose(found[2:], [-0.04791027, -0.05715261], atol=3e-7)
    assert float(BOLD.signal((0.0, 1.3, 1.1, 0.9))) == pytest.approx(0.011073, abs=5e-7)
    assert float(BOLD.signal((0.0, 1.0, 1.0, 1.0))) == 0.0
    assert [float(r) for r in BOLD.rates((0.0, 1.0, 1.0, 1.0), 0.0)] == pytest.approx([0, 0, 0, 0], abs=2e-7)


def test_rest_stays_at_rest():
    assert float(abs(respond(np.zeros((20_000, 1)), tr=1000.0)).max()) < 1e-15


@pytest.mark.parametrize(
    ("amplitude", "peak_time", "peak", "undershoot"),
    [(0.001, 3.61, 0.036474, (9.6, -0.0052)), (1.0, 3.38, 0.02523, None)],
)
def test_response_to_a_box_of_one_second(amplitude, peak_time, peak, undershoot):
    z = np.zeros((20_000, 1))
    z[:1000] = amplitude
    bold = respond(z)
    t, y = seconds(bold), bold.values[:, 0] / (amplitude if amplitude < 1 else 1.0)
    assert t[y.argmax()] == pytest.approx(peak_time, abs=0.015)
    assert y.max() == pytest.approx(peak, abs=2e-5 if amplitude == 1.0 else 5e-6)
    if undershoot:
        assert t[y.argmin()] == pytest.approx(undershoot[0], abs=0.1)
        assert y.min() == pytest.approx(undershoot[1], abs=5e-5)


def test_steady_states_and_how_fast_they_are_reached():
    levels = [0.16475721, 0.5, 1.0, 3.0, 77.0]
    bold = respond(np.tile(levels, (60_000, 1)), tr=100.0)
    np.testing.assert_allclose(bold[-1, :3], [0.016315, 0.03387, 0.04590], atol=5e-6)
    np.testing.assert_allclose(bold[-1, 3:], [0.0591, 0.0439], atol=5e-5)  # rates in Hz: saturated, not even monotone
    # From rest the level of S_e's rest state settles to 1 % in 14 s and to 1e-4 in 27 s.
    off = np.abs(bold.values[:, 0] / bold.values[-1, 0] - 1)
    t = seconds(bold)
    last = [t[np.flatnonzero(off > limit)[-1]] for limit in (1e-2, 1e-4)]
    assert last == [pytest.approx(14, abs=1), pytest.approx(27, abs=1)]


def test_a_negative_activity_that_empties_the_vessel_is_marked():
    # A settled z below -.41 makes f negative.
    sim = xm.Simulator(xm.LinearStep(gamma=-1.0), dt=1.0, precision="float64")
    p = xr.Dataset({"initial.x": ("case", [-0.3, -0.6])})
    inputs = {"x": xr.DataArray([-0.3, -0.6], dims="case")}
    with pytest.warns(UserWarning, match="diverged"):
        run = sim.run(40_000.0, p, monitors={"bold": xm.BOLDSignal(of="x", tr=1000.0)}, inputs=inputs)
    np.testing.assert_array_equal(run.diverged, [False, True])
    assert np.isfinite(run.bold.isel(case=0)).all()


def test_haemodynamic_parameters_are_parameters():
    sim = xm.Simulator(xm.LinearStep(gamma=-0.01), dt=1.0, precision="float64")
    bold = xm.BOLDSignal(of="x", tr=500.0)
    p = xr.Dataset({"bold.tau": ("tau", [0.98, 2.0]), "bold.V0": ("V0", [0.02, 0.04])})
    run = sim.run(10_000.0, p, monitors={"b": bold}, inputs={"x": 0.005}, initial={"x": 0.0}).b
    np.testing.assert_allclose(run.isel(V0=1), 2 * run.isel(V0=0), rtol=1e-14)
    assert float(abs(run.isel(tau=0) - run.isel(tau=1)).max()) > 1e-3
    alone = sim.run(10_000.0, monitors={"b": bold}, inputs={"x": 0.005}, initial={"x": 0.0}).b
    np.testing.assert_allclose(run.isel(tau=0, V0=0), alone, rtol=1e-13)


@pytest.mark.long
def test_every_region_may_have_a_haemodynamics_of_its_own():
    regions = ["l", "m", "r"]
    sim = xm.Simulator(xm.HopfStep(a=-0.05, w=0.05, noise_x=xm.WhiteNoise(sigma=0.05)), dt=1.0, regions=regions, precision="float64")
    values = {
        "tau": [0.8, 0.98, 1.4],
        "kappa": [0.65, 0.5, 0.8],
        "alpha": [0.32, 0.2, 0.4],
        "rho": [0.34, 0.4, 0.3],
        "V0": [0.02, 0.03, 0.04],
    }
    turned = {n: xr.DataArray(v[::-1], dims="region", coords={"region": regions[::-1]}) for n, v in values.items()}
    bold = xm.BOLDSignal(of="x", tr=500.0, **turned)
    whole = sim.run(20_000.0, monitors={"x": "x", "b": bold}, seed=1)
    swept = sim.run(
        20_000.0, xr.Dataset({f"bold.{n}": v for n, v in turned.items()}), monitors={"b": xm.BOLDSignal(of="x", tr=500.0)}, seed=1
    )
    np.testing.assert_array_equal(swept.b, whole.b)
    stored = xm.observe(whole[["x"]], {"b": bold}).b
    np.testing.assert_allclose(stored, whole.b, rtol=1e-12, atol=1e-18)
    for i, name in enumerate(regions):
        alone = xm.BOLDSignal(of="x", tr=500.0, **{n: v[i] for n, v in values.items()})
        one = sim.run(20_000.0, monitors={"b": alone}, seed=1).b
        np.testing.assert_allclose(whole.b.sel(region=name), one.sel(region=name), rtol=1e-12, atol=1e-18)
    # a cohort: a map of its own for each subject
    cohort = xr.concat([turned["tau"], 1.2 * turned["tau"]], xr.DataArray(["s1", "s2"], dims="subject", name="subject"))
    two = sim.run(5000.0, xr.Dataset({"bold.tau": cohort}), monitors={"b": xm.BOLDSignal(of="x", tr=500.0)}, seed=1).b
    assert two.dims == ("subject", "b_time", "region") and float(abs(two[0] - two[1]).max()) > 1e-6


def test_the_box_of_the_requirement():
    # 1 s of 0.001: peak 3.6 s after onset, undershoot at 9.6 s
    z = np.zeros((15_000, 1))
    z[:1000] = 0.001
    bold = respond(z)
    t = seconds(bold)
    assert t[bold.values[:, 0].argmax()] == pytest.approx(3.6, abs=0.05)
    assert t[bold.values[:, 0].argmin()] == pytest.approx(9.6, abs=0.1)
