from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.cases import cohort, series
from xmass.analysis import avalanches


def spikes(*events: tuple[int, int, float], samples: int = 200, regions: int = 3, period: float = 2.0) -> xr.DataArray:
    """Zero but for ``(sample, region, value)``."""
    values = np.zeros((samples, regions))
    for sample, region, value in events:
        values[sample, region] = value
    time = ("time", (np.arange(samples) + 1) * period, {"units": "ms", "axis": "T"})
    return xr.DataArray(values, dims=("time", "region"), coords={"time": time, "region": list("abc")[:regions]})


def lists(found: xr.Dataset) -> tuple[list[float], ...]:
    return tuple(found[name].dropna("avalanche").values.tolist() for name in ("size", "duration", "start"))


# two events at one time, one after; a pause; one alone; at both ends cascades that are cut off
CASCADES = [(10, 0, 1), (10, 1, 1), (11, 2, 1), (40, 0, 1), (0, 2, 1), (1, 1, 1), (199, 0, 1)]


def test_sizes_durations_and_starts_are_those_put_in():
    found = avalanches(spikes(*CASCADES))
    # stamps are at the end of a sample of 2 ms: sample 10 begins at 20 ms
    assert lists(found) == ([3, 1], [4, 2], [20, 80])
    assert int(found.number) == 2
    assert (found.duration.attrs["units"], found["size"].attrs["units"]) == ("ms", "1")
    assert found.sizes["avalanche"] == 99


def test_bins_join_events_that_are_near():
    # bins of 8 ms are 4 samples: samples 10 and 11 are in the third, 14 in the fourth, 40 in the eleventh
    found = avalanches(spikes((10, 0, 1), (11, 1, 1), (14, 0, 1), (40, 0, 1)), bin_width=8)
    assert lists(found) == ([3, 1], [16, 8], [16, 80])
    again = avalanches(spikes((10, 0, 1), (11, 1, 1), (14, 0, 1), (40, 0, 1)), bin_width=8 * u.ms)
    xr.testing.assert_identical(found, again)
    assert found.attrs["bin_width"] == pytest.approx(0.008)


def test_an_excursion_is_one_event_at_its_extreme():
    long = [(20, 0, 5), (21, 0, 9), (22, 0, 6)]
    assert lists(avalanches(spikes(*long))) == ([1], [2], [42])
    # a trough right after a crest is an event of its own
    both = [*long, (23, 0, -9)]
    assert lists(avalanches(spikes(*both))) == ([1, 1], [2, 2], [42, 46])
    assert lists(avalanches(spikes(*both), sign="positive")) == ([1], [2], [42])
    assert lists(avalanches(spikes(*both), sign="negative")) == ([1], [2], [46])


def test_the_threshold_is_in_standard_deviations_of_each_region():
    x = spikes((30, 0, 1), (60, 1, 1000))
    z = (1 - 1 / 200) / np.sqrt(1 / 200 - 1 / 200**2)
    assert int(avalanches(x, threshold=z * 0.999).number) == 2
    assert int(avalanches(x, threshold=z * 1.001).number) == 0


def test_independent_events_have_geometric_durations():
    # with probability q of an active bin, an avalanche of n bins has probability (1 - q) q^(n - 1), so a mean of 1 / (1 - q)
    rng = np.random.default_rng(0)
    # one sample in twenty, apart enough that events are not one excursion
    values = np.where(rng.random((40_000, 5)) < 0.05, rng.choice([-1.0, 1.0], (40_000, 5)), 0.0)
    time = ("time", np.arange(40_000.0), {"units": "s"})
    found = avalanches(xr.DataArray(values, dims=("time", "region"), coords={"time": time}), sign="positive")
    # an event of a region right after one of the same is the same excursion: 2.5 percent of 2.5 percent, far below the tolerance
    q = 1 - (1 - 0.025) ** 5
    n = int(found.number)
    assert float(found.duration.mean()) == pytest.approx(1 / (1 - q), rel=4 / np.sqrt(n))


@given(st.integers(-20, 20), st.randoms(use_true_random=False))
def test_scaling_and_relabelling_regions_change_nothing(power, random):
    x = series(samples=300)
    order = random.sample(range(6), 6)
    found = avalanches(x, threshold=1.5)
    assert int(found.number) > 5
    xr.testing.assert_identical(avalanches(x * 2.0**power, threshold=1.5), found)
    xr.testing.assert_identical(avalanches(x.isel(region=order), threshold=1.5), found)


def test_other_dims_are_kept_and_lazy_stays_lazy():
    bold = cohort().bold.transpose("region", "subject", "time")
    found = avalanches(bold, threshold=1.5)
    assert found["size"].dims == ("subject", "avalanche") and found.number.dims == ("subject",)
    for subject in bold.subject.values:
        xr.testing.assert_identical(
            found.sel(subject=subject), avalanches(bold.sel(subject=subject).transpose("time", "region"), threshold=1.5)
        )
    lazy = avalanches(bold.chunk({"subject": 1, "time": 50, "region": 2}), threshold=1.5)
    assert lazy["size"].chunks is not None
    xr.testing.assert_identical(lazy.compute(), found)


def test_a_constant_region_has_no_events_and_a_nan_leaves_nothing():
    x = series(samples=300)
    constant = x.copy()
    constant[:, 1] = 0.1
    xr.testing.assert_identical(avalanches(constant, threshold=1.5), avalanches(x.isel(region=[0, 2, 3, 4, 5]), threshold=1.5))
    x[3, 1] = np.nan
    found = avalanches(x, threshold=1.5)
    assert all(bool(found[name].isnull().all()) for name in found)


@pytest.mark.parametrize(
    ("signal", "options", "error", "words"),
    [
        (series(), {"threshold": 0}, ValueError, "positive number"),
        (series(), {"sign": "up"}, ValueError, "needs 'both'"),
        (series(), {"bin_width": 0.1}, ValueError, "of 0 samples"),
        (series(), {"bin_width": 40}, ValueError, "needs 3 bins"),
        (series(), {"bin_width": 1 * u.mV}, ValueError, "bin_width"),
        (series().drop_vars("time"), {}, ValueError, "no coordinate"),
        (series().rename(region="node"), {}, ValueError, "needs 'region'"),
        (series().values, {}, TypeError, "DataArray"),
        (series().expand_dims(t=2).assign_coords(t=("t", [0.0, 1.0], {"axis": "T"})), {}, ValueError, "two time dimensions"),
    ],
)
def test_what_has_no_avalanches_is_refused(signal, options, error, words):
    with pytest.raises(error, match=words):
        avalanches(signal, **options)
