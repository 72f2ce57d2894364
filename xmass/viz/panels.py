"""One panel, or one for each label of a dimension: the part that all figures share.

The convention of this package: a figure of one panel takes ``ax=`` and returns the Axes; a figure of several panels (``col=`` given, or
always several) takes a sequence of Axes as ``ax=``, one for each panel, and returns the Figure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import xarray as xr

from xmass.viz.style import dim_label, labels_along, root_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

COLUMNS = 4


class Bar(NamedTuple):
    """What the colour bar of a panel shows."""

    image: ScalarMappable
    label: str


Draw = Callable[["Axes", "dict[Hashable, int]"], "Bar | None"]


def draw_panels(
    draw: Draw,
    data: xr.DataArray,
    *,
    call: str,
    col: Hashable | None,
    ax: Axes | Sequence[Axes] | None,
    title: str | None,
    size: tuple[float, float],
    share: bool = True,
    square: bool = False,
    legend: Callable[[Axes], None] | None = None,
    loc: Literal["left", "center"] = "left",
) -> Axes | Figure:
    """Draws one panel, or one for each label of ``col``, and returns the Axes or the Figure.

    Parameters
    ----------
    draw : callable
        Draws one panel on the Axes, of the selection ``.isel(...)`` that it is given, which is empty for a single panel.
    data : DataArray
        What has the dim ``col``.
    call : str
        The function that messages name.
    col : hashable or None
        The dim of the panels.
    ax, title
        As the caller got them.
    size : (float, float)
        Width and height of a new panel in inches.
    share : bool
        Whether panels share their axes.
    square : bool
        Whether panels keep their aspect, so that a new figure leaves no gaps between them.
    legend : callable, optional
        Writes the legend, on the last panel of the first row.
    loc : {"left", "center"}
        Where the title of a single panel stands.

    Raises
    ------
    ValueError
        If ``col`` is no dim of the data, or ``ax`` has not one Axes for each panel.
    """
    if col is not None and col not in data.dims:
        raise ValueError(f"{call} got col={col!r}, needs one of the dims {tuple(data.dims)}.")
    count = 1 if col is None else data.sizes[col]
    axes = axes_for(count, ax, size=size, share=share, square=square, call=call)
    bars = []
    for i, panel in enumerate(axes):
        bars.append(draw(panel, {} if col is None else {col: i}))
        if col is not None:
            panel.set_title(f"{dim_label(data, col)} {labels_along(data, col)[i]}", fontsize=9)
    figure = root_figure(axes[0])
    if bars[0] is not None:
        figure.colorbar(bars[0].image, ax=axes, shrink=0.85, pad=0.02, label=bars[0].label)
    if legend is not None:
        legend(axes[min(count, COLUMNS) - 1])
    if col is None:
        if title is not None:
            axes[0].set_title(title, loc=loc)
        return axes[0]
    if share and ax is None:
        for panel in axes:
            panel.label_outer()
        for panel in axes[max(0, count - COLUMNS) : count]:  # nothing below it
            panel.xaxis.set_tick_params(labelbottom=True)
    if title is not None:
        figure.suptitle(title)
    return figure


def axes_for(
    count: int, ax: Axes | Sequence[Axes] | None, *, size: tuple[float, float], share: bool, call: str, square: bool = False
) -> list[Axes]:
    """The Axes that were given, one for each panel, or those of a new figure.

    Raises
    ------
    ValueError
        If their number is not that of the panels.
    """
    import matplotlib.pyplot as plt

    if ax is not None:
        given = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(given) != count:
            raise ValueError(f"{call} got {len(given)} Axes for {count} panels, needs one for each: plt.subplots(1, {count})[1].")
        return given
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    inches = (size[0] * columns, size[1] * rows)
    layout = "compressed" if square else "constrained"
    _, grid = plt.subplots(rows, columns, figsize=inches, layout=layout, squeeze=False, sharex=share, sharey=share)
    for spare in grid.flat[count:]:
        spare.remove()
    return list(grid.flat[:count])
