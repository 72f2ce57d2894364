"""The walkthroughs of examples/, with the functions of the examples themselves and every number that must come out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import brainunit as u
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.conftest import shared_path
from xmass.fit.backend import BACKENDS
from xmass.stimuli import pulse

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def example(name):
    """An example as a module; importing it draws and runs nothing."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


noise = example("noise_and_ensembles")
concepts = example("key_concepts")
dynamics = example("models_and_dynamics")
network = example("network")
subject = example("real_subject")


# ---------------------------------------------------------------------------------------------------------------- A, noise and ensembles
@pytest.fixture(scope="module")
def samples():
    return noise.noises()


@pytest.mark.parametrize(("name", "tau", "lag_one"), [("OU, tau 5 ms", 5.0, 0.98020), ("OU, tau 40 ms", 40.0, 0.99750)])
def test_ou_noise_has_its_autocorrelation_and_its_standard_deviation(samples, name, tau, lag_one):
    x = samples[name]
    steps, regions, rho = x.sizes["time"], x.sizes["region"], np.exp(-0.1 / tau)
    assert rho == pytest.approx(lag_one, abs=5e-6)
    # four standard errors: of an autoregression sqrt((1 - rho^2) / n); of a variance sqrt(2 sum(rho^2k) / n), half of it of its root
    assert noise.lag_one(x) == pytest.approx(rho, abs=4 * np.sqrt((1 - rho**2) / (steps * regions)))
    assert float(np.sqrt((x**2).mean())) == pytest.approx(1.0, abs=4 * np.sqrt(tau / 0.1 / 2 / (steps * regions)))


def test_white_noise_has_no_memory(samples):
    x = samples["white"]
    assert dict(x.sizes) == {"time": 1000, "region": 2000}
    assert noise.lag_one(x) == pytest.approx(0.0, abs=4 / np.sqrt(x.size))
    assert float(x.std()) == pytest.approx(1 / np.sqrt(0.1), rel=4 / np.sqrt(2 * x.size))  # sigma / sqrt(dt)


@pytest.mark.parametrize(("name", "sd", "spread", "lag_one"), [("OU, tau 40 ms", 0.67, 0.21, 0.9911), ("OU, tau 5 ms", 0.94, 0.14, 0.9749)])
def test_a_single_trace_of_100_ms_does_not_show_it(samples, name, sd, spread, lag_one):
    # what one trace says once its mean is removed, and how much that varies: four standard errors of 2000 traces, and the rounding
    single = samples[name].std("time")
    regions = single.sizes["region"]
    assert float(single.mean()) == pytest.approx(sd, abs=4 * spread / np.sqrt(regions) + 0.005)
    assert float(single.std()) == pytest.approx(spread, abs=4 * spread / np.sqrt(2 * regions) + 0.005)
    centred = samples[name] - samples[name].mean("time")
    both = (centred.isel(time=slice(None, -1)).values * centred.isel(time=slice(1, None)).values).mean(0) / (centred**2).mean("time").values
    assert both.mean() == pytest.approx(lag_one, abs=1e-3)


def test_a_node_is_silent_without_noise_and_fluctuates_with_it():
    silent, noisy = noise.one_run(None), noise.one_run(0.1)
    # the radius decays as e^(-0.05 t), and a little faster: 0.1 e^-10 = 4.5e-6 at the end
    assert 1e-6 < float(np.hypot(silent.x, silent.y)[-1, 0]) < 0.1 * np.exp(-10) * 1.001
    assert 0.05 < float(noisy.x.sel(time=slice(100, 200)).std()) < 0.5
    assert noisy.x.dims == silent.x.dims


def test_the_fluctuations_of_a_linear_node_are_those_of_the_lyapunov_equation():
    # 0.2325 and 0.3820 are of the linear theory: they hold without the cubic term, beta = 0. Four standard errors: 4000 regions at 5
    # times 10 ms apart, where the memory of 20 ms leaves no less than 4000 independent numbers
    theory, found = noise.linear_theory(), noise.stationary(0.0)
    assert (theory["x"], theory["y"]) == (pytest.approx(0.2325, abs=5e-5), pytest.approx(0.3820, abs=5e-5))
    for state in ("x", "y"):
        assert found[state] == pytest.approx(theory[state], rel=4 / np.sqrt(2 * 4000))


