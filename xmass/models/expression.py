"""Arithmetic given as text: read by a whitelist, evaluated without ever being executed.

Python's parser makes a syntax tree of the text, each node of which must be one of a few kinds; anything else is refused with its
position. The tree is then evaluated by :func:`evaluate`, node by node, in the order in which it is written.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

MOST_CHARACTERS = 10_000
MOST_NESTED = 100
_MOST_POWER = 64
_SHOWN = 60
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

CONSTANTS = {"pi": math.pi}
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_COMPARED: dict[type, Callable[[Any, Any], Any]] = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_JOINED: dict[type, Callable[[Any, Any], Any]] = {ast.And: jnp.logical_and, ast.Or: jnp.logical_or}


def _heaviside(x: Any) -> Any:
    return jnp.where(x > 0, 1.0, 0.0)


def _piecewise(*parts: Any) -> Any:
    made = parts[-1]
    for value, condition in zip(parts[-3::-2], parts[-2::-2]):
        made = jnp.where(condition, value, made)
    return made


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    **{name: (1, 1, getattr(jnp, name)) for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "abs", "sign")},
    "atan": (1, 1, jnp.arctan),
    "sigmoid": (1, 1, jax.nn.sigmoid),
    "heaviside": (1, 1, _heaviside),
    "max": (2, 9, lambda *x: functools.reduce(jnp.maximum, x)),
    "min": (2, 9, lambda *x: functools.reduce(jnp.minimum, x)),
    "where": (3, 3, jnp.where),
    "piecewise": (3, 99, _piecewise),
}
"""Fewest and most arguments, and the function. ``where`` and ``piecewise`` take conditions at every second place."""


@dataclasses.dataclass(frozen=True, eq=False)
class Expression:
    """A checked expression: its text, its tree and the names that it reads."""

    text: str
    tree: ast.expr
    names: frozenset[str]


def refused(message: str, line: str, column: int, number: int) -> ValueError:
    """An error with the line, or the part of a long one, and a mark below the place."""
    first = max(column - _SHOWN, 0)
    shown = ("..." if first else "") + line[first : column + _SHOWN] + ("..." if column + _SHOWN < len(line) else "")
    return ValueError(f"line {number}, column {column + 1}: {message}\n  {shown}\n  {' ' * (column - first + 3 * bool(first))}^")


def name_fault(name: str) -> str:
    """What is wrong with a name; empty if it can be one."""
    if name in FUNCTIONS or name in CONSTANTS:
        return f"{name!r} is a function or a constant of the equations; choose another name"
    if not _NAME.fullmatch(name):
        return f"{name!r} is no name; a name has letters, digits and _, and begins with a letter"
    try:
        ast.parse(name, mode="eval")
    except SyntaxError:
        return f"{name!r} is a word of Python; choose another name, such as {name}_ or another spelling"
    return "" if name not in ("True", "False", "None") else f"{name!r} is a word of Python; choose another name"


def read(text: str, line: str, column: int, number: int) -> Expression:
    """A checked expression from the text that begins at ``column`` of ``line``, which is the ``number``-th.

    Raises
    ------
    ValueError
        For anything but arithmetic, names, numbers and the listed functions, with its position.
    """
    lead = len(text) - len(text.lstrip())
    body, start = text.strip(), column + lead

    def fault(message: str, at: int) -> ValueError:
        return refused(message, line, start + at, number)

    if not body:
        raise fault("an expression is missing", 0)
    if len(body) > MOST_CHARACTERS:
        raise fault(f"an expression has {len(body)} characters, at most {MOST_CHARACTERS} are read", 0)
    if not body.isascii():
        at = next(i for i, c in enumerate(body) if not c.isascii())
        raise fault(f"{body[at]!r} is not read: write names in plain letters, such as alpha", at)
    try:
        tree = ast.parse(body, mode="eval").body
    except SyntaxError as error:
        raise fault(f"this is not arithmetic ({error.msg})", max((error.offset or 1) - 1, 0)) from None
    except (RecursionError, MemoryError, ValueError):
        raise fault("this is nested too deeply, or holds a character that cannot be read", 0) from None
    names: set[str] = set()
    _check(tree, fault, names, 0, condition=False)
    return Expression(body, tree, frozenset(names))


def _check(node: ast.AST, fault: Callable[[str, int], ValueError], names: set[str], depth: int, *, condition: bool) -> None:
    """Refuse what is not on the list. ``condition`` says that a comparison is needed here."""
    at = getattr(node, "col_offset", 0)
    if depth > MOST_NESTED:
        raise fault(f"more than {MOST_NESTED} levels are nested; give a part a name on a line of its own", at)
    deeper = functools.partial(_check, fault=fault, names=names, depth=depth + 1)
    if isinstance(node, ast.Compare | ast.BoolOp) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        if not condition:
            raise fault("a comparison stands only in where(condition, a, b) and piecewise(a, condition, b)", at)
        _check_condition(node, fault, deeper)
        return
    if condition:
        raise fault("a condition is needed here, such as x > 0", at)
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, int | float) or not _finite(node.value):
            raise fault(f"{ast.unparse(node)[:40]} is no finite number", at)
    elif isinstance(node, ast.Name):
        if not _NAME.fullmatch(node.id):
            raise fault(f"{node.id!r} is not read: a name begins with a letter", at)
        if node.id in FUNCTIONS:
            raise fault(f"{node.id} is a function: {node.id}(...)", at)
        if node.id not in CONSTANTS:
            names.add(node.id)
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        deeper(node.left, condition=False)
        if not (isinstance(node.op, ast.Pow) and _whole(node.right) is not None):
            deeper(node.right, condition=False)
    elif isinstance(node, ast.BinOp):
        hint = "a power is written x**2" if isinstance(node.op, ast.BitXor) else "there are + - * / and **"
        raise fault(f"this operator is not read: {hint}", node.left.end_col_offset or at)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        deeper(node.operand, condition=False)
    elif isinstance(node, ast.Call):
        _check_call(node, fault, deeper)
    else:
        raise fault(f"{_kind(node)} is not read: there are numbers, names, + - * / **, brackets and {', '.join(sorted(FUNCTIONS))}", at)


def _check_condition(node: ast.AST, fault: Callable[[str, int], ValueError], deeper: Callable[..., None]) -> None:
    if isinstance(node, ast.Compare):
        if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARED:
            raise fault("a condition is one comparison with < <= > or >=; join two with and, or", node.col_offset)
        deeper(node.left, condition=False)
        deeper(node.comparators[0], condition=False)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            deeper(value, condition=True)
    elif isinstance(node, ast.UnaryOp):
        deeper(node.operand, condition=True)


def _check_call(node: ast.Call, fault: Callable[[str, int], ValueError], deeper: Callable[..., None]) -> None:
    if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        close = difflib.get_close_matches(name, FUNCTIONS, n=1)
        guess = f" (did you mean {close[0]}?)" if close else ""
        called = f"{name}(...) is no function that is read{guess}" if name else "only a function by its name is called"
        raise fault(f"{called}: there are {', '.join(sorted(FUNCTIONS))}", node.col_offset)
    least, most, _ = FUNCTIONS[node.func.id]
    if node.keywords or any(isinstance(a, ast.Starred) for a in node.args) or not least <= len(node.args) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise fault(f"{node.func.id} takes {wanted} arguments without names, came {len(node.args) + len(node.keywords)}", node.col_offset)
    if node.func.id == "piecewise" and len(node.args) % 2 == 0:
        raise fault("piecewise takes value, condition, value, condition, ..., otherwise", node.col_offset)
    conditions = {"where": (0,), "piecewise": range(1, len(node.args), 2)}.get(node.func.id, ())
    for i, argument in enumerate(node.args):
        deeper(argument, condition=i in conditions)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _whole(node: ast.AST) -> int | None:
    """A small whole exponent, which stays one: x**2 is x times x."""
    sign = -1 if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else 1
    inner = node.operand if sign < 0 and isinstance(node, ast.UnaryOp) else node
    if isinstance(inner, ast.Constant) and type(inner.value) is int and inner.value <= _MOST_POWER:
        return sign * inner.value
    return None


def _kind(node: ast.AST) -> str:
    kinds = {
        ast.Attribute: "an attribute (a dot)",
        ast.Subscript: "an index",
        ast.Lambda: "lambda",
        ast.IfExp: "if ... else (write where)",
        ast.NamedExpr: ":=",
        ast.JoinedStr: "text",
    }
    return kinds.get(type(node), f"{type(node).__name__.lower()} of Python")


def evaluate(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of a checked tree for numbers or arrays by name. Whole numbers are floats, but for exponents."""
    if isinstance(tree, ast.Constant):
        assert isinstance(tree.value, int | float)
        return float(tree.value)
    if isinstance(tree, ast.Name):
        return values[tree.id] if tree.id in values else CONSTANTS[tree.id]
    if isinstance(tree, ast.BinOp):
        whole = _whole(tree.right) if isinstance(tree.op, ast.Pow) else None
        right = whole if whole is not None else evaluate(tree.right, values)
        made = _BINARY[type(tree.op)](evaluate(tree.left, values), right)
        if isinstance(made, complex):
            raise ArithmeticError(f"{ast.unparse(tree)} is no real number")
        return made
    if isinstance(tree, ast.UnaryOp):
        inner = evaluate(tree.operand, values)
        return jnp.logical_not(inner) if isinstance(tree.op, ast.Not) else _UNARY[type(tree.op)](inner)
    if isinstance(tree, ast.Compare):
        return _COMPARED[type(tree.ops[0])](evaluate(tree.left, values), evaluate(tree.comparators[0], values))
    if isinstance(tree, ast.BoolOp):
        return functools.reduce(_JOINED[type(tree.op)], (evaluate(v, values) for v in tree.values))
    assert isinstance(tree, ast.Call)
    return FUNCTIONS[ast.unparse(tree.func)][2](*(evaluate(a, values) for a in tree.args))


