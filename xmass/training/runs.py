"""Hyper-parameters with dims: which runs there are, and the numbers of each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

TAKEN = ("epoch", "split", "time")


@dataclass
class Runs:
    """The dims that hyper-parameters have: equal ones are aligned, different ones combined."""

    sizes: dict[Hashable, int] = field(default_factory=dict)
    coords: dict[Hashable, xr.DataArray] = field(default_factory=dict)
    held: dict[str, xr.DataArray] = field(default_factory=dict)

    def add(self, path: str, value: xr.DataArray) -> None:
        """Take a hyper-parameter up."""
        for d in value.dims:
            known = self.coords.get(d)
            if known is not None and d in value.coords and known.sizes[d] == value.sizes[d] and set(known.values) == set(value[d].values):
                value = value.sel({d: known.values})
        for d, n in value.sizes.items():
            if d in TAKEN:
                raise ValueError(f"{path} has the dim {d!r}, which the history uses: rename it, as in .rename({d}='run').")
            if n == 0:
                raise ValueError(f"{path} has no entries along {d!r}, needs one or more.")
            if d in self.sizes and self.sizes[d] != n:
                raise ValueError(
                    f"{path} has {n} entries along {d!r}, another hyper-parameter {self.sizes[d]}: needs the same, or other dims."
                )
            self.sizes[d] = n
        for name, c in value.coords.items():
            if not c.dims:
                continue
            known = self.coords.get(name)
            if known is not None and not known.equals(c):
                raise ValueError(
                    f"{path} has other labels {name!r} than another hyper-parameter: align them with xr.align(..., join='inner')."
                )
            self.coords[name] = c
        self.held[path] = value

    @property
    def count(self) -> int | None:
        """How many runs; None if no hyper-parameter has a dim."""
        return int(np.prod(list(self.sizes.values()), dtype=int)) if self.sizes else None

    @property
    def dims(self) -> tuple[Hashable, ...]:
        """Dims in order."""
        return tuple(self.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Their sizes."""
        return tuple(self.sizes.values())

    def flat(self, path: str) -> np.ndarray:
        """Values of a hyper-parameter for every run; one number if there are no runs."""
        value = self.held[path]
        if not self.sizes:
            return np.asarray(value.values)
        absent = {d: n for d, n in self.sizes.items() if d not in value.dims}
        return np.asarray(value.expand_dims(absent).transpose(*self.sizes).values).reshape(-1)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """``(run, ...)`` with an axis for every dim; as it is if there are no runs."""
        return values.reshape(*self.shape, *values.shape[1:]) if self.sizes else values

    def labelled(self, variables: Mapping[str, tuple[Any, ...]], coords: Mapping[Hashable, Any] | None = None) -> xr.Dataset:
        """Variables ``name: (dims, (run, ...) values, attrs)`` with the dims of runs in front."""
        made = {name: ((*self.dims, *dims), self.spread(np.asarray(v)), attrs) for name, (dims, v, attrs) in variables.items()}
        return xr.Dataset(made, coords={**self.coords, **(coords or {})})
