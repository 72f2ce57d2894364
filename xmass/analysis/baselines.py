"""What a score is to be held against: the connectome itself, the other subjects, and the recording's own repeatability."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.align import align_regions, align_shared, complete_matrix_labels
from xmass.analysis.arrays import off_diagonal, pearson
from xmass.analysis.connectivity import MINIMUM_SAMPLES, functional_connectivity, one_chunk
from xmass.labelled import schema

BASELINES = ("baseline_weights", "baseline_log_weights", "baseline_other_subjects", "ceiling_split_half")


def baselines(recorded: xr.Dataset, name: str, fc: xr.DataArray) -> dict[str, xr.DataArray]:
    """Every baseline that ``recorded`` has the data for, for its FC ``fc`` made from the variable ``name``."""
    found: dict[str, xr.DataArray] = {}
    if schema.WEIGHTS in recorded.data_vars and all(d in recorded[schema.WEIGHTS].dims for d in schema.MATRIX_DIMS):
        weights = complete_matrix_labels(recorded[schema.WEIGHTS])
        found["baseline_weights"] = _correlation(fc, weights, _plain, "correlation of the recorded FC with the connectome")
        meaning = "correlation of the recorded FC with the logarithm of the connectome, over the edges of positive weight"
        found["baseline_log_weights"] = _correlation(fc, weights, _log, meaning)
    if fc.sizes.get(schema.SUBJECT, 0) > 1:
        found["baseline_other_subjects"] = other_subjects(fc)
    series = _series(recorded, name)
    if series is not None:
        found["ceiling_split_half"] = split_half(series)
    return {key: value.drop_vars(schema.SEED, errors="ignore") for key, value in found.items()}


def other_subjects(fc: xr.DataArray) -> xr.DataArray:
    """Correlation of each subject's FC with that of every other subject, averaged over the others; dims of ``fc`` but the regions."""
    value = xr.apply_ufunc(
        _mean_of_others,
        one_chunk(fc, schema.SUBJECT, *schema.MATRIX_DIMS),
        input_core_dims=[[schema.SUBJECT, *schema.MATRIX_DIMS]],
        output_core_dims=[[schema.SUBJECT]],
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,
    )
    return _described(value, "correlation of the recorded FC with that of each other subject, mean over these")


def split_half(series: xr.DataArray) -> xr.DataArray:
    """Correlation of the FC of the first half of a recording with the FC of the second half."""
    time = schema.time_dim(series)
    half = series.sizes[time] // 2
    first = functional_connectivity(series.isel({time: slice(0, half)}))
    second = functional_connectivity(series.isel({time: slice(half, 2 * half)}))
    return _correlation(first, second, _plain, "correlation of the FC of the first half of the recording with that of the second half")


def _series(recorded: xr.Dataset, name: str) -> xr.DataArray | None:
    """The recording whose FC is compared: the variable itself, or the only series beside a given matrix."""
    candidates = [name, *(str(v) for v in recorded.data_vars if v != name)]
    found = [recorded[v] for v in candidates if _is_series(recorded[v])]
    if not found or (found[0].name != name and len(found) > 1):
        return None
    return found[0] if found[0].sizes[schema.time_dim(found[0])] >= 2 * MINIMUM_SAMPLES else None


def _is_series(variable: xr.DataArray) -> bool:
    if schema.REGION not in variable.dims or schema.REGION_OTHER in variable.dims or variable.dtype.kind not in "fiu":
        return False
    return schema.TIME in variable.dims or any(variable[d].attrs.get("axis") == "T" for d in variable.dims if d in variable.coords)


def _correlation(a: xr.DataArray, b: xr.DataArray, function: Any, meaning: str) -> xr.DataArray:
    b = align_shared(align_regions(b, a, what=meaning), a, apart=schema.MATRIX_DIMS, what=meaning)
    b = b.drop_vars([c for c in b.coords if c in a.coords and c not in b.dims])
    value = xr.apply_ufunc(
        function,
        one_chunk(a, *schema.MATRIX_DIMS),
        one_chunk(b, *schema.MATRIX_DIMS),
        input_core_dims=[list(schema.MATRIX_DIMS)] * 2,
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,
    )
    return _described(value, meaning)


def _described(value: xr.DataArray, meaning: str) -> xr.DataArray:
    return value.drop_attrs(deep=False).assign_attrs({schema.UNITS: "1", schema.LONG_NAME: meaning})


def _plain(fc: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(pearson(off_diagonal(fc), off_diagonal(other)), dtype=np.float64)


def _log(fc: np.ndarray, weights: np.ndarray) -> np.ndarray:
    values = off_diagonal(weights)
    exists = values > 0
    return np.asarray(pearson(off_diagonal(fc), np.log(np.where(exists, values, 1.0)), where=exists), dtype=np.float64)


def _mean_of_others(fc: np.ndarray) -> np.ndarray:
    entries = off_diagonal(fc)
    between = pearson(entries[..., :, None, :], entries[..., None, :, :])
    n = between.shape[-1]
    return (between.sum(axis=-1) - np.diagonal(between, axis1=-2, axis2=-1)) / (n - 1)
