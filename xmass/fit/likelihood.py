"""The likelihood of a recording: summary statistics that are normally distributed around those of the simulation."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.arrays import array_namespace
from xmass.fit.fc_covariance import FIRST, PAIR, SECOND, in_order
from xmass.objectives import Combined, Objective

_NEAR_ONE = 1e-6
"""How near to 1 a correlation may be before its Fisher z is cut off: the resolution of float32."""


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianLikelihood:
    r"""Statistics of the recording are independent and normal around those of the simulation.

    With :math:`s` the simulated and :math:`y` the recorded statistics,
    :math:`\log L = -\tfrac12 \sum_i (s_i - y_i)^2/\sigma_i^2 - \sum_i \log \sigma_i \sqrt{2\pi}`.

    Entries of an FC matrix are not independent, so this likelihood says too much where there are many regions: its standard deviation is
    an assumption, which :func:`xmass.calibration` and the ``robust_error`` of :func:`xmass.identifiability` check. With ``covariance=`` the
    entries vary together: :math:`\log L = -\tfrac12 (s - y)^T C^{-1} (s - y)` but for a constant. The statistics are then these
    differences times the inverse Cholesky factor of :math:`C`, and their standard deviation is 1.

    Parameters
    ----------
    statistics : {"fc"} or Objective
        "fc": Fisher's z of each pair of regions. An objective that compares FC stands for the same, of its variables; any other one that is
        a root mean square (``timeseries_rmse``, ``spectrum_rmse``) stands for what it takes the root mean square of.
    sd : float or array, optional
        Standard deviation of each statistic, one number for all or one for each. By default it is estimated from runs with different
        noise.
    covariance : DataArray, optional
        For FC, in place of ``sd``: covariance of the differences between pairs, :func:`xmass.fit.fc_covariance`. Where the simulation is a
        mean over ``batch_size=k`` runs as long as the recording, its own noise adds 1/k: multiply by ``1 + 1 / k``.

    Raises
    ------
    ValueError
        If the objective has no statistics, ``sd`` is not positive, or ``covariance`` is none.

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
    covariance: xr.DataArray | None = None

    def __post_init__(self) -> None:
        statistics = statistics_of(self.statistics)
        if self.covariance is not None:
            if self.sd is not None and not (np.ndim(self.sd) == 0 and self.sd == 1.0):
                raise ValueError("sd and covariance are both given. Leave sd out: the variances are in the covariance.")
            if statistics.takes != "fc":
                raise ValueError(f"covariance is for FC, and the statistics are those of {statistics.name!r}. Leave it out, or take 'fc'.")
            _check_covariance(self.covariance)
            object.__setattr__(self, "sd", 1.0)
        if self.sd is not None:
            numbers = np.asarray(self.sd, np.float64)
            if numbers.ndim > 1 or not (numbers > 0).all() or not np.isfinite(numbers).all():
                said = f"{self.sd!r}" if numbers.size < 5 else f"numbers from {numbers.min():g} to {numbers.max():g}"
                raise ValueError(f"sd is {said}, needs a positive number, or one for each statistic along one axis.")

    @property
    def residual(self) -> Objective:
        """The objective whose residuals are the simulated statistics less the recorded ones."""
        given = statistics_of(self.statistics)
        return given if self.covariance is None else _whitened(given, np.asarray(self.covariance.values, np.float64))

    def aligned(self, regions: Any) -> GaussianLikelihood:
        """The same with the pairs of ``covariance`` in the order of these regions, those of the network.

        Parameters
        ----------
        regions : sequence
            Labels.
        """
        if self.covariance is None:
            return self
        names = np.asarray(regions)
        rows, columns = np.triu_indices(len(names), 1)
        labels = {FIRST: (PAIR, names[rows]), SECOND: (PAIR, names[columns])}
        ordered = xr.DataArray(in_order(self.covariance, names), dims=(PAIR, f"{PAIR}_other"), coords=labels)
        return dataclasses.replace(self, covariance=ordered)

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


def _check_covariance(covariance: Any) -> None:
    call = "xm.fit.fc_covariance(bold)"
    if not isinstance(covariance, xr.DataArray) or covariance.dims != (PAIR, f"{PAIR}_other"):
        said = f"has the dims {covariance.dims}" if isinstance(covariance, xr.DataArray) else f"is a {type(covariance).__name__}"
        raise ValueError(f"covariance {said}, needs a DataArray with ('{PAIR}', '{PAIR}_other'): {call}.")
    values = np.asarray(covariance.values, np.float64)
    if not np.isfinite(values).all() or values.shape[0] != values.shape[1] or not np.allclose(values, values.T):
        raise ValueError(f"covariance has the shape {values.shape}, needs a symmetric matrix of finite numbers: {call}.")
    lowest, highest = np.linalg.eigvalsh(values)[[0, -1]]
    if lowest <= np.finfo(np.float64).eps * len(values) * highest:
        raise ValueError(
            f"covariance of {len(values)} pairs is singular: the series is too short for so many. Make it of a longer simulation, "
            f"xm.fit.fc_covariance(simulated, samples=...), or take fewer regions."
        )


def _whitened(given: Objective, covariance: np.ndarray) -> Objective:
    """Differences of statistics that are independent with a standard deviation of 1."""
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))

    def residual(simulated: Any, recorded: Any) -> Any:
        found = given.residuals(simulated, recorded)
        if found.shape[-1] != len(inverse):
            raise ValueError(
                f"covariance is of {len(inverse)} pairs of regions, and {found.shape[-1]} have numbers. Where regions are left out, select "
                "the others beforehand, in the recording and in the network."
            )
        xp = array_namespace(found)
        return found @ xp.asarray(inverse.T, found.dtype)

    def rms(simulated: Any, recorded: Any) -> Any:
        found = residual(simulated, recorded)
        xp = array_namespace(found)
        return xp.sqrt(xp.mean(found * found, axis=-1))

    meaning = f"{given.meaning} that are made independent"
    return dataclasses.replace(given, function=rms, residual=residual, name=f"independent_{given.name}", meaning=meaning)


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


def as_likelihood(statistics: Any, sd: Any, objectives: tuple[Any, ...], regions: Any) -> GaussianLikelihood:
    """What was given as a likelihood, in the order of the regions; without one, the statistics of the fitter's own objective."""
    if isinstance(statistics, GaussianLikelihood):
        if sd is not None:
            raise ValueError("sd is given twice, in the likelihood and beside it. Leave one out.")
        return statistics.aligned(regions)
    if statistics is None and len(objectives) != 1:
        raise ValueError(f"there are {len(objectives)} objectives, so the statistics are not known: give statistics='fc'.")
    sd = np.asarray(sd.values) if isinstance(sd, xr.DataArray) else sd
    return GaussianLikelihood(objectives[0] if statistics is None else statistics, sd)
