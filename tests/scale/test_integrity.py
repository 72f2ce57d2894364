"""Damage of every kind is found, named by its runs, and mended by computing just these again; what is older or newer is told."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import xmass as xm
from tests.scale.cases import tree
from xmass.__main__ import main
from xmass.scale import ledger
from xmass.scale.lock import _began
from xmass.scale.store import open_store

LEDGER = "status/ledger.jsonl"


NODE = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1, method="euler")  # compiles fast
SWEEP = xr.Dataset({"a": ("a", [-0.2, -0.1, 0.05, 0.1]), "w": ("w", [0.3, 0.4])})


def fill(store, **kwargs):
    monitors = {"x": "x", "mean": xm.TemporalAverage(of="x", period=1.0)}
    return NODE.run_to_zarr(store, 20.0, SWEEP, **{"monitors": monitors, "transient": 4.0, "seed": 7, "chunks": {"a": 1, "w": 1}} | kwargs)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    store = tmp_path_factory.mktemp("full") / "s.zarr"
    fill(store)
    return store


@pytest.fixture(scope="module")
def values(full):
    return open_store(full).load()


@pytest.fixture
def store(full, tmp_path):
    return shutil.copytree(full, tmp_path / "s.zarr")


def lines(store):
    return (store / LEDGER).read_bytes().splitlines(keepends=True)


def line_of(store, chunk):
    """Where the line of a chunk stands, from 0: the order is that in which they were done."""
    return next(i for i, line in enumerate(lines(store)) if b'{"chunk":[%d,%d]' % chunk in line)


# ---------------------------------------------------------------------------------------------------------------- what is recorded
def test_a_checksum_of_every_file_is_in_the_ledger(full):
    # sha256sum is the witness; every file of the store but the ledger has one line.
    kept = ledger.read(full)
    recorded = dict(kept.header.files)
    for record in kept.records.values():
        recorded |= record.files
    files = sorted(p for p in full.rglob("*") if p.is_file() and p != full / LEDGER)
    assert sorted(recorded) == [str(p.relative_to(full)) for p in files]
    said = subprocess.run(["sha256sum", *files], capture_output=True, text=True, check=True).stdout.split()[::2]
    assert [recorded[str(p.relative_to(full))] for p in files] == [(p.stat().st_size, d[:32]) for p, d in zip(files, said, strict=True)]
    assert len(kept.records) == 8 and not kept.damaged and not kept.torn


def test_a_whole_store_is_whole_and_stays_as_it_is(full):
    before = tree(full)
    found = xm.scale.verify(full)
    assert found.whole and not found.faults and found.verified == found.chunks == 8 and not found.damaged.any()
    assert "no damage" in repr(found) and found.to_table().empty
    assert (
        found.files == len(before) - 1
        and found.nbytes == sum(p.stat().st_size for p in full.rglob("*") if p.is_file()) - (full / LEDGER).stat().st_size
    )
    assert tree(full) == before


def test_any_flipped_bit_is_found_wherever_it_is(store):
    # one bit in each file in turn, at a place that changes with the file
    rng = np.random.default_rng(0)
    for path in sorted(p for p in store.rglob("*") if p.is_file()):
        sound = path.read_bytes()
        data = bytearray(sound)
        place = int(rng.integers(len(data)))
        data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        found = xm.scale.verify(store)
        assert not found.whole, path
        assert any(f.where.startswith(str(path.relative_to(store))) for f in found.faults), (path, found)
        path.write_bytes(sound)
    assert xm.scale.verify(store).whole


# ---------------------------------------------------------------------------------------------------------------- damage and repair
def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "name", "kind"),
    [
        (flip, "x/c/3/1/0/0", "changed"),
        (truncate, "mean/c/3/1/0/0", "truncated"),
        (empty, "x/c/3/1/0/0", "truncated"),
        (os.unlink, "x/c/3/1/0/0", "missing"),
        (flip, "status/c/3/1", "changed"),
        (os.unlink, "status/c/3/1", "missing"),
        (lambda p: p.write_bytes(b"0" * 17), "diverged/c/3/1", "unexpected"),  # False is the fill value: not written
    ],
    ids=lambda v: v if isinstance(v, str) else getattr(v, "__name__", ""),
)
def test_damage_is_named_by_its_runs_and_only_it_is_computed_again(store, simulated, values, damage, name, kind):
    (store / name).parent.mkdir(parents=True, exist_ok=True)
    damage(store / name)
    before = tree(store)
    found = xm.scale.verify(store)
    assert [(f.kind, f.where, f.chunk) for f in found.faults] == [(kind, name, (3, 1))]
    assert found.faults[0].runs == {"seed": "7", "a": "0.1", "w": "0.4"}
    assert np.argwhere(found.damaged.values).tolist() == [[3, 1]] and found.damaged.a[3] == values.a[3]
    assert found.to_table()[["kind", "where", "a", "w", "seed"]].values.tolist() == [[kind, name, "0.1", "0.4", "7"]]
    assert f"{name} " in repr(found) and "a=0.1, w=0.4" in repr(found) and "mark=True" in repr(found)
    assert tree(store) == before  # it only looks

    assert xm.scale.verify(store, mark=True).marked
    assert xm.scale.status(store).pending == 1
    xr.testing.assert_identical(fill(store, seed=None).load(), values)
    assert simulated == [((3, 4), (1, 2))]
    assert xm.scale.verify(store).whole


@pytest.mark.parametrize("change", ["edited", "torn", "deleted"])
def test_a_line_of_the_ledger_that_is_not_as_it_was_written_is_mended(store, simulated, values, change):
    all_lines, i = lines(store), line_of(store, (3, 1))
    if change == "edited":
        all_lines[i] = all_lines[i].replace(b'"runs":{"1":1}', b'"runs":{"2":1}')
    elif change == "torn":
        all_lines[i] = all_lines[i][:40] + b"\n"
    else:
        del all_lines[i]
    (store / LEDGER).write_bytes(b"".join(all_lines))
    found = xm.scale.verify(store)
    if change == "deleted":  # as if its process had been stopped before it: nothing is damaged, and the chunk is not done
        assert found.whole
    else:
        assert [f.kind for f in found.faults] == ["ledger", "unrecorded"] and f"line {i + 1}" in found.faults[0].where
        assert found.faults[1].runs["a"] == "0.1" and "w=0.4" in str(found.faults[1])
    assert found.pending == (change == "deleted")
    xr.testing.assert_identical(fill(store).load(), values)
    assert simulated == [((3, 4), (1, 2))]
    assert xm.scale.verify(store).whole and xm.scale.verify(store).verified == 8


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_last_line_that_a_kill_has_torn_costs_its_chunk(store, simulated, values, cut):
    (store / LEDGER).write_bytes(b"".join(lines(store))[:-cut])
    assert xm.scale.verify(store).whole and xm.scale.verify(store).pending == 1
    xr.testing.assert_identical(fill(store).load(), values)
    assert len(simulated) == 1 and xm.scale.verify(store).verified == 8


def test_a_damaged_first_line_or_a_lost_ledger_is_told(store, simulated, values):
    all_lines = lines(store)
    (store / LEDGER).write_bytes(b"x" + b"".join(all_lines))
    assert [f.where for f in xm.scale.verify(store).faults] == [f"{LEDGER}, line 1,"]
    (store / "x/c/0/0/0/0").unlink()
    assert [f.kind for f in xm.scale.verify(store, mark=True).faults] == ["ledger", "missing"]
    fill(store)
    assert len(simulated) == 1 and xm.scale.verify(store).whole
    (store / LEDGER).unlink()
    assert [f.kind for f in xm.scale.verify(store).faults] == ["missing"]
    with pytest.warns(UserWarning, match=r"ledger.jsonl is gone: chunks that are done are taken as they are, without checksums"):
        xr.testing.assert_identical(fill(store).load(), values)
    assert len(simulated) == 1
    assert xm.scale.verify(store).without_checksums == 8 and xm.scale.verify(store).whole


def test_damaged_metadata_are_told_even_if_nothing_opens(store):
    (store / "zarr.json").write_text("{")
    found = xm.scale.verify(store)
    assert [(f.kind, f.where, f.chunk) for f in found.faults] == [("truncated", "zarr.json", None)]
    assert found.verified == 8 and "take these files from a copy" in repr(found)
    (store / "zarr.json").unlink()
    assert [(f.kind, f.where) for f in xm.scale.verify(store).faults] == [("missing", "zarr.json")]


def test_the_ledger_of_another_store_is_noticed(store, tmp_path):
    fill(tmp_path / "other.zarr", transient=5.0)
    shutil.copy(tmp_path / "other.zarr" / LEDGER, store / LEDGER)
    assert "which is that of another store" in str(xm.scale.verify(store).faults[0])


def test_nothing_is_marked_while_another_process_writes(store):
    me = {"pid": os.getpid(), "host": socket.gethostname(), "began": _began(os.getpid())}
    store.with_name("s.zarr.lock").write_text(json.dumps(me))
    assert xm.scale.verify(store).whole  # looking is free
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"):
        xm.scale.verify(store, mark=True)


# ---------------------------------------------------------------------------------------------------------------- other versions
def older(store):
    """As versions without a ledger wrote it."""
    (store / LEDGER).unlink()
    metadata = json.loads((store / "zarr.json").read_text())
    del metadata["attributes"]["store_format"]
    (store / "zarr.json").write_text(json.dumps(metadata))


def test_a_store_without_checksums_opens_is_told_and_is_continued(store, simulated, values):
    older(store)
    xr.testing.assert_identical(open_store(store).load(), values)
    xr.testing.assert_identical(fill(store).load(), values)
    found = xm.scale.verify(store)
    assert (found.whole, found.without_checksums, found.verified) == (True, 8, 0)
    assert "without checksums  8 chunks" in repr(found) and not (store / LEDGER).exists() and not simulated
    assert xm.scale.status(store).done == 8

    zarr.open_array(store / "status", mode="r+")[1, 0] = 0
    xr.testing.assert_identical(fill(store).load(), values)
    assert simulated == [((1, 2), (0, 1))]
    found = xm.scale.verify(store)
    assert (found.whole, found.without_checksums, found.verified) == (True, 7, 1)


@pytest.mark.parametrize(
    ("attribute", "value", "said"), [("store_format", 3, "store format 3"), ("Conventions", "xmass-2.0", "conventions xmass-2.0")]
)
def test_a_newer_store_says_which_version_it_needs(store, attribute, value, said):
    metadata = json.loads((store / "zarr.json").read_text())
    versions = json.loads(metadata["attributes"]["versions"]) | {"xmass": "9.9.9"}
    metadata["attributes"] |= {attribute: value, "versions": json.dumps(versions)}
    (store / "zarr.json").write_text(json.dumps(metadata))
    before = tree(store)
    for look in (open_store, fill, xm.scale.verify, xm.scale.status, xm.io.open):
        with pytest.raises(ValueError, match=rf"has {said} and was written by xmass 9.9.9.*open it with xmass 9.9.9 or newer"):
            look(store)
    assert tree(store) == before


# ---------------------------------------------------------------------------------------------------------------- how far, and commands
def test_status_tells_rate_and_time_left_from_the_ledger(store, monkeypatch):
    header = lines(store)[0]
    start, records = 1_700_000_000.0, ledger.read(store).records
    session = ledger._line({"session": {"pid": 1, "host": "h"}, "at": start})
    timed = [records[at].line().replace(b'"at":', b'"was":') for at in sorted(records)]
    timed = [ledger._line(json.loads(line[9:]) | {"at": start + 10 + 2 * i}) for i, line in enumerate(timed[:5])]
    (store / LEDGER).write_bytes(b"".join([header, session, *timed]))
    found = xm.scale.status(store)
    # 5 chunks of 1 run, 2 s apart: half a run per second, three are left
    assert (found.runs, found.done, found.pending, found.chunks_done, found.rate, found.seconds_left) == (8, 5, 3, 5, 0.5, 6.0)
    assert found.updated == start + 18 and found.writer is None
    assert "5 of 8 runs (62.5%)" in repr(found) and "6 s, once it runs again" in repr(found)
    me = {"pid": os.getpid(), "host": socket.gethostname(), "began": _began(os.getpid())}
    store.with_name("s.zarr.lock").write_text(json.dumps(me))
    assert f"process {os.getpid()} on" in repr(xm.scale.status(store)) and "once it runs" not in repr(xm.scale.status(store))


def test_commands_say_it_and_end_with_its_code(store, capsys):
    assert main(["status", str(store)]) == 0
    assert "8 of 8 runs (100.0%), 8 of 8 chunks" in capsys.readouterr().out
    assert main(["verify", str(store)]) == 0
    assert "no damage" in capsys.readouterr().out
    flip(store / "x/c/3/1/0/0")
    assert main(["verify", str(store)]) == 1
    assert "x/c/3/1/0/0 has other content than was written: runs a=0.1, w=0.4, seed=7" in capsys.readouterr().out
    assert main(["verify", "--mark", "--quiet", str(store)]) == 1
    assert main(["verify", str(store)]) == 1  # whole again, and unfinished
    assert main(["status", str(store)]) == 1
    capsys.readouterr()
    for command in ("status", "verify"):
        assert main([command, str(store / "nowhere")]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith(f"xmass {command}: there is no store at ")
        with pytest.raises(SystemExit) as ended:
            main([command])
        assert ended.value.code == 2
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0 and "Exit code: 0 if" in capsys.readouterr().out


@pytest.mark.long
def test_status_from_another_process_while_one_writes(tmp_path):
    from tests.scale.test_crash import start, wait_for_chunks

    store = tmp_path / "s.zarr"
    process = start(store, 8.0)  # time enough for another process to start
    wait_for_chunks(process, store, 2)
    time.sleep(0.5)
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(
        [sys.executable, "-m", "xmass", "status", str(store)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
        check=False,
    )
    process.kill()
    process.communicate()
    assert said.returncode == 1, said.stderr
    assert f"process {process.pid} on" in said.stdout and "time left" in said.stdout
    assert xm.scale.status(store).writer is None  # a lock whose process is gone


@pytest.mark.long
def test_workers_of_a_cluster_verify(store):
    distributed = pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")
    flip(store / "x/c/3/1/0/0")
    here = xm.scale.verify(store)
    with distributed.Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None):
        there = xm.scale.verify(store)
    assert sorted(map(str, there.faults)) == sorted(map(str, here.faults)) and there.nbytes == here.nbytes
