"""xm.observe on cut, incomplete and mixed results: the numbers and stamps of the run, or an error that says what to do."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.core.observe import choose_segment


def ramp(first=1, last=24, dt=1.0, **variables):
    """A series whose value is its time in ms, in two regions."""
    t = np.arange(first, last + 1) * dt
    x = ("time", "region"), np.stack([t, -t], axis=1)
    return xr.Dataset({"x": x, **variables}, {"time": ("time", t, {"units": "ms", "axis": "T"})})


def bank(**settings):
    return xm.Simulator(xm.HopfStep(a=-0.05, w=0.1), dt=1.0, regions=2, precision="float64", **settings)


START = {"x": xr.DataArray([0.1, 0.3], dims="region")}


# ---- where a series starts
@pytest.mark.parametrize("period", [4.0, 3.0, 7.0])
@pytest.mark.parametrize("transient", [0, 3, 5, 8])
def test_samples_have_their_own_times_whatever_the_start(period, transient):
    seen = xm.observe(ramp(first=transient + 1), {"s": xm.Subsample(of="x", period=period)})
    expected = np.arange(period, 24.5, period)
    np.testing.assert_array_equal(seen.s_time, expected[expected > transient])
    np.testing.assert_array_equal(seen.s.isel(region=0), seen.s_time)


def test_samples_of_a_cut_run_are_those_of_the_run():
    monitors = {"s": xm.Subsample(of="x", period=4.0), "long": xm.Subsample(of="x", period=600.0, name="long")}
    run = bank().run(2400.0, monitors={"x": "x", **monitors}, transient=5.0, initial=START)
    seen = xm.observe(run[["x"]], monitors)
    for name in monitors:
        xr.testing.assert_identical(seen[name].drop_vars("diverged", errors="ignore"), run[name].drop_vars("diverged"))
    assert float(run.s_time[0]) == 8.0


@pytest.mark.long
def test_a_continued_run_counts_the_sample_in_its_first_period():
    sparse = xm.Subsample(of="x", period=4.0)
    bold = xm.BOLDSignal(of="x", tr=8.0)
    seen = {"sparse": sparse, "fc": xm.FunctionalConnectivity(of=sparse), "bold": bold, "fb": xm.FunctionalConnectivity(of=bold, name="fb")}
    noisy = xm.Simulator(xm.HopfStep(a=-0.05, w=0.1, noise_x=xm.WhiteNoise(sigma=0.1)), dt=1.0, regions=3, precision="float64")
    early = noisy.run(4.0, monitors={"bold": bold}, restart=True, seed=1)
    late = noisy.run(30.0, monitors=seen, initial=early)
    np.testing.assert_array_equal(late.bold_time, [8.0, 16.0, 24.0, 32.0])
    np.testing.assert_allclose(late.fb, np.corrcoef(late.bold.values.T), rtol=1e-9)
    six = noisy.run(6.0, monitors=["x"], restart=True, seed=1)
    late = noisy.run(14.0, monitors={n: seen[n] for n in ("sparse", "fc")}, initial=six)
    np.testing.assert_array_equal(late.sparse_time, [8.0, 12.0, 16.0, 20.0])
    np.testing.assert_allclose(late.fc, np.corrcoef(late.sparse.values.T), rtol=1e-9)


@pytest.mark.parametrize(
    ("transient", "observation", "fix"),
    [
        (5, xm.TemporalAverage(of="x", period=4.0), "ds.isel(time=slice(3, None))"),
        (500, xm.TemporalAverage(of="x", period=2000.0), "ds.isel(time=slice(1500, None))"),
        (5, xm.Subsample(of=xm.TemporalAverage(of="x", period=4.0), period=8.0), "ds.isel(time=slice(3, None))"),
        (5, xm.TemporalAverage(of="x", period=4000.0), "transient=0"),
    ],
)
def test_a_start_within_a_window_is_refused(transient, observation, fix):
    with pytest.raises(ValueError, match="which is not a multiple") as caught:
        xm.observe(ramp(first=transient + 1, last=3000), {"m": observation})
    assert fix in str(caught.value)


def test_a_start_at_a_window_gives_the_averages_of_the_run():
    cut = ramp(first=6, last=24).isel(time=slice(3, None))
    seen = xm.observe(cut, {"m": xm.TemporalAverage(of="x", period=4.0)})
    np.testing.assert_array_equal(seen.m_time, [12.0, 16.0, 20.0, 24.0])
    np.testing.assert_allclose(seen.m.isel(region=0), seen.m_time - 1.5)


def test_a_state_that_begins_before_the_series_is_refused():
    bold = {"bold": xm.BOLDSignal(of="x", tr=4.0), "fc": xm.FunctionalConnectivity(of=xm.BOLDSignal(of="x", tr=4.0))}
    for name in bold:
        with pytest.raises(ValueError, match="starts at rest at time 0") as caught:
            xm.observe(ramp(first=9), {name: bold[name]})
        assert "transient=0" in str(caught.value)
    small = 0.01 * ramp(first=9)
    moved = small.assign_coords(time=small["time"] - 8)
    assert "ds.assign_coords(time=ds['time'] - 8)" in str(caught.value)
    assert xm.observe(moved, bold).bold.sizes["bold_time"] == 4


# ---- too few samples
@pytest.mark.long
@pytest.mark.parametrize(("detrend", "fewest"), [(None, 3), ("linear", 4)])
def test_a_correlation_of_too_few_samples_is_refused(detrend, fewest):
    fc = {"fc": xm.FunctionalConnectivity(of=xm.TemporalAverage(of="x", period=4.0), detrend=detrend)}
    for count in range(1, fewest):
        with pytest.raises(ValueError, match=rf"needs at least {fewest} samples.*are {count}") as caught:
            bank().run(10.0 + 4 * count, monitors=fc, transient=9.0, initial=START)
        assert f"duration={8 + 4 * fewest} or more" in str(caught.value)
        with pytest.raises(ValueError, match=rf"are {count}.*lasts to {8 + 4 * fewest} ms"):
            xm.observe(ramp(first=9, last=8 + 4 * count), fc)
    assert np.isfinite(bank().run(8.0 + 4 * fewest, monitors=fc, transient=9.0, initial=START).fc).all()
    assert np.isfinite(xm.observe(ramp(first=9, last=8 + 4 * fewest).pipe(np.sin), fc).fc).all()


# ---- which time
def two_clocks():
    volumes = np.arange(1, 7) * 0.72
    bold = ("bold_time", "region"), np.random.default_rng(0).normal(size=(6, 2)), {"units": "1"}
    return ramp(bold=bold).assign_coords(bold_time=("bold_time", volumes, {"units": "s", "axis": "T"}))


def test_the_time_is_that_of_what_is_observed():
    ds = two_clocks()
    seen = xm.observe(ds, {"fc": xm.FunctionalConnectivity(of="bold")})
    np.testing.assert_allclose(seen.fc, np.corrcoef(ds.bold.values.T), rtol=1e-12)
    assert xm.observe(ds, {"s": xm.Subsample(of="x", period=4.0)}).s.sizes["s_time"] == 6
    as_it_is = xm.observe(ds, ["bold"])
    xr.testing.assert_allclose(as_it_is.bold, ds.bold.assign_coords(region=[0, 1]), rtol=1e-12)
    assert as_it_is.bold_time.attrs["units"] == "s"


def test_two_times_in_one_call_are_refused():
    both = {"fc": xm.FunctionalConnectivity(of="bold"), "s": xm.Subsample(of="x", period=4.0)}
    with pytest.raises(ValueError, match=r"'bold' along 'bold_time' and 'x' along 'time'.*xr\.merge"):
        xm.observe(two_clocks(), both)


# ---- runs that diverged
def test_a_run_with_nan_leaves_the_others_alone():
    values = np.random.default_rng(0).normal(size=(3, 24, 2))
    ds = ramp().drop_vars("x").assign(x=(("a", "time", "region"), values))
    ill = ds.copy(deep=True)
    ill.x[1, 10:, 1] = np.nan
    bold = xm.BOLDSignal(of="x", tr=4.0)
    monitors = {
        "m": xm.TemporalAverage(of="x", period=4.0),
        "bold": bold,
        "fc": xm.FunctionalConnectivity(of="x"),
        "fb": xm.FunctionalConnectivity(of=bold, name="fb"),
    }
    well, seen = xm.observe(ds, monitors), xm.observe(ill, monitors)
    xr.testing.assert_identical(seen.isel(a=[0, 2]), well.isel(a=[0, 2]))
    assert np.isnan(seen.fc[1, 0, 1]) and np.isnan(seen.fb[1, 0, 1]) and np.isnan(seen.bold[1, -1, 1]) and np.isnan(seen.m[1, -1, 1])
    with pytest.raises(ValueError, match="x holds NaN in every run"):
        xm.observe(ill.isel(a=[1]), monitors)


# ---- the record, and the forms of monitors
def test_the_result_is_not_said_to_be_made_by_the_run():
    run = bank().run(24.0, monitors=["x"], initial=START)
    seen = xm.observe(run, {"s": xm.Subsample(of="x", period=4.0)})
    assert set(run.attrs) - set(seen.attrs) == {"configuration", "config_hash"}
    with pytest.raises(ValueError, match="no 'configuration'"):
        xm.rerun(seen)


def test_monitors_have_the_forms_of_those_of_a_run():
    run = bank().run(24.0, initial=START)
    seen = {"x": "x", "power": lambda s: s.x**2 + s.y**2, "slow": xm.TemporalAverage(of=lambda s: s.x - s.y, period=4.0)}
    again = xm.observe(run, seen)
    np.testing.assert_array_equal(again.x, run.x)
    assert again.x.attrs == run.x.attrs
    np.testing.assert_allclose(again.power, run.x**2 + run.y**2, rtol=1e-12)
    np.testing.assert_allclose(again.slow, (run.x - run.y).values.reshape(6, 4, 2).mean(axis=1), rtol=1e-12)
    assert list(xm.observe(run, ["y"]).data_vars) == ["y"]
    for bad, said in ((xm.BOLDSignal(of="x", tr=4.0), "needs a list"), ("x", "needs a list"), ({"m": 3}, "monitor 'm' is 3")):
        with pytest.raises(TypeError, match=said):
            xm.observe(run, bad)
    with pytest.raises(ValueError, match=r"returns shape \(\), needs \(2,\)"):
        xm.observe(run, {"total": lambda s: s.x.sum()})


# ---- segments
@pytest.mark.parametrize(("periods", "expected"), [([97, 101], 9797), ([997], 997), ([1994], 997), ([97], 485), ([9973, 9967], 1)])
def test_coprime_periods_do_not_cut_a_run_into_steps(periods, expected):
    assert choose_segment(periods, [], block=1, limit=512, most=100_000) == expected


def test_averages_over_coprime_windows_are_right():
    seen = xm.observe(
        ramp(last=20_000),
        {"a": xm.TemporalAverage(of="x", period=97.0), "b": xm.TemporalAverage(of="x", period=101.0, name="b")},
    )
    np.testing.assert_allclose(seen.a.isel(region=0), seen.a_time - 48.0, rtol=1e-12)
    np.testing.assert_allclose(seen.b.isel(region=0), seen.b_time - 50.0, rtol=1e-12)
