"""Runs that raise, diverge or run out of memory: marked with a reason, alone, and tried again where that is asked for."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.scale.cases import DURATION, arguments, network, sweep
from xmass.labelled.rebuild import DivergenceWarning
from xmass.scale import FailedRunsWarning, work
from xmass.scale.failures import out_of_memory, reason
from xmass.scale.store import open_store

POINTS = 6


def fill(store, **kwargs):
    return network().run_to_zarr(store, DURATION, sweep(POINTS, 2), **arguments() | {"chunks": {"a": 3}} | kwargs)


@pytest.fixture(scope="module")
def eager():
    return network().run(DURATION, sweep(POINTS, 2), **arguments())


def holds(box, point):
    return all(a <= i < b for i, (a, b) in zip(point, box, strict=True))


def failing(monkeypatch, points, error=None):
    """Runs at some places raise, wherever they are simulated; returns the boxes that are tried."""
    simulate, tried = work.block, []

    def block(resolved, box, **kwargs):
        tried.append(box)
        if any(holds(box, point) for point in points):
            raise error or RuntimeError("does not work")
        return simulate(resolved, box, **kwargs)

    monkeypatch.setattr(work, "block", block)
    return tried


def test_runs_that_raise_are_marked_and_their_neighbours_are_kept_bit_for_bit(tmp_path, monkeypatch, eager):
    store, bad = tmp_path / "s.zarr", [(1, 0), (4, 1)]
    with monkeypatch.context() as patch:
        failing(patch, bad)
        with pytest.warns(
            FailedRunsWarning, match=r"2 of 12 runs failed .* a=-0.14, coupling.k=0.05, seed=7: RuntimeError: does not work; .* The others"
        ):
            done = fill(store).load()
    failed = np.zeros((POINTS, 2), bool)
    failed[tuple(zip(*bad, strict=True))] = True
    np.testing.assert_array_equal(done.status, np.where(failed, 3, 1))
    assert done.status.attrs["flag_meanings"].split()[3] == "error"
    for name in ("x", "mean", "fc"):
        kept = ~failed.reshape(POINTS, 2, *(1,) * (eager[name].ndim - 2))
        np.testing.assert_array_equal(done[name].values, np.where(kept, eager[name].values, np.float32("nan")))

    found = xm.scale.status(store)
    assert (found.done, found.error, found.pending, found.finished) == (10, 2, 0, False)
    table = found.to_table()
    np.testing.assert_allclose(table["a"], [-0.14, 0.04])
    assert table["reason"].tolist() == ["RuntimeError: does not work"] * 2 and set(table["kind"]) == {"error"}
    assert xm.scale.verify(store).whole

    with monkeypatch.context() as patch:  # neither repeated nor forgotten by the next call
        tried = failing(patch, [])
        with pytest.warns(FailedRunsWarning, match="2 of 12 runs failed"):
            fill(store, seed=None)
        assert tried == []
    whole = fill(store, resume="failed").load()
    xr.testing.assert_identical(whole, eager)
    assert xm.scale.verify(store).whole and xm.scale.status(store).finished
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


def test_a_function_of_the_user_that_raises_inside_compiled_code_costs_its_run_only(tmp_path):
    def checked(x):
        if np.nanmax(np.abs(x)) > 10.0:
            raise ValueError("the state is above 10")
        return x

    def monitor(state):
        return jax.pure_callback(checked, jax.ShapeDtypeStruct(state.x.shape, state.x.dtype), state.x, vmap_method="expand_dims")

    sim = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1, method="euler")
    starts = xr.Dataset({"initial.x": ("start", [0.1, 0.2, 20.0, 0.3])}, coords={"start": ["a", "b", "high", "c"]})
    with pytest.warns(FailedRunsWarning, match=r"1 of 4 runs failed .*start=high.*the state is above 10"):
        done = sim.run_to_zarr(tmp_path / "s.zarr", 2.0, starts, monitors={"seen": monitor}, chunks={"start": 4}).load()
    assert done.status.values.tolist() == [1, 1, 3, 1]
    assert np.isfinite(done.seen.isel(start=[0, 1, 3])).all() and np.isnan(done.seen.sel(start="high")).all()
    alone = sim.run(2.0, starts.isel(start=[3]), monitors={"seen": monitor})
    np.testing.assert_array_equal(done.seen.sel(start=["c"]), alone.seen)


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 80 GiB"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes")]
)
def test_a_chunk_that_runs_out_of_memory_is_marked_and_the_others_go_on(tmp_path, monkeypatch, eager, error):
    store = tmp_path / "s.zarr"
    with monkeypatch.context() as patch:
        tried = failing(patch, [(4, 0)], error)
        with pytest.warns(FailedRunsWarning, match="6 of 12 runs failed"):
            done = fill(store)
    assert len(tried) == 2  # its parts are not tried: the whole is what does not fit
    assert done.status.values[:, 0].tolist() == [1, 1, 1, 4, 4, 4]
    assert xm.scale.status(store).out_of_memory == 6
    assert str(error) in xm.scale.status(store).failures[0].reason
    xr.testing.assert_identical(fill(store, resume="failed").load(), eager)


def test_a_chunk_whose_worker_is_lost_is_marked(tmp_path, monkeypatch, eager):
    store, run = tmp_path / "s.zarr", work.run_chunk

    def lost(parcel, path, at, box, *args):
        if at == (1, 0):
            raise ConnectionError("4 workers died on it")
        return run(parcel, path, at, box, *args)

    with monkeypatch.context() as patch:
        patch.setattr(work, "run_chunk", lost)
        with pytest.warns(FailedRunsWarning, match="6 of 12 runs failed .*ConnectionError: 4 workers died on it"):
            fill(store)
    assert xm.scale.verify(store).whole
    xr.testing.assert_identical(fill(store, resume="failed").load(), eager)


def test_failed_again_is_marked_again_and_what_diverges_is_no_failure(tmp_path, monkeypatch):
    store, sim = tmp_path / "s.zarr", xm.Simulator(xm.HopfStep(), dt=0.1)
    # the cubic term of a state of 50 is 125 000 per ms: one step of 0.1 ms overshoots it, and the next leaves float32
    starts = xr.Dataset({"initial.x": ("start", [0.1, 50.0, 0.2])})
    call = dict(monitors=["x"], chunks={"start": 1})
    failing(monkeypatch, [(2,)], ValueError("first"))
    with pytest.warns(DivergenceWarning), pytest.warns(FailedRunsWarning, match="first"):
        sim.run_to_zarr(store, DURATION, starts, **call)
    monkeypatch.undo()
    tried = failing(monkeypatch, [(2,)], ValueError("second"))
    with pytest.warns(DivergenceWarning), pytest.warns(FailedRunsWarning, match="second"):
        sim.run_to_zarr(store, DURATION, starts, **call, resume="failed")
    assert tried == [((2, 3),)]
    found = xm.scale.status(store)
    assert (found.ok, found.diverged, found.error) == (1, 1, 1)
    assert [f.reason for f in found.failures] == ["ValueError: second"]


def test_what_fails_everywhere_is_given_up_and_raised(tmp_path, monkeypatch):
    points = [(i, 0) for i in range(40)]
    failing(monkeypatch, points)
    with pytest.raises(RuntimeError, match="does not work") as error:
        network().run_to_zarr(tmp_path / "s.zarr", DURATION, sweep(40, 1), **arguments(), chunks={"a": 1})
    assert "chunks failed, and none has succeeded" in error.value.__notes__[0]
    assert "0 of 40 chunks are stored" in error.value.__notes__[1] and "resume='failed'" in error.value.__notes__[1]
    assert 3 <= int((open_store(tmp_path / "s.zarr").status == 3).sum()) < 10


def test_a_large_chunk_that_fails_everywhere_is_not_taken_apart_to_the_last_run(tmp_path, monkeypatch):
    tried = failing(monkeypatch, [(i, j) for i in range(100) for j in range(2)])
    with pytest.raises(RuntimeError, match="does not work"):
        network().run_to_zarr(tmp_path / "s.zarr", DURATION, sweep(100, 2), **arguments(), chunks={})
    assert len(tried) < 40
    assert (open_store(tmp_path / "s.zarr").status == 3).all()


def test_resume_takes_three_values(tmp_path):
    with pytest.raises(ValueError, match=r"resume='all', needs True, False or 'failed'"):
        fill(tmp_path / "s.zarr", resume="all")


def test_reasons_are_one_line():
    inner = RuntimeError(
        "INTERNAL: CpuCallback error calling callback: Traceback (most recent call last):\n  File x\n\nValueError: bad point"
    )
    assert reason(inner) == "ValueError: bad point"
    assert reason(RuntimeError("one\ntwo")) == "RuntimeError: one"
    assert reason(KeyError()) == "KeyError"
    assert len(reason(ValueError("x" * 10_000))) == 300
    assert not out_of_memory(ValueError("memory"))
