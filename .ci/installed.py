"""Fails unless xmass is imported from site-packages and has every file that the repository's ``xmass/`` tracks."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import xmass


def main(repository: str) -> int:
    """The exit status: 1 if the installed package is not the wheel's, or lacks a file."""
    installed = Path(str(xmass.__file__)).parent
    tracked = subprocess.run(["git", "ls-files", "xmass"], cwd=repository, capture_output=True, text=True, check=True).stdout.split("\n")
    missing = [name for name in tracked if name and not (installed.parent / name).is_file()]
    print(f"xmass {version('xmass')}: {len(tracked) - 1} files tracked, {len(missing)} missing from the installed package")
    print("\n".join(missing))
    return int(bool(missing) or "site-packages" not in installed.parts or len(tracked) < 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
