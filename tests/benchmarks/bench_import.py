"""How long ``import xmass`` takes beside ``import jax, xarray``; the aim is a ratio below 1.5. Needs a quiet machine.

Run with ``python tests/benchmarks/bench_import.py``.
"""

from __future__ import annotations

import subprocess
import sys
import time

REPEATS = 9


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Take turns, so that a busy moment hits all of them, and compare the best times without the interpreter's own start."""
    codes = {"nothing": "pass", "jax, xarray": "import jax, xarray", "xmass": "import xmass"}
    for code in codes.values():
        seconds(code)  # bytecode and file cache
    best = dict.fromkeys(codes, float("inf"))
    for _ in range(REPEATS):
        for name, code in codes.items():
            best[name] = min(best[name], seconds(code))
    reference, ours = best["jax, xarray"] - best["nothing"], best["xmass"] - best["nothing"]
    print(f"import jax, xarray: {reference:.3f} s; import xmass: {ours:.3f} s; ratio {ours / reference:.2f} (aim: below 1.5)")


if __name__ == "__main__":
    main()
