"""The tables of the model and coupling pages, made from the declarations.

``python -m tests.tables`` writes them between the lines ``<!-- tables: ClassName -->`` and ``<!-- end -->`` of every page;
``tests/test_pages.py`` compares.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import xmass as xm
from xmass.core.model import Uniform, declared_parameters

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"<!-- tables: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)


def documented() -> list[type]:
    """Exported classes that need tables on a page."""
    kinds = (xm.NeuralMass, xm.Coupling)
    exported = [getattr(xm, name) for name in xm.__all__]
    found = [c for c in exported if inspect.isclass(c) and issubclass(c, kinds) and c not in kinds]
    return [*found, xm.BOLDSignal]


def tables(cls: type) -> str:
    """Markdown tables of a class: parameters and, for a model, states, inputs, outputs."""
    rows = [_table("parameter", ["default", "unit", "meaning"], [_parameter(d) for d in declared_parameters(cls)])]
    if issubclass(cls, xm.NeuralMass):
        rows.append(_table("state", ["starts at", "unit", "meaning"], [_state(s) for s in cls.states]))
        rows.append(_table("input", ["unit", "meaning"], [f"| `{i.name}` | {i.unit} | {i.meaning} |" for i in cls.inputs]))
        rows.append(_table("output", ["unit", "meaning"], [f"| `{o.name}` | {o.unit} | {o.meaning} |" for o in cls.outputs]))
    return "\n".join(r for r in rows if r)


def _table(first: str, columns: list[str], rows: list[str]) -> str:
    if not rows:
        return ""
    return "\n".join([f"| {' | '.join([first, *columns])} |", "|" + "---|" * (len(columns) + 1), *rows]) + "\n"


def _parameter(declared: Any) -> str:
    return f"| `{declared.name}` | {declared.default:g} | {declared.unit} | {declared.meaning} |"


def _state(s: Any) -> str:
    start = f"uniform in {s.initial.low:g} to {s.initial.high:g}" if isinstance(s.initial, Uniform) else f"{s.initial:g}"
    held = f" (held in [{s.bounds[0]:g}, {s.bounds[1]:g}])" if s.bounds else ""
    return f"| `{s.name}` | {start} | {s.unit} | {s.meaning}{held} |"


def filled(text: str) -> str:
    """A page with its tables made anew."""
    return BLOCK.sub(lambda m: f"<!-- tables: {m[1]} -->\n{tables(getattr(xm, m[1]))}<!-- end -->", text)


def pages() -> list[Path]:
    """Every page of the documentation."""
    return sorted(DOCS.rglob("*.md"))


if __name__ == "__main__":
    for page in pages():
        old = page.read_text(encoding="utf-8")
        new = filled(old)
        if new != old:
            page.write_text(new, encoding="utf-8")
            print(page.relative_to(DOCS))
