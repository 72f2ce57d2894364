"""What a run starts from: states, histories and the step from ``initial=`` and ``params``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.core.model import NeuralMass, Uniform
from xmass.labelled.parameters import Spec
from xmass.labelled.refuse import check_history
from xmass.labelled.schema import INITIAL, LAG, SEED, STEP, STEP_DT
from xmass.labelled.units import counted, to_declared
from xmass.labelled.values import Dims, Value, to_value


def in_steps_of(initial: Any, dt: float) -> Any:
    """``initial`` with its step counted in steps of ``dt`` ms; the end state of a run with another dt says in which it counts."""
    if not isinstance(initial, xr.Dataset) or STEP not in initial or STEP_DT not in initial[STEP].attrs:
        return initial
    step, old = first_step(initial), float(initial[STEP].attrs[STEP_DT])
    if abs(old - dt) <= 1e-9 * dt:
        return initial
    time = step * old
    new = round(time / dt)
    if abs(time / dt - new) > 1e-6 * max(1.0, new * 1e-3):
        raise ValueError(
            f"initial ends at {time:g} ms (step {step} of dt={old:g} ms), which is not a multiple of dt={dt:g} ms. Take a dt that divides "
            f"it, or start a new clock: initial.drop_vars({STEP!r})."
        )
    return initial.assign({STEP: xr.DataArray(np.int64(new), attrs={**initial[STEP].attrs, STEP_DT: dt})})


def first_step(initial: Any) -> int:
    """The step at which a run starts: where the continued one ended, else 0."""
    if isinstance(initial, xr.Dataset) and STEP in initial:
        steps = np.unique(np.asarray(initial[STEP].values))
        if len(steps) != 1:
            raise ValueError(f"initial has several values of {STEP!r}: {steps[:5].tolist()}. Continue from one time at once.")
        return int(steps[0])
    return 0


def initial_items(initial: Any, model: NeuralMass) -> list[tuple[str, Any]]:
    """What ``initial=`` sets, by path."""
    if initial is None:
        return []
    if isinstance(initial, xr.Dataset):
        names = [str(n) for n in initial.variables if str(n).startswith(f"{INITIAL}.") and n != STEP]
        states = {s.name for s in model.states}
        if not names and states & set(map(str, initial.data_vars)):
            raise ValueError(
                "initial is a Dataset without 'initial.<state>'. Continue from a result of run(..., restart=True), or give states: "
                "initial={'x': ds.x.isel(time=-1)}."
            )
        if not names:
            raise ValueError(f"initial is a Dataset with {sorted(map(str, initial.data_vars))}, needs 'initial.<state>' variables.")
        items = [(n, initial[n].drop_vars([c for c in initial[n].coords if c not in initial[n].dims])) for n in names]
        if SEED in initial.variables:
            items.append((SEED, initial[SEED].drop_vars([c for c in initial[SEED].coords if c not in initial[SEED].dims])))
        return items
    if isinstance(initial, Mapping):
        return [(str(n) if str(n).startswith(f"{INITIAL}.") else f"{INITIAL}.{n}", counted(v)) for n, v in initial.items()]
    raise TypeError(f"initial is a {type(initial).__name__}, needs a mapping of states, or a result of run(..., restart=True).")


def initial_values(
    given: dict[str, Any], specs: dict[str, Spec], dims: Dims, regions: np.ndarray
) -> tuple[dict[str, Value], dict[str, np.ndarray]]:
    """Initial values that are given or declared as numbers, and the lags [ms] of those that are histories."""
    found, lags = {}, {}
    for path, spec in specs.items():
        if not path.startswith(f"{INITIAL}."):
            continue
        raw = given.get(path, spec.value)
        if raw is None or isinstance(raw, Uniform):
            continue
        has_lag = isinstance(raw, xr.DataArray) and LAG in raw.dims
        if has_lag:
            raw = _lag_order(raw, path)
            lags[path] = np.asarray(raw[LAG].values, dtype=np.float64)
        found[path] = to_value(raw, spec, dims, regions, inner=(LAG,) if has_lag else ())
    return found, lags


def _lag_order(raw: xr.DataArray, path: str) -> xr.DataArray:
    if LAG not in raw.coords:
        raise ValueError(f"{path} has the dim 'lag' without lags. Add them in ms, 0 is the start: .assign_coords(lag=('lag', lags)).")
    lags = to_declared(raw[LAG].reset_coords(drop=True), "ms", f"the lag of {path}").values
    if not np.isfinite(lags).all() or (lags < 0).any():
        raise ValueError(
            f"{path} has negative or missing lags; lag is the time before the start in ms, 0 is the start, larger is earlier. "
            "Use .assign_coords(lag=-times)."
        )
    if len(np.unique(lags)) != len(lags):
        raise ValueError(f"{path} repeats lags, needs each once. Use .drop_duplicates('lag').")
    return raw.assign_coords({LAG: lags}).sortby(LAG)


def history_of(value: Value, lags: np.ndarray, count: int, dt: float, path: str, sizes: dict[str, int], runs: np.ndarray) -> np.ndarray:
    """A history as ``(run or 1, step, region or 1)`` for the last ``count`` steps, newest last, by linear interpolation in lag."""
    wanted = np.arange(count)[::-1] * dt
    check_history(lags, count, dt, path)
    taken = value.take(sizes, runs)
    upper = np.clip(np.searchsorted(lags, wanted - 1e-6 * dt), 0, len(lags) - 1)
    lower = np.maximum(upper - 1, 0)
    gap = np.where(upper > lower, lags[upper] - lags[lower], 1.0)
    part = np.where(upper > lower, np.clip((wanted - lags[lower]) / gap, 0.0, 1.0), 1.0)
    part = np.where(np.abs(part - 1.0) < 1e-9, 1.0, part)
    shape = (1, count) + (1,) * (taken.ndim - 2)
    low, high = taken[:, lower], taken[:, upper]
    mixed = np.where(part.reshape(shape) == 1.0, high, low * (1.0 - part.reshape(shape)) + high * part.reshape(shape))
    return mixed if mixed.ndim == 3 else mixed[:, :, None]
