"""The files of a chunk: encoded by zarr in memory, written durably, with a checksum of each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xmass.scale import durable
from xmass.scale.chunks import Box
from xmass.scale.ledger import checksum


class WriteError(OSError):
    """Data could not be written."""

    said = ""


def write_chunk(store: Path, box: Box, values: Mapping[str, np.ndarray], status: tuple[str, np.ndarray]) -> dict[str, tuple[int, str]]:
    """Write the data of a chunk, then its status, each on the disk before what follows.

    Parameters
    ----------
    store : Path
        The store.
    box : Box
        Runs of the chunk.
    values : mapping of str to ndarray
        Data by the name of their zarr array, run dims first.
    status : (str, ndarray)
        Name and values of the array that says that the data are there.

    Returns
    -------
    dict
        Size and checksum of every file that the chunk has, by its name in the store. zarr writes no file for a piece of fill values.

    Raises
    ------
    WriteError
        If the disk is full or cannot be written.
    """
    found: dict[str, tuple[int, str]] = {}
    try:
        for part in (values, dict([status])):
            folders: set[Path] = set()
            for name, array in part.items():
                for key, data in _encoded(store, name, box, array):
                    if data is None:
                        folders |= durable.remove(store / key)
                    else:
                        folders |= durable.write_file(store / key, data)
                        found[key] = checksum(data)
            durable.sync_folders(folders)
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error), error.filename) from error
    return found


def forget(store: Path, box: Box, name: str) -> None:
    """Set the status of a chunk back to not run, durably."""
    folders: set[Path] = set()
    for file in namer(store, [name])(box):
        folders |= durable.remove(store / file)
    durable.sync_folders(folders)


def namer(store: Path, names: Iterable[str]) -> Callable[[Box], list[str]]:
    """A function that names every file that some arrays may have for a chunk."""
    import zarr

    arrays = {name: zarr.open_array(store / name, mode="r") for name in names}
    return lambda box: [f"{name}/{key}" for name, array in arrays.items() for key in _keys(array, box)]


def _encoded(store: Path, name: str, box: Box, values: np.ndarray) -> Iterator[tuple[str, bytes | None]]:
    """Files of an array for a chunk, as zarr writes them; None where it writes none."""
    import zarr
    from zarr.buffer.cpu import Buffer
    from zarr.storage import MemoryStore

    files: dict[str, Any] = {f"{name}/zarr.json": Buffer.from_bytes((store / name / "zarr.json").read_bytes())}
    array: Any = zarr.open_array(MemoryStore(files), path=name, mode="r+")
    array[(*(slice(a, b) for a, b in box), ...)] = values
    for key in _keys(array, box):
        data = files.pop(f"{name}/{key}", None)
        yield f"{name}/{key}", None if data is None else data.to_bytes()


def _keys(array: Any, box: Box) -> Iterator[str]:
    """Keys of the pieces that hold a box of the first dims."""
    edges = [*box, *((0, n) for n in array.shape[len(box) :])]
    pieces = [range(a // c, -(-b // c)) for (a, b), c in zip(edges, array.chunks, strict=True)]
    for at in itertools.product(*pieces):
        yield array.metadata.encode_chunk_key(at)
