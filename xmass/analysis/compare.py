"""Simulated against recorded data: one score per objective, with every dimension of both sides but time and region."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import xarray as xr

from xmass.analysis.align import align_regions, align_shared, complete_matrix_labels, same_period
from xmass.analysis.baselines import baselines
from xmass.analysis.clock import period_in_seconds, time_unit
from xmass.analysis.connectivity import functional_connectivity, one_chunk
from xmass.analysis.dynamic import WINDOW_DIMS, checked_fcd, fcd
from xmass.analysis.paired_spectra import ARBITRARY, paired_spectra
from xmass.analysis.power import FREQUENCY
from xmass.analysis.preprocess import same_preprocessing
from xmass.labelled import schema, units

COMPARISON = "comparison"


class Term(Protocol):
    """What ``compare`` needs of one objective; ``xmass.objectives.Objective`` has it."""

    @property
    def name(self) -> str: ...
    @property
    def direction(self) -> Literal["max", "min"]: ...
    @property
    def takes(self) -> Literal["fc", "fcd", "spectrum", "series", "paired"]: ...
    @property
    def simulated(self) -> str | None: ...
    @property
    def recorded(self) -> str | None: ...
    @property
    def same_unit(self) -> bool: ...
    @property
    def windows(self) -> tuple[float, float]: ...
    @property
    def segment(self) -> float | None: ...
    @property
    def band(self) -> tuple[float, float]: ...
    def __call__(self, simulated: Any, recorded: Any, /) -> Any: ...


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
    def terms(self) -> Sequence[tuple[float, Term]]: ...


def compare(simulated: xr.Dataset, recorded: xr.Dataset, objectives: Scored | Sequence[Scored]) -> xr.Dataset:
    """Score simulations against recordings.

    Parameters
    ----------
    simulated : Dataset
        A result of ``run``, or any Dataset of series ``(..., time, region)`` or matrices ``(..., region, region_other)``.
    recorded : Dataset
        Recordings of the same form, and, for the baselines, ``weights`` and a ``subject`` dimension.
    objectives : objective or sequence of objectives
        From ``xmass.objectives``. Each names its variables; by default the one data variable that both sides have. Where an
        FC is needed a series becomes its FC and a matrix is taken as it is; where an FCD or a spectrum is needed likewise.

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
        units, periods or lengths differ where the score depends on them.

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
    scored: list[Scored] = list(objectives) if isinstance(objectives, Sequence) else [objectives]
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
            ours, theirs = _variables(term, simulated, recorded)
            a, b = _pair(simulated[ours], recorded[theirs], term)
            if term.takes == "fc" and reference is None:
                reference = (theirs, b)
            sweep += [d for d in _kept(a, term) if d not in b.dims and d not in sweep]
            value = factor * _score(a, b, term, names=(ours, theirs))
            total = value if total is None else total + value
            used.append(f"{ours} with {theirs}")
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


def _variables(term: Term, simulated: xr.Dataset, recorded: xr.Dataset) -> tuple[str, str]:
    ours, theirs = term.simulated, term.recorded
    if ours is None and theirs is None:
        common = [str(name) for name in simulated.data_vars if name in recorded.data_vars]
        if len(common) != 1:
            raise ValueError(
                f"objective {term.name!r} names no variables, and simulated and recorded have {common or 'no variable'} in common, "
                f"not one: simulated has {_list(simulated)}, recorded has {_list(recorded)}. "
                f"Name them: {term.name}('<simulated>', '<recorded>'), such as {term.name}('fc', 'bold')."
            )
        ours = theirs = common[0]
    ours, theirs = ours or theirs, theirs or ours
    for name, side, which in ((ours, simulated, "simulated"), (theirs, recorded, "recorded")):
        if name not in side.data_vars:
            raise KeyError(
                f"objective {term.name!r} takes {name!r} from {which}, which has {_list(side)}. "
                f"Name one of these on each side: {term.name}('<simulated>', '<recorded>')."
            )
    return str(ours), str(theirs)


def _list(side: xr.Dataset) -> list[str]:
    return [str(name) for name in side.data_vars]


