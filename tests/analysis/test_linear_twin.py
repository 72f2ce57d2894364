"""The linear twin against Lyapunov equations, closed forms of delay equations, and long simulations."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr
from scipy.integrate import quad
from scipy.linalg import solve_continuous_lyapunov
from scipy.special import lambertw

import xmass as xm
from tests.conftest import shared_path
from xmass.analysis.linear_quadrature import GAUSS, KRONROD, NODES, integrate

SC = xm.datasets.load_dataset("example_connectome")
REGIONS = SC.sizes["region"]


def white(sigma):
    return xm.WhiteNoise(sigma=sigma)


def connectome(weights, distances=None):
    ds = xr.Dataset({"weights": (("region", "region_other"), np.asarray(weights, float))})
    return ds if distances is None else ds.assign(distances=(("region", "region_other"), np.asarray(distances, float)))


def linear_network(sc=SC, *, noise=None, gamma=-1.0, k=0.1, speed=None, **options):
    node = xm.LinearStep(gamma=gamma, noise_x=noise or white(0.3))
    return xm.Network(node, sc, speed=speed, coupling=xm.AdditiveCoupling(k=k, source="x", target="x"), **options)


def twin(network, params=None, *, dt=0.1, **options):
    return xm.linear_twin(xm.Simulator(network, dt=dt), params, **options)


def one_loop(k, *, noise=None, delay=2.0):
    """A region that sees itself late: x' = -x + k x(t - delay)."""
    return linear_network(connectome([[1.0]], [[delay]]), noise=noise or white(1.0), k=k, speed=1.0)


# ------------------------------------------------------------------------------------------------------------ without delays
def test_white_noise_without_delays_solves_the_lyapunov_equation():
    a = -np.eye(REGIONS) + 0.1 * SC.weights.values
    exact = solve_continuous_lyapunov(a, -0.09 * np.eye(REGIONS))
    found = twin(linear_network())
    np.testing.assert_allclose(found["covariance.x"], exact, rtol=1e-10, atol=1e-14)
    sd = np.sqrt(np.diag(exact))
    np.testing.assert_allclose(found["fc.x"], exact / np.outer(sd, sd), atol=1e-12)
    np.testing.assert_allclose(found.leading.real, np.linalg.eigvals(a).real.max(), rtol=1e-12)
    assert found["covariance.x"].attrs["units"] == "1" and found["fc.x"].dims == ("region", "region_other")
    assert found["fc.x"].region_other.values.tolist() == SC.region.values.tolist()


def test_covariance_between_the_noises_of_regions():
    root = np.random.default_rng(3).normal(size=(REGIONS, REGIONS))
    shared = xr.DataArray(root @ root.T, dims=("region", "region_other"))
    a = -np.eye(REGIONS) + 0.1 * SC.weights.values
    found = twin(linear_network(noise=xm.WhiteNoise(sigma=0.3, covariance=shared)))
    np.testing.assert_allclose(found["covariance.x"], solve_continuous_lyapunov(a, -0.09 * shared.values), rtol=1e-9, atol=1e-13)


def test_ornstein_uhlenbeck_noise_of_one_node():
    # x' = -g x + eta with stationary eta: var(x) = sigma^2 tau / (g (1 + g tau))
    node = xm.LinearStep(gamma=-0.5, noise_x=xm.OUProcess(sigma=0.2, tau=8.0, mean=0.3))
    found = twin(node)
    np.testing.assert_allclose(found["covariance.x"], [[0.2**2 * 8.0 / (0.5 * (1 + 0.5 * 8.0))]], rtol=1e-12)
    np.testing.assert_allclose(found.x, [0.6], rtol=1e-10)  # the mean is a constant input


