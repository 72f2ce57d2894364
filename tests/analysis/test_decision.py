"""Choices and decision times of rates whose crossings are known."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr

import xmass as xm

TIME = ("time", np.arange(1.0, 11.0), {"units": "ms", "axis": "T"})


def rates(r1, r2, dims=("time",), time=TIME):
    return xr.Dataset({"r1": (dims, np.asarray(r1, float)), "r2": (dims, np.asarray(r2, float))}, {"time": time})


RISING = 2.0 * np.arange(1, 11)  # 2 Hz at 1 ms, 20 Hz at 10 ms


@pytest.mark.parametrize(
    ("r1", "r2", "choice", "time"),
    [
        (RISING, 0 * RISING, 1, 8.0),  # 16 Hz at 8 ms is the first at or above 15
        (0 * RISING, RISING, -1, 8.0),
        (0.5 * RISING, 0.2 * RISING, 0, np.nan),
        (RISING, RISING + 2, -1, 7.0),  # both get there, the second first
        (RISING, RISING + 0.5, -1, 8.0),  # in the same sample: the higher rate
        (RISING + 0.5, RISING, 1, 8.0),
        (RISING, RISING, 0, np.nan),  # no difference at all
        (np.r_[np.zeros(4), 15.0, np.zeros(5)], 0 * RISING, 1, 5.0),  # the threshold itself counts, however briefly
        (np.full(10, np.nan), np.full(10, np.nan), 0, np.nan),
    ],
)
def test_the_first_to_reach_the_threshold_decides(r1, r2, choice, time):
    read = xm.decision(rates(r1, r2))
    assert int(read.choice) == choice
    np.testing.assert_equal(float(read.decision_time), time)
    assert read.choice.dtype == np.int8
    assert read.decision_time.attrs["units"] == "ms" and read.choice.attrs["units"] == "1"


def test_samples_up_to_the_onset_do_not_count():
    early = np.where(np.arange(1, 11) == 3, 30.0, 0.0)
    assert float(xm.decision(rates(early, RISING)).decision_time) == 3.0
    later = xm.decision(rates(early, RISING), onset=3.0)
    assert (int(later.choice), float(later.decision_time)) == (-1, 5.0)
    swept = xm.decision(rates(early, RISING), onset=xr.DataArray([0.0, 3.0], dims="onset") * 1.0)
    assert swept.choice.values.tolist() == [1, -1]
    seconds = rates(early, RISING).assign_coords(time=("time", np.arange(1.0, 11.0) / 1000, {"units": "s", "axis": "T"}))
    in_seconds = xm.decision(seconds, onset=3.0 * u.ms)
    assert float(in_seconds.decision_time) == pytest.approx(0.005) and in_seconds.decision_time.attrs["units"] == "s"


def test_dims_of_runs_regions_and_thresholds_are_kept():
    r1 = np.stack([RISING, 0.5 * RISING])[:, :, None] * [1.0, 1.2, 0.1]
    data = rates(r1, 0 * r1, ("batch", "time", "region")).assign_coords(seed=("batch", [4, 5]), region=["a", "b", "c"])
    read = xm.decision(data)
    assert read.choice.dims == read.decision_time.dims == ("batch", "region")
    assert read.choice.values.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert read.seed.values.tolist() == [4, 5] and list(read.region.values) == ["a", "b", "c"]
    over = xm.decision(data, threshold=xr.DataArray([5.0, 0.01], dims="threshold", attrs={"units": "kHz"}) * 1.0)
    assert set(over.choice.dims) == {"batch", "region", "threshold"}
    swept = xm.decision(data, threshold=xr.DataArray([1.0, 15.0], dims="threshold"))
    np.testing.assert_array_equal(swept.choice.isel(threshold=1), read.choice)
    assert float(swept.decision_time.isel(threshold=0, batch=0, region=0)) == 1.0


def test_units_are_read():
    data = rates(RISING, 0 * RISING)
    data.r1.attrs["units"] = "Hz"
    per_ms = data.assign(r1=(data.r1 / 1000).assign_attrs(units="1/ms"))
    assert int(xm.decision(per_ms).choice) == 1
    assert float(xm.decision(data, threshold=0.01 * u.kHz).decision_time) == 5.0
    with pytest.raises(ValueError, match="threshold"):
        xm.decision(data, threshold=15 * u.mV)


def test_a_lazy_result_stays_lazy():
    r1 = np.stack([RISING, 0.5 * RISING])
    data = rates(r1, 0 * r1, ("batch", "time"))
    lazy = xm.decision(data.chunk({"batch": 1}))
    assert lazy.choice.chunks is not None and lazy.decision_time.chunks is not None
    xr.testing.assert_identical(lazy.compute(), xm.decision(data))


@pytest.mark.long
def test_rates_that_were_averaged_in_the_run():
    # Each average has a time dim of its own; the choice is that of the averages of the instantaneous rates.
    sim = xm.Simulator(xm.WongWangStep.noisy(), dt=0.5)
    averages = {f"mean_{r}": xm.TemporalAverage(of=r, period=20.0) for r in ("r1", "r2")}
    options = dict(inputs={"coherence": 0.3}, batch_size=20, seed=1)
    read = xm.decision(sim.run(1200.0, monitors=averages, **options).rename(mean_r1="r1", mean_r2="r2"))
    assert read.choice.dims == ("batch", "region")
    raw = sim.run(1200.0, monitors=["r1", "r2"], **options)
    by_hand = raw[["r1", "r2"]].coarsen(time=40).mean().assign_coords(time=("time", np.arange(20.0, 1201.0, 20.0), raw.time.attrs))
    xr.testing.assert_equal(read.choice.drop_vars(["seed", "diverged"]), xm.decision(by_hand).choice.drop_vars(["seed", "diverged"]))
    np.testing.assert_array_equal(read.decision_time, xm.decision(by_hand).decision_time)
    assert float((read.choice != 0).mean()) > 0.9


def test_bad_input_is_named():
    good = rates(RISING, RISING)
    with pytest.raises(TypeError, match=r"rates is a DataArray.*monitors=\['r1', 'r2'\]"):
        xm.decision(good.r1)
    with pytest.raises(KeyError, match=r"lacks \['r2'\]"):
        xm.decision(good[["r1"]])
    with pytest.raises(ValueError, match="threshold is -1 Hz"):
        xm.decision(good, threshold=-1.0)
    with pytest.raises(TypeError, match="without named dims"):
        xm.decision(good, threshold=np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="none of which is time"):
        xm.decision(good.isel(time=0))
    shifted = good.r2.rename(time="r2_time").assign_coords(r2_time=("r2_time", np.arange(2.0, 12.0), TIME[2]))
    with pytest.raises(ValueError, match="different times"):
        xm.decision(xr.Dataset({"r1": good.r1, "r2": shifted}))
