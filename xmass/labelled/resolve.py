"""From a system and labelled arguments to arrays: what shapes the compiled program is decided here, once, for all runs."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.core.integrate import STAGES_AHEAD
from xmass.core.model import NeuralMass, Uniform, declared_parameters, models_of, noise_fields, replace
from xmass.core.noise import trial_seeds
from xmass.core.observe import Source
from xmass.core.program import Link, Program
from xmass.labelled import noises
from xmass.labelled.connectome import dense
from xmass.labelled.continuing import check_observers, check_sweeps, unknown_initial
from xmass.labelled.epochs import check_frames, common_step, epoch_starts, stretches, timed_weights
from xmass.labelled.head import places_in, with_lead_fields
from xmass.labelled.initial import first_step, in_steps_of, initial_items, initial_values
from xmass.labelled.inputs import Drive, input_arrays, resolve_inputs
from xmass.labelled.monitors import Graph, Monitors, build_graph, check_functions, inner_dims, segment_length
from xmass.labelled.network import Network
from xmass.labelled.parameters import Spec, System, delayed_outputs, node_of, observation_parameters, system_parameters
from xmass.labelled.refuse import (
    check_alignment,
    check_dim_names,
    check_history,
    check_names,
    check_params,
    check_parts_of_models,
    check_samples,
    check_used_dims,
    check_values,
    is_read,
)
from xmass.labelled.schema import (
    BATCH,
    DISTANCES,
    DIVERGED,
    INITIAL,
    LAG,
    LONG_NAME,
    REGION,
    REGION_OTHER,
    SEED,
    SPEED,
    STEP,
    TIME,
    UNITS,
    WEIGHTS,
)
from xmass.labelled.source import read_by
from xmass.labelled.structure import Limits, Structures, half_memory, plan_structures, structure_dims
from xmass.labelled.suggest import nearest
from xmass.labelled.units import dequantify, milliseconds
from xmass.labelled.values import Dims, Value, to_value

_DEFAULT_TILE = 16
_CALL_ELEMENTS = 1_000_000
_ROUNDED = 1e-6
"""Part by which a number on a limit may lie beyond it, as one of float32 does."""


@dataclasses.dataclass(frozen=True, eq=False)
class Config:
    """What a Simulator holds: the system and how it is integrated."""

    system: System
    dt: float
    method: str
    regions: np.ndarray
    tile: int | None
    precision: str
    frozen: bool
    bounds: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """The arguments of one run, as given."""

    duration: Any
    params: xr.Dataset | None = None
    monitors: Monitors = None
    transient: Any = 0.0
    sample_every: Any = None
    batch_size: int | None = None
    seed: Any = None
    inputs: Mapping[str, Any] | None = None
    initial: Any = None
    restart: bool = False
    limits: Mapping[str, tuple[Any, Any]] | None = None
    """Lowest and highest value of speeds and distances that change later: one program serves all between."""


@dataclasses.dataclass(frozen=True, eq=False)
class Resolved:
    """A run ready to execute: arrays and sizes, and the names and coordinates to rebuild the result with."""

    config: Config
    request: Request
    program: Program
    graph: Graph
    specs: dict[str, Spec]
    values: dict[str, Value]
    lags: dict[str, np.ndarray]
    structures: Structures | None
    stimuli: tuple[Drive, ...]
    roots: dict[str, np.ndarray]
    seeds: Value | None
    sizes: dict[str, int]
    coords: dict[str, xr.DataArray]
    start: int
    stop: int
    keep: int
    sample_every: int

    @property
    def runs(self) -> int:
        return int(np.prod(tuple(self.sizes.values()), dtype=np.int64))


def whole_steps(value: Any, dt: float, name: str) -> int:
    """A time as a whole number of steps; anything else is an error that names the nearest."""
    length = milliseconds(value, name)
    if length < 0:
        raise ValueError(f"{name} is {length:g} ms, needs a time of at least 0.")
    steps = round(length / dt)
    if abs(length / dt - steps) > 1e-6 * max(1.0, steps * 1e-3):
        raise ValueError(f"{name}={length:g} ms is not a multiple of dt={dt:g} ms. The nearest is {name}={max(steps, 1) * dt:g}.")
    return steps


def resolve(config: Config, request: Request) -> Resolved:
    """Check, align and convert everything; plan the program."""
    request = _plain(request)
    request = dataclasses.replace(request, monitors=with_lead_fields(request.monitors, places_in(config.system)))
    model = node_of(config.system)
    request = dataclasses.replace(request, initial=in_steps_of(request.initial, config.dt))
    start = first_step(request.initial)
    steps = whole_steps(request.duration, config.dt, "duration")
    if steps == 0:
        raise ValueError("duration is 0 ms, needs at least one step.")
    stop = start + steps
    if stop >= 2**31 - 2**16:
        raise ValueError(f"the run ends at step {stop}; at most 2^31 steps are counted. Take a larger dt or a shorter duration.")
    keep = start + whole_steps(request.transient, config.dt, "transient")
    if keep >= stop:
        raise ValueError(
            f"transient={milliseconds(request.transient, 'transient'):g} ms leaves nothing of "
            f"duration={milliseconds(request.duration, 'duration'):g} ms: duration includes the transient."
        )
    every = _sample_every(request.sample_every, config.dt)
    graph = build_graph(model, request.monitors, config.dt, every, (keep, stop))
    specs = system_parameters(config.system) | observation_parameters(graph.observed)
    check_names(graph, specs, system_parameters(config.system), model)
    check_functions(graph, model, len(config.regions), config.precision)
    check_parts_of_models(graph, model)
    if request.inputs is not None and not isinstance(request.inputs, Mapping):
        what = type(request.inputs).__name__
        raise TypeError(f"inputs is a {what}, needs a mapping of input names: inputs={{{model.inputs[0].name!r}: ...}}.")
    if not isinstance(request.restart, bool):
        raise TypeError(f"restart={request.restart!r}, needs True or False.")

    given, coords = _given(request, specs, model, {m.clock for m in graph.monitors})
    check_observers(graph, given, start)
    noises.check_carried(model, given)
    dims = Dims(inner_dims(graph, specs))
    timed = timed_weights(given, specs)
    starts = epoch_starts(timed, start, stop, config.dt)
    for source, origin in _sources(config, request, given, specs):
        dims.add(source, origin, skip=(TIME,) if origin.startswith("inputs") or timed else ())
    seed_raw = _with_batch(request, given.get(SEED), dims)
    dims.reorder(BATCH)
    if TIME in dims.sizes:
        raise ValueError(
            f"{dims.origin[TIME]} has the dim 'time'; only inputs and weights may vary in time. Give what varies to inputs=, or drop it: "
            "params.drop_dims('time')."
        )

    plain = {p: s for p, s in specs.items() if not p.startswith(f"{INITIAL}.") and (not s.per_run or p in given or s.value is not None)}
    values = {
        path: to_value(given.get(path, s.value), s, dims, config.regions, inner=(TIME,) if path in timed else ())
        for path, s in plain.items()
    }
    initial, lags = initial_values(given, specs, dims, config.regions)
    values |= initial
    random = bool(noise_fields(model)) or any(o.random for o in graph.observations)
    random |= any(isinstance(s.initial, Uniform) and f"{INITIAL}.{s.name}" not in given for s in model.states)
    seeds = _seeds(seed_raw, dims, random)
    stimuli = resolve_inputs(request.inputs, model, dims, config.regions, start, stop, config.dt)
    check_sweeps(dims, specs, values)
    check_values(values, config.system, config.precision, config.dt)
    used = set(dims.inner) | {d for s in stimuli for d in s.dims} | ({TIME} if any(path in given for path in timed) else set())
    read = [v for path, v in values.items() if is_read(path, config.system, values)]
    check_used_dims(request.params, used | {d for v in (*read, seeds) if v is not None for d in v.dims})

    check_frames(graph, starts, start, stop, config.dt)
    limits = _limits(request.limits or {}, specs, values, dims, config.regions)
    program, structures = _program(config, graph, values, dims.sizes, stimuli, start, stop, starts, limits)
    unread = [n for n in delayed_outputs(config.system) if n not in program.pasts and f"{INITIAL}.{n}" in given]
    if unread:
        raise ValueError(
            f"initial has the past of {unread[0]!r}, an output that no delayed coupling reads. Leave it out of initial=, or give a speed."
        )
    for path, lag in lags.items():
        check_history(lag, program.history, config.dt, path)
    check_alignment(graph, start, stop, request.restart, config.dt)
    check_samples(graph, start, keep, stop, request.restart, config.dt)
    kept = _result_coords(config, dims, values, specs, given, coords, seeds)
    kept = _connectome_labels(config.system, graph, {*specs, *dims.sizes}) | kept
    check_dim_names(graph, dims, kept)
    return Resolved(
        config,
        request,
        program,
        graph,
        specs,
        values,
        lags,
        structures,
        stimuli,
        noises.roots_of(model, config.regions),
        seeds,
        dims.sizes,
        kept,
        start,
        stop,
        keep,
        every,
    )


# ---------------------------------------------------------------------------------------------------------------- arguments
def _plain(request: Request) -> Request:
    """The request with pint quantities as numbers with ``attrs["units"]``, and with no sparse arrays."""
    if isinstance(request.params, xr.Dataset):
        check_params(request.params)

    def plain(value: Any) -> Any:
        if isinstance(value, xr.Dataset):
            return dense(dequantify(value))
        return dense(dequantify(value)) if isinstance(value, xr.DataArray) else value

    def each(value: Any) -> Any:
        return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else plain(value)

    return dataclasses.replace(request, params=plain(request.params), inputs=each(request.inputs), initial=each(request.initial))


def _sample_every(value: Any, dt: float) -> int:
    if value is None:
        return 1
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"sample_every={value}, needs at least 1 step.")
        return int(value)
    steps = whole_steps(value, dt, "sample_every")
    if steps < 1:
        raise ValueError(f"sample_every is 0 ms, needs at least one step of dt={dt:g} ms. For every step leave it out.")
    return steps


def _given(request: Request, specs: dict[str, Spec], model: NeuralMass, clocks: set[str]) -> tuple[dict[str, Any], dict[str, xr.DataArray]]:
    """Parameters that the arguments set, by path, and other coordinates that are kept as labels."""
    given: dict[str, Any] = {}
    coords: dict[str, xr.DataArray] = {}
    known = [*specs, SEED]
    params = request.params
    if params is not None and not isinstance(params, xr.Dataset):
        raise TypeError(f"params is a {type(params).__name__}, needs a Dataset: xr.Dataset({{'a': ('a', values)}}).")
    if params is not None:
        for name in params.variables:
            path = str(name)
            if path in known:
                given[path] = params[name]
            elif name in params.data_vars or path.rpartition(".")[2] in (WEIGHTS, DISTANCES, SPEED):
                reason = noises.not_a_parameter(model, path)
                raise KeyError(f"params has {path!r}, which is not a parameter{f': {reason}' if reason else nearest(path, known)}")
            elif path in (DIVERGED, STEP) or _is_stamp(params[name], clocks):
                continue
            elif not set(params[name].dims) & {REGION, REGION_OTHER}:
                coords[path] = params[name]
    items = initial_items(request.initial, model)
    for path, value in items:
        if path in given:
            raise ValueError(f"{path} is given twice, in params and in initial=. Give it once.")
        if path not in known:
            raise unknown_initial(path, [p for p, _ in items], known)
        given[path] = value
    if request.seed is not None:
        if SEED in given:
            where = "params" if params is not None and SEED in params.variables else "initial"
            raise ValueError(f"seed is given twice, as seed= and in {where}. Give it once.")
        given[SEED] = request.seed
    return given, coords


def _is_stamp(coord: xr.DataArray, clocks: set[str]) -> bool:
    """Whether it only says at which time a value was taken, as ``ds.x.isel(time=-1)`` leaves it."""
    return not coord.ndim and (coord.name in {TIME, LAG, *clocks} or coord.attrs.get("axis") == "T")


def _sources(config: Config, request: Request, given: dict[str, Any], specs: dict[str, Spec]) -> list[tuple[Any, str]]:
    """Everything that may bring run dims, in the order in which their dims appear in the result."""
    found: list[tuple[Any, str]] = []
    if request.params is not None:
        found.append((request.params, "params"))
    if isinstance(config.system, Network):
        found += [(ds, "the connectome") for ds in config.system.connectomes.values()]
    found += [(s.value, path) for path, s in specs.items() if isinstance(s.value, xr.DataArray) and path not in given]
    found += [(v, path) for path, v in given.items() if isinstance(v, xr.DataArray) and path != SEED]
    found += input_arrays(request.inputs)
    if isinstance(given.get(SEED), xr.DataArray):
        found.append((given[SEED], SEED))
    return found


# ---------------------------------------------------------------------------------------------------------------- seeds
def _with_batch(request: Request, seed: Any, dims: Dims) -> Any:
    n = request.batch_size
    if n is None:
        return seed
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"batch_size={n!r}, needs a positive whole number of trials.")
    if isinstance(seed, xr.DataArray) and seed.ndim:
        raise ValueError(f"batch_size={n} needs one seed, seed has the dims {seed.dims}. Leave batch_size out: these seeds are the trials.")
    if BATCH in dims.sizes:
        raise ValueError(f"batch_size={n} makes the dim 'batch', which {dims.origin[BATCH]} has already. Leave batch_size out.")
    root = _seed_number(seed) if seed is not None else secrets.randbits(63)
    made = xr.DataArray(trial_seeds(root, int(n)), dims=BATCH, coords={BATCH: np.arange(int(n))})
    dims.add(made, "batch_size")
    return made


def _seed_number(value: Any) -> int:
    shown = value.item() if isinstance(value, xr.DataArray) and not value.ndim else value
    array = np.asarray(value)
    if array.ndim or isinstance(shown, bool) or not isinstance(shown, int | np.integer) or not 0 <= int(shown) < 2**64:
        raise ValueError(
            f"seed={shown!r}, needs one whole number from 0 to 2^64 - 1, or for one seed per run a DataArray of them: "
            "seed=xr.DataArray([1, 2, 3], dims='trial')."
        )
    return int(shown)


def _seeds(seed: Any, dims: Dims, random: bool) -> Value | None:
    if seed is None:
        if not random:
            return None
        seed = secrets.randbits(63)
    if not isinstance(seed, xr.DataArray):
        return Value((), np.asarray(_seed_number(seed), dtype=np.uint64 if _seed_number(seed) >= 2**63 else np.int64), ())
    if seed.dtype.kind not in "iu":
        raise ValueError(f"seed came as {seed.dtype} values, needs whole numbers. If they are whole, use seed.astype(np.int64).")
    if (np.asarray(seed.values) < 0).any():
        raise ValueError(f"seed holds {int(seed.min())}, needs whole numbers from 0 on.")
    seed = dims.align(seed)
    own = tuple(d for d in dims.sizes if d in seed.dims)
    if set(own) != set(seed.dims):
        raise ValueError(f"seed has the dims {seed.dims}; it may vary over runs, not over regions or time.")
    return Value(own, np.asarray(seed.transpose(*own).values), ())


def _limits(
    given: Mapping[str, tuple[Any, Any]], specs: dict[str, Spec], values: dict[str, Value], dims: Dims, regions: np.ndarray
) -> Limits:
    """Limits of speeds and distances in their declared units; the values of a run lie between them."""
    found = {}
    for path, pair in given.items():
        if path not in values or path.rpartition(".")[2] not in (SPEED, DISTANCES):
            raise KeyError(f"limits has {path!r}, needs a speed or distances of this run, which has a speed.")
        now = values[path]
        shape = now.array.shape[len(now.dims) :]
        ends = (to_value(v, specs[path], dims, regions) for v in pair)
        low, high = (Value((), np.broadcast_to(v.array, shape), now.inner) for v in ends)
        if path.rpartition(".")[2] == SPEED and not low.array.min() > 0:
            raise ValueError(
                f"{path} has the lower bound {low.array.min():g} mm/ms: its delays would have no end. Give one above 0: bounds=(1.0, 20.0)."
            )
        if (low.array < 0).any():
            raise ValueError(f"{path} has the lower bound {low.array.min():g} mm, needs 0 or more.")
        if (low.array > now.array * (1 + _ROUNDED)).any() or (high.array < now.array * (1 - _ROUNDED)).any():
            raise ValueError(f"{path} lies outside its limits of {low.array.min():g} to {high.array.max():g} {specs[path].unit}.")
        found[path] = (low, high)
    return found


# ---------------------------------------------------------------------------------------------------------------- program
def _program(
    config: Config,
    graph: Graph,
    values: dict[str, Value],
    sizes: dict[str, int],
    stimuli: tuple[Drive, ...],
    start: int,
    stop: int,
    starts: tuple[int, ...],
    limits: Limits,
) -> tuple[Program, Structures | None]:
    model = node_of(config.system)
    couplings = config.system.couplings if isinstance(config.system, Network) else {}
    frozen = config.frozen or config.method == "exp_euler"
    reads_end = any(isinstance(n.input, Source) and n.input.kind == "output" for n in graph.nodes)
    ahead = 1 if reads_end else (0 if frozen else STAGES_AHEAD.get(config.method, 0))
    runs = int(np.prod(tuple(sizes.values()), dtype=np.int64))
    width = tile_width(config.tile, runs, structure_dims(config.system, values, sizes) if isinstance(config.system, Network) else (), sizes)
    past = _past_steps(model, values, config, width)
    structures = None
    if isinstance(config.system, Network) and couplings:
        structures = plan_structures(
            config.system, values, sizes, starts, dt=config.dt, width=width, ahead=ahead, least=past + 1, limits=limits
        )
    projections = tuple(w.kind for w in structures.projections) if structures is not None else ()
    delay = next((p.delay for p in projections if p.delay is not None), None)
    processes = tuple((path, target, noises.template(process)) for path, target, process in noise_fields(model))
    regions = len(config.regions)
    item = 4 if config.precision == "float32" else 8
    streams = 1 + len(processes) + len(graph.nodes)
    block = delay.levels[0].block if delay is not None else 1
    segment = segment_length(graph, row_bytes=regions * width * item, streams=streams, block=block, within=common_step(starts, start, stop))
    whole = -(-max(b - a for _, a, b in stretches(starts, start, stop)) // segment) + 1
    most = max(_CALL_ELEMENTS // (regions * width * segment), 1)
    segments = min(1 << (whole - 1).bit_length(), most)
    bare = replace(model, {**{d.name: 0.0 for d in declared_parameters(model)}, **{p: None for p, _, _ in noise_fields(model)}})
    program = Program(
        model=bare,
        couplings=tuple(Link(name, _blank(c), structures.of_coupling[name] if structures else 0) for name, c in couplings.items()),
        projections=projections,
        noises=processes,
        stimuli=tuple(s.name for s in stimuli if not s.constant),
        scheme=config.method,
        frozen=frozen,
        bounds=config.bounds,
        past=past,
        nodes=graph.nodes,
        recorded=graph.recorded,
        regions=regions,
        width=width,
        segment=segment,
        segments=segments,
        dtype=config.precision,
        around=read_by([*models_of(model), *couplings.values(), *(p for _, _, p in processes), *(n.observation for n in graph.nodes)]),
    )
    return program, structures


def _past_steps(model: NeuralMass, values: dict[str, Value], config: Config, width: int) -> int:
    """The longest delay, in steps, with which a model reads its own past."""
    longest = max((float(values[p.delay].array.max()) for p in model.past), default=0.0)
    steps = round(longest / config.dt)
    held = steps * len(config.regions) * width
    needed = 8.0 * held * len({p.state for p in model.past})
    if 2 * held >= 2**32 or needed > half_memory():  # rings of couplings are twice as long, with an index of 32 bits
        raise ValueError(
            f"a delay inside the model is {longest:g} ms, {steps} steps of {config.dt:g} ms: its past needs {needed / 1e9:.3g} GB for "
            f"{len(config.regions)} regions and {width} runs. Check its unit, or take a smaller Simulator(tile=)."
        )
    return steps


def tile_width(tile: int | None, runs: int, dims: tuple[str, ...], sizes: dict[str, int]) -> int:
    """Runs per tile: as configured, else 1 where each connectome (they differ along ``dims``) has one run, else 16."""
    if tile is not None:
        return tile
    structures = int(np.prod([sizes[d] for d in dims], dtype=np.int64))
    return 1 if runs == structures else _DEFAULT_TILE


def _blank(module: Any) -> Any:
    return replace(module, {d.name: 0.0 for d in declared_parameters(type(module))})


def _result_coords(
    config: Config,
    dims: Dims,
    values: dict[str, Value],
    specs: dict[str, Spec],
    given: dict[str, Any],
    coords: dict[str, xr.DataArray],
    seeds: Value | None,
) -> dict[str, xr.DataArray]:
    """Labels of run dims, varied parameters without region dims, other coordinates of the parameter Dataset, seed, regions."""
    found: dict[str, xr.DataArray] = {}
    for name, labels in dims.labels.items():
        found[name] = xr.DataArray(labels.values, dims=name, attrs=labels.attrs)
    for name, coord in coords.items():
        if set(coord.dims) <= set(dims.sizes) and name not in found:
            found[name] = dims.align(coord).drop_vars([c for c in coord.coords if c != name and c not in coord.dims])
    for path, value in values.items():
        if value.dims and not value.inner and not path.startswith(f"{INITIAL}."):
            attrs = {UNITS: specs[path].unit, LONG_NAME: specs[path].meaning}
            if path in found:  # the labels stay as they were given, in the unit in which they were given
                found[path] = found[path].assign_attrs({**attrs, **found[path].attrs})
            else:
                found[path] = xr.DataArray(value.array, dims=value.dims, attrs=attrs)
    if seeds is not None:
        found[SEED] = xr.DataArray(seeds.array, dims=seeds.dims)
    found[REGION] = xr.DataArray(config.regions, dims=REGION)
    if isinstance(config.system, Network):
        for name, coord in config.system.region_coords.items():
            if set(coord.dims) == {REGION}:
                found.setdefault(name, coord.drop_vars([c for c in coord.coords if c not in (name, REGION)]))
    return found


def _connectome_labels(system: System, graph: Graph, taken: set[str]) -> dict[str, xr.DataArray]:
    """What the connectome says of itself as a whole (``subject`` of one of a cohort), where nothing else of the run has that name."""
    if not isinstance(system, Network):
        return {}
    taken = taken | {s.name for s in system.model.states} | {o.name for o in system.model.outputs}
    taken |= {n for m in graph.monitors for n in (m.name, m.clock)} | {TIME, LAG, BATCH, SEED, DIVERGED, STEP}
    return {n: c for n, c in system.scalar_coords.items() if n not in taken and not n.startswith(f"{INITIAL}.")}
