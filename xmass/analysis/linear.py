"""The linear twin of a noisy network: what its fluctuations around rest are, without simulating them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xmass.analysis.linear_bold import balloon
from xmass.analysis.linear_covariance import Observed, covariances, cross_spectra
from xmass.analysis.linear_points import DelayRule, Points, twin_points
from xmass.analysis.linear_roots import rightmost
from xmass.analysis.rates import system_of
from xmass.analysis.stability import with_dims
from xmass.core.model import Mixed, NeuralMass, declared_parameters, noise_fields
from xmass.labelled.network import Network
from xmass.labelled.parameters import node_of, unit_of
from xmass.labelled.progress import Bar
from xmass.labelled.provenance import VERSIONS, Encoder, canonical_json, versions
from xmass.labelled.resolve import Request, Resolved, resolve
from xmass.labelled.schema import CONVENTIONS, LONG_NAME, REGION, REGION_OTHER, UNITS
from xmass.labelled.suggest import nearest
from xmass.labelled.unit_bridge import canonical
from xmass.labelled.units import milliseconds, to_declared
from xmass.observations.bold import BOLDSignal
from xmass.simulator import Simulator

FREQUENCY = "frequency"
STATE, STATE_OTHER = "state", "state_other"
LEADING, STABLE = "leading", "stable"
NEAR_CRITICAL = 1e-3
"""A leading root with a smaller real part, relative to the largest rate of the equations, is near to an instability."""


class _Point(NamedTuple):
    """What is found at one point, by variable; NaN where there is no stable fixed point."""

    found: dict[str, np.ndarray]
    leading: complex
    shown: bool
    critical: bool
    error: float
    reached: bool
    method: str


def linear_twin(
    sim: Simulator,
    params: xr.Dataset | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    of: str | Iterable[str] | None = None,
    bold: BOLDSignal | None = None,
    frequencies: Any = None,
    pairs: Iterable[tuple[str, str]] | None = None,
    near: Mapping[str, Any] | None = None,
    delays: DelayRule = "exact",
    tolerance: float = 1e-4,
    progress: bool | None = None,
) -> xr.Dataset:
    r"""Covariance, functional connectivity and cross-spectra of a noisy network around a fixed point, without simulating it.

    The equations are linearised at a stable fixed point, delays kept: :math:`\dot x = A_0 x(t) + \sum A_{ij}\,x_j(t - \tau_{ij}) +
    B\,\xi(t)`. With :math:`H(\omega) = (i\omega - A(\omega))^{-1}B`, where a delay is exactly :math:`e^{-i\omega\tau}`, the spectral
    density is :math:`H D H^\dagger` and the covariance its integral. This holds for weak noise, away from instabilities;
    :func:`twin_check` compares with a simulation.

    Parameters
    ----------
    sim : Simulator
        A node, a bank of uncoupled nodes, or a network of one model, with noise in the model.
    params : Dataset, optional
        As in :meth:`Simulator.run`; every dim is one of the result. Initial values choose the fixed point.
    inputs : mapping of str to float, Quantity or DataArray, optional
        Constant inputs.
    of : str or iterable of str, optional
        States and outputs that are read; all by default.
    bold : BOLDSignal, optional
        Adds the BOLD signal of a state or output, by the Balloon model linearised at the fixed point. Its parameters may be in ``params``.
    frequencies : array, Quantity or DataArray, optional
        Where cross-spectra are wanted [Hz].
    pairs : iterable of (str, str), optional
        Two different states or outputs of ``of``, or ``bold``'s name, whose covariance, correlation and cross-spectrum are wanted too.
    near : mapping of str to float, Quantity or DataArray, optional
        States near the fixed point that is wanted. By default where a run would start.
    delays : {"exact", "simulator"}
        ``distance / speed`` as it is, or in the steps of ``dt`` that a run takes for it (``Network(delays=)``).
    tolerance : float
        Largest error of an integral over frequency, relative to the largest variance.
    progress : bool, optional
        A bar that counts points: after a few seconds by default.

    Returns
    -------
    Dataset
        Over the dims of ``params``: the fixed point of each state and output by its name ``(region)``; ``covariance.<name>`` and
        ``fc.<name>`` ``(region, region_other)``; ``spectrum.<name>(frequency, region, region_other)``, one-sided, per Hz, the mean of
        :math:`X_i X_j^*`, so that its phase is positive where ``region`` leads; the same of ``bold``. For a pair ``covariance.<a>.<b>``,
        ``fc.<a>.<b>`` and ``spectrum.<a>.<b>``: of ``a`` in ``region`` with ``b`` in ``region_other``.
        ``leading`` [1/ms], the rightmost root of the characteristic equation with delays, and ``stable``.
        ``jacobian(region, state, state_other)`` per ms, that of a region by itself, what couplings take from it included;
        ``gain.<coupling>(region, region_other)``, the derivative of the current by what the other region sends; and
        ``delay.<coupling>`` [ms] where there are delays.

    Raises
    ------
    ValueError
        If no point has a stable fixed point; without noise, with noise whose size depends on the state or that does not stay; for inputs
        or weights that vary in time.
    TypeError
        For a network of several models.
    KeyError
        For a state or output that the model lacks, or a pair of one that is not read.

    Warns
    -----
    UserWarning
        Where some points of a sweep have no stable fixed point (NaN there), and where the leading root is within a thousandth of the
        largest rate of instability.

    Notes
    -----
    The fixed point is the stable one nearest to the start among those to which Newton's method leads from the start and from where the
    system without noise and delays goes from there; if none of them is stable, among those that :func:`fixed_points` finds. Without
    delays and with white or Ornstein-Uhlenbeck noise the covariance solves a Lyapunov equation. Otherwise it is integrated with an
    adaptive Gauss-Kronrod rule. Noise that is drawn for each step has the spectrum of numbers held over ``dt``; white noise is that
    of continuous time.

    With delays the roots come from the generator of the delay equation on Chebyshev points, and Newton's method. That none is right
    of the imaginary axis is shown by counting them with the argument principle; a second count shows that ``leading`` is the
    rightmost.

    References
    ----------
    Deco et al. (2013), doi:10.1523/JNEUROSCI.1091-13.2013. Gardiner (2009), Stochastic methods, section 4.5.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome")
    >>> node = xm.HopfStep(a=-0.05, w=0.3, noise_x=xm.WhiteNoise(sigma=0.01), noise_y=xm.WhiteNoise(sigma=0.01))
    >>> net = xm.Network(node, sc, speed=10.0, coupling=xm.DiffusiveCoupling(k=0.1, source="x", target="x"))
    >>> twin = xm.linear_twin(xm.Simulator(net, dt=0.1), xr.Dataset({"coupling.k": ("k", [0.0, 0.1])}), of="x")
    >>> twin["fc.x"].dims, bool(twin.stable.all())
    (('k', 'region', 'region_other'), True)
    """
    system = system_of(sim)
    model = node_of(system)
    _check(model, system, bold, delays, tolerance)
    names, hertz = _names(model, of), _frequencies(frequencies)
    several = _pairs(pairs, names, bold)
    duration = sim.dt if bold is None else milliseconds(bold.tr, "tr")
    monitors = None if bold is None else {bold.name: bold}
    resolved = resolve(sim.config, Request(duration, params, monitors=monitors, inputs=inputs))
    _check_dims(resolved, names, bold)
    points = twin_points(sim, resolved, near, delays)
    found = []
    with Bar(points.count, "linear twin", progress) as bar:
        for run in range(points.count):
            found.append(_at(points, run, names, several, bold, hertz, tolerance))
            bar.add(1)
    _report(found, points, tolerance)
    record = {
        "system": system,
        "parameters": params,
        "inputs": inputs,
        "near": near,
        "delays": delays,
        "tolerance": tolerance,
        "pairs": several,
    }
    attrs = {
        "Conventions": CONVENTIONS,
        "linear_twin": canonical_json(Encoder().encode(record)),
        "method": ", ".join(dict.fromkeys(p.method for p in found if p.method)),
        "delays": delays,
        VERSIONS: json.dumps(versions()),
    }
    return _labelled(sim, points, found, names, bold, hertz).assign_attrs(attrs)


def _check(model: NeuralMass, system: Any, bold: Any, delays: Any, tolerance: Any) -> None:
    if isinstance(model, Mixed):
        raise TypeError("sim is a network of several models; the linear twin is of one model. Give every region the same, or simulate.")
    if not noise_fields(model):
        fields = [n for n in vars(type(model)).get("__annotations__", {}) if n.startswith("noise_")]
        raise ValueError(
            f"{type(model).__name__} has no noise, so that nothing fluctuates. Give it some: {fields[0] if fields else 'noise_x'}="
            "xm.WhiteNoise(sigma=0.01)."
        )
    if bold is not None and not isinstance(bold, BOLDSignal):
        raise TypeError(f"bold is a {type(bold).__name__}, needs xm.BOLDSignal(of='S_e', tr=720.0).")
    if bold is not None and (not isinstance(bold.of, str)):
        raise TypeError(f"bold reads {bold.of!r}, needs the name of a state or output: of={model.states[0].name!r}.")
    if delays not in ("exact", "simulator"):
        raise ValueError(f"delays={delays!r}, needs 'exact' or 'simulator'.")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.floating) or not 1e-12 <= tolerance < 1:
        raise ValueError(f"tolerance={tolerance!r}, needs a number from 1e-12 to 1.")


def _names(model: NeuralMass, of: str | Iterable[str] | None) -> tuple[str, ...]:
    known = [s.name for s in model.states] + [o.name for o in model.outputs]
    names = known if of is None else [of] if isinstance(of, str) else list(of)
    for name in names:
        if name not in known:
            raise KeyError(f"of has {name!r}, which is no state or output of {type(model).__name__}{nearest(str(name), known)}")
    return tuple(dict.fromkeys(names))


def _pairs(pairs: Any, names: tuple[str, ...], bold: BOLDSignal | None) -> tuple[tuple[str, str], ...]:
    """Pairs of different names that are observed."""
    known = [*names, *([] if bold is None else [bold.name])]
    found: list[tuple[str, str]] = []
    for pair in () if pairs is None else pairs:
        if isinstance(pair, str) or not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"pairs has {pair!r}, needs pairs of names: pairs=[({known[0]!r}, {known[-1]!r})].")
        for name in pair:
            if name not in known:
                raise KeyError(f"pairs has {name!r}, which is not among of= or bold={nearest(str(name), known)}")
        if pair[0] == pair[1]:
            raise ValueError(f"pairs has {pair!r}, needs two different names: that of one is covariance.{pair[0]} already.")
        found.append((pair[0], pair[1]))
    return tuple(dict.fromkeys(found))


def _frequencies(frequencies: Any) -> np.ndarray:
    if frequencies is None:
        return np.zeros(0)
    given = frequencies if isinstance(frequencies, xr.DataArray) or hasattr(frequencies, "unit") else np.asarray(frequencies, np.float64)
    values = np.asarray(to_declared(given, "Hz", "frequencies"), np.float64).reshape(-1)
    if not values.size or not np.isfinite(values).all() or (values < 0).any() or (np.diff(values) <= 0).any():
        raise ValueError("frequencies are empty, negative, not finite or not increasing, needs for example np.linspace(1, 50, 50) [Hz].")
    return values


def _check_dims(resolved: Resolved, names: tuple[str, ...], bold: BOLDSignal | None) -> None:
    model = node_of(resolved.config.system)
    taken = {FREQUENCY, STATE, STATE_OTHER, REGION_OTHER} & set(resolved.sizes)
    if taken:
        dim = sorted(taken)[0]
        raise ValueError(f"params has the dim {dim!r}, which the result has for itself: params.rename({dim}='point').")
    if bold is not None:
        _names(model, str(bold.of))
        if bold.name in names:
            raise ValueError(f"bold has the name {bold.name!r} of a state or output. Give it another: xm.BOLDSignal(..., name='signal').")


def _at(
    points: Points,
    run: int,
    names: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    bold: BOLDSignal | None,
    hertz: np.ndarray,
    tolerance: float,
) -> _Point:
    """Everything at one point."""
    read = names if bold is None else tuple(dict.fromkeys([*names, str(bold.of)]))
    if np.isnan(points.states(run)).any():
        return _Point({}, complex(np.nan, np.nan), True, False, 0.0, True, "")
    linear = points.linear(run, read)
    by_name = {r.name: r for r in linear.readouts}
    found = {"jacobian": linear.own()}
    found |= {n: by_name[n].value for n in names}
    for path, channel in zip(_couplings(points), linear.channels, strict=True):
        gain = channel.gain
        found[f"gain.{path}"] = gain
        if any((e.delay > 0).any() for e in channel.edges):
            parts = sum(np.abs(e.gain) * e.delay for e in channel.edges)
            found[f"delay.{path}"] = np.divide(parts, np.abs(gain), out=np.full(gain.shape, np.nan), where=gain != 0)
    for memory in linear.memories:
        found[f"past.{memory.name}"] = memory.effect
    root = rightmost(linear)
    size = float(np.abs(np.linalg.eigvals(linear.jacobian())).max())
    critical = -NEAR_CRITICAL * size < root.root.real < 0
    if not root.root.real < 0:
        return _Point(found, root.root, root.shown, False, 0.0, True, "")
    observed = tuple(Observed(n, by_name[n]) for n in names)
    if bold is not None:
        source = by_name[str(bold.of)]
        values = {d.name: points.numbers(f"{bold.name}.{d.name}", run) for d in declared_parameters(bold)}
        filtering = balloon(bold, values, source.value)
        found[bold.name] = filtering.value
        observed += (Observed(bold.name, source, filtering),)
    place = {o.name: i for i, o in enumerate(observed)}
    both = tuple((place[a], place[b]) for a, b in pairs)
    called = [*place, *(f"{a}.{b}" for a, b in pairs)]
    made = covariances(linear, observed, both, root.near, tolerance)
    sds = [np.sqrt(np.diagonal(matrix)) for matrix in made.values[: len(observed)]]
    for name, matrix, (i, j) in zip(called, made.values, (*((i, i) for i in range(len(observed))), *both), strict=True):
        found[f"covariance.{name}"] = matrix
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.clip(matrix / np.outer(sds[i], sds[j]), -1.0, 1.0)
        if i == j:
            np.fill_diagonal(correlation, np.where(sds[i] > 0, 1.0, np.nan))
        found[f"fc.{name}"] = correlation
    if len(hertz):
        found |= {f"spectrum.{name}": s for name, s in zip(called, cross_spectra(linear, observed, both, hertz), strict=True)}
    return _Point(found, root.root, root.shown, critical, made.error, made.reached, made.method)


def _couplings(points: Points) -> list[str]:
    system = points.resolved.config.system
    return list(system.couplings) if isinstance(system, Network) else []


def _report(found: list[_Point], points: Points, tolerance: float) -> None:
    """An error where no point is stable; warnings that name the points where some are not, or are nearly not."""

    def places(which: list[int]) -> str:
        return f"{len(which)} of {len(found)} points (by position: {[points.position(i) for i in which[:5]]})"

    unstable = [i for i, p in enumerate(found) if not p.leading.real < 0]
    if len(unstable) == len(found):
        worst = found[unstable[0]].leading.real
        said = "no fixed point was found" if np.isnan(worst) else f"the leading root of the fixed point is {worst:.4g} per ms"
        state = points.systems.equations.states[0]
        raise ValueError(
            f"there is no stable fixed point: {said}. The linear theory needs one: change params, or name another fixed point, "
            f"near={{{state!r}: ...}}. xm.fixed_points lists them, xm.critical says where one loses stability."
        )
    if unstable:
        warnings.warn(f"no stable fixed point at {places(unstable)}: NaN there.", stacklevel=3)
    close = [i for i, p in enumerate(found) if p.critical]
    if close:
        lead = max(found[i].leading.real for i in close)
        warnings.warn(
            f"near an instability at {places(close)}: the leading root has the real part {lead:.3g} per ms, less than {NEAR_CRITICAL:g} of "
            "the largest rate. Fluctuations are large and slow there, and the linear theory overestimates them.",
            stacklevel=3,
        )
    missed = [i for i, p in enumerate(found) if not p.reached]
    if missed:
        worst = max(found[i].error for i in missed)
        warnings.warn(
            f"the integral over frequency has an error of {worst:.2g} at {places(missed)}, tolerance={tolerance:g}.", stacklevel=3
        )
    open_ends = [i for i, p in enumerate(found) if not p.shown]
    if open_ends:
        warnings.warn(f"the leading root may not be the rightmost one at {places(open_ends)}.", stacklevel=3)


def _labelled(sim: Simulator, points: Points, found: list[_Point], names: tuple[str, ...], bold: Any, hertz: np.ndarray) -> xr.Dataset:
    """All points with the dims of the parameters, units and coordinates."""
    model, sizes = points.systems.equations.model, points.sizes
    dims, shape = tuple(sizes), tuple(sizes.values())
    leading = np.array([p.leading for p in found], np.complex128).reshape(shape)
    data = {
        LEADING: xr.DataArray(leading, dims=dims, attrs={UNITS: "1/ms", LONG_NAME: "rightmost characteristic root, with delays"}),
        STABLE: xr.DataArray(leading.real < 0, dims=dims, attrs={LONG_NAME: "the fixed point is stable, with delays"}),
    }
    for name in dict.fromkeys(n for p in found for n in p.found):
        like = next(p.found[name] for p in found if name in p.found)
        blank = np.full(like.shape, np.nan, like.dtype)
        array = np.stack([p.found.get(name, blank) for p in found]).reshape(*shape, *like.shape)
        inner, attrs = _meaning(model, name, bold)
        data[name] = xr.DataArray(array, dims=(*dims, *inner), attrs=attrs)
    order = (FREQUENCY, REGION, REGION_OTHER, STATE, STATE_OTHER)
    ds = with_dims(xr.Dataset(data), points.resolved, order)
    states = [s.name for s in model.states]
    ds = ds.assign_coords({STATE: states, STATE_OTHER: states})
    if REGION in ds.coords:
        ds = ds.assign_coords({REGION_OTHER: ds[REGION].values})
    if len(hertz):
        ds = ds.assign_coords({FREQUENCY: (FREQUENCY, hertz, {UNITS: "Hz", LONG_NAME: "frequency"})})
    return ds


def _meaning(model: NeuralMass, name: str, bold: BOLDSignal | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Dims and attributes of a variable."""
    kind, _, rest = name.partition(".")
    if name == "jacobian":
        return (REGION, STATE, STATE_OTHER), {LONG_NAME: "derivatives of the rates per ms, in units of the states"}
    if kind == "past":
        return (REGION, STATE), {LONG_NAME: f"derivatives of the rates per ms by {rest}, in units of the states"}
    matrix = (REGION, REGION_OTHER)
    if kind == "gain":
        return matrix, {LONG_NAME: f"derivative of the current of {rest} by what is sent"}
    if kind == "delay":
        return matrix, {UNITS: "ms", LONG_NAME: f"delay of {rest}"}
    if not rest:
        return (REGION,), {UNITS: _unit(model, name, bold), LONG_NAME: f"{name} at the fixed point"}
    first, _, second = rest.partition(".")
    unit, other = _unit(model, first, bold), _unit(model, second or first, bold)
    said = f"{first} and {second}" if second else first
    if kind == "covariance":
        return matrix, {UNITS: canonical(f"({unit})*({other})"), LONG_NAME: f"covariance of {said}"}
    if kind == "fc":
        return matrix, {UNITS: "1", LONG_NAME: f"correlation of {said}"}
    return (FREQUENCY, *matrix), {UNITS: canonical(f"({unit})*({other})/Hz"), LONG_NAME: f"one-sided cross-spectral density of {said}"}


def _unit(model: NeuralMass, name: str, bold: BOLDSignal | None) -> str:
    return bold.unit if bold is not None and name == bold.name else unit_of(model, name)
