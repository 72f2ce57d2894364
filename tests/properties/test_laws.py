"""Laws that hold whatever the connectome, the parameters and the chunks."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import xmass as xm
from xmass.testing import chunk_sizes, connectomes, sweeps

NOISY = xm.HopfStep(w=0.3, noise_x=xm.WhiteNoise(sigma=0.05), noise_y=xm.OUProcess(sigma=0.05))
X_TO_X = xm.DiffusiveCoupling(k=0.3, source="x", target="x")
START = {"x": 0.3, "y": 0.1}
few = settings(max_examples=8)


def simulate(p=None, system=NOISY, **arguments):
    """Noise, one tile width, so that every program here is compiled once."""
    return xm.Simulator(system, dt=0.1, tile=4).run(2.0, p, **{"monitors": ["x"], "initial": START, "seed": 1, **arguments})


def bits(run):
    return run.x.reset_coords(drop=True)


@few
@given(connectomes(min_regions=4, max_regions=4, distances=False), st.permutations(range(4)))
def test_relabelling_regions_relabels_the_result_of_a_noise_free_run(sc, order):
    def at(connectome):
        a = xr.DataArray(np.linspace(-0.1, 0.2, 4), dims="region", coords={"region": sc.region.values})
        net = xm.Network(xm.HopfStep(w=0.3), connectome, coupling=X_TO_X)
        return xm.Simulator(net, dt=0.1, precision="float64").run(2.0, xr.Dataset({"a": a}), monitors=["x"], initial=START).x

    moved = at(sc.isel(region=order, region_other=order))
    np.testing.assert_allclose(moved.sel(region=sc.region), at(sc), rtol=1e-13, atol=1e-15)  # sums in another order


@few
@given(sweeps())
def test_a_batch_equals_its_runs(p):
    batch = simulate(p)
    dims = [d for d in batch.x.dims if d not in ("time", "region")]
    stacked = batch.x.transpose(*dims, ...).values.reshape(-1, *batch.x.shape[-2:])
    for i in (0, len(stacked) - 1):
        where = dict(zip(dims, np.unravel_index(i, [batch.sizes[d] for d in dims]), strict=True))
        alone = simulate(p.isel({d: int(v) for d, v in where.items()}))
        np.testing.assert_array_equal(stacked[i], alone.x)


@few
@given(sweeps(max_size=3), sweeps(max_size=3))
def test_adding_runs_leaves_old_runs_alone(p, more):
    p, more = (q[["a"]].rename({q.a.dims[0]: "point"}) for q in (p, more))
    together = simulate(xr.concat([p, more], "point"))
    np.testing.assert_array_equal(together.x[: p.sizes["point"]], simulate(p).x)


@few
@given(sweeps(), chunk_sizes())
def test_chunking_never_changes_results(p, size):
    whole = simulate(p)
    lazy = simulate(p, chunks=dict.fromkeys(p.dims, size))
    assert lazy.x.chunks is not None and lazy.x.dims == whole.x.dims
    xr.testing.assert_identical(lazy.compute(), whole)


@few
@given(sweeps())
def test_a_zarr_round_trip_is_identical(p):
    run = simulate(p)
    store = zarr.storage.MemoryStore()
    run.to_zarr(store, consolidated=False)
    back = xr.open_zarr(store, consolidated=False).load()
    xr.testing.assert_identical(back, run)


@few
@given(connectomes(min_regions=3, max_regions=3, distances=False, max_subjects=2))
def test_a_subject_is_its_own_run(sc):
    net = xm.Network(NOISY, sc, coupling=X_TO_X)
    last = sc.subject.values[-1]
    alone = xm.Network(NOISY, sc.sel(subject=last, drop=True), coupling=X_TO_X)
    xr.testing.assert_equal(bits(simulate(system=net).sel(subject=last)), bits(simulate(system=alone)))


@pytest.mark.long
@settings(max_examples=4)  # the delays shape the program: each example compiles
@given(connectomes(min_regions=2, max_regions=4))
def test_a_delayed_network_without_coupling_is_a_bank_of_nodes(sc):
    net = xm.Network(NOISY, sc, speed=5.0, coupling=xm.DiffusiveCoupling(k=0.0, source="x", target="x"))
    bank = xm.Simulator(NOISY, dt=0.1, tile=4, regions=sc.sizes["region"])
    apart = bank.run(2.0, monitors=["x"], initial=START, seed=1)
    np.testing.assert_allclose(simulate(system=net).x, apart.x, rtol=1e-6, atol=1e-7)


SERIES = st.integers(0, 2**32 - 1).map(
    lambda seed: xr.DataArray(
        np.random.default_rng(seed).normal(size=(50, 4)).cumsum(axis=0),
        dims=("time", "region"),
        coords={"time": ("time", np.arange(1.0, 51.0), {"units": "ms", "axis": "T"})},
    )
)


@given(SERIES, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_fc_is_symmetric_bounded_and_blind_to_scale_and_offset(series, scale, offset):
    fc = xm.functional_connectivity(series)
    np.testing.assert_array_equal(fc.values, fc.values.T)
    assert (abs(fc) <= 1).all() and (np.diag(fc) == 1).all()
    # an offset of 1000 leaves 13 of 16 digits of the fluctuations
    np.testing.assert_allclose(xm.functional_connectivity(scale * series + offset), fc, atol=1e-9 * max(1.0, abs(offset) / scale))


@few
@given(SERIES, st.permutations(range(4)))
def test_streamed_fc_is_that_of_the_series_and_relabels_with_it(series, order):
    observed = xm.observe(series.to_dataset(name="x"), {"fc": xm.FunctionalConnectivity(of="x")}).fc
    np.testing.assert_allclose(observed, xm.functional_connectivity(series), rtol=1e-12, atol=1e-14)
    moved = xm.observe(series.isel(region=order).to_dataset(name="x"), {"fc": xm.FunctionalConnectivity(of="x")}).fc
    np.testing.assert_allclose(moved, observed.isel(region=order, region_other=order), rtol=1e-12, atol=1e-14)


def test_a_strategy_refuses_a_connectome_without_regions():
    with pytest.raises(ValueError, match="needs 1 <= min_regions"):
        connectomes(min_regions=0)


@given(sweeps({"coupling.k": (0.0, 1.0)}, max_size=2))
def test_sweeps_keep_their_bounds_and_sizes(p):
    assert 1 <= p["coupling.k"].size <= 2 and (p["coupling.k"] >= 0).all() and (p["coupling.k"] <= 1).all()


def test_the_strategies_need_hypothesis_only_when_they_are_called():
    import subprocess
    import sys

    code = "import sys, xmass.testing; assert 'hypothesis' not in sys.modules"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
