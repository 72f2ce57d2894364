"""What several tests of stores use."""

from __future__ import annotations

import pytest

from xmass.scale import work


@pytest.fixture
def simulated(monkeypatch):
    """The chunks that are simulated, by their boxes."""
    calls, simulate = [], work.block

    def block(resolved, box, **kwargs):
        calls.append(box)
        return simulate(resolved, box, **kwargs)

    monkeypatch.setattr(work, "block", block)
    return calls
