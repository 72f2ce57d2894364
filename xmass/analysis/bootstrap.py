"""Confidence intervals of scores over subjects or trials."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.labelled import schema, units

OBJECTIVE = "objective"
ENTRIES_AT_ONCE = 20_000_000  # resampled values in memory at one time: 160 MB


def bootstrap(
    scores: xr.Dataset | xr.DataArray,
    *,
    dim: str = schema.SUBJECT,
    n: int = 1000,
    level: float = 0.95,
    method: Literal["BCa", "percentile"] = "BCa",
    seed: int = 0,
) -> xr.Dataset:
    """Mean over a dim, with its confidence interval by the bootstrap.

    Parameters
    ----------
    scores : Dataset or DataArray
        A comparison, or anything else with ``dim``; other dims (k, session) are kept. Computed if it is lazy.
    dim : str
        What was sampled: ``subject``, or ``batch`` for trials. Its entries are drawn with replacement, as independent of each other.
    n : int
        The number of resamples.
    level : float
        The confidence level, between 0 and 1.
    method : "BCa" or "percentile"
        Bias-corrected and accelerated, or percentiles of the resampled means.
    seed : int
        Of the resampling. All points are resampled alike, with the same subjects, whatever the other dims are.

    Returns
    -------
    Dataset
        ``estimate`` (the mean), ``low`` and ``high``, without ``dim``, in the unit of ``scores``. A Dataset has its variables along the dim
        ``objective``, in their order, with their ``direction`` where they have one. ``low`` and ``high`` are the estimate where all
        entries are equal; all three are NaN where one is NaN: leave it out before, ``scores.dropna("subject")``.

    Raises
    ------
    TypeError
        If ``scores`` is neither, or holds no real numbers.
    ValueError
        If ``dim`` is missing in a variable or has fewer than 2 entries, or ``n``, ``level`` or ``method`` make no sense.

    Notes
    -----
    ``scipy.stats.bootstrap``. BCa: Efron 1987, doi:10.1080/01621459.1987.10478410. With few subjects every bootstrap interval is too
    narrow: of 95 % intervals of 5 normal values about 85 % hold the mean.

    Examples
    --------
    >>> import xmass as xm
    >>> import xarray as xr
    >>> scores = xr.DataArray([0.41, 0.52, 0.47, 0.55, 0.44, 0.50], dims="subject")
    >>> interval = xm.bootstrap(scores)
    >>> round(float(interval.estimate), 4), bool(0.44 < interval.low < 0.47), bool(0.5 < interval.high < 0.53)
    (0.4817, True, True)
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}, needs a number between 0 and 1, such as level=0.95.")
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n={n!r}, needs a whole number of resamples, such as n=1000.")
    if method not in ("BCa", "percentile"):
        raise ValueError(f"method={method!r}, needs 'BCa' or 'percentile'.")
    values = _one_array(scores, dim)
    found = xr.apply_ufunc(
        _interval,
        values.compute(),
        input_core_dims=[[dim]],
        output_core_dims=[[], [], []],
        kwargs={"n": int(n), "level": float(level), "method": method, "seed": seed},
        keep_attrs=True,
    )
    size = values.sizes[dim]
    unit = {schema.UNITS: values.attrs[schema.UNITS]} if schema.UNITS in values.attrs else {}
    names = {
        "estimate": f"mean over {dim} ({size})",
        "low": f"lower end of the {level:g} interval",
        "high": f"upper end of the {level:g} interval",
    }
    result = xr.Dataset({name: array.drop_attrs(deep=False) for name, array in zip(names, found, strict=True)})
    for name, meaning in names.items():
        result[name].attrs = {**unit, schema.LONG_NAME: meaning}
    result.attrs = {"bootstrap": f"{method}, {n} resamples of {size} along {dim}, level {level:g}, seed {seed}"}
    return result


def _one_array(scores: Any, dim: str) -> xr.DataArray:
    """The scores as one array, the variables of a Dataset along ``objective``."""
    if isinstance(scores, xr.DataArray):
        scores = units.dequantify(scores)
        variables = {str(scores.name): scores}
    elif isinstance(scores, xr.Dataset):
        scores = units.dequantify(scores)
        variables = {str(name): variable for name, variable in scores.data_vars.items()}
    else:
        raise TypeError(f"scores are a {type(scores).__name__}, needs a Dataset or DataArray such as xm.compare(...) returns.")
    if not variables:
        raise ValueError("scores have no variables, need one or more: xm.compare(simulated, recorded, [objectives.fc_corr()]).")
    for name, variable in variables.items():
        if variable.dtype.kind not in "fiu":
            raise TypeError(f"{name!r} has dtype {variable.dtype}, needs real numbers: select the variables, scores[['fc_corr']].")
        if dim not in variable.dims or variable.sizes[dim] < 2:
            raise ValueError(
                f"{name!r} has dims {dict(variable.sizes)}, needs two or more entries along {dim!r}: name what was sampled with dim=, such "
                "as bootstrap(scores, dim='batch')."
            )
    if isinstance(scores, xr.DataArray):
        return scores.drop_vars([c for c in scores.coords if dim in scores[c].dims])
    if OBJECTIVE in scores.dims or OBJECTIVE in scores.coords:
        raise ValueError(f"scores have {OBJECTIVE!r} already, which names the variables: rename it with scores.rename(objective='...').")
    found = {v.attrs.get(schema.UNITS) for v in variables.values()}
    result = scores.to_dataarray(OBJECTIVE)
    result.attrs = {schema.UNITS: found.pop()} if len(found) == 1 and None not in found else {}
    directions = [v.attrs.get("direction", "") for v in variables.values()]
    if any(directions):
        result = result.assign_coords(direction=(OBJECTIVE, directions))
    return result.drop_vars([c for c in result.coords if dim in result[c].dims])


def _interval(values: np.ndarray, *, n: int, level: float, method: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from scipy import stats

    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    estimate = flat.mean(axis=-1)
    low, high = estimate.copy(), estimate.copy()
    varies = np.flatnonzero(np.isfinite(flat).all(axis=-1) & (flat.max(axis=-1) > flat.min(axis=-1)))
    together = max(1, ENTRIES_AT_ONCE // (n * values.shape[-1]))
    for start in range(0, varies.size, together):
        some = varies[start : start + together]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no resample on one side of the estimate: an infinite correction, NaN
            interval = stats.bootstrap(
                (flat[some],),
                np.mean,
                axis=-1,
                vectorized=True,
                n_resamples=n,
                confidence_level=level,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        low[some], high[some] = interval.low, interval.high
    shape = values.shape[:-1]
    return estimate.reshape(shape)[()], low.reshape(shape)[()], high.reshape(shape)[()]
