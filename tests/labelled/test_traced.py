"""A run as a function of traced parameters: the values are those of an ordinary run, the derivatives those of finite differences."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.core import engine
from xmass.labelled import traced
from xmass.labelled.resolve import Request, Resolved, resolve

DIMS = ("region", "region_other")
LENGTH = 12.0
RNG = np.random.default_rng(3)
START = {"x": xr.DataArray(RNG.uniform(-0.4, 0.4, 8), dims="region"), "y": xr.DataArray(RNG.uniform(-0.4, 0.4, 8), dims="region")}


def connectome(**changed) -> xr.Dataset:
    return xm.datasets.load_dataset("example_connectome").assign(changed)


def simulator(*, sc=None, coupling=None, speed=None, delays="nearest", tile=None, noise=None) -> xm.Simulator:
    coupling = coupling or xm.DiffusiveCoupling(k=0.3, source="x", target="x")
    node = xm.HopfStep(a=0.1, w=0.3, noise_x=noise)
    net = xm.Network(node, connectome() if sc is None else sc, speed=speed, coupling=coupling, delays=delays)
    return xm.Simulator(net, dt=0.1, precision="float64", tile=tile)


def planned(sim: xm.Simulator, params: xr.Dataset | None = None, **options) -> Resolved:
    return resolve(sim.config, Request(LENGTH, params, monitors=["x"], initial=START, **options))


def end(resolved: Resolved, tile: traced.Tile, overrides: dict) -> jax.Array:
    """The state x at the end ``(region, run)``: by the functions that the engine compiles."""
    args, initial = traced.arguments(tile, overrides)
    carry = engine.initialise(resolved.program, args, initial)
    segments = -(-resolved.stop // resolved.program.segment)
    steps = (np.int32(v) for v in (0, segments, 0, resolved.stop, 0))
    return engine.advance(resolved.program, carry, args, *steps)[0].states["x"]


def ended(sim: xm.Simulator, params: xr.Dataset | None = None, **options) -> np.ndarray:
    """The same of an ordinary run, for one run ``(region,)``."""
    return sim.run(LENGTH, params, monitors=["x"], **({"initial": START} | options)).x.isel(time=-1).transpose(..., "region").values


def check(sim: xm.Simulator, path: str, value: np.ndarray, made, *, resolved: Resolved | None = None, h: float = 1e-6) -> None:
    """Value and derivative along a random direction of one traced parameter, against ordinary runs: ``made(value)`` is one."""
    with jax.enable_x64(True):
        run = planned(sim) if resolved is None else resolved
        (tile,) = traced.tiles(run, paths=[path])
        direction = np.random.default_rng(5).uniform(0.5, 1.5, np.shape(value)) * (np.asarray(value) != 0)

        @jax.jit
        def slope(tile, value, direction):
            wide = functools.partial(_wide, run.program.width)
            return jax.jvp(lambda v: end(run, tile, {path: wide(v)}), (value,), (direction,))

        found, derivative = (np.asarray(a) for a in slope(tile, jnp.asarray(value), jnp.asarray(direction)))
    # 1e-12: sums over edges in another order, products rounded once more.
    np.testing.assert_allclose(found[:, 0], made(value), rtol=0, atol=1e-12)
    difference = (made(value + h * direction) - made(value - h * direction)) / (2 * h)
    # Central differences of float64 runs: truncation of order h^2, rounding of order 1e-16 / h.
    np.testing.assert_allclose(derivative[:, 0], difference, rtol=1e-6, atol=2e-9)
    assert np.abs(difference).max() > 1e-4


def _wide(width, value):
    return jnp.broadcast_to(value, (width, *jnp.shape(value)))


WEIGHTS = connectome().weights.values
VALUES = {
    "a": np.linspace(-0.1, 0.2, 8),
    "w": np.array(0.27),
    "coupling.k": np.array(0.21),
    "initial.y": np.linspace(-0.3, 0.4, 8),
}


@pytest.mark.parametrize("speed", [None, 5.0])
@pytest.mark.parametrize("path", VALUES)
def test_a_parameter_or_an_initial_value(path, speed):
    sim = simulator(speed=speed)

    def made(value):
        name, given = path.removeprefix("initial."), xr.DataArray(value, dims="region" if np.ndim(value) else ())
        return ended(sim, initial=START | {name: given}) if path != name else ended(sim, xr.Dataset({path: given}))

    check(sim, path, VALUES[path], made)


@pytest.mark.parametrize(("speed", "delays"), [(None, "nearest"), (5.0, "nearest"), (5.0, "ceil"), (5.0, "linear"), (40.0, "nearest")])
def test_weights(speed, delays):
    # Without delays, with, and at 40 mm/ms (delays of 0.2 to 3 ms, 2 to 30 steps).
    sim = simulator(speed=speed, delays=delays)
    check(sim, "weights", WEIGHTS * np.linspace(0.5, 1.5, 64).reshape(8, 8), lambda v: ended(sim, xr.Dataset({"weights": (DIMS, v)})))
