"""Seventeen errors that other simulators make, or have made: for each the right behaviour, with its number."""

from __future__ import annotations

from types import SimpleNamespace

import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm


def node(model, dt=0.1, **arguments):
    return xm.Simulator(model, dt=dt, precision="float64", **arguments)


def two(weight, length=0.0):
    """B receives from A over one edge."""
    labels = {"region": ["A", "B"], "region_other": ["A", "B"]}
    dims = ("region", "region_other")
    weights = xr.DataArray([[0.0, 0.0], [weight, 0.0]], dims=dims, coords=labels)
    distances = xr.DataArray([[0.0, 0.0], [length, 0.0]], dims=dims, coords=labels, attrs={"units": "mm"})
    return xr.Dataset({"weights": weights, "distances": distances})


def linear_pair(dt, *, length=0.0, speed=10.0, **arguments):
    """Two integrators, B driven by A, Euler's method."""
    coupling = xm.AdditiveCoupling(k=1.0, source="x", target="x")
    network = xm.Network(xm.LinearStep(gamma=0.0), two(1.0, length), speed=speed, coupling=coupling, **arguments)
    return node(network, dt, method="euler")


def test_01_threshold_linear_inhibition_decays():
    # tau_I dI/dt = -I + beta_I [input]; with the sign of -I turned round, 5 grows to 32823 Hz in 100 ms
    decay = node(xm.ThresholdLinearStep(tau_I=10.0), method="exp_euler").run(100.0, monitors=["I"], initial={"I": 5.0}).I
    assert float(decay[-1, 0]) == pytest.approx(5 * np.exp(-10), rel=1e-9)
    steady = node(xm.ThresholdLinearStep(beta_I=0.351), method="exp_euler").run(500.0, monitors=["I"], inputs={"drive_I": 20.0}).I
    assert float(steady[-1, 0]) == pytest.approx(0.351 * 20, rel=1e-9)


def test_02_wilson_cowan_weights_mean_the_same_in_every_variant():
    # E = .3, I = .2, P = .5, Q = .1; with 4 and 13 exchanged the derivatives are -0.20195 and -0.20848
    s = SimpleNamespace(rE=0.3, rI=0.2, E_ee=0.3, I_ei=0.2, E_ie=0.3, I_ii=0.2, aE=0.0, aI=0.0)
    inputs = SimpleNamespace(rE=0.0, rI=0.0, e=0.5, i=0.1, aE=0.0, aI=0.0)
    for variant in (xm.WilsonCowanStep, xm.WilsonCowanDelayedStep, xm.WilsonCowanAdaptiveStep):
        model = variant()
        assert (model.w_ee, model.w_ei, model.w_ie, model.w_ii) == (12.0, 4.0, 13.0, 11.0)  # w_ei: onto E from I
        rates = model.drift(s, inputs)
        assert float(rates["rE"]) == pytest.approx(0.12846, abs=5e-6)
        assert float(rates["rI"]) == pytest.approx(-0.13459, abs=5e-6)


def test_03_wilson_cowan_delays_work_without_a_network():
    # delayed terms that stay at their initial values lead elsewhere; delays do not move the fixed point
    run = node(xm.WilsonCowanDelayedStep()).run(300.0, initial={"rE": 0.3, "rI": 0.0}).isel(time=-1)
    np.testing.assert_allclose([run.rE.item(), run.rI.item()], [0.462465, 0.243364], atol=1e-6)


def test_04_montbrio_counts_in_tau_and_has_the_width_one():
    # at rest r tau is a number, whatever tau is; with a width of 0.001 J would move nothing: 0.071184 and 0.071187 for 14 and 21
    for tau in (1.0, 10.0):
        sim = node(xm.MontbrioPazoRoxinStep(tau=tau), 0.01 * tau)
        r = sim.run(60 * tau, xr.Dataset({"J": ("J", [14.0, 15.0, 21.0])}), monitors=["r"], initial={"r": 0.08 / tau, "v": -2.0}).r
        np.testing.assert_allclose(r.isel(time=-1, region=0) * tau, [0.08017043, 0.08113444, 0.08878608], atol=1e-7)


def test_05_wong_wang_rates_are_finite_where_the_formula_is_zero_over_zero():
    model = xm.WongWangExcInhStep(W_e=0.0, I_ext=0.0, w_p=0.0, J_i=0.0)

    def rate(current):
        return model.H_e(SimpleNamespace(S_e=jnp.asarray(0.0), S_i=jnp.asarray(0.0)), SimpleNamespace(coupling=current / 0.15))

    with jax.enable_x64(True):
        at = jnp.asarray(125.0 / 310.0)
        assert float(rate(at)) == pytest.approx(1 / 0.160, rel=1e-9)  # 6.25 Hz
        assert float(jax.grad(rate)(at)) == pytest.approx(310.0 / 2, rel=1e-6)
        assert float(jax.grad(rate)(at * (1 + 1e-9))) == pytest.approx(310.0 / 2, rel=1e-6)


