"""A fit as arrays: free numbers in, losses and their gradients out, for every fit and candidate in one batched run."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core import engine, reverse
from xmass.core.kernel import compile_options
from xmass.core.noise import trial_seeds
from xmass.fit.points import Points, rows
from xmass.fit.score import Scorer
from xmass.labelled.execute import Arrays, cores, execute
from xmass.labelled.resolve import Config, Request, Resolved, resolve
from xmass.labelled.schema import DISTANCES, INITIAL, SPEED, WEIGHTS
from xmass.labelled.traced import Tile, arguments, tiles
from xmass.labelled.values import Value
from xmass.scale.chunks import template

CANDIDATE = "candidate"
_PART_NUMBERS = 40_000_000
"""Numbers that the runs of one part of a population return at most."""
_GRADIENT_TILE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """What a problem is made of: the system, the run, the free parameters, the score, and the dims of the fits."""

    config: Config
    request: Request
    points: Points
    objectives: tuple[Any, ...]
    target: xr.Dataset
    fit_sizes: dict[str, int]
    """Dims that make fits of their own, with ``start``, in order."""
    pool_sizes: dict[str, int]
    """Dims of the target whose scores are averaged into one fit."""
    target_dims: tuple[str, ...]
    """Dims of the target's points, in the order of the scorer's rows."""
    start: np.ndarray
    """Where each fit starts ``(fits, size)``."""
    fresh_noise: bool
    derivative: str
    """"forward" or "reverse"."""
    memory: float | None
    window: int | None


class Problem:
    """Losses and gradients of fits; what backends work on."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        layout, self.space = setting.points.layout, setting.points.space
        self.size, self.names = layout.size, layout.names
        self.lower, self.upper = layout.lower(self.space), layout.upper(self.space)
        self.start = setting.start
        self.fits = len(setting.start)
        self._single = _Runs(setting, 0)
        self.scorer = Scorer(setting.objectives, template(self._single.resolved, {}), setting.target, setting.target_dims)
        self.objectives = len(self.scorer.names)
        self._single.leave_out(self.scorer.empty)
        self._populations: dict[int, _Runs] = {}
        self._score = self.scorer.losses  # compiled, unless a function of a user cannot be traced
        self._rows = jax.jit(self._values_by_run, static_argnums=1)
        self._penalty = jax.jit(setting.points.penalty)

    @property
    def template(self) -> Resolved:
        """The runs at the starting values, one for each fit."""
        return self._single.resolved

    @property
    def scale(self) -> np.ndarray:
        """What the residuals of each fit ``(fits,)`` are multiplied by, so that recordings that are left out do not count."""
        return np.array([self._single.scale_of_runs[self._single.fit == k].max() for k in range(self.fits)])

    @property
    def dims_of_values(self) -> dict[str, tuple[str, ...]]:
        """The dims of each free and derived parameter, those of the fits included."""
        return {path: tuple(map(str, self._single.params[path].dims)) for path in self._single.paths}

    @property
    def rows(self) -> np.ndarray:
        """Which row of the targets each run of a fit is compared with ``(fits, runs)``, the runs in the order of the residuals."""
        return self._single.behind_one_another(self._single.row)

    # ---------------------------------------------------------------------------------------------------------- populations
    def part(self, which: np.ndarray) -> Part:
        """The problem of some fits alone."""
        return Part(self, which)

    def losses(self, c: np.ndarray, *, draw: int = 0, which: np.ndarray | None = None) -> np.ndarray:
        """Losses ``(fits, candidates, objectives)`` of points ``(fits, candidates, size)``; NaN where a run diverged.

        ``which`` are the fits that are evaluated; the others are NaN.
        """
        candidates = c.shape[1]
        if candidates not in self._populations:
            self._populations[candidates] = _Runs(self.setting, candidates)
            self._populations[candidates].leave_out(self.scorer.empty)
        runs = self._populations[candidates]
        with jax.enable_x64(True):
            values = self._rows(jnp.asarray(c), runs)
            values = {path: np.asarray(v) for path, v in values.items()}
            penalty = np.asarray(self._penalty(jnp.asarray(c)))
        resolved = runs.with_values(values, draw if self.setting.fresh_noise else 0)
        found = np.full((runs.count, self.objectives), np.nan)
        for part in runs.parts(which):
            arrays = execute(resolved, part)
            with jax.enable_x64(True):
                given = {k: np.asarray(v, np.float64) for k, v in _by_monitor(resolved, arrays).items()}
                found[part] = np.asarray(self._score(given, runs.targets(self.scorer, part)))
            found[part] = np.where(arrays.finite[:, None], found[part], np.nan)
        return runs.by_fit(found) + penalty[:, :, None]

    def _values_by_run(self, c: Any, runs: _Runs) -> dict[str, Any]:
        values = self.setting.points.values(c.reshape(*runs.lead.values(), c.shape[-1]), runs.lead)
        return {path: rows(value, runs.resolved.sizes) for path, value in values.items()}

    # ---------------------------------------------------------------------------------------------------------- gradients
    @functools.cached_property
    def _tiles(self) -> list[tuple[Tile, np.ndarray, np.ndarray]]:
        """Every tile of the runs, the runs in it, and which of its columns count."""
        made = tiles(self._single.resolved, paths=self._single.paths)
        return [(tile, tile.members, np.concatenate([[True], np.diff(tile.members) != 0])) for tile in made]

    def gradient(self, c: np.ndarray, *, draw: int = 0, which: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Losses ``(fits,)`` and their gradients ``(fits, size)`` at ``c`` ``(fits, size)``."""
        self.scorer.check_differentiable()
        if self.setting.derivative == "forward":
            return self._forward_gradient(c, draw, which)
        losses, cotangents = self._each_tile(self._tile_gradient, c, draw, which)
        single = self._single
        with jax.enable_x64(True):
            share = {path: v * single.share_of_runs.reshape(-1, *(1,) * (v.ndim - 1)) for path, v in cotangents.items()}
            slope, penalty = self._pull(jnp.asarray(c), share)
        return single.by_fit(losses)[:, 0, 0] + np.asarray(penalty), np.asarray(slope)

    def _forward_gradient(self, c: np.ndarray, draw: int, which: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The same in forward mode: one tangent for each free number, all in one run."""
        tangents = self._tangents(c)
        found, _ = self._each_tile(functools.partial(self._tile_forward, tangents=tangents), c, draw, which)
        means = self._single.by_fit(found)[:, 0]
        with jax.enable_x64(True):
            slope, penalty = self._penalty_slope(jnp.asarray(c))
        return means[:, 0] + np.asarray(penalty), means[:, 1:] + np.asarray(slope)

    def _tangents(self, c: np.ndarray) -> dict[str, np.ndarray]:
        """Derivatives ``(size, run, *own dims)`` of the values of every run with respect to each free number of its fit."""
        with jax.enable_x64(True):
            return {path: np.asarray(v) for path, v in self._slopes_of_rows(jnp.asarray(c)).items()}

    @functools.cached_property
    def _slopes_of_rows(self) -> Any:
        single = self._single

        def slopes(c: Any) -> dict[str, Any]:
            def along(k: Any) -> dict[str, Any]:
                direction = jnp.zeros_like(c).at[:, k].set(1.0)
                return jax.jvp(lambda x: self._values_by_run(x, single), (c,), (direction,))[1]

            return jax.vmap(along)(jnp.arange(self.size))

        return jax.jit(slopes)

    @functools.cached_property
    def _penalty_slope(self) -> Any:
        def both(c: Any) -> tuple[Any, Any]:
            penalty, back = jax.vjp(lambda x: self.setting.points.penalty(x[:, None, :])[:, 0], c)
            return back(jnp.ones_like(penalty))[0], penalty

        return jax.jit(both)

    def residuals(self, c: np.ndarray, *, draw: int = 0, which: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Losses ``(fits,)`` and residuals ``(fits, m)``, their root mean square; averaged runs stand one behind another."""
        self.scorer.check_residuals()
        found, _ = self._each_tile(self._tile_residuals, c, draw, which)
        residuals = self._single.behind_one_another(found)
        return np.sqrt(np.mean(residuals**2, axis=1)), residuals

    def jacobian(self, c: np.ndarray, *, draw: int = 0, which: np.ndarray | None = None) -> np.ndarray:
        """Derivatives ``(fits, m, size)`` of the residuals, in forward mode: one run for each free number."""
        self.scorer.check_residuals()
        found, _ = self._each_tile(functools.partial(self._tile_tangent, tangents=self._tangents(c)), c, draw, which)
        return np.stack([self._single.behind_one_another(found[..., k]) for k in range(self.size)], axis=-1)

    @functools.cached_property
    def _pull(self) -> Any:
        single = self._single

        def pull(c: Any, cotangents: dict[str, Any]) -> tuple[Any, Any]:
            _, back = jax.vjp(lambda x: self._values_by_run(x, single), c)
            slope, penalty = self._penalty_slope(c)
            return back(cotangents)[0] + slope, penalty

        return jax.jit(pull)

    def _each_tile(self, function: Any, c: np.ndarray, draw: int, which: np.ndarray | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """A function of every tile, on several threads: what it returns by run, and derivatives by path and run."""
        single = self._single
        double = self.setting.config.precision == "float64"
        with jax.enable_x64(True):
            values = {path: np.asarray(v) for path, v in self._rows(jnp.asarray(c), single).items()}
        seeds = single.with_values({}, draw).seeds if draw and self.setting.fresh_noise else None
        given = {path: v if double else v.astype(np.float32) for path, v in values.items()}

        def one(tile: Tile, members: np.ndarray, counts: np.ndarray) -> tuple[Any, Any]:
            with jax.enable_x64(double):
                if seeds is not None:
                    tile = tile.with_seeds(seeds)
                overrides = {path: v[members] for path, v in given.items()}
                targets = single.targets(self.scorer, members)
                return function(tile, overrides, targets, counts, members)

        jobs = self._tiles
        if which is not None:
            jobs = [job for job in jobs if np.isin(single.fit[job[1]], which).any()]
        if len(jobs) == 1:
            made = [one(*jobs[0])]
        else:
            with concurrent.futures.ThreadPoolExecutor(min(cores(), len(jobs))) as pool:
                made = list(pool.map(lambda job: one(*job), jobs))
        found: np.ndarray | None = None
        slopes: dict[str, np.ndarray] = {path: np.zeros(v.shape) for path, v in values.items()}
        for (_, members, counts), (values_of, slopes_of) in zip(jobs, made, strict=True):
            own = members[counts]
            values_of = np.asarray(values_of, np.float64)
            found = np.full((single.count, *values_of.shape[1:]), np.nan) if found is None else found
            found[own] = values_of[counts]
            for path, v in slopes_of.items():
                slopes[path][own] = np.asarray(v, np.float64)[counts]
        assert found is not None
        return found, slopes

    def _tile_gradient(self, tile: Tile, overrides: dict, targets: Any, counts: np.ndarray, members: np.ndarray) -> tuple[Any, Any]:
        return self._value_and_grad(tile, overrides, targets, counts)

    def _tile_residuals(self, tile: Tile, overrides: dict, targets: Any, counts: np.ndarray, members: np.ndarray) -> tuple[Any, Any]:
        return self._residuals_of(tile, overrides, targets), {}

    def _tile_tangent(
        self, tile: Tile, overrides: dict, targets: Any, counts: np.ndarray, members: np.ndarray, *, tangents: dict
    ) -> tuple[Any, Any]:
        return self._tangent(tile, overrides, _of_members(tangents, overrides, members), targets), {}

    def _tile_forward(
        self, tile: Tile, overrides: dict, targets: Any, counts: np.ndarray, members: np.ndarray, *, tangents: dict
    ) -> tuple[Any, Any]:
        return self._value_and_tangents(tile, overrides, _of_members(tangents, overrides, members), targets), {}

    # ---------------------------------------------------------------------------------------------------------- one fit, traced
    def one_fit(self, fit: int) -> dict[str, Any]:
        """Arrays that the residuals of one fit are made of, of one shape for all fits: its runs and targets, where other fits stand."""
        single = self._single
        runs = np.flatnonzero(single.fit == fit)
        made = tiles(single.resolved, runs, paths=single.paths)
        members = np.stack([tile.members for tile in made])
        if members.size != len(runs):
            raise ValueError(f"{len(runs)} runs of one fit do not fill tiles of {single.resolved.program.width}: Simulator(tile=1).")
        return {
            "tiles": jax.tree.map(lambda *leaves: jnp.stack(leaves), *made),
            "targets": jax.tree.map(
                lambda a: np.asarray(a).reshape(*members.shape, *a.shape[1:]), single.targets(self.scorer, members.ravel())
            ),
            "runs": members,
            "recording": np.unique(single.row[members.ravel()], return_inverse=True)[1].reshape(-1),
            "scale": single.scale_of_runs[members.ravel()],
            "start": self.start,
            "fit": np.int32(fit),
        }

    def traced_residuals(self, c: Any, arrays: dict[str, Any]) -> Any:
        """Residuals ``(statistics,)`` of one fit at ``c`` ``(size,)``, averaged over runs that are compared with one recording.

        ``arrays`` are those of :meth:`one_fit`. Traceable and differentiable, in the mode that the fitter says.
        """
        single, forward = self._single, self.setting.derivative == "forward"
        every = jnp.asarray(arrays["start"]).astype(c.dtype).at[arrays["fit"]].set(c)
        values = {path: v[arrays["runs"]] for path, v in self._values_by_run(every, single).items()}

        def one(tile: Any) -> Any:
            return self._traced_residuals(*tile, forward=forward)

        given = (arrays["tiles"], values, arrays["targets"])
        count = len(arrays["recording"])
        found = one(jax.tree.map(lambda a: a[0], given))[None] if len(arrays["runs"]) == 1 else jax.lax.map(one, given)
        scale = jnp.asarray(arrays["scale"], found.dtype)[:, None]
        found = jnp.where(scale > 0, found.reshape(count, -1) * scale, 0.0)
        different = len(np.unique(self.rows[0]))
        total = jnp.zeros((different, found.shape[1]), found.dtype).at[arrays["recording"]].add(found)
        return (total * (different / count)).reshape(-1)

    def simulated(self, tile: Tile, overrides: Mapping[str, Any], *, forward: bool = False) -> tuple[dict[str, Any], Any]:
        """Arrays of the monitors, run axis first, and which runs are finite; traceable, with ``forward`` for ``jax.jvp``."""
        resolved, setting = self._single.resolved, self.setting
        made_args, made_initial = arguments(tile, overrides)
        out = reverse.simulate(
            resolved.program,
            made_args,
            made_initial,
            start=resolved.start,
            stop=resolved.stop,
            keep=resolved.keep,
            memory=setting.memory,
            window=setting.window,
            forward=forward,
        )
        arrays = {}
        for monitor in resolved.graph.monitors:
            values = out.series[monitor.node] if monitor.clock else out.reductions[monitor.node]
            arrays[monitor.name] = jnp.moveaxis(values, -1, 0)
        return arrays, out.finite

    @functools.cached_property
    def _value_and_grad(self) -> Any:
        scorer = self.scorer

        def total(overrides: dict, tile: Tile, targets: Any, counts: Any) -> tuple[Any, Any]:
            arrays, finite = self.simulated(tile, overrides)
            losses = scorer(arrays, targets)
            used = (finite & jnp.isfinite(losses[:, 0])) & counts
            return jnp.where(used, losses[:, 0], 0.0).sum(), jnp.where(finite[:, None], losses, jnp.nan)

        def both(tile: Tile, overrides: dict, targets: Any, counts: Any) -> tuple[Any, Any]:
            (_, losses), slopes = jax.value_and_grad(total, has_aux=True)(overrides, tile, targets, counts)
            return losses, slopes

        return self._jit(both)

    @functools.cached_property
    def _residuals_of(self) -> Any:
        return self._jit(self._traced_residuals)

    def _traced_residuals(self, tile: Tile, overrides: dict, targets: Any, *, forward: bool = False) -> Any:
        arrays, finite = self.simulated(tile, overrides, forward=forward)
        return jnp.where(finite[:, None], self.scorer.residuals(arrays, targets), jnp.nan)

    @functools.cached_property
    def _tangent(self) -> Any:
        def every(tile: Tile, overrides: dict, tangents: dict, targets: Any) -> Any:
            def along(direction: dict) -> Any:
                return jax.jvp(lambda o: self._traced_residuals(tile, o, targets, forward=True), (overrides,), (direction,))[1]

            return jax.vmap(along, out_axes=-1)(tangents)

        return self._jit(every)

    @functools.cached_property
    def _value_and_tangents(self) -> Any:
        def losses(tile: Tile, overrides: dict, targets: Any) -> Any:
            arrays, finite = self.simulated(tile, overrides, forward=True)
            return jnp.where(finite, self.scorer(arrays, targets)[:, 0], jnp.nan)

        def both(tile: Tile, overrides: dict, tangents: dict, targets: Any) -> Any:
            def along(direction: dict) -> tuple[Any, Any]:
                return jax.jvp(lambda o: losses(tile, o, targets), (overrides,), (direction,))

            value, slopes = jax.vmap(along, out_axes=(None, -1))(tangents)
            return jnp.concatenate([value[:, None], slopes], axis=1)

        return self._jit(both)

    def _jit(self, function: Any) -> Any:
        return jax.jit(function, compiler_options=compile_options(engine.platform(), self._single.resolved.program.width))


class Part:
    """Some fits of a problem, for a backend that works on them alone."""

    def __init__(self, whole: Problem, which: np.ndarray) -> None:
        self._whole, self._which = whole, which
        self.fits, self.size, self.names, self.space = len(which), whole.size, whole.names, whole.space
        self.lower, self.upper, self.objectives = whole.lower, whole.upper, whole.objectives
        self.start = whole.start[which]

    def _full(self, c: np.ndarray) -> np.ndarray:
        """The points of all fits: those of the others are where they start."""
        lead = self._whole.start.reshape(self._whole.fits, *(1,) * (c.ndim - 2), self.size)
        full = np.array(np.broadcast_to(lead, (self._whole.fits, *c.shape[1:])))
        full[self._which] = c
        return full

    def losses(self, c: np.ndarray, *, draw: int = 0) -> np.ndarray:
        """As :meth:`Problem.losses`."""
        return self._whole.losses(self._full(c), draw=draw, which=self._which)[self._which]

    def gradient(self, c: np.ndarray, *, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`Problem.gradient`."""
        losses, slopes = self._whole.gradient(self._full(c), draw=draw, which=self._which)
        return losses[self._which], slopes[self._which]

    def residuals(self, c: np.ndarray, *, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`Problem.residuals`."""
        losses, found = self._whole.residuals(self._full(c), draw=draw, which=self._which)
        return losses[self._which], found[self._which]

    def jacobian(self, c: np.ndarray, *, draw: int = 0) -> np.ndarray:
        """As :meth:`Problem.jacobian`."""
        return self._whole.jacobian(self._full(c), draw=draw, which=self._which)[self._which]


class _Runs:
    """The runs of a problem: for each fit one, or as many as there are candidates, with the dims that are averaged."""

    def __init__(self, setting: Setting, candidates: int) -> None:
        self.setting, self.candidates = setting, candidates
        extra = {CANDIDATE: candidates} if candidates else {}
        self.lead = {**setting.fit_sizes, **extra}
        wide = {**setting.pool_sizes, **self.lead}
        with jax.enable_x64(True):
            start = setting.start.reshape(*setting.fit_sizes.values(), setting.points.layout.size)
            start = np.broadcast_to(start[..., None, :], (*self.lead.values(), start.shape[-1])) if candidates else start
            first = setting.points.values(jnp.asarray(start), self.lead)
        values = {path: _spread(v.copy(data=np.asarray(v.data)), wide, setting.points.labels) for path, v in first.items()}
        given = setting.request.params
        params = xr.Dataset(values) if given is None else given.assign(values)
        config = setting.config
        if not candidates and config.tile is None:
            config = dataclasses.replace(config, tile=1)
            probe = resolve(config, dataclasses.replace(setting.request, params=params))
            alike = probe.runs if probe.structures is None else probe.runs // probe.structures.count
            config = dataclasses.replace(config, tile=max(1, min(alike, _GRADIENT_TILE)))
        self.config, self.params, self.paths = config, params, tuple(values)
        self.resolved = resolve(config, dataclasses.replace(setting.request, params=params))
        self._index()

    def _index(self) -> None:
        sizes = self.resolved.sizes
        self.count = self.resolved.runs
        at = dict(zip(sizes, np.unravel_index(np.arange(self.count), tuple(sizes.values())) if sizes else (), strict=True))
        self.fit = _ravel(at, self.setting.fit_sizes, self.count)
        self.candidate = at.get(CANDIDATE, np.zeros(self.count, np.int64))
        every = {**self.setting.fit_sizes, **self.setting.pool_sizes}
        self.row = _ravel(at, {d: every[d] for d in self.setting.target_dims}, self.count)
        self.fits = int(np.prod(tuple(self.setting.fit_sizes.values()), dtype=np.int64))
        self.leave_out(np.zeros(int(self.row.max()) + 1, bool))

    def leave_out(self, empty: np.ndarray) -> None:
        """Points ``(point,)`` of the target that do not count in the mean of a fit; a fit without any other has none."""
        counts = ~empty[self.row]
        kept = np.zeros((self.fits, max(self.candidates, 1)), np.int64)
        np.add.at(kept, (self.fit, self.candidate), counts)
        whole = self.count // kept.size
        counts |= (kept == 0)[self.fit, self.candidate]
        kept = np.where(kept == 0, whole, kept)
        self.counts, self.share = counts, 1.0 / kept
        self.share_of_runs = counts * self.share[self.fit, self.candidate]
        self.scale_of_runs = np.sqrt(whole * self.share_of_runs)

    def targets(self, scorer: Scorer, runs: np.ndarray) -> Any:
        """The targets of some runs."""
        return jax.tree.map(lambda a: a[self.row[runs]], scorer.targets)

    def parts(self, which: np.ndarray | None) -> list[np.ndarray]:
        """The runs of some fits, in parts whose results fit into memory."""
        resolved = self.resolved
        each = sum(
            int(np.prod([resolved.graph.size(d, resolved.program.regions) if d != m.clock else _length(resolved, m.node) for d in m.dims]))
            for m in resolved.graph.monitors
        )
        width = resolved.program.width
        most = max(_PART_NUMBERS // max(each, 1) // width, 1) * width
        runs = np.arange(self.count) if which is None else np.flatnonzero(np.isin(self.fit, which))
        return [runs[a : a + most] for a in range(0, len(runs), most)]

    def with_values(self, values: dict[str, np.ndarray], draw: int) -> Resolved:
        """The runs at other values ``(run, *own dims)``, and with other noise if ``draw`` is not 0."""
        resolved = self.resolved
        if any(path.rpartition(".")[2] in (WEIGHTS, DISTANCES, SPEED) and not path.startswith(INITIAL) for path in values):
            sizes = resolved.sizes
            made = {}
            for path, v in values.items():
                own = resolved.values[path]
                made[path] = (*sizes, *own.inner), v.reshape(*sizes.values(), *v.shape[1:])
            params = self.params.assign({p: xr.DataArray(v, dims=d) for p, (d, v) in made.items()})
            resolved = resolve(self.config, dataclasses.replace(self.setting.request, params=params))
        elif values:
            dims, shape = tuple(resolved.sizes), tuple(resolved.sizes.values())
            new = {
                path: Value(dims, np.asarray(v, np.float64).reshape(*shape, *v.shape[1:]), resolved.values[path].inner)
                for path, v in values.items()
            }
            resolved = dataclasses.replace(resolved, values={**resolved.values, **new})
        if draw and resolved.seeds is not None:
            seeds = resolved.seeds
            other = [int(trial_seeds(int(s), draw + 1)[draw]) for s in np.atleast_1d(seeds.array).ravel()]
            array = np.asarray(other, dtype=seeds.array.dtype).reshape(seeds.array.shape)
            resolved = dataclasses.replace(resolved, seeds=Value(seeds.dims, array, ()))
        return resolved

    def by_fit(self, found: np.ndarray) -> np.ndarray:
        """Means ``(fits, candidates, ...)`` over the runs of each point, NaN where one is."""
        found = np.where(self.counts[:, None], found.reshape(self.count, -1), 0.0)
        total = np.zeros((self.fits, max(self.candidates, 1), found.shape[1]))
        np.add.at(total, (self.fit, self.candidate), found)
        return total * self.share[:, :, None]

    def behind_one_another(self, found: np.ndarray) -> np.ndarray:
        """Vectors ``(fits, ...)`` of all runs of each fit, one behind the other, as long as if all of them counted."""
        order = np.argsort(self.fit, kind="stable")
        if found.dtype.kind == "f":
            scale = self.scale_of_runs.reshape(-1, *(1,) * (found.ndim - 1))
            found = np.where(scale > 0, found * scale, 0.0)
        return found[order].reshape(self.fits, -1)


def _of_members(tangents: dict[str, np.ndarray], overrides: dict[str, np.ndarray], members: np.ndarray) -> dict[str, np.ndarray]:
    """Tangents of the runs of a tile, in the number type of its values."""
    return {path: tangents[path][:, members].astype(v.dtype) for path, v in overrides.items()}


def _ravel(at: Mapping[str, np.ndarray], sizes: Mapping[str, int], count: int) -> np.ndarray:
    if not sizes:
        return np.zeros(count, np.int64)
    return np.ravel_multi_index(tuple(at[d] for d in sizes), tuple(sizes.values()))


def _spread(value: xr.DataArray, sizes: Mapping[str, int], labels: Mapping[str, xr.DataArray]) -> xr.DataArray:
    """A value with all of these dims, so that every point is a run of its own."""
    missing = {d: n for d, n in sizes.items() if d not in value.dims}
    spread = value.expand_dims(missing)
    return spread.assign_coords({d: labels[d] for d in missing if d in labels})


def _length(resolved: Resolved, node: int) -> int:
    period = resolved.graph.nodes[node].period
    return max(resolved.stop // period - resolved.keep // period, 0)


def _by_monitor(resolved: Resolved, arrays: Arrays) -> dict[str, np.ndarray]:
    return {m.name: arrays.series[m.node] if m.clock else arrays.reductions[m.node] for m in resolved.graph.monitors}