def test_numbers_that_are_held_over_a_step():
    # x(t + dt) = a x + sigma (1 - a) / g xi at the steps; var there is below that of the mean over time, which is an integral by hand
    g, sigma, dt = 0.5, 0.4, 1.0
    found = twin(xm.LinearStep(gamma=-g, noise_x=xm.GaussianNoise(sigma=sigma)), dt=dt, tolerance=1e-8)
    a = np.exp(-g * dt)
    at_steps = sigma**2 * (1 - a) ** 2 / g**2 / (1 - a**2)
    # within a step x = x0 e^{-gt} + sigma xi (1 - e^{-gt}) / g; average of its variance over t in (0, dt)
    mean = quad(lambda t: at_steps * np.exp(-2 * g * t) + (sigma * (1 - np.exp(-g * t)) / g) ** 2, 0, dt)[0] / dt
    np.testing.assert_allclose(found["covariance.x"], [[mean]], rtol=1e-6)


def test_coloured_noise_has_its_own_variance_behind_a_fast_node():
    # a node that is fast against dt follows the held noise: its variance is sigma^2 / g^2, but for a part 1 / (g dt) of it
    node = xm.LinearStep(gamma=-1000.0, noise_x=xm.ColoredNoise(sigma=0.2, exponent=1.5, slowest=1000.0))
    found = twin(node, dt=1.0)
    np.testing.assert_allclose(1000.0**2 * found["covariance.x"], [[0.04]], rtol=5e-3)


def test_a_bank_is_a_network_without_couplings():
    gamma = xr.DataArray([-0.5, -1.0, -2.0], dims="region")
    found = xm.linear_twin(xm.Simulator(xm.LinearStep(gamma=gamma, noise_x=white(0.2)), dt=0.1, regions=3))
    np.testing.assert_allclose(found["covariance.x"], np.diag(0.04 / (2 * np.array([0.5, 1.0, 2.0]))), rtol=1e-12, atol=1e-18)


def test_hopf_has_the_spectrum_of_its_linear_equation():
    # z' = (a + iw) z: one-sided density of x with noise on x and y, 2 sigma^2 ms 1e-3 s, by the resolvent written out
    a, w, sigma = -0.05, 0.3, 0.01
    hertz = np.array([10.0, 47.0, 80.0])
    found = twin(xm.HopfStep(a=a, w=w, noise_x=white(sigma), noise_y=white(sigma)), of="x", frequencies=hertz)
    s = 2j * np.pi * hertz * 1e-3
    det = (s - a) ** 2 + w**2
    exact = 2e-3 * sigma**2 * (abs(s - a) ** 2 + w**2) / abs(det) ** 2
    np.testing.assert_allclose(found["spectrum.x"][:, 0, 0], exact, rtol=1e-10)
    assert found["spectrum.x"].attrs["units"] == "1/Hz" and found.frequency.attrs["units"] == "Hz"
    np.testing.assert_allclose(found["covariance.x"], [[sigma**2 / (2 * -a)]], rtol=1e-12)


# --------------------------------------------------------------------------------------------------------------- with delays
@pytest.mark.parametrize("k", [-1.4, -0.8, 0.5])
def test_the_rightmost_root_of_a_scalar_delay_equation_is_that_of_the_lambert_function(k):
    # z = a + k e^{-z tau}: z = a + W(k tau e^{-a tau}) / tau
    exact = max((-1.0 + lambertw(k * 2.0 * np.exp(2.0), j) / 2.0 for j in range(-5, 6)), key=lambda z: z.real)
    found = twin(one_loop(k)).leading
    np.testing.assert_allclose([found.real, abs(found.imag)], [exact.real, abs(exact.imag)], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [-1.4, -0.8, 0.5])
def test_the_variance_of_a_scalar_delay_equation_is_that_of_the_closed_form(k):
    # Küchler and Mensch (1992), doi:10.1080/17442509208833780: x' = a x + k x(t - r) + xi
    a, r = -1.0, 2.0
    if abs(k) > abs(a):
        length = np.sqrt(k**2 - a**2)
        exact = (k * np.sin(length * r) - length) / (2 * length * (a + k * np.cos(length * r)))
    else:
        length = np.sqrt(a**2 - k**2)
        exact = (k * np.sinh(length * r) - length) / (2 * length * (a + k * np.cosh(length * r)))
    found = twin(one_loop(k), tolerance=1e-6)
    np.testing.assert_allclose(found["covariance.x"], [[exact]], rtol=2e-6)


