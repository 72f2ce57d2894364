"""Data that a user can get wrong: one case each, refused before anything is compiled, by a message that helps.

A message says what came, what is needed and the call that fixes it: the fragments below are those three, as far as they apply.
"""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.labelled.bad import DIMS, SC, X_TO_X, N, R, cases, connectome, history, network, node, noisy, params, refused, regional, series

_nan_weight = SC.weights.copy(data=np.where(np.arange(N * N).reshape(N, N) == 6, np.nan, SC.weights.values))
_concat = xr.concat(
    [xr.Dataset({"a": ("s", [0.1])}, {"s": ["one"]}), xr.Dataset({"w": ("s", [0.1])}, {"s": ["two"]})], "s", join="outer", data_vars="all"
)
_multi = xr.DataArray(np.arange(4.0), dims="p", coords={"i": ("p", [0, 0, 1, 1]), "j": ("p", [0, 1, 0, 1])}).set_index(p=["i", "j"])
_twice = xr.DataArray([1.0, 2.0], dims="q")
_cohort = xr.Dataset({"weights": xr.concat([SC.weights, 2 * SC.weights], xr.DataArray(["s1", "s2"], dims="subject"))})


# ---- parameters
PARAMETERS = {
    "wrong unit": (lambda: node().run(1.0, params(a=xr.DataArray(0.1, attrs={"units": "mV"}))), ValueError, "a came in mV", "1/ms"),
    "wrong unit of a field": (lambda: xm.Simulator(xm.HopfStep(a=3 * u.mV), dt=0.1).run(1.0), ValueError, "a came in mV", "1.5 / u.ms"),
    "weights with other dims": (
        lambda: network().run(1.0, params(weights=(("i", "j"), SC.weights.values))),
        ValueError,
        "weights has dims ('i', 'j')",
        ".rename(i='region', j='region_other')",
    ),
    "connectome with other dims": (
        lambda: network(SC.rename(region="x", region_other="y")),
        ValueError,
        "weights has dims ('x', 'y')",
        "weights.rename(x='region', y='region_other')",
    ),
    "a matrix for a scalar": (
        lambda: network().run(1.0, params(a=SC.weights)),
        ValueError,
        "only weights and distances have 'region_other'",
    ),
    "a bare array": (lambda: xm.Simulator(xm.HopfStep(a=np.zeros(3)), dt=0.1).run(1.0), ValueError, "shape (3,)", "dims='region'"),
    "a list": (lambda: xm.Simulator(xm.HopfStep(a=[0.1, 0.2]), dt=0.1).run(1.0), ValueError, "shape (2,)", "xr.DataArray(values"),
    "complex": (lambda: node().run(1.0, params(a=("p", [1 + 2j]))), TypeError, "a came as complex", "real numbers"),
    "text": (lambda: node().run(1.0, params(a=("p", ["0.1"]))), TypeError, "a came as text", "real numbers"),
    "objects": (lambda: node().run(1.0, params(a=("p", np.array([object()])))), TypeError, "a came as objects", "real numbers"),
    "booleans": (lambda: node().run(1.0, params(a=("p", [True]))), TypeError, "a came as booleans", "real numbers"),
    "complex field": (lambda: xm.Simulator(xm.HopfStep(a=1j), dt=0.1).run(1.0), TypeError, "a came as complex", "real numbers"),
    "text field": (lambda: xm.Simulator(xm.HopfStep(a="0.1"), dt=0.1).run(1.0), TypeError, "a is str '0.1'", "needs a number"),
    "None": (lambda: xm.Simulator(xm.HopfStep(a=None), dt=0.1).run(1.0), TypeError, "a is NoneType None", "needs a number"),
    "NaN": (lambda: node().run(1.0, params(a=("p", [0.1, np.nan]))), ValueError, "a holds NaN or infinity at {'p': 1}", "finite"),
    "NaN that concat left": (lambda: node().run(1.0, _concat), ValueError, "a holds NaN or infinity at {'s': 'two'}"),
    "infinity": (lambda: node().run(1.0, params(a=np.inf)), ValueError, "a holds NaN or infinity;", "finite"),
    "beyond float32": (lambda: node().run(1.0, params(a=1e300)), ValueError, "a holds 1e+300", "precision='float64'"),
    "dim time": (lambda: node().run(1.0, params(a=("time", [0.1, 0.2]))), ValueError, "params has the dim 'time'", "inputs="),
    "a sweep of distances without a speed": (
        lambda: network(speed=None).run(1.0, params(distances=SC.distances * _twice)),
        ValueError,
        "params has the dim 'q' (of ['distances'])",
        "all runs along it would be the same",
    ),
    "a sweep of weights without a coupling": (
        lambda: xm.Simulator(xm.Network(xm.HopfStep(), SC), dt=0.1).run(1.0, params(weights=SC.weights * _twice)),
        ValueError,
        "params has the dim 'q' (of ['weights'])",
        "all runs along it would be the same",
    ),
    "dim lag": (lambda: node().run(1.0, params(a=("lag", [0.1, 0.2]))), ValueError, "a has the dim 'lag'", ".rename(lag='point')"),
    "dim diverged": (lambda: node().run(1.0, params(a=("diverged", [0.1]))), ValueError, "params has the dim 'diverged'", ".rename("),
    "dim seed": (lambda: noisy().run(1.0, params(a=("seed", [0.1]))), ValueError, "params has the dim 'seed'", ".rename(seed='trial')"),
    "dim called as a monitor": (
        lambda: node().run(1.0, params(a=("x", [0.1, 0.2]))),
        ValueError,
        "monitor 'x' would be confused with the dim 'x' of params",
        "params.rename({'x': 'x_value'})",
    ),
    "dim that is no text": (lambda: node().run(1.0, xr.Dataset({"a": ((1,), [0.1])})), TypeError, "params has the dim 1", ".rename({1:"),
    "no Dataset": (lambda: node().run(1.0, {"a": 0.1}), TypeError, "params is a dict", "xr.Dataset({'a': ('a', values)})"),
    "DataArray": (lambda: node().run(1.0, xr.DataArray(0.1, name="a")), TypeError, "params is a DataArray", "needs a Dataset"),
    "MultiIndex": (lambda: node().run(1.0, params(a=_multi)), ValueError, "params has a MultiIndex along 'p'", "params.reset_index('p')"),
    "no entries": (lambda: node().run(1.0, params(a=("a", np.zeros(0)))), ValueError, "params has no entries along 'a'", "at least one"),
    "unknown name": (lambda: node().run(1.0, params(bata=1.0)), KeyError, "'bata', which is not a parameter", "did you mean 'beta'?"),
    "unknown dotted name": (
        lambda: noisy().run(1.0, params(**{"noise_x.sigm": 1.0})),
        KeyError,
        "'noise_x.sigm', which is not a parameter",
        "did you mean 'noise_x.sigma'?",
    ),
    "speed of a lone node": (
        lambda: node().run(1.0, xr.Dataset(coords={"speed": [1.0, 2.0]})),
        KeyError,
        "'speed', which is not a parameter",
    ),
    "speed without distances": (
        lambda: network(SC[["weights"]], speed=None).run(1.0, params(speed=10.0)),
        KeyError,
        "'speed', which is not a parameter",
    ),
    "sizes clash": (
        lambda: node().run(1.0, params(a=("p", [0.1, 0.2])), initial={"x": xr.DataArray([0.1, 0.2, 0.3], dims="p")}),
        ValueError,
        "initial.x has 3 entries along 'p', params has 2",
        ".sel(p=...)",
    ),
    "labels repeat": (
        lambda: node().run(1.0, xr.Dataset(coords={"a": [0.1, 0.1]})),
        ValueError,
        "params repeats the labels ['0.1'] along 'a'",
        "different",
    ),
    "subjects differ": (
        lambda: network(_cohort, speed=None).run(1.0, params(a=xr.DataArray([0.1, 0.2], dims="subject", coords={"subject": ["s1", "s3"]}))),
        ValueError,
        "different labels along 'subject'",
        "['s3']",
        "['s2']",
        ".sel(subject=...)",
    ),
    "negative noise": (lambda: noisy(xm.WhiteNoise(sigma=-0.1)).run(1.0), ValueError, "noise_x.sigma is -0.1", "zero or more"),
    "noise without memory": (lambda: noisy(xm.OUProcess(tau=0.0)).run(1.0), ValueError, "noise_x.tau is 0 ms", "xm.WhiteNoise"),
}


