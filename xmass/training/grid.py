"""Layers whose hyper-parameters have dims: one readout for every combination."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmass.training.layer import FeatureLayer

if TYPE_CHECKING:
    from xmass.training.trained import Trained


@dataclass(frozen=True, eq=False)
class Grid:
    """The combinations: a number for each, with the dims and coordinates of the hyper-parameters, and the layer of each."""

    index: xr.DataArray
    layers: tuple[FeatureLayer, ...]

    def combined(self, parts: Sequence[xr.Dataset]) -> xr.Dataset:
        """Datasets of all combinations, in order, as one with the dims in front."""
        return combined(self.index, parts)


def grid_of(layer: FeatureLayer) -> Grid | None:
    """The combinations of a layer's hyper-parameters; None if none has dims."""
    given = {f.name: v for f in fields(layer) if isinstance(v := getattr(layer, f.name), xr.DataArray)}  # type: ignore[arg-type]
    if not given:
        return None
    plain = [v.reset_coords(drop=True) for v in given.values()]
    for v in plain:
        if any(n == 0 for n in v.sizes.values()):
            raise ValueError(f"a hyper-parameter has sizes {dict(v.sizes)}, needs one entry or more along each dim.")
    try:
        wide = xr.broadcast(*xr.align(*plain, join="exact"))
    except (ValueError, xr.AlignmentError) as error:
        names = list(given)
        raise ValueError(f"{names} have other labels along the same dim, need the same: xr.align(..., join='inner').") from error
    count = wide[0].size
    flat = [v.values.ravel() for v in wide]
    layers = tuple(replace(layer, **{n: v[i].item() for n, v in zip(given, flat, strict=True)}) for i in range(count))  # type: ignore[type-var]
    return Grid(wide[0].copy(data=np.arange(count).reshape(wide[0].shape)).rename("run"), layers)


def combined(index: xr.DataArray, parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Datasets of all runs of an index, in order, as one with its dims in front."""
    first, shape = parts[0], index.shape
    clash = [d for d in index.dims if any(d in p.dims for p in parts)]
    if clash:
        raise ValueError(f"{clash[0]!r} is a dim of a hyper-parameter and of the result: rename it, as in .rename({clash[0]}='run').")
    made = {
        name: ((*index.dims, *v.dims), np.stack([p[name].values for p in parts]).reshape(*shape, *v.shape), v.attrs)
        for name, v in first.items()
    }
    return xr.Dataset(made, coords={**first.coords, **index.coords})


@dataclass(frozen=True, eq=False)
class TrainedGrid:
    """What ``fit`` returns if a hyper-parameter of the layer has dims: a readout for each combination, and results with these dims.

    Attributes
    ----------
    index : DataArray
        The number of each combination in ``runs``, with the dims and coordinates of the hyper-parameters.
    runs : tuple of Trained
        One for each combination.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> ds = xm.datasets.lorenz(duration=20.0)
    >>> leak = xr.DataArray([0.2, 1.0], dims="leak", coords={"leak": [0.2, 1.0]})
    >>> layer = xm.training.Reservoir(units=50, leak=leak, input_scaling=0.05)
    >>> model = layer.fit(ds, x=["x", "y", "z"])
    >>> model.history.error.dims, model.predict(ds).x.dims
    (('leak',), ('leak', 'time'))
    >>> model.sel(leak=1.0).layer.leak
    1.0
    """

    index: xr.DataArray
    runs: tuple[Trained, ...]

    @property
    def weights(self) -> xr.Dataset:
        """Those of :class:`Trained`, with the dims of the hyper-parameters in front."""
        return combined(self.index, [m.weights for m in self.runs])

    @property
    def history(self) -> xr.Dataset:
        """That of :class:`Trained`, with the dims of the hyper-parameters in front."""
        return combined(self.index, [m.history for m in self.runs])

    def predict(self, ds: xr.Dataset, *, washout: int | None = None) -> xr.Dataset:
        """Predict with every readout; as :meth:`Trained.predict`, with the dims of the hyper-parameters in front."""
        return combined(self.index, [m.predict(ds, washout=washout) for m in self.runs])

    def forecast(self, n_steps: int, *, from_: xr.Dataset) -> xr.Dataset:
        """Run every readout free; as :meth:`Trained.forecast`, with the dims of the hyper-parameters in front."""
        return combined(self.index, [m.forecast(n_steps, from_=from_) for m in self.runs])

    def sel(self, **labels: Any) -> Trained | TrainedGrid:
        """Some of the combinations by label, the nearest one for numbers; a dim of penalties of the readout is passed on.

        Parameters
        ----------
        **labels
            A dim and one label along it, or several.

        Returns
        -------
        Trained or TrainedGrid
            One readout if no dim is left.

        Raises
        ------
        KeyError
            If there is no such label or dim.
        """
        own = {d: v for d, v in labels.items() if d in self.index.dims}
        rest = {d: v for d, v in labels.items() if d not in own}
        index = self.index
        for d, v in own.items():
            nearest = index[d].dtype.kind in "iuf" and not isinstance(v, slice) and d in index.coords
            index = index.sel({d: v}, method="nearest" if nearest else None)
        runs = [self.runs[i] for i in index.values.ravel()]
        runs = [m.sel(**rest) for m in runs] if rest else runs
        if not index.ndim:
            return runs[0]
        return TrainedGrid(index.copy(data=np.arange(index.size).reshape(index.shape)), tuple(runs))

    def save(self, path: str | Path) -> Path:
        """Keep all readouts in a zarr store; as :meth:`Trained.save`."""
        from xmass.training.stored import save_grid

        return save_grid(self, path)


def over_grid(grid: Grid, fit: Callable[[FeatureLayer], Trained], taken: Sequence[Hashable]) -> TrainedGrid:
    """A fit for every combination."""
    clash = [d for d in grid.index.dims if d in taken]
    if clash:
        raise ValueError(f"{clash[0]!r} is a dim of a hyper-parameter and of the data: rename it, as in .rename({clash[0]}='run').")
    return TrainedGrid(grid.index, tuple(fit(layer) for layer in grid.layers))
