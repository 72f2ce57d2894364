"""Chaotic series: a system by name, integrated in double precision, with every dimension of its starts and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.datasets.chaotic_systems import SYSTEMS, ChaoticSystem
from xmass.labelled.schema import LONG_NAME, TIME, UNITS
from xmass.labelled.suggest import nearest

SAMPLES = 10_000


def chaotic_series(
    name: str,
    *,
    duration: float | None = None,
    dt: float | None = None,
    parameters: Mapping[str, float | xr.DataArray] | None = None,
    initial: Mapping[str, float | xr.DataArray] | None = None,
    include_initial: bool = False,
    stack: str | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """A chaotic system, integrated in double precision from a known state.

    The differential equations are stepped by the classical Runge-Kutta method of fourth order; a delayed value is interpolated linearly
    within a step. The first sample is the state after the first step. The last bits of a machine decide what comes after some tens of
    Lyapunov times; before, a series is the same everywhere.

    Parameters
    ----------
    name : str
        ``"lorenz"``, ``"double_scroll"``, ``"mackey_glass"``, ``"henon_map"``, ``"logistic_map"``, ``"rabinovich_fabrikant"``,
        ``"chen"``, ``"lu_chen"``, ``"modified_lu_chen"``, ``"chua"``, ``"modified_chua"``, ``"modified_lorenz"``, ``"pwl_duffing"``.
    duration : float, optional
        Length of the series in the time of the equations, 10,000 steps if not given. For a map the number of steps.
    dt : float, optional
        Step, and time between samples; that of the system if not given. 1 for a map.
    parameters, initial : mapping of name to float or DataArray, optional
        Values that differ from those of the system. The dims of DataArrays are dims of the series.
    include_initial : bool
        Whether the initial state is the first sample, at time 0.
    stack : str, optional
        Name of a dim: one variable ``u`` with this dim, in place of a variable for each component.
    seed : int
        Of the random history, which only ``"mackey_glass"`` has: 1.2 + 0.2 (U - 1/2) in each slot of the delay.

    Returns
    -------
    Dataset
        One variable for each component, dims of the parameters and starts, then ``time``; without units, as is ``time``. A scalar
        parameter is in ``attrs``, one with dims is a coordinate, ``parameter.<name>`` or ``initial.<name>``.

    Raises
    ------
    KeyError
        If there is no system, parameter or component of a name.
    ValueError
        If the duration or the step is not positive, the first or a delay is no multiple of the second, or a delay has dims.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xmass as xm
    >>> rho = xr.DataArray([14.0, 28.0], dims="rho", coords={"rho": [14.0, 28.0]})
    >>> ds = xm.datasets.chaotic_series("lorenz", duration=20.0, parameters={"rho": rho})
    >>> dict(ds.x.sizes)
    {'rho': 2, 'time': 2000}
    """
    if name not in SYSTEMS:
        raise KeyError(f"there is no chaotic system {name!r}{nearest(name, SYSTEMS)}")
    system = SYSTEMS[name]
    dt = system.dt if dt is None else float(dt)
    duration = SAMPLES * dt if duration is None else float(duration)
    if not (duration > 0 and dt > 0):
        raise ValueError(f"duration={duration} and dt={dt}, needs positive numbers, as duration=100.0, dt=0.01.")
    if system.method == "map" and dt != 1.0:
        raise ValueError(f"dt={dt}, but {name} is a map, which steps by 1: leave dt out.")
    steps = _multiple(duration, dt, "duration")
    chosen = _chosen(system.parameters, parameters, f"{name} has no parameter")
    start = _chosen(system.initial, initial, f"{name} has no component")
    slots = 0
    if system.delayed:
        if isinstance(chosen["tau"], xr.DataArray) and chosen["tau"].ndim:
            raise ValueError(f"tau has dims {chosen['tau'].dims}, needs one number: join series with xr.concat([...], dim='tau').")
        slots = _multiple(float(chosen["tau"]), dt, "tau")
    labelled = {f"parameter.{k}": v for k, v in chosen.items()} | {f"initial.{k}": v for k, v in start.items()}
    arrays = dict(zip(labelled, xr.broadcast(*(xr.DataArray(v) for v in labelled.values())), strict=True))
    dims = next(iter(arrays.values())).dims
    series = _integrate(
        system,
        {k: arrays[f"parameter.{k}"].values.astype(np.float64) for k in chosen},
        {k: arrays[f"initial.{k}"].values.astype(np.float64) for k in start},
        steps=steps,
        dt=dt,
        history=_history(system, arrays, slots, seed),
    )
    first = 0 if include_initial else 1
    about = {UNITS: "1", "axis": "T", LONG_NAME: "time, in units of the equations"}
    time = np.round(np.arange(first, steps + 1) * dt, 12)
    out = xr.Dataset(
        {k: ((*dims, TIME), series[k][..., first:], {UNITS: "1", LONG_NAME: f"{k} of the {system.title}"}) for k in start},
        coords={TIME: (TIME, time, about)},
        attrs=_attrs(name, system, {k: v for k, v in chosen.items() if not np.ndim(v)}, start, dt, seed),
    )
    out = out.assign_coords({k: v for k, v in labelled.items() if isinstance(v, xr.DataArray) and v.ndim})
    if stack is None:
        return out
    whole = out.to_dataarray(stack).transpose(..., TIME, stack)
    whole.attrs = {UNITS: "1", LONG_NAME: f"state of the {system.title}"}
    return whole.to_dataset(name="u").assign_attrs(out.attrs)


def lorenz(*, duration: float = 100.0, dt: float = 0.01) -> xr.Dataset:
    """The Lorenz system from (8, 1, 1), integrated by the classical Runge-Kutta method of fourth order in double precision.

    ``x' = 10 (y - x)``, ``y' = x (28 - z) - y``, ``z' = x y - 8/3 z``. The first sample is the state after the first step. Beyond some 30
    units of time the last bits of a machine decide (the largest Lyapunov exponent is 0.9), before it the series is the same everywhere.
    Other parameters and starts: :func:`chaotic_series`.

    Parameters
    ----------
    duration : float
        Length of the series, in the unit of time of the equations.
    dt : float
        Step, and time between samples.

    Returns
    -------
    Dataset
        ``x(time)``, ``y(time)``, ``z(time)``, all without unit, as is ``time``.

    Raises
    ------
    ValueError
        If the duration or the step is not positive, or the first is no multiple of the second.

    References
    ----------
    Lorenz (1963), J. Atmos. Sci. 20, 130-141, doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.load_dataset("lorenz")
    >>> ds.sizes["time"], round(float(ds.x[0]), 6)
    (10000, 7.434661)
    """
    return chaotic_series("lorenz", duration=duration, dt=dt)


def _multiple(span: float, dt: float, what: str) -> int:
    count = round(span / dt)
    if count < 1 or abs(span / dt - count) > 1e-6 * count:
        raise ValueError(f"{what}={span} is no multiple of dt={dt}. The nearest one is {max(count, 1) * dt:g}.")
    return count


def _chosen(known: Mapping[str, float], given: Mapping[str, Any] | None, complaint: str) -> dict[str, Any]:
    for key in given or {}:
        if key not in known:
            raise KeyError(f"{complaint} {key!r}{nearest(key, known)}")
    return {k: (given or {}).get(k, v) for k, v in known.items()}


def _attrs(name: str, system: ChaoticSystem, scalars: Mapping[str, Any], start: Mapping[str, Any], dt: float, seed: int) -> dict[str, Any]:
    known = {k: float(v) for k, v in scalars.items()}
    fixed = {"initial": [float(v) for v in start.values()]} if not any(np.ndim(v) for v in start.values()) else {}
    return {
        "title": system.title,
        "provenance": "integrated at load: xmass.datasets." + ("lorenz" if name == "lorenz" else "chaotic_series"),
        "equations": system.equations,
        **known,
        **fixed,
        "method": system.method,
        "dt": dt,
        **({"generator_seed": seed} if system.spread else {}),
        "source": system.source,
    }


def _history(system: ChaoticSystem, arrays: Mapping[str, xr.DataArray], slots: int, seed: int) -> np.ndarray:
    """``(slots, ...)``, oldest first, without the present value."""
    if not system.delayed:
        return np.zeros(0)
    start = arrays[f"initial.{system.delayed}"].values.astype(np.float64)
    jitter = system.spread * (np.random.default_rng(seed).random(slots) - 0.5)
    return start + jitter.reshape(slots, *(1,) * start.ndim)


def _integrate(
    system: ChaoticSystem,
    parameters: Mapping[str, np.ndarray],
    start: Mapping[str, np.ndarray],
    *,
    steps: int,
    dt: float,
    history: np.ndarray,
) -> dict[str, np.ndarray]:
    """``(..., 1 + steps)`` of each component, the initial state first."""
    names = tuple(start)

    def moved(s: dict[str, Any], k: tuple[Any, ...], h: float) -> dict[str, Any]:
        return {n: s[n] + h * v for n, v in zip(names, k, strict=True)}

    def step(carry: tuple[dict[str, Any], Any], index: Any, p: Mapping[str, Any]) -> tuple[tuple[dict[str, Any], Any], dict[str, Any]]:
        s, past = carry
        late = after = middle = None
        if system.delayed:
            late, after = past[0], jnp.concatenate([past[1:], s[system.delayed][None]])[0]
            middle = (late + after) / 2
        t = index.astype(jnp.float64) * dt
        a = system.slope(p, s, t, late)
        if system.method == "map":
            new = dict(zip(names, a, strict=True))
        else:
            b = system.slope(p, moved(s, a, dt / 2), t + dt / 2, middle)
            c = system.slope(p, moved(s, b, dt / 2), t + dt / 2, middle)
            d = system.slope(p, moved(s, c, dt), t + dt, after)
            new = moved(s, tuple(ka + 2 * kb + 2 * kc + kd for ka, kb, kc, kd in zip(a, b, c, d, strict=True)), dt / 6)
        if system.delayed:
            past = jnp.concatenate([past[1:], s[system.delayed][None]])
        return (new, past), new

    with jax.enable_x64(True):
        p = {k: jnp.asarray(v) for k, v in parameters.items()}
        s0 = {k: jnp.asarray(v) for k, v in start.items()}
        run = jax.jit(lambda s, past, p: jax.lax.scan(lambda c, i: step(c, i, p), (s, past), jnp.arange(steps)))
        _, out = run(s0, jnp.asarray(history), p)
        return {n: np.moveaxis(np.concatenate([np.asarray(start[n])[None], np.asarray(out[n])]), 0, -1) for n in names}
