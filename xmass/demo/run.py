"""The demo as a function: sweep into a store, compare, tabulate, draw."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import xmass as xm
from xmass.demo.figures import write_figures
from xmass.demo.recordings import DemoError, Recordings
from xmass.demo.scores import HEADINGS, LEGEND, Scores, best_points, best_table, score_sweep, table_text
from xmass.demo.sweeps import Grid, Model, Sweep, at_points, default_grid, make_sweep, rates

SEED = 0  # of the sweep; recordings made by simulation have others
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What the demo found: the scores, a row for each subject, and the files it wrote."""

    comparison: xr.Dataset
    table: pd.DataFrame
    store: Path
    files: tuple[Path, ...]


def run_demo(
    data: Recordings,
    *,
    out: str | Path,
    model: Model = "wong_wang",
    grid: Grid | None = None,
    speed: float | None = None,
    say: Say = lambda line: None,
    progress: bool | None = False,
) -> Outcome:
    """Sweep every subject's network, store it, compare it with the recordings, write a table and figures.

    Parameters
    ----------
    data : Recordings
        Of :func:`load_recordings`.
    out : path
        Folder for everything that is written; made if it does not exist. Called again with the same arguments it continues
        from what the folder has.
    model : {"wong_wang", "hopf"}
        Excitatory-inhibitory Wong-Wang with inhibition control over G·λmax and sigma, or slow Hopf over G and a.
    grid : Grid, optional
        What is swept; :func:`default_grid` by default.
    speed : float, optional
        Conduction speed [mm/ms]; no delays without it.
    say : callable
        Takes each line of the report.
    progress : bool, optional
        Progress bar of the sweep.

    Returns
    -------
    Outcome

    Raises
    ------
    DemoError
        If the folder cannot be written or holds another sweep, or the data do not fit.

    Examples
    --------
    >>> import tempfile
    >>> from xmass.demo import Grid, load_recordings, run_demo
    >>> small = Grid(coupling=(0.1, 1.0, 2.0), second=(-0.02,), seeds=1, seconds=60.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     outcome = run_demo(load_recordings(subjects=["S1"]), out=folder, model="hopf", grid=small)
    >>> outcome.table.subject.tolist(), outcome.store.name
    (['S1'], 'hopf.zarr')
    """
    grid = default_grid(model) if grid is None else grid
    folder = _folder(Path(out))
    sweep = make_sweep(data, model, grid, speed=speed)
    for line in data.said:
        say(line)
    subjects = data.recorded.sizes["subject"]
    runs = len(grid.coupling) * len(grid.second) * grid.seeds * subjects
    say(f"model: {sweep.said}")
    say(
        f"sweep: {len(grid.coupling)} × {len(grid.second)} points × {grid.seeds} seeds × {subjects} subjects = {runs} runs of "
        f"{sweep.duration / 60000:.1f} minutes, the first {sweep.transient / 1000:.1f} s left out; "
        + ("no delays" if speed is None else f"delays at {speed:g} mm/ms")
    )
    store = folder / f"{model}.zarr"
    say(f"store: {store} (kept, so that a killed demo continues from it)")
    began = time.perf_counter()
    swept = _simulate(sweep, store, progress)
    say(f"simulated in {time.perf_counter() - began:.0f} s")
    scores = score_sweep(swept, data.recorded, model)
    points = best_points(scores, sweep.dims)
    rate = rates(sweep, at_points(sweep, points)) if model == "wong_wang" else None
    table = best_table(scores, points, sweep.dims, rate)
    truth = _truth(data, sweep)
    table.to_csv(folder / "table.csv", index=False)
    figures = write_figures(scores, points, sweep.dims, swept, data.recorded, folder, truth=truth)
    _report(say, table, scores, truth, sweep)
    files = (folder / "table.csv", *figures)
    say(f"written to {folder}: {', '.join(path.name for path in files)}")
    say(f"the sweep: xr.open_zarr({str(store)!r}, consolidated=False)")
    return Outcome(scores.comparison, table, store, files)


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DemoError(f"cannot write to {str(out)!r} ({error.strerror or error}): give another folder with --out.") from error
    return out


def _simulate(sweep: Sweep, store: Path, progress: bool | None) -> xr.Dataset:
    try:
        return sweep.simulator.run_to_zarr(
            store,
            sweep.duration,
            sweep.parameters,
            monitors=sweep.monitors,
            transient=sweep.transient,
            batch_size=sweep.seeds,
            seed=SEED,
            chunks=sweep.chunks,
            progress=progress,
        )
    except ValueError as error:
        if not store.exists():
            raise
        raise DemoError(f"{error} Give another folder with --out, or remove {str(store)!r}.") from error


def _truth(data: Recordings, sweep: Sweep) -> dict[str, xr.DataArray] | None:
    """Where recordings were made by simulation: the true value along each swept dim."""
    if sweep.dims != ("G_lmax", "sigma") or not {"true_coupling", "true_sigma"} <= set(data.recorded.data_vars):
        return None
    scaled = data.recorded.true_coupling * xm.spectral_radius(data.recorded.weights)
    return {"G_lmax": scaled, "sigma": data.recorded.true_sigma}


def _report(say: Say, table: pd.DataFrame, scores: Scores, truth: dict[str, xr.DataArray] | None, sweep: Sweep) -> None:
    say("")
    say(f"best point of each subject by the combined score: {scores.meaning}")
    say(table_text(table))
    for line in LEGEND:
        say(line)
    if truth is not None:
        near = found(table, truth, scores.comparison)
        for i, subject in enumerate(table.subject):
            made = ", ".join(f"{HEADINGS[d][0]} {float(truth[d][i]):.3g}" for d in sweep.dims)
            say(f"{subject} was made at {made}: {'found' if near[i] else 'NOT found'} within one step of the grid")
    say("")


def found(table: pd.DataFrame, truth: dict[str, xr.DataArray], comparison: xr.Dataset) -> np.ndarray:
    """For each subject, whether the point in ``table`` is within one step of the grid of the true one, along both dims."""
    near = np.ones(len(table), bool)
    for d, true in truth.items():
        step = np.diff(comparison[d].values).max(initial=0.0)
        near &= np.abs(table[d].to_numpy() - true.values) <= step * (1 + 1e-6)
    return near
