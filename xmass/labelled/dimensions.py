"""Are the equations of a model right in their units? Read from the traced equation, once per model; nothing is computed.

The equation is traced with scalars (``jax.make_jaxpr``) and every intermediate gets a unit from the units of the arguments. Numbers
written in the equation have no unit, but 0 and infinity match every unit. What is not understood matches everything as well: the
check may miss a mistake in unusual code, it does not refuse what it cannot judge.
"""

from __future__ import annotations

import linecache
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox
import jax
import jaxlib
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from xmass.labelled.unit_bridge import canonical, to_unit
from xmass.labelled.unit_names import Symbols, parse, spell, times, to_power
from xmass.models import expression

_ADDED = {"add": "added", "add_any": "added", "sub": "subtracted"}
_COMPARED = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "eq_to", "lt_to", "le_to", "atan2"})
_ALIKE = frozenset({"max", "min", "clamp", "rem", "nextafter", "complex"})
_JOINED = frozenset({"concatenate", "stack", "pad"})
_UPDATED = {"dynamic_update_slice": 1, "scatter": 2, "scatter-add": 2, "scatter_add": 2}
# fmt: off
_RESHAPED = frozenset({
    "convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "rev", "slice", "dynamic_slice", "gather",
    "copy", "copy_p", "device_put", "optimization_barrier", "pvary", "stop_gradient",
})
_KEPT = frozenset({
    "neg", "abs", "floor", "ceil", "round", "real", "imag", "conj", "reduce_precision", "reduce_sum", "reduce_max", "reduce_min", "cumsum",
    "cummax", "cummin", "sort",
})
_PURE = frozenset({
    "exp", "exp2", "expm1", "log", "log1p", "tanh", "sinh", "cosh", "asinh", "acosh", "atanh", "logistic", "sin", "cos", "tan", "asin",
    "acos", "atan", "erf", "erfc", "erf_inv", "lgamma", "digamma", "bessel_i0e", "bessel_i1e", "cumlogsumexp",
})
_NUMBERS = frozenset({
    "sign", "is_finite", "and", "or", "xor", "not", "iota", "argmax", "argmin", "reduce_and", "reduce_or",
})
# fmt: on
_ROOTS = {"sqrt": 0.5, "rsqrt": -0.5, "cbrt": 1 / 3, "square": 2}


class _Value(NamedTuple):
    """What is known of an intermediate: its unit (None matches every unit), how to write it, and its value if it is a constant."""

    unit: Any
    symbols: Symbols = ()
    constant: float | None = None


class _Place(NamedTuple):
    """Where an operation is: the equation's name, and the line of the user's code."""

    where: str
    line: str = ""


_ANY = _Value(None)
_LIBRARIES = tuple(str(Path(module.__file__).parent) + os.sep for module in (jax, jaxlib, equinox) if module.__file__)


