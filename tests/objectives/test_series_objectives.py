"""Objectives of series against SciPy, plain NumPy and the analyses of labelled series."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy import signal as scipy_signal
from scipy.spatial.distance import cosine

import xmass as xm
from tests.analysis.cases import cohort, series, sweep
from xmass import objectives

A, B = series(seed=1).values, 1.5 * series(seed=2, samples=90).values
UPPER = np.triu_indices(6, 1)


def test_the_cosine_is_scipys_and_sees_a_common_mean_that_the_correlation_does_not():
    a, b = np.corrcoef(A.T), np.corrcoef(B.T)
    np.testing.assert_allclose(objectives.cosine_sim()(a, b), 1 - cosine(a[UPPER], b[UPPER]), rtol=1e-13)
    np.testing.assert_allclose(objectives.cosine_sim()(a, 3 * b), objectives.cosine_sim()(a, b), rtol=1e-13)
    assert objectives.cosine_sim()(a, b + 5) > 0.9 > objectives.fc_corr()(a, b + 5)
    assert np.isnan(objectives.cosine_sim()(np.eye(6), b))  # no direction
    broken = a.copy()
    broken[0, 1] = np.nan
    assert np.isnan(objectives.cosine_sim()(broken, b))


def edge_matrix(x: np.ndarray) -> np.ndarray:
    """Edge FC as its definition says: standardise, multiply, and the cosine of every two products."""
    z = (x - x.mean(0)) / x.std(0)
    edges = np.stack([z[:, i] * z[:, j] for i, j in zip(*UPPER, strict=True)])
    return np.array([[e @ f / np.sqrt((e @ e) * (f @ f)) for f in edges] for e in edges])


def test_edge_fc_is_correlated_as_if_the_matrices_were_made():
    above = np.triu_indices(15, 1)
    expected = np.corrcoef(edge_matrix(A)[above], edge_matrix(B)[above])[0, 1]
    # sums of squares minus squares of means: two digits are lost of sixteen
    np.testing.assert_allclose(objectives.edge_fc_corr()(A, B), expected, rtol=1e-12)
    with jax.enable_x64(True):
        np.testing.assert_allclose(objectives.edge_fc_corr()(jnp.asarray(A), jnp.asarray(B)), expected, rtol=1e-12)
    simulated, recorded = sweep(), cohort()
    score = xm.compare(simulated, recorded, objectives.edge_fc_corr()).edge_fc_corr
    ours, theirs = (xm.edge_fc(side.bold).values for side in (simulated.isel(k=2, sigma=1), recorded.isel(subject=1)))
    found = score.isel(k=2, sigma=1, subject=1)
    np.testing.assert_allclose(found, np.corrcoef(ours[above], theirs[above])[0, 1], rtol=1e-12)


def test_edge_fc_has_no_correlation_where_a_region_is_constant_or_there_are_too_few():
    constant = A.copy()
    constant[:, 2] = 0.1
    assert np.isnan(objectives.edge_fc_corr()(constant, B))
    assert np.isnan(objectives.edge_fc_corr()(A[:, :2], B[:, :2]))
    assert np.isnan(objectives.edge_fc_corr()(A[:, [0, 0, 0, 0]], B[:, :4]))  # all edges alike: nothing varies


@pytest.mark.parametrize("samples", [90, 91])
def test_metastability_is_that_of_scipys_phases(samples):
    a, b = A[:samples], B[:80]

    def metastability(x):
        angle = np.angle(scipy_signal.hilbert(x - x.mean(0), axis=0))
        return np.abs(np.exp(1j * angle).mean(axis=1)).std()

    expected = abs(metastability(a) - metastability(b))
    np.testing.assert_allclose(objectives.metastability_diff()(a, b), expected, rtol=1e-11)
    constant = a.copy()
    constant[:, 1] = 0.1
    assert np.isnan(objectives.metastability_diff()(constant, b))


def test_metastability_of_labelled_sides_is_that_of_the_analysis():
    simulated, recorded = (ds.assign(bold=xm.band_pass(ds.bold, (0.05, 0.2))) for ds in (sweep(), cohort()))
    score = xm.compare(simulated, recorded, objectives.metastability_diff()).metastability_diff
    ours, theirs = (xm.metastability(xm.phase(side.bold)) for side in (simulated, recorded))
    xr.testing.assert_allclose(score.drop_attrs(), abs(ours - theirs).drop_attrs().transpose(*score.dims), rtol=1e-10)
    with pytest.raises(ValueError, match="preprocessed differently"):
        xm.compare(simulated, cohort(), objectives.metastability_diff())


def test_two_tones_have_the_metastability_of_a_closed_form():
    t = np.arange(4000)[:, None]
    locked, drifting = np.cos(0.1 * np.pi * t + [0.0, 1.0]), np.cos(0.1 * np.pi * t * [1.0, 1.1])
    # whole periods of both: the order parameter |cos(d / 2)| over all phase differences d, mean 2 / pi and mean square 1 / 2
    np.testing.assert_allclose(objectives.metastability_diff()(drifting, locked), np.sqrt(0.5 - 4 / np.pi**2), rtol=1e-3)
