"""Networks whose regions have different models: what belongs to the regions of one model, on all regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core.coupling import Coupling
from xmass.core.model import Mixed, NeuralMass, declared_parameters, replace
from xmass.labelled.regions import align_regions
from xmass.labelled.schema import BATCH, DISTANCES, INITIAL, LAG, REGION, REGION_OTHER, SEED, SPEED, TIME, WEIGHTS

_TAKEN = ("coupling", INITIAL, WEIGHTS, DISTANCES, SPEED, SEED, REGION, REGION_OTHER, TIME, BATCH, LAG)


def check_parts(models: Mapping[str, Any]) -> None:
    """Names and models of a network with several models."""
    if not models:
        raise ValueError("node is an empty mapping, needs models by name: Network({'hopf': xm.HopfStep(), ...}, ...).")
    for key, model in models.items():
        if not isinstance(key, str) or not key.isidentifier() or key in _TAKEN:
            raise ValueError(f"a model is called {key!r}, needs a name such as 'hopf', and none of {', '.join(_TAKEN)}.")
        if not isinstance(model, NeuralMass):
            raise TypeError(f"node[{key!r}] is a {type(model).__name__}, needs a model such as xm.HopfStep().")
        if model.scheme:
            raise ValueError(
                f"node[{key!r}] is a {type(model).__name__}, which has a scheme of its own ({model.scheme}); regions with different models "
                "share one scheme. Simulate it in a network of its own."
            )


def check_between(name: str, coupling: Coupling) -> None:
    """A coupling between regions of different models does not compare the source with the receiving region's own."""
    sender, receiver = (part.partition(".")[0] for part in (coupling.source, coupling.target))
    if sender == receiver:
        return
    shape = jax.ShapeDtypeStruct((1, 1), jnp.float32)
    numbers = dict.fromkeys((d.name for d in declared_parameters(coupling)), shape)

    def post(own: Any, p: dict[str, Any], sent: Any, strength: Any) -> Any:
        return replace(coupling, p).post(sent, own, strength)

    sent = jax.eval_shape(lambda p, x: replace(coupling, p).pre(x), numbers, shape)
    jaxpr = jax.make_jaxpr(post)(shape, numbers, sent, shape).jaxpr
    own = jaxpr.invars[0]
    reads_own = any(own is v for equation in jaxpr.eqns for v in equation.invars) or any(own is v for v in jaxpr.outvars)
    if reads_own or type(coupling).weighting is not Coupling.weighting:
        raise ValueError(
            f"{name} is a {type(coupling).__name__}, which takes the difference between {coupling.source!r} of other regions and that of "
            f"the receiving region; regions of {receiver!r} have no {coupling.source!r}. Take a coupling such as xm.AdditiveCoupling."
        )


def members_of(model: NeuralMass, name: str, regions: np.ndarray) -> np.ndarray | None:
    """Labels of the regions whose model has ``name``; None for all."""
    return regions[model.mask(name)] if isinstance(model, Mixed) else None


def spread_out(value: xr.DataArray, members: np.ndarray, regions: np.ndarray, name: str) -> xr.DataArray:
    """A value over some regions as one over all: elsewhere it repeats the first, where it has no effect.

    Values over all regions are taken too, and then those of ``members`` alone.
    """
    own = members.tolist()
    if REGION in value.coords:
        if set(regions.tolist()) <= set(value[REGION].values.tolist()) and value.sizes[REGION] == len(regions):
            value = value.sel({REGION: members})
    elif value.sizes[REGION] == len(regions):
        value = value.isel({REGION: [i for i, r in enumerate(regions.tolist()) if r in own]})
    value = align_regions(value, members, name)
    index = [own.index(r) if r in own else 0 for r in regions.tolist()]
    return value.isel({REGION: index}).assign_coords({REGION: regions})


def only_members(values: np.ndarray, mask: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The values with NaN at the regions (along ``axes``) of other models."""
    for axis in axes:
        shape = [1] * values.ndim
        shape[axis] = len(mask)
        values = np.where(mask.reshape(shape), values, np.asarray(np.nan, values.dtype))
    return values
