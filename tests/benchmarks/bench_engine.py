"""What a step costs: microseconds per step and run for networks of the kind that the engine was designed on.

Run with ``python tests/benchmarks/bench_engine.py`` on a quiet machine; ``--rounds 3 --only "1 run"`` for a look.

Every problem is run through the public API for two durations in turn. A step costs the difference of the best times, per step and
run; what is left of the shorter run is the fixed cost (labels, plans, compiled functions looked up), in ms. ``first`` is the first
call, compilation included. The trajectory of x of all runs comes back unless the problem says otherwise.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from problems import hcp80, initial_states, tvb66

import xmass as xm


class Problem(NamedTuple):
    """A name, how many runs, the steps of the longer run, and a run of a given number of steps."""

    name: str
    runs: int
    steps: int
    run: Callable[[int], xr.Dataset]


def hopf(
    network: xr.Dataset, name: str, runs: int, *, speed: float | None, dt: float = 0.1, method: str = "euler", sigma: float = 0.0
) -> Problem:
    """Hopf oscillators with diffusive coupling of x."""
    noise = {"noise_x": xm.WhiteNoise(sigma=sigma)} if sigma else {}
    coupling = xm.DiffusiveCoupling(k=0.05 * (0.1 / dt), source="x", target="x")
    net = xm.Network(xm.HopfStep(a=0.05, w=0.3, **noise), network, speed=speed, coupling=coupling)
    sim = xm.Simulator(net, dt=dt, method=method)
    start = initial_states(network.sizes["region"], runs)
    dims = ("run", "region") if runs > 1 else ("region",)
    values = {
        n: xr.DataArray(v if runs > 1 else v[0], dims=dims, coords={"region": network.region}) for n, v in zip("xy", start, strict=True)
    }
    seed = {"seed": xr.DataArray(np.arange(runs), dims="run") if runs > 1 else 1} if sigma else {}
    delays = "no delays" if speed is None else f"{speed:g} mm/ms"
    label = f"{name}, {delays}, dt {dt:g} ms, {method}{', noise' if sigma else ''}, {runs} run{'s' * (runs > 1)}"
    steps = 8192 if runs == 1 else 2048
    return Problem(label, runs, steps, lambda n: sim.run(n * dt, monitors=["x"], initial=values, progress=False, **seed))


def wong_wang(network: xr.Dataset, runs: int) -> Problem:
    """Undelayed Wong-Wang E-I networks that return FC of BOLD alone."""
    sim = xm.Simulator(
        xm.Network(xm.WongWangExcInhStep(), network, coupling=xm.AdditiveCoupling(k=0.1, source="S_e", target="coupling")), dt=0.1
    )
    bold = xm.BOLDSignal(of="S_e", tr=720.0)
    fc = {"fc": xm.FunctionalConnectivity(of=bold)}
    k = xr.Dataset({"coupling.k": ("k", np.linspace(0.0, 0.2, runs))})
    return Problem(
        f"Wong-Wang E-I, heun, BOLD and FC, {runs} runs", runs, 57_600, lambda n: sim.run(n * 0.1, k, monitors=fc, progress=False)
    )


def problems() -> list[Problem]:
    """All problems; what runs many times is made of tiles of 16."""
    large, small = hcp80(), tvb66()
    found = []
    for runs in (1, 16, 32):
        for method in ("euler", "heun"):
            found.append(hopf(large, "80 regions", runs, speed=10.0, method=method))
            found.append(hopf(small, "66 regions", runs, speed=10.0, method=method))
        found.append(hopf(large, "80 regions", runs, speed=3.0))
        found.append(hopf(small, "66 regions", runs, speed=3.0))
        found.append(hopf(large, "80 regions", runs, speed=10.0, dt=1.0))
        found.append(hopf(large, "80 regions", runs, speed=None))
        found.append(hopf(large, "80 regions", runs, speed=10.0, sigma=0.01))
    found.append(wong_wang(large, 64))
    return found


def measure(problem: Problem, rounds: int) -> dict:
    """Cost per step and run from two durations in turn."""

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        problem.run(steps)
        return time.perf_counter() - start

    short = problem.steps // 4
    first = seconds(problem.steps)
    seconds(short)
    times = np.array([[seconds(short), seconds(problem.steps)] for _ in range(rounds)])
    best = times.min(axis=0)
    per_step = (best[1] - best[0]) / (problem.steps - short)
    whole = np.median(times[:, 1]) / problem.steps / problem.runs * 1e6
    return {
        "problem": problem.name,
        "us_per_step_and_run": per_step / problem.runs * 1e6,
        "fixed_ms": (best[0] - per_step * short) * 1e3,
        "whole_run_median_us": whole,
        "first_s": first,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="problems whose name holds this")
    parser.add_argument("--out", type=Path, default=None, help="also write JSON")
    options = parser.parse_args()
    print("| problem | µs per step and run | fixed cost, ms | whole run, median | first call, s |\n|---|---|---|---|---|")
    found = []
    for problem in problems():
        if options.only in problem.name:
            found.append(measure(problem, options.rounds))
            row = found[-1]
            numbers = f"{row['us_per_step_and_run']:.3f} | {row['fixed_ms']:.1f} | {row['whole_run_median_us']:.3f} | {row['first_s']:.1f}"
            print(f"| {row['problem']} | {numbers} |", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
