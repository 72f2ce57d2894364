"""What the tests of bad input share: small systems, and how a refusal is checked."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.counting import compilations

N = 4
R = [f"R{i}" for i in range(N)]
DIMS = ("region", "region_other")


def connectome(**change):
    labels = {"region": R, "region_other": R}
    weights = xr.DataArray(np.ones((N, N)) - np.eye(N), dims=DIMS, coords=labels)
    distances = xr.DataArray(40.0 * (np.ones((N, N)) - np.eye(N)), dims=DIMS, coords=labels, attrs={"units": "mm"})
    return xr.Dataset({"weights": weights, "distances": distances}).assign(change)


SC = connectome()
X_TO_X = xm.DiffusiveCoupling(k=0.5, source="x", target="x")


def node(**arguments):
    return xm.Simulator(xm.HopfStep(w=0.3), **{"dt": 0.1, **arguments})


def network(sc=SC, **arguments):
    return xm.Simulator(xm.Network(xm.HopfStep(w=0.3), sc, **{"speed": 10.0, "coupling": X_TO_X, **arguments}), dt=0.1)


def noisy(noise=None):
    return xm.Simulator(xm.HopfStep(noise_x=noise or xm.OUProcess(sigma=0.1)), dt=0.1)


def params(**variables):
    return xr.Dataset(variables)


def regional(values, labels=R):
    return xr.DataArray(values, dims="region", coords={"region": labels})


def series(values, times=None, **attrs):
    times = np.arange(len(values)) * 0.5 if times is None else times
    return xr.DataArray(np.asarray(values, dtype=float), dims="time", coords={"time": times}, attrs=attrs)


def history(lags, **attrs):
    return xr.DataArray(np.zeros(len(lags)), dims="lag", coords={"lag": ("lag", np.asarray(lags, dtype=float), attrs)})


def bold(**arguments):
    return xm.BOLDSignal(**{"of": "x", "tr": 1.0, **arguments})


def refused(call, error, fragments):
    """``call`` raises ``error`` with the fragments in its message, and compiles nothing."""
    with compilations() as count, pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "Tracer" not in message
    assert type(caught.value) in (ValueError, TypeError, KeyError)
    missing = [f for f in fragments if f not in message]
    assert not missing, f"{missing} not in {message!r}"
    assert count.number == 0


def cases(table):
    return pytest.mark.parametrize(("call", "error", "fragments"), [pytest.param(c, e, f, id=name) for name, (c, e, *f) in table.items()])
