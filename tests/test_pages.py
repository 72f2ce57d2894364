"""What the pages say of declared parameters, states, inputs and outputs is what the classes declare."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import xmass as xm
from xmass.core.model import Uniform, declared_parameters

DOCS = Path(__file__).resolve().parents[1] / "docs"

MODELS = {
    "hopf": xm.HopfStep,
    "linear": xm.LinearStep,
    "generic2d": xm.Generic2dOscillatorStep,
    "wilson_cowan": xm.WilsonCowanStep,
    "wong_wang": xm.WongWangExcInhStep,
    "montbrio": xm.MontbrioPazoRoxinStep,
}
OTHERS = {
    "couplings/additive": xm.AdditiveCoupling,
    "couplings/diffusive": xm.DiffusiveCoupling,
    "observations/bold": xm.BOLDSignal,
}


def _rows(page: str, title: str) -> list[str]:
    """The rows of the one table of a page whose first column is called ``title``."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    tables = re.findall(rf"^\| {title} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert len(tables) == 1, f"{page}.md has {len(tables)} tables of {title}s, needs one"
    return tables[0].splitlines()


def _parameters(cls: type) -> list[str]:
    return [f"| `{d.name}` | {d.default:g} | {d.unit} | {d.meaning} |" for d in declared_parameters(cls)]


def _state(s: Any) -> str:
    start = f"uniform in {s.initial.low:g} to {s.initial.high:g}" if isinstance(s.initial, Uniform) else f"{s.initial:g}"
    held = f" (held in [{s.bounds[0]:g}, {s.bounds[1]:g}])" if s.bounds else ""
    return f"| `{s.name}` | {start} | {s.unit} | {s.meaning}{held} |"


@pytest.mark.parametrize("page", MODELS)
def test_tables_of_a_model_page_are_its_declarations(page: str) -> None:
    model = MODELS[page]
    assert _rows(f"models/{page}", "parameter") == _parameters(model)
    assert _rows(f"models/{page}", "state") == [_state(s) for s in model.states]
    assert _rows(f"models/{page}", "input") == [f"| `{i.name}` | {i.unit} | {i.meaning} |" for i in model.inputs]
    if model.outputs:
        assert _rows(f"models/{page}", "output") == [f"| `{o.name}` | {o.unit} | {o.meaning} |" for o in model.outputs]


@pytest.mark.parametrize("page", OTHERS)
def test_tables_of_couplings_and_observations_are_their_declarations(page: str) -> None:
    assert _rows(page, "parameter") == _parameters(OTHERS[page])


def test_every_exported_model_has_a_page() -> None:
    exported = {value for name, value in vars(xm).items() if isinstance(value, type) and issubclass(value, xm.NeuralMass)}
    assert exported - {xm.NeuralMass} == set(MODELS.values())


def test_the_index_links_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+\.md)\)", (DOCS / "index.md").read_text(encoding="utf-8")))
    pages = {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")} - {"index.md"}
    assert pages <= linked, f"docs/index.md does not link {sorted(pages - linked)}"
