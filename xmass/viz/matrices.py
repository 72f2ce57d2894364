"""Figures of matrices: a connectome, functional connectivity, and two of the latter side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xmass.analysis.align import align_regions, complete_matrix_labels
from xmass.analysis.arrays import off_diagonal, pearson
from xmass.analysis.connectivity import functional_connectivity
from xmass.labelled import schema
from xmass.viz.style import ACCENT, DIVERGING, SEQUENTIAL, axis_label, label_matrix_axes, need_dims

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def plot_connectome(connectome: xr.Dataset) -> Figure:
    """Weights, on a logarithmic colour scale where they span more than two decades, and distances if there are any.

    Parameters
    ----------
    connectome : Dataset
        ``weights(region, region_other)`` and optionally ``distances(region, region_other)``; no other dims.

    Returns
    -------
    Figure

    Raises
    ------
    KeyError
        Without ``weights``.
    ValueError
        If a matrix has other dims, such as subject.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import xarray as xr
    >>> from xmass import viz
    >>> weights = xr.DataArray([[0.0, 1.0], [2.0, 0.0]], dims=("region", "region_other"))
    >>> len(viz.plot_connectome(xr.Dataset({"weights": weights})).axes)
    2
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    if schema.WEIGHTS not in connectome.data_vars:
        raise KeyError(f"plot_connectome got the variables {sorted(map(str, connectome.data_vars))}, needs 'weights': ds.rename(...).")
    names = [name for name in (schema.WEIGHTS, schema.DISTANCES) if name in connectome.data_vars]
    matrices = {name: need_dims(connectome[name], schema.MATRIX_DIMS, f"plot_connectome, {name!r},") for name in names}
    figure, axes = plt.subplots(1, len(names), figsize=(7.6 * len(names), 6.8), layout="constrained", squeeze=False)
    for ax, (name, matrix) in zip(axes[0], matrices.items(), strict=True):
        values = np.asarray(matrix.values, dtype=float)
        positive = values[values > 0]
        spans = positive.size > 0 and positive.max() > 100 * positive.min() and values.min() >= 0
        norm = LogNorm(np.quantile(positive, 0.01), positive.max()) if name == schema.WEIGHTS and spans else None
        shown = np.ma.masked_where(values <= 0, values) if norm is not None else values
        image = ax.imshow(shown, cmap=SEQUENTIAL, norm=norm, interpolation="nearest", aspect="equal")
        ax.set_facecolor("0.92")  # no connection
        ax.set_title(name)
        figure.colorbar(image, ax=ax, shrink=0.85, label=axis_label(matrix, name))
    _label_when_placed(figure, list(axes[0]), list(matrices.values()))
    return figure


def plot_fc(fc: xr.DataArray, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Functional connectivity with labels on both axes; blue to red, white at 0, from -1 to 1.

    Parameters
    ----------
    fc : DataArray
        ``(region, region_other)``, or a series ``(time, region)``, of which the FC is drawn.
    ax : Axes, optional
        Where to draw; a new figure by default.
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
    >>> viz.plot_fc(xr.DataArray(np.eye(3), dims=("region", "region_other"))).get_xlabel()
    'region_other'
    """
    import matplotlib.pyplot as plt

    matrix = _matrix(fc, "plot_fc")
    if ax is None:
        _, ax = plt.subplots(figsize=(8.2, 7.2), layout="constrained")
    image = _draw_fc(ax, matrix)
    figure = ax.get_figure(root=True)
    assert figure is not None  # every Axes that can be drawn on has one
    figure.colorbar(image, ax=ax, shrink=0.85, label="FC (Pearson r)")
    ax.set_title("functional connectivity" if title is None else title)
    _label_when_placed(figure, [ax], [matrix])
    return ax


def plot_fc_comparison(simulated: xr.DataArray, recorded: xr.DataArray, *, title: str | None = None) -> Figure:
    """Simulated FC, recorded FC in the same order and colours, and one against the other, edge by edge.

    Parameters
    ----------
    simulated, recorded : DataArray
        ``(region, region_other)``, or series ``(time, region)``; the regions of ``recorded`` are brought to the order of
        ``simulated`` by label.
    title : str, optional

    Returns
    -------
    Figure
        The scatter says r, and the mean FC of each side.

    Raises
    ------
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
    import matplotlib.pyplot as plt

    ours, theirs = _matrix(simulated, "plot_fc_comparison"), _matrix(recorded, "plot_fc_comparison")
    theirs = align_regions(theirs, ours, what="plot_fc_comparison")
    figure, axes = plt.subplots(1, 3, figsize=(17.5, 5.6), layout="constrained", width_ratios=(1, 1, 0.85))
    for ax, matrix, side in zip(axes, (ours, theirs), ("simulated", "recorded"), strict=False):
        image = _draw_fc(ax, matrix)
        ax.set_title(f"{side} FC")
    figure.colorbar(image, ax=axes[1], shrink=0.85, label="FC (Pearson r)")
    a, b = off_diagonal(np.asarray(ours.values, dtype=float)), off_diagonal(np.asarray(theirs.values, dtype=float))
    ax = axes[2]
    ax.scatter(b, a, s=3, color="0.25", alpha=0.25, linewidths=0, rasterized=True)
    low, high = np.nanmin([a, b]), np.nanmax([a, b])
    margin = 0.05 * max(high - low, 1e-3)
    limits = (low - margin, high + margin)
    ax.plot(limits, limits, color=ACCENT, linewidth=1, label="equal")
    ax.set(xlim=limits, ylim=limits, xlabel="recorded FC", ylabel="simulated FC", aspect="equal")
    ax.set_title(f"r = {float(pearson(a, b)):.2f}, mean FC simulated {a.mean():.2f}, recorded {b.mean():.2f}")
    ax.legend(frameon=False, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    if title is not None:
        figure.suptitle(title)
    _label_when_placed(figure, list(axes[:2]), [ours, theirs])
    return figure


def _matrix(fc: xr.DataArray, call: str) -> xr.DataArray:
    if isinstance(fc, xr.DataArray) and schema.REGION_OTHER not in fc.dims and schema.REGION in fc.dims:
        fc = functional_connectivity(fc)
    return complete_matrix_labels(need_dims(fc, schema.MATRIX_DIMS, call))


def _draw_fc(ax: Axes, matrix: xr.DataArray) -> AxesImage:
    image = ax.imshow(matrix.values, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest", aspect="equal")
    ax.set_facecolor("0.8")  # NaN
    return image


def _label_when_placed(figure: Figure, axes: list[Axes], matrices: list[xr.DataArray]) -> None:
    """Region labels, in a size for the room that the layout leaves."""
    for _ in range(2):  # the labels themselves take room
        figure.draw_without_rendering()
        for ax, matrix in zip(axes, matrices, strict=True):
            label_matrix_axes(ax, matrix)
