"""The record of a run: its whole configuration as JSON values, and the attrs that every result carries."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr

from xmass.labelled.monitors import as_mapping
from xmass.labelled.network import Network
from xmass.labelled.parameters import node_of
from xmass.labelled.provenance import CONFIG_HASH, CONFIGURATION, VERSIONS, Encoder, canonical_json, config_hash, versions
from xmass.labelled.resolve import Request, Resolved
from xmass.labelled.schema import CONVENTIONS, INITIAL, SEED


def configuration_of(resolved: Resolved) -> dict[str, Any]:
    """The configuration as JSON values: what a result is made from. Seeds made by ``batch_size`` stand for it."""
    config, request = resolved.config, resolved.request
    encoder = Encoder()
    graph = resolved.graph
    monitors = as_mapping(request.monitors, [s.name for s in node_of(config.system).states])
    params = None if request.params is None else _in_order_of_dims(request.params.compute())
    seed = None if resolved.seeds is None or SEED in _names(params) or _continues(request) else _seed_array(resolved)
    delays = config.system.delays if isinstance(config.system, Network) else None
    return {
        "system": encoder.encode(config.system),
        "parameters": encoder.encode(params),
        "dims": list(resolved.sizes),
        "regions": encoder.encode(config.regions),
        "dt": config.dt,
        "method": config.method,
        "frozen_coupling": config.frozen,
        "bounds": config.bounds,
        "delays": delays,
        "tile": resolved.program.width,
        "precision": config.precision,
        "monitors": encoder.encode({m.name: monitors[m.name] for m in graph.monitors}),
        "duration": (resolved.stop - resolved.start) * config.dt,
        "transient": (resolved.keep - resolved.start) * config.dt,
        "sample_every": resolved.sample_every,
        "batch_size": request.batch_size if seed is None else None,
        "seed": encoder.encode(seed),
        "inputs": encoder.encode(None if request.inputs is None else dict(request.inputs)),
        "initial": encoder.encode(_initial_record(request.initial)),
        "restart": request.restart,
    }


def _in_order_of_dims(params: xr.Dataset) -> xr.Dataset:
    """The Dataset as its variables alone make it again: ``transpose`` turns variables, a Dataset's own order of dims stays."""
    order = [str(d) for d in params.sizes]
    variables = {str(n): v.transpose(*(d for d in order if d in v.dims)) for n, v in params.variables.items()}
    return xr.Dataset(variables).set_coords(list(params.coords))


def _names(params: xr.Dataset | None) -> set[str]:
    return set() if params is None else {str(n) for n in params.variables}


def _continues(request: Request) -> bool:
    return isinstance(request.initial, xr.Dataset) and SEED in request.initial.variables


def _seed_array(resolved: Resolved) -> Any:
    """The seed as data: a number, or a DataArray with its dims and labels."""
    seeds = resolved.seeds
    assert seeds is not None
    if not seeds.dims:
        return int(seeds.array)
    coords = {d: resolved.coords[d].variable for d in seeds.dims if d in resolved.coords}
    return xr.DataArray(seeds.array, dims=seeds.dims, coords=coords)


def _initial_record(initial: Any) -> Any:
    if isinstance(initial, xr.Dataset):
        return initial[[n for n in initial.variables if str(n).startswith(f"{INITIAL}.") or n == SEED]].compute()
    return None if initial is None else dict(initial)


def result_attrs(resolved: Resolved) -> dict[str, Any]:
    """Attrs of a result: conventions, configuration, its hash, versions."""
    text = canonical_json(configuration_of(resolved))
    return {"Conventions": CONVENTIONS, CONFIGURATION: text, CONFIG_HASH: config_hash(text), VERSIONS: json.dumps(versions())}
