"""Checks of a system that happen once, when a Simulator is built."""

from __future__ import annotations

import functools
import warnings
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.integrate import _phi
from xmass.core.model import NeuralMass, State, Uniform, declared_parameters, noise_fields, replace
from xmass.labelled.dimensions import check_dimensions
from xmass.labelled.parameters import System, node_of
from xmass.labelled.units import to_declared


class SpuriousGrowthWarning(UserWarning):
    """Exponential Euler feeds an oscillation."""


def check_system(system: System) -> None:
    """Names, inputs and dimensions of the node model."""
    model = node_of(system)
    _check_class(type(model))
    states = {s.name for s in model.states}
    for path, target, process in noise_fields(model):
        if not hasattr(type(process), "white"):
            raise TypeError(f"{path} is a {type(process).__name__}, needs a noise such as xm.WhiteNoise(sigma=0.01).")
        if process.white and target not in states:
            raise ValueError(
                f"{path} is white noise on the input {target!r}, which is inside the equation; white noise is only defined where an input "
                f"is added to a derivative ({sorted(states)}). Take xm.OUProcess for {path}."
            )
    _check_drift(type(model))


@functools.lru_cache(maxsize=256)
def _check_class(cls: type[NeuralMass]) -> None:
    """Declared names are complete and different."""
    name = cls.__name__
    if not cls.states:
        raise ValueError(f"{name} declares no states: add states: ClassVar = (State('x', 0.0, '1', 'meaning'),).")
    inputs = {i.name for i in cls.inputs}
    lacking = [s.name for s in cls.states if s.name not in inputs]
    if lacking:
        raise ValueError(
            f"{name} has no direct input for the states {lacking}: add Input('{lacking[0]}', '.../ms') and add it to the derivative."
        )
    names = [s.name for s in cls.states] + [o.name for o in cls.outputs] + [d.name for d in declared_parameters(cls)]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"{name} uses the names {twice} twice; states, outputs and parameters need different names.")


@functools.lru_cache(maxsize=256)
def _check_drift(cls: type[NeuralMass]) -> None:
    """Units of the drift, by propagation through its operations."""
    template = cls()
    parameters = {d.name: d.unit for d in declared_parameters(cls)}
    states = {s.name: s.unit for s in cls.states}
    inputs = {i.name: i.unit for i in cls.inputs}

    def drift(p: dict[str, Any], s: dict[str, Any], u: dict[str, Any]) -> dict[str, Any]:
        rates = replace(template, p).drift(SimpleNamespace(**s), SimpleNamespace(**u))
        missing = [name for name in states if name not in rates]
        if missing:
            raise ValueError(f"{cls.__name__}.drift returns {sorted(rates)}, needs a derivative of {missing} too.")
        return {name: rates[name] for name in states}

    rates = {s.name: _rate_unit(s) for s in cls.states}
    check_dimensions(drift, (parameters, states, inputs), rates, where=f"{cls.__name__}.drift")


def _rate_unit(state: State) -> str:
    return "1/ms" if state.unit == "1" else f"{state.unit}/ms"


def warn_exp_euler(system: System, method: str, dt: float) -> None:
    """Warn where exponential Euler makes a decaying oscillation of the isolated node grow, or grow noticeably faster."""
    if method != "exp_euler":
        return
    model = node_of(system)
    values = {}
    for d in declared_parameters(type(model)):
        value = np.asarray(to_declared(getattr(model, d.name), d.unit, d.name), dtype=np.float64)
        values[d.name] = float(value.mean())
    names = [s.name for s in model.states]
    bare = replace(model, {**values, **{path: None for path, _, _ in noise_fields(model)}})
    with jax.enable_x64(True):
        inputs = SimpleNamespace(**{i.name: jnp.zeros(()) for i in model.inputs})
        start = np.array(
            [0.5 * (s.initial.low + s.initial.high) if isinstance(s.initial, Uniform) else float(s.initial) for s in model.states]
        )

        def field(x: Any) -> Any:
            rates = bare.drift(SimpleNamespace(**dict(zip(names, x, strict=True))), inputs)
            return jnp.stack([jnp.asarray(rates[n], jnp.float64) for n in names])

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
    if rate - true_rate > 0.1 * max(abs(true_rate), 1e-12):
        frequency = float(np.abs(exact.imag[rhythm]).max())
        warnings.warn(
            f"exp_euler adds growth to oscillations: near its rest state {type(model).__name__} oscillates at {frequency:.3g} rad/ms and "
            f"changes by {true_rate:.3g} per ms, with exp_euler at dt={dt:g} ms by {rate:.3g} per ms. Take method='heun'.",
            SpuriousGrowthWarning,
            stacklevel=4,
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
