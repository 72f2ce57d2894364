"""save and open: what was stored comes back, nothing is overwritten, and nothing half-written is left."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xmass as xm


def everything():
    """All kinds of values, units that readers tend to change, and chunks."""
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "x": (("run", "time"), rng.normal(size=(3, 50)), {"units": "mV", "long_name": "potential"}),
            "single": ("time", rng.normal(size=50).astype(np.float32), {"units": "mm/ms"}),
            "holes": ("run", [1.0, np.nan, -np.inf], {"units": "1/s**0.5"}),
            "count": ("run", np.array([0, -1, 255]), {"units": "days"}),
            "small": ("run", np.array([0, 1, 255], dtype=np.uint8), {"units": "hours"}),
            "flag": ("run", [True, False, True], {"flags": [0, 1]}),
            "z": ("run", np.array([1 + 2j, 0, -1j])),
            "name": ("run", ["é", "", "a much longer name"]),
            "scalar": ((), 3.5, {"units": "µV"}),
            "empty": (("run", "none"), np.zeros((3, 0))),
        },
        coords={
            "time": ("time", 0.1 * np.arange(50), {"units": "s", "axis": "T"}),
            "run": ["a", "b", "c"],
            "region": ("run", ["L", "R", "L"]),
        },
        attrs={"title": "everything", "n": 3, "numbers": [1, 2.5], "none": None, "nested": {"a": [1]}, "Conventions": "other"},
    )


def test_what_is_saved_comes_back_identical(tmp_path):
    ds = everything()
    path = xm.io.save(ds, tmp_path / "a" / "b.zarr")
    got = xm.io.open(path)
    assert got.chunks["time"] == (50,)
    xr.testing.assert_identical(got.load(), ds)
    for name in ds.variables:
        assert got[name].dtype == ds[name].dtype, name
        assert got[name].attrs == ds[name].attrs, name
    assert list(tmp_path.rglob("*.partial")) == []
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["b.zarr"]


def test_a_saved_dataset_is_saved_again_unchanged(tmp_path):
    once = xm.io.open(xm.io.save(everything(), tmp_path / "one.zarr"))
    twice = xm.io.open(xm.io.save(once, tmp_path / "two.zarr"))
    xr.testing.assert_identical(twice.load(), everything())


@given(data=st.data())
def test_units_survive_whatever_they_are(tmp_path_factory, data):
    units = data.draw(
        st.one_of(st.sampled_from(["s", "seconds", "days", "ms", "1", "%", "", "µm"]), st.text(st.characters(codec="utf-8"), max_size=20))
    )
    values = data.draw(st.lists(st.floats(width=64), min_size=1, max_size=5))
    ds = xr.Dataset({"x": ("time", values, {"units": units})}, coords={"time": ("time", np.arange(len(values)), {"units": units})})
    xr.testing.assert_identical(xm.io.open(xm.io.save(ds, tmp_path_factory.mktemp("u") / "x.zarr")).load(), ds)


def test_lazy_data_are_written_in_their_chunks_and_read_lazily(tmp_path):
    ds = xr.Dataset({"x": (("run", "time"), da.arange(600, chunks=100).reshape(6, 100))})
    got = xm.io.open(xm.io.save(ds.chunk(run=4, time=30), tmp_path / "x.zarr"))
    assert got.chunks["run"] == (4, 2)
    assert got.x.chunks is not None
    np.testing.assert_array_equal(got.x, np.arange(600).reshape(6, 100))


def test_what_is_there_is_never_overwritten(tmp_path):
    ds = everything()
    path = xm.io.save(ds, tmp_path / "x.zarr")
    with pytest.raises(FileExistsError, match=r"x.zarr exists, and is not overwritten. Choose another path"):
        xm.io.save(ds.isel(run=[0]), path)
    xr.testing.assert_identical(xm.io.open(path).load(), ds)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "dangling"):
        with pytest.raises(FileExistsError, match="is not overwritten"):
            xm.io.save(ds, tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_failure_leaves_nothing_behind(tmp_path):
    def fail(block):
        raise RuntimeError("no more")

    lazy = da.zeros((4, 4), chunks=2).map_blocks(fail, dtype=float, meta=np.zeros((0, 0)))
    with pytest.raises(RuntimeError, match="no more"):
        xm.io.save(xr.Dataset({"x": (("a", "b"), lazy)}), tmp_path / "x.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda ds: ds.x, TypeError, r"save got a DataArray, needs a Dataset. Make one with .to_dataset"),
        (lambda ds: ds.assign(day=("run", np.array(["2000-01-01"] * 3, "M8[ns]"))), ValueError, "day holds datetime64"),
        (lambda ds: ds.assign(o=("run", np.array([1, "a", None], dtype=object))), ValueError, "o holds Python objects"),
        (lambda ds: ds.assign_attrs(o=object()), ValueError, "the Dataset has the attribute 'o' of type object"),
        (lambda ds: ds.assign(x=ds.x.assign_attrs(scale_factor=2)), ValueError, r"x has the attributes \['scale_factor'\]"),
        (lambda ds: ds.drop_vars("empty").stack(both=("run", "time")), ValueError, r"both is part of a MultiIndex.*reset_index.'both'"),
    ],
)
def test_what_a_store_cannot_hold_is_said_before_anything_is_written(tmp_path, make, error, said):
    with pytest.raises(error, match=said):
        xm.io.save(make(everything()), tmp_path / "x.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_filled_in_pieces_opens_as_well(tmp_path):
    sim = xm.Simulator(xm.HopfStep(), dt=0.1)
    run = sim.run_to_zarr(tmp_path / "run.zarr", 5.0, monitors=["x"])
    xr.testing.assert_identical(xm.io.open(tmp_path / "run.zarr").load(), run.load())
    again = xm.io.open(xm.io.save(sim.run(5.0, monitors=["x"]), tmp_path / "own.zarr"))
    xr.testing.assert_identical(again.load(), sim.run(5.0, monitors=["x"]))


def test_stores_that_are_not_ours_or_damaged(tmp_path):
    everything().drop_vars(["name", "empty", "region", "run"]).to_zarr(tmp_path / "other.zarr", consolidated=False)
    with pytest.raises(ValueError, match=r"other.zarr: it was not made by xm.io.save or run_to_zarr.*xr.open_zarr"):
        xm.io.open(tmp_path / "other.zarr")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.zarr"):
        xm.io.open(tmp_path / "none.zarr")
    (tmp_path / "file.zarr").write_text("x")
    with pytest.raises(ValueError, match=r"file.zarr: it is a file, needs a folder"):
        xm.io.open(tmp_path / "file.zarr")
    store = xm.io.save(everything(), tmp_path / "x.zarr")
    text = (store / "zarr.json").read_text()
    for changed in (text[: len(text) // 2], "", "[]", "\0", json.dumps(json.loads(text) | {"zarr_format": 9})):
        (store / "zarr.json").write_text(changed)
        with pytest.raises(ValueError, match=r"^x.zarr: |^zarr.json: "):
            xm.io.open(store)
    (store / "zarr.json").write_text(text)
    chunk = next(p for p in (store / "time").rglob("*") if p.is_file() and p.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:10])
    with pytest.raises(ValueError, match=r"^x.zarr: it cannot be read as a zarr store"):
        xm.io.open(store)


def test_the_encoding_is_stated_in_the_store(tmp_path):
    store = xm.io.save(everything(), tmp_path / "x.zarr")
    about = json.loads(json.loads((store / "zarr.json").read_text())["attributes"]["xmass_store"])
    assert about["compressor"] == {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}
    assert about["zarr"] == 3
    codecs = json.loads((store / "x" / "zarr.json").read_text())["codecs"]
    assert [c["name"] for c in codecs] == ["bytes", "blosc"]
    assert codecs[1]["configuration"]["cname"] == "zstd"
