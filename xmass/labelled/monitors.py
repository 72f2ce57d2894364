"""What a run is asked to observe, as a graph of observations over states and outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from xmass.core.model import NeuralMass, declared_parameters, nested, parameter_value, replace
from xmass.core.observe import Node, Observation, Source, choose_segment
from xmass.labelled.parameters import Observed, Spec, in_terms_of, unit_of
from xmass.labelled.schema import BATCH, DIVERGED, LAG, LEAD_FIELD, LONG_NAME, REGION, REGION_OTHER, SEED, TIME, UNITS
from xmass.labelled.source import surroundings
from xmass.labelled.suggest import nearest
from xmass.labelled.tracing import trace
from xmass.labelled.units import canonical, counted, factor, milliseconds, to_declared
from xmass.observations import Subsample

_TAKEN = (TIME, REGION, REGION_OTHER, BATCH, LAG, SEED, DIVERGED)

Monitors = Sequence[str] | Mapping[str, str | Observation | Callable[[Any], Any]] | None


def unit_attrs(unit: str, meaning: str) -> dict[str, str]:
    """Attributes of a variable."""
    return ({UNITS: unit} if unit else {}) | ({LONG_NAME: meaning} if meaning else {})


class Monitor(NamedTuple):
    """One variable of the result."""

    name: str
    node: int
    period: float
    clock: str
    """The time dimension; empty for a reduction."""
    clock_unit: str
    """Unit of its coordinate: that of the period as it was given."""
    dims: tuple[str, ...]
    """Dims that are no run dims: the clock and region of a series, those of a reduction."""
    attrs: dict[str, Any]


class Graph(NamedTuple):
    """Observations in an order in which each follows its input, and the variables that are returned."""

    nodes: tuple[Node, ...]
    observed: tuple[Observed, ...]
    monitors: tuple[Monitor, ...]
    labels: dict[str, xr.DataArray]
    """Of every dim that is neither region nor time, its coordinate."""

    @property
    def observations(self) -> tuple[Observation, ...]:
        """The observations of the nodes."""
        return tuple(o.observation for o in self.observed)

    def size(self, dim: str, regions: int) -> int:
        """Entries along a dim of a result that is no time."""
        return len(self.labels[dim]) if dim in self.labels else regions

    def state_shape(self, index: int, name: str, regions: int) -> tuple[int, ...]:
        """Shape of a named state of one run."""
        sizes = self.observations[index].state_sizes
        return (*((sizes[name],) if name in sizes else ()), self.nodes[index].entries_in or regions)

    @property
    def recorded(self) -> tuple[int, ...]:
        """Nodes whose series is kept."""
        return tuple(sorted({m.node for m in self.monitors if m.clock}))


def plain_times(observation: Observation) -> Observation:
    """The observation with its times as numbers of ms."""
    values = {
        f.name: milliseconds(getattr(observation, f.name), f"{observation.name}.{f.name}")
        for f in dataclasses.fields(observation)
        if f.metadata.get("time")
    }
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f"{observation.name}.{name} is {value:g} ms, needs a positive time.")
    return replace(observation, values)


def _template(observation: Observation) -> Observation:
    """The hashable form that is part of a program: parameters and input removed."""
    blank = {d.name: 0.0 for d in declared_parameters(observation)}
    return replace(observation, {**blank, "of": None})


def as_mapping(monitors: Monitors, default: Sequence[str]) -> dict[str, Any]:
    """Monitors as a mapping of names, checked for type."""
    if monitors is None:
        monitors = list(default)
    if isinstance(monitors, str | Observation) or callable(monitors):
        raise TypeError(
            f"monitors={monitors!r}, needs a list of names or a mapping: monitors=['x'] or monitors={{'bold': xm.BOLDSignal(...)}}."
        )
    if not isinstance(monitors, Mapping):
        if not isinstance(monitors, Iterable):
            raise TypeError(f"monitors is {monitors!r}, needs a list of names or a mapping: monitors=['x'].")
        names = list(monitors)
        bad = [m for m in names if not isinstance(m, str)]
        if bad:
            raise TypeError(f"monitors holds {bad[0]!r}, which has no name. Give a mapping: monitors={{'name': ...}}.")
        twice = sorted({m for m in names if names.count(m) > 1})
        if twice:
            raise ValueError(f"monitors names {twice} twice. Give each once.")
        monitors = {m: m for m in names}
    if not monitors:
        raise ValueError("monitors is empty: name at least one state, output or observation.")
    for name, what in monitors.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"a monitor is called {name!r}, needs a name that is text and has no '/'.")
        if not isinstance(what, str | Observation) and not callable(what):
            raise TypeError(f"monitor {name!r} is {what!r}, needs a name, an observation or a function of the state.")
    return dict(monitors)


@dataclasses.dataclass(frozen=True, eq=False)
class PerRun:
    """A user's function of the state, applied to one moment of one run at a time, so that it cannot mix runs or times."""

    function: Callable[[Any], Any]
    around: str = ""
    """What the function reads from around its text: with other values it is another function."""

    def __call__(self, s: SimpleNamespace) -> Any:
        """Values ``(time, region, run)`` from states of that shape."""

        def one(states: dict[str, Any]) -> Any:
            return self.function(nested(states))

        return jax.vmap(jax.vmap(one, in_axes=-1, out_axes=-1))(vars(s))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PerRun) and other.function is self.function and other.around == self.around

    def __hash__(self) -> int:
        return hash((PerRun, id(self.function), self.around))


