from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.analysis.cases import REGIONS, series
from xmass import objectives as o


def directed(seed: int, *, back: bool = False, samples: int = 20_000) -> xr.DataArray:
    """Each region follows the one before it (or, ``back``, the one after it) by one sample: x(t) = M x(t - 1) + noise."""
    rng = np.random.default_rng(seed)
    matrix = 0.4 * np.eye(6) + 0.4 * np.eye(6, k=1 if back else -1)
    noise = rng.normal(size=(samples, 6))
    x = np.zeros((samples, 6))
    for t in range(1, samples):
        x[t] = matrix @ x[t - 1] + noise[t]
    return series(samples=samples).copy(data=x)


def test_value_against_plain_numpy():
    a, b = series(seed=1), series(seed=2)
    entries = []
    for side in (a, b):
        x = side.values
        # correlations of each pair over the samples that overlap, region_other first in time
        lagged = np.array([[np.corrcoef(x[2:, i], x[:-2, j])[0, 1] for j in range(6)] for i in range(6)])
        entries.append(np.concatenate([np.corrcoef(x.T)[~np.eye(6, dtype=bool)], lagged.ravel()]))
    expected = np.sqrt(np.mean((entries[0] - entries[1]) ** 2))
    sides = [xr.Dataset({"bold": side}) for side in (a, b)]
    score = xm.compare(*sides, o.lagged_cov(lag=1.44)).lagged_cov
    np.testing.assert_allclose(score, expected, rtol=1e-12)
    assert score.attrs["direction"] == "min" and score.attrs["best"] == 0.0
    np.testing.assert_allclose(xm.compare(sides[0], sides[0], o.lagged_cov()).lagged_cov, 0.0, atol=1e-15)


def test_it_sees_the_direction_that_fc_does_not():
    recorded, same, other = (
        xr.Dataset({"bold": x}) for x in (directed(0), directed(1), directed(1, back=True).isel(region=slice(None, None, -1)))
    )
    # the chain that runs the other way, with its regions in reverse, is the same chain: turn it back by label
    other = other.assign_coords(region=REGIONS)
    both = [o.lagged_cov(), o.fc_rmse()]
    assert float(xm.compare(same, recorded, both).lagged_cov) < 0.02  # sampling error of 20,000 samples
    backwards = xr.Dataset({"bold": directed(1, back=True)})
    assert float(xm.compare(backwards, recorded, both).lagged_cov) > 0.1
    np.testing.assert_allclose(xm.compare(other, recorded, both).lagged_cov, 0.0, atol=0.02)


def test_a_side_may_be_lagged_fc_and_says_the_lag():
    a, b = (xr.Dataset({"bold": series(seed=s)}) for s in (1, 2))
    expected = xm.compare(a, b, o.lagged_cov(lag=2.16)).lagged_cov
    lagged = b.assign(lagged=xm.lagged_fc(b.bold, [0, 2.16]))
    given = xm.compare(a, lagged, o.lagged_cov("bold", "lagged")).lagged_cov
    np.testing.assert_allclose(given, expected, rtol=1e-12)
    in_ms = series(seed=1, period=720.0, unit="ms")
    np.testing.assert_allclose(xm.compare(in_ms.to_dataset(), lagged, o.lagged_cov("bold", "lagged")).lagged_cov, expected, rtol=1e-12)


def test_lags_of_both_sides_must_agree():
    a, b = series(seed=1).to_dataset(), series(seed=2, period=1.0).to_dataset()
    xm.compare(a, b, o.lagged_cov(lag=5.0))  # 5.04 s and 5 s
    with pytest.raises(ValueError, match=r"lags are \[0.0, 0.72\] s and \[0.0, 1.0\] s.*whole number of samples on both sides"):
        xm.compare(a, b, o.lagged_cov())
    with pytest.raises(ValueError, match="0 and then one lag or more"):
        xm.compare(a, a.assign(lagged=xm.lagged_fc(a.bold, [0.72, 1.44])), o.lagged_cov("bold", "lagged"))
    with pytest.raises(ValueError, match=r"lagged covariances takes series"):
        xm.compare(a, a.assign(fc=xm.functional_connectivity(a.bold)), o.lagged_cov("bold", "fc"))
    with pytest.raises(ValueError, match="positive times"):
        o.lagged_cov(lag=[0, 1])
