"""The rightmost root of the characteristic equation of a network with delays.

Candidates come from Newton's method on the characteristic matrix (successive linear problems, Ruhe 1973, doi:10.1137/0710059). That
none is further to the right is shown by the argument principle: the number of roots right of a line is an integral along it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmass.analysis.linear_blocks import Linear
from xmass.analysis.linear_quadrature import integrate
from xmass.analysis.linear_transfer import log_slope

_STEPS = 40
_ROUNDS = 8
_SEEDS = 6
_MARKED = 24
"""Roots whose frequencies become edges of panels; the panels are halved where the others are."""
_COUNT_TOLERANCE = 0.05


class Rightmost(NamedTuple):
    """The rightmost root, whether a count has shown that none is further right, and roots near to the axis."""

    root: complex
    shown: bool
    near: np.ndarray


def rightmost(linear: Linear) -> Rightmost:
    """The rightmost root [1/ms]; of a pair the one with positive frequency."""
    known = np.linalg.eigvals(linear.jacobian())
    order = np.argsort(-known.real)
    if not linear.delayed:
        lead = known[order[0]]
        return Rightmost(complex(lead.real, abs(lead.imag)), True, known)
    size = max(float(np.abs(known).max()), 1e-300)
    # off the real axis, which the iteration would never leave
    starts = [complex(z.real, abs(z.imag) + 0.05 * size) for z in _apart(known[order], _SEEDS)]
    roots: list[complex] = []
    near = np.zeros(0, np.complex128)
    for _ in range(_ROUNDS):
        for start in starts:
            found, around = newton(linear, start)
            if found is not None:
                roots.append(complex(found.real, abs(found.imag) if abs(found.imag) > 1e-9 * abs(found) else 0.0))
                near = np.concatenate([near, around])
        best = max(roots, key=lambda z: z.real, default=None)
        line = float(known.real.max()) if best is None else best.real + max(0.02 * abs(best.real), 1e-6 * size)
        inside, peaks = count(linear, line, np.array(roots, np.complex128))
        if inside == 0 and best is not None:
            return Rightmost(best, True, near)
        starts = [complex(line, w) for w in peaks]
    return Rightmost(max(roots, key=lambda z: z.real, default=complex(np.nan, np.nan)), False, near)


def _apart(values: np.ndarray, most: int) -> np.ndarray:
    """The first values of either sign of frequency that differ."""
    kept: list[complex] = []
    for z in values[values.imag >= 0]:
        if all(abs(z - k) > 1e-3 * abs(z) for k in kept):
            kept.append(z)
        if len(kept) == most:
            break
    return np.array(kept, np.complex128)


def newton(linear: Linear, start: complex) -> tuple[complex | None, np.ndarray]:
    """A root near to a start, and the roots that the equation linearised there has close by."""
    z, scale = start, max(abs(start), 1e-12)
    size = linear.regions * linear.states
    for _ in range(_STEPS):
        matrix = z * np.eye(size) - linear.jacobian(z)
        slope = np.eye(size) - linear.slope(z)
        try:
            gaps = np.linalg.eigvals(np.linalg.solve(slope, matrix))
        except np.linalg.LinAlgError:
            return None, np.zeros(0, np.complex128)
        step = gaps[np.argmin(np.abs(gaps))]
        if not np.isfinite(step):
            return None, np.zeros(0, np.complex128)
        z, scale = z - step, max(scale, abs(z))
        if abs(step) <= 1e-11 * scale:
            return z, z - gaps[np.abs(gaps) < 0.3 * scale]
    return None, np.zeros(0, np.complex128)


def count(linear: Linear, line: float, near: np.ndarray) -> tuple[int, np.ndarray]:
    """How many roots have a real part above ``line``, and at which frequencies to look for them.

    The change of the argument of the characteristic function, divided by ``(z + c)^n`` so that it ends at 1, along the line: the integral of
    its logarithmic derivative up to a frequency beyond all roots, and from there on the sum of principal values of its eigenvalues.

    Raises
    ------
    ValueError
        If the count is not near a whole number: a root lies on the line.
    """
    order, reach = linear.regions * linear.states, linear.reach(line)
    shift = reach + 2.0 * abs(line)
    last = 2.0 * (reach + shift)
    seen_w: list[np.ndarray] = []
    seen: list[np.ndarray] = []

    def integrand(w: np.ndarray) -> np.ndarray:
        z = line + 1j * w
        value = (log_slope(linear, z) - order / (z + shift)).real / np.pi
        seen_w.append(w)
        seen.append(value)
        return value[:, None]

    edges = frequencies(near - line, reach)
    edges = np.append(edges[edges < last], last)
    made = integrate(integrand, edges, lambda total: np.ones(1), _COUNT_TOLERANCE, tail=False, block=8)
    end = line + 1j * last
    rest = np.linalg.eigvals((linear.jacobian(end) + shift * np.eye(order)) / (end + shift))
    inside = -float(made.value[0]) + float(np.log(1.0 - rest).imag.sum()) / np.pi
    if not made.reached or abs(inside - round(inside)) > 4 * _COUNT_TOLERANCE:
        raise ValueError(
            f"the number of characteristic roots right of {line:.4g} per ms came out as {inside:.3f}, no whole number: a root lies too near "
            "to this line to tell its side. Change a parameter a little."
        )
    w, value = np.concatenate(seen_w), -np.concatenate(seen)
    sorted_w = np.argsort(w)
    w, value = w[sorted_w], value[sorted_w]
    inner = np.flatnonzero((value[1:-1] > value[:-2]) & (value[1:-1] >= value[2:])) + 1
    top = inner[np.argsort(-value[inner])][:_SEEDS]
    return round(inside), np.concatenate([w[top], [0.0]])


def frequencies(near: np.ndarray, size: float) -> np.ndarray:
    """Edges of panels that resolve the slowest roots, and everything up to several times the size of the equations."""
    floor = 1e-9 * size
    width = np.maximum(np.abs(near.real), floor)
    slowest = min(float(width.min(initial=size)), size) / 4
    edges = list(np.geomspace(slowest, 8 * size, 2 + int(np.log2(8 * size / slowest))))
    for z, wide in sorted(zip(near, width, strict=True), key=lambda pair: pair[1])[:_MARKED]:
        edges += [w for w in (abs(z.imag) + f * wide for f in (-4.0, -1.0, 0.0, 1.0, 4.0)) if w > 0]
    edges.sort()
    kept = [edges[0]]
    for w in edges[1:]:
        if w - kept[-1] > 0.2 * slowest:
            kept.append(w)
    return np.array(kept)
