"""Phases and envelopes of oscillations, and how far regions go together in them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace, quarter_turn, safe_sqrt
from xmass.analysis.connectivity import (
    MINIMUM_SAMPLES,
    check_for_correlation,
    checked_series,
    correlation_matrix,
    described_matrix,
    float_type,
    one_chunk,
)
from xmass.analysis.preprocess import PREPROCESS
from xmass.analysis.sensors import as_regions, as_sensors, of_sensors
from xmass.labelled import schema, units


def phase(signal: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Instantaneous phase, of the analytic signal (Hilbert transform).

    Parameters
    ----------
    signal : DataArray
        ``(..., time)`` and any other dims (region, sensor, subject, k), in a narrow band: :func:`xmass.band_pass` first, since the phase of
        a broad spectrum means nothing. The mean over time is removed.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        Same dims and coords, unit "rad", in [-π, π], 0 at the crests, named ``phase``; lazy if ``signal`` is lazy. NaN throughout for a
        series that is constant, or has a NaN or an infinite sample.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If there is no time dimension, or fewer than 3 samples.

    Notes
    -----
    ``scipy.signal.hilbert``, which takes the series as periodic: about one period at either end is not to be trusted.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> x = xr.DataArray(np.cos(2 * np.pi * np.arange(100) / 20), dims="time")
    >>> (xm.phase(x)[1:4] / np.pi).values.round(6).tolist()
    [0.1, 0.2, 0.3]
    """
    result = _analytic_part(signal, dim, lambda analytic: array_namespace(analytic).angle(analytic))
    result.attrs = {schema.UNITS: "rad", schema.LONG_NAME: "phase"} | _told(signal)
    return result.rename("phase")


