"""Lazy results and stores with a dask.distributed client: found by itself, the same bits, and a lost worker is no loss."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest
import xarray as xr

from tests.scale.cases import DURATION, arguments, network, sweep
from tests.scale.filling import CHUNKS, fill
from xmass.scale import work
from xmass.scale.store import open_store

distributed = pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")


@pytest.fixture(scope="module")
def processes():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def eager():
    return network().run(DURATION, sweep(8, 3), **arguments())


def lazy_and_stored(eager, folder, monkeypatch):
    lazy = network().run(DURATION, sweep(8, 3), chunks=CHUNKS, **arguments())
    xr.testing.assert_identical(lazy.compute(), eager)
    monkeypatch.setattr(work, "_on_threads", None)  # nothing is left but the client
    monkeypatch.chdir(folder)
    done = fill("relative.zarr")
    xr.testing.assert_identical(done.load(), eager)
    assert "status" not in open_store(folder / "relative.zarr").coords
    assert sorted(p.name for p in folder.iterdir()) == ["relative.zarr"]


@pytest.mark.long
def test_threads_of_a_client(eager, tmp_path, monkeypatch):
    with distributed.Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None):
        lazy_and_stored(eager, tmp_path, monkeypatch)
    assert work.active_client() is None


@pytest.mark.long
def test_processes_of_a_client(processes, eager, tmp_path, monkeypatch):
    lazy_and_stored(eager, tmp_path, monkeypatch)


@pytest.mark.long
def test_an_error_in_a_worker_is_the_caller_s(processes, tmp_path):
    def stimulus(t):
        if multiprocessing.parent_process() is not None:
            raise RuntimeError("not in a worker")
        return 0.0 * t

    with pytest.raises(RuntimeError, match="not in a worker") as error:
        network().run_to_zarr(tmp_path / "s.zarr", DURATION, sweep(8, 1), chunks=CHUNKS, inputs={"x": stimulus}, **arguments())
    assert "0 of 8 chunks are stored" in error.value.__notes__[-1]
    assert (open_store(tmp_path / "s.zarr").status == 3).any()


@pytest.mark.long
def test_a_killed_worker_costs_its_chunk_only(processes, eager, tmp_path):
    store = tmp_path / "s.zarr"
    pids = list(processes.run(os.getpid).values())

    def kill():
        while not store.exists() or not (open_store(store).get("status", xr.DataArray(1)) == 1).any():
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    done = fill(store)
    killer.join()
    xr.testing.assert_identical(done.load(), eager)
