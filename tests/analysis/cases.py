"""Small labelled data that several tests of the analyses share."""

from __future__ import annotations

import numpy as np
import xarray as xr

REGIONS = ["A_L", "A_R", "B_L", "B_R", "C_L", "C_R"]


def series(*, samples: int = 120, seed: int = 0, period: float = 0.72, unit: str = "s", regions: list[str] | None = None) -> xr.DataArray:
    """Correlated noise ``(time, region)``: every region has a part in common with all others."""
    names = REGIONS if regions is None else regions
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(samples, len(names))) + rng.normal(size=(samples, 1)) * rng.uniform(0.3, 1.5, len(names))
    coords = {
        "time": ("time", np.arange(samples) * period, {"units": unit, "axis": "T"}),
        "region": names,
        "hemisphere": ("region", [name[-1] for name in names]),
    }
    return xr.DataArray(values, dims=("time", "region"), coords=coords, name="bold", attrs={"units": "1"})


def cohort(subjects: int = 3) -> xr.Dataset:
    """Recordings and connectomes of several subjects."""
    bold = xr.concat([series(seed=100 + i) for i in range(subjects)], dim="subject")
    rng = np.random.default_rng(5)
    weights = rng.gamma(1.0, size=(subjects, 6, 6)) * (1 - np.eye(6))
    weights[:, 0, 1] = 0.0
    ds = xr.Dataset({"bold": bold, "weights": (("subject", "region", "region_other"), weights)})
    return ds.assign_coords(subject=[f"S{i + 1}" for i in range(subjects)], region_other=REGIONS)


def sweep() -> xr.Dataset:
    """Simulated series over two parameters."""
    points = [[series(seed=10 * i + j, samples=90) for j in range(2)] for i in range(3)]
    bold = xr.concat([xr.concat(row, dim="sigma") for row in points], dim="k")
    return xr.Dataset({"bold": bold}).assign_coords(k=[0.1, 0.2, 0.3], sigma=[0.005, 0.01])
