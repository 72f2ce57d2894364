"""What cannot be a noise is refused before anything is compiled, with what came, what is needed and the call that fixes it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.counting import compilations

DIMS = ("region", "region_other")
LABELS = {"region": ["a", "b"], "region_other": ["a", "b"]}


def matrix(values, dims=DIMS, coords=None):
    return xr.DataArray(np.asarray(values, float), dims=dims, coords=coords)


def simulator(noise, **options):
    return xm.Simulator(xm.HopfStep(noise_x=noise), dt=0.1, **{"regions": ["a", "b"], **options})


def running(noise, p=None, **options):
    return lambda: simulator(noise).run(1.0, p, seed=1, **options)


def sweep(**values):
    return xr.Dataset({name.replace("_x_", "_x."): ("point", v) for name, v in values.items()})


CASES = {
    "negative sigma": (running(xm.PinkNoise(sigma=-0.1)), ValueError, "noise_x.sigma is -0.1", "zero or more"),
    "negative sigma in a sweep": (running(xm.BrownianNoise(), sweep(noise_x_sigma=[1.0, -2.0])), ValueError, "noise_x.sigma is -2"),
    "no correlation time": (running(xm.OUProcess(tau=-1.0)), ValueError, "noise_x.tau is -1 ms", "xm.WhiteNoise"),
    "too steep": (running(xm.ColoredNoise(exponent=2.5)), ValueError, "noise_x.exponent is 2.5", "-2 (violet)", "2 (Brownian)"),
    "too blue": (running(xm.ColoredNoise(), sweep(noise_x_exponent=[0.0, -4.0])), ValueError, "noise_x.exponent is -4"),
    "memory of a step": (running(xm.PinkNoise(slowest=0.5)), ValueError, "noise_x.slowest is 0.5 ms", "10 steps, 1 ms", "GaussianNoise"),
    "sigma in another unit": (
        running(xm.BrownianNoise(), xr.Dataset({"noise_x.sigma": ((), 1.0, {"units": "mV"})})),
        ValueError,
        "noise_x.sigma came in mV, needs 1/ms^1.5",
    ),
    "multiplicative noise without a function": (
        lambda: simulator(xm.ItoNoise(sigma=0.1)),
        TypeError,
        "noise_x.amplitude is None, needs a function",
        "xm.ItoNoise(sigma=0.1, amplitude=lambda s: s.x)",
        "xm.WhiteNoise",
    ),
    "a number as amplitude": (
        lambda: simulator(xm.StratonovichNoise(amplitude=2.0)),
        TypeError,
        "noise_x.amplitude is 2.0",
        "lambda s: s.x",
    ),
    "an amplitude of a state that is not there": (
        lambda: simulator(xm.ItoNoise(amplitude=lambda s: s.z)),
        ValueError,
        "noise_x.amplitude uses 'z', which does not exist",
    ),
    "an amplitude that is a vector": (
        lambda: simulator(xm.ItoNoise(amplitude=lambda s: s.x * np.ones(3, np.float32))),
        ValueError,
        "noise_x.amplitude returns shape (3,), needs one number",
        "the state of one region",
    ),
    "an amplitude over regions": (lambda: simulator(xm.ItoNoise(amplitude=lambda s: s.x[0])), ValueError, "noise_x.amplitude"),
    "an amplitude in numpy": (
        lambda: simulator(xm.ItoNoise(amplitude=lambda s: float(np.sqrt(s.x)))),
        TypeError,
        "noise_x.amplitude needs the values",
        "jax.numpy",
    ),
    "an amplitude that is complex": (lambda: simulator(xm.ItoNoise(amplitude=lambda s: 1j)), TypeError, "needs a real number"),
    "multiplicative noise inside an equation": (
        lambda: xm.Simulator(xm.WongWangExcInhStep(noise_coupling=xm.ItoNoise(amplitude=lambda s: s.S_e)), dt=0.1),
        ValueError,
        "noise_coupling is white noise on the input 'coupling', which is inside the equation",
        "xm.OUProcess",
    ),
    "multiplicative noise alone": (
        lambda: xm.Simulator(xm.ItoNoise(amplitude=lambda s: 1.0), dt=0.1),
        ValueError,
        "function of a model's state",
        "noise_x=xm.ItoNoise",
    ),
    "a noise with a scheme": (lambda: xm.Simulator(xm.PinkNoise(), dt=0.1, method="heun"), ValueError, "method='heun'", "Leave method out"),
    "a class in place of a noise": (lambda: simulator(xm.PinkNoise), TypeError, "noise_x is a function", "xm.WhiteNoise"),
    "a covariance that is an array": (
        lambda: simulator(xm.WhiteNoise(covariance=np.eye(2))),
        TypeError,
        "noise_x.covariance is a ndarray",
        "dims=('region', 'region_other')",
    ),
    "a covariance with other dims": (
        running(xm.WhiteNoise(covariance=matrix(np.eye(2), ("x", "y")))),
        ValueError,
        "noise_x.covariance has dims ('x', 'y'), needs ('region', 'region_other')",
    ),
    "a covariance of other regions": (
        running(xm.OUProcess(covariance=matrix(np.eye(2), coords={"region": ["a", "c"], "region_other": ["a", "c"]}))),
        ValueError,
        "noise_x.covariance lacks ['b'] and has unknown ['c'] along 'region'",
    ),
    "a covariance of too many regions": (
        running(xm.OUProcess(covariance=matrix(np.eye(3)))),
        ValueError,
        "has 3 regions",
        "the system has 2",
    ),
    "a covariance that is not symmetric": (
        running(xm.WhiteNoise(covariance=matrix([[1.0, 0.2], [0.4, 1.0]], coords=LABELS))),
        ValueError,
        "noise_x.covariance is not symmetric",
        "0.2 between a and b, 0.4 the other way",
        "0.5 *",
    ),
    "a covariance that no noise has": (
        running(xm.WhiteNoise(covariance=matrix([[1.0, 2.0], [2.0, 1.0]]))),
        ValueError,
        "noise_x.covariance has the eigenvalue -1",
        "below zero",
    ),
    "a covariance with a unit": (
        running(xm.WhiteNoise(covariance=matrix(np.eye(2)).assign_attrs(units="mV"))),
        ValueError,
        "noise_x.covariance came in mV, needs 1",
    ),
    "a covariance with NaN": (
        running(xm.WhiteNoise(covariance=matrix([[1.0, np.nan], [np.nan, 1.0]]))),
        ValueError,
        "covariance holds NaN",
    ),
    "a covariance for each run": (
        running(xm.WhiteNoise(covariance=matrix(np.stack([np.eye(2)] * 3), ("subject", *DIMS)))),
        ValueError,
        "one matrix for all runs and cannot be swept",
        ".isel(subject=0)",
    ),
    "a covariance in params": (
        running(xm.WhiteNoise(), xr.Dataset({"noise_x.covariance": matrix(np.eye(2))})),
        KeyError,
        "'noise_x.covariance', which is not a parameter",
        "cannot be swept",
        "noise_x=xm.WhiteNoise(..., covariance=...)",
    ),
    "half of what a noise carries": (
        running(xm.PinkNoise(), initial={"noise_x.previous": 0.0}),
        ValueError,
        "initial lacks ['initial.noise_x.relaxation0'",
        "Give all of it or none",
    ),
    "what another noise carried": (running(xm.WhiteNoise(), initial={"noise_x.previous": 0.0}), KeyError, "part of the state of 'noise_x'"),
    "a start of white noise": (running(xm.WhiteNoise(), initial={"noise_x": 0.0}), KeyError, "initial.noise_x"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_came_and_what_is_needed(name):
    call, kind, *fragments = CASES[name]
    with compilations() as count, pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind and "Tracer" not in str(caught.value)
    assert [f for f in fragments if f not in str(caught.value)] == [], str(caught.value)
    assert count.number == 0


def test_a_covariance_may_be_rounded_and_singular():
    simulator(xm.WhiteNoise(covariance=matrix([[1.0, 1.0 + 1e-12], [1.0, 1.0]]))).run(1.0, seed=1)
    simulator(xm.WhiteNoise(covariance=matrix(np.zeros((2, 2))))).run(1.0, seed=1)


def test_the_bounds_themselves_are_allowed():
    p = sweep(noise_x_exponent=[-2.0, 2.0], noise_x_slowest=[1.0, 1e7], noise_x_sigma=[0.0, 1.0])
    assert np.isfinite(simulator(xm.ColoredNoise()).run(1.0, p, seed=1).x).all()
