"""The Jansen-Rit column: published vectors, the curve of its fixed points in closed form, its rhythm, its noise, its network."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.optimize import brentq

import xmass as xm
from xmass.core.model import declared_parameters
from xmass.labelled.checks import SpuriousGrowthWarning

STATES = ("M", "E", "I", "Mv", "Ev", "Iv")


# ------------------------------------------------------------------------------------------------------------- equations
def test_defaults_are_those_of_the_paper():
    expected = dict(Ae=3.25, Ai=22, be=100, bi=50, C=135, a1=1, a2=0.8, a3=0.25, a4=0.25, s_max=5, v0=6, r=0.56, p=0)
    assert {d.name: d.default for d in declared_parameters(xm.JansenRitStep)} == expected
    assert all(s.initial == 0.0 for s in xm.JansenRitStep.states)


def one_step(method, state, inputs, dt=0.1):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpuriousGrowthWarning)
        sim = xm.Simulator(xm.JansenRitStep(), dt=dt, method=method, precision="float64")
    run = sim.run(dt, initial=state, inputs=inputs)
    return [float(run[s][0, 0]) for s in STATES]


@pytest.mark.long
def test_derivative_and_one_step():
    # The specification's row, printed to ten digits; derivatives per ms.
    state = dict(M=0.05, E=12.0, I=8.0, Mv=1.0, Ev=20.0, Iv=-10.0)
    inputs = dict(M=0.5, E=120.0, I=0.2)
    with jax.enable_x64(True):
        u = SimpleNamespace(**inputs, Mv=0.0, Ev=0.0, Iv=0.0)
        rates = xm.JansenRitStep().drift(SimpleNamespace(**{k: np.float64(v) for k, v in state.items()}), u)
    found = [float(rates[s]) / 1000 for s in STATES]
    np.testing.assert_allclose(found, [0.001, 0.02, -0.01, -0.210005976, 20.91131035, -2.13136397], rtol=2e-9)
    expected = {
        "exp_euler": [0.0501, 12.002, 7.999, 0.9792080153, 22.07035844, -10.21207426],
        "rk4": [0.05009895626, 12.00210435, 7.998989431, 0.9791879892, 22.08498127, -10.21051373],
    }
    for method, values in expected.items():
        np.testing.assert_allclose(one_step(method, state, inputs), values, rtol=2e-9)


def test_the_drive_is_the_input_E():
    runs = [
        xm.Simulator(xm.JansenRitStep(p=p), dt=0.1, precision="float64").run(200.0, monitors=["eeg"], inputs={"E": E}).eeg
        for p, E in ((220.0, 0.0), (0.0, 220.0), (100.0, 120.0))
    ]
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-12)
    np.testing.assert_allclose(runs[2], runs[0], rtol=1e-12)


# ------------------------------------------------------------------------------------------- fixed points and bifurcations
def rate(v, v0):
    return 5.0 / (1.0 + np.exp(0.56 * (v0 - v)))


def point(y, v0=6.0):
    """The fixed point with eeg y, and the drive p that it needs: all else follows from y."""
    M = 3.25 / 100 * rate(y, v0)
    I = 22.0 / 50 * 135 * 0.25 * rate(135 * 0.25 * M, v0)
    p = (y + I) * 100 / 3.25 - 135 * 0.8 * rate(135 * M, v0)
    return np.array([M, y + I, I, 0.0, 0.0, 0.0]), p


@jax.jit
def linearised(x, p, v0):
    """The model's own equations and their Jacobian, per second."""
    model = xm.JansenRitStep(p=p, v0=v0)
    u = SimpleNamespace(**dict.fromkeys(STATES, 0.0))

    def field(x):
        rates = model.drift(SimpleNamespace(**dict(zip(STATES, x))), u)
        return jnp.stack([rates[s] for s in STATES])

    return field(x), jax.jacobian(field)(x)


def eigenvalues(y, v0=6.0):
    """Of the model at that point."""
    state, p = point(y, v0)
    with jax.enable_x64(True):
        rates, jacobian = linearised(jnp.asarray(state), jnp.asarray(p), jnp.asarray(v0))
    assert np.abs(rates).max() < 1e-8  # of terms of 1e5 mV/s^2
    return np.linalg.eigvals(np.asarray(jacobian))


def leading_pair(y, v0=6.0):
    """The rightmost pair of complex eigenvalues."""
    found = eigenvalues(y, v0)
    return max(found[found.imag > 1e-6], key=lambda z: z.real)


