"""Arguments of a tile from traced values: a run as a function of its parameters, which JAX differentiates."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.edges import edge_bases, edge_index, edge_values, interpolated_between
from xmass.core.model import noise_fields
from xmass.labelled import execute
from xmass.labelled.network import Network
from xmass.labelled.parameters import carried_path, node_of
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import DISTANCES, INITIAL, SEED, SPEED, TIME, WEIGHTS
from xmass.labelled.structure import Wiring, between, delays_in_steps, interpolated, weighted
from xmass.labelled.suggest import nearest
from xmass.labelled.values import Value

_STRUCTURAL = (WEIGHTS, DISTANCES, SPEED)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["members", "args", "initial"], meta_fields=["resolved"])
@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """Arrays of one tile of runs, made once. A pytree: a jitted function of tiles compiles once for all tiles of a ``Resolved``."""

    resolved: Resolved
    members: np.ndarray
    """Flat indices of its runs, filled up to the width of a tile with the last."""
    args: dict[str, Any]
    """What its program takes, and under ``wiring`` what the arrays of each projection are made from; nothing if none are to come."""
    initial: dict[str, Any]

    def with_seeds(self, seeds: Value) -> Tile:
        """The same with other noise."""
        resolved = dataclasses.replace(self.resolved, seeds=seeds)
        return dataclasses.replace(self, args={**self.args, "keys": execute._keys(resolved, self.members)})


def tiles(resolved: Resolved, runs: np.ndarray | None = None, paths: Collection[str] | None = None) -> list[Tile]:
    """The tiles of some runs (flat indices; all by default), which share the arrays of a connectome.

    Parameters
    ----------
    resolved : Resolved
        The run.
    runs : array of int, optional
        Flat indices over its run dims.
    paths : collection of str, optional
        Paths that :func:`arguments` will be given; any by default. Checked here, before anything is traced.

    Raises
    ------
    ValueError, KeyError
        For a path that cannot be traced, or weights that vary in time.
    """
    members = np.arange(resolved.runs) if runs is None else np.asarray(runs)
    cache = execute._StructureArrays(resolved)
    return [_tile(resolved, members[positions], paths, cache) for positions in execute.tiles_of(resolved, members)]


def tile_of(resolved: Resolved, members: np.ndarray, paths: Collection[str] | None = None) -> Tile:
    """One tile of runs that share a connectome, filled up to the width of a tile; see :func:`tiles`."""
    return _tile(resolved, np.asarray(members), paths, execute._StructureArrays(resolved))


def _tile(resolved: Resolved, members: np.ndarray, paths: Collection[str] | None, cache: execute._StructureArrays) -> Tile:
    width = resolved.program.width
    if not 1 <= len(members) <= width:
        raise ValueError(f"a tile has 1 to {width} runs, got {len(members)}.")
    members = np.concatenate([members, np.full(width - len(members), members[-1])]).astype(np.int64)
    for path in paths or ():
        check_traceable(resolved, path)
    epochs = execute._stretches(resolved)
    if len(epochs) > 1:
        raise ValueError(
            "weights have the dim 'time' and change during the run; a run that is differentiated needs constant weights. Take one time: "
            ".isel(time=0)."
        )
    with jax.enable_x64(resolved.config.precision == "float64"):
        structure = execute._structure(resolved, members)
        args = execute._arguments(resolved, members, cache) | cache.get(structure, epochs[0][0])
        first, last = resolved.start // resolved.program.segment, -(-resolved.stop // resolved.program.segment)
        args["stimulus"] = _stimulus(resolved, members, first, last)
        needed = paths is None or any(_is_structural(p) for p in paths)
        found = resolved.structures.projections if needed and resolved.structures is not None else ()
        args["wiring"] = [_wiring_arrays(resolved, wiring, members, epochs[0][0]) for wiring in found]
        return Tile(resolved, members, args, execute._initial(resolved, members))


def _stimulus(resolved: Resolved, members: np.ndarray, first: int, last: int) -> dict[str, jax.Array]:
    """Inputs that vary in time, ``(step, region, run)``, from the start of the run's first segment to the end of its last."""
    program = resolved.program
    shape = ((last - first) * program.segment, program.regions, program.width)
    return {
        s.name: jnp.broadcast_to(
            jnp.asarray(
                s.rows(resolved.sizes, members, first * program.segment, shape[0], resolved.config.dt, program.regions),
                resolved.config.precision,
            ),
            shape,
        )
        for s in resolved.stimuli
        if not s.constant
    }