def _pair(simulated: xr.DataArray, recorded: xr.DataArray, term: Term) -> tuple[xr.DataArray, xr.DataArray]:
    """What the term takes, of both sides."""
    for variable, which in ((simulated, "simulated"), (recorded, "recorded")):
        if variable.dtype.kind not in "fiu":
            raise TypeError(f"{which} {variable.name!r} has dtype {variable.dtype}, objective {term.name!r} needs real numbers.")
    if term.takes == "spectrum":
        what = f"objective {term.name!r}, simulated {simulated.name!r} and recorded {recorded.name!r}"
        return paired_spectra(simulated, recorded, segment=term.segment, band=term.band, what=what)
    return _prepare(simulated, term, "simulated"), _prepare(recorded, term, "recorded")


def _prepare(variable: xr.DataArray, term: Term, which: str) -> xr.DataArray:
    """What the term takes: a matrix, or a series."""
    is_matrix = all(d in variable.dims for d in schema.MATRIX_DIMS)
    if term.takes == "fc":
        fc = variable if is_matrix else functional_connectivity(variable)
        return complete_matrix_labels(fc)
    if term.takes == "fcd":
        return _fcd(variable, term, which, is_matrix=is_matrix)
    if is_matrix or schema.REGION not in variable.dims:
        raise ValueError(
            f"objective {term.name!r} takes series with dims (..., time, region), and {which} {variable.name!r} has "
            f"{tuple(variable.dims)}. Name a series on each side: {term.name}('bold', 'bold')."
        )
    schema.time_dim(variable)
    return variable


def _fcd(variable: xr.DataArray, term: Term, which: str, *, is_matrix: bool) -> xr.DataArray:
    if all(d in variable.dims for d in WINDOW_DIMS):
        return checked_fcd(variable)
    if is_matrix:
        raise ValueError(
            f"objective {term.name!r} compares the FC of windows of time, and {which} {variable.name!r} is one FC over all of it, dims "
            f"{tuple(variable.dims)}. Name a series or an FCD matrix (xm.fcd) on each side: {term.name}('bold', 'bold')."
        )
    time = schema.time_dim(variable)
    window, step = (seconds * units.factor("s", time_unit(variable, time)) for seconds in term.windows)
    return fcd(variable, window=window, step=step)


def _core_dims(data: xr.DataArray, term: Term) -> list[Hashable]:
    if term.takes == "fcd":
        return list(WINDOW_DIMS)
    if term.takes == "spectrum":
        return [FREQUENCY, schema.REGION]
    return list(schema.MATRIX_DIMS) if term.takes == "fc" else [schema.time_dim(data), schema.REGION]


def _kept(data: xr.DataArray, term: Term) -> list[Hashable]:
    """The dims that a score keeps: all but the region axes and time, windows or frequency."""
    inner = _core_dims(data, term)
    return [d for d in data.dims if d not in inner]


def _score(simulated: xr.DataArray, recorded: xr.DataArray, term: Term, *, names: tuple[str, str]) -> xr.DataArray:
    what = f"objective {term.name!r}, simulated {names[0]!r} and recorded {names[1]!r}"
    same_preprocessing(simulated, recorded, what=what)
    if term.same_unit:
        _check_units(simulated, recorded, what)
    core = (_core_dims(simulated, term), _core_dims(recorded, term))
    if term.takes == "fcd":
        _check_windows(simulated, recorded, what)
    if term.takes == "paired":
        _check_pairing(simulated, recorded, (core[0][0], core[1][0]), what)
    recorded = align_regions(recorded, simulated, what=what)
    recorded = align_shared(recorded, simulated, apart=(*core[0], *core[1]), what=what)
    clash = [c for c in recorded.coords if c in simulated.coords and c not in recorded.dims]
    recorded = recorded.drop_vars(clash)
    a, b = (_without_core_coords(one_chunk(side, *dims), dims) for side, dims in zip((simulated, recorded), core, strict=True))
    # private names for the inner dims: the time of one side may have the length of the other's, or not
    inner = (("left_0", "left_1"), ("right_0", "right_1"))
    a, b = (side.rename(dict(zip(dims, new, strict=True))) for side, dims, new in zip((a, b), core, inner, strict=True))
    score = xr.apply_ufunc(
        _checked(term),
        a,
        b,
        input_core_dims=[list(inner[0]), list(inner[1])],
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,  # of the coordinates: the units of what was swept
    )
    return score.drop_attrs(deep=False)


