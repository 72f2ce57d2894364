"""read_connectome: every format gives the Dataset that it was written from. Hostile and damaged files are in test_hostile.py."""

from __future__ import annotations

import bz2
import json
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
import xarray as xr

import xmass as xm
from xmass.labelled.connectome import check_connectome

LABELS = ["A", "B", "C"]
W = np.array([[0.0, 1.5, 2.0], [3.0, 0.0, 4.0], [5.0, 0.25, 0.0]])  # not symmetric: a transposed result is seen
D = np.array([[0.0, 10.0, 20.0], [11.0, 0.0, 30.0], [21.0, 31.0, 0.0]])
CENTRES = np.array([[1.0, 2.0, 3.0], [-4.0, 5.0, 6.0], [7.0, 8.0, -9.0]])


def rows(values, delimiter=","):
    return "\n".join(delimiter.join(map(repr, row)) for row in np.asarray(values).tolist()) + "\n"


def write_tvb(path, *, folder="", pack=False, **replaced):
    texts = {
        "weights": rows(W, " "),
        "tract_lengths": rows(D, "   "),
        "centres": "".join(f"{label} {x} {y} {z}\n" for label, (x, y, z) in zip(LABELS, CENTRES, strict=True)),
        "areas": "1.5\n2.5\n3.5\n",
        "average_orientations": rows(CENTRES / 10, "\t"),
        "cortical": "1\n0\n1\n",
        "hemispheres": "1\n0\n0\n",
    }
    texts = {name: text for name, text in (texts | replaced).items() if text is not None}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            data = text.encode()
            if pack:
                archive.writestr(f"{folder}{name}.txt.bz2", bz2.compress(data))
            else:
                archive.writestr(f"{folder}{name}.txt", data)
    return path


def check(ds, *, labels=LABELS, weights=W, distances=None):
    """The schema, and the numbers."""
    xr.testing.assert_identical(check_connectome(ds), ds)
    np.testing.assert_array_equal(ds.weights.values, weights)
    assert ds.weights.dims == ("region", "region_other")
    assert ds.weights.dtype == np.float64
    assert ds.weights.attrs["units"] == "1"
    assert ("distances" in ds) == (distances is not None)
    if distances is not None:
        np.testing.assert_array_equal(ds.distances.values, distances)
        assert ds.distances.attrs["units"] == "mm"
    if labels is not None:
        assert ds.region.values.tolist() == ds.region_other.values.tolist() == labels


@pytest.mark.parametrize(("folder", "pack"), [("", False), ("connectivity/", False), ("", True)])
def test_a_tvb_archive_has_all_that_belongs_to_regions(tmp_path, folder, pack):
    ds = xm.io.read_connectome(write_tvb(tmp_path / "net.zip", folder=folder, pack=pack))
    check(ds, distances=D)
    np.testing.assert_array_equal(ds.centres, CENTRES)
    assert ds.centres.dims == ("region", "xyz")
    assert ds.centres.attrs["units"] == "mm"
    assert ds.xyz.values.tolist() == ["x", "y", "z"]
    np.testing.assert_array_equal(ds.areas, [1.5, 2.5, 3.5])
    np.testing.assert_array_equal(ds.orientations, CENTRES / 10)
    assert ds.cortical.values.tolist() == [True, False, True]
    assert ds.cortical.dtype == bool
    assert ds.hemisphere.values.tolist() == ["R", "L", "L"]  # TVB flags the right one
    assert {"cortical", "hemisphere"} <= set(ds.coords)
    assert ds.attrs["source_file"] == "net.zip"


def test_a_tvb_archive_without_the_optional_files(tmp_path):
    less = dict.fromkeys(("tract_lengths", "areas", "average_orientations", "cortical", "hemispheres"))
    ds = xm.io.read_connectome(write_tvb(tmp_path / "net.zip", **less))
    check(ds)
    assert set(ds.data_vars) == {"weights", "centres"}


def test_units_stated_in_a_tvb_archive_are_converted(tmp_path):
    ds = xm.io.read_connectome(write_tvb(tmp_path / "net.zip", info='weights_unit = "au"\nlength_unit = "cm"\narea_unit = "mm^2"'))
    np.testing.assert_allclose(ds.distances, 10 * D, rtol=1e-15)
    with pytest.raises(ValueError, match=r"net.zip: it states the lengths in 'cm', and distances_unit='m'"):
        xm.io.read_connectome(tmp_path / "net.zip", distances_unit="m")


