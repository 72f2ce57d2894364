"""Neural posteriors: a normalising flow, trained on a stored sweep, that gives the parameters of any recording at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.analysis.pairing import paired, variables
from xmass.core.noise import trial_seeds
from xmass.core.param import limits
from xmass.fit import checks
from xmass.fit.backend import extra
from xmass.fit.density import prior_draws
from xmass.fit.layout import Layout
from xmass.fit.likelihood import as_likelihood
from xmass.fit.nuts import NutsBackend
from xmass.fit.posterior import parameters, tree
from xmass.fit.study import Study
from xmass.labelled.schema import SEED
from xmass.objectives import Objective

if TYPE_CHECKING:
    from xmass.fit.fitter import Fitter

POINT = "point"
_VARIANCE = 0.995
_MOST = 50
_PENALTIES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)
_EDGE = 1e-4
"""How near to its bounds a value of a grid is taken to be, in their width: at a bound there is no coordinate."""


def prior_sweep(fitter: Fitter, target: xr.Dataset, n: int, *, seed: int) -> xr.Dataset:
    """Parameters drawn from the priors, as a parameter Dataset: what a neural posterior is trained on is a run with them.

    Parameters
    ----------
    fitter : Fitter
        Whose Params have priors, or two bounds.
    target : Dataset
        Recordings, for their dims; what they hold has no effect.
    n : int
        Draws.
    seed : int
        Of the draws, and of the noise of each run.

    Returns
    -------
    Dataset
        Free and derived parameters and ``seed`` along the dim ``point``; free numbers that are no parameter of the system are coordinates.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.5)
    >>> run = dict(duration=5.0, monitors=["x"])
    >>> recorded = sim.run(params=xr.Dataset({"initial.x": 1.0}), **run)
    >>> search = {"initial.x": xm.Param(0.9, bounds=(0.0, 2.0))}
    >>> fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=run, search=search)
    >>> sweep = xm.fit.prior_sweep(fitter, recorded, 100, seed=0)
    >>> sweep["initial.x"].sizes["point"]
    100
    """
    checks.whole("n", n, 1)
    study = _study(fitter, target, seed)
    _check_one_connectome(study)
    if study.fit_sizes:
        raise ValueError(
            f"the recordings have the dims {tuple(study.fit_sizes)}, and one sweep serves them all: give one of them, "
            f"target.isel({next(iter(study.fit_sizes))}=0)."
        )
    drawn = prior_draws(study, n, seed)
    z = study.points.layout.to_coordinates(drawn, "free")
    found = parameters(study, z[:, None, :], {POINT: n})
    found = found.set_coords([name for name in found.data_vars if name not in study.points.specs])
    return found.assign({SEED: (POINT, trial_seeds(seed, n))})


@dataclasses.dataclass(frozen=True, eq=False)
class Summary:
    """Few numbers from many statistics: what they say of the coordinates by regression, then their first principal components."""

    mean: np.ndarray
    """Of the statistics."""
    matrix: np.ndarray
    """Principal components ``(statistics, components)``, each scaled to a variance of 1."""
    weights: np.ndarray
    """Of the regressions ``(features, 2 * size)``."""
    components: int
    """How many components are kept as they are."""
    centre: np.ndarray
    size: np.ndarray
    """Mean and standard deviation of the regressions."""

    def features(self, found: np.ndarray) -> np.ndarray:
        """What the regressions are of: 1, the components and their squares."""
        made = (found - self.mean) @ self.matrix
        return np.concatenate([np.ones((len(made), 1)), made, made**2], axis=1)

    def __call__(self, found: np.ndarray) -> np.ndarray:
        """Inputs ``(points, 2 * size + components)`` of statistics ``(points, statistics)``."""
        features = self.features(found)
        said = (features @ self.weights - self.centre) / self.size
        return np.concatenate([said, features[:, 1 : 1 + self.components]], axis=1)

    def expected(self, inputs: np.ndarray) -> np.ndarray:
        """The regressions of the coordinates ``(points, size)``."""
        number = len(self.size) // 2
        return inputs[..., :number] * self.size[:number] + self.centre[:number]


@dataclasses.dataclass(frozen=True, eq=False)
class NeuralPosterior:
    """A trained posterior; made by :func:`neural_posterior`."""

    fitter: Fitter
    layout: Layout
    statistic: Objective
    flow: Any
    reference: xr.Dataset
    """One point of the sweep, whose statistics all others are measured from."""
    summary: Summary
    """Makes the inputs of the flow from statistics."""
    scale: tuple[np.ndarray, np.ndarray]
    """Mean and standard deviation of the coordinates ``(size,)``."""
    left: np.ndarray
    """Standard deviation of what the regressions leave of the coordinates: the flow is of this part."""
    losses: xr.Dataset
    """``train`` and ``validation`` by ``epoch``: minus the mean logarithm of the density."""
    held_out: tuple[np.ndarray, np.ndarray]
    """Coordinates and inputs of points that were not trained on."""

    def draw(self, inputs: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates ``(draws, recordings, size)`` for inputs ``(recordings, components)``, and their log density."""
        with jax.numpy_dtype_promotion("standard"), jax.enable_x64(False):
            key = jax.random.key(int(np.random.default_rng(seed).integers(2**32)))
            v, lp = _sampled(self.flow, key, draws, jnp.asarray(inputs, jnp.float32))
        mean, sd = self.scale
        z = mean + sd * self.summary.expected(inputs) + self.left * np.asarray(v, np.float64)
        return z, np.asarray(lp, np.float64) - np.log(self.left).sum()

    def inputs(self, target: xr.Dataset) -> tuple[Study, np.ndarray]:
        """The recordings as inputs of the flow ``(fits, components)``."""
        study = _study(self.fitter, target, 0)
        pair = paired(self.reference, study.target, self.statistic)
        dims = [d for d in study.fit_sizes if d in pair.recorded.dims]
        recorded = pair.recorded.transpose(*dims, *pair.core[1])
        sizes = [study.fit_sizes[d] for d in dims]
        values = np.asarray(recorded.values, np.float64).reshape(-1, *recorded.shape[len(dims) :])
        reference = np.asarray(pair.simulated.transpose(*pair.core[0]).values, np.float64)
        found = np.asarray(self.statistic.residuals(values, reference[None]), np.float64)
        if not np.isfinite(found).all():
            raise ValueError("the recordings have statistics that are NaN, and a neural posterior takes all: select regions with data.")
        assert np.prod(sizes, dtype=int) == study.problem.fits
        return study, self.summary(found)

    def sample(self, target: xr.Dataset, *, draws: int = 1000, chains: int = 4, seed: int = 0, predictive: int = 100) -> xr.DataTree:
        """Draws from the posterior of each recording.

        Parameters
        ----------
        target : Dataset
            The recordings; each subject has a posterior of its own.
        draws, chains : int
            Draws of each chain, all independent.
        seed : int
            Of the draws and of the noise of predictions.
        predictive : int
            Draws that are simulated; 0 for none.

        Returns
        -------
        DataTree
            As :meth:`xmass.Fitter.sample` returns it.
        """
        for name, value, least in (("draws", draws, 1), ("chains", chains, 1), ("predictive", predictive, 0)):
            checks.whole(name, value, least)
        study, inputs = self.inputs(target)
        study.seed = seed
        z, lp = self.draw(inputs, chains * draws, seed)
        z, lp = z.reshape(chains, draws, *z.shape[1:]), lp.reshape(chains, draws, -1)
        stats = {"lp": (lp, "logarithm of the density of the coordinates")}
        attrs = {"statistics": self.statistic.name, "trained_on": int(self.losses.attrs["points"])}
        return tree(study, z, stats=stats, objectives=(self.statistic,), library="flowjax", predictive=predictive, attrs=attrs)


