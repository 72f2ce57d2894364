"""What a network answers to a perturbation: the mean over trials, and how complex it is."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.clock import duration_in_seconds, period_in_seconds, time_unit
from xmass.analysis.connectivity import checked_series, float_type, one_chunk
from xmass.labelled import schema, units

BLOCK = 2**24
"""Numbers that a block of surrogates holds."""


def evoked_response(
    signal: xr.DataArray, *, onset: Any, baseline: Any = None, trials: str | None = "batch", dim: str | None = None
) -> xr.Dataset:
    """Mean over trials, relative to the time before the stimulus.

    Parameters
    ----------
    signal : DataArray
        ``(..., batch, time, region)`` around one stimulus, or with ``sensor`` in place of ``region``, any unit; other dims (amplitude,
        lesion) are kept, whatever their place.
    onset : time
        Begin of the stimulus; a bare number is in the unit of the time coordinate. The sample at the onset is still before it, as stamps
        are at the end of a step.
    baseline : time, optional
        How long before the onset the baseline begins; by default with the series.
    trials : str or None
        The dim of the trials; None where ``signal`` is a mean already, or one run without noise.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    Dataset
        ``evoked(..., time, region)``, from which the mean of the baseline is subtracted in each region; ``evoked_se``, the standard error
        of the mean over trials, with trials; and ``gmfp(..., time)``, the global mean field power: the standard deviation over
        regions, or sensors, of ``evoked``. In the unit of ``signal``, over the whole of ``time``; lazy if ``signal`` is lazy. A NaN in a
        trial is NaN in the mean.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, time has no unit, or nothing is before or after the onset.

    Notes
    -----
    Global mean field power: Lehmann and Skrandies 1980, doi:10.1016/0013-4694(80)90419-8.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.LinearStep(gamma=-0.1, noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.5, regions=["A", "B"])
    >>> kick = xm.stimuli.pulse(1.0, onset=50, width=5, region=["B"])
    >>> run = sim.run(100.0, inputs={"x": kick}, monitors=["x"], batch_size=30, seed=1)
    >>> answer = xm.evoked_response(run.x, onset=50)
    >>> answer.evoked.dims, answer.gmfp.dims, float(answer.gmfp.idxmax("time"))
    (('time', 'region'), ('time',), 55.0)
    """
    signal, time, space = checked_response(signal, dim)
    before, _ = before_and_after(signal, time, onset, baseline, None)
    check_trials(signal, trials)
    dtype = float_type(signal)
    values = signal.astype(np.float64)
    parts: dict[str, xr.DataArray] = {}
    mean = values if trials is None else values.mean(trials, skipna=False)
    evoked = mean - mean.isel({time: before}).mean([time], skipna=False)
    parts["evoked"] = evoked.assign_attrs({schema.LONG_NAME: "evoked response"})
    if trials is not None:
        n = signal.sizes[trials]
        spread = values.std(trials, ddof=1, skipna=False) if n > 1 else mean * math.nan
        parts["evoked_se"] = (spread / math.sqrt(n)).assign_attrs({schema.LONG_NAME: f"standard error over {n} trials"})
    field = evoked.std(space, skipna=False)
    parts["gmfp"] = field.assign_attrs({schema.LONG_NAME: "global mean field power"})
    unit = {schema.UNITS: signal.attrs[schema.UNITS]} if schema.UNITS in signal.attrs else {}
    outer = [d for d in signal.dims if d not in (trials, time, space)]
    for name, part in parts.items():
        part = part.transpose(*outer, time, ...).astype(dtype)
        part.attrs = {schema.LONG_NAME: part.attrs[schema.LONG_NAME], **unit}
        parts[name] = part
    result = xr.Dataset(parts)
    for coord in result.coords:
        result[coord].attrs = dict(signal[coord].attrs)
    return result


def perturbational_complexity(
    signal: xr.DataArray,
    *,
    onset: Any,
    baseline: Any = None,
    response: Any = None,
    alpha: float = 0.01,
    surrogates: int = 500,
    trials: str = "batch",
    seed: int = 0,
    dim: str | None = None,
) -> xr.Dataset:
    """Perturbational complexity index (PCI): how far the significant response to a stimulus can be compressed.

    Parameters
    ----------
    signal : DataArray
        ``(..., batch, time, region)`` around one stimulus, or with ``sensor`` in place of ``region``, evenly sampled; other dims
        (amplitude, lesion) are kept, whatever their place.
    onset : time
        Begin of the stimulus, as in :func:`evoked_response`.
    baseline, response : time, optional
        Length of the part before the onset that says what happens without stimulus, and of the part after it that is looked at; by default
        all there is.
    alpha : float
        Probability that anything at all is significant without a response.
    surrogates : int
        How many bootstrap means over trials the threshold is taken from; at least 1 / alpha.
    trials : str
        The dim of the trials.
    seed : int
        Of the bootstrap; the same draws for every run.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    Dataset
        ``pci(...)``; ``words(...)``, the Lempel-Ziv complexity; ``source_entropy(...)`` [bit]; ``threshold(...)`` in standard deviations
        of the baseline; and ``significant(..., time, region)`` of True and False, at the times of the response. Lazy if ``signal`` is
        lazy. PCI is 0 where nothing, or everything, is significant. NaN where a sample is NaN or infinite, or a region does not vary
        before the stimulus.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, time has no unit or is not evenly spaced, there are too few samples before or after the onset, or
        ``alpha`` and ``surrogates`` do not go together.

    Notes
    -----
    Casali et al. 2013, doi:10.1126/scitranslmed.3006294. Each region is standardised by its baseline, over trials and time. A surrogate is
    a mean over as many draws from the baseline as there are trials, all regions together, for as many samples as the response has; the
    threshold is the quantile 1 - ``alpha`` of the largest absolute values of the surrogates. Significant samples of the mean over trials
    make a binary matrix, its regions sorted by their number of significant samples (most first) and read time by time. With the c words of
    Lempel and Ziv 1976, doi:10.1109/TIT.1976.1055501, its L entries, the fraction p of ones and H = -p log2 p - (1 - p) log2(1 - p), PCI is
    c log2(L) / (L H), 1 for coin throws as L grows and some percent more for few. Words may go on from one time to the next. PCI
    depends on sampling, number of regions and of trials: hold these equal in a comparison. Where H is low it is large and says
    nothing: leave out what is below 0.08, 1 % of the entries.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.LinearStep(gamma=-0.1, noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.5, regions=["A", "B"])
    >>> kick = xm.stimuli.pulse(1.0, onset=50, width=5, region=["B"])
    >>> run = sim.run(100.0, inputs={"x": kick}, monitors=["x"], batch_size=30, seed=1)
    >>> found = xm.perturbational_complexity(run.x, onset=50)
    >>> found.significant.any("time").values.tolist(), bool(0 < found.pci < 1)
    ([False, True], True)
    """
    signal, time, space = checked_response(signal, dim)
    period_in_seconds(signal, time)
    check_trials(signal, trials)
    before, after = before_and_after(signal, time, onset, baseline, response)
    if not 0 < float(alpha) < 1 or int(surrogates) != surrogates or surrogates * alpha < 1:
        raise ValueError(
            f"alpha={alpha!r} with surrogates={surrogates!r}, needs 0 < alpha < 1 and at least 1 / alpha surrogates: "
            "alpha=0.01, surrogates=500."
        )
    if before.stop - before.start < 2 or after.stop - after.start < 2:
        raise ValueError(
            f"{before.stop - before.start} samples are before the onset and {after.stop - after.start} after it, needs 2 or more of each: "
            "begin earlier, end later, or move the onset."
        )
    response_time = signal[time].isel({time: after})
    core = [trials, time, space]
    out_time = "__response__"  # another length than the series has, so another name until the end
    parts = xr.apply_ufunc(
        _pci,
        one_chunk(signal, *core),
        input_core_dims=[core],
        output_core_dims=[[], [], [], [], [out_time, space]],
        kwargs={"before": before, "after": after, "alpha": float(alpha), "surrogates": int(surrogates), "seed": seed},
        dask="parallelized",
        output_dtypes=[np.float64] * 4 + [np.bool_],
        dask_gufunc_kwargs={"output_sizes": {out_time: response_time.size}},
        keep_attrs=True,
    )
    meanings = {
        "pci": "perturbational complexity index",
        "words": "Lempel-Ziv complexity",
        "source_entropy": "source entropy",
        "threshold": "threshold of significance, in standard deviations of the baseline",
        "significant": "significant response",
    }
    found = dict(zip(meanings, parts, strict=True))
    found["significant"] = found["significant"].rename({out_time: time}).assign_coords({time: response_time})
    for name, part in found.items():
        part.attrs = {schema.UNITS: "bit" if name == "source_entropy" else "1", schema.LONG_NAME: meanings[name]}
    return xr.Dataset(found).drop_vars([trials], errors="ignore")


def lempel_ziv(sequence: np.ndarray) -> int:
    """Number of words in the exhaustive history of a sequence of symbols (Lempel and Ziv 1976, doi:10.1109/TIT.1976.1055501).

    A word is the shortest piece that has not occurred before, where an occurrence may overlap it; the last one may be cut off.

    Parameters
    ----------
    sequence : ndarray
        One axis of small integers or of True and False.

    Returns
    -------
    int
        0 for an empty sequence.

    Examples
    --------
    >>> lempel_ziv(np.array([0, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1]))                  # 0 001 10 100 1000 101
    6
    """
    text = np.asarray(sequence).astype(np.uint8).tobytes()
    end, start, words = len(text), 0, 0
    while start < end:
        length, at = 1, 0
        while start + length <= end:
            at = text.find(text[start : start + length], at, start + length - 1)
            if at < 0:
                break
            while start + length <= end and text[at + length - 1] == text[start + length - 1]:
                length += 1
        words += 1
        start += length
    return words


def checked_response(signal: xr.DataArray, dim: str | None) -> tuple[xr.DataArray, Hashable, str]:
    """A checked series, its time dimension, and the one of its places."""
    signal, time = checked_series(signal, dim=dim, region=False)
    found = [d for d in (schema.REGION, schema.SENSOR) if d in signal.dims]
    if len(found) != 1:
        raise ValueError(
            f"signal has dims {tuple(signal.dims)}, needs 'region' or 'sensor', one of them: rename with signal.rename({{...: 'region'}})."
        )
    return signal, time, found[0]


def check_trials(signal: xr.DataArray, trials: str | None) -> None:
    """The signal has the dim of the trials."""
    if trials is not None and trials not in signal.dims:
        raise ValueError(
            f"signal has dims {tuple(signal.dims)}, needs the trials {trials!r}: name their dim, trials='...', run with batch_size=, "
            f"or make one of a single run: signal.expand_dims({trials!r})."
        )


def before_and_after(signal: xr.DataArray, time: Hashable, onset: Any, baseline: Any, response: Any) -> tuple[slice, slice]:
    """The samples before the onset and after it."""
    unit = time_unit(signal, time)
    stamps = np.asarray(signal[time].values, np.float64)
    if stamps.size < 2 or not (np.diff(stamps) > 0).all():
        raise ValueError(f"the times along {time!r} are {stamps[:3]} and so on, needs two or more that increase: .sortby({str(time)!r}).")
    slack = 1e-6 * float(np.diff(stamps).min())
    begin = units.in_unit(onset, unit, "onset")
    second = units.factor("s", unit)
    first, last = stamps[0] - slack, stamps[-1] + slack
    if baseline is not None:
        first = begin - duration_in_seconds(baseline, signal, time, "baseline") * second + slack
    if response is not None:
        last = begin + duration_in_seconds(response, signal, time, "response") * second + slack
    places = np.searchsorted(stamps, [first, begin + slack, last])
    if not places[0] < places[1] < places[2]:
        raise ValueError(
            f"the series goes from {stamps[0]:g} to {stamps[-1]:g} {unit}, with {max(0, places[1] - places[0])} samples in the baseline "
            f"and {max(0, places[2] - places[1])} in the response to the onset at {begin:g} {unit}, needs both: choose an onset within and "
            "positive lengths."
        )
    return slice(int(places[0]), int(places[1])), slice(int(places[1]), int(places[2]))


def _pci(series: np.ndarray, *, before: slice, after: slice, alpha: float, surrogates: int, seed: int) -> tuple[np.ndarray, ...]:
    outer, samples, regions = series.shape[:-3], after.stop - after.start, series.shape[-1]
    pci, words, entropy, threshold = (np.full(outer, np.nan) for _ in range(4))
    significant = np.zeros((*outer, samples, regions), bool)
    for place in np.ndindex(outer):
        one = np.ascontiguousarray(series[place], dtype=np.float64)
        rest = one[:, before].reshape(-1, regions)
        if not (np.isfinite(one[:, before]).all() and np.isfinite(one[:, after]).all()) or (np.ptp(rest, axis=0) == 0).any():
            continue
        mean, spread = rest.mean(axis=0), rest.std(axis=0)
        rest = (rest - mean) / spread
        threshold[place] = _threshold(rest, one.shape[0], samples, alpha, surrogates, seed)
        found = np.abs((one[:, after].mean(axis=0) - mean) / spread) > threshold[place]
        significant[place] = found
        pci[place], words[place], entropy[place] = _complexity(found)
    return pci, words, entropy, threshold, significant


def _threshold(rest: np.ndarray, trials: int, samples: int, alpha: float, surrogates: int, seed: int) -> float:
    """The quantile of the largest absolute mean of draws from ``rest(sample, region)``."""
    rng = np.random.default_rng(seed)
    largest = np.empty(surrogates)
    several = max(1, BLOCK // (samples * rest.shape[1]))
    for first in range(0, surrogates, several):
        n = min(several, surrogates - first)
        total = np.zeros((n, samples, rest.shape[1]))
        for _ in range(trials):
            total += rest[rng.integers(rest.shape[0], size=(n, samples))]
        largest[first : first + n] = np.abs(total).max(axis=(1, 2)) / trials
    return float(np.quantile(largest, 1 - alpha))


def _complexity(significant: np.ndarray) -> tuple[float, int, float]:
    """PCI, words and source entropy of a binary matrix ``(time, region)``."""
    order = np.argsort(-significant.sum(axis=0), kind="stable")
    bits = significant[:, order].ravel()
    words = lempel_ziv(bits)
    p = bits.mean()
    if p in (0, 1):
        return 0.0, words, 0.0
    entropy = float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))
    return words * math.log2(bits.size) / (bits.size * entropy), words, entropy
