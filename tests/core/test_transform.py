"""Transforms against their definitions, their inverses, and the determinant of their Jacobian by automatic differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xmass.core.transform import (
    Exponential,
    Identity,
    Logistic,
    Ordered,
    Own,
    Simplex,
    Softplus,
    default_transform,
    transform_of,
)

ELEMENTWISE = [
    Identity(),
    Identity(30.0),
    Logistic(0.0, 1.0),
    Logistic(-0.2, 0.1),
    Logistic(np.array([0.0, 1.0, -4.0, 2.0, 0.0]), np.array([1.0, 3.0, 0.0, 2.5, 9.0])),
    Softplus(0.0, 1),
    Softplus(-1.0, 1, 0.01),
    Softplus(5.0, -1, 3.0),
    Exponential(),
    Exponential(Logistic(np.log(1e-3), np.log(10.0))),
    Exponential(Softplus(np.log(2.0), 1)),
    Exponential(Softplus(np.log(2.0), -1)),
]
MIXED = [Simplex(), Ordered(), Ordered(0.1)]
Z = np.array([-3.0, -0.4, 0.0, 0.7, 2.5])


def names(transforms):
    return [f"{i}-{type(t).__name__}" for i, t in enumerate(transforms)]


def each(transforms):
    return pytest.mark.parametrize("transform", transforms, ids=names(transforms))


class Cube:
    """A user's own: v = z^3 + z."""

    def forward(self, z):
        return z**3 + z

    def inverse(self, value):
        # Cardano, for the one real root of z^3 + z - v
        root = jnp.sqrt(value**2 / 4 + 1 / 27)
        return jnp.cbrt(value / 2 + root) + jnp.cbrt(value / 2 - root)


@each([*ELEMENTWISE, *MIXED, Own(Cube())])
def test_the_inverse_undoes_it(transform):
    with jax.enable_x64(True):
        z = jnp.asarray(Z)
        np.testing.assert_allclose(transform.inverse(transform.forward(z)), Z, rtol=1e-12, atol=1e-12)


@each([*ELEMENTWISE, *MIXED, Own(Cube())])
def test_log_det_is_that_of_the_jacobian(transform):
    with jax.enable_x64(True):
        z = jnp.asarray(Z)
        jacobian = np.asarray(jax.jit(jax.jacobian(transform.forward))(z))
        if isinstance(transform, Simplex):  # the last value follows from the others
            jacobian = jacobian[:-1]
        sign, expected = np.linalg.slogdet(jacobian)
        assert sign != 0
        np.testing.assert_allclose(np.sum(transform.log_det(z)), expected, rtol=1e-12, atol=1e-12)


@each([*ELEMENTWISE, Simplex(), Ordered()])
def test_value_and_slope_are_finite_in_float32_far_out(transform):
    z = jnp.asarray([-80.0, -20.0, 0.0, 20.0, 80.0], jnp.float32)
    if isinstance(transform, Exponential) and isinstance(transform.inner, Identity):
        z = z / 2  # exp(80) squared is more than float32 holds
    value, slope = jax.jvp(transform.forward, (z,), (jnp.ones_like(z),))
    assert value.dtype == jnp.float32
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 0.0), (0.0, 1e-6)])
def test_logit_keeps_all_digits_near_a_bound_at_zero(low, high):
    # Near 0 a float has as many digits as anywhere, so that z comes back to rounding, 1e-12, from any distance to the bound.
    side = -1.0 if low == 0.0 else 1.0
    z = side * np.array([1.0, 10.0, 37.0, 200.0, 600.0])
    with jax.enable_x64(True):
        transform = Logistic(low, high)
        value = np.asarray(transform.forward(jnp.asarray(z)))
        assert ((value > low) & (value < high)).all()
        np.testing.assert_allclose(transform.inverse(jnp.asarray(value)), z, rtol=1e-12)


