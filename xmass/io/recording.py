"""One reader for recordings in any of the field's formats."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from xmass.io.arrays import npy_entries, npz_entries
from xmass.io.bids import described, is_bids, period, sidecar
from xmass.io.guard import MAX_BYTES, Source, choose, existing, fault, numbers
from xmass.io.imaging import read_cifti, read_gifti
from xmass.io.labelled import load_zarr, open_netcdf
from xmass.io.matlab import mat_entries
from xmass.io.sensors import MNEObject, read_mne
from xmass.io.text import Table, check_labels, given_labels, is_count, read_table
from xmass.labelled.schema import LONG_NAME, REGION, SENSOR, TIME, UNITS, time_attrs, time_dim
from xmass.labelled.units import in_unit

Rows = Literal["time", "region"]
FORMATS = ".mat, .csv, .tsv, .txt, .npz, .npy, .nc, .zarr, .ptseries.nii, .gii"
ONE_CLOCK = 1e-6  # relative; files write periods with six digits or more


class Signals(NamedTuple):
    """What a source holds: signals ``(time, region)`` or, if ``rows`` is "region", the transpose."""

    values: np.ndarray
    rows: Rows | None = None
    labels: list[str] | None = None
    tr: float | None = None
    start: float = 0.0
    coords: dict[str, Any] = {}  # noqa: RUF012  (a NamedTuple's default, never written to)
    attrs: dict[str, Any] = {}  # noqa: RUF012


def read_recording(
    source: Source | np.ndarray | MNEObject,
    *,
    rows: Rows | None = None,
    tr: Any = None,
    labels: Sequence[str] | Source | None = None,
    variable: str | None = None,
    name: str = "bold",
    units: str = "a.u.",
    picks: str | Sequence[str] | None = None,
    missing: Literal["raise", "keep"] = "raise",
    max_bytes: int = MAX_BYTES,
) -> xr.Dataset:
    """A recording from a file or from an object of another package, as a labelled Dataset.

    The format follows from the ending: MATLAB (``.mat``, up to 7.3), text (``.csv``, ``.tsv``, ``.txt``; of BIDS with the period in
    the JSON file beside it), numpy (``.npz``, ``.npy``), netCDF (``.nc``), zarr (``.zarr``), CIFTI (``.ptseries.nii``) and GIFTI
    (``.func.gii``), both with the extra ``neuro``. In memory: the array that a nilearn masker returns (``rows="time"``, with ``labels=``
    and ``tr=``), and ``Raw`` and ``Epochs`` of MNE. Nothing in a file is executed, unpickled or extracted.

    Parameters
    ----------
    source : path, ndarray, or MNE Raw or Epochs
        What to read.
    rows : {"time", "region"}, optional
        What the rows of a matrix are. Needed where the source does not say it: ``.mat``, ``.npz``, ``.npy``, arrays, and text without
        labels.
    tr : number or quantity, optional
        Time between samples [s]. Needed where the source does not state it; where it does, it must agree.
    labels : sequence of str or path, optional
        Names of the regions in the order of the source, or a text file with one row or one column of them.
    variable : str, optional
        Name of the signals in a ``.mat``, ``.npz``, ``.nc`` or ``.zarr`` source; by default its only matrix, or ``name``.
    name : str
        What the variable of the result is called. For MNE it is the type of the channels.
    units : str
        Of the values, where the source does not state them.
    picks : str or sequence of str, optional
        For MNE: the channels, by type ("eeg", "mag", "grad", "seeg") or name. Needed where there are several types.
    missing : {"raise", "keep"}
        What to do with NaN (``n/a`` in BIDS): an error that names the regions, or keep it, for a ``.dropna("region")`` by yourself.
    max_bytes : int
        Largest size of what is taken into memory, after decompression.

    Returns
    -------
    Dataset
        ``bold(time, region)``, with ``time`` in s (``axis="T"``) from 0 unless the source says when it begins, labels where there are any,
        and ``hemisphere(region)`` from CIFTI and GIFTI. From MNE ``eeg(time, sensor)`` or ``eeg(epoch, time, sensor)``, in SI units, with
        ``location(sensor, xyz)`` [mm] and ``bad(sensor)``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        For CIFTI and GIFTI without nibabel; it names the extra.
    TypeError
        For an object that is none of these.
    ValueError
        For a file that is damaged, hostile, of another kind than its ending says or too large, where ``rows`` or ``tr`` is not known or
        contradicts the source, for NaN, and labels that are repeated or too few.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.io.read_recording(np.zeros((5, 2)), rows="time", tr=0.72, labels=["A", "B"])
    >>> ds.bold.dims, float(ds.time[1]), ds.time.attrs["units"]
    (('time', 'region'), 0.72, 's')
    """
    for option, value, known in (("rows", rows, ("time", "region", None)), ("missing", missing, ("raise", "keep"))):
        if value not in known:
            raise ValueError(f"{option}={value!r}, needs one of {', '.join(repr(v) for v in known if v)}.")
    period_given = None if tr is None else in_unit(tr, "s", "tr")
    if period_given is not None and not (np.isfinite(period_given) and period_given > 0):
        raise ValueError(f"tr={tr!r}, needs a positive number of seconds, as tr=0.72.")
    if isinstance(source, MNEObject):
        if rows is not None or tr is not None or variable is not None or labels is not None:
            raise ValueError("rows=, tr=, labels= and variable= have no meaning for an MNE object, which has its own. Leave them out.")
        return read_mne(source, picks=picks)
    if picks is not None:
        raise ValueError(f"picks={picks!r} is for MNE objects. Select afterwards, with .sel(region=...).")
    where, found = _read(source, variable, name, max_bytes)
    if isinstance(found, xr.Dataset):
        if rows is not None:
            raise ValueError(f"{where}: its dims are labelled, so rows={rows!r} has no meaning. Leave it out.")
        return _from_dataset(where, found, variable or name, name, period_given, units, given_labels(labels, max_bytes), missing)
    return _dataset(where, found, rows, period_given, given_labels(labels, max_bytes), name, units, missing)


def _read(source: Any, variable: str | None, name: str, max_bytes: int) -> tuple[str, Signals | xr.Dataset]:
    if isinstance(source, np.ndarray):
        return "the array", Signals(source)
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"source is a {type(source).__name__}, needs a path, a numpy array, or a Raw or Epochs of MNE. Give its numbers: .to_numpy()."
        )
    file = existing(source)
    ending = file.name.lower()
    if file.is_dir():
        return file.name, load_zarr(file, max_bytes)
    if ending.endswith(".nc"):
        return file.name, open_netcdf(file, max_bytes)
    if ending.endswith((".mat", ".npz", ".npy")):
        reader = mat_entries if ending.endswith(".mat") else npz_entries if ending.endswith(".npz") else npy_entries
        return file.name, Signals(choose(file, reader(file, max_bytes), variable=variable, square=False, option="variable"))
    if variable is not None:
        raise fault(file, f"it holds one matrix without a name, so variable={variable!r} has no meaning. Leave it out.")
    if ending.endswith((".csv", ".tsv", ".txt")):
        return file.name, _from_text(file, max_bytes)
    if ending.endswith(".nii"):
        parcels = read_cifti(file, max_bytes, wanted="ptseries")
        coords = {"hemisphere": (REGION, parcels.hemisphere)} if any(parcels.hemisphere) else {}
        return file.name, Signals(parcels.values, "time", parcels.columns, parcels.tr, parcels.start, coords)
    if ending.endswith(".gii"):
        surface = read_gifti(file, max_bytes)
        n = surface.values.shape[1]
        coords = {"hemisphere": (REGION, [surface.hemisphere] * n)} if surface.hemisphere else {}
        return file.name, Signals(surface.values, "time", [f"{surface.hemisphere}{i}" for i in range(n)], surface.tr, 0.0, coords)
    raise fault(
        file, f"its ending is {file.suffix!r}, needs one of {FORMATS}. Read it otherwise and give the array, with rows=, tr=, labels=."
    )


def _from_text(file: Path, max_bytes: int) -> Signals:
    bids = is_bids(file)
    table = read_table(file, max_bytes, header=True if bids else None)
    metadata = sidecar(file) if bids else {}
    tr = period(file, metadata)
    table, start, own = _without_clock(file, table)
    if own is not None and tr is not None and not np.isclose(own, tr, rtol=ONE_CLOCK):
        raise fault(file, f"its column of times has a period of {own} s, and its JSON file says {tr} s. Correct one of them.")
    rows, labels = _orientation(file, table)
    return Signals(table.values, rows, labels, own if tr is None else tr, start, {}, described(metadata))


def _without_clock(file: Path, table: Table) -> tuple[Table, float, float | None]:
    """The table without its column of times in seconds, their start and period."""
    places = [i for i, label in enumerate(table.columns or []) if label.lower() == "time"]
    if not places or table.columns is None:
        return table, 0.0, None
    times = table.values[:, places[0]]
    steps = np.diff(times)
    if len(places) > 1 or not len(steps) or not np.isfinite(times).all() or not steps[0] > 0 or not np.allclose(steps, steps[0], rtol=1e-3):
        raise fault(file, "its column 'time' is not an even, increasing clock in s, needs one, or none and tr=. Correct or remove it.")
    values = np.delete(table.values, places[0], axis=1)
    columns = [label for i, label in enumerate(table.columns) if i != places[0]]
    return Table(values, table.rows, columns), float(times[0]), float((times[-1] - times[0]) / len(steps))


def _orientation(file: Path, table: Table) -> tuple[Rows | None, list[str] | None]:
    """Which axis is time, by which one has labels of regions; a plain count 0, 1, 2, ... is none."""
    if table.columns is not None and (table.rows is None or is_count(table.rows)):
        return "time", table.columns
    if table.rows is not None and table.columns is None:
        return "region", table.rows
    if table.rows is not None:
        raise fault(
            file,
            f"it has labels on its rows ({table.rows[:3]}) and its columns, needs them for regions only: remove the first row or column.",
        )
    return None, None


def _dataset(
    where: str, found: Signals, rows: Rows | None, tr: float | None, given: list[str] | None, name: str, units: str, missing: str
) -> xr.Dataset:
    if found.values.ndim != 2:
        raise ValueError(
            f"{where}: it has shape {found.values.shape}, needs two axes: time, and one for the regions. Select one recording."
        )
    values = numbers(where, found.values)
    if found.rows is not None and rows not in (None, found.rows):
        raise ValueError(f"{where}: its rows are {found.rows}s by its labels, and rows={rows!r}. Leave rows= out.")
    layout = found.rows or rows
    if layout is None:
        raise ValueError(
            f"{where}: it has {values.shape[0]} rows and {values.shape[1]} columns, and does not say which of them is time. "
            "Give rows='time' or rows='region'."
        )
    values = values if layout == "time" else np.ascontiguousarray(values.T)
    labels = given if given is not None else found.labels
    if labels is not None:
        n, other = values.shape[1], values.shape[0]
        if len(labels) != n and len(labels) == other:
            raise ValueError(
                f"{where}: there are {other} labels, {other} times and {n} regions with rows={layout!r}. "
                f"Are the rows the other? Then rows={'region' if layout == 'time' else 'time'!r}."
            )
        labels = check_labels(where, labels, n)
        if given is not None and found.labels is not None and found.labels != labels and sorted(found.labels) == sorted(labels):
            raise ValueError(
                f"{where}: labels= has the labels of the source in another order, needs that of the source. Leave labels= out."
            )
    clock = _period(where, found.tr, tr)
    if len(values) < 2:
        raise ValueError(f"{where}: it has {len(values)} time, needs two or more.")
    ds = xr.Dataset({name: ((TIME, REGION), values, {UNITS: units, LONG_NAME: "recorded signal"})})
    ds = ds.assign_coords({TIME: (TIME, found.start + clock * np.arange(len(values)), time_attrs("s"))})
    if labels is not None:
        ds = ds.assign_coords({REGION: (REGION, labels)})
    ds = ds.assign_coords(found.coords)
    _check_values(where, ds[name], missing)
    return ds.assign_attrs({"tr": clock, "tr_units": "s", "source_file": where, **found.attrs})


def _period(where: str, stated: float | None, given: float | None) -> float:
    if stated is None and given is None:
        raise ValueError(f"{where}: it does not state the time between samples. Give tr= in seconds, as tr=0.72.")
    if stated is not None and given is not None and not np.isclose(stated, given, rtol=ONE_CLOCK):
        raise ValueError(f"{where}: it states {stated:g} s between samples, and tr={given:g}. Leave tr= out, or correct the file.")
    return float(given if stated is None else stated)  # type: ignore[arg-type]


def _check_values(where: str, signal: xr.DataArray, missing: str) -> None:
    dim = next(d for d in signal.dims if d in (REGION, SENSOR))
    finite = xr.apply_ufunc(np.isfinite, signal, dask="allowed")
    bad = ~finite & signal.notnull() if missing == "keep" else ~finite
    if not bool(bad.any()):
        return
    flagged = bad.any([d for d in signal.dims if d != dim]).values
    names = signal[dim].values[flagged][:5].tolist()
    raise ValueError(
        f"{where}: the values are NaN or infinite at {int(bad.sum())} places, in the {dim}s {names}{' ...' if flagged.sum() > 5 else ''}, "
        f"needs finite numbers. Read NaN with missing='keep' and leave them out with .dropna({dim!r})."
    )


def _from_dataset(
    where: str, ds: xr.Dataset, wanted: str, name: str, tr: float | None, units: str, given: list[str] | None, missing: str
) -> xr.Dataset:
    if wanted not in ds.data_vars:
        raise ValueError(f"{where}: it has the variables {sorted(map(str, ds.data_vars))}, and no {wanted!r}. Give variable= one of them.")
    signal = ds[wanted].rename(name)
    try:
        time = time_dim(signal)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    place = next((d for d in (REGION, SENSOR) if d in signal.dims), None)
    if place is None:
        raise ValueError(
            f"{where}: {wanted} has dims {signal.dims}, needs time and one of 'region', 'sensor'. Rename it with ds.rename(...)."
        )
    if signal.dtype.kind not in "biuf":
        raise ValueError(f"{where}: {wanted} holds {signal.dtype}, needs real numbers.")
    if given is not None:
        if place in signal.indexes:
            raise ValueError(f"{where}: it has labels of its own. Leave labels= out, and rename with ds.assign_coords(region=labels).")
        signal = signal.assign_coords({place: check_labels(where, given, signal.sizes[place])})
    elif place in signal.coords:
        check_labels(where, signal[place].values.tolist(), signal.sizes[place])
    signal = signal.rename({time: TIME}) if time != TIME else signal
    if TIME not in signal.coords:
        clock = _period(where, None, tr)
        signal = signal.assign_coords({TIME: (TIME, clock * np.arange(signal.sizes[TIME]), time_attrs("s"))})
    else:
        times = np.asarray(signal[TIME].values)
        if times.dtype.kind not in "iuf" or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise ValueError(
                f"{where}: its times are not finite, increasing numbers, needs such. Use .sortby('time').drop_duplicates('time')."
            )
        if UNITS not in signal[TIME].attrs:
            raise ValueError(f"{where}: its times have no unit, needs one. Add ds.time.attrs['units'] = 's' and store it again.")
        if tr is not None and len(times) > 1:
            _period(where, in_unit(signal[TIME].diff(TIME).values.mean(), "1", "tr") * _seconds(signal), tr)
        signal[TIME].attrs.update(axis="T")
    signal = signal.transpose(..., TIME, place)
    if UNITS not in signal.attrs:
        signal = signal.assign_attrs({UNITS: units})
    _check_values(where, signal, missing)
    return signal.to_dataset(promote_attrs=False).assign_attrs(source_file=where).drop_encoding()


def _seconds(signal: xr.DataArray) -> float:
    """How many seconds the unit of its times is."""
    from xmass.labelled.units import factor

    return float(factor(str(signal[TIME].attrs[UNITS]), "s"))