def amplitude_envelope(signal: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Instantaneous amplitude, of the analytic signal (Hilbert transform).

    Parameters
    ----------
    signal : DataArray
        ``(..., time)`` and any other dims, in a narrow band: :func:`xmass.band_pass` first. The mean over time is removed.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        Same dims, coords and unit, named ``amplitude_envelope``; lazy if ``signal`` is lazy. NaN throughout for a series that is constant,
        or has a NaN or an infinite sample.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If there is no time dimension, or fewer than 3 samples.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> x = xr.DataArray(3.0 * np.cos(2 * np.pi * np.arange(100) / 20), dims="time")
    >>> xm.amplitude_envelope(x)[:3].values.round(9).tolist()
    [3.0, 3.0, 3.0]
    """
    result = _analytic_part(signal, dim, lambda analytic: array_namespace(analytic).abs(analytic))
    unit = {} if schema.UNITS not in signal.attrs else {schema.UNITS: signal.attrs[schema.UNITS]}
    result.attrs = unit | {schema.LONG_NAME: "amplitude envelope"} | _told(signal)
    return result.rename("amplitude_envelope")


def envelope_correlation(signal: xr.DataArray, *, orthogonalise: bool = False, dim: str | None = None) -> xr.DataArray:
    """Correlation between regions of their amplitude envelopes.

    Parameters
    ----------
    signal : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)`` in a narrow band; other dims (subject, k) are kept, whatever their
        place. The mean over time is removed.
    orthogonalise : bool
        Take out of each region of a pair, at each time, what is in phase with the other, before its envelope is taken: what field spread
        makes of one source has no lag (Hipp, Hawellek, Corbetta, Siegel and Engel 2012, doi:10.1038/nn.3101). The mean of both directions.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``(..., region, region_other)``, unit "1", named ``envelope_correlation``; lazy if ``signal`` is lazy. Symmetric, within [-1, 1].
        The diagonal is 1; orthogonalised it is NaN, since nothing is left of a region beside itself. A region that is constant, or has
        a NaN or an infinite sample, is NaN in its row and its column.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, or there are fewer than 3 samples.

    Notes
    -----
    Pearson correlations of amplitudes. Hipp et al. correlate the logarithm of power.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> time = ("time", np.arange(5000) * 0.004, {"units": "s"})
    >>> noise = xr.DataArray(np.random.default_rng(0).normal(size=(5000, 2)), dims=("time", "region"), coords={"time": time})
    >>> alpha = xm.band_pass(noise, (8, 12))
    >>> mixed = alpha + 0.5 * alpha.isel(region=0, drop=True)                      # field spread from the first to both
    >>> plain, clean = xm.envelope_correlation(mixed)[0, 1], xm.envelope_correlation(mixed, orthogonalise=True)[0, 1]
    >>> bool(plain > 0.2), bool(abs(clean) < 0.1)
    (True, True)
    """
    if of_sensors(signal):
        return as_sensors(envelope_correlation(as_regions(signal), orthogonalise=orthogonalise, dim=dim))
    signal, time = checked_series(signal, dim=dim)
    check_for_correlation(signal, time)
    dtype = float_type(signal)
    result = xr.apply_ufunc(
        _envelope_numpy,
        one_chunk(signal, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[list(schema.MATRIX_DIMS)],
        kwargs={"orthogonalise": bool(orthogonalise), "dtype": dtype},
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": {schema.REGION_OTHER: signal.sizes[schema.REGION]}},
        keep_attrs=True,
    )
    meaning = "correlation of amplitude envelopes" + (", orthogonalised" if orthogonalise else "")
    return described_matrix(result, signal, "envelope_correlation", meaning)


def order_parameter(phases: xr.DataArray) -> xr.DataArray:
    """Kuramoto order parameter: how far the regions are in phase, at each time.

    Parameters
    ----------
    phases : DataArray
        ``(..., region)`` or ``(..., sensor)``, in rad or another unit of angle, wrapped or not: of :func:`phase`, or the ``theta`` of a
        Kuramoto network.

    Returns
    -------
    DataArray
        ``|mean over regions of exp(i phase)|``, without ``region``, unit "1", from 0 (spread evenly) to 1 (all in phase), named
        ``order_parameter``; lazy if ``phases`` is lazy. NaN where a region is NaN: drop it before, nothing is left out in silence. Its mean
        over time is the synchrony.

    Raises
    ------
    TypeError
        If ``phases`` is no DataArray of real numbers.
    ValueError
        If there is no ``region``, or the unit is no angle.

    Notes
    -----
    Kuramoto 1984, doi:10.1007/978-3-642-69689-3. N regions with independent phases have about 0.9 / sqrt(N), not 0.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> together = xr.DataArray([0.3, 0.3, 0.3], dims="region", attrs={"units": "rad"})
    >>> apart = xr.DataArray([0.0, 2 * np.pi / 3, 4 * np.pi / 3], dims="region", attrs={"units": "rad"})
    >>> round(float(xm.order_parameter(together)), 12), round(float(xm.order_parameter(apart)), 12)
    (1.0, 0.0)
    """
    if of_sensors(phases):
        return as_sensors(order_parameter(as_regions(phases)))
    phases = _checked_phases(phases)
    result = xr.apply_ufunc(
        _order,
        one_chunk(phases, schema.REGION),
        input_core_dims=[[schema.REGION]],
        dask="parallelized",
        output_dtypes=[phases.dtype],
        keep_attrs=True,
    )
    result.attrs = {schema.UNITS: "1", schema.LONG_NAME: "Kuramoto order parameter"} | _told(phases)
    return result.rename("order_parameter")


def metastability(phases: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Standard deviation over time of the Kuramoto order parameter: how much synchrony comes and goes.

    Parameters
    ----------
    phases : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, in rad or another unit of angle, as for :func:`order_parameter`.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        Without time and ``region``, unit "1", named ``metastability``; lazy if ``phases`` is lazy. Divided by the number of samples, as
        usual. NaN where a phase is NaN.

    Raises
    ------
    TypeError
        If ``phases`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, the unit is no angle, or there are fewer than 3 samples.

    Notes
    -----
    Shanahan 2010, doi:10.1063/1.3305451 (the variance there; the standard deviation has become usual).

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> locked = xr.DataArray(np.linspace(0, 9, 50)[:, None] + [0.0, 0.4], dims=("time", "region"), attrs={"units": "rad"})
    >>> round(float(xm.metastability(locked)), 12)
    0.0
    """
    if of_sensors(phases):
        return as_sensors(metastability(as_regions(phases), dim=dim))
    phases = _checked_phases(phases)
    time = _enough(phases, dim)
    result = order_parameter(phases).std([time], skipna=False)
    result.attrs = {schema.UNITS: "1", schema.LONG_NAME: "metastability"} | _told(phases)
    return result.rename("metastability")