def test_logit_near_a_bound_that_is_not_zero_is_as_good_as_the_value_can_be_written():
    # The value has a rounding error of eps |v|, which the slope of the inverse, 1/(w s (1 - s)), magnifies: no formula does better.
    low, high = 0.3, 0.8
    with jax.enable_x64(True):
        z = jnp.linspace(-25.0, 25.0, 101)
        back = Logistic(low, high).inverse(Logistic(low, high).forward(z))
        slope = (high - low) * jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)
        allowed = 1e-13 * jnp.maximum(jnp.abs(z), 1) + 2 * np.finfo(float).eps * high / slope
        assert (jnp.abs(back - z) <= allowed).all()


def test_logit_is_the_logistic_function():
    z = np.linspace(-4, 4, 9)
    with jax.enable_x64(True):
        np.testing.assert_allclose(Logistic(-1.0, 3.0).forward(jnp.asarray(z)), -1 + 4 / (1 + np.exp(-z)), rtol=1e-14)


def test_equal_values_are_the_origin_of_the_simplex():
    value = Simplex().forward(jnp.zeros((2, 4)))
    np.testing.assert_allclose(value, np.full((2, 5), 0.2), rtol=1e-6)  # float32


def test_simplex_is_positive_and_has_the_sum_one_for_a_batch():
    with jax.enable_x64(True):
        z = jnp.asarray(np.random.default_rng(0).normal(0, 3, (50, 3, 6)))
        value = np.asarray(Simplex().forward(z))
        assert value.shape == (50, 3, 7)
        assert (value > 0).all()
        np.testing.assert_allclose(value.sum(-1), 1.0, rtol=1e-14)
        assert Simplex().log_det(z).shape == (50, 3)


def test_simplex_against_the_broken_stick():
    z = np.array([0.3, -1.0, 0.6])
    left, expected = 1.0, []
    for k in range(3):
        part = 1 / (1 + np.exp(-z[k]) * (3 - k))
        expected.append(left * part)
        left -= expected[-1]
    with jax.enable_x64(True):
        np.testing.assert_allclose(Simplex().forward(jnp.asarray(z)), [*expected, left], rtol=1e-13)


def test_ordered_values_increase():
    with jax.enable_x64(True):
        value = np.asarray(Ordered(0.5).forward(jnp.asarray([1.0, 0.0, np.log(2.0)])))
    np.testing.assert_allclose(value, [0.5, 1.0, 2.0], rtol=1e-14)


def test_bounds_choose_the_transform():
    assert isinstance(default_transform(None), Identity)
    assert isinstance(default_transform((0, 1)), Logistic)
    above, below = default_transform((2.0, None)), default_transform((None, -1.0))
    assert isinstance(above, Softplus)
    assert isinstance(below, Softplus)
    assert (above.bound, above.sign, below.bound, below.sign) == (2.0, 1, -1.0, -1)


def test_the_scale_makes_coordinates_independent_of_the_unit():
    # The same parameter in ms and in s: equal coordinates give equal values.
    with jax.enable_x64(True):
        z = jnp.asarray(Z)
        for bound in (-np.inf, 0.0):
            in_ms = transform_of(None, bound * 1e3 if np.isfinite(bound) else bound, scale=20.0).forward(z)
            in_s = transform_of(None, bound, scale=0.02).forward(z)
            np.testing.assert_allclose(in_ms, 1e3 * in_s, rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "low", "high", "message"),
    [
        ("identity", 0.0, np.inf, "keeps no bounds"),
        ("simplex", 0.0, 1.0, "keeps no bounds"),
        ("logit", 0.0, np.inf, "needs two finite bounds"),
        ("softplus", 0.0, 1.0, "keeps one bound"),
        ("log", -1.0, 1.0, "positive values"),
        ("log", np.array([0.0, 1.0]), 2.0, "above 0 everywhere"),
        ("cubic", -np.inf, np.inf, "needs one of 'identity'"),
    ],
)
def test_a_transform_that_cannot_keep_the_bounds_is_refused(name, low, high, message):
    with pytest.raises(ValueError, match=message):
        transform_of(name, low, high)


def test_an_own_mixing_transform_without_log_det_says_so():
    class Mixing(Cube):
        elementwise = False

    with pytest.raises(TypeError, match="no log_det"):
        Own(Mixing()).log_det(jnp.zeros(3))
