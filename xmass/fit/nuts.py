"""Sampling of a posterior by the No-U-Turn sampler, with gradients through the simulation."""

from __future__ import annotations

import dataclasses
import functools
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.fit.backend import Outcome, Problem, Recorder, Space, extra
from xmass.fit.density import Density
from xmass.fit.likelihood import GaussianLikelihood, as_likelihood
from xmass.fit.posterior import tree
from xmass.fit.starts import starting_points
from xmass.fit.statistics import estimated_sd, point_of
from xmass.fit.study import Study
from xmass.labelled.network import Network
from xmass.labelled.progress import Bar

if TYPE_CHECKING:
    from xmass.fit.fitter import Fitter

_WIDEST = 32
"""Runs that are computed at a time."""
_STATS = {
    "lp": "logarithm of the density of the coordinates, but for a constant",
    "energy": "energy of the state in phase space",
    "acceptance_rate": "mean acceptance probability along the trajectory",
    "n_steps": "steps of the trajectory",
    "step_size": "step size",
    "diverging": "the energy was not kept along the trajectory",
}


@dataclasses.dataclass(frozen=True)
class NutsBackend:
    """The No-U-Turn sampler of numpyro, for :meth:`xmass.Fitter.sample`; all chains of a fit run together.

    Parameters
    ----------
    target_accept : float
        Mean acceptance probability to which the step size is adapted; nearer to 1 where trajectories diverge.
    max_tree_depth : int
        A trajectory has at most two to this power steps, each of which costs a gradient.
    dense : bool
        Adapt to correlations between parameters, not only to their scales.

    References
    ----------
    Hoffman & Gelman (2014), Journal of Machine Learning Research 15, 1593; Phan, Pradhan & Jankowiak (2019), arXiv:1912.11554.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.fit.NutsBackend(target_accept=0.9)
    NutsBackend(target_accept=0.9, max_tree_depth=8, dense=True)
    """

    target_accept: float = 0.8
    max_tree_depth: int = 8
    dense: bool = True
    space: ClassVar[Space] = "free"
    gradient: ClassVar[bool] = True
    residuals: ClassVar[bool] = True
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.target_accept < 1:
            raise ValueError(f"target_accept={self.target_accept!r}, needs a number between 0 and 1.")
        if isinstance(self.max_tree_depth, bool) or not isinstance(self.max_tree_depth, int) or self.max_tree_depth < 1:
            raise ValueError(f"max_tree_depth={self.max_tree_depth!r}, needs a positive whole number.")

    def run(self, problem: Problem, record: Recorder, n_steps: int, seed: int | Sequence[int]) -> Outcome:
        """A sampler finds no best point.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("backend='nuts' samples a posterior, and fit finds the best point: call fitter.sample(target) instead.")


def sample(
    fitter: Fitter,
    target: xr.Dataset,
    *,
    draws: int,
    chains: int,
    warmup: int,
    seed: int | None,
    likelihood: GaussianLikelihood | None,
    start: xr.Dataset | None,
    seeds: int,
    predictive: int,
    progress: bool | None,
) -> xr.DataTree:
    """See :meth:`xmass.Fitter.sample`."""
    for name, value, least in (("draws", draws, 1), ("chains", chains, 1), ("warmup", warmup, 1), ("predictive", predictive, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name}={value!r}, needs a whole number of {least} or more.")
    seed = secrets.randbits(31) if seed is None else seed
    backend = fitter.method if isinstance(fitter.method, NutsBackend) else NutsBackend()
    density, used = density_of(fitter, target, backend, likelihood, start, seeds, seed)
    study = density.study
    c = _starts(study, start, chains, seed)
    run = sampler(density, backend, draws, warmup)
    z, stats = [], []
    with Bar(study.problem.fits, "sampling", progress) as bar, _dtype(study):
        for fit, key in enumerate(jax.random.split(jax.random.key(_word(seed)), study.problem.fits)):
            first = jnp.asarray(c[fit], study.problem.template.config.precision)
            positions, found = run(first, jax.random.split(key, chains), density.arrays(fit))
            z.append(np.asarray(positions, np.float64))
            stats.append({n: np.asarray(v) for n, v in found.items()})
            bar.add(1)
    made = {n: (np.stack([s[n] for s in stats], axis=-1), meaning) for n, meaning in _STATS.items()}
    attrs = {"likelihood": f"normal, statistics: {used.residual.name}", "sampling": repr(backend), "warmup": warmup}
    return tree(study, np.stack(z, axis=2), stats=made, objectives=(used.residual,), library="numpyro", predictive=predictive, attrs=attrs)


def density_of(
    fitter: Fitter,
    target: xr.Dataset,
    backend: NutsBackend,
    likelihood: GaussianLikelihood | None,
    start: xr.Dataset | None,
    seeds: int,
    seed: int,
) -> tuple[Density, GaussianLikelihood]:
    """The density that is sampled, and its likelihood with a standard deviation."""
    used = as_likelihood(likelihood, None, fitter.objectives, fitter.simulator.config.regions)
    sampled = dataclasses.replace(fitter, objective=used.residual, backend=backend)
    study = Study(_with_tile(sampled, 1), target, 1, 1, seed)
    width = _alike(study)
    if width > 1:
        sampled = _with_tile(sampled, width)
        study = Study(sampled, target, 1, 1, seed)
    if used.sd is None:
        fresh = Study(dataclasses.replace(sampled, noise="fresh"), target, 1, 1, seed)
        c, failed = (fresh.problem.start, np.zeros(fresh.problem.fits, bool)) if start is None else point_of(fresh, start)
        used = dataclasses.replace(used, sd=estimated_sd(fresh, c, failed, seeds))
    return Density(study, np.asarray(used.sd, np.float64)), used


def _with_tile(fitter: Fitter, width: int) -> Fitter:
    """The same with runs that are computed so many at a time."""
    simulator = fitter.simulator
    regions = None if isinstance(simulator.system, Network) else simulator.regions
    return dataclasses.replace(fitter, simulator=dataclasses.replace(simulator, tile=width, regions=regions))


def _alike(study: Study) -> int:
    """How many runs of a fit fill one tile: all of them, if they share a connectome and are not too many."""
    template, runs = study.problem.template, study.problem.rows.shape[1]
    shared = template.structures is None or template.structures.count == 1
    return runs if shared and runs <= _WIDEST else 1


def _starts(study: Study, start: xr.Dataset | None, chains: int, seed: int) -> np.ndarray:
    """Where chains begin ``(fits, chains, size)``: the first at the fit or at the values that were given, others spread over the prior."""
    first = study.problem.start if start is None else point_of(study, start)[0]
    return starting_points(study.points.layout, first, chains, seed, "free")


def _dtype(study: Study) -> Any:
    return jax.enable_x64(study.fitter.simulator.precision == "float64")


def _word(seed: int) -> int:
    return int(np.random.default_rng(seed).integers(2**32))


def sampler(density: Density, backend: NutsBackend, draws: int, warmup: int) -> Any:
    """A compiled function of starts ``(chains, size)``, keys ``(chains,)`` and arrays of a density: coordinates and statistics of draws."""
    hmc = extra("numpyro.infer.hmc", "sampling", "posterior").hmc
    forward = density.problem.setting.derivative == "forward"

    def chain(start: Any, key: Any, arrays: Any) -> tuple[Any, dict[str, Any]]:
        def potential(z: Any) -> Any:
            return -density(z, arrays)

        init, step = hmc(potential, algo="NUTS")
        state = init(
            start,
            warmup,
            target_accept_prob=backend.target_accept,
            max_tree_depth=backend.max_tree_depth,
            dense_mass=backend.dense,
            forward_mode_differentiation=forward,
            rng_key=key,
        )

        def one(state: Any, _: Any) -> tuple[Any, Any]:
            state = step(state)
            kept = {
                "lp": -state.potential_energy,
                "energy": state.energy,
                "acceptance_rate": state.accept_prob,
                "n_steps": state.num_steps,
                "step_size": state.adapt_state.step_size,
                "diverging": state.diverging,
            }
            return state, (state.z, kept)

        made = jax.lax.scan(one, state, None, length=warmup + draws)[1]  # one loop, which compiles once
        return jax.tree.map(lambda a: a[warmup:], made)

    @functools.partial(jax.jit)
    def every(starts: Any, keys: Any, arrays: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):  # numpyro's own arithmetic
            return jax.vmap(chain, in_axes=(0, 0, None))(starts, keys, arrays)

    return every