def test_the_cubic_term_makes_the_fluctuations_smaller():
    # with beta = 1 a loop in numpy, exact steps of the noise and the midpoint rule for the node, gives 0.184 and 0.225
    rng = np.random.default_rng(0)
    n, dt, a, w, decay = 4000, 0.1, -0.05, 0.3, np.exp(-0.1 / 20)
    x, y, eta = np.zeros(n), np.zeros(n), 0.1 * rng.normal(size=n)

    def drift(x, y, eta):
        growth = a - x**2 - y**2
        return growth * x - w * y + eta, growth * y + w * x

    for _ in range(2000):
        fx, fy = drift(x, y, eta)
        fx, fy = drift(x + dt / 2 * fx, y + dt / 2 * fy, eta)
        x, y, eta = x + dt * fx, y + dt * fy, decay * eta + 0.1 * np.sqrt(1 - decay**2) * rng.normal(size=n)
    found = noise.stationary(1.0)
    for state, values, expected in (("x", x, 0.184), ("y", y, 0.225)):
        assert found[state] == pytest.approx(expected, abs=0.004)
        assert found[state] == pytest.approx(np.sqrt((values**2).mean()), rel=4 / np.sqrt(4000))  # of both


def test_an_ensemble_is_one_run_with_the_dim_batch():
    trials = noise.ensemble()
    assert dict(trials.x.sizes) == {"batch": 12, "time": 2000, "region": 1}
    assert trials.seed.dims == ("batch",)
    assert len({float(v) for v in trials.x.isel(time=-1, region=0)}) == 12
    network = noise.network_ensemble().x
    assert dict(network.sizes) == {"batch": 4, "time": 1000, "region": 8}
    assert len(np.unique(network.isel(time=-1))) == 32


def test_runs_are_repeated_bit_for_bit():
    trials = noise.ensemble().x
    np.testing.assert_array_equal(noise.ensemble().x, trials)
    assert not bool((noise.ensemble(seed=5).x == trials).any())
    np.testing.assert_array_equal(noise.ensemble(30).x.isel(batch=slice(12)), trials)


# ---------------------------------------------------------------------------------------------------------------- B, key concepts
def test_a_duration_is_a_number_of_steps():
    assert concepts.hopf().run(200 * u.ms, monitors=["x"], initial={"x": 0.1}).sizes["time"] == 2000


def test_a_distance_over_a_speed_is_a_delay():
    first = concepts.first_response(concepts.two_regions(30.0, 10 * u.mm / u.ms).x)
    assert first["B"] - first["A"] == pytest.approx(3.0)
    twice = concepts.first_response(concepts.two_regions(30.0, 20 * u.mm / u.ms).x)
    assert twice["B"] - twice["A"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: xm.Simulator(xm.HopfStep(), dt=0.1 * u.mV), "dt came in mV, needs ms"),
        (lambda: concepts.hopf().run(20 * u.mV), "duration came in mV, needs ms"),
        (lambda: concepts.hopf().run(20 * u.ms, transient=1 * u.mm), "transient came in mm, needs ms"),
        (lambda: concepts.two_regions(30.0, 10 * u.ms), "speed came in ms, needs mm/ms"),
        (lambda: xm.Simulator(xm.HopfStep(a=1 * u.mV), dt=0.1).run(1.0), "a came in mV, needs 1/ms"),
    ],
)
def test_a_wrong_dimension_fails_and_names_the_argument(call, argument):
    with pytest.raises(ValueError, match=argument):
        call()
    assert concepts.refused(call).startswith(f"ValueError: {argument}")


def test_the_catalogue_says_name_category_states_and_use():
    records = xm.list_models()
    hopf = next(r for r in records if r.name == "HopfStep")
    assert (hopf.category, hopf.n_states) == ("phenomenological", 2)
    assert "oscillation" in hopf.use_case.lower()
    assert {r.category for r in records} == {"phenomenological", "physiological", "network"}
    table = str(records.to_table()).splitlines()
    assert len(table) == len(records) + 2
    assert [w.strip() for w in table[0].strip("| ").split("|")] == ["model", "category", "states", "use"]


