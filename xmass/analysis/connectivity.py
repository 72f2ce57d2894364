"""Functional connectivity of a series, and its average over trials or subjects."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.analysis.sensors import as_regions, as_sensors, of_sensors
from xmass.analysis.shrinkage import Shrinkage, checked_shrinkage, intensity, shrunk
from xmass.labelled import schema, units

MINIMUM_SAMPLES = 3


def functional_connectivity(signal: xr.DataArray, *, dim: str | None = None, shrinkage: Shrinkage = None) -> xr.DataArray:
    """Pearson correlation between regions over time.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, any unit; other dims (subject, k) are kept, whatever their place.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.
    shrinkage : "ledoit_wolf", float or None
        Move the correlations towards 0, by a fraction in [0, 1] or by the estimate of Ledoit and Wolf 2004,
        doi:10.1016/S0047-259X(03)00096-4, of standardised series: for few samples, and wherever the matrix is inverted. The estimate
        takes samples as independent; a slow signal has fewer than it counts. None is the plain Pearson correlation.

    Returns
    -------
    DataArray
        ``(..., region, region_other)``, unit "1", named ``fc``; lazy if ``signal`` is lazy. Labels and other coordinates
        of ``region`` are kept. The diagonal is exactly 1 and the matrix exactly symmetric, within [-1, 1].
        A region that is constant, or that has a NaN or an infinite sample, has no correlation: its row and its column are
        NaN, the diagonal included. The other regions are unaffected.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If there is no time or region dimension, fewer than 3 samples, or ``shrinkage`` is none of the above.

    Notes
    -----
    The mean is removed twice and each region is scaled before it is squared, in float64 outside of JAX, so that a mean
    many orders of magnitude above the standard deviation costs no more digits than the samples have already lost.
    float32 in, float32 out.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from xmass.analysis import functional_connectivity
    >>> x = xr.DataArray([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]], dims=("time", "region"))
    >>> functional_connectivity(x).values
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    if of_sensors(signal):
        return as_sensors(functional_connectivity(as_regions(signal), dim=dim, shrinkage=shrinkage))
    signal, time = checked_series(signal, dim=dim)
    check_for_correlation(signal, time)
    dtype = float_type(signal)
    fc = xr.apply_ufunc(
        _correlation_numpy,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[list(schema.MATRIX_DIMS)],
        kwargs={"shrinkage": checked_shrinkage(shrinkage)},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": {schema.REGION_OTHER: signal.sizes[schema.REGION]}},
        keep_attrs=True,
    )
    return described_matrix(fc, signal, "fc", "functional connectivity" + ("" if shrinkage is None else f", shrinkage {shrinkage}"))


def check_for_correlation(signal: xr.DataArray, time: Hashable, *, samples: int = MINIMUM_SAMPLES) -> None:
    """Nothing, if a matrix of correlations can be made of the series; else an error that says what is missing."""
    if signal.sizes[time] < samples:
        raise ValueError(
            f"signal has {signal.sizes[time]} samples along {time!r}, a correlation needs at least {samples}: "
            "run longer, or choose a shorter transient or period."
        )
    if schema.REGION_OTHER in signal.dims or schema.REGION_OTHER in signal.coords:
        raise ValueError(
            f"signal has {schema.REGION_OTHER!r} already, which FC makes: take a series with dims (..., {time!r}, 'region')"
            f" and drop the coordinate with .drop_vars('{schema.REGION_OTHER}')."
        )


def described_matrix(matrix: xr.DataArray, signal: xr.DataArray, name: str, meaning: str) -> xr.DataArray:
    """A region by region result of ``signal`` with its labels on both axes, unit "1", and the record of its preprocessing."""
    if schema.REGION in signal.coords:
        matrix = matrix.assign_coords({schema.REGION_OTHER: (schema.REGION_OTHER, signal[schema.REGION].values)})
    matrix.attrs = {schema.UNITS: "1", schema.LONG_NAME: meaning}
    if "preprocess" in signal.attrs:
        matrix.attrs["preprocess"] = signal.attrs["preprocess"]
    return matrix.rename(name)


def correlation_matrix(series: Any) -> Any:
    """The array core of :func:`functional_connectivity`: ``(..., time, region)`` to ``(..., region, region)``.

    numpy or jax, differentiable, in the precision of ``series``.
    """
    xp = array_namespace(series)
    finite = xp.all(xp.isfinite(series), axis=-2)
    series = xp.where(finite[..., None, :], series, 0.0)
    # by its range: the computed mean of a constant may differ from it in the last bit, and noise would be correlated
    valid = finite & (xp.max(series, axis=-2) > xp.min(series, axis=-2))
    centred = series - xp.mean(series, axis=-2, keepdims=True)
    centred = centred - xp.mean(centred, axis=-2, keepdims=True)
    largest = xp.max(xp.abs(centred), axis=-2, keepdims=True)
    centred = centred / xp.where(valid[..., None, :] & (largest > 0), largest, 1.0)
    square = xp.sum(centred * centred, axis=-2, keepdims=True)
    unit = centred / xp.sqrt(xp.where(square > 0, square, 1.0))
    fc = xp.matmul(xp.swapaxes(unit, -1, -2), unit)
    fc = xp.clip(0.5 * (fc + xp.swapaxes(fc, -1, -2)), -1.0, 1.0)
    fc = xp.where(np.eye(fc.shape[-1], dtype=bool), 1.0, fc)
    return xp.where(valid[..., :, None] & valid[..., None, :], fc, xp.nan)