def test_instability_of_the_delay_is_seen():
    # x' = -x + k x(t - 2) loses stability at k = -1.5198...: the undelayed equation is stable for every negative k
    w = next(w for w in np.arange(0.5, 1.5, 1e-5) if w + np.tan(w * 2.0) * 1.0 > 0 and np.cos(2 * w) < 0)  # tan(w r) = -w
    critical = -np.sqrt(1 + w**2)
    p = xr.Dataset({"coupling.k": ("k", [0.99 * critical, 1.01 * critical])})
    with pytest.warns(UserWarning, match="no stable fixed point at 1 of 2"):
        found = twin(one_loop(-1.0), p)
    assert found.stable.values.tolist() == [True, False]
    assert np.isnan(found["fc.x"].isel(k=1)).all() and np.isfinite(found["fc.x"].isel(k=0)).all()
    np.testing.assert_allclose(found.leading.imag, w, rtol=0.02)


def test_two_delayed_nodes_are_two_scalar_delay_equations():
    # x1' = -x1 + k x2(t - r) and its mirror: the sum and the difference obey the scalar equation with k and -k
    k, r = 0.6, 3.0
    sc = connectome([[0, 1], [1, 0]], [[0, r], [r, 0]])
    found = twin(linear_network(sc, noise=white(1.0), k=k, speed=1.0), tolerance=1e-6)

    def variance(k):
        length = np.sqrt(1 - k**2)
        return (k * np.sinh(length * r) - length) / (2 * length * (-1 + k * np.cosh(length * r)))

    even, odd = variance(k), variance(-k)
    exact = 0.5 * np.array([[even + odd, even - odd], [even - odd, even + odd]])
    np.testing.assert_allclose(found["covariance.x"], exact, rtol=0, atol=3e-6)


def test_a_leading_region_has_the_phase_of_its_delay():
    sc = connectome([[0, 0], [1, 0]], [[0, 0], [20, 0]])  # onto region 1 from region 0
    hertz = np.array([5.0, 10.0])
    found = twin(linear_network(sc, speed=10.0), frequencies=hertz)["spectrum.x"]
    phase = 2 * np.pi * hertz * 2e-3 + np.arctan(2 * np.pi * hertz * 1e-3)  # 2 ms, and the lag of a node with 1 ms
    np.testing.assert_allclose(np.angle(found[:, 0, 1]), phase, rtol=1e-9)
    np.testing.assert_allclose(found[:, 1, 0], np.conj(found[:, 0, 1]), rtol=1e-12)


def test_delays_without_length_are_none():
    sc = SC.assign(distances=0.0 * SC.distances)
    xr.testing.assert_allclose(twin(linear_network(sc, speed=10.0))["covariance.x"], twin(linear_network())["covariance.x"], rtol=1e-9)


@pytest.mark.parametrize(("rule", "steps"), [("nearest", [30]), ("ceil", [31]), ("linear", [30, 31])])
def test_delays_of_the_simulator_are_in_its_steps(rule, steps):
    sc = connectome([[0, 0], [1, 0]], [[0, 0], [30.3, 0]])
    hertz = np.array([20.0])
    network = linear_network(sc, speed=10.0, delays=rule)
    found = twin(network, frequencies=hertz, delays="simulator")["spectrum.x"]
    exact = twin(network, frequencies=hertz)["spectrum.x"]
    s = 2j * np.pi * 20e-3
    part = {30: 0.7, 31: 0.3} if rule == "linear" else {steps[0]: 1.0}
    late = sum(part[n] * np.exp(-s * 0.1 * n) for n in steps)
    np.testing.assert_allclose(found[0, 1, 0] / exact[0, 1, 0], late / np.exp(-s * 3.03), rtol=1e-9)


