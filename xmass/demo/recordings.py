"""What the demo starts from: connectomes and recordings of some subjects, prepared, and in words what was done to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import xarray as xr

import xmass as xm
from xmass.io.netcdf import open_subjects

Normalization = Literal["max", "none", "row", "spectral", "log"]
EXAMPLE = "example_cohort"


class DemoError(Exception):
    """Something that the user of the demo can put right; the message says how."""


@dataclass(frozen=True)
class Recordings:
    """Subjects to simulate and to compare with.

    Parameters
    ----------
    recorded : Dataset
        ``bold(subject, time, region)``, preprocessed, with ``weights`` and ``distances`` as they were stored.
    connectome : Dataset
        ``weights`` as they enter the network, and ``distances``.
    said : tuple of str
        What was done, a line for each step.
    """

    recorded: xr.Dataset
    connectome: xr.Dataset
    said: tuple[str, ...]


def load_recordings(
    files: Sequence[str | os.PathLike[str]] = (),
    *,
    subjects: Sequence[str] | None = None,
    normalization: Normalization = "max",
    all_regions: bool = False,
) -> Recordings:
    """Connectomes and recordings from netCDF files, or of the cohort that comes with the package.

    Parameters
    ----------
    files : sequence of path
        Each with ``weights``, ``distances`` and ``bold``; none for ``example_cohort``.
    subjects : sequence of str, optional
        Only these.
    normalization : {"max", "none", "row", "spectral", "log"}
        Of the weights that enter the network, see :func:`xmass.normalize`.
    all_regions : bool
        Keep the regions that are not flagged ``cortical`` as well.

    Raises
    ------
    DemoError
        If a file or a variable is missing, a subject is unknown, or the data are not what a network needs.

    Examples
    --------
    >>> from xmass.demo import load_recordings
    >>> load_recordings(subjects=["S2"]).connectome.subject.values.tolist()
    ['S2']
    """
    wanted = None if subjects is None else list(subjects)
    try:
        if files:
            stored = open_subjects(list(files), subject=wanted, cortical_only=not all_regions)
        else:
            stored = _example(wanted, all_regions=all_regions)
        bold = xm.preprocess(stored.bold)
        _check_varies(stored.bold)
        connectome = stored[["weights", "distances"]]
        if normalization != "none":
            connectome = xm.normalize(connectome, normalization)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DemoError(in_words(error)) from error
    scaled = {
        "none": "weights as stored",
        "max": "weights divided by the largest weight of each subject",
        "row": "weights divided by the sum of the inputs of each region",
        "spectral": "weights divided by the spectral radius of each subject",
        "log": "logarithm of the weights, scaled to a largest of 1",
    }[normalization]
    lines = [line.replace("; weights as stored", "") for line in str(stored.attrs.get("history", "")).splitlines()]
    straight = "recorded and simulated BOLD: linear trend removed; no band-pass, no global signal regression"
    return Recordings(stored.assign(bold=bold), connectome, (*lines, scaled, straight))


def in_words(error: Exception) -> str:
    """The message of an error; the text of a KeyError is in quotes."""
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _check_varies(bold: xr.DataArray) -> None:
    constant = (bold.max("time") == bold.min("time")).any("subject")
    if bool(constant.any()):
        names = bold.region.values[constant.values][:5].tolist()
        raise ValueError(f"bold is constant in the regions {names}, which have no FC. Leave them out of the file.")


def _example(wanted: list[str] | None, *, all_regions: bool) -> xr.Dataset:
    ds = xm.datasets.load_dataset(EXAMPLE)
    known = [str(label) for label in ds.subject.values]
    if unknown := [label for label in wanted or [] if label not in known]:
        raise KeyError(f"there is no subject {', '.join(map(repr, unknown))}: there are {', '.join(map(repr, known))}.")
    ds = ds if wanted is None else ds.sel(subject=wanted)
    ds = ds if all_regions else xm.cortical(ds)
    kept = f"kept all {ds.sizes['region']} regions" if all_regions else f"kept {ds.sizes['region']} regions: those flagged cortical"
    made = f"recordings: {EXAMPLE}, made by simulation with known parameters"
    return ds.assign_attrs(history="\n".join([made, kept, f"subjects: {', '.join(map(str, ds.subject.values))}"]))
