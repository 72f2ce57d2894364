"""Files that are damaged, mislabelled or made to harm: each gives a ValueError that names it, runs nothing and writes nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import struct
import threading
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

import xmass as xm
from tests.io.conftest import MARK, READERS, snapshot
from tests.io.test_connectome import LABELS, W, write_tvb


class Payload:
    """Unpickled, it makes a file in the folder of the test."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return (os.mkdir, (os.path.join(self.folder, MARK),))


def test_the_payload_would_run(tmp_path):
    pickle.loads(pickle.dumps(Payload(str(tmp_path))))
    assert (tmp_path / MARK).is_dir()


def test_the_check_sees_a_reader_that_unpickles(tmp_path, refused, monkeypatch):
    np.save(tmp_path / "evil.npy", np.array([[Payload(str(tmp_path))]], dtype=object))

    def careless(path, **options):
        np.load(path, allow_pickle=True)
        raise ValueError("evil.npy: too late, needs care")

    monkeypatch.setitem(READERS, "connectome", careless)
    with pytest.raises(AssertionError):
        refused(tmp_path / "evil.npy", readers=("connectome",))


# ------------------------------------------------------------------------------------------------------------------------ pickles
def test_pickles_in_numpy_files_are_never_loaded(tmp_path, refused):
    evil = np.array([[Payload(str(tmp_path)), 1], [2, 3]], dtype=object)
    np.save(tmp_path / "evil.npy", evil)
    np.savez(tmp_path / "evil.npz", evil=evil)
    np.savez(tmp_path / "named.npz", evil=evil, good=W)
    for name in ("evil.npy", "evil.npz"):
        refused(tmp_path / name, r"0 .*matrices.*Python objects, which are never unpickled")
    refused(tmp_path / "named.npz", "'evil' holds Python objects, which are never unpickled", variable="evil")
    np.testing.assert_array_equal(xm.io.read_connectome(tmp_path / "named.npz").weights, W)  # the other array is not touched
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("ending", ["npy", "npz", "mat", "csv", "tsv", "txt", "nc", "zip"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_with_another_name_is_not_loaded(tmp_path, refused, ending, protocol):
    (tmp_path / f"evil.{ending}").write_bytes(pickle.dumps(Payload(str(tmp_path)), protocol=protocol))
    readers = ("connectome",) if ending == "zip" else tuple(READERS)
    refused(tmp_path / f"evil.{ending}", readers=readers)


def test_a_pickle_inside_an_archive_is_not_loaded(tmp_path, refused):
    for name in ("evil.npz", "evil.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("weights.npy" if name.endswith("npz") else "weights.txt", pickle.dumps(Payload(str(tmp_path))))
            archive.writestr("centres.txt", "A 0 0 0\nB 1 1 1\n")
    refused(tmp_path / "evil.npz", "'weights' is a pickle, or not what its name says, needs an array")
    refused(tmp_path / "evil.zip", "evil.zip", readers=("connectome",))


@pytest.mark.parametrize("form", [2, 3])
def test_a_codec_of_zarr_that_unpickles_is_refused_before_anything_is_read(tmp_path, refused, form):
    store = tmp_path / "evil.zarr"
    if form == 2:
        array = store / "weights"
        array.mkdir(parents=True)
        (store / ".zgroup").write_text('{"zarr_format": 2}')
        meta = {"zarr_format": 2, "shape": [2, 2], "chunks": [2, 2], "dtype": "|O", "order": "C", "fill_value": 0, "compressor": None}
        (array / ".zarray").write_text(json.dumps(meta | {"filters": [{"id": "pickle", "protocol": 5}]}))
        (array / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["region", "region_other"]}')
        (array / "0.0").write_bytes(pickle.dumps(Payload(str(tmp_path))))
    else:
        xm.io.save(xm.datasets.load_dataset("example_connectome"), store)
        path = store / "weights" / "zarr.json"
        meta = json.loads(path.read_text())
        meta["codecs"].insert(0, {"name": "numcodecs.pickle", "configuration": {}})
        path.write_text(json.dumps(meta))
    refused(store, r"asks for the codecs \['(numcodecs\.)?pickle'\], needs ones that only transform")
    with pytest.raises(ValueError, match="codecs"):
        xm.io.open(store)
    assert not (tmp_path / MARK).exists()


# -------------------------------------------------------------------------------------------------------------------- zip archives
def archive(path, entries, *, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of repeated names
        with zipfile.ZipFile(path, "w", method) as opened:
            for entry, data in entries:
                opened.writestr(entry, data)
    return path


@pytest.mark.parametrize(
    "name", ["../escaped.txt", "/escaped.txt", "a/../../escaped.txt", "..\\escaped.txt", "C:\\escaped.txt", "\\\\host\\x.txt"]
)
@pytest.mark.parametrize("ending", ["zip", "npz"])
def test_archives_whose_entries_leave_their_folder_are_refused(tmp_path, refused, name, ending):
    write_tvb(tmp_path / f"evil.{ending}")
    with zipfile.ZipFile(tmp_path / f"evil.{ending}", "a") as opened:
        opened.writestr(zipfile.ZipInfo(name), "escaped")
    refused(tmp_path / f"evil.{ending}", "would leave the folder of the archive", readers=("connectome",))
    assert not Path("/escaped.txt").exists()


def test_archives_with_links_repeated_names_or_too_many_entries_are_refused(tmp_path, refused):
    link = zipfile.ZipInfo("weights.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(archive(tmp_path / "link.zip", [(link, "/etc/passwd")]), "'weights.txt' is a link", readers=("connectome",))
    twice = archive(tmp_path / "twice.zip", [("weights.txt", "0"), ("weights.txt", "1")])
    refused(twice, "'weights.txt' is there twice", readers=("connectome",))
    both = write_tvb(tmp_path / "both.zip")
    with zipfile.ZipFile(both, "a") as opened:
        opened.writestr("other/weights.txt", "0")
    refused(both, "it has weights twice", readers=("connectome",))
    many = archive(tmp_path / "many.zip", [(f"{i}.txt", "") for i in range(1001)])
    refused(many, "it has 1001 entries, needs at most 1000", readers=("connectome",))
    refused(archive(tmp_path / "empty.zip", []), "without files", readers=("connectome",))
    locked = write_tvb(tmp_path / "locked.zip")
    data = bytearray(locked.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption in the directory
    locked.write_bytes(data)
    refused(locked, "is encrypted", readers=("connectome",))
    lzma = archive(tmp_path / "lzma.zip", [("weights.txt", "0")], method=zipfile.ZIP_LZMA)
    refused(lzma, "compression type 14, needs deflate or none", readers=("connectome",))


@pytest.mark.parametrize("ending", ["zip", "npz"])
def test_a_bomb_is_refused_by_what_it_says_it_is(tmp_path, refused, ending):
    zeros = b"0" * 50_000_000
    path = archive(tmp_path / f"bomb.{ending}", [("weights.txt", zeros)])
    assert path.stat().st_size < 60_000
    tracemalloc.start()
    refused(
        path,
        r"its decompressed content has 50,000,000 bytes, needs at most 1,000,000.*max_bytes=50000000",
        max_bytes=1_000_000,
        readers=("connectome",),
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path, refused):
    path = archive(tmp_path / "liar.zip", [("weights.txt", b"0" * 50_000_000)])
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + offset
        data[at : at + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    tracemalloc.start()
    refused(path, "liar.zip: it cannot be read as a zip archive", max_bytes=1_000_000, readers=("connectome",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_entries_that_overlap_are_refused(tmp_path, refused):
    # Many directory entries for one stretch of data: how an archive of 10 MB becomes 281 TB.
    path = archive(tmp_path / "overlap.zip", [("a.txt", os.urandom(2000)), ("b.txt", os.urandom(2000))], method=zipfile.ZIP_STORED)
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[start : data.index(b"PK\x01\x02", start + 4)]
    directory = b"".join(entry.replace(b"a.txt", name.encode()) for name in ("a.txt", "c.txt", "d.txt", "e.txt", "f.txt"))
    tail = bytearray(data[end:])
    tail[8:16] = struct.pack("<HHI", 5, 5, len(directory))
    path.write_bytes(data[:start] + directory + bytes(tail))
    refused(path, "overlap.zip: (its entries overlap|it cannot be read as a zip archive)", readers=("connectome",))


def test_a_bomb_inside_a_packed_entry_is_refused(tmp_path, refused):
    import bz2

    path = write_tvb(tmp_path / "bomb.zip", weights=None)
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr("weights.txt.bz2", bz2.compress(b"0" * 50_000_000))
    refused(path, "its entry 'weights.txt.bz2' has 1,000,001 bytes", max_bytes=1_000_000, readers=("connectome",))


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({"weights": None}, "it has no weights.txt, needs the files of a TVB connectivity"),
        ({"centres": None}, "it has no centres.txt"),
        ({"weights": "0 1\n1 0\n"}, r"its weights.txt has shape \(2, 2\), needs \(3, 3\): there are 3 regions"),
        ({"tract_lengths": "1\n2\n3\n"}, r"its tract_lengths.txt has shape \(3, 1\)"),
        ({"weights": "0 1 2\n1 0 2\n1 nan 0\n"}, "its weights.txt has values that are NaN"),
        ({"areas": "1\n2\n"}, r"its areas.txt has shape \(2, 1\)"),
        ({"cortical": "1\n2\n0\n"}, "its cortical.txt has other values than 0 and 1"),
        ({"centres": "A 1 2 3\nB 1 2\nC 1 2 3\n"}, "line 2 of its centres.txt is 'B 1 2', needs a label and three coordinates"),
        ({"centres": "A 1 2 3\nA 1 2 4\nC 1 2 3\n"}, r"the labels \['A'\] are there more than once"),
        ({"tract_lengths": "0 1 2\n-1 0 2\n1 1 0\n"}, "distances is negative"),
        ({"weights": ""}, "it is empty"),
        ({"weights": "0 1 2\n1 0 2\n1 0\n"}, "line 3 has 2 values and the first line 3"),
        ({"weights": "0 1 __import__('os') \n1 0 2\n1 0 0\n"}, "is no number"),
    ],
)
def test_tvb_archives_that_are_wrong_inside(tmp_path, refused, replaced, said):
    refused(write_tvb(tmp_path / "net.zip", **replaced), said, readers=("connectome",))


# -------------------------------------------------------------------------------------------------------------------------- numpy
def npy(header, data=b"", version=(1, 0)):
    text = header.encode("latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}\n"), "has 0 bytes of data, needs a whole array"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}\n", bytes(8)), "should have shape"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2)}\n", bytes(31)), "should have shape"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2)}\n", bytes(33)), "should have shape"),
        (npy("{'descr': '<f8', 'shape': (2, 2)}\n", bytes(32)), "cannot be read as a numpy array"),
        (npy("__import__('os').mkdir('the_pickle_ran')\n", bytes(32)), "cannot be read as a numpy array"),
        (npy("(" * 9000 + "\n"), "cannot be read as a numpy array"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2)}" + " " * 60_000, bytes(32)), "cannot be read as a numpy array"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}\n", b"cos\nmkdir\n(S'the_pickle_ran'\ntR."), "Python objects"),
        (npy("{'descr': [('x', '|O')], 'fortran_order': False, 'shape': (2, 2)}\n", bytes(32)), "Python objects"),
        (npy("{'descr': '<c16', 'fortran_order': False, 'shape': (2, 2)}\n", bytes(64)), r"0 .*matrices.*of complex128"),
        (npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (2, 2)}\n", bytes(32)), "of datetime64"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2)}\n", bytes(32), (3, 0)), "version"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()}\n", bytes(8)), "matrices"),
        (b"\x93NUMPY", "cannot be read as a numpy array"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "cannot be read as a numpy array"),
    ],
)
def test_numpy_files_that_are_no_matrix(tmp_path, refused, content, said):
    (tmp_path / "w.npy").write_bytes(content)
    refused(tmp_path / "w.npy", said)
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as opened:
        opened.writestr("w.npy", content)
    refused(tmp_path / "w.npz", said)


