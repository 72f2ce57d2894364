"""Equations, parameters and starts of the chaotic systems that :func:`xmass.datasets.chaotic_series` integrates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp

Numbers = Mapping[str, Any]
Slope = Callable[[Numbers, Numbers, Any, Any], tuple[Any, ...]]


@dataclass(frozen=True)
class ChaoticSystem:
    """A system: ``slope(parameters, state, time, delayed)`` is its derivative, or its next state if it is a map."""

    title: str
    slope: Slope
    equations: str
    parameters: Mapping[str, float]
    initial: Mapping[str, float]
    dt: float
    method: str = "rk4"
    delayed: str | None = None  # the variable that is read back by the parameter tau
    spread: float = 0.0  # width of the random part of the history
    source: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


def _henon(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    return 1 - p["a"] * s["x"] ** 2 + s["y"], p["b"] * s["x"]


def _logistic(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    return (p["mu"] * s["x"] * (1 - s["x"]),)


def _mackey_glass(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    return (p["beta"] * late / (1 + late ** p["n"]) - p["gamma"] * s["x"],)


def _lorenz(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y, z = s["x"], s["y"], s["z"]
    return p["sigma"] * (y - x), x * (p["rho"] - z) - y, x * y - p["beta"] * z


def _rabinovich_fabrikant(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y, z = s["x"], s["y"], s["z"]
    return y * (z - 1 + x**2) + p["gamma"] * x, x * (3 * z + 1 - x**2) + p["gamma"] * y, -2 * z * (p["alpha"] + x * y)


def _chen(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y, z = s["x"], s["y"], s["z"]
    return p["a"] * (y - x), (p["c"] - p["a"]) * x - x * z + p["c"] * y, x * y - p["b"] * z


def _lu_chen(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y, z = s["x"], s["y"], s["z"]
    return p["a"] * (y - x), x - x * z + p["c"] * y + p["u"], x * y - p["b"] * z


def _modified_lu_chen(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y, z = s["x"], s["y"], s["z"]
    f = p["d0"] * z + p["d1"] * late - p["d2"] * jnp.sin(late)
    return p["a"] * (y - x), (p["c"] - p["a"]) * x - x * f + p["c"] * y, x * y - p["b"] * z


def _chua(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y, z = s["x"], s["y"], s["z"]
    f = p["b"] * x + 0.5 * (p["a"] - p["b"]) * (abs(x + 1) - abs(x - 1))
    return p["alpha"] * (y - x) - p["alpha"] * f, x - y + z, -p["beta"] * y - p["gamma"] * z


def _modified_chua(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y, z = s["x"], s["y"], s["z"]
    return p["alpha"] * (y + p["b"] * jnp.sin(jnp.pi * x / (2 * p["a"]) + p["d"])), x - y + z, -p["beta"] * y


def _modified_lorenz(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y, z = s["x"], s["y"], s["z"]
    a, b, c = p["a"], p["b"], p["c"]
    q = 3 * jnp.sqrt(x**2 + y**2)
    dx = (-(a + 1) * x + a - c + z * y) / 3 + ((1 - a) * (x**2 - y**2) + 2 * (a + c - z) * x * y) / q
    dy = ((c - a - z) * x - (a + 1) * y) / 3 + (2 * (a - 1) * x * y + (a + c - z) * (x**2 - y**2)) / q
    return dx, dy, (3 * x**2 * y - y**3) / 2 - b * z


def _pwl_duffing(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    x, y = s["x"], s["y"]
    bend = 0.5 * (p["m0"] - p["m1"]) * (abs(x + 1) - abs(x - 1))
    return y, -p["m1"] * x - bend - p["e"] * y + (0.14 + p["i"] / 20) * jnp.cos(p["omega"] * t)


def _double_scroll(p: Numbers, s: Numbers, t: Any, late: Any) -> tuple[Any, ...]:
    v1, v2, current = s["v1"], s["v2"], s["i"]
    apart = v1 - v2
    diode = apart / p["r2"] + 2 * p["i_r"] * jnp.sinh(p["beta"] * apart)
    return v1 / p["r1"] - diode, diode - current, v2 - p["r4"] * current


XYZ_LORENZ = "x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z"
SYSTEMS: dict[str, ChaoticSystem] = {
    "lorenz": ChaoticSystem(
        "Lorenz system",
        _lorenz,
        XYZ_LORENZ,
        {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3},
        {"x": 8.0, "y": 1.0, "z": 1.0},
        0.01,
        source="Lorenz (1963), doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2",
    ),
    "double_scroll": ChaoticSystem(
        "double-scroll circuit",
        _double_scroll,
        "v1' = v1 / r1 - g, v2' = g - i, i' = v2 - r4 i; g = (v1 - v2) / r2 + 2 i_r sinh(beta (v1 - v2))",
        {"r1": 1.2, "r2": 3.44, "r4": 0.193, "beta": 11.6, "i_r": 2.25e-5},
        {"v1": 0.37926545, "v2": 0.058339, "i": -0.08167691},
        0.01,
        source="Gauthier, Bollt, Griffith & Barbosa (2021), doi:10.1038/s41467-021-25801-2",
    ),
    "mackey_glass": ChaoticSystem(
        "Mackey-Glass equation",
        _mackey_glass,
        "x' = beta x(t - tau) / (1 + x(t - tau)^n) - gamma x",
        {"beta": 2.0, "gamma": 1.0, "tau": 2.0, "n": 9.65},
        {"x": 1.2},
        0.1,
        delayed="x",
        spread=0.2,
        source="Mackey & Glass (1977), doi:10.1126/science.267326",
    ),
    "henon_map": ChaoticSystem(
        "Henon map",
        _henon,
        "x+ = 1 - a x^2 + y, y+ = b x",
        {"a": 1.4, "b": 0.3},
        {"x": 0.0, "y": 0.0},
        1.0,
        "map",
        source="Henon (1976), doi:10.1007/BF01608556",
    ),
    "logistic_map": ChaoticSystem(
        "logistic map",
        _logistic,
        "x+ = mu x (1 - x)",
        {"mu": 4.0},
        {"x": 0.2},
        1.0,
        "map",
        source="May (1976), doi:10.1038/261459a0",
    ),
    "rabinovich_fabrikant": ChaoticSystem(
        "Rabinovich-Fabrikant equations",
        _rabinovich_fabrikant,
        "x' = y (z - 1 + x^2) + gamma x, y' = x (3 z + 1 - x^2) + gamma y, z' = -2 z (alpha + x y)",
        {"alpha": 1.1, "gamma": 0.803},
        {"x": -1.0, "y": 0.0, "z": 0.5},
        0.001,
        source="Rabinovich & Fabrikant (1979), Sov. Phys. JETP 50, 311",
    ),
    "chen": ChaoticSystem(
        "Chen system",
        _chen,
        "x' = a (y - x), y' = (c - a) x - x z + c y, z' = x y - b z",
        {"a": 40.0, "b": 3.0, "c": 28.0},
        {"x": -0.1, "y": 0.5, "z": -0.6},
        0.001,
        source="Chen & Ueta (1999), doi:10.1142/S0218127499001024",
    ),
    "lu_chen": ChaoticSystem(
        "Lu-Chen system",
        _lu_chen,
        "x' = a (y - x), y' = x - x z + c y + u, z' = x y - b z",
        {"a": 36.0, "b": 3.0, "c": 20.0, "u": -15.15},
        {"x": 0.1, "y": 0.3, "z": -0.6},
        0.001,
        source="Lu & Chen (2002), doi:10.1142/S0218127402004620",
    ),
    "modified_lu_chen": ChaoticSystem(
        "modified Lu-Chen system",
        _modified_lu_chen,
        "x' = a (y - x), y' = (c - a) x - x f + c y, z' = x y - b z; f = d0 z + d1 z(t - tau) - d2 sin z(t - tau)",
        {"a": 36.0, "b": 3.0, "c": 20.0, "d0": 1.0, "d1": 1.0, "d2": 0.0, "tau": 0.2},
        {"x": 1.0, "y": 1.0, "z": 14.0},
        0.001,
        delayed="z",
        source="Lu & Chen (2002), doi:10.1142/S0218127402004620",
    ),
    "chua": ChaoticSystem(
        "Chua circuit",
        _chua,
        "x' = alpha (y - x - f), y' = x - y + z, z' = -beta y - gamma z; f = b x + (a - b) (|x + 1| - |x - 1|) / 2",
        {"alpha": 10.0, "beta": 14.514, "gamma": 0.0, "a": -1.197, "b": -0.646},
        {"x": 0.001, "y": 0.0, "z": 0.0},
        0.001,
        source="Matsumoto (1984), doi:10.1109/TCS.1984.1085459",
    ),
    "modified_chua": ChaoticSystem(
        "Chua circuit with a sine",
        _modified_chua,
        "x' = alpha (y + b sin(pi x / (2 a) + d)), y' = x - y + z, z' = -beta y",
        {"alpha": 10.82, "beta": 14.286, "a": 1.3, "b": 0.11, "d": 0.0},
        {"x": 1.0, "y": 1.0, "z": 0.0},
        0.001,
        source="Tang, Zhong, Chen & Man (2001), IEEE Trans. Circuits Syst. I 48, 1369",
    ),
    "modified_lorenz": ChaoticSystem(
        "modified Lorenz system",
        _modified_lorenz,
        "x' = (-(a + 1) x + a - c + z y) / 3 + ((1 - a) (x^2 - y^2) + 2 (a + c - z) x y) / q, "
        "y' = ((c - a - z) x - (a + 1) y) / 3 + (2 (a - 1) x y + (a + c - z) (x^2 - y^2)) / q, "
        "z' = (3 x^2 y - y^3) / 2 - b z; q = 3 sqrt(x^2 + y^2)",
        {"a": 10.0, "b": 8 / 3, "c": 137 / 5},
        {"x": -8.0, "y": 4.0, "z": 10.0},
        0.001,
        source="Miranda & Stone (1993), Phys. Lett. A 178, 105",
    ),
    "pwl_duffing": ChaoticSystem(
        "piecewise linear Duffing oscillator",
        _pwl_duffing,
        "x' = y, y' = -m1 x - (m0 - m1) (|x + 1| - |x - 1|) / 2 - e y + (0.14 + i / 20) cos(omega t)",
        {"e": 0.25, "m0": -0.0845, "m1": 0.66, "omega": 1.0, "i": -14.0},
        {"x": 0.0, "y": 0.0},
        0.001,
        source="the constants are those of the data sets of BrainPy",
    ),
}
