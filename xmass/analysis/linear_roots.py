"""The rightmost root of the characteristic equation of a network with delays.

Candidates come from the generator of the delay equation, refined by inverse iteration on the characteristic matrix (Ruhe 1973,
doi:10.1137/0710059). That none is further to the right is shown by the argument principle: the number of roots right of a line is an
integral along it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmass.analysis.linear_blocks import Linear
from xmass.analysis.linear_delay import roots_near
from xmass.analysis.linear_quadrature import integrate
from xmass.analysis.linear_transfer import log_slope

_STEPS = 20
_ROUNDS, _FEW_ROUNDS = 8, 2
_SEEDS = 6
_SMALL = 64
"""Unknowns of a network that is small enough for many counts."""
_MARKED = 24
"""Roots whose frequencies become edges of panels; the panels are halved where the others are."""
_COUNT_TOLERANCE = 0.05


class Rightmost(NamedTuple):
    """The rightmost root, whether a count shows that none is further right, and roots near to the axis."""

    root: complex
    shown: bool
    near: np.ndarray


def rightmost(linear: Linear) -> Rightmost:
    """The rightmost root [1/ms]; of a pair the one with positive frequency.

    With delays the roots right of the imaginary axis are counted in every case, so that stability is shown. That a stable root is the
    rightmost one is shown by a count just right of it.
    """
    known = np.linalg.eigvals(linear.jacobian())
    order = np.argsort(-known.real)
    if not linear.delayed:
        lead = known[order[0]]
        return Rightmost(complex(lead.real, abs(lead.imag)), True, known)
    size = max(float(np.abs(known).max()), 1e-300)
    inside, peaks = count(linear, 0.0, known)
    marks = [0.0, *(abs(z.imag) for z in _apart(known[order], 2)), *peaks[:3]]
    near = np.concatenate([roots_near(linear, complex(0.01 * size, w)) for w in _different(marks, 0.02 * size)])
    starts = list(_apart(np.abs(near.imag) * 1j + near.real, len(near)))
    starts = sorted(starts, key=lambda z: -z.real)[:3]
    roots: list[complex] = []
    for _ in range(_ROUNDS if len(known) <= _SMALL else _FEW_ROUNDS):
        for start in starts:
            found = newton(linear, start)
            if found is not None:
                roots.append(complex(found.real, abs(found.imag) if abs(found.imag) > 1e-9 * abs(found) else 0.0))
        if not roots:
            break
        best = max(roots, key=lambda z: z.real)
        near = np.concatenate([near, np.array(roots, np.complex128)])
        if inside:
            return Rightmost(best, best.real > 0, near)
        line = best.real + max(0.02 * abs(best.real), 1e-6 * size)
        beyond, peaks = count(linear, line, near)
        if beyond == 0:
            return Rightmost(best, True, near)
        starts = [complex(line, w) for w in peaks]
    return Rightmost(max(roots, key=lambda z: z.real, default=complex(np.inf if inside else -np.inf)), False, near)


def _different(values: list[float], gap: float) -> list[float]:
    kept: list[float] = []
    for v in values:
        if all(abs(v - k) > gap for k in kept):
            kept.append(v)
    return kept


def _apart(values: np.ndarray, most: int) -> np.ndarray:
    """The first values of either sign of frequency that differ."""
    kept: list[complex] = []
    for z in values[values.imag >= 0]:
        if all(abs(z - k) > 1e-3 * abs(z) for k in kept):
            kept.append(z)
        if len(kept) == most:
            break
    return np.array(kept, np.complex128)


def newton(linear: Linear, start: complex) -> complex | None:
    """A root near to a start, by inverse iteration on the characteristic matrix; None if it does not settle."""
    from scipy.linalg import lu_factor, lu_solve

    z, scale = start, max(abs(start), 1e-12)
    identity = np.eye(linear.regions * linear.states)
    vector = np.random.default_rng(0).normal(size=(len(identity), 2)) @ np.array([1.0, 1.0j])
    for turn in range(_STEPS):
        matrix, slope = z * identity - linear.jacobian(z), identity - linear.slope(z)
        try:
            factors = lu_factor(matrix, check_finite=False)
            for _ in range(4 if turn == 0 else 1):
                vector = vector / np.linalg.norm(vector)
                after = lu_solve(factors, slope @ vector, check_finite=False)
                overlap = np.vdot(vector, after)
                before, vector = vector, after
        except (np.linalg.LinAlgError, ValueError):
            return z
        step = np.vdot(before, before) / overlap if overlap else np.inf
        if not np.isfinite(step) or not np.isfinite(vector).all():
            return z if turn and abs(z) < np.inf and np.isfinite(z) and np.linalg.norm(matrix @ before) <= 1e-9 * scale else None
        z, scale = z - step, max(scale, abs(z))
        if abs(z) > 1e6 * scale:
            return None
        if abs(step) <= 1e-11 * scale:
            return complex(z)
    return None


def count(linear: Linear, line: float, near: np.ndarray) -> tuple[int, np.ndarray]:
    """How many roots have a real part above ``line``, and at which frequencies to look for them.

    The change of the argument of the characteristic function, divided by ``(z + c)^n`` so that it ends at 1, along the line: the integral
    of its logarithmic derivative up to a frequency beyond all roots, and from there on the sum over principal values of logarithms.

    Raises
    ------
    ValueError
        If the count is not near a whole number: a root lies on the line.
    """
    order, reach = linear.regions * linear.states, linear.reach(line)
    # at the last frequency every eigenvalue of (A + shift) / (z + shift) is smaller than 1
    shift = 0.1 * reach + 2.0 * abs(line)
    last = 1.1 * float(np.sqrt((reach + shift) ** 2 - shift**2)) + abs(line)
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
            f"the number of characteristic roots right of {line:.4g} per ms came out as {inside:.3f}, no whole number: a root lies too "
            "near to this line to tell its side. Change a parameter a little."
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
