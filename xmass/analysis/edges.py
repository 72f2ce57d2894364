"""Edge-centric connectivity: the series of every pair of regions, and the correlations between pairs."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.analysis.connectivity import check_for_correlation, checked_series, float_type, one_chunk
from xmass.analysis.sensors import as_regions, as_sensors, of_sensors
from xmass.labelled import schema

EDGE, EDGE_OTHER = "edge", "edge_other"
ENDS = ("edge_region", "edge_region_other")


def edge_series(signal: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Edge time series: the product, at each time, of the standardised series of two regions.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, any unit; other dims are kept, whatever their place.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``(..., time, edge)``, unit "1", named ``edge_series``; lazy if ``signal`` is lazy. An edge is a pair i < j, row by row of the upper
        triangle; ``edge_region`` and ``edge_region_other`` name its regions. Its mean over time is the FC of the pair. NaN for the edges of
        a region that is constant, or has a NaN or an infinite sample.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, or there are fewer than 3 samples or 2 regions.

    Notes
    -----
    As in Faskowitz, Esfahlani, Jo, Sporns and Betzel 2020, doi:10.1038/s41593-020-00719-y, with the standard deviation over n, so that the
    mean over time is exactly the Pearson correlation. R regions have R (R - 1) / 2 edges.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(50, 4)), dims=("time", "region"), coords={"region": list("ABCD")})
    >>> edges = xm.edge_series(x)
    >>> edges.sizes["edge"], str(edges.edge_region[0].item()), str(edges.edge_region_other[0].item())
    (6, 'A', 'B')
    >>> bool(abs(edges.mean("time")[0] - xm.functional_connectivity(x)[0, 1]) < 1e-15)
    True
    """
    if of_sensors(signal):
        return as_sensors(edge_series(as_regions(signal), dim=dim))
    signal, time = _checked(signal, dim)
    rows, columns = np.triu_indices(signal.sizes[schema.REGION], 1)
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _edge_series,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[[time, EDGE]],
        kwargs={"rows": rows, "columns": columns, "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": {EDGE: rows.size}},
        keep_attrs=True,
    )
    result = result.assign_coords(_ends(signal, rows, columns, EDGE))
    return _described(result, signal, "edge_series", "product of the standardised series of two regions")