@cases(PARAMETERS)
def test_parameters(call, error, fragments):
    refused(call, error, fragments)


# ---- regions
REGIONS = {
    "repeated": (lambda: network().run(1.0, params(a=regional(np.zeros(N), ["R0", "R0", "R2", "R3"]))), ValueError, "repeats ['R0']"),
    "missing": (lambda: network().run(1.0, params(a=regional(np.zeros(3), R[:3]))), ValueError, "a lacks ['R3'] along 'region'", ".sel("),
    "extra": (lambda: network().run(1.0, params(a=regional(np.zeros(5), [*R, "Z"]))), ValueError, "a has unknown ['Z']", ".sel("),
    "unlabelled": (lambda: network().run(1.0, params(a=("region", np.zeros(3)))), ValueError, "a has 3 regions without labels", "has 4"),
    "lone node": (
        lambda: node().run(1.0, params(a=("region", np.zeros(3)))),
        ValueError,
        "a has 3 regions",
        "xm.Simulator(model, regions=3",
    ),
    "repeated in the connectome": (
        lambda: network(SC.assign_coords(region=["R0", "R0", "R2", "R3"])),
        ValueError,
        "region has repeated labels ['R0']",
        "assign_coords",
    ),
    "axes differ": (lambda: network(SC.assign_coords(region_other=["Z", *R[1:]])), ValueError, "Z", "R0"),
    "no regions": (lambda: network(SC.isel(region=[], region_other=[])), ValueError, "the connectome has no regions", "at least one"),
    "chunked": (
        lambda: network().run(1.0, params(a=regional(np.zeros(N)).chunk(region=2))),
        ValueError,
        "params is chunked along 'region'",
        "params.chunk(region=-1)",
    ),
    "regions of a network": (
        lambda: xm.Simulator(network().system, dt=0.1, regions=3),
        ValueError,
        "regions= is for a bank",
        "regions of its connectome",
    ),
    "regions=0": (lambda: node(regions=0), ValueError, "regions=0", "at least one"),
    "regions=True": (lambda: node(regions=True), TypeError, "regions=True", "regions=3"),
    "regions=2.0": (lambda: node(regions=2.0), TypeError, "regions=2.0", "regions=3"),
    "regions is text": (lambda: node(regions="ab"), TypeError, "regions='ab'", "regions=['left', 'right']"),
    "regions repeat": (lambda: node(regions=["a", "a"]), ValueError, "needs different labels"),
    "regions empty": (lambda: node(regions=[]), ValueError, "regions=[]", "needs different labels"),
}


