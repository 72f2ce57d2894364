"""What the figures share: axis labels with units, region ticks that stay readable, colours."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from xmass.labelled import schema

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
ACCENT = "#c8102e"
LABEL_SIZE = 7.0
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
"""Of Okabe and Ito, without yellow, which paper swallows: told apart by colour-blind readers (https://jfly.uni-koeln.de/color)."""
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.0)), (0, (6, 1.5, 1.5, 1.5)))
MANY = len(COLOURS)
"""More lines than this cannot be told apart by colour and dashes: they get one colour map, from dark to light."""


class Look(NamedTuple):
    """How one of several lines is drawn."""

    color: Any
    linestyle: Any
    linewidth: float
    alpha: float


def looks(count: int) -> list[Look]:
    """How ``count`` lines are told apart: colour and dashes for a few, one colour map for many."""
    import matplotlib.pyplot as plt

    if count <= MANY:
        return [Look(COLOURS[i], DASHES[i % len(DASHES)], 1.1, 1.0) for i in range(count)]
    return [Look(colour, "-", 0.6, 0.7) for colour in plt.get_cmap(SEQUENTIAL)(np.linspace(0, 0.95, count))]


def name_lines(ax: Axes, dim: str, names: Sequence[str]) -> None:
    """A legend beside the axes for a few lines, one line of text above them for many."""
    if 1 < len(names) <= MANY:
        ax.legend(title=dim, fontsize=7, title_fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), handlelength=2.8)
    elif len(names) > MANY:
        text = f"{len(names)} lines: {dim} {names[0]} (dark) to {names[-1]} (light)"
        above = 18 if ax.get_title() else 2  # points: a title is 9 high and stands 6 above the axes
        ax.annotate(text, (1, 1), xycoords="axes fraction", xytext=(0, above), textcoords="offset points", ha="right", fontsize=7)


def axis_label(data: xr.DataArray, name: Hashable | None = None) -> str:
    """``name [unit]``, without a unit for pure numbers."""
    unit = data.attrs.get(schema.UNITS, "1")
    text = str(data.name if name is None else name)
    return text if unit in ("1", "", None) else f"{text} [{unit}]"


def labels_along(data: xr.DataArray, dim: Hashable) -> list[str]:
    """Tick labels of a dimension: its coordinate, else positions."""
    values = data[dim].values if dim in data.coords else np.arange(data.sizes[dim])
    return [f"{v:g}" if isinstance(v, float | np.floating) else str(v) for v in values]


def ticks_that_fit(count: int, room: float, size: float = LABEL_SIZE) -> tuple[np.ndarray, float]:
    """Which of ``count`` labels to write in ``room`` inches, and their font size: smaller first, then every n-th."""
    points = 72 * room / max(count, 1)
    if points >= 6.5:  # a font of 5 points, the smallest that journals print
        return np.arange(count), min(size, 0.78 * points)
    step = int(np.ceil(7.2 / points))
    return np.arange(0, count, step), min(size, 5.6)


def label_matrix_axes(ax: Axes, data: xr.DataArray) -> None:
    """Labels of both region axes of a drawn matrix: rows receive, columns send."""
    rows, columns = (schema.SENSOR, schema.SENSOR_OTHER) if schema.SENSOR_OTHER in data.dims else schema.MATRIX_DIMS
    box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    at, size = ticks_that_fit(data.sizes[rows], box.height)
    ax.set_yticks(at, [labels_along(data, rows)[i] for i in at], fontsize=size)
    at, size = ticks_that_fit(data.sizes[columns], box.width)
    ax.set_xticks(at, [labels_along(data, columns)[i] for i in at], fontsize=size, rotation=90)
    ax.tick_params(length=1.5, width=0.4, pad=1.5)
    ax.set_ylabel(rows)
    ax.set_xlabel(columns)


def need_dims(data: xr.DataArray, needed: Sequence[Hashable], call: str) -> xr.DataArray:
    """``data`` with exactly the dims ``needed``, in that order.

    Raises
    ------
    TypeError
        If it is no DataArray.
    ValueError
        If it has other dims; the message names the selection that makes it drawable.
    """
    if not isinstance(data, xr.DataArray):
        raise TypeError(f"{call} got a {type(data).__name__}, needs a DataArray: take one variable, such as ds['fc'].")
    missing = [d for d in needed if d not in data.dims]
    extra = [d for d in data.dims if d not in needed]
    if missing or extra:
        fix = f"Select or average the others: .isel({', '.join(f'{d}=0' for d in extra)})." if extra else "Rename with .rename(...)."
        if extra and not missing:
            fix += f" Or draw a panel for each, where col= is taken: col={str(extra[0])!r}."
        raise ValueError(f"{call} got dims {tuple(data.dims)}, needs {tuple(needed)}. {fix}")
    return data.transpose(*needed)


def need_array(data: xr.DataArray, call: str, example: str) -> None:
    """Raises TypeError if ``data`` is no DataArray."""
    if not isinstance(data, xr.DataArray):
        raise TypeError(f"{call} got a {type(data).__name__}, needs a DataArray: take one variable, such as ds[{example!r}].")


def coordinate(data: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """The coordinate of a dim, else positions."""
    return data[dim] if dim in data.coords else xr.DataArray(np.arange(data.sizes[dim]), dims=[dim], name=dim)


def dim_label(data: xr.DataArray, dim: Hashable) -> str:
    """``dim [unit]`` of a coordinate."""
    return axis_label(coordinate(data, dim), dim)


def root_figure(ax: Axes) -> Figure:
    """The figure that an Axes is part of."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # every Axes that can be drawn on has one
    return figure
