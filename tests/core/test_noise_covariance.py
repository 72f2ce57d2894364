"""Noise that is correlated between regions: its covariance, over runs, at every time; labels, tiles, records."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

LABELS = ["a", "b", "c", "d"]
# Rank 3: d is the sum of a and b; the variances differ.
ROOT = np.array([[1.0, 0.0, 0.0], [0.5, 0.6, 0.0], [-0.3, 0.2, 0.9], [1.5, 0.6, 0.0]])
C = xr.DataArray(ROOT @ ROOT.T, dims=("region", "region_other"), coords={"region": LABELS, "region_other": LABELS})
SIGMA, RUNS = 0.3, 4000


def one(s):
    return 1.0


PROCESSES = {
    "white": xm.WhiteNoise(sigma=SIGMA, covariance=C),
    "ou": xm.OUProcess(sigma=SIGMA, tau=2.0, covariance=C),
    "brownian": xm.BrownianNoise(sigma=SIGMA, covariance=C),
    "gaussian": xm.GaussianNoise(sigma=SIGMA, covariance=C),
    "pink": xm.PinkNoise(sigma=SIGMA, slowest=100.0, covariance=C),
    "blue": xm.BlueNoise(sigma=SIGMA, slowest=100.0, covariance=C),
    "ito": xm.ItoNoise(sigma=SIGMA, amplitude=one, covariance=C),
    "stratonovich": xm.StratonovichNoise(sigma=SIGMA, amplitude=one, covariance=C),
}


def bank(process, **options):
    """Nodes that add up their input."""
    return xm.Simulator(xm.LinearStep(gamma=0.0, noise_x=process), dt=0.1, precision="float64", **options)


def inputs_of(process, **options):
    """What is added in each step, over dt: ``(batch, time, region)``; Euler's steps of an integrator."""
    x = (
        bank(process, method="euler")
        .run(4.0, initial={"x": 0.0}, seed=1, batch_size=RUNS, **options)
        .x.transpose("batch", "time", "region")
    )
    return np.diff(x.transpose("batch", "time", "region").values, axis=1, prepend=0.0) / 0.1


@pytest.mark.long
@pytest.mark.parametrize("name", PROCESSES)
def test_regions_have_the_covariance_at_every_time(name):
    # Standard error of a covariance over n runs: sqrt((C_ii C_jj + C_ij^2) / n).
    x = inputs_of(PROCESSES[name])
    size = np.diag(C)
    error = np.sqrt((np.outer(size, size) + C.values**2) / RUNS)
    for at in (0, 5, 39):
        scale = {"brownian": SIGMA**2 * 0.1 * at, "white": SIGMA**2 / 0.1, "ito": SIGMA**2 / 0.1, "stratonovich": SIGMA**2 / 0.1}
        variance = scale.get(name, SIGMA**2)
        found = np.einsum("bi,bj->ij", x[:, at], x[:, at]) / RUNS
        assert (np.abs(found - variance * C.values) <= 5 * variance * error).all()
    # and none between runs, and none in time where there is none without it
    assert abs(np.corrcoef(x[:-1, 39, 0], x[1:, 39, 1])[0, 1]) < 5 / np.sqrt(RUNS)
    if name in ("white", "gaussian", "ito", "stratonovich"):
        assert np.abs(np.corrcoef(x[:, 38].T, x[:, 39].T)[:4, 4:]).max() < 5 / np.sqrt(RUNS)


def test_a_singular_covariance_holds_exactly():
    # d = a + b in every number, to rounding of the root of a matrix with an eigenvalue of zero.
    for name in ("white", "ou", "pink"):
        x = bank(PROCESSES[name]).run(10.0, initial={"x": 0.0}, seed=1).x
        np.testing.assert_allclose(x.sel(region="d"), x.sel(region="a") + x.sel(region="b"), rtol=0, atol=1e-7)


def test_the_draws_are_those_without_it_times_its_symmetric_root():
    plain = bank(xm.OUProcess(sigma=SIGMA, tau=2.0), regions=LABELS).run(5.0, initial={"x": 0.0}, seed=1).x
    values, vectors = np.linalg.eigh(C.values)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    np.testing.assert_allclose(bank(PROCESSES["ou"]).run(5.0, initial={"x": 0.0}, seed=1).x, plain.values @ root.T, rtol=0, atol=1e-12)
    eye = xr.DataArray(np.eye(4), dims=("region", "region_other"))
    same = bank(xm.OUProcess(sigma=SIGMA, tau=2.0, covariance=eye), regions=LABELS).run(5.0, initial={"x": 0.0}, seed=1).x
    np.testing.assert_array_equal(same, plain)


