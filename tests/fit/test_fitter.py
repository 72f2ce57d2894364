"""Fits whose answer is known: data simulated with known parameters."""

from __future__ import annotations

import brainunit as u
import jax
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.fit.study import Study

DT = 0.1
RELAX = dict(duration=20.0, monitors=["x"], initial={"x": 0.0})


def relaxing(gamma=-1.0, **kwargs):
    """x' = gamma x + 2 from 0: x = -2 / gamma (1 - exp(gamma t))."""
    return xm.Simulator(xm.LinearStep(gamma=gamma), dt=DT, precision="float64", **kwargs)


def recorded(gamma, **run):
    params = xr.Dataset({"gamma": gamma})
    return relaxing().run(params=params, **{**RELAX, "inputs": {"x": 2.0}, **run})


def fitter(backend, gamma=None, **kwargs):
    gamma = xm.Param(-0.5, bounds=(-3.0, -0.1)) if gamma is None else gamma
    run = {**RELAX, "inputs": {"x": 2.0}, **kwargs.pop("run", {})}
    kwargs = {"objective": xm.objectives.timeseries_rmse(), **kwargs}
    return xm.Fitter(relaxing(gamma), backend=backend, run=run, **kwargs)


@pytest.mark.parametrize(("backend", "steps"), [("grad", 60), ("scipy", 30), ("cma", 25), ("grid", 4)])
def test_every_backend_finds_one_number(backend, steps):
    fit = fitter(backend).fit(recorded(-1.3), n_steps=steps, seed=0)
    # Adam swings around the optimum, and the grid's last level has steps of 2.9 / 10 / 25 in the value; the others converge
    np.testing.assert_allclose(float(fit.gamma), -1.3, atol=6e-3 if backend in ("grad", "grid") else 1e-4)
    assert fit.gamma.attrs["units"] == "1/ms"


def test_the_smallest_problem_reports_the_point_whose_loss_it_reports():
    # walkthrough B5: one parameter, target 2.0
    sim = xm.Simulator(xm.LinearStep(gamma=-1.0), dt=DT, precision="float64")
    run = dict(duration=1.0, monitors=["x"])
    target = sim.run(params=xr.Dataset({"initial.x": 2.0}), **run)
    fit = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), search={"initial.x": xm.Param(0.5, bounds=(0.0, 5.0))}, run=run).fit(
        target, n_steps=80, seed=0
    )
    assert abs(float(fit["initial.x"]) - 2.0) < 1e-2
    again = sim.run(params=fit[["initial.x"]], **run)
    score = xm.compare(again, target, xm.objectives.timeseries_rmse()).timeseries_rmse
    np.testing.assert_allclose(float(score), float(fit.best_loss), rtol=1e-9)
    assert float(fit.best_loss) == float(fit.loss.min())
    assert float(fit.loss[int(fit.best_step)]) == float(fit.best_loss)


def test_every_dim_of_the_recording_makes_fits_of_its_own():
    truth = xr.DataArray([-0.4, -1.0, -2.0], dims="subject", coords={"subject": ["a", "b", "c"]})
    target = recorded(truth)
    fit = fitter("scipy").fit(target, n_steps=30, seed=0)
    np.testing.assert_allclose(fit.gamma, truth, atol=1e-4)
    assert fit.gamma.dims == ("subject",)
    assert fit.subject.values.tolist() == ["a", "b", "c"]
    alone = fitter("scipy").fit(target.sel(subject="b"), n_steps=30, seed=0)
    np.testing.assert_allclose(float(fit.gamma.sel(subject="b")), float(alone.gamma), atol=1e-6)


def test_pooled_recordings_have_one_fit_with_the_mean_loss():
    truth = xr.DataArray([-0.8, -1.2], dims="subject")
    target = recorded(truth)
    fit = fitter("scipy", pool="subject").fit(target, n_steps=40, seed=0)
    assert fit.gamma.dims == ()
    losses = [
        float(xm.compare(recorded(float(fit.gamma)), target.isel(subject=i), xm.objectives.timeseries_rmse()).timeseries_rmse)
        for i in (0, 1)
    ]
    np.testing.assert_allclose(float(fit.best_loss), np.mean(losses), rtol=1e-9)
    near = [
        float(xm.compare(recorded(float(fit.gamma) + d), target, xm.objectives.timeseries_rmse()).timeseries_rmse.mean())
        for d in (-0.02, 0.02)
    ]
    assert min(near) >= float(fit.best_loss)


