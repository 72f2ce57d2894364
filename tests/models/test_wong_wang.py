"""Wong-Wang models: vectors, fixed points found by scipy, the singularity of the transfer function, statistics of decisions."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.optimize import brentq, root

import xmass as xm
from xmass.core.model import declared_parameters, replace


def simulate(model, duration, params=None, dt=0.5, method="heun", **options):
    return xm.Simulator(model, dt=dt, method=method, precision="float64").run(duration, params, **options).isel(region=0)


def defaults(cls):
    return {d.name: d.default for d in declared_parameters(cls)}


# ---------------------------------------------------------------------------------------- the equations as the papers have them
def curve(x):
    """Wong and Wang 2006: rate [Hz] at a current [nA]."""
    y = np.clip(270.0 * x - 108.0, -1e3, 1e3)  # a root finder tries currents whose exponential overflows
    return y / -np.expm1(-0.154 * y)


def line(x):
    """The threshold-linear form."""
    return 270.0 * np.maximum(x - 0.31, 0.0)


def field(S, rate, stimulus, c=0.0, noise=0.0):
    """Derivatives [1/ms] and rates [Hz] of both populations, S of shape (2, ...)."""
    evidence = np.reshape([1.0, -1.0], (2,) + (1,) * (np.ndim(S) - 1))
    r = rate(0.2609 * S - 0.0497 * S[::-1] + stimulus * (1 + evidence * c) + 0.3255 + noise)
    return -S / 100 + (1 - S) * 0.641e-3 * r, r


def fixed_points(rate, stimulus, c=0.0):
    """All found from a grid of starts: gating, rates, eigenvalues [1/ms]."""
    found = []
    for start in np.stack(np.meshgrid(np.linspace(0.01, 0.9, 12), np.linspace(0.01, 0.9, 12)), -1).reshape(-1, 2):
        solution = root(lambda S: field(S, rate, stimulus, c)[0], start, tol=1e-13)
        if np.abs(solution.fun).max() < 1e-12 and (solution.x >= 0).all() and not any(np.allclose(solution.x, f) for f in found):
            found.append(solution.x)
    slopes = [[(field(S + h, rate, stimulus, c)[0] - field(S - h, rate, stimulus, c)[0]) / 2e-6 for h in 1e-6 * np.eye(2)] for S in found]
    return [(S, field(S, rate, stimulus, c)[1], np.linalg.eigvals(np.transpose(J)).real) for S, J in zip(found, slopes)]


# --------------------------------------------------------------------------------------------------------------- defaults
COMMON = dict(gamma=0.641e-3, tau_S=100, J_N11=0.2609, J_N22=0.2609, J_N12=0.0497, J_N21=0.0497, mu_0=30, I_0=0.3255, a=270)


def test_item_6_the_curve_and_the_stimulus_are_those_of_the_paper():
    assert defaults(xm.WongWangStep) == COMMON | dict(b=108, d=0.154, J_A_ext=5.2e-4)
    assert defaults(xm.WongWangNoDecisionStep) == COMMON | dict(theta=0.31, J_A_ext=2.243e-4)
    noisy = xm.WongWangStep.noisy()  # tau dI = -I dt + sqrt(tau) sigma dW has the stationary variance sigma^2 / 2
    assert (noisy.noise_s1.tau, noisy.noise_s1.sigma) == (2.0, pytest.approx(0.02 / np.sqrt(2)))
    assert noisy.noise_s1 == noisy.noise_s2


def test_defaults_of_the_model_of_one_population():
    expected = dict(a=0.270, b=0.108, d=154, gamma=0.641, tau_s=100, w=0.6, J_N=0.2609, I_o=0.33)
    assert defaults(xm.ReducedWongWangStep) == expected


@pytest.mark.parametrize("cls", [xm.WongWangStep, xm.WongWangNoDecisionStep])
def test_no_coupling_lands_on_the_coherence_by_accident(cls):
    assert [i.name for i in cls.inputs] == ["S1", "S2", "I1", "I2", "coherence"]
    sc = xr.Dataset({"weights": (("region", "region_other"), [[0.0, 1.0], [1.0, 0.0]])})
    with pytest.raises(TypeError, match="target"):
        xm.Network(cls(), sc, coupling=xm.AdditiveCoupling(source="S1"))


# ----------------------------------------------------------------------------------------------------------------- vectors
def test_threshold_linear_vector():
    # The specification's row: rates of the state before the step, and the states after a step of exponential Euler. That row holds
    # the rates over the step, so its linear part is -1/tau - gamma r; the library's scheme takes the whole slope of each equation,
    # with the self-excitation gamma (1 - S) a J in it. From the library's own rates and derivative both are made here.
    model, S, dt = xm.WongWangNoDecisionStep(), np.array([0.1, 0.2]), 0.1
    s, u = SimpleNamespace(S1=0.1, S2=0.2), SimpleNamespace(coherence=0.256, I1=0.0, I2=0.0, S1=0.0, S2=0.0)
    with jax.enable_x64(True):
        r, slope = np.array([float(model.r1(s, u)), float(model.r2(s, u))]), np.array([float(v) for v in model.drift(s, u).values()])
    np.testing.assert_allclose(r, [10.82743848, 18.28342152], rtol=1e-9)
    held = -1 / 100 - 0.641e-3 * r
    np.testing.assert_allclose(S + np.expm1(dt * held) / held * slope, [0.10052419080, 0.20073677344], rtol=1e-10)
    whole = held + 0.641e-3 * (1 - S) * 270 * 0.2609
    run = simulate(model, dt, dt=dt, method="exp_euler", initial={"S1": S[0], "S2": S[1]}, inputs={"coherence": 0.256})
    np.testing.assert_allclose([run.S1[0], run.S2[0]], S + np.expm1(dt * whole) / whole * slope, rtol=1e-12)


@pytest.mark.parametrize(("cls", "rate", "weight"), [(xm.WongWangStep, curve, 5.2e-4), (xm.WongWangNoDecisionStep, line, 2.243e-4)])
def test_one_step_of_runge_kutta_equals_the_published_equations(cls, rate, weight):
    S, c, current, direct = np.array([0.3, 0.15]), 0.4, np.array([0.01, -0.02]), np.array([1e-3, 2e-3])

    def rhs(S):
        return field(S, rate, 30.0 * weight, c, current)[0] + direct

    dt = 0.5
    k1 = rhs(S)
    k2 = rhs(S + dt / 2 * k1)
    k3 = rhs(S + dt / 2 * k2)
    expected = S + dt / 6 * (k1 + 2 * k2 + 2 * k3 + rhs(S + dt * k3))
    inputs = dict(coherence=c, I1=current[0], I2=current[1], S1=direct[0], S2=direct[1])
    run = simulate(cls(), dt, method="rk4", initial={"S1": S[0], "S2": S[1]}, inputs=inputs, monitors=["S1", "S2", "r1", "r2"])
    np.testing.assert_allclose([run.S1[0], run.S2[0]], expected, rtol=1e-14)
    np.testing.assert_allclose([run.r1[0], run.r2[0]], field(expected, rate, 30.0 * weight, c, current)[1], rtol=1e-12)


def test_the_four_weights_are_told_apart():
    # Only population 2 is active: J_N12 acts on 1, J_N22 on 2; J_N11 and J_N21 have nothing to weigh.
    s, u = SimpleNamespace(S1=0.0, S2=0.5), SimpleNamespace(coherence=0.0, I1=0.0, I2=0.0)
    model = xm.WongWangStep(J_N11=0.9, J_N22=0.2, J_N12=0.1, J_N21=0.8)
    with jax.enable_x64(True):
        base = 0.3255 + 30 * 5.2e-4
        assert float(model.r1(s, u)) == pytest.approx(curve(base - 0.05), rel=1e-12)
        assert float(model.r2(s, u)) == pytest.approx(curve(base + 0.1), rel=1e-12)


# ----------------------------------------------------------------------------------------------------------- fixed points
def test_spontaneous_state_and_working_memory():
    # Without a stimulus: rest at 1.785 Hz, and each population can keep 20.43 Hz against 0.514 Hz.
    stable = sorted(tuple(S.round(5)) for S, _, slopes in fixed_points(curve, 0.0) if slopes.max() < 0)
    assert stable == [(0.03189, 0.56699), (0.10265, 0.10265), (0.56699, 0.03189)]
    start = xr.Dataset({"initial.S1": ("start", [0.05, 0.5, 0.05]), "initial.S2": ("start", [0.05, 0.05, 0.5])})
    end = simulate(xm.WongWangStep(mu_0=0.0), 6000.0, start, monitors=["S1", "S2", "r1", "r2"]).isel(time=-1)
    np.testing.assert_allclose(end.S1, [0.10265, 0.56699, 0.03189], atol=1e-5)
    np.testing.assert_allclose(end.S2, [0.10265, 0.03189, 0.56699], atol=1e-5)
    np.testing.assert_allclose(end.r1, [1.785, 20.43, 0.514], atol=5e-3)


def test_under_the_stimulus_the_symmetric_state_is_a_saddle():
    points = fixed_points(curve, 30 * 5.2e-4)
    saddle = next(p for p in points if np.isclose(*p[0]))
    np.testing.assert_allclose(saddle[0], 0.42446, atol=1e-5)
    np.testing.assert_allclose(saddle[1], 11.505, atol=1e-3)
    assert sorted(np.sign(saddle[2])) == [-1, 1]
    attractors = sorted(tuple(r.round(3)) for _, r, slopes in points if slopes.max() < 0)
    assert attractors == [(0.852, 30.108), (30.108, 0.852)]
    # The model stays on the saddle from a symmetric start, and leaves it for either attractor.
    start = xr.Dataset({"initial.S1": ("start", [0.2, 0.21, 0.2]), "initial.S2": ("start", [0.2, 0.2, 0.21])})
    end = simulate(xm.WongWangStep(), 8000.0, start, monitors=["r1", "r2"]).isel(time=-1)
    np.testing.assert_allclose(end.r1, [11.505, 30.108, 0.852], atol=1e-3)
    np.testing.assert_allclose(end.r2, [11.505, 0.852, 30.108], atol=1e-3)


def test_full_coherence_leaves_one_attractor():
    (only,) = fixed_points(curve, 30 * 5.2e-4, c=1.0)
    np.testing.assert_allclose(only[1], [38.061, 0.383], atol=1e-3)
    c = xr.DataArray([1.0, -1.0], dims="c")
    starts = xr.Dataset({"initial.S2": ("start", [0.1, 0.6])})
    end = simulate(xm.WongWangStep(), 6000.0, starts, inputs={"coherence": c}, monitors=["r1", "r2"]).isel(time=-1)
    np.testing.assert_allclose(end.r1.sel(c=0), 38.061, atol=1e-3)
    np.testing.assert_allclose(end.r1.sel(c=1), 0.383, atol=1e-3)


def test_item_6_the_threshold_linear_form_decides_nothing():
    weight = 2.243e-4
    for mu, rate in ((0.0, 47.0), (30.0, 49.3)):
        symmetric = next(p for p in fixed_points(line, mu * weight) if np.isclose(*p[0]) and p[0][0] > 0.1)
        np.testing.assert_allclose(symmetric[1], rate, atol=0.05)
        assert symmetric[2].max() < 0
    model = xm.WongWangNoDecisionStep(**vars_of_noise())
    runs = simulate(model, 4000.0, batch_size=50, seed=1, monitors=["r1", "r2"], transient=1000.0)
    assert float(abs((runs.r1 - runs.r2).mean("time")).max()) < 3  # from rest, under the paper's noise, no population wins
    c1 = simulate(xm.WongWangNoDecisionStep(), 4000.0, inputs={"coherence": 1.0}, monitors=["r1", "r2"]).isel(time=-1)
    np.testing.assert_allclose([c1.r1, c1.r2], [51.9, 46.7], atol=0.05)


def vars_of_noise():
    noisy = xm.WongWangStep.noisy()
    return dict(noise_s1=noisy.noise_s1, noise_s2=noisy.noise_s2)


# --------------------------------------------------------------------------------------------------------------- decisions
def monte_carlo(c, trials, duration, dt=0.2, seed=5):
    """Choices (1, -1, 0) and times [ms] of the published equations by Euler's method, the noise from its own SDE."""
    rng = np.random.default_rng(seed)
    S, noise = np.zeros((2, trials)), 0.02 / np.sqrt(2) * rng.normal(size=(2, trials))
    choice, time = np.zeros(trials, int), np.full(trials, np.nan)
    for step in range(round(duration / dt)):
        rates = field(S, curve, 30 * 5.2e-4, c, noise)
        S = S + dt * rates[0]
        noise = noise - dt / 2.0 * noise + 0.02 * np.sqrt(dt / 2.0) * rng.normal(size=noise.shape)
        r = field(S, curve, 30 * 5.2e-4, c, noise)[1]
        reached = (choice == 0) & (r.max(0) >= 15.0) & ((step + 1) % round(1.0 / dt) == 0)  # read every ms: instantaneous rates are noisy
        choice[reached], time[reached] = np.where(r[0] > r[1], 1, -1)[reached], (step + 1) * dt
    return choice, time


