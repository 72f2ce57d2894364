"""Nothing is in the ledger whose data are not on the disk: the power is cut after every single write, rename and fsync."""

from __future__ import annotations

import errno
import os
import shutil
import types

import pytest
import xarray as xr

import xmass as xm
from tests.scale.disk import CUTS, Disk, after_cut, by_chance, put
from xmass.scale import durable, ledger, pieces, work
from xmass.scale.store import inspect, open_store

SIM = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1, method="euler")  # compiles fast
SWEEP = xr.Dataset({"a": ("a", [-0.2, 0.1, 0.2])})


def fill(store, **kwargs):
    return SIM.run_to_zarr(store, 4.0, SWEEP, **{"monitors": ["x"], "seed": 7, "chunks": {"a": 1}} | kwargs)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Every step of a sweep, of its first chunk damaged and mended, and the values of the store."""
    folder = tmp_path_factory.mktemp("recorded")
    disk, store = Disk(folder), folder / "s.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "os", disk)
        patch.setattr(work, "cores", lambda: 1)  # one order of steps
        values = fill(store).load()
        (store / "x/c/0/0/0").write_bytes(b"damage")
        disk._read(store / "x/c/0/0/0").lasts = b"damage"
        assert not xm.scale.verify(store, mark=True).whole
        fill(store)
    assert xm.scale.verify(store).whole
    return disk, values


def test_the_order_is_contents_then_names_then_the_ledger(recorded):
    steps = [(what, path) for what, path, _ in recorded[0].steps]
    lines = [i for i, step in enumerate(steps) if step == ("fsync", f"s.zarr/{ledger.NAME}")]
    assert len(lines) >= 4
    for name in ("x/c/1/0/0", "status/c/1"):
        partial = next(p for w, p in steps if w == "create" and p.startswith(f"s.zarr/{name}.") and p.endswith(".partial"))
        order = [("create", partial), ("write", partial), ("fsync", partial), ("rename", f"s.zarr/{name}")]
        places = [steps.index(step) for step in order]
        assert places == sorted(places)
        named = next(i for i, s in enumerate(steps) if i > places[-1] and s == ("fsync", f"s.zarr/{name.rpartition('/')[0]}"))
        assert any(line > named for line in lines)
    assert steps.index(("rename", "s.zarr/x/c/1/0/0")) < steps.index(("rename", "s.zarr/status/c/1"))


def check(files, folder):
    """A store after a cut: it opens, and what its ledger speaks of is whole. Returns how many chunks that are."""
    put(files, folder)
    store = folder / "s.zarr"
    if inspect(store) is None:
        return 0
    opened = open_store(store)
    found = xm.scale.verify(store)
    kept = ledger.read(store)
    assert kept is not None and kept.header is not None and not kept.damaged
    damaged = (store / "x/c/0/0/0").is_file() and (store / "x/c/0/0/0").read_bytes() == b"damage"
    wrong = [f for f in found.faults if f.where != "x/c/0/0/0" or not damaged]
    assert not wrong, wrong
    if not damaged:
        opened.load()
    return len(kept.records)


def cut_at(disk, every, cuts, tmp_path):
    """Cut after every so many steps, in every way; the largest number of chunks that were found."""
    most, seen = 0, set()
    for i, (_, _, top) in enumerate(disk.steps):
        if i % every:
            continue
        for chosen in cuts(i):
            files = after_cut(top, chosen)
            key = tuple(sorted(files.items()))
            if key in seen:
                continue
            seen.add(key)
            folder = tmp_path / str(len(seen))
            most = max(most, check(files, folder))
            shutil.rmtree(folder, ignore_errors=True)  # nothing is there before the store is
    return most, len(seen)


def test_a_power_cut_leaves_no_recorded_chunk_without_its_data(recorded, tmp_path):
    disk, _ = recorded
    most, count = cut_at(disk, 7, lambda i: [CUTS["only what was forced"], CUTS["names, not contents"]], tmp_path)
    assert most == 3 and count > 8


@pytest.mark.long
def test_a_power_cut_after_every_step_in_every_way(recorded, tmp_path):
    disk, _ = recorded
    most, count = cut_at(disk, 1, lambda i: [*CUTS.values(), *(by_chance(1000 * i + k) for k in range(3))], tmp_path)
    assert most == 3 and count > 150


def test_a_store_is_continued_after_a_power_cut(recorded, tmp_path):
    disk, values = recorded
    for number, i in enumerate(range(len(disk.steps) // 4, len(disk.steps), len(disk.steps) // 4)):
        folder = tmp_path / str(number)
        put(after_cut(disk.steps[i][2], CUTS["only what was forced"]), folder)
        xr.testing.assert_identical(fill(folder / "s.zarr").load(), values)


@pytest.mark.parametrize("forgotten", ["contents", "names"])
def test_the_model_finds_a_chunk_that_is_not_forced_to_the_disk(tmp_path, monkeypatch, forgotten):
    # Without fsync of a chunk's files, or of their folders, some cut leaves a line in the ledger whose data are gone.
    disk = Disk(tmp_path)

    def lax(path, data):
        disk.lax = True
        try:
            return durable.write_file(path, data)
        finally:
            disk.lax = False

    careless = {"write_file": lax} if forgotten == "contents" else {"sync_folders": lambda folders: None}
    with monkeypatch.context() as patch:
        patch.setattr(durable, "os", disk)
        patch.setattr(pieces, "durable", types.SimpleNamespace(**vars(durable) | careless))
        patch.setattr(work, "cores", lambda: 1)
        fill(tmp_path / "s.zarr")
    last = disk.steps[-1][2]
    with pytest.raises((AssertionError, ValueError)):
        check(after_cut(last, CUTS["only what was forced"]), tmp_path / "cut")


# ---------------------------------------------------------------------------------------------------------------- files
def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    durable.write_file(tmp_path / "deep/er/f", b"old")
    write = os.write

    def full(file, data):
        if len(data) < 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, bytes(data)[:3])

    monkeypatch.setattr(durable.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        durable.write_file(tmp_path / "deep/er/f", b"12345678")
    assert [p.name for p in (tmp_path / "deep/er").iterdir()] == ["f"] and (tmp_path / "deep/er/f").read_bytes() == b"old"
    with pytest.raises(OSError, match="No space left"):
        durable.append(tmp_path / "deep/er/f", b"12345678")
    assert (tmp_path / "deep/er/f").read_bytes() == b"old"  # what did not fit was taken back


def test_folders_that_a_file_needs_are_told(tmp_path):
    assert durable.write_file(tmp_path / "a/b/f", b"") == {tmp_path, tmp_path / "a", tmp_path / "a/b"}
    assert durable.write_file(tmp_path / "a/b/g", b"") == {tmp_path / "a/b"}
    assert durable.remove(tmp_path / "a/b/g") == {tmp_path / "a/b"} and durable.remove(tmp_path / "a/b/g") == set()
