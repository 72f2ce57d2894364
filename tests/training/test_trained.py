"""Fit, predict and forecast: labels, batches, readouts, errors."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.training import NVAR, RLS, Reservoir, Ridge, forecast_pairs

LAYERS = {"nvar": NVAR(delay=2, orders=[2]), "reservoir": Reservoir(units=40, input_scaling=0.05, washout=50)}


@pytest.fixture(scope="module")
def ds():
    return xm.datasets.lorenz(duration=20.0)


class Plain:
    """The least that a readout of one's own has."""

    def fit(self, X, Y):
        self.solved = Ridge(alpha=1e-2).solve(X, Y)
        return self

    def predict(self, X):
        return X @ self.solved.weights[0] + self.solved.intercept[0]


def test_a_linear_map_is_found_and_continued_exactly():
    # A rotation is linear: one delay, no product. The forecast is the closed form.
    t = np.arange(200) * 0.1
    wave = xr.Dataset({"c": ("time", np.cos(t), {"units": "mV"}), "s": ("time", np.sin(t), {"units": "mV"})}, coords={"time": t})
    model = NVAR(delay=1, orders=()).fit(wave, x=["c", "s"], readout=Ridge(alpha=0.0))
    np.testing.assert_allclose(model.weights.c, [np.cos(0.1), -np.sin(0.1)], atol=1e-12)
    ahead = model.forecast(50, from_=wave)
    np.testing.assert_allclose(ahead.c, np.cos(t[-1] + 0.1 * np.arange(1, 51)), atol=1e-10)
    np.testing.assert_allclose(ahead.time, t[-1] + 0.1 * np.arange(1, 51))
    assert ahead.c.attrs["units"] == "mV"


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("target", ["state", "increment"])
def test_a_forecast_is_one_prediction_after_the_other(ds, layer, target):
    model = layer.fit(ds, x=["x", "y", "z"], target=target)
    past = ds.isel(time=slice(0, 300))
    got = model.forecast(4, from_=past)
    for k in range(4):
        step = model.predict(past).isel(time=[-1])
        # the last bits of a sum over features differ between numpy and the compiled loop, and grow by the dynamics
        xr.testing.assert_allclose(got.isel(time=[k]), step, rtol=1e-7)
        past = xr.concat([past, step], "time")


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_predictions_bear_the_time_that_they_are_for(ds, layer):
    model = layer.fit(ds, x=["x", "y", "z"])
    said = model.predict(ds)
    assert float(said.time[-1]) == pytest.approx(20.01) and said.sizes["time"] == ds.sizes["time"] - layer.memory
    error = said - ds  # by label: the last one, beyond the data, drops out
    assert error.sizes["time"] == said.sizes["time"] - 1
    assert float((error.x**2).mean()) == pytest.approx(float(((said.x[:-1].values - ds.x.values[layer.memory + 1 :]) ** 2).mean()))
    with_y = layer.fit(forecast_pairs(ds), x=["x", "y", "z"], y="x_ahead").predict(ds)
    assert float(with_y.time[0]) == float(ds.time[layer.memory]) and with_y.x_ahead.dims == ("time", "horizon")


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_series_of_a_batch_share_no_memory(ds, layer):
    parts = [ds.isel(time=slice(600 * i, 600 * (i + 1))).assign_coords(time=ds.time[:600]) for i in range(3)]
    batch = xr.concat(parts, "subject").assign_coords(subject=["a", "b", "c"])
    model = layer.fit(batch, x=["x", "y", "z"])
    said, ahead = model.predict(batch), model.forecast(5, from_=batch)
    assert said.x.dims == ("subject", "time") and list(ahead.subject) == ["a", "b", "c"]
    for name, part in zip("abc", parts, strict=True):
        xr.testing.assert_allclose(said.sel(subject=name, drop=True), model.predict(part), rtol=1e-10)
        xr.testing.assert_allclose(ahead.sel(subject=name, drop=True), model.forecast(5, from_=part), rtol=1e-9)


