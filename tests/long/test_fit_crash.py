"""A fit that is killed goes on, and ends with the same numbers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

pytestmark = pytest.mark.long

SCRIPT = """
import sys, time
import xarray as xr, xmass as xm

sim = xm.Simulator(xm.LinearStep(gamma=xm.Param(-0.5, bounds=(-3.0, -0.1))), dt=0.1, precision="float64")
run = dict(duration=20.0, monitors=["x"], initial={"x": 0.0}, inputs={"x": 2.0})
truth = xr.DataArray([-0.7, -1.3, -2.0], dims="subject", coords={"subject": ["a", "b", "c"]})
target = xm.Simulator(xm.LinearStep(), dt=0.1, precision="float64").run(params=xr.Dataset({"gamma": truth}), **run)
fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), backend=sys.argv[2], run=run)


def slowly(now):
    with open(sys.argv[1] + ".log", "a") as log:
        log.write(f"{now.step}\\n")
    time.sleep(float(sys.argv[3]))


fitter.fit(target, n_steps=12, seed=0, store=sys.argv[1], chunks={"subject": 1}, callbacks=[slowly], progress=False)
"""


def call(store: Path, backend: str, pause: float) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(store), backend, str(pause)]


@pytest.mark.parametrize("backend", ["grad", "cma"])
def test_kill_and_resume_bit_for_bit(backend, tmp_path):
    whole, store = tmp_path / "whole.zarr", tmp_path / "fit.zarr"
    subprocess.run(call(whole, backend, 0.0), check=True, env=os.environ)
    log = Path(f"{store}.log")
    for seen in (3, 18):  # in the first subject, and in the second
        running = subprocess.Popen(call(store, backend, 0.2), env=os.environ)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and (not log.exists() or len(log.read_text().split()) < seen):
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert not store.exists()
    killed_after = len(log.read_text().split())
    subprocess.run(call(store, backend, 0.0), check=True, env=os.environ)
    # 36 steps in all; a kill repeats one step at most, since the state is saved after each
    assert len(log.read_text().split()) <= 36 + 2
    assert killed_after >= 18
    assert not store.with_name("fit.zarr.parts").exists()
    with xr.open_zarr(store, consolidated=False) as ours, xr.open_zarr(whole, consolidated=False) as theirs:
        xr.testing.assert_identical(ours.load(), theirs.load())


def test_a_damaged_state_is_refused(tmp_path):
    store = tmp_path / "fit.zarr"
    running = subprocess.Popen(call(store, "grad", 0.2), env=os.environ)
    state = tmp_path / "fit.zarr.parts" / "state-00000.npz"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not state.exists():
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    state.write_bytes(state.read_bytes()[:200])
    ended = subprocess.run(call(store, "grad", 0.0), env=os.environ, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "is damaged" in ended.stderr
    assert "Delete it" in ended.stderr
