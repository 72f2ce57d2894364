"""Power spectral density as a running reduction."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core.model import time_field
from xmass.core.observe import Block, Observation, Timing, rows

_FEWEST = 8
_SECONDS = 1e-3


class PowerSpectrum(Observation):
    """Power spectral density by Welch's method: mean over overlapping Hann segments without their mean, one-sided, per Hz.

    Equal to ``xm.power_spectrum`` of the series after the transient. One segment of the series is held, not the series.

    Parameters
    ----------
    of : str, Observation or callable
        A series: a state, an output or another observation, such as :class:`EEG`. Its spectrum above half its sampling rate is folded
        down: average it over time first, rather than taking samples of it.
    segment : float or Quantity
        Length of a segment [ms]; the resolution is one over it. Rounded to whole samples.
    overlap : float
        The fraction by which segments overlap.
    dim : str
        The dim of frequencies. Two spectra of one run with different frequencies need two.
    name : str
        Name under which the observation is listed.
    grid : tuple, optional
        Samples of a segment, samples shared by two, period; set when the input is known.

    References
    ----------
    Welch (1967), doi:10.1109/TAU.1967.1161901.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(a=0.2, w=0.3), dt=0.1)
    >>> run = sim.run(2000.0, monitors={"p": xm.PowerSpectrum(of="x", segment=1000.0)}, transient=100.0, initial={"x": 0.1})
    >>> run.p.dims, float(run.p.idxmax("frequency")[0])                        # 0.3 rad/ms is 47.7 Hz
    (('region', 'frequency'), 48.0)
    """

    reduces: ClassVar[bool] = True
    unit: ClassVar[str] = "source*source/Hz"

    of: Any = eqx.field(static=True, kw_only=True)
    segment: Any = time_field()
    overlap: float = eqx.field(default=0.5, static=True, kw_only=True)
    dim: str = eqx.field(default="frequency", static=True, kw_only=True)
    name: str = eqx.field(default="spectrum", static=True, kw_only=True)
    grid: tuple[int, int, float] | None = eqx.field(default=None, static=True, kw_only=True)

    def __check_init__(self) -> None:
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap={self.overlap!r}, needs a fraction from 0 to below 1, such as 0.5.")

    @property
    def dims(self) -> tuple[str, ...]:  # type: ignore[override]
        """Dims of the result."""
        return ("region", self.dim)

    @property
    def fewest(self) -> int:
        """One segment."""
        return self.grid[0] if self.grid else _FEWEST

    def fitted(self, row: float, first: int, last: int) -> PowerSpectrum:
        length = round(self.segment / row)
        if length < _FEWEST:
            raise ValueError(
                f"segment={self.segment:g} ms has {length} samples of {row:g} ms, needs {_FEWEST} or more: segment={_FEWEST * row:g}."
            )
        shared = min(round(length * self.overlap), length - 1)
        values = {f: getattr(self, f) for f in ("of", "segment", "overlap", "dim", "name")}
        return PowerSpectrum(**values, grid=(length, shared, row))

    def axes(self) -> dict[str, tuple[Any, str]]:
        length, _, period = self._grid
        return {self.dim: (np.fft.rfftfreq(length, period * _SECONDS), "Hz")}

    @property
    def _grid(self) -> tuple[int, int, float]:
        assert self.grid is not None, "an observation is fitted to its input first"
        return self.grid

    def memory(self, entries: int) -> int:
        return 2 * self._grid[0]

    def timing(self, row: float) -> Timing:
        return Timing(1, 0)

    def init(self, like: jax.Array) -> dict[str, jax.Array]:
        length = self._grid[0]
        none = jnp.zeros((), jnp.int32)
        held, power = jnp.zeros((length, *like.shape), like.dtype), jnp.zeros((length // 2 + 1, *like.shape), like.dtype)
        return {"count": none, "segments": none, "held": held, "power": power}

    def step(self, state: dict[str, jax.Array], block: Block, timing: Timing, row: Any) -> tuple[dict[str, jax.Array], None]:
        length, shared, _ = self._grid
        far = length - shared

        def add(state: dict[str, jax.Array]) -> dict[str, jax.Array]:
            series = jnp.roll(state["held"], -lax.rem(state["count"], jnp.int32(length)), axis=0)
            return {**state, "segments": state["segments"] + 1, "power": state["power"] + self.power(series)}

        def take(i: jax.Array, state: dict[str, jax.Array]) -> dict[str, jax.Array]:
            values = lax.dynamic_index_in_dim(block.values, i, 0, keepdims=False)
            held = lax.dynamic_update_index_in_dim(state["held"], values, lax.rem(state["count"], jnp.int32(length)), 0)
            state = {**state, "held": held, "count": state["count"] + 1}
            full = (state["count"] >= length) & (lax.rem(state["count"] - length, jnp.int32(far)) == 0)
            return lax.cond(full, add, lambda s: s, state)

        counted = block.keep - block.first
        if isinstance(block.lo, int):
            lo, hi = rows(block.lo, block.hi)
            return lax.fori_loop(lo, hi, lambda i, s: lax.cond(i >= counted, lambda s: take(i, s), lambda s: s, s), state), None
        return lax.fori_loop(jnp.maximum(block.lo, counted), block.hi, take, state), None

    def power(self, series: jax.Array) -> jax.Array:
        """Density of one segment ``(time, region, run)``."""
        length, _, period = self._grid
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        scale = np.full(length // 2 + 1, 2.0 * period * _SECONDS / (window**2).sum())
        scale[0] *= 0.5
        if length % 2 == 0:
            scale[-1] *= 0.5  # 0 and half the sampling rate have no negative partner
        x = series - series[0]
        x = (x - x.mean(axis=0)) * jnp.asarray(window[:, None, None], x.dtype)
        found = jnp.fft.rfft(x, axis=0)
        return (found.real**2 + found.imag**2) * jnp.asarray(scale[:, None, None], x.dtype)

    def value(self, state: dict[str, jax.Array]) -> jax.Array:
        segments = state["segments"].astype(state["power"].dtype)
        return jnp.moveaxis(state["power"] / jnp.where(segments > 0, segments, jnp.nan), 0, 1)
