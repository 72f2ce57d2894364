"""How entries of an FC matrix vary together from one recording to the next: the asymptotic covariance of correlations of slow signals."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xmass.analysis.connectivity import check_for_correlation, checked_series
from xmass.labelled import schema

PAIR, FIRST, SECOND = "pair", "first", "second"
_MOST_REGIONS = 100
_LAGS = 3.0
"""Lags of the default window, in square roots of the number of samples."""


def fc_covariance(signal: xr.DataArray, *, samples: int | None = None, lags: int | None = None, dim: str | None = None) -> xr.DataArray:
    r"""Covariance of Fisher's z of all pairs of regions, from the auto- and cross-covariances of a series.

    Samples of a slow signal are not independent, and pairs that share a region, or whose regions are correlated, vary together. For a
    stationary Gaussian process the sample covariances :math:`c_{ij}` of :math:`T` samples have the asymptotic covariance

    .. math:: T\,\mathrm{cov}(c_{ij}, c_{kl}) = \sum_\tau \gamma_{ik}(\tau)\gamma_{jl}(\tau) + \gamma_{il}(\tau)\gamma_{jk}(\tau),

    from which that of correlations, and of their Fisher z, follows by their derivatives. With white noise it is the formula of Steiger
    (1980), and the diagonal alone is the effective number of samples of Afyouni, Smith & Nichols (2019).

    Parameters
    ----------
    signal : DataArray
        ``(time, region)``: a recording, or a simulation, which may be longer than the recording.
    samples : int, optional
        Samples of the recording whose FC is meant; by default those of ``signal``.
    lags : int, optional
        Longest lag, in samples; by default three times the square root of the number of samples. Covariances are tapered by Parzen's
        window, so that the estimate has no negative variance. It must be longer than the signals remember, and far shorter than the series.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    DataArray
        ``(pair, pair_other)``, pairs in the order of the upper triangle; the coordinates ``first`` and ``second`` are the regions of each.
        For :class:`xmass.fit.GaussianLikelihood`.

    Raises
    ------
    TypeError, ValueError
        If the signal has other dims, samples that are not finite, or more than 100 regions; if a region is constant; for lags or samples
        out of range.

    References
    ----------
    Bartlett (1946), doi:10.2307/2983611; Roy (1989), doi:10.1093/biomet/76.4.824; Steiger (1980), doi:10.1037/0033-2909.87.2.245;
    Afyouni, Smith & Nichols (2019), doi:10.1016/j.neuroimage.2019.05.011.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xmass as xm
    >>> white = xr.DataArray(np.random.default_rng(0).normal(size=(2000, 3)), dims=("time", "region"))
    >>> found = xm.fit.fc_covariance(white)
    >>> np.round(2000 * np.diag(found), 1).tolist()  # 1 / T for independent samples
    [1.0, 1.0, 1.0]
    """
    signal, time = checked_series(signal, dim=dim)
    check_for_correlation(signal, time)
    other = [str(d) for d in signal.dims if d not in (time, schema.REGION)]
    if other:
        raise ValueError(f"signal has the dim {other[0]!r}, needs ({time!r}, 'region') alone: select one, signal.isel({other[0]}=0).")
    series = np.asarray(signal.transpose(time, schema.REGION).values, np.float64)
    length, regions = series.shape
    if not 2 <= regions <= _MOST_REGIONS:
        raise ValueError(f"signal has {regions} regions, needs 2 to {_MOST_REGIONS}: the matrix has the fourth power of their number.")
    labels = signal[schema.REGION].values if schema.REGION in signal.coords else np.arange(regions)
    bad = ~np.isfinite(series).all(axis=0) | (series.max(axis=0) == series.min(axis=0))
    if bad.any():
        raise ValueError(f"signal is constant or not finite in region {labels[bad].tolist()[0]!r}: select the others, .sel(region=...).")
    window = min(int(np.ceil(_LAGS * np.sqrt(length))), length - 1) if lags is None else lags
    if isinstance(window, bool) or not isinstance(window, int | np.integer) or not 0 < window < length:
        raise ValueError(f"lags={lags!r}, needs a whole number of samples from 1 to {length - 1}.")
    count = length if samples is None else samples
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 4:
        raise ValueError(f"samples={samples!r}, needs the number of samples of the recording, 4 or more.")
    found = covariance_of_z(_tapered(series, int(window))) / count
    rows, columns = np.triu_indices(regions, 1)
    coords = {FIRST: (PAIR, labels[rows]), SECOND: (PAIR, labels[columns])} if schema.REGION in signal.coords else {}
    attrs = {schema.UNITS: "1", schema.LONG_NAME: "covariance of Fisher's z of FC", "samples": int(count), "lags": int(window)}
    return xr.DataArray(found, dims=(PAIR, f"{PAIR}_other"), coords=coords, attrs=attrs, name="fc_covariance")


def _tapered(series: np.ndarray, lags: int) -> np.ndarray:
    """Covariances ``(n, n, 2 * lags + 1)`` of standardised series at lags from ``-lags``, times Parzen's window."""
    series = (series - series.mean(axis=0)) / series.std(axis=0)
    length, regions = series.shape
    x = np.arange(lags + 1) / (lags + 1)
    window = np.where(x <= 0.5, 1 - 6 * x**2 + 6 * x**3, 2 * (1 - x) ** 3)
    spectrum = np.fft.rfft(series, length + lags, axis=0)
    found = np.empty((regions, regions, 2 * lags + 1))
    for region in range(regions):
        every = np.fft.irfft(spectrum[:, region].conj()[:, None] * spectrum, length + lags, axis=0) / length
        found[region, :, lags:] = (every[: lags + 1] * window[:, None]).T
        found[region, :, :lags] = (every[-lags:] * window[:0:-1, None]).T
    return found


