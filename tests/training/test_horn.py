"""The layer of oscillators is xm.HORNStep with recurrent weights, delays and a batch; the network learns delayed match."""

from __future__ import annotations

import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm

t = xm.training
STEPS, BATCH, UNITS = 30, 3, 4
SERIES = np.random.default_rng(0).normal(size=(STEPS, BATCH, 2))


def applied(layer, x=SERIES, dt=1.0, seed=0):
    """Positions, velocities and arrays of a layer in float64, biases not 0."""
    with jax.enable_x64(True):
        values = jax.jit(lambda key: t.Sequential(layer).init(2, key, jnp.float64))(jax.random.key(seed))
        values |= {p: v + 0.1 for p, v in values.items() if p.endswith("bias")}
        y, records = jax.jit(lambda v, x: t.Sequential(layer).apply(v, x, dt))(values, jnp.asarray(x))
        assert np.array_equal(y, records["hornseqlayer.x"])
        return np.asarray(y), np.asarray(records["hornseqlayer.y"]), {p.partition(".")[2]: np.asarray(v) for p, v in values.items()}


def written_out(w, series, *, h=1.0, alpha=0.04, omega=2 * np.pi / 28, gamma=0.01, v=0.0, lags=None, scale=1.0):
    """The equation of the paper, one series and one target at a time."""
    n, xs = w["recurrent"].shape[0], []
    lags = np.zeros((n, n), int) if lags is None else lags
    for s in np.swapaxes(series, 0, 1):
        x, y, past = np.zeros(n), np.zeros(n), []
        track = []
        for now in s:
            past.append(y)
            arrived = np.array(
                [sum(w["recurrent"][j, i] * past[-1 - lags[j, i]][j] for j in range(n) if lags[j, i] < len(past)) for i in range(n)]
            )
            into = now @ w["input"] + w["bias"] + (arrived + w["recurrent_bias"]) / scale
            y = y + h * (alpha * np.tanh(into + v * x) - 2 * gamma * y - omega**2 * x)
            x = x + h * y
            track.append(x)
        xs.append(track)
    return np.swapaxes(np.array(xs), 0, 1)


