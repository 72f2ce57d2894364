"""Checkpoints of a fit: whole or not there, known by their configuration, without code inside."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.provenance import CONFIGURATION, canonical_json, differences
from xmass.scale import durable
from xmass.scale.lock import Lock

CHECKSUM = "sha256"


class Checkpoint:
    """A zarr directory, written beside and moved into place; the one before stays until then.

    Parameters
    ----------
    path : Path
        A local directory.
    configuration : mapping
        JSON values that say what the fit is; another one is refused.
    resume : bool
        Whether one that is there is gone on with; else it is an error.

    Raises
    ------
    FileExistsError
        If something is there and ``resume`` is False.
    ValueError
        If the path is none of a local directory.
    """

    def __init__(self, path: str | Path, configuration: Mapping[str, Any], resume: bool) -> None:
        if ":/" in str(path):
            raise ValueError(f"checkpoint={str(path)!r}, needs a local directory.")
        self.path, self.configuration = Path(path), json.loads(canonical_json(configuration))
        if not resume and self._there() is not None:
            raise FileExistsError(f"{self._there()} exists. To go on from it: resume=True; else delete it, or choose another path.")

    def _there(self) -> Path | None:
        """Where the last whole one is: killed between two moves, a process leaves the one before under its other name."""
        return next((p for p in (self.path, aside(self.path)) if p.exists()), None)

    def lock(self) -> Lock:
        """Held during the fit."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return Lock(self.path.with_name(f"{self.path.name}.lock"))

    def read(self) -> dict[str, np.ndarray] | None:
        """The arrays, if there are any.

        Raises
        ------
        ValueError
            If it is damaged, no checkpoint, or that of another fit: the differences are named. It is left as it is.
        """
        place = self._there()
        if place is None:
            return None
        arrays, configuration = read_arrays(place)
        if configuration != self.configuration:
            said = "; ".join(differences(configuration, self.configuration)[:5])
            raise ValueError(f"{place} holds another fit: {said}. Choose another path, or make the same call.")
        return arrays

    def write(self, arrays: Mapping[str, Any]) -> None:
        """Replace what is there."""
        beside = self.path.with_name(f"{self.path.name}.part")
        write_arrays(beside, arrays, self.configuration)
        exchange(beside, self.path)


def exchange(new: Path, place: Path) -> None:
    """Move a directory into place; what was there is called ``.old`` until then, so that a kill leaves one of the two."""
    old = aside(place)
    if place.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(place, old)
    os.replace(new, place)
    shutil.rmtree(old, ignore_errors=True)


def aside(place: Path) -> Path:
    """Where :func:`exchange` keeps what it replaces."""
    return place.with_name(f"{place.name}.old")


def write_arrays(path: Path, arrays: Mapping[str, Any], configuration: Mapping[str, Any]) -> None:
    """Arrays and a configuration as a new zarr directory."""
    shutil.rmtree(path, ignore_errors=True)
    plain = {name: np.asarray(a) for name, a in arrays.items()}
    ds = xr.Dataset({n: ([f"{n}_{k}" for k in range(a.ndim)], a) for n, a in plain.items()})
    ds.attrs = {CONFIGURATION: canonical_json(configuration), CHECKSUM: _checksum(plain, configuration)}
    encoding = {n: {"compressors": None, "chunks": a.shape} if a.ndim else {"compressors": None} for n, a in plain.items()}
    ds.to_zarr(path, mode="w", consolidated=False, encoding=encoding, zarr_format=3)
    durable.sync_tree(path)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and configuration of a directory, checked against its checksum.

    Raises
    ------
    ValueError
        If it is no checkpoint, or damaged.
    """
    try:
        with xr.open_zarr(path, consolidated=False, chunks=None, mask_and_scale=False) as ds:
            said, checksum = ds.attrs[CONFIGURATION], ds.attrs[CHECKSUM]
            arrays = {str(n): np.array(v.values) for n, v in ds.data_vars.items()}
        configuration = json.loads(said)
        whole = _checksum(arrays, configuration) == checksum
    except Exception as error:  # noqa: BLE001  whatever a damaged file makes zarr raise
        raise ValueError(
            f"{path} is no checkpoint of a Trainer, or a damaged one ({type(error).__name__}: {error}). It was left as it is: choose "
            "another path, or delete it to start again."
        ) from None
    if not whole:
        raise ValueError(f"{path} is damaged: its checksum differs. Delete it to start again; it was left as it is.")
    return arrays, configuration


def _checksum(arrays: Mapping[str, np.ndarray], configuration: Mapping[str, Any]) -> str:
    found = hashlib.sha256(canonical_json(configuration).encode())
    for name in sorted(arrays):
        a = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {a.dtype.str} {arrays[name].shape}".encode())
        found.update(a.tobytes())
    return found.hexdigest()


def digest(*arrays: Any) -> str:
    """Twelve digits that differ where arrays differ."""
    found = hashlib.sha256()
    for a in arrays:
        array = np.ascontiguousarray(a)
        found.update(f"{array.dtype.str} {array.shape}".encode())
        found.update(array.data)
    return found.hexdigest()[:12]


def content(ds: xr.Dataset) -> str:
    """A checksum of all values, labels among them, that is the same after a Dataset was stored and read."""
    found = hashlib.sha256()
    for name in sorted(map(str, ds.variables)):
        values = np.asarray(ds[name].values)
        if values.dtype.kind in "OUT":
            found.update(canonical_json([name, list(values.shape), [str(v) for v in values.ravel().tolist()]]).encode())
            continue
        if values.dtype.kind in "mM":
            values = values.astype(f"{values.dtype.kind}8[ns]")
        found.update(f"{name} {values.dtype.str} {values.shape}".encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
