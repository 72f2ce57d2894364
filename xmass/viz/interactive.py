"""One interactive figure of a labelled array, through hvplot: zoom, values under the pointer, a slider for each further dim."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from xmass.analysis.connectivity import functional_connectivity
from xmass.analysis.dynamic import WINDOW, WINDOW_DIMS
from xmass.analysis.power import FREQUENCY
from xmass.labelled import schema
from xmass.viz.style import COLOURS, DIVERGING, MANY, SEQUENTIAL, axis_label, coordinate, dim_label, labels_along, need_array

InteractiveKind = Literal["timeseries", "spectrum", "matrix", "fc", "sweep"]
KINDS = get_args(InteractiveKind)
LINES = {"responsive": False, "width": 800, "height": 320, "grid": True}


def interactive(data: xr.DataArray, kind: InteractiveKind | None = None) -> Any:
    """An interactive figure in a notebook: a series, a spectrum, a matrix or a sweep, with a slider for every other dim.

    Parameters
    ----------
    data : DataArray
        What the function of the same kind draws: :func:`plot_timeseries`, :func:`plot_power_spectrum`, :func:`plot_connectivity`,
        :func:`plot_functional_connectivity` and :func:`plot_fcd`, or :func:`plot_sweep`; with any number of further dims. A lazy array is
        computed for what is shown.
    kind : {"timeseries", "spectrum", "matrix", "fc", "sweep"}, optional
        ``fc`` is a matrix in colours from -1 to 1, and of a series its FC. By default what the dims say: ``region_other`` is a matrix,
        ``window_other`` an FCD and so ``fc``, ``frequency`` a spectrum, time a series, else it is a sweep.

    Returns
    -------
    holoviews object
        An element, or a ``DynamicMap`` where there are sliders, whose values are read when they are shown. hvplot's options apply:
        ``figure.opts(width=1000)``; ``hvplot.save(figure, "figure.html")`` writes a page.

    Raises
    ------
    ImportError
        If hvplot is not installed: ``pip install "xmass[interactive]"``.
    TypeError
        For a Dataset.
    ValueError
        For an unknown ``kind``, or dims that it does not have.

    Examples
    --------
    >>> import xmass as xm
    >>> fc = xm.functional_connectivity(xm.datasets.load_dataset("example_cohort").bold)
    >>> figure = xm.viz.interactive(fc, "fc")  # doctest: +SKIP
    """
    need_array(data, "interactive", "bold")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"interactive got kind={kind!r}, needs one of {KINDS}.")
    kind = _kind_of(data) if kind is None else kind
    if kind == "fc" and not {schema.REGION_OTHER, WINDOW_DIMS[1]} & set(data.dims):
        data = functional_connectivity(data)
    axes, by = _axes(data, kind)
    try:
        import hvplot.xarray  # noqa: F401
    except ImportError as error:
        raise ImportError("interactive needs hvplot: pip install 'xmass[interactive]'. Without it: xm.viz.plot_...") from error
    sliders = [d for d in data.dims if d not in (*axes, by)]
    name = "value" if data.name is None else str(data.name)
    shown = data.reset_coords(drop=True).rename(name).drop_attrs(deep=False)
    shown = shown.assign_coords({d: _plain(data, d, labels=kind == "sweep" and len(axes) == 2 and d in axes) for d in data.dims})
    shared: dict[str, Any] = {"groupby": [str(d) for d in sliders] or None, "dynamic": True}
    shared = {key: value for key, value in shared.items() if value is not None}
    if len(axes) == 1:
        return _lines(shown, data, kind, axes[0], by, shared)
    return _cells(shown, data, kind, (axes[0], axes[1]), name, shared)


def _kind_of(data: xr.DataArray) -> InteractiveKind:
    if WINDOW_DIMS[1] in data.dims:
        return "fc"
    if schema.REGION_OTHER in data.dims:
        return "matrix"
    if FREQUENCY in data.dims:
        return "spectrum"
    return "timeseries" if _time_of(data) is not None else "sweep"


def _time_of(data: xr.DataArray) -> Hashable | None:
    try:
        return schema.time_dim(data)
    except (KeyError, ValueError):
        return None


def _axes(data: xr.DataArray, kind: InteractiveKind) -> tuple[tuple[Hashable, ...], Hashable | None]:
    """The dims that are drawn, across first, and the dim of the lines."""
    time = _time_of(data)
    wanted: dict[str, tuple[Hashable, ...]] = {"spectrum": (FREQUENCY,), "timeseries": (schema.TIME if time is None else time,)}
    wanted["matrix"] = wanted["fc"] = WINDOW_DIMS[::-1] if WINDOW in data.dims else schema.MATRIX_DIMS[::-1]
    if kind == "sweep":
        if data.ndim == 0:
            raise ValueError("interactive got one number, needs a dim, such as a swept parameter: print it instead.")
        longest = sorted((d for d in data.dims if d != schema.SUBJECT), key=lambda d: -data.sizes[d]) or list(data.dims)
        return tuple(longest[:2]), None
    if any(d not in data.dims for d in wanted[kind]):
        raise ValueError(
            f"interactive, kind={kind!r}, got dims {tuple(data.dims)}, needs {wanted[kind]}. Take another kind= or .rename(...)."
        )
    left = [d for d in data.dims if d not in wanted[kind]]
    lines = next((d for d in (schema.REGION, schema.SENSOR, *left[::-1]) if d in left), None)
    return wanted[kind], lines if len(wanted[kind]) == 1 else None


def _plain(data: xr.DataArray, dim: Hashable, *, labels: bool) -> tuple[Hashable, Any]:
    """The values of a dim, as text where cells are evenly spaced whatever their values are."""
    return dim, labels_along(data, dim) if labels else coordinate(data, dim).values


def _lines(shown: xr.DataArray, data: xr.DataArray, kind: str, across: Hashable, by: Hashable | None, shared: dict[str, Any]) -> Any:
    look: dict[str, Any] = LINES | {"xlabel": dim_label(data, across), "ylabel": axis_label(data, shown.name)}
    if kind == "spectrum":
        shown, look = shown.sel({FREQUENCY: shown[FREQUENCY] > 0}), look | {"logy": True}
    if by is None:
        return shown.hvplot.line(x=str(across), color=COLOURS[0], **look, **shared)
    few = data.sizes[by] <= MANY
    return shown.hvplot.line(x=str(across), by=str(by), color=_colours(data.sizes[by]), legend="right" if few else False, **look, **shared)


def _colours(count: int) -> list[str]:
    if count <= MANY:
        return list(COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(c) for c in colormaps[SEQUENTIAL](np.linspace(0, 0.95, count))]


def _cells(shown: xr.DataArray, data: xr.DataArray, kind: str, dims: tuple[Hashable, Hashable], name: str, shared: dict[str, Any]) -> Any:
    across, up = dims
    look: dict[str, Any] = {"xlabel": dim_label(data, across), "ylabel": dim_label(data, up), "clabel": axis_label(data, name)}
    if kind == "sweep":
        return shown.hvplot.heatmap(x=str(across), y=str(up), C=name, cmap=SEQUENTIAL, width=600, height=450, **look, **shared)
    look |= {"flip_yaxis": True, "frame_width": 450, "frame_height": 450}  # the first row on top, as in the other figures
    if kind == "fc":
        look |= {"cmap": DIVERGING, "clim": (-1.0, 1.0)}
    else:
        low, high = (float(v) for v in (shown.min(), shown.max()))
        bound = max(-low, high)
        look |= {"cmap": DIVERGING, "clim": (-bound, bound)} if low < 0 else {"cmap": SEQUENTIAL, "clim": (0.0, high)}
    if WINDOW in dims:
        return shown.hvplot.image(x=str(across), y=str(up), **look, **shared)
    return shown.hvplot.heatmap(x=str(across), y=str(up), C=name, rot=90, **look, **shared)
