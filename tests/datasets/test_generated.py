"""Datasets made at load: the facts that their formulas imply."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import xarray as xr

import xmass as xm
from xmass.labelled.schema import time_dim

NAMES = ("example_signal", "delayed_match_task", "white_noise_task", "spike_pattern_task", "lorenz")


@pytest.mark.parametrize("name", NAMES)
def test_they_are_listed_and_the_same_each_time(name):
    assert name in dict(xm.datasets.list_datasets())
    first, second = (xm.datasets.load_dataset(name) for _ in range(2))
    xr.testing.assert_identical(first, second)
    assert first is not second
    assert time_dim(first) == "time"
    assert "units" in first.time.attrs
    assert "provenance" in first.attrs


def test_the_example_signal_has_the_correlations_lags_and_envelope_of_its_formula():
    ds = xm.datasets.load_dataset("example_signal")
    assert dict(ds.signal.sizes) == {"time": 15_000, "region": 8}
    values = ds.signal.values
    angle = 2 * np.pi * (np.arange(8)[:, None] - np.arange(8)[None]) / 8
    np.testing.assert_allclose(np.corrcoef(values.T), np.cos(angle), atol=1e-12)  # whole periods: only rounding is left
    seconds = ds.time.values / 1000
    analytic = scipy.signal.hilbert(values, axis=0)  # exact for a signal of whole periods
    envelope = 1 + ds.attrs["modulation_depth"] * np.cos(2 * np.pi * ds.attrs["modulation_hz"] * seconds)
    np.testing.assert_allclose(np.abs(analytic), np.broadcast_to(envelope[:, None], values.shape), atol=1e-10)
    order = np.abs(np.exp(1j * np.angle(analytic)).mean(axis=1))
    np.testing.assert_allclose(order, 0, atol=1e-10)
    spectrum = np.abs(np.fft.rfft(values[:, 0]))
    peak = np.fft.rfftfreq(len(values), d=0.004)[spectrum.argmax()]
    assert peak == pytest.approx(10.0)
    # the envelope returns after 5 s; within 12.5 ms it changes by less than 0.5 * 2 pi * 0.2 / s * 12.5 ms = 0.8 %
    late = np.interp(seconds[100:-100] + 0.0125, seconds, values[:, 1])
    np.testing.assert_allclose(late, values[100:-100, 0], atol=0.06)  # linear interpolation of 10 Hz at 4 ms errs by up to 1.2 %, times 1.5


def test_the_lorenz_series_is_that_of_the_specification():
    ds = xm.datasets.load_dataset("lorenz")
    assert ds.sizes == {"time": 10_000}
    np.testing.assert_allclose(ds.time[[0, -1]], [0.01, 100], rtol=1e-12)
    got = np.stack([ds[name].values[[0, 99, 999]] for name in "xyz"], axis=1)
    known = [  # classical Runge-Kutta in double precision from (8, 1, 1), by independent code
        (7.434660869062, 3.053391460147, 1.128101849541),
        (-7.537149330197, -6.43310674066, 27.330282596494),
        (-4.2885656, -5.1706318, 20.2329374),
    ]
    np.testing.assert_allclose(got[:2], known[:2], atol=1e-11)  # printed with 12 decimals
    np.testing.assert_allclose(got[2], known[2], atol=1e-6)  # 7 decimals, and rounding grown by exp(0.9 * 10) = 8000


def test_the_lorenz_series_by_plain_numpy():
    def slope(s):
        x, y, z = s
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    s, h, out = np.array([8.0, 1.0, 1.0]), 0.02, []
    for _ in range(100):
        a = slope(s)
        b = slope(s + h / 2 * a)
        c = slope(s + h / 2 * b)
        s = s + h / 6 * (a + 2 * b + 2 * c + slope(s + h * c))
        out.append(s)
    ds = xm.datasets.lorenz(duration=2.0, dt=0.02)
    np.testing.assert_allclose(np.stack([ds[n] for n in "xyz"], axis=1), out, rtol=1e-9, atol=1e-9)  # rounding, in another order
    for bad in ({"duration": 0}, {"dt": -0.1}):
        with pytest.raises(ValueError, match="needs positive numbers"):
            xm.datasets.lorenz(**bad)


def test_the_task_shows_a_cue_and_a_probe_and_nothing_between():
    ds = xm.datasets.load_dataset("delayed_match_task")
    assert ds.stimulus.dims == ("trial", "time", "symbol")
    stimulus = ds.stimulus.values
    np.testing.assert_array_equal(stimulus.sum(axis=2), np.tile([1] + 8 * [0] + [1], (128, 1)))
    np.testing.assert_array_equal(stimulus[:, 0].argmax(axis=1), ds.cue)
    np.testing.assert_array_equal(stimulus[:, -1].argmax(axis=1), ds.probe)
    np.testing.assert_array_equal(ds.match, (ds.cue == ds.probe).astype(int))
    assert int(ds.match.sum()) == 64
    assert set(ds.cue.values) == {0, 1, 2, 3}


def test_the_task_draws_in_the_stated_order():
    ds = xm.datasets.delayed_match_task(n_trials=320, n_steps=8, n_symbols=2, seed=3)
    rng = np.random.default_rng(3)
    cues = rng.integers(0, 2, 320)
    match = np.zeros(320, dtype=int)
    match[:160] = 1
    match = rng.permutation(match)
    np.testing.assert_array_equal(ds.cue, cues)
    np.testing.assert_array_equal(ds.match, match)
    np.testing.assert_array_equal(ds.probe, np.where(match == 1, cues, 1 - cues))  # of two symbols the other one
    assert ds.sizes["time"] == 8
    for bad in ({"n_trials": 1}, {"n_steps": 1}, {"n_symbols": 1}, {"seed": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))}={next(iter(bad.values()))}"):
            xm.datasets.delayed_match_task(**bad)
