"""Recurrent networks of harmonic oscillators."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jax.nn import initializers

from xmass.core.model import Declared, Value, declared_parameters, parameter, replace
from xmass.labelled.units import to_declared
from xmass.models.horn import HORNStep
from xmass.training.recurrent import Linear, OverTime, check_initialisers, check_units, check_values
from xmass.training.sequential import Arrays, Initializer, Record, Recurrent, Sequential, Weight

Delays = None | float | tuple[tuple[float, ...], ...]
NORMAL = initializers.variance_scaling(2.0, "fan_in", "normal")
"""Normal with variance 2 / inputs."""
OSCILLATOR = HORNStep()
SCALES = ("none", "sqrt_n")
PAIRS = ("unit_from", "unit")


def _declared(name: str) -> Any:
    """A parameter as the oscillator declares it."""
    found: Declared = next(d for d in declared_parameters(HORNStep) if d.name == name)
    return parameter(found.default, found.unit, found.meaning)


def _delays(given: Any) -> Delays:
    """Delays in ms: None, one number, or rows of a matrix ``(unit_from, unit)``."""
    if given is None:
        return None
    if isinstance(given, xr.DataArray) and given.ndim:
        if set(given.dims) != set(PAIRS):
            raise ValueError(
                f"delay has dims {given.dims}, needs {PAIRS}: from which unit, to which. Rename with delay.rename("
                f"{given.dims[0]}='unit_from', ...), or give one number of ms."
            )
        given = given.transpose(*PAIRS)
    values = np.asarray(to_declared(given, "ms", "delay"))
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            f"delay has values from {values.min():g} to {values.max():g} ms, needs finite ones that are not negative: delay=10.0."
        )
    if values.ndim == 0:
        return float(values)
    if values.ndim != 2:
        raise ValueError(f"delay has shape {values.shape}, needs one number of ms or a matrix (unit_from, unit).")
    return tuple(map(tuple, values.tolist()))


class HORNSeqLayer(Recurrent):
    r"""Damped harmonic oscillators that drive each other, a layer of a harmonic oscillator recurrent network.

    .. math::
        I = s W_x + b_x + \tfrac{1}{\nu} (y W_h + b_h), \qquad
        y^+ = y + h\,\bigl(\alpha \tanh(I + v x) - \omega^2 x - 2 \gamma y\bigr), \qquad x^+ = x + h\,y^+

    It is :class:`xmass.HORNStep` in every unit, with h the time between two samples in ms. The output is x. With ``delay`` the
    recurrent sum takes y as it was that long before, and 0 from before the start.

    Parameters
    ----------
    units : int
        How many oscillators.
    alpha, omega, gamma, v : float, array, Quantity, Param or DataArray
        Excitability [1/ms²], natural angular frequency [rad/ms], damping [1/ms] and feedback of the position: one number for all
        oscillators, or a plain array with one for each. They are held, but for those given as :class:`xmass.Param`, one number each. A
        DataArray trains a network for each of its values.
    delay : float, Quantity or DataArray, optional
        Time that a recurrent connection takes [ms], one for all or ``(unit_from, unit)``, rounded to whole samples.
    rec_scale : "none" or "sqrt_n"
        What the recurrent sum is divided by: :math:`\nu = 1`, or :math:`\nu = \sqrt{n}` as in the paper, for n units.
    input_init, recurrent_init, bias_init : callable
        Initialisers ``(key, shape, dtype)``, by default normal with variance 2 / inputs for both matrices and zeros for both biases.

    Raises
    ------
    ValueError, TypeError
        For a number of units that is no positive whole number, delays that are negative, of other sizes or shorter than a sample, an
        unknown scale, something that is no initialiser.

    References
    ----------
    Effenberger, Carvalho, Dubinin, Singer (2025), doi:10.1073/pnas.2412830122.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import xmass as xm
    >>> net = xm.training.Sequential(xm.HORNSeqLayer(64, alpha=0.2))
    >>> values = net.init(2, jax.random.key(0))
    >>> x, records = net.apply(values, jnp.ones((10, 5, 2)), 1.0)  # time, batch, input
    >>> x.shape, sorted(records)
    ((10, 5, 64), ['hornseqlayer.x', 'hornseqlayer.y'])
    """

    records: ClassVar[tuple[Record, ...]] = tuple(Record(s.name, s.unit, s.meaning) for s in HORNStep.states)
    uses_time: ClassVar[bool] = True

    units: int = eqx.field(static=True)
    alpha: Value = _declared("alpha")
    omega: Value = _declared("omega")
    gamma: Value = _declared("gamma")
    v: Value = _declared("v")
    delay: Any = eqx.field(default=None, static=True, converter=_delays, kw_only=True)
    rec_scale: Literal["none", "sqrt_n"] = eqx.field(default="none", static=True, kw_only=True)
    input_init: Initializer = eqx.field(default=NORMAL, static=True, kw_only=True)
    recurrent_init: Initializer = eqx.field(default=NORMAL, static=True, kw_only=True)
    bias_init: Initializer = eqx.field(default=initializers.zeros, static=True, kw_only=True)

    def __check_init__(self) -> None:
        check_units(self, self.units)
        check_initialisers(input_init=self.input_init, recurrent_init=self.recurrent_init, bias_init=self.bias_init)
        check_values(self, self.units)
        if self.rec_scale not in SCALES:
            raise ValueError(f"rec_scale={self.rec_scale!r}, needs one of {', '.join(map(repr, SCALES))}.")
        if isinstance(self.delay, tuple) and np.asarray(self.delay).shape != (self.units, self.units):
            raise ValueError(f"delay has shape {np.shape(self.delay)}, needs {(self.units, self.units)}: from each unit to each.")

    def size(self, inputs: int) -> int:
        """The number of units."""
        return self.units

    def weights(self, inputs: int) -> dict[str, Weight]:
        """``input (input, unit)``, ``bias (unit)``, ``recurrent (unit_from, unit)`` [ms] and ``recurrent_bias (unit)``."""
        n = self.units
        return {
            "input": Weight(("input", "unit"), (inputs, n), self.input_init),
            "bias": Weight(("unit",), (n,), self.bias_init),
            "recurrent": Weight(PAIRS, (n, n), self.recurrent_init, "ms"),
            "recurrent_bias": Weight(("unit",), (n,), self.bias_init),
        }

    def start(self, w: Arrays, batch: int, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """All at rest."""
        rest = jnp.zeros((batch, self.units), dtype)
        return rest, rest

    def drive(self, w: Arrays, x: jax.Array) -> jax.Array:
        """``x W + b`` at all times."""
        return x @ w["input"] + w["bias"]

    def step(self, w: Arrays, state: Any, drive: jax.Array, dt: Any) -> tuple[Any, jax.Array, Arrays]:
        """Positions and velocities after one sample, without delays."""
        return self._advance(w, state, drive, state[1] @ w["recurrent"], dt)

    def run(self, w: Arrays, x: jax.Array, dt: Any) -> tuple[jax.Array, Arrays]:
        """All steps, in one scan."""
        lags = self._lags(dt)
        if lags is None or not lags.any() or x.ndim != 3:
            return Recurrent.run(self, w, x, dt)
        kinds, batch = np.unique(lags).astype(np.int32), x.shape[1]
        matrix = jnp.concatenate([w["recurrent"] * jnp.asarray(lags == k, x.dtype) for k in kinds])
        size = int(kinds[-1]) + 1

        def body(carry: Any, now: Any) -> tuple[Any, tuple[jax.Array, Arrays]]:
            (state, ring), (drive, t) = carry, now
            ring = lax.dynamic_update_index_in_dim(ring, state[1], t % size, 0)
            past = ring[(t - kinds) % size].transpose(1, 0, 2).reshape(batch, -1)
            state, y, seen = self._advance(w, state, drive, past @ matrix, dt)
            return (state, ring), (y, seen)

        ring = jnp.zeros((size, batch, self.units), x.dtype)
        times = jnp.arange(x.shape[0], dtype=jnp.int32)
        return lax.scan(body, (self.start(w, batch, x.dtype), ring), (self.drive(w, x), times))[1]

    def _advance(self, w: Arrays, state: Any, drive: jax.Array, arrived: jax.Array, dt: Any) -> tuple[Any, jax.Array, Arrays]:
        """One step of every oscillator, given the recurrent sums."""
        recurrent = arrived + w["recurrent_bias"]
        recurrent = recurrent / self.units**0.5 if self.rec_scale == "sqrt_n" else recurrent
        model = replace(OSCILLATOR, {d.name: getattr(self, d.name) for d in declared_parameters(self)})
        s, u = SimpleNamespace(x=state[0], y=state[1]), SimpleNamespace(I=drive + recurrent, x=0.0, y=0.0)
        made = model.step(s, u, SimpleNamespace(x=0.0, y=0.0), dt)
        return (made["x"], made["y"]), made["x"], made

    def _lags(self, dt: Any) -> np.ndarray | None:
        """Delays in samples, ``(unit_from, unit)``."""
        if self.delay is None:
            return None
        if isinstance(dt, jax.core.Tracer):
            raise TypeError("a layer with delays needs the time between samples as a number, not a traced one: it decides what is kept.")
        given = np.broadcast_to(np.asarray(self.delay), (self.units, self.units))
        shortest = float(np.min(given, where=given > 0, initial=np.inf))
        if shortest < float(dt) * (1 - 1e-6):
            raise ValueError(
                f"delay={shortest:g} ms is shorter than the time between samples, {float(dt):g} ms: needs 0 or at least that. Sample the "
                "series more often with .interp(time=...), or leave delay out."
            )
        return np.rint(given / float(dt)).astype(np.int64)


class HORNSeqNetwork(Sequential):
    """Layers of oscillators, and weighted sums of the last layer's positions at the last time.

    Parameters
    ----------
    hidden : int or sequence of int
        Oscillators of each layer.
    outputs : int, optional
        How many outputs; without it the Trainer takes as many as the data have.
    alpha, omega, gamma, v, delay, rec_scale
        As of :class:`HORNSeqLayer`, of every layer.

    Notes
    -----
    It is ``Sequential(HORNSeqLayer(n, name="horn"), OverTime("last"), Linear(outputs, name="readout"))``; several layers are called
    ``horn_0``, ``horn_1``, and so on. Their trajectories are the records ``horn.x`` and ``horn.y``.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.HORNSeqNetwork(64, 2, alpha=0.2).names
    ('horn', 'overtime', 'readout')
    """

    def __init__(
        self,
        hidden: int | Sequence[int],
        outputs: int | None = None,
        *,
        alpha: Value = HORNSeqLayer.alpha,
        omega: Value = HORNSeqLayer.omega,
        gamma: Value = HORNSeqLayer.gamma,
        v: Value = HORNSeqLayer.v,
        delay: Any = None,
        rec_scale: Literal["none", "sqrt_n"] = "none",
    ) -> None:
        sizes = tuple(hidden) if isinstance(hidden, Sequence | np.ndarray) else (hidden,)
        if not sizes or isinstance(hidden, str):
            raise ValueError(
                f"hidden={hidden!r}, needs the oscillators of each layer: xm.HORNSeqNetwork(64) or xm.HORNSeqNetwork([64, 32])."
            )
        names = ["horn"] if len(sizes) == 1 else [f"horn_{i}" for i in range(len(sizes))]
        layers = [
            HORNSeqLayer(n, alpha, omega, gamma, v, delay=delay, rec_scale=rec_scale, name=name)
            for n, name in zip(sizes, names, strict=True)
        ]
        Sequential.__init__(self, *layers, OverTime("last"), Linear(outputs, name="readout"))
