"""One call of ``fit``: what was asked, checked and turned into a problem; then the backend, then the labelled result."""

from __future__ import annotations

import functools
import hashlib
import itertools
import secrets
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.analysis.compare import seeds_of
from xmass.core.param import Param
from xmass.core.transform import Transform
from xmass.fit.backend import Ending, Front, Interrupted, Outcome, Stop
from xmass.fit.checks import seeds as optimiser_seeds
from xmass.fit.fingerprint import fingerprint
from xmass.fit.fronts import POINT, front_result
from xmass.fit.layout import layout_of
from xmass.fit.points import Points
from xmass.fit.problem import CANDIDATE, Problem, Setting
from xmass.fit.recorder import Callback, Recorder
from xmass.fit.result import RESULT_NAMES, START, STEP, result, runnable
from xmass.fit.starts import starting_points
from xmass.fit.store import STOPPED, FitStore
from xmass.fit.structural import delay_limits, existing
from xmass.fit.targets import compared_variables, target_dims
from xmass.labelled.free import declared, free_parameters
from xmass.labelled.head import places_in, with_lead_fields
from xmass.labelled.monitors import as_mapping, build_graph
from xmass.labelled.network import Network
from xmass.labelled.parameters import Spec, node_of, observation_parameters, system_parameters
from xmass.labelled.progress import Bar
from xmass.labelled.provenance import CONFIG_HASH, CONFIGURATION, VERSIONS, Encoder, canonical_json, config_hash, versions
from xmass.labelled.record import configuration_of
from xmass.labelled.resolve import Request, Resolved
from xmass.labelled.schema import CONVENTIONS, DIVERGED, LONG_NAME, MATRIX_DIMS, REGION, REGION_OTHER, SEED, UNITS
from xmass.labelled.suggest import nearest
from xmass.labelled.units import dequantify, milliseconds

if TYPE_CHECKING:
    from xmass.fit.fitter import Fitter

RESERVED = (START, STEP, CANDIDATE)
LEFT_OUT = "left_out"
_FEW = 4
"""Free numbers up to which forward mode is used."""


