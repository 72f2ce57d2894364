"""Figures of spectra."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Literal, overload

import xarray as xr

from xmass.analysis.power import FREQUENCY, power_spectrum
from xmass.viz.panels import draw_panels
from xmass.viz.style import axis_label, dim_label, labels_along, looks, name_lines, need_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Log = Literal["power", "both", "none"]


@overload
def plot_power_spectrum(
    data: xr.DataArray,
    *,
    band: tuple[float, float] | None = None,
    log: Log = "power",
    col: None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes: ...
@overload
def plot_power_spectrum(
    data: xr.DataArray,
    *,
    band: tuple[float, float] | None = None,
    log: Log = "power",
    col: str,
    ax: Sequence[Axes] | None = None,
    title: str | None = None,
) -> Figure: ...
def plot_power_spectrum(
    data: xr.DataArray,
    *,
    band: tuple[float, float] | None = None,
    log: Log = "power",
    col: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    title: str | None = None,
) -> Axes | Figure:
    """Power over frequency in Hz, one line for each region.

    Parameters
    ----------
    data : DataArray
        A spectrum, as :func:`xmass.power_spectrum` returns it, ``(frequency,)`` with at most one other dim; or a series over
        time, of which the spectrum is taken with the defaults of that function.
    band : (low, high), optional
        Frequencies to draw [Hz]; all by default.
    log : {"power", "both", "none"}
        Which axes are logarithmic. On a logarithmic frequency axis the frequency 0 is left out.
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
        If there are more dims, no frequency lies in ``band``, or the time coordinate of a series has no unit.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np, xarray as xr
    >>> from xmass import viz
    >>> f = ("frequency", np.arange(1.0, 50.0), {"units": "Hz"})
    >>> power = xr.DataArray(1 / f[1], dims="frequency", coords={"frequency": f}, name="power", attrs={"units": "mV^2/Hz"})
    >>> ax = viz.plot_power_spectrum(power)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('frequency [Hz]', 'power [mV^2/Hz]')
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    need_array(data, "plot_power_spectrum", "x")
    if log not in ("power", "both", "none"):
        raise ValueError(f"plot_power_spectrum got log={log!r}, needs 'power', 'both' or 'none'.")
    spectrum = data if FREQUENCY in data.dims else power_spectrum(data)
    if FREQUENCY not in spectrum.coords:
        raise ValueError("plot_power_spectrum got a spectrum without the coordinate 'frequency' [Hz]: .assign_coords(frequency=...).")
    spectrum = spectrum.squeeze([d for d in spectrum.dims if d not in (FREQUENCY, col) and spectrum.sizes[d] == 1])
    others = [d for d in spectrum.dims if d not in (FREQUENCY, col)]
    if len(others) > 1:
        raise ValueError(
            f"plot_power_spectrum got dims {tuple(data.dims)}, needs one beside {FREQUENCY!r} or time. "
            f"Select or average: .mean({str(others[0])!r}). Or draw a panel for each: col={str(others[0])!r}."
        )
    at = spectrum[FREQUENCY]
    low, high = (float(at.min()), float(at.max())) if band is None else band
    keep = (at >= low) & (at <= high)
    if log == "both":
        keep = keep & (at > 0)
    if not bool(keep.any()):
        raise ValueError(f"plot_power_spectrum got band={band}, needs frequencies between {float(at.min()):g} and {float(at.max()):g} Hz.")
    spectrum = spectrum.isel({FREQUENCY: keep.values.nonzero()[0]}).compute()
    names = labels_along(spectrum, others[0]) if others else [""]

    def draw(panel: Axes, where: dict[Hashable, int]) -> None:
        lines = spectrum.isel(where).transpose(*others, FREQUENCY).values.reshape(len(names), -1)
        for line, label, look in zip(lines, names, looks(len(names)), strict=True):
            panel.plot(spectrum[FREQUENCY].values, line, label=label, **look._asdict())
        if log == "both":
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_yscale("linear" if log == "none" else "log")
        panel.set(xlabel=axis_label(spectrum[FREQUENCY], FREQUENCY), ylabel=axis_label(spectrum, "power"))
        panel.margins(x=0)
        panel.spines[["top", "right"]].set_visible(False)

    size = (6.4, 3.8) if col is None else (4.0, 3.2)
    legend = None if not others else lambda panel: name_lines(panel, dim_label(spectrum, others[0]), names)
    return draw_panels(draw, spectrum, call="plot_power_spectrum", col=col, ax=ax, title=title, size=size, legend=legend)
