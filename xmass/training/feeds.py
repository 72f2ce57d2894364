"""How data reach the compiled updates: all at once, batch by batch from dask, or drawn inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.fit.fingerprint import fingerprint
from xmass.training.checkpoint import digest
from xmass.training.data import Frame, Generator, inputs_of, is_lazy, rows_in, samples, targets_of
from xmass.training.frame import Rows
from xmass.training.program import Program, averaged, orders_of

LARGEST = 1024  # samples that the network sees at once where no gradient is needed
UPDATES = 100  # of an epoch of a generator


class Carried(NamedTuple):
    """What every update of a fit takes besides data."""

    fixed: Any
    hyper: Any
    keys: Any
    patience: Any


class Feed(Protocol):
    """Data for a fit; updates are counted from 0."""

    @property
    def per_epoch(self) -> int:
        """Updates of an epoch."""

    @property
    def batch(self) -> int:
        """Samples of an update."""

    def said(self) -> dict[str, Any]:
        """The data in JSON values."""

    def next(self, done: int, total: int) -> int:
        """How many updates until the next entry of the history."""

    def run(self, program: Program, state: Any, carried: Carried, done: int, count: int, stop: Callable[[], bool]) -> tuple[Any, Any]:
        """State and losses after ``count`` updates; no losses, and the old state, if it was stopped on the way."""


@dataclass(frozen=True, eq=False)
class Memory:
    """A Dataset in memory."""

    x: Any
    y: Any
    held: Any
    batch: int
    shuffle: bool
    every: int
    chunk: int

    @property
    def per_epoch(self) -> int:
        """Updates of a pass."""
        return -(-self.x.shape[1] // self.batch)

    def said(self) -> dict[str, Any]:
        """Their digest, and how they are cut."""
        held = None if self.held is None else digest(*self.held)
        cut = {"batch_size": self.batch, "shuffle": self.shuffle, "report_every": self.every}
        return {"samples": digest(self.x, self.y), "validation": held, **cut}

    def next(self, done: int, total: int) -> int:
        """Whole passes, or what is left of one."""
        per = self.per_epoch
        if done % per == 0 and total - done >= per:
            return per * min(self.every - done // per % self.every, (total - done) // per)
        return min(per - done % per, total - done)

    def run(self, program: Program, state: Any, carried: Carried, done: int, count: int, stop: Callable[[], bool]) -> tuple[Any, Any]:
        """All in one compiled call."""
        per, rest = self.per_epoch, self.x.shape[1] % self.batch
        passes = max(count // per, 1)
        ends = count // per >= 1 or (done + count) % per == 0
        tail = rest if ends and self.x.shape[1] > self.batch else 0
        batches = min(count, per) - bool(tail)
        mixed = self.shuffle and self.batch < self.x.shape[1]
        orders = orders_of(carried.keys, np.int32(done // per), count=passes, number=self.x.shape[1], shuffle=mixed)
        return program.run_passes(
            state, carried.fixed, carried.hyper, orders, (self.x, self.y), self.held, np.int32(done % per), carried.patience,
            batches=batches, size=self.batch, tail=tail, chunk=self.chunk,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Drawn:
    """A generator."""

    draw: Callable[[Any], Any]
    code: str
    held: Any
    batch: int
    every: int
    chunk: int

    @property
    def per_epoch(self) -> int:
        """Updates between two entries of the history."""
        return self.every

    def said(self) -> dict[str, Any]:
        """The code that draws."""
        held = None if self.held is None else digest(*self.held)
        return {"generator": self.code, "validation": held, "batch_size": self.batch, "report_every": self.every}

    def next(self, done: int, total: int) -> int:
        """Up to the next entry."""
        return min(self.every - done % self.every, total - done)

    def run(self, program: Program, state: Any, carried: Carried, done: int, count: int, stop: Callable[[], bool]) -> tuple[Any, Any]:
        """All in one compiled call."""
        c = carried
        return program.run_drawn(
            state, c.fixed, c.hyper, c.keys, self.held, np.int32(done), c.patience, draw=self.draw, count=count, chunk=self.chunk
        )


@dataclass(frozen=True, eq=False)
class Lazy:
    """A Dataset that dask reads: a batch at a time is in memory, while the one before is computed with."""

    ds: xr.Dataset
    frame: Frame
    rows: Rows
    held: Any
    """Validation data in memory, or a Dataset and its rows."""
    batch: int
    shuffle: bool
    every: int
    chunk: int
    dtype: Any

    @property
    def count(self) -> int:
        """How many samples there are."""
        return int(np.prod(self.rows.sizes[:-1], dtype=int))

    @property
    def per_epoch(self) -> int:
        """Updates of a pass."""
        return -(-self.count // self.batch)

    def said(self) -> dict[str, Any]:
        """Sizes and coordinates: values on disk are not read for it."""
        coords = {str(k): digest(c.values.astype(str)) for k, c in self.rows.coords.items()}
        sizes = {str(d): int(n) for d, n in zip(self.rows.dims, self.rows.sizes, strict=True)}
        cut = {"batch_size": self.batch, "shuffle": self.shuffle, "report_every": self.every, "validation": self.held is not None}
        return {"sizes": sizes, "coords": coords, **cut}

    def next(self, done: int, total: int) -> int:
        """To the end of the pass."""
        return min(self.per_epoch - done % self.per_epoch, total - done)

    def _read(self, ds: xr.Dataset, rows: Rows, which: np.ndarray) -> tuple[Any, Any]:
        names = [c.name for c in (*self.frame.inputs, *self.frame.outputs)]
        part, own = samples(ds, rows, which, list(dict.fromkeys(names)))
        return inputs_of(part, self.frame, own, self.dtype), targets_of(part, self.frame, own, self.dtype)

    def run(self, program: Program, state: Any, carried: Carried, done: int, count: int, stop: Callable[[], bool]) -> tuple[Any, Any]:
        """Update by update."""
        key = carried.keys[0] if program.seeded else carried.keys
        mixed = self.shuffle and self.batch < self.count
        order = np.asarray(orders_of(key, np.int32(done // self.per_epoch), count=1, number=self.count, shuffle=mixed))[0]
        before, rows, sizes = state, [], []
        for b in range(done % self.per_epoch, done % self.per_epoch + count):
            which = order[b * self.batch : (b + 1) * self.batch]
            state, row = program.run_update(state, carried.fixed, carried.hyper, *self._read(self.ds, self.rows, which))
            rows.append(row)
            sizes.append(len(which))
            if stop():
                return before, None
        axis = 0 if program.runs is None else 1
        stacked = jax.tree.map(lambda *v: jnp.stack(v, axis=axis), *rows)
        weight = jnp.asarray(sizes, program.dtype)
        mean = averaged(stacked, weight) if program.runs is None else jax.vmap(lambda r: averaged(r, weight))(stacked)
        found = {"train": mean}
        if self.held is not None:
            found["validation"] = self.measured(program, state, carried, self.held)
        return program.run_ranked(state, list(found.values())[-1]["loss"], carried.patience), found

    def measured(self, program: Program, state: Any, carried: Carried, held: Any) -> Any:
        """Losses of validation data; of those that dask reads the mean over their batches."""
        args = (state.trained, carried.fixed, carried.hyper)
        if not isinstance(held[0], xr.Dataset):
            return program.run_measure(*args, *held, size=self.chunk)
        ds, rows = held
        number = int(np.prod(rows.sizes[:-1], dtype=int))
        total: Any = None
        for at in range(0, number, self.chunk):
            which = np.arange(at, min(at + self.chunk, number))
            part = program.run_measure(*args, *self._read(ds, rows, which), size=self.chunk)
            share = len(which) / number
            part = {name: v * share for name, v in part.items()}
            total = part if total is None else jax.tree.map(jnp.add, total, part)
        return total


def check_size(batch_size: Any) -> None:
    """Refuse what is no number of samples."""
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
        raise ValueError(f"batch_size={batch_size!r}, needs a whole number of samples, 1 or more.")


def feed_of(
    ds: xr.Dataset | Generator,
    frame: Frame,
    program: Program,
    validation: xr.Dataset | None,
    *,
    batch_size: int | None,
    shuffle: bool,
    report_every: int | None,
) -> Feed:
    """The feed for what was given to fit."""
    dtype = program.dtype
    names = [c.name for c in (*frame.inputs, *frame.outputs)]
    check_size(batch_size)
    held: Any = None
    chunk = min(batch_size or LARGEST, LARGEST)
    if validation is not None:
        if isinstance(validation, Generator):
            raise TypeError("validation is a Generator, needs a Dataset: validation=generator.sample(seed=1).")
        held_rows = rows_in(validation, frame)
        absent = [n for n in names if n not in validation]
        if absent:
            raise KeyError(f"the validation Dataset has no {absent[0]!r}, which the fit has.")
        held = (validation, held_rows)
        if not (isinstance(ds, xr.Dataset) and is_lazy(ds, names) and is_lazy(validation, names)):
            held = tuple(
                map(jnp.asarray, (inputs_of(validation, frame, held_rows, dtype), targets_of(validation, frame, held_rows, dtype)))
            )
    if isinstance(ds, Generator):
        ds.check(frame)
        rows = rows_in(ds.like, frame, checked=False)
        batch = int(np.prod(rows.sizes[:-1], dtype=int))
        if batch_size not in (None, batch):
            raise ValueError(f"batch_size={batch_size}, but draw(key) makes {batch} samples: leave batch_size out.")
        # the same function for the same generator: another one would be compiled again
        key = (id(ds), *names, *frame.features)
        _, draw = program.draws.setdefault(key, (ds, lambda k: ds.batch(k, frame, rows, dtype)))
        return Drawn(draw, fingerprint(ds.draw), held, batch, report_every or UPDATES, chunk)
    rows = rows_in(ds, frame)
    number = int(np.prod(rows.sizes[:-1], dtype=int))
    batch = min(int(batch_size or number), number)
    if is_lazy(ds, names):
        if batch_size is None:
            raise ValueError("the Dataset is read by dask, needs batch_size=: how many samples are in memory at once. Or ds.load().")
        if report_every not in (None, 1):
            raise ValueError(f"report_every={report_every}, but data that dask reads are reported after every epoch: leave it out.")
        if program.seeded and shuffle:
            raise ValueError(
                "seed has dims and the Dataset is read by dask: runs would need batches of their own. Use ds.load(), or shuffle=False."
            )
        return Lazy(ds, frame, rows, held, batch, shuffle, report_every or 1, chunk, dtype)
    x, y = inputs_of(ds, frame, rows, dtype), targets_of(ds, frame, rows, dtype)
    return Memory(jnp.asarray(x), jnp.asarray(y), held, batch, shuffle, report_every or 1, chunk)
