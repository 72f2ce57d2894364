"""A result can be made again from its own record; what a user wrote in a notebook works everywhere and is asked for."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.labelled.bad import X_TO_X, network, node, noisy, params
from tests.labelled.test_dims_of_results import COHORT, SC, START
from xmass.core.observe import Timing

NOTEBOOK = '''
from typing import Any, ClassVar
import equinox as eqx, jax.numpy as jnp, xmass as xm

class Leak(xm.NeuralMass):
    """A leaky integrator."""
    states: ClassVar = (xm.State("v", 0.0, "mV", "potential"),)
    inputs: ClassVar = (xm.Input("v", "mV/ms"),)
    outputs: ClassVar = (xm.Output("rate", "Hz", "firing rate"),)
    noise_v: Any = None
    tau: Any = xm.parameter(10.0, "ms", "time constant")
    gain: Any = xm.parameter(2.0, "Hz/mV", "slope of the rate")
    def rate(self, s, u):
        return self.gain * s.v
    def drift(self, s, u):
        return dict(v=-s.v / self.tau + u.v)
'''


class Leak(xm.NeuralMass):
    """A leaky integrator, as a user writes it."""

    states: ClassVar = (xm.State("v", 0.0, "mV", "potential"),)
    inputs: ClassVar = (xm.Input("v", "mV/ms"),)
    outputs: ClassVar = (xm.Output("rate", "Hz", "firing rate"),)
    noise_v: Any = None
    tau: Any = xm.parameter(10.0, "ms", "time constant")
    gain: Any = xm.parameter(2.0, "Hz/mV", "slope of the rate")

    def rate(self, s, u):
        return self.gain * s.v

    def drift(self, s, u):
        return dict(v=-s.v / self.tau + u.v)


class Saturating(xm.Coupling):
    """The sum of tanh of what the others send, as a user writes it."""

    k: Any = xm.parameter(1.0, "target", "strength")
    scale: Any = xm.parameter(2.0, "source", "where the signal saturates")
    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)

    def pre(self, x):
        return jnp.tanh(x / self.scale)

    def post(self, total, own, strength):
        return self.k * total


class Peak(xm.Observation):
    """The largest value of every region, seen every ``period`` ms, as a user writes it."""

    of: Any = eqx.field(static=True, kw_only=True)
    rows: int = eqx.field(default=10, static=True, kw_only=True)
    name: str = eqx.field(default="peak", static=True, kw_only=True)
    floor: Any = xm.parameter(0.0, "mV", "smallest value")

    def timing(self, row):
        return Timing(self.rows, self.rows)

    def init(self, like):
        return ()

    def step(self, state, block, timing, row):
        values = block.values
        return state, jnp.maximum(values.reshape(-1, timing.period, *values.shape[1:]).max(axis=1), self.floor)


# ---- a user's own model, coupling and observation
def test_a_users_own_model_is_swept_and_has_noise_and_outputs():
    sim = xm.Simulator(Leak(), dt=0.1, precision="float64")
    tau = [5.0, 10.0, 20.0]
    run = sim.run(20.0, params(tau=("tau", tau)), monitors=["v", "rate"], initial={"v": 1.0})
    np.testing.assert_allclose(run.v.isel(time=-1, region=0), np.exp(-20.0 / np.array(tau)), rtol=4e-4)  # second order: (dt / tau)^2
    np.testing.assert_array_equal(run.rate, 2 * run.v)
    assert run.rate.attrs["units"] == "Hz" and run.v.attrs["units"] == "mV"
    loud = xm.Simulator(Leak(noise_v=xm.WhiteNoise(sigma=0.5)), dt=0.1, regions=64)
    trials = loud.run(300.0, monitors=["v"], batch_size=8, seed=0, transient=50.0, sample_every=10)
    expected = 0.5 * np.sqrt(10.0 / 2)  # the stationary spread of the process
    assert float(trials.v.std()) == pytest.approx(expected, rel=0.03)


def test_a_users_own_coupling_and_observation_in_a_network():
    net = xm.Network(Leak(), SC, speed=10.0, coupling=Saturating(source="v", target="v", k=0.1))
    sim = xm.Simulator(net, dt=0.1, precision="float64", tile=2)
    p = params(**{"coupling.k": ("k", [0.0, 0.1]), "peak.floor": ("k", [-9.0, -9.0])})
    run = sim.run(10.0, p, monitors={"v": "v", "peak": Peak(of="v")}, initial={"v": START["x"]})
    expected = run.v.coarsen(time=10).max().transpose(*run.peak.dims[:1], "time", "region")
    np.testing.assert_array_equal(run.peak, expected)
    np.testing.assert_allclose(run.v.isel(k=0, time=-1), START["x"] * np.exp(-1.0), rtol=1e-4)
    seen = xm.observe(run[["v"]], {"peak": Peak(of="v", floor=-9.0)})
    np.testing.assert_array_equal(seen.peak, run.peak)
    floored = sim.run(10.0, monitors={"peak": Peak(of="v", floor=0.25)}, initial={"v": START["x"]})
    assert float(floored.peak.min()) == 0.25


def test_a_users_own_delayed_coupling_is_the_sum_of_its_parts():
    # The first step after the start sees the constant history: v' = -v / tau + k sum_j w_ij tanh(v_j / scale).
    net = xm.Network(Leak(), SC, speed=1.0, coupling=Saturating(source="v", target="v", k=0.1))
    run = xm.Simulator(net, dt=0.1, method="euler", precision="float64").run(0.1, monitors=["v"], initial={"v": START["x"]})
    v = START["x"].values
    rate = -v / 10.0 + 0.1 * SC.weights.values @ np.tanh(v / 2.0)
    np.testing.assert_allclose(run.v[0], v + 0.1 * rate, rtol=1e-12)


def test_a_model_without_a_source_file_works():
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(NOTEBOOK, space)
    sim = xm.Simulator(space["Leak"](), dt=0.1)
    run = sim.run(2.0, params(tau=("tau", [5.0, 10.0])), monitors=["v"], initial={"v": 1.0})
    again = xm.Simulator(Leak(), dt=0.1).run(2.0, params(tau=("tau", [5.0, 10.0])), monitors=["v"], initial={"v": 1.0})
    np.testing.assert_array_equal(run.v, again.v)
    xr.testing.assert_identical(xm.rerun(run, sim=sim), run)
    changed: dict[str, Any] = {"__name__": "__main__"}
    exec(NOTEBOOK.replace("-s.v / self.tau", "-2 * s.v / self.tau"), changed)
    with pytest.raises(ValueError, match=r"not what the result was made from.*source_sha256"):
        xm.rerun(run, sim=xm.Simulator(changed["Leak"](), dt=0.1))


# ---- rerun
RUNS = {
    "lone node": lambda: node().run(2.0, monitors=["x"], initial={"x": 0.1}),
    "trials": lambda: noisy().run(2.0, monitors=["x"], batch_size=3),
    "sweep": lambda: noisy().run(
        2.0, xr.Dataset({"a": ("point", [0.1, 0.2])}, {"point": ["p", "q"], "lab": ("point", ["one", "two"]), "session": 3}), seed=1
    ),
    "bank": lambda: xm.Simulator(xm.HopfStep(), dt=0.1, regions=["left", "right"]).run(1.0, initial={"x": 0.1}),
    "cohort with delays": lambda: network(COHORT, speed=5.0).run(2.0, params(a=("a", [0.1, 0.2])), initial=START, transient=0.5),
    "observations": lambda: network(SC).run(
        4.0,
        monitors={"b": xm.BOLDSignal(of="x", tr=2.0), "f": xm.FunctionalConnectivity(of="y"), "m": xm.TemporalAverage(of="x", period=1.0)},
        initial=START,
        transient=1.0,
        restart=True,
    ),
    "inputs": lambda: node().run(
        2.0, inputs={"x": xr.DataArray([0.1, 0.2, 0.3], dims="time", coords={"time": [0.0, 1.0, 2.0]}), "y": 0.1}, sample_every=4
    ),
    "options": lambda: xm.Simulator(xm.HopfStep(), dt=0.05, method="rk4", precision="float64", tile=2, bounds=False).run(
        1.0, initial={"x": 0.1}
    ),
    "several couplings": lambda: network(SC, coupling={"p": X_TO_X, "q": xm.AdditiveCoupling(source="y", target="y")}, delays="linear").run(
        2.0, params(**{"coupling.q.k": ("k", [0.0, 0.1])}), initial=START
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("make", RUNS.values(), ids=RUNS.keys())
def test_rerun_is_identical(make):
    first = make()
    xr.testing.assert_identical(xm.rerun(first), first)


def test_rerun_after_a_zarr_round_trip(tmp_path):
    first = RUNS["trials"]()
    first.to_zarr(tmp_path / "run.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "run.zarr", consolidated=False) as stored:
        xr.testing.assert_identical(stored.load(), first)
        xr.testing.assert_identical(xm.rerun(stored), first)


def test_rerun_continues_a_continued_run():
    start = noisy().run(2.0, monitors=["x"], seed=1, restart=True)
    rest = noisy().run(2.0, monitors=["x"], initial=start)
    whole = noisy().run(4.0, monitors=["x"], seed=1)
    np.testing.assert_array_equal(rest.x, whole.x[20:])
    xr.testing.assert_identical(xm.rerun(rest), rest)


def test_rerun_asks_for_a_users_own_model():
    sim = xm.Simulator(Leak(), dt=0.1)
    run = sim.run(1.0, monitors=["v"], initial={"v": 1.0})
    with pytest.raises(ValueError, match=r"Leak.*xm\.rerun\(ds, sim=\.\.\.\)"):
        xm.rerun(run)
    xr.testing.assert_identical(xm.rerun(run, sim=sim), run)
    with pytest.raises(ValueError, match=r"not what the result was made from: system\.tau: 10\.0 -> 11\.0"):
        xm.rerun(run, sim=xm.Simulator(Leak(tau=11.0), dt=0.1))


def test_rerun_asks_for_a_function_and_for_large_arrays():
    def square(s):
        return s.x**2

    run = node().run(1.0, monitors={"s": square}, initial={"x": 0.1})
    with pytest.raises(ValueError, match=r"square.*xm\.rerun\(ds, monitors=\.\.\.\)"):
        xm.rerun(run)
    xr.testing.assert_identical(xm.rerun(run, monitors={"s": square}), run)
    p = params(a=("a", np.linspace(0.0, 0.1, 130_000)))  # more than 1 MB
    run = xm.Simulator(xm.HopfStep(), dt=0.1, tile=4096).run(0.1, p, monitors=["x"])
    assert len(run.attrs["configuration"]) < 10_000
    with pytest.raises(ValueError, match=r"hash only.*xm\.rerun\(ds, params=\.\.\.\)"):
        xm.rerun(run)
    xr.testing.assert_identical(xm.rerun(run, params=p), run)
    with pytest.raises(ValueError, match="not what the result was made from"):
        xm.rerun(run, params=p.assign_coords(a=p.a * 2))


def test_rerun_takes_functions_and_large_arrays_of_inputs_and_initial():
    def wave(t):
        return 0.1 * np.sin(t)

    run = node().run(1.0, inputs={"x": wave}, initial={"x": 0.1})
    with pytest.raises(ValueError, match=r"inputs has the function .*wave.*xm\.rerun\(ds, inputs=\.\.\.\)"):
        xm.rerun(run)
    xr.testing.assert_identical(xm.rerun(run, inputs={"x": wave}), run)
    with pytest.raises(ValueError, match=r"not what the result was made from: inputs\.x.*cos"):
        xm.rerun(run, inputs={"x": np.cos})
    start = {"x": xr.DataArray(np.linspace(0.0, 0.1, 130_000), dims="start")}
    run = xm.Simulator(xm.HopfStep(), dt=0.1, tile=4096).run(0.1, initial=start, monitors=["x"])
    with pytest.raises(ValueError, match=r"hash only.*xm\.rerun\(ds, initial=\.\.\.\)"):
        xm.rerun(run)
    xr.testing.assert_identical(xm.rerun(run, initial=start), run)
    with pytest.raises(ValueError, match=r"not what the result was made from: initial\.x"):
        xm.rerun(run, initial={"x": 2 * start["x"]})


_FACTOR = 1.0


def _scaled(factor):
    def inner(s):
        return factor * s.x

    return {
        "closure": lambda s: factor * s.x,
        "default": lambda s, by=factor: by * s.x,
        "global": lambda s: _FACTOR * s.x,
        "function of functions": lambda s: inner(s),
        "array": (lambda by: lambda s: by[0] * s.x)(np.array([factor])),
    }


@pytest.mark.parametrize("kind", _scaled(1.0))
def test_the_hash_of_a_function_sees_the_values_that_it_reads(kind, tmp_path, monkeypatch):
    # The text of both functions is the same: a store of the one must not be continued with the other.
    def store(factor):
        monkeypatch.setattr("tests.labelled.test_own_record._FACTOR", factor)
        return node().run_to_zarr(tmp_path / "s.zarr", 1.0, monitors={"m": _scaled(factor)[kind]}, initial={"x": 0.1})

    first = store(1.0)
    assert store(1.0).attrs == first.attrs
    with pytest.raises(ValueError, match=r"holds another run, which differs in .*monitors\.m\.source_sha256"):
        store(2.0)


def test_a_function_that_was_compiled_sees_a_global_that_changed(monkeypatch):
    function, amplitude = _scaled(1.0)["global"], xm.LinearStep(noise_x=xm.ItoNoise(sigma=0.1, amplitude=lambda s: _FACTOR + 0 * s.x))
    runs, stored, noisy_runs = [], [], []
    for factor in (1.0, 2.0):
        monkeypatch.setattr("tests.labelled.test_own_record._FACTOR", factor)
        runs.append(node().run(1.0, monitors={"m": function, "x": "x"}, initial={"x": 0.1}))
        stored.append(xm.observe(runs[-1][["x"]], {"m": function}))
        noisy_runs.append(xm.Simulator(amplitude, dt=0.1).run(0.1, seed=1, initial={"x": 0.0}).x)
    for first, second in (runs, stored):
        np.testing.assert_array_equal(second.m, 2 * first.m)
    np.testing.assert_array_equal(noisy_runs[1], 2 * noisy_runs[0])


def test_fixed_points_see_a_global_that_changed(monkeypatch):
    class Pulled(xm.NeuralMass):
        states: ClassVar = (xm.State("x", 0.1, "1"),)
        inputs: ClassVar = (xm.Input("x", "1/ms"),)
        rate: Any = xm.parameter(1.0, "1/ms", "rate")

        def drift(self, s, u):
            return dict(x=self.rate * (_FACTOR - s.x) + u.x)

    for factor in (1.0, 2.0):
        monkeypatch.setattr("tests.labelled.test_own_record._FACTOR", factor)
        assert float(xm.fixed_points(xm.Simulator(Pulled(), dt=0.1)).x.squeeze()) == pytest.approx(factor, abs=1e-12)


def test_the_hash_of_a_class_sees_the_values_that_it_reads():
    def made(factor):
        class Scaled(xm.NeuralMass):
            states: ClassVar = (xm.State("x", 0.1, "1"),)
            inputs: ClassVar = (xm.Input("x", "1/ms"),)
            gamma: Any = xm.parameter(-0.1, "1/ms", "rate")

            def drift(self, s, u):
                return dict(x=factor * self.gamma * s.x + u.x)

        return xm.Simulator(Scaled(), dt=0.1)

    run = made(1.0).run(1.0)
    xr.testing.assert_identical(xm.rerun(run, sim=made(1.0)), run)
    with pytest.raises(ValueError, match=r"not what the result was made from.*source_sha256"):
        xm.rerun(run, sim=made(2.0))


def test_many_labels_are_recorded_by_their_hash():
    labels = np.array([f"participant-{i:08d}" for i in range(60_000)])  # 1.4 MB as text
    for dtype in (labels.dtype, object):
        p = xr.Dataset({"a": ("subject", np.linspace(0.0, 0.1, labels.size))}, coords={"subject": labels.astype(dtype)})
        run = xm.Simulator(xm.HopfStep(), dt=0.1, tile=4096).run(0.1, p, monitors=["x"])
        assert len(run.attrs["configuration"]) < 1_000_000
        with pytest.raises(ValueError, match=r"shape \(60000,\), kept as a hash only.*xm\.rerun\(ds, params=\.\.\.\)"):
            xm.rerun(run)
        xr.testing.assert_identical(xm.rerun(run, params=p), run)
        other = p.assign_coords(subject=np.roll(labels, 1))
        with pytest.raises(ValueError, match=r"parameters\.subject: labels of shape \(60000,\) with sha256 \w+ -> labels of"):
            xm.rerun(run, params=other)


def test_many_seeds_are_those_of_the_result():
    run = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1, tile=4096).run(0.1, monitors=["x"], batch_size=130_000)
    xr.testing.assert_identical(xm.rerun(run), run)
    with pytest.raises(ValueError, match="no coordinate 'seed'"):
        xm.rerun(run.drop_vars("seed"))
    with pytest.raises(ValueError, match="not what the result was made from: seed"):
        xm.rerun(run.assign_coords(seed=run.seed + 1))


def test_the_record_holds_the_whole_configuration():
    run = network(SC).run(2.0, monitors=["x"], transient=1.0, sample_every=2, inputs={"y": 0.1}, initial=START)
    record = json.loads(run.attrs["configuration"])
    expected = dict(
        dt=0.1, method="heun", frozen_coupling=False, delays="nearest", tile=1, precision="float32", duration=2.0, transient=1.0
    )
    assert {k: record[k] for k in expected} == expected
    assert record["sample_every"] == 2
    assert set(record) >= {"system", "parameters", "monitors", "seed", "inputs", "initial"}
    assert len(run.attrs["config_hash"]) == 64
    versions = json.loads(run.attrs["versions"])
    assert {"xmass", "jax", "jaxlib", "numpy", "xarray", "python"} <= set(versions)


def test_the_hash_sees_every_argument():
    base = dict(duration=2.0, monitors=["x"], initial={"x": 0.1}, seed=1)
    changes = [dict(duration=2.1), dict(monitors=["y"]), dict(initial={"x": 0.2}), dict(seed=2), dict(transient=0.1), dict(sample_every=2)]
    runs = [noisy().run(**base)] + [noisy().run(**{**base, **c}) for c in changes]
    runs.append(noisy().run(params=params(a=0.1), **base))
    runs.append(xm.Simulator(noisy().system, dt=0.1, precision="float64").run(**base))
    hashes = [r.attrs["config_hash"] for r in runs]
    assert len(set(hashes)) == len(hashes)
    assert noisy().run(**base).attrs["config_hash"] == hashes[0]


def test_a_result_is_plain_numpy_and_survives_pickle():
    import pickle

    run = noisy().run(1.0, monitors=["x"], seed=1)
    assert all(type(v.data) is np.ndarray for v in run.variables.values())
    assert not any(isinstance(v.data, jax.Array) for v in run.variables.values())
    xr.testing.assert_identical(pickle.loads(pickle.dumps(run)), run)
