"""Pooled fits with recordings that have no numbers: the same as without them."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.fit.test_fitter import fitter, recorded
from xmass.fit.statistics import filling
from xmass.fit.study import Study

LABELS = ["a", "b", "c"]


def cohort(empty=("b",)):
    target = recorded(xr.DataArray([-0.8, -2.0, -1.2], dims="subject", coords={"subject": LABELS}))
    return target.assign(x=target.x.where(~target.subject.isin(list(empty))))


def test_a_recording_without_numbers_is_left_out_of_the_pool_and_reported():
    some = cohort().sel(subject=["a", "c"])
    with pytest.warns(UserWarning, match="left out of the pool: subject 'b'"):
        fit = fitter("scipy", pool="subject").fit(cohort(), n_steps=3, seed=0)
    expected = fitter("scipy", pool="subject").fit(some, n_steps=3, seed=0)
    np.testing.assert_allclose(fit.gamma, expected.gamma, rtol=1e-9)
    np.testing.assert_allclose(fit.best_loss, expected.best_loss, rtol=1e-9)
    assert not bool(fit.diverged)
    assert fit.left_out.to_series().to_dict() == {"a": False, "b": True, "c": False}


@pytest.mark.parametrize("derivative", ["forward", pytest.param("reverse", marks=pytest.mark.long)])
def test_losses_gradients_and_residuals_are_those_without_it(derivative):
    c = np.array([[0.3]])

    def problem(target, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return Study(fitter(xm.fit.ScipyBackend(), pool="subject", derivative=derivative, **kwargs), target, 1, 1, 0).problem

    one, other = problem(cohort()), problem(cohort().sel(subject=["a", "c"]))
    for found, expected in zip(one.gradient(c), other.gradient(c), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(one.losses(c[:, None]), other.losses(c[:, None]), rtol=1e-9)
    # the residuals have a gap, and are stretched so that their mean square is that of the others; ``filling`` undoes that
    (loss, residuals), (wanted, others) = one.residuals(c), other.residuals(c)
    np.testing.assert_allclose(loss, wanted, rtol=1e-9)
    undone = (residuals * filling(one)).reshape(3, -1)
    np.testing.assert_allclose(undone[[0, 2]].ravel(), others[0], rtol=1e-9)
    assert (undone[1] == 0).all()
    jacobian = (one.jacobian(c)[..., 0] * filling(one)).reshape(3, -1)
    np.testing.assert_allclose(jacobian[[0, 2]].ravel(), other.jacobian(c)[0, :, 0], rtol=1e-9)
    with jax.enable_x64(True):
        traced = np.asarray(one.traced_residuals(jnp.asarray(c[0]), one.one_fit(0)))
    np.testing.assert_allclose(traced, residuals[0], rtol=1e-9)


def test_each_fit_has_the_recordings_that_it_has():
    both = xr.concat([cohort(), cohort(empty=("a", "c"))], xr.DataArray(["s1", "s2"], dims="site", name="site"))[["x"]]
    with pytest.warns(UserWarning, match="site 's1', subject 'b'; site 's2', subject 'a'; "):
        fit = fitter("grid", pool="subject").fit(both, n_steps=3, seed=0)
    alone = fitter("grid").fit(both.sel(site="s2", subject="b"), n_steps=3, seed=0)
    np.testing.assert_allclose(fit.gamma.sel(site="s2"), alone.gamma, rtol=1e-9)
    with pytest.raises(ValueError, match="no region with finite"):
        fitter("grid", pool="subject").fit(cohort(empty=LABELS), n_steps=1)
    two = cohort().assign(y=cohort(empty=("a", "c")).x)  # no recording has both
    rmse = xm.objectives.timeseries_rmse
    mixed = xm.objectives.combine(rmse("x", "x"), rmse("x", "y", name="other"))
    with pytest.raises(ValueError, match="no recording of the pool has numbers"):
        fitter("grid", pool="subject", objective=mixed).fit(two, n_steps=1)
