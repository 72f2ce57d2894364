"""Root mean square difference of the logarithms of two power spectra."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmass.analysis.arrays import array_namespace, root_mean_square
from xmass.labelled import units
from xmass.objectives.objective import Objective


def spectrum_rmse(
    simulated: str | None = None,
    recorded: str | None = None,
    *,
    segment: Any = None,
    band: tuple[Any, Any] | None = None,
    relative: bool = False,
    name: str = "spectrum_rmse",
) -> Objective:
    """Root mean square difference of two power spectra in dB, over frequency and region; small is good, 0 is equal.

    A series becomes its spectrum by Welch's method, a spectrum is taken as it is. Both must have the same resolution. Frequencies are
    paired by their values: those of the recording are interpolated to those of the simulation, within ``band``, above 0 and below the
    highest of either side. 10 dB is a factor of 10 in power.

    Parameters
    ----------
    simulated, recorded : str, optional
        The variables, a series ``(..., time, region)`` or a spectrum ``(..., region, frequency)``; by default the one data variable that
        both sides have.
    segment : time, optional
        The segments of Welch's method, whose resolution is one over it; a bare number is in seconds. By default those of the side that is
        a spectrum, else one eighth of the shorter series.
    band : (low, high), optional
        In Hz or as quantities: the frequencies that count. ``None`` on one side leaves it open.
    relative : bool
        Take from each region the mean of its dB over frequency: only the form counts, and units may differ.
    name : str
        The name in the result.

    Raises
    ------
    ValueError
        If the segment is no positive time, or the band is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.objectives import spectrum_rmse
    >>> power = np.random.default_rng(0).uniform(1, 2, (20, 4))                # (frequency, region)
    >>> round(float(spectrum_rmse()(100 * power, power)), 9), round(float(spectrum_rmse(relative=True)(100 * power, power)), 9)
    (20.0, 0.0)
    """
    seconds = None if segment is None else units.in_unit(segment, "s", "segment")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"segment={segment!r}, needs a positive time such as segment=60 * u.second.")
    what = "root mean square difference of simulated and recorded power spectra in dB, over frequency and region"
    return Objective(
        _relative_rmse if relative else _rmse,
        name=name,
        direction="min",
        best=0.0,
        takes="spectrum",
        simulated=simulated,
        recorded=recorded,
        meaning=what + (", relative to their mean over frequency" if relative else ""),
        same_unit=not relative,
        segment=seconds,
        band=_band_in_hertz(band),
        residual=_relative_residual if relative else _residual,
    )


def _band_in_hertz(band: tuple[Any, Any] | None) -> tuple[float, float]:
    try:
        low, high = (None, None) if band is None else band
    except (TypeError, ValueError):
        raise ValueError(f"band={band!r}, needs two frequencies, such as band=(8, 12) in Hz.") from None
    found = (
        0.0 if low is None else units.in_unit(low, "Hz", "band"),
        float("inf") if high is None else units.in_unit(high, "Hz", "band"),
    )
    if not 0 <= found[0] < found[1]:
        raise ValueError(f"band={band!r}, needs 0 <= low < high in Hz, such as band=(8, 12).")
    return found


def _rmse(simulated: Any, recorded: Any) -> Any:
    return root_mean_square(_residual(simulated, recorded))


def _relative_rmse(simulated: Any, recorded: Any) -> Any:
    return root_mean_square(_relative_residual(simulated, recorded))


def _residual(simulated: Any, recorded: Any) -> Any:
    return _flat(_decibel(simulated) - _decibel(recorded))


def _relative_residual(simulated: Any, recorded: Any) -> Any:
    xp = array_namespace(simulated, recorded)
    a, b = (side - xp.mean(side, axis=-2, keepdims=True) for side in (_decibel(simulated), _decibel(recorded)))
    return _flat(a - b)


def _flat(difference: Any) -> Any:
    return difference.reshape(*difference.shape[:-2], -1)


def _decibel(power: Any) -> Any:
    xp = array_namespace(power)
    # one memory order, so that sums have the same last bit whatever the dims were before
    power = np.ascontiguousarray(power) if isinstance(power, np.ndarray) else power
    exists = power > 0  # no power has no logarithm: NaN, without a warning
    return xp.where(exists, 10 * xp.log10(xp.where(exists, power, 1.0)), xp.nan)
