"""What a neural mass is: declared parameters, states, inputs and outputs, and one equation."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import equinox as eqx

Value = Any
"""A parameter: a number, an array, a quantity with unit, a DataArray, or a :class:`~xmass.core.param.Param`."""


class Uniform(NamedTuple):
    """An initial value drawn uniformly between ``low`` and ``high`` for every region, by the run's seed."""

    low: float
    high: float


class State(NamedTuple):
    """A state variable: name, initial value, unit, meaning and, optionally, the interval it is held in."""

    name: str
    initial: float | Uniform
    unit: str
    meaning: str = ""
    bounds: tuple[float, float] | None = None


class Input(NamedTuple):
    """A place where coupling, stimulus and noise may enter an equation."""

    name: str
    unit: str
    meaning: str = ""


class Output(NamedTuple):
    """A quantity derived from the state by the method of the same name, ``method(s, u)``.

    ``uses_input`` says that it reads ``u``, which costs one more evaluation of the coupling per step while it is monitored: the
    coupling is that of the state's own time, stimulus and coloured noise are those held over the step that led to the state.
    """

    name: str
    unit: str
    meaning: str = ""
    uses_input: bool = False


class Past(NamedTuple):
    """A state as it was some time ago, read by the equation as ``s.<name>``; ``delay`` is the parameter [ms] that says how long."""

    name: str
    state: str
    delay: str


class Declared(NamedTuple):
    """A parameter as its class declares it."""

    name: str
    default: Any
    unit: str
    meaning: str


def parameter(default: Any, unit: str, meaning: str) -> Any:
    """Declare a parameter of a model, coupling, noise or observation: its default, unit and meaning."""
    return eqx.field(default=default, metadata={"unit": unit, "meaning": meaning, "parameter": True})


def declared_parameters(cls: type) -> tuple[Declared, ...]:
    """The parameters that a class declares, in order."""
    return tuple(
        Declared(f.name, f.default, f.metadata["unit"], f.metadata["meaning"])
        for f in dataclasses.fields(cls)
        if f.metadata.get("parameter")
    )


def replace(module: Any, values: dict[str, Any]) -> Any:
    """A copy of a frozen module with some fields replaced, without running ``__init__`` or its checks."""
    new = object.__new__(type(module))
    for f in dataclasses.fields(module):
        object.__setattr__(new, f.name, values.get(f.name, getattr(module, f.name)))
    return new


def bound(module: Any, prefix: str, values: dict[str, Any]) -> Any:
    """The module with every declared parameter taken from ``values`` under ``prefix + name``."""
    return replace(module, {d.name: values[prefix + d.name] for d in declared_parameters(type(module))})


class NeuralMass(eqx.Module):
    """A node model. Fields declared with :func:`parameter` are parameters; ``drift`` is the equation.

    A subclass sets ``states`` and ``inputs`` and writes ``drift(s, u)``, which returns the time derivative of every
    state per millisecond. Every state has a direct input of its own name, which ``drift`` adds to its derivative, except those
    that are ``indirect``.
    """

    category: ClassVar[str] = ""
    use_case: ClassVar[str] = ""
    states: ClassVar[tuple[State, ...]] = ()
    inputs: ClassVar[tuple[Input, ...]] = ()
    outputs: ClassVar[tuple[Output, ...]] = ()
    indirect: ClassVar[tuple[str, ...]] = ()
    """States whose derivative takes no input; an input of such a name is inside an equation."""
    noise_targets: ClassVar[dict[str, str]] = {}
    """Input of each noise field whose name is not ``noise_<input>``."""
    past: ClassVar[tuple[Past, ...]] = ()
    """Delayed reads of the region's own states."""
    time_unit: ClassVar[str] = "ms"
    """Unit of time of ``drift`` and of the inputs: "ms" or "s"."""
    scheme: ClassVar[str] = ""
    """Name of the model's own scheme, which :meth:`step` is; empty: any ``method=`` of the Simulator."""

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        """Time derivative of each state, in its unit per ``time_unit``."""
        raise NotImplementedError(f"{type(self).__name__} must define drift(self, s, u).")

    def step(self, s: SimpleNamespace, u: SimpleNamespace, w: SimpleNamespace, dt: Any) -> dict[str, Any]:
        """The states after a step of ``dt`` (in ``time_unit``), for a model with a ``scheme`` of its own.

        ``w`` holds the white-noise increment of every state, 0 where there is none; ``u`` is held over the step.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(self, s, u, w, dt), or leave scheme empty.")


def per_ms(model: NeuralMass) -> float:
    """Units of time of the model in a millisecond."""
    return {"ms": 1.0, "s": 1e-3}[model.time_unit]


def noise_fields(model: NeuralMass) -> tuple[tuple[str, str, Any], ...]:
    """The noises of a model: field name, input and noise, for the fields ``noise_...`` that are set."""
    return tuple(
        (f.name, model.noise_targets.get(f.name, f.name.removeprefix("noise_")), getattr(model, f.name))
        for f in dataclasses.fields(model)
        if (f.name.startswith("noise_") or f.name in model.noise_targets) and getattr(model, f.name) is not None
    )


def time_field(default: Any = dataclasses.MISSING) -> Any:
    """A field that holds a length of time: a number of ms or a quantity."""
    return eqx.field(default=default, static=True, kw_only=True, metadata={"time": True})