def test_a_path_is_a_dim_and_cross_validation_chooses(ds):
    alphas = xr.DataArray([1e-6, 1e-2, 1e6], dims="alpha")
    layer, pairs = NVAR(orders=[2]), forecast_pairs(ds, horizon=[1, 10])
    options = dict(x=["x", "y", "z"], y=["x_ahead", "z_ahead"])
    path = layer.fit(pairs, readout=Ridge(alpha=alphas), **options)
    said = path.predict(pairs)
    assert said.x_ahead.dims == ("alpha", "time", "horizon")
    for a in alphas.values:
        alone = layer.fit(pairs, readout=Ridge(alpha=float(a)), **options)
        xr.testing.assert_allclose(said.sel(alpha=a, drop=True), alone.predict(pairs), rtol=1e-7)
        xr.testing.assert_allclose(path.sel(alpha=a).predict(pairs), alone.predict(pairs), rtol=1e-7)
    chosen = layer.fit(pairs, readout=Ridge(alpha=alphas, cv=5), **options)
    assert chosen.history["cv_error.x_ahead"].dims == ("alpha", "horizon")
    total = chosen.history["cv_error.x_ahead"].sum("horizon") + chosen.history["cv_error.z_ahead"].sum("horizon")
    assert float(chosen.history.chosen) == float(alphas[int(total.values.argmin())]) < 1e6
    assert chosen.predict(pairs).x_ahead.dims == ("time", "horizon")
    with pytest.raises(ValueError, match="model\\.sel"):
        layer.fit(ds, x=["x", "y", "z"], readout=Ridge(alpha=alphas)).forecast(3, from_=ds)


def test_stacked_features_are_the_variables(ds):
    stacked = ds.to_dataarray("feature").transpose("time", "feature").to_dataset(name="u")
    one = NVAR(orders=[2]).fit(stacked, x="u")
    many = NVAR(orders=[2]).fit(ds, x=["x", "y", "z"])
    assert "u[x](t) u[y](t)" in one.weights.feature.values and one.weights.u.dims == ("feature", "feature_out")
    np.testing.assert_allclose(one.forecast(5, from_=stacked).u.sel(feature="y"), many.forecast(5, from_=ds).y, rtol=1e-9)


def test_any_estimator_is_a_readout(ds):
    layer = NVAR(orders=[2])
    own, ridge = (layer.fit(ds, x=["x", "y", "z"], readout=r) for r in (Plain(), Ridge(alpha=1e-2)))
    np.testing.assert_allclose(own.predict(ds).x, ridge.predict(ds).x, rtol=1e-10)
    np.testing.assert_allclose(own.forecast(5, from_=ds).x, ridge.forecast(5, from_=ds).x, rtol=1e-8)  # rounding, grown
    linear = pytest.importorskip("sklearn.linear_model")
    same = layer.fit(ds, x=["x", "y", "z"], readout=linear.Ridge(alpha=1.0))
    want = layer.fit(ds, x=["x", "y", "z"], readout=Ridge(alpha=1.0))
    np.testing.assert_allclose(same.weights.x, want.weights.x, rtol=1e-4, atol=1e-7)  # it solves the normal equations
    given = linear.Lasso(alpha=2.0)
    sparse = NVAR(delay=1, orders=[2]).fit(ds, x=["x", "y"], y="z", readout=given)
    assert not hasattr(given, "coef_")  # a copy was fitted
    assert sparse.predict(ds).z.dims == ("time",) and sparse.weights.z.dims == ("feature",)
    with pytest.raises(TypeError, match="needs an object"):
        layer.fit(ds, x="x", readout=Ridge)
    with pytest.raises(TypeError, match="fit\\(X, Y\\) and predict"):
        layer.fit(ds, x="x", readout=3)


def test_item_04_alpha_of_rls_is_a_penalty(ds):
    short, names = ds.isel(time=slice(0, 400)), ["x", "y", "z"]
    layer = NVAR(delay=1, orders=[2])
    for alpha in (1.0, 100.0):
        online = layer.fit(short, x=names, readout=RLS(alpha=alpha))
        batch = layer.fit(short, x=names, readout=Ridge(alpha=alpha, penalize_intercept=True))
        np.testing.assert_allclose(online.weights.x, batch.weights.x, rtol=1e-6, atol=1e-8)  # 400 updates against one solution
        np.testing.assert_allclose(online.weights["x.intercept"], batch.weights["x.intercept"], rtol=1e-6)
    assert online.history.error.dims == ("time",)


def test_item_11_fit_returns_the_model_its_weights_and_its_history(ds):
    model = NVAR(orders=[2]).fit(ds, x=["x", "y"])
    assert set(model.weights) == {"x", "x.intercept", "y", "y.intercept"}
    said, truth = model.predict(ds), ds[["x", "y"]]
    want = ((said - truth) ** 2).mean().to_dataarray().mean()
    np.testing.assert_allclose(model.history.error, want, rtol=1e-6)
    features = NVAR(orders=[2]).transform(ds, x=["x", "y"])
    by_hand = features.dot(model.weights.x, "feature") + model.weights["x.intercept"]
    np.testing.assert_allclose(by_hand[1:], said.x, rtol=1e-9)


