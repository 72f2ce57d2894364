"""Tasks that networks are trained on."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.labelled.schema import TIME, time_attrs
from xmass.training.data import Generator


def delayed_match_task(*, n_trials: int = 128, n_steps: int = 10, n_symbols: int = 4, seed: int = 0) -> xr.Dataset:
    """Is the second symbol the first? A cue at the first step, nothing, and a probe at the last, which equals it in half of the trials.

    With ``rng = numpy.random.default_rng(seed)`` the cues are ``rng.integers(0, n_symbols, n_trials)``, the matching trials a
    permutation of ``n_trials // 2`` ones, and the probes of the others the cue plus ``rng.integers(1, n_symbols, n_trials)``, modulo
    ``n_symbols``, drawn in this order.

    Parameters
    ----------
    n_trials, n_steps, n_symbols : int
        How many trials, steps of each, and symbols. The defaults are those of ``load_dataset("delayed_match_task")``.
    seed : int
        Of the generator.

    Returns
    -------
    Dataset
        ``stimulus(trial, time, symbol)``, 1 where a symbol is shown and 0 else, with steps of 1 ms; ``match(trial)``, 1 or 0,
        ``cue(trial)`` and ``probe(trial)``.

    Raises
    ------
    ValueError
        For fewer than 2 trials, steps or symbols, or a negative seed.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.load_dataset("delayed_match_task")
    >>> dict(ds.stimulus.sizes), int(ds.match.sum())
    ({'trial': 128, 'time': 10, 'symbol': 4}, 64)
    """
    if min(n_trials, n_steps, n_symbols) < 2 or seed < 0:
        raise ValueError(
            f"n_trials={n_trials}, n_steps={n_steps}, n_symbols={n_symbols} and seed={seed}, "
            "needs at least 2 of each and a seed of 0 or more."
        )
    rng = np.random.default_rng(seed)
    cue = rng.integers(0, n_symbols, n_trials)
    match = rng.permutation((np.arange(n_trials) < n_trials // 2).astype(np.int64))
    offset = rng.integers(1, n_symbols, n_trials)
    probe = np.where(match == 1, cue, (cue + offset) % n_symbols)
    stimulus = np.zeros((n_trials, n_steps, n_symbols))
    trials = np.arange(n_trials)
    stimulus[trials, 0, cue] = 1
    stimulus[trials, -1, probe] = 1
    return xr.Dataset(
        {
            "stimulus": (("trial", TIME, "symbol"), stimulus, {"units": "1", "long_name": "symbol shown"}),
            "match": ("trial", match, {"long_name": "1 if the probe is the cue, else 0"}),
            "cue": ("trial", cue, {"long_name": "symbol at the first step"}),
            "probe": ("trial", probe, {"long_name": "symbol at the last step"}),
        },
        coords={TIME: (TIME, np.arange(n_steps, dtype=np.float64), time_attrs("ms")), "trial": trials, "symbol": np.arange(n_symbols)},
        attrs={
            "title": "delayed match to sample",
            "provenance": "drawn at load: xmass.datasets.delayed_match_task",
            "generator_seed": seed,
        },
    )


def white_noise_task(
    *, n_trials: int = 128, n_steps: int = 25, dt: float = 0.04, mean: float = 0.025, scale: float = 0.01, seed: int = 0
) -> xr.Dataset:
    r"""Add up a noisy input: the target is the sum of the input so far.

    .. math:: b = 2 m (s - \tfrac12), \qquad x_t = b + \frac{\sigma}{\sqrt{dt}} \eta_t, \qquad y_t = \sum_{k \le t} x_k

    with the ``mean`` m, the ``scale`` :math:`\sigma`, one standard normal s for each trial, and one :math:`\eta` for each trial and step.
    The sum is not multiplied by dt. With the defaults the target has a variance of 0.62 over trials and steps.

    With ``rng = numpy.random.default_rng(seed)`` the s are ``rng.standard_normal(n_trials)`` and the :math:`\eta` after them
    ``rng.standard_normal((n_trials, n_steps))``.

    Parameters
    ----------
    n_trials, n_steps : int
        How many trials, and steps of each. The defaults are those of ``load_dataset("white_noise_task")``.
    dt : float
        Step. Time has no unit in this task; 25 steps are the time 1.
    mean, scale : float
        m and :math:`\sigma`.
    seed : int
        Of the generator.

    Returns
    -------
    Dataset
        ``input(trial, time)`` and ``target(trial, time)``.

    Raises
    ------
    ValueError
        For fewer than 1 trial or step, a negative seed or ``scale``, or a step that is not above 0.

    See Also
    --------
    white_noise_generator : New trials for every update of a training.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.white_noise_task()
    >>> dict(ds.input.sizes), float(abs(ds.target - ds.input.cumsum("time")).max())
    ({'trial': 128, 'time': 25}, 0.0)
    """
    for name, value, least in (("n_trials", n_trials, 1), ("n_steps", n_steps, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name}={value!r}, needs a whole number of {least} or more.")
    if not (np.isfinite([dt, mean, scale]).all() and dt > 0 and scale >= 0):
        raise ValueError(f"dt={dt!r}, mean={mean!r} and scale={scale!r}, need numbers, dt above 0 and scale 0 or more.")
    rng = np.random.default_rng(seed)
    series = _white_noise(rng.standard_normal((n_trials, 1)), rng.standard_normal((n_trials, n_steps)), dt, mean, scale)
    return xr.Dataset(
        {
            "input": (("trial", TIME), series, {"units": "1", "long_name": "noise around a constant"}),
            "target": (("trial", TIME), np.cumsum(series, axis=1), {"units": "1", "long_name": "sum of the input so far"}),
        },
        coords={TIME: (TIME, np.round(np.arange(n_steps) * dt, 12), time_attrs("1")), "trial": np.arange(n_trials)},
        attrs={
            "title": "white-noise integration",
            "provenance": "drawn at load: xmass.datasets.white_noise_task",
            "generator_seed": seed,
            "dt": dt,
            "mean": mean,
            "scale": scale,
        },
    )


def white_noise_generator(
    *, n_trials: int = 128, n_steps: int = 25, dt: float = 0.04, mean: float = 0.025, scale: float = 0.01
) -> Generator:
    """Trials of :func:`white_noise_task` that are drawn anew for every update, inside the compiled program.

    Parameters
    ----------
    n_trials : int
        How many for each update: the batch.
    n_steps, dt, mean, scale
        As in :func:`white_noise_task`.

    Returns
    -------
    Generator
        Of ``input`` and ``target``; the seed of ``Trainer.fit`` decides what is drawn.

    Raises
    ------
    ValueError
        As :func:`white_noise_task`.

    Examples
    --------
    >>> import xmass as xm
    >>> trials = xm.datasets.white_noise_generator(n_trials=16)
    >>> trainer = xm.training.Trainer(
    ...     xm.training.Sequential(xm.training.RNN(20), xm.training.Linear()), xm.training.MeanSquaredError(), learning_rate=1e-2
    ... )
    >>> history = trainer.fit(trials, x="input", y="target", steps=200, seed=0)
    >>> bool(history.loss.isel(epoch=-1) < 0.1)
    True
    """
    like = white_noise_task(n_trials=n_trials, n_steps=n_steps, dt=dt, mean=mean, scale=scale)

    def draw(key: jax.Array) -> dict[str, jax.Array]:
        first, second = jax.random.split(key)
        series = _white_noise(jax.random.normal(first, (n_trials, 1)), jax.random.normal(second, (n_trials, n_steps)), dt, mean, scale)
        return {"input": series, "target": jnp.cumsum(series, axis=1)}

    attrs = {k: v for k, v in like.attrs.items() if k not in ("generator_seed", "provenance")}
    like.attrs = {**attrs, "provenance": "drawn at each update: xmass.datasets.white_noise_generator"}
    return Generator(draw, like)


def _white_noise(start: Any, noise: Any, dt: float, mean: float, scale: float) -> Any:
    """Inputs of standard normal numbers ``start (trial, 1)`` and ``noise (trial, time)``."""
    return 2 * mean * (start - 0.5) + scale / dt**0.5 * noise
