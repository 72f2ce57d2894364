"""One fixed point followed along a parameter until its stability changes: arrays only."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from xmass.analysis.newton import solve, weights_of

Field = Callable[[float, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Rates and Jacobian at a value of the parameter and a state vector."""

HOPF, FOLD, EXCHANGE = "hopf", "fold", "pitchfork or transcritical"
_SMALLEST = 1e-10
"""Step, as a part of the range, below which a branch counts as ended."""
_BEYOND = 1e-3
"""How far behind a crossing, as a part of the range, it is looked whether the branch goes on."""


class Spot(NamedTuple):
    """A fixed point at a value of the parameter, with its eigenvalues."""

    value: float
    x: np.ndarray
    modes: np.ndarray

    @property
    def lead(self) -> float:
        return float(self.modes.real.max())


class Crossing(NamedTuple):
    """Where the stability of a branch changes: angular frequency [rad/ms] 0 unless a pair crosses."""

    value: float
    x: np.ndarray
    frequency: float
    kind: str


class Ended(NamedTuple):
    """A branch without a crossing: what became of it, and its first and last point."""

    reason: str
    first: Spot
    last: Spot


class _LostError(Exception):
    """No fixed point near to the guess."""


def spot(field: Field, value: float, guess: np.ndarray, scale: np.ndarray) -> Spot | None:
    """The fixed point near to ``guess``, None where Newton's method does not contract to one."""
    x, before = guess, 0.2
    with np.errstate(all="ignore"):
        for _ in range(16):
            f, j = field(value, x)
            if not (np.isfinite(f).all() and np.isfinite(j).all()):
                return None
            step = solve(j[None], -f[None])[0]
            length = float(np.abs(step / (scale + np.abs(x))).max())
            if not length <= max(0.6 * before, 1e-9):
                return None
            x, before = x + step, length
            if length <= 1e-9:
                f, j = field(value, x)
                solved = np.abs(f) <= 1e-8 * weights_of(j[None], x[None], scale)[0]
                return Spot(value, x, np.linalg.eigvals(j)) if solved.all() else None
    return None


def follow(
    field: Field,
    start: np.ndarray,
    scale: np.ndarray,
    bounds: tuple[float, float],
    low: np.ndarray,
    high: np.ndarray,
    *,
    steps: int,
) -> Crossing | Ended:
    """Follow a fixed point from the first bound to the second, up to where its leading eigenvalue crosses zero or it ends in a fold.

    A step is at most the range over ``steps``, and halved until Newton's method stays near to the prediction; ``low`` and ``high``
    are bounds of the states.
    """
    first, last = bounds
    longest = (last - first) / steps
    step, passed = longest, []
    here = spot(field, first, start, scale)
    if here is None:
        raise ValueError("the fixed point at the first bound cannot be polished.")
    passed.append(here)
    beside = False
    while True:
        step = longest if abs(step) > abs(longest) else step
        value = last if abs(last - here.value) <= abs(step) * (1 + 1e-9) else here.value + step
        there = _next(field, passed, value, scale)
        if there is not None and value != last and not beside and abs(there.lead) <= 1e-9 * _size([*passed, there]):
            step, beside = 0.618 * (value - here.value), True  # on the crossing itself: what is to be seen is a change of sign
            continue
        if there is not None and here.lead * there.lead < 0 and max(abs(here.lead), abs(there.lead)) > 1e-9 * _size(passed):
            found = _crossing(field, passed, there, scale, last - first)
            if found is not None:
                return found
            there = None
        if there is None:
            step = 0.5 * (value - here.value)
            if abs(step) < _SMALLEST * abs(last - first):
                return _fold(field, passed, scale, last - first)
            continue
        if (there.x < low - 1e-9 * scale).any() or (there.x > high + 1e-9 * scale).any():
            return Ended("leaves the bounds of the states", passed[0], here)
        here, beside = there, False
        passed.append(here)
        if value == last:
            return Ended("is at the end of the bounds, without crossing zero", passed[0], here)
        step *= 2.0


