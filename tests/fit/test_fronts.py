"""Pareto fronts through the Fitter: labels, losses equal to compare, starts in one front, NaN where there is no point."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.fit.fronts import POINT
from xmass.fit.pareto import ParetoBackend, dominated

RUN = dict(duration=30.0, monitors=["x", "y"], initial={"x": 0.1, "y": 0.0})
GOALS = [xm.objectives.timeseries_rmse("x", name="in_x"), xm.objectives.timeseries_rmse("y", name="in_y")]


def growth(rate):
    """One node that grows at a rate from near 0 to its cycle."""
    return xm.Simulator(xm.HopfStep(a=rate, w=0.3), dt=0.1)


@pytest.fixture(scope="module")
def recorded():
    # "mixed" has x of one rate and y of another: none fits both
    first = growth(0.1).run(**RUN)
    second = growth(0.2).run(**RUN)
    other = growth(0.15).run(**RUN)
    mixed = xr.Dataset({"x": first.x, "y": second.y})
    exact = other[["x", "y"]]
    return xr.concat([mixed, exact.assign_coords(mixed.coords)], xr.DataArray(["mixed", "exact"], dims="subject", name="subject"))


def fitter(**options):
    return xm.Fitter(growth(xm.Param(0.12, bounds=(0.05, 0.3))), objective=GOALS, backend=ParetoBackend(8), run=RUN, **options)


@pytest.fixture(scope="module")
def fit(recorded):
    return fitter().fit(recorded, n_steps=8, starts=2, seed=0)


def test_parameters_and_losses_lie_on_the_points_of_a_front(fit, recorded):
    assert fit.a.dims == ("subject", POINT) and fit.a.attrs["units"] == "1/ms"
    assert fit.losses.dims == ("subject", POINT, "objective") and list(fit.objective.values) == ["in_x", "in_y"]
    assert not fit.diverged.any() and "start" not in fit.dims
    for name in recorded.subject.values:
        one = fit.sel(subject=name).dropna(POINT)
        losses = one.losses.values
        assert not dominated(losses, losses).any() and (np.diff(losses[:, 0]) > 0).all()
        again = growth(0.12).run(params=one[["a"]].drop_vars("subject"), **RUN)
        score = xm.compare(again, recorded.sel(subject=name, drop=True), GOALS)
        np.testing.assert_allclose(score.in_x, losses[:, 0], rtol=1e-4)  # runs and scores are in float32
        np.testing.assert_allclose(score.in_y, losses[:, 1], rtol=1e-4)


def test_the_front_lies_between_the_two_answers(fit):
    # x alone asks for a = 0.1 and y alone for 0.2; where both come from 0.15, the front is near it.
    mixed = fit.a.sel(subject="mixed").dropna(POINT)
    assert mixed.size > 5 and mixed.min() > 0.09 and mixed.max() < 0.21
    np.testing.assert_allclose(mixed[[0, -1]], [0.1, 0.2], atol=0.01)
    np.testing.assert_allclose(fit.a.sel(subject="exact").dropna(POINT), 0.15, atol=0.01)


@pytest.mark.long
def test_derived_parameters_follow_the_points(recorded):
    fit = fitter(derive={"w": lambda q: 0.3 + 0 * q["a"]}).fit(recorded.sel(subject="mixed", drop=True), n_steps=2, seed=0)
    np.testing.assert_allclose(fit.w, np.full(fit.sizes[POINT], 0.3))


@pytest.mark.long
def test_a_callback_that_stops_leaves_the_front_so_far(recorded):
    fit = fitter().fit(recorded, n_steps=50, seed=0, callbacks=[lambda now: now.step == 1])
    assert fit.a.dims == ("subject", POINT) and fit.losses.notnull().any()


@pytest.mark.long
def test_a_front_through_a_store_is_the_same(recorded, tmp_path):
    plain = fitter().fit(recorded, n_steps=1, seed=0)
    stored = fitter().fit(recorded, n_steps=1, seed=0, store=tmp_path / "fit.zarr", chunks={"subject": 1}).load()
    xr.testing.assert_allclose(plain, stored, rtol=1e-5)  # scores of other batches round otherwise