@pytest.mark.parametrize("version", ["4", "5"])
def test_matlab_pairs(tmp_path, version):
    scipy.io.savemat(tmp_path / "sc.mat", {"sc": W, "n": 3.0}, format=version)
    scipy.io.savemat(tmp_path / "len.mat", {"len": D}, format=version)
    ds = xm.io.read_connectome(tmp_path / "sc.mat", distances=tmp_path / "len.mat", labels=LABELS)
    check(ds, distances=D)
    unlabelled = xm.io.read_connectome(str(tmp_path / "sc.mat"))
    check(unlabelled, labels=None)
    assert not unlabelled.indexes


@pytest.mark.parametrize("compress", [False, True])
def test_matlab_files_with_several_matrices_need_a_name(tmp_path, compress):
    cells = np.empty(2, dtype=object)
    cells[:] = ["A", np.zeros(3)]
    scipy.io.savemat(tmp_path / "both.mat", {"sc": W, "len": D, "cells": cells, "s": {"x": 1.0}, "t": "text"}, do_compression=compress)
    with pytest.raises(
        ValueError, match=r"both.mat: it has 2 square matrices of real numbers, needs one, or variable= its name.*'len' \(3, 3\)"
    ):
        xm.io.read_connectome(tmp_path / "both.mat")
    check(xm.io.read_connectome(tmp_path / "both.mat", variable="sc"), labels=None)
    check(xm.io.read_connectome(tmp_path / "both.mat", distances_variable="len"), labels=None, distances=D)
    with pytest.raises(ValueError, match=r"it has no variable 'SC', needs variable= one of those it has: 'sc'"):
        xm.io.read_connectome(tmp_path / "both.mat", variable="SC")


def test_sparse_logical_and_integer_matrices_of_matlab(tmp_path):
    for name, values in (("sparse", scipy.sparse.csc_array(W)), ("logical", W > 0), ("integer", (4 * W).astype(np.int16))):
        scipy.io.savemat(tmp_path / f"{name}.mat", {"sc": values})
        expected = values.toarray() if name == "sparse" else values.astype(float)
        check(xm.io.read_connectome(tmp_path / f"{name}.mat"), labels=None, weights=expected)


def test_matlab_7_3_is_hdf5_with_its_axes_turned(tmp_path):
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["sc"] = W.T  # MATLAB stores columns first
        file["sc"].attrs["MATLAB_class"] = np.bytes_("double")
        file["names"] = np.zeros((3, 3))
        file["names"].attrs["MATLAB_class"] = np.bytes_("cell")
        file.create_group("#refs#")
    check(xm.io.read_connectome(tmp_path / "new.mat", labels=LABELS))
    with pytest.raises(ValueError, match=r"'names' holds of class cell, which is not read"):
        xm.io.read_connectome(tmp_path / "new.mat", variable="names")


@pytest.mark.parametrize("name", ["net.csv", "net.tsv", "net.txt"])
@pytest.mark.parametrize("form", ["bare", "header", "both", "corner", "R"])
def test_text_with_and_without_labels(tmp_path, name, form):
    cut = {".csv": ",", ".tsv": "\t", ".txt": " "}[name[3:]]
    body = rows(W, cut).splitlines()
    named = [f"{label}{cut}{line}" for label, line in zip(LABELS, body, strict=True)]
    head = cut.join(LABELS)
    lines = {"bare": body, "header": [head, *body], "both": [f"Node{cut}{head}", *named], "R": [head, *named]}
    lines["corner"] = lines["both"] if name == "net.txt" else [f"{cut}{head}", *named]  # white space cannot hold an empty corner
    (tmp_path / name).write_text("\n".join(lines[form]))
    ds = xm.io.read_connectome(tmp_path / name)
    check(ds, labels=None if form == "bare" else LABELS)
    given = xm.io.read_connectome(tmp_path / name, labels=["x", "y", "z"])
    check(given, labels=["x", "y", "z"])


def test_numbers_are_read_to_the_last_bit_in_all_usual_spellings(tmp_path):
    values = np.random.default_rng(0).lognormal(sigma=20, size=(5, 5))
    np.savetxt(tmp_path / "e.csv", values, delimiter=",", fmt="%.17e")
    check(xm.io.read_connectome(tmp_path / "e.csv"), labels=None, weights=values)
    (tmp_path / "odd.csv").write_text('"1.","+.5"\r\n1D2,-1E-1\r\n')
    check(xm.io.read_connectome(tmp_path / "odd.csv"), labels=None, weights=[[1, 0.5], [100, -0.1]])


def test_a_frame_of_pandas_without_names(tmp_path):
    pd.DataFrame(W).to_csv(tmp_path / "net.csv")
    check(xm.io.read_connectome(tmp_path / "net.csv"), labels=["0", "1", "2"])
    pd.DataFrame(W, index=LABELS, columns=LABELS).to_csv(tmp_path / "named.csv", float_format="%.17g")
    check(xm.io.read_connectome(tmp_path / "named.csv"))


