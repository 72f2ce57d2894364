"""Averages and samples of a series."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from xmass.core.model import time_field
from xmass.core.observe import Block, Observation, Timing, zeros_like_row


def whole_rows(period: float, row: float, what: str) -> int:
    """How many rows of ``row`` ms a period of ``period`` ms has; ValueError unless a whole number."""
    rows = round(period / row)
    if rows < 1 or abs(period / row - rows) > 1e-6 * max(rows, 1):
        nearest = max(rows, 1) * row
        raise ValueError(f"{what}={period:g} ms is not a multiple of its input's period of {row:g} ms. Take {nearest:g} ms, or another dt.")
    return rows


class TemporalAverage(Observation):
    """Mean over consecutive windows; an incomplete last window is not returned.

    Parameters
    ----------
    of : str, Observation or callable
        What is averaged: a state, an output or another series.
    period : float or Quantity
        Length of the window [ms]; the stamp is its end.
    name : str
        Name under which the observation is listed.

    Examples
    --------
    >>> import xmass as xm
    >>> smooth = xm.TemporalAverage(of="x", period=4.0)
    >>> xm.Simulator(xm.HopfStep(), dt=0.1).run(20.0, monitors={"smooth": smooth}).smooth.sizes["smooth_time"]
    5
    """

    of: Any = eqx.field(static=True, kw_only=True)
    period: Any = time_field()
    name: str = eqx.field(default="average", static=True, kw_only=True)

    def timing(self, row: float) -> Timing:
        return Timing(1, whole_rows(self.period, row, "period"))

    def init(self, like: jax.Array) -> jax.Array:
        return zeros_like_row(like)

    def step(self, state: jax.Array, block: Block, timing: Timing, row: Any) -> tuple[jax.Array, jax.Array]:
        rows, p = block.values.shape[0], timing.period
        if p <= rows:
            return state, block.values.reshape(rows // p, p, *block.values.shape[1:]).mean(axis=1)
        state = state + block.values.sum(axis=0)
        return jnp.where(block.due, jnp.zeros_like(state), state), (state / p)[None]


class Subsample(Observation):
    """Every n-th sample of a series.

    Parameters
    ----------
    of : str, Observation or callable
        What is sampled: a state, an output or another series.
    period : float or Quantity
        Time between two samples [ms].
    name : str
        Name under which the observation is listed.

    Examples
    --------
    >>> import xmass as xm
    >>> sparse = xm.Subsample(of="x", period=5.0)
    >>> xm.Simulator(xm.HopfStep(), dt=0.1).run(20.0, monitors={"sparse": sparse}).sparse.sizes["sparse_time"]
    4
    """

    windowed: ClassVar[bool] = False

    of: Any = eqx.field(static=True, kw_only=True)
    period: Any = time_field()
    name: str = eqx.field(default="subsample", static=True, kw_only=True)

    def timing(self, row: float) -> Timing:
        return Timing(1, whole_rows(self.period, row, "period"))

    def init(self, like: jax.Array) -> tuple:
        return ()

    def step(self, state: tuple, block: Block, timing: Timing, row: Any) -> tuple[tuple, jax.Array]:
        p = timing.period
        return state, block.values[p - 1 :: p] if p <= block.values.shape[0] else block.values[-1:]