def test_forgetting_follows_a_change_and_every_skips():
    t = np.arange(400)
    rng = np.random.default_rng(0)
    u = rng.normal(size=400)
    data = xr.Dataset({"u": ("time", u), "y": ("time", np.where(t < 200, 2.0, -1.0) * u)}, coords={"time": t})
    ends = {f: float(NVAR(delay=1, orders=()).fit(data, x="u", y="y", readout=RLS(forgetting=f)).weights.y[0]) for f in (1.0, 0.9)}
    assert abs(ends[0.9] + 1) < 1e-3 and 0.2 < ends[1.0] < 0.8  # the mean of both
    fewer = NVAR(delay=1, orders=()).fit(data, x="u", y="y", readout=RLS(every=400)).weights.y
    np.testing.assert_allclose(fewer, [2 * u[0] ** 2 / (2 + u[0] ** 2)], rtol=1e-12)  # one sample, with a 1 for the intercept


def test_force_holds_a_rhythm():
    t = np.arange(3000) * 0.1
    wave = xr.Dataset({"u": ("time", np.sin(t))}, coords={"time": t})
    layer = Reservoir(units=100, leak=0.3, spectral_radius=1.2, bias_scaling=0.2, washout=50, seed=1)
    model = layer.fit(wave, x="u", readout=RLS(alpha=1.0, force=True))
    assert float(model.history.error[-300:].mean()) < 5e-3  # 1 % of the variance
    free = model.forecast(300, from_=wave.isel(time=slice(0, 2000))).u
    np.testing.assert_allclose(free, np.sin(t[2000:2300]), atol=0.1)
    with pytest.raises(ValueError, match="Leave y out"):
        layer.fit(wave.assign(y=wave.u), x="u", y="y", readout=RLS(force=True))


def test_a_forecast_that_blows_up_says_so(ds):
    # The spurious modes of NVAR on exact data: almost no penalty, one step ahead perfect, unstable in the loop.
    model = NVAR(orders=[2]).fit(ds, x=["x", "y", "z"], readout=Ridge(alpha=1e-8))
    with pytest.warns(RuntimeWarning, match="not finite.*larger penalty"):
        model.forecast(1000, from_=ds)


def test_units_are_converted_and_checked(ds):
    volts = ds.assign({k: v.assign_attrs(units="mV") for k, v in ds.items()})
    model = NVAR(orders=[2]).fit(volts, x=["x", "y", "z"])
    other = volts.assign(x=(volts.x / 1000).assign_attrs(units="V"))
    np.testing.assert_allclose(model.predict(other).x, model.predict(volts).x, rtol=1e-9)
    with pytest.raises(ValueError, match="x came in ms"):
        model.predict(volts.assign(x=volts.x.assign_attrs(units="ms")))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda d: d.drop_vars("y"), KeyError, "has no \\['y'\\]"),
        (lambda d: d.isel(time=slice(None, None, 2)), ValueError, "steps of 0.02, needs 0.01"),
        (lambda d: d.isel(time=slice(0, 0)), ValueError, "is empty"),
        (lambda d: d.isel(time=slice(0, 1)), ValueError, "warm-up"),
        (lambda d: d.assign(x=d.x.where(d.time > 1)), ValueError, "not finite"),
        (lambda d: d.rename(time="t").drop_vars("t"), ValueError, "none of which is time"),
        (lambda d: d.isel(time=[0, 1, 2, 5]), ValueError, "one step throughout"),
        (lambda d: d.assign_coords(time=d.time.assign_attrs(units="s")), ValueError, "needs '1' as in the fit"),
        (lambda d: d.x, TypeError, "needs a Dataset"),
        (lambda d: d.assign(y=d.y.isel(time=0, drop=True)), ValueError, "expand_dims"),
    ],
)
def test_mistakes_of_predict_are_named(ds, change, error, message):
    model = NVAR(orders=[2]).fit(ds, x=["x", "y", "z"])
    with pytest.raises(error, match=message):
        model.predict(change(ds))
    with pytest.raises(error, match=message):
        model.forecast(2, from_=change(ds))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"x": "w"}, KeyError, "names 'w'"),
        ({"x": []}, ValueError, "x is empty"),
        ({"x": ["x", "x"]}, ValueError, "twice"),
        ({"x": "x", "y": "bad"}, ValueError, "not finite"),
        ({"x": "x", "target": "rate"}, ValueError, "'state' or 'increment'"),
        ({"x": "x", "y": "z", "target": "increment"}, ValueError, "Leave y out"),
        ({"x": "x", "washout": 10_000}, ValueError, "needs more"),
        ({"x": "x", "washout": -1}, ValueError, "0 or more"),
    ],
)
def test_mistakes_of_fit_are_named(ds, options, error, message):
    with pytest.raises(error, match=message):
        NVAR().fit(ds.assign(bad=ds.x.where(ds.x > 0)), **options)
    with pytest.raises(ValueError, match="without y"):
        NVAR().fit(ds, x="x", y="z").forecast(3, from_=ds)
    with pytest.raises(ValueError, match="n_steps=0"):
        NVAR().fit(ds, x="x").forecast(0, from_=ds)
