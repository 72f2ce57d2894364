"""Weighted sums of objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xmass.analysis.custom import DatasetObjective
from xmass.objectives.objective import Direction, Objective, Variables


@dataclass(frozen=True)
class Combined:
    """A weighted sum of objectives, itself an objective; made by :func:`combine`."""

    name: str
    direction: Direction
    terms: tuple[tuple[float, Objective | DatasetObjective], ...]
    meaning: str = ""

    @property
    def variables(self) -> tuple[Variables | tuple[None, None], ...]:
        """The variables of both sides, for each term."""
        return tuple(term.variables for _, term in self.terms)

    @property
    def best(self) -> float | None:
        """The score of equal data, where every term has one."""
        scores = [(factor, term.best) for factor, term in self.terms]
        return None if any(best is None for _, best in scores) else sum(factor * best for factor, best in scores if best is not None)

    @property
    def differentiable(self) -> bool:
        """Whether every term has a gradient."""
        return all(term.differentiable for _, term in self.terms)

    def __call__(self, *pairs: tuple[Any, Any]) -> Any:
        """Score of one ``(simulated, recorded)`` pair per term, in the order of ``terms``: arrays, or Datasets where a term takes these."""
        if len(pairs) != len(self.terms):
            raise ValueError(
                f"objective {self.name!r} got {len(pairs)} pairs of arrays, needs {len(self.terms)}, one for each of its terms."
            )
        return sum(factor * term(*pair) for (factor, term), pair in zip(self.terms, pairs, strict=True))


def combine(
    *objectives: Objective | DatasetObjective | Combined, weights: Sequence[float] | None = None, name: str | None = None
) -> Combined:
    """Weighted sum of objectives, with the direction of the first.

    A term that points the other way enters with a minus sign, so that better is always better:
    ``combine(fc_corr(), mean_fc())`` is fc_corr − |difference of mean FC|, to be maximised, and
    ``combine(fc_rmse(), bold_sd_ratio())`` is fc_rmse + |log sd ratio|, to be minimised.

    Parameters
    ----------
    *objectives : Objective
        Two or more.
    weights : sequence of float, optional
        One positive number for each objective; 1 by default.
    name : str, optional
        By default the names and signs, such as ``"fc_corr-mean_fc"``.

    Raises
    ------
    ValueError
        If there are fewer than two objectives, or the weights are not one positive number for each.

    Examples
    --------
    >>> from xmass import objectives
    >>> score = objectives.combine(objectives.fc_corr("fc", "bold"), objectives.mean_fc("fc", "bold"))
    >>> score.name, score.direction, [factor for factor, _ in score.terms]
    ('fc_corr-mean_fc', 'max', [1.0, -1.0])
    """
    if len(objectives) < 2:
        raise ValueError(f"combine got {len(objectives)} objectives, needs two or more: combine(fc_corr(), mean_fc()).")
    factors = [1.0] * len(objectives) if weights is None else [float(w) for w in weights]
    if len(factors) != len(objectives) or any(not 0 < f < float("inf") for f in factors):
        raise ValueError(
            f"combine got weights={factors} for {len(objectives)} objectives, needs one positive number for each: "
            "the sign follows from each objective's direction."
        )
    direction = objectives[0].direction
    signed = [f if o.direction == direction else -f for f, o in zip(factors, objectives, strict=True)]
    terms = tuple((outer * inner, term) for outer, o in zip(signed, objectives, strict=True) for inner, term in o.terms)
    label = "".join(_label(f, o.name, first=i == 0) for i, (f, o) in enumerate(zip(signed, objectives, strict=True)))
    return Combined(name=name or label, direction=direction, terms=terms, meaning=label)


def _label(factor: float, name: str, *, first: bool) -> str:
    sign = "-" if factor < 0 else ("" if first else "+")
    size = abs(factor)
    return f"{sign}{name}" if size == 1 else f"{sign}{size:g}*{name}"
