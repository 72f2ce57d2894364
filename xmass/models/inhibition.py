r"""Feedback inhibition control of the reduced Wong-Wang model in closed form, on plain arrays.

At a fixed point all states follow from one rate of the excitatory population, so the local inhibition that gives every region
a wanted rate needs no iteration:

.. math:: J_i = (w_p J_N S_E^* + W_e I_o + I_{ext} + J_N c_i - x^*) / S_I^*, \qquad c_i = G \sum_j W_{ij} S_{E,j}^*

with :math:`x^*` the input current at which the wanted rate is reached, :math:`S_E^* = \tau\gamma H/(1 + \tau\gamma H)`, and
:math:`S_I^*` from the equation of the inhibitory population. The control by iteration of Deco et al. 2014
(doi:10.1523/JNEUROSCI.5068-13.2014) converges to the same in a network without noise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Array = Any
"""A number, a numpy array or a JAX array: the formulas below are written for all of them."""

NEWTON_STEPS = 200
BISECTIONS = 60


class ExcInhParameters(NamedTuple):
    """Parameters of ``WongWangExcInhStep`` (nA, ms, Hz), by their names there; each a number or an array over regions."""

    a_e: Array = 310.0
    b_e: Array = 125.0
    d_e: Array = 0.160
    gamma_e: Array = 0.641 / 1000
    tau_e: Array = 100.0
    w_p: Array = 1.4
    W_e: Array = 1.0
    a_i: Array = 615.0
    b_i: Array = 177.0
    d_i: Array = 0.087
    gamma_i: Array = 1.0 / 1000
    tau_i: Array = 10.0
    W_i: Array = 0.7
    J_N: Array = 0.15
    J_i: Array = 1.0
    J_ii: Array = 1.0
    I_o: Array = 0.382
    I_ext: Array = 0.0
    lamda: Array = 0.0


class OperatingPoint(NamedTuple):
    """The excitatory population at the wanted rate: rate [Hz], input current [nA] and gating variable [1]."""

    rate: Array
    current: Array
    S_e: Array


def transfer(x: Array, a: Array, b: Array, d: Array) -> tuple[np.ndarray, np.ndarray]:
    """The rate ``u / (1 - exp(-d u))`` [Hz] with ``u = a x - b``, and its derivative by ``x`` [Hz/nA]."""
    z = np.asarray(d) * (np.asarray(a) * x - b)
    small = np.abs(z) < 1e-2  # there the quotients lose digits, and the series are exact to 1e-16
    safe = np.where(small, 1.0, z)
    decay = np.exp(-np.abs(safe))  # of the absolute value: nothing overflows in a silent population
    positive = safe > 0
    ratio = np.abs(safe) * np.where(positive, 1.0, decay) / (1 - decay)
    slope = np.where(positive, 1 - (1 + safe) * decay, decay**2 - (1 + safe) * decay) / (1 - decay) ** 2
    ratio = np.where(small, 1 + z / 2 + z**2 / 12 - z**4 / 720, ratio)
    slope = np.where(small, 0.5 + z / 6 - z**3 / 180 + z**5 / 5040, slope)
    return ratio / d, slope * a


def rest_rate(p: ExcInhParameters) -> np.ndarray:
    """Rate [Hz] of the excitatory population of one uncoupled region with ``p.J_i``: its lowest fixed point without noise."""
    shape = np.broadcast_shapes(*(np.shape(value) for value in p))
    low, high = np.zeros(shape), np.ones(shape)
    grid = np.linspace(0, 1, 2001).reshape(-1, *(1,) * len(shape))
    falls = _excitatory_drift(p, grid + low) <= 0  # it is positive at 0 and negative at 1, so it falls through zero in between
    first = np.argmax(falls, axis=0)
    high, low = grid[first].reshape(shape), grid[first - 1].reshape(shape)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        down = _excitatory_drift(p, middle) <= 0
        low, high = np.where(down, low, middle), np.where(down, middle, high)
    return high / (np.asarray(p.tau_e) * p.gamma_e * (1 - high))


def operating_point(p: ExcInhParameters, target_rate: ArrayLike | None = None) -> OperatingPoint:
    """Where the excitatory population fires at ``target_rate`` [Hz], by default that of an uncoupled region at rest."""
    rate = rest_rate(p) if target_rate is None else np.asarray(target_rate, dtype=np.float64)
    gain, b, d = (np.asarray(value) for value in (p.a_e, p.b_e, p.d_e))
    drive = rate + 0 * gain * d  # the transfer function is convex and lies above the identity: Newton falls onto the root
    for _ in range(NEWTON_STEPS):
        value, slope = transfer(drive, 1.0, 0.0, d)
        change = (value - rate) / slope
        drive = drive - change
        if np.all(np.abs(change) <= 1e-13 * np.maximum(1, np.abs(drive))):
            break
    else:
        raise ArithmeticError(f"no input current gives a rate of {rate} Hz.")
    active = np.asarray(p.tau_e) * p.gamma_e * rate
    return OperatingPoint(rate=rate + 0 * drive, current=(drive + b) / gain, S_e=active / (1 + active))


def inhibitory_gating(p: ExcInhParameters, S_e: ArrayLike, coupling: ArrayLike = 0.0) -> np.ndarray:
    """``S_I`` at the fixed point for given ``S_E`` and coupling ``c``."""
    current = np.asarray(p.J_N) * S_e + np.asarray(p.W_i) * p.I_o + np.asarray(p.lamda) * p.J_N * coupling
    S_i = np.zeros(np.broadcast_shapes(current.shape, *(np.shape(v) for v in (p.a_i, p.b_i, p.d_i, p.gamma_i, p.tau_i, p.J_ii))))
    gain = np.asarray(p.tau_i) * p.gamma_i
    for _ in range(NEWTON_STEPS):  # S_i - gain H(current - J_ii S_i) rises and is concave: from the left, Newton never overshoots
        rate, slope = transfer(current - p.J_ii * S_i, p.a_i, p.b_i, p.d_i)
        change = (gain * rate - S_i) / (1 + gain * p.J_ii * slope)
        S_i = S_i + change
        if np.all(np.abs(change) <= 1e-15):
            break
    return S_i


def controlled_inhibition(p: ExcInhParameters, point: OperatingPoint, coupling: Array) -> Array:
    """``J_i`` [nA] that holds the rate at ``point`` when the coupling input is ``coupling``.

    With ``lamda = 0`` it is a straight line in ``coupling``, which may then be anything that multiplies and adds.
    """
    fixed = np.asarray(p.w_p) * p.J_N * point.S_e + np.asarray(p.W_e) * p.I_o + p.I_ext - point.current
    if np.any(np.asarray(p.lamda) != 0):
        return (fixed + p.J_N * coupling) / inhibitory_gating(p, point.S_e, coupling)
    S_i = inhibitory_gating(p, point.S_e)
    return fixed / S_i + (p.J_N / S_i) * coupling


def inhibition_weights(strength: Array, G: Array, *, target_rate: ArrayLike | None = None, **parameters: ArrayLike) -> Array:
    """``J_i`` [nA] for the sum of the weights onto each region, where all regions have the same parameters and target.

    With the parameters of the model it is ``1 + 0.63015 G strength``. ``parameters`` are the fields of `ExcInhParameters`.

    Examples
    --------
    >>> round(float(inhibition_weights(2.0, 0.4)), 4)
    1.5041
    """
    p = ExcInhParameters(**parameters)
    point = operating_point(p, target_rate)
    return controlled_inhibition(p, point, G * strength * point.S_e)


def network_jacobian(p: ExcInhParameters, point: OperatingPoint, weights: np.ndarray, G: float) -> np.ndarray:
    """Derivative [1/ms] of the ``2 N`` states ``(S_E, S_I)`` of a network at its controlled fixed point, without noise."""
    n = len(weights)
    p = ExcInhParameters(*(np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)) for value in p))
    rate, current, S_e = (np.broadcast_to(value, (n,)) for value in point)
    coupling = G * (weights @ S_e)
    S_i = inhibitory_gating(p, S_e, coupling)
    J_i = controlled_inhibition(p, point, coupling)
    e = (1 - S_e) * p.gamma_e * transfer(current, p.a_e, p.b_e, p.d_e)[1]
    i = p.gamma_i * transfer(p.J_N * S_e - p.J_ii * S_i + p.W_i * p.I_o + p.lamda * p.J_N * coupling, p.a_i, p.b_i, p.d_i)[1]
    ee = np.diag(-1 / p.tau_e - p.gamma_e * rate + e * p.w_p * p.J_N) + (e * p.J_N)[:, None] * (G * weights)
    ie = np.diag(i * p.J_N) + (i * p.lamda * p.J_N)[:, None] * (G * weights)
    return np.block([[ee, np.diag(-e * J_i)], [ie, np.diag(-1 / p.tau_i - i * p.J_ii)]])


def critical_coupling(p: ExcInhParameters, point: OperatingPoint, weights: np.ndarray) -> float:
    """The smallest ``G > 0`` at which an eigenvalue of the controlled network reaches zero; infinite if none does.

    Without feed-forward inhibition ``J_i`` is a line in ``G``, so the states of zero eigenvalue solve
    ``A v = G (W - diag(s)) v``: one eigenvalue problem of the size of the network. What it cannot see, an oscillation that
    grows before, is looked for in the full system.
    """
    if all(np.ptp(value) == 0 for value in (*p, *point)):
        p = ExcInhParameters(*(np.ravel(value)[0] for value in p))
        point = OperatingPoint(*(np.ravel(value)[0] for value in point))
    if _leading(p, point, weights, 0.0) >= 0:
        return 0.0
    if np.any(np.asarray(p.lamda) != 0):
        return _bisect(p, point, weights, *_bracket(p, point, weights))
    G = _zero_eigenvalue(p, point, weights)
    if _cannot_oscillate(p, point, weights, G):
        return G
    if np.isfinite(G) and _leading(p, point, weights, (1 - 1e-6) * G) < 0:
        return G
    stable, unstable = _bracket(p, point, weights)
    return _bisect(p, point, weights, stable, min(unstable, G))


def _excitatory_drift(p: ExcInhParameters, S_e: np.ndarray) -> np.ndarray:
    current = np.asarray(p.w_p) * p.J_N * S_e - p.J_i * inhibitory_gating(p, S_e) + np.asarray(p.W_e) * p.I_o + p.I_ext
    return -S_e / p.tau_e + (1 - S_e) * p.gamma_e * transfer(current, p.a_e, p.b_e, p.d_e)[0]


def _slopes(p: ExcInhParameters, point: OperatingPoint) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Decay of E, decay of I, gain of E by its current, gain of I by its current; all 1/ms, without feed-forward inhibition."""
    S_i = inhibitory_gating(p, point.S_e)
    e = (1 - point.S_e) * p.gamma_e * transfer(point.current, p.a_e, p.b_e, p.d_e)[1]
    i = p.gamma_i * transfer(np.asarray(p.J_N) * point.S_e - p.J_ii * S_i + np.asarray(p.W_i) * p.I_o, p.a_i, p.b_i, p.d_i)[1]
    return 1 / np.asarray(p.tau_e) + p.gamma_e * point.rate, 1 / np.asarray(p.tau_i) + i * p.J_ii, e, i


