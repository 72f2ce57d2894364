"""Coloured noise: its filter against the exact law without chance, and its samples against the filter."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import xarray as xr

import xmass as xm
from tests.core.test_noise import normals
from tests.core.test_noise_processes import alone, lag_one
from xmass.core import coloured

EXPONENTS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)


def filter_of(exponent, slowest, dt=1.0):
    """Scale, leaks and the response to a single draw of 1 in the first step, ``(step,)``, from the process itself."""
    with jax.enable_x64(True):
        p = {n: jnp.full((1, 1), v, jnp.float64) for n, v in {"sigma": 1.0, "exponent": exponent, "slowest": slowest}.items()}
        made = xm.ColoredNoise(**p).factors(jnp.asarray(dt))
    numbers = {name: np.asarray(v, dtype=np.float64).reshape(-1) for name, v in made.items()}
    return numbers["scale"][0], numbers["recent"][0], numbers["kept"], numbers["leak"]


def response(exponent, slowest, frequency, dt=1.0):
    """Transfer function at frequencies in cycles per step: draw, previous draw, and relaxations that see the draw before."""
    scale, recent, kept, leak = filter_of(exponent, slowest, dt)
    z = np.exp(-2j * np.pi * frequency)
    return scale + recent * z + sum(k * z**2 / (1 - (1 - q) * z) for k, q in zip(kept, leak, strict=True))


@pytest.mark.parametrize("slowest", [1e3, 1e5])
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_filter_has_the_power_law_up_to_the_nyquist_frequency(exponent, slowest):
    # |H|^2 is proportional to (2 sin pi f dt)^-exponent. The documented bounds: 1 % from 5 / slowest on; beyond 16 / slowest
    # only the ripple of the relaxations is left, 0.4 %. 2 is a relaxation, whose corner is felt as 1 / (2 pi f slowest)^2.
    scale = filter_of(exponent, slowest)[0]
    for low, bound in ((5.0, 0.01), (16.0, 0.004)):
        f = np.geomspace(low / slowest, 0.5, 300)
        power = np.abs(response(exponent, slowest, f) / scale) ** 2
        assert np.abs(power * (2 * np.sin(np.pi * f)) ** exponent - 1).max() < bound


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_variance_is_that_of_sigma_at_once(exponent):
    # Parseval: the integral of |H|^2 over all frequencies, by the trapezoidal rule, is sigma^2 = 1, whatever the exponent.
    n = 2**16
    f = np.arange(n) / n
    assert np.mean(np.abs(response(exponent, 500.0, f)) ** 2) == pytest.approx(1.0, rel=1e-10)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("slowest", [10.0, 1e4, 1e6])
def test_the_start_has_the_joint_covariance_of_the_relaxations(precision, slowest):
    # Relaxations of one drive with factors a and b have the covariance 1 / (1 - ab); float32 holds the rates to 1e-7.
    with jax.enable_x64(precision == "float64"):
        rate = coloured._rates(jnp.full((1, 1), slowest, precision), jnp.asarray(1.0, precision))
        root = np.asarray(coloured._root(rate), np.float64)[:, :, 0, 0]
        rate = np.asarray(rate, np.float64)[:, 0, 0]
    assert (np.triu(root, 1) == 0).all()
    wanted = 1 / -np.expm1(-(rate[:, None] + rate[None]))
    size = np.sqrt(np.diag(wanted))
    np.testing.assert_allclose(
        root @ root.T / size / size[:, None], wanted / size / size[:, None], atol=1e-5 if precision == "float32" else 1e-13
    )


def test_special_exponents_are_processes_that_are_known():
    # 0: the draws. -2: their difference over sqrt(2). 2: the autoregression of an Ornstein-Uhlenbeck process with tau = slowest.
    z = normals(1, "noise", 200, 2000).astype(np.float64)
    np.testing.assert_allclose(alone(xm.ColoredNoise(exponent=0.0)), z, rtol=0, atol=1e-12)
    violet = alone(xm.VioletNoise())
    np.testing.assert_allclose(violet[1:], (z[1:] - z[:-1]) / np.sqrt(2), rtol=0, atol=1e-12)
    brown = alone(xm.ColoredNoise(exponent=2.0, slowest=40.0))
    rho = np.exp(-0.1 / 40)
    np.testing.assert_allclose(brown[1:], rho * brown[:-1] + np.sqrt(1 - rho**2) * z[1:], rtol=0, atol=1e-10)


def test_pink_blue_and_violet_are_exponents():
    for make, exponent in ((xm.PinkNoise, 1.0), (xm.BlueNoise, -1.0), (xm.VioletNoise, -2.0)):
        made = make(sigma=0.2, slowest=50.0)
        assert (type(made), made.exponent, made.sigma, made.slowest) == (xm.ColoredNoise, exponent, 0.2, 50.0)


# ---- samples
@pytest.fixture(scope="module")
def spectra():
    """Welch spectra (exponent: frequency in 1/ms, power) of a sweep over the exponent, 400 regions, 4096 steps of 1 ms."""
    p = xr.Dataset({"noise.exponent": ("exponent", list(EXPONENTS))})
    sim = xm.Simulator(xm.ColoredNoise(sigma=0.5, slowest=1000.0), dt=1.0, regions=400)
    x = sim.run(4096.0, p, seed=1).noise.transpose("exponent", "region", "time")
    frequency, power = scipy.signal.welch(x.values, fs=1.0, nperseg=512, detrend=False)
    return dict(zip(EXPONENTS, power.mean(axis=1), strict=True)), frequency, x


@pytest.mark.long
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_item_11_the_spectrum_in_time_falls_as_the_exponent_says(spectra, exponent):
    # Slope of log power against log (2 sin pi f dt), bins 10 to 256. Each bin is a mean over 400 regions and about 10
    # independent stretches, 1.6 %; the slope of 247 bins then has a standard error of about 0.003. The window of Hann adds
    # below 0.5 % of the exponent at the steepest.
    powers, frequency, _ = spectra
    f, power = frequency[10:], powers[exponent][10:]
    slope = np.polyfit(np.log(2 * np.sin(np.pi * f)), np.log(power), 1)[0]
    assert abs(slope + exponent) < 5 * 0.003 + 0.005 * abs(exponent)
    # against frequency itself, below a tenth of the sampling rate, where the sine is its angle to 2 %
    low = slice(10, 52)
    slope = np.polyfit(np.log(frequency[low]), np.log(powers[exponent][low]), 1)[0]
    assert abs(slope + exponent) < 5 * 0.01 + 0.02 * abs(exponent)
    # and in absolute size: one-sided power 2 |H|^2 per unit of frequency
    expected = 2 * 0.25 * np.abs(response(exponent, 1000.0, f[:-1])) ** 2
    assert abs(np.mean(power[:-1] / expected) - 1) < 0.01


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_coloured_noise_is_stationary_from_the_start(spectra, exponent):
    x = spectra[2].sel(exponent=EXPONENTS.index(exponent)).values
    for at in (0, 1, 30, 1000, -1):  # 400 independent values: a standard error of 7 %
        assert abs(x[:, at].var() / 0.25 - 1) < 5 * np.sqrt(2 / 400)
        assert abs(x[:, at].mean()) < 5 * 0.5 / np.sqrt(400)


def fractional_correlation(order):
    """Lag-1 autocorrelation of fractional noise, order / (1 - order)."""
    return order / (1 - order)


@pytest.mark.parametrize(("make", "rho"), [(xm.BlueNoise, -1 / 3), (xm.VioletNoise, -1 / 2)])
def test_neighbouring_steps_of_blue_and_violet_noise_are_opposed(make, rho):
    # (1 - B)^d xi has the lag-1 autocorrelation -d / (1 + d): -1/3 for d = 1/2. Standard error below 1 / sqrt(n).
    x = alone(make(sigma=1.0), duration=50.0)
    assert fractional_correlation(-0.5) == pytest.approx(-1 / 3)
    assert abs(lag_one(x) - rho) < 5 / np.sqrt(x.size) + 1e-3  # the relaxations give the law to 0.1 %


def test_pink_noise_has_the_autocorrelation_of_its_filter():
    # The response to one draw, correlated with itself at lags 1, 10, 100. Errors by the spread over 2000 independent regions.
    x = alone(xm.PinkNoise(sigma=1.0, slowest=100.0), dt=0.1, duration=60.0)
    f = np.arange(2**15) / 2**15
    wanted = np.fft.ifft(np.abs(response(1.0, 100.0, f, dt=0.1)) ** 2).real
    assert wanted[0] == pytest.approx(1.0, abs=1e-9)
    for lag in (1, 10, 100):
        each = (x[lag:] * x[:-lag]).mean(axis=0)
        assert abs(each.mean() - wanted[lag]) < 5 * each.std() / np.sqrt(2000)
    assert wanted[1] > 0.75  # where noise that is coloured across regions has none


def test_a_sweep_over_the_exponent_keeps_the_draws():
    # One seed: what differs is the colour. The draw of a step is in each of them, with a weight of scale.
    p = xr.Dataset({"noise.exponent": ("exponent", [0.0, 0.5, -0.5])})
    x = xm.Simulator(xm.ColoredNoise(), dt=0.1, regions=2000).run(20.0, p, seed=1).noise.isel(time=-1)
    for i in (1, 2):
        assert np.corrcoef(x[0], x[i])[0, 1] == pytest.approx(filter_of(float(p["noise.exponent"][i]), 1e5)[0], abs=5 / np.sqrt(2000))


@pytest.mark.parametrize("order", [0.5, 0.25, -0.5])
def test_weights_are_those_of_fractional_summation(order):
    # The response of (1 - B)^-s to a draw of 1 is 1, s, s (s + 1) / 2, ... Relaxations give its first 100 steps to 1 %, of 10^4.
    scale, recent, kept, leak = filter_of(2 * order, 1e4)
    j = np.arange(100)
    made = np.concatenate([[scale, recent], (kept[:, None] * (1 - leak[:, None]) ** j).sum(axis=0)]) / scale
    exact = np.concatenate([[1.0], np.cumprod((j + order) / (j + 1)), [0.0]])[:102]
    np.testing.assert_allclose(made[:101], exact[:101], rtol=0.01)
