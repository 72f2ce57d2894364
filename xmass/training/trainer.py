"""The Trainer: a network, losses and an optimiser in, weights and their history out."""

from __future__ import annotations

import contextlib
import functools
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import xarray as xr

from xmass.fit.fingerprint import fingerprint
from xmass.labelled.progress import Bar
from xmass.labelled.schema import time_dim
from xmass.training.checkpoint import Checkpoint, digest
from xmass.training.data import Frame, Generator, frame_of
from xmass.training.feeds import Carried, Feed, feed_of
from xmass.training.fitted import Fitted, loaded
from xmass.training.frame import names_of
from xmass.training.history import History, restored, saved
from xmass.training.interrupt import Interrupt
from xmass.training.optimizers import adam
from xmass.training.program import Program
from xmass.training.saved import read_weights, said, said_frame, said_model, write_weights
from xmass.training.sequential import Layer, Sequential
from xmass.training.setup import Setup, check_names, counts_of, named, setup

Precision = Literal["float32", "float64"]
NEVER = np.iinfo(np.int32).max
SECONDS = 10.0  # between checkpoints
Callback = Callable[["Trainer", xr.Dataset], Any]


class Trainer:
    """Trains a network by back-propagation through time.

    Parameters
    ----------
    model : Sequential or Layer
        The network. Layers with ``units=None`` get as many as there are targets.
    loss : callable or mapping of str to callable
        ``f(output, target, weights)``, such as ``xm.training.MeanSquaredError()``. Those in a dict add up, and each is in the history.
    optimizer : str, callable or optax.GradientTransformation
        A name ("adam", "sgd", ...), a function of the learning rate (``optax.adamw``, ``xm.training.adam(eps_hat=0.1)``), or an optimiser
        that has its learning rate.
    learning_rate : float, schedule or DataArray, optional
        1e-3 by default. A schedule of optax counts updates: update t takes ``schedule(t - 1)``.
    metrics : mapping of str to callable, optional
        As losses, only reported: ``{"accuracy": xm.training.Accuracy()}``.
    clip : float, optional
        Largest norm of the gradient of all trained numbers together; longer ones are shortened.
    frozen : str or sequence of str
        Layers (``"rnn"``) or arrays (``"rnn.initial"``) that are not trained.
    precision : {"float32", "float64"}
        Of everything.

    Raises
    ------
    TypeError, ValueError
        For a network, loss, optimiser or option that is none.
    ImportError
        Without optax: ``pip install "xmass[training]"``.

    Notes
    -----
    Parameters of layers and losses, ``learning_rate`` and ``seed`` may be DataArrays: their dims are combined, all runs are trained at
    once, and history, weights and predictions have these dims.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xmass as xm
    >>> t = xm.training
    >>> u = np.random.default_rng(0).normal(size=(64, 10))
    >>> ds = xr.Dataset({"u": (("trial", "time"), u), "sum": (("trial", "time"), u.cumsum(axis=1))})
    >>> trainer = t.Trainer(t.Sequential(t.RNN(16), t.Linear()), t.MeanSquaredError(), learning_rate=1e-2)
    >>> history = trainer.fit(ds, x="u", y="sum", epochs=30, batch_size=16, seed=0)
    >>> bool(history.loss.isel(epoch=-1) < history.loss.isel(epoch=0))
    True
    >>> trainer.predict(ds)["sum"].dims
    ('trial', 'time')
    """

    def __init__(
        self,
        model: Sequential | Layer,
        loss: Any,
        optimizer: Any = "adam",
        learning_rate: Any = None,
        *,
        metrics: Mapping[str, Callable[..., Any]] | None = None,
        clip: float | None = None,
        frozen: str | Sequence[str] = (),
        precision: Precision = "float32",
    ) -> None:
        if isinstance(model, Layer):
            model = Sequential(model)
        if not isinstance(model, Sequential):
            raise TypeError(f"model is a {type(model).__name__}, needs a network: xm.training.Sequential(xm.training.RNN(100), ...).")
        if precision not in ("float32", "float64"):
            raise ValueError(f"precision={precision!r}, needs one of 'float32', 'float64'.")
        if clip is not None and not (isinstance(clip, (int, float)) and not isinstance(clip, bool) and 0 < clip < np.inf):
            raise ValueError(f"clip={clip!r}, needs a positive number, or None.")
        self.model, self.losses, self.metrics = model, named(loss, "loss"), named(metrics, "metrics")
        if not self.losses:
            raise ValueError("loss is None, needs one: loss=xm.training.MeanSquaredError().")
        self.optimizer, self.learning_rate, self.clip = optimizer, learning_rate, clip
        self.frozen, self.precision = frozen, precision
        self._fitted: Fitted | None = None

    @property
    def _dtype(self) -> Any:
        return np.dtype(self.precision)

    def _exact(self) -> Any:
        return jax.enable_x64(self.precision == "float64")

    # -------------------------------------------------------------------------------------------------------------- fit
    def fit(
        self,
        ds: xr.Dataset | Generator,
        *,
        x: str | Sequence[str],
        y: str | Sequence[str],
        epochs: int | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        validation: xr.Dataset | None = None,
        seed: int | xr.DataArray = 0,
        features: str | Sequence[str] | None = None,
        shuffle: bool = True,
        initial: xr.Dataset | None = None,
        patience: int | None = None,
        keep: Literal["last", "best"] = "last",
        report_every: int | None = None,
        callbacks: Callback | Sequence[Callback] = (),
        checkpoint: str | Path | None = None,
        checkpoint_every: int | None = None,
        resume: bool = False,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Train, from the start that ``seed`` draws.

        Parameters
        ----------
        ds : Dataset or Generator
            Inputs and targets with a time dim of one step. Dims that are neither time nor ``features`` are a batch. One with dask arrays
            is read batch by batch.
        x, y : str or sequence of str
            Variables. Text and booleans in ``y`` are classes, and so are whole numbers if a loss is for classes. ``y`` without time
            needs a layer that ends it.
        epochs, steps : int
            Passes over the data, or updates: one of the two. An epoch of a generator is ``report_every`` updates.
        batch_size : int, optional
            Samples of an update, all by default. The last batch of an epoch may be smaller.
        validation : Dataset, optional
            Data that are not trained on: their losses are in the history, and decide what is best.
        seed : int or DataArray
            Of the weights, of the order of samples and of what a generator draws.
        features : str or sequence of str, optional
            Dims of ``x`` that are columns, by default ``feature`` and those that ``y`` has not.
        shuffle : bool
            Samples in another order in every epoch. False is faster for data on disk.
        initial : Dataset, optional
            Weights and parameters to start from, as ``trainer.weights`` has them; those that it lacks are drawn. Runs and columns go
            by their labels.
        patience : int, optional
            Stop after so many entries of the history without a better loss, that of ``validation`` if there is one.
        keep : {"last", "best"}
            The weights that are kept: the last, or those after the epoch with the best such loss.
        report_every : int, optional
            Epochs between two entries of the history, 1 by default; updates of an epoch of a generator, 100 by default.
        callbacks : callable or sequence
            ``f(trainer, history)`` after every entry of the history; one that returns True ends the training.
        checkpoint : path, optional
            A zarr directory that holds everything that is needed to go on.
        checkpoint_every : int, optional
            Entries of the history between two of these; by default one is written every ten seconds. The end is always written.
        resume : bool
            Go on from the checkpoint if it is there: the weights are bit for bit those of one uninterrupted fit. Where the earlier one
            ended between two entries of the history, there is one entry more.
        progress : bool, optional
            Show a bar: after a few seconds by default, at once, or never.

        Returns
        -------
        Dataset
            ``loss (epoch, split)``, its terms as ``loss.<name>``, metrics, ``learning_rate``, ``gradient_norm``, ``seconds``, ``step``,
            with the dims of hyper-parameters in front. Those of "train" are means over the updates of an epoch, while weights change;
            the gradient is that before clipping. ``attrs["status"]`` is "finished", "stopped" (early), "diverged" or "interrupted".

        Raises
        ------
        KeyError, TypeError, ValueError
            If data do not fit the network, hold NaN, or an option is out of its range; for a checkpoint of another fit.

        Warns
        -----
        RuntimeWarning
            If a loss or gradient is not finite: the weights are the last good ones.
        UserWarning
            If it was interrupted by Ctrl-C: what was finished is kept.
        """
        counts = counts_of(self.losses)
        source = ds.like if isinstance(ds, Generator) else ds
        frame = frame_of(source, x, y, features, counts=counts, classes=ds.classes if isinstance(ds, Generator) else None)
        plan = _plan(epochs, steps, report_every, patience, keep, checkpoint_every, progress)
        calls = (callbacks,) if callable(callbacks) else callbacks
        if not isinstance(calls, Sequence) or not all(map(callable, calls)):
            raise TypeError(f"callbacks={callbacks!r}, needs functions f(trainer, history).")
        with self._exact(), contextlib.ExitStack() as held:
            made = self._setup(frame, seed, initial)
            check_names(made.runs, {d for c in (*frame.inputs, *frame.outputs) for d in source[c.name].dims}, "the data")
            _check_step_known(self.model, source[list(names_of(x, "x"))])
            feed = feed_of(ds, frame, made.program, validation, batch_size=batch_size, shuffle=shuffle, report_every=report_every)
            kept = None
            if checkpoint is not None:
                kept = Checkpoint(checkpoint, self._configuration(frame, feed, plan, seed, initial), resume)
                held.enter_context(kept.lock())
            return self._train(made, frame, feed, plan, tuple(calls), kept)

    def _setup(self, frame: Frame, seed: Any, initial: xr.Dataset | None) -> Setup:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer, xr.DataArray)):
            raise TypeError(f"seed={seed!r}, needs a whole number, or a DataArray of them.")
        made = setup(
            self.model,
            self.losses,
            self.metrics,
            self.optimizer,
            self.learning_rate,
            frame,
            clip=self.clip,
            frozen=self.frozen,
            dtype=self._dtype,
            seed=seed,
            initial=initial,
        )
        p = made.program
        schedule = self.learning_rate if callable(self.learning_rate) else None
        parts = (self.model, *self.losses.items(), *self.metrics.items(), self.optimizer, schedule, self.clip, self.frozen)
        sizes = (p.dtype, p.inputs, p.dt, frame.size, p.timed, p.runs, p.seeded)
        return replace(made, program=_shared(_Parts(tuple(parts), sizes, p)))

    def _train(
        self, made: Setup, frame: Frame, feed: Feed, plan: _Plan, calls: tuple[Callback, ...], kept: Checkpoint | None
    ) -> xr.Dataset:
        program, keys = made.program, made.keys()
        total = plan.steps if plan.steps is not None else (plan.epochs or 0) * feed.per_epoch
        state, fixed = program.first(keys, made.start, made.given, made.rate)
        carried = Carried(fixed, made.hyper, keys, np.int32(plan.patience or NEVER))
        history, done, status = History(made.runs), 0, "finished"
        found = None if kept is None else kept.read()
        if found is not None:
            state, done = restored(state, found), int(found["done"])
            history.restore(found)
        written, wrote = done, time.monotonic()
        with Interrupt() as interrupted, Bar(total, "training", plan.progress) as bar:
            bar.add(min(done, total))
            while done < total and _ended(state) is None:
                began = time.perf_counter()
                count = feed.next(done, total)
                state, rows = feed.run(program, state, carried, done, count, interrupted)
                if rows is not None:
                    history.add(jax.device_get(rows), time.perf_counter() - began, done + count)
                    done += count
                    bar.add(count)
                asked = []
                if calls:
                    self._keep(made, frame, state, fixed, plan.keep)
                try:
                    asked = [call(self, history.dataset({"status": "running"})) for call in calls if rows is not None]
                except KeyboardInterrupt:
                    interrupted.asked = True
                every = plan.checkpoint_every
                due = len(history) % every == 0 if every else time.monotonic() - wrote > SECONDS
                if kept is not None and rows is not None and due:
                    kept.write(saved(state, history, done))
                    written, wrote = done, time.monotonic()
                if interrupted() or any(isinstance(a, (bool, np.bool_)) and bool(a) for a in asked):
                    status = "interrupted" if interrupted() else "stopped"
                    break
            if kept is not None and (written < done or found is None):
                kept.write(saved(state, history, done))
        self._keep(made, frame, state, fixed, plan.keep)
        status = status if status != "finished" else _ended(state) or status
        _warn(status, np.asarray(state.ok), done, total, kept)
        return history.dataset({"status": status})

    def _configuration(self, frame: Frame, feed: Feed, plan: _Plan, seed: Any, initial: xr.Dataset | None) -> dict[str, Any]:
        """What a fit is, in JSON values; how long it lasts is not part of it."""
        optimizer = self.optimizer if isinstance(self.optimizer, str) else repr(self.optimizer)
        return {
            "model": said_model(self.model),
            "loss": said(self.losses),
            "metrics": said(self.metrics),
            "optimizer": optimizer if isinstance(self.optimizer, str | adam) else fingerprint(self.optimizer),
            "learning_rate": said(self.learning_rate),
            "clip": self.clip,
            "frozen": said(self.frozen),
            "precision": self.precision,
            "data": said_frame(frame) | feed.said(),
            "seed": said(seed),
            "initial": None if initial is None else digest(*(initial[n].values for n in sorted(map(str, initial.data_vars)))),
            "patience": plan.patience,
        }

    def _keep(self, made: Setup, frame: Frame, state: Any, fixed: Any, keep: str) -> None:
        trained = state.best if keep == "best" else state.trained
        self._fitted = Fitted(frame, made, jax.device_get(trained), jax.device_get(fixed))

    # ---------------------------------------------------------------------------------------------------------- after it
    @property
    def _trained(self) -> Fitted:
        if self._fitted is None:
            raise ValueError("this Trainer is not trained yet: call fit(ds, x=..., y=...) first, or load(path).")
        return self._fitted

    @property
    def weights(self) -> xr.Dataset:
        """All arrays and the values of trained parameters, by ``<layer>.<name>``."""
        with self._exact():
            return self._trained.dataset()

    def predict(self, ds: xr.Dataset, *, record: str | Sequence[str] = (), batch_size: int | None = None) -> xr.Dataset:
        """Outputs of the network for a Dataset with the variables ``x`` of the fit.

        Parameters
        ----------
        ds : Dataset
            In steps of the same length; batch dims may differ from those of the fit.
        record : str or sequence of str
            Internals of layers: ``"spike"`` of every layer that has it, or ``"lif.spike"`` of one.
        batch_size : int, optional
            Samples that the network sees at once, 1024 at most by default.

        Returns
        -------
        Dataset
            The variables ``y`` with units and labels of the fit, on the dims of ``ds``; of classes the label, and ``<y>.logit`` over
            ``class``; records as ``<layer>.<record>`` over ``<layer>_unit``.

        Raises
        ------
        KeyError, ValueError
            If a variable is missing, or a dim, unit or step differs from the fit; for a record that no layer has.
        """
        fitted = self._trained
        with self._exact():
            return fitted.predict(ds, (record,) if isinstance(record, str) else tuple(record), batch_size)

    def evaluate(self, ds: xr.Dataset, *, batch_size: int | None = None) -> xr.Dataset:
        """Losses and metrics of a Dataset with the variables ``x`` and ``y`` of the fit.

        Parameters
        ----------
        ds : Dataset
            In steps of the same length.
        batch_size : int, optional
            Samples that the network sees at once, 1024 at most by default.

        Returns
        -------
        Dataset
            ``loss``, its terms and the metrics, of all samples together.

        Raises
        ------
        KeyError, ValueError
            As :meth:`predict`.
        """
        fitted = self._trained
        with self._exact():
            return fitted.evaluate(ds, batch_size)

    # ------------------------------------------------------------------------------------------------------------- files
    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Keep the weights, and what is needed to predict, as a zarr directory.

        Parameters
        ----------
        path : path
            A local directory, made whole or not at all.
        overwrite : bool
            Whether one that is there is replaced.

        Raises
        ------
        FileExistsError
            If it is there.
        """
        fitted = self._trained
        params = {p: fitted.trained[p] for p in fitted.made.params}
        write_weights(path, self.weights, params, fitted.frame, self.model, fitted.made.runs, overwrite)

    def load(self, path: str | Path) -> Trainer:
        """Take weights up that :meth:`save` kept; returns the Trainer.

        Parameters
        ----------
        path : path
            The directory.

        Returns
        -------
        Trainer
            This one.

        Raises
        ------
        FileNotFoundError, ValueError
            If there are none, or those of another network.
        """
        ds, frame, seed = read_weights(path, self.model)
        with self._exact():
            made = self._setup(frame, 0 if seed is None else seed, None)
            self._fitted = loaded(ds, frame, made)
        return self


class _Parts:
    """What a program is made of: the same if the parts are the same objects."""

    def __init__(self, parts: tuple[Any, ...], sizes: tuple[Any, ...], program: Program) -> None:
        self.parts, self.program = parts, program
        self.key = (*(v if isinstance(v, str | float | int | None) else _identity(v) for v in parts), *sizes)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Parts) and self.key == other.key


