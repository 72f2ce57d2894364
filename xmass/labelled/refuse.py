"""What a run refuses before anything is compiled: names that clash, numbers without meaning, series without a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.indexes import PandasMultiIndex

from xmass.core.model import Mixed, NeuralMass, declared_parameters
from xmass.core.observe import Node, Observation, Source
from xmass.labelled.monitors import Graph
from xmass.labelled.network import Network
from xmass.labelled.noises import check_noise_values
from xmass.labelled.parameters import Spec, System, node_of
from xmass.labelled.schema import DISTANCES, LAG, REGION, REGION_OTHER, SEED, SPEED, WEIGHTS
from xmass.labelled.values import Dims, Value


def check_names(graph: Graph, specs: dict[str, Spec], own: dict[str, Spec], model: NeuralMass) -> None:
    """States, parameters, couplings, noises, observations and monitors have different names."""
    heads = {path.partition(".")[0] for path in own} - {s.name for s in model.states}
    for monitor in graph.monitors:
        if monitor.name in specs or monitor.name in heads:
            raise ValueError(f"a monitor is called {monitor.name!r}, which is a parameter, noise or coupling. Call the monitor otherwise.")
    for observation in graph.observations:
        prefixed = observation.state_names or declared_parameters(observation)
        if prefixed and observation.name in heads | {s.name for s in model.states}:
            raise ValueError(
                f"an observation has name={observation.name!r}, which is a state, parameter, noise or coupling: its own parameters go by "
                f"that name. Give it another: {type(observation).__name__}(..., name=...)."
            )


def check_parts_of_models(graph: Graph, model: NeuralMass) -> None:
    """With several models, what mixes regions must be of all of them."""
    for node, observation in zip(graph.nodes, graph.observations, strict=True):
        if observation.space is not None and isinstance(model, Mixed):
            origin = node
            while not isinstance(origin.input, Source):
                origin = graph.nodes[origin.input]
            if origin.input.kind != "function":
                raise ValueError(
                    f"{observation.name} mixes the regions of {origin.input.name!r}, which only some of them have. Observe a function that "
                    "all have: of=lambda s: ..., zero where a region has no part in it."
                )


def check_dim_names(graph: Graph, dims: Dims, coords: Mapping[str, Any]) -> None:
    """Monitors and their time dims have other names than the dims and coordinates of the result."""
    for monitor in graph.monitors:
        for name in (monitor.name, *(d for d in monitor.dims if d not in (REGION, REGION_OTHER))):
            if name in dims.sizes or name in coords:
                what = f"the dim {name!r} of {dims.origin[name]}" if name in dims.sizes else f"the coordinate {name!r}"
                raise ValueError(
                    f"monitor {monitor.name!r} would be confused with {what} of the parameters. Call the monitor otherwise, or rename: "
                    f"params.rename({{{name!r}: '{name}_value'}})."
                )
    if SEED in dims.sizes and SEED in coords and coords[SEED].dims != (SEED,):
        raise ValueError(f"{dims.origin[SEED]} has the dim 'seed', which is not that of the seeds. Rename it: params.rename(seed='trial').")


def check_params(params: xr.Dataset) -> None:
    """Regions in one chunk, one label for each entry of a dim."""
    for dim in (REGION, REGION_OTHER):
        if len(params.chunksizes.get(dim, (0,))) > 1:
            raise ValueError(f"params is chunked along {dim!r}; a run needs all regions at once. Use params.chunk({dim}=-1).")
    for dim in map(str, params.dims):
        if isinstance(params.xindexes.get(dim), PandasMultiIndex):
            raise ValueError(f"params has a MultiIndex along {dim!r}, needs one label for each entry. Use params.reset_index({dim!r}).")


def check_used_dims(params: xr.Dataset | None, used: set[str]) -> None:
    """A dim that no parameter has would repeat the same run."""
    for dim in [] if params is None else map(str, params.sizes):
        if dim not in used and dim not in (REGION, REGION_OTHER, LAG):
            named = [str(n) for n in params.variables if dim in params[n].dims] if params is not None else []
            raise ValueError(
                f"params has the dim {dim!r} (of {named}), which no seed, input or parameter that is read has: all runs along "
                f"it would be the same. sim.parameters() lists the names; drop it with params.drop_dims({dim!r})."
            )


def is_read(path: str, system: System, values: Mapping[str, Value]) -> bool:
    """Whether a run depends on a parameter: a connectome without a coupling and distances without a speed have no effect."""
    prefix, _, name = path.rpartition(".")
    prefix = f"{prefix}." if prefix else ""
    if not isinstance(system, Network) or prefix not in system.connectomes or name not in (WEIGHTS, DISTANCES, SPEED):
        return True
    return bool(system.couplings) and (name != DISTANCES or prefix + SPEED in values)


def check_history(lags: np.ndarray, count: int, dt: float, path: str) -> None:
    """A history reaches from the start back to the longest delay."""
    if lags[0] > 1e-9 or lags[-1] < (count - 1) * dt - 1e-6 * dt:
        raise ValueError(
            f"{path} covers lags from {lags[0]:g} to {lags[-1]:g} ms, the delays need 0 to {(count - 1) * dt:g} ms. Give samples that far "
            "back, or a value without the dim 'lag' for a constant history."
        )


def window(node: Node, observation: Observation) -> int:
    """Steps whose multiples a series of observations can start or stop at."""
    if observation.state_names:
        return node.timing.frame * node.period_in
    return node.period if observation.windowed else 1


def check_alignment(graph: Graph, start: int, stop: int, restart: bool, dt: float) -> None:
    """A run can stop or continue only where its observations have no half-filled window."""
    stateful = [o.name for o in graph.observations if o.state_names]
    twice = sorted({n for n in stateful if stateful.count(n) > 1})
    if restart and twice:
        raise ValueError(f"restart=True keeps the state of observations by name, and several are called {twice[0]!r}. Give each its name=.")
    for node, observation in zip(graph.nodes, graph.observations, strict=True):
        if observation.reduces:
            continue
        unit = window(node, observation)
        if start % unit:
            raise ValueError(
                f"{observation.name} advances by {unit * dt:g} ms; the run continues at {start * dt:g} ms, which is not a multiple."
            )
        if restart and stop % unit:
            raise ValueError(
                f"restart=True with {observation.name}, which advances by {unit * dt:g} ms, needs an end that is a multiple of it; the run "
                f"ends at {stop * dt:g} ms. Take {stop // unit * unit * dt:g} ms."
            )


def check_samples(graph: Graph, start: int, keep: int, stop: int, restart: bool, dt: float) -> None:
    """Every series of a run that stands alone has a sample, every reduction as many as it needs."""
    check_reductions(graph, keep, stop, dt, lambda end: f"duration={(end - start) * dt:g} or more")
    for monitor in graph.monitors:
        period = graph.nodes[monitor.node].period
        if monitor.clock and stop // period == keep // period and not restart and not start:
            raise ValueError(
                f"monitor {monitor.name!r} gives a value every {period * dt:g} ms, and none falls between the transient, {keep * dt:g} ms, "
                f"and the end, {stop * dt:g} ms. Take duration={(keep // period + 1) * period * dt:g} or more."
            )


def check_reductions(graph: Graph, keep: int, stop: int, dt: float, fix: Callable[[int], str]) -> None:
    """Every reduction has the samples without which it means nothing; ``fix`` says how the series is made to last to a step."""
    for monitor in graph.monitors:
        node, fewest = graph.nodes[monitor.node], graph.observations[monitor.node].fewest
        found = stop // node.period_in - keep // node.period_in
        if not monitor.clock and found < fewest:
            raise ValueError(
                f"monitor {monitor.name!r} needs at least {fewest} samples, one every {node.period_in * dt:g} ms, and between "
                f"{keep * dt:g} ms and {stop * dt:g} ms are {found}. Take {fix((keep // node.period_in + fewest) * node.period_in)}."
            )


def check_values(values: dict[str, Value], system: System, precision: str, dt: float) -> None:
    """Numbers that the science refuses, and those that the precision cannot hold."""
    ends = {path: path.rpartition(".")[2] for path in values} if isinstance(system, Network) else {}
    for path in (p for p, end in ends.items() if end == SPEED and (values[p].array <= 0).any()):
        raise ValueError(f"{path} is {values[path].array.min():g} mm/ms, needs a positive speed. For no delays leave speed out.")
    for path in (p for p, end in ends.items() if end == DISTANCES and (values[p].array < 0).any()):
        raise ValueError(
            f"{path} holds {values[path].array.min():g} mm, needs lengths of zero or more: an edge cannot have a negative delay. "
            "Look at them with distances.where(distances < 0, drop=True)."
        )
    check_noise_values(node_of(system), values, dt)
    for past in node_of(system).past:
        if (values[past.delay].array < 0).any():
            raise ValueError(f"{past.delay} is {values[past.delay].array.min():g} ms, needs a delay of zero or more.")
    largest = float(np.finfo(precision).max)
    for path, value in values.items():
        if value.array.size and np.abs(value.array).max() > largest:
            raise ValueError(f"{path} holds {np.abs(value.array).max():g}, more than {precision} can: Simulator(precision='float64').")
