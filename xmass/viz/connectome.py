"""Figures of a connectome: in space, where the regions have coordinates, and as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from xmass.labelled import schema
from xmass.viz.matrices import draw_matrix, label_when_placed, matrix_size, norm_of
from xmass.viz.panels import axes_for
from xmass.viz.style import SEQUENTIAL, axis_label, labels_along, need_dims, root_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CENTRES, XYZ = "centres", "xyz"
PLANES = (("x", "y", "z"), ("x", "z", "y"), ("y", "z", "x"))
"""What goes across, up, and towards the reader."""
LABELLED = 16  # more names than this cover the picture


def plot_connectome(
    connectome: xr.Dataset,
    *,
    view: Literal["planes", "matrices"] | None = None,
    edges: int = 300,
    ax: Sequence[Axes] | None = None,
    title: str | None = None,
) -> Figure:
    """Regions and their strongest connections in three planes, where there are coordinates; else weights and distances as matrices.

    Parameters
    ----------
    connectome : Dataset
        ``weights(region, region_other)``, optionally ``distances(region, region_other)`` and ``centres(region, xyz)``; no other
        dims. The labels of ``xyz`` are x, y and z; without labels they are in this order. Where x goes to the right, y to the front
        and z up, the planes are seen from above, from behind and from the right.
    view : {"planes", "matrices"}, optional
        By default planes if there are ``centres``.
    edges : int
        How many connections the planes show, the strongest first. A line is the mean of the weights in both directions.
    ax : sequence of Axes, optional
        Three for the planes, one for each matrix.
    title : str, optional

    Returns
    -------
    Figure
        Size of a node: its strength, the sum of the weights that it receives. Names of nodes up to 16 regions. Weights that span
        more than two decades have logarithmic colours.

    Raises
    ------
    KeyError
        Without ``weights``, or without ``centres`` for the planes.
    ValueError
        If a variable has other dims, such as subject, or for negative ``edges``.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome")
    >>> [ax.get_title() for ax in xm.viz.plot_connectome(sc).axes[:3]]
    ['xy plane', 'xz plane', 'yz plane']
    >>> [ax.get_title() for ax in xm.viz.plot_connectome(sc, view="matrices").axes[:2]]
    ['weights', 'distances']
    """
    if schema.WEIGHTS not in connectome:
        raise KeyError(f"plot_connectome got the variables {sorted(map(str, connectome.data_vars))}, needs 'weights': ds.rename(...).")
    if view not in (None, "planes", "matrices"):
        raise ValueError(f"plot_connectome got view={view!r}, needs 'planes' or 'matrices'.")
    if view == "matrices" or (view is None and CENTRES not in connectome):
        figure = _matrices(connectome, ax)
    else:
        figure = _planes(connectome, edges, ax)
    if title is not None:
        figure.suptitle(title)
    return figure


def _matrices(connectome: xr.Dataset, ax: Sequence[Axes] | None) -> Figure:
    names = [name for name in (schema.WEIGHTS, schema.DISTANCES) if name in connectome]
    matrices = {name: need_dims(connectome[name], schema.MATRIX_DIMS, f"plot_connectome, {name!r},") for name in names}
    axes = axes_for(len(names), ax, size=matrix_size(matrices[names[0]]), share=False, square=True, call="plot_connectome")
    figure = root_figure(axes[0])
    for panel, (name, matrix) in zip(axes, matrices.items(), strict=True):
        norm, logarithmic = norm_of(np.asarray(matrix.values, dtype=float), None if name == schema.WEIGHTS else False)
        image = draw_matrix(panel, matrix, SEQUENTIAL, norm, logarithmic)
        panel.set_title(name)
        figure.colorbar(image, ax=panel, shrink=0.85, label=axis_label(matrix, name))
    label_when_placed(figure, axes, list(matrices.values()))
    return figure


def _planes(connectome: xr.Dataset, edges: int, ax: Sequence[Axes] | None) -> Figure:
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap

    if CENTRES not in connectome:
        raise KeyError("plot_connectome got no 'centres' for the planes, needs centres(region, xyz): ds.assign(centres=...).")
    if edges < 0:
        raise ValueError(f"plot_connectome got edges={edges}, needs 0 or more.")
    weights = need_dims(connectome[schema.WEIGHTS], schema.MATRIX_DIMS, "plot_connectome, 'weights',")
    centres = need_dims(connectome[CENTRES], (schema.REGION, XYZ), "plot_connectome, 'centres',")
    if XYZ not in centres.coords and centres.sizes[XYZ] == 3:
        centres = centres.assign_coords({XYZ: ["x", "y", "z"]})
    if XYZ not in centres.coords or sorted(map(str, centres[XYZ].values)) != ["x", "y", "z"]:
        raise ValueError(f"plot_connectome got centres along {labels_along(centres, XYZ)}, needs x, y and z: .assign_coords(xyz=[...]).")
    values = np.nan_to_num(np.asarray(weights.values, dtype=float))
    rows, columns = np.triu_indices(len(values), 1)
    both = 0.5 * (values + values.T)[rows, columns]
    order = np.argsort(np.abs(both), kind="stable")[max(0, both.size - edges) :]
    order = order[both[order] != 0]  # ascending: the strongest lie on top
    norm, _ = norm_of(both[order], None)
    strength = values.sum(1)
    sizes = 12 + 90 * np.abs(strength) / max(float(np.abs(strength).max()), 1e-300)
    relative = np.abs(both[order]) / (np.abs(both[order]).max() if order.size else 1.0)
    axes = axes_for(3, ax, size=(4.4, 4.2), share=False, square=True, call="plot_connectome")
    figure = root_figure(axes[0])
    lines, half = None, 0.58 * float(np.nanmax(np.ptp(centres.values.astype(float), axis=0)))
    half = half if half > 0 else 1.0
    colours = LinearSegmentedColormap.from_list("edges", plt.get_cmap("YlGnBu")(np.linspace(0.35, 1.0, 64)))  # none is faint on paper
    for panel, (across, up, depth) in zip(axes, PLANES, strict=True):
        at = np.stack([centres.sel({XYZ: across}).values, centres.sel({XYZ: up}).values], axis=1).astype(float)
        ends = np.stack([at[rows[order]], at[columns[order]]], axis=1)
        lines = LineCollection(list(ends), array=both[order], cmap=colours, norm=norm, linewidths=0.4 + 2.2 * relative, zorder=1)
        panel.add_collection(lines)
        away = centres.sel({XYZ: depth}).values.astype(float)
        near = np.argsort(-away if depth == "y" else away, kind="stable")  # those nearest to the reader are drawn last
        panel.scatter(at[near, 0], at[near, 1], s=sizes[near], color="0.15", edgecolors="white", linewidths=0.6, zorder=2)
        if len(at) <= LABELLED:
            for place, label in zip(at, labels_along(weights, schema.REGION), strict=True):
                panel.annotate(label, place, xytext=(5, 5), textcoords="offset points", fontsize=7, zorder=3)
        shared = axis_label(centres, "{}")
        panel.set(xlabel=shared.format(across), ylabel=shared.format(up), title=f"{across}{up} plane", aspect="equal")
        middle = 0.5 * (at.min(0) + at.max(0))  # one scale in all planes
        panel.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
        panel.spines[["top", "right"]].set_visible(False)
    if lines is not None and order.size:
        shown = f"{axis_label(weights, schema.WEIGHTS)}, {order.size} of {np.count_nonzero(both)} connections"
        figure.colorbar(lines, ax=axes, shrink=0.8, pad=0.02, label=shown)
    return figure
