"""A small noisy network with delays, a sweep over it, and what the tests of this folder need of both."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import xarray as xr

import xmass as xm
from xmass.labelled.resolve import Request, resolve

DURATION, TRANSIENT = 20.0, 4.0


def connectome(regions: int = 4) -> xr.Dataset:
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.1, 1.0, (regions, regions)) * (1 - np.eye(regions))
    lengths = rng.uniform(5.0, 20.0, (regions, regions))
    labels = [f"r{i}" for i in range(regions)]
    dims = ("region", "region_other")
    return xr.Dataset({"weights": (dims, weights), "distances": (dims, lengths)}, coords={"region": labels, "region_other": labels})


def network(*, tile: int | None = None, precision: str = "float32") -> xm.Simulator:
    node = xm.HopfStep(a=-0.05, w=0.3, noise_x=xm.OUProcess(sigma=0.1, tau=5.0))
    coupling = xm.DiffusiveCoupling(k=0.1, source="x", target="x")
    net = xm.Network(node, connectome(), speed=10.0, coupling=coupling)
    return xm.Simulator(net, dt=0.1, method="euler", tile=tile, precision=precision)  # the scheme that compiles fastest


def sweep(n_a: int = 5, n_k: int = 3) -> xr.Dataset:
    return xr.Dataset({"a": ("a", np.linspace(-0.2, 0.1, n_a)), "coupling.k": ("k", np.linspace(0.05, 0.2, n_k))})


def arguments() -> dict:
    """Everything but the parameters: raw states, an observation with a clock of its own, a reduction."""
    average = xm.TemporalAverage(of="x", period=1.0)
    return dict(monitors={"x": "x", "mean": average, "fc": xm.FunctionalConnectivity(of=average)}, transient=TRANSIENT, seed=7)


def resolved_of(sim: xm.Simulator, params: xr.Dataset | None = None, **kwargs):
    return resolve(sim.config, Request(DURATION, params, **kwargs))


def tree(path: Path) -> dict[str, str]:
    """Every file below a path with the hash of its content."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path.parent)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
