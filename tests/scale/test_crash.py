"""Real processes that are killed or interrupted in the middle of a store."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from tests.scale.cases import DURATION, arguments, network, sweep
from tests.scale.filling import fill
from xmass.scale import work
from xmass.scale.store import open_store

ROOT = Path(__file__).resolve().parents[2]


def start(store: Path, pause: float = 0.3) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "tests.scale.filling", str(store), str(pause)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def status(store: Path) -> np.ndarray:
    return np.asarray(zarr.open_array(store / "status", mode="r")[...])


def wait_for_chunks(process: subprocess.Popen, store: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the process ended by itself: {process.stderr.read()}", pytrace=False)
        if store.exists() and (status(store)[:, 0] == 1).sum() >= count:
            return
        time.sleep(0.02)
    process.kill()
    pytest.fail("no chunk was written in two minutes", pytrace=False)


def counted(monkeypatch) -> list:
    """The chunks that are simulated from now on."""
    calls, simulate = [], work.block

    def block(resolved, box, **kwargs):
        calls.append(box[0][0])
        return simulate(resolved, box, **kwargs)

    monkeypatch.setattr(work, "block", block)
    return calls


def test_a_killed_run_continues_where_it_was_and_ends_the_same(tmp_path, monkeypatch):
    store = tmp_path / "killed.zarr"
    process = start(store)
    wait_for_chunks(process, store, 2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()

    before = status(store)
    assert 2 <= (before[:, 0] == 1).sum() < 8
    assert ((before == 1).all(axis=1) | (before == 0).all(axis=1)).all()
    assert (tmp_path / "killed.zarr.lock").exists()
    unfinished, whole = open_store(store), network().run(DURATION, sweep(8, 3), **arguments())
    pending = unfinished.x.where(unfinished.status == 0, drop=True)
    # a chunk that was killed between its files and its status is whole, and not counted
    assert (np.isnan(pending) | (pending == whole.x)).all()

    calls = counted(monkeypatch)
    resumed = fill(store).load()
    assert sorted(calls) == np.flatnonzero(before[:, 0] == 0).tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed.zarr"]
    xr.testing.assert_identical(resumed, fill(tmp_path / "whole.zarr").load())
    xr.testing.assert_identical(resumed, whole)
    assert "status" not in resumed.coords


@pytest.mark.long
def test_an_interrupted_run_keeps_its_chunks_and_says_how_to_continue(tmp_path, monkeypatch):
    store = tmp_path / "interrupted.zarr"
    process = start(store, 0.6)
    wait_for_chunks(process, store, 1)
    with pytest.raises(BlockingIOError, match=rf"process {process.pid} on .* is writing to this store"):
        fill(store)
    assert json.loads((tmp_path / "interrupted.zarr.lock").read_text())["pid"] == process.pid
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    done = int((status(store)[:, 0] == 1).sum())
    assert 1 <= done < 8
    assert f"KeyboardInterrupt: {done} of 8 chunks are stored and safe. Call run_to_zarr again" in said
    assert not (tmp_path / "interrupted.zarr.lock").exists()
    calls = counted(monkeypatch)
    fill(store, seed=None)
    assert len(calls) == 8 - done


@pytest.mark.long
def test_many_kills_at_random_moments(tmp_path):
    store, rng, kills = tmp_path / "kills.zarr", random.Random(1), 0
    while kills < 10:
        process = start(store, 0.05)
        time.sleep(rng.uniform(1.0, 8.0))
        kills += 1
        process.kill()
        process.communicate()
        if store.exists():
            open_store(store).load()
    xr.testing.assert_identical(fill(store).load(), fill(tmp_path / "whole.zarr").load())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kills.zarr", "whole.zarr"]
    assert not list(store.rglob("*.partial"))