def neural_posterior(
    fitter: Fitter,
    sweep: xr.Dataset,
    target: xr.Dataset,
    *,
    params: xr.Dataset | None = None,
    statistics: Any = None,
    components: int = 4,
    layers: int = 3,
    width: int = 32,
    epochs: int = 100,
    batch: int = 256,
    learning_rate: float = 1e-3,
    held_out: float = 0.1,
    seed: int = 0,
) -> NeuralPosterior:
    """Train a neural posterior on a sweep: amortised inference for any recording of the same form.

    A masked autoregressive flow of rational-quadratic splines learns the density of the free coordinates given a summary of the
    statistics: regressions of the coordinates and their squares on the principal components of the statistics, and the first components.
    The prior is the distribution of the sweep's points: run the simulator with
    :func:`xmass.fit.prior_sweep`, and give each point a seed of its own, which that does.

    Parameters
    ----------
    fitter : Fitter
        What is free, its bounds and transforms, and how it is run for predictions; its objective says what is compared.
    sweep : Dataset
        A run, or an opened store of one, with the fitted parameters as coordinates along its dims, and what the objective compares. Points
        that diverged are left out.
    target : Dataset
        Recordings, for their form; the posterior can be sampled for others.
    params : Dataset, optional
        The parameter Dataset of the sweep: needed where a run does not keep a fitted one as a coordinate, one for each region or an
        initial value.
    statistics : {"fc"} or Objective, optional
        As :class:`xmass.fit.GaussianLikelihood` takes them; by default those of the fitter's objective.
    components : int
        Principal components of the statistics that the flow is given, besides the regressions.
    layers, width : int
        Of the flow.
    epochs, batch : int
        Training ends earlier once the validation loss has not improved in 10 epochs.
    learning_rate : float
        Of Adam.
    held_out : float
        Part of the points that is kept for :func:`xmass.calibration`.
    seed : int
        Of the initial weights and the order of points.

    Returns
    -------
    NeuralPosterior

    Raises
    ------
    KeyError, ValueError
        If the sweep lacks parameters or what is compared, or has fewer than 50 points.
    ImportError
        Without flowjax: ``pip install "xmass[posterior]"``.

    References
    ----------
    Papamakarios & Murray (2016), arXiv:1605.06376; Durkan et al. (2019), arXiv:1906.04032; for summaries by regression Fearnhead &
    Prangle (2012), doi:10.1111/j.1467-9868.2011.01010.x; Cranmer, Brehmer & Louppe (2020), doi:10.1073/pnas.1912789117.
    """
    statistic = as_likelihood(statistics, None, fitter.objectives, fitter.simulator.config.regions).residual
    study = _study(dataclasses.replace(fitter, objective=statistic), target, seed)
    if fitter.pool:
        raise ValueError("pool= has no effect on a neural posterior: each recording has its own. Leave it out.")
    _check_one_connectome(study)
    for name, value in (("components", components), ("layers", layers), ("width", width), ("epochs", epochs), ("batch", batch)):
        checks.whole(name, value, 1)
    checks.positive("learning_rate", learning_rate)
    checks.positive("held_out", held_out)
    if held_out > 0.5:
        raise ValueError(f"held_out={held_out!r}, needs a part of the points, 0.5 at most.")
    layout = study.points.layout
    names = variables(statistic, sweep, study.target)
    statistic = dataclasses.replace(statistic, simulated=names[0], recorded=names[1])
    z, found, reference = _points(sweep if params is None else sweep.assign_coords(_fitted(params, layout)), layout, statistic)
    if len(z) < 50:
        raise ValueError(f"the sweep has {len(z)} finite points, needs 50 or more; thousands are usual.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(z))
    kept = max(round(held_out * len(z)), 1)
    test, train = order[:kept], order[kept:]
    scale = z[train].mean(axis=0), np.maximum(z[train].std(axis=0), 1e-12)
    u = (z - scale[0]) / scale[1]
    summary = _summary(found[train], u[train], components)
    inputs = summary(found)
    left = u - summary.expected(inputs)
    size = np.maximum(left[train].std(axis=0), 1e-12)
    flow, losses = _trained(left[train] / size, inputs[train], layers, width, epochs, batch, learning_rate, int(rng.integers(2**32)))
    losses.attrs["points"] = len(train)
    narrow = dataclasses.replace(fitter, objective=statistic)
    return NeuralPosterior(narrow, layout, statistic, flow, reference, summary, scale, size * scale[1], losses, (z[test], inputs[test]))


def _study(fitter: Fitter, target: xr.Dataset, seed: int) -> Study:
    return Study(dataclasses.replace(fitter, backend=NutsBackend()), target, 1, 1, seed)


def _check_one_connectome(study: Study) -> None:
    structures = study.problem.template.structures
    if structures is not None and structures.count > 1:
        raise ValueError(
            f"the network has {structures.count} connectomes, and a neural posterior is of one. Make the network of each, "
            "sc.isel(subject=0), and train one for each; or sample each recording by fitter.sample(target)."
        )


def _fitted(params: xr.Dataset, layout: Layout) -> dict[str, xr.DataArray]:
    return {e.path: params[e.path].reset_coords(drop=True) for e in layout.entries if e.path in params.variables}


def _points(sweep: xr.Dataset, layout: Layout, statistic: Objective) -> tuple[np.ndarray, np.ndarray, xr.Dataset]:
    """Coordinates ``(points, size)``, statistics ``(points, m)`` of a sweep, and the point that they are measured from."""
    missing = [e.path for e in layout.entries if e.path not in sweep.variables]
    if missing:
        raise KeyError(
            f"the sweep has no {missing[0]!r}, which is fitted: it is a run with params = xm.fit.prior_sweep(fitter, target, n, seed=0), "
            "which are given here as well: params=params."
        )
    own = {d for e in layout.entries for d in e.labels}
    dims: list[Hashable] = list(dict.fromkeys(d for e in layout.entries for d in sweep[e.path].dims if d not in own))
    if not dims:
        raise ValueError("the sweep has one point: its parameters have no dims of their own.")
    first = sweep.isel(dict.fromkeys(dims, 0), drop=True)
    alike = dataclasses.replace(statistic, recorded=statistic.simulated)
    pair = paired(sweep, first, alike)
    left = [d for d in pair.simulated.dims if d not in (*dims, *pair.core[0])]
    if left:
        raise ValueError(f"the sweep has the dim {left[0]!r} beside those of its parameters: select one entry, sweep.isel({left[0]}=0).")
    simulated = pair.simulated.transpose(*dims, *pair.core[0]).values
    simulated = np.asarray(simulated, np.float64).reshape(-1, *simulated.shape[len(dims) :])
    reference = np.asarray(pair.recorded.transpose(*pair.core[1]).values, np.float64)
    found = np.asarray(statistic.residuals(simulated, reference[None]), np.float64)
    sizes = {d: sweep.sizes[d] for d in dims}
    values = {}
    for entry in layout.entries:
        value = sweep[entry.path].reset_coords(drop=True)
        spread = value.expand_dims({d: n for d, n in sizes.items() if d not in value.dims}).transpose(*dims, *entry.labels)
        array = np.asarray(spread.values, np.float64).reshape(-1, *entry.shape)
        low, high = (np.broadcast_to(b, entry.shape) for b in limits(entry.param))
        with np.errstate(invalid="ignore"):
            margin = np.where(np.isfinite(high - low), _EDGE * (high - low), 0.0)
        values[entry.path] = np.clip(array, low + margin, high - margin)
    z = layout.to_coordinates(values, "free")
    fine = np.isfinite(found).all(axis=1) & np.isfinite(z).all(axis=1)
    return z[fine], found[fine], first


def _summary(found: np.ndarray, u: np.ndarray, components: int) -> Summary:
    """Regressions of the coordinates and their squares on principal components and their squares, and the first components."""
    mean = found.mean(axis=0)
    _, sizes, vectors = np.linalg.svd(found - mean, full_matrices=False)
    share = np.cumsum(sizes**2) / np.sum(sizes**2)
    most = max(int(np.count_nonzero(sizes > 1e-9 * sizes[0])), 1)
    count = max(min(int(np.searchsorted(share, _VARIANCE)) + 1, _MOST, most), 1)
    matrix = vectors[:count].T * np.sqrt(len(found)) / sizes[:count]
    first = Summary(mean, matrix, np.zeros((1 + 2 * count, 0)), min(components, count), np.zeros(0), np.ones(0))
    features, goals = first.features(found), np.concatenate([u, u**2], axis=1)
    weights = min((_ridge(features, goals, part) for part in _PENALTIES), key=lambda fitted: fitted[1])[0]
    plain = dataclasses.replace(first, weights=weights, centre=np.zeros(goals.shape[1]), size=np.ones(goals.shape[1]))
    made = features @ weights
    return dataclasses.replace(plain, centre=made.mean(axis=0), size=np.maximum(made.std(axis=0), 1e-12))


def _ridge(features: np.ndarray, goals: np.ndarray, part: float) -> tuple[np.ndarray, float]:
    """Weights of a ridge regression, and the error of one from the first four fifths on the last."""

    def solved(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        penalty = part * len(x) * np.eye(x.shape[1])
        penalty[0, 0] = 0.0
        return np.linalg.lstsq(x.T @ x + penalty, x.T @ y)[0]

    cut = len(features) * 4 // 5
    left = features[cut:] @ solved(features[:cut], goals[:cut]) - goals[cut:]
    return solved(features, goals), float(np.mean(left**2))


def _trained(
    u: np.ndarray, inputs: np.ndarray, layers: int, width: int, epochs: int, batch: int, learning_rate: float, seed: int
) -> tuple[Any, xr.Dataset]:
    flows, bijections, distributions, training = (
        extra(f"flowjax.{name}", "a neural posterior", "posterior") for name in ("flows", "bijections", "distributions", "train")
    )
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(False):
        first, second = jax.random.split(jax.random.key(seed))
        flow = flows.masked_autoregressive_flow(
            first,
            base_dist=distributions.Normal(jnp.zeros(u.shape[1])),
            transformer=bijections.RationalQuadraticSpline(knots=8, interval=4),
            cond_dim=inputs.shape[1],
            flow_layers=layers,
            nn_width=width,
        )
        flow, found = training.fit_to_data(
            second,
            flow,
            (jnp.asarray(u, jnp.float32), jnp.asarray(inputs, jnp.float32)),
            learning_rate=learning_rate,
            max_epochs=epochs,
            max_patience=10,
            batch_size=min(batch, max(len(u) // 4, 1)),
            show_progress=False,
        )
    return flow, xr.Dataset({"train": ("epoch", np.asarray(found["train"])), "validation": ("epoch", np.asarray(found["val"]))})


def _sampled(flow: Any, key: Any, draws: int, inputs: Any) -> tuple[Any, Any]:
    equinox = extra("equinox", "a neural posterior", "posterior")

    @equinox.filter_jit
    def made(flow: Any, key: Any, inputs: Any) -> tuple[Any, Any]:
        return flow.sample_and_log_prob(key, (draws,), condition=inputs)

    return made(flow, key, inputs)
