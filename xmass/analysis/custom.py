"""Scores that are functions of two whole Datasets, written by a user."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr

from xmass.analysis.align import align_regions, align_shared
from xmass.labelled import schema

INNER = (schema.TIME, *schema.MATRIX_DIMS, schema.SENSOR, schema.LAG, "frequency", "window", "window_other", "edge", "edge_other")
"""Dims of one run: a score has none of them."""


@dataclass(frozen=True)
class DatasetObjective:
    """A score that is a function of two Datasets; made by :func:`xmass.objectives.custom`."""

    takes: ClassVar[Literal["datasets"]] = "datasets"

    function: Callable[[xr.Dataset, xr.Dataset], xr.DataArray]
    name: str
    direction: Literal["max", "min"] = "min"
    best: float | None = None
    meaning: str = ""

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"an objective is a {type(self.function).__name__}, needs a function f(simulated, recorded) of two Datasets.")
        if not self.name:
            raise ValueError("an objective has an empty name, needs one: custom(function, name='my_score').")
        if self.direction not in ("max", "min"):
            raise ValueError(f"objective {self.name!r} has direction={self.direction!r}, needs 'max' or 'min'.")

    @property
    def terms(self) -> tuple[tuple[float, DatasetObjective], ...]:
        """The sum that this objective is: itself, once."""
        return ((1.0, self),)

    @property
    def variables(self) -> tuple[None, None]:
        """None: the function takes the variables itself."""
        return (None, None)

    @property
    def differentiable(self) -> bool:
        """True: whether the function has a derivative is known once it is traced."""
        return True

    def __call__(self, simulated: xr.Dataset, recorded: xr.Dataset) -> xr.DataArray:
        """The score, with its dims checked; see :func:`xmass.objectives.custom`."""
        with xr.set_options(arithmetic_join="exact"):
            try:
                score = self.function(simulated, recorded)
            except xr.AlignmentError as error:
                raise ValueError(
                    f"objective {self.name!r}: {error}. Only equal labels are paired. Stamps of a simulation and of a recording differ: "
                    "reduce over time before both sides meet, or pair samples by position, .drop_vars('time')."
                ) from error
        if not isinstance(score, xr.DataArray):
            raise TypeError(
                f"objective {self.name!r} returned a {type(score).__name__}, needs an xarray.DataArray without time and region, such as "
                "((simulated.fc - recorded.fc) ** 2).mean(('region', 'region_other'))."
            )
        if score.dtype.kind not in "fiub":
            raise TypeError(f"objective {self.name!r} returned dtype {score.dtype}, needs real numbers.")
        left = [str(d) for d in score.dims if d in INNER or d in {*_times(simulated), *_times(recorded)}]
        if left:
            raise ValueError(
                f"objective {self.name!r} returned dims {tuple(score.dims)}: a score has one number for each run, so its function must "
                f"reduce {left}, such as .mean({left})."
            )
        lost = [str(d) for d in _everywhere(simulated) if d not in score.dims]
        if lost:
            raise ValueError(
                f"objective {self.name!r} returned dims {tuple(score.dims)}, and the runs have {lost} too: its function must keep every "
                "dim but those of time and region, so name what it reduces, such as .mean(('time', 'region'))."
            )
        return score


def as_scored(objective: Any) -> Any:
    """An objective, or a plain function of two Datasets as one, where small is good."""
    if hasattr(objective, "terms") or isinstance(objective, type) or not callable(objective):
        return objective
    name = getattr(objective, "__name__", type(objective).__name__)
    return DatasetObjective(objective, name if name.isidentifier() else "custom")


def aligned_datasets(simulated: xr.Dataset, recorded: xr.Dataset, *, what: str) -> xr.Dataset:
    """``recorded`` with its regions, and the labels of the other dims that both sides have, in the order of ``simulated``.

    Raises
    ------
    ValueError
        If labels differ, or one side has labels and the other has none.
    """
    for dim in shared_dims(simulated, recorded):
        ours, theirs = (_places(side, dim) for side in (simulated, recorded))
        if dim in schema.MATRIX_DIMS:
            order = align_regions(theirs, ours, what=what)
        else:
            order = align_shared(theirs, ours, apart=(), what=what)
        recorded = recorded.isel({dim: order.values}) if dim in order.coords else recorded.drop_vars([dim], errors="ignore")
    other = schema.REGION_OTHER
    if other in recorded.coords and other not in simulated.dims and schema.REGION in simulated.coords:
        # a matrix of the recording alone: both its axes are in one order
        like, theirs = _places(simulated, schema.REGION).rename({schema.REGION: other}), _places(recorded, other)
        recorded = recorded.isel({other: align_regions(theirs, like, what=what).values})
    return recorded


def shared_dims(simulated: xr.Dataset, recorded: xr.Dataset) -> list[Hashable]:
    """The dims of both sides that pair by label: regions and points, not time."""
    apart = {*_times(simulated), *_times(recorded), *INNER} - {*schema.MATRIX_DIMS, schema.SENSOR}
    return [d for d in simulated.dims if d in recorded.dims and d not in apart]


def points(side: xr.Dataset) -> list[Hashable]:
    """The dims of a Dataset that are no dims of one run."""
    if schema.DIVERGED in side.coords:  # a run says what its dims are
        return list(side[schema.DIVERGED].dims)
    inner = {*INNER, *_times(side)}
    return [d for d in side.dims if d not in inner]


def _everywhere(side: xr.Dataset) -> list[Hashable]:
    """The points that every variable has."""
    return [d for d in points(side) if all(d in variable.dims for variable in side.data_vars.values())]


def _times(side: xr.Dataset) -> set[Hashable]:
    return {d for d in side.dims if d in side.coords and side[d].attrs.get("axis") == "T"}


def _places(side: xr.Dataset, dim: Hashable) -> xr.DataArray:
    coords = {dim: side[dim].variable} if dim in side.coords else {}
    return xr.DataArray(np.arange(side.sizes[dim]), dims=[dim], coords=coords)
