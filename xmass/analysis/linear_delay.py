"""Roots of a delayed system near a point: its infinitesimal generator on Chebyshev points, inverted around the point.

Breda, Maset, Vermiglio (2005), doi:10.1137/030601600. Arrays only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xmass.analysis.linear_blocks import Linear

_POINTS = 32
_STEPS = 80
_ROUGH = 1e-4
"""Relative accuracy of the inverse gaps: the roots that matter are refined afterwards."""


def chebyshev(points: int, length: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points from 0 down to ``-length``, their barycentric weights, and the differentiation matrix (Trefethen 2000, chapter 6)."""
    k = np.arange(points + 1)
    x = np.cos(np.pi * k / points)
    weight = (-1.0) ** k * np.where((k == 0) | (k == points), 0.5, 1.0)
    gap = x[:, None] - x + np.eye(points + 1)
    matrix = weight[None] / weight[:, None] / gap
    matrix -= np.diag(matrix.sum(axis=1))
    return 0.5 * length * (x - 1.0), weight, matrix * 2.0 / length


def interpolation(at: np.ndarray, nodes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Coefficients ``(..., node)`` that give a polynomial at other places from its values at the nodes."""
    gap = at[..., None] - nodes
    hit = np.abs(gap) < 1e-13 * np.abs(nodes).max()
    terms = weight / np.where(hit, 1.0, gap)
    found = terms / terms.sum(axis=-1, keepdims=True)
    return np.where(hit.any(axis=-1, keepdims=True), hit.astype(np.float64), found)


def roots_near(linear: Linear, shift: complex) -> np.ndarray:
    """Approximate characteristic roots nearest to ``shift``, by Arnoldi's method on the inverse."""
    from scipy.linalg import lu_factor, lu_solve

    n, s = linear.regions, linear.states
    size = n * s
    longest = max([float(e.delay[e.gain != 0].max(initial=0.0)) for c in linear.channels for e in c.edges], default=0.0)
    longest = max([longest, *(float(m.delay.max()) for m in linear.memories)])
    nodes, weight, d = chebyshev(_POINTS, longest)
    late = [(c, e.gain[:, :, None] * interpolation(-np.minimum(e.delay, longest), nodes, weight)) for c in linear.channels for e in c.edges]
    own = [(m, m.effect[:, :, None] * interpolation(-m.delay, nodes, weight)[:, None, :]) for m in linear.memories]
    inner = np.linalg.inv(d[1:, 1:] - shift * np.eye(_POINTS))
    follow = np.concatenate([[1.0], -inner @ d[1:, 0]])

    def arriving(history: np.ndarray) -> np.ndarray:
        """Delayed terms ``(state, region)`` of a history ``(node, state, region)``."""
        total = np.zeros((s, n), np.complex128)
        for c, gain in late:
            total += c.enters.T * np.einsum("ijk,kj->i", gain, np.einsum("ksj,js->kj", history, c.source), optimize=True)
        for m, effect in own:
            total += np.einsum("rsk,kr->sr", effect, history[:, m.of])
        return total

    start = np.zeros((s, n, s, n), np.complex128)
    each = np.arange(n)
    start[:, each, :, each] += linear.own()
    for c, gain in late:
        start += c.enters.T[:, :, None, None] * (gain @ follow)[None, :, None, :] * c.source.T[None, None]
    for m, effect in own:
        start[:, each, m.of, each] += (effect @ follow).T
    factors = lu_factor(start.reshape(size, size) - shift * np.eye(size))

    def inverse(vector: np.ndarray) -> np.ndarray:
        wanted = vector.reshape(_POINTS + 1, s, n)
        part = np.zeros((_POINTS + 1, s, n), np.complex128)
        part[1:] = np.tensordot(inner, wanted[1:], axes=1)
        now = lu_solve(factors, (wanted[0] - arriving(part)).reshape(size)).reshape(s, n)
        return (part + follow[:, None, None] * now).reshape(-1)

    found = _arnoldi(inverse, (_POINTS + 1) * size)
    return shift + 1.0 / found[found != 0]


def _arnoldi(operator: Callable[[np.ndarray], np.ndarray], size: int) -> np.ndarray:
    """The largest eigenvalues, as far as some steps of Arnoldi's method without restarts settle them."""
    steps = min(_STEPS, size)
    basis = np.zeros((steps + 1, size), np.complex128)
    hessenberg = np.zeros((steps + 1, steps), np.complex128)
    start = np.random.default_rng(0).normal(size=size)
    basis[0] = start / np.linalg.norm(start)
    for k in range(steps):
        after = operator(basis[k])
        for _ in range(2):  # twice is enough for orthogonality
            overlap = np.einsum("ks,s->k", basis[: k + 1].conj(), after)  # for so few numbers quicker than threads of BLAS
            hessenberg[: k + 1, k] += overlap
            after = after - np.einsum("k,ks->s", overlap, basis[: k + 1])
        hessenberg[k + 1, k] = np.linalg.norm(after)
        if abs(hessenberg[k + 1, k]) < 1e-13 * abs(hessenberg[: k + 1, : k + 1]).max():
            steps = k + 1
            break
        basis[k + 1] = after / hessenberg[k + 1, k]
    values, vectors = np.linalg.eig(hessenberg[:steps, :steps])
    unsettled = np.abs(hessenberg[steps, steps - 1] * vectors[-1]) if steps < len(basis) else np.zeros(len(values))
    return values[unsettled <= _ROUGH * np.abs(values)]