def test_own_delays_of_a_model_are_kept():
    # the four local connections of the delayed Wilson-Cowan model against the characteristic matrix written out
    node = xm.WilsonCowanDelayedStep(noise_rE=white(0.01))
    sim = xm.Simulator(node, dt=0.1)
    found = xm.linear_twin(sim, near={"rE": 0.46}, frequencies=[30.0])
    past = {n.removeprefix("past."): v for n, v in found.items() if str(n).startswith("past.")}
    s = 2j * np.pi * 30e-3
    matrix = s * np.eye(2) - found.jacobian[0].values.astype(complex)
    names = [state.name for state in node.states]
    for q in node.past:
        matrix[:, names.index(q.state)] -= past[q.name][0].values * np.exp(-s * float(getattr(node, q.delay)))
    exact = 2e-3 * 0.01**2 * abs(np.linalg.inv(matrix)[:, 0]) ** 2
    np.testing.assert_allclose([found["spectrum.rE"][0, 0, 0], found["spectrum.rI"][0, 0, 0]], exact, rtol=1e-9)


# ---------------------------------------------------------------------------------------------------------------------- BOLD
@pytest.mark.long
def test_bold_by_integral_is_bold_by_lyapunov_equation():
    # without delays the Balloon states join the Lyapunov equation; distances of one micrometre force the integral
    node = xm.ReducedWongWangStep(w=0.9, I_o=0.3, noise_S=white(0.001))
    bold = xm.BOLDSignal(of="S", tr=720.0)
    coupling = xm.AdditiveCoupling(k=0.1, source="S", target="coupling")
    direct = twin(xm.Network(node, SC, coupling=coupling), dt=1.0, bold=bold)
    tiny = SC.assign(distances=1e-3 + 0.0 * SC.distances)
    late = twin(xm.Network(node, tiny, speed=10.0, coupling=coupling), dt=1.0, bold=bold, tolerance=1e-7)
    assert direct.attrs["method"] != late.attrs["method"]
    for name in ("S", "H", "bold"):
        np.testing.assert_allclose(late[f"fc.{name}"], direct[f"fc.{name}"], atol=2e-4)  # 1e-4 ms against 100 ms
        np.testing.assert_allclose(np.diag(late[f"covariance.{name}"]), np.diag(direct[f"covariance.{name}"]), rtol=1e-3)
    assert direct["covariance.bold"].attrs["units"] == "1"


def test_the_balloon_filter_is_that_of_a_weak_sine():
    # amplitude of the simulated BOLD under a slow sine of the activity around 0.2, against the gain of the linear filter
    from xmass.analysis.linear_bold import balloon

    bold = xm.BOLDSignal(of="x", tr=100.0)
    values = {n: np.array([v]) for n, v in dict(kappa=0.65, gamma=0.41, tau=0.98, alpha=0.32, rho=0.34, V0=0.02).items()}
    linear = balloon(bold, values, np.array([0.2]))
    t = np.arange(0, 120_000.0, 10.0) + 10.0
    w = 2 * np.pi * 0.05e-3
    x = xr.DataArray(
        (0.2 + 0.001 * np.sin(w * t))[:, None], dims=("time", "region"), coords={"time": ("time", t, {"units": "ms", "axis": "T"})}
    )
    seen = xm.observe(x.to_dataset(name="x"), {"bold": bold}).bold.isel(region=0)
    last = seen.isel(bold_time=slice(-200, None))  # one period of 20 s
    np.testing.assert_allclose(last.mean(), linear.value[0], rtol=1e-3)
    amplitude = 2 * abs((last * np.exp(-1j * w * last.bold_time)).mean())
    np.testing.assert_allclose(amplitude, 0.001 * abs(linear.gain(np.array([w]))[0, 0]), rtol=5e-3)


