"""Executes the Python blocks of README.md and of every page below docs/, and checks the links between pages.

The blocks of a page run one after the other as one script, in a process and an empty folder of their own. A block that opens with
````` ```python no-run ````` is shown but not run. Name pages to run only those: ``python .ci/docs.py docs/sweeps.md``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS_PER_PAGE = 600
OPENING = re.compile(r"^\s*```python\b[ \t]*(.*)$")
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block: the line where its code starts, counted from 1, and the code."""

    line: int
    code: str


def blocks(text: str) -> list[Block]:
    """The Python blocks of a page that are to run."""
    found, lines, at = [], text.splitlines(), 0
    while at < len(lines):
        opening, at = OPENING.match(lines[at]), at + 1
        if opening is None:
            continue
        start = at
        while at < len(lines) and lines[at].strip() != "```":
            at += 1
        if at == len(lines):
            raise ValueError(f"the block that opens at line {start} is never closed")
        if opening[1].strip() not in ("", "no-run"):
            raise ValueError(f"line {start}: a Python block opens with ```python or ```python no-run, not ```python {opening[1]}")
        if not opening[1].strip():
            found.append(Block(start + 1, textwrap.dedent("\n".join(lines[start:at]))))
    return found


def script(page: list[Block]) -> str:
    """One script with each block on the lines that it has in the page."""
    lines: list[str] = []
    for block in page:
        lines += [""] * (block.line - 1 - len(lines)) + block.code.split("\n")
    return "\n".join(lines) + "\n"


def failing_block(page: list[Block], path: Path, traceback: str) -> str:
    """Which block a traceback points into."""
    lines = [int(line) for line in re.findall(rf'{re.escape(path.name)}", line (\d+)', traceback)]
    if not lines:
        return "unknown block"
    number = sum(block.line <= lines[-1] for block in page)
    return f"block {number} of {len(page)}, line {lines[-1]}"


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links that lead nowhere."""
    return [link for link in LINK.findall(text) if not (page.parent / link).exists()]


def run_page(page: Path) -> list[str]:
    """Executes one page; returns what is wrong with it."""
    name, text = page.relative_to(ROOT), page.read_text(encoding="utf-8")
    wrong = [f"{name}: the link {link} leads nowhere" for link in broken_links(page, text)]
    try:
        page_blocks = blocks(text)
    except ValueError as error:
        return [*wrong, f"{name}: {error}"]
    if not page_blocks:
        return wrong
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"page_{page.stem}.py"
        path.write_text(script(page_blocks), encoding="utf-8")
        environment = {**os.environ, "MPLBACKEND": "Agg"}
        start = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, path.name],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS_PER_PAGE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [*wrong, f"{name}: still running after {SECONDS_PER_PAGE} s"]
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-8000:], sep="\n")
        return [*wrong, f"{name}: {failing_block(page_blocks, path, done.stderr)}: exit status {done.returncode}"]
    print(f"{name}: {len(page_blocks)} blocks, {time.perf_counter() - start:.1f} s", flush=True)
    return wrong


def main(names: list[str]) -> int:
    """The exit status: 1 if any page failed."""
    pages = [Path(name).resolve() for name in names] or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    wrong = [line for page in pages for line in run_page(page)]
    print("\n".join([*wrong, f"{len(pages)} pages, {len(wrong)} faults"]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
