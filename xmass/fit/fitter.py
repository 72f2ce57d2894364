"""The Fitter: from a Dataset of recordings to a Dataset of parameters."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.core.param import Param
from xmass.fit.backend import Backend, backend_named
from xmass.fit.likelihood import GaussianLikelihood
from xmass.fit.points import Derive
from xmass.fit.recorder import Callback
from xmass.fit.scipy_backend import ScipyBackend
from xmass.fit.store import stored_seed
from xmass.fit.study import Study
from xmass.objectives import Combined, Objective
from xmass.simulator import Simulator

_RUN = ("duration", "params", "monitors", "transient", "sample_every", "batch_size", "seed", "inputs", "initial")
Goal = Objective | Combined | Callable[..., Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Fitter:
    """Find the parameters with which a simulation is most like recordings.

    Parameters
    ----------
    simulator : Simulator
        The system. Parameters of its models, couplings and noises that are a :class:`Param` are fitted.
    objective : Objective, or sequence of them
        From :mod:`xmass.objectives`, or a function of two Datasets. Several are for ``backend="pareto"``.
    run : mapping
        Arguments of :meth:`Simulator.run`: ``duration`` is needed; ``monitors`` makes what the objective compares.
    search : mapping of str to Param, optional
        Parameters to fit, by path; they win over those in the model. A name that is no parameter is a free number which ``derive`` uses.
    derive : mapping of str to callable, optional
        Parameters that follow from others: ``{"J_i": lambda q: xm.inhibition_control(sc, q["coupling.k"])}``; ``q`` holds every parameter
        as a DataArray. Later ones may use earlier ones.
    backend : str or Backend
        "grad" (gradient descent), "cma" and "nevergrad" (evolution), "scipy", "grid", "pareto", or "nuts" for
        :meth:`sample`; or an object with options of its own, such as ``xm.fit.GradientBackend(optax.adam(0.02))``.
    pool : str or sequence of str
        Dims of the recordings, such as ``"subject"``, over which the loss is averaged: one fit for all. Other dims make fits of their own.
    noise : {"common", "fresh"}
        Whether every candidate sees the same noise, or each step draws its own.
    derivative : {"auto", "forward", "reverse"}
        How gradients are made: in forward mode a run costs one more run for each free number and no memory, in reverse mode a few runs
        whatever their number. "auto" is forward up to 4 free numbers.
    memory : float, optional
        For reverse mode: bytes that a gradient may keep of the trajectory of a tile; fewer mean more recomputation. By default it grows
        with the square root of the number of steps.
    window : float or Quantity, optional
        For reverse mode, truncated back-propagation: gradients are not carried back over more than this time [ms].

    Raises
    ------
    TypeError, ValueError, KeyError
        For anything that does not fit, before compilation, with the call that fixes it.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> node = xm.HopfStep(a=xm.Param(0.05, bounds=(0.01, 0.5)), w=0.3)
    >>> sim = xm.Simulator(node, dt=0.1)
    >>> run = dict(duration=60.0, monitors=["x"], initial={"x": 0.1})
    >>> recorded = sim.run(params=xr.Dataset({"a": 0.2}), **run)
    >>> fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), backend="scipy", run=run)
    >>> fit = fitter.fit(recorded, n_steps=30, seed=0)
    >>> round(float(fit.a), 4)
    0.2
    """

    simulator: Simulator
    objective: Goal | Sequence[Goal] = dataclasses.field(kw_only=True)
    run: Mapping[str, Any] = dataclasses.field(kw_only=True)
    search: Mapping[str, Param] = dataclasses.field(default_factory=dict, kw_only=True)
    derive: Derive = dataclasses.field(default_factory=dict, kw_only=True)
    backend: str | Backend = dataclasses.field(default="grad", kw_only=True)
    pool: str | Sequence[str] = dataclasses.field(default=(), kw_only=True)
    noise: Literal["common", "fresh"] = dataclasses.field(default="common", kw_only=True)
    derivative: Literal["auto", "forward", "reverse"] = dataclasses.field(default="auto", kw_only=True)
    memory: float | None = dataclasses.field(default=None, kw_only=True)
    window: Any = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.simulator, Simulator):
            raise TypeError(
                f"the first argument is a {type(self.simulator).__name__}, needs an xm.Simulator: xm.Fitter(sim, objective=...)."
            )
        if not isinstance(self.run, Mapping):
            raise TypeError(f"run is a {type(self.run).__name__}, needs a mapping: run=dict(duration=60_000, monitors=...).")
        strange = next((k for k in self.run if k not in _RUN), None)
        if strange is not None:
            raise ValueError(f"run has {strange!r}, needs arguments of Simulator.run that shape its result: {', '.join(_RUN)}.")
        if "duration" not in self.run:
            raise ValueError("run has no duration, needs the simulated time: run=dict(duration=60_000, ...).")
        for name, given in (("search", self.search), ("derive", self.derive)):
            if not isinstance(given, Mapping):
                raise TypeError(f"{name} is a {type(given).__name__}, needs a mapping of names.")
        wrong = next((k for k, v in self.search.items() if not isinstance(v, Param)), None)
        if wrong is not None:
            raise TypeError(f"search[{wrong!r}] is {self.search[wrong]!r}, needs a Param: xm.Param(0.2, bounds=(0, 0.5)).")
        wrong = next((k for k, v in self.derive.items() if not callable(v)), None)
        if wrong is not None:
            raise TypeError(f"derive[{wrong!r}] is {self.derive[wrong]!r}, needs a function of the other parameters: lambda q: ... .")
        both = sorted(set(self.search) & set(self.derive))
        if both:
            raise ValueError(f"{both[0]!r} is both in search and in derive. Leave it out of one.")
        if self.noise not in ("common", "fresh"):
            raise ValueError(f"noise={self.noise!r}, needs 'common' or 'fresh'.")
        if self.derivative not in ("auto", "forward", "reverse"):
            raise ValueError(f"derivative={self.derivative!r}, needs 'auto', 'forward' or 'reverse'.")
        if self.derivative == "forward" and (self.memory is not None or self.window is not None):
            raise ValueError("memory and window are for reverse mode, and derivative is 'forward'. Leave them out, or take 'reverse'.")
        if isinstance(self.objective, str) or not all(callable(o) for o in self.objectives):
            raise TypeError(f"objective={self.objective!r}, needs an objective or a list of them: objective=xm.objectives.fc_corr().")
        pool = (self.pool,) if isinstance(self.pool, str) else self.pool
        if not isinstance(pool, Sequence) or not all(isinstance(d, str) for d in pool) or len(set(pool)) < len(pool):
            raise TypeError(f"pool={self.pool!r}, needs a dim of the recordings or several: pool='subject'.")
        object.__setattr__(self, "pool", tuple(pool))
        object.__setattr__(self, "backend", backend_named(self.backend) if isinstance(self.backend, str) else self.backend)
        if not isinstance(self.backend, Backend):
            raise TypeError(f"backend is a {type(self.backend).__name__}, needs a name such as 'grad', or a backend object of xm.fit.")
        number = isinstance(self.memory, int | float | np.integer | np.floating) and not isinstance(self.memory, bool)
        if self.memory is not None and not (number and self.memory > 0):
            raise ValueError(f"memory={self.memory!r}, needs a positive number of bytes.")

    @property
    def method(self) -> Backend:
        """The backend as an object."""
        assert not isinstance(self.backend, str)
        return self.backend

    def _check_used(self) -> None:
        """Options that the backend would not use are errors."""
        name = type(self.method).__name__
        given = [n for n, v in (("memory", self.memory), ("window", self.window)) if v is not None]
        given += ["derivative"] if self.derivative != "auto" else []
        if given and not (self.method.gradient or self.method.residuals):
            raise ValueError(f"{given[0]} is for gradients, and {name} takes none. Leave it out, or take backend='grad' or 'scipy'.")
        if self.noise == "fresh" and isinstance(self.method, ScipyBackend):
            raise ValueError(f"noise='fresh' gives each step other noise, and the line searches of {name} need the same. Leave it out.")

    @property
    def objectives(self) -> tuple[Goal, ...]:
        """The objectives, one or several."""
        return tuple(self.objective) if isinstance(self.objective, Sequence) else (self.objective,)

    def fit(
        self,
        target: xr.Dataset,
        n_steps: int = 100,
        *,
        starts: int = 1,
        seed: int | None = None,
        progress: bool | None = None,
        callbacks: Sequence[Callback] = (),
        store: str | Path | None = None,
        chunks: Mapping[str, int] | None = None,
        resume: bool = True,
        predict: bool = False,
    ) -> xr.Dataset:
        """Fit to recordings.

        Parameters
        ----------
        target : Dataset
            Recordings with the variables that the objective takes. Every dim that is not time or region, such as ``subject``, makes fits
            of its own, which run together and do not touch each other.
        n_steps : int
            Steps of the optimiser at most: updates of a gradient, generations of an evolution.
        starts : int
            Fits from so many starting points: the dim ``start`` of the result, best first. The first one is the value of each Param, the
            others are drawn from its prior or between its bounds.
        seed : int, optional
            Of the starting points and of what the optimiser draws; also of the noise where ``run`` has no seed. Drawn if there
            is none, or that of the fit in the store.
        progress : bool, optional
            Show a progress bar; by default where it takes more than a few seconds.
        callbacks : sequence of callable
            Called after every step with ``step``, ``loss`` and ``best_loss`` (fits); one that returns True stops the fit. The best so
            far is returned, with an attribute ``stopped``, and a store can be continued.
        store : str or Path, optional
            A directory to which the result is written, and from which an interrupted or killed fit goes on, called with the same
            arguments, ``chunks`` too.
        chunks : mapping of str to int, optional
            Fits that run together along their dims, ``{"subject": 1}``; all by default. A chunk that has ended stays in the store.
        resume : bool
            Continue the fit that the store holds. With False, an existing store is an error.
        predict : bool
            Add the simulation at the returned parameters, under the names of the monitors.

        Returns
        -------
        Dataset
            For each fit: every parameter under its own name, at the best point that was evaluated; ``best_loss`` of that very point and
            ``best_step``; ``loss(step)``; ``converged``, ``diverged``, ``at_bound``. Select the parameters to run them:
            ``sim.run(..., params=fit[["coupling.k"]])``.

        Raises
        ------
        TypeError, ValueError, KeyError
            Before anything is computed.
        """
        if store is not None and (not isinstance(store, str | os.PathLike) or not Path(store).name):
            raise TypeError(f"store={store!r}, needs the path of a directory that the fit makes: store='fit.zarr'.")
        if callable(callbacks) or not all(callable(one) for one in callbacks):
            raise TypeError(f"callbacks={callbacks!r}, needs a list of functions: callbacks=[lambda now: now.step > 10].")
        store = None if store is None else Path(store)
        seed = stored_seed(store) if seed is None and store is not None and resume else seed
        self._check_used()
        return Study(self, target, n_steps, starts, seed).solve(
            progress=progress,
            callbacks=tuple(callbacks),
            store=store,
            chunks=chunks,
            resume=resume,
            predict=predict,
        )

    def sample(
        self,
        target: xr.Dataset,
        *,
        draws: int = 1000,
        chains: int = 4,
        warmup: int = 500,
        seed: int | None = None,
        likelihood: GaussianLikelihood | None = None,
        start: xr.Dataset | None = None,
        seeds: int = 16,
        predictive: int = 100,
        progress: bool | None = None,
    ) -> xr.DataTree:
        """Sample the posterior of the parameters by the No-U-Turn sampler, with gradients through the simulation.

        The posterior is that of summary statistics with a normal likelihood, under the priors of the Params; a Param without a prior is
        uniform between its bounds, in its value. The noise of the simulation is held: with a noisy model give ``run`` a ``batch_size``,
        so that the simulated statistics are means over trials. Regularisation is no prior and does not enter.

        Parameters
        ----------
        target : Dataset
            The recordings, as for :meth:`fit`; every subject has a posterior of its own.
        draws, chains, warmup : int
            Draws of each chain, chains, and steps of each chain to adapt, which are not returned.
        seed : int, optional
            Of the sampler, and of the noise where ``run`` has no seed.
        likelihood : GaussianLikelihood, optional
            By default that of the statistics of the objective, :class:`xmass.fit.GaussianLikelihood`, whose standard deviation is
            estimated over the noise, that of the simulated mean included.
        start : Dataset, optional
            Where the first chain begins, and where the standard deviation is estimated: what :meth:`fit` returned. By default the values
            of the Params. The other chains begin at points spread over the prior.
        seeds : int
            Runs from which the standard deviation is estimated.
        predictive : int
            Draws, of all chains together, that are simulated with fresh noise; 0 for none.
        progress : bool, optional
            Show a progress bar over the fits.

        Returns
        -------
        DataTree
            As arviz reads it: the groups ``posterior`` (chain, draw, dims of the fits), ``sample_stats``, ``prior``, ``observed_data`` and
            ``posterior_predictive``.

        Raises
        ------
        ValueError
            If the objective has no statistics, a parameter neither prior nor two bounds, or the run no noise and the likelihood no ``sd``.
        ImportError
            Without numpyro: ``pip install "xmass[posterior]"``.

        Examples
        --------
        >>> import xarray as xr, xmass as xm
        >>> sim = xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.5)
        >>> run = dict(duration=5.0, monitors=["x"])
        >>> recorded = sim.run(params=xr.Dataset({"initial.x": 1.0}), **run)
        >>> search = {"initial.x": xm.Param(0.9, bounds=(0.0, 2.0))}
        >>> fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), run=run, search=search)
        >>> likelihood = xm.fit.GaussianLikelihood(xm.objectives.timeseries_rmse(), sd=0.1)
        >>> tree = fitter.sample(recorded, draws=200, chains=2, warmup=100, seed=0, likelihood=likelihood)
        >>> dict(tree["posterior"].sizes)
        {'chain': 2, 'draw': 200}
        """
        from xmass.fit.nuts import sample

        return sample(
            self,
            target,
            draws=draws,
            chains=chains,
            warmup=warmup,
            seed=seed,
            likelihood=likelihood,
            start=start,
            seeds=seeds,
            predictive=predictive,
            progress=progress,
        )
