"""Neural posteriors against the closed form of a linear process with white noise."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

SIGMA, GAMMA, DT = 0.3, -0.5, 0.5
RUN = dict(duration=5.0, monitors=["x"])
PRIOR = xm.priors.Normal(0.5, 1.0)
FACTOR = 1 + GAMMA * DT + (GAMMA * DT) ** 2 / 2
"""What a step of Heun's scheme multiplies x by; noise enters with 1 + gamma dt / 2."""


def simulator():
    return xm.Simulator(xm.LinearStep(gamma=GAMMA, noise_x=xm.WhiteNoise(sigma=SIGMA)), dt=DT, regions=3)


def fitter_of(sim, **search):
    search = search or {"initial.x": xm.Param(0.8, prior=PRIOR)}
    return xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=RUN, search=search)


def exact_posterior(recorded):
    """All that a first-order process says of its start is in its first sample: x1 = factor x0 + noise, in three regions."""
    variance = (1 + GAMMA * DT / 2) ** 2 * SIGMA**2 * DT
    precision = 3 * FACTOR**2 / variance + 1
    first = recorded.x.isel(time=0).values.sum()
    return (FACTOR * first / variance + 0.5) / precision, precision**-0.5


@pytest.mark.long
def test_neural_posterior_of_a_linear_process_is_the_analytic_one_and_calibrated():
    sim = simulator()
    recorded = xr.concat(
        [sim.run(params=xr.Dataset({"initial.x": x0}), seed=90 + k, **RUN)[["x"]] for k, x0 in enumerate((-0.5, 0.5, 1.5))],
        dim=xr.Variable("subject", ["s1", "s2", "s3"]),
    ).drop_vars(["seed", "diverged"], errors="ignore")
    fitter = fitter_of(sim)
    params = xm.fit.prior_sweep(fitter, recorded.isel(subject=0), 4000, seed=1)
    sweep = sim.run(params=params, **RUN)
    posterior = xm.fit.neural_posterior(fitter, sweep, recorded, params=params, epochs=60, seed=0)
    tree = posterior.sample(recorded, draws=1000, chains=2, seed=0, predictive=10)
    assert tree["posterior"]["initial.x"].dims == ("chain", "draw", "subject")
    for who in recorded.subject.values:
        mean, sd = exact_posterior(recorded.sel(subject=who))
        draws = tree["posterior"]["initial.x"].sel(subject=who)
        # a flow trained on 3600 points: regressions on 30 samples are right to sd sqrt(30/3600) = 0.1 sd, the flow adds some
        assert abs(draws.mean() - mean) < 0.35 * sd
        np.testing.assert_allclose(draws.std(), sd, rtol=0.2)
    assert set(tree.children) == {"posterior", "sample_stats", "prior", "observed_data", "posterior_predictive"}
    assert tree["posterior_predictive"].x.dims == ("chain", "draw", "subject", "time", "region")
    found = xm.calibration(posterior, n=400, draws=99)
    assert found["rank"].sizes["simulation"] == 400
    assert (found.p_value > 0.01).all(), found.p_value.values


@pytest.mark.long
def test_training_from_a_store_on_fc(tmp_path):
    # two parameters, one within bounds, seen through FC in a store; the posterior is where the truth is
    weights = xr.DataArray(np.ones((4, 4)) - np.eye(4), dims=("region", "region_other"))
    noise = xm.WhiteNoise(sigma=0.05)
    node = xm.HopfStep(a=-0.1, w=0.3, noise_x=noise, noise_y=noise)
    net = xm.Network(node, xr.Dataset({"weights": weights}), coupling=xm.DiffusiveCoupling(k=0.05, source="x", target="x"))
    sim = xm.Simulator(net, dt=0.5)
    run = dict(duration=2000.0, transient=100.0, monitors={"fc": xm.FunctionalConnectivity(of="x")})
    recorded = sim.run(params=xr.Dataset({"coupling.k": 0.1}), seed=7, **run)
    fitter = xm.Fitter(sim, objective=xm.objectives.fc_corr("fc"), run=run, search={"coupling.k": xm.Param(0.05, bounds=(0.0, 0.2))})
    params = xm.fit.prior_sweep(fitter, recorded, 600, seed=1)
    sweep = sim.run_to_zarr(tmp_path / "sweep.zarr", params=params, chunks={"point": 200}, **run)
    posterior = xm.fit.neural_posterior(fitter, sweep, recorded, epochs=40)
    tree = posterior.sample(recorded, draws=500, chains=1, predictive=0)
    draws = tree["posterior"]["coupling.k"]
    assert float(draws.std()) < 0.5 * 0.2 / np.sqrt(12)  # narrower than the prior
    assert abs(float(draws.mean()) - 0.1) < 4 * float(draws.std())
    assert float(draws.min()) >= 0.0
    assert float(draws.max()) <= 0.2


def test_prior_sweep_is_a_parameter_dataset():
    sim = simulator()
    recorded = sim.run(**RUN)
    fitter = xm.Fitter(
        sim,
        objective=xm.objectives.timeseries_rmse(),
        run=RUN,
        search={"b": xm.Param(0.2, bounds=(0.0, 1.0)), "gamma": xm.Param(-0.5, prior=xm.priors.Normal(-0.5, 0.1), bounds=(-1.0, -0.4))},
        derive={"initial.x": lambda q: 2.0 * q["b"]},
    )
    params = xm.fit.prior_sweep(fitter, recorded, 500, seed=3)
    assert "b" in params.coords
    np.testing.assert_allclose(params["initial.x"], 2 * params.b)
    assert params.gamma.max() <= -0.4
    assert len(np.unique(params.seed)) == 500
    assert sim.run(params=params.isel(point=slice(3)), **RUN).x.sizes["point"] == 3


def test_errors_say_what_to_do():
    sim = simulator()
    recorded = sim.run(**RUN)
    fitter = fitter_of(sim)
    params = xm.fit.prior_sweep(fitter, recorded, 20, seed=1)
    sweep = sim.run(params=params, **RUN)
    with pytest.raises(KeyError, match=r"no 'initial\.x'.*params=params"):
        xm.fit.neural_posterior(fitter, sweep, recorded)
    with pytest.raises(ValueError, match="20 finite points, needs 50"):
        xm.fit.neural_posterior(fitter, sweep, recorded, params=params)
    with pytest.raises(ValueError, match=r"target\.isel\(subject=0\)"):
        xm.fit.prior_sweep(fitter, recorded.expand_dims(subject=2), 20, seed=1)
