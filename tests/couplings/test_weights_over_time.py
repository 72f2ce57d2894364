"""Weights that vary in time: joined runs bit for bit, a linear system by matrix exponentials, observations, stores, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import xarray as xr

import xmass as xm
from tests.couplings.cases import DIMS, HOPF, NOISY, XX, connectome, over, start
from tests.oracles import loop

SC = connectome()
TIMES = [0.0, 2.5, 10.0]
FACTORS = [1.0, 2.0, -0.5]


def at(times, factors=FACTORS, weights=SC.weights):
    """Weights that are multiples of a matrix from each time on."""
    return xr.concat([f * weights for f in factors], "time").assign_coords(time=("time", times, {"units": "ms"}))


VARYING = at(TIMES)


def simulator(weights=VARYING, *, speed=None, node=NOISY, coupling=None, precision="float32", delays="nearest", **options):
    sc = SC.drop_vars("weights").assign(weights=weights)
    net = xm.Network(node, sc, speed=speed, coupling=coupling or xm.DiffusiveCoupling(k=0.3, **XX), delays=delays)
    return xm.Simulator(net, dt=0.1, precision=precision, **options)


def simulate(duration=15.0, params=None, *, monitors=None, **options):
    return simulator(**options).run(duration, params, monitors=monitors, initial=start(), seed=1)


# ---- what it means
@pytest.mark.long
@pytest.mark.parametrize("speed", [None, 4.0])
@pytest.mark.parametrize("delays", ["nearest", "linear"])
def test_runs_joined_at_the_changes_are_the_same_bit_for_bit(speed, delays):
    whole = simulate(speed=speed, delays=delays)
    parts, initial = [], start()
    for factor, duration in zip(FACTORS, (2.5, 7.5, 5.0), strict=True):
        seed = 1 if not parts else None
        parts.append(simulator(factor * SC.weights, speed=speed, delays=delays).run(duration, initial=initial, seed=seed, restart=True))
        initial = parts[-1]
    for name in ("x", "y"):
        np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), whole[name])


@pytest.mark.parametrize("scheme", ["heun", "rk4"])
@pytest.mark.parametrize("speed", [None, 4.0])
def test_each_stretch_is_that_of_the_numpy_loop(speed, scheme):
    # A delayed signal is weighted when it arrives: the weights of now, the state of then.
    run = simulate(node=HOPF, speed=speed, method=scheme, precision="float64")
    steps = np.rint(SC.distances.values / speed / 0.1).astype(int) if speed else np.zeros((4, 4), int)
    past = {n: [v.values] for n, v in start().items()}
    for factor, count in zip(FACTORS, (25, 75, 50), strict=True):
        edges = loop.Edges(factor * SC.weights.values, steps, "x", "x", 0.3, diffusive=True)
        known = {n: np.stack(v) for n, v in past.items()}

        def history(n, known=known):
            return {name: v[max(len(v) - 1 - n, 0)] for name, v in known.items()}

        begin = {n: v[-1] for n, v in past.items()}
        path = loop.integrate(loop.hopf(-0.1, 0.3), begin, [edges], dt=0.1, count=count, scheme=scheme, history=history)
        for n in past:
            past[n] += list(path[n])
    np.testing.assert_allclose(run.x, past["x"][1:], rtol=0, atol=1e-13)


def test_a_linear_system_by_the_exponential_of_each_stretch():
    # x' = (k W(t) - 1) x, so x(t) is a product of matrix exponentials; RK4 at dt = 0.1 is good to its fourth order.
    node, coupling = xm.LinearStep(gamma=-1.0), xm.AdditiveCoupling(k=0.4, **XX)
    ends = {}
    for dt in (0.1, 0.05):
        net = xm.Network(node, SC.assign(weights=VARYING), coupling=coupling)
        run = xm.Simulator(net, dt=dt, method="rk4", precision="float64").run(15.0, initial={"x": start()["x"]})
        ends[dt] = run.x.sel(time=[2.5, 10.0, 15.0], method="nearest").values
    x, expected = start()["x"].values, []
    for factor, duration in zip(FACTORS, (2.5, 7.5, 5.0), strict=True):
        x = scipy.linalg.expm(duration * (0.4 * factor * SC.weights.values - np.eye(4))) @ x
        expected.append(x)
    errors = [np.abs(ends[dt] / np.array(expected) - 1).max() for dt in ends]
    assert errors[0] < 1e-4
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.1)


def test_equal_weights_at_every_time_are_constant_weights():
    for speed in (None, 4.0):
        np.testing.assert_array_equal(simulate(weights=at(TIMES, [1, 1, 1]), speed=speed).x, simulate(weights=SC.weights, speed=speed).x)


def test_an_edge_that_comes_and_goes():
    # Edges of all times are planned together; where one has no weight it sends nothing.
    ring = SC.weights * np.roll(np.eye(4), 1, axis=1)
    weights = xr.concat([SC.weights, ring, 0 * ring], "time").assign_coords(time=TIMES)
    for speed in (None, 4.0):
        run = simulate(weights=weights, speed=speed, node=HOPF, precision="float64")
        first = simulator(SC.weights, speed=speed, node=HOPF, precision="float64").run(2.5, initial=start(), restart=True)
        second = simulator(ring, speed=speed, node=HOPF, precision="float64").run(7.5, initial=first, restart=True)
        third = simulator(0 * ring, speed=None, node=HOPF, precision="float64").run(
            5.0, initial={n: second[n].isel(time=-1, drop=True) for n in ("x", "y")}
        )
        np.testing.assert_allclose(run.x, np.concatenate([first.x, second.x, third.x]), rtol=0, atol=1e-13)


@pytest.mark.long
@pytest.mark.parametrize(
    "coupling",
    [xm.LaplacianCoupling(k=0.3, normalization="random_walk", **XX), xm.SineCoupling(k=0.3, **XX), xm.SigmoidalCoupling(k=0.3, **XX)],
    ids=lambda c: type(c).__name__,
)
def test_with_a_matrix_of_its_own_and_with_several_signals(coupling):
    weights = at(TIMES, [1.0, 2.0, 0.5])
    whole = simulate(weights=weights, speed=4.0, coupling=coupling)
    first = simulator(SC.weights, speed=4.0, coupling=coupling).run(2.5, initial=start(), seed=1, restart=True)
    second = simulator(2 * SC.weights, speed=4.0, coupling=coupling).run(7.5, initial=first)
    np.testing.assert_array_equal(np.concatenate([first.x, second.x]), whole.x.isel(time=slice(0, 100)))


# ---- where it is given
@pytest.mark.parametrize("speed", [None, 4.0])
def test_in_the_connectome_or_in_the_parameters(speed):
    whole = simulate(speed=speed)
    given = simulate(weights=SC.weights, params=xr.Dataset({"weights": VARYING}), speed=speed)
    np.testing.assert_array_equal(given.x, whole.x)
    for run in (whole, given):
        np.testing.assert_array_equal(xm.rerun(run).x, run.x)
    assert whole.x.dims == ("time", "region")  # the time of the weights is no dim of the run


def test_times_in_seconds():
    seconds = VARYING.assign_coords(time=("time", np.array(TIMES) / 1000, {"units": "s"}))
    np.testing.assert_array_equal(simulate(weights=seconds).x, simulate().x)


def test_one_sample_holds_for_ever():
    np.testing.assert_array_equal(simulate(weights=VARYING.isel(time=[0])).x, simulate(weights=SC.weights).x)


def test_a_subject_and_a_sweep_beside_the_time(tmp_path):
    weights = VARYING * over([1.0, 1.5], "subject")
    p = xr.Dataset({"coupling.k": over([0.1, 0.2, 0.3], "k"), "weights": weights})
    options = dict(weights=SC.weights, speed=4.0, tile=2)
    whole = simulate(params=p, **options)
    assert whole.x.dims == ("k", "subject", "time", "region")
    for subject in (1.0, 1.5):
        one = simulate(weights=weights.sel(subject=subject, drop=True), params=p[["coupling.k"]], speed=4.0, tile=2)
        np.testing.assert_array_equal(whole.x.sel(subject=subject), one.x)
    arguments = dict(initial=start(), seed=1)
    np.testing.assert_array_equal(simulator(**options).run(15.0, p, chunks={"k": 1}, **arguments).x, whole.x)
    np.testing.assert_array_equal(simulator(**options).run(15.0, p.chunk(time=1, k=2), **arguments).x, whole.x)
    store = tmp_path / "s.zarr"
    for _ in range(2):  # the second call finds it finished
        stored = simulator(**options).run_to_zarr(store, 15.0, p, chunks={"k": 1}, **arguments)
        np.testing.assert_array_equal(stored.x, whole.x)
    np.testing.assert_array_equal(xm.rerun(stored).x, whole.x)
    with pytest.raises(ValueError, match=r"holds another run, which differs in .*parameters\.weights"):
        simulator(**options).run_to_zarr(store, 15.0, p.assign(weights=1.01 * weights), chunks={"k": 1}, **arguments)
    assert xm.plan(simulator(**options), 15.0, p) is not None


def test_a_run_continues_within_a_stretch_bit_for_bit():
    for speed in (None, 4.0):
        whole = simulate(speed=speed)
        first = simulator(speed=speed).run(5.5, initial=start(), seed=1, restart=True)
        second = simulator(speed=speed).run(9.5, initial=first)
        np.testing.assert_array_equal(np.concatenate([first.x, second.x]), whole.x)


def test_only_one_of_two_connectomes_varies():
    both = {"a": xm.DiffusiveCoupling(k=0.1, **XX), "b": xm.AdditiveCoupling(k=0.1, **XX)}

    def run(weights, duration, initial, **options):
        connectomes = {"a": SC.assign(weights=weights), "b": connectome(1)}
        net = xm.Network(NOISY, connectomes, coupling=both, speed={"b": 3.0})
        return xm.Simulator(net, dt=0.1).run(duration, initial=initial, **options)

    whole = run(VARYING, 15.0, start(), seed=1)
    first = run(SC.weights, 2.5, start(), seed=1, restart=True)
    second = run(2 * SC.weights, 7.5, first)
    np.testing.assert_array_equal(np.concatenate([first.x, second.x]), whole.x.isel(time=slice(0, 100)))


# ---- observations
@pytest.mark.long
@pytest.mark.parametrize("speed", [None, 4.0])
def test_observations_are_those_of_the_trajectory(speed):
    monitors = {
        "x": "x",
        "average": xm.TemporalAverage(of="x", period=0.5, name="average"),
        "bold": xm.BOLDSignal(of="x", tr=5.0),
        "fc": xm.FunctionalConnectivity(of="x"),
    }
    run = simulate(speed=speed, monitors=monitors, precision="float64")
    np.testing.assert_array_equal(run.x, simulate(speed=speed, precision="float64").x)
    seen = xm.observe(run[["x"]], {n: m for n, m in monitors.items() if n != "x"})
    for name in ("average", "bold", "fc"):
        np.testing.assert_allclose(run[name], seen[name], rtol=1e-12, atol=1e-14)


def test_a_change_within_a_window_of_an_average_is_seen():
    # An average does not advance by itself: its window may hold two sets of weights.
    run = simulate(weights=at([0.0, 3.3, 10.0]), monitors={"x": "x", "average": xm.TemporalAverage(of="x", period=1.0)})
    np.testing.assert_allclose(run.average, run.x.values.reshape(15, 10, 4).mean(axis=1), rtol=1e-5, atol=1e-6)


# ---- what is refused
@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (VARYING.drop_vars("time"), r"weights has the dim 'time' without times\. Add them in ms"),
        (at([1.0, 3.0, 10.0]), "weights covers 1 to 17 ms, the run goes from 0 to 15 ms"),
        (at([0.0, 2.0, 4.0]), "weights covers 0 to 6 ms, the run goes from 0 to 15 ms"),
        (at([0.0, 3.05, 10.0]), r"weights changes at 3\.05 ms, within a step of dt=0\.1 ms.* the nearest is 3 ms"),
        (at([0.0, 10.0, 3.0]), "the times of weights are not finite and increasing"),
        (at([0.0, 3.0, 3.0]), "the times of weights are not finite and increasing"),
        (at([0.0, np.nan, 10.0]), "the times of weights are not finite and increasing"),
        (VARYING.assign_coords(time=("time", TIMES, {"units": "mV"})), "the time of weights came in mV, needs ms"),
        (VARYING.where(VARYING.time < 5), r"weights is NaN or infinite at \(time=10\.0, region=r0, region_other=r0\)"),
    ],
)
def test_what_does_not_fit_is_named(weights, said):
    with pytest.raises(ValueError, match=said):
        simulate(weights=weights)


def test_a_hole_in_the_parameters_is_named():
    with pytest.raises(ValueError, match=r"weights holds NaN or infinity at {'time': 10\.0, 'region': 'r0'"):
        simulate(weights=SC.weights, params=xr.Dataset({"weights": VARYING.where(VARYING.time < 5)}))


def test_a_change_within_a_step_of_the_bold_signal_is_named():
    with pytest.raises(ValueError, match=r"weights change at 3\.3 ms, within a step of 'bold'.* by 2\.5 ms.* nearest is 2\.5 ms"):
        simulate(weights=at([0.0, 3.3, 10.0]), monitors={"bold": xm.BOLDSignal(of="x", tr=5.0)})


def test_periods_that_share_no_segment_with_the_changes_are_named():
    monitors = {"bold": xm.BOLDSignal(of="x", tr=5.0), "average": xm.TemporalAverage(of="x", period=1.0, name="average")}
    with pytest.raises(ValueError, match=r"share no segment .* The weights change every 25 steps"):
        simulate(monitors=monitors)


def test_two_connectomes_change_at_the_same_times():
    both = {n: xm.DiffusiveCoupling(k=0.1, **XX) for n in "ab"}
    net = xm.Network(HOPF, {"a": SC.assign(weights=VARYING), "b": SC.assign(weights=at([0.0, 4.0, 10.0]))}, coupling=both)
    with pytest.raises(ValueError, match=r"\['coupling\.a\.weights', 'coupling\.b\.weights'\] vary at different times, need the same"):
        xm.Simulator(net, dt=0.1).run(15.0, initial=start())


def test_nothing_else_of_a_connectome_varies_in_time():
    lengths = SC.distances * xr.DataArray([1.0, 2.0], dims="time", coords={"time": [0.0, 5.0]})
    with pytest.raises(ValueError, match="distances has the dim 'time'; only inputs and weights may vary in time"):
        simulate(params=xr.Dataset({"distances": lengths}), speed=4.0)
    with pytest.raises(ValueError, match="a has the dim 'time'; only inputs and weights may vary in time"):
        simulate(params=xr.Dataset({"a": ("time", [0.1, 0.2])}))


def test_the_matrix_still_needs_both_region_dims():
    with pytest.raises(ValueError, match="weights has dims"):
        simulate(weights=VARYING.isel(region_other=0, drop=True), params=None)
    assert set(DIMS) < set(VARYING.dims)