def test_labels_decide_and_regions_of_the_bank_come_from_it():
    shuffled = C.isel(region=[2, 0, 3, 1], region_other=[1, 2, 3, 0])
    runs = [bank(xm.WhiteNoise(covariance=c), regions=LABELS).run(2.0, seed=1, initial={"x": 0.0}).x for c in (C, shuffled)]
    np.testing.assert_array_equal(*runs)
    assert bank(PROCESSES["white"]).regions.tolist() == LABELS
    half = C.drop_vars("region_other")  # labels on one axis count for both
    np.testing.assert_array_equal(bank(xm.WhiteNoise(covariance=half)).run(2.0, seed=1, initial={"x": 0.0}).x, runs[0])


def test_sigma_of_each_region_multiplies_it():
    sigma = xr.DataArray([1.0, 2.0, 0.0, 0.5], dims="region", coords={"region": LABELS})
    one_, own = (bank(xm.WhiteNoise(sigma=s, covariance=C)).run(2.0, seed=1, initial={"x": 0.0}).x for s in (1.0, sigma))
    np.testing.assert_allclose(own, one_ * sigma, rtol=0, atol=1e-13)


@pytest.mark.long
def test_it_is_the_same_however_a_run_is_cut():
    node = xm.HopfStep(a=-0.05, w=0.3, noise_x=PROCESSES["white"], noise_y=PROCESSES["pink"])
    sim = xm.Simulator(node, dt=0.1, precision="float64", tile=3)
    p = xr.Dataset({"a": ("a", [-0.05, -0.1, -0.2, -0.3])})
    whole = sim.run(12.0, p, seed=7)
    np.testing.assert_array_equal(sim.run(12.0, p, seed=7, chunks={"a": 3}).x.compute(), whole.x)
    np.testing.assert_array_equal(sim.run(12.0, p.assign(seed=("a", [7] * 4))).x, whole.x)
    first = sim.run(5.3, p, seed=7, restart=True)
    np.testing.assert_array_equal(xr.concat([first.x, sim.run(6.7, p, initial=first).x], "time").transpose(*whole.x.dims), whole.x)
    single = xm.Simulator(node, dt=0.1, precision="float64", tile=1).run(12.0, p, seed=7)
    np.testing.assert_allclose(single.x, whole.x, rtol=0, atol=1e-12)


def test_the_record_holds_it(tmp_path):
    sim = bank(PROCESSES["pink"])
    run = sim.run(3.0, seed=1, initial={"x": 0.0}, restart=True)
    np.testing.assert_array_equal(xm.rerun(run).x, run.x)
    stored = sim.run_to_zarr(tmp_path / "s.zarr", 3.0, seed=1, initial={"x": 0.0})
    np.testing.assert_array_equal(stored.x, run.x)
    with pytest.raises(ValueError, match="covariance"):
        bank(xm.PinkNoise(sigma=SIGMA, slowest=100.0, covariance=2 * C)).run_to_zarr(tmp_path / "s.zarr", 3.0, seed=1, initial={"x": 0.0})


@pytest.mark.long
def test_one_model_of_several_has_noise_of_its_own_kind_over_its_own_regions():
    labels = ["a", "b", "c", "d"]
    sc = xr.Dataset({"weights": (("region", "region_other"), np.zeros((4, 4)))}, {"region": labels, "region_other": labels})
    which = xr.DataArray(["sum", "hopf", "sum", "hopf"], dims="region", coords={"region": labels})
    own = xr.DataArray([[1.0, 0.9], [0.9, 1.0]], dims=("region", "region_other"), coords={"region": ["a", "c"], "region_other": ["a", "c"]})
    models = {
        "sum": xm.LinearStep(gamma=0.0, noise_x=xm.ItoNoise(sigma=0.1, amplitude=lambda s: 1.0 + 0.0 * s.x, covariance=own)),
        "hopf": xm.HopfStep(noise_x=xm.PinkNoise(sigma=0.1)),
    }
    sim = xm.Simulator(xm.Network(models, sc, assignment=which), dt=0.1, precision="float64")
    run = sim.run(300.0, seed=1)
    steps = np.diff(run["sum.x"].sel(region=["a", "c"]).values, axis=0)
    assert abs(np.corrcoef(steps.T)[0, 1] - 0.9) < 5 * (1 - 0.81) / np.sqrt(len(steps))
    first = sim.run(100.0, seed=1, restart=True)
    second = sim.run(200.0, initial=first)
    np.testing.assert_array_equal(xr.concat([first["hopf.x"], second["hopf.x"]], "time"), run["hopf.x"])
