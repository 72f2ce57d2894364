"""Maps over regions and how alike they are, judged against random maps with the same spatial autocorrelation."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.analysis.arrays import pearson
from xmass.analysis.connectivity import one_chunk
from xmass.analysis.spatial_arrays import Variogram, moran_index, moran_nulls, moran_vectors, moran_weights, smoothers, variogram_nulls
from xmass.labelled.regions import repeated_labels
from xmass.labelled.schema import LONG_NAME, MATRIX_DIMS, REGION, REGION_OTHER, UNITS
from xmass.labelled.units import dequantify, to_declared

NULL = "null"
"""Dim of random maps."""
DISTANCE = "distance"
FEWEST = 8

Method = Literal["moran", "variogram", "shuffle"]


def spatial_nulls(
    regional: xr.DataArray,
    distances: xr.DataArray,
    *,
    n: int = 1000,
    seed: int = 0,
    method: Method = "moran",
    resample: bool = False,
) -> xr.DataArray:
    """Random maps that are as smooth in space as a given one: what a correlation of two maps is judged against.

    Neighbouring regions are alike, so that a map of N regions has far fewer than N independent values, and shuffled maps give p-values that
    are much too small.

    Parameters
    ----------
    regional : DataArray
        The map ``(..., region)``; other dims (map, subject) are kept, and all of their entries get the same random numbers.
    distances : DataArray
        ``(region, region_other)``, symmetric, the distance over the surface or through space; or positions ``(region, xyz)``, from which
        the straight ones are made, as ``connectome.centres``. In any unit; aligned by label. Lengths of fibres are no distances.
    n : int
        Number of random maps.
    seed : int
        Of the random numbers.
    method : {"moran", "variogram", "shuffle"}
        ``"moran"``: the eigenvectors of the doubly centred inverse distances are all patterns without a mean, each with its Moran's I; a
        random map has the same share of each, with a random sign. Mean, variance and Moran's I are kept exactly. ``"variogram"``: shuffled,
        smoothed over the neighbourhood and with noise added as makes the variogram most like that of the map. ``"shuffle"``: without regard
        to space, for comparison.
    resample : bool
        Give each random map the values of the map itself, by rank. Its distribution is then exact, and what ``method`` keeps is not.

    Returns
    -------
    DataArray
        ``(..., null, region)`` in the unit of the map; lazy if the map is lazy.

    Raises
    ------
    TypeError
        If an argument is no DataArray of real numbers.
    ValueError
        If regions differ, a number is missing, two regions have the distance 0, distances are not symmetric, the map is the same
        everywhere, or there are fewer than 8 regions.

    Notes
    -----
    Moran spectral randomisation: Wagner, Dray 2015, doi:10.1111/2041-210X.12407. Variogram matching: Burt et al. 2020,
    doi:10.1016/j.neuroimage.2020.117038, with distances up to their 25 % quantile, and here with neither a negative share of the smoothed
    map nor of the noise. The rates of false positives of each are on the page of maps.

    Examples
    --------
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_cohort")
    >>> height = sc.centres.sel(xyz="z", drop=True)
    >>> nulls = xm.spatial_nulls(height, sc.centres, n=200, seed=1)
    >>> nulls.dims, bool(abs(xm.morans_i(nulls, sc.centres) - xm.morans_i(height, sc.centres)).max() < 1e-10)
    (('null', 'region'), True)
    """
    if method not in ("moran", "variogram", "shuffle"):
        raise ValueError(f"method={method!r}, needs 'moran', 'variogram' or 'shuffle'.")
    for name, value, least in (("n", n, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name}={value!r}, needs a whole number of at least {least}.")
    regional, apart = _map_and_distances(regional, distances)
    if NULL in regional.dims:
        raise ValueError(f"the map has the dim {NULL!r}, which spatial_nulls makes: rename it with .rename({NULL}='...').")
    result = xr.apply_ufunc(
        _Nulls(apart, method, int(n), int(seed), resample),
        one_chunk(regional, REGION),
        input_core_dims=[[REGION]],
        output_core_dims=[[NULL, REGION]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {NULL: int(n)}},
        keep_attrs=True,
    )
    meaning = regional.attrs.get(LONG_NAME, regional.name)
    about = {LONG_NAME: f"random maps for {'a map' if meaning is None else meaning}", "null_method": method, "null_seed": int(seed)}
    return result.assign_attrs(about).rename(regional.name)


def map_correlation(
    first: xr.DataArray,
    second: xr.DataArray,
    nulls: xr.DataArray,
    *,
    method: Literal["pearson", "spearman"] = "pearson",
) -> xr.Dataset:
    """Correlation of two maps over the regions, with the probability of one as large under random maps of the same smoothness.

    Parameters
    ----------
    first, second : DataArray
        Maps ``(..., region)``, paired by label; other dims that both have are paired, the others crossed.
    nulls : DataArray
        Random maps for ``first``, ``(..., null, region)``, from :func:`xmass.spatial_nulls`.
    method : {"pearson", "spearman"}
        Of the values, or of their ranks.

    Returns
    -------
    Dataset
        ``correlation``; ``p_value``, two-sided, (1 + how many random ones are as large) / (1 + n), so at least 1/(1 + n); and
        ``null_correlation(..., null)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is no map, regions differ, or ``nulls`` has no dim ``null``.

    Notes
    -----
    Two-sided in the absolute value. Phipson, Smyth 2010, doi:10.2202/1544-6115.1585, on why 1 is added.

    Examples
    --------
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_cohort").isel(subject=0, drop=True)
    >>> x, y = (sc.centres.sel(xyz=a, drop=True) for a in "xy")
    >>> found = xm.map_correlation(x, y, xm.spatial_nulls(x, sc.centres, n=99))
    >>> found.p_value.item() > 0.05
    True
    """
    if method not in ("pearson", "spearman"):
        raise ValueError(f"method={method!r}, needs 'pearson' or 'spearman'.")
    first, second, nulls = (_checked(a, name) for a, name in ((first, "first"), (second, "second"), (nulls, "nulls")))
    if NULL not in nulls.dims or NULL in first.dims or NULL in second.dims:
        raise ValueError(f"nulls has dims {nulls.dims}, needs {NULL!r} and 'region': nulls=xm.spatial_nulls(first, distances).")
    second, nulls = _in_order(second, first, "second"), _in_order(nulls, first, "nulls")
    r, random = (
        xr.apply_ufunc(
            _correlation,
            one_chunk(a, REGION),
            one_chunk(second, REGION),
            input_core_dims=[[REGION], [REGION]],
            kwargs={"ranks": method == "spearman"},
            join="exact",
            dask="parallelized",
            output_dtypes=[np.float64],
        )
        for a in (first, nulls)
    )
    # a random map that is the map itself may differ from it in the last bit
    p = (1 + (abs(random) >= abs(r) - 1e-12).sum(NULL)) / (1 + nulls.sizes[NULL])
    p = p.where(r.notnull())
    names = {"correlation": (r, f"{method.title()} correlation of the maps"), "p_value": (p, "two-sided p-value")}
    names["null_correlation"] = (random, "correlation of random maps")
    return xr.Dataset({name: value.assign_attrs({UNITS: "1", LONG_NAME: said}) for name, (value, said) in names.items()})


def morans_i(regional: xr.DataArray, distances: xr.DataArray) -> xr.DataArray:
    """Moran's I of maps: their spatial autocorrelation, with inverse distances as weights.

    Parameters
    ----------
    regional : DataArray
        ``(..., region)``.
    distances : DataArray
        As of :func:`xmass.spatial_nulls`.

    Returns
    -------
    DataArray
        ``(...)``; -1/(N - 1) is expected of independent values.

    Raises
    ------
    TypeError, ValueError
        As :func:`xmass.spatial_nulls`.

    Notes
    -----
    Moran 1950, doi:10.2307/2332142: (N / W) sum w_ij (x_i - m)(x_j - m) / sum (x_i - m)^2.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xmass as xm
    >>> line = xr.DataArray(np.stack([np.arange(10.0), np.zeros(10), np.zeros(10)], axis=1), dims=("region", "xyz"))
    >>> trend = xr.DataArray(np.arange(10.0), dims="region")
    >>> float(xm.morans_i(trend, line)) > -1 / 9 > float(xm.morans_i((-1) ** trend, line))
    True
    """
    regional, apart = _map_and_distances(regional, distances)
    weights = moran_weights(apart)
    result = xr.apply_ufunc(
        lambda maps: moran_index(maps.astype(np.float64), weights),
        one_chunk(regional, REGION),
        input_core_dims=[[REGION]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return result.rename("morans_i").assign_attrs({UNITS: "1", LONG_NAME: "Moran's I"})


def variogram(regional: xr.DataArray, distances: xr.DataArray) -> xr.DataArray:
    """Half the mean square difference of two regions, by their distance.

    Parameters
    ----------
    regional : DataArray
        ``(..., region)``.
    distances : DataArray
        As of :func:`xmass.spatial_nulls`.

    Returns
    -------
    DataArray
        ``(..., distance)`` at 25 distances up to the 25 % quantile, smoothed, in the unit of the map squared.

    Raises
    ------
    TypeError, ValueError
        As :func:`xmass.spatial_nulls`.

    Notes
    -----
    With the kernel of Burt et al. 2020, doi:10.1016/j.neuroimage.2020.117038.

    Examples
    --------
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_cohort")
    >>> found = xm.variogram(sc.centres.sel(xyz="z"), sc.centres)
    >>> bool(found[-1] > 2 * found[0]), found.distance.attrs["units"]
    (True, 'mm')
    """
    regional, apart = _map_and_distances(regional, distances)
    taken = Variogram(apart)
    result = xr.apply_ufunc(
        lambda maps: taken(maps.astype(np.float64)),
        one_chunk(regional, REGION),
        input_core_dims=[[REGION]],
        output_core_dims=[[DISTANCE]],
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {DISTANCE: len(taken.at)}},
    )
    unit = regional.attrs.get(UNITS, "1")
    about = {UNITS: dequantify(distances).attrs.get(UNITS, "mm"), LONG_NAME: "distance of two regions"}
    squared = unit if unit == "1" else f"({unit})^2"
    return (
        result.assign_coords({DISTANCE: (DISTANCE, taken.at, about)})
        .rename("variogram")
        .assign_attrs({UNITS: squared, LONG_NAME: "variogram"})
    )


class _Nulls:
    """Random maps of arrays ``(..., region)``."""

    def __init__(self, distances: np.ndarray, method: Method, count: int, seed: int, resample: bool) -> None:
        self.distances, self.method, self.count, self.seed, self.resample = distances, method, count, seed, resample
        self.vectors = moran_vectors(moran_weights(distances)) if method == "moran" else np.empty(0)
        self.variogram = Variogram(distances) if method == "variogram" else None
        self.smoothers = smoothers(distances) if method == "variogram" else []

    def __call__(self, maps: np.ndarray) -> np.ndarray:
        result = np.empty((*maps.shape[:-1], self.count, maps.shape[-1]))
        for place in np.ndindex(maps.shape[:-1]):
            values, rng = np.asarray(maps[place], np.float64), np.random.default_rng(self.seed)
            _check_values(values)
            if self.variogram is not None:
                result[place] = variogram_nulls(values, self.distances, self.variogram, self.smoothers, self.count, rng)
            elif self.method == "moran":
                result[place] = moran_nulls(values, self.vectors, self.count, rng)
            else:
                result[place] = rng.permuted(np.tile(values, (self.count, 1)), axis=1)
            if self.resample:
                result[place] = np.sort(values)[result[place].argsort(axis=1).argsort(axis=1)]
        return result


def _check_values(values: np.ndarray) -> None:
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"the map is NaN or infinite in {bad} of {values.size} regions, needs a number in each: leave these regions out.")
    if values.min() == values.max():
        raise ValueError("the map has one value in all regions, needs at least two different ones.")


def _correlation(a: np.ndarray, b: np.ndarray, *, ranks: bool) -> np.ndarray:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if ranks:
        from scipy.stats import rankdata

        a, b = rankdata(a, axis=-1), rankdata(b, axis=-1)
    return np.asarray(pearson(a, b))


def _checked(regional: Any, name: str) -> xr.DataArray:
    if not isinstance(regional, xr.DataArray):
        raise TypeError(f"{name} is a {type(regional).__name__}, needs a DataArray over 'region'.")
    regional = dequantify(regional)
    if regional.dtype.kind not in "fiu":
        raise TypeError(f"{name} holds {regional.dtype} values, needs real numbers: convert them with .astype(float).")
    if REGION not in regional.dims or REGION_OTHER in regional.dims:
        raise ValueError(f"{name} has dims {regional.dims}, needs one value per 'region'.")
    if REGION in regional.coords and (again := repeated_labels(regional[REGION].values.tolist())):
        raise ValueError(f"{name} has the regions {again[:5]} more than once, needs each once.")
    return regional


def _in_order(data: xr.DataArray, like: xr.DataArray, name: str, dim: str = REGION) -> xr.DataArray:
    """``data`` with its regions in the order of ``like``; by position where one of them has no labels."""
    if dim not in data.coords or REGION not in like.coords:
        if data.sizes[dim] != like.sizes[REGION]:
            raise ValueError(
                f"{name} has {data.sizes[dim]} regions, the map {like.sizes[REGION]}. Add labels to both: .assign_coords({dim}=...)."
            )
        return data.drop_vars([c for c in data.coords if dim in data[c].dims])
    own, wanted = data[dim].values.tolist(), like[REGION].values.tolist()
    missing, extra = ([str(v) for v in a if v not in b][:5] for a, b in ((wanted, set(own)), (own, set(wanted))))
    if missing or extra or len(own) != len(set(own)):
        said = [f"{what} {which}" for what, which in (("lacks", missing), ("has unknown", extra)) if which] or ["repeats regions"]
        raise ValueError(f"{name} {' and '.join(said)} along {dim!r}, needs the regions of the map. Select them: .sel({dim}=...).")
    data = data.isel({dim: [own.index(v) for v in wanted]})
    return data.drop_vars([c for c in data.coords if dim in data[c].dims and c != dim])


def _map_and_distances(regional: Any, distances: Any) -> tuple[xr.DataArray, np.ndarray]:
    """The map, and the distances between its regions in their order."""
    regional = _checked(regional, "the map")
    if not isinstance(distances, xr.DataArray):
        raise TypeError(f"distances is a {type(distances).__name__}, needs a DataArray (region, region_other), or positions (region, xyz).")
    distances = dequantify(distances)
    if set(distances.dims) == {REGION, "xyz"}:
        places = to_declared(distances, distances.attrs.get(UNITS, "mm"), "distances")
        points = _in_order(places, regional, "distances").transpose(REGION, "xyz").values.astype(np.float64)
        apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=-1))
    elif set(distances.dims) == set(MATRIX_DIMS):
        turned = _in_order(_in_order(distances, regional, "distances"), regional, "distances", REGION_OTHER)
        apart = turned.transpose(*MATRIX_DIMS).values.astype(np.float64)
    else:
        raise ValueError(
            f"distances has dims {distances.dims}, needs (region, region_other), or positions (region, xyz). Select a subject."
        )
    if len(apart) < FEWEST:
        raise ValueError(f"the map has {len(apart)} regions, random maps need at least {FEWEST}.")
    if not np.isfinite(apart).all() or (apart < 0).any():
        raise ValueError("distances hold NaN, infinity or negative numbers, needs the distance of each pair of regions.")
    if np.abs(apart - apart.T).max() > 1e-6 * apart.max():
        raise ValueError("distances are not symmetric, needs one for each pair of regions: (d + d.T) / 2, or positions (region, xyz).")
    apart = (apart + apart.T) / 2
    away = ~np.eye(len(apart), dtype=bool)
    if (apart[away] == 0).any():
        first, second = np.argwhere((apart == 0) & away)[0]
        label = regional[REGION].values.tolist() if REGION in regional.coords else list(range(len(apart)))
        raise ValueError(
            f"the regions {label[first]!r} and {label[second]!r} have the distance 0. Lengths of fibres are 0 where there "
            "are none, and are no distances; give positions: connectome.centres."
        )
    np.fill_diagonal(apart, 0.0)
    return regional, apart
