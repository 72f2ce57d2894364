"""The equations of the Wilson-Cowan family: vectors of other code, plain NumPy transcriptions, every parameter, the option of its form.

What the members do is in ``test_wilson_cowan_facts.py``, the delayed one in ``test_wilson_cowan_delayed.py``.
"""

from __future__ import annotations

import json
import warnings
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import scipy.optimize
import xarray as xr

import xmass as xm
from tests.oracles import wilson_cowan as oracle
from xmass.core.model import declared_parameters
from xmass.labelled.checks import SpuriousGrowthWarning

EQUATIONS = {
    xm.WilsonCowanStep: oracle.base,
    xm.WilsonCowanNoSaturationStep: oracle.no_saturation,
    xm.WilsonCowanSymmetricStep: oracle.symmetric,
    xm.WilsonCowanSimplifiedStep: oracle.simplified,
    xm.WilsonCowanLinearStep: oracle.linear,
    xm.WilsonCowanDivisiveStep: oracle.divisive,
    xm.WilsonCowanDivisiveInputStep: oracle.divisive_input,
    xm.WilsonCowanAdaptiveStep: oracle.adaptive,
    xm.WilsonCowanThreePopulationStep: oracle.three,
}
INSIDE = ("e", "i", "m")
"""Inputs inside F, in the order in which the equations take them."""


def inside(model):
    """The names of a model's inputs inside F."""
    return [n for n in INSIDE if n in {i.name for i in model.inputs}]


def transcription(model):
    """The NumPy equation of a model's class, as a function of the state vector and the inputs inside F."""
    equation = EQUATIONS[type(model)]
    swapped = {"c2": model.w_ei, "c3": model.w_ie} if equation in (oracle.adaptive, oracle.three) else {}
    return lambda x, u: np.array(equation(*x, *u, **swapped))


def diagonal(f, x):
    """Each state's own derivative, by complex step: exact to rounding."""
    return np.array([f(x + 1e-30j * np.eye(len(x))[n])[n].imag / 1e-30 for n in range(len(x))])


def exponential_euler(f, x, dt):
    slope = diagonal(f, x)
    return x + np.expm1(dt * slope) / slope * f(x)


def runge_kutta(f, x, dt):
    k0 = f(x)
    k1 = f(x + dt / 2 * k0)
    k2 = f(x + dt / 2 * k1)
    k3 = f(x + dt * k2)
    return x + dt / 6 * (k0 + 2 * k1 + 2 * k2 + k3)


def derivative(model, state, inputs):
    """The library's derivative in float64."""
    with jax.enable_x64(True):
        u = SimpleNamespace(**{i.name: np.float64(inputs.get(i.name, 0.0)) for i in model.inputs})
        rates = model.drift(SimpleNamespace(**{k: np.float64(v) for k, v in state.items()}), u)
        return np.array([float(rates[s]) for s in state])


def one_step(model, state, inputs, dt, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpuriousGrowthWarning)
        sim = xm.Simulator(model, dt=dt, method=method, precision="float64")
    run = sim.run(dt, initial=state, inputs=inputs)
    return np.array([float(run[s].isel(time=0, region=0)) for s in state])


def simulate(model, duration, dt=0.1, **options):
    return xm.Simulator(model, dt=dt, precision="float64").run(duration, **options).isel(region=0)