def hopf_points(v0):
    """Drive [Hz] and frequency [Hz] wherever that pair crosses the imaginary axis, along the curve of fixed points."""
    y = np.linspace(-5, 15, 201)
    growth = [leading_pair(v, v0).real for v in y]
    found = []
    for i in np.flatnonzero(np.diff(np.sign(growth))):
        at = brentq(lambda v: leading_pair(v, v0).real, y[i], y[i + 1], xtol=1e-12)
        found.append((point(at, v0)[1], leading_pair(at, v0).imag / (2 * np.pi)))
    return found


def folds(v0):
    """Drives [Hz] at which the curve of fixed points turns back: the saddle-nodes."""
    h = 1e-5

    def slope(y):
        return (point(y + h, v0)[1] - point(y - h, v0)[1]) / (2 * h)

    y = np.linspace(-5, 15, 2001)
    signs = np.sign([slope(v) for v in y])
    return sorted(point(brentq(slope, y[i], y[i + 1], xtol=1e-12), v0)[1] for i in np.flatnonzero(np.diff(signs)))


def test_bifurcations_are_those_of_grimbert_and_faugeras():
    # They give 89.83 and 315.70 Hz for the Hopf bifurcations of alpha, and another at -12.15 Hz.
    hopf = [h for h in hopf_points(6.0) if h[1] > 1.0]
    np.testing.assert_allclose([h[0] for h in hopf], [-12.147, 89.829, 315.696], atol=1e-3)
    np.testing.assert_allclose([h[1] for h in hopf[1:]], [10.377, 11.164], atol=1e-3)
    np.testing.assert_allclose(folds(6.0), [-41.301, 113.586], atol=1e-3)


def test_a_lower_threshold_moves_them():
    # v0 = 5.52 mV, as in the trajectories of another simulator.
    assert max(folds(5.52)) == pytest.approx(111.789, abs=1e-3)
    assert max(h[0] for h in hopf_points(5.52)) == pytest.approx(516.06, abs=5e-3)


# ---------------------------------------------------------------------------------------------------------------- rhythm
def eeg(model, duration, transient, method="heun", params=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpuriousGrowthWarning)
        sim = xm.Simulator(model, dt=0.1, method=method, precision="float64")
    return sim.run(duration, params, monitors=["eeg"], transient=transient).eeg.isel(region=0)


def frequency_and_mean(series):
    """Frequency [Hz] by interpolated upward crossings, and the mean over whole periods."""
    y = series.values
    middle = 0.5 * (y.min() + y.max())
    up = np.flatnonzero((y[:-1] < middle) & (y[1:] >= middle))
    at = up + (middle - y[up]) / (y[up + 1] - y[up])
    return 1000 / (0.1 * np.diff(at).mean()), y[up[0] : up[-1]].mean()


def test_alpha_at_a_drive_of_220_hz():
    wave = eeg(xm.JansenRitStep.alpha(), 14000.0, 10000.0)  # the cycle attracts slowly: 10 s to the fourth digit
    frequency, mean = frequency_and_mean(wave)
    assert frequency == pytest.approx(10.938, abs=1e-3)
    assert mean == pytest.approx(7.567, abs=1e-3)
    assert (float(wave.min()), float(wave.max())) == (pytest.approx(6.0883, abs=1e-4), pytest.approx(9.0344, abs=1e-4))


def test_exponential_euler_feeds_alpha():
    wave = eeg(xm.JansenRitStep.alpha(), 8000.0, 6000.0, method="exp_euler")
    assert (float(wave.min()), float(wave.max())) == (pytest.approx(5.807, abs=1e-3), pytest.approx(9.347, abs=1e-3))
    assert frequency_and_mean(wave)[0] == pytest.approx(10.81, abs=5e-3)


def test_without_a_drive_there_is_rest():
    assert float(eeg(xm.JansenRitStep(), 2000.0, 0.0)[-1]) == pytest.approx(-1.9038, abs=5e-5)


def test_rest_and_alpha_coexist_between_the_hopf_bifurcation_and_the_saddle_node():
    p = 110.0
    low, upper = (brentq(lambda y: point(y)[1] - p, *within) for within in ((0.0, 2.5), (5.0, 8.0)))
    assert eigenvalues(low).real.max() < 0 < eigenvalues(upper).real.max()  # the upper one is the focus inside the cycle
    starts = xr.Dataset({f"initial.{s}": ("start", v) for s, v in zip(STATES, np.transpose([point(low + 0.05)[0], point(upper + 0.8)[0]]))})
    rest, alpha = eeg(xm.JansenRitStep(p=p), 6000.0, 5000.0, params=starts)
    assert float(abs(rest - low).max()) < 1e-6
    assert float(alpha.max() - alpha.min()) > 1.0 and 10.3 < frequency_and_mean(alpha)[0] < 11.0