OTHER = {"alpha": 0.2, "omega": 0.4, "gamma": 0.05, "v": 0.3}
OPTIONS = {
    "defaults": ({}, {}),
    "parameters, step": (OTHER, OTHER | {"h": 0.5}),
    "rounded": ({"delay": 2.6, "rec_scale": "sqrt_n"}, {"lags": np.full((UNITS, UNITS), 3), "scale": 2.0}),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_the_layer_is_the_equation_written_out(options, expected):
    x, _, w = applied(xm.HORNSeqLayer(UNITS, **options), dt=expected.get("h", 1.0))
    np.testing.assert_allclose(x, written_out(w, SERIES, **expected), rtol=1e-12, atol=1e-14)


def test_delays_from_each_unit_to_each():
    lags = np.random.default_rng(1).integers(0, 7, (UNITS, UNITS))
    assert lags.min() == 0 and len(np.unique(lags)) > 3
    x, _, w = applied(xm.HORNSeqLayer(UNITS, delay=0.5 * lags), dt=0.5)
    np.testing.assert_allclose(x, written_out(w, SERIES, h=0.5, lags=lags), rtol=1e-12, atol=1e-14)
    labelled = xr.DataArray(0.5e-3 * lags.T, dims=("unit", "unit_from"), attrs={"units": "s"})  # by name, in seconds
    np.testing.assert_array_equal(applied(xm.HORNSeqLayer(UNITS, delay=labelled), dt=0.5)[0], x)


def test_one_oscillator_is_the_reference_vector():
    # HORN (x=.3, y=-.1, I=.5, h=1) -> x .20537814895, y -.09462185106: the first step gives the state, the second the vector.
    layer = xm.HORNSeqLayer(1)
    with jax.enable_x64(True):
        w = {n: jnp.zeros(s.shape) for n, s in layer.weights(1).items()} | {"input": jnp.ones((1, 1))}
        state = (jnp.full((1, 1), 0.3), jnp.full((1, 1), -0.1))
        (x, y), _, _ = layer.step(w, state, jnp.full((1, 1), 0.5), 1.0)
    assert (x.item(), y.item()) == pytest.approx((0.20537814895, -0.09462185106), rel=1e-9)


@pytest.mark.long
def test_uncoupled_oscillators_are_a_simulator():
    layer = xm.HORNSeqLayer(2, recurrent_init=jax.nn.initializers.zeros, input_init=lambda key, shape, dtype: jnp.eye(2, dtype=dtype))
    with jax.enable_x64(True):
        net = t.Sequential(layer)
        x = np.asarray(net.apply(net.init(2, jax.random.key(0), jnp.float64), jnp.asarray(SERIES), 1.0)[0])
    drive = xr.DataArray(SERIES, dims=("time", "batch", "region"), coords={"time": np.arange(STEPS) * 1.0, "region": ["p", "q"]})
    sc = xr.Dataset({"weights": (("region", "region_other"), np.zeros((2, 2)))}, {"region": ["p", "q"], "region_other": ["p", "q"]})
    run = xm.Simulator(xm.Network(xm.HORNStep(), sc), dt=1.0, precision="float64").run(STEPS, monitors=["x"], inputs={"I": drive})
    np.testing.assert_allclose(x, run.x.transpose("time", "batch", "region"), rtol=1e-12, atol=1e-15)


def test_a_batch_is_its_series_and_the_recurrent_sum_is_divided_by_the_square_root_of_n():
    # Two errors of another library: the batch was ignored at the start, and the 1/sqrt(n) of the paper was missing.
    layer = xm.HORNSeqLayer(9, rec_scale="sqrt_n", delay=2.0)
    x, _, w = applied(layer)
    alone = applied(layer, SERIES[:, [1]])[0]
    np.testing.assert_allclose(x[:, [1]], alone, rtol=1e-12, atol=1e-14)  # sums of matrix products in another order
    with jax.enable_x64(True):
        third = w | {name: w[name] / 3 for name in ("recurrent", "recurrent_bias")}
        run = jax.jit(lambda v: xm.HORNSeqLayer(9, delay=2.0).run(v, jnp.asarray(SERIES), 1.0)[0])
        np.testing.assert_allclose(x, run({n: jnp.asarray(v) for n, v in third.items()}), rtol=1e-12, atol=1e-14)
        assert np.abs(x - run({n: jnp.asarray(v) for n, v in w.items()})).max() > 1e-3


def test_oscillators_may_each_have_a_frequency():
    each = np.array([0.2, 0.3, 0.4])
    options = {"recurrent_init": jax.nn.initializers.zeros, "gamma": 0.02}
    x = applied(xm.HORNSeqLayer(3, omega=each, **options))[0]
    third = applied(xm.HORNSeqLayer(3, omega=0.4, **options))[0]
    np.testing.assert_array_equal(x[..., 2], third[..., 2])
    assert np.abs(x - third)[..., :2].max() > 1e-3


@pytest.mark.long
def test_gradients_with_delays_are_those_of_finite_differences():
    layer = xm.HORNSeqLayer(UNITS, alpha=0.3, delay=np.arange(16.0).reshape(4, 4) % 5)
    with jax.enable_x64(True):
        net = t.Sequential(layer)
        values = net.init(2, jax.random.key(0), jnp.float64) | {"hornseqlayer.omega": jnp.asarray(0.3)}
        loss = jax.jit(lambda v: jnp.sum(net.apply(v, jnp.asarray(SERIES), 1.0)[0] ** 2))
        slopes = jax.grad(loss)(values)
        for name, at in {"recurrent": (1, 2), "input": (0, 3), "omega": ()}.items():
            path, h = f"hornseqlayer.{name}", 1e-5
            up, down = (float(loss(values | {path: values[path].at[at].add(d)})) for d in (h, -h))
            np.testing.assert_allclose(slopes[path][at], (up - down) / (2 * h), rtol=1e-6)


def test_the_network_is_layers_and_a_readout_of_the_last_positions():
    net = xm.HORNSeqNetwork([5, 3], 2, alpha=0.2, delay=2 * u.ms)
    assert net.names == ("horn_0", "horn_1", "overtime", "readout")
    values = jax.jit(lambda key: net.init(2, key))(jax.random.key(0))
    y, records = jax.jit(lambda v: net.apply(v, jnp.asarray(SERIES, jnp.float32), 1.0))(values)
    assert y.shape == (BATCH, 2) and records["horn_0.y"].shape == (STEPS, BATCH, 5)
    expected = np.asarray(records["horn_1.x"])[-1] @ np.asarray(values["readout.weight"]) + np.asarray(values["readout.bias"])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-7)
    assert xm.HORNSeqNetwork(8).names == ("horn", "overtime", "readout")