# ---- vectors
START, DRIVEN = {"rE": 0.3, "rI": 0.2}, {"e": 0.5, "i": 0.1}
SWAPPED = {"w_ei": 13.0, "w_ie": 4.0}
# model, further states and inputs, derivative, after one exponential-Euler step of 0.1 ms, after one RK4 step. The vectors of the adaptive
# and the three-population model were made with 13 from I to E and 4 from E to I, which are not the weights of this library.
VECTORS = [
    (xm.WilsonCowanStep(), {}, {}, (0.1284609581, -0.1345885767), (0.3133023877, 0.1877258327), (0.3137032492, 0.1884189036)),
    (xm.WilsonCowanNoSaturationStep(), {}, {}, (0.3120870829, -0.1182357208), (0.3350794147, 0.1892774302), (0.3352633832, 0.1915093135)),
    (xm.WilsonCowanSymmetricStep(), {}, {}, (0.01452733026, -0.1011300787), (0.301516546, 0.1909813189), (0.3018830047, 0.1911236682)),
    (xm.WilsonCowanSimplifiedStep(), {}, {}, (-0.2818314001, -0.1985167234), (0.2727129627, 0.181282673), (0.27324391, 0.1811200404)),
    (xm.WilsonCowanLinearStep(), {}, {}, (0.176, -0.016), (0.3166501881, 0.1985435191), (0.3166533769, 0.1991812881)),
    (xm.WilsonCowanDivisiveStep(), {}, {}, (-0.2023729872, -0.1933009603), (0.2803948855, 0.1816284031), (0.2806419153, 0.1816034737)),
    (xm.WilsonCowanDivisiveInputStep(), {}, {}, (-0.225967761, -0.1934052616), (0.2783294538, 0.1816163353), (0.2785280524, 0.1815954927)),
    (
        xm.WilsonCowanAdaptiveStep(**SWAPPED),
        {"aE": 0.05, "aI": 0.02},
        {},
        (-0.2078550472, -0.2085919763, -0.0002, -5e-05),
        (0.278943492, 0.1802010616, 0.04998001, 0.01999500312),
        (0.2804783348, 0.1801815371, 0.04997901348, 0.01999399553),
    ),
    (
        xm.WilsonCowanThreePopulationStep(**SWAPPED),
        {"rM": 0.1},
        {"m": 0.2},
        (-0.1460442446, -0.207178329, -0.004641690375),
        (0.2848817594, 0.1803517156, 0.09954608688),
        (0.2870084909, 0.1803370139, 0.09957590942),
    ),
]


@pytest.mark.long
@pytest.mark.parametrize(("model", "states", "inputs", "rates", "exponential", "rk4"), VECTORS, ids=[type(v[0]).__name__ for v in VECTORS])
def test_derivative_and_one_step_are_those_of_other_code(model, states, inputs, rates, exponential, rk4):
    # Printed with ten digits.
    state, drive = {**START, **states}, {**DRIVEN, **inputs}
    np.testing.assert_allclose(derivative(model, state, drive), rates, rtol=2e-9, atol=1e-11)
    np.testing.assert_allclose(one_step(model, state, drive, 0.1, "exp_euler"), exponential, rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, drive, 0.1, "rk4"), rk4, rtol=2e-9)


