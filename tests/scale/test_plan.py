"""A plan says what a run then takes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.scale.cases import DURATION, arguments, network, sweep
from xmass.core import engine
from xmass.scale import plan as plan_module


def test_numbers_of_a_sweep():
    kwargs = arguments()
    p = xm.plan(network(), DURATION, sweep(5, 7), chunks={"a": 2}, **kwargs)
    assert (p.runs, p.sizes, p.steps, p.regions, p.connectomes) == (35, {"a": 5, "k": 7}, 200, 4, 1)
    # chunks of 14, 14 and 7 runs, each in tiles of 16
    assert (p.tile, p.tiles, p.chunks, p.chunk) == (16, 3, 3, {"a": 2, "k": 7})
    assert p.padding == pytest.approx(1 - 35 / 48)
    assert p.compilations == 1
    ds = network().run(DURATION, sweep(5, 7), **kwargs)
    assert p.nbytes == {n: v.nbytes for n, v in ds.data_vars.items()}
    assert p.total_nbytes == sum(v.nbytes for v in ds.data_vars.values())
    assert p.chunk_nbytes == p.total_nbytes * 14 / 35
    assert p.memory > p.chunk_nbytes
    assert p.seconds is None and p.compile_seconds is None


def test_tiles_hold_one_connectome_each():
    sc = xr.concat([network().system.connectome] * 3, "subject")
    sim = xm.Simulator(xm.Network(xm.HopfStep(), sc, coupling=xm.DiffusiveCoupling(source="x", target="x")), dt=0.1)
    p = xm.plan(sim, DURATION, sweep(5, 2), chunks={})
    assert (p.connectomes, p.tile, p.tiles, p.padding) == (3, 16, 3, 1 - 30 / 48)
    alone = xm.plan(sim, DURATION)
    assert (alone.runs, alone.tile, alone.tiles, alone.padding) == (3, 1, 3, 0.0)


def test_a_plan_runs_nothing_unless_it_measures(monkeypatch):
    calls = []
    execute = plan_module.execute

    def counted(resolved, runs, **kwargs):
        calls.append((resolved.stop - resolved.start, len(runs)))
        return execute(resolved, runs, **kwargs)

    monkeypatch.setattr(plan_module, "execute", counted)
    xm.plan(network(), 1e6, sweep(40, 7), monitors=["x"])
    assert calls == []
    p = xm.plan(network(), 1e6, sweep(40, 7), monitors=["x"], measure=True)
    assert p.seconds > 0 and p.compile_seconds >= 0
    assert max(steps for steps, _ in calls) < p.steps / 10
    assert max(runs for _, runs in calls) <= p.workers * p.tile


def test_what_is_measured_does_not_compile_again():
    sim, params = network(), sweep(20, 2)
    sim.run(DURATION, params, monitors=["y"], seed=1)
    before = engine.compiled.cache_info().misses
    assert xm.plan(sim, DURATION, params, monitors=["y"], seed=1, measure=True).compilations == 1
    assert engine.compiled.cache_info().misses == before


def test_the_text_has_the_numbers():
    text = repr(xm.plan(network(), DURATION, sweep(5, 7), chunks={"a": 2}, **arguments()))
    assert "35 (a=5 x k=7) of 200 steps, 4 regions" in text
    assert "3 of 16 runs, 27% padding, 1 connectome" in text
    assert "3 of a=2 x k=7" in text
    assert "measure=True" in text


def test_what_run_refuses_a_plan_refuses():
    with pytest.raises(KeyError, match="'b', which is not a parameter"):
        xm.plan(network(), DURATION, xr.Dataset({"b": ("point", [1.0])}))
    with pytest.raises(ValueError, match=r"chunks names 'region'.*\['a', 'k'\]"):
        xm.plan(network(), DURATION, sweep(), chunks={"region": 2})


def test_memory_grows_with_chunks_and_not_with_duration_of_a_reduction():
    seen = {"fc": xm.FunctionalConnectivity(of="x")}
    short, long = (xm.plan(network(), t, sweep(20, 2), monitors=seen, chunks={}).memory for t in (1e3, 1e6))
    assert long == pytest.approx(short, rel=0.05)
    small, large = (xm.plan(network(), 1e4, sweep(20, 2), monitors=["x"], chunks={"a": n}).memory for n in (1, 20))
    assert large - small >= xm.plan(network(), 1e4, sweep(20, 2), monitors=["x"]).total_nbytes * 19 / 20
    assert np.isfinite(small)


def test_memory_counts_a_history_for_every_signal_that_is_delayed():
    dims = ("region", "region_other")
    sc = xr.Dataset({"weights": (dims, np.ones((20, 20))), "distances": (dims, np.full((20, 20), 5000.0))})

    def memory(coupling):
        sim = xm.Simulator(xm.Network(xm.KuramotoStep(), sc, speed=1.0, coupling=coupling), dt=0.1, tile=16)
        return xm.plan(sim, 1.0, xr.Dataset({"coupling.k": ("k", np.linspace(0.0, 1.0, 16))}), monitors=["theta"]).memory

    # The sine is taken apart into two signals beside the phase itself, each with two times 50 001 steps of 20 regions and 16 runs.
    more = memory(xm.SineCoupling()) - memory(xm.AdditiveCoupling(source="theta", target="theta"))
    assert more >= 2 * 2 * 50_001 * 20 * 16 * 4
