"""Small connectomes, nodes and starts that the tests of couplings share."""

from __future__ import annotations

import numpy as np
import xarray as xr

import xmass as xm

DIMS = ("region", "region_other")
LABELS = [f"r{i}" for i in range(4)]
XX = dict(source="x", target="x")
HOPF = xm.HopfStep(a=-0.1, w=0.3)
NOISY = xm.HopfStep(a=-0.1, w=0.3, noise_x=xm.WhiteNoise(sigma=0.05))


def connectome(seed=0, regions=4, longest=10.0):
    """Every pair connected, lengths of 1 to ``longest`` mm."""
    rng = np.random.default_rng(seed)
    other = 1 - np.eye(regions)
    weights, lengths = rng.uniform(0.1, 1.0, (2, regions, regions)) * other
    labels = [f"r{i}" for i in range(regions)]
    variables = {"weights": (DIMS, weights), "distances": (DIMS, longest * lengths, {"units": "mm"})}
    return xr.Dataset(variables, {"region": labels, "region_other": labels})


def start(seed=1, regions=4, names=("x", "y")):
    """Random initial states."""
    rng = np.random.default_rng(seed)
    labels = {"region": [f"r{i}" for i in range(regions)]}
    return {n: xr.DataArray(rng.normal(0, 0.5, regions), dims="region", coords=labels) for n in names}


def over(values, dim):
    """Numbers along a labelled dim."""
    return xr.DataArray(values, dims=dim, coords={dim: values})
