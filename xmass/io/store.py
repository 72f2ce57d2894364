"""Datasets in zarr stores of our own: written whole or not at all, and read back as they were."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xmass._version import __version__
from xmass.io.guard import BROKEN, existing, fault
from xmass.io.labelled import FORMAT, open_zarr, plain_text
from xmass.labelled.schema import CONVENTIONS

RESERVED = ("_FillValue", "missing_value", "scale_factor", "add_offset", "coordinates", "dtype")
COMPRESSOR = {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}
PIECE = 32_000_000


def save(ds: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Store a Dataset as zarr (version 3), so that :func:`open` gives the same back: values, dtypes, coords, attrs, units.

    Numbers are compressed without loss (Blosc: zstd at level 3 with bit shuffle), in the chunks of the Dataset, or in pieces of up to
    32 MB; text is stored as text of variable width. An attribute of the store says so. The store is made beside its place and renamed:
    it is whole or not there. Nothing is ever overwritten.

    Parameters
    ----------
    ds : Dataset
        Numbers, booleans and text; lazy data are written chunk by chunk.
    path : path
        A folder that does not exist yet, by habit with the ending ``.zarr``; the folders above are made.

    Returns
    -------
    Path
        The store.

    Raises
    ------
    FileExistsError
        If there is something at ``path``.
    TypeError
        If ``ds`` is not a Dataset.
    ValueError
        For dates (clocks are numbers with a unit), Python objects, a MultiIndex, or attributes that JSON cannot hold.
    OSError
        If the disk is full or read-only.

    Examples
    --------
    >>> import xmass as xm
    >>> path = xm.io.save(xm.datasets.load_dataset("example_connectome"), "connectome.zarr")
    >>> xm.io.open(path).distances.attrs["units"]
    'mm'
    """
    if not isinstance(ds, xr.Dataset):
        fix = " Make one with .to_dataset(name='signal')." if isinstance(ds, xr.DataArray) else ""
        raise TypeError(f"save got a {type(ds).__name__}, needs a Dataset.{fix}")
    store = Path(path)
    if store.exists() or store.is_symlink():
        raise FileExistsError(f"{store} exists, and is not overwritten. Choose another path, or remove it yourself.")
    _check(ds)
    plain = ds.drop_encoding()
    text = {name: v.astype(object) for name, v in plain.variables.items() if v.dtype.kind in "UTO"}
    encoding = {str(name): _encoding(v) for name, v in plain.variables.items() if name not in text}
    widths = {str(name): str(v.dtype) for name, v in plain.variables.items() if v.dtype.kind == "U"}
    about = {"conventions": CONVENTIONS, "xmass": __version__, "zarr": 3, "compressor": COMPRESSOR, "text": widths}
    plain = plain.assign_coords({n: v for n, v in text.items() if n in plain.coords}).assign(
        {n: v for n, v in text.items() if n in plain.data_vars}
    )
    store.parent.mkdir(parents=True, exist_ok=True)
    part = store.with_name(f".{store.name}.{os.getpid()}.partial")
    try:
        plain.assign_attrs({FORMAT: json.dumps(about)}).to_zarr(part, mode="w-", consolidated=False, zarr_format=3, encoding=encoding)
        os.rename(part, store)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return store


def open(path: str | os.PathLike[str]) -> xr.Dataset:  # noqa: A001  (read as xm.io.open)
    """Open a store of :func:`save`, or one of ``run_to_zarr``: data lazy, coordinates in memory.

    Parameters
    ----------
    path : path
        The store.

    Returns
    -------
    Dataset
        What was saved. Use ``.load()`` to have it in memory.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``.
    ValueError
        If it is no such store, is damaged, or asks for codecs that could run code.
    """
    store = existing(path)
    if not store.is_dir():
        raise fault(
            store, "it is a file, needs a folder that xm.io.save has made. Read other formats with read_connectome or read_recording."
        )
    ds = open_zarr(store, decode_times=False, mask_and_scale=False)
    if FORMAT not in ds.attrs:
        from xmass.scale.store import open_store

        if "config_hash" in ds.attrs:
            return open_store(store)
        raise fault(store, "it was not made by xm.io.save or run_to_zarr, needs one that was. Open it with xr.open_zarr(path).")
    try:
        about = json.loads(ds.attrs.pop(FORMAT))
        for name in [n for n, v in ds.variables.items() if n in ds.coords or v.ndim == 0 or v.dtype.kind in "TO"]:
            ds[name].load()
        return _with_widths(plain_text(ds), about["text"]).drop_encoding()
    except BROKEN as error:
        raise fault(store, f"it is damaged ({str(error)[:200]}), needs a whole store. Copy or save it again.") from error


def _with_widths(ds: xr.Dataset, widths: dict[str, str]) -> xr.Dataset:
    for name, dtype in widths.items():
        variable = ds.variables[name]
        if variable.dtype != np.dtype(dtype):
            changed = xr.Variable(variable.dims, variable.values.astype(dtype), variable.attrs)
            ds = ds.assign_coords({name: changed}) if name in ds.coords else ds.assign({name: changed})
    return ds


def _check(ds: xr.Dataset) -> None:
    for name, index in ds.indexes.items():
        if index.nlevels > 1:
            raise ValueError(f"{name} is part of a MultiIndex, which zarr cannot hold. Use ds.reset_index({index.name!r}).")
    for name, variable in ds.variables.items():
        if variable.dtype.kind in "mM":
            raise ValueError(f"{name} holds {variable.dtype}, needs numbers with a unit: clocks are not dates. Subtract the first, in s.")
        if variable.dtype.kind == "O" and not all(isinstance(v, str) for v in variable.values.ravel()):
            raise ValueError(f"{name} holds Python objects, needs numbers or text. Convert it with .astype(float) or .astype(str).")
        if variable.dtype.kind not in "biufcUTO":
            raise ValueError(f"{name} holds {variable.dtype}, needs numbers or text.")
        if reserved := [key for key in variable.attrs if key in RESERVED]:
            raise ValueError(f"{name} has the attributes {reserved}, which readers take for instructions. Remove or rename them.")
        _check_attrs(str(name), variable.attrs)
    if FORMAT in ds.attrs:
        raise ValueError(f"the Dataset has the attribute {FORMAT!r}, which is that of a store. Remove it.")
    _check_attrs("the Dataset", ds.attrs)


def _check_attrs(name: str, attrs: dict[Any, Any]) -> None:
    for key, value in attrs.items():
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        try:
            json.dumps(plain)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} has the attribute {key!r} of type {type(value).__name__}, needs numbers or text. Remove or convert it."
            ) from error


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    from zarr.codecs import BloscCodec

    encoding: dict[str, Any] = {"compressors": (BloscCodec(**COMPRESSOR),), "_FillValue": None}  # type: ignore[arg-type]
    if variable.chunks is None and variable.size:
        chunks = list(variable.shape)
        while np.prod(chunks) * variable.dtype.itemsize > PIECE and max(chunks) > 1:
            longest = int(np.argmax(chunks))
            chunks[longest] = -(-chunks[longest] // 2)
        encoding["chunks"] = tuple(chunks)
    return encoding