def test_what_a_run_returns():
    sim = concepts.hopf()
    start = {"x": 0.1}
    assert list(sim.run(10.0, initial=start).data_vars) == ["x", "y"]
    assert list(sim.run(10.0, monitors=["y"], initial=start).data_vars) == ["y"]
    kept = sim.run(100.0, monitors=["x", "y"], transient=20.0, initial=start)
    assert kept.sizes["time"] == 800
    np.testing.assert_allclose(kept.time[[0, -1]], [20.1, 100.0])
    np.testing.assert_array_equal(kept.x, sim.run(100.0, initial=start).x[200:])
    thin = sim.run(100.0, monitors={"r": lambda s: s.x**2 + s.y**2}, transient=20.0, sample_every=1.0, initial=start)
    np.testing.assert_allclose(thin.time, np.arange(21.0, 101.0))
    np.testing.assert_allclose(thin.r, (kept.x**2 + kept.y**2)[9::10], rtol=1e-5)  # float32


def test_derived_outputs_are_functions_of_the_states():
    eeg = xm.Simulator(xm.JansenRitStep(), dt=0.1).run(20.0, monitors=["eeg", "E", "I"], inputs={"E": 220 * u.Hz})
    np.testing.assert_allclose(eeg.eeg, eeg.E - eeg.I, rtol=1e-5, atol=1e-5)
    assert eeg.eeg.attrs["units"] == "mV"
    lfp = xm.Simulator(xm.EpileptorStep(), dt=0.1).run(20.0, monitors=["lfp", "x1", "x2"])
    np.testing.assert_allclose(lfp.lfp, lfp.x2 - lfp.x1, rtol=1e-5, atol=1e-5)


def test_the_regions_of_a_bank_have_noise_of_their_own():
    x = concepts.noisy_bank().x
    assert dict(x.sizes) == {"time": 500, "region": 3}
    assert x.region.values.tolist() == ["left", "middle", "right"]
    assert len({float(v) for v in x.isel(time=0)}) == 3


def test_the_network_of_key_concepts():
    x = concepts.network().x
    assert dict(x.sizes) == {"time": 500, "region": 8}
    assert x.region.values.tolist() == [f"R{i}" for i in range(8)]
    assert bool(np.isfinite(x).all())
    assert float(x.std()) > 0


def test_the_smallest_fit_finds_2_and_reports_the_point_of_its_loss():
    fit = concepts.smallest_fit()
    assert abs(float(fit["initial.x"]) - 2.0) < 1e-2
    assert float(fit.best_loss) == float(fit.loss.min())
    # the loss is |x0 - 2| times the root mean square of the decay, exp(-t) at t = .1, .2, ... 1, in float32
    factor = np.sqrt(np.mean(np.exp(-2 * 0.1 * np.arange(1, 11))))
    np.testing.assert_allclose(float(fit.best_loss), abs(float(fit["initial.x"]) - 2.0) * factor, rtol=1e-2, atol=1e-6)
    assert set(concepts.BACKENDS) == set(BACKENDS) - {"nuts"}


# ---------------------------------------------------------------------------------------------------------------- C, models and dynamics
def test_three_families_of_models():
    names = {c: {r.name for r in xm.list_models() if r.category == c} for c in ("phenomenological", "physiological", "network")}
    assert {"HopfStep", "FitzHughNagumoStep", "LorenzStep"} <= names["phenomenological"]
    assert {"JansenRitStep", "WilsonCowanStep", "MontbrioPazoRoxinStep"} <= names["physiological"]
    assert {"KuramotoStep", "HORNStep"} <= names["network"]


def test_the_hopf_bifurcation():
    amplitude = dynamics.hopf_amplitude()
    assert amplitude.dims == ("a",)
    assert float(amplitude.sel(a=slice(None, -0.049)).max()) < 1e-4
    grown = amplitude.sel(a=slice(0.049, None))
    assert grown.sizes["a"] == 8
    assert float(abs(grown / (2 * np.sqrt(grown.a)) - 1).max()) < 1e-3
    # critical slowing: at a = 0 the radius decays as 1 / sqrt(2 t + 1 / r0^2). linspace gives 2.8e-17 there, not 0
    assert float(amplitude.sel(a=0.0, method="nearest", tolerance=1e-9)) == pytest.approx(0.0869, abs=5e-5)


