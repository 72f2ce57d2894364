"""The dimension check accepts the equations that are right, and finds each way to be wrong, with both units and the line."""

from __future__ import annotations

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xmass.labelled.dimensions import check_dimensions


def check(function, arguments, result):
    check_dimensions(function, arguments, {"x": result}, where="Toy.drift")


# ---- whole models -----------------------------------------------------------------------------------------------------------------


def hopf(p, s, u):
    growth = p["a"] - p["beta"] * (s["x"] ** 2 + s["y"] ** 2)
    return {"x": growth * s["x"] - p["w"] * s["y"] + u["x"], "y": growth * s["y"] + p["w"] * s["x"] + u["y"]}


HOPF = ({"a": "1/ms", "beta": "1/ms", "w": "rad/ms"}, {"x": "1", "y": "1"}, {"x": "1/ms", "y": "1/ms"})


def test_a_right_model_passes_fast():
    check_dimensions(hopf, HOPF, {"x": "1/ms", "y": "1/ms"}, where="HopfStep.drift")
    times = []
    for _ in range(3):
        start = time.perf_counter()
        check_dimensions(hopf, HOPF, {"x": "1/ms", "y": "1/ms"}, where="HopfStep.drift")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.25  # 2-10 ms; the margin is for a busy machine


@pytest.mark.parametrize(
    ("argument", "name", "unit", "message"),
    [
        (0, "a", "1/s", r"1/s and 1/ms cannot be subtracted: the same dimension, but 1/s is 0.001 times 1/ms"),
        (0, "beta", "mV", r"1/ms and mV cannot be subtracted: the dimensions differ"),
        (0, "w", "1", r"1/ms and no unit \(1\) cannot be subtracted"),
        (1, "y", "mV", r"no unit \(1\) and mV\^2 cannot be added"),
        (2, "x", "1", r"1/ms and no unit \(1\) cannot be added"),
    ],
)
def test_one_wrong_declaration_of_a_model_is_found_with_its_line(argument, name, unit, message):
    units = tuple({**part, name: unit} if i == argument else part for i, part in enumerate(HOPF))
    with pytest.raises(ValueError, match=rf"HopfStep\.drift, line \d+ of test_dimensions\.py \(.*growth.*\): {message}"):
        check_dimensions(hopf, units, {"x": "1/ms", "y": "1/ms"}, where="HopfStep.drift")


def test_a_result_in_another_unit_names_the_state():
    with pytest.raises(ValueError, match=r"HopfStep\.drift returns y in 1/ms, needs mV/ms: the dimensions differ"):
        check_dimensions(hopf, HOPF, {"x": "1/ms", "y": "mV/ms"}, where="HopfStep.drift")
    with pytest.raises(ValueError, match=r"returns x in 1/ms, needs 1/s: the same dimension, but 1/ms is 1000 times 1/s"):
        check_dimensions(hopf, HOPF, {"x": "1/s", "y": "1/ms"}, where="HopfStep.drift")


def rate(current, a, b, d):
    """y / (1 - exp(-d y)), with its limit 1/d at y = 0."""
    y = a * current - b
    z = d * y
    small = jnp.abs(z) < 1e-3
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, (1 + z / 2 + z**2 / 12) / d, y / -jnp.expm1(-safe))


def wong_wang(p, s, u):
    current = p["W"] * p["I_o"] + p["w_p"] * p["J_N"] * s["S"] + p["J_N"] * u["coupling"] - p["J_i"] * s["S_i"]
    h = rate(current, p["a"], p["b"], p["d"])
    return {"S": -s["S"] / p["tau"] + (1 - s["S"]) * p["gamma"] * h + u["S"]}


WONG_WANG = (
    {"a": "Hz/nA", "b": "Hz", "d": "s", "gamma": "1/(ms*Hz)", "tau": "ms", "w_p": "1", "W": "1", "I_o": "nA", "J_N": "nA", "J_i": "nA"},
    {"S": "1", "S_i": "1"},
    {"coupling": "1", "S": "1/ms"},
)


def test_a_wong_wang_drift_passes():
    check_dimensions(wong_wang, WONG_WANG, {"S": "1/ms"}, where="WongWang.drift")


