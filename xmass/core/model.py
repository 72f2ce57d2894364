"""What a neural mass is: declared parameters, states, inputs and outputs, and one equation."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

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
    """A parameter as its class declares it; ``dims`` are those of a matrix."""

    name: str
    default: Any
    unit: str
    meaning: str
    dims: tuple[str, ...] = ()


def parameter(default: Any, unit: str, meaning: str, *, dims: tuple[str, ...] = ()) -> Any:
    """Declare a parameter of a model, coupling, noise or observation: its default, unit and meaning.

    In the unit of an observation's parameter the word ``source`` stands for the unit of what is observed. ``dims`` says that the
    parameter of an observation is a matrix: ``"space"`` is the dim of its series, ``"space_other"`` that dim again, ``"input"`` the dim
    of what it observes. A matrix is an array ``(its entries, run)`` when it is used. Without a default (``...``) it must be given.
    """
    metadata = {"unit": unit, "meaning": meaning, "parameter": True, "dims": dims}
    return eqx.field(kw_only=True, metadata=metadata) if default is ... else eqx.field(default=default, metadata=metadata)


def part(default_factory: Any) -> Any:
    """Declare a field that holds a module whose parameters are those of the whole, under their own names."""
    return eqx.field(default_factory=default_factory, kw_only=True, metadata={"part": True})


def _parts(module: Any) -> list[Any]:
    """The modules that are fields of this one; none of a class."""
    found = [] if isinstance(module, type) else [f for f in dataclasses.fields(module) if f.metadata.get("part")]
    return [getattr(module, f.name) for f in found]


def declared_parameters(of: Any) -> tuple[Declared, ...]:
    """The parameters that a class or an object declares, in order; of several models by ``<model>.<parameter>``."""
    if isinstance(of, Mixed):
        return tuple(d._replace(name=f"{key}.{d.name}") for key, model in of.parts for d in declared_parameters(model))
    own = tuple(
        Declared(f.name, f.default, f.metadata["unit"], f.metadata["meaning"], f.metadata["dims"])
        for f in dataclasses.fields(of)
        if f.metadata.get("parameter")
    )
    return own + tuple(d for inner in _parts(of) for d in declared_parameters(inner))


def parameter_value(module: Any, name: str) -> Any:
    """The value of a parameter by its declared name."""
    if isinstance(module, Mixed):
        key, _, own = name.partition(".")
        return getattr(dict(module.parts)[key], own)
    inner = next((p for p in _parts(module) if name in (d.name for d in declared_parameters(p))), None)
    return getattr(module, name) if inner is None else parameter_value(inner, name)


def replace(module: Any, values: dict[str, Any]) -> Any:
    """A copy of a frozen module with some fields replaced, without running ``__init__`` or its checks."""
    if isinstance(module, Mixed):
        parts = tuple((key, replace(model, _own(values, key))) for key, model in module.parts)
        return Mixed(parts, module.members)
    new = object.__new__(type(module))
    for f in dataclasses.fields(module):
        value = values.get(f.name, getattr(module, f.name))
        if f.metadata.get("part") and f.name not in values:
            value = replace(value, {d.name: values[d.name] for d in declared_parameters(value) if d.name in values})
        object.__setattr__(new, f.name, value)
    return new


def bound(module: Any, prefix: str, values: dict[str, Any]) -> Any:
    """The module with every declared parameter taken from ``values`` under ``prefix + name``."""
    return replace(module, {d.name: values[prefix + d.name] for d in declared_parameters(module)})


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


class Mixed(NeuralMass):
    """Several models, each of some regions: names of states, inputs, outputs, parameters and noises are ``<model>.<name>``.

    Every equation is evaluated in every region; :meth:`kept` keeps what belongs to another model where it was.
    """

    parts: tuple[tuple[str, NeuralMass], ...]
    members: tuple[tuple[bool, ...], ...] = eqx.field(static=True)
    """Of each model, which regions it has."""

    @property
    def states(self) -> tuple[State, ...]:  # type: ignore[override]
        """States of all models."""
        return tuple(s._replace(name=f"{key}.{s.name}") for key, model in self.parts for s in model.states)

    @property
    def inputs(self) -> tuple[Input, ...]:  # type: ignore[override]
        """Inputs of all models."""
        return tuple(i._replace(name=f"{key}.{i.name}") for key, model in self.parts for i in model.inputs)

    @property
    def outputs(self) -> tuple[Output, ...]:  # type: ignore[override]
        """Outputs of all models."""
        return tuple(o._replace(name=f"{key}.{o.name}") for key, model in self.parts for o in model.outputs)

    @property
    def past(self) -> tuple[Past, ...]:  # type: ignore[override]
        """Delayed reads of all models."""
        return tuple(Past(*(f"{key}.{part}" for part in p)) for key, model in self.parts for p in model.past)

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        """Derivatives of all states, per ms."""
        rates: dict[str, Any] = {}
        for key, model in self.parts:
            made = model.drift(SimpleNamespace(**_own(vars(s), key)), SimpleNamespace(**_own(vars(u), key)))
            scale = per_ms(model)
            rates |= {f"{key}.{name}": rate if scale == 1.0 else scale * rate for name, rate in made.items()}
        return rates

    def kept(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        """``new`` states in the regions of each model, ``old`` ones elsewhere."""
        return {name: jnp.where(self.mask(name)[:, None], new[name], old[name]) for name in new}

    def apart(self, s: dict[str, Any]) -> dict[str, Any]:
        """States ``(..., region, run)`` with NaN in the regions of other models."""
        return {name: jnp.where(self.mask(name)[:, None], value, jnp.nan) for name, value in s.items()}

    def mask(self, name: str) -> np.ndarray:
        """Which regions have the state, output or input ``name``."""
        key = name.partition(".")[0]
        return np.array(next(m for (own, _), m in zip(self.parts, self.members, strict=True) if own == key))


def _own(values: dict[str, Any], key: str) -> dict[str, Any]:
    """What belongs to one model, by its own names."""
    return {name.partition(".")[2]: value for name, value in values.items() if name.partition(".")[0] == key}


def models_of(model: NeuralMass) -> tuple[NeuralMass, ...]:
    """The model, or the several that it is made of."""
    return tuple(part for _, part in model.parts) if isinstance(model, Mixed) else (model,)


def part_of(model: NeuralMass, name: str) -> NeuralMass:
    """The model that has the state, input, output or noise ``name``: itself, or one of several."""
    return dict(model.parts)[name.partition(".")[0]] if isinstance(model, Mixed) else model


def seen_by(model: NeuralMass, name: str, s: dict[str, Any]) -> SimpleNamespace:
    """The states of the model that has ``name``, by its own names."""
    return SimpleNamespace(**(_own(s, name.partition(".")[0]) if isinstance(model, Mixed) else s))


def evaluate(model: NeuralMass, output: str, s: dict[str, Any], u: SimpleNamespace | None) -> Any:
    """An output of a model."""
    if isinstance(model, Mixed):
        key, _, own = output.partition(".")
        inner = None if u is None else SimpleNamespace(**_own(vars(u), key))
        return getattr(dict(model.parts)[key], own)(SimpleNamespace(**_own(s, key)), inner)
    return getattr(model, output)(SimpleNamespace(**s), u)


def nested(s: dict[str, Any]) -> SimpleNamespace:
    """States as a function of them sees them: ``s.x``, or ``s.hopf.x`` of several models."""
    keys = dict.fromkeys(name.partition(".")[0] for name in s if "." in name)
    return SimpleNamespace(**{n: v for n, v in s.items() if "." not in n}, **{k: SimpleNamespace(**_own(s, k)) for k in keys})


def per_ms(model: NeuralMass) -> float:
    """Units of time of the model in a millisecond."""
    return {"ms": 1.0, "s": 1e-3}[model.time_unit]


def noise_fields(model: NeuralMass) -> tuple[tuple[str, str, Any], ...]:
    """The noises of a model: field name, input and noise, for the fields ``noise_...`` that are set."""
    if isinstance(model, Mixed):
        found = ((key, *field) for key, part in model.parts for field in noise_fields(part))
        return tuple((f"{key}.{path}", f"{key}.{target}", process) for key, path, target, process in found)
    return tuple(
        (f.name, model.noise_targets.get(f.name, f.name.removeprefix("noise_")), getattr(model, f.name))
        for f in dataclasses.fields(model)
        if (f.name.startswith("noise_") or f.name in model.noise_targets) and getattr(model, f.name) is not None
    )


def time_field(default: Any = dataclasses.MISSING) -> Any:
    """A field that holds a length of time: a number of ms or a quantity."""
    return eqx.field(default=default, static=True, kw_only=True, metadata={"time": True})
