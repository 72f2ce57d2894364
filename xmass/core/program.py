"""What shapes a compiled run: the program, and the state that a tile carries from call to call."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax

from xmass.core import delay, noise
from xmass.core.coupling import Coupling
from xmass.core.integrate import STAGES_AHEAD
from xmass.core.model import NeuralMass
from xmass.core.observe import Node, Source


class Projection(NamedTuple):
    """Edges that couplings share: how delayed ones are read, and whether undelayed ones are a "dense" or "sparse" matrix, or none."""

    delay: delay.DelayShape | None
    undelayed: str


class Link(NamedTuple):
    """A coupling with its path and the index of its projection."""

    name: str
    coupling: Coupling
    projection: int


@dataclasses.dataclass(frozen=True)
class Program:
    """Everything that shapes the compiled code. Equal programs share one compilation."""

    model: NeuralMass
    couplings: tuple[Link, ...]
    projections: tuple[Projection, ...]
    noises: tuple[tuple[str, str, noise.Noise], ...]
    """Path (``noise_x``), input and process."""
    stimuli: tuple[str, ...]
    scheme: str
    frozen: bool
    bounds: bool
    past: int
    """Steps of a region's own past that its model reads; 0: none."""
    nodes: tuple[Node, ...]
    recorded: tuple[int, ...]
    regions: int
    width: int
    segment: int
    segments: int
    dtype: str
    around: str = ""
    """What the user's own code reads from around its text when it is traced."""

    @property
    def delay(self) -> delay.DelayShape | None:
        """Blocks and histories of the delayed projections, which are the same for all."""
        return next((p.delay for p in self.projections if p.delay is not None), None)

    @property
    def delayed(self) -> tuple[Link, ...]:
        """Couplings that read the past."""
        return tuple(link for link in self.couplings if self.projections[link.projection].delay is not None)

    @property
    def delayed_sources(self) -> tuple[str, ...]:
        """States and outputs that delayed couplings read, each once."""
        return tuple(dict.fromkeys(link.coupling.source for link in self.delayed))

    @property
    def ahead(self) -> int:
        """Steps that a delayed read goes beyond the block."""
        return 1 if self.reads_end else self.stage_ahead

    @property
    def stage_ahead(self) -> int:
        return 0 if self.frozen else STAGES_AHEAD.get(self.scheme, 0)

    @property
    def history(self) -> int:
        """Steps of the past that a run holds, the present one included."""
        return max(self.delay.history if self.delay is not None else 1, self.past + 1 if self.past else 1)

    @property
    def remembered(self) -> tuple[str, ...]:
        """States whose past the model itself reads."""
        return tuple(dict.fromkeys(p.state for p in self.model.past))

    @property
    def reads_end(self) -> bool:
        """An output that needs the coupling at the end of the step is monitored."""
        return any(s.kind == "output" for s in self.sources)

    @property
    def pasts(self) -> tuple[str, ...]:
        """States and outputs whose past a run holds."""
        return tuple(dict.fromkeys([*self.delayed_sources, *self.remembered]))

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(dict.fromkeys(n.input for n in self.nodes if isinstance(n.input, Source)))

    @property
    def tapes(self) -> tuple[str, ...]:
        """Names of the states and outputs that a segment records step by step."""
        names = [s.name for s in self.sources if s.kind in ("state", "output")]
        if any(s.kind in ("derived", "function") for s in self.sources):
            names += [s.name for s in self.model.states]
        return tuple(dict.fromkeys(names))


class Carry(NamedTuple):
    """State of a tile between calls."""

    states: dict[str, jax.Array]
    rings: dict[str, jax.Array]
    """Delayed signals ``(region, history and its mirror, run)``; of a region's own past, ``own:<state>``, ``(history, region, run)``."""
    coloured: dict[str, dict[str, jax.Array]]
    """What each noise carries, by its names."""
    observers: tuple[Any, ...]
