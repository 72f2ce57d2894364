"""Connectomes of a run as arrays: weights and delays per structure, planned once for all of them."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from xmass.core.delay import DelayPlan, plan_delays
from xmass.labelled.schema import DISTANCES, SPEED, WEIGHTS
from xmass.labelled.values import Value

_INDEX_LIMIT = 2**32 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Structures:
    """All connectomes (with their delays) that a run uses: ``dims`` are the run dims along which they differ."""

    dims: tuple[str, ...]
    count: int
    weights: np.ndarray
    plan: DelayPlan | None

    def of_runs(self, sizes: dict[str, int], runs: np.ndarray) -> np.ndarray:
        """The structure of each run."""
        if not self.dims:
            return np.zeros(len(runs), dtype=np.int64)
        position = dict(zip(sizes, np.unravel_index(runs, tuple(sizes.values())), strict=True))
        return np.ravel_multi_index(tuple(position[d] for d in self.dims), tuple(sizes[d] for d in self.dims))


def structure_dims(values: dict[str, Value], sizes: dict[str, int]) -> tuple[str, ...]:
    """The run dims along which connectomes differ."""
    used = {d for name in (WEIGHTS, DISTANCES, SPEED) if name in values for d in values[name].dims}
    return tuple(d for d in sizes if d in used)


def plan_structures(
    values: dict[str, Value], sizes: dict[str, int], *, rule: str, dt: float, width: int, ahead: int, least: int
) -> Structures:
    """Plan the coupling of every connectome at once, so that all share one compiled program."""
    dims = structure_dims(values, sizes)
    shape = tuple(sizes[d] for d in dims)
    count = int(np.prod(shape, dtype=np.int64))
    _check_count(count, values[WEIGHTS].array.shape[-1])

    def spread(name: str) -> np.ndarray:
        value = values[name]
        lead = tuple(sizes[d] if d in value.dims else 1 for d in dims)
        array = value.array.reshape((*lead, *value.array.shape[len(value.dims) :]))
        return np.broadcast_to(array, (*shape, *array.shape[len(dims) :])).reshape(count, *array.shape[len(dims) :])

    weights = spread(WEIGHTS)
    if SPEED not in values:
        return Structures(dims, count, weights, None)
    speed = spread(SPEED)
    lengths = spread(DISTANCES)
    exact = lengths / speed[:, None, None] / dt
    if rule == "linear":
        lower = np.floor(exact + 1e-9)
        part = np.clip(exact - lower, 0.0, 1.0)
        part = np.where(part < 1e-9, 0.0, part)
        steps = np.stack([lower, lower + 1], axis=1)
        kinds = np.stack([weights * (1.0 - part), weights * part], axis=1)
    else:
        steps = (np.rint(exact) if rule == "nearest" else np.ceil(np.round(exact, 9)))[:, None]
        kinds = weights[:, None]
    used = np.where(kinds != 0.0, steps, 0.0)
    _check_memory(used, speed, dt, kinds.shape[-1], width)
    plan = plan_delays(kinds, used.astype(np.int64), width=width, ahead=ahead, least=least)
    return Structures(dims, count, weights, plan)


def _check_count(count: int, regions: int) -> None:
    """Plans of many connectomes or speeds fit into memory: about eight matrices of float64 each while they are made."""
    needed = 8 * 8 * count * regions**2
    if needed > _memory():
        raise ValueError(
            f"{count} connectomes (or speeds, which are delays of their own) of {regions} regions need {needed / 1e9:.3g} GB to plan. "
            "Run them in parts, a selection of params each."
        )


def _memory() -> float:
    """Half of the machine's memory, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def _check_memory(steps: np.ndarray, speed: np.ndarray, dt: float, regions: int, width: int) -> None:
    longest = float(steps.max(initial=0))
    elements = regions * (2 * longest + 64) * width
    if elements > _INDEX_LIMIT or elements * 8 > _memory():
        raise ValueError(
            f"the longest delay is {longest * dt:g} ms, {longest:.3g} steps of {dt:g} ms: its history needs "
            f"{elements * 8 / 1e9:.3g} GB for {regions} regions and {width} runs. "
            f"The slowest speed is {speed.min():g} mm/ms; check its unit and that of distances (mm)."
        )
