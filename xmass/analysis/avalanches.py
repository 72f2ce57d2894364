"""Avalanches: cascades of events that follow each other without a pause."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.analysis.clock import duration_in_seconds, period_in_seconds, time_unit
from xmass.analysis.connectivity import MINIMUM_SAMPLES, checked_series, one_chunk
from xmass.analysis.preprocess import PREPROCESS
from xmass.analysis.sensors import as_regions, as_sensors, of_sensors
from xmass.labelled import schema, units

AVALANCHE = "avalanche"


def avalanches(
    signal: xr.DataArray,
    *,
    threshold: float = 3.0,
    bin_width: Any = None,
    sign: Literal["both", "positive", "negative"] = "both",
    dim: str | None = None,
) -> xr.Dataset:
    """Sizes and durations of avalanches.

    Each region is standardised over time. An event is an excursion beyond the threshold, at the time of its extreme. Time is cut into bins,
    and an avalanche is a run of bins with events between two bins without.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, any unit; other dims (subject, k) are kept, whatever their place.
    threshold : float
        In standard deviations of each region.
    bin_width : time, optional
        Width of a bin, one sample by default; a bare number is in the unit of the time coordinate. Rounded to whole samples; a last bin
        that is not complete is left out.
    sign : "both", "positive" or "negative"
        Which excursions are events.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    Dataset
        ``size`` (number of events, over all regions), ``duration`` (bins times their width) and ``start`` (begin of the first bin), both in
        the unit of the time coordinate, ``(..., avalanche)`` in the order of time, and ``number``, of avalanches, without ``avalanche``.
        Runs have different numbers of them, so the rest is NaN: ``found["size"].dropna("avalanche")`` for one run. Avalanches that
        touch the first or the last bin are cut off and left out. Lazy if ``signal`` is lazy. A constant region has no events. All is
        NaN where a region has a NaN or an infinite sample: drop it before, nothing is left out in silence.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, the time coordinate has no unit or is not evenly spaced, the threshold is not positive, or there are
        fewer than 3 bins.

    Notes
    -----
    Beggs and Plenz 2003, doi:10.1523/JNEUROSCI.23-35-11167.2003; excursions of continuous signals as in Shriki et al. 2013,
    doi:10.1523/JNEUROSCI.4286-12.2013. Sizes and exponents depend on threshold and bin: show several.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> values = np.zeros((100, 2))
    >>> values[10, 0] = values[11, 1] = values[40, 0] = 9.0
    >>> time = ("time", np.arange(100.0), {"units": "ms", "axis": "T"})
    >>> found = xm.avalanches(xr.DataArray(values, dims=("time", "region"), coords={"time": time}))
    >>> found["size"].dropna("avalanche").values.tolist(), found.duration.dropna("avalanche").values.tolist(), int(found.number)
    ([2.0, 1.0], [2.0, 1.0], 2)
    """
    if of_sensors(signal):
        return as_sensors(avalanches(as_regions(signal), threshold=threshold, bin_width=bin_width, sign=sign, dim=dim))
    signal, time = checked_series(signal, dim=dim)
    if sign not in ("both", "positive", "negative"):
        raise ValueError(f"sign={sign!r}, needs 'both', 'positive' or 'negative'.")
    if not 0 < float(threshold) < math.inf:
        raise ValueError(f"threshold={threshold!r}, needs a positive number of standard deviations, such as threshold=3.0.")
    if AVALANCHE in signal.dims or AVALANCHE in signal.coords:
        raise ValueError(f"signal has {AVALANCHE!r} already, which the result needs: rename it with signal.rename(avalanche='...').")
    unit, period = time_unit(signal, time), period_in_seconds(signal, time)
    wide = period if bin_width is None else duration_in_seconds(bin_width, signal, time, "bin_width")
    width = round(wide / period)
    bins = signal.sizes[time] // width if width > 0 else 0
    if width < 1 or bins < MINIMUM_SAMPLES:
        raise ValueError(
            f"bins of {wide:g} s at a period of {period:g} s: {bins} of {max(width, 0)} samples, needs {MINIMUM_SAMPLES} bins or more of "
            f"at least one sample. Give another width, such as bin_width={period:g} * u.second, or take a longer series."
        )
    most = (bins - 1) // 2  # one bin with events, one without, and none at the ends
    parts = xr.apply_ufunc(
        _avalanches,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[[AVALANCHE], [AVALANCHE], [AVALANCHE], []],
        kwargs={"threshold": float(threshold), "width": width, "sign": sign, "most": most},
        dask="parallelized",
        output_dtypes=[np.float64] * 4,
        dask_gufunc_kwargs={"output_sizes": {AVALANCHE: most}},
        keep_attrs=True,
    )
    first = float(signal[time].values[0])
    step = period * units.factor("s", unit) * width
    size, duration, start, number = (part.drop_attrs(deep=False) for part in parts)
    # a stamp is the end of its sample, so the first bin begins one sample before the first stamp
    begin = first - period * units.factor("s", unit)
    found = xr.Dataset({"size": size, "duration": duration * step, "start": begin + start * step, "number": number})
    meanings = {"size": "number of events", "duration": "duration", "start": "begin", "number": "number of avalanches"}
    for name, meaning in meanings.items():
        found[name].attrs = {schema.UNITS: unit if name in ("duration", "start") else "1", schema.LONG_NAME: meaning}
    found.attrs = {"threshold": float(threshold), "bin_width": round(width * period, 9), "sign": sign}
    if PREPROCESS in signal.attrs:
        found.attrs[PREPROCESS] = signal.attrs[PREPROCESS]
    return found


def _avalanches(
    series: np.ndarray, *, threshold: float, width: int, sign: str, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    lead = series.shape[:-2]
    size, duration, start = (np.full((*lead, most), np.nan) for _ in range(3))
    number = np.full(lead, np.nan)
    bins = series.shape[-2] // width
    for place in np.ndindex(lead):
        one = series[place].astype(np.float64)
        if not np.isfinite(one).all():
            continue
        counts = _events(one, threshold, sign)[: bins * width].reshape(bins, width).sum(axis=1)
        active = np.concatenate([[0], counts > 0, [0]]).astype(int)
        begins, ends = np.flatnonzero(np.diff(active) == 1), np.flatnonzero(np.diff(active) == -1)
        whole = (begins > 0) & (ends < bins)
        begins, ends = begins[whole], ends[whole]
        total = np.concatenate([[0], np.cumsum(counts)])
        number[place] = begins.size
        size[place][: begins.size] = total[ends] - total[begins]
        duration[place][: begins.size] = ends - begins
        start[place][: begins.size] = begins
    return size, duration, start, number[()]


def _events(series: np.ndarray, threshold: float, sign: str) -> np.ndarray:
    """How many regions have an event at each sample."""
    from scipy import ndimage

    samples, regions = series.shape
    varies = series.max(axis=0) > series.min(axis=0)
    spread = series.std(axis=0)
    scores = np.where(varies, (series - series.mean(axis=0)) / np.where(varies & (spread > 0), spread, 1.0), 0.0)
    counts = np.zeros(samples, dtype=int)
    for direction in (1, -1):
        if sign == {1: "negative", -1: "positive"}[direction]:
            continue
        # one row for each region, with a pause at its end, so that an excursion does not go on in the next region
        row = np.zeros((regions, samples + 1))
        row[:, :samples] = direction * scores.T
        labels, number = ndimage.label(row.ravel() > threshold)
        if number:
            at = np.asarray(ndimage.maximum_position(row.ravel(), labels, np.arange(1, number + 1))).ravel()
            np.add.at(counts, at % (samples + 1), 1)
    return counts
