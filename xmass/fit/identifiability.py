"""What the data can tell: Fisher information of summary statistics, or the curvature of the loss, by direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from xmass.fit.likelihood import as_likelihood
from xmass.fit.statistics import (
    PARAMETER,
    by_target,
    filling,
    labelled,
    noisy,
    parameter_coords,
    point_of,
    residuals_over_seeds,
    scales_at,
    study_of,
    trials,
)
from xmass.fit.study import Study
from xmass.labelled.schema import LONG_NAME

if TYPE_CHECKING:
    from xmass.fit.fitter import Fitter

DIRECTION = "direction"
_OF_A_UNIFORM = 1.0 / np.sqrt(12.0)
"""Standard deviation of a uniform distribution over the bounds, in their width."""
_FLAT = 1e-3
"""A curvature of the loss is called sloppy below this part of the largest one."""
_HALF = 0.01
"""Half the step of a difference of gradients, in widths of the bounds."""


def identifiability(
    fitter: Fitter,
    result: xr.Dataset,
    target: xr.Dataset,
    *,
    method: Literal["fisher", "hessian"] = "fisher",
    statistics: Any = None,
    sd: Any = None,
    seeds: int = 16,
    seed: int | None = None,
) -> xr.Dataset:
    r"""How well the data determine the parameters of a fit, and which combinations of them they do not.

    ``method="fisher"``: the information :math:`F = J^T \Sigma^{-1} J` about the parameters :math:`u = \theta/w`, where :math:`w` is the
    width of the bounds (without bounds the size of the value), :math:`J = \partial s/\partial u` are derivatives of summary statistics at
    the fitted point, in forward mode, averaged over ``seeds`` realisations of the noise, and :math:`\Sigma` is the diagonal of their
    variances over the noise. A direction is sloppy if the statistics leave more of it open than a uniform distribution over the bounds
    does: a standard deviation :math:`\lambda^{-1/2} > 12^{-1/2}`.

    ``method="hessian"``: second derivatives of the loss, by central differences of its gradient, for objectives that are no root
    mean square. They have no scale of their own: a direction is sloppy if its curvature is below 1/1000 of the largest. There are no
    standard errors.

    Parameters
    ----------
    fitter : Fitter
        As it was used for the fit.
    result : Dataset
        What ``fitter.fit`` returned, or any Dataset with the fitted parameters; with a dim ``start`` the first is taken.
    target : Dataset
        The recordings.
    method : {"fisher", "hessian"}
        See above.
    statistics : {"fc"}, Objective or GaussianLikelihood, optional
        As :class:`xmass.fit.GaussianLikelihood` takes them; by default those of the fitter's objective.
    sd : float or array, optional
        Standard deviation of the statistics: of measurement noise, say. By default that over runs with different noise.
    seeds : int
        Realisations of the noise.
    seed : int, optional
        From which they are drawn; by default that of the fit.

    Returns
    -------
    Dataset
        ``eigenvalue(direction)``, the stiffest first, ``loading(direction, parameter)`` (eigenvectors of unit length),
        ``sloppy(direction)``, ``condition_number``, ``value(parameter)`` and ``scale(parameter)`` in its unit; the dims of the fits
        first. By Fisher also ``information(parameter, parameter_other)``, ``sd(statistic)``, ``standard_error(parameter)`` in the unit of
        the parameter, the Cramér-Rao bound for independent statistics, and ``robust_error(parameter)``, where statistics are as correlated
        as they are over the seeds. Both are infinite where nothing is known.

    Raises
    ------
    ValueError
        If the objective has no statistics; if the run has no noise and ``sd`` is not given; for too few seeds.

    References
    ----------
    Gutenkunst et al. (2007), doi:10.1371/journal.pcbi.0030189, for sloppy directions; White (1982), doi:10.2307/1912526, for the robust
    error.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.1)
    >>> run = dict(duration=10.0, monitors=["x"])
    >>> recorded = sim.run(params=xr.Dataset({"initial.x": 1.0}), **run)
    >>> search = {"initial.x": xm.Param(1.0, bounds=(0.0, 2.0))}
    >>> fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=run, search=search)
    >>> known = xm.identifiability(fitter, xr.Dataset({"initial.x": 1.0}), recorded, sd=0.1)
    >>> round(float(known.standard_error.sel(parameter="initial.x")), 4)  # 0.1 / sqrt(sum of exp(-0.2 t))
    0.0153
    """
    if method == "hessian":
        return _curvature(study_of(fitter, result, target, seed=seed, changes={"noise": "common"}), result)
    if method != "fisher":
        raise ValueError(f"method={method!r}, needs 'fisher' or 'hessian'.")
    try:
        likelihood = as_likelihood(statistics, sd, fitter.objectives, fitter.simulator.config.regions)
    except ValueError as error:
        raise ValueError(f"{error} Or look at the curvature of the loss: method='hessian'.") from None
    study = study_of(fitter, result, target, seed=seed, changes={"objective": likelihood.residual})
    c, failed = point_of(study, result)
    scales = scales_at(study, c)
    problem, draws = study.problem, _draws(study, c, likelihood.sd, seeds)
    factor = filling(problem)
    residuals = residuals_over_seeds(study, c, draws)
    jacobian = np.mean([by_target(problem, problem.jacobian(c, draw=s)) for s in range(draws)], axis=0)
    jacobian = jacobian * factor[..., None] * (scales.width / scales.slope)[:, None, :]
    if likelihood.sd is None:
        residuals = residuals * np.sqrt(trials(problem))  # as a single recording varies
        spread = residuals.std(axis=0, ddof=1)
        weight = np.where(spread > 0, (draws - 3) / (draws - 1) / np.where(spread > 0, spread, 1.0) ** 2, 0.0)  # E[1/s^2]
    else:
        spread = np.broadcast_to(likelihood.sds(residuals.shape[-1]), residuals.shape[1:])
        weight = np.where(factor > 0, 1.0 / spread**2, 0.0)
    information = np.einsum("fmi,fm,fmj->fij", jacobian, weight, jacobian)
    failed = failed | ~np.isfinite(information).all(axis=(1, 2))
    information = np.where(failed[:, None, None], 0.0, information)
    values, vectors = _spectrum(information)
    inverse = _inverse(values, vectors)
    found = _common(values, vectors, values < 1.0 / _OF_A_UNIFORM**2, scales)
    found |= {
        "information": ((PARAMETER, f"{PARAMETER}_other"), information, "Fisher information of the parameters in units of their scale"),
        "sd": (("statistic",), spread, "standard deviation of each statistic"),
        "standard_error": ((PARAMETER,), _root(inverse) * scales.width, "Cramer-Rao bound for independent statistics, in unit"),
    }
    if draws > 3:
        scores = np.einsum("fmi,fm,sfm->fsi", jacobian, weight, residuals - residuals.mean(axis=0))
        noise = np.einsum("fsi,fsj->fij", scores, scores) / (draws - 1)
        with np.errstate(invalid="ignore", over="ignore"):
            sandwich = np.where(np.isfinite(inverse), inverse @ noise @ inverse, np.inf)
        found["robust_error"] = ((PARAMETER,), _root(sandwich) * scales.width, "standard error with correlated statistics, in unit")
    return _labelled(study, found, failed)


def _draws(study: Study, c: np.ndarray, sd: Any, seeds: int) -> int:
    """How many realisations of the noise there are: one where the run has none."""
    if isinstance(seeds, bool) or not isinstance(seeds, int | np.integer) or seeds < (5 if sd is None else 1):
        raise ValueError(f"seeds={seeds!r}, needs a whole number of 5 or more for the variance of the statistics, 1 or more with sd=.")
    if noisy(study, c):
        return int(seeds)
    if sd is None:
        raise ValueError("the run has no noise, so its statistics have no variance: give that of the measurement, sd=0.1.")
    return 1


def _curvature(study: Study, result: xr.Dataset) -> xr.Dataset:
    c, failed = point_of(study, result)
    scales, problem = scales_at(study, c), study.problem
    size = problem.size
    hessian = np.empty((problem.fits, size, size))
    for k in range(size):
        step = np.zeros_like(c)
        step[:, k] = (_HALF * scales.width / np.abs(scales.slope))[:, k]
        above, below = np.minimum(c + step, problem.upper), np.maximum(c - step, problem.lower)
        difference = problem.gradient(above)[1] - problem.gradient(below)[1]
        hessian[:, k] = difference / (above - below)[:, k, None]
    unit = scales.width / scales.slope
    hessian = 0.5 * (hessian + hessian.swapaxes(1, 2)) * unit[:, :, None] * unit[:, None, :]
    failed = failed | ~np.isfinite(hessian).all(axis=(1, 2))
    hessian = np.where(failed[:, None, None], 0.0, hessian)
    values, vectors = _spectrum(hessian)
    found = _common(values, vectors, values < _FLAT * values[:, :1], scales)
    found["hessian"] = ((PARAMETER, f"{PARAMETER}_other"), hessian, "second derivatives of the loss in units of the scale")
    return _labelled(study, found, failed)


def _spectrum(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues ``(fits, direction)``, the largest first, and vectors ``(fits, direction, parameter)``, their largest entry positive."""
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[:, ::-1], vectors.swapaxes(1, 2)[:, ::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=-1)[..., None], axis=-1)
    return values, vectors * np.sign(largest)


