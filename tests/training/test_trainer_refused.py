"""What a hostile user gives a Trainer: refused by name, or right."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.training.test_trainer import LINEAR, MSE, along, linear_ds, sgd
from xmass.core.model import parameter
from xmass.training.sequential import Weight

t = xm.training


@pytest.fixture(scope="module")
def ds():
    return linear_ds()


class Gain(t.Layer):
    """A gain for everything, and one for each column."""

    gain: object = parameter(1.0, "1", "gain")

    def size(self, inputs):
        return inputs

    def weights(self, inputs):
        return {"own": Weight(("unit",), (inputs,), jax.nn.initializers.ones)}

    def run(self, w, x, dt):
        return self.gain * x * w["own"], {}


# ------------------------------------------------------------------------------------------------------------ classes
def test_one_column_is_no_class(ds):
    # softmax of one number is 1: the loss would be 0 and the accuracy 1, whatever the weights
    with pytest.raises(ValueError, match="CrossEntropy has one output"):
        t.Trainer(LINEAR, t.CrossEntropy()).fit(ds, x="u", y="z", epochs=1)
    with pytest.raises(ValueError, match="Accuracy has one output"):
        sgd(metrics={"accuracy": t.Accuracy()}).fit(ds, x="u", y="z", epochs=1)


def test_whole_numbers_are_classes_only_where_a_loss_says_so(ds):
    task = ds.assign(n=np.round(3 * ds.z).astype(int))
    with pytest.raises(ValueError, match="do not say whether they are classes"):
        sgd(loss=lambda output, target, weights: jnp.mean((output - target) ** 2)).fit(task, x="u", y="n", epochs=1)


def test_the_name_of_classes_is_taken(ds):
    task = ds.assign(match=("trial", np.arange(12) % 2)).assign_coords({"class": ("trial", np.arange(12))})
    with pytest.raises(ValueError, match=r"rename\(\{'class': 'kind'\}\)"):
        t.Trainer(t.Sequential(t.Linear(), t.OverTime()), t.CrossEntropy()).fit(task, x="u", y="match", epochs=1)


def test_label_smoothing_is_a_part():
    with pytest.raises(ValueError, match=r"label_smoothing=3\.0"):
        t.CrossEntropy(label_smoothing=3.0)


# ---------------------------------------------------------------------------------------------------------- generators
def test_generators_that_do_not_fit_are_refused():
    like = xr.Dataset({"u": (("trial", "time"), np.zeros((6, 4))), "k": (("trial",), np.array([0, 2, 0, 2, 0, 2]))})
    network = t.Sequential(t.Linear(), t.OverTime())

    def draw(key):
        return {"u": jax.random.normal(key, (6, 4)), "k": jnp.arange(6) % 3}

    # 1 lies between the labels of like: it would have been taken for 2
    with pytest.raises(ValueError, match=r"makes k=1, .*classes=\{'k': \[0, 1, 2\]\}"):
        t.Trainer(network, t.CrossEntropy()).fit(t.Generator(draw, like), x="u", y="k", steps=1)
    with pytest.raises(KeyError, match="makes no 'k'"):
        t.Trainer(network, t.CrossEntropy()).fit(t.Generator(lambda key: {"u": draw(key)["u"]}, like), x="u", y="k", steps=1)
    with pytest.raises(TypeError, match=r"jax\.random and jax\.numpy"):
        t.Generator(lambda key: {"u": np.asarray(jax.random.normal(key, (6, 4)))}, like)


# ------------------------------------------------------------------------------------------------------- runs by label
@pytest.fixture(scope="module")
def two(ds):
    trainer = sgd(along("rate", [0.0, 0.5]))
    trainer.fit(ds, x="u", y="z", epochs=2)
    return trainer


def test_weights_to_start_from_go_to_runs_by_label(ds, two):
    again = sgd(along("rate", [0.0, 0.5]))
    again.fit(ds, x="u", y="z", epochs=1, initial=two.weights.isel(rate=[1, 0]))
    xr.testing.assert_identical(again.weights.sel(rate=0.0), two.weights.sel(rate=0.0))  # a rate of 0 leaves it where it was
    with pytest.raises(ValueError, match="needs the labels of the hyper-parameters"):
        sgd(along("rate", [0.0, 0.1])).fit(ds, x="u", y="z", epochs=1, initial=two.weights)
    # those that lack a dim of the runs count for all of it
    more = sgd(along("rate", [0.0, 0.5]), {"mse": MSE, "l2": t.L2(along("l2", [0.0, 0.1]))})
    more.fit(ds, x="u", y="z", epochs=1, initial=two.weights)
    for l2 in (0.0, 0.1):
        xr.testing.assert_equal(more.weights.sel(rate=0.0, l2=l2, drop=True), two.weights.sel(rate=0.0, drop=True))


def test_weights_to_start_from_go_to_columns_by_label(ds):
    start = xr.Dataset(
        {"linear.weight": (("linear_input", "linear_unit"), [[1.0], [2.0]]), "linear.bias": ("linear_unit", [0.5])},
        {"linear_input": ["u[b]", "u[a]"]},
    )
    trainer = sgd(0.0)
    trainer.fit(ds, x="u", y="z", epochs=1, initial=start)
    np.testing.assert_allclose(trainer.predict(ds).z, ds.u.values @ [2.0, 1.0] + 0.5, rtol=1e-12)
    with pytest.raises(ValueError, match="needs the columns of the data"):
        trainer.fit(ds, x="u", y="z", epochs=1, initial=start.assign_coords(linear_input=["u[a]", "u[c]"]))
    with pytest.raises(TypeError, match="initial is a dict"):
        trainer.fit(ds, x="u", y="z", epochs=1, initial={"linear.bias": 1.0})


def test_saved_weights_go_to_runs_by_label(ds, two, tmp_path):
    two.save(tmp_path / "two.zarr")
    turned = sgd(along("rate", [0.5, 0.0])).load(tmp_path / "two.zarr")
    xr.testing.assert_identical(turned.predict(ds).isel(rate=[1, 0]), two.predict(ds))
    with pytest.raises(ValueError, match="needs the labels"):
        sgd(along("rate", [3.0, 4.0])).load(tmp_path / "two.zarr")


# --------------------------------------------------------------------------------------------------------------- files
def damaged(path, kind, of):
    """Harm the largest file of values of an array."""
    file = max((p for p in Path(path, of).rglob("*") if p.is_file() and p.name != "zarr.json"), key=lambda p: p.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.unlink() if kind == "gone" else file.write_bytes(bytes(data) if kind == "flipped" else bytes(data[:-1]))


@pytest.mark.parametrize("kind", ["flipped", "cut", "gone"])
def test_damaged_weights_are_refused(two, tmp_path, kind):
    two.save(tmp_path / "two.zarr")
    damaged(tmp_path / "two.zarr", kind, "linear.weight")
    with pytest.raises(ValueError, match="damaged"):
        sgd(along("rate", [0.0, 0.5])).load(tmp_path / "two.zarr")


@pytest.mark.parametrize("kind", ["flipped", "cut", "gone"])
def test_a_damaged_readout_is_refused(tmp_path, kind):
    series = xr.Dataset({"x": ("time", np.sin(np.arange(40.0))), "y": ("time", np.cos(np.arange(40.0)))})
    path = t.NVAR(orders=[2]).fit(series, x=["x", "y"]).save(tmp_path / "readout.zarr")
    damaged(path, kind, "weights/x")
    with pytest.raises(ValueError, match="damaged"):
        t.load_trained(path)


def test_a_resumed_fit_reports_where_an_uninterrupted_one_does(ds, tmp_path):
    options = dict(x="u", y="z", validation=ds, report_every=3, checkpoint=tmp_path / "run.zarr", resume=True)
    sgd().fit(ds, epochs=4, **options)
    history = sgd().fit(ds, epochs=9, **options)
    assert history.step.values.tolist() == [3, 4, 6, 9]  # 4 is where the first one ended


# ---------------------------------------------------------------------------------------------------------------- layers
def test_one_sample_has_no_step_for_layers_that_use_time(ds):
    with pytest.raises(ValueError, match="time has one sample"):
        t.Trainer(t.LeakyReadout(), MSE).fit(ds.isel(time=[0]), x="u", y="z", epochs=1)


def test_a_layer_with_a_trained_parameter_is_not_frozen_in_part(ds):
    trainer = t.Trainer(t.Sequential(Gain(gain=xm.Param(1.0)), t.Linear()), MSE, frozen="gain")
    with pytest.raises(ValueError, match=r"gain\.gain is a Param, which is trained"):
        trainer.fit(ds, x="u", y="z", epochs=1)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (dict(features="electrod"), ValueError, "features names 'electrod'"),
        (dict(features="time"), ValueError, "that are not time"),
        (dict(callbacks=5), TypeError, "callbacks=5"),
        (dict(callbacks=["print"]), TypeError, "callbacks="),
    ],
)
def test_options_that_are_none_are_refused(ds, given, error, said):
    with pytest.raises(error, match=said):
        sgd().fit(ds, x="u", y="z", epochs=1, **given)


@pytest.mark.parametrize("name", ["a/b", "a.b"])
def test_names_of_layers_that_part_paths_are_refused(name):
    with pytest.raises(ValueError, match="a layer is named"):
        t.Sequential(t.Linear(name=name))
