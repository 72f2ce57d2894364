"""Shapes of stimuli in time, without unit and at most 1 in size: evaluated on the host, block by block, in float64."""

from __future__ import annotations

import abc
from types import SimpleNamespace
from typing import Any, ClassVar

import equinox as eqx
import numpy as np


class Wave(eqx.Module):
    """A shape in time. Its fields are the parameters of the shape; None is a parameter that is left out.

    A step takes the shape at its start. ``slack`` is the rounding of a time, a small part of a step: an edge that is nearer than that
    to the start of a step lies on it.
    """

    units: ClassVar[dict[str, str]]
    """Unit of every field."""
    shortest: ClassVar[str] = "a width"
    """What :meth:`span` gives second."""

    @abc.abstractmethod
    def shape(self, at: np.ndarray, slack: float, p: SimpleNamespace) -> np.ndarray:
        """Values at times [ms]; ``p`` has the fields as numbers or arrays that broadcast against ``at``."""

    @abc.abstractmethod
    def span(self, p: SimpleNamespace) -> tuple[float, float]:
        """A time [ms] at which the shape has been seen, and the length of its shortest part; ``p`` has one number for each field."""


class Pulse(Wave):
    """1 from ``onset`` until ``onset + width``, which it does not include."""

    units: ClassVar[dict[str, str]] = {"onset": "ms", "width": "ms"}

    onset: Any
    width: Any

    def shape(self, at: np.ndarray, slack: float, p: SimpleNamespace) -> np.ndarray:
        return (at >= p.onset - slack) & (at < p.onset + p.width - slack)

    def span(self, p: SimpleNamespace) -> tuple[float, float]:
        return p.onset + 1.5 * p.width, p.width


class PulseTrain(Wave):
    """``count`` pulses, one every ``period``, the first at ``onset``; without a count they never end."""

    units: ClassVar[dict[str, str]] = {"onset": "ms", "width": "ms", "period": "ms", "count": "1"}

    onset: Any
    width: Any
    period: Any
    count: Any = None

    def shape(self, at: np.ndarray, slack: float, p: SimpleNamespace) -> np.ndarray:
        since = at - p.onset + slack
        number = np.floor(since / p.period)
        on = (number >= 0) & (since - number * p.period < p.width)
        return on if p.count is None else on & (number < p.count)

    def span(self, p: SimpleNamespace) -> tuple[float, float]:
        return p.onset + p.period * (5 if p.count is None else p.count), p.width


class Sine(Wave):
    """``sin(2 pi frequency (t - onset) + phase)`` from ``onset`` until ``stop``, and 0 outside; without a stop it never ends."""

    shortest: ClassVar[str] = "half a period"
    units: ClassVar[dict[str, str]] = {"frequency": "Hz", "phase": "rad", "onset": "ms", "stop": "ms"}

    frequency: Any
    phase: Any = 0.0
    onset: Any = 0.0
    stop: Any = None

    def shape(self, at: np.ndarray, slack: float, p: SimpleNamespace) -> np.ndarray:
        on = at >= p.onset - slack
        on = on if p.stop is None else on & (at < p.stop - slack)
        return on * np.sin(2e-3 * np.pi * p.frequency * (at - p.onset) + p.phase)  # Hz times ms is 1e-3

    def span(self, p: SimpleNamespace) -> tuple[float, float]:
        period = 1000.0 / p.frequency
        return (p.onset + 4 * period if p.stop is None else p.stop + 0.5 * period), period / 2


class Ramp(Wave):
    """From 0 at ``onset`` to 1 at ``onset + width``, held for ``hold``, then 0; without a hold it stays."""

    units: ClassVar[dict[str, str]] = {"onset": "ms", "width": "ms", "hold": "ms"}

    onset: Any
    width: Any
    hold: Any = None

    def shape(self, at: np.ndarray, slack: float, p: SimpleNamespace) -> np.ndarray:
        rise = np.clip((at - p.onset) / p.width, 0.0, 1.0)
        return rise if p.hold is None else rise * (at < p.onset + p.width + p.hold - slack)

    def span(self, p: SimpleNamespace) -> tuple[float, float]:
        return p.onset + 1.5 * p.width + (0.0 if p.hold is None else p.hold), p.width