def test_fitzhugh_nagumo_cycles_with_a_constant_input():
    run = dynamics.fitzhugh_nagumo()
    assert run.sizes["time"] == 3000
    # spec: V from 0.10183 to 0.77166, period 30.545 ms; 0.0001 and 0.01 for float32 and Heun's method at 0.1 ms
    assert float(run.V.min()) == pytest.approx(0.1018, abs=1e-4)
    assert float(run.V.max()) == pytest.approx(0.7717, abs=1e-4)
    assert dynamics.period_of(run.V) == pytest.approx(30.55, abs=0.01)
    # a closed loop: one period later the same point of the plane
    last = run[["V", "w"]].isel(time=-1)
    before = run[["V", "w"]].interp(time=float(run.time[-1]) - dynamics.period_of(run.V))
    assert float(np.hypot(last.V - before.V, last.w - before.w)) < 1e-3
    for current in (0.7, 1.5):  # outside of the two Hopf points, 0.72606 and 1.33155, it is silent
        last = dynamics.fitzhugh_nagumo(current).V.isel(time=slice(-306, None))
        assert float(last.max() - last.min()) < 0.02  # of 0.67 on the cycle; so near to the first point it decays slowly


def test_wilson_cowan_is_bistable():
    end = dynamics.wilson_cowan().isel(time=-1)
    np.testing.assert_allclose([end.rE.sel(start=0.3), end.rI.sel(start=0.3)], [0.46246, 0.24336], atol=1e-5)  # five digits are given
    np.testing.assert_allclose([end.rE.sel(start=0.1), end.rI.sel(start=0.1)], 0.0, atol=1e-5)


REST = {14.0: 0.080170, 15.0: 0.081134, 21.0: 0.088786}
END = {14.0: 0.080170, 15.0: 1.030597, 21.0: 1.85505}
DIGITS = 2e-6  # six are given; float32 near 1 to 2 has a spacing of 1.2e-7


def test_montbrio_is_moved_by_J():
    r = dynamics.montbrio(pulse(3.0, onset=20.0, width=20.0), list(REST)).r
    for J, rest in REST.items():
        assert float(r.sel(J=J, time=20.0, method="nearest")) == pytest.approx(rest, abs=DIGITS)
        assert float(r.sel(J=J).isel(time=-1)) == pytest.approx(END[J], abs=10 * DIGITS)
    assert float(r.sel(J=14.0).max()) == pytest.approx(2.47, abs=0.01)
    inside = r.sel(J=14.0, time=slice(20, 40))
    assert float(inside.max()) == float(r.sel(J=14.0).max())


def test_montbrio_needs_the_right_pulse():
    # with J = 21 a pulse of 1 ms is enough; with J = 15 one of I = 10 is too strong, and the population returns to rest
    short = dynamics.montbrio(pulse(3.0, onset=20.0, width=1.0), [21.0]).r.isel(time=-1)
    assert short.item() == pytest.approx(END[21.0], abs=10 * DIGITS)
    strong = dynamics.montbrio(pulse(10.0, onset=20.0, width=20.0), [15.0]).r.isel(time=-1)
    assert strong.item() == pytest.approx(REST[15.0], abs=DIGITS)


# ---------------------------------------------------------------------------------------------------------------- D, a network
@pytest.fixture(scope="module")
def connectome():
    return xm.datasets.load_dataset("example_connectome")


def test_the_example_connectome(connectome):
    assert connectome.region.values.tolist() == connectome.region_other.values.tolist() == [f"R{i}" for i in range(8)]
    weights = connectome.weights.values
    np.testing.assert_array_equal(weights, weights.T)
    np.testing.assert_array_equal(np.diag(weights), 0)
    assert float(connectome.distances.max()) == 80
    assert connectome.distances.attrs["units"] == "mm"


