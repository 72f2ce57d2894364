"""The small connectome of the tutorials: eight regions, symmetric, without noise."""

from __future__ import annotations

import numpy as np
import xarray as xr

POSITIONS = (  # mm; four regions in each hemisphere, front to back
    (-18.0, 30.0, 8.0),
    (-27.0, 6.0, -4.0),
    (-24.0, -14.0, 18.0),
    (-10.0, -33.0, 2.0),
    (17.0, 31.0, 6.0),
    (28.0, 4.0, -6.0),
    (23.0, -16.0, 20.0),
    (12.0, -32.0, 0.0),
)
LONGEST = 80.0  # mm
DECAY = 30.0  # mm


def example_connectome() -> xr.Dataset:
    """Eight regions R0..R7 whose weights fall with the length of the fibres; the same each time.

    The lengths are the distances between the positions, scaled so that the longest is 80 mm, and the weights
    ``exp(-length / 30 mm)``, scaled so that the largest is 1. No self-connections.

    Returns
    -------
    Dataset
        ``weights(region, region_other)`` [1], ``distances(region, region_other)`` [mm], ``centres(region, xyz)`` [mm].

    Examples
    --------
    >>> ds = example_connectome()
    >>> dict(ds.weights.sizes), float(ds.weights.max()), float(ds.distances.max())
    ({'region': 8, 'region_other': 8}, 1.0, 80.0)
    """
    centres = np.array(POSITIONS)
    straight = np.linalg.norm(centres[:, None] - centres[None, :], axis=-1)
    lengths = LONGEST * (straight / straight.max())
    weights = np.exp(-lengths / DECAY)
    np.fill_diagonal(weights, 0.0)
    return connectome_dataset(
        labels=[f"R{i}" for i in range(len(centres))],
        centres=centres,
        weights=weights / weights.max(),
        distances=lengths,
        attrs={"title": "example connectome of eight regions", "provenance": "synthetic: xmass.datasets.example_connectome"},
    )


def connectome_dataset(
    *, labels: list[str], centres: np.ndarray, weights: np.ndarray, distances: np.ndarray, attrs: dict[str, object]
) -> xr.Dataset:
    """A connectome Dataset from arrays; matrices of three dims have ``subject`` first."""
    dims = ("subject", "region", "region_other")[-weights.ndim :]
    return xr.Dataset(
        {
            "weights": (dims, weights, {"units": "1", "long_name": "connection strength"}),
            "distances": (dims, distances, {"units": "mm", "long_name": "fibre length"}),
            "centres": (("region", "xyz"), centres, {"units": "mm", "long_name": "position of the region", "axes": "RAS"}),
        },
        coords={
            "region": ("region", labels, {"long_name": "receiving region"}),
            "region_other": ("region_other", labels, {"long_name": "sending region"}),
            "xyz": ("xyz", ["x", "y", "z"]),
        },
        attrs={**attrs, "weights_convention": "weights[region, region_other]: onto region, from region_other", "normalization": "max"},
    )
