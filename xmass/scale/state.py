"""How far a store is, told from its files, by any process and while another one writes."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xmass.scale import ledger
from xmass.scale.failures import DIVERGED_STATUS, ERROR, FAILED, MEANINGS, OK, OUT_OF_MEMORY
from xmass.scale.lock import Lock, gone
from xmass.scale.plan import in_seconds
from xmass.scale.runs import run_labels, runs_of_store, text_of
from xmass.scale.store import Found, beside, inspect, reasons

if TYPE_CHECKING:
    import pandas as pd

_RECENT = 50
"""Chunks from which the rate is taken."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """A run that failed."""

    runs: dict[str, Any]
    """Its parameters and seed."""
    kind: str
    """``error`` or ``out_of_memory``."""
    reason: str


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a store is. Counts are runs, times are seconds."""

    store: str
    runs: int
    ok: int
    diverged: int
    """Runs that left the finite numbers: done, and marked."""
    error: int
    out_of_memory: int
    pending: int
    chunks: int
    chunks_done: int
    writer: str | None
    """The process that writes now: its number and host; None if there is none."""
    rate: float | None
    """Runs per second, of the latest chunks; None if fewer than two are recorded."""
    updated: float | None
    """When the latest chunk was recorded, in seconds since 1970."""
    failures: tuple[Failure, ...]

    @property
    def done(self) -> int:
        """Runs that have a result."""
        return self.ok + self.diverged

    @property
    def failed(self) -> int:
        """Runs that raised an error or ran out of memory."""
        return self.error + self.out_of_memory

    @property
    def finished(self) -> bool:
        """Whether every run has a result."""
        return self.done == self.runs

    @property
    def seconds_left(self) -> float | None:
        """Predicted time until no run is pending, at the present rate."""
        return self.pending / self.rate if self.rate else None

    def to_table(self) -> pd.DataFrame:
        """One row per failed run: its parameters and seed, kind, reason."""
        import pandas as pd

        rows = [{**f.runs, "kind": f.kind, "reason": f.reason} for f in self.failures]
        return pd.DataFrame(rows, columns=None if rows else ["kind", "reason"])

    def __repr__(self) -> str:
        part = f" ({self.done / self.runs:.1%})" if self.runs else ""
        rows = {"done": f"{self.done} of {self.runs} runs{part}, {self.chunks_done} of {self.chunks} chunks"}
        if self.diverged:
            rows["diverged"] = f"{self.diverged} of those"
        rows["failed"] = f"{self.failed}" + (f" ({self.error} error, {self.out_of_memory} out of memory)" if self.failed else "")
        rows["pending"] = f"{self.pending}"
        rows["writer"] = self.writer or "none: nobody writes to this store"
        if self.rate is not None and self.pending:
            rows["rate"] = f"{self.rate:.3g} runs per second" + ("" if self.writer else ", when it ran")
            rows["time left"] = in_seconds(self.seconds_left or 0.0) + ("" if self.writer else ", once it runs again")
        if self.updated is not None:
            rows["last chunk"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.updated))
        told = [f"  {text_of(f.runs)}: {f.reason}" for f in self.failures[:10]]
        told += [f"  and {len(self.failures) - 10} more: .to_table()"] if len(self.failures) > 10 else []
        said = ["why runs failed", *told] if told else []
        return "\n".join([f"Status of {self.store}", *(f"  {name:<11} {text}" for name, text in rows.items()), *(f"  {t}" for t in said)])


def status(store: str | Path) -> Status:
    """Say how far a store is: runs done, failed, pending, the rate, and the time left. Only reads, also while another process writes.

    Parameters
    ----------
    store : str or Path
        A store of ``run_to_zarr``.

    Returns
    -------
    Status
        Counts, rate and time left; ``to_table()`` lists the failed runs with their parameters and reasons.

    Raises
    ------
    ValueError
        If ``store`` is no store of a run, or needs another version.

    Examples
    --------
    >>> import tempfile, xarray as xr, xmass as xm
    >>> p = xr.Dataset({"a": ("a", [0.1, 0.2, 0.3])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = xm.Simulator(xm.HopfStep(), dt=0.1).run_to_zarr(f"{folder}/run.zarr", 20.0, p, monitors=["x"], chunks={"a": 1})
    ...     found = xm.scale.status(f"{folder}/run.zarr")
    >>> found.done, found.failed, found.pending, found.finished
    (3, 0, 0, True)
    """
    path = Path(store)
    found = inspect(path)
    if found is None:
        raise ValueError(f"there is no store at {path}.")
    kept = ledger.read(path)
    grid = found.boxes
    recorded = {at for at in grid if kept is None or at in kept.records}
    counts: Counter[int] = Counter()
    chunks_done = 0
    for at in recorded:
        codes = found.status[tuple(slice(a, b) for a, b in grid[at])]
        counts.update(dict(zip(*(v.tolist() for v in np.unique(codes, return_counts=True)), strict=True)))
        chunks_done += bool((codes != 0).all())
    done = {code: counts[code] for code in (OK, DIVERGED_STATUS, ERROR, OUT_OF_MEMORY)}
    rate, updated = _rate(kept)
    return Status(
        store=str(path),
        runs=found.status.size,
        ok=done[OK],
        diverged=done[DIVERGED_STATUS],
        error=done[ERROR],
        out_of_memory=done[OUT_OF_MEMORY],
        pending=found.status.size - sum(done.values()),
        chunks=len(grid),
        chunks_done=chunks_done,
        writer=_writer(path),
        rate=rate,
        updated=updated,
        failures=tuple(_failures(path, found)),
    )


def _writer(store: Path) -> str | None:
    holder = Lock(beside(store, "lock")).holder()
    if not holder or gone(holder):
        return None
    return f"process {holder.get('pid')} on {holder.get('host')}"


def _rate(kept: ledger.Ledger | None) -> tuple[float | None, float | None]:
    """Runs per second over the latest chunks of the latest call that has recorded some, and when the last one was."""
    for _, records in reversed(kept.sessions if kept is not None else ()):
        if records:
            first, *rest = records[-_RECENT:]
            runs, elapsed = sum(sum(r.counts.values()) for r in rest), records[-1].at - first.at
            return (runs / elapsed if elapsed > 0 else None), records[-1].at
    return None, None


def _failures(store: Path, found: Found) -> list[Failure]:
    places = np.argwhere(np.isin(found.status, FAILED))
    if not len(places):
        return []
    over, why, failures = runs_of_store(store, found.sizes), reasons(store), []
    for place in places:
        at = tuple(int(i) for i in place)
        kind = MEANINGS[int(found.status[at])]
        failures.append(Failure(run_labels(over, at), kind, why.get(at, "not recorded")))
    return failures
