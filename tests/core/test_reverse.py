"""Runs that can be differentiated: their values are those of the engine, their derivatives those of finite differences of it."""

from __future__ import annotations

import jax
import numpy as np
import xarray as xr

import xmass as xm
from tests.core.tiles import first_tile
from xmass.core import reverse
from xmass.labelled import execute

STEP = 4e-3
VARIED = {"a": -0.2, "noise_x.sigma": 0.5, "coupling.k": 0.5, "bold.tau": 0.98}


def network() -> xm.Network:
    """Three regions, delays of 4 to 11 steps at dt 0.5 ms."""
    weights = np.array([[0.0, 0.8, 0.3], [0.5, 0.0, 0.4], [0.9, 0.2, 0.0]])
    lengths = np.array([[0.0, 20.0, 45.0], [20.0, 0.0, 55.0], [45.0, 55.0, 0.0]])
    dims = ("region", "region_other")
    sc = xr.Dataset({"weights": (dims, weights), "distances": (dims, lengths, {"units": "mm"})})
    coupling = xm.DiffusiveCoupling(source="x", target="x", k=0.5)
    return xm.Network(xm.HopfStep(a=-0.2, w=0.1, noise_x=xm.WhiteNoise(sigma=0.5)), sc, speed=10.0, coupling=coupling)


def monitors() -> dict:
    bold = xm.BOLDSignal(of="x", tr=10.0)
    return {"x": "x", "bold": bold, "fc": xm.FunctionalConnectivity(of=bold)}


def loss(x, fc):
    """A number that depends on every sample and every correlation."""
    return (x**2).mean() + fc[0, 1] + 0.5 * fc[1, 2]


def varied_run(resolved, args, initial, **options):
    """The loss and all results as a function of some parameters."""
    program, span = resolved.program, {"start": resolved.start, "stop": resolved.stop, "keep": resolved.keep}

    def run(varied):
        made = reverse.simulate(program, {**args, "params": {**args["params"], **varied}}, initial, **span, **options)
        return loss(made.series[0][..., 0], made.reductions[2][..., 0]), made

    return run


def test_values_are_those_of_the_engine():
    # The run starts within a segment and stops within another.
    sim = xm.Simulator(network(), dt=0.5, precision="float64")
    half = sim.run(22.5, seed=1, monitors={"bold": monitors()["bold"]}, restart=True)
    resolved, args, initial = first_tile(sim, 500.0, monitors=monitors(), initial=half, transient=100.0)
    assert resolved.start % resolved.program.segment
    assert resolved.stop % resolved.program.segment
    expected = execute.execute(resolved, np.arange(1))
    with jax.enable_x64(True):
        _, made = jax.tree.map(np.asarray, jax.jit(varied_run(resolved, args, initial))({}))
    for index, rows in expected.series.items():
        np.testing.assert_allclose(made.series[index][..., 0], rows[0], rtol=0, atol=1e-12 * np.abs(rows).max())
    np.testing.assert_allclose(made.reductions[2][..., 0], expected.reductions[2][0], rtol=0, atol=1e-12)
    assert made.finite[0]


def test_derivatives_are_differences_of_ordinary_runs():
    sim = xm.Simulator(network(), dt=0.5, precision="float64")
    resolved, args, initial = first_tile(sim, 480.0, monitors=monitors(), seed=1, transient=100.0)
    assert resolved.stop % resolved.program.segment == 0  # one kind of stretch is compiled, not three
    with jax.enable_x64(True):
        slopes, _ = jax.jit(jax.grad(varied_run(resolved, args, initial), has_aux=True))({n: args["params"][n] for n in VARIED})

    # Differences of fourth order: of relative size STEP^4 = 3e-10; the correlations of 38 smooth samples are rounded at about 1e-10.
    points = {f"{n}{c}": {**VARIED, n: v * (1 + c * STEP)} for n, v in VARIED.items() for c in (-2, -1, 1, 2)}
    sweep = xr.Dataset({n: ("point", [p[n] for p in points.values()]) for n in VARIED}, {"point": list(points)})
    found = sim.run(480.0, sweep, monitors=monitors(), seed=1, transient=100.0)
    values = {p: float(loss(found.x.sel(point=p).values, found.fc.sel(point=p).values)) for p in points}
    for n, v in VARIED.items():
        slope = (8 * (values[f"{n}1"] - values[f"{n}-1"]) - (values[f"{n}2"] - values[f"{n}-2"])) / (12 * STEP * v)
        np.testing.assert_allclose(np.asarray(slopes[n]).sum(), slope, rtol=1e-6)
