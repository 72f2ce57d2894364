"""A Param by itself: what it takes, what it refuses, its penalty and its prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import xmass as xm
from xmass.core.param import Param, limits, log_prior, penalty
from xmass.core.prior import HalfNormal, LogNormal, Normal, Uniform


def test_it_shows_what_was_given():
    assert repr(Param(0.1)) == "Param(0.1)"
    assert repr(Param(0.1, bounds=[0, None], fit=False, dims="region")) == "Param(0.1, bounds=(0, None), fit=False, dims=('region',))"
    assert xm.Param is Param


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (dict(value=None), TypeError, "needs a number"),
        (dict(value=True), TypeError, "needs a number"),
        (dict(value=Param(1.0)), TypeError, "needs a number"),
        (dict(value=1.0, bounds=3), TypeError, "needs a pair"),
        (dict(value=1.0, bounds=(0, 1, 2)), TypeError, "needs a pair"),
        (dict(value=1.0, transform="logistic"), ValueError, "needs one of 'identity'"),
        (dict(value=1.0, transform=np.exp), ValueError, "forward"),
        (dict(value=1.0, prior=3.0), TypeError, "log_prob"),
        (dict(value=1.0, prior=stats.norm(0, 1)), TypeError, "xm.priors.Normal"),
        (dict(value=1.0, reg=0.0), ValueError, "positive weight"),
        (dict(value=1.0, reg=True), ValueError, "positive weight"),
        (dict(value=1.0, reg=np.inf), ValueError, "positive weight"),
        (dict(value=1.0, fit=1), TypeError, "True or False"),
        (dict(value=1.0, dims=("a", "a")), ValueError, "different names"),
        (dict(value=1.0, dims=(3,)), ValueError, "different names"),
    ],
)
def test_what_it_refuses(given, error, message):
    with pytest.raises(error, match=message):
        Param(given.pop("value"), **given)


def test_limits_are_infinite_where_there_is_no_bound():
    assert limits(Param(1.0)) == (-np.inf, np.inf)
    assert limits(Param(1.0, bounds=(None, 2))) == (-np.inf, 2.0)


def test_a_penalty_in_widths_of_the_bounds():
    # 3 * mean(((v - start) / 4)^2) with v - start = (1, 2): 3 * (1/16 + 4/16) / 2
    value = jnp.asarray([1.0, 2.0])
    assert float(penalty(Param(0.0, bounds=(-2, 2), reg=3.0), value, 0.0)) == pytest.approx(3 * 5 / 32, rel=1e-6)


def test_a_penalty_without_bounds_is_relative_to_the_start():
    value, start = jnp.asarray([3.0, 0.5]), np.array([2.0, 0.0])  # sizes 2 and, where the start is 0, 1
    assert float(penalty(Param(start, reg=2, dims="region"), value, start)) == pytest.approx(2 * (0.25 + 0.25) / 2, rel=1e-6)


def test_a_penalty_of_ones_own_is_summed_and_traced():
    param = Param(0.0, reg=jnp.abs)
    value = jnp.asarray([-1.0, 2.0])
    np.testing.assert_allclose(jax.grad(lambda v: penalty(param, v, 0.0))(value), [-1.0, 1.0])
    assert float(penalty(param, value, 0.0)) == 3.0
    assert float(penalty(Param(0.0), value, 0.0)) == 0.0


PRIORS = [
    (Normal(0.5, 2.0), stats.norm(0.5, 2.0)),
    (LogNormal(3.0, 0.7), stats.lognorm(0.7, scale=3.0)),
    (HalfNormal(1.5), stats.halfnorm(scale=1.5)),
    (Uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
]


@pytest.mark.parametrize(("prior", "known"), PRIORS, ids=lambda p: type(p).__name__)
def test_priors_against_scipy(prior, known):
    at = np.array([-2.0, -0.5, 0.1, 0.9, 2.5, 8.0])
    with jax.enable_x64(True):
        np.testing.assert_allclose(prior.log_prob(jnp.asarray(at)), known.logpdf(at), rtol=1e-12)
        draws = np.asarray(prior.sample(jax.random.key(3), (4000,)))
    # 4000 draws of the right distribution give a smaller p than 1e-3 once in a thousand keys; the key is fixed.
    assert stats.kstest(draws, known.cdf).pvalue > 1e-3


@pytest.mark.parametrize("prior", [p for p, _ in PRIORS], ids=lambda p: type(p).__name__)
def test_the_gradient_of_a_prior_is_never_nan(prior):
    slope = jax.vmap(jax.grad(lambda v: prior.log_prob(v)))(jnp.asarray([-2.0, 0.0, 1.0, 9.0]))
    assert np.isfinite(slope).all()


def test_log_prior_sums_over_values():
    param = Param(0.0, prior=Normal(0.0, 1.0), dims="region")
    assert float(log_prior(param, jnp.zeros(3))) == pytest.approx(3 * stats.norm.logpdf(0.0), rel=1e-6)
    assert float(log_prior(Param(0.0), jnp.zeros(3))) == 0.0


@pytest.mark.parametrize("make", [lambda: Normal(0, 0), lambda: LogNormal(-1, 1), lambda: HalfNormal(-1), lambda: Uniform(1, 1)])
def test_priors_refuse_what_is_no_density(make):
    with pytest.raises(ValueError, match="needs"):
        make()
