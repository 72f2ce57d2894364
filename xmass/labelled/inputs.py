"""Inputs of a run: constants, labelled series held from sample to sample, and functions of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.core.model import NeuralMass
from xmass.labelled.parameters import Spec, input_unit
from xmass.labelled.schema import LAG, REGION, REGION_OTHER, TIME
from xmass.labelled.suggest import nearest
from xmass.labelled.units import to_declared
from xmass.labelled.values import Dims, Value, align_regions, to_value


@dataclasses.dataclass(frozen=True, eq=False)
class Drive:
    """One input of a run: a constant, a series with its sample times [ms], or a function of the time in ms."""

    name: str
    value: Value | None = None
    times: np.ndarray | None = None
    function: Callable[[np.ndarray], Any] | None = None
    steps: tuple[int, int] = (0, 0)
    """First and last-plus-one step of the run: a function is asked for no other times."""

    @property
    def constant(self) -> bool:
        return self.times is None and self.function is None

    def rows(self, sizes: dict[str, int], runs: np.ndarray, first: int, count: int, dt: float, regions: int) -> np.ndarray:
        """Values ``(count, region or 1, run or 1)`` at the start of each step from ``first`` on."""
        at = (first + np.arange(count)) * dt
        if self.function is not None:
            before, inside = max(self.steps[0] - first, 0), max(min(self.steps[1] - first, count), 0)
            rows = self.called(at[before:inside], regions)
            return np.pad(rows, ((before, count - inside), (0, 0)))[:, :, None]
        assert self.times is not None
        assert self.value is not None
        index = np.clip(np.searchsorted(self.times, at + 1e-9 * max(dt, 1.0), side="right") - 1, 0, len(self.times) - 1)
        position = dict(zip(sizes, np.unravel_index(runs, tuple(sizes.values())), strict=True)) if self.value.dims else {}
        own = tuple(position[d][:, None] for d in self.value.dims)
        picked = self.value.array[(*own, index[None, :])] if own else self.value.array[index][None]  # these times of these runs alone
        return (picked[:, :, None] if picked.ndim == 2 else picked).transpose(1, 2, 0)

    def called(self, at: np.ndarray, regions: int) -> np.ndarray:
        """Values ``(time, region or 1)`` of the function at some times [ms]."""
        assert self.function is not None
        count = len(at)
        try:
            made = np.asarray(self.function(at))
        except Exception as error:
            error.add_note(f"raised by the function for input {self.name!r}, called with {count} times in ms.")
            raise
        if made.dtype.kind not in "iufb":
            raise TypeError(f"the function for input {self.name!r} returned {made.dtype} values, needs real numbers in the input's unit.")
        if made.shape not in ((), (count,), (count, 1), (count, regions)):
            raise ValueError(
                f"the function for input {self.name!r} returned shape {made.shape} for {count} times, needs ({count},) or "
                f"({count}, {regions}): it is called with an array of times in ms."
            )
        if not np.isfinite(made).all():
            raise ValueError(f"the function for input {self.name!r} returned NaN or infinity between {at[0]:g} and {at[-1]:g} ms.")
        made = np.broadcast_to(made, (count,)) if made.ndim == 0 else made
        return made.astype(np.float64).reshape(count, -1)


def resolve_inputs(
    inputs: Mapping[str, Any] | None, model: NeuralMass, dims: Dims, regions: np.ndarray, start: int, stop: int, dt: float
) -> tuple[Drive, ...]:
    """Check and convert ``inputs``; series must cover the steps from ``start`` to ``stop`` of ``dt`` ms."""
    found = []
    for name, raw in (inputs or {}).items():
        known = [i.name for i in model.inputs]
        if name not in known:
            raise KeyError(f"inputs has {name!r}, which {type(model).__name__} lacks{nearest(name, known)}")
        spec = Spec(f"inputs[{name!r}]", raw, input_unit(model, name), "")
        if callable(raw) and not isinstance(raw, xr.DataArray) and not hasattr(raw, "unit"):
            made = Drive(name, function=raw, steps=(start, stop))
            made.called(np.arange(start, min(start + 2, stop)) * dt, len(regions))  # a function that cannot be used is found here
            found.append(made)
        elif isinstance(raw, xr.DataArray) and TIME in raw.dims:
            found.append(_series(name, raw, spec, dims, regions, start * dt, stop * dt))
        else:
            found.append(Drive(name, value=to_value(raw, spec, dims, regions)))
    return tuple(found)


def _series(name: str, raw: xr.DataArray, spec: Spec, dims: Dims, regions: np.ndarray, start: float, stop: float) -> Drive:
    if TIME not in raw.coords:
        raise ValueError(f"inputs[{name!r}] has the dim 'time' without times. Add them: .assign_coords(time=('time', times_in_ms)).")
    times = np.asarray(to_declared(raw[TIME].reset_coords(drop=True), "ms", f"the time of inputs[{name!r}]"))
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError(f"the times of inputs[{name!r}] are not finite and increasing. Use .sortby('time').drop_duplicates('time').")
    other = [d for d in raw.dims if d in (REGION_OTHER, LAG)]
    if other:
        raise ValueError(
            f"inputs[{name!r}] has dims {raw.dims}, needs 'time' and, if it differs between regions, 'region', not {other[0]!r}."
        )
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
        raise ValueError(f"inputs[{name!r}] holds NaN or infinity, needs finite samples: .fillna(0) or .interpolate_na('time').")
    return Drive(name, value=Value(own, array, inner), times=times)
