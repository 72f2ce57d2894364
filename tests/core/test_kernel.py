"""What the speed of the step loop rests on, read from the compiled program, and what must not depend on it."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.core import engine, kernel
from xmass.core.kernel import one_kernel
from xmass.core.model import Value, parameter
from xmass.core.program import Program
from xmass.labelled import execute
from xmass.labelled.resolve import Request, resolve

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="how the CPU compiler is told")


def network(speed: float | None = 10.0) -> xr.Dataset:
    rng = np.random.default_rng(3)
    n = 20
    weights = rng.uniform(0.1, 1, (n, n)) * (1 - np.eye(n))
    lengths = rng.uniform(8, 60, (n, n)) * (1 - np.eye(n))
    dims = ("region", "region_other")
    sc = xr.Dataset({"weights": (dims, weights), "distances": (dims, lengths, {"units": "mm"})})
    coupling = xm.DiffusiveCoupling(k=0.01, source="x", target="x")
    return xm.Network(xm.HopfStep(a=0.05, w=0.3), sc, speed=speed, coupling=coupling)


def compiled_text(sim: xm.Simulator, runs: int) -> tuple[Program, str]:
    """The optimised program of a run, as text."""
    k = xr.Dataset({"coupling.k": ("k", np.linspace(0.0, 0.02, runs))}) if runs > 1 else None
    resolved = resolve(sim.config, Request(20.0, k, ["x"], initial={"x": 0.1}))
    members = np.arange(resolved.runs)
    args = execute._arguments(resolved, members, execute._StructureArrays(resolved))
    functions = engine.compiled(resolved.program, "cpu")
    carry = functions.initialise(args, execute._initial(resolved, members))
    numbers = [np.int32(v) for v in (0, 1, 0, 20, 0)]
    return resolved.program, functions.advance.lower(carry, args | {"stimulus": {}}, *numbers).compile().as_text()


@pytest.mark.parametrize("runs", [1, 16])
def test_the_ring_is_never_copied_and_no_loop_is_split_over_threads(runs):
    program, text = compiled_text(xm.Simulator(network(), dt=0.1), runs)
    ring = f"f32[{program.regions},{program.delay.row},{program.width}]"
    assert ring in text
    copies = [line for line in text.splitlines() if " copy(" in line and line.split(" = ")[1].startswith(ring)]
    assert not copies
    assert "outer_dimension_partitions" not in text


@pytest.mark.parametrize("speed", [10.0, None])
def test_the_steps_of_a_single_run_are_one_kernel(speed):
    _, text = compiled_text(xm.Simulator(network(speed), dt=0.1), 1)
    assert any(" call(" in line and 'xla_cpu_small_call="true"' in line for line in text.splitlines())


@pytest.mark.long
@pytest.mark.parametrize("speed", [10.0, None])
def test_one_kernel_changes_rounding_alone(speed, monkeypatch):
    sim = xm.Simulator(network(speed), dt=0.1, precision="float64")
    first = sim.run(20.0, monitors=["x"], initial={"x": 0.1})
    engine.compiled.cache_clear()
    monkeypatch.setattr(engine, "one_kernel", lambda function, *args: function(*args))
    second = sim.run(20.0, monitors=["x"], initial={"x": 0.1})
    engine.compiled.cache_clear()
    np.testing.assert_allclose(first.x, second.x, rtol=0, atol=1e-13)


def test_a_loop_with_a_sort_is_left_as_it_is():
    def sorted_sum(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 3, lambda i, y: jnp.sort(y) * 2.0, x)

    values = jnp.asarray([3.0, 1.0, 2.0])
    text = jax.jit(lambda x: one_kernel(sorted_sum, x)).lower(values).as_text()
    assert "xla_cpu_small_call" not in text
    np.testing.assert_array_equal(jax.jit(lambda x: one_kernel(sorted_sum, x))(values), [8.0, 16.0, 24.0])


class Sorted(xm.NeuralMass):
    """Relaxes to the median of values made from its own: an equation with an operation that no kernel of the step loop can hold."""

    states: ClassVar = (xm.State("x", 0.5, "1", "value"),)
    inputs: ClassVar = (xm.Input("x", "1/ms", "added to dx/dt"),)

    rate: Value = parameter(1.0, "1/ms", "speed of relaxation")

    def drift(self, s, u):
        return dict(x=self.rate * (jnp.median(jnp.stack([s.x, -s.x, 0.1 * s.x]), axis=0) - s.x) + u.x)


def test_a_model_with_a_sort_runs():
    # The median of x, -x and x/10 is x/10: dx/dt = -0.9 x.
    found = xm.Simulator(Sorted(), dt=0.01).run(1.0, monitors=["x"])
    np.testing.assert_allclose(found.x[-1, 0], 0.5 * np.exp(-0.9), rtol=1e-4)  # Heun at dt 0.01: 1.2e-5


def test_rounding_is_the_identity_in_value_and_derivative():
    x = jnp.linspace(-3.0, 3.0, 7, dtype=jnp.float32)
    ones = jnp.asarray(kernel.all_ones("float32"))
    value, slope = jax.jvp(lambda v: kernel.rounded(v, ones), (x,), (2.0 * x,))
    np.testing.assert_array_equal(value, x)
    np.testing.assert_array_equal(slope, 2.0 * x)


def test_rounding_stops_contraction():
    # a * b + c in one rounding differs from two roundings for most numbers; with the rounding it never does.
    a, b, c = (jnp.asarray(np.random.default_rng(i).normal(size=4096), jnp.float32) for i in range(3))
    ones = jnp.asarray(kernel.all_ones("float32"))
    two = np.asarray(a) * np.asarray(b) + np.asarray(c)
    np.testing.assert_array_equal(jax.jit(lambda a, b, c, m: kernel.rounded(a * b, m) + c)(a, b, c, ones), two)
