"""Graph measures of a connectome or of a functional connectivity, computed by networkx."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.align import complete_matrix_labels
from xmass.analysis.connectivity import one_chunk
from xmass.labelled import schema, units

DEGREE = "degree"
MEASURES = {
    "degree_in": ((schema.REGION,), "number of connections received", "1"),
    "degree_out": ((schema.REGION,), "number of connections sent", "1"),
    "strength_in": ((schema.REGION,), "sum of the weights received", None),
    "strength_out": ((schema.REGION,), "sum of the weights sent", None),
    "clustering": ((schema.REGION,), "weighted clustering coefficient", "1"),
    "module": ((schema.REGION,), "module, numbered by size", "1"),
    "modularity": ((), "modularity of the modules", "1"),
    "rich_club": ((DEGREE,), "density among the regions of a higher degree", "1"),
}


def graph_measures(weights: xr.DataArray, *, density: float | None = None, resolution: float = 1.0, seed: int = 0) -> xr.Dataset:
    """Degree, strength, clustering, modularity and rich club of a weighted graph.

    Parameters
    ----------
    weights : DataArray
        ``(..., region, region_other)``: a connectome, or an FC without negative entries. Row receives, column sends. The diagonal does not
        count. Other dims (subject, k) are kept.
    density : float, optional
        Keep this fraction of the pairs i ≠ j, those of the largest weights, in (0, 1]; by default every weight above 0 is an edge. Degree
        and rich club of a graph in which nearly all pairs have an edge say nothing.
    resolution : float
        Of the modularity: above 1 there are more and smaller modules.
    seed : int
        Of the order in which the Louvain method visits regions.

    Returns
    -------
    Dataset
        ``degree_in``, ``degree_out``, ``strength_in``, ``strength_out``, ``clustering`` and ``module`` with ``region``; ``modularity``;
        ``rich_club(degree)``, NaN from the degree on above which fewer than two regions are left. Unit of strengths as of the weights, else
        "1". Lazy if ``weights`` is lazy. A region whose entries are all NaN (a dead one of an FC) is NaN and left out of the graph; a graph
        with another NaN is NaN throughout.

    Raises
    ------
    ImportError
        If networkx is not installed: ``pip install "xmass[graph]"``.
    TypeError
        If ``weights`` is no DataArray of real numbers.
    ValueError
        If a dimension is missing, an option is out of its range, or a weight is negative (of lazy weights: when it is computed).

    Notes
    -----
    Clustering: geometric mean of the weights of triangles over the largest weight (Onnela et al. 2005, doi:10.1103/PhysRevE.71.065103;
    Fagiolo 2007, doi:10.1103/PhysRevE.76.026107, where weights are not symmetric). Modules: Blondel et al. 2008,
    doi:10.1088/1742-5468/2008/10/P10008, a heuristic: another seed may find others of nearly the same modularity. Rich club: Zhou and
    Mondragón 2004, doi:10.1109/LCOMM.2004.823426, of the graph without weights and directions; it rises with degree in random graphs
    too, so hold it against rewired ones.

    Examples
    --------
    >>> import xmass as xm
    >>> cohort = xm.datasets.load_dataset("example_cohort")
    >>> found = xm.graph_measures(cohort.weights.isel(subject=[0]), density=0.15)
    >>> found.strength_in.dims, found.modularity.dims, found.rich_club.dims
    (('subject', 'region'), ('subject',), ('subject', 'degree'))
    """
    try:
        import networkx  # noqa: F401
    except ImportError as error:
        raise ImportError("graph_measures needs networkx: pip install 'xmass[graph]'.") from error
    if not isinstance(weights, xr.DataArray):
        raise TypeError(f"weights is a {type(weights).__name__}, needs an xarray.DataArray: take one variable, such as ds['weights'].")
    weights = units.dequantify(weights)
    if weights.dtype.kind not in "fiu":
        raise TypeError(f"weights has dtype {weights.dtype}, needs real numbers: convert it with weights.astype(float).")
    if any(d not in weights.dims for d in schema.MATRIX_DIMS) or len({weights.sizes[d] for d in schema.MATRIX_DIMS}) != 1:
        raise ValueError(
            f"weights has dims {dict(weights.sizes)}, needs a square ('region', 'region_other'). Of a series take its FC: "
            "xm.functional_connectivity(bold)."
        )
    if density is not None and not 0 < density <= 1:
        raise ValueError(f"density={density!r}, needs a fraction of the pairs in (0, 1], such as density=0.15.")
    if not 0 < resolution < np.inf:
        raise ValueError(f"resolution={resolution!r}, needs a positive number, 1 for the usual modularity.")
    if DEGREE in weights.dims or DEGREE in weights.coords:
        raise ValueError(f"weights has {DEGREE!r} already, which the rich club needs: rename it with weights.rename(degree='...').")
    weights = complete_matrix_labels(weights)
    regions = weights.sizes[schema.REGION]
    parts = xr.apply_ufunc(
        _measures,
        one_chunk(weights, *schema.MATRIX_DIMS),
        input_core_dims=[list(schema.MATRIX_DIMS)],
        output_core_dims=[list(dims) for dims, _, _ in MEASURES.values()],
        kwargs={"density": density, "resolution": float(resolution), "seed": int(seed)},
        dask="parallelized",
        output_dtypes=[np.float64] * len(MEASURES),
        dask_gufunc_kwargs={"output_sizes": {DEGREE: regions - 1}},
        keep_attrs=True,
    )
    found = xr.Dataset(dict(zip(MEASURES, parts, strict=True))).drop_vars(schema.REGION_OTHER, errors="ignore")
    for name, (_, meaning, unit) in MEASURES.items():
        given = weights.attrs.get(schema.UNITS) if unit is None else unit
        found[name].attrs = ({} if given is None else {schema.UNITS: given}) | {schema.LONG_NAME: meaning}
    found = found.assign_coords({DEGREE: (DEGREE, np.arange(regions - 1), {schema.UNITS: "1", schema.LONG_NAME: "degree"})})
    found.attrs = {"density": "all weights above 0" if density is None else density, "resolution": resolution, "seed": seed}
    return found


def _measures(weights: np.ndarray, *, density: float | None, resolution: float, seed: int) -> tuple[np.ndarray, ...]:
    lead, regions = weights.shape[:-2], weights.shape[-1]
    sizes = {schema.REGION: regions, DEGREE: regions - 1}
    found = {name: np.full((*lead, *(sizes[d] for d in dims)), np.nan) for name, (dims, _, _) in MEASURES.items()}
    for place in np.ndindex(lead):
        matrix = weights[place].astype(np.float64)
        np.fill_diagonal(matrix, 0.0)
        missing = np.isnan(matrix) | np.eye(regions, dtype=bool)
        alive = np.flatnonzero(~(missing.all(axis=0) & missing.all(axis=1))) if regions > 1 else np.arange(regions)
        matrix = matrix[np.ix_(alive, alive)]
        if np.isnan(matrix).any():
            continue
        if (matrix < 0).any() or np.isinf(matrix).any():
            raise ValueError(
                f"weights has the entry {matrix[np.isinf(matrix) | (matrix < 0)][0]:g}, a graph needs finite weights of 0 or more. "
                "Choose what a negative correlation is: none, fc.clip(0), or as strong as a positive one, abs(fc)."
            )
        for name, value in _of_one(_thresholded(matrix, density), resolution, seed).items():
            if MEASURES[name][0] == (schema.REGION,):
                found[name][(*place, alive)] = value
            elif name == "rich_club":
                found[name][place][: len(value)] = value
            else:
                found[name][place] = value
    return tuple(value[()] for value in found.values())


def _thresholded(matrix: np.ndarray, density: float | None) -> np.ndarray:
    """The largest weights only; of equal ones at the limit all, so that a symmetric graph stays symmetric."""
    off = ~np.eye(len(matrix), dtype=bool)
    keep = round((1.0 if density is None else density) * off.sum())
    if density is None or keep == 0 or keep >= off.sum():
        return matrix if density is None or keep else np.zeros_like(matrix)
    limit = np.partition(matrix[off], -keep)[-keep]
    return np.where((matrix >= limit) & off, matrix, 0.0)


def _of_one(matrix: np.ndarray, resolution: float, seed: int) -> dict[str, Any]:
    import networkx as nx

    symmetric = bool((matrix == matrix.T).all())
    # an edge of networkx goes from row to column, a projection of ours onto row from column
    graph = nx.from_numpy_array(matrix.T, create_using=nx.Graph if symmetric else nx.DiGraph)
    regions = len(matrix)
    clustering = nx.clustering(graph, weight="weight") if matrix.any() else dict.fromkeys(range(regions), 0.0)
    module, modularity = np.full(regions, np.nan), np.nan
    if matrix.any():
        modules = nx.community.louvain_communities(graph, weight="weight", resolution=resolution, seed=seed)
        modules = sorted(modules, key=lambda members: (-len(members), min(members)))
        modularity = nx.community.modularity(graph, modules, weight="weight", resolution=resolution)
        for number, members in enumerate(modules):
            module[list(members)] = number
    club = nx.rich_club_coefficient(graph.to_undirected(), normalized=False) if matrix.any() else {}
    return {
        "degree_in": (matrix > 0).sum(axis=1),
        "degree_out": (matrix > 0).sum(axis=0),
        "strength_in": matrix.sum(axis=1),
        "strength_out": matrix.sum(axis=0),
        "clustering": [clustering[i] for i in range(regions)],
        "module": module,
        "modularity": modularity,
        "rich_club": [club[k] for k in sorted(club)],
    }
