"""The fixed point around which a network is linearised: which of several."""

from __future__ import annotations

import numpy as np

from xmass.analysis.newton import damped_newton, polished
from xmass.analysis.rates import Systems
from xmass.analysis.stability import find, start_count

_ROUNDS = 12
"""Stretches of 1000 steps that a system without noise is followed for."""


def rest_points(systems: Systems, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A fixed point per system ``(systems, size)``, NaN where there is none, and whether it is stable without delays.

    Candidates are where Newton's method leads from ``start (systems, size)`` and from where the system without noise and delays goes
    from there; the stable one nearest to the start is taken. Where none of them is stable, those that a search from many starts finds.
    """
    index = np.arange(systems.count)
    with np.errstate(all="ignore"):
        at, least, most = systems.ranges(start, index)
        ends = [at]
        for _ in range(_ROUNDS - 1):
            at, low, high = systems.ranges(at, index)
            ends.append(at)
            if np.abs(high - low).max(initial=0.0) < 1e-6:
                break
    calm = np.isfinite(ends[-1]).all(axis=1)
    scale = np.maximum(0.5 * np.where(calm[:, None], np.abs(most - least), 0.0) + 0.1 * np.abs(start), 0.5)
    tries = [start, ends[0], ends[len(ends) // 2], ends[-1]]
    x, owner = np.concatenate(tries), np.tile(index, len(tries))
    good = np.isfinite(x).all(axis=1)
    x, owner = x[good], owner[good]
    roots = damped_newton(systems.both, systems.value, x, owner, scale[owner])
    slack = 1e-9 * (scale[owner] + np.abs(roots))
    good = np.isfinite(roots).all(axis=1) & (roots >= systems.lower - slack).all(axis=1) & (roots <= systems.upper + slack).all(axis=1)
    roots, owner = roots[good], owner[good]
    jacobian = np.zeros((0, systems.equations.size, systems.equations.size))
    if len(roots):
        roots, jacobian, solved = polished(systems.both, roots, owner, scale[owner])
        roots, jacobian, owner = roots[solved], jacobian[solved], owner[solved]
    found, stable = _nearest(systems, roots, jacobian, owner, start, scale)
    if not stable.all():
        points = find(systems, {}, start_count(systems, None))
        more, also = _nearest(systems, points.x, points.jacobian, points.system, start, scale)
        better = ~stable & (also | np.isnan(found).any(axis=1))
        found[better], stable[better] = more[better], also[better]
    return found, stable


def _nearest(
    systems: Systems, roots: np.ndarray, jacobian: np.ndarray, owner: np.ndarray, start: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each system the stable root nearest to its start, else the nearest."""
    found, stable = np.full((systems.count, systems.equations.size), np.nan), np.zeros(systems.count, bool)
    decays = np.linalg.eigvals(jacobian).real.max(axis=1) < 0 if len(roots) else np.zeros(0, bool)
    gap = (np.abs(roots - start[owner]) / scale[owner]).max(axis=1) if len(roots) else np.zeros(0)
    for i in range(systems.count):
        own = np.flatnonzero(owner == i)
        if len(own):
            pool = own[decays[own]] if decays[own].any() else own
            best = pool[np.argmin(gap[pool])]
            found[i], stable[i] = roots[best], decays[best]
    return found, stable