def _zero_eigenvalue(p: ExcInhParameters, point: OperatingPoint, weights: np.ndarray) -> float:
    decay_e, decay_i, e, i = _slopes(p, point)
    follows = i * p.J_N / decay_i  # dS_I by dS_E at zero frequency
    isolated = controlled_inhibition(p, point, 0.0)
    per_coupling = controlled_inhibition(p, point, 1.0) - isolated
    n = len(weights)
    stable = np.broadcast_to(decay_e / e - np.asarray(p.w_p) * p.J_N + isolated * follows, (n,))
    drive = weights @ np.broadcast_to(point.S_e, (n,))
    matrix = np.broadcast_to(p.J_N, (n,))[:, None] * weights - np.diag(per_coupling * follows * drive)
    scale = 1 / np.sqrt(stable)
    matrix = scale[:, None] * matrix * scale
    if np.allclose(matrix, matrix.T, rtol=1e-12, atol=0):
        largest = np.linalg.eigvalsh(matrix)[-1]
    else:
        eigenvalues = np.linalg.eigvals(matrix)
        real = eigenvalues.real[np.abs(eigenvalues.imag) <= 1e-9 * np.abs(eigenvalues).max()]
        largest = real.max(initial=0.0)
    return float(1 / largest) if largest > 0 else np.inf


