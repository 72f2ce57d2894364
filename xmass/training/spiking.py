"""Layers of spiking units, and the readout that integrates what they send."""

from __future__ import annotations

import operator
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import initializers

from xmass.core.model import declared_parameters, parameter, parameter_value, replace
from xmass.core.param import Param
from xmass.labelled.units import counted, to_declared
from xmass.training.connectivity import AllToAll, Connectivity
from xmass.training.recurrent import check_initialisers, check_units
from xmass.training.sequential import Arrays, Initializer, Layer, Record, Weight
from xmass.training.surrogate import InvSquare, Surrogate
from xmass.training.synapse import Current, Exponential, Instant, State, Synapse, SynapticOutput

KAIMING = initializers.he_normal()
_POSITIVE = ("tau", "tau_syn", "tau_a", "half_block")
_NOT_NEGATIVE = ("tau_ref", "magnesium")


def _synapse(given: Synapse | None) -> Synapse:
    return Instant() if given is None else given


def _recurrence(given: bool | Connectivity) -> Connectivity | None:
    if isinstance(given, bool):
        return AllToAll(self_connections=False) if given else None
    return given


class _Synaptic(Layer):
    """What spiking layers and readouts share: weights, synapses, latency."""

    uses_time: ClassVar[bool] = True

    synapse: Synapse = eqx.field(default_factory=Exponential, converter=_synapse, kw_only=True, metadata={"part": True})
    output: SynapticOutput = eqx.field(default_factory=Current, kw_only=True, metadata={"part": True})
    connectivity: Connectivity = eqx.field(default_factory=AllToAll, kw_only=True)
    latency: int = eqx.field(default=0, static=True, kw_only=True)
    bias: bool = eqx.field(default=False, static=True, kw_only=True)
    init: Initializer = eqx.field(default=KAIMING, static=True, kw_only=True)
    bias_init: Initializer = eqx.field(default=initializers.zeros, static=True, kw_only=True)

    def _check(self, units: int | None) -> None:
        check_initialisers(init=self.init, bias_init=self.bias_init)
        for name, kind, example in (
            ("synapse", Synapse, "xm.training.Exponential(10.0)"),
            ("output", SynapticOutput, "xm.training.Conductance(E=0.0)"),
            ("connectivity", Connectivity, "xm.training.connectivity.Sparse(0.1)"),
        ):
            _is_a(name, getattr(self, name), kind, example)
        if isinstance(self.latency, bool) or not isinstance(self.latency, int | np.integer) or self.latency < 0:
            raise ValueError(f"latency={self.latency!r}, needs a number of samples, 0 or more: latency=1.")
        names = [d.name for d in declared_parameters(self)]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"the parts of {type(self).__name__} have parameters of the same name, {sorted(twice)}.")
        positive = (*_POSITIVE, *(self.surrogate.positive if isinstance(self, _Spiking) else ()))
        for name, _, unit, _, _ in declared_parameters(self):
            given = to_declared(counted(parameter_value(self, name)), unit, name)
            if isinstance(given, np.ndarray) and given.ndim and given.shape != (units,):
                some = "one number" if units is None else f"one number, or {units}, one for each unit"
                raise ValueError(f"{name} has shape {given.shape}, needs {some}; values to be trained side by side are a DataArray.")
            value = np.asarray(given)
            low = (name in positive and (value <= 0).any()) or (name in _NOT_NEGATIVE and (value < 0).any())
            if low or not np.isfinite(value).all():
                need = "positive" if name in positive else "finite" if name not in _NOT_NEGATIVE else "not negative"
                raise ValueError(f"{name}={value.tolist()!r}, needs numbers that are {need}, in {unit!r}.")

    def _matrices(self, inputs: int, units: int) -> dict[str, Weight]:
        found = {"weight": Weight(("input", "unit"), (inputs, units), self.init)}
        if self.bias:
            found["bias"] = Weight(("unit",), (units,), self.bias_init)
        return found | _mask("mask", ("input", "unit"), (inputs, units), self.connectivity)

    def _arriving(self, w: Arrays, x: jax.Array) -> jax.Array:
        """The weighted sums of the inputs at all times, late by the latency, ``(time, batch * unit)``."""
        matrix = w["weight"] * w["mask"] if "mask" in w else w["weight"]
        sums = x.astype(matrix.dtype) @ matrix
        if self.latency:
            late = min(self.latency, len(sums))
            sums = jnp.concatenate([jnp.zeros_like(sums[:late]), sums[: len(sums) - late]])
        return (sums + w["bias"] if self.bias else sums).reshape(len(sums), -1)

    def _synapses(self, zeros: jax.Array) -> State:
        return (zeros,) * self.synapse.variables


