"""Figures of a fit: how the loss went down, and where the parameters ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmass.labelled.schema import LONG_NAME, UNITS
from xmass.viz.style import ACCENT, looks, name_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    ax.spines[["top", "right"]].set_visible(False)
    if title is not None:
        ax.set_title(title, loc="left")
    return ax


def _losses(ax: Axes, fit: xr.Dataset) -> None:
    lead = list(fit.best_loss.dims)
    losses = fit.loss.transpose(*lead, "step").values.reshape(-1, fit.sizes["step"])
    names = iter(_labels(fit, lead))
    points = zip(np.atleast_1d(fit.best_step.values).ravel(), np.atleast_1d(fit.best_loss.values).ravel(), strict=True)
    for own, look, (step, best) in zip(losses, looks(len(losses)), points, strict=True):
        steps = np.flatnonzero(np.isfinite(own))
        ax.plot(steps, own[steps], color=look.color, ls=look.linestyle, lw=look.linewidth, alpha=look.alpha, label=next(names))
        if step >= 0:
            ax.plot(step, best, "o", color=look.color, ms=5, mec="white", mew=0.8, zorder=3)
    ax.set_xlabel("step")
    objective = str(fit.best_loss.attrs.get(LONG_NAME, "")).rpartition(": ")[2]
    ax.set_ylabel(f"loss of {objective}" if objective else "loss")
    if lead and len(losses) > 1:
        name_lines(ax, ", ".join(map(str, lead)), _labels(fit, lead))


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