def _cannot_oscillate(p: ExcInhParameters, point: OperatingPoint, weights: np.ndarray, G: float) -> bool:
    """A sufficient condition for symmetric weights and equal regions: the trace of every E-I mode stays negative up to ``G``."""
    equal = all(np.ndim(value) == 0 for value in (*p, *point))
    if not (equal and np.isfinite(G) and np.allclose(weights, weights.T, rtol=1e-12, atol=0)):
        return False
    decay_e, decay_i, e, _ = _slopes(p, point)
    excitation = e * p.J_N * (p.w_p + G * np.linalg.eigvalsh(weights)[-1])
    return bool(excitation < decay_e + decay_i)


def _leading(p: ExcInhParameters, point: OperatingPoint, weights: np.ndarray, G: float) -> float:
    if G == 0:  # uncoupled regions: the larger eigenvalue of each one's 2 by 2 block
        n = len(weights)
        ee, ei, ie, ii = (np.diag(block) for block in _blocks(network_jacobian(p, point, np.zeros((n, n)), 0.0), n))
        mean, det = (ee + ii) / 2, ee * ii - ei * ie
        return float((mean + np.sqrt((mean**2 - det).astype(complex))).real.max())
    return float(np.linalg.eigvals(network_jacobian(p, point, weights, G)).real.max())


def _blocks(matrix: np.ndarray, n: int) -> tuple[np.ndarray, ...]:
    return matrix[:n, :n], matrix[:n, n:], matrix[n:, :n], matrix[n:, n:]


def _bracket(p: ExcInhParameters, point: OperatingPoint, weights: np.ndarray) -> tuple[float, float]:
    """The last stable coupling of a geometric series, and the first unstable one; infinite up to 100 over the spectral radius."""
    radius = np.abs(np.linalg.eigvals(weights)).max()
    stable = 0.0
    for factor in np.geomspace(0.1, 100, 32) if radius > 0 else ():
        if _leading(p, point, weights, factor / radius) >= 0:
            return stable, float(factor / radius)
        stable = float(factor / radius)
    return stable, np.inf


def _bisect(p: ExcInhParameters, point: OperatingPoint, weights: np.ndarray, stable: float, unstable: float) -> float:
    while np.isfinite(unstable) and unstable - stable > 1e-6 * unstable:
        middle = (stable + unstable) / 2
        stable, unstable = (middle, unstable) if _leading(p, point, weights, middle) < 0 else (stable, middle)
    return unstable