def test_labels_of_columns_in_another_order_are_paired_by_name(tmp_path):
    (tmp_path / "net.csv").write_text(",B,A\nA,1,0\nB,0,2\n")
    ds = xm.io.read_connectome(tmp_path / "net.csv")
    assert float(ds.weights.sel(region="A", region_other="B")) == 1
    assert ds.region_other.values.tolist() == ["A", "B"]


def test_rows_that_send_are_transposed_with_their_labels(tmp_path):
    (tmp_path / "net.csv").write_text(",B,A\nA,1,0\nB,0,2\n")
    ds = xm.io.read_connectome(tmp_path / "net.csv", row="source")
    assert float(ds.weights.sel(region="B", region_other="A")) == 1
    both = write_tvb(tmp_path / "net.zip")
    check(xm.io.read_connectome(both, row="source"), weights=W.T, distances=D.T)
    assert xm.io.read_connectome(both, row="source").attrs["row_of_the_source"] == "source"


def test_orientation_is_that_of_a_network(tmp_path):
    # x = 1 in the sending region and 0 in the other: only the receiving region may feel it
    np.save(tmp_path / "w.npy", np.array([[0.0, 1.0], [0.0, 0.0]]))  # onto the first, from the second
    connectome = xm.io.read_connectome(tmp_path / "w.npy", labels=["to", "from"])
    net = xm.Network(xm.LinearStep(), connectome, coupling=xm.AdditiveCoupling(source="x", target="x", k=1.0))
    start = {"x": xr.DataArray([0.0, 1.0], dims="region", coords={"region": ["to", "from"]})}
    x = xm.Simulator(net, dt=0.01).run(0.1, monitors=["x"], initial=start).x.isel(time=-1)
    assert float(x.sel(region="to")) > 0
    alone = xm.Simulator(xm.LinearStep(), dt=0.01).run(0.1, monitors=["x"], initial={"x": 1.0}).x.isel(time=-1)
    np.testing.assert_allclose(float(x.sel(region="from")), float(alone.squeeze()), rtol=1e-5)  # float32


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i8", "|b1"])
def test_numpy_files(tmp_path, order, dtype):
    values = np.array(np.round(W), dtype=dtype, order=order)
    np.save(tmp_path / "w.npy", values)
    check(xm.io.read_connectome(tmp_path / "w.npy", labels=LABELS), weights=values.astype(float))
    np.savez_compressed(tmp_path / "w.npz", sc=values, lengths=np.array(D, order=order), names=np.array(LABELS))
    ds = xm.io.read_connectome(tmp_path / "w.npz", variable="sc", distances_variable="lengths", labels=LABELS)
    check(ds, weights=values.astype(float), distances=D)


def test_arrays_in_memory_are_copied_and_masked_ones_have_holes():
    values = W.copy()
    ds = xm.io.read_connectome(values, distances=D, labels=LABELS)
    values[:] = 0
    check(ds, distances=D)
    masked = np.ma.masked_array(W, mask=W == 4)
    with pytest.raises(ValueError, match=r"the array: weights is NaN or infinite at \(region=B, region_other=C\)"):
        xm.io.read_connectome(masked, labels=LABELS)
    check(xm.io.read_connectome(masked, labels=LABELS, missing="zero"), weights=np.where(W == 4, 0, W))


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_labelled_files_say_their_orientation(tmp_path, ending):
    ds = xm.datasets.make_cohort(n_subjects=2, n_regions=16)
    ds = ds.assign(bold=(("time", "region"), np.zeros((4, 16))), distances=(ds.distances / 10).assign_attrs(units="cm"))
    path = tmp_path / f"cohort.{ending}"
    if ending == "nc":
        ds.to_netcdf(path, engine="h5netcdf")
    else:
        xm.io.save(ds, path)
    got = xm.io.read_connectome(path)
    np.testing.assert_allclose(got.distances, 10 * ds.distances.values, rtol=1e-15)  # cm to mm
    attrs = {k: list(v) if isinstance(v, tuple) else v for k, v in ds.attrs.items()} if ending == "zarr" else ds.attrs  # JSON
    xr.testing.assert_identical(got.drop_vars("distances"), ds.drop_vars(["bold", "distances"]).drop_attrs(deep=False).assign_attrs(attrs))
    with pytest.raises(ValueError, match=r"say the orientation"):
        xm.io.read_connectome(path, row="source")
    with pytest.raises(ValueError, match=r"it has labels of its own"):
        xm.io.read_connectome(path, labels=LABELS)
    with pytest.raises(ValueError, match=r"has the variables .* needs 'sc' and 'distances'"):
        xm.io.read_connectome(path, variable="sc")


