"""What runs are called: their parameters and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.schema import DIVERGED, SEED
from xmass.scale.chunks import Box

_NOT_LABELS = (DIVERGED, "status")


def runs_of_store(store: Path, sizes: Mapping[str, int]) -> xr.DataArray:
    """False for every run of a store, with the coordinates of the sweep; without those that cannot be read."""
    empty = xr.DataArray(np.zeros(tuple(sizes.values()), bool), dims=tuple(sizes))
    try:
        with xr.open_zarr(store, consolidated=False, chunks=None) as ds:
            wanted = [n for n, c in ds.coords.items() if n not in _NOT_LABELS and set(c.dims) <= set(sizes) and (c.dims or n == SEED)]
            loaded = {n: ds.variables[n].load() for n in wanted}
    except Exception:  # noqa: BLE001  (damage of any kind: the runs are then named by their places)
        return empty
    text = {n: v.copy(data=np.array(v.values.tolist(), dtype=str).reshape(v.shape)) for n, v in loaded.items() if v.dtype.kind in "TO"}
    return empty.assign_coords(loaded | text)


def run_labels(over: xr.DataArray, at: tuple[int, ...]) -> dict[str, Any]:
    """Labels of one run: every coordinate along run dims, and its place along dims that have none."""
    box = tuple((i, i + 1) for i in at)
    return {name: values[0] for name, values in _values(over, box).items()}


def box_labels(over: xr.DataArray, box: Box) -> dict[str, str]:
    """Labels of a chunk: the value, or the first and last and how many."""
    said = {}
    for name, values in _values(over, box).items():
        same = bool((values == values[0]).all())
        said[name] = _short(values[0]) if same else f"{_short(values[0])} to {_short(values[-1])} ({len(np.unique(values))})"
    return said


def text_of(labels: Mapping[str, Any]) -> str:
    """Labels as text."""
    return ", ".join(f"{n}={_short(v)}" for n, v in labels.items()) or "the only run"


def _short(value: Any) -> str:
    """A number in six digits, anything else as it is."""
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _values(over: xr.DataArray, box: Box) -> dict[str, np.ndarray]:
    where = {str(d): slice(a, b) for d, (a, b) in zip(over.dims, box, strict=True)}
    named = {str(n): c for n, c in over.coords.items() if n not in _NOT_LABELS and set(c.dims) <= set(over.dims) and (c.dims or n == SEED)}
    named = dict(sorted(named.items(), key=lambda item: (item[0] == SEED, [over.dims.index(d) for d in item[1].dims])))
    told = {str(c.dims[0]) for c in named.values() if c.ndim == 1}
    found = {d: np.arange(s.start, s.stop) for d, s in where.items() if d not in told}
    return found | {n: np.asarray(c.isel({d: s for d, s in where.items() if d in c.dims}).values).ravel() for n, c in named.items()}
