"""A layer of masses is a Simulator without a connectome, its recurrent weights are an undelayed coupling, and its parameters train."""

from __future__ import annotations

import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.core.model import Mixed

t = xm.training
STEPS, BATCH, UNITS, DT = 40, 2, 3, 0.1
SERIES = np.random.default_rng(0).normal(size=(STEPS, BATCH, UNITS))
WEIGHTS = np.random.default_rng(1).normal(size=(UNITS, UNITS))
REGIONS = {"region": ["p", "q", "r"], "region_other": ["p", "q", "r"]}


def applied(layer, *, dt=DT, **given):
    """Output and records of the layer alone in float64; arrays that are not given are as they are drawn."""
    with jax.enable_x64(True):
        net = t.Sequential(layer)
        values = jax.jit(lambda key: net.init(UNITS, key, jnp.float64))(jax.random.key(1)) | {
            f"masslayer.{n}": jnp.asarray(v) for n, v in given.items()
        }
        y, records = jax.jit(lambda v, x: net.apply(v, x, dt))(values, jnp.asarray(SERIES))
        return np.asarray(y), {name.removeprefix("masslayer."): np.asarray(r) for name, r in records.items()}


def simulated(model, drive, monitors, initial, *, coupling=None, method=None, dt=DT):
    """The same series from the Simulator, where units are regions."""
    name, scale, offset = drive
    values = scale * SERIES + offset
    held = np.repeat(values, round(DT / dt), axis=0)
    series = xr.DataArray(held, dims=("time", "batch", "region"), coords={"time": np.arange(len(held)) * dt, "region": REGIONS["region"]})
    sc = xr.Dataset({"weights": (("region", "region_other"), WEIGHTS.T)}, REGIONS)  # row receives there, column receives here
    sim = xm.Simulator(xm.Network(model, sc, coupling=coupling), dt=dt, precision="float64", method=method)
    return sim.run(STEPS * DT, monitors=monitors, inputs={name: series}, initial=initial).transpose("time", "batch", "region")


CASES = {
    "WilsonCowanStep": (xm.WilsonCowanStep(), ("e", 0.7, 1.0), "rE", {"rE": 0.3, "rI": 0.2}, {}),
    "HopfStep": (xm.HopfStep(a=0.2), ("x", 0.05, 0.0), "x", {"x": 0.1, "y": -0.2}, {}),
    "JansenRitStep, output, seconds": (xm.JansenRitStep(), ("E", 60.0, 200.0), "eeg", {"M": 0.1, "Ev": 5.0}, {}),
    "HopfStep, rk4": (xm.HopfStep(a=0.2), ("x", 0.05, 0.0), "x", {"x": 0.1, "y": -0.2}, {"method": "rk4"}),
    "HORNStep, own scheme": (xm.HORNStep(), ("I", 0.7, 0.1), "x", {"x": 0.1}, {}),
    "ThresholdLinearStep, bounds": (xm.ThresholdLinearStep(), ("E", 3.0, 0.0), "E", {"E": 0.1}, {}),
    "ReducedWongWangStep, reads input": (xm.ReducedWongWangStep(), ("coupling", 0.3, 0.0), "H", {"S": 0.1}, {}),
}


LONG = ("HopfStep, rk4", "ThresholdLinearStep, bounds", "HORNStep, own scheme", "ReducedWongWangStep, reads input")
PARAMS = [pytest.param(*case, id=name, marks=[pytest.mark.long] if name in LONG else []) for name, case in CASES.items()]


@pytest.mark.parametrize(("model", "drive", "output", "initial", "options"), PARAMS)
def test_identity_weights_without_recurrence_are_the_simulator(model, drive, output, initial, options):
    _, scale, offset = drive
    layer = t.MassLayer(model, UNITS, input=drive[0], output=output, recurrent=False, initial=initial, **options)
    y, records = applied(layer, input=scale * np.eye(UNITS), bias=np.full(UNITS, offset))
    names = [s.name for s in model.states]
    run = simulated(model, drive, sorted({*names, output}), initial, **options)
    np.testing.assert_allclose(y, run[output], rtol=1e-12, atol=1e-12)
    for name in names:
        np.testing.assert_allclose(records[name], run[name], rtol=1e-12, atol=1e-12)
    if model.states[0].bounds == (0.0, np.inf):
        assert (records["E"] == 0.0).any() and (records["E"] > 0.0).any()  # it was held, and not only


