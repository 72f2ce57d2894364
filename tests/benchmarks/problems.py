"""The networks that the benchmarks run: the given data where they lie beside the repository, else random ones of the same kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def hcp80(folder: Path = SHARED) -> xr.Dataset:
    """80 cortical regions, dense; at 10 mm/ms and dt 0.1 ms the delays are 7 / 136 / 269 steps (min / median / max)."""
    file = folder / "hcp_subject_1.nc"
    if not file.exists():
        return random_network(80, 1.0, seed=80)
    raw = xr.open_dataset(file, engine="h5netcdf")
    keep = np.flatnonzero(raw.cortical.values)
    return _network(raw.weights.values[np.ix_(keep, keep)], raw.distances.values[np.ix_(keep, keep)], f"{file.name}, cortical")


def tvb66(folder: Path = SHARED) -> xr.Dataset:
    """66 regions, about a third of all edges, in-degree from 2 to 47."""
    file = folder / "tvb_76.nc"
    if not file.exists():
        return random_network(66, 0.31, seed=66)
    raw = xr.open_dataset(file, engine="h5netcdf")
    weights, lengths = raw.weights.values.copy(), raw.distances.values
    np.fill_diagonal(weights, 0.0)
    keep = np.flatnonzero((weights > 0).sum(1))[:66]
    return _network(weights[np.ix_(keep, keep)], lengths[np.ix_(keep, keep)], f"{file.name}, first 66 regions with an input")


def random_network(n: int, density: float, seed: int) -> xr.Dataset:
    """Points in a head-sized box, distances between them as the crow flies, heavy-tailed weights that fall with distance."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([0, 0, 0], [130, 170, 120], (n, 3))
    lengths = np.maximum(1.6 * np.linalg.norm(points[:, None] - points, axis=-1), 7.0)
    weights = rng.lognormal(0, 2, (n, n)) * np.exp(-lengths / 40) * (rng.uniform(size=(n, n)) < density)
    np.fill_diagonal(weights, 0.0)
    return _network(weights, np.minimum(lengths, 269.0), f"random, {n} regions, density {density}")


def _network(weights: np.ndarray, lengths: np.ndarray, name: str) -> xr.Dataset:
    dims = ("region", "region_other")
    labels = np.arange(len(weights))
    data = {"weights": (dims, weights / weights.max()), "distances": (dims, np.where(weights > 0, lengths, 0.0), {"units": "mm"})}
    return xr.Dataset(data, coords={"region": labels, "region_other": labels}, attrs={"name": name})


def delay_steps(network: xr.Dataset, speed: float, dt: float) -> np.ndarray:
    """Delays of the edges in whole steps, sorted."""
    used = network.weights.values > 0
    return np.sort(np.rint(network.distances.values[used] / speed / dt).astype(int))


def initial_states(n: int, runs: int) -> np.ndarray:
    """Starting values ``(state, run, region)`` within 0.1 of the origin, the same for everyone."""
    return np.random.default_rng(0).uniform(-0.1, 0.1, (2, runs, n)).astype(np.float32)
