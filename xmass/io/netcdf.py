"""Connectomes with recordings from netCDF files, one file for each subject or one for all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from xmass.labelled.connectome import CORTICAL, check_connectome, cortical
from xmass.labelled.schema import DISTANCES, REGION, REGION_OTHER, SUBJECT, TIME, UNITS, WEIGHTS, time_dim

BOLD = "bold"
VARIABLES = (WEIGHTS, DISTANCES, BOLD)

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def open_subjects(paths: Paths, *, subject: str | Sequence[str] | None = None, cortical_only: bool = True) -> xr.Dataset:
    """Connectomes and recordings of one or more subjects, in memory, along the dim ``subject``.

    Regions are paired by their labels, in the order of the first file. A file without a ``subject`` dim is one subject,
    labelled by the name of the file without its ending. Weights are as stored; scale them with
    :func:`xmass.labelled.connectome.normalize`.

    Parameters
    ----------
    paths : path or sequence of paths
        netCDF files, each with ``weights(region, region_other)``, ``distances(region, region_other)`` and ``bold(time, region)``, and
        perhaps ``subject`` in all of them.
    subject : str or sequence of str, optional
        Only these subjects, in this order.
    cortical_only : bool
        Keep the regions flagged by ``cortical(region)``; a file without flags keeps all.

    Returns
    -------
    Dataset
        ``weights``, ``distances`` with ``(subject, region, region_other)`` and ``bold(subject, time, region)``, and the coordinates that
        all files share. ``attrs["history"]`` says what was kept and left out, a line for each step;
        ``attrs["source_files"]`` names the files.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    KeyError
        If a variable or a wanted subject is missing.
    OSError
        If a file is not netCDF4.
    ValueError
        For different regions, volumes or units, repeated subjects, or what :func:`xmass.labelled.connectome.check_connectome` refuses.

    Examples
    --------
    >>> from xmass.datasets import make_cohort
    >>> ds = make_cohort(n_subjects=2, n_regions=16)
    >>> bold = xr.DataArray(np.zeros((2, 5, 16)), dims=("subject", "time", "region"))
    >>> ds.assign(bold=bold).to_netcdf("cohort.nc", engine="h5netcdf")
    >>> open_subjects("cohort.nc", subject="S2").subject.values.tolist()
    ['S2']
    """
    files = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    if not files:
        raise ValueError("paths is empty, needs at least one netCDF file: open_subjects('subject_1.nc').")
    opened = [_open(file) for file in files]
    steps = [f"read {len(files)} file{'s' if len(files) > 1 else ''}: {', '.join(file.name for file in files)}"]
    left = sorted({str(name) for ds in opened for name in ds.data_vars if name not in (*VARIABLES, CORTICAL)})
    if left:
        steps.append(f"left out the variables {', '.join(left)}")
    parts = []
    for file, ds in zip(files, opened, strict=True):
        part = _prepare(file, ds)
        kept, step = _keep_cortical(part) if cortical_only else (part, f"kept all {part.sizes[REGION]} regions")
        parts.append(kept)
        if step not in steps:
            steps.append(step)
    ds = _join(files, parts)
    if subject is not None:
        ds = _select(ds, [subject] if isinstance(subject, str) else list(subject))
    steps.append(f"subjects: {', '.join(map(str, ds[SUBJECT].values))}; weights as stored")
    ds.attrs["history"] = "\n".join(steps)
    ds.attrs["source_files"] = [file.name for file in files]
    return ds


def _open(file: Path) -> xr.Dataset:
    if not file.is_file():
        near = sorted(path.name for path in file.parent.glob("*.nc"))[:5]
        raise FileNotFoundError(f"there is no file {str(file)!r}; its folder has {near if near else 'no .nc file'}.")
    try:
        with xr.open_dataset(file, engine="h5netcdf") as ds:
            return ds.load()
    except OSError as error:
        raise OSError(f"{str(file)!r} cannot be read as netCDF4 ({error}): write it with ds.to_netcdf(path, engine='h5netcdf').") from error


def _prepare(file: Path, ds: xr.Dataset) -> xr.Dataset:
    """The three variables of one file, checked, with ``subject`` first, and coordinates."""
    if missing := [name for name in VARIABLES if name not in ds.data_vars]:
        raise KeyError(
            f"{file.name} has no {', '.join(missing)} among {sorted(map(str, ds.data_vars))}, needs {', '.join(VARIABLES)}. "
            "Rename with ds.rename(...) and store it again."
        )
    if CORTICAL in ds.data_vars:
        ds = ds.set_coords(CORTICAL)
    try:
        ds = check_connectome(ds[list(VARIABLES)])
        time = time_dim(ds[BOLD])
    except (ValueError, TypeError) as error:
        raise type(error)(f"{file.name}: {error}") from error
    if REGION not in ds.indexes:
        raise ValueError(f"{file.name} has no labels for region, needs them to pair regions. Add ds.assign_coords(region=names).")
    bold = ds[BOLD]
    if set(bold.dims) - {SUBJECT} != {time, REGION}:
        raise ValueError(f"{file.name}: bold has dims {bold.dims}, needs ('time', 'region'). Rename with ds.rename(...).")
    if bool(bold.isnull().any()):
        where = bold[REGION].values[bold.isnull().any([d for d in bold.dims if d != REGION]).values]
        raise ValueError(f"{file.name}: bold has NaN in the regions {where[:5].tolist()}, needs numbers. Leave those out.")
    ds = ds.rename({time: TIME}) if time != TIME else ds
    for name in VARIABLES:
        if SUBJECT not in ds[name].dims:
            ds[name] = ds[name].expand_dims({SUBJECT: ds.sizes.get(SUBJECT, 1)})
    if SUBJECT not in ds.indexes:
        if ds.sizes[SUBJECT] > 1:
            raise ValueError(f"{file.name} has {ds.sizes[SUBJECT]} subjects without labels. Add ds.assign_coords(subject=names).")
        ds = ds.assign_coords({SUBJECT: [file.stem]})
    ds[BOLD] = ds[BOLD].transpose(SUBJECT, TIME, REGION)
    for name in (WEIGHTS, DISTANCES):
        ds[name] = ds[name].transpose(SUBJECT, REGION, REGION_OTHER)
    return ds


def _keep_cortical(ds: xr.Dataset) -> tuple[xr.Dataset, str]:
    if CORTICAL not in ds.coords:
        return ds, f"kept all {ds.sizes[REGION]} regions: there is no 'cortical'"
    kept = cortical(ds)
    return kept, f"kept {kept.sizes[REGION]} of {ds.sizes[REGION]} regions: those flagged cortical"


def _join(files: list[Path], parts: list[xr.Dataset]) -> xr.Dataset:
    first = parts[0]
    regions = first[REGION].values
    aligned = [first]
    for file, part in zip(files[1:], parts[1:], strict=True):
        lacks = sorted(set(regions.tolist()) - set(part[REGION].values.tolist()))
        extra = sorted(set(part[REGION].values.tolist()) - set(regions.tolist()))
        if lacks or extra:
            raise ValueError(
                f"{file.name} and {files[0].name} have different regions, needs the same: {file.name} lacks {lacks[:5]} and has "
                f"{extra[:5]} instead. Store the shared ones with ds.sel(region=names, region_other=names)."
            )
        part = part.sel({REGION: regions, REGION_OTHER: regions})
        _same_time(files[0], first, file, part)
        for name in VARIABLES:
            here, there = part[name].attrs.get(UNITS), first[name].attrs.get(UNITS)
            if here != there:
                raise ValueError(f"{name} is in {here!r} in {file.name} and in {there!r} in {files[0].name}, needs one unit. Convert it.")
        aligned.append(part)
    labels = [str(label) for part in parts for label in part[SUBJECT].values]
    if repeated := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"the subjects {repeated} are there twice, needs different names. Rename the files, or give each file once.")
    ds = xr.concat(
        aligned, dim=SUBJECT, data_vars="minimal", coords="minimal", compat="override", join="override", combine_attrs="drop_conflicts"
    )
    own = [name for name in ds.coords if any(name not in part.coords or not ds[name].equals(part[name]) for part in aligned)]
    return ds.drop_vars([name for name in own if name not in ds.indexes])


def _same_time(first_file: Path, first: xr.Dataset, file: Path, part: xr.Dataset) -> None:
    sizes = part.sizes[TIME], first.sizes[TIME]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{file.name} has {sizes[0]} volumes and {first_file.name} has {sizes[1]}, needs as many. "
            f"Store the longer one as ds.isel(time=slice(None, {min(sizes)}))."
        )
    one, other = (ds[TIME] for ds in (first, part))
    if TIME not in first.coords and TIME not in part.coords:
        return
    same_unit = TIME in first.coords and TIME in part.coords and one.attrs.get(UNITS) == other.attrs.get(UNITS)
    if not same_unit or not np.allclose(one.values, other.values):
        raise ValueError(f"{file.name} and {first_file.name} have different times, needs one clock: the same period and unit in both.")


def _select(ds: xr.Dataset, wanted: list[str]) -> xr.Dataset:
    known = [str(label) for label in ds[SUBJECT].values]
    if missing := [label for label in wanted if label not in known]:
        raise KeyError(f"there is no subject {', '.join(map(repr, missing))}: there are {', '.join(map(repr, known))}.")
    return ds.isel({SUBJECT: [known.index(label) for label in wanted]})
