"""A model class from equations given as text: the same class form as a model written by hand."""

from __future__ import annotations

import functools
import inspect
import json
import re
import types
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

from xmass.core.model import Input, NeuralMass, Output, Past, State, Uniform, Value, parameter
from xmass.core.noise import Noise
from xmass.models.expression import Expression, evaluate, name_fault, read, refused, symbolic, unknown

RECORD = "equations_record"
_LEFT = re.compile(r"\s*(?:d\s*(?P<state>[A-Za-z_]\w*)\s*/\s*dt|(?P<name>[A-Za-z_]\w*))\s*")
_MOST_STATEMENTS = 200


class Statement(NamedTuple):
    """One line: the state whose derivative it gives, or the name that it defines, and the expression."""

    target: str
    derivative: bool
    value: Expression
    line: str


class Text(NamedTuple):
    """Everything that a class is made from; equal ones make one class. It is kept in records as JSON."""

    name: str
    equations: str
    states: tuple[State, ...]
    rate_units: tuple[str, ...]
    """Unit of the derivative of each state."""
    inputs: tuple[Input, ...]
    """Of the inputs inside equations; those of the states are added."""
    parameters: tuple[tuple[str, float, str, str], ...]
    outputs: tuple[tuple[str, str, str, str], ...]
    """Name, expression, unit and meaning."""
    past: tuple[Past, ...]
    time_unit: str
    category: str
    use_case: str

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        states = [[*s[:1], list(s.initial) if isinstance(s.initial, Uniform) else s.initial, *s[2:]] for s in self.states]
        return {**self._asdict(), "states": states}

    @classmethod
    def of(cls, record: dict[str, Any]) -> Text:
        """From its record."""

        def state(name: str, initial: Any, unit: str, meaning: str, bounds: Any) -> State:
            start = Uniform(*initial) if isinstance(initial, list) else initial
            return State(name, start, unit, meaning, tuple(bounds) if bounds is not None else None)

        rows = {k: tuple(tuple(row) for row in record[k]) for k in ("parameters", "outputs")}
        return cls(
            **{
                **record,
                **rows,
                "states": tuple(state(*row) for row in record["states"]),
                "rate_units": tuple(record["rate_units"]),
                "inputs": tuple(Input(*row) for row in record["inputs"]),
                "past": tuple(Past(*row) for row in record["past"]),
            }
        )


def statements(text: str) -> tuple[Statement, ...]:
    """The lines of a text, separated by new lines or semicolons; ``#`` begins a comment.

    Raises
    ------
    ValueError
        For what is no ``dx/dt = ...`` or ``name = ...``, with its position.
    """
    found: list[Statement] = []
    for number, line in enumerate(text.split("\n"), start=1):
        column = 0
        for part in line.split("#")[0].split(";"):
            if part.strip():
                found.append(_statement(part, line, column, number))
            column += len(part) + 1
    if not found:
        raise ValueError("equations has no line, needs one for each state: 'dx/dt = -x/tau; dy/dt = ...'.")
    if len(found) > _MOST_STATEMENTS:
        raise ValueError(f"equations has {len(found)} lines, at most {_MOST_STATEMENTS} are read.")
    return tuple(found)


def _statement(part: str, line: str, column: int, number: int) -> Statement:
    left = _LEFT.match(part)
    start = column + len(part) - len(part.lstrip())
    if left is None or part[left.end() : left.end() + 1] != "=" or part[left.end() : left.end() + 2] == "==":
        raise refused("a line is 'dx/dt = ...' for the state x, or 'name = ...' for a part that others read", line, start, number)
    after = left.end() + 1
    state, name = left["state"], left["name"]
    return Statement(state or name, state is not None, read(part[after:], line, column + after, number), part.strip())


def states_in(text: str) -> tuple[str, ...]:
    """The states of a text, in order."""
    return tuple(dict.fromkeys(s.target for s in statements(text) if s.derivative))


class Parts(NamedTuple):
    """A text that has been read: derivatives, definitions in their order, and outputs."""

    rates: dict[str, Statement]
    definitions: dict[str, Statement]
    outputs: dict[str, Expression]

    def needed(self, names: frozenset[str]) -> frozenset[str]:
        """The names that are read, those behind definitions included."""
        found = set(names)
        for name in reversed(list(self.definitions)):
            if name in found:
                found |= self.definitions[name].value.names
        return frozenset(found)


