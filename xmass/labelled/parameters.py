"""Every parameter of a system by its dotted path, with value, unit and meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from xmass.core.model import NeuralMass, declared_parameters, noise_fields, parameter_value
from xmass.core.observe import Observation
from xmass.core.param import Param
from xmass.labelled.network import Network
from xmass.labelled.parts import members_of
from xmass.labelled.schema import DISTANCES, INITIAL, REGION, SPEED, WEIGHTS
from xmass.labelled.unit_names import parse, spell
from xmass.labelled.units import canonical, counted

System = NeuralMass | Network


class Spec(NamedTuple):
    """One parameter: where it is, what the system gives it, and what may be given."""

    path: str
    value: Any
    unit: str
    meaning: str
    matrix: bool = False
    per_run: bool = False
    """One number for each run, not for each region."""
    members: Any = None
    """Labels of the regions that have it; None: all."""
    inner: tuple[str, ...] = ()
    """Dims that belong to one run's value of it, where they are not ``region`` alone."""
    param: Param | None = None
    """What the system gives it, where that is a Param; ``value`` is the value that it counts as."""


def _spec(path: str, given: Any, unit: str, meaning: str, **more: Any) -> Spec:
    """A parameter that a system gives a value or a Param."""
    return Spec(path, counted(given), unit, meaning, param=given if isinstance(given, Param) else None, **more)


def node_of(system: System) -> NeuralMass:
    """The node model of a system."""
    return system.model if isinstance(system, Network) else system


def _of_input(unit: str, own: str) -> str:
    """A noise's unit: the word ``input`` stands for the unit of the input."""
    known = {
        "input": unit,
        "input*ms^0.5": {"1/ms": "1/ms^0.5", "1": "ms^0.5"}.get(unit, f"{unit}*ms^0.5"),
        "input/ms^0.5": {"1/ms": "1/ms^1.5", "1": "1/ms^0.5"}.get(unit, f"{unit}/ms^0.5"),
    }
    return known.get(own, own)


def _between(unit: str, source: str, target: str) -> str:
    """A coupling's unit: the words ``source`` and ``target`` stand for the units of what is sent and where it arrives."""
    if unit == "target/source" and source == target:
        return "1"
    known = {n: u if u.isalnum() else f"({u})" for n, u in (("source", source), ("target", target))}
    text = re.sub(r"\b(source|target)\b", lambda word: known[word[0]], unit)
    return unit if text == unit else canonical(text)


def unit_of(model: NeuralMass, name: str) -> str:
    """Unit of a state or output."""
    units = {s.name: s.unit for s in model.states} | {o.name: o.unit for o in model.outputs}
    return units[name]


def input_unit(model: NeuralMass, name: str) -> str:
    """Unit of an input."""
    return next(i.unit for i in model.inputs if i.name == name)


def system_parameters(system: System) -> dict[str, Spec]:
    """Parameters of the model, its noises, the couplings and the network, by path. Initial states are listed too."""
    model = node_of(system)
    regions = system.regions if isinstance(system, Network) else np.arange(0)

    def own(name: str) -> np.ndarray | None:
        return members_of(model, name, regions)

    specs = {
        d.name: _spec(d.name, parameter_value(model, d.name), d.unit, d.meaning, members=own(d.name)) for d in declared_parameters(model)
    }
    for path, target, process in noise_fields(model):
        unit = input_unit(model, target)
        for d in declared_parameters(type(process)):
            value = getattr(process, d.name)
            meaning = f"{d.meaning} of {path}"
            specs[f"{path}.{d.name}"] = _spec(f"{path}.{d.name}", value, _of_input(unit, d.unit), meaning, members=own(path))
    if isinstance(system, Network):
        for path, coupling in system.couplings.items():
            source, target = unit_of(model, coupling.source), input_unit(model, coupling.target)
            for d in declared_parameters(type(coupling)):
                unit = _between(d.unit, source, target)
                specs[f"{path}.{d.name}"] = _spec(f"{path}.{d.name}", getattr(coupling, d.name), unit, f"{d.meaning} of {path}")
        for prefix, connectome in system.connectomes.items():
            weights, distances, speed = (prefix + n for n in (WEIGHTS, DISTANCES, SPEED))
            specs[weights] = Spec(weights, connectome[WEIGHTS], "1", "onto region from region_other", matrix=True)
            if DISTANCES in connectome:
                specs[distances] = Spec(distances, connectome[DISTANCES], "mm", "length of the projection", matrix=True)
                specs[speed] = _spec(speed, system.speed_of(prefix), "mm/ms", "conduction speed; none: no delays", per_run=True)
    for state in model.states:
        path = f"{INITIAL}.{state.name}"
        specs[path] = Spec(path, state.initial, state.unit, f"initial value of {state.name}", members=own(state.name))
    for name in delayed_outputs(system):
        path = f"{INITIAL}.{name}"
        specs[path] = Spec(path, None, unit_of(model, name), f"past of {name}, which delayed couplings read", members=own(name))
    for path, target, process in noise_fields(model):
        for name, in_unit in process.carried.items():
            first, unit = carried_path(path, name), _of_input(input_unit(model, target), in_unit)
            specs[first] = Spec(first, None, unit, f"initial {name or 'value'} of {path}", members=own(path))
    return specs


def delayed_outputs(system: System) -> list[str]:
    """Outputs of the model whose past couplings may read."""
    if not isinstance(system, Network):
        return []
    states = {s.name for s in system.model.states}
    read = [c.source for path, c in system.couplings.items() if DISTANCES in system.connectomes[system.prefix_of(path)]]
    return [name for name in dict.fromkeys(read) if name not in states]


def carried_path(path: str, name: str) -> str:
    """Where the start of what a noise carries is given: under its own name what it calls ""."""
    return f"{INITIAL}.{path}.{name}" if name else f"{INITIAL}.{path}"


class Observed(NamedTuple):
    """An observation with what its place in a graph says of its parameters: unit and dim of its input, dim of its series."""

    observation: Observation
    unit: str
    input: str
    space: str


def observation_parameters(observed: Iterable[Observed]) -> dict[str, Spec]:
    """Parameters of observations under their names, and their initial states."""
    specs: dict[str, Spec] = {}
    for o, unit, given, space in observed:
        named = {"input": given, "space": space, "space_other": f"{space}_other"}
        for d in declared_parameters(o):
            path = f"{o.name}.{d.name}"
            inner = tuple(named[dim] for dim in d.dims)
            specs[path] = _spec(path, parameter_value(o, d.name), in_terms_of(d.unit, unit), f"{d.meaning} of {o.name}", inner=inner)
        for name in o.state_names:
            path = f"{INITIAL}.{o.name}.{name}"
            inner = (f"{o.name}_{name}", given) if name in o.state_sizes else ((given,) if given != REGION else ())
            specs[path] = Spec(path, None, "1", f"initial {name} of {o.name}", inner=inner)
    return specs


def in_terms_of(unit: str, source: str) -> str:
    """An observation's unit: the word ``source`` stands for the unit of what is observed; without one it is a bare number."""
    if not re.search(r"\bsource\b", unit):
        return unit
    return spell(parse(re.sub(r"\bsource\b", f"({source or '1'})", unit)))
