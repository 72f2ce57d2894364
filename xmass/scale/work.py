"""Filling a store: its chunks on threads or on a cluster, each followed by its status."""

from __future__ import annotations

import concurrent.futures
import json
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from xmass.labelled.execute import Cancelled, Report, cores
from xmass.labelled.progress import Bar
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import DIVERGED
from xmass.scale.chunks import Box, Parcel, block, boxes, chunked

STATUS = "status"
OK, DIVERGED_STATUS, ERROR = 1, 2, 3
DONE = (OK, DIVERGED_STATUS)
_PATIENCE = 3
"""Chunks that may fail before the others are given up."""


class WriteError(OSError):
    """Data could not be written."""

    said = ""


class Failures(Exception):
    """Chunks that failed, each with its error."""

    def __init__(self, found: list[tuple[Box, Exception]]) -> None:
        self.found = found


def fill(resolved: Resolved, store: Path, chunk: dict[str, int], progress: bool | None) -> None:
    """Run every chunk of a store that is not done.

    Raises
    ------
    WriteError
        If the disk is full or cannot be written.
    KeyboardInterrupt
        With a message that says how to continue.
    Exception
        What a chunk raised, with notes; the others have run, unless three failed.
    """
    status = _status(store)
    grid = boxes(resolved.sizes, chunk)
    todo = [box for box in grid.values() if not np.isin(status[_index(box)], DONE).all()]
    errors = store.with_name(f"{store.name}.errors.json")
    steps = resolved.stop - resolved.start
    client = active_client()
    try:
        with Bar(steps * sum(_runs(box) for box in todo), "simulating", progress) as bar:
            if client is not None:
                _on_cluster(client, Parcel(resolved), store, todo, lambda box: bar.add(steps * _runs(box)))
            else:
                _on_threads(Parcel(resolved), store, todo, bar.add)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{_so_far(store, grid)} Call run_to_zarr again, with the same arguments, to continue.") from None
    except WriteError as error:
        error.said = f"cannot write to {store}. {_so_far(store, grid)} Make room, or make it writable, and call again to continue."
        raise
    except Failures as failures:
        said = [{"runs": _named(resolved, box), "error": f"{type(e).__name__}: {e}"} for box, e in failures.found]
        errors.write_text(json.dumps(said, indent=1))
        box, first = failures.found[0]
        first.add_note(f"in the runs {_named(resolved, box)}; {len(said)} chunks failed, see {errors}.")
        first.add_note(f"{_so_far(store, grid)} Call again to repeat the rest.")
        raise first from None
    errors.unlink(missing_ok=True)


def run_chunk(parcel: Parcel, store: str, box: Box, threads: int = 1, report: Report | None = None) -> None:
    """Simulate one chunk, write its data, then its status; nothing if it is there already."""
    import zarr

    status, where = zarr.open_array(f"{store}/{STATUS}", mode="r+"), _index(box)
    if np.isin(status[where], DONE).all():
        return
    try:
        ds = block(parcel.resolved, box, threads=threads, report=report)
    except Cancelled:
        raise
    except Exception:
        _write(status, where, np.uint8(ERROR))
        raise
    for name in chunked(parcel.resolved, ds):
        _write(zarr.open_array(f"{store}/{name}", mode="r+"), where, ds[name].values)
    _write(status, where, np.where(ds[DIVERGED].values, np.uint8(DIVERGED_STATUS), np.uint8(OK)))


def _write(array: Any, where: tuple[slice, ...], values: Any) -> None:
    try:
        array[(*where, ...)] = values
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error)) from error


def _on_threads(parcel: Parcel, store: Path, todo: list[Box], report: Report) -> None:
    """One chunk per core; several cores per chunk where there are fewer chunks than cores."""
    workers = max(min(cores(), len(todo)), 1)
    threads = max(cores() // workers, 1)
    stop = threading.Event()

    def step(count: int) -> None:
        if stop.is_set():
            raise Cancelled
        report(count)

    pool = concurrent.futures.ThreadPoolExecutor(workers)
    jobs = {pool.submit(run_chunk, parcel, str(store), box, threads, step): box for box in todo}
    try:
        _collect(concurrent.futures.as_completed(jobs), jobs, None)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _on_cluster(client: Any, parcel: Parcel, store: Path, todo: list[Box], done: Callable[[Box], None]) -> None:
    """One chunk per task. The plan is a task too, so that it is made again where a worker is lost."""
    from distributed import as_completed

    plan = client.submit(_same, parcel, pure=False)
    jobs = {client.submit(run_chunk, plan, str(store.absolute()), box, pure=False): box for box in todo}
    try:
        _collect(as_completed(jobs), jobs, done)
    finally:
        client.cancel([job for job in jobs if not job.done()])


def _same(parcel: Parcel) -> Parcel:
    return parcel


def _collect(completed: Iterable[Any], jobs: dict[Any, Box], done: Callable[[Box], None] | None) -> None:
    """Wait for all chunks. A disk that cannot be written ends it at once, three chunks that fail too."""
    failed: list[tuple[Box, Exception]] = []
    for job in completed:
        error = job.exception()
        if error is None:
            if done is not None:
                done(jobs[job])
        elif isinstance(error, WriteError) or not isinstance(error, Exception):
            raise error
        else:
            failed.append((jobs[job], error))
            if len(failed) == _PATIENCE:
                break
    if failed:
        raise Failures(failed)


def active_client() -> Any:
    """The ``distributed`` client that the user has started, if any."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def _status(store: Path) -> np.ndarray:
    import zarr

    return np.asarray(zarr.open_array(store / STATUS, mode="r")[...])


def _so_far(store: Path, grid: dict[tuple[int, ...], Box]) -> str:
    status = _status(store)
    count = sum(bool(np.isin(status[_index(box)], DONE).all()) for box in grid.values())
    return f"{count} of {len(grid)} chunks are stored and safe."


def _index(box: Box) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in box)


def _runs(box: Box) -> int:
    return int(np.prod([b - a for a, b in box], dtype=np.int64))


def _named(resolved: Resolved, box: Box) -> str:
    return ", ".join(f"{d}[{a}:{b}]" for d, (a, b) in zip(resolved.sizes, box, strict=True)) or "of the whole store"
