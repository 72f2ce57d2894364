"""The Lorenz system: reference vector, fixed points, contraction, symmetry, and the largest Lyapunov exponent."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xmass as xm
from tests.models.test_facts import field, fixed_point, simulate
from tests.models.test_vectors import derivative, one_step
from xmass.core.integrate import rk4


def test_derivative_and_one_step():
    model, state, inputs = xm.LorenzStep(), {"x": 1.0, "y": 2.0, "z": 3.0}, {"x": 0.5}
    np.testing.assert_allclose(derivative(model, state, inputs), (10.5, 23, -6), rtol=1e-14)
    # Ten printed digits.
    np.testing.assert_allclose(one_step(model, state, inputs, 0.01, "exp_euler"), (1.099920711, 2.228853824, 2.940792936), rtol=2e-9)
    np.testing.assert_allclose(one_step(model, state, inputs, 0.01, "rk4"), (1.111458067, 2.242777021, 2.943144978), rtol=2e-9)


@pytest.mark.long
@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("rho", [14.0, 28.0])
def test_fixed_points(rho, side):
    c = side * np.sqrt(8 / 3 * (rho - 1))
    point, rates = fixed_point(xm.LorenzStep(rho=rho), [side * 6.0, side * 6.0, rho - 2.0])
    np.testing.assert_allclose(point, [c, c, rho - 1], rtol=1e-12)
    # They lose stability at rho = sigma (sigma + beta + 3) / (sigma - beta - 1) = 24.74.
    assert (rates.real.max() < 0) == (rho < 24.7368)
    if rho == 28.0:
        assert rates[np.argmax(rates.imag)] == pytest.approx(0.093956 + 10.194505j, abs=1e-6)


def test_origin():
    # y and x decouple from z: the roots of l^2 + (sigma + 1) l + sigma (1 - rho), and -beta.
    _, rates = fixed_point(xm.LorenzStep(), [0.01, 0.01, 0.01])
    expected = [*np.roots([1.0, 11.0, 10.0 * (1 - 28.0)]), -8 / 3]
    np.testing.assert_allclose(np.sort(rates.real), np.sort(expected), rtol=1e-12)


def test_volumes_contract_at_a_constant_rate_and_the_mirror_image_is_a_solution():
    value, jacobian = field(xm.LorenzStep())
    for x in np.random.default_rng(0).normal(0, 10, (3, 3)):
        assert np.trace(jacobian(x)) == pytest.approx(-(10 + 1 + 8 / 3), rel=1e-13)
        np.testing.assert_allclose(value(x * [-1, -1, 1]), value(x) * [-1, -1, 1], rtol=1e-13, atol=1e-12)


def test_below_the_first_bifurcation_everything_comes_to_rest():
    end = simulate(xm.LorenzStep(rho=0.5), 60.0, dt=0.01, initial={"x": 10.0, "y": -10.0, "z": 20.0}).isel(time=-1, region=0)
    # The slowest rate is that of the origin: (-11 + sqrt(121 - 20)) / 2 = -0.475, so 20 exp(-28) = 1e-11 is left.
    assert max(abs(float(end[n])) for n in "xyz") < 1e-9


def test_tau_is_the_unit_of_time():
    fast, slow = (simulate(xm.LorenzStep(tau=tau), 2.0 * tau, dt=0.01 * tau).isel(region=0, time=-1) for tau in (1.0, 50.0))
    for name in "xyz":
        assert float(slow[name]) == pytest.approx(float(fast[name]), rel=1e-10)


def exponents(count: int, duration: float, dt: float) -> np.ndarray:
    """Mean growth per unit of time of a small difference, for each of some trajectories, with RK4 of the node and its tangent."""
    model, names = xm.LorenzStep(), ("x", "y", "z")
    still = SimpleNamespace(x=0.0, y=0.0, z=0.0)

    def step(s):
        return rk4(lambda s, _: model.drift(SimpleNamespace(**s), still), s, dt, {})

    def grow(_, carry):
        s, d, total = carry
        s, d = jax.jvp(step, (s,), (d,))
        size = jnp.sqrt(d["x"] ** 2 + d["y"] ** 2 + d["z"] ** 2)
        return s, {n: d[n] / size for n in names}, total + jnp.log(size)

    @jax.jit
    def follow(s, d):
        def steps(carry, time):
            return jax.lax.fori_loop(0, round(time / dt), grow, carry)

        # Onto the attractor, which takes long from near a fixed point, and the difference onto its fastest direction.
        s, d, _ = steps((s, d, jnp.zeros(count)), 100.0)
        return steps((s, d, jnp.zeros(count)), duration)[2] / duration

    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        start, apart = ({n: jnp.asarray(rng.normal(0, 5, count)) for n in names} for _ in range(2))
        return np.asarray(follow(start, apart))


def test_largest_lyapunov_exponent():
    # Literature: 0.9056 per unit of time. The mean over 256 trajectories of 400 units has a standard error of 0.0005, as their spread
    # shows; the tolerance is five of it. RK4 at dt = 0.005 biases it by less.
    found = exponents(256, 400.0, 0.005)
    assert found.std() / np.sqrt(256) < 0.0007
    assert found.mean() == pytest.approx(0.9056, abs=0.0025)
