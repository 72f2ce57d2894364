"""The same noise, bit for bit, however a run is cut: tile, neighbours, monitors, duration, restart, precision of the rest."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

DT = 0.1
MONITORS = {
    "state": ["x"],
    "both": ["y", "x"],
    "average": {"x": "x", "mean": xm.TemporalAverage(of="x", period=0.7)},
    "bold": {"x": "x", "bold": xm.BOLDSignal(of="x", tr=12.0)},
    "fc": {"x": "x", "fc": xm.FunctionalConnectivity(of="x"), "slow": xm.Subsample(of="y", period=6.4)},
    "function": {"x": "x", "power": lambda s: s.x**2 + s.y**2},
}


def model(**options):
    return xm.HopfStep(a=-0.05, w=0.3, noise_x=xm.WhiteNoise(sigma=0.05), noise_y=xm.OUProcess(sigma=0.1, tau=5.0), **options)


def network(n=7, delays=True):
    rng = np.random.default_rng(2)
    weights = np.where(rng.random((n, n)) < 0.6, rng.random((n, n)), 0.0)
    lengths = rng.integers(2, 40, (n, n)) * DT
    dims = ("region", "region_other")
    sc = xr.Dataset({"weights": (dims, weights), "distances": (dims, lengths, {"units": "mm"})})
    return xm.Network(model(), sc, speed=1.0 if delays else None, coupling=xm.DiffusiveCoupling(k=0.2, source="x", target="x"))


def simulator(system=None, **options):
    return xm.Simulator(network() if system is None else system, dt=DT, precision="float64", **options)


def same(a, b):
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.long
@pytest.mark.parametrize(("tile", "regions"), [(2, 7), (3, 1), (16, 6), (16, 7)])
def test_noise_is_the_same_for_every_tile(tile, regions):
    # The noise alone: a bank that only integrates. Equations round differently for different widths, noise does not.
    bank = xm.LinearStep(gamma=0.0, noise_x=xm.WhiteNoise(sigma=1.0))
    runs = [simulator(bank, regions=regions, tile=t).run(80.0, initial={"x": 0.0}, seed=5).x for t in (1, tile)]
    same(*runs)


@pytest.mark.parametrize("tile", [16])
def test_trajectories_of_different_tiles_differ_by_rounding_alone(tile):
    runs = [simulator(tile=t).run(80.0, seed=5) for t in (1, tile)]
    np.testing.assert_allclose(runs[0].x, runs[1].x, rtol=0, atol=1e-13)


@pytest.mark.long
@pytest.mark.parametrize("name", ["both", "bold", "fc", *(pytest.param(m, marks=pytest.mark.long) for m in ("average", "function"))])
def test_monitors_change_no_bit(name):
    same(
        simulator().run(60.0, monitors=MONITORS["state"], seed=5).x,
        simulator().run(60.0, monitors=MONITORS[name], seed=5).x,
    )


def test_duration_transient_and_thinning_change_no_bit():
    whole = simulator().run(120.0, monitors=["x"], seed=5).x
    same(whole.isel(time=slice(0, 411)), simulator().run(41.1, monitors=["x"], seed=5).x)
    same(whole.isel(time=slice(333, None)), simulator().run(120.0, monitors=["x"], seed=5, transient=33.3).x)
    same(whole.isel(time=slice(6, None, 7)), simulator().run(120.0, monitors=["x"], seed=5, sample_every=7).x)


@pytest.mark.parametrize("tile", [1, 16])
def test_neighbours_change_no_bit(tile):
    # A trial out of an ensemble, a point out of a sweep, also where the tile is not full.
    sim = simulator(tile=tile)
    ensemble = sim.run(40.0, monitors=["x"], batch_size=5, seed=3).x
    same(sim.run(40.0, xr.Dataset({"seed": ensemble.seed[3:4]}), monitors=["x"]).x, ensemble.isel(batch=[3]))
    a = xr.DataArray([-0.2, -0.05, 0.01], dims="a", coords={"a": [-0.2, -0.05, 0.01]})
    trials = xr.Dataset({"seed": ensemble.seed[1:4], "a": a})
    both = sim.run(40.0, trials, monitors=["x"]).x
    same(sim.run(40.0, trials.isel(a=[1], batch=[2]), monitors=["x"]).x, both.isel(a=[1], batch=[2]))
    # What varies shapes the compiled program, so the sweep and the ensemble may differ in the last bit; not in their noise.
    np.testing.assert_allclose(both.isel(a=1, batch=2), ensemble.isel(batch=3), rtol=0, atol=1e-13)


@pytest.mark.long
@pytest.mark.parametrize("tile", [1, 16])
def test_chunks_change_no_bit(tile):
    p = xr.Dataset({"a": ("a", np.linspace(-0.3, -0.05, 5))})
    sim = simulator(tile=tile)
    whole = sim.run(20.0, p, monitors=["x"], seed=3)
    same(whole.x, sim.run(20.0, p, monitors=["x"], seed=3, chunks={"a": 2}).x.compute())


def test_one_seed_is_common_to_a_sweep_and_seeds_along_a_dim_are_not():
    bank = xm.LinearStep(gamma=0.0, noise_x=xm.WhiteNoise(sigma=1.0))
    sim = simulator(bank, regions=4)
    gamma = xr.Dataset({"gamma": ("g", [0.0, 0.0])})
    common = sim.run(20.0, gamma, initial={"x": 0.0}, seed=1).x
    same(common.isel(g=0), common.isel(g=1))
    apart = sim.run(20.0, gamma.assign(seed=("g", [1, 2])), initial={"x": 0.0}).x
    same(common.isel(g=0), apart.isel(g=0))
    assert not np.array_equal(apart.isel(g=0), apart.isel(g=1))


def test_another_seed_and_another_stream_are_other_noise():
    run = simulator(model(), regions=3).run(20.0, seed=7)
    other = simulator(model(), regions=3).run(20.0, seed=8)
    assert not np.array_equal(run.x, other.x)
    node = xm.HopfStep(a=0.0, w=0.0, beta=0.0, noise_x=xm.WhiteNoise(sigma=1.0), noise_y=xm.WhiteNoise(sigma=1.0))
    both = simulator(node, regions=3).run(20.0, seed=7, initial={"x": 0.0})
    assert abs(np.corrcoef(np.diff(both.x.values.T)[0], np.diff(both.y.values.T)[0])[0, 1]) < 5 / np.sqrt(199)


def test_precision_of_the_run_leaves_the_noise():
    # Numbers are drawn in float32 for both, so a float32 run follows the float64 run of the same seed.
    bank = xm.LinearStep(gamma=-0.1, noise_x=xm.WhiteNoise(sigma=1.0))
    single = xm.Simulator(bank, dt=DT, regions=5).run(50.0, seed=1, initial={"x": 0.0}).x
    double = simulator(bank, regions=5).run(50.0, seed=1, initial={"x": 0.0}).x
    np.testing.assert_allclose(single, double, atol=2e-5)


def test_number_of_regions_pairs_by_half():
    # Pairs are regions i and i + ceil(n / 2): a bank of 2 shares its first region's noise with a bank of 1.
    bank = xm.LinearStep(gamma=0.0, noise_x=xm.WhiteNoise(sigma=1.0))
    one, two = (simulator(bank, regions=n, tile=1).run(20.0, seed=1, initial={"x": 0.0}).x for n in (1, 2))
    same(one.isel(region=0), two.isel(region=0))
