"""Two labelled arrays brought to one order: what ``compare`` pairs is paired by label, or it is an error."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import xarray as xr

from xmass.labelled import schema


def align_regions(recorded: xr.DataArray, simulated: xr.DataArray, *, what: str) -> xr.DataArray:
    """``recorded`` with its regions in the order of ``simulated``, on both axes of a matrix.

    Without labels on one side (or both) the sizes must match, and regions are paired by position.

    Raises
    ------
    ValueError
        If a label is repeated, or found on one side only, or sizes differ; the labels are named.
    """
    for dim in schema.MATRIX_DIMS:
        if dim in recorded.dims and dim in simulated.dims:
            recorded = _align_one(recorded, simulated, dim, what=what, advice=_region_advice)
    return recorded


def align_shared(recorded: xr.DataArray, simulated: xr.DataArray, *, apart: tuple[Hashable, ...], what: str) -> xr.DataArray:
    """``recorded`` with the labels of every other shared dimension in the order of ``simulated``; ``apart`` are left alone.

    Raises
    ------
    ValueError
        As :func:`align_regions`, or if one side has labels and the other has none.
    """
    for dim in recorded.dims:
        if dim in simulated.dims and dim not in apart:
            with_labels = (dim in simulated.coords, dim in recorded.coords)
            if with_labels[0] != with_labels[1]:
                has, lacks = ("simulated", "recorded") if with_labels[0] else ("recorded", "simulated")
                raise ValueError(
                    f"{what}: {has} has labels on {dim!r} and {lacks} has none, so they cannot be paired by label. "
                    f"Add them: {lacks}.assign_coords({dim}=...)."
                )
            recorded = _align_one(recorded, simulated, dim, what=what, advice=_shared_advice)
    return recorded


def complete_matrix_labels(matrix: xr.DataArray) -> xr.DataArray:
    """A matrix that has labels on one axis only, with the same labels on the other."""
    first, second = schema.MATRIX_DIMS
    for has, lacks in ((first, second), (second, first)):
        if has in matrix.coords and lacks not in matrix.coords and matrix.sizes[has] == matrix.sizes[lacks]:
            matrix = matrix.assign_coords({lacks: (lacks, matrix[has].values)})
    return matrix


def _align_one(
    recorded: xr.DataArray, simulated: xr.DataArray, dim: Hashable, *, what: str, advice: Callable[[Hashable], str]
) -> xr.DataArray:
    if dim not in simulated.coords or dim not in recorded.coords:
        if simulated.sizes[dim] != recorded.sizes[dim]:
            raise ValueError(
                f"{what}: {dim!r} has {simulated.sizes[dim]} entries in simulated and {recorded.sizes[dim]} in recorded, "
                "and no labels on both sides to pair them by. Select the same entries, or add labels with .assign_coords(...)."
            )
        return recorded.drop_vars([dim], errors="ignore")
    theirs, ours = recorded[dim].to_index(), simulated[dim].to_index()
    for side, index in (("simulated", ours), ("recorded", theirs)):
        if not index.is_unique:
            repeated = index[index.duplicated()].unique().tolist()
            raise ValueError(f"{what}: {side} repeats {_names(repeated)} along {dim!r}; each label may occur once. Select one of each.")
    missing, extra = ours.difference(theirs, sort=False).tolist(), theirs.difference(ours, sort=False).tolist()
    if missing or extra:
        lack = f"lacks {_names(missing)}" if missing else ""
        more = f"has {_names(extra)} that simulated lacks" if extra else ""
        raise ValueError(f"{what}: along {dim!r} recorded {' and '.join(filter(None, (lack, more)))}. {advice(dim)}")
    return recorded if ours.equals(theirs) else recorded.isel({dim: theirs.get_indexer(ours)})


def _region_advice(dim: Hashable) -> str:
    return (
        "Compare the same regions on both sides: recorded.sel(region=simulated.region.values) (and region_other for a matrix), "
        "or label them alike with .assign_coords(region=...)."
    )


def _shared_advice(dim: Hashable) -> str:
    return f"Pair the same entries: select them on both sides with .sel({dim}=[...]), or rename a dim that does not mean the same."


def _names(labels: list) -> str:
    shown = ", ".join(repr(label) for label in labels[:5])
    return shown if len(labels) <= 5 else f"{shown} and {len(labels) - 5} more"


def same_period(simulated: float, recorded: float) -> bool:
    """Two sampling periods agree to a millionth: both are made from stamps that carry rounding."""
    return bool(np.isclose(simulated, recorded, rtol=1e-6, atol=0.0))
