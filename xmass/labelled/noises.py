"""Noises with their labels: what a process needs is checked here, and its covariance becomes a matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core.alone import NoiseAlone
from xmass.core.model import NeuralMass, declared_parameters, noise_fields, replace
from xmass.core.noise import Noise
from xmass.labelled.parameters import Spec, carried_path
from xmass.labelled.parts import members_of
from xmass.labelled.schema import REGION, REGION_OTHER
from xmass.labelled.tracing import trace
from xmass.labelled.values import Dims, Value, to_value

_FEWEST = 10.0
"""Steps that the longest correlation time of coloured noise has at least."""


def check_noises(model: NeuralMass, direct: list[str]) -> None:
    """Every noise field holds a noise that fits its input; ``direct`` are the inputs that are added to a derivative."""
    for path, target, process in noise_fields(model):
        if not isinstance(process, Noise):
            raise TypeError(f"{path} is a {type(process).__name__}, needs a noise such as xm.WhiteNoise(sigma=0.01).")
        if process.white and target not in direct:
            fields = [f.name for f in dataclasses.fields(model) if f.name.startswith("noise_")]
            white = [n for n in fields if model.noise_targets.get(n, n.removeprefix("noise_")) in direct]
            other = f", or give it to {' or '.join(white)}" if white else ""
            raise ValueError(
                f"{path} is white noise on the input {target!r}, which is inside the equation; white noise is only defined where an input "
                f"is added to a derivative ({', '.join(direct)}). Take xm.OUProcess for {path}{other}."
            )
        for f in dataclasses.fields(process):
            if f.metadata.get("of_state"):
                _check_function(path, f.name, process, model)
        if process.covariance is not None and not isinstance(process.covariance, xr.DataArray):
            raise TypeError(
                f"{path}.covariance is a {type(process.covariance).__name__}, needs a DataArray over the regions: "
                "xr.DataArray(matrix, dims=('region', 'region_other'))."
            )


def _check_function(path: str, field: str, process: Noise, model: NeuralMass) -> None:
    """A function of the state of one region that gives one real number."""
    where, name, function = f"{path}.{field}", type(process).__name__, getattr(process, field)
    example = f"xm.{name}(sigma=0.1, {field}=lambda s: s.{model.states[0].name})"
    if not callable(function):
        raise TypeError(f"{where} is {function!r}, needs a function of the state: {example}. For noise of one size: xm.WhiteNoise.")
    states = {s.name: jax.ShapeDtypeStruct((), jnp.float32) for s in model.states}
    made = trace(lambda s: function(SimpleNamespace(**s)), states, where=where)
    dtype = np.result_type(made) if isinstance(made, bool | int | float) else getattr(made, "dtype", None)
    if dtype is None or dtype.kind not in "fiub":
        raise TypeError(f"{where} returns {dtype or type(made).__name__}, needs a real number: {example}.")
    if getattr(made, "shape", ()) != ():
        raise ValueError(
            f"{where} returns shape {made.shape}, needs one number: it is called with the state of one region, a number s.x for "
            f"each state. {example}."
        )


def alone(process: Noise) -> NoiseAlone:
    """The noise as a system of its own."""
    functions = [f.name for f in dataclasses.fields(process) if f.metadata.get("of_state")]
    if functions:
        name = type(process).__name__
        raise ValueError(
            f"system is an {name}, whose {functions[0]} is a function of a model's state: it has none alone. Give it to a model: "
            f"xm.LinearStep(noise_x=xm.{name}(...))."
        )
    return NoiseAlone(noise=process)


def check_noise_values(model: NeuralMass, values: dict[str, Value], dt: float) -> None:
    """Numbers that a process of its kind cannot have."""
    for path, _, process in noise_fields(model):
        for declared in declared_parameters(type(process)):
            name, array = declared.name, values[f"{path}.{declared.name}"].array
            if name == "sigma" and (array < 0).any():
                raise ValueError(f"{path}.sigma is {array.min():g}, needs a standard deviation of zero or more.")
            if name == "tau" and (array <= 0).any():
                raise ValueError(f"{path}.tau is {array.min():g} ms, needs a positive correlation time. For none: xm.WhiteNoise.")
            if name == "slowest" and (array < _FEWEST * dt * (1 - 1e-9)).any():
                raise ValueError(
                    f"{path}.slowest is {array.min():g} ms, needs at least {_FEWEST:g} steps, {_FEWEST * dt:g} ms: it is the longest "
                    "correlation time. For independent numbers in each step take xm.GaussianNoise."
                )
            if name == "exponent" and (np.abs(array) > 2).any():
                worst = float(array.ravel()[np.abs(array).argmax()])
                raise ValueError(f"{path}.exponent is {worst:g}, needs one from -2 (violet) over 0 to 2 (Brownian): power is 1/f^exponent.")


def check_carried(model: NeuralMass, given: Iterable[str]) -> None:
    """What a noise carries is given whole or not at all."""
    given = set(given)
    for path, _, process in noise_fields(model):
        paths = [carried_path(path, name) for name in process.carried]
        missing = [p for p in paths if p not in given]
        if 0 < len(missing) < len(paths):
            raise ValueError(
                f"initial lacks {missing}, and has the rest of what {path} carries. Give all of it or none: "
                f"initial.drop_vars({[p for p in paths if p in given]})."
            )


def not_a_parameter(model: NeuralMass, path: str) -> str:
    """Why ``path`` cannot be given to a run, where it is part of a noise; else empty."""
    name, _, part = path.rpartition(".")
    process = {p: process for p, _, process in noise_fields(model)}.get(name)
    if process is None or part not in {f.name for f in dataclasses.fields(process)}:
        return ""
    kind = type(process).__name__
    return (
        f"{part} is part of the noise, the same for all runs, and cannot be swept. Give it to the model: {name}=xm.{kind}(..., {part}=...)."
    )


def roots_of(model: NeuralMass, regions: np.ndarray) -> dict[str, np.ndarray]:
    """The symmetric root of the covariance of each noise that has one, by path, in the order of the regions."""
    found = {}
    for path, _, process in noise_fields(model):
        if process.covariance is not None:
            name, mine = f"{path}.covariance", members_of(model, path, regions)
            if mine is None:
                found[path] = _root(process.covariance, regions, name)
                continue
            found[path], where = np.zeros((len(regions), len(regions))), np.flatnonzero(np.isin(regions, mine))
            found[path][np.ix_(where, where)] = _root(_among(process.covariance, mine, regions), mine, name)
    return found


def _among(covariance: xr.DataArray, members: np.ndarray, regions: np.ndarray) -> xr.DataArray:
    """The covariance between the regions of one model, where it is given between all regions."""
    for dim in (d for d in (REGION, REGION_OTHER) if covariance.sizes.get(d) == len(regions)):
        if dim not in covariance.coords:
            covariance = covariance.isel({dim: np.flatnonzero(np.isin(regions, members))})
        elif set(regions.tolist()) <= set(covariance[dim].values.tolist()):
            covariance = covariance.sel({dim: members})
    return covariance


def _root(covariance: xr.DataArray, regions: np.ndarray, name: str) -> np.ndarray:
    other = [str(d) for d in covariance.dims if d not in (REGION, REGION_OTHER)]
    if other and {REGION, REGION_OTHER} <= set(covariance.dims):
        raise ValueError(
            f"{name} has the dims {covariance.dims}; it is one matrix for all runs and cannot be swept. Select one: .isel({other[0]}=0)."
        )
    matrix = to_value(covariance, Spec(name, covariance, "1", "covariance between regions", matrix=True), Dims(), regions).array
    scale = np.abs(matrix).max(initial=0.0)
    if np.abs(matrix - matrix.T).max() > 1e-9 * scale:
        i, j = np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape)
        raise ValueError(
            f"{name} is not symmetric: {matrix[i, j]:g} between {regions[i]} and {regions[j]}, {matrix[j, i]:g} the other way. If both are "
            "meant to be one number, take their mean: 0.5 * (c + c.transpose().values)."
        )
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    if values.min() < -1e-9 * scale * len(values):
        raise ValueError(
            f"{name} has the eigenvalue {values.min():g}, needs a matrix with none below zero: no noise has such a covariance. A sample "
            "covariance of signals has none."
        )
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T


def template(process: Noise) -> Noise:
    """The hashable form of a process that is part of a program."""
    return replace(process, {**{d.name: 0.0 for d in declared_parameters(type(process))}, "covariance": None})
