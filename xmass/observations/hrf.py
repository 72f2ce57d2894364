"""BOLD by convolution with a haemodynamic response kernel."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core.model import Value, parameter, part, time_field
from xmass.core.observe import Block, Observation, Timing, rows
from xmass.observations.average import whole_rows
from xmass.observations.kernels import MixtureOfGammas, ResponseKernel

_TVB_STEP = 4.0
_SECONDS = 1e-3


class HRFBold(Observation):
    r"""BOLD as the convolution of an activity z with a response kernel h, 0 without activity.

    .. math:: \mathrm{BOLD}(t) = k_1 V_0 \int_0^{T} h(s)\, z(t - s)\, ds

    The activity is averaged over steps of at most ``grid_step`` that divide the repetition time, each weighed with the kernel in its
    middle and the length of the step. What past activity adds to the outputs to come is all that is held, not the past itself.

    Parameters
    ----------
    of : str, Observation or callable
        The activity z.
    tr : float or Quantity
        Repetition time [ms], a multiple of dt.
    kernel : ResponseKernel
        :class:`MixtureOfGammas` by default, :class:`FirstOrderVolterra`, :class:`Gamma`, :class:`DoubleExponential`, or one of your
        own. Its parameters go by the name of the observation: ``hrf.rate``.
    convention : {"integral", "tvb"}
        "tvb" is the sum over the steps of 4 ms of The Virtual Brain's monitor: not multiplied by the step, the newest mean paired with the
        last value of the kernel, the others with the value one step newer. With the kernel of the flow it is k_1 V_0 (sum - 1),
        otherwise the sum.
    grid_step : float or Quantity
        Longest step of the grid [ms].
    name : str
        Prefix of the parameters.
    k_1, V_0 : float or DataArray
        Scale of the signal, resting volume fraction.
    grid : tuple, optional
        Steps per repetition time, repetition times that the kernel lasts and length of a step; set when the input is known.

    References
    ----------
    Sanz Leon et al. (2015), doi:10.1016/j.neuroimage.2015.01.002; Friston et al. (2000), doi:10.1006/nimg.2000.0630.

    Examples
    --------
    >>> import xmass as xm
    >>> bold = xm.HRFBold(of="S_e", tr=720.0)
    >>> run = xm.Simulator(xm.WongWangExcInhStep(), dt=1.0).run(7200.0, monitors={"bold": bold})
    >>> dict(run.bold.sizes)
    {'bold_time': 10, 'region': 1}
    """

    unit: ClassVar[str] = "1"
    state_names: ClassVar[tuple[str, ...]] = ("ahead",)

    of: Any = eqx.field(static=True, kw_only=True)
    tr: Any = time_field()
    kernel: ResponseKernel = part(MixtureOfGammas)
    convention: Literal["integral", "tvb"] = eqx.field(default="integral", static=True, kw_only=True)
    grid_step: Any = time_field(4.0)
    name: str = eqx.field(default="hrf", static=True, kw_only=True)
    k_1: Value = parameter(5.6, "1", "scale of the signal")
    V_0: Value = parameter(0.02, "1", "resting blood volume fraction")
    grid: tuple[int, int, float] | None = eqx.field(default=None, static=True, kw_only=True)

    def __check_init__(self) -> None:
        if self.convention not in ("integral", "tvb"):
            raise ValueError(f"convention={self.convention!r}, needs 'integral' or 'tvb'.")
        if not isinstance(self.kernel, ResponseKernel):
            raise TypeError(f"kernel={self.kernel!r}, needs a kernel such as xm.MixtureOfGammas() or xm.Gamma(tau=1.2).")

    def fitted(self, row: float, first: int, last: int) -> HRFBold:
        timing = self.timing(row)
        steps, length = timing.period // timing.frame, row * timing.frame
        ahead = math.ceil(round(self.kernel.duration / _SECONDS / length) / steps)
        values = {f: getattr(self, f) for f in ("of", "tr", "kernel", "convention", "grid_step", "name", "k_1", "V_0")}
        return HRFBold(**values, grid=(steps, ahead, length))

    @property
    def state_sizes(self) -> dict[str, int]:
        return {"ahead": self.grid[1] if self.grid else 1}

    def memory(self, entries: int) -> int:
        return 2 * self.state_sizes["ahead"]

    def timing(self, row: float) -> Timing:
        period = whole_rows(self.tr, row, "tr")
        longest = max(int((_TVB_STEP if self.convention == "tvb" else self.grid_step) / row + 1e-9), 1)
        frame = max(k for k in range(1, longest + 1) if period % k == 0)
        if self.convention == "tvb" and abs(frame * row - _TVB_STEP) > 1e-9:
            raise ValueError(
                f"convention='tvb' has steps of {_TVB_STEP:g} ms, and tr={self.tr:g} ms over rows of {row:g} ms has none. "
                f"Take a tr and an input's period that fit, or convention='integral'."
            )
        return Timing(frame, period)

    def init(self, like: jax.Array) -> tuple[jax.Array, jax.Array]:
        assert self.grid is not None, "an observation is fitted to its input first"
        _, ahead, _ = self.grid
        weights = self.weights(like.dtype)
        return jnp.zeros((ahead, *like.shape), like.dtype), jnp.broadcast_to(weights, (*weights.shape[:3], like.shape[1]))

    def weights(self, dtype: Any) -> jax.Array:
        """What a step adds to this output and to those ahead: ``(outputs ahead, step of the repetition time, region or 1, run or 1)``."""
        assert self.grid is not None
        steps, ahead, length = self.grid
        count = round(self.kernel.duration / _SECONDS / length)
        shift = 0.0 if self.convention == "tvb" else 0.5
        t = jnp.asarray((np.arange(count) + shift)[:, None, None] * (length * _SECONDS), dtype)
        values = jnp.atleast_3d(self.kernel(t))
        values = jnp.roll(values, 1, axis=0) if self.convention == "tvb" else values * (length * _SECONDS)
        values = jnp.pad(values, ((0, steps * ahead - count), (0, 0), (0, 0)))
        return values.reshape(ahead, steps, *values.shape[1:])[:, ::-1]

    def step(self, state: tuple, block: Block, timing: Timing, row: Any) -> tuple[tuple, jax.Array]:
        assert self.grid is not None
        steps, k = self.grid[0], timing.frame
        frames = block.values.shape[0] // k
        drive = block.values.reshape(frames, k, *block.values.shape[1:]).mean(axis=1)
        ahead, table = state
        at = lax.rem(block.first // k, jnp.int32(steps))

        def shift(ahead: jax.Array) -> jax.Array:
            return jnp.concatenate([ahead[1:], jnp.zeros_like(ahead[:1])])

        # one step after the other: a run that is continued adds the same numbers in the same order
        def advance(j: jax.Array, loop: tuple) -> tuple:
            ahead, out = loop
            place = lax.rem(at + j, jnp.int32(steps))
            z = lax.dynamic_index_in_dim(drive, j, 0, keepdims=False)
            ahead = ahead + lax.dynamic_index_in_dim(table, place, 1, keepdims=False) * z
            out = lax.dynamic_update_index_in_dim(out, ahead[0], (at + j) // steps, 0)
            return lax.cond(place == steps - 1, shift, lambda a: a, ahead), out

        made = jnp.zeros((max(frames // steps, 1), *ahead.shape[1:]), ahead.dtype)
        ahead, made = lax.fori_loop(*rows(block.lo // k, block.hi // k), advance, (ahead, made))
        return (ahead, table), self.signal(made)

    def signal(self, total: Any) -> Any:
        """BOLD of the weighed sum."""
        if self.convention == "integral":
            return self.k_1 * self.V_0 * total
        return self.k_1 * self.V_0 * (total - 1.0) if self.kernel.flow else total
