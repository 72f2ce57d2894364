"""Stimuli by shape: pulses, trains of pulses, sines and ramps, and series of one's own; they add up with ``+``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from xmass.core.waves import Pulse, PulseTrain, Ramp, Sine, Wave
from xmass.labelled.schema import REGION, TIME
from xmass.labelled.stimulus import Stimulus, as_stimulus
from xmass.labelled.term import Term, amplitude_of, on_regions, part_of
from xmass.labelled.values import Dims

__all__ = ["Stimulus", "from_dataarray", "pulse", "pulse_train", "ramp", "sine"]


def pulse(amplitude: Any, *, onset: Any, width: Any, region: Iterable[Any] | None = None) -> Stimulus:
    """``amplitude`` from ``onset`` until ``onset + width``, which it does not include; 0 before and after.

    A step takes the value at its start, so the steps from ``onset`` on are driven, ``width / dt`` of them where both times are
    multiples of dt. Otherwise the pulse begins with the first step that starts in it.

    Parameters
    ----------
    amplitude : float, Quantity or DataArray
        A number is in the unit of the input. Over ``region``, with labels, it reaches these regions and is 0 in the others; other dims
        are run dims, which the result gets.
    onset, width : float, Quantity or DataArray
        Times [ms], absolute. Over ``region`` too, where it reaches regions at different times.
    region : iterable of labels, optional
        The regions that it reaches, where ``amplitude`` does not say so; all by default.

    Returns
    -------
    Stimulus
        To give to a run, ``inputs={"x": stimulus}``, or to add to others.

    Raises
    ------
    TypeError, ValueError
        For a width that is not positive, NaN, arrays without dims, labels that disagree.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.1, regions=["A", "B"])
    >>> kick = xm.stimuli.pulse(xr.DataArray([1.0, 2.0], dims="amplitude"), onset=10, width=5, region=["B"])
    >>> run = sim.run(40.0, inputs={"x": kick}, initial={"x": 0.0})
    >>> run.x.dims, (run.x.max("time") > 0).values.tolist()
    (('amplitude', 'time', 'region'), [[False, True], [False, True]])
    """
    wave = Pulse(part_of(onset, "ms", "onset"), part_of(width, "ms", "width"))
    _positive("pulse", width=wave.width)
    return _made("pulse", amplitude, wave, region)


def pulse_train(amplitude: Any, *, onset: Any, width: Any, period: Any, count: Any = None, region: Iterable[Any] | None = None) -> Stimulus:
    """``count`` pulses of one width, the first at ``onset``, then one every ``period``.

    Parameters
    ----------
    amplitude, onset, width, region
        As of :func:`pulse`.
    period : float, Quantity or DataArray
        From one onset to the next [ms], at least ``width``.
    count : int or DataArray, optional
        Number of pulses; without it they do not end.

    Returns
    -------
    Stimulus

    Raises
    ------
    TypeError, ValueError
        As :func:`pulse`; also for a period shorter than the width, and a count that is not a whole number of at least 1.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.stimuli.pulse_train(1.0, onset=10, width=2, period=20, count=3).at([10, 12, 30, 50, 70]).values.tolist()
    [1.0, 0.0, 1.0, 1.0, 0.0]
    """
    number = None if count is None else part_of(count, "1", "count")
    wave = PulseTrain(part_of(onset, "ms", "onset"), part_of(width, "ms", "width"), part_of(period, "ms", "period"), number)
    _positive("pulse_train", width=wave.width, period=wave.period)
    made = _made("pulse_train", amplitude, wave, region)
    _not_less("pulse_train", ("period", wave.period), ("width", wave.width), "the next pulse would begin before this one has ended")
    if number is not None and bool(((number < 1) | (number % 1 != 0)).any()):
        raise ValueError(
            f"pulse_train got count={_shown(number)}, needs a whole number of pulses, at least 1; without count they do not end."
        )
    return made


def sine(
    amplitude: Any, *, frequency: Any, phase: Any = 0.0, onset: Any = 0.0, stop: Any = None, region: Iterable[Any] | None = None
) -> Stimulus:
    r"""A sine wave, :math:`A \sin(2\pi f (t - t_{on}) + \varphi)` from ``onset`` until ``stop``, 0 outside.

    Parameters
    ----------
    amplitude, onset, region
        As of :func:`pulse`.
    frequency : float, Quantity or DataArray
        Frequency [Hz].
    phase : float, Quantity or DataArray
        Phase at ``onset`` [rad].
    stop : float, Quantity or DataArray, optional
        Where it ends [ms]; without it it does not.

    Returns
    -------
    Stimulus

    Raises
    ------
    TypeError, ValueError
        As :func:`pulse`; also for a frequency that is not positive and a stop that is not after the onset. A run refuses a frequency
        of more than half a period per step.

    Examples
    --------
    >>> import brainunit as u, xmass as xm
    >>> xm.stimuli.sine(2.0, frequency=10 * u.Hz).at([0, 25, 75]).round(6).values.tolist()
    [0.0, 2.0, -2.0]
    """
    end = None if stop is None else part_of(stop, "ms", "stop")
    wave = Sine(part_of(frequency, "Hz", "frequency"), part_of(phase, "rad", "phase"), part_of(onset, "ms", "onset"), end)
    _positive("sine", frequency=wave.frequency)
    made = _made("sine", amplitude, wave, region)
    if end is not None:
        _not_less("sine", ("stop", end), ("onset", wave.onset), "it would end before it begins")
    return made


def ramp(amplitude: Any, *, onset: Any, width: Any, hold: Any = None, region: Iterable[Any] | None = None) -> Stimulus:
    """A line from 0 at ``onset`` to ``amplitude`` at ``onset + width``, which is held for ``hold``; then 0.

    Parameters
    ----------
    amplitude, onset, region
        As of :func:`pulse`.
    width : float, Quantity or DataArray
        How long it rises [ms].
    hold : float, Quantity or DataArray, optional
        How long it stays at ``amplitude`` [ms]; without it to the end of the run.

    Returns
    -------
    Stimulus

    Raises
    ------
    TypeError, ValueError
        As :func:`pulse`; also for a negative hold.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.stimuli.ramp(4.0, onset=10, width=20, hold=5).at([0, 15, 30, 34, 35]).values.tolist()
    [0.0, 1.0, 4.0, 4.0, 0.0]
    """
    kept = None if hold is None else part_of(hold, "ms", "hold")
    wave = Ramp(part_of(onset, "ms", "onset"), part_of(width, "ms", "width"), kept)
    _positive("ramp", width=wave.width)
    if kept is not None and bool((kept < 0).any()):
        raise ValueError(f"ramp got hold={_shown(kept)} ms, needs a time of 0 or more; without hold it stays to the end of the run.")
    return _made("ramp", amplitude, wave, region)


def from_dataarray(series: xr.DataArray) -> Stimulus:
    """A series over ``time``, each sample of which holds until the next; without ``time`` a constant.

    As an input of its own a DataArray needs no such wrapper. As a stimulus it may have some regions only, and is 0 in the others. It is
    also made by adding the DataArray to a stimulus.

    Parameters
    ----------
    series : DataArray
        ``time`` [ms] must cover the run; ``region``, with labels, and any run dims.

    Returns
    -------
    Stimulus

    Raises
    ------
    TypeError
        If it is no DataArray.
    ValueError
        For NaN, and dims that an input cannot have.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> steps = xr.DataArray([0.0, 1.0], dims="time", coords={"time": [0.0, 50.0]})
    >>> (xm.stimuli.from_dataarray(steps) + xm.stimuli.pulse(2.0, onset=10, width=5)).at([0, 10, 50]).values.tolist()
    [0.0, 2.0, 1.0]
    """
    if not isinstance(series, xr.DataArray):
        raise TypeError(
            f"from_dataarray got a {type(series).__name__}, needs a DataArray: xr.DataArray(values, dims='time', coords={{'time': ms}})."
        )
    return as_stimulus(series)


def _made(name: str, amplitude: Any, wave: Wave, region: Iterable[Any] | None) -> Stimulus:
    """A stimulus of one term, on the regions where it goes."""
    height = amplitude_of(amplitude, "amplitude")
    term = Term(name, height, wave)
    if region is not None:
        labels = _labels(region, name)
        placed = next((origin for origin, v in term.arrays() if REGION in v.dims), None)
        if placed is not None:
            raise ValueError(f"{name} got region={labels!r}, and the {placed} has the dim 'region': say once where it goes.")
        term = Term(name, on_regions(height, labels), wave)
    return Stimulus((term,))


def _labels(region: Iterable[Any], name: str) -> list[Any]:
    if isinstance(region, str | bytes) or not isinstance(region, Iterable) or not np.ndim(labels := np.asarray(region, dtype=object)):
        raise TypeError(f"{name} got region={region!r}, needs a list of labels: region=[{region!r}].")
    if not labels.size:
        raise ValueError(f"{name} got region=[], needs at least one label; without region it reaches all.")
    return [v.item() if isinstance(v, np.generic) else v for v in labels.tolist()]


def _shown(value: xr.DataArray) -> str:
    return (
        f"{float(value.min()):g}" if value.size == 1 or value.min() == value.max() else f"{float(value.min()):g} to {float(value.max()):g}"
    )


def _positive(name: str, **parts: xr.DataArray) -> None:
    for part, value in parts.items():
        if bool((value <= 0).any()):
            unit = "Hz" if part == "frequency" else "ms"
            raise ValueError(f"{name} got {part}={_shown(value)} {unit}, needs a positive {part}.")


def _not_less(name: str, large: tuple[str, xr.DataArray], small: tuple[str, xr.DataArray], why: str) -> None:
    """Compares two parameters at the labels of the runs; regions are compared by label too."""
    dims = Dims()
    for part, value in (large, small):
        dims.add(value, f"{part} of the {name}", skip=(TIME,))
    a, b = dims.align(large[1]), dims.align(small[1])
    if REGION in a.coords and REGION in b.coords:
        b = b.sel({REGION: a[REGION].values})
    if bool((a < b).any()):
        raise ValueError(f"{name} got {large[0]}={_shown(a)} ms and {small[0]}={_shown(b)} ms: {why}.")
