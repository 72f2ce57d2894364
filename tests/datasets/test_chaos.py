"""Chaotic series: stated equations, the sampling rule, dims of starts and parameters."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import solve_ivp

import xmass as xm
from xmass.datasets.chaotic_systems import SYSTEMS


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_listed_bounded_and_the_same_each_time(name):
    assert name in dict(xm.datasets.list_datasets())
    first, second = (xm.datasets.chaotic_series(name, duration=2000 * SYSTEMS[name].dt) for _ in range(2))
    xr.testing.assert_identical(first, second)
    assert first.sizes == {"time": 2000}
    assert first.attrs["equations"] == SYSTEMS[name].equations
    assert first.attrs["source"]
    for value in first.data_vars.values():
        assert np.isfinite(value).all() and abs(value).max() < 100 and value.std() > 1e-4


def test_the_initial_state_is_not_recorded_unless_asked_for():
    """Item 8 of the known deviations: sample k is the state after k + 1 steps."""
    plain = xm.datasets.chaotic_series("lorenz", duration=1.0)
    known = [(7.434660869062, 3.053391460147, 1.128101849541), (-7.537149330197, -6.43310674066, 27.330282596494)]
    got = np.stack([plain[n].values[[0, 99]] for n in "xyz"], axis=1)
    np.testing.assert_allclose(got, known, atol=1e-11)  # printed with 12 decimals
    assert float(plain.time[0]) == 0.01
    whole = xm.datasets.chaotic_series("lorenz", duration=1.0, include_initial=True)
    assert [float(whole[n][0]) for n in ("x", "y", "z", "time")] == [8.0, 1.0, 1.0, 0.0]
    xr.testing.assert_allclose(whole.isel(time=slice(1, None)), plain, rtol=1e-12)


def test_the_double_scroll_has_the_factor_two_once():
    """Item 5 of the known deviations: the nonlinear current is 2 * 2.25e-5 sinh(11.6 dV), not twice that."""

    def slope(t, s):
        v1, v2, i = s
        g = (v1 - v2) / 3.44 + 2 * 2.25e-5 * np.sinh(11.6 * (v1 - v2))
        return [v1 / 1.2 - g, g - i, v2 - 0.193 * i]

    ds = xm.datasets.chaotic_series("double_scroll", duration=20.0)
    exact = solve_ivp(slope, (0, 20), (0.37926545, 0.058339, -0.08167691), method="DOP853", rtol=1e-12, atol=1e-12, t_eval=ds.time)
    got = np.stack([ds[n] for n in ("v1", "v2", "i")])
    np.testing.assert_allclose(got, exact.y, atol=1e-5)  # error of order dt^4, grown over 20 units; with the factor twice it is 1


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n, s in SYSTEMS.items() if s.method == "rk4" and not s.delayed])
def test_steps_are_of_fourth_order(name):
    start, dt = SYSTEMS[name].initial, SYSTEMS[name].dt
    # 0.4 avoids the corners of |x + 1| and |x - 1|, where the order of any scheme drops
    initial = dict.fromkeys(start, 0.4) if name in ("chua", "pwl_duffing") else {}
    span = dt * (4 if dt > 0.001 else 16)  # short enough for the order to show, long enough for it to stand above rounding
    ends = []
    for n in (4, 8, 16):
        ds = xm.datasets.chaotic_series(name, duration=span, dt=span / n, initial=initial).isel(time=-1)
        ends.append(np.array([float(ds[k]) for k in start]))
    order = np.log2(np.abs(ends[0] - ends[1]).max() / np.abs(ends[1] - ends[2]).max())
    assert 3.5 < order < 5.5


def test_maps_follow_their_recursion():
    ds = xm.datasets.chaotic_series("henon_map", duration=3)
    np.testing.assert_allclose(np.stack([ds.x, ds.y]), [[1.0, -0.4, 1.076], [0.0, 0.3, -0.12]], rtol=1e-12)
    ds = xm.datasets.chaotic_series("logistic_map", duration=2, parameters={"mu": 3.0})
    np.testing.assert_allclose(ds.x, [0.48, 0.7488], rtol=1e-12)


def test_a_delayed_value_is_that_of_tau_before():
    # Over the first tau with a constant history c the equation is linear: x' = k - x, so x = k + (x0 - k) exp(-t).
    ds = xm.datasets.chaotic_series("modified_lu_chen", duration=0.1, parameters={"a": 0.0, "c": 0.0, "d0": 0.0, "b": 1.0})
    # a = c = 0 keeps x = 1; y' = -14 x while z(t - tau) is the history, 14; z' = y - z
    t = ds.time.values
    np.testing.assert_allclose(ds.y, 1 - 14 * t, rtol=1e-12)
    np.testing.assert_allclose(ds.z, 15 - 14 * t - np.exp(-t), rtol=1e-9)  # z' = 1 - 14 t - z, z(0) = 14
    whole = xm.datasets.chaotic_series("modified_lu_chen", duration=0.3, parameters={"a": 0.0, "c": 0.0, "d0": 0.0, "b": 1.0})
    dy = np.diff(whole.y) / 0.001
    z = whole.z.values
    mean = (z[: len(dy) - 200] + z[1 : len(dy) - 199]) / 2
    np.testing.assert_allclose(dy[200:], -mean, rtol=1e-9)  # after tau = 0.2: y' = -z(t - tau), linear within a step


def test_a_delay_is_of_second_order_and_mackey_glass_is_chaotic():
    # a = c = d0 = 0 leaves y' = -z(t - 0.2), z' = y - z: linear, with the constant history 14.
    ends = []
    for dt in (0.1, 0.05, 0.025):
        ds = xm.datasets.chaotic_series("modified_lu_chen", duration=2.0, dt=dt, parameters={"a": 0.0, "c": 0.0, "d0": 0.0, "b": 1.0})
        ends.append(float(ds.z[-1]))
    assert 1.8 < np.log2(abs(ends[0] - ends[1]) / abs(ends[1] - ends[2])) < 2.3
    x = xm.datasets.chaotic_series("mackey_glass", duration=600.0).x.values[3000:]
    peaks = x[1:-1][(x[1:-1] > x[:-2]) & (x[1:-1] > x[2:])]
    assert len(np.unique(peaks.round(3))) > 50  # a periodic series has few heights; read once for each step it has 13


def test_starts_and_parameters_bring_dims():
    rho = xr.DataArray([14.0, 28.0], dims="rho", coords={"rho": [14.0, 28.0]})
    x0 = xr.DataArray([8.0, 1.0, -3.0], dims="start")
    ds = xm.datasets.chaotic_series("lorenz", duration=2.0, parameters={"rho": rho}, initial={"x": x0})
    assert dict(ds.x.sizes) == {"rho": 2, "start": 3, "time": 200}
    one = xm.datasets.chaotic_series("lorenz", duration=2.0, parameters={"rho": 28.0}, initial={"x": 1.0})
    np.testing.assert_allclose(ds.x.sel(rho=28.0).isel(start=1), one.x, rtol=1e-9)  # rounding of another vector width
    stacked = xm.datasets.chaotic_series("lorenz", duration=2.0, stack="feature")
    assert stacked.u.dims == ("time", "feature") and list(stacked.feature) == ["x", "y", "z"]
    seeds = [xm.datasets.chaotic_series("mackey_glass", duration=5.0, seed=s).x for s in (0, 0, 1)]
    assert seeds[0].equals(seeds[1]) and not seeds[0].equals(seeds[2])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "lorentz"}, KeyError, "did you mean 'lorenz'"),
        ({"name": "lorenz", "parameters": {"roh": 1.0}}, KeyError, "did you mean 'rho'"),
        ({"name": "lorenz", "initial": {"w": 1.0}}, KeyError, "no component 'w'"),
        ({"name": "lorenz", "duration": 0.0}, ValueError, "needs positive"),
        ({"name": "lorenz", "duration": 0.015}, ValueError, "no multiple of dt"),
        ({"name": "henon_map", "dt": 0.1}, ValueError, "is a map"),
        ({"name": "mackey_glass", "parameters": {"tau": 0.25}}, ValueError, "no multiple of dt"),
        ({"name": "mackey_glass", "parameters": {"tau": xr.DataArray([1.0, 2.0], dims="tau")}}, ValueError, "needs one number"),
    ],
)
def test_mistakes_are_named(options, error, message):
    with pytest.raises(error, match=message):
        xm.datasets.chaotic_series(**options)
