"""Perturbational complexity by state transitions: how often the parts of a response come and go, beyond what they did before."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.connectivity import one_chunk
from xmass.analysis.perturb_response import before_and_after, check_trials, checked_response
from xmass.labelled import schema

COMPONENT = "component"


def perturbational_complexity_st(
    signal: xr.DataArray,
    *,
    onset: Any,
    baseline: Any = None,
    response: Any = None,
    k: float = 1.2,
    variance: float = 0.99,
    snr: float = 1.1,
    steps: int = 100,
    trials: str | None = "batch",
    dim: str | None = None,
) -> xr.Dataset:
    """Perturbational complexity by state transitions (PCI-ST), of sensors as of regions, without surrogates or sources.

    Parameters
    ----------
    signal : DataArray
        ``(..., batch, time, region)`` around one stimulus, or with ``sensor`` in place of ``region``; other dims (amplitude, lesion) are
        kept, whatever their place.
    onset : time
        Begin of the stimulus, as in :func:`evoked_response`.
    baseline, response : time, optional
        Length of the part before the onset that says what happens without stimulus, and of the part after it that is looked at; by default
        all there is.
    k : float
        How much a transition of the baseline weighs.
    variance : float
        Share of the response that the components have together, from 0 to 1.
    snr : float
        Root mean square in the response over that in the baseline that a component exceeds.
    steps : int
        Thresholds that are tried.
    trials : str or None
        The dim of the trials; None where ``signal`` is a mean already, or one run without noise.
    dim : str, optional
        The time dimension, if not the one with ``axis="T"``.

    Returns
    -------
    Dataset
        ``pci_st(...)``; ``components(...)``, how many exceed ``snr``; ``transitions(..., component)``, what each adds to ``pci_st``, 0 for
        those that are not taken; and ``threshold(..., component)``, the distance at which it does, NaN for these. Lazy if ``signal`` is
        lazy. NaN where a sample is NaN or infinite.

    Raises
    ------
    TypeError
        If ``signal`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, time has no unit, there are fewer than 2 samples before or after the onset, or an option makes no sense.

    Notes
    -----
    Comolatti et al. 2019, doi:10.1016/j.brs.2019.05.013. The mean over trials, less its mean in the baseline, is projected onto the right
    singular vectors of its response. For a component x and a threshold e, the recurrence of two times is |x_i - x_j| <= e, and the number
    of state transitions NST(e) is how many times a row of that matrix changes, as a mean over its entries. With e from the median distance
    of the baseline to the largest of the response, PCI-ST is the sum over components of the largest n (NST_response(e) - k NST_baseline(e))
    that is not negative, n the number of samples of the response. So it counts transitions of the response, and depends on its length
    and sampling: hold these equal in a comparison. Scaling the signal changes nothing. Where the baseline is silent, as in a run without
    noise, every component counts, however small: lower ``variance``.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(a=-0.05, w=0.6, noise_x=xm.WhiteNoise(sigma=0.02)), dt=0.5, regions=["A", "B"])
    >>> kick = xm.stimuli.pulse(1.0, onset=50, width=5, region=["B"])
    >>> run = sim.run(100.0, inputs={"x": kick}, monitors=["x"], batch_size=30, seed=1)
    >>> found = xm.perturbational_complexity_st(run.x, onset=50)
    >>> int(found.components), bool(found.pci_st > 1)
    (1, True)
    """
    signal, time, space = checked_response(signal, dim)
    if trials is not None:
        check_trials(signal, trials)
    before, after = before_and_after(signal, time, onset, baseline, response)
    for name, value, fits, needed in (
        ("k", k, k >= 0, "a number of at least 0"),
        ("variance", variance, 0 < variance <= 1, "a number above 0, up to 1"),
        ("snr", snr, snr >= 0, "a number of at least 0"),
        ("steps", steps, int(steps) == steps and steps >= 2, "a whole number of at least 2"),
    ):
        if not fits:
            raise ValueError(f"{name}={value!r}, needs {needed}.")
    if before.stop - before.start < 2 or after.stop - after.start < 2:
        raise ValueError(
            f"{before.stop - before.start} samples are before the onset and {after.stop - after.start} after it, needs 2 or more of each: "
            "begin earlier, end later, or move the onset."
        )
    core = [*([] if trials is None else [trials]), time, space]
    number = min(signal.sizes[space], after.stop - after.start)
    options = {"before": before, "after": after, "k": float(k), "variance": float(variance), "snr": float(snr), "steps": int(steps)}
    parts = xr.apply_ufunc(
        _pci_st,
        one_chunk(signal, *core),
        input_core_dims=[core],
        output_core_dims=[[], [], [COMPONENT], [COMPONENT]],
        kwargs={**options, "averaged": trials is None},
        dask="parallelized",
        output_dtypes=[np.float64] * 4,
        dask_gufunc_kwargs={"output_sizes": {COMPONENT: number}},
        keep_attrs=True,
    )
    unit = str(signal.attrs.get(schema.UNITS, "1"))
    meanings = {
        "pci_st": ("perturbational complexity by state transitions", "1"),
        "components": ("components that exceed the baseline", "1"),
        "transitions": ("state transitions of a component", "1"),
        "threshold": ("distance of states", unit),
    }
    found = dict(zip(meanings, parts, strict=True))
    for name, (said, own) in meanings.items():
        found[name].attrs = {schema.UNITS: own, schema.LONG_NAME: said}
    return xr.Dataset(found).drop_vars([trials] if trials else [], errors="ignore")


def _pci_st(
    series: np.ndarray, *, before: slice, after: slice, k: float, variance: float, snr: float, steps: int, averaged: bool
) -> tuple[np.ndarray, ...]:
    series = np.asarray(series, np.float64)
    evoked = series if averaged else series.mean(axis=-3)
    outer, number = evoked.shape[:-2], min(evoked.shape[-1], after.stop - after.start)
    total, count = np.full(outer, np.nan), np.full(outer, np.nan)
    each, at = np.full((*outer, number), np.nan), np.full((*outer, number), np.nan)
    for place in np.ndindex(outer):
        one = evoked[place]
        rest, answer = one[before] - one[before].mean(axis=0), one[after] - one[before].mean(axis=0)
        if not (np.isfinite(rest).all() and np.isfinite(answer).all()):
            continue
        _, sizes, axes = np.linalg.svd(answer, full_matrices=False)
        each[place] = 0.0
        share = np.cumsum(sizes**2)
        taken = 0 if share[-1] == 0 else int(np.searchsorted(share, variance * share[-1] * (1 - 1e-12))) + 1
        components = axes[:taken]
        x, y = answer @ components.T, rest @ components.T
        above = np.sqrt((x**2).mean(axis=0)) > snr * np.sqrt((y**2).mean(axis=0))
        for i in np.flatnonzero(above):
            each[(*place, i)], at[(*place, i)] = _transitions(x[:, i], y[:, i], k, steps)
        total[place], count[place] = each[place].sum(), above.sum()
    return total, count, each, at


def _transitions(response: np.ndarray, baseline: np.ndarray, k: float, steps: int) -> tuple[float, float]:
    """The largest excess of transitions of the response, and the threshold that gives it."""
    far, quiet = (np.abs(x[:, None] - x) for x in (response, baseline))
    thresholds = np.linspace(np.median(quiet), far.max(), steps)
    excess = _mean_changes(far, thresholds) - k * _mean_changes(quiet, thresholds)
    best = int(np.argmax(excess))
    return max(float(excess[best]) * len(response), 0.0), float(thresholds[best])


def _mean_changes(distances: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many pairs of neighbours in a row lie on two sides of each threshold, over the number of entries."""
    a, b = distances[:, :-1], distances[:, 1:]
    low, high = np.sort(np.minimum(a, b), axis=None), np.sort(np.maximum(a, b), axis=None)
    between = np.searchsorted(low, thresholds, side="right") - np.searchsorted(high, thresholds, side="right")
    return np.asarray(between / distances.size)
