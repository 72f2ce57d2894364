"""Arrays from npy and npz files, without numpy.load: the header is checked first, and a pickle is never read."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
from pathlib import Path

import numpy as np

from xmass.io.guard import BROKEN, Entry, broken, content, fault, kind_of, members

MAGIC = b"\x93NUMPY"


def npy_entries(file: Path, max_bytes: int) -> list[Entry]:
    """The one array of a npy file."""
    data = content(file, max_bytes)
    return [_entry(file, file.stem, data)]


def npz_entries(file: Path, max_bytes: int) -> list[Entry]:
    """The arrays of a npz file, in the order of the archive."""
    return [_entry(file, name.removesuffix(".npy"), data) for name, data in members(file, max_bytes).items()]


def _entry(file: Path, name: str, data: bytes) -> Entry:
    if not data.startswith(MAGIC):
        raise fault(file, f"{name!r} is {kind_of(data)}, needs an array written by numpy.save or numpy.savez.")
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged header may look like code that Python warns of
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
            else:
                raise ValueError(f"version {version}")
    except (*BROKEN, SyntaxError, tokenize.TokenError) as error:  # numpy parses the header as Python's literals
        raise broken(file, f"a numpy array ({name!r})", error) from error
    start = stream.tell()
    if dtype.hasobject:
        return Entry(name, tuple(shape), False, "Python objects, which are never unpickled", lambda: np.empty(0))
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise fault(
            file,
            f"{name!r} should have shape {shape} of {dtype} and has {len(data) - start} bytes of data, needs a whole array. Save it again.",
        )

    def load() -> np.ndarray:
        flat = np.frombuffer(data, dtype=dtype, count=math.prod(shape), offset=start)
        return flat.reshape(shape, order="F" if fortran else "C")

    return Entry(name, tuple(shape), dtype.kind in "biuf", f"of {dtype}", load)
