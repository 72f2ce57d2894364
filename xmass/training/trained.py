"""A layer with its fitted readout: predictions, and forecasts that feed on themselves."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.labelled.schema import UNITS, time_dim
from xmass.training.frame import SAME_STEP, Column, Rows, labelled, matrix_of, rows_of
from xmass.training.layer import FeatureLayer, closed_loop, scan
from xmass.training.online import LMS, RLS
from xmass.training.ridge import Ridge


class Estimator(Protocol):
    """What a readout of your own needs: the two methods that estimators of scikit-learn have."""

    def fit(self, x: Any, y: Any, /) -> Any:
        """Fit to features ``(row, feature)`` and targets ``(row, target)``, ``(row,)`` if there is one."""

    def predict(self, x: Any, /) -> Any:
        """Targets of features."""


Readout = Ridge | RLS | LMS | Estimator


@dataclass(frozen=True)
class Trained:
    """What ``fit`` of :class:`NVAR` and :class:`Reservoir` returns.

    Attributes
    ----------
    layer : NVAR or Reservoir
        What made the features.
    weights : Dataset
        For each output ``<name>(feature, ...)`` and ``<name>.intercept(...)``; the dim of a path of penalties in front. The coordinate
        ``feature`` has names. Empty for an estimator without ``coef_``.
    history : Dataset
        How the fit went: ``error``, the mean square error of the rows that were fitted; with cross-validation also ``cv_error`` for every
        penalty, and the chosen ``alpha``; for RLS and LMS the error before each correction over time.
    estimator : object, optional
        The readout, if it is one of your own.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.lorenz(duration=20.0)
    >>> model = xm.training.NVAR(orders=[2]).fit(ds, x=["x", "y", "z"])
    >>> sorted(model.weights)
    ['x', 'x.intercept', 'y', 'y.intercept', 'z', 'z.intercept']
    >>> model.forecast(5, from_=ds).sizes["time"]
    5
    """

    layer: FeatureLayer
    weights: xr.Dataset
    history: xr.Dataset
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    features: tuple[Hashable, ...]
    dt: float
    time_unit: str | None
    ahead: bool
    increment: bool
    path: Hashable | None = None
    estimator: Any = None

    def predict(self, ds: xr.Dataset, *, washout: int | None = None) -> xr.Dataset:
        """Predict from a Dataset with the variables of the fit.

        Parameters
        ----------
        ds : Dataset
            ``x`` of the fit, in steps of the same length; batch dims may differ.
        washout : int, optional
            Samples at the start that are not predicted, ``layer.memory`` if not given. They are the warm-up: put the end of what came
            before in front.

        Returns
        -------
        Dataset
            The outputs with the units of the fit, on the dims and coordinates of ``ds``. A fit without ``y`` predicts one step ahead,
            and the stamp is that of the moment that is predicted: the result subtracts from ``ds`` by label, and ends one step later.

        Raises
        ------
        ValueError
            If a dim, unit or step differs from the fit, or a value is not finite, or no sample is left.
        KeyError
            If a variable is missing.
        """
        rows, u = self._read(ds)
        skip = washout_of(self.layer, washout, rows.sizes[-1])
        f = self.layer.run(u)[:, skip:]
        values = self._apply(f)
        if self.increment:
            values = values + u[:, skip:]
        kept = _from(rows, skip, self.dt if self.ahead else None)
        front = None
        if self.path is not None:
            front = (self.path, self.weights[self.path])
        return labelled(values, self.outputs, kept, ahead=front)

    def forecast(self, n_steps: int, *, from_: xr.Dataset) -> xr.Dataset:
        """Run free: what was predicted is the next input.

        Parameters
        ----------
        n_steps : int
            How many samples.
        from_ : Dataset
            The past, which the layer is driven by before it runs free: at least ``layer.memory`` + 1 samples. Forecasts start after its
            last sample, one for each entry of its batch dims.

        Returns
        -------
        Dataset
            The variables of the fit, at the ``n_steps`` times that follow.

        Warns
        -----
        RuntimeWarning
            If a forecast grows beyond all numbers: a readout with a small error of one step may be unstable in the loop.

        Raises
        ------
        ValueError
            If the fit had a ``y``, or several penalties of which none is chosen; if the past is too short, or does not match.
        """
        if not self.ahead:
            raise ValueError("the fit had y=, so its outputs are no inputs: a forecast needs fit(ds, x=...) without y.")
        if self.path is not None:
            raise ValueError(
                f"there is a readout for every {self.path!r}, needs one: model.sel({self.path}=...), or Ridge(alpha=..., cv='loo')."
            )
        if isinstance(n_steps, bool) or not isinstance(n_steps, (int, np.integer)) or n_steps < 1:
            raise ValueError(f"n_steps={n_steps!r}, needs a whole number of steps, 1 or more.")
        rows, u = self._read(from_)
        washout_of(self.layer, None, rows.sizes[-1])
        fixed = self.layer.fixed(u.shape[2])
        past, last = np.moveaxis(u[:, :-1], 1, 0), u[:, -1]
        with jax.enable_x64(True):
            state = jnp.asarray(self.layer.start(len(u), u.shape[2]))
            if len(past):
                state, _ = scan(self.layer.kernel, fixed, state, past, np.zeros((len(past), 1, 1)))
            if self.estimator is None:
                w, b = self.linear()
                out = np.asarray(
                    closed_loop(self.layer.kernel, fixed, state, jnp.asarray(last), w, b, steps=int(n_steps), increment=self.increment)
                )
            else:
                out = self._estimator_loop(fixed, state, last, int(n_steps))
        if not np.isfinite(out).all():
            first = int(np.argmax(~np.isfinite(out).all(axis=(1, 2))))
            warnings.warn(
                f"the forecast is not finite from step {first + 1} on: the readout is unstable when it feeds on itself, however small its "
                "error of one step. Fit with a larger penalty, RLS(force=True), other orders or delays, or more data.",
                RuntimeWarning,
                stacklevel=2,
            )
        stamps = _stamps(rows, int(n_steps), self.dt)
        coords = {k: c for k, c in rows.coords.items() if rows.time not in c.dims}
        ahead = Rows(rows.dims, (*rows.sizes[:-1], int(n_steps)), {**coords, rows.time: stamps}, rows.time, self.dt)
        return labelled(np.moveaxis(out, 0, 1), self.outputs, ahead)

    def sel(self, **penalty: float) -> Trained:
        """One readout of a path: ``model.sel(alpha=1e-6)``, the nearest penalty.

        Parameters
        ----------
        **penalty : float
            The dim of the path and a value along it.

        Returns
        -------
        Trained
            With that readout alone.

        Raises
        ------
        ValueError
            If this is no path, or another dim is named.
        """
        if self.path is None or set(penalty) != {self.path}:
            raise ValueError(
                f"sel came with {list(penalty)}, but the readouts are {f'along {self.path!r}' if self.path is not None else 'one'}."
            )
        history = self.history.sel(penalty, method="nearest") if self.path in self.history.dims else self.history
        return replace(self, weights=self.weights.sel(penalty, method="nearest"), history=history, path=None)

    def save(self, path: str | Path) -> Path:
        """Keep layer, readout and history in a zarr store, from which :func:`xmass.training.load_trained` makes this again.

        Parameters
        ----------
        path : path
            A directory; a store of a fitted readout that is there is replaced.

        Returns
        -------
        Path
            The same.

        Raises
        ------
        TypeError
            If the readout is an estimator that is more than ``coef_`` and ``intercept_``, or the layer is of your own: that is code, which
            is not stored. The weights of a linear estimator are.
        FileExistsError
            If there is something else.
        """
        from xmass.training.stored import save

        return save(self, path)

    def _read(self, ds: xr.Dataset) -> tuple[Rows, np.ndarray]:
        if not isinstance(ds, xr.Dataset):
            raise TypeError(f"came a {type(ds).__name__}, needs a Dataset with {[c.name for c in self.inputs]}.")
        missing = [c.name for c in self.inputs if c.name not in ds]
        if missing:
            raise KeyError(f"the Dataset has no {missing}, which the fit had as inputs: it has {sorted(map(str, ds.data_vars))}.")
        rows = rows_of(ds, [c.name for c in self.inputs], self.features)
        check_step(ds, rows, self.dt, self.time_unit)
        return rows, matrix_of(ds, self.inputs, rows, "x")

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights ``(path?, feature, column)`` and intercept ``(path?, column)``."""
        lead = () if self.path is None else (self.weights.sizes[self.path],)
        size = self.weights.sizes["feature"]
        w = [self.weights[c.name].values.reshape(*lead, size, c.width) for c in self.outputs]
        b = [self.weights[f"{c.name}.intercept"].values.reshape(*lead, c.width) for c in self.outputs]
        return np.concatenate(w, axis=-1), np.concatenate(b, axis=-1)

    def _apply(self, f: np.ndarray) -> np.ndarray:
        if self.estimator is not None:
            return np.asarray(self.estimator.predict(f.reshape(-1, f.shape[-1]))).reshape(*f.shape[:2], -1)
        w, b = self.linear()
        if self.path is None:
            return f @ w + b
        return np.einsum("btf,afc->abtc", f, w, optimize=True) + b[:, None, None]

    def _estimator_loop(self, fixed: Any, state: Any, u: np.ndarray, steps: int) -> np.ndarray:
        # an object with predict() runs on the host: this loop cannot be compiled
        out = []
        for _ in range(steps):
            state, f = scan(self.layer.kernel, fixed, state, u[None], np.zeros((1, 1, 1)))
            new = np.asarray(self.estimator.predict(np.asarray(f[0]))).reshape(len(u), -1)
            u = new + u if self.increment else new
            out.append(u)
        return np.stack(out)


