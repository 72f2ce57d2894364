"""Interpolated delays are differentiable: the derivative of a run with respect to the conduction speed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.core import engine
from xmass.labelled import execute
from xmass.labelled.resolve import Request, Resolved, resolve


def network(speed: float) -> xm.Simulator:
    sc = xm.datasets.load_dataset("example_connectome")
    coupling = xm.DiffusiveCoupling(k=0.3, source="x", target="x")
    net = xm.Network(xm.HopfStep(a=0.1, w=0.3), sc, speed=speed, coupling=coupling, delays="linear")
    return xm.Simulator(net, dt=0.1, precision="float64")


def resolved(speed: float) -> Resolved:
    start = {"x": xr.DataArray(np.linspace(-0.3, 0.4, 8), dims="region")}
    return resolve(network(speed).config, Request(20.0, monitors=["x"], initial=start))


def test_derivative_with_respect_to_speed_equals_finite_differences():
    speed, h = 7.3, 1e-6
    with jax.enable_x64(True):
        run = resolved(speed)
        members = np.arange(1)
        args = execute._arguments(run, members, execute._StructureArrays(run)) | {"stimulus": {}}
        carry = engine.initialise(run.program, args, execute._initial(run, members))
        # The weights of the two neighbouring steps are linear in the delay, so this difference is their derivative.
        above, below = (resolved(s).structures.projections[0].plan for s in (speed + h, speed - h))
        slope = [
            [jnp.asarray((a - b) / (2 * h)) for a, b in zip(up["weight"], down["weight"], strict=True)]
            for up, down in zip(above.arrays[0], below.arrays[0], strict=True)
        ]

        def end(weights: list) -> jax.Array:
            (projection,) = args["projections"]
            levels = [level | {"weight": w} for level, w in zip(projection["delayed"], weights, strict=True)]
            given = args | {"projections": [projection | {"delayed": levels}]}
            segments = -(-run.stop // run.program.segment)
            steps = (np.int32(v) for v in (0, segments, 0, run.stop, 0))
            return engine.advance(run.program, carry, given, *steps)[0].states["x"]

        weights = [level["weight"] for level in args["projections"][0]["delayed"]]
        _, derivative = jax.jvp(end, (weights,), (slope,))
    runs = [
        network(s).run(20.0, monitors=["x"], initial={"x": xr.DataArray(np.linspace(-0.3, 0.4, 8), dims="region")})
        for s in (speed + h, speed - h)
    ]
    difference = ((runs[0].x - runs[1].x) / (2 * h)).isel(time=-1).values
    # Central differences of float64 runs: truncation h^2, rounding 1e-16 / h.
    np.testing.assert_allclose(np.asarray(derivative)[:, 0], difference, rtol=1e-6, atol=1e-9)
    assert np.abs(difference).max() > 1e-3


def test_nearest_delays_do_not_change_with_a_small_change_of_speed():
    sc = xm.datasets.load_dataset("example_connectome")
    x0 = {"x": xr.DataArray(np.linspace(-0.3, 0.4, 8), dims="region")}
    runs = [
        xm.Simulator(xm.Network(xm.HopfStep(), sc, speed=s, coupling=xm.DiffusiveCoupling(source="x", target="x")), dt=0.1).run(
            5.0, initial=x0
        )
        for s in (7.3, 7.3 + 1e-9)
    ]
    assert float(abs(runs[0].x - runs[1].x).max()) == pytest.approx(0.0, abs=0.0)