def plain_loop(connectome, k, start):
    """The network of the example in numpy: Heun's method at 0.1 ms, delays to the nearest step, a constant past."""
    dt, steps = 0.1, 3000
    weights, lag = connectome.weights.values, np.rint(connectome.distances.values / 10 / dt).astype(int)
    past = int(lag.max())
    x = np.zeros((past + steps + 1, 8))
    x[: past + 1] = start
    y, sources = np.zeros(8), np.arange(8)

    def drift(x_now, y_now, delayed):
        growth = 0.2 - x_now**2 - y_now**2
        arriving = k * (weights * (delayed - x_now[:, None])).sum(1)
        return growth * x_now - 0.3 * y_now + arriving, growth * y_now + 0.3 * x_now

    for n in range(past, past + steps):
        now, then = (x[n + i - lag, sources] for i in (0, 1))
        fx, fy = drift(x[n], y, now)
        gx, gy = drift(x[n] + dt * fx, y + dt * fy, then)
        x[n + 1], y = x[n] + dt / 2 * (fx + gx), y + dt / 2 * (fy + gy)
    return x[past + 1 :]


def test_the_network_of_oscillators_is_that_of_a_loop_in_numpy(connectome):
    x = network.oscillators(connectome).x
    assert dict(x.sizes) == {"time": 2500, "region": 8}
    np.testing.assert_allclose(x.time[[0, -1]], [50.1, 300.0])
    expected = plain_loop(connectome, 0.5, np.random.default_rng(0).normal(0, 0.1, 8))[500:]
    np.testing.assert_allclose(x, expected, atol=1e-5)  # float32 over 3000 steps, of a range of 0.4


def test_the_rest_of_oscillators_is_exactly_zero_so_the_start_is_not(connectome):
    node = xm.Network(xm.HopfStep(a=0.2, w=0.3), connectome, coupling=xm.DiffusiveCoupling(k=0.5, source="x", target="x"))
    silent = xm.Simulator(node, dt=0.1).run(10.0, initial={"x": 0.0, "y": 0.0})
    assert not silent.x.any() and not silent.y.any()


def test_a_node_turns_at_48_hz_and_the_network_more_slowly(connectome):
    alone = network.frequency(network.oscillators(connectome, 0.0).x)
    np.testing.assert_allclose(alone, 1000 * 0.3 / (2 * np.pi), atol=0.1)  # crossings at steps of 0.1 ms, over nine cycles
    coupled = network.frequency(network.oscillators(connectome).x)
    rising = plain_loop(connectome, 0.5, np.random.default_rng(0).normal(0, 0.1, 8))[1000:, 0] > 0
    between = 0.1 * np.diff(np.flatnonzero(~rising[:-1] & rising[1:])).mean()
    np.testing.assert_allclose(coupled, 1000 / between, rtol=0.01)
    assert float(coupled.max()) < 20


def test_fc_of_the_network_has_labels_on_both_axes_and_locks(connectome):
    x = network.oscillators(connectome).x
    fc = xm.functional_connectivity(x)
    np.testing.assert_allclose(fc, np.corrcoef(x.values, rowvar=False), atol=1e-6)
    assert float(fc.min()) > 0.99
    ax = xm.viz.plot_functional_connectivity(fc)
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [label.get_text() for label in labels] == connectome.region.values.tolist()


def test_the_noisy_network(connectome):
    rates = network.noisy_rates(connectome).rE
    assert dict(rates.sizes) == {"time": 3000, "region": 8}
    assert bool(np.isfinite(rates).all())
    assert len({float(v) for v in rates.isel(time=-1)}) == 8
    np.testing.assert_array_equal(rates, network.noisy_rates(connectome).rE)


def test_the_real_connectome_is_another_line():
    shared_path("data", "raw", "connectivity_76.zip")
    real = network.real_connectome()
    assert real.sizes["region"] == 76
    assert np.abs(np.linalg.eigvals(real.weights.values)).max() == pytest.approx(1)
    x = network.oscillators(real).x
    assert dict(x.sizes) == {"time": 2500, "region": 76}
    assert bool(np.isfinite(x).all())
    callosum = network.frequency(x).sel(region=["rCC", "lCC"])  # without connections
    np.testing.assert_allclose(callosum, 47.75, atol=0.1)