def test_slow_spikes_end_where_grimbert_and_faugeras_say():
    # From zero the column makes slow spikes from the saddle-node on, up to a fold of cycles at 137.38 Hz, and alpha beyond.
    p = [114.0, 137.0, 138.0]
    waves = eeg(xm.JansenRitStep(), 12000.0, 8000.0, params=xr.Dataset(coords={"p": p}))
    spikes, last, alpha = (frequency_and_mean(waves.sel(p=v))[0] for v in p)
    assert spikes < 1.5 and 3.0 < last < 5.0 and alpha == pytest.approx(10.56, abs=0.05)
    size = waves.max("time") - waves.min("time")
    assert float(size.sel(p=137.0)) > 8 > 3 > float(size.sel(p=138.0))


def test_the_lower_threshold_is_no_alpha():
    wave = eeg(xm.JansenRitStep(p=220.0, v0=5.52), 6000.0, 4000.0)
    assert (float(wave.min()), float(wave.max())) == (pytest.approx(2.149, abs=2e-3), pytest.approx(11.902, abs=2e-3))
    assert frequency_and_mean(wave)[0] == pytest.approx(6.80, abs=5e-3)


# ----------------------------------------------------------------------------------------------------------------- noise
def test_white_noise_is_refused_inside_the_equations_and_the_error_says_where_it_goes():
    for name in ("noise_M", "noise_E", "noise_I"):
        with pytest.raises(ValueError, match=rf"{name} is white noise.*Take xm.OUProcess for {name}, or give it to noise_Mv or noise_Ev"):
            xm.Simulator(xm.JansenRitStep(**{name: xm.WhiteNoise(sigma=1.0)}), dt=0.1)
    xm.Simulator(xm.JansenRitStep(noise_E=xm.OUProcess(sigma=20.0, tau=5.0)), dt=0.1)


def test_variance_of_a_synapse_under_white_noise():
    # Without cells the excitatory synapse is a critically damped oscillator, and var E = sigma^2 / (4 be^3) in seconds.
    sigma = 5000.0  # mV/s^2 sqrt(ms)
    model = xm.JansenRitStep(C=0.0, noise_Ev=xm.WhiteNoise(sigma=sigma))
    assert xm.Simulator(model, dt=0.1).parameters()["noise_Ev.sigma"].attrs["units"] == "mV/s^2*ms^0.5"
    E = xm.Simulator(model, dt=0.2, regions=400).run(600.0, monitors=["E"], transient=100.0, sample_every=50.0, seed=3).E
    expected = sigma**2 * 1e-3 / (4 * 100.0**3)
    # 400 regions and 10 samples that are 5 time constants apart: the variance of 4000 numbers is known to 2.2 %
    assert float((E**2).mean()) == pytest.approx(expected, rel=0.09)


def test_a_rate_is_a_gain_times_a_direct_input():
    # u_E enters dEv/dt with Ae be. Both in the unit of the model's time, seconds.
    sim = xm.Simulator(xm.JansenRitStep.alpha(), dt=0.1, precision="float64")
    runs = [sim.run(300.0, monitors=["eeg"], inputs=given).eeg for given in ({"E": 50.0}, {"Ev": 3.25 * 100 * 50.0})]
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-9)


# --------------------------------------------------------------------------------------------------------------- network
SC = xr.Dataset(
    {"weights": (("region", "region_other"), [[0.0, 1.0, 0.5], [0.3, 0.0, 0.2], [0.9, 0.4, 0.0]])},
    {"region": ["p", "q", "r"], "region_other": ["p", "q", "r"]},
)


def column(y, inputs):
    """The equations as the paper writes them, on arrays (state, region), per second."""
    M, E, I, Mv, Ev, Iv = y
    u_M, u_E, u_I = inputs
    return np.stack(
        [
            Mv,
            Ev,
            Iv,
            3.25 * 100 * rate(E - I + u_M, 6.0) - 200 * Mv - 1e4 * M,
            3.25 * 100 * (u_E + 108 * rate(135 * M, 6.0)) - 200 * Ev - 1e4 * E,
            22.0 * 50 * 33.75 * rate(33.75 * M + u_I, 6.0) - 100 * Iv - 2500 * I,
        ]
    )


