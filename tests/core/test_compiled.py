"""The structure that the speed of the engine rests on, read from the compiled text, and that nothing compiles twice."""

from __future__ import annotations

import logging
import re

import jax
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.core.test_same_noise import network
from xmass.core import engine
from xmass.labelled import execute
from xmass.labelled.resolve import Request, resolve

if jax.default_backend() != "cpu":
    pytest.skip("the compiled text is that of the CPU compiler", allow_module_level=True)


def dense_network(n=40):
    """Delays of 8 to 150 steps of 0.1 ms: for 16 runs a ring of 40 x 300 x 16 numbers, far beyond what XLA splits over threads."""
    rng = np.random.default_rng(0)
    dims = ("region", "region_other")
    lengths = {"distances": (dims, rng.uniform(0.8, 15.0, (n, n)), {"units": "mm"})}
    sc = xr.Dataset({"weights": (dims, rng.random((n, n)) * 0.01), **lengths})
    return xm.Network(xm.HopfStep(a=-0.05, w=0.3), sc, speed=1.0, coupling=xm.DiffusiveCoupling(source="x", target="x"))


def compiled_text(simulator, request):
    """The compiled text of a run's main function, and the shape of its ring."""
    resolved = resolve(simulator.config, request)
    program = resolved.program
    with jax.enable_x64(resolved.config.precision == "float64"):
        functions = engine.compiled(program, engine.platform())
        members = execute.tiles_of(resolved, np.arange(resolved.runs))[0]
        args = execute._arguments(resolved, members, execute._StructureArrays(resolved))
        carry = functions.initialise(args, execute._initial(resolved, members))
        args["stimulus"] = execute._stimulus(resolved, members, 0)
        numbers = [np.int32(v) for v in (0, 1, 0, resolved.stop, 0)]
        text = functions.advance.lower(carry, args, *numbers).compile().as_text()
    shape = next(iter(carry.rings.values())).shape
    return text, program, ",".join(map(str, shape))


@pytest.mark.parametrize(("method", "tile"), [("heun", 16), ("euler", 16), ("heun", 1)])
def test_a_delayed_run_copies_no_ring_and_is_not_split_over_threads(method, tile):
    simulator = xm.Simulator(dense_network(), dt=0.1, method=method, tile=tile)
    k = xr.Dataset({"coupling.k": ("k", np.linspace(0.1, 1.0, tile))}) if tile > 1 else None
    text, program, ring = compiled_text(simulator, Request(100.0, k, monitors=["x"]))
    assert program.delay is not None and f"f32[{ring}]" in text
    inside = [line for line in text.splitlines() if re.search(rf"= f32\[{ring}\]\S* copy\(", line)]
    assert not inside, inside
    assert "outer_dimension_partitions" not in text


@pytest.mark.parametrize("tile", [16, 1])
def test_a_model_that_reads_its_own_past_copies_no_ring(tile):
    simulator = xm.Simulator(xm.WilsonCowanDelayedStep(delay_ee=20.0), dt=0.1, regions=40, tile=tile)
    w = xr.Dataset({"w_ee": ("w", np.linspace(10.0, 12.0, tile))}) if tile > 1 else None
    text, program, ring = compiled_text(simulator, Request(100.0, w, monitors=["rE"]))
    assert ring == f"{program.history},40,{tile}" and f"f32[{ring}]" in text
    inside = [line for line in text.splitlines() if re.search(rf"= f32\[{ring}\]\S* copy\(", line)]
    assert not inside, inside


def compilations(caplog):
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith("Finished XLA compilation")]


def test_the_same_shapes_compile_once(caplog):
    sim = xm.Simulator(network(), dt=0.1)
    p = xr.Dataset({"coupling.k": ("k", [0.1, 0.2, 0.3])})
    monitors = {"x": "x", "fc": xm.FunctionalConnectivity(of="x")}
    with jax.log_compiles(True), caplog.at_level(logging.WARNING, logger="jax"):
        sim.run(31.4, p, monitors=monitors, seed=1)
        assert compilations(caplog)  # so that the search below would find one
        caplog.clear()
        sim.run(31.4, p, monitors=monitors, seed=1)
        # Other values, another seed, a Simulator and a network of their own: parameters are arguments.
        again = xm.Simulator(network(), dt=0.1)
        again.run(31.4, p * 2.0, monitors=monitors, seed=2)
        # Another step size of the same number of steps, and a slightly longer run.
        again.run(31.5, p, monitors=monitors, seed=2, transient=3.0)
    assert not compilations(caplog), compilations(caplog)


@pytest.mark.long
def test_more_runs_than_a_tile_compile_once(caplog):
    sim = xm.Simulator(network(), dt=0.1, tile=4)
    with jax.log_compiles(True), caplog.at_level(logging.WARNING, logger="jax"):
        sim.run(20.0, xr.Dataset({"a": ("a", np.linspace(-0.3, -0.1, 3))}), monitors=["x"], seed=1)
        caplog.clear()
        sim.run(20.0, xr.Dataset({"a": ("a", np.linspace(-0.3, -0.1, 11))}), monitors=["x"], seed=1)
    assert not compilations(caplog), compilations(caplog)