def _is_structural(path: str) -> bool:
    return path.rpartition(".")[2] in _STRUCTURAL


def check_traceable(resolved: Resolved, path: str) -> None:
    """A path that :func:`arguments` can take, else an error that says why not."""
    if path == SEED:
        raise ValueError("seed cannot be traced: the draws are fixed inside one gradient. Give it to the run.")
    known = [p for p, s in resolved.specs.items() if p in resolved.values or p.startswith(f"{INITIAL}.")]
    if path not in known:
        raise KeyError(f"{path!r} is not a parameter of this run{nearest(path, known)}")
    if path.rpartition(".")[2] in (DISTANCES, SPEED):
        _check_delays(resolved, path)
    own = [p.name for p in resolved.program.model.past if p.delay == path]
    if own:
        raise ValueError(
            f"{path} is a delay inside the model, in whole steps: a run has no derivative with respect to it. Sweep it, or fit it with a "
            "backend that needs no gradient."
        )
    if path in resolved.lags:
        raise ValueError(f"{path} is a history, over 'lag'; only a value at the start can be traced. Select one: .isel(lag=0, drop=True).")


def _check_delays(resolved: Resolved, path: str) -> None:
    """Delays can be traced if they are interpolated, and planned for the limits of what is traced."""
    system = resolved.config.system
    assert isinstance(system, Network)
    prefix = path.removesuffix(path.rpartition(".")[2])
    if prefix + SPEED not in resolved.values:
        raise ValueError(f"{path} has no effect: the network has no delays. Give it a speed: Network(..., speed=10.0).")
    if system.delays != "linear":
        raise ValueError(
            f"{path} changes delays by whole steps where delays={system.delays!r}: a run has no derivative with respect to it. Interpolate "
            "them: Network(..., delays='linear')."
        )
    if path not in (resolved.request.limits or {}):
        raise ValueError(f"{path} was resolved without limits: delays are planned for all values between them. Give it bounds.")


