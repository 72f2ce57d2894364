"""Checks of a system that happen once, when a Simulator is built."""

from __future__ import annotations

import functools
import warnings
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.coupling import Coupling
from xmass.core.integrate import _phi
from xmass.core.model import NeuralMass, State, Uniform, declared_parameters, models_of, noise_fields, per_ms, replace
from xmass.labelled.dimensions import check_dimensions
from xmass.labelled.network import Network
from xmass.labelled.noises import check_noises
from xmass.labelled.parameters import System, node_of
from xmass.labelled.tracing import trace
from xmass.labelled.units import counted, to_declared

_SHAPED = jax.ShapeDtypeStruct((3, 2), jnp.float32)  # two different numbers, to see an axis that moved


class SpuriousGrowthWarning(UserWarning):
    """Exponential Euler feeds an oscillation."""


def check_system(system: System) -> None:
    """Names, inputs and dimensions of the node model."""
    model = node_of(system)
    if isinstance(system, Network):
        for path, coupling in system.couplings.items():
            _check_coupling(path, coupling)
    for part in models_of(model):
        _check_model(part)


def _check_model(model: NeuralMass) -> None:
    _check_class(type(model))
    check_noises(model, _direct(type(model)))
    blank = {d.name: 1.0 for d in declared_parameters(model)} | {path: None for path, _, _ in noise_fields(model)}
    _check_equation(replace(model, blank))


def _direct(cls: type[NeuralMass]) -> list[str]:
    """States with a direct input: what is added to their derivative."""
    return [s.name for s in cls.states if s.name not in cls.indirect]


@functools.lru_cache(maxsize=256)
def _check_class(cls: type[NeuralMass]) -> None:
    """Declared names are complete and different."""
    name = cls.__name__
    if not cls.states:
        raise ValueError(f"{name} declares no states: add states: ClassVar = (State('x', 0.0, '1', 'meaning'),).")
    if cls.drift is NeuralMass.drift and not cls.scheme:
        raise TypeError(f"{name} does not define its equation: add def drift(self, s, u), which returns the derivative of each state.")
    inputs = {i.name for i in cls.inputs}
    if unknown := [n for n in cls.indirect if n not in {s.name for s in cls.states}]:
        raise ValueError(f"{name} has indirect={cls.indirect!r}, needs names of its states; {unknown[0]!r} is none.")
    lacking = [n for n in _direct(cls) if n not in inputs]
    if lacking:
        raise ValueError(
            f"{name} has no direct input for the states {lacking}: add Input('{lacking[0]}', '.../ms') and add it to the derivative."
        )
    lacking = [o.name for o in cls.outputs if not callable(getattr(cls, o.name, None))]
    if lacking:
        raise ValueError(f"{name} declares the output {lacking[0]!r} without a method: add def {lacking[0]}(self, s, u).")
    if cls.time_unit not in ("ms", "s"):
        raise ValueError(f"{name} has time_unit={cls.time_unit!r}, needs 'ms' or 's'.")
    if bool(cls.scheme) != (cls.step is not NeuralMass.step):
        raise TypeError(f"{name} needs both or neither of a scheme, its name, and def step(self, s, u, w, dt).")
    delays = {d.name for d in declared_parameters(cls) if d.unit == "ms"}
    for p in cls.past:
        if p.state not in {s.name for s in cls.states} or p.delay not in delays or cls.scheme:
            raise ValueError(
                f"{name} reads {p.name!r}, {p.state!r} as it was {p.delay!r} ago: needs a state and a parameter in ms, and no scheme of "
                "its own."
            )
    names = [s.name for s in cls.states] + [o.name for o in cls.outputs] + [d.name for d in declared_parameters(cls)]
    names += [p.name for p in cls.past]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"{name} uses the names {twice} twice; states, outputs and parameters need different names.")


def _check_coupling(path: str, coupling: Coupling) -> None:
    """``pre`` and ``post`` are there and keep the shape (region, run)."""
    name = type(coupling).__name__
    if type(coupling).post is Coupling.post:
        raise TypeError(f"{path} is a {name}, which does not define what a region receives: add def post(self, total, own, strength).")
    numbers = {d.name: _SHAPED for d in declared_parameters(type(coupling))}
    signals: dict[str, Any] = dict.fromkeys(("total", "own", "strength"), _SHAPED)

    def pre(p: dict[str, Any], s: dict[str, Any]) -> Any:
        return replace(coupling, p).pre(s["own"])

    def post(p: dict[str, Any], s: dict[str, Any]) -> Any:
        return replace(coupling, p).post(s["total"], s["own"], s["strength"])

    sent = trace(pre, numbers, signals, where=f"{name}.pre")
    if sent == ():
        raise ValueError(f"{name}.pre returns an empty tuple, needs a signal, or a tuple of several.")
    for signal in sent if isinstance(sent, tuple) else (sent,):
        _check_shape(signal, f"{name}.pre returns")
    if isinstance(sent, tuple):
        signals["total"] = (_SHAPED,) * len(sent)
    _check_shape(trace(post, numbers, signals, where=f"{name}.post"), f"{name}.post returns")


def _check_shape(made: Any, what: str) -> None:
    """A number, or an array ``(region, run)``: anything else has mixed runs or regions."""
    if isinstance(made, int | float) and not isinstance(made, bool):
        return
    shape = getattr(made, "shape", None)
    if shape is None:
        raise TypeError(f"{what} a {type(made).__name__}, needs an array of the shape of the states.")
    if shape != _SHAPED.shape:
        raise ValueError(
            f"{what} shape {shape} for states of shape {_SHAPED.shape} (region, run), needs the same shape: an equation is evaluated "
            "for every region and run by itself, without sums, stacks or indices over them."
        )


