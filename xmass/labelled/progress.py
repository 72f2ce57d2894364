"""A progress bar that shows itself only where it is useful."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

_QUIET_SECONDS = 3.0
_LOG_SECONDS = 15.0


class Bar:
    """Counts simulated steps, or what ``unit`` says. ``show=None`` shows the bar after a few seconds, True at once, False never."""

    def __init__(self, total: int, label: str, show: bool | None, unit: str = "steps") -> None:
        self.total, self.label, self.show, self.unit = total, label, show, unit
        self.bar: Any = None
        self.lock = threading.Lock()

    def __enter__(self) -> Bar:
        if self.show is not False:
            from tqdm.auto import tqdm

            self.bar = tqdm(
                total=self.total,
                desc=self.label,
                unit=f" {self.unit}",
                unit_scale=True,
                delay=0.0 if self.show else _QUIET_SECONDS,
                leave=bool(self.show),
                mininterval=0.1 if sys.stderr.isatty() or "ipykernel" in sys.modules else _LOG_SECONDS,  # a log gets few lines
            )
        return self

    def add(self, steps: int) -> None:
        """Report progress from any thread."""
        if self.bar is not None:
            with self.lock:
                self.bar.update(min(steps, self.total - self.bar.n))

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()
