"""The figures of the demo."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

import xmass as xm
from xmass.demo.scores import RANK, Scores
from xmass.labelled.schema import time_dim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"G_lmax": "G·λmax", "sigma": "sigma [1/√ms]", "G": "G [1/s]", "a_per_s": "a [1/s]"}
DPI = 130


def write_figures(
    scores: Scores,
    points: dict[str, xr.DataArray],
    dims: tuple[str, str],
    swept: xr.Dataset,
    recorded: xr.Dataset,
    folder: Path,
    *,
    truth: dict[str, xr.DataArray] | None = None,
) -> list[Path]:
    """Score over the sweep, simulated beside recorded FC for each subject, and example traces; returns the files.

    ``truth`` has the known value ``(subject)`` along each swept dim, where recordings were made by simulation.
    """
    written = []
    for name in (RANK, "fc_corr"):
        figure = sweep_figure(scores.comparison[name], dims, scores.meaning if name == RANK else "fc_corr", truth)
        written.append(_save(figure, folder / f"sweep_{name}.png"))
    recorded_fc = xm.functional_connectivity(recorded.bold)
    simulated_fc = scores.fc.isel(points)
    for i, subject in enumerate(scores.comparison.subject.values):
        where = _words(scores.comparison, dims, {d: points[d][i] for d in dims})
        one = {"subject": i}
        figure = xm.viz.plot_fc_comparison(simulated_fc.isel(one), recorded_fc.isel(one), title=f"{subject}: best point, {where}")
        written.append(_save(figure, folder / f"fc_{_file_name(subject)}.png"))
        trace = swept.bold.isel(one).isel(batch=0, **{d: int(points[d][i]) for d in dims}).compute()
        figure = trace_figure(trace, recorded.bold.isel(one), recorded_fc.isel(one), title=f"{subject}: simulated at {where}")
        written.append(_save(figure, folder / f"bold_{_file_name(subject)}.png"))
    return written


def sweep_figure(score: xr.DataArray, dims: tuple[str, str], title: str, truth: dict[str, xr.DataArray] | None) -> Figure:
    """A score over the sweep, a panel for each subject, the best point circled and the true one, if known, crossed."""
    figure = xm.viz.plot_sweep(score, x=dims[0], y=dims[1], facet="subject")
    panels = figure.axes[: score.sizes["subject"]]
    for i, ax in enumerate(panels):
        ax.set_title(_panel_title(score.isel(subject=i), dims), fontsize=9)
        if truth is not None:
            x, y = (float(np.interp(float(truth[d][i]), score[d].values, np.arange(score.sizes[d]))) for d in dims)
            ax.plot(x, y, marker="x", markersize=7, color="white", markeredgewidth=2.5)
            ax.plot(x, y, marker="x", markersize=7, color="black", markeredgewidth=1.2)
        ax.set_xlabel(NAMES[dims[0]])
        ax.set_ylabel(NAMES[dims[1]])
        ax.label_outer()
    crossed = "" if truth is None else "; cross: where the recording was made"
    figure.suptitle(f"{title} (circle: best{crossed})", fontsize=10)
    return figure


def _panel_title(score: xr.DataArray, dims: tuple[str, str]) -> str:
    if not bool(score.notnull().any()):
        return f"{score.subject.item()}: no finite score"
    at = score.argmin(dims) if score.attrs.get("direction") == "min" else score.argmax(dims)
    return f"{score.subject.item()}: {float(score.isel(at)):.3f} at {_words(score, dims, at)}"


def _words(data: xr.DataArray | xr.Dataset, dims: tuple[str, str], at: Mapping[Hashable, xr.DataArray]) -> str:
    return ", ".join(f"{NAMES[d].split(' [')[0]} {float(data[d][int(at[d])]):.3g}" for d in dims)


def trace_figure(simulated: xr.DataArray, recorded: xr.DataArray, recorded_fc: xr.DataArray, *, title: str) -> Figure:
    """Recorded and simulated BOLD of three regions, as z-scores: the best connected one, its closest and its farthest partner."""
    import matplotlib.pyplot as plt

    regions = _example_regions(recorded_fc)
    figure, axes = plt.subplots(2, 1, figsize=(11, 5.2), sharex=True, sharey=True, layout="constrained")
    length = simulated.sizes[time_dim(simulated)]
    for ax, (name, series) in zip(axes, {"recorded": recorded, "simulated": simulated}.items(), strict=True):
        time = str(time_dim(series))
        series = xm.preprocess(series).sel(region=regions).isel({time: slice(0, length)})
        series = series / series.std(time)
        scale = 1e-3 if series[time].attrs.get("units") == "ms" else 1.0
        series = series.assign_coords({time: (time, scale * (series[time].values - series[time].values[0]), {"units": "s", "axis": "T"})})
        xm.viz.plot_timeseries(series.rename("BOLD (z-score)").assign_attrs(units="1"), ax=ax, title=name)
        ax.set_xlabel("time [s]" if ax is axes[-1] else "")
    axes[1].get_legend().remove()
    figure.suptitle(title, fontsize=10)
    return figure


def _example_regions(fc: xr.DataArray) -> list[object]:
    values = np.array(fc.values, dtype=float)
    np.fill_diagonal(values, np.nan)
    hub = int(np.nanargmax(np.nanmean(values, axis=0)))
    chosen = dict.fromkeys([hub, int(np.nanargmax(values[hub])), int(np.nanargmin(values[hub]))])
    return [fc.region.values[i] for i in chosen]


def _file_name(subject: object) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in str(subject))


def _save(figure: Figure, path: Path) -> Path:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return path
