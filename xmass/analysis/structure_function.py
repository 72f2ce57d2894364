"""Structure-function coupling: how alike a connectome and a functional connectivity are, over the brain and region by region."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from xmass.analysis.align import align_regions, align_shared, complete_matrix_labels
from xmass.analysis.arrays import pearson
from xmass.analysis.connectivity import one_chunk
from xmass.labelled import schema, units


def sc_fc_coupling(
    weights: xr.DataArray,
    fc: xr.DataArray,
    *,
    method: Literal["pearson", "spearman"] = "pearson",
    edges: Literal["all", "existing"] = "all",
) -> xr.Dataset:
    """Correlation of a connectome with a functional connectivity, globally and for each region.

    Parameters
    ----------
    weights : DataArray
        ``(..., region, region_other)``: the projection onto ``region`` from ``region_other``.
    fc : DataArray
        ``(..., region, region_other)``, aligned by label. Dims that both have are paired by label, exactly; the others are crossed.
    method : "pearson" or "spearman"
        Of the values, or of their ranks. Weights spread over orders of magnitude: ranks, or ``np.log(weights)`` over ``edges="existing"``.
    edges : "all" or "existing"
        All pairs of regions, or those with a weight above 0.

    Returns
    -------
    Dataset
        ``coupling``, over all pairs i ≠ j (both triangles, which for symmetric matrices is as good as one), and
        ``regional_coupling(region)``, over the other regions: row i of the weights, what region i receives, with row i of the FC. Unit "1",
        within [-1, 1], lazy if an argument is lazy. Pairs whose weight or FC is NaN do not count, so a dead region has NaN and the others
        do not notice. NaN where fewer than 3 pairs are left or one side is constant.

    Raises
    ------
    TypeError
        If an argument is no DataArray of real numbers.
    ValueError
        If a dimension is missing, labels differ, or an option is none of the above.

    Notes
    -----
    The global value is that of most modelling papers; the regional one as in Baum et al. 2020, doi:10.1073/pnas.1912034117 (which takes
    ranks and existing edges).

    Examples
    --------
    >>> import xmass as xm
    >>> cohort = xm.datasets.load_dataset("example_cohort")
    >>> found = xm.sc_fc_coupling(cohort.weights, xm.functional_connectivity(cohort.bold), method="spearman", edges="existing")
    >>> found.coupling.dims, found.regional_coupling.dims
    (('subject',), ('subject', 'region'))
    """
    if method not in ("pearson", "spearman"):
        raise ValueError(f"method={method!r}, needs 'pearson' or 'spearman'.")
    if edges not in ("all", "existing"):
        raise ValueError(f"edges={edges!r}, needs 'all' or 'existing'.")
    weights, fc = _matrix(weights, "weights"), _matrix(fc, "fc")
    what = "sc_fc_coupling, weights as simulated and fc as recorded"
    fc = align_shared(align_regions(fc, weights, what=what), weights, apart=schema.MATRIX_DIMS, what=what)
    fc = fc.drop_vars([c for c in fc.coords if c in weights.coords and c not in fc.dims])
    over_all, by_region = xr.apply_ufunc(
        _coupling,
        one_chunk(weights, *schema.MATRIX_DIMS),
        one_chunk(fc.drop_vars(schema.MATRIX_DIMS, errors="ignore"), *schema.MATRIX_DIMS),
        input_core_dims=[list(schema.MATRIX_DIMS)] * 2,
        output_core_dims=[[], [schema.REGION]],
        kwargs={"ranks": method == "spearman", "existing": edges == "existing"},
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float64, np.float64],
        keep_attrs=True,
    )
    kind = f"{method.title()} correlation of weights and FC over {'existing edges' if edges == 'existing' else 'pairs of regions'}"
    result = xr.Dataset({"coupling": over_all, "regional_coupling": by_region}).drop_vars(schema.REGION_OTHER, errors="ignore")
    for name, which in (("coupling", ""), ("regional_coupling", ", by receiving region")):
        result[name].attrs = {schema.UNITS: "1", schema.LONG_NAME: kind + which}
    return result


def _matrix(matrix: xr.DataArray, name: str) -> xr.DataArray:
    if not isinstance(matrix, xr.DataArray):
        raise TypeError(f"{name} is a {type(matrix).__name__}, needs an xarray.DataArray: take one variable, such as ds['weights'].")
    matrix = units.dequantify(matrix)
    if matrix.dtype.kind not in "fiu":
        raise TypeError(f"{name} has dtype {matrix.dtype}, needs real numbers: convert it with {name}.astype(float).")
    if any(d not in matrix.dims for d in schema.MATRIX_DIMS) or len({matrix.sizes[d] for d in schema.MATRIX_DIMS}) != 1:
        raise ValueError(
            f"{name} has dims {dict(matrix.sizes)}, needs a square ('region', 'region_other'). Of a series take its FC: "
            "xm.functional_connectivity(bold)."
        )
    return complete_matrix_labels(matrix)


def _coupling(weights: np.ndarray, fc: np.ndarray, *, ranks: bool, existing: bool) -> tuple[np.ndarray, np.ndarray]:
    lead, regions = np.broadcast_shapes(weights.shape[:-2], fc.shape[:-2]), weights.shape[-1]
    shape = (*lead, regions, regions)
    weights, fc = (np.broadcast_to(m, shape) for m in (weights, fc))
    over_all, by_region = np.empty(lead), np.empty((*lead, regions))
    for place in np.ndindex(lead):
        w, f = weights[place].astype(np.float64), fc[place].astype(np.float64)
        counts = np.isfinite(w) & np.isfinite(f) & ~np.eye(regions, dtype=bool)
        if existing:
            counts &= w > 0
        over_all[place] = _correlation(w[counts], f[counts], ranks=ranks)
        by_region[place] = [_correlation(w[i, counts[i]], f[i, counts[i]], ranks=ranks) for i in range(regions)]
    return over_all[()], by_region


def _correlation(w: np.ndarray, f: np.ndarray, *, ranks: bool) -> float:
    from scipy import stats

    if w.size < 3:
        return np.nan
    return float(pearson(stats.rankdata(w), stats.rankdata(f)) if ranks else pearson(w, f))
