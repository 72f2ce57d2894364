"""Functional connectivity dynamics: how alike the FC of one window of time is to that of another."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.analysis.clock import duration_in_seconds, period_in_seconds, time_unit
from xmass.analysis.connectivity import MINIMUM_SAMPLES, checked_series, correlation_matrix, float_type, one_chunk
from xmass.analysis.sensors import as_regions, as_sensors, of_sensors
from xmass.labelled import schema, units

WINDOW, WINDOW_OTHER, PAIR = "window", "window_other", "pair"
WINDOW_DIMS = (WINDOW, WINDOW_OTHER)
WINDOW_SECONDS, STEP_SECONDS = 60.0, 3.0
MINIMUM_REGIONS = 3


class Windows(NamedTuple):
    """Windows of a series in samples: length, step from one start to the next, and how many fit."""

    length: int
    step: int
    number: int


def fcd(signal: xr.DataArray, *, window: Any = None, step: Any = None, dim: str | None = None) -> xr.DataArray:
    """Functional connectivity dynamics: the correlation of the FC of every window with that of every other window.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, any unit; other dims (subject, k) are kept, whatever their place.
    window : time, optional
        Length of a window, 60 s by default. A bare number is in the unit of the time coordinate.
    step : time, optional
        From the start of one window to that of the next, 3 s by default.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``(..., window, window_other)``, unit "1", named ``fcd``; lazy if ``signal`` is lazy. ``window`` is the time of the middle of each
        window, in the unit of the time coordinate. Symmetric, within [-1, 1], exactly 1 on the diagonal.
        ``attrs["window"]`` and ``attrs["step"]`` are what was used, in seconds: both are rounded to whole samples.
        A window in which a region is constant, or has a NaN or an infinite sample, has no FC: its row and column are NaN. Nothing is left
        out in silence: drop such a region before, ``signal.sel(region=...)``.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, the time coordinate has no unit or is not evenly spaced, a window has fewer than 3 samples, a step less
        than half a sample, fewer than two windows fit, or there are fewer than 3 regions.

    Notes
    -----
    Windows start at the first sample and then every step, up to the last that is complete. An FC enters by its strict upper triangle.
    As in Hansen, Battaglia, Spiegler, Deco and Jirsa 2015, doi:10.1016/j.neuroimage.2014.11.001. Windows shorter than the slowest
    fluctuation of the signal find dynamics that are not there (Leonardi and Van De Ville 2015, doi:10.1016/j.neuroimage.2014.09.007):
    a window is at least one over the lowest frequency of the pass band.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> time = ("time", np.arange(300) * 0.72, {"units": "s", "axis": "T"})
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(300, 5)), dims=("time", "region"), coords={"time": time})
    >>> matrix = xm.fcd(x, window=60, step=20)
    >>> matrix.dims, matrix.sizes["window"], round(matrix.attrs["window"], 6), matrix.window.values[:2].round(2).tolist()
    (('window', 'window_other'), 8, 59.76, [29.52, 49.68])
    """
    if of_sensors(signal):
        return as_sensors(fcd(as_regions(signal), window=window, step=step, dim=dim))
    signal, time = checked_series(signal, dim=dim)
    windows = windows_in_samples(signal, time, window, step)
    if signal.sizes[schema.REGION] < MINIMUM_REGIONS:
        raise ValueError(
            f"signal has {signal.sizes[schema.REGION]} regions, and the FC of two windows is correlated over pairs of regions: "
            f"needs {MINIMUM_REGIONS} or more."
        )
    for name in WINDOW_DIMS:
        if name in signal.dims or name in signal.coords:
            raise ValueError(f"signal has {name!r} already, which FCD makes: rename it with signal.rename({name}='...').")
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _fcd_numpy,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[list(WINDOW_DIMS)],
        kwargs={"windows": windows, "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": dict.fromkeys(WINDOW_DIMS, windows.number)},
        keep_attrs=True,
    )
    stamps = np.asarray(signal[time].values, np.float64)
    starts = np.arange(windows.number) * windows.step
    middle = 0.5 * (stamps[starts] + stamps[starts + windows.length - 1])
    attrs = {schema.UNITS: time_unit(signal, time), schema.LONG_NAME: "middle of the window"}
    result = result.assign_coords({name: (name, middle, dict(attrs)) for name in WINDOW_DIMS})
    period = period_in_seconds(signal, time)
    result.attrs = {
        schema.UNITS: "1",
        schema.LONG_NAME: "functional connectivity dynamics",
        "window": round(windows.length * period, 9),
        "step": round(windows.step * period, 9),
    }
    if "preprocess" in signal.attrs:
        result.attrs["preprocess"] = signal.attrs["preprocess"]
    return result.rename("fcd")


def fcd_distribution(matrix: xr.DataArray, *, overlap: bool = True) -> xr.DataArray:
    """The entries of an FCD matrix above its diagonal: the distribution that is compared with that of a recording.

    Parameters
    ----------
    matrix : DataArray
        ``(..., window, window_other)``, as :func:`xmass.fcd` returns it.
    overlap : bool
        Whether pairs of windows that share samples count, as is usual. They are alike because they share data, whatever the dynamics.

    Returns
    -------
    DataArray
        ``(..., pair)``, unit "1"; lazy if ``matrix`` is lazy. Coordinates ``window`` and ``window_other`` along ``pair`` say which.

    Raises
    ------
    ValueError
        If ``matrix`` is no FCD matrix, or no pair is left.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> time = ("time", np.arange(300.0), {"units": "s", "axis": "T"})
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(300, 5)), dims=("time", "region"), coords={"time": time})
    >>> matrix = xm.fcd(x, window=60, step=30)
    >>> matrix.sizes["window"], xm.fcd_distribution(matrix).size, xm.fcd_distribution(matrix, overlap=False).size
    (9, 36, 28)
    """
    matrix = checked_fcd(matrix)
    apart = 1
    if not overlap:
        missing = [name for name in ("window", "step") if name not in matrix.attrs]
        if missing:
            raise ValueError(
                f"the FCD matrix has no attrs[{missing[0]!r}], so which windows overlap is not known. "
                "Set attrs['window'] and attrs['step'] in seconds, as xm.fcd does."
            )
        # windows that only touch share no sample
        apart = max(1, int(np.ceil(matrix.attrs["window"] / matrix.attrs["step"] - 1e-6)))
    rows, columns = np.triu_indices(matrix.sizes[WINDOW], apart)
    if not rows.size:
        raise ValueError(f"{matrix.sizes[WINDOW]} windows have no pair that does not overlap: take a longer series, or pass overlap=True.")
    picked = matrix.isel({WINDOW: xr.DataArray(rows, dims=PAIR), WINDOW_OTHER: xr.DataArray(columns, dims=PAIR)})
    return picked.transpose(..., PAIR).rename(matrix.name)


def checked_fcd(matrix: xr.DataArray) -> xr.DataArray:
    """An FCD matrix without pint; errors say what is missing."""
    if not isinstance(matrix, xr.DataArray):
        raise TypeError(f"the FCD is a {type(matrix).__name__}, needs an xarray.DataArray: xm.fcd(ds['bold']).")
    matrix = units.dequantify(matrix)
    if any(d not in matrix.dims for d in WINDOW_DIMS) or matrix.sizes[WINDOW] != matrix.sizes[WINDOW_OTHER]:
        raise ValueError(f"the FCD has dims {dict(matrix.sizes)}, needs a square ('window', 'window_other'): xm.fcd(signal) makes it.")
    return matrix


def windows_in_samples(signal: xr.DataArray, time: Hashable, window: Any = None, step: Any = None) -> Windows:
    """Window and step in whole samples, checked against the length of the series."""
    period = period_in_seconds(signal, time)
    long = WINDOW_SECONDS if window is None else duration_in_seconds(window, signal, time, "window")
    far = STEP_SECONDS if step is None else duration_in_seconds(step, signal, time, "step")
    length, stride = round(long / period), round(far / period)
    unit = time_unit(signal, time)
    if length < MINIMUM_SAMPLES:
        raise ValueError(
            f"a window of {long:g} s has {max(length, 0)} samples at a period of {period:g} s, a correlation needs at least "
            f"{MINIMUM_SAMPLES}. Give a longer one, such as window=60 * u.second (a bare number is in {unit!r})."
        )
    if stride < 1:
        raise ValueError(
            f"a step of {far:g} s is less than half the period of {period:g} s: give at least one sample, such as "
            f"step={period:g} * u.second (a bare number is in {unit!r})."
        )
    samples = signal.sizes[time]
    count = (samples - length) // stride + 1 if samples >= length else 0
    if count < 2:
        raise ValueError(
            f"signal lasts {samples * period:g} s, in which {count} windows of {length * period:g} s every {stride * period:g} s fit, "
            f"and FCD compares two or more: needs {(length + stride) * period:g} s. Run longer, or give a shorter window=."
        )
    return Windows(length, stride, count)


def fcd_matrix(series: Any, windows: Windows) -> Any:
    """The array core of :func:`fcd`: ``(..., time, region)`` to ``(..., window, window)``; numpy or jax, differentiable."""
    rows, columns = np.triu_indices(series.shape[-1], 1)
    starts = np.arange(windows.number) * windows.step
    if array_namespace(series) is np:
        # one window after the other: all of them at once are window / step times the series
        fc = (correlation_matrix(series[..., s : s + windows.length, :]) for s in starts)
        edges = np.stack([matrix[..., rows, columns] for matrix in fc], axis=-1)
    else:
        every = series[..., starts[:, None] + np.arange(windows.length), :]
        edges = correlation_matrix(every)[..., rows, columns].swapaxes(-1, -2)
    return correlation_matrix(edges)


def _fcd_numpy(series: np.ndarray, *, windows: Windows, dtype: np.dtype) -> np.ndarray:
    if array_namespace(series) is not np:
        return fcd_matrix(series, windows)
    result = np.empty((*series.shape[:-2], windows.number, windows.number), dtype)
    for place in np.ndindex(series.shape[:-2]):
        result[place] = fcd_matrix(np.ascontiguousarray(series[place], dtype=np.float64), windows)
    return result
