"""Fisher information against closed forms; exact degeneracies of the models are sloppy directions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

WEIGHTS = xr.DataArray(
    [[0.0, 0.9, 0.2, 0.1], [0.8, 0.0, 0.5, 0.1], [0.2, 0.6, 0.0, 0.7], [0.1, 0.2, 0.8, 0.0]], dims=("region", "region_other")
)


def decay(**options):
    """x = x0 exp(gamma t), by a scheme whose error is far below what is compared."""
    return xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.1, precision="float64", method="rk4", **options)


RUN = dict(duration=20.0, monitors=["x"])
TRUTH = xr.Dataset({"initial.x": 1.0, "gamma": -0.1})
SEARCH = {"initial.x": xm.Param(1.0, bounds=(0.0, 2.0)), "gamma": xm.Param(-0.1, bounds=(-1.0, -0.01))}


def fitter_of(sim, search, run=RUN, objective=None):
    return xm.Fitter(sim, objective=objective or xm.objectives.timeseries_rmse(), run=run, search=search)


def test_information_equals_the_closed_form():
    sim = decay()
    recorded = sim.run(params=TRUTH, **RUN)
    known = xm.identifiability(fitter_of(sim, SEARCH), TRUTH, recorded, sd=0.1)
    t = recorded.time.values
    slopes = np.stack([np.exp(-0.1 * t), t * np.exp(-0.1 * t)], axis=1)
    exact = slopes.T @ slopes / 0.1**2
    errors = np.sqrt(np.diag(np.linalg.inv(exact)))
    # RK4 in steps of 0.01 time constants: derivatives are right to 1e-8
    np.testing.assert_allclose(known.standard_error, errors, rtol=1e-7)
    width = np.array([2.0, 0.99])
    np.testing.assert_allclose(known.information, exact * np.outer(width, width), rtol=1e-7)
    np.testing.assert_allclose(known.eigenvalue, np.sort(np.linalg.eigvalsh(exact * np.outer(width, width)))[::-1], rtol=1e-7)
    np.testing.assert_allclose(known.condition_number, known.eigenvalue[0] / known.eigenvalue[1])
    product = known.loading.rename(direction="d") @ known.loading.rename(direction="e")
    np.testing.assert_allclose(product.transpose("d", "e"), np.eye(2), atol=1e-12)
    assert not known.sloppy.any()
    assert known.unit.sel(parameter="gamma") == "1/ms"


@pytest.mark.long
def test_scale_is_free_without_bounds():
    # without bounds the scale is the value; the standard error in the unit of the parameter does not depend on it, nor on the transform
    sim = decay()
    recorded = sim.run(params=TRUTH, **RUN)
    free = {"initial.x": xm.Param(1.0, transform="log"), "gamma": xm.Param(-0.1)}
    a = xm.identifiability(fitter_of(sim, SEARCH), TRUTH, recorded, sd=0.1)
    b = xm.identifiability(fitter_of(sim, free), TRUTH, recorded, sd=0.1)
    np.testing.assert_allclose(a.standard_error, b.standard_error, rtol=1e-9)
    np.testing.assert_allclose(b.scale, [1.0, 0.1], rtol=1e-12)


@pytest.mark.long
def test_each_subject_has_its_own_information():
    sim = decay()
    who = xr.Dataset({"initial.x": ("subject", [1.0, 0.5]), "gamma": ("subject", [-0.1, -0.2])}, {"subject": ["s1", "s2"]})
    recorded = sim.run(params=who, **RUN)
    both = xm.identifiability(fitter_of(sim, SEARCH), who.isel(subject=[1, 0]), recorded, sd=0.1)
    assert both.standard_error.dims == ("subject", "parameter")
    for subject in ("s1", "s2"):
        alone = xm.identifiability(fitter_of(sim, SEARCH), who.sel(subject=subject), recorded.sel(subject=subject), sd=0.1)
        np.testing.assert_allclose(both.standard_error.sel(subject=subject), alone.standard_error, rtol=1e-9)


@pytest.mark.long
def test_a_fit_without_a_result_has_no_information():
    sim = decay()
    who = xr.Dataset({"initial.x": ("subject", [1.0, np.nan]), "gamma": ("subject", [-0.1, -0.2])})
    recorded = sim.run(params=TRUTH, **RUN).expand_dims(subject=2)
    found = xm.identifiability(fitter_of(sim, SEARCH), who, recorded, sd=0.1)
    assert np.isfinite(found.standard_error[0]).all()
    assert np.isnan(found.standard_error[1]).all()


@pytest.mark.long
def test_spread_of_statistics_is_that_of_the_process():
    # the noise of dx = gamma x dt + sigma dW leaves a variance of sigma^2 (1 - exp(2 gamma t)) / (-2 gamma)
    node = xm.LinearStep(gamma=-0.2, noise_x=xm.WhiteNoise(sigma=0.1))
    sim = xm.Simulator(node, dt=0.1)
    run = dict(duration=20.0, monitors=["x"], seed=1)
    recorded = sim.run(params=xr.Dataset({"initial.x": 1.0}), **(run | dict(seed=2)))
    fitter = fitter_of(sim, {"initial.x": xm.Param(1.0, bounds=(0.0, 2.0))}, run)
    known = xm.identifiability(fitter, xr.Dataset({"initial.x": 1.0}), recorded, seeds=40)
    t = recorded.time.values
    exact = np.sqrt(0.01 * (1 - np.exp(-0.4 * t)) / 0.4)
    # 40 draws: each standard deviation is known to 1/sqrt(78) = 11 %, their mean over 40 independent stretches to 2 %; the scheme adds 2 %
    np.testing.assert_allclose((known.sd / exact).mean(), 1.0, atol=0.06)
    # samples of one process hang together over 1/0.2 ms = 50 samples: what treats them as independent promises too much
    assert known.robust_error[0] > 1.5 * known.standard_error[0]


# ----------------------------------------------------------------------------------------------------------------- degeneracies
def hopf(beta=1.0, sigma=0.02, k=0.2):
    noise = xm.WhiteNoise(sigma=sigma)
    node = xm.HopfStep(a=-0.2, w=0.5, beta=beta, noise_x=noise, noise_y=noise)
    return xm.Network(node, xr.Dataset({"weights": WEIGHTS}), coupling=xm.DiffusiveCoupling(k=k, source="x", target="x"))


FC_RUN = dict(duration=600.0, transient=100.0, monitors={"fc": xm.FunctionalConnectivity(of="x")}, seed=3)


def known_of(network, search, *, run=FC_RUN, derive=None, **options):
    sim = xm.Simulator(network, dt=0.5)
    recorded = sim.run(**(run | dict(seed=4)))
    point = xr.Dataset({path: p.value for path, p in search.items()})
    fitter = xm.Fitter(sim, objective=xm.objectives.fc_rmse("fc"), run=run, search=search, derive=derive or {})
    return xm.identifiability(fitter, point, recorded, seeds=6, **options)


@pytest.mark.long
def test_fc_says_nothing_about_the_noise_of_a_linear_network():
    # without saturation x is proportional to sigma, and FC does not see a factor: the information is 0
    both = {"noise_x.sigma": lambda q: q["sigma"], "noise_y.sigma": lambda q: q["sigma"]}
    known = known_of(
        hopf(beta=0.0), {"sigma": xm.Param(0.02, bounds=(0.001, 0.1)), "coupling.k": xm.Param(0.2, bounds=(0.0, 1.0))}, derive=both
    )
    assert known.sloppy.values.tolist() == [False, True]
    assert abs(known.loading.sel(direction=1, parameter="sigma")) > 0.999
    # float32 sums of 1000 samples are right to 1e-5; squared, against z's of size 0.1
    assert known.information.sel(parameter="sigma", parameter_other="sigma") < 1e-4
    assert known.standard_error.sel(parameter="sigma") > 1.0  # ten times the bounds


@pytest.mark.long
def test_coupling_strength_and_scale_of_weights_are_one_number():
    # only k times scale enters: at k = 0.2, scale = 1 the direction (dk, dscale) = (-0.2, 1) / norm changes nothing
    search = {"coupling.k": xm.Param(0.2, bounds=(0.0, 1.0)), "scale": xm.Param(1.0, bounds=(0.5, 1.5))}
    known = known_of(hopf(), search, derive={"weights": lambda q: q["scale"] * WEIGHTS})
    assert known.sloppy.values.tolist() == [False, True]
    exact = np.array([-0.2, 1.0]) / np.hypot(0.2, 1.0)
    found = known.loading.sel(direction=1).values
    np.testing.assert_allclose(abs(found @ exact), 1.0, atol=1e-4)  # float32
    assert known.condition_number > 1e4


@pytest.mark.long
def test_saturation_and_noise_are_one_number():
    # x sqrt(beta) obeys the same equation with beta = 1 and sigma sqrt(beta): FC sees beta sigma^2 alone, so (dlog beta, dlog sigma)
    # = (-2, 1) changes nothing; strong noise, so that the saturation is felt at all
    search = {"beta": xm.Param(1.0, bounds=(0.5, 1.5)), "sigma": xm.Param(0.5, bounds=(0.0, 1.0))}
    both = {"noise_x.sigma": lambda q: q["sigma"], "noise_y.sigma": lambda q: q["sigma"]}
    run = FC_RUN | dict(initial={"x": 0.0, "y": 0.0})
    known = known_of(hopf(), search, run=run, derive=both)
    assert bool(known.sloppy[1])
    exact = np.array([-2.0 * 1.0, 0.5]) / np.hypot(2.0, 0.5)  # both bounds are 1 wide
    np.testing.assert_allclose(abs(known.loading.sel(direction=1).values @ exact), 1.0, atol=1e-3)  # float32
    assert known.condition_number > 1e3


@pytest.mark.long
def test_curvature_of_a_loss_without_residuals():
    # fc_corr has no residuals; the direction that changes nothing has no curvature either
    search = {"coupling.k": xm.Param(0.2, bounds=(0.0, 1.0)), "scale": xm.Param(1.0, bounds=(0.5, 1.5))}
    sim = xm.Simulator(hopf(), dt=0.5)
    recorded = sim.run(params=xr.Dataset({"coupling.k": 0.3}), **(FC_RUN | dict(seed=4)))
    derive = {"weights": lambda q: q["scale"] * WEIGHTS}
    fitter = xm.Fitter(sim, objective=xm.objectives.fc_corr("fc"), run=FC_RUN, search=search, derive=derive)
    point = xr.Dataset({"coupling.k": 0.3, "scale": 1.0})
    found = xm.identifiability(fitter, point, recorded, method="hessian")
    exact = np.array([-0.3, 1.0]) / np.hypot(0.3, 1.0)
    np.testing.assert_allclose(abs(found.loading.sel(direction=1).values @ exact), 1.0, atol=0.01)  # differences over 1 % of the bounds
    assert "standard_error" not in found


# ----------------------------------------------------------------------------------------------------------------------- errors
def test_errors_say_what_to_do():
    sim = decay()
    recorded = sim.run(params=TRUTH, **RUN)
    fitter = fitter_of(sim, SEARCH)
    with pytest.raises(ValueError, match=r"no noise.*sd=0\.1"):
        xm.identifiability(fitter, TRUTH, recorded)
    with pytest.raises(KeyError, match="result has no 'gamma'"):
        xm.identifiability(fitter, TRUTH[["initial.x"]], recorded, sd=0.1)
    with pytest.raises(ValueError, match="seeds=2"):
        xm.identifiability(fitter, TRUTH, recorded, seeds=2)
    with pytest.raises(ValueError, match="method='laplace'"):
        xm.identifiability(fitter, TRUTH, recorded, method="laplace")
    with pytest.raises(ValueError, match="2 entries, and there are 200 statistics"):
        xm.identifiability(fitter, TRUTH, recorded, sd=[0.1, 0.2])
    with pytest.raises(ValueError, match="positive number"):
        xm.fit.GaussianLikelihood("fc", sd=-1.0)
    with pytest.raises(ValueError, match="dim 'point'"):
        xm.identifiability(fitter, TRUTH.assign(gamma=("point", [-0.1, -0.2])), recorded, sd=0.1)
    several = xm.Fitter(
        sim, objective=xm.objectives.combine(xm.objectives.fc_corr("x"), xm.objectives.mean_fc("x")), run=RUN, search=SEARCH
    )
    with pytest.raises(ValueError, match="method='hessian'"):
        xm.identifiability(several, TRUTH, recorded)
