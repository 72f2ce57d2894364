"""Maps over vertices and voxels, averaged over the parcels of a label file: GIFTI and CIFTI-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xmass.io.guard import fault
from xmass.io.imaging import open_cifti, open_gifti, read_gifti

BACKGROUND = ("", "???", "unknown", "medial_wall", "medialwall", "none")
"""Names of labels that are no parcel: FreeSurfer's and Workbench's names of what is outside."""


class Averages(NamedTuple):
    """Maps over parcels ``(map, parcel)``, and how many vertices of each have a number."""

    values: np.ndarray
    maps: list[str]
    labels: list[str]
    counts: np.ndarray
    sizes: np.ndarray


def average_gifti(file: Path, labels: Path, max_bytes: int) -> Averages:
    """The maps of a GIFTI file over the labels of another on the same surface."""
    surface = read_gifti(file, max_bytes)
    keys, names = _gifti_labels(labels, max_bytes)
    if surface.values.shape[1] != len(keys):
        raise fault(file, f"it has {surface.values.shape[1]} vertices and {labels.name} {len(keys)}, needs those of one surface.")
    number = surface.values.shape[0]
    return _averages(labels, surface.values, [str(i) for i in range(number)] if number > 1 else [""], keys, names)


def average_cifti(file: Path, labels: Path, max_bytes: int) -> Averages:
    """The maps of a ``.dscalar.nii`` file over the labels of a ``.dlabel.nii`` file; places are paired by structure and index."""
    values, (scalars, own) = open_cifti(file, max_bytes, wanted="dscalar")
    keys, (tables, theirs) = open_cifti(labels, max_bytes, wanted="dlabel")
    if len(keys) != 1:
        raise fault(labels, f"it has {len(keys)} parcellations, needs one. Take one out: wb_command -cifti-merge -column.")
    names = {int(key): str(label[0]) for key, label in tables.label[0].items()}
    place = {where: i for i, where in enumerate(_places(own))}
    found = np.array([place.get(where, -1) for where in _places(theirs)])
    spread = np.where(found >= 0, values[:, found], np.nan)
    maps = [str(name) for name in scalars.name]
    return _averages(labels, spread, maps if len(maps) > 1 else [""], _whole(labels, keys[0]), names)


def _gifti_labels(file: Path, max_bytes: int) -> tuple[np.ndarray, dict[int, str]]:
    image = open_gifti(file, max_bytes)
    arrays = [np.asarray(array.data) for array in image.darrays]
    if len(arrays) != 1 or arrays[0].ndim != 1 or arrays[0].dtype.kind not in "iuf":
        raise fault(file, f"it has arrays of shapes {[a.shape for a in arrays[:4]]}, needs one, with a label for each vertex (.label.gii).")
    names = {int(key): str(name) for key, name in image.labeltable.get_labels_as_dict().items()}
    if not names:
        raise fault(file, "it has no table of labels, needs the name of each: a .label.gii file.")
    return _whole(file, arrays[0]), names


def _whole(file: Path, keys: np.ndarray) -> np.ndarray:
    if not np.isfinite(keys).all() or (keys != np.rint(keys)).any():
        raise fault(file, "its labels are not whole numbers, needs the key of a label for each vertex.")
    return np.rint(keys).astype(np.int64)


def _places(axis: Any) -> list[tuple[Any, ...]]:
    """Structure, and vertex or voxel, of each entry."""
    return [
        (str(name), int(vertex)) if vertex >= 0 else (str(name), *map(int, voxel))
        for name, vertex, voxel in zip(axis.name, axis.vertex, axis.voxel, strict=True)
    ]


def _averages(file: Path, values: np.ndarray, maps: list[str], keys: np.ndarray, names: dict[int, str]) -> Averages:
    unnamed = sorted({int(key) for key in np.unique(keys)} - set(names))
    if unnamed:
        raise fault(file, f"it uses the labels {unnamed[:5]}, which its table does not name, needs a name for each.")
    parcels = {key: name for key, name in names.items() if name.strip().lower() not in BACKGROUND and (keys == key).any()}
    if not parcels:
        raise fault(file, f"none of its labels {list(names.values())[:5]} has a vertex and is a parcel, needs at least one.")
    good = np.isfinite(values)
    filled = np.where(good, values, 0.0)
    members = [np.flatnonzero(keys == key) for key in parcels]
    counts = np.stack([good[:, m].sum(axis=1) for m in members], axis=1)
    sums = np.stack([filled[:, m].sum(axis=1) for m in members], axis=1)
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return Averages(means, maps, list(parcels.values()), counts, np.array([len(m) for m in members]))
