"""Weights that vary in time: the steps at which each sample begins to hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.monitors import Graph
from xmass.labelled.parameters import Spec
from xmass.labelled.schema import TIME, WEIGHTS
from xmass.labelled.units import to_declared


def timed_weights(given: Mapping[str, Any], specs: Mapping[str, Spec]) -> dict[str, xr.DataArray]:
    """The weights with the dim ``time``, by path."""
    found = {p: given.get(p, s.value) for p, s in specs.items() if s.matrix and p.rpartition(".")[2] == WEIGHTS}
    return {p: v for p, v in found.items() if isinstance(v, xr.DataArray) and TIME in v.dims}


def epoch_starts(weights: Mapping[str, xr.DataArray], start: int, stop: int, dt: float) -> tuple[int, ...]:
    """First steps of the samples of time-varying weights; ``(0,)`` where none varies.

    Raises ValueError if the samples have no times, do not cover the run, begin within a step or differ between connectomes.
    """
    found: dict[str, tuple[int, ...]] = {}
    for path, raw in weights.items():
        if TIME not in raw.coords:
            raise ValueError(f"{path} has the dim 'time' without times. Add them in ms: .assign_coords(time=('time', times)).")
        times = np.asarray(to_declared(raw[TIME].reset_coords(drop=True), "ms", f"the time of {path}"), dtype=np.float64)
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise ValueError(f"the times of {path} are not finite and increasing. Use .sortby('time').drop_duplicates('time').")
        steps = np.rint(times / dt).astype(np.int64)
        off = np.abs(times / dt - steps) > 1e-6 * np.maximum(1.0, np.abs(steps) * 1e-3)
        if off.any():
            raise ValueError(
                f"{path} changes at {times[off][0]:g} ms, within a step of dt={dt:g} ms. Give times that are multiples of dt: "
                f"the nearest is {steps[off][0] * dt:g} ms."
            )
        if len(np.unique(steps)) != len(steps):
            raise ValueError(f"{path} has several samples within one step of dt={dt:g} ms. Take a smaller dt or fewer samples.")
        last = times[-1] + (times[-1] - times[-2] if len(times) > 1 else np.inf)
        if steps[0] > start or last < stop * dt * (1 - 1e-6):
            raise ValueError(
                f"{path} covers {times[0]:g} to {last:g} ms, the run goes from {start * dt:g} to {stop * dt:g} ms. A sample holds until "
                "the next: give samples for the whole run, or .interp(time=...) of them."
            )
        found[path] = tuple(int(s) for s in steps)
    if len(set(found.values())) > 1:
        raise ValueError(f"{sorted(found)} vary at different times, need the same: .reindex(time=..., method='ffill').")
    return next(iter(found.values()), (0,))


def check_frames(graph: Graph, starts: tuple[int, ...], start: int, stop: int, dt: float) -> None:
    """No weights change within the steps that an observation with a state takes, such as the 4 ms of BOLD: it sees their mean."""
    for node in graph.nodes:
        frame = node.timing.frame * node.period_in
        within = [s for s in starts if start < s < stop and s % frame]
        if node.timing.frame > 1 and within:
            raise ValueError(
                f"weights change at {within[0] * dt:g} ms, within a step of {node.observation.name!r}, which advances by "
                f"{frame * dt:g} ms. Give times of weights that are multiples of that: the nearest is "
                f"{max(round(within[0] / frame), 1) * frame * dt:g} ms."
            )


def common_step(starts: tuple[int, ...], start: int, stop: int) -> int:
    """The largest number of steps of which every change within the run is a multiple; 0 without a change."""
    return math.gcd(*(s for s in starts if start < s < stop), 0)


def stretches(starts: tuple[int, ...], start: int, stop: int) -> list[tuple[int, int, int]]:
    """The parts of a run with constant weights: epoch, first and last-plus-one step."""
    edges = [max(s, start) for s in starts] + [stop]
    return [(e, a, min(b, stop)) for e, (a, b) in enumerate(pairwise(edges)) if a < min(b, stop)]
