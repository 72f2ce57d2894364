"""Peak memory and time of ``xm.compare`` on a stored sweep of FC that need not fit in memory; the aim is below 2 GB for 10,000 points.

Run with ``python tests/benchmarks/bench_compare.py``, or with ``--points 1000`` for a tenth of it. The store (6,400 values of float32 for
each point and subject: 1 GB for 10,000 points of 4 subjects) is written chunk by chunk into a temporary folder by a process of its own, so
that the peak printed is that of the comparison, the import of the packages included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

import xmass as xm
from xmass import objectives as o

REGIONS, SUBJECTS, CHUNK = 80, 4, 100
SEED = 0


def recorded() -> xr.Dataset:
    """An FC for each subject: correlations of noise with ten common parts."""
    rng = np.random.default_rng(SEED)
    parts = rng.normal(size=(SUBJECTS, REGIONS, 10))
    return labelled(correlations(parts @ parts.swapaxes(-1, -2) + 5 * np.eye(REGIONS)))


def correlations(covariance: np.ndarray) -> np.ndarray:
    size = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    return (covariance / (size[..., :, None] * size[..., None, :])).astype(np.float32)


def labelled(fc: np.ndarray, points: np.ndarray | None = None) -> xr.Dataset:
    names = [f"R{i}" for i in range(REGIONS)]
    coords = {"subject": [f"S{i}" for i in range(SUBJECTS)], "region": names, "region_other": names}
    lead = ("subject",) if points is None else ("k", "subject")
    found = xr.Dataset({"fc": ((*lead, "region", "region_other"), fc, {"units": "1"})}, coords)
    return found if points is None else found.assign_coords(k=points)


def write(path: Path, points: int) -> None:
    """The sweep: the recorded FC mixed with that of another brain, by a share that falls to 0 at three quarters of the sweep."""
    k = np.linspace(0.0, 1.0, points)
    theirs = recorded().fc.values
    rng = np.random.default_rng(SEED + 1)
    for start in range(0, points, CHUNK):
        here = k[start : start + CHUNK]
        other = rng.normal(size=(here.size, SUBJECTS, REGIONS, 20)).astype(np.float32)
        other = correlations(other @ other.swapaxes(-1, -2))
        share = np.abs(here - truth(points)).astype(np.float32)[:, None, None, None]
        chunk = labelled((1 - share) * theirs + share * other, here).chunk({"k": CHUNK})
        chunk.to_zarr(path, append_dim="k" if start else None, mode="a" if start else "w", zarr_format=2)


def truth(points: int) -> float:
    return float(np.linspace(0.0, 1.0, points)[3 * points // 4])


def compare(path: Path, points: int) -> None:
    """Score the store, and check that each objective finds the point that it was made from."""
    with xr.open_zarr(path) as simulated:
        size = simulated.fc.nbytes / 1e9
        print(f"{points} points x {SUBJECTS} subjects x {REGIONS} regions, {size:.2f} GB in chunks of {CHUNK} points")
        before = peak()
        start = time.perf_counter()
        score = xm.compare(simulated, recorded(), [o.fc_corr(), o.fc_rmse(), o.mean_fc(), o.cosine_sim()]).compute()
        seconds = time.perf_counter() - start
    for name in ("fc_corr", "fc_rmse", "cosine_sim"):
        best = score[name].idxmax("k") if score[name].attrs["direction"] == "max" else score[name].idxmin("k")
        # Points nearer than 1e-3 differ from the best by less than float32 resolves: r falls with the square of the distance.
        assert (abs(best - truth(points)) < 1e-3).all(), (name, best.values)
        assert score[name].dims == ("k", "subject") and bool(score[name].notnull().all())
    print(f"four objectives of FC: {seconds:.1f} s, peak memory {peak():.2f} GB (before: {before:.2f} GB; aim: below 2 GB)")


def peak() -> float:
    """The largest memory of this process so far, in GB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000)
    points = parser.parse_args().points
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.zarr"
        for step in (write, compare):
            process = context.Process(target=step, args=(path, points))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