# ------------------------------------------------------------------------------------------------------------------------- MATLAB
def matrix_element(kind, name, body=b""):
    """An element of version 5: array flags, dimensions 2 x 2, name and what follows."""
    flags = struct.pack("<IIII", 6, 8, kind, 0)
    dims = struct.pack("<IIii", 5, 8, 2, 2)
    padded = name + bytes(-len(name) % 8)
    inner = flags + dims + struct.pack("<II", 1, len(name)) + padded + body
    return struct.pack("<II", 14, len(inner)) + inner


def mat5(*elements):
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(elements)


def numbers(values):
    data = np.asarray(values, dtype="<f8").tobytes(order="F")
    return struct.pack("<II", 9, len(data)) + data


def test_the_elements_made_here_are_read_when_they_are_whole(tmp_path):
    (tmp_path / "w.mat").write_bytes(mat5(matrix_element(6, b"sc", numbers([[0, 1], [2, 0]]))))
    np.testing.assert_array_equal(xm.io.read_connectome(tmp_path / "w.mat").weights, [[0, 1], [2, 0]])


def test_cells_structs_text_and_complex_numbers_are_not_read(tmp_path, refused):
    cells = np.empty((2, 2), dtype=object)
    cells[:] = [["A", 1.0], [np.zeros(3), "B"]]
    found = {"cells": cells, "struct": {"weights": W}, "text": np.array(["ab", "cd"]), "complex": W + 1j}
    scipy.io.savemat(tmp_path / "w.mat", found)
    for name, said in (("cells", "of class cell, which is not read"), ("struct", "of class struct"), ("text", "of class char")):
        refused(tmp_path / "w.mat", f"'{name}' holds {said}", variable=name)
    refused(tmp_path / "w.mat", "'complex' holds complex double, which is not read, needs a", variable="complex")
    del found["complex"]
    scipy.io.savemat(tmp_path / "w.mat", found)
    refused(tmp_path / "w.mat", r"0 .*matrices of real numbers.*'struct' \(1, 1\) of class struct")