def symbolic(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    """The tree as a sympy expression over symbols by name, as it is written: nothing is worked out, so nothing can run for long."""
    import sympy

    def of(node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return sympy.Integer(node.value) if isinstance(node.value, int) else sympy.Float(str(node.value))
        if isinstance(node, ast.Name):
            return values.get(node.id, sympy.pi)
        if isinstance(node, ast.BinOp):
            return _symbolic_binary(sympy, node.op, of(node.left), of(node.right))
        if isinstance(node, ast.UnaryOp):
            inner = of(node.operand)
            if isinstance(node.op, ast.Not):
                return sympy.Not(inner, evaluate=False)
            return sympy.Mul(-1, inner, evaluate=False) if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.Compare):
            relation = {ast.Lt: sympy.Lt, ast.LtE: sympy.Le, ast.Gt: sympy.Gt, ast.GtE: sympy.Ge}[type(node.ops[0])]
            return relation(of(node.left), of(node.comparators[0]), evaluate=False)
        if isinstance(node, ast.BoolOp):
            joined = sympy.And if isinstance(node.op, ast.And) else sympy.Or
            return joined(*(of(v) for v in node.values), evaluate=False)
        assert isinstance(node, ast.Call)
        return _symbolic_call(sympy, ast.unparse(node.func), [of(a) for a in node.args])

    return of(tree)


def _symbolic_binary(sympy: Any, op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(op, ast.Sub):
        right = sympy.Mul(-1, right, evaluate=False)
    if isinstance(op, ast.Div):
        right = sympy.Pow(right, -1, evaluate=False)
    kind = sympy.Add if isinstance(op, ast.Add | ast.Sub) else sympy.Pow if isinstance(op, ast.Pow) else sympy.Mul
    return kind(left, right, evaluate=False)


def _symbolic_call(sympy: Any, name: str, arguments: list[Any]) -> Any:
    if name == "where":
        return sympy.Piecewise((arguments[1], arguments[0]), (arguments[2], True), evaluate=False)
    if name == "piecewise":
        return sympy.Piecewise(*zip(arguments[:-1:2], arguments[1::2]), (arguments[-1], True), evaluate=False)
    if name == "sigmoid":
        return sympy.Function("sigma")(*arguments)
    names = {"abs": "Abs", "max": "Max", "min": "Min", "heaviside": "Heaviside"}
    return getattr(sympy, names.get(name, name))(*arguments, evaluate=False)


def unknown(names: Iterable[str], known: Iterable[str]) -> tuple[str, str] | None:
    """The first name that is not known, and a hint."""
    listed = sorted(known)
    for name in sorted(set(names) - set(listed)):
        close = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
        if name in ("t", "time"):
            return name, "Equations do not read the time; what varies in time is an input."
        guess = f"Did you mean {close[0]!r}? " if close else ""
        return name, f"{guess}There are {', '.join(map(repr, listed))}. A parameter is declared as parameters={{{name!r}: 1.0}}."
    return None
