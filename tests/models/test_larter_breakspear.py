"""Larter-Breakspear node: vector, Hopf point, cycles, bursts, Lyapunov exponents.

The oracle is the published equations written out below with NumPy, with derivatives by complex steps and solutions by SciPy.
"""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import xarray as xr

import xmass as xm
from tests.models.test_facts import field, fixed_point, simulate
from tests.models.test_vectors import derivative, one_step
from xmass.core.model import declared_parameters, replace

DEFAULTS = dict(
    gCa=1.1, gK=2.0, gL=0.5, gNa=6.7, TCa=-0.01, TK=0.0, TNa=0.3, d_Ca=0.15, d_K=0.3, d_Na=0.15, VCa=1.0, VK=-0.7, VL=-0.5, VNa=0.53,
    phi=0.7, tau_K=1.0, aee=0.4, aei=2.0, aie=2.0, ane=1.0, ani=0.4, b=0.1, C=0.1, Iext=0.3, rNMDA=0.25, VT=0.0, d_V=0.65, ZT=0.0,
    d_Z=0.7, QV_max=1.0, QZ_max=1.0, t_scale=1.0,
)  # fmt: skip


def equations(state, c=0.0, **changed):
    """Derivatives per ms, term by term as in Breakspear, Terry, Friston (2003)."""
    p = SimpleNamespace(**{**DEFAULTS, **changed})
    V, W, Z = state
    m_Ca, m_Na, m_K = ((1 + np.tanh((V - T) / d)) / 2 for T, d in ((p.TCa, p.d_Ca), (p.TNa, p.d_Na), (p.TK, p.d_K)))
    Q_V = p.QV_max * (1 + np.tanh((V - p.VT) / p.d_V)) / 2
    Q_Z = p.QZ_max * (1 + np.tanh((Z - p.ZT) / p.d_Z)) / 2
    dV = (
        -(p.gCa + (1 - p.C) * p.rNMDA * p.aee * Q_V + p.C * p.rNMDA * p.aee * c) * m_Ca * (V - p.VCa)
        - p.gK * W * (V - p.VK)
        - p.gL * (V - p.VL)
        - (p.gNa * m_Na + (1 - p.C) * p.aee * Q_V + p.C * p.aee * c) * (V - p.VNa)
        - p.aie * Z * Q_Z
        + p.ane * p.Iext
    )
    return p.t_scale * np.array([dV, p.phi * (m_K - W) / p.tau_K, p.b * (p.ani * p.Iext + p.aei * V * Q_V)])


def slopes(state, **changed):
    """Jacobian of ``equations`` by complex steps: exact to rounding."""
    step = 1e-30
    columns = [equations(np.array(state) + 1j * step * np.eye(3)[i], **changed).imag / step for i in range(3)]
    return np.stack(columns, axis=1)


def rest(d_V):
    # The last equation alone gives V, the second W, and the first Z.
    V = scipy.optimize.brentq(lambda V: equations((V, 0.0, 0.0), d_V=d_V)[2], -0.25, -0.05, xtol=1e-15)
    W = (1 + np.tanh(V / 0.3)) / 2
    Z = scipy.optimize.brentq(lambda Z: equations((V, W, Z), d_V=d_V)[0], -0.5, 1.0, xtol=1e-15)
    return np.array([V, W, Z])


@pytest.mark.long
def test_derivative_and_one_step():
    # The input of the vector is c, the firing of the other regions.
    model, state, inputs = xm.LarterBreakspearStep(), {"V": -0.1, "W": 0.3, "Z": 0.1}, {"c": 0.2}
    np.testing.assert_allclose(derivative(model, state, inputs), [0.03752502511, 0.02747054186, 0.003526437598], rtol=2e-9)
    exponential = one_step(model, state, inputs, 0.1, "exp_euler")
    np.testing.assert_allclose(exponential, [-0.0958726777, 0.302653112, 0.1003526438], rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "rk4"), [-0.09607324767, 0.3028513116, 0.1003661955], rtol=2e-9)


def test_defaults_are_those_of_the_specification():
    assert {d.name: d.default for d in declared_parameters(xm.LarterBreakspearStep)} == DEFAULTS


def test_equations_are_the_published_ones():
    rng = np.random.default_rng(1)
    for _ in range(8):
        p = {n: v + rng.uniform(-0.2, 0.2) * (abs(v) + 0.3) for n, v in DEFAULTS.items()}
        state, c = rng.uniform(-0.6, 0.6, 3), rng.uniform(0, 1)
        found = derivative(xm.LarterBreakspearStep(**p), dict(zip("VWZ", state)), {"c": c, "V": 0.1, "W": 0.2, "Z": 0.3})
        np.testing.assert_allclose(found, equations(state, c, **p) + np.array([0.1, 0.2, 0.3]), rtol=1e-12, atol=1e-14)