def heun(y, inputs, steps, dt):
    """Heun's method in seconds, inputs computed at every stage."""
    for _ in range(steps):
        first = column(y, inputs(y))
        ahead = y + dt * first
        y = y + 0.5 * dt * (first + column(ahead, inputs(ahead)))
    return y


def test_item_16_coupling_arrives_at_the_rate_and_its_unit_is_a_rate():
    # The coupling of Jansen and Rit unless told otherwise, with c_max in Hz; and any other by name.
    coupling = xm.SigmoidalJansenRitCoupling(k=4.0)
    assert (coupling.source, coupling.target, coupling.c_max) == ("eeg", "E", 5.0)
    sim = xm.Simulator(xm.Network(xm.JansenRitStep.alpha(), SC, coupling=coupling), dt=0.1, precision="float64")
    assert sim.parameters()["coupling.c_max"].attrs["units"] == "Hz"
    linear = xm.Network(xm.JansenRitStep.alpha(), SC, coupling=xm.AdditiveCoupling(k=2.0, source="eeg", target="E"))
    assert xm.Simulator(linear, dt=0.1).parameters()["coupling.k"].attrs["units"] == "Hz/mV"
    start = np.random.default_rng(0).uniform(0, 1, (6, 3)) * np.array([0.1, 10, 5, 1, 50, 20])[:, None]
    initial = {s: xr.DataArray(v, dims="region") for s, v in zip(STATES, start)}
    run = sim.run(10.0, initial=initial).isel(time=-1)
    W = SC.weights.values
    expected = heun(start, lambda y: (0.0, 220.0 + 4.0 * W @ rate(y[1] - y[2], 6.0), 0.0), 100, 1e-4)
    np.testing.assert_allclose([run[s] for s in STATES], expected, rtol=1e-9)


def test_item_16_weights_of_the_network_of_momi_are_symmetric_and_reach_three_inputs():
    # Lateral, forward and backward projections as three couplings on weights made symmetric by label, of Frobenius norm 1.
    W = np.exp(SC.weights) * SC.weights
    symmetric = 0.5 * (W + W.rename(region="region_other", region_other="region"))
    sc = SC.assign(weights=(symmetric / np.sqrt((symmetric**2).sum())).transpose("region", "region_other"))
    np.testing.assert_allclose(sc.weights, sc.weights.values.T, rtol=1e-14)
    g_l, g_f, g_b = 3.0, 20.0, 0.4
    projections = {
        "lateral": xm.DiffusiveCoupling(k=g_l, source="M", target="M"),
        "forward": xm.DiffusiveCoupling(k=g_f, source="eeg", target="E"),
        "backward": xm.DiffusiveCoupling(k=-g_b, source="eeg", target="I"),
    }
    sim = xm.Simulator(xm.Network(xm.JansenRitStep.alpha(), sc, coupling=projections), dt=0.1, precision="float64")
    start = np.random.default_rng(1).uniform(0, 1, (6, 3)) * np.array([0.1, 10, 5, 1, 50, 20])[:, None]
    run = sim.run(10.0, initial={s: xr.DataArray(v, dims="region") for s, v in zip(STATES, start)}).isel(time=-1)
    L = sc.weights.values - np.diag(sc.weights.values.sum(1))

    def inputs(y):
        return g_l * L @ y[0], 220.0 + g_f * L @ (y[1] - y[2]), -g_b * L @ (y[1] - y[2])

    np.testing.assert_allclose([run[s] for s in STATES], heun(start, inputs, 100, 1e-4), rtol=1e-9)


def test_indirect_names_states():
    class Wrong(xm.NeuralMass):
        states = (xm.State("x", 0.0, "1"), xm.State("v", 0.0, "1/ms"))
        inputs = (xm.Input("v", "1/ms^2"),)
        indirect = ("y",)

        def drift(self, s, u):
            return dict(x=s.v, v=u.v)

    with pytest.raises(ValueError, match=r"indirect=\('y',\), needs names of its states; 'y' is none"):
        xm.Simulator(Wrong(), dt=0.1)

    class Lacking(Wrong):
        indirect = ()

    with pytest.raises(ValueError, match=r"no direct input for the states \['x'\]"):
        xm.Simulator(Lacking(), dt=0.1)

    class Right(Wrong):
        indirect = ("x",)

    assert float(xm.Simulator(Right(), dt=0.1).run(1.0, inputs={"v": 2.0}).x[-1, 0]) == pytest.approx(1.0)
