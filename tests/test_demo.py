from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xmass as xm
from xmass.__main__ import main
from xmass.datasets import make_cohort, record_cohort
from xmass.demo import DemoError, Grid, default_grid, load_recordings, run_demo
from xmass.demo.run import SEED, found
from xmass.demo.scores import mean_fc, score_sweep, table_text
from xmass.demo.sweeps import make_sweep, rows_per_chunk
from xmass.scale.store import open_store

ROOT = Path(__file__).resolve().parents[1]
SMALL = Grid(coupling=(0.05, 0.5, 1.5), second=(-0.05, -0.02), seeds=2, seconds=72.0)


@pytest.fixture(scope="module", name="outcome")
def outcome_fixture(tmp_path_factory):
    """The slow Hopf demo on two subjects, and what it said."""
    said: list[str] = []
    data = load_recordings(subjects=["S3", "S1"])
    return run_demo(data, out=tmp_path_factory.mktemp("demo"), model="hopf", grid=SMALL, say=said.append), said, data


@pytest.mark.long
def test_the_store_has_the_grid_and_the_table_its_best_points(outcome):
    result, _, data = outcome
    stored = open_store(result.store)
    assert dict(stored.fc.sizes) == {"G": 3, "a_per_s": 2, "subject": 2, "batch": 2, "region": 68, "region_other": 68}
    assert stored.sizes["bold_time"] == 100  # 72 s at 0.72 s
    fc = np.tanh(np.arctanh(stored.fc.astype(float).clip(-1 + 1e-7, 1 - 1e-7)).mean("batch"))
    upper = np.triu_indices(68, 1)
    for row in result.table.to_dict("records"):
        recorded = np.corrcoef(data.recorded.bold.sel(subject=row["subject"]), rowvar=False)[upper]
        scores = {}
        for g in SMALL.coupling:
            for a in SMALL.second:
                simulated = fc.sel(subject=row["subject"], G=g, a_per_s=a).values[upper]
                scores[g, a] = np.sqrt(np.mean((simulated - recorded) ** 2))
        assert (row["G"], row["a_per_s"]) == min(scores, key=scores.__getitem__)
        assert row["score"] == pytest.approx(min(scores.values()), abs=1e-5)  # the FC is stored in single precision
        assert row["mean_fc_recorded"] == pytest.approx(recorded.mean(), abs=1e-5)


def test_it_says_what_it_did_and_writes_what_it_says(outcome):
    result, said, _ = outcome
    text = "\n".join(said)
    for part in (
        "kept 68 regions",
        "subjects: S3, S1",
        "weights divided by the largest weight",
        "linear trend removed; no band-pass",
        "3 × 2 points × 2 seeds × 2 subjects = 24 runs of 2.2 minutes, the first 60.5 s left out; no delays",
        "fc_rmse, which sees pattern and mean of FC",
    ):
        assert part in text
    assert table_text(result.table) in text
    assert {path.name for path in result.files} == {
        "table.csv",
        "sweep.png",
        *(f"{kind}_{s}.png" for kind in ("fc", "bold") for s in ("S1", "S3")),
    }
    assert all(path.stat().st_size > 100 for path in result.files)
    pd.testing.assert_frame_equal(pd.read_csv(result.files[0]), result.table)


@pytest.mark.long
def test_again_it_takes_what_is_there_and_another_sweep_is_refused(outcome):
    result, _, data = outcome
    before = {path: path.stat().st_mtime_ns for path in result.store.rglob("*") if path.is_file()}
    again = run_demo(data, out=result.store.parent, model="hopf", grid=SMALL)
    pd.testing.assert_frame_equal(again.table, result.table)
    assert {path: path.stat().st_mtime_ns for path in result.store.rglob("*") if path.is_file()} == before
    with pytest.raises(DemoError, match="Give another folder with --out"):
        run_demo(data, out=result.store.parent, model="hopf", grid=SMALL, speed=5.0)


@pytest.mark.long
def test_wong_wang_with_delays_from_a_small_cohort(tmp_path):
    cohort = record_cohort(make_cohort(n_subjects=1, n_regions=16), scaled_coupling=[0.9], sigma=[0.01], volumes=60, transient=7.2)
    cohort.to_netcdf(tmp_path / "cohort.nc", engine="h5netcdf")
    data = load_recordings([tmp_path / "cohort.nc"], normalization="spectral")
    grid = Grid(coupling=(0.2, 0.9, 1.2), second=(0.005, 0.01, 0.02), seeds=1, seconds=36.0, transient=14.4)
    said: list[str] = []
    result = run_demo(data, out=tmp_path / "out", grid=grid, speed=10.0, say=said.append)
    assert "delays at 10 mm/ms" in "\n".join(said)
    row = result.table.iloc[0]
    np.testing.assert_allclose(row.G, row.G_lmax, rtol=1e-6)  # the spectral radius is 1
    assert 2.5 < row.rate_hz < 15
    assert result.comparison.score.attrs["direction"] == "min"  # the units agree: the amplitude counts


