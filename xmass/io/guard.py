"""What a file must be before it is parsed: a regular file of bearable size, and, for a zip archive, one that can be read safely.

Everything happens in memory: no reader extracts, unpickles, or follows a reference to another file.
"""

from __future__ import annotations

import bz2
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

Source = str | os.PathLike[str]
MAX_BYTES = 1 << 30
"""Largest size of what a reader takes into memory, after decompression."""
MAX_MEMBERS = 1000

DIRECTORY_ENTRY = b"PK\x01\x02"
ENCRYPTED = 0x1
SYMLINK = 0o120000
KINDS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"CDF", "a netCDF3 file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"<?xml", "an XML file"),
    (b"\x80", "a pickle, or not what its name says"),
)

BROKEN = (
    ValueError,
    TypeError,
    OSError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    RuntimeError,  # and NotImplementedError, RecursionError
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What parsers raise for a file that is broken. Readers turn each into a ValueError that names the file."""


class Entry(NamedTuple):
    """An array in a file: where it is, and what is needed to choose it before it is read."""

    name: str
    shape: tuple[int, ...]
    numeric: bool
    """Real numbers; else text, cells, objects, functions, ..."""
    what: str
    load: Callable[[], np.ndarray]


def fault(file: Path, text: str) -> ValueError:
    """The error for a file: its name, what came and what is needed."""
    return ValueError(f"{file.name}: {text}")


def broken(file: Path, what: str, error: BaseException) -> ValueError:
    """The error for a file that its parser gave up on."""
    said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return fault(file, f"it cannot be read as {what} ({said}), needs a whole and undamaged file. Copy or export it again.")


def too_large(file: Path, what: str, size: int, max_bytes: int) -> ValueError:
    """The error for something larger than the limit."""
    return fault(
        file, f"{what} has {size:,} bytes, needs at most {max_bytes:,}. If you trust the file and have the memory, give max_bytes={size}."
    )


def existing(path: str | os.PathLike[str]) -> Path:
    """A path that is a regular file or a directory.

    Raises
    ------
    FileNotFoundError
        If there is nothing of that name.
    ValueError
        For a device, a pipe or a socket, whose reading may never end, or a name that no file can have.
    """
    file = Path(path)
    if "\0" in str(file):
        raise ValueError(f"path={str(file)!r} contains a NUL character, needs the name of a file.")
    if not file.exists():
        near = sorted(p.name for p in file.parent.iterdir() if p.suffix == file.suffix)[:5] if file.parent.is_dir() else []
        has = near or (f"no {file.suffix} file" if file.parent.is_dir() else "no files: there is no such folder")
        raise FileNotFoundError(f"there is no file {str(file)!r}; its folder has {has}.")
    if not file.is_file() and not file.is_dir():
        raise fault(file, "it is a device, a pipe or a socket, needs a regular file. Copy its content into one.")
    return file


def content(file: Path, max_bytes: int) -> bytes:
    """The bytes of a file that is not empty and not too large."""
    size = file.stat().st_size
    if size > max_bytes:
        raise too_large(file, "it", size, max_bytes)
    with file.open("rb") as stream:
        data = stream.read(size + 1)
    if len(data) != size:
        raise fault(file, f"it had {size} bytes and then {len(data)} or more, needs to stay as it is while it is read. Try again.")
    if not data:
        raise fault(file, "it is empty (0 bytes), needs data. Export or copy it again.")
    return data


def numbers(where: str, values: np.ndarray) -> np.ndarray:
    """A copy in double precision, with NaN where a masked array is masked."""
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{where}: it holds {values.dtype}, needs real numbers. Convert it with array.astype(float).")
    if np.ma.isMaskedArray(values):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return np.array(values, dtype=np.float64)


def kind_of(data: bytes) -> str:
    """What the first bytes of a file say that it is."""
    return next((what for start, what in KINDS if data.startswith(start)), "something else")


def members(file: Path, max_bytes: int) -> dict[str, bytes]:
    """The files in a zip archive, in memory, by name.

    Raises
    ------
    ValueError
        If it is no whole zip archive, or holds names that leave its folder, links, repeated names, entries that overlap or are encrypted,
        compression other than deflate, or more than ``max_bytes`` when decompressed.
    """
    packed = content(file, max_bytes)
    if (n := packed.count(DIRECTORY_ENTRY)) > MAX_MEMBERS:  # before zipfile makes an object of each
        raise fault(file, f"it has {n} entries, needs at most {MAX_MEMBERS}. Pack only what belongs to the data.")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            entries = archive.infolist()
            _check_entries(file, entries, len(packed), max_bytes)
            left, read = max_bytes, {}
            for entry in entries:
                if entry.is_dir():
                    continue
                with archive.open(entry) as stream:
                    data = stream.read(left + 1)  # sizes in the directory of an archive may lie
                if len(data) > left:
                    raise too_large(file, "its decompressed content", max_bytes + 1, max_bytes)
                left -= len(data)
                read[entry.filename] = data
    except ValueError as error:
        raise error if str(error).startswith(f"{file.name}: ") else broken(file, "a zip archive", error) from error
    except BROKEN as error:
        raise broken(file, "a zip archive", error) from error
    if not read:
        raise fault(file, "it is a zip archive without files, needs data. Export it again.")
    return read


def _check_entries(file: Path, entries: list[zipfile.ZipInfo], size: int, max_bytes: int) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        if escapes(name):
            raise fault(file, f"its entry {name!r} would leave the folder of the archive, needs names below it. It is not read.")
        if (entry.external_attr >> 16) & 0o170000 == SYMLINK:
            raise fault(file, f"its entry {name!r} is a link, needs the file itself. It is not read.")
        if entry.flag_bits & ENCRYPTED:
            raise fault(file, f"its entry {name!r} is encrypted, needs an archive without a password.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise fault(file, f"its entry {name!r} has compression type {entry.compress_type}, needs deflate or none. Pack it again.")
        if name in seen:
            raise fault(file, f"its entry {name!r} is there twice, needs each name once. Pack it again.")
        seen.add(name)
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise too_large(file, "its decompressed content", total, max_bytes)
    if sum(entry.compress_size for entry in entries) > size:
        raise fault(file, "its entries overlap, needs one stretch of the archive for each. It is not read.")


def escapes(name: str) -> bool:
    """Whether the name of an entry points out of its archive, on any system."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or "\0" in name or (len(name) > 1 and name[1] == ":")


def bunzip(file: Path, name: str, data: bytes, max_bytes: int) -> bytes:
    """The content of a bzip2 member of an archive."""
    reader = bz2.BZ2Decompressor()
    try:
        out = reader.decompress(data, max_bytes + 1)
    except (OSError, EOFError, ValueError) as error:
        raise broken(file, f"bzip2 in {name!r}", error) from error
    if len(out) > max_bytes:
        raise too_large(file, f"its entry {name!r}", len(out), max_bytes)
    if not reader.eof:
        raise fault(file, f"its entry {name!r} ends too early, needs a whole bzip2 stream. Copy or export it again.")
    return out


def choose(file: Path, entries: list[Entry], *, variable: str | None, square: bool, option: str) -> np.ndarray:
    """The array of that name, else the only matrix of real numbers (the only square one) in the file.

    Raises
    ------
    ValueError
        If there is none of the name, it does not hold real numbers or is no matrix, or more or less than one could be meant.
    """
    listed = ", ".join(f"{e.name!r} {e.shape} {e.what}" for e in entries[:12]) or "nothing"
    wanted = "square matrix of real numbers" if square else "matrix of real numbers"
    fits = [e for e in entries if e.numeric and _is_matrix(e.shape, square=square)]
    if variable is not None:
        named = [e for e in entries if e.name == variable]
        if not named:
            raise fault(file, f"it has no variable {variable!r}, needs {option}= one of those it has: {listed}.")
        if not named[0].numeric:
            raise fault(file, f"{variable!r} holds {named[0].what}, needs a {wanted}. The file has {listed}.")
        if named[0] not in fits:
            raise fault(file, f"{variable!r} has shape {named[0].shape}, needs a {wanted}. The file has {listed}.")
        return named[0].load()
    if len(fits) != 1:
        raise fault(
            file, f"it has {len(fits)} {wanted.replace('matrix', 'matrices', 1)}, needs one, or {option}= its name. It has {listed}."
        )
    return fits[0].load()


def _is_matrix(shape: tuple[int, ...], *, square: bool) -> bool:
    return len(shape) == 2 and min(shape) >= 1 and max(shape) >= 2 and (shape[0] == shape[1] or not square)
