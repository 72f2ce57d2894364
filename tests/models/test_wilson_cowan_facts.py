"""What the members of the Wilson-Cowan family do: how they follow from one another, fixed points, rhythms, against SciPy.

The base model's bistability and its rhythm of 1972 are in ``test_facts.py``; here is what tells its weights from swapped ones.
"""

from __future__ import annotations

from types import SimpleNamespace

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import xarray as xr

import xmass as xm
from tests.oracles import wilson_cowan as oracle
from xmass.core.model import declared_parameters

FOUR_WEIGHTS = (
    xm.WilsonCowanStep,
    xm.WilsonCowanNoSaturationStep,
    xm.WilsonCowanSymmetricStep,
    xm.WilsonCowanDelayedStep,
    xm.WilsonCowanAdaptiveStep,
    xm.WilsonCowanThreePopulationStep,
)
"""Members that have the four weights of the base."""


def simulate(model, duration, dt=0.1, method="heun", **options):
    return xm.Simulator(model, dt=dt, method=method, precision="float64").run(duration, **options).isel(region=0)


def rates(model, state, **inputs):
    """The derivative in float64, delayed reads being those of a state that has not changed."""
    with jax.enable_x64(True):
        past = {p.name: state[p.state] for p in model.past}
        u = SimpleNamespace(**{i.name: np.float64(inputs.get(i.name, 0.0)) for i in model.inputs})
        made = model.drift(SimpleNamespace(**{k: np.float64(v) for k, v in {**state, **past}.items()}), u)
        return {name: float(made[name]) for name in state}


def at_rest(model, **activities):
    return {s.name: activities.get(s.name, 0.0) for s in model.states}


# ---- weights: target first, the same everywhere
@pytest.mark.parametrize("cls", FOUR_WEIGHTS, ids=lambda c: c.__name__)
def test_the_weight_onto_e_from_i_is_4_and_onto_i_from_e_is_13_in_every_member(cls):
    """Another simulator has 13 from I to E and 4 from E to I in some members, under the same names and defaults."""
    found = {d.name: d.default for d in declared_parameters(cls)}
    assert [found[w] for w in ("w_ee", "w_ei", "w_ie", "w_ii")] == [12.0, 4.0, 13.0, 11.0]
    # by what the weights do, not by name: F = 0 at rest, so a small E drives I through w_ie and a small I inhibits E through w_ei
    model, h = cls(), 1e-6
    slope = {s: rates(model, at_rest(model, **{s: h})) for s in ("rE", "rI")}
    a_e, theta_e, a_i, theta_i = (1.1, 3.4, 1.1, 3.4) if cls is xm.WilsonCowanSymmetricStep else (1.2, 2.8, 1.0, 4.0)
    gain_e, gain_i = (a * oracle.sigma(-a * t) * (1 - oracle.sigma(-a * t)) for a, t in ((a_e, theta_e), (a_i, theta_i)))
    # one-sided difference of step 1e-6: wrong by half the curvature, below 1e-4 of the slope
    assert slope["rI"]["rE"] / h == pytest.approx(-4 * gain_e, rel=1e-4)
    assert slope["rE"]["rI"] / h == pytest.approx(13 * gain_i, rel=1e-4)


@pytest.mark.parametrize(
    "cls", [xm.WilsonCowanStep, xm.WilsonCowanDelayedStep, xm.WilsonCowanAdaptiveStep, xm.WilsonCowanThreePopulationStep]
)
def test_the_same_weights_give_the_same_derivative_in_every_member(cls):
    # At E = 0.3, I = 0.2, P = 0.5, Q = 0.1, without adaptation and without the third population; swapped weights give other numbers.
    for weights, expected in (({}, (0.12846, -0.13459)), ({"w_ei": 13, "w_ie": 4}, (-0.20195, -0.20848))):
        model = cls(**weights)
        found = rates(model, at_rest(model, rE=0.3, rI=0.2), e=0.5, i=0.1)
        assert (found["rE"], found["rI"]) == (pytest.approx(expected[0], abs=5e-6), pytest.approx(expected[1], abs=5e-6))


def period(series, dt):
    """Mean period by the upward crossings of the mean, interpolated."""
    y = series - series.mean()
    up = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    return float(np.diff((up - y[up] / (y[up + 1] - y[up])) * dt).mean())


@pytest.mark.parametrize(("w_ei", "w_ie", "expected", "top"), [(12, 15, 40.03, 0.27149), (15, 12, 38.12, 0.35189)])
def test_the_rhythm_of_1972_and_the_other_one_with_its_weights_swapped(w_ei, w_ie, expected, top):
    model = xm.WilsonCowanStep(w_ee=16, w_ei=w_ei, w_ie=w_ie, w_ii=3, a_e=1.3, theta_e=4, a_i=2, theta_i=3.7, tau_e=8, tau_i=8)
    x = simulate(model, 1000.0, method="rk4", inputs={"e": 1.25}, initial={"rE": 0.1}, transient=400.0).rE.values
    # printed to 0.01 ms; a maximum between two samples is missed by at most (0.16 * 0.05)^2 / 2 of the amplitude
    assert period(x, 0.1) == pytest.approx(expected, abs=0.005)
    assert x.max() == pytest.approx(top, abs=5e-5)