@cases(REGIONS)
def test_regions(call, error, fragments):
    refused(call, error, fragments)


def test_shuffled_regions_are_sorted_by_label():
    rng = np.random.default_rng(0)
    a, x0 = regional(rng.normal(size=N) * 0.1), regional(rng.normal(size=N))
    order = [2, 0, 3, 1]
    sc = SC.copy()
    sc["weights"] = sc.weights * xr.DataArray(rng.uniform(0.1, 1.0, (N, N)), dims=DIMS)
    sorted_run = network(sc).run(5.0, params(a=a), monitors=["x"], initial={"x": x0})
    shuffled = network(sc.isel(region_other=order)).run(5.0, params(a=a.isel(region=order)), monitors=["x"], initial={"x": x0[order]})
    xr.testing.assert_equal(sorted_run.x, shuffled.x)
    weights = params(a=a, weights=sc.weights.isel(region=order, region_other=order[::-1]))
    xr.testing.assert_equal(sorted_run.x, network().run(5.0, weights, monitors=["x"], initial={"x": x0}).x)


# ---- network
NETWORK = {
    "NaN weight": (lambda: network(connectome(weights=_nan_weight)), ValueError, "weights", "region=R1, region_other=R2", "fillna(0)"),
    "NaN weight of a run": (
        lambda: network().run(1.0, params(weights=_nan_weight)),
        ValueError,
        "weights holds NaN or infinity at {'region': 'R1', 'region_other': 'R2'}",
    ),
    "negative distance": (lambda: network(connectome(distances=-SC.distances)), ValueError, "distances is negative at", "zero or more"),
    "negative distance of a run": (
        lambda: network().run(1.0, params(distances=-SC.distances)),
        ValueError,
        "distances holds -40 mm",
        "distances.where(distances < 0",
    ),
    "negative speed": (lambda: network(speed=-1.0).run(1.0), ValueError, "speed is -1 mm/ms", "positive"),
    "zero speed": (lambda: network().run(1.0, params(speed=("speed", [1.0, 0.0]))), ValueError, "speed is 0 mm/ms", "leave speed out"),
    "zero speed, no coupling": (lambda: network(speed=0.0, coupling=None).run(1.0), ValueError, "speed is 0 mm/ms", "positive"),
    "NaN speed": (lambda: network(speed=np.nan).run(1.0), ValueError, "speed holds NaN"),
    "speed in a wrong unit": (lambda: network(speed=10 * u.ms).run(1.0), ValueError, "speed came in ms", "mm/ms"),
    "speed per region": (
        lambda: network().run(1.0, params(speed=regional(np.ones(N)))),
        ValueError,
        "speed has dims ('region',)",
        "distances",
    ),
    "delay beyond memory": (
        lambda: network(speed=1e-9).run(1.0),
        ValueError,
        "the longest delay is 4e+10 ms",
        "GB",
        "slowest speed is 1e-09",
        "unit",
    ),
    "speed, no distances": (lambda: network(SC[["weights"]]), KeyError, "no 'distances'", "drop that speed"),
    "no weights": (lambda: network(SC[["distances"]]), KeyError, "needs 'weights'", "rename"),
    "no Dataset": (lambda: network(SC.weights), TypeError, "connectome is a DataArray", "needs a Dataset"),
    "unknown source": (lambda: network(coupling=xm.DiffusiveCoupling(source="X", target="x")), ValueError, "source='X'", "it has 'x', 'y'"),
    "unknown target": (lambda: network(coupling=xm.DiffusiveCoupling(source="x", target="c")), ValueError, "target='c'", "it has 'x', 'y'"),
    "source and target left out": (lambda: xm.DiffusiveCoupling(k=1.0), TypeError, "'source' and 'target'"),
    "a coupling class": (
        lambda: network(coupling=xm.DiffusiveCoupling),
        TypeError,
        "needs a coupling such as xm.DiffusiveCoupling(source=",
    ),
    "a list of couplings": (lambda: network(coupling=[X_TO_X]), TypeError, "coupling is a list", "needs a coupling"),
    "a coupling with a dotted name": (lambda: network(coupling={"a.b": X_TO_X}), ValueError, "called 'a.b'", "coupling.fast.k"),
    "delay rule": (lambda: network(delays="round"), ValueError, "delays='round'", "'nearest', 'ceil' or 'linear'"),
    "a model class": (lambda: xm.Network(xm.HopfStep, SC), TypeError, "needs a model such as xm.HopfStep()"),
}


