"""Spiking layers against a loop in numpy, closed forms and the reference vectors; connectivity by what defines it."""

import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.core.model import declared_parameters, parameter_value, replace

t = xm.training
c = t.connectivity
ONE = {"weight": np.ones((1, 1))}


def series(values):
    """One input of one sample, over time."""
    return np.asarray(values, dtype=float).reshape(-1, 1, 1)


def ran(layer, w, x, dt=0.1):
    """Output and records in float64."""
    with jax.enable_x64(True):
        y, seen = jax.jit(lambda w, x: layer.run(w, x, dt))({k: jnp.asarray(v, float) for k, v in w.items()}, jnp.asarray(x))
        return np.asarray(y), {k: np.asarray(v) for k, v in seen.items()}


def loop(layer, w, x, dt):
    """The same network step by step, as the equations are written, by explicit exponentials and one state at a time."""
    at = {d.name: parameter_value(layer, d.name) for d in declared_parameters(layer)}
    soft, alif = layer.reset == "soft", isinstance(layer, t.ALIF)
    batch, units = x.shape[1], layer.units
    g, h, a, s = (np.zeros((batch, units)) for _ in range(4))
    v = np.full((batch, units), at["v_rest"])
    last = np.full((batch, units), -np.inf)
    matrix, inner = w["weight"] * w.get("mask", 1), w.get("recurrent", np.zeros((units, units))) * w.get("recurrent_mask", 1)
    out = {"spike": [], "v": [], "g": []}
    for k in range(len(x)):
        now = x[k - layer.latency] @ matrix if k >= layer.latency else np.zeros((batch, units))
        now = now + w.get("bias", 0) + s @ inner
        if isinstance(layer.synapse, t.Alpha):
            ratio = dt / at["tau_syn"]
            g = np.exp(-ratio) * (g + np.e * ratio * h)
            h = h * np.exp(-ratio) + now
        elif isinstance(layer.synapse, t.Exponential):
            g = g * np.exp(-dt / at["tau_syn"]) + now
        else:
            g = now
        current = g * (at["E"] - v) if "E" in at else g
        if "magnesium" in at:
            current = current / (1 + at["magnesium"] / at["half_block"] * np.exp(at["slope_block"] * (at["v_off"] - v)))
        end = at["v_rest"] + at["R"] * current
        free = k * dt - last * dt > at["tau_ref"] + 1e-6
        v = np.where(free, end + (v - end) * np.exp(-dt / at["tau"]), v)
        s = ((v >= at["v_th"] + (at["beta"] * a if alif else 0)) & free).astype(float)
        last = np.where(s > 0, k, last)
        v = v - s * (at["v_th"] - at["v_reset"]) if soft else np.where(s > 0, at["v_reset"], v)
        a = a * np.exp(-dt / at["tau_a"]) + s if alif else a
        for name, value in (("spike", s), ("v", v), ("g", g)):
            out[name].append(value)
    return {name: np.array(value) for name, value in out.items()}


