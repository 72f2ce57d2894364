"""Isolated nodes beside the trajectories of ../shared/reference: same scheme, same step, float64, to 1e-9 of the range."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles import references

RUNS = [(case, run) for case in references.MODELS for run in references.runs_of("model", case)]


@pytest.mark.parametrize(("case", "run"), RUNS)
def test_float64_agrees_with_independent_simulators(case, run):
    found = references.compare_model(case, run)
    assert found.deviation < found.tolerance


@pytest.mark.long
@pytest.mark.parametrize("case", references.MODELS)
def test_float32_agrees_to_its_rounding(case):
    # 1e-4 of the range: some thousand steps of rounding at 6e-8, none of these nodes is chaotic or spikes.
    run = next(r for r in references.runs_of("model", case) if r.endswith("heun"))
    found = references.compare_model(case, run, precision="float32")
    assert 1e-10 < found.deviation < found.tolerance


@pytest.mark.long
@pytest.mark.parametrize("case", ["hopf_limit_cycle", "wilson_cowan_default"])
@pytest.mark.parametrize(("scheme", "factor"), [("heun", 4.0), ("euler", 2.0)])
def test_halving_the_step_divides_the_distance_from_the_exact_solution(case, scheme, factor):
    ds = references.open_case("model", case)
    exact = references.bare(ds.trajectory.sel(run="exact"))
    dt = float(ds.attrs["dt"])
    errors = [float(abs(references.simulate_model(case, scheme, dt=h) - exact).max()) for h in (dt / 4, dt / 8)]
    # Order within 0.1 of theory: a factor within 7 %.
    np.testing.assert_allclose(errors[0] / errors[1], factor, rtol=0.07)