def test_06_wong_wang_decides_with_the_papers_curve():
    # full coherence has one attractor, 38.061 and 0.383 Hz; the threshold-linear curve leaves (51.9, 46.7) Hz, no decision
    evidence = xr.DataArray([1.0, -1.0], dims="evidence")
    run = node(xm.WongWangStep(), 0.5).run(3000.0, inputs={"coherence": evidence}, monitors=["r1", "r2"]).squeeze("region")
    np.testing.assert_allclose([run.r1[0, -1], run.r2[0, -1]], [38.061, 0.383], atol=6e-4)
    assert xm.decision(run).choice.values.tolist() == [1, -1]  # the read-out sees the stimulus of the run


def test_07_balloon_reads_out_zero_at_rest():
    bold = xm.BOLDSignal(of="x", tr=1000.0)
    assert float(bold.signal((0.0, 1.0, 1.0, 1.0))) == 0.0  # with q / rho it would be -0.0776
    assert float(bold.signal((0.0, 1.3, 1.1, 0.9))) == pytest.approx(0.011073, abs=5e-7)  # and -0.062082
    # it starts at rest, and its seconds are seconds whatever the unit and size of dt: an activity of 0.001 for 1 s has its peak 3.61 s
    # after the onset, and the node that makes it adds 20 ms
    drive = {"x": xm.stimuli.pulse(5e-5, onset=0.0, width=1000.0)}
    for dt in (0.02 * u.second, 5.0 * u.ms):
        made = node(xm.LinearStep(gamma=-0.05), dt)
        seen = made.run(20_000.0, inputs=drive, monitors={"bold": xm.BOLDSignal(of="x", tr=20.0)}, initial={"x": 0.0}).bold.squeeze()
        assert float(seen.bold_time[int(seen.values.argmax())]) == pytest.approx(3630, abs=25)
        assert float(seen.max()) == pytest.approx(0.001 * 0.036474, rel=2e-3)


def test_08_noise_of_sensors_has_the_covariance_that_is_given_and_fields_are_in_tesla():
    # the factor of the covariance on the wrong side gives [[4.25, 0.42], [0.42, 0.74]]
    sensors = {"sensor": ["A", "B"]}
    covariance = xr.DataArray([[4.0, 1.0], [1.0, 1.0]], dims=("sensor", "sensor_other"), coords=sensors, attrs={"units": "T^2"})
    gain = xr.DataArray([[1e-15], [2e-15]], dims=("sensor", "region"), coords=sensors)
    meg = xm.MEG(of="x", gain=gain, scale=3.0)
    still = xm.Simulator(xm.LinearStep(gamma=0.0), dt=1.0, precision="float64")
    trials = xr.DataArray(np.arange(1000), dims="trial")
    seen = {"meg": meg, "noisy": xm.MeasurementNoise(of=meg, covariance=covariance)}
    run = still.run(200.0, monitors=seen, initial={"x": 0.5}, seed=trials)
    found = np.cov(run.noisy.transpose("trial", ..., "sensor").values.reshape(-1, 2).T)
    np.testing.assert_allclose(found, covariance, atol=4 * 4 * np.sqrt(2 / 200_000))  # four standard errors of the largest variance
    np.testing.assert_allclose(run.meg.isel(meg_time=-1, trial=0).squeeze(), [1.5e-15, 3e-15], rtol=1e-12)  # gain, moment, activity
    assert run.meg.attrs["units"] == "T"


def test_09_laplacian_is_that_of_the_weights():
    # L(W) = W - D exactly, not that of exp(W) W, which turns a weight of 2 into 14.78
    coupling = xm.LaplacianCoupling(k=1.0, source="x", target="x")
    np.testing.assert_array_equal(coupling.weighting(np.array([[0.0, 2.0], [2.0, 0.0]])), [[-2.0, 2.0], [2.0, -2.0]])
    runs = []
    for kind in (coupling, xm.DiffusiveCoupling(k=1.0, source="x", target="x")):
        runs.append(node(xm.Network(xm.LinearStep(gamma=-1.0), two(2.0), coupling=kind)).run(5.0, initial={"x": initial_pair()}).x)
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-12)


def initial_pair():
    return xr.DataArray([1.0, 0.5], dims="region", coords={"region": ["A", "B"]})


