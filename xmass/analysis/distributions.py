"""Distances between two distributions, each given by its samples: Kolmogorov-Smirnov and Wasserstein."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.labelled import schema, units


def ks_distance(first: xr.DataArray, second: xr.DataArray, *, dim: str = "pair") -> xr.DataArray:
    """Kolmogorov-Smirnov distance: the largest difference of two cumulative distributions.

    Parameters
    ----------
    first, second : DataArray
        Samples along ``dim``, in any order; the number of samples may differ. Other dims that both have are paired by label, exactly;
        the others are crossed.
    dim : str
        The dimension of the samples, as :func:`xmass.fcd_distribution` makes it.

    Returns
    -------
    DataArray
        Without ``dim``, in [0, 1], unit "1"; lazy if a side is lazy. NaN where a side has a NaN.

    Raises
    ------
    TypeError
        If a side is no DataArray of real numbers.
    ValueError
        If ``dim`` is missing on a side or empty, or labels differ.

    Notes
    -----
    The statistic of ``scipy.stats.ks_2samp``, without its test: windows that overlap are not independent samples.

    Examples
    --------
    >>> import xmass as xm
    >>> import xarray as xr
    >>> a, b = xr.DataArray([0.1, 0.2, 0.3, 0.4], dims="pair"), xr.DataArray([0.3, 0.4, 0.5, 0.6], dims="pair")
    >>> float(xm.ks_distance(a, b))
    0.5
    """
    return _distance(first, second, dim, ks_statistic, "Kolmogorov-Smirnov distance", "1")


def wasserstein_distance(first: xr.DataArray, second: xr.DataArray, *, dim: str = "pair") -> xr.DataArray:
    """Wasserstein-1 (earth mover's) distance: the area between two cumulative distributions.

    Parameters
    ----------
    first, second : DataArray
        Samples along ``dim``, in any order; the number of samples may differ. Other dims that both have are paired by label, exactly;
        the others are crossed.
    dim : str
        The dimension of the samples, as :func:`xmass.fcd_distribution` makes it.

    Returns
    -------
    DataArray
        Without ``dim``, in the unit of the samples; lazy if a side is lazy. NaN where a side has a NaN or an infinite sample.

    Raises
    ------
    TypeError
        If a side is no DataArray of real numbers.
    ValueError
        If ``dim`` is missing on a side or empty, labels differ, or the sides have different units.

    Examples
    --------
    >>> import xmass as xm
    >>> import xarray as xr
    >>> a = xr.DataArray([0.1, 0.2, 0.3], dims="pair")
    >>> round(float(xm.wasserstein_distance(a, a + 0.25)), 12)
    0.25
    """
    unit = first.attrs.get(schema.UNITS) if isinstance(first, xr.DataArray) else None
    theirs = second.attrs.get(schema.UNITS) if isinstance(second, xr.DataArray) else None
    if unit is not None and theirs is not None and unit != theirs:
        raise ValueError(f"the samples have units {unit!r} and {theirs!r}, and their distance depends on them: convert one side.")
    return _distance(first, second, dim, wasserstein_statistic, "Wasserstein distance", unit or theirs)


def ks_statistic(first: Any, second: Any) -> Any:
    """Largest difference of the empirical distributions along the last axis; numpy or jax, leading axes broadcast.

    A step function of the samples: its gradient is 0 wherever it exists.
    """
    xp = array_namespace(first, second)
    values, gap = _gap(first, second, xp)
    # among equal samples only the last has the whole step of both distributions behind it
    last = xp.concatenate([values[..., 1:] > values[..., :-1], xp.ones_like(values[..., :1], dtype=bool)], axis=-1)
    found = xp.max(xp.where(last, xp.abs(gap), xp.zeros_like(gap)), axis=-1)
    return xp.where(xp.isnan(values).any(axis=-1), xp.nan, found)


def wasserstein_statistic(first: Any, second: Any) -> Any:
    """Area between the empirical distributions along the last axis; numpy or jax, leading axes broadcast, differentiable."""
    xp = array_namespace(first, second)
    values, gap = _gap(first, second, xp)
    return xp.sum(xp.abs(gap[..., :-1]) * (values[..., 1:] - values[..., :-1]), axis=-1)


def one_by_one(statistic: Callable[[Any, Any], Any], first: Any, second: Any) -> Any:
    """``statistic`` over the last axis; numpy runs one pair after the other, so that a sweep against a cohort stays small."""
    if array_namespace(first, second) is not np:
        return statistic(first, second)
    lead = np.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    a, b = np.broadcast_to(first, (*lead, first.shape[-1])), np.broadcast_to(second, (*lead, second.shape[-1]))
    found = np.empty(lead, np.result_type(first, second))
    for place in np.ndindex(lead):
        found[place] = statistic(a[place], b[place])
    return found[()]


def _gap(first: Any, second: Any, xp: Any) -> tuple[Any, Any]:
    """All samples in order, and the difference of the two distributions just after each of them."""
    n, m = first.shape[-1], second.shape[-1]
    lead = np.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    values = xp.concatenate([xp.broadcast_to(first, (*lead, n)), xp.broadcast_to(second, (*lead, m))], axis=-1)
    # whole steps of both, m for a sample of the first and -n for one of the second: integers, so that equal sides give exactly 0
    steps = np.concatenate([np.full(n, m), np.full(m, -n)])
    order = xp.argsort(values, axis=-1)
    values = xp.take_along_axis(values, order, axis=-1)
    gap = xp.cumsum(xp.asarray(steps)[order], axis=-1)
    return values, gap.astype(values.dtype) / np.asarray(n * m, values.dtype)


def _distance(
    first: xr.DataArray, second: xr.DataArray, dim: str, statistic: Callable[[Any, Any], Any], meaning: str, unit: str | None
) -> xr.DataArray:
    sides = []
    for name, side in (("first", first), ("second", second)):
        if not isinstance(side, xr.DataArray):
            raise TypeError(f"{name} is a {type(side).__name__}, needs an xarray.DataArray of samples along {dim!r}.")
        if side.dtype.kind not in "fiu":
            raise TypeError(f"{name} has dtype {side.dtype}, needs real numbers: convert it with {name}.astype(float).")
        if dim not in side.dims or not side.sizes[dim]:
            raise ValueError(
                f"{name} has dims {dict(side.sizes)}, needs samples along {dim!r}: name their dimension with dim=, "
                "or make them from an FCD matrix with xm.fcd_distribution(fcd)."
            )
        side = units.dequantify(side).astype(np.result_type(side.dtype, np.float32), copy=False)
        side = side.drop_vars([c for c in side.coords if dim in side[c].dims])
        side = side if side.chunks is None else side.chunk({dim: -1})
        sides.append(side.rename({dim: f"{name}_{dim}"}))
    core: list[list[Hashable]] = [[f"first_{dim}"], [f"second_{dim}"]]
    distance = xr.apply_ufunc(
        lambda a, b: np.asarray(one_by_one(statistic, a, b), np.float64),
        *sides,
        input_core_dims=core,
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,
    )
    distance.attrs = {schema.LONG_NAME: meaning} | ({} if unit is None else {schema.UNITS: unit})
    return distance.rename(None)
