"""The compiled part of a training: updates of one run, or of many at once, without a visit to the host between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core import model as core
from xmass.core.param import penalty
from xmass.fit.layout import Layout
from xmass.training.optimizers import rate_in, with_rate
from xmass.training.sequential import Arrays, Sequential

INIT, ORDER, DRAW = 0, 1, 2  # what a key is for
Row = dict[str, jax.Array]
Draw = Callable[[Any], tuple[jax.Array, jax.Array]]


class State(NamedTuple):
    """Everything that an update changes; with an axis of runs in front if there are several."""

    trained: Arrays
    memory: Any
    best: Arrays
    best_loss: jax.Array
    since: jax.Array
    """Epochs since the best loss."""
    updates: jax.Array
    ok: jax.Array
    """False after a loss, gradient or weight that is not finite: the weights are those before it."""
    going: jax.Array
    """False once training has stopped early."""


@dataclass(frozen=True, eq=False)
class Program:
    """A network with its losses and its optimiser, for data of some width and one step of time.

    Attributes
    ----------
    model : Sequential
        With all sizes known.
    inputs : int
        Columns of the inputs.
    dt : float
        Time between samples.
    losses, metrics : mapping
        Functions ``f(output, target, weights)`` by name.
    optimizer : optax.GradientTransformation
        Its state may hold the learning rate.
    layout : Layout
        Trained parameters; their coordinates are trained.
    numbers : mapping
        Parameters with one value, by path.
    varied : tuple of str
        Parameters that differ between runs.
    frozen : tuple of str
        Arrays that are not trained.
    runs : int, optional
        How many runs there are in parallel, None for one without an axis.
    seeded : bool
        Whether every run has a key of its own.
    timed : bool
        Whether targets have time.
    clip : float, optional
        Largest norm of a gradient.
    dtype : dtype
        Of all arrays.
    """

    model: Sequential
    inputs: int
    dt: float
    losses: Mapping[str, Callable[..., Any]]
    metrics: Mapping[str, Callable[..., Any]]
    optimizer: Any
    layout: Layout
    numbers: Mapping[str, Any]
    varied: tuple[str, ...]
    frozen: tuple[str, ...]
    runs: int | None
    seeded: bool
    timed: bool
    clip: float | None
    dtype: Any
    draws: dict[Any, Any] = field(default_factory=dict)
    """Functions that draw batches, by generator."""

    # ------------------------------------------------------------------------------------------------------- one run
    def init(self, key: Any, start: Mapping[str, Any], given: Mapping[str, Any], rate: Any) -> tuple[State, Arrays]:
        """The first state and the arrays that stay; ``given`` arrays are not drawn, ``start`` are coordinates of parameters."""
        drawn = self.model.init(self.inputs, jax.random.fold_in(key, INIT), self.dtype) | dict(given)
        trained = {p: v for p, v in drawn.items() if p not in self.frozen} | dict(start)
        with jax.numpy_dtype_promotion("standard"):  # optax is written for it
            memory = self.optimizer.init(trained)
        if rate is not None:
            memory = with_rate(memory, rate)
        zero, yes = jnp.zeros((), jnp.int32), jnp.ones((), bool)
        best = jax.tree.map(jnp.copy, trained)
        state = State(trained, memory, best, jnp.asarray(jnp.inf, self.dtype), zero, zero, yes, yes)
        return state, {p: v for p, v in drawn.items() if p in self.frozen}

    def values(self, trained: Arrays, fixed: Arrays, hyper: Arrays) -> dict[str, Any]:
        """All that the network needs, by path."""
        entries = {e.path: e.value(trained[e.path], "free") for e in self.layout.entries}
        return {**self.numbers, **trained, **fixed, **hyper, **entries}

    def output(self, trained: Arrays, fixed: Arrays, hyper: Arrays, x: jax.Array) -> tuple[jax.Array, Arrays]:
        """Outputs and records."""
        own = {p: v for p, v in hyper.items() if not p.startswith("/")}  # others belong to losses
        return self.model.apply(self.values(trained, fixed, own), x, self.dt)

    def judged(self, trained: Arrays, hyper: Arrays, output: jax.Array, target: jax.Array) -> tuple[jax.Array, Row]:
        """The loss, and every term and metric of it."""
        entries = {e.path for e in self.layout.entries}
        weights = {p: v for p, v in trained.items() if p not in entries}
        row: Row = {}
        total = jnp.zeros((), self.dtype)
        for name, loss in self.losses.items():
            own = {p.rpartition("/")[2]: v for p, v in hyper.items() if p.startswith(f"/{name}/")}
            term = _scalar(
                (core.replace(loss, own) if own else loss)(output, target, weights), self.dtype, f"loss {name!r}" if name else "loss"
            )
            total = total + term
            if name:
                row[f"loss.{name}"] = term
        if any(e.param.reg is not None for e in self.layout.entries):
            row["loss.penalty"] = sum((_penalty(e, trained[e.path]) for e in self.layout.entries), jnp.zeros((), self.dtype))
            total = total + row["loss.penalty"]
        for name, metric in self.metrics.items():
            row[name] = lax.stop_gradient(_scalar(metric(output, target, weights), self.dtype, f"metric {name!r}"))
        return total, {"loss": total, **row}

    def update(self, state: State, fixed: Arrays, hyper: Arrays, x: jax.Array, y: jax.Array) -> tuple[State, Row]:
        """One update; a run whose loss, gradient or weights are not finite keeps what it had, from then on."""

        def loss(trained: Arrays) -> tuple[jax.Array, Row]:
            return self.judged(trained, hyper, self.output(trained, fixed, hyper, x)[0], y)

        (total, row), gradient = jax.value_and_grad(loss, has_aux=True)(state.trained)
        norm = jnp.sqrt(sum((jnp.sum(g**2) for g in gradient.values()), jnp.zeros((), self.dtype)))
        if self.clip is not None:
            shrink = jnp.where(norm > self.clip, self.clip / jnp.where(norm > 0, norm, 1.0), 1.0)
            gradient = {p: g * shrink for p, g in gradient.items()}
        try:
            with jax.numpy_dtype_promotion("standard"):
                change, memory = self.optimizer.update(gradient, state.memory, state.trained, value=total)
        except TypeError as error:
            if "missing" not in str(error):
                raise
            raise TypeError(
                f"optimizer needs more than a gradient and a loss ({error}): use one that does not evaluate on its own."
            ) from error
        trained = {p: v + change[p].astype(v.dtype) for p, v in state.trained.items()}
        whole = jnp.stack([jnp.isfinite(v).all() for v in trained.values()]).all() if trained else jnp.ones((), bool)
        ok = state.ok & jnp.isfinite(total) & jnp.isfinite(norm) & whole
        take = ok & state.going
        new = jax.tree.map(
            lambda old, now: jnp.where(take, jnp.asarray(now, old.dtype), old), (state.trained, state.memory), (trained, memory)
        )
        rate = rate_in(memory)
        row |= {
            "gradient_norm": norm,
            "learning_rate": jnp.full((), jnp.nan, self.dtype) if rate is None else jnp.asarray(rate, self.dtype),
        }
        kept = jnp.where(state.going, ok, state.ok)
        return state._replace(trained=new[0], memory=new[1], updates=state.updates + take.astype(jnp.int32), ok=kept), row | {"taken": take}

    def finish(
        self, state: State, fixed: Arrays, hyper: Arrays, train: Row, held: Any, patience: Any, size: int
    ) -> tuple[State, dict[str, Row]]:
        """The end of an epoch: losses of the validation data, the best weights, and whether to go on."""
        rows = {"train": train}
        if held is not None:
            rows["validation"] = self.measure(state.trained, fixed, hyper, *held, size=size)
        return self.ranked(state, rows[list(rows)[-1]]["loss"], patience), rows

    def ranked(self, state: State, loss: jax.Array, patience: Any) -> State:
        """The state with the best weights so far."""
        live = state.ok & state.going
        better = live & (loss < state.best_loss)
        best = jax.tree.map(lambda old, now: jnp.where(better, now, old), state.best, state.trained)
        since = jnp.where(better, 0, state.since + live.astype(jnp.int32))
        going = state.going & (since < patience)
        return state._replace(best=best, best_loss=jnp.where(better, loss, state.best_loss), since=since, going=going)

    def measure(self, trained: Arrays, fixed: Arrays, hyper: Arrays, x: jax.Array, y: jax.Array, *, size: int) -> Row:
        """Losses and metrics of all samples together; the network sees ``size`` of them at a time."""
        count = x.shape[1]
        if size >= count:
            return self.judged(trained, hyper, self.output(trained, fixed, hyper, x)[0], y)[1]

        def some(at: Any, n: int) -> jax.Array:
            return self.output(trained, fixed, hyper, lax.dynamic_slice_in_dim(x, at, n, 1))[0]

        whole = count // size
        parts = lax.map(lambda k: some(k * size, size), jnp.arange(whole, dtype=jnp.int32))
        axis = parts.ndim - 3  # of the batch in what the network makes
        out = jnp.moveaxis(parts, 0, axis)
        out = out.reshape(*out.shape[:axis], whole * size, *out.shape[axis + 2 :])
        if count % size:
            out = jnp.concatenate([out, some(whole * size, count % size)], axis=axis)
        return self.judged(trained, hyper, out, y)[1]

    def passes(
        self, state: State, fixed: Arrays, hyper: Arrays, orders: Any, data: Any, held: Any, first: Any, patience: Any, *,
        batches: int, size: int, tail: int, chunk: int,
    ) -> tuple[State, dict[str, Row]]:  # fmt: skip
        """Passes over data in memory, from batch ``first`` on, each in an order of ``orders (pass, sample)``.

        Each makes ``batches`` updates of ``size`` samples, and one of the last ``tail``.
        """
        x, y = data
        number = x.shape[1]

        def pick(which: Any) -> tuple[jax.Array, jax.Array]:
            return jnp.take(x, which, axis=1), jnp.take(y, which, axis=int(self.timed))

        def one(state: State, order: Any) -> tuple[State, Row]:
            if size >= number:
                state, row = self.update(state, fixed, hyper, x, y)
                return state, jax.tree.map(lambda v: v[None], row)

            def body(state: State, b: Any) -> tuple[State, Row]:
                return self.update(state, fixed, hyper, *pick(lax.dynamic_slice_in_dim(order, b * size, size)))

            state, rows = lax.scan(body, state, first + jnp.arange(batches, dtype=jnp.int32))
            if tail:
                state, last = self.update(state, fixed, hyper, *pick(order[number - tail :]))
                rows = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), rows, last)
            return state, rows

        state, rows = lax.scan(one, state, orders)
        sizes = np.tile([size] * batches + [tail] * bool(tail), (len(orders), 1))
        train = averaged(jax.tree.map(jnp.ravel, rows), jnp.asarray(sizes.ravel(), self.dtype))
        return self.finish(state, fixed, hyper, train, held, patience, chunk)

    def shape(self, steps: int) -> tuple[Any, Any]:
        """Shapes of outputs and records of one sample of some steps."""

        def one() -> Any:
            key = jax.random.key(0)
            drawn = self.model.init(self.inputs, key, self.dtype)
            some = {p: jnp.zeros((), self.dtype) for p in (*self.varied, *(e.path for e in self.layout.entries))}
            return self.model.apply({**self.numbers, **drawn, **some}, jnp.zeros((steps, 1, self.inputs), self.dtype), self.dt)

        return jax.eval_shape(one)

    def drawn(
        self, state: State, fixed: Arrays, hyper: Arrays, key: Any, held: Any, at: Any, patience: Any, *, draw: Draw, count: int, chunk: int
    ) -> tuple[State, dict[str, Row]]:
        """``count`` updates with fresh batches."""

        def body(state: State, k: Any) -> tuple[State, Row]:
            return self.update(state, fixed, hyper, *draw(jax.random.fold_in(jax.random.fold_in(key, DRAW), k)))

        state, rows = lax.scan(body, state, at + jnp.arange(count, dtype=jnp.int32))
        return self.finish(state, fixed, hyper, averaged(rows, jnp.ones(count, self.dtype)), held, patience, chunk)

    # ------------------------------------------------------------------------------------------------- compiled, all runs
    def _each(self, function: Callable[..., Any], *axes: Any) -> Callable[..., Any]:
        return function if self.runs is None else jax.vmap(function, in_axes=axes, axis_size=self.runs)

    @property
    def _keyed(self) -> int | None:
        return 0 if self.seeded else None

    @cached_property
    def first(self) -> Any:
        """``(key, start, given, rate)`` to the first state and the arrays that stay."""
        return jax.jit(self._each(self.init, self._keyed, 0, 0, 0))

    @cached_property
    def run_passes(self) -> Any:
        """:meth:`passes` of all runs; the state that comes in is gone."""

        def all_runs(
            state: Any, fixed: Any, hyper: Any, orders: Any, data: Any, held: Any, first: Any, patience: Any, **static: Any
        ) -> Any:
            def one(state: Any, fixed: Any, hyper: Any, orders: Any) -> Any:
                return self.passes(state, fixed, hyper, orders, data, held, first, patience, **static)

            return self._each(one, 0, 0, 0, self._keyed)(state, fixed, hyper, orders)

        names = ("batches", "size", "tail", "chunk")
        return jax.jit(all_runs, static_argnames=names, donate_argnums=(0,))

    @cached_property
    def run_drawn(self) -> Any:
        """:meth:`drawn` of all runs; the state that comes in is gone."""

        def all_runs(state: Any, fixed: Any, hyper: Any, key: Any, held: Any, at: Any, patience: Any, **static: Any) -> Any:
            def one(state: Any, fixed: Any, hyper: Any, key: Any) -> Any:
                return self.drawn(state, fixed, hyper, key, held, at, patience, **static)

            return self._each(one, 0, 0, 0, self._keyed)(state, fixed, hyper, key)

        return jax.jit(all_runs, static_argnames=("draw", "count", "chunk"), donate_argnums=(0,))

    @cached_property
    def run_update(self) -> Any:
        """One update of all runs with a batch that they share."""

        def all_runs(state: Any, fixed: Any, hyper: Any, x: Any, y: Any) -> Any:
            return self._each(lambda s, f, h: self.update(s, f, h, x, y), 0, 0, 0)(state, fixed, hyper)

        return jax.jit(all_runs)

    @cached_property
    def run_ranked(self) -> Any:
        """:meth:`ranked` of all runs."""
        return jax.jit(self._each(self.ranked, 0, 0, None))

    @cached_property
    def run_measure(self) -> Any:
        """:meth:`measure` of all runs."""

        def all_runs(trained: Any, fixed: Any, hyper: Any, x: Any, y: Any, size: int) -> Any:
            return self._each(lambda t, f, h: self.measure(t, f, h, x, y, size=size), 0, 0, 0)(trained, fixed, hyper)

        return jax.jit(all_runs, static_argnames=("size",))

    @cached_property
    def run_output(self) -> Any:
        """Outputs of all runs, and the records that are named."""

        def all_runs(trained: Any, fixed: Any, hyper: Any, x: Any, record: tuple[str, ...]) -> Any:
            def one(t: Any, f: Any, h: Any) -> Any:
                out, seen = self.output(t, f, h, x)
                return out, {name: seen[name] for name in record}

            return self._each(one, 0, 0, 0)(trained, fixed, hyper)

        return jax.jit(all_runs, static_argnames=("record",))

    @cached_property
    def run_values(self) -> Any:
        """Values of the trained parameters of all runs."""
        return jax.jit(self._each(lambda t: {e.path: e.value(t[e.path], "free") for e in self.layout.entries}, 0))


@partial(jax.jit, static_argnames=("count", "number", "shuffle"))
def orders_of(keys: Any, first: Any, *, count: int, number: int, shuffle: bool) -> jax.Array:
    """Orders ``(run?, pass, sample)`` of the samples in ``count`` passes from ``first`` on; the same for the same key and pass."""
    plain = jnp.arange(number, dtype=jnp.int32)

    def order(key: Any, k: Any) -> jax.Array:
        return jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, ORDER), k), plain) if shuffle else plain

    def passes(key: Any) -> jax.Array:
        return jax.vmap(order, in_axes=(None, 0))(key, first + jnp.arange(count, dtype=jnp.int32))

    return jax.vmap(passes)(keys) if keys.ndim else passes(keys)


def averaged(rows: Row, sizes: jax.Array) -> Row:
    """Means over updates ``(update,)`` that were taken, by their sizes; of the learning rate the last; NaN if none was taken."""
    weight = jnp.where(rows["taken"], sizes, 0.0)
    total = jnp.sum(weight)
    mean = {n: jnp.sum(jnp.where(weight > 0, v * weight, 0.0)) / total for n, v in rows.items() if n not in ("taken", "learning_rate")}
    last = jnp.max(jnp.where(rows["taken"], jnp.arange(len(sizes), dtype=jnp.int32), -1))
    mean["learning_rate"] = jnp.where(last < 0, jnp.nan, rows["learning_rate"][last])
    return mean


def _scalar(value: Any, dtype: Any, name: str) -> jax.Array:
    if jnp.shape(value) != ():
        raise ValueError(f"{name} has shape {jnp.shape(value)}, needs one number: take the mean, as in jnp.mean((output - target) ** 2).")
    return jnp.asarray(value).astype(dtype)


def _penalty(entry: Any, z: jax.Array) -> jax.Array:
    """The penalty of a trained parameter; of several starting values it is measured from their mean."""
    return penalty(entry.param, entry.value(z, "free"), np.mean(entry.param.value))
