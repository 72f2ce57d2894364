"""Surrogate gradients: every slope against its closed form and its integral, spikes at extreme values."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats
from scipy.special import expit

import xmass as xm

s = xm.training.surrogate
KINDS = [getattr(s, name) for name in s.__all__ if name != "Surrogate"]

# Slopes of section 4.2 of the specification with its constants, written in numpy, by points on both sides and at every branch.
CLOSED = {
    "InvSquare": lambda x: 1 / (100 * abs(x) + 1) ** 2,
    "Sigmoid": lambda x: 4 * expit(4 * x) * (1 - expit(4 * x)),
    "PiecewiseQuadratic": lambda x: max(0.0, 1 - abs(x)),
    "PiecewiseExp": lambda x: 0.5 * np.exp(-abs(x)),
    "SoftSign": lambda x: 1 / (2 * (1 + abs(x)) ** 2),
    "Arctan": lambda x: 1 / (2 * (1 + (np.pi * x / 2) ** 2)),
    "NonzeroSignLog": lambda x: 1 / (1 + abs(x)),
    "ERF": lambda x: np.exp(-(x**2)) / np.sqrt(np.pi),
    "PiecewiseLeakyRelu": lambda x: 0.5 if abs(x) <= 1 else 0.01,
    "SquarewaveFourier": lambda x: 0.5 * (np.cos(np.pi * x / 4) + np.cos(3 * np.pi * x / 4)),
    "S2NN": lambda x: 4 * expit(4 * x) * (1 - expit(4 * x)) if x < 0 else 1 / (x + 1),
    "QPseudoSpike": lambda x: (1 + 2 * abs(x) / 3) ** -2.0,
    "LeakyRelu": lambda x: 0.1 if x < 0 else 1.0,
    "LogTailedRelu": lambda x: 1 / x if x > 1 else (1.0 if x > 0 else 0.0),
    "ReluGrad": lambda x: max(0.0, 0.3 * (1 - abs(x))),
    "Gaussian": lambda x: 0.5 * stats.norm.pdf(x, scale=0.5),
    "MultiGaussian": lambda x: (
        0.5 * (1.15 * stats.norm.pdf(x, 0, 0.5) - 0.15 * stats.norm.pdf(x, 0.5, 3.0) - 0.15 * stats.norm.pdf(x, -0.5, 3.0))
    ),
    "Slayer": lambda x: np.exp(-abs(x)),
}
# The functions whose slopes they are, with other constants than the defaults, up to a constant.
SMOOTH = {
    "InvSquare": ({"alpha": 7.0}, lambda x: x / (1 + 7 * abs(x))),
    "Sigmoid": ({"alpha": 3.0}, lambda x: expit(3 * x)),
    "PiecewiseExp": ({"alpha": 2.0}, lambda x: np.sign(x) * (1 - np.exp(-2 * abs(x))) / 2),
    "SoftSign": ({"alpha": 2.0}, lambda x: x / (1 + 2 * abs(x))),
    "Arctan": ({"alpha": 2.0}, lambda x: np.arctan(np.pi * x) / np.pi),
    "NonzeroSignLog": ({"alpha": 2.0}, lambda x: np.sign(x) * np.log(2 * abs(x) + 1)),
    "ERF": ({"alpha": 2.0}, lambda x: special.erf(2 * x) / 2),
    "SquarewaveFourier": ({"n": 3, "T": 5.0}, lambda x: 2 / np.pi * sum(np.sin(k * 0.4 * np.pi * x) / k for k in (1, 3, 5))),
    "QPseudoSpike": ({"alpha": 3.0}, lambda x: np.sign(x) * (1 - (1 + abs(x) / 2) ** -2.0)),
    "Gaussian": ({"sigma": 0.7, "alpha": 2.0}, lambda x: 2 * stats.norm.cdf(x / 0.7)),
    "MultiGaussian": (
        {"h": 0.2, "s": 2.0, "sigma": 0.7, "scale": 2.0},
        lambda x: 2 * (1.2 * stats.norm.cdf(x / 0.7) - 0.2 * stats.norm.cdf((x - 0.7) / 1.4) - 0.2 * stats.norm.cdf((x + 0.7) / 1.4)),
    ),
    "Slayer": ({"alpha": 2.0}, lambda x: np.sign(x) * (1 - np.exp(-2 * abs(x))) / 2),
    "PiecewiseQuadratic": ({"alpha": 0.5}, lambda x: np.clip(x, -2, 2) / 2 - np.sign(x) * np.clip(x, -2, 2) ** 2 / 8),
    "ReluGrad": ({"alpha": 2.0, "w": 0.5}, lambda x: np.clip(x, -0.5, 0.5) - np.sign(x) * np.clip(x, -0.5, 0.5) ** 2),
}


def all_gradients(x):
    """Of every kind, by one compilation."""
    found = jax.jit(lambda x: [jax.grad(lambda x, kind: kind(x).sum())(x, k()) for k in KINDS])(x)
    return {k.__name__: np.asarray(g) for k, g in zip(KINDS, found)}


def test_every_slope_is_its_closed_form_on_both_sides():
    x = np.array([-7.3, -1.5, -0.6, -0.013, 0.0, 0.02, 0.7, 1.4, 6.1])
    with jax.enable_x64(True):
        found = all_gradients(jnp.asarray(x))
    assert set(found) == set(CLOSED)
    for name, slopes in found.items():
        np.testing.assert_allclose(slopes, [CLOSED[name](v) for v in x], rtol=1e-12, atol=1e-15, err_msg=name)


def test_a_slope_integrates_to_its_function():
    nodes, weights = special.roots_legendre(80)
    ends = np.array([-3.1, -2.0, -0.5, 0.0, 0.5, 2.0, 4.3])  # kinks lie at ends
    half = np.diff(ends)[:, None] / 2
    x = half * nodes + (ends[:-1, None] + half)
    slopes = [getattr(s, name)(**constants).slope for name, (constants, _) in SMOOTH.items()]
    with jax.enable_x64(True):
        found = jax.jit(lambda x: [slope(x) for slope in slopes])(x)
    for (name, (_, function)), values in zip(SMOOTH.items(), found):
        areas = (half * weights * np.asarray(values)).sum(axis=1)
        np.testing.assert_allclose(areas, np.diff([function(e) for e in ends]), atol=1e-12, err_msg=name)


def test_surrogates_are_finite_at_huge_values_and_keep_the_dtype():
    # Item 13 of the deviations: sigmoid(alpha x) by exp overflows to NaN, and spikes of another dtype promote the whole network.
    with jax.enable_x64(True):
        for dtype in (np.float32, np.float64):
            top = np.finfo(dtype).max
            x = jnp.array([-top, -1e5, -100.0, -1e-30, -0.0, 0.0, 100.0, 1e5, top], dtype)
            for name, slopes in all_gradients(x).items():
                assert slopes.dtype == dtype, name
                assert np.isfinite(slopes).all(), name
            spikes = jax.jit(lambda x: [kind()(x) for kind in KINDS])(x)
            for kind, spike in zip(KINDS, spikes):
                assert spike.dtype == dtype, kind
                assert spike.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1], kind


def test_a_nan_stays_one():
    # a membrane that has diverged must not look like a silent one
    assert np.isnan(s.Sigmoid()(jnp.array([np.nan, 1.0]))).tolist() == [True, False]


def test_a_surrogate_of_your_own_shapes_the_gradient_and_nothing_else():
    class Flat(s.Surrogate):
        def slope(self, x):
            return jnp.full_like(x, 0.25)

    x = jnp.array([-1.0, 2.0])
    assert Flat()(x).tolist() == [0, 1] and jax.grad(lambda x: Flat()(x).sum())(x).tolist() == [0.25, 0.25]
    both = jax.jvp(lambda a: s.Sigmoid(alpha=a)(x), (4.0,), (1.0,))
    assert both[1].tolist() == [0, 0]  # alpha has no gradient
