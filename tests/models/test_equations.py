"""A model from text is the model written by hand, whatever is done with it; text that is no arithmetic is refused where it is wrong."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from types import SimpleNamespace

import brainunit as u
import dask
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm

HOPF = "growth = a - beta*(x**2 + y**2); dx/dt = growth*x - w*y; dy/dt = growth*y + w*x"
UNITS = {"a": "1/ms", "beta": "1/ms", "w": "rad/ms"}


def hopf(**options):
    return xm.model_from_equations(HOPF, **{"parameters": {"a": 0.25, "w": 0.2, "beta": 1.0}, "units": UNITS, "name": "Hopf", **options})


def run(model, params=None, duration=20.0, *, dt=0.1, options=None, **arguments):
    return xm.Simulator(model, dt=dt, **(options or {})).run(duration, params, **arguments)


# ---------------------------------------------------------------------------------------------------------- the same model
@pytest.mark.long
@pytest.mark.parametrize("method", ["heun", "euler", "rk4", "exp_euler"])
def test_hopf_from_text_is_hopf_bit_for_bit(method):
    p = xr.Dataset({"a": ("a", [-0.2, 0.1, 0.4]), "noise_x.sigma": ("s", [0.0, 0.1])})
    arguments = dict(initial={"x": 0.1}, seed=3, options={"method": method})
    text, hand = (run(cls(noise_x=xm.OUProcess(sigma=0.1, tau=5.0)), p, **arguments) for cls in (hopf(), xm.HopfStep))
    for name in ("x", "y"):
        np.testing.assert_array_equal(text[name], hand[name])
        assert text[name].attrs["units"] == hand[name].attrs["units"]


def test_wilson_cowan_with_functions_inputs_and_definitions():
    model = xm.model_from_equations(
        """
        f_e = sigmoid(a_e*(w_ee*rE - w_ei*rI + e - theta_e)) - sigmoid(-a_e*theta_e)   # shifted, so that rest is rest
        f_i = sigmoid(a_i*(w_ie*rE - w_ii*rI + i - theta_i)) - sigmoid(-a_i*theta_i)
        drE/dt = (-rE + (1 - rE)*f_e)/tau_e
        drI/dt = (-rI + (1 - rI)*f_i)/tau_i
        """,
        parameters={
            **dict(w_ee=12.0, w_ei=4.0, w_ie=13.0, w_ii=11.0, a_e=1.2, a_i=1.0, theta_e=2.8, theta_i=4.0),
            **dict(tau_e=8.0 * u.ms, tau_i=xm.parameter(5.0, "ms", "inhibitory time constant")),
        },
        inputs={"e": "1", "i": "1"},
        name="Cowan",
    )
    drive = {"e": 1.2, "i": 0.1, "rE": 0.001}
    arguments = dict(duration=50.0, inputs=drive, initial={"rE": 0.3}, options={"precision": "float64"})
    text, hand = run(model(), **arguments), run(xm.WilsonCowanStep(tau_e=8.0, tau_i=5.0), **arguments)
    np.testing.assert_allclose(text.rE, hand.rE, rtol=1e-12)
    np.testing.assert_allclose(text.rI, hand.rI, rtol=1e-12)
    listed = xm.Simulator(model(), dt=0.1).parameters()
    assert listed.tau_i.attrs == {"units": "ms", "long_name": "inhibitory time constant"} and float(listed.tau_e) == 8.0


def test_montbrio_with_units_outputs_and_random_start():
    model = xm.model_from_equations(
        "dr/dt = (Delta/(pi*tau) + 2*r*v)/tau; dv/dt = (v**2 + eta + J*tau*r + I - (pi*tau*r)**2)/tau",
        states=[xm.State("r", xm.Uniform(0.0, 0.05), "1/ms", "rate"), xm.State("v", 0.0, "1", "potential")],
        parameters={"Delta": 1.0, "tau": 1.0, "eta": -5.0, "J": 15.0},
        inputs=[xm.Input("I", "1", "current")],
        outputs={"activity": "tau*r", "driven": "I + v"},
        units={"tau": "ms"},
        meanings={"activity": "spikes per tau"},
        name="Mpr",
    )
    assert [i.unit for i in model.inputs] == ["1/ms^2", "1/ms", "1"]
    assert [(o.name, o.uses_input) for o in model.outputs] == [("activity", False), ("driven", True)]
    seen = dict(monitors=["r", "v", "activity", "driven"], inputs={"I": 2.0}, initial={"v": 0.02}, seed=5, dt=0.01)
    text = run(model(), **seen)
    hand = run(xm.MontbrioPazoRoxinStep(), **{**seen, "monitors": ["r", "v"]})
    np.testing.assert_allclose(text.r, hand.r, rtol=1e-5)  # float32: another order of one product
    np.testing.assert_array_equal(text.activity, text.r)
    np.testing.assert_allclose(text.driven, text.v + 2.0, rtol=1e-6)
    assert text.activity.attrs["long_name"] == "spikes per tau" and text.r.attrs["units"] == "1/ms"


def test_seconds_conditions_bounds_and_delayed_states():
    model = xm.model_from_equations(
        "dx/dt = where(x > edge and not x > 2*edge, -1, piecewise(1, x <= 0.5*edge, 2, x < edge, -3))/tau - x_then/tau",
        states=[xm.State("x", 0.0, "1", "state", (0.0, 0.9))],
        parameters={"edge": 1.0, "tau": 2.0 * u.second, "late": 10.0 * u.ms},
        past=[xm.Past("x_then", "x", "late")],
        time_unit="s",
    )
    found = run(model(), duration=500.0, dt=1.0, options={"method": "euler", "precision": "float64"}).x.isel(region=0).values
    x, past = 0.0, [0.0] * 10
    for step in range(500):
        rate = (-1.0 if 1.0 < x <= 2.0 else 1.0 if x <= 0.5 else 2.0 if x < 1.0 else -3.0) / 2.0 - past[step] / 2.0
        past.append(x)
        x = min(max(x + 1e-3 * rate, 0.0), 0.9)
        assert found[step] == pytest.approx(x, abs=1e-12)


def test_every_function_is_the_one_of_its_name():
    for call, expected in FUNCTIONS.items():
        made = xm.model_from_equations(f"dx/dt = ({call})/tau", parameters={"tau": 1.0 * u.ms}, states={"x": 0.0})
        for x in (-0.7, 0.3, 1.4):
            assert float(rate(made(), x=x)["x"]) == pytest.approx(expected(x), rel=1e-12, abs=1e-15)


FUNCTIONS = {
    "exp(x)": np.exp,
    "log(x**2)": lambda x: np.log(x**2),
    "sqrt(x**2)": abs,
    "sin(x)": np.sin,
    "cos(x)": np.cos,
    "tan(x)": np.tan,
    "sinh(x)": np.sinh,
    "cosh(x)": np.cosh,
    "tanh(x)": np.tanh,
    "atan(x)": np.arctan,
    "abs(x)": abs,
    "sign(x)": np.sign,
    "max(x, 0, 1/2)": lambda x: max(x, 0.5),
    "min(x, 1)": lambda x: min(x, 1.0),
    "sigmoid(x)": lambda x: 1 / (1 + np.exp(-x)),
    "heaviside(x - 0.3)": lambda x: float(x > 0.3),
    "where(x >= 0.3 or x < -1, x, -x)": lambda x: x if x >= 0.3 else -x,
    "2*pi*x/4 - -x**2 + 2**x": lambda x: 2 * np.pi * x / 4 + x**2 + 2**x,
    "x**-2 + (x**2)**0.5 + (1 + x**2)**(x/2)": lambda x: x**-2 + abs(x) + (1 + x**2) ** (x / 2),
}


def rate(model, **states):
    with jax.enable_x64(True):
        s = SimpleNamespace(**{n: jnp.asarray(v, jnp.float64) for n, v in states.items()})
        return model.drift(s, SimpleNamespace(**{i.name: 0.0 for i in model.inputs}))


def test_gradients_are_those_of_the_class_written_by_hand():
    def end(cls):
        def loss(a, w):
            x, y = jnp.asarray(0.3), jnp.asarray(-0.1)
            for _ in range(5):
                made = rate(cls(a=a, w=w), x=x, y=y)
                x, y = x + 0.1 * made["x"], y + 0.1 * made["y"]
            return x**2 + y

        with jax.enable_x64(True):
            return jax.grad(loss, argnums=(0, 1))(0.2, 0.3)

    assert end(hopf()) == end(xm.HopfStep)


# ---------------------------------------------------------------------------------------------------------- everywhere
SC = xm.datasets.load_dataset("example_connectome")


def network(cls):
    return xm.Network(cls(noise_x=xm.WhiteNoise(sigma=0.02)), SC, speed=10.0, coupling=xm.DiffusiveCoupling(k=0.1, source="x", target="x"))


@pytest.mark.long
def test_in_a_network_in_a_store_and_made_again_from_its_record(tmp_path):
    sim = xm.Simulator(network(hopf()), dt=0.1)
    p = xr.Dataset({"a": ("a", [-0.1, 0.1])})
    options = dict(monitors=["x"], initial={"x": 0.1}, seed=1)
    done = sim.run_to_zarr(tmp_path / "text.zarr", 10.0, p, chunks={"a": 1}, **options)
    hand = xm.Simulator(network(xm.HopfStep), dt=0.1).run(10.0, p, **options)
    np.testing.assert_array_equal(done.x, hand.x)
    xr.testing.assert_equal(xm.rerun(done).x, done.x.load())
    again = sim.run_to_zarr(tmp_path / "text.zarr", 10.0, p, chunks={"a": 1}, **options)  # complete: nothing runs
    xr.testing.assert_equal(again.x.load(), done.x)
    other = hopf(parameters={"a": 0.25, "w": 0.2, "beta": 2.0})
    with pytest.raises(ValueError, match="beta"):
        xm.Simulator(network(other), dt=0.1).run_to_zarr(tmp_path / "text.zarr", 10.0, p, chunks={"a": 1}, **options)


@pytest.mark.long
def test_another_process_makes_it_again_from_the_store_alone(tmp_path):
    done = xm.Simulator(hopf()(a=0.1), dt=0.1).run_to_zarr(tmp_path / "text.zarr", 5.0, initial={"x": 0.1})
    code = "import sys, xarray as xr, xmass as xm\ndone = xr.open_zarr(sys.argv[1])\nprint(bool((xm.rerun(done).x == done.x).all()))\n"
    made = subprocess.run([sys.executable, "-c", code, str(tmp_path / "text.zarr")], capture_output=True, text=True, check=False)
    assert made.stdout.strip() == "True", made.stderr
    assert done.x.shape == (50, 1)


def test_a_record_holds_the_equations():
    first = run(hopf()(a=0.1), initial={"x": 0.1})
    assert "growth*x - w*y" in first.attrs["configuration"]
    xr.testing.assert_identical(xm.rerun(first), first)


def test_pickles_and_copies_are_the_same_model():
    model = hopf()(a=xr.DataArray([0.1, 0.2], dims="a"), noise_y=xm.WhiteNoise(sigma=0.1))
    for made in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert type(made) is type(model)
        xr.testing.assert_identical(made.a, model.a)
        assert made.noise_y == model.noise_y and made.w == model.w


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")  # dask's own pool of processes
def test_it_runs_in_other_processes():
    sim, p = xm.Simulator(hopf()(), dt=0.1), xr.Dataset({"a": ("a", [0.1, 0.2])})
    lazy = sim.run(5.0, p, initial={"x": 0.1}, chunks={"a": 1})
    with dask.config.set({"multiprocessing.context": "spawn"}):
        made = lazy.compute(scheduler="processes", num_workers=1)
    xr.testing.assert_equal(made, sim.run(5.0, p, initial={"x": 0.1}))


def test_equal_texts_make_one_class_and_a_class_says_what_it_is():
    assert hopf() is hopf() and hopf(name="Other") is not hopf()
    cls = hopf(category="phenomenological", use_case="a test", meanings={"w": "angular frequency"})
    assert (cls.__name__, cls.category, cls.use_case) == ("Hopf", "phenomenological", "a test")
    assert issubclass(cls, xm.NeuralMass) and cls.__bases__ == (xm.NeuralMass,)
    assert r"\dot{x} &= growth x - w y" in cls.__doc__ and "angular frequency [rad/ms]" in cls.__doc__
    assert "HopfStep" in {m.name for m in xm.list_models()} and "Hopf" not in {m.name for m in xm.list_models()}


def test_its_symbols_are_those_of_the_text():
    import sympy

    made = hopf().symbolic()
    x, y, a, beta = sympy.symbols("x y a beta", real=True)
    assert list(made) == ["x", "y", "growth"]
    assert sympy.simplify(made["growth"] - (a - beta * (x**2 + y**2))) == 0


def test_fixed_points_of_a_text():
    model = xm.model_from_equations("dx/dt = (a*x - x**3)/tau", parameters={"a": 1.0, "tau": 2.0 * u.ms}, states={"x": 0.5})
    found = xm.fixed_points(xm.Simulator(model(), dt=0.1))
    np.testing.assert_allclose(found.x.isel(region=0), [-1.0, 0.0, 1.0], atol=1e-12)
    crossing = xm.critical(xm.Simulator(model(), dt=0.1), "a", bounds=(-1.0, 1.0), near={"x": 0.0})
    assert float(crossing.a) == pytest.approx(0.0, abs=1e-9)


# ---------------------------------------------------------------------------------------------------------- refused
def refuse(text, message, **options):
    with pytest.raises(ValueError, match=message) as said:
        xm.model_from_equations(text, **options)
    return str(said.value)


HOSTILE = [
    "__import__('os').system('touch hacked')",
    "().__class__.__bases__[0].__subclasses__()",
    "x.__class__",
    "exec('import os')",
    "eval('1')",
    "open('hacked', 'w')",
    "getattr(x, 'a')",
    "(lambda: 0)()",
    "[x for x in (1, 2)]",
    "{x: 1}",
    "{x}",
    "x[0]",
    "f'{x}'",
    "'text'",
    "b'x'",
    "(x := 3)",
    "x if x else y",
    "await x",
    "(yield x)",
    "exp(*[x])",
    "exp(x=1)",
    "exp.__call__(x)",
    "exp",
    "_x",
    "__builtins__",
    "x @ x",
    "x // 2",
    "x % 2",
    "x << 2",
    "x | 1",
    "~x",
    "x is x",
    "x in x",
    "1j*x",
    "True",
    "None",
    "...",
    "x; import os",
    "x\\\n",
    "x\x00",
    "(x, 1)",
    "print(x)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_arithmetic_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refuse(f"dx/dt = {text}", ".")
    assert "line 1, column" in said and "^" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9**9*x",
        "10**400*x",
        "1e400*x",
        "1/0 + x",
        "(-1)**0.5*x",
        "0**-1*x",
        "(" * 300 + "x" + ")" * 300,
        "-" * 5000 + "x",
        "x" * 20_000,
    ],
    ids=lambda t: t[:12],
)
def test_numbers_and_nests_that_cannot_be_worked_out_are_refused_at_once(text):
    assert len(refuse(f"dx/dt = {text}", ".")) < 20_500


def test_definitions_that_double_are_worked_out_once():
    lines = ["y0 = x/2", *(f"y{k + 1} = (y{k} + y{k})/2" for k in range(60)), "dx/dt = -y60/tau"]
    model = xm.model_from_equations("\n".join(lines), parameters={"tau": 1.0 * u.ms})
    assert float(rate(model(), x=2.0)["x"]) == -1.0


def test_a_long_sum_is_read():
    model = xm.model_from_equations(f"dx/dt = -({' + '.join(['x'] * 95)})/tau", parameters={"tau": 95.0 * u.ms})
    assert float(rate(model(), x=2.0)["x"]) == pytest.approx(-2.0, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("dx/dt = -x ^ 2", 1, 11, r"a power is written x\*\*2"),
        ("# first\ndx/dt = x\ndy/dt = tann(y)", 3, 9, r"did you mean tan\?"),
        ("dx/dt = x; dy/dt = (y", 1, 20, "not arithmetic"),
        ("dx/dt = x < 1", 1, 9, "a comparison stands only in where"),
        ("dx/dt = where(x, 1, 2)", 1, 15, "a condition is needed here"),
        ("dx/dt = where(0 < x < 1, 1, 2)", 1, 15, "join two with and, or"),
        ("dx/dt = exp()", 1, 9, "exp takes 1 arguments"),
        ("dx/dt = piecewise(1, x < 0)", 1, 9, "piecewise takes"),
        ("dx/dt =", 1, 8, "an expression is missing"),
        ("dx/dt == 1", 1, 1, "a line is 'dx/dt = ...'"),
        ("dx/dt = x; 3 = y", 1, 12, "a line is 'dx/dt = ...'"),
        ("dx/dt = \u03b1*x", 1, 9, "plain letters"),
    ],
)
def test_mistakes_are_marked_where_they_are(text, line, column, said):
    message = refuse(text, said).split("\n")
    assert message[0].startswith(f"line {line}, column {column}:")
    assert message[1] == f"  {text.split(chr(10))[line - 1]}" and message[2] == f"  {' ' * (column - 1)}^"


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("dx/dt = -x/tau", {}, "reads 'tau'.*parameters={'tau': 1.0}"),
        ("dx/dt = -x/taau", {"parameters": {"tau": 1.0}}, "did you mean 'tau'|Did you mean 'tau'"),
        ("dx/dt = sin(t)*x", {}, "do not read the time"),
        ("dx/dt = b*x; b = 2", {}, "reads 'b'"),
        ("b = b + 1; dx/dt = b*x", {}, "reads 'b'"),
        ("dx/dt = x", {"parameters": {"k": 1.0}}, r"no equation reads \['k'\]"),
        ("k = x; dx/dt = x", {}, r"no equation reads \['k'\]"),
        ("dx/dt = x; dx/dt = x", {}, "given twice"),
        ("k = x; k = x; dx/dt = k", {}, "given twice"),
        ("dx/dt = x", {"states": {"x": 0, "y": 0}}, r"states \['y'\] have no equation"),
        ("dx/dt = x; dy/dt = x", {"states": {"x": 0}}, "y is not in states"),
        ("k = 1", {}, "gives no derivative"),
        ("", {}, "has no line"),
        ("dx/dt = x*k", {"inputs": {"x": "1"}}, "Every state has an input of its name already"),
        ("dx/dt = x*k", {"parameters": {"k": 1.0}, "inputs": {"k": "1"}}, "stands for two things"),
        ("dx/dt = lambda_*x", {"parameters": {"lambda": 1.0}}, "'lambda' is a word of Python"),
        ("dx/dt = x*exp", {"parameters": {"exp": 1.0}}, "exp is a function"),
        ("dx/dt = x*drift", {"parameters": {"drift": 1.0}}, "a name that every model uses"),
        ("dx/dt = x*noise_x", {"parameters": {"noise_x": 1.0}}, "a name that every model uses"),
        ("dx/dt = x", {"name": "a model"}, "'a model' is no name"),
        ("dx/dt = x", {"time_unit": "h"}, "time_unit='h'"),
        ("dx/dt = x", {"states": {"x": np.nan}}, "x'] is nan"),
        ("dx/dt = x", {"past": [xm.Past("then", "y", "d")]}, "needs the name of a state and of a parameter"),
    ],
)
def test_names_that_do_not_fit_are_explained(text, options, said):
    refuse(text, said, **options)


def test_units_that_do_not_match_name_the_equation():
    said = refuse(
        "dx/dt = a*x - x**3; dy/dt = -y/tau",
        "cannot be subtracted",
        parameters={"a": 1.0, "tau": 1.0},
        units={"a": "1/ms", "tau": "ms"},
        name="My",
    )
    assert said.startswith("My, dx/dt = a*x - x**3: 1/ms and no unit (1)") and ".py" not in said
    said = refuse("dx/dt = -x/tau", "needs 1/ms", parameters={"tau": 1.0}, units={"tau": "s"})
    assert "dx/dt = -x/tau returns x in 1/s" in said
    refuse("dv/dt = exp(v)/tau", "exp of something in mV", parameters={"tau": 1.0 * u.ms}, units={"v": "mV"})
    refuse(
        "dv/dt = -v/tau",
        r"outputs\['o'\] = v\*2 returns o in mV, needs V",
        parameters={"tau": 1.0 * u.ms},
        outputs={"o": "v*2"},
        units={"v": "mV", "o": "V"},
    )
    refuse("dx/dt = -x/tau", "came in mV, needs ms", parameters={"tau": 1.0 * u.mV}, units={"tau": "ms"})


def test_arguments_of_another_kind_are_named():
    with pytest.raises(TypeError, match="equations is a int, needs text"):
        xm.model_from_equations(3)
    with pytest.raises(TypeError, match="parameters is a list"):
        xm.model_from_equations("dx/dt = x", parameters=["a"])
    with pytest.raises(TypeError, match="states is 'x'"):
        xm.model_from_equations("dx/dt = x", states="x")
    with pytest.raises(TypeError, match="inputs is 'c'"):
        xm.model_from_equations("dx/dt = x", inputs="c")
    with pytest.raises(TypeError, match=r"outputs\['o'\] is a float"):
        xm.model_from_equations("dx/dt = x", outputs={"o": 1.0})
    with pytest.raises(KeyError, match="units has 'k', which is not declared"):
        xm.model_from_equations("dx/dt = x", units={"k": "ms"})