@pytest.mark.long
def test_delayed_match_is_learned_in_twenty_epochs():
    # The task and figures of the published tutorial: 256 trials to train on, 64 to test, 20 epochs; all but one of 8 seeds must reach 1.
    ds = xm.datasets.delayed_match_task(n_trials=320, n_steps=8, n_symbols=2, seed=0)
    train, test = ds.isel(trial=slice(256)), ds.isel(trial=slice(256, None))
    trainer = t.Trainer(xm.HORNSeqNetwork(64, alpha=0.2), t.CrossEntropy(), "adam", 3e-2)
    seeds = xr.DataArray(np.arange(8), dims="seed")
    history = trainer.fit(train, x="stimulus", y="match", features="symbol", epochs=20, batch_size=32, seed=seeds)
    right = (trainer.predict(test).match == test.match).mean("trial")
    assert int((right == 1.0).sum()) >= 7
    assert float(history.loss.isel(epoch=-1).sel(split="train").max()) < 0.5  # chance is ln 2 = .69; the tutorial has .142
    x = trainer.predict(test, record="x")["horn.x"]
    assert set(x.dims) == {"seed", "trial", "time", "horn_unit"}


@pytest.mark.long
def test_a_parameter_with_a_dim_trains_all_its_values_at_once():
    ds = xm.datasets.delayed_match_task(n_trials=16, n_steps=8, n_symbols=2)
    given = {"x": "stimulus", "y": "match", "features": "symbol", "epochs": 2, "seed": 0}
    alpha = xr.DataArray([0.1, 0.4], dims="alpha", attrs={"units": "1/ms^2"})
    both = t.Trainer(xm.HORNSeqNetwork(8, alpha=alpha, delay=2.0), t.CrossEntropy()).fit(ds, **given)
    one = t.Trainer(xm.HORNSeqNetwork(8, alpha=0.4, delay=2.0), t.CrossEntropy()).fit(ds, **given)
    assert both.loss.dims[0] == "alpha"
    np.testing.assert_allclose(both.loss.isel(alpha=1), one.loss, rtol=1e-5)  # float32, sums in another order
    assert abs(float(both.loss[0, -1, 0] - both.loss[1, -1, 0])) > 1e-4


REFUSED = {
    "units": (lambda: xm.HORNSeqLayer(0), "units=0, needs a whole number"),
    "scale": (lambda: xm.HORNSeqLayer(3, rec_scale="n"), "rec_scale='n', needs one of 'none', 'sqrt_n'"),
    "one for each": (lambda: xm.HORNSeqLayer(3, omega=np.ones(2)), r"omega has shape \(2,\), needs one number, or an array of shape \(3,"),
    "trained array": (lambda: xm.HORNSeqLayer(2, omega=xm.Param(np.ones(2))), "a Param of shape"),
    "negative": (lambda: xm.HORNSeqLayer(3, delay=-1.0), "not negative"),
    "nan": (lambda: xm.HORNSeqLayer(3, delay=np.nan), "finite"),
    "unit of delay": (lambda: xm.HORNSeqLayer(3, delay=1 * u.mV), "delay came in mV, needs ms"),
    "shape": (lambda: xm.HORNSeqLayer(3, delay=np.ones((3, 2))), r"delay has shape \(3, 2\), needs \(3, 3\)"),
    "vector": (lambda: xm.HORNSeqLayer(3, delay=np.ones(3)), "needs one number of ms or a matrix"),
    "dims": (lambda: xm.HORNSeqLayer(2, delay=xr.DataArray(np.ones((2, 2)), dims=("a", "b"))), "needs .'unit_from', 'unit'.*rename"),
    "short": (lambda: applied(xm.HORNSeqLayer(3, delay=0.3)), "delay=0.3 ms is shorter than the time between samples, 1 ms"),
    "no layers": (lambda: xm.HORNSeqNetwork([]), "needs the oscillators of each layer"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_layer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
