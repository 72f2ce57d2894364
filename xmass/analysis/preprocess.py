"""Preprocessing of a series, recorded in its attributes so that two sides can be checked for having had the same."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.analysis.clock import duration_in_seconds, period_in_seconds
from xmass.analysis.connectivity import checked_series, one_chunk
from xmass.analysis.sensors import as_regions, as_sensors, of_sensors
from xmass.labelled import schema, units

PREPROCESS = "preprocess"
FILTER_ORDER = 2


def preprocess(
    signal: xr.DataArray,
    *,
    detrend: Literal["linear"] | None = "linear",
    band: tuple[Any, Any] | None = None,
    global_signal: bool = False,
    discard: Any = None,
) -> xr.DataArray:
    """Discard the start, detrend, band-pass and regress out the global signal, in this order.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``; other dims (subject, k) are kept, and the order of dims is. Lazy stays lazy.
    detrend : "linear" or None
        Subtract each region's straight line, its mean included.
    band : (low, high), optional
        Pass band in Hz, or as quantities: Butterworth of order 2, forwards and backwards, so without a phase shift.
    global_signal : bool
        Subtract from each region its regression on the mean over regions. It makes FC negative for half of the pairs and
        changes a fit more than the model does: never a default.
    discard : time, optional
        Length of the start that is left out, rounded up to whole samples; a bare number is in the unit of the time coordinate.

    Returns
    -------
    DataArray
        Same dims, coords, unit and name, without the discarded samples; time stamps are unchanged. float32 stays float32.
        ``attrs["preprocess"]`` is a JSON list of the steps taken, added to those it had:
        ``[{"discard": [7.2, "s"]}, {"detrend": "linear"}, {"band": [0.01, 0.1]}, {"global_signal": true}]``. A region that has a
        NaN or an infinite sample is NaN throughout, and is left out of the global signal.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, an option is none of the above, the band is empty or beyond half the sampling rate, the
        time coordinate has no unit or is not evenly spaced, or too few samples are left.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from xmass.analysis import preprocess
    >>> time = ("time", np.arange(100) * 0.72, {"units": "s", "axis": "T"})
    >>> bold = xr.DataArray(np.arange(200.0).reshape(100, 2), dims=("time", "region"), coords={"time": time})
    >>> clean = preprocess(bold, discard=7.2)
    >>> clean.sizes["time"], bool(abs(clean).max() < 1e-10), clean.attrs["preprocess"]
    (90, True, '[{"discard": [7.2, "s"]}, {"detrend": "linear"}]')
    """
    if of_sensors(signal):
        return as_sensors(preprocess(as_regions(signal), detrend=detrend, band=band, global_signal=global_signal, discard=discard))
    from scipy import signal as scipy_signal

    signal, time = checked_series(signal)
    if detrend not in ("linear", None):
        raise ValueError(f"detrend={detrend!r}, needs 'linear' or None.")
    steps: list[dict[str, Any]] = []
    if discard is not None:
        seconds = duration_in_seconds(discard, signal, time, "discard")
        if seconds < 0:
            raise ValueError(f"discard={discard!r} is negative, needs the length of the start to leave out, such as discard=10 * u.second.")
        # 7.2 s at 0.72 s is 10 samples, not 11: allow for the rounding of both numbers
        signal = signal.isel({time: slice(math.ceil(seconds / period_in_seconds(signal, time) - 1e-6), None)})
        steps.append({"discard": [round(seconds, 9), "s"]})
    sections, shortest = None, 3
    if detrend is not None:
        steps.append({"detrend": detrend})
    if band is not None:
        limits = band_in_hz(band, period_in_seconds(signal, time))
        sections = scipy_signal.butter(FILTER_ORDER, limits, btype="bandpass", fs=1 / period_in_seconds(signal, time), output="sos")
        shortest = 3 * (2 * len(sections) + 1) + 1  # sosfiltfilt pads by three filter lengths at each end
        steps.append({"band": list(limits)})
    if global_signal:
        steps.append({"global_signal": True})
    if signal.sizes[time] < shortest:
        raise ValueError(
            f"{signal.sizes[time]} samples are left along {time!r}, "
            f"preprocess(discard={discard!r}, band={band!r}) needs at least {shortest}: discard less, or take a longer series."
        )
    dtype = np.result_type(signal.dtype, np.float32) if signal.dtype.kind == "f" else np.dtype(np.float64)
    clean = xr.apply_ufunc(
        _clean,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[[time, schema.REGION]],
        kwargs={"detrend": detrend is not None, "sections": sections, "global_signal": global_signal},
        dask="parallelized",
        output_dtypes=[dtype],
        keep_attrs=True,
    ).transpose(*signal.dims)
    clean.attrs = {**signal.attrs, PREPROCESS: json.dumps(recorded_steps(signal) + steps)}
    return clean


def recorded_steps(data: xr.DataArray) -> list[dict[str, Any]]:
    """The steps that ``attrs["preprocess"]`` tells of, in order; none if there is no such attribute.

    Raises
    ------
    ValueError
        If the attribute is not the JSON list that :func:`preprocess` writes.
    """
    text = data.attrs.get(PREPROCESS, "[]")
    try:
        steps = json.loads(text)
    except (TypeError, ValueError):
        steps = None
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise ValueError(
            f"attrs['preprocess'] of {data.name!r} is {text!r}, needs a JSON list of steps such as '[{{\"detrend\": \"linear\"}}]': "
            "use xm.preprocess, or correct the attribute."
        )
    return steps


def same_preprocessing(simulated: xr.DataArray, recorded: xr.DataArray, *, what: str) -> None:
    """Nothing, if both sides had the same steps; how much was discarded, and detrending again, make no difference.

    Raises
    ------
    ValueError
        If they had not; both lists are named.
    """
    ours, theirs = _effective(recorded_steps(simulated)), _effective(recorded_steps(recorded))
    if ours != theirs:
        raise ValueError(
            f"{what}: the sides are preprocessed differently, simulated {_told(ours)} and recorded {_told(theirs)}, and FC depends on it. "
            "Apply xm.preprocess with the same options to both series, or make the simulated FC with "
            "FunctionalConnectivity(of=..., detrend=...)."
        )


def _effective(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for step in steps:
        if "discard" not in step and not (kept and step == kept[-1] == {"detrend": "linear"}):
            kept.append(step)
    return kept


def _told(steps: list[dict[str, Any]]) -> str:
    return json.dumps(steps) if steps else "not at all"


def band_in_hz(band: Any, period: float) -> tuple[float, float]:
    """A pass band in Hz, checked against the sampling period in seconds."""
    try:
        edges = tuple(band)
    except TypeError:  # one number
        edges = (band,)
    if len(edges) != 2:
        raise ValueError(f"band={band!r}, needs two frequencies: band=(0.01, 0.1) in Hz.")
    low, high = (units.in_unit(edge, "Hz", "band") for edge in edges)
    half = 0.5 / period
    if not 0 < low < high < half:
        raise ValueError(
            f"band=({low:g}, {high:g}) Hz, needs 0 < low < high < {half:g} Hz, half the sampling rate, such as band=(0.01, 0.1)."
        )
    return low, high


def _clean(series: np.ndarray, *, detrend: bool, sections: np.ndarray | None, global_signal: bool) -> np.ndarray:
    from scipy import signal as scipy_signal

    dtype = np.result_type(series.dtype, np.float32) if series.dtype.kind == "f" else np.dtype(np.float64)
    finite = np.isfinite(series).all(axis=-2, keepdims=True)
    clean = np.where(finite, series, 0.0).astype(np.float64)
    if detrend:
        clean = scipy_signal.detrend(clean, axis=-2, type="linear")
    if sections is not None:
        clean = scipy_signal.sosfiltfilt(sections, clean, axis=-2)
    if global_signal:
        count = np.maximum(finite.sum(axis=-1, keepdims=True), 1)
        common = clean.sum(axis=-1, keepdims=True) / count  # regions that are not finite are 0 here
        common = common - common.mean(axis=-2, keepdims=True)
        power = (common**2).sum(axis=-2, keepdims=True)
        slope = (common * clean).sum(axis=-2, keepdims=True) / np.where(power > 0, power, 1.0)
        clean = clean - slope * common
    return np.where(finite, clean, np.nan).astype(dtype)
