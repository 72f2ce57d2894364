"""Sums up junit reports, lists the skipped tests, and fails if one was skipped for want of shared data that are there."""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(reports: list[str]) -> int:
    """The exit status: 1 if a report is missing, or a skip that ``XMASS_REQUIRE_SHARED=1`` forbids was found."""
    missing = [report for report in reports if not Path(report).is_file()]
    cases = [case for report in reports if report not in missing for case in ElementTree.parse(report).getroot().iter("testcase")]
    failures = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skips = [(f"{case.get('classname')}::{case.get('name')}", str(skip.get("message"))) for case in cases for skip in case.iter("skipped")]
    forbidden = [name for name, reason in skips if "shared" in reason.lower() and os.environ.get("XMASS_REQUIRE_SHARED") == "1"]
    for name, reason in skips:
        print(f"skipped: {name}: {reason}")
    for name in forbidden:
        print(f"skipped for want of shared data, which are there: {name}")
    for report in missing:
        print(f"no report {Path(report).name}: its tests did not run to their end")
    print(f"{len(cases) - len(failures) - len(skips)} passed, {len(failures)} failed, {len(skips)} skipped")
    return int(bool(forbidden or missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
