"""The generator against JAX's own Threefry, its normal numbers, their independence, and how a step uses them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from jax.extend.random import threefry_2x32

import xmass as xm
from tests.oracles import loop
from xmass.core import noise
from xmass.core.integrate import SCHEMES


def normals(seed, stream, steps, regions, first=0):
    """Normal numbers ``(step, region)`` of one seed and stream."""
    keys = jnp.asarray(noise.key_words(seed, stream))[:, None]
    return np.asarray(drawn(keys, jnp.int32(first), steps, regions))[:, :, 0]


@functools.partial(jax.jit, static_argnums=(2, 3))
def drawn(keys, first, steps, regions):
    """Compiled, as in a run: XLA contracts multiplications and additions, so a single operation at a time rounds otherwise."""
    return jax.vmap(lambda row: noise.unpack(row, regions))(noise.normal_pairs(keys, first, steps, regions))


def test_threefry_words_are_those_of_jax():
    rng = np.random.default_rng(0)
    key = rng.integers(0, 2**32, 2, dtype=np.uint32)
    c0, c1 = (rng.integers(0, 2**32, 1000, dtype=np.uint32) for _ in range(2))
    ours = noise.threefry(jnp.uint32(key[0]), jnp.uint32(key[1]), jnp.asarray(c0), jnp.asarray(c1))
    theirs = threefry_2x32(jnp.asarray(key), jnp.concatenate([jnp.asarray(c0), jnp.asarray(c1)]))
    np.testing.assert_array_equal(np.concatenate(ours), theirs)


def test_threefry_known_answers():
    # Random123's known-answer tests of threefry2x32 with 20 rounds.
    ones = 0xFFFFFFFF
    known = [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((ones, ones), (ones, ones), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ]
    for key, counter, words in known:
        found = noise.threefry(*(jnp.uint32(v) for v in (*key, *counter)))
        assert tuple(int(w) for w in found) == words


def test_key_words_differ_for_seeds_that_jax_takes_for_one():
    words = {tuple(noise.key_words(s, "noise_x").tolist()) for s in (0, 2**32, 2**40, 2**64, 2**100)}
    assert len(words) == 5
    assert tuple(noise.key_words(0, "noise_y").tolist()) not in words


def test_box_muller_is_exact_to_float32():
    words = np.random.default_rng(1).integers(0, 2**32, (2, 200_000), dtype=np.uint32)
    z = np.asarray(noise._box_muller(jnp.asarray(words[0]), jnp.asarray(words[1])))
    radius = np.sqrt(-2 * np.log(((words[0] >> 8) + 0.5) / 2**24))
    # The 24 bits and a half are rounded to float32, which shows near 1, where the radius is small.
    np.testing.assert_allclose(np.abs(z), radius, rtol=2e-6, atol=1e-5)
    # The 30 low bits turn within a quarter circle, the two top bits choose it: every quadrant is turned as a whole.
    low = (words[1] & np.uint32(0x3FFFFFFF)) / 2**30 * np.pi / 2
    turned = z.astype(complex) * np.exp(-1j * low) / np.abs(z)
    corners = [turned[words[1] >> np.uint32(30) == q] for q in range(4)]
    assert max(np.abs(c - c[0]).max() for c in corners) < 2e-6
    # The four corners are a quarter circle apart, so the angle is uniform on the whole circle.
    quarters = np.angle([c[0] / corners[0][0] for c in corners]) / (np.pi / 2) % 4
    np.testing.assert_allclose(np.sort(np.round(quarters, 4) % 4), np.arange(4))


def test_moments_and_distribution():
    z = normals(3, "noise_x", 2000, 500).ravel()
    n = z.size
    # Five standard errors of the mean, variance, skewness and kurtosis of n independent normal numbers.
    assert abs(z.mean()) < 5 / np.sqrt(n)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs(scipy.stats.skew(z)) < 5 * np.sqrt(6 / n)
    assert abs(scipy.stats.kurtosis(z)) < 5 * np.sqrt(24 / n)
    assert scipy.stats.kstest(z, "norm").pvalue > 1e-3
    assert 4.4 < np.abs(z).max() < 5.9  # a million numbers; the radius has 24 bits


def correlation(a, b):
    return float(np.mean(a * b))


def test_steps_regions_runs_and_streams_are_independent():
    steps, regions = 4000, 101  # an odd number of regions: the last pair is cut
    z = normals(5, "noise_x", steps, regions)
    bound = 5 / np.sqrt(steps * (regions - 1))
    for lag in (1, 2, 3, 64, 512):
        assert abs(correlation(z[lag:], z[:-lag])) < 5 / np.sqrt(z[lag:].size)
    for shift in (1, 2, 50, 51):  # 51: the two halves of a pair
        assert abs(correlation(z[:, shift:], z[:, :-shift])) < 5 / np.sqrt(z[:, shift:].size)
        assert abs(correlation(z[:, shift:] ** 2 - 1, z[:, :-shift] ** 2 - 1)) < 10 / np.sqrt(z[:, shift:].size)
    for other in (normals(6, "noise_x", steps, regions), normals(5, "noise_y", steps, regions)):
        assert abs(correlation(z, other)) < bound
    fc = np.corrcoef(z.T)[np.triu_indices(regions, 1)]
    # 5050 correlations of 4000 samples: none beyond 5 standard errors, and their spread is 1 / sqrt(n).
    assert np.abs(fc).max() < 5 / np.sqrt(steps)
    np.testing.assert_allclose(fc.std(), 1 / np.sqrt(steps), rtol=0.05)


def test_a_number_depends_on_seed_stream_step_and_region_alone():
    whole = normals(9, "noise_x", 300, 7)
    np.testing.assert_array_equal(whole[123:150], normals(9, "noise_x", 27, 7, first=123))
    keys = jnp.asarray(np.stack([noise.key_words(s, "noise_x") for s in (4, 9, 7)], axis=1))
    np.testing.assert_array_equal(whole, np.asarray(drawn(keys, jnp.int32(0), 300, 7))[:, :, 1])


# --------------------------------------------------------------------------------------------------------------- in a step
@pytest.mark.long
@pytest.mark.parametrize("method", ["euler", "heun", "rk4"])
def test_a_noisy_network_equals_the_loop_with_the_same_numbers(method):
    # White noise on x, enters as sigma sqrt(dt) xi, in both stages of Heun; OU on y, exact, held over the step.
    n, dt, count, seed, sigma, tau, spread = 5, 0.1, 400, 17, 0.2, 3.0, 0.3
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.2, (n, n))
    steps = rng.integers(0, 20, (n, n))
    dims = ("region", "region_other")
    sc = xr.Dataset({"weights": (dims, weights), "distances": (dims, steps * dt, {"units": "mm"})})
    model = xm.HopfStep(a=-0.2, w=0.3, noise_x=xm.WhiteNoise(sigma=sigma), noise_y=xm.OUProcess(sigma=spread, tau=tau, mean=0.1))
    net = xm.Network(model, sc, speed=1.0, coupling=xm.DiffusiveCoupling(source="x", target="x"))
    run = xm.Simulator(net, dt=dt, method=method, precision="float64").run(count * dt, initial={"x": 0.1}, seed=seed)
    white, driving = (normals(seed, s, count, n).astype(np.float64) for s in ("noise_x", "noise_y"))
    keys = jnp.asarray(noise.key_words(seed, "noise_y"))[:, None]
    eta = [0.1 + spread * np.asarray(noise.stationary_normals(keys, 1, n), np.float64)[0, :, 0]]
    for z in driving:
        eta.append(0.1 + (eta[-1] - 0.1) * np.exp(-dt / tau) + spread * np.sqrt(1 - np.exp(-2 * dt / tau)) * z)
    path = loop.integrate(
        loop.hopf(-0.2, 0.3),
        {"x": np.full(n, 0.1), "y": np.zeros(n)},
        [loop.Edges(weights, steps, "x", "x", 1.0, True)],
        dt=dt,
        count=count,
        scheme=method,
        held=lambda k: {"y": eta[k]},
        white=lambda k: {"x": sigma * np.sqrt(dt) * white[k]},
    )
    np.testing.assert_allclose(run.x, path["x"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.y, path["y"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["euler", "heun"])
def test_strong_order_with_additive_noise_is_one(method):
    # The library's steps with increments that are sums of the finest path's, so that every step size sees the same Brownian
    # path; the finest is 16 times finer than the last. Both schemes have strong order 1 for additive noise.
    scheme, sigma, stop, paths, finest = SCHEMES[method], 0.4, 4.0, 200, 16384
    increments = np.random.default_rng(2).normal(0, sigma * np.sqrt(stop / finest), (finest, 2, paths))

    def f(s, stage):
        r2 = s["x"] ** 2 + s["y"] ** 2
        return {"x": (0.5 - r2) * s["x"] - 1.5 * s["y"], "y": (0.5 - r2) * s["y"] + 1.5 * s["x"]}

    def end(steps):
        w = increments.reshape(steps, finest // steps, 2, paths).sum(axis=1)
        s = {"x": np.full(paths, 0.5), "y": np.zeros(paths)}
        for k in range(steps):
            s = scheme(f, s, stop / steps, {"x": w[k, 0], "y": w[k, 1]})
        return np.stack([s["x"], s["y"]])

    exact = end(finest)
    errors = [np.sqrt(np.mean((end(steps) - exact) ** 2)) for steps in (256, 512, 1024)]
    # A comparison with a path of finite fineness h* measures h - h*: order log2((h - h*) / (h / 2 - h*)), 1.09 at most.
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.12)


def test_trials_are_seeds_of_a_hash():
    made = noise.trial_seeds(2, 5)
    assert len(set(made.tolist())) == 5 and (made >= 0).all()
    np.testing.assert_array_equal(made[:3], noise.trial_seeds(2, 3))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(made, noise.trial_seeds(2, 5))