@cases(NETWORK)
def test_network(call, error, fragments):
    refused(call, error, fragments)


# ---- seeds
def seeded(seed=None, batch_size=None, **variables):
    return lambda: noisy().run(1.0, params(**variables) if variables else None, seed=seed, batch_size=batch_size)


SEEDS = {
    "negative": (seeded(-1), ValueError, "seed=-1", "from 0 to 2^64 - 1"),
    "float": (seeded(1.5), ValueError, "seed=1.5", "whole number"),
    "whole float": (seeded(1.0), ValueError, "seed=1.0", "whole number"),
    "bool": (seeded(True), ValueError, "seed=True", "whole number"),
    "bool of a batch": (seeded(True, 2), ValueError, "seed=True", "whole number"),
    "text": (seeded("1"), ValueError, "seed='1'", "whole number"),
    "too large": (seeded(2**64), ValueError, "seed=18446744073709551616", "2^64 - 1"),
    "bare array": (seeded(np.array([1, 2])), ValueError, "seed=array([1, 2])", "xr.DataArray([1, 2, 3], dims='trial')"),
    "negative array": (seeded(xr.DataArray([3, -1], dims="s")), ValueError, "seed holds -1", "from 0 on"),
    "float array": (seeded(xr.DataArray([1.0, 2.0], dims="s")), ValueError, "seed came as float64", "seed.astype(np.int64)"),
    "bool array": (seeded(xr.DataArray([True], dims="s")), ValueError, "seed came as bool", "whole numbers"),
    "per region": (
        lambda: network().run(1.0, seed=regional(np.arange(N))),
        ValueError,
        "seed has the dims ('region',)",
        "not over regions",
    ),
    "given twice": (lambda: noisy().run(1.0, params(seed=("s", [1, 2])), seed=1), ValueError, "seed is given twice", "in params", "once"),
    "seeds and a batch": (seeded(xr.DataArray([1, 2], dims="s"), 2), ValueError, "batch_size=2 needs one seed", "Leave batch_size out"),
    "batch twice": (seeded(None, 2, a=("batch", [0.1, 0.2])), ValueError, "batch_size=2 makes the dim 'batch', which params has already"),
    "batch_size=0": (seeded(None, 0), ValueError, "batch_size=0", "positive whole number"),
    "batch_size=True": (seeded(None, True), ValueError, "batch_size=True", "positive whole number"),
    "batch_size=2.0": (seeded(None, 2.0), ValueError, "batch_size=2.0", "positive whole number"),
}


