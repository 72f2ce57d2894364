"""A lazy result knows itself before it runs, runs each chunk once, and has the bits of the eager one."""

from __future__ import annotations

import functools

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xmass as xm
from tests.scale.cases import DURATION, arguments, network, sweep
from xmass.labelled.execute import execute
from xmass.labelled.rebuild import DivergenceWarning
from xmass.scale import chunks as chunks_module


@functools.cache
def eager(tile: int | None, precision: str) -> xr.Dataset:
    return network(tile=tile, precision=precision).run(DURATION, sweep(), restart=True, **arguments())


# Widths: the default of 16, which 15 runs do not fill; 4, so that vector and scalar code of a row take turns; 1.
@pytest.mark.parametrize(("tile", "precision"), [(None, "float32"), (4, "float32"), (1, "float32"), (None, "float64")])
@settings(max_examples=8)
@given(a=st.sampled_from([1, 2, 3, 5, -1]), k=st.sampled_from([1, 2, 3, None]))
def test_chunking_never_changes_a_bit(tile, precision, a, k):
    chunks = {"a": a} if k is None else {"a": a, "k": k}
    lazy = network(tile=tile, precision=precision).run(DURATION, sweep(), restart=True, chunks=chunks, **arguments())
    xr.testing.assert_identical(lazy.compute(), eager(tile, precision))


def test_connectomes_that_differ_between_runs_do_not_mix():
    sc = network().system.connectome
    cohort = xr.concat([sc, sc * 0.5, sc * 0.25], "subject")
    coupling = xm.DiffusiveCoupling(k=0.1, source="x", target="x")
    sim = xm.Simulator(xm.Network(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), cohort, speed=5.0, coupling=coupling), dt=0.1)
    whole = sim.run(DURATION, sweep(3, 2), monitors=["x"], seed=1)
    assert not np.array_equal(whole.x[:, :, 0], whole.x[:, :, 1])
    for chunks in ({"subject": 1}, {"subject": 2, "a": 2}, {"k": 1}):
        xr.testing.assert_identical(sim.run(DURATION, sweep(3, 2), monitors=["x"], seed=1, chunks=chunks).compute(), whole)


def test_everything_but_the_values_is_known_before_anything_runs(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("something ran")

    whole = eager(None, "float32")
    monkeypatch.setattr(chunks_module, "execute", fail)
    lazy = network().run(DURATION, sweep(), restart=True, chunks={"a": 2}, **arguments())
    assert lazy.sizes == whole.sizes
    assert lazy.attrs == whole.attrs
    assert {n: v.dtype for n, v in lazy.variables.items()} == {n: v.dtype for n, v in whole.variables.items()}
    assert {n: v.attrs for n, v in lazy.variables.items()} == {n: v.attrs for n, v in whole.variables.items()}
    xr.testing.assert_identical(lazy.coords.to_dataset().drop_vars("diverged"), whole.coords.to_dataset().drop_vars("diverged"))
    assert lazy.seed.item() == 7
    assert {n for n, v in lazy.variables.items() if dask.is_dask_collection(v)} == {*set(lazy.data_vars) - {"initial.step"}, "diverged"}
    assert lazy.x.chunksizes["a"] == (2, 2, 1)
    assert lazy.encoding["chunks"] == {"a": 2, "k": 3}
    with pytest.raises(AssertionError, match="something ran"):
        lazy.compute(scheduler="synchronous")


def test_each_chunk_runs_once_for_all_variables_on_one_thread(monkeypatch):
    calls = []

    def counted(resolved, runs, **kwargs):
        calls.append((runs.tolist(), kwargs["threads"]))
        return execute(resolved, runs, **kwargs)

    monkeypatch.setattr(chunks_module, "execute", counted)
    lazy = network().run(DURATION, sweep(), chunks={"a": 2}, **arguments())
    lazy.compute(scheduler="synchronous")
    assert sorted(calls) == [(list(range(6)), 1), (list(range(6, 12)), 1), (list(range(12, 15)), 1)]
    calls.clear()
    lazy.fc.isel(a=2, k=1).compute(scheduler="synchronous")
    assert calls == [(list(range(6, 12)), 1)]


@pytest.mark.long
def test_a_lazy_result_is_stored_without_being_held(tmp_path):
    # fixed-length strings in zarr warn, so labels are numbers here; run_to_zarr takes care of labels itself
    lazy = network().run(DURATION, sweep(), chunks={"a": 2}, **arguments())
    lazy = lazy.assign_coords(region=range(4), region_other=range(4))
    lazy.to_zarr(tmp_path / "lazy.zarr", consolidated=False)
    whole = eager(None, "float32").drop_vars([n for n in eager(None, "float32").variables if n.startswith("initial.") or n == "lag"])
    whole.attrs = lazy.attrs
    stored = xr.open_zarr(tmp_path / "lazy.zarr", consolidated=False)
    xr.testing.assert_identical(stored.load(), whole.assign_coords(region=range(4), region_other=range(4)))


def test_a_chunked_variable_of_the_parameters_asks_for_the_same():
    p = xr.Dataset({"a": ("point", np.linspace(-0.2, 0.1, 5))}).chunk(point=2)
    lazy = network().run(DURATION, p, **arguments())
    assert lazy.x.chunksizes["point"] == (2, 2, 1)
    xr.testing.assert_identical(lazy.compute(), network().run(DURATION, p.compute(), **arguments()))


@pytest.mark.long
def test_a_single_run_is_one_task():
    lazy = network().run(DURATION, chunks={}, **arguments())
    assert dask.is_dask_collection(lazy)
    xr.testing.assert_identical(lazy.compute(), network().run(DURATION, **arguments()))


def test_a_lazy_end_state_continues():
    sim, kwargs = network(), arguments()
    first = sim.run(DURATION, sweep(), restart=True, chunks={"a": 2}, **kwargs)
    rest = sim.run(DURATION, sweep(), monitors=["x"], initial=first.compute(), chunks={"k": 1})
    whole = sim.run(2 * DURATION, sweep(), monitors=["x"], seed=7)
    np.testing.assert_array_equal(rest.x.values, whole.x.sel(time=slice(DURATION + 0.05, None)).values)


def test_diverged_is_lazy_and_names_the_run():
    sim = xm.Simulator(xm.HopfStep(), dt=0.1)
    # the cubic term of a state of 50 is 125 000 per ms: one step of 0.1 ms overshoots it, and the next leaves float32
    p = xr.Dataset({"initial.x": ("start", [0.1, 50.0, 0.2])}, coords={"start": ["low", "high", "mid"]})
    lazy = sim.run(DURATION, p, monitors=["x"], chunks={"start": 1})
    assert dask.is_dask_collection(lazy.diverged)
    with pytest.warns(DivergenceWarning, match="start=high"):
        done = lazy.compute(scheduler="synchronous")
    assert done.diverged.values.tolist() == [False, True, False]
    assert np.isfinite(done.x.sel(start=["low", "mid"])).all()


@pytest.mark.long
def test_processes_give_the_same_bits():
    lazy = network().run(DURATION, sweep(), restart=True, chunks={"a": 2}, **arguments())
    xr.testing.assert_identical(lazy.compute(scheduler="processes", num_workers=2), eager(None, "float32"))
