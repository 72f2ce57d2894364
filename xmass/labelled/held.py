"""What drives an input during a run, as arrays: constants, series held from sample to sample, and shapes in time."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import xarray as xr

from xmass.core.waves import Wave
from xmass.labelled.parameters import Spec
from xmass.labelled.schema import LAG, REGION_OTHER, TIME
from xmass.labelled.units import to_declared
from xmass.labelled.values import Dims, Value, to_value

SLACK = 1e-6
"""Part of a step that counts as rounding."""


@dataclasses.dataclass(frozen=True, eq=False)
class Held:
    """An amplitude, constant or with sample times [ms], times the shape of a wave, if there is one."""

    amplitude: Value
    times: np.ndarray | None = None
    wave: Wave | None = None
    parts: dict[str, Value | None] = dataclasses.field(default_factory=dict)
    """Parameters of the wave by name."""

    @property
    def dims(self) -> set[str]:
        """The run dims of all its numbers."""
        return {d for v in (self.amplitude, *self.parts.values()) if v is not None for d in v.dims}

    def rows(self, sizes: dict[str, int], runs: np.ndarray, at: np.ndarray, slack: float) -> np.ndarray:
        """Values ``(time, region or 1, run or 1)`` at some times [ms]."""
        amplitude = _columns(self.amplitude, sizes, runs) if self.times is None else self._samples(sizes, runs, at, slack)
        if self.wave is None:
            return amplitude
        parts = SimpleNamespace(**{n: None if v is None else _columns(v, sizes, runs) for n, v in self.parts.items()})
        return amplitude * self.wave.shape(at[:, None, None], slack, parts)

    def _samples(self, sizes: dict[str, int], runs: np.ndarray, at: np.ndarray, slack: float) -> np.ndarray:
        """The last sample at or before each time: these times of these runs alone."""
        value, times = self.amplitude, self.times
        assert times is not None
        index = np.clip(np.searchsorted(times, at + slack, side="right") - 1, 0, len(times) - 1)
        position = dict(zip(sizes, np.unravel_index(runs, tuple(sizes.values())), strict=True)) if value.dims else {}
        own = tuple(position[d][:, None] for d in value.dims)
        picked = value.array[(*own, index[None, :])] if own else value.array[index][None]
        return (picked[:, :, None] if picked.ndim == 2 else picked).transpose(1, 2, 0)


def _columns(value: Value, sizes: dict[str, int], runs: np.ndarray) -> np.ndarray:
    """``(1, region or 1, run or 1)``."""
    taken = value.take(sizes, runs)
    return taken.reshape(len(taken), -1).T[None]


def held_series(raw: xr.DataArray, spec: Spec, dims: Dims, regions: np.ndarray, start: float, stop: float) -> Held:
    """A series over ``time`` that must cover the times from ``start`` to ``stop`` [ms]."""
    if TIME not in raw.coords:
        raise ValueError(f"{spec.path} has the dim 'time' without times. Add them: .assign_coords(time=('time', times_in_ms)).")
    times = np.asarray(to_declared(raw[TIME].reset_coords(drop=True), "ms", f"the time of {spec.path}"))
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError(f"the times of {spec.path} are not finite and increasing. Use .sortby('time').drop_duplicates('time').")
    other = [d for d in raw.dims if d in (REGION_OTHER, LAG)]
    if other:
        raise ValueError(f"{spec.path} has dims {raw.dims}, needs 'time' and, if it differs between regions, 'region', not {other[0]!r}.")
    last = times[-1] + (times[-1] - times[-2] if len(times) > 1 else np.inf)
    slack = SLACK * max(abs(stop), 1.0)
    if times[0] > start + slack or last < stop - slack:
        raise ValueError(
            f"{spec.path} covers {times[0]:g} to {last:g} ms, the run goes from {start:g} to {stop:g} ms. A sample holds until the "
            "next: give samples for the whole run, zeros where there is no input."
        )
    value = to_declared(raw, spec.unit, spec.path)
    if not np.isfinite(value.values).all():
        raise ValueError(f"{spec.path} holds NaN or infinity, needs finite samples: .fillna(0) or .interpolate_na('time').")
    return Held(to_value(value, spec, dims, regions, inner=(TIME,)), times=times)
