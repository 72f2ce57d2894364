"""Noise and stochastic runs: noise alone, a node with and without it, ensembles of trials, and how runs are repeated.

Takes some seconds; writes ``noise.png``, ``silent_and_noisy.png`` and ``ensemble.png`` into the working folder.
"""

import brainunit as u
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from scipy.linalg import solve_continuous_lyapunov

import xmass as xm

DT = 0.1 * u.ms


def noises(regions: int = 2000) -> dict[str, xr.DataArray]:
    """100 ms of three noises, each in many independent regions."""
    processes = {
        "white": xm.WhiteNoise(sigma=1.0),
        "OU, tau 5 ms": xm.OUProcess(sigma=1.0, tau=5 * u.ms),
        "OU, tau 40 ms": xm.OUProcess(sigma=1.0, tau=40 * u.ms),
    }
    return {name: xm.Simulator(process, dt=DT, regions=regions).run(100 * u.ms, seed=1).noise for name, process in processes.items()}


def lag_one(x: xr.DataArray) -> float:
    """Correlation of neighbouring steps over all regions, about zero: the mean of no trace is subtracted."""
    now, following = x.isel(time=slice(None, -1)).values, x.isel(time=slice(1, None)).values
    return float((now * following).mean() / (now**2).mean())


def hopf(sigma: float | None, beta: float = 1.0) -> xm.HopfStep:
    """A node below its bifurcation, with noise of 20 ms in x or without."""
    noise = None if sigma is None else xm.OUProcess(sigma=sigma, tau=20 * u.ms)
    return xm.HopfStep(a=-0.05, w=0.3, beta=beta, noise_x=noise)


def one_run(sigma: float | None) -> xr.Dataset:
    """The same call with and without noise; without it the node needs a start."""
    return xm.Simulator(hopf(sigma), dt=DT).run(200 * u.ms, monitors=["x", "y"], initial={"x": 0.1}, seed=3)


def stationary(beta: float, regions: int = 4000) -> dict[str, float]:
    """Standard deviations of x and y over a bank, after 150 ms: the memory of the start is e^-7.5 of it."""
    run = xm.Simulator(hopf(0.1, beta), dt=DT, regions=regions).run(200 * u.ms, transient=150 * u.ms, sample_every=10 * u.ms, seed=4)
    return {name: float(np.sqrt((run[name] ** 2).mean())) for name in ("x", "y")}


def linear_theory() -> dict[str, float]:
    """The same without the cubic term, from the Lyapunov equation of x, y and the noise."""
    a, w, sigma, tau = -0.05, 0.3, 0.1, 20.0
    drift = np.array([[a, -w, 1.0], [w, a, 0.0], [0.0, 0.0, -1 / tau]])
    covariance = solve_continuous_lyapunov(drift, -np.diag([0.0, 0.0, 2 * sigma**2 / tau]))
    return {"x": float(np.sqrt(covariance[0, 0])), "y": float(np.sqrt(covariance[1, 1]))}


def ensemble(trials: int = 12, seed: int = 2) -> xr.Dataset:
    """Trials are a dim. Ensembles of different sizes are computed in tiles of the same width, and so rounded alike."""
    return xm.Simulator(hopf(0.12), dt=DT, tile=16).run(200 * u.ms, monitors=["x"], batch_size=trials, seed=seed)


def network_ensemble(trials: int = 4) -> xr.Dataset:
    """The same for a network of eight regions with delays."""
    connectome = xm.datasets.load_dataset("example_connectome")
    coupling = xm.DiffusiveCoupling(k=0.1, source="x", target="x")
    network = xm.Network(hopf(0.12), connectome, speed=10 * u.mm / u.ms, coupling=coupling)
    return xm.Simulator(network, dt=DT).run(100 * u.ms, monitors=["x"], batch_size=trials, seed=2)


def main() -> None:
    # 1. noise alone. White noise has sigma per root of time: over a step of dt its standard deviation is sigma / sqrt(dt), 3.16 per ms.
    # sigma of an Ornstein-Uhlenbeck process is its standard deviation, and neighbouring steps correlate by exp(-dt / tau).
    # 2000 regions show it; one trace of 100 ms does not, that is 2.5 correlation times of the slow process.
    samples = noises()
    _, axes = plt.subplots(3, 1, figsize=(9, 6), sharex=True, layout="constrained")
    for ax, (name, x) in zip(axes, samples.items(), strict=True):
        x.isel(region=0).plot(ax=ax, linewidth=0.8)
        ax.set(title=name, xlabel="", ylabel="noise")
        single = x.std("time")
        print(f"{name}: sd {float(np.sqrt((x**2).mean())):.3f}, neighbours {lag_one(x):.5f}", end="; ")
        print(f"sd of a single trace {float(single.mean()):.2f} +- {float(single.std()):.2f}")
    axes[-1].set_xlabel("time [ms]")
    plt.savefig("noise.png")

    # 2. a node below its bifurcation is silent without noise, and fluctuates about rest with it
    silent, noisy = one_run(None), one_run(0.1)
    _, axes = plt.subplots(2, 1, figsize=(9, 4), sharex=True, layout="constrained")
    for ax, run, title in zip(axes, (silent, noisy), ("without noise", "with noise"), strict=True):
        run.x.squeeze("region").plot(ax=ax, label="x")
        run.y.squeeze("region").plot(ax=ax, label="y")
        ax.set(title=title, ylabel="x, y")
    axes[0].legend()
    plt.savefig("silent_and_noisy.png")
    # the linear theory knows no cubic term; with it, the fluctuations of this strength are smaller
    print("standard deviations, linear theory:", linear_theory())
    print("standard deviations, beta = 0:", stationary(0.0), "beta = 1:", stationary(1.0))

    # 3. an ensemble of trials
    trials = ensemble()
    print("ensemble:", dict(trials.x.sizes), "network:", dict(network_ensemble().x.sizes))
    _, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
    x = trials.x.squeeze("region")
    x.plot.line(x="time", ax=ax, color="0.7", linewidth=0.6, add_legend=False)
    x.mean("batch").plot(ax=ax, color="C3", label="mean of 12 trials")
    ax.set(title="trials", ylabel="x")
    ax.legend()
    plt.savefig("ensemble.png")

    # 4. the same seed gives the same values, bit for bit, and so does the same trial of a larger ensemble; another seed gives others
    print("same seed:", bool((ensemble().x == trials.x).all()), "another:", bool((ensemble(seed=5).x == trials.x).all()))
    print("in an ensemble of 30:", bool((ensemble(30).x.isel(batch=slice(12)) == trials.x).all()))


if __name__ == "__main__":
    main()