def _checked(term: Term) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def score(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        value = np.asarray(term(a, b), dtype=np.float64)
        needed = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        if value.shape != needed:
            raise ValueError(
                f"objective {term.name!r} gave shape {value.shape} for arrays of shape {a.shape} and {b.shape}, needs {needed}: "
                "its function must reduce the last two axes, and only these, such as x.mean(axis=(-2, -1))."
            )
        return value

    return score


def _without_core_coords(data: xr.DataArray, dims: Sequence[Hashable]) -> xr.DataArray:
    return data.drop_vars([c for c in data.coords if set(data[c].dims) & set(dims)])


def _check_units(simulated: xr.DataArray, recorded: xr.DataArray, what: str) -> None:
    ours, theirs = simulated.attrs.get(schema.UNITS), recorded.attrs.get(schema.UNITS)
    if ours is not None and theirs is not None and ours != theirs and not _equal_units(ours, theirs):
        raise ValueError(
            f"{what}: the units are {ours!r} and {theirs!r}, and this score depends on them. Convert one side and set "
            f"attrs['units'], such as recorded / recorded.mean('time') - 1 with units '1'; or use a score of FC."
        )


def _equal_units(a: str, b: str) -> bool:
    if ARBITRARY in a or ARBITRARY in b:  # a number without a dimension, on a scale that nobody knows
        return False
    try:
        return units.factor(a, b) == 1
    except ValueError:  # another dimension, or a text that is no unit
        return False


def _check_windows(simulated: xr.DataArray, recorded: xr.DataArray, what: str) -> None:
    if any(name not in side.attrs for side in (simulated, recorded) for name in ("window", "step")):
        return
    window, other = simulated.attrs["window"], recorded.attrs["window"]
    # a window is rounded to whole samples of its side, and a step is at least one of them
    if abs(window - other) > 0.5 * (simulated.attrs["step"] + recorded.attrs["step"]):
        raise ValueError(
            f"{what}: the FCD matrices have windows of {window:g} s and {other:g} s, and their distribution depends on it. "
            "Make both with the same window: xm.fcd(signal, window=...)."
        )


def _check_pairing(simulated: xr.DataArray, recorded: xr.DataArray, times: tuple[Hashable, Hashable], what: str) -> None:
    lengths = (simulated.sizes[times[0]], recorded.sizes[times[1]])
    if lengths[0] != lengths[1]:
        n = min(lengths)
        raise ValueError(
            f"{what}: samples are paired, and there are {lengths[0]} and {lengths[1]} of them. "
            f"Cut the longer one: .isel({times[0 if lengths[0] > n else 1]}=slice(0, {n}))."
        )
    periods = (period_in_seconds(simulated, times[0]), period_in_seconds(recorded, times[1]))
    if not same_period(*periods):
        raise ValueError(
            f"{what}: samples are paired, and they are {periods[0]:g} s and {periods[1]:g} s apart. "
            f"Observe the simulation with the period of the recording, such as BOLDSignal(tr={periods[1]:g} * u.second)."
        )


def _warn_of_inverse_crime(simulated: xr.Dataset, recorded: xr.Dataset) -> None:
    shared = sorted(_seeds(simulated) & _seeds(recorded))
    if shared:
        ours, theirs = simulated.attrs.get("config_hash"), recorded.attrs.get("config_hash")
        also = f" and one configuration ({ours})" if ours is not None and ours == theirs else ""
        warnings.warn(
            f"simulated and recorded have seeds in common ({', '.join(map(str, shared[:5]))}){also}: with the same noise on both "
            "sides even a score of 1 means nothing. Make one side with another seed: run(..., seed=...).",
            UserWarning,
            stacklevel=3,
        )


def _seeds(side: xr.Dataset) -> set[int]:
    if schema.SEED in side.variables:
        return {int(s) for s in np.unique(side[schema.SEED].values)}
    given = np.atleast_1d(side.attrs.get(schema.SEED, []))
    return {int(s) for s in given} if given.dtype.kind in "iu" else set()
