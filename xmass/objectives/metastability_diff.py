"""Difference of the metastability of two series."""

from __future__ import annotations

from typing import Any

from xmass.analysis.arrays import array_namespace, quarter_turn, safe_sqrt
from xmass.objectives.objective import Objective


def metastability_diff(simulated: str | None = None, recorded: str | None = None, *, name: str = "metastability_diff") -> Objective:
    """|metastability simulated − metastability recorded|; small is good, 0 is equal, at most 0.5.

    Metastability is the standard deviation over time of the Kuramoto order parameter of the phases of the analytic signal, as
    :func:`xmass.metastability` of :func:`xmass.phase`. The phase of a broad spectrum means nothing: band-pass both sides alike before,
    with :func:`xmass.preprocess` or :func:`xmass.band_pass`. Series that are phases already, in rad, have
    :func:`xmass.metastability` directly. Lengths and periods may differ.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, series ``(..., time, region)``; by default the one data variable that both sides have.
    name : str
        The name in the result.

    Notes
    -----
    Shanahan 2010, doi:10.1063/1.3305451 (the variance there).

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import metastability_diff
    >>> t = np.arange(400)[:, None]
    >>> locked, drifting = np.cos(0.1 * np.pi * t + [0.0, 1.0]), np.cos(0.1 * np.pi * t * [1.0, 1.1])
    >>> bool(metastability_diff()(drifting, locked) > 0.25), round(float(metastability_diff()(locked, 2 * locked)), 12)
    (True, 0.0)
    """
    meaning = "absolute difference of the metastability of simulated and recorded series"
    return Objective(
        _difference, name=name, direction="min", best=0.0, takes="series", simulated=simulated, recorded=recorded, meaning=meaning
    )


def _difference(simulated: Any, recorded: Any) -> Any:
    return abs(_metastability(simulated) - _metastability(recorded))


def _metastability(series: Any) -> Any:
    xp = array_namespace(series)
    varies = xp.all(xp.max(series, axis=-2) > xp.min(series, axis=-2), axis=-1)
    real = series - xp.mean(series, axis=-2, keepdims=True)
    imaginary = quarter_turn(real, axis=-2)
    square = real * real + imaginary * imaginary
    amplitude = xp.sqrt(xp.where(square == 0, 1.0, square))
    cosine, sine = xp.mean(real / amplitude, axis=-1), xp.mean(imaginary / amplitude, axis=-1)
    order = safe_sqrt(cosine * cosine + sine * sine)
    centred = order - xp.mean(order, axis=-1, keepdims=True)
    return xp.where(varies, safe_sqrt(xp.mean(centred * centred, axis=-1)), xp.nan)