def phase_locking(phases: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Phase-locking value: how constant the phase difference of two regions is over time.

    Parameters
    ----------
    phases : DataArray
        ``(..., time, region)`` or ``(..., time, sensor)``, in rad or another unit of angle, as for :func:`order_parameter`.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``|mean over time of exp(i (phase - phase_other))|``, ``(..., region, region_other)``, unit "1", in [0, 1], named
        ``phase_locking``; lazy if ``phases`` is lazy. Symmetric, exactly 1 on the diagonal. NaN in row and column for a region that has a
        NaN; the others are unaffected.

    Raises
    ------
    TypeError
        If ``phases`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, the unit is no angle, or there are fewer than 3 samples.

    Notes
    -----
    Over time (Mormann, Lehnertz, David and Elger 2000, doi:10.1016/S0167-2789(00)00087-7); over trials instead: ``dim="batch"``. T
    independent samples have about 0.9 / sqrt(T), not 0.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> t = np.linspace(0, 20 * np.pi, 200, endpoint=False)
    >>> phases = xr.DataArray(np.stack([t, t + 0.7, 1.3 * t], axis=1), dims=("time", "region"), attrs={"units": "rad"})
    >>> xm.phase_locking(phases)[0].round(6).values.tolist()
    [1.0, 1.0, 0.0]
    """
    if of_sensors(phases):
        return as_sensors(phase_locking(as_regions(phases), dim=dim))
    phases = _checked_phases(phases)
    time = _enough(phases, dim)
    check_for_correlation(phases, time)
    result = xr.apply_ufunc(
        _locking,
        one_chunk(phases, time, schema.REGION),
        input_core_dims=[[time, schema.REGION]],
        output_core_dims=[list(schema.MATRIX_DIMS)],
        dask="parallelized",
        output_dtypes=[phases.dtype],
        dask_gufunc_kwargs={"output_sizes": {schema.REGION_OTHER: phases.sizes[schema.REGION]}},
        keep_attrs=True,
    )
    return described_matrix(result, phases, "phase_locking", "phase-locking value")


def _told(signal: xr.DataArray) -> dict[str, str]:
    return {PREPROCESS: signal.attrs[PREPROCESS]} if PREPROCESS in signal.attrs else {}


def _enough(phases: xr.DataArray, dim: str | None) -> Hashable:
    time = schema.time_dim(phases, dim)
    if phases.sizes[time] < MINIMUM_SAMPLES:
        raise ValueError(f"phases have {phases.sizes[time]} samples along {time!r}, needs at least {MINIMUM_SAMPLES}.")
    return time


def _checked_phases(phases: xr.DataArray) -> xr.DataArray:
    """Phases in rad, in their own precision."""
    if not isinstance(phases, xr.DataArray):
        raise TypeError(f"phases are a {type(phases).__name__}, needs an xarray.DataArray: xm.phase(signal).")
    phases = units.dequantify(phases)
    if phases.dtype.kind not in "fiu":
        raise TypeError(f"phases have dtype {phases.dtype}, needs real numbers: angles, not exp(i angle).")
    if schema.REGION not in phases.dims:
        raise ValueError(
            f"phases have dims {tuple(phases.dims)}, needs 'region' or 'sensor': rename one with phases.rename({{...: 'region'}})."
        )
    unit = phases.attrs.get(schema.UNITS, "rad")
    if unit != "rad" and (unit == "1" or not units.same_dimension(unit, "rad")):
        raise ValueError(
            f"phases have the unit {unit!r}, needs an angle: of a signal take xm.phase(xm.band_pass(signal, (low, high))); if these are "
            "angles, phases.assign_attrs(units='rad')."
        )
    dtype = float_type(phases)
    if unit == "rad" and phases.dtype == dtype:
        return phases
    return phases.copy(data=(phases * units.factor(unit, "rad")).data.astype(dtype)).assign_attrs(units="rad")


def _analytic_part(signal: xr.DataArray, dim: str | None, part: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
    signal, time = checked_series(signal, dim=dim, region=False)
    if signal.sizes[time] < MINIMUM_SAMPLES:
        raise ValueError(f"signal has {signal.sizes[time]} samples along {time!r}, an analytic signal needs at least {MINIMUM_SAMPLES}.")
    dtype = float_type(signal)
    return xr.apply_ufunc(
        lambda series: part(_analytic(series)).astype(dtype),
        one_chunk(signal, time),
        input_core_dims=[[time]],
        output_core_dims=[[time]],
        dask="parallelized",
        output_dtypes=[dtype],
        keep_attrs=True,
    ).transpose(*signal.dims)


def _analytic(series: np.ndarray) -> np.ndarray:
    """The analytic signal along the last axis; NaN for a series that is constant or not finite."""
    from scipy import signal as scipy_signal

    if array_namespace(series) is not np:
        return _analytic_jax(series)
    finite = np.isfinite(series).all(axis=-1, keepdims=True)
    filled = np.where(finite, series, 0.0).astype(np.float64)
    valid = finite & (filled.max(axis=-1, keepdims=True) > filled.min(axis=-1, keepdims=True))
    analytic = scipy_signal.hilbert(filled - filled.mean(axis=-1, keepdims=True), axis=-1)
    return np.where(valid, analytic, np.nan)


def _analytic_jax(series: Any) -> Any:
    from jax import lax

    xp = array_namespace(series)
    finite = xp.all(xp.isfinite(series), axis=-1, keepdims=True)
    filled = xp.where(finite, series, 0.0)
    valid = finite & (xp.max(filled, axis=-1, keepdims=True) > xp.min(filled, axis=-1, keepdims=True))
    real = filled - xp.mean(filled, axis=-1, keepdims=True)
    return lax.complex(xp.where(valid, real, xp.nan), quarter_turn(real))


def _envelope_numpy(series: np.ndarray, *, orthogonalise: bool, dtype: np.dtype) -> np.ndarray:
    regions = series.shape[-1]
    xp = array_namespace(series)
    if xp is not np:
        if orthogonalise:
            raise TypeError("orthogonalised envelopes are made by NumPy, not of arrays of JAX: take orthogonalise=False.")
        return correlation_matrix(xp.swapaxes(xp.abs(_analytic_jax(xp.swapaxes(series, -1, -2))), -1, -2))
    result = np.empty((*series.shape[:-2], regions, regions), dtype)
    for place in np.ndindex(series.shape[:-2]):
        analytic = _analytic(np.ascontiguousarray(series[place].T))
        amplitude = np.abs(analytic)
        if not orthogonalise:
            result[place] = correlation_matrix(amplitude.T)
            continue
        direction = np.conj(analytic) / np.where(amplitude > 0, amplitude, 1.0)
        one_way = np.full((regions, regions), np.nan)
        for i in range(regions):
            rest = np.abs((analytic * direction[i]).imag)
            rest[i] = np.nan
            one_way[i] = _rows_with(amplitude[i], rest)
        result[place] = 0.5 * (one_way + one_way.T)
    return result


def _rows_with(one: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pearson correlation of one series with each row; NaN where either does not vary."""
    one = one - one.mean()
    rows = rows - rows.mean(axis=-1, keepdims=True)
    square = (one @ one) * (rows**2).sum(axis=-1)
    return np.where(square > 0, np.clip(rows @ one / np.sqrt(np.where(square > 0, square, 1.0)), -1.0, 1.0), np.nan)


def _order(phases: np.ndarray) -> np.ndarray:
    xp = array_namespace(phases)
    if xp is not np:
        cosine, sine = xp.mean(xp.cos(phases), axis=-1), xp.mean(xp.sin(phases), axis=-1)
        return xp.minimum(safe_sqrt(cosine * cosine + sine * sine), 1.0)
    angles = phases.astype(np.float64)
    finite = np.isfinite(angles)
    filled = np.where(finite, angles, 0.0)
    # cosine and sine instead of a complex exponential: half the memory
    order = np.minimum(np.hypot(np.cos(filled).mean(axis=-1), np.sin(filled).mean(axis=-1)), 1.0)
    return np.where(finite.all(axis=-1), order, np.nan).astype(phases.dtype)


def _locking(phases: np.ndarray) -> np.ndarray:
    samples, regions = phases.shape[-2:]
    result = np.empty((*phases.shape[:-2], regions, regions), phases.dtype)
    for place in np.ndindex(phases.shape[:-2]):
        angles = phases[place].astype(np.float64)
        finite = np.isfinite(angles).all(axis=0)
        unit = np.exp(1j * np.where(finite, angles, 0.0))
        locking = np.minimum(np.abs(unit.T @ unit.conj()) / samples, 1.0)
        locking = 0.5 * (locking + locking.T)
        np.fill_diagonal(locking, 1.0)
        locking[~finite, :] = np.nan
        locking[:, ~finite] = np.nan
        result[place] = locking
    return result
