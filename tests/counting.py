"""How many programs XLA compiles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax.monitoring

_EVENT = "/jax/core/compile/backend_compile_duration"
_seen = [0]


def _listen(event: str, duration: float, **_: object) -> None:
    _seen[0] += event == _EVENT


jax.monitoring.register_event_duration_secs_listener(_listen)


class Count:
    """The number of compilations since it was made."""

    def __init__(self) -> None:
        self.start = _seen[0]

    @property
    def number(self) -> int:
        return _seen[0] - self.start


@contextmanager
def compilations() -> Iterator[Count]:
    """``with compilations() as count: ...``, then ``count.number``."""
    yield Count()
