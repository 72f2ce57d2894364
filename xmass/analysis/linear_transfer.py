"""How a linear network with delays answers at a complex frequency: arrays only."""

from __future__ import annotations

import dataclasses

import numpy as np

from xmass.analysis.linear_blocks import Edges, Entry, Linear, Readout


@dataclasses.dataclass(frozen=True, eq=False)
class Response:
    """The answer at some frequencies: of each region alone, and of the network that the couplings make of them."""

    linear: Linear
    factor: np.ndarray
    resolvent: np.ndarray
    """Of the regions alone ``(n, region, state, state)``."""
    spread: np.ndarray
    """From what couplings would send without each other to their currents ``(n, coupling, region, coupling, region)``."""

    def single(self, readout: Readout, entry: Entry) -> np.ndarray:
        """What a region alone makes of an input ``(n, region)``: a readout's answer to a noise."""
        direct = 0.0 if entry.white else readout.inputs[entry.target]
        return _through(readout.states, self.resolvent, entry.enters) + direct

    def matrix(self, readout: Readout, entry: Entry) -> np.ndarray:
        """A readout of every region by a noise of every region ``(n, region, region)``."""
        n = self.linear.regions
        found = np.zeros((len(self.factor), n, n), np.complex128)
        each = np.arange(n)
        found[:, each, each] = self.single(readout, entry)
        for i, here in enumerate(self.linear.channels):
            received = _through(readout.states, self.resolvent, here.enters) + readout.inputs[here.target]
            total = sum(
                self.spread[:, i, :, k, :] * _through(there.source, self.resolvent, entry.enters)[:, None, :]
                for k, there in enumerate(self.linear.channels)
            )
            found += received[:, :, None] * total
        return found


def _through(left: np.ndarray, resolvent: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``left (region, state)`` times the resolvent times ``right (region, state)``: ``(n, region)``."""
    return np.einsum("ra,nrab,rb->nr", left, resolvent, right, optimize=True)


def _late(edges: Edges, factor: np.ndarray) -> np.ndarray:
    """``(n, region, region)``: gains with the delays at these frequencies."""
    if not (edges.delay[edges.gain != 0] > 0).any():
        return np.broadcast_to(edges.gain.astype(np.complex128), (len(factor), *edges.gain.shape))
    return edges.gain * np.exp(-factor[:, None, None] * edges.delay)


def own_matrix(linear: Linear, factor: np.ndarray) -> np.ndarray:
    """The characteristic matrix of each region alone ``(n, region, state, state)``."""
    found = factor[:, None, None, None] * np.eye(linear.states) - linear.local
    for m in linear.memories:
        found[:, :, :, m.of] -= m.effect * np.exp(-factor[:, None] * m.delay)[:, :, None]
    return found


def current_matrices(linear: Linear, factor: np.ndarray) -> np.ndarray:
    """From what couplings read to their currents ``(n, coupling, region, region)``."""
    each = np.arange(linear.regions)
    found = np.zeros((len(factor), len(linear.channels), linear.regions, linear.regions), np.complex128)
    for i, c in enumerate(linear.channels):
        for e in c.edges:
            found[:, i] += _late(e, factor)
        found[:, i, each, each] += c.own
    return found


def loop_gains(linear: Linear, resolvent: np.ndarray) -> np.ndarray:
    """What a region sends through one coupling per current of another ``(n, coupling, coupling, region)``."""
    count = len(linear.channels)
    found = np.zeros((len(resolvent), count, count, linear.regions), np.complex128)
    for i, there in enumerate(linear.channels):
        for k, here in enumerate(linear.channels):
            found[:, i, k] = _through(there.source, resolvent, here.enters)
    return found


def open_loop(linear: Linear, gains: np.ndarray, currents: np.ndarray) -> np.ndarray:
    """``1 - T K`` over couplings and regions ``(n, coupling * region, coupling * region)``."""
    count, n = len(linear.channels), linear.regions
    product = gains[:, :, :, :, None] * currents[:, None]  # (n, coupling i, coupling k, region, region)
    full = -product.transpose(0, 1, 3, 2, 4).reshape(len(gains), count * n, count * n)
    full[:, np.arange(count * n), np.arange(count * n)] += 1.0
    return full


def respond(linear: Linear, factor: np.ndarray) -> Response:
    """The answer at the complex frequencies ``factor`` [1/ms]."""
    resolvent = np.linalg.inv(own_matrix(linear, factor))
    count, n = len(linear.channels), linear.regions
    if not count:
        return Response(linear, factor, resolvent, np.zeros((len(factor), 0, n, 0, n)))
    currents = current_matrices(linear, factor)
    closed = np.linalg.inv(open_loop(linear, loop_gains(linear, resolvent), currents)).reshape(len(factor), count, n, count * n)
    spread = np.matmul(currents, closed).reshape(len(factor), count, n, count, n)
    return Response(linear, factor, resolvent, spread)


def filtered(linear: Linear, readouts: tuple[Readout, ...], w: np.ndarray) -> list[np.ndarray]:
    """Of each readout what unit white noise of every source makes of it, ``(n, region, source)``; ``w`` in rad/ms.

    The product with its conjugate transpose is the two-sided spectral density matrix.
    """
    response = respond(linear, 1j * w)
    found = []
    for readout in readouts:
        parts = []
        for entry in linear.entries:
            part = response.matrix(readout, entry) * np.sqrt(entry.density(w))[:, None, :]
            parts.append(part if entry.root is None else part @ entry.root)
        found.append(np.concatenate(parts, axis=2))
    return found


def log_slope(linear: Linear, factor: np.ndarray) -> np.ndarray:
    """The logarithmic derivative of the characteristic function ``(n,)``: the sum of 1 / (factor - root) over all roots."""
    own = own_matrix(linear, factor)
    own_slope = np.broadcast_to(np.eye(linear.states, dtype=np.complex128), own.shape).copy()
    for m in linear.memories:
        own_slope[:, :, :, m.of] += m.effect * (m.delay * np.exp(-factor[:, None] * m.delay))[:, :, None]
    resolvent = np.linalg.inv(own)
    found = np.einsum("nrab,nrba->n", resolvent, own_slope)
    if not linear.channels:
        return found
    currents = current_matrices(linear, factor)
    currents_slope = np.zeros_like(currents)
    for i, c in enumerate(linear.channels):
        for e in c.edges:
            if (e.delay[e.gain != 0] > 0).any():
                currents_slope[:, i] -= e.delay * _late(e, factor)
    gains = loop_gains(linear, resolvent)
    gains_slope = loop_gains(linear, -resolvent @ own_slope @ resolvent)
    identity = np.eye(len(linear.channels) * linear.regions)
    slope = (open_loop(linear, gains_slope, currents) - identity) + (open_loop(linear, gains, currents_slope) - identity)
    closed = np.linalg.inv(open_loop(linear, gains, currents))
    return found + np.einsum("nij,nji->n", closed, slope)
