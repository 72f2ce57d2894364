"""Real data that other installed packages carry: nothing is downloaded, and none of it is part of this package."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.schema import HEMISPHERE, LONG_NAME, REGION, REGION_OTHER, SENSOR, UNITS

SCALES = (100, 200, 300, 400)
_XYZ = ("x", "y", "z")
_PLACE = {UNITS: "mm", "axes": "RAS"}
_HCP = "Human Connectome Project, WU-Minn Consortium; its Open Access Data Use Terms apply"
_MAPS = {
    "t1wt2w": ("t1wt2w", "1", "T1w/T2w, a measure of myelin"),
    "thickness": ("thickness", "mm", "thickness of the cortex"),
    "curvature": ("curvature", "1/mm", "curvature of the cortex"),
    "fc_gradient_1": ("fc_gradient0", "1", "first gradient of functional connectivity"),
    "fc_gradient_2": ("fc_gradient1", "1", "second gradient of functional connectivity"),
}


def schaefer(scale: int) -> xr.Dataset:
    """Mean FC and maps of a group over the parcels of Schaefer et al., from the package ``brainspace``.

    Parameters
    ----------
    scale : {100, 200, 300, 400}
        Number of parcels.

    Returns
    -------
    Dataset
        ``fc(region, region_other)``; ``t1wt2w``, ``thickness`` [mm], ``curvature`` [1/mm], ``fc_gradient_1`` and ``fc_gradient_2`` over
        ``region``; ``centres(region, xyz)`` [mm], means of the vertices of a mid-thickness surface; ``hemisphere``. A region is called by
        its hemisphere and its number in the atlas. Means are over the vertices of a parcel that have a number.

    Raises
    ------
    ImportError
        Without ``brainspace`` or ``nibabel``; it names the extra.
    """
    folder = _folder("brainspace", "data") / "datasets"
    parcels = np.loadtxt(folder / "parcellations" / f"schaefer_{scale}_conte69.csv", dtype=np.int64)
    labels = np.unique(parcels[parcels > 0])
    half = parcels.size // 2
    side = np.array(["L" if (parcels[:half] == i).any() else "R" for i in labels])
    names = [f"{s}{i:03d}" for s, i in zip(side, labels, strict=True)]
    fc = np.loadtxt(folder / "matrices" / "main_group" / f"schaefer_{scale}_mean_connectivity_matrix.csv", delimiter=",")
    ds = xr.Dataset({"fc": ((REGION, REGION_OTHER), fc, {UNITS: "1", LONG_NAME: "mean functional connectivity"})})
    for name, (stem, unit, meaning) in _MAPS.items():
        values = np.loadtxt(folder / "matrices" / "main_group" / f"conte69_32k_{stem}.csv")
        ds[name] = (REGION, _means(values[:, None], parcels, labels)[:, 0], {UNITS: unit, LONG_NAME: meaning})
    nibabel = _module("nibabel", "data")
    surfaces = [nibabel.load(folder / "surfaces" / f"conte69_32k_{s}h.gii").darrays[0].data for s in "lr"]
    places = _means(np.concatenate(surfaces).astype(np.float64), parcels, labels)
    ds["centres"] = ((REGION, "xyz"), places, {**_PLACE, LONG_NAME: "position of the region"})
    ds = ds.assign_coords({REGION: names, REGION_OTHER: names, "xyz": list(_XYZ), HEMISPHERE: (REGION, side), "parcel": (REGION, labels)})
    return ds.assign_attrs(
        title=f"group mean over {scale} parcels of Schaefer et al.",
        source=f"package brainspace {_version('brainspace')}: Vos de Wael et al. 2020, doi:10.1038/s42003-020-0794-7",
        licence=f"BSD-3-Clause (brainspace); {_HCP}",
        references="FC: Vos de Wael et al. 2018, doi:10.1073/pnas.1803667115. Parcels: Schaefer et al. 2018, doi:10.1093/cercor/bhx179. "
        "T1w/T2w: Glasser, Van Essen 2011, doi:10.1523/JNEUROSCI.2180-11.2011",
    )


def electrodes_1005() -> xr.Dataset:
    """Electrodes of the 10-05 system on a real head, from MNE.

    Returns
    -------
    Dataset
        ``location(sensor, xyz)`` [mm] on the head Colin 27 in MNI space: on its scalp, so on no sphere.

    Raises
    ------
    ImportError
        Without MNE; it names the extra.
    """
    mne = _module("mne", "neuro")
    known = mne.channels.get_builtin_montages()
    name = next(n for n in ("colin27_1005", "standard_1005") if n in known)  # renamed in MNE 1.13
    places = mne.channels.make_standard_montage(name, head_size=None).get_positions()["ch_pos"]
    values = 1000 * np.array(list(places.values()), dtype=np.float64)
    about = {**_PLACE, LONG_NAME: "position of the electrode"}
    ds = xr.Dataset({"location": ((SENSOR, "xyz"), values, about)}, coords={SENSOR: list(places), "xyz": list(_XYZ)})
    return ds.assign_attrs(
        title="electrodes of the 10-05 system on the head Colin 27",
        source=f"package mne {_version('mne')}, montage {name}",
        licence="BSD-3-Clause (mne)",
        references="Oostenveld, Praamstra 2001, doi:10.1016/S1388-2457(00)00527-7",
    )


def dosenbach() -> xr.Dataset:
    """The 160 places of Dosenbach et al. in MNI space, from nilearn.

    Returns
    -------
    Dataset
        ``centres(region, xyz)`` [mm], with the coordinate ``network(region)``.

    Raises
    ------
    ImportError
        Without nilearn; it names the extra.
    """
    found = _module("nilearn.datasets", "neuro").fetch_coords_dosenbach_2010()
    ds = _places(found.rois, [str(v) for v in found.labels])
    ds = ds.assign_coords(network=(REGION, [str(v) for v in found.networks]))
    return ds.assign_attrs(
        title="160 places of Dosenbach et al.",
        source=f"package nilearn {_version('nilearn')}: fetch_coords_dosenbach_2010",
        licence="BSD-3-Clause (nilearn)",
        references="Dosenbach et al. 2010, doi:10.1126/science.1194144",
    )


def power() -> xr.Dataset:
    """The 264 places of Power et al. in MNI space, from nilearn.

    Returns
    -------
    Dataset
        ``centres(region, xyz)`` [mm]; regions are numbered from 1, as in the paper.

    Raises
    ------
    ImportError
        Without nilearn; it names the extra.
    """
    rois = _module("nilearn.datasets", "neuro").fetch_coords_power_2011().rois
    return _places(rois, [int(v) for v in rois["roi"]]).assign_attrs(
        title="264 places of Power et al.",
        source=f"package nilearn {_version('nilearn')}: fetch_coords_power_2011",
        licence="BSD-3-Clause (nilearn)",
        references="Power et al. 2011, doi:10.1016/j.neuron.2011.09.006",
    )


def _places(table: Any, labels: list[Any]) -> xr.Dataset:
    values = np.asarray(table[list(_XYZ)], dtype=np.float64)
    about = {**_PLACE, LONG_NAME: "position of the region"}
    return xr.Dataset({"centres": ((REGION, "xyz"), values, about)}, coords={REGION: labels, "xyz": list(_XYZ)})


def _means(values: np.ndarray, parcels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean over the vertices ``(vertex, ...)`` of each parcel that have a number."""
    return np.stack([np.nanmean(values[parcels == i], axis=0) for i in labels])


def _missing(package: str, extra: str) -> ImportError:
    return ImportError(f"this dataset comes with the package {package!r}, which is not installed: pip install 'xmass[{extra}]'.")


def _module(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise _missing(name.partition(".")[0], extra) from None


def _folder(package: str, extra: str) -> Path:
    """Where a package lies, without importing it: what it needs to be imported is not needed for its data."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package, extra)
    return Path(spec.submodule_search_locations[0])


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