@pytest.mark.long
@pytest.mark.parametrize("cls", EQUATIONS, ids=lambda c: c.__name__)
def test_every_member_is_its_equation_with_its_default_numbers(cls):
    model, rng = cls(), np.random.default_rng(1)
    f = transcription(model)
    for _ in range(5):
        x = rng.uniform(0.02, 0.6, len(model.states))
        drive = dict(zip(inside(model), rng.uniform(0, 1.5, 3)))
        state, u = dict(zip([s.name for s in model.states], x)), list(drive.values())
        direct = {s: 0.01 * (n + 1) for n, s in enumerate(state)}
        # a handful of roundings of 1e-16 in differences of numbers near 1
        np.testing.assert_allclose(derivative(model, state, drive), f(x, u), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(derivative(model, state, {**drive, **direct}), f(x, u) + list(direct.values()), rtol=1e-13, atol=1e-15)
    for method, step in (("exp_euler", exponential_euler), ("rk4", runge_kutta)):
        expected = step(lambda y: f(y, u), x, 0.1)
        np.testing.assert_allclose(one_step(model, state, drive, 0.1, method), expected, rtol=1e-12)


# ---- every parameter of the full form
HERE = {
    "c_ee": "w_ee",
    "c_ei": "w_ei",
    "c_ie": "w_ie",
    "c_ii": "w_ii",
    "b_e": "theta_e",
    "b_i": "theta_i",
    "theta_e": "offset_e",
    "theta_i": "offset_i",
}
THERE = ["c_ee", "c_ei", "c_ie", "c_ii", *(f"{n}_{p}" for n in ("tau", "a", "b", "c", "theta", "r", "k", "alpha") for p in "ei"), "P", "Q"]


@pytest.mark.parametrize("shift", [True, False])
def test_every_parameter_of_the_published_form_is_there(shift):
    rng = np.random.default_rng(2)
    for _ in range(5):
        p = dict(zip(THERE, rng.uniform(0.3, 3, len(THERE))))
        model = xm.WilsonCowanStep(**{HERE.get(n, n): v for n, v in p.items()}, shift_sigmoid=shift)
        assert {d.name for d in declared_parameters(type(model))} == {HERE.get(n, n) for n in THERE}
        x, u = rng.uniform(0, 1, 2), rng.uniform(-1, 1, 2)
        found = derivative(model, dict(zip(("rE", "rI"), x)), dict(zip(("e", "i"), u)))
        np.testing.assert_allclose(found, oracle.full_form(*x, *u, p, shift), rtol=1e-13, atol=1e-15)


def test_the_constants_and_the_inputs_inside_are_one_sum():
    inputs = simulate(xm.WilsonCowanStep(tau_e=10, tau_i=10), 20.0, inputs={"e": 0.5, "i": 0.25})
    constants = simulate(xm.WilsonCowanStep(tau_e=10, tau_i=10, P=0.5, Q=0.25), 20.0)
    offsets = simulate(xm.WilsonCowanStep(tau_e=10, tau_i=10, offset_e=-0.5, offset_i=-0.25), 20.0)
    for name in ("rE", "rI"):
        assert float(abs(inputs[name]).max()) > 0.01
        np.testing.assert_array_equal(constants[name], inputs[name])
        np.testing.assert_array_equal(offsets[name], inputs[name])


# ---- the form of the response: an option, no parameter
def rest_without_shift():
    """The rest state of the form without shift, from NumPy."""
    ones = dict.fromkeys(THERE, 1.0) | {
        "c_ee": 12,
        "c_ei": 4,
        "c_ie": 13,
        "c_ii": 11,
        "a_e": 1.2,
        "b_e": 2.8,
        "b_i": 4,
        "theta_e": 0,
        "theta_i": 0,
    }
    found = scipy.optimize.root(lambda x: oracle.full_form(*x, -3.0, 0.0, ones | {"P": 0, "Q": 0}, False), [0.0, 0.02], tol=1e-14)
    assert found.success
    return found.x


def test_without_the_shift_rest_is_not_zero():
    end = simulate(xm.WilsonCowanStep(shift_sigmoid=False), 100.0, inputs={"e": -3.0}).isel(time=-1)
    np.testing.assert_allclose([end.rE, end.rI], rest_without_shift(), rtol=1e-10)
    assert float(end.rI) > 0.01
    assert float(simulate(xm.WilsonCowanStep(), 10.0).rI[-1]) == 0.0


def test_a_run_with_an_option_is_made_again_from_its_record(tmp_path):
    for shift in (True, False):
        sim = xm.Simulator(xm.WilsonCowanStep(shift_sigmoid=shift, noise_rE=xm.WhiteNoise(sigma=0.01)), dt=0.1)
        run = sim.run(5.0, xr.Dataset({"P": ("P", [0.0, 1.0])}), seed=3)
        assert json.loads(run.attrs["configuration"])["system"]["fields"]["shift_sigmoid"] is shift
        xr.testing.assert_identical(xm.rerun(run), run)
        path = tmp_path / f"{shift}.zarr"
        xr.testing.assert_identical(
            sim.run_to_zarr(path, 5.0, xr.Dataset({"P": ("P", [0.0, 1.0])}), seed=3).load().drop_attrs(), run.drop_attrs()
        )
    other = xm.Simulator(xm.WilsonCowanStep(noise_rE=xm.WhiteNoise(sigma=0.01)), dt=0.1)
    with pytest.raises(ValueError, match="shift_sigmoid"):
        other.run_to_zarr(path, 5.0, xr.Dataset({"P": ("P", [0.0, 1.0])}), seed=3)


def test_an_option_is_true_or_false_and_no_parameter():
    for wrong in (1, 0.0, "no", None):
        with pytest.raises(TypeError, match=r"shift_sigmoid=.*needs True or False"):
            xm.WilsonCowanStep(shift_sigmoid=wrong)
    sim = xm.Simulator(xm.WilsonCowanStep(), dt=0.1)
    assert "shift_sigmoid" not in sim.parameters()
    with pytest.raises((KeyError, ValueError), match="shift_sigmoid"):
        sim.run(1.0, xr.Dataset({"shift_sigmoid": ("s", [0.0, 1.0])}))
