"""What recordings a fit is made to: the dims of its variables that make fits of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import xarray as xr

from xmass.analysis.dynamic import WINDOW_DIMS
from xmass.analysis.power import FREQUENCY
from xmass.labelled.schema import REGION, REGION_OTHER, TIME

_INNER = {REGION, REGION_OTHER, TIME, FREQUENCY, *WINDOW_DIMS, "sensor", "sensor_other", "lag"}


def target_dims(objectives: Sequence[Any], simulated: Sequence[str], target: xr.Dataset) -> dict[str, tuple[int, xr.DataArray | None]]:
    """Dims of the recordings that an objective keeps, with their lengths and labels.

    Raises
    ------
    KeyError, ValueError
        If the variables are not there, or not determined.
    """
    found: dict[str, tuple[int, xr.DataArray | None]] = {}
    for name in compared_variables(objectives, simulated, target):
        data = target[name]
        for dim in data.dims:
            if dim in _INNER or (dim in data.coords and data[dim].attrs.get("axis") == "T"):
                continue
            found.setdefault(
                str(dim), (data.sizes[dim], data[dim].drop_vars([c for c in data[dim].coords if c != dim]) if dim in data.coords else None)
            )
    return found


def compared_variables(objectives: Sequence[Any], simulated: Sequence[str], target: xr.Dataset) -> list[str]:
    """The variables of the recordings that some objective takes."""
    return list(dict.fromkeys(n for o in objectives for n in _variables(o, simulated, target)))


def _variables(objective: Any, simulated: Sequence[str], target: xr.Dataset) -> Iterator[str]:
    terms = getattr(objective, "terms", None)
    if terms is None:
        yield from (str(n) for n in target.data_vars)
        return
    for _, term in terms:
        name = term.recorded or term.simulated
        if name is None:
            common = [n for n in simulated if n in target.data_vars]
            if len(common) != 1:
                raise ValueError(
                    f"objective {term.name!r} names no variables, and the run and the recordings have {common or 'no variable'} in common, "
                    f"not one: the run makes {list(simulated)}, the recordings have {list(map(str, target.data_vars))}. "
                    f"Name them: {term.name}('<simulated>', '<recorded>')."
                )
            name = common[0]
        if name not in target.data_vars:
            raise KeyError(f"objective {term.name!r} takes {name!r} from the recordings, which have {list(map(str, target.data_vars))}.")
        yield name
