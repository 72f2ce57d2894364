"""Results that know their dims, coordinates, dtypes and attrs before anything has run."""

from __future__ import annotations

import operator
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.rebuild import warn_diverged
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import DIVERGED
from xmass.scale.chunks import Box, Parcel, block, boxes, chunk_sizes, chunked, template


def lazy_run(resolved: Resolved, attrs: dict[str, Any], chunks: Mapping[str, int]) -> xr.Dataset:
    """The result of a run as dask arrays.

    One task simulates one chunk, all variables at once, on one thread; ``ds.compute()`` and ``ds.to_zarr()`` do each chunk once,
    two variables computed by two calls do it twice. Works on dask's threads, processes and with a ``distributed`` client, and
    equals the eager result bit for bit, whatever the chunks.

    Parameters
    ----------
    resolved : Resolved
        The planned run.
    attrs : dict
        attrs of the result.
    chunks : mapping of str to int
        Runs per chunk along run dims; -1 is all of them, as is a dim that is not named.

    Returns
    -------
    Dataset
        As ``run`` returns it, lazy; the coordinate ``diverged`` too.

    Raises
    ------
    TypeError, ValueError
        If ``chunks`` names something else than run dims, or has a size that is neither -1 nor positive.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1)
    >>> lazy = sim.run(20.0, xr.Dataset({"a": ("a", [0.1, 0.2, 0.3])}), monitors=["x"], initial={"x": 0.1}, chunks={"a": 2})
    >>> lazy.x.chunksizes["a"]
    (2, 1)
    """
    chunk = chunk_sizes(resolved, chunks)
    ds = template(resolved, attrs)
    grid = boxes(resolved.sizes, chunk)
    token = uuid.uuid4().hex
    tasks, parcel = f"xmass-run-{token}", f"xmass-plan-{token}"
    layer: dict[Any, Any] = {(tasks, *at): (_simulate, parcel, _Where(box)) for at, box in grid.items()}
    layer[parcel] = Parcel(resolved)
    lead = tuple(_lengths(n, chunk[d]) for d, n in resolved.sizes.items())
    made = {}
    for name in chunked(resolved, ds):
        made[name] = ds[name].variable.copy(data=_array(name, ds[name], layer, tasks, token, grid, lead))
    ds = ds.assign({n: v for n, v in made.items() if n != DIVERGED}).assign_coords({DIVERGED: made[DIVERGED]})
    ds.encoding["chunks"] = chunk
    return ds


def _lengths(size: int, chunk: int) -> tuple[int, ...]:
    return tuple(min(chunk, size - first) for first in range(0, size, chunk)) or (0,)


def _array(name: str, like: xr.DataArray, layer: dict, tasks: str, token: str, grid: dict, lead: tuple[tuple[int, ...], ...]) -> Any:
    """The dask array of one variable: its part of what every task returns."""
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    key = f"{name}-{token}"
    inner = like.shape[len(lead) :]
    own: dict[Any, Any] = {(key, *at, *(0 for _ in inner)): (operator.getitem, (tasks, *at), name) for at in grid}
    graph = HighLevelGraph({tasks: layer, key: own}, {tasks: set(), key: {tasks}})
    return da.Array(graph, key, (*lead, *((n,) for n in inner)), dtype=like.dtype)


class _Where:
    """A chunk's box, in a form that dask takes for nothing else."""

    def __init__(self, box: Box) -> None:
        self.box = box


def _simulate(parcel: Parcel, where: _Where) -> dict[str, np.ndarray]:
    """What one task does."""
    ds = block(parcel.resolved, where.box)
    warn_diverged(ds[DIVERGED])
    return {name: ds[name].values for name in chunked(parcel.resolved, ds)}
