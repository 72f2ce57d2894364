"""The table of a comparison: the best point of each objective, for every recording."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from xmass.analysis.baselines import BASELINES
from xmass.analysis.compare import COMPARISON
from xmass.labelled import schema

TRIALS = (schema.BATCH, schema.SEED)


class ComparisonTable:
    """``.to_table()`` of a Dataset that ``compare`` returned."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def __call__(self) -> pd.DataFrame:
        """The best point of each objective for every recording; see :func:`comparison_table`."""
        return comparison_table(self._dataset)


def comparison_table(score: xr.Dataset) -> pd.DataFrame:
    """The best point of each objective for every recording.

    Parameters
    ----------
    score : Dataset
        What ``compare`` returned, whole or a selection of it; computed if it is lazy.

    Returns
    -------
    DataFrame
        One row for each recording (subject and whatever other dims the recordings have) and each objective ``best_by``; with
        the parameters of the point that it finds best, ``at_edge`` (whether this is the first or last value of a swept
        parameter of three values or more, so that the optimum may lie outside), the values of all objectives there, the
        baselines and the ceiling. Variables that were added to the comparison, such as ``score.assign(rate=...)``, have their value
        at the point as well. ``batch`` and ``seed`` are trials of one point, not parameters: scores are averaged over
        them before the best point is looked for. Where all values are NaN, parameters and values are too. A parameter that
        repeats the labels of its dim (``noise_e.sigma`` over ``sigma``) has no column of its own. ``attrs["units"]`` of the table
        has the unit of each column that has one.

    Raises
    ------
    ValueError
        If ``score`` is not a comparison.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from xmass import objectives
    >>> from xmass.analysis import compare
    >>> from xmass.analysis.table import comparison_table
    >>> x = np.random.default_rng(0).normal(size=(2, 100, 5))
    >>> simulated = xr.Dataset({"bold": (("k", "time", "region"), x)}, {"k": [0.1, 0.2]})
    >>> score = compare(simulated, simulated.isel(k=1, drop=True), objectives.fc_corr())
    >>> table = comparison_table(score)
    >>> float(table.k[0]), round(float(table.fc_corr[0]), 12)
    (0.2, 1.0)
    """
    swept = _swept(score)
    score = score.compute()
    objectives = [str(name) for name in score.data_vars if "direction" in score[name].attrs]
    directions = {name: score[name].attrs["direction"] for name in objectives}
    trials = [d for d in swept if d in TRIALS and d in score.dims]
    own = {d for name in objectives for d in score[name].dims}
    added = [str(n) for n, v in score.data_vars.items() if n not in objectives and v.dtype.kind in "fiu" and set(v.dims) <= own]
    shown = objectives + added
    averaged = xr.Dataset({name: _averaged(score[name], trials) for name in shown})
    points = [d for d in swept if d in averaged.dims]
    averaged = averaged.drop_vars(_repeated(averaged, points))
    rows = [
        {**labels, "best_by": name, **_row(averaged, at, name, directions[name], shown, points), **_held_against(score, at)}
        for labels, at in _recordings(averaged, points)
        for name in objectives
    ]
    table = pd.DataFrame(rows)
    given = {str(c): score[c].attrs.get(schema.UNITS, "1") for c in table.columns if c in score.variables}
    table.attrs[schema.UNITS] = {name: unit for name, unit in given.items() if unit not in ("1", "")}
    return table


def _averaged(values: xr.DataArray, trials: list[str]) -> xr.DataArray:
    over = [d for d in trials if d in values.dims]
    return values.mean(over, skipna=False) if over else values


def _repeated(averaged: xr.Dataset, points: list[str]) -> list[Hashable]:
    """Parameters that are the coordinate of their dim under another name."""

    def repeats(values: xr.DataArray) -> bool:
        dim = values.dims[0] if values.ndim == 1 else None
        return dim in points and dim in averaged.coords and np.array_equal(values.values, averaged[dim].values)

    return [c for c, values in averaged.coords.items() if c not in points and repeats(values)]


def _swept(score: xr.Dataset) -> list[str]:
    try:
        return list(json.loads(score.attrs[COMPARISON])["sweep_dims"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"this Dataset, with the variables {[str(name) for name in score.data_vars]}, is not a comparison: to_table() needs what "
            "xm.compare(simulated, recorded, objectives) returns. For a table of any Dataset use .to_dataframe()."
        ) from None


def _recordings(averaged: xr.Dataset, points: list[str]) -> Iterator[tuple[dict[str, Any], dict[Hashable, int]]]:
    """Labels and positions of every recording."""
    dims = [d for d in averaged.dims if d not in points]
    for place in np.ndindex(*(averaged.sizes[d] for d in dims)):
        at = dict(zip(dims, place, strict=True))
        yield {str(d): _label(averaged, d, i) for d, i in at.items()}, at


def _label(data: xr.Dataset | xr.DataArray, dim: Hashable, index: int) -> Any:
    return data[dim].values[index].item() if dim in data.coords else index


def _row(
    averaged: xr.Dataset, at: dict[Hashable, int], name: str, direction: str, objectives: list[str], points: list[str]
) -> dict[str, Any]:
    one = averaged.isel(at)
    values = one[name]
    own = [d for d in points if d in values.dims]
    if not bool(values.notnull().any()):
        return dict.fromkeys(own, np.nan) | {"at_edge": False} | dict.fromkeys(objectives, np.nan)
    best = {d: int(i) for d, i in (values.argmax(own) if direction == "max" else values.argmin(own)).items()} if own else {}
    point = one.isel(best)
    parameters = {str(d): _label(one, d, i) for d, i in best.items()}
    parameters |= {
        str(c): point[c].values.item()
        for c in sorted(one.coords, key=str)
        if c not in parameters and c not in BASELINES and point[c].ndim == 0 and set(averaged[c].dims) & set(points)
    }
    at_edge = any(one.sizes[d] > 2 and i in (0, one.sizes[d] - 1) for d, i in best.items())
    # an objective that does not depend on a swept dim, or depends on one more, has no single value at this point: NaN
    found = {o: point[o].values.item() if point[o].ndim == 0 else np.nan for o in objectives}
    return parameters | {"at_edge": at_edge} | found


def _held_against(score: xr.Dataset, at: dict[Hashable, int]) -> dict[str, float]:
    found = {}
    for name in BASELINES:
        if name in score.coords:
            here = score[name].isel({d: i for d, i in at.items() if d in score[name].dims})
            found[name] = here.values.item() if here.ndim == 0 else np.nan
    return found
