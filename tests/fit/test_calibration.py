"""Calibration of posteriors that are right, and of some that are made wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.fit.calibration import _ranked

RUN = dict(duration=4.0, monitors=["x"])
SEARCH = {"initial.x": xm.Param(0.5, prior=xm.priors.Normal(0.5, 1.0)), "gamma": xm.Param(-0.3, bounds=(-0.6, -0.1))}
LIKELIHOOD = xm.fit.GaussianLikelihood(xm.objectives.timeseries_rmse(), sd=0.2)


def decay(noise=None, **options):
    return xm.Simulator(xm.LinearStep(gamma=-0.3, noise_x=noise), dt=0.5, **options)


def recording(sim):
    return sim.run(params=xr.Dataset({"initial.x": 0.5}), **RUN, seed=12345)


@pytest.mark.parametrize(("shift", "size", "right"), [(0.0, 1.0, True), (0.0, 0.5, False), (0.0, 2.0, False), (1.0, 1.0, False)])
def test_ranks_tell_right_posteriors_from_wrong_ones(shift, size, right):
    # truth ~ N(0, 1), y = truth + N(0, 1): the posterior is N(y/2, 1/2); draws of another width or mean are found out
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(300, 1))
    y = truth + rng.normal(size=truth.shape)
    z = y[:, None] / 2 + shift * np.sqrt(0.5) + size * np.sqrt(0.5) * rng.normal(size=(300, 99, 1))
    found = _ranked(truth, z, ("a",), 0)
    assert (found.p_value > 0.01).all() if right else (found.p_value < 1e-4).all()
    assert found["rank"].min() >= 0
    assert found["rank"].max() <= 99


@pytest.mark.long
def test_nuts_is_calibrated():
    sim = decay()
    fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=RUN, search=SEARCH)
    found = xm.calibration(fitter, recording(sim), n=192, draws=63, thin=6, likelihood=LIKELIHOOD, seed=1)
    assert found["rank"].sizes == {"simulation": 192, "parameter": 2}
    assert (found.p_value > 0.01).all(), found.p_value.values


@pytest.mark.long
def test_a_likelihood_that_is_too_sure_is_found_out():
    # noise of the process with sd 0.2 after one step and more later, and a likelihood that says 0.05
    sim = decay(xm.WhiteNoise(sigma=0.3))
    run = RUN | dict(batch_size=8)
    search = {"initial.x": SEARCH["initial.x"]}
    fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=run, search=search)
    sure = dataclasses.replace(LIKELIHOOD, sd=0.05)
    found = xm.calibration(fitter, recording(sim), n=64, draws=31, thin=4, likelihood=sure, data="simulation", seed=0)
    assert (found.p_value < 1e-3).all()
    assert abs(found.z_score).median() > 1.5  # 0.67 if the posterior were right


def test_errors_say_what_to_do():
    sim = decay()
    fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=RUN, search=SEARCH)
    with pytest.raises(TypeError, match=r"xm\.calibration\(fitter, target\)"):
        xm.calibration(fitter)
    with pytest.raises(ValueError, match="n is 5"):
        xm.calibration(fitter, recording(sim), n=5)
    with pytest.raises(ValueError, match="data='both'"):
        xm.calibration(fitter, recording(sim), data="both", likelihood=LIKELIHOOD)
    two = xr.concat([recording(sim), recording(sim)], dim="subject")
    with pytest.raises(ValueError, match=r"target\.isel\(subject=0\)"):
        xm.calibration(fitter, two, likelihood=LIKELIHOOD)