@pytest.mark.long
def test_item_6_decisions_honour_stimulus_and_noise():
    # Share of choice 1, of undecided trials, and mean decision time against an independent simulation.
    trials, c = 1000, [0.0, 0.064, 0.256]
    coherence = xr.DataArray(c, dims="c", coords={"c": c})
    run = xm.Simulator(xm.WongWangStep.noisy(), dt=0.5).run(
        1500.0, monitors=["r1", "r2"], inputs={"coherence": coherence}, batch_size=trials, seed=3, sample_every=1.0
    )
    read = xm.decision(run).isel(region=0)
    for value in c:
        ours, time = read.choice.sel(c=value).values, read.decision_time.sel(c=value).values
        theirs, times = monte_carlo(value, trials, 1500.0)
        for counted in (1, -1, 0):
            p = np.mean(theirs == counted)
            # Four standard errors of the difference of two samples of trials, and 0.01 for the steps of both.
            assert abs(np.mean(ours == counted) - p) < 4 * np.sqrt(2 * max(p * (1 - p), 1e-3) / trials) + 0.01
        spread = np.nanstd(times) * np.sqrt(2 / trials)
        assert abs(np.nanmean(time) - np.nanmean(times)) < 4 * spread + 5
    shares = (read.choice == 1).mean("batch")
    assert abs(float(shares.sel(c=0.0)) - 0.5) < 0.08 and 0.7 < float(shares.sel(c=0.064)) < float(shares.sel(c=0.256))
    hits = read.decision_time.mean("batch")
    assert float(hits.sel(c=0.256)) < float(hits.sel(c=0.064)) < float(hits.sel(c=0.0))  # more evidence, faster
    still = xm.Simulator(xm.WongWangStep(), dt=0.5).run(1500.0, monitors=["r1", "r2"], inputs={"coherence": coherence})
    assert xm.decision(still).choice.isel(region=0).values.tolist() == [0, 1, 1]  # without noise and evidence, none


