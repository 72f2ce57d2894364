"""Synapses between layers of spiking units: how a spike becomes a current."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import expit

from xmass.core.model import parameter

State = tuple[jax.Array, ...]
Advance = Callable[[State, jax.Array], tuple[State, jax.Array]]
"""``advance(state, arriving) -> (state, g)``: one step, in which the spikes that arrive count after the decay."""


class Synapse(eqx.Module):
    """What becomes of the weighted sum of spikes. A subclass has ``variables`` states and defines :meth:`advance`."""

    variables: ClassVar[int] = 1

    def advance(self, dt: Any) -> Advance:
        """The map of one step of ``dt`` ms."""
        raise NotImplementedError(f"{type(self).__name__} must define advance(self, dt).")


class Instant(Synapse):
    """No synapse: the weighted sum of the present spikes is the current of this step alone. What ``synapse=None`` means."""

    variables: ClassVar[int] = 0

    def advance(self, dt: Any) -> Advance:
        return lambda state, arriving: (state, arriving)


class Exponential(Synapse):
    r"""A jump by the weight, then exponential decay: :math:`g \leftarrow g e^{-dt/\tau} + \sum_i w_i s_i`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import xmass as xm
    >>> state, g = xm.training.Exponential(10.0).advance(0.1)((jnp.array(0.5),), jnp.array(0.8))
    >>> round(float(g), 5)
    1.29502
    """

    tau_syn: Any = parameter(8.0, "ms", "time constant of the synapse")

    def advance(self, dt: Any) -> Advance:
        decay = jnp.exp(-dt / self.tau_syn)

        def step(state: State, arriving: jax.Array) -> tuple[State, jax.Array]:
            g = state[0] * decay + arriving
            return (g,), g

        return step


class Alpha(Synapse):
    r"""A current that rises and decays with one time constant: :math:`w (t/\tau) e^{1 - t/\tau}` after a spike, at its peak w at
    :math:`t = \tau`. Every step is exact:

    .. math:: g \leftarrow e^{-dt/\tau} (g + e\, (dt/\tau)\, h), \qquad h \leftarrow h e^{-dt/\tau} + \sum_i w_i s_i .

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import xmass as xm
    >>> step, state = xm.training.Alpha(5.0).advance(5.0), (jnp.array(0.0), jnp.array(0.0))
    >>> state, g = step(state, jnp.array(1.0))  # a spike
    >>> round(float(step(state, jnp.array(0.0))[1]), 6)  # one time constant later it is at its peak
    1.0
    """

    variables: ClassVar[int] = 2
    tau_syn: Any = parameter(8.0, "ms", "time constant of the synapse, when the current is largest")

    def advance(self, dt: Any) -> Advance:
        steps = dt / self.tau_syn
        decay, rise = jnp.exp(-steps), steps * jnp.exp(1 - steps)

        def step(state: State, arriving: jax.Array) -> tuple[State, jax.Array]:
            g, h = state
            g = g * decay + h * rise
            return (g, h * decay + arriving), g

        return step


class SynapticOutput(eqx.Module):
    """How g drives the membrane. A subclass defines :meth:`current`."""

    def current(self, g: jax.Array, v: jax.Array) -> jax.Array:
        """The current at potential ``v``."""
        raise NotImplementedError(f"{type(self).__name__} must define current(self, g, v).")


class Current(SynapticOutput):
    """g is the current.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.training.Current().current(0.5, -60.0)
    0.5
    """

    def current(self, g: jax.Array, v: jax.Array) -> jax.Array:
        return g


class Conductance(SynapticOutput):
    """g is a conductance: the current is g (E - v), with the potential v before the step.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.training.Conductance(E=-70.0).current(0.5, -60.0)
    -5.0
    """

    E: Any = parameter(0.0, "1", "reversal potential")

    def current(self, g: jax.Array, v: jax.Array) -> jax.Array:
        return g * (self.E - v)


class MagnesiumBlock(SynapticOutput):
    r"""An NMDA conductance, which magnesium blocks at low potentials: :math:`g (E - v) / (1 + [Mg] / \beta\, e^{\alpha (v_{off} - v)})`.

    Jahr & Stevens (1990), doi:10.1523/JNEUROSCI.10-09-03178.1990. v is in mV here.

    Examples
    --------
    >>> import xmass as xm
    >>> block = xm.training.MagnesiumBlock(E=10.0, magnesium=3.57)
    >>> round(float(block.current(0.5, 0.0)), 5)  # half of 0.5 * 10
    2.5
    """

    E: Any = parameter(0.0, "1", "reversal potential")
    magnesium: Any = parameter(1.2, "1", "concentration of magnesium, mM")
    half_block: Any = parameter(3.57, "1", "beta, the concentration that blocks half at v_off, mM")
    slope_block: Any = parameter(0.062, "1", "alpha, per unit of v")
    v_off: Any = parameter(0.0, "1", "offset of the potential")

    def current(self, g: jax.Array, v: jax.Array) -> jax.Array:
        free = expit(self.slope_block * (v - self.v_off) - jnp.log(self.magnesium / self.half_block))
        return g * (self.E - v) * free