# ---------------------------------------------------------------------------------------------------- against simulations
def nonlinear(name):
    """Network, step, what is read, duration [ms] of each of four trials."""
    if name == "hopf":
        node, coupling = xm.HopfStep(a=-0.05, w=0.3, noise_x=white(0.003), noise_y=white(0.003)), ("x", "x", 0.2)
        return node, xm.DiffusiveCoupling, coupling, 0.1, ["x", "y"], 20_000.0
    if name == "wilson_cowan":
        node = xm.WilsonCowanStep(noise_rE=white(1e-4), noise_rI=white(1e-4))
        return node, xm.AdditiveCoupling, ("rE", "e", 2.5), 0.05, ["rE", "rI"], 12_000.0
    if name == "jansen_rit":
        node = xm.JansenRitStep(p=60.0, noise_E=xm.OUProcess(sigma=1.0, tau=5.0))
        return node, xm.AdditiveCoupling, ("eeg", "E", 6.0), 0.5, ["eeg", "M"], 80_000.0
    node = xm.WongWangExcInhStep(noise_e=white(0.0003), noise_i=white(0.0003))
    return node, xm.AdditiveCoupling, ("S_e", "coupling", 0.15), 0.5, ["S_e", "S_i"], 200_000.0


@pytest.mark.long
@pytest.mark.parametrize("name", ["hopf", "wilson_cowan", "jansen_rit", "wong_wang"])
def test_a_long_simulation_with_delays_has_the_covariance_of_its_twin(name):
    node, coupling, (source, target, k), dt, of, duration = nonlinear(name)
    network = xm.Network(node, SC, speed=20.0, coupling=coupling(k=k, source=source, target=target))
    sim = xm.Simulator(network, dt=dt)
    linear = xm.linear_twin(sim, delays="simulator")
    assert float(linear[f"fc.{of[0]}"].where(linear.region != linear.region_other).max()) > 0.1  # a statement about coupled regions
    assert linear.attrs["method"] == "integral over frequency"
    start = {s.name: linear[s.name] for s in node.states}
    run = sim.run(duration, monitors=of, transient=0.05 * duration, initial=start, batch_size=4, seed=5, sample_every=round(0.5 / dt) * dt)
    check = xm.twin_check(linear, run)
    for state in of:
        # 8 regions and 2 variables: the largest of 16 standard normal numbers is below 4 with probability 0.999. One per cent for
        # the second order in the noise and Heun's method
        error = 4 * check[f"variance_ratio_error.{state}"] + 0.01
        assert (abs(check[f"variance_ratio.{state}"] - 1) < error).all(), check[f"variance_ratio.{state}"]
        assert float(error.max()) < 0.15  # the statement has content
        assert not check[f"leaves.{state}"].any()
        # the sd of a correlation is (1 - r^2) / sqrt(n), with n from the error of the variances, sqrt(2 / n)
        n = 2 / float(check[f"variance_ratio_error.{state}"].mean()) ** 2
        spread = (1 - linear[f"fc.{state}"] ** 2) / np.sqrt(n)
        assert (abs(check[f"fc_difference.{state}"]) < 4.5 * spread + 0.005).all()


def test_where_the_mean_leaves_the_fixed_point_it_says_so():
    node = xm.WilsonCowanStep(noise_rE=white(0.15), noise_rI=white(0.15))  # strong noise beside a second stable state
    network = xm.Network(node, SC, speed=5.0, coupling=xm.AdditiveCoupling(k=0.3, source="rE", target="e"))
    sim = xm.Simulator(network, dt=0.1)
    run = sim.run(2000.0, monitors=["rE"], transient=100.0, seed=1)
    linear = xm.linear_twin(sim, of="rE")
    with pytest.warns(UserWarning, match="simulated mean of rE leaves the fixed point"):
        check = xm.twin_check(linear, run)
    assert check["leaves.rE"].any()
    with pytest.raises(ValueError, match="monitors="):
        xm.twin_check(linear, run.drop_vars("rE"))


