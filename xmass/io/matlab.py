"""Matrices from MATLAB files: version 4 to 7 through SciPy, version 7.3, which is HDF5, through h5py."""

from __future__ import annotations

import math
import warnings
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xmass.io.guard import BROKEN, Entry, broken, content, fault, too_large

NUMBERS = {
    "double": 8, "single": 4, "logical": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2,
    "int32": 4, "uint32": 4, "int64": 8, "uint64": 8, "sparse": 8,
}  # fmt: skip
HEADER = 128
COMPRESSED, MATRIX = 15, 14
SIGNATURE = b"\x89HDF\r\n\x1a\n"
VERSION_7_3_OFFSET = 512


def mat_entries(file: Path, max_bytes: int) -> list[Entry]:
    """Name, shape and class of each variable of a MATLAB file; each is read when it is chosen, and nothing but numbers is."""
    data = content(file, max_bytes)
    if data.startswith(SIGNATURE) or data[VERSION_7_3_OFFSET : VERSION_7_3_OFFSET + len(SIGNATURE)] == SIGNATURE:
        return _version_7_3(file, max_bytes)
    _check_elements(file, data, max_bytes)
    import io

    import scipy.io

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "Duplicate variable name" and "Unreadable variable" are faults of the file
            listed = scipy.io.whosmat(io.BytesIO(data))
    except (*BROKEN, Warning, scipy.io.matlab.MatReadError) as error:
        raise broken(file, "a MATLAB file", error) from error

    def loader(name: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
        size = math.prod(shape) * 8
        if any(n < 0 for n in shape) or size > max_bytes:
            raise too_large(file, repr(name), size, max_bytes)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                value = scipy.io.loadmat(io.BytesIO(data), variable_names=[name], spmatrix=False)[name]
            value = value.toarray() if kind == "sparse" else value
        except (*BROKEN, Warning, scipy.io.matlab.MatReadError) as error:
            raise broken(file, f"a MATLAB file ({name!r})", error) from error
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.shape != shape:
            raise fault(file, f"{name!r} holds {getattr(value, 'dtype', type(value).__name__)}, needs real numbers. Export its real part.")
        return value

    found = []
    for name, shape, kind in listed:
        numeric = kind in NUMBERS
        what = f"of class {kind}" if numeric else f"of class {kind}, which is not read"
        found.append(Entry(name, tuple(int(n) for n in shape), numeric, what, partial(loader, name, kind, tuple(shape))))
    return found


def _check_elements(file: Path, data: bytes, max_bytes: int) -> None:
    """The elements of a version 5 file are whole, and not too large when decompressed; SciPy would believe what they say of themselves."""
    if not data.startswith(b"MATLAB") or len(data) < HEADER:
        return  # version 4, or none: nothing is compressed
    order: Any = {b"IM": "little", b"MI": "big"}.get(data[126:128])
    if order is None:
        raise fault(file, f"its header ends with {data[126:128]!r}, needs 'IM' or 'MI' of a MATLAB file. Copy or export it again.")
    at, total = HEADER, 0
    while at < len(data):
        kind, size = (int.from_bytes(data[at + 4 * i : at + 4 * i + 4], order) for i in range(2))
        if kind not in (COMPRESSED, MATRIX) or at + 8 + size > len(data):
            raise fault(file, f"it ends or is damaged at byte {at} of {len(data)}, needs a whole MATLAB file. Copy or export it again.")
        if kind == MATRIX:
            total += size
        else:
            total += _decompressed(file, data[at + 8 : at + 8 + size], max_bytes - total, max_bytes)
        at += 8 + size


def _decompressed(file: Path, data: bytes, left: int, max_bytes: int) -> int:
    """Size of a zlib stream, in pieces of 1 MB, so that a bomb is seen before it is in memory."""
    reader, size = zlib.decompressobj(), 0
    try:
        while not reader.eof:
            piece = reader.decompress(data, 1 << 20)
            size += len(piece)
            data = reader.unconsumed_tail
            if size > left:
                raise too_large(file, "its decompressed content", max_bytes - left + size, max_bytes)
            if not piece and not data:
                break
    except zlib.error as error:
        raise broken(file, "a MATLAB file", error) from error
    if not reader.eof:
        raise fault(file, "a compressed variable ends too early, needs a whole MATLAB file. Copy or export it again.")
    return size


def _version_7_3(file: Path, max_bytes: int) -> list[Entry]:
    import h5py

    found = []
    try:
        with h5py.File(file, "r") as opened:
            for name in opened:
                if name.startswith("#"):
                    continue  # where MATLAB keeps what cells refer to
                found.append(_hdf5_entry(file, opened, name, max_bytes))
    except ValueError as error:
        raise error if str(error).startswith(f"{file.name}: ") else broken(file, "a MATLAB 7.3 file", error) from error
    except (*BROKEN, RuntimeError) as error:
        raise broken(file, "a MATLAB 7.3 file", error) from error
    return found


def _hdf5_entry(file: Path, opened: Any, name: str, max_bytes: int) -> Entry:
    import h5py

    refuse_references(file, opened, name)
    node = opened[name]
    kind = node.attrs.get("MATLAB_class", b"")
    kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    if not isinstance(node, h5py.Dataset):
        return Entry(name, (), False, f"of class {kind or 'group'}, which is not read", lambda: np.empty(0))
    shape = tuple(reversed(node.shape or ()))  # MATLAB stores columns first
    numeric = (
        node.dtype.kind in "biuf" and kind in (*NUMBERS, "") and "MATLAB_sparse" not in node.attrs and "MATLAB_empty" not in node.attrs
    )
    what = f"of class {kind or node.dtype}" + ("" if numeric else ", which is not read")

    def load() -> np.ndarray:
        size = math.prod(shape) * 8
        if size > max_bytes:
            raise too_large(file, repr(name), size, max_bytes)
        try:
            with h5py.File(file, "r") as again:
                return again[name][()].T
        except (*BROKEN, RuntimeError) as error:
            raise broken(file, f"a MATLAB 7.3 file ({name!r})", error) from error

    return Entry(name, shape, numeric, what, load)


def refuse_references(file: Path, group: Any, name: str) -> None:
    """No entry of an HDF5 group may take its data from another file, or from somewhere else in this one."""
    import h5py

    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise fault(file, f"{name!r} is a link to something else, needs data of its own. It is not followed.")
    node = group[name]
    if isinstance(node, h5py.Dataset) and (node.external or node.is_virtual):
        raise fault(file, f"{name!r} keeps its data in another file, needs them in this one. It is not followed.")
