"""Tasks of spikes: one to be learned by heart, and one whose answers can be known for trials that were never seen."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xmass.labelled.schema import TIME, time_attrs

NEURON, TRIAL, LABEL, CLASS = "neuron", "trial", "label", "class"


def random_spike_trains(
    *, n_trials: int = 256, n_steps: int = 2000, n_neurons: int = 100, rate: float = 5.0, dt: float = 0.1, n_classes: int = 2, seed: int = 0
) -> xr.Dataset:
    """Random spikes with random labels: a network can only learn them by heart.

    Spikes and labels are drawn independently of each other, so that the accuracy for other trials is chance, whatever the network:
    report that of the training trials, and call it memorisation. For an accuracy that says something about other trials there is
    :func:`spike_pattern_task`.

    With ``rng = numpy.random.default_rng(seed)`` the spikes are ``rng.random((n_trials, n_steps, n_neurons), dtype="float32") < p``
    with ``p = rate * dt / 1000``, and then the labels ``rng.integers(0, n_classes, n_trials)``.

    Parameters
    ----------
    n_trials, n_steps, n_neurons, n_classes : int
        How many trials, steps of each, neurons and labels. The defaults are those of ``load_dataset("random_spike_trains")``: 200 ms,
        and one spike of each neuron on average.
    rate : float
        Of every neuron [Hz].
    dt : float
        Step [ms].
    seed : int
        Of the generator.

    Returns
    -------
    Dataset
        ``spike(trial, time, neuron)``, 1 where a neuron fires and 0 else, in bytes; ``label(trial)``.

    Raises
    ------
    ValueError
        If a count is too small, the seed negative, or ``rate * dt`` not between 0 and one spike per step.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.random_spike_trains(n_trials=32)
    >>> dict(ds.spike.sizes), round(float(ds.spike.sum("time").mean()), 1)
    ({'trial': 32, 'time': 2000, 'neuron': 100}, 1.0)
    """
    _check({"n_trials": n_trials, "n_steps": n_steps, "n_neurons": n_neurons, "seed": seed}, {"rate": rate, "dt": dt}, n_classes)
    chance = _chance(rate, dt)
    rng = np.random.default_rng(seed)
    spike = np.empty((n_trials, n_steps, n_neurons), dtype=np.uint8)
    for trial in spike:  # trial by trial, the same numbers without all of them in memory
        trial[:] = rng.random((n_steps, n_neurons), dtype=np.float32) < chance
    label = rng.integers(0, n_classes, n_trials)
    return _dataset(spike, label, dt, title="random spike trains with random labels", made="random_spike_trains", seed=seed).assign_attrs(
        task="memorisation: labels are independent of spikes, the accuracy for other trials is chance",
        rate_hz=rate,
        chance_level=1 / n_classes,
    )


def spike_pattern_task(
    *,
    n_trials: int = 400,
    n_classes: int = 4,
    n_neurons: int = 20,
    n_steps: int = 100,
    n_spikes: int = 2,
    dt: float = 1.0,
    jitter: float = 5.0,
    deletion: float = 0.5,
    rate: float = 20.0,
    test: float = 0.25,
    seed: int = 0,
) -> xr.Dataset:
    """Which of several patterns of spikes was it? Each class is a frozen pattern, each trial a corrupted copy, and some are held out.

    In the pattern of a class every neuron fires ``n_spikes`` times, at steps drawn without repetition. In a trial each of these spikes
    is lost with the probability ``deletion``, the others are moved by a normal number rounded to whole steps (around the end: a spike
    that leaves at one side comes in at the other), and spikes at the rate ``rate`` are added. As a neuron fires as often in every class,
    only the times tell the classes apart.

    With the defaults chance is 0.25, a decoder of spike counts reaches no more, and the decoder that knows the patterns and how they are
    corrupted, and adds the evidence of all steps as if they were independent, is right in 0.99 of the trials (0.985 to 0.995 over
    seeds). A network that learns from the 300 training trials cannot be expected to beat it by more than the 0.01 that one of the 100
    others counts.

    Parameters
    ----------
    n_trials, n_classes, n_neurons, n_steps, n_spikes : int
        How many trials (as many of each class, up to one), classes, neurons, steps, and spikes of a neuron in a pattern. The defaults are
        those of ``load_dataset("spike_pattern_task")``.
    dt : float
        Step [ms].
    jitter : float
        Standard deviation of the displacement [ms].
    deletion : float
        Probability in [0, 1) that a spike of the pattern is lost.
    rate : float
        Of added spikes [Hz].
    test : float
        Share of the trials of each class that is held out, in (0, 1).
    seed : int
        Of the generator.

    Returns
    -------
    Dataset
        ``spike(trial, time, neuron)``, 1 where a neuron fires and 0 else, in bytes; ``label(trial)``; ``pattern(class, time, neuron)``,
        the spikes before corruption; the coordinate ``split(trial)``, "train" or "test".

    Raises
    ------
    ValueError
        If a number is out of its range, or a split is left without a class.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.load_dataset("spike_pattern_task")
    >>> train, test = (ds.sel(trial=ds.split == name) for name in ("train", "test"))
    >>> train.sizes["trial"], test.sizes["trial"]
    (300, 100)
    """
    counts = {"n_trials": n_trials, "n_neurons": n_neurons, "n_steps": n_steps, "n_spikes": n_spikes, "seed": seed}
    _check(counts, {"jitter": jitter, "dt": dt, "rate": rate}, n_classes)
    if n_spikes > n_steps:
        raise ValueError(f"n_spikes={n_spikes} in n_steps={n_steps}, needs at most one spike in each step.")
    if not 0 <= deletion < 1 or not 0 < test < 1:
        raise ValueError(f"deletion={deletion!r} and test={test!r}, need 0 <= deletion < 1, and 0 < test < 1.")
    held_out = round(n_trials / n_classes * test)
    if not 0 < held_out < n_trials // n_classes:
        raise ValueError(f"n_trials={n_trials} of {n_classes} classes at test={test} leave a split without trials: raise n_trials.")
    chance = _chance(rate, dt)
    rng = np.random.default_rng(seed)
    order = rng.random((n_classes, n_neurons, n_steps)).argsort(axis=-1)
    times = order[..., :n_spikes]
    pattern = np.zeros((n_classes, n_steps, n_neurons), dtype=np.uint8)
    np.put_along_axis(pattern, np.moveaxis(times, -1, 1), 1, axis=1)
    label = rng.permutation(np.arange(n_trials) % n_classes)
    split = np.full(n_trials, "train", dtype="<U5")
    for c in range(n_classes):
        split[np.flatnonzero(label == c)[:held_out]] = "test"
    shift = np.rint(rng.normal(0, jitter / dt, (n_trials, n_neurons, n_spikes))).astype(np.int64)
    moved = (times[label] + shift) % n_steps
    kept = rng.random(moved.shape) >= deletion
    spike = (rng.random((n_trials, n_steps, n_neurons)) < chance).astype(np.uint8)
    trial, neuron, _ = np.nonzero(kept)
    spike[trial, moved[kept], neuron] = 1
    ds = _dataset(spike, label, dt, title="patterns of spikes", made="spike_pattern_task", seed=seed).assign_attrs(
        task="classification: which frozen pattern was corrupted",
        jitter_ms=jitter,
        deletion=deletion,
        rate_hz=rate,
        spikes_per_pattern=n_spikes,
        chance_level=1 / n_classes,
    )
    ds["pattern"] = ((CLASS, TIME, NEURON), pattern, {"units": "1", "long_name": "spike of the pattern"})
    return ds.assign_coords({"split": (TRIAL, split, {"long_name": "set"}), CLASS: np.arange(n_classes)})


def _dataset(spike: np.ndarray, label: np.ndarray, dt: float, *, title: str, made: str, seed: int) -> xr.Dataset:
    trials, steps, neurons = spike.shape
    return xr.Dataset(
        {
            "spike": ((TRIAL, TIME, NEURON), spike, {"units": "1", "long_name": "spike"}),
            LABEL: (TRIAL, label.astype(np.int64), {"long_name": "class"}),
        },
        coords={
            TIME: (TIME, np.round(np.arange(steps) * dt, 9), time_attrs("ms")),
            TRIAL: np.arange(trials),
            NEURON: np.arange(neurons),
        },
        attrs={"title": title, "provenance": f"drawn at load: xmass.datasets.{made}", "generator_seed": seed},
    )


def _check(counts: dict[str, int], numbers: dict[str, float], n_classes: int) -> None:
    for name, count in {**counts, "n_classes": n_classes}.items():
        least = {"seed": 0, "n_classes": 2}.get(name, 1)
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < least:
            raise ValueError(f"{name}={count!r}, needs a whole number of {least} or more.")
    for name, number in numbers.items():
        if not np.isfinite(number) or number < 0 or (name == "dt" and number == 0):
            raise ValueError(f"{name}={number!r}, needs a number {'above 0' if name == 'dt' else 'of 0 or more'}.")


def _chance(rate: float, dt: float) -> float:
    chance = rate * dt / 1000
    if chance > 1:
        raise ValueError(f"rate={rate} Hz at dt={dt} ms is {chance:g} spikes per step, needs at most one: lower one of them.")
    return chance