class Study:
    """A fitter and a target: the problem that a backend solves.

    Raises
    ------
    TypeError, ValueError, KeyError
        For whatever does not fit, with the call that fixes it.
    """

    def __init__(self, fitter: Fitter, target: xr.Dataset, n_steps: int, starts: int, seed: int | None) -> None:
        self.fitter, self.n_steps, self.starts = fitter, _count(n_steps, "n_steps"), _count(starts, "starts")
        self.seed = secrets.randbits(31) if seed is None else _seed(seed)
        if not isinstance(target, xr.Dataset):
            raise TypeError(f"target is a {type(target).__name__}, needs a Dataset of recordings: target.to_dataset(name='bold').")
        self.target = dequantify(target)
        run = dict(fitter.run)
        simulator, config = fitter.simulator, fitter.simulator.config
        run["monitors"] = with_lead_fields(run.get("monitors"), places_in(config.system))
        monitors = as_mapping(run.get("monitors"), [s.name for s in node_of(config.system).states])
        dims = target_dims(fitter.objectives, list(monitors), self.target)
        unknown = next((d for d in fitter.pool if d not in dims), None)
        if unknown is not None:
            raise ValueError(f"pool names {unknown!r}; the recordings have the dims {list(dims) or 'of one recording alone'}.")
        for dim, (size, label) in dims.items():
            if not size:
                raise ValueError(f"the recordings have no entry along {dim!r}: there is nothing to fit to.")
            if label is not None and not label.to_index().is_unique:
                again = label.to_index()[label.to_index().duplicated()].tolist()[0]
                raise ValueError(f"the recordings repeat the label {again!r} along {dim!r}: labels must be different.")
        taken = next((d for d in dims if d in RESERVED), None)
        if taken is not None:
            raise ValueError(
                f"the recordings have the dim {taken!r}, which a fit keeps for itself. Rename it: .rename({taken}='my_{taken}')."
            )
        graph = build_graph(node_of(config.system), run.get("monitors"), config.dt, 1)
        specs = system_parameters(config.system) | observation_parameters(graph.observed)
        params = self._params(specs, run.get("params"))
        _check_names([*params, *fitter.derive], list(dims))
        run["params"] = _in_order(run.get("params"), {d: label for d, (_, label) in dims.items() if label is not None})
        held = {path: declared(path, p, specs.get(path)).value for path, p in fitter.search.items() if not p.fit}
        run["params"] = _with_held(run["params"], {path: v for path, v in held.items() if path in specs}, specs)
        self.fit_sizes = {d: n for d, (n, _) in dims.items() if d not in fitter.pool} | ({START: self.starts} if self.starts > 1 else {})
        pool_sizes = {d: n for d, (n, _) in dims.items() if d in fitter.pool}
        labels = {d: label for d, (_, label) in dims.items() if label is not None}
        labels |= {d: xr.DataArray(config.regions, dims=d, name=d) for d in (REGION, REGION_OTHER)}
        apart = {d: np.arange(n) if label is None else label.values for d, (n, label) in dims.items() if d not in fitter.pool}
        shapes = {path: _shape(path, p, labels, tuple(apart)) for path, p in params.items()}
        edges = {path: existing(path, p, shapes[path], apart) for path, p in params.items() if path in specs and specs[path].matrix}
        layout = layout_of({path: (p, shapes[path]) for path, p in params.items()}, fits=apart, free=edges)
        space = fitter.method.space
        lead = tuple(self.fit_sizes[d] for d in apart)
        first = np.broadcast_to(layout.start(space), (*lead, layout.size)).reshape(-1, layout.size)
        every = starting_points(layout, first, self.starts, self.seed, space).reshape(-1, layout.size)
        for shape in shapes.values():
            labels |= {d: xr.DataArray(v, dims=d, name=d) for d, v in shape.items() if d not in labels}
        self.points = Points(
            layout=layout,
            space=space,
            inner={path: tuple(shape) for path, shape in shapes.items()},
            labels=labels,
            derive=fitter.derive,
            fixed={n: xr.DataArray(v) for n, v in held.items()}
            | _fixed(simulator.parameters(run.get("monitors")), run["params"], set(params)),
            specs=specs,
            first=np.repeat(first, self.starts, axis=0),
        )
        with jax.enable_x64(True):
            c = jnp.asarray(every.reshape(*self.fit_sizes.values(), -1))
            self.points.check_read(c, self.fit_sizes)
            if fitter.derive:
                self.points.check_apart(jnp.stack([c, c], axis=-2), self.fit_sizes | {CANDIDATE: 2})
        if fitter.method.residuals and (penalised := next((path for path, p in params.items() if p.reg is not None), None)):
            raise ValueError(
                f"{penalised} has reg=, which least squares of residuals leaves out. Take it away, or another method: backend='scipy'."
            )
        seed_given = run.get("seed") is not None or (run.get("params") is not None and SEED in run["params"].variables)
        if isinstance(run.get("initial"), Mapping) and not isinstance(run["initial"], xr.Dataset):
            run["initial"] = {n: v for n, v in run["initial"].items() if not (isinstance(v, Param) and v.fit)} or None
        self._run = run
        request = Request(**{**run, **({} if seed_given else {"seed": self.seed})}, limits=delay_limits(layout))
        self.problem = Problem(
            Setting(
                config=config,
                request=request,
                points=self.points,
                objectives=fitter.objectives,
                target=self.target,
                fit_sizes=self.fit_sizes,
                pool_sizes=pool_sizes,
                target_dims=tuple(dims),
                start=every,
                fresh_noise=fitter.noise == "fresh",
                derivative=self._derivative(layout.size),
                memory=fitter.memory,
                window=None if fitter.window is None else _window(fitter.window, config.dt),
            )
        )
        _check_network_dims(config.system, self.problem, dims)
        names = self.problem.scorer.names
        if len(set(names)) < len(names):
            raise ValueError(f"the objectives are called {list(names)}, need different names: xm.objectives.fc_rmse(..., name='other').")
        self._check_no_new_dims(run)
        self.left_out = self._left_out()
        _warn_of_shared_seeds(self.problem.template, self.target)

    def _check_no_new_dims(self, run: Mapping[str, Any]) -> None:
        """Refuses free and derived parameters with a dim of their own that makes runs: a fit would average over it."""
        given = [run.get("params"), *(v for name in ("initial", "inputs") for v in _entries(run.get(name)))]
        known = {d for v in given for d in getattr(v, "dims", ())} | {*self.problem.setting.fit_sizes, *self.problem.setting.pool_sizes}
        for path, dims in self.problem.dims_of_values.items():
            new = next((d for d in dims if d in self.problem.template.sizes and d not in known), None)
            if new is not None:
                where = "derive" if path in self.fitter.derive else "search"
                raise ValueError(
                    f"{where}[{path!r}] has the dim {new!r}, which the recordings have not: each fit would be an average over it. Select "
                    f"or reduce it, .mean({new!r}); or give the recordings that dim, target.expand_dims({new}=...), for a fit of each."
                )

    def _left_out(self) -> xr.DataArray | None:
        """Which recordings of a pool have no numbers, if any: they do not count, and a warning says so."""
        scorer = self.problem.scorer
        empty = scorer.empty
        if not self.fitter.pool or not empty.any():
            return None
        found = scorer.masked.isel({scorer.masked.dims[-1]: 0}, drop=True).copy(data=empty.reshape(tuple(scorer.sizes.values())))
        names = [", ".join(f"{d} {v!r}" for d, v in at.items()) for at in _places(found)]
        if empty.all():
            raise ValueError(f"no recording of the pool has numbers in everything that is compared: {'; '.join(names[:5])}.")
        said = "; ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        warnings.warn(f"recordings without numbers are left out of the pool: {said}.", UserWarning, stacklevel=4)
        return found.rename(LEFT_OUT).assign_attrs({LONG_NAME: "the recording has no numbers and is not in the pool"})

    def _derivative(self, size: int) -> str:
        fitter = self.fitter
        if fitter.derivative != "auto":
            return fitter.derivative
        return "forward" if size <= _FEW and fitter.memory is None and fitter.window is None else "reverse"

    def _params(self, specs: dict[str, Spec], given: xr.Dataset | None) -> dict[str, Param]:
        """What is fitted, in declared units: from the model, then from ``search``, which wins."""
        fitter = self.fitter
        found = free_parameters(fitter.simulator.config.system, fitter.run.get("monitors"), initial=fitter.run.get("initial"))
        found = {path: p for path, p in found.items() if path not in fitter.derive and path not in fitter.search}
        found |= {path: p for path, p in fitter.search.items() if p.fit}
        if not found:
            raise ValueError(
                "there is nothing to fit, needs a Param in the model or search={'coupling.k': xm.Param(0.2, bounds=(0, 0.5))}."
            )
        for path in {**found, **fitter.search}:
            if path not in specs and not fitter.derive:
                raise KeyError(f"search has {path!r}, which is not a parameter{nearest(path, list(specs))}")
            if given is not None and path in given.variables:
                raise ValueError(f"{path} is in search, and run has it in params. Leave it out there; its value in Param is the start.")
        for name in fitter.derive:
            if given is not None and name in given.variables:
                raise ValueError(f"{name} is derived, and run has it in params. Leave it out of one.")
        return {path: declared(path, p, specs.get(path)) for path, p in found.items()}

    # ------------------------------------------------------------------------------------------------------------------ solving
    @functools.cached_property
    def configuration(self) -> dict[str, Any]:
        """The fit as JSON values."""
        fitter, encoder, names = self.fitter, Encoder(), self.problem.scorer.names
        search = {
            e.path: {"value": e.param.value.tolist(), "bounds": [b.tolist() for b in e.limits], "transform": _said(e.transform)}
            | {name: fingerprint(given) for name in ("prior", "reg") if (given := getattr(e.param, name)) is not None}
            for e in self.points.layout.entries
        }
        setting = self.problem.setting
        compared = self.target[compared_variables(fitter.objectives, [m.name for m in self.problem.template.graph.monitors], self.target)]
        return {
            "simulation": configuration_of(self.problem.template),
            "search": search,
            "derive": {name: encoder.encode(f) for name, f in fitter.derive.items()},
            "objective": [{"name": name, "fingerprint": fingerprint(o)} for name, o in zip(names, fitter.objectives, strict=True)],
            "target": {str(n): _digest(v) for n, v in compared.variables.items()},
            "gradient": {"derivative": setting.derivative, "memory": setting.memory, "window": setting.window},
            "backend": repr(fitter.backend),
            "pool": list(fitter.pool),
            "noise": fitter.noise,
            "starts": self.starts,
            "seed": self.seed,
        }

    def solve(
        self,
        *,
        progress: bool | None,
        callbacks: tuple[Callback, ...],
        store: Path | None,
        chunks: Mapping[str, int] | None,
        resume: bool,
        predict: bool,
    ) -> xr.Dataset:
        """Run the backend, part by part, and label what it found."""
        parts = self._parts(chunks)
        if store is None:
            return self._solved(parts, None, progress, callbacks, predict)
        kept = FitStore(store, self.configuration | {"n_steps": self.n_steps, "predict": predict}, resume, [p.tolist() for p in parts])
        if kept.finished:
            return kept.open()
        with kept.lock():
            kept.begin()
            return kept.finish(self._solved(parts, kept, progress, callbacks, predict))

    def _parts(self, chunks: Mapping[str, int] | None) -> list[np.ndarray]:
        """The fits of each part: those of a chunk."""
        sizes = dict(self.fit_sizes)
        if not isinstance(chunks, Mapping | None):
            raise TypeError(f"chunks={chunks!r}, needs a mapping of dims to sizes: chunks={{'subject': 1}}.")
        for dim, size in (chunks or {}).items():
            if dim not in sizes:
                raise ValueError(f"chunks names {dim!r}; the fits have the dims {list(sizes) or 'of one fit alone'}.")
            sizes[dim] = min(_count(size, f"chunks[{dim!r}]"), sizes[dim])
        every = np.arange(self.problem.fits).reshape(tuple(self.fit_sizes.values()))
        boxes = itertools.product(*(range(0, n, sizes[d]) for d, n in self.fit_sizes.items()))
        return [every[tuple(slice(a, a + sizes[d]) for a, d in zip(box, sizes, strict=True))].ravel() for box in boxes]

    def _solved(
        self, parts: list[np.ndarray], kept: FitStore | None, progress: bool | None, callbacks: tuple[Callback, ...], predict: bool
    ) -> xr.Dataset:
        problem, seeds = self.problem, np.array(optimiser_seeds(self.seed, self.problem.fits), object)
        whole = Recorder(problem.fits, problem.size, problem.objectives, self.n_steps)
        endings = [Ending() for _ in range(problem.fits)]
        fronts: list[Front | None] = [None] * problem.fits
        identity, stopped = config_hash(canonical_json(self.configuration)), ""
        with Bar(self.n_steps * len(parts), "fitting", progress) as bar:
            for number, which in enumerate(parts):
                file = None if kept is None else kept.state(number)
                own = f"{number} {identity}"
                record = Recorder(
                    len(which),
                    problem.size,
                    problem.objectives,
                    self.n_steps,
                    callbacks=callbacks,
                    bar=bar,
                    file=file,
                    identity=own,
                )
                if kept is not None and kept.has(number):
                    outcome = kept.load(number, record)
                    bar.add(self.n_steps)
                elif stopped:
                    outcome = Outcome((Ending("steps", "some fits had not begun when this one was ended"),) * len(which))
                else:
                    begun = number > 0
                    outcome, stopped = self._one(problem if len(parts) == 1 else problem.part(which), record, seeds[which], kept, begun)
                    if kept is not None and not stopped:
                        kept.keep(number, record, outcome)
                whole.take(record, which)
                for position, fit in enumerate(which):
                    endings[fit] = outcome.endings[position] if outcome.endings else endings[fit]
                    fronts[fit] = outcome.fronts[position] if outcome.fronts else None
        none = Front(np.empty((0, problem.size)), np.empty((0, problem.objectives)))
        outcome = Outcome(tuple(endings), tuple(f or none for f in fronts) if any(fronts) else ())
        return self._labelled(whole, outcome, predict, progress, stopped)

    def _one(self, problem: Any, record: Recorder, seeds: np.ndarray, kept: FitStore | None, begun: bool) -> tuple[Outcome, str]:
        """One part, and what stopped it, if anything did; then no other should begin. ``begun``: something is known before it."""
        try:
            return self.fitter.method.run(problem, record, self.n_steps, [int(s) for s in seeds]), ""
        except Stop as stop:
            return stop.outcome or Outcome(()), f"by a callback after step {record.steps} of {self.n_steps}"
        except KeyboardInterrupt as error:
            if kept is not None:
                said = f"interrupted after step {record.steps} of {self.n_steps}; what is done is in {kept.folder}."
                raise KeyboardInterrupt(f"{said} Call fit again, with the same arguments, to continue.") from None
            if not record.steps and not begun:
                raise
            warnings.warn(
                f"interrupted after step {record.steps} of {self.n_steps}: this is the best so far. To be able to go on, give store=.",
                UserWarning,
                stacklevel=5,
            )
            known = error.outcome if isinstance(error, Interrupted) else Outcome(())
            return known, f"interrupted after step {record.steps} of {self.n_steps}"

    def _labelled(self, record: Recorder, outcome: Outcome, predict: bool, progress: bool | None, stopped: str) -> xr.Dataset:
        configuration = self.configuration
        names = self.problem.scorer.names
        if outcome.fronts:
            ds = front_result(self.points, outcome.fronts, self.fit_sizes, self.points.labels, names)
        else:
            ds = result(self.points, record, outcome, self.fit_sizes, self.points.labels, ", ".join(names))
        notes = sorted({e.note for e in outcome.endings if e.note})
        ds.attrs = {
            "Conventions": CONVENTIONS,
            CONFIGURATION: canonical_json(configuration | {"n_steps": self.n_steps, "predict": predict}),
            CONFIG_HASH: config_hash(canonical_json(configuration)),
            VERSIONS: canonical_json(versions()),
        } | {name: said for name, said in (("notes", "; ".join(notes)), (STOPPED, stopped)) if said}
        if not np.isfinite(record.best_losses[:, 0]).any():
            why = f" ({ds.attrs['notes']})" if notes else ""
            warnings.warn(
                f"no evaluation had a finite loss{why}: either every run diverges, or the objective is not finite for these recordings. "
                "Look at xm.compare(simulator.run(...), target, objective).",
                UserWarning,
                stacklevel=5,
            )
        masked = self.problem.scorer.masked
        if bool(masked.any()):
            ds = ds.assign_coords(masked=masked)
        if self.left_out is not None:
            ds = ds.assign_coords({LEFT_OUT: self.left_out})
        return self._with_prediction(ds, progress) if predict else ds

    def _with_prediction(self, ds: xr.Dataset, progress: bool | None) -> xr.Dataset:
        """The result with the simulation at its parameters."""
        run = dict(self._run)
        given = run.pop("params", None)
        names = [n for n in ds.data_vars if n in self.points.specs]
        params, there = runnable(ds[names], [d for d in (*self.fit_sizes, POINT) if d in ds.dims])
        there = there.drop_vars(list(there.coords))
        if not bool(there.any()):
            warnings.warn("no fit has parameters, so there is no prediction.", UserWarning, stacklevel=4)
            return ds
        seed = {} if self.problem.template.request.seed is None else {"seed": self.problem.template.request.seed}
        params = params if given is None else given.assign(dict(params.data_vars))
        simulated = self.fitter.simulator.run(**{**run, **seed, "params": params, "progress": progress})
        keep = [c for c in simulated.coords if c not in (SEED, DIVERGED) and c not in ds.variables]
        found = {n: v.drop_vars([c for c in v.coords if c not in keep and c not in v.dims]) for n, v in simulated.data_vars.items()}
        return ds.assign({n: v if bool(there.all()) else v.where(there) for n, v in found.items()})


