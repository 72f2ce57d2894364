"""One term of a stimulus: an amplitude over regions and runs times a shape in time."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import numpy as np
import xarray as xr

from xmass.core.waves import Wave
from xmass.labelled.held import SLACK, Held, held_series
from xmass.labelled.parameters import Spec
from xmass.labelled.regions import align_regions
from xmass.labelled.schema import LAG, REGION, REGION_OTHER, TIME, UNITS
from xmass.labelled.unit_bridge import canonical, is_brainunit, is_pint
from xmass.labelled.units import dequantify, to_declared
from xmass.labelled.values import Dims, to_value

_SHOWN = 3


class Term(eqx.Module):
    """An amplitude times the shape of a wave; without a wave a constant, or a series over ``time``.

    A term with region labels reaches those regions and is 0 in all others. All numbers are DataArrays: the amplitude in its own unit,
    or without one in that of the input, the parameters of the wave in theirs.
    """

    name: str
    amplitude: xr.DataArray
    wave: Wave | None = None

    def __check_init__(self) -> None:
        known: tuple[str, list[Any]] | None = None
        for origin, array in self.arrays():
            if REGION not in array.dims:
                continue
            labels = array[REGION].values.tolist() if REGION in array.coords else list(range(array.sizes[REGION]))
            if repeated := sorted(str(v) for v, n in Counter(labels).items() if n > 1):
                raise ValueError(f"{origin} repeats the regions {repeated}: each region once.")
            if known is not None and set(known[1]) != set(labels):
                raise ValueError(
                    f"{origin} and {known[0]} have different regions, {labels[:5]} and {known[1][:5]}: a term reaches one set of regions. "
                    "Select the same, or add two stimuli."
                )
            known = origin, labels

    def parts(self) -> dict[str, xr.DataArray]:
        """Parameters of the wave that are given."""
        values = {} if self.wave is None else {n: getattr(self.wave, n) for n in self.wave.units}
        return {n: v for n, v in values.items() if v is not None}

    def arrays(self) -> list[tuple[str, xr.DataArray]]:
        """All numbers, with names for messages."""
        return [(f"{n} of the {self.name}", v) for n, v in (("amplitude", self.amplitude), *self.parts().items())]

    @property
    def labels(self) -> list[Any] | None:
        """The regions that it reaches; None where it has no region labels."""
        return next((v[REGION].values.tolist() for _, v in self.arrays() if REGION in v.dims and REGION in v.coords), None)

    @property
    def span(self) -> tuple[float, float]:
        """A time [ms] at which all of it has been seen, and the length of its shortest part; 0 and infinity of a constant."""
        if self.wave is not None:
            bounds = {n: (float(v.min()), float(v.max())) for n, v in self.parts().items()}
            empty = dict.fromkeys(self.wave.units)
            ends = [self.wave.span(SimpleNamespace(**{**empty, **{n: b[i] for n, b in bounds.items()}})) for i in (0, 1)]
            return max(e for e, _ in ends), min(s for _, s in ends)
        if TIME in self.amplitude.coords:
            times = stamps(self.amplitude[TIME], "the time of the series")
            return (float(2 * times[-1] - times[-2]), float(np.diff(times).min())) if times.size > 1 else (float(times[0]), np.inf)
        return 0.0, np.inf

    def times(self, factor: xr.DataArray) -> Term:
        """The same with its amplitude multiplied by numbers without a unit."""
        if (unit := factor.attrs.get(UNITS, "1")) != "1":
            raise ValueError(f"a stimulus is multiplied by numbers without a unit, this factor is in {unit}: give it as amplitude=.")
        dims = Dims()
        dims.add(self.amplitude, f"amplitude of the {self.name}", skip=(TIME,))
        dims.add(factor, "the factor", skip=(TIME,))
        factor = dims.align(factor)
        if REGION in factor.coords and REGION in self.amplitude.coords:
            factor = align_regions(factor, self.amplitude[REGION].values, "the factor")
        amplitude = (self.amplitude * factor).drop_attrs(deep=False).assign_attrs(self.amplitude.attrs)
        return Term(self.name, amplitude, self.wave)

    def hold(self, spec: Spec, dims: Dims, regions: np.ndarray, start: float, stop: float, dt: float) -> Held:
        """As arrays: in the unit of the input, on the regions of the system, run dims aligned by label."""
        name = f"{spec.path} ({self.name})"
        amplitude, parts = self._on(regions, regions if spec.members is None else spec.members, name)
        spec = spec._replace(path=name, value=amplitude)
        if self.wave is None:
            if TIME in amplitude.dims:
                return held_series(amplitude, spec, dims, regions, start, stop)
            return Held(to_value(amplitude, spec, dims, regions))
        shortest = self.span[1]
        if shortest < dt * (1 - SLACK):
            raise ValueError(
                f"{name} has {self.wave.shortest} of {shortest:g} ms, less than dt={dt:g} ms: a step takes the stimulus at its start, and "
                f"would miss it. Take at least {dt:g} ms, or a smaller dt."
            )
        found = {
            n: to_value(v, spec._replace(path=f"{n} of {name}", value=v, unit=self.wave.units[n]), dims, regions) for n, v in parts.items()
        }
        return Held(to_value(amplitude, spec, dims, regions), wave=self.wave, parts={**dict.fromkeys(self.wave.units), **found})

    def _on(self, regions: np.ndarray, driven: np.ndarray, name: str) -> tuple[xr.DataArray, dict[str, xr.DataArray]]:
        """Amplitude and parameters on all regions of the system: an amplitude of 0 where the term does not reach.

        ``driven`` are the regions that have the input.
        """
        labels, parts, amplitude = self.labels, self.parts(), self.amplitude
        if labels is None:
            return amplitude, parts
        known = set(driven.tolist())
        if unknown := [str(v) for v in labels if v not in known]:
            shown, which = f"{driven.tolist()[:5]}{'...' if len(driven) > 5 else ''}", "system" if len(driven) == len(regions) else "model"
            raise ValueError(f"{name} has unknown {unknown[:5]} along 'region'; the {which} has the regions {shown}. Take some of those.")
        if REGION not in amplitude.dims:
            amplitude = on_regions(amplitude, labels)
        wide = {n: v.reindex({REGION: regions}).fillna(v.isel({REGION: 0}, drop=True)) if REGION in v.dims else v for n, v in parts.items()}
        return amplitude.reindex({REGION: regions}, fill_value=0.0), wide

    def __str__(self) -> str:
        given = [_written(self.amplitude), *(f"{n}={_written(v)}" for n, v in self.parts().items())]
        if (labels := self.labels) is not None:
            given.append(f"region=[{', '.join(map(repr, labels[:_SHOWN]))}{', ...' if len(labels) > _SHOWN else ''}]")
        return f"{self.name}({', '.join(given)})"


def _written(value: xr.DataArray) -> str:
    """A number, or the dims of several, with the unit where it is not the expected one."""
    unit = value.attrs.get(UNITS, "1")
    if REGION in value.dims and bool((value == value.isel({REGION: 0})).all()):
        value = value.isel({REGION: 0})  # where it goes is written apart
    text = f"<{', '.join(f'{d}: {n}' for d, n in value.sizes.items())}>" if value.ndim else f"{float(value):g}"
    return text if unit == "1" else f"{text} {unit}"


def stamps(coord: xr.DataArray, name: str) -> np.ndarray:
    """Times in ms."""
    return np.asarray(to_declared(coord.reset_coords(drop=True), "ms", name))


def on_regions(amplitude: xr.DataArray, labels: list[Any]) -> xr.DataArray:
    """The same amplitude on some regions."""
    where = np.empty(len(labels), dtype=object)
    where[:] = labels
    made = amplitude.expand_dims({REGION: len(labels)}, axis=-1).copy()
    return made.assign_coords({REGION: where if any(isinstance(v, str) for v in labels) else np.asarray(labels)})


def amplitude_of(value: Any, name: str, *, time: bool = False) -> xr.DataArray:
    """An amplitude in its own unit; a bare number has none."""
    unit = value.unit if is_brainunit(value, "Quantity") else value.units if is_pint(value, "Quantity") else None
    if isinstance(value, xr.DataArray):
        unit = dequantify(value).attrs.get(UNITS)
    return _array(value, None if unit is None else canonical(unit), name, time=time)


def part_of(value: Any, unit: str, name: str) -> xr.DataArray:
    """A parameter of a shape in its unit."""
    return _array(value, unit, name)


def _array(value: Any, unit: str | None, name: str, *, time: bool = False) -> xr.DataArray:
    """Finite float64 numbers over dims that a stimulus may have; values over a dim that is called as they are become its labels."""
    numbers = to_declared(value, unit or "1", name)
    if not isinstance(numbers, xr.DataArray):
        if numbers.ndim:
            raise ValueError(
                f"{name} is an array of shape {numbers.shape} without dims. Say what it runs over: "
                "xr.DataArray(values, dims='region') or dims=<name of a sweep>."
            )
        numbers = xr.DataArray(numbers)
    found = numbers.drop_vars([c for c in numbers.coords if c not in numbers.dims]).compute()
    found.attrs, found.name = ({} if unit is None else {UNITS: unit}), None
    if not np.isfinite(found.values).all():
        raise ValueError(f"{name} holds NaN or infinity, needs finite numbers.")
    wrong = [d for d in (REGION_OTHER, LAG, *(() if time else (TIME,))) if d in found.dims]
    if wrong:
        fix = " Add the series: stimulus + series." if wrong == [TIME] else ""
        raise ValueError(f"{name} has dims {found.dims}, of which a stimulus has no {wrong[0]!r} there.{fix}")
    if found.dims == (name,) and name not in found.coords:
        found = found.assign_coords({name: (name, found.values, found.attrs)})
    return found
