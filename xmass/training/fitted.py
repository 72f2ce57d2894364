"""Trained weights: as a Dataset, and as what predicts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xmass.labelled.schema import UNITS
from xmass.training.data import Frame, inputs_of, is_lazy, predicted, rows_in, samples, targets_of
from xmass.training.feeds import LARGEST, check_size
from xmass.training.frame import Rows
from xmass.training.program import Program
from xmass.training.saved import COORDINATES
from xmass.training.setup import Setup, check_names, dims_of, given_weights, labels_of


@dataclass(frozen=True, eq=False)
class Fitted:
    """A setup with trained numbers, on the host; an axis of runs in front if there are several."""

    frame: Frame
    made: Setup
    trained: Mapping[str, np.ndarray]
    fixed: Mapping[str, np.ndarray]

    @property
    def program(self) -> Program:
        """What is compiled."""
        return self.made.program

    def dataset(self) -> xr.Dataset:
        """All arrays, and the values of trained parameters, by ``<layer>.<name>``."""
        runs = self.made.runs
        values = {p: np.array(v) for p, v in self.program.run_values(dict(self.trained)).items()}
        made: dict[str, tuple[Any, ...]] = {}
        for path, weight in self.made.weights.items():
            array = self.trained[path] if path in self.trained else self.fixed[path]
            made[path] = (dims_of(path, weight), np.array(array), {UNITS: weight.unit})
        for path, (_, spec) in self.made.params.items():
            made[path] = ((), values[path], {UNITS: spec.unit, "long_name": spec.meaning})
        ds = runs.labelled(made)
        return ds.assign_coords(self._coords(ds))

    def predict(self, ds: xr.Dataset, record: Sequence[str], batch_size: int | None) -> xr.Dataset:
        """What :meth:`Trainer.predict` does."""
        frame, program, runs = self.frame, self.program, self.made.runs
        wanted = self._records(record)
        rows = rows_in(ds, frame)
        check_names(runs, {*rows.dims, *rows.coords}, "the data")
        check_size(batch_size)
        number = int(np.prod(rows.sizes[:-1], dtype=int))
        size = min(batch_size or LARGEST, number)
        lazy = is_lazy(ds, [c.name for c in frame.inputs])
        x = None if lazy else inputs_of(ds, frame, rows, program.dtype)
        outs: list[np.ndarray] = []
        seen: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        for at in range(0, number, size):
            which = np.arange(at, min(at + size, number))
            part = (
                inputs_of(*_framed(samples(ds, rows, which, [c.name for c in frame.inputs]), frame), program.dtype)
                if x is None
                else x[:, which]
            )
            out, found = program.run_output(self.trained, self.fixed, self.made.hyper, part, wanted)
            outs.append(np.asarray(out))
            for name in wanted:
                seen[name].append(np.asarray(found[name]))
        lead = 0 if runs.count is None else 1
        whole = np.concatenate(outs, axis=lead + int(frame.timed))
        whole = runs.spread(whole)
        made = predicted(whole, frame, rows, runs.dims, runs.shape)
        for name in wanted:
            values = np.concatenate(seen[name], axis=lead + 1)
            values = np.moveaxis(runs.spread(values), len(runs.shape), len(runs.shape) + 1)
            layer, _, own = name.rpartition(".")
            about = next(r for r in self._layer(layer).records if r.name == own)
            tail = values.shape[len(runs.shape) + 2 :]
            dims = (*runs.dims, *rows.dims, *([f"{layer}_unit"] if tail else []))
            made[name] = (dims, values.reshape(*runs.shape, *rows.sizes, *tail), {UNITS: about.unit, "long_name": about.meaning or own})
        return made.assign_coords({**runs.coords, **rows.coords} if wanted else runs.coords)

    def _layer(self, name: str) -> Any:
        return dict(zip(self.program.model.names, self.program.model.layers, strict=True))[name]

    def _records(self, record: Sequence[str]) -> tuple[str, ...]:
        """Full names of records."""
        model = self.program.model
        known = [f"{name}.{r.name}" for name, layer in zip(model.names, model.layers, strict=True) for r in layer.records]
        found: list[str] = []
        for name in record:
            hit = [k for k in known if k == name or k.rpartition(".")[2] == name]
            if not hit:
                raise ValueError(f"record names {name!r}, which no layer has: there are {known}.")
            found += hit
        return tuple(dict.fromkeys(found))

    def evaluate(self, ds: xr.Dataset, batch_size: int | None) -> xr.Dataset:
        """What :meth:`Trainer.evaluate` does."""
        rows = rows_in(ds, self.frame)
        check_size(batch_size)
        x, y = inputs_of(ds, self.frame, rows, self.program.dtype), targets_of(ds, self.frame, rows, self.program.dtype)
        row = self.program.run_measure(self.trained, self.fixed, self.made.hyper, x, y, size=min(batch_size or LARGEST, x.shape[1]))
        return self.made.runs.labelled({name: ((), np.array(v), {"long_name": name}) for name, v in row.items()})

    def _coords(self, ds: xr.Dataset) -> dict[Hashable, Any]:
        """Names of the columns that go in, and of those that come out."""
        found = labels_of(self.program.model, self.frame)
        return {d: labels for d, labels in found.items() if d in ds.dims and ds.sizes[d] == len(labels)}


def _framed(part: tuple[xr.Dataset, Rows], frame: Frame) -> tuple[xr.Dataset, Frame, Rows]:
    return part[0], frame, part[1]


def loaded(ds: xr.Dataset, frame: Frame, made: Setup) -> Fitted:
    """Weights that were stored, in the place of trained ones."""
    runs, dtype = made.runs, made.program.dtype
    arrays = given_weights(ds[[n for n in ds.data_vars if n in made.weights]], made.weights, runs)

    def every(values: np.ndarray, inner: int) -> np.ndarray:
        lead = runs.count is not None and values.ndim == inner
        return np.array(np.broadcast_to(values, (runs.count or 1, *values.shape)) if lead else values, dtype)

    plain = {p: every(arrays[p], len(w.shape)) for p, w in made.weights.items()}
    trained = {p: v for p, v in plain.items() if p not in made.program.frozen}
    for path in made.params:
        z = ds[f"{COORDINATES}{path}"]
        trained[path] = np.array(z.transpose(*runs.sizes, ...).values.reshape(-1 if runs.sizes else 1, *z.shape[len(runs.sizes) :]), dtype)
        trained[path] = trained[path] if runs.sizes else trained[path][0]
    return Fitted(frame, made, trained, {p: v for p, v in plain.items() if p in made.program.frozen})
