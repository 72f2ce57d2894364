"""Fixed points of a system without noise, and their stability, at every point of a parameter Dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xmass.analysis.newton import damped_newton, distinct, polished
from xmass.analysis.rates import Systems, kept_coords, resolved_point, system_of, systems_of
from xmass.labelled.parameters import node_of, unit_of
from xmass.labelled.provenance import VERSIONS, Encoder, canonical_json, versions
from xmass.labelled.resolve import Resolved
from xmass.labelled.schema import CONVENTIONS, LONG_NAME, REGION, UNITS
from xmass.labelled.suggest import nearest
from xmass.labelled.units import in_unit
from xmass.simulator import Simulator

FIXED_POINT = "fixed_point"
MODE = "mode"
EIGENVALUES = "eigenvalues"
STABLE = "stable"
_NODE_STARTS, _NETWORK_STARTS, _FEWEST, _IN_ALL = 512, 128, 64, 32768
_KICKS = 8
_LARGE = 1e8
_LINE = 8

Search = Mapping[str, tuple[Any, Any]]


class Points(NamedTuple):
    """Fixed points of all systems: of each its number, vector, Jacobian and the scale of its unknowns, ordered by system."""

    system: np.ndarray
    x: np.ndarray
    jacobian: np.ndarray
    scale: np.ndarray


def fixed_points(
    sim: Simulator,
    params: xr.Dataset | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    search: Search | None = None,
    starts: int | None = None,
) -> xr.Dataset:
    """Fixed points of the system without noise, stable and unstable, with the eigenvalues of the equations there.

    Newton's method from many starts, in float64: a low-discrepancy set around what short runs pass through, wide enough for
    several scales, in the declared bounds of a state where it has them. Each point found solves the equations to the rounding
    of their terms. For one region this finds all branches that one meets in practice; a network of N bistable regions has up to
    3^N fixed points, of which those near to uniform states and those that runs reach are found.

    Parameters
    ----------
    sim : Simulator
        A node, a bank of uncoupled nodes or a network. Noise is off, ``seed`` and delays change nothing.
    params : Dataset, optional
        As in :meth:`Simulator.run`; every dim is one of the result.
    inputs : mapping of str to float, Quantity or DataArray, optional
        Constant inputs.
    search : mapping of str to (low, high), optional
        Where to look, by state: starts are drawn there, and points outside are left out.
    starts : int, optional
        Number of starts per point; 512 for one region (in a sweep of more than 64 points fewer, at least 64, as neighbours try
        each other's points), 128 for a network.

    Returns
    -------
    Dataset
        Each state ``(..., fixed_point, region)``; ``eigenvalues`` ``(..., fixed_point, mode)`` [1/ms], complex, the largest real part
        first, of the Jacobian of the system without delays; ``stable`` ``(..., fixed_point)``, whether all real parts are
        negative. Fixed points are sorted by the mean of the first state over regions, then of the next; where there are fewer
        than elsewhere the states are NaN and ``stable`` is False. In a bank each region is a system of its own:
        ``eigenvalues`` and ``stable`` have ``region`` too. Delays change no fixed point but they do change eigenvalues.
        Points outside of declared bounds are left out, unless the Simulator has ``bounds=False``.

    Raises
    ------
    ValueError
        If no point has a fixed point, if they lie dense on a line, for inputs that vary in time, or as :meth:`Simulator.run`.
    KeyError
        If ``search`` names no state.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.WilsonCowanStep(), dt=0.1)
    >>> found = xm.fixed_points(sim)
    >>> found.rE.isel(region=0).round(4).values.tolist(), found.stable.values.tolist()
    ([0.0, 0.178, 0.4625], [True, False, True])
    >>> dict(xm.fixed_points(sim, xr.Dataset({"w_ee": ("w_ee", [8.0, 12.0])})).rE.sizes)
    {'w_ee': 2, 'fixed_point': 3, 'region': 1}
    """
    resolved = resolved_point(sim, params, inputs)
    systems = systems_of(sim, resolved)
    box = search_box(sim, search)
    count = start_count(systems, starts)
    points = find(systems, box, count)
    if not len(points.system):
        raise ValueError(_nothing(sim, systems, box, count))
    record = {"system": sim.system, "parameters": params, "inputs": inputs, "search": search, "starts": count}
    attrs = {
        "Conventions": CONVENTIONS,
        "fixed_points": canonical_json(Encoder().encode(record)),
        "method": "damped Newton from many starts; eigenvalues of the system without delays and noise",
        VERSIONS: json.dumps(versions()),
    }
    return _labelled(sim, resolved, systems, points).assign_attrs(attrs)


def start_count(systems: Systems, starts: int | None) -> int:
    """Starts per system: as given, else fewer where there are many systems."""
    if starts is None:
        most = _NODE_STARTS if systems.equations.regions == 1 else _NETWORK_STARTS
        return max(min(most, _IN_ALL // systems.count), _FEWEST)
    if isinstance(starts, bool) or not isinstance(starts, int | np.integer) or starts < 1:
        raise ValueError(f"starts={starts!r}, needs a positive whole number.")
    return int(starts)


def search_box(sim: Simulator, search: Search | None) -> dict[str, tuple[float, float]]:
    """The ranges that are given, by state, in its unit."""
    model = node_of(system_of(sim))
    names = [s.name for s in model.states]
    box = {}
    for name, given in (search or {}).items():
        if name not in names:
            raise KeyError(f"search has {name!r}, which is no state of {type(model).__name__}{nearest(name, names)}")
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ValueError(f"search[{name!r}]={given!r}, needs the lowest and the highest value: search={{{name!r}: (-2, 2)}}.")
        low, high = (in_unit(v, unit_of(model, name), f"search[{name!r}]") for v in given)
        if not low < high:
            raise ValueError(f"search[{name!r}] goes from {low:g} to {high:g}, needs the lower value first.")
        box[name] = (low, high)
    return box


def find(systems: Systems, box: dict[str, tuple[float, float]], count: int) -> Points:
    """Fixed points of all systems."""
    x, index, scale = _starts(systems, box, count)
    points = _roots(systems, x, index, scale[index], box)
    if len(points.system):
        more, at = _further(systems, points)
        points = _roots(systems, np.concatenate([points.x, more]), (own := np.concatenate([points.system, at])), scale[own], box)
    _refuse_lines(systems, points)
    return points


def _roots(systems: Systems, x: np.ndarray, index: np.ndarray, scale: np.ndarray, box: dict[str, tuple[float, float]]) -> Points:
    """Distinct roots from some starts, in bounds and box, ordered by system and then by the means of the states."""
    roots = damped_newton(systems.both, systems.value, x, index, scale)
    low, high = limits(systems, box)
    slack = 1e-9 * (scale + np.abs(roots))
    good = np.isfinite(roots).all(axis=1) & (roots >= low - slack).all(axis=1) & (roots <= high + slack).all(axis=1)
    roots, index, scale = roots[good], index[good], scale[good]
    if not len(roots):
        return Points(index, roots, np.zeros((0, systems.equations.size, systems.equations.size)), scale)
    firsts = [own[distinct(roots[own], scale[own[0]])] for own in _by_system(index)]
    kept = np.concatenate(firsts)
    x, jacobian, solved = polished(systems.both, roots[kept], index[kept], scale[kept])
    x, jacobian, index, scale = x[solved], jacobian[solved], index[kept][solved], scale[kept][solved]
    means = np.nanmean(systems.equations.unpacked(np.round(x / scale, 8) * scale), axis=2)
    order = np.lexsort((*means.T[::-1], index))
    return Points(index[order], x[order], jacobian[order], scale[order])


def _further(systems: Systems, points: Points) -> tuple[np.ndarray, np.ndarray]:
    """More starts from what was found: where runs go from beside unstable points, and the points of the neighbours in a sweep."""
    modes, vectors = np.linalg.eig(points.jacobian)
    lead = np.argmax(modes.real, axis=1)
    unstable = np.flatnonzero(np.take_along_axis(modes.real, lead[:, None], axis=1)[:, 0] > 0)
    away = np.take_along_axis(vectors, lead[:, None, None], axis=2)[unstable, :, 0].real
    kick = 0.1 * away / np.maximum(np.abs(away / points.scale[unstable]).max(axis=1, initial=0.0, keepdims=True), 1e-300)
    starts, at = [np.zeros((0, points.x.shape[1]))], [np.zeros(0, np.int64)]
    for sign in (1.0, -1.0) if len(unstable) else ():
        with np.errstate(all="ignore"):
            starts.append(systems.ranges(points.x[unstable] + sign * kick, points.system[unstable])[0])
        at.append(points.system[unstable])
    for step in (-1, 1):
        moved = points.system + step
        inside = (moved >= 0) & (moved < systems.count)
        starts.append(points.x[inside])
        at.append(moved[inside])
    return np.concatenate(starts), np.concatenate(at)


def _by_system(index: np.ndarray) -> list[np.ndarray]:
    """Positions of each system that occurs."""
    order = np.argsort(index, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(index[order])) + 1) if len(order) else []


def limits(systems: Systems, box: dict[str, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value of each unknown, from the declared bounds and the given ranges."""
    eq = systems.equations
    low, high = eq.unpacked(systems.lower), eq.unpacked(systems.upper)
    for i, name in enumerate(eq.states):
        if name in box:
            low[i], high[i] = np.maximum(low[i], box[name][0]), np.minimum(high[i], box[name][1])
    return eq.packed(low), eq.packed(high)