def test_starts_are_sorted_best_first():
    fit = fitter("grad").fit(recorded(-1.3), n_steps=10, starts=4, seed=1)
    assert fit.gamma.dims == ("start",)
    assert (np.diff(fit.best_loss) >= 0).all()
    np.testing.assert_array_equal(fit.loss.min("step"), fit.best_loss)
    np.testing.assert_array_equal(fitter("grad").fit(recorded(-1.3), n_steps=10, starts=4, seed=1).gamma, fit.gamma)


def test_search_wins_over_the_model_and_units_are_those_declared():
    target = recorded(-1.3)
    search = {"gamma": xm.Param(-500.0 / u.second, bounds=(-3000.0 / u.second, -100.0 / u.second))}
    fit = xm.Fitter(
        relaxing(xm.Param(-0.2, bounds=(-0.3, -0.1))),
        objective=xm.objectives.timeseries_rmse(),
        backend="scipy",
        search=search,
        run={**RELAX, "inputs": {"x": 2.0}},
    ).fit(target, n_steps=30)
    np.testing.assert_allclose(float(fit.gamma), -1.3, atol=1e-3)


def test_a_number_at_its_bound_is_reported():
    fit = fitter("scipy", gamma=xm.Param(-0.5, bounds=(-1.0, -0.1))).fit(recorded(-1.3), n_steps=30)
    assert bool(fit.at_bound)
    np.testing.assert_allclose(float(fit.gamma), -1.0, atol=1e-3)


def test_regularisation_holds_a_number_near_its_start():
    target = recorded(-1.3)
    free = fitter("scipy", gamma=xm.Param(-0.5, bounds=(-3.0, -0.1))).fit(target, n_steps=30)
    held = fitter("scipy", gamma=xm.Param(-0.5, bounds=(-3.0, -0.1), reg=1000.0)).fit(target, n_steps=30)
    assert abs(float(held.gamma) + 0.5) < 0.05 < abs(float(free.gamma) + 0.5)


@pytest.mark.long
def test_values_by_region_and_a_derived_map():
    regions = ["L", "M", "R"]
    truth = xr.DataArray([-0.5, -1.0, -2.0], dims="region", coords={"region": regions})
    target = relaxing(regions=regions).run(params=xr.Dataset({"gamma": truth}), **{**RELAX, "inputs": {"x": 2.0}})
    run = {**RELAX, "inputs": {"x": 2.0}}
    each = xm.Fitter(
        relaxing(regions=regions),
        objective=xm.objectives.timeseries_rmse(),
        backend="scipy",
        search={"gamma": xm.Param(-1.0, bounds=(-5.0, -0.1), dims="region")},
        run=run,
    ).fit(target, n_steps=80)
    np.testing.assert_allclose(each.gamma, truth, atol=1e-3)
    # the same values as a line over a map: gamma = b0 + b1 * map, with the map's regions in another order
    shape = xr.DataArray([3.0, 0.0, 1.0], dims="region", coords={"region": ["R", "L", "M"]})
    line = xm.Fitter(
        relaxing(regions=regions),
        objective=xm.objectives.timeseries_rmse(),
        backend="scipy",
        search={"b0": xm.Param(-1.0, bounds=(-3.0, 0.0)), "b1": xm.Param(0.0, bounds=(-1.0, 1.0))},
        derive={"gamma": lambda q: q["b0"] + q["b1"] * shape},
        run=run,
    ).fit(target, n_steps=80)
    np.testing.assert_allclose([float(line.b0), float(line.b1)], [-0.5, -0.5], atol=1e-3)
    np.testing.assert_allclose(line.gamma.sel(region=regions), truth, atol=3e-3)


