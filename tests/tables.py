"""The tables of the model and coupling pages, made from the declarations.

``python -m tests.tables`` writes them between the lines ``<!-- tables: ClassName -->`` and ``<!-- end -->`` of every page, and the
lists of all models and presets between ``<!-- catalogue -->`` or ``<!-- presets -->`` and ``<!-- end -->``; ``tests/test_pages.py``
compares.
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
LISTS = re.compile(r"<!-- (catalogue|presets) -->\n(.*?)<!-- end -->", re.DOTALL)


def documented() -> list[type]:
    """Exported classes that need tables on a page."""
    kinds = (xm.NeuralMass, xm.Coupling)
    exported = [getattr(xm, name) for name in xm.__all__]
    found = [c for c in exported if inspect.isclass(c) and issubclass(c, kinds) and c not in kinds]
    return [
        *found,
        xm.BOLDSignal,
        xm.HRFBold,
        xm.MixtureOfGammas,
        xm.Gamma,
        xm.DoubleExponential,
        xm.FirstOrderVolterra,
        xm.EEG,
        xm.MEG,
        xm.SEEG,
        xm.MeasurementNoise,
    ]


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
    default = (
        f"{declared.default:g}" if not declared.dims else f'`"{declared.default}"`' if isinstance(declared.default, str) else "required"
    )
    return f"| `{declared.name}` | {default} | {declared.unit} | {declared.meaning} |"


def _state(s: Any) -> str:
    start = f"uniform in {s.initial.low:g} to {s.initial.high:g}" if isinstance(s.initial, Uniform) else f"{s.initial:g}"
    held = f" (held in [{s.bounds[0]:g}, {s.bounds[1]:g}])" if s.bounds else ""
    return f"| `{s.name}` | {start} | {s.unit} | {s.meaning}{held} |"


def catalogue() -> str:
    """All models as a Markdown table, each with the page that describes it."""
    described = {m[1]: page.name for page in pages() for m in BLOCK.finditer(page.read_text(encoding="utf-8"))}
    described |= dict.fromkeys(("HORNSeqLayer", "HORNSeqNetwork"), "../training/recurrent.md")
    rows = []
    for r in xm.list_models():
        name = f"[`{r.name}`]({described[r.name]})" if r.name in described else f"`{r.name}`"
        rows.append(f"| {name} | {r.category} | {r.n_states} | {r.use_case} |")
    return _table("model", ["category", "states", "use"], rows)


def presets() -> str:
    """The named parameter sets of all models, with the first sentence of their docstrings."""
    rows = []
    for r in xm.list_models():
        cls = getattr(xm, r.name)
        for name in (n for n, v in vars(cls).items() if isinstance(v, classmethod)):
            said = (inspect.getdoc(getattr(cls, name)) or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")
            rows.append(f"| `xm.{r.name}.{name}()` | {said} |")
    return _table("call", ["model"], rows)


def filled(text: str) -> str:
    """A page with its tables made anew."""
    text = LISTS.sub(lambda m: f"<!-- {m[1]} -->\n{catalogue() if m[1] == 'catalogue' else presets()}<!-- end -->", text)
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
