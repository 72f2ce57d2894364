"""Regions of a target that no number is known of: they are left out of the score of that point, and reported."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from xmass.analysis.pairing import Term
from xmass.labelled import schema

FEWEST = {"fc": 2, "fcd": 3}
"""Regions that a score needs; 1 for the others."""


def left_out(recorded: xr.DataArray, core: tuple[Hashable, ...], term: Term) -> xr.DataArray:
    """Which regions of each point are left out, bool ``(..., region)``; all of them where too few are left.

    A region is left out if it is NaN at all times, or in its whole row or column of a matrix; in a score of FC, FCD or spectra also if it
    is constant, since its correlations and the logarithm of its power do not exist.

    Raises
    ------
    ValueError
        If another region has a sample that is not finite, or no point has a region left.
    """
    finite: xr.DataArray = np.isfinite(recorded)  # type: ignore[assignment]
    if schema.REGION_OTHER in core:
        missing = _missing_in_matrix(finite)
        other = missing.rename({schema.REGION: schema.REGION_OTHER}).drop_vars(schema.REGION_OTHER, errors="ignore")
        bad = ~finite & ~missing & ~other
        if term.takes == "fc":
            bad = bad & _off_diagonal(recorded)
        partly = bad.any([d for d in core if d != schema.REGION])
    else:
        inner = [d for d in core if d != schema.REGION]
        missing = ~finite.any(inner)
        partly = ~finite.all(inner) & ~missing
        if term.takes in ("fc", "fcd", "spectrum"):
            missing = missing | (finite.all(inner) & (recorded.max(inner) == recorded.min(inner)))
    if bool(partly.any()):
        raise ValueError(
            f"objective {term.name!r}: the target {recorded.name!r} has samples that are NaN or infinite in {_first(partly)}. Only a "
            "region that is NaN throughout is left out. Fill the gaps (.interpolate_na), cut them off (.isel), or leave the "
            "region out: .where(...) with NaN at all times."
        )
    missing = missing | ((~missing).sum(schema.REGION) < FEWEST.get(term.takes, 1))
    if bool(missing.all()):
        raise ValueError(
            f"objective {term.name!r}: the target {recorded.name!r} has no region with finite, varying values at any point, so there is "
            "nothing to fit to."
        )
    return missing


def _missing_in_matrix(finite: xr.DataArray) -> xr.DataArray:
    finite = finite & _off_diagonal(finite)
    row = ~finite.any([d for d in finite.dims if d == schema.REGION_OTHER or d == schema.LAG])
    column = ~finite.any([d for d in finite.dims if d == schema.REGION or d == schema.LAG])
    column = column.drop_vars(schema.REGION_OTHER, errors="ignore").rename({schema.REGION_OTHER: schema.REGION})
    return row | (column if schema.REGION not in row.coords else column.assign_coords({schema.REGION: row[schema.REGION]}))


def _off_diagonal(matrix: xr.DataArray) -> xr.DataArray:
    return xr.DataArray(~np.eye(matrix.sizes[schema.REGION], dtype=bool), dims=schema.MATRIX_DIMS)


def _first(where: xr.DataArray) -> str:
    """The first places of a mask, named by label."""
    places = np.argwhere(where.values)
    said = []
    for place in places[:3]:
        at = dict(zip(where.dims, place, strict=True))
        said.append(", ".join(f"{d} {where[d].values[i].item()!r}" if d in where.coords else f"{d} {i}" for d, i in at.items()))
    return "; ".join(said) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
