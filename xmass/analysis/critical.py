"""The value of a parameter at which a fixed point changes its stability."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.branch import Crossing, Ended, Field, follow
from xmass.analysis.rates import INPUTS, Systems, resolved_point, system_of, systems_of
from xmass.analysis.stability import Points, Search, find, search_box, start_count, state_attrs, with_dims
from xmass.core.model import noise_fields
from xmass.labelled.parameters import Spec, node_of, system_parameters
from xmass.labelled.provenance import VERSIONS, Encoder, canonical_json, versions
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import CONVENTIONS, INITIAL, LONG_NAME, REGION, UNITS
from xmass.labelled.suggest import nearest
from xmass.labelled.units import in_unit
from xmass.labelled.values import Dims, to_value
from xmass.simulator import Simulator

FREQUENCY = "frequency"
KIND = "kind"
Derive = Mapping[str, Callable[[xr.Dataset], Any]]


def critical(
    sim: Simulator,
    parameter: str,
    params: xr.Dataset | None = None,
    *,
    bounds: tuple[Any, Any],
    inputs: Mapping[str, Any] | None = None,
    near: Mapping[str, Any] | None = None,
    derive: Derive | None = None,
    search: Search | None = None,
    steps: int = 64,
) -> xr.Dataset:
    """The value of a parameter at which a fixed point of the system without noise and delays gains or loses stability.

    A fixed point is followed from the first bound to the second, up to the first value at which the largest real part of the
    eigenvalues crosses zero, or at which the point meets another one and both end (a fold).

    Parameters
    ----------
    sim : Simulator
        A node, a bank of uncoupled nodes or a network.
    parameter : str
        A parameter by its path, such as ``"coupling.k"``, one number for all regions; or an input, ``"inputs.V"``.
    params : Dataset, optional
        Other parameters; every dim is one of the result.
    bounds : (first, last)
        Where to begin and to end, numbers or quantities; the first may be the larger one.
    inputs : mapping of str to float, Quantity or DataArray, optional
        Constant inputs.
    near : mapping of str to float, Quantity or DataArray, optional
        States near to the fixed point at the first bound that is followed. By default it is the stable one, if there is one,
        that is nearest to where a run would start.
    derive : mapping of str to function, optional
        Parameters that follow the others: each function gets the parameter Dataset at one point, the critical parameter
        included, and returns a value. Warnings that it gives on the way are not shown.
    search : mapping of str to (low, high), optional
        As in :func:`fixed_points`, for the first bound.
    steps : int
        At least so many steps are taken from the first bound to the second.

    Returns
    -------
    Dataset
        The critical value under the name of the parameter, so that it is a parameter Dataset again; ``frequency`` [Hz], 0 unless a pair
        of eigenvalues crosses; ``kind``: "hopf", "fold" (the point ends), "pitchfork or transcritical" (it goes on); and
        each state there, ``(..., region)``. NaN and "" where nothing crosses, with one warning that names these points.

    Raises
    ------
    ValueError
        If nothing crosses between the bounds anywhere, with what was found; if there is no fixed point at the first bound.
    KeyError
        For a parameter that the equations do not have.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1)
    >>> found = xm.critical(sim, "a", bounds=(-0.2, 0.3))
    >>> round(float(found.a), 9), round(float(found.frequency), 3), str(found.kind.values)
    (0.0, 47.746, 'hopf')
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps={steps!r}, needs a positive whole number.")
    spec = _spec(sim, parameter)
    first, last = _bounds(bounds, spec)
    base = params if params is not None else xr.Dataset()
    _refuse_twice(parameter, base, inputs, derive)
    resolved = resolved_point(sim, _with(base, parameter, first, derive), _driven(inputs, parameter, first))
    systems = systems_of(sim, resolved)
    points = find(systems, search_box(sim, search), start_count(systems, None))
    found: list[Crossing | Ended | None] = []
    for i in range(systems.count):
        place = _Place(resolved, systems, i)
        start = _chosen(points, place, near)
        if start is None:
            found.append(None)
            continue
        field = _field(place, base, parameter, derive or {})
        found.append(follow(field, *start, (first, last), systems.lower, systems.upper, steps=steps))
    _report(found, spec, (first, last), systems)
    record = {
        "system": sim.system,
        "parameter": parameter,
        "parameters": params,
        "bounds": [first, last],
        "inputs": inputs,
        "near": near,
        "derive": derive,
        "search": search,
    }
    attrs = {
        "Conventions": CONVENTIONS,
        "critical": canonical_json(Encoder().encode(record)),
        "method": "a fixed point followed along the parameter; eigenvalues of the system without delays and noise",
        VERSIONS: json.dumps(versions()),
    }
    return _labelled(sim, resolved, systems, spec, found).assign_attrs(attrs)


