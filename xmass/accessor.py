"""``da.xmass``, ``ds.xmass`` and ``ds.to_table()``: thin calls of the public functions, nothing more.

Importing this module registers them with xarray; nothing else in xmass registers itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from xmass.analysis import fcd, functional_connectivity, intrinsic_frequency, power_spectrum, preprocess
from xmass.analysis.table import ComparisonTable
from xmass.labelled import units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class DataArrayAccessor:
    """``da.xmass``: the functions of xmass that take one DataArray."""

    def __init__(self, data: xr.DataArray) -> None:
        self._data = data

    def fc(self, *, dim: str | None = None) -> xr.DataArray:
        """:func:`xmass.functional_connectivity`."""
        return functional_connectivity(self._data, dim=dim)

    def fcd(self, *, window: Any = None, step: Any = None, dim: str | None = None) -> xr.DataArray:
        """:func:`xmass.fcd`."""
        return fcd(self._data, window=window, step=step, dim=dim)

    def psd(
        self,
        *,
        method: Literal["welch", "multitaper"] = "welch",
        segment: Any = None,
        overlap: float = 0.5,
        bandwidth: Any = None,
        dim: str | None = None,
    ) -> xr.DataArray:
        """:func:`xmass.power_spectrum`."""
        return power_spectrum(self._data, method=method, segment=segment, overlap=overlap, bandwidth=bandwidth, dim=dim)

    def preprocess(
        self,
        *,
        detrend: Literal["linear"] | None = "linear",
        band: tuple[Any, Any] | None = None,
        global_signal: bool = False,
        discard: Any = None,
    ) -> xr.DataArray:
        """:func:`xmass.preprocess`."""
        return preprocess(self._data, detrend=detrend, band=band, global_signal=global_signal, discard=discard)

    def intrinsic_frequency(self, band: tuple[Any, Any] = (0.04, 0.07)) -> xr.DataArray:
        """:func:`xmass.intrinsic_frequency`."""
        return intrinsic_frequency(self._data, band)

    def quantify(self) -> xr.DataArray:
        """:func:`xmass.units.quantify`."""
        return units.quantify(self._data)

    def dequantify(self) -> xr.DataArray:
        """:func:`xmass.units.dequantify`."""
        return units.dequantify(self._data)

    def plot_timeseries(self, *, col: str | None = None, ax: Any = None, title: str | None = None) -> Any:
        """:func:`xmass.viz.plot_timeseries`."""
        from xmass import viz

        return viz.plot_timeseries(self._data, col=col, ax=ax, title=title)

    def plot_bold(self, *, ax: Axes | None = None, title: str | None = None) -> Axes:
        """:func:`xmass.viz.plot_bold`."""
        from xmass import viz

        return viz.plot_bold(self._data, ax=ax, title=title)

    def plot_stimulus(self, *, ax: Axes | None = None, title: str | None = None) -> Axes:
        """:func:`xmass.viz.plot_stimulus`."""
        from xmass import viz

        return viz.plot_stimulus(self._data, ax=ax, title=title)

    def plot_phase_portrait(
        self, y: xr.DataArray, *, fixed_points: xr.Dataset | None = None, col: str | None = None, ax: Any = None, title: str | None = None
    ) -> Any:
        """:func:`xmass.viz.plot_phase_portrait`, with this series across and ``y`` up."""
        from xmass import viz

        return viz.plot_phase_portrait(self._data, y, fixed_points=fixed_points, col=col, ax=ax, title=title)

    def plot_connectivity(self, *, log: bool | None = None, col: str | None = None, ax: Any = None, title: str | None = None) -> Any:
        """:func:`xmass.viz.plot_connectivity`."""
        from xmass import viz

        return viz.plot_connectivity(self._data, log=log, col=col, ax=ax, title=title)

    def plot_functional_connectivity(self, *, col: str | None = None, ax: Any = None, title: str | None = None) -> Any:
        """:func:`xmass.viz.plot_functional_connectivity`, of a matrix or of the FC of a series."""
        from xmass import viz

        return viz.plot_functional_connectivity(self._data, col=col, ax=ax, title=title)

    def plot_fcd(self, *, col: str | None = None, ax: Any = None, title: str | None = None) -> Any:
        """:func:`xmass.viz.plot_fcd`, of a matrix or of the FCD of a series."""
        from xmass import viz

        return viz.plot_fcd(self._data, col=col, ax=ax, title=title)

    def plot_power_spectrum(
        self,
        *,
        band: tuple[float, float] | None = None,
        log: Literal["power", "both", "none"] = "power",
        col: str | None = None,
        ax: Any = None,
        title: str | None = None,
    ) -> Any:
        """:func:`xmass.viz.plot_power_spectrum`, of a spectrum or a series."""
        from xmass import viz

        return viz.plot_power_spectrum(self._data, band=band, log=log, col=col, ax=ax, title=title)

    def plot_bifurcation(
        self,
        *,
        stable: xr.DataArray | None = None,
        runs: xr.DataArray | None = None,
        x: str | None = None,
        ax: Axes | None = None,
        title: str | None = None,
    ) -> Axes:
        """:func:`xmass.viz.plot_bifurcation`."""
        from xmass import viz

        return viz.plot_bifurcation(self._data, stable=stable, runs=runs, x=x, ax=ax, title=title)

    def plot_comparison(
        self,
        recorded: xr.DataArray,
        *,
        kind: Literal["pairs", "scatter", "distributions"] = "pairs",
        col: str | None = None,
        ax: Any = None,
        title: str | None = None,
    ) -> Any:
        """:func:`xmass.viz.plot_comparison`, with this as the simulated side."""
        from xmass import viz

        return viz.plot_comparison(self._data, recorded, kind=kind, col=col, ax=ax, title=title)

    def plot_fc_comparison(self, recorded: xr.DataArray, *, ax: Any = None, title: str | None = None) -> Figure:
        """:func:`xmass.viz.plot_fc_comparison`, with this as the simulated side."""
        from xmass import viz

        return viz.plot_fc_comparison(self._data, recorded, ax=ax, title=title)

    def plot_sweep(
        self,
        *,
        x: str | None = None,
        y: str | None = None,
        facet: str | None = None,
        direction: Literal["max", "min"] | None = None,
        against: bool = False,
        ax: Any = None,
    ) -> Figure:
        """:func:`xmass.viz.plot_sweep`."""
        from xmass import viz

        return viz.plot_sweep(self._data, x=x, y=y, facet=facet, direction=direction, against=against, ax=ax)

    def interactive(self, kind: Literal["timeseries", "spectrum", "matrix", "fc", "sweep"] | None = None) -> Any:
        """:func:`xmass.viz.interactive`."""
        from xmass import viz

        return viz.interactive(self._data, kind)


class DatasetAccessor:
    """``ds.xmass``: the functions of xmass that take a whole Dataset."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def quantify(self) -> xr.Dataset:
        """:func:`xmass.units.quantify`."""
        return units.quantify(self._dataset)

    def dequantify(self) -> xr.Dataset:
        """:func:`xmass.units.dequantify`."""
        return units.dequantify(self._dataset)

    def plot_connectome(
        self, *, view: Literal["planes", "matrices"] | None = None, edges: int = 300, ax: Any = None, title: str | None = None
    ) -> Figure:
        """:func:`xmass.viz.plot_connectome`."""
        from xmass import viz

        return viz.plot_connectome(self._dataset, view=view, edges=edges, ax=ax, title=title)

    def plot_fit(self, parameter: str | None = None, *, ax: Axes | None = None, title: str | None = None) -> Axes:
        """:func:`xmass.viz.plot_fit`."""
        from xmass import viz

        return viz.plot_fit(self._dataset, parameter, ax=ax, title=title)

    def plot_profile(self, *, ax: Axes | None = None) -> Axes:
        """:func:`xmass.viz.plot_profile`."""
        from xmass import viz

        return viz.plot_profile(self._dataset, ax=ax)

    def plot_identifiability(self, *, ax: Any = None) -> Any:
        """:func:`xmass.viz.plot_identifiability`."""
        from xmass import viz

        return viz.plot_identifiability(self._dataset, ax=ax)


xr.register_dataarray_accessor("xmass")(DataArrayAccessor)
xr.register_dataset_accessor("xmass")(DatasetAccessor)
xr.register_dataset_accessor("to_table")(ComparisonTable)
