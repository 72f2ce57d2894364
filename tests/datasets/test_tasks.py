"""Tasks for training: their statistics are those of their formulas, and what a decoder can reach is what they say."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import xmass as xm


def test_the_white_noise_task_is_its_formula():
    ds = xm.datasets.load_dataset("white_noise_task")
    rng = np.random.default_rng(0)
    start, noise = rng.standard_normal(128), rng.standard_normal((128, 25))
    expected = 0.05 * (start[:, None] - 0.5) + 0.05 * noise  # scale / sqrt(dt) = 0.01 / 0.2
    np.testing.assert_allclose(ds.input, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(ds.target, np.cumsum(expected, axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ds.time, 0.04 * np.arange(25))
    assert (ds.attrs["mean"], ds.attrs["scale"], ds.attrs["dt"], ds.attrs["generator_seed"]) == (0.025, 0.01, 0.04, 0)


def check_white_noise(x, y):
    """Moments of inputs and targets ``(trial, time)`` with the default constants; 5 standard errors of 20,000 trials."""
    trials, k = len(x), np.arange(1, 26)
    assert abs(x.mean() + 0.025) < 5 * 0.05 / trials**0.5
    covariance = np.cov(x.T)
    np.testing.assert_allclose(covariance, 0.05**2 + 0.05**2 * np.eye(25), atol=5 * 2 * 0.005 * trials**-0.5)
    variance = 0.05**2 * k**2 + 0.05**2 * k
    np.testing.assert_allclose(y.var(axis=0), variance, rtol=5 * (2 / trials) ** 0.5)
    over_all = variance.mean() + 0.025**2 * k.var()  # 0.6175
    assert y.var() == pytest.approx(over_all, rel=0.05)


def test_the_white_noise_task_has_its_moments():
    ds = xm.datasets.white_noise_task(n_trials=20_000, seed=3)
    check_white_noise(ds.input.values, ds.target.values)


def test_the_white_noise_generator_draws_the_same_task():
    trials = xm.datasets.white_noise_generator(n_trials=20_000)
    first, second = trials.sample(seed=0), trials.sample(seed=1)
    assert first.sizes == {"trial": 20_000, "time": 25} and first.input.attrs["units"] == "1"
    check_white_noise(first.input.values, first.target.values)
    np.testing.assert_allclose(first.target, first.input.cumsum("time"), atol=1e-5)  # single precision
    assert abs(np.corrcoef(first.input.values.ravel(), second.input.values.ravel())[0, 1]) < 0.05  # seeds are independent


def test_random_spike_trains_are_poisson_and_their_labels_independent():
    ds = xm.datasets.random_spike_trains(seed=1)
    assert dict(ds.spike.sizes) == {"trial": 256, "time": 2000, "neuron": 100}
    assert ds.spike.dtype == np.uint8 and set(np.unique(ds.spike)) == {0, 1}
    expected, cells = 5 * 0.1 / 1000, 256 * 2000 * 100
    assert abs(float(ds.spike.mean()) - expected) < 5 * (expected / cells) ** 0.5
    counts = ds.spike.sum("time").values.astype(float)  # binomial: variance np(1 - p), 1 spike on average
    assert counts.var() == pytest.approx(1 - expected, rel=5 * (3 / counts.size) ** 0.5)
    assert abs(float(ds.label.mean()) - 0.5) < 5 * 0.5 / 16
    totals = counts.sum(axis=1)
    assert abs(np.corrcoef(totals, ds.label)[0, 1]) < 5 / 16
    assert "memorisation" in ds.attrs["task"] and ds.attrs["chance_level"] == 0.5
    assert float(ds.time[-1]) == pytest.approx(199.9)
    few = xm.datasets.random_spike_trains(n_trials=8, n_steps=50, n_classes=3, rate=100.0, dt=1.0)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(few.spike, rng.random((8, 50, 100), dtype=np.float32) < 0.1)  # as documented
    np.testing.assert_array_equal(few.label, rng.integers(0, 3, 8))


def evidence(ds: xr.Dataset) -> np.ndarray:
    """Log likelihood ``(trial, class)`` of independent steps, by someone who knows patterns and corruption."""
    steps, a = ds.sizes["time"], ds.attrs
    shift, sigma = np.arange(-2 * steps, 2 * steps + 1), a["jitter_ms"] / float(ds.time[1] - ds.time[0])
    moved = np.zeros(steps)
    np.add.at(moved, shift % steps, norm.cdf((shift + 0.5) / sigma) - norm.cdf((shift - 0.5) / sigma))
    silent = np.ones(ds.pattern.shape)
    for c, t, n in np.argwhere(ds.pattern.values):
        silent[c, :, n] *= 1 - (1 - a["deletion"]) * np.roll(moved, t)
    p = 1 - (1 - a["rate_hz"] * float(ds.time[1] - ds.time[0]) / 1000) * silent
    x = ds.spike.values.astype(float)
    return np.einsum("btn,ctn->bc", x, np.log(p / (1 - p))) + np.log1p(-p).sum(axis=(1, 2))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_spike_patterns_can_be_told_apart_by_times_and_not_by_counts(seed):
    ds = xm.datasets.spike_pattern_task(n_trials=2000, seed=seed)
    accuracy = float((evidence(ds).argmax(axis=1) == ds.label).mean())
    assert 0.98 < accuracy < 1  # the docstring says 0.985 to 0.995; one standard error is 0.002
    counts = ds.spike.sum("time").astype(float)
    train, test = (counts.sel(trial=ds.split == s) for s in ("train", "test"))
    means = train.groupby(ds.label.sel(trial=train.trial)).mean()
    nearest = ((test - means) ** 2).sum("neuron").argmin("label")
    assert abs(float((nearest == ds.label.sel(trial=test.trial)).mean()) - 0.25) < 4 * (0.25 * 0.75 / 500) ** 0.5


def test_the_spike_pattern_task_has_its_statistics_and_balanced_splits():
    ds = xm.datasets.spike_pattern_task(n_trials=2000, n_neurons=40, n_spikes=5, jitter=3.0, deletion=0.3, rate=10.0, seed=5)
    assert ds.pattern.dims == ("class", "time", "neuron")
    assert bool((ds.pattern.sum("time") == 5).all())
    added = 10 / 1000
    # 5 spikes of a pattern, 70 % kept; of two in one step one is seen, of an added one on a spike as well: fewer by a few percent
    expected = 5 * 0.7 + (100 - 5 * 0.7) * added
    assert expected * 0.95 < float(ds.spike.sum("time").mean()) < expected
    test = ds.split == "test"
    assert np.bincount(ds.label[test]).tolist() == [125] * 4 and np.bincount(ds.label[~test]).tolist() == [375] * 4
    clean = xm.datasets.spike_pattern_task(jitter=0.0, deletion=0.0, rate=0.0)
    np.testing.assert_array_equal(clean.spike, clean.pattern.sel({"class": clean.label}))
    xr.testing.assert_identical(xm.datasets.spike_pattern_task(), xm.datasets.load_dataset("spike_pattern_task"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d.white_noise_task(n_trials=0), "n_trials=0"),
        (lambda d: d.white_noise_task(dt=0.0), "dt above 0"),
        (lambda d: d.white_noise_task(scale=float("nan")), "need numbers"),
        (lambda d: d.random_spike_trains(n_trials=2, rate=20_000.0), "at most one"),
        (lambda d: d.random_spike_trains(n_trials=2, n_classes=1), "n_classes=1"),
        (lambda d: d.random_spike_trains(n_trials=2, seed=-1), "seed=-1"),
        (lambda d: d.spike_pattern_task(n_spikes=101), "at most one spike"),
        (lambda d: d.spike_pattern_task(deletion=1.0), "deletion < 1"),
        (lambda d: d.spike_pattern_task(n_trials=4), "without trials"),
        (lambda d: d.spike_pattern_task(jitter=-1.0), "jitter=-1"),
    ],
)
def test_tasks_refuse_numbers_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make(xm.datasets)
