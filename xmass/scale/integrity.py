"""Whether a store still holds what was written: every file against its checksum, and the ledger against itself."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import xarray as xr

from xmass.labelled.execute import cores
from xmass.labelled.progress import Bar
from xmass.labelled.provenance import CONFIG_HASH
from xmass.scale import ledger
from xmass.scale.chunks import Box, boxes
from xmass.scale.failures import NOT_RUN
from xmass.scale.ledger import At, Files, Header
from xmass.scale.lock import Lock
from xmass.scale.pieces import forget, namer
from xmass.scale.runs import box_labels, runs_of_store
from xmass.scale.store import STORE_FORMAT, Found, NewerStore, beside, inspect
from xmass.scale.work import STATUS, active_client

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["changed", "truncated", "missing", "unexpected", "unrecorded", "ledger", "unreadable"]
_MEANT: dict[str, str] = {
    "changed": "has other content than was written",
    "truncated": "has another length than was written",
    "missing": "is gone",
    "unexpected": "is there, and was not written",
    "unrecorded": "is done, and the ledger has no line for it",
    "ledger": "is damaged",
    "unreadable": "cannot be read",
}
_BATCH = 32
_Job = tuple[At | None, Files, tuple[str, ...]]
"""A chunk (or none: the store itself), its files, and names of files that it must not have."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    kind: Kind
    where: str
    """The file, or the line of the ledger."""
    chunk: At | None = None
    """The chunk, if it is one's."""
    runs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Parameters and seeds of the chunk: by name the only value, or the first and last and how many."""

    def __str__(self) -> str:
        runs = ", ".join(f"{n}={v}" for n, v in self.runs.items())
        return f"{self.where} {_MEANT[self.kind]}" + (f": runs {runs}" if runs else "")


@dataclasses.dataclass(frozen=True)
class Verification:
    """What :func:`verify` has found."""

    store: str
    chunks: int
    """Chunks of the store."""
    verified: int
    """Chunks whose every file has its checksum."""
    without_checksums: int
    """Chunks that are done and older than checksums: nothing can be said of them."""
    pending: int
    """Chunks that are not done."""
    files: int
    """Files that were read."""
    nbytes: int
    faults: tuple[Fault, ...]
    damaged: xr.DataArray
    """True for every run of a damaged chunk, with the coordinates of the sweep."""
    marked: bool
    """Whether damaged chunks were marked, so that the next call computes them again."""

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with what is there; it may be unfinished."""
        return not self.faults

    def to_table(self) -> pd.DataFrame:
        """One row per fault: kind, file, chunk, and a column for each parameter and seed."""
        import pandas as pd

        rows = [{"kind": f.kind, "where": f.where, "chunk": f.chunk, **f.runs} for f in self.faults]
        return pd.DataFrame(rows, columns=None if rows else ["kind", "where", "chunk"])

    def __repr__(self) -> str:
        rows = [f"Verification of {self.store}"]
        rows += [f"  verified           {self.verified} of {self.chunks} chunks, {self.files} files, {self.nbytes / 1e6:.3g} MB"]
        if self.without_checksums:
            rows += [f"  without checksums  {self.without_checksums} chunks, written before there were any"]
        if self.pending:
            rows += [f"  not run            {self.pending} chunks"]
        rows += [f"  damaged            {int(self.damaged.sum())} of {self.damaged.size} runs"] if self.faults else ["  no damage"]
        rows += [f"    {fault}" for fault in self.faults[:20]]
        rows += [f"    and {len(self.faults) - 20} more: .to_table()"] if len(self.faults) > 20 else []
        if self.faults:
            rows += [f"  {_advice(self)}"]
        return "\n".join(rows)


