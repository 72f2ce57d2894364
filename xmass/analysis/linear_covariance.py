"""Covariances and spectra of a linear network under noise: by a Lyapunov equation, or by an integral over frequency."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmass.analysis.linear_blocks import Linear, Readout
from xmass.analysis.linear_bold import Balloon
from xmass.analysis.linear_quadrature import integrate
from xmass.analysis.linear_roots import frequencies
from xmass.analysis.linear_transfer import filtered
from xmass.core.noise import OUProcess

LYAPUNOV = "Lyapunov equation"
INTEGRAL = "integral over frequency"


class Observed(NamedTuple):
    """What is observed: a readout, or the BOLD signal of one."""

    name: str
    readout: Readout
    balloon: Balloon | None = None


class Covariances(NamedTuple):
    """Covariances ``(observed, region, region)``, their relative error, how they were found, and whether the tolerance was met."""

    values: np.ndarray
    error: float
    method: str
    reached: bool


Pairs = tuple[tuple[int, int], ...]
"""Places of two observed quantities: the first in the rows, the second in the columns of their covariance."""


def covariances(linear: Linear, observed: tuple[Observed, ...], pairs: Pairs, near: np.ndarray, tolerance: float) -> Covariances:
    """Covariances of a stable network, of each observed quantity and then of each pair; ``near`` are its roots near the axis."""
    if not linear.delayed and all(e.density.rational for e in linear.entries):
        return Covariances(_lyapunov(linear, observed, pairs), 1e-12, LYAPUNOV, True)
    extra = [np.linalg.eigvals(o.balloon.local).reshape(-1) for o in observed if o.balloon is not None]
    extra += [-1.0 / e.density.values["tau"] for e in linear.entries if isinstance(e.density.process, OUProcess)]
    marks = np.concatenate([near, *extra]).astype(np.complex128)
    size = max(float(np.abs(marks).max()), linear.reach(0.0), *(e.density.fastest for e in linear.entries))

    def integrand(w: np.ndarray) -> np.ndarray:
        both = [np.concatenate([parts.real, parts.imag], axis=2) for parts in shaped(linear, observed, w)]
        each = (*((i, i) for i in range(len(both))), *pairs)
        return np.stack([np.matmul(both[i], both[j].transpose(0, 2, 1)) / np.pi for i, j in each], axis=1)

    def size_of(total: np.ndarray) -> np.ndarray:
        own = np.diagonal(total[: len(observed)], axis1=1, axis2=2).max(axis=1)
        return np.concatenate([own, [np.sqrt(max(own[i] * own[j], 0.0)) for i, j in pairs]])

    block = max(2_000_000 // (15 * linear.regions**2 * max(len(linear.channels), 1) ** 2), 1)
    found = integrate(integrand, frequencies(marks, size), size_of, tolerance, block=block)
    return Covariances(found.value, float((found.error / np.maximum(size_of(found.value), 1e-300)).max()), INTEGRAL, found.reached)


def shaped(linear: Linear, observed: tuple[Observed, ...], w: np.ndarray) -> list[np.ndarray]:
    """Of each observed quantity what unit white noise makes of it ``(n, region, source)``."""
    found = filtered(linear, tuple(o.readout for o in observed), w)
    return [f if o.balloon is None else o.balloon.gain(w)[:, :, None] * f for f, o in zip(found, observed, strict=True)]


def cross_spectra(linear: Linear, observed: tuple[Observed, ...], pairs: Pairs, hertz: np.ndarray) -> np.ndarray:
    """One-sided densities per Hz ``(observed and pairs, frequency, region, region)``, complex."""
    made = shaped(linear, observed, 2e-3 * np.pi * hertz)
    each = (*((i, i) for i in range(len(made))), *pairs)
    return np.stack([2e-3 * np.matmul(made[i], made[j].conj().transpose(0, 2, 1)) for i, j in each])


def _lyapunov(linear: Linear, observed: tuple[Observed, ...], pairs: Pairs) -> np.ndarray:
    """Covariances from the equation A P + P A' + D = 0 of states, coloured noises and BOLD together."""
    from scipy.linalg import solve_continuous_lyapunov

    n, s = linear.regions, linear.states
    coloured = [e for e in linear.entries if not e.white]
    balloons = [o for o in observed if o.balloon is not None]
    total = n * (s + len(coloured) + 4 * len(balloons))
    a, d = np.zeros((total, total)), np.zeros((total, total))
    each = np.arange(n)
    a[: n * s, : n * s] = linear.jacobian()
    place = {e.path: n * (s + k) for k, e in enumerate(coloured)}
    for e in linear.entries:
        root = np.eye(n) if e.root is None else e.root
        if e.white:
            enters = (e.enters.T[:, :, None] * e.density(np.zeros(1))[0][None, :, None] ** 0.5 * root).reshape(n * s, n)
            d[: n * s, : n * s] += enters @ enters.T
            continue
        first, tau = place[e.path], e.density.values["tau"]
        own = slice(first, first + n)
        a[first + each, first + each] = -1.0 / tau
        spread = (e.density.values["sigma"] * np.sqrt(2.0 / tau))[:, None] * root
        d[own, own] = spread @ spread.T
        for k in range(s):
            a[k * n + each, first + each] = e.enters[:, k]

    def reading(readout: Readout) -> np.ndarray:
        rows = np.zeros((n, total))
        for k in range(s):
            rows[each, k * n + each] = readout.states[:, k]
        for c in linear.channels:
            current = c.gain + np.diag(c.own)
            for k in range(s):
                rows[:, k * n : (k + 1) * n] += readout.inputs[c.target][:, None] * current * c.source[:, k]
        for e in coloured:
            rows[each, place[e.path] + each] += readout.inputs[e.target]
        return rows

    found = []
    first = n * (s + len(coloured))
    for o in observed:
        rows = reading(o.readout)
        if o.balloon is not None:
            blocks = [slice(first + k * n, first + (k + 1) * n) for k in range(4)]
            for k, own in enumerate(blocks):
                a[own] += o.balloon.enters[:, k, None] * rows
                for j, other in enumerate(blocks):
                    a[own.start + each, other.start + each] += o.balloon.local[:, k, j]
            rows = np.zeros((n, total))
            for k, own in enumerate(blocks):
                rows[each, own.start + each] = o.balloon.reads[:, k]
            first += 4 * n
        found.append(rows)
    p = solve_continuous_lyapunov(a, -d)
    p = 0.5 * (p + p.T)
    matrices = [r @ p @ r.T for r in found]
    return np.stack([*(0.5 * (c + c.T) for c in matrices), *(found[i] @ p @ found[j].T for i, j in pairs)])
