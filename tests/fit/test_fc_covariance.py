"""The covariance of FC entries against published formulas and Monte-Carlo recordings of a known Gaussian process."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from scipy import linalg, stats

import xmass as xm
from xmass.fit.fc_covariance import covariance_of_z

# x' = A x + white noise in discrete time: its covariances are S and A^k S
A = 0.9 * np.array([[0.8, 0.15, 0.0, 0.0], [0.0, 0.75, 0.2, 0.0], [0.1, 0.0, 0.8, 0.1], [0.0, 0.0, 0.15, 0.7]])
S = linalg.solve_discrete_lyapunov(A, np.eye(4))
SIZE = np.sqrt(np.diag(S))
PAIRS = np.triu_indices(4, 1)
TRUTH = np.arctanh((S / np.outer(SIZE, SIZE))[PAIRS])
REGIONS = ["a", "b", "c", "d"]


def series(n, length, seed=0):
    """Recordings ``(n, time, region)`` of the process."""
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(np.zeros(4), S, n)
    found = np.empty((length, n, 4))
    for step in range(length):
        found[step] = x
        x = x @ A.T + rng.normal(size=(n, 4))
    return found.transpose(1, 0, 2)


def z_of(recordings):
    return np.stack([np.arctanh(np.corrcoef(one.T)[PAIRS]) for one in recordings])


def test_white_noise_has_the_covariance_of_steiger():
    # J. H. Steiger (1980), equation 2, entry by entry
    r = S / np.outer(SIZE, SIZE)
    found = covariance_of_z(r[:, :, None])
    for (p, (j, k)), (q, (h, m)) in itertools.product(enumerate(zip(*PAIRS, strict=True)), repeat=2):
        psi = 0.5 * (
            (r[j, h] - r[j, k] * r[k, h]) * (r[k, m] - r[k, h] * r[h, m])
            + (r[j, m] - r[j, h] * r[h, m]) * (r[k, h] - r[k, j] * r[j, h])
            + (r[j, h] - r[j, m] * r[m, h]) * (r[k, m] - r[k, j] * r[j, m])
            + (r[j, m] - r[j, k] * r[k, m]) * (r[k, h] - r[k, m] * r[m, h])
        )
        np.testing.assert_allclose(found[p, q], psi / (1 - r[j, k] ** 2) / (1 - r[h, m] ** 2), atol=1e-12)


def test_slow_signals_have_the_covariance_of_many_recordings():
    later = [S]  # covariances of x(t) with x(t + k)
    for _ in range(60):
        later.append(later[-1] @ A.T)
    gamma = np.stack([*(g.T for g in later[:0:-1]), *later], axis=-1) / np.outer(SIZE, SIZE)[:, :, None]
    exact = covariance_of_z(gamma) / 1000
    found = np.cov(z_of(series(2000, 1000)).T)
    spread = np.sqrt(np.diag(exact))
    # 2000 recordings have their standard deviations to 1.6 %, their correlations to 0.02; a series of 1000 is not quite endless
    np.testing.assert_allclose(np.sqrt(np.diag(found)) / spread, 1.0, atol=0.07)
    np.testing.assert_allclose((found - exact) / np.outer(spread, spread), 0.0, atol=0.13)
    assert np.abs(exact / np.outer(spread, spread) - np.eye(6)).max() > 0.5  # far from independent
    estimate = np.mean([xm.fit.fc_covariance(xr.DataArray(one, dims=("time", "region"))) for one in series(30, 1000, 1)], axis=0)
    np.testing.assert_allclose(np.sqrt(np.diag(estimate)) / spread, 1.0, atol=0.08)


def test_confidence_regions_hold_the_truth_as_often_as_they_say():
    recordings = series(300, 1000, 2)
    inside, naive = [], []
    for one, z in zip(recordings, z_of(recordings), strict=True):
        covariance = xm.fit.fc_covariance(xr.DataArray(one, dims=("time", "region")))
        away = z - TRUTH
        inside.append(away @ np.linalg.solve(covariance.values, away) < stats.chi2.ppf(0.95, 6))
        naive.append(away @ away * (1000 - 3) < stats.chi2.ppf(0.95, 6))  # independent samples and entries
    assert 0.89 < np.mean(inside) < 0.98  # 0.95 has a standard error of 0.013; the covariance is estimated
    assert np.mean(naive) < 0.5


def labelled(one, regions):
    return xr.DataArray(one, dims=("time", "region"), coords={"region": regions})


def test_residuals_are_independent_and_follow_the_labels():
    one = series(1, 800, 3)[0]
    covariance = xm.fit.fc_covariance(labelled(one, REGIONS))
    shuffled = [2, 0, 3, 1]
    other = xm.fit.fc_covariance(labelled(one[:, shuffled], [REGIONS[k] for k in shuffled]))
    rng = np.random.default_rng(4)
    simulated, recorded = (np.corrcoef(rng.normal(size=(4, 50))) for _ in range(2))
    away = np.arctanh(simulated[PAIRS]) - np.arctanh(recorded[PAIRS])
    for given in (covariance, other):
        found = xm.fit.GaussianLikelihood("fc", covariance=given).aligned(REGIONS).residual.residuals(simulated[None], recorded[None])
        np.testing.assert_allclose(np.sum(found**2), away @ np.linalg.solve(covariance.values, away), rtol=1e-9)
    scaled = xm.fit.fc_covariance(labelled(one, REGIONS), samples=400)
    np.testing.assert_allclose(scaled, 2 * covariance, rtol=1e-12)


def network(order=(0, 1, 2, 3)):
    weights = np.abs(A - np.diag(np.diag(A)))[np.ix_(order, order)]
    names = [REGIONS[k] for k in order]
    sc = xr.Dataset({"weights": (("region", "region_other"), weights)}, {"region": names, "region_other": names})
    noise = xm.WhiteNoise(sigma=0.02)
    node = xm.HopfStep(a=-0.1, w=0.3, noise_x=noise, noise_y=noise)
    return xm.Simulator(xm.Network(node, sc, coupling=xm.DiffusiveCoupling(k=0.1, source="x", target="x")), dt=0.5)


@pytest.mark.long
def test_errors_and_information_with_correlated_entries():
    run = dict(duration=300.0, transient=100.0, monitors={"fc": xm.FunctionalConnectivity(of="x"), "x": "x"})
    recorded = network().run(seed=1, **run)
    search = {"coupling.k": xm.Param(0.1, bounds=(0.0, 0.4))}
    run["monitors"].pop("x")
    covariance = xm.fit.fc_covariance(recorded.x)
    point = xr.Dataset({"coupling.k": 0.1})
    errors = []
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):  # a network in another order than the recording
        fitter = xm.Fitter(network(order), objective=xm.objectives.fc_rmse("fc"), run=run, search=search)
        known = xm.identifiability(
            fitter, point, recorded[["fc"]], statistics=xm.fit.GaussianLikelihood("fc", covariance=covariance), seeds=3
        )
        errors.append(float(known.standard_error[0]))
    assert 0 < errors[0] < 1
    np.testing.assert_allclose(errors[1], errors[0], rtol=0.3)  # the noise is not the same in another order
    sd = 0.1 * np.arange(1.0, 7.0)
    diagonal = covariance.copy(data=np.diag(sd**2))
    one, other = (
        xm.identifiability(fitter, point, recorded[["fc"]], statistics=given, seeds=3)
        for given in (
            xm.fit.GaussianLikelihood("fc", sd=sd[np.argsort(order_of(fitter))]),
            xm.fit.GaussianLikelihood("fc", covariance=diagonal),
        )
    )
    np.testing.assert_allclose(one.standard_error, other.standard_error, rtol=1e-4)  # single precision


def order_of(fitter):
    """Where each pair of the recording is among those of the network."""
    names = [REGIONS.index(n) for n in fitter.simulator.config.regions]
    pairs = [tuple(sorted((names[i], names[j]))) for i, j in zip(*PAIRS, strict=True)]
    return [pairs.index(p) for p in zip(*PAIRS, strict=True)]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s, c: xm.fit.fc_covariance(s.expand_dims(subject=2)), "has the dim 'subject'"),
        (lambda s, c: xm.fit.fc_covariance(s.where(s.region != "b")), "not finite in region 'b'"),
        (lambda s, c: xm.fit.fc_covariance(s, lags=800), "lags=800"),
        (lambda s, c: xm.fit.fc_covariance(s, samples=0), "samples=0"),
        (lambda s, c: xm.fit.GaussianLikelihood("fc", sd=0.1, covariance=c), "both given"),
        (lambda s, c: xm.fit.GaussianLikelihood(xm.objectives.timeseries_rmse(), covariance=c), "is for FC"),
        (lambda s, c: xm.fit.GaussianLikelihood("fc", covariance=c.values), "is a ndarray"),
        (lambda s, c: xm.fit.GaussianLikelihood("fc", covariance=0 * c), "singular"),
        (lambda s, c: xm.fit.GaussianLikelihood("fc", covariance=c).aligned(["a", "b", "c", "e"]), "other regions"),
        (lambda s, c: xm.fit.GaussianLikelihood("fc", covariance=c).residual.residuals(np.eye(3)[None], np.eye(3)[None]), "left out"),
    ],
)
def test_what_is_no_covariance_is_refused(call, said):
    signal = labelled(series(1, 400)[0], REGIONS)
    with pytest.raises(ValueError, match=said):
        call(signal, xm.fit.fc_covariance(signal))