def test_recurrent_weights_are_an_undelayed_coupling_of_the_simulator():
    model, drive, initial = xm.WilsonCowanStep(), ("e", 0.7, 1.0), {"rE": 0.3, "rI": 0.2}
    layer = t.MassLayer(model, UNITS, input="e", output="rE", initial=initial)
    y, _ = applied(layer, input=0.7 * np.eye(UNITS), bias=np.ones(UNITS), recurrent=WEIGHTS)
    run = simulated(model, drive, ["rE"], initial, coupling=xm.AdditiveCoupling(source="rE", target="e"))
    np.testing.assert_allclose(y, run.rE, rtol=1e-12, atol=1e-12)
    alone, _ = applied(layer, input=0.7 * np.eye(UNITS), bias=np.ones(UNITS), recurrent=0 * WEIGHTS)
    assert np.abs(y - alone).max() > 0.01


@pytest.mark.long
def test_substeps_are_shorter_steps_with_the_input_held():
    model, initial = xm.HopfStep(a=0.2), {"x": 0.1, "y": -0.2}
    layer = t.MassLayer(model, UNITS, input="x", output="x", recurrent=False, initial=initial, substeps=4)
    y, _ = applied(layer, input=0.05 * np.eye(UNITS))
    fine = simulated(model, ("x", 0.05, 0.0), ["x"], initial, dt=DT / 4)
    np.testing.assert_allclose(y, fine.x[3::4], rtol=1e-12, atol=1e-12)


@pytest.mark.long
def test_parameters_of_the_model_and_initial_states_have_the_gradients_of_finite_differences():
    layer = t.MassLayer(xm.WilsonCowanStep(), UNITS, input="e", output="rE", substeps=2, train_initial=True, initial={"rE": 0.3})
    with jax.enable_x64(True):
        net = t.Sequential(layer, t.OverTime("mean"), t.Linear(1))
        values = net.init(UNITS, jax.random.key(0), jnp.float64) | {
            "masslayer.tau_e": jnp.asarray(9.0),
            "masslayer.theta_e": jnp.asarray(2.5),
        }
        loss = jax.jit(lambda v: jnp.sum(net.apply(v, jnp.asarray(SERIES), 1.0)[0] ** 2))
        slopes = jax.grad(loss)(values)
        for name, at in {"tau_e": (), "theta_e": (), "initial_rI": (1,), "recurrent": (0, 2), "input": (1, 1)}.items():
            path, h = f"masslayer.{name}", 1e-5
            shifted = [float(loss(values | {path: values[path].at[at].add(d)})) for d in (h, -h)]
            expected = (shifted[0] - shifted[1]) / (2 * h)
            assert expected != 0.0
            # central differences: h^2 and rounding 1e-16 / h, each about 1e-10 of values of order one
            np.testing.assert_allclose(slopes[path][at], expected, rtol=1e-5, atol=1e-10)


@pytest.mark.long
def test_a_parameter_is_recovered_from_a_simulated_series():
    # Teacher: a Simulator with tau_e = 2 ms. Student: one unit whose input weight is held at 1 and whose tau_e starts at 1.
    time = np.arange(60) * 0.5
    drive = xr.DataArray(np.sin(np.arange(8)[:, None] + 0.3 * time) + 1.0, dims=("trial", "time"), coords={"time": time})
    teacher = xm.Simulator(xm.WilsonCowanStep(tau_e=2.0), dt=0.5, precision="float64").run(30.0, monitors=["rE"], inputs={"e": drive})
    ds = xr.Dataset({"e": drive.assign_coords(time=teacher.time), "rE": teacher.rE.isel(region=0, drop=True)})
    ones = jax.nn.initializers.ones
    model = xm.WilsonCowanStep(tau_e=xm.Param(1.0, bounds=(0.5, 10.0)))
    layer = t.MassLayer(model, 1, input="e", output="rE", recurrent=False, bias=False, input_init=ones, name="mass")
    trainer = t.Trainer(layer, t.MeanSquaredError(), "adam", 0.05, frozen="mass.input", precision="float64")
    trainer.fit(ds, x="e", y="rE", epochs=200)
    assert float(trainer.weights["mass.tau_e"]) == pytest.approx(2.0, abs=1e-3)
    assert trainer.weights["mass.tau_e"].attrs["units"] == "ms"


@pytest.mark.long
def test_delayed_match_is_learned():
    ds = xm.datasets.delayed_match_task(n_trials=320, n_steps=8, n_symbols=2, seed=0)
    train, test = ds.isel(trial=slice(256)), ds.isel(trial=slice(256, None))
    init = jax.nn.initializers
    model = xm.WilsonCowanStep(tau_e=xm.Param(5.0, bounds=(1.0, 50.0)), tau_i=5.0)
    draws = {
        "input_init": init.normal(2.0),
        "recurrent_init": init.variance_scaling(1.0, "fan_in", "normal"),
        "bias_init": init.normal(1.0),
    }
    layer = t.MassLayer(model, 64, input="e", output="rE", substeps=2, initial={"rE": 0.1, "rI": 0.05}, **draws)
    trainer = t.Trainer(t.Sequential(layer, t.OverTime("last"), t.Linear()), t.CrossEntropy(), "adam", 1e-2)
    seeds = xr.DataArray(np.arange(4), dims="seed")
    trainer.fit(train, x="stimulus", y="match", features="symbol", epochs=20, batch_size=32, seed=seeds)
    assert float((trainer.predict(test).match == test.match).mean("trial").min()) == 1.0
    tau = trainer.weights["masslayer.tau_e"]
    assert (tau > 1.0).all() and (tau < 4.9).all()  # within its bounds, and moved


