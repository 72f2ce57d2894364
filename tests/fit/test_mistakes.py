"""Calls that are easily made and must not give a wrong answer in silence: orders, names, stores, bounds."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.fit.test_fitter import RELAX, fitter, recorded, relaxing
from xmass.fit.layout import layout_of
from xmass.fit.starts import starting_points

FREE = xm.Param(-0.5, bounds=(-3.0, -0.1))


def by_subject(values, labels):
    return xr.DataArray(values, dims="subject", coords={"subject": labels})


def test_parameters_of_the_run_may_have_their_labels_in_another_order():
    run = {k: v for k, v in RELAX.items() if k != "initial"} | {"inputs": {"x": 2.0}}
    truth = xr.Dataset({"gamma": by_subject([-1.3, -0.4], ["a", "b"]), "initial.x": by_subject([0.0, 3.0], ["a", "b"])})
    target = relaxing().run(params=truth, **run)
    shuffled = truth[["initial.x"]].sel(subject=["b", "a"])
    search = {"gamma": FREE}
    fit = xm.Fitter(
        relaxing(), objective=xm.objectives.timeseries_rmse(), backend="grid", run={**run, "params": shuffled}, search=search
    ).fit(target, n_steps=3, seed=0, predict=True)
    np.testing.assert_allclose(fit.gamma.sel(subject=["a", "b"]), [-1.3, -0.4], atol=0.01)  # a step of the last level is 0.0116
    np.testing.assert_allclose(fit.x.sel(subject="b"), target.x.sel(subject="b"), atol=0.05)
    other = {**run, "params": shuffled.assign_coords(subject=["b", "c"])}
    with pytest.raises(ValueError, match="other labels along 'subject'"):
        xm.Fitter(relaxing(), objective=xm.objectives.timeseries_rmse(), backend="grid", run=other, search=search).fit(target)


def test_derived_weights_may_have_their_dims_in_another_order():
    sc = xm.datasets.load_dataset("example_connectome")
    rng = np.random.default_rng(1)
    weights = sc.weights.copy(data=rng.uniform(0.0, 1.0, (8, 8)))  # asymmetric
    net = xm.Network(xm.HopfStep(a=0.1, w=0.3), sc.assign(weights=weights), coupling=xm.DiffusiveCoupling(k=0.3, source="x", target="x"))
    sim = xm.Simulator(net, dt=0.1, precision="float64")
    run = dict(duration=10.0, monitors=["x"], initial={"x": xr.DataArray(rng.uniform(-0.4, 0.4, 8), dims="region")})
    found = xm.Fitter(
        sim,
        objective=xm.objectives.timeseries_rmse(),
        backend="grid",
        run=run,
        search={"s": xm.Param(1.0, bounds=(0.5, 1.5))},
        derive={"weights": lambda q: q["s"] * weights.transpose("region_other", "region")},
    ).fit(sim.run(**run), n_steps=1, seed=0)
    assert float(found.s) == pytest.approx(1.0)
    assert float(found.best_loss) < 1e-9
    assert found.weights.dims == ("region", "region_other")


@pytest.mark.parametrize(
    ("search", "derive", "error", "said"),
    [
        ({"gama": FREE, "b": FREE}, {"gamma": lambda q: q["b"]}, KeyError, "search has 'gama'.*'gamma'"),
        ({"b": FREE}, {"gama": lambda q: q["b"]}, KeyError, "derive has 'gama'.*'gamma'"),
        ({"loss": FREE}, {"gamma": lambda q: q["loss"]}, ValueError, "number 'loss', which is also a variable of the result"),
        ({"subject": FREE}, {"gamma": lambda q: q["subject"]}, ValueError, "number 'subject', which is also a dim"),
        (
            {"initial.x": xm.Param(1.0)},
            {"gamma": lambda q: xr.zeros_like(q["initial.x"]).assign_attrs(units="mV")},
            ValueError,
            "assign_attrs",
        ),
    ],
)
def test_names_and_units_that_cannot_be_meant_are_refused(search, derive, error, said):
    with pytest.raises(error, match=said):
        fitter("grid", gamma=-1.0, search=search, derive=derive, run={"initial": None}).fit(recorded(by_subject([-1.0, -2.0], [0, 1])))


def test_search_may_hold_a_number():
    search = {"gamma": xm.Param(-2.0, fit=False), "initial.x": xm.Param(1.0, bounds=(0.0, 4.0))}
    run = dict(duration=5.0, monitors=["x"])
    target = relaxing().run(params=xr.Dataset({"gamma": -2.0, "initial.x": 2.0}), **run)
    sim = relaxing(xm.Param(-1.0, bounds=(-3.0, -0.1)))  # what search holds is not fitted, and wins over the model
    fit = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), backend="grid", run=run, search=search).fit(target, n_steps=2, seed=0)
    assert "gamma" not in fit
    assert float(fit["initial.x"]) == pytest.approx(2.0)
    assert float(fit.best_loss) < 1e-12


def test_least_squares_does_not_forget_regularisation():
    param = xm.Param(-0.5, bounds=(-3.0, -0.1), reg=1.0)
    with pytest.raises(ValueError, match="gamma has reg="):
        fitter(xm.fit.ScipyBackend("least_squares"), gamma=param).fit(recorded(-1.3))


@pytest.mark.parametrize("known", [dict(bounds=(0.0, None)), dict(bounds=(1e-6, 1.0), transform="log")])
def test_a_small_number_far_from_its_bounds_is_not_at_one(known):
    run = dict(duration=2.0, monitors=["x"])
    target = relaxing().run(params=xr.Dataset({"initial.x": 5e-4}), **run)
    search = {"initial.x": xm.Param(4e-4, **known)}
    fit = xm.Fitter(relaxing(), objective=xm.objectives.timeseries_rmse(), backend="scipy", run=run, search=search).fit(target, n_steps=3)
    assert not bool(fit.at_bound)


@pytest.mark.parametrize("space", ["free", "box"])
def test_starts_drawn_beyond_a_bound_have_coordinates(space):
    prior = xm.priors.Normal(np.array([-0.5, -1.0]), 2.0)
    numpyro = pytest.importorskip("numpyro.distributions")
    labels = {"region": np.array(["L", "R"])}
    for given in (xm.priors.Normal(-0.5, 2.0), prior, numpyro.Normal(np.array([-0.5, -1.0]), 2.0)):
        layout = layout_of({"a": (xm.Param(-0.5, bounds=(-3.0, -0.1), dims="region", prior=given), labels)})
        assert np.isfinite(starting_points(layout, layout.start(space)[None], 30, 0, space)).all()


def test_a_callback_may_answer_with_a_boolean_of_numpy():
    seen = []
    fitter("scipy").fit(recorded(-1.3), n_steps=9, callbacks=[lambda now: seen.append(now.step) or (now.loss > 0).all()])
    assert seen == [0]
    target = recorded(by_subject([-1.3, -0.4], ["a", "b"]))
    fit = fitter("scipy").fit(target, n_steps=9, chunks={"subject": 1}, callbacks=[lambda now: True])
    assert fit.gamma.notnull().values.tolist() == [True, False]
    assert "had not begun" in fit.attrs["notes"]


class Cubic:
    """A transform of a user."""

    def forward(self, z):
        return z**3

    def inverse(self, value):
        return jnp.cbrt(value)


def test_the_record_of_a_transform_has_no_address_in_memory():
    gamma = xm.Param(-0.5, bounds=(None, -0.1), transform=Cubic())
    fit = fitter("scipy", gamma=gamma).fit(recorded(-1.3), n_steps=1)
    assert " at 0x" not in fit.attrs["configuration"]


def test_a_store_is_of_one_target_one_objective_and_one_way_to_cut_it(tmp_path):
    target = recorded(by_subject([-0.4, -1.3, -2.0], ["a", "b", "c"]))
    options = dict(n_steps=2, store=tmp_path / "fit.zarr")
    first = fitter("grid").fit(target, **options).load()
    xr.testing.assert_identical(fitter("grid").fit(target, **options).load(), first)  # the seed is that of the store
    with pytest.raises(ValueError, match=r"another fit.*target\.x"):
        fitter("grid").fit(recorded(by_subject([-0.4, -1.3, -1.0], ["a", "b", "c"])), **options)
    rmse = xm.objectives.timeseries_rmse()
    with pytest.raises(ValueError, match=r"another fit.*objective"):
        fitter("grid", objective=xm.objectives.combine(rmse, rmse, name=rmse.name)).fit(target, **options)

    def stop(now):
        if stop.count == 3:
            raise RuntimeError("killed")
        stop.count += 1

    stop.count = 0
    options = dict(n_steps=2, seed=0, store=tmp_path / "parts.zarr")
    with pytest.raises(RuntimeError, match="killed"):
        fitter("grid").fit(target, chunks={"subject": 1}, callbacks=[stop], **options)
    with pytest.raises(ValueError, match=r"in 3 parts.*chunks="):
        fitter("grid").fit(target, chunks={"subject": 2}, **options)
    again = fitter("grid").fit(target, chunks={"subject": 1}, **options)
    np.testing.assert_array_equal(again.gamma, first.gamma)


def test_a_fit_without_parameters_harms_neither_the_derived_ones_nor_the_prediction():
    def strict(q):
        b = q["b"]
        if not isinstance(b.data, (np.ndarray, float)) and "Tracer" not in type(b.data).__name__:
            assert np.isfinite(np.asarray(b.data)).all()
        return b

    target = recorded(by_subject([-1.3, -0.4], ["a", "b"]))
    target["x"] = target.x.where(target.subject != "b")
    fit = fitter("grid", gamma=-1.0, search={"b": FREE}, derive={"gamma": strict}).fit(target, n_steps=1, seed=0, predict=True)
    assert fit.diverged.values.tolist() == [False, True]
    assert not bool(fit.at_bound.any())
    for name in ("b", "gamma", "x"):
        assert bool(fit[name].isel(subject=0).notnull().all()), name
        assert bool(fit[name].isel(subject=1).isnull().all()), name


@pytest.mark.parametrize("derived", [lambda q: q["b"].mean("subject"), lambda q: q["b"] - q["b"].mean() - 1.0])
def test_derived_parameters_that_mix_fits_are_refused(derived):
    with pytest.raises(ValueError, match="mixes what is fitted apart"):
        fitter("grid", gamma=-1.0, search={"b": FREE}, derive={"gamma": derived}).fit(recorded(by_subject([-1.3, -0.4], ["a", "b"])))


def test_a_derived_parameter_may_be_reduced_over_its_own_dims_and_be_constant():
    parts = xr.DataArray([-0.2, -0.8], dims="region")
    derive = {"total": lambda q: q["b"].sum("region"), "gamma": lambda q: q["total"], "initial.x": lambda q: xr.DataArray(0.0)}
    search = {"b": xm.Param(parts, bounds=(-3.0, -0.1))}
    run = {k: v for k, v in RELAX.items() if k != "initial"} | {"inputs": {"x": 2.0}}
    sim = xm.Simulator(xm.LinearStep(gamma=-1.0), dt=0.1, precision="float64", regions=2)
    target = sim.run(params=xr.Dataset({"gamma": by_subject([-1.0, -1.0], ["a", "b"])}), **run)
    fit = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), backend="grid", run=run, search=search, derive=derive).fit(
        target, n_steps=1, seed=0
    )
    np.testing.assert_allclose(fit.gamma, fit.b.sum("region"))
    assert fit.gamma.dims == ("subject",)


@pytest.mark.parametrize(
    ("search", "derive"),
    [
        ({"b": FREE}, {"gamma": lambda q: q["b"] * xr.DataArray([1.0, 2.0], dims="dose")}),
        ({"gamma": xm.Param(xr.DataArray([-1.0, -2.0], dims="dose"), bounds=(-3.0, -0.1))}, {}),
    ],
)
def test_a_parameter_with_a_dim_that_the_recordings_lack_is_refused(search, derive):
    with pytest.raises(ValueError, match=r"\['gamma'\] has the dim 'dose'.*average.*expand_dims"):
        fitter("grid", gamma=-1.0, search=search, derive=derive).fit(recorded(-1.0))
    # with that dim the recordings are fitted one by one
    both = recorded(xr.DataArray([-0.5, -1.0], dims="dose"))
    fit = fitter("grid", gamma=-1.0, search=search, derive=derive).fit(both, n_steps=3, seed=0)
    np.testing.assert_allclose(fit.gamma, [-0.5, -1.0], atol=0.03)  # a step of the last level is 0.0116, times 2


def test_the_name_of_an_objective_is_no_objective():
    with pytest.raises(TypeError, match=r"xm\.objectives\.fc_corr\(\)"):
        fitter("grid", objective="fc_corr")