@functools.lru_cache(maxsize=256)
def _check_equation(template: NeuralMass) -> None:
    """Names and shapes of what an equation returns, then its units, by propagation through its operations."""
    cls = type(template)
    parameters = {d.name: d.unit for d in declared_parameters(cls)}
    units = {s.name: s.unit for s in cls.states}
    states = units | {p.name: units[p.state] for p in cls.past}
    inputs = {i.name: i.unit for i in cls.inputs}

    def drift(p: dict[str, Any], s: dict[str, Any], u: dict[str, Any]) -> Any:
        return replace(template, p).drift(SimpleNamespace(**s), SimpleNamespace(**u))

    def step(p: dict[str, Any], s: dict[str, Any], u: dict[str, Any], w: dict[str, Any], dt: Any) -> Any:
        return replace(template, p).step(SimpleNamespace(**s), SimpleNamespace(**u), SimpleNamespace(**w), dt)

    if cls.drift is not NeuralMass.drift:
        rates = {s.name: _rate_unit(s, cls.time_unit) for s in cls.states}
        _check_shapes(drift, (parameters, states, inputs), list(units), f"{cls.__name__}.drift")
        check_dimensions(drift, (parameters, states, inputs), rates, where=f"{cls.__name__}.drift")
    if cls.scheme:
        added = {name: f"({inputs[name]})*{cls.time_unit}" if name in inputs else unit for name, unit in units.items()}
        arguments = (parameters, states, inputs, added, cls.time_unit)
        _check_shapes(step, arguments, list(units), f"{cls.__name__}.step")
        check_dimensions(step, arguments, units, where=f"{cls.__name__}.step")


def _check_shapes(equation: Any, units: tuple[Any, ...], states: list[str], where: str) -> None:
    """Names and shapes of what ``drift`` or ``step`` returns; the arguments have the form of their units."""
    made = trace(equation, *jax.tree.map(lambda _: _SHAPED, units), where=where)
    call = ", ".join(f"{s}=..." for s in states)
    if not isinstance(made, dict):
        raise TypeError(f"{where} returns a {type(made).__name__}, needs a value for each state by name: return dict({call}).")
    missing, extra = [s for s in states if s not in made], [r for r in made if r not in states]
    if missing:
        raise ValueError(f"{where} returns {sorted(made)}, needs one for {missing} too: return dict({call}).")
    if extra:
        raise ValueError(f"{where} returns {extra}, which are no states: return dict({call}), or declare them in states.")
    for state, rate in made.items():
        _check_shape(rate, f"{where} returns for {state!r}")


def _rate_unit(state: State, time: str) -> str:
    return f"1/{time}" if state.unit == "1" else f"{state.unit}/{time}"


def warn_exp_euler(system: System, method: str, dt: float) -> None:
    """Warn where exponential Euler makes a decaying oscillation of the isolated node grow, or grow noticeably faster."""
    if method == "exp_euler":
        for model in models_of(node_of(system)):
            _warn_growth(model, dt)


def _warn_growth(model: NeuralMass, dt: float) -> None:
    values = {}
    for d in declared_parameters(model):
        value = np.asarray(to_declared(counted(getattr(model, d.name)), d.unit, d.name), dtype=np.float64)
        values[d.name] = float(value.mean())
    names = [s.name for s in model.states]
    bare = replace(model, {**values, **{path: None for path, _, _ in noise_fields(model)}})
    with jax.enable_x64(True):
        inputs = SimpleNamespace(**{i.name: jnp.zeros(()) for i in model.inputs})
        start = np.array(
            [0.5 * (s.initial.low + s.initial.high) if isinstance(s.initial, Uniform) else float(s.initial) for s in model.states]
        )

        def field(x: Any) -> Any:
            now = dict(zip(names, x, strict=True))
            rates = bare.drift(SimpleNamespace(**now, **{p.name: now[p.state] for p in model.past}), inputs)
            return jnp.stack([per_ms(model) * jnp.asarray(rates[n], jnp.float64) for n in names])

        jacobian = jax.jacobian(field)
        point = _rest(field, jacobian, start)
        matrix = np.asarray(jacobian(jnp.asarray(point)))
        gain = np.asarray(_phi(jnp.asarray(dt * np.diag(matrix))))
        one_step = np.eye(len(names)) + dt * gain[:, None] * matrix
    exact, scheme = np.linalg.eigvals(matrix), np.linalg.eigvals(one_step)
    rhythm = np.abs(exact.imag) > 1e-9
    if not rhythm.any():
        return
    true_rate = exact.real[rhythm].max()
    turning = np.abs(scheme.imag) > 1e-12
    if not turning.any():
        return
    rate = float(np.log(np.abs(scheme[turning])).max() / dt)
    if rate - true_rate > 0.05 * max(abs(true_rate), 1e-12):
        frequency = float(np.abs(exact.imag[rhythm]).max())
        warnings.warn(
            f"exp_euler adds growth to oscillations: near its rest state {type(model).__name__} oscillates at {frequency:.3g} rad/ms and "
            f"changes by {true_rate:.3g} per ms, with exp_euler at dt={dt:g} ms by {rate:.3g} per ms. Take method='heun'.",
            SpuriousGrowthWarning,
            stacklevel=5,
        )


def _rest(field: Any, jacobian: Any, start: np.ndarray) -> np.ndarray:
    """A rest state by Newton's method from the initial state; the start itself where that fails."""
    x = start.copy()
    for _ in range(50):
        f, j = np.asarray(field(jnp.asarray(x))), np.asarray(jacobian(jnp.asarray(x)))
        if not (np.isfinite(f).all() and np.isfinite(j).all()):
            return start
        step = np.linalg.lstsq(j, f, rcond=None)[0]
        x = x - step
        if np.abs(step).max() < 1e-12:
            return x
    return start