def test_states_that_the_model_draws_are_drawn_with_the_weights_and_not_trained():
    layer = t.MassLayer(xm.StuartLandauStep(), 200, input="x", output="x")
    declared = layer.weights(1)
    assert (
        declared["initial_x"].fixed
        and not t.MassLayer(xm.StuartLandauStep(), 2, input="x", output="x", train_initial=True).weights(1)["initial_x"].fixed
    )
    drawn = jax.jit(lambda key: t.Sequential(layer).init(1, key)["masslayer.initial_x"])(jax.random.key(0))
    assert 0 <= drawn.min() < 0.005 and 0.045 < drawn.max() <= 0.05  # uniform in 0 to 0.05
    assert "initial_x" not in t.MassLayer(xm.StuartLandauStep(), 2, input="x", output="x", initial={"x": 0.1, "y": 0.0}).weights(1)


def test_weights_say_their_units():
    units = {n: w.unit for n, w in t.MassLayer(xm.JansenRitStep(), 2, input="E", output="eeg").weights(4).items()}
    assert units == {"input": "Hz", "recurrent": "Hz/mV", "bias": "Hz"}


class Clashing(xm.NeuralMass):
    states = (xm.State("x", 0.0, "1"),)
    inputs = (xm.Input("x", "1/ms"),)
    units: float = xm.parameter(1.0, "ms", "a name that the layer has")


WC = {"input": "e", "output": "rE"}
REFUSED = {
    "a class": (lambda: t.MassLayer(xm.HopfStep, 3, input="x", output="x"), TypeError, r"class HopfStep, needs a model.*xm.HopfStep\(\)"),
    "a number": (lambda: t.MassLayer(3, 3, **WC), TypeError, "came a int, needs the model of one mass"),
    "several": (lambda: t.MassLayer(Mixed((("a", xm.HopfStep()),), ((True,),)), 3, **WC), TypeError, "several models, needs one"),
    "noise": (lambda: t.MassLayer(xm.WilsonCowanStep(noise_e=xm.WhiteNoise(0.1)), 3, **WC), ValueError, "noise_e.*leave it out"),
    "past": (lambda: t.MassLayer(xm.WilsonCowanDelayedStep(), 3, **WC), ValueError, "reads rE as it was delay_ee ago"),
    "input": (
        lambda: t.MassLayer(xm.WilsonCowanStep(), 3, input="P", output="rE"),
        ValueError,
        "input 'P', which .* has 'rE', 'rI', 'e'",
    ),
    "output": (lambda: t.MassLayer(xm.WilsonCowanStep(), 3, input="e", output="RE"), ValueError, "output 'RE'.*did you mean 'rE'"),
    "state": (lambda: t.MassLayer(xm.WilsonCowanStep(), 3, **WC, initial={"E": 0.1}), ValueError, "initial names 'E', which"),
    "initial with a unit": (
        lambda: t.MassLayer(xm.JansenRitStep(), 3, input="E", output="M", initial={"M": 1 * u.mV}),
        TypeError,
        "needs a finite number in the unit of the state",
    ),
    "parameter": (lambda: t.MassLayer(xm.WilsonCowanStep(tau_e=[1.0, 2.0]), 3, **WC), ValueError, "tau_e has shape"),
    "name of a parameter": (lambda: t.MassLayer(Clashing(), 3, input="x", output="x"), ValueError, "a parameter 'units', which is a name"),
    "initial": (lambda: t.MassLayer(xm.WilsonCowanStep(), 3, **WC, initial=0.1), TypeError, "needs values by state"),
    "units": (lambda: t.MassLayer(xm.WilsonCowanStep(), 0, **WC), ValueError, "units=0, needs a whole number, at least 1"),
    "substeps": (lambda: t.MassLayer(xm.WilsonCowanStep(), 3, **WC, substeps=0.5), ValueError, "substeps=0.5, needs a whole number"),
    "method": (lambda: t.MassLayer(xm.WilsonCowanStep(), 3, **WC, method="tsit5"), ValueError, "'tsit5', needs one of 'heun'"),
    "own scheme": (lambda: t.MassLayer(xm.HORNStep(), 3, input="I", output="x", method="heun"), ValueError, "scheme of its own"),
    "output of the input": (lambda: t.MassLayer(xm.ReducedWongWangStep(), 3, input="coupling", output="H"), ValueError, "recurrent=False"),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_layer_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
