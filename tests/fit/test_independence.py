"""What a fit finds depends on its own recording alone: not on the other fits of the call, nor on the parts in which they run."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xmass as xm

RUN = dict(duration=5.0, monitors=["x"], initial={"x": 0.0}, inputs={"x": 2.0})
SUBJECTS, STEPS = 3, {"grad": 6, "scipy": 8, "cma": 3, "nevergrad": 3, "grid": 2}
BACKENDS = {
    "grad": xm.fit.GradientBackend(),
    "scipy": xm.fit.ScipyBackend(),
    "cma": xm.fit.EvolutionBackend(population=16),
    "nevergrad": xm.fit.NevergradBackend("DE", population=16),
    "grid": xm.fit.GridBackend(points=4, levels=2),
}


@functools.cache
def simulator():
    # One tile width throughout: bits are those of a tile, which is otherwise as wide as there are runs of a connectome.
    return xm.Simulator(xm.LinearStep(gamma=-1.0), dt=0.25, precision="float64", tile=1)


def recorded(gamma):
    return simulator().run(params=xr.Dataset({"gamma": ("subject", np.asarray(gamma))}), **RUN)[["x"]]


def fitted(backend, target, seed=0, **kwargs):
    search = {"gamma": xm.Param(-0.5, bounds=(-3.0, -0.1))}
    fitter = xm.Fitter(simulator(), objective=xm.objectives.timeseries_rmse(), backend=BACKENDS[backend], search=search, run=RUN)
    return fitter.fit(target, n_steps=STEPS[backend], seed=seed, **kwargs)


rates = st.floats(-2.9, -0.2)


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=5)
@given(gamma=st.lists(rates, min_size=SUBJECTS, max_size=SUBJECTS), size=st.integers(1, SUBJECTS), starts=st.integers(1, 2))
def test_the_parts_of_a_fit_change_nothing(backend, gamma, size, starts):
    target = recorded(gamma)
    whole = fitted(backend, target, starts=starts)
    xr.testing.assert_identical(fitted(backend, target, starts=starts, chunks={"subject": size}), whole)


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=5)
@given(gamma=st.lists(rates, min_size=SUBJECTS, max_size=SUBJECTS), others=st.lists(rates, min_size=SUBJECTS, max_size=SUBJECTS))
def test_the_other_recordings_change_nothing(backend, gamma, others):
    first = fitted(backend, recorded([gamma[0], *gamma[1:]]))
    second = fitted(backend, recorded([gamma[0], *others[1:]]))
    own = ["gamma", "best_loss", "best_step"]
    xr.testing.assert_equal(first[own].isel(subject=0), second[own].isel(subject=0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cohort_is_its_subjects_whole_and_in_parts(backend):
    target = recorded([-0.4, -1.0, -2.0])
    cohort = fitted(backend, target)
    xr.testing.assert_identical(fitted(backend, target, chunks={"subject": 2}), cohort)
    # The draws of an optimiser differ by the position of a fit, so alone the first subject is the same with every backend.
    alone = fitted(backend, target.isel(subject=[0]))
    xr.testing.assert_equal(alone[["gamma", "best_loss"]], cohort[["gamma", "best_loss"]].isel(subject=[0]))


@pytest.mark.parametrize("backend", ["scipy"])
def test_without_draws_the_position_changes_nothing(backend):
    target = recorded([-0.4, -1.0, -2.0])
    alone, cohort = fitted(backend, target.isel(subject=2)), fitted(backend, target).isel(subject=2)
    np.testing.assert_array_equal(alone.gamma, cohort.gamma)
