"""Spectra of series: the intrinsic frequency of each region."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.clock import period_in_seconds
from xmass.analysis.connectivity import checked_series, one_chunk
from xmass.analysis.preprocess import FILTER_ORDER, band_in_hz
from xmass.labelled import schema

# Gaussian over the spectrum: wide enough for the spectrum of a 15-minute recording to have one peak, narrow against the band.
SMOOTHING_HZ = 0.003


def intrinsic_frequency(bold: xr.DataArray, band: tuple[Any, Any] = (0.04, 0.07)) -> xr.DataArray:
    """Angular frequency at which each region's recording has its spectral peak within a band: ``w`` of a resting Hopf model.

    Parameters
    ----------
    bold : DataArray
        ``(..., time, region)``; other dims (subject) are kept.
    band : (low, high)
        In Hz, or as quantities.

    Returns
    -------
    DataArray
        ``w(..., region)`` in rad/ms, 2π times the frequency; lazy if ``bold`` is lazy. NaN for a region that is constant or has
        a NaN or an infinite sample.

    Raises
    ------
    TypeError
        If ``bold`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, the time coordinate has no unit or is not evenly spaced, the band is empty or beyond half
        the sampling rate, or the recording is too short for its spectrum to have two frequencies in the band.

    Notes
    -----
    As in Deco, Kringelbach, Jirsa and Ritter 2017, doi:10.1038/s41598-017-03073-5: detrended, band-passed (Butterworth of
    order 2, zero phase: without it the fall of the BOLD spectrum moves the peak to the lower edge), power spectrum, smoothed
    with a Gaussian (sd 0.003 Hz), largest value in the band. The resolution is one over the length of the recording.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from xmass.analysis import intrinsic_frequency
    >>> t = np.arange(1000) * 0.8
    >>> time = ("time", t, {"units": "s", "axis": "T"})
    >>> bold = xr.DataArray(np.sin(2 * np.pi * 0.05 * t)[:, None], dims=("time", "region"), coords={"time": time})
    >>> w = intrinsic_frequency(bold)
    >>> round(float(w[0]) * 1000 / (2 * np.pi), 6), w.attrs["units"]
    (0.05, 'rad/ms')
    """
    from scipy import signal as scipy_signal

    bold, time = checked_series(bold)
    period = period_in_seconds(bold, time)
    low, high = band_in_hz(band, period)
    frequency = np.fft.rfftfreq(bold.sizes[time], period)
    # the edges count, whatever the last bit of n / (N period)
    inside = (frequency > low - 1e-9) & (frequency < high + 1e-9)
    if inside.sum() < 2:
        raise ValueError(
            f"bold lasts {bold.sizes[time] * period:g} s, too short to tell frequencies in {low:g} to {high:g} Hz apart: "
            f"needs more than {2 / (high - low):.0f} s, or a wider band."
        )
    sections = scipy_signal.butter(FILTER_ORDER, (low, high), btype="bandpass", fs=1 / period, output="sos")
    w = xr.apply_ufunc(
        _peak,
        one_chunk(bold, time),
        input_core_dims=[[time]],
        kwargs={"frequency": frequency, "inside": inside, "sections": sections},
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,
    )
    w.attrs = {schema.UNITS: "rad/ms", schema.LONG_NAME: f"intrinsic angular frequency, peak of power in {low:g} to {high:g} Hz"}
    return w.rename("w")


def _peak(series: np.ndarray, *, frequency: np.ndarray, inside: np.ndarray, sections: np.ndarray) -> np.ndarray:
    from scipy import ndimage
    from scipy import signal as scipy_signal

    valid = np.isfinite(series).all(axis=-1)
    filled = np.where(valid[..., None], series, 0.0).astype(np.float64)
    valid = valid & (filled.max(axis=-1) > filled.min(axis=-1))
    narrow = scipy_signal.sosfiltfilt(sections, scipy_signal.detrend(filled, axis=-1), axis=-1)
    power = np.abs(np.fft.rfft(narrow, axis=-1)) ** 2
    smooth = ndimage.gaussian_filter1d(power, SMOOTHING_HZ / (frequency[1] - frequency[0]), axis=-1)
    peak = frequency[inside][smooth[..., inside].argmax(axis=-1)]
    return np.where(valid, 2 * np.pi * peak / 1000, np.nan)  # Hz to rad/ms
