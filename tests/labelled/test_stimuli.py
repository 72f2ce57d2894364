"""Stimuli: responses with closed forms, equality with the same series, laws of ``+``, dims, labels, records, refusals."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xmass as xm
from tests.labelled.bad import SC, cases, refused
from xmass.labelled.inputs import Drive
from xmass.stimuli import Stimulus, from_dataarray, pulse, pulse_train, ramp, sine

GAMMA = -0.2


def linear(dt=0.1, *, gamma=GAMMA, method="exp_euler", **arguments):
    return xm.Simulator(xm.LinearStep(gamma=gamma), dt=dt, method=method, precision="float64", **arguments)


def respond(stimulus, duration, simulator=None, **arguments):
    return (simulator or linear()).run(duration, inputs={"x": stimulus}, initial={"x": 0.0}, **arguments).x


def starts(run, dt):
    """The times at which the steps of a run begin."""
    return run.time.values - dt


def integral(stimulus, duration, dt):
    """What an integrator, dx/dt = u, has summed at the end of a run."""
    return float(respond(stimulus, duration, linear(dt, gamma=0.0, method="euler"))[-1, 0])


# ---------------------------------------------------------------------------------------------------------------- closed forms
@pytest.mark.parametrize("dt", [0.1, 0.025])
@pytest.mark.parametrize(("onset", "width"), [(20.0, 30.0), (20 * u.ms, 0.03 * u.second)])
def test_the_response_to_a_pulse_is_the_closed_form(dt, onset, width):
    # exp_euler solves a linear node with an input that is constant on steps exactly: only rounding is left
    x = respond(pulse(0.7, onset=onset, width=width), 100.0, linear(dt)).isel(region=0)
    rise = lambda t: -0.7 / GAMMA * (1 - np.exp(GAMMA * np.clip(t, 0.0, None)))  # noqa: E731
    exact = rise(x.time - 20.0) - rise(x.time - 50.0)
    assert float(exact.max()) > 3.0
    np.testing.assert_allclose(x, exact, atol=1e-12)


@pytest.mark.parametrize("dt", [0.01, 0.02, 0.1, 0.3, 0.7])
@pytest.mark.parametrize(("first", "length"), [(0, 1), (3, 7), (33, 50)])
def test_the_integral_of_a_pulse_is_its_amplitude_times_its_width(dt, first, length):
    # times such as 3 * 0.1 are not exact in binary: an edge within a millionth of a step of a step's start lies on it.
    # 1e-12: sums of at most 50 rounded numbers
    got = integral(pulse(2.0, onset=first * dt, width=length * dt), 100 * dt, dt)
    assert got == pytest.approx(2.0 * length * dt, rel=1e-12)


def test_a_pulse_has_its_number_of_steps_late_in_a_long_run_too():
    # step 200 million of 0.01 ms: the times themselves are rounded to 2e-10 ms
    dt, first = 0.01, 200_000_000
    times = (first + np.arange(4000)) * dt
    for offset in range(10):
        values = pulse(1.0, onset=(first + 100 + offset) * dt, width=20.0).at(times)
        assert int(values.sum()) == 2000
        assert int(values.values.argmax()) == 100 + offset


def test_a_pulse_between_steps_drives_the_steps_that_start_in_it():
    on = respond(pulse(1.0, onset=10.05, width=1.02), 20.0, linear(gamma=0.0, method="euler")).isel(region=0).diff("time") > 0
    # the step that starts at 10.1 is the first one inside [10.05, 11.07), that at 11.0 the last; stamps are ends of steps
    np.testing.assert_allclose(on.time[on.values][[0, -1]], [10.2, 11.1])


def test_a_train_is_the_sum_of_its_pulses():
    times = np.arange(2000) * 0.1
    train = pulse_train(1.5, onset=7.3, width=2.1, period=11.7, count=6)
    parts = sum(pulse(1.5, onset=7.3 + i * 11.7, width=2.1) for i in range(6))
    xr.testing.assert_equal(train.at(times), parts.at(times))
    assert integral(train, 200.0, 0.1) == pytest.approx(6 * 1.5 * 2.1, rel=1e-12)
    endless = pulse_train(1.5, onset=7.3, width=2.1, period=11.7).at(times)
    assert float(endless.sum()) * 0.1 == pytest.approx(17 * 1.5 * 2.1, rel=1e-12)  # the last begins at 7.3 + 16 * 11.7 = 194.5 ms


def test_pulses_without_a_gap_are_one_pulse():
    times = np.arange(2000) * 0.1
    xr.testing.assert_equal(
        pulse_train(1.0, onset=0.3, width=0.7, period=0.7, count=100).at(times), pulse(1.0, onset=0.3, width=70.0).at(times)
    )


def response_at(stimulus, frequency, dt, **arguments):
    """Complex amplitude of the response to a sine from 100 to 600 ms, whole periods: a e^{i p} of a sin(w t + p)."""
    x = respond(stimulus, 600.0, linear(dt), transient=100.0, **arguments).isel(region=0)
    return complex(2j * (x * np.exp(-2j * np.pi * frequency * 1e-3 * x.time)).mean("time"))


@pytest.mark.parametrize("frequency", [10.0, 40.0])
def test_the_response_to_a_sine_has_the_gain_and_phase_of_a_first_order_low_pass(frequency):
    w = 2e-3 * np.pi * frequency
    exact = 1 / (1j * w - GAMMA)
    assert abs(exact) == pytest.approx(1 / np.hypot(GAMMA, w))
    found = np.array([response_at(sine(1.0, frequency=frequency), frequency, dt) for dt in (0.4, 0.2, 0.1)])
    # a held input is late by half a step: first order in phase (the next order is gamma dt / 6, at most 0.013), second in gain
    np.testing.assert_allclose(np.angle(found / exact), -w * np.array([0.2, 0.1, 0.05]), rtol=0.02)
    gain = np.abs(found / exact) - 1
    np.testing.assert_allclose(np.log2(gain[:-1] / gain[1:]), 2.0, atol=0.1)
    assert abs(gain[-1]) < (w * 0.1) ** 2
    # and exactly the discrete low pass, x' = e^(gamma dt) x + (e^(gamma dt) - 1) / gamma u; the start has decayed to e^-20 = 2e-9
    discrete = [np.expm1(GAMMA * dt) / GAMMA / (np.exp(1j * w * dt) - np.exp(GAMMA * dt)) for dt in (0.4, 0.2, 0.1)]
    np.testing.assert_allclose(found, discrete, rtol=1e-8)


def test_the_phase_of_a_sine_is_that_at_its_onset():
    times = np.arange(1000) * 0.1
    late = sine(2.0, frequency=40.0, phase=0.5, onset=30.0, stop=80.0).at(times)
    exact = np.where((times > 29.99) & (times < 79.99), 2.0 * np.sin(2 * np.pi * 0.04 * (times - 30.0) + 0.5), 0.0)
    np.testing.assert_allclose(late, exact, atol=1e-12)
    cosine = sine(2.0, frequency=0.04 * u.kHz, phase=90 * u.degree).at(times)
    np.testing.assert_allclose(cosine, 2.0 * np.cos(2 * np.pi * 0.04 * times), atol=1e-12)


def test_a_ramp_rises_holds_and_ends():
    times = np.arange(1000) * 0.1
    found = ramp(3.0, onset=10.0, width=20.0, hold=15.0).at(times)
    exact = np.where(times < 44.99, 3.0 * np.clip((times - 10.0) / 20.0, 0.0, 1.0), 0.0)
    np.testing.assert_allclose(found, exact, atol=1e-12)
    # each step takes the value at its start: half a step less than the area under the ramp
    got = integral(ramp(3.0, onset=10.0, width=20.0, hold=15.0), 100.0, 0.1)
    assert got == pytest.approx(3.0 * (20.0 / 2 + 15.0 - 0.1 / 2), rel=1e-12)
    assert float(ramp(3.0, onset=10.0, width=20.0).at(times)[-1]) == 3.0


# ---------------------------------------------------------------------------------------------------------------- the same as other inputs
def several():
    """A stimulus with every kind of term, two run dims and regions."""
    t = np.arange(0.0, 60.0, 2.5)
    series = xr.DataArray(np.cos(t)[:, None] * [1.0, -1.0], dims=("time", "region"), coords={"time": t, "region": ["C", "A"]})
    amplitude = xr.DataArray([1.0, 2.0, 3.0], dims="amplitude")
    onset = xr.DataArray([5.0, 12.5], dims="onset", coords={"onset": [5.0, 12.5]})
    return (
        pulse(amplitude, onset=onset, width=10, region=["B"])
        + sine(xr.DataArray([0.5, 0.25], dims="region", coords={"region": ["D", "B"]}), frequency=80.0, onset=onset)
        + series
        - ramp(0.3, onset=20.0, width=10.0, hold=5.0)
        + 0.05
    )


ABCD = ["A", "B", "C", "D"]


def test_a_run_sees_the_same_as_with_the_stimulus_as_a_dataarray():
    sim = linear(regions=ABCD, method="heun")
    drive = several()
    run = respond(drive, 50.0, sim)
    series = drive.at(np.arange(500) * 0.1)
    assert series.dims == ("amplitude", "onset", "time", "region")
    assert series.region.values.tolist() == ["B", "D", "C", "A"]
    xr.testing.assert_equal(run, respond(series, 50.0, sim))
    assert run.dims == ("amplitude", "onset", "time", "region")


def test_a_sine_is_the_same_as_that_function_of_time():
    sim = linear(regions=ABCD)

    def wave(ms):
        return 0.5 * np.sin(2e-3 * np.pi * 30.0 * (ms - 0.0) + 0.1)

    # the product of pi, frequency and time may be rounded in another order: a few times 1e-16 of the phase, which is at most 10
    np.testing.assert_allclose(respond(sine(0.5, frequency=30.0, phase=0.1), 50.0, sim), respond(wave, 50.0, sim), atol=1e-13)


def test_a_pulse_over_the_whole_run_is_a_constant():
    for model, name, value in ((xm.LinearStep(gamma=-0.1), "x", 0.3), (xm.WilsonCowanStep(), "e", 0.6), (xm.JansenRitStep(), "E", 30.0)):
        sim = xm.Simulator(model, dt=0.1, precision="float64")
        whole = sim.run(20.0, inputs={name: pulse(value, onset=0.0, width=20.0)})
        constant = sim.run(20.0, inputs={name: value})
        for state in constant.data_vars:
            np.testing.assert_allclose(whole[state], constant[state], rtol=1e-12)  # two programs, rounded apart


def test_from_dataarray_is_the_dataarray():
    t = np.arange(0.0, 50.0, 0.5)
    series = xr.DataArray(np.sin(t), dims="time", coords={"time": t / 1000}).assign_coords(time=("time", t / 1000, {"units": "s"}))
    xr.testing.assert_equal(respond(from_dataarray(series), 50.0), respond(series, 50.0))
    constant = xr.DataArray([0.1, 0.2], dims="p")
    xr.testing.assert_equal(respond(from_dataarray(constant), 10.0), respond(constant, 10.0))
    assert from_dataarray(series.chunk(time=10)).at(t).identical(from_dataarray(series).at(t))


# ---------------------------------------------------------------------------------------------------------------- laws of +
numbers = st.floats(-10, 10).map(lambda v: round(v, 6))  # halves of numbers below 1e-308 are rounded
lengths = st.floats(0.1, 50)


@st.composite
def places(draw, values):
    """A number, or a DataArray over some labelled regions, in some order."""
    if draw(st.booleans()):
        return draw(values)
    labels = draw(st.lists(st.sampled_from(ABCD), unique=True, min_size=1))
    return xr.DataArray([draw(values) for _ in labels], dims="region", coords={"region": labels})


@st.composite
def sweeps(draw, values):
    """A number, or a DataArray over one of two run dims, its labels in some order."""
    dim = draw(st.sampled_from([None, "p", "q"]))
    if dim is None:
        return draw(values)
    labels = draw(st.permutations([1, 2, 3]))
    return xr.DataArray([draw(values) for _ in labels], dims=dim, coords={dim: labels})


@st.composite
def stimuli(draw):
    onset = draw(sweeps(st.floats(-20, 80)))
    kind = draw(st.sampled_from(["pulse", "train", "sine", "ramp", "series"]))
    amplitude = draw(places(numbers))
    if kind == "pulse":
        return pulse(amplitude, onset=onset, width=draw(sweeps(lengths)))
    if kind == "train":
        return pulse_train(amplitude, onset=onset, width=draw(lengths), period=draw(st.floats(50, 60)), count=draw(st.integers(1, 4)))
    if kind == "sine":
        return sine(amplitude, frequency=draw(sweeps(st.floats(1, 100))), phase=draw(numbers), onset=onset)
    if kind == "ramp":
        return ramp(amplitude, onset=onset, width=draw(lengths), hold=draw(st.none() | lengths))
    t = np.linspace(0.0, 90.0, 10)
    return from_dataarray(amplitude * xr.DataArray(np.cos(t), dims="time", coords={"time": t}))


TIMES = np.arange(0.0, 100.0, 1.3)


def values(stimulus):
    """At some times, on all regions and runs, in one order of dims and labels."""
    found = (stimulus + xr.DataArray(np.zeros(4), dims="region", coords={"region": ABCD})).at(TIMES)
    for dim in ("p", "q"):
        found = found.expand_dims({dim: [1, 2, 3]}) if dim not in found.dims else found
    return found.sel(region=ABCD, p=[1, 2, 3], q=[1, 2, 3]).transpose("p", "q", "time", "region").values


@pytest.mark.long
@given(stimuli(), stimuli(), stimuli())
def test_stimuli_add_up(a, b, c):
    np.testing.assert_array_equal(values(a + b), values(b + a))
    np.testing.assert_array_equal(values(a + b), values(a) + values(b))
    # 1e-14: three numbers of at most 10, summed in two orders
    np.testing.assert_allclose(values((a + b) + c), values(a + (b + c)), atol=1e-14)
    np.testing.assert_array_equal(values(2 * (a + b)), values(2 * a + b * 2))
    np.testing.assert_array_equal(values(-1 * -a), values(a))
    np.testing.assert_array_equal(values(a - a), 0.0)
    np.testing.assert_array_equal(values(a / 2), values(a) / 2)
    np.testing.assert_array_equal(values(sum([a, b])), values(a + b))


def test_no_region_is_dropped_from_a_sum():
    # arithmetic of DataArrays keeps only the labels that both have
    a = xr.DataArray([1.0, 2.0], dims="region", coords={"region": ["A", "B"]})
    b = xr.DataArray([10.0, 20.0], dims="region", coords={"region": ["B", "C"]})
    assert (a + b).region.values.tolist() == ["B"]
    both = (pulse(a, onset=0.0, width=5.0) + pulse(b, onset=0.0, width=5.0)).at([0.0]).squeeze("time")
    assert dict(zip(both.region.values.tolist(), both.values.tolist(), strict=True)) == {"A": 1.0, "B": 12.0, "C": 20.0}
    run = respond(pulse(a, onset=0.0, width=5.0) + pulse(b, onset=0.0, width=5.0), 5.0, linear(regions=ABCD)).isel(time=-1)
    np.testing.assert_allclose(run / run.sel(region="A"), [1.0, 12.0, 20.0, 0.0], atol=1e-12)


def test_a_stimulus_is_multiplied_by_a_dataarray_with_labels():
    gain = xr.DataArray([3.0, 2.0], dims="region", coords={"region": ["B", "A"]}) * xr.DataArray([1.0, 10.0], dims="g")
    base = pulse(xr.DataArray([1.0, 5.0], dims="region", coords={"region": ["A", "B"]}, attrs={"units": "1/s"}), onset=0.0, width=5.0)
    found = (base * gain).at([0.0]).squeeze("time")
    assert found.attrs["units"] == "1/s"
    np.testing.assert_allclose(found.sel(region=["A", "B"]).transpose("g", "region"), [[2.0, 15.0], [20.0, 150.0]])


# ---------------------------------------------------------------------------------------------------------------- dims and labels
def test_a_sweep_of_amplitudes_and_onsets_is_made_of_its_runs():
    sim = linear(tile=4)
    amplitude, onset = xr.DataArray([0.5, 1.0, 2.0], dims="amplitude"), xr.DataArray([10.0, 20.0], dims="onset")
    run = respond(pulse(amplitude, onset=onset * 1.0, width=5.0), 40.0, sim)
    assert run.dims == ("amplitude", "onset", "time", "region")
    assert run.onset.attrs["units"] == "ms"
    for a in (0.5, 1.0, 2.0):
        for at in (10.0, 20.0):
            single = respond(pulse(a, onset=at, width=5.0), 40.0, sim)
            np.testing.assert_array_equal(run.sel(amplitude=a, onset=at), single)


def test_run_dims_pair_by_label_with_the_parameters():
    labels = ["one", "two"]
    gamma = xr.Dataset({"gamma": ("s", [-0.1, -0.2])}, {"s": labels})
    height = xr.DataArray([2.0, 1.0], dims="s", coords={"s": labels[::-1]})
    run = linear(tile=2).run(30.0, gamma, inputs={"x": pulse(height, onset=0.0, width=30.0)}, initial={"x": 0.0}).x
    assert run.dims == ("s", "time", "region")
    exact = xr.DataArray([1.0, 2.0], dims="s") / -gamma.gamma * (1 - np.exp(gamma.gamma * run.time))
    np.testing.assert_allclose(run.squeeze("region"), exact, atol=1e-12)


@pytest.mark.parametrize("regions", [ABCD, ["D", "B", "A", "C"]])
def test_labels_choose_the_regions_in_any_order(regions):
    sim = linear(regions=regions)
    some = xr.DataArray([2.0, 1.0], dims="region", coords={"region": ["C", "A"]})
    run = respond(pulse(some, onset=0.0, width=5.0), 5.0, sim).isel(time=-1)
    one = float(respond(pulse(1.0, onset=0.0, width=5.0), 5.0)[-1, 0])
    expected = {"A": one, "B": 0.0, "C": 2 * one, "D": 0.0}
    np.testing.assert_allclose(run, [expected[r] for r in regions], rtol=1e-12)
    named = respond(pulse(1.0, onset=0.0, width=5.0, region=["A"]) + pulse(2.0, onset=0.0, width=5.0, region=("C",)), 5.0, sim)
    np.testing.assert_array_equal(named.isel(time=-1), run)


def test_labels_may_be_numbers():
    run = respond(pulse(1.0, onset=0.0, width=5.0, region=np.array([3, 1])), 5.0, linear(regions=4)).isel(time=-1)
    assert (run > 0).values.tolist() == [False, True, False, True]


def test_values_without_labels_go_by_position_and_need_all_regions():
    bank = linear(regions=ABCD)
    run = respond(pulse(xr.DataArray([0.0, 1.0, 0.0, 2.0], dims="region"), onset=0.0, width=5.0), 5.0, bank).isel(time=-1)
    assert float(run[3] / run[1]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="has 2 regions without labels, the system has 4"):
        respond(pulse(xr.DataArray([0.0, 1.0], dims="region"), onset=0.0, width=5.0), 5.0, bank)


def test_a_pulse_may_travel_over_the_regions():
    arrival = xr.DataArray([15.0, 5.0, 10.0], dims="region", coords={"region": ["C", "A", "B"]})
    run = respond(pulse(1.0, onset=arrival, width=3.0), 30.0, linear(regions=ABCD))
    first = run.time[(run > 0).argmax("time")]
    np.testing.assert_allclose(first.values[:3], [5.1, 10.1, 15.1])
    assert float(abs(run.sel(region="D")).max()) == 0.0


def test_a_network_takes_a_stimulus_on_some_regions():
    net = xm.Simulator(
        xm.Network(xm.LinearStep(gamma=-0.5), SC, speed=10.0, coupling=xm.AdditiveCoupling(k=0.1, source="x", target="x")), dt=0.1
    )
    run = respond(pulse(1.0, onset=1.0, width=2.0, region=["R2"]), 10.0, net)
    first = run.time[(run > 0).argmax("time")]
    assert float(first.sel(region="R2")) == pytest.approx(1.1)
    # 40 mm at 10 mm/ms; Heun's second stage of the step from 5.0 to 5.1 sees what R2 was at 1.1 ms
    np.testing.assert_allclose(first.drop_sel(region="R2"), 5.1)


def two_models():
    """The first and the last region of four are one model, the others another."""
    kinds = xr.DataArray(["one", "two", "two", "one"], dims="region", coords={"region": SC.region.values})
    models = {"one": xm.LinearStep(gamma=-0.1), "two": xm.LinearStep(gamma=-0.2)}
    return xm.Simulator(xm.Network(models, SC, assignment=kinds), dt=0.1, method="exp_euler", precision="float64")


def test_a_stimulus_reaches_the_regions_of_one_model():
    start = {"one.x": 0.0, "two.x": 0.0}
    some = xr.DataArray([2.0], dims="region", coords={"region": ["R2"]})
    inputs = {"two.x": pulse(some, onset=0.0, width=5.0), "one.x": pulse(1.0, onset=0.0, width=5.0)}
    run = two_models().run(5.0, inputs=inputs, initial=start).isel(time=-1)
    charged = -np.expm1(-0.1 * 5.0) / 0.1, -2.0 * np.expm1(-0.2 * 5.0) / 0.2
    np.testing.assert_allclose(run["one.x"].dropna("region"), [charged[0]] * 2, rtol=1e-12)
    np.testing.assert_allclose(run["two.x"].dropna("region"), [0.0, charged[1]], rtol=1e-12)
    by_position = {"two.x": pulse(xr.DataArray([0.0, 2.0], dims="region"), onset=0.0, width=5.0)}
    np.testing.assert_array_equal(two_models().run(5.0, inputs=by_position, initial=start)["two.x"].isel(time=-1), run["two.x"])
    with pytest.raises(ValueError, match=r"inputs\['two.x'\] \(pulse\) has unknown \['R0'\].*the model has the regions \['R1', 'R2'\]"):
        two_models().run(5.0, inputs={"two.x": pulse(1.0, onset=0.0, width=5.0, region=["R0"])}, initial=start)


# ---------------------------------------------------------------------------------------------------------------- units
def test_amplitudes_and_times_in_their_units():
    base = respond(pulse(2.0, onset=5.0, width=10.0), 30.0)  # 1/ms
    pint = pytest.importorskip("pint_xarray").unit_registry
    attrs = xr.DataArray(2000.0, attrs={"units": "1/s"})
    for amplitude in (
        2.0 / u.ms,
        2000.0 / u.second,
        attrs,
        pint.Quantity(2.0, "1/ms"),
        xr.DataArray(pint.Quantity(np.array(2000.0), "1/s")),
    ):
        for onset in (0.005 * u.second, xr.DataArray(0.005, attrs={"units": "s"}), pint.Quantity(5.0, "ms")):
            np.testing.assert_allclose(respond(pulse(amplitude, onset=onset, width=10.0), 30.0), base, rtol=1e-14)
    mixed = pulse(2000.0 / u.second, onset=5.0, width=10.0) + pulse(1.0, onset=20.0, width=5.0)
    np.testing.assert_allclose(respond(mixed, 20.0), base[:200], rtol=1e-14)
    with pytest.raises(ValueError, match=r"amplitudes in Hz and bare numbers.*unit='Hz'"):
        mixed.at([0.0])
    np.testing.assert_allclose(mixed.at([5.0, 20.0], unit="1/ms"), [2.0, 1.0])


# ---------------------------------------------------------------------------------------------------------------- records, pieces
def test_a_result_is_made_again_from_its_record():
    sim = linear(regions=ABCD)
    run = sim.run(50.0, inputs={"x": several()}, initial={"x": 0.1})
    xr.testing.assert_identical(xm.rerun(run), run)


def test_a_store_resumes_and_refuses_another_stimulus(tmp_path):
    sim = linear(regions=ABCD, tile=2)
    arguments = dict(initial={"x": 0.1}, chunks={"amplitude": 1})
    stored = sim.run_to_zarr(tmp_path / "s.zarr", 50.0, inputs={"x": several()}, **arguments)
    eager = sim.run(50.0, inputs={"x": several()}, initial={"x": 0.1})
    xr.testing.assert_equal(stored.x.compute(), eager.x)
    status = _forget_a_chunk(tmp_path / "s.zarr")
    again = sim.run_to_zarr(tmp_path / "s.zarr", 50.0, inputs={"x": several()}, **arguments)
    assert (status() == 1).all()
    xr.testing.assert_equal(again.x.compute(), eager.x)
    xr.testing.assert_identical(xm.rerun(again).x, eager.x)
    with pytest.raises(ValueError, match="holds another run") as caught:
        sim.run_to_zarr(tmp_path / "s.zarr", 50.0, inputs={"x": several() * 2}, **arguments)
    assert "inputs.x.terms[3].amplitude: -0.3 -> -0.6;" in str(caught.value)


def _forget_a_chunk(store):
    """Zeros in the second chunk, and its status as if it had not run; returns a look at the status."""
    import zarr

    status, x = zarr.open_array(store / "status", mode="r+"), zarr.open_array(store / "x", mode="r+")
    status[1], x[1] = 0, 0.0
    return lambda: np.asarray(zarr.open_array(store / "status", mode="r")[...])


def test_a_lazy_result_is_the_eager_one():
    sim = linear(regions=ABCD, tile=2)
    lazy = sim.run(50.0, inputs={"x": several()}, initial={"x": 0.1}, chunks={"amplitude": 2, "onset": 1})
    assert lazy.x.chunksizes["amplitude"] == (2, 1)
    xr.testing.assert_equal(lazy.x.compute(), sim.run(50.0, inputs={"x": several()}, initial={"x": 0.1}).x)


def test_a_continued_run_sees_the_stimulus_at_absolute_times():
    sim = linear(method="heun")
    drive = pulse(1.0, onset=18.0, width=7.0) + sine(0.2, frequency=30.0)
    whole = sim.run(40.0, inputs={"x": drive}, initial={"x": 0.0})
    first = sim.run(20.0, inputs={"x": drive}, initial={"x": 0.0}, restart=True)
    second = sim.run(20.0, inputs={"x": drive}, initial=first)
    xr.testing.assert_equal(xr.concat([first.x, second.x], "time"), whole.x)


def test_a_long_run_asks_for_the_stimulus_piece_by_piece(monkeypatch):
    asked = []
    original = Drive.rows

    def rows(self, *arguments):
        found = original(self, *arguments)
        asked.append(found.size)
        return found

    monkeypatch.setattr(Drive, "rows", rows)
    onset = xr.DataArray(np.linspace(0.0, 9000.0, 64), dims="onset")
    sim = xm.Simulator(xm.LinearStep(gamma=-0.1), dt=0.1, regions=16)
    run = sim.run(10_000.0, inputs={"x": pulse(1.0, onset=onset, width=500.0)}, monitors={"m": xm.TemporalAverage(of="x", period=1000.0)})
    assert run.m.shape == (64, 10, 16)
    assert max(asked) <= 2_000_000  # of the 64 * 100 000 numbers of the whole, and 16 times as many with regions
    assert len(asked) > 4


# ---------------------------------------------------------------------------------------------------------------- looks
def test_a_stimulus_says_what_it_is():
    said = repr(several())
    assert said == (
        "pulse(<amplitude: 3>, onset=<onset: 2> ms, width=10 ms, region=['B']) + "
        "sine(<region: 2>, frequency=80 Hz, phase=0 rad, onset=<onset: 2> ms, region=['D', 'B']) + "
        "series(<time: 24, region: 2>, region=['C', 'A']) + ramp(-0.3, onset=20 ms, width=10 ms, hold=5 ms) + constant(0.05)"
    )
    assert isinstance(several(), Stimulus)


def lines(axes):
    return [(patch.get_label(), patch.get_data()) for patch in axes.patches]


def test_a_plot_has_one_line_for_each_region_and_run():
    import matplotlib.pyplot as plt

    axes = pulse(xr.DataArray(2.0, attrs={"units": "1/ms"}), onset=10.0, width=5.0, region=["A", "B"]).plot(40 * u.ms, dt=0.1)
    assert [name for name, _ in lines(axes)] == ["region A", "region B"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xlim()) == ("time [ms]", "stimulus [1/ms]", (0.0, 40.0))
    drawn, edges, _ = lines(axes)[0][1]
    np.testing.assert_allclose(edges[:-1][np.flatnonzero(drawn)][[0, -1]], [10.0, 14.9])
    assert float(drawn.max()) == 2.0
    _, given = plt.subplots()
    assert pulse(xr.DataArray(np.arange(12.0), dims="amplitude"), onset=10.0, width=5.0).plot(ax=given) is given
    assert len(lines(given)) == 12
    assert "12 lines over amplitude" in given.get_title(loc="right")
    plt.close("all")


@pytest.mark.parametrize(
    ("stimulus", "least"),
    [
        (pulse(1.0, onset=500.0, width=0.5), 500.5),
        (pulse_train(1.0, onset=0.0, width=1.0, period=10.0, count=20), 191.0),
        (sine(1.0, frequency=2.0), 1000.0),
        (sine(1.0, frequency=2.0, stop=300.0), 300.0),
        (ramp(1.0, onset=5.0, width=100.0, hold=50.0), 155.0),
        (from_dataarray(xr.DataArray([1.0, 0.0], dims="time", coords={"time": [0.0, 80.0]})), 80.0),
        (pulse(1.0, onset=0.0, width=1.0) * 0.0 + 3.0, 1.0),
    ],
    ids=["pulse", "train", "sine", "sine with a stop", "ramp", "series", "constant"],
)
def test_a_plot_shows_all_of_it_by_default(stimulus, least):
    import matplotlib.pyplot as plt

    axes = stimulus.plot()
    assert axes.get_xlim()[1] >= least
    assert len({float(v) for v in lines(axes)[0][1][0]}) > 1 or "constant" in repr(stimulus)
    plt.close("all")


# ---------------------------------------------------------------------------------------------------------------- refusals
two = xr.DataArray([1.0, 2.0], dims="region", coords={"region": ["A", "B"]})
one_pulse = dict(onset=1.0, width=1.0)


def drive(stimulus, **arguments):
    """A run of three regions, input x in 1/ms."""
    return lambda: xm.Simulator(xm.LinearStep(), dt=0.1, regions=["A", "B", "C"]).run(5.0, inputs={"x": stimulus}, **arguments)


BAD = {
    "negative width": (lambda: pulse(1.0, onset=1.0, width=-1.0), ValueError, "pulse got width=-1 ms", "positive width"),
    "width of zero": (lambda: pulse(1.0, onset=1.0, width=0.0), ValueError, "pulse got width=0 ms", "positive width"),
    "negative width in a sweep": (
        lambda: ramp(1.0, onset=1.0, width=xr.DataArray([1.0, -2.0], dims="w")),
        ValueError,
        "ramp got width=-2 to 1 ms",
    ),
    "negative hold": (lambda: ramp(1.0, onset=1.0, width=1.0, hold=-1.0), ValueError, "ramp got hold=-1 ms", "without hold"),
    "period shorter than width": (
        lambda: pulse_train(1.0, onset=0.0, width=5.0, period=4.0, count=2),
        ValueError,
        "pulse_train got period=4 ms and width=5 ms",
        "before this one has ended",
    ),
    "count of zero": (lambda: pulse_train(1.0, onset=0.0, width=1.0, period=4.0, count=0), ValueError, "count=0", "at least 1"),
    "count of a half": (lambda: pulse_train(1.0, onset=0.0, width=1.0, period=4.0, count=2.5), ValueError, "count=2.5", "whole number"),
    "no frequency": (lambda: sine(1.0, frequency=0.0), ValueError, "sine got frequency=0 Hz", "positive frequency"),
    "stop before onset": (
        lambda: sine(1.0, frequency=10.0, onset=20.0, stop=10.0),
        ValueError,
        "sine got stop=10 ms and onset=20 ms",
        "before it begins",
    ),
    "NaN amplitude": (lambda: pulse(np.nan, **one_pulse), ValueError, "amplitude holds NaN"),
    "NaN onset": (lambda: pulse(1.0, onset=np.nan, width=1.0), ValueError, "onset holds NaN"),
    "infinite width": (lambda: pulse(1.0, onset=0.0, width=np.inf), ValueError, "width holds NaN or infinity"),
    "onset in mV": (lambda: pulse(1.0, onset=3 * u.mV, width=1.0), ValueError, "onset came in mV", "needs ms"),
    "frequency in ms": (lambda: sine(1.0, frequency=3 * u.ms), ValueError, "frequency came in ms", "needs Hz"),
    "amplitude as text": (lambda: pulse("1", **one_pulse), TypeError, "amplitude is str '1'"),
    "amplitude as list": (lambda: pulse([1.0, 2.0], **one_pulse), ValueError, "amplitude is an array of shape (2,)", "dims='region'"),
    "amplitude over time": (
        lambda: pulse(xr.DataArray([1.0], dims="time", coords={"time": [0.0]}), **one_pulse),
        ValueError,
        "amplitude has dims ('time',)",
        "stimulus + series",
    ),
    "amplitude as matrix": (lambda: pulse(SC.weights, **one_pulse), ValueError, "'region_other'"),
    "regions of amplitude and onset": (
        lambda: pulse(two, onset=two.assign_coords(region=["A", "C"]), width=1.0),
        ValueError,
        "onset of the pulse and amplitude of the pulse have different regions",
    ),
    "regions twice": (lambda: pulse(two, **one_pulse, region=["A"]), ValueError, "region=['A']", "say once where"),
    "a region repeated": (lambda: pulse(1.0, **one_pulse, region=["A", "A"]), ValueError, "repeats the regions ['A']"),
    "region is text": (lambda: pulse(1.0, **one_pulse, region="A"), TypeError, "region='A'", "region=['A']"),
    "region is a number": (lambda: pulse(1.0, **one_pulse, region=3), TypeError, "region=3", "region=[3]"),
    "no region": (lambda: pulse(1.0, **one_pulse, region=[]), ValueError, "region=[]", "at least one"),
    "labels of a sweep differ": (
        lambda: (
            pulse(xr.DataArray([1.0, 2.0], dims="p", coords={"p": [1, 2]}), **one_pulse)
            + sine(xr.DataArray([1.0, 2.0], dims="p", coords={"p": [1, 3]}), frequency=10.0)
        ),
        ValueError,
        "amplitude of the sine and amplitude of the pulse have different labels along 'p'",
    ),
    "no DataArray": (lambda: from_dataarray(np.zeros(3)), TypeError, "from_dataarray got a ndarray", "xr.DataArray("),
    "plus a function": (lambda: pulse(1.0, **one_pulse) + np.sin, TypeError, "a function of time cannot be added", "xr.DataArray(f(ms)"),
    "a DataArray first": (lambda: two + pulse(1.0, **one_pulse), TypeError, "would lose its dims and labels", "stimulus + array"),
    "a DataArray times a stimulus": (lambda: two * pulse(1.0, **one_pulse), TypeError, "would lose its dims", "stimulus * array"),
    "a stimulus times a stimulus": (lambda: pulse(1.0, **one_pulse) * pulse(1.0, **one_pulse), TypeError, "by numbers"),
    "times a quantity": (lambda: pulse(1.0, **one_pulse) * (3 * u.mV), ValueError, "this factor is in mV", "amplitude="),
    "times other regions": (
        lambda: pulse(two, **one_pulse) * two.assign_coords(region=["A", "C"]),
        ValueError,
        "the factor lacks ['B'] and has unknown ['C'] along 'region'",
    ),
    "wrong unit": (drive(pulse(1.0 * u.mV, **one_pulse)), ValueError, "inputs['x'] (pulse) came in mV, needs 1/ms", "1.5 / u.ms"),
    "wrong unit of a later term": (
        drive(pulse(1.0, **one_pulse) + sine(1.0 * u.mV, frequency=10.0)),
        ValueError,
        "inputs['x'] (sine) came in mV, needs 1/ms",
    ),
    "unknown region": (
        drive(pulse(1.0, **one_pulse, region=["A", "Z"])),
        ValueError,
        "inputs['x'] (pulse) has unknown ['Z'] along 'region'",
        "the system has the regions ['A', 'B', 'C']",
    ),
    "unknown region of a series": (
        drive(from_dataarray(two.assign_coords(region=["A", "Z"]))),
        ValueError,
        "inputs['x'] (constant) has unknown ['Z']",
    ),
    "unknown input": (
        lambda: xm.Simulator(xm.LinearStep(), dt=0.1).run(5.0, inputs={"y": pulse(1.0, **one_pulse)}),
        KeyError,
        "inputs has 'y', which LinearStep lacks",
        "it has 'x'",
    ),
    "shorter than a step": (
        drive(pulse(1.0, onset=1.0, width=0.05)),
        ValueError,
        "inputs['x'] (pulse) has a width of 0.05 ms, less than dt=0.1 ms",
        "a smaller dt",
    ),
    "faster than the steps": (
        drive(sine(1.0, frequency=6000.0)),
        ValueError,
        "inputs['x'] (sine) has half a period of 0.0833333 ms, less than dt=0.1 ms",
    ),
    "a series that ends early": (
        drive(pulse(1.0, **one_pulse) + xr.DataArray([1.0, 1.0], dims="time", coords={"time": [0.0, 1.0]})),
        ValueError,
        "inputs['x'] (series) covers 0 to 2 ms, the run goes from 0 to 5 ms",
    ),
    "sizes clash with a parameter": (
        drive(pulse(xr.DataArray([1.0, 2.0, 3.0], dims="p"), **one_pulse), params=xr.Dataset({"gamma": ("p", [-1.0, -2.0])})),
        ValueError,
        "inputs['x'], amplitude of the pulse has 3 entries along 'p', params has 2",
    ),
    "labels in some terms": (
        lambda: (pulse(two, **one_pulse) + pulse(two.drop_vars("region"), **one_pulse)).at([0.0]),
        ValueError,
        "labels in some terms and [2] regions without in others",
        ".assign_coords(region=labels)",
    ),
    "times that go back": (lambda: pulse(1.0, **one_pulse).at([1.0, 0.0]), ValueError, "times are not a list of finite, increasing"),
    "a plot of no time": (lambda: pulse(1.0, **one_pulse).plot(0.0), ValueError, "duration=0 ms", "at least one step"),
}


@cases(BAD)
def test_bad_stimuli(call, error, fragments):
    refused(call, error, fragments)
