"""Fit real subjects: G and the noise of a Wong-Wang network with inhibition control, by gradient, evolution and grid.

`python tests/benchmarks/real_fit.py SUBJECT.nc [SUBJECT.nc ...]` prints, for each backend, G, sigma, the loss, FC correlation on the
subject itself and on the next one, and the wall time of the cohort in one call. ``--profile`` prints instead
the profile of the loss along the coupling of resting Hopf nodes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import brainunit as u
import numpy as np
import optax
import xarray as xr

import xmass as xm

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("subjects", nargs="+", type=Path)
parser.add_argument("--backends", nargs="+", default=["grad", "cma", "grid"])
parser.add_argument("--grad-steps", type=int, default=25)
parser.add_argument("--generations", type=int, default=10)
parser.add_argument("--grid-points", type=int, default=7)
parser.add_argument("--grid-levels", type=int, default=2)
parser.add_argument("--profile", action="store_true", help="profiles along the coupling, of resting Hopf nodes")


def cohort_of(paths: list[Path]) -> xr.Dataset:
    """Cortical regions, weights divided by their largest, detrended recordings."""
    found = []
    for path in paths:
        ds = xm.cortical(xr.open_dataset(path))
        ds = ds.assign(weights=xm.normalize(ds.weights, "max"), bold=xm.preprocess(ds.bold))[["weights", "bold"]]
        found.append(ds.drop_vars([c for c in ds.coords if c not in ("region", "region_other", "time")]))
    labels = [p.stem.rpartition("_")[2] for p in paths]
    return xr.concat(found, xr.DataArray(labels, dims="subject", name="subject"), join="exact", combine_attrs="drop_conflicts")


def hopf_profile(cohort: xr.Dataset) -> None:
    """The least loss over a at each coupling, resting Hopf nodes whose x is the BOLD signal."""
    node = xm.HopfStep.resting_fmri(w=xm.intrinsic_frequency(cohort.bold))
    couplings = {s: xm.DiffusiveCoupling(source=s, target=s) for s in ("x", "y")}
    simulator = xm.Simulator(xm.Network(node, cohort[["weights"]], coupling=couplings), dt=72 * u.ms)
    length = 417 * 720 * u.ms
    monitors = {"fc": xm.FunctionalConnectivity(of=xm.Subsample(of="x", period=720 * u.ms), detrend="linear")}
    fitter = xm.Fitter(
        simulator,
        objective=xm.objectives.fc_rmse("fc", "bold"),
        backend=xm.fit.GridBackend(points=9, levels=2),
        search={"coupling.x.k": xm.Param(5e-4, bounds=(5e-5, 5e-3), transform="log"), "a": xm.Param(-2e-5, bounds=(-2e-4, -1e-6))},
        derive={"coupling.y.k": lambda q: q["coupling.x.k"]},
        run=dict(duration=60.48 * u.second + length, transient=60.48 * u.second, monitors=monitors, seed=1),
    )
    fit = fitter.fit(cohort[["bold"]], n_steps=2, seed=0, progress=False)
    found = xm.profile(fitter, fit, cohort[["bold"]], "coupling.x.k", n=11, n_steps=2, progress=False)
    print("resting Hopf: the least loss over a at each k (per second)")
    print("  k " + "  ".join(f"{1000 * float(k):.2f}" for k in found["coupling.x.k"]))
    for subject, line in found.loss.transpose("subject", ...).groupby("subject"):
        print(f"  {subject}: " + "  ".join(f"{float(v):.3f}" for v in line.values.ravel()))


def main() -> None:
    options = parser.parse_args()
    cohort = cohort_of(options.subjects)
    if options.profile:
        hopf_profile(cohort)
        return
    node = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
    network = xm.Network(node, cohort[["weights"]], coupling=xm.AdditiveCoupling(source="S_e", target="coupling"))
    simulator = xm.Simulator(network, dt=1.0 * u.ms)
    bold = xm.BOLDSignal(of="S_e", tr=720 * u.ms)
    run = dict(
        duration=60.48 * u.second + 417 * 720 * u.ms,
        transient=60.48 * u.second,
        monitors={"fc": xm.FunctionalConnectivity(of=bold, detrend="linear")},
        seed=1,
    )
    radius = float(xm.spectral_radius(cohort.weights).max())
    search = {
        "coupling.k": xm.Param(0.8 / radius, bounds=(0.1 / radius, 1.3 / radius)),
        # Below 0.01 the network jumps between two branches as G grows: two minima of equal depth, whatever the backend.
        "noise_e.sigma": xm.Param(0.015, bounds=(0.01, 0.03), transform="log"),
    }
    derive = {
        "J_i": lambda q: xm.inhibition_control(cohort, q["coupling.k"]),
        "noise_i.sigma": lambda q: q["noise_e.sigma"],
    }
    made = {
        "grad": (xm.fit.GradientBackend(optax.adam(0.2)), options.grad_steps),
        "cma": (xm.fit.EvolutionBackend(population=8), options.generations),
        "grid": (xm.fit.GridBackend(points=options.grid_points, levels=options.grid_levels), options.grid_levels),
    }
    for name in options.backends:
        backend, steps = made[name]
        fitter = xm.Fitter(simulator, objective=xm.objectives.fc_rmse("fc", "bold"), backend=backend, search=search, derive=derive, run=run)
        began = time.perf_counter()
        fit = fitter.fit(cohort[["bold"]], n_steps=steps, seed=0, predict=True, progress=False)
        seconds = time.perf_counter() - began
        own = xm.compare(fit[["fc"]], cohort[["bold"]], xm.objectives.fc_corr("fc", "bold")).fc_corr
        shifted = cohort[["bold"]].roll(subject=1, roll_coords=False)
        other = xm.compare(fit[["fc"]], shifted, xm.objectives.fc_corr("fc", "bold")).fc_corr
        print(f"{name}: {seconds:.0f} s for {cohort.sizes['subject']} subjects, {fit.sizes['step']} steps", flush=True)
        for i, subject in enumerate(cohort.subject.values):
            values = [fit["coupling.k"][i], fit["noise_e.sigma"][i], fit.best_loss[i], own[i], other[i]]
            print(f"  {subject}: " + "  ".join(f"{n} {float(v):.4f}" for n, v in zip(("G", "sigma", "loss", "r", "r other"), values)))
        print(f"  mean G {np.mean(fit['coupling.k'].values):.3f}", flush=True)


if __name__ == "__main__":
    main()
