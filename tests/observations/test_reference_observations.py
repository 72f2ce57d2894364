"""Averages and the balloon model beside ../shared/reference."""

from __future__ import annotations

import numpy as np
import pytest

import xmass as xm
from tests.oracles import references


@pytest.mark.parametrize("kind", ["temporal_average", "subsample"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_averages_agree(kind, precision):
    found = references.compare_average(kind, precision=precision)
    assert found.deviation < found.tolerance


def test_balloon_agrees_with_the_same_scheme():
    found = references.compare_balloon("numpy_heun")
    assert found.deviation < found.tolerance


def test_balloon_as_it_runs_by_default_is_close_to_the_exact_solution():
    # Steps of 2 ms with the mean input. The file's Heun with dt 1 ms and the input of the left end is 1.3e-4 of the range
    # away, which is the half step by which that input is late; the mean of right ends is half a millisecond early.
    found = references.compare_balloon("exact", tr=10.0)
    assert 1e-6 < found.deviation < 2e-4


def test_balloon_converges_at_second_order_to_the_exact_solution():
    # With the input of the middle of each step the input is second order too, so Heun's order shows. Smooth inputs only.
    ds = references.open_case("observation", "balloon_windkessel")
    exact = references.bare(ds.bold.sel(run="exact")).isel(node=slice(1, None))
    errors = []
    for dt in (200.0, 100.0, 50.0):
        count = round(30000 / dt)
        z = references.drive((np.arange(count) + 0.5) * dt / 1000)
        seen = xm.observe(references.stored({"z": z}, dt), {"bold": xm.BOLDSignal(of="z", tr=dt)}).bold
        at = exact.isel(time=slice(round(dt / 10), None, round(dt / 10)))
        errors.append(float(abs(seen.values[:, 1:].T - at.values).max()))
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 2.0, atol=0.1)


def test_balloon_in_float32():
    # Steps of 1 ms near f = v = q = 1 round at 6e-8 each and stop where h * rate is below that: 1e-4 of this range.
    found = references.compare_balloon("numpy_heun", precision="float32")
    assert found.deviation < 3e-4
    # As it runs by default, in steps of up to 4 ms, it stays within 1e-4 of the same steps in float64.
    single, double = (references.compare_balloon("exact", precision=p, tr=40.0 / 4) for p in ("float32", "float64"))
    assert references.deviation(single.ours, double.ours) < 1e-4
