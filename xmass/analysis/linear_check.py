"""Whether a simulation stays where its linear twin says."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr

from xmass.labelled.schema import BATCH, LONG_NAME, MATRIX_DIMS, REGION, REGION_OTHER, UNITS, time_dim

_PARTS = 20
"""Stretches of time whose means and variances give the errors (batch means)."""


def twin_check(twin: xr.Dataset, simulated: xr.Dataset, *, limit: float = 0.25) -> xr.Dataset:
    """Compare the linear twin of a network with a simulation, and say where the simulated mean leaves the fixed point.

    Parameters
    ----------
    twin : Dataset
        Of :func:`linear_twin`.
    simulated : Dataset
        Of :meth:`Simulator.run` with the same parameters, without its transient: series of states, outputs or BOLD
        ``(..., time, region)``. A dim ``batch`` is pooled; other dims pair by label.
    limit : float
        A mean that is further from the fixed point than so many standard deviations of the twin, and than three of its own standard
        errors, has left it.

    Returns
    -------
    Dataset
        Of every variable that both have, by its name: ``shift.<name>(region)``, mean minus fixed point in standard deviations of the
        twin, and its standard error ``shift_error.<name>``; ``leaves.<name>(region)``; ``variance_ratio.<name>(region)``, simulated by
        analytic, and ``variance_ratio_error.<name>``; ``fc_difference.<name>(region, region_other)``, simulated minus analytic.
        The errors are those of means over 20 stretches of time (in each trial): a stretch should be many correlation times long.

    Raises
    ------
    ValueError
        If the two have no variable in common, or a series is too short.

    Warns
    -----
    UserWarning
        Where a mean has left the fixed point, with the regions and the largest shift: the linear theory does not hold there.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.LinearStep(gamma=-1.0, noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1)
    >>> run = sim.run(2000.0, monitors=["x"], transient=10.0, seed=0)
    >>> check = xm.twin_check(xm.linear_twin(sim), run)
    >>> bool(check["leaves.x"].any()), bool(abs(check["variance_ratio.x"] - 1).max() < 0.2)
    (False, True)
    """
    shared = [str(n) for n in simulated.data_vars if f"covariance.{n}" in twin and n in twin]
    if not shared:
        known = [str(n).removeprefix("covariance.") for n in twin.data_vars if str(n).startswith("covariance.")]
        raise ValueError(f"simulated has {list(map(str, simulated.data_vars))}, none of what the twin has: monitors={known}.")
    found: dict[str, xr.DataArray] = {}
    for name in shared:
        found |= _compared(name, twin, simulated[name].astype(np.float64), limit)
    return xr.Dataset(found)


def _compared(name: str, twin: xr.Dataset, series: xr.DataArray, limit: float) -> dict[str, xr.DataArray]:
    time = str(time_dim(series))
    length = series.sizes[time] // _PARTS
    if length < 2:
        raise ValueError(f"{name} has {series.sizes[time]} samples in time, needs at least {2 * _PARTS}.")
    pooled = ["part", *([BATCH] if BATCH in series.dims else [])]
    series = series.drop_vars([n for n, c in series.coords.items() if time in c.dims or n == "seed"])
    parts = series.isel({time: slice(length * _PARTS)}).coarsen({time: length}).construct({time: ("part", "within")})
    count = np.prod([parts.sizes[d] for d in pooled])
    mean = parts.mean(["within", *pooled])
    means, squares = parts.mean("within"), ((parts - mean) ** 2).mean("within")
    matrix = twin[f"covariance.{name}"]
    variance = xr.apply_ufunc(_diagonal, matrix, input_core_dims=[MATRIX_DIMS], output_core_dims=[[REGION]])
    sd = variance**0.5
    shift, error = (mean - twin[name]) / sd, means.std(pooled, ddof=1) / np.sqrt(count) / sd
    leaves = (abs(shift) > limit) & (abs(shift) > 3 * error)
    ratio, ratio_error = squares.mean(pooled) / variance, squares.std(pooled, ddof=1) / np.sqrt(count) / variance
    centred = parts - mean
    other = centred.rename({REGION: REGION_OTHER})
    products = xr.dot(centred, other, dim=["within", *pooled]) / (count * length)
    simulated_sd = squares.mean(pooled) ** 0.5
    correlation = products / simulated_sd / simulated_sd.rename({REGION: REGION_OTHER})
    if bool(leaves.any()):
        worst = float(abs(shift).where(leaves).max())
        regions = [str(r) for r in leaves[REGION].values[leaves.any([d for d in leaves.dims if d != REGION]).values]][:5]
        warnings.warn(
            f"the simulated mean of {name} leaves the fixed point in {int(leaves.sum())} of {leaves.size} places (regions {regions}), by "
            f"up to {worst:.2g} standard deviations of the twin: the noise is not weak there, and the linear theory does not hold.",
            stacklevel=4,
        )
    return {
        f"shift.{name}": _named(shift, f"simulated mean minus fixed point of {name}, in standard deviations"),
        f"shift_error.{name}": _named(error, f"standard error of the shift of {name}"),
        f"leaves.{name}": leaves.assign_attrs({LONG_NAME: f"the simulated mean of {name} is not the fixed point"}),
        f"variance_ratio.{name}": _named(ratio, f"simulated by analytic variance of {name}"),
        f"variance_ratio_error.{name}": _named(ratio_error, f"standard error of the ratio of variances of {name}"),
        f"fc_difference.{name}": _named(correlation - twin[f"fc.{name}"], f"simulated minus analytic correlation of {name}"),
    }


def _diagonal(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _named(data: xr.DataArray, meaning: str) -> xr.DataArray:
    return data.assign_attrs({UNITS: "1", LONG_NAME: meaning})
