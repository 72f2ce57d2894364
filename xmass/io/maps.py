"""Maps over the regions of a parcellation: gradients, myelin, thickness, densities of receptors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from xmass.io.arrays import npy_entries, npz_entries
from xmass.io.guard import MAX_BYTES, Entry, Source, existing, fault, numbers
from xmass.io.imaging import read_cifti
from xmass.io.labelled import load_zarr, open_netcdf
from xmass.io.matlab import mat_entries
from xmass.io.surfaces import Averages, average_cifti, average_gifti
from xmass.io.text import check_labels, given_labels, is_count, read_table
from xmass.labelled.regions import repeated_labels
from xmass.labelled.schema import LONG_NAME, REGION, REGION_OTHER, UNITS
from xmass.labelled.suggest import nearest
from xmass.labelled.units import dequantify

FORMATS = ".csv, .tsv, .txt, .npz, .npy, .mat, .nc, .zarr, .pscalar.nii, and with parcels= .dscalar.nii, .shape.gii, .func.gii"
MAP = "map"
"""Dim of several maps."""
_NAMES = ("region", "regions", "label", "labels", "name", "names")


class Found(NamedTuple):
    """Maps as a file has them: ``(map, region)``, their names, and the labels of the regions if it has any."""

    values: np.ndarray
    maps: list[str]
    labels: list[str] | None
    units: str | None = None
    attrs: dict[str, Any] = {}  # noqa: RUF012  (a NamedTuple's default, never written to)


def read_map(
    source: Source | Sequence[Source] | xr.Dataset | xr.DataArray,
    parcellation: xr.Dataset | xr.DataArray | Sequence[Any] | Source,
    *,
    variable: str | None = None,
    labels: Sequence[str] | Source | None = None,
    parcels: Source | Sequence[Source] | None = None,
    units: str | None = None,
    missing: Literal["raise", "keep"] = "raise",
    extra: Literal["raise", "drop"] = "raise",
    max_bytes: int = MAX_BYTES,
) -> xr.DataArray:
    r"""One or several maps over the regions of a parcellation, by label and in its order.

    The format follows from the ending: text (``.csv``, ``.tsv``, ``.txt``: one row for each region), numpy (``.npz``, ``.npy``), MATLAB
    (``.mat``), netCDF (``.nc``), zarr (``.zarr``), CIFTI over parcels (``.pscalar.nii``); and, averaged over the regions of a label file,
    GIFTI (``.shape.gii``, ``.func.gii``) and dense CIFTI (``.dscalar.nii``), with the extra ``neuro``. Nothing in a file is executed,
    unpickled or extracted.

    Parameters
    ----------
    source : path, sequence of paths, Dataset or DataArray
        The maps. A sequence of files, one for each hemisphere, is joined.
    parcellation : Dataset, DataArray, sequence of labels, or path
        What the labels are checked against: a connectome, anything over ``region`` with labels, the labels themselves, or a text file of
        them.
    variable : str, optional
        The map to take, where there are several: a column, an array, a variable, a name in the file. By default all of them.
    labels : sequence of str or path, optional
        The region of each value, in the order of the file. Needed where the file does not name them; labels of the file are replaced.
    parcels : path or sequence of paths, optional
        For maps over vertices: the label file of the same surface (``.label.gii``, one for each map file) or space (``.dlabel.nii``).
        Regions are means over their vertices, each counted once.
    units : str, optional
        Of the values, where the source does not state them; "1" by default.
    missing : {"raise", "keep"}
        What a region without a value, or a NaN, means: an error, or NaN in the result. With ``"keep"`` vertices without a number are left
        out of the means.
    extra : {"raise", "drop"}
        What a region that the parcellation lacks means: an error, or nothing; ``attrs["dropped"]`` then counts them.
    max_bytes : int
        Largest size of what is taken into memory, after decompression.

    Returns
    -------
    DataArray
        ``(region)``, or ``(map, region)`` of several, in the order of the parcellation; other dims of a DataArray are kept. ``attrs``:
        ``units``, ``long_name``, ``source_file``. To be given to :func:`xmass.heterogeneity`.

    Raises
    ------
    FileNotFoundError, ImportError
        If there is no such file, or nibabel is needed and not installed.
    TypeError, ValueError
        For a file that is damaged, hostile or of another kind than its ending says; labels that are missing, extra, repeated or
        not there; NaN; a number of values that is not that of the labels.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome").isel(region=[0, 1], region_other=[0, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "myelin.csv")
    ...     _ = file.write_text("region,myelin\nR1,1.2\nR0,1.4\n")
    ...     myelin = xm.io.read_map(file, sc)
    >>> myelin.region.values.tolist(), myelin.values.tolist(), myelin.name
    (['R0', 'R1'], [1.4, 1.2], 'myelin')
    >>> a = xm.heterogeneity(myelin, (-0.1, 0.1), connectome=sc)
    """
    for option, value, known in (("missing", missing, ("raise", "keep")), ("extra", extra, ("raise", "drop"))):
        if value not in known:
            raise ValueError(f"{option}={value!r}, needs one of {', '.join(map(repr, known))}.")
    regions = _regions(parcellation, max_bytes)
    if isinstance(source, xr.Dataset | xr.DataArray):
        if labels is not None or parcels is not None:
            raise ValueError("labels= and parcels= are for files; a DataArray has its labels: .assign_coords(region=labels).")
        where, data = "the map", _of_dataset("the map", source, variable)
        return _matched(where, data, regions, missing, extra, units)
    where, found = _read_all(source, parcels, variable, missing, max_bytes)
    if isinstance(found, xr.DataArray):
        if labels is not None:
            raise ValueError(f"{where}: it is a labelled Dataset. Leave labels= out, and rename with .assign_coords(region=labels).")
        return _matched(where, found, regions, missing, extra, units).assign_attrs(source_file=where)
    given = given_labels(labels, max_bytes)
    found = _chosen(where, _with_regions(where, found, regions), variable)
    names = given if given is not None else found.labels
    if names is None:
        raise ValueError(
            f"{where}: it does not say which region is which, needs labels= in the order of the file. If that is the order of the "
            "parcellation: labels=connectome.region.values."
        )
    names = check_labels(where, names, found.values.shape[1])
    attrs = {LONG_NAME: found.maps[0] or Path(where).name.partition(".")[0], **found.attrs}
    if found.units is not None:
        attrs[UNITS] = found.units
    name = found.maps[0] or None
    if len(found.maps) > 1:
        coords = {MAP: check_labels(where, found.maps, len(found.maps), "maps"), REGION: names}
        data = xr.DataArray(found.values, dims=(MAP, REGION), coords=coords, attrs={**attrs, LONG_NAME: "maps"}, name=None)
    else:
        data = xr.DataArray(found.values[0], dims=REGION, coords={REGION: names}, attrs=attrs, name=name)
    return _matched(where, data, regions, missing, extra, units).assign_attrs(source_file=where)


def _regions(parcellation: Any, max_bytes: int) -> list[Any]:
    """The labels of a parcellation."""
    if isinstance(parcellation, xr.Dataset | xr.DataArray):
        if REGION not in parcellation.coords or parcellation[REGION].dims != (REGION,):
            raise ValueError("the parcellation has no labels along 'region' to check the map against: .assign_coords(region=labels).")
        labels = parcellation[REGION].values.tolist()
    elif isinstance(parcellation, str | os.PathLike):
        labels = given_labels(parcellation, max_bytes) or []
    elif isinstance(parcellation, Sequence | np.ndarray) and np.ndim(parcellation) == 1 and len(parcellation):
        labels = np.asarray(parcellation, dtype=object).tolist()
    else:
        raise TypeError(
            f"parcellation is a {type(parcellation).__name__}, needs a connectome, the labels of its regions, or a text file of them."
        )
    if again := repeated_labels([str(v) for v in labels]):
        raise ValueError(f"the parcellation has the labels {again[:5]} more than once, needs each once.")
    return labels


def _read_all(source: Any, parcels: Any, variable: str | None, missing: str, max_bytes: int) -> tuple[str, Found | xr.DataArray]:
    """The maps of one file, or of several joined along the regions."""
    if isinstance(source, str | os.PathLike):
        if parcels is not None and not isinstance(parcels, str | os.PathLike):
            raise ValueError(f"parcels is a {type(parcels).__name__} and source one path, needs one path for it.")
        return _read(existing(source), None if parcels is None else existing(parcels), variable, missing, max_bytes)
    if not isinstance(source, Sequence) or not source or not all(isinstance(s, str | os.PathLike) for s in source):
        raise TypeError(f"source is a {type(source).__name__}, needs a path, a sequence of paths, a Dataset or a DataArray.")
    paired = [None] * len(source) if parcels is None else [parcels] if isinstance(parcels, str | os.PathLike) else list(parcels)
    if len(paired) != len(source):
        raise ValueError(f"parcels has {len(paired)} files and source {len(source)}, needs a label file for each, in the same order.")
    parts = [
        _read(existing(s), None if p is None else existing(p), variable, missing, max_bytes) for s, p in zip(source, paired, strict=True)
    ]
    where = " and ".join(name for name, _ in parts)
    found = [part for _, part in parts]
    if any(isinstance(part, xr.DataArray) or part.labels is None for part in found):
        raise ValueError(f"{where}: several files are joined by the labels in them, needs files that have labels, such as a surface each.")
    whole = [part for part in found if isinstance(part, Found)]
    if any(part.maps != whole[0].maps for part in whole):
        raise ValueError(f"{where}: they have the maps {[part.maps[:5] for part in whole]}, needs the same in each.")
    joined = [label for part in whole for label in part.labels or []]
    return where, whole[0]._replace(values=np.concatenate([part.values for part in whole], axis=1), labels=joined)


def _read(file: Path, parcels: Path | None, variable: str | None, missing: str, max_bytes: int) -> tuple[str, Found | xr.DataArray]:
    name, where = file.name.lower(), file.name
    over_vertices = name.endswith((".gii", ".dscalar.nii"))
    if over_vertices != (parcels is not None):
        way = "Give parcels=, the label file of its surface or space." if over_vertices else "Leave parcels= out."
        raise fault(
            file,
            f"its values are over {'vertices' if over_vertices else 'regions'}, needs {'a' if over_vertices else 'no'} label file. {way}",
        )
    if file.is_dir():
        return where, _of_dataset(where, load_zarr(file, max_bytes), variable)
    if name.endswith(".nc"):
        return where, _of_dataset(where, open_netcdf(file, max_bytes), variable)
    if name.endswith((".mat", ".npz", ".npy")):
        reader = mat_entries if name.endswith(".mat") else npz_entries if name.endswith(".npz") else npy_entries
        return where, _of_arrays(file, reader(file, max_bytes), variable)
    if name.endswith((".csv", ".tsv", ".txt")):
        table = read_table(file, max_bytes)
        columns = [""] if table.columns is None and table.values.shape[1] == 1 else table.columns
        maps = [str(i) for i in range(table.values.shape[1])] if columns is None else columns
        return where, Found(table.values.T, [""] if maps == ["0"] else maps, table.rows)
    if parcels is not None:
        made = (average_gifti if name.endswith(".gii") else average_cifti)(file, parcels, max_bytes)
        return where, _of_averages(file, parcels, made, missing)
    if name.endswith(".pscalar.nii"):
        scalars = read_cifti(file, max_bytes, wanted="pscalar")
        return where, Found(scalars.values, scalars.labels if len(scalars.values) > 1 else [""], scalars.columns)
    raise fault(file, f"its ending is {file.suffix!r}, needs one of {FORMATS}. Read it otherwise and give a DataArray over 'region'.")


def _of_averages(file: Path, parcels: Path, made: Averages, missing: str) -> Found:
    lacking = made.counts < made.sizes
    if missing == "raise" and lacking.any():
        names = [name for name, bad in zip(made.labels, np.atleast_1d(lacking.any(axis=0)), strict=True) if bad]
        raise fault(
            file,
            f"vertices of {len(names)} regions have no number, those of {names[:5]}, needs one at each. Leave them out of the means with "
            "missing='keep'.",
        )
    return Found(made.values, made.maps, made.labels, None, {"parcels_file": parcels.name})


def _of_arrays(file: Path, entries: list[Entry], variable: str | None) -> Found:
    """Vectors of one length as maps, and a vector of text as the labels; of a matrix, rows are regions."""
    texts = [e for e in entries if e.name.lower() in _NAMES and len(e.shape) == 1 and e.what.startswith("of <U")]
    labels = [str(v) for v in texts[0].load().tolist()] if len(texts) == 1 else None
    listed = ", ".join(f"{e.name!r} {e.shape} {e.what}" for e in entries[:12]) or "nothing"
    fits = [e for e in entries if e.numeric and 1 <= len(e.shape) <= 2 and min(e.shape) >= 1 and max(e.shape) >= 2]
    taken = [e for e in fits if variable is None or e.name == variable]
    if not taken:
        wanted = "arrays of real numbers" if variable is None else f"{variable!r} with real numbers"
        raise fault(file, f"it has {listed}, needs {wanted} over regions, one value or one row for each.")
    columns = {e.name: _rows(numbers(file.name, e.load())) for e in taken}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise fault(file, f"its arrays have different lengths {lengths}, needs one length, or variable= one of them.")
    if len(columns) == 1:
        (name, values), single = next(iter(columns.items())), file.suffix.lower() == ".npy"
        maps = [str(i) for i in range(values.shape[1])] if values.shape[1] > 1 else ["" if single else name]
        return Found(values.T, maps, labels)
    if wide := [name for name, values in columns.items() if values.shape[1] > 1]:
        raise fault(file, f"{wide[:3]} are matrices among other arrays, needs variable= one of them. It has {listed}.")
    return Found(np.concatenate(list(columns.values()), axis=1).T, list(columns), labels)


def _rows(values: np.ndarray) -> np.ndarray:
    """``(region, map)``; a single row is a vector, as MATLAB has it."""
    return values.reshape(-1, 1) if values.ndim == 1 or 1 in values.shape else values


def _with_regions(where: str, found: Found, regions: list[Any]) -> Found:
    """A table of one row for each map is turned, if its columns have the labels of the parcellation; a count of rows is no label."""
    known = {str(label) for label in regions}
    if found.labels is not None and is_count(found.labels) and not set(found.labels) & known:
        found = found._replace(labels=None)
    if len(set(found.maps) & known) > 0 and not set(found.labels or []) & known:
        values = np.ascontiguousarray(found.values.T)
        maps = found.labels if found.labels is not None else [str(i) for i in range(len(values))] if len(values) > 1 else [""]
        return found._replace(values=values, labels=found.maps, maps=maps)
    return found


def _chosen(where: str, found: Found, variable: str | None) -> Found:
    if variable is None or found.maps == [""] or found.maps == [variable]:
        return found
    if variable not in found.maps:
        if found.maps and all(m.isdigit() for m in found.maps) and not variable.isdigit():
            return found._replace(maps=[f"{variable}_{m}" for m in found.maps])
        raise ValueError(f"{where}: it has the maps {found.maps[:8]}, and no {variable!r}. Give variable= one of them.")
    place = found.maps.index(variable)
    return found._replace(values=found.values[place : place + 1], maps=[variable])


def _of_dataset(where: str, ds: xr.Dataset | xr.DataArray, variable: str | None) -> xr.DataArray:
    if isinstance(ds, xr.DataArray):
        if variable is not None:
            raise ValueError(f"{where}: it is one DataArray, so variable={variable!r} has no meaning. Leave it out.")
        return ds
    over = [str(n) for n, v in ds.data_vars.items() if REGION in v.dims and REGION_OTHER not in v.dims and v.dtype.kind in "iuf"]
    if (variable is None and len(over) != 1) or (variable is not None and variable not in ds.data_vars):
        raise ValueError(f"{where}: it has the variables {over[:8]} over 'region', needs variable= one of them.")
    return ds[over[0] if variable is None else variable]


def _matched(where: str, data: xr.DataArray, regions: list[Any], missing: str, extra: str, units: str | None) -> xr.DataArray:
    """The map in the order of the parcellation, all its labels accounted for."""
    data = dequantify(data)
    if data.dtype.kind not in "iuf":
        raise ValueError(f"{where}: it holds {data.dtype} values, needs real numbers.")
    if REGION not in data.dims or REGION not in data.coords or REGION_OTHER in data.dims:
        raise ValueError(f"{where}: it has dims {data.dims} and coords {list(data.coords)}, needs one value per 'region' with labels.")
    own = [str(v).strip() for v in data[REGION].values.tolist()]
    known = [str(v).strip() for v in regions]
    if again := repeated_labels(own):
        raise ValueError(f"{where}: the labels {again[:5]} are there more than once, needs each once.")
    lacking, unknown = [v for v in known if v not in set(own)], [v for v in own if v not in set(known)]
    if lacking and (missing == "raise" or len(lacking) == len(known)):
        ways = "" if len(lacking) == len(known) else " With missing='keep' they are NaN."
        has = nearest(lacking[0], unknown[:8]) if unknown else ""
        raise ValueError(
            f"{where}: it lacks {len(lacking)} of {len(known)} regions: {lacking[:5]}, needs a value for each{has or '.'}{ways}"
        )
    if unknown and extra == "raise":
        raise ValueError(
            f"{where}: it has {len(unknown)} regions that the parcellation lacks: {unknown[:5]}, needs its {len(known)} alone. "
            "Leave them out with extra='drop'."
        )
    place = {label: i for i, label in enumerate(own)}
    values = data.transpose(..., REGION).drop_vars([c for c in data.coords if REGION in data[c].dims])
    picked = values.isel({REGION: [place.get(label, 0) for label in known]}).astype(np.float64)
    there = xr.DataArray([label in place for label in known], dims=REGION)
    with xr.set_options(keep_attrs=True):
        picked = picked.where(there) if lacking else picked
    finite = xr.apply_ufunc(np.isfinite, picked, dask="allowed")
    bad = (~finite & picked.notnull() if missing == "keep" else ~finite).any([d for d in picked.dims if d != REGION]).values
    if bad.any():
        names = [label for label, flag in zip(known, bad, strict=True) if flag]
        raise ValueError(
            f"{where}: the values of {len(names)} regions are NaN or infinite: {names[:5]}, needs numbers. NaN is kept with missing='keep'."
        )
    labels = np.array(regions, dtype=object) if any(isinstance(v, str) for v in regions) else np.array(regions)
    attrs = {**data.attrs, UNITS: data.attrs.get(UNITS) or units or "1"}
    if units is not None and data.attrs.get(UNITS) not in (None, units):
        raise ValueError(f"{where}: it states the unit {data.attrs[UNITS]!r}, and units={units!r}. Leave units= out.")
    if unknown:
        attrs["dropped"] = len(unknown)
    return picked.assign_coords({REGION: labels}).rename(data.name).assign_attrs(attrs)