@cases(SEEDS)
def test_seeds(call, error, fragments):
    refused(call, error, fragments)


# ---- initial states
def start(initial, **arguments):
    return lambda: network().run(1.0, initial=initial, **arguments)


INITIAL = {
    "given twice": (start({"x": 0.1}, params=params(**{"initial.x": 0.1})), ValueError, "initial.x is given twice", "once"),
    "twice by two names": (start({"x": 0.1, "initial.x": 0.2}), ValueError, "initial.x is given twice"),
    "unknown state": (start({"z": 0.1}), KeyError, "initial has 'initial.z', which is unknown", "'initial.x', 'initial.y'"),
    "a number": (start(0.1), TypeError, "initial is a float", "needs a mapping of states"),
    "NaN": (start({"x": np.nan}), ValueError, "initial.x holds NaN"),
    "wrong unit": (start({"x": 0.1 * u.mV}), ValueError, "initial.x came in mV"),
    "over time": (start({"x": xr.DataArray([0.1, 0.2], dims="time")}), ValueError, "initial.x has the dim 'time'"),
    "a trajectory": (start(params(x=("time", [0.1, 0.2]))), ValueError, "without 'initial.<state>'", "restart=True", "isel(time=-1)"),
    "another Dataset": (start(params(foo=0.1)), ValueError, "initial is a Dataset with ['foo']", "needs 'initial.<state>'"),
    "history too short": (start({"x": history([0.0, 0.1])}), ValueError, "covers lags from 0 to 0.1 ms", "need 0 to 4 ms", "constant"),
    "history without its start": (start({"x": history([1.0, 9.0])}), ValueError, "covers lags from 1 to 9 ms", "need 0 to 4 ms"),
    "negative lags": (start({"x": history([0.0, -4.0])}), ValueError, "initial.x has negative", "0 is the start"),
    "NaN lags": (start({"x": history([0.0, np.nan])}), ValueError, "initial.x has negative or missing lags"),
    "repeated lags": (start({"x": history([0.0, 0.0, 9.0])}), ValueError, "initial.x repeats lags", ".drop_duplicates('lag')"),
    "lags in mV": (start({"x": history([0.0, 9.0], units="mV")}), ValueError, "the lag of initial.x came in mV", "ms"),
    "lags without labels": (start({"x": xr.DataArray([0.1, 0.2], dims="lag")}), ValueError, "without lags", ".assign_coords(lag="),
}


