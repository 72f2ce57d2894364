"""Intervals against distributions that are known: of every resample, of normal samples, and of how often the truth is inside."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import xmass as xm
from tests.analysis.cases import cohort, sweep
from xmass import objectives


def test_percentiles_of_three_values_are_those_of_all_27_resamples():
    values = [0.1, 0.4, 1.0]
    every = np.sort([np.mean(draw) for draw in itertools.product(values, repeat=3)])
    for level in (0.5, 0.8, 0.95):
        found = xm.bootstrap(xr.DataArray(values, dims="subject"), n=20_000, level=level, method="percentile")
        # a step function: the resampled quantile is that of the exact distribution, unless the level falls on a step
        low, high = (every[np.searchsorted(np.arange(1, 28) / 27, q)] for q in ((1 - level) / 2, (1 + level) / 2))
        np.testing.assert_allclose([found.low, found.estimate, found.high], [low, 0.5, high], rtol=1e-12)


@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_the_interval_of_many_normal_values_is_that_of_student(method):
    x = np.random.default_rng(0).normal(3.0, 2.0, 400)
    expected = stats.t(399, x.mean(), stats.sem(x)).interval(0.9)
    found = xm.bootstrap(xr.DataArray(x, dims="batch"), dim="batch", n=20_000, level=0.9, method=method)
    # 20,000 resamples: a 5 % quantile is known to 1.5 % of a standard error, 0.1; and 400 values of a sample are a little skew
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.01)


def test_nine_of_ten_intervals_hold_the_truth():
    x = xr.DataArray(np.random.default_rng(1).exponential(size=(500, 30)), dims=("study", "subject"))
    found = xm.bootstrap(x, level=0.9)
    inside = float(((found.low < 1) & (found.high > 1)).mean())
    # 500 studies: 0.013; the means of 30 skew values are not normal, and a bootstrap of them is some hundredths too narrow
    assert 0.83 < inside < 0.93
    few = xm.bootstrap(xr.DataArray(np.random.default_rng(2).normal(size=(1000, 5)), dims=("study", "subject")))
    # what the docstring says of five values; 1000 studies: 0.011
    assert float(((few.low < 0) & (few.high > 0)).mean()) == pytest.approx(0.85, abs=0.035)


def test_bca_is_shifted_towards_the_long_tail():
    x = xr.DataArray(np.random.default_rng(2).exponential(size=20), dims="subject")
    plain, corrected = (xm.bootstrap(x, n=20_000, method=method) for method in ("percentile", "BCa"))
    assert corrected.low > plain.low and corrected.high > plain.high


def test_a_comparison_has_its_objectives_along_a_dim_and_keeps_the_others():
    score = xm.compare(sweep(), cohort(5), [objectives.fc_corr(), objectives.fc_rmse()])
    found = xm.bootstrap(score, n=200)
    assert set(found.estimate.dims) == {"objective", "k", "sigma"}
    assert found.objective.values.tolist() == ["fc_corr", "fc_rmse"] and found.direction.values.tolist() == ["max", "min"]
    assert "subject" not in found.coords and "ceiling_split_half" not in found.coords
    assert found.low.attrs["units"] == "1"
    np.testing.assert_allclose(found.estimate.sel(objective="fc_rmse"), score.fc_rmse.mean("subject"), rtol=1e-13)
    assert bool((found.low < found.estimate).all() and (found.estimate < found.high).all())
    one = xm.bootstrap(score.fc_rmse.isel(k=1), n=200)
    xr.testing.assert_allclose(
        one.drop_vars("k"), found.sel(objective="fc_rmse").isel(k=1).drop_vars(["objective", "direction", "k"]), rtol=1e-12
    )
    lazy = xm.bootstrap(score.chunk(), n=200)
    xr.testing.assert_identical(lazy, found)


def test_the_same_seed_gives_the_same_interval_and_points_are_resampled_alike(monkeypatch):
    x = xr.DataArray(np.random.default_rng(3).normal(size=(7, 6)), dims=("k", "subject"))
    found = xm.bootstrap(x, method="percentile")
    xr.testing.assert_identical(found, xm.bootstrap(x, method="percentile"))
    assert not found.equals(xm.bootstrap(x, method="percentile", seed=1))
    monkeypatch.setattr(sys.modules["xmass.analysis.bootstrap"], "ENTRIES_AT_ONCE", 1)  # one point after the other
    xr.testing.assert_identical(found, xm.bootstrap(x, method="percentile"))
    # a shift of all subjects is a shift of the interval, to rounding
    np.testing.assert_allclose(xm.bootstrap(x + 2, method="percentile").low, found.low + 2, rtol=1e-12)


def test_equal_values_have_no_width_and_a_nan_is_not_hidden(recwarn):
    x = xr.DataArray([[0.5, 0.5, 0.5], [0.1, np.nan, 0.3], [0.1, 0.2, 0.3]], dims=("k", "subject"))
    found = xm.bootstrap(x, n=100)
    assert float(found.low[0]) == float(found.high[0]) == 0.5
    assert np.isnan([found.low[1], found.estimate[1], found.high[1]]).all()
    assert float(found.low[2]) < 0.2 < float(found.high[2])
    assert not recwarn.list


@pytest.mark.parametrize(
    ("scores", "options", "words"),
    [
        (xr.DataArray([0.1, 0.2], dims="batch"), {}, "needs two or more entries along 'subject'"),
        (xr.DataArray([0.1], dims="subject"), {}, "needs two or more"),
        (xr.DataArray([0.1, 0.2], dims="subject"), {"level": 95}, "between 0 and 1"),
        (xr.DataArray([0.1, 0.2], dims="subject"), {"n": 0}, "whole number"),
        (xr.DataArray([0.1, 0.2], dims="subject"), {"method": "basic"}, "'BCa' or 'percentile'"),
        (xr.Dataset(), {}, "no variables"),
        (xr.Dataset({"a": ("subject", [0.1, 0.2])}, {"objective": 1}), {}, "'objective' already"),
    ],
)
def test_what_makes_no_sense_is_refused(scores, options, words):
    with pytest.raises(ValueError, match=words):
        xm.bootstrap(scores, **options)


def test_numbers_in_a_labelled_array_are_needed():
    with pytest.raises(TypeError, match="ndarray"):
        xm.bootstrap(np.zeros(3))
    with pytest.raises(TypeError, match="real numbers"):
        xm.bootstrap(xr.DataArray(["a", "b"], dims="subject"))
