"""What is done to a network: lesions as a dim of the weights, and parameters that follow a map over the regions."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import xarray as xr

from xmass.analysis.connectivity import one_chunk
from xmass.labelled.connectome import connectome_weights
from xmass.labelled.regions import align_regions, repeated_labels
from xmass.labelled.schema import LONG_NAME, MATRIX_DIMS, REGION, REGION_OTHER, TIME, UNITS, WEIGHTS
from xmass.labelled.term import amplitude_of
from xmass.labelled.units import dequantify, to_declared

LESION = "lesion"
NONE = "none"
"""The label of the network without a lesion."""

Scale = Literal["linear", "rank"]
Edge = tuple[Hashable, Hashable]


def lesion(
    connectome: xr.Dataset | xr.DataArray,
    *,
    regions: Iterable[Any] | Mapping[str, Iterable[Hashable]] | None = None,
    edges: Iterable[Edge] | Mapping[str, Iterable[Edge]] | None = None,
    fraction: float | xr.DataArray = 1.0,
    directed: bool = False,
) -> xr.Dataset:
    """Weights with a dim ``lesion``: one entry for each lesion, and before them ``"none"``, the network as it is.

    Parameters
    ----------
    connectome : Dataset or DataArray
        A Dataset with ``weights(..., region, region_other)``, or the weights themselves; other dims (subject) are kept.
    regions : iterable or mapping, optional
        One lesion for each entry: a label, or a list of labels that are lesioned together, named ``A+B``. A mapping gives the names:
        ``{"left": [...]}``. All regions in turn: ``regions=connectome.region.values``.
    edges : iterable or mapping, optional
        One lesion for each pair ``(region, region_other)`` of labels, named ``A-B``; a mapping from a name to a list of pairs cuts
        several together. Give ``regions`` or ``edges``.
    fraction : float or DataArray
        What is lost of the weights, from 0 to 1. A DataArray with a dim of its own gives the weights this dim.
    directed : bool
        Of edges: cut only the projection onto ``region`` from ``region_other``, named ``A<-B``, instead of both directions.

    Returns
    -------
    Dataset
        ``weights(..., lesion, ..., region, region_other)``, to be given to ``run`` as parameters; lazy if the weights are. A region with
        a lesion stays in the network: what it receives, what it sends, and its weight onto itself lose ``fraction``, and with 1 it
        runs on alone under its own noise. To leave it out of a result: ``result.where(result.region != result.lesion)``.

    Raises
    ------
    TypeError
        For text instead of a list, or a pair of edges that is none.
    KeyError
        For a region that the connectome lacks.
    ValueError
        For a fraction outside [0, 1], two lesions of one name, an edge whose weights are 0, or without ``regions`` and ``edges``.

    Notes
    -----
    With one seed for the run all lesions see the same noise, that of ``"none"`` too, so that
    ``result - result.sel(lesion="none")`` is a paired difference.

    Examples
    --------
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome")
    >>> cut = xm.lesion(sc, regions=["R0", ["R1", "R2"]])
    >>> cut.lesion.values.tolist(), dict(cut.weights.sizes)
    (['none', 'R0', 'R1+R2'], {'lesion': 3, 'region': 8, 'region_other': 8})
    >>> float(abs(cut.weights.sel(lesion="R0", region="R0")).sum()), float(abs(cut.weights.sel(lesion="R0", region_other="R0")).sum())
    (0.0, 0.0)
    """
    weights = connectome_weights(connectome)
    if LESION in weights.dims or LESION in weights.coords:
        raise ValueError(f"weights has {LESION!r} already, which lesion makes: rename it with .rename({LESION}='...').")
    labels = weights[REGION].values.tolist() if REGION in weights.coords else list(range(weights.sizes[REGION]))
    if (regions is None) == (edges is None):
        raise ValueError("lesion needs regions=[...] or edges=[(region, region_other), ...], one of them.")
    wrong = [d for d in (LESION, TIME, *MATRIX_DIMS) if isinstance(fraction, xr.DataArray) and d in fraction.dims]
    lost = xr.DataArray(0.0) if wrong else amplitude_of(fraction, "fraction")
    if wrong or UNITS in lost.attrs or not bool(((lost >= 0) & (lost <= 1)).all()):
        raise ValueError(
            f"fraction={fraction!r}, needs numbers from 0 (intact) to 1 (removed) without a unit, alone or over a dim of their own: "
            "fraction=xr.DataArray([0.5, 1.0], dims='fraction')."
        )
    if regions is not None:
        names, hit = _region_masks(regions, labels)
    else:
        names, hit = _edge_masks(cast(Any, edges), labels, weights, directed=directed)
    if again := repeated_labels([NONE, *names]):
        raise ValueError(f"the lesions {again[:5]} are there more than once ('{NONE}' is the network as it is): give names by a mapping.")
    mask = xr.DataArray(np.concatenate([np.zeros((1, *hit.shape[1:]), bool), hit]), dims=(LESION, *MATRIX_DIMS))
    with xr.set_options(keep_attrs=True, arithmetic_join="exact"):
        kept = (1.0 - lost.drop_attrs() * mask) if weights.chunks is None else (1.0 - lost.drop_attrs() * mask.chunk({LESION: 1}))
        cut = weights.astype(np.result_type(weights.dtype, np.float32), copy=False) * kept
    outer = [d for d in lost.dims if d not in weights.dims]
    cut = cut.transpose(*outer, LESION, *weights.dims)
    cut.attrs = dict(weights.attrs)
    meaning = {LONG_NAME: "what is lesioned; none is the network as it is"}
    return cut.assign_coords({LESION: (LESION, [NONE, *names], meaning)}).rename(WEIGHTS).to_dataset()


def heterogeneity(
    regional: xr.DataArray,
    parameter_range: tuple[Any, Any],
    *,
    connectome: xr.Dataset | xr.DataArray,
    scale: Scale = "linear",
) -> xr.DataArray:
    """A parameter that follows a map over the regions: a gradient of myelin (T1w/T2w), a receptor density, a thickness.

    Parameters
    ----------
    regional : DataArray
        The map, ``(..., region)`` with labels. Other dims (receptor, subject) are kept, and each map is scaled by itself.
    parameter_range : pair of float, Quantity or DataArray
        The parameter where the map is lowest, and where it is highest; the first may be the larger one. DataArrays over dims of their own
        make a sweep over the strength of the gradient.
    connectome : Dataset or DataArray
        What the map is checked against: it needs the labels of its regions, all of them and no other, in any order.
    scale : "linear" or "rank"
        Linear in the map, or in the ranks of its values, of which an outlier is only the last; regions with equal values share their
        mean rank.

    Returns
    -------
    DataArray
        ``(..., region)`` in the order of the connectome, in the unit of the range, to be given to ``run`` in a Dataset:
        ``xr.Dataset({"a": a})``; lazy if the map is lazy.

    Raises
    ------
    TypeError
        If the map is no DataArray of real numbers.
    ValueError
        For a map without ``region`` or its labels; labels that are missing, unknown or repeated; NaN; the same value in all regions; or a
        range that is no pair of finite numbers of one unit.

    Notes
    -----
    Demirtaş et al. 2019, doi:10.1016/j.neuron.2019.01.017, take a linear map of T1w/T2w; Deco et al. 2021,
    doi:10.1126/sciadv.abf4752, of several maps.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome").isel(region=[0, 1, 2], region_other=[0, 1, 2])
    >>> myelin = xr.DataArray([1.3, 1.1, 1.2], dims="region", coords={"region": ["R2", "R0", "R1"]})
    >>> a = xm.heterogeneity(myelin, (-0.1, 0.1), connectome=sc)
    >>> a.region.values.tolist(), (a.values.round(6) + 0).tolist()
    (['R0', 'R1', 'R2'], [-0.1, 0.0, 0.1])
    """
    if not isinstance(regional, xr.DataArray):
        raise TypeError(
            f"the map is a {type(regional).__name__}, needs a DataArray over 'region' with labels: from a table, "
            "pd.read_csv(path, index_col='region')['myelin'].to_xarray()."
        )
    regional = dequantify(regional)
    if regional.dtype.kind not in "fiu":
        raise TypeError(f"the map holds {regional.dtype} values, needs real numbers: convert them with .astype(float).")
    if scale not in ("linear", "rank"):
        raise ValueError(f"scale={scale!r}, needs 'linear' or 'rank'.")
    if REGION not in regional.dims or REGION not in regional.coords or REGION_OTHER in regional.dims:
        raise ValueError(
            f"the map has dims {regional.dims} and coords {list(regional.coords)}, needs one value per 'region' and their labels: "
            "which region is which. Add them, in the order of the map's own file: .assign_coords(region=labels)."
        )
    weights = connectome_weights(connectome)
    if REGION not in weights.coords:
        raise ValueError("the connectome has no region labels to check the map against: .assign_coords(region=labels).")
    name = f"the map {regional.name!r}" if regional.name is not None else "the map"
    regional = align_regions(regional, weights[REGION].values, name)
    low, high = _ends(parameter_range)
    meaning = regional.attrs.get(LONG_NAME, regional.name)
    position = xr.apply_ufunc(
        _position,
        one_chunk(regional, REGION),
        input_core_dims=[[REGION]],
        output_core_dims=[[REGION]],
        kwargs={"scale": scale, "name": name},
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    with xr.set_options(arithmetic_join="exact"):
        # a weighted mean, so that both ends are met exactly
        result = low.drop_attrs() * (1.0 - position) + high.drop_attrs() * position
    result = result.transpose(..., REGION)
    result.attrs = {**low.attrs, LONG_NAME: f"{scale} in {meaning if meaning is not None else 'a map'}"}
    return result.rename(None)


def _names_of(entries: Iterable[Any] | Mapping[str, Iterable[Any]], what: str) -> list[tuple[str | None, Any]]:
    """Each lesion with the name that a mapping gives it."""
    if isinstance(entries, str | bytes):
        raise TypeError(f"{what}={entries!r} is text, needs a list with one entry per lesion: {what}=[...].")
    named = list(entries.items()) if isinstance(entries, Mapping) else [(None, entry) for entry in entries]
    if not named:
        raise ValueError(f"{what} is empty, needs one entry or more, one for each lesion.")
    return cast("list[tuple[str | None, Any]]", named)


def _region_masks(regions: Any, labels: list[Any]) -> tuple[list[str], np.ndarray]:
    names, masks = [], []
    for name, entry in _names_of(regions, "regions"):
        entry = _plain(entry)
        members = list(entry) if isinstance(entry, Sequence | np.ndarray | xr.DataArray) and not isinstance(entry, str) else [entry]
        if not members or (name is not None and isinstance(entry, str)):
            raise TypeError(f"the lesion {name!r} has {entry!r}, needs a list of regions, one or more.")
        hit = np.zeros(len(labels), bool)
        hit[[_place(member, labels) for member in members]] = True
        names.append("+".join(str(_plain(m)) for m in members) if name is None else str(name))
        masks.append(hit[:, None] | hit[None, :])
    return names, np.array(masks)


def _edge_masks(edges: Any, labels: list[Any], weights: xr.DataArray, *, directed: bool) -> tuple[list[str], np.ndarray]:
    names, masks = [], []
    present = (weights != 0).any([d for d in weights.dims if d not in MATRIX_DIMS]).compute().transpose(*MATRIX_DIMS).values
    for name, entry in _names_of(edges, "edges"):
        pairs = [entry] if name is None else list(entry)
        hit = np.zeros((len(labels), len(labels)), bool)
        for pair in pairs:
            if isinstance(pair, str) or len(pair) != 2:
                raise TypeError(f"the edge {pair!r} is no pair of labels, needs (region, region_other): the one that receives first.")
            to, from_ = (_place(end, labels) for end in pair)
            if not (present[to, from_] or (not directed and present[from_, to])):
                raise ValueError(f"the edge {tuple(map(_plain, pair))!r} has the weight 0: nothing is there to cut. Leave it out.")
            hit[to, from_] = True
            hit[from_, to] |= not directed
        names.append(f"{pairs[0][0]}{'<-' if directed else '-'}{pairs[0][1]}" if name is None else str(name))
        masks.append(hit)
    return names, np.array(masks)


def _plain(label: Any) -> Any:
    """A label as Python has it, where it is an entry of an array."""
    return label.item() if isinstance(label, np.generic | np.ndarray | xr.DataArray) and label.ndim == 0 else label


def _place(label: Any, labels: list[Any]) -> int:
    label = _plain(label)
    if label not in labels:
        raise KeyError(f"{label!r} is not among the {len(labels)} regions, which are {labels[:5]} and so on: name one of them.")
    return labels.index(label)


def _ends(parameter_range: Any) -> tuple[xr.DataArray, xr.DataArray]:
    if not isinstance(parameter_range, tuple | list) or len(parameter_range) != 2:
        raise ValueError(f"parameter_range={parameter_range!r}, needs a pair: (value at the lowest, value at the highest of the map).")
    low, high = (amplitude_of(end, f"parameter_range[{i}]") for i, end in enumerate(parameter_range))
    if REGION in low.dims or REGION in high.dims:
        raise ValueError("parameter_range has the dim 'region', which is what the map gives: needs numbers, or other dims.")
    if (UNITS in low.attrs) != (UNITS in high.attrs):
        raise ValueError(f"parameter_range has units {low.attrs.get(UNITS)!r} and {high.attrs.get(UNITS)!r}: give both a unit, or none.")
    return low, to_declared(high, low.attrs[UNITS], "parameter_range[1]") if UNITS in low.attrs else high


def _position(values: np.ndarray, *, scale: Scale, name: str) -> np.ndarray:
    """Where each region is between the lowest, 0, and the highest, 1."""
    from scipy.stats import rankdata

    values = np.asarray(values, np.float64)
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"{name} is NaN or infinite in {bad} of {values.size} places, needs a number for each region: fill them first.")
    if scale == "rank":
        values = rankdata(values, axis=-1)
    low, high = values.min(axis=-1, keepdims=True), values.max(axis=-1, keepdims=True)
    if (low == high).any():
        raise ValueError(f"{name} has one value in all regions, needs at least two different ones: give the parameter as a number.")
    return np.asarray((values - low) / (high - low))