def _size(passed: list[Spot]) -> float:
    """The largest eigenvalue along a branch: what others are held against."""
    return max(float(np.abs(s.modes).max()) for s in passed)


def _distance(x: np.ndarray, y: np.ndarray, scale: np.ndarray) -> float:
    return float(np.abs((x - y) / (scale + np.abs(y))).max())


def _line(a: Spot, b: Spot, value: float) -> np.ndarray:
    return a.x + (b.x - a.x) * ((value - a.value) / (b.value - a.value))


def _next(field: Field, passed: list[Spot], value: float, scale: np.ndarray) -> Spot | None:
    """The next point of the branch, None where the one found may belong to another."""
    here = passed[-1]
    guess = _line(passed[-2], here, value) if len(passed) > 1 else here.x
    there = spot(field, value, guess, scale)
    if there is None or _distance(there.x, guess, scale) > 0.05 or _distance(there.x, here.x, scale) > 0.2:
        return None
    return there


def _crossing(field: Field, passed: list[Spot], there: Spot, scale: np.ndarray, whole: float) -> Crossing | None:
    """The zero of the leading real part between two points; None if the points are not on one branch."""
    from scipy.optimize import brentq

    here = passed[-1]

    def lead(value: float) -> float:
        found = spot(field, value, _line(here, there, value), scale)
        if found is None:
            raise _LostError
        return found.lead

    try:
        value = brentq(lead, here.value, there.value, xtol=1e-14 * abs(whole), rtol=8.9e-16, maxiter=200)
    except _LostError:
        return None
    at = spot(field, value, _line(here, there, value), scale)
    if at is None or abs(at.lead) > 1e-6 * _size(passed):
        return None
    leading = at.modes[np.argmax(at.modes.real)]
    if abs(leading.imag) > 1e-7 * _size(passed):
        return Crossing(at.value, at.x, abs(float(leading.imag)), HOPF)
    return Crossing(at.value, at.x, 0.0, _real_kind(field, passed, value, scale, whole))


def _real_kind(field: Field, passed: list[Spot], value: float, scale: np.ndarray, whole: float) -> str:
    """Whether a branch goes on behind a zero eigenvalue: a straight line from well before it leads to a point of it, or to none."""
    before = [s for s in passed if abs(s.value - value) >= _BEYOND * abs(whole)] or passed[:1]
    on = value + _BEYOND * whole
    guess = _line(before[-2], before[-1], on) if len(before) > 1 else before[-1].x
    beyond = spot(field, on, guess, scale)
    return FOLD if beyond is None or _distance(beyond.x, guess, scale) > 0.02 else EXCHANGE


def _slow(spot: Spot) -> float:
    """The eigenvalue nearest to zero."""
    return float(spot.modes[np.argmin(np.abs(spot.modes))].real)


def _fold(field: Field, passed: list[Spot], scale: np.ndarray, whole: float) -> Crossing | Ended:
    """The end of a branch at which an eigenvalue is zero.

    Where two branches cross, rounding may part them, which looks like an end. At a fold the distance of the parameter goes with
    the square of the eigenvalue, and the state with the eigenvalue itself; both are taken on to where it is zero.
    """
    here = passed[-1]
    slow = _slow(here)
    if abs(slow) > 1e-2 * _size(passed):
        return Ended("ends", passed[0], here)
    for before in passed[-2::-1]:
        if _slow(before) ** 2 > 4.0 * slow**2 and _slow(before) * slow > 0:
            value = here.value + (here.value - before.value) * slow**2 / (_slow(before) ** 2 - slow**2)
            kind = _real_kind(field, passed, value, scale, whole)
            return Crossing(value, here.x + (here.x - before.x) * slow / (_slow(before) - slow), 0.0, kind)
    return Crossing(here.value, here.x, 0.0, FOLD)