CASES = {
    "hard": t.LIF(4),
    "soft, one late, with bias": t.LIF(4, reset="soft", latency=1, bias=True, v_reset=0.2, v_rest=0.1, R=1.5),
    "refractory, recurrent": t.LIF(4, tau_ref=1.2, recurrent=True, v_reset=-0.3, synapse=None),
    "refractory, soft, of alpha synapses": t.LIF(4, reset="soft", tau_ref=0.3, synapse=t.Alpha(2.0)),
    "conductance": t.LIF(4, output=t.Conductance(E=3.0), synapse=t.Exponential(5.0)),
    "magnesium": t.LIF(4, output=t.MagnesiumBlock(E=3.0, slope_block=1.0), connectivity=c.Sparse(0.5)),
    "adaptive": t.ALIF(4, tau_a=20.0, beta=0.3, recurrent=c.FixedInputs(2), reset="soft"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_option_is_what_the_equations_say(case):
    layer, rng = CASES[case], np.random.default_rng(0)
    x = (rng.random((200, 3, 5)) < 0.1).astype(float)
    with jax.enable_x64(True):
        w = t.Sequential(layer).init(5, jax.random.key(1), jnp.float64)
    w = {path.split(".")[1]: np.asarray(v) for path, v in w.items()}
    w["weight"] = np.abs(w["weight"]) * (4 if layer.synapse.variables == 0 else 1)
    w |= {"bias": rng.normal(size=4) * 0.02} if layer.bias else {}
    dt = 0.3
    y, seen = ran(layer, w, x, dt)
    expected = loop(layer, w, x, dt)
    assert 10 < expected["spike"].sum() < 0.9 * expected["spike"].size
    for name, value in expected.items():
        np.testing.assert_allclose(seen[name], value, atol=1e-11, err_msg=name)  # rounding of 200 steps
    np.testing.assert_array_equal(y, seen["spike"])


def test_reference_vectors():
    # Section 7 of the specification, dt 0.1, to the printed digits. States other than 0 come from the input of a sample before.
    g = ran(t.LIF(1, synapse=t.Exponential(10.0)), ONE, series([0.5, 0.8]))[1]["g"][1]
    np.testing.assert_allclose(g, 1.295024916875, atol=5e-13)
    large = ran(t.LIF(1, synapse=t.Exponential(10.0)), ONE, series([0.5, 30.0]))[1]["g"][1].item()
    np.testing.assert_allclose(large, 30.495024917, atol=5e-10)
    to_95 = 0.95 / -np.expm1(-0.01)
    quiet = ran(t.LIF(1, synapse=None), ONE, series([to_95, g.item()]))[1]
    np.testing.assert_allclose(quiet["v"].ravel(), [0.95, 0.953433055284], atol=5e-13)
    assert quiet["spike"].sum() == 0
    for reset, after in (("hard", 0.0), ("soft", 0.243977909807)):
        seen = ran(t.LIF(1, synapse=None, reset=reset), ONE, series([to_95, large]))[1]
        assert seen["spike"].ravel().tolist() == [0, 1]
        np.testing.assert_allclose(seen["v"].ravel()[1], after, atol=5e-13)
    y, _ = ran(t.LeakyReadout(1, tau=5.0, synapse=None), ONE, series([0.3 / -np.expm1(-0.02), large]))
    np.testing.assert_allclose(y.ravel(), [0.3, 0.897901552890], atol=5e-13)


def test_constant_current_fires_at_the_closed_period():
    # From 0, v = I (1 - exp(-t / tau)) reaches 1 after tau ln(I / (I - 1)); the refractory period is added, and steps round up.
    for tau_ref in (0.0, 2.0):
        spikes = ran(t.LIF(1, tau=10.0, synapse=None, tau_ref=tau_ref), ONE, series([2.0] * 1000))[0].ravel()
        period = np.ceil(10 * np.log(2) / 0.1) + round(tau_ref / 0.1)
        assert np.unique(np.diff(np.flatnonzero(spikes))).tolist() == [period]


def test_an_alpha_synapse_is_the_alpha_function():
    g = ran(t.LeakyReadout(1, synapse=t.Alpha(4.0)), ONE, series([3.0] + [0.0] * 99))[1]["g"].ravel()
    time = 0.1 * np.arange(100)
    np.testing.assert_allclose(g, 3 * time / 4 * np.exp(1 - time / 4), atol=1e-12)
    np.testing.assert_allclose(g[40], 3.0)  # the peak, at tau


def test_one_step_latency_between_spiking_layers_is_an_option():
    # Item 9 of the deviations. A current that makes the first unit spike in the first sample, and each spike the next unit.
    strong, x = {"weight": np.full((1, 1), 1e3)}, series([1.0, 0, 0, 0, 0])

    def first(latency):
        net = t.Sequential(*(t.LIF(1, synapse=None, latency=latency) for _ in range(3)))
        w = {f"lif_{i}.weight": jnp.asarray(strong["weight"], jnp.float32) for i in range(3)}
        seen = net.apply(w, jnp.asarray(x, jnp.float32), 0.1)[1]
        return [int(np.argmax(seen[f"lif_{i}.spike"])) for i in range(3)]

    assert first(0) == [0, 0, 0] and first(1) == [1, 2, 3]
    assert ran(t.LIF(1, latency=9), strong, x)[0].sum() == 0  # later than the end


def test_gradients_of_three_steps_are_those_by_hand():
    # One unit, no synapse, leak q: v1 = q w x1, v2 = (1 - q) v1 (1 - s1) + q w x2; the loss is s2. With the reset detached the gradient
    # passes through v1 (1 - s1) by (1 - s1) alone; else also through s1.
    q, w, x1, x2 = 0.25, 1.5, 2.0, 2.5
    dt = -10 * np.log(1 - q)
    slope = lambda x: 1 / (100 * abs(x) + 1) ** 2  # noqa: E731
    v1 = q * w * x1
    v2 = (1 - q) * v1 + q * w * x2
    assert v1 < 1 <= v2
    for detach, inner in ((True, 1.0), (False, 1 - v1 * slope(v1 - 1))):
        layer = t.LIF(1, synapse=None, detach_reset=detach)
        with jax.enable_x64(True):
            x = jnp.asarray(series([x1, x2]))
            found = jax.grad(lambda w: layer.run({"weight": w}, x, dt)[0][1].sum())(jnp.full((1, 1), w))  # noqa: B023
        expected = slope(v2 - 1) * (q * x2 + (1 - q) * inner * q * x1)
        np.testing.assert_allclose(found.item(), expected, rtol=1e-9)


def test_time_constants_of_a_readout_have_true_gradients():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, w = jnp.asarray(rng.random((30, 2, 3))), jnp.asarray(rng.normal(size=(3, 2)))
        net = t.Sequential(t.LeakyReadout(2))

        @jax.jit
        def loss(tau, tau_syn):
            return (net.apply({"leakyreadout.weight": w, "leakyreadout.tau": tau, "leakyreadout.tau_syn": tau_syn}, x, 0.5)[0] ** 2).sum()

        found = jax.grad(loss, (0, 1))(7.0, 3.0)
        step = 1e-5
        numbers = [(loss(7 + step, 3.0) - loss(7 - step, 3.0)) / (2 * step), (loss(7.0, 3 + step) - loss(7.0, 3 - step)) / (2 * step)]
    np.testing.assert_allclose(found, numbers, rtol=1e-7)


def test_parameters_of_every_unit_are_those_of_units_alone():
    x = series([1.5] * 100)
    taus = np.array([5.0, 20.0])
    both = ran(replace(t.LIF(2, synapse=None), {"tau": taus}), {"weight": np.ones((1, 2))}, x)[0]
    for i, tau in enumerate(taus):
        np.testing.assert_array_equal(both[:, :, [i]], ran(t.LIF(1, tau=tau, synapse=None), ONE, x)[0])


def test_spikes_keep_the_dtype_and_take_booleans():
    layer = t.LIF(2, tau_ref=1.0, recurrent=True)
    for dtype, taken in (("float32", bool), ("float64", "float64")):
        with jax.enable_x64(dtype == "float64"):
            w = {name: jnp.ones(weight.shape, dtype) for name, weight in layer.weights(3).items()}
            y, seen = jax.jit(lambda w, x: layer.run(w, x, 0.1))(w, jnp.ones((4, 1, 3), taken))
        assert {v.dtype for v in (y, *seen.values())} == {np.dtype(dtype)}
        assert {v.shape for v in (y, *seen.values())} == {(4, 1, 2)}


KEY = jax.random.key(0)


def test_what_defines_each_connectivity():
    n = 40
    drawn = {
        "all": (c.AllToAll(), (3, 5)),
        "others": (c.AllToAll(self_connections=False), (n, n)),
        "one": (c.OneToOne(), (n, n)),
        "sparse": (c.Sparse(0.3), (100, 200)),
        "total": (c.FixedTotal(17), (n, n)),
        "inputs": (c.FixedInputs(7), (n, 11)),
        "outputs": (c.FixedOutputs(7), (11, n)),
        "near": (c.GaussianDistance(0.1), (200, 200)),
        "ring": (c.SmallWorld(4, 0.0), (n, n)),
        "moved": (c.SmallWorld(4, 0.3), (n, n)),
        "grown": (c.ScaleFree(3), (300, 300)),
        "sparse, no self": (c.Sparse(0.5, False), (n, n)),
        "total, no self": (c.FixedTotal(n * n - n, False), (n, n)),
        "inputs, no self": (c.FixedInputs(n - 1, False), (n, n)),
        "outputs, no self": (c.FixedOutputs(n - 1, False), (n, n)),
    }
    draw = jax.jit(lambda key: {name: of.mask(key, shape) for name, (of, shape) in drawn.items()})
    first, again, other = ({name: np.asarray(v) for name, v in draw(jax.random.key(i)).items()} for i in (0, 0, 1))
    for name in drawn:
        np.testing.assert_array_equal(first[name], again[name])
        random = name not in ("all", "others", "one", "ring", "total, no self", "inputs, no self", "outputs, no self")
        assert (first[name] != other[name]).any() == random, name
    m = first
    assert m["all"].all() and c.AllToAll().everything
    np.testing.assert_array_equal(m["others"], ~np.eye(n, dtype=bool))
    np.testing.assert_array_equal(m["one"], np.eye(n))
    assert abs(m["sparse"].mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / m["sparse"].size)  # four standard errors
    assert m["total"].sum() == 17
    assert (m["inputs"].sum(axis=0) == 7).all() and (m["outputs"].sum(axis=1) == 7).all()
    for kind in ("total", "inputs", "outputs"):
        np.testing.assert_array_equal(m[f"{kind}, no self"], ~np.eye(n, dtype=bool))
    assert not m["sparse, no self"].diagonal().any() and m["sparse, no self"].any()
    expected = drawn["near"][0].probability((200, 200))
    np.testing.assert_allclose(expected[0, [0, 20, 180]], [1, np.exp(-0.5), np.exp(-0.5)], rtol=1e-12)
    apart = np.abs(np.subtract.outer(np.arange(200), np.arange(200)))
    for far in (0, 10, 20, 30):
        share, p = m["near"][np.minimum(apart, 200 - apart) == far].mean(), np.exp(-((far / 20) ** 2) / 2)
        assert abs(share - p) <= 4 * np.sqrt(p * (1 - p) / 200)  # of 200 draws at least
    np.testing.assert_array_equal(m["ring"], np.isin(np.subtract.outer(np.arange(n), np.arange(n)) % n, [1, 2, n - 2, n - 1]))
    assert m["moved"].sum() == m["ring"].sum() and (m["moved"] == m["moved"].T).all() and (m["moved"] != m["ring"]).any()
    assert (m["grown"] == m["grown"].T).all() and m["grown"].sum() == 2 * 3 * (300 - 3)
    assert m["grown"].sum(axis=0).max() > 5 * np.median(m["grown"].sum(axis=0))  # hubs
    given = np.arange(6).reshape(2, 3) % 2
    for of in (c.Given(given), c.Given(xr.DataArray(given))):
        np.testing.assert_array_equal(of.mask(KEY, (2, 3)), given)


def test_a_mask_is_fixed_and_what_it_removes_has_no_effect():
    layer = t.LIF(4, connectivity=c.FixedInputs(2), recurrent=c.OneToOne(), surrogate=t.surrogate.Sigmoid())
    declared = layer.weights(6)
    assert {name: w.fixed for name, w in declared.items()} == {"weight": False, "mask": True, "recurrent": False, "recurrent_mask": True}
    assert declared["recurrent"].dims == ("unit_from", "unit")
    w = {name: jnp.full(weight.shape, 0.1) for name, weight in declared.items()}
    w["mask"] = jnp.asarray(np.random.default_rng(0).random((6, 4)) < 0.5, jnp.float32)
    x = jnp.ones((20, 2, 6))
    slopes = jax.jit(jax.grad(lambda weight: layer.run(w | {"weight": weight}, x, 1.0)[1]["v"].sum()))(w["weight"])
    np.testing.assert_array_equal(slopes != 0, w["mask"] != 0)


def test_errors_say_what_to_do():
    for make, what in (
        (lambda: t.LIF(0), "units=0"),
        (lambda: t.LIF(2, tau=-1.0), "tau=-1.0, needs numbers that are positive"),
        (lambda: t.LIF(2, tau=np.nan), "that are positive"),
        (lambda: t.LIF(2, tau=10 * u.mV), "came in mV, needs ms"),
        (lambda: t.LIF(2, tau_ref=-1 * u.ms), "not negative"),
        (lambda: t.LIF(2, synapse=t.Exponential(0.0)), "tau_syn=0.0"),
        (lambda: t.LIF(2, reset="none"), "needs 'hard' or 'soft'"),
        (lambda: t.LIF(2, latency=-1), "number of samples"),
        (lambda: t.LIF(2, latency=True), "number of samples"),
        (lambda: t.LIF(2, synapse=t.Exponential), "the class Exponential"),
        (lambda: t.LIF(2, surrogate="sigmoid"), "needs a Surrogate"),
        (lambda: t.LIF(2, connectivity=0.1), "connectivity.Sparse"),
        (lambda: t.LIF(2, recurrent=0.1), "needs a Connectivity"),
        (lambda: t.LIF(2, init=0.1), "initializers.constant"),
        (lambda: t.LIF(2, tau_ref=xm.Param(1.0)), "has no gradient"),
        (lambda: t.LIF(2, surrogate=t.surrogate.Sigmoid(alpha=xm.Param(1.0))), "has no gradient"),
        (lambda: t.LIF(2, surrogate=t.surrogate.Gaussian(sigma=0.0)), "sigma=0.0"),
        (lambda: t.LIF(2, v_th=np.inf), "that are finite"),
        (lambda: t.LIF(2, tau=np.ones(3)), "one number, or 2"),
        (lambda: t.surrogate.SquarewaveFourier(n=0), "at least 1"),
        (lambda: t.LeakyReadout().size(3), "needs one"),
        (lambda: c.Sparse(1.5), "probability"),
        (lambda: c.FixedInputs(2.5), "whole number"),
        (lambda: c.FixedInputs(7).mask(KEY, (5, 2)), "needs 5 at most"),
        (lambda: c.OneToOne().mask(KEY, (5, 2)), "as many of both"),
        (lambda: c.Sparse(0.1, False).mask(KEY, (5, 2)), "Leave self_connections out"),
        (lambda: c.SmallWorld(5, 0.1).mask(KEY, (5, 5)), "fewer neighbours"),
        (lambda: c.ScaleFree(5).mask(KEY, (5, 5)), "fewer edges"),
        (lambda: c.Given([1, 0]), "needs a matrix"),
        (lambda: c.Given([[1, 0]]).mask(KEY, (5, 2)), r"\(5, 2\)"),
        (lambda: c.GaussianDistance(0.0), "positive number"),
    ):
        with pytest.raises((ValueError, TypeError), match=what):
            make()
    assert t.LIF(2, tau=0.01 * u.second, tau_ref=xr.DataArray([1.0, 2.0], dims="tau_ref")).units == 2


def task_network(dt, **late):
    """The network of the tutorial task; Kaiming's variance there is 20 / inputs."""
    init = jax.nn.initializers.variance_scaling(20.0, "fan_in", "truncated_normal")
    common = {"synapse": t.Exponential(10 * u.ms), "init": init, "bias": dt == 1.0}
    hidden = t.LIF(10, reset="soft" if dt == 1.0 else "hard", **common)
    return t.Sequential(hidden, t.LeakyReadout(tau=5.0, **common, **late), t.OverTime("max"))


@pytest.mark.long
def test_spiking_networks_train_with_labels():
    ds = xm.datasets.random_spike_trains(n_trials=16, n_steps=40, n_neurons=20, rate=40.0, dt=1.0)
    slopes = t.surrogate.InvSquare(xr.DataArray([10.0, 100.0], dims="alpha"))
    hidden = t.LIF(8, tau=xm.Param(10 * u.ms, bounds=(2 * u.ms, 50 * u.ms)), surrogate=slopes)
    net = t.Sequential(hidden, t.LeakyReadout(tau=5.0), t.OverTime("max"))
    trainer = t.Trainer(net, t.CrossEntropy(), learning_rate=0.05)
    history = trainer.fit(ds, x="spike", y="label", features="neuron", epochs=60, seed=0)
    assert history.loss.isel(epoch=0).dims == ("alpha", "split")
    assert (history.loss.isel(epoch=-1) < 0.5 * history.loss.isel(epoch=0)).all()
    tau = trainer.weights["lif.tau"]
    assert tau.dims == ("alpha",) and tau.attrs["units"] == "ms" and ((tau > 2) & (tau < 50) & (abs(tau - 10) > 0.01)).all()
    assert (trainer.weights["lif.weight"].isel(alpha=0) != trainer.weights["lif.weight"].isel(alpha=1)).any()
    out = trainer.predict(ds.isel(trial=slice(3)), record=["spike", "v", "g"])
    assert set(out["lif.spike"].dims) == {"alpha", "trial", "time", "lif_unit"} and set(np.unique(out["lif.spike"])) == {0.0, 1.0}
    largest = out["leakyreadout.v"].max("time").transpose("alpha", "trial", "leakyreadout_unit")
    np.testing.assert_allclose(out["label.logit"].transpose("alpha", "trial", "class"), largest, rtol=1e-6)


@pytest.mark.long
def test_the_tutorial_task_is_learned_by_heart():
    # Section 8: at least 0.992 of the training trials after 1500 updates, of a task where nothing else can be learned.
    trainer = t.Trainer(task_network(0.1, latency=1), t.CrossEntropy(), t.adam(), 2e-3)
    ds = xm.datasets.random_spike_trains()
    history = trainer.fit(ds, x="spike", y="label", features="neuron", epochs=1500, report_every=100, seed=0)
    assert float((trainer.predict(ds).label == ds.label).mean()) >= 0.992
    assert float(history.loss.isel(epoch=-1, split=0)) < 0.0283  # what the tutorial prints


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_the_variant_with_steps_of_a_millisecond(seed):
    # Section 8: at least 0.97 in 1000 updates, soft reset and biases, no latency.
    trainer = t.Trainer(task_network(1.0), t.CrossEntropy(), t.adam(), 4e-3)
    ds = xm.datasets.random_spike_trains(n_steps=100, rate=10.0, dt=1.0, seed=seed)
    trainer.fit(ds, x="spike", y="label", features="neuron", epochs=1000, report_every=1000, seed=seed)
    assert float((trainer.predict(ds).label == ds.label).mean()) >= 0.97