@pytest.mark.parametrize(("kind", "said"), [(16, "function"), (17, "opaque|cannot be read|object"), (3, "object"), (99, "w.mat")])
def test_function_handles_and_objects_of_matlab_are_not_read(tmp_path, refused, kind, said):
    body = matrix_element(4, b"", struct.pack("<II", 4, 0)) if kind == 16 else struct.pack("<II", 1, 8) + b"evilclas"
    (tmp_path / "w.mat").write_bytes(mat5(matrix_element(kind, b"handle", body)))
    refused(tmp_path / "w.mat", said)
    refused(tmp_path / "w.mat", "w.mat", variable="handle")


def test_a_matlab_bomb_is_refused_before_it_is_in_memory(tmp_path, refused):
    whole = matrix_element(6, b"sc", numbers([[0, 1], [2, 0]])) + bytes(50_000_000)
    packed = zlib.compress(whole, 9)
    (tmp_path / "bomb.mat").write_bytes(mat5(struct.pack("<II", 15, len(packed)) + packed))
    assert (tmp_path / "bomb.mat").stat().st_size < 60_000
    tracemalloc.start()
    refused(tmp_path / "bomb.mat", "its decompressed content has [0-9,]+ bytes, needs at most 1,000,000", max_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


def test_matlab_shapes_that_are_larger_than_their_file(tmp_path, refused):
    element = bytearray(matrix_element(6, b"sc", numbers([[0, 1], [2, 0]])))
    at = element.index(struct.pack("<IIii", 5, 8, 2, 2)) + 8
    element[at : at + 8] = struct.pack("<ii", 60_000, 60_000)
    (tmp_path / "w.mat").write_bytes(mat5(bytes(element)))
    refused(tmp_path / "w.mat", r"'sc' should have shape .60000, 60000. and has 4 numbers")
    element[at : at + 8] = struct.pack("<ii", 100, 100)
    (tmp_path / "w.mat").write_bytes(mat5(bytes(element)))
    refused(tmp_path / "w.mat", r"should have shape .100, 100. and has 4 numbers")
    element[at : at + 8] = struct.pack("<ii", -2, -2)
    (tmp_path / "w.mat").write_bytes(mat5(bytes(element)))
    refused(tmp_path / "w.mat", "w.mat")


# --------------------------------------------------------------------------------------------------------------------------- HDF5
@pytest.mark.parametrize("ending", ["nc", "mat"])
def test_hdf5_that_points_to_other_files_is_not_followed(tmp_path, refused, ending):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(W.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = W
    makers = {
        "link": lambda f: f.__setitem__("weights", h5py.ExternalLink("other.h5", "weights")),
        "soft": lambda f: f.__setitem__("weights", h5py.SoftLink("/somewhere")),
        "external": lambda f: f.create_dataset("weights", (3, 3), "f8", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]),
        "virtual": lambda f: f.create_virtual_dataset("weights", layout()),
    }

    def layout():
        found = h5py.VirtualLayout(shape=(3, 3), dtype="f8")
        found[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "weights", shape=(3, 3))
        return found

    for name, make in makers.items():
        path = tmp_path / f"{name}.{ending}"
        with h5py.File(path, "w") as file:
            make(file)
        refused(path, r"is a link to something else|keeps its data in another file")


def test_hdf5_that_is_larger_than_allowed(tmp_path, refused):
    with h5py.File(tmp_path / "w.nc", "w") as file:
        file.create_dataset("weights", (100_000, 100_000), "f8", chunks=(100, 100))  # nothing is stored of it
    refused(tmp_path / "w.nc", "its content has 80,000,000,000 bytes, needs at most 1,073,741,824")
    (tmp_path / "w.nc").rename(tmp_path / "w.mat")
    refused(tmp_path / "w.mat", "'weights' has 80,000,000,000 bytes")


# --------------------------------------------------------------------------------------------------------------------------- text
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\n \n\t\n", "it is empty"),
        (b"\xef\xbb\xbf", "it is empty"),
        ("A,B\n0,1\n1,0\n".encode("utf-16"), "it is UTF-16 or UTF-32, needs UTF-8"),
        ("A,B\n0,1\n1,0\n".encode("utf-16-le"), "it holds NUL bytes"),
        ("Präzentral,B\n0,1\n1,0\n".encode("latin-1"), "it is not UTF-8 .byte 2 is 0xe4., needs UTF-8"),
        (b"A,B\n0,1\n1,0\0\n", "it holds NUL bytes"),
        (b"PK\x03\x04\0\0", "it holds NUL bytes, a zip archive"),
        (b'"0,5","1,5"\n"2,5","3,5"\n', "line 1, column 1: '0,5' has a decimal comma, needs a decimal point.*pandas.read_csv"),
        (b"0;1\n1;0\n", "semicolons, needs commas in .csv"),
        (b"0,5;1,5\n2,5;3,5\n", "semicolons"),
        (b"A;B\n0,5;1,5\n2,5;3,5\n", "semicolons"),
        (b"A,B\n", "it has labels and no numbers"),
        (b"A,B\n0,1\n1\n", "line 3 has 1 values and the first line 2"),
        (b"0,1\n1,0,2\n", "line 2 has 3 values and the first line 2"),
        (b"A,B\n0,1_000\n1,0\n", "line 2, column 2: '1_000' is no number"),
        (b"A,B\n0,0x10\n1,0\n", "'0x10' is no number"),
        (b"A,B\n0,1+2j\n1,0\n", "is no number"),
        (b"A,B\n0,1\n\xd9\xa1,0\n", "is no number"),  # an Arabic digit, which float() takes
        (b"A,B\n0,__import__('os').mkdir('the_pickle_ran')\n1,0\n", "is no number"),
        (b"A,B\n0,=1+1\n1,0\n", "is no number"),
        (b'A,B\n0,"1\n1,0\n', "needs quotes in pairs"),
        (b"A,A\n0,1\n1,0\n", r"the labels \['A'\] are there more than once"),
        (b"A,\n0,1\n1,0\n", r"the labels at \[1\] \(from 0\) are empty"),
        (b"A,B\x07\n0,1\n1,0\n", "cannot be printed"),
        (b"A,B\n0,nan\n1,0\n", "NaN"),
        (b"A,B\n0,inf\n1,0\n", "infinite"),
        (b"A,B\n0,1e999\n1,0\n", "infinite"),
    ],
)
def test_text_that_is_no_matrix(tmp_path, refused, content, said):
    (tmp_path / "w.csv").write_bytes(content)
    refused(tmp_path / "w.csv", said, readers=("connectome",))
    with pytest.raises(ValueError, match=r"^w.csv: "):
        xm.io.read_recording(tmp_path / "w.csv", tr=1)