def _identity(part: Any) -> Any:
    return tuple(v if isinstance(v, str) else id(v) for v in part) if isinstance(part, tuple | list) else id(part)


@functools.lru_cache(maxsize=32)
def _shared(parts: _Parts) -> Program:
    """The program that was first made of these parts: it is compiled already. They are held, so that no other object has their place."""
    return parts.program


def _check_step_known(model: Sequential, inputs: xr.Dataset) -> None:
    """That there are two samples where a layer needs the time between them."""
    time_ = time_dim(inputs)
    if inputs.sizes[time_] < 2 and any(layer.uses_time for layer in model.layers):
        raise ValueError(f"{time_} has one sample, and a layer with constants in ms needs the time between two: give a longer series.")


class _Plan(NamedTuple):
    epochs: int | None
    steps: int | None
    patience: int | None
    keep: str
    checkpoint_every: int | None
    progress: bool | None


def _plan(epochs: Any, steps: Any, report_every: Any, patience: Any, keep: Any, checkpoint_every: Any, progress: bool | None) -> _Plan:
    """The options of a fit that are numbers, checked."""
    if (epochs is None) == (steps is None):
        raise ValueError(f"epochs={epochs!r} and steps={steps!r}: needs one of the two, as in epochs=100.")
    options = {"epochs": epochs, "steps": steps, "report_every": report_every, "patience": patience, "checkpoint_every": checkpoint_every}
    for name, value in options.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
            raise ValueError(f"{name}={value!r}, needs a whole number, 1 or more.")
    if keep not in ("last", "best"):
        raise ValueError(f"keep={keep!r}, needs 'last' or 'best'.")
    return _Plan(epochs, steps, patience, keep, checkpoint_every, progress)


def _ended(state: Any) -> str | None:
    """How it ended, if no run goes on."""
    ok, going = jax.device_get((state.ok, state.going))
    if np.any(ok & going):
        return None
    return "stopped" if np.any(ok) else "diverged"


def _warn(status: str, ok: np.ndarray, done: int, total: int, kept: Checkpoint | None) -> None:
    """Say what the user should know."""
    if status == "interrupted":
        then = "With checkpoint= it could go on." if kept is None else f"To go on from {kept.path}, call fit again with resume=True."
        said = f"interrupted after {done} of {total} updates: weights and history are those so far. {then}"
        warnings.warn(said, UserWarning, stacklevel=4)
    if not np.all(ok):
        which = "the training" if np.ndim(ok) == 0 else f"{int(np.sum(~ok))} of {np.size(ok)} runs"
        said = f"{which} met a loss or gradient that is not finite; its weights are the last good ones. Lower learning_rate, or set clip=1."
        warnings.warn(said, RuntimeWarning, stacklevel=4)