def test_bids_matrices(tmp_path):
    stem = "sub-01_task-rest_seg-Two_stat-pearson_relmat"
    (tmp_path / f"{stem}.tsv").write_text("Node\tA\tB\nA\t1\tn/a\nB\t0.5\t1\n")
    (tmp_path / f"{stem}.json").write_text(json.dumps({"RelationshipMeasure": "Pearson", "Directed": False}))
    with pytest.raises(ValueError, match=r"relmat.tsv: weights is NaN"):
        xm.io.read_connectome(tmp_path / f"{stem}.tsv")
    ds = xm.io.read_connectome(tmp_path / f"{stem}.tsv", missing="zero")
    check(ds, labels=["A", "B"], weights=[[1, 0], [0.5, 1]])
    assert ds.attrs["bids_RelationshipMeasure"] == "Pearson"


def test_labels_from_a_file_in_a_row_or_a_column(tmp_path):
    np.save(tmp_path / "w.npy", W)
    for name, text in (("row.csv", "A,B,C\n"), ("column.csv", "A\nB\nC\n"), ("lines.txt", "A\nB\n\nC"), ("tabs.tsv", "A\tB\tC")):
        (tmp_path / name).write_text(text)
        check(xm.io.read_connectome(tmp_path / "w.npy", labels=tmp_path / name))
    (tmp_path / "spaces.txt").write_text("left A\nB\nC\n")
    check(xm.io.read_connectome(tmp_path / "w.npy", labels=str(tmp_path / "spaces.txt")), labels=["left A", "B", "C"])
    (tmp_path / "table.csv").write_text("1,A\n2,B\n3,C\n")
    with pytest.raises(ValueError, match=r"table.csv: it has 3 rows of up to 2 cells, needs labels in one row or in one column"):
        xm.io.read_connectome(tmp_path / "w.npy", labels=tmp_path / "table.csv")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["A", "B"]}, "w.npy: there are 2 labels and 3 regions, needs one for each"),
        ({"labels": ["A", "B", "A"]}, r"w.npy: the labels \['A'\] are there more than once"),
        ({"labels": ["A", "B", " A "]}, r"\['A'\] are there more than once"),
        ({"labels": ["A", "", "B"]}, r"the labels at \[1\] \(from 0\) are empty"),
        ({"labels": ["A", "B\x1b[2J", "C"]}, "cannot be printed"),
        ({"row": "columns"}, "row='columns', needs one of 'target', 'source'"),
        ({"missing": "drop"}, "missing='drop', needs one of"),
        ({"distances_unit": "mm"}, "there are no lengths for distances_unit='mm'"),
        ({"distances": D, "distances_unit": "s"}, "w.npy: distances"),
        ({"distances": -D}, "w.npy: distances is negative"),
        ({"distances": D[:2, :2]}, r"the lengths have shape \(2, 2\)"),
        ({"distances": D + 1j}, "it holds complex128, needs real numbers"),
    ],
)
def test_what_contradicts_the_file_is_an_error(tmp_path, options, said):
    np.save(tmp_path / "w.npy", W)
    with pytest.raises(ValueError, match=said):
        xm.io.read_connectome(tmp_path / "w.npy", **options)


def test_labels_given_in_another_order_than_those_of_the_file_are_an_error(tmp_path):
    (tmp_path / "net.csv").write_text("A,B,C\n" + rows(W))
    with pytest.raises(
        ValueError, match=r"net.csv: labels= has the labels of the file in another order \(at 1 \(from 0\) \['B'\] and \['C'\]\)"
    ):
        xm.io.read_connectome(tmp_path / "net.csv", labels=["A", "C", "B"])
    (tmp_path / "len.csv").write_text("A,C,B\n" + rows(D))
    with pytest.raises(ValueError, match=r"len.csv: its labels differ from those in net.csv"):
        xm.io.read_connectome(tmp_path / "net.csv", distances=tmp_path / "len.csv")


def test_lengths_have_a_unit(tmp_path):
    ds = xm.io.read_connectome(W, distances=D / 1000, distances_unit="m")
    np.testing.assert_allclose(ds.distances, D, rtol=1e-14)


def test_missing_files_and_strange_sources(tmp_path):
    (tmp_path / "other.csv").touch()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*net.csv'; its folder has \['other.csv'\]"):
        xm.io.read_connectome(tmp_path / "net.csv")
    with pytest.raises(TypeError, match=r"source is a list, needs a path or a numpy array"):
        xm.io.read_connectome([[0, 1], [1, 0]])
    (tmp_path / "net.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"net.xlsx: its ending is '.xlsx', needs one of .zip"):
        xm.io.read_connectome(tmp_path / "net.xlsx")
    with pytest.raises(ValueError, match=r"NUL character"):
        xm.io.read_connectome("net\0.csv")