# --------------------------------------------------------------------------------------------------- the transfer function
def at_the_singularity():
    """States and parameters of the E-I model at which both arguments of H are exactly 0."""
    model = xm.WongWangExcInhStep()
    p = {d.name: jnp.asarray(d.default, jnp.float64) for d in declared_parameters(type(model))}
    p |= {"a_e": jnp.asarray(256.0), "a_i": jnp.asarray(512.0), "I_o": jnp.asarray(0.375), "W_i": jnp.asarray(0.75)}
    p |= {"b_e": jnp.asarray(256.0 * 0.375), "b_i": jnp.asarray(512.0 * 0.75 * 0.375)}  # no rounding: all are sums of few powers of 2
    return model, p, {"S_e": jnp.asarray(0.0), "S_i": jnp.asarray(0.0)}, {i.name: jnp.asarray(0.0) for i in model.inputs}


def test_item_5_excitatory_inhibitory_model_is_finite_at_its_singularity_in_value_and_gradient():
    with jax.enable_x64(True):
        model, p, s, u = at_the_singularity()

        def rates(p, s, u):
            bound, s, u = replace(model, p), SimpleNamespace(**s), SimpleNamespace(**u)
            return {**bound.drift(s, u), "H_e": bound.H_e(s, u), "H_i": bound.H_i(s, u)}

        found, slopes = rates(p, s, u), jax.jacrev(rates, argnums=(0, 1, 2))(p, s, u)
    assert float(found["H_e"]) == pytest.approx(1 / 0.16, rel=1e-14)  # the limit 1 / d, where (a x - b) / (1 - exp(...)) is 0 / 0
    assert float(found["H_i"]) == pytest.approx(1 / 0.087, rel=1e-14)
    assert float(found["S_e"]) == pytest.approx(0.641e-3 / 0.16, rel=1e-14)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    by_p, by_s, by_u = (slopes["H_e"][k] for k in range(3))
    # H' = a / 2 there; dH/db = -1/2; dH/dd = -1/d^2
    assert float(by_s["S_e"]) == pytest.approx(256 / 2 * 1.4 * 0.15, rel=1e-12)
    assert float(by_u["coupling"]) == pytest.approx(256 / 2 * 0.15, rel=1e-12)
    assert float(by_p["b_e"]) == pytest.approx(-0.5, rel=1e-12)
    assert float(by_p["d_e"]) == pytest.approx(-1 / 0.16**2, rel=1e-12)


