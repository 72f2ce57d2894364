"""Runs that raise or run out of memory: told apart from their neighbours, and marked with a reason."""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.execute import Cancelled
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import DIVERGED
from xmass.scale.chunks import Box, chunked, part, template
from xmass.scale.runs import run_labels, text_of

NOT_RUN, OK, DIVERGED_STATUS, ERROR, OUT_OF_MEMORY = range(5)
MEANINGS = ("not_run", "ok", "diverged", "error", "out_of_memory")
GOOD = (OK, DIVERGED_STATUS)
FAILED = (ERROR, OUT_OF_MEMORY)
_ALONE = 8
"""Runs of a chunk that may fail one by one before its other groups are not taken apart any more."""
_LONG = 300


class FailedRunsWarning(UserWarning):
    """Some runs raised an error or ran out of memory."""


@dataclasses.dataclass
class Outcome:
    """What became of a chunk."""

    values: dict[str, np.ndarray]
    status: np.ndarray
    failed: list[tuple[int, int, str]]
    """Place in the chunk (C order), status, reason."""
    error: Exception | None = None
    """What was raised first."""

    @property
    def counts(self) -> dict[int, int]:
        """Runs by status."""
        codes, counts = np.unique(self.status, return_counts=True)
        return dict(zip(codes.tolist(), counts.tolist(), strict=True))


def outcome_of(resolved: Resolved, box: Box, simulate: Callable[[Box], xr.Dataset], again: Callable[[Box], xr.Dataset]) -> Outcome:
    """Simulate a chunk. If it raises, it is taken apart until the runs are found that do; the others are kept.

    A chunk that runs out of memory is not taken apart: its result is what does not fit.

    Parameters
    ----------
    resolved : Resolved
        The planned run.
    box : Box
        Runs of the chunk.
    simulate : callable
        Simulates a box: the whole chunk.
    again : callable
        Simulates parts of it, after it failed.

    Returns
    -------
    Outcome
        Values of every variable, NaN where a run failed, and the status of every run.
    """
    try:
        ds = simulate(box)
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001  (whatever a user's function raises is the run's reason)
        first = error
    else:
        return Outcome({n: ds[n].values for n in chunked(resolved, ds)}, _codes(ds), [])
    found = _blank(resolved, box)
    found.error = first
    if out_of_memory(first) or _runs(box) <= 1:
        _fail(found, box, box, first)
        return found
    alone, good, left = 0, False, _halves(box)
    while left:
        group = left.pop(0)
        try:
            ds = again(group)
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001
            single = _runs(group) == 1
            if single or out_of_memory(error) or (alone >= _ALONE and not good):
                alone += single
                _fail(found, box, group, error)
            else:
                left = [*_halves(group), *left]
        else:
            good = True
            where = _within(box, group)
            for name in chunked(resolved, ds):
                found.values[name][where] = ds[name].values
            found.status[where] = _codes(ds)
    found.failed.sort()
    return found


def lost(resolved: Resolved, box: Box, error: Exception) -> Outcome:
    """A chunk that nobody returned."""
    found = _blank(resolved, box)
    found.error = error
    _fail(found, box, box, error)
    return found


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was short, of Python or of the device."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "MemoryError" in str(error)


def reason(error: BaseException) -> str:
    """An error in one line: its type and what it says; of an error inside compiled code, what was raised there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else ""
    inner = lines[-1].partition(":")[0] if len(lines) > 1 else ""
    if inner.isidentifier() and inner.endswith(("Error", "Exception", "Interrupt")):
        return lines[-1][:_LONG]
    return f"{type(error).__name__}: {text}"[:_LONG] if text else type(error).__name__


def warn_failed(store: Any, status: xr.DataArray, reasons: Mapping[tuple[int, ...], str]) -> None:
    """One warning that names the parameters of the first runs that failed, and why."""
    points = np.argwhere(np.isin(status.values, FAILED))
    if not len(points):
        return
    said = []
    for point in points[:3]:
        at = tuple(int(i) for i in point)
        said.append(f"{text_of(run_labels(status, at))}: {reasons.get(at, MEANINGS[int(status.values[at])])}")
    more = f"; and {len(points) - len(said)} more" if len(points) > len(said) else ""
    warnings.warn(
        f"{len(points)} of {status.size} runs failed (coordinate 'status'): {'; '.join(said)}{more}. The others are stored. "
        f"xm.scale.status({str(store)!r}).to_table() lists them; call again with resume='failed' to try them again.",
        FailedRunsWarning,
        stacklevel=4,
    )


def _codes(ds: xr.Dataset) -> np.ndarray:
    return np.where(ds[DIVERGED].values, np.uint8(DIVERGED_STATUS), np.uint8(OK))


def _blank(resolved: Resolved, box: Box) -> Outcome:
    """A chunk without any result: NaN, or zero where there is none."""
    like = template(part(resolved, box), {})
    values = {}
    for name in chunked(resolved, like):
        dtype = like[name].dtype
        values[name] = np.full(like[name].shape, np.nan if dtype.kind in "fc" else 0, dtype)
    return Outcome(values, np.zeros(tuple(b - a for a, b in box), np.uint8), [])


def _fail(found: Outcome, box: Box, group: Box, error: Exception) -> None:
    code, why = (OUT_OF_MEMORY if out_of_memory(error) else ERROR), reason(error)
    where = _within(box, group)
    found.status[where] = code
    flat = np.arange(found.status.size).reshape(found.status.shape)
    found.failed += [(int(i), code, why) for i in np.atleast_1d(flat[where]).ravel()]


def _within(box: Box, group: Box) -> tuple[slice, ...]:
    return tuple(slice(a - first, b - first) for (first, _), (a, b) in zip(box, group, strict=True))


def _halves(box: Box) -> list[Box]:
    """Two halves along the longest dim."""
    longest = max(range(len(box)), key=lambda d: box[d][1] - box[d][0])
    a, b = box[longest]
    middle = (a + b) // 2
    return [(*box[:longest], edge, *box[longest + 1 :]) for edge in itertools.pairwise((a, middle, b))]


def _runs(box: Iterable[tuple[int, int]]) -> int:
    return math.prod(b - a for a, b in box)
