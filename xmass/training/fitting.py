"""Fitting a readout to the features of a layer."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import xarray as xr

from xmass.labelled.schema import UNITS
from xmass.training.frame import Column, Rows, columns_of, matrix_of, names_of, rows_of
from xmass.training.grid import TrainedGrid, grid_of, over_grid
from xmass.training.layer import FeatureLayer
from xmass.training.online import LMS, RLS, learn
from xmass.training.ridge import Ridge, Solved
from xmass.training.trained import Trained, time_unit_of, washout_of

FEATURE = "feature"


def fit_layer(
    layer: FeatureLayer,
    ds: xr.Dataset,
    *,
    x: str | Sequence[str],
    y: str | Sequence[str] | None,
    readout: Any,
    features: str | Sequence[str],
    target: str,
    washout: int | None,
) -> Trained | TrainedGrid:
    """What :meth:`FeatureLayer.fit` does."""
    one = partial(_fit_one, ds=ds, x=x, y=y, readout=readout, features=features, target=target, washout=washout)
    grid = grid_of(layer)
    if grid is None:
        return one(layer)
    taken = (*ds.dims, FEATURE) if isinstance(ds, xr.Dataset) else (FEATURE,)
    if isinstance(readout, Ridge) and readout.path:
        taken = (*taken, readout.path[0])
    return over_grid(grid, one, taken)


def _fit_one(
    layer: FeatureLayer,
    ds: xr.Dataset,
    *,
    x: str | Sequence[str],
    y: str | Sequence[str] | None,
    readout: Any,
    features: str | Sequence[str],
    target: str,
    washout: int | None,
) -> Trained:
    readout = Ridge() if readout is None else readout
    _check(readout, y, target)
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"came a {type(ds).__name__}, needs a Dataset: array.to_dataset(name='x').")
    names = names_of(x, "x")
    wide: tuple[Hashable, ...] = names_of(features, "features")
    rows = rows_of(ds, names, wide)
    inputs = columns_of(ds, names, rows.dims, "x")
    u = matrix_of(ds, inputs, rows, "x")
    ahead = y is None
    if y is None:
        if rows.sizes[-1] < 2:
            raise ValueError("the series has 1 sample, needs 2 or more: without y= the target is the next one.")
        outputs = inputs
        aim = u[:, 1:] - u[:, :-1] if target == "increment" else u[:, 1:]
        u = u[:, :-1]
    else:
        outputs = columns_of(ds, names_of(y, "y"), rows.dims, "y")
        aim = matrix_of(ds, outputs, rows, "y")
    skip = washout_of(layer, washout, u.shape[1])
    inputs_named = [label for c in inputs for label in c.labels]
    common: dict[str, Any] = dict(
        layer=layer,
        inputs=inputs,
        outputs=outputs,
        features=wide,
        dt=rows.dt,
        time_unit=time_unit_of(ds[list(names)]),
        ahead=ahead,
        increment=ahead and target == "increment",
    )
    feature_names = layer.names(inputs_named)
    if isinstance(readout, (RLS, LMS)):
        return _online(readout, u, aim, skip, feature_names, rows, common)
    f = layer.run(u, training=True)[:, skip:]
    table, wanted = f.reshape(-1, f.shape[-1]), aim[:, skip:].reshape(-1, aim.shape[-1])
    if isinstance(readout, Ridge):
        return _ridge(readout, table, wanted, feature_names, common)
    estimator = copy.deepcopy(readout)
    estimator.fit(table, wanted[:, 0] if wanted.shape[1] == 1 else wanted)
    said = np.asarray(estimator.predict(table)).reshape(wanted.shape)
    history = xr.Dataset({"error": ((), float(((said - wanted) ** 2).mean()))})
    return Trained(weights=_estimator_weights(estimator, outputs, feature_names), history=history, estimator=estimator, **common)


def features_of(layer: FeatureLayer, ds: xr.Dataset, *, x: str | Sequence[str], features: str | Sequence[str]) -> xr.DataArray:
    """What :meth:`FeatureLayer.transform` does."""
    grid = grid_of(layer)
    if grid is not None:
        parts = [features_of(one, ds, x=x, features=features).to_dataset() for one in grid.layers]
        return grid.combined(parts)["features"]
    names = names_of(x, "x")
    rows = rows_of(ds, names, names_of(features, "features"))
    inputs = columns_of(ds, names, rows.dims, "x")
    f = layer.run(matrix_of(ds, inputs, rows, "x"))
    labels = list(layer.names([label for c in inputs for label in c.labels]))
    coords = {**rows.coords, FEATURE: (FEATURE, labels, {"long_name": "feature"})}
    values = f.reshape(*rows.sizes, len(labels))
    return xr.DataArray(values, dims=(*rows.dims, FEATURE), coords=coords, name="features")


def _check(readout: Any, y: Any, target: str) -> None:
    if target not in ("state", "increment"):
        raise ValueError(f"target={target!r}, needs 'state' or 'increment'.")
    if y is not None and target == "increment":
        raise ValueError("target='increment' with y=: the increment is that of x. Leave y out, or take the difference in the Dataset.")
    if isinstance(readout, type):
        raise TypeError(f"readout is the class {readout.__name__}, needs an object: readout={readout.__name__}().")
    known = isinstance(readout, (Ridge, RLS, LMS))
    if not known and not (callable(getattr(readout, "fit", None)) and callable(getattr(readout, "predict", None))):
        raise TypeError(f"readout is a {type(readout).__name__}, needs Ridge(), RLS(), LMS() or an object with fit(X, Y) and predict(X).")
    if isinstance(readout, (RLS, LMS)) and readout.force and y is not None:
        raise ValueError(f"{type(readout).__name__}(force=True) with y=: what is fed back must be the inputs. Leave y out.")


def _ridge(ridge: Ridge, table: np.ndarray, wanted: np.ndarray, names: tuple[str, ...], common: dict[str, Any]) -> Trained:
    solved = ridge.solve(table, wanted)
    path = ridge.path
    w, b = solved.weights, solved.intercept
    scores: dict[Hashable, Any] = {}
    coords: dict[Hashable, Any] = {}
    if solved.error is not None and solved.best is not None:
        alphas = np.atleast_1d(np.asarray(ridge.alpha, dtype=np.float64))
        dim = path[0] if path else "alpha"
        for c, part in _columns(solved.error, common["outputs"]):
            scores[f"cv_error.{c.name}"] = ((dim, *c.dims), part.reshape(-1, *c.sizes), {"long_name": "error of cross-validation, squared"})
            coords |= c.coords
        coords |= {dim: alphas}
        scores["chosen"] = ((), alphas[solved.best], {"long_name": "penalty with the least error", "units": "1"})
        w, b, path = w[solved.best], b[solved.best], None
    elif path is None:
        w, b = w[0], b[0]
    error = _squared(table, wanted, Solved(np.atleast_3d(w) if w.ndim == 3 else w[None], b if b.ndim == 2 else b[None]))
    if path is None:
        scores["error"] = ((), error[0], {"long_name": "mean square error of the fit"})
    else:
        scores["error"] = (path[0], error, {"long_name": "mean square error of the fit"})
        coords |= {path[0]: path[1].values}
    weights = _weights(w, b, common["outputs"], names, path)
    return Trained(weights=weights, history=xr.Dataset(scores, coords=coords), path=path[0] if path else None, **common)


def _squared(table: np.ndarray, wanted: np.ndarray, solved: Solved) -> np.ndarray:
    pairs = zip(solved.weights, solved.intercept, strict=True)
    return np.array([((table @ w + b - wanted) ** 2).mean() for w, b in pairs])


def _online(
    rule: RLS | LMS, u: np.ndarray, aim: np.ndarray, skip: int, names: tuple[str, ...], rows: Rows, common: dict[str, Any]
) -> Trained:
    layer: FeatureLayer = common["layer"]
    fixed = layer.fixed(u.shape[2])
    w0 = np.zeros((len(names) + rule.intercept, aim.shape[2]))
    along = [np.moveaxis(a, 1, 0) for a in (u, aim)]
    with jax.enable_x64(True):
        start = layer.start(len(u), u.shape[2])
        w, error = learn(layer.kernel, rule, fixed, start, *along, w0, rule.begin(len(w0)), washout=skip, increment=common["increment"])
        w, error = np.asarray(w), np.asarray(error)
    b = w[0] if rule.intercept else np.zeros(w.shape[1])
    w = w[1:] if rule.intercept else w
    if not np.isfinite(w).all():
        cure = "take a smaller rate, or normalize=True" if isinstance(rule, LMS) else "raise alpha, or take forgetting nearer to 1"
        raise ValueError(f"the weights of {rule!r} are not finite: scale the inputs, {cure}.")
    about = {"long_name": "mean square error before the correction"}
    coords = {rows.time: rows.coords[rows.time][skip : len(along[0])]} if rows.time in rows.coords else {}
    history = xr.Dataset({"error": (rows.time, error[skip:], about)}, coords=coords)
    return Trained(weights=_weights(w, b, common["outputs"], names, None), history=history, **common)


def _columns(values: np.ndarray, outputs: Sequence[Column]) -> list[tuple[Column, np.ndarray]]:
    found, at = [], 0
    for c in outputs:
        found.append((c, values[..., at : at + c.width]))
        at += c.width
    return found


def _weights(
    w: np.ndarray, b: np.ndarray, outputs: Sequence[Column], names: tuple[str, ...], path: tuple[str, xr.DataArray] | None
) -> xr.Dataset:
    front = (path[0],) if path else ()
    lead = w.shape[:1] if path else ()
    out: dict[Hashable, Any] = {}
    coords: dict[Hashable, Any] = {FEATURE: (FEATURE, list(names), {"long_name": "feature"})}
    for (c, part), (_, first) in zip(_columns(w, outputs), _columns(b, outputs), strict=True):
        dims = tuple(f"{FEATURE}_out" if d == FEATURE else d for d in c.dims)
        about = {"long_name": f"weights of {c.name}"}
        out[c.name] = ((*front, FEATURE, *dims), np.reshape(part, (*lead, len(names), *c.sizes)), about)
        about = {"long_name": f"intercept of {c.name}", **{k: v for k, v in c.attrs.items() if k == UNITS}}
        out[f"{c.name}.intercept"] = ((*front, *dims), np.reshape(first, (*lead, *c.sizes)), about)
        coords |= {d: c.coords[k] for d, k in zip(dims, c.dims, strict=True) if k in c.coords}
    if path:
        coords[path[0]] = path[1]
    return xr.Dataset(out, coords=coords)


def _estimator_weights(estimator: Any, outputs: Sequence[Column], names: tuple[str, ...]) -> xr.Dataset:
    width = sum(c.width for c in outputs)
    coef = np.asarray(getattr(estimator, "coef_", np.zeros(0)), dtype=np.float64)
    if coef.size != width * len(names):
        return xr.Dataset()
    intercept = np.broadcast_to(np.asarray(getattr(estimator, "intercept_", 0.0), dtype=np.float64).ravel(), (width,))
    return _weights(coef.reshape(width, len(names)).T, np.array(intercept), outputs, names, None)
