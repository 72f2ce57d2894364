"""Power spectra, their peaks, and pass bands."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.analysis.clock import duration_in_seconds, period_in_seconds
from xmass.analysis.connectivity import checked_series, float_type, one_chunk
from xmass.analysis.preprocess import FILTER_ORDER, PREPROCESS, recorded_steps
from xmass.labelled import schema, units

FREQUENCY = "frequency"
SEGMENTS = 8
MINIMUM_SEGMENT = 8
TIME_BANDWIDTH = 4.0


def power_spectrum(
    signal: xr.DataArray,
    *,
    method: Literal["welch", "multitaper"] = "welch",
    segment: Any = None,
    overlap: float = 0.5,
    bandwidth: Any = None,
    dim: str | None = None,
) -> xr.DataArray:
    """One-sided power spectral density.

    Parameters
    ----------
    signal : DataArray
        ``(..., time)`` and any other dims (region, sensor, subject, k), which are kept.
    method : "welch" or "multitaper"
        Mean over overlapping Hann segments, or over orthogonal tapers of the whole series.
    segment : time, optional
        Of Welch: the length of a segment, one eighth of the series by default; a bare number is in the unit of the time coordinate. The
        resolution is one over it. Rounded to whole samples.
    overlap : float
        Of Welch: the fraction by which segments overlap.
    bandwidth : frequency, optional
        Of the multitaper method: the half bandwidth W in Hz, 4 over the length T of the series by default; 2 T W - 1 tapers.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``frequency`` in the place of time, in Hz from 0 to half the sampling rate; unit of the signal squared over Hz, named
        ``power_spectrum``; lazy if ``signal`` is lazy. Its sum times the spacing of ``frequency`` is the variance (with Welch: on average
        over segments). 0 for a constant series, NaN throughout for one with a NaN or an infinite sample.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If there is no time dimension, its coordinate has no unit or is not evenly spaced, ``method`` is none of the above, an option
        belongs to the other method, a segment has fewer than 8 samples or is longer than the series, or the bandwidth gives no taper.

    Notes
    -----
    ``scipy.signal.welch`` (Welch 1967, doi:10.1109/TAU.1967.1161901), segments without their mean; tapers of Slepian from
    ``scipy.signal.windows.dpss``, weighted by their concentration (Thomson 1982, doi:10.1109/PROC.1982.12433).

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> t = np.arange(4000) * 1.0
    >>> x = xr.DataArray(np.sin(2 * np.pi * 0.01 * t), dims="time", coords={"time": ("time", t, {"units": "ms"})}, attrs={"units": "mV"})
    >>> spectrum = xm.power_spectrum(x, segment=1000)
    >>> float(spectrum.idxmax("frequency")), spectrum.attrs["units"], round(float(spectrum.sum() * spectrum.frequency[1]), 9)
    (10.0, 'mV^2/Hz', 0.5)
    """
    signal, time = checked_series(signal, dim=dim, region=False)
    if method not in ("welch", "multitaper"):
        raise ValueError(f"method={method!r}, needs 'welch' or 'multitaper'.")
    if FREQUENCY in signal.dims or FREQUENCY in signal.coords:
        raise ValueError(f"signal has {FREQUENCY!r} already, which the spectrum makes: rename it with signal.rename(frequency='...').")
    period, samples = period_in_seconds(signal, time), signal.sizes[time]
    if method == "welch":
        if bandwidth is not None:
            raise ValueError(f"bandwidth={bandwidth!r} is of method='multitaper'; the resolution of 'welch' is one over segment=.")
        length, shared = welch_segments(signal, time, period, segment, overlap)
        options: dict[str, Any] = {"tapers": None, "length": length, "shared": shared}
        described = f"Welch, segments of {length * period:g} s"
    else:
        if segment is not None:
            raise ValueError(f"segment={segment!r} is of method='welch'; the resolution of 'multitaper' is bandwidth=.")
        tapers, half = _tapers(samples, period, bandwidth)
        options = {"tapers": tapers, "length": samples, "shared": 0}
        described = f"multitaper, half bandwidth {half:g} Hz"
    frequency = np.fft.rfftfreq(options["length"], period)
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _power,
        one_chunk(signal, time),
        input_core_dims=[[time]],
        output_core_dims=[[FREQUENCY]],
        kwargs={**options, "period": period, "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": {FREQUENCY: frequency.size}},
        keep_attrs=True,
    ).transpose(*(FREQUENCY if d == time else d for d in signal.dims))
    result = result.assign_coords({FREQUENCY: (FREQUENCY, frequency, {schema.UNITS: "Hz", schema.LONG_NAME: "frequency"})})
    result.attrs = {schema.LONG_NAME: f"power spectral density ({described})"} | _density_unit(signal)
    if PREPROCESS in signal.attrs:
        result.attrs[PREPROCESS] = signal.attrs[PREPROCESS]
    return result.rename("power_spectrum")


def peak_frequency(spectrum: xr.DataArray, *, band: tuple[Any, Any] | None = None) -> xr.DataArray:
    """The frequency of the highest peak of a power spectrum, between its bins.

    Parameters
    ----------
    spectrum : DataArray
        With an evenly spaced ``frequency`` in Hz, as :func:`xmass.power_spectrum` returns it; other dims are kept.
    band : (low, high), optional
        Where to look, in Hz or as quantities; by default everywhere.

    Returns
    -------
    DataArray
        Without ``frequency``, in Hz, named ``peak_frequency``; lazy if ``spectrum`` is lazy. A peak is higher than both its neighbours: the
        end of a band on a slope is none. NaN where there is no peak, or a NaN.

    Raises
    ------
    TypeError
        If ``spectrum`` is no DataArray of real numbers.
    ValueError
        If there is no evenly spaced ``frequency``, or the band holds no bin that has two neighbours.

    Notes
    -----
    The vertex of the parabola through the logarithm of the highest bin and its neighbours, which is exact for a Gaussian peak.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> f = np.arange(0.0, 50.0)
    >>> spectrum = xr.DataArray(np.exp(-((f - 10.3) ** 2) / 8), dims="frequency", coords={"frequency": ("frequency", f, {"units": "Hz"})})
    >>> round(float(xm.peak_frequency(spectrum)), 9)
    10.3
    """
    if not isinstance(spectrum, xr.DataArray):
        raise TypeError(f"spectrum is a {type(spectrum).__name__}, needs an xarray.DataArray: xm.power_spectrum(signal).")
    spectrum = units.dequantify(spectrum)
    if spectrum.dtype.kind not in "fiu":
        raise TypeError(f"spectrum has dtype {spectrum.dtype}, needs real numbers: its power.")
    if FREQUENCY not in spectrum.dims or FREQUENCY not in spectrum.coords:
        raise ValueError(f"spectrum has dims {tuple(spectrum.dims)}, needs a coordinate 'frequency': xm.power_spectrum(signal).")
    frequency = np.asarray(units.to_declared(spectrum[FREQUENCY], "Hz", FREQUENCY).values)
    steps = np.diff(frequency)
    if frequency.size < 3 or not steps[0] > 0 or np.abs(steps - steps[0]).max() > 1e-6 * steps[0]:
        raise ValueError("spectrum needs three or more evenly spaced, rising frequencies: xm.power_spectrum(signal) has them.")
    low, high = (-math.inf, math.inf) if band is None else _edges(band)
    if low is None or high is None or not low < high:
        raise ValueError(f"band={band!r}, needs low < high in Hz, such as band=(8, 12).")
    # the edges count, whatever the last bit of n / T
    inside = (frequency >= low - 1e-9 * steps[0]) & (frequency <= high + 1e-9 * steps[0])
    inside[[0, -1]] = False
    if not inside.any():
        raise ValueError(
            f"band={band!r} holds no frequency with two neighbours; the spectrum has {frequency[0]:g} to {frequency[-1]:g} Hz in steps of "
            f"{steps[0]:g} Hz. Widen the band, or take a longer segment in power_spectrum."
        )
    peak = xr.apply_ufunc(
        _peak_between_bins,
        one_chunk(spectrum, FREQUENCY),
        input_core_dims=[[FREQUENCY]],
        kwargs={"frequency": frequency, "inside": inside},
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,
    )
    where = "" if band is None else f" in {low:g} to {high:g} Hz"
    peak.attrs = {schema.UNITS: "Hz", schema.LONG_NAME: f"frequency of the highest peak of power{where}"}
    return peak.rename("peak_frequency")


def band_pass(signal: xr.DataArray, band: tuple[Any, Any], *, order: int = FILTER_ORDER, dim: str | None = None) -> xr.DataArray:
    """Keep a band of frequencies, without a phase shift.

    Parameters
    ----------
    signal : DataArray
        ``(..., time)`` and any other dims (region, sensor, subject, k); the order of dims is kept.
    band : (low, high)
        In Hz or as quantities. ``(low, None)`` keeps what is faster than low, ``(None, high)`` what is slower than high.
    order : int
        Of the Butterworth filter. It runs forwards and backwards, so the attenuation is that of twice the order: 1/2 in amplitude at low
        and high.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        Same dims, coords, unit and name; lazy if ``signal`` is lazy, and float32 stays float32. ``attrs["preprocess"]`` tells of it, as of
        :func:`xmass.preprocess`. NaN throughout for a series with a NaN or an infinite sample.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers, or ``order`` no whole number.
    ValueError
        If there is no time dimension, its coordinate has no unit or is not evenly spaced, the band is empty or beyond half the rate,
        or the series is shorter than one period of the lowest frequency or than the filter needs.

    Notes
    -----
    ``scipy.signal.sosfiltfilt`` with its default odd extension at both ends. About one period of the lowest frequency at either end is
    shaped by that extension: leave it out where it matters.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> t = np.arange(5000) * 1.0
    >>> slow, fast = np.sin(2 * np.pi * 0.002 * t), np.sin(2 * np.pi * 0.05 * t)
    >>> x = xr.DataArray(slow + fast, dims="time", coords={"time": ("time", t, {"units": "ms"})})
    >>> found = xm.band_pass(x, (20, 100), order=4)
    >>> bool(abs(found - fast)[1000:-1000].max() < 2e-3)
    True
    """
    from scipy import signal as scipy_signal

    signal, time = checked_series(signal, dim=dim, region=False)
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)):
        raise TypeError(f"order={order!r}, needs a whole number such as order=2.")
    period, samples = period_in_seconds(signal, time), signal.sizes[time]
    low, high = _edges(band)
    half = 0.5 / period
    if (
        (low is None and high is None)
        or order < 1
        or not (low or 0.0) < (math.inf if high is None else high)
        or not all(0 < edge < half for edge in (low, high) if edge is not None)
    ):
        raise ValueError(
            f"band={band!r} in Hz and order={order}, needs order 1 or more and 0 < low < high < {half:g} Hz, half the sampling rate, "
            "such as band=(8, 12); None on one side leaves it open."
        )
    if low is not None and samples * period < 1 / low:
        raise ValueError(
            f"signal lasts {samples * period:g} s, less than one period of {low:g} Hz: needs {1 / low:g} s, or a band that starts higher."
        )
    kind, cut = ("bandpass", [low, high]) if None not in (low, high) else (("highpass", low) if high is None else ("lowpass", high))
    sections = scipy_signal.butter(order, cut, btype=kind, fs=1 / period, output="sos")
    shortest = 3 * (2 * len(sections) + 1) + 1  # sosfiltfilt pads by three filter lengths at each end
    if samples < shortest:
        raise ValueError(f"signal has {samples} samples along {time!r}, a filter of order {order} needs {shortest}: take a longer series.")
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _filtered,
        one_chunk(signal, time),
        input_core_dims=[[time]],
        output_core_dims=[[time]],
        kwargs={"sections": sections, "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        keep_attrs=True,
    ).transpose(*signal.dims)
    step: dict[str, Any] = {"band": [low, high]} | ({} if order == FILTER_ORDER else {"order": int(order)})
    result.attrs = {**signal.attrs, PREPROCESS: json.dumps([*recorded_steps(signal), step])}
    return result


def _edges(band: Any) -> tuple[float | None, float | None]:
    try:
        low, high = band
    except (TypeError, ValueError):
        raise ValueError(f"band={band!r}, needs two frequencies, such as band=(8, 12) in Hz.") from None
    return (None if low is None else units.in_unit(low, "Hz", "band")), (None if high is None else units.in_unit(high, "Hz", "band"))


def welch_segments(signal: xr.DataArray, time: Hashable, period: float, segment: Any, overlap: float = 0.5) -> tuple[int, int]:
    """Samples of a segment of Welch's method, and how many of them two neighbours share."""
    samples = signal.sizes[time]
    seconds = samples // SEGMENTS * period if segment is None else duration_in_seconds(segment, signal, time, "segment")
    length = round(seconds / period)
    if not MINIMUM_SEGMENT <= length <= samples:
        raise ValueError(
            f"a segment of {seconds:g} s has {max(0, length)} samples of the {samples} of the signal, needs {MINIMUM_SEGMENT} to {samples} "
            f"such as segment={samples * period:g} * u.second (a bare number is in the unit of the time coordinate), or a longer series."
        )
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap={overlap!r}, needs a fraction from 0 to below 1, such as 0.5.")
    return length, min(round(length * overlap), length - 1)