def test_decimal_commas_between_commas_look_like_twice_the_columns(tmp_path, refused):
    (tmp_path / "w.csv").write_text("0,5,1,5\n2,5,3,5\n")
    refused(tmp_path / "w.csv", r"shape \(2, 4\), needs a square matrix.*Decimal commas give twice the columns", readers=("connectome",))


def test_what_the_messages_advise_works(tmp_path):
    import pandas as pd

    (tmp_path / "w.csv").write_text("A;B\n0,5;1,5\n2,5;3,5\n")
    frame = pd.read_csv(tmp_path / "w.csv", sep=";", decimal=",")
    ds = xm.io.read_connectome(frame.to_numpy(), labels=list(frame.columns))
    np.testing.assert_array_equal(ds.weights, [[0.5, 1.5], [2.5, 3.5]])


def test_a_byte_order_mark_of_utf_8_is_no_part_of_a_label(tmp_path):
    (tmp_path / "w.csv").write_bytes(b"\xef\xbb\xbfA,B\r\n0,1\r\n2,0\r\n")
    assert xm.io.read_connectome(tmp_path / "w.csv").region.values.tolist() == ["A", "B"]
    (tmp_path / "w.csv").write_text("Präzentral,前头\n0,1\n2,0\n", encoding="utf-8")
    assert xm.io.read_connectome(tmp_path / "w.csv").region.values.tolist() == ["Präzentral", "前头"]


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.zeros((1, 1)), np.zeros(4), np.zeros((2, 2, 2)), np.zeros((0, 0))])
def test_shapes_that_are_no_connectome(tmp_path, refused, values):
    np.save(tmp_path / "w.npy", values)
    refused(tmp_path / "w.npy", "0 square matrices of real numbers, needs one", readers=("connectome",))
    if values.ndim == 2 and values.shape != (1, 1):
        np.savetxt(tmp_path / "w.csv", values, delimiter=",")
        refused(tmp_path / "w.csv", "needs a square matrix|it is empty", readers=("connectome",))


