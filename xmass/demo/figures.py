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
from xmass.viz.style import ACCENT, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"G_lmax": "G·λmax", "sigma": "sigma [1/√ms]", "G": "G [1/s]", "a_per_s": "a [1/s]"}
REFERENCES = {
    "baseline_log_weights": ("log connectome", "-."),
    "baseline_other_subjects": ("other subjects", "--"),
    "ceiling_split_half": ("itself, half with half", "-"),
}
COLUMNS = 4
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
    written.append(_save(sweep_figure(scores, dims, truth), folder / "sweep.png"))
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


def sweep_figure(scores: Scores, dims: tuple[str, str], truth: dict[str, xr.DataArray] | None) -> Figure:
    """Combined score and fc_corr over the coupling, a line for each value of the second parameter, a column for each subject.

    Circles: the best point of each row by its own score. Dotted: where the recording was made, if that is known.
    """
    import matplotlib.pyplot as plt

    subjects = scores.comparison.sizes["subject"]
    columns = min(subjects, COLUMNS)
    blocks = -(-subjects // columns)
    size = (max(3.6 * columns, 5.0) + 1.4, 5.6 * blocks)
    figure, axes = plt.subplots(2 * blocks, columns, figsize=size, layout="constrained", squeeze=False, sharex=True, sharey="row")
    for i in range(blocks * columns):
        pair = axes[2 * (i // columns) : 2 * (i // columns) + 2, i % columns]
        if i >= subjects:
            for ax in pair:
                ax.set_visible(False)
            continue
        for ax, name in zip(pair, (RANK, "fc_corr"), strict=True):
            _score_lines(ax, scores.comparison[name].isel(subject=i), dims)
            if truth is not None:
                ax.axvline(float(truth[dims[0]][i]), color="0.3", linestyle=":", linewidth=1.2)
        _references(pair[1], scores.comparison.isel(subject=i))
        pair[0].set_title(
            f"{scores.comparison.subject.values[i]}\n{_optimum_words(scores.comparison[RANK].isel(subject=i), dims)}", fontsize=9
        )
        pair[1].set_title(_optimum_words(scores.comparison["fc_corr"].isel(subject=i), dims), fontsize=9)
        pair[1].set_xlabel(NAMES[dims[0]])
        if i % columns == 0:
            pair[0].set_ylabel("combined score")
            pair[1].set_ylabel("fc_corr")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, title=NAMES[dims[1]], loc="outside right upper", frameon=False, fontsize=8, title_fontsize=8)
    lines, names = axes[1, 0].get_legend_handles_labels()
    known = [(line, name) for line, name in zip(lines, names, strict=True) if name not in labels]
    figure.legend(
        *zip(*known, strict=True), title="recorded FC with", loc="outside right center", frameon=False, fontsize=8, title_fontsize=8
    )
    made = "" if truth is None else "; dotted: where the recording was made"
    figure.suptitle(f"combined score: {scores.meaning}. Circle: best{made}", fontsize=10)
    return figure


def _score_lines(ax: Axes, score: xr.DataArray, dims: tuple[str, str]) -> None:
    x, second = score[dims[0]].values, score[dims[1]].values
    for value, look in zip(second, looks(second.size), strict=True):
        ax.plot(x, score.sel({dims[1]: value}).values, marker=".", markersize=4, label=f"{value:g}", **look._asdict())
    if bool(score.notnull().any()):
        at = _best(score, dims)
        ax.plot(x[int(at[dims[0]])], float(score.isel(at)), marker="o", markersize=11, markerfacecolor="none", markeredgecolor=ACCENT)
    if score.attrs.get("direction") == "min":  # far from the best a distance grows without bound: show where the lines differ
        ax.set_ylim(0, 2.5 * float(score.median()))
    if x.size > 2 and (x > 0).all() and x.max() > 20 * x.min():
        ax.set_xscale("log")
    ax.spines[["top", "right"]].set_visible(False)


def _references(ax: Axes, one: xr.Dataset) -> None:
    """What fc_corr is to be held against, as lines across."""
    for name, (label, style) in REFERENCES.items():
        if name in one.coords:
            ax.axhline(float(one[name]), color="0.45", linestyle=style, linewidth=1, label=label)


def _best(score: xr.DataArray, dims: tuple[str, str]) -> dict[Hashable, xr.DataArray]:
    return score.argmin(dims) if score.attrs.get("direction") == "min" else score.argmax(dims)


def _optimum_words(score: xr.DataArray, dims: tuple[str, str]) -> str:
    if not bool(score.notnull().any()):
        return "no finite score"
    at = _best(score, dims)
    return f"best {float(score.isel(at)):.3f} at {_words(score, dims, at)}"


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
