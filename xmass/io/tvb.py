"""Connectivity archives of The Virtual Brain: a zip file with a text file for each property."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from xmass.io.guard import bunzip, fault, members
from xmass.io.text import check_room, decode, split, table

NAMES = {
    "weights": "weights",
    "tract_lengths": "tract_lengths",
    "tracts": "tract_lengths",
    "centres": "centres",
    "centers": "centres",
    "areas": "areas",
    "area": "areas",
    "average_orientations": "orientations",
    "orientations": "orientations",
    "cortical": "cortical",
    "hemispheres": "hemispheres",
    "hemisphere": "hemispheres",
    "info": "info",
}
WIDTH = {"areas": 1, "orientations": 3, "cortical": 1, "hemispheres": 1}


class Archive(NamedTuple):
    """What a TVB archive holds, in the units that it states."""

    weights: np.ndarray
    lengths: np.ndarray | None
    labels: list[str]
    centres: np.ndarray
    more: dict[str, np.ndarray]
    """``areas``, ``orientations``, ``cortical``, ``hemisphere``, where it has them."""
    units: dict[str, str]


def read_archive(file: Path, max_bytes: int) -> Archive:
    """The content of an archive; its files lie at the top or one folder deep, some compressed with bzip2."""
    texts = _texts(file, members(file, max_bytes), max_bytes)
    if lacks := [name for name in ("weights", "centres") if name not in texts]:
        raise fault(
            file,
            f"it has no {', no '.join(f'{name}.txt' for name in lacks)}, needs the files of a TVB connectivity. It has {sorted(texts)}.",
        )
    labels, centres = _centres(file, texts["centres"])
    n = len(labels)
    matrices = {name: _block(file, name, texts[name], n, n) for name in ("weights", "tract_lengths") if name in texts}
    more: dict[str, Any] = {name: _block(file, name, texts[name], n, width) for name, width in WIDTH.items() if name in texts}
    more = {name: values[:, 0] if WIDTH[name] == 1 else values for name, values in more.items()}
    for name in ("cortical", "hemispheres"):
        if name in more and not np.isin(more[name], (0, 1)).all():
            raise fault(file, f"its {name}.txt has other values than 0 and 1, needs a flag for each region.")
    if "cortical" in more:
        more["cortical"] = more["cortical"].astype(bool)
    if "hemispheres" in more:
        more["hemisphere"] = np.where(more.pop("hemispheres") == 1, "R", "L")
    return Archive(matrices["weights"], matrices.get("tract_lengths"), labels, centres, more, _units(texts.get("info", "")))


def _texts(file: Path, read: dict[str, bytes], max_bytes: int) -> dict[str, str]:
    """The texts of the archive by property."""
    texts: dict[str, str] = {}
    for path, data in read.items():
        parts = PurePosixPath(path)
        name = parts.name.lower()
        if len(parts.parts) > 2 or name.startswith(".") or parts.parts[0] == "__MACOSX":
            continue
        packed = name.endswith(".bz2")
        stem = name.removesuffix(".bz2")
        if not stem.endswith(".txt") or stem.removesuffix(".txt") not in NAMES:
            continue
        key = NAMES[stem.removesuffix(".txt")]
        if key in texts:
            raise fault(file, f"it has {key} twice ({path!r} is the second), needs one connectome. Pack one folder.")
        data = bunzip(file, path, data, max_bytes) if packed else data
        check_room(file, data, max_bytes)
        texts[key] = decode(file, data, path)
    return texts


def _centres(file: Path, text: str) -> tuple[list[str], np.ndarray]:
    rows = split(file, text, None)
    if any(len(row) != 4 for row in rows):
        line = next(i for i, row in enumerate(rows, start=1) if len(row) != 4)
        raise fault(file, f"line {line} of its centres.txt is {' '.join(rows[line - 1])[:60]!r}, needs a label and three coordinates.")
    values = table(file, "\n".join(" ".join(row[1:]) for row in rows), None, header=False).values
    if not np.isfinite(values).all():
        raise fault(file, "its centres.txt has coordinates that are NaN or infinite, needs numbers.")
    return [row[0] for row in rows], values


def _block(file: Path, name: str, text: str, rows: int, columns: int) -> np.ndarray:
    values = table(file, text, None, header=False).values
    values = values.T if columns == 1 and values.shape == (1, rows) and rows > 1 else values
    if values.shape != (rows, columns):
        raise fault(file, f"its {name}.txt has shape {values.shape}, needs {(rows, columns)}: there are {rows} regions in centres.txt.")
    if not np.isfinite(values).all():
        raise fault(file, f"its {name}.txt has values that are NaN or infinite, needs numbers.")
    return values


def _units(text: str) -> dict[str, str]:
    """The units that info.txt states, as in ``length_unit = "mm"``."""
    return dict(re.findall(r'(\w+)_unit\s*=\s*"([^"\n]{1,20})"', text))