def verify(store: str | Path, *, mark: bool = False, progress: bool | None = None) -> Verification:
    """Check every file of a store against the checksum in its ledger.

    Finds changed, truncated, missing and added files, lines of the ledger that are damaged or torn, and chunks that
    no line speaks of; of the metadata and coordinates too. Files are read on threads, or by the workers of a ``distributed`` client.

    Parameters
    ----------
    store : str or Path
        A store of ``run_to_zarr``. It may be unfinished, and another process may be writing to it.
    mark : bool
        Mark damaged chunks as not run, so that the next ``run_to_zarr`` with the same arguments computes them, and only them, again.
        Without it nothing is written.
    progress : bool, optional
        Show a progress bar; by default where it takes more than a few seconds.

    Returns
    -------
    Verification
        What is wrong, with the parameters and seeds of the runs it concerns: ``faults``, ``damaged``, ``to_table()``.

    Raises
    ------
    ValueError
        If ``store`` is no store of a run, or needs another version.
    BlockingIOError
        If ``mark`` and another process writes to the store.

    Examples
    --------
    >>> import tempfile, xarray as xr, xmass as xm
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> store, p = Path(folder.name) / "run.zarr", xr.Dataset({"a": ("a", [0.1, 0.2])})
    >>> _ = xm.Simulator(xm.HopfStep(), dt=0.1).run_to_zarr(store, 20.0, p, monitors=["x"], chunks={"a": 1})
    >>> xm.scale.verify(store).whole
    True
    >>> (store / "x/c/1/0/0").write_bytes(b"")
    0
    >>> print(xm.scale.verify(store).faults[0])
    x/c/1/0/0 has another length than was written: runs a=0.2
    >>> folder.cleanup()
    """
    path = Path(store)
    if not mark:
        return _verified(path, progress)
    if not path.is_dir():
        raise ValueError(f"there is no store at {path}.")
    with Lock(beside(path, "lock")):
        report = _verified(path, progress)
        bad = sorted({f.chunk for f in report.faults if f.chunk is not None})
        if bad and ledger.read(path) is not None:
            ledger.begin(path, bad)
        for at in bad:
            forget(path, _grid(path)[at], STATUS)
    return dataclasses.replace(report, marked=True)


def _grid(store: Path) -> dict[At, Box]:
    """The chunks of a store, from its ledger, else from its metadata."""
    kept = ledger.read(store)
    if kept is not None and kept.header is not None:
        return boxes(kept.header.sizes, kept.header.chunk)
    found = inspect(store)
    if found is None:
        raise ValueError(f"there is no store at {store}.")
    return found.boxes


def _verified(store: Path, progress: bool | None) -> Verification:
    kept = ledger.read(store)
    header = kept.header if kept is not None else None
    found: Found | None = None
    try:
        found = inspect(store)
    except NewerStore:
        raise
    except ValueError:
        if header is None:
            raise
    grid = _grid(store)
    labels = runs_of_store(store, header.sizes if header is not None else found.sizes if found is not None else {})
    done = {at for at, box in grid.items() if found is not None and not (found.status[_index(box)] == NOT_RUN).any()}
    records = {} if kept is None else {at: r for at, r in kept.records.items() if at in grid}
    old = {at for at, r in records.items() if r.files is None} if kept is not None else done
    known = {at: r.files for at, r in records.items() if r.files is not None}
    faults = _ledger_faults(found, kept)
    bad: set[At] = set()

    jobs: list[_Job] = [(None, header.files, ())] if header is not None else []
    possible = _possible(store, header)
    jobs += [(at, files, tuple(n for n in possible(grid[at]) if n not in files)) for at, files in known.items()]
    nbytes = 0
    for chunk, wrong, size in _checked(store, jobs, progress):
        nbytes += size
        if wrong and chunk is not None and _changed_since(store, kept, chunk):
            continue  # another process writes it again
        faults += [Fault(kind, name, chunk, box_labels(labels, grid[chunk]) if chunk is not None else {}) for kind, name in wrong]
        if chunk is not None and wrong:
            bad.add(chunk)
    if kept is not None and (kept.damaged or header is None):  # else they were in flight when their process was stopped
        unrecorded = sorted(done - records.keys())
        faults += [Fault("unrecorded", f"chunk {at}", at, box_labels(labels, grid[at])) for at in unrecorded]
        bad |= set(unrecorded)
    for at in bad:
        labels.values[_index(grid[at])] = True
    return Verification(
        store=str(store),
        chunks=len(grid),
        verified=len(known.keys() - bad),
        without_checksums=len(old),
        pending=len(grid.keys() - known.keys() - old - bad),
        files=sum(len(files) for _, files, _ in jobs),
        nbytes=nbytes,
        faults=tuple(faults),
        damaged=labels.rename("damaged"),
        marked=False,
    )


