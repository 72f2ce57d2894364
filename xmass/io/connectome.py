"""One reader for connectomes in any of the field's formats."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from xmass.io.arrays import npy_entries, npz_entries
from xmass.io.bids import described, is_bids, sidecar
from xmass.io.guard import MAX_BYTES, Source, choose, existing, fault, numbers
from xmass.io.imaging import read_cifti
from xmass.io.labelled import load_zarr, open_netcdf
from xmass.io.matlab import mat_entries
from xmass.io.text import check_labels, given_labels, read_table
from xmass.io.tvb import read_archive
from xmass.labelled.connectome import CORTICAL, check_connectome
from xmass.labelled.schema import DISTANCES, LONG_NAME, MATRIX_DIMS, REGION, REGION_OTHER, SUBJECT, UNITS, WEIGHTS
from xmass.labelled.units import to_declared

Row = Literal["target", "source"]
FORMATS = ".zip (TVB), .mat, .csv, .tsv, .txt, .npz, .npy, .nc, .zarr, .pconn.nii"
CONVENTION = "weights[region, region_other]: onto region, from region_other"


class Found(NamedTuple):
    """What a file holds: matrices as they lie in it, and all that belongs to regions."""

    weights: np.ndarray
    lengths: np.ndarray | None = None
    rows: list[str] | None = None
    columns: list[str] | None = None
    coords: dict[str, Any] = {}  # noqa: RUF012  (a NamedTuple's default, never written to)
    variables: dict[str, Any] = {}  # noqa: RUF012
    length_unit: str | None = None
    attrs: dict[str, Any] = {}  # noqa: RUF012


def read_connectome(
    source: Source | np.ndarray,
    *,
    row: Row = "target",
    variable: str | None = None,
    distances: Source | np.ndarray | None = None,
    distances_variable: str | None = None,
    distances_unit: str | None = None,
    labels: Sequence[str] | Source | None = None,
    missing: Literal["raise", "zero"] = "raise",
    max_bytes: int = MAX_BYTES,
) -> xr.Dataset:
    r"""A connectome from a file, as the labelled Dataset that a network takes.

    The format follows from the ending: a TVB archive (``.zip``), MATLAB (``.mat``, up to 7.3), text (``.csv``, ``.tsv``, ``.txt``), numpy
    (``.npz``, ``.npy``), netCDF (``.nc``), zarr (``.zarr``) and CIFTI (``.pconn.nii``, with the extra ``neuro``). Nothing in a file is
    executed, unpickled or extracted. Weights are as stored; scale them with :func:`xmass.normalize`.

    Parameters
    ----------
    source : path or ndarray
        The file, or a square matrix in memory (the output of a package, say).
    row : {"target", "source"}
        What the rows of the matrices are. ``"target"``: the entry in row i and column j is the connection onto i, from j, as in TVB, and as
        in ``weights @ activity``. ``"source"``: from i onto j, as in the Brain Connectivity Toolbox; the matrices are transposed. Without
        effect on symmetric matrices. Files with the dims ``region`` and ``region_other`` say it themselves.
    variable : str, optional
        Name of the weights in a ``.mat`` or ``.npz`` file; by default its only square matrix.
    distances : path or ndarray, optional
        A second file, with the lengths of the fibres.
    distances_variable : str, optional
        Name of the lengths in that file, or in the first if there is no second.
    distances_unit : str, optional
        Unit of the lengths, "mm" unless the file states one; they are converted to mm.
    labels : sequence of str or path, optional
        Names of the regions in the order of the file, or a text file with one row or one column of them. They replace those of the file.
    missing : {"raise", "zero"}
        What a weight or length that is NaN (``n/a`` in BIDS) means: an error, or no connection.
    max_bytes : int
        Largest size of what is taken into memory, after decompression.

    Returns
    -------
    Dataset
        ``weights(region, region_other)`` [1] and, if there are any, ``distances(region, region_other)`` [mm], with labels where there are
        any; from sources that have them ``centres(region, xyz)`` [mm], ``areas(region)``, ``orientations(region, xyz)`` and the
        coordinates ``hemisphere`` ("L", "R") and ``cortical``. ``attrs`` hold the name of the file and the orientation.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        For CIFTI without nibabel; it names the extra.
    ValueError
        For a file that is damaged, hostile, of another kind than its ending says or too large, for matrices that are not square or differ
        in size, numbers that are NaN or infinite, negative lengths, and labels that are repeated or too few.

    Examples
    --------
    >>> _ = Path("weights.csv").write_text("A,B\n0,1.5\n2,0\n")
    >>> import xmass as xm
    >>> ds = xm.io.read_connectome("weights.csv")
    >>> float(ds.weights.sel(region="B", region_other="A"))
    2.0
    >>> float(xm.io.read_connectome("weights.csv", row="source").weights.sel(region="B", region_other="A"))
    1.5
    """
    for name, value, known in (("row", row, ("target", "source")), ("missing", missing, ("raise", "zero"))):
        if value not in known:
            raise ValueError(f"{name}={value!r}, needs one of {', '.join(map(repr, known))}.")
    where, found = _read(source, variable, distances_variable if distances is None else None, max_bytes)
    if isinstance(found, xr.Dataset):
        if row != "target" or distances is not None:
            raise ValueError(
                f"{where}: its dims region and region_other say the orientation, and it holds the distances. Leave out row= and distances=."
            )
        ds = found
        ds = _relabel(where, ds, labels, max_bytes)
    else:
        if distances is not None:
            found = _with_lengths(where, found, distances, distances_variable, max_bytes)
        ds = _dataset(where, found, row, distances_unit, given_labels(labels, max_bytes), missing)
    try:
        checked = check_connectome(ds)
    except (ValueError, TypeError, KeyError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise ValueError(f"{where}: {text}") from error
    return checked


def _read(source: Source | np.ndarray, variable: str | None, lengths: str | None, max_bytes: int) -> tuple[str, Found | xr.Dataset]:
    if isinstance(source, np.ndarray):
        return "the array", Found(numbers("the array", source))
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"source is a {type(source).__name__}, needs a path or a numpy array. Give its numbers: source.to_numpy().")
    file = existing(source)
    name = file.name.lower()
    if file.is_dir():
        return file.name, _from_dataset(file, load_zarr(file, max_bytes), variable, lengths)
    if name.endswith(".nc"):
        return file.name, _from_dataset(file, open_netcdf(file, max_bytes), variable, lengths)
    if name.endswith((".mat", ".npz", ".npy")):
        entries = (
            mat_entries(file, max_bytes)
            if name.endswith(".mat")
            else npy_entries(file, max_bytes)
            if name.endswith(".npy")
            else npz_entries(file, max_bytes)
        )
        weights = choose(file, [e for e in entries if e.name != lengths], variable=variable, square=True, option="variable")
        other = None if lengths is None else choose(file, entries, variable=lengths, square=True, option="distances_variable")
        return file.name, Found(weights, other)
    if variable is not None or lengths is not None:
        raise fault(file, "it holds one matrix without a name, so variable= and distances_variable= have no meaning. Leave them out.")
    if name.endswith(".zip"):
        return file.name, _from_archive(file, max_bytes)
    if name.endswith((".csv", ".tsv", ".txt")):
        table = read_table(file, max_bytes)
        attrs = described(sidecar(file)) if is_bids(file) else {}
        return file.name, Found(table.values, None, table.rows, table.columns, attrs=attrs)
    if name.endswith(".nii"):
        parcels = read_cifti(file, max_bytes, wanted="pconn")
        coords = {"hemisphere": (REGION, parcels.hemisphere)} if any(parcels.hemisphere) else {}
        more = {} if parcels.centres is None else {"centres": _positions(parcels.centres, axes="RAS")}
        return file.name, Found(parcels.values, None, parcels.labels, parcels.columns, coords, more)
    raise fault(file, f"its ending is {file.suffix!r}, needs one of {FORMATS}. Read it otherwise and give the array, with labels=.")


def _from_archive(file: Path, max_bytes: int) -> Found:
    archive = read_archive(file, max_bytes)
    coords = {name: (REGION, archive.more[name]) for name in (CORTICAL, "hemisphere") if name in archive.more}
    variables: dict[str, Any] = {"centres": _positions(archive.centres)}
    if "areas" in archive.more:
        unit = archive.units.get("area", "mm^2")
        variables["areas"] = (REGION, archive.more["areas"], {UNITS: unit, LONG_NAME: "area of the region"})
    if "orientations" in archive.more:
        variables["orientations"] = ((REGION, "xyz"), archive.more["orientations"], {UNITS: "1", LONG_NAME: "mean normal of the region"})
    return Found(archive.weights, archive.lengths, archive.labels, archive.labels, coords, variables, archive.units.get("length"))


def _positions(centres: np.ndarray, **attrs: str) -> tuple[Any, ...]:
    return ((REGION, "xyz"), centres, {UNITS: "mm", LONG_NAME: "position of the region", **attrs})


def _from_dataset(file: Path, ds: xr.Dataset, variable: str | None, lengths: str | None) -> xr.Dataset:
    """The connectome part of a labelled Dataset, under our names."""
    names = {variable or WEIGHTS: WEIGHTS, lengths or DISTANCES: DISTANCES}
    if (variable or WEIGHTS) not in ds.data_vars or (lengths is not None and lengths not in ds.data_vars):
        raise fault(
            file, f"it has the variables {sorted(map(str, ds.data_vars))}, needs {' and '.join(map(repr, names))}. Give variable= its name."
        )
    ds = ds.rename({old: new for old, new in names.items() if old in ds.data_vars and old != new})
    ds = ds.set_coords([name for name in (CORTICAL, "hemisphere") if name in ds.data_vars])
    dims = {*MATRIX_DIMS, SUBJECT, "xyz"}
    kept = ds[[name for name in ds.data_vars if set(ds[name].dims) <= dims]]
    if DISTANCES in kept and (unit := kept[DISTANCES].attrs.get(UNITS)) not in (None, "mm"):
        kept[DISTANCES] = _millimetres(file.name, kept[DISTANCES], str(unit))
    return kept.drop_vars([name for name in kept.coords if not set(kept[name].dims) <= dims]).drop_encoding()


def _with_lengths(where: str, found: Found, distances: Source | np.ndarray, variable: str | None, max_bytes: int) -> Found:
    name, other = _read(distances, variable, None, max_bytes)
    if isinstance(other, xr.Dataset):
        raise ValueError(
            f"{name}: it is a labelled Dataset, and {where} is a bare matrix. Read it alone, or give the values of its distances."
        )
    if found.lengths is not None:
        raise ValueError(f"{where}: it has lengths of its own, and distances={name} gives others. Leave one of them out.")
    if other.weights.shape != found.weights.shape:
        raise ValueError(
            f"{name}: the lengths have shape {other.weights.shape}, and the weights in {where} {found.weights.shape}, needs the same."
        )
    for mine, theirs in ((found.rows, other.rows), (found.columns, other.columns)):
        if mine is not None and theirs is not None and mine != theirs:
            raise ValueError(
                f"{name}: its labels differ from those in {where}, needs the same in the same order: {_first_difference(mine, theirs)}."
            )
    return found._replace(lengths=other.weights, rows=found.rows or other.rows, columns=found.columns or other.columns)


def _dataset(where: str, found: Found, row: Row, unit: str | None, given: list[str] | None, missing: str) -> xr.Dataset:
    weights = _square(where, found.weights, WEIGHTS)
    n = len(weights)
    rows, columns = found.rows or found.columns, found.columns or found.rows
    if given is not None:
        names = check_labels(where, given, n)
        if columns is not None and columns != names and sorted(columns) == sorted(names):
            raise ValueError(
                f"{where}: labels= has the labels of the file in another order ({_first_difference(columns, names)}), "
                "needs the order of the file. Leave labels= out."
            )
        rows = columns = names
    elif rows is not None and columns is not None:
        rows, columns = check_labels(where, rows, n), check_labels(where, columns, n, "columns")
    if row == "source":
        rows, columns = columns, rows
    matrices = {WEIGHTS: weights}
    if found.lengths is not None:
        matrices[DISTANCES] = _square(where, found.lengths, DISTANCES)
    ds = xr.Dataset(
        attrs={"weights_convention": CONVENTION, "row_of_the_source": row, "normalization": "none", "source_file": where, **found.attrs}
    )
    said = {WEIGHTS: "connection strength", DISTANCES: "fibre length"}
    for name, values in matrices.items():
        values = np.where(np.isnan(values), 0.0, values) if missing == "zero" else values
        ds[name] = (MATRIX_DIMS, values.T.copy() if row == "source" else values, {UNITS: "1", LONG_NAME: said[name]})
    if rows is not None and columns is not None:
        ds = ds.assign_coords({REGION: (REGION, rows, {LONG_NAME: "receiving region"})})
        ds = ds.assign_coords({REGION_OTHER: (REGION_OTHER, columns, {LONG_NAME: "sending region"})})
    if DISTANCES in ds:
        if unit is not None and found.length_unit not in (None, unit):
            raise ValueError(
                f"{where}: it states the lengths in {found.length_unit!r}, and distances_unit={unit!r}. Leave distances_unit= out."
            )
        ds[DISTANCES] = _millimetres(where, ds[DISTANCES], unit or found.length_unit or "mm")
    elif unit is not None:
        raise ValueError(
            f"{where}: there are no lengths for distances_unit={unit!r}. Give distances= or distances_variable=, or leave it out."
        )
    ds = ds.assign(found.variables).assign_coords(found.coords)
    return ds.assign_coords(xyz=["x", "y", "z"]) if "xyz" in ds.dims else ds


def _millimetres(where: str, lengths: xr.DataArray, unit: str) -> xr.DataArray:
    try:
        return to_declared(lengths.assign_attrs({UNITS: unit}), "mm", DISTANCES).assign_attrs({LONG_NAME: "fibre length"})
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from error


def _square(where: str, values: np.ndarray, name: str) -> np.ndarray:
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        hint = " Decimal commas give twice the columns." if values.ndim == 2 and values.shape[1] == 2 * values.shape[0] else ""
        raise ValueError(f"{where}: {name} has shape {values.shape}, needs a square matrix, as many rows as columns.{hint}")
    return numbers(where, values)


def _relabel(where: str, ds: xr.Dataset, labels: Sequence[str] | Source | None, max_bytes: int) -> xr.Dataset:
    given = given_labels(labels, max_bytes)
    if given is None:
        return ds
    if REGION in ds.indexes:
        raise ValueError(f"{where}: it has labels of its own. Leave labels= out, and rename with ds.assign_coords(region=labels).")
    names = check_labels(where, given, ds.sizes.get(REGION, 0))
    return ds.assign_coords({REGION: names, REGION_OTHER: names})


def _first_difference(one: list[str], other: list[str]) -> str:
    place = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"at {place} (from 0) {one[place : place + 1]} and {other[place : place + 1]}"