@dataclasses.dataclass(frozen=True, eq=False)
class _Place:
    """One system of a resolved request, and where it is along the dims."""

    resolved: Resolved
    systems: Systems
    system: int

    @property
    def position(self) -> dict[str, int]:
        sizes = self.systems.sizes
        return {d: int(i) for d, i in zip(sizes, np.unravel_index(self.system, tuple(sizes.values())) if sizes else ())}

    def numbers(self, raw: Any, spec: Spec) -> np.ndarray:
        """What a number, quantity or DataArray is here, ``(region or 1, 1)``."""
        if isinstance(raw, xr.DataArray):
            for dim, i in self.position.items():
                if dim in raw.dims and dim != REGION:
                    labels = self.resolved.coords.get(dim)
                    raw = raw.sel({dim: labels.values[i]}) if labels is not None and dim in raw.coords else raw.isel({dim: i})
        array = to_value(raw, spec, Dims(), self.resolved.config.regions).array.reshape(-1, 1)
        return array[[self.position[REGION]]] if self.systems.bank and len(array) > 1 else array


def _spec(sim: Simulator, parameter: str) -> Spec:
    """What is declared of the parameter, if the equations read it as a number."""
    model, specs = node_of(system_of(sim)), system_parameters(system_of(sim))
    inputs = {f"{INPUTS}.{i.name}": Spec(f"{INPUTS}.{i.name}", 0.0, i.unit, i.meaning) for i in model.inputs}
    noises = tuple(f"{path}." for path, _, _ in noise_fields(model))
    read = {p: s for p, s in specs.items() if not (s.matrix or s.per_run or p.startswith((*noises, f"{INITIAL}.")))} | inputs
    if parameter in read:
        return read[parameter]
    if parameter in specs:
        raise KeyError(f"{parameter} is no number in the equations of a fixed point{nearest(parameter, read)}")
    raise KeyError(f"parameter={parameter!r}, which {type(model).__name__} lacks{nearest(parameter, read)}")


def _bounds(bounds: Any, spec: Spec) -> tuple[float, float]:
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise ValueError(f"bounds={bounds!r}, needs where to begin and where to end: bounds=(0, 1).")
    first, last = (in_unit(b, spec.unit, "bounds") for b in bounds)
    if first == last:
        raise ValueError(f"bounds={bounds!r} are equal, needs two different values.")
    return first, last


def _refuse_twice(parameter: str, params: xr.Dataset, inputs: Mapping[str, Any] | None, derive: Derive | None) -> None:
    if not isinstance(params, xr.Dataset):
        raise TypeError(f"params is a {type(params).__name__}, needs a Dataset: xr.Dataset({{'a': ('a', values)}}).")
    twice = parameter in params.variables or (parameter.removeprefix(f"{INPUTS}.") in (inputs or {}) and parameter.startswith(INPUTS))
    if twice or parameter in (derive or {}):
        raise ValueError(f"{parameter} is given and looked for. Take it out of params, inputs and derive.")
    both = sorted(set(derive or {}) & set(map(str, params.variables)))
    if both:
        raise ValueError(f"{both} are given in params and in derive. Give each once.")
    for name, function in (derive or {}).items():
        if not callable(function):
            raise TypeError(f"derive[{name!r}] is a {type(function).__name__}, needs a function of the parameter Dataset.")


