"""Statistics of the runs of a fit at one point: their values, derivatives and spread over the noise."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.fit.grid import GridBackend
from xmass.fit.layout import Entry
from xmass.fit.problem import Problem
from xmass.fit.result import START
from xmass.fit.study import Study
from xmass.fit.terms import TermScore
from xmass.labelled.provenance import CONFIGURATION
from xmass.labelled.schema import LONG_NAME, UNITS
from xmass.labelled.units import to_declared

if TYPE_CHECKING:
    from xmass.fit.fitter import Fitter

PARAMETER = "parameter"
_ROUNDING = 1e-6
"""How far a result may lie beyond its bounds, in their width: single precision."""


def study_of(fitter: Fitter, result: xr.Dataset, target: xr.Dataset, *, seed: int | None, changes: dict[str, Any] | None = None) -> Study:
    """The problem of a fit again, in coordinates that are linear between bounds, each draw with noise of its own.

    Without a seed it is the one that the fit recorded.
    """
    if not isinstance(result, xr.Dataset):
        raise TypeError(f"result is a {type(result).__name__}, needs the Dataset of parameters that fit returned.")
    if seed is None:
        seed = int(json.loads(result.attrs.get(CONFIGURATION, "{}")).get("seed", 0))
    every: dict[str, Any] = {"backend": GridBackend(), "noise": "fresh", **(changes or {})}
    return Study(dataclasses.replace(fitter, **every), target, 1, 1, seed)


def point_of(study: Study, result: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates ``(fits, size)`` of a result's parameters, the best start of each fit; and which fits have none ``(fits,)``."""
    if not isinstance(result, xr.Dataset):
        raise TypeError(f"the parameters are a {type(result).__name__}, need the Dataset that fit returned.")
    layout, sizes, labels = study.points.layout, study.fit_sizes, study.points.labels
    values, failed = {}, np.zeros(study.problem.fits, bool)
    for entry in layout.entries:
        if entry.path not in result.variables:
            raise KeyError(f"result has no {entry.path!r}, which is fitted: give the Dataset that this fitter returned.")
        value = result[entry.path]
        if entry.path in study.points.specs:
            value = to_declared(value, study.points.specs[entry.path].unit, entry.path)
        value = value.isel({START: 0}, drop=True) if START in value.dims else value
        for dim in value.dims:
            if str(dim) not in (*sizes, *entry.labels):
                raise ValueError(f"{entry.path} of the result has the dim {dim!r}, which the fits have not. Select: .isel({dim}=0).")
            if dim in labels and dim in value.coords:
                if not set(labels[str(dim)].values.tolist()) <= set(value[dim].values.tolist()):
                    raise ValueError(f"{entry.path} of the result has other labels along {dim!r} than the recordings: .sel({dim}=...).")
                value = value.sel({dim: labels[str(dim)].values})
            wanted = sizes[str(dim)] if dim in sizes else len(entry.labels[str(dim)])
            if value.sizes[dim] != wanted:
                raise ValueError(f"{entry.path} of the result has {value.sizes[dim]} entries along {dim!r}, needs {wanted}.")
        own = [d for d in (*sizes, *entry.labels) if d in value.dims]
        array = value.transpose(*own).values.astype(np.float64)
        array = array.reshape([n if d in own else 1 for d, n in sizes.items()] + [len(v) for v in entry.labels.values()])
        array = np.broadcast_to(array, (*sizes.values(), *entry.shape)).reshape(study.problem.fits, *entry.shape)
        failed |= ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        _check_inside(entry, array)
        values[entry.path] = array
    for entry in layout.entries:
        start = np.broadcast_to(np.asarray(entry.param.value), (*sizes.values(), *entry.shape)).reshape(-1, *entry.shape)
        values[entry.path] = np.where(failed.reshape(-1, *(1,) * len(entry.shape)), start, values[entry.path])
    return layout.to_coordinates(values, study.points.space), failed