def read_text(text: Text) -> Parts:
    """Read and check all lines: names are declared once, defined before they are read, and every parameter is read.

    Raises
    ------
    ValueError
        With the line that is wrong and what is needed.
    """
    declared = _declared_names(text)
    if not text.states:
        raise ValueError("equations gives no derivative, needs a line for each state: 'dx/dt = -x/tau'.")
    for p in text.past:
        if declared.get(p.state) != "state" or declared.get(p.delay) != "parameter":
            raise ValueError(f"{p} needs the name of a state and of a parameter: its delay in ms.")
    rates: dict[str, Statement] = {}
    definitions: dict[str, Statement] = {}
    for s in statements(text.equations):
        if s.derivative:
            if s.target in rates:
                raise ValueError(f"{s.line!r}: d{s.target}/dt is given twice.")
            if s.target not in {v.name for v in text.states}:
                raise ValueError(
                    f"{s.line!r}: {s.target} is not in states={[v.name for v in text.states]}. Add it, with its initial value."
                )
            rates[s.target] = s
        else:
            fault = name_fault(s.target) or (f"{s.target!r} is a {declared[s.target]} already" if s.target in declared else "")
            if fault or s.target in definitions:
                raise ValueError(f"{s.line!r}: {fault or f'{s.target} is given twice'}.")
            definitions[s.target] = s
        _check_names(s.line, s.value, {*declared, *definitions} - ({s.target} if not s.derivative else set()), text)
    lacking = [s.name for s in text.states if s.name not in rates]
    if lacking:
        raise ValueError(f"the states {lacking} have no equation. Add 'd{lacking[0]}/dt = ...', or take them out of states.")
    outputs = {name: read(expression, expression, 0, 1) for name, expression, _, _ in text.outputs}
    for name, expression in outputs.items():
        _check_names(f"outputs[{name!r}] = {expression.text}", expression, {*declared, *definitions} - set(outputs), text)
    parts = Parts(rates, definitions, outputs)
    used = parts.needed(frozenset[str]().union(*(s.value.names for s in rates.values()), *(e.names for e in outputs.values())))
    read_by_delay = {p.delay for p in text.past if p.name in used}
    unread = [n for n in (*(p[0] for p in text.parameters), *definitions, *(i.name for i in text.inputs)) if n not in used | read_by_delay]
    if unread:
        raise ValueError(f"no equation reads {unread}: everything declared must have an effect. Take it out, or use it.")
    return parts


def _declared_names(text: Text) -> dict[str, str]:
    """What each name is; a name is one thing."""
    groups = {
        "state": [s.name for s in text.states],
        "parameter": [p[0] for p in text.parameters],
        "input": [i.name for i in text.inputs],
        "delayed state": [p.name for p in text.past],
        "output": [o[0] for o in text.outputs],
    }
    found: dict[str, str] = {}
    for kind, names in groups.items():
        for name in names:
            if fault := name_fault(name):
                raise ValueError(f"the {kind} {fault}.")
            if name in found:
                hint = " Every state has an input of its name already." if {kind, found[name]} == {"state", "input"} else ""
                raise ValueError(f"{name!r} stands for two things, {found[name]} and {kind}, needs a name for each.{hint}")
            if name.startswith("noise_") or name in _TAKEN:
                raise ValueError(f"the {kind} {name!r} has a name that every model uses; choose another.")
            found[name] = kind
    return found


def _check_names(line: str, expression: Expression, known: set[str], text: Text) -> None:
    fault = unknown(expression.names, known - {o[0] for o in text.outputs})
    if fault is not None:
        raise ValueError(f"{line!r} reads {fault[0]!r}, which is neither state, parameter, input nor a name defined above. {fault[1]}")


@functools.lru_cache(maxsize=256)
def class_of(text: Text) -> type[NeuralMass]:
    """The class that a text makes; the same object for an equal text."""
    parts = read_text(text)
    direct = tuple(Input(s.name, unit, f"added to d{s.name}/dt") for s, unit in zip(text.states, text.rate_units, strict=True))
    inputs = (*direct, *text.inputs)
    inside = {i.name for i in text.inputs}
    outputs = tuple(Output(n, unit, meaning, bool(parts.needed(parts.outputs[n].names) & inside)) for n, _, unit, meaning in text.outputs)
    constants: dict[str, Any] = {
        "category": text.category,
        "use_case": text.use_case,
        "states": text.states,
        "inputs": inputs,
        "outputs": outputs,
        "past": text.past,
        "time_unit": text.time_unit,
        RECORD: text,
    }
    fields: dict[str, Any] = {f"noise_{i.name}": None for i in inputs}
    fields |= {name: parameter(default, unit, meaning) for name, default, unit, meaning in text.parameters}
    methods: dict[str, Any] = {n: _output(parts, text, n) for n in parts.outputs}
    methods |= {"drift": _drift(parts, text), "symbolic": staticmethod(_symbolic(parts, text)), "__reduce__": _reduce}

    def body(namespace: dict[str, Any]) -> None:
        namespace["__doc__"] = _docstring(text, parts)
        namespace["__module__"] = __name__
        noises = {name: Noise | None for name in fields if name.startswith("noise_")}
        namespace["__annotations__"] = {
            **dict.fromkeys(constants, ClassVar[Any]),
            **noises,
            **{name: Value for name in fields if name not in noises},
        }
        namespace.update(constants)
        namespace.update(fields)
        namespace.update(methods)

    return types.new_class(text.name, (NeuralMass,), {}, body)


