"""Signals by formula."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xmass.labelled.schema import REGION, TIME, time_attrs

RATE = 10.0  # Hz, of the oscillation
MODULATION = 0.2  # Hz, of its envelope
DEPTH = 0.5
REGIONS = 8
PERIOD = 4.0  # ms, between samples
SECONDS = 60


def example_signal() -> xr.Dataset:
    """A rhythm of 10 Hz that travels along eight regions, by formula: what an analysis of it must find is known.

    ``signal = (1 + 0.5 cos(2 pi 0.2 Hz t)) cos(2 pi (10 Hz t - r / 8))`` for the regions r = 0..7. Over the 60 s, which are whole
    periods of everything in it, the correlation of regions r and s is ``cos(2 pi (r - s) / 8)``, region r + 1 follows region r by
    12.5 ms, the amplitude envelope is the first bracket, the same in all regions, and the order parameter of the phases is 0.

    Returns
    -------
    Dataset
        ``signal(time, region)`` [1], 15,000 samples of 4 ms from 0; ``attrs`` hold the numbers of the formula.

    Examples
    --------
    >>> import xmass as xm
    >>> fc = xm.functional_connectivity(xm.datasets.load_dataset("example_signal").signal)
    >>> round(float(fc.sel(region="R0", region_other="R1")), 6), round(float(fc.sel(region="R0", region_other="R4")), 6)
    (0.707107, -1.0)
    """
    time = PERIOD * np.arange(int(1000 * SECONDS / PERIOD))
    seconds = time[:, None] / 1000
    phase = 2 * np.pi * (RATE * seconds - np.arange(REGIONS) / REGIONS)
    values = (1 + DEPTH * np.cos(2 * np.pi * MODULATION * seconds)) * np.cos(phase)
    return xr.Dataset(
        {"signal": ((TIME, REGION), values, {"units": "1", "long_name": "travelling rhythm"})},
        coords={TIME: (TIME, time, time_attrs("ms")), REGION: [f"R{i}" for i in range(REGIONS)]},
        attrs={
            "title": "example signal of eight regions",
            "provenance": "formula: xmass.datasets.example_signal",
            "frequency_hz": RATE,
            "modulation_hz": MODULATION,
            "modulation_depth": DEPTH,
        },
    )