def _tapers(samples: int, period: float, bandwidth: Any) -> tuple[np.ndarray, float]:
    """Tapers of unit energy times the root of their weight, and the half bandwidth in Hz."""
    from scipy.signal import windows

    if samples < MINIMUM_SEGMENT:
        raise ValueError(f"signal has {samples} samples, a spectrum needs at least {MINIMUM_SEGMENT}: take a longer series.")
    length = samples * period
    half = TIME_BANDWIDTH / length if bandwidth is None else units.in_unit(bandwidth, "Hz", "bandwidth")
    count = math.floor(2 * half * length - 1 + 1e-9)
    if count < 1 or half >= 0.5 / period:
        raise ValueError(
            f"bandwidth={half:g} Hz, needs {1 / length:g} Hz (one over the length of the series) to {0.5 / period:g} Hz (half the sampling "
            f"rate), such as bandwidth={min(TIME_BANDWIDTH / length, 0.4 / period):g}."
        )
    tapers, concentration = windows.dpss(samples, half * length, Kmax=count, return_ratios=True)
    return tapers * np.sqrt(concentration / concentration.sum())[:, None], half


def _density_unit(signal: xr.DataArray) -> dict[str, str]:
    unit = signal.attrs.get(schema.UNITS)
    if unit is None:
        return {}
    if unit in ("1", ""):
        return {schema.UNITS: "1/Hz"}
    try:
        squared = f"{unit}^2/Hz" if str(unit).isidentifier() else units.to_pint(unit) ** 2 / units.to_pint("Hz")
        return {schema.UNITS: units.canonical(squared)}
    except (TypeError, ValueError):  # a text that is no unit
        return {schema.UNITS: f"({unit})^2/Hz"}