def _starts(systems: Systems, box: dict[str, tuple[float, float]], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts ``(n, size)``, their systems, and the scale of each unknown ``(systems, size)``."""
    eq, total = systems.equations, systems.count
    states, regions = len(eq.states), eq.regions
    low, high = limits(systems, box)
    middle = np.stack([np.broadcast_to(systems.start[s], (total, regions)) for s in eq.states], axis=1)
    kick = np.array([systems.spread[s] or 0.1 for s in eq.states])[:, None] + 0.1 * np.abs(middle)
    z = 2.0 * _sobol(_KICKS, states) - 1.0
    around = eq.packed(np.concatenate([middle[:, None], middle[:, None] + kick[:, None] * z[:, :, None]], axis=1)).reshape(-1, eq.size)
    index = np.repeat(np.arange(total), _KICKS + 1)
    with np.errstate(all="ignore"):
        end, least, most = systems.ranges(np.clip(around, low, high), index)
        calm = np.isfinite(end).all(axis=1) & (np.maximum(np.abs(least), np.abs(most)) < _LARGE).all(axis=1)
    end, least, most = (np.where(calm[:, None], v, around) for v in (end, least, most))
    least, most = (eq.unpacked(v).reshape(total, _KICKS + 1, states, regions) for v in (least, most))
    bottom, top = np.nanmin(least, axis=(1, 3))[:, None, :, None], np.nanmax(most, axis=(1, 3))[:, None, :, None]
    centre, half = 0.5 * (bottom + top), np.maximum(0.5 * (top - bottom) + 0.1 * np.abs(0.5 * (bottom + top)), 0.5)
    # a draw of the Cauchy distribution: half of the starts are within the range of the runs, one in a hundred is 60 times as far
    uniform = np.repeat(_sobol(count, states), regions, axis=1).reshape(count, states, regions)
    drawn = centre + half * np.tan(np.pi * (np.clip(uniform, 1e-3, 1.0 - 1e-3) - 0.5))
    if regions > 1:  # every other start differs between regions
        uniform[1::2] = _sobol(count // 2, states * regions).reshape(-1, states, regions)
        drawn[:, 1::2] = centre + 3.0 * half * (2.0 * uniform[1::2] - 1.0)
    drawn = _held(eq.packed(drawn), eq.packed(uniform), low, high)
    x = np.concatenate([end.reshape(total, _KICKS + 1, -1), around.reshape(total, _KICKS + 1, -1), drawn], axis=1)
    scale = eq.packed(np.broadcast_to(half[:, 0], (total, states, regions)))
    return x.reshape(-1, eq.size), np.repeat(np.arange(total), x.shape[1]), scale


def _held(drawn: np.ndarray, uniform: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Starts within the limits: drawn uniformly where there are two, mirrored where there is one."""
    below, above = np.isfinite(low), np.isfinite(high)
    bottom, top = np.where(below, low, 0.0), np.where(above, high, 0.0)
    drawn = np.where(below & above, bottom + uniform * (top - bottom), drawn)
    drawn = np.where(below & ~above, bottom + np.abs(drawn - bottom), drawn)
    return np.where(above & ~below, top - np.abs(drawn - top), drawn)


def _sobol(count: int, dims: int) -> np.ndarray:
    """``count`` points of a low-discrepancy set in the unit cube, the same in every call."""
    from scipy.stats import qmc

    power = max(int(np.ceil(np.log2(max(count, 1)))), 0)
    return qmc.Sobol(dims, scramble=True, rng=0).random_base2(power)[:count]


def _refuse_lines(systems: Systems, points: Points) -> None:
    """Many points with a singular Jacobian: the fixed points fill a line, as with a phase that may be shifted."""
    for own in _by_system(points.system):
        if len(own) > _LINE:
            scaled = points.jacobian[own] * points.scale[own][:, None, :]
            values = np.linalg.svd(scaled, compute_uv=False)
            singular = values[:, -1] <= 1e-9 * np.maximum(values[:, 0], np.finfo(float).tiny)
            if singular.mean() > 0.5:
                raise ValueError(
                    f"{type(systems.equations.model).__name__} has fixed points along a line or surface, where nothing holds a state: "
                    f"{len(own)} were found, {int(singular.sum())} of them with a singular Jacobian. A phase, or a rate of zero, has none "
                    "that stands alone."
                )


def _nothing(sim: Simulator, systems: Systems, box: dict[str, tuple[float, float]], count: int) -> str:
    looked = ", ".join(f"{n} from {lo:g} to {hi:g}" for n, (lo, hi) in box.items()) or "around what short runs pass through"
    return (
        f"no fixed point of {type(node_of(system_of(sim))).__name__} was found from {count} starts at each of {systems.count} points "
        f"({looked}): with these parameters the states drift without rest, or the rest is far away. Say where to look: "
        f"search={{{systems.equations.states[0]!r}: (low, high)}}, or change params and inputs."
    )


def eigenvalues(jacobian: np.ndarray) -> np.ndarray:
    """Eigenvalues of many matrices, the largest real part first; of a pair the positive frequency first."""
    found = np.linalg.eigvals(jacobian).astype(np.complex128)
    order = np.lexsort((-found.imag, -np.round(found.real, 14)), axis=-1)
    return np.take_along_axis(found, order, axis=-1)


def _labelled(sim: Simulator, resolved: Resolved, systems: Systems, points: Points) -> xr.Dataset:
    """Padded to the largest number of fixed points, with the dims of the parameters."""
    eq, total = systems.equations, systems.count
    rank = np.arange(len(points.system)) - np.searchsorted(points.system, points.system)
    most = int(rank.max()) + 1
    states = np.full((total, most, len(eq.states), eq.regions), np.nan)
    states[points.system, rank] = eq.unpacked(points.x)
    modes = np.full((total, most, eq.size), complex(np.nan, np.nan))
    modes[points.system, rank] = eigenvalues(points.jacobian)
    stable = np.zeros((total, most), bool)
    stable[points.system, rank] = modes[points.system, rank, 0].real < 0
    shape, dims = tuple(systems.sizes.values()), tuple(systems.sizes)
    own = [] if systems.bank else [REGION]
    found = {}
    for i, name in enumerate(eq.states):
        data = states[:, :, i].reshape(*shape, most, *([eq.regions] if own else []))
        found[name] = xr.DataArray(data, dims=(*dims, FIXED_POINT, *own), attrs=state_attrs(sim, name))
    found[EIGENVALUES] = xr.DataArray(
        modes.reshape(*shape, most, eq.size),
        dims=(*dims, FIXED_POINT, MODE),
        attrs={UNITS: "1/ms", LONG_NAME: "eigenvalues of the Jacobian, without delays"},
    )
    found[STABLE] = xr.DataArray(stable.reshape(*shape, most), dims=(*dims, FIXED_POINT), attrs={LONG_NAME: "all eigenvalues decay"})
    ds = with_dims(xr.Dataset(found), resolved, (FIXED_POINT, REGION, MODE))
    return ds.assign_coords({FIXED_POINT: np.arange(most), MODE: np.arange(eq.size)})


def state_attrs(sim: Simulator, name: str) -> dict[str, str]:
    """Unit and meaning of a state."""
    state = next(s for s in node_of(system_of(sim)).states if s.name == name)
    return {UNITS: state.unit, **({LONG_NAME: state.meaning} if state.meaning else {})}


def with_dims(ds: xr.Dataset, resolved: Resolved, last: tuple[str, ...]) -> xr.Dataset:
    """``ds`` with every run dim, also those that no equation reads, in the order of a result, and its coordinates."""
    missing = {d: n for d, n in resolved.sizes.items() if d not in ds.dims}
    ds = ds.expand_dims(missing).transpose(*resolved.sizes, *last, missing_dims="ignore")
    return ds.assign_coords(kept_coords(resolved, {*resolved.sizes, REGION}))
