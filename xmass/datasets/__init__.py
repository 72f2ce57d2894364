"""Connectomes, cohorts, signals and tasks by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import xarray as xr

from xmass.datasets import packaged
from xmass.datasets.chaos import chaotic_series, lorenz
from xmass.datasets.chaotic_systems import SYSTEMS
from xmass.datasets.cohort import example_cohort, make_cohort, record_cohort
from xmass.datasets.example import example_connectome
from xmass.datasets.signals import example_signal
from xmass.datasets.spikes import random_spike_trains, spike_pattern_task
from xmass.datasets.tasks import delayed_match_task, white_noise_generator, white_noise_task
from xmass.labelled.suggest import nearest

__all__ = [
    "DatasetInfo",
    "chaotic_series",
    "delayed_match_task",
    "example_signal",
    "list_datasets",
    "load_dataset",
    "lorenz",
    "make_cohort",
    "random_spike_trains",
    "record_cohort",
    "register_dataset",
    "spike_pattern_task",
    "white_noise_generator",
    "white_noise_task",
]

Loader = Callable[[], xr.Dataset]


class DatasetInfo(NamedTuple):
    """A name that :func:`load_dataset` knows, and what is behind it."""

    name: str
    description: str


_LOADERS: dict[str, tuple[Loader, str]] = {
    "example_connectome": (example_connectome, "8 regions R0..R7: symmetric weights, distances up to 80 mm, positions"),
    "example_cohort": (example_cohort, "4 synthetic subjects of 68 regions: weights, distances, BOLD simulated at known parameters"),
    "example_signal": (example_signal, "a rhythm of 10 Hz that travels along 8 regions, by formula: its FC, lags and envelope are known"),
    "delayed_match_task": (delayed_match_task, "128 trials of 10 steps: a cue, a delay, and a probe that matches it in half of them"),
    "white_noise_task": (white_noise_task, "128 trials of 25 steps: noise around a constant, and its sum so far"),
    "spike_pattern_task": (spike_pattern_task, "400 trials of 20 neurons: which of 4 frozen patterns was corrupted; 100 are held out"),
    "random_spike_trains": (random_spike_trains, "256 trials of 100 neurons with random labels, to be learned by heart"),
    "lorenz": (lorenz, "10,000 samples of the Lorenz system at steps of 0.01"),
    **{
        name: (partial(chaotic_series, name), f"10,000 samples of the {system.title} at steps of {system.dt:g}")
        for name, system in SYSTEMS.items()
        if name != "lorenz"
    },
    **{
        f"schaefer_{n}": (
            partial(packaged.schaefer, n),
            f"{n} cortical parcels: group FC, T1w/T2w, thickness, gradients, positions (extra data)",
        )
        for n in packaged.SCALES
    },
    "electrodes_1005": (packaged.electrodes_1005, "343 electrodes of the 10-05 system on a real head (extra neuro)"),
    "dosenbach_2010": (packaged.dosenbach, "160 places in the brain with their networks (extra neuro)"),
    "power_2011": (packaged.power, "264 places in the brain (extra neuro)"),
}


def list_datasets() -> list[DatasetInfo]:
    """Name and description of every Dataset that :func:`load_dataset` knows.

    Examples
    --------
    >>> [name for name, description in list_datasets()][:2]
    ['example_connectome', 'example_cohort']
    """
    return [DatasetInfo(name, description) for name, (_, description) in _LOADERS.items()]


def load_dataset(name: str) -> xr.Dataset:
    """A Dataset by its name, in memory.

    Parameters
    ----------
    name : str
        One of :func:`list_datasets`.

    Returns
    -------
    Dataset
        A new one with each call. ``"example_connectome"`` has ``weights``, ``distances`` with dims ``(region, region_other)``
        and ``centres(region, xyz)``; ``"example_cohort"`` has the first two with ``subject``, and ``bold(subject, time, region)``;
        ``"example_signal"`` has ``signal(time, region)``, ``"delayed_match_task"`` ``stimulus(trial, time, symbol)`` and ``match(trial)``,
        ``"white_noise_task"`` ``input(trial, time)`` and ``target(trial, time)``, ``"spike_pattern_task"`` and ``"random_spike_trains"``
        ``spike(trial, time, neuron)`` and ``label(trial)``, ``"lorenz"`` ``x(time)``, ``y(time)`` and ``z(time)``. Those that are made by
        a function with options are also called by themselves: :func:`make_cohort`, :func:`delayed_match_task`, :func:`white_noise_task`,
        :func:`spike_pattern_task`, :func:`random_spike_trains`, :func:`lorenz`, and :func:`chaotic_series` for the other chaotic systems,
        ``"double_scroll"`` to ``"pwl_duffing"``. Real data come out of other installed packages: ``"schaefer_100"`` to
        ``"schaefer_400"``, ``"electrodes_1005"``, ``"dosenbach_2010"``, ``"power_2011"``; their source and licence are in ``attrs``, and
        nothing is downloaded.

    Raises
    ------
    KeyError
        If there is none of that name.
    ImportError
        If it comes with a package that is not installed; the extra is named.

    Examples
    --------
    >>> load_dataset("example_connectome").weights.dims
    ('region', 'region_other')
    """
    if name not in _LOADERS:
        raise KeyError(f"there is no dataset {name!r}{nearest(name, _LOADERS)} Add it with register_dataset(name, loader, description).")
    return _LOADERS[name][0]()


def register_dataset(name: str, loader: Loader, description: str) -> None:
    """Make a Dataset of one's own known to :func:`load_dataset`, for this process.

    Parameters
    ----------
    name : str
        A new name.
    loader : callable
        Without arguments, returns the Dataset; called with each ``load_dataset(name)``.
    description : str
        One line for :func:`list_datasets`.

    Raises
    ------
    TypeError
        If ``name`` is not a string, or ``loader`` cannot be called.
    ValueError
        If the name is empty or taken.
    """
    if not isinstance(name, str) or not isinstance(description, str):
        raise TypeError(f"name={name!r} and description={description!r} are needed as strings.")
    if not callable(loader):
        raise TypeError(f"loader is a {type(loader).__name__}, needs a function without arguments. Pass lambda: dataset for one in memory.")
    if not name or name in _LOADERS:
        raise ValueError(f"the name {name!r} is {'taken' if name else 'empty'}, needs a new one; see list_datasets().")
    _LOADERS[name] = loader, description
