"""How a benchmark talks to a peer in another environment: one JSON object per line on stdin, one per line back on stdout.

``{"do": "prepare", "case": {...}}`` builds and compiles (answer: seconds), ``{"do": "time"}`` runs once more (seconds),
``{"do": "save", "file": ...}`` writes the trajectory ``(run, time, region)`` of the first state with numpy.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[], Any]
Build = Callable[[dict], tuple[Run, Callable[[Any], np.ndarray]]]


def serve(build: Build, versions: dict[str, str]) -> None:
    """Answer requests until stdin ends. ``build(case)`` gives a run that waits for its result, and what makes it a trajectory."""
    out = sys.stdout
    sys.stdout = sys.stderr
    print(json.dumps({"versions": versions}), file=out, flush=True)
    run, trajectory = None, None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            start = time.perf_counter()
            if request["do"] == "prepare":
                run, trajectory = build(request["case"])
                run()
            elif request["do"] == "time":
                run()
            else:
                np.save(request["file"], trajectory(run()))
            answer = {"seconds": time.perf_counter() - start}
        except Exception as error:  # noqa: BLE001  the other side decides what to do without this case
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), file=out, flush=True)
