"""What an objective takes of two sides: the variables, made into matrices or series, checked, and aligned by label."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import xarray as xr

from xmass.analysis.align import align_regions, align_shared, complete_matrix_labels, same_period
from xmass.analysis.clock import period_in_seconds, time_unit
from xmass.analysis.connectivity import correlation_matrix, functional_connectivity
from xmass.analysis.dynamic import WINDOW_DIMS, checked_fcd, fcd, fcd_matrix, windows_in_samples
from xmass.analysis.paired_lags import LAGGED_DIMS, is_lagged, paired_lags
from xmass.analysis.paired_spectra import ARBITRARY, is_spectrum, paired_spectra
from xmass.analysis.power import FREQUENCY
from xmass.analysis.preprocess import same_preprocessing
from xmass.analysis.sensors import entries_as_regions
from xmass.labelled import schema, units

Dims = tuple[Hashable, ...]


class Term(Protocol):
    """What ``compare`` needs of one objective; ``xmass.objectives.Objective`` has it."""

    @property
    def name(self) -> str: ...
    @property
    def direction(self) -> Literal["max", "min"]: ...
    @property
    def takes(self) -> Literal["fc", "lagged", "fcd", "spectrum", "series", "paired"]: ...
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
    @property
    def lags(self) -> tuple[float, ...] | None: ...
    def __call__(self, simulated: Any, recorded: Any, /) -> Any: ...


@dataclass(frozen=True)
class Pair:
    """Two sides of a term, ready for its function.

    Parameters
    ----------
    names : (str, str)
        The variables, simulated and recorded.
    variables : (DataArray, DataArray)
        Their values, with sensors called regions.
    simulated, recorded : DataArray
        What the term takes, with the regions and the shared dims of ``recorded`` in the order of ``simulated``.
    core : (dims, dims)
        The dims of both sides that the term's function reduces, in its order.
    unaligned : DataArray
        ``recorded`` in its own order.
    axes : tuple of dims
        The dims of the simulated variable that ``made`` needs last, in this order.
    made : callable
        Makes what the term takes of an array of the simulated variable ``(..., *axes)``; numpy or jax, differentiable.
    """

    names: tuple[str, str]
    variables: tuple[xr.DataArray, xr.DataArray]
    simulated: xr.DataArray
    recorded: xr.DataArray
    core: tuple[Dims, Dims]
    unaligned: xr.DataArray
    axes: Dims
    made: Callable[[Any], Any]


def paired(simulated: xr.Dataset, recorded: xr.Dataset, term: Term) -> Pair:
    """What ``term`` takes of both sides, of regions or of sensors.

    Lazy if a side is; nothing of ``simulated`` but its dims, coords and attrs is read.

    Raises
    ------
    TypeError
        If a variable holds no real numbers.
    KeyError
        If a variable does not exist.
    ValueError
        If the variables are not determined, regions or shared labels differ, the sides were preprocessed differently, or
        units, periods or lengths differ where the score depends on them.
    """
    names = variables(term, simulated, recorded)
    what = f"objective {term.name!r}, simulated {names[0]!r} and recorded {names[1]!r}"
    ours, theirs = entries_as_regions(simulated[names[0]]), entries_as_regions(recorded[names[1]])
    for variable, which in ((ours, "simulated"), (theirs, "recorded")):
        if variable.dtype.kind not in "fiu":
            raise TypeError(f"{which} {variable.name!r} has dtype {variable.dtype}, objective {term.name!r} needs real numbers.")
    if term.takes == "spectrum":
        spectra = paired_spectra(ours, theirs, segment=term.segment, band=term.band, what=what)
        a, b, made = spectra.simulated, spectra.recorded, spectra.made
    elif term.takes == "lagged":
        lagged = paired_lags(ours, theirs, lags=term.lags, what=what)
        a, b, made = lagged.simulated, lagged.recorded, lagged.made
    else:
        a, b = _taken(ours, term, "simulated"), _taken(theirs, term, "recorded")
        made = array_twin(ours, term)
    same_preprocessing(a, b, what=what)
    if term.same_unit:
        _check_units(a, b, what)
    core = (core_dims(a, term), core_dims(b, term))
    if term.takes == "fcd":
        _check_windows(a, b, what)
    if term.takes == "paired":
        _check_pairing(a, b, (core[0][0], core[1][0]), what)
    aligned = align_shared(align_regions(b, a, what=what), a, apart=(*core[0], *core[1]), what=what)
    clash = [c for c in aligned.coords if c in a.coords and c not in aligned.dims]
    return Pair(names, (ours, theirs), a, aligned.drop_vars(clash), core, b, _axes(ours, term), made)


def variables(term: Term, simulated: xr.Dataset, recorded: xr.Dataset) -> tuple[str, str]:
    """The variables that ``term`` names, or the one that both sides have."""
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


def core_dims(data: xr.DataArray, term: Term) -> Dims:
    """The dims of what a term takes that its function reduces: the region axes and time, windows or frequency."""
    if term.takes == "fcd":
        return WINDOW_DIMS
    if term.takes == "spectrum":
        return (FREQUENCY, schema.REGION)
    if term.takes == "lagged":
        return LAGGED_DIMS
    return schema.MATRIX_DIMS if term.takes == "fc" else (schema.time_dim(data), schema.REGION)


def _list(side: xr.Dataset) -> list[str]:
    return [str(name) for name in side.data_vars]


def _is_matrix(variable: xr.DataArray) -> bool:
    return all(d in variable.dims for d in schema.MATRIX_DIMS)


def _taken(variable: xr.DataArray, term: Term, which: str) -> xr.DataArray:
    """What the term takes: a matrix, or a series."""
    if term.takes == "fc":
        return complete_matrix_labels(variable if _is_matrix(variable) else functional_connectivity(variable))
    if term.takes == "fcd":
        return _taken_fcd(variable, term, which)
    if _is_matrix(variable) or schema.REGION not in variable.dims:
        raise ValueError(
            f"objective {term.name!r} takes series with dims (..., time, region), and {which} {variable.name!r} has "
            f"{tuple(variable.dims)}. Name a series on each side: {term.name}('bold', 'bold')."
        )
    schema.time_dim(variable)
    return variable


def _taken_fcd(variable: xr.DataArray, term: Term, which: str) -> xr.DataArray:
    if _is_fcd(variable):
        return checked_fcd(variable)
    if _is_matrix(variable):
        raise ValueError(
            f"objective {term.name!r} compares the FC of windows of time, and {which} {variable.name!r} is one FC over all of it, dims "
            f"{tuple(variable.dims)}. Name a series or an FCD matrix (xm.fcd) on each side: {term.name}('bold', 'bold')."
        )
    window, step = _windows(variable, term)
    return fcd(variable, window=window, step=step)


def _is_fcd(variable: xr.DataArray) -> bool:
    return all(d in variable.dims for d in WINDOW_DIMS)


def _windows(variable: xr.DataArray, term: Term) -> tuple[float, float]:
    """Window and step in the unit of the time coordinate."""
    scale = units.factor("s", time_unit(variable, schema.time_dim(variable)))
    return term.windows[0] * scale, term.windows[1] * scale


def _axes(variable: xr.DataArray, term: Term) -> Dims:
    """The dims of a variable that a term uses up, in the order that ``Pair.made`` needs."""
    if term.takes == "fc" and _is_matrix(variable):
        return schema.MATRIX_DIMS
    if term.takes == "fcd" and _is_fcd(variable):
        return WINDOW_DIMS
    if term.takes == "spectrum" and is_spectrum(variable):
        return (FREQUENCY, schema.REGION)
    if term.takes == "lagged" and is_lagged(variable):
        return LAGGED_DIMS
    return (schema.time_dim(variable), schema.REGION)


def array_twin(variable: xr.DataArray, term: Term) -> Callable[[Any], Any]:
    """What makes FC or FCD of an array ``(..., time, region)`` of a variable, or takes it as it is; numpy or jax, differentiable."""
    if term.takes == "fc" and not _is_matrix(variable):
        return correlation_matrix
    if term.takes == "fcd" and not _is_fcd(variable):
        windows = windows_in_samples(variable, schema.time_dim(variable), *_windows(variable, term))
        return partial(fcd_matrix, windows=windows)
    return _as_it_is


def _as_it_is(values: Any) -> Any:
    return values


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
