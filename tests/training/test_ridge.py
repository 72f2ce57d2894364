"""Ridge regression against closed forms and against fits that leave rows out for real."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmass.training import Ridge

X = np.array([[0.0], [1], [2], [3]])
Y = np.array([[1.0], [2], [2.5], [4.2]])


def problem(rows=60, width=7, targets=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 1, (rows, width))
    return x, x @ rng.normal(size=(width, targets)) + 3 + rng.normal(size=(rows, targets))


def test_item_03_the_intercept_is_not_penalised_unless_asked():
    free, both = Ridge(alpha=0.1).solve(X, Y), Ridge(alpha=0.1, penalize_intercept=True).solve(X, Y)
    np.testing.assert_allclose([free.intercept[0, 0], free.weights[0, 0, 0]], [0.939705882353, 0.990196078431], atol=1e-12)
    np.testing.assert_allclose([both.intercept[0, 0], both.weights[0, 0, 0]], [0.878954607978, 1.016047684548], atol=1e-12)
    # a constant added to all targets moves the intercept alone
    moved = Ridge(alpha=0.1).solve(X, Y + 100)
    np.testing.assert_allclose(moved.weights, free.weights, atol=1e-12)
    np.testing.assert_allclose(moved.intercept, free.intercept + 100, rtol=1e-12)


def test_item_03_no_normal_equations():
    # Two columns that differ by 1e-9: X^T X is singular in double precision, the singular values of X are not.
    t = np.linspace(-1, 1, 50)
    x = np.stack([t, t + 1e-9 * np.cos(9 * t)], axis=1)
    y = x @ np.array([[2.0], [-1.0]])
    solved = Ridge(alpha=0.0, intercept=False).solve(x, y)
    np.testing.assert_allclose(solved.weights[0], [[2.0], [-1.0]], rtol=1e-5)  # condition 1e9 times rounding
    assert np.linalg.cond(x.T @ x) > 1e15


@pytest.mark.parametrize("options", [{}, {"intercept": False}, {"penalize_intercept": True}, {"standardize": True}])
def test_the_path_is_the_single_solutions_and_least_squares_at_zero(options):
    x, y = problem()
    alphas = [0.0, 1e-3, 1.0, 100.0]
    path = Ridge(alpha=xr.DataArray(alphas, dims="alpha"), **options).solve(x, y)
    for i, a in enumerate(alphas):
        one = Ridge(alpha=a, **options).solve(x, y)
        np.testing.assert_allclose(path.weights[i], one.weights[0], rtol=1e-10)
        np.testing.assert_allclose(path.intercept[i], one.intercept[0], rtol=1e-10, atol=1e-12)
    design = x if options.get("intercept") is False else np.column_stack([np.ones(len(x)), x])
    plain = np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(path.weights[0], plain[-x.shape[1] :], rtol=1e-9)


@pytest.mark.parametrize("options", [{}, {"intercept": False}, {"penalize_intercept": True}])
@pytest.mark.parametrize("cv", ["loo", 3, 20])
def test_cross_validation_is_that_of_fits_without_the_rows(options, cv):
    x, y = problem()
    alphas = xr.DataArray([1e-2, 1.0, 50.0], dims="alpha")
    got = Ridge(alpha=alphas, cv=cv, **options).solve(x, y)
    parts = np.array_split(np.arange(len(x)), len(x) if cv == "loo" else cv)
    want = np.zeros_like(got.error)
    for part in parts:
        keep = np.setdiff1d(np.arange(len(x)), part)
        without = Ridge(alpha=alphas, **options).solve(x[keep], y[keep])
        for i in range(3):
            want[i] += ((x[part] @ without.weights[i] + without.intercept[i] - y[part]) ** 2).sum(axis=0) / len(x)
    np.testing.assert_allclose(got.error, want, rtol=1e-9)  # the same numbers by another formula
    assert got.best == want.sum(axis=1).argmin()


def test_a_constant_feature_beside_the_intercept_does_no_harm():
    x, y = problem()
    plain = Ridge(alpha=1.0).solve(x, y)
    with_one = Ridge(alpha=1.0).solve(np.column_stack([np.ones(len(x)), x]), y)
    np.testing.assert_allclose(with_one.weights[0, 1:], plain.weights[0], rtol=1e-10)
    np.testing.assert_allclose(with_one.weights[0, 0], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": -1.0}, ValueError, "numbers of 0 or more"),
        ({"alpha": np.nan}, ValueError, "numbers of 0 or more"),
        ({"alpha": [1.0, 2.0]}, TypeError, "no name for its dim"),
        ({"cv": 1}, ValueError, "needs 'loo'"),
        ({"intercept": False, "penalize_intercept": True}, ValueError, "no intercept"),
    ],
)
def test_mistakes_are_named(options, error, message):
    with pytest.raises(error, match=message):
        Ridge(**options)
    with pytest.raises(ValueError, match="at least one row"):
        Ridge(cv=5).solve(X, Y)