def _places(where: xr.DataArray) -> list[dict[str, Any]]:
    """The labels of each true entry of a mask."""
    return [
        {str(d): where[d].values[i].item() if d in where.coords else int(i) for d, i in zip(where.dims, place, strict=True)}
        for place in np.argwhere(where.values)
    ]


def _entries(given: Any) -> list[Any]:
    """What an argument of the run holds: the values of a mapping, or itself."""
    return list(given.values()) if isinstance(given, Mapping) and not isinstance(given, xr.Dataset) else [given]


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}={value!r}, needs a positive whole number.")
    return int(value)


def _window(value: Any, dt: float) -> int:
    """The window in steps."""
    length = milliseconds(value, "window")
    if not length > 0:
        raise ValueError(f"window={value!r}, needs a positive time. Leave it out for the whole derivative.")
    return max(round(length / dt), 1)


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < 2**63:
        raise ValueError(f"seed={value!r}, needs one whole number from 0 to 2^63 - 1.")
    return int(value)


def _said(transform: Transform) -> str:
    """A transform in words that are the same in every process."""
    return f"{type(transform).__name__} {fingerprint(transform)}"


def _digest(variable: xr.Variable) -> str:
    """Twelve digits that differ where the numbers or dims of a recording do."""
    values = np.asarray(variable.values)
    content = str(values.ravel().tolist()).encode() if values.dtype.kind == "O" else np.ascontiguousarray(values).tobytes()
    return hashlib.sha256(f"{variable.dims} {variable.shape} {values.dtype}".encode() + content).hexdigest()[:12]


