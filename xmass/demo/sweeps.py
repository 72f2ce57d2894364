"""The two sweeps of the demo: inhibition-controlled Wong-Wang over G·λmax and sigma, slow Hopf over G and a."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

import xmass as xm
from xmass.analysis.clock import period_in_seconds
from xmass.demo.recordings import DemoError, Recordings, in_words

Model = Literal["wong_wang", "hopf"]
TRANSIENT = 60.0  # s; the decay of the haemodynamics alone correlates with recordings when less is left out
TILE = 16  # runs of one connectome that are computed together


@dataclass(frozen=True)
class Grid:
    """What is swept, and for how long.

    Parameters
    ----------
    coupling : tuple of float
        Global coupling: G times the spectral radius of the weights (Wong-Wang), or G per second (Hopf).
    second : tuple of float
        Noise sigma per square root of ms (Wong-Wang), or distance to the bifurcation a per second (Hopf).
    seeds : int
        Trials at each point; their FC is averaged.
    seconds : float
        Length of the simulated BOLD signal, after the transient; rounded up to whole volumes.
    transient : float
        Length of what is simulated before it [s]; rounded up to whole volumes.
    """

    coupling: tuple[float, ...]
    second: tuple[float, ...]
    seeds: int = 3
    seconds: float = 300.0
    transient: float = TRANSIENT


@dataclass(frozen=True)
class Sweep:
    """Everything that ``run_to_zarr`` needs, and how to talk about it. ``dims`` are the two swept dims."""

    simulator: xm.Simulator
    parameters: xr.Dataset
    monitors: dict[str, xm.Observation]
    duration: float
    transient: float
    dims: tuple[str, str]
    seeds: int
    chunks: dict[str, int]
    said: str


def default_grid(model: Model, *, full: bool = False) -> Grid:
    """The grid of the demo: one that takes two minutes, or a fine one with wide ranges.

    Examples
    --------
    >>> from xmass.demo import default_grid
    >>> len(default_grid("wong_wang", full=True).coupling)
    21
    """
    if model == "wong_wang":
        if full:
            return Grid(_even(0.3, 1.3, 21), (0.002, 0.005, 0.01, 0.015, 0.02), seeds=2)
        return Grid(_even(0.3, 1.3, 11), (0.005, 0.01, 0.015), seeds=3)
    bifurcation = (-0.1, -0.05, -0.02, 0.0, 0.02)
    if full:
        return Grid(_geometric(0.02, 5.0, 21), bifurcation, seeds=2, seconds=864.0)
    return Grid(_geometric(0.02, 5.0, 11), bifurcation, seeds=3)


def make_sweep(data: Recordings, model: Model, grid: Grid, *, speed: float | None = None) -> Sweep:
    """The network of every subject with the parameters of the sweep; ``speed`` in mm/ms turns delays on.

    Raises
    ------
    DemoError
        If the grid is empty, the speed is not positive, the recording has no usable time axis, or the data do not make a network.
    """
    if not grid.coupling or not grid.second or grid.seeds < 1:
        raise DemoError(
            f"the grid has {len(grid.coupling)} × {len(grid.second)} points and {grid.seeds} seeds, needs at least one of each."
        )
    if speed is not None and not speed > 0:
        raise DemoError(f"speed={speed:g} mm/ms, needs a positive conduction speed, or none for no delays.")
    try:
        tr = round(1000 * period_in_seconds(data.recorded.bold, "time"), 6)
        build = _wong_wang if model == "wong_wang" else _hopf
        simulator, parameters, bold, dims, said = build(data, grid, tr, speed)
    except (KeyError, TypeError, ValueError) as error:
        raise DemoError(in_words(error)) from error
    transient = math.ceil(1000 * grid.transient / tr - 1e-9) * tr
    duration = transient + math.ceil(1000 * grid.seconds / tr - 1e-9) * tr
    monitors = {"bold": bold, "fc": xm.FunctionalConnectivity(of=bold, detrend="linear")}
    chunks = {"subject": 1, dims[0]: rows_per_chunk(len(grid.coupling), len(grid.second) * grid.seeds)}
    return Sweep(simulator, parameters, monitors, duration, transient, dims, grid.seeds, chunks, said)


def rows_per_chunk(rows: int, runs_per_row: int, tile: int = TILE) -> int:
    """Rows of the grid in a chunk: as few as possible without more padding than the best choice has.

    A chunk is computed in tiles of 16 runs; a tile that is not full costs as much as a full one.

    Examples
    --------
    >>> from xmass.demo.sweeps import rows_per_chunk
    >>> rows_per_chunk(11, 9), rows_per_chunk(21, 10)
    (5, 3)
    """

    def computed(n: int) -> int:
        whole, rest = divmod(rows, n)
        return whole * math.ceil(n * runs_per_row / tile) + math.ceil(rest * runs_per_row / tile)

    least = min(computed(n) for n in range(1, rows + 1))
    return next(n for n in range(1, rows + 1) if computed(n) == least)


def _wong_wang(
    data: Recordings, grid: Grid, tr: float, speed: float | None
) -> tuple[xm.Simulator, xr.Dataset, xm.Observation, tuple[str, str], str]:
    scaled = xr.DataArray(list(grid.coupling), dims="G_lmax", coords={"G_lmax": list(grid.coupling)})
    sigma = xr.DataArray(list(grid.second), dims="sigma", coords={"sigma": list(grid.second)}, attrs={"units": "1/ms**0.5"})
    k = scaled / xm.spectral_radius(data.connectome.weights)
    node = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
    network = xm.Network(node, data.connectome, speed=speed, coupling=xm.AdditiveCoupling(source="S_e", target="coupling"))
    dt = _step(tr, 1.0)
    parameters = xr.Dataset(
        {"coupling.k": k, "noise_e.sigma": sigma, "noise_i.sigma": sigma, "J_i": xm.inhibition_control(data.connectome, k)}
    )
    said = (
        f"excitatory-inhibitory Wong-Wang, inhibition control, dt {dt:g} ms; G·λmax {_range(grid.coupling)} × sigma {_range(grid.second)}"
    )
    return xm.Simulator(network, dt=dt), parameters, xm.BOLDSignal(of="S_e", tr=tr), ("G_lmax", "sigma"), said


def _hopf(
    data: Recordings, grid: Grid, tr: float, speed: float | None
) -> tuple[xm.Simulator, xr.Dataset, xm.Observation, tuple[str, str], str]:
    per_second = {"units": "1/s"}
    k = xr.DataArray(list(grid.coupling), dims="G", coords={"G": ("G", list(grid.coupling), per_second)}, attrs=per_second)
    a = xr.DataArray(list(grid.second), dims="a_per_s", coords={"a_per_s": ("a_per_s", list(grid.second), per_second)}, attrs=per_second)
    couplings = {name: xm.DiffusiveCoupling(source=name, target=name) for name in ("x", "y")}
    network = xm.Network(xm.HopfStep.resting_fmri(), data.connectome, speed=speed, coupling=couplings)
    dt = _step(tr, 72.0)
    w = xm.intrinsic_frequency(data.recorded.bold)
    parameters = xr.Dataset({"coupling.x.k": k, "coupling.y.k": k, "a": a, "w": w})
    said = (
        f"slow Hopf, each region's frequency from its recording, dt {dt:g} ms; G {_range(grid.coupling)} × a {_range(grid.second)} (per s)"
    )
    return xm.Simulator(network, dt=dt), parameters, xm.Subsample(of="x", period=tr), ("G", "a_per_s"), said


def rates(sweep: Sweep, best: xr.Dataset, *, seconds: float = 60.0) -> xr.DataArray:
    """Mean excitatory rate [Hz] of each subject's network at the parameters ``best(subject)``, in a run of its own."""
    dt = sweep.simulator.dt
    period = round(1000.0 / dt) * dt
    transient = 20 * period
    run = sweep.simulator.run(
        transient + round(seconds) * period,
        best,
        monitors={"rate": xm.TemporalAverage(of="H_e", period=period)},
        transient=transient,
        seed=0,
        progress=False,
    )
    return run.rate.mean(["rate_time", "region"])


def at_points(sweep: Sweep, points: dict[str, xr.DataArray]) -> xr.Dataset:
    """The parameters of the sweep at one point for each subject; ``points`` has an index ``(subject)`` for each swept dim."""
    chosen: dict[Any, xr.DataArray] = {}
    for name, values in sweep.parameters.data_vars.items():
        own = {d: i for d, i in points.items() if d in values.dims}
        chosen[name] = values.isel(own).drop_vars(sweep.dims, errors="ignore")
    return xr.Dataset(chosen)


def _step(tr: float, wanted: float) -> float:
    """The time step nearest to ``wanted`` that divides the repetition time [ms]."""
    return tr / max(round(tr / wanted), 1)


def _even(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(round(float(v), 10) for v in np.linspace(low, high, count))


def _geometric(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(float(f"{v:.4g}") for v in np.geomspace(low, high, count))


def _range(values: tuple[float, ...]) -> str:
    if len(values) <= 5:
        return ", ".join(f"{v:g}" for v in values)
    return f"{values[0]:g} to {values[-1]:g} ({len(values)} values)"