@pytest.mark.long
def test_hopf_point():
    def growth(d_V):
        return np.linalg.eigvals(slopes(rest(d_V), d_V=d_V)).real.max()

    at = scipy.optimize.brentq(growth, 0.51, 0.52, xtol=1e-13)
    assert at == pytest.approx(0.515272, abs=5e-7)
    point, rates = fixed_point(xm.LarterBreakspearStep(d_V=at), [-0.18, 0.23, 0.1])
    np.testing.assert_allclose(point, rest(at), rtol=1e-11)
    assert point[0] == pytest.approx(-0.18125, abs=5e-6)
    pair = rates[np.argmax(rates.imag)]
    assert abs(pair.real) < 1e-11 and pair.imag == pytest.approx(0.6788, abs=5e-5)  # rad/ms, 108 Hz
    assert sorted(rates.real)[0] == pytest.approx(-0.06869, abs=1e-5)
    _, jacobian = field(xm.LarterBreakspearStep(d_V=at))
    np.testing.assert_allclose(jacobian(point), slopes(point, d_V=at), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("d_V", [0.50, 0.53, 0.54])
def test_trajectory_follows_the_published_equations(d_V):
    # 300 ms: before the .54 bursts can part by rounding. RK4 at 0.05 ms, rates up to 5 per ms: 5e-7 of the range.
    end = simulate(xm.LarterBreakspearStep(d_V=d_V), 300.0, dt=0.05, method="rk4").isel(time=-1, region=0)
    solution = scipy.integrate.solve_ivp(
        lambda t, y: equations(y, d_V=d_V), (0, 300), [0, 0, 0], method="DOP853", rtol=1e-10, atol=1e-12, max_step=1.0
    ).y[:, -1]
    np.testing.assert_allclose([end.V, end.W, end.Z], solution, atol=1e-5)


def test_rest_small_cycles_and_bursts():
    # The cycle of .52 grows at 0.009 per ms, so it is given 3 s.
    d_V = xr.Dataset({"d_V": ("d_V", [0.50, 0.52, 0.53, 0.54, 0.57, 0.60, 0.65])})
    V = simulate(xm.LarterBreakspearStep(), 5000.0, params=d_V, transient=3000.0, monitors=["V"], initial={"V": -0.1, "W": 0.2}).V
    low, high = V.min("time").isel(region=0), V.max("time").isel(region=0)
    np.testing.assert_allclose([low.sel(d_V=0.5), high.sel(d_V=0.5)], rest(0.5)[0], atol=1e-7)
    np.testing.assert_allclose([low.sel(d_V=0.52), high.sel(d_V=0.52)], [-0.206, -0.156], atol=5e-4)
    np.testing.assert_allclose([low.sel(d_V=0.53), high.sel(d_V=0.53)], [-0.224, -0.138], atol=5e-4)
    bursts = [0.54, 0.57, 0.60, 0.65]
    assert (low.sel(d_V=bursts) < -0.50).all() and (low.sel(d_V=bursts) > -0.56).all()
    assert (high.sel(d_V=bursts) > 0.33).all() and (high.sel(d_V=bursts) < 0.38).all()


def test_narrow_thresholds_run_away():
    # d_V = .45: V falls until nothing fires. Then dZ/dt = b ani Iext and V follows -aie Z / gL, both linear in time, without bound.
    run = simulate(xm.LarterBreakspearStep(d_V=0.45), 3000.0, transient=2000.0)
    V, Z = (run[n].isel(region=0) for n in ("V", "Z"))
    span = float(run.time[-1] - run.time[0])
    assert float(Z[-1] - Z[0]) / span == pytest.approx(0.1 * 0.4 * 0.3, rel=1e-9)
    assert float(V[-1] - V[0]) / span == pytest.approx(-2.0 * 0.012 / 0.5, rel=1e-9)


def test_bursts_repeat_at_d_V_054():
    # The section Z = .172 upward, by DOP853 with the equations above: a cycle of 535.219 ms with several peaks.
    def section(t, y):
        return y[2] - 0.1721678

    section.direction = 1
    found = scipy.integrate.solve_ivp(
        lambda t, y: equations(y, d_V=0.54), (0, 8000), [0, 0, 0], method="DOP853", rtol=1e-9, atol=1e-11, max_step=1.0, events=section
    )
    oracle = np.diff(found.t_events[0][-4:])
    np.testing.assert_allclose(oracle, 535.219, atol=2e-3)
    Z = simulate(xm.LarterBreakspearStep(d_V=0.54), 8000.0, method="rk4", transient=5000.0, monitors=["Z"]).Z.isel(region=0)
    y, t = Z.values - 0.1721678, Z.time.values
    up = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    # RK4 at 0.1 ms moves the period by 1e-5 of it.
    np.testing.assert_allclose(np.diff(t[up] - y[up] * (t[up + 1] - t[up]) / (y[up + 1] - y[up])), 535.219, atol=0.05)


def lyapunov_exponents(d_V, starts, duration, transient, dt=0.1):
    """Largest Lyapunov exponent [1/ms] (d_V, start): growth of a tangent under RK4, renormalised every step."""
    every = jnp.repeat(jnp.asarray(d_V), starts)
    model = replace(xm.LarterBreakspearStep(), {"d_V": every})
    silent = SimpleNamespace(V=0.0, W=0.0, Z=0.0, c=0.0)

    def rates(y):
        made = model.drift(SimpleNamespace(V=y[0], W=y[1], Z=y[2]), silent)
        return jnp.stack([made["V"], made["W"], made["Z"]])

    def step(y):
        k1 = rates(y)
        k2 = rates(y + dt / 2 * k1)
        k3 = rates(y + dt / 2 * k2)
        return y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + rates(y + dt * k3))

    def grow(_, carry):
        y, tangent, total = carry
        y, tangent = jax.jvp(step, (y,), (tangent,))
        size = jnp.sqrt((tangent**2).sum(0))
        return y, tangent / size, total + jnp.log(size)

    run = jax.jit(lambda carry, steps: jax.lax.fori_loop(0, steps, grow, carry))
    y = jnp.asarray(np.random.default_rng(0).uniform(-0.02, 0.02, (3, every.size)))
    y, tangent, _ = run((y, jnp.ones_like(y), jnp.zeros(every.size)), round(transient / dt))
    _, _, total = run((y, tangent, jnp.zeros(every.size)), round(duration / dt))
    return np.asarray(total).reshape(len(d_V), starts) / duration


