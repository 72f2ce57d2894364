"""Blood-oxygen-level-dependent signal."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from xmass.core.model import Value, parameter, time_field
from xmass.core.observe import Block, Observation, Timing, rows
from xmass.observations.average import whole_rows

_LONGEST_STEP = 4.0
_SECONDS = 1e-3


class BOLDSignal(Observation):
    r"""BOLD by the Balloon-Windkessel model, from its resting state.

    .. math::
        \dot x &= z - \kappa x - \gamma (f - 1), \qquad \dot f = x, \qquad \tau \dot v = f - v^{1/\alpha} \\
        \tau \dot q &= \frac{f}{\rho}\left(1 - (1-\rho)^{1/f}\right) - v^{1/\alpha}\,\frac{q}{v} \\
        \mathrm{BOLD} &= V_0\left(7\rho\,(1 - q) + 2\,(1 - q/v) + (2\rho - 0.2)\,(1 - v)\right)

    The activity z should be of order 0.1 to 1 (``S_e`` is); rates in Hz are not. It is averaged over, and the model advanced
    by Heun's method in, steps of at most 4 ms that divide the repetition time.

    Parameters
    ----------
    of : str, Observation or callable
        The activity z.
    tr : float or Quantity
        Repetition time [ms], a multiple of dt.
    kappa, gamma : float or DataArray
        Signal decay and autoregulation [1/s].
    tau : float or DataArray
        Transit time [s].
    alpha, rho, V0 : float or DataArray
        Vessel stiffness, resting oxygen extraction, resting volume fraction.
    name : str
        Prefix of the parameters, ``bold.tau``.

    References
    ----------
    Friston, Harrison, Penny (2003), doi:10.1016/S1053-8119(03)00202-7.

    Examples
    --------
    >>> import xmass as xm
    >>> bold = xm.BOLDSignal(of="S_e", tr=720.0)
    >>> run = xm.Simulator(xm.WongWangExcInhStep(), dt=1.0).run(7200.0, monitors={"bold": bold})
    >>> dict(run.bold.sizes)
    {'bold_time': 10, 'region': 1}
    """

    unit: ClassVar[str] = "1"
    state_names: ClassVar[tuple[str, ...]] = ("x", "f", "v", "q")

    of: Any = eqx.field(static=True, kw_only=True)
    tr: Any = time_field()
    name: str = eqx.field(default="bold", static=True, kw_only=True)
    kappa: Value = parameter(0.65, "1/s", "signal decay")
    gamma: Value = parameter(0.41, "1/s^2", "flow-dependent elimination")
    tau: Value = parameter(0.98, "s", "transit time")
    alpha: Value = parameter(0.32, "1", "vessel stiffness (Grubb's exponent)")
    rho: Value = parameter(0.34, "1", "resting oxygen extraction")
    V0: Value = parameter(0.02, "1", "resting blood volume fraction")

    def timing(self, row: float) -> Timing:
        period = whole_rows(self.tr, row, "tr")
        longest = max(int(_LONGEST_STEP / row + 1e-9), 1)
        return Timing(max(k for k in range(1, longest + 1) if period % k == 0), period)

    def init(self, like: jax.Array) -> tuple:
        one = jnp.ones_like(like)
        return jnp.zeros_like(like), one, one, one

    def step(self, state: tuple, block: Block, timing: Timing, row: Any) -> tuple[tuple, jax.Array]:
        k = timing.frame
        frames = block.values.shape[0] // k
        drive = block.values.reshape(frames, k, *block.values.shape[1:]).mean(axis=1)
        h = row * k * _SECONDS

        def advance(j: jax.Array, loop: tuple) -> tuple:
            s, out = loop
            z = lax.dynamic_index_in_dim(drive, j, 0, keepdims=False)
            d0 = self.rates(s, z)
            d1 = self.rates(tuple(a + h * b for a, b in zip(s, d0, strict=True)), z)
            s = tuple(a + 0.5 * h * (b + c) for a, b, c in zip(s, d0, d1, strict=True))
            return s, lax.dynamic_update_index_in_dim(out, self.signal(s), j, 0)

        state, out = lax.fori_loop(*rows(block.lo // k, block.hi // k), advance, (state, jnp.zeros_like(drive)))
        every = timing.period // k
        return state, out[every - 1 :: every] if every <= frames else self.signal(state)[None]

    def rates(self, state: tuple, z: Any) -> tuple:
        """Time derivatives [1/s] of (x, f, v, q)."""
        x, f, v, q = state
        outflow = jnp.exp(jnp.log(v) * (1.0 / self.alpha))
        extraction = f * (1.0 / self.rho) * -jnp.expm1(jnp.log1p(-self.rho) / f)
        return (
            z - self.kappa * x - self.gamma * (f - 1.0),
            x,
            (f - outflow) / self.tau,
            (extraction - outflow * q / v) / self.tau,
        )

    def signal(self, state: tuple) -> Any:
        """BOLD of a state; 0 at rest."""
        _, _, v, q = state
        return self.V0 * (7.0 * self.rho * (1.0 - q) + 2.0 * (1.0 - q / v) + (2.0 * self.rho - 0.2) * (1.0 - v))
