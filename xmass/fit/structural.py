"""Connectomes as free parameters: which entries of a matrix are fitted, and between which delays."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xmass.core.param import Param
from xmass.fit.layout import Labels, Layout, aligned
from xmass.labelled.schema import DISTANCES, SPEED


def existing(path: str, param: Param, labels: Labels, fits: Labels) -> np.ndarray:
    """Of a matrix the entries that are not 0, which are fitted: an edge that is not there stays away.

    Parameters
    ----------
    path : str
        What the errors call it.
    param : Param
        In declared units, its value over ``region`` and ``region_other``, and over dims of fits if it has any.
    labels, fits : mapping of str to array
        Labels of the dims of one fit's value, and of the dims of fits.

    Raises
    ------
    TypeError
        If the value is a number.
    ValueError
        If it has no entry that is not 0, or other ones in each fit.
    """
    if not isinstance(param.value, xr.DataArray):
        raise TypeError(f"{path} is fitted from a matrix over region and region_other: xm.Param(sc.weights, bounds=(0, 1)).")
    shape = tuple(len(v) for v in labels.values())
    found = aligned(param.value, labels, fits, f"the value of {path}").reshape(-1, *shape) != 0
    if not found.any():
        raise ValueError(f"{path} is 0 everywhere; only entries that are not 0 are fitted. Start them at a small number.")
    if (found != found[0]).any():
        raise ValueError(
            f"{path} has different edges in each fit, and what is 0 stays 0. Take those that all have: "
            f"weights.where((weights != 0).all({[d for d in param.value.dims if d in fits]}), 0)."
        )
    return found[0]


def delay_limits(layout: Layout) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
    """Lowest and highest values of the speeds and distances of a layout: delays are planned for all between.

    Raises
    ------
    ValueError
        If one has no bound on a side.
    """
    found = {}
    for entry in layout.entries:
        if entry.path.rpartition(".")[2] not in (SPEED, DISTANCES):
            continue
        if not np.isfinite(entry.limits).all():
            raise ValueError(
                f"{entry.path} needs a finite bound on each side, since delays are planned for all values between them: "
                "xm.Param(10.0, bounds=(2.0, 20.0))."
            )
        first = np.asarray(entry.param.value, dtype=np.float64).reshape(-1, *entry.shape)
        ends = []
        for end, limit in zip((first.min(axis=0), first.max(axis=0)), entry.limits, strict=True):
            whole = np.array(end).reshape(-1)
            whole[... if entry.free is None else np.flatnonzero(entry.free)] = limit
            ends.append(xr.DataArray(whole.reshape(entry.shape), dims=tuple(entry.labels), coords=dict(entry.labels)))
        found[entry.path] = (ends[0], ends[1])
    return found
