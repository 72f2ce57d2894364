"""Epileptor and its reduction: vectors, threshold, seizures, gradients.

The oracles are the published equations written out below with NumPy, the fold of their slow manifold in closed form, and SciPy.
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
from tests.models.test_facts import field, simulate
from tests.models.test_vectors import derivative, one_step
from xmass.core.model import declared_parameters, replace

STATES = ("x1", "y1", "z", "x2", "y2", "g")
DEFAULTS = dict(
    a=1.0, b=3.0, c=1.0, d=5.0, r=0.00035, x0=-1.6, Iext=3.1, slope=0.0, Iext2=0.45, tau=10.0, aa=6.0, bb=2.0, Kvf=0.0, Kf=0.0,
    Ks=0.0, tt=1.0, modification=0.0,
)  # fmt: skip
REDUCED = ("a", "b", "c", "d", "r", "x0", "Iext", "Kvf", "Ks", "tt", "modification")


def target(x1, z, p):
    """h: what the permittivity relaxes to."""
    linear = 4 * (x1 - p.x0) - (0.1 * z**7 if z < 0 else 0.0)
    sigmoid = p.x0 + 3 / (1 + np.exp(-(x1 + 0.5) / 0.1))
    return p.modification * sigmoid + (1 - p.modification) * linear


def six(state, c1=0.0, c2=0.0, **changed):
    """Jirsa et al. (2014) in the signs and scales of later work, one state at a time."""
    p = SimpleNamespace(**{**DEFAULTS, **changed})
    x1, y1, z, x2, y2, g = state
    f1 = -p.a * x1**2 + p.b * x1 if x1 < 0 else p.slope - x2 + 0.6 * (z - 4) ** 2
    f2 = 0.0 if x2 < -0.25 else p.aa * (x2 + 0.25)
    rates = [
        y1 - z + p.Iext + p.Kvf * c1 + f1 * x1,
        p.c - p.d * x1**2 - y1,
        p.r * (target(x1, z, p) - z + p.Ks * c1),
        -y2 + x2 - x2**3 + p.Iext2 + p.bb * g - 0.3 * (z - 3.5) + p.Kf * c2,
        (-y2 + f2) / p.tau,
        -0.01 * (g - 0.1 * x1),
    ]
    return p.tt * np.array(rates)


def two(state, r=0.00035, x0=-1.6, I1=3.1):
    """Proix et al. (2014), equation of one node, z not negative."""
    x1, z = state
    return np.array([-(x1**3) - 2 * x1**2 + 1 - z + I1, r * (4 * (x1 - x0) - z)])


FOLD = np.array([-4 / 3, 64 / 27 - 32 / 9 + 4.1])
"""Where -x^3 - 2 x^2 + 4.1 stops falling: the seizure begins."""
THRESHOLD = FOLD[0] - FOLD[1] / 4
"""x0 that puts the fixed point on the fold, by z = 4 (x1 - x0)."""


def rest(x0):
    """(x1, z) at rest: the only real root of -x^3 - 2 x^2 - 4 x + 4 x0 + 4.1."""
    roots = np.roots([-1, -2, -4, 4 * x0 + 4.1])
    x1 = float(roots[np.abs(roots.imag) < 1e-9].real.item())
    return x1, 4 * (x1 - x0)


def onsets(time, x1, pause=200.0):
    """Times of the first and last crossing of 0 of every seizure; seizures are further apart than ``pause``."""
    up = time[1:][(x1[:-1] < 0) & (x1[1:] >= 0)]
    down = time[1:][(x1[:-1] >= 0) & (x1[1:] < 0)]
    starts = [t for t in up if not (np.abs(down - t)[down < t] < pause).any()]
    ends = [t for t in down if not (np.abs(up - t)[up > t] < pause).any() and (t + pause < time[-1])]
    return np.array(starts), np.array(ends)


# ---------------------------------------------------------------------------------------------------------------- six states
VECTORS = [
    (
        (-1.2, -8, 3.3, -0.5, 0.2, -0.05),
        (-2.152, 1.8, -0.000595, -0.165, -0.02, -0.0007),
        (-1.327774229, -7.828707352, 3.299940501, -0.5167079795, 0.1980099667, -0.05006996501),
        (-1.315065976, -7.922221951, 3.299929785, -0.5166000747, 0.1980099668, -0.05007761675),
    ),
    (
        (0.4, -3, 3.8, 0.3, 0.2, -0.05),
        (-3.8104, 3.2, 0.00147, 0.333, 0.31, 0.0009),
        (0.02417030713, -2.695479738, 3.800146997, 0.3345455737, 0.2308455154, -0.04991004499),
        (0.04108068333, -2.646182761, 3.800121342, 0.3329005234, 0.2318335874, -0.04992836404),
    ),
]


@pytest.mark.long
@pytest.mark.parametrize(("start", "rates", "exponential", "rk4"), VECTORS, ids=["below", "above"])
def test_derivative_and_one_step(start, rates, exponential, rk4):
    state, inputs, model = dict(zip(STATES, map(float, start))), {"c1": 0.1, "c2": 0.2}, xm.EpileptorStep()
    np.testing.assert_allclose(derivative(model, state, inputs), rates, rtol=2e-9, atol=1e-12)
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "exp_euler"), exponential, rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, inputs, 0.1, "rk4"), rk4, rtol=2e-9)


def test_defaults_are_those_of_the_specification():
    assert {d.name: d.default for d in declared_parameters(xm.EpileptorStep)} == DEFAULTS
    assert {d.name: d.default for d in declared_parameters(xm.Epileptor2DStep)} == {n: DEFAULTS[n] for n in REDUCED}
    assert tuple(s.initial for s in xm.EpileptorStep.states) == (-1.5, -10, 3.5, -1, 0, 0)


def test_equations_are_the_published_ones():
    rng = np.random.default_rng(2)
    for case in range(12):
        p = {n: v + rng.uniform(-0.3, 0.3) for n, v in DEFAULTS.items()}
        state = rng.uniform(-1.5, 1.5, 6)
        state[1:3] += (-3, 3 if case % 3 else -1)
        c1, c2 = rng.normal(size=2)
        direct = dict(zip(STATES, rng.normal(size=6)))
        found = derivative(xm.EpileptorStep(**p), dict(zip(STATES, state)), {"c1": c1, "c2": c2, **direct})
        np.testing.assert_allclose(found, six(state, c1, c2, **p) + list(direct.values()), rtol=1e-12, atol=1e-13)


def test_field_potential_is_the_difference_of_the_two_subsystems():
    run = simulate(xm.EpileptorStep(), 20.0, monitors=["x1", "x2", "lfp"])
    np.testing.assert_array_equal(run.lfp, run.x2 - run.x1)


def test_first_seizures():
    # x0 = -1.6 from the default state: onset, end and the next onset; f1 jumps at x1 = 0, so no scheme keeps its order (+-5 ms).
    # At 0.1 ms Heun's method is at the edge of its stability (below), so 0.05 ms.
    x1 = simulate(xm.EpileptorStep(), 3000.0, dt=0.05, monitors=["x1"]).x1.isel(region=0)
    starts, ends = onsets(x1.time.values, x1.values)
    assert len(starts) == 2
    assert starts[0] == pytest.approx(604, abs=5)
    assert ends[0] == pytest.approx(1555, abs=5)
    assert starts[1] - starts[0] == pytest.approx(1933, abs=5)
    period = x1.sel(time=slice(starts[0], starts[1]))
    assert float((period > 0).mean()) == pytest.approx(0.39, abs=0.005)


def test_first_seizure_by_another_solver():
    def crossing(t, y):
        return y[0]

    crossing.direction = 1
    found = scipy.integrate.solve_ivp(
        lambda t, y: six(y), (0, 650), [-1.5, -10, 3.5, -1, 0, 0], method="LSODA", rtol=1e-8, atol=1e-10, max_step=0.5, events=crossing
    )
    assert found.t_events[0][0] == pytest.approx(604.30, abs=0.02)
    x1 = simulate(xm.EpileptorStep(), 650.0, dt=0.01, method="rk4", monitors=["x1"]).x1.isel(region=0)
    assert onsets(x1.time.values, x1.values)[0][0] == pytest.approx(found.t_events[0][0], abs=0.05)


def test_heun_needs_steps_below_a_tenth_of_a_millisecond():
    # Before a seizure x1 relaxes at 6 x1 - 3 x1^2 = -20 per ms at x1 = -1.769, the limit of Heun's method (dt rate > -2) for 0.1 ms.
    x1 = 1 - np.sqrt(1 + 20 / 3)
    _, jacobian = field(xm.EpileptorStep())
    assert x1 == pytest.approx(-1.769, abs=1e-3)
    assert jacobian([x1, -14.0, 3.5, -1, 0, 0])[0, 0] == pytest.approx(-20.0, rel=1e-12)
    period = {}
    for dt, method in ((0.1, "heun"), (0.1, "rk4"), (0.05, "heun")):
        found = simulate(xm.EpileptorStep(), 3000.0, dt=dt, method=method, monitors=["x1"]).x1.isel(region=0)
        period[dt, method] = np.diff(onsets(found.time.values, found.values)[0])[0]
    assert period[0.1, "heun"] > 2000
    assert period[0.1, "rk4"] == pytest.approx(1933.2, abs=2) == period[0.05, "heun"]


def test_threshold_in_closed_form():
    assert pytest.approx(-2.06204, abs=5e-6) == THRESHOLD
    np.testing.assert_allclose(FOLD, [-1.33333, 2.91481], atol=5e-6)
    np.testing.assert_allclose(rest(THRESHOLD), FOLD, rtol=1e-9)
    assert 3 * FOLD[0] ** 2 + 4 * FOLD[0] == 0.0
    np.testing.assert_allclose(two(FOLD, x0=THRESHOLD), 0.0, atol=1e-15)


def full_rest(x0):
    """All six states at rest with x1 < 0; the second subsystem does not act back on the first there."""
    x1, z = rest(x0)
    g = 0.1 * x1
    x2 = scipy.optimize.brentq(lambda x: -6 * (x + 0.25) + x - x**3 + 0.45 + 2 * g - 0.3 * (z - 3.5), -0.25, 1.0, xtol=1e-15)
    return np.array([x1, 1 - 5 * x1**2, z, x2, 6 * (x2 + 0.25), g])


@pytest.mark.parametrize("x0", [-2.4, -2.2, -2.1])
def test_the_reduction_has_the_fixed_points_of_the_full_model(x0):
    point = full_rest(x0)
    np.testing.assert_allclose(six(point, x0=x0), 0.0, atol=1e-13)
    np.testing.assert_allclose(derivative(xm.EpileptorStep(x0=x0), dict(zip(STATES, point)), {}), 0.0, atol=1e-13)
    reduced = {"x1": point[0], "z": point[2]}
    np.testing.assert_allclose(derivative(xm.Epileptor2DStep(x0=x0), reduced, {}), 0.0, atol=1e-13)
    # Both come back to it: ours with two states, the equations above with six by LSODA. The slow rate is at least 6e-4 per ms.
    start = {"x1": point[0] + 0.05, "z": point[2] + 0.02}
    end = simulate(xm.Epileptor2DStep(x0=x0), 30000.0, dt=0.5, method="rk4", initial=start).isel(time=-1, region=0)
    np.testing.assert_allclose([end.x1, end.z], point[[0, 2]], atol=1e-6)
    moved = point.copy()
    moved[[0, 2]] += (0.05, 0.02)
    stiff = scipy.integrate.solve_ivp(lambda t, y: six(y, x0=x0), (0, 30000), moved, method="LSODA", rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(stiff.y[[0, 2], -1], point[[0, 2]], atol=1e-6)


def test_onset_is_a_hopf_point_just_above_the_fold():
    # The reduction loses stability where its trace -3 x^2 - 4 x - r vanishes; the six states a little later, as y1 is not at once.
    x1 = (-4 - np.sqrt(16 - 12 * 0.00035)) / 6
    reduced = x1 - (-(x1**3) - 2 * x1**2 + 4.1) / 4
    assert reduced == pytest.approx(-2.0619495, abs=1e-7) and 0 < reduced - THRESHOLD < 1e-4

    def jacobian(x):
        return np.array([[-3 * x**2 + 6 * x, 1, -1], [-10 * x, -1, 0], [0.0014, 0, -0.00035]])

    x1 = scipy.optimize.brentq(lambda x: np.linalg.eigvals(jacobian(x)).real.max(), -1.4, -1.25, xtol=1e-14)
    full = x1 - (-(x1**3) - 2 * x1**2 + 4.1) / 4
    assert full == pytest.approx(-2.0604586, abs=1e-7)
    for model, at, states in ((xm.Epileptor2DStep, reduced, [0, 2]), (xm.EpileptorStep, full, [0, 1, 2, 3, 4, 5])):
        growth = []
        for x0 in (at - 1e-4, at, at + 1e-4):
            first = field(model(x0=x0))[1](full_rest(x0)[states])[:3, :3]  # the subsystem of x1, y1, z drives the others
            growth.append(np.linalg.eigvals(first).real.max())
        assert growth[0] < 0 < growth[2]
        assert abs(growth[1]) < 1e-7  # at the point itself, to the rounding of a root found to 1e-14


def test_only_nodes_above_the_threshold_seize():
    x0 = xr.Dataset({"x0": ("x0", [-2.4, -2.1, -2.06, -2.0, -1.6])})
    for model, dt in ((xm.EpileptorStep(), 0.05), (xm.Epileptor2DStep(), 0.5)):
        x1 = xm.Simulator(model, dt=dt).run(12000.0, x0, monitors=["x1"], sample_every=1.0).x1
        assert (x1.max("time").isel(region=0) > 0).values.tolist() == [False, False, True, True, True]


@pytest.mark.long
@pytest.mark.parametrize("start", [(-1.0, -6.0, 3.0, -0.5, 0.1, -0.1), (0.3, -1.0, 3.4, 0.2, 0.3, 0.0), (-0.8, -2.0, -0.4, 0.0, 0.1, 0.0)])
@pytest.mark.parametrize("modification", [0.0, 0.4, 1.0])
def test_gradients_are_right_on_every_branch(start, modification):
    # Central differences of the equations written out above, by every parameter and state: x1, x2 and z of both signs.
    model, names = xm.EpileptorStep(modification=modification, Kvf=0.2, Kf=0.3, Ks=-0.4), list(DEFAULTS)
    given = {**DEFAULTS, "modification": modification, "Kvf": 0.2, "Kf": 0.3, "Ks": -0.4}
    silent = {i.name: 0.0 for i in model.inputs} | {"c1": 0.5, "c2": -0.3}

    def rates(values, state):
        made = replace(model, dict(zip(names, values))).drift(SimpleNamespace(**dict(zip(STATES, state))), SimpleNamespace(**silent))
        return jnp.stack([made[s] for s in STATES])

    with jax.enable_x64(True):
        values, state = jnp.asarray([given[n] for n in names]), jnp.asarray(start)
        by_parameter, by_state = (np.asarray(m) for m in jax.jacrev(rates, argnums=(0, 1))(values, state))
    assert np.isfinite(by_parameter).all() and np.isfinite(by_state).all()
    h = 1e-6
    for i, name in enumerate(names):
        up, down = (six(start, 0.5, -0.3, **{**given, name: given[name] + s * h}) for s in (1, -1))
        np.testing.assert_allclose(by_parameter[:, i], (up - down) / (2 * h), rtol=1e-7, atol=1e-8, err_msg=name)
    for i in range(6):
        shift = h * np.eye(6)[i]
        difference = (six(start + shift, 0.5, -0.3, **given) - six(start - shift, 0.5, -0.3, **given)) / (2 * h)
        np.testing.assert_allclose(by_state[:, i], difference, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("at", [0.0, -1e-9, 1e-9, -1e3, 1e3])
def test_gradients_are_finite_at_and_far_from_the_jumps(at):
    for model in (xm.EpileptorStep(), xm.Epileptor2DStep()):
        _, jacobian = field(model)
        for z in (-2.0, 0.0, 4.0):
            states = {"x1": at, "z": z, "x2": -0.25}
            assert np.isfinite(jacobian([states.get(s.name, 0.1) for s in model.states])).all()


# ---------------------------------------------------------------------------------------------------------------- two states
def test_the_reduction_is_the_first_subsystem_with_y1_at_rest():
    # For x1 < 0, any parameters: y1 = c - d x1^2 turns the first equation into the cubic; z has the same equation.
    rng = np.random.default_rng(3)
    for _ in range(8):
        p = {n: DEFAULTS[n] + rng.uniform(-0.3, 0.3) for n in REDUCED}
        x1, z, c1 = rng.uniform(-2, 0), rng.uniform(-1, 5), rng.normal()
        full = six((x1, p["c"] - p["d"] * x1**2, z, rng.normal(), 0, 0), c1, **p)
        found = derivative(xm.Epileptor2DStep(**p), {"x1": x1, "z": z}, {"c1": c1, "x1": 0.1, "z": 0.2})
        np.testing.assert_allclose(found, full[[0, 2]] + [0.1, 0.2], rtol=1e-12, atol=1e-14)


def test_the_reduction_with_defaults_is_the_papers():
    for state in ((-1.7, 3.4), (0.5, 3.9), (-0.4, 4.4)):
        np.testing.assert_allclose(derivative(xm.Epileptor2DStep(), dict(zip(("x1", "z"), state)), {}), two(state), rtol=1e-13)


def cycle(r):
    """Period and range of the limit cycle at x0 = -1.6, by DOP853 with the paper's equations."""

    def crossing(t, y):
        return y[0]

    crossing.direction = 1
    found = scipy.integrate.solve_ivp(
        lambda t, y: two(y, r), (0, 4 / r), [-1.5, 3.5], method="DOP853", rtol=1e-10, atol=1e-12, events=crossing, dense_output=True
    )
    start, stop = found.t_events[0][-2:]
    x1, z = found.sol(np.linspace(start, stop, 20001))
    return stop - start, (x1.min(), x1.max(), z.min(), z.max())


