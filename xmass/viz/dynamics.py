"""Figures of dynamics: one state against another, and what a system does over a parameter."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import xarray as xr

from xmass.analysis.stability import FIXED_POINT, STABLE
from xmass.labelled import schema
from xmass.viz.panels import draw_panels
from xmass.viz.style import ACCENT, COLOURS, axis_label, coordinate, dim_label, labels_along, looks, name_lines, need_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@overload
def plot_phase_portrait(
    x: xr.DataArray,
    y: xr.DataArray,
    *,
    fixed_points: xr.Dataset | None = None,
    col: None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes: ...
@overload
def plot_phase_portrait(
    x: xr.DataArray,
    y: xr.DataArray,
    *,
    fixed_points: xr.Dataset | None = None,
    col: str,
    ax: Sequence[Axes] | None = None,
    title: str | None = None,
) -> Figure: ...
def plot_phase_portrait(
    x: xr.DataArray,
    y: xr.DataArray,
    *,
    fixed_points: xr.Dataset | None = None,
    col: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    title: str | None = None,
) -> Axes | Figure:
    """One state against another over time, one line for each region or trial; an open circle where a line begins, a cross where it ends.

    Parameters
    ----------
    x, y : DataArray
        Two series of one run, with the same dims and coordinates: time and at most one other dim.
    fixed_points : Dataset, optional
        Of :func:`xmass.fixed_points`, with the two states under the names of ``x`` and ``y``: a filled square where stable, an open
        one where not.
    col : str, optional
        One more dim, such as a parameter, with a panel for each label. Fixed points may have it too.
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
    KeyError
        If the fixed points lack a state.
    ValueError
        If the two differ in dims or coordinates, there is no time, or more than one other dim.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.HopfStep(a=0.2, w=0.3), dt=0.1).run(100, monitors=["x", "y"], initial={"x": 0.1})
    >>> ax = xm.viz.plot_phase_portrait(run.x, run.y)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('x', 'y')
    """
    for side in (x, y):
        need_array(side, "plot_phase_portrait", "x")
    try:
        x, y = xr.align(x, y, join="exact")
    except ValueError as error:
        raise ValueError(f"plot_phase_portrait got two series with different coordinates, needs those of one run: {error}") from error
    time = schema.time_dim(x)
    if set(x.dims) != set(y.dims):
        raise ValueError(f"plot_phase_portrait got dims {tuple(x.dims)} and {tuple(y.dims)}, needs the same: two states of one run.")
    single = [d for d in x.dims if d not in (time, col) and x.sizes[d] == 1]
    x, y = x.squeeze(single), y.squeeze(single)
    others = [d for d in x.dims if d not in (time, col)]
    if len(others) > 1:
        raise ValueError(
            f"plot_phase_portrait got dims {tuple(x.dims)}, needs time and at most one more. "
            f"Select: .isel({', '.join(f'{d}=0' for d in others[1:])}). Or draw a panel for each: col={str(others[0])!r}."
        )
    names = labels_along(x, others[0]) if others else [""]
    marks = None if fixed_points is None else _marks(fixed_points, (x.name, y.name))

    def draw(panel: Axes, where: dict[Hashable, int]) -> None:
        across, up = (side.isel(where).transpose(*others, time).values.reshape(len(names), -1) for side in (x, y))
        for a, b, name, look in zip(across, up, names, looks(len(names)), strict=True):
            panel.plot(a, b, label=name, **look._asdict())
            panel.plot(a[:1], b[:1], marker="o", markersize=5, color=look.color, markerfacecolor="white", linestyle="none")
            panel.plot(a[-1:], b[-1:], marker="x", markersize=5, color=look.color, linestyle="none")
        if marks is not None:
            here = marks.isel({d: i for d, i in where.items() if d in marks.dims})
            for stable, face, label in ((True, ACCENT, "stable"), (False, "white", "unstable")):
                chosen = here.where(here[STABLE] == stable)
                points = (chosen["across"].values.ravel(), chosen["up"].values.ravel())
                panel.plot(*points, "s", markersize=6, markerfacecolor=face, markeredgecolor=ACCENT, label=f"{label} point", zorder=5)
        panel.set(xlabel=axis_label(x, "x" if x.name is None else x.name), ylabel=axis_label(y, "y" if y.name is None else y.name))
        panel.spines[["top", "right"]].set_visible(False)

    def legend(panel: Axes) -> None:
        if others:
            name_lines(panel, dim_label(x, others[0]), names)
        if marks is not None and panel.get_legend() is None:
            handles, labels = panel.get_legend_handles_labels()
            panel.legend(handles[-2:], labels[-2:], fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))

    size = (5.6, 4.6) if col is None else (3.8, 3.6)
    return draw_panels(draw, x, call="plot_phase_portrait", col=col, ax=ax, title=title, size=size, legend=legend)


def _marks(fixed_points: xr.Dataset, names: tuple[Hashable, Hashable]) -> xr.Dataset:
    missing = [name for name in (*names, STABLE) if name not in fixed_points]
    if missing:
        raise KeyError(
            f"plot_phase_portrait got fixed points without {missing}, needs the states {names} and 'stable': xm.fixed_points(sim), and "
            "series with the names of their states."
        )
    return xr.Dataset({"across": fixed_points[names[0]], "up": fixed_points[names[1]], STABLE: fixed_points[STABLE]})


def plot_bifurcation(
    data: xr.DataArray,
    *,
    stable: xr.DataArray | None = None,
    runs: xr.DataArray | None = None,
    x: str | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """What a state does over a parameter: its fixed points, stable and unstable, the range that runs cover, or both.

    Parameters
    ----------
    data : DataArray
        Fixed points ``(x, fixed_point)``, a state of :func:`xmass.fixed_points` or what is computed of states; or a series
        ``(x, time)``, drawn as its range. Other dims must have length 1.
    stable : DataArray, optional
        ``(x, fixed_point)``, which points are stable: the variable ``stable``. Without it they are drawn alike.
    runs : DataArray, optional
        ``(x, time)``, a series of which the minimum and maximum over time are drawn with the fixed points.
    x : str, optional
        The dim of the parameter, by default the one that is left.
    ax : Axes, optional
    title : str, optional

    Returns
    -------
    Axes
        Stable points are filled, unstable ones open.

    Raises
    ------
    TypeError
        For a Dataset.
    ValueError
        If there are other dims, or the parameter is not a number.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np, xarray as xr
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanStep(), dt=0.1)
    >>> found = xm.fixed_points(sim, xr.Dataset({"w_ee": ("w_ee", np.linspace(8, 16, 5))}))
    >>> ax = xm.viz.plot_bifurcation(found.rE, stable=found.stable)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('w_ee', 'rE')
    """
    import matplotlib.pyplot as plt

    need_array(data, "plot_bifurcation", "x")
    points = FIXED_POINT in data.dims
    if not points and runs is not None:
        raise ValueError(f"plot_bifurcation got runs= and data with dims {tuple(data.dims)}, needs data with 'fixed_point' beside runs=.")
    if not points and stable is not None:
        raise ValueError("plot_bifurcation got stable= for a series, needs it with fixed points: a state of xm.fixed_points.")
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    series = runs if points else data
    shown = data
    if series is not None:
        need_array(series, "plot_bifurcation", "x")
        time = schema.time_dim(series)
        series, across = _along(series, time, x)
        at = _numbers(series, across)
        low, high = series.min([time]).values, series.max([time]).values
        label = "range of a run"
        ax.fill_between(at, low, high, color=COLOURS[5], alpha=0.3, linewidth=0, label=label)
        for edge in (low, high):
            ax.plot(at, edge, color=COLOURS[1], linewidth=1.2)
        shown = series
    if points:
        shown, across = _along(data, FIXED_POINT, x)
        at = _numbers(shown, across)
        values = shown.transpose(across, FIXED_POINT)
        groups = [(values, "black", "fixed point")]
        if stable is not None:
            need_array(stable, "plot_bifurcation", "stable")
            which, _ = _along(stable, FIXED_POINT, across)
            which = which.transpose(across, FIXED_POINT)
            groups = [(values.where(which), "black", "stable"), (values.where(~which), "white", "unstable")]
        for chosen, face, label in groups:
            places = np.repeat(at, values.sizes[FIXED_POINT])
            look: dict[str, Any] = {"markersize": 3.0, "markeredgewidth": 0.6, "markeredgecolor": "black", "linestyle": "none"}
            ax.plot(places, chosen.values.ravel(), marker="o", markerfacecolor=face, label=label, **look)
    name = "value" if data.name is None else data.name
    ax.set(xlabel=axis_label(coordinate(shown, across), across), ylabel=axis_label(data, name))
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    if title is not None:
        ax.set_title(title, loc="left")
    return ax


def _along(data: xr.DataArray, core: Hashable, x: Hashable | None) -> tuple[xr.DataArray, Hashable]:
    """``data`` with the dim ``core`` and that of the parameter, and the name of the latter."""
    if x is not None and x not in data.dims:
        raise ValueError(f"plot_bifurcation got x={x!r}, needs one of the dims {tuple(data.dims)}.")
    data = data.squeeze([d for d in data.dims if d not in (core, x) and data.sizes[d] == 1])
    others = [d for d in data.dims if d != core]
    if len(others) != 1:
        extra = [d for d in others if d != x][1 if x is None else 0 :]
        fix = f"Select: .isel({', '.join(f'{d}=0' for d in extra)})." if extra else "Sweep a parameter: params with one dim."
        raise ValueError(f"plot_bifurcation got dims {tuple(data.dims)}, needs {core!r} and the dim of one parameter. {fix}")
    return data.compute(), others[0]


def _numbers(data: xr.DataArray, dim: Hashable) -> np.ndarray:
    at = coordinate(data, dim).values
    if at.dtype.kind not in "fiu":
        raise ValueError(f"plot_bifurcation got {dim!r} with labels {at[:3].tolist()}, needs numbers: .assign_coords({dim}=...).")
    return np.asarray(at)