# ------------------------------------------------------------------------------------------------------------------ kinds of files
def test_a_pipe_is_not_waited_for(tmp_path, refused):
    os.mkfifo(tmp_path / "w.csv")
    done = threading.Thread(target=lambda: refused(tmp_path / "w.csv", "a device, a pipe or a socket"), daemon=True)
    done.start()
    done.join(20)
    assert not done.is_alive()


def test_folders_and_files_of_another_kind(tmp_path, refused):
    (tmp_path / "folder.zarr").mkdir()
    refused(tmp_path / "folder.zarr", "a folder without zarr.json")
    np.save(tmp_path / "w.npy", W)
    for ending, said in (
        ("npz", "zip archive"),
        ("zip", "zip archive"),
        ("mat", "MATLAB"),
        ("nc", "it is a numpy array, needs netCDF4"),
        ("csv", "w.csv"),
    ):
        path = tmp_path / f"w.{ending}"
        path.write_bytes((tmp_path / "w.npy").read_bytes())
        refused(path, said, readers=("connectome",))
    (tmp_path / "w3.nc").write_bytes(b"CDF\x01" + bytes(100))
    refused(tmp_path / "w3.nc", "it is a netCDF3 file, needs netCDF4")


def test_nothing_larger_than_allowed_is_read(tmp_path, refused):
    for ending in ("npy", "csv", "mat", "zip", "npz"):
        path = tmp_path / f"w.{ending}"
        with path.open("wb") as file:
            file.truncate(3_000_000_000)  # sparse: takes no room
        refused(path, "has 3,000,000,000 bytes, needs at most 1,073,741,824.*max_bytes=3000000000", readers=("connectome",))


