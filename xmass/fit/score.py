"""The score of simulated arrays against a target, as a function that JAX can trace: what a fit makes small."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.analysis.custom import DatasetObjective, as_scored, points
from xmass.analysis.pairing import paired
from xmass.fit.dataset_terms import DatasetScore, prepared_datasets
from xmass.fit.terms import TermScore, prepared
from xmass.labelled import schema, units
from xmass.objectives.combine import Combined
from xmass.objectives.objective import Objective

Scored = Objective | DatasetObjective | Combined
AnyObjective = Scored | Callable[[xr.Dataset, xr.Dataset], xr.DataArray]


class Scorer:
    """Losses of runs against a target: the numbers of ``xm.compare``, made inside JAX.

    The target's side (its FC, FCD, spectrum) is made once, with NumPy; the simulated side at every call, from arrays. The loss is the score
    where small is good, and what it lacks to the best score (else its negative) where large is good.

    Parameters
    ----------
    objectives : objective or sequence of objectives
        From ``xmass.objectives``, or functions of two Datasets.
    simulated : Dataset
        What a run returns, with its dims, coords and attributes; its values are not read, and may be lazy.
    target : Dataset
        The recordings.
    dims : sequence of str, optional
        The target's dims that are neither time nor region, in the order of its points; by default those of the variables that are compared.

    Attributes
    ----------
    names, directions : tuple of str
        Of the objectives.
    dims : tuple of str
        The dims of the target's points.
    sizes : dict
        Their sizes.
    targets : tuple of dict
        Arrays with one row for each point, the last dim fastest; labels that a dim of the run shares with the target are in the order of
        the run. Rows are picked for the runs that are scored: ``jax.tree.map(lambda a: a[rows], scorer.targets)``.
    axes : dict
        The dims of the arrays that are scored behind their run axis, by variable.
    masked : DataArray
        Which regions are left out at each point, bool ``(*dims, region)``, or ``sensor``: those that the target has as NaN throughout.

    Raises
    ------
    ValueError
        As :func:`xmass.compare`; or if the target has dims that are not in ``dims``, or NaN samples in a region that has others, or no
        region at all.
    """

    def __init__(
        self,
        objectives: AnyObjective | Sequence[AnyObjective],
        simulated: xr.Dataset,
        target: xr.Dataset,
        dims: Sequence[str] | None = None,
    ) -> None:
        scored: list[Scored] = [as_scored(one) for one in (objectives if isinstance(objectives, Sequence) else [objectives])]
        if not scored:
            raise ValueError("there are no objectives, needs one or more: objective=xm.objectives.fc_corr().")
        simulated, target = units.dequantify(simulated), units.dequantify(target)
        self.objectives = tuple(scored)
        self.names = tuple(objective.name for objective in scored)
        self.directions = tuple(objective.direction for objective in scored)
        simulated = _not_computed(simulated)
        self.dims = tuple(dims) if dims is not None else _points(scored, simulated, target)
        self.terms: tuple[tuple[TermScore | DatasetScore, ...], ...] = tuple(
            tuple(_prepared(term, simulated, target, self.dims) for _, term in objective.terms) for objective in scored
        )
        every = [term for terms in self.terms for term in terms]
        self.targets = tuple(term.target for term in every)
        self.sizes = {d: _size(d, simulated, target) for d in self.dims}
        self.axes = {name: _own_names(dims, simulated[name]) for term in every for name, dims in term.axes.items()}
        self.masked = _masked(every, self.sizes, simulated, target)

    def __call__(self, arrays: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> Any:
        """Losses ``(run, objective)`` of arrays ``(run, *axes)`` by variable, against one row of the targets for each run.

        A run with a NaN has a NaN, and no effect on other runs. NumPy arrays are scored by NumPy, in float64.
        """
        rows = iter(targets)
        losses = []
        for objective, terms in zip(self.objectives, self.terms, strict=True):
            score = sum(factor * term(arrays, next(rows)) for (factor, _), term in zip(objective.terms, terms, strict=True))
            best = objective.best if objective.best is not None else 0.0
            losses.append(score if objective.direction == "min" else best - score)
        return array_namespace(*losses).stack(losses, axis=-1)

    @property
    def empty(self) -> np.ndarray:
        """Which points ``(point,)`` have no numbers in some term, and so no score."""
        found = np.zeros(int(np.prod(tuple(self.sizes.values()), dtype=np.int64)), bool)
        for term in (term for terms in self.terms for term in terms if isinstance(term, TermScore)):
            found |= np.asarray(term.target["pattern"]) < 0
        return found

    def losses(self, arrays: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Losses as NumPy: compiled, but for functions of two Datasets that JAX cannot trace."""
        return np.asarray(self._compiled(arrays, targets))

    @cached_property
    def _compiled(self) -> Any:
        traced = all(score.fault is None for terms in self.terms for score in terms if isinstance(score, DatasetScore))
        return jax.jit(self.__call__) if traced else self

    def residuals(self, arrays: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> Any:
        """Residuals ``(run, m)`` of the one objective, whose root mean square is the loss.

        Raises
        ------
        ValueError
            If there are several objectives, or the one is no root mean square.
        """
        self.check_residuals()
        factor, _ = self.objectives[0].terms[0]
        score = self.terms[0][0]
        assert isinstance(score, TermScore)
        return factor * score.residuals(arrays, targets[0])

    def check_residuals(self) -> None:
        """Nothing, if there are residuals for least squares; else an error that says which objectives have them."""
        alone = len(self.names) == 1 and len(self.terms[0]) == 1 and self.directions[0] == "min"
        score = self.terms[0][0]
        if not alone or not isinstance(score, TermScore) or score.term.residual is None:
            raise ValueError(
                f"least squares needs one objective that is a root mean square, and got {list(self.names)}: take fc_rmse, timeseries_rmse, "
                "spectrum_rmse or lagged_cov, or another method."
            )

    def check_differentiable(self) -> None:
        """Nothing, if every objective has a gradient; else an error that names the one that has none, and what to take instead."""
        for terms in self.terms:
            for score in terms:
                if isinstance(score, DatasetScore):
                    score.check_differentiable()
                elif not score.term.differentiable:
                    instead = "fcd_wasserstein" if score.term.takes == "fcd" else "one that changes smoothly"
                    raise ValueError(
                        f"objective {score.term.name!r} has no gradient: it is constant but for jumps. Take {instead}, or a backend "
                        "without gradients: backend='nevergrad', 'cma' or 'grid'."
                    )


def _not_computed(simulated: xr.Dataset) -> xr.Dataset:
    """The simulation as a form: what is made of it is lazy, and its values are not read."""
    import dask.array

    forms = {n: v.data if v.chunks else dask.array.zeros(v.shape, dtype=v.dtype, chunks=v.shape) for n, v in simulated.data_vars.items()}
    return simulated.copy(data=forms)


def _prepared(
    term: Objective | DatasetObjective, simulated: xr.Dataset, target: xr.Dataset, dims: tuple[str, ...]
) -> TermScore | DatasetScore:
    if isinstance(term, DatasetObjective):
        return prepared_datasets(term, simulated, target, dims)
    return prepared(term, simulated, target, dims)


def _points(objectives: Sequence[Scored], simulated: xr.Dataset, target: xr.Dataset) -> tuple[str, ...]:
    found: list[str] = []
    for objective in objectives:
        for _, term in objective.terms:
            if isinstance(term, DatasetObjective):
                found += [str(d) for d in points(target) if str(d) not in found]
                continue
            pair = paired(simulated, target, term)
            found += [str(d) for d in pair.recorded.dims if d not in pair.core[1] and d not in found]
    return tuple(found)


def _own_names(dims: Sequence[Hashable], variable: xr.DataArray) -> tuple[Hashable, ...]:
    """Dims as the variable calls them: sensors are scored as regions are."""
    other = {schema.REGION: schema.SENSOR, schema.REGION_OTHER: schema.SENSOR_OTHER}
    return tuple(d if d in variable.dims else other[str(d)] for d in dims)


def _size(dim: str, simulated: xr.Dataset, target: xr.Dataset) -> int:
    return target.sizes[dim] if dim in target.sizes else simulated.sizes[dim]


def _masked(terms: Sequence[TermScore | DatasetScore], sizes: Mapping[str, int], simulated: xr.Dataset, target: xr.Dataset) -> xr.DataArray:
    """The regions (or sensors) that some term leaves out, with the labels of the run."""
    entry = schema.REGION if schema.REGION in simulated.dims else schema.SENSOR
    count = simulated.sizes.get(entry, 0)
    found = np.zeros((*sizes.values(), count), bool)
    for term in terms:
        if schema.REGION in term.missing.dims and term.missing.sizes[schema.REGION] == count:
            own = [d for d in sizes if d in term.missing.dims]
            values = term.missing.transpose(*own, schema.REGION).values
            found |= values.reshape(*(n if d in own else 1 for d, n in sizes.items()), count)
    labels = {
        d: (simulated if d in simulated.coords else target)[d] for d in (*sizes, entry) if d in simulated.coords or d in target.coords
    }
    coords = {d: c.variable for d, c in labels.items() if c.ndim == 1}
    attrs = {schema.LONG_NAME: "the target has no numbers here"}
    return xr.DataArray(found, dims=(*sizes, entry), coords=coords, attrs=attrs, name="masked")
