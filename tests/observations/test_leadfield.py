"""Sensors of sources: the product with the gain, labels, units, references, noise; streamed, stored and swept."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import xarray as xr

import xmass as xm
from tests.observations.blocks import relative

RNG = np.random.default_rng(5)
REGIONS, SENSORS = ["a", "b", "c"], ["Fz", "Cz", "Pz", "Oz"]
GAIN = xr.DataArray(
    RNG.normal(size=(4, 3)) * 1e-6, dims=("sensor", "region"), coords={"sensor": SENSORS, "region": REGIONS}, attrs={"units": "V/(nA*m)"}
)
NODE = xm.HopfStep(a=-0.05, w=0.1, noise_x=xm.WhiteNoise(sigma=0.05))


def bank(**options):
    return xm.Simulator(NODE, **{"dt": 1.0, "regions": REGIONS, "precision": "float64", **options})


def test_sensors_are_the_gain_times_the_sources():
    seen = {"x": "x", "v": xm.EEG(of="x", gain=GAIN, scale=3.0)}
    run = bank().run(200.0, monitors=seen, batch_size=3, seed=1, transient=50.0)
    assert run.v.dims == ("batch", "v_time", "sensor") and run.v.attrs["units"] == "V" and run.sensor.values.tolist() == SENSORS
    np.testing.assert_array_equal(run.v_time, run.time)
    expected = np.einsum("sn,btn->bts", GAIN.values, 3.0 * run.x.values)
    assert relative(run.v, expected) < 1e-13
    stored = xm.observe(run[["x"]], {"v": seen["v"]})
    assert relative(stored.v, run.v) < 1e-13
    single = bank(precision="float32").run(200.0, monitors=seen, batch_size=3, seed=1, transient=50.0)
    assert relative(single.v, np.einsum("sn,btn->bts", GAIN.values, 3.0 * single.x.values.astype(float))) < 1e-6


def test_gains_are_aligned_by_region_and_converted():
    turned = GAIN.isel(region=[2, 0, 1])
    si = (turned * 1e15).assign_attrs(units="uV/(A*m)")
    base = bank().run(50.0, monitors={"v": xm.EEG(of="x", gain=GAIN)}, seed=1).v
    for gain in (turned, si):
        again = bank().run(50.0, monitors={"v": xm.EEG(of="x", gain=gain)}, seed=1).v
        assert relative(again, base) < 1e-13


def test_references_and_rows():
    options = {"average": dict(reference="average"), "l1": dict(normalise="l1"), "l2": dict(normalise="l2", reference="average")}
    seen = {n: xm.EEG(of="x", gain=GAIN, name=n, **o) for n, o in options.items()}
    run = bank().run(50.0, monitors={"x": "x", **seen}, seed=1)
    g = GAIN.values
    rows1, rows2 = g / np.abs(g).sum(axis=1, keepdims=True), g / np.sqrt((g**2).sum(axis=1, keepdims=True))
    for name, matrix in {"average": g - g.mean(axis=0), "l1": rows1, "l2": rows2 - rows2.mean(axis=0)}.items():
        assert relative(run[name], run.x.values @ matrix.T) < 1e-12
    assert abs(run.average.sum("sensor")).max() < 1e-14 * abs(run.average).max() * 4
    assert run.average.attrs["units"] == "V" and run.l1.attrs["units"] == "nA*m"
    silent = GAIN.where(GAIN.sensor != "Cz", 0.0)
    assert (bank().run(50.0, monitors={"v": xm.EEG(of="x", gain=silent, normalise="l1")}, seed=1).v.sel(sensor="Cz") == 0).all()


def test_sensors_compose():
    eeg = xm.EEG(of="x", gain=GAIN)
    smooth = xm.TemporalAverage(of=eeg, period=4.0)
    seen = {
        "smooth": smooth,
        "swapped": xm.EEG(of=xm.TemporalAverage(of="x", period=4.0), gain=GAIN, name="eeg2"),
        "fc": xm.FunctionalConnectivity(of=smooth),
        "thin": xm.Subsample(of=eeg, period=10.0),
        "field": xm.MEG(of="x", gain=GAIN.rename(sensor="coil").assign_attrs(units="fT/(nA*m)"), dim="coil"),
        "x": "x",
    }
    run = bank().run(400.0, monitors=seen, seed=2)
    assert run.smooth.dims == ("smooth_time", "sensor") and run.fc.dims == ("sensor", "sensor_other")
    assert run.sensor_other.values.tolist() == SENSORS and run.field.dims == ("field_time", "coil")
    assert relative(run.smooth, run.swapped) < 1e-12  # a sum over regions and a mean over time commute
    assert relative(run.fc, np.corrcoef(run.smooth.values.T)) < 1e-12
    assert relative(run.field, 1e-15 * run.x.values @ GAIN.values.T) < 1e-12 and run.field.attrs["units"] == "T"
    stored = xm.observe(run[["x"]], {n: o for n, o in seen.items() if n != "x"})
    for name in stored.data_vars:
        assert relative(stored[name], run[name]) < 1e-12, name
    of_stored = xm.observe(run[["smooth"]], {"fc": xm.FunctionalConnectivity(of="smooth"), "half": xm.Subsample(of="smooth", period=8.0)})
    assert relative(of_stored.fc, run.fc) < 1e-12 and of_stored.fc.dims == ("sensor", "sensor_other")
    np.testing.assert_array_equal(of_stored.half, run.smooth[1::2])


def test_gains_and_scales_are_parameters():
    subjects = xr.DataArray(["s1", "s2"], dims="subject", name="subject")
    gains = xr.concat([GAIN, 2 * GAIN], subjects).isel(sensor=[3, 2, 1, 0])
    scale = xr.DataArray([1.0, 2.0, 5.0], dims="region", coords={"region": REGIONS})
    p = xr.Dataset({"eeg.gain": gains, "a": ("a", [-0.05, -0.01])})
    eeg = xm.EEG(of="x", gain=GAIN, scale=scale)
    run = bank().run(60.0, p, monitors={"x": "x", "v": eeg}, seed=1)
    assert set(run.v.dims) == {"subject", "a", "v_time", "sensor"}
    assert relative(run.v.sel(subject="s2"), 2 * run.v.sel(subject="s1").transpose(*run.v.sel(subject="s2").dims)) < 1e-12
    expected = run.x.isel(subject=0).values * scale.values @ GAIN.values.T
    assert relative(run.v.sel(subject="s1"), expected) < 1e-12
    own = xm.EEG(of="x", gain=gains)
    assert "subject" in bank().run(60.0, monitors={"v": own}, seed=1).v.dims
    listed = bank().parameters({"v": own})
    assert listed["eeg.gain"].dims == ("subject", "sensor", "region") and listed["eeg.scale"].attrs["units"] == "nA*m"
    column = xm.JansenRitStep()
    of_mv = xm.Simulator(column, dt=1.0, regions=REGIONS).parameters({"v": xm.EEG(of="eeg", gain=GAIN)})
    assert of_mv["eeg.scale"].attrs["units"] == "nA*m/mV"


def test_stores_chunks_plans_and_records(tmp_path):
    eeg = xm.EEG(of="x", gain=GAIN)
    monitors = {"v": eeg, "fc": xm.FunctionalConnectivity(of=eeg), "calm": xm.MeasurementNoise(of=eeg, covariance=1e-14)}
    p = xr.Dataset({"a": ("a", [-0.05, -0.03, -0.01])})
    sim = bank(precision="float32", tile=1)
    run = sim.run(60.0, p, monitors=monitors, seed=4)
    xr.testing.assert_identical(sim.run(60.0, p, monitors=monitors, seed=4, chunks={"a": 2}).compute(), run)
    stored = sim.run_to_zarr(tmp_path / "s.zarr", 60.0, p, monitors=monitors, seed=4, chunks={"a": 1})
    for name in monitors:
        np.testing.assert_array_equal(stored[name], run[name])
    assert stored.sensor.values.tolist() == SENSORS
    planned = xm.plan(sim, 60.0, p, monitors=monitors, seed=4)
    assert planned.nbytes["v"] == run.v.nbytes and planned.nbytes["fc"] == run.fc.nbytes
    xr.testing.assert_identical(xm.rerun(run), run)


def test_a_continued_run_measures_what_the_whole_does():
    eeg = xm.EEG(of="x", gain=GAIN)
    monitors = {"v": xm.TemporalAverage(of=eeg, period=5.0), "noisy": xm.MeasurementNoise(of=eeg, covariance=1e-14)}
    whole = bank().run(100.0, monitors=monitors, seed=4)
    first = bank().run(45.0, monitors=monitors, seed=4, restart=True)
    rest = bank().run(55.0, monitors=monitors, initial=first)
    np.testing.assert_array_equal(rest.v, whole.v.sel(v_time=slice(46, None)))
    np.testing.assert_array_equal(rest.noisy, whole.noisy.sel(noisy_time=slice(46, None)))


# ---- noise
SPEC = np.array([[4.0, 1.0], [1.0, 1.0]])


def quiet(covariance, count, dims=("region", "region_other"), seed=7, **options):
    """Noise alone: a series of zeros with noise."""
    sim = xm.Simulator(xm.LinearStep(gamma=-1.0), dt=1.0, regions=["p", "q"], precision="float64", **options)
    c = xr.DataArray(covariance, dims=dims) if np.ndim(covariance) else covariance
    return sim.run(float(count), monitors={"n": xm.MeasurementNoise(of="x", covariance=c)}, initial={"x": 0.0}, seed=seed).n.values


def test_samples_have_the_covariance_that_was_given():
    # z L in place of z L^T would have [[4.25, .42], [.42, .74]] here.
    count = 200_000
    found = np.cov(quiet(SPEC, count).T)
    error = np.sqrt((np.outer(np.diag(SPEC), np.diag(SPEC)) + SPEC**2) / count)
    assert (abs(found - SPEC) < 5 * error).all()


def test_the_root_of_the_covariance_is_exact_for_any_rank():
    z = quiet(np.eye(2), 50)
    np.testing.assert_allclose(quiet(SPEC, 50), z @ scipy.linalg.sqrtm(SPEC).T, rtol=1e-12, atol=1e-14)
    singular = np.array([[1.0, -1.0], [-1.0, 1.0]])  # average-referenced
    np.testing.assert_allclose(quiet(singular, 50), z @ (singular / np.sqrt(2.0)), atol=1e-14)
    np.testing.assert_allclose(quiet(0.25, 50), 0.5 * z, rtol=1e-14)
    np.testing.assert_allclose(quiet([4.0, 9.0], 50, ("region",)), z * [2.0, 3.0], rtol=1e-14)
    assert abs(z.mean()) < 0.4 and not np.array_equal(z, quiet(np.eye(2), 50, seed=8))


@pytest.mark.long
def test_noise_is_that_of_the_seed_in_trials_and_afterwards():
    eeg = xm.EEG(of="x", gain=GAIN)
    c = xr.DataArray(np.diag([1.0, 2.0, 3.0, 4.0]) * 1e-14 + 1e-15, dims=("sensor", "sensor_other"))
    noisy = xm.MeasurementNoise(of=eeg, covariance=c)
    run = bank().run(80.0, monitors={"x": "x", "n": noisy}, batch_size=3, seed=1, transient=20.0)
    assert run.n.attrs["units"] == "V" and run.n.dims == ("batch", "n_time", "sensor")
    alone = bank().run(80.0, monitors={"n": noisy}, seed=int(run.seed[1]), transient=20.0)
    assert relative(alone.n, run.n[1]) < 1e-13
    after = xm.observe(run[["x"]], {"n": noisy})
    assert relative(after.n, run.n) < 1e-13
    assert xm.Simulator(xm.HopfStep(), dt=1.0, regions=REGIONS).run(5.0, monitors={"n": noisy}).seed.ndim == 0
    with pytest.raises(ValueError, match="seed"):
        xm.observe(run[["x"]].drop_vars("seed"), {"n": noisy})
    swept = xr.Dataset({"measurement.covariance": ("level", [0.0, 1e-14])})
    two = bank().run(40.0, swept, monitors={"v": eeg, "n": xm.MeasurementNoise(of=eeg, covariance=0.0)}, seed=1)
    np.testing.assert_array_equal(two.n.isel(level=0), two.v.isel(level=0))
    assert (two.n.isel(level=1) != two.v.isel(level=1)).all()


# ---- what does not fit
def test_what_does_not_fit_is_refused():
    def run(what, sim=None, **options):
        return (sim or bank()).run(20.0, monitors={"v": what}, seed=1, **options)

    with pytest.raises(TypeError, match="gain"):
        xm.SEEG(of="x")
    with pytest.raises(KeyError, match="is given no gain"):
        run(xm.EEG(of="x"))
    with pytest.raises(TypeError, match="needs a DataArray"):
        run(xm.EEG(of="x", gain=GAIN.values))
    with pytest.raises(ValueError, match=r"needs \('sensor', 'region'\)"):
        run(xm.EEG(of="x", gain=GAIN.rename(sensor="channel")))
    with pytest.raises(ValueError, match="lacks"):
        run(xm.EEG(of="x", gain=GAIN.isel(region=[0, 1])))
    with pytest.raises(ValueError, match="T/"):
        run(xm.EEG(of="x", gain=GAIN.assign_attrs(units="T/(nA*m)")))
    with pytest.raises(ValueError, match="NaN"):
        run(xm.EEG(of="x", gain=GAIN.where(GAIN.sensor != "Cz")))
    with pytest.raises(ValueError, match="average"):
        xm.EEG(of="x", gain=GAIN, reference="Cz")
    with pytest.raises(ValueError, match="repeats"):
        run(xm.EEG(of="x", gain=GAIN.assign_coords(sensor=["Fz", "Fz", "Pz", "Oz"])))
    with pytest.raises(ValueError, match="symmetric"):
        run(
            xm.MeasurementNoise(
                of=xm.EEG(of="x", gain=GAIN), covariance=xr.DataArray(np.triu(np.ones((4, 4))), dims=("sensor", "sensor_other"))
            )
        )
    with pytest.raises(ValueError, match="below 0"):
        run(xm.MeasurementNoise(of="x", covariance=-1.0))
    with pytest.raises(ValueError, match="other entries along 'sensor'"):
        bank().run(20.0, monitors={"v": xm.EEG(of="x", gain=GAIN), "w": xm.SEEG(of="x", gain=GAIN.isel(sensor=[0, 1]))}, seed=1)
    with pytest.raises(ValueError, match="one of a monitor"):
        run(xm.EEG(of="x", gain=GAIN), params=xr.Dataset({"a": ("sensor", [-0.1] * 4)}))
    with pytest.raises(ValueError, match="as the observation was given it"):
        run(xm.EEG(of="x", gain=GAIN), params=xr.Dataset({"eeg.gain": GAIN.isel(region=0, drop=True)}))
    two = xm.Network(
        {"h": NODE, "l": xm.LinearStep()},
        xr.Dataset({"weights": (("region", "region_other"), np.zeros((3, 3)))}, {"region": REGIONS, "region_other": REGIONS}),
        assignment=xr.DataArray(["h", "h", "l"], dims="region", coords={"region": REGIONS}),
    )
    with pytest.raises(ValueError, match="only some of them have"):
        run(xm.EEG(of="h.x", gain=GAIN), xm.Simulator(two, dt=1.0))