def check_files(store: str, files: Files, not_written: Iterable[str]) -> tuple[list[tuple[Kind, str]], int]:
    """What is wrong with files, and how many bytes were read."""
    wrong: list[tuple[Kind, str]] = []
    nbytes = 0
    for name, (size, digest) in files.items():
        try:
            data = (Path(store) / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            wrong.append(("missing", name))
            continue
        except OSError:
            wrong.append(("unreadable", name))
            continue
        nbytes += len(data)
        if len(data) != size:
            wrong.append(("truncated", name))
        elif ledger.checksum(data)[1] != digest:
            wrong.append(("changed", name))
    wrong += [("unexpected", name) for name in not_written if (Path(store) / name).exists()]
    return wrong, nbytes


def _checked(store: Path, jobs: list[_Job], progress: bool | None) -> Iterator[tuple[At | None, list[tuple[Kind, str]], int]]:
    """Every job's chunk, faults and bytes, as they come."""
    batches = [jobs[i : i + _BATCH] for i in range(0, len(jobs), _BATCH)]
    client = active_client()
    path = str(store.absolute())
    with Bar(len(jobs), "verifying", progress, "chunks") as bar:
        if client is not None:
            from distributed import as_completed

            for future in as_completed(client.map(_batch, batches, store=path, pure=False)):
                found = future.result()
                bar.add(len(found))
                yield from found
            return
        with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
            for found in pool.map(lambda batch: _batch(batch, store=path), batches):
                bar.add(len(found))
                yield from found


def _batch(batch: list[_Job], *, store: str) -> list[tuple[At | None, list[tuple[Kind, str]], int]]:
    return [(at, *check_files(store, files, rest)) for at, files, rest in batch]


def _ledger_faults(found: Found | None, kept: ledger.Ledger | None) -> list[Fault]:
    """What is wrong with the ledger itself. A torn last line is what a kill leaves, and no damage."""
    if kept is None:
        gone = found is not None and found.attrs.get(STORE_FORMAT, 1) >= ledger.FORMAT
        return [Fault("missing", ledger.NAME)] if gone else []
    faults = [Fault("ledger", f"{ledger.NAME}, line {number},") for number in kept.damaged]
    if kept.header is None and not kept.damaged:
        faults.append(Fault("ledger", f"{ledger.NAME}, line 1,"))
    if kept.header is not None and found is not None and kept.header.config_hash != found.attrs[CONFIG_HASH]:
        faults.append(Fault("ledger", f"{ledger.NAME}, which is that of another store,"))
    return faults


def _changed_since(store: Path, kept: ledger.Ledger | None, chunk: At) -> bool:
    """Whether the ledger says something else of a chunk by now."""
    latest = ledger.read(store)
    return kept is not None and latest is not None and latest.records.get(chunk) != kept.records.get(chunk)


def _possible(store: Path, header: Header | None) -> Callable[[Box], list[str]]:
    """A function that names every file that a chunk may have; none if that cannot be known."""
    try:
        return namer(store, header.arrays if header is not None else ())
    except Exception:  # noqa: BLE001  (damaged metadata, which is reported as such)
        return lambda box: []


def _advice(report: Verification) -> str:
    chunks, said = {f.chunk for f in report.faults if f.chunk is not None}, []
    if chunks and report.marked:
        said.append("What is damaged is marked: run_to_zarr with the same arguments computes only that again.")
    elif chunks:
        said.append("verify(store, mark=True) marks what is damaged; run_to_zarr with the same arguments then computes only that again.")
    elif any(f.kind == "ledger" for f in report.faults):
        said.append("run_to_zarr with the same arguments mends the ledger.")
    if any(f.chunk is None and f.kind != "ledger" for f in report.faults):
        said.append("Metadata and coordinates are not computed again: take these files from a copy, or make a new store.")
    return " ".join(said)


def _index(box: Box) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in box)
