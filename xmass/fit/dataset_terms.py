"""A score that is a function of two Datasets, on arrays: the Datasets are made of them at every call."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.analysis.custom import DatasetObjective, aligned_datasets, points
from xmass.fit.terms import finite_like

RUN = "run"
FAULTS = (jax.errors.JAXTypeError, TypeError, ValueError, AttributeError, NotImplementedError)
"""What libraries say of an array that they cannot read."""


@dataclass(frozen=True, eq=False)
class DatasetScore:
    """A function of two Datasets, and how the arrays of runs become these.

    Parameters
    ----------
    term : DatasetObjective
        The score.
    simulated, recorded : Dataset
        The forms of both sides for one run: dims, coords and attributes.
    axes : dict
        The dims of the array of each simulated variable, behind its run axis.
    target : dict
        The recorded variables ``(point, ...)``.
    missing : DataArray
        No region is left out: what a NaN means is the function's.
    """

    term: DatasetObjective
    simulated: xr.Dataset
    recorded: xr.Dataset
    axes: dict[str, tuple[Hashable, ...]]
    target: dict[str, np.ndarray]
    missing: xr.DataArray

    def __call__(self, arrays: Mapping[str, Any], target: Mapping[str, Any]) -> Any:
        """Scores ``(run,)``; NumPy arrays are scored by NumPy, whatever the function is made of."""
        lacking = sorted(set(self.axes) - set(arrays))
        if lacking:
            raise KeyError(f"objective {self.term.name!r} takes Datasets with {lacking}, and there are arrays of {sorted(arrays)}.")
        return self._scored({name: arrays[name] for name in self.axes}, {name: target[name] for name in self.target})

    @cached_property
    def fault(self) -> Exception | None:
        """What came of tracing the function and its derivative by JAX; None if it can be."""

        def forms(data: xr.Dataset, names: Iterable[str]) -> dict[str, jax.ShapeDtypeStruct]:
            return {n: jax.ShapeDtypeStruct((1, *data[n].isel({RUN: 0}, missing_dims="ignore").shape), np.float32) for n in names}

        def slope(arrays: dict[str, Any], target: dict[str, Any]) -> Any:
            return jax.grad(lambda a: self._scored(a, target).sum())(arrays)

        try:
            jax.eval_shape(slope, forms(self.simulated, self.axes), forms(self.recorded, self.target))
        except FAULTS as error:
            return error
        return None

    def check_differentiable(self) -> None:
        """Nothing, if JAX can trace the function and its derivative; else an error that says what to use."""
        if self.fault is not None:
            raise TypeError(
                f"objective {self.term.name!r} has no gradient: its function turns the arrays that JAX traces into something else "
                f"({type(self.fault).__name__}). Build it from arithmetic, methods of xarray such as .mean('time'), xr.ufuncs "
                "(xr.ufuncs.log, not np.log), xr.apply_ufunc over functions of jax.numpy, and xm.functional_connectivity; or take a "
                "backend without gradients: backend='nevergrad', 'cma' or 'grid'."
            ) from self.fault

    def _scored(self, arrays: Mapping[str, Any], target: Mapping[str, Any]) -> Any:
        xp = array_namespace(*arrays.values())
        dtype = next(iter(arrays.values())).dtype
        target = {name: xp.asarray(a).astype(dtype) if xp is not np else np.asarray(a) for name, a in target.items()}
        with jax.enable_x64(dtype == np.float64):
            score = self.term(_filled(self.simulated, arrays), _filled(self.recorded, target))
        if score.dims != (RUN,):
            raise ValueError(
                f"objective {self.term.name!r} returned dims {tuple(score.dims)} for Datasets of runs, needs ({RUN!r},): its function must "
                "keep every dim but those of time and region, so name what it reduces, such as .mean(('time', 'region'))."
            )
        return np.asarray(score.data) if xp is np else xp.asarray(score.data).astype(dtype)


def prepared_datasets(term: DatasetObjective, simulated: xr.Dataset, target: xr.Dataset, dims: tuple[str, ...]) -> DatasetScore:
    """A function with its target, one row for each point along ``dims``."""
    outer = points(simulated)
    aligned = aligned_datasets(simulated, target, what=f"objective {term.name!r}")
    names = [n for n, v in aligned.data_vars.items() if v.dtype.kind in "fiu"]
    aligned = aligned[names]
    sizes = {d: aligned.sizes.get(d, simulated.sizes.get(d, 1)) for d in dims}
    rows: dict[str, np.ndarray] = {}
    for name, variable in aligned.data_vars.items():
        wrong = [str(d) for d in variable.dims if d in outer and d not in dims]
        if wrong:
            raise ValueError(f"the target {name!r} has the dims {wrong}, which are not among the dims of the fits, {dims}.")
        own = [d for d in dims if d in variable.dims]
        values = np.asarray(variable.transpose(*own, ...).data, np.float64)
        shape = values.shape[len(own) :]
        lead = tuple(sizes[d] if d in own else 1 for d in dims)
        rows[str(name)] = np.broadcast_to(values.reshape(*lead, *shape), (*sizes.values(), *shape)).reshape(-1, *shape)
    ours, theirs = _form(simulated, outer), _form(aligned, dims)
    axes = {str(n): tuple(d for d in v.dims if d != RUN) for n, v in ours.data_vars.items()}
    score = DatasetScore(term, ours, theirs, axes, rows, xr.DataArray(False))
    # once on made-up numbers, so that a mistake in the function is found before anything is compiled
    made_up = {name: finite_like(np.zeros(ours[name].shape), len(dims)) for name, dims in axes.items()}
    with np.errstate(all="ignore"):
        score({n: np.broadcast_to(v, ours[n].shape) for n, v in made_up.items()}, {n: v[:1] for n, v in rows.items()})
    return score


def _form(side: xr.Dataset, outer: Any) -> xr.Dataset:
    """The variables of one run, without values, with a dim of one run in front."""
    one = side.isel(dict.fromkeys((d for d in outer if d in side.dims), 0)).drop_vars([*outer, "diverged"], errors="ignore")
    one = one.drop_vars([c for c in one.coords if not one[c].dims])
    zeros = {
        n: ((RUN, *v.dims), np.broadcast_to(np.zeros((), np.float32), (1, *v.shape)), v.attrs)
        for n, v in one.data_vars.items()
        if v.dtype.kind in "fiu"
    }
    return xr.Dataset(zeros, coords=one.coords, attrs=side.attrs)


def _filled(form: xr.Dataset, arrays: Mapping[str, Any]) -> xr.Dataset:
    variables = {n: xr.Variable(form[n].dims, a, form[n].attrs) for n, a in arrays.items()}
    return xr.Dataset(variables, coords=form.coords, attrs=form.attrs)
