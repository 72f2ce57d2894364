"""Figures of series."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import xarray as xr

from xmass.labelled import schema
from xmass.labelled.stimulus import Stimulus
from xmass.viz.panels import draw_panels
from xmass.viz.style import (
    DIVERGING,
    MANY,
    axis_label,
    coordinate,
    dim_label,
    labels_along,
    looks,
    name_lines,
    need_array,
    need_dims,
    root_figure,
    ticks_that_fit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@overload
def plot_timeseries(data: xr.DataArray, *, col: None = None, ax: Axes | None = None, title: str | None = None) -> Axes: ...
@overload
def plot_timeseries(data: xr.DataArray, *, col: str, ax: Sequence[Axes] | None = None, title: str | None = None) -> Figure: ...
def plot_timeseries(
    data: xr.DataArray, *, col: str | None = None, ax: Axes | Sequence[Axes] | None = None, title: str | None = None
) -> Axes | Figure:
    """Lines over time, one for each region (or trial); with more than 8, thin lines in one colour map and a text that names them.

    Parameters
    ----------
    data : DataArray
        ``(time,)``, ``(time, region)`` or ``(batch, time)``: time and at most one other dim.
    col : str, optional
        One more dim, such as subject, with a panel for each label.
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
        If there is no time, or more than one other dim.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np, xarray as xr
    >>> from xmass import viz
    >>> len(viz.plot_timeseries(xr.DataArray(np.zeros((10, 3)), dims=("time", "region"))).lines)
    3
    """
    need_array(data, "plot_timeseries", "x")
    time = schema.time_dim(data)
    data = data.squeeze([d for d in data.dims if d not in (time, col) and data.sizes[d] == 1])
    others = [d for d in data.dims if d not in (time, col)]
    if len(others) > 1:
        raise ValueError(
            f"plot_timeseries got dims {tuple(data.dims)}, needs time and at most one more. "
            f"Select or average: .isel({', '.join(f'{d}=0' for d in others[1:])}). Or draw a panel for each: col={str(others[0])!r}."
        )
    stamps = coordinate(data, time)

    def draw(panel: Axes, where: dict[Hashable, int]) -> None:
        lines = data.isel(where).transpose(*others, time).values.reshape(-1, stamps.size)
        for line, name, look in zip(lines, names, looks(len(names)), strict=True):
            panel.plot(stamps.values, line, label=name, **look._asdict())
        panel.set_xlim(*_ends(stamps.values))
        panel.set(xlabel=axis_label(stamps, time), ylabel=axis_label(data, "value" if data.name is None else data.name))
        panel.spines[["top", "right"]].set_visible(False)

    names = labels_along(data, others[0]) if others else [""]
    size = (9.0, 3.2) if col is None else (4.2, 2.6)
    legend = None if not others else lambda panel: name_lines(panel, dim_label(data, others[0]), names)
    return draw_panels(draw, data, call="plot_timeseries", col=col, ax=ax, title=title, size=size, legend=legend)


def plot_bold(bold: xr.DataArray, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """All regions of a recording as a carpet: time across, regions down, each region as z-score (white at its mean).

    Parameters
    ----------
    bold : DataArray
        ``(time, region)``.
    ax : Axes, optional
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        For a Dataset.
    ValueError
        If there are other dims, such as subject.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np, xarray as xr
    >>> from xmass import viz
    >>> viz.plot_bold(xr.DataArray(np.random.default_rng(0).normal(size=(50, 3)), dims=("time", "region"))).get_ylabel()
    'region'
    """
    import matplotlib.pyplot as plt

    need_array(bold, "plot_bold", "bold")
    time = schema.time_dim(bold)
    bold = need_dims(bold, (schema.REGION, time), "plot_bold")
    if ax is None:
        _, ax = plt.subplots(figsize=(9, max(2.4, min(9.0, 0.8 + 0.075 * bold.sizes[schema.REGION]))), layout="constrained")
    spread = bold.std([time])
    z = ((bold - bold.mean([time])) / spread.where(spread > 0)).values
    stamps = coordinate(bold, time)
    first, last = float(stamps[0]), float(stamps[-1])
    half = 0.5 * (last - first) / max(stamps.size - 1, 1)
    extent = (first - half, last + half, bold.sizes[schema.REGION] - 0.5, -0.5)
    image = ax.imshow(z, aspect="auto", cmap=DIVERGING, vmin=-3, vmax=3, extent=extent, interpolation="nearest")
    ax.set_facecolor("0.8")  # NaN, or constant
    figure = root_figure(ax)
    figure.colorbar(image, ax=ax, label=f"{'BOLD' if bold.name is None else bold.name} (z-score)", pad=0.01)
    ax.set(xlabel=axis_label(stamps, time), ylabel=schema.REGION)
    if title is not None:
        ax.set_title(title, loc="left")
    figure.draw_without_rendering()
    at, size = ticks_that_fit(bold.sizes[schema.REGION], ax.get_window_extent().height / figure.dpi)
    names = labels_along(bold, schema.REGION)
    ax.set_yticks(at, [names[i] for i in at], fontsize=size)
    ax.tick_params(axis="y", length=1.5, width=0.4, pad=1.5)
    return ax


def plot_stimulus(
    stimulus: Stimulus | xr.DataArray, *, duration: Any = None, dt: Any = None, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """A stimulus as a run takes it: a value that holds from each sample to the next, one line for each region or run.

    Parameters
    ----------
    stimulus : Stimulus or DataArray
        Of ``xm.stimuli``, or samples over time and at most one other dim.
    duration, dt : float or Quantity, optional
        Of a Stimulus: how far to draw and in which steps [ms], as in its method ``plot``.
    ax : Axes, optional
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For more dims, less than two samples, or ``duration`` and ``dt`` with samples, which have their own times.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import xmass as xm
    >>> xm.viz.plot_stimulus(xm.stimuli.pulse(1.0, onset=10, width=20), duration=50).get_xlabel()
    'time [ms]'
    """
    import matplotlib.pyplot as plt

    if isinstance(stimulus, Stimulus):
        before = [] if ax is None else list(ax.patches)
        ax = stimulus.plot(duration, dt=dt, ax=ax)
        steps = [p for p in ax.patches if p not in before]
        if len(steps) <= MANY:
            for step, look in zip(steps, looks(len(steps)), strict=True):
                step.set(edgecolor=look.color, linestyle=look.linestyle)
            if ax.get_legend() is not None:
                ax.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), handlelength=2.8)
        if title is not None:
            ax.set_title(title, loc="left")
        return ax
    if not isinstance(stimulus, xr.DataArray):
        raise TypeError(f"plot_stimulus got a {type(stimulus).__name__}, needs a stimulus of xm.stimuli or a DataArray over time.")
    if duration is not None or dt is not None:
        raise ValueError("plot_stimulus got duration or dt for samples, which have times of their own: select with .sel(time=slice(...)).")
    time = schema.time_dim(stimulus)
    others = [d for d in stimulus.dims if d != time]
    stamps = coordinate(stimulus, time)
    if len(others) > 1 or stamps.size < 2:
        raise ValueError(
            f"plot_stimulus got sizes {dict(stimulus.sizes)}, needs two samples or more and at most one dim beside time. "
            "Select one, such as .isel(region=0)."
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
    at = stamps.values.astype(float)
    edges = np.append(at, 2 * at[-1] - at[-2])
    names = labels_along(stimulus, others[0]) if others else [""]
    for line, name, look in zip(stimulus.transpose(*others, time).values.reshape(-1, at.size), names, looks(len(names)), strict=True):
        ax.stairs(line, edges, baseline=None, label=name, **look._asdict())
    if others:
        name_lines(ax, dim_label(stimulus, others[0]), names)
    label = axis_label(stimulus, "stimulus" if stimulus.name is None else stimulus.name)
    ax.set(xlabel=axis_label(stamps, time), ylabel=label, xlim=(edges[0], edges[-1]))
    ax.spines[["top", "right"]].set_visible(False)
    if title is not None:
        ax.set_title(title, loc="left")
    return ax


def _ends(at: np.ndarray) -> tuple[float, float]:
    """Limits of an axis; a single sample gets some room."""
    first, last = float(at[0]), float(at[-1])
    return (first, last) if last > first else (first - 0.5, last + 0.5)
