"""A posterior as a DataTree: the groups and dims that arviz expects."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass._version import __version__
from xmass.core.noise import trial_seeds
from xmass.fit.density import prior_draws
from xmass.fit.statistics import fit_coords
from xmass.fit.study import Study
from xmass.fit.targets import _variables
from xmass.labelled.monitors import as_mapping
from xmass.labelled.parameters import node_of
from xmass.labelled.schema import DIVERGED, LONG_NAME, SEED, UNITS

CHAIN, DRAW = "chain", "draw"
_PRIOR = 1000
"""Draws from the prior in its group."""


def tree(
    study: Study,
    z: np.ndarray,
    *,
    stats: Mapping[str, tuple[np.ndarray, str]],
    objectives: tuple[Any, ...],
    library: str,
    predictive: int,
    attrs: Mapping[str, Any],
) -> xr.DataTree:
    """The posterior of draws in coordinates.

    Parameters
    ----------
    study : Study
        What was sampled.
    z : ndarray
        Free coordinates ``(chain, draw, fits, size)``.
    stats : mapping of str to (array, str)
        ``(chain, draw, fits)`` and what it is.
    objectives : tuple
        What names the recorded variables.
    library : str
        What made the draws.
    predictive : int
        Draws that are simulated.
    attrs : mapping
        What else the record holds.
    """
    lead = {CHAIN: z.shape[0], DRAW: z.shape[1]}
    posterior = parameters(study, z, lead)
    seed = study.seed
    made: dict[str, Any] = {
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
        "inference_library": library,
        "xmass": __version__,
    }
    made |= {"inference_library_version": _version(library), SEED: seed, **attrs}
    sizes = tuple(study.fit_sizes)
    shape = tuple(study.fit_sizes.values())
    stat = {n: ((CHAIN, DRAW, *sizes), v.reshape((*z.shape[:2], *shape)), {LONG_NAME: m}) for n, (v, m) in stats.items()}
    groups = {
        "posterior": posterior,
        "sample_stats": xr.Dataset(stat, coords={**_counted(lead), **fit_coords(study)}),
        "prior": prior(study, _PRIOR, seed),
        "observed_data": observed(study, objectives),
    }
    if predictive:
        groups["posterior_predictive"] = simulated(study, posterior, predictive, seed)
    for group in groups.values():
        group.attrs = dict(made)
    return xr.DataTree.from_dict(groups)


def _version(library: str) -> str:
    return importlib.metadata.version(library.split()[0])


def _counted(sizes: Mapping[str, int]) -> dict[str, Any]:
    return {d: np.arange(n) for d, n in sizes.items()}


def parameters(study: Study, z: np.ndarray, lead: Mapping[str, int]) -> xr.Dataset:
    """Free and derived parameters at coordinates ``(*lead, fits, size)``."""
    sizes = {**lead, **study.fit_sizes}
    points = study.points
    with jax.enable_x64(True):
        c = jnp.asarray(z, jnp.float64).reshape(*sizes.values(), z.shape[-1])
        found = {**points.free(c, sizes), **points.values(c, sizes)}
    variables = {}
    for path, value in found.items():
        spec = points.specs.get(path)
        attrs = {UNITS: spec.unit, LONG_NAME: spec.meaning} if spec is not None else {UNITS: "1"}
        dims = (*(d for d in sizes if d in value.dims), *(d for d in value.dims if d not in sizes))
        variables[path] = xr.Variable(dims, np.array(value.transpose(*dims).data, np.float64), attrs)
    coords = {**_counted(lead), **fit_coords(study)}
    for value in found.values():
        coords |= {str(d): np.asarray(value[d]) for d in value.dims if d in value.coords and d not in coords}
    return xr.Dataset(variables, coords=coords)


def prior(study: Study, n: int, seed: int) -> xr.Dataset:
    """Draws of the free parameters from their priors."""
    drawn = prior_draws(study, n, seed)
    made, coords = {}, _counted({CHAIN: 1, DRAW: n})
    for entry in study.points.layout.entries:
        made[entry.path] = ((CHAIN, DRAW, *entry.labels), drawn[entry.path][None])
        coords |= {d: np.asarray(v) for d, v in entry.labels.items()}
    return xr.Dataset(made, coords=coords)


def observed(study: Study, objectives: tuple[Any, ...]) -> xr.Dataset:
    """The recordings that are compared."""
    fitter = study.fitter
    monitors = as_mapping(fitter.run.get("monitors"), [s.name for s in node_of(fitter.simulator.config.system).states])
    names = dict.fromkeys(n for o in objectives for n in _variables(o, list(monitors), study.target))
    return study.target[list(names)].drop_vars([c for c in study.target.coords if c in (SEED, DIVERGED)])


def simulated(study: Study, posterior: xr.Dataset, predictive: int, seed: int) -> xr.Dataset:
    """The monitors at some draws of each chain, each with noise of its own."""
    chains, draws = posterior.sizes[CHAIN], posterior.sizes[DRAW]
    each = min(max(round(predictive / chains), 1), draws)
    some = posterior.isel({DRAW: np.linspace(0, draws - 1, each).round().astype(int)})
    params = some[[n for n in some.data_vars if n in study.points.specs]]
    seeds = np.array([int(s) for s in trial_seeds(seed, chains * each)], np.uint64 if seed >= 2**62 else np.int64)
    params = params.assign({SEED: ((CHAIN, DRAW), seeds.reshape(chains, each))})
    run = {k: v for k, v in study.fitter.run.items() if k not in (SEED, "batch_size")}
    given = run.pop("params", None)
    params = params if given is None else given.drop_vars(SEED, errors="ignore").assign(dict(params.data_vars))
    made = study.fitter.simulator.run(**{**run, "params": params})
    keep = [c for c in made.coords if c in made.dims]
    dropped = made.drop_vars([c for c in made.coords if c not in keep]).transpose(CHAIN, DRAW, ...)
    return dropped.assign_coords({DRAW: some[DRAW].values})
