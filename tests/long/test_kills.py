"""Sweeps in processes of their own that are killed at random moments, and continued until they are done.

``XMASS_KILLS=200 pytest -m long tests/long/test_kills.py`` kills 200 times, 20 in a test, and prints what it saw; without it 20 times.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import dask.array  # noqa: F401  (once, before processes are forked)
import numpy as np
import pytest
import xarray as xr
import zarr  # noqa: F401

import xmass as xm
from xmass.scale import durable, ledger, work
from xmass.scale.store import open_store

TESTS, KILLS = max(int(os.environ.get("XMASS_KILLS", "20")) // 20, 1), 20
CHUNKS, WORKERS = 16, 2
SWEEP = xr.Dataset({"a": ("a", np.linspace(-0.2, 0.1, CHUNKS)), "w": ("w", [0.3, 0.4])})


def fill(store: Path, **kwargs: Any) -> xr.Dataset:
    sim = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1, method="euler")
    return sim.run_to_zarr(store, 20.0, SWEEP, monitors={"x": "x", "end": lambda s: s.x - s.y}, seed=7, chunks={"a": 1}, **kwargs)


class Slow:
    """Stands for the module ``os``: stays in the middle of every write and before every fsync for a moment, and says where it is."""

    def __init__(self, place: str, pause: float) -> None:
        self.place, self.pause = os.open(place, os.O_CREAT | os.O_WRONLY), pause
        self.paths: dict[int, str] = {}
        self.now: dict[int, str] = {}
        self.lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, *args: Any) -> int:
        file = os.open(path, *args)
        self.paths[file] = str(path)
        return file

    def write(self, file: int, data: Any) -> int:
        data = bytes(data)
        count = os.write(file, data[: max(len(data) // 2, 1)])
        self._stay("write", self.paths[file])
        return count

    def fsync(self, file: int) -> None:
        self._stay("fsync", self.paths[file])
        os.fsync(file)

    def replace(self, old: Any, new: Any) -> None:
        self._stay("rename", str(new))
        os.replace(old, new)

    def _stay(self, what: str, path: str) -> None:
        kind = "ledger" if path.endswith("ledger.jsonl") else "status" if "/status/" in path else "data" if "/c/" in path else "folder"
        self._say(f"{what} of {kind}")
        time.sleep(self.pause)
        self._say("")

    def _say(self, text: str) -> None:
        with self.lock:
            self.now[threading.get_ident()] = text
            os.pwrite(self.place, " + ".join(sorted(filter(None, self.now.values()))).ljust(80).encode(), 0)


def child(store: str, log: str, pause: float) -> None:
    """A sweep; every chunk that it begins to simulate is a line in the log."""
    durable.os = Slow(f"{log}.place", pause)  # type: ignore[attr-defined]
    simulate = work.block

    def block(resolved: Any, box: Any, **kwargs: Any) -> Any:
        with Path(log).open("a") as out:
            out.write(f"{box[0][0]}\n")
        return simulate(resolved, box, **kwargs)

    work.block = block
    work.cores = lambda: WORKERS
    fill(Path(store), progress=False)


def begun(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def where(log: Path) -> str:
    """What the threads of a process are in the middle of."""
    return Path(f"{log}.place").read_text().strip()


def looked_at(store: Path, whole: xr.Dataset, before: set) -> set:
    """A store after a kill: it opens, is whole, has lost nothing, and every recorded chunk has its values. The chunks that it has."""
    if not store.exists():
        assert not before
        return set()
    found = xm.scale.verify(store, progress=False)
    assert found.whole, found
    kept = ledger.read(store)
    assert kept is not None and before <= kept.records.keys()
    opened = open_store(store)
    for (i, *_), record in kept.records.items():
        assert record.counts == {1: 2}
        for name in ("x", "end"):
            np.testing.assert_array_equal(opened[name].isel(a=i).values, whole[name].isel(a=i).values)
    assert xm.scale.status(store).writer is None
    return set(kept.records)


def bytes_of(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file() and p.name != "ledger.jsonl"}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(TESTS))
def test_no_kill_loses_a_chunk(tmp_path, capsys, monkeypatch, seed):
    for name, value in {"DIR": tmp_path / "cache", "MIN_COMPILE_TIME_SECS": "0", "MIN_ENTRY_SIZE_BYTES": "-1"}.items():
        prefix = "JAX_COMPILATION_CACHE" if name == "DIR" else "JAX_PERSISTENT_CACHE"  # each process would compile for a second
        monkeypatch.setenv(f"{prefix}_{name}", str(value))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    rng, places = random.Random(seed), collections.Counter()
    whole = fill(tmp_path / "whole.zarr").load()
    reference = bytes_of(tmp_path / "whole.zarr")
    kills = stores = recomputed = most = 0
    while kills < KILLS:
        stores += 1
        store, log = tmp_path / f"{stores}.zarr", tmp_path / f"{stores}.log"
        have: set = set()
        finished = False
        while not finished:
            known = begun(log)
            Path(f"{log}.place").write_text("")
            process = context.Process(target=child, args=(str(store), str(log), 0.02))
            process.start()
            if kills >= KILLS:  # the last store is finished in peace
                process.join(300)
            else:
                early = rng.random() < 0.1  # while it starts, opens or makes the store; else from its first chunk on
                while process.is_alive() and not (early or "data" in where(log)):
                    time.sleep(0.01)
                process.join(rng.uniform(0.0, 2.0))
            process.kill()
            process.join()
            if process.exitcode == -signal.SIGKILL:
                kills += 1
                places[where(log) or "elsewhere"] += 1
            else:
                assert process.exitcode == 0
                finished = True
            new = looked_at(store, whole, have)
            lost = begun(log) - known - len(new - have)  # begun in this process, and not recorded
            assert 0 <= lost <= WORKERS, (lost, places)
            most, recomputed, have = max(most, lost), recomputed + lost, new
        assert len(have) == CHUNKS and bytes_of(store) == reference
        left = {p.name for p in tmp_path.iterdir() if p.name.startswith(f"{stores}.zarr")}
        # a finished store is only opened: the lock of a process that was killed after the last chunk stays, and is no one's
        assert left <= {store.name, f"{store.name}.lock"} and not list(store.rglob("*.partial"))
        xr.testing.assert_identical(fill(store).load(), whole)
    with capsys.disabled():
        print(f"\n{kills} kills in {stores} sweeps of {CHUNKS} chunks: {recomputed} chunks computed again, at most {most} per kill, 0 lost")
        print("killed in:", ", ".join(f"{n} {place}" for place, n in places.most_common()))
    assert recomputed <= kills * WORKERS
    assert sum(n for place, n in places.items() if " of " in place) > kills // 3