def washout_of(layer: FeatureLayer, washout: int | None, length: int) -> int:
    """Samples to drop, checked against the length of the series."""
    skip = layer.memory if washout is None else washout
    if isinstance(skip, bool) or not isinstance(skip, (int, np.integer)) or skip < 0:
        raise ValueError(f"washout={washout!r}, needs a whole number of samples, 0 or more.")
    if skip >= length:
        raise ValueError(
            f"the series has {length} samples, of which the first {skip} are warm-up, needs more: give a longer one, or washout=."
        )
    return int(skip)


def check_step(ds: xr.Dataset, rows: Rows, dt: float, unit: str | None) -> None:
    """That time has the step and the unit of the fit."""
    came = ds[rows.time].attrs.get(UNITS) if rows.time in ds.coords else None
    if came != unit:
        raise ValueError(f"{rows.time} is in {came!r}, needs {unit!r} as in the fit: convert it and set ds.{rows.time}.attrs['units'].")
    if rows.sizes[-1] > 1 and abs(rows.dt - dt) > SAME_STEP * dt:
        raise ValueError(f"{rows.time} has steps of {rows.dt:g}, needs {dt:g} as in the fit: resample with .interp({rows.time}=...).")


def time_unit_of(ds: xr.Dataset) -> str | None:
    """The unit of time, None if it has none."""
    time = time_dim(ds)
    return ds[time].attrs.get(UNITS) if time in ds.coords else None