def test_a_run_that_diverges_does_not_harm_the_others():
    # gamma up to 80 per ms: beyond 20 / ms Euler's method at dt .1 overflows float64 in the long run; the fit of "far" starts there
    target = recorded(xr.DataArray([-0.5, -1.3], dims="subject", coords={"subject": ["far", "near"]}))
    start = xr.DataArray([900.0, -0.5], dims="subject", coords={"subject": ["far", "near"]})
    fit = fitter("grad", gamma=xm.Param(start, bounds=(-1000.0, 1000.0)), run=dict(duration=20.0)).fit(target, n_steps=8, seed=0)
    alone = fitter("grad", gamma=xm.Param(-0.5, bounds=(-1000.0, 1000.0))).fit(target.sel(subject="near"), n_steps=8, seed=0)
    assert bool(fit.diverged.sel(subject="far"))
    assert np.isnan(fit.best_loss.sel(subject="far"))
    np.testing.assert_allclose(fit.loss.sel(subject="near"), alone.loss, rtol=1e-9)


NOISY = dict(duration=30.0, transient=5.0, monitors=["x"])


def noisy(**node):
    sc = xm.datasets.load_dataset("example_connectome")
    node = {"a": -0.02, "w": 0.3, "noise_x": xm.WhiteNoise(sigma=0.02), **node}
    coupling = xm.DiffusiveCoupling(k=0.05, source="x", target="x")
    net = xm.Network(xm.HopfStep(**node), sc, speed=10.0, coupling=coupling)
    return xm.Simulator(net, dt=DT, precision="float64")


@pytest.mark.parametrize("derivative", ["forward", pytest.param("reverse", marks=pytest.mark.long)])
def test_gradients_equal_finite_differences(derivative):
    # two fits, through delays, noise and FC: a global number, one for each region, and an amplitude of noise
    sim = noisy()
    target = sim.run(params=xr.Dataset({"coupling.k": ("subject", [0.08, 0.02])}), seed=1, **NOISY)
    search = {
        "coupling.k": xm.Param(0.05, bounds=(0.0, 0.1)),
        "a": xm.Param(-0.02, bounds=(-0.1, 0.0), dims="region", reg=0.1),
        "noise_x.sigma": xm.Param(0.02, bounds=(0.0, 0.1)),
    }
    fitter = xm.Fitter(sim, objective=xm.objectives.fc_rmse(), search=search, derivative=derivative, run={**NOISY, "seed": 2})
    problem = Study(fitter, target, 1, 1, 0).problem
    at = problem.start + 0.1 * np.random.default_rng(0).normal(size=problem.start.shape)
    loss, slope = problem.gradient(at)
    np.testing.assert_allclose(loss, problem.losses(at[:, None])[:, 0, 0], rtol=1e-12)
    for k in (0, 3, 9):
        step = np.eye(problem.size)[k] * 1e-5
        both = [problem.losses((at + sign * step)[:, None])[:, 0, 0] for sign in (1, -1)]
        # central differences with step h are exact to h^2 and rounding / h: 1e-9 of the largest slope
        np.testing.assert_allclose(slope[:, k], (both[0] - both[1]) / 2e-5, atol=1e-6 * np.abs(slope).max())


@pytest.mark.long
def test_noise_is_common_unless_fresh_is_asked_for():
    sim = noisy()
    target = sim.run(seed=1, **NOISY)
    search = {"coupling.k": xm.Param(0.05, bounds=(0.0, 0.1))}

    def losses(noise):
        fitter = xm.Fitter(sim, objective=xm.objectives.fc_rmse(), search=search, noise=noise, backend="cma", run={**NOISY, "seed": 2})
        problem = Study(fitter, target, 1, 1, 0).problem
        at = np.full((1, 3, 1), 0.5)
        return problem.losses(at, draw=0)[0, :, 0], problem.losses(at, draw=1)[0, :, 0], lambda: problem.gradient(at[:, 0], draw=1)[0]

    first, second, _ = losses("common")
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first) == 0
    first, second, with_gradient = losses("fresh")
    assert np.ptp(first) == 0
    assert abs(first[0] - second[0]) > 1e-4
    np.testing.assert_allclose(with_gradient(), second[:1], rtol=1e-12)


