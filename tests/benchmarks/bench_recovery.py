"""Known parameters recovered by every backend: bias and spread over 20 recordings that differ by their noise.

Run with ``python tests/benchmarks/bench_recovery.py``; ``--only 1 5`` for some sets, ``--backends scipy`` for some backends. Prints the
table of docs/fitting/recovery.md.

68 Hopf nodes with delays, driven by a known input that is different in each region. A recording is x of all regions over 300 ms, simulated
at the known parameters with white noise in x and y; 20 seeds make 20 recordings, and one call of ``fit`` their 20 fits. The simulations
of the fits have no noise, so that nothing is shared with the recordings but the equations and the input.
"""

from __future__ import annotations

import argparse
import time
from typing import Literal

import numpy as np
import optax
import xarray as xr
from problems import random_network

import xmass as xm

REGIONS, SEEDS, DT, DURATION = 68, 20, 1.0, 300.0
KNOWN = {"coupling.k": 0.05, "a": -0.1, "w": 0.3, "beta": 1.0, "speed": 8.0}
SIGMA = 0.005
BOUNDS = {"coupling.k": (0.0, 0.2), "a": (-0.3, 0.0), "w": (0.2, 0.4), "beta": (0.2, 4.0), "speed": (4.0, 16.0)}
START = {"coupling.k": 0.12, "a": -0.2, "w": 0.25, "beta": 2.0, "speed": 12.0}
SETS = {1: ("coupling.k",), 2: ("coupling.k", "a"), 5: tuple(KNOWN), 68: ("a",)}


def regional() -> xr.DataArray:
    """A value of a for each region, between -0.15 and -0.05."""
    return xr.DataArray(np.random.default_rng(1).uniform(-0.15, -0.05, REGIONS), dims="region", coords={"region": np.arange(REGIONS)})


def drive() -> xr.DataArray:
    """Random numbers held for 10 ms, others in each region."""
    values = np.random.default_rng(2).normal(0, 0.15, (int(DURATION / 10.0), REGIONS))
    samples = {"time": ("time", np.arange(len(values)) * 10.0, {"units": "ms"}), "region": np.arange(REGIONS)}
    return xr.DataArray(values, dims=("time", "region"), coords=samples)


def simulator(sigma: float, delays: Literal["nearest", "linear"]) -> xm.Simulator:
    noise = xm.WhiteNoise(sigma=sigma) if sigma else None
    node = xm.HopfStep(a=KNOWN["a"], w=KNOWN["w"], beta=KNOWN["beta"], noise_x=noise, noise_y=noise)
    coupling = xm.DiffusiveCoupling(k=KNOWN["coupling.k"], source="x", target="x")
    network = xm.Network(node, random_network(REGIONS, 0.3, seed=68), speed=KNOWN["speed"], coupling=coupling, delays=delays)
    return xm.Simulator(network, dt=DT)


def backends(count: int) -> dict[str, tuple[object, int]]:
    """Backends with their steps, by the number of free numbers."""
    made: dict[str, tuple[object, int]] = {
        "grad": (xm.fit.GradientBackend(optax.adam(optax.cosine_decay_schedule(0.2, 100))), 100),
        "scipy": (xm.fit.ScipyBackend(), 60),
        "cma": (xm.fit.EvolutionBackend(population=16 if count < 68 else 32), {1: 20, 2: 25, 5: 50, 68: 300}[count]),
    }
    if count < 68:
        found_by = xm.fit.NevergradBackend("DE", population=32) if count < 5 else xm.fit.NevergradBackend("CMA", population=16)
        made["nevergrad"] = (found_by, {1: 15, 2: 25, 5: 60}[count])
    if count <= 2:
        made["grid"] = (xm.fit.GridBackend(points=11, levels=4), 4)
    return made


def search(count: int) -> dict[str, xm.Param]:
    dims = ("region",) if count == 68 else ()
    return {name: xm.Param(START[name], bounds=BOUNDS[name], dims=dims) for name in SETS[count]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, nargs="+", choices=list(SETS), default=list(SETS), help="how many numbers are fitted")
    parser.add_argument("--backends", nargs="+", default=["grad", "scipy", "cma", "nevergrad", "grid"])
    options = parser.parse_args()
    run = dict(duration=DURATION, monitors=["x"], inputs={"x": drive()})
    print("| numbers | backend | steps | bias, spread in % of the value | mean loss | s |\n|---|---|---|---|---|---|")
    for count in options.only:
        truth: dict[str, object] = {**KNOWN, "a": regional()} if count == 68 else dict(KNOWN)
        fixed = xr.Dataset({name: value for name, value in truth.items() if name not in SETS[count]})
        delays: Literal["nearest", "linear"] = "linear" if "speed" in SETS[count] else "nearest"
        recorded = simulator(SIGMA, delays).run(
            params=xr.Dataset(truth | {"seed": ("recording", np.arange(100, 100 + SEEDS))}), progress=False, **run
        )
        for name, (backend, steps) in backends(count).items():
            if name not in options.backends:
                continue
            fitter = xm.Fitter(
                simulator(0.0, delays),
                objective=xm.objectives.timeseries_rmse(),
                backend=backend,
                search=search(count),
                run={**run, "params": fixed},
            )
            began = time.perf_counter()
            fit = fitter.fit(recorded[["x"]], n_steps=steps, seed=0, progress=False)
            seconds = time.perf_counter() - began
            cells = []
            for path in SETS[count]:
                error = 100 * (fit[path] - truth[path]) / abs(truth[path])
                bias, spread = error.mean("recording"), error.std("recording", ddof=1)
                if count == 68:
                    size = float((bias**2).mean() ** 0.5)
                    cells.append(f"mean {float(bias.mean()):+.2f}, rms of regions {size:.2f}, {float((spread**2).mean() ** 0.5):.2f}")
                else:
                    cells.append(f"{path} {float(bias):+.2f}, {float(spread):.2f}")
            row = [str(count), name, str(steps), "; ".join(cells), f"{float(fit.best_loss.mean()):.6f}", f"{seconds:.0f}"]
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
