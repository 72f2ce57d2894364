"""A synthetic cohort: connectomes by our own generator, and recordings simulated with them at known parameters."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xmass.datasets.example import connectome_dataset

DATA = "data/example_cohort.nc"
TR = 0.72  # s
TRUE_COUPLING = (0.8, 0.9, 1.0, 1.1)  # G times the spectral radius of each subject: inner points of the grid of the demo
TRUE_SIGMA = (0.01, 0.01, 0.01, 0.01)
VOLUMES = 834  # 10 minutes: of recordings of 5, the demo does not find one in sixteen again
SIGNIFICAND_BITS = 12  # of the stored bold: an error of a 8000th of each value, and two thirds of the size
FIRST_SEED = 4_207_849_201  # far from the seeds that people give to sweeps: with a common one the noise itself would be recognised

GENERATOR: dict[str, Any] = {
    "semi_axes_mm": (54.0, 74.0, 52.0),  # of the ellipsoid on which the regions lie
    "gap_mm": 8.0,  # of each hemisphere from the midline
    "jitter_mm": 2.5,  # standard deviation of a region's position
    "tortuosity": (1.25, 1.75),  # fibre length over straight distance, range of the pairs
    "size_range": 0.06,  # subjects' lengths differ by up to this share, all pairs alike ...
    "length_range": 0.04,  # ... and each pair by itself
    "decay_mm": 12.0,  # of the weights with fibre length; this and the next five before the power that sets the spectral radius
    "region_sd": 0.6,  # standard deviation of the logarithm of the weights, between regions
    "pair_sd": 0.5,  # the same, between pairs
    "subject_sd": 0.6,  # the same, between subjects
    "crossing": -0.3,  # logarithm of the loss of a connection between the hemispheres
    "homotopic": 1.0,  # logarithm of the gain of a connection between mirrored regions
    "spectral_radius": (2.28, 2.52),  # range of the subjects
}


def make_cohort(*, n_subjects: int = 4, n_regions: int = 68, seed: int = 0) -> xr.Dataset:
    """Connectomes of a synthetic cohort with the statistics of tractography: long-tailed, falling with length, individual.

    The regions lie on two half ellipsoids, mirrored but for a jitter. Fibres are longer than the straight line, by a factor
    of the pair; weights are log-normal about an exponential fall with fibre length, with a loss between hemispheres and a gain between
    mirrored regions. Each subject multiplies all weights by log-normal factors and the lengths by small ones. At last each
    subject's weights are raised to the power that gives a spectral radius near 2.4 at a largest weight of 1, as recorded
    connectomes have.

    Parameters
    ----------
    n_subjects, n_regions : int
        How many; the regions are an even number, of at least 16.
    seed : int
        Of the generator: the same seed gives the same cohort.

    Returns
    -------
    Dataset
        ``weights(subject, region, region_other)`` [1], symmetric, without self-connections, the largest of each subject 1;
        ``distances`` [mm] with the same dims; ``centres(region, xyz)`` [mm]; coordinates ``hemisphere`` and ``cortical``. All numbers
        of the generator are in ``attrs``.

    Raises
    ------
    ValueError
        For an odd or small number of regions, no subject, or a negative seed.

    Examples
    --------
    >>> ds = make_cohort(n_subjects=2)
    >>> dict(ds.weights.sizes), ds.region.values[[0, 34]].tolist()
    ({'subject': 2, 'region': 68, 'region_other': 68}, ['L01', 'R01'])
    """
    if n_regions < 16 or n_regions % 2:
        raise ValueError(f"n_regions={n_regions}, needs an even number of at least 16: as many in each hemisphere. Give n_regions=68.")
    if n_subjects < 1 or seed < 0:
        raise ValueError(f"n_subjects={n_subjects} and seed={seed}, needs one subject or more, and a seed of 0 or more.")
    rng = np.random.default_rng(seed)
    half = n_regions // 2
    centres = _positions(rng, half)
    straight = np.linalg.norm(centres[:, None] - centres[None, :], axis=-1)
    low, high = GENERATOR["tortuosity"]
    lengths = straight * _symmetric(rng.uniform(low, high, (n_regions, n_regions)))
    log_weights = -lengths / GENERATOR["decay_mm"] + _symmetric(rng.normal(0, GENERATOR["pair_sd"], (n_regions, n_regions)))
    gain = rng.normal(0, GENERATOR["region_sd"], n_regions)
    log_weights += gain[:, None] + gain[None, :]
    side = np.repeat([0, 1], half)
    log_weights += GENERATOR["crossing"] * (side[:, None] != side[None, :])
    pair = np.arange(half)
    log_weights[pair, pair + half] += GENERATOR["homotopic"]
    log_weights[pair + half, pair] += GENERATOR["homotopic"]

    weights, distances = np.empty((2, n_subjects, n_regions, n_regions))
    for subject in range(n_subjects):
        own = log_weights + _symmetric(rng.normal(0, GENERATOR["subject_sd"], (n_regions, n_regions)))
        size = 1 + rng.uniform(-1, 1) * GENERATOR["size_range"]
        stretch = 1 + _symmetric(rng.uniform(-1, 1, (n_regions, n_regions))) * GENERATOR["length_range"]
        weights[subject] = _with_radius(own, rng.uniform(*GENERATOR["spectral_radius"]))
        distances[subject] = lengths * size * stretch

    names = [f"{letter}{i + 1:02d}" for letter in "LR" for i in range(half)]
    ds = connectome_dataset(
        labels=names,
        centres=centres,
        weights=weights,
        distances=distances,
        attrs={
            "title": "synthetic cohort",
            "provenance": "synthetic: xmass.datasets.make_cohort; no data of persons",
            "generator_seed": seed,
            **{f"generator_{name}": value for name, value in GENERATOR.items()},
        },
    )
    return ds.assign_coords(
        subject=("subject", [f"S{i + 1}" for i in range(n_subjects)]),
        hemisphere=("region", [name[0] for name in names]),
        cortical=("region", np.ones(n_regions, dtype=bool)),
    )


def record_cohort(
    cohort: xr.Dataset,
    *,
    scaled_coupling: Sequence[float] = TRUE_COUPLING,
    sigma: Sequence[float] = TRUE_SIGMA,
    volumes: int = VOLUMES,
    transient: float = 60.48,
) -> xr.Dataset:
    """The cohort with a recording of each subject: the BOLD signal of its excitatory-inhibitory Wong-Wang network.

    Every subject has a global coupling and noise of its own, inhibition by :func:`xmass.inhibition_control`, and a seed that
    no sweep uses.

    Parameters
    ----------
    cohort : Dataset
        Of :func:`make_cohort`.
    scaled_coupling : sequence of float
        The coupling of each subject times the spectral radius of its weights.
    sigma : sequence of float
        Noise of each subject, of both populations [1/sqrt(ms)].
    volumes : int
        Length of the recordings, at 0.72 s each.
    transient : float
        Simulated before them and left out [s]; a multiple of 0.72 s.

    Returns
    -------
    Dataset
        ``cohort`` with ``bold(subject, time, region)`` in single precision, and the truth: ``true_coupling``, ``true_sigma`` and
        ``seed``, each ``(subject)``.

    Raises
    ------
    ValueError
        Unless there are as many couplings and sigmas as subjects.
    """
    from xmass.analysis.inhibition import inhibition_control
    from xmass.core.noise import WhiteNoise
    from xmass.couplings.additive import AdditiveCoupling
    from xmass.labelled.connectome import spectral_radius
    from xmass.labelled.network import Network
    from xmass.models.wong_wang import WongWangExcInhStep
    from xmass.observations.bold import BOLDSignal
    from xmass.simulator import Simulator

    n = cohort.sizes["subject"]
    if len(scaled_coupling) != n or len(sigma) != n:
        raise ValueError(f"scaled_coupling and sigma have {len(scaled_coupling)} and {len(sigma)} values, needs {n}: one for each subject.")
    k = xr.DataArray(np.array(scaled_coupling), dims="subject") / spectral_radius(cohort.weights)
    noise = xr.DataArray(np.array(sigma), dims="subject", coords={"subject": cohort.subject})
    seed = xr.DataArray(FIRST_SEED + np.arange(n), dims="subject", coords={"subject": cohort.subject})
    model = WongWangExcInhStep(noise_e=WhiteNoise(sigma=0.01), noise_i=WhiteNoise(sigma=0.01))
    network = Network(model, cohort[["weights"]], coupling=AdditiveCoupling(source="S_e", target="coupling"))
    parameters = xr.Dataset(
        {"coupling.k": k, "noise_e.sigma": noise, "noise_i.sigma": noise, "J_i": inhibition_control(cohort, k), "seed": seed}
    )
    out = Simulator(network, dt=1.0).run(
        1000 * (transient + volumes * TR),
        parameters,
        monitors={"bold": BOLDSignal(of="S_e", tr=1000 * TR)},
        transient=1000 * transient,
    )
    bold = out.bold.transpose("subject", "bold_time", "region").rename(bold_time="time").astype(np.float32)
    time = ("time", TR * np.arange(1, bold.sizes["time"] + 1), {"units": "s", "axis": "T", "long_name": "time"})
    return cohort.assign(
        bold=(bold.dims, bold.values, {"units": bold.attrs.get("units", "1"), "long_name": "simulated BOLD signal"}),
        true_coupling=("subject", k.values, {"units": "1", "long_name": "coupling.k of the recording"}),
        true_sigma=("subject", noise.values, {"units": "1/ms**0.5", "long_name": "noise_e.sigma and noise_i.sigma of the recording"}),
        seed=("subject", seed.values, {"long_name": "seed of the recording"}),  # what compare looks for
    ).assign_coords(time=time)


def write_cohort(cohort: xr.Dataset, path: str | Path) -> None:
    """Store a recorded cohort, compressed and in single precision, as it lies in the package; ``bold`` keeps 12 significant bits.

    Raises
    ------
    OSError
        If ``path`` cannot be written.
    """
    single = cohort.assign({name: cohort[name].astype(np.float32) for name in ("weights", "distances", "bold")})
    single["bold"] = single.bold.copy(data=_round_significand(single.bold.values))
    encoding = {name: {"zlib": True, "complevel": 9, "shuffle": True} for name in ("weights", "distances", "bold")}
    single.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def example_cohort() -> xr.Dataset:
    """The cohort that comes with the package: :func:`make_cohort` and :func:`record_cohort` with their defaults, stored.

    Returns
    -------
    Dataset
        ``weights``, ``distances`` with ``(subject, region, region_other)``, ``bold(subject, time, region)``, ``centres``, and the
        true parameters of the recordings.
    """
    with as_file(files("xmass.datasets").joinpath(DATA)) as path, xr.open_dataset(path, engine="h5netcdf") as stored:
        ds = stored.load()
    ds["centres"].attrs["axes"] = "RAS"
    return ds.assign({name: ds[name].astype(np.float64) for name in ("weights", "distances")})


def _round_significand(values: np.ndarray) -> np.ndarray:
    """Numbers of 12 significant bits nearest to ``values``."""
    significand, exponent = np.frexp(values)
    scale = 2.0**SIGNIFICAND_BITS
    return np.ldexp(np.round(significand * scale) / scale, exponent).astype(values.dtype)


def _positions(rng: np.random.Generator, half: int) -> np.ndarray:
    """Even spirals on the right half of the ellipsoid, mirrored to the left, both jittered; left first."""
    along = (np.arange(half) + 0.5) / half
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(half)
    ring = np.sqrt(1 - along**2)
    right = np.stack([along, ring * np.cos(turn), ring * np.sin(turn)], axis=-1) * GENERATOR["semi_axes_mm"]
    right[:, 0] += GENERATOR["gap_mm"]
    both = np.concatenate([right * [-1, 1, 1], right])
    return both + rng.normal(0, GENERATOR["jitter_mm"], both.shape)


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle on both sides, with a zero diagonal."""
    upper = np.triu(matrix, 1)
    return upper + upper.T


def _with_radius(log_weights: np.ndarray, radius: float) -> np.ndarray:
    """``exp(p log_weights)`` over its maximum, with the ``p`` that gives the spectral radius, and a zero diagonal."""
    away = ~np.eye(len(log_weights), dtype=bool)
    below = log_weights - log_weights[away].max()

    def weights(power: float) -> np.ndarray:
        return np.where(away, np.exp(power * below), 0.0)

    low, high = 0.0, 64.0  # the radius falls with the power, from the number of regions less one to about one
    while high - low > 1e-12:
        power = (low + high) / 2
        low, high = (power, high) if np.linalg.eigvalsh(weights(power))[-1] > radius else (low, power)
    return weights((low + high) / 2)