# -------------------------------------------------------------------------------------------------------- sweeps and branches
@pytest.mark.long
def test_sweeps_have_the_dims_of_the_parameters():
    p = xr.Dataset({"coupling.k": ("k", [0.05, 0.1]), "noise_x.sigma": ("sigma", [0.1, 0.2, 0.3]), "speed": ("speed", [2.0, 10.0])})
    p = p.assign_coords(k=["weak", "strong"])
    found = twin(linear_network(speed=5.0), p)
    assert found["fc.x"].dims == ("k", "sigma", "speed", "region", "region_other")
    assert found.stable.dims == ("k", "sigma", "speed") and found.k.values.tolist() == ["weak", "strong"]
    # all noise alike: sigma scales the covariance and leaves the correlation
    np.testing.assert_allclose(found["fc.x"].isel(sigma=0), found["fc.x"].isel(sigma=2), atol=1e-10)
    np.testing.assert_allclose(4 * found["covariance.x"].isel(sigma=0), found["covariance.x"].isel(sigma=1), rtol=1e-9, atol=1e-12)
    one = twin(linear_network(speed=10.0, k=0.1, noise=white(0.2)))
    np.testing.assert_allclose(found["covariance.x"].isel(k=1, sigma=1, speed=1), one["covariance.x"], rtol=1e-6, atol=1e-9)


@pytest.mark.long
def test_the_branch_is_that_of_the_start_or_of_near():
    sim = xm.Simulator(xm.WilsonCowanStep(noise_rE=white(0.001)), dt=0.1)  # stable at 0 and at 0.4625 (models/wilson_cowan)
    low, high = xm.linear_twin(sim), xm.linear_twin(sim, near={"rE": 0.45, "rI": 0.4})
    np.testing.assert_allclose([float(low.rE[0]), float(high.rE[0])], [0.0, 0.4625], atol=1e-4)
    starts = {f"initial.{n}": ("start", v) for n, v in (("rE", [0.0, 0.5]), ("rI", [0.0, 0.4]))}
    both = xm.linear_twin(sim, xr.Dataset(starts))
    np.testing.assert_allclose(both.rE.isel(region=0), [0.0, 0.4625], atol=1e-4)
    bank = xm.linear_twin(xm.Simulator(sim.system, dt=0.1, regions=2), xr.Dataset({**starts, "P": ("P", [0.0, 0.01])}))
    np.testing.assert_allclose(bank.rE.isel(P=0), [[0.0, 0.0], [0.4625, 0.4625]], atol=1e-4)


# ------------------------------------------------------------------------------------------------------------------- errors
def hopf(**options):
    return xm.HopfStep(a=-0.05, w=0.3, **options)


@pytest.mark.parametrize(
    ("system", "options", "error", "match"),
    [
        (hopf(), {}, ValueError, "has no noise"),
        (hopf(noise_x=xm.ItoNoise(sigma=0.1, amplitude=lambda s: s.x)), {}, ValueError, "depends on the state"),
        (hopf(noise_x=xm.BrownianNoise(sigma=0.1)), {}, ValueError, "grows without bound"),
        (xm.HopfStep(a=0.2, noise_x=white(0.1)), {}, ValueError, "no stable fixed point: the leading root"),
        (hopf(noise_x=white(0.1)), {"of": "z"}, KeyError, "no state or output"),
        (hopf(noise_x=white(0.1)), {"near": {"z": 1.0}}, KeyError, "no state"),
        (hopf(noise_x=white(0.1)), {"near": {"x": xr.DataArray([1.0], dims="point")}}, ValueError, "needs one number"),
        (hopf(noise_x=white(0.1)), {"delays": "nearest"}, ValueError, "needs 'exact' or 'simulator'"),
        (hopf(noise_x=white(0.1)), {"tolerance": 0.0}, ValueError, "tolerance"),
        (hopf(noise_x=white(0.1)), {"frequencies": [-1.0]}, ValueError, "negative"),
        (hopf(noise_x=white(0.1)), {"bold": "bold"}, TypeError, "needs xm.BOLDSignal"),
        (hopf(noise_x=white(0.1)), {"inputs": {"x": lambda t: 0.0 * t}}, ValueError, "varies in time"),
        (hopf(noise_x=white(0.1)), {"params": xr.Dataset({"a": ("frequency", [-0.1])})}, ValueError, "rename"),
    ],
)
def test_what_it_refuses(system, options, error, match):
    params = options.pop("params", None)
    with pytest.raises(error, match=match):
        xm.linear_twin(xm.Simulator(system, dt=0.1), params, **options)