@pytest.mark.parametrize(
    ("name", "unit", "message"),
    [
        ("a", "Hz/pA", r"Hz\*nA/pA and Hz cannot be subtracted: the same dimension, but .* is 1000 times Hz"),
        ("b", "kHz", "Hz and kHz cannot be subtracted"),
        ("d", "ms", r"ms\*Hz and no unit \(1\) cannot be compared: the same dimension, but ms\*Hz is 0.001 times 1"),
        ("gamma", "1", r"1/ms and Hz cannot be added: the same dimension, but 1/ms is 1000 times Hz"),
        ("gamma", "1/ms", "1/ms and Hz/ms cannot be added: the dimensions differ"),
        ("tau", "s", "1/s and 1/ms cannot be added"),
        ("J_N", "1", "nA and no unit"),
    ],
)
def test_a_wong_wang_drift_with_one_wrong_unit_is_refused(name, unit, message):
    with pytest.raises(ValueError, match=message):
        check_dimensions(wong_wang, ({**WONG_WANG[0], name: unit}, *WONG_WANG[1:]), {"S": "1/ms"}, where="WongWang.drift")


class Leak(eqx.Module):
    tau: jax.Array
    reversal: jax.Array
    steps: int = eqx.field(static=True)

    def drift(self, s):
        return {"x": (self.reversal - s["x"]) / self.tau}


def test_an_equinox_module_of_unit_strings_is_an_argument():
    check(lambda model, s: model.drift(s), (Leak("ms", "mV", 3), {"x": "mV"}), "mV/ms")
    with pytest.raises(ValueError, match="nA and mV cannot be subtracted"):
        check(lambda model, s: model.drift(s), (Leak("ms", "nA", 3), {"x": "mV"}), "mV/ms")


def test_a_dict_is_keyword_arguments():
    check(lambda tau, x: {"x": x / tau}, {"x": "mV", "tau": "ms"}, "mV/ms")


# ---- one rule each ----------------------------------------------------------------------------------------------------------------

RIGHT = {
    "sum": (lambda a, b: a + b - a, ("mV", "mV"), "mV"),
    "the same unit under another name": (lambda a, b: a + b, ("1/ms", "kHz"), "1/ms"),
    "an angle is a number": (lambda a, b: jnp.sin(a) + b, ("rad", "1"), "1"),
    "product and quotient": (lambda a, b: a * b / a / a, ("mV", "ms"), "ms/mV"),
    "cancelled scale": (lambda a, b: a * b, ("1/(ms*Hz)", "Hz"), "1/ms"),
    "powers": (lambda a: a**3 / a**2.0 * a**-1 * jnp.square(a), ("mV",), "mV^2"),
    "roots": (lambda a: jnp.sqrt(a) * jnp.cbrt(a) ** 3 / jax.lax.rsqrt(a), ("mV",), "mV^2"),
    "square root of noise": (lambda s, dt: s / jnp.sqrt(dt), ("nA*ms^0.5", "ms"), "nA"),
    "zero matches": (lambda a: jnp.maximum(a, 0.0) + jnp.where(a > 0, a, 0) + 0.0, ("Hz",), "Hz"),
    "infinity matches": (lambda a: jnp.minimum(a, jnp.inf) + jnp.clip(a, 0, jnp.inf), ("Hz",), "Hz"),
    "zeros_like": (lambda a: jnp.zeros_like(a), ("Hz",), "Hz"),
    "a constant result": (lambda a: 0.0, ("Hz",), "Hz"),
    "relu, abs, sign": (lambda a: jax.nn.relu(a) + jnp.abs(a) * jnp.sign(a), ("Hz",), "Hz"),
    "sigmoids": (lambda v, v0, r: jax.nn.sigmoid(r * (v - v0)) + jnp.tanh(v / v0) + jax.nn.softplus(v / v0), ("mV", "mV", "1/mV"), "1"),
    "functions of a ratio": (lambda a, b: jnp.exp(a / b) + jnp.log1p(a / b) + jax.scipy.special.erf(a / b), ("mV", "mV"), "1"),
    "arctan2 and hypot": (lambda a, b: jnp.arctan2(a, b) * jnp.hypot(a, b), ("mV", "mV"), "mV"),
    "remainder": (lambda a, b: jnp.mod(a, b) + jnp.mod(b, 2 * jnp.pi) * a, ("rad", "rad"), "rad"),
    "clip": (lambda a, low, high: jnp.clip(a, low, high), ("mV", "mV", "mV"), "mV"),
    "power of a ratio": (lambda a, k, n: (a / k) ** n, ("Hz", "Hz", "1"), "1"),
    "sums and norms": (lambda a, b: jnp.sum(jnp.stack([a, b])) + jnp.linalg.norm(jnp.stack([a, b])), ("mV", "mV"), "mV"),
    "matrix product": (lambda a, b: jnp.stack([a, a]) @ jnp.stack([b, b]), ("mV", "1/ms"), "mV/ms"),
    "polynomial with closed-over coefficients": (lambda a: jnp.sum(jnp.asarray(np.array([1.0, 2.0], np.float32)) * a), ("mV",), "mV"),
    "jit": (lambda a, b: jax.jit(lambda x, y: x * y)(a, b), ("mV", "ms"), "mV*ms"),
    "checkpoint": (lambda a, b: jax.checkpoint(lambda x, y: x * y)(a, b), ("mV", "ms"), "mV*ms"),
    "cond": (lambda a, b: jax.lax.cond(a > 0, lambda x, y: x * y, lambda x, y: 0 * x, a, b), ("mV", "ms"), "mV*ms"),
    "scan": (lambda a: jax.lax.scan(lambda c, _: (c + a, c), 0.0, None, length=3)[0], ("mV",), "mV"),
    "while": (lambda a: jax.lax.while_loop(lambda c: c < a, lambda c: c + a, 0.0), ("mV",), "mV"),
    "grad": (lambda a, b: jax.grad(lambda x: x**3 / b)(a), ("mV", "ms"), "mV^2/ms"),
    "nan_to_num": (lambda a: jnp.nan_to_num(a), ("mV",), "mV"),
    "interp is not judged": (lambda a: jnp.interp(a, jnp.arange(3.0), jnp.arange(3.0)), ("1",), "1"),
}


