"""Fitted readouts in zarr stores: numbers and JSON, no code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Hashable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xmass.training.checkpoint import content, exchange
from xmass.training.frame import Column
from xmass.training.grid import TrainedGrid
from xmass.training.layer import FeatureLayer
from xmass.training.nvar import NVAR
from xmass.training.reservoir import Reservoir
from xmass.training.trained import Trained

MARK = "xmass.readout"
VERSION = 1
LAYERS: dict[str, type[FeatureLayer]] = {"NVAR": NVAR, "Reservoir": Reservoir}


def save(model: Trained, path: str | Path) -> Path:
    """What :meth:`Trained.save` does."""
    said = _said(model)
    return _write(path, [("", said, model)], {})


def save_grid(model: TrainedGrid, path: str | Path) -> Path:
    """What :meth:`TrainedGrid.save` does."""
    parts = [(f"run-{i:05d}/", _said(m), m) for i, m in enumerate(model.runs)]
    coords = {str(n): {"dims": list(map(str, c.dims)), **_labels(c.values)} for n, c in model.index.coords.items()}
    return _write(path, parts, {"dims": list(map(str, model.index.dims)), "shape": list(model.index.shape), "coords": coords})


def load_trained(path: str | Path) -> Trained | TrainedGrid:
    """Read what ``save`` of a fitted :class:`NVAR` or :class:`Reservoir` kept.

    Parameters
    ----------
    path : path
        A zarr store.

    Returns
    -------
    Trained or TrainedGrid
        Its predictions are those of what was saved, bit for bit.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        If it is something else, damaged, or of a later version.

    Examples
    --------
    >>> import tempfile, xmass as xm
    >>> ds = xm.datasets.lorenz(duration=10.0)
    >>> model = xm.training.NVAR(orders=[2]).fit(ds, x=["x", "y", "z"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = xm.training.load_trained(model.save(f"{folder}/lorenz.zarr"))
    >>> again.predict(ds).identical(model.predict(ds))
    True
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is nothing at {path}: model.save({str(path)!r}) writes it.")
    said = _mark(path)
    if said is None:
        raise ValueError(f"{path} is no store of a fitted readout, needs one that model.save(path) wrote.")
    if said.get("version", 0) > VERSION:
        raise ValueError(f"{path} was written by a later version of xmass ({said['version']} after {VERSION}): update xmass.")
    try:
        models = [_read(path, group, one) for group, one in said["models"].items()]
        if "dims" not in said["grid"]:
            return models[0]
        grid = said["grid"]
        coords = {n: (c["dims"], _values(c)) for n, c in grid["coords"].items()}
        index = xr.DataArray(np.arange(len(models)).reshape(grid["shape"]), dims=grid["dims"], coords=coords, name="run")
        return TrainedGrid(index, tuple(models))
    except (KeyError, TypeError, IndexError, OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}): fit again, and save.") from error


def _said(model: Trained) -> dict[str, Any]:
    name = type(model.layer).__name__
    if LAYERS.get(name) is not type(model.layer):
        raise TypeError(f"the layer is a {name}, which cannot be saved, needs NVAR or Reservoir: keep model.weights, and build it again.")
    _check_estimator(model)
    options = {f.name: _plain(getattr(model.layer, f.name)) for f in fields(model.layer) if f.init}  # type: ignore[arg-type]
    return {
        "layer": name,
        "options": options,
        "inputs": [_column(c) for c in model.inputs],
        "outputs": [_column(c) for c in model.outputs],
        "features": list(map(str, model.features)),
        "dt": model.dt,
        "time_unit": model.time_unit,
        "ahead": model.ahead,
        "increment": model.increment,
        "path": None if model.path is None else str(model.path),
        "sha256": [content(model.weights), content(model.history)],
    }


def _check_estimator(model: Trained) -> None:
    """That the weights say all that an estimator of one's own does."""
    if model.estimator is None:
        return
    kind = type(model.estimator).__name__
    refused = TypeError(
        f"the readout is a {kind}, which is not its weights alone and cannot be saved without code: keep it with its own library "
        "(joblib, skops), or use Ridge() or a linear model with coef_ and intercept_."
    )
    if not model.weights:
        raise refused
    rng = np.random.default_rng(0)
    probe = rng.standard_normal((8, model.weights.sizes["feature"]))
    w, b = model.linear()
    said = np.asarray(model.estimator.predict(probe))
    if said.dtype.kind not in "fiu" or not np.allclose(said.reshape(8, -1), probe @ w + b, rtol=1e-6, atol=1e-9):
        raise refused


def _write(path: str | Path, parts: list[tuple[str, dict[str, Any], Trained]], grid: dict[str, Any]) -> Path:
    path = Path(path)
    if path.exists() and _mark(path) is None:
        raise FileExistsError(f"{path} exists and is no store of a fitted readout. It is left as it is: choose another path.")
    beside = path.with_name(f"{path.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    said = {"version": VERSION, "models": {group: one for group, one, _ in parts}, "grid": grid}
    xr.Dataset(attrs={MARK: json.dumps(said)}).to_zarr(beside, consolidated=False)
    for group, _, model in parts:
        for name, ds in (("weights", model.weights), ("history", model.history)):
            text = {n: c.astype(object) for n, c in ds.coords.items() if c.dtype.kind in "UT"}
            ds.assign_coords(text).to_zarr(beside, group=f"{group}{name}", consolidated=False, mode="a")
    exchange(beside, path)
    return path


def _mark(path: Path) -> dict[str, Any] | None:
    try:
        with xr.open_zarr(path, consolidated=False) as ds:
            said = json.loads(ds.attrs[MARK])
    except (OSError, KeyError, ValueError, TypeError):
        return None
    return said if isinstance(said, dict) else None


def _read(path: Path, group: str, said: dict[str, Any]) -> Trained:
    found = []
    for name in ("weights", "history"):
        with xr.open_zarr(path, group=f"{group}{name}", consolidated=False, decode_timedelta=False) as ds:
            found.append(_with_text(ds.load()))
    if [content(ds) for ds in found] != said["sha256"]:
        raise ValueError("its checksum differs")
    return Trained(
        layer=LAYERS[said["layer"]](**{k: tuple(v) if isinstance(v, list) else v for k, v in said["options"].items()}),
        weights=found[0],
        history=found[1],
        inputs=tuple(_from_column(c) for c in said["inputs"]),
        outputs=tuple(_from_column(c) for c in said["outputs"]),
        features=tuple(said["features"]),
        dt=said["dt"],
        time_unit=said["time_unit"],
        ahead=said["ahead"],
        increment=said["increment"],
        path=said["path"],
    )


def _with_text(ds: xr.Dataset) -> xr.Dataset:
    coords = {n: (c.dims, np.array(c.values.tolist(), dtype=str), c.attrs) for n, c in ds.coords.items() if c.dtype.kind in "OT"}
    return ds.assign_coords(coords).drop_encoding()


def _column(c: Column) -> dict[str, Any]:
    attrs = {str(k): _plain(v) for k, v in c.attrs.items() if isinstance(v, (str, bool, int, float, np.generic))}
    return {
        "name": c.name,
        "dims": list(map(str, c.dims)),
        "sizes": list(map(int, c.sizes)),
        "coords": {str(d): _labels(np.asarray(v)) for d, v in c.coords.items()},
        "attrs": attrs,
    }


def _from_column(said: dict[str, Any]) -> Column:
    coords: dict[Hashable, Any] = {d: _values(v) for d, v in said["coords"].items()}
    return Column(said["name"], tuple(said["dims"]), tuple(said["sizes"]), coords, said["attrs"])


def _labels(values: np.ndarray) -> dict[str, Any]:
    if values.dtype.kind == "O":
        values = values.astype(str)
    if values.dtype.kind in "mM":
        return {"dtype": values.dtype.str, "values": values.astype(np.int64).tolist()}
    return {"dtype": values.dtype.str, "values": values.tolist()}


def _values(said: dict[str, Any]) -> np.ndarray:
    return np.array(said["values"], dtype=said["dtype"])


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
