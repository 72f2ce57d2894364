"""Scores of the sweep against the recordings, the best point of each subject, and the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

import xmass as xm
from xmass import objectives
from xmass.demo.recordings import DemoError
from xmass.demo.sweeps import Model
from xmass.labelled.schema import MATRIX_DIMS, UNITS

RANK = "score"


@dataclass(frozen=True)
class Scores:
    """``comparison`` is what ``xm.compare`` returned, with the combined score ``score``; ``fc`` is the FC averaged over seeds."""

    comparison: xr.Dataset
    fc: xr.DataArray
    mean_fc: xr.DataArray
    recorded_mean_fc: xr.DataArray
    meaning: str


def score_sweep(swept: xr.Dataset, recorded: xr.Dataset, model: Model) -> Scores:
    """Compare a stored sweep with the recordings: FC averaged over seeds through Fisher z.

    Points are ranked by fc_rmse, because fc_corr prefers over-synchronised networks. Where the recording has the unit of the
    simulated signal, so that amplitudes can be compared, |log sd ratio| is added: without it points on a ridge are equally good.
    The amplitude of the Hopf model's x is arbitrary.
    """
    fc = xm.average_fc(swept.fc, "batch").fc.compute()
    simulated = xr.Dataset({"fc": fc})
    corr, rmse, mean = (make("fc", "bold") for make in (objectives.fc_corr, objectives.fc_rmse, objectives.mean_fc))
    wanted: list[objectives.Objective | objectives.Combined] = [corr, rmse, mean]
    if model == "wong_wang" and recorded.bold.attrs.get(UNITS) == swept.bold.attrs.get(UNITS) == "1":
        simulated["bold"] = xm.preprocess(swept.bold)
        amplitude = objectives.bold_sd_ratio("bold", "bold")
        wanted += [amplitude, objectives.combine(rmse, amplitude, name=RANK)]
        meaning = "fc_rmse + |log of the ratio of BOLD standard deviations|, small is good"
    else:
        wanted.append(objectives.fc_rmse("fc", "bold", name=RANK))
        meaning = "fc_rmse, which sees pattern and mean of FC; small is good"
    comparison = xm.compare(simulated, recorded, wanted).compute()
    if "batch" in comparison.dims:
        comparison = comparison.mean("batch", keep_attrs=True)
    recorded_fc = xm.functional_connectivity(recorded.bold)
    return Scores(comparison, fc, mean_fc(fc), mean_fc(recorded_fc).compute(), meaning)


def mean_fc(fc: xr.DataArray) -> xr.DataArray:
    """Mean of the off-diagonal entries."""
    n = fc.sizes[MATRIX_DIMS[0]]
    off = xr.DataArray(~np.eye(n, dtype=bool), dims=MATRIX_DIMS)
    return fc.where(off).mean(MATRIX_DIMS)


def best_points(scores: Scores, dims: tuple[str, str], by: str = RANK) -> dict[str, xr.DataArray]:
    """Index along both swept dims of the best point of each subject.

    Raises
    ------
    DemoError
        If a subject has no finite score.
    """
    score = scores.comparison[by]
    direction: Literal["max", "min"] = score.attrs["direction"]
    empty = score.subject[score.isnull().all(dims)].values.tolist()
    if empty:
        raise DemoError(f"no point of the sweep has a finite score for {empty}: every run diverged.")
    found = score.argmax(dims) if direction == "max" else score.argmin(dims)
    return {str(d): i.drop_vars([c for c in i.coords if c != "subject"]) for d, i in found.items()}


def best_table(scores: Scores, points: dict[str, xr.DataArray], dims: tuple[str, str], rate: xr.DataArray | None) -> pd.DataFrame:
    """One row for each subject: where the best point is, how good, beside what it must be held against."""
    here = scores.comparison.isel(points)
    rows = []
    for i, subject in enumerate(scores.comparison.subject.values):
        one = here.isel(subject=i)
        row: dict[str, object] = {"subject": str(subject)}
        row |= {d: float(one[d]) for d in dims}
        if "coupling.k" in one.coords:
            row["G"] = float(one["coupling.k"])
        row |= {name: float(one[name]) for name in (RANK, "fc_corr", "fc_rmse")}
        for name in ("baseline_weights", "baseline_log_weights", "baseline_other_subjects", "ceiling_split_half"):
            row[name] = float(one[name]) if name in one.coords else np.nan
        row["mean_fc_simulated"] = float(scores.mean_fc.isel(points).isel(subject=i))
        row["mean_fc_recorded"] = float(scores.recorded_mean_fc.isel(subject=i))
        if rate is not None:
            row["rate_hz"] = float(rate.isel(subject=i))
        # a and G of the Hopf model trade off along a ridge: only G can be said to be inside
        row["interior"] = all(_inside(int(points[d][i]), scores.comparison.sizes[d]) for d in dims if d != "a_per_s")
        rows.append(row)
    return pd.DataFrame(rows)


def _inside(index: int, size: int) -> bool:
    return size < 3 or 0 < index < size - 1


HEADINGS = {
    "G_lmax": ("G·λmax", "{:.2f}"),
    "sigma": ("sigma", "{:g}"),
    "a_per_s": ("a [1/s]", "{:g}"),
    "G": ("G", "{:.3g}"),
    RANK: ("score", "{:.3f}"),
    "fc_corr": ("fc_corr", "{:.2f}"),
    "fc_rmse": ("fc_rmse", "{:.2f}"),
    "baseline_weights": ("W", "{:.2f}"),
    "baseline_log_weights": ("log W", "{:.2f}"),
    "baseline_other_subjects": ("others", "{:.2f}"),
    "ceiling_split_half": ("halves", "{:.2f}"),
    "mean_fc_simulated": ("mean FC", "{:.2f}"),
    "mean_fc_recorded": ("recorded", "{:.2f}"),
    "rate_hz": ("rate [Hz]", "{:.1f}"),
}


def table_text(table: pd.DataFrame) -> str:
    """The table as it is printed, with what its columns mean."""
    cells = [["subject", *(HEADINGS[c][0] for c in table.columns if c in HEADINGS), "inside"]]
    for row in table.to_dict("records"):
        shown = ["-" if pd.isna(row[c]) else HEADINGS[c][1].format(row[c]) for c in table.columns if c in HEADINGS]
        cells.append([str(row["subject"]), *shown, "yes" if row["interior"] else "NO"])
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths))) for line in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


LEGEND = (
    "fc_corr: simulated with recorded FC. To hold it against: the recorded FC with the connectome (W), with its logarithm (log W),",
    "with the FC of the other subjects (others), and that of the first half of the recording with the second (halves, the ceiling).",
    "inside: the best point is not at an edge of the grid (Hopf: of G; with a it trades off).",
)
