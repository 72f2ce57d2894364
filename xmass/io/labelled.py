"""Datasets in netCDF and zarr, checked before they are opened: no code from the file, no data from elsewhere."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xmass.io.guard import BROKEN, broken, content, fault, kind_of, too_large
from xmass.io.matlab import SIGNATURE, refuse_references

FORMAT = "xmass_store"
"""Attribute by which a store of :func:`xmass.io.save` is known."""
LARGEST_METADATA = 50_000_000
LAYOUT = ("bytes", "endian", "transpose", "sharding_indexed", "shuffle", "delta", "astype", "vlen-utf8", "vlen-bytes")
CHECKSUMS = ("crc32c", "crc32", "adler32", "fletcher32", "jenkins_lookup3")
COMPRESSION = (
    "blosc",
    "zstd",
    "gzip",
    "zlib",
    "lz4",
    "bz2",
    "lzma",
    "bitround",
    "fixedscaleoffset",
    "quantize",
    "packbits",
    "zfpy",
    "pcodec",
)
CODECS = frozenset((*LAYOUT, *CHECKSUMS, *COMPRESSION))
"""Those that only transform numbers and text. Left out: pickle, which runs code, and others that build Python objects."""


def open_netcdf(file: Path, max_bytes: int) -> xr.Dataset:
    """A netCDF4 file in memory."""
    import h5py

    with file.open("rb") as stream:
        head = stream.read(16)
    if not head:
        raise fault(file, "it is empty (0 bytes), needs data. Export or copy it again.")
    if not head.startswith(SIGNATURE):
        raise fault(file, f"it is {kind_of(head)}, needs netCDF4, which is HDF5. Write it with ds.to_netcdf(path, engine='h5netcdf').")
    try:
        with h5py.File(file, "r") as opened:
            total = 0
            for name in opened:
                refuse_references(file, opened, name)
                node = opened[name]
                total += node.size * node.dtype.itemsize if isinstance(node, h5py.Dataset) and node.size is not None else 0
        if total > max_bytes:
            raise too_large(file, "its content", total, max_bytes)
        with xr.open_dataset(file, engine="h5netcdf", decode_timedelta=False) as ds:
            return plain_text(ds.load())
    except ValueError as error:
        raise error if str(error).startswith(f"{file.name}: ") else broken(file, "netCDF4", error) from error
    except BROKEN as error:
        raise broken(file, "netCDF4", error) from error


def open_zarr(folder: Path, **options: Any) -> xr.Dataset:
    """A zarr store, lazy, all of whose codecs are known to be harmless."""
    _check_codecs(folder)
    try:
        return xr.open_zarr(folder, consolidated=False, decode_timedelta=False, **options)
    except BROKEN as error:
        raise broken(folder, "a zarr store", error) from error


def load_zarr(folder: Path, max_bytes: int) -> xr.Dataset:
    """A zarr store in memory."""
    total = sum(math.prod(shape) * 8 for shape in _shapes(folder))
    if total > max_bytes:  # before coordinates are read
        raise too_large(folder, "its content", total, max_bytes)
    ds = open_zarr(folder, chunks=None)
    if ds.nbytes > max_bytes:
        raise too_large(folder, "its content", ds.nbytes, max_bytes)
    try:
        ds = plain_text(ds.load())
    except BROKEN as error:
        raise broken(folder, "a zarr store", error) from error
    ds.attrs.pop(FORMAT, None)
    return ds


def plain_text(ds: xr.Dataset) -> xr.Dataset:
    """The same Dataset, whose text is of numpy's fixed width instead of what zarr gives."""
    for name in [n for n, v in ds.variables.items() if v.dtype.kind in "TO"]:
        variable = ds.variables[name]
        text = xr.Variable(variable.dims, np.array(variable.values.tolist(), dtype=str).reshape(variable.shape), variable.attrs)
        ds = ds.assign_coords({name: text}) if name in ds.coords else ds.assign({name: text})
    return ds


def is_zarr(folder: Path) -> bool:
    """Whether a folder looks like a zarr store."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray", ".zmetadata"))


def _check_codecs(folder: Path) -> None:
    """Every codec that the metadata name is one of :data:`CODECS`; zarr would run the code in data that are pickled."""
    if not is_zarr(folder):
        raise fault(folder, "it is a folder without zarr.json or .zgroup, needs a zarr store. Write one with xm.io.save(ds, path).")
    files = [path for pattern in ("zarr.json", ".zarray", ".zmetadata") for path in folder.rglob(pattern)]
    for path in files:
        try:
            found = set(_codecs(json.loads(content(path, LARGEST_METADATA))))
        except BROKEN as error:
            raise broken(folder, "a zarr store", error) from error
        unknown = sorted(name for name in found if name.removeprefix("numcodecs.") not in CODECS)
        if unknown:
            raise fault(
                folder,
                f"{path.relative_to(folder)} asks for the codecs {unknown[:5]}, needs ones that only transform numbers and text. "
                "It is not read: a codec such as 'pickle' runs code from the file.",
            )


def _shapes(folder: Path) -> list[list[int]]:
    """The shapes of all arrays of a store; none where the metadata are damaged, which is found later."""
    found = []
    for path in [*folder.rglob("zarr.json"), *folder.rglob(".zarray")]:
        try:
            node = json.loads(content(path, LARGEST_METADATA))
        except BROKEN:
            continue
        shape = node.get("shape") if isinstance(node, dict) else None
        if isinstance(shape, list) and all(isinstance(n, int) for n in shape):
            found.append(shape)
    return found


def _codecs(node: Any) -> list[str]:
    """Names of the codecs anywhere in zarr metadata of version 2 or 3, those inside of other codecs as well."""
    found: list[str] = []
    if isinstance(node, list):
        return [name for part in node for name in _codecs(part)]
    if not isinstance(node, dict):
        return found
    for key, value in node.items():
        if key == "attributes" or key.endswith(".zattrs"):
            continue
        if key in ("codecs", "index_codecs", "filters", "compressor", "object_codec"):
            parts = value if isinstance(value, list) else [value]
            found += [str(part.get("name", part.get("id"))) for part in parts if isinstance(part, dict)]
            found += [part for part in parts if isinstance(part, str)]
        found += _codecs(value)
    return found
