"""Neural masses as a layer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import initializers

from xmass.core.integrate import SCHEMES
from xmass.core.model import Mixed, NeuralMass, State, Uniform, declared_parameters, evaluate, noise_fields, per_ms
from xmass.labelled.suggest import nearest
from xmass.labelled.unit_names import parse, spell, times
from xmass.training.recurrent import GLOROT, check_initialisers, check_units, check_values
from xmass.training.sequential import Arrays, Initializer, Record, Recurrent, Weight

States = dict[str, jax.Array]


def _pairs(given: Any) -> tuple[tuple[str, float], ...]:
    """Initial values by state, as something that does not change."""
    if not isinstance(given, Mapping | tuple):
        raise TypeError(f"initial is a {type(given).__name__}, needs values by state: initial={{'rE': 0.1}}.")
    for name, value in dict(given).items():
        if not np.isscalar(value) or isinstance(value, str | bool) or not np.isfinite(value):
            raise TypeError(f"initial[{name!r}] is {value!r}, needs a finite number in the unit of the state: initial={{{name!r}: 0.1}}.")
    return tuple((str(name), float(value)) for name, value in dict(given).items())


def _uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any, *, low: float, high: float) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, low, high)


class MassLayer(Recurrent):
    r"""Neural masses that are driven by the inputs and by each other: a model of the library as a layer.

    Every unit is one mass. One of the model's inputs gets :math:`x_t W_x + b + o W_h`, where o is the layer's
    output, a state or output of the model. The inputs are held over a sample; the recurrent sum is evaluated wherever the scheme evaluates
    the derivative, as an undelayed coupling of a :class:`xmass.Simulator` is. The model's other inputs are 0.

    Parameters
    ----------
    model : NeuralMass
        The model, without noise and delays. A parameter is one number for all units, or a plain array with one for each. Parameters are
        held, but for those given as :class:`xmass.Param`, one number each, which are trained with the weights within their bounds. A
        DataArray trains a network for each of its values. Their names are ``<layer>.<parameter>``.
    units : int
        How many masses.
    input : str
        Which input of the model is driven.
    output : str
        Which state or output of the model leaves the layer.
    recurrent, bias : bool
        Whether there are :math:`W_h` and b.
    method : str, optional
        Integration scheme, "heun" by default; a model with a scheme of its own takes no other.
    substeps : int
        Steps between two samples. The models' time is ms: data must have time in a unit of time.
    initial : mapping
        Where states start, numbers in their own units; by default as the model says. What the model draws is drawn with the weights, once.
    train_initial : bool
        Whether the states before the first sample are trained, one value for each unit and state.
    input_init, recurrent_init, bias_init : callable
        Initialisers ``(key, shape, dtype)``, by default Glorot's normal one and zeros.

    Raises
    ------
    ValueError, TypeError
        For something that is no model, a model with noise, delayed states or several parts, an input, output, state or method that there
        is not, a number of units or substeps that is no positive whole number.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import xmass as xm
    >>> layer = xm.training.MassLayer(xm.WilsonCowanStep(), 8, input="e", output="rE", substeps=10)
    >>> net = xm.training.Sequential(layer)
    >>> y, records = net.apply(net.init(2, jax.random.key(0)), jnp.ones((50, 3, 2)), 1.0)  # time, batch, input
    >>> y.shape, sorted(records)
    ((50, 3, 8), ['masslayer.rE', 'masslayer.rI'])
    """

    uses_time: ClassVar[bool] = True

    model: NeuralMass = eqx.field(metadata={"part": True})
    units: int = eqx.field(static=True)
    input: str = eqx.field(static=True, kw_only=True)
    output: str = eqx.field(static=True, kw_only=True)
    recurrent: bool = eqx.field(default=True, static=True, kw_only=True)
    bias: bool = eqx.field(default=True, static=True, kw_only=True)
    method: str | None = eqx.field(default=None, static=True, kw_only=True)
    substeps: int = eqx.field(default=1, static=True, kw_only=True)
    initial: Mapping[str, float] | tuple[tuple[str, float], ...] = eqx.field(default=(), static=True, kw_only=True, converter=_pairs)
    train_initial: bool = eqx.field(default=False, static=True, kw_only=True)
    input_init: Initializer = eqx.field(default=GLOROT, static=True, kw_only=True)
    recurrent_init: Initializer = eqx.field(default=GLOROT, static=True, kw_only=True)
    bias_init: Initializer = eqx.field(default=initializers.zeros, static=True, kw_only=True)

    def __check_init__(self) -> None:
        _check_model(self.model)
        check_units(self, self.units)
        check_units(self, self.substeps, "substeps")
        check_values(self.model, self.units)
        check_initialisers(input_init=self.input_init, recurrent_init=self.recurrent_init, bias_init=self.bias_init)
        kind, states = type(self.model).__name__, [s.name for s in self.model.states]
        _check_name("input", self.input, [i.name for i in self.model.inputs], kind)
        _check_name("output", self.output, [*states, *(o.name for o in self.model.outputs)], kind)
        for name in dict(self.initial):
            _check_name("initial names", name, states, kind)
        if self.recurrent and self._reads_input:
            raise ValueError(
                f"output={self.output!r} reads the input that the recurrent weights would make of it. Take a state, "
                f"output={states[0]!r}, or recurrent=False."
            )
        own, schemes = self.model.scheme, ", ".join(map(repr, SCHEMES))
        if self.method is not None and (own or self.method not in SCHEMES):
            needs = f"{kind} has a scheme of its own, {own!r}: leave method out." if own else f"needs one of {schemes}."
            raise ValueError(f"method={self.method!r}, {needs}")
        taken = {"input", "recurrent", "bias", *(f.name for f in dataclasses.fields(self))}
        for d in declared_parameters(self.model):
            if d.name in taken:
                raise ValueError(f"{kind} has a parameter {d.name!r}, which is a name of the layer's own: call the parameter otherwise.")

    @property
    def records(self) -> tuple[Record, ...]:  # type: ignore[override]
        """The states, and the output if it is none of them."""
        made = [Record(o.name, o.unit, o.meaning) for o in self.model.outputs if o.name == self.output]
        return (*(Record(s.name, s.unit, s.meaning) for s in self.model.states), *made)

    @property
    def _reads_input(self) -> bool:
        return any(o.uses_input for o in self.model.outputs if o.name == self.output)

    def size(self, inputs: int) -> int:
        """The number of units."""
        return self.units

    def weights(self, inputs: int) -> dict[str, Weight]:
        """``input (input, unit)``, ``recurrent (unit_from, unit)``, ``bias (unit)``, and ``initial_<state> (unit)`` of states that are
        drawn or trained."""
        n = self.units
        into = next(i.unit for i in self.model.inputs if i.name == self.input)
        out = next(r.unit for r in self.records if r.name == self.output)
        found = {"input": Weight(("input", "unit"), (inputs, n), self.input_init, into)}
        if self.recurrent:
            unit = spell(times(parse(into), parse(out), -1))
            found["recurrent"] = Weight(("unit_from", "unit"), (n, n), self.recurrent_init, unit)
        if self.bias:
            found["bias"] = Weight(("unit",), (n,), self.bias_init, into)
        for state in self.model.states:
            start = self._begins(state)
            if self.train_initial or isinstance(start, Uniform):
                drawn = isinstance(start, Uniform)
                init = functools.partial(_uniform, low=start.low, high=start.high) if drawn else initializers.constant(start)
                found[f"initial_{state.name}"] = Weight(("unit",), (n,), init, state.unit, not self.train_initial)
        return found

    def _begins(self, state: State) -> Any:
        """Where a state starts: a number, or the interval that it is drawn from."""
        return dict(self.initial).get(state.name, state.initial)

    def start(self, w: Arrays, batch: int, dtype: Any) -> States:
        """The initial state of every series."""
        shape = (batch, self.units)
        begin = {s.name: w.get(f"initial_{s.name}", self._begins(s)) for s in self.model.states}
        return self._held({name: jnp.broadcast_to(jnp.asarray(value, dtype), shape) for name, value in begin.items()})

    def drive(self, w: Arrays, x: jax.Array) -> jax.Array:
        """``x W + b`` at all times."""
        return x @ w["input"] + w["bias"] if self.bias else x @ w["input"]

    def step(self, w: Arrays, state: States, drive: jax.Array, dt: Any) -> tuple[States, jax.Array, Arrays]:
        """The states after one sample."""
        advance = functools.partial(self._advance, w, drive, dt / self.substeps)
        state = advance(state) if self.substeps == 1 else lax.fori_loop(0, self.substeps, lambda _, s: advance(s), state)
        y = self._output(state, drive)
        return state, y, state if self.output in state else state | {self.output: y}

    def _advance(self, w: Arrays, drive: jax.Array, dt: Any, state: States) -> States:
        """One step of the scheme."""
        model, scale = self.model, per_ms(self.model)

        def arrived(s: States) -> SimpleNamespace:
            total = drive + self._output(s, drive) @ w["recurrent"] if self.recurrent else drive
            return SimpleNamespace(**{i.name: total if i.name == self.input else 0.0 for i in model.inputs})

        def derivative(s: States, stage: float) -> States:
            rates = model.drift(SimpleNamespace(**s), arrived(s))
            return {n: jnp.broadcast_to(rates[n] if scale == 1.0 else scale * rates[n], s[n].shape) for n in s}

        if model.scheme:
            still = SimpleNamespace(**dict.fromkeys(state, 0.0))
            made = model.step(SimpleNamespace(**state), arrived(state), still, dt if scale == 1.0 else scale * dt)
        else:
            made = SCHEMES[self.method or "heun"](derivative, state, dt, {})
        return self._held({n: jnp.broadcast_to(made[n], state[n].shape) for n in state})

    def _output(self, s: States, drive: jax.Array) -> jax.Array:
        if self.output in s:
            return s[self.output]
        u = SimpleNamespace(**{i.name: drive if i.name == self.input else 0.0 for i in self.model.inputs})
        return jnp.broadcast_to(evaluate(self.model, self.output, s, u), drive.shape)

    def _held(self, s: States) -> States:
        """States within the bounds that the model declares."""
        return {b.name: s[b.name] if b.bounds is None else jnp.clip(s[b.name], *b.bounds) for b in self.model.states}


def _check_model(model: Any) -> None:
    """Refuse what is no single model, has noise, or reads its past."""
    if isinstance(model, type) and issubclass(model, NeuralMass):
        raise TypeError(f"came the class {model.__name__}, needs a model: xm.training.MassLayer(xm.{model.__name__}(), ...).")
    if not isinstance(model, NeuralMass):
        raise TypeError(
            f"came a {type(model).__name__}, needs the model of one mass: xm.training.MassLayer(xm.WilsonCowanStep(), 32, input='e', "
            "output='rE'). What couples masses here is trained; a connectome is no part of it."
        )
    kind = type(model).__name__
    if isinstance(model, Mixed):
        raise TypeError("came several models, needs one: make a layer of each, one after another in xm.training.Sequential.")
    if noise_fields(model):
        raise ValueError(f"{kind} has {noise_fields(model)[0][0]}, and a layer is without noise: leave it out, or add noise to the data.")
    if model.past:
        raise ValueError(
            f"{kind} reads {model.past[0].state} as it was {model.past[0].delay} ago, and a layer keeps no past: take a model without "
            "delays of its own."
        )


def _check_name(what: str, name: Any, known: list[str], kind: str) -> None:
    if name not in known:
        raise ValueError(f"{what} {name!r}, which {kind} has not{nearest(str(name), known)}")
