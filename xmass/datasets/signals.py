"""Signals by formula, and the chaotic series that forecasts are tried on."""

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

LORENZ_START = (8.0, 1.0, 1.0)


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


def lorenz(*, duration: float = 100.0, dt: float = 0.01) -> xr.Dataset:
    """The Lorenz system from (8, 1, 1), integrated by the classical Runge-Kutta method of fourth order in double precision.

    ``x' = 10 (y - x)``, ``y' = x (28 - z) - y``, ``z' = x y - 8/3 z``. The first sample is the state after the first step. Beyond some 30
    units of time the last bits of a machine decide (the largest Lyapunov exponent is 0.9), before it the series is the same everywhere.

    Parameters
    ----------
    duration : float
        Length of the series, in the unit of time of the equations.
    dt : float
        Step, and time between samples.

    Returns
    -------
    Dataset
        ``x(time)``, ``y(time)``, ``z(time)``, all without unit, as is ``time``.

    Raises
    ------
    ValueError
        If the duration or the step is not positive, or the first is no multiple of the second.

    References
    ----------
    Lorenz (1963), J. Atmos. Sci. 20, 130-141, doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.load_dataset("lorenz")
    >>> ds.sizes["time"], round(float(ds.x[0]), 6)
    (10000, 7.434661)
    """
    from xmass.models.lorenz import LorenzStep
    from xmass.simulator import Simulator

    if not (duration > 0 and dt > 0):
        raise ValueError(f"duration={duration} and dt={dt}, needs positive numbers, as duration=100.0, dt=0.01.")
    sim = Simulator(LorenzStep(), dt=dt, method="rk4", precision="float64")
    initial = dict(zip("xyz", LORENZ_START, strict=True))
    run = sim.run(duration, monitors=["x", "y", "z"], initial=initial).isel(region=0, drop=True)
    about = {"units": "1", "axis": "T", "long_name": "time, in units of the equations"}
    return xr.Dataset(
        {name: (TIME, run[name].values, {"units": "1", "long_name": f"{name} of the Lorenz system"}) for name in "xyz"},
        coords={TIME: (TIME, run[TIME].values, about)},
        attrs={
            "title": "Lorenz system",
            "provenance": "integrated at load: xmass.datasets.lorenz",
            "equations": "x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z",
            "sigma": 10.0,
            "rho": 28.0,
            "beta": 8 / 3,
            "initial": list(LORENZ_START),
            "method": "rk4",
            "dt": dt,
            "source": "Lorenz (1963), doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2",
        },
    )
