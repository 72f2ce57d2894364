"""Filling a store: its chunks on threads or on a cluster. What is done is written by them, and then recorded here, in the ledger."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from xmass.labelled.execute import Cancelled, Report, cores
from xmass.labelled.progress import Bar
from xmass.labelled.resolve import Resolved
from xmass.scale import ledger
from xmass.scale.chunks import Box, Parcel, block, boxes
from xmass.scale.failures import FAILED, GOOD, Outcome, lost, outcome_of, reason
from xmass.scale.ledger import At, Record
from xmass.scale.pieces import WriteError, write_chunk

STATUS = "status"
_PATIENCE = 3
"""Chunks that may fail before all others are given up, where none has succeeded yet."""


@dataclasses.dataclass(frozen=True)
class Done:
    """A chunk that is on the disk."""

    record: Record
    error: Exception | None
    """What was raised, if something was."""


def fill(resolved: Resolved, store: Path, chunk: dict[str, int], progress: bool | None, again: bool = False) -> None:
    """Run every chunk of a store that is not done; with ``again`` those with failed runs too.

    Raises
    ------
    WriteError
        If the disk is full or cannot be written.
    KeyboardInterrupt
        With a message that says how to continue.
    Exception
        What a chunk raised, with notes, if no run of the store has succeeded.
    """
    grid = boxes(resolved.sizes, chunk)
    todo, good = _missing(store, grid, GOOD if again else (*GOOD, *FAILED))
    steps = resolved.stop - resolved.start
    client = active_client()
    parcel = Parcel(resolved)
    try:
        ledger.begin(store, todo & ledger_of(store).records.keys())
        with Bar(steps * sum(_runs(grid[at]) for at in todo), "simulating", progress) as bar:
            book = _Book(parcel, store, grid, good)
            ordered = [at for at in grid if at in todo]
            if client is not None:
                _on_cluster(client, book, ordered, lambda at: bar.add(steps * _runs(grid[at])))
            else:
                _on_threads(book, ordered, bar.add)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{_so_far(store, grid)} Call run_to_zarr again, with the same arguments, to continue.") from None
    except WriteError as error:
        error.said = f"cannot write to {store}. {_so_far(store, grid)} Make room, or make it writable, and call again to continue."
        raise
    if book.errors and not book.good:
        at, first = book.errors[0]
        first.add_note(f"in the runs {_named(resolved, grid[at])}; {len(book.errors)} chunks failed, and none has succeeded.")
        first.add_note(f"{_so_far(store, grid)} Put right what is wrong and call again with resume='failed' to try all of them again.")
        raise first from None


def run_chunk(parcel: Parcel, store: str, at: At, box: Box, threads: int = 1, report: Report | None = None) -> Done:
    """Simulate one chunk, and write its data, then its status, durably."""

    def simulate(part: Box) -> Any:
        return block(parcel.resolved, part, threads=threads, report=report)

    def again(part: Box) -> Any:
        return block(parcel.resolved, part, threads=threads)

    return _written(Path(store), at, box, outcome_of(parcel.resolved, box, simulate, again))


def _written(store: Path, at: At, box: Box, outcome: Outcome) -> Done:
    files = write_chunk(store, box, outcome.values, (STATUS, outcome.status))
    return Done(Record(at, files, outcome.counts, tuple(outcome.failed), time.time()), outcome.error)


class _Book:
    """What has come back so far: recorded in the ledger, one chunk after the other, by this process alone."""

    def __init__(self, parcel: Parcel, store: Path, grid: dict[At, Box], good: bool) -> None:
        self.parcel, self.store, self.grid = parcel, store, grid
        self.good = good
        """Whether some run of the store has succeeded."""
        self.errors: list[tuple[At, Exception]] = []
        self.recorded: set[At] = set()
        self.lock = threading.Lock()

    def add(self, at: At, done: Done) -> None:
        """Record a chunk."""
        with self.lock:
            try:
                ledger.add(self.store, done.record)
            except OSError as error:
                raise WriteError(error.errno, error.strerror or str(error)) from error
            self.recorded.add(at)

    def _heard(self, at: At, done: Done) -> None:
        if at not in self.recorded:
            self.add(at, done)
        self.good |= any(done.record.counts.get(code) for code in GOOD)
        if done.error is not None:
            self.errors.append((at, done.error))

    def collect(self, completed: Iterable[Any], jobs: dict[Any, At], done: Callable[[At], None] | None) -> None:
        """Wait for all chunks. A disk that cannot be written ends it at once; so do three chunks, where none succeeds."""
        for job in completed:
            at, error = jobs[job], job.exception()
            if error is None:
                self._heard(at, job.result())
            elif isinstance(error, WriteError) or not isinstance(error, Exception):
                raise error
            else:  # its process is gone, or it could not be sent
                self._heard(at, _written(self.store, at, self.grid[at], lost(self.parcel.resolved, self.grid[at], error)))
            if done is not None:
                done(at)
            if len(self.errors) >= _PATIENCE and not self.good:
                return


def _on_threads(book: _Book, todo: list[At], report: Report) -> None:
    """One chunk per core; several cores per chunk where there are fewer chunks than cores."""
    workers = max(min(cores(), len(todo)), 1)
    threads = max(cores() // workers, 1)
    stop = threading.Event()

    def step(count: int) -> None:
        if stop.is_set():
            raise Cancelled
        report(count)

    def run(at: At) -> Done:
        done = run_chunk(book.parcel, str(book.store), at, book.grid[at], threads, step)
        book.add(at, done)  # by the thread itself: it begins no other chunk before, and a Ctrl-C cannot come between
        return done

    pool = concurrent.futures.ThreadPoolExecutor(workers)
    jobs = {pool.submit(run, at): at for at in todo}
    try:
        book.collect(concurrent.futures.as_completed(jobs), jobs, None)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _on_cluster(client: Any, book: _Book, todo: list[At], done: Callable[[At], None]) -> None:
    """One chunk per task. The plan is a task too, so that it is made again where a worker is lost."""
    from distributed import as_completed

    plan = client.submit(_same, book.parcel, pure=False)
    path = str(book.store.absolute())
    jobs = {client.submit(_remote, plan, path, at, book.grid[at], pure=False): at for at in todo}
    try:
        book.collect(as_completed(jobs), jobs, done)
    finally:
        client.cancel([job for job in jobs if not job.done()])


def _remote(parcel: Parcel, store: str, at: At, box: Box) -> Done:
    """A chunk, and an error that can be sent."""
    done = run_chunk(parcel, store, at, box)
    error = done.error
    if error is None or (type(error).__module__ == "builtins" and all(isinstance(a, str | int | float) for a in error.args)):
        return done
    return dataclasses.replace(done, error=RuntimeError(reason(error)))


def _same(parcel: Parcel) -> Parcel:
    return parcel


def ledger_of(store: Path) -> ledger.Ledger:
    """The ledger of a store that has one."""
    found = ledger.read(store)
    if found is None:
        raise FileNotFoundError(f"{store / ledger.NAME} is gone.")
    return found


def _missing(store: Path, grid: dict[At, Box], final: tuple[int, ...]) -> tuple[set[At], bool]:
    """Chunks that are to be run: not in the ledger, or with a run that is not done. And whether some run has succeeded."""
    status, records = status_of(store), ledger_of(store).records
    todo = {at for at, box in grid.items() if at not in records or not np.isin(status[_index(box)], final).all()}
    return todo, bool(np.isin(status, GOOD).any())


def active_client() -> Any:
    """The ``distributed`` client that the user has started, if any."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def status_of(store: Path) -> np.ndarray:
    """The status of every run."""
    import zarr

    return np.asarray(zarr.open_array(store / STATUS, mode="r")[...])


def _so_far(store: Path, grid: dict[At, Box]) -> str:
    return f"{len(grid) - len(_missing(store, grid, GOOD)[0])} of {len(grid)} chunks are stored and safe."


def _index(box: Box) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in box)


def _runs(box: Box) -> int:
    return math.prod(b - a for a, b in box)


def _named(resolved: Resolved, box: Box) -> str:
    return ", ".join(f"{d}[{a}:{b}]" for d, (a, b) in zip(resolved.sizes, box, strict=True)) or "of the whole store"