@pytest.mark.long
def test_limit_cycle_of_the_reduction():
    period, extremes = cycle(0.00035)
    np.testing.assert_allclose([period, *extremes], [1644.409, -2.00235, 0.66836, 2.90273, 4.11420], rtol=1e-5)
    run = simulate(xm.Epileptor2DStep(), 6000.0, dt=0.1, method="rk4", transient=500.0).isel(region=0)
    x1, t = run.x1.values, run.time.values
    up = np.flatnonzero((x1[:-1] < 0) & (x1[1:] >= 0))
    # RK4, 0.1 ms, rates up to 4 per ms: (0.4)^4 / 120 of the fast part of the cycle.
    np.testing.assert_allclose(np.diff(t[up] - x1[up] * 0.1 / (x1[up + 1] - x1[up])), period, rtol=1e-6)
    np.testing.assert_allclose([x1.min(), x1.max(), run.z.min(), run.z.max()], extremes, atol=2e-4)


def test_slow_limit_of_the_period():
    # As r goes to 0 the cycle becomes two pieces of the cubic joined by jumps, and r T an integral over them; the correction falls
    # as r^(2/3), so by 4.64 per factor of ten.
    def pace(x):
        return (-3 * x**2 - 4 * x) / (4 * (x + 1.6) - (-(x**3) - 2 * x**2 + 4.1))

    limit = scipy.integrate.quad(pace, -2, -4 / 3)[0] + scipy.integrate.quad(pace, 2 / 3, 0)[0]
    excess = []
    for r in (3.5e-4, 3.5e-5):
        x1 = simulate(xm.Epileptor2DStep(r=r), 1.4 / r, dt=0.2, method="rk4", monitors=["x1"]).x1.isel(region=0)
        at = x1.time.values[1:][(x1.values[:-1] < 0) & (x1.values[1:] >= 0)]
        excess.append(r * np.diff(at)[0] - limit)
    assert limit == pytest.approx(0.557105, abs=1e-6)
    assert 0 < excess[1] < excess[0] < 0.02
    assert excess[0] / excess[1] == pytest.approx(10 ** (2 / 3), rel=0.05)


