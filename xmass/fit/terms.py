"""One term of an objective on arrays: the target made once, the simulated side inside JAX."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jax import lax

from xmass.analysis.align import align_regions, align_shared
from xmass.analysis.arrays import array_namespace
from xmass.analysis.pairing import Pair, array_twin, paired
from xmass.fit.masks import left_out
from xmass.labelled import schema
from xmass.objectives.objective import Objective

NUMBERS_AT_ONCE = 50_000_000
"""Numbers that the scores of several runs hold at one time: more runs are scored one part after the other."""


@dataclass(frozen=True, eq=False)
class TermScore:
    """A term, and how the arrays of a run become what it takes.

    Parameters
    ----------
    term : Objective
        The score.
    variable : str
        The simulated variable.
    axes : dict
        The dims of its array, behind the run axis.
    pair : Pair
        The labelled sides.
    kept : tuple of (array or None)
        The regions that count, for each pattern of regions left out; None for all.
    target : dict
        ``values`` ``(point, ...)`` and ``pattern`` ``(point,)``, the number of the pattern of each point; -1 where no region is left.
    missing : DataArray
        Which regions of each point are left out.
    """

    term: Objective
    variable: str
    axes: dict[str, tuple[Hashable, ...]]
    pair: Pair
    kept: tuple[np.ndarray | None, ...]
    target: dict[str, np.ndarray]
    missing: xr.DataArray

    def __call__(self, arrays: Mapping[str, Any], target: Mapping[str, Any]) -> Any:
        """Scores ``(run,)``."""
        return self._each(self.term, arrays, target, ())

    def residuals(self, arrays: Mapping[str, Any], target: Mapping[str, Any]) -> Any:
        """Residuals ``(run, m)``; where regions are left out, padded with 0 and scaled so that the mean square is kept."""
        longest = max(self._count(keep) for keep in self.kept)

        def padded(simulated: Any, recorded: Any) -> Any:
            xp = array_namespace(simulated)
            found = self.term.residuals(simulated, recorded)
            short = found.shape[-1]
            if short == longest:
                return found
            return xp.concatenate(
                [found * float(np.sqrt(longest / short)), xp.zeros_like(found, shape=(*found.shape[:-1], longest - short))], -1
            )

        return self._each(padded, arrays, target, (longest,))

    def _count(self, keep: np.ndarray | None) -> int:
        """How many residuals there are."""
        sides = (
            np.zeros((1, *(side.sizes[d] for d in dims)))
            for side, dims in zip((self.pair.simulated, self.pair.recorded), self.pair.core, strict=True)
        )
        a, b = (_subset(side, dims, keep) for side, dims in zip(sides, self.pair.core, strict=True))
        return int(self.term.residuals(a, b).shape[-1])

    def _each(
        self, function: Callable[[Any, Any], Any], arrays: Mapping[str, Any], target: Mapping[str, Any], inner: tuple[int, ...]
    ) -> Any:
        """``function`` of what the term takes, for every run, with the regions that count at its point."""
        if self.variable not in arrays:
            raise KeyError(f"objective {self.term.name!r} takes {self.variable!r}, and there are arrays of {sorted(arrays)}.")
        simulated, values, pattern = arrays[self.variable], target["values"], target["pattern"]
        xp = array_namespace(simulated, values, pattern)
        inner_dims = self.axes[self.variable]
        simulated = xp.transpose(xp.asarray(simulated), (0, *(1 + inner_dims.index(d) for d in self.pair.axes)))
        if xp is np:
            simulated, values = np.asarray(simulated, np.float64), np.asarray(values, np.float64)
        else:
            values = xp.asarray(values).astype(simulated.dtype)

        def scored(a: Any, b: Any, keep: Any) -> Any:
            a, b = _subset(a, self.pair.axes, keep), _subset(b, self.pair.core[1], keep)
            if xp is np:
                return function(self.pair.made(a), b)
            # a run that is not finite has no score, and a derivative of 0 with respect to everything: others may share its parameters
            finite = xp.isfinite(a).all(tuple(range(a.ndim - len(self.pair.axes), a.ndim)))
            instead = finite_like(a, len(self.pair.axes))
            found = function(self.pair.made(xp.where(finite[(...,) + (None,) * len(self.pair.axes)], a, instead)), b)
            return xp.where(finite[(...,) + (None,) * len(inner)], found, xp.nan)

        whole = len(self.kept) == 1 and not (self.target["pattern"] < 0).any()
        if xp is np:
            found = np.full((len(simulated), *inner), np.nan)
            for number, keep in enumerate(self.kept):
                rows = np.flatnonzero(np.asarray(pattern) == number)
                if rows.size:
                    found[rows] = scored(simulated[rows], values[rows], keep)
            return found
        if whole and simulated.size * self._spread() <= NUMBERS_AT_ONCE:
            return scored(simulated, values, self.kept[0])
        # one compiled branch for each number of regions that count, whichever they are; the first is for points without any
        branch_of, tables = _branches(self.kept)
        branches = [lambda a, b, number: xp.full(inner, xp.nan, a.dtype), *(_branch(scored, xp, table) for table in tables)]

        def one(row: tuple[Any, Any, Any]) -> Any:
            a, b, number = row
            return scored(a, b, self.kept[0]) if whole else lax.switch(xp.asarray(branch_of)[number], branches, a, b, number)

        return lax.map(one, (simulated, values, xp.asarray(pattern)))

    def _spread(self) -> float:
        """How many numbers a score makes of one number of a series."""
        if self.term.takes == "series":
            return max(1.0, self.pair.simulated.sizes[schema.REGION] / 2)  # products of pairs of regions
        return 20.0 if self.term.takes == "fcd" else 1.0  # windows overlap


def finite_like(values: Any, inner: int) -> Any:
    """Positive numbers of the shape of the last ``inner`` axes that vary along each: every score of them has a derivative."""
    xp = array_namespace(values)
    phase: Any = 0.0
    for k, size in enumerate(values.shape[-inner:]):
        along = (k + 1.7) * (np.arange(size) + 1.0) ** 1.3
        phase = phase + xp.asarray(along.reshape(-1, *(1,) * (inner - k - 1)) % (2 * np.pi), values.dtype)
    return 1.0 + 0.5 * xp.cos(phase)


def _branches(kept: Sequence[np.ndarray | None]) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """The branch of each pattern (last, that of -1: 0), and the regions ``(pattern, region)`` of each branch; None for all of them."""
    sizes = sorted({-1 if keep is None else keep.size for keep in kept})
    branch_of = np.array([*(1 + sizes.index(-1 if keep is None else keep.size) for keep in kept), 0], np.int32)
    tables: list[np.ndarray | None] = []
    for size in sizes:
        rows = [keep if keep is not None and keep.size == size else np.zeros(max(size, 0), np.int64) for keep in kept]
        tables.append(None if size < 0 else np.stack(rows).astype(np.int32))
    return branch_of, tables


def _branch(scored: Callable[[Any, Any, Any], Any], xp: Any, table: np.ndarray | None) -> Callable[[Any, Any, Any], Any]:
    return lambda a, b, number: scored(a, b, None if table is None else xp.asarray(table)[number])


def _subset(values: Any, dims: Sequence[Hashable], keep: Any) -> Any:
    """The regions ``keep`` along every axis of regions; ``dims`` are those of the last axes."""
    if keep is not None:
        for axis, dim in enumerate(dims, start=values.ndim - len(dims)):
            if dim in schema.MATRIX_DIMS:
                values = values[(slice(None),) * axis + (keep,)]
    return values


def prepared(term: Objective, simulated: xr.Dataset, target: xr.Dataset, dims: tuple[str, ...]) -> TermScore:
    """A term with its target, one row for each point along ``dims``."""
    pair = paired(simulated, target, term)
    ours, theirs = pair.variables
    inner = tuple(d for d in ours.dims if d in pair.axes)  # in the order of the simulated array, whatever its entries are called
    raw = _raw_core(theirs, pair, term)
    _check_dims(pair, dims, simulated, target)
    regions = schema.REGION in theirs.dims
    if regions:
        # a matrix has its axes in one order only once it is aligned
        matrix = schema.REGION_OTHER in raw
        missing = left_out(pair.recorded if matrix else theirs, pair.core[1] if matrix else raw, term)
        missing = _in_order_of(missing, ours)
    else:
        if not bool(np.isfinite(pair.recorded).all()):
            raise ValueError(f"objective {term.name!r}: the target {pair.names[1]!r} has entries that are NaN or infinite.")
        missing = xr.DataArray(False)
    sizes = {d: (ours if d in ours.dims else theirs).sizes[d] if d in (*ours.dims, *theirs.dims) else target.sizes[d] for d in dims}
    rows = _rows(missing, dims, sizes, (schema.REGION,) if regions else ())
    values = _rows(pair.recorded, dims, sizes, pair.core[1])
    kept, pattern = _patterns(rows if regions else np.zeros((len(values), 1), bool))
    if schema.REGION not in pair.axes and any(keep is not None for keep in kept):
        raise ValueError(
            f"objective {term.name!r}: the target {pair.names[1]!r} lacks regions at some points, and the simulated {pair.names[0]!r} is "
            f"made of all of them. Monitor the series itself, {term.name}('bold', {pair.names[1]!r}), or leave these regions out."
        )
    if term.takes == "fcd" and regions:
        values = _fcd_of_kept(values, theirs, ours, term, kept, pattern, dims, sizes)
    # numbers that are left out take part in no score, but a derivative must not meet a NaN
    values = np.where(np.isfinite(values), values, 1.0 if term.takes == "spectrum" else 0.0)
    found = {"values": values, "pattern": pattern}
    return TermScore(term, pair.names[0], {pair.names[0]: inner}, pair, kept, found, missing)


def _fcd_of_kept(
    values: np.ndarray,
    theirs: xr.DataArray,
    ours: xr.DataArray,
    term: Objective,
    kept: Sequence[np.ndarray | None],
    pattern: np.ndarray,
    dims: tuple[str, ...],
    sizes: Mapping[str, int],
) -> np.ndarray:
    """FCD matrices of the points, of the regions that count where some do not."""
    partly = [number for number, keep in enumerate(kept) if keep is not None]
    if not partly:
        return values
    core = (schema.time_dim(theirs), schema.REGION)
    what = f"objective {term.name!r}"
    aligned = align_shared(align_regions(theirs, ours, what=what), ours, apart=core, what=what)
    series, made = _rows(aligned, dims, sizes, core), array_twin(theirs, term)
    values = np.array(values)
    for number in partly:
        for place in np.flatnonzero(pattern == number):
            values[place] = made(np.ascontiguousarray(series[place][:, kept[number]], np.float64))
    return values


def _raw_core(theirs: xr.DataArray, pair: Pair, term: Objective) -> tuple[Hashable, ...]:
    """The dims of the recorded variable that are no points."""
    points = [d for d in pair.recorded.dims if d not in pair.core[1]]
    return tuple(d for d in theirs.dims if d not in points)


def _check_dims(pair: Pair, dims: tuple[str, ...], simulated: xr.Dataset, target: xr.Dataset) -> None:
    other = [str(d) for d in pair.recorded.dims if d not in pair.core[1] and d not in dims]
    if other:
        raise ValueError(
            f"the target {pair.names[1]!r} has the dims {other}, which are neither time nor region nor among the dims of the fits, {dims}: "
            f"select one entry, target.isel({other[0]}=0), or average over them."
        )


def _in_order_of(missing: xr.DataArray, ours: xr.DataArray) -> xr.DataArray:
    """A mask with its regions, and what it shares with the simulation, in the order of the latter."""
    for d in missing.dims:
        if d in ours.dims and d in ours.coords and d in missing.coords:
            missing = missing.sel({d: ours[d].values})
        elif d in ours.dims:
            missing = missing.drop_vars([d], errors="ignore")
    return missing


def _rows(data: xr.DataArray, dims: tuple[str, ...], sizes: Mapping[str, int], core: Sequence[Hashable]) -> np.ndarray:
    """``(point, *core)``, the points in the order of ``dims``; repeated along dims that the data do not have."""
    own = [d for d in dims if d in data.dims]
    values = np.asarray(data.transpose(*own, *core).data)
    lead = tuple(data.sizes[d] if d in own else 1 for d in dims)
    shape = values.shape[len(own) :]
    full = np.broadcast_to(values.reshape(*lead, *shape), (*(sizes[d] for d in dims), *shape))
    return full.reshape(-1, *shape)


def _patterns(missing: np.ndarray) -> tuple[tuple[np.ndarray | None, ...], np.ndarray]:
    """The different sets of regions that count, and the number of each point's; -1 for a point without any."""
    found, number = np.unique(missing, axis=0, return_inverse=True)
    number = number.reshape(-1)
    kept: list[np.ndarray | None] = []
    new = np.full(len(found), -1, np.int32)
    for i, row in enumerate(found):
        if not row.all():
            new[i] = len(kept)
            kept.append(np.flatnonzero(~row) if row.any() else None)
    return tuple(kept), new[number]
