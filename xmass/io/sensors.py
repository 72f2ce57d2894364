"""Raw and Epochs of MNE, by their public methods; MNE itself is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from xmass.labelled.schema import LONG_NAME, SENSOR, TIME, UNITS, time_attrs

EPOCH = "epoch"
SI = {"eeg": "V", "seeg": "V", "ecog": "V", "dbs": "V", "mag": "T", "grad": "T/m", "eog": "V", "ecg": "V", "emg": "V", "bio": "V"}
KIND = {"mag": "meg", "grad": "meg"}


@runtime_checkable
class MNEObject(Protocol):
    """What MNE's ``Raw``, ``Epochs`` and their kin have in common."""

    ch_names: list[str]
    info: Any
    times: np.ndarray

    def get_data(self, picks: Any = None) -> np.ndarray: ...

    def get_channel_types(self, picks: Any = None) -> list[str]: ...


def read_mne(source: MNEObject, *, picks: str | Sequence[str] | None) -> xr.Dataset:
    """The signals of one type of channels, with their positions and bad channels; see :func:`xmass.io.read_recording`."""
    what = type(source).__name__
    try:
        picked = picks if picks is None or isinstance(picks, str) else list(picks)
        types = sorted(set(source.get_channel_types(picks=picked)))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{what}: picks={picks!r} choose no channels ({error}), needs a type or names: {source.ch_names[:5]} ..."
        ) from error
    if len(types) != 1:
        raise ValueError(f"{what}: it has channels of the types {types}, needs one. Give picks= one of them.")
    kind = types[0]
    if kind not in SI:
        raise ValueError(f"{what}: its channels are of type {kind!r}, needs one of {', '.join(SI)}. Give picks=.")
    names = _names(source, kind, picked)
    values = np.asarray(source.get_data(picks=names), dtype=np.float64)
    dims = (EPOCH, TIME, SENSOR) if values.ndim == 3 else (TIME, SENSOR)
    signal = np.swapaxes(values, -1, -2)
    if len(source.times) != signal.shape[-2] or len(names) != signal.shape[-1] or values.ndim not in (2, 3):
        raise ValueError(f"{what}: its data have shape {values.shape}, needs (..., {len(names)} channels, {len(source.times)} times).")
    if not np.isfinite(signal).all():
        flat = ~np.isfinite(signal).all(axis=tuple(range(signal.ndim - 1)))
        raise ValueError(f"{what}: the channels {np.array(names)[flat][:5].tolist()} have NaN, needs numbers. Leave them out with picks=.")
    name = KIND.get(kind, kind)
    about = {UNITS: SI[kind], LONG_NAME: f"recorded {name.upper()}", "channel_type": kind}
    ds = xr.Dataset({name: (dims, signal, about)})
    ds = ds.assign_coords(
        {
            TIME: (TIME, np.asarray(source.times, dtype=np.float64), time_attrs("s")),
            SENSOR: (SENSOR, names),
            "bad": (SENSOR, [n in source.info["bads"] for n in names], {LONG_NAME: "marked as bad"}),
        }
    )
    if (location := _positions(source, names)) is not None:
        ds["location"] = ((SENSOR, "xyz"), location, {UNITS: "mm", LONG_NAME: "position of the sensor, head coordinates"})
        ds = ds.assign_coords(xyz=["x", "y", "z"])
    events = getattr(source, "events", None)
    if values.ndim == 3 and events is not None and len(events) == len(values):
        ds = ds.assign_coords({"event": (EPOCH, np.asarray(events)[:, 2], {LONG_NAME: "code of the event"})})
    return ds.assign_attrs(source=f"MNE {what}", sampling_frequency=float(source.info["sfreq"]), sampling_frequency_units="Hz")


def _names(source: MNEObject, kind: str, picked: str | list[str] | None) -> list[str]:
    """Names of the chosen channels, in the order of the recording."""
    if isinstance(picked, list) and set(picked) <= set(source.ch_names):
        return picked
    types = source.get_channel_types()
    if isinstance(picked, str) and picked in source.ch_names:
        return [picked]
    return [name for name, own in zip(source.ch_names, types, strict=True) if own == kind]


def _positions(source: MNEObject, names: list[str]) -> np.ndarray | None:
    """Positions in mm; None unless all are known."""
    places = {channel["ch_name"]: np.asarray(channel["loc"][:3], dtype=np.float64) for channel in source.info["chs"]}
    found = np.array([places[name] for name in names])
    known = np.isfinite(found).all() and not (found == 0).all(axis=1).any()
    return 1000 * found if known else None
