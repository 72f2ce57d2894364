"""Lists the skipped tests of junit reports; fails if shared data that are there were the reason."""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def skipped(report: Path) -> list[tuple[str, str]]:
    """Name and reason of each skipped test."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return [(f"{case.get('classname')}::{case.get('name')}", str(skip.get("message"))) for case in cases for skip in case.iter("skipped")]


def main(reports: list[str]) -> int:
    """The exit status: 1 if a report is missing or a test was skipped for want of data that are there."""
    missing = [report for report in reports if not Path(report).is_file()]
    found = [pair for report in reports if report not in missing for pair in skipped(Path(report))]
    for name, reason in found:
        print(f"skipped: {name}: {reason}")
    wrong = [name for name, reason in found if "shared" in reason.lower() and os.environ.get("XMASS_REQUIRE_SHARED") == "1"]
    print(f"{len(found)} skipped, {len(wrong)} of them for want of shared data that are there, {len(missing)} reports missing")
    return int(bool(wrong or missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
