"""The stimulus case of ../shared/reference: a labelled series, held over each step, on a direct input."""

from __future__ import annotations

import pytest

from tests.oracles import references


@pytest.mark.parametrize("run", references.runs_of("stimulus", "generic_2d_oscillator"))
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_stimulus_agrees(run, precision):
    found = references.compare_stimulus(run, precision=precision)
    assert found.deviation < found.tolerance
