"""The demo on the real recordings: floors that independent code has set for both models, and the traps that it has met."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.conftest import shared_path
from xmass.demo import Grid, Outcome, default_grid, load_recordings, run_demo

pytestmark = pytest.mark.long

SUBJECTS = [f"hcp_subject_{i}" for i in (1, 2, 3, 4)]
FLOORS = dict(zip(SUBJECTS, (0.55, 0.40, 0.47, 0.45), strict=True))  # of fc_corr, 5 minutes
LOG_CONNECTOME = dict(zip(SUBJECTS, (0.477, 0.342, 0.392, 0.392), strict=True))
# a part of the full grid, with both edges of the coupling and a sigma on either side of the good ones
PART = Grid(coupling=(0.3, 0.8, 1.0, 1.05, 1.1, 1.2), second=(0.002, 0.005, 0.01, 0.015), seeds=2)


@pytest.fixture(scope="module", name="data")
def data_fixture():
    return load_recordings([shared_path("data", f"{name}.nc") for name in SUBJECTS])


@pytest.fixture(scope="module", name="wong_wang")
def wong_wang_fixture(data, tmp_path_factory) -> Outcome:
    return run_demo(data, out=tmp_path_factory.mktemp("wong_wang"), grid=PART)


@pytest.fixture(scope="module", name="hopf")
def hopf_fixture(data, tmp_path_factory) -> Outcome:
    return run_demo(data, out=tmp_path_factory.mktemp("hopf"), model="hopf", grid=default_grid("hopf"))


@pytest.mark.parametrize("model", ["wong_wang", "hopf"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_best_point_is_above_the_floor_and_inside(model, subject, request):
    table = request.getfixturevalue(model).table.set_index("subject")
    row = table.loc[subject]
    assert row.fc_corr >= FLOORS[subject]
    assert row.fc_corr > row.baseline_log_weights
    assert row.baseline_log_weights == pytest.approx(LOG_CONNECTOME[subject], abs=6e-4)
    assert row.interior
    assert abs(row.mean_fc_simulated - row.mean_fc_recorded) < 0.12  # not an over-synchronised state
    if model == "wong_wang":
        assert 2 < row.rate_hz < 12


def test_the_smallest_coupling_explains_little(wong_wang, hopf):
    assert float(wong_wang.comparison.fc_corr.isel(G_lmax=0).max()) < 0.25
    assert float(hopf.comparison.fc_corr.isel(G=0).sel(a_per_s=slice(None, -0.02)).max()) < 0.25


def test_fc_corr_alone_prefers_the_over_synchronised_state(wong_wang):
    score = wong_wang.comparison.sel(subject="hcp_subject_1", G_lmax=1.05)
    silly, right = score.sel(sigma=0.005), score.sel(sigma=0.01)
    assert silly.fc_corr > right.fc_corr
    assert silly.mean_fc > 0.2 > right.mean_fc  # |simulated - recorded|
    assert silly.fc_rmse > 1.5 * right.fc_rmse


def test_without_inhibition_control_the_fit_is_poor(data):
    one = data.connectome.sel(subject="hcp_subject_1")
    noise = dict(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
    network = xm.Network(xm.WongWangExcInhStep(**noise), one, coupling=xm.AdditiveCoupling(source="S_e", target="coupling"))
    bold = xm.BOLDSignal(of="S_e", tr=720 * u.ms)
    seen = {"fc": xm.FunctionalConnectivity(of=bold, detrend="linear")}
    k = xr.Dataset({"coupling.k": ("G", [0.1, 0.15, 0.18, 0.2, 0.3])})
    run = xm.Simulator(network, dt=1 * u.ms).run(360 * u.second, k, monitors=seen, transient=60 * u.second, seed=0)
    score = xm.compare(run, data.recorded.sel(subject="hcp_subject_1"), xm.objectives.fc_corr("fc", "bold"))
    assert float(score.fc_corr.max()) < 0.16 + 0.06  # two seed standard deviations above what was found


def test_rates_without_noise(data):
    one = data.connectome.sel(subject="hcp_subject_1")
    network = xm.Network(xm.WongWangExcInhStep(), one, coupling=xm.AdditiveCoupling(source="S_e", target="coupling"))
    sim = xm.Simulator(network, dt=0.5 * u.ms)
    options = dict(monitors={"rate": xm.TemporalAverage(of="H_e", period=100 * u.ms)}, transient=19.9 * u.second)
    free = sim.run(20 * u.second, xr.Dataset({"coupling.k": ("G", [0.15, 2.0])}), **options)
    np.testing.assert_allclose(free.rate.mean(["rate_time", "region"]), [7.6, 156], rtol=0.01)
    G = xr.DataArray([0.15, 0.5], dims="G")  # G·λmax is 1.17 at most, below the critical 1.33
    held = sim.run(20 * u.second, xr.Dataset({"coupling.k": G, "J_i": xm.inhibition_control(one, G)}), **options)
    np.testing.assert_allclose(held.rate, 3.0773, rtol=2e-3)