def test_item_5_a_run_goes_through_the_singularity():
    # The drive is swept across a x = b in steps that meet it to a rounding error; every other curve returned NaN there.
    I_ext = np.linspace(-0.1, 0.1, 2001)
    run = simulate(xm.WongWangExcInhStep(), 50.0, xr.Dataset({"I_ext": ("I_ext", I_ext)}), dt=1.0, monitors=["S_e", "H_e"])
    assert bool(np.isfinite(run.to_array()).all())


@pytest.mark.parametrize(
    ("model", "state", "limit"),
    [
        (xm.WongWangStep(I_0=0.375, mu_0=0.0, a=256.0, b=96.0), {"S1": 0.0, "S2": 0.0}, 1 / 0.154),
        (xm.ReducedWongWangStep(I_o=0.375, a=0.25, b=0.09375), {"S": 0.0}, 1 / 154),
    ],
)
def test_the_other_models_are_finite_there_too(model, state, limit):
    u = SimpleNamespace(**{i.name: jnp.asarray(0.0) for i in model.inputs})
    rate = model.r1 if isinstance(model, xm.WongWangStep) else model.H
    with jax.enable_x64(True):
        s = {k: jnp.asarray(v, jnp.float64) for k, v in state.items()}
        assert float(rate(SimpleNamespace(**s), u)) == pytest.approx(limit, rel=1e-12)
        slopes = jax.jacrev(lambda s: model.drift(SimpleNamespace(**s), u))(s)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