def welch(series: Any, *, length: int, shared: int, period: float) -> Any:
    """The array core of :func:`power_spectrum` by Welch: ``(..., time, region)`` to ``(..., frequency, region)``.

    numpy or jax, differentiable. 0 for a constant series, NaN for one that is not finite, as there.
    """
    xp = array_namespace(series)
    if xp is np:
        power = _power(np.swapaxes(series, -1, -2), tapers=None, length=length, shared=shared, period=period, dtype=np.dtype(series.dtype))
        return np.swapaxes(power, -1, -2)
    finite = xp.isfinite(series).all(axis=-2, keepdims=True)
    filled = xp.where(finite, series, 0.0)
    varies = xp.max(filled, axis=-2, keepdims=True) > xp.min(filled, axis=-2, keepdims=True)
    starts = np.arange(0, series.shape[-2] - length + 1, length - shared)
    segments = filled[..., starts[:, None] + np.arange(length), :]
    segments = segments - xp.mean(segments, axis=-2, keepdims=True)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    transformed = xp.fft.rfft(segments * xp.asarray(window[:, None], series.dtype), axis=-2)
    sides = np.full((length // 2 + 1, 1), 2.0)  # both signs, but for 0 and half the sampling rate
    sides[0] = 1.0
    sides[(length + 1) // 2 :] = 1.0
    scale = xp.asarray(sides * (period / np.sum(window**2)), series.dtype)
    power = xp.mean(transformed.real**2 + transformed.imag**2, axis=-3) * scale
    return xp.where(finite, xp.where(varies, power, 0.0), xp.nan)


def _power(series: np.ndarray, *, tapers: np.ndarray | None, length: int, shared: int, period: float, dtype: np.dtype) -> np.ndarray:
    from scipy import signal as scipy_signal

    xp = array_namespace(series)
    if xp is not np:
        if tapers is not None:
            raise TypeError("the multitaper spectrum is made by NumPy and SciPy, not of arrays of JAX: take method='welch'.")
        return xp.swapaxes(welch(xp.swapaxes(series[..., None, :], -1, -2), length=length, shared=shared, period=period), -1, -2)[..., 0, :]
    result = np.empty((*series.shape[:-1], length // 2 + 1), dtype)
    # one series after the other: segments or tapers of all of them are many times their size
    for place in np.ndindex(series.shape[:-1]):
        one = np.asarray(series[place], np.float64)
        if not np.isfinite(one).all():
            result[place] = np.nan
        elif one.max() == one.min():
            result[place] = 0.0
        elif tapers is None:
            result[place] = scipy_signal.welch(
                one, fs=1 / period, window="hann", nperseg=length, noverlap=shared, detrend="constant", scaling="density"
            )[1]
        else:
            power = (np.abs(np.fft.rfft((one - one.mean()) * tapers, axis=-1)) ** 2).sum(axis=0) * period
            power[1 : (length + 1) // 2] *= 2  # both signs, but for 0 and half the sampling rate
            result[place] = power
    return result


def _peak_between_bins(power: np.ndarray, *, frequency: np.ndarray, inside: np.ndarray) -> np.ndarray:
    power = power.astype(np.float64)
    left, right = np.roll(power, 1, axis=-1), np.roll(power, -1, axis=-1)
    is_peak = inside & (power > left) & (power >= right) & ~np.isnan(power).any(axis=-1, keepdims=True)
    best = np.where(is_peak, power, -np.inf).argmax(axis=-1)[..., None]
    a, b, c = (np.take_along_axis(side, best, axis=-1)[..., 0] for side in (left, power, right))
    between = (a > 0) & (c > 0)  # beside a power of 0 there is no logarithm: the bin itself
    la, lb, lc = (np.log(np.where(between, side, 1.0)) for side in (a, b, c))
    curvature = la - 2 * lb + lc
    shift = np.where(curvature < 0, 0.5 * (la - lc) / np.where(curvature < 0, curvature, 1.0), 0.0)
    found = frequency[best[..., 0]] + shift * (frequency[1] - frequency[0])
    return np.where(is_peak.any(axis=-1), found, np.nan)


def _filtered(series: np.ndarray, *, sections: np.ndarray, dtype: np.dtype) -> np.ndarray:
    from scipy import signal as scipy_signal

    finite = np.isfinite(series).all(axis=-1, keepdims=True)
    filtered = scipy_signal.sosfiltfilt(sections, np.where(finite, series, 0.0).astype(np.float64), axis=-1)
    return np.where(finite, filtered, np.nan).astype(dtype)
