"""Figures of a fit: how the loss went down, and where the parameters ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmass.labelled.schema import LONG_NAME, UNITS
from xmass.viz.style import ACCENT, COLOURS, DASHES, root_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = 12
"""Fits up to which each has a line of its own in the legend."""


def plot_fit(fit: xr.Dataset, parameter: str | None = None, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """The loss of every fit by step with the returned point marked, or where a parameter ended.

    Parameters
    ----------
    fit : Dataset
        A result of :meth:`xmass.Fitter.fit`.
    parameter : str, optional
        A fitted or derived parameter: its value in each fit is drawn, large for the best start, open where it is at a bound. By default
        the loss is drawn.
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError, KeyError
        If ``fit`` is no result of a fit, or has no such parameter, or it has region dims.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import xarray as xr
    >>> from xmass import viz
    >>> fit = xr.Dataset(
    ...     {"k": 0.3, "loss": ("step", [0.9, 0.5, 0.6]), "best_loss": 0.5, "best_step": 1, "at_bound": False, "converged": False}
    ... )
    >>> viz.plot_fit(fit).get_xlabel()
    'step'
    """
    import matplotlib.pyplot as plt

    if not isinstance(fit, xr.Dataset):
        raise TypeError(f"plot_fit got a {type(fit).__name__}, needs the Dataset that xm.Fitter(...).fit returns.")
    lacking = [n for n in ("loss", "best_loss", "best_step", "at_bound") if n not in fit.variables]
    if lacking:
        raise ValueError(f"plot_fit got a Dataset without {lacking[0]!r}, needs what xm.Fitter(...).fit returns.")
    if ax is None:
        _, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
    if parameter is None:
        _losses(ax, fit)
    else:
        _values(ax, fit, parameter)
    if title is not None:
        ax.set_title(title)
    root_figure(ax)
    return ax


def _losses(ax: Axes, fit: xr.Dataset) -> None:
    lead = list(fit.best_loss.dims)
    flat = fit[["loss", "best_loss", "best_step"]].stack(fit_=lead) if lead else fit[["loss", "best_loss", "best_step"]].expand_dims("fit_")
    named = flat.sizes["fit_"] <= _LINES and bool(lead)
    for i in range(flat.sizes["fit_"]):
        one = flat.isel(fit_=i)
        label = ", ".join(f"{d} {one[d].item()}" for d in lead if d in one.coords) if named else None
        colour = COLOURS[i % len(COLOURS)]
        steps = np.arange(one.loss.size)
        found = np.isfinite(one.loss.values)
        ax.plot(steps[found], one.loss.values[found], color=colour, ls=DASHES[i // len(COLOURS) % len(DASHES)], lw=1.2, label=label)
        if int(one.best_step) >= 0:
            ax.plot(int(one.best_step), float(one.best_loss), "o", color=colour, ms=5, mec="white", mew=0.8)
    ax.set_xlabel("step")
    ax.set_ylabel(str(fit.loss.attrs.get(LONG_NAME, "loss")).rpartition(": ")[2] + " (loss)" if LONG_NAME in fit.loss.attrs else "loss")
    if named:
        ax.legend(fontsize=8, frameon=False, ncols=2 if flat.sizes["fit_"] > 4 else 1)


def _values(ax: Axes, fit: xr.Dataset, parameter: str) -> None:
    lead = list(fit.best_loss.dims)
    if parameter not in fit.data_vars:
        raise KeyError(f"plot_fit got parameter={parameter!r}, which is not in the fit: it has {list(map(str, fit.data_vars))}.")
    value = fit[parameter]
    inner = [str(d) for d in value.dims if d not in lead]
    if inner:
        raise ValueError(f"{parameter} has a value for each {inner[0]!r}: draw it itself, fit[{parameter!r}].plot(), or select one.")
    value, bound = value.broadcast_like(fit.best_loss).transpose(*lead), fit.at_bound.transpose(*lead)
    others = [d for d in lead if d != "start"]
    labels = _labels(fit, others)
    shape = (max(int(np.prod([fit.sizes[d] for d in others])), 1), -1)
    order = (*others, "start") if "start" in lead else tuple(others)
    values = np.atleast_1d(value.transpose(*order).values).reshape(shape)
    at_bound = np.atleast_1d(bound.transpose(*order).values).reshape(shape)
    for row, (own, edge) in enumerate(zip(values, at_bound, strict=True)):
        for k in range(len(own) - 1, -1, -1):
            face: Any = "white" if edge[k] else (ACCENT if k == 0 else "0.6")
            ax.plot(row, own[k], "o", ms=7 if k == 0 else 4, mfc=face, mec=ACCENT if k == 0 else "0.6", zorder=3 if k == 0 else 2)
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.set_xlabel(", ".join(map(str, others)))
    unit = value.attrs.get(UNITS, "")
    ax.set_ylabel(f"{parameter} [{unit}]" if unit not in ("", "1") else parameter)


def _labels(fit: xr.Dataset, dims: list[Any]) -> list[str]:
    if not dims:
        return [""]
    stacked = fit.best_loss.isel({d: 0 for d in fit.best_loss.dims if d not in dims}).stack(point=dims)
    return [", ".join(map(str, np.atleast_1d(p))) if len(dims) == 1 else ", ".join(map(str, p)) for p in stacked.point.values.tolist()]