# ---- members that are others with some parameter fixed
SHARED = dict(w_ee=11.0, w_ei=5.0, w_ie=12.0, w_ii=9.0)
DIVIDED = xm.WilsonCowanStep(w_ee=6, w_ei=0, w_ie=2, w_ii=0, c_e=0.5, c_i=0.25)
PAIRS = [
    (xm.WilsonCowanNoSaturationStep(**SHARED), xm.WilsonCowanStep(**SHARED, r_e=0, r_i=0)),
    (
        xm.WilsonCowanSymmetricStep(**SHARED, tau=2, a=1.3, theta=3, r=0.7),
        xm.WilsonCowanStep(**SHARED, tau_e=2, tau_i=2, a_e=1.3, a_i=1.3, theta_e=3, theta_i=3, r_e=0.7, r_i=0.7),
    ),
    (xm.WilsonCowanSimplifiedStep(w_exc=9, w_inh=7, tau_i=2), xm.WilsonCowanStep(w_ee=9, w_ei=7, w_ie=9, w_ii=7, tau_i=2)),
    (xm.WilsonCowanAdaptiveStep(**SHARED, b_e=0, b_i=0), xm.WilsonCowanStep(**SHARED)),
    (xm.WilsonCowanThreePopulationStep(**SHARED, w_em=0, w_im=0), xm.WilsonCowanStep(**SHARED)),
    (xm.WilsonCowanDivisiveStep(w_ei=0, w_ii=0, sigma_e=2, sigma_i=4), DIVIDED),
    (xm.WilsonCowanDivisiveInputStep(w_ei=0, w_ii=0, sigma_e=2, sigma_i=4), xm.WilsonCowanStep(w_ee=3, w_ei=0, w_ie=0.5, w_ii=0)),
]


@pytest.mark.long
@pytest.mark.parametrize(("member", "same"), PAIRS, ids=lambda m: type(m).__name__)
def test_a_member_is_the_base_where_their_equations_meet(member, same):
    options = dict(inputs={"e": 1.1, "i": 0.3, "rE": 0.002}, initial={"rE": 0.3, "rI": 0.1}, monitors=["rE", "rI"])
    found, expected = (simulate(m, 20.0, **options) for m in (member, same))
    for name in ("rE", "rI"):
        # the same sums in another order: a few roundings, not amplified by a node that settles
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)


# ---- fixed points
def fixed_points(equation, starts, inputs):
    """Fixed points from given starts, and the eigenvalues of the Jacobian there by complex step."""
    found = []
    for start in starts:
        solution = scipy.optimize.root(lambda x: equation(*x, *inputs), start, tol=1e-14)
        assert np.abs(equation(*solution.x, *inputs)).max() < 1e-13
        columns = [np.imag(equation(*(solution.x + 1e-30j * row), *inputs)) / 1e-30 for row in np.eye(len(start))]
        found.append((solution.x, np.linalg.eigvals(np.transpose(columns))))
    return found


# class, equation, inputs inside F, and the fixed points: stable, or stable, saddle, stable
POINTS = [
    (xm.WilsonCowanNoSaturationStep, oracle.no_saturation, (0, 0), [[0, 0], [0.140720, 0.046229], [0.965692, 0.694941]]),
    (xm.WilsonCowanSymmetricStep, oracle.symmetric, (0, 0), [[0, 0]]),
    (xm.WilsonCowanSymmetricStep, oracle.symmetric, (0.5, 0), [[0.033453, 0.009672], [0.187840, 0.082797], [0.444312, 0.259014]]),
    (xm.WilsonCowanSimplifiedStep, oracle.simplified, (1, 0), [[0.283734, 0.058814]]),
    (xm.WilsonCowanLinearStep, oracle.linear, (0.5, 0), [[0.441514, 0.208854]]),
    (xm.WilsonCowanDivisiveStep, oracle.divisive, (1.5, 0), [[0.403324, 0.019031]]),
    (xm.WilsonCowanDivisiveInputStep, oracle.divisive_input, (1.5, 0), [[0.418745, 0.019230]]),
    (
        xm.WilsonCowanAdaptiveStep,
        oracle.adaptive,
        (0, 0),
        [[0, 0, 0, 0], [0.183173, 0.065218, 0.018317, 0.005217], [0.460389, 0.240902, 0.046039, 0.019272]],
    ),
    (
        xm.WilsonCowanThreePopulationStep,
        oracle.three,
        (0, 0, 0),
        [[0, 0, 0], [0.134987, 0.044967, 0.037408], [0.481342, 0.278141, 0.205181]],
    ),
]


