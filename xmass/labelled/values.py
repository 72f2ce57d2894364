"""Parameter values with run dimensions: alignment by label, and the rows that a tile needs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from xarray.indexes import PandasMultiIndex

from xmass.labelled.parameters import Spec
from xmass.labelled.parts import spread_out
from xmass.labelled.regions import align_regions, repeated_labels
from xmass.labelled.schema import DIVERGED, LAG, MATRIX_DIMS, REGION, REGION_OTHER, TIME
from xmass.labelled.units import to_declared


class Dims:
    """The run dimensions in output order, with sizes and labels, collected from every input."""

    def __init__(self, inner: Mapping[str, np.ndarray | None] | None = None) -> None:
        self.inner = dict(inner or {})
        """Dims that are no run dims, because a parameter's own value has them, and their labels."""
        self.sizes: dict[str, int] = {}
        self.labels: dict[str, xr.DataArray] = {}
        self.coords: dict[str, xr.DataArray] = {}
        self.origin: dict[str, str] = {}

    def add(self, data: xr.DataArray | xr.Dataset, origin: str, *, skip: tuple[str, ...] = ()) -> None:
        """Register the dims of ``data``; labels that disagree are an error."""
        for dim, size in data.sizes.items():
            _check_dim(data, dim, size, origin)
            if dim in (REGION, REGION_OTHER, LAG, *self.inner, *skip):
                continue
            name = str(dim)
            labels = data[name].variable if name in data.coords else None
            if labels is not None:
                values = labels.values
                if labels.isnull().any():
                    raise ValueError(
                        f"{origin} holds NaN in the coordinate {name!r}. Give every entry a value, or drop it: .dropna({name!r})."
                    )
                if repeated := repeated_labels(values.tolist()):
                    raise ValueError(f"{origin} repeats the labels {repeated} along {name!r}: labels must be different.")
            if name not in self.sizes:
                self.sizes[name], self.origin[name] = size, origin
            if name in self.labels and labels is not None:
                self._agree(name, labels.values, origin)
            elif size != self.sizes[name]:
                raise ValueError(
                    f"{origin} has {size} entries along {name!r}, {self.origin[name]} has {self.sizes[name]}. "
                    f"Give both the same labels, or select: .sel({name}=...)."
                )
            if name not in self.labels and labels is not None:
                self.labels[name] = data[name]

    def _agree(self, name: str, values: np.ndarray, origin: str) -> None:
        known, new = set(self.labels[name].values.tolist()), set(values.tolist())
        if known != new:
            missing, extra = sorted(map(str, known - new))[:5], sorted(map(str, new - known))[:5]
            raise ValueError(
                f"{origin} and {self.origin[name]} have different labels along {name!r}: {origin} lacks {missing} and has {extra} more. "
                f"Select the same: .sel({name}=...)."
            )

    def align(self, data: xr.DataArray) -> xr.DataArray:
        """``data`` with its run dims in the order of the labels."""
        for dim in data.dims:
            name = str(dim)
            if name in self.labels and name in data.coords and not np.array_equal(data[name].values, self.labels[name].values):
                data = data.sel({name: self.labels[name].values})
        return data

    def reorder(self, last: str) -> None:
        """Put one dim last."""
        if last in self.sizes:
            self.sizes[last] = self.sizes.pop(last)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.sizes.values())

    @property
    def runs(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


def _check_dim(data: xr.DataArray | xr.Dataset, dim: Hashable, size: int, origin: str) -> None:
    """A dimension has a name, entries, and one label for each."""
    if not isinstance(dim, str):
        raise TypeError(f"{origin} has the dim {dim!r}, needs names that are text: .rename({{{dim!r}: 'point'}}).")
    if dim == DIVERGED:
        raise ValueError(f"{origin} has the dim {dim!r}, which is a coordinate of every result: .rename({{{dim!r}: 'point'}}).")
    if isinstance(data.xindexes.get(dim), PandasMultiIndex):
        raise ValueError(
            f"{origin} has several labels for each entry of {dim!r} (a MultiIndex). Make them coordinates: .reset_index({dim!r})."
        )
    if size == 0:
        raise ValueError(f"{origin} has no entries along {dim!r}, needs at least one: there is nothing to run.")


class Value(NamedTuple):
    """Numbers over some of the run dims: ``array`` has those dims first (in output order), then what belongs to a run."""

    dims: tuple[str, ...]
    array: np.ndarray
    inner: tuple[str, ...]

    @property
    def varies(self) -> bool:
        return bool(self.dims)

    def take(self, sizes: dict[str, int], runs: np.ndarray) -> np.ndarray:
        """The part of each run, run axis first; of length 1 if the value does not vary."""
        if not self.dims:
            return self.array[None]
        index = np.unravel_index(runs, tuple(sizes.values())) if sizes else ()
        position = dict(zip(sizes, index, strict=True))
        return self.array[tuple(position[d] for d in self.dims)]


def one_region_order(matrix: xr.DataArray) -> xr.DataArray:
    """A matrix with labels on one region axis has the same on the other, by position."""
    labelled = [d for d in MATRIX_DIMS if d in matrix.coords]
    if len(labelled) != 1 or matrix.sizes[REGION] != matrix.sizes[REGION_OTHER]:
        return matrix
    other = REGION_OTHER if labelled == [REGION] else REGION
    return matrix.assign_coords({other: (other, matrix[labelled[0]].values)})


def check_dims(dims: tuple[str, ...], spec: Spec, *, inner: tuple[str, ...] = ()) -> None:
    """Dims that a parameter may not have, and those that a matrix needs."""
    if TIME in dims and TIME not in inner:
        fix = "Take one of its times: .isel(time=0)." if spec.matrix else "Give it to inputs=."
        raise ValueError(f"{spec.path} has the dim 'time'; only inputs and weights may vary in time. {fix}")
    if LAG in dims and LAG not in inner:
        raise ValueError(f"{spec.path} has the dim 'lag'; only initial states have a history. Rename it: .rename(lag='point').")
    if REGION_OTHER in dims and not spec.matrix and REGION_OTHER not in spec.inner:
        raise ValueError(f"{spec.path} has dims {dims}; only weights and distances have 'region_other'.")
    if spec.matrix and not {REGION, REGION_OTHER} <= set(dims):
        lacking = [d for d in (REGION, REGION_OTHER) if d not in dims]
        other = [d for d in dims if d not in (REGION, REGION_OTHER)][-len(lacking) :]
        renamed = ", ".join(f"{old}={new!r}" for old, new in zip(other, lacking, strict=False))
        raise ValueError(
            f"{spec.path} has dims {dims}, needs ('region', 'region_other'): row receives, column sends. Use .rename({renamed})."
        )
    if spec.per_run and REGION in dims:
        raise ValueError(f"{spec.path} has dims {dims}, needs one speed per run. For a speed of each projection, divide distances by it.")


def to_value(raw: object, spec: Spec, dims: Dims, regions: np.ndarray, *, inner: tuple[str, ...] = ()) -> Value:
    """A declared value as numbers: unit converted, regions and run dims aligned by label, NaN refused."""
    value = to_declared(raw, spec.unit, spec.path)
    if not isinstance(value, xr.DataArray):
        array = np.asarray(value, dtype=np.float64)
        if array.ndim:
            raise ValueError(
                f"{spec.path} is an array of shape {array.shape} without dims. Say what it runs over: "
                f"xr.DataArray(values, dims='region') or dims=<name of a sweep>."
            )
        found = _checked(Value((), array, ()), spec, None)
        _check_covariance(found, spec)
        return found
    check_dims(tuple(map(str, value.dims)), spec, inner=inner)
    if spec.matrix:
        value = one_region_order(value)
    if spec.members is not None and REGION in value.dims:
        value = spread_out(value, spec.members, regions, spec.path)
    value = dims.align(align_regions(_align_inner(value, spec, dims), regions, spec.path))
    own = tuple(d for d in dims.sizes if d in value.dims)
    wanted = tuple(d for d in dict.fromkeys((*inner, *spec.inner, REGION, REGION_OTHER)) if d in value.dims)
    ordered = value.variable.transpose(*own, *wanted)
    found = _checked(Value(own, np.asarray(ordered.values, dtype=np.float64), wanted), spec, value)
    _check_covariance(found, spec)
    return found


def _align_inner(value: xr.DataArray, spec: Spec, dims: Dims) -> xr.DataArray:
    """The dims that belong to a matrix: all of them, in the order of their labels; and no parameter has those of another."""
    strange = next((d for d in value.dims if d in dims.inner and d not in spec.inner), None)
    if strange is not None:
        raise ValueError(f"{spec.path} has the dim {strange!r}, which is one of a monitor. Rename it: .rename({strange}='point').")
    if isinstance(spec.value, xr.DataArray) and {*spec.inner} & {*spec.value.dims} != {*spec.inner} & {*value.dims}:
        needed = tuple(d for d in spec.inner if d in spec.value.dims)
        raise ValueError(f"{spec.path} has dims {value.dims}, needs {needed}, as the observation was given it. Use .rename.")
    for dim in (d for d in spec.inner if d in value.dims and d in dims.inner):
        labels = dims.inner[dim]
        if labels is None:
            continue
        if value.sizes[dim] != len(labels):
            raise ValueError(f"{spec.path} has {value.sizes[dim]} entries along {dim!r}, needs {len(labels)}. Select: .sel({dim}=...).")
        if dim in value.coords and not np.array_equal(value[dim].values, labels):
            missing = sorted(map(str, set(labels.tolist()) - set(value[dim].values.tolist())))[:5]
            if missing or repeated_labels(value[dim].values.tolist()):
                raise ValueError(f"{spec.path} lacks the labels {missing} along {dim!r}. Give every one once.")
            value = value.sel({dim: labels})
    return value


def _check_covariance(value: Value, spec: Spec) -> None:
    """A parameter over a dim and itself is symmetric, and negative in no direction."""
    if len(spec.inner) != 2 or spec.inner[1] != f"{spec.inner[0]}_other":
        return
    if value.inner == spec.inner:
        matrix = value.array
        size = np.abs(matrix).max()
        if np.abs(matrix - np.swapaxes(matrix, -1, -2)).max() > 1e-9 * size:
            raise ValueError(f"{spec.path} is not symmetric, needs a covariance: (c + c.T) / 2 is one that is.")
        least = np.linalg.eigvalsh(matrix).min()
    else:
        least, size = value.array.min(), 0.0
    if least < -1e-9 * size:
        raise ValueError(f"{spec.path} has the variance {least:g} in some direction, needs none below 0.")


def _checked(value: Value, spec: Spec, labelled: xr.DataArray | None) -> Value:
    if not np.isfinite(value.array).all():
        where = ""
        if labelled is not None:
            bad = np.argwhere(~np.isfinite(labelled.values))[0]
            point = {
                str(d): (labelled[d].values[i].item() if d in labelled.coords and hasattr(labelled[d].values[i], "item") else int(i))
                for d, i in zip(labelled.dims, bad, strict=True)
            }
            where = f" at {point}" if point else ""
        raise ValueError(f"{spec.path} holds NaN or infinity{where}; every value must be finite. Fill it or select what is complete.")
    return value