def test_a_negative_permittivity_returns():
    # z < 0 pulls itself back by its seventh power; without it z would settle at 4 (x1 - x0) = -4.
    model = xm.Epileptor2DStep(r=0.1)
    rates = derivative(model, {"x1": -2.6, "z": -2.0}, {})
    assert rates[1] == pytest.approx(0.1 * (4 * (-2.6 + 1.6) + 0.1 * 2.0**7 + 2.0), rel=1e-12)


def test_coupled_nodes_follow_the_coupled_equations():
    # Permittivity coupling as in the paper, -K (x1 of the other - own) inside the equation of z: Ks = -1 with a diffusive coupling.
    x0, K = np.array([-1.6, -2.2]), 0.35
    sc = xr.Dataset({"weights": (("region", "region_other"), [[0.0, 0.0], [K, 0.0]])})
    model = xm.Epileptor2DStep(x0=xr.DataArray(x0, dims="region"), Ks=-1.0)
    net = xm.Network(model, sc, coupling=xm.DiffusiveCoupling(source="x1", target="c1"))
    run = xm.Simulator(net, dt=0.1, method="rk4", precision="float64").run(4000.0)

    def rates(t, y):
        first, second = two(y[:2], x0=x0[0]), two(y[2:], x0=x0[1])
        return np.concatenate([first, second - [0.0, 0.00035 * K * (y[0] - y[2])]])

    expected = scipy.integrate.solve_ivp(rates, (0, 4000), [-1.5, 3.5, -1.5, 3.5], method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    end = run.isel(time=-1)
    np.testing.assert_allclose(np.stack([end.x1, end.z], 1).ravel(), expected, atol=1e-5)
    assert (run.x1.max("time") > 0).all()  # the second node seizes
    alone = xm.Simulator(xm.Epileptor2DStep(x0=-2.2), dt=0.1, precision="float64").run(4000.0)
    assert float(alone.x1.max()) < 0  # which it does not by itself


def test_gains_of_zero_leave_the_nodes_alone():
    sc = xr.Dataset({"weights": (("region", "region_other"), [[0.0, 1.0], [1.0, 0.0]])})
    model = xm.EpileptorStep(x0=xr.DataArray([-1.6, -2.2], dims="region"))
    couplings = {"first": xm.DiffusiveCoupling(source="x1", target="c1"), "second": xm.DiffusiveCoupling(source="x2", target="c2")}
    both = [xm.Simulator(xm.Network(model, sc, coupling=c), dt=0.05).run(700.0, monitors=["x1"]).x1 for c in (couplings, None)]
    np.testing.assert_array_equal(both[0], both[1])