def check_functions(graph: Graph, model: NeuralMass, regions: int, precision: str) -> None:
    """Functions of a model's states; see :func:`check_functions_of`."""
    check_functions_of(graph, [s.name for s in model.states], regions, precision)


def check_functions_of(graph: Graph, names: Sequence[str], regions: int, precision: str) -> None:
    """Try every function of the named series on shapes alone: it must give one real number for each region."""
    for source in dict.fromkeys(n.input for n in graph.nodes if isinstance(n.input, Source) and n.input.kind == "function"):
        with jax.enable_x64(precision == "float64"):
            states = {n: jax.ShapeDtypeStruct((regions,), precision) for n in names}
            made = trace(lambda s, f=source.function.function: f(nested(s)), states, where=f"monitor {source.name!r}")
        shape, dtype = getattr(made, "shape", None), getattr(made, "dtype", None)
        if shape is None or dtype is None:
            raise TypeError(f"the function of monitor {source.name!r} returns a {type(made).__name__}, needs one number for each region.")
        if shape != (regions,):
            raise ValueError(
                f"the function of monitor {source.name!r} returns shape {shape}, needs ({regions},): it is called with the states of all "
                "regions at one time, s.x of shape (region,), and gives one number for each region."
            )
        if dtype.kind not in "fiub":
            raise TypeError(f"the function of monitor {source.name!r} returns {dtype} values, needs real numbers: jnp.real or jnp.abs.")


