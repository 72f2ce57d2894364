"""Where a fit is kept: parts that have ended and the state of those that have not, then the whole result as zarr."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xmass.fit.backend import Ending, Front, Outcome
from xmass.fit.recorder import Recorder, read_arrays, write_arrays
from xmass.labelled.provenance import CONFIGURATION, canonical_json, differences
from xmass.scale.lock import Lock

_PARTS = "parts"
STOPPED = "stopped"
"""Attribute of a result that can be continued: what stopped it."""
_KEPT = ("best", "best_losses", "best_step", "history", "steps")


def stored_seed(path: Path) -> int | None:
    """The seed of the fit that is at a path, finished or not, if there is one."""
    found = _configuration(path, _folder(path))
    return None if found is None else found.get("seed")


def _folder(path: Path) -> Path:
    return path.with_name(f"{path.name}.parts")


def _configuration(path: Path, folder: Path) -> dict[str, Any] | None:
    """The configuration of what is at a path, or in the folder of its parts; the latter also says how it is cut."""
    try:
        if path.exists():
            attrs = _attrs(path)
            if STOPPED not in attrs or not folder.exists():
                return json.loads(attrs[CONFIGURATION])
        return json.loads((folder / "configuration.json").read_text())
    except (OSError, ValueError, KeyError):
        return None


def _attrs(path: Path) -> dict[str, Any]:
    with xr.open_zarr(path, consolidated=False) as ds:
        return dict(ds.attrs)


class FitStore:
    """A result at ``path``, and beside it, until it is whole, a folder of its parts.

    A fit that a callback stopped has both: the result so far, whose attribute ``stopped`` says so, and the parts from which it goes on.

    Every file is written beside and moved into place, so a file that is there is whole. Only arrays and JSON are read, never code.

    Parameters
    ----------
    path : Path
        A local directory, made when the fit is done.
    configuration : mapping
        The fit as JSON values; another one is refused.
    resume : bool
        Go on with what is there. With False, anything there is an error.
    parts : list
        The fits that run together, for each part.

    Raises
    ------
    FileExistsError
        If something is there and ``resume`` is False.
    ValueError
        If something else is there; the differences are named, and it is left as it is.
    """

    def __init__(self, path: Path, configuration: dict[str, Any], resume: bool, parts: list[list[int]]) -> None:
        if ":/" in str(path):
            raise ValueError(f"store={str(path)!r}, needs a local directory. Fit there, and copy the finished store.")
        self.path, self.folder = path, _folder(path)
        self.configuration, self.parts = json.loads(canonical_json(configuration)), parts
        there = next((p for p in (self.path, self.folder) if p.exists()), None)
        if there is None:
            return
        if not resume:
            raise FileExistsError(f"{there} exists. To continue it leave out resume=False; else delete it or choose another path.")
        found = _configuration(self.path, self.folder)
        if found is None:
            raise ValueError(f"{there} is not a fit of xmass. Choose another path.")
        before = found.pop(_PARTS, parts)
        if found == self.configuration and before != parts:
            raise ValueError(f"{there} holds a fit in {len(before)} parts, this call has other ones. Give the chunks= of the first call.")
        if found != self.configuration:
            said = "; ".join(differences(found, self.configuration)[:5])
            raise ValueError(f"{there} holds another fit: {said}. Choose another path, or make the same call.")

    def lock(self) -> Lock:
        """Held while it is written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path.parent):
                pass
        except OSError as error:
            said = f"{type(error).__name__}: {error.strerror}"
            raise ValueError(f"store={str(self.path)!r} cannot be written ({said}). Choose a path in a directory of yours.") from None
        return Lock(self.path.with_name(f"{self.path.name}.lock"))

    def begin(self) -> None:
        """Make the folder of the parts."""
        self.folder.mkdir(exist_ok=True)
        _write(self.folder / "configuration.json", canonical_json(self.configuration | {_PARTS: self.parts}).encode())

    def state(self, part: int) -> Path:
        """The file of the state of a part that has not ended."""
        return self.folder / f"state-{part:05d}.npz"

    def _ended(self, part: int) -> Path:
        return self.folder / f"part-{part:05d}.npz"

    def has(self, part: int) -> bool:
        """Whether a part has ended."""
        return self._ended(part).exists()

    def keep(self, part: int, record: Recorder, outcome: Outcome) -> None:
        """Keep a part that has ended."""
        arrays = {name: np.asarray(getattr(record, name)) for name in _KEPT}
        for k, front in enumerate(outcome.fronts):
            arrays |= {f"front_c_{k}": front.c, f"front_losses_{k}": front.losses}
        endings = json.dumps([[e.status, e.note] for e in outcome.endings])
        write_arrays(self._ended(part), arrays | {"endings": np.asarray(endings)})
        self.state(part).unlink(missing_ok=True)

    def load(self, part: int, record: Recorder) -> Outcome:
        """Take up a part that has ended."""
        stored = read_arrays(self._ended(part))
        for name in _KEPT:
            setattr(record, name, stored[name] if stored[name].ndim else int(stored[name]))
        endings = tuple(Ending(*e) for e in json.loads(str(stored["endings"])))
        count = sum(n.startswith("front_c_") for n in stored)
        fronts = tuple(Front(stored[f"front_c_{k}"], stored[f"front_losses_{k}"]) for k in range(count))
        return Outcome(endings, fronts)

    @property
    def finished(self) -> bool:
        """Whether the whole result is there."""
        return self.path.exists() and STOPPED not in _attrs(self.path)

    def open(self) -> xr.Dataset:
        """The result, lazy."""
        return xr.open_zarr(self.path, consolidated=False)

    def finish(self, ds: xr.Dataset) -> xr.Dataset:
        """Write the result. If it is whole it is opened, and the parts are not needed any more; one that was stopped is returned as it is,
        since what is written is replaced once it goes on.
        """
        beside, before = (self.path.with_name(f"{self.path.name}.{end}") for end in ("part", "before"))
        for folder in (beside, before):
            shutil.rmtree(folder, ignore_errors=True)
        text = {n: c.astype(object) for n, c in ds.coords.items() if c.dtype.kind in "UT"}
        ds.assign_coords(text).to_zarr(beside, consolidated=False)
        if self.path.exists():  # of a fit that was stopped
            self.path.rename(before)
        beside.replace(self.path)
        shutil.rmtree(before, ignore_errors=True)
        if STOPPED in ds.attrs:
            return ds
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.open()


def _write(path: Path, data: bytes) -> None:
    beside = path.with_suffix(".part")
    with beside.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)