def whole_files(folder):
    """One good file of each kind."""
    write_tvb(folder / "w.zip")
    np.save(folder / "w.npy", W)
    np.savez_compressed(folder / "w.npz", sc=W)
    scipy.io.savemat(folder / "w.mat", {"sc": W})
    scipy.io.savemat(folder / "packed.mat", {"sc": W}, do_compression=True)
    scipy.io.savemat(folder / "old.mat", {"sc": W}, format="4")
    with h5py.File(folder / "new.mat", "w") as file:
        file["sc"] = W
    labels = {"region": LABELS, "region_other": LABELS}
    xr.Dataset({"weights": (("region", "region_other"), W)}, coords=labels).to_netcdf(folder / "w.nc", engine="h5netcdf")
    return sorted(folder.glob("*.*"))


def test_files_that_end_too_early_are_refused(tmp_path, refused):
    made = tmp_path / "whole"
    made.mkdir()
    for whole in whole_files(made):
        data = whole.read_bytes()
        for share in (0, 0.02, 0.3, 0.6, 0.9, 0.99):
            path = tmp_path / whole.name
            path.write_bytes(data[: int(share * len(data))])
            refused(path, readers=("connectome",))


def test_damaged_files_give_a_value_error_or_other_numbers_but_nothing_else(tmp_path):
    # Flipped bytes may be inside a number, which no format but zip notices; whatever happens, it is a Dataset or a ValueError.
    rng = np.random.default_rng(1)
    made = tmp_path / "whole"
    made.mkdir()
    for whole in whole_files(made):
        data = np.frombuffer(whole.read_bytes(), dtype=np.uint8)
        path = tmp_path / whole.name
        for _ in range(60):
            changed = data.copy()
            places = rng.integers(0, len(data), rng.integers(1, 6))
            changed[places] = rng.integers(0, 256, len(places))
            path.write_bytes(changed.tobytes())
            before = snapshot(tmp_path)
            said, ds = "", None
            try:
                ds = xm.io.read_connectome(path, max_bytes=1_000_000)
            except ValueError as error:
                said = str(error)
            assert ds is not None or said.startswith(f"{path.name}: ")
            assert ds is None or np.isfinite(ds.weights).all()
            assert snapshot(tmp_path) == before