def test_the_amplitude_of_a_recording_in_other_units_does_not_count():
    data = load_recordings(subjects=["S1"])
    fc = xm.functional_connectivity(data.recorded.bold).expand_dims(G_lmax=[1.0, 2.0], sigma=[0.1], batch=[0])
    bold = data.recorded.bold.expand_dims(G_lmax=[1.0, 2.0], sigma=[0.1], batch=[0]).rename(time="bold_time")
    swept = xr.Dataset({"fc": fc, "bold": 2 * bold.assign_attrs(units="1")}).assign(bold=lambda ds: (2 * ds.bold).assign_attrs(bold.attrs))
    swept["bold"].attrs.pop("preprocess")
    scores = score_sweep(swept, data.recorded, "wong_wang")
    np.testing.assert_allclose(scores.comparison.score, np.log(4), rtol=1e-6)
    other = data.recorded.assign(bold=data.recorded.bold.assign_attrs(units="a.u."))
    np.testing.assert_allclose(score_sweep(swept, other, "wong_wang").comparison.score, 0.0, atol=1e-6)


@given(rows=st.integers(1, 40), runs=st.integers(1, 40))
def test_no_chunking_has_fewer_tiles(rows, runs):
    def tiles(n):
        return sum(math.ceil(min(n, rows - first) * runs / 16) for first in range(0, rows, n))

    n = rows_per_chunk(rows, runs)
    assert tiles(n) == min(map(tiles, range(1, rows + 1)))
    assert all(tiles(m) > tiles(n) for m in range(1, n))


def test_found_is_within_one_step_in_both_parameters():
    comparison = xr.Dataset(coords={"G_lmax": [0.8, 0.9, 1.0], "sigma": [0.005, 0.01, 0.015]})
    table = pd.DataFrame({"G_lmax": [0.9, 0.9, 0.8], "sigma": [0.01, 0.01, 0.005]})
    truth = {"G_lmax": xr.DataArray([0.8, 1.01, 0.8], dims="subject"), "sigma": xr.DataArray([0.015, 0.01, 0.015], dims="subject")}
    assert found(table, truth, comparison).tolist() == [True, False, False]


def test_mean_fc_leaves_out_the_diagonal():
    fc = xr.DataArray(np.array([[1.0, 0.2], [0.4, 1.0]]), dims=("region", "region_other"))
    assert float(mean_fc(fc)) == pytest.approx(0.3)


def test_the_default_grids_are_those_of_the_documentation():
    full = default_grid("wong_wang", full=True)
    np.testing.assert_allclose(full.coupling, np.linspace(0.3, 1.3, 21))
    assert (full.second, full.seeds, full.seconds) == ((0.002, 0.005, 0.01, 0.015, 0.02), 2, 300.0)
    hopf = default_grid("hopf", full=True)
    np.testing.assert_allclose(hopf.coupling, np.geomspace(0.02, 5, 21), rtol=1e-3)
    assert (hopf.second, hopf.seconds) == ((-0.1, -0.05, -0.02, 0.0, 0.02), 864.0)
    truth = xm.datasets.load_dataset("example_cohort")
    small = default_grid("wong_wang")
    scaled = truth.true_coupling * xm.spectral_radius(truth.weights)
    assert small.coupling[0] < float(scaled.min()) < float(scaled.max()) < small.coupling[-1]
    assert small.second[0] < float(truth.true_sigma.min()) <= float(truth.true_sigma.max()) < small.second[-1]


def test_no_sweep_uses_the_seed_of_a_recording():
    cohort = load_recordings(subjects=["S1"])
    sweep = make_sweep(cohort, "hopf", Grid((0.5,), (-0.02,), seeds=3, seconds=10.0, transient=10.0))
    run = sweep.simulator.run(7200.0, sweep.parameters, monitors=["x"], batch_size=3, seed=SEED)
    recorded = xm.datasets.load_dataset("example_cohort").seed.values
    assert not set(run.seed.values.tolist()) & set(recorded.tolist())