class _Spiking(_Synaptic):
    """One step of spiking units: synapses, membrane, spike, reset."""

    units: int = eqx.field(static=True)
    tau: Any = parameter(10.0, "ms", "time constant of the membrane")
    v_rest: Any = parameter(0.0, "1", "potential at rest, where the membrane starts")
    v_reset: Any = parameter(0.0, "1", "potential after a spike")
    v_th: Any = parameter(1.0, "1", "threshold")
    R: Any = parameter(1.0, "1", "resistance")
    tau_ref: Any = parameter(0.0, "ms", "refractory period")
    reset: Literal["hard", "soft"] = eqx.field(default="hard", static=True, kw_only=True)
    detach_reset: bool = eqx.field(default=True, static=True, kw_only=True)
    surrogate: Surrogate = eqx.field(default_factory=InvSquare, kw_only=True, metadata={"part": True})
    recurrent: Connectivity | None = eqx.field(default=False, converter=_recurrence, kw_only=True)
    recurrent_init: Initializer = eqx.field(default=KAIMING, static=True, kw_only=True)

    def __check_init__(self) -> None:
        check_units(self, self.units)
        check_initialisers(recurrent_init=self.recurrent_init)
        _is_a("surrogate", self.surrogate, Surrogate, "xm.training.surrogate.Sigmoid(alpha=4)")
        if self.recurrent is not None:
            _is_a("recurrent", self.recurrent, Connectivity, "True, or xm.training.connectivity.Sparse(0.1)")
        if self.reset not in ("hard", "soft"):
            raise ValueError(f"reset={self.reset!r}, needs 'hard' or 'soft'.")
        for name in (*(d.name for d in declared_parameters(self.surrogate)), "tau_ref"):
            if isinstance(parameter_value(self, name), Param):
                raise TypeError(f"{name} is a Param, but has no gradient: give a number, or a DataArray to train with each of its values.")
        self._check(self.units)

    def size(self, inputs: int) -> int:
        """The number of units."""
        return self.units

    def weights(self, inputs: int) -> dict[str, Weight]:
        """``weight (input, unit)``, ``bias (unit)``, ``recurrent (unit_from, unit)``; fixed: ``mask`` and ``recurrent_mask``."""
        found = self._matrices(inputs, self.units)
        if self.recurrent is not None:
            pairs, shape = ("unit_from", "unit"), (self.units, self.units)
            found["recurrent"] = Weight(pairs, shape, self.recurrent_init)
            found |= _mask("recurrent_mask", pairs, shape, self.recurrent)
        return found

    def _threshold(self, adaptation: State) -> jax.Array:
        return self.v_th

    def _start_adaptation(self, zeros: jax.Array) -> State:
        return ()

    def _adapted(self, adaptation: State, spike: jax.Array, dt: Any) -> State:
        return ()

    def run(self, w: Arrays, x: jax.Array, dt: Any) -> tuple[jax.Array, Arrays]:
        """Spikes 0 and 1 of all times, and the records."""
        refractory = not (isinstance(self.tau_ref, int | float) and self.tau_ref == 0)
        batch, arriving = x.shape[1], self._arriving(w, x)
        dtype = arriving.dtype
        dt = jnp.asarray(dt, dtype)
        m = _flat(self, batch, self.units, dtype)
        advance, leak = m.synapse.advance(dt), -jnp.expm1(-dt / m.tau)
        matrix = w["recurrent"] * w["recurrent_mask"] if "recurrent_mask" in w else w.get("recurrent")
        zeros = jnp.zeros(arriving.shape[1:], dtype)

        def step(state: Any, arriving: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
            synapses, v, spike, adaptation, since = state
            if matrix is not None:
                arriving = arriving + (spike.reshape(batch, -1) @ matrix).reshape(-1)
            synapses, g = advance(synapses, arriving)
            threshold = m._threshold(adaptation)
            new = v + (m.v_rest + m.R * m.output.current(g, v) - v) * leak
            spike = m.surrogate(new - threshold)
            if refractory:
                frozen = (since + 1) * dt <= m.tau_ref + 1e-3 * dt  # a thousandth of a step: 3 * 0.1 is not 0.3
                new, spike = jnp.where(frozen, v, new), jnp.where(frozen, 0, spike)
                since = jnp.where(spike > 0, 0, since + 1)
            if self.reset == "soft":
                v = new - (m.v_th - m.v_reset) * (lax.stop_gradient(spike) if self.detach_reset else spike)
            else:  # a choice is kept for the backward pass in a byte, a product in a float
                v = jnp.where(spike > 0, m.v_reset, new) if self.detach_reset else new + (m.v_reset - new) * spike
            adaptation = m._adapted(adaptation, spike, dt)
            seen = {"spike": spike, "v": v, "g": g} | ({"threshold": threshold} if adaptation else {})
            return (synapses, v, spike, adaptation, since), seen

        since = jnp.full_like(zeros, jnp.inf) if refractory else ()
        start = (self._synapses(zeros), zeros + m.v_rest, zeros, self._start_adaptation(zeros), since)
        seen = {name: value.reshape(len(x), batch, -1) for name, value in lax.scan(step, start, arriving)[1].items()}
        return seen["spike"], seen


class LIF(_Spiking):
    r"""Leaky integrate-and-fire units with synapses, trained through surrogate gradients.

    One step, in this order: the synapses decay and receive the spikes that arrive, of the same sample (or ``latency`` samples late);
    the membrane is integrated exactly over the step with this current held; it spikes at or above the threshold; it is reset.

    .. math::
        v \leftarrow v_{rest} + R I + (v - v_{rest} - R I) e^{-dt/\tau}, \qquad s = H(v - v_{th}), \qquad
        v \leftarrow v + (v_{reset} - v) s \ \text{(hard)}, \quad v \leftarrow v - (v_{th} - v_{reset}) s \ \text{(soft)}

    Potentials have no unit; by default rest and reset are 0 and the threshold is 1. Numbers may be quantities, a ``Param`` that is trained
    with the weights, a DataArray whose values are trained side by side, or an array with one value for each unit.

    Parameters
    ----------
    units : int
        How many.
    tau, tau_ref : number [ms]
        Time constant of the membrane; for how long after a spike the potential is held and no spike follows.
    v_rest, v_reset, v_th, R : number
        Rest, where the membrane starts; reset; threshold; resistance.
    reset : "hard" or "soft"
        Whether a spike sets the potential, or takes a fixed amount from it.
    detach_reset : bool
        Whether the gradient stops at the reset.
    surrogate : Surrogate
        The slope that stands for the derivative of a spike, one of :mod:`xmass.training.surrogate`.
    synapse : Exponential, Alpha or None
        What becomes of a spike; None for a current in the same step alone.
    output : Current, Conductance or MagnesiumBlock
        How the synapse drives the membrane.
    connectivity : Connectivity
        Which inputs reach which units, one of :mod:`xmass.training.connectivity`. The initialiser sees the whole matrix: scale it up for
        few connections.
    recurrent : bool or Connectivity
        Whether units also receive the spikes of this layer, those of the sample before; True for all but themselves.
    latency : int
        How many samples later inputs arrive. 0: spikes of the layer before count in the same sample, also through many layers;
        1: each layer takes one sample.
    bias : bool
        Whether a constant is added to what arrives at every step.
    init, recurrent_init, bias_init : callable
        Initialisers ``(key, shape, dtype)``, by default Kaiming's normal one for matrices and zeros.

    Raises
    ------
    ValueError, TypeError
        For a value out of its range or with another unit, something of another kind, a ``Param`` where there is no gradient.

    Notes
    -----
    Records: ``spike``, ``v`` after the reset, ``g`` of the synapse.

    Examples
    --------
    >>> import numpy as np
    >>> import xmass as xm
    >>> t = xm.training
    >>> layer = t.LIF(1, synapse=None)
    >>> spikes, seen = layer.run({"weight": np.ones((1, 1), "float32")}, np.full((60, 1, 1), 2.0, "float32"), 0.5)
    >>> int(spikes.argmax()), int(spikes.sum())  # v reaches 1 after tau ln 2 = 6.9 ms, which is in the 14th step
    (13, 4)
    """

    records: ClassVar[tuple[Record, ...]] = (
        Record("spike", "1", "1 where there is a spike"),
        Record("v", "1", "potential after the reset"),
        Record("g", "1", "current or conductance of the synapse"),
    )


class ALIF(_Spiking):
    r"""Leaky integrate-and-fire units whose threshold rises with every spike: those of :class:`LIF`, and

    .. math:: s = H(v - v_{th} - \beta a), \qquad a \leftarrow a e^{-dt/\tau_a} + s .

    Parameters
    ----------
    units, tau, v_rest, v_reset, v_th, R, tau_ref, reset, detach_reset, surrogate, synapse, output, connectivity, recurrent, latency, \
    bias, init, recurrent_init, bias_init
        As for :class:`LIF`. A soft reset takes :math:`v_{th} - v_{reset}`.
    tau_a : number [ms]
        For how long a spike is felt.
    beta : number
        By how much one spike raises the threshold.

    Raises
    ------
    ValueError, TypeError
        As for :class:`LIF`.

    Notes
    -----
    Records: ``spike``, ``v`` after the reset, ``g``, and ``threshold``, against which v was held.

    References
    ----------
    Bellec et al. (2018), arXiv:1803.09574; in this form Bellec et al. (2020), doi:10.1038/s41467-020-17236-y.

    Examples
    --------
    >>> import numpy as np
    >>> import xmass as xm
    >>> layer = xm.training.ALIF(1, synapse=None, tau_a=100.0, beta=0.3)
    >>> spikes, seen = layer.run({"weight": np.ones((1, 1), "float32")}, np.full((100, 1, 1), 2.0, "float32"), 1.0)
    >>> np.diff(np.flatnonzero(spikes)).tolist()
    [11, 14, 19, 22, 26]
    """

    records: ClassVar[tuple[Record, ...]] = (*LIF.records, Record("threshold", "1", "threshold before the spike"))

    tau_a: Any = parameter(200.0, "ms", "time constant of the threshold")
    beta: Any = parameter(0.2, "1", "rise of the threshold by a spike")

    def _threshold(self, adaptation: State) -> jax.Array:
        return self.v_th + self.beta * adaptation[0]

    def _start_adaptation(self, zeros: jax.Array) -> State:
        return (zeros,)

    def _adapted(self, adaptation: State, spike: jax.Array, dt: Any) -> State:
        return (adaptation[0] * jnp.exp(-dt / self.tau_a) + spike,)


class LeakyReadout(_Synaptic):
    r"""Units that integrate and never spike: :math:`v \leftarrow v e^{-dt/\tau} + I (1 - e^{-dt/\tau})`.

    Parameters
    ----------
    units : int, optional
        How many. Without it the layer is the last one, and the Trainer takes as many as the data have.
    tau : number [ms]
        Time constant.
    synapse, output, connectivity, latency, bias, init, bias_init
        As for :class:`LIF`.

    Raises
    ------
    ValueError, TypeError
        As for :class:`LIF`.

    Notes
    -----
    The output is v from 0 on; records: ``v`` and ``g`` of the synapse.

    Examples
    --------
    >>> import xmass as xm
    >>> t = xm.training
    >>> t.Sequential(t.LIF(10), t.LeakyReadout(2, tau=5.0, latency=1)).names
    ('lif', 'leakyreadout')
    """

    records: ClassVar[tuple[Record, ...]] = (Record("v", "1", "potential"), Record("g", "1", "current or conductance of the synapse"))

    units: int | None = eqx.field(default=None, static=True)
    tau: Any = parameter(10.0, "ms", "time constant")

    def __check_init__(self) -> None:
        if self.units is not None:
            check_units(self, self.units)
        self._check(self.units)

    def size(self, inputs: int) -> int:
        """The number of units."""
        if self.units is None:
            raise ValueError(
                "LeakyReadout() has no number of units, needs one: xm.training.LeakyReadout(2). Only the last layer may leave it to "
                "the data."
            )
        return operator.index(self.units)

    def weights(self, inputs: int) -> dict[str, Weight]:
        """``weight (input, unit)`` and ``bias (unit)``; fixed: ``mask``."""
        return self._matrices(inputs, self.size(inputs))

    def run(self, w: Arrays, x: jax.Array, dt: Any) -> tuple[jax.Array, Arrays]:
        """The potential at all times, and the records."""
        batch, arriving = x.shape[1], self._arriving(w, x)
        dtype = arriving.dtype
        dt = jnp.asarray(dt, dtype)
        m = _flat(self, batch, w["weight"].shape[1], dtype)
        advance, leak = m.synapse.advance(dt), -jnp.expm1(-dt / m.tau)
        zeros = jnp.zeros(arriving.shape[1:], dtype)

        def step(state: Any, arriving: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
            synapses, v = state
            synapses, g = advance(synapses, arriving)
            v = v + (m.output.current(g, v) - v) * leak
            return (synapses, v), {"v": v, "g": g}

        seen = lax.scan(step, (self._synapses(zeros), zeros), arriving)[1]
        seen = {name: value.reshape(len(x), batch, -1) for name, value in seen.items()}
        return seen["v"], seen


def _is_a(name: str, value: Any, kind: type, example: str) -> None:
    if not isinstance(value, kind):
        came = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
        raise TypeError(f"{name} is {came}, needs a {kind.__name__}: {name}={example}.")


def _mask(name: str, dims: tuple[str, ...], shape: tuple[int, int], connectivity: Connectivity) -> dict[str, Weight]:
    """The fixed array of a connectivity; none if everything is connected."""
    if connectivity.everything:
        return {}
    return {name: Weight(dims, shape, lambda key, shape, dtype: connectivity.mask(key, shape).astype(dtype), fixed=True)}


def _flat(layer: Any, batch: int, units: int, dtype: Any) -> Any:
    """The layer with parameters as arrays, of one number or ``(batch * unit,)``: one axis makes every step one loop, without remainders."""

    def one(value: Any) -> jax.Array:
        value = jnp.asarray(value, dtype)
        return jnp.broadcast_to(value, (batch, units)).reshape(-1) if value.ndim else value

    return replace(layer, {d.name: one(parameter_value(layer, d.name)) for d in declared_parameters(layer)})