def test_labels_and_json_are_guarded_too(tmp_path):
    np.save(tmp_path / "w.npy", W)
    (tmp_path / "labels.csv").write_bytes(pickle.dumps(Payload(str(tmp_path))))
    with pytest.raises(ValueError, match=r"^labels.csv: "):
        xm.io.read_connectome(tmp_path / "w.npy", labels=tmp_path / "labels.csv")
    (tmp_path / "labels.bin").write_bytes(b"A,B,C")
    with pytest.raises(ValueError, match=r"^labels.bin: labels are in a file '.bin', needs one of .csv"):
        xm.io.read_connectome(tmp_path / "w.npy", labels=tmp_path / "labels.bin")
    assert not (tmp_path / MARK).exists()


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "w.csv"
    path.write_text("0,1\n1,0\n")
    monkeypatch.setattr(Path, "open", lambda self, mode="r": io.BytesIO(b"0" * 2000))
    with pytest.raises(ValueError, match=r"w.csv: it had 8 bytes and then 9 or more, needs to stay as it is"):
        xm.io.read_connectome(path, max_bytes=1000)


def test_text_whose_cells_would_not_fit_is_refused_before_they_are_made(tmp_path, refused):
    (tmp_path / "w.csv").write_text("0,1\n" * 50_000)
    refused(
        tmp_path / "w.csv", "its table, in memory, has 2,000,000 bytes, needs at most 1,000,000.*max_bytes=2000000", max_bytes=1_000_000
    )
    path = write_tvb(tmp_path / "w.zip", areas="1\n" * 100_000)
    refused(path, "its table, in memory, has 2,000,000 bytes", max_bytes=1_000_000, readers=("connectome",))


def test_a_store_that_claims_to_be_huge_is_refused_before_its_coordinates_are_read(tmp_path, refused):
    store = xm.io.save(xm.datasets.load_dataset("example_connectome"), tmp_path / "huge.zarr")
    for name in ("weights", "region"):
        path = store / name / "zarr.json"
        meta = json.loads(path.read_text())
        meta["shape"] = [10_000_000_000] * len(meta["shape"])
        path.write_text(json.dumps(meta))
        refused(store, "huge.zarr: its content has [0-9,]+ bytes, needs at most 1,073,741,824")