def test_seeds_of_a_batch_are_averaged():
    sim = noisy()
    target = sim.run(seed=1, **NOISY)
    run = {**NOISY, "seed": 2, "batch_size": 3}
    search = {"coupling.k": xm.Param(0.05, bounds=(0.0, 0.1))}
    problem = Study(xm.Fitter(sim, objective=xm.objectives.fc_rmse(), search=search, run=run), target, 1, 1, 0).problem
    trials = sim.run(params=xr.Dataset({"coupling.k": 0.05}), **run)
    score = xm.compare(trials, target, xm.objectives.fc_rmse()).fc_rmse.mean()
    np.testing.assert_allclose(problem.losses(problem.start[:, None])[0, 0, 0], float(score), rtol=1e-12)


def test_the_prediction_is_the_run_at_the_returned_parameters():
    target = recorded(-1.3)
    fit = fitter("scipy").fit(target, n_steps=30, predict=True)
    xr.testing.assert_allclose(fit.x, recorded(float(fit.gamma)).x.drop_vars("diverged"))
    assert "configuration" in fit.attrs


def test_a_callback_is_told_of_every_step_and_may_stop():
    seen = []

    def watch(now):
        seen.append((now.step, now.best_loss.shape))
        return now.step == 3

    fit = fitter("grad").fit(recorded(-1.3), n_steps=50, callbacks=[watch])
    assert [s for s, _ in seen] == [0, 1, 2, 3]
    assert fit.sizes["step"] == 4


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("backend", ["grad", "cma"])
def test_an_interrupted_fit_goes_on_bit_for_bit(backend, tmp_path):
    target = recorded(xr.DataArray([-0.7, -1.3], dims="subject"))
    whole = fitter(backend).fit(target, n_steps=8, seed=0, store=tmp_path / "whole.zarr", chunks={"subject": 1}).load()
    count = [0]

    def stop(now):
        count[0] += 1
        if count[0] == 12:  # in the second subject
            raise Killed

    store = tmp_path / "fit.zarr"
    with pytest.raises(Killed):
        fitter(backend).fit(target, n_steps=8, seed=0, store=store, chunks={"subject": 1}, callbacks=[stop])
    steps = []
    again = fitter(backend).fit(
        target, n_steps=8, seed=0, store=store, chunks={"subject": 1}, callbacks=[lambda now: steps.append(now.step)]
    )
    xr.testing.assert_identical(again.load(), whole)
    assert len(steps) < 8  # the first subject was not fitted again, the second went on
    xr.testing.assert_identical(fitter(backend).fit(target, n_steps=8, seed=0, store=store).load(), whole)
    with pytest.raises(ValueError, match=r"holds another fit.*seed"):
        fitter(backend).fit(target, n_steps=8, seed=1, store=store)
    with pytest.raises(FileExistsError, match="resume=False"):
        fitter(backend).fit(target, n_steps=8, seed=0, store=store, resume=False)


def test_interruption_without_a_store_returns_the_best_so_far():
    def interrupt(now):
        if now.step == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after step 4 of 50"):
        fit = fitter("grad").fit(recorded(-1.3), n_steps=50, callbacks=[interrupt])
    assert np.isfinite(float(fit.gamma))
    assert fit.sizes["step"] == 4


BAD = [
    (lambda: xm.Fitter(3, objective=xm.objectives.fc_corr(), run=dict(duration=1.0)), TypeError, "needs an xm.Simulator"),
    (lambda: fitter("gradient"), ValueError, "there is no backend"),
    (lambda: fitter("grad", run={"chunks": {}}), ValueError, "run has 'chunks'"),
    (lambda: xm.Fitter(relaxing(), objective=xm.objectives.fc_corr(), run={}), ValueError, "no duration"),
    (lambda: fitter("grad", search={"gamma": -1.0}), TypeError, "needs a Param"),
    (lambda: fitter("grad", gamma=-1.0).fit(recorded(-1.0)), ValueError, "there is nothing to fit"),
    (lambda: fitter("grad", search={"gama": xm.Param(0.1)}).fit(recorded(-1.0)), KeyError, "gamma"),
    (lambda: fitter("grad").fit(recorded(-1.0).x), TypeError, "to_dataset"),
    (lambda: fitter("grad").fit(recorded(-1.0).rename(x="bold")), ValueError, "in common"),
    (lambda: fitter("grad", pool="subject").fit(recorded(-1.0)), ValueError, "pool names 'subject'"),
    (lambda: fitter("grad").fit(recorded(-1.0), n_steps=0), ValueError, "n_steps=0"),
    (lambda: fitter("grad").fit(recorded(-1.0), starts=1.5), ValueError, "starts=1.5"),
    (lambda: fitter("grad").fit(recorded(-1.0).isel(time=slice(0, 50))), ValueError, "samples"),
    (lambda: fitter("grad").fit(recorded(-1.0) * np.nan), ValueError, "NaN|no region"),
    (lambda: fitter("grad").fit(recorded(-1.0).expand_dims(start=2)), ValueError, "start"),
    (lambda: fitter("grid", gamma=xm.Param(-1.0)).fit(recorded(-1.0)), ValueError, "bound"),
    (lambda: fitter("cma", memory=1e6).fit(recorded(-1.0)), ValueError, "memory is for gradients"),
    (lambda: fitter("grid", derivative="reverse").fit(recorded(-1.0)), ValueError, "derivative is for gradients"),
    (lambda: fitter("scipy", noise="fresh").fit(recorded(-1.0)), ValueError, "line searches"),
    (lambda: fitter("grad", derive={"gamma": 2}), TypeError, "needs a function"),
    (
        lambda: fitter("grad", search={"b": xm.Param(1.0)}, derive={"gamma": lambda q: -q["c"]}).fit(recorded(-1.0)),
        KeyError,
        "derive reads 'c'",
    ),
]


