"""Inputs of a run: constants, labelled series held from sample to sample, stimuli, and functions of time."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.core.model import Mixed, NeuralMass
from xmass.labelled.held import SLACK, Held, held_series
from xmass.labelled.parameters import Spec, input_unit
from xmass.labelled.parts import members_of
from xmass.labelled.schema import TIME
from xmass.labelled.stimulus import Stimulus
from xmass.labelled.suggest import nearest
from xmass.labelled.values import Dims, Value, to_value


@dataclasses.dataclass(frozen=True, eq=False)
class Drive:
    """One input of a run: a constant, a function of the time in ms, or terms that vary in time."""

    name: str
    value: Value | None = None
    function: Callable[[np.ndarray], Any] | None = None
    terms: tuple[Held, ...] = ()
    steps: tuple[int, int] = (0, 0)
    """First and last-plus-one step of the run: a function is asked for no other times."""

    @property
    def constant(self) -> bool:
        return self.value is not None

    @property
    def dims(self) -> set[str]:
        """Its run dims."""
        return set(self.value.dims) if self.value is not None else {d for term in self.terms for d in term.dims}

    def rows(self, sizes: dict[str, int], runs: np.ndarray, first: int, count: int, dt: float, regions: int) -> np.ndarray:
        """Values ``(count, region or 1, run or 1)`` at the start of each step from ``first`` on."""
        at = (first + np.arange(count)) * dt
        if self.function is not None:
            before, inside = max(self.steps[0] - first, 0), max(min(self.steps[1] - first, count), 0)
            rows = self.called(at[before:inside], regions)
            return np.pad(rows, ((before, count - inside), (0, 0)))[:, :, None]
        total = functools.reduce(operator.add, (term.rows(sizes, runs, at, SLACK * dt) for term in self.terms))
        return np.broadcast_to(total, (count, *total.shape[1:]))

    def called(self, at: np.ndarray, regions: int) -> np.ndarray:
        """Values ``(time, region or 1)`` of the function at some times [ms]."""
        assert self.function is not None
        count = len(at)
        try:
            made = np.asarray(self.function(at))
        except Exception as error:
            error.add_note(f"raised by the function for input {self.name!r}, called with {count} times in ms.")
            raise
        if made.dtype.kind not in "iufb":
            raise TypeError(f"the function for input {self.name!r} returned {made.dtype} values, needs real numbers in the input's unit.")
        if made.shape not in ((), (count,), (count, 1), (count, regions)):
            raise ValueError(
                f"the function for input {self.name!r} returned shape {made.shape} for {count} times, needs ({count},) or "
                f"({count}, {regions}): it is called with an array of times in ms."
            )
        if not np.isfinite(made).all():
            raise ValueError(f"the function for input {self.name!r} returned NaN or infinity between {at[0]:g} and {at[-1]:g} ms.")
        made = np.broadcast_to(made, (count,)) if made.ndim == 0 else made
        return made.astype(np.float64).reshape(count, -1)


def input_arrays(inputs: Mapping[str, Any] | None) -> list[tuple[xr.DataArray, str]]:
    """The DataArrays of all inputs, which may bring run dims, with names for messages."""
    found: list[tuple[xr.DataArray, str]] = []
    for name, raw in (inputs or {}).items():
        if isinstance(raw, Stimulus):
            found += [(array, f"inputs[{name!r}], {origin}") for origin, array in raw.arrays()]
        elif isinstance(raw, xr.DataArray):
            found.append((raw, f"inputs[{name!r}]"))
    return found


def resolve_inputs(
    inputs: Mapping[str, Any] | None, model: NeuralMass, dims: Dims, regions: np.ndarray, start: int, stop: int, dt: float
) -> tuple[Drive, ...]:
    """Check and convert ``inputs``; series must cover the steps from ``start`` to ``stop`` of ``dt`` ms."""
    found = []
    for name, raw in (inputs or {}).items():
        known = [i.name for i in model.inputs]
        if name not in known:
            which = "the network" if isinstance(model, Mixed) else type(model).__name__
            raise KeyError(f"inputs has {name!r}, which {which} lacks{nearest(name, known)}")
        spec = Spec(f"inputs[{name!r}]", raw, input_unit(model, name), "", members=members_of(model, name, regions))
        if isinstance(raw, Stimulus):
            found.append(Drive(name, terms=raw.hold(spec, dims, regions, start * dt, stop * dt, dt)))
        elif callable(raw) and not isinstance(raw, xr.DataArray) and not hasattr(raw, "unit"):
            made = Drive(name, function=raw, steps=(start, stop))
            made.called(np.arange(start, min(start + 2, stop)) * dt, len(regions))  # a function that cannot be used is found here
            found.append(made)
        elif isinstance(raw, xr.DataArray) and TIME in raw.dims:
            found.append(Drive(name, terms=(held_series(raw, spec, dims, regions, start * dt, stop * dt),)))
        else:
            found.append(Drive(name, value=to_value(raw, spec, dims, regions)))
    return tuple(found)
