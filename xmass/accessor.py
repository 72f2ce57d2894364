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

    def plot_fc(self, *, ax: Axes | None = None) -> Axes:
        """:func:`xmass.viz.plot_fc`, of a matrix or of the FC of a series."""
        from xmass import viz

        return viz.plot_fc(self._data, ax=ax)

    def plot_timeseries(self, *, ax: Axes | None = None) -> Axes:
        """:func:`xmass.viz.plot_timeseries`."""
        from xmass import viz

        return viz.plot_timeseries(self._data, ax=ax)

    def plot_bold(self, *, ax: Axes | None = None) -> Axes:
        """:func:`xmass.viz.plot_bold`."""
        from xmass import viz

        return viz.plot_bold(self._data, ax=ax)

    def plot_sweep(self, *, x: str | None = None, y: str | None = None) -> Figure:
        """:func:`xmass.viz.plot_sweep`."""
        from xmass import viz

        return viz.plot_sweep(self._data, x=x, y=y)


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

    def plot_connectome(self) -> Figure:
        """:func:`xmass.viz.plot_connectome`."""
        from xmass import viz

        return viz.plot_connectome(self._dataset)


xr.register_dataarray_accessor("xmass")(DataArrayAccessor)
xr.register_dataset_accessor("xmass")(DatasetAccessor)
xr.register_dataset_accessor("to_table")(ComparisonTable)