@pytest.mark.parametrize(("function", "arguments", "result"), RIGHT.values(), ids=RIGHT)
def test_right_equations_pass(function, arguments, result):
    check(lambda *values: {"x": function(*values)}, arguments, result)


@pytest.mark.parametrize(
    ("function", "arguments", "result"), [case for name, case in RIGHT.items() if name not in ("zeros_like", "a constant result")]
)
def test_right_equations_fail_with_another_declared_result(function, arguments, result):
    # So that the cases above pass because their unit was found, not because nothing was.
    with pytest.raises(ValueError, match=r"returns x in .*, needs K: "):
        check(lambda *values: {"x": function(*values)}, arguments, "K")


WRONG = {
    "scale": (lambda a, b: a + b, ("mV", "V"), "mV and V cannot be added: the same dimension, but mV is 0.001 times V"),
    "dimension": (lambda a, b: a - b, ("mV", "ms"), "mV and ms cannot be subtracted: the dimensions differ"),
    "number written out": (lambda a: a + 1.5, ("mV",), r"mV and no unit \(1\) cannot be added: a number .* Make 1.5 a parameter in mV"),
    "number in clip": (lambda a: jnp.clip(a, 0, 100), ("Hz",), "Make 100 a parameter in Hz"),
    "number in where": (lambda a: jnp.where(a > 0, a, 30.0), ("mV",), "cannot be the two results of one condition"),
    "comparison": (lambda a, b: jnp.where(a > b, a, a), ("mV", "ms"), "mV and ms cannot be compared"),
    "maximum": (lambda a, b: jnp.maximum(a, b), ("mV", "ms"), "mV and ms cannot be compared"),
    "exp": (lambda a: jnp.exp(a), ("mV",), "exp of something in mV, needs a number without unit: divide by one in mV"),
    "tanh": (lambda a: jnp.tanh(a), ("mV",), "tanh of something in mV"),
    "sigmoid": (lambda a, b: jax.nn.sigmoid(a * b), ("mV", "mV"), r"logistic of something in mV\^2"),
    "log": (lambda a: jnp.log(a), ("Hz",), "log of something in Hz"),
    "degrees": (lambda a: jnp.sin(a), ("deg",), r"sin of something in deg \(a factor of 0.0174533\)"),
    "hidden scale": (lambda a, b: jnp.exp(a * b), ("1/ms", "s"), r"exp of something in s/ms \(a factor of 1000\)"),
    "arctan2": (lambda a, b: jnp.arctan2(a, b), ("mV", "ms"), "mV and ms cannot be compared"),
    "hypot": (lambda a, b: jnp.hypot(a, b), ("mV", "ms"), "mV and ms cannot be compared"),
    "exponent with unit": (lambda a, n: a**n, ("1", "ms"), "an exponent of something in ms"),
    "varying exponent": (lambda a, n: a**n, ("Hz", "1"), "something in Hz has an exponent that varies.*: divide by one in Hz first"),
    "inside jit": (
        lambda a, b: jax.jit(lambda x, y: x + y)(a, b),
        ("mV", "ms"),
        r"line \d+ of test_dimensions.py .*: mV and ms cannot be added",
    ),
    "inside checkpoint": (lambda a, b: jax.checkpoint(lambda x, y: x + y)(a, b), ("mV", "ms"), "cannot be added"),
    "inside a softplus": (lambda a: jax.nn.softplus(a), ("mV",), "of something in mV"),
    "branches": (lambda a, b: jax.lax.cond(a > 0, lambda x, y: x, lambda x, y: y, a, b), ("mV", "ms"), "cannot be the two results"),
    "inside a scan": (lambda a, b: jax.lax.scan(lambda c, _: (c + a, c + b), 0.0, None, length=3)[0], ("mV", "ms"), "cannot be added"),
    "inside a custom derivative": (lambda a, b: twice(a, b), ("mV", "ms"), "cannot be added"),
    "closed-over array": (lambda a: jnp.sum(jnp.asarray(np.array([1.0, 2.0], np.float32)) + a), ("mV",), "cannot be added"),
}