def text_of(cls: type) -> Text | None:
    """What a class was made from, None for one that is written in Python."""
    found = vars(cls).get(RECORD)
    return found if isinstance(found, Text) else None


def instance_of(record: str, fields: dict[str, Any]) -> NeuralMass:
    """A model from the JSON record of its class and its fields: what a pickle of it holds."""
    return class_of(Text.of(json.loads(record)))(**fields)


def _reduce(self: NeuralMass) -> tuple[Any, ...]:
    text = text_of(type(self))
    assert text is not None
    fields = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
    return instance_of, (json.dumps(text.record()), fields)


def values_of(parts: Parts, text: Text, names: frozenset[str], self: Any, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
    """Numbers or arrays of the names that an expression reads, definitions worked out in their order."""
    needed = parts.needed(names)
    found = {n: getattr(s, n) for n in (*(v.name for v in text.states), *(p.name for p in text.past)) if n in needed}
    found |= {p[0]: getattr(self, p[0]) for p in text.parameters if p[0] in needed}
    found |= {i.name: getattr(u, i.name) for i in text.inputs if i.name in needed}
    for name, statement in parts.definitions.items():
        if name in needed:
            found[name] = evaluate(statement.value.tree, found)
    return found


def _drift(parts: Parts, text: Text) -> Callable[..., dict[str, Any]]:
    every = frozenset[str]().union(*(r.value.names for r in parts.rates.values()))

    def drift(self: NeuralMass, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        values = values_of(parts, text, every, self, s, u)
        return {v.name: evaluate(parts.rates[v.name].value.tree, values) + getattr(u, v.name) for v in text.states}

    return drift


def _output(parts: Parts, text: Text, name: str) -> Callable[..., Any]:
    expression = parts.outputs[name]

    def output(self: NeuralMass, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        return evaluate(expression.tree, values_of(parts, text, expression.names, self, s, u))

    return output


def _symbolic(parts: Parts, text: Text) -> Callable[[], dict[str, Any]]:
    def symbolic_() -> dict[str, Any]:
        """The right-hand sides as sympy expressions, by state, then those of the definitions, by name."""
        import sympy

        names = {*parts.definitions, *(s.name for s in text.states), *(p[0] for p in text.parameters)}
        symbols = {n: sympy.Symbol(n, real=True) for n in (*names, *(i.name for i in text.inputs), *(p.name for p in text.past))}
        rows = {**parts.rates, **parts.definitions}
        return {n: symbolic(r.value.tree, symbols) for n, r in rows.items()}

    return symbolic_


def _docstring(text: Text, parts: Parts) -> str:
    """The equations as they are typeset, and what each parameter means."""
    import sympy

    def typeset(name: str) -> str:
        try:
            return str(sympy.latex(made[name]))
        except RecursionError:  # a sum of very many terms
            return rf"\text{{{(parts.rates.get(name) or parts.definitions[name]).value.text}}}"

    made = _symbolic(parts, text)()
    rows = [rf"\dot{{{sympy.latex(sympy.Symbol(n))}}} &= {typeset(n)} + I_{{{n}}} \\" for n in parts.rates]
    rows += [rf"{sympy.latex(sympy.Symbol(n))} &= {typeset(n)} \\" for n in parts.definitions]
    lines = [f"    {n} : float, Quantity or DataArray\n        {meaning} [{unit}]." for n, _, unit, meaning in text.parameters]
    return "\n".join(
        [
            f"{text.name}, a model from equations.\n",
            "    .. math::",
            *(f"        {row}" for row in rows),
            "\n    Parameters\n    ----------",
            *lines,
        ]
    )


_TAKEN = frozenset(dir(NeuralMass)) | {RECORD, "symbolic", "seed", "weights", "distances", "speed", "coupling", "initial", "region", "time"}
