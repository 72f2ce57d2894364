"""Sparse reservoirs, LMS, and FORCE with the network of its paper: the same numbers by other means."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.training import LMS, NVAR, RLS, Reservoir


@pytest.mark.parametrize("leak_at", ["output", "input"])
def test_few_edges_give_what_their_matrix_gives(leak_at):
    # 300 units at 2 %: edges are used. The matrix is that of the documented draws, its radius that of all eigenvalues.
    layer = Reservoir(units=300, connectivity=0.02, leak_at=leak_at, leak=0.4, seed=3)
    u = np.random.default_rng(0).normal(size=(2, 30, 1))
    got = layer.run(u)
    rng = np.random.default_rng(3)
    w_in = rng.uniform(-1, 1, (1, 300)) * (rng.random((1, 300)) < 1)
    w = rng.standard_normal((300, 300)) * (rng.random((300, 300)) < 0.02)
    w *= 0.9 / np.abs(np.linalg.eigvals(w)).max()
    state = np.zeros((2, 300))
    for k in range(30):
        r = state if leak_at == "output" else np.tanh(state)
        drive = u[:, k] @ w_in + r @ w
        state = 0.6 * state + 0.4 * (np.tanh(drive) if leak_at == "output" else drive)
        np.testing.assert_allclose(got[:, k], state if leak_at == "output" else np.tanh(state), rtol=1e-9, atol=1e-12)
    assert isinstance(layer.fixed(1)["recurrent"], dict)
    assert not isinstance(Reservoir(units=300, connectivity=0.1).fixed(1)["recurrent"], dict)


def test_lms_by_hand():
    rng = np.random.default_rng(1)
    u = rng.normal(size=50)
    ds = xr.Dataset({"u": ("time", u), "y": ("time", 3 * u + 1)}, coords={"time": np.arange(50)})
    for normalize in (False, True):
        model = NVAR(delay=1, orders=()).fit(ds, x="u", y="y", readout=LMS(rate=0.1, normalize=normalize))
        w, errors = np.zeros(2), []
        for x in u:
            h = np.array([1.0, x])
            wrong = h @ w - (3 * x + 1)
            errors.append(wrong**2)
            w -= 0.1 * h * wrong / (h @ h if normalize else 1)
        np.testing.assert_allclose([model.weights["y.intercept"], model.weights.y[0]], w, rtol=1e-12)
        np.testing.assert_allclose(model.history.error, errors, rtol=1e-9, atol=1e-15)
    with pytest.raises(ValueError, match="smaller rate"):
        NVAR(delay=1, orders=()).fit(ds.isel(time=[0] * 50).assign_coords(time=np.arange(50)) * 1e80, x="u", y="y", readout=LMS(rate=1.0))
    for bad in ({"rate": 0.0}, {"rate": 2.0, "normalize": True}, {"every": 0}):
        with pytest.raises(ValueError, match="needs a"):
            LMS(**bad)


@pytest.mark.long
def test_force_with_the_network_of_its_paper():
    # tau dh/dt = -h + r W + o W_o, r = tanh h, o = r W_out, at dt / tau = 0.1 and g = 1.5: chaotic without the readout
    t = np.arange(3000) * 0.1
    wave = xr.Dataset({"o": ("time", np.sin(2 * np.pi * t / 6))}, coords={"time": t})
    layer = Reservoir(units=200, leak_at="input", leak=0.1, spectral_radius=1.5, washout=0, seed=0)
    model = layer.fit(wave, x="o", readout=RLS(force=True))
    free = model.forecast(600, from_=wave.isel(time=slice(0, 2400))).o  # ten periods
    np.testing.assert_allclose(free, np.sin(2 * np.pi * t[2400:] / 6), atol=0.1)


def test_the_small_triangle_gives_the_ridge_of_all_rows():
    rng = np.random.default_rng(2)
    for rows in (200, 7, 10):
        x, y = rng.normal(size=(rows, 10)), rng.normal(size=(rows, 2))
        solved = xm.training.Ridge(alpha=0.3).solve(x, y)
        c, d = x - x.mean(axis=0), y - y.mean(axis=0)
        w = np.linalg.solve(c.T @ c + 0.3 * np.eye(10), c.T @ d)
        np.testing.assert_allclose(solved.weights[0], w, rtol=1e-8, atol=1e-10)
