"""Weights, speeds and distances as free parameters: recovered where the answer is known, and only edges are free."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.fit.layout import layout_of
from xmass.fit.structural import delay_limits, existing

DIMS = ("region", "region_other")
LABELS = np.array(["A", "B", "C", "D"])
RNG = np.random.default_rng(4)
EDGES = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1], [1, 0, 1, 0]], bool)
WEIGHTS = np.where(EDGES, RNG.uniform(0.2, 1.0, (4, 4)), 0.0)
LENGTHS = np.where(EDGES, RNG.uniform(10.0, 30.0, (4, 4)), 0.0)
START = {s: xr.DataArray(RNG.uniform(-0.5, 0.5, 4), dims="region") for s in "xy"}
RUN = dict(duration=40.0, monitors=["x"], initial=START)


def matrix(values, labels=LABELS):
    return xr.DataArray(values, dims=DIMS, coords=dict.fromkeys(DIMS, labels))


def simulator(speed=None, delays="linear"):
    sc = xr.Dataset({"weights": matrix(WEIGHTS), "distances": matrix(LENGTHS).assign_attrs(units="mm")})
    coupling = xm.DiffusiveCoupling(k=0.1, source="x", target="x")
    net = xm.Network(xm.HopfStep(a=0.1, w=0.3), sc, speed=speed, coupling=coupling, delays=delays)
    return xm.Simulator(net, dt=0.5, precision="float64")


def fitter(sim, search, backend="scipy"):
    return xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), search=search, backend=backend, run=RUN)


@pytest.mark.parametrize("speed", [None, pytest.param(5.0, marks=pytest.mark.long)])
def test_weights_are_recovered_edge_by_edge(speed):
    sim = simulator(speed)
    backwards = matrix(np.where(EDGES, 0.5, 0.0)).isel(region=slice(None, None, -1))  # labels say which is which
    fit = fitter(sim, {"weights": xm.Param(backwards, bounds=(0.0, 2.0))}).fit(sim.run(**RUN), n_steps=60, seed=0)
    found = fit.weights.transpose(*DIMS).sel(region=LABELS, region_other=LABELS)
    np.testing.assert_array_equal(found.values[~EDGES], 0.0)
    # The series is a function of the weights without noise: the optimum is exact, what is left is the optimiser's tolerance.
    np.testing.assert_allclose(found.values, WEIGHTS, rtol=0, atol=1e-3)


@pytest.mark.parametrize("path", ["speed", pytest.param("distances", marks=pytest.mark.long)])
def test_speed_or_distances_are_recovered(path):
    sim = simulator(5.0)
    start = xm.Param(6.0, bounds=(2.0, 12.0)) if path == "speed" else xm.Param(matrix(1.1 * LENGTHS), bounds=(0.0, 60.0))
    fit = fitter(sim, {path: start}).fit(sim.run(**RUN), n_steps=60, seed=0)
    truth = 5.0 if path == "speed" else LENGTHS
    np.testing.assert_allclose(fit[path].values, truth, rtol=1e-2)


def test_a_population_of_speeds_with_whole_delays():
    sim = simulator(5.0, "nearest")
    fit = fitter(sim, {"speed": xm.Param(6.0, bounds=(2.0, 12.0))}, "grid").fit(sim.run(**RUN), n_steps=3, seed=0)
    assert abs(float(fit.speed) - 5.0) < 0.5


def test_what_cannot_be_fitted_is_said():
    recorded = simulator(5.0).run(**RUN)
    with pytest.raises(ValueError, match="delays='linear'"):
        fitter(simulator(5.0, "nearest"), {"speed": xm.Param(6.0, bounds=(2.0, 12.0))}).fit(recorded, n_steps=2)
    with pytest.raises(ValueError, match="needs a finite bound on each side"):
        fitter(simulator(5.0), {"speed": xm.Param(6.0, bounds=(2.0, None))}).fit(recorded, n_steps=2)
    with pytest.raises(ValueError, match="lower bound 0 mm/ms"):
        fitter(simulator(5.0), {"speed": xm.Param(6.0, bounds=(0.0, 10.0))}).fit(recorded, n_steps=2)
    with pytest.raises(TypeError, match="from a matrix"):
        fitter(simulator(5.0), {"weights": xm.Param(1.0, bounds=(0.0, 2.0), dims=DIMS)}).fit(recorded, n_steps=2)


def test_edges_are_those_of_every_fit():
    labels = dict.fromkeys(DIMS, LABELS)
    assert (existing("weights", xm.Param(matrix(WEIGHTS)), labels, {}) == EDGES).all()
    several = xr.concat([matrix(WEIGHTS), matrix(WEIGHTS.T)], "subject")
    with pytest.raises(ValueError, match="different edges in each fit"):
        existing("weights", xm.Param(several), labels, {"subject": np.arange(2)})
    with pytest.raises(ValueError, match="0 everywhere"):
        existing("weights", xm.Param(matrix(0 * WEIGHTS)), labels, {})


def test_limits_of_held_distances_are_their_values():
    param = xm.Param(matrix(LENGTHS), bounds=(1.0, 60.0))
    layout = layout_of({"distances": (param, dict.fromkeys(DIMS, LABELS))}, free={"distances": LENGTHS > 15.0})
    low, high = delay_limits(layout)["distances"]
    np.testing.assert_array_equal(low, np.where(LENGTHS > 15.0, 1.0, LENGTHS))
    np.testing.assert_array_equal(high, np.where(LENGTHS > 15.0, 60.0, LENGTHS))
