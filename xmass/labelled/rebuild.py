"""From arrays back to a labelled Dataset."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from xmass.core.model import Mixed
from xmass.core.observe import Node, Source
from xmass.labelled.execute import Arrays, sample_range
from xmass.labelled.monitors import Monitor
from xmass.labelled.parts import only_members
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import DIVERGED, INITIAL, LAG, LONG_NAME, REGION, REGION_OTHER, STEP, STEP_DT, UNITS, time_attrs
from xmass.labelled.units import factor


class DivergenceWarning(UserWarning):
    """Some runs left the finite numbers."""


def clock_values(resolved: Resolved, monitor: Monitor) -> np.ndarray:
    """Stamps of a series, in its clock's unit: the end of each step or period."""
    period = resolved.graph.nodes[monitor.node].period
    first, last = sample_range(resolved, period)
    return stamps(first, last, resolved.config.dt * period, monitor.clock_unit)


def stamps(first: int, last: int, period: float, unit: str) -> np.ndarray:
    """Ends of the periods ``first`` to ``last - 1`` (from 1) of ``period`` ms, in ``unit``."""
    scale = 1.0 if unit == "ms" else factor(unit, "ms")
    return np.arange(first, max(last, first)) * (period / scale)


def variable_dims(resolved: Resolved, monitor: Monitor) -> tuple[str, ...]:
    """Dims of a result variable."""
    return (*resolved.sizes, *monitor.dims)


def variable_shape(resolved: Resolved, monitor: Monitor) -> tuple[int, ...]:
    """Shape of a result variable."""
    regions = resolved.program.regions
    inner = (len(clock_values(resolved, monitor)) if d == monitor.clock else resolved.graph.size(d, regions) for d in monitor.dims)
    return (*resolved.sizes.values(), *inner)


def coordinates(resolved: Resolved) -> dict[str, xr.DataArray]:
    """Every coordinate that is known before a run."""
    found = dict(resolved.coords)
    for monitor in resolved.graph.monitors:
        if monitor.clock:
            attrs = time_attrs(monitor.clock_unit)
            found[monitor.clock] = xr.DataArray(clock_values(resolved, monitor), dims=monitor.clock, attrs=attrs)
        elif REGION_OTHER in monitor.dims:
            found[REGION_OTHER] = xr.DataArray(resolved.config.regions, dims=REGION_OTHER)
        found |= {d: resolved.graph.labels[d] for d in monitor.dims if d in resolved.graph.labels}
    return found


def labelled(resolved: Resolved, arrays: Arrays, attrs: dict[str, Any]) -> xr.Dataset:
    """Arrays of all runs with their dims, coordinates and attributes."""
    lead = tuple(resolved.sizes.values())
    variables = {}
    for monitor in resolved.graph.monitors:
        values = arrays.series[monitor.node] if monitor.clock else arrays.reductions[monitor.node]
        dims = variable_dims(resolved, monitor)
        shaped = values.reshape(variable_shape(resolved, monitor))
        mask = _members(resolved, resolved.graph.nodes[monitor.node])
        if mask is not None:
            shaped = only_members(shaped, mask, tuple(i for i, d in enumerate(dims) if d in (REGION, REGION_OTHER)))
        variables[monitor.name] = (dims, shaped, dict(monitor.attrs))
    coords: dict[str, Any] = {name: coord.variable for name, coord in coordinates(resolved).items()}
    coords[DIVERGED] = (tuple(resolved.sizes), ~arrays.finite.reshape(lead), {LONG_NAME: "the run left the finite numbers"})
    ds = xr.Dataset(variables, coords=coords, attrs=attrs)
    return ds.assign(_end_state(resolved, arrays, lead)) if resolved.request.restart else ds


def _members(resolved: Resolved, node: Node) -> np.ndarray | None:
    """With several models, the regions of the one that a series comes from."""
    while not isinstance(node.input, Source):
        if node.entries_in:
            return None
        node = resolved.graph.nodes[node.input]
    model = resolved.program.model
    return model.mask(node.input.name) if isinstance(model, Mixed) and node.input.kind != "function" else None


def _end_state(resolved: Resolved, arrays: Arrays, lead: tuple[int, ...]) -> dict[str, xr.DataArray]:
    counted = {LONG_NAME: "steps since time 0", STEP_DT: resolved.config.dt}
    found: dict[str, xr.DataArray] = {STEP: xr.DataArray(np.int64(resolved.stop), attrs=counted)}
    model = resolved.program.model
    for path, values in arrays.end.items():
        spec = resolved.specs.get(path)
        if isinstance(model, Mixed) and spec is not None and spec.members is not None:
            values = only_members(values, model.mask(path.removeprefix(f"{INITIAL}.")), (values.ndim - 1 if values.ndim == 2 else 1,))
        attrs = {UNITS: spec.unit} if spec is not None else {}
        if spec is not None and spec.inner:
            dims = (*resolved.sizes, *(d for d in spec.inner if d))
            shape = (*lead, *values.shape[1 : 1 + len(dims) - len(lead)])
            found[path] = xr.DataArray(values.reshape(shape), dims=dims, attrs=attrs)
        elif values.ndim == 3:
            newest_first = values[:, :, ::-1].transpose(0, 2, 1)
            lags = np.arange(newest_first.shape[1]) * resolved.config.dt
            data = xr.DataArray(newest_first.reshape(*lead, *newest_first.shape[1:]), dims=(*resolved.sizes, LAG, REGION), attrs=attrs)
            found[path] = data.assign_coords({LAG: (LAG, lags, {UNITS: "ms", LONG_NAME: "time before the end"})})
        else:
            found[path] = xr.DataArray(values.reshape(*lead, -1), dims=(*resolved.sizes, REGION), attrs=attrs)
    return found


def warn_diverged(diverged: xr.DataArray) -> None:
    """One warning that names the parameters of the first runs that diverged."""
    count = int(diverged.sum())
    if not count:
        return
    points = np.argwhere(diverged.values)[:3]
    said = []
    for point in points:
        at = diverged.isel(dict(zip(diverged.dims, point, strict=True)))
        named = {str(n): np.asarray(c.values)[()] for n, c in at.coords.items() if n != DIVERGED}
        positions = {str(d): int(i) for d, i in zip(diverged.dims, point, strict=True) if str(d) not in named}
        said.append(", ".join(f"{n}={v}" for n, v in {**positions, **named}.items()) or "the only run")
    more = f" and {count - len(said)} more" if count > len(said) else ""
    warnings.warn(
        f"{count} of {diverged.size} runs left the finite numbers (coordinate 'diverged'): {'; '.join(said)}{more}. "
        "Take a smaller dt, or look at these parameters.",
        DivergenceWarning,
        stacklevel=4,
    )