@pytest.mark.long
@pytest.mark.parametrize(("cls", "equation", "inputs", "points"), POINTS, ids=[f"{p[0].__name__}-{p[2][0]}" for p in POINTS])
def test_fixed_points(cls, equation, inputs, points):
    found = fixed_points(equation, np.round(points, 2), inputs)
    np.testing.assert_allclose([x for x, _ in found], points, atol=1e-6)
    growing = [int((eigenvalues.real > 0).sum()) for _, eigenvalues in found]
    assert growing == [0, 1, 0][: len(found)]  # three: a saddle between two stable ones
    model = cls()
    names, drive = [s.name for s in model.states], dict(zip(("e", "i"), map(float, inputs)))
    for x, _ in found:
        assert np.abs(list(rates(model, dict(zip(names, x)), **drive).values())).max() < 1e-12
    for x, slowest in [(x, abs(v.real).min()) for x, v in found if v.real.max() < 0]:
        # from beside a stable one back to it; after 16 of the slowest time constants 1e-7 of the distance is left
        end = simulate(model, round(16 / slowest), inputs=drive, initial=dict(zip(names, x + 1e-2))).isel(time=-1)
        np.testing.assert_allclose([end[n] for n in names], x, atol=1e-8)


def test_the_linear_member_has_a_closed_form():
    # Without refractory fraction and above threshold it is x' = A x + b: a matrix exponential.
    w = np.array([[0.8, -0.3], [1.0, -0.85]])
    tau, b = np.array([[2.0], [3.0]]), np.array([0.5, 0.1])
    A = (w - np.eye(2)) / tau
    rest, start, t = np.linalg.solve(A, -b / tau[:, 0]), np.array([0.3, 0.2]), 5.0
    exact = rest + scipy.linalg.expm(A * t) @ (start - rest)
    model = xm.WilsonCowanLinearStep(tau_e=2, tau_i=3, r_e=0, r_i=0)
    end = simulate(model, t, method="rk4", inputs={"e": 0.5, "i": 0.1}, initial={"rE": 0.3, "rI": 0.2}).isel(time=-1)
    # RK4 at 0.1 ms with rates near 1/ms: (0.1)^4 / 120 per ms over 5 ms, below 1e-6
    np.testing.assert_allclose([end.rE, end.rI], exact, rtol=1e-6)
    below = simulate(model, 4.0, method="rk4", inputs={"e": -1.0, "i": -1.0}, initial={"rE": 0.3, "rI": 0.2}).isel(time=-1)
    np.testing.assert_allclose([below.rE, below.rI], [0.3 * np.exp(-2), 0.2 * np.exp(-4 / 3)], rtol=1e-6)  # no response: it decays


def test_divisive_inhibition_scales_where_subtractive_inhibition_shifts():
    # With I held at a value by a strong direct input the response of E to its input is divided by 1 + 6.5 I, whatever the input.
    for inhibition in (0.1, 0.3):
        for drive in (1.0, 2.0, 4.0):
            free, held = (rates(xm.WilsonCowanDivisiveStep(), {"rE": 0.0, "rI": i}, e=drive)["rE"] for i in (0.0, inhibition))
            assert free / held == pytest.approx(1 + 6.5 * inhibition, rel=1e-12)


def test_strong_adaptation_makes_up_and_down_states_alternate():
    # Period and range by LSODA at 1e-11: 189.239 ms, -0.01793...0.47227; silent at e = 0.5, active at e = 1.5.
    model = xm.WilsonCowanAdaptiveStep(b_e=5)
    x = simulate(model, 1500.0, inputs={"e": 1.0}, initial={"rE": 0.3, "rI": 0.1}, transient=700.0, monitors=["rE"]).rE.values
    assert period(x, 0.1) == pytest.approx(189.239, abs=0.02)  # a second-order scheme at a tenth of the fast time constant
    assert (x.min(), x.max()) == (pytest.approx(-0.01793, abs=5e-5), pytest.approx(0.47227, abs=5e-5))
    steady = xr.DataArray([0.5, 1.5], dims="e")
    end = simulate(model, 1500.0, inputs={"e": steady}, initial={"rE": 0.3, "rI": 0.1}, monitors=["rE"]).rE.isel(time=-1)
    np.testing.assert_allclose(end, [0.04516, 0.39930], atol=1e-5)


TRACED = {
    xm.WilsonCowanAdaptiveStep: oracle.adaptive,
    xm.WilsonCowanThreePopulationStep: oracle.three,
    xm.WilsonCowanDivisiveStep: oracle.divisive,
}


@pytest.mark.parametrize("cls", TRACED, ids=lambda c: c.__name__)
def test_a_trajectory_agrees_with_an_adaptive_solver(cls):
    model, equation = cls(), TRACED[cls]
    start = [0.4, 0.05, 0.02, 0.01][: len(model.states)]
    drive = (1.2, 0.4, 0.2)[: len([i for i in model.inputs if i.name in "eim"])]
    solution = scipy.integrate.solve_ivp(lambda t, x: equation(*x, *drive), (0, 20), start, method="DOP853", rtol=1e-12, atol=1e-14)
    initial = dict(zip([s.name for s in model.states], start))
    end = simulate(model, 20.0, dt=0.02, method="rk4", initial=initial, inputs=dict(zip("eim", drive))).isel(time=-1)
    np.testing.assert_allclose([end[n] for n in initial], solution.y[:, -1], rtol=1e-8)  # dt^4 = 1.6e-7 times 1/120
