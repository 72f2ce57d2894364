"""Gradients of connectivity: a few axes along which regions are ordered by how alike their connections are."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from xmass.analysis.align import complete_matrix_labels
from xmass.analysis.connectivity import one_chunk
from xmass.labelled import schema, units

COMPONENT = "component"


def connectivity_gradients(
    matrix: xr.DataArray,
    *,
    components: int = 5,
    method: Literal["diffusion", "pca"] = "diffusion",
    sparsity: float = 0.9,
    alpha: float = 0.5,
) -> xr.Dataset:
    """Connectivity gradients by diffusion maps or principal components.

    Parameters
    ----------
    matrix : DataArray
        ``(..., region, region_other)``, an FC or a connectome; other dims (subject, k) are kept. Its diagonal counts.
    components : int
        How many gradients, fewer than there are regions.
    method : "diffusion" or "pca"
        Eigenvectors of a random walk on the affinity of regions, or principal components of that affinity.
    sparsity : float
        Of each row this fraction, its smallest entries, is set to 0 before rows are compared, and so are negative ones; in [0, 1).
    alpha : float
        Of diffusion maps: how much the density of regions counts, in [0, 1]; 0 fully, 1 not at all.

    Returns
    -------
    Dataset
        ``gradient(..., component, region)`` and ``eigenvalue(..., component)``, unit "1", components from 1, the strongest first; lazy if
        ``matrix`` is lazy. The eigenvalue is that of the random walk (diffusion), or the fraction of the variance (pca). A sign means
        nothing: the entry of the largest size is made positive. A region whose entries are all NaN but for the diagonal is NaN and left
        out. All is NaN where another entry is, or (diffusion) where the affinity falls apart into several pieces.

    Raises
    ------
    TypeError
        If ``matrix`` is no DataArray of real numbers, or ``components`` no whole number.
    ValueError
        If a dimension is missing or an option is out of its range.

    Notes
    -----
    As in Margulies et al. 2016, doi:10.1073/pnas.1608282113: rows are thresholded, their affinity is the cosine of two rows, and diffusion
    maps (Coifman and Lafon 2006, doi:10.1016/j.acha.2006.04.006) of it are scaled by λ / (1 - λ), the sum over all diffusion times.
    Gradients of different matrices have each their own order and sign: compare them after a Procrustes rotation.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np, xarray as xr
    >>> place = np.linspace(0, 1, 30)                                              # regions along a line, alike where they are near
    >>> fc = xr.DataArray(np.exp(-(((place[:, None] - place) / 0.2) ** 2)), dims=("region", "region_other"))
    >>> found = xm.connectivity_gradients(fc, components=2, sparsity=0.5)
    >>> steps = found.gradient.sel(component=1).diff("region")
    >>> bool((steps > 0).all() or (steps < 0).all()), found.gradient.dims
    (True, ('component', 'region'))
    """
    if not isinstance(matrix, xr.DataArray):
        raise TypeError(f"matrix is a {type(matrix).__name__}, needs an xarray.DataArray: xm.functional_connectivity(bold).")
    matrix = units.dequantify(matrix)
    if matrix.dtype.kind not in "fiu":
        raise TypeError(f"matrix has dtype {matrix.dtype}, needs real numbers: convert it with matrix.astype(float).")
    if any(d not in matrix.dims for d in schema.MATRIX_DIMS) or len({matrix.sizes[d] for d in schema.MATRIX_DIMS}) != 1:
        raise ValueError(
            f"matrix has dims {dict(matrix.sizes)}, needs a square ('region', 'region_other'). Of a series take its FC: "
            "xm.functional_connectivity(bold)."
        )
    if method not in ("diffusion", "pca"):
        raise ValueError(f"method={method!r}, needs 'diffusion' or 'pca'.")
    if isinstance(components, bool) or not isinstance(components, (int, np.integer)):
        raise TypeError(f"components={components!r}, needs a whole number such as components=5.")
    if not 1 <= components < matrix.sizes[schema.REGION]:
        raise ValueError(f"components={components}, needs 1 to {matrix.sizes[schema.REGION] - 1}, one less than there are regions.")
    if not 0 <= sparsity < 1 or not 0 <= alpha <= 1:
        raise ValueError(f"sparsity={sparsity!r} and alpha={alpha!r}, need sparsity in [0, 1) and alpha in [0, 1].")
    if COMPONENT in matrix.dims or COMPONENT in matrix.coords:
        raise ValueError(f"matrix has {COMPONENT!r} already, which the gradients need: rename it with matrix.rename(component='...').")
    gradient, eigenvalue = xr.apply_ufunc(
        _gradients,
        one_chunk(complete_matrix_labels(matrix), *schema.MATRIX_DIMS),
        input_core_dims=[list(schema.MATRIX_DIMS)],
        output_core_dims=[[COMPONENT, schema.REGION], [COMPONENT]],
        kwargs={"components": int(components), "diffusion": method == "diffusion", "sparsity": float(sparsity), "alpha": float(alpha)},
        dask="parallelized",
        output_dtypes=[np.float64, np.float64],
        dask_gufunc_kwargs={"output_sizes": {COMPONENT: int(components)}},
        keep_attrs=True,
    )
    found = xr.Dataset({"gradient": gradient, "eigenvalue": eigenvalue}).drop_vars(schema.REGION_OTHER, errors="ignore")
    found = found.assign_coords(
        {COMPONENT: (COMPONENT, np.arange(1, components + 1), {schema.LONG_NAME: "component, the strongest first"})}
    )
    found.gradient.attrs = {schema.UNITS: "1", schema.LONG_NAME: f"connectivity gradient ({method})"}
    meaning = "eigenvalue of the random walk" if method == "diffusion" else "fraction of the variance"
    found.eigenvalue.attrs = {schema.UNITS: "1", schema.LONG_NAME: meaning}
    found.attrs = {"method": method, "sparsity": sparsity} | ({"alpha": alpha} if method == "diffusion" else {})
    return found


def _gradients(matrix: np.ndarray, *, components: int, diffusion: bool, sparsity: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    lead, regions = matrix.shape[:-2], matrix.shape[-1]
    gradient, eigenvalue = np.full((*lead, components, regions), np.nan), np.full((*lead, components), np.nan)
    for place in np.ndindex(lead):
        one = matrix[place].astype(np.float64)
        missing = np.isnan(one) | np.eye(regions, dtype=bool)
        alive = np.flatnonzero(~(missing.all(axis=0) & missing.all(axis=1)))
        one = one[np.ix_(alive, alive)]
        if len(alive) <= components or not np.isfinite(one).all():
            continue
        affinity = _affinity(one, sparsity)
        found = _diffusion_map(affinity, components, alpha) if diffusion else _principal(affinity, components)
        if found is None:
            continue
        vectors, values = found
        largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
        gradient[place][:, alive] = vectors * np.where(largest < 0, -1.0, 1.0)
        eigenvalue[place] = values
    return gradient, eigenvalue


def _affinity(matrix: np.ndarray, sparsity: float) -> np.ndarray:
    """Cosine of two thresholded rows, at least 0."""
    drop = int(np.floor(sparsity * len(matrix) + 1e-9))
    if drop:
        limit = np.sort(matrix, axis=1)[:, drop : drop + 1]
        matrix = np.where(matrix >= limit, matrix, 0.0)
    rows = np.maximum(matrix, 0.0)
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    unit = rows / np.where(length > 0, length, 1.0)
    cosine = np.clip(unit @ unit.T, 0.0, 1.0)
    return np.asarray(0.5 * (cosine + cosine.T))


def _diffusion_map(affinity: np.ndarray, components: int, alpha: float) -> tuple[np.ndarray, np.ndarray] | None:
    from scipy import linalg

    degree = affinity.sum(axis=1)
    if (degree <= 0).any():
        return None
    kernel = affinity / np.outer(degree, degree) ** alpha
    root = np.sqrt(kernel.sum(axis=1))
    # the random walk, made symmetric: the same eigenvalues, and eigenvectors times the root of the stationary distribution
    n = len(affinity)
    values, vectors = linalg.eigh(kernel / np.outer(root, root), subset_by_index=(n - components - 1, n - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    if values[1] > 1 - 1e-10:  # a second stationary distribution: pieces that no step connects
        return None
    scaled = vectors[:, 1:] / vectors[:, :1] * (values[1:] / (1 - values[1:]))
    return scaled.T, values[1:]


def _principal(affinity: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy import linalg

    centred = affinity - affinity.mean(axis=0)
    left, sizes, _ = linalg.svd(centred, full_matrices=False)
    total = float((sizes**2).sum())
    return (left[:, :components] * sizes[:components]).T, sizes[:components] ** 2 / (total if total > 0 else np.nan)