@jax.custom_vjp
def twice(a, b):
    return a + b


twice.defvjp(lambda a, b: (twice(a, b), None), lambda _, g: (g, g))


@pytest.mark.parametrize(("function", "arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_equations_are_refused(function, arguments, message):
    with pytest.raises(ValueError, match=r"Toy\.drift.*" + message):
        check(lambda *values: {"x": function(*values)}, arguments, "1")


def test_what_is_not_understood_matches_everything():
    callback = lambda a: jax.pure_callback(lambda v: v, jax.ShapeDtypeStruct((), np.float32), a)  # noqa: E731
    check(lambda a: {"x": callback(a) + a}, ("mV",), "mV")
    check(lambda a, b: {"x": jnp.stack([a, b])[0]}, ("mV", "ms"), "mV")
    check(lambda a: {"x": jax.lax.fori_loop(0, 3, lambda i, c: c * a, 1.0)}, ("mV",), "mV^3")


# ---- what the function returns ----------------------------------------------------------------------------------------------------


def test_a_missing_an_extra_and_no_dict_are_refused():
    with pytest.raises(ValueError, match=r"M\.drift returns x, needs x, y: return dict\(x=\.\.\., y=\.\.\.\)"):
        check_dimensions(lambda a: {"x": a}, ("mV",), {"x": "mV", "y": "mV"}, where="M.drift")
    with pytest.raises(ValueError, match=r"M\.drift returns x, z, needs x"):
        check_dimensions(lambda a: {"x": a, "z": a}, ("mV",), {"x": "mV"}, where="M.drift")
    with pytest.raises(ValueError, match=r"M\.drift returns tuple, needs a dict with x: return dict\(x=\.\.\.\)"):
        check_dimensions(lambda a: (a,), ("mV",), {"x": "mV"}, where="M.drift")
    with pytest.raises(ValueError, match=r"M\.drift returns nothing, needs x"):
        check_dimensions(lambda a: {"x": None}, ("mV",), {"x": "mV"}, where="M.drift")


def test_an_error_of_the_equation_says_who_called_it():
    with pytest.raises(ZeroDivisionError) as caught:
        check_dimensions(lambda a: {"x": 1 / 0}, ("mV",), {"x": "mV"}, where="M.drift")
    assert any("while the dimensions of M.drift were checked" in note for note in caught.value.__notes__)


def test_a_unit_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="the unit 'foo' cannot be read"):
        check(lambda a: {"x": a}, ("foo",), "mV")


def test_the_check_works_inside_a_float64_task():
    with jax.enable_x64(True):
        check_dimensions(hopf, HOPF, {"x": "1/ms", "y": "1/ms"}, where="HopfStep.drift")
