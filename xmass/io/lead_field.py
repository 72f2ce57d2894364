"""Gains of head models: forward solutions of MNE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.labelled.schema import LONG_NAME, REGION, SENSOR, UNITS

_NANO = 1e-9
# Channel kinds and units of the FIFF format, which a forward solution carries.
_KINDS = {"meg": (1, 112, "T"), "eeg": (2, None, "V"), "seeg": (802, None, "V")}
_FIXED = 1


def read_lead_field(
    source: str | Path | Mapping[str, Any],
    parcels: Sequence[Any] | np.ndarray | None = None,
    *,
    kind: Literal["eeg", "meg", "seeg"] = "eeg",
) -> xr.DataArray:
    """The gain of a forward solution of MNE, by region.

    Parameters
    ----------
    source : path or Forward
        A ``-fwd.fif`` file, or what ``mne.read_forward_solution`` gives. Sources with free orientation are turned to the normals of
        the surface, as ``mne.convert_forward_solution(..., force_fixed=True)`` does.
    parcels : sequence of labels, optional
        The region of each source, in the order of the solution; None and "" for sources of no region. Without it each source is a region.
    kind : {"eeg", "meg", "seeg"}
        Sensors to take: electrodes, magnetometers, or electrodes inside.

    Returns
    -------
    DataArray
        ``gain (sensor, region)`` in V/(nA m) or T/(nA m): the mean over the sources of a region, so a region's moment is spread evenly
        over them. Regions are in the order of their first source.

    Raises
    ------
    ImportError
        If MNE is needed (a file, free orientations) and not installed.
    TypeError, ValueError
        If it is no forward solution, has no such sensors, or has another number of sources than ``parcels``.

    Examples
    --------
    >>> import numpy as np
    >>> from xmass.io import read_lead_field
    >>> channels = [{"ch_name": n, "kind": 2, "unit": 107} for n in ("Fz", "Cz")]
    >>> solution = {"data": np.array([[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]), "row_names": ["Fz", "Cz"]}
    >>> forward = {"sol": solution, "info": {"chs": channels}, "source_ori": 1, "nsource": 3}
    >>> gain = read_lead_field(forward, ["a", "a", "b"])
    >>> (gain.sel(region="a") * 1e9).values.round(6).tolist()
    [2.0, 3.0]
    """
    if kind not in _KINDS:
        raise ValueError(f"kind={kind!r}, needs one of {', '.join(map(repr, _KINDS))}.")
    forward: Any = _mne().read_forward_solution(source, verbose="error") if isinstance(source, str | Path) else source
    try:
        count, fixed = int(forward["nsource"]), int(forward["source_ori"]) == _FIXED
    except (KeyError, TypeError, IndexError):
        raise TypeError(f"source is a {type(source).__name__}, needs a path or a forward solution of MNE.") from None
    if not fixed:
        forward = _mne().convert_forward_solution(forward, force_fixed=True, use_cps=True, copy=True, verbose="error")
    rows, channels = forward["sol"]["row_names"], {c["ch_name"]: c for c in forward["info"]["chs"]}
    number, unit, si = _KINDS[kind]
    taken = [i for i, n in enumerate(rows) if channels[n]["kind"] == number and unit in (None, channels[n]["unit"])]
    if not taken:
        raise ValueError(
            f"the forward solution has no {kind} sensors among its {len(rows)}. Give kind= one of {', '.join(map(repr, _KINDS))}."
        )
    data = np.asarray(forward["sol"]["data"], dtype=np.float64)[taken]
    if data.shape[1] != count or not np.isfinite(data).all():
        raise ValueError(f"the solution has {data.shape[1]} columns for {count} sources, or holds NaN: it is damaged.")
    labels = list(range(count)) if parcels is None else [None if p in (None, "") else p for p in np.asarray(parcels, dtype=object).tolist()]
    if len(labels) != count:
        raise ValueError(f"parcels has {len(labels)} entries, the forward solution {count} sources. Give the region of each.")
    regions = list(dict.fromkeys(p for p in labels if p is not None))
    members = np.array([[p == region for p in labels] for region in regions], dtype=np.float64).reshape(len(regions), count)
    if not regions:
        raise ValueError("parcels names no region, needs at least one source that has one.")
    gain = data @ (members / members.sum(axis=1, keepdims=True)).T * _NANO
    attrs = {UNITS: f"{si}/(nA*m)", LONG_NAME: f"gain of {kind} sensors"}
    coords = {SENSOR: np.array([rows[i] for i in taken], dtype=object), REGION: np.array(regions)}
    return xr.DataArray(gain, dims=(SENSOR, REGION), coords=coords, attrs=attrs, name="gain")


def _mne() -> Any:
    try:
        import mne
    except ImportError:
        raise ImportError("this forward solution needs MNE to be read: pip install 'xmass[neuro]'.") from None
    return mne
