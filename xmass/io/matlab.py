"""Matrices of real numbers from MATLAB files: version 4 to 7 by the published format, version 7.3, which is HDF5, through h5py.

SciPy's reader is not used: it believes what a damaged file says of its elements, and then ends the whole process.
"""

from __future__ import annotations

import math
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from xmass.io.guard import BROKEN, Entry, broken, content, fault, kind_of, too_large

HEADER = 128
MATRIX, COMPRESSED = 14, 15
DOUBLE_CLASS, SPARSE_CLASS = 6, 5
COMPLEX_FLAG = 0x0800
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of stored numbers; MATLAB stores a matrix of doubles as small integers where they fit."""
CLASSES = ("cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32")
CLASS = dict(enumerate((*CLASSES, "int64", "uint64", "function", "opaque"), start=1))
NUMBERS = frozenset((*CLASSES[4:], "int64", "uint64", "logical"))
VERSION_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
USER_BLOCK = 512
WHOLE = "needs a whole MATLAB file. Copy or export it again."

Order = Literal["<", ">"]


class Element(NamedTuple):
    """A piece of a file: its type, where its data begin and end, and where the next one begins."""

    kind: int
    start: int
    stop: int
    following: int


def mat_entries(file: Path, max_bytes: int) -> list[Entry]:
    """Name, shape and class of each variable of a MATLAB file; each is read when it is chosen, and nothing but numbers is."""
    data = content(file, max_bytes)
    if data.startswith(SIGNATURE) or data[USER_BLOCK : USER_BLOCK + len(SIGNATURE)] == SIGNATURE:
        return _version_7_3(file, max_bytes)
    try:
        return _version_5(file, data, max_bytes) if data.startswith(b"MATLAB") else _version_4(file, data)
    except (struct.error, zlib.error, IndexError) as error:
        raise broken(file, "a MATLAB file", error) from error


# ------------------------------------------------------------------------------------------------------------------- version 5 to 7
def _version_5(file: Path, data: bytes, max_bytes: int) -> list[Entry]:
    orders: dict[bytes, Order] = {b"IM": "<", b"MI": ">"}
    if data[126:HEADER] not in orders:
        raise fault(file, f"its header ends with {data[126:HEADER]!r}, needs 'IM' or 'MI' of a MATLAB file. Copy or export it again.")
    order = orders[data[126:HEADER]]
    found, at, total = [], HEADER, 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        stop = at + 8 + size
        if kind not in (COMPRESSED, MATRIX) or stop > len(data):
            raise fault(file, f"it ends or is damaged at byte {at} of {len(data)}, {WHOLE}")
        if kind == COMPRESSED:
            whole = _decompressed(file, data[at + 8 : stop], max_bytes - total, max_bytes)
            inner = _element(file, whole, 0, len(whole), order)
            if inner.kind != MATRIX:
                raise fault(file, f"a compressed variable at byte {at} holds an element of type {inner.kind}, {WHOLE}")
            found.append(_matrix(file, whole, inner.start, inner.stop, order))
            total += len(whole)
        else:
            found.append(_matrix(file, data, at + 8, stop, order))
        at = stop
    return found


def _decompressed(file: Path, data: bytes, left: int, max_bytes: int) -> bytes:
    """The content of a zlib stream, of which no more than is allowed is ever in memory."""
    reader = zlib.decompressobj()
    whole = reader.decompress(data, left + 1)
    if len(whole) > left:
        raise too_large(file, "its decompressed content", max_bytes + 1, max_bytes)
    if not reader.eof:
        raise fault(file, f"a compressed variable ends too early, {WHOLE}")
    return whole


def _element(file: Path, data: bytes, at: int, stop: int, order: Order) -> Element:
    """The element at a place; short ones have type and size in one word."""
    if at + 8 > stop:
        raise fault(file, f"a variable ends too early, {WHOLE}")
    kind, size = struct.unpack_from(f"{order}II", data, at)
    start, step = at + 8, 8 + -(-size // 8) * 8
    if kind >> 16:
        kind, size, start, step = kind & 0xFFFF, kind >> 16, at + 4, 8
        if size > 4:
            raise fault(file, f"a short element has {size} bytes, needs at most 4. {WHOLE[0].upper()}{WHOLE[1:]}")
    if start + size > stop:
        raise fault(file, f"an element should have {size} bytes and its variable ends before, {WHOLE}")
    return Element(kind, start, start + size, at + step)


def _values(file: Path, data: bytes, element: Element, order: Order) -> np.ndarray:
    if element.kind not in STORED:
        raise fault(
            file, f"an element has the type {element.kind}, needs one of numbers. The file is damaged, or of a kind that is not read."
        )
    dtype = np.dtype(order + STORED[element.kind])
    size = element.stop - element.start
    if size % dtype.itemsize:
        raise fault(file, f"an element has {size} bytes of {dtype}, {WHOLE}")
    return np.frombuffer(data, dtype, size // dtype.itemsize, element.start)


def _matrix(file: Path, data: bytes, start: int, stop: int, order: Order) -> Entry:
    """What a variable is, by its flags, dimensions and name; the numbers are read when it is chosen."""
    flags = _element(file, data, start, stop, order)
    first = _values(file, data, flags, order)
    kind = CLASS.get(int(first[0]) & 0xFF, "unknown") if len(first) and flags.kind == 6 else "unknown"
    if kind not in NUMBERS and kind not in ("cell", "struct", "char", "function"):
        return Entry("", (), False, f"an object of class {kind}, which is not read", lambda: np.empty(0))
    dims = _element(file, data, flags.following, stop, order)
    shape = tuple(int(n) for n in _values(file, data, dims, order))
    name = _element(file, data, dims.following, stop, order)
    label = data[name.start : name.stop].decode("utf-8", "replace")
    if any(n < 0 for n in shape):
        raise fault(file, f"{label!r} has shape {shape}, {WHOLE}")
    if kind not in NUMBERS:
        return Entry(label, shape, False, f"of class {kind}, which is not read", lambda: np.empty(0))
    if int(first[0]) & COMPLEX_FLAG:
        return Entry(label, shape, False, f"complex {kind}, which is not read", lambda: np.empty(0))
    read = _sparse if kind == "sparse" else _full
    return Entry(label, shape, True, f"of class {kind}", partial(read, file, data, name.following, stop, order, label, shape))


def _full(file: Path, data: bytes, at: int, stop: int, order: Order, name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = _values(file, data, _element(file, data, at, stop, order), order)
    if len(values) != math.prod(shape):
        raise fault(file, f"{name!r} should have shape {shape} and has {len(values)} numbers, {WHOLE}")
    return values.reshape(shape, order="F")


def _sparse(file: Path, data: bytes, at: int, stop: int, order: Order, name: str, shape: tuple[int, ...]) -> np.ndarray:
    parts = []
    for _ in range(3):
        element = _element(file, data, at, stop, order)
        parts.append(_values(file, data, element, order))
        at = element.following
    rows, ends, values = parts
    n = int(ends[-1]) if len(ends) else -1
    counts: np.ndarray = np.diff(ends.astype(np.int64))
    whole = len(ends) == shape[1] + 1 and ends[0] == 0 and (counts >= 0).all() and 0 <= n <= min(len(rows), len(values))
    if not whole or (rows[:n].astype(np.int64) < 0).any() or (rows[:n] >= shape[0]).any() or rows.dtype.kind == "f":
        raise fault(file, f"the indices of the sparse {name!r} do not fit its shape {shape}, {WHOLE}")
    if shape[0] * shape[1] > 100_000_000:
        raise fault(file, f"the sparse {name!r} has shape {shape}, needs at most 10,000 regions.")
    full = np.zeros(shape)
    np.add.at(full, (rows[:n].astype(np.int64), np.repeat(np.arange(shape[1]), counts)), values[:n].astype(np.float64))
    return full


# ------------------------------------------------------------------------------------------------------------------------ version 4
def _version_4(file: Path, data: bytes) -> list[Entry]:
    """Matrices one after the other: five integers, a name, the numbers."""
    found, at = [], 0
    orders: tuple[Order, Order] = ("<", ">")
    order = next((o for o in orders if struct.unpack_from(f"{o}i", data)[0] in range(5000)), None) if len(data) >= 20 else None
    if order is None:
        raise fault(file, f"it is {kind_of(data)}, needs a MATLAB file.")
    while at < len(data):
        kind, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", data, at)
        thousands, precision, layout = kind // 1000, kind // 10 % 10, kind % 10
        if thousands != (order == ">") or kind // 100 % 10 or precision >= len(VERSION_4) or min(rows, columns, length) < 0:
            raise fault(file, f"it is damaged at byte {at}, or is no MATLAB file ({kind_of(data)}), {WHOLE}")
        dtype = np.dtype(order + VERSION_4[precision])
        start = at + 20 + length
        size = rows * columns * dtype.itemsize
        following = start + size * (2 if imaginary else 1)
        if following > len(data):
            raise fault(file, f"it ends at byte {len(data)}, and should have {following} or more, {WHOLE}")
        name = data[at + 20 : start].split(b"\0")[0].decode("utf-8", "replace")
        numeric = layout == 0 and not imaginary
        what = f"of {dtype}" if numeric else "text, sparse or complex, which is not read in version 4"
        found.append(Entry(name, (rows, columns), numeric, what, partial(_plain, data, dtype, start, (rows, columns))))
        at = following
    return found


def _plain(data: bytes, dtype: np.dtype, start: int, shape: tuple[int, int]) -> np.ndarray:
    return np.frombuffer(data, dtype, shape[0] * shape[1], start).reshape(shape, order="F")


# ---------------------------------------------------------------------------------------------------------------------- version 7.3
def _version_7_3(file: Path, max_bytes: int) -> list[Entry]:
    import h5py

    found = []
    try:
        with h5py.File(file, "r") as opened:
            for name in opened:
                if name.startswith("#"):
                    continue  # where MATLAB keeps what cells refer to
                found.append(_hdf5_entry(file, opened, name, max_bytes))
    except BROKEN as error:
        raise error if str(error).startswith(f"{file.name}: ") else broken(file, "a MATLAB 7.3 file", error) from error
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
    plain = "MATLAB_sparse" not in node.attrs and "MATLAB_empty" not in node.attrs
    numeric = node.dtype.kind in "biuf" and (not kind or kind in NUMBERS) and plain
    what = f"of class {kind or node.dtype}" + ("" if numeric else ", which is not read")

    def load() -> np.ndarray:
        size = math.prod(shape) * 8
        if size > max_bytes:
            raise too_large(file, repr(name), size, max_bytes)
        try:
            with h5py.File(file, "r") as again:
                return again[name][()].T
        except BROKEN as error:
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