# ------------------------------------------------------------------------------------------------------------ errors
def recording(**changes) -> xr.Dataset:
    rng = np.random.default_rng(0)
    names = [f"A{i}" for i in range(4)]
    weights = rng.uniform(0.1, 1, (4, 4)) * (1 - np.eye(4))
    ds = xr.Dataset(
        {
            "weights": (("region", "region_other"), weights),
            "distances": (("region", "region_other"), 50 * weights, {"units": "mm"}),
            "bold": (("time", "region"), rng.normal(size=(200, 4)), {"units": "a.u."}),
        },
        coords={"region": names, "region_other": names, "time": ("time", 0.72 * np.arange(200), {"units": "s", "axis": "T"})},
    )
    return ds.assign(changes)


def still() -> xr.DataArray:
    bold = recording().bold.copy()
    bold[:, 2] = 1.5
    return bold


BROKEN = {
    "no bold": (lambda: recording().drop_vars("bold"), "has no bold among"),
    "NaN": (lambda: recording(weights=recording().weights.where(recording().weights > 0.2)), "weights is NaN"),
    "constant": (lambda: recording(bold=still()), "bold is constant in the regions ['A2']"),
    "no unit of time": (lambda: recording().assign_coords(time=np.arange(200.0)), "needs 'ms' or 's'"),
}


@pytest.mark.parametrize(("make", "message"), BROKEN.values(), ids=BROKEN)
def test_data_that_cannot_be_used_are_one_line_and_exit_status_2(make, message, tmp_path, capsys):
    make().to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    assert main(["demo", "--data", str(tmp_path / "one.nc"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("xmass demo: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere.nc"], "there is no file"),
        (["--subject", "S9"], "there is no subject 'S9': there are 'S1', 'S2', 'S3', 'S4'"),
        (["--seeds", "0"], "0 seeds, needs at least one"),
        (["--speed", "-3"], "needs a positive conduction speed"),
        (["--out", __file__], "cannot write to"),
    ],
)
def test_options_that_cannot_be_used_are_one_line_and_exit_status_2(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_unknown_option_shows_the_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--modell", "hopf"])
    assert stop.value.code == 2
    assert "usage: python -m xmass" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ stopped and continued
LONG = Grid(coupling=tuple(np.linspace(0.1, 3, 16).tolist()), second=(-0.05, -0.02), seeds=4, seconds=864.0)
SCRIPT = """
from xmass.demo import *
run_demo(load_recordings(subjects=["S1"]), out={out!r}, model="hopf", grid=Grid(**{grid!r}))
"""


def start(arguments: list[str]) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    return subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process: subprocess.Popen, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended before it could be stopped: {process.communicate()[1]}"
        assert time.monotonic() < until
        time.sleep(0.02)


def chunks_written(store: Path) -> int:
    return sum(1 for path in (store / "fc" / "c").rglob("*") if path.is_file()) if (store / "fc" / "c").is_dir() else 0


@pytest.mark.long
def test_killed_and_started_again_it_continues_to_the_same_result(tmp_path):
    store = tmp_path / "out" / "hopf.zarr"
    process = start(["-c", textwrap.dedent(SCRIPT).format(out=str(tmp_path / "out"), grid=vars(LONG))])
    wait_for(lambda: chunks_written(store) >= 2, process)
    process.kill()
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in (store / "fc" / "c").rglob("*") if path.is_file()}
    data = load_recordings(subjects=["S1"])
    resumed = run_demo(data, out=tmp_path / "out", model="hopf", grid=LONG)
    unchanged = sum(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    assert unchanged >= len(kept) - 2  # at most the chunks in flight, one for each core, are made again
    assert chunks_written(store) > len(kept)
    sweep = make_sweep(data, "hopf", LONG)
    whole = sweep.simulator.run(
        sweep.duration, sweep.parameters, monitors=sweep.monitors, transient=sweep.transient, batch_size=sweep.seeds, seed=SEED
    )
    stored = open_store(resumed.store)
    np.testing.assert_array_equal(stored.fc, whole.fc)
    np.testing.assert_array_equal(stored.bold, whole.bold)


def test_stopped_by_ctrl_c_it_says_how_to_continue(tmp_path):
    process = start(["-m", "xmass", "demo", "--out", str(tmp_path / "out")])
    wait_for((tmp_path / "out" / "wong_wang.zarr").is_dir, process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command continues from there" in error
    assert "Traceback" not in error
