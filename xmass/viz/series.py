"""Figures of series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xmass.labelled import schema
from xmass.viz.style import axis_label, labels_along, need_dims, ticks_that_fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 8  # more lines than this cannot be told apart by colour


def plot_timeseries(data: xr.DataArray, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Lines over time, one for each region (or trial); with more than 8, thin lines in one colour map and a bar that names them.

    Parameters
    ----------
    data : DataArray
        ``(time,)``, ``(time, region)`` or ``(batch, time)``: time and at most one other dim.
    ax : Axes, optional
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
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
    import matplotlib.pyplot as plt

    if not isinstance(data, xr.DataArray):
        raise TypeError(f"plot_timeseries got a {type(data).__name__}, needs a DataArray: take one variable, such as ds['x'].")
    time = schema.time_dim(data)
    data = data.squeeze([d for d in data.dims if d != time and data.sizes[d] == 1])
    others = [d for d in data.dims if d != time]
    if len(others) > 1:
        raise ValueError(
            f"plot_timeseries got dims {tuple(data.dims)}, needs time and at most one more. "
            f"Select or average: .isel({', '.join(f'{d}=0' for d in others[1:])})."
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
    stamps = data[time].values if time in data.coords else np.arange(data.sizes[time])
    values = data.transpose(time, *others).values.reshape(stamps.size, -1)
    count = values.shape[1]
    names = labels_along(data, others[0]) if others else [""]
    colours = plt.get_cmap("tab10")(np.arange(count)) if count <= MANY else plt.get_cmap("viridis")(np.linspace(0, 0.95, count))
    for line, name, colour in zip(values.T, names, colours, strict=True):
        ax.plot(stamps, line, color=colour, linewidth=1.0 if count <= MANY else 0.6, alpha=1.0 if count <= MANY else 0.7, label=name)
    if 1 < count <= MANY:
        ax.legend(title=str(others[0]), fontsize=7, title_fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    elif count > MANY:
        ax.text(
            1.0,
            1.01,
            f"{count} lines: {others[0]} {names[0]} (dark) to {names[-1]} (light)",
            transform=ax.transAxes,
            ha="right",
            fontsize=7,
        )
    ax.set_xlim(float(stamps[0]), float(stamps[-1]))
    ax.set(
        xlabel=axis_label(data[time], "time") if time in data.coords else str(time),
        ylabel=axis_label(data, "value" if data.name is None else data.name),
    )
    ax.spines[["top", "right"]].set_visible(False)
    if title is not None:
        ax.set_title(title, loc="left")
    return ax


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

    if not isinstance(bold, xr.DataArray):
        raise TypeError(f"plot_bold got a {type(bold).__name__}, needs a DataArray: take one variable, such as ds['bold'].")
    time = schema.time_dim(bold)
    bold = need_dims(bold, (schema.REGION, time), "plot_bold")
    if ax is None:
        _, ax = plt.subplots(figsize=(9, max(2.4, min(9.0, 0.8 + 0.075 * bold.sizes[schema.REGION]))), layout="constrained")
    spread = bold.std([time])
    z = ((bold - bold.mean([time])) / spread.where(spread > 0)).values
    stamps = bold[time].values if time in bold.coords else np.arange(bold.sizes[time])
    half = 0.5 * (stamps[-1] - stamps[0]) / max(stamps.size - 1, 1)
    extent = (stamps[0] - half, stamps[-1] + half, bold.sizes[schema.REGION] - 0.5, -0.5)
    image = ax.imshow(z, aspect="auto", cmap="RdBu_r", vmin=-3, vmax=3, extent=extent, interpolation="nearest")
    ax.set_facecolor("0.8")  # NaN, or constant
    figure = ax.get_figure(root=True)
    assert figure is not None  # every Axes that can be drawn on has one
    figure.colorbar(image, ax=ax, label=f"{'BOLD' if bold.name is None else bold.name} (z-score)", pad=0.01)
    ax.set(xlabel=axis_label(bold[time], "time") if time in bold.coords else str(time), ylabel=schema.REGION)
    if title is not None:
        ax.set_title(title, loc="left")
    figure.draw_without_rendering()
    at, size = ticks_that_fit(bold.sizes[schema.REGION], ax.get_window_extent().height / figure.dpi)
    names = labels_along(bold, schema.REGION)
    ax.set_yticks(at, [names[i] for i in at], fontsize=size)
    ax.tick_params(axis="y", length=1.5, width=0.4, pad=1.5)
    return ax
