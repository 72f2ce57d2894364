"""Requests and classes that a user can get wrong: one case each, refused before anything is compiled, by a message that helps.

A message says what came, what is needed and the call that fixes it: the fragments below are those three, as far as they apply.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import xmass as xm
from tests.counting import compilations
from tests.labelled.bad import bold, cases, network, node, noisy, params, refused

# ---- time
TIME = {
    "duration is no multiple": (lambda: node().run(1.05), ValueError, "duration=1.05 ms is not a multiple of dt=0.1 ms", "nearest"),
    "duration below one step": (lambda: node().run(0.03), ValueError, "duration=0.03 ms is not a multiple", "duration=0.1"),
    "negative duration": (lambda: node().run(-1.0), ValueError, "duration is -1 ms", "at least 0"),
    "no duration": (lambda: node().run(0.0), ValueError, "duration is 0 ms", "at least one step"),
    "infinite duration": (lambda: node().run(np.inf), ValueError, "duration is inf", "finite"),
    "duration in mV": (lambda: node().run(1 * u.mV), ValueError, "duration came in mV", "1.5 * u.ms"),
    "too many steps": (lambda: node().run(1e12), ValueError, "at most 2^31 steps", "larger dt"),
    "transient is no multiple": (lambda: node().run(1.0, transient=0.25), ValueError, "transient=0.25 ms is not a multiple of dt=0.1 ms"),
    "transient is all": (lambda: node().run(1.0, transient=1.0), ValueError, "transient=1 ms leaves nothing of duration=1 ms", "includes"),
    "transient is more": (lambda: node().run(1.0, transient=2.0), ValueError, "transient=2 ms leaves nothing of duration=1 ms"),
    "negative transient": (lambda: node().run(1.0, transient=-1.0), ValueError, "transient is -1 ms"),
    "sample_every is no multiple": (lambda: node().run(1.0, sample_every=0.25), ValueError, "sample_every=0.25 ms is not a multiple"),
    "sample_every=0": (lambda: node().run(1.0, sample_every=0), ValueError, "sample_every=0", "at least 1 step"),
    "sample_every=0 ms": (lambda: node().run(1.0, sample_every=0.0), ValueError, "sample_every is 0 ms", "leave it out"),
    "sample_every is a bool": (lambda: node().run(1.0, sample_every=True), TypeError, "sample_every is bool True"),
    "sample_every beyond the end": (
        lambda: node().run(1.0, sample_every=5.0),
        ValueError,
        "monitor 'x' gives a value every 5 ms, and none falls",
        "duration=5",
    ),
    "TR is no multiple": (lambda: node().run(2.0, monitors={"b": bold(tr=0.75)}), ValueError, "monitor 'b': tr=0.75 ms", "Take 0.8 ms"),
    "TR below dt": (lambda: node().run(2.0, monitors={"b": bold(tr=0.05)}), ValueError, "monitor 'b': tr=0.05 ms", "Take 0.1 ms"),
    "dt above TR": (lambda: node(dt=10.0).run(100.0, monitors={"b": bold()}), ValueError, "monitor 'b': tr=1 ms", "period of 10 ms"),
    "TR beyond the end": (
        lambda: node().run(2.0, monitors={"b": bold(tr=720.0)}),
        ValueError,
        "monitor 'b' gives a value every 720 ms",
        "duration=720",
    ),
    "TR=0": (lambda: node().run(2.0, monitors={"b": bold(tr=0.0)}), ValueError, "bold.tr is 0 ms", "positive"),
    "TR in mV": (lambda: node().run(2.0, monitors={"b": bold(tr=1 * u.mV)}), ValueError, "bold.tr came in mV", "ms"),
    "dt=0": (lambda: node(dt=0.0), ValueError, "dt=0 ms", "positive", "dt=0.1 * u.ms"),
    "dt<0": (lambda: node(dt=-0.1), ValueError, "dt=-0.1 ms", "positive"),
    "dt is NaN": (lambda: node(dt=np.nan), ValueError, "dt is nan", "finite"),
    "dt in mV": (lambda: node(dt=1 * u.mV), ValueError, "dt came in mV", "1.5 * u.ms"),
    "dt in Hz": (lambda: node(dt=1 * u.Hz), ValueError, "dt came in Hz", "1.5 * u.ms"),
    "dt is text": (lambda: node(dt="0.1"), TypeError, "dt is str '0.1'", "needs a number"),
    "dt is None": (lambda: node(dt=None), TypeError, "dt is NoneType None", "needs a number"),
    "several dt": (lambda: node(dt=np.array([0.1, 0.2])), ValueError, "dt has shape (2,)", "one number"),
}


@cases(TIME)
def test_time(call, error, fragments):
    refused(call, error, fragments)


# ---- monitors
def watch(monitors, **arguments):
    return lambda: node(regions=3).run(2.0, monitors=monitors, **arguments)


MONITORS = {
    "unknown": (watch(["z"]), KeyError, "monitor 'z' observes 'z', which is unknown", "it has 'x', 'y'"),
    "misspelt": (lambda: xm.Simulator(xm.WongWangExcInhStep(), dt=1.0).run(2.0, monitors=["Se"]), KeyError, "did you mean 'S_e'?"),
    "unknown in an observation": (watch({"b": bold(of="zz")}), KeyError, "monitor 'b' observes 'zz'", "it has 'x', 'y'"),
    "bare text": (watch("x"), TypeError, "monitors='x'", "monitors=['x']"),
    "bare observation": (watch(bold()), TypeError, "needs a list of names or a mapping", "monitors={'bold':"),
    "a number": (watch(3), TypeError, "monitors is 3", "monitors=['x']"),
    "list of observations": (watch([bold()]), TypeError, "which has no name", "monitors={'name': ...}"),
    "empty list": (watch([]), ValueError, "monitors is empty", "at least one state"),
    "empty mapping": (watch({}), ValueError, "monitors is empty", "at least one state"),
    "twice": (watch(["x", "x"]), ValueError, "monitors names ['x'] twice"),
    "None": (watch({"m": None}), TypeError, "monitor 'm' is None", "needs a name, an observation or a function"),
    "name is no text": (watch({3: "x"}), ValueError, "called 3", "needs a name that is text"),
    "name with a slash": (watch({"a/b": "x"}), ValueError, "called 'a/b'", "no '/'"),
    "called as a state": (watch({"x": "y"}), ValueError, "called 'x', which is taken", "my_x"),
    "called time": (watch({"time": "y"}), ValueError, "called 'time', which is taken"),
    "called region": (watch({"region": "y"}), ValueError, "called 'region', which is taken"),
    "called seed": (watch({"seed": "y"}), ValueError, "called 'seed', which is taken"),
    "called diverged": (watch({"diverged": "y"}), ValueError, "called 'diverged', which is taken"),
    "called as a parameter": (watch({"a": "y"}), ValueError, "called 'a', which is a parameter"),
    "called as a noise": (lambda: noisy().run(2.0, monitors={"noise_x": "y"}), ValueError, "called 'noise_x', which is a parameter, noise"),
    "called as a coupling": (lambda: network().run(2.0, monitors={"coupling": "y"}), ValueError, "called 'coupling', which is a parameter"),
    "called as a dim": (watch({"p": "y"}, params=params(a=("p", [0.1]))), ValueError, "monitor 'p' would be confused with the dim 'p'"),
    "called as a label": (
        watch({"lab": "y"}, params=xr.Dataset({"a": ("p", [0.1])}, {"lab": ("p", ["one"])})),
        ValueError,
        "monitor 'lab' would be confused with the coordinate 'lab'",
    ),
    "its clock is a dim": (
        watch({"b": bold()}, params=params(a=("b_time", [0.1]))),
        ValueError,
        "monitor 'b' would be confused with the dim 'b_time'",
    ),
    "called as a clock": (watch({"b": bold(), "b_time": "x"}), ValueError, "called 'b_time', which is the time dimension of 'b'"),
    "one name, two sets of parameters": (
        watch({"b": bold(), "c": bold(tau=2.0)}),
        ValueError,
        "two observations with different parameters are called 'bold'",
        "name='bold_2'",
    ),
    "an observation called as a noise": (
        lambda: noisy().run(2.0, monitors={"b": bold(name="noise_x")}),
        ValueError,
        "an observation has name='noise_x'",
        "Give it another",
    ),
    "restart of two with one name": (
        watch({"b": bold(), "c": bold(of="y")}, restart=True),
        ValueError,
        "several are called 'bold'",
        "name=",
    ),
    "FC of an FC": (
        watch({"f": xm.FunctionalConnectivity(of=xm.FunctionalConnectivity(of="x"))}),
        ValueError,
        "monitor 'f' observes 'fc', which is one value per run",
        "xm.BOLDSignal",
    ),
    "observation of a number": (watch({"f": bold(of=3)}), TypeError, "monitor 'f' is 3", "needs a name"),
    "function that selects regions": (watch({"s": lambda s: s.x[:2]}), ValueError, "monitor 's' returns shape (2,), needs (3,)"),
    "function that sums": (watch({"s": lambda s: s.x.sum()}), ValueError, "monitor 's' returns shape (), needs (3,)", "each region"),
    "function of a run axis": (watch({"s": lambda s: s.x[:, 0]}), ValueError, "monitor 's' cannot be evaluated", "1-dimensional"),
    "function without result": (watch({"s": lambda s: None}), TypeError, "monitor 's' returns a NoneType", "one number for each region"),
    "function of an unknown state": (watch({"s": lambda s: s.q}), ValueError, "monitor 's' uses 'q', which does not exist", "'x', 'y'"),
    "function with numpy": (watch({"s": lambda s: np.sqrt(s.x)}), TypeError, "monitor 's'", "np.sqrt(s.x)", "Use jax.numpy"),
    "function with if": (watch({"s": lambda s: s.x if s.x[0] > 0 else s.y}), TypeError, "monitor 's'", "jnp.where(condition, a, b)"),
    "complex function": (watch({"s": lambda s: jax.lax.complex(s.x, s.y)}), TypeError, "complex64", "jnp.real or jnp.abs"),
}


@cases(MONITORS)
def test_monitors(call, error, fragments):
    refused(call, error, fragments)


# ---- simulator
SIMULATOR = {
    "method": (lambda: node(method="rk45"), ValueError, "method='rk45'", "'heun', 'euler', 'rk4', 'exp_euler'"),
    "precision": (lambda: node(precision="float16"), ValueError, "precision='float16'", "'float32', 'float64'"),
    "tile=0": (lambda: node(tile=0), ValueError, "tile=0", "positive whole number"),
    "tile=1.5": (lambda: node(tile=1.5), ValueError, "tile=1.5", "positive whole number"),
    "tile=True": (lambda: node(tile=True), ValueError, "tile=True", "positive whole number"),
    "frozen_coupling is text": (lambda: node(frozen_coupling="no"), TypeError, "frozen_coupling='no'", "True or False"),
    "restart is text": (lambda: node().run(1.0, restart="yes"), TypeError, "restart='yes'", "True or False"),
    "a class": (lambda: xm.Simulator(xm.HopfStep, dt=0.1), TypeError, "needs a model such as xm.HopfStep()"),
    "white noise inside the equation": (
        lambda: xm.Simulator(xm.WongWangExcInhStep(noise_coupling=xm.WhiteNoise(sigma=0.1)), dt=1.0),
        ValueError,
        "noise_coupling is white noise on the input 'coupling', which is inside the equation",
        "xm.OUProcess",
    ),
    "noise that is a number": (lambda: xm.Simulator(xm.HopfStep(noise_x=0.1), dt=0.1), TypeError, "noise_x is a float", "xm.WhiteNoise"),
}


@cases(SIMULATOR)
def test_simulator(call, error, fragments):
    refused(call, error, fragments)


# ---- a user's own classes
def leak(drift, name="Leak", **change):
    """A model class of two states, v [mV] and n, with the given drift."""
    body = dict(
        __module__=__name__,
        __annotations__=dict(states=ClassVar, inputs=ClassVar, outputs=ClassVar, tau=float),
        states=(xm.State("v", 0.0, "mV"), xm.State("n", 0.0, "1")),
        inputs=(xm.Input("v", "mV/ms"), xm.Input("n", "1/ms")),
        tau=xm.parameter(10.0, "ms", "time constant"),
        drift=drift,
    )
    return type(xm.NeuralMass)(name, (xm.NeuralMass,), {**body, **change})


def build(*drift, **change):
    return lambda: xm.Simulator(leak(*drift, **change)(), dt=0.1)


def right(self, s, u):
    return dict(v=-s.v / self.tau + u.v, n=-s.n / self.tau + u.n)


class NoPost(xm.Coupling):
    source: str = "x"
    target: str = "x"


class Mixes(xm.Coupling):
    source: str = "x"
    target: str = "x"

    def post(self, total, own, strength):
        return total.sum()


def rates(v, n=lambda self, s, u: -s.n / self.tau + u.n):
    return lambda self, s, u: dict(v=v(self, s, u), n=n(self, s, u))


MODELS = {
    "units": (build(rates(lambda self, s, u: -s.v + u.v)), ValueError, "Leak.drift", "mV and mV/ms cannot be added"),
    "no derivative of a state": (
        build(lambda self, s, u: dict(v=-s.v / self.tau + u.v)),
        ValueError,
        "one for ['n'] too",
        "return dict(",
    ),
    "a derivative of no state": (
        build(lambda self, s, u: dict(v=-s.v / self.tau, n=-s.n / self.tau, q=s.n)),
        ValueError,
        "['q'], which are no states",
    ),
    "nothing returned": (build(lambda self, s, u: None), TypeError, "Leak.drift returns a NoneType", "return dict(v=..., n=...)"),
    "a tuple returned": (build(lambda self, s, u: (s.v, s.n)), TypeError, "Leak.drift returns a tuple", "return dict(v=..., n=...)"),
    "regions selected": (build(rates(lambda self, s, u: (-s.v / self.tau)[:1])), ValueError, "for 'v' shape (1, 2)", "the same shape"),
    "regions summed": (build(rates(lambda self, s, u: jnp.sum(s.v / self.tau))), ValueError, "for 'v' shape ()", "the same shape"),
    "stacked": (build(rates(lambda self, s, u: jnp.stack([s.v, s.v]) / self.tau)), ValueError, "for 'v' shape (2, 3, 2)", "the same shape"),
    "unknown state": (build(rates(lambda self, s, u: -s.V / self.tau)), ValueError, "Leak.drift uses 'V', which does not exist", "'v'"),
    "unknown parameter": (build(rates(lambda self, s, u: -s.v / self.taux)), ValueError, "uses 'taux'", "did you mean 'tau'?"),
    "numpy": (build(rates(lambda self, s, u: np.tanh(s.v))), TypeError, "Leak.drift", "np.tanh(s.v)", "Use jax.numpy"),
    "if": (build(rates(lambda self, s, u: s.v if s.v > 0 else -s.v)), TypeError, "Leak.drift", "jnp.where(condition, a, b)"),
    "no drift": (build(xm.NeuralMass.drift), TypeError, "Leak does not define its equation", "def drift(self, s, u)"),
    "no states": (build(right, states=()), ValueError, "Leak declares no states", "State('x'"),
    "no direct input": (
        build(right, inputs=(xm.Input("v", "mV/ms"),)),
        ValueError,
        "no direct input for the states ['n']",
        "add Input('n'",
    ),
    "a name twice": (build(right, states=(xm.State("tau", 0.0, "1"),), inputs=(xm.Input("tau", "1/ms"),)), ValueError, "['tau'] twice"),
    "output without method": (
        build(right, outputs=(xm.Output("rate", "Hz"),)),
        ValueError,
        "the output 'rate' without a method",
        "def rate(",
    ),
    "unit that is none": (
        build(right, states=(xm.State("v", 0.0, "millivlt"), xm.State("n", 0.0, "1"))),
        ValueError,
        "'millivlt' cannot be read",
    ),
    "coupling without post": (
        lambda: network(coupling=NoPost()),
        TypeError,
        "coupling is a NoPost",
        "def post(self, total, own, strength)",
    ),
    "coupling that mixes runs": (lambda: network(coupling=Mixes()), ValueError, "Mixes.post returns shape ()", "the same shape"),
}


@cases(MODELS)
def test_a_users_own_classes(call, error, fragments):
    refused(call, error, fragments)


def test_a_right_model_of_ones_own_is_accepted():
    assert dict(xm.Simulator(leak(right)(), dt=0.1).run(1.0).sizes) == {"time": 10, "region": 1}


# ---- observe, rerun
def stored():
    return xr.Dataset(
        {"x": (("time", "region"), np.zeros((20, 2)))}, {"time": ("time", np.arange(1, 21) * 0.5, {"units": "ms", "axis": "T"})}
    )


STORED = {
    "no Dataset": (lambda: xm.observe(stored().x, {"m": bold()}), TypeError, "observe needs a Dataset", "to_dataset"),
    "no observation": (lambda: xm.observe(stored(), bold()), TypeError, "needs a list of names or a mapping", "xm.BOLDSignal"),
    "unknown variable": (lambda: xm.observe(stored(), {"m": bold(of="z")}), KeyError, "monitor 'm' observes 'z'", "it has 'x'"),
    "NaN": (lambda: xm.observe(stored() * np.nan, {"m": bold()}), ValueError, "x holds NaN"),
    "uneven times": (lambda: xm.observe(stored().isel(time=[0, 1, 3]), {"m": bold()}), ValueError, "not uniform", "ds.interp("),
    "no record": (lambda: xm.rerun(stored()), ValueError, "no 'configuration' in its attrs"),
}


@cases(STORED)
def test_stored_trajectories(call, error, fragments):
    refused(call, error, fragments)


def test_counting_sees_a_compilation():
    # Without this the count of zero above would prove nothing.
    with compilations() as count:
        jax.jit(lambda x: SimpleNamespace(y=x * 3.25).y)(jnp.ones(7))
    assert count.number > 0
