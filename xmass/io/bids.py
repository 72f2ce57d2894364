"""The JSON files beside the tables of a BIDS dataset."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from xmass.io.guard import BROKEN, broken, content, fault
from xmass.io.text import decode

LARGEST = 10_000_000
ROOT = "dataset_description.json"
LEVELS = 5


def is_bids(file: Path) -> bool:
    """Whether a name is made of entities, as in ``sub-01_task-rest_timeseries.tsv``."""
    *entities, suffix = file.name.split(".")[0].split("_")
    return file.suffix == ".tsv" and bool(suffix) and "-" not in suffix and any(e.startswith("sub-") for e in entities)


def sidecar(file: Path) -> dict[str, Any]:
    """The metadata of a table: of its own JSON file, and of those above it that hold for it (the nearest wins)."""
    found: dict[str, Any] = {}
    for folder in reversed(_folders(file)):
        fitting = [path for path in folder.glob("*.json") if path.is_file() and _applies(path, file)]
        for path in sorted(fitting, key=lambda p: len(p.name.split("_"))):
            found |= _read(path)
    return found


def described(metadata: dict[str, Any]) -> dict[str, str | int | float]:
    """The metadata that are one value, as attributes."""
    return {f"bids_{key}": value for key, value in sorted(metadata.items()) if isinstance(value, str | int | float)}


def period(file: Path, metadata: dict[str, Any]) -> float | None:
    """The repetition time that metadata state, or the inverse of the sampling frequency [s]."""
    given = {name: metadata[name] for name in ("RepetitionTime", "SamplingFrequency") if name in metadata}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
            raise fault(file, f"its JSON file has {name}={value!r}, needs a positive number. Correct it, or remove it and give tr=.")
    periods = {name: value if name == "RepetitionTime" else 1 / value for name, value in given.items()}
    if len(periods) == 2 and not math.isclose(*periods.values(), rel_tol=1e-6):
        raise fault(file, f"its JSON file has {given}, which contradict each other, needs one period. Correct it.")
    return float(next(iter(periods.values()))) if periods else None


def _folders(file: Path) -> list[Path]:
    """The folder of a file, and those above it up to the root of its dataset; only the first if there is no root."""
    above = list(file.absolute().parents)[:LEVELS]  # not resolve(): annexed files are links
    roots = [i for i, folder in enumerate(above) if (folder / ROOT).is_file()]
    return above[: roots[0] + 1] if roots else above[:1]


def _suffix(file: Path) -> str:
    return file.name.split(".")[0].split("_")[-1]


def _applies(path: Path, file: Path) -> bool:
    *entities, suffix = path.stem.split("_")
    return suffix == _suffix(file) and set(entities) <= set(file.name.split(".")[0].split("_"))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(decode(path, content(path, LARGEST)))
    except ValueError as error:
        raise error if str(error).startswith(f"{path.name}: ") else broken(path, "JSON", error) from error
    except BROKEN as error:
        raise broken(path, "JSON", error) from error
    if not isinstance(value, dict):
        raise fault(path, f"it holds a JSON {type(value).__name__}, needs an object of names and values.")
    return value
