"""Stores: equal to the run in memory, continued by the same call, refused by another, safe on a disk that cannot be written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import zarr

import xmass as xm
from tests.scale.cases import DURATION, arguments, network, sweep, tree
from xmass.labelled.rebuild import DivergenceWarning
from xmass.scale import store as store_module
from xmass.scale.lock import Lock, _began
from xmass.scale.store import inspect, open_store


def fill(store, params=None, *, sim=None, chunks=None, **kwargs):
    made = network() if sim is None else sim
    return made.run_to_zarr(store, DURATION, sweep() if params is None else params, chunks=chunks, **arguments() | kwargs)


@pytest.fixture(scope="module")
def eager():
    return network().run(DURATION, sweep(), restart=True, **arguments())


def forget(store, *boxes):
    """Mark chunks as not run, as if the process had been killed before them; their data too."""
    status = zarr.open_array(store / "status", mode="r+")
    for box in boxes:
        status[tuple(slice(a, b) for a, b in box)] = 0


# ---------------------------------------------------------------------------------------------------------------- what is stored
@pytest.mark.parametrize("chunks", [None, {"a": 2}, {"a": 2, "k": 2}, {"k": 1}, {}])
def test_a_store_equals_the_run_in_memory(tmp_path, eager, chunks):
    done = fill(tmp_path / "s.zarr", restart=True, chunks=chunks)
    assert list(done.data_vars) == list(eager.data_vars)
    xr.testing.assert_identical(done.load(), eager)
    assert not [p for p in tmp_path.iterdir() if p.name != "s.zarr"]
    opened = xr.open_zarr(tmp_path / "s.zarr", consolidated=False)  # without this package: the same and the status
    assert (opened.status == 1).all()
    np.testing.assert_array_equal(opened.x, eager.x)


def test_a_single_run_is_one_chunk(tmp_path, simulated):
    done = network().run_to_zarr(tmp_path / "s.zarr", DURATION, **arguments())
    xr.testing.assert_identical(done.load(), network().run(DURATION, **arguments()))
    assert simulated == [()]
    network().run_to_zarr(str(tmp_path / "s.zarr"), DURATION, **arguments())
    assert simulated == [()]


def test_the_store_is_lazy_and_its_coordinates_are_loaded(tmp_path):
    done = fill(tmp_path / "deep" / "er" / "s.zarr", chunks={"a": 2})
    assert done.x.chunks is not None
    assert all(done[c].chunks is None for c in done.coords)
    assert done.region.dtype.kind == "U"
    assert done.x.encoding["chunks"] == (2, 3, 160, 4)


def test_pieces_of_long_series_are_smaller_than_a_chunk(tmp_path, monkeypatch, eager):
    monkeypatch.setattr(store_module, "_STORED_BYTES", 1000)
    done = fill(tmp_path / "s.zarr", chunks={"a": 2}, restart=True)
    # a run has 160 samples of 4 float32, 2560 bytes: three pieces
    assert done.x.encoding["chunks"] == (1, 1, 54, 4)
    xr.testing.assert_identical(done.load(), eager)
    forget(tmp_path / "s.zarr", ((2, 4), (0, 3)))
    xr.testing.assert_identical(fill(tmp_path / "s.zarr", restart=True).load(), eager)


# ---------------------------------------------------------------------------------------------------------------- continuing
def test_only_what_is_missing_runs_and_other_chunks_change_nothing(tmp_path, simulated, eager):
    store = tmp_path / "s.zarr"
    fill(store, chunks={"a": 2}, restart=True)
    assert len(simulated) == 3
    simulated.clear()
    fill(store, chunks={"a": 2}, restart=True)
    assert simulated == []
    missing = ((2, 4), (0, 3))
    forget(store, missing)
    zarr.open_array(store / "x", mode="r+")[2:4] = np.nan
    (store / "x" / "c" / "1.0.0.0.abc.partial").write_text("half")
    partly = open_store(store)
    assert partly.status.values[:, 0].tolist() == [1, 1, 0, 0, 1]
    xr.testing.assert_identical(fill(store, chunks={"k": 1}, restart=True).load(), eager)
    assert simulated == [missing]
    assert not list(store.rglob("*.partial"))


@pytest.mark.parametrize("batch_size", [None, 3])
def test_without_a_seed_the_store_s_is_taken(tmp_path, simulated, batch_size):
    store, kwargs = tmp_path / "s.zarr", {"seed": None, "batch_size": batch_size}
    first = fill(store, sweep(2, 1), chunks={"a": 1}, **kwargs).load()
    assert first.seed.sizes == ({} if batch_size is None else {"batch": 3})
    forget(store, tuple((0, 1) for _ in range(2 + (batch_size is not None))))
    xr.testing.assert_identical(fill(store, sweep(2, 1), **kwargs).load(), first)
    assert len(simulated) == 3
    with pytest.raises(ValueError, match=r"differs in .*batch_size: (None|3) -> 4"):
        fill(store, sweep(2, 1), seed=None, batch_size=4)


def test_seeds_along_a_dim_of_the_sweep_are_the_store_s_too(tmp_path):
    store, seeds = tmp_path / "s.zarr", xr.DataArray([3, 1], dims="a", coords={"a": sweep(2, 1).a})
    first = fill(store, sweep(2, 1), seed=seeds).load()
    forget(store, ((0, 2), (0, 1)))
    xr.testing.assert_identical(fill(store, sweep(2, 1), seed=None).load(), first)


def test_seeds_that_brought_a_dim_are_not_taken_for_a_run_without_it(tmp_path):
    fill(tmp_path / "s.zarr", sweep(2, 1), seed=xr.DataArray([3, 1], dims="trial"))
    with pytest.raises(ValueError, match=r"seed: over 'trial' \(2\) -> none"):
        fill(tmp_path / "s.zarr", sweep(2, 1), seed=None)


def test_a_batch_that_is_no_longer_asked_for_is_a_difference(tmp_path):
    fill(tmp_path / "s.zarr", sweep(2, 1), batch_size=2)
    with pytest.raises(ValueError, match=r"seed: over 'batch' \(2\) -> none"):
        fill(tmp_path / "s.zarr", sweep(2, 1), seed=None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (dict(params=sweep().assign_coords(a=np.linspace(-0.2, 0.2, 5))), "parameters.a:"),
        (dict(params=sweep(4, 3)), "parameters.a:"),
        (dict(seed=8), "seed: 7 -> 8"),
        (dict(transient=5.0), "transient: 4.0 -> 5.0"),
        (dict(monitors=["x"]), "monitors.fc: FunctionalConnectivity -> absent"),
        (dict(sim=network(tile=8)), "tile: 16 -> 8"),
        (dict(sim=network(precision="float64")), 'precision: "float32" -> "float64"'),
        (dict(restart=True), "restart: false -> true"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_another_configuration_is_refused_with_the_difference_named(tmp_path, full, change, named):
    store = shutil.copytree(full, tmp_path / "s.zarr")
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="holds another run") as error:
        fill(store, **change)
    assert named in str(error.value)
    assert tree(tmp_path) == before


def test_other_orders_are_other_runs_and_never_written_into_a_store(tmp_path):
    # Three w and three a: each chunk of the one order fits the other, transposed.
    sim, store = xm.Simulator(xm.HopfStep(), dt=0.1), tmp_path / "s.zarr"
    w, a = ("w", [0.1, 0.2, 0.3]), ("a", [-0.1, 0.1, 0.2])
    call = dict(monitors=["x", "y"], initial={"x": 0.1})
    whole = sim.run_to_zarr(store, 2.0, xr.Dataset({"w": w, "a": a}), chunks={"w": 1}, **call).load()
    forget(store, ((1, 3), (0, 3)))
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=r'dims: \["w", "a"\] -> \["a", "w"\]; order of parameters: \["w", "a"\] -> \["a", "w"\]'):
        sim.run_to_zarr(store, 2.0, xr.Dataset({"a": a, "w": w}), **call)
    with pytest.raises(ValueError, match=r'order of monitors: \["x", "y"\] -> \["y", "x"\]'):
        sim.run_to_zarr(store, 2.0, xr.Dataset({"w": w, "a": a}), **call | {"monitors": ["y", "x"]})
    assert tree(tmp_path) == before
    xr.testing.assert_identical(sim.run_to_zarr(store, 2.0, xr.Dataset({"w": w, "a": a}), **call).load(), whole)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    store = tmp_path_factory.mktemp("full") / "s.zarr"
    fill(store, chunks={"a": 2})
    return store


def test_without_resume_a_store_is_an_error(full):
    with pytest.raises(FileExistsError, match="leave out resume=False"):
        fill(full, resume=False)


def test_a_result_of_other_versions_warns(tmp_path, full):
    store = shutil.copytree(full, tmp_path / "s.zarr")
    forget(store, ((0, 2), (0, 3)))
    metadata = json.loads((store / "zarr.json").read_text())
    metadata["attributes"]["versions"] = json.dumps(json.loads(metadata["attributes"]["versions"]) | {"jaxlib": "0.0.1"})
    (store / "zarr.json").write_text(json.dumps(metadata))
    with pytest.warns(UserWarning, match=r"jaxlib: \"0.0.1\" -> .* last bits may differ"):
        fill(store)


# ---------------------------------------------------------------------------------------------------------------- not ours
def plain_zarr(path):
    xr.Dataset({"x": ("a", np.arange(3.0))}).to_zarr(path, consolidated=False)


def result_without_a_ledger(path):
    network().run(DURATION, **arguments()).assign_coords(region=range(4), region_other=range(4)).to_zarr(path, consolidated=False)


def a_folder(path):
    path.mkdir()
    (path / "thesis.txt").write_text("all of it")


def a_file(path):
    path.write_text("all of it")


@pytest.mark.parametrize("make", [plain_zarr, result_without_a_ledger, a_folder, a_file])
def test_what_is_not_ours_is_refused_and_left_alone(tmp_path, make):
    make(tmp_path / "s.zarr")
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=r"was not made by run_to_zarr\. It is left as it is"):
        fill(tmp_path / "s.zarr")
    assert tree(tmp_path) == before


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "s.zarr").mkdir()
    assert fill(tmp_path / "s.zarr").sizes["a"] == 5


def test_a_store_with_other_pieces_is_not_continued(tmp_path, full):
    store = shutil.copytree(full, tmp_path / "s.zarr")
    metadata = json.loads((store / "x" / "zarr.json").read_text())
    metadata["chunk_grid"]["configuration"]["chunk_shape"][0] = 3
    (store / "x" / "zarr.json").write_text(json.dumps(metadata))
    forget(store, ((0, 2), (0, 3)))
    with pytest.raises(ValueError, match=r"x is stored in pieces of \[3, 3\], which do not divide {'a': 2, 'k': 3}"):
        fill(store)


def test_a_url_is_refused_and_a_missing_store_is_not_opened(tmp_path):
    with pytest.raises(ValueError, match="needs a local directory"):
        fill("s3://bucket/s.zarr")
    with pytest.raises(ValueError, match="there is no store"):
        open_store(tmp_path / "s.zarr")
    assert inspect(tmp_path / "s.zarr") is None


def test_the_name_of_the_ledger_is_taken(tmp_path):
    with pytest.raises(ValueError, match="called 'status', which a store keeps for itself"):
        fill(tmp_path / "s.zarr", monitors={"status": "x"})
    with pytest.raises(ValueError, match="called 'status'"):
        fill(tmp_path / "s.zarr", sweep().assign_coords(status=("a", np.arange(5))))
    assert not any(tmp_path.iterdir())


def test_chunks_are_checked_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match=r"chunks names 'region'.*\['a', 'k'\]"):
        fill(tmp_path / "s.zarr", chunks={"region": 2})
    assert not any(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------------------- failures
def test_diverged_runs_are_recorded_and_not_repeated(tmp_path, simulated):
    sim = xm.Simulator(xm.HopfStep(), dt=0.1)
    # the cubic term of a state of 50 is 125 000 per ms: one step of 0.1 ms overshoots it, and the next leaves float32
    p = xr.Dataset({"initial.x": ("start", [0.1, 50.0, 0.2])}, coords={"start": ["low", "high", "mid"]})
    call = dict(monitors=["x"], transient=10.0)
    with pytest.warns(DivergenceWarning, match="start=high"):
        done = sim.run_to_zarr(tmp_path / "s.zarr", DURATION, p, chunks={"start": 1}, **call).load()
    assert np.isnan(done.x.sel(start="high")).all()  # a chunk that zarr does not even write
    assert not (tmp_path / "s.zarr" / "x" / "c" / "1").exists()
    assert done.diverged.values.tolist() == [False, True, False]
    assert zarr.open_array(tmp_path / "s.zarr" / "status")[...].tolist() == [1, 2, 1]
    with pytest.warns(DivergenceWarning):
        sim.run_to_zarr(tmp_path / "s.zarr", DURATION, p, **call)
    assert len(simulated) == 3


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 400 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("a small disk can only be mounted as root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_harms_nothing_and_is_continued(small_disk, eager):
    store, ballast = small_disk / "s.zarr", small_disk / "ballast"
    ballast.write_bytes(bytes(230_000))  # the template fits beside it, 15 runs do not
    said = r"No space left on device: cannot write to .* \d of 5 chunks are stored and safe. Make room"
    with pytest.raises(OSError, match=said) as error:
        fill(store, chunks={"a": 1}, restart=True)
    assert error.value.errno == 28
    finished = int((zarr.open_array(store / "status", mode="r")[:, 0] == 1).sum())
    assert f"{finished} of 5 chunks" in str(error.value) and finished < 5
    assert not (small_disk / "s.zarr.lock").exists()
    partly = open_store(store)
    assert not np.isnan(partly.x.where(partly.status == 1, drop=True)).any()
    ballast.unlink()
    xr.testing.assert_identical(fill(store, restart=True).load(), eager)


def test_a_disk_too_full_for_a_store_keeps_nothing_of_it(small_disk):
    (small_disk / "ballast").write_bytes(bytes(360_000))
    with pytest.raises(OSError, match="No space left on device: cannot write"):
        fill(small_disk / "s.zarr")
    assert [p.name for p in small_disk.iterdir()] == ["ballast"]


def test_a_read_only_disk_is_named_and_a_finished_store_on_it_opens(small_disk, full):
    store = shutil.copytree(full, small_disk / "s.zarr")
    half = shutil.copytree(full, small_disk / "half.zarr")
    forget(half, ((0, 2), (0, 3)))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert fill(store).sizes["a"] == 5
    for path in (half, small_disk / "new.zarr"):
        with pytest.raises(OSError, match="Read-only file system: cannot write"):
            fill(path)


# ---------------------------------------------------------------------------------------------------------------- lock
def holder(**changes):
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "began": _began(os.getpid())} | changes)


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_is_exclusive_and_released(tmp_path):
    path = tmp_path / "lock"
    with Lock(path):
        assert json.loads(holder()).items() <= json.loads(path.read_text()).items()
        with pytest.raises(BlockingIOError, match=rf"process {os.getpid()} on .* \(since 20.*\) is writing"), Lock(path):
            pass
        assert path.exists()
    assert not path.exists()


def test_a_lock_of_a_dead_process_is_taken_over(tmp_path):
    path = tmp_path / "lock"
    for stale in (holder(pid=dead_pid()), holder(began="1")):  # gone, or its number is another process's by now
        path.write_text(stale)
        with Lock(path):
            assert json.loads(holder()).items() <= json.loads(path.read_text()).items()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("content", [holder(host="elsewhere", pid=1), "", "not json"], ids=["other host", "empty", "not json"])
def test_a_lock_that_cannot_be_judged_stays_and_the_message_says_what_to_do(tmp_path, content):
    path = tmp_path / "s.zarr.lock"
    path.write_text(content)
    with pytest.raises(BlockingIOError, match=rf"if it no longer runs, delete {path}"):
        fill(tmp_path / "s.zarr")
    assert path.read_text() == content
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr.lock"]


def test_what_a_killed_process_left_half_made_is_removed(tmp_path):
    (tmp_path / "s.zarr.init-1").mkdir()
    (tmp_path / "s.zarr.init-1" / "zarr.json").write_text("{}")
    fill(tmp_path / "s.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
