"""Gains of sensors from positions."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.labelled.schema import LONG_NAME, REGION, SENSOR, UNITS
from xmass.labelled.units import dequantify, in_unit, to_declared
from xmass.observations import sphere

_NANO = 1e-9
_MILLI = 1e-3
_AXES = ("x", "y", "z")
Kind = Literal["eeg", "meg"]


def sphere_lead_field(
    sensors: xr.DataArray,
    sources: xr.DataArray,
    orientation: xr.DataArray | None = None,
    *,
    kind: Kind = "eeg",
    centre: xr.DataArray | None = None,
    radius: Any = None,
    conductivity: Any = 0.33,
    sensor_orientation: xr.DataArray | None = None,
) -> xr.DataArray:
    """Gain of sensors for dipoles in a sphere, in closed form: of potentials, or of magnetic fields.

    Parameters
    ----------
    sensors : DataArray
        Positions ``(sensor, xyz)`` [mm]. For potentials on or inside the sphere, for fields outside.
    sources : DataArray
        Positions ``(region, xyz)`` [mm], inside the sphere. Other dims (``subject``) are kept.
    orientation : DataArray, optional
        Direction of each region's dipole ``(region, xyz)``. It is taken as it is: a vector shorter than 1 is a weaker dipole. Without it
        dipoles point away from the centre, which only potentials see.
    kind : {"eeg", "meg"}
        Potential in a homogeneous conductor, or magnetic field outside any spherically symmetric one.
    centre : DataArray, optional
        Centre of the sphere ``(xyz)`` [mm]; the origin by default.
    radius : float or Quantity, optional
        Radius of the sphere [mm]; by default that on which the sensors lie: an error if they lie on none.
    conductivity : float or Quantity
        Of the sphere [S/m]; 0.33 is that of grey matter (Geddes, Baker 1967, doi:10.1007/BF02474537).
    sensor_orientation : DataArray, optional
        Direction ``(sensor, xyz)`` in which a magnetometer measures; by default away from the centre.

    Returns
    -------
    DataArray
        ``gain (..., sensor, region)`` in V/(nA m) or T/(nA m).

    Raises
    ------
    TypeError, ValueError
        If positions lack a dim, a source lies outside, or sensors lie where the formula does not hold.

    Notes
    -----
    Potential: Frank (1952), doi:10.1063/1.1701837; Yao (2000), doi:10.1088/0031-9155/45/4/305; its mean over the sphere is 0. Field:
    Sarvas (1987), doi:10.1088/0031-9155/32/1/004; a dipole towards the centre has none.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xmass as xm
    >>> top = xr.DataArray([[0.0, 0.0, 100.0]], dims=("sensor", "xyz"), coords={"sensor": ["Cz"]})
    >>> middle = xr.DataArray([[0.0, 0.0, 0.0]], dims=("region", "xyz"))
    >>> up = xr.DataArray([[0.0, 0.0, 1.0]], dims=("region", "xyz"))
    >>> gain = xm.sphere_lead_field(top, middle, up)              # 3 / (4 pi sigma R^2) in the middle
    >>> round(float(gain[0, 0]) * 1e6, 6), gain.attrs["units"]
    (0.072343, 'V/(nA*m)')
    """
    if kind not in ("eeg", "meg"):
        raise ValueError(f"kind={kind!r}, needs 'eeg' or 'meg'.")
    origin = 0.0 if centre is None else _vectors(centre, (), "centre", "mm")
    r, s = _vectors(sensors, (SENSOR,), "sensors", "mm") - origin, _vectors(sources, (REGION,), "sources", "mm") - origin
    far, deep = _length(r), _length(s)
    q = _outward(s, deep, kind) if orientation is None else _vectors(orientation, (REGION,), "orientation", "1")
    if kind == "meg":
        n = r / far if sensor_orientation is None else _vectors(sensor_orientation, (SENSOR,), "sensor_orientation", "1")
        if float(deep.max()) >= float(far.min()):
            raise ValueError(
                f"a sensor is {float(far.min()):g} mm from the centre and a source {float(deep.max()):g} mm: sensors are outside."
            )
        return _apply(_radial_field, (r, s, q, n), "T/(nA*m)", "magnetic field of a dipole in a sphere")
    size = _radius(far) if radius is None else in_unit(radius, "mm", "radius")
    if float(deep.max()) >= size:
        name = deep.where(deep == deep.max(), drop=True)[REGION].values.ravel()[:1].tolist() if REGION in deep.coords else ""
        raise ValueError(
            f"a source {name} is {float(deep.max()):g} mm from the centre, outside of radius={size:g} mm. Give centre= or radius=."
        )
    if float(far.max()) > size * (1 + 1e-9):
        raise ValueError(
            f"a sensor is {float(far.max()):g} mm from the centre, outside of radius={size:g} mm, where no current flows. Put them on the "
            f"sphere: sensors * {size:g} / numpy.sqrt((sensors**2).sum('xyz'))."
        )
    options = {"radius": size * _MILLI, "conductivity": in_unit(conductivity, "S/m", "conductivity")}
    return _apply(sphere.sphere_potential, (r, s, q), "V/(nA*m)", "potential of a dipole in a sphere", options)


def unbounded_lead_field(
    sensors: xr.DataArray, sources: xr.DataArray, orientation: xr.DataArray, *, conductivity: Any = 0.33
) -> xr.DataArray:
    """Gain of electrodes for dipoles in a conductor without a boundary: electrodes inside the brain.

    Parameters
    ----------
    sensors, sources : DataArray
        Positions ``(sensor, xyz)`` and ``(region, xyz)`` [mm]; no electrode is at a source.
    orientation : DataArray
        Direction of each region's dipole ``(region, xyz)``, taken as it is.
    conductivity : float or Quantity
        [S/m].

    Returns
    -------
    DataArray
        ``gain (..., sensor, region)`` in V/(nA m): the potential q . (r - s) / (4 pi sigma |r - s|^3).

    Raises
    ------
    TypeError, ValueError
        If positions lack a dim, or an electrode is at a source.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> contact = xr.DataArray([[0.0, 0.0, 10.0]], dims=("sensor", "xyz"))
    >>> source, up = (xr.DataArray([[0.0, 0.0, z]], dims=("region", "xyz")) for z in (0.0, 1.0))
    >>> round(float(xm.unbounded_lead_field(contact, source, up)[0, 0]) * 1e6, 4)
    2.4114
    """
    r, s = _vectors(sensors, (SENSOR,), "sensors", "mm"), _vectors(sources, (REGION,), "sources", "mm")
    if float(_length(r - s).min()) == 0.0:
        raise ValueError("an electrode is at a source, where the potential of a dipole is infinite. Move one of them.")
    options = {"conductivity": in_unit(conductivity, "S/m", "conductivity")}
    q = _vectors(orientation, (REGION,), "orientation", "1")
    return _apply(sphere.unbounded_potential, (r, s, q), "V/(nA*m)", "potential of a dipole in an unbounded conductor", options)


def _apply(
    function: Any, arguments: tuple[xr.DataArray, ...], unit: str, meaning: str, options: dict[str, float] | None = None
) -> xr.DataArray:
    """Gain in ``unit`` from lengths in mm."""
    lengths = [a * _MILLI if i < 2 else a for i, a in enumerate(arguments)]
    dims = [[SENSOR, "xyz"], [REGION, "xyz"], [REGION, "xyz"], [SENSOR, "xyz"]][: len(lengths)]
    gain = xr.apply_ufunc(function, *lengths, input_core_dims=dims, output_core_dims=[[SENSOR, REGION]], kwargs=options or {}, join="exact")
    kept = {*gain.dims}
    gain = gain.drop_vars([c for c in gain.coords if c not in kept]) * _NANO
    return gain.rename("gain").assign_attrs({UNITS: unit, LONG_NAME: meaning})


def _radial_field(sensor: np.ndarray, source: np.ndarray, moment: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return (sphere.sphere_field(sensor, source, moment) * direction[..., :, None, :]).sum(axis=-1)


def _outward(source: xr.DataArray, deep: xr.DataArray, kind: Kind) -> xr.DataArray:
    if kind == "meg":
        raise ValueError("dipoles that point away from the centre have no magnetic field. Give orientation=, (region, xyz).")
    if float(deep.min()) == 0.0:
        raise ValueError("a source is in the centre, from where every direction points away. Give orientation=, (region, xyz).")
    return source / deep


def electrodes_1020(radius: Any = 90.0) -> xr.DataArray:
    """The 21 electrodes of the international 10-20 system on a sphere.

    Parameters
    ----------
    radius : float or Quantity
        Radius of the sphere [mm].

    Returns
    -------
    DataArray
        Positions ``(sensor, xyz)`` in mm: x to the right, y to the front, z up, the centre in the origin.

    Notes
    -----
    By the definition (Jasper 1958, doi:10.1016/0013-4694(58)90053-1): steps of 10 and 20 % of the half circle from nasion to inion over
    Cz, of that from ear to ear, and of the circle through Fpz, T7, Oz and T8; F3, F4, P3 and P4 are midway between their neighbours.

    Examples
    --------
    >>> import xmass as xm
    >>> electrodes = xm.electrodes_1020()
    >>> electrodes.sel(sensor="Cz").values.tolist(), electrodes.sizes["sensor"]
    ([0.0, 0.0, 90.0], 21)
    """
    step = np.pi / 5  # 20 % of a half circle
    rim = ("Fpz", "Fp2", "F8", "T8", "P8", "O2", "Oz", "O1", "P7", "T7", "F7", "Fp1")
    turn = np.array([0, 0.5, 1.5, 2.5, 3.5, 4.5, 5, 5.5, 6.5, 7.5, 8.5, 9.5]) * step
    low = np.stack([np.sin(turn), np.cos(turn)], axis=1) * np.sin(2 * step)
    place = {name: np.array([x, y, np.cos(2 * step)]) for name, (x, y) in zip(rim, low, strict=True)}
    inner = {"Fz": (0, 1), "C4": (1, 0), "Pz": (0, -1), "C3": (-1, 0)}
    place |= {name: np.array([x * np.sin(step), y * np.sin(step), np.cos(step)]) for name, (x, y) in inner.items()}
    place["Cz"] = np.array([0.0, 0.0, 1.0])
    for name, a, b in (("F3", "F7", "Fz"), ("F4", "F8", "Fz"), ("P3", "P7", "Pz"), ("P4", "P8", "Pz")):
        between = place[a] + place[b]
        place[name] = between / np.linalg.norm(between)
    order = [
        "Fp1",
        "Fpz",
        "Fp2",
        "F7",
        "F3",
        "Fz",
        "F4",
        "F8",
        "T7",
        "C3",
        "Cz",
        "C4",
        "T8",
        "P7",
        "P3",
        "Pz",
        "P4",
        "P8",
        "O1",
        "Oz",
        "O2",
    ]
    values = in_unit(radius, "mm", "radius") * np.stack([place[name] for name in order])
    coords = {SENSOR: np.array(order, dtype=object), "xyz": list(_AXES)}
    about = {UNITS: "mm", LONG_NAME: "electrodes of the 10-20 system"}
    return xr.DataArray(values, dims=(SENSOR, "xyz"), coords=coords, attrs=about, name="location")


def _length(vectors: xr.DataArray) -> xr.DataArray:
    return (vectors**2).sum("xyz") ** 0.5


def _radius(far: xr.DataArray) -> float:
    low, high = float(far.min()), float(far.max())
    if high - low > 1e-6 * high:
        raise ValueError(
            f"sensors are between {low:g} and {high:g} mm from the centre, on no sphere. Put them on one: "
            "sensors * 100 / numpy.sqrt((sensors**2).sum('xyz')), or give radius= for electrodes inside."
        )
    return high


def _vectors(value: xr.DataArray, dims: tuple[str, ...], name: str, unit: str) -> xr.DataArray:
    """Vectors with their components along "xyz", last, in ``unit``."""
    if not isinstance(value, xr.DataArray):
        raise TypeError(f"{name} is a {type(value).__name__}, needs a DataArray with the dims {(*dims, 'xyz')}.")
    value = dequantify(value)
    lacking = [d for d in (*dims, "xyz") if d not in value.dims]
    if lacking or value.sizes["xyz"] != 3:
        raise ValueError(f"{name} has dims {dict(value.sizes)}, needs {(*dims, 'xyz')} with three components. Use .rename.")
    if "xyz" in value.coords:
        if set(value["xyz"].values.tolist()) != set(_AXES):
            raise ValueError(f"{name} has the components {value['xyz'].values.tolist()}, needs {list(_AXES)}.")
        value = value.sel(xyz=list(_AXES)).drop_vars("xyz")
    found = to_declared(value, unit, name)
    if not bool(np.isfinite(found).all()):
        raise ValueError(f"{name} holds NaN or infinity; every position must be finite.")
    return found.drop_attrs()
