"""Exponential Euler feeds oscillations: said before it happens, and only there."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import xmass as xm
from xmass.labelled.checks import SpuriousGrowthWarning


def test_the_warning_states_the_growth_that_the_scheme_adds():
    # Near the focus a=-0.004, w=0.3 the scheme multiplies the amplitude as the eigenvalues of its one-step matrix do.
    a, w, dt = -0.004, 0.3, 0.1
    with pytest.warns(SpuriousGrowthWarning, match="heun"):
        sim = xm.Simulator(xm.HopfStep(a=a, w=w, beta=0.0), dt=dt, method="exp_euler", precision="float64")
    run = sim.run(2000.0, monitors=["x", "y"], initial={"x": 1e-3})
    radius = np.hypot(run.x, run.y).isel(region=0)
    measured = float(np.log(radius[-1] / radius[0]) / (run.time[-1] - run.time[0]))
    step = np.eye(2) + np.expm1(a * dt) / a * np.array([[a, -w], [w, a]])
    assert measured == pytest.approx(np.log(np.abs(np.linalg.eigvals(step)).max()) / dt, rel=1e-6)
    assert measured > 0 > a


def test_no_warning_where_nothing_oscillates_or_the_scheme_is_heun():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xm.Simulator(xm.LinearStep(), dt=0.1, method="exp_euler")
        xm.Simulator(xm.HopfStep(a=-0.004, w=0.3), dt=0.1)
