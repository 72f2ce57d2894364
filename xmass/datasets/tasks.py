"""Tasks that networks are trained on."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xmass.labelled.schema import TIME, time_attrs


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