class _Builder:
    """Collects nodes; equal observations of the same input become one."""

    def __init__(
        self,
        base: float,
        sources: dict[str, Source],
        units: dict[str, str],
        spaces: Mapping[str, str],
        span: tuple[int, int],
        clock: str,
    ) -> None:
        self.base, self.sources, self.units, self.spaces, self.span, self.clock = base, sources, units, spaces, span, clock
        self.nodes: list[Node] = []
        self.observed: list[Observed] = []
        self.unit_of_node: list[str] = []
        self.clock_unit_of_node: list[str] = []
        self.labels: dict[str, xr.DataArray] = {}

    @property
    def observations(self) -> list[Observation]:
        return [o.observation for o in self.observed]

    def label(self, coord: xr.DataArray, key: str) -> None:
        """Keep the coordinate of a dim; two monitors cannot have different ones."""
        dim = str(coord.dims[0])
        known = self.labels.setdefault(dim, coord)
        if not np.array_equal(known.values, coord.values):
            raise ValueError(
                f"monitor {key!r} has other entries along {dim!r} than another monitor of this run. Give one of them a dim of its own: "
                f"dim='{key}_{dim}'."
            )

    def add(self, observation: Observation, input_: Source | int, unit: str, clock_unit: str, key: str) -> int:
        period_in = 1 if isinstance(input_, Source) else self.nodes[input_].period
        if not isinstance(input_, Source) and self.observations[input_].reduces:
            raise ValueError(
                f"monitor {key!r} observes {self.observations[input_].name!r}, which is one value per run, not a series. "
                "Give of= a state, an output or a series such as xm.BOLDSignal(...)."
            )
        first, last = (step // period_in for step in self.span)
        try:
            observation = observation.fitted(self.base * period_in, first, last)
            timing = observation.timing(self.base * period_in)
        except ValueError as error:
            raise ValueError(f"monitor {key!r}: {error}") from None
        for index, (node, other) in enumerate(zip(self.nodes, self.observations, strict=True)):
            if node.input == input_ and node.timing == timing and _same(other, observation):
                return index
        clash = [o for o in self.observations if o.name == observation.name and declared_parameters(o) and not _same(o, observation)]
        if clash and declared_parameters(observation):
            raise ValueError(
                f"two observations with different parameters are called {observation.name!r}: give one of them another name=, by which its "
                f"parameters go: {type(observation).__name__}(..., name='{observation.name}_2')."
            )
        period = timing.period * period_in
        given = self.space_of(input_)
        space = given if observation.space is None else observation.space
        if space not in (given, ""):
            self.label(_labels(observation, space, given), key)
        entries_in, entries = self.entries(given), self.entries(space)
        self.nodes.append(Node(_template(observation), input_, timing, timing.period, period_in, max(period, 1), entries_in, entries))
        self.observed.append(Observed(observation, unit, given, space))
        self.unit_of_node.append(in_terms_of(observation.unit, unit) or unit)
        self.clock_unit_of_node.append(clock_unit)
        return len(self.nodes) - 1

    def lead_fields(self, index: int) -> dict[str, str]:
        """Of an observation and what it observes, what the gains of embedded heads say of themselves."""
        while True:
            for d in declared_parameters(self.observations[index]):
                gain = parameter_value(self.observations[index], d.name) if "space" in d.dims else None
                if isinstance(gain, xr.DataArray) and LEAD_FIELD in gain.attrs:
                    return {LEAD_FIELD: str(gain.attrs[LEAD_FIELD])}
            before = self.nodes[index].input
            if isinstance(before, Source):
                return {}
            index = before

    def space_of(self, input_: Source | int) -> str:
        """Dim of a source or series beside time; empty if it has none."""
        return self.spaces.get(input_.name, REGION) if isinstance(input_, Source) else self.observed[input_].space

    def clock_of(self, input_: Source | int) -> str:
        """Unit of the times of a source or series."""
        return self.clock if isinstance(input_, Source) else self.clock_unit_of_node[input_]

    def entries(self, space: str) -> int:
        """Size of a series beside time; 0: as many as regions."""
        return 0 if space == REGION else (len(self.labels[space]) if space else 1)

    def dims_of(self, index: int, key: str) -> tuple[str, ...]:
        """Dims of a reduction; the labels of its own ones are kept."""
        observation, _, given, _ = self.observed[index]
        for dim, (values, unit) in observation.axes().items():
            if unit == "ms":
                unit = self.clock_of(self.nodes[index].input)
                values = np.asarray(values) / factor(unit, "ms")
            self.label(xr.DataArray(values, dims=dim, attrs=unit_attrs(unit, "")), key)
        named = {REGION: given, REGION_OTHER: f"{given}_other"} if given else {REGION: "", REGION_OTHER: ""}
        dims = tuple(named.get(dim, dim) for dim in observation.dims)
        if given and f"{given}_other" in dims and given != REGION:
            self.label(self.labels[given].rename({given: f"{given}_other"}), key)
        return tuple(d for d in dims if d)

    def resolve(self, what: Any, key: str) -> tuple[Source | int, str]:
        """The source or node that a name, function or observation stands for, and its unit."""
        if isinstance(what, Observation):
            index = self.observation(what, key)
            return index, self.unit_of_node[index]
        if isinstance(what, str):
            if what not in self.sources:
                raise KeyError(f"monitor {key!r} observes {what!r}, which is unknown{nearest(what, self.sources)}")
            return self.sources[what], self.units[what]
        if callable(what):
            return Source("function", key, PerRun(what, surroundings(what))), ""
        raise TypeError(f"monitor {key!r} is {what!r}, needs a name, an observation or a function of the state.")

    def observation(self, observation: Observation, key: str) -> int:
        input_, unit = self.resolve(observation.of, key)
        return self.add(plain_times(observation), input_, unit, _clock_unit(observation), key)


def _labels(observation: Observation, space: str, given: str) -> xr.DataArray:
    """Labels of the dim that a matrix parameter of an observation leads to."""
    for d in declared_parameters(observation):
        if "space" in d.dims:
            value = counted(parameter_value(observation, d.name))
            wanted = f"({space!r}, {given!r})"
            if not isinstance(value, xr.DataArray):
                raise TypeError(
                    f"{observation.name}.{d.name} is a {type(value).__name__}, needs a DataArray with the dims {wanted}: "
                    f"xr.DataArray(values, dims={wanted}, attrs={{'units': {d.unit!r}}})."
                )
            if not {space, given} <= set(value.dims):
                raise ValueError(f"{observation.name}.{d.name} has dims {value.dims}, needs {wanted}. Use .rename or dim=.")
            labels = value[space].values if space in value.coords else np.arange(value.sizes[space])
            if len(set(labels.tolist())) != len(labels):
                raise ValueError(f"{observation.name}.{d.name} repeats labels along {space!r}: labels must be different.")
            return xr.DataArray(labels.astype(object) if labels.dtype.kind == "U" else labels, dims=space)
    raise TypeError(f"{type(observation).__name__} makes the dim {space!r} and declares no parameter with dims=('space', ...).")


def _clock_unit(observation: Observation) -> str:
    """Unit in which an observation's first time was given; ms for a bare number."""
    for f in dataclasses.fields(observation):
        if f.metadata.get("time"):
            value = getattr(observation, f.name)
            unit = value.attrs.get(UNITS) if isinstance(value, xr.DataArray) else getattr(value, "unit", getattr(value, "units", None))
            return "ms" if unit is None else canonical(unit)
    return "ms"


def _same(a: Any, b: Any) -> bool:
    """Equal class, fields and parameters, whatever they observe."""
    if type(a) is not type(b):
        return False
    for f in dataclasses.fields(a):
        if f.name == "of":
            continue
        x, y = getattr(a, f.name), getattr(b, f.name)
        if x is y:
            continue
        if f.metadata.get("part"):
            if not _same(x, y):
                return False
        elif f.metadata.get("parameter"):
            unit = f.metadata["unit"]
            x, y = (counted(v) if "source" in unit else to_declared(counted(v), unit, f"{getattr(a, 'name', '')}.{f.name}") for v in (x, y))
            if isinstance(x, xr.DataArray) != isinstance(y, xr.DataArray) or not (
                x.identical(y) if isinstance(x, xr.DataArray) else np.array_equal(x, y)
            ):
                return False
        elif not (isinstance(x, int | float | str | tuple) and isinstance(y, int | float | str | tuple) and x == y):
            return False
    return True


def build_graph(model: NeuralMass, monitors: Monitors, dt: float, sample_every: int, span: tuple[int, int] = (0, 0)) -> Graph:
    """The graph of a run's monitors. Raw states and outputs are sampled every ``sample_every`` steps; ``span`` are those that count."""
    states, outputs = model.states, model.outputs
    sources = {s.name: Source("state", s.name) for s in states}
    sources |= {o.name: Source("output" if o.uses_input else "derived", o.name) for o in outputs}
    units = {name: unit_of(model, name) for name in sources}
    meanings = {s.name: s.meaning for s in states} | {o.name: o.meaning for o in outputs}
    wanted = as_mapping(monitors, [s.name for s in states])
    return graph_of(wanted, sources, units, meanings, dt, sample_every, span=span)


def graph_of(
    wanted: dict[str, Any],
    sources: dict[str, Source],
    units: dict[str, str],
    meanings: dict[str, str],
    base: float,
    sample_every: int,
    *,
    span: tuple[int, int],
    labels: Mapping[str, xr.DataArray] | None = None,
    spaces: Mapping[str, str] | None = None,
    clock: str = "ms",
) -> Graph:
    """The graph of named monitors over sources with a common period of ``base`` ms.

    ``span`` are the first and last-plus-one sample that count, ``spaces`` the dim of each source that is not ``region``, and
    ``labels`` the coordinates of those dims. ``clock`` is the unit of the times of the sources.
    """
    builder = _Builder(base, sources, units, spaces or {}, span, clock)
    builder.labels |= labels or {}
    found = []
    for name, what in wanted.items():
        if name in _TAKEN or (name in sources and what != name):
            raise ValueError(
                f"a monitor is called {name!r}, which is taken: states, outputs, dimensions and monitors have different names. "
                f"Call it otherwise: monitors={{'my_{name}': ...}}."
            )
        if isinstance(what, Observation):
            index = builder.observation(what, name)
            reduces = builder.observations[index].reduces
            period = builder.nodes[index].period * base
            attrs = (
                unit_attrs(builder.unit_of_node[index], f"{type(what).__name__} of {_describe(what.of)}")
                | builder.observations[index].record()
                | builder.lead_fields(index)
            )
            clock = "" if reduces else f"{name}_{TIME}"
            space = builder.observed[index].space
            inner = builder.dims_of(index, name) if reduces else (clock, *((space,) if space else ()))
            found.append(Monitor(name, index, period, clock, builder.clock_unit_of_node[index], inner, attrs))
        else:
            source, unit = builder.resolve(what, name)
            thin = Subsample(of=None, period=sample_every * base, name="sample")
            index = builder.add(thin, source, unit, "ms", name)
            meaning = meanings.get(what, "") if isinstance(what, str) else f"{getattr(what, '__name__', 'function')} of the state"
            space = builder.observed[index].space
            inner = (TIME, *((space,) if space else ()))
            found.append(Monitor(name, index, sample_every * base, TIME, "ms", inner, unit_attrs(unit, meaning)))
    clocks = {m.clock: m.name for m in found}
    clash = next((m.name for m in found if m.name in clocks), None)
    if clash is not None:
        raise ValueError(f"a monitor is called {clash!r}, which is the time dimension of {clocks[clash]!r}. Call it otherwise.")
    return Graph(tuple(builder.nodes), tuple(builder.observed), tuple(found), builder.labels)


def inner_dims(graph: Graph, specs: Mapping[str, Spec]) -> dict[str, np.ndarray | None]:
    """Dims that belong to one run's value of some parameter, with their labels if they have any."""
    found = dict.fromkeys(d for s in specs.values() for d in s.inner if d not in ("", REGION, REGION_OTHER))
    named = {d.removesuffix("_other"): d for d in found}
    return {**found, **{dim: graph.labels[own].values for own, dim in named.items() if own in graph.labels}} | {
        d: graph.labels[d].values for d in found if d in graph.labels
    }


def _describe(of: Any) -> str:
    if isinstance(of, Observation):
        return of.name
    return of if isinstance(of, str) else getattr(of, "__name__", "a function of the state")


def segment_length(graph: Graph, *, row_bytes: int, streams: int, block: int, within: int = 0) -> int:
    """Steps per segment: a tape and the draws of a segment stay in the cache, all periods fit.

    It divides ``within``, the steps between changes of weights (0: none), as every frame does.
    """
    limit = max(16, min(512, 1_600_000 // max(row_bytes * streams, 1)))
    periods = [n.period for n in graph.nodes if not n.observation.reduces]
    frames = [n.timing.frame * n.period_in for n in graph.nodes if n.timing.frame > 1]
    most = max(limit, 200_000_000 // max(row_bytes * streams, 1))
    if not within:
        return choose_segment(periods, frames, block=block, limit=limit, most=most)
    try:
        return choose_segment([*periods, within], frames, block=block, limit=min(limit, within), most=within)
    except ValueError as error:
        raise ValueError(
            f"{error} The weights change every {within} steps, so that a segment is no longer; they may change less often."
        ) from None
