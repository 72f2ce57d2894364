"""Two sides of a comparison as power spectra of one resolution, at the same frequencies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xmass.analysis.clock import period_in_seconds, time_unit
from xmass.analysis.power import FREQUENCY, SEGMENTS, power_spectrum, welch, welch_segments
from xmass.labelled import schema, units

ARBITRARY = "a.u."
RESOLUTION = 0.1  # segments are whole samples, 8 or more: the resolutions of two sides of one segment differ by less


class Spectra(NamedTuple):
    """Two sides as spectra at the same frequencies; ``made`` makes the first of an array, ``(..., time, region)``, or takes its rows."""

    simulated: xr.DataArray
    recorded: xr.DataArray
    made: Callable[[Any], Any]


def paired_spectra(
    simulated: xr.DataArray, recorded: xr.DataArray, *, segment: float | None, band: tuple[float, float], what: str
) -> Spectra:
    """Both sides with the dims ``frequency`` and ``region``, at the frequencies of ``simulated`` that both have, above 0 and in ``band``.

    A series becomes its spectrum in segments of ``segment`` seconds: by default those of the side that is a spectrum, else an eighth of
    the shorter one. Power at the highest frequency of a side is left out, where a one-sided density is not doubled.

    Raises
    ------
    ValueError
        If a side is neither a series nor a spectrum of regions, resolutions differ, or no frequency is left.
    """
    sides = {"simulated": simulated, "recorded": recorded}
    for which, side in sides.items():
        if schema.REGION_OTHER in side.dims or schema.REGION not in side.dims:
            raise ValueError(
                f"{what}: a score of spectra takes series with dims (..., time, region) or spectra with dims (..., region, frequency), and "
                f"{which} has {tuple(side.dims)}. Name one of these on each side: spectrum_rmse('bold', 'bold')."
            )
    seconds = segment if segment is not None else _common_segment(list(sides.values()))
    first, second = (_spectrum(side, seconds, f"{what}: {which}") for which, side in sides.items())
    ours, theirs = first[FREQUENCY].values, second[FREQUENCY].values
    spacing = ours[1] - ours[0], theirs[1] - theirs[0]
    if abs(spacing[0] - spacing[1]) > RESOLUTION * max(spacing):
        raise ValueError(
            f"{what}: the spectra have resolutions of {spacing[0]:g} Hz and {spacing[1]:g} Hz, and peaks are as wide as these. Make both "
            "with the same segment, xm.power_spectrum(signal, segment=...), or name the series instead."
        )
    # the edges count, whatever the last bit of n / T
    slack = 1e-9 * spacing[0]
    keep = (ours > 0) & (ours >= band[0] - slack) & (ours <= band[1] + slack) & (ours < min(ours[-1], theirs[-1]) - slack)
    keep &= ours >= theirs[0] - slack
    if not keep.any():
        raise ValueError(
            f"{what}: no frequency is left from {band[0]:g} to {band[1]:g} Hz; the sides have {ours[0]:g} to {ours[-1]:g} Hz in steps of "
            f"{spacing[0]:g} Hz and {theirs[0]:g} to {theirs[-1]:g} Hz in steps of {spacing[1]:g} Hz. Widen band=, or take a longer "
            "segment=."
        )
    kept = np.flatnonzero(keep)
    return Spectra(first.isel({FREQUENCY: kept}), _at(second, ours[keep], slack), _made(simulated, seconds, kept))


def _made(side: xr.DataArray, seconds: float, kept: np.ndarray) -> Callable[[Any], Any]:
    if is_spectrum(side):
        return partial(_rows, kept=kept)
    time = schema.time_dim(side)
    period = period_in_seconds(side, time)
    length, shared = welch_segments(side, time, period, seconds * units.factor("s", time_unit(side, time)))
    return partial(_welch_rows, length=length, shared=shared, period=period, kept=kept)


def _rows(spectrum: Any, *, kept: np.ndarray) -> Any:
    return spectrum[..., kept, :]


def _welch_rows(series: Any, *, length: int, shared: int, period: float, kept: np.ndarray) -> Any:
    return welch(series, length=length, shared=shared, period=period)[..., kept, :]


def _at(spectrum: xr.DataArray, frequency: np.ndarray, slack: float) -> xr.DataArray:
    """Power at other frequencies: linear between neighbours, and the values themselves where the frequencies agree."""
    own = spectrum[FREQUENCY].values
    above = np.clip(np.searchsorted(own, frequency - slack), 1, own.size - 1)
    share = np.clip((frequency - own[above - 1]) / (own[above] - own[above - 1]), 0.0, 1.0)
    gap = slack / (own[1] - own[0])
    share = np.where(share > 1 - gap, 1.0, np.where(share < gap, 0.0, share))
    weight = xr.DataArray(share.astype(spectrum.dtype), dims=FREQUENCY)
    low, high = (spectrum.isel({FREQUENCY: place}).drop_vars(FREQUENCY) for place in (above - 1, above))
    return ((1 - weight) * low + weight * high).assign_attrs(spectrum.attrs)


def _spectrum(side: xr.DataArray, seconds: float, what: str) -> xr.DataArray:
    if is_spectrum(side):
        if FREQUENCY not in side.coords or side.sizes[FREQUENCY] < 2:
            raise ValueError(f"{what} needs a coordinate 'frequency' of two values or more, in Hz: xm.power_spectrum(signal) has it.")
        frequency = np.asarray(units.to_declared(side[FREQUENCY], "Hz", FREQUENCY).values, np.float64)
        if not (np.diff(frequency) > 0).all():
            raise ValueError(f"{what} has frequencies that do not rise: sort them with .sortby('frequency').")
        return side.assign_coords({FREQUENCY: (FREQUENCY, frequency, {schema.UNITS: "Hz"})})
    time = schema.time_dim(side)
    found = power_spectrum(side, segment=seconds * units.factor("s", time_unit(side, time)))
    # an arbitrary unit is dimensionless to a library of units: keep its name, so that it is not taken for "1"
    return found.assign_attrs(units=f"({ARBITRARY})^2/Hz") if side.attrs.get(schema.UNITS) == ARBITRARY else found


def _common_segment(sides: list[xr.DataArray]) -> float:
    for side in sides:
        if is_spectrum(side) and FREQUENCY in side.coords and side.sizes[FREQUENCY] > 1:
            frequency = units.to_declared(side[FREQUENCY], "Hz", FREQUENCY).values
            return float(1 / (frequency[1] - frequency[0]))
    times = [schema.time_dim(side) for side in sides]
    return min(side.sizes[time] // SEGMENTS * period_in_seconds(side, time) for side, time in zip(sides, times, strict=True))


def is_spectrum(side: xr.DataArray) -> bool:
    """Whether ``frequency`` is that of a spectrum, and not a swept parameter of a series."""
    in_time = schema.TIME in side.dims or any(side[d].attrs.get("axis") == "T" for d in side.dims if d in side.coords)
    return FREQUENCY in side.dims and not in_time
