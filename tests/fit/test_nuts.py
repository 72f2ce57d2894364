"""Posteriors by the No-U-Turn sampler against closed forms."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import xarray as xr

import xmass as xm
from xmass.fit.nuts import density_of

RUN = dict(duration=10.0, monitors=["x"])
SHAPE = xr.DataArray([1.0, 2.0, -1.0], dims="region")
DERIVE = {"initial.x": lambda q: q["b0"] + q["b1"] * SHAPE}
SD = 0.3


def bank(**options):
    """Three regions that start at b0 + b1 times a map and decay as exp(-t/10): linear in both parameters."""
    return xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.5, precision="float64", method="rk4", regions=3, **options)


def recording(seed=0, scale=1.0):
    clean = bank().run(params=xr.Dataset({"initial.x": scale * (0.5 + 0.25 * SHAPE)}), **RUN)
    return xr.Dataset({"x": clean.x + SD * np.random.default_rng(seed).normal(size=clean.x.shape)}).drop_vars(
        ["seed", "diverged"], errors="ignore"
    )


def design(recorded):
    decay = np.exp(-0.1 * recorded.time.values)[:, None]
    return np.stack([(decay * np.ones(3)).ravel(), (decay * SHAPE.values).ravel()], axis=1)


def fitter_of(search, **options):
    return xm.Fitter(bank(), objective=xm.objectives.timeseries_rmse(), run=RUN, search=search, derive=DERIVE, **options)


NORMAL = {"b0": xm.Param(0.2, prior=xm.priors.Normal(0.0, 1.0)), "b1": xm.Param(0.1, prior=xm.priors.Normal(0.0, 0.05))}
LIKELIHOOD = xm.fit.GaussianLikelihood(xm.objectives.timeseries_rmse(), sd=SD)


def exact_posterior(recorded):
    """Mean and covariance of Bayesian linear regression with known noise."""
    x = design(recorded)
    covariance = np.linalg.inv(x.T @ x / SD**2 + np.diag([1.0, 1 / 0.05**2]))
    return covariance @ (x.T @ recorded.x.values.ravel() / SD**2), covariance


@pytest.mark.long
def test_posterior_of_a_linear_gaussian_problem_is_the_analytic_one():
    recorded = recording()
    tree = fitter_of(NORMAL).sample(recorded, draws=600, chains=2, warmup=200, seed=1, likelihood=LIKELIHOOD, predictive=20, progress=False)
    mean, covariance = exact_posterior(recorded)
    found = np.stack([tree["posterior"][n].values.ravel() for n in ("b0", "b1")])
    sd = np.sqrt(np.diag(covariance))
    # 1200 draws, of which at least 400 count as independent: means within 4 sd/sqrt(400), standard deviations within 4/sqrt(800)
    np.testing.assert_allclose(found.mean(axis=1), mean, atol=0.2 * sd.max())
    assert (abs(found.mean(axis=1) - mean) < 0.2 * sd).all()
    np.testing.assert_allclose(found.std(axis=1), sd, rtol=0.15)
    assert abs(np.corrcoef(found)[0, 1] - covariance[0, 1] / sd.prod()) < 0.2
    # its form: the groups, and the chains first
    assert set(tree.children) == {"posterior", "sample_stats", "prior", "observed_data", "posterior_predictive"}
    assert tree["posterior"]["initial.x"].dims == ("chain", "draw", "region")
    assert tree["posterior_predictive"].x.dims == ("chain", "draw", "time", "region")
    assert tree["posterior_predictive"].sizes["draw"] == 10
    xr.testing.assert_equal(tree["observed_data"].x, recorded.x)
    assert not tree["sample_stats"].diverging.any()
    # the derived parameter is that of each draw, and so is the prediction: x0 exp(gamma t), RK4 is right to 1e-6
    np.testing.assert_allclose(tree["posterior"]["initial.x"], tree["posterior"].b0 + tree["posterior"].b1 * SHAPE, rtol=1e-12)
    some = tree["posterior"]["initial.x"].sel(draw=tree["posterior_predictive"].draw)
    exact = some * np.exp(-0.1 * tree["posterior_predictive"].time)
    np.testing.assert_allclose(tree["posterior_predictive"].x, exact.transpose("chain", "draw", "time", "region"), rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arviz announces its next version on import
        arviz = pytest.importorskip("arviz")
        data = tree if int(arviz.__version__.split(".")[0]) >= 1 else arviz.InferenceData.from_datatree(tree)
        summary = arviz.summary(data, var_names=["b0", "b1"])
    assert (summary["r_hat"].astype(float) < 1.05).all()


@pytest.mark.long
def test_without_data_the_posterior_is_the_prior():
    # bounds and transforms stretch the coordinates; with a likelihood that knows nothing, the values keep the density of the prior
    search = {
        "b0": xm.Param(0.5, bounds=(-1.0, 3.0)),
        "b1": xm.Param(1.0, prior=xm.priors.LogNormal(1.0, 0.5), bounds=(0.0, None)),
        "b2": xm.Param(1.0, prior=xm.priors.LogNormal(1.0, 0.5), transform="log"),
        "b3": xm.Param(0.5, bounds=(0.1, 2.0), transform="log"),
    }
    derive = {"initial.x": lambda q: q["b0"] + (q["b1"] + q["b2"] + q["b3"]) * SHAPE}
    fitter = xm.Fitter(bank(), objective=xm.objectives.timeseries_rmse(), run=RUN, search=search, derive=derive)
    nothing = xm.fit.GaussianLikelihood(xm.objectives.timeseries_rmse(), sd=1e6)
    tree = fitter.sample(recording(), draws=4000, chains=2, warmup=500, seed=0, likelihood=nothing, predictive=0, progress=False)
    lognormal = scipy.stats.lognorm(0.5)
    exact = {
        "b0": scipy.stats.uniform(-1.0, 4.0),
        "b1": lognormal,
        "b2": lognormal,
        "b3": scipy.stats.uniform(0.1, 1.9),
    }
    for group, thin in (("posterior", 10), ("prior", 1)):
        for name, law in exact.items():
            draws = tree[group][name].values[:, ::thin].ravel()  # thinned until they are nearly independent
            assert scipy.stats.kstest(draws, law.cdf).pvalue > 1e-3, (group, name)


@pytest.mark.long
def test_each_subject_has_its_posterior():
    both = xr.concat([recording(0), recording(1, scale=-2.0)], dim=xr.Variable("subject", ["s1", "s2"]))
    tree = fitter_of(NORMAL, backend="nuts").sample(
        both, draws=600, chains=2, warmup=200, seed=1, likelihood=LIKELIHOOD, predictive=4, progress=False
    )
    assert tree["posterior"].b0.dims == ("chain", "draw", "subject")
    for who in ("s1", "s2"):
        mean, covariance = exact_posterior(both.sel(subject=who))
        found = tree["posterior"].sel(subject=who)
        sd = np.sqrt(np.diag(covariance))
        assert (abs(np.array([found.b0.mean(), found.b1.mean()]) - mean) < 0.2 * sd).all()


@pytest.mark.long
def test_pooled_recordings_are_one_likelihood():
    both = xr.concat([recording(0), recording(1)], dim="subject")
    tree = fitter_of(NORMAL, pool="subject").sample(
        both, draws=600, chains=2, warmup=200, seed=1, likelihood=LIKELIHOOD, predictive=0, progress=False
    )
    x = np.concatenate([design(both)] * 2)
    covariance = np.linalg.inv(x.T @ x / SD**2 + np.diag([1.0, 1 / 0.05**2]))
    mean = covariance @ (x.T @ both.x.values.ravel() / SD**2)
    found = np.array([tree["posterior"].b0.mean(), tree["posterior"].b1.mean()])
    assert (abs(found - mean) < 0.2 * np.sqrt(np.diag(covariance))).all()


@pytest.mark.long
def test_noise_of_the_simulation_makes_the_width_of_the_posterior():
    # x0 + noise with a known variance: statistics are samples, whose standard deviation is found from 16 runs
    node = xm.LinearStep(gamma=-0.5, noise_x=xm.WhiteNoise(sigma=0.1))
    sim = xm.Simulator(node, dt=0.5, regions=6)
    run = dict(duration=5.0, monitors=["x"], batch_size=8, seed=0)
    recorded = sim.run(5.0, xr.Dataset({"initial.x": 1.0}), monitors=["x"], seed=5)
    search = {"initial.x": xm.Param(0.8, bounds=(0.0, 2.0))}
    fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=run, search=search)
    tree = fitter.sample(recorded, draws=500, chains=2, warmup=200, seed=0, seeds=40, predictive=8, progress=False)
    draws = tree["posterior"]["initial.x"]
    # of independent samples with the variances s^2 (1 + 1/8): the width is 1/sqrt(sum of (dx/dx0)^2 / variance)
    step = 1 - 0.25 + 0.25**2 / 2  # Heun's
    decay = step ** np.arange(1, 11)
    gain = 1.0 / 2 + step / 2  # how noise of a step enters, to first order
    variance = 0.01 * 0.5 * gain**2 * np.cumsum(step ** (2 * np.arange(10)))
    width = 1 / np.sqrt(6 * (decay**2 / (variance * 9 / 8)).sum())
    np.testing.assert_allclose(draws.std(), width, rtol=0.35)
    assert tree["posterior_predictive"].x.std("draw").mean() > 0.03  # fresh noise for each


@pytest.mark.long
def test_density_is_the_stated_one_and_so_is_its_gradient():
    search = {"b0": xm.Param(0.2, bounds=(-1.0, 2.0)), "b1": NORMAL["b1"]}
    recorded, sd = recording(), np.linspace(0.2, 0.5, 60)
    likelihood = xm.fit.GaussianLikelihood(xm.objectives.timeseries_rmse(), sd=sd)
    density, _ = density_of(fitter_of(search), recorded, xm.fit.NutsBackend(), likelihood, None, 16, 0)
    arrays = density.arrays(0)
    z = np.array([0.3, 0.7])
    b0 = -1.0 + 3.0 / (1 + np.exp(-z[0]))
    b1 = 0.1 * z[1]  # a coordinate without bounds counts in sizes of the starting value
    residuals = design(recorded) @ [b0, b1] - recorded.x.values.ravel()
    exact = scipy.stats.norm(0, sd).logpdf(residuals).sum()
    exact += scipy.stats.norm(0, 0.05).logpdf(b1) + np.log(0.1) + np.log(3.0) + scipy.stats.logistic.logpdf(z[0])
    with jax.enable_x64(True):
        value = jax.jit(density)
        found = float(value(jnp.asarray(z), arrays))
        slope = jax.jit(jax.jacfwd(density))(jnp.asarray(z), arrays)
        steps = [(float(value(jnp.asarray(z + e), arrays)) - float(value(jnp.asarray(z - e), arrays))) / 2e-5 for e in 1e-5 * np.eye(2)]
    np.testing.assert_allclose(found, exact, rtol=1e-5)  # RK4 in steps of 0.05 time constants: 1e-7 of the samples, times the residuals
    np.testing.assert_allclose(slope, steps, rtol=1e-6)


@pytest.mark.long
def test_each_connectome_is_simulated_for_its_own_subject():
    rng = np.random.default_rng(0)
    weights = xr.DataArray(rng.lognormal(-1, 0.8, (2, 5, 5)) * (1 - np.eye(5)), dims=("subject", "region", "region_other"))
    noise = xm.WhiteNoise(sigma=0.02)
    node = xm.HopfStep(a=-0.1, w=0.3, noise_x=noise, noise_y=noise)
    net = xm.Network(node, xr.Dataset({"weights": weights}), coupling=xm.DiffusiveCoupling(k=0.1, source="x", target="x"))
    sim = xm.Simulator(net, dt=0.5)
    run = dict(duration=500.0, transient=100.0, monitors={"fc": xm.FunctionalConnectivity(of="x")})
    truth = xr.DataArray([0.05, 0.3], dims="subject")
    recorded = sim.run(params=xr.Dataset({"coupling.k": truth}), seed=1, **run)[["fc"]]
    fitter = xm.Fitter(
        sim, objective=xm.objectives.fc_rmse(), run=run | dict(batch_size=2), search={"coupling.k": xm.Param(0.1, bounds=(0.0, 0.6))}
    )
    tree = fitter.sample(recorded, draws=40, chains=1, warmup=40, seed=0, predictive=2, progress=False)
    draws = tree["posterior"]["coupling.k"]
    assert draws.dims == ("chain", "draw", "subject")
    # entries of FC count as independent, so the stated width is too small: the truth within a factor of two, not within it
    assert draws.mean(("chain", "draw"))[0] < 0.15 < draws.mean(("chain", "draw"))[1]
    assert tree["posterior_predictive"].fc.dims == ("chain", "draw", "subject", "region", "region_other")


def test_errors_say_what_to_do():
    recorded = recording()
    with pytest.raises(ValueError, match=r"call fitter\.sample\(target\)"):
        fitter_of(NORMAL, backend="nuts").fit(recorded, 2)
    open_ = {"b0": xm.Param(0.2), "b1": xm.Param(0.1, bounds=(0.0, 1.0))}
    with pytest.raises(ValueError, match=r"b0 has no prior.*two bounds"):
        fitter_of(open_).sample(recorded, likelihood=LIKELIHOOD)
    with pytest.raises(ValueError, match=r"no noise.*sd=0\.1"):
        fitter_of(NORMAL).sample(recorded)
    with pytest.raises(ValueError, match="draws=0"):
        fitter_of(NORMAL).sample(recorded, draws=0)
    with pytest.raises(ValueError, match="target_accept=2"):
        xm.fit.NutsBackend(target_accept=2.0)
    with pytest.raises(ValueError, match="at its bound"):
        fitter_of({"b0": xm.Param(0.0, bounds=(0.0, 1.0)), "b1": xm.Param(0.1, bounds=(0.0, 1.0))}).sample(recorded, likelihood=LIKELIHOOD)