def _shape(path: str, param: Param, labels: dict[str, xr.DataArray], fits: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The dims of one fit's value of a parameter, and their labels."""
    value = param.value
    own = [str(d) for d in value.dims if d not in fits] if isinstance(value, xr.DataArray) else []
    found: dict[str, np.ndarray] = {}
    for dim in (*own, *(d for d in param.dims if d not in own)):
        if dim in fits:
            continue
        if dim in labels:
            found[dim] = labels[dim].values
        elif isinstance(value, xr.DataArray) and dim in value.dims:
            found[dim] = value[dim].values if dim in value.coords else np.arange(value.sizes[dim])
        else:
            raise ValueError(
                f"{path} is to have the dim {dim!r}, whose labels are not known: give the value as a DataArray over it, "
                f"xm.Param(xr.DataArray(values, dims={dim!r}))."
            )
    matrix = [d for d in MATRIX_DIMS if d in found]
    return {d: found[d] for d in (*(d for d in found if d not in matrix), *matrix)}


def _check_names(names: list[str], dims: list[str]) -> None:
    """The result holds the numbers, the losses and the dims of the fits under different names."""
    for name in names:
        if name in (*RESULT_NAMES, *dims):
            what = "a dim of the recordings" if name in dims else "a variable of the result"
            raise ValueError(f"a fit is to have a number {name!r}, which is also {what}. Give one of them another name.")


def _in_order(given: xr.Dataset | None, labels: Mapping[str, xr.DataArray]) -> xr.Dataset | None:
    """Parameters of the run with the labels of the recordings in the order of the recordings, which is that of the fits."""
    if given is None:
        return None
    for dim, label in labels.items():
        if dim not in given.indexes or dim not in given.dims or given.indexes[dim].equals(label.to_index()):
            continue
        if set(given.indexes[dim]) != set(label.to_index()):
            raise ValueError(f"run's params have other labels along {dim!r} than the recordings. Select the same of both: .sel({dim}=...).")
        given = given.sel({dim: label.values})
    return given


def _with_held(given: xr.Dataset | None, held: Mapping[str, Any], specs: Mapping[str, Spec]) -> xr.Dataset | None:
    """Parameters of the run with those that ``search`` holds by ``fit=False``."""
    values = {path: xr.DataArray(v).assign_attrs({UNITS: specs[path].unit}) for path, v in held.items()}
    return (xr.Dataset() if given is None else given).assign(values) if values else given


def _fixed(parameters: xr.Dataset, given: xr.Dataset | None, free: set[str]) -> dict[str, xr.DataArray]:
    """Every parameter that is not fitted, at its value."""
    found = {str(n): v for n, v in parameters.data_vars.items()}
    if given is not None:
        found |= {str(n): given[n] for n in given.variables if n in found}
    return {n: v for n, v in found.items() if n not in free}


def _warn_of_shared_seeds(template: Resolved, target: xr.Dataset) -> None:
    """With the noise of the recording, a fit finds its parameters whatever the data say."""
    if template.seeds is None:
        return
    shared = sorted({int(s) for s in np.atleast_1d(template.seeds.array).ravel()} & seeds_of(target))
    if shared:
        warnings.warn(
            f"the recordings were simulated with a seed of the fit ({', '.join(map(str, shared[:5]))}): with the same noise on both sides "
            "even a perfect fit means nothing. Give the run another: run=dict(seed=...).",
            UserWarning,
            stacklevel=4,
        )


def _check_network_dims(system: Any, problem: Problem, dims: dict[str, Any]) -> None:
    """A network of several connectomes needs recordings of each: an average over them would be of nothing."""
    if not isinstance(system, Network):
        return
    own = {str(d) for ds in system.connectomes.values() for v in (ds[n] for n in ds.data_vars) for d in v.dims} - {REGION, REGION_OTHER}
    left = sorted(d for d in own if d in problem.template.sizes and d not in dims)
    if left:
        raise ValueError(
            f"the network has a connectome for each {left[0]!r}, and the recordings have no dim {left[0]!r}. "
            f"Select one: sc.isel({left[0]}=0), or give the recordings of each."
        )
