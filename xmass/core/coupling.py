"""What a coupling is: a function of the source before the sum over edges, and one after it."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.model import declared_parameters, replace


class Coupling(eqx.Module):
    """How the activity of source regions enters an input of the target regions.

    A subclass declares ``source`` (a state or output of the model) and ``target`` (an input) and writes ``post``; ``pre``
    is the identity unless it is written too. The engine forms, for target region i,
    ``total_i = sum_j weights_ij * pre(source_j(t - delay_ij))`` and adds ``post(total, own, strength)`` to the target input.
    """

    source: eqx.AbstractVar[str]
    target: eqx.AbstractVar[str]

    def weighting(self, weights: np.ndarray) -> np.ndarray:
        """The matrix that is summed with, from ``weights`` ``(..., region, region_other)``: as they are unless written. In numpy.

        It is made once for all runs of a connectome, so it cannot read parameters.
        """
        return weights

    def pre(self, x: Any) -> Any:
        """The signal that a region sends, or a tuple of several; ``post`` then gets a tuple of their totals."""
        return x

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        """The current that a region receives: from the sum, its own source value now, and the row sum of what is summed with."""
        raise NotImplementedError(f"{type(self).__name__} must define post(self, total, own, strength).")


@functools.lru_cache(maxsize=256)
def signals(coupling: Coupling) -> int:
    """How many signals a coupling (with hashable parameters) sends as a tuple; 0 for one that is no tuple."""
    numbers = dict.fromkeys((d.name for d in declared_parameters(type(coupling))), jax.ShapeDtypeStruct((1, 1), jnp.float32))
    made = jax.eval_shape(lambda p, x: replace(coupling, p).pre(x), numbers, jax.ShapeDtypeStruct((1, 1), jnp.float32))
    return len(made) if isinstance(made, tuple) else 0


def sends_itself(coupling: Coupling) -> bool:
    """Whether the signal is the source as it is."""
    return type(coupling).pre is Coupling.pre
