"""Order of convergence of every scheme, within 0.1 of theory, against closed solutions.

Networks: a wave that travels around a ring of Hopf nodes, coupled with delays through x and y alike, solves the equations
exactly: z_i = r exp(i (w' t + i phi)). As history it is smooth, so the order that shows is the scheme's.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import brentq

import xmass as xm
from xmass.labelled.checks import SpuriousGrowthWarning

A, W, NODES = 0.3, 0.4, 5
OFFSETS, WEIGHTS = (1, 2), (0.15, -0.1)  # node i receives from i + 1 and i + 2, not back: a swapped matrix is another wave
THEORY = {"euler": 1, "exp_euler": 1, "heun": 2, "rk4": 4}


def simulator(system, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpuriousGrowthWarning)
        return xm.Simulator(system, precision="float64", **options)


def assert_order(errors, order):
    measured = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(measured, order, atol=0.1, err_msg=f"errors {errors}")


@pytest.mark.parametrize("method", THEORY)
def test_single_node(method):
    # z = r exp(i phi): r^2 solves a logistic equation, phi grows by w.
    stop, start = 8.0, 0.2
    growth = 1 + (A / start**2 - 1) * np.exp(-2 * A * stop)
    exact = np.sqrt(A / growth) * np.exp(1j * W * stop)
    errors = []
    for dt in (0.2, 0.1, 0.05):
        run = simulator(xm.HopfStep(a=A, w=W), dt=dt, method=method).run(stop, initial={"x": start, "y": 0.0}).isel(time=-1, region=0)
        errors.append(abs(complex(run.x, run.y) - exact))
    assert_order(errors, THEORY[method])


class Wave:
    """The wave for given delays [ms] of the two kinds of edges."""

    def __init__(self, delays):
        self.delays = delays
        step = 2 * np.pi / NODES

        def phases(frequency):
            return [offset * step - frequency * tau for offset, tau in zip(OFFSETS, delays)]

        def mismatch(frequency):
            return W + sum(k * np.sin(p) for k, p in zip(WEIGHTS, phases(frequency))) - frequency

        self.frequency = brentq(mismatch, 0.05, 1.0, xtol=1e-15)
        pull = sum(k * (np.cos(p) - 1) for k, p in zip(WEIGHTS, phases(self.frequency)))
        self.radius = np.sqrt(A + pull)
        self.step = step

    def at(self, t):
        """Complex state ``(time, node)``."""
        t = np.atleast_1d(t)[:, None]
        return self.radius * np.exp(1j * (self.frequency * t + self.step * np.arange(NODES)))

    def connectome(self):
        weights, lengths = np.zeros((NODES, NODES)), np.zeros((NODES, NODES))
        for i in range(NODES):
            for offset, weight, tau in zip(OFFSETS, WEIGHTS, self.delays):
                weights[i, (i + offset) % NODES], lengths[i, (i + offset) % NODES] = weight, tau
        dims = ("region", "region_other")
        return xr.Dataset({"weights": (dims, weights), "distances": (dims, lengths, {"units": "mm"})})

    def error(self, dt, stop, *, method="heun", delays="nearest", frozen=False, tile=1):
        """Largest distance from the wave at the end of a run that starts on it."""
        couplings = {"re": xm.DiffusiveCoupling(source="x", target="x"), "im": xm.DiffusiveCoupling(source="y", target="y")}
        speed = 1.0 if max(self.delays) > 0 else None
        net = xm.Network(xm.HopfStep(a=A, w=W), self.connectome(), speed=speed, coupling=couplings, delays=delays)
        lags = np.arange(0, int(np.ceil(max(self.delays) / dt)) + 2) * dt
        past = self.at(-lags)
        coords = {"lag": ("lag", lags, {"units": "ms"})}
        initial = {
            "x": xr.DataArray(past.real, dims=("lag", "region"), coords=coords),
            "y": xr.DataArray(past.imag, dims=("lag", "region"), coords=coords),
        }
        if speed is None:
            initial = {k: v.isel(lag=0, drop=True) for k, v in initial.items()}
        sim = simulator(net, dt=dt, method=method, frozen_coupling=frozen, tile=tile)
        run = sim.run(stop, initial=initial).isel(time=-1)
        return float(np.abs(run.x.values + 1j * run.y.values - self.at(stop)[0]).max())


def test_the_wave_solves_the_equations():
    wave, h = Wave((1.6, 3.2)), 1e-5
    rate = (wave.at(h) - wave.at(-h))[0] / (2 * h)
    z = wave.at(0.0)[0]
    drift = (A - abs(z) ** 2) * z + 1j * W * z
    for offset, weight, tau in zip(OFFSETS, WEIGHTS, wave.delays):
        drift = drift + weight * (np.roll(wave.at(-tau)[0], -offset) - z)
    np.testing.assert_allclose(drift, rate, atol=1e-9)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_undelayed_network_with_the_coupling_of_each_stage(method, order):
    wave = Wave((0.0, 0.0))
    assert_order([wave.error(dt, 8.0, method=method) for dt in (0.2, 0.1)], order)


@pytest.mark.parametrize("method", ["heun", "rk4"])
def test_undelayed_network_with_frozen_coupling_is_first_order(method):
    wave = Wave((0.0, 0.0))
    assert_order([wave.error(dt, 8.0, method=method, frozen=True) for dt in (0.05, 0.025)], 1)


# Delays of 1.6 and 3.2 ms are whole numbers of all these steps.
@pytest.mark.parametrize(("method", "tile", "order"), [("euler", 1, 1), ("heun", 1, 2), ("heun", 16, 2), ("rk4", 1, 2)])
def test_delayed_network_with_the_coupling_of_each_stage(method, tile, order):
    # rk4 reads the past half way between two steps by linear interpolation, so it is second order in the delayed term.
    wave = Wave((1.6, 3.2))
    assert_order([wave.error(dt, 16.0, method=method, tile=tile) for dt in (0.1, 0.05)], order)


def test_delayed_network_with_frozen_coupling_is_first_order():
    wave = Wave((1.6, 3.2))
    assert_order([wave.error(dt, 16.0, frozen=True) for dt in (0.05, 0.025)], 1)


# (m + 1/3) steps of 0.2 ms: the part of a step that is left over is 1/3, 2/3, 1/3 for 0.2, 0.1, 0.05, so the error of linear
# interpolation, f (1 - f) h^2 x'' / 2, has one constant, and that of rounding, h / 3, too.
BETWEEN = (8.0 / 5 + 0.2 / 3, 16.0 / 5 + 0.2 / 3)


@pytest.mark.parametrize("tile", [1, pytest.param(16, marks=pytest.mark.long)])
def test_interpolated_delays_are_second_order(tile):
    wave = Wave(BETWEEN)
    assert_order([wave.error(dt, 16.0, delays="linear", tile=tile) for dt in (0.1, 0.05)], 2)


@pytest.mark.long
def test_interpolated_delays_shorter_than_a_step_are_second_order():
    # 0.2 / 3 ms lies between 0 and 1 step of 0.2 and 0.1 ms: part of the edge reads the stage's own state. The constant of the
    # error is another one then, so the orders are bounded from below only.
    wave = Wave((0.2 / 3, 1.6))
    errors = [wave.error(dt, 16.0, delays="linear") for dt in (0.2, 0.1, 0.05)]
    assert np.log2(np.divide(errors[:-1], errors[1:])).min() > 1.9


@pytest.mark.parametrize("rule", ["nearest", pytest.param("ceil", marks=pytest.mark.long)])
def test_rounded_delays_are_first_order(rule):
    # A quarter of the step leaves the same part over, so the rounding error has the same sign and shrinks by four.
    wave = Wave(BETWEEN)
    errors = [wave.error(dt, 16.0, delays=rule) for dt in (0.05, 0.0125)]
    assert_order(np.sqrt(errors), 1)