def arrival(dt, **arguments):
    """When a jump of A at 0 reaches B [ms]: B integrates A's value of a delay ago, from a history of zero."""
    history = xr.DataArray([[1.0, 0.0], [0.0, 0.0]], dims=("region", "lag"), coords={"region": ["A", "B"], "lag": [0.0, dt]})
    late = xr.concat([history, history.isel(lag=[1]).assign_coords(lag=[50.0])], "lag")
    x = linear_pair(dt, **arguments).run(40.0, monitors=["x"], initial={"x": late}).x.sel(region="B")
    return float(x.time[np.flatnonzero(x.values)[0]]) - dt  # the start of the first step that reads it


def test_10_delays_are_the_nearest_step_of_the_dt_of_the_run():
    assert arrival(0.1, length=24.2) == pytest.approx(2.4)  # 2.42 ms: not up to 2.5
    assert arrival(0.1, length=24.2, delays="ceil") == pytest.approx(2.5)
    assert arrival(0.1, length=100.0) == pytest.approx(10.0)
    assert arrival(1.0, length=100.0) == pytest.approx(10.0)  # a delay is a time, with any dt
    # the past is the initial state, not random numbers: 7 + 0.1 * 7 after the first step, with a delay and without
    for length in (0.0, 100.0):
        first = linear_pair(0.1, length=length).run(0.1, initial={"x": 7.0}).x
        assert float(first.sel(region="B").item()) == pytest.approx(7.7, rel=1e-12)


def test_11_coloured_noise_is_coloured_in_time_and_independent_between_regions():
    # coloured across regions it would be white in time, correlate 0.56 between neighbours and have a mean of zero over the regions
    x = node(xm.PinkNoise(sigma=1.0), 1.0, regions=1000).run(4096.0, seed=3).noise
    power = (abs(np.fft.rfft(x.values * np.hanning(4096)[:, None], axis=0)) ** 2).mean(1)
    hertz = np.fft.rfftfreq(4096, 1e-3)
    band = [power[(hertz > low) & (hertz < 1.2 * low)].mean() for low in (2.0, 8.0, 32.0)]
    # 2 % for 1000 regions and at least one frequency in a band, and for sin(pi f dt) instead of pi f dt
    np.testing.assert_allclose(np.log(np.divide(band[:-1], band[1:])) / np.log(4), 1.0, atol=0.05)
    neighbours = float((x.values[:, 1:] * x.values[:, :-1]).mean() / (x.values**2).mean())
    assert abs(neighbours) < 4 / np.sqrt(999)
    over_regions = x.mean("region")
    assert float(over_regions.std()) == pytest.approx(1 / np.sqrt(1000), rel=0.5)
    assert float(x.std()) == pytest.approx(1.0, rel=0.05)


def test_12_white_noise_does_not_depend_on_the_step_and_trials_differ():
    # dx = -x dt + dW has the standard deviation 1 / sqrt(2); without the root of dt it would vanish with the step.
    # four standard errors of 20 000 regions; Heun's scheme is 0.1 % low at the larger step
    model = xm.LinearStep(gamma=-1.0, noise_x=xm.WhiteNoise(sigma=1.0))
    for dt in (0.1, 0.01):
        x = node(model, dt, regions=20_000).run(8.0, monitors=["x"], transient=8.0 - dt, seed=1).x
        assert float(x.std()) == pytest.approx(np.sqrt(0.5), rel=4 / np.sqrt(40_000) + 1.5e-3)
    trials = node(model, regions=2000).run(1.0, monitors=["x"], batch_size=2, seed=1).x.isel(time=-1)
    assert abs(float(xr.corr(trials[0], trials[1]))) < 4 / np.sqrt(2000)


def test_13_ou_noise_has_its_standard_deviation_for_every_step():
    # approximate updates give 0.779 and 1.075 (of sigma) for steps of 0.2 and 1 tau
    for dt in (0.2, 1.0):
        x = node(xm.OUProcess(sigma=1.0, tau=1.0), dt, regions=20_000).run(10 * dt, seed=2).noise
        assert float(x.isel(time=-1).std()) == pytest.approx(1.0, rel=4 / np.sqrt(40_000))
        pairs = xr.corr(x.isel(time=-1), x.isel(time=-2), "region")
        assert float(pairs) == pytest.approx(np.exp(-dt), abs=4 / np.sqrt(20_000))


