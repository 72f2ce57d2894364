"""Checks and normalisations of a labelled connectome: ``weights(region, region_other)`` projects onto ``region`` from ``region_other``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import numpy as np
import xarray as xr

from xmass.labelled.schema import CENTRES, DISTANCES, HEMISPHERE, MATRIX_DIMS, ORIENTATIONS, REGION, REGION_OTHER, UNITS, WEIGHTS

Connectome = TypeVar("Connectome", xr.Dataset, xr.DataArray)
Normalization = Literal["max", "row", "spectral", "log"]

CORTICAL = "cortical"
NORMALIZATION = "normalization"


def check_connectome(ds: xr.Dataset) -> xr.Dataset:
    """The same connectome with both region axes in one order, after every check that does not need a model.

    Parameters
    ----------
    ds : Dataset
        ``weights(..., region, region_other)`` and, if there are delays, ``distances(..., region, region_other)`` [mm].
        Further dims (subject) and variables (bold) are kept.

    Returns
    -------
    Dataset
        ``region_other`` is in the order of ``region``; an axis without labels takes those of the other, by position.

    Raises
    ------
    KeyError
        Without ``weights``.
    TypeError
        If ``ds`` is not a Dataset, or a matrix does not hold real numbers.
    ValueError
        For missing dims, repeated labels, labels that only one axis has, NaN or infinite entries, or negative distances.

    Examples
    --------
    >>> import xarray as xr
    >>> weights = xr.DataArray([[0.0, 1.0], [2.0, 0.0]], dims=("region", "region_other"), coords={"region": ["A", "B"]})
    >>> check_connectome(xr.Dataset({"weights": weights})).region_other.values.tolist()
    ['A', 'B']
    """
    if not isinstance(ds, xr.Dataset):
        raise TypeError(
            f"the connectome is a {type(ds).__name__}, needs a Dataset with weights(region, region_other). "
            "Make one with weights.to_dataset(name='weights')."
        )
    if WEIGHTS not in ds.data_vars:
        raise KeyError(f"the connectome has the variables {sorted(map(str, ds.data_vars))}, needs 'weights'. Rename with ds.rename(...).")
    ds = dense(ds)
    names = [name for name in (WEIGHTS, DISTANCES) if name in ds.data_vars]
    for name in names:
        _check_dims(ds[name], name)
    ds = _one_region_order(ds)
    for name in names:
        _check_finite(ds[name], name)
    if DISTANCES in names:
        _check_not_negative(ds[DISTANCES], DISTANCES, needed="lengths of zero or more")
    return ds


def dense(data: Connectome) -> Connectome:
    """Plain arrays where ``data`` holds arrays of the package ``sparse``; the engine itself looks for entries that are zero."""
    if "sparse" not in sys.modules:
        return data
    if isinstance(data, xr.Dataset):
        found = [name for name in data.data_vars if _is_sparse(data[name].data)]
        return data.assign({name: data[name].as_numpy() for name in found}) if found else data
    return data.as_numpy() if _is_sparse(data.data) else data


def _is_sparse(array: object) -> bool:
    return type(array).__module__.partition(".")[0] == "sparse"


def connectome_weights(connectome: xr.Dataset | xr.DataArray) -> xr.DataArray:
    """The checked ``weights(..., region, region_other)`` of a connectome Dataset, or of a DataArray of weights.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`check_connectome`.
    """
    if isinstance(connectome, xr.DataArray):
        checked = check_connectome(connectome.to_dataset(name=WEIGHTS))
        return checked[WEIGHTS].rename(connectome.name)
    return check_connectome(connectome)[WEIGHTS]


def spectral_radius(weights: xr.DataArray) -> xr.DataArray:
    """Largest absolute eigenvalue of a connectome, the scale in which a global coupling can be compared between connectomes.

    Parameters
    ----------
    weights : DataArray
        ``(..., region, region_other)``, symmetric or not; other dims (subject) are kept.

    Returns
    -------
    DataArray
        ``(...)``, in the unit of ``weights``; lazy if ``weights`` is lazy.

    Raises
    ------
    TypeError, ValueError
        As :func:`check_connectome`.

    Examples
    --------
    >>> import xarray as xr
    >>> round(float(spectral_radius(xr.DataArray([[0.0, 4.0], [1.0, 0.0]], dims=("region", "region_other")))), 6)
    2.0
    """
    if not isinstance(weights, xr.DataArray):
        raise TypeError(f"spectral_radius got a {type(weights).__name__}, needs a DataArray of weights. Call it with ds.weights.")
    radius = _matrix_scale(connectome_weights(weights), _largest_absolute_eigenvalue)
    radius.attrs = {UNITS: weights.attrs.get(UNITS, "1"), "long_name": "spectral radius"}
    return radius.rename("spectral_radius")


def normalize(connectome: Connectome, method: Normalization) -> Connectome:
    """Scaled weights, for each subject (and every other dim) by itself; ``attrs["normalization"]`` of the weights records it.

    Parameters
    ----------
    connectome : Dataset or DataArray
        A Dataset with ``weights(..., region, region_other)``, or the weights themselves.
    method : {"max", "row", "spectral", "log"}
        ``"max"`` divides by the largest weight, ``"spectral"`` by the spectral radius, ``"row"`` by the sum of the inputs of
        each region (a region without inputs stays without), and ``"log"`` takes ``log(1 + weights / smallest positive weight)``
        over its largest value: zeros stay zero, and the unit of the weights has no effect. Logarithms change how well a
        model can fit, so they are never a default.

    Returns
    -------
    Dataset or DataArray
        What was given, with other weights of unit "1".

    Raises
    ------
    ValueError
        For an unknown method, weights without a positive entry, or negative weights with ``"row"`` or ``"log"``.
    KeyError, TypeError
        As :func:`check_connectome`.

    Examples
    --------
    >>> import xarray as xr
    >>> weights = xr.DataArray([[0.0, 4.0], [1.0, 0.0]], dims=("region", "region_other"))
    >>> normalize(weights, "max").values.tolist()
    [[0.0, 1.0], [0.25, 0.0]]
    """
    if method not in ("max", "row", "spectral", "log"):
        raise ValueError(f"method={method!r} is not a normalisation, needs one of 'max', 'row', 'spectral', 'log'.")
    if isinstance(connectome, xr.Dataset):
        checked = check_connectome(connectome)
        return checked.assign({WEIGHTS: _normalize(checked[WEIGHTS], method)})
    return _normalize(connectome_weights(connectome), method)


def cortical(ds: Connectome) -> Connectome:
    """The regions flagged by ``cortical(region)``, on both axes.

    Parameters
    ----------
    ds : Dataset or DataArray
        With the coordinate or variable ``cortical(region)`` of True and False.

    Returns
    -------
    Dataset or DataArray
        ``ds`` at those regions, in their order.

    Raises
    ------
    KeyError
        Without ``cortical``.
    TypeError, ValueError
        If the flags are not True and False (or 1 and 0) over ``region``, or flag no region.

    Examples
    --------
    >>> import xarray as xr
    >>> flags = ("region", [True, False])
    >>> weights = xr.DataArray([[0.0, 4.0], [1.0, 0.0]], dims=("region", "region_other"), coords={"cortical": flags})
    >>> cortical(weights).shape
    (1, 1)
    """
    names = ds.variables if isinstance(ds, xr.Dataset) else ds.coords
    if CORTICAL not in names:
        raise KeyError(f"there is no 'cortical' among {sorted(map(str, names))}: add it with ds.assign_coords(cortical=('region', flags)).")
    flags = ds[CORTICAL]
    if flags.dims != (REGION,):
        raise ValueError(f"cortical has dims {flags.dims}, needs ('region',): one set of regions for all. Select with .isel(subject=0).")
    values = flags.values
    if values.dtype != bool and not (values.dtype.kind in "iuf" and np.isin(values, (0, 1)).all()):
        raise TypeError(f"cortical holds {values.dtype} values, needs True and False. Convert with ds.cortical == 'yes' or the like.")
    keep = values.astype(bool)
    if not keep.any():
        raise ValueError("cortical is False for every region, needs at least one True: check the flags, or keep all regions.")
    if REGION_OTHER not in ds.dims:
        return ds.isel({REGION: keep})
    if isinstance(ds, xr.Dataset):
        return _one_region_order(ds).isel({REGION: keep, REGION_OTHER: keep})
    whole = _one_region_order(ds.to_dataset(name=WEIGHTS))
    return whole.isel({REGION: keep, REGION_OTHER: keep})[WEIGHTS].rename(ds.name)


def _check_dims(matrix: xr.DataArray, name: str) -> None:
    missing = [d for d in MATRIX_DIMS if d not in matrix.dims]
    if missing:
        names = [f"{d}={new!r}" for d, new in zip(matrix.dims[-2:], MATRIX_DIMS, strict=False) if d != new]
        raise ValueError(
            f"{name} has dims {matrix.dims}, needs {MATRIX_DIMS}: row receives, column sends. Use {name}.rename({', '.join(names)})."
        )
    if matrix.dtype.kind not in "iufb":
        raise TypeError(f"{name} holds {matrix.dtype} values, needs real numbers. Convert with {name}.astype(float).")


def _one_region_order(ds: xr.Dataset) -> xr.Dataset:
    sizes = ds.sizes[REGION], ds.sizes[REGION_OTHER]
    if sizes[0] != sizes[1]:
        raise ValueError(f"the connectome has {sizes[0]} regions and {sizes[1]} in region_other, needs as many on both.{_unpaired(ds)}")
    labelled = [d for d in MATRIX_DIMS if d in ds.indexes]
    for dim in labelled:
        index = ds.indexes[dim]
        if not index.is_unique:
            repeated = index[index.duplicated()].unique().tolist()
            raise ValueError(f"{dim} has repeated labels {repeated}, needs each once. Give new ones with ds.assign_coords({dim}=labels).")
    if len(labelled) == 1:
        missing = REGION_OTHER if labelled == [REGION] else REGION
        return ds.assign_coords({missing: (missing, ds[labelled[0]].values)})
    if len(labelled) == 2 and not ds.indexes[REGION].equals(ds.indexes[REGION_OTHER]):
        if unpaired := _unpaired(ds):
            raise ValueError(f"region and region_other have different labels, needs the same on both axes.{unpaired}")
        return ds.sel({REGION_OTHER: ds[REGION].values})
    return ds


def _unpaired(ds: xr.Dataset) -> str:
    if not all(d in ds.indexes for d in MATRIX_DIMS):
        return ""
    rows, columns = (ds.indexes[d] for d in MATRIX_DIMS)
    only = [(REGION, rows.difference(columns).tolist()), (REGION_OTHER, columns.difference(rows).tolist())]
    text = "".join(f" Only {dim} has {labels[:5]}." for dim, labels in only if labels)
    return text + (" Select the shared ones with ds.sel(region=labels, region_other=labels)." if text else "")


def _check_finite(matrix: xr.DataArray, name: str) -> None:
    bad = ~xr.apply_ufunc(np.isfinite, matrix, dask="allowed")
    if not bool(bad.any()):
        return
    edges = _edges(bad)
    raise ValueError(
        f"{name} is NaN or infinite at {edges}, needs a finite number for each pair. "
        f"Where there is no connection write 0, with {name}.fillna(0); xr.concat leaves NaN where the regions of two subjects differ."
    )


def _check_not_negative(matrix: xr.DataArray, name: str, *, needed: str) -> None:
    bad = matrix < 0
    if bool(bad.any()):
        raise ValueError(f"{name} is negative at {_edges(bad)}, needs {needed}. Look at them with {name}.where({name} < 0, drop=True).")


def _edges(bad: xr.DataArray) -> str:
    """The first of the flagged edges in words, and how many more there are."""
    bad = bad.compute()
    where = np.argwhere(bad.values)
    words = []
    for place in where[:3]:
        labels = {d: bad[d].values[i] if d in bad.coords else i for d, i in zip(bad.dims, place, strict=True)}
        pair = f"region={labels.pop(REGION)!s}, region_other={labels.pop(REGION_OTHER)!s}"
        words.append("(" + ", ".join([*(f"{d}={v!s}" for d, v in labels.items()), pair]) + ")")
    more = f" and {len(where) - 3} more" if len(where) > 3 else ""
    return ", ".join(words) + more


def _normalize(weights: xr.DataArray, method: Normalization) -> xr.DataArray:
    if method in ("row", "log"):
        _check_not_negative(weights, WEIGHTS, needed=f"zero or more for method={method!r}, else take method='spectral'")
    with xr.set_options(keep_attrs=True):
        if method == "spectral":
            scaled = weights / _positive(_matrix_scale(weights, _largest_absolute_eigenvalue))
        elif method == "row":
            _positive(weights.max(MATRIX_DIMS))
            total = weights.sum(REGION_OTHER)
            scaled = weights / total.where(total > 0, other=1)
        else:
            if method == "log":
                smallest = weights.where(weights > 0).min(MATRIX_DIMS)
                weights = xr.apply_ufunc(np.log1p, weights / smallest, dask="allowed", keep_attrs=True)
            scaled = weights / _positive(weights.max(MATRIX_DIMS))
    earlier = weights.attrs.get(NORMALIZATION)
    scaled = scaled.transpose(*weights.dims)
    scaled.attrs = {**weights.attrs, UNITS: "1", NORMALIZATION: f"{earlier}, {method}" if earlier else method}
    return scaled


def _positive(scale: xr.DataArray) -> xr.DataArray:
    """The scale of each connectome, an error where there is no positive one to divide by."""
    bad = ~(scale > 0)
    if bool(bad.any()):
        which = "" if not scale.dims else f" at {dict(zip(scale.dims, np.argwhere(bad.values)[0].tolist(), strict=True))} (positions)"
        raise ValueError(f"weights has no positive entry{which}, needs one to scale by. Leave out that connectome with .isel(...).")
    return scale


def _matrix_scale(weights: xr.DataArray, function: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
    if weights.chunks is not None:
        weights = weights.chunk({REGION: -1, REGION_OTHER: -1})
    return xr.apply_ufunc(function, weights, input_core_dims=[MATRIX_DIMS], dask="parallelized", output_dtypes=[np.float64])


def _largest_absolute_eigenvalue(weights: np.ndarray) -> np.ndarray:
    weights = weights.astype(np.float64)
    symmetric = np.array_equal(weights, np.swapaxes(weights, -1, -2))
    eigenvalues = np.linalg.eigvalsh(weights) if symmetric else np.linalg.eigvals(weights)
    return np.abs(eigenvalues).max(axis=-1)


def places_of(connectome: Any) -> xr.Dataset | None:
    """Of a connectome, or of the first of several that has it, what the embedded head needs."""
    several = connectome.values() if isinstance(connectome, Mapping) and not isinstance(connectome, xr.Dataset) else [connectome]
    for ds in several:
        if isinstance(ds, xr.Dataset) and CENTRES in ds.variables:
            kept = ds[[n for n in (CENTRES, ORIENTATIONS, HEMISPHERE) if n in ds.variables]]
            return kept.drop_vars([c for c in kept.coords if c not in (REGION, "xyz", CENTRES, ORIENTATIONS, HEMISPHERE, *kept.dims)])
    return None
