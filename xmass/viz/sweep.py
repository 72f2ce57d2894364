"""Figures of a score over a sweep."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from xmass.analysis.baselines import BASELINES
from xmass.labelled import schema
from xmass.viz.panels import COLUMNS, axes_for
from xmass.viz.style import ACCENT, DASHES, SEQUENTIAL, axis_label, coordinate, labels_along, root_figure, ticks_that_fit

WORDS = dict(zip(BASELINES, ("connectome", "log connectome", "other subjects", "its two halves"), strict=True))

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class _Layout(NamedTuple):
    x: Hashable
    y: Hashable | None
    facet: Hashable | None


def plot_sweep(
    score: xr.DataArray,
    *,
    x: str | None = None,
    y: str | None = None,
    facet: str | None = None,
    direction: Literal["max", "min"] | None = None,
    against: bool = False,
    ax: Axes | Sequence[Axes] | None = None,
) -> Figure:
    """A score over one or two swept parameters, the optimum marked, one panel for each subject.

    Parameters
    ----------
    score : DataArray
        Up to three dims: two swept parameters and one for the panels, such as one variable of ``compare``; over one swept
        parameter a line is drawn. Average trials before: ``score.mean("batch")``.
    x, y : str, optional
        The dims across and up; by default the longest that are left, the longer across.
    facet : str, optional
        The dim of the panels; by default ``subject``, or the dim that is left.
    direction : {"max", "min"}, optional
        What is best; by default ``score.attrs["direction"]``, else "max".
    against : bool
        Shows what ``compare`` holds a score against, its coordinates ``baseline_...`` and ``ceiling_split_half``, which are correlations of
        FC: lines across, or in the title of a heat map. For ``fc_corr``.
    ax : Axes or sequence of Axes, optional
        Where to draw, one for each panel; a new figure by default.

    Returns
    -------
    Figure
        Panels share one scale. Swept values are evenly spaced cells, whatever their spacing, so that a logarithmic grid is
        readable; each title says the best value and where it is.

    Raises
    ------
    ValueError
        If there are other than one to three dims, a name is not one of them, or ``against`` is asked for without such coordinates.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np, xarray as xr
    >>> from xmass import viz
    >>> score = xr.DataArray(np.arange(6.0).reshape(3, 2), dims=("k", "sigma"), coords={"k": [1, 2, 3], "sigma": [0.1, 0.2]})
    >>> viz.plot_sweep(score).axes[0].get_title()
    'best 5 at k = 3, sigma = 0.2'
    """
    if not isinstance(score, xr.DataArray):
        raise TypeError(f"plot_sweep got a {type(score).__name__}, needs a DataArray: take one objective, such as score['fc_corr'].")
    best = direction or score.attrs.get("direction", "max")
    if best not in ("max", "min"):
        raise ValueError(f"plot_sweep got direction={best!r}, needs 'max' or 'min'.")
    layout = _layout(score, x, y, facet)
    score = score.compute()
    if against and not any(name in score.coords for name in BASELINES):
        raise ValueError(f"plot_sweep got against=True and none of the coordinates {BASELINES}: needs a variable of xm.compare(...).")
    panels = [score] if layout.facet is None else [score.isel({layout.facet: i}) for i in range(score.sizes[layout.facet])]
    names = [""] if layout.facet is None else [f"{layout.facet} {label}: " for label in labels_along(score, layout.facet)]
    axes = axes_for(len(panels), ax, size=(4.6, 3.6), share=True, call="plot_sweep")
    figure = root_figure(axes[0])
    finite = score.values[np.isfinite(score.values)]
    limits = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    image, name_of_score = None, "score" if score.name is None else score.name
    for i, (part, panel, name) in enumerate(zip(axes, panels, names, strict=True)):
        at = _optimum(panel, best)
        if layout.y is None:
            _line(part, panel, layout, at)
        else:
            image = _heatmap(part, panel, layout, at, limits)
        part.set_title(_title(panel, at, name), fontsize=9)
        if against:
            _hold_against(part, panel, line=layout.y is None, legend=i == min(len(panels), COLUMNS) - 1)
        if ax is not None or i + COLUMNS >= len(panels):  # nothing below it
            part.set_xlabel(axis_label(coordinate(score, layout.x), layout.x))
            part.xaxis.set_tick_params(labelbottom=True)
        if ax is not None or i % COLUMNS == 0:
            part.set_ylabel(axis_label(score, name_of_score) if layout.y is None else axis_label(coordinate(score, layout.y), layout.y))
    if image is not None:
        figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02, label=axis_label(score, name_of_score))
    return figure


def _layout(score: xr.DataArray, x: str | None, y: str | None, facet: str | None) -> _Layout:
    named = [d for d in (x, y, facet) if d is not None]
    unknown = [d for d in named if d not in score.dims]
    if unknown or len(set(named)) != len(named):
        raise ValueError(f"plot_sweep got x={x!r}, y={y!r}, facet={facet!r}, needs different dims out of {tuple(score.dims)}.")
    if not 1 <= score.ndim <= 3:
        extra = [d for d in score.dims if d not in named]
        raise ValueError(
            f"plot_sweep got dims {tuple(score.dims)}, needs one to three: two swept parameters and one for the panels. "
            f"Select or average the others, such as .mean({str(extra[-1])!r})."
            if score.ndim
            else "plot_sweep got one number, needs one to three dims, such as a swept parameter: print it instead."
        )
    left = [d for d in score.dims if d not in named]
    panels: Hashable | None = facet
    if panels is None and schema.SUBJECT in left and score.ndim > 1:
        panels = schema.SUBJECT
    elif panels is None and score.ndim == 3:
        panels = min(left, key=lambda d: score.sizes[d])
    left = sorted((d for d in left if d != panels), key=lambda d: -score.sizes[d])
    across: Hashable = x if x is not None else left.pop(0)
    up: Hashable | None = y if y is not None else (left.pop(0) if left else None)
    return _Layout(across, up, panels)


def _optimum(panel: xr.DataArray, best: str) -> dict[Hashable, int] | None:
    if not bool(panel.notnull().any()):
        return None
    found = panel.argmax(...) if best == "max" else panel.argmin(...)
    return {d: int(i) for d, i in found.items()}


def _title(panel: xr.DataArray, at: dict[Hashable, int] | None, name: str) -> str:
    if at is None:
        return f"{name}no finite value"
    where = ", ".join(f"{d} = {_short(coordinate(panel, d).values[i])}" for d, i in at.items())
    return f"{name}best {float(panel.isel(at)):.3g} at {where}"


def _hold_against(ax: Axes, panel: xr.DataArray, *, line: bool, legend: bool) -> None:
    """What a score is to be held against: lines across, or one more line of the title."""
    known = {WORDS[n]: float(panel[n]) for n in BASELINES if n in panel.coords and panel[n].ndim == 0 and np.isfinite(panel[n])}
    if not line:
        words = [f"{name} {value:.2f}" for name, value in known.items()]
        ax.set_title("\n".join([ax.get_title(), *(", ".join(words[i : i + 2]) for i in range(0, len(words), 2))]), fontsize=9)
        return
    for (name, value), dash in zip(known.items(), DASHES, strict=False):
        ax.axhline(value, color="0.45", linewidth=1, linestyle=dash, label=name, zorder=0)
    if legend:
        look: dict[str, Any] = {"fontsize": 7, "title_fontsize": 7, "frameon": False, "handlelength": 2.8}
        ax.legend(title="recorded FC with", loc="upper left", bbox_to_anchor=(1, 1), **look)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, int | float | np.number) else str(value)


def _heatmap(ax: Axes, panel: xr.DataArray, layout: _Layout, at: dict[Hashable, int] | None, limits: tuple[float, float]) -> Any:
    values = panel.transpose(layout.y, layout.x).values
    image = ax.imshow(values, origin="lower", aspect="auto", cmap=SEQUENTIAL, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    ax.set_facecolor("0.8")  # NaN: diverged
    for dim, set_ticks, room in ((layout.x, ax.set_xticks, 3.4), (layout.y, ax.set_yticks, 2.8)):
        assert dim is not None  # a heat map has both
        labels = [_short(v) for v in coordinate(panel, dim).values]
        widest = max(len(label) for label in labels) * 0.075 if dim == layout.x else 0.12
        step = max(int(np.ceil(len(labels) * (widest + 0.05) / room)), 1)
        set_ticks(np.arange(0, len(labels), step), labels[::step], fontsize=8)
    if at is not None:
        ax.plot(at[layout.x], at[layout.y], marker="o", markersize=11, markerfacecolor="none", markeredgecolor="white", markeredgewidth=3)
        ax.plot(at[layout.x], at[layout.y], marker="o", markersize=11, markerfacecolor="none", markeredgecolor=ACCENT, markeredgewidth=1.6)
    return image


def _line(ax: Axes, panel: xr.DataArray, layout: _Layout, at: dict[Hashable, int] | None) -> None:
    x = coordinate(panel, layout.x).values
    numbers = x.dtype.kind in "fiu"
    places = x if numbers else np.arange(x.size)
    ax.plot(places, panel.values, marker="o", markersize=3, color="0.2", linewidth=1)
    if numbers and _geometric(x):
        ax.set_xscale("log")
    if not numbers:
        ax.set_xticks(places, labels_along(panel, layout.x), fontsize=ticks_that_fit(x.size, 3.4)[1], rotation=90)
    if at is not None:
        i = at[layout.x]
        ax.plot(places[i], panel.values[i], marker="o", markersize=10, markerfacecolor="none", markeredgecolor=ACCENT, markeredgewidth=1.6)
    ax.spines[["top", "right"]].set_visible(False)


def _geometric(x: np.ndarray) -> bool:
    """Values in equal ratios, and over more than a decade."""
    return bool(x.size > 2 and (x > 0).all() and x.max() > 10 * x.min() and np.allclose(np.diff(np.log(x)), np.log(x[1] / x[0])))