@pytest.mark.long
def test_largest_lyapunov_exponents():
    # Over 120 s the exponent of a cycle is within 1e-4 of 0 (its bounded part over the duration); that of a chaotic regime varies by
    # 10 % between starts (measured 2.5 +- .2, 2.7 +- .1 per s). At .62 chaos is weak and one start in six ends in a cycle.
    cycles, chaos = [0.54, 0.57, 0.60, 0.65, 0.66], [0.572, 0.606]
    with jax.enable_x64(True):
        found = lyapunov_exponents(np.array([*cycles, *chaos, 0.62]), 3, 120000.0, 5000.0)
    assert np.abs(found[: len(cycles)]).max() < 1e-4
    np.testing.assert_allclose(found[len(cycles) : -1].mean(axis=1), [0.0025, 0.0027], atol=5e-4)
    assert np.median(found[-1]) == pytest.approx(4e-4, abs=1.5e-4)


def test_other_regions_reach_the_node_through_their_firing():
    # Two regions coupled by the input c, against the equations above in a pair.
    weights = np.array([[0.0, 0.8], [0.3, 0.0]])
    sc = xr.Dataset({"weights": (("region", "region_other"), weights)})
    net = xm.Network(xm.LarterBreakspearStep(C=0.4), sc, coupling=xm.AdditiveCoupling(k=0.5, source="W", target="c"))
    start = xr.DataArray([-0.2, 0.1], dims="region")
    end = xm.Simulator(net, dt=0.02, method="rk4", precision="float64").run(20.0, initial={"V": start}).isel(time=-1)

    def rates(t, y):
        states = y.reshape(3, 2)
        received = 0.5 * weights @ states[1]
        return np.stack([equations(states[:, i], received[i], C=0.4) for i in range(2)], axis=1).ravel()

    expected = scipy.integrate.solve_ivp(rates, (0, 20), [-0.2, 0.1, 0, 0, 0, 0], method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    np.testing.assert_allclose(np.concatenate([end.V, end.W, end.Z]), expected, atol=1e-7)  # (0.02 * 5)^4 / 120 per ms


def test_white_noise_inside_the_conductances_is_refused():
    with pytest.raises(ValueError, match="OUProcess"):
        xm.Simulator(xm.LarterBreakspearStep(noise_c=xm.WhiteNoise(sigma=0.1)), dt=0.1)
    noisy = xm.LarterBreakspearStep(d_V=0.5, noise_c=xm.OUProcess(sigma=0.02, tau=5.0), noise_V=xm.WhiteNoise(sigma=1e-4))
    V = xm.Simulator(noisy, dt=0.1).run(400.0, monitors=["V"], transient=200.0, seed=0).V
    assert 1e-4 < float(V.std()) < 0.02