def test_weights_that_vary_and_several_models_are_refused():
    moving = SC.assign(weights=SC.weights * xr.DataArray([1.0, 2.0], dims="time", coords={"time": [0.0, 5.0]}))
    with pytest.raises(ValueError, match="weights has the dim 'time'"):
        twin(linear_network(moving))
    models = {"hopf": hopf(noise_x=white(0.1)), "linear": xm.LinearStep()}
    names = xr.DataArray(["hopf"] * (REGIONS - 1) + ["linear"], dims="region", coords={"region": SC.region})
    with pytest.raises(TypeError, match="several models"):
        twin(xm.Network(models, SC, coupling=xm.AdditiveCoupling(source="hopf.x", target="linear.x"), assignment=names))


def test_it_warns_near_an_instability_with_the_number():
    with pytest.warns(UserWarning, match="real part -1e-05 per ms"):
        twin(xm.HopfStep(a=-1e-5, w=0.3, noise_x=white(1e-4)))


# --------------------------------------------------------------------------------------------------------------- quadrature
def test_the_rule_is_exact_for_polynomials():
    for power in range(0, 23, 2):  # Kronrod's rule with 15 points is exact to degree 22, Gauss's with 7 to degree 13
        np.testing.assert_allclose(KRONROD @ NODES**power, 2 / (power + 1), rtol=1e-14)
        if power < 14:
            np.testing.assert_allclose(GAUSS @ NODES**power, 2 / (power + 1), rtol=1e-13)


def test_integrals_keep_the_tolerance():
    # a narrow Lorentzian, a cosine over (1 + w^2)^2 (closed form 3 pi / 2 e^-5), and a power
    def functions(w):
        return np.stack([1e-3 / ((w - 3) ** 2 + 1e-6), np.cos(5 * w) / (1 + w**2) ** 2, 1 / (1 + w) ** 3], axis=1)

    exact = np.array([np.pi / 2 + np.arctan(3e3), 1.5 * np.pi * np.exp(-5), 0.5])
    found = integrate(functions, np.array([1.0, 3.0, 8.0]), lambda total: np.ones(3), 1e-6)
    assert found.reached
    np.testing.assert_allclose(found.value, exact, atol=1e-6)


# --------------------------------------------------------------------------------------------------------------- real subject
@pytest.mark.long
def test_the_resting_hopf_of_a_real_subject_has_the_known_correlation():
    ds = xr.open_dataset(shared_path("data", "hcp_subject_1.nc"), engine="h5netcdf")
    one = ds.isel(region=ds.cortical.values, region_other=ds.cortical.values).load()
    sc = xr.Dataset({"weights": one.weights / one.weights.max(), "distances": one.distances})
    couplings = {n: xm.DiffusiveCoupling(k=7.5e-4, source=n, target=n) for n in ("x", "y")}
    scores = {}
    for name, w in (("own", xm.intrinsic_frequency(one.bold)), ("common", 2 * np.pi * 0.05e-3)):
        found = xm.linear_twin(xm.Simulator(xm.Network(xm.HopfStep.resting_fmri(w=w), sc, coupling=couplings), dt=72 * u.ms), of="x")
        scores[name] = float(xm.compare(found, one, [xm.objectives.fc_corr("fc.x", "bold")]).fc_corr)
    # independent code: .691 at .75 per s with frequencies of the recording (smoothed otherwise), .686 with 0.05 Hz everywhere
    assert abs(scores["own"] - 0.691) < 0.005 and abs(scores["common"] - 0.686) < 0.002, scores
