"""Observers in the run give the numbers of xm.observe on the stored trajectory, and those of numpy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import xarray as xr

import xmass as xm

DT, DURATION, TRANSIENT = 0.5, 400.0, 60.0
BOLD = xm.BOLDSignal(of="x", tr=8.0)
OBSERVED = {
    "mean": xm.TemporalAverage(of="x", period=3.0),
    "long": xm.TemporalAverage(of="y", period=100.0, name="long"),
    "thin": xm.Subsample(of="x", period=6.5),
    "bold": BOLD,
    "fc": xm.FunctionalConnectivity(of="x"),
    "flat": xm.FunctionalConnectivity(of="x", detrend="linear", name="flat"),
    "fc_bold": xm.FunctionalConnectivity(of=BOLD, name="fc_bold"),
    "fc_thin": xm.FunctionalConnectivity(of=xm.TemporalAverage(of="x", period=3.0), detrend="linear", name="fc_thin"),
}


def relative(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.fixture(scope="module")
def run():
    """A noisy bank, two points of a sweep and one transient, stored and observed at once."""
    node = xm.HopfStep(a=-0.05, w=0.1, noise_x=xm.WhiteNoise(sigma=0.05), noise_y=xm.OUProcess(sigma=0.02, tau=30.0))
    p = xr.Dataset({"a": ("a", [-0.05, -0.01])})
    sim = xm.Simulator(node, dt=DT, regions=5, precision="float64")
    monitors = {"x": "x", "y": "y", **OBSERVED}
    return sim.run(DURATION, p, monitors=monitors, transient=TRANSIENT, seed=4, initial={"x": 0.1})


@pytest.fixture(scope="module")
def whole():
    """The same run without a transient: observations start at 0 whatever the transient, so they need the whole trajectory."""
    node = xm.HopfStep(a=-0.05, w=0.1, noise_x=xm.WhiteNoise(sigma=0.05), noise_y=xm.OUProcess(sigma=0.02, tau=30.0))
    sim = xm.Simulator(node, dt=DT, regions=5, precision="float64")
    return sim.run(DURATION, xr.Dataset({"a": ("a", [-0.05, -0.01])}), seed=4, initial={"x": 0.1})


@pytest.mark.long
def test_series_equal_their_twins(run, whole):
    seen = xm.observe(whole, {n: o for n, o in OBSERVED.items() if not n.startswith("f")})
    for name in ("mean", "long", "thin", "bold"):
        clock = f"{name}_time"
        factor = {"s": 1000.0, "ms": 1.0}[run[clock].attrs["units"]]
        kept = seen[name].isel({clock: seen[clock].values * factor > TRANSIENT})
        np.testing.assert_array_equal(run[clock].values, kept[clock].values)
        assert relative(run[name], kept.transpose(*run[name].dims)) < 1e-12


def test_reductions_equal_their_twins(run):
    # FC of x needs the kept steps alone; that of BOLD its kept volumes.
    seen = xm.observe(run[["x"]], {n: OBSERVED[n] for n in ("fc", "flat")})
    assert relative(run.fc, seen.fc) < 1e-12
    assert relative(run.flat, seen.flat) < 1e-12
    of_bold = xm.observe(run[["bold"]].rename(bold="z"), {"fc": xm.FunctionalConnectivity(of="z")})
    assert relative(run.fc_bold, of_bold.fc) < 1e-12


def test_averages_and_samples_equal_numpy(run, whole):
    x = whole.x.values
    blocks = x[:, : 133 * 6].reshape(2, 133, 6, 5).mean(axis=2)
    assert relative(run["mean"], blocks[:, 20:]) < 1e-14
    np.testing.assert_array_equal(run["mean_time"], np.arange(21, 134) * 3.0)
    np.testing.assert_array_equal(run["thin"], x[:, 12::13][:, 9:])
    np.testing.assert_array_equal(run["thin_time"], np.arange(10, 62) * 6.5)


def test_functional_connectivity_equals_numpy(run):
    for i in range(2):
        x, bold, thin = (run[n].isel(a=i).values.T for n in ("x", "bold", "mean"))
        assert relative(run.fc[i], np.corrcoef(x)) < 1e-12
        assert relative(run.flat[i], np.corrcoef(scipy.signal.detrend(x, axis=1))) < 1e-12
        assert relative(run.fc_bold[i], np.corrcoef(bold)) < 1e-12
        assert relative(run.fc_thin[i], np.corrcoef(scipy.signal.detrend(thin, axis=1))) < 1e-12


def test_a_mean_far_above_the_fluctuations_does_no_harm():
    # Mean 1e6 times the deviation: a difference of raw second moments would lose 12 of 16 digits, and means that are merged
    # on the scale of the mean still lose four (3e-12 to 3e-11 here). Means relative to the first sample lose none.
    rng = np.random.default_rng(1)
    series = rng.normal(size=(3000, 6)) @ rng.normal(size=(6, 6)) * 1e-3 + 1e3
    stamps = ("time", np.arange(1, 3001) * 1.0, {"units": "ms", "axis": "T"})
    ds = xr.Dataset({"z": (("time", "region"), series)}, coords={"time": stamps})
    fc = {"fc": xm.FunctionalConnectivity(of="z"), "flat": xm.FunctionalConnectivity(of="z", detrend="linear", name="flat")}
    seen = xm.observe(ds, fc)
    centred = series - series.mean(axis=0)
    assert relative(seen.fc, np.corrcoef(centred.T)) < 1e-12
    assert relative(seen.flat, np.corrcoef(scipy.signal.detrend(centred, axis=0).T)) < 1e-12


def test_a_mean_far_above_the_fluctuations_in_a_run():
    # The same in the scan: a bank that relaxes to 1000 with fluctuations of about 1e-3.
    node = xm.LinearStep(gamma=-0.1, noise_x=xm.WhiteNoise(sigma=5e-4))
    sim = xm.Simulator(node, dt=0.5, regions=6, precision="float64")
    fc = {"x": "x", "fc": xm.FunctionalConnectivity(of="x")}
    run = sim.run(1000.0, monitors=fc, initial={"x": 1e3}, inputs={"x": 100.0}, transient=100.0, seed=2)
    assert float(run.x.mean()) > 1e5 * float(run.x.std("time").max())
    assert relative(run.fc, np.corrcoef((run.x.values - 1e3).T)) < 1e-12
    # In float32 the series itself has no more than seven digits, so only its own numbers can be asked for.
    single = xm.Simulator(node, dt=0.5, regions=6).run(1000.0, monitors=fc, initial={"x": 1.0}, inputs={"x": 0.1}, transient=100.0, seed=2)
    assert relative(single.fc, np.corrcoef(single.x.values.astype(float).T)) < 1e-4


def test_a_constant_region_has_no_correlation():
    stamps = ("time", np.arange(1, 101) * 1.0, {"units": "ms", "axis": "T"})
    series = np.random.default_rng(0).normal(size=(100, 3))
    series[:, 1] = 4.0
    ds = xr.Dataset({"z": (("time", "region"), series)}, coords={"time": stamps})
    fc = xm.observe(ds, {"fc": xm.FunctionalConnectivity(of="z")}).fc.values
    assert np.isnan(fc[1]).all() and np.isnan(fc[:, 1]).all()
    assert fc[0, 0] == fc[2, 2] == 1.0 and np.isfinite(fc[0, 2])
