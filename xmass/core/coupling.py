"""What a coupling is: a function of the source before the sum over edges, and one after it."""

from __future__ import annotations

from typing import Any

import equinox as eqx


class Coupling(eqx.Module):
    """How the activity of source regions enters an input of the target regions.

    A subclass declares ``source`` (a state or output of the model) and ``target`` (an input) and writes ``post``; ``pre``
    is the identity unless it is written too. The engine forms, for target region i,
    ``total_i = sum_j weights_ij * pre(source_j(t - delay_ij))`` and adds ``post(total, own, strength)`` to the target input.
    """

    source: eqx.AbstractVar[str]
    target: eqx.AbstractVar[str]

    def pre(self, x: Any) -> Any:
        """The signal that a region sends."""
        return x

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        """The current that a region receives: from the sum, its own source value now, and its row sum of weights."""
        raise NotImplementedError(f"{type(self).__name__} must define post(self, total, own, strength).")
