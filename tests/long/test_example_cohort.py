"""The parameters of the example recordings are found again by the demo, and by fc_corr alone they are not."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.datasets.cohort import FIRST_SEED, TRUE_COUPLING, TRUE_SIGMA, VOLUMES
from xmass.demo import Outcome, Recordings, load_recordings, run_demo
from xmass.demo.scores import best_points, score_sweep
from xmass.scale.store import open_store

pytestmark = pytest.mark.long

REPLICATES = 5  # recordings of each subject, with noise of their own


@pytest.fixture(scope="module", name="data")
def data_fixture() -> Recordings:
    return load_recordings()


@pytest.fixture(scope="module", name="demo")
def demo_fixture(data, tmp_path_factory) -> Outcome:
    return run_demo(data, out=tmp_path_factory.mktemp("demo"))


def near_truth(comparison: xr.Dataset, points: dict[str, xr.DataArray]) -> np.ndarray:
    """Within one grid step of the truth in both parameters, for each subject; sigma even exactly: of three, the middle one."""
    G = comparison.G_lmax.values[points["G_lmax"].values]
    sigma = comparison.sigma.values[points["sigma"].values]
    return (np.abs(G - TRUE_COUPLING) < 0.1 + 1e-9) & (sigma == TRUE_SIGMA)


def test_the_stored_recordings_are_found_again(demo):
    table = demo.table
    near = np.abs(table.G_lmax.to_numpy() - TRUE_COUPLING) < 0.1 + 1e-9
    assert (near & (table.sigma.to_numpy() == TRUE_SIGMA)).mean() >= 0.8
    assert table.interior.all()


def test_fc_corr_alone_does_not_find_them(demo):
    best = demo.comparison.fc_corr.argmax(("G_lmax", "sigma"))
    assert near_truth(demo.comparison, best).mean() < 0.8


def test_other_noise_in_the_recordings_gives_the_same(demo, data):
    # of 68 such recordings 67 were found, and 34 by fc_corr alone (sigma exactly, the coupling within a step)
    swept = open_store(demo.store)
    found = []
    for recorded in recordings(data):
        scores = score_sweep(swept, recorded, "wong_wang")
        found.append(near_truth(scores.comparison, best_points(scores, ("G_lmax", "sigma"))))
    assert np.mean(found) >= 0.8


def recordings(data: Recordings) -> list[xr.Dataset]:
    """The cohort with other noise."""
    cohort = data.recorded
    k = xr.DataArray(list(TRUE_COUPLING), dims="subject") / xm.spectral_radius(cohort.weights)
    model = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
    network = xm.Network(model, cohort[["weights"]], coupling=xm.AdditiveCoupling(source="S_e", target="coupling"))
    seed = xr.DataArray(FIRST_SEED + 1000 + np.arange(REPLICATES), dims="replicate")
    parameters = xr.Dataset({"coupling.k": k, "J_i": xm.inhibition_control(cohort, k), "seed": seed})
    bold = xm.BOLDSignal(of="S_e", tr=720.0)
    run = xm.Simulator(network, dt=1.0).run(60_480.0 + VOLUMES * 720.0, parameters, monitors={"bold": bold}, transient=60_480.0)
    made = [xm.preprocess(run.bold.isel(replicate=i, drop=True)).rename(bold_time="time") for i in range(REPLICATES)]
    return [cohort.drop_vars(["bold", "time"]).assign(bold=bold) for bold in made]


def test_the_stored_recordings_are_those_of_the_generator(data):
    # the first volumes, whose noise does not depend on the duration; 12 bits are kept, and float32 differs between machines
    again = xm.datasets.record_cohort(xm.datasets.make_cohort(), volumes=20).bold
    stored = xm.datasets.load_dataset("example_cohort").bold.isel(time=slice(0, 20))
    np.testing.assert_allclose(stored.values, again.values, rtol=0, atol=0.02 * float(stored.std()))