def average_fc(fc: xr.DataArray, dim: str | Sequence[Hashable]) -> xr.Dataset:
    """Average correlation matrices over seeds, trials or subjects, through Fisher z.

    Parameters
    ----------
    fc : DataArray
        Correlations in [-1, 1], any dims.
    dim : str or sequence of str
        What to average over.

    Returns
    -------
    Dataset
        ``fc`` = tanh(mean z), with z = arctanh(r), and ``fc_se``, its standard error: the standard error of the mean of z
        (sd with n - 1, over the square root of n) times the slope (1 - fc²) of tanh there. Unit "1", without ``dim``;
        ``attrs["averaged_over"]`` of each says over how many. Entries that are 1 everywhere (the diagonal) stay exactly 1
        with error 0; with n = 1 the error is NaN. A NaN makes the average NaN: leave such runs out before,
        ``fc.where(~fc.diverged, drop=True)``.

    Raises
    ------
    ValueError
        If ``dim`` is not a dimension of ``fc``, or is a region dimension.

    Notes
    -----
    A value of ±1 off the diagonal has infinite z; it counts as the nearest number below 1 of its precision.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from xmass.analysis import average_fc
    >>> trials = xr.DataArray(np.tanh([0.2, 0.4, 0.6]), dims="batch")
    >>> average_fc(trials, "batch").fc.round(6).item() == round(float(np.tanh(0.4)), 6)
    True
    """
    dims = [dim] if isinstance(dim, str) else list(dim)
    wrong = [d for d in dims if d not in fc.dims or d in schema.MATRIX_DIMS]
    if wrong or not dims:
        raise ValueError(
            f"average_fc over {wrong or dims} of an FC with dims {tuple(fc.dims)}: dim must name one or more of "
            f"{tuple(d for d in fc.dims if d not in schema.MATRIX_DIMS)}, such as average_fc(fc, 'batch')."
        )
    n = int(np.prod([fc.sizes[d] for d in dims]))
    below_one = float(np.nextafter(np.asarray(1, fc.dtype), np.asarray(0, fc.dtype)))
    z: xr.DataArray = xr.apply_ufunc(np.arctanh, fc.clip(-below_one, below_one), dask="allowed", keep_attrs=True)
    always_one = (fc == 1).all(dims)
    mean: xr.DataArray = xr.apply_ufunc(np.tanh, z.mean(dims, skipna=False), dask="allowed", keep_attrs=True)
    mean = mean.where(~always_one, mean.dtype.type(1))
    if n > 1:
        spread = z.std(dims, ddof=1, skipna=False)
        error = (spread / np.sqrt(n) * (1 - mean**2)).where(~always_one, mean.dtype.type(0))
    else:
        error = mean * np.nan
    averaged = {"averaged_over": f"{' × '.join(str(d) for d in dims)} ({n})"}
    mean.attrs = {**fc.attrs, schema.UNITS: "1", schema.LONG_NAME: "functional connectivity, mean through Fisher z", **averaged}
    error.attrs = {schema.UNITS: "1", schema.LONG_NAME: "standard error of fc", **averaged}
    return xr.Dataset({"fc": mean, "fc_se": error})


def checked_series(signal: xr.DataArray, *, dim: str | None = None, region: bool = True) -> tuple[xr.DataArray, Hashable]:
    """A real-valued ``(..., time, region)`` series without pint, and its time dimension; errors say what is missing.

    Without ``region`` a series of anything, such as ``(..., time, sensor)``.
    """
    if not isinstance(signal, xr.DataArray):
        raise TypeError(f"signal is a {type(signal).__name__}, needs an xarray.DataArray: take one variable, such as ds['bold'].")
    signal = units.dequantify(signal)
    if signal.dtype.kind not in "fiu":
        raise TypeError(f"signal has dtype {signal.dtype}, needs real numbers: convert it with signal.astype(float).")
    time = schema.time_dim(signal, dim)
    if region and schema.REGION not in signal.dims:
        raise ValueError(
            f"signal has dims {tuple(signal.dims)}, needs 'region' or 'sensor': rename one with signal.rename({{...: 'region'}})."
        )
    return signal, time


def float_type(data: xr.DataArray) -> np.dtype:
    """The dtype of a result: that of floating-point data, at least float32, and float64 for integers."""
    return np.dtype(np.result_type(data.dtype, np.float32)) if data.dtype.kind == "f" else np.dtype(np.float64)


def one_chunk(signal: xr.DataArray, *dims: Hashable) -> xr.DataArray:
    """``signal`` with one chunk along ``dims`` if it is lazy: what a function over these dims needs."""
    return signal if signal.chunks is None else signal.chunk(dict.fromkeys(dims, -1))


def _correlation_numpy(series: np.ndarray, *, shrinkage: Shrinkage) -> np.ndarray:
    if array_namespace(series) is not np:
        plain = correlation_matrix(series)
        return plain if shrinkage is None else shrunk(plain, intensity(series, plain, shrinkage))
    dtype = np.result_type(series.dtype, np.float32) if series.dtype.kind == "f" else np.dtype(np.float64)
    regions = series.shape[-1]
    fc = np.empty((*series.shape[:-2], regions, regions), dtype)
    # one run after the other: each stays in the cache, is in one memory order whatever the dims were before (so that chunks
    # give the same last bit), and no copy of all of them in double precision is made
    for place in np.ndindex(series.shape[:-2]):
        one = np.ascontiguousarray(series[place], dtype=np.float64)
        plain = correlation_matrix(one)
        fc[place] = plain if shrinkage is None else shrunk(plain, intensity(one, plain, shrinkage))
    return fc
