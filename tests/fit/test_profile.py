"""Profiles against closed forms: one parameter swept, two of them with the other fitted anew, and a confidence set."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

import xmass as xm

RUN = dict(duration=10.0, monitors=["x"])
SIM = xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.1, precision="float64", method="rk4")
SHAPE = xr.DataArray([1.0, 2.0, -1.0], dims="region")


def bank():
    """Three regions that start at b0 + b1 times a map: linear in both."""
    return xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.1, precision="float64", method="rk4", regions=3)


SEARCH = {"b0": xm.Param(0.2, bounds=(-2.0, 2.0)), "b1": xm.Param(0.1, bounds=(-2.0, 2.0))}
DERIVE = {"initial.x": lambda q: q["b0"] + q["b1"] * SHAPE}


def design(time):
    """Derivatives of all samples by b0 and b1."""
    decay = np.exp(-0.1 * time)[:, None]
    return np.stack([(decay * np.ones(3)).ravel(), (decay * SHAPE.values).ravel()], axis=1)


def recorded_with(noise, seed=0):
    sim = bank()
    clean = sim.run(params=xr.Dataset({"initial.x": 0.5 + 0.25 * SHAPE}), **RUN)
    return clean.assign(x=clean.x + noise * np.random.default_rng(seed).normal(size=clean.x.shape)).drop_vars("seed", errors="ignore")


def test_one_parameter_is_swept():
    recorded = SIM.run(params=xr.Dataset({"initial.x": 1.0}), **RUN)
    fitter = xm.Fitter(SIM, objective=xm.objectives.timeseries_rmse(), run=RUN, search={"initial.x": xm.Param(0.5, bounds=(0.0, 2.0))})
    along = xm.profile(fitter, xr.Dataset({"initial.x": 1.0}), recorded, "initial.x", n=5)
    assert along.loss.dims == ("initial.x",)
    # the difference to the recording is (x0 - 1) exp(-t/10)
    size = np.sqrt(np.mean(np.exp(-0.2 * recorded.time.values)))
    np.testing.assert_allclose(along.loss, abs(np.linspace(0, 2, 5) - 1) * size, atol=1e-8)


def test_the_other_parameter_follows_and_the_confidence_set_is_that_of_least_squares():
    sd = 0.1
    recorded = recorded_with(sd)
    fitter = xm.Fitter(bank(), objective=xm.objectives.timeseries_rmse(), run=RUN, search=SEARCH, derive=DERIVE, backend="scipy")
    x = design(recorded.time.values)
    exact, *_ = np.linalg.lstsq(x, recorded.x.values.ravel())
    best = xr.Dataset({"b0": exact[0], "b1": exact[1]})
    values = exact[1] + np.linspace(-0.1, 0.1, 9)
    likelihood = xm.fit.GaussianLikelihood(xm.objectives.timeseries_rmse(), sd=sd)
    along = xm.profile(fitter, best, recorded, "b1", values=values, n_steps=30, likelihood=likelihood, progress=False)
    # least squares: at each b1 the other is (X0 . (y - X1 b1)) / X0 . X0, and the deviance a parabola of the width of the standard error
    other = (x[:, 0] @ (recorded.x.values.ravel()[:, None] - np.outer(x[:, 1], values))) / (x[:, 0] @ x[:, 0])
    np.testing.assert_allclose(along.b0, other, atol=2e-4)  # where the optimiser stops
    error = sd * np.sqrt(np.linalg.inv(x.T @ x)[1, 1])
    np.testing.assert_allclose(along.deviance, ((values - exact[1]) / error) ** 2, atol=1e-2)
    assert along.inside.values.tolist() == (abs(values - exact[1]) < 1.959964 * error).tolist()
    assert "initial.x" not in along.dims


def test_one_value_of_a_regional_parameter_is_held_and_the_others_are_fitted():
    # Three regions that do not touch each other: only the held one is off, by (x0 - truth) exp(-t/10), among 3 regions.
    recorded, truth = recorded_with(0.0), 0.5 + 0.25 * SHAPE
    regional = xm.Param(xr.zeros_like(SHAPE), bounds=(-2.0, xr.DataArray([1.0, 2.0, 3.0], dims="region")), dims="region")
    fitter = xm.Fitter(
        bank(), objective=xm.objectives.timeseries_rmse(), run=RUN, search={"initial.x": regional}, backend="scipy", noise="common"
    )
    values = float(truth[1]) + np.array([-0.2, 0.0, 0.1])
    along = xm.profile(
        fitter, xr.Dataset({"initial.x": truth + 0.01}), recorded, "initial.x", at={"region": 1}, values=values, n_steps=30, progress=False
    )
    size = np.sqrt(np.mean(np.exp(-0.2 * recorded.time.values)) / 3)
    np.testing.assert_allclose(along.loss, abs(values - float(truth[1])) * size, atol=2e-4)
    assert along.loss.dims == ("initial.x[1]",)
    np.testing.assert_allclose(along["initial.x"].isel(region=1), values)
    np.testing.assert_allclose(along["initial.x"].isel(region=[0, 2]), np.tile(truth.values[[0, 2]], (3, 1)), atol=2e-3)  # where it stops
    assert xm.profile(fitter, along.isel({"initial.x[1]": 1}), recorded, "initial.x", at={"region": 1}, n=2, n_steps=1)[
        "initial.x[1]"
    ].values.tolist() == [-2.0, 2.0]


@pytest.mark.long
def test_each_subject_has_its_profile():
    both = xr.concat([recorded_with(0.0), 2 * recorded_with(0.0)], dim=xr.Variable("subject", ["s1", "s2"]))
    fitter = xm.Fitter(bank(), objective=xm.objectives.timeseries_rmse(), run=RUN, search=SEARCH, derive=DERIVE, backend="scipy")
    best = xr.Dataset({"b0": ("subject", [0.5, 1.0]), "b1": ("subject", [0.25, 0.5])}, {"subject": ["s1", "s2"]})
    along = xm.profile(fitter, best, both[["x"]], "b1", values=[0.0, 0.25, 0.5], n_steps=30, progress=False)
    assert along.loss.dims == ("subject", "b1")
    assert along.loss.sel(subject="s1").argmin("b1") == 1
    assert along.loss.sel(subject="s2").argmin("b1") == 2


def test_errors_say_what_to_do():
    recorded = recorded_with(0.0)
    fitter = xm.Fitter(bank(), objective=xm.objectives.timeseries_rmse(), run=RUN, search=SEARCH, derive=DERIVE)
    best = xr.Dataset({"b0": 0.5, "b1": 0.25})
    with pytest.raises(KeyError, match="'gamma' is not fitted, needs one of b0, b1"):
        xm.profile(fitter, best, recorded, "gamma")
    with pytest.raises(ValueError, match="beyond the bounds"):
        xm.profile(fitter, best, recorded, "b0", values=[0.0, 3.0])
    with pytest.raises(ValueError, match="increasing"):
        xm.profile(fitter, best, recorded, "b0", values=[1.0, 0.0])
    with pytest.raises(ValueError, match="n=1"):
        xm.profile(fitter, best, recorded, "b0", n=1)
    open_ = xm.Fitter(
        bank(), objective=xm.objectives.timeseries_rmse(), run=RUN, search={"b0": xm.Param(0.1), "b1": xm.Param(0.1)}, derive=DERIVE
    )
    with pytest.raises(ValueError, match="no two finite bounds"):
        xm.profile(open_, best, recorded, "b0")
    each = xm.Fitter(
        bank(), objective=xm.objectives.timeseries_rmse(), run=RUN, search={"initial.x": xm.Param(0.1, bounds=(-1, 1), dims="region")}
    )
    start = xr.Dataset({"initial.x": 0.5 + 0.25 * SHAPE})
    with pytest.raises(ValueError, match=r"value for each region.*at={'region': 0}"):
        xm.profile(each, start, recorded, "initial.x")
    with pytest.raises(ValueError, match="needs one label of 'region', such as 0, 1, 2"):
        xm.profile(each, start, recorded, "initial.x", at={"region": 5})
    with pytest.raises(ValueError, match="'b0' is one number"):
        xm.profile(fitter, best, recorded, "b0", at={"region": 0})
    penalised = dataclasses.replace(fitter, search=SEARCH | {"b0": xm.Param(0.2, bounds=(-2.0, 2.0), reg=1.0)})
    with pytest.raises(ValueError, match="b0 has reg="):
        xm.profile(penalised, best, recorded, "b1")
    with pytest.raises(ValueError, match="no noise"):
        xm.profile(fitter, best, recorded, "b0", likelihood=xm.fit.GaussianLikelihood(xm.objectives.timeseries_rmse()))
