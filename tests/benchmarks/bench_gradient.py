"""Time and memory of a gradient: FC of BOLD of one delayed network of 80 regions, and of 16 runs at once.

Run with ``python tests/benchmarks/bench_gradient.py``. CPU times are the least of several rounds, taken in turn with those of the forward
run, of the compiled functions alone; memory is what the compiler reserves for intermediates, so it does not depend on the machine's load.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from problems import hcp80

import xmass as xm
from xmass.core import reverse
from xmass.core.kernel import compile_options
from xmass.labelled import execute
from xmass.labelled.resolve import Request, resolve

DT, TR = 0.1, 720.0
SEED = 0


def simulator(*, noise: bool, dt: float = DT) -> xm.Simulator:
    model = xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.02)) if noise else xm.HopfStep()
    network = xm.Network(model, hcp80(), speed=10.0, coupling=xm.DiffusiveCoupling(source="x", target="x"))
    return xm.Simulator(network, dt=dt, method="euler")


def functions(steps: int, runs: int, *, noise: bool, dt: float = DT) -> tuple[Callable[..., Any], dict, int]:
    """A number made of FC as a function of the coupling, with options of :func:`xmass.core.reverse.simulate`; its argument and width."""
    params = xr.Dataset({"a": ("a", np.linspace(-0.1, 0.1, runs))}) if runs > 1 else None
    monitors = {"fc": xm.FunctionalConnectivity(of=xm.BOLDSignal(of="x", tr=TR))}
    resolved = resolve(simulator(noise=noise, dt=dt).config, Request(steps * dt, params, monitors, seed=SEED))
    members = execute.tiles_of(resolved, np.arange(runs))[0]
    args = {**execute._arguments(resolved, members, execute._StructureArrays(resolved)), "stimulus": {}}
    initial, program = execute._initial(resolved, members), resolved.program
    weights = jnp.asarray(np.random.default_rng(SEED).normal(size=(80, 80, 1)), "float32")

    def loss(varied: dict, **options: Any) -> jax.Array:
        given = {**args, "params": {**args["params"], **varied}}
        made = reverse.simulate(program, given, initial, start=0, stop=resolved.stop, keep=0, **options)
        return sum((weights * fc).sum() for fc in made.reductions.values())

    return loss, {"coupling.k": args["params"]["coupling.k"]}, program.width


def compiled(function: Callable[..., Any], varied: dict, width: int) -> tuple[Callable[[], Any], float]:
    """The compiled function and the MiB that it needs for intermediates."""
    made = jax.jit(function, compiler_options=compile_options("cpu", width)).lower(varied).compile()
    return lambda: jax.block_until_ready(made(varied)), made.memory_analysis().temp_size_in_bytes / 2**20


def measure(steps: int, runs: int, budgets: list[float | None], rounds: int, *, noise: bool, dt: float = DT) -> None:
    loss, varied, width = functions(steps, runs, noise=noise, dt=dt)
    made = {"forward": compiled(loss, varied, width)}
    for budget in budgets:
        name = "gradient, default" if budget is None else f"gradient, {budget / 1e6:g} MB"
        made[name] = compiled(lambda v, b=budget: jax.grad(lambda v: loss(v, memory=b))(v), varied, width)
    best = dict.fromkeys(made, np.inf)
    for _ in range(rounds):
        for name, (call, _) in made.items():
            begin = time.process_time()
            call()
            best[name] = min(best[name], time.process_time() - begin)
    for name, (_, size) in made.items():
        cost, ratio = best[name] / steps / width * 1e6, best[name] / best["forward"]
        print(
            f"{steps:9,d} steps, {runs:2d} runs, {name:22s}: {cost:6.2f} us per step and run, {ratio:4.1f} x forward, {size:7.1f} MiB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=64_800, help="a multiple of 21,600, three volumes of BOLD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=16, help="runs of the batch")
    options = parser.parse_args()
    measure(options.steps, 1, [None, 3e7, 1e8], options.rounds, noise=False)
    measure(options.steps, 1, [None], options.rounds, noise=True)
    measure(options.steps // 3, 1, [None], options.rounds, noise=False, dt=1.0)
    for times in (4, 16):
        measure(times * options.steps, 1, [None], 1, noise=False)
    measure(options.steps, options.runs, [None], options.rounds, noise=False)


if __name__ == "__main__":
    main()