def arguments(tile: Tile, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments and initial values of a tile's program, with traced values in place of some parameters.

    Parameters
    ----------
    tile : Tile
        From :func:`tiles` or :func:`tile_of`.
    overrides : mapping of str to array
        By path, run axis first, as many runs as the tile is wide: ``(run,)`` or ``(run, region)`` for parameters and initial values,
        ``(run, region, region_other)`` for weights and distances, ``(run,)`` for a speed. All runs of a tile have one connectome: the
        first is used. Weights that are 0 in the run's own connectome are no edges and stay 0.

    Returns
    -------
    args, initial : dict
        As :func:`xmass.core.engine.initialise` and :func:`xmass.core.engine.advance` take them; ``args["stimulus"]`` covers the run.
    """
    resolved = tile.resolved
    dtype = jnp.dtype(resolved.config.precision)
    args = {name: value for name, value in tile.args.items() if name != "wiring"}
    params = dict(args["params"])
    given: dict[str, jax.Array] = {}
    structural: dict[str, jax.Array] = {}
    for path, value in overrides.items():
        check_traceable(resolved, path)
        array = jnp.asarray(value).astype(dtype)
        if _is_structural(path):
            structural[path] = array[0] if array.ndim == (0 if path.rpartition(".")[2] == SPEED else 2) + 1 else array
            continue
        column = _column(path, array, resolved.program.width)
        if path.startswith(f"{INITIAL}."):
            given[path] = column
        else:
            params[path] = jnp.broadcast_to(column, (max(len(column), len(params[path])), column.shape[1]))
    args["params"] = params
    projections = _projections(tile, structural) if structural else args["projections"]
    wirings = resolved.structures.projections if resolved.structures is not None else ()
    args["projections"] = [_with_sources(w, arrays) for w, arrays in zip(wirings, projections, strict=True)]
    return args, _initial(tile, given)


def _with_sources(wiring: Wiring, arrays: dict[str, Any]) -> dict[str, Any]:
    """With what is known of delayed edges before anything is traced: the source of each, -1 where there is padding, and their order."""
    if wiring.plan is None or "delayed" not in arrays:
        return arrays
    n = wiring.weights.shape[-1]
    delayed = []
    for level, (order, tables) in zip(arrays["delayed"], wiring.plan.tables, strict=True):
        inverse = np.empty(n, dtype=np.int32)
        inverse[order] = np.arange(n, dtype=np.int32)
        delayed.append(level | {"inverse": inverse, "sources": [np.where(t >= 0, t % n, -1).astype(np.int32) for t in tables]})
    return arrays | {"delayed": delayed}


def _column(path: str, array: jax.Array, width: int) -> jax.Array:
    """``(run, ...)`` as ``(entries or 1, run)``."""
    if not array.ndim or array.shape[0] != width:
        raise ValueError(f"{path} came with shape {array.shape}, needs the run axis first, with the {width} runs of a tile.")
    return array.reshape(width, -1).T


def _initial(tile: Tile, given: dict[str, jax.Array]) -> dict[str, Any]:
    """Initial values with some replaced."""
    resolved, found = tile.resolved, dict(tile.initial)
    if not given:
        return found
    model = node_of(resolved.config.system)
    states, taken = {s.name for s in model.states}, set()
    found = {k: dict(v) if isinstance(v, dict) else v for k, v in found.items()}
    for path, column in given.items():
        name = path.removeprefix(f"{INITIAL}.")
        if name in states:
            found["states"][name] = {"value": column}
            taken.add(path)
        elif name in resolved.program.pasts:
            found["history"][name] = column[:, None, :]
            taken.add(path)
    for stream, _, process in noise_fields(model):
        own = {name: carried_path(stream, name) for name in process.carried}
        if own and any(p in given for p in own.values()):
            before = found["coloured"].get(stream, {})
            found["coloured"][stream] = {n: given[p] if p in given else _held(before, n, p) for n, p in own.items()}
            taken |= set(own.values())
    for index, observation in enumerate(resolved.graph.observations):
        paths = [f"{INITIAL}.{observation.name}.{n}" for n in observation.state_names]
        if any(p in given for p in paths):
            held = dict(enumerate(found["observers"].get(str(index), ())))
            found["observers"][str(index)] = tuple(given[p] if p in given else _held(held, i, p) for i, p in enumerate(paths))
            taken |= set(paths)
    left = sorted(set(given) - taken)
    if left:
        raise ValueError(f"{left[0]} is read by nothing in this run.")
    return found


def _held(values: Mapping[Any, Any], name: Any, path: str) -> Any:
    if name not in values:
        raise ValueError(f"{path} has no value in this run: what is carried is given whole or not at all. Give it to initial=.")
    return values[name]


# ------------------------------------------------------------------------------------------------------------------ connectomes
def _prefix(resolved: Resolved, wiring: Wiring) -> str:
    assert isinstance(resolved.config.system, Network)
    return resolved.config.system.prefix_of(wiring.path)


def _matrix(resolved: Resolved, path: str, members: np.ndarray, epoch: int = 0) -> np.ndarray:
    """Weights or distances, or the speed, of a tile's connectome."""
    value = resolved.values[path]
    found = value.take(resolved.sizes, members[:1])[0]
    return found[epoch] if TIME in value.inner else found


def _wiring_arrays(resolved: Resolved, wiring: Wiring, members: np.ndarray, epoch: int) -> dict[str, Any]:
    """What the arrays of a projection are made from, besides the matrix that is summed with."""
    system, prefix, dtype = resolved.config.system, _prefix(resolved, wiring), resolved.config.precision
    assert isinstance(system, Network)
    n = resolved.program.regions
    weights = _matrix(resolved, prefix + WEIGHTS, members, epoch)
    if prefix + SPEED in resolved.values:
        exact = delays_in_steps(
            _matrix(resolved, prefix + DISTANCES, members), _matrix(resolved, prefix + SPEED, members), resolved.config.dt
        )
    else:
        exact = np.zeros((n, n))
    steps, factor = interpolated(exact, system.delays)
    found: dict[str, Any] = {
        "weights": jnp.asarray(weights, dtype),
        "steps": jnp.asarray(steps, "int32"),
        "factor": jnp.asarray(factor, dtype),
    }
    if wiring.span is not None:
        found["span"] = tuple(jnp.asarray(end[execute._structure(resolved, members)], dtype) for end in wiring.span)
        found |= {n: jnp.asarray(_matrix(resolved, prefix + n, members), dtype) for n in (DISTANCES, SPEED)}
    if wiring.plan is not None:
        found["index"] = [[jnp.asarray(i) for i in edge_index(t, n, len(steps))] for t in wiring.plan.tables]
    if wiring.kind.undelayed == "sparse":
        found["sparse"] = [jnp.asarray(i) for i in edge_index(wiring.undelayed[0]["tables"], n, 1)]
    return found


def _projections(tile: Tile, structural: dict[str, jax.Array]) -> list[dict[str, Any]]:
    """Arguments of all projections, made from traced weights where there are some."""
    resolved = tile.resolved
    assert resolved.structures is not None
    if not tile.args["wiring"]:
        raise ValueError(f"the tile was made without the paths {sorted(structural)}. Name them: tiles(resolved, paths=...).")
    return [
        _projection(tile, wiring, made, arrays, structural)
        for wiring, made, arrays in zip(resolved.structures.projections, tile.args["projections"], tile.args["wiring"], strict=True)
    ]


def _projection(tile: Tile, wiring: Wiring, made: dict, arrays: dict, structural: dict[str, jax.Array]) -> dict[str, Any]:
    resolved, system = tile.resolved, tile.resolved.config.system
    assert isinstance(system, Network)
    prefix = _prefix(resolved, wiring)
    if not any(prefix + name in structural for name in _STRUCTURAL):
        return made
    moving = prefix + DISTANCES in structural or prefix + SPEED in structural
    weights = jnp.where(arrays["weights"] != 0, structural.get(prefix + WEIGHTS, arrays["weights"]), 0.0)
    coupling = system.couplings[wiring.path]
    matrix = weighted(wiring.path, coupling, between(weights, system.model, coupling))
    steps, factor = arrays["steps"], arrays["factor"]
    if moving:
        lengths, speed = (structural.get(prefix + n, arrays[n]) for n in (DISTANCES, SPEED))
        low, high = arrays["span"]
        steps, factor = interpolated_between(delays_in_steps(lengths, speed, resolved.config.dt), low, high, matrix != 0)
    kinds = matrix * factor
    found: dict[str, Any] = {"strength": matrix.sum(axis=1)[:, None]}
    if wiring.plan is not None:
        assert wiring.kind.delay is not None
        values = jnp.where(steps > 0, kinds, 0.0)
        found["delayed"] = []
        for level, index in zip(made["delayed"], arrays["index"], strict=True):
            own = {"weight": edge_values(index, values)}
            if moving:
                own["base"] = edge_bases(index, steps, wiring.kind.delay, resolved.program.width)
            found["delayed"].append(level | own)
    if wiring.kind.undelayed:
        rest = jnp.where(steps == 0, kinds, 0.0).sum(axis=0)
        sparse = wiring.kind.undelayed == "sparse"
        found["undelayed"] = made["undelayed"] | {"weight": edge_values(arrays["sparse"], rest[None])} if sparse else rest
    return found
