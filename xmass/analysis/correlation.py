"""Other correlations of a series than FC: partial, lagged, and with a seed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace, pearson
from xmass.analysis.clock import period_in_seconds, time_unit
from xmass.analysis.connectivity import (
    MINIMUM_SAMPLES,
    check_for_correlation,
    checked_series,
    correlation_matrix,
    described_matrix,
    float_type,
    one_chunk,
)
from xmass.analysis.sensors import as_regions, as_sensors, of_sensors
from xmass.analysis.shrinkage import Shrinkage, checked_shrinkage, intensity, shrunk
from xmass.labelled import schema, units


def partial_correlation(signal: xr.DataArray, *, dim: str | None = None, shrinkage: Shrinkage = None) -> xr.DataArray:
    """Correlation of two regions over time once all other regions are regressed out of both.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, any unit; other dims (subject, k) are kept, whatever their place.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.
    shrinkage : "ledoit_wolf", float or None
        Of the correlation matrix before it is inverted, as in :func:`xmass.functional_connectivity`. Needed where there are not many more
        samples than regions.

    Returns
    -------
    DataArray
        ``(..., region, region_other)``, unit "1", named ``partial_correlation``; lazy if ``signal`` is lazy. Symmetric, within [-1, 1],
        exactly 1 on the diagonal. A region that is constant, or that has a NaN or an infinite sample, is NaN in its row and its column,
        and is not among the regions that are regressed out. NaN throughout where the remaining regions depend on each other linearly (a
        region twice, or the global signal removed): there the matrix has no inverse without shrinkage.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, there are too few samples, or ``shrinkage`` is none of the above. Without shrinkage more than one sample
        more than regions is needed.

    Notes
    -----
    With the precision matrix P, the inverse of the correlation matrix: -P_ij / sqrt(P_ii P_jj).

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> common, a, b = np.random.default_rng(0).normal(size=(3, 20000))
    >>> x = xr.DataArray(np.stack([common, common + a, common + b], axis=1), dims=("time", "region"))
    >>> float(xm.functional_connectivity(x)[1, 2].round(1)), abs(float(xm.partial_correlation(x)[1, 2].round(1)))
    (0.5, 0.0)
    """
    if of_sensors(signal):
        return as_sensors(partial_correlation(as_regions(signal), dim=dim, shrinkage=shrinkage))
    signal, time = checked_series(signal, dim=dim)
    amount = checked_shrinkage(shrinkage)
    check_for_correlation(signal, time)
    samples, regions = signal.sizes[time], signal.sizes[schema.REGION]
    if (amount is None or amount == 0) and samples < regions + 2:
        raise ValueError(
            f"signal has {samples} samples and {regions} regions; to regress all other regions out needs at least {regions + 2} samples. "
            "Run longer, take fewer regions, or use partial_correlation(signal, shrinkage='ledoit_wolf')."
        )
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _partial_numpy,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[list(schema.MATRIX_DIMS)],
        kwargs={"shrinkage": amount, "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": {schema.REGION_OTHER: regions}},
        keep_attrs=True,
    )
    meaning = "partial correlation" + ("" if shrinkage is None else f", shrinkage {shrinkage}")
    return described_matrix(result, signal, "partial_correlation", meaning)


def lagged_fc(signal: xr.DataArray, lags: Any, *, dim: str | None = None) -> xr.DataArray:
    """Correlation of each region with the past of each other region.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, any unit; other dims are kept, whatever their place.
    lags : time or sequence of times
        Bare numbers are in the unit of the time coordinate; negative ones look into the future. Rounded to whole samples.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``(..., lag, region, region_other)``, unit "1", named ``fc``; lazy if ``signal`` is lazy. The entry ``[lag, i, j]`` correlates
        ``i`` at t with ``j`` at t - lag: for a positive lag ``region_other`` leads and ``region`` follows, as in ``weights``. ``lag`` is
        what was used, in the unit of the time coordinate. A region that is constant, or has a NaN or an infinite sample, has a row and a
        column of NaN.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, the time coordinate has no unit or is not evenly spaced, two lags are the same number of samples, or
        a lag leaves fewer than 3 samples.

    Notes
    -----
    A Pearson correlation over the samples that overlap, with means and standard deviations of these, so within [-1, 1]. The matrix of -lag
    is the transpose of that of lag.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> noise = np.random.default_rng(0).normal(size=101)
    >>> values = np.stack([noise[1:], noise[:-1]], axis=1)                  # the second repeats the first one sample later
    >>> time = ("time", np.arange(100) * 2.0, {"units": "s", "axis": "T"})
    >>> x = xr.DataArray(values, dims=("time", "region"), coords={"time": time, "region": ["leader", "follower"]})
    >>> round(float(xm.lagged_fc(x, [0, 2]).sel(lag=2, region="follower", region_other="leader")), 12)
    1.0
    """
    if of_sensors(signal):
        return as_sensors(lagged_fc(as_regions(signal), lags, dim=dim))
    signal, time = checked_series(signal, dim=dim)
    check_for_correlation(signal, time)
    if schema.LAG in signal.dims or schema.LAG in signal.coords:
        raise ValueError(f"signal has {schema.LAG!r} already, which lagged_fc makes: rename it with signal.rename(lag='...').")
    unit = time_unit(signal, time)
    period = period_in_seconds(signal, time) * units.factor("s", unit)
    wanted = np.atleast_1d(np.asarray(units.to_declared(lags, unit, "lags"), np.float64))
    if wanted.ndim != 1 or not wanted.size or not np.isfinite(wanted).all():
        raise ValueError(f"lags={lags!r}, needs one time or a sequence of times, such as lags=[0.0, 2.0] in {unit}.")
    steps = np.rint(wanted / period).astype(int)
    if np.unique(steps).size < steps.size:
        raise ValueError(f"lags={wanted.tolist()} {unit} are {steps.tolist()} samples of {period:g} {unit}: each may occur once.")
    if signal.sizes[time] - np.abs(steps).max() < MINIMUM_SAMPLES:
        raise ValueError(
            f"a lag of {wanted[np.abs(steps).argmax()]:g} {unit} leaves {max(0, signal.sizes[time] - np.abs(steps).max())} of "
            f"{signal.sizes[time]} samples, a correlation needs at least {MINIMUM_SAMPLES}: take shorter lags or a longer series."
        )
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _lagged_numpy,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[[schema.LAG, *schema.MATRIX_DIMS]],
        kwargs={"steps": steps, "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": {schema.LAG: steps.size, schema.REGION_OTHER: signal.sizes[schema.REGION]}},
        keep_attrs=True,
    )
    attrs = {schema.UNITS: unit, schema.LONG_NAME: "time by which region_other leads"}
    result = result.assign_coords({schema.LAG: (schema.LAG, steps * period, attrs)})
    return described_matrix(result, signal, "fc", "lagged functional connectivity")


def seed_map(signal: xr.DataArray, seed: Hashable | Sequence[Hashable], *, dim: str | None = None) -> xr.DataArray:
    """Correlation of every region with a seed: one region, or the mean of several.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, any unit; other dims are kept, whatever their place.
    seed : label, or sequence of labels
        Of ``region``; a number, counted from 0, where regions have no labels. The series of several regions are averaged.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``(..., region)``, unit "1", within [-1, 1], named ``seed_map``; lazy if ``signal`` is lazy. NaN for a region that is constant, or
        has a NaN or an infinite sample, and for all regions if the seed is so.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    KeyError
        If a label is not among the regions.
    ValueError
        If a dimension is missing, or there are fewer than 3 samples.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> x = xr.DataArray([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]], dims=("time", "region"), coords={"region": ["A", "B"]})
    >>> xm.seed_map(x, "A").values
    array([ 1., -1.])
    """
    if of_sensors(signal):
        return as_sensors(seed_map(as_regions(signal), seed, dim=dim))
    signal, time = checked_series(signal, dim=dim)
    if signal.sizes[time] < MINIMUM_SAMPLES:
        raise ValueError(f"signal has {signal.sizes[time]} samples along {time!r}, a correlation needs at least {MINIMUM_SAMPLES}.")
    labels = list(seed) if isinstance(seed, (list, tuple, np.ndarray)) else [seed]
    index = signal.indexes.get(schema.REGION)
    places = [_place(label, index, signal.sizes[schema.REGION]) for label in labels]
    missing = [label for label, place in zip(labels, places) if place is None]
    if missing or not places:
        known = list(range(signal.sizes[schema.REGION])) if index is None else index.tolist()
        raise KeyError(
            f"seed {missing or labels} is not among the regions, which are {known[:5]} and so on ({len(known)}): "
            "name one of them, or a list of several, seed_map(signal, ['...', '...'])."
        )
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _seed_numpy,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[[schema.REGION]],
        kwargs={"places": places, "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        keep_attrs=True,
    )
    result.attrs = {schema.UNITS: "1", schema.LONG_NAME: f"correlation with {', '.join(map(str, labels[:3]))}{' …' * (len(labels) > 3)}"}
    if "preprocess" in signal.attrs:
        result.attrs["preprocess"] = signal.attrs["preprocess"]
    return result.rename("seed_map")


def _place(label: Hashable, index: Any, regions: int) -> int | None:
    if index is None:
        return int(label) if isinstance(label, (int, np.integer)) and 0 <= label < regions else None
    found = np.flatnonzero(index == label)
    return int(found[0]) if found.size == 1 else None


def _partial_numpy(series: np.ndarray, *, shrinkage: Shrinkage, dtype: np.dtype) -> np.ndarray:
    regions = series.shape[-1]
    result = np.full((*series.shape[:-2], regions, regions), np.nan, dtype)
    for place in np.ndindex(series.shape[:-2]):
        one = np.ascontiguousarray(series[place], dtype=np.float64)
        correlation = correlation_matrix(one)
        alive = np.flatnonzero(~np.isnan(np.diagonal(correlation)))
        correlation = shrunk(correlation, intensity(one, correlation, shrinkage))[np.ix_(alive, alive)]
        values, vectors = np.linalg.eigh(correlation)
        if not values.size or values[0] <= values[-1] * values.size * np.finfo(np.float64).eps:  # the rank that numpy would count
            continue
        precision = (vectors / values) @ vectors.T
        scale = np.sqrt(np.diagonal(precision))
        partial = np.clip(-0.5 * (precision + precision.T) / np.outer(scale, scale), -1.0, 1.0)
        np.fill_diagonal(partial, 1.0)
        result[(*place, *np.ix_(alive, alive))] = partial
    return result


def lagged_matrices(series: Any, steps: Sequence[int]) -> Any:
    """The array core of :func:`lagged_fc`: ``(..., time, region)`` to ``(..., lag, region, region)``, lags in samples.

    numpy or jax, differentiable, in the precision of ``series``.
    """
    xp = array_namespace(series)
    samples, regions = series.shape[-2:]
    found = []
    for step in steps:
        if step == 0:
            found.append(correlation_matrix(series))
            continue
        early, late = series[..., : samples - abs(step), :], series[..., abs(step) :, :]
        now, past = (late, early) if step > 0 else (early, late)
        # the block of both: a correlation of its own overlap, so within [-1, 1]
        found.append(correlation_matrix(xp.concatenate([now, past], axis=-1))[..., :regions, regions:])
    return xp.stack(found, axis=-3)


def _lagged_numpy(series: np.ndarray, *, steps: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if array_namespace(series) is not np:
        return lagged_matrices(series, steps.tolist())
    regions = series.shape[-1]
    result = np.empty((*series.shape[:-2], steps.size, regions, regions), dtype)
    for place in np.ndindex(series.shape[:-2]):
        result[place] = lagged_matrices(np.ascontiguousarray(series[place], dtype=np.float64), steps.tolist())
    return result


def _seed_numpy(series: np.ndarray, *, places: list[int], dtype: np.dtype) -> np.ndarray:
    regions = np.moveaxis(series.astype(np.float64), -2, -1)
    # a series with a sample that is no number is made constant, which has no correlation
    finite = np.asarray(np.isfinite(regions).all(axis=-1, keepdims=True))
    filled = np.where(finite, regions, 0.0)
    whole = np.all(finite[..., places, :], axis=-2)
    seed = np.where(whole, filled[..., places, :].mean(axis=-2), 0.0)
    return np.asarray(pearson(filled, seed[..., None, :]), dtype)