def check_dimensions(function: Callable[..., Mapping[str, Any]], in_units: Any, out_units: Mapping[str, str], *, where: str) -> None:
    """Check that an equation adds only what has one unit, and returns the declared units.

    Parameters
    ----------
    function : callable
        The equation: takes arrays, returns a dict of arrays. It is traced with float32 scalars.
    in_units : tuple or dict
        Units strings in the form of the arguments: a tuple for positional, a dict for keyword arguments; each argument may be a
        pytree such as a dict or an equinox module.
    out_units : dict
        Name to unit of everything that the function returns.
    where : str
        What the errors call the equation, such as ``"HopfStep.drift"``.

    Raises
    ------
    ValueError
        Two different units (in dimension or in scale) are added or compared, a function such as ``exp`` gets a unit, or a result
        has another unit or another name than declared. The message has both units and the line.

    Examples
    --------
    >>> def drift(tau, v):
    ...     return {"v": -v / tau}
    >>> check_dimensions(drift, ("ms", "mV"), {"v": "mV/ms"}, where="Leak.drift")
    >>> check_dimensions(drift, ("s", "mV"), {"v": "mV/ms"}, where="Leak.drift")
    Traceback (most recent call last):
    ValueError: Leak.drift returns v in mV/s, needs mV/ms: the same dimension, but mV/s is 0.001 times mV/ms. ...
    """
    scalars = jax.tree.map(lambda _: jax.ShapeDtypeStruct((), np.float32), in_units)

    def traced(tree: Any) -> Mapping[str, Any]:
        return function(**tree) if isinstance(tree, dict) else function(*tree)

    try:
        closed, shapes = jax.make_jaxpr(traced, return_shape=True)(scalars)
    except Exception as error:
        error.add_note(f"raised while the dimensions of {where} were checked, by calling it with float32 scalars.")
        raise
    if not isinstance(shapes, Mapping):
        raise ValueError(
            f"{where} returns {type(shapes).__name__}, needs a dict with {', '.join(out_units)}: return dict({_call(out_units)})."
        )
    names = [path[0].key for path, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    if set(names) != set(out_units):
        raise ValueError(
            f"{where} returns {', '.join(map(str, names)) or 'nothing'}, needs {', '.join(out_units)}: return dict({_call(out_units)})."
        )
    results = _evaluate(closed, [_declared(unit) for unit in jax.tree.leaves(in_units)], _Place(where))
    for name, value in zip(names, results):
        needed = _declared(out_units[name])
        if not _equal(value, needed):
            raise ValueError(f"{where} returns {name} in {_spelled(value)}, needs {_spelled(needed)}{_difference(value, needed)}")


def _evaluate(closed: ClosedJaxpr, arguments: Sequence[_Value], place: _Place) -> list[_Value]:
    return _walk(closed.jaxpr, [_constant(value) for value in closed.consts], arguments, place)


def _walk(jaxpr: Jaxpr, constants: Sequence[_Value], arguments: Sequence[_Value], place: _Place) -> list[_Value]:
    known = dict(zip(jaxpr.constvars, constants)) | dict(zip(jaxpr.invars, arguments))

    def look_up(atom: Any) -> _Value:
        return _constant(atom.val) if isinstance(atom, Literal) else known.get(atom, _ANY)

    for equation in jaxpr.eqns:
        # A traced jnp function is cached with the line that called it first: only the outermost line is the user's.
        here = place if place.line else _Place(place.where, _line(equation))
        results = _operation(equation, [look_up(atom) for atom in equation.invars], here)
        known.update(zip(equation.outvars, results))
    return [look_up(atom) for atom in jaxpr.outvars]


def _operation(equation: Any, values: list[_Value], place: _Place) -> list[_Value]:
    """The units of the results of one primitive."""
    name, number = equation.primitive.name, len(equation.outvars)
    if name in _RESHAPED:
        return values[:number]
    if name in _KEPT:
        return [value._replace(constant=None) for value in values[:number]]
    if name in ("mul", "dot_general"):
        return [_product(values[0], values[1], 1)]
    if name == "div":
        return [_product(values[0], values[1], -1)]
    if name in _ADDED:
        return [_alike(values, _ADDED[name], place)]
    if name in _ALIKE:
        return [_alike(values, "compared", place)]
    if name in _COMPARED:
        _alike(values, "compared", place)
        return [_number()]
    if name == "select_n":
        return [_alike(values[1:], "the two results of one condition", place)]
    if name in _PURE:
        return [_pure(value, name, place) for value in values[:1]]
    if name in _NUMBERS:
        return [_number()] * number
    if name in _ROOTS:
        return [_power(values[0], _ROOTS[name])]
    if name == "integer_pow":
        return [_power(values[0], equation.params["y"])]
    if name == "pow":
        return [_general_power(values[0], values[1], place)]
    if name in _JOINED:
        return [_either(values[: 2 if name == "pad" else None])]
    if name in _UPDATED:
        return [_alike([values[0], values[_UPDATED[name]]], "put into one array", place)]
    if name == "reduce_prod":
        return [values[0] if _equal(values[0], _number()) else _ANY]
    return _nested(equation, values, place)


def _nested(equation: Any, values: list[_Value], place: _Place) -> list[_Value]:
    """Operations that contain others; one that is not known has results that match every unit."""
    name, params = equation.primitive.name, equation.params
    if params.get("name") == "hypot":  # its branch for zero holds a 1 that has the unit of the arguments
        return [_alike(values, "compared", place)]
    if name == "cond":
        branches = [_evaluate(branch, values[1:], place) for branch in params["branches"]]
        return [_alike(list(results), "the two results of one condition", place) for results in zip(*branches)]
    if name == "scan":
        start, stop = params["num_consts"], params["num_consts"] + params["num_carry"]
        return _loop(params["jaxpr"], values[:start], values[start:stop], values[stop:], place)
    if name == "while":
        start, stop = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        return _loop(params["body_jaxpr"], values[start:stop], values[stop:], [], place)
    inner = [param for param in params.values() if isinstance(param, (ClosedJaxpr, Jaxpr))]
    if len(inner) == 1:
        jaxpr = inner[0].jaxpr if isinstance(inner[0], ClosedJaxpr) else inner[0]
        if len(jaxpr.invars) == len(values) and len(jaxpr.outvars) == len(equation.outvars):
            constants = [_constant(value) for value in inner[0].consts] if isinstance(inner[0], ClosedJaxpr) else []
            return _walk(jaxpr, constants, values, place)
    return [_ANY] * len(equation.outvars)


def _loop(body: ClosedJaxpr, constants: list[_Value], carry: list[_Value], inputs: list[_Value], place: _Place) -> list[_Value]:
    """The units of a loop's results: what it carries takes the unit that the body gives it; one that changes matches every unit."""
    results: list[_Value] = []
    for _ in range(3):
        results = _evaluate(body, [*constants, *carry, *inputs], place)
        carry = [_either([old, new]) for old, new in zip(carry, results)]
    return [*carry, *results[len(carry) :]]


def _declared(unit: str) -> _Value:
    return _Value(to_unit(unit), parse(canonical(unit)))


def _number() -> _Value:
    return _Value(to_unit("1"))


def _constant(value: Any) -> _Value:
    """A number or array in the equation: no unit, but zero, infinity and NaN match every unit."""
    try:
        array = np.asarray(value).astype(np.float64)
    except (TypeError, ValueError):  # a random key, a callback: no number
        return _ANY
    single = float(array.flat[0]) if array.size and (array == array.flat[0]).all() else None
    boundless = ~np.isfinite(array) | (np.abs(array) >= float(np.finfo(np.float32).max))  # nan_to_num writes infinity so
    return _Value(None if ((array == 0) | boundless).all() else to_unit("1"), (), single)


def _equal(left: _Value, right: _Value) -> bool:
    if left.unit is None or right.unit is None:
        return True
    return bool(left.unit.has_same_dim(right.unit)) and math.isclose(left.unit.magnitude, right.unit.magnitude, rel_tol=1e-9)


def _product(left: _Value, right: _Value, sign: int) -> _Value:
    if left.unit is None or right.unit is None:
        return _ANY
    unit = left.unit * right.unit if sign > 0 else left.unit / right.unit
    return _Value(unit, times(left.symbols, right.symbols, sign))


def _power(base: _Value, exponent: float) -> _Value:
    return _ANY if base.unit is None else _Value(base.unit**exponent, to_power(base.symbols, exponent))


def _general_power(base: _Value, exponent: _Value, place: _Place) -> _Value:
    _pure(exponent, "an exponent", place)
    if exponent.constant is not None and math.isfinite(exponent.constant):
        return _power(base, exponent.constant)
    if _equal(base, _number()):
        return _number()
    text = _spelled(base)
    raise ValueError(f"{_head(place)}something in {text} has an exponent that varies, so its unit does too: divide by one in {text} first.")


def _either(values: Sequence[_Value]) -> _Value:
    """The common unit of the values, and no unit in particular if they differ."""
    known = [value for value in values if value.unit is not None]
    return known[0]._replace(constant=None) if known and all(_equal(known[0], value) for value in known) else _ANY


def _alike(values: Sequence[_Value], what: str, place: _Place) -> _Value:
    known = [value for value in values if value.unit is not None]
    for value in known[1:]:
        if not _equal(known[0], value):
            verb = f"cannot be {what}"
            raise ValueError(f"{_head(place)}{_spelled(known[0])} and {_spelled(value)} {verb}{_difference(known[0], value)}")
    return known[0]._replace(constant=None) if known else _ANY


def _pure(value: _Value, name: str, place: _Place) -> _Value:
    if not _equal(value, _number()):
        text = _spelled(value)
        scale = f" (a factor of {value.unit.magnitude:g})" if value.unit.has_same_dim(_number().unit) else ""
        raise ValueError(f"{_head(place)}{name} of something in {text}{scale}, needs a number without unit: divide by one in {text}.")
    return _number()


def _spelled(value: _Value) -> str:
    return "no unit (1)" if value.unit is None or _equal(value, _number()) else spell(value.symbols)


def _difference(left: _Value, right: _Value) -> str:
    if left.unit.has_same_dim(right.unit):
        scale = f"{left.unit.magnitude / right.unit.magnitude:g}"
        return f": the same dimension, but {_unit(left)} is {scale} times {_unit(right)}. Give a parameter the unit that converts."
    written = [value for value in (left, right) if value.constant is not None]
    if written:
        other = right if written[0] is left else left
        return f": a number written in the equation has no unit. Make {written[0].constant:g} a parameter in {_unit(other)}."
    return ": the dimensions differ. Check the equation and the declared units of its parameters."


def _unit(value: _Value) -> str:
    return spell(value.symbols)


def _head(place: _Place) -> str:
    return f"{place.where}{place.line}: "


def _call(out_units: Mapping[str, str]) -> str:
    return ", ".join(f"{name}=..." for name in out_units)


def _line(equation: Any) -> str:
    """The line of the user's code that made an operation, for messages; empty if it is not known."""
    traceback = getattr(getattr(equation, "source_info", None), "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        if frame.file_name == expression.__file__:  # an equation given as text: the caller names its line
            return ""
        if not frame.file_name.startswith(_LIBRARIES) and frame.file_name != __file__:
            code = linecache.getline(frame.file_name, frame.line_num).strip()
            return f", line {frame.line_num} of {Path(frame.file_name).name}" + (f" ({code})" if code else "")
    return ""
