"""What a Trainer is, in JSON: for checkpoints, and for weights that are kept and read again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmass.core.model import declared_parameters, parameter_value
from xmass.core.param import Param
from xmass.fit.fingerprint import fingerprint
from xmass.labelled.provenance import VERSIONS, Encoder, canonical_json, decode, differences, versions
from xmass.training.checkpoint import CHECKSUM, content, exchange
from xmass.training.data import Frame
from xmass.training.frame import Column
from xmass.training.runs import Runs

if TYPE_CHECKING:
    from xmass.training.sequential import Sequential

FRAME, MODEL, SEED, COORDINATES = "frame", "model", "seed", "coordinates."


def said_model(model: Sequential) -> dict[str, Any]:
    """A network in JSON values."""
    encode = Encoder().encode
    layers = {name: encode(layer) for name, layer in zip(model.names, model.layers, strict=True)}
    params = {
        f"{name}.{d.name}": repr(value)
        for name, layer in zip(model.names, model.layers, strict=True)
        for d in declared_parameters(layer)
        if isinstance(value := parameter_value(layer, d.name), Param)
    }
    return {"layers": layers, "order": list(model.names), "params": params}


def said(value: Any) -> Any:
    """A loss, an optimiser or an option in JSON values."""
    if isinstance(value, Mapping):
        return {str(k): said(v) for k, v in value.items()}
    if value is None or isinstance(value, bool | str | int | float | np.generic | xr.DataArray | list | tuple):
        return Encoder().encode(value)
    try:
        return Encoder().encode(value) if not callable(value) or hasattr(value, "__dataclass_fields__") else fingerprint(value)
    except TypeError:
        return fingerprint(value)


def said_frame(frame: Frame) -> dict[str, Any]:
    """A frame in JSON values, from which :func:`frame_from` makes it."""
    encode = Encoder().encode

    def column(c: Column) -> dict[str, Any]:
        attrs = {str(k): v for k, v in c.attrs.items() if isinstance(v, str | int | float | bool)}
        coords = {str(d): encode(np.asarray(v)) for d, v in c.coords.items()}
        return {"name": c.name, "dims": [str(d) for d in c.dims], "sizes": [int(n) for n in c.sizes], "coords": coords, "attrs": attrs}

    return {
        "inputs": [column(c) for c in frame.inputs],
        "outputs": [column(c) for c in frame.outputs],
        "features": [str(d) for d in frame.features],
        "timed": frame.timed,
        "classes": None if frame.classes is None else encode(frame.classes),
        "dt": frame.dt,
        "time_unit": frame.time_unit,
    }


def frame_from(found: Mapping[str, Any]) -> Frame:
    """The frame that :func:`said_frame` gave."""

    def column(c: Mapping[str, Any]) -> Column:
        coords: dict[Hashable, Any] = {d: _labels(v) for d, v in c["coords"].items()}
        return Column(c["name"], tuple(c["dims"]), tuple(c["sizes"]), coords, dict(c["attrs"]))

    classes = None if found["classes"] is None else _labels(found["classes"])
    inputs, outputs = (tuple(column(c) for c in found[side]) for side in ("inputs", "outputs"))
    return Frame(inputs, outputs, tuple(found["features"]), found["timed"], classes, found["dt"], found["time_unit"])


def _labels(value: Any) -> np.ndarray:
    array = np.asarray(decode(value))
    return array.astype(str) if array.dtype.kind == "O" and all(isinstance(v, str) for v in array.ravel()) else array


def write_weights(
    path: str | Path, weights: xr.Dataset, coordinates: Mapping[str, Any], frame: Frame, model: Sequential, runs: Runs, overwrite: bool
) -> None:
    """Weights with what is needed to predict, as zarr; written beside and moved into place."""
    place = Path(path)
    if ":/" in str(path):
        raise ValueError(f"path={str(path)!r}, needs a local directory.")
    if place.exists() and overwrite and not (place / "zarr.json").exists():
        raise FileExistsError(f"{place} exists and is no zarr store, so it is not overwritten: choose another path.")
    if place.exists() and not overwrite:
        raise FileExistsError(f"{place} exists: choose another path, or save(path, overwrite=True).")
    ds = weights.copy()
    for name, value in coordinates.items():
        spread = runs.spread(np.asarray(value))
        ds[f"{COORDINATES}{name}"] = ((*runs.dims, f"{name}_coordinate"), spread)
    seed = runs.held.get("seed")
    ds.attrs = {
        FRAME: canonical_json(said_frame(frame)),
        MODEL: canonical_json(said_model(model)),
        SEED: canonical_json(None if seed is None else Encoder().encode(seed)),
        VERSIONS: canonical_json(versions()),
        CHECKSUM: content(ds),
    }
    text = {n: c.astype(object) for n, c in ds.coords.items() if c.dtype.kind in "UT"}
    beside = place.with_name(f"{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    ds.assign_coords(text).to_zarr(beside, consolidated=False)
    exchange(beside, place)


def read_weights(path: str | Path, model: Sequential) -> tuple[xr.Dataset, Frame, Any]:
    """Weights, frame and seed that :func:`write_weights` kept.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is something else, or the weights of another network: the differences are named.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is not there: save(path) of a trained Trainer makes it.")
    try:
        with xr.open_zarr(path, consolidated=False, chunks=None) as opened:
            ds = opened.load()
        frame, found, seed = (json.loads(ds.attrs[name]) for name in (FRAME, MODEL, SEED))
        whole = content(ds) == ds.attrs[CHECKSUM]
    except Exception as error:  # noqa: BLE001  whatever a damaged file makes zarr raise
        raise ValueError(f"{path} holds no weights of a Trainer, or is damaged ({type(error).__name__}: {error}).") from None
    if not whole:
        raise ValueError(f"{path} is damaged: its checksum differs. Save the weights again, or train again.")
    own = json.loads(canonical_json(said_model(model)))
    if found != own:
        raise ValueError(f"{path} holds the weights of another network: {'; '.join(differences(found, own)[:5])}.")
    return ds, frame_from(frame), decode(seed)
