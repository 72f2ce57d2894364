"""Parameters that may be fitted: found in a system and its monitors, and checked, in the units that they are declared in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core.model import declared_parameters, parameter_value
from xmass.core.observe import Observation
from xmass.core.param import Param, log_prior, penalty
from xmass.core.transform import Invertible, transform_of
from xmass.labelled.monitors import Monitors, as_mapping
from xmass.labelled.parameters import Spec, System, node_of, system_parameters
from xmass.labelled.schema import INITIAL
from xmass.labelled.tracing import trace
from xmass.labelled.units import counted, to_declared
from xmass.labelled.values import check_dims

_SIDES = ("lower", "upper")


def free_parameters(system: System, monitors: Monitors = None, *, initial: Any = None) -> dict[str, Param]:
    """Every Param with ``fit=True`` in a system and in the observations of some monitors, by path, as it was given.

    Parameters
    ----------
    system : NeuralMass or Network
        Its models, noises, couplings and speeds are searched.
    monitors : list or mapping, optional
        As a run takes them; observations are searched, and what they observe.
    initial : mapping, optional
        Initial states, as a run takes them.

    Raises
    ------
    ValueError
        If observations of one name hold different Params under one path.

    Examples
    --------
    >>> import xmass as xm
    >>> node = xm.HopfStep(a=xm.Param(0.1, bounds=(-1, 1)), w=xm.Param(0.3, fit=False))
    >>> free_parameters(node)
    {'a': Param(0.1, bounds=(-1, 1))}
    """
    found = {path: spec.param for path, spec in system_parameters(system).items() if spec.param is not None}
    for path, param in _observed(monitors, system):
        if found.setdefault(path, param) is not param:
            raise ValueError(f"{path} is given by two Params, of two observations of one name. Give both the same, or one another name=.")
    for name, value in initial.items() if isinstance(initial, Mapping) and not isinstance(initial, xr.Dataset) else ():
        if isinstance(value, Param):
            found[str(name) if str(name).startswith(f"{INITIAL}.") else f"{INITIAL}.{name}"] = value
    return {path: param for path, param in found.items() if param.fit}


def _observed(monitors: Monitors, system: System) -> Iterator[tuple[str, Param]]:
    """The Params of observations, and of what they observe."""
    if monitors is None:
        return
    for what in as_mapping(monitors, [s.name for s in node_of(system).states]).values():
        while isinstance(what, Observation):
            for d in declared_parameters(what):
                value = parameter_value(what, d.name)
                if isinstance(value, Param):
                    yield f"{what.name}.{d.name}", value
            what = what.of


def declared(path: str, param: Param, spec: Spec | None = None) -> Param:
    """The same in plain numbers of the declared unit: value, bounds and prior are numbers or DataArrays.

    Parameters
    ----------
    path : str
        What the errors call it.
    param : Param
        As it was given.
    spec : Spec, optional
        What the system says of the parameter. Without one it is a number without a unit, over any dims.

    Raises
    ------
    TypeError, ValueError
        If the value, a bound or the prior has another unit or is not finite; if the bounds are not in order or the value is outside;
        for a dim that the parameter may not have; if the transform cannot keep the bounds; if transform, prior or regularisation
        cannot be traced.

    Examples
    --------
    >>> import brainunit as u
    >>> import xmass as xm
    >>> spec = Spec("tau", 1.0, "ms", "time constant")
    >>> declared("tau", xm.Param(0.02 * u.second, bounds=(1.0, 0.1 * u.second)), spec)
    Param(20.0, bounds=(1.0, 100.0))
    """
    unit = "1" if spec is None else spec.unit
    value = _plain(counted(param), unit, path)
    own = tuple(map(str, value.dims)) if isinstance(value, xr.DataArray) else ()
    dims = (*own, *(d for d in param.dims if d not in own))
    if spec is not None and (dims or spec.matrix):
        check_dims(dims, spec)
    low, high = (_bound(b, side, dims, unit, path) for b, side in zip(param.bounds or (None, None), _SIDES, strict=True))
    _check_order(path, value, low, high)
    prior = param.prior
    for name in getattr(prior, "with_unit", ()):
        number = _plain(getattr(prior, name), unit, f"{name} of the prior of {path}")
        prior = dataclasses.replace(prior, **{name: number})
    bounds = None if low is None and high is None else (low, high)
    found = dataclasses.replace(param, value=value, bounds=bounds, prior=prior, dims=tuple(d for d in param.dims if d not in own))
    _check_code(path, found)
    return found


def _plain(given: Any, unit: str, name: str) -> float | xr.DataArray:
    """A finite number, or a DataArray of them, in the unit."""
    value = to_declared(given, unit, name)
    if not isinstance(value, xr.DataArray):
        if value.ndim:
            raise ValueError(
                f"{name} is an array of shape {value.shape} without dims. Say what it runs over: xr.DataArray(values, dims='region'), or "
                "dims=('region',)."
            )
        value = float(value)
    if not np.isfinite(np.asarray(value)).all():
        raise ValueError(f"{name} holds NaN or infinity, needs finite numbers.")
    return value


def _bound(given: Any, side: str, dims: tuple[str, ...], unit: str, path: str) -> float | xr.DataArray | None:
    """A bound in the unit; None where there is none."""
    name = f"the {side} bound of {path}"
    if given is None:
        return None
    value = to_declared(given, unit, name)
    if not isinstance(value, xr.DataArray) and value.ndim and value.ndim == len(dims):
        value = xr.DataArray(value, dims=dims)
    if not isinstance(value, xr.DataArray) and not value.ndim and np.isinf(value):
        if (value > 0) != (side == "upper"):
            raise ValueError(f"{name} is {float(value)}, which no value keeps. For no bound: None.")
        return None
    found = _plain(value, unit, name)
    strange = [str(d) for d in found.dims if d not in dims] if isinstance(found, xr.DataArray) else []
    if strange:
        raise ValueError(f"{name} has the dim {strange[0]!r}, which the value has not: add dims={(*dims, *strange)!r} to the Param.")
    return found


def _check_order(path: str, value: Any, low: Any, high: Any) -> None:
    """The lower bound is below the upper one, and the value is not outside of them."""
    if low is not None and high is not None and bool(np.any(np.asarray(low >= high))):
        raise ValueError(f"the bounds of {path} are {_said(low)} and {_said(high)}, needs the lower one below the upper one everywhere.")
    for bound, sign, side in zip((low, high), (1.0, -1.0), _SIDES, strict=True):
        if bound is not None and bool(np.any(np.asarray(sign * (value - bound) < 0))):
            raise ValueError(
                f"{path} starts at {_said(value)}, beyond its {side} bound {_said(bound)}: give a value inside, or other bounds."
            )


def _said(value: Any) -> str:
    """Numbers for a message."""
    array = np.asarray(value)
    return f"{float(array):g}" if not array.ndim else f"{array.min():g} to {array.max():g}"


def _check_code(path: str, param: Param) -> None:
    """The transform keeps the bounds, and the user's own code works on arrays that JAX traces."""
    low, high = (np.asarray(v, dtype=np.float64) for v in _ends(param))
    try:
        transform = transform_of(param.transform, low, high)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if param.dims:  # the shape is not known yet
        return
    like = jax.ShapeDtypeStruct(np.shape(param.value), jnp.float32)
    if not isinstance(param.transform, str | None) and isinstance(param.transform, Invertible) and transform.elementwise:
        for name in ("forward", "inverse"):
            made = trace(getattr(transform, name), like, where=f"{name} of the transform of {path}")
            if getattr(made, "shape", None) != like.shape:
                raise ValueError(
                    f"{name} of the transform of {path} makes {getattr(made, 'shape', made)} of the shape {like.shape}, needs the same "
                    "shape; a transform that mixes values has elementwise = False."
                )
    if param.prior is not None:
        trace(lambda v: log_prior(param, v), like, where=f"the prior of {path}")
    if callable(param.reg):
        trace(lambda v: penalty(param, v, 0.0), like, where=f"reg of {path}")


def _ends(param: Param) -> tuple[Any, Any]:
    low, high = param.bounds or (None, None)
    return -np.inf if low is None else low, np.inf if high is None else high
