"""Lesions and maps against the algebra of a linear network: x' = (gamma + k W) x + input has every answer in closed form."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.linalg import expm

import xmass as xm

NAMES = ["A", "B", "C", "D"]
GAMMA, K = -0.5, 0.1


def connectome() -> xr.Dataset:
    """Nothing reaches D, and D reaches nobody but itself; the others form a directed ring with a self-weight on A."""
    w = np.array([[0.5, 0.0, 2.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.7, 1.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.3]])
    coords = {"region": NAMES, "region_other": NAMES}
    return xr.Dataset({"weights": (("region", "region_other"), w, {"units": "1"})}, coords=coords)


def network(sc: xr.Dataset, noise: xm.WhiteNoise | None = None, *, k: float = K) -> xm.Simulator:
    node = xm.LinearStep(gamma=GAMMA, noise_x=noise)
    net = xm.Network(node, sc, coupling=xm.AdditiveCoupling(k=k, source="x", target="x"))
    return xm.Simulator(net, dt=0.05, precision="float64")


def by_hand(w: np.ndarray, hit: list[tuple[int, int]], fraction: float) -> np.ndarray:
    """One lesion, entry by entry."""
    w = w.copy()
    for i, j in set(hit):
        w[i, j] *= 1 - fraction
    return w


def test_every_lesion_rests_where_algebra_says():
    sc = connectome()
    cut = xm.lesion(sc, regions=sc.region.values)
    assert cut.lesion.values.tolist() == ["none", *NAMES]
    drive = xr.DataArray([1.0, 0.5, -0.2, 0.3], dims="region", coords={"region": NAMES})
    run = network(sc).run(120.0, cut, inputs={"x": drive}, monitors=["x"], initial={"x": 0.0})
    assert run.x.dims == ("lesion", "time", "region")
    for lesion in cut.lesion.values:
        w = sc.weights.values.copy()
        if lesion != "none":
            w[NAMES.index(lesion)] = w[:, NAMES.index(lesion)] = 0.0
        exact = -np.linalg.solve(GAMMA * np.eye(4) + K * w, drive.values)
        # the slowest mode decays as exp(-0.26 t), to 1e-13 of its start in 120 ms; a fixed point of Heun is that of the equation
        np.testing.assert_allclose(run.x.sel(lesion=lesion).isel(time=-1), exact, atol=1e-11)
        if lesion != "none":
            alone = -float(drive.sel(region=lesion)) / GAMMA
            assert float(run.x.sel(lesion=lesion, region=lesion).isel(time=-1)) == pytest.approx(alone, abs=1e-11)


def test_one_noise_for_all_lesions_pairs_them():
    sc = connectome()
    cut = xm.lesion(sc, regions=NAMES)
    sim = network(sc, xm.WhiteNoise(sigma=0.3))
    x = sim.run(100.0, cut, monitors=["x"], seed=3).x
    effect = x - x.sel(lesion="none", drop=True)
    assert (effect.sel(lesion="none") == 0).all()
    # D and the ring do not reach each other: with the same noise the difference is 0, not just small
    assert (effect.sel(lesion="D", region=["A", "B", "C"]) == 0).all() and (effect.sel(lesion=["A", "B", "C"], region="D") == 0).all()
    assert (abs(effect).max("time").sel(lesion="A", region=["B", "C"]) > 1e-3).all()
    # one more run along a batch changes the order of summation at most
    alone = sim.run(100.0, monitors=["x"], seed=3).x
    np.testing.assert_allclose(x.sel(lesion="none"), alone, rtol=0, atol=1e-13)
    uncoupled = network(sc, xm.WhiteNoise(sigma=0.3), k=0.0).run(20.0, cut, monitors=["x"], seed=3).x
    assert (uncoupled == uncoupled.sel(lesion="none")).all()


def test_a_paired_difference_needs_fewer_trials():
    sc = connectome()
    sim = network(sc, xm.WhiteNoise(sigma=0.3))
    x = sim.run(200.0, xm.lesion(sc, regions=["A"]), monitors=["x"], batch_size=40, seed=1).x.std("time").sel(region="C")
    other = sim.run(200.0, xm.lesion(sc, regions=["A"]), monitors=["x"], batch_size=40, seed=2).x.std("time").sel(region="C")
    paired, unpaired = x.sel(lesion="A") - x.sel(lesion="none"), x.sel(lesion="A") - other.sel(lesion="none")
    assert float(paired.std("batch")) < 0.8 * float(unpaired.std("batch"))


@pytest.mark.parametrize("fraction", [0.25, 1.0])
def test_weights_entry_by_entry(fraction):
    sc = connectome()
    w = sc.weights.values
    cut = xm.lesion(sc, regions=["B", ["A", "C"]], fraction=fraction)
    assert cut.lesion.values.tolist() == ["none", "B", "A+C"] and cut.weights.attrs == sc.weights.attrs
    cross = {i: [(i, j) for j in range(4)] + [(j, i) for j in range(4)] for i in range(4)}
    np.testing.assert_array_equal(cut.weights.sel(lesion="none"), w)
    np.testing.assert_array_equal(cut.weights.sel(lesion="B"), by_hand(w, cross[1], fraction))
    np.testing.assert_array_equal(cut.weights.sel(lesion="A+C"), by_hand(w, cross[0] + cross[2], fraction))
    named = xm.lesion(sc, regions={"ring": ["A", "B", "C"]}, fraction=fraction).weights.sel(lesion="ring")
    np.testing.assert_array_equal(named, by_hand(w, cross[0] + cross[1] + cross[2], fraction))


def test_edges_one_way_and_both():
    sc = connectome()
    w = sc.weights.values
    both = xm.lesion(sc, edges=[("A", "C"), ("B", "A")])
    assert both.lesion.values.tolist() == ["none", "A-C", "B-A"]
    np.testing.assert_array_equal(both.weights.sel(lesion="A-C"), by_hand(w, [(0, 2), (2, 0)], 1.0))
    one = xm.lesion(sc, edges=[("A", "C")], directed=True, fraction=0.5)
    np.testing.assert_array_equal(one.weights.sel(lesion="A<-C"), by_hand(w, [(0, 2)], 0.5))
    tract = xm.lesion(sc.weights, edges={"tract": [("A", "C"), ("B", "A")]})
    np.testing.assert_array_equal(tract.weights.sel(lesion="tract"), by_hand(w, [(0, 2), (2, 0), (1, 0), (0, 1)], 1.0))


def test_a_dim_of_fractions_and_subjects_and_lazy_weights():
    sc = connectome()
    subjects = xr.concat([sc.weights, 2 * sc.weights], dim="subject").assign_coords(subject=["S1", "S2"])
    fraction = xr.DataArray([0.0, 0.5, 1.0], dims="fraction")
    cut = xm.lesion(subjects, regions=["A", "B"], fraction=fraction).weights
    assert cut.dims == ("fraction", "lesion", "subject", "region", "region_other") and cut.fraction.values.tolist() == [0.0, 0.5, 1.0]
    assert (cut.sel(fraction=0.0) == subjects).all()
    half = xm.lesion(subjects.sel(subject="S2"), regions=["B"], fraction=0.5).weights.sel(lesion="B")
    xr.testing.assert_equal(cut.sel(fraction=0.5, lesion="B", subject="S2", drop=True), half.drop_vars(["lesion", "subject"]))
    with pytest.raises(ValueError, match="align"):
        xm.lesion(subjects, regions=["A"], fraction=xr.DataArray([0.5, 0.6], dims="subject", coords={"subject": ["S1", "S3"]}))
    lazy = xm.lesion(subjects.chunk({"subject": 1}), regions=["A", "B"], fraction=fraction).weights
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), cut)
    xr.testing.assert_identical(xm.lesion(sc, regions=sc.region), xm.lesion(sc, regions=NAMES))
    xr.testing.assert_identical(xm.lesion(sc, regions=[sc.region[:2], sc.region.values[2]]), xm.lesion(sc, regions=[["A", "B"], "C"]))
    unlabelled = xm.lesion(sc.drop_vars(["region", "region_other"]), regions=[0, [1, 2]])
    assert unlabelled.lesion.values.tolist() == ["none", "0", "1+2"]
    np.testing.assert_array_equal(unlabelled.weights[1:], xm.lesion(sc, regions=["A", ["B", "C"]]).weights[1:])
    shuffled = sc.weights.sel(region_other=["C", "A", "D", "B"])
    xr.testing.assert_identical(xm.lesion(shuffled, regions=["A"]), xm.lesion(sc, regions=["A"]))


def test_lesions_with_delays_and_out_of_core(tmp_path):
    sc = connectome().assign(distances=xr.full_like(connectome().weights, 10.0).assign_attrs(units="mm"))
    net = xm.Network(xm.LinearStep(gamma=GAMMA), sc, speed=2.0 * u.mm / u.ms, coupling=xm.AdditiveCoupling(k=K, source="x", target="x"))
    sim = xm.Simulator(net, dt=0.5, precision="float64")
    cut = xm.lesion(sc, regions=NAMES)
    whole = sim.run(30.0, cut, monitors=["x"], initial={"x": 1.0})
    lazy = sim.run(30.0, cut, monitors=["x"], initial={"x": 1.0}, chunks={"lesion": 2})
    np.testing.assert_allclose(lazy.x.compute(), whole.x, rtol=1e-12)
    xr.testing.assert_equal(xm.rerun(whole).x, whole.x)
    stored = sim.run_to_zarr(tmp_path / "lesions.zarr", 30.0, cut, monitors=["x"], initial={"x": 1.0}, chunks={"lesion": 2})
    assert stored.lesion.values.tolist() == ["none", *NAMES]
    np.testing.assert_allclose(stored.x.compute(), whole.x, rtol=1e-12)
    # alone, A decays as in a network of one
    alone = xm.Simulator(xm.LinearStep(gamma=GAMMA), dt=0.5, precision="float64").run(30.0, monitors=["x"], initial={"x": 1.0})
    np.testing.assert_allclose(whole.x.sel(lesion="A", region="A"), alone.x.isel(region=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "one of them"),
        ({"regions": ["A"], "edges": [("A", "C")]}, ValueError, "one of them"),
        ({"regions": "A"}, TypeError, "needs a list"),
        ({"regions": []}, ValueError, "empty"),
        ({"regions": ["Z"]}, KeyError, "'Z' is not among the 4 regions"),
        ({"regions": ["A", "A"]}, ValueError, "more than once"),
        ({"regions": {"none": ["A"]}}, ValueError, "more than once"),
        ({"regions": {"ring": "A"}}, TypeError, "list of regions"),
        ({"regions": [[]]}, TypeError, "list of regions"),
        ({"edges": [("A", "B", "C")]}, TypeError, "no pair"),
        ({"edges": ["AB"]}, TypeError, "no pair"),
        ({"edges": [("A", "D")]}, ValueError, "weight 0"),
        ({"edges": [("A", "B")], "directed": True}, ValueError, "weight 0"),
        ({"regions": ["A"], "fraction": 1.5}, ValueError, "from 0"),
        ({"regions": ["A"], "fraction": -0.1}, ValueError, "from 0"),
        ({"regions": ["A"], "fraction": float("nan")}, ValueError, "NaN"),
        ({"regions": ["A"], "fraction": 1.0 * u.ms}, ValueError, "without a unit"),
        ({"regions": ["A"], "fraction": xr.DataArray([0.1] * 4, dims="region")}, ValueError, "dim of their own"),
        ({"regions": ["A"], "fraction": xr.DataArray([0.1] * 4, dims="time")}, ValueError, "dim of their own"),
    ],
)
def test_lesions_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        xm.lesion(connectome(), **arguments)


def test_a_lesion_of_lesions_is_refused():
    with pytest.raises(ValueError, match="has 'lesion' already"):
        xm.lesion(xm.lesion(connectome(), regions=["A"]), regions=["B"])


def test_stimulation_of_each_region_in_turn_is_one_dataarray():
    sc = connectome()
    target = xr.DataArray(np.eye(4), dims=("target", "region"), coords={"target": NAMES, "region": NAMES})
    run = network(sc).run(8.0, inputs={"x": xm.stimuli.pulse(target, onset=2.0, width=3.0)}, monitors=["x"], initial={"x": 0.0})
    assert run.x.dims == ("target", "time", "region")
    system = GAMMA * np.eye(4) + K * sc.weights.values
    at_end = np.linalg.solve(system, expm(3.0 * system) - np.eye(4))  # column j: the state at the end of a pulse on j
    # Heun at dt 0.05: error of order (0.5 * 0.05)^2 / 6 * 3 ~ 3e-4 of the state
    np.testing.assert_allclose(run.x.sel(time=5.0).transpose("region", "target"), at_end, atol=1e-3)
    np.testing.assert_allclose(run.x.sel(time=8.0).transpose("region", "target"), expm(3.0 * system) @ at_end, atol=1e-3)
    # lesions and targets together: a target that is cut off answers alone
    pulse = xm.stimuli.pulse(target, onset=2.0, width=3.0)
    both = network(sc).run(8.0, xm.lesion(sc, regions=["A"]), inputs={"x": pulse}, monitors=["x"], initial={"x": 0.0})
    assert set(both.x.dims) == {"lesion", "target", "time", "region"}
    most = abs(both.x).max("time").sel(target="A", region="B")
    assert float(most.sel(lesion="A")) == 0.0 and float(most.sel(lesion="none")) > 0.1


def test_a_map_is_scaled_and_aligned_by_label():
    myelin = xr.DataArray([4.0, 1.0, 2.0, 3.0], dims="region", coords={"region": ["D", "A", "C", "B"]}, name="myelin")
    a = xm.heterogeneity(myelin, (-1.0, 2.0), connectome=connectome())
    assert a.region.values.tolist() == NAMES
    np.testing.assert_allclose(a, [-1.0, 1.0, 0.0, 2.0], atol=1e-15)
    np.testing.assert_allclose(xm.heterogeneity(myelin, (2.0, -1.0), connectome=connectome()), [2.0, 0.0, 1.0, -1.0], atol=1e-15)
    # linear: no unit or zero of the map matters; ranks: nor any transformation that keeps the order
    xr.testing.assert_allclose(xm.heterogeneity(7 * myelin - 3, (-1.0, 2.0), connectome=connectome()), a)
    rank = xm.heterogeneity(np.exp(5 * myelin), (-1.0, 2.0), connectome=connectome(), scale="rank")
    np.testing.assert_allclose(rank, a, atol=1e-15)


def test_ties_share_their_rank():
    tied = xr.DataArray([5.0, 1.0, 5.0, 9.0], dims="region", coords={"region": NAMES})
    np.testing.assert_allclose(xm.heterogeneity(tied, (0.0, 3.0), connectome=connectome(), scale="rank"), [1.5, 0.0, 1.5, 3.0])


def test_units_dims_and_lazy_maps():
    maps = xr.DataArray(np.random.default_rng(0).normal(size=(4, 2)), dims=("region", "receptor"), coords={"region": NAMES})
    top = xr.DataArray([0.2, 0.4], dims="top", coords={"top": [0.2, 0.4]})
    found = xm.heterogeneity(maps, (0.1, top), connectome=connectome())
    assert found.dims == ("receptor", "top", "region") and found.top.values.tolist() == [0.2, 0.4]
    np.testing.assert_array_equal(found.min("region"), 0.1)
    np.testing.assert_allclose(found.max("region"), top.expand_dims(receptor=2), rtol=1e-15)
    xr.testing.assert_identical(xm.heterogeneity(maps.chunk({"region": 2}), (0.1, top), connectome=connectome()).compute(), found)
    with pytest.raises(ValueError, match="align"):  # labels that differ are never left out in silence
        xm.heterogeneity(maps, (top * 0, top.assign_coords(top=[0.2, 0.5])), connectome=connectome())
    slow = xm.heterogeneity(maps[:, 0], (5 * u.ms, 0.02 * u.second), connectome=connectome())
    assert slow.attrs["units"] == "ms" and float(slow.min()) == 5.0 and float(slow.max()) == pytest.approx(20.0)


def test_a_map_from_a_table_drives_a_run(tmp_path):
    path = tmp_path / "myelin.csv"
    path.write_text("region,myelin\nC,1.3\nA,1.1\nD,1.5\nB,1.2\n")
    myelin = pd.read_csv(path, index_col="region")["myelin"].to_xarray()
    gamma = xm.heterogeneity(myelin, (-1.0, -0.2), connectome=connectome())
    run = network(connectome(), k=0.0).run(200.0, xr.Dataset({"gamma": gamma}), inputs={"x": 1.0}, monitors=["x"])
    by_label = {"A": -1.0, "B": -0.8, "C": -0.6, "D": -0.2}  # 1.1, 1.2, 1.3 and 1.5 on a line
    for name, value in by_label.items():
        assert float(run.x.sel(region=name).isel(time=-1)) == pytest.approx(-1.0 / value, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.isel(region=slice(0, 3)), r"lacks \['D'\]"),
        (lambda m: m.assign_coords(region=["A", "B", "C", "E"]), r"lacks \['D'\] and has unknown \['E'\]"),
        (lambda m: xr.concat([m, m.isel(region=[0])], dim="region"), r"repeats \['A'\]"),
        (lambda m: m.drop_vars("region"), "which region is which"),
        (lambda m: m.rename(region="parcel"), "one value per 'region'"),
        (lambda m: m.where(m.region != "B"), "NaN or infinite in 1 of 4"),
        (lambda m: m.where(m.region != "B", np.inf), "NaN or infinite in 1 of 4"),
        (lambda m: m * 0, "one value in all regions"),
    ],
)
def test_maps_that_are_refused(change, message):
    good = xr.DataArray([1.0, 2.0, 3.0, 4.0], dims="region", coords={"region": NAMES}, name="myelin")
    with pytest.raises(ValueError, match=message):
        xm.heterogeneity(change(good), (0.0, 1.0), connectome=connectome())


@pytest.mark.parametrize(
    ("span", "options", "error", "message"),
    [
        (0.5, {}, ValueError, "needs a pair"),
        ((0.0, np.nan), {}, ValueError, "NaN"),
        ((0.0, 1.0 * u.ms), {}, ValueError, "give both a unit"),
        ((1.0 * u.mV, 1.0 * u.ms), {}, ValueError, "."),
        ((0.0, 1.0), {"scale": "log"}, ValueError, "'linear' or 'rank'"),
        ((0.0, xr.DataArray([1.0] * 4, dims="region")), {}, ValueError, "has the dim 'region'"),
    ],
)
def test_ranges_that_are_refused(span, options, error, message):
    good = xr.DataArray([1.0, 2.0, 3.0, 4.0], dims="region", coords={"region": NAMES})
    with pytest.raises(error, match=message):
        xm.heterogeneity(good, span, connectome=connectome(), **options)


def test_a_map_that_is_none_is_refused():
    with pytest.raises(TypeError, match="read_csv"):
        xm.heterogeneity("myelin.csv", (0.0, 1.0), connectome=connectome())
    words = xr.DataArray(list("abcd"), dims="region", coords={"region": NAMES})
    with pytest.raises(TypeError, match="real numbers"):
        xm.heterogeneity(words, (0.0, 1.0), connectome=connectome())