def _check_inside(entry: Entry, values: np.ndarray) -> None:
    """Refuses values of a result that the fit could not have found."""
    low, high = entry.limits
    picked = entry.picked(values)
    room = _ROUNDING * np.where(np.isfinite(high - low), high - low, 1.0)
    outside = (picked < low - room) | (picked > high + room)
    if outside.any():
        raise ValueError(
            f"{entry.path} of the result is {picked[outside][0]:g}, beyond its bounds: give the fitter that found it, or other bounds."
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Scales:
    """What a change of the coordinates means: all arrays are ``(fits, size)``."""

    value: np.ndarray
    """In the declared unit; a coordinate itself where a transform mixes values."""
    slope: np.ndarray
    """Derivative of the value with respect to its coordinate."""
    width: np.ndarray
    """Width of the bounds; without bounds the size of the value, or 1 where it is 0."""


def scales_at(study: Study, c: np.ndarray) -> Scales:
    """Values, slopes and widths of the free numbers at coordinates ``(fits, size)``."""
    parts = [_scales(entry, z, study) for entry, z in study.points.layout.parts(c)]
    return Scales(*(np.concatenate([p[k] for p in parts], axis=-1) for k in range(3)))


def _scales(entry: Entry, z: np.ndarray, study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not entry.transform.elementwise:
        return z, np.ones_like(z), np.ones_like(z)

    def one(at: Any) -> Any:
        return entry.picked(entry.value(at, study.points.space))

    with jax.enable_x64(True):
        value, slope = jax.vmap(lambda at: jax.jvp(one, (at,), (jnp.ones_like(at),)))(jnp.asarray(z))
    low, high = entry.limits
    size = np.where(np.asarray(value) == 0, 1.0, np.abs(np.asarray(value)))
    with np.errstate(invalid="ignore"):
        width = np.where(np.isfinite(high - low), high - low, size)
    return np.asarray(value), np.asarray(slope), width


def parameter_coords(study: Study) -> dict[str, Any]:
    """Coordinates of the dim ``parameter``: names and units."""
    units = [
        study.points.specs[e.path].unit if e.path in study.points.specs and e.transform.elementwise else "1"
        for e in study.points.layout.entries
        for _ in range(e.size)
    ]
    return {
        PARAMETER: (PARAMETER, list(study.points.layout.names), {LONG_NAME: "free number"}),
        "unit": (PARAMETER, units, {LONG_NAME: "unit of the parameter"}),
    }


def fit_coords(study: Study) -> dict[str, Any]:
    """Coordinates of the dims of the fits."""
    return {d: study.points.labels[d].variable for d in study.fit_sizes if d in study.points.labels}


def by_target(problem: Problem, found: np.ndarray) -> np.ndarray:
    """Residuals or their derivatives ``(fits, runs * m, ...)`` averaged over the runs that are compared with one recording."""
    rows = problem.rows
    fits, runs = rows.shape
    different = len(np.unique(rows[0]))
    if different == runs:
        return found
    each = found.reshape(fits, runs, -1, *found.shape[2:])
    order = np.argsort(rows, axis=1, kind="stable")
    each = np.take_along_axis(each, order.reshape(fits, runs, *(1,) * (each.ndim - 2)), axis=1)
    return each.reshape(fits, different, runs // different, *each.shape[2:]).mean(axis=2).reshape(fits, -1, *found.shape[2:])


def filling(problem: Problem) -> np.ndarray:
    """Factors ``(fits, statistics)`` that undo the filling of residuals where regions or recordings are left out; 0 if there is none."""
    term = problem.scorer.terms[0][0]
    assert isinstance(term, TermScore)
    counts = [term._count(keep) for keep in term.kept]
    longest = max(counts)
    rows = np.stack([np.unique(r) for r in problem.rows])
    pattern = np.asarray(term.target["pattern"])[rows]
    found = np.zeros((*rows.shape, longest))
    for number, count in enumerate(counts):
        found[pattern == number, :count] = np.sqrt(count / longest)
    found = found / problem.scale[:, None, None]
    return found.reshape(len(rows), -1)


def residuals_over_seeds(study: Study, c: np.ndarray, seeds: int) -> np.ndarray:
    """Residuals ``(seeds, fits, statistics)``, each with other noise."""
    problem = study.problem
    factor = filling(problem)
    return np.stack([by_target(problem, problem.residuals(c, draw=s)[1]) * factor for s in range(seeds)])


def trials(problem: Problem) -> int:
    """Runs whose mean is compared with one recording."""
    return problem.rows.shape[1] // len(np.unique(problem.rows[0]))


def estimated_sd(study: Study, c: np.ndarray, failed: np.ndarray, seeds: int) -> np.ndarray:
    """Standard deviation of a recording's statistics from those of the simulation, over the noise of both.

    A simulation is a mean over trials, so both together have the variance of one run times 1 + 1/trials. It is the mean over fits and
    recordings, and over all statistics where regions are left out.
    """
    residuals = residuals_over_seeds(study, c, seeds)[:, ~failed]
    residuals = residuals - residuals[:1]  # so that equal runs have exactly no variance
    variance = residuals.var(axis=0, ddof=1) * (trials(study.problem) + 1)
    rows = len(np.unique(study.problem.rows[0]))
    each = variance.reshape(-1, variance.shape[-1] // rows)
    used = filling(study.problem)[~failed] > 0
    if not (each > 0).any():
        raise ValueError("the run has no noise, so its statistics have no variance: give that of the measurement, sd=0.1.")
    return np.sqrt(each.mean(axis=0)) if used.all() else np.sqrt(np.asarray(variance[used].mean()))


def noisy(study: Study, c: np.ndarray) -> bool:
    """Whether runs differ by their seed."""
    first, second = (study.problem.residuals(c, draw=s)[1] for s in range(2))
    return not np.array_equal(first, second, equal_nan=True)


Variables = Mapping[str, tuple[tuple[str, ...], np.ndarray, str]]
"""Own dims, values ``(fits, ...)`` and meaning, by name."""


def labelled(study: Study, variables: Variables, failed: np.ndarray, **coords: Any) -> xr.Dataset:
    """Variables ``(fits, ...)`` with the dims of the fits before their own; NaN where a fit has no result."""
    lead, shape = tuple(study.fit_sizes), tuple(study.fit_sizes.values())
    made = {}
    for name, (dims, values, meaning) in variables.items():
        if failed.any():
            values = np.where(failed.reshape(-1, *(1,) * (values.ndim - 1)), False if values.dtype == bool else np.nan, values)
        attrs = {LONG_NAME: meaning} | ({} if values.dtype == bool else {UNITS: "1"})
        made[name] = ((*lead, *dims), values.reshape((*shape, *values.shape[1:])), attrs)
    return xr.Dataset(made, coords={**fit_coords(study), **parameter_coords(study), **coords})