def _inverse(values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The inverse ``(fits, parameter, parameter)``, infinite in the rows and columns of what is not determined."""
    known = values > np.finfo(np.float64).eps * np.maximum(values[:, :1], 0.0) * values.shape[1]
    made = np.einsum("fdi,fd,fdj->fij", vectors, np.where(known, 1.0 / np.where(known, values, 1.0), 0.0), vectors)
    open_ = np.einsum("fdi,fd->fi", vectors**2, ~known) > 1e-12
    return np.where(open_[:, :, None] | open_[:, None, :], np.inf, made)


def _root(matrix: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(np.diagonal(matrix, axis1=1, axis2=2), 0.0))


def _common(values: np.ndarray, vectors: np.ndarray, sloppy: np.ndarray, scales: Any) -> dict[str, Any]:
    with np.errstate(divide="ignore", invalid="ignore"):
        condition = np.where(values[:, -1] > 0, values[:, 0] / values[:, -1], np.inf)
    return {
        "eigenvalue": ((DIRECTION,), values, "eigenvalue: one over the variance in units of the scale, or the curvature of the loss"),
        "loading": ((DIRECTION, PARAMETER), vectors, "eigenvector: change of each parameter, in units of its scale"),
        "sloppy": ((DIRECTION,), sloppy, "the data say less about this direction than the bounds do, or almost nothing"),
        "condition_number": ((), condition, "largest eigenvalue over the smallest"),
        "value": ((PARAMETER,), scales.value, "fitted value, in unit"),
        "scale": ((PARAMETER,), scales.width, "width of the bounds, in unit"),
    }


def _labelled(study: Study, found: dict[str, Any], failed: np.ndarray) -> xr.Dataset:
    names = parameter_coords(study)[PARAMETER][1]
    other = {f"{PARAMETER}_other": (f"{PARAMETER}_other", names, {LONG_NAME: "free number"})}
    direction = {DIRECTION: (DIRECTION, np.arange(len(names)), {LONG_NAME: "direction, the stiffest first"})}
    return labelled(study, found, failed, **other, **direction)
