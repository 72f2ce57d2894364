"""Observations of a stored trajectory, by the code that observes a run."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core.engine import advance_node, words
from xmass.core.model import bound
from xmass.core.observe import Block, Node, Observation, Source, noise_stream
from xmass.labelled.connectome import places_of
from xmass.labelled.execute import columns
from xmass.labelled.head import with_lead_fields
from xmass.labelled.monitors import Graph, Monitors, as_mapping, check_functions_of, graph_of, inner_dims, segment_length
from xmass.labelled.parameters import observation_parameters
from xmass.labelled.provenance import CONFIG_HASH, CONFIGURATION
from xmass.labelled.rebuild import stamps
from xmass.labelled.refuse import check_reductions, window
from xmass.labelled.schema import LONG_NAME, REGION, REGION_OTHER, SEED, SENSOR, TIME, UNITS, time_attrs, time_dim
from xmass.labelled.units import canonical, factor
from xmass.labelled.values import Dims, to_value


def observe_stored(ds: xr.Dataset, monitors: Monitors) -> xr.Dataset:
    """See :func:`xmass.observe`."""
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"observe needs a Dataset of trajectories, got a {type(ds).__name__}: da.to_dataset(name='x').")
    wanted = as_mapping(with_lead_fields(monitors, places_of(ds)), [])
    dim = _clock_of(ds, wanted)
    spaces = {str(n): _space(v) for n, v in ds.data_vars.items() if dim in v.dims and v.dtype.kind == "f"}
    named = {what for what in _observed_names(wanted) if what in spaces}
    names = [n for n, space in spaces.items() if space == REGION or n in named]
    scale = factor(ds[dim].attrs.get(UNITS, "ms"), "ms")
    given = np.asarray(ds[dim].values, dtype=np.float64) * scale
    row = _spacing(given)
    first = round(given[0] / row) - 1
    units = {n: ds[n].attrs.get(UNITS, "") for n in names}
    meanings = {n: ds[n].attrs.get(LONG_NAME, "") for n in names}
    labels = {s: _labels(ds, s) for n in names if (s := spaces[n]) not in ("", REGION)}
    sources = {n: Source("state", n) for n in names}
    span = (first, first + len(given))
    clock = canonical(ds[dim].attrs.get(UNITS, "ms"))
    graph = graph_of(wanted, sources, units, meanings, row, 1, span=span, labels=labels, spaces=spaces, clock=clock)
    graph = _on_clock(graph, ds, dim)
    _check_start(graph, first, len(given), row, dim, scale)
    inputs = [n.input for n in graph.nodes if isinstance(n.input, Source)]
    functions = any(s.kind == "function" for s in inputs)
    used = list(dict.fromkeys([*(n for n in names if functions and spaces[n] == REGION), *(s.name for s in inputs if s.kind == "state")]))
    specs = {p: s for p, s in observation_parameters(graph.observed).items() if s.value is not None}
    dims = Dims(inner_dims(graph, specs) | {s: c.values for s, c in labels.items()})
    for name in used:
        dims.add(ds[name], name, skip=(dim,))
    for path, spec in specs.items():
        if isinstance(spec.value, xr.DataArray):
            dims.add(spec.value, path)
    regions = ds[REGION].values if REGION in ds.coords else np.arange(ds.sizes.get(REGION, 0))
    keys = _keys(graph, ds, dims)
    runs = dims.runs
    tapes = {n: _tape(ds[n], dims, dim, spaces[n]) for n in used}
    missing = next((n for n, t in tapes.items() if _lacks(np.isnan(t))), None)
    if missing is not None:
        raise ValueError(
            f"{missing} holds NaN in every run; observations need complete series. Take the part that is complete, "
            f"ds.dropna({dim!r}), or leave it out: ds.drop_vars({missing!r})."
        )
    dtype = next(iter(tapes.values())).dtype
    check_functions_of(graph, [n for n in used if spaces[n] == REGION], len(regions), str(dtype))
    with jax.enable_x64(dtype == np.float64):
        params = {
            path: jnp.asarray(columns(to_value(s.value, s, dims, regions).take(dims.sizes, np.arange(runs))), dtype)
            for path, s in specs.items()
        }
        regional = tuple(n for n in used if spaces[n] == REGION)
        series, reductions = _pass(graph, tapes, params, keys, row, first, runs, len(regions), dtype, regional)
    return _label(graph, series, reductions, dims, ds, regions, row, first)


def _observed_names(wanted: dict[str, Any]) -> list[str]:
    """The names at the ends of the chains of observations."""
    found = []
    for what in wanted.values():
        while isinstance(what, Observation):
            what = what.of
        if isinstance(what, str):
            found.append(what)
    return found


def _space(data: xr.DataArray) -> str:
    """The dim of a stored series beside time and those of its runs."""
    return next((d for d in (REGION, SENSOR) if d in data.dims), "")


def _labels(ds: xr.Dataset, dim: str) -> xr.DataArray:
    return ds[dim].reset_coords(drop=True) if dim in ds.coords else xr.DataArray(np.arange(ds.sizes[dim]), dims=dim)


def _keys(graph: Graph, ds: xr.Dataset, dims: Dims) -> dict[str, np.ndarray]:
    """Key words of the random observations, by the seed that the runs had."""
    streams = [noise_stream(o) for o in graph.observations if o.random]
    if not streams:
        return {}
    if SEED not in ds.coords:
        raise ValueError(
            "the monitors have noise, and the Dataset has no coordinate 'seed' that says which. Give one: ds.assign_coords(seed=1)."
        )
    seed = ds[SEED].reset_coords(drop=True)
    if not set(map(str, seed.dims)) <= set(dims.sizes):
        raise ValueError(f"seed has the dims {seed.dims}, the observed series have {tuple(dims.sizes)}. Give seeds along those.")
    seeds = dims.align(seed).broadcast_like(xr.DataArray(np.zeros(dims.shape), dims=tuple(dims.sizes))).transpose(*dims.sizes)
    return {stream: words(seeds.values.ravel(), stream) for stream in streams}


def _clock_of(ds: xr.Dataset, wanted: dict[str, Any]) -> str:
    """The time dim of the variables that the monitors name; of the Dataset if they name none of its variables."""
    found: dict[str, str] = {}
    for what in _observed_names(wanted):
        if what in ds.data_vars:
            found.setdefault(str(time_dim(ds[what])), what)
    if len(found) > 1:
        said = " and ".join(f"{name!r} along {dim!r}" for dim, name in found.items())
        raise ValueError(f"the monitors observe {said}; one call takes one time dim. Call xm.observe for each and xr.merge the results.")
    return next(iter(found), None) or str(time_dim(ds, TIME if TIME in ds.dims else None))


def _on_clock(graph: Graph, ds: xr.Dataset, dim: str) -> Graph:
    """The graph with series that are taken as they are on the dim that they have."""
    plain = [m for m in graph.monitors if m.clock == TIME]
    taken = next((m.name for m in graph.monitors if m not in plain and dim in (m.name, m.clock)), None)
    if plain and taken is not None:
        raise ValueError(f"monitor {taken!r} would be confused with the time dim {dim!r}. Call it otherwise: {{'my_{taken}': ...}}.")
    unit = canonical(ds[dim].attrs.get(UNITS, "ms"))
    return graph._replace(
        monitors=tuple(m._replace(clock=dim, clock_unit=unit, dims=(dim, *m.dims[1:])) if m in plain else m for m in graph.monitors)
    )


def _check_start(graph: Graph, first: int, length: int, row: float, dim: str, scale: float) -> None:
    """A stored series serves only observations that can start where it starts, and lasts long enough."""
    both = list(zip(graph.nodes, graph.observations, strict=True))
    state = next((o.name for _, o in both if o.state_names), None)
    if first and state is not None:
        raise ValueError(
            f"{state} starts at rest at time 0, and the series starts after {first * row:g} ms: the result would not be that of the run. "
            "Store the run with transient=0 and cut the result. To start at rest where the series starts: "
            f"ds.assign_coords({dim}=ds[{dim!r}] - {first * row / scale:g})."
        )
    units = {o.name: window(n, o) for n, o in both if not o.reduces}
    late = next((name for name, unit in units.items() if first % unit), None)
    if late is not None:
        every = math.lcm(*units.values())
        cut = -first % every
        way = f"Cut it: ds.isel({dim}=slice({cut}, None)), or store" if cut < length else "Store"
        raise ValueError(
            f"{late} advances by {units[late] * row:g} ms, and the series starts after {first * row:g} ms, which is not a multiple. "
            f"{way} the run with transient={first // every * every * row:g}."
        )
    check_reductions(graph, first, first + length, row, lambda end: f"a series that lasts to {end * row:g} ms")


def _lacks(missing: np.ndarray) -> bool:
    """Whether every run lacks samples; a region that has none at all in any run is one of another model."""
    elsewhere = missing.all(axis=(0, 2))
    return bool(missing.all() or missing[:, ~elsewhere].any(axis=(0, 1)).all())


def _spacing(times: np.ndarray) -> float:
    if len(times) < 2:
        raise ValueError(f"the trajectory has {len(times)} samples, needs at least 2.")
    steps = np.diff(times)
    spacing = float(np.median(steps))
    if spacing <= 0 or np.abs(steps - spacing).max() > 1e-3 * spacing:
        raise ValueError("the times of the trajectory are not uniform; observations need equal steps. Interpolate: ds.interp(time=...).")
    count = round((times[-1] - times[0]) / spacing)
    spacing = float((times[-1] - times[0]) / count)
    if abs(times[0] / spacing - round(times[0] / spacing)) > 1e-3 or times[0] <= 0:
        raise ValueError(
            f"the first sample is at {times[0]:g} ms and the step is {spacing:g} ms; times must be positive multiples of the step "
            "(the end of each step). Shift: ds.assign_coords(time=...)."
        )
    return float(np.format_float_positional(spacing, precision=12, fractional=False))


def _tape(data: xr.DataArray, dims: Dims, dim: str, space: str) -> np.ndarray:
    """(time, region, run) over all run dims; a series without a dim of its own has one entry."""
    missing = {d: dims.sizes[d] for d in dims.sizes if d not in data.dims}
    data = dims.align(data).expand_dims(missing) if missing else dims.align(data)
    values = np.asarray(data.transpose(dim, *((space,) if space else ()), *dims.sizes).values)
    return values.reshape(values.shape[0], values.shape[1] if space else 1, -1)


class _Compiled(NamedTuple):
    """The functions of a graph: fresh states, one segment, the reductions."""

    init: Any
    step: Any
    value: Any


@functools.lru_cache(maxsize=64)
def _compiled(nodes: tuple[Node, ...], segment: int, row: float, dtype: str, regions: int, regional: tuple[str, ...]) -> _Compiled:
    """Compiled once for equal graphs; parameters are arguments. Functions see the ``regional`` series."""

    def observations(params: dict[str, Any]) -> list[Any]:
        return [bound(n.observation, f"{n.observation.name}.", params) for n in nodes]

    def init(params: dict[str, Any], runs: Any) -> tuple:
        likes = [jnp.zeros((node.entries_in or regions, runs.shape[0]), dtype) for node in nodes]
        return tuple(o.init(like) for o, like in zip(observations(params), likes, strict=True))

    def step(params: dict[str, Any], keys: dict, states: tuple, rows: dict, t0: Any, lo: Any, hi: Any, keep: Any) -> tuple:
        results: list[Block | None] = []
        new = []
        for node, observation, state in zip(nodes, observations(params), states, strict=True):
            if isinstance(node.input, Source):
                if node.input.kind == "state":
                    taken = rows[node.input.name]
                else:
                    seen = {n: rows[n] for n in regional}
                    like = rows[regional[0]]
                    taken = jnp.broadcast_to(node.input.function(SimpleNamespace(**seen)), like.shape).astype(like.dtype)
                block = Block(taken, lo, hi, t0, keep, jnp.bool_(True))
            else:
                made = results[node.input]
                assert made is not None
                block = made
            own = keys.get(noise_stream(node.observation))
            state, out = advance_node(node, observation, state, block, segment, t0, keep, jnp.asarray(row, dtype), own)
            new.append(state)
            results.append(out)
        return tuple(new), tuple(results)

    def value(params: dict[str, Any], states: tuple) -> dict[int, Any]:
        return {i: o.value(s) for i, (o, s) in enumerate(zip(observations(params), states, strict=True)) if o.reduces}

    return _Compiled(jax.jit(init), jax.jit(step), jax.jit(value))


def _pass(
    graph: Graph,
    tapes: dict[str, np.ndarray],
    params: dict[str, Any],
    keys: dict[str, np.ndarray],
    row: float,
    first: int,
    runs: int,
    regions: int,
    dtype: np.dtype,
    regional: tuple[str, ...],
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Feed the trajectory segment by segment, aligned to absolute time as in a run."""
    length = len(next(iter(tapes.values())))
    entries = max([regions, *(t.shape[1] for t in tapes.values())])
    segment = segment_length(graph, row_bytes=entries * runs * dtype.itemsize, streams=len(graph.nodes) + 1, block=1)
    compiled = _compiled(graph.nodes, segment, row, str(dtype), regions, regional)
    states: tuple = compiled.init(params, jnp.zeros(runs, dtype))
    parts: dict[int, list[np.ndarray]] = {i: [] for i in range(len(graph.nodes))}
    for s in range(first // segment, -(-(first + length) // segment)):
        t0 = s * segment
        lo, hi = max(first - t0, 0), min(first + length - t0, segment)
        rows = {n: _rows(t, t0 + lo - first, hi - lo, lo, segment) for n, t in tapes.items()}
        i32 = np.int32
        states, results = compiled.step(params, keys, states, rows, i32(t0), i32(lo), i32(hi), i32(first))
        for i, block in enumerate(results):
            if block is not None and bool(block.due):
                parts[i].append(np.asarray(block.values)[int(block.lo) : int(block.hi)])
    series = {i: np.concatenate(p) if p else np.empty((0, graph.nodes[i].entries or regions, runs), dtype) for i, p in parts.items()}
    return series, {i: np.asarray(v) for i, v in compiled.value(params, states).items()}


def _rows(tape: np.ndarray, at: int, count: int, lo: int, segment: int) -> np.ndarray:
    if count == segment:
        return tape[at : at + count]
    padded = np.zeros((segment, *tape.shape[1:]), tape.dtype)
    padded[lo : lo + count] = tape[at : at + count]
    return padded


def _label(
    graph: Graph,
    series: dict[int, np.ndarray],
    reductions: dict[int, np.ndarray],
    dims: Dims,
    ds: xr.Dataset,
    regions: np.ndarray,
    row: float,
    first: int,
) -> xr.Dataset:
    variables = {}
    coords = {REGION: xr.DataArray(regions, dims=REGION)} if len(regions) else {}
    lead = tuple(dims.sizes)
    for monitor in graph.monitors:
        node: Node = graph.nodes[monitor.node]
        attrs = dict(monitor.attrs)
        if not monitor.clock:
            sizes = (graph.size(d, len(regions)) for d in monitor.dims)
            values = np.moveaxis(reductions[monitor.node], -1, 0).reshape((*dims.shape, *sizes))
            coords |= {d: graph.labels[d] for d in monitor.dims if d in graph.labels}
            variables[monitor.name] = xr.DataArray(values, dims=(*lead, *monitor.dims), attrs=attrs)
            if REGION_OTHER in monitor.dims:
                coords[REGION_OTHER] = xr.DataArray(regions, dims=REGION_OTHER)
            continue
        values = np.moveaxis(series[monitor.node], -1, 0)
        shape = (values.shape[1], *(graph.size(d, len(regions)) for d in monitor.dims[1:]))
        values = values.reshape(*dims.shape, *shape)
        coords |= {d: graph.labels[d] for d in monitor.dims if d in graph.labels}
        start = first // node.period + 1
        times = stamps(start, start + shape[0], row * node.period, monitor.clock_unit)
        variables[monitor.name] = xr.DataArray(values, dims=(*lead, *monitor.dims), attrs=attrs)
        coords[monitor.clock] = xr.DataArray(times, dims=monitor.clock, attrs=time_attrs(monitor.clock_unit))
    kept = {str(n): c for n, c in ds.coords.items() if n not in coords and set(c.dims) <= {*lead, REGION}}
    attrs = {n: v for n, v in ds.attrs.items() if n not in (CONFIGURATION, CONFIG_HASH)}  # what made ds did not make this
    return xr.Dataset(variables, attrs=attrs).assign_coords({**kept, **coords})