@cases(INITIAL)
def test_initial_states(call, error, fragments):
    refused(call, error, fragments)


# ---- inputs
def drive(x, **arguments):
    return lambda: network().run(2.0, inputs={"x": x}, **arguments)


INPUTS = {
    "end too early": (drive(series([0.0, 0.0])), ValueError, "inputs['x'] covers 0 to 1 ms, the run goes from 0 to 2 ms", "zeros"),
    "start too late": (drive(series([0.0] * 9, np.arange(9) + 1.0)), ValueError, "inputs['x'] covers 1 to", "from 0 to 2 ms"),
    "unknown input": (lambda: node().run(2.0, inputs={"z": 0.1}), KeyError, "inputs has 'z', which HopfStep lacks", "it has 'x', 'y'"),
    "NaN": (drive(series([0.0, np.nan, 0.0, 0.0, 0.0])), ValueError, "inputs['x'] holds NaN", ".fillna(0)"),
    "constant NaN": (drive(np.nan), ValueError, "inputs['x'] holds NaN"),
    "wrong unit": (drive(series([0.0] * 5, units="mV")), ValueError, "inputs['x'] came in mV", "1/ms"),
    "time in mV": (
        drive(series([0.0] * 5).assign_coords(time=("time", np.arange(5.0), {"units": "mV"}))),
        ValueError,
        "the time of inputs['x'] came in mV",
    ),
    "unsorted": (drive(series([0.0] * 5)[::-1]), ValueError, "the times of inputs['x'] are not finite and increasing", ".sortby('time')"),
    "repeated times": (drive(series([0.0] * 3, [0.0, 1.0, 1.0])), ValueError, "are not finite and increasing", "drop_duplicates"),
    "no times": (drive(xr.DataArray(np.zeros(5), dims="time")), ValueError, "without times", ".assign_coords(time="),
    "bare array": (drive(np.zeros(20)), ValueError, "inputs['x'] is an array of shape (20,) without dims"),
    "bare DataArray": (lambda: node().run(2.0, inputs=series([0.0] * 5)), TypeError, "inputs is a DataArray", "inputs={'x': ...}"),
    "text": (drive("0.1"), TypeError, "inputs['x'] is str '0.1'", "needs a number"),
    "regions that do not fit": (drive(series([0.0] * 5).expand_dims(region=3)), ValueError, "inputs['x'] has 3 regions without labels"),
    "a matrix": (drive(series([0.0] * 5).expand_dims(region_other=N)), ValueError, "not 'region_other'"),
    "function with a wrong shape": (
        drive(lambda t: np.zeros(7)),
        ValueError,
        "function for input 'x' returned shape (7,)",
        "array of times in ms",
    ),
    "function with NaN": (drive(lambda t: t * np.nan), ValueError, "function for input 'x' returned NaN"),
    "function with text": (drive(lambda t: "0.1"), TypeError, "function for input 'x' returned", "real numbers"),
}


@cases(INPUTS)
def test_inputs(call, error, fragments):
    refused(call, error, fragments)


def test_an_error_in_a_users_input_function_names_the_input():
    with pytest.raises(ZeroDivisionError) as caught:
        node().run(2.0, inputs={"x": lambda t: 1 / 0})
    assert "the function for input 'x'" in caught.value.__notes__[0]


def test_an_input_function_is_asked_for_no_time_outside_of_the_run():
    asked = []

    def pulse(t):
        asked.append((t.min(), t.max()))
        return np.where(t < 2.0, 0.1, np.nan)

    run = node().run(2.0, monitors=["x"], inputs={"x": pulse})
    assert min(a for a, _ in asked) == 0.0
    assert max(b for _, b in asked) == pytest.approx(1.9)
    assert np.isfinite(run.x).all()