def edge_fc(signal: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Edge functional connectivity: how alike the time courses of two pairs of regions are.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, any unit; other dims are kept, whatever their place.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``(..., edge, edge_other)``, unit "1", named ``edge_fc``; lazy if ``signal`` is lazy. Edges as in :func:`edge_series`, with
        ``edge_region`` and ``edge_region_other`` along ``edge``. Symmetric, within [-1, 1], exactly 1 on the diagonal; NaN for the edges of
        a region that is constant, or has a NaN or an infinite sample.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, or there are fewer than 3 samples or 2 regions.

    Notes
    -----
    The inner product of two edge series over the root of the product of those with themselves, so a cosine and not a correlation: the mean
    of an edge series is its FC and is not removed (Faskowitz et al. 2020, doi:10.1038/s41593-020-00719-y). The matrix of 80 regions has
    10 million entries, that of 400 regions 6 thousand million.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(50, 4)), dims=("time", "region"))
    >>> xm.edge_fc(x).shape
    (6, 6)
    """
    if of_sensors(signal):
        return as_sensors(edge_fc(as_regions(signal), dim=dim))
    signal, time = _checked(signal, dim)
    rows, columns = np.triu_indices(signal.sizes[schema.REGION], 1)
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _edge_fc,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[[EDGE, EDGE_OTHER]],
        kwargs={"rows": rows, "columns": columns, "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": {EDGE: rows.size, EDGE_OTHER: rows.size}},
        keep_attrs=True,
    )
    result = result.assign_coords(_ends(signal, rows, columns, EDGE))
    return _described(result, signal, "edge_fc", "edge functional connectivity")


def _checked(signal: xr.DataArray, dim: str | None) -> tuple[xr.DataArray, Hashable]:
    signal, time = checked_series(signal, dim=dim)
    check_for_correlation(signal, time)
    if signal.sizes[schema.REGION] < 2:
        raise ValueError(f"signal has {signal.sizes[schema.REGION]} region, and an edge joins two: needs 2 or more.")
    for name in (EDGE, EDGE_OTHER, *ENDS):
        if name in signal.dims or name in signal.coords:
            raise ValueError(f"signal has {name!r} already, which the edges need: rename it with signal.rename({name}='...').")
    return signal, time


def _ends(signal: xr.DataArray, rows: np.ndarray, columns: np.ndarray, dim: str) -> dict[str, tuple[str, np.ndarray]]:
    labels = signal[schema.REGION].values if schema.REGION in signal.coords else np.arange(signal.sizes[schema.REGION])
    return dict(zip(ENDS, ((dim, labels[rows]), (dim, labels[columns]))))


def _described(result: xr.DataArray, signal: xr.DataArray, name: str, meaning: str) -> xr.DataArray:
    result.attrs = {schema.UNITS: "1", schema.LONG_NAME: meaning}
    if "preprocess" in signal.attrs:
        result.attrs["preprocess"] = signal.attrs["preprocess"]
    return result.rename(name)


def _standard(series: Any) -> Any:
    """Mean 0 and mean square 1 over time; NaN for a region that is constant or not finite."""
    xp = array_namespace(series)
    series = series.astype(np.float64) if xp is np else series
    finite = xp.isfinite(series).all(axis=-2, keepdims=True)
    filled = xp.where(finite, series, 0.0)
    valid = finite & (filled.max(axis=-2, keepdims=True) > filled.min(axis=-2, keepdims=True))
    centred = filled - filled.mean(axis=-2, keepdims=True)
    centred = centred - centred.mean(axis=-2, keepdims=True)
    largest = xp.abs(centred).max(axis=-2, keepdims=True)
    centred = centred / xp.where(valid & (largest > 0), largest, 1.0)
    square = (centred**2).mean(axis=-2, keepdims=True)
    return xp.where(valid, centred / xp.sqrt(xp.where(square > 0, square, 1.0)), xp.nan)


def _edge_series(series: np.ndarray, *, rows: np.ndarray, columns: np.ndarray, dtype: np.dtype) -> np.ndarray:
    standard = _standard(series)
    return (standard[..., rows] * standard[..., columns]).astype(dtype)


def _edge_fc(series: np.ndarray, *, rows: np.ndarray, columns: np.ndarray, dtype: np.dtype) -> np.ndarray:
    xp = array_namespace(series)
    if xp is not np:
        products = _standard(series)
        products = products[..., rows] * products[..., columns]
        length = xp.sqrt(xp.sum(products**2, axis=-2, keepdims=True))
        unit = products / xp.where(length > 0, length, 1.0)
        cosine = xp.clip(xp.matmul(xp.swapaxes(unit, -1, -2), unit), -1.0, 1.0)
        return xp.where(np.eye(rows.size, dtype=bool) & ~xp.isnan(cosine), 1.0, cosine)
    result = np.empty((*series.shape[:-2], rows.size, rows.size), dtype)
    for place in np.ndindex(series.shape[:-2]):
        edges = _edge_series(np.ascontiguousarray(series[place]), rows=rows, columns=columns, dtype=np.dtype(np.float64))
        valid = ~np.isnan(edges).any(axis=0)
        edges = np.where(valid, edges, 0.0)
        edges /= np.sqrt((edges**2).sum(axis=0)) + ~valid
        cosine = np.clip(edges.T @ edges, -1.0, 1.0)
        cosine = 0.5 * (cosine + cosine.T)
        np.fill_diagonal(cosine, 1.0)
        cosine[~valid, :] = np.nan
        cosine[:, ~valid] = np.nan
        result[place] = cosine
    return result
