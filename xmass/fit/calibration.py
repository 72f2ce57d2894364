"""Simulation-based calibration: whether posteriors are as wide as they should be, on data with known parameters."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.fit import checks
from xmass.fit.density import Density, prior_draws
from xmass.fit.likelihood import GaussianLikelihood
from xmass.fit.neural import NeuralPosterior
from xmass.fit.nuts import NutsBackend, _dtype, _word, density_of, sampler
from xmass.fit.statistics import PARAMETER
from xmass.fit.study import Study
from xmass.labelled.schema import LONG_NAME, UNITS

if TYPE_CHECKING:
    from xmass.fit.fitter import Fitter

TOGETHER = 64
"""Recordings whose posteriors are sampled at one time."""


def calibration(
    posterior: Fitter | NeuralPosterior,
    target: xr.Dataset | None = None,
    *,
    n: int = 100,
    draws: int = 99,
    thin: int = 5,
    warmup: int = 300,
    data: Literal["likelihood", "simulation"] = "likelihood",
    likelihood: GaussianLikelihood | None = None,
    seeds: int = 16,
    seed: int = 0,
) -> xr.Dataset:
    """Ranks of true parameters among draws from their posteriors: uniform if the posteriors are right.

    Parameters are drawn from the prior, recordings are simulated with them, and each recording's posterior is sampled. The rank of the
    true value among the draws is uniform over 0 to ``draws``, exactly so where prior, likelihood and sampler are right; too narrow
    posteriors have too many ranks at both ends, too wide ones in the middle, shifted ones at one end.

    Parameters
    ----------
    posterior : Fitter or NeuralPosterior
        A fitter is sampled by :meth:`xmass.Fitter.sample`, all recordings together, which is for cheap problems; a neural posterior on
        points of its sweep that it was not trained on.
    target : Dataset, optional
        With a fitter: one recording, for its form.
    n : int
        Recordings, at most those that a neural posterior has held out.
    draws : int
        Draws from each posterior.
    thin : int
        With a fitter: steps of the sampler for each draw, so that draws are nearly independent.
    warmup : int
        With a fitter: steps to adapt for each recording.
    data : {"likelihood", "simulation"}
        With a fitter: "likelihood" draws the statistics of a recording from the likelihood, which tests the sampler; "simulation" simulates
        the recording with noise of its own, which tests whether the likelihood is right for the model as well.
    likelihood : GaussianLikelihood, optional
        As for :meth:`xmass.Fitter.sample`.
    seeds : int
        Runs from which its standard deviation is estimated if it has none.
    seed : int
        Of everything drawn.

    Returns
    -------
    Dataset
        ``rank(simulation, parameter)``, ``truth(simulation, parameter)`` in free coordinates, ``z_score(simulation, parameter)``, the
        distance of the posterior mean from the truth in posterior standard deviations, and ``p_value(test, parameter)``: "chi-square" of
        the ranks in bins with five expected ranks or more, 20 at most, and "kolmogorov-smirnov" of the ranks, ties broken at random. Small
        values say that the posterior is wrong.

    Raises
    ------
    TypeError, ValueError
        If there is no target for a fitter, or it has several recordings; for too few recordings.

    References
    ----------
    Talts et al. (2018), arXiv:1804.06788.
    """
    for name, value, least in (("n", n, 10), ("draws", draws, 9), ("thin", thin, 1), ("warmup", warmup, 1)):
        checks.whole(name, value, least)
    if isinstance(posterior, NeuralPosterior):
        truth, inputs = (a[:n] for a in posterior.held_out)
        if len(truth) < 10:
            raise ValueError(f"{len(truth)} points are held out, needs 10 or more: train with a larger held_out.")
        z = np.swapaxes(posterior.draw(inputs, draws, seed)[0], 0, 1)
        return _ranked(truth, z, posterior.layout.names, seed)
    if not isinstance(target, xr.Dataset):
        raise TypeError("a fitter is calibrated for recordings of some form: xm.calibration(fitter, target).")
    backend = posterior.method if isinstance(posterior.method, NutsBackend) else NutsBackend()
    density, _ = density_of(posterior, target, backend, likelihood, None, seeds, seed)
    study = density.study
    if study.problem.fits != 1:
        raise ValueError(
            f"the recordings have the dims {tuple(study.fit_sizes)}: calibrate one of them, target.isel({next(iter(study.fit_sizes))}=0)."
        )
    truth = _inside(study, prior_draws(study, n, seed))
    if data not in ("likelihood", "simulation"):
        raise ValueError(f"data={data!r}, needs 'likelihood' or 'simulation'.")
    offsets = _offsets(density, truth, data, posterior, target, seed)
    z = _sampled(density, backend, truth, offsets, draws, thin, warmup, seed)
    return _ranked(truth, z, study.points.layout.names, seed)


def _inside(study: Study, drawn: dict[str, np.ndarray]) -> np.ndarray:
    return study.points.layout.to_coordinates(drawn, "free")


def _offsets(density: Density, truth: np.ndarray, data: str, fitter: Fitter, target: xr.Dataset, seed: int) -> np.ndarray:
    """What makes the residuals against the target those against a recording with the true parameters ``(n, statistics)``."""
    study = density.study
    if data == "likelihood":
        arrays = density.arrays(0)
        made = jax.jit(jax.vmap(density.residuals, (0, None)))
        with _dtype(study):
            found = np.asarray(made(jnp.asarray(truth, fitter.simulator.precision), arrays), np.float64)
        noise = np.random.default_rng([seed, 1]).normal(size=found.shape) * density.sd
        return np.where(density.factor[0] > 0, -found - noise, 0.0)
    fresh = Study(dataclasses.replace(study.fitter, noise="fresh"), target, 1, 1, seed)
    problem = fresh.problem
    _, first = np.unique(problem.rows[0], return_index=True)
    found = np.empty((len(truth), density.factor.shape[1]))
    for k, point in enumerate(truth):
        raw = problem.residuals(point[None], draw=k + 1)[1].reshape(len(problem.rows[0]), -1)
        found[k] = -raw[first].reshape(-1) * density.factor[0]  # one trial for each recording
    return found


def _sampled(
    density: Density, backend: NutsBackend, truth: np.ndarray, offsets: np.ndarray, draws: int, thin: int, warmup: int, seed: int
) -> np.ndarray:
    """Draws ``(n, draws, size)`` from the posterior of each recording; chains start where the Params do."""
    run = sampler(density, backend, draws * thin, warmup)
    study, n = density.study, len(offsets)
    arrays = density.arrays(0)
    axes = {**dict.fromkeys(arrays), "offset": 0}
    every = jax.jit(jax.vmap(run, (None, 0, axes)))
    found = []
    with _dtype(study):
        keys = jax.random.split(jax.random.key(_word(seed)), n)[:, None]
        start = jnp.asarray(study.problem.start, study.fitter.simulator.precision)
        for a in range(0, n, TOGETHER):
            some = np.minimum(np.arange(a, a + min(TOGETHER, n)), n - 1)  # one shape: what is left over is filled up
            z, _ = every(start, keys[some], arrays | {"offset": offsets[some]})
            found.append(np.asarray(z, np.float64)[: n - a, 0, thin - 1 :: thin])
    return np.concatenate(found)


def _ranked(truth: np.ndarray, z: np.ndarray, names: tuple[str, ...], seed: int) -> xr.Dataset:
    """Ranks of truths ``(n, size)`` among draws ``(n, draws, size)``, and tests of their uniformity."""
    from scipy.stats import chisquare, kstest

    n, draws = z.shape[:2]
    rank = (z < truth[:, None]).sum(axis=1)
    bins = int(np.clip(n // 5, 2, 20))
    edges = np.linspace(0, draws + 1, bins + 1).round()
    expected = np.diff(edges) / (draws + 1) * n
    jitter = np.random.default_rng([seed, 2]).uniform(size=rank.shape)
    values = np.empty((2, rank.shape[1]))
    for k in range(rank.shape[1]):
        counted = np.histogram(rank[:, k], edges - 0.5)[0]
        values[0, k] = chisquare(counted, expected).pvalue
        values[1, k] = kstest((rank[:, k] + jitter[:, k]) / (draws + 1), "uniform").pvalue
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (z.mean(axis=1) - truth) / z.std(axis=1)
    made: dict[str, Any] = {
        "rank": (("simulation", PARAMETER), rank, {LONG_NAME: f"rank of the truth among {draws} draws"}),
        "truth": (("simulation", PARAMETER), truth, {LONG_NAME: "free coordinate of the true value"}),
        "z_score": (
            ("simulation", PARAMETER),
            score,
            {LONG_NAME: "posterior mean less truth, in posterior standard deviations", UNITS: "1"},
        ),
        "p_value": (("test", PARAMETER), values, {LONG_NAME: "probability of ranks less uniform than these", UNITS: "1"}),
    }
    return xr.Dataset(made, coords={PARAMETER: list(names), "test": ["chi-square", "kolmogorov-smirnov"]}, attrs={"draws": draws})
