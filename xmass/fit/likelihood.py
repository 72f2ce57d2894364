"""The likelihood of a recording: summary statistics that are normally distributed around those of the simulation."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.objectives import Combined, Objective

_NEAR_ONE = 1e-6
"""How near to 1 a correlation may be before its Fisher z is cut off: the resolution of float32."""


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianLikelihood:
    r"""Statistics of the recording are independent and normal around those of the simulation.

    With :math:`s` the simulated and :math:`y` the recorded statistics,
    :math:`\log L = -\tfrac12 \sum_i (s_i - y_i)^2/\sigma_i^2 - \sum_i \log \sigma_i \sqrt{2\pi}`.

    Entries of an FC matrix are not independent, so this likelihood says too much where there are many regions: its standard deviation is
    an assumption, which :func:`xmass.calibration` and the ``robust_error`` of :func:`xmass.identifiability` check.

    Parameters
    ----------
    statistics : {"fc"} or Objective
        "fc": Fisher's z of each pair of regions. An objective that compares FC stands for the same, of its variables; any other one that is
        a root mean square (``timeseries_rmse``, ``spectrum_rmse``) stands for what it takes the root mean square of.
    sd : float or array, optional
        Standard deviation of each statistic, one number for all or one for each. By default it is estimated from runs with different
        noise.

    Raises
    ------
    ValueError
        If the objective has no statistics, or ``sd`` is not positive.

    References
    ----------
    Wood (2010), doi:10.1038/nature09319, for likelihoods of summary statistics of simulations.

    Examples
    --------
    >>> import xmass as xm
    >>> likelihood = xm.fit.GaussianLikelihood("fc", sd=0.1)
    >>> likelihood.residual.name
    'fisher_z'
    """

    statistics: str | Objective | Combined = "fc"
    sd: Any = None

    def __post_init__(self) -> None:
        _ = self.residual
        if self.sd is not None:
            numbers = np.asarray(self.sd, np.float64)
            if numbers.ndim > 1 or not (numbers > 0).all() or not np.isfinite(numbers).all():
                said = f"{self.sd!r}" if numbers.size < 5 else f"numbers from {numbers.min():g} to {numbers.max():g}"
                raise ValueError(f"sd is {said}, needs a positive number, or one for each statistic along one axis.")

    @property
    def residual(self) -> Objective:
        """The objective whose residuals are the simulated statistics less the recorded ones."""
        return statistics_of(self.statistics)

    @property
    def objective(self) -> Objective:
        """What a fit makes small for the largest likelihood: the sum of squared residuals in standard deviations.

        Raises
        ------
        ValueError
            If there is no ``sd``.
        """
        if self.sd is None:
            raise ValueError("the likelihood has no sd, which a fit needs: xm.fit.GaussianLikelihood('fc', sd=0.1).")
        given, sd = self.residual, np.asarray(self.sd, np.float64)

        def deviance(simulated: Any, recorded: Any) -> Any:
            residuals = given.residuals(simulated, recorded)
            xp = array_namespace(residuals)
            scaled = residuals / xp.asarray(sd, residuals.dtype)
            return xp.sum(scaled * scaled, axis=-1)

        meaning = f"sum of squares of {given.meaning or given.name}, in standard deviations"
        return dataclasses.replace(given, function=deviance, name="deviance", meaning=meaning, residual=None, best=0.0)

    def sds(self, count: int) -> np.ndarray:
        """Standard deviations ``(count,)``."""
        given = np.asarray(self.sd, np.float64)
        if given.ndim and given.size != count:
            raise ValueError(f"sd has {given.size} entries, and there are {count} statistics: give one number, or one for each.")
        return np.broadcast_to(given, (count,))


def statistics_of(what: Any) -> Objective:
    """The objective whose residuals are differences of statistics.

    Raises
    ------
    ValueError
        If there are none.
    """
    if isinstance(what, str):
        if what != "fc":
            raise ValueError(f"statistics={what!r}, needs 'fc' or an objective, such as xm.objectives.timeseries_rmse().")
        return _fisher()
    terms = getattr(what, "terms", None)
    if terms is None or len(terms) != 1:
        raise ValueError(
            f"statistics of {getattr(what, 'name', what)!r} are not known: take 'fc', or one objective that compares FC or is a root mean "
            "square, such as xm.objectives.fc_rmse() or timeseries_rmse()."
        )
    objective = terms[0][1]
    if objective.takes == "fc":
        return _fisher(objective.simulated, objective.recorded)
    if objective.residual is None:
        raise ValueError(
            f"objective {objective.name!r} is no root mean square, so it has no statistics: take 'fc', or an objective such as "
            "xm.objectives.spectrum_rmse()."
        )
    return objective


def _fisher(simulated: str | None = None, recorded: str | None = None) -> Objective:
    return Objective(
        _rms,
        name="fisher_z",
        direction="min",
        best=0.0,
        takes="fc",
        simulated=simulated,
        recorded=recorded,
        meaning="differences of Fisher's z of FC",
        residual=_differences,
    )


def fisher_z(matrix: Any) -> Any:
    """Fisher's z ``(..., pairs)`` of the upper triangle of correlations ``(..., n, n)``."""
    xp = array_namespace(matrix)
    rows, columns = np.triu_indices(matrix.shape[-1], 1)
    r = xp.clip(matrix[..., rows, columns], -1.0 + _NEAR_ONE, 1.0 - _NEAR_ONE)
    return xp.arctanh(r)


def _differences(simulated: Any, recorded: Any) -> Any:
    return fisher_z(simulated) - fisher_z(recorded)


def _rms(simulated: Any, recorded: Any) -> Any:
    difference = _differences(simulated, recorded)
    xp = array_namespace(difference)
    return xp.sqrt(xp.mean(difference * difference, axis=-1))


def as_likelihood(statistics: Any, sd: Any, objectives: tuple[Any, ...]) -> GaussianLikelihood:
    """What was given as a likelihood; without one, the statistics of the fitter's own objective."""
    if isinstance(statistics, GaussianLikelihood):
        if sd is not None:
            raise ValueError("sd is given twice, in the likelihood and beside it. Leave one out.")
        return statistics
    if statistics is None and len(objectives) != 1:
        raise ValueError(f"there are {len(objectives)} objectives, so the statistics are not known: give statistics='fc'.")
    sd = np.asarray(sd.values) if isinstance(sd, xr.DataArray) else sd
    return GaussianLikelihood(objectives[0] if statistics is None else statistics, sd)
