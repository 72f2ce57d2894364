"""Values over regions in the order of the system, by label."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.schema import REGION, REGION_OTHER


def repeated_labels(labels: list[Any]) -> list[str]:
    """Labels that occur more than once."""
    return sorted(str(v) for v, n in Counter(labels).items() if n > 1)


def align_regions(data: xr.DataArray, regions: np.ndarray, name: str) -> xr.DataArray:
    """``data`` in the network's region order; a missing, extra or repeated region is named."""
    for dim in (REGION, REGION_OTHER):
        if dim not in data.dims:
            continue
        if dim not in data.coords:
            if data.sizes[dim] != len(regions):
                way = "" if len(regions) > 1 else f" A lone node has one: xm.Simulator(model, regions={data.sizes[dim]}, dt=...)."
                raise ValueError(
                    f"{name} has {data.sizes[dim]} regions without labels, the system has {len(regions)}. Give one value per region, or "
                    f"labels to choose by: .assign_coords({dim}=labels).sel({dim}=...).{way}"
                )
            continue
        labels = data[dim].values.tolist()
        known = regions.tolist()
        own, wanted = set(labels), set(known)
        repeated = repeated_labels(labels)
        missing = [str(v) for v in known if v not in own]
        extra = [str(v) for v in labels if v not in wanted]
        if repeated or missing or extra:
            said = [f"{what} {names[:5]}" for what, names in (("repeats", repeated), ("lacks", missing), ("has unknown", extra)) if names]
            shown = f"{known[:5]}{'...' if len(known) > 5 else ''}"
            raise ValueError(
                f"{name} {' and '.join(said)} along {dim!r}; the system has the regions {shown}, needs a value for each, once. "
                f"Select them: .sel({dim}=...)."
            )
        if labels != known:
            data = data.sel({dim: regions})
    return data
