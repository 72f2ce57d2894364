"""One derivative and one step of every model at a given state and input: spec vectors, computed by other code.

Six models of the table of reference vectors; the exponential-Euler and RK4 columns hold the input over the step. The vectors
are printed with ten digits, so they are met to a few units in the tenth.
"""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import xmass as xm
from xmass.core.model import declared_parameters
from xmass.labelled.checks import SpuriousGrowthWarning

# model, state, inputs, dt, derivative, after one exponential-Euler step, after one RK4 step
VECTORS = [
    (
        xm.HopfStep(),
        {"x": 0.3, "y": -0.2},
        {"x": 0.1, "y": 0.05},
        0.1,
        (0.176, 0.086),
        (0.3175473054, -0.191382777),
        (0.317504087, -0.1911013739),
    ),
    (
        xm.Generic2dOscillatorStep(),
        {"V": 0.5, "W": -0.4},
        {"c": 0.2},
        0.1,
        (0.0085, -0.132),
        (0.5008519154, -0.4131868088),
        (0.5008386994, -0.4131952279),
    ),
    (xm.LinearStep(), {"x": 0.3}, {"x": 0.5}, 0.1, (-2.5,), (0.1419698603,), (0.14375,)),
    (
        xm.WilsonCowanStep(),
        {"rE": 0.3, "rI": 0.2},
        {"e": 0.5, "i": 0.1},
        0.1,
        (0.1284609581, -0.1345885767),
        (0.3133023877, 0.1877258327),
        (0.3137032492, 0.1884189036),
    ),
    (  # the other simulator's G = 2 and c = 0.1; G belongs to the network's coupling.k here, so c = 0.2
        xm.WongWangExcInhStep(),
        {"S_e": 0.2, "S_i": 0.05},
        {"coupling": 0.2},
        0.1,
        (0.001266929821, -0.001767528622),
        (0.2001267109, 0.04982513761),
        (0.2001274178, 0.04982524914),
    ),
]
IDS = [type(v[0]).__name__ for v in VECTORS]


def derivative(model, state, inputs):
    with jax.enable_x64(True):
        u = SimpleNamespace(**{i.name: inputs.get(i.name, 0.0) for i in model.inputs})
        rates = model.drift(SimpleNamespace(**{k: np.float64(v) for k, v in state.items()}), u)
        return np.array([float(rates[s]) for s in state])


def one_step(model, state, inputs, dt, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpuriousGrowthWarning)
        sim = xm.Simulator(model, dt=dt, method=method, precision="float64")
    run = sim.run(dt, initial=state, inputs=inputs)
    return np.array([float(run[s].isel(time=0, region=0)) for s in state])


@pytest.mark.parametrize(("model", "state", "inputs", "dt", "rates", "exponential", "rk4"), VECTORS, ids=IDS)
def test_derivative_and_one_step(model, state, inputs, dt, rates, exponential, rk4):
    np.testing.assert_allclose(derivative(model, state, inputs), rates, rtol=2e-9, atol=1e-11)
    np.testing.assert_allclose(one_step(model, state, inputs, dt, "exp_euler"), exponential, rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, inputs, dt, "rk4"), rk4, rtol=2e-9)


def montbrio(state, inputs, tau=1.0, Delta=1.0, eta=-5.0, J=15.0):
    """Equation 12 of Montbrió, Pazó, Roxin (2015), with time constant; and each state's own derivative."""
    r, v = state
    rate = (Delta / (math.pi * tau) + 2 * r * v) / tau + inputs.get("r", 0.0)
    potential = (v * v + eta + J * tau * r + inputs.get("I", 0.0) - (math.pi * tau * r) ** 2) / tau + inputs.get("v", 0.0)
    return np.array([rate, potential]), np.array([2 * v / tau, 2 * v / tau])


@pytest.mark.parametrize("tau", [1.0, 10.0])
def test_montbrio_has_the_form_of_the_paper(tau):
    # tau = 10 tells 2 r v / tau from 2 r v, which another simulator has.
    state, inputs, dt = np.array([0.4, -1.0]), {"r": 0.1, "v": 0.2, "I": 0.5}, 0.05
    model = xm.MontbrioPazoRoxinStep(tau=tau)
    k0, slope = montbrio(state, inputs, tau)
    named = {"r": 0.4, "v": -1.0}
    np.testing.assert_allclose(derivative(model, named, inputs), k0, rtol=1e-14)
    np.testing.assert_allclose(one_step(model, named, inputs, dt, "exp_euler"), state + np.expm1(dt * slope) / slope * k0, rtol=1e-14)
    k1 = montbrio(state + dt / 2 * k0, inputs, tau)[0]
    k2 = montbrio(state + dt / 2 * k1, inputs, tau)[0]
    k3 = montbrio(state + dt * k2, inputs, tau)[0]
    np.testing.assert_allclose(one_step(model, named, inputs, dt, "rk4"), state + dt / 6 * (k0 + 2 * k1 + 2 * k2 + k3), rtol=1e-14)


DEFAULTS = {
    xm.HopfStep: dict(a=0.25, w=0.2, beta=1.0),
    xm.Generic2dOscillatorStep: dict(a=-2, b=-10, c2=0, d=0.02, e=3, f=1, g=0, alpha=1, beta=1, gamma=1, I=0, tau=1),
    xm.LinearStep: dict(gamma=-10),
    xm.WilsonCowanStep: dict(
        w_ee=12, w_ei=4, w_ie=13, w_ii=11, tau_e=1, tau_i=1, a_e=1.2, theta_e=2.8, a_i=1, theta_i=4, r_e=1, r_i=1,
        k_e=1, k_i=1, c_e=1, c_i=1, alpha_e=1, alpha_i=1, offset_e=0, offset_i=0, P=0, Q=0,
    ),
    xm.MontbrioPazoRoxinStep: dict(tau=1, eta=-5, Delta=1, J=15),
    xm.WongWangExcInhStep: dict(
        a_e=310, b_e=125, d_e=0.16, gamma_e=0.641e-3, tau_e=100, w_p=1.4, W_e=1, a_i=615, b_i=177, d_i=0.087,
        gamma_i=1e-3, tau_i=10, W_i=0.7, J_N=0.15, J_i=1, I_o=0.382, I_ext=0, lamda=0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("cls", DEFAULTS, ids=lambda c: c.__name__)
def test_defaults_are_those_of_the_specification(cls):
    found = {d.name: d.default for d in declared_parameters(cls)}
    if cls is xm.WongWangExcInhStep:
        assert found.pop("J_ii") == 1.0  # the paper's unit weight of I onto itself, written out for its unit
    assert found == DEFAULTS[cls]
    assert all(d.unit and d.meaning for d in declared_parameters(cls))
