"""Couplings with connectomes, delays, sources and targets of their own, in one network."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.couplings.cases import DIMS, HOPF, LABELS, NOISY, XX, connectome, over, start
from tests.oracles import loop

FAST, SLOW = connectome(0), connectome(1)
TWO = {"fast": xm.AdditiveCoupling(k=0.1, **XX), "slow": xm.DiffusiveCoupling(k=0.2, source="y", target="x")}
BOTH = {"fast": FAST, "slow": SLOW}


def network(connectomes=BOTH, *, coupling=TWO, speed=(("slow", 5.0),), node=HOPF, **options):
    speed = dict(speed) if isinstance(speed, tuple) else speed
    return xm.Network(node, connectomes, speed=speed, coupling=coupling, **options)


def simulate(params=None, *, duration=10.0, precision="float32", begin=None, tile=None, **options):
    sim = xm.Simulator(network(**options), dt=0.1, precision=precision, tile=tile)
    return sim.run(duration, params, initial=start() if begin is None else begin, seed=0)


# ---- against the loop
@pytest.mark.parametrize("scheme", ["heun", "rk4"])
def test_two_connectomes_with_delays_equal_the_loop(scheme):
    sim = xm.Simulator(network(speed={"fast": 20.0, "slow": 5.0}), dt=0.1, method=scheme, precision="float64")
    run = sim.run(15.0, initial=start())
    steps = [np.rint(sc.distances.values / speed / 0.1).astype(int) for sc, speed in ((FAST, 20.0), (SLOW, 5.0))]
    edges = [
        loop.Edges(FAST.weights.values, steps[0], "x", "x", 0.1),
        loop.Edges(SLOW.weights.values, steps[1], "y", "x", 0.2, carried=lambda y, own: y - own),
    ]
    path = loop.integrate(loop.hopf(-0.1, 0.3), {n: v.values for n, v in start().items()}, edges, dt=0.1, count=150, scheme=scheme)
    for name in ("x", "y"):
        np.testing.assert_allclose(run[name], path[name], rtol=0, atol=1e-13)


def test_one_without_delays_and_one_with_equal_the_loop():
    run = simulate(precision="float64", duration=15.0)
    steps = np.rint(SLOW.distances.values / 5.0 / 0.1).astype(int)
    edges = [
        loop.Edges(FAST.weights.values, np.zeros((4, 4), int), "x", "x", 0.1),
        loop.Edges(SLOW.weights.values, steps, "y", "x", 0.2, diffusive=True),
    ]
    path = loop.integrate(loop.hopf(-0.1, 0.3), {n: v.values for n, v in start().items()}, edges, dt=0.1, count=150)
    np.testing.assert_allclose(run.x, path["x"], rtol=0, atol=1e-13)


def test_one_connectome_given_twice_is_one_connectome():
    same = {"fast": xm.AdditiveCoupling(k=0.1, **XX), "slow": xm.DiffusiveCoupling(k=0.2, **XX)}
    twice = simulate(connectomes={"fast": FAST, "slow": FAST}, coupling=same, speed=5.0, precision="float64")
    once = simulate(connectomes=FAST, coupling=same, speed=5.0, precision="float64")
    np.testing.assert_allclose(twice.x, once.x, rtol=0, atol=1e-14)


# ---- paths
def test_the_paths_of_several_connectomes():
    found = set(xm.Simulator(network(), dt=0.1).parameters())
    assert {"coupling.fast.weights", "coupling.fast.distances", "coupling.slow.weights", "coupling.slow.distances"} <= found
    assert "coupling.slow.speed" in found and "coupling.fast.speed" not in found  # it has none
    assert not {"weights", "distances", "speed"} & found


@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("coupling.slow.weights", lambda c: SLOW.weights * c),
        ("coupling.fast.weights", lambda c: FAST.weights * c),
        ("coupling.slow.distances", lambda c: SLOW.distances * c),
        ("coupling.slow.speed", lambda c: 5.0 * c),
        ("coupling.fast.speed", lambda c: 5.0 * c),  # it had none: now it has delays
        ("coupling.slow.k", lambda c: 0.2 * c),
    ],
)
def test_each_path_takes_a_value_and_a_sweep(path, values):
    factor = over([0.5, 1.0, 2.0], "factor")
    swept = simulate(xr.Dataset({path: values(factor)}), tile=2, precision="float64").x
    assert swept.dims == ("factor", "time", "region")
    for c in factor.values:
        one = simulate(xr.Dataset({path: values(float(c))}), tile=2, precision="float64").x
        np.testing.assert_allclose(swept.sel(factor=c), one, rtol=0, atol=1e-13)  # edges of the union come in another order
    assert float(abs(swept[0] - swept[2]).max()) > 1e-3


def test_a_subject_of_one_of_them_is_a_dimension(tmp_path):
    cohort = xr.concat([SLOW, 1.5 * SLOW], "subject").assign_coords(subject=["a", "b"])
    options = dict(connectomes={"fast": FAST, "slow": cohort}, node=NOISY)
    p = xr.Dataset({"coupling.fast.k": over([0.05, 0.1], "k")})
    run = simulate(p, tile=2, **options)
    assert run.x.dims == ("k", "subject", "time", "region")
    np.testing.assert_array_equal(xm.rerun(run).x, run.x)
    sim = xm.Simulator(network(**options), dt=0.1, tile=2)
    stored = sim.run_to_zarr(tmp_path / "s.zarr", 10.0, p, initial=start(), seed=0, chunks={"subject": 1})
    np.testing.assert_array_equal(stored.x, run.x)
    lazy = sim.run(10.0, p, initial=start(), seed=0, chunks={"k": 1})
    np.testing.assert_array_equal(lazy.x, run.x)
    one = simulate(p, tile=2, connectomes={"fast": FAST, "slow": 1.5 * SLOW}, node=NOISY).x
    np.testing.assert_allclose(run.x.sel(subject="b"), one, rtol=0, atol=2e-6)


def test_a_run_continues_bit_for_bit():
    sim = xm.Simulator(network(node=NOISY, speed={"fast": 20.0, "slow": 5.0}), dt=0.1)
    whole = sim.run(20.0, initial=start(), seed=3)
    first = sim.run(7.3, initial=start(), seed=3, restart=True)
    second = sim.run(12.7, initial=first)
    for name in ("x", "y"):
        np.testing.assert_array_equal(np.concatenate([first[name], second[name]]), whole[name])


# ---- labels
def test_regions_of_the_second_pair_by_label():
    order = [2, 0, 3, 1]
    shuffled = SLOW.isel(region=order, region_other=order[::-1])
    np.testing.assert_array_equal(simulate(connectomes={"fast": FAST, "slow": shuffled}).x, simulate().x)
    p = xr.Dataset({"coupling.slow.weights": 2 * shuffled.weights})
    np.testing.assert_array_equal(simulate(p).x, simulate(xr.Dataset({"coupling.slow.weights": 2 * SLOW.weights})).x)


@pytest.mark.parametrize("bare", ["fast", "slow"])
def test_a_connectome_without_labels_pairs_by_position(bare):
    given = {n: sc.drop_vars(DIMS) if n == bare else sc for n, sc in BOTH.items()}
    run = simulate(connectomes=given)
    assert run.region.values.tolist() == LABELS
    np.testing.assert_array_equal(run.x, simulate().x)


def test_no_labels_at_all():
    run = simulate(connectomes={n: sc.drop_vars(DIMS) for n, sc in BOTH.items()}, begin={n: v.values[0] for n, v in start().items()})
    assert run.region.values.tolist() == [0, 1, 2, 3]


# ---- what is refused
def relabelled(labels):
    return SLOW.assign_coords(region=labels, region_other=labels)


def beside(slow):
    return dict(connectomes={"fast": FAST, "slow": slow})


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (dict(connectomes={"fast": FAST}), ValueError, r"connectome has \['fast'\], needs one for each coupling, .*: \['fast', 'slow'\]"),
        (dict(connectomes={**BOTH, "far": FAST}), ValueError, r"connectome has \['far', 'fast', 'slow'\]"),
        (dict(coupling=TWO["fast"]), ValueError, "needs one for each coupling, by its name"),
        (dict(speed={"slo": 5.0}), ValueError, r"speed has \['slo'\], which are no couplings; needs some of \['fast', 'slow'\]"),
        (dict(connectomes=FAST), ValueError, "speed is a mapping and the connectome is one Dataset"),
        (beside(SLOW.drop_vars("distances")), KeyError, r"connectome\['slow'\] has no 'distances'"),
        (beside(relabelled(list("abcd"))), ValueError, r"connectome\['slow'\] lacks .*'r0'.* has unknown \['a'"),
        (beside(connectome(1, 5)), ValueError, r"connectome\['slow'\] has unknown \['r4'\] .*connectome\['fast'\]"),
        (dict(connectomes={"fast": FAST.weights, "slow": SLOW}), TypeError, r"connectome\['fast'\] is a DataArray"),
        (dict(connectomes=[FAST, SLOW]), TypeError, "connectome is a list"),
        (beside(SLOW.where(SLOW.weights < 0.8)), ValueError, r"connectome\['slow'\]: weights is NaN"),
        (beside(-SLOW), ValueError, r"connectome\['slow'\]: distances is negative"),
        (dict(coupling={"fa st": TWO["fast"]}, connectomes=FAST, speed=None), ValueError, "a coupling is called 'fa st'"),
    ],
)
def test_what_does_not_fit_is_named(options, error, said):
    with pytest.raises(error, match=said):
        network(**options)


@pytest.mark.parametrize(
    ("params", "error", "said"),
    [
        ({"weights": SLOW.weights}, KeyError, r"params has 'weights', which is not a parameter \(did you mean 'coupling\.slow\.weights'"),
        ({"speed": 5.0}, KeyError, "params has 'speed', which is not a parameter"),
        ({"coupling.slow.speed": -5.0}, ValueError, r"coupling\.slow\.speed is -5 mm/ms, needs a positive speed"),
        (
            {"coupling.slow.distances": -SLOW.distances},
            ValueError,
            r"coupling\.slow\.distances holds -.* mm, needs lengths of zero",
        ),
        ({"coupling.slow.weights": relabelled(list("abcd")).weights}, ValueError, r"coupling\.slow\.weights lacks"),
        ({"coupling.slow.weights": SLOW.weights.isel(region_other=0)}, ValueError, r"coupling\.slow\.weights has dims .* needs"),
        ({"coupling.slow.speed": ((), 5.0, {"units": "mm"})}, ValueError, r"coupling\.slow\.speed came in mm, needs mm/ms"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_path(params, error, said):
    with pytest.raises(error, match=said):
        simulate(xr.Dataset(params))


def test_a_speed_needs_distances():
    with pytest.raises(KeyError, match=r"params has 'coupling\.fast\.speed', which is not a parameter"):
        simulate(xr.Dataset({"coupling.fast.speed": 5.0}), connectomes={"fast": FAST.drop_vars("distances"), "slow": SLOW})
