"""Chunks of a run: hyper-rectangles of run dims, and the labelled result of one of them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.core.model import noise_fields
from xmass.labelled.execute import Arrays, Report, execute, sample_range
from xmass.labelled.parameters import carried_path, node_of
from xmass.labelled.rebuild import labelled
from xmass.labelled.resolve import Request, Resolved
from xmass.labelled.schema import DIVERGED, INITIAL

Box = tuple[tuple[int, int], ...]
"""First and last-plus-one index along every run dim."""

_CHUNK_BYTES = 20_000_000
_MOST_CHUNKS = 1000
_FEWEST_RUNS = 16


def chunk_sizes(resolved: Resolved, chunks: Mapping[str, int]) -> dict[str, int]:
    """Runs per chunk along every run dim; dims that ``chunks`` does not name are whole.

    Raises
    ------
    TypeError, ValueError
        If ``chunks`` is not a mapping, names something else than a run dim, or has a size that is neither -1 nor positive.
    """
    if not isinstance(chunks, Mapping):
        raise TypeError(f"chunks={chunks!r}, needs a mapping of run dims to sizes, for example {_example(resolved)}.")
    sizes = dict(resolved.sizes)
    for dim, size in chunks.items():
        if dim not in resolved.sizes:
            known = f"the dims of its runs, {list(resolved.sizes)}" if resolved.sizes else "no dim, it is a single run"
            raise ValueError(
                f"chunks names {dim!r}; this run can be chunked along {known}: a run needs all its regions and times. "
                f"Take chunks={_example(resolved)}."
            )
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if not whole or (size < 1 and size != -1):
            raise ValueError(f"chunks[{dim!r}]={size!r}, needs a positive number of runs, or -1 for all of them.")
        if size != -1:
            sizes[str(dim)] = max(min(int(size), resolved.sizes[str(dim)]), 1)
    return sizes


def _example(resolved: Resolved) -> str:
    return f"{{{next(iter(resolved.sizes))!r}: 8}}" if resolved.sizes else "{}"


def default_chunks(resolved: Resolved) -> dict[str, int]:
    """Chunks that lose little when one is lost: one tile each (16 runs where tiles are single runs), more where there are many.

    They grow along the dims that share a connectome first, because a tile has one, to a size that
    fills its tiles, and stay below 20 MB where a tile does.
    """
    width = resolved.program.width
    least = width * -(-_FEWEST_RUNS // width)
    bytes_of_run = max(sum(v.nbytes for v in template(resolved, {}).values()) / max(resolved.runs, 1), 1)
    most = max(int(_CHUNK_BYTES / bytes_of_run) // width * width, least)
    wanted = min(max(least, math.ceil(resolved.runs / _MOST_CHUNKS)), most)
    own = resolved.structures.dims if resolved.structures is not None else ()
    order = [d for d in reversed(resolved.sizes) if d not in own] + [d for d in reversed(resolved.sizes) if d in own]
    taken: dict[str, int] = {}
    for dim in order:
        inner, size = math.prod(taken.values()), resolved.sizes[dim]
        taken[dim] = max(min(wanted // inner, size), 1)
        if dim not in own and taken[dim] < size:
            largest = max(min(4 * least // inner, most // inner, size), taken[dim])
            taken[dim] = _least_padding(taken[dim], largest, inner, width)
    return {d: taken[d] for d in resolved.sizes}


def _least_padding(smallest: int, largest: int, inner: int, width: int) -> int:
    """How many slices of ``inner`` runs fill tiles best, the fewest of equals."""
    return min(range(smallest, largest + 1), key=lambda n: -(n * inner) % width / (n * inner))


def boxes(sizes: Mapping[str, int], chunk: Mapping[str, int]) -> dict[tuple[int, ...], Box]:
    """Every chunk by its position in the grid of chunks."""
    edges = [[(first, min(first + chunk[d], n)) for first in range(0, n, chunk[d])] for d, n in sizes.items()]
    numbers = itertools.product(*(range(len(e)) for e in edges))
    return dict(zip(numbers, itertools.product(*edges), strict=True))


def runs_of(resolved: Resolved, box: Box) -> np.ndarray:
    """Flat run indices of a chunk, in C order."""
    if not box:
        return np.zeros(1, np.int64)
    index = np.ix_(*(np.arange(a, b) for a, b in box))
    return np.ravel_multi_index(tuple(np.broadcast_arrays(*index)), tuple(resolved.sizes.values())).ravel()


def block(resolved: Resolved, box: Box, *, threads: int = 1, report: Report | None = None) -> xr.Dataset:
    """Simulate one chunk and label it."""
    arrays = execute(resolved, runs_of(resolved, box), threads=threads, report=report)
    return labelled(part(resolved, box), arrays, {})


def part(resolved: Resolved, box: Box) -> Resolved:
    """The labels of one chunk."""
    where = {d: slice(a, b) for d, (a, b) in zip(resolved.sizes, box, strict=True)}
    coords = {n: c.isel({d: s for d, s in where.items() if d in c.dims}) for n, c in resolved.coords.items()}
    return dataclasses.replace(resolved, sizes={d: b - a for d, (a, b) in zip(resolved.sizes, box, strict=True)}, coords=coords)


def template(resolved: Resolved, attrs: dict[str, Any]) -> xr.Dataset:
    """The result as it will be, with zeros that take no memory: dims, coordinates, dtypes, attrs."""
    return labelled(resolved, _nothing(resolved), attrs)


def chunked(resolved: Resolved, ds: xr.Dataset) -> list[str]:
    """The variables of a result that come from chunks."""
    return [str(n) for n in ds.data_vars if n in _monitored(resolved) or (str(n).startswith(f"{INITIAL}.") and ds[n].ndim)] + [DIVERGED]


def _monitored(resolved: Resolved) -> set[str]:
    return {m.name for m in resolved.graph.monitors}


def _nothing(resolved: Resolved) -> Arrays:
    """Arrays of all runs that hold one zero."""
    program, runs = resolved.program, resolved.runs
    zero = np.zeros((), program.dtype)

    def zeros(*shape: int) -> np.ndarray:
        return np.broadcast_to(zero, (runs, *shape))

    n = program.regions
    series = {}
    for index in resolved.graph.recorded:
        first, last = sample_range(resolved, resolved.graph.nodes[index].period)
        series[index] = zeros(max(last - first, 0), resolved.graph.nodes[index].entries or n)
    reductions = {m.node: zeros(*(resolved.graph.size(d, n) for d in m.dims)) for m in resolved.graph.monitors if not m.clock}
    end: dict[str, np.ndarray] = {}
    if resolved.request.restart:
        model = node_of(resolved.config.system)
        end |= {f"{INITIAL}.{state.name}": zeros(n) for state in model.states}
        end |= {f"{INITIAL}.{name}": zeros(n, program.history) for name in program.pasts}
        end |= {carried_path(path, name): zeros(n) for path, _, process in noise_fields(model) for name in process.carried}
        for i, o in enumerate(resolved.graph.observations):
            end |= {f"{INITIAL}.{o.name}.{name}": zeros(*resolved.graph.state_shape(i, name, n)) for name in o.state_names}
    return Arrays(series, reductions, end, np.ones(runs, bool))


class Parcel:
    """A run on its way to the tasks that do its chunks: without what they do not need, unpacked once per process.

    Once matters: what is unpacked twice holds two copies of a user's function, and so would compile twice.
    """

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = _lean(resolved)

    @functools.cached_property
    def packed(self) -> bytes:
        """The run as bytes."""
        import cloudpickle  # type: ignore[import-untyped]

        return cloudpickle.dumps(self.resolved)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (self.packed,)


@functools.lru_cache(maxsize=4)
def _unpack(packed: bytes) -> Parcel:
    import cloudpickle

    parcel = Parcel(cloudpickle.loads(packed))
    parcel.__dict__["packed"] = packed
    return parcel


def _lean(resolved: Resolved) -> Resolved:
    """Without the arguments as they were given; their values are kept in the form that runs use."""
    request = Request(duration=0.0, restart=resolved.request.restart)
    config = dataclasses.replace(resolved.config, system=node_of(resolved.config.system))
    specs = {path: spec._replace(value=None) for path, spec in resolved.specs.items()}
    return dataclasses.replace(resolved, request=request, config=config, specs=specs)
