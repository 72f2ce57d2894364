"""The embedded head: a sphere around the regions of a connectome, for sensors that are given no gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
import xarray as xr

from xmass.core.model import replace
from xmass.core.observe import Observation
from xmass.labelled.leadfield import electrodes_1020, sphere_lead_field
from xmass.labelled.network import Network
from xmass.labelled.schema import CENTRES, HEMISPHERE, LEAD_FIELD, ORIENTATIONS, REGION, UNITS
from xmass.labelled.units import dequantify, to_declared
from xmass.observations import EEG, MEG

SPHERE = "sphere"
"""The ``gain`` of a sensor that asks for the embedded head."""
AXES = "axes"
"""Attribute of positions: where x, y and z point, as in "RAS": to the right, to the front (anterior), up (superior)."""

_SCALP = 92 / 80
_COILS = 20.0
_LARGEST, _SMALLEST = 130.0, 20.0
_OPPOSITE = {"R": ("R", 1), "L": ("R", -1), "A": ("A", 1), "P": ("A", -1), "S": ("S", 1), "I": ("S", -1)}


def head_lead_field(connectome: xr.Dataset, *, kind: Literal["eeg", "meg"] = "eeg") -> xr.DataArray:
    """The gain that ``EEG`` and ``MEG`` take where they are given none: a sphere around the regions, and the 10-20 system.

    A stand-in that shows patterns. It knows nothing of the subject's head, has no skull, and its amplitudes are some times too large.

    Parameters
    ----------
    connectome : Dataset
        ``centres(region, xyz)`` [mm], whose ``attrs["axes"]`` say where x, y and z point: ``"RAS"`` for right, anterior, superior (MNI,
        CIFTI), ``"ALS"`` for the connectome of 76 regions of The Virtual Brain. If it has ``orientations(region, xyz)``, dipoles have
        them, as they are; otherwise they point away from the centre. ``hemisphere(region)`` ("L", "R"), where it is there, must agree.
    kind : {"eeg", "meg"}
        Electrodes of the 10-20 system on the sphere; or, 20 mm outside of each, a magnetometer that measures along the radius. A dipole
        that points away from the centre has no magnetic field, so ``"meg"`` needs ``orientations``.

    Returns
    -------
    DataArray
        ``gain (..., sensor, region)`` in V/(nA m) or T/(nA m); ``attrs["lead_field"]`` says how it was made.

    Raises
    ------
    TypeError, KeyError, ValueError
        If there are no centres, they do not say their axes, the hemispheres contradict these, or their size is not that of a head.

    Notes
    -----
    The centre is the middle of the range of the centres along each axis, over all subjects. The radius is the distance of the farthest
    one, times 92/80: scalp over brain in the spheres of Rush, Driscoll (1968, Anesthesia and Analgesia 47:717). The gain is that of
    :func:`xmass.sphere_lead_field` with :func:`xmass.electrodes_1020`.

    Examples
    --------
    >>> import xmass as xm
    >>> gain = xm.head_lead_field(xm.datasets.load_dataset("example_connectome"))
    >>> dict(gain.sizes), gain.attrs["lead_field"].split(",")[0]
    ({'sensor': 21, 'region': 8}, 'sphere of 41.5 mm around (0.5 -1.0 7.0) mm')
    """
    if kind not in ("eeg", "meg"):
        raise ValueError(f"kind={kind!r}, needs 'eeg' or 'meg'.")
    if not isinstance(connectome, xr.Dataset):
        raise TypeError(f"the connectome is a {type(connectome).__name__}, needs a Dataset with centres(region, xyz).")
    if CENTRES not in connectome.variables:
        raise KeyError(
            "the connectome has no centres of its regions for the embedded head. Give a gain, (sensor, region), as of "
            "xm.sphere_lead_field or xm.io.read_lead_field; or positions: connectome.assign(centres=...)."
        )
    given = dequantify(connectome[CENTRES])
    centres = _turned(to_declared(given, "mm", CENTRES), given.attrs.get(AXES))
    _check_sides(centres, connectome)
    others = [d for d in centres.dims if d != "xyz"]
    low, high = centres.min(others), centres.max(others)
    middle = (low + high) / 2
    farthest = float((((centres - middle) ** 2).sum("xyz") ** 0.5).max())
    if not _SMALLEST <= farthest <= _LARGEST:
        raise ValueError(
            f"the farthest of the centres is {farthest:g} mm from their middle, which is not the size of a head ({_SMALLEST:g} to "
            f"{_LARGEST:g} mm). Check their unit, centres.attrs['units'], or give a gain."
        )
    radius = farthest * _SCALP
    orientation = None
    if ORIENTATIONS in connectome.variables:
        normals = dequantify(connectome[ORIENTATIONS])
        orientation = _turned(to_declared(normals, "1", ORIENTATIONS), normals.attrs.get(AXES, given.attrs.get(AXES)))
    elif kind == "meg":
        raise KeyError(
            "the connectome has no orientations, and dipoles that point away from the centre have no magnetic field. Give a gain, "
            "(sensor, region), or the mean normals of the regions: connectome.assign(orientations=...), (region, xyz)."
        )
    sensors = electrodes_1020(radius if kind == "eeg" else radius + _COILS) + middle.drop_attrs()
    gain = sphere_lead_field(sensors, centres, orientation, kind=kind, centre=middle)
    where = " ".join(f"{v:.1f}" for v in middle.values.tolist())
    placed = (
        "21 electrodes of the 10-20 system" if kind == "eeg" else f"magnetometers {_COILS:g} mm outside the 21 places of the 10-20 system"
    )
    pointing = "dipoles away from the centre" if orientation is None else "dipoles along the orientations of the connectome"
    conducting = ", 0.33 S/m" if kind == "eeg" else ""
    return gain.assign_attrs({LEAD_FIELD: f"sphere of {radius:.1f} mm around ({where}) mm{conducting}, {placed}, {pointing}"})


def with_lead_fields(monitors: Any, places: xr.Dataset | None) -> Any:
    """Monitors in which every sensor has a gain: that of the embedded head where it was given none."""
    if isinstance(monitors, Mapping):
        return {name: _with_gain(what, name, places) for name, what in monitors.items()}
    return monitors


def places_in(system: Any) -> xr.Dataset | None:
    """The positions that a system has; None for nodes without a connectome."""
    return system.places if isinstance(system, Network) else None


def _with_gain(what: Any, name: str, places: xr.Dataset | None) -> Any:
    if not isinstance(what, Observation):
        return what
    changed: dict[str, Any] = {}
    of = getattr(what, "of", None)
    inner = _with_gain(of, name, places)
    if inner is not of:
        changed["of"] = inner
    if isinstance(what, EEG | MEG) and isinstance(what.gain, str):
        changed["gain"] = _gain(what, name, places)
    return replace(what, changed) if changed else what


def _gain(sensor: EEG | MEG, name: str, places: xr.Dataset | None) -> xr.DataArray:
    kind: Literal["eeg", "meg"] = "eeg" if isinstance(sensor, EEG) else "meg"
    if sensor.gain != SPHERE:
        raise ValueError(f"monitor {name!r}: gain={sensor.gain!r}, needs a DataArray (sensor, region), or {SPHERE!r}.")
    if places is None:
        raise KeyError(
            f"monitor {name!r} is given no gain, and the regions have no centres to make one from. Give it, "
            f"{type(sensor).__name__}(..., gain=xm.sphere_lead_field(sensors, sources)), with the dims (sensor, region); or give positions "
            "with the connectome: connectome.assign(centres=...), (region, xyz) in mm."
        )
    try:
        gain = head_lead_field(places, kind=kind)
    except (KeyError, ValueError) as error:
        raise type(error)(f"monitor {name!r} is given no gain, so that it takes the embedded head: {error.args[0]}") from None
    return gain if sensor.dim == "sensor" else gain.rename(sensor=sensor.dim)


def _turned(vectors: xr.DataArray, axes: Any) -> xr.DataArray:
    """Vectors with x to the right, y to the front and z up."""
    wanted = f"needs one letter of each of R or L, A or P, S or I: {CENTRES}.attrs['{AXES}'] = 'RAS' where x points to the right, y to the "
    wanted += "front (anterior) and z up (superior)."
    if axes is None:
        raise ValueError(f"the {CENTRES} do not say where their axes point; {wanted}")
    letters = [_OPPOSITE.get(letter) for letter in str(axes)]
    if len(letters) != 3 or None in letters or {cast(Any, pair)[0] for pair in letters} != set("RAS"):
        raise ValueError(f"the {CENTRES} have axes {axes!r}; {wanted}")
    if "xyz" not in vectors.dims or REGION not in vectors.dims or vectors.sizes["xyz"] != 3:
        raise ValueError(f"{CENTRES} and {ORIENTATIONS} have the dims (region, xyz), came {vectors.dims}.")
    if "xyz" in vectors.coords:
        vectors = vectors.sel(xyz=["x", "y", "z"])
    order, sign = zip(*(cast(Any, pair) for pair in letters))
    place = [order.index(letter) for letter in "RAS"]
    turned = vectors.isel(xyz=place).drop_vars("xyz", errors="ignore") * xr.DataArray(np.array(sign)[place], dims="xyz")
    return turned.assign_coords(xyz=["x", "y", "z"]).assign_attrs({UNITS: vectors.attrs.get(UNITS, "1")})


def _check_sides(centres: xr.DataArray, connectome: xr.Dataset) -> None:
    if HEMISPHERE not in connectome.variables or connectome[HEMISPHERE].dims != (REGION,):
        return
    side = connectome[HEMISPHERE].values
    across = centres.sel(xyz="x", drop=True)
    left, right = (across.isel({REGION: np.flatnonzero(side == s)}) for s in "LR")
    if left.size and right.size and float(left.mean()) >= float(right.mean()):
        raise ValueError(
            f"the regions of the left hemisphere are at x = {float(left.mean()):g} mm on average and those of the right at "
            f"{float(right.mean()):g} mm, turned by axes={connectome[CENTRES].attrs.get(AXES)!r}: these axes are not those of the centres."
        )
