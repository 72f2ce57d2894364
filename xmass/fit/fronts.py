"""Pareto fronts as a Dataset: parameters and losses over the points of each front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.fit.backend import Front
from xmass.fit.pareto import Archive
from xmass.fit.points import Points
from xmass.fit.result import START
from xmass.labelled.schema import DIVERGED, LONG_NAME, UNITS

POINT, OBJECTIVE, LOSSES = "point", "objective", "losses"


def front_result(
    points: Points, fronts: Sequence[Front], sizes: Mapping[str, int], labels: Mapping[str, xr.DataArray], names: Sequence[str]
) -> xr.Dataset:
    """The labelled fronts of fits with the dims ``sizes``; those of the starts of a fit are one.

    Returns
    -------
    Dataset
        Every parameter and ``losses (..., point, objective)`` over ``point``, sorted by the first objective; NaN where the front of a fit
        has fewer points than the longest; ``diverged`` where it has none.
    """
    starts = sizes.get(START, 1)
    lead = {d: n for d, n in sizes.items() if d != START}
    merged = [_one(fronts[k : k + starts]) for k in range(0, len(fronts), starts)]
    count = max(max((len(front.c) for front in merged), default=0), 1)
    shape = (*lead.values(), count)
    # Parameters are made from numbers everywhere, so that derived ones have no NaN to refuse, and NaN is put in afterwards.
    c = np.stack([_filled(front.c, count, points.first[k * starts]) for k, front in enumerate(merged)])
    there = np.stack([np.arange(count) < len(front.c) for front in merged]).reshape(shape)
    losses = np.stack([_filled(front.losses, count, np.full(len(names), np.nan)) for front in merged]).reshape(*shape, -1)
    with jax.enable_x64(True):
        every = lead | {POINT: count}
        found = {**points.free(jnp.asarray(c.reshape(*shape, -1)), every), **points.values(jnp.asarray(c.reshape(*shape, -1)), every)}
    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {d: labels[d].variable for d in lead if d in labels}
    mask = xr.DataArray(there, dims=(*lead, POINT))
    for path, value in found.items():
        spec = points.specs.get(path)
        attrs = {UNITS: spec.unit, LONG_NAME: spec.meaning} if spec is not None else {}
        own = value.copy(data=np.array(value.data, np.float64)).drop_vars(list(value.coords))
        own = own.where(mask) if POINT in own.dims else own
        dims = (*(d for d in (*lead, POINT) if d in own.dims), *(d for d in own.dims if d not in (*lead, POINT)))
        variables[path] = (dims, own.transpose(*dims).data, attrs)
        coords |= {str(d): value[d].variable for d in value.dims if d in value.coords and d not in coords}
    variables[LOSSES] = (
        (*lead, POINT, OBJECTIVE),
        np.where(there[..., None], losses, np.nan),
        {LONG_NAME: "losses of the points of the Pareto front", UNITS: "1"},
    )
    variables[DIVERGED] = (tuple(lead), ~there.any(axis=-1), {LONG_NAME: "no evaluated point has finite losses"})
    coords[POINT] = (POINT, np.arange(count), {LONG_NAME: "point of the Pareto front, in the order of the first objective"})
    coords[OBJECTIVE] = (OBJECTIVE, list(names))
    return xr.Dataset(variables, coords=coords)


def _one(fronts: Sequence[Front]) -> Front:
    """The front of the points of several."""
    archive = Archive(fronts[0].c.shape[1], fronts[0].losses.shape[1])
    for front in fronts:
        archive.add(front.c, front.losses)
    return archive.front()


def _filled(rows: np.ndarray, count: int, otherwise: np.ndarray) -> np.ndarray:
    """These rows, and the last of them, or another where there is none, up to so many."""
    last = rows[-1:] if len(rows) else otherwise[None]
    return np.concatenate([rows, np.repeat(last, count - len(rows), axis=0)])
