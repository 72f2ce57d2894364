"""Figures of matrices: weights and distances, functional connectivity, and its dynamics."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import xarray as xr

from xmass.analysis.align import complete_matrix_labels
from xmass.analysis.connectivity import functional_connectivity
from xmass.analysis.dynamic import WINDOW, WINDOW_DIMS, fcd
from xmass.analysis.sensors import of_sensors
from xmass.labelled import schema
from xmass.viz.panels import Bar, draw_panels
from xmass.viz.style import DIVERGING, SEQUENTIAL, axis_label, coordinate, label_matrix_axes, need_array, need_dims, root_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


@overload
def plot_connectivity(
    matrix: xr.DataArray, *, log: bool | None = None, col: None = None, ax: Axes | None = None, title: str | None = None
) -> Axes: ...
@overload
def plot_connectivity(
    matrix: xr.DataArray, *, log: bool | None = None, col: str, ax: Sequence[Axes] | None = None, title: str | None = None
) -> Figure: ...
def plot_connectivity(
    matrix: xr.DataArray,
    *,
    log: bool | None = None,
    col: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    title: str | None = None,
) -> Axes | Figure:
    """A matrix between regions, such as weights or distances: row receives, column sends.

    Parameters
    ----------
    matrix : DataArray
        ``(region, region_other)``. One with negative values is drawn in blue and red about a white 0.
    log : bool, optional
        Whether colours are logarithmic; by default where positive values span more than two decades. Without a connection: grey.
    col : str, optional
        One more dim, such as subject, with a panel for each label, all in the same colours.
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
        If there are other dims, or ``log`` with negative values.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome")
    >>> ax = xm.viz.plot_connectivity(sc.distances)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('region_other', 'region')
    """
    need_array(matrix, "plot_connectivity", "weights")
    dims = _with_col(schema.MATRIX_DIMS, col, matrix)
    matrix = complete_matrix_labels(need_dims(matrix, dims, "plot_connectivity")).compute()
    norm, logarithmic = norm_of(np.asarray(matrix.values, dtype=float), log)
    signed = float(norm.vmin or 0.0) < 0

    def draw(panel: Axes, where: dict[Hashable, int]) -> Bar:
        image = draw_matrix(panel, matrix.isel(where), DIVERGING if signed else SEQUENTIAL, norm, logarithmic)
        return Bar(image, axis_label(matrix, "value" if matrix.name is None else matrix.name))

    size = matrix_size(matrix) if col is None else (4.4, 4.0)
    made = draw_panels(
        draw, matrix, call="plot_connectivity", col=col, ax=ax, title=title, size=size, share=False, square=True, loc="center"
    )
    return _labelled(made, matrix, col, ax)


@overload
def plot_functional_connectivity(fc: xr.DataArray, *, col: None = None, ax: Axes | None = None, title: str | None = None) -> Axes: ...
@overload
def plot_functional_connectivity(fc: xr.DataArray, *, col: str, ax: Sequence[Axes] | None = None, title: str | None = None) -> Figure: ...
def plot_functional_connectivity(
    fc: xr.DataArray, *, col: str | None = None, ax: Axes | Sequence[Axes] | None = None, title: str | None = None
) -> Axes | Figure:
    """Functional connectivity with labels on both axes; blue to red, white at 0, from -1 to 1.

    Parameters
    ----------
    fc : DataArray
        ``(region, region_other)``, or a series ``(time, region)``, of which the FC is drawn; ``sensor`` in the place of ``region`` too.
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
        If there are other dims, such as subject.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np, xarray as xr
    >>> from xmass import viz
    >>> viz.plot_functional_connectivity(xr.DataArray(np.eye(3), dims=("region", "region_other"))).get_xlabel()
    'region_other'
    """
    matrix = fc_of(fc, "plot_functional_connectivity", col, sensors=True).compute()

    def draw(panel: Axes, where: dict[Hashable, int]) -> Bar:
        return Bar(draw_fc(panel, matrix.isel(where)), "FC (Pearson r)")

    size = matrix_size(matrix) if col is None else (4.4, 4.0)
    title = "functional connectivity" if title is None and col is None else title
    made = draw_panels(
        draw, matrix, call="plot_functional_connectivity", col=col, ax=ax, title=title, size=size, share=False, square=True, loc="center"
    )
    return _labelled(made, matrix, col, ax)


@overload
def plot_fcd(data: xr.DataArray, *, col: None = None, ax: Axes | None = None, title: str | None = None) -> Axes: ...
@overload
def plot_fcd(data: xr.DataArray, *, col: str, ax: Sequence[Axes] | None = None, title: str | None = None) -> Figure: ...
def plot_fcd(
    data: xr.DataArray, *, col: str | None = None, ax: Axes | Sequence[Axes] | None = None, title: str | None = None
) -> Axes | Figure:
    """How alike the FC of one window of time is to that of another; blue to red, white at 0, from -1 to 1, times on both axes.

    Parameters
    ----------
    data : DataArray
        ``(window, window_other)`` of :func:`xmass.fcd`, or a series ``(time, region)`` or ``(time, sensor)``, of which it is computed
        with windows of 60 s every 3 s.
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
        If there are other dims, such as subject, and as :func:`xmass.fcd` for a series.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import xmass as xm
    >>> ax = xm.viz.plot_fcd(xm.datasets.load_dataset("example_cohort").bold.isel(subject=0))
    >>> ax.get_xlabel()
    'window [s]'
    """
    need_array(data, "plot_fcd", "fcd")
    dims = {*data.dims}
    if WINDOW not in dims and dims & {schema.REGION, schema.SENSOR} and not dims & {schema.REGION_OTHER, schema.SENSOR_OTHER}:
        data = fcd(data)
    matrix = need_dims(data, _with_col(WINDOW_DIMS, col, data), "plot_fcd").compute()
    at = coordinate(matrix, WINDOW)
    first, last = float(at[0]), float(at[-1])
    half = 0.5 * (last - first) / max(at.size - 1, 1)
    extent = (first - half, last + half, last + half, first - half)

    def draw(panel: Axes, where: dict[Hashable, int]) -> Bar:
        image = panel.imshow(
            matrix.isel(where).values, cmap=DIVERGING, vmin=-1, vmax=1, extent=extent, interpolation="nearest", aspect="equal"
        )
        panel.set_facecolor("0.8")  # NaN
        panel.set(xlabel=axis_label(at, WINDOW), ylabel=axis_label(at, WINDOW))
        return Bar(image, "FCD (Pearson r)")

    size = (6.2, 5.2) if col is None else (3.2, 3.4)
    return draw_panels(draw, matrix, call="plot_fcd", col=col, ax=ax, title=title, size=size, square=True, loc="center")


def fc_of(fc: xr.DataArray, call: str, col: Hashable | None = None, *, sensors: bool = False) -> xr.DataArray:
    """A matrix as it is, and the FC of a series; labels on both axes. With ``sensors`` also of these."""
    need_array(fc, call, "fc")
    if sensors and (of_sensors(fc) or schema.SENSOR_OTHER in fc.dims):
        matrix = fc if schema.SENSOR_OTHER in fc.dims else functional_connectivity(fc)
        return need_dims(matrix, _with_col((schema.SENSOR, schema.SENSOR_OTHER), col, matrix), call)
    if schema.REGION_OTHER not in fc.dims and schema.REGION in fc.dims:
        fc = functional_connectivity(fc)
    return complete_matrix_labels(need_dims(fc, _with_col(schema.MATRIX_DIMS, col, fc), call))


def matrix_size(matrix: xr.DataArray) -> tuple[float, float]:
    """Inches for a matrix with its colour bar: more regions need more room for their labels."""
    side = float(np.clip(2.5 + 0.05 * matrix.shape[-1], 4.2, 7.2))
    return side + 1.0, side


def norm_of(values: np.ndarray, log: bool | None) -> tuple[Normalize, bool]:
    """Colours for a matrix, and whether they are logarithmic.

    Raises
    ------
    ValueError
        If ``log`` is asked for values that have no logarithm.
    """
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    negative = finite.size > 0 and finite.min() < 0
    if log and (negative or not positive.size):
        raise ValueError("log=True got a matrix with negative or without positive values: leave log= out.")
    low = float(np.quantile(positive, 0.01)) if positive.size else 0.0  # a few stray values do not set the scale
    spans = positive.size > 0 and not negative and float(positive.max()) > 100 * low
    if log or (log is None and spans):
        return LogNorm(low, positive.max()), True
    high = float(np.abs(finite).max()) if finite.size else 1.0
    return (Normalize(-high, high) if negative else Normalize(float(finite.min()) if finite.size else 0.0, high)), False


def draw_matrix(ax: Axes, matrix: xr.DataArray, colours: str, norm: Normalize | None, logarithmic: bool) -> AxesImage:
    """An image of a matrix; on a logarithmic scale what is 0 is grey."""
    values = np.asarray(matrix.values, dtype=float)
    shown = np.ma.masked_where(~(values > 0), values) if logarithmic else values
    ax.set_facecolor("0.92" if logarithmic else "0.8")  # no connection; NaN
    return ax.imshow(shown, cmap=colours, norm=norm, interpolation="nearest", aspect="equal")


def draw_fc(ax: Axes, matrix: xr.DataArray) -> AxesImage:
    """An image of FC, in the same colours everywhere."""
    image = ax.imshow(matrix.values, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest", aspect="equal")
    ax.set_facecolor("0.8")  # NaN
    return image


def label_when_placed(figure: Figure, axes: Sequence[Axes], matrices: Sequence[xr.DataArray]) -> None:
    """Region labels, in a size for the room that the layout leaves."""
    for _ in range(2):  # the labels themselves take room
        figure.draw_without_rendering()
        for ax, matrix in zip(axes, matrices, strict=True):
            label_matrix_axes(ax, matrix)


def _with_col(dims: tuple[str, ...], col: Hashable | None, data: xr.DataArray) -> tuple[Hashable, ...]:
    """The dims that are needed, that of the panels first; one that the data lack is left to be refused by name."""
    return dims if col is None or col not in data.dims else (col, *dims)


def _labelled(made: Axes | Figure, matrix: xr.DataArray, col: Hashable | None, ax: Axes | Sequence[Axes] | None) -> Axes | Figure:
    """Region labels on every panel of what ``draw_panels`` returned."""
    from matplotlib.figure import Figure

    if not isinstance(made, Figure):
        label_when_placed(root_figure(made), [made], [matrix])
        return made
    count = matrix.sizes[col] if col is not None else 1
    axes = made.axes[:count] if ax is None else list(np.ravel(np.asarray(ax, dtype=object)))
    label_when_placed(made, axes, [matrix] * count)
    return made