@pytest.mark.parametrize(("call", "error", "said"), BAD, ids=range(len(BAD)))
def test_bad_input_is_refused_with_what_is_needed(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_a_target_with_other_regions_is_refused():
    sim = noisy()
    target = sim.run(seed=1, **NOISY)
    target = target.assign_coords(region=[f"X{i}" for i in range(8)])
    search = {"coupling.k": xm.Param(0.05, bounds=(0.0, 0.1))}
    with pytest.raises(ValueError, match=r"X0|region"):
        xm.Fitter(sim, objective=xm.objectives.fc_corr(), search=search, run={**NOISY, "seed": 2}).fit(target)


def test_a_masked_region_is_left_out_and_reported():
    sim = noisy()
    truth = sim.run(seed=1, **NOISY)
    target = truth.copy(deep=True)
    target.x.loc[{"region": "R3"}] = np.nan
    search = {"coupling.k": xm.Param(0.05, bounds=(0.0, 0.1))}
    fitter = xm.Fitter(sim, objective=xm.objectives.fc_rmse(), search=search, backend="grid", run={**NOISY, "seed": 2})
    problem = Study(fitter, target, 1, 1, 0).problem
    simulated = sim.run(params=xr.Dataset({"coupling.k": 0.05}), seed=2, **NOISY)
    keep = [r for r in simulated.region.values if r != "R3"]
    expected = xm.compare(simulated.sel(region=keep), truth.sel(region=keep), xm.objectives.fc_rmse()).fc_rmse
    np.testing.assert_allclose(problem.losses(problem.start[:, None])[0, 0, 0], float(expected), rtol=1e-10)
    fit = fitter.fit(target, n_steps=1)
    assert fit.masked.sel(region="R3").item() is True
    assert int(fit.masked.sum()) == 1


def test_global_state_is_left_alone():
    before = jax.config.jax_enable_x64
    fitter("grad").fit(recorded(-1.3), n_steps=2)
    assert jax.config.jax_enable_x64 == before


def test_an_initial_value_may_be_fitted():
    target = recorded(-1.0, initial={"x": 1.5})
    run = {**RELAX, "inputs": {"x": 2.0}, "initial": {"x": xm.Param(0.2, bounds=(-3.0, 3.0))}}
    fit = xm.Fitter(relaxing(), objective=xm.objectives.timeseries_rmse(), backend="scipy", run=run).fit(target, n_steps=30)
    np.testing.assert_allclose(float(fit["initial.x"]), 1.5, atol=1e-4)


def test_the_seed_of_the_recording_is_warned_of():
    sim = noisy()
    target = sim.run(seed=2, **NOISY)
    search = {"coupling.k": xm.Param(0.05, bounds=(0.0, 0.1))}
    with pytest.warns(UserWarning, match="with a seed of the fit"):
        Study(xm.Fitter(sim, objective=xm.objectives.fc_rmse(), search=search, run={**NOISY, "seed": 2}), target, 1, 1, 0)