# ----------------------------------------------------------------------------------------------------------- one population
def reduced(S, w, I_o, c=0.0):
    x = w * 0.2609 * S + I_o + 0.2609 * c
    return -S / 100 + (1 - S) * 0.641 * (0.27 * x - 0.108) / -np.expm1(-154 * (0.27 * x - 0.108))


@pytest.mark.parametrize(("w", "I_o"), [(0.6, 0.33), (0.9, 0.3), (1.0, 0.33)])
def test_one_population_rests_at_the_root_of_its_equation(w, I_o):
    rest = brentq(lambda S: reduced(S, w, I_o), 0.0, 1.0, xtol=1e-15)  # one root each
    run = simulate(xm.ReducedWongWangStep(w=w, I_o=I_o), 8000.0, dt=1.0, monitors=["S"])
    assert float(run.S[-1]) == pytest.approx(rest, abs=1e-9)


def test_one_population_under_coupling_has_two_states():
    # At w = 1 and I_o = 0.3 a low and a high state coexist over an interval of couplings; the model finds the roots on both sides.
    c = 0.09
    grid = np.linspace(1e-6, 1, 20001)
    values = reduced(grid, 1.0, 0.3, c)
    roots = [brentq(lambda S: reduced(S, 1.0, 0.3, c), grid[i], grid[i + 1], xtol=1e-15) for i in np.flatnonzero(np.diff(np.sign(values)))]
    assert len(roots) == 3
    start = xr.Dataset({"initial.S": ("start", [roots[1] - 0.01, roots[1] + 0.01])})
    run = simulate(xm.ReducedWongWangStep(w=1.0, I_o=0.3), 20000.0, start, dt=1.0, inputs={"coupling": c}, monitors=["S", "H"]).isel(
        time=-1
    )
    np.testing.assert_allclose(run.S, [roots[0], roots[2]], atol=1e-8)
    np.testing.assert_allclose(run.H, run.S / (100 * 0.641 * (1 - run.S)), rtol=1e-6)  # at rest S / tau = (1 - S) gamma H


def test_gating_is_held_in_its_bounds():
    strong = xm.ReducedWongWangStep(noise_S=xm.WhiteNoise(sigma=0.1))
    held = xm.Simulator(strong, dt=1.0, regions=20).run(300.0, seed=1).S
    assert float(held.min()) == 0.0 and float(held.max()) <= 1.0
    assert float(xm.Simulator(strong, dt=1.0, regions=20, bounds=False).run(300.0, seed=1).S.min()) < -0.01
