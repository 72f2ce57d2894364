"""Readouts that are kept and read again, and hyper-parameters with dims: each run is what it would be alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Lasso, LogisticRegression

import xmass as xm
from xmass.training import LMS, NVAR, RLS, Reservoir, Ridge, Trained, TrainedGrid, load_trained


@pytest.fixture(scope="module")
def ds():
    made = xm.datasets.lorenz(duration=4.0)
    return made.assign({k: v.assign_attrs(units="mV") for k, v in made.items()})


@pytest.mark.parametrize(
    ("layer", "readout"),
    [
        (NVAR(delay=2, stride=3, orders=[2, 3], constant=True), Ridge(alpha=1e-3)),
        (NVAR(delay=1), Ridge(alpha=xr.DataArray([1e-3, 1.0], dims="alpha"))),
        (NVAR(delay=1), Ridge(alpha=xr.DataArray([1e-3, 1.0], dims="alpha"), cv="loo")),
        (Reservoir(units=20, input_scaling=[0.1, 0.2, 0.3], leak_at="input", washout=10), LMS(rate=0.01)),
        (NVAR(delay=1), RLS()),
        (NVAR(delay=1), Lasso(alpha=5.0)),
    ],
)
def test_a_saved_readout_is_the_same_readout(ds, layer, readout, tmp_path):
    model = layer.fit(ds, x=["x", "y", "z"], readout=readout)
    again = load_trained(model.save(tmp_path / "model.zarr"))
    assert isinstance(again, Trained)
    if model.estimator is None:
        xr.testing.assert_identical(again.predict(ds), model.predict(ds))
    else:
        xr.testing.assert_allclose(again.predict(ds), model.predict(ds), rtol=1e-9)
    xr.testing.assert_identical(again.weights, model.weights)
    xr.testing.assert_identical(again.history, model.history)
    assert again.layer == model.layer and again.path == model.path
    if model.path is None:
        xr.testing.assert_allclose(again.forecast(5, from_=ds), model.forecast(5, from_=ds), rtol=1e-9)
    model.save(tmp_path / "model.zarr")  # replaces its own


def test_columns_with_labels_come_back(tmp_path):
    u = xr.DataArray(np.random.default_rng(0).normal(size=(50, 2)), dims=("time", "region"), coords={"region": ["a", "b"]})
    ds = u.to_dataset(name="u")
    model = NVAR(delay=1).fit(ds, x="u", features="region")
    again = load_trained(model.save(tmp_path / "m.zarr"))
    xr.testing.assert_identical(again.predict(ds), model.predict(ds))
    with pytest.raises(ValueError, match="reorder"):
        again.predict(ds.isel(region=[1, 0]))


def test_what_cannot_be_stored_is_refused(ds, tmp_path):
    forest = NVAR(delay=1).fit(ds.isel(time=slice(0, 40)), x=["x", "y"], readout=RandomForestRegressor(n_estimators=2, random_state=0))
    with pytest.raises(TypeError, match=r"RandomForestRegressor.*cannot be saved without code"):
        forest.save(tmp_path / "m.zarr")
    data = ds.assign(up=(ds.x > 0).astype(float))
    classes = NVAR(delay=1).fit(data, x=["x"], y="up", readout=LogisticRegression())
    with pytest.raises(TypeError, match="cannot be saved without code"):  # it has coef_, but its predictions are classes
        classes.save(tmp_path / "m.zarr")
    (tmp_path / "notes").mkdir()
    model = NVAR(delay=1).fit(ds, x=["x"])
    with pytest.raises(FileExistsError, match="left as it is"):
        model.save(tmp_path / "notes")
    with pytest.raises(FileNotFoundError, match="nothing at"):
        load_trained(tmp_path / "absent")
    with pytest.raises(ValueError, match="no store"):
        load_trained(tmp_path / "notes")
    path = model.save(tmp_path / "m.zarr")
    document = json.loads((path / "zarr.json").read_text())
    said = json.loads(document["attributes"]["xmass.readout"])
    del said["models"][""]["outputs"]
    document["attributes"]["xmass.readout"] = json.dumps(said)
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="damaged"):
        load_trained(path)
    document["attributes"]["xmass.readout"] = json.dumps({**said, "version": 99})
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="later version"):
        load_trained(path)


def test_hyper_parameters_with_dims_are_runs(ds, tmp_path):
    leak = xr.DataArray([0.2, 0.9], dims="leak", coords={"leak": [0.2, 0.9]})
    radius = xr.DataArray([0.5, 0.8, 1.1], dims="rho", coords={"rho": [0.5, 0.8, 1.1]})
    options = {"units": 15, "input_scaling": 0.05, "washout": 20}
    layer = Reservoir(leak=leak, spectral_radius=radius, **options)
    model = layer.fit(ds, x=["x", "y", "z"])
    assert isinstance(model, TrainedGrid)
    said = model.predict(ds)
    assert said.x.dims == ("leak", "rho", "time") and model.weights.x.dims == ("leak", "rho", "feature")
    assert said.x.attrs["units"] == "mV"
    alone = Reservoir(leak=0.9, spectral_radius=0.8, **options).fit(ds, x=["x", "y", "z"])
    one = model.sel(leak=0.9, rho=0.8)
    for got, want in (
        (said.sel(leak=0.9, rho=0.8, drop=True), alone.predict(ds)),
        (model.weights.sel(leak=0.9, rho=0.8, drop=True), alone.weights),
        (model.history.sel(leak=0.9, rho=0.8, drop=True), alone.history),
        (one.predict(ds), alone.predict(ds)),
        (model.forecast(5, from_=ds).sel(leak=0.9, rho=0.8, drop=True), alone.forecast(5, from_=ds)),
    ):
        xr.testing.assert_identical(got, want)
    features = layer.transform(ds, x=["x", "y", "z"])
    np.testing.assert_array_equal(features.sel(leak=0.9, rho=0.8), alone.layer.transform(ds, x=["x", "y", "z"]))
    half = model.sel(leak=0.2)
    xr.testing.assert_identical(half.predict(ds), said.sel(leak=0.2))
    again = load_trained(model.save(tmp_path / "grid.zarr"))
    xr.testing.assert_identical(again.predict(ds), said)
    xr.testing.assert_identical(again.weights, model.weights)


def test_seeds_and_penalties_combine_and_wrong_dims_are_refused(ds):
    seeds = xr.DataArray([1, 2], dims="seed")
    alphas = xr.DataArray([1e-4, 1e-2], dims="alpha", coords={"alpha": [1e-4, 1e-2]})
    model = Reservoir(units=10, seed=seeds, washout=5).fit(ds, x="x", readout=Ridge(alpha=alphas))
    assert model.predict(ds).x.dims == ("seed", "alpha", "time")
    assert model.sel(alpha=1e-2).predict(ds).x.dims == ("seed", "time")
    assert not np.array_equal(*model.weights.x.values)
    with pytest.raises(ValueError, match="of the data: rename"):
        Reservoir(units=10, leak=xr.DataArray([0.1, 0.2], dims="time")).fit(ds, x="x")
    with pytest.raises(ValueError, match="other labels"):
        Reservoir(
            units=10,
            leak=xr.DataArray([0.1, 0.2], dims="a", coords={"a": [0, 1]}),
            noise=xr.DataArray([0.1, 0.2], dims="a", coords={"a": [1, 2]}),
        ).fit(ds, x="x")
    with pytest.raises(ValueError, match="leak"):
        Reservoir(leak=xr.DataArray([0.1, np.nan], dims="a"))
    with pytest.raises(ValueError, match="seed"):
        Reservoir(seed=xr.DataArray([0.5, 1.0], dims="a"))
