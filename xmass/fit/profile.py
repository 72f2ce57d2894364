"""Profiles: the smallest loss at each value of one parameter, all other ones fitted anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.core.param import Param, limits
from xmass.fit.layout import Entry
from xmass.fit.likelihood import GaussianLikelihood
from xmass.fit.result import BEST_LOSS, CONVERGED, LOSS, START
from xmass.fit.statistics import estimated_sd, fit_coords, point_of, study_of
from xmass.fit.study import Study
from xmass.labelled.free import free_parameters
from xmass.labelled.parameters import Spec
from xmass.labelled.schema import LONG_NAME, UNITS
from xmass.labelled.units import to_declared

if TYPE_CHECKING:
    from xmass.fit.fitter import Fitter

GRID_POINT, _REST = "grid_point", "rest"
DEVIANCE, INSIDE = "deviance", "inside"
_CHI_SQUARE = 3.841458820694124
"""95th percentile of the chi-square distribution with one degree of freedom."""
_INSIDE = 1e-3
"""How far from its bounds a fit with unbounded coordinates starts again, in their width."""


def profile(
    fitter: Fitter,
    result: xr.Dataset,
    target: xr.Dataset,
    parameter: str,
    *,
    at: Mapping[str, Hashable] | None = None,
    n: int = 21,
    values: Sequence[float] | np.ndarray | None = None,
    n_steps: int = 50,
    likelihood: GaussianLikelihood | None = None,
    seeds: int = 16,
    seed: int | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """The loss along one parameter, minimal over all others: a flat profile means that the data do not determine it.

    Each value of a grid is a fit in which the parameter is held, started from the best point. All of them, and all subjects, run
    together. With one free parameter this is a plain sweep.

    Parameters
    ----------
    fitter : Fitter
        As it was used for the fit; its backend fits the other parameters.
    result : Dataset
        What ``fitter.fit`` returned; with a dim ``start`` the first is taken.
    target : Dataset
        The recordings.
    parameter : str
        A fitted parameter.
    at : mapping, optional
        Which of its values, where it has one for each region: ``{"region": "V1"}``. The others are fitted anew.
    n : int
        Points of the grid, evenly between the bounds, in their logarithm with ``transform="log"``.
    values : sequence of float, optional
        The grid itself, in the unit of the parameter.
    n_steps : int
        Steps of each fit of the others.
    likelihood : GaussianLikelihood, optional
        Compared instead of the fitter's objective: then this is a profile likelihood. Its ``sd``, if it has none, is that over runs with
        different noise at the fitted point, the root mean square over the fits.
    seeds : int
        Runs from which that is estimated.
    seed : int, optional
        Of the noise and the optimiser; by default that of the fit.
    progress : bool, optional
        As for ``fit``.

    Returns
    -------
    Dataset
        Along the dim ``parameter``, or ``parameter[label]``, after the dims of the fits: ``loss``, the other parameters where it is
        smallest, and ``converged``. With a likelihood also ``deviance``, twice the logarithm of the likelihood that is lost against the
        best grid point, and ``inside``, whether it is below the 95th percentile of a chi-square distribution with one degree of freedom:
        the confidence set of the likelihood ratio.

    Raises
    ------
    KeyError, ValueError
        If the parameter is not fitted or ``at`` does not say which of its numbers is meant, if the grid is not known, if there are several
        objectives, or a parameter has ``reg=``, whose penalty is measured from where a fit starts.

    References
    ----------
    Raue et al. (2009), doi:10.1093/bioinformatics/btp358.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.1)
    >>> run = dict(duration=10.0, monitors=["x"])
    >>> recorded = sim.run(params=xr.Dataset({"initial.x": 1.0}), **run)
    >>> search = {"initial.x": xm.Param(0.9, bounds=(0.0, 2.0))}
    >>> fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=run, search=search)
    >>> along = xm.profile(fitter, xr.Dataset({"initial.x": 1.0}), recorded, "initial.x", n=5)
    >>> float(along.loss.idxmin("initial.x"))
    1.0
    """
    if likelihood is None and len(fitter.objectives) != 1:
        raise ValueError(f"there are {len(fitter.objectives)} objectives: give one, or a likelihood, whose profile is wanted.")
    if not isinstance(likelihood, GaussianLikelihood | None):
        raise TypeError(f"likelihood={likelihood!r}, needs a GaussianLikelihood: xm.fit.GaussianLikelihood('fc').")
    if not isinstance(at, Mapping | None):
        raise TypeError(f"at={at!r}, needs a mapping: at={{'region': 'V1'}}.")
    if likelihood is not None:
        likelihood = _with_sd(fitter, result, target, likelihood.aligned(fitter.simulator.config.regions), seeds, seed)
        fitter = dataclasses.replace(fitter, objective=likelihood.objective)
    study = study_of(fitter, result, target, seed=seed, changes={"noise": fitter.noise})
    entry = _entry(study, parameter)
    place = _place(entry, at)
    name = parameter if place is None else entry.names()[place]
    spec = study.points.specs.get(parameter)
    grid = _grid(entry, spec, n, values, place or 0)
    penalised = next((e.path for e in study.points.layout.entries if e.param.reg is not None), None)
    if penalised is not None:
        raise ValueError(f"{penalised} has reg=, and a profile is of the loss alone. Take it away: dataclasses.replace(param, reg=None).")
    if study.points.layout.size == 1:
        made = _swept(study, grid)
    else:
        made = _refitted(fitter, study, result, target, _Held(entry, place, grid), n_steps, progress)
    attrs = {UNITS: spec.unit, LONG_NAME: spec.meaning} if spec is not None else {}
    made = made.drop_vars(name, errors="ignore").rename({GRID_POINT: name}).assign_coords({name: (name, grid, attrs)})
    made[LOSS].attrs |= {LONG_NAME: f"smallest loss at each {name}: {', '.join(study.problem.scorer.names)}", UNITS: "1"}
    if likelihood is not None:
        made[DEVIANCE] = (made[LOSS] - made[LOSS].min(name)).assign_attrs({LONG_NAME: "twice the loss of log-likelihood", UNITS: "1"})
        made[INSIDE] = (made[DEVIANCE] < _CHI_SQUARE).assign_attrs({LONG_NAME: "in the confidence set of 95 %"})
    return made


def _entry(study: Study, parameter: str) -> Entry:
    entries = {e.path: e for e in study.points.layout.entries}
    if parameter not in entries:
        raise KeyError(f"{parameter!r} is not fitted, needs one of {', '.join(entries)}.")
    return entries[parameter]


def _place(entry: Entry, at: Mapping[str, Hashable] | None) -> int | None:
    """The number of the value that is meant; None for a parameter that is one number."""
    if not entry.labels:
        if at:
            raise ValueError(f"at={dict(at)}, and {entry.path!r} is one number. Leave it out.")
        return None
    dim, labels = next(iter((str(d), np.asarray(v).tolist()) for d, v in entry.labels.items()))
    if len(entry.labels) > 1 or entry.free is not None or not entry.transform.elementwise:
        raise ValueError(
            f"{entry.path!r} has a value for each {' and '.join(entry.labels)}, and a profile is of one that can be held while the others "
            f"are fitted. Profile a number that it follows from: derive={{{entry.path!r}: lambda q: q['scale'] * values}}."
        )
    call = f"xm.profile(..., {entry.path!r}, at={{{dim!r}: {labels[0]!r}}})"
    if at is None:
        raise ValueError(f"{entry.path!r} has a value for each {dim}, a profile is of one number: {call}.")
    if set(at) != {dim} or at[dim] not in labels:
        raise ValueError(f"at={dict(at)}, needs one label of {dim!r}, such as {', '.join(map(repr, labels[:5]))}: {call}.")
    return labels.index(at[dim])


def _grid(entry: Entry, spec: Spec | None, n: int, values: Any, place: int) -> np.ndarray:
    """The values at which the parameter is held."""
    if values is not None:
        unit = "1" if spec is None else spec.unit
        grid = np.asarray(to_declared(np.asarray(values) if isinstance(values, list | tuple) else values, unit, f"values of {entry.path}"))
        if grid.ndim != 1 or len(grid) < 2 or not (np.diff(grid) > 0).all() or not np.isfinite(grid).all():
            raise ValueError("values must be two or more increasing numbers: values=np.linspace(0, 1, 21).")
        low, high = (float(b[place]) for b in entry.limits)
        if grid[0] < low or grid[-1] > high:
            raise ValueError(f"values go from {grid[0]:g} to {grid[-1]:g}, beyond the bounds {low:g} to {high:g} of {entry.path}.")
        return grid
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise ValueError(f"n={n!r}, needs a whole number of 2 or more.")
    if not entry.boxed:
        raise ValueError(f"{entry.path} has no two finite bounds, so its grid is not known: values=np.linspace(...).")
    inner = np.linspace(0.0, 1.0, int(n))
    low, high = (b[place] for b in entry.limits)
    if entry.param.transform == "log":
        return np.asarray(low * (high / low) ** inner)
    return np.asarray(low * (1 - inner) + high * inner)


def _swept(study: Study, grid: np.ndarray) -> xr.Dataset:
    """Losses on the grid where nothing else is fitted."""
    problem, lead = study.problem, study.fit_sizes
    entry = study.points.layout.entries[0]
    c = entry.coordinates(grid, study.points.space)
    losses = problem.losses(np.broadcast_to(c, (problem.fits, len(grid), 1)))[..., 0]
    shape = (*lead.values(), len(grid))
    return xr.Dataset({LOSS: ((*lead, GRID_POINT), losses.reshape(shape))}, coords=fit_coords(study))


@dataclasses.dataclass(frozen=True, eq=False)
class _Held:
    """A number that is held on a grid, and the other values of its parameter, which are fitted under a name of their own."""

    entry: Entry
    place: int | None
    grid: np.ndarray

    @property
    def _dim(self) -> str:
        return str(next(iter(self.entry.labels)))

    @property
    def _others(self) -> np.ndarray:
        return np.flatnonzero(np.arange(self.entry.count) != self.place)

    @property
    def rest(self) -> str | None:
        """The name of the other values; None where there are none."""
        return None if self.place is None or self.entry.count == 1 else f"others of {self.entry.path}"

    def param(self, start: xr.DataArray) -> Param:
        """The other values as a parameter."""
        param, others, dim = self.entry.param, self._others, self._dim

        def some(array: Any) -> Any:
            return None if array is None else xr.DataArray(np.broadcast_to(array, self.entry.shape)[others], dims=_REST)

        prior = param.prior
        if fields := getattr(prior, "with_unit", ()):
            prior = dataclasses.replace(prior, **{name: some(getattr(prior, name)) for name in fields})
        elif prior is not None:
            raise ValueError(f"the prior of {self.entry.path} is of all of its values, and one is held: take one of xm.priors.")
        bounds = None if param.bounds is None else tuple(some(b) for b in param.bounds)
        value = start.isel({dim: others}).drop_vars(dim, errors="ignore").rename({dim: _REST})
        value.attrs = {}
        return dataclasses.replace(param, value=value, bounds=bounds, prior=prior)

    def value(self, q: Mapping[str, xr.DataArray]) -> xr.DataArray:
        """The parameter: the held number, in its place among the others."""
        held = xr.DataArray(self.grid, dims=GRID_POINT)
        if self.place is None:
            return held
        labels = {self._dim: self.entry.labels[self._dim]}
        if self.rest is None:
            return held.expand_dims(labels, -1)
        others = q[self.rest].drop_vars(_REST, errors="ignore")
        others = others.transpose(*(d for d in others.dims if d != _REST), _REST)
        lead = others.dims[:-1]
        own = (others.isel({_REST: 0}) * 0.0 + held).transpose(*lead)
        xp = array_namespace(others.data, own.data)
        parts = [others.data[..., : self.place], own.data[..., None], others.data[..., self.place :]]
        coords = {d: others[d] for d in lead if d in others.coords}
        return xr.DataArray(xp.concatenate(parts, axis=-1), dims=(*lead, self._dim), coords=coords | labels)


def _refitted(
    fitter: Fitter, study: Study, result: xr.Dataset, target: xr.Dataset, held: _Held, n_steps: int, progress: bool | None
) -> xr.Dataset:
    """The other parameters fitted at each value: the grid is a dim of the recordings, whose entries are all the same."""
    others = [e for e in study.points.layout.entries if e.path != held.entry.path]
    free = free_parameters(fitter.simulator.config.system, fitter.run.get("monitors"), initial=fitter.run.get("initial"))
    free |= dict(fitter.search)
    search = {e.path: dataclasses.replace(free[e.path], value=_inside(e, study, result)) for e in others}
    if held.rest is not None:
        search[held.rest] = held.param(_inside(held.entry, study, result))
    again = dataclasses.replace(fitter, search=search, derive={held.entry.path: held.value, **fitter.derive})
    repeated = xr.Dataset({n: v.expand_dims({GRID_POINT: len(held.grid)}) for n, v in target.data_vars.items()}, attrs=target.attrs)
    repeated = repeated.assign_coords({n: c for n, c in target.coords.items() if n not in repeated.coords})
    found = again.fit(repeated, n_steps, seed=study.seed, progress=progress)
    names = [e.path for e in others] + [n for n in fitter.derive if n in found]
    kept = found[[*names, BEST_LOSS, CONVERGED]].rename({BEST_LOSS: LOSS})
    if held.place is not None:
        kept[held.entry.path] = held.value({str(n): v for n, v in found.data_vars.items()}).assign_attrs(
            found[held.entry.path].attrs if held.entry.path in found else {}
        )
    kept.attrs = {}
    return kept.drop_vars(["step"], errors="ignore").transpose(*study.fit_sizes, GRID_POINT, ...)


def _inside(entry: Entry, study: Study, result: xr.Dataset) -> xr.DataArray:
    """Where a parameter starts again: at its best value, a little inside of its bounds."""
    value = result[entry.path]
    value = value.isel({START: 0}, drop=True) if START in value.dims else value
    value = value.drop_vars([c for c in value.coords if c not in value.dims])
    low, high = (xr.DataArray(np.broadcast_to(b, entry.shape), dims=list(entry.labels)) for b in limits(entry.param))
    margin = _INSIDE * (high - low)
    margin = xr.where(np.isfinite(margin), margin, 0.0)
    start = xr.DataArray(np.asarray(entry.param.value), dims=list(entry.labels)) if np.ndim(entry.param.value) == len(entry.shape) else None
    if start is not None:
        value = value.where(np.isfinite(value), start)
    return value.clip(low + margin, high - margin).assign_attrs(value.attrs)


def _with_sd(
    fitter: Fitter, result: xr.Dataset, target: xr.Dataset, likelihood: GaussianLikelihood, seeds: int, seed: int | None
) -> GaussianLikelihood:
    """The likelihood with a standard deviation, that of its statistics over the noise if it has none."""
    if likelihood.sd is not None:
        return likelihood
    study = study_of(fitter, result, target, seed=seed, changes={"objective": likelihood.residual})
    c, failed = point_of(study, result)
    return dataclasses.replace(likelihood, sd=estimated_sd(study, c, failed, seeds))
