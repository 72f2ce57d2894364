"""Mean, variance, spectrum, order parameter, metastability and FCD in the run: equal to what the stored series gives."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import xarray as xr

import xmass as xm
from tests.observations.blocks import fed, relative

ROWS, KEEP = 1201, 200
SIZES = (1, 7, ROWS)  # one, a prime, the whole run
REDUCTIONS = {
    "mean": (xm.Mean(of="x"), lambda x: x.mean(axis=0)),
    "variance": (xm.Variance(of="x"), lambda x: centred(x).var(axis=0)),
    "sample variance": (xm.Variance(of="x", ddof=1), lambda x: centred(x).var(axis=0, ddof=1)),
    "spectrum": (xm.PowerSpectrum(of="x", segment=100.0), lambda x: welch(x, 100, 50)),
    "odd spectrum": (xm.PowerSpectrum(of="x", segment=75.0, overlap=0.75), lambda x: welch(x, 75, 56)),
    "dynamics": (xm.FunctionalConnectivityDynamics(of="x", window=120.0, stride=40.0), lambda x: dynamics(x)),
    "metastability": (xm.Metastability(of="x"), lambda x: metastability(x)),
}


def centred(x):
    """Without the first sample: the variance of what is left does not lose digits in numpy."""
    return x - x[0]


def welch(x, length, shared):
    x = centred(x)
    return np.moveaxis(scipy.signal.welch(x, fs=1000.0, nperseg=length, noverlap=shared, axis=0)[1], 0, 1)


def labelled(x):
    stamps = ("time", np.arange(KEEP + 1, KEEP + 1 + len(x)) * 1.0, {"units": "ms", "axis": "T"})
    return xr.DataArray(x, dims=("time", "region", "run"), coords={"time": stamps}, attrs={"units": "rad"})


def dynamics(x):
    return xm.fcd(labelled(x), window=120.0, step=40.0).transpose("window", "window_other", "run").values


def metastability(x):
    return xm.metastability(labelled(x)).values


def series(mean_over_sd):
    rng = np.random.default_rng(2)
    slow = scipy.signal.lfilter([1.0], [1.0, -0.9], rng.normal(size=(ROWS, 4, 2)), axis=0)
    mixed = slow + 0.5 * slow[:, :1]
    return mixed + mean_over_sd * mixed.std()


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mean_over_sd", [0.0, 1e4])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction_equals_its_twin_whatever_the_blocks(name, mean_over_sd, size):
    observation, twin = REDUCTIONS[name]
    x = series(mean_over_sd)
    limit = 1e-12
    if name == "metastability" and mean_over_sd:
        # cos of 2e4 rad: the argument itself is rounded at 4e-12, alike in both; mean of cos over 4 regions in another order
        limit = 1e-11
    assert relative(fed(observation, x, size, keep=KEEP), twin(x[KEEP:])) < limit


@pytest.mark.parametrize("size", SIZES)
def test_the_order_parameter_is_that_of_the_stored_phases(size):
    x = series(0.0)
    expected = xm.order_parameter(labelled(x)).values
    assert relative(fed(xm.OrderParameter(of="x"), x, size)[:, 0], expected) < 1e-13


def test_the_order_parameter_of_phases_spread_evenly_has_a_gradient():
    x = np.zeros((5, 3, 1)) + np.array([0.0, 2 * np.pi / 3, 4 * np.pi / 3])[:, None]
    assert fed(xm.OrderParameter(of="x"), x, 5).max() < 1e-15
    assert fed(xm.OrderParameter(of="x"), 0 * x, 5) == pytest.approx(1.0)


# ---- in runs
def network(**options):
    weights = np.ones((6, 6)) - np.eye(6)
    sc = xr.Dataset({"weights": (("region", "region_other"), weights)})
    node = xm.KuramotoStep(noise_theta=xm.WhiteNoise(sigma=0.1))
    coupling = xm.SineCoupling(k=0.002, source="theta", target="theta")
    return xm.Simulator(xm.Network(node, sc, coupling=coupling), dt=1.0, precision="float64", **options)


@pytest.mark.long
def test_phases_of_a_run():
    order = xm.OrderParameter(of="theta")
    seen = {"theta": "theta", "r": order, "sync": xm.Mean(of=order), "meta": xm.Metastability(of="theta"), "var": xm.Variance(of=order)}
    p = xr.Dataset({"coupling.k": ("k", [0.0, 0.002, 0.02])})
    run = network().run(800.0, p, monitors=seen, transient=100.0, batch_size=2, seed=1)
    assert run.r.dims == ("k", "batch", "r_time") and run.sync.dims == run.meta.dims == ("k", "batch")
    expected = xm.order_parameter(run.theta)
    assert relative(run.r, expected.transpose("k", "batch", "time")) < 1e-12
    assert relative(run.sync, expected.mean("time")) < 1e-12
    assert relative(run.meta, xm.metastability(run.theta)) < 1e-12
    np.testing.assert_allclose(run["var"], run.meta**2, rtol=1e-10)
    assert (run.sync.mean("batch").diff("k") > 0).all()  # stronger coupling, more synchrony
    stored = xm.observe(run[["theta"]], {n: o for n, o in seen.items() if n != "theta"})
    for name in stored.data_vars:
        assert relative(stored[name], run[name]) < 1e-12, name
    again = xm.observe(run[["r"]], {"sync": xm.Mean(of="r"), "thin": xm.Subsample(of="r", period=10.0)})
    assert relative(again.sync, run.sync) < 1e-12 and again["thin"].dims == ("k", "batch", "thin_time")
    of_a_function = xm.OrderParameter(of=lambda s: jnp.mod(s.theta, 2 * jnp.pi))
    assert (
        relative(network().run(50.0, monitors={"r": of_a_function}, seed=1).r, network().run(50.0, monitors={"r": order}, seed=1).r) < 1e-12
    )


NODE = xm.HopfStep(a=-0.05, w=0.2, noise_x=xm.WhiteNoise(sigma=0.05))


def bank(**options):
    return xm.Simulator(NODE, **{"dt": 1.0, "regions": ["a", "b", "c", "d"], "precision": "float64", **options})


@pytest.mark.long
def test_reductions_of_a_run_have_labels_units_and_the_values_of_their_twins():
    slow = xm.TemporalAverage(of="x", period=5.0)
    seen = {
        "x": "x",
        "slow": slow,
        "level": xm.Mean(of="x"),
        "power": xm.Variance(of="x"),
        "p": xm.PowerSpectrum(of=slow, segment=500.0),
        "dyn": xm.FunctionalConnectivityDynamics(of=slow, window=300.0, stride=50.0),
    }
    run = bank().run(3000.0, monitors=seen, transient=500.0, seed=1, batch_size=2)
    assert relative(run.level, run.x.mean("time")) < 1e-12 and relative(run.power, run.x.var("time")) < 1e-12
    spectrum = xm.power_spectrum(run.slow, segment=500.0)
    assert run.p.dims == ("batch", "region", "frequency") and run.p.attrs["units"] == spectrum.attrs["units"]
    np.testing.assert_array_equal(run.frequency, spectrum.frequency)
    assert run.frequency.attrs["units"] == "Hz"
    assert relative(run.p, spectrum.transpose(*run.p.dims)) < 1e-12
    fcd = xm.fcd(run.slow, window=300.0, step=50.0)
    assert relative(run.dyn, fcd) < 1e-12 and run.dyn.dims == fcd.dims
    np.testing.assert_allclose(run.window, fcd.window, rtol=1e-14)
    assert {k: run.dyn.attrs[k] for k in ("window", "step")} == {k: fcd.attrs[k] for k in ("window", "step")}
    np.testing.assert_allclose(xm.fcd_distribution(run.dyn), xm.fcd_distribution(fcd), atol=1e-12)
    stored = xm.observe(run[["x"]], {n: o for n, o in seen.items() if n not in ("x", "slow")})
    for name in stored.data_vars:
        assert relative(stored[name], run[name]) < 1e-12, name


def test_fcd_of_bold_in_seconds():
    bold = xm.BOLDSignal(of="x", tr=xr.DataArray(0.72, attrs={"units": "s"}))
    fcd = xm.FunctionalConnectivityDynamics(of=bold)
    run = bank(dt=2.0 / 2.5).run(144_000.0, monitors={"bold": bold, "dyn": fcd}, transient=7200.0, seed=1)
    twin = xm.fcd(run.bold)
    assert relative(run.dyn, twin) < 1e-11 and run.window.attrs["units"] == "s"  # correlations of correlations
    np.testing.assert_allclose(run.window, twin.window, rtol=1e-12)
    again = xm.observe(run[["bold"]].rename(bold="z"), {"dyn": xm.FunctionalConnectivityDynamics(of="z")})
    np.testing.assert_allclose(again.window, run.window, rtol=1e-12)
    assert relative(again.dyn, run.dyn) < 1e-12


def test_spectrum_of_sensors_in_chunks_and_stores(tmp_path):
    gain = xr.DataArray(
        np.random.default_rng(0).normal(size=(3, 4)) * 1e-6, dims=("sensor", "region"), coords={"sensor": ["Fz", "Cz", "Pz"]}
    )
    eeg = xm.EEG(of="x", gain=gain)
    monitors = {"p": xm.PowerSpectrum(of=eeg, segment=200.0), "fcd": xm.FunctionalConnectivityDynamics(of=eeg, window=200.0, stride=50.0)}
    p = xr.Dataset({"a": ("a", [-0.05, -0.02, -0.01])})
    sim = bank(tile=1)
    run = sim.run(1000.0, p, monitors=monitors, seed=1)
    assert (
        run.p.dims == ("a", "sensor", "frequency") and run.p.attrs["units"] == "V^2/Hz" and run.fcd.dims == ("a", "window", "window_other")
    )
    xr.testing.assert_identical(sim.run(1000.0, p, monitors=monitors, seed=1, chunks={"a": 2}).compute(), run)
    stored = sim.run_to_zarr(tmp_path / "s.zarr", 1000.0, p, monitors=monitors, seed=1, chunks={"a": 1})
    for name in monitors:
        np.testing.assert_array_equal(stored[name], run[name])
    assert xm.plan(sim, 1000.0, p, monitors=monitors, seed=1).nbytes["p"] == run.p.nbytes
    xr.testing.assert_identical(xm.rerun(run), run)


def test_a_constant_region_has_no_power_and_no_dynamics():
    stamps = ("time", np.arange(1, 201) * 1.0, {"units": "ms", "axis": "T"})
    x = np.random.default_rng(0).normal(size=(200, 4))
    x[:, 1] = 1e4
    ds = xr.Dataset({"z": (("time", "region"), x)}, coords={"time": stamps})
    seen = {"p": xm.PowerSpectrum(of="z", segment=50.0), "v": xm.Variance(of="z"), "m": xm.Mean(of="z")}
    got = xm.observe(ds, {**seen, "d": xm.FunctionalConnectivityDynamics(of="z", window=50.0, stride=25.0)})
    assert (got.p[1] == 0).all() and got.v[1] == 0 and got.m[1] == 1e4
    assert np.isnan(got.d).all()


def test_what_does_not_fit_is_refused():
    def run(duration=500.0, **seen):
        return bank().run(duration, monitors=seen, seed=1)

    with pytest.raises(ValueError, match="needs 8 or more"):
        run(p=xm.PowerSpectrum(of="x", segment=4.0))
    with pytest.raises(ValueError, match="needs at least 600 samples"):
        run(p=xm.PowerSpectrum(of="x", segment=600.0))
    with pytest.raises(ValueError, match="fraction"):
        xm.PowerSpectrum(of="x", segment=100.0, overlap=1.0)
    with pytest.raises(ValueError, match="other entries along 'frequency'"):
        run(p=xm.PowerSpectrum(of="x", segment=100.0), q=xm.PowerSpectrum(of="x", segment=200.0))
    two = run(p=xm.PowerSpectrum(of="x", segment=100.0), q=xm.PowerSpectrum(of="x", segment=200.0, dim="fine"))
    assert two.q.dims == ("region", "fine")
    with pytest.raises(ValueError, match="needs at least 450 samples"):
        run(duration=400.0, d=xm.FunctionalConnectivityDynamics(of="x", window=400.0, stride=50.0))
    with pytest.raises(ValueError, match="samples of 1 ms"):
        run(d=xm.FunctionalConnectivityDynamics(of="x", window=400.0, stride=0.2))
    assert "p" not in bank().parameters({"p": xm.PowerSpectrum(of="x", segment=100.0)})