def _stamps(rows: Rows, count: int, dt: float) -> xr.DataArray:
    time = rows.coords.get(rows.time)
    last, attrs = (float(time[-1]), time.attrs) if time is not None else (rows.sizes[-1] - 1.0, {})
    return xr.DataArray(np.round(last + dt * np.arange(1, count + 1), 12), dims=[rows.time], attrs=attrs)


def _from(rows: Rows, skip: int, ahead: float | None) -> Rows:
    """Rows without the first ones; shifted one sample on if what is labelled is the next moment."""
    sizes = (*rows.sizes[:-1], rows.sizes[-1] - skip)
    if ahead is None:
        coords = {k: c.isel({rows.time: slice(skip, None)}) if rows.time in c.dims else c for k, c in rows.coords.items()}
        return Rows(rows.dims, sizes, coords, rows.time, rows.dt)
    coords = {k: c for k, c in rows.coords.items() if rows.time not in c.dims}
    known = rows.coords.get(rows.time)
    after = _stamps(rows, 1, ahead)
    before = known.values[skip + 1 :] if known is not None else np.arange(skip + 1.0, rows.sizes[-1])
    stamps = xr.DataArray(np.concatenate([before, after.values]), dims=[rows.time], attrs=after.attrs)
    return Rows(rows.dims, sizes, {**coords, rows.time: stamps}, rows.time, rows.dt)
