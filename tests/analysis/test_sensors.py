"""Series of sensors: every analysis gives what it gives for regions, with the dims and labels of the sensors; streamed equals post hoc."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

TIME = ("time", 0.05 * np.arange(1.0, 401.0), {"units": "s", "axis": "T"})
SERIES = np.random.default_rng(0).normal(size=(2, 400, 5)).cumsum(axis=1) * 0.1 + np.random.default_rng(1).normal(size=(2, 400, 5))
NAMES = ["Fz", "Cz", "Pz", "O1", "O2"]
SENSORS = xr.DataArray(
    SERIES,
    dims=("subject", "time", "sensor"),
    coords={"time": TIME, "sensor": NAMES, "side": ("sensor", list("mmmLR"))},
    attrs={"units": "V"},
)
REGIONS = SENSORS.rename(sensor="region")
PHASE = xm.phase(xm.band_pass(SENSORS, (2.0, 4.0)))

CASES = {
    "fc": (xm.functional_connectivity, SENSORS, ("subject", "sensor", "sensor_other")),
    "shrunk": (lambda x: xm.functional_connectivity(x, shrinkage=0.1), SENSORS, ("subject", "sensor", "sensor_other")),
    "partial": (xm.partial_correlation, SENSORS, ("subject", "sensor", "sensor_other")),
    "lagged": (lambda x: xm.lagged_fc(x, [0.0, 0.1]), SENSORS, ("subject", "lag", "sensor", "sensor_other")),
    "seed": (lambda x: xm.seed_map(x, "Cz"), SENSORS, ("subject", "sensor")),
    "fcd": (lambda x: xm.fcd(x, window=4.0, step=2.0), SENSORS, ("subject", "window", "window_other")),
    "envelopes": (
        lambda x: xm.envelope_correlation(x, orthogonalise=True),
        xm.band_pass(SENSORS, (2.0, 4.0)),
        ("subject", "sensor", "sensor_other"),
    ),
    "order": (xm.order_parameter, PHASE, ("subject", "time")),
    "metastability": (xm.metastability, PHASE, ("subject",)),
    "locking": (xm.phase_locking, PHASE, ("subject", "sensor", "sensor_other")),
    "edges": (xm.edge_series, SENSORS, ("subject", "time", "edge")),
    "edge_fc": (xm.edge_fc, SENSORS, ("subject", "edge", "edge_other")),
    "preprocess": (lambda x: xm.preprocess(x, band=(1.0, 4.0)), SENSORS, ("subject", "time", "sensor")),
    "psd": (lambda x: xm.power_spectrum(x, segment=4.0), SENSORS, ("subject", "frequency", "sensor")),
}


@pytest.mark.parametrize("name", CASES)
def test_sensors_have_what_regions_have(name):
    function, signal, dims = CASES[name]
    found = function(signal)
    assert set(found.dims) == set(dims) and "region" not in found.coords and "region_other" not in found.coords
    expected = function(signal.rename(sensor="region"))
    np.testing.assert_array_equal(found.values, expected.transpose(*[d.replace("sensor", "region") for d in found.dims]).values)
    assert found.attrs == expected.attrs and found.name == expected.name
    if "sensor" in found.dims:
        assert found.sensor.values.tolist() == NAMES and found.side.values.tolist() == list("mmmLR")
    if "sensor_other" in found.dims:
        assert found.sensor_other.values.tolist() == NAMES
    if "edge" in found.dims:
        assert found.edge_sensor.values[:2].tolist() == ["Fz", "Fz"] and found.edge_sensor_other.values[:2].tolist() == ["Cz", "Pz"]


def test_avalanches_of_sensors():
    xr.testing.assert_identical(xm.avalanches(SENSORS, threshold=1.5), xm.avalanches(REGIONS, threshold=1.5))


def test_fc_in_the_run_is_that_of_the_stored_sensors():
    gain = xr.DataArray(np.random.default_rng(3).normal(size=(4, 3)), dims=("sensor", "region"), coords={"sensor": NAMES[:4]})
    eeg = xm.EEG(of="x", gain=gain)
    node = xm.HopfStep(a=-0.05, w=0.1, noise_x=xm.WhiteNoise(sigma=0.05))
    seen = {"v": eeg, "fc": xm.FunctionalConnectivity(of=eeg)}
    run = xm.Simulator(node, dt=1.0, regions=3, precision="float64").run(400.0, monitors=seen, seed=1, transient=50.0)
    found = xm.functional_connectivity(run.v)
    assert found.dims == run.fc.dims == ("sensor", "sensor_other")
    np.testing.assert_allclose(found, run.fc, atol=1e-12)
    assert run.v.xmass.fc().dims == ("sensor", "sensor_other")


def test_laziness_and_scalar_labels_are_kept():
    lazy = xm.functional_connectivity(SENSORS.chunk(subject=1))
    assert lazy.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), xm.functional_connectivity(SENSORS))
    target = SENSORS.assign_coords(region="V1")
    assert "region" not in xm.functional_connectivity(target).coords  # the name of the dim that is needed on the way
    with pytest.raises(ValueError, match="'sensor_other' already"):
        xm.functional_connectivity(SENSORS.expand_dims(sensor_other=2))
    both = REGIONS.expand_dims(sensor=2)
    assert set(xm.functional_connectivity(both).dims) == {"sensor", "subject", "region", "region_other"}  # sensors are one more dim
