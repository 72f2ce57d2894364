"""A model from equations given as text, with units: the public call."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

from xmass.core.model import Input, NeuralMass, Past, State, Uniform
from xmass.labelled.dimensions import check_dimensions
from xmass.labelled.suggest import nearest
from xmass.labelled.units import canonical, in_unit
from xmass.models.equations import Parts, Text, class_of, read_text, states_in, values_of
from xmass.models.expression import Expression, evaluate, name_fault


class _Said(NamedTuple):
    """What ``units`` and ``meanings`` say of each name."""

    units: dict[str, str]
    meanings: dict[str, str]

    def unit(self, name: str, default: str = "1") -> str:
        return canonical(self.units.get(name, default))

    def meaning(self, name: str, default: str) -> str:
        return str(self.meanings.get(name, default))


def model_from_equations(
    equations: str,
    *,
    states: Mapping[str, Any] | Sequence[State] | None = None,
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | Sequence[Input] | None = None,
    outputs: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    meanings: Mapping[str, str] | None = None,
    past: Sequence[Past] = (),
    name: str = "EquationModel",
    time_unit: Literal["ms", "s"] = "ms",
    category: str = "",
    use_case: str = "",
) -> type[NeuralMass]:
    """A model class from equations given as text; it works wherever a class written by hand does.

    The text is never executed: Python's parser reads it, every part of it must be on a short list (numbers, names, ``+ - * / **``,
    brackets, ``exp log sqrt sin cos tan sinh cosh tanh atan abs sign max min sigmoid heaviside``, ``where(condition, a, b)`` and
    ``piecewise(a, condition, b, condition, ..., otherwise)`` with ``< <= > >= and or not``, ``pi``), and it is evaluated in the
    order in which it is written. The record of a run holds the equations, so :func:`xmass.rerun` needs nothing else.

    Parameters
    ----------
    equations : str
        One line ``dx/dt = ...`` for each state, and lines ``name = ...`` for parts that later lines read; separated by new
        lines or semicolons, ``#`` begins a comment. Each state's direct input is added to its derivative.
    states : mapping of str to initial value, or sequence of State, optional
        Initial values, numbers or :class:`Uniform`; by default the states of the equations start at 0.
    parameters : mapping of str to number, Quantity or :func:`parameter`, optional
        Defaults. A quantity brings its unit, ``xm.parameter(0.25, "1/ms", "distance")`` its unit and meaning.
    inputs : mapping of str to unit, or sequence of Input, optional
        Inputs inside equations, by names of their own.
    outputs : mapping of str to str, optional
        Derived quantities, each an expression; they can be monitored and coupled.
    units, meanings : mapping of str to str, optional
        Units and meanings of states, parameters and outputs; without a unit a number.
    past : sequence of Past, optional
        Delayed reads of the region's own states.
    name : str
        Name of the class.
    time_unit : {"ms", "s"}
        Unit of time of the derivatives.
    category, use_case : str, optional
        What the class says of itself.

    Returns
    -------
    type
        A subclass of :class:`NeuralMass` with a field for each parameter and ``noise_<input>`` for each input;
        ``Model.symbolic()`` is its right-hand sides as sympy expressions.

    Raises
    ------
    ValueError
        For text that is not such equations, with line, column and a mark; for names that are not declared, declared twice or not used;
        for equations whose units do not match, with the equation.
    KeyError
        If ``units`` or ``meanings`` has a name that does not exist.
    TypeError
        For arguments of another type.

    Examples
    --------
    >>> import xmass as xm
    >>> Hopf = xm.model_from_equations(
    ...     "r2 = x**2 + y**2; dx/dt = (a - beta*r2)*x - w*y; dy/dt = (a - beta*r2)*y + w*x",
    ...     parameters={"a": 0.25, "beta": 1.0, "w": 0.3},
    ...     units={"a": "1/ms", "beta": "1/ms", "w": "rad/ms"},
    ...     name="Hopf",
    ... )
    >>> run = xm.Simulator(Hopf(a=0.1), dt=0.1).run(20.0, initial={"x": 0.1})
    >>> dict(run.sizes)
    {'time': 200, 'region': 1}
    """
    if not isinstance(equations, str):
        raise TypeError(f"equations is a {type(equations).__name__}, needs text: 'dx/dt = -x/tau'.")
    if fault := name_fault(name):
        raise ValueError(f"name: {fault}.")
    if time_unit not in ("ms", "s"):
        raise ValueError(f"time_unit={time_unit!r}, needs 'ms' or 's'.")
    said = _Said(dict(units or {}), dict(meanings or {}))
    own = tuple(_state(s, said) for s in _given_states(equations, states))
    made = Text(
        name=name,
        equations="\n".join(line.rstrip() for line in equations.strip("\n").split("\n")),
        states=own,
        rate_units=tuple(canonical(f"1/{time_unit}" if s.unit == "1" else f"({s.unit})/{time_unit}") for s in own),
        inputs=_inputs(inputs, said),
        parameters=tuple(_parameter(n, v, said) for n, v in _items(parameters, "parameters")),
        outputs=tuple((n, _text(n, e), said.unit(n), said.meaning(n, e)) for n, e in _items(outputs, "outputs")),
        past=tuple(past),
        time_unit=time_unit,
        category=category,
        use_case=use_case,
    )
    known = {s.name for s in made.states} | {i.name for i in made.inputs} | {p[0] for p in made.parameters} | {o[0] for o in made.outputs}
    for argument, names in (("units", said.units), ("meanings", said.meanings)):
        for n in names:
            if n not in known:
                raise KeyError(f"{argument} has {n!r}, which is not declared{nearest(n, sorted(known))}")
    parts = read_text(made)
    cls = class_of(made)
    _check_units(made, parts, cls.inputs)
    return cls


def _items(given: Mapping[str, Any] | None, argument: str) -> Iterable[tuple[str, Any]]:
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"{argument} is a {type(given).__name__}, needs a mapping: {argument}={{'a': ...}}.")
    return [(str(n), v) for n, v in (given or {}).items()]


def _given_states(equations: str, states: Any) -> list[State]:
    if states is None:
        return [State(n, 0.0, "1") for n in states_in(equations)]
    if isinstance(states, Mapping):
        return [State(str(n), v, "1") for n, v in states.items()]
    if isinstance(states, str) or not isinstance(states, Sequence) or not all(isinstance(s, State) for s in states):
        raise TypeError(f"states is {states!r}, needs initial values by name, states={{'x': 0.1}}, or a list of xm.State.")
    return list(states)


def _state(state: State, said: _Said) -> State:
    unit = said.unit(state.name, state.unit)
    initial = state.initial if isinstance(state.initial, Uniform) else in_unit(state.initial, unit, f"states[{state.name!r}]")
    return State(state.name, initial, unit, said.meaning(state.name, state.meaning or f"state {state.name}"), state.bounds)


def _inputs(inputs: Any, said: _Said) -> tuple[Input, ...]:
    if isinstance(inputs, Mapping):
        return tuple(Input(str(n), canonical(unit), said.meaning(n, f"input {n}")) for n, unit in inputs.items())
    if isinstance(inputs, str) or not isinstance(inputs or (), Sequence) or not all(isinstance(i, Input) for i in inputs or ()):
        raise TypeError(f"inputs is {inputs!r}, needs units by name, inputs={{'drive': 'mV'}}, or a list of xm.Input.")
    return tuple(inputs or ())


def _parameter(name: str, given: Any, said: _Said) -> tuple[str, float, str, str]:
    unit, meaning = "1", f"parameter {name}"
    if isinstance(given, dataclasses.Field):
        unit, meaning, given = given.metadata["unit"], given.metadata["meaning"], given.default
    elif (own := getattr(given, "unit", getattr(given, "units", None))) is not None and name not in said.units:
        unit = canonical(own)
    unit = said.unit(name, unit)
    return name, in_unit(given, unit, name), unit, said.meaning(name, meaning)


def _text(name: str, expression: Any) -> str:
    if not isinstance(expression, str):
        raise TypeError(f"outputs[{name!r}] is a {type(expression).__name__}, needs text: outputs={{{name!r}: 'x - y'}}.")
    return expression.strip()


def _check_units(text: Text, parts: Parts, inputs: Iterable[Input]) -> None:
    """Units of every line by itself, so that an error names it."""
    numbers = {n: unit for n, _, unit, _ in text.parameters}
    states = {s.name: s.unit for s in text.states}
    states |= {p.name: states[p.state] for p in text.past}
    driven = {i.name: i.unit for i in inputs}
    rows = [(s.name, parts.rates[s.name].line, parts.rates[s.name].value, u) for s, u in zip(text.states, text.rate_units, strict=True)]
    rows += [(n, f"outputs[{n!r}] = {e}", parts.outputs[n], unit) for n, e, unit, _ in text.outputs]
    for name, line, expression, unit in rows:

        def row(p: dict, s: dict, u: dict, name: str = name, expression: Expression = expression) -> dict[str, Any]:
            values = values_of(parts, text, expression.names, *(SimpleNamespace(**v) for v in (p, s, u)))
            return {name: jnp.asarray(evaluate(expression.tree, values))}

        try:
            check_dimensions(row, (numbers, states, driven), {name: unit}, where=f"{text.name}, {line}")
        except ArithmeticError as error:
            raise ValueError(f"{text.name}, {line}: a number in it cannot be worked out ({error}).") from None
