"""A zarr store that a run fills chunk by chunk, and continues after it was stopped.

A store is made whole and empty, then each chunk is written, after its data one status per run, and after that its line in the ledger,
each on the disk before the next begins. Only these say that a chunk is there: data of diverged runs may be all NaN, which zarr does
not even write.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass._version import __version__
from xmass.labelled.provenance import CONFIG_HASH, CONFIGURATION, VERSIONS, differences
from xmass.labelled.rebuild import warn_diverged
from xmass.labelled.record import result_attrs
from xmass.labelled.resolve import Config, Request, Resolved, resolve
from xmass.labelled.schema import BATCH, CONVENTIONS, DIVERGED, LONG_NAME, SEED
from xmass.scale import durable, ledger
from xmass.scale.chunks import boxes, chunk_sizes, chunked, default_chunks, template
from xmass.scale.failures import FAILED, GOOD, MEANINGS, NOT_RUN, warn_failed
from xmass.scale.lock import Lock
from xmass.scale.pieces import WriteError
from xmass.scale.work import STATUS, fill

STORE_FORMAT = "store_format"
"""Attribute of a store: the number of its format."""
_STORED_BYTES = 32_000_000


class NewerStore(ValueError):
    """A store that this version cannot read."""


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """What a store says of itself."""

    attrs: dict[str, Any]
    chunk: dict[str, int]
    status: np.ndarray

    @property
    def finished(self) -> bool:
        """Whether every run has run, well or not."""
        return not (self.status == NOT_RUN).any()

    @property
    def failed(self) -> bool:
        """Whether some run raised an error or ran out of memory."""
        return bool(np.isin(self.status, FAILED).any())

    @property
    def sizes(self) -> dict[str, int]:
        """Runs along every run dim."""
        return dict(zip(self.chunk, self.status.shape, strict=True))

    @property
    def boxes(self) -> dict[ledger.At, tuple[tuple[int, int], ...]]:
        """Every chunk by its position in the grid of chunks."""
        return boxes(self.sizes, self.chunk)


def run_to_store(
    config: Config,
    request: Request,
    store: Path,
    chunks: Mapping[str, int] | None,
    resume: bool | Literal["failed"],
    progress: bool | None,
) -> xr.Dataset:
    """Fill a store with a run, or continue one, and open it.

    Chunks are no part of the configuration: they change no value, so a store that exists keeps its own, whatever ``chunks`` says.

    Parameters
    ----------
    config, request : Config, Request
        The run. Without a seed, that of the store is taken.
    store : Path
        A local directory, made if it does not exist.
    chunks : mapping of str to int, optional
        Runs per chunk along run dims: what is computed, written and lost at once. By default about one tile.
    resume : bool or "failed"
        Continue; if False, a store that exists is an error; ``"failed"`` also tries again what raised an error or ran out of memory.
    progress : bool, optional
        Show a progress bar; by default for runs of more than a few seconds.

    Returns
    -------
    Dataset
        The opened store.

    Raises
    ------
    ValueError
        If the store holds another run (the differences are named), is none of ours, or needs another version; it is left as it is.
    FileExistsError
        If it exists and ``resume`` is False.
    BlockingIOError
        If another process is writing to it.
    OSError
        If the disk is full or read-only. What is stored is safe, and the same call continues.
    Exception
        What the runs raised, if all of them do. Where only some fail, the others are stored, and a ``FailedRunsWarning`` names them.
    """
    if not isinstance(resume, bool) and resume != "failed":
        raise ValueError(f"resume={resume!r}, needs True, False or 'failed'.")
    if ":/" in str(store):
        raise ValueError(f"store={str(store)!r}, needs a local directory. Write there, and copy the finished store.")
    found = inspect(store)
    again = resume == "failed"
    if found is not None and not resume:
        raise FileExistsError(f"{store} exists. To continue it leave out resume=False; else delete it or choose another path.")
    resolved, attrs = _resolve_for(config, request, store, found)
    chunk = default_chunks(resolved) if chunks is None else chunk_sizes(resolved, chunks)
    if STATUS in template(resolved, {}).variables or STATUS in resolved.sizes:
        raise ValueError(f"a monitor, dim or coordinate is called {STATUS!r}, which a store keeps for itself. Rename it.")
    if found is None or not _all_done(store, found) or (again and found.failed):
        try:
            durable.sync_folders(durable.make_folders(store.parent))
            with Lock(beside(store, "lock")):
                resolved, attrs, chunk = _prepare(config, request, store, resolved, attrs, chunk)
                fill(resolved, store, chunk, progress, again)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _cannot_write(error, store) from error
    ds = open_store(store)
    ds = ds[list(template(resolved, {}).data_vars)]
    warn_diverged(ds[DIVERGED])
    if STATUS in ds.coords:
        warn_failed(store, ds[STATUS], reasons(store))
    return ds


def _all_done(store: Path, found: Found) -> bool:
    """Whether every run is done, and every chunk recorded. A store that is older than ledgers needs none."""
    if not found.finished:
        return False
    kept = ledger.read(store)
    return found.attrs.get(STORE_FORMAT, 1) < ledger.FORMAT if kept is None else found.boxes.keys() <= kept.records.keys()


def reasons(store: Path) -> dict[tuple[int, ...], str]:
    """Why runs of a store failed, by their place along the run dims."""
    found, kept = inspect(store), ledger.read(store)
    if found is None or kept is None:
        return {}
    grid, said = found.boxes, {}
    for at, record in kept.records.items():
        if record.failed and at in grid:
            first = [a for a, _ in grid[at]]
            shape = tuple(b - a for a, b in grid[at])
            for place, _, why in record.failed:
                said[tuple(int(a + i) for a, i in zip(first, np.unravel_index(place, shape), strict=True))] = why
    return said


def open_store(path: str | Path) -> xr.Dataset:
    """Open a store: data lazy, coordinates loaded.

    Parameters
    ----------
    path : str or Path
        A store made by ``run_to_zarr``.

    Returns
    -------
    Dataset
        The result. If some of it has not run or failed, there is a coordinate ``status`` (0 not run, 1 ok, 2 diverged, 3 error, 4 out
        of memory), and data that have not run or failed are NaN.

    Raises
    ------
    ValueError
        If ``path`` is no store of a run, or needs another version.

    Examples
    --------
    >>> import tempfile, xmass as xm
    >>> from xmass.scale.store import open_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = xm.Simulator(xm.HopfStep(), dt=0.1).run_to_zarr(f"{folder}/run.zarr", 20.0, monitors=["x"])
    ...     dict(open_store(f"{folder}/run.zarr").x.sizes)
    {'time': 200, 'region': 1}
    """
    found = inspect(Path(path))
    if found is None:
        raise ValueError(f"there is no store at {path}.")
    ds = xr.open_zarr(path, consolidated=False)
    for name, variable in ds.variables.items():
        if name in ds.coords or variable.ndim == 0:
            variable.load()
    text = {
        n: (c.dims, np.array(c.values.tolist(), dtype=str).reshape(c.shape), c.attrs) for n, c in ds.coords.items() if c.dtype.kind == "T"
    }
    ds = ds.assign_coords(text)
    ds.attrs.pop(STORE_FORMAT, None)
    return ds.drop_vars(STATUS) if np.isin(found.status, GOOD).all() else ds


def inspect(store: Path) -> Found | None:
    """What a path holds: None if nothing. Reads only.

    Raises
    ------
    ValueError
        If it holds something that this module has not made, or cannot read because it is newer.
    """
    if not store.exists() or (store.is_dir() and not any(store.iterdir())):
        return None
    attrs = _metadata(store).get("attributes", {})
    _check_version(store, attrs)
    if attrs.get("Conventions") != CONVENTIONS or CONFIGURATION not in attrs or not _metadata(store / STATUS):
        raise ValueError(f"{store} exists and was not made by run_to_zarr. It is left as it is: choose another path.")
    import zarr

    status = zarr.open_array(store / STATUS, mode="r")
    dims = status.metadata.dimension_names or ()  # type: ignore[union-attr]
    chunk = {str(d): c for d, c in zip(dims, status.chunks, strict=True)}
    try:
        values = np.asarray(status[...])
    except Exception as error:  # what a codec raises
        said = (
            f"{store} is damaged: its status cannot be read ({error}). xm.scale.verify({str(store)!r}, mark=True) says where, and mends it."
        )
        raise ValueError(said) from error
    return Found(attrs, chunk, values)


def _check_version(store: Path, attrs: Mapping[str, Any]) -> None:
    """Refuse a store of a newer format."""
    number, name = attrs.get(STORE_FORMAT, 1), str(attrs.get("Conventions", ""))
    ours = name == CONVENTIONS or not name.startswith(CONVENTIONS.partition("-")[0] + "-")
    if ours and isinstance(number, int) and number <= ledger.FORMAT:
        return
    try:
        by = json.loads(attrs[VERSIONS])["xmass"]
    except (KeyError, TypeError, ValueError):
        by = "unknown"
    what = f"store format {number}" if ours else f"conventions {name}"
    raise NewerStore(
        f"{store} has {what} and was written by xmass {by}; this is xmass {__version__}, which reads store formats up to "
        f"{ledger.FORMAT} and conventions {CONVENTIONS}. It is left as it is: open it with xmass {by} or newer."
    )


def _metadata(path: Path) -> dict[str, Any]:
    """A zarr node's own description, empty if it is none."""
    try:
        found = json.loads((path / "zarr.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# ---------------------------------------------------------------------------------------------------------------- configuration
def _resolve_for(config: Config, request: Request, store: Path, found: Found | None) -> tuple[Resolved, dict[str, Any]]:
    """The run, with the store's seed where none is given; refuses a store of another configuration."""
    if found is not None:
        request = _with_seed_of(config, request, store)
    resolved = resolve(config, request)
    attrs = result_attrs(resolved)
    if found is None or attrs[CONFIG_HASH] == found.attrs.get(CONFIG_HASH):
        if found is not None and not found.finished:
            _same_versions(store, found.attrs.get(VERSIONS), attrs[VERSIONS])
        return resolved, attrs
    raise _another(store, differences(json.loads(found.attrs[CONFIGURATION]), json.loads(attrs[CONFIGURATION])))


def _another(store: Path, said: list[str]) -> ValueError:
    more = f" and {len(said) - 5} more" if len(said) > 5 else ""
    return ValueError(
        f"{store} holds another run, which differs in (store -> this call) {'; '.join(said[:5])}{more}. "
        "Call with what it was made with, or choose another path."
    )


def _with_seed_of(config: Config, request: Request, store: Path) -> Request:
    """The same request with the seed that the store records, where the call gives none."""
    given = [request.seed is not None]
    given += [isinstance(d, xr.Dataset) and SEED in d.variables for d in (request.params, request.initial)]
    if any(given):
        return request
    with xr.open_zarr(store, consolidated=False, chunks=None) as ds:
        if SEED not in ds.coords:
            return request
        seed = ds[SEED].load().drop_vars([c for c in ds[SEED].coords if c not in ds[SEED].dims])
    n = request.batch_size
    if n is not None:
        has = seed.sizes.get(BATCH) if seed.dims == (BATCH,) else None
        if has != n:
            raise _another(store, [f"batch_size: {has} -> {n}"])
        return dataclasses.replace(request, batch_size=None, seed=seed)
    extra = [d for d in seed.dims if d not in resolve(config, request).sizes] if seed.dims else []
    if extra:
        raise _another(store, [f"seed: over {d!r} ({seed.sizes[d]}) -> none" for d in extra])
    return dataclasses.replace(request, seed=seed)


def _same_versions(store: Path, old: str | None, new: str) -> None:
    changed = differences(json.loads(old or "{}"), json.loads(new))
    if changed:
        warnings.warn(f"{store} was begun with other versions ({'; '.join(changed)}): last bits may differ.", UserWarning, stacklevel=5)


# ---------------------------------------------------------------------------------------------------------------- the empty store
def _prepare(
    config: Config, request: Request, store: Path, resolved: Resolved, attrs: dict[str, Any], chunk: dict[str, int]
) -> tuple[Resolved, dict[str, Any], dict[str, int]]:
    """With the lock held: remove what a killed process left, make the store if there is none."""
    for left in store.parent.glob(f"{_escaped(store.name)}.init-*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in store.parent.glob(f"{_escaped(store.name)}.lock.*"):
        left.unlink(missing_ok=True)
    found = inspect(store)
    if found is None:
        _create(store, resolved, attrs, chunk)
        return resolved, attrs, chunk
    for left in store.rglob("*.partial"):
        left.unlink(missing_ok=True)
    if found.attrs[CONFIG_HASH] != attrs[CONFIG_HASH]:  # made by another process since we looked
        resolved, attrs = _resolve_for(config, request, store, found)
    _check_pieces(store, resolved, found.chunk)
    _mend_ledger(store, resolved, found)
    return resolved, attrs, found.chunk


def _mend_ledger(store: Path, resolved: Resolved, found: Found) -> None:
    """A ledger for a store that has none: what is done stays, without checksums. Lines that are damaged go; their chunks run again."""
    kept = ledger.read(store)
    if kept is not None and kept.header is not None and not kept.damaged:
        return
    arrays = (*chunked(resolved, template(resolved, {})), STATUS)
    pieces = {f"{name}/c" for name in arrays}
    files = {
        n: f for n, f in ledger.checksums(store).items() if n != ledger.NAME and not any(n == p or n.startswith(f"{p}/") for p in pieces)
    }
    header = ledger.Header(found.attrs[CONFIG_HASH], found.sizes, found.chunk, arrays, files)
    if kept is not None:
        ledger.mend(store, header)
        return
    if found.attrs.get(STORE_FORMAT, 1) >= ledger.FORMAT:
        warnings.warn(f"{store / ledger.NAME} is gone: chunks that are done are taken as they are, without checksums.", stacklevel=5)
    records = []
    for at, box in found.boxes.items():
        codes, counts = np.unique(found.status[tuple(slice(a, b) for a, b in box)], return_counts=True)
        if NOT_RUN not in codes:
            records.append(ledger.Record(at, None, dict(zip(codes.tolist(), counts.tolist(), strict=True))))
    ledger.create(store, header, records)


def _check_pieces(store: Path, resolved: Resolved, chunk: dict[str, int]) -> None:
    """Two chunks in one stored piece would overwrite each other."""
    for name in chunked(resolved, template(resolved, {})):
        stored = _metadata(store / name)["chunk_grid"]["configuration"]["chunk_shape"][: len(chunk)]
        if any(c % s for c, s in zip(chunk.values(), stored, strict=True)):
            raise ValueError(
                f"{store} cannot be continued: {name} is stored in pieces of {stored}, which do not divide {chunk}, in which runs are "
                "written; it was rewritten with other chunks."
            )


def _escaped(name: str) -> str:
    import glob

    return glob.escape(name)


def _create(store: Path, resolved: Resolved, attrs: dict[str, Any], chunk: dict[str, int]) -> None:
    """Metadata and coordinates, made beside the store and renamed: a store is whole or not there."""
    import dask.array as da
    from zarr.codecs import BloscCodec

    ds = template(resolved, attrs | {STORE_FORMAT: ledger.FORMAT}).drop_encoding()
    status = da.zeros(tuple(resolved.sizes.values()), dtype="uint8", chunks=-1)
    about = {LONG_NAME: "state of the run", "flag_values": list(range(len(MEANINGS))), "flag_meanings": " ".join(MEANINGS)}
    ds = ds.assign_coords({STATUS: (tuple(resolved.sizes), status, about)})
    names = [*chunked(resolved, ds), STATUS]
    lead = tuple(chunk.values())
    encoding: dict[str, dict[str, Any]] = {}
    for name in names:
        variable = ds[name].variable
        made = variable.copy(data=da.zeros(variable.shape, dtype=variable.dtype, chunks=-1))
        ds = ds.assign_coords({name: made}) if name in ds.coords else ds.assign({name: made})
        inner = variable.shape[len(lead) :]
        encoding[name] = {"chunks": stored_chunks(lead, inner, variable.dtype.itemsize) if inner else lead}
        encoding[name]["compressors"] = (BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),)
    text = {n: v.astype(object) for n, v in ds.coords.items() if v.dtype.kind in "UT"}
    part = beside(store, f"init-{os.getpid()}")
    try:
        ds.assign_coords(text).to_zarr(part, mode="w", compute=False, consolidated=False, encoding=encoding)
        ledger.create(part, ledger.Header(attrs[CONFIG_HASH], dict(resolved.sizes), chunk, tuple(names), ledger.checksums(part)))
        durable.sync_tree(part)
        durable.rename(part, store)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def stored_chunks(lead: tuple[int, ...], inner: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Shape of a stored piece: a whole chunk of runs, single runs where that is more than 32 MB, pieces of time where a run is."""
    inner = tuple(max(n, 1) for n in inner)
    run = math.prod(inner) * itemsize
    if math.prod(lead) * run <= _STORED_BYTES:
        return (*lead, *inner)
    pieces = -(-run // _STORED_BYTES)
    return (*(1 for _ in lead), -(-inner[0] // pieces), *inner[1:])


def beside(store: Path, what: str) -> Path:
    """The path of a store's lock, or of the store while it is made."""
    return store.with_name(f"{store.name}.{what}")


def _cannot_write(error: OSError, store: Path) -> OSError:
    if isinstance(error, WriteError):
        return OSError(error.errno, f"{error.strerror}: {error.said}")
    return OSError(error.errno, f"{error.strerror or error}: cannot write {error.filename or store}. Nothing in {store} was changed.")
