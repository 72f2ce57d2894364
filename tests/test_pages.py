"""What the pages say of declared parameters, states, inputs and outputs is what the classes declare."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tables import BLOCK, DOCS, documented, filled, pages


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(DOCS)))
def test_tables_of_a_page_are_the_declarations(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, "python -m tests.tables writes them"


@pytest.mark.parametrize("cls", documented(), ids=lambda c: c.__name__)
def test_every_documented_class_has_tables_under_a_heading_of_its_own(cls: type) -> None:
    """One page has its tables, and the last heading above them names the class."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match[1] == cls.__name__:
                headings = re.findall(r"^#+ (.*)$", text[: match.start()], re.MULTILINE)
                found.append((page, headings))
    assert len(found) == 1, f"{cls.__name__} has tables on {len(found)} pages, needs one"
    page, headings = found[0]
    assert any(f"`{cls.__name__}`" in h for h in headings), f"{page.name} has no heading with `{cls.__name__}`"


def test_the_index_links_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+\.md)\)", (DOCS / "index.md").read_text(encoding="utf-8")))
    existing = {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")} - {"index.md"}
    assert existing <= linked, f"docs/index.md does not link {sorted(existing - linked)}"
