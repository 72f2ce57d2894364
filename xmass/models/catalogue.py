"""The catalogue of node models, read from the exported classes."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable
from typing import NamedTuple

CATEGORIES = ("phenomenological", "physiological", "network")


class ModelRecord(NamedTuple):
    """What the catalogue says of one model."""

    name: str
    category: str
    n_states: int
    use_case: str


NETWORKS = (
    ModelRecord("HORNSeqLayer", "network", 2, "Layer of harmonic oscillators, trained on series"),
    ModelRecord("HORNSeqNetwork", "network", 2, "Layers of harmonic oscillators with a readout, trained on series"),
)
"""What is made of node models, above this layer, and belongs in the catalogue."""


class ModelTable:
    """Rows under a header: text in a terminal (a Markdown table), a table in a notebook."""

    def __init__(self, columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:
        self.columns = columns
        self.rows = rows

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows)]
        lines = [self.columns, tuple("-" * w for w in widths), *self.rows]
        return "\n".join("| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |" for line in lines)

    def _repr_html_(self) -> str:
        def row(cells: Iterable[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag} style='text-align: left'>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self.rows)
        return f"<table><thead>{row(self.columns, 'th')}</thead><tbody>{body}</tbody></table>"


class ModelList(tuple[ModelRecord, ...]):
    """Records of models, in the order of the catalogue."""

    __slots__ = ()

    def to_table(self) -> ModelTable:
        """The records as a table to read: ``print`` it, or leave it at the end of a notebook's cell."""
        return ModelTable(("model", "category", "states", "use"), tuple((r.name, r.category, str(r.n_states), r.use_case) for r in self))


def list_models(category: str | None = None) -> ModelList:
    """The models of the library: name of the class, category, number of states and what it is for.

    Parameters
    ----------
    category : {"phenomenological", "physiological", "network"}, optional
        Only the models of this category.

    Returns
    -------
    ModelList
        A tuple of records ``(name, category, n_states, use_case)``: phenomenological models, then physiological ones, then
        those that are meant as a network, by name within each. ``.to_table()`` is the same to read. A model is
        ``getattr(xm, record.name)``: a node model, or one of the trained networks :class:`xmass.HORNSeqLayer` and
        :class:`xmass.HORNSeqNetwork`.

    Raises
    ------
    ValueError
        For a category that does not exist.

    Examples
    --------
    >>> import xmass as xm
    >>> {m.name: m.n_states for m in xm.list_models()}["HopfStep"]
    2
    >>> {m.category for m in xm.list_models(category="physiological")}
    {'physiological'}
    """
    if category is not None and category not in CATEGORIES:
        raise ValueError(f"category={category!r}, needs one of {', '.join(map(repr, CATEGORIES))}.")
    models = importlib.import_module("xmass.models")
    classes = [getattr(models, name) for name in models.__all__]
    records = [*(ModelRecord(c.__name__, c.category, len(c.states), c.use_case) for c in classes), *NETWORKS]
    chosen = [r for r in records if category in (None, r.category)]
    return ModelList(sorted(chosen, key=lambda r: (CATEGORIES.index(r.category), r.name)))
