"""Derivatives of runs: all ways to make them agree, a run that diverges leaves the others alone, memory grows as the root of the steps."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.core.test_reverse import VARIED, monitors, network, varied_run
from tests.core.tiles import first_tile
from xmass.core import reverse

pytestmark = pytest.mark.long

ONE, MANY = None, xr.Dataset({"k": ("k", [0.2, 0.5, 0.8])})


def noisy() -> xm.Network:
    """With a noise that is carried from step to step, and edges without delay beside the delayed."""
    sc = network().connectome
    sc = sc.assign(distances=sc.distances.where(sc.weights > 0.35, 0.0).assign_attrs(units="mm"))
    model = xm.HopfStep(a=-0.2, w=0.1, noise_x=xm.WhiteNoise(sigma=0.5), noise_y=xm.OUProcess(sigma=0.1, tau=5.0))
    return xm.Network(model, sc, speed=10.0, coupling=xm.DiffusiveCoupling(source="x", target="x", k=0.5))


def close(found: dict, expected: dict) -> None:
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        if a.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(np.abs(b).max(), 1.0), err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize("method", ["euler", "heun", "rk4", "exp_euler"])
@pytest.mark.parametrize("params", [ONE, MANY], ids=["one", "many"])
def test_checkpointed_plain_and_transposed_derivatives_agree(method, params):
    # Parts of segments at both ends; all parameters, the weights and the strength of the coupling.
    sim = xm.Simulator(noisy(), dt=0.5, precision="float64", method=method)
    params = None if params is None else params.rename(k="coupling.k")
    resolved, args, initial = first_tile(sim, 530.0, params=params, monitors=monitors(), seed=1, transient=100.0)
    span = {"start": resolved.start, "stop": resolved.stop, "keep": resolved.keep}

    def run(varied, **options):
        made = reverse.simulate(resolved.program, {**args, **varied}, initial, **span, **options)
        return (made.series[0] ** 2).mean() + made.reductions[2][0, 1].sum() + made.states["y"].sum()

    ways = {"plain": {"forward": True, "memory": 1e12}, "checkpointed": {"forward": True}, "transposed": {}, "kept": {"memory": 1e12}}
    found = {}
    with jax.enable_x64(True):
        for name, options in ways.items():
            slopes = jax.jit(jax.grad(lambda v, o=options: run(v, **o), allow_int=True))
            found[name] = jax.tree.map(np.asarray, slopes({"params": args["params"], "projections": args["projections"]}))
    for name in ways:
        close(found[name], found["plain"])


def test_forward_and_reverse_mode_agree():
    sim = xm.Simulator(network(), dt=0.5, precision="float64")
    resolved, args, initial = first_tile(sim, 480.0, monitors=monitors(), seed=1, transient=100.0)
    with jax.enable_x64(True):
        given = {n: args["params"][n] for n in VARIED}
        slopes, _ = jax.jit(jax.grad(varied_run(resolved, args, initial), has_aux=True))(given)
        ahead = jax.jit(jax.jacfwd(lambda v: varied_run(resolved, args, initial, forward=True)(v)[0]))(given)
    close(slopes, ahead)


def test_a_run_that_diverges_leaves_the_derivatives_of_the_others():
    # Runs are columns of the same arrays: with a=50 the step is too long and one of them leaves the finite numbers.
    sim = xm.Simulator(network(), dt=0.5, precision="float64")
    found = []
    for other in (-0.1, 50.0):
        resolved, args, initial = first_tile(
            sim, 480.0, params=xr.Dataset({"a": ("a", [-0.2, other])}), monitors=monitors(), seed=1, transient=100.0
        )
        span = {"start": resolved.start, "stop": resolved.stop, "keep": resolved.keep}

        def run(varied, resolved=resolved, args=args, initial=initial, span=span):
            made = reverse.simulate(resolved.program, {**args, "params": {**args["params"], **varied}}, initial, **span)
            return (made.series[0] ** 2).mean((0, 1)).sum() + made.reductions[2][0, 1].sum(), made.finite

        with jax.enable_x64(True):
            slopes, finite = jax.jit(jax.grad(run, has_aux=True))({n: args["params"][n] for n in VARIED})
        found.append((jax.tree.map(np.asarray, slopes), np.asarray(finite)))
    assert found[1][1][0]
    assert not found[1][1][1:].any()
    for n in VARIED:
        assert np.isfinite(found[1][0][n][:, 0]).all()
        np.testing.assert_allclose(found[1][0][n][:, 0], found[0][0][n][:, 0], rtol=1e-12)


def test_a_window_cuts_what_happened_long_ago():
    # x' = a x from x0: without the past the derivative of the end with respect to x0 is 0, within a window it is exp(a t).
    sim = xm.Simulator(xm.HopfStep(a=-0.01, w=0.0), dt=0.5, precision="float64")
    resolved, args, initial = first_tile(sim, 200.0, monitors=["x"], initial={"x": 1e-6, "y": 0.0})
    span = {"start": 0, "stop": resolved.stop, "keep": 0}

    def end(x0, window):
        given = {**initial, "states": {**initial["states"], "x": {"value": x0}}}
        return reverse.simulate(resolved.program, args, given, **span, window=window).states["x"].sum()

    with jax.enable_x64(True):
        x0 = initial["states"]["x"]["value"]
        whole, cut = (jax.grad(end)(x0, window) for window in (None, 2 * resolved.program.segment))
    np.testing.assert_allclose(np.asarray(whole).sum(), np.exp(-0.01 * 200.0), rtol=1e-4)  # Heun at a dt = 0.005
    np.testing.assert_array_equal(cut, 0.0)


def test_memory_of_a_gradient_grows_with_the_root_of_the_steps():
    sim = xm.Simulator(network(), dt=0.5)
    sizes = []
    for times in (1, 16):
        bold = xm.BOLDSignal(of="x", tr=10.0)
        resolved, args, initial = first_tile(sim, times * 4800.0, monitors={"fc": xm.FunctionalConnectivity(of=bold)}, seed=1)

        def run(varied, resolved=resolved, args=args, initial=initial):
            given = {**args, "params": {**args["params"], **varied}}
            made = reverse.simulate(resolved.program, given, initial, start=0, stop=resolved.stop, keep=0)
            return sum(fc.sum() for fc in made.reductions.values())

        made = jax.jit(jax.grad(run)).lower({n: args["params"][n] for n in VARIED}).compile()
        sizes.append(made.memory_analysis().temp_size_in_bytes)
    assert sizes[1] < 4.5 * sizes[0]  # 16 times the steps: the root is 4