def test_without_the_real_connectome_a_synthetic_one_is_taken_and_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(network, "REAL", tmp_path / "shared" / "data" / "raw" / "connectivity_76.zip")
    assert network.real_connectome().sizes["region"] == 68
    assert "example_cohort" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------------- E, training
# The full sizes of E2, E3 and E4 are the long tests of tests/training: test_recurrent.py, test_spiking.py, test_horn.py.
def test_the_next_generation_reservoir_forecasts_lorenz():
    lorenz, x, y = xm.datasets.lorenz(dt=0.01, duration=100.0), ["x", "y", "z"], ["x_ahead", "y_ahead", "z_ahead"]
    train = xm.training.forecast_pairs(lorenz.sel(time=slice(20, 80)), horizon=[1, 10, 100])
    test = xm.training.forecast_pairs(lorenz.sel(time=slice(80, 100)), horizon=[1, 10, 100])
    model = xm.training.NVAR(delay=4, stride=5, orders=2).fit(train, x=x, y=y, readout=xm.training.Ridge(alpha=1e-6))
    error = ((model.predict(test) - test)[y] ** 2).mean("time").to_dataarray().mean("variable")
    assert (error.values < [2e-9, 0.03, 60.0]).all()  # the page's figure for one step, those of the specification for 10 and 100


def test_training_maps_datasets_to_datasets():
    t = xm.training
    ds = xm.datasets.white_noise_task(n_trials=32, seed=0)
    trainer = t.Trainer(t.Sequential(t.RNN(8, train_initial=True), t.Linear()), {"mse": t.MeanSquaredError(), "l2": t.L2(2e-4)})
    history = trainer.fit(ds, x="input", y="target", steps=4, validation=ds, seed=0)
    assert history.loss.dims == ("epoch", "split") and {"loss.mse", "loss.l2"} <= set(history)
    predicted = trainer.predict(ds, record=["h"])
    xr.testing.assert_equal(predicted.coords["time"], ds.coords["time"])
    assert predicted.target.dims == ds.target.dims and predicted.target.attrs["units"] == ds.target.attrs["units"]
    assert predicted["rnn.h"].dims == ("trial", "time", "rnn_unit")


# ---------------------------------------------------------------------------------------------------------------- F, a real subject
def recorded():
    return subject.load([str(shared_path("data", f"hcp_subject_{i}.nc")) for i in (1, 2, 3, 4)])


def test_the_recording_of_a_real_subject_and_what_a_model_is_held_against():
    cohort = recorded()
    one = cohort.isel(subject=0)
    assert one.sizes["region"] == 80
    assert float(one.weights.max()) == 1
    assert one.bold.attrs["preprocess"] == '[{"detrend": "linear"}]'
    assert float(subject.mean_of(xm.functional_connectivity(one.bold))) == pytest.approx(0.309, abs=5e-4)
    against = subject.held_against(cohort, one)
    expected = {"connectome": 0.314, "log connectome": 0.477, "other subjects, mean": 0.782}
    expected |= {"one half with the other": 0.920, "first 5 minutes with all": 0.967}
    assert against.to_dict() == pytest.approx(expected, abs=6e-4)  # three digits are given
    # the baselines of a comparison are the same numbers
    score = xm.compare(xm.functional_connectivity(cohort.bold).to_dataset(name="fc"), cohort, subject.CORR).isel(subject=0)
    names = ("baseline_weights", "baseline_log_weights", "baseline_other_subjects", "ceiling_split_half")
    given = ("connectome", "log connectome", "other subjects, mean", "one half with the other")
    np.testing.assert_allclose([float(score[name]) for name in names], against[list(given)], atol=1e-6)


def test_five_minutes_are_417_volumes_in_whole_periods():
    cohort = subject.load([])
    assert subject.volumes(cohort.bold, subject.FIVE_MINUTES) == 417
    time = subject.clocked(cohort, 60 * u.second, subject.FIVE_MINUTES)
    assert float(time["transient"] / u.second) == pytest.approx(60.48)
    assert float(time["duration"] / u.second) == pytest.approx(60.48 + 417 * 0.72)
