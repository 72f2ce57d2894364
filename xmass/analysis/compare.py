"""Simulated against recorded data: one score per objective, with every dimension of both sides but time and region."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, Protocol

import jax
import numpy as np
import xarray as xr

from xmass.analysis.baselines import baselines
from xmass.analysis.connectivity import one_chunk
from xmass.analysis.custom import DatasetObjective, aligned_datasets, as_scored, points, shared_dims
from xmass.analysis.pairing import Pair, Term, paired
from xmass.labelled import schema, units

COMPARISON = "comparison"
AXES = {2: "two", 3: "three"}


class Scored(Protocol):
    """An objective, single or combined: a name, a direction and the terms of a sum."""

    @property
    def name(self) -> str: ...
    @property
    def direction(self) -> Literal["max", "min"]: ...
    @property
    def meaning(self) -> str: ...
    @property
    def best(self) -> float | None: ...
    @property
    def terms(self) -> Sequence[tuple[float, Term | DatasetObjective]]: ...


Function = Callable[[xr.Dataset, xr.Dataset], xr.DataArray]


def compare(
    simulated: xr.Dataset,
    recorded: xr.Dataset,
    objectives: Scored | Function | Sequence[Scored | Function],
    *,
    dim: str | Sequence[str] | None = None,
) -> xr.Dataset:
    """Score simulations against recordings.

    Parameters
    ----------
    simulated : Dataset
        A result of ``run``, or any Dataset of series ``(..., time, region)`` or matrices ``(..., region, region_other)``; of sensors
        likewise, ``(..., time, sensor)``.
    recorded : Dataset
        Recordings of the same form, and, for the baselines, ``weights`` and a ``subject`` dimension.
    objectives : objective or sequence of objectives
        From ``xmass.objectives``. Each names its variables; by default the one data variable that both sides have. Where an
        FC is needed a series becomes its FC and a matrix is taken as it is; where an FCD or a spectrum is needed likewise.
        Also a function of two Datasets, see :func:`xmass.objectives.custom`.
    dim : str or sequence of str, optional
        The dims that are to be paired by label: both sides of every objective must have these, and share no other. Without it every
        dim that both sides have is paired. All other dims are crossed: with ``dim="subject"`` each simulated subject meets its own
        recording, at every point of the sweep and in every session of the recording.

    Returns
    -------
    Dataset
        One variable per objective, under its name, without time and region, with ``direction`` ("max" or "min") and ``best`` (the
        score of equal data, where it is known) in its attributes. Its dims are those of both sides: a dim that both
        have is paired by label, exactly, and the others are crossed (sweep × subject). The dims that only ``simulated`` has
        are the sweep. Coordinates without sweep dims, where ``recorded`` has what they take, say what the scores are to be
        held against, as correlations of off-diagonal entries with the recorded FC: ``baseline_weights`` (the connectome),
        ``baseline_log_weights`` (the logarithm of its positive weights; edges without one are left out),
        ``baseline_other_subjects`` (mean over the other subjects), ``ceiling_split_half`` (first half of the recording with
        the second). Lazy if an input is lazy. ``.to_table()`` of the result is a table of the best points.

    Raises
    ------
    TypeError
        If a side is no Dataset.
    KeyError
        If a variable does not exist.
    ValueError
        If the variables are not determined, regions or shared labels differ, the sides were preprocessed differently, or
        units, periods or lengths differ where the score depends on them; or the dims that both sides share are not those of ``dim``.

    Warns
    -----
    UserWarning
        If both sides are simulations with a seed in common: noise is a function of the seed, whatever the other parameters,
        so the right point scores 1, which says nothing about a real recording.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from xmass import objectives
    >>> from xmass.analysis import compare
    >>> x = np.random.default_rng(0).normal(size=(2, 100, 5))
    >>> simulated = xr.Dataset({"bold": (("k", "time", "region"), x)}, {"k": [0.1, 0.2]})
    >>> score = compare(simulated, simulated.isel(k=1, drop=True), objectives.fc_corr())
    >>> score.fc_corr.dims, round(float(score.fc_corr.sel(k=0.2)), 12)
    (('k',), 1.0)
    """
    _check_dataset(simulated, "simulated")
    _check_dataset(recorded, "recorded")
    scored: list[Scored] = [as_scored(one) for one in (objectives if isinstance(objectives, Sequence) else [objectives])]
    wanted = None if dim is None else [dim] if isinstance(dim, str) else list(dim)
    _check_names([objective.name for objective in scored])
    simulated, recorded = units.dequantify(simulated), units.dequantify(recorded)
    _warn_of_inverse_crime(simulated, recorded)
    values: dict[Hashable, xr.DataArray] = {}
    reference: tuple[str, xr.DataArray] | None = None
    sweep: list[Hashable] = []
    for objective in scored:
        total: xr.DataArray | None = None
        used = []
        for factor, term in objective.terms:
            if isinstance(term, DatasetObjective):
                _check_shared([d for d in shared_dims(simulated, recorded) if d in points(simulated)], wanted, term.name)
                value = factor * _score_of_datasets(simulated, recorded, term)
                sweep += [d for d in value.dims if d in simulated.dims and d not in (*recorded.dims, *sweep)]
                total = value if total is None else total + value
                used.append("simulated with recorded")
                continue
            pair = paired(simulated, recorded, term)
            _check_shared([d for d in pair.simulated.dims if d in pair.recorded.dims and d not in pair.core[0]], wanted, term.name)
            if term.takes == "fc" and reference is None:
                reference = (pair.names[1], pair.unaligned)
            sweep += [d for d in pair.simulated.dims if d not in (*pair.core[0], *pair.recorded.dims, *sweep)]
            value = factor * _score(pair, term)
            total = value if total is None else total + value
            used.append(" with ".join(pair.names))
        if total is None:
            raise ValueError(f"objective {objective.name!r} has no terms, needs one or more: combine(fc_corr(), mean_fc()).")
        attrs: dict[str, Any] = {schema.UNITS: "1", schema.LONG_NAME: objective.meaning or objective.name, "direction": objective.direction}
        attrs |= {} if objective.best is None else {"best": objective.best}
        values[objective.name] = total.assign_attrs(attrs | {"compares": ", ".join(dict.fromkeys(used))})
    result = xr.merge([v.rename(name) for name, v in values.items()], join="exact", compat="override", combine_attrs="override")
    for name, value in values.items():
        result[name].attrs = value.attrs
    if reference is not None:
        result = result.assign_coords(baselines(recorded, *reference))
    result.attrs = {COMPARISON: json.dumps({"sweep_dims": [str(d) for d in sweep]})}
    return result


def _check_dataset(side: xr.Dataset, which: str) -> None:
    if not isinstance(side, xr.Dataset):
        raise TypeError(f"{which} is a {type(side).__name__}, needs an xarray.Dataset: make one with {which}.to_dataset(name='bold').")


def _check_names(names: list[str]) -> None:
    if not names:
        raise ValueError("compare got no objectives, needs one or more: compare(simulated, recorded, [objectives.fc_corr()]).")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"objectives {repeated} occur more than once; tell them apart by name: fc_corr('fc', 'bold', name='fc_corr_2').")


def _check_shared(shared: list[Hashable], wanted: list[str] | None, name: str) -> None:
    """Nothing, if the dims that both sides share are those that the user says."""
    if wanted is None:
        return
    missing = [d for d in wanted if d not in shared]
    if missing:
        raise ValueError(
            f"objective {name!r}: dim={wanted} is to be paired by label, and {missing} is not a dim of both sides, which share "
            f"{shared or 'none'}. Leave it out to cross all dims, or give the side that lacks it one with .expand_dims(...)."
        )
    other = [d for d in shared if d not in wanted]
    if other:
        raise ValueError(
            f"objective {name!r}: both sides have {other} too, which is paired by label as well, and dim={wanted} does not say so. Name "
            f"every one, dim={[*wanted, *other]}, or rename it on one side to cross it: recorded.rename({other[0]}='{other[0]}_recorded')."
        )


def _score_of_datasets(simulated: xr.Dataset, recorded: xr.Dataset, term: DatasetObjective) -> xr.DataArray:
    aligned = aligned_datasets(simulated, recorded, what=f"objective {term.name!r}")
    with jax.enable_x64(True):
        score = term(simulated, aligned)
    if score.chunks is None:  # a function over jax.numpy leaves an array of JAX
        score = score.copy(data=np.asarray(score.data))
    return score.astype(np.float64).drop_attrs(deep=False)


def _score(pair: Pair, term: Term) -> xr.DataArray:
    core = pair.core
    a, b = (_without_core_coords(one_chunk(side, *dims), dims) for side, dims in zip((pair.simulated, pair.recorded), core, strict=True))
    # private names for the inner dims: the time of one side may have the length of the other's, or not
    inner = [[f"{side}_{i}" for i in range(len(dims))] for side, dims in zip(("left", "right"), core, strict=True)]
    a, b = (side.rename(dict(zip(dims, new, strict=True))) for side, dims, new in zip((a, b), core, inner, strict=True))
    score = xr.apply_ufunc(
        _checked(term, len(core[0])),
        a,
        b,
        input_core_dims=inner,
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,  # of the coordinates: the units of what was swept
    )
    return score.drop_attrs(deep=False)


def _checked(term: Term, axes: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def score(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        value = np.asarray(term(a, b), dtype=np.float64)
        needed = np.broadcast_shapes(a.shape[:-axes], b.shape[:-axes])
        if value.shape != needed:
            raise ValueError(
                f"objective {term.name!r} gave shape {value.shape} for arrays of shape {a.shape} and {b.shape}, needs {needed}: "
                f"its function must reduce the last {AXES[axes]} axes, and only these, such as x.mean(axis={tuple(range(-axes, 0))})."
            )
        return value

    return score


def _without_core_coords(data: xr.DataArray, dims: Sequence[Hashable]) -> xr.DataArray:
    return data.drop_vars([c for c in data.coords if set(data[c].dims) & set(dims)])


def _warn_of_inverse_crime(simulated: xr.Dataset, recorded: xr.Dataset) -> None:
    shared = sorted(seeds_of(simulated) & seeds_of(recorded))
    if shared:
        ours, theirs = simulated.attrs.get("config_hash"), recorded.attrs.get("config_hash")
        also = f" and one configuration ({ours})" if ours is not None and ours == theirs else ""
        warnings.warn(
            f"simulated and recorded have seeds in common ({', '.join(map(str, shared[:5]))}){also}: with the same noise on both "
            "sides even a score of 1 means nothing. Make one side with another seed: run(..., seed=...).",
            UserWarning,
            stacklevel=3,
        )


def seeds_of(side: xr.Dataset) -> set[int]:
    """The seeds that a simulation says it was made with; none of a recording."""
    if schema.SEED in side.variables:
        return {int(s) for s in np.unique(side[schema.SEED].values)}
    given = np.atleast_1d(side.attrs.get(schema.SEED, []))
    return {int(s) for s in given} if given.dtype.kind in "iu" else set()
