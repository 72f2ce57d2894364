"""Figures of how well parameters are determined: profiles, and directions of the information."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xmass.viz.panels import axes_for
from xmass.viz.style import ACCENT, COLOURS, DIVERGING, axis_label, labels_along, looks, name_lines, root_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVEL = 3.841458820694124
"""95th percentile of the chi-square distribution with one degree of freedom."""


_HIGHEST = 25.0
"""A deviance above this, five standard deviations, is cut off."""


def plot_profile(profile: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """The loss along one parameter, all others fitted anew: flat where the data do not determine it.

    Parameters
    ----------
    profile : Dataset
        From :func:`xmass.profile`; one line for each subject, if there are several. With a deviance, that is drawn, and the level below
        which a value is in the confidence set of 95 %.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the Dataset is no profile, or has several dims of fits.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import xarray as xr
    >>> from xmass import viz
    >>> along = xr.Dataset({"loss": ("k", [0.3, 0.1, 0.2])}, {"k": [0.0, 0.1, 0.2]})
    >>> viz.plot_profile(along).get_xlabel()
    'k'
    """
    if not isinstance(profile, xr.Dataset) or "loss" not in profile:
        raise ValueError("plot_profile needs the Dataset of xm.profile, with the variable loss.")
    shown = profile["deviance"] if "deviance" in profile else profile["loss"]
    *others, dim = shown.dims
    if len(others) > 1:
        raise ValueError(f"plot_profile got the dims {tuple(shown.dims)}, needs the parameter and one other: .isel({others[0]}=0).")
    axes = axes_for(1, ax, size=(4.6, 3.2), share=True, call="plot_profile")[0]
    lines = [shown] if not others else [shown.isel({others[0]: i}) for i in range(shown.sizes[others[0]])]
    names = labels_along(shown, others[0]) if others else ["_"]
    for line, look, name in zip(lines, looks(len(lines)), names, strict=True):
        axes.plot(profile[dim].values, line.values, marker="o", markersize=3, label=name, **look._asdict())
        if np.isfinite(line.values).any():
            best = int(np.nanargmin(line.values))
            axes.plot(profile[dim].values[best], line.values[best], marker="o", markersize=7, fillstyle="none", color=ACCENT)
    if "deviance" in profile:
        axes.axhline(_LEVEL, color=COLOURS[-1], linewidth=0.8, linestyle="--")
        axes.annotate(
            "95 %", (1, _LEVEL), xycoords=("axes fraction", "data"), xytext=(-2, 2), textcoords="offset points", ha="right", fontsize=7
        )
        axes.set_ylim(0, max(min(float(np.nanmax(shown.values)), _HIGHEST), 1.5 * _LEVEL))
    if others:
        name_lines(axes, str(others[0]), names)
    axes.set_xlabel(axis_label(profile[dim]))
    axes.set_ylabel("deviance" if "deviance" in profile else "smallest loss")
    return axes


def plot_identifiability(known: xr.Dataset, *, ax: Sequence[Axes] | None = None) -> Figure:
    """How much is known along each direction, and which parameters it moves; sloppy ones in red.

    Parameters
    ----------
    known : Dataset
        From :func:`xmass.identifiability`, of one fit.
    ax : sequence of Axes, optional
        Two, for the eigenvalues and the loadings; a new figure by default.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the Dataset is another, or of several fits.
    """
    if not isinstance(known, xr.Dataset) or not {"eigenvalue", "loading", "sloppy"} <= set(known.data_vars):
        raise ValueError("plot_identifiability needs the Dataset of xm.identifiability.")
    if known["eigenvalue"].ndim != 1:
        other = known["eigenvalue"].dims[0]
        raise ValueError(f"plot_identifiability is of one fit, and there is the dim {other!r}: select one, .isel({other}=0).")
    left, right = axes_for(2, ax, size=(3.6, 3.0), share=False, call="plot_identifiability")
    values, at = known["eigenvalue"].values, known["direction"].values
    floor = np.finfo(np.float32).eps * max(values.max(), np.finfo(np.float32).tiny)
    colours = [ACCENT if s else COLOURS[0] for s in known["sloppy"].values]
    for x, y, colour in zip(at, np.maximum(values, floor), colours, strict=True):
        left.plot(x, y, marker="o", color=colour)
        left.vlines(x, floor, y, color=colour, linewidth=1.0)
    left.set_yscale("log")
    left.set_xticks(at)
    left.set_xlim(at[0] - 0.5, at[-1] + 0.5)
    left.set_xlabel("direction")
    left.set_ylabel("eigenvalue")
    image = right.imshow(known["loading"].transpose("direction", "parameter").values, cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto")
    right.set_yticks(np.arange(len(at)), at)
    right.set_xticks(np.arange(known.sizes["parameter"]), labels_along(known["loading"], "parameter"), rotation=30, ha="right", fontsize=7)
    for tick, colour in zip(right.get_yticklabels(), colours, strict=True):
        tick.set_color(colour)
    right.set_ylabel("direction")
    figure = root_figure(left)
    figure.colorbar(image, ax=right, label="loading", shrink=0.85)
    return figure
