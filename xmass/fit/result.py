"""The result of a fit as a Dataset: parameters at the best evaluated point, losses, and how each fit ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.fit.backend import Outcome
from xmass.fit.layout import scale_of
from xmass.fit.points import Points
from xmass.fit.recorder import Recorder
from xmass.labelled.schema import DIVERGED, LONG_NAME, UNITS

START, STEP = "start", "step"
LOSS, BEST_LOSS, BEST_STEP = "loss", "best_loss", "best_step"
CONVERGED, AT_BOUND = "converged", "at_bound"
RESULT_NAMES = (START, STEP, LOSS, BEST_LOSS, BEST_STEP, CONVERGED, DIVERGED, AT_BOUND)
_NEAR = 1e-3
"""Part of the interval between its bounds within which a number is at one of them; of its first distance from it, where there is one."""


def result(
    points: Points, record: Recorder, outcome: Outcome, sizes: Mapping[str, int], labels: Mapping[str, xr.DataArray], objective: str
) -> xr.Dataset:
    """The labelled result; with a dim ``start`` the best is first."""
    lead, shape = tuple(sizes), tuple(sizes.values())

    def ended(status: str) -> np.ndarray:
        return np.array([e.status == status for e in outcome.endings] or [False] * len(record.best))

    # Parameters are made from numbers everywhere, so that derived ones have no NaN to refuse, and NaN is put in afterwards.
    there = xr.DataArray(np.isfinite(record.best).all(axis=1).reshape(shape), dims=lead)
    with jax.enable_x64(True):
        best = jnp.asarray(np.where(there.values.reshape(-1, 1), record.best, points.first)).reshape(*shape, -1)
        found = {**points.free(best, sizes), **points.values(best, sizes)}
    variables: dict[str, Any] = {}
    for path, value in found.items():
        spec = points.specs.get(path)
        attrs = {UNITS: spec.unit, LONG_NAME: spec.meaning} if spec is not None else {}
        own = value.copy(data=np.array(value.data, np.float64)).drop_vars(list(value.coords))
        own = own.where(there) if set(lead) <= set(own.dims) else own
        dims = (*(d for d in lead if d in own.dims), *(d for d in own.dims if d not in lead))
        variables[path] = (dims, own.transpose(*dims).data, attrs)
    history = record.history[:, : max(record.steps, 1)]
    variables[LOSS] = ((*lead, STEP), history.reshape(*shape, -1), {LONG_NAME: f"smallest loss of each step: {objective}", UNITS: "1"})
    variables[BEST_LOSS] = (
        lead,
        record.best_losses[:, 0].reshape(shape),
        {LONG_NAME: f"loss of the returned point: {objective}", UNITS: "1"},
    )
    variables[BEST_STEP] = (lead, record.best_step.reshape(shape), {LONG_NAME: "step at which the returned point was evaluated; -1: none"})
    flags = {
        CONVERGED: (ended("converged"), "the optimiser's own criterion was met"),
        DIVERGED: (ended("diverged") | ~np.isfinite(record.best_losses[:, 0]), "no finite loss, or none in several steps in a row"),
        AT_BOUND: (_at_bound(points, found, lead) & there.values, "a free number is at one of its bounds"),
    }
    for name, (values, meaning) in flags.items():
        variables[name] = (lead, values.reshape(shape), {LONG_NAME: meaning})
    coords: dict[str, Any] = {d: labels[d].variable for d in sizes if d in labels}
    if START in sizes:
        coords[START] = np.arange(sizes[START])
    coords[STEP] = (STEP, np.arange(history.shape[1]), {LONG_NAME: "step of the optimiser"})
    for value in found.values():
        coords |= {str(d): value[d].variable for d in value.dims if d in value.coords and d not in coords}
    ds = xr.Dataset(variables, coords=coords)
    return _best_first(ds) if START in sizes else ds


def runnable(params: xr.Dataset, lead: Sequence[str]) -> tuple[xr.Dataset, xr.DataArray]:
    """Parameters of fits, with those of another fit where one has none, and which fits have some."""
    finite = xr.DataArray(True)
    for v in params.data_vars.values():
        finite = finite & v.notnull().all([d for d in v.dims if d not in lead])
    if bool(finite.all()) or not bool(finite.any()):
        return params, finite
    at = dict(zip(finite.dims, np.argwhere(finite.values)[0].tolist(), strict=True))
    filled = {n: v.where(finite, v.isel({d: k for d, k in at.items() if d in v.dims}, drop=True)) for n, v in params.data_vars.items()}
    return params.assign({n: v.transpose(*params[n].dims) for n, v in filled.items()}), finite


def _best_first(ds: xr.Dataset) -> xr.Dataset:
    """The starts of each fit in the order of their loss; those without a loss are last."""
    loss = ds[BEST_LOSS].transpose(..., START)
    lead = loss.dims[:-1]
    order = np.argsort(np.where(np.isfinite(loss.values), loss.values, np.inf), axis=-1, kind="stable")
    for name, v in ds.data_vars.items():
        if START not in v.dims:
            continue
        data = v.transpose(*lead, START, ...).values
        place = order.reshape(*order.shape, *(1,) * (data.ndim - order.ndim))
        taken = xr.DataArray(
            np.take_along_axis(data, place, axis=len(lead)), dims=(*lead, START, *(d for d in v.dims if d not in loss.dims))
        )
        ds[name] = (v.dims, taken.transpose(*v.dims).data, v.attrs)
    return ds


def _at_bound(points: Points, found: Mapping[str, xr.DataArray], lead: tuple[str, ...]) -> np.ndarray:
    """Which fits have a free number at one of its bounds."""
    shape = tuple(next(iter(found.values())).sizes[d] for d in lead)
    near = np.zeros(shape, bool)
    for entry in points.layout.entries:
        value = np.asarray(found[entry.path].data, np.float64)
        low: Any
        high: Any
        width: Any
        if entry.boxed:  # on the scale that the number moves on, which may be logarithmic
            low, high, width, place = 0.0, 1.0, 1.0, entry.coordinates(value, "box")
        else:
            (low, high), place = entry.limits, entry.picked(value)
            width = np.where(np.isfinite(high - low), high - low, scale_of(entry))
        near |= ((place - low < _NEAR * width) | (high - place < _NEAR * width)).any(axis=-1)
    return near
