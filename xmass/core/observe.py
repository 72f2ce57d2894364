"""The observer protocol: series in, series or a number out, the same code during a run and after it.

A run hands its observers one segment at a time: ``Block.values`` has the rows (time, region, run) of the segment, of which
``lo <= row < hi`` are part of the run. Every observation works on such blocks only, so a stored trajectory cut into the same
kind of blocks gives the same numbers.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Block(NamedTuple):
    """Rows of a series: values, the valid range, which rows come after the transient, and whether an output is due.

    ``lo`` and ``hi`` are Python ints where a run is differentiated in reverse; ``rows(lo, hi)`` are then the bounds of a loop.
    """

    values: jax.Array
    lo: Any
    hi: Any
    first: jax.Array
    keep: Any
    due: jax.Array
    normals: Any = None
    """Standard normal numbers shaped as the values, by seed and row; for an observation that is ``random``."""

    def mask(self) -> jax.Array:
        """Rows that a reduction counts."""
        row = lax.iota(jnp.int32, self.values.shape[0])
        return (row >= self.lo) & (row < self.hi) & (self.first + row >= self.keep)


class Timing(NamedTuple):
    """In rows of its input: how many rows an observation takes at a time, and between two outputs (0: one at the end)."""

    frame: int
    period: int


class Observation(eqx.Module):
    """Something observed during a run: a series with its own period, or a reduction over time.

    A subclass has the static fields ``of`` (a state, output, monitor function or other observation) and ``name``, under
    which its parameters go.
    """

    reduces: ClassVar[bool] = False
    unit: ClassVar[str] = ""
    """Unit of the result; empty: that of the input, for which the word ``source`` stands."""
    dims: ClassVar[tuple[str, ...]] = ("region", "region_other")
    """Dims of the result of a reduction, before the run axis: these two (of the input, ``sensor`` of an EEG), and those of ``axes``."""
    space: ClassVar[str | None] = None
    """Dim of a series beside time: None, that of the input; empty, none; else a name, with the labels of a matrix parameter."""
    random: ClassVar[bool] = False
    """Whether it reads ``block.normals``."""
    state_names: ClassVar[tuple[str, ...]] = ()
    """Names of the first leaves of the state, a tuple: those that a continued run needs."""
    windowed: ClassVar[bool] = True
    """Every output row is made from all input rows since the one before; False where it needs the last of them alone."""

    of: eqx.AbstractVar[Any]
    name: eqx.AbstractVar[str]

    @property
    def fewest(self) -> int:
        """Input rows without which a reduction has no meaning."""
        return 1

    @property
    def state_sizes(self) -> dict[str, int]:
        """Of named leaves that are ``(size, region, run)``, the size."""
        return {}

    def fitted(self, row: float, first: int, last: int) -> Observation:
        """The observation for input rows ``row`` ms apart, with static fields set by that.

        Rows from ``first`` (counted from 0) up to ``last``, which is not one, come after the transient; both are 0 where that is not known.
        """
        return self

    def axes(self) -> dict[str, tuple[Any, str]]:
        """Values and unit of further dims of a reduction."""
        return {}

    def memory(self, entries: int) -> int:
        """About how many numbers for each entry and run the state holds."""
        return 2 * entries if self.reduces else 4

    def timing(self, row: float) -> Timing:
        """Frame and period, for input rows ``row`` ms apart. Raises ValueError if they do not fit."""
        raise NotImplementedError(f"{type(self).__name__} must define timing(self, row).")

    def init(self, like: jax.Array) -> Any:
        """State at time 0 for input rows shaped as ``like`` (region, run)."""
        raise NotImplementedError(f"{type(self).__name__} must define init(self, like).")

    def step(self, state: Any, block: Block, timing: Timing, row: Any) -> tuple[Any, jax.Array | None]:
        """Advance over one block; a series returns its output rows."""
        raise NotImplementedError(f"{type(self).__name__} must define step(self, state, block, timing, row).")

    def value(self, state: Any) -> jax.Array:
        """Result of a reduction, run axis last."""
        raise NotImplementedError(f"{type(self).__name__} must define value(self, state).")

    def record(self) -> dict[str, Any]:
        """Further attributes of the result, such as how the series was preprocessed."""
        return {}


class Source(NamedTuple):
    """Where a tape comes from: ``kind`` is "state", "output" (made in the step), "derived" or "function" (made from the tape)."""

    kind: str
    name: str
    function: Any = None


class Node(NamedTuple):
    """One observation in a run's graph, its input (a :class:`Source` or the index of another node) and its timing in steps.

    ``entries_in`` and ``entries`` are the sizes of its input and series beside time and run; 0: as many as regions.
    """

    observation: Observation
    input: Any
    timing: Timing
    rows: int
    period_in: int
    period: int
    entries_in: int = 0
    entries: int = 0


def noise_stream(observation: Observation) -> str:
    """The stream of an observation's random numbers, which is that of a seed and this name."""
    return f"{observation.name}.noise"


def rows(lo: Any, hi: Any) -> tuple[Any, Any]:
    """Bounds of a loop over rows: a loop between Python ints has a fixed length, so it can be differentiated in reverse."""
    return (np.int32(lo), np.int32(hi)) if isinstance(lo, int) and isinstance(hi, int) else (lo, hi)


def due_rows(period: int, segment: int) -> int:
    """Output rows per segment of a series with a period in steps."""
    return max(segment // period, 1)


_SHORTEST = 8


def choose_segment(periods: list[int], frames: list[int], *, block: int, limit: int, most: int) -> int:
    """Steps per segment: every period divides it or is divided by it, every frame divides it.

    ``limit`` is the preferred largest length, ``most`` the largest allowed, ``block`` a length that wastes no delayed read. A
    length below 8, which coprime periods leave, is taken only where none fits between ``limit`` and ``most``.
    """
    unit = math.lcm(1, *frames)
    limit = max(limit, unit)
    candidates = [k for k in range(unit, limit + 1, unit) if all(p % k == 0 or k % p == 0 for p in periods)]
    best = max(candidates, key=lambda k: k / (-(-k // block) * block) * k / (k + 16), default=0)
    if best >= min(_SHORTEST, limit):
        return best
    longer = min((k for k in _beyond(periods, unit, limit) if k <= most), default=best)
    if longer:
        return longer
    raise ValueError(
        f"the monitors have periods of {sorted(set(periods))} steps and advance by {sorted(set(frames))} steps, which share no segment "
        f"of at most {most} steps. Choose periods that are multiples of each other, or a smaller dt."
    )


def _beyond(periods: list[int], unit: int, limit: int) -> list[int]:
    """Lengths above ``limit`` that fit, the smallest among them: multiples of the shorter periods that divide the longer ones."""
    ordered = sorted(set(periods))
    found = []
    for split in range(len(ordered) + 1):
        base, whole = math.lcm(unit, *ordered[:split]), math.gcd(*ordered[split:])
        if not whole:
            found.append((limit // base + 1) * base)
        elif whole % base == 0:
            rest = whole // base
            low = [d for d in range(1, math.isqrt(rest) + 1) if rest % d == 0]
            found += [base * d for d in (*low, *(rest // d for d in low)) if base * d > limit]
    return found


def zeros_like_row(like: jax.Array) -> jax.Array:
    """A zero row (region, run) of the same dtype."""
    return jnp.zeros(like.shape, like.dtype)