def _with(params: xr.Dataset, parameter: str, value: float, derive: Derive | None) -> xr.Dataset:
    """The parameters with the critical one at a value, and what follows from them."""
    full = params if parameter.startswith(f"{INPUTS}.") else params.assign({parameter: xr.DataArray(value)})
    seen = params.assign({parameter: xr.DataArray(value)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both sides of the critical value are tried on purpose
        return full.assign({name: function(seen) for name, function in (derive or {}).items()})


def _driven(inputs: Mapping[str, Any] | None, parameter: str, value: float) -> dict[str, Any] | None:
    name = parameter.removeprefix(f"{INPUTS}.")
    return {**(inputs or {}), name: value} if name != parameter else dict(inputs) if inputs else None


def _field(place: _Place, params: xr.Dataset, parameter: str, derive: Derive) -> Field:
    """Rates and Jacobian of one system as functions of the parameter and the state."""
    known = place.systems.point(place.system)
    here = params.isel({d: place.position.get(str(d), 0) for d in params.dims if d != REGION})
    specs, index = place.resolved.specs, np.zeros(1, np.int64)

    @functools.lru_cache(maxsize=4)
    def at(value: float) -> Systems:
        followed = _with(here, parameter, value, derive)
        numbers = {name: place.numbers(followed[name], specs[name]) for name in derive}
        return place.systems.at({**known, parameter: np.full((1, 1), value), **numbers})

    def field(value: float, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        f, j = at(value).both(x[None], index)
        return f[0], j[0]

    return field


def _chosen(points: Points, place: _Place, near: Mapping[str, Any] | None) -> tuple[np.ndarray, np.ndarray] | None:
    """The fixed point that is followed, with the scale of its unknowns."""
    own = np.flatnonzero(points.system == place.system)
    if not len(own):
        return None
    eq = place.systems.equations
    states, regions = eq.states, eq.regions
    if near:
        units = {s.name: s.unit for s in place.systems.equations.model.states}
        unknown = [n for n in near if n not in states]
        if unknown:
            raise KeyError(f"near has {unknown[0]!r}, which is no state{nearest(unknown[0], states)}")
        wanted = {n: place.numbers(v, Spec(f"near[{n!r}]", v, units[n], ""))[:, 0] for n, v in near.items()}
    else:
        wanted = {n: v[place.system if len(v) > 1 else 0] for n, v in place.systems.start.items()}
        stable = np.linalg.eigvals(points.jacobian[own]).real.max(axis=1) < 0
        own = own[stable] if stable.any() else own
    gaps = np.abs(eq.unpacked(points.x[own]) - np.stack([_or_nan(wanted, n, regions) for n in states]))
    size = eq.unpacked(points.scale[own])
    best = own[np.argmin(np.nanmax(gaps / size, axis=(1, 2)))]
    return points.x[best], points.scale[best]


def _or_nan(wanted: dict[str, np.ndarray], name: str, regions: int) -> np.ndarray:
    return np.broadcast_to(wanted.get(name, np.full(1, np.nan)), (regions,))


def _report(found: list[Crossing | Ended | None], spec: Spec, bounds: tuple[float, float], systems: Systems) -> None:
    """An error where nothing crosses at all, a warning that names the points where it does not."""
    lacking = [i for i, c in enumerate(found) if not isinstance(c, Crossing)]
    if not lacking:
        return
    said = _said(found[lacking[0]], spec, bounds, systems.equations.states[0])
    if len(lacking) == len(found):
        raise ValueError(said)
    sizes = systems.sizes
    places = [dict(zip(sizes, (int(k) for k in np.unravel_index(i, tuple(sizes.values()))))) for i in lacking[:5]]
    warnings.warn(f"no critical {spec.path} at {len(lacking)} of {len(found)} points (by position: {places}): {said}", stacklevel=3)


def _said(result: Crossing | Ended | None, spec: Spec, bounds: tuple[float, float], state: str) -> str:
    if not isinstance(result, Ended):
        return f"there is no fixed point at {spec.path}={bounds[0]:g}. Begin elsewhere, or look with search={{{state!r}: (low, high)}}."
    first, last = result.first, result.last
    return (
        f"the leading eigenvalue of the fixed point goes from {first.lead:.4g} per ms at {spec.path}={first.value:g} to {last.lead:.4g} at "
        f"{last.value:g}, where the point {result.reason}. Take other bounds=, or another fixed point with near={{{state!r}: ...}}."
    )


def _labelled(sim: Simulator, resolved: Resolved, systems: Systems, spec: Spec, found: list[Crossing | Ended | None]) -> xr.Dataset:
    eq, shape, dims = systems.equations, tuple(systems.sizes.values()), tuple(systems.sizes)
    crossed = [c if isinstance(c, Crossing) else None for c in found]
    value = np.array([c.value if c else math.nan for c in crossed]).reshape(shape)
    hertz = np.array([c.frequency * 1000.0 / (2.0 * math.pi) if c else math.nan for c in crossed]).reshape(shape)
    kind = np.array([c.kind if c else "" for c in crossed], dtype=object).reshape(shape)
    data = {
        spec.path: xr.DataArray(value, dims=dims, attrs={UNITS: spec.unit, LONG_NAME: f"critical {spec.path}"}),
        FREQUENCY: xr.DataArray(hertz, dims=dims, attrs={UNITS: "Hz", LONG_NAME: "frequency of the modes that cross"}),
        KIND: xr.DataArray(kind, dims=dims, attrs={LONG_NAME: "kind of the crossing"}),
    }
    x = eq.unpacked(np.stack([c.x if c else np.full(eq.size, math.nan) for c in crossed])).reshape(*shape, len(eq.states), eq.regions)
    for i, name in enumerate(eq.states):
        own = x[..., i, 0] if systems.bank else x[..., i, :]
        data[name] = xr.DataArray(own, dims=dims if systems.bank else (*dims, REGION), attrs=state_attrs(sim, name))
    return with_dims(xr.Dataset(data), resolved, (REGION,))