def covariance_of_z(gamma: np.ndarray) -> np.ndarray:
    """Covariance ``(pairs, pairs)`` of Fisher's z, times the number of samples.

    Parameters
    ----------
    gamma : ndarray
        ``(n, n, lags)``: covariances of standardised signals, ``gamma[i, j]`` that of ``i`` with ``j`` later, the middle lag being 0.
    """
    regions = len(gamma)
    upper = np.triu_indices(regions)
    of_covariances = np.empty((len(upper[0]), len(upper[0])))
    for first in range(regions):
        products = np.tensordot(gamma[first:], gamma[first], (2, 1)).transpose(0, 2, 1)  # (second, k, l): sum of gamma_ik gamma_jl
        rows = upper[0] == first
        of_covariances[rows] = products[:, *upper] + products[:, upper[1], upper[0]]
    place = np.zeros((regions, regions), np.int64)
    place[upper] = np.arange(len(upper[0]))
    i, j = np.triu_indices(regions, 1)
    r = gamma[:, :, gamma.shape[2] // 2][i, j]
    half, slope = 0.5 * r[:, None], 1.0 / (1.0 - r**2)
    rows_of = [place[i, j], place[i, i], place[j, j]]
    once = of_covariances[rows_of[0]] - half * (of_covariances[rows_of[1]] + of_covariances[rows_of[2]])
    twice = once[:, rows_of[0]] - half.T * (once[:, rows_of[1]] + once[:, rows_of[2]])
    found: np.ndarray = twice * slope[:, None] * slope[None]
    return 0.5 * (found + found.T)


def in_order(covariance: xr.DataArray, regions: np.ndarray) -> np.ndarray:
    """The matrix with its pairs in the order of these regions.

    Raises
    ------
    ValueError
        If it is of other regions.
    """
    values = np.asarray(covariance.values, np.float64)
    rows, columns = np.triu_indices(len(regions), 1)
    if FIRST not in covariance.coords:
        if len(values) != len(rows):
            raise ValueError(f"covariance has {len(values)} pairs, and {len(regions)} regions have {len(rows)}.")
        return values
    known = {frozenset(p): k for k, p in enumerate(zip(covariance[FIRST].values.tolist(), covariance[SECOND].values.tolist(), strict=True))}
    names = np.asarray(regions).tolist()
    wanted = [frozenset((names[a], names[b])) for a, b in zip(rows, columns, strict=True)]
    missing = next((tuple(p) for p in wanted if p not in known), None)
    if missing is not None or len(known) != len(wanted):
        said = f"it lacks the pair {missing}" if missing else f"it has {len(known)} pairs, needs {len(wanted)}"
        raise ValueError(f"covariance is of other regions than the simulation: {said}. Make it of the same: signal.sel(region=...).")
    order = [known[p] for p in wanted]
    return values[np.ix_(order, order)]
