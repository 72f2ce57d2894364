"""Inputs of a run: constants, labelled series held from sample to sample, and functions of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.core.model import NeuralMass
from xmass.labelled.parameters import Spec, input_unit
from xmass.labelled.schema import REGION, TIME
from xmass.labelled.suggest import nearest
from xmass.labelled.units import factor, to_declared
from xmass.labelled.values import Dims, Value, align_regions, to_value


@dataclasses.dataclass(frozen=True, eq=False)
class Stimulus:
    """One input: a constant, a series with its sample times [ms], or a function of the time in ms."""

    name: str
    value: Value | None = None
    times: np.ndarray | None = None
    function: Callable[[np.ndarray], Any] | None = None

    @property
    def constant(self) -> bool:
        return self.times is None and self.function is None

    def rows(self, sizes: dict[str, int], runs: np.ndarray, first: int, count: int, dt: float, regions: int) -> np.ndarray:
        """Values ``(count, region or 1, run or 1)`` at the start of each step from ``first`` on."""
        at = (first + np.arange(count)) * dt
        if self.function is not None:
            made = np.asarray(self.function(at), dtype=np.float64)
            if made.shape not in ((), (count,), (count, regions)):
                raise ValueError(
                    f"the function for input {self.name!r} returned shape {made.shape} for {count} times, needs ({count},) or "
                    f"({count}, {regions}): it is called with an array of times in ms."
                )
            made = np.broadcast_to(made, (count,)) if made.ndim == 0 else made
            if not np.isfinite(made).all():
                raise ValueError(f"the function for input {self.name!r} returned NaN or infinity between {at[0]:g} and {at[-1]:g} ms.")
            return made.reshape(count, -1, 1)
        assert self.times is not None
        assert self.value is not None
        index = np.clip(np.searchsorted(self.times, at + 1e-9 * max(dt, 1.0), side="right") - 1, 0, len(self.times) - 1)
        series = self.value.take(sizes, runs)
        picked = series[:, index]
        return (picked[:, :, None] if picked.ndim == 2 else picked).transpose(1, 2, 0)


def resolve_inputs(
    inputs: Mapping[str, Any] | None, model: NeuralMass, dims: Dims, regions: np.ndarray, start: float, stop: float
) -> tuple[Stimulus, ...]:
    """Check and convert ``inputs``; series must cover the time from ``start`` to ``stop`` ms."""
    found = []
    for name, raw in (inputs or {}).items():
        known = [i.name for i in model.inputs]
        if name not in known:
            raise KeyError(f"inputs has {name!r}, which {type(model).__name__} lacks{nearest(name, known)}")
        spec = Spec(f"inputs[{name!r}]", raw, input_unit(model, name), "")
        if callable(raw) and not isinstance(raw, xr.DataArray) and not hasattr(raw, "unit"):
            found.append(Stimulus(name, function=raw))
        elif isinstance(raw, xr.DataArray) and TIME in raw.dims:
            found.append(_series(name, raw, spec, dims, regions, start, stop))
        else:
            found.append(Stimulus(name, value=to_value(raw, spec, dims, regions)))
    return tuple(found)


def _series(name: str, raw: xr.DataArray, spec: Spec, dims: Dims, regions: np.ndarray, start: float, stop: float) -> Stimulus:
    if TIME not in raw.coords:
        raise ValueError(f"inputs[{name!r}] has the dim 'time' without times. Add them: .assign_coords(time=('time', times_in_ms)).")
    times = np.asarray(raw[TIME].values, dtype=np.float64) * factor(raw[TIME].attrs.get("units", "ms"), "ms")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError(f"the times of inputs[{name!r}] must be finite and increasing.")
    last = times[-1] + (times[-1] - times[-2] if len(times) > 1 else np.inf)
    slack = 1e-6 * max(abs(stop), 1.0)
    if times[0] > start + slack or last < stop - slack:
        raise ValueError(
            f"inputs[{name!r}] covers {times[0]:g} to {last:g} ms, the run goes from {start:g} to {stop:g} ms. A sample holds until the "
            "next: give samples for the whole run, zeros where there is no input."
        )
    value = to_declared(raw, spec.unit, spec.path)
    aligned = dims.align(align_regions(value, regions, spec.path))
    own = tuple(d for d in dims.sizes if d in aligned.dims)
    inner = (TIME, REGION) if REGION in aligned.dims else (TIME,)
    array = np.asarray(aligned.transpose(*own, *inner).values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"inputs[{name!r}] holds NaN or infinity; every sample must be finite.")
    return Stimulus(name, value=Value(own, array, inner), times=times)
