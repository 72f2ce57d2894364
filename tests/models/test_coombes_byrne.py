"""Coombes-Byrne populations: vectors, fixed points, the limit of a fast synapse, and the rhythm of a slow one.

The oracle is the equations of Coombes, Byrne (2019) and Byrne et al. (2020) written out below with NumPy, solved by SciPy.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import xarray as xr

import xmass as xm
from tests.models.test_facts import field, simulate
from tests.models.test_vectors import derivative, one_step

PI = np.pi
RHYTHM = dict(Delta=0.5, eta=20.0, k=1.0, v_syn=-10.0)
"""Defaults of the model with a synapse, without alpha."""


def planar(state, Delta=1.0, eta=2.0, k=1.0, v_syn=-4.0):
    """The two-state equations in the time unit of the membrane."""
    r, v = state
    g = k * PI * r
    return np.array([Delta / PI + 2 * v * r - g * r, v * v - (PI * r) ** 2 + eta + (v_syn - v) * g])


def synaptic(state, Delta, eta, k, v_syn, alpha, current=0.0, drive=0.0):
    """The four-state equations: the synapse is the square of a first-order filter of rate alpha."""
    r, v, g, q = state
    return np.array(
        [
            Delta / PI + 2 * v * r - g * r,
            v * v - (PI * r) ** 2 + eta + current + (v_syn - v) * g,
            alpha * q,
            alpha * (k * PI * r + drive - g - 2 * q),
        ]
    )


def rest(Delta=1.0, eta=2.0, k=1.0, v_syn=-4.0):
    """The fixed point: v of the first equation, put into the second, leaves one equation for r."""

    def potential(r):
        return (k * PI * r * r - Delta / PI) / (2 * r)

    r = scipy.optimize.brentq(lambda r: planar((r, potential(r)), Delta, eta, k, v_syn)[1], 1e-3, 10.0, xtol=1e-15)
    return r, potential(r)


def jacobian(r, v, k, v_syn, alpha):
    """Derivatives of ``synaptic`` at rest, where g = k pi r and q = 0; by hand."""
    g = k * PI * r
    return np.array(
        [
            [2 * v - g, 2 * r, -r, 0.0],
            [-2 * PI**2 * r, 2 * v - g, v_syn - v, 0.0],
            [0.0, 0.0, 0.0, alpha],
            [alpha * k * PI, 0.0, -alpha, -2 * alpha],
        ]
    )


def exact(function, start, duration, samples=None, **parameters):
    def rates(t, y):
        return function(y, **parameters)

    found = scipy.integrate.solve_ivp(rates, (0, duration), start, method="DOP853", rtol=1e-11, atol=1e-13, t_eval=samples)
    return found.y if samples is not None else found.y[:, -1]


# --------------------------------------------------------------------------------------------------------------- two states
@pytest.mark.long
def test_derivative_and_one_step():
    state, inputs = {"r": 0.2, "v": -0.5}, {"r": 0.01, "v": 0.3}
    model = xm.CoombesByrneStep()
    np.testing.assert_allclose(derivative(model, state, inputs), [0.00264618004, -0.04389903356], rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "exp_euler"), [0.2002368854, -0.5040511298], rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "rk4"), [0.2001577758, -0.504185748], rtol=2e-9)


def test_defaults_settle_at_the_fixed_point():
    end = simulate(xm.CoombesByrneStep(), 40.0, dt=0.01).isel(time=-1, region=0)
    np.testing.assert_allclose([end.r, end.v], [0.184726, -0.571409], atol=5e-7)
    np.testing.assert_allclose([end.r, end.v], rest(), rtol=1e-12)


def test_parameters_are_those_of_the_equations():
    rng = np.random.default_rng(0)
    for _ in range(5):
        p = dict(Delta=rng.uniform(0.2, 2), eta=rng.normal(), k=rng.uniform(0.5, 3), v_syn=rng.uniform(-10, 0))
        r, v = rng.uniform(0.05, 2), rng.normal()
        found = derivative(xm.CoombesByrneStep(**p), {"r": r, "v": v}, {"I": 0.25})
        np.testing.assert_allclose(found, np.add(planar((r, v), **p), [0.0, 0.25]), rtol=1e-13)


def test_without_synapses_it_is_the_current_based_population_without_recurrence():
    ours = xm.CoombesByrneStep(k=0.0, eta=-1.0, Delta=0.7, tau=3.0)
    other = xm.MontbrioPazoRoxinStep(J=0.0, eta=-1.0, Delta=0.7, tau=3.0)
    start, inputs = {"r": 0.3, "v": -0.2}, {"I": 0.4, "v": 0.01, "r": 0.002}
    runs = [simulate(m, 20.0, dt=0.02, initial=start, inputs=inputs) for m in (ours, other)]
    for name in ("r", "v"):
        np.testing.assert_allclose(runs[0][name], runs[1][name], rtol=1e-12)


@pytest.mark.parametrize("cls", [xm.CoombesByrneStep, xm.CoombesByrneSynapseStep])
def test_time_constant_scales_rates_and_times(cls):
    runs = []
    for tau in (1.0, 10.0):
        slower = {"alpha": 0.95 / tau} if cls is xm.CoombesByrneSynapseStep else {}
        runs.append(simulate(cls(tau=tau, **slower), 10.0 * tau, dt=0.005 * tau, initial={"r": 0.3 / tau}).isel(region=0))
    np.testing.assert_allclose(runs[1].r * 10, runs[0].r.values, rtol=1e-9)
    np.testing.assert_allclose(runs[1].v, runs[0].v.values, rtol=1e-9, atol=1e-11)


PAIR = xr.Dataset({"weights": (("region", "region_other"), [[0.0, 0.6], [0.2, 0.0]])})


def test_coupling_acts_on_the_potential():
    # At rest the rate equation holds without any coupling term; what the regions send each other is in the equation of v alone.
    # (Sent to the rate, as one simulator does by default, the residuals would be the other way round.)
    net = xm.Network(xm.CoombesByrneStep(), PAIR, coupling=xm.AdditiveCoupling(k=0.5, source="r", target="v"))
    end = xm.Simulator(net, dt=0.01, precision="float64").run(60.0).isel(time=-1)
    rates = np.array([planar((r, v)) for r, v in zip(end.r.values, end.v.values)])
    received = 0.5 * PAIR.weights.values @ end.r.values
    np.testing.assert_allclose(rates[:, 0], 0.0, atol=1e-12)
    np.testing.assert_allclose(rates[:, 1], -received, rtol=1e-10)
    assert (received > 0.01).all()


def test_a_coupled_pair_follows_the_coupled_equations():
    net = xm.Network(xm.CoombesByrneStep(), PAIR, coupling=xm.AdditiveCoupling(k=2.0, source="r", target="I"))
    end = xm.Simulator(net, dt=0.01, method="rk4", precision="float64").run(3.0).isel(time=-1)
    weights = 2.0 * PAIR.weights.values

    def rates(t, y):
        r, v = y[:2], y[2:]
        each = np.array([planar(s) for s in zip(r, v)])
        return np.concatenate([each[:, 0], each[:, 1] + weights @ r])

    expected = scipy.integrate.solve_ivp(rates, (0, 3), [0.1, 0.1, 0, 0], method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    # RK4 at 0.01 ms, time constants of about 0.5 ms: (0.02)^4 = 1.6e-7 of the range at most.
    np.testing.assert_allclose([*end.r, *end.v], expected, rtol=1e-6)


# -------------------------------------------------------------------------------------------------------------- with synapse
@pytest.mark.parametrize("alpha", [0.3, 0.95, 4.0])
def test_synapse_model_follows_its_equations(alpha):
    start, inputs = [0.4, -0.3, 0.8, 0.1], {"I": 0.5, "c": 0.2}
    model = xm.CoombesByrneSynapseStep(alpha=alpha)
    named = dict(zip("rvgq", start))
    expected = synaptic(start, **RHYTHM, alpha=alpha, current=0.5, drive=0.2)
    np.testing.assert_allclose(derivative(model, named, inputs), expected, rtol=1e-13)
    end = simulate(model, 4.0, dt=0.002, method="rk4", initial=named, inputs=inputs).isel(time=-1, region=0)
    # The rate rises within about 0.1 ms: (0.02)^4 per rise, measured 1e-8.
    solution = exact(synaptic, start, 4.0, **RHYTHM, alpha=alpha, current=0.5, drive=0.2)
    np.testing.assert_allclose([end[n] for n in "rvgq"], solution, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 20.0])
def test_fixed_point_is_that_of_two_states_for_every_synapse(alpha):
    r, v = rest(**RHYTHM)
    g = RHYTHM["k"] * PI * r
    rates = derivative(xm.CoombesByrneSynapseStep(alpha=alpha), {"r": r, "v": v, "g": g, "q": 0.0}, {})
    np.testing.assert_allclose(rates, 0.0, atol=1e-12)
    np.testing.assert_allclose(derivative(xm.CoombesByrneStep(**RHYTHM), {"r": r, "v": v}, {}), 0.0, atol=1e-12)


def test_a_fast_synapse_becomes_the_model_with_two_states():
    # g lags k pi r by 2 / alpha, so the distance halves when alpha doubles.
    t = 2.0
    two = simulate(xm.CoombesByrneStep(), t, dt=5e-4, method="rk4", initial={"r": 0.3, "v": 0.2}).isel(time=-1, region=0)
    alphas = xr.Dataset({"alpha": [250.0, 500.0, 1000.0]})
    start = {"r": 0.3, "v": 0.2, "g": PI * 0.3, "q": 0.0}
    model = xm.CoombesByrneSynapseStep(Delta=1.0, eta=2.0, v_syn=-4.0)
    four = simulate(model, t, dt=5e-4, method="rk4", params=alphas, initial=start).isel(time=-1, region=0)
    distance = np.hypot(four.r - two.r, four.v - two.v).values
    assert distance[-1] < 1e-2
    np.testing.assert_allclose(distance[:-1] / distance[1:], 2.0, rtol=0.03)  # the next order is 2 / alpha = 0.8 %


def test_synapse_is_an_alpha_function():
    # Without recurrence a constant drive of 1 charges g by the integral of alpha^2 t exp(-alpha t).
    run = simulate(xm.CoombesByrneSynapseStep(k=0.0, eta=-5.0, alpha=0.5), 10.0, dt=0.01, method="rk4", inputs={"c": 1.0}).isel(region=0)
    at = 0.5 * run.time.values
    np.testing.assert_allclose(run.g, 1 - (1 + at) * np.exp(-at), atol=1e-9)
    np.testing.assert_allclose(run.q, at * np.exp(-at), atol=1e-9)


def test_coupling_through_the_synapse_adds_to_the_local_strength():
    # Two equal regions in step, each sending 0.4 k pi r to the other's synapse, are one region with 1.4 k.
    both = xr.Dataset({"weights": (("region", "region_other"), [[0.0, 0.4], [0.4, 0.0]])})
    net = xm.Network(xm.CoombesByrneSynapseStep(), both, coupling=xm.AdditiveCoupling(k=PI, source="r", target="c"))
    pair = xm.Simulator(net, dt=0.01, precision="float64").run(20.0)
    one = simulate(xm.CoombesByrneSynapseStep(k=1.4), 20.0, dt=0.01)
    for region in range(2):
        np.testing.assert_allclose(pair.r.isel(region=region), one.r.isel(region=0), rtol=1e-9)


def growth(alpha, **p):
    """Real part of the leading eigenvalue at rest, of the Jacobian written by hand."""
    r, v = rest(**p)
    return np.linalg.eigvals(jacobian(r, v, p["k"], p["v_syn"], alpha)).real.max()


@pytest.mark.parametrize("alpha", [0.5, 0.95, 10.0, 40.0])
def test_eigenvalues_are_those_of_the_jacobian_written_by_hand(alpha):
    r, v = rest(**RHYTHM)
    _, slopes = field(xm.CoombesByrneSynapseStep(alpha=alpha))
    by_hand = jacobian(r, v, 1.0, -10.0, alpha)
    np.testing.assert_allclose(slopes([r, v, PI * r, 0.0]), by_hand, rtol=1e-13, atol=1e-14)


def leading(alpha, eta=20.0):
    r, v = rest(0.5, eta, 1.0, -10.0)
    _, slopes = field(xm.CoombesByrneSynapseStep(alpha=alpha, eta=eta))
    found = np.linalg.eigvals(slopes([r, v, PI * r, 0.0]))
    return found[np.argmax(found.real + 1e-9 * found.imag)]


def test_hopf_points():
    # Found by SciPy on the Jacobian written by hand; the library's own Jacobian has a purely imaginary pair there.
    slow = scipy.optimize.brentq(lambda a: growth(a, **RHYTHM), 0.8, 0.95, xtol=1e-14)
    fast = scipy.optimize.brentq(lambda a: growth(a, **RHYTHM), 20.0, 40.0, xtol=1e-13)
    low = scipy.optimize.brentq(lambda e: growth(0.95, **{**RHYTHM, "eta": e}), 3.0, 6.0, xtol=1e-13)
    high = scipy.optimize.brentq(lambda e: growth(0.95, **{**RHYTHM, "eta": e}), 21.0, 26.0, xtol=1e-13)
    np.testing.assert_allclose([slow, fast, low, high], [0.8654077, 32.0422267, 3.9295111, 23.4010623], rtol=1e-7)
    for pair in (leading(slow), leading(fast), leading(0.95, low), leading(0.95, high)):
        assert abs(pair.real) < 1e-10 and pair.imag > 0.1
    assert leading(slow).imag == pytest.approx(2.992083, abs=1e-6)
    assert leading(0.86).real < 0 < leading(0.87).real and leading(31.0).real > 0 > leading(33.0).real


def test_rhythm_beyond_the_hopf_point():
    # alpha = 0.8 rests, 0.95 cycles: period and range of DOP853 with the equations above.
    alphas = xr.Dataset({"alpha": ("alpha", [0.8, 0.95])})
    run = simulate(xm.CoombesByrneSynapseStep(), 340.0, dt=0.01, method="rk4", params=alphas, transient=300.0, monitors=["r"])
    still, wave = run.r.isel(region=0, alpha=0), run.r.isel(region=0, alpha=1)
    np.testing.assert_allclose(still, rest(**RHYTHM)[0], rtol=1e-6)
    t = np.arange(300.0, 340.0, 0.001)
    oracle = exact(synaptic, [0.1, 0, 0, 0], 340.0, samples=t, **RHYTHM, alpha=0.95)[0]

    def period(times, series):
        y = series - 0.5
        up = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
        return np.diff(times[up] - y[up] * (times[up + 1] - times[up]) / (y[up + 1] - y[up])).mean()

    assert period(t, oracle) == pytest.approx(2.0829, abs=1e-4)
    # crossings by linear interpolation of samples every 0.01 ms: (0.01)^2 times the curvature over the slope, below 1e-4 ms
    assert period(wave.time.values, wave.values) == pytest.approx(period(t, oracle), abs=2e-4)
    assert float(wave.max()) == pytest.approx(oracle.max(), rel=1e-3)  # a peak falls between samples
    assert float(wave.min()) == pytest.approx(oracle.min(), rel=1e-3)
