"""Figures of simulated and recorded functional connectivity together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import xarray as xr

from xmass.analysis.align import align_regions, align_shared
from xmass.analysis.arrays import off_diagonal, pearson
from xmass.analysis.distributions import ks_statistic
from xmass.labelled import schema
from xmass.viz.matrices import draw_fc, fc_of, label_when_placed, matrix_size
from xmass.viz.panels import Bar, axes_for, draw_panels
from xmass.viz.style import ACCENT, COLOURS, DASHES, label_matrix_axes, root_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["pairs", "scatter", "distributions"]
BINS = 40


@overload
def plot_comparison(
    simulated: xr.DataArray,
    recorded: xr.DataArray,
    *,
    kind: Kind = "pairs",
    col: None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes: ...
@overload
def plot_comparison(
    simulated: xr.DataArray,
    recorded: xr.DataArray,
    *,
    kind: Kind = "pairs",
    col: str,
    ax: Sequence[Axes] | None = None,
    title: str | None = None,
) -> Figure: ...
def plot_comparison(
    simulated: xr.DataArray,
    recorded: xr.DataArray,
    *,
    kind: Kind = "pairs",
    col: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    title: str | None = None,
) -> Axes | Figure:
    """Simulated against recorded FC in one panel: both in one matrix, edge by edge, or their distributions.

    Parameters
    ----------
    simulated, recorded : DataArray
        ``(region, region_other)``, or series ``(time, region)``; the regions of ``recorded`` are brought to the order of
        ``simulated`` by label.
    kind : {"pairs", "scatter", "distributions"}
        ``pairs``: simulated FC below the diagonal, recorded above it. ``scatter``: one point for each pair of regions (two if FC is
        not symmetric), with the line of equality and r. ``distributions``: of the FC of all pairs of regions, with the
        Kolmogorov-Smirnov distance.
    col : str, optional
        One more dim, such as subject, with a panel for each label. It may be on one side only, the other is then the same in all.
    ax : Axes, optional
        Where to draw; a new figure by default. With ``col`` a sequence, one for each panel.
    title : str, optional

    Returns
    -------
    Axes
        With ``col`` the Figure.

    Raises
    ------
    TypeError
        For a Dataset.
    ValueError
        If there are other dims, or labels differ.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np, xarray as xr
    >>> from xmass import viz
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(50, 4)), dims=("time", "region"))
    >>> viz.plot_comparison(x, x, kind="scatter").get_xlabel()
    'recorded FC'
    """
    from matplotlib.figure import Figure

    if kind not in ("pairs", "scatter", "distributions"):
        raise ValueError(f"plot_comparison got kind={kind!r}, needs 'pairs', 'scatter' or 'distributions'.")
    ours, theirs = (fc_of(side, "plot_comparison", col).compute() for side in (simulated, recorded))
    theirs = align_regions(theirs, ours, what="plot_comparison")
    theirs = align_shared(theirs, ours, apart=schema.MATRIX_DIMS, what="plot_comparison")
    both = (ours, theirs)
    span = _limits(*both)

    def draw(panel: Axes, where: dict[Hashable, int]) -> Bar | None:
        a, b = (side.isel({d: i for d, i in where.items() if d in side.dims}) for side in both)
        if kind == "pairs":
            return _pairs(panel, a, b)
        if kind == "scatter":
            text = "\n".join(_scatter(panel, a, b, span))
            panel.text(0.03, 0.97, text, transform=panel.transAxes, va="top", fontsize=8)
        else:
            _distributions(panel, a, b, span)
        return None

    size = {"pairs": matrix_size(ours), "scatter": (5.0, 5.0), "distributions": (5.6, 3.8)}[kind]
    size = size if col is None else (3.9, 3.3 if kind == "distributions" else 3.9)
    both_square, has_col = kind != "distributions", ours if col in ours.dims else theirs
    made = draw_panels(
        draw, has_col, call="plot_comparison", col=col, ax=ax, title=title, size=size, share=kind != "pairs", square=both_square
    )
    if kind == "pairs":
        panels = [a for a in made.axes if a.images] if isinstance(made, Figure) else [made]
        label_when_placed(root_figure(panels[0]), panels, [ours] * len(panels))
    return made


def plot_fc_comparison(
    simulated: xr.DataArray, recorded: xr.DataArray, *, ax: Sequence[Axes] | None = None, title: str | None = None
) -> Figure:
    """Simulated FC, recorded FC in the same order and colours, and one against the other, edge by edge.

    Parameters
    ----------
    simulated, recorded : DataArray
        ``(region, region_other)``, or series ``(time, region)``; the regions of ``recorded`` are brought to the order of
        ``simulated`` by label.
    ax : sequence of three Axes, optional
    title : str, optional

    Returns
    -------
    Figure
        The scatter says r, and the mean FC of each side.

    Raises
    ------
    TypeError
        For a Dataset.
    ValueError
        If there are other dims, or the regions differ.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np, xarray as xr
    >>> from xmass import viz
    >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(50, 4)), dims=("time", "region"))
    >>> len(viz.plot_fc_comparison(x, x).axes)
    4
    """
    ours, theirs = fc_of(simulated, "plot_fc_comparison"), fc_of(recorded, "plot_fc_comparison")
    theirs = align_regions(theirs, ours, what="plot_fc_comparison")
    axes = axes_for(3, ax, size=(4.9, 5.0), share=False, square=True, call="plot_fc_comparison")
    figure = root_figure(axes[0])
    for panel, matrix, side in zip(axes, (ours, theirs), ("simulated", "recorded"), strict=False):
        image = draw_fc(panel, matrix)
        panel.set_title(f"{side} FC")
    figure.colorbar(image, ax=axes[1], shrink=0.8, pad=0.02, label="FC (Pearson r)")
    axes[2].set_title(", ".join(_scatter(axes[2], ours, theirs, _limits(ours, theirs))), fontsize=9)
    if title is not None:
        figure.suptitle(title)
    label_when_placed(figure, axes[:2], [ours, theirs])
    return figure


def _edges(*matrices: xr.DataArray) -> list[np.ndarray]:
    """The values between different regions: each pair once where all matrices are symmetric, else both directions."""
    arrays = [np.asarray(matrix.values, dtype=float) for matrix in matrices]
    if all(np.allclose(v, np.swapaxes(v, -1, -2), equal_nan=True) for v in arrays):
        upper = np.triu_indices(arrays[0].shape[-1], 1)
        return [v[..., upper[0], upper[1]].ravel() for v in arrays]
    return [np.asarray(off_diagonal(v)).ravel() for v in arrays]


def _limits(*matrices: xr.DataArray) -> tuple[float, float]:
    values = np.concatenate(_edges(*matrices))
    low, high = (float(np.nanmin(values)), float(np.nanmax(values))) if np.isfinite(values).any() else (-1.0, 1.0)
    margin = 0.05 * max(high - low, 1e-3)
    return low - margin, high + margin


def _scatter(ax: Axes, ours: xr.DataArray, theirs: xr.DataArray, limits: tuple[float, float]) -> tuple[str, str]:
    """One point for each pair of regions; returns r and the means, for a title or a text."""
    a, b = _edges(ours, theirs)
    many = a.size > 500
    ax.scatter(b, a, s=3 if many else 12, color="0.25", alpha=0.35 if many else 0.7, linewidths=0, rasterized=True)
    ax.plot(limits, limits, color=ACCENT, linewidth=1, label="equal")
    ax.set(xlim=limits, ylim=limits, xlabel="recorded FC", ylabel="simulated FC", aspect="equal")
    ax.legend(frameon=False, loc="lower right", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return f"r = {float(pearson(a, b)):.2f}", f"mean FC simulated {a.mean():.2f}, recorded {b.mean():.2f}"


def _pairs(ax: Axes, ours: xr.DataArray, theirs: xr.DataArray) -> Bar:
    both = np.tril(np.asarray(ours.values, dtype=float), -1) + np.triu(np.asarray(theirs.values, dtype=float), 1)
    np.fill_diagonal(both, np.nan)
    image = draw_fc(ax, ours.copy(data=both))
    box = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1.5}
    ax.text(0.02, 0.02, "simulated", transform=ax.transAxes, fontsize=8, bbox=box)
    ax.text(0.98, 0.98, "recorded", transform=ax.transAxes, fontsize=8, ha="right", va="top", bbox=box)
    label_matrix_axes(ax, ours)
    return Bar(image, "FC (Pearson r)")


def _distributions(ax: Axes, ours: xr.DataArray, theirs: xr.DataArray, limits: tuple[float, float]) -> None:
    bins = np.linspace(*limits, BINS + 1)
    sides = dict(zip(("recorded", "simulated"), _edges(theirs, ours), strict=True))
    for (name, values), colour, dash in zip(sides.items(), COLOURS[1:], DASHES, strict=False):
        density, _ = np.histogram(values[np.isfinite(values)], bins=bins, density=True)
        ax.stairs(density, bins, color=colour, linestyle=dash, linewidth=1.4, fill=False, label=name)
    a, b = (v[np.isfinite(v)] for v in sides.values())
    ax.set(xlabel="FC (Pearson r)", ylabel="density", xlim=limits)
    ax.set_ylim(0, max(1.25 * ax.dataLim.y1, ax.get_ylim()[1]))  # room for the legend; panels that share axes take the highest
    ax.text(0.97, 0.97, f"KS = {float(ks_statistic(a, b)):.2f}", transform=ax.transAxes, ha="right", va="top", fontsize=8)
    ax.legend(frameon=False, loc="upper left", fontsize=8, handlelength=2.8)
    ax.spines[["top", "right"]].set_visible(False)
