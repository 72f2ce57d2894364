"""The Trainer: updates against closed forms, labels, classes, histories, runs side by side, and what it refuses."""

from __future__ import annotations

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr
from scipy.special import log_softmax

import xmass as xm
from xmass.training.optimizers import built
from xmass.training.sequential import Record

t = xm.training


def linear_ds(n=12, steps=4, seed=0):
    """A linear map of two inputs, with an offset and noise."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(n, steps, 2))
    z = u @ [0.5, -1.0] + 0.3 + 0.1 * rng.normal(size=(n, steps))
    coords = {"trial": 10 * np.arange(n), "time": ("time", 0.5 * np.arange(steps), {"units": "ms"}), "electrode": ["a", "b"]}
    return xr.Dataset({"u": (("trial", "time", "electrode"), u, {"units": "mV"}), "z": (("trial", "time"), z, {"units": "Hz"})}, coords)


@pytest.fixture(scope="module")
def ds():
    return linear_ds()


# Trainers of the same objects share what is compiled: compiling is most of the time of these tests.
LINEAR, MSE = t.Sequential(t.Linear()), t.MeanSquaredError()


def sgd(rate=0.1, loss=MSE, **options):
    return t.Trainer(LINEAR, loss, "sgd", rate, precision="float64", **options)


def first_weights(ds):
    """What a fit starts from: a learning rate of 0 leaves it there."""
    trainer = sgd(0.0)
    trainer.fit(ds, x="u", y="z", epochs=1, validation=ds)
    return trainer.weights


def gradient(ds, weights):
    """Of the mean square error of a linear layer, and that error."""
    w, b = weights["linear.weight"].values[:, 0], weights["linear.bias"].values[0]
    error = ds.u.values @ w + b - ds.z.values
    return 2 * np.einsum("bte,bt->e", ds.u.values, error) / error.size, 2 * error.mean(), (error**2).mean()


def test_an_update_is_that_of_the_closed_form(ds):
    start = first_weights(ds)
    gw, gb, loss = gradient(ds, start)
    trainer = sgd()
    history = trainer.fit(ds, x="u", y="z", epochs=1, validation=ds)
    np.testing.assert_allclose(trainer.weights["linear.weight"][:, 0], start["linear.weight"][:, 0] - 0.1 * gw, rtol=1e-12)
    np.testing.assert_allclose(trainer.weights["linear.bias"], start["linear.bias"] - 0.1 * gb, rtol=1e-12)
    np.testing.assert_allclose(history.gradient_norm, np.hypot(np.hypot(*gw), gb), rtol=1e-12)
    np.testing.assert_allclose(history.loss.sel(split="train"), loss, rtol=1e-12)


@pytest.mark.long
def test_clipping_keeps_the_direction_and_shortens_the_step(ds):
    start = first_weights(ds)
    gw, gb, _ = gradient(ds, start)
    norm = np.sqrt(np.sum(gw**2) + gb**2)
    trainer = sgd(1.0, clip=0.01)
    history = trainer.fit(ds, x="u", y="z", epochs=1)
    assert norm > 0.01 and float(history.gradient_norm[0]) == pytest.approx(norm)
    np.testing.assert_allclose(trainer.weights["linear.weight"][:, 0], start["linear.weight"][:, 0] - 0.01 * gw / norm, rtol=1e-10)


@pytest.mark.long
def test_training_ends_at_the_least_squares_solution(ds):
    trainer = t.Trainer(t.Linear(), t.MeanSquaredError(), optax.adam, optax.cosine_decay_schedule(0.1, 1500), precision="float64")
    history = trainer.fit(ds, x="u", y="z", epochs=500, batch_size=4, report_every=500)
    table = np.concatenate([ds.u.values.reshape(-1, 2), np.ones((48, 1))], axis=1)
    exact = np.linalg.lstsq(table, ds.z.values.ravel(), rcond=None)[0]
    # batches of 4 trials leave a noise of the size of the last steps
    np.testing.assert_allclose([*trainer.weights["linear.weight"][:, 0], *trainer.weights["linear.bias"]], exact, atol=2e-3)
    assert history.sizes["epoch"] == 1 and int(history.step[0]) == 1500


# ------------------------------------------------------------------------------------------------- section 9 of the specification
def test_adam_form_of_epsilon_is_explicit():
    # item 2; reference vector of section 7: rate .025 * .99975^(t-1), gradients .5, -.2, .1 from 1
    def after(optimizer):
        with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
            chain = built(optimizer, lambda i: 0.025 * 0.99975**i, np.dtype("float64"))
            theta = jnp.asarray(1.0, jnp.float64)
            state = chain.init(theta)
            for g in (0.5, -0.2, 0.1):
                change, state = chain.update(jnp.asarray(g, jnp.float64), state, theta)
                theta = theta + change
        return float(theta)

    assert after(t.adam(eps_hat=0.1)) == pytest.approx(0.9939318354066, abs=5e-14)
    assert after(t.adam(eps=0.1)) == pytest.approx(0.9651238186101, abs=5e-14)
    with pytest.raises(ValueError, match="another form"):
        t.adam(eps=0.1, eps_hat=0.1)


@pytest.fixture(scope="module")
def several(ds):
    """A fit with several terms, a schedule, and a last batch of two samples."""
    loss = {"mse": MSE, "l2": t.L2(0.5), "l1": t.L1(2.0)}
    trainer = sgd(optax.exponential_decay(0.01, 1, 0.5), loss, metrics={"r2": t.R2()})
    return trainer, trainer.fit(ds, x="u", y="z", epochs=3, batch_size=5, validation=ds)


def test_loss_is_reported_apart_from_regularisers(ds, several):
    # item 10: each term by its own closed form, and their sum
    trainer, history = several
    w = np.append(trainer.weights["linear.weight"].values, trainer.weights["linear.bias"].values)
    last = history.isel(epoch=-1).sel(split="validation")
    assert float(last["loss.mse"]) == pytest.approx(gradient(ds, trainer.weights)[2], rel=1e-12)
    assert float(last["loss.l2"]) == pytest.approx(0.5 * np.sum(w**2), rel=1e-12)
    assert float(last["loss.l1"]) == pytest.approx(2.0 * np.sum(np.abs(w)), rel=1e-12)
    np.testing.assert_allclose(history.loss, history["loss.mse"] + history["loss.l2"] + history["loss.l1"], rtol=1e-12)
    exact = 1 - float(last["loss.mse"]) / float(ds.z.var())
    assert float(last.r2) == pytest.approx(exact, rel=1e-10)
    evaluated = trainer.evaluate(ds)
    assert all(float(evaluated[name]) == pytest.approx(float(last[name]), rel=1e-12) for name in evaluated)


def test_fit_returns_its_history(several):
    # item 11, and the rate of update t is schedule(t - 1)
    _, history = several
    assert history.loss.dims == ("epoch", "split") and history.attrs["status"] == "finished"
    assert {"loss", "r2", "learning_rate", "gradient_norm", "seconds", "step"} <= set(history.variables)
    np.testing.assert_array_equal(history.step, [3, 6, 9])
    # schedules of optax compute in float32 in part
    np.testing.assert_allclose(history.learning_rate, 0.01 * 0.5 ** (history.step.values - 1), rtol=1e-7)
    assert history.seconds.attrs["units"] == "s" and bool((history.seconds > 0).all())


# --------------------------------------------------------------------------------------------------------------- losses
def test_losses_are_those_of_the_books():
    rng = np.random.default_rng(1)
    z, k = rng.normal(size=(5, 3)).astype("float32"), np.array([0, 2, 1, 1, 0])
    exact = -log_softmax(z, axis=1)[np.arange(5), k]
    assert float(t.CrossEntropy()(jnp.asarray(z), jnp.asarray(k), {})) == pytest.approx(exact.mean(), rel=1e-6)
    spread = 0.8 * np.eye(3)[k] + 0.2 / 3
    smooth = -(spread * log_softmax(z, axis=1)).sum(axis=1).mean()
    assert float(t.CrossEntropy(label_smoothing=0.2)(jnp.asarray(z), jnp.asarray(k), {})) == pytest.approx(smooth, rel=1e-6)
    d = np.array([0.5, -3.0], "float32")
    assert float(t.Huber(delta=2.0)(jnp.asarray(d), jnp.zeros(2), {})) == pytest.approx((0.125 + 2 * (3 - 1)) / 2)
    assert float(t.MeanAbsoluteError(2.0)(jnp.asarray(d), jnp.zeros(2), {})) == pytest.approx(3.5)


# --------------------------------------------------------------------------------------------------------------- labels
def test_units_orders_and_batch_dims_do_not_matter(ds):
    trainer = sgd()
    trainer.fit(ds, x="u", y="z", epochs=2, validation=ds)
    said = trainer.predict(ds)
    assert said.z.attrs["units"] == "Hz" and said.z.dims == ("trial", "time")
    order = np.random.default_rng(0).permutation(12)
    xr.testing.assert_allclose(trainer.predict(ds.isel(trial=order)), said.isel(trial=order), rtol=1e-12)
    volts = ds.assign(u=(ds.u * 1e-3).assign_attrs(units="V"))
    xr.testing.assert_allclose(trainer.predict(volts), said, rtol=1e-12)
    halves = ds.drop_vars("trial").coarsen(trial=6).construct(trial=("half", "trial"))
    expected = said.drop_vars("trial").coarsen(trial=6).construct(trial=("half", "trial"))
    xr.testing.assert_allclose(trainer.predict(halves), expected, rtol=1e-12)
    assert trainer.predict(ds.isel(trial=0)).z.dims == ("time",)
    with pytest.raises(ValueError, match="reorder with"):
        trainer.predict(ds.isel(electrode=[1, 0]))
    assert list(trainer.weights.linear_input.values) == ["u[a]", "u[b]"]


@pytest.mark.long
def test_several_variables_are_learned_at_once(ds):
    more = ds.assign(first=ds.u.isel(electrode=0, drop=True), pair=ds.u * 2.0)
    trainer = sgd()
    trainer.fit(more, x=["first", "u"], y=["z", "pair"], features="electrode", epochs=1)
    said = trainer.predict(more)
    assert said.pair.dims == ("trial", "time", "electrode") and list(said.electrode.values) == ["a", "b"]
    assert trainer.weights["linear.weight"].shape == (3, 3)


def test_labels_are_classes(ds):
    kind = np.where(ds.z.mean("time") > 0.3, "up", "down")
    task = ds.assign(kind=("trial", kind))
    model = t.Sequential(t.Linear(), t.OverTime("mean"))
    trainer = t.Trainer(model, t.CrossEntropy(), learning_rate=0.1, metrics={"accuracy": t.Accuracy()})
    history = trainer.fit(task, x="u", y="kind", epochs=80, validation=task.isel(trial=slice(5)))
    said = trainer.predict(task)
    assert said.kind.dims == ("trial",) and said["kind.logit"].dims == ("trial", "class") and list(said["class"].values) == ["down", "up"]
    accuracy = float((said.kind == task.kind).mean())
    assert float(history.accuracy.sel(split="train")[-1]) == pytest.approx(accuracy, abs=1e-6) and accuracy > 0.9
    with pytest.raises(ValueError, match="has the label 'left', needs those of the fit"):
        trainer.evaluate(task.assign(kind=("trial", np.repeat("left", 12))))


def test_frozen_arrays_stay(ds):
    start = first_weights(ds)
    trainer = sgd(frozen="linear.bias")
    trainer.fit(ds, x="u", y="z", epochs=3, validation=ds)
    xr.testing.assert_identical(trainer.weights["linear.bias"], start["linear.bias"])
    assert not trainer.weights["linear.weight"].equals(start["linear.weight"])
    with pytest.raises(ValueError, match="no array or layer"):
        sgd(frozen="lin").fit(ds, x="u", y="z", epochs=1)


def test_a_fit_starts_from_given_weights(ds):
    trainer = sgd()
    whole = trainer.fit(ds, x="u", y="z", epochs=4, validation=ds)
    trainer.fit(ds, x="u", y="z", epochs=2, validation=ds)
    # plain gradient descent has no memory besides the weights
    rest = trainer.fit(ds, x="u", y="z", epochs=2, initial=trainer.weights, seed=5, validation=ds)
    np.testing.assert_allclose(rest.loss, whole.loss[2:], rtol=1e-12)


# ----------------------------------------------------------------------------------------------------------------- data
def test_dask_gives_what_memory_gives(ds):
    options = dict(x="u", y="z", epochs=2, batch_size=4, seed=3)
    whole, pieces = sgd(), sgd()
    expected = whole.fit(ds, validation=ds, **options)
    lazy = ds.chunk(trial=4)
    got = pieces.fit(lazy, **options)
    # another compiled program: the last bits may differ
    np.testing.assert_allclose(got.loss.sel(split="train"), expected.loss.sel(split="train"), rtol=1e-10)
    xr.testing.assert_allclose(pieces.weights, whole.weights, rtol=1e-10)
    xr.testing.assert_allclose(pieces.predict(lazy), whole.predict(ds), rtol=1e-10)
    with pytest.raises(ValueError, match="needs batch_size="):
        sgd().fit(lazy, x="u", y="z", epochs=1)


@pytest.mark.long
def test_validation_data_on_disk_are_measured_by_batch(ds):
    options = dict(x="u", y="z", epochs=2, batch_size=5, validation=ds, seed=3)
    lazy = {**options, "validation": ds.chunk(trial=3)}
    # means of batches, weighted by their sizes, are the mean of all
    xr.testing.assert_allclose(sgd().fit(ds.chunk(trial=4), **lazy).loss, sgd().fit(ds, **options).loss, rtol=1e-10)


def test_dask_never_has_all_in_memory():
    seen = []

    def block(values):
        seen.append(values.shape[0])
        return values

    big = linear_ds(n=24).chunk(trial=4)
    big = big.assign(u=big.u.copy(data=big.u.data.map_blocks(block, dtype=float, meta=np.zeros((0, 0, 0)))))
    sgd().fit(big, x="u", y="z", epochs=1, batch_size=4, shuffle=False)
    assert seen == [4] * 6  # each block once, one for each update


def test_a_generator_draws_a_fresh_batch_for_every_update():
    like = linear_ds(n=6).drop_vars("electrode")

    def draw(key):
        u = jax.random.uniform(key, (6, 4, 2), jnp.float64)
        return {"u": u, "z": u[..., 0] - u[..., 1]}

    with jax.enable_x64(True):
        generator = t.Generator(draw, like)
    trainer = sgd(0.0)
    history = trainer.fit(generator, x="u", y="z", steps=3, report_every=1)
    losses = []
    for k in range(3):
        with jax.enable_x64(True):
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 2), k)
            made = {n: np.asarray(v) for n, v in draw(key).items()}
        losses.append(gradient(like.copy(data=made), trainer.weights)[2])
    np.testing.assert_allclose(history.loss.sel(split="train"), losses, rtol=1e-12)
    assert len(set(losses)) == 3
    with pytest.raises(ValueError, match="of shape"):
        t.Generator(lambda key: {"u": jnp.zeros((1, 4, 2))}, like)


def test_fits_of_equal_shapes_compile_once(ds):
    trainer = sgd()
    trainer.fit(ds, x="u", y="z", epochs=3, batch_size=4, validation=ds)
    program = trainer._trained.program
    before = program.run_passes._cache_size(), program.first._cache_size()
    sgd(0.3).fit(ds.assign(z=ds.z * 2.0), x="u", y="z", epochs=5, batch_size=4, validation=ds, seed=1)
    assert (program.run_passes._cache_size(), program.first._cache_size()) == before
    assert trainer._trained.program is program


# ----------------------------------------------------------------------------------------------------------- stopping
def test_training_stops_early_and_keeps_the_best(ds):
    # the weights go from their start to those of ds, past the best ones for targets that are half way
    start = sgd(0.0)
    start.fit(ds, x="u", y="z", epochs=1, validation=ds)
    held = ds.assign(z=0.5 * ds.z + 0.5 * start.predict(ds).z)
    options = dict(x="u", y="z", epochs=60, validation=held, patience=2)
    best, last = sgd(), sgd()
    history = best.fit(ds, keep="best", **options)
    loss = history.loss.sel(split="validation")
    assert history.attrs["status"] == "stopped" and 4 < history.sizes["epoch"] < 60
    assert int(np.argmin(loss.values)) == history.sizes["epoch"] - 3
    assert float(best.evaluate(held).loss) == pytest.approx(float(loss.min()), rel=1e-12)
    last.fit(ds, keep="last", **options)
    assert float(last.evaluate(held).loss) == pytest.approx(float(loss[-1]), rel=1e-12)


def test_callbacks_see_the_fit_and_end_it(ds):
    seen = []

    def call(trainer, history):
        seen.append((history.sizes["epoch"], float(trainer.evaluate(ds).loss)))
        return len(seen) == 3

    history = sgd().fit(ds, x="u", y="z", epochs=9, validation=ds, callbacks=call)
    assert history.attrs["status"] == "stopped" and [n for n, _ in seen] == [1, 2, 3]
    np.testing.assert_allclose([v for _, v in seen], history.loss.sel(split="validation"), rtol=1e-12)


def test_ctrl_c_keeps_what_is_finished(ds):
    trainer = sgd()

    def call(trainer, history):
        if history.sizes["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(UserWarning, match="interrupted after 2 of 50 updates"):
        history = trainer.fit(ds, x="u", y="z", epochs=50, callbacks=call, validation=ds)
    assert history.attrs["status"] == "interrupted" and history.sizes["epoch"] == 2
    assert np.isfinite(trainer.predict(ds).z).all()


def test_divergence_keeps_the_last_good_weights(ds):
    trainer = sgd(1e200)
    with pytest.warns(RuntimeWarning, match="last good ones"):
        history = trainer.fit(ds, x="u", y="z", epochs=50, validation=ds)
    assert history.attrs["status"] == "diverged" and history.sizes["epoch"] < 50
    assert all(np.isfinite(v).all() for v in trainer.weights.data_vars.values())


# ----------------------------------------------------------------------------------------------------------------- runs
def along(name, values):
    return xr.DataArray(values, dims=name, coords={name: values})


def test_hyper_parameters_with_dims_train_all_runs_at_once(ds):
    rates, factors, seeds = [0.05, 0.1, 1e200], [0.0, 0.1], [0, 4]
    trainer = sgd(along("rate", rates), {"mse": MSE, "l2": t.L2(along("l2", factors))})
    with pytest.warns(RuntimeWarning, match="4 of 12 runs"):
        history = trainer.fit(ds, x="u", y="z", epochs=3, seed=along("seed", seeds))
    assert history.loss.dims == ("l2", "rate", "seed", "epoch", "split")
    assert trainer.predict(ds).z.dims == ("l2", "rate", "seed", "trial", "time")
    for seed in seeds:
        plain = sgd(0.0)
        plain.fit(ds, x="u", y="z", epochs=1, validation=ds, seed=seed)
        for l2, rate in ((0.0, 0.05), (0.1, 0.1)):
            w = plain.weights
            for k in range(3):  # by hand
                gw, gb, loss = gradient(ds, w)
                squares = float((w["linear.weight"] ** 2).sum() + (w["linear.bias"] ** 2).sum())
                said = history.loss.sel(l2=l2, rate=rate, seed=seed, split="train")[k]
                assert float(said) == pytest.approx(loss + l2 * squares, rel=1e-10)
                w = w.copy()
                w["linear.weight"][:, 0] -= rate * (gw + 2 * l2 * w["linear.weight"][:, 0])
                w["linear.bias"] -= rate * (gb + 2 * l2 * w["linear.bias"])
            found = trainer.weights.sel(l2=l2, rate=rate, seed=seed)
            np.testing.assert_allclose(found["linear.weight"], w["linear.weight"], rtol=1e-10)
    lost = history.sel(rate=1e200)
    assert np.isnan(lost.loss.isel(epoch=-1)).all() and np.isfinite(history.loss.sel(rate=[0.05, 0.1])).all()
    assert all(np.isfinite(v).all() for v in trainer.weights.data_vars.values())
    with pytest.raises(ValueError, match="'trial', which the data have"):
        sgd(along("trial", [0.1, 0.2])).fit(ds, x="u", y="z", epochs=1)


class Scale(t.Layer):
    """A gain for everything."""

    records = (Record("seen", "mV"),)
    gain: object = xm.core.model.parameter(1.0, "mV", "gain")

    def size(self, inputs):
        return inputs

    def run(self, w, x, dt):
        return self.gain * x, {"seen": x}


def test_a_parameter_is_trained_within_its_bounds(ds):
    # z = gain * w u; with w fixed at 1 the gain is that of the regression of z on u through the origin
    one = xr.Dataset({"u": ds.u.isel(electrode=0, drop=True), "z": 2.5 * ds.u.isel(electrode=0, drop=True)})
    start = xr.DataArray([1000.0, 6000.0], dims="start", attrs={"units": "uV"})
    trainer = t.Trainer(Scale(gain=xm.Param(start, bounds=(0.0, 10.0))), t.MeanSquaredError(), learning_rate=0.1, precision="float64")
    trainer.fit(one, x="u", y="z", epochs=200, report_every=200)
    np.testing.assert_allclose(trainer.weights["scale.gain"], 2.5, atol=1e-3)
    options = dict(x="u", y="z", epochs=200, report_every=200)
    assert (
        float(trainer.fit(one, initial=trainer.weights, **options).loss.max()) < 2e-3
    )  # goes on where it was; Adam moves a little even there
    seen = trainer.predict(one, record="seen")["scale.seen"]
    assert seen.dims == ("start", "trial", "time", "scale_unit") and seen.attrs["units"] == "mV"
    np.testing.assert_allclose(seen.isel(scale_unit=0, start=1), one.u, rtol=1e-12)
    with pytest.raises(ValueError, match="which no layer has"):
        trainer.predict(one, record="spike")
    assert trainer.weights["scale.gain"].attrs["units"] == "mV" and trainer.weights["scale.gain"].dims == ("start",)


# --------------------------------------------------------------------------------------------------------------- refusals
def broken(ds):
    nan = ds.z.copy(data=np.where(np.arange(4) == 2, np.nan, ds.z))
    return {
        "NaN target": (dict(ds=ds.assign(z=nan)), ValueError, "z has 12 values that are not finite"),
        "NaN input": (dict(ds=ds.assign(u=ds.u.where(ds.trial > 0))), ValueError, "u has 8 values that are not finite"),
        "no variable": (dict(x="v"), KeyError, "'v', which the Dataset has not"),
        "empty": (dict(ds=ds.isel(trial=slice(0))), ValueError, "needs samples"),
        "no time": (dict(ds=ds.isel(time=0)), ValueError, "none of which is time"),
        "uneven": (dict(ds=ds.isel(time=[0, 1, 3])), ValueError, "needs one step"),
        "batch_size": (dict(batch_size=0), ValueError, "batch_size=0"),
        "both": (dict(steps=3), ValueError, "needs one of the two"),
        "validation": (dict(validation=ds.drop_vars("z")), KeyError, "no 'z'"),
        "validation step": (dict(validation=ds.assign_coords(time=ds.time * 2)), ValueError, "needs 0.5 as in the fit"),
        "seed": (dict(seed=-1), ValueError, "seed=-1"),
        "report_every": (dict(report_every=0), ValueError, "report_every=0"),
        "initial": (dict(initial=xr.Dataset({"linear.w": 1.0})), ValueError, "no array of the network"),
    }


CASES = list(broken(linear_ds()))


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_refused(ds, case):
    given, error, said = broken(ds)[case]
    with pytest.raises(error, match=said):
        sgd().fit(**{"ds": ds, "x": "u", "y": "z", "epochs": 1} | given)


def test_networks_that_do_not_fit_the_targets_are_refused(ds):
    with pytest.raises(ValueError, match=r"2 outputs, needs 1 columns of \['z'\]"):
        t.Trainer(t.Linear(2), t.MeanSquaredError()).fit(ds, x="u", y="z", epochs=1)
    with pytest.raises(ValueError, match="OverTime"):
        t.Trainer(t.Linear(), t.MeanSquaredError()).fit(ds.assign(m=ds.z.mean("time")), x="u", y="m", epochs=1)
    with pytest.raises(ValueError, match="needs one number"):
        t.Trainer(t.Linear(), lambda output, target, weights: output - target).fit(ds, x="u", y="z", epochs=1)
    with pytest.raises(ValueError, match="learning_rate= with an optimizer"):
        t.Trainer(LINEAR, MSE, optax.sgd(0.1), 0.1).fit(ds, x="u", y="z", epochs=1)
    with pytest.raises(ValueError, match="not trained yet"):
        t.Trainer(t.Linear(), t.MeanSquaredError()).predict(ds)
    trainer = sgd()
    trainer.fit(ds, x="u", y="z", epochs=1, validation=ds)
    with pytest.raises(KeyError, match="no 'u'"):
        trainer.predict(ds.drop_vars("u"))
    with pytest.raises(ValueError, match=r"needs 0\.5 as in the fit"):
        trainer.predict(ds.assign_coords(time=ds.time * 3))
