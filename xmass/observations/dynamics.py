"""Functional connectivity dynamics as a reduction."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core.model import time_field
from xmass.core.observe import Block, Observation, Timing

_FEWEST = 3
_SECONDS = 1e-3


class FunctionalConnectivityDynamics(Observation):
    """The correlation of the FC of every window with that of every other window: FCD.

    Equal to ``xm.fcd`` of the series after the transient; ``xm.fcd_distribution`` takes its entries. The series itself is held during the
    run, samples times regions, and the FC of all windows of one run at its end, windows times pairs of regions: this is for BOLD, whose
    samples are few. Another duration compiles again.

    Parameters
    ----------
    of : str, Observation or callable
        A series, such as :class:`BOLDSignal`.
    window : float or Quantity
        Length of a window [ms].
    stride : float or Quantity
        From the start of one window to that of the next [ms].
    name : str
        Name under which the observation is listed.
    grid : tuple, optional
        Samples of a window, of a step, number of windows, samples that count, the first of them, period; set when the input is known.

    References
    ----------
    Hansen, Battaglia, Spiegler, Deco, Jirsa (2015), doi:10.1016/j.neuroimage.2014.11.001.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1, regions=4)
    >>> fcd = xm.FunctionalConnectivityDynamics(of="x", window=20.0, stride=10.0)
    >>> sim.run(100.0, monitors={"fcd": fcd}, seed=1).fcd.sizes["window"]
    9
    """

    reduces: ClassVar[bool] = True
    unit: ClassVar[str] = "1"
    dims: ClassVar[tuple[str, ...]] = ("window", "window_other")

    of: Any = eqx.field(static=True, kw_only=True)
    window: Any = time_field(60_000.0)
    stride: Any = time_field(3_000.0)
    name: str = eqx.field(default="fcd", static=True, kw_only=True)
    grid: tuple[int, int, int, int, int, float] | None = eqx.field(default=None, static=True, kw_only=True)

    @property
    def fewest(self) -> int:
        """Two windows."""
        return self.grid[0] + self.grid[1] if self.grid else _FEWEST

    def fitted(self, row: float, first: int, last: int) -> FunctionalConnectivityDynamics:
        length, stride = round(self.window / row), round(self.stride / row)
        if length < _FEWEST or stride < 1:
            raise ValueError(
                f"window={self.window:g} ms and stride={self.stride:g} ms have {length} and {stride} samples of {row:g} ms, "
                f"need {_FEWEST} and 1 or more."
            )
        number = max((last - first - length) // stride + 1, 1)
        values = {f: getattr(self, f) for f in ("of", "window", "stride", "name")}
        return FunctionalConnectivityDynamics(**values, grid=(length, stride, number, max(last - first, length), first, row))

    @property
    def _grid(self) -> tuple[int, int, int, int, int, float]:
        assert self.grid is not None, "an observation is fitted to its input first"
        return self.grid

    def axes(self) -> dict[str, tuple[Any, str]]:
        length, stride, number, _, first, row = self._grid
        middle = (first + np.arange(number) * stride + 0.5 * (length + 1)) * row
        return {"window": (middle, "ms"), "window_other": (middle, "ms")}

    def record(self) -> dict[str, Any]:
        length, stride, _, _, _, row = self._grid
        return {"window": round(length * row * _SECONDS, 9), "step": round(stride * row * _SECONDS, 9)}

    def memory(self, entries: int) -> int:
        return self._grid[3]

    def timing(self, row: float) -> Timing:
        return Timing(1, 0)

    def init(self, like: jax.Array) -> dict[str, jax.Array]:
        return {"series": jnp.zeros((self._grid[3], *like.shape), like.dtype)}

    def step(self, state: dict[str, jax.Array], block: Block, timing: Timing, row: Any) -> tuple[dict[str, jax.Array], None]:
        rows = lax.iota(jnp.int32, block.values.shape[0])
        place = jnp.where(block.mask(), block.first + rows - block.keep, self._grid[3])
        return {"series": state["series"].at[place].set(block.values, mode="drop")}, None

    def value(self, state: dict[str, jax.Array]) -> jax.Array:
        length, stride, number, _, _, _ = self._grid
        upper = np.triu_indices(state["series"].shape[1], 1)

        def one_run(series: jax.Array) -> jax.Array:
            def one_window(i: jax.Array) -> jax.Array:
                return _correlation(lax.dynamic_slice_in_dim(series, i * stride, length))[upper]

            edges = lax.map(one_window, jnp.arange(number))
            return _correlation(edges.T)

        return jnp.moveaxis(lax.map(one_run, jnp.moveaxis(state["series"], -1, 0)), 0, -1)


def _correlation(series: jax.Array) -> jax.Array:
    """Pearson correlation between the columns of ``(sample, entry)``; NaN for a constant one."""
    x = series - series[0]
    x = x - x.mean(axis=0)
    x = x - x.mean(axis=0)
    varies = series.max(axis=0) > series.min(axis=0)
    square = (x * x).sum(axis=0)
    x = x / jnp.sqrt(jnp.where(varies & (square > 0), square, 1.0))
    found = jnp.matmul(x.T, x, precision=lax.Precision.HIGHEST)
    found = jnp.clip(0.5 * (found + found.T), -1.0, 1.0)
    found = jnp.where(np.eye(found.shape[0], dtype=bool), 1.0, found)
    return jnp.where(varies[:, None] & varies[None, :], found, jnp.nan)
