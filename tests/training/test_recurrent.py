"""Cells give the reference vectors, initial states are trained, initialisers have the variance that they name."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

import xmass as xm

t = xm.training
variance_scaling = jax.nn.initializers.variance_scaling


def one_step(layer, **values):
    """Records after one sample x = .5, in float64, of a layer of one unit; weights as numbers."""
    with jax.enable_x64(True):
        w = {name: jnp.full(spec.shape, values[name]) for name, spec in layer.weights(1).items()}
        return {n: float(v[0, 0, 0]) for n, v in jax.jit(lambda v: layer.run(v, jnp.full((1, 1, 1), 0.5), 1.0)[1])(w).items()}


def test_reference_vector_of_the_rnn():
    found = one_step(t.RNN(1, train_initial=True), input=0.3, recurrent=-0.4, bias=0.1, initial=0.2)
    assert found["h"] == pytest.approx(0.17, rel=1e-15)


def test_reference_vector_of_the_gru():
    # The reference has h = (1-z) h + z a, equinox (1-z) a + z h: its update gate is 1 - z, so these weights change sign. Of one unit it
    # makes no difference whether r comes before or after the matrix.
    weights = {"reset": (0.2, 0.5, 0.02), "update": (-0.1, -0.4, -0.01), "candidate": (0.3, 0.6, 0.03)}
    named = {f"{gate}_{what}": v for gate, row in weights.items() for what, v in zip(("input", "recurrent", "bias"), row, strict=True)}
    found = one_step(t.GRU(1, train_initial=True), initial=0.2, **named, candidate_recurrent_bias=0.0)
    assert found["h"] == pytest.approx(0.222304454946, rel=1e-11)  # as many digits as are given
    with_z = 0.2 + 0.534942945 * (0.241695017 - 0.2)
    assert found["h"] == pytest.approx(with_z, rel=1e-8)


def test_reference_vector_of_the_lstm():
    # The reference adds 1 to the forget gate when it runs; here that is where its bias starts.
    weights = {"write": (0.1, 0.4, 0.01), "candidate": (0.2, 0.5, 0.02), "forget": (0.3, 0.6, 1.03), "read": (0.4, 0.7, 0.04)}
    named = {f"{gate}_{what}": v for gate, row in weights.items() for what, v in zip(("input", "recurrent", "bias"), row, strict=True)}
    found = one_step(t.LSTM(1, train_initial=True), initial=0.2, initial_memory=0.3, **named)
    assert found == pytest.approx({"h": 0.200593625163, "c": 0.351575304408}, rel=1e-11)


def numpy_gru(w, x, units):
    h, s = np.zeros((x.shape[1], units)), lambda v: 1 / (1 + np.exp(-v))
    for u in x:
        r, z = (s(u @ w[f"{g}_input"] + h @ w[f"{g}_recurrent"] + w[f"{g}_bias"]) for g in ("reset", "update"))
        n = w["candidate_recurrent_bias"] + h @ w["candidate_recurrent"]
        n = np.tanh(u @ w["candidate_input"] + w["candidate_bias"] + r * n)
        h = (1 - z) * n + z * h
    return h


def numpy_lstm(w, x, units):
    h, c, s = np.zeros((x.shape[1], units)), 0.0, lambda v: 1 / (1 + np.exp(-v))
    for u in x:
        i, f, g, o = (u @ w[f"{n}_input"] + h @ w[f"{n}_recurrent"] + w[f"{n}_bias"] for n in ("write", "forget", "candidate", "read"))
        c = s(f) * c + s(i) * np.tanh(g)
        h = s(o) * np.tanh(c)
    return h


def numpy_rnn(w, x, units):
    h = np.zeros((x.shape[1], units))
    for u in x:
        h = np.tanh(u @ w["input"] + h @ w["recurrent"] + w["bias"])
    return h


CELLS = {"RNN": (t.RNN(4, activation="tanh"), numpy_rnn), "GRU": (t.GRU(4), numpy_gru), "LSTM": (t.LSTM(4), numpy_lstm)}


@pytest.mark.parametrize(("layer", "reference"), CELLS.values(), ids=CELLS)
def test_cells_of_several_units_are_those_written_out(layer, reference):
    rng = np.random.default_rng(0)
    w = {name: rng.normal(size=spec.shape) for name, spec in layer.weights(3).items()}
    x = rng.normal(size=(6, 2, 3))
    with jax.enable_x64(True):
        y = np.asarray(jax.jit(lambda v: layer.run(v, jnp.asarray(x), 1.0)[0][-1])({n: jnp.asarray(v) for n, v in w.items()}))
    np.testing.assert_allclose(y, reference(w, x, 4), rtol=1e-12)


TRAINED = [
    pytest.param(t.RNN(8, train_initial=True), id="RNN"),
    pytest.param(t.GRU(8, train_initial=True), id="GRU", marks=pytest.mark.long),
    pytest.param(t.LSTM(8, train_initial=True), id="LSTM", marks=pytest.mark.long),
]


@pytest.mark.parametrize("layer", TRAINED)
def test_the_initial_state_has_a_gradient_and_moves(layer):
    # The state before the first sample is inside the loss. Where an initial state is copied in beforehand, its gradient is 0 for ever.
    net = t.Sequential(layer, t.Linear(1))
    values = jax.jit(lambda key: net.init(2, key))(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 16, 2))
    loss = jax.jit(jax.value_and_grad(lambda v: jnp.mean((net.apply(v, x, 1.0)[0] - 1) ** 2)))
    initial = [path for path in values if ".initial" in path]
    before, first = loss(values)[0], values
    for _ in range(20):
        _, slopes = loss(values)
        values = {path: v - 0.1 * slopes[path] for path, v in values.items()}
    for path in initial:
        assert float(jnp.abs(loss(first)[1][path]).max()) > 1e-4
        assert float(jnp.abs(values[path] - first[path]).max()) > 1e-3
    assert len(initial) == (2 if isinstance(layer, t.LSTM) else 1)
    assert loss(values)[0] < before
    # one value for each unit, whatever the batch: a gradient for all series together
    assert all(values[path].shape == (8,) for path in initial)


@pytest.mark.long
@pytest.mark.parametrize("train_initial", [False, True])
def test_white_noise_integration(train_initial):
    # The published task: 3000 updates of 128 fresh trials. The total is nearly all L2: the mean squared error is told apart from it.
    trials, test = xm.datasets.white_noise_generator(), xm.datasets.white_noise_task(n_trials=1024, seed=1)
    losses = {"mse": t.MeanSquaredError(), "l2": t.L2(2e-4)}
    rate = optax.exponential_decay(0.025, 1, 0.99975)
    trainer = t.Trainer(t.Sequential(t.RNN(100, train_initial=train_initial), t.Linear()), losses, t.adam(eps_hat=0.1), rate)
    history = trainer.fit(trials, x="input", y="target", steps=3000, seed=xr.DataArray(np.arange(5), dims="seed"))
    total = history.loss.sel(split="train").isel(epoch=-1)
    error = ((trainer.predict(test).target - test.target) ** 2).mean(("trial", "time"))
    assert int(((total <= 0.0175) & (error < 2e-4)).sum()) >= 4
    assert float(history["loss.l2"].isel(epoch=-1).min()) > 0.9 * float(total.min())
    if train_initial:
        assert float(abs(trainer.weights["rnn.initial"]).max("rnn_unit").min()) > 1e-3


def test_scale_of_an_initialiser_is_a_variance_not_a_gain():
    # "kaiming(scale=20)" means a variance of 20 / inputs in one library and a gain, a standard deviation of 20 / sqrt(inputs), in another.
    # The initialisers of jax.nn take the variance; a gain g is the variance g^2. The standard deviation of n
    # numbers is off by 1/sqrt(2n), here 0.4 %.
    layer = t.Linear(400, init=variance_scaling(20.0, "fan_in", "truncated_normal"))
    drawn = t.Sequential(layer).init(100, jax.random.key(0))["linear.weight"]
    np.testing.assert_allclose(drawn.std(), np.sqrt(20 / 100), rtol=0.02)
    gain = t.Linear(400, init=variance_scaling(20.0**2, "fan_in", "normal"))
    np.testing.assert_allclose(t.Sequential(gain).init(100, jax.random.key(0))["linear.weight"].std(), 20 / np.sqrt(100), rtol=0.02)


@pytest.mark.long
def test_matrices_of_gates_are_drawn_apart_and_orthogonal():
    drawn = t.Sequential(t.GRU(6)).init(3, jax.random.key(0))
    reset, update = (np.asarray(drawn[f"gru.{gate}_recurrent"]) for gate in ("reset", "update"))
    np.testing.assert_allclose(reset @ reset.T, np.eye(6), atol=1e-5)
    assert np.abs(reset - update).max() > 0.1


@pytest.mark.parametrize(("how", "expected"), [("last", [3.0, 2.0]), ("max", [5.0, 2.0]), ("mean", [3.0, -1.0])])
def test_over_time(how, expected):
    series = jnp.asarray([[1.0, -5.0], [5.0, 0.0], [3.0, 2.0]])[:, None]
    assert t.OverTime(how).run({}, series, 1.0)[0].tolist() == [expected]


def ended(layer):
    net = t.Sequential(t.OverTime("last"), layer)
    return net.apply(net.init(2, jax.random.key(0)), jnp.ones((4, 3, 2)), 1.0)


REFUSED = {
    "no units": (lambda: t.RNN(0), ValueError, "units=0, needs a whole number, at least 1"),
    "half a unit": (lambda: t.GRU(2.5), ValueError, "units=2.5"),
    "a truth": (lambda: t.LSTM(True), ValueError, "units=True"),
    "text": (lambda: t.Linear("10"), ValueError, "units='10'"),
    "activation": (lambda: t.RNN(3, activation="rleu"), ValueError, "activation='rleu', needs one of 'relu', 'tanh' or a function"),
    "initialiser": (lambda: t.RNN(3, input_init=0.1), TypeError, r"input_init is 0.1.*constant\(0.1\)"),
    "a name": (lambda: t.Linear(3, init="glorot"), TypeError, "init is a str, needs a function"),
    "how": (lambda: t.OverTime("first"), ValueError, "how='first', needs one of 'last', 'max', 'mean'"),
    "no size": (lambda: t.Sequential(t.Linear(), t.RNN(3)).weights(2), ValueError, "Only the last layer"),
    "after the end": (lambda: ended(t.RNN(3)), ValueError, "RNN goes through time, and a layer before it ended time"),
    "ended twice": (lambda: ended(t.OverTime("max")), ValueError, "ended time already"),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_layer_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
