"""Electric potential and magnetic field of current dipoles, in closed form. Arrays in SI units, sensors by sources, numpy."""

from __future__ import annotations

import numpy as np

_MU_0 = 4e-7 * np.pi
"""Permeability of free space [H/m], as in the formulas of the sources: to 1e-9 of its measured value."""


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=-1, keepdims=True)


def _pairs(sensor: np.ndarray, source: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return sensor[..., :, None, :], source[..., None, :, :], moment[..., None, :, :]


def sphere_potential(sensor: np.ndarray, source: np.ndarray, moment: np.ndarray, *, radius: float, conductivity: float) -> np.ndarray:
    """Potential [V] in or on a homogeneous conducting sphere around the origin, in an insulator.

    ``sensor (..., S, 3)``, ``source (..., N, 3)`` [m], ``moment (..., N, 3)`` [A m]; returns ``(..., S, N)``. The mean over the surface
    is 0. From the Green function with no current through the surface (Frank 1952, doi:10.1063/1.1701837; Yao 2000,
    doi:10.1088/0031-9155/45/4/305): with d = |r - s| and p = |R^2 - r s| for the distance to the image of the source,

        4 pi sigma G = 1/d + R/p + ln(2 R^2 / (R^2 - r.s + p)) / R,    V = q . dG/ds
    """
    r, s, q = _pairs(sensor, source, moment)
    apart = r - s
    distance = np.sqrt(_dot(apart, apart))
    image = np.sqrt(_dot(r, r) * _dot(s, s) - 2 * radius**2 * _dot(r, s) + radius**4)
    slope = (_dot(r, r) * s - radius**2 * r) / image
    direct = apart / distance**3
    induced = -radius * slope / image**2 + (r - slope) / (radius * (radius**2 - _dot(r, s) + image))
    return _dot(q, direct + induced)[..., 0] / (4 * np.pi * conductivity)


def unbounded_potential(sensor: np.ndarray, source: np.ndarray, moment: np.ndarray, *, conductivity: float) -> np.ndarray:
    """Potential [V] in a conductor without a boundary; arguments as of :func:`sphere_potential`."""
    r, s, q = _pairs(sensor, source, moment)
    apart = r - s
    return (_dot(q, apart) / _dot(apart, apart) ** 1.5)[..., 0] / (4 * np.pi * conductivity)


def sphere_field(sensor: np.ndarray, source: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Magnetic field [T] ``(..., S, N, 3)`` outside a spherically symmetric conductor around the origin.

    Sarvas (1987, doi:10.1088/0031-9155/32/1/004), equation 25: it depends on neither the radius nor the conductivity.
    """
    r, s, q = _pairs(sensor, source, moment)
    apart = r - s
    a, b = np.sqrt(_dot(apart, apart)), np.sqrt(_dot(r, r))
    f = a * (b * a + b**2 - _dot(s, r))
    slope = (a**2 / b + _dot(apart, r) / a + 2 * a + 2 * b) * r - (a + 2 * b + _dot(apart, r) / a) * s
    turned = np.cross(q, s)
    return _MU_0 / (4 * np.pi) * (f * turned - _dot(turned, r) * slope) / f**2