def test_14_the_response_of_the_vessels_does_not_depend_on_how_densely_the_activity_is_sampled():
    # a sum over samples that lacks the step gives 3.62 for samples 4 ms apart and 0.634 for 20 ms
    found = []
    for dt in (4.0, 20.0):
        stamps = ("time", np.arange(1, 60_000 / dt + 1) * dt, {"units": "ms", "axis": "T"})
        activity = xr.DataArray(np.full((stamps[1].size, 1), 0.5), dims=("time", "region"), coords={"time": stamps}, name="z")
        found.append(float(xm.observe(activity.to_dataset(), {"bold": xm.BOLDSignal(of="z", tr=1000.0)}).bold[-1, 0]))
    assert found == [pytest.approx(0.03387, abs=5e-6)] * 2  # the steady state of an activity of 0.5
    # and a convolution: an activity of 1 for long is the integral of the kernel, 0.615530 in closed form
    for grid in (4.0, 20.0):
        ones = xr.DataArray(np.ones((20_000, 1)), dims=("time", "region"), name="z")
        ones = ones.assign_coords(time=("time", np.arange(1, 20_001) * 4.0, {"units": "ms", "axis": "T"}))
        hrf = xm.HRFBold(of="z", tr=1000.0, grid_step=grid, k_1=1.0, V_0=1.0)
        settled = float(xm.observe(ones.to_dataset(), {"hrf": hrf}).hrf[-1, 0])
        assert settled == pytest.approx(0.615530, abs=2e-4)  # 20 s of the kernel on grids of up to 20 ms


def test_15_horn_takes_trials_and_its_recurrent_sum_is_scaled():
    x0 = xr.DataArray([0.5, 1.0, 1.5], dims="batch")
    run = node(xm.HORNStep(), 1.0).run(28.0, monitors=["x"], initial={"x": x0}).x
    assert run.sizes["batch"] == 3
    np.testing.assert_allclose(run.isel(batch=2), 3 * run.isel(batch=0), rtol=1e-12)  # a linear unit where nothing drives it
    # n equal units, all connected with weight 1: with k / sqrt(n) and v = 0 each gets sqrt(n) k x inside tanh
    n = 16
    ones = xr.DataArray(np.ones((n, n)), dims=("region", "region_other"))
    recurrent = xm.AdditiveCoupling(k=0.3 / np.sqrt(n), source="x", target="I")
    network = node(xm.Network(xm.HORNStep(), xr.Dataset({"weights": ones}), coupling=recurrent), 1.0)
    after = network.run(1.0, monitors=["x", "y"], initial={"x": 0.1}).isel(time=0)
    y = 0.04 * np.tanh(np.sqrt(n) * 0.3 * 0.1) - (2 * np.pi / 28) ** 2 * 0.1
    np.testing.assert_allclose(after.y, y, rtol=1e-12)
    np.testing.assert_allclose(after.x, 0.1 + y, rtol=1e-12)


def test_16_jansen_rit_columns_excite_each_other_by_rates():
    # the input between columns is a rate that joins p(t) in the equation of E, in Hz; in the sigmoid of M it would be a potential
    coupling = xm.SigmoidalJansenRitCoupling()
    assert (coupling.source, coupling.target) == ("eeg", "E")
    network = xm.Network(xm.JansenRitStep(), two(1.0), coupling=coupling)
    assert xm.Simulator(network, dt=0.1).parameters()["coupling.c_max"].attrs["units"] == "Hz"
    after = node(network, 0.1, method="euler").run(0.1).isel(time=-1)
    sent = 5.0 / (1 + np.exp(0.56 * 6.0))  # c_max / (1 + e^(r (midpoint - eeg))) at eeg = 0
    rise = 3.25 * 100.0 * sent * 1e-4  # A_e b_e times the rate [mV/s^2], times dt = 1e-4 s
    assert float(after.Ev.sel(region="B") - after.Ev.sel(region="A")) == pytest.approx(rise, rel=1e-9)
    assert float(after.Mv.sel(region="B")) == float(after.Mv.sel(region="A"))
    # weights are used as given: rows receive, nothing is made symmetric in silence
    assert not np.array_equal(network.connectome.weights, network.connectome.weights.transpose("region_other", "region"))


def test_17_coombes_byrne_coupling_acts_on_the_potential():
    k, r0, v0, dt = 0.7, 0.1, 0.0, 0.01
    network = xm.Network(xm.CoombesByrneStep(), two(1.0), coupling=xm.AdditiveCoupling(k=k, source="r", target="v"))
    after = node(network, dt, method="euler").run(dt, initial={"r": r0, "v": v0}).isel(time=-1)
    a, b = after.sel(region="A"), after.sel(region="B")
    assert float(b.r) == float(a.r)
    assert float(b.v - a.v) == pytest.approx(dt * k * r0, rel=1e-12)
    alone = node(xm.CoombesByrneStep(), dt).run(100.0).isel(time=-1)
    np.testing.assert_allclose([alone.r.item(), alone.v.item()], [0.184726, -0.571409], atol=1e-6)
