"""NVAR, Reservoir and RLS: reference vectors, and laws that they keep."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import xmass as xm
from xmass.training import NVAR, RLS, Reservoir
from xmass.training.layer import scan


def test_nvar_vector():
    layer = NVAR(delay=2, stride=1, orders=[2], constant=True)
    f = layer.run(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    np.testing.assert_array_equal(f[0, 1], [1, 3, 4, 1, 2, 9, 12, 3, 6, 16, 4, 8, 1, 2, 4])
    assert layer.names(["a", "b"])[:7] == ("1", "a(t)", "b(t)", "a(t-1)", "b(t-1)", "a(t)^2", "a(t) b(t)")


@pytest.mark.parametrize(
    ("options", "inputs", "count"),
    [
        (dict(delay=4, stride=5, orders=2), 3, 90),
        (dict(delay=2, orders=2, constant=True), 3, 28),
        (dict(delay=2, orders=3), 3, 62),
        (dict(delay=4, stride=5, orders=2, constant=True), 2, 45),
        (dict(delay=2, orders=[2, 3]), 3, 6 + 21 + 56),
        (dict(delay=3, orders=()), 2, 6),
    ],
)
def test_nvar_counts_features_and_steps_as_it_runs(options, inputs, count):
    layer = NVAR(**options)
    u = np.random.default_rng(0).normal(size=(2, 30, inputs))
    f = layer.run(u)
    assert f.shape == (2, 30, count) and len(set(layer.names([f"u{i}" for i in range(inputs)]))) == count
    with jax.enable_x64(True):
        _, stepped = scan(layer, {}, layer.start(2, inputs), np.moveaxis(u, 1, 0), np.zeros((30, 1, 1)))
    np.testing.assert_allclose(np.moveaxis(np.asarray(stepped), 0, 1), f, rtol=1e-14)  # the same products in another order


def test_nvar_names_are_what_the_columns_hold():
    ds = xm.datasets.lorenz(duration=1.0)
    f = NVAR(delay=2, stride=5, orders=[2, 3]).transform(ds, x=["x", "y"])
    assert f.dims == ("time", "feature")
    x, y = ds.x.values, ds.y.values
    late = np.concatenate([np.zeros(5), x[:-5]])
    np.testing.assert_allclose(f.sel(feature="x(t-5)"), late)
    np.testing.assert_allclose(f.sel(feature="y(t) x(t-5)"), y * late)
    np.testing.assert_allclose(f.sel(feature="x(t)^2 y(t)"), x**2 * y, rtol=1e-14)


def test_reservoir_vector():
    fixed = {"input": np.array([[0.3]]), "recurrent": np.array([[-0.4]]), "bias": np.array([0.1]), "leak": 0.3}
    with jax.enable_x64(True):
        _, r = Reservoir(units=1, leak=0.3).step(fixed, np.array([[0.2]]), np.array([[0.5]]), 0.0)
    np.testing.assert_allclose(r, [[0.190514313761]], atol=1e-12)


def test_item_06_the_leak_before_the_nonlinearity_has_a_state_of_its_own():
    layer = Reservoir(units=3, leak=0.3, leak_at="input", connectivity=1.0, bias_scaling=0.5)
    fixed, u = layer.fixed(2), np.random.default_rng(1).normal(size=(1, 20, 2))
    v, want = np.zeros(3), []
    for sample in u[0]:
        v = 0.7 * v + 0.3 * (sample @ fixed["input"] + np.tanh(v) @ fixed["recurrent"] + fixed["bias"])
        want.append(np.tanh(v))
    np.testing.assert_allclose(layer.run(u)[0], want, rtol=1e-12)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_item_06_noise_has_the_type_and_size_that_is_asked_for(kind):
    layer = Reservoir(units=5, noise=0.2, noise_type=kind)
    drawn = layer.draw((40_000,))
    assert abs(drawn.std() - 0.2) < 0.003  # 3 standard errors of 40,000 draws
    limit = 0.2 * np.sqrt(3)
    assert (np.abs(drawn).max() <= limit) == (kind == "uniform")
    kurtosis = (drawn**4).mean() / (drawn**2).mean() ** 2
    assert abs(kurtosis - (3.0 if kind == "normal" else 1.8)) < 0.1
    u = np.zeros((1, 50, 1))
    assert not layer.run(u).any() and layer.run(u, training=True).any()


@pytest.mark.parametrize("units", [50, 300])
def test_reservoir_weights_have_the_radius_and_the_connectivity(units):
    layer = Reservoir(units=units, spectral_radius=0.7, connectivity=0.1, input_connectivity=0.5, input_scaling=[1.0, 0.01], seed=3)
    fixed = layer.fixed(2)
    radius = np.abs(np.linalg.eigvals(fixed["recurrent"])).max()
    assert abs(radius - 0.7) < 1e-9
    share = (fixed["recurrent"] != 0).mean()
    assert abs(share - 0.1) < 4 * np.sqrt(0.1 * 0.9) / units
    assert 0.5 < np.abs(fixed["input"][0]).max() <= 1 and np.abs(fixed["input"][1]).max() <= 0.01
    for a, b in zip(fixed.values(), layer.fixed(2).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_reservoir_forgets_its_start():
    layer = Reservoir(units=40, spectral_radius=0.8, seed=1)
    u = np.random.default_rng(0).normal(size=(200, 1, 2))
    ends = []
    with jax.enable_x64(True):
        for start in (np.zeros((1, 40)), np.full((1, 40), 0.9)):
            ends.append(np.asarray(scan(layer, layer.fixed(2), start, u, np.zeros((200, 1, 1)))[0]))
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


def test_rls_vector():
    with jax.enable_x64(True):
        w, p = RLS(alpha=10.0).correct(np.zeros((2, 1)), 0.1 * np.eye(2), np.array([[1.0, 2.0]]), np.array([[3.0]]))
    np.testing.assert_allclose(w[:, 0], [0.2, 0.4], atol=1e-14)
    np.testing.assert_allclose(p, [[0.0933333, -0.0133333], [-0.0133333, 0.0733333]], atol=1e-7)  # printed with 7 decimals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NVAR(delay=0), "delay=0"),
        (lambda: NVAR(orders=[1]), "of 2 or more"),
        (lambda: NVAR(orders=[2, 2]), "each once"),
        (lambda: NVAR(delay=30, orders=[5]).names(["x", "y", "z"]), "take fewer"),
        (lambda: Reservoir(leak=0.0), "leak=0.0"),
        (lambda: Reservoir(units=0), "units=0"),
        (lambda: Reservoir(leak_at="external"), "needs? 'output' or 'input'"),
        (lambda: Reservoir(units=2, connectivity=1e-6).fixed(1), "no eigenvalue but zero"),
        (lambda: Reservoir(input_scaling=[1, 2]).fixed(3), "2 numbers for 3 inputs"),
        (lambda: RLS(alpha=0.0), "above 0"),
        (lambda: RLS(forgetting=1.1), "at most 1"),
        (lambda: RLS(every=0), "1 or more"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
