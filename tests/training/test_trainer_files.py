"""Checkpoints and saved weights: bit for bit, whole or refused, and left as they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.training.test_trainer import LINEAR, MSE, along, linear_ds

t = xm.training
RATE = along("rate", [0.01, 0.02])
OPTIONS = dict(x="u", y="z", batch_size=5, seed=3)


@pytest.fixture(scope="module")
def ds():
    return linear_ds()


def adam(rate=RATE):
    """Adam has a memory, and the last batch of an epoch is smaller."""
    return t.Trainer(LINEAR, MSE, "adam", rate)


@pytest.fixture(scope="module")
def whole(ds):
    trainer = adam()
    return trainer, trainer.fit(ds, epochs=5, **OPTIONS)


def same(trainer, history, whole):
    xr.testing.assert_identical(trainer.weights, whole[0].weights)
    xr.testing.assert_identical(history.drop_vars("seconds"), whole[1].drop_vars("seconds"))


def contents(path):
    return {p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.mark.filterwarnings("ignore:interrupted:UserWarning")
@pytest.mark.parametrize("end", ["epochs", "interrupt"])
def test_a_resumed_fit_equals_an_uninterrupted_one_bit_for_bit(ds, whole, tmp_path, end):
    path = tmp_path / "run.zarr"

    def stop(trainer, history):
        if history.sizes["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    if end == "epochs":
        adam().fit(ds, epochs=2, checkpoint=path, **OPTIONS)
    else:
        adam().fit(ds, epochs=5, checkpoint=path, callbacks=stop, **OPTIONS)
    again = adam()
    same(again, again.fit(ds, epochs=5, checkpoint=path, resume=True, **OPTIONS), whole)
    done = contents(path)
    finished = adam()  # nothing is left to do
    same(finished, finished.fit(ds, epochs=5, checkpoint=path, resume=True, **OPTIONS), whole)
    assert contents(path) == done and sorted(p.name for p in tmp_path.iterdir()) == ["run.zarr"]


def test_a_fit_killed_between_two_moves_goes_on_from_the_one_before(ds, whole, tmp_path):
    path = tmp_path / "run.zarr"
    adam().fit(ds, epochs=2, checkpoint=path, **OPTIONS)
    path.rename(tmp_path / "run.zarr.old")
    (tmp_path / "run.zarr.part").mkdir()
    with pytest.raises(FileExistsError, match="resume=True"):
        adam().fit(ds, epochs=5, checkpoint=path, **OPTIONS)
    again = adam()
    same(again, again.fit(ds, epochs=5, checkpoint=path, resume=True, **OPTIONS), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.zarr"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "text"])
def test_a_damaged_checkpoint_is_refused_and_left_alone(ds, tmp_path, damage):
    path = tmp_path / "run.zarr"
    adam().fit(ds, epochs=1, checkpoint=path, **OPTIONS)
    file = max((p for p in path.rglob("c*") if p.is_file()), key=lambda p: p.stat().st_size)
    if damage == "flipped":
        data = bytearray(file.read_bytes())
        data[0] ^= 1
        file.write_bytes(bytes(data))
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "gone":
        file.unlink()
    else:
        (path / "zarr.json").write_text("{")
    before = contents(path)
    with pytest.raises(ValueError, match=r"damaged|checksum"):
        adam().fit(ds, epochs=2, checkpoint=path, resume=True, **OPTIONS)
    assert contents(path) == before


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (dict(seed=4), "seed: 3 -> 4"),
        (dict(batch_size=4), "batch_size: 5 -> 4"),
        (dict(patience=2), "patience: null -> 2"),
        (dict(ds=linear_ds(seed=9)), "samples: "),
        (dict(trainer=adam(0.01)), "learning_rate"),
        (dict(trainer=t.Trainer(LINEAR, t.MeanAbsoluteError(), "adam", RATE)), "loss.*MeanAbsoluteError"),
        (dict(trainer=t.Trainer(t.Linear(bias=False), MSE, "adam", RATE)), "model.*bias"),
    ],
)
def test_another_fit_is_refused_and_the_difference_named(ds, tmp_path_factory, other, said):
    path = tmp_path_factory.getbasetemp() / "other.zarr"
    if not path.exists():
        adam().fit(ds, epochs=1, checkpoint=path, **OPTIONS)
    trainer = other.pop("trainer", None) or adam()
    with pytest.raises(ValueError, match=said):
        trainer.fit(**{"ds": ds, "epochs": 2, "checkpoint": path, "resume": True} | OPTIONS | other)


def test_saved_weights_predict_the_same(ds, whole, tmp_path):
    trainer, _ = whole
    path = tmp_path / "weights.zarr"
    trainer.save(path)
    again = adam().load(path)
    xr.testing.assert_identical(again.predict(ds), trainer.predict(ds))
    xr.testing.assert_identical(again.weights, trainer.weights)
    xr.testing.assert_identical(xr.open_zarr(path, consolidated=False).load().drop_attrs(deep=False), trainer.weights)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        trainer.save(path)
    trainer.save(path, overwrite=True)
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="no zarr store"):
        trainer.save(tmp_path / "mine", overwrite=True)
    with pytest.raises(ValueError, match=r"another network: .*bias: true -> false"):
        t.Trainer(t.Linear(bias=False), MSE, "adam", RATE).load(path)
    with pytest.raises(FileNotFoundError, match="is not there"):
        adam().load(tmp_path / "none.zarr")
    (path / "zarr.json").write_text("{}")
    with pytest.raises(ValueError, match="damaged"):
        adam().load(path)


SCRIPT = """
import sys
import time
import xmass as xm
from tests.training.test_trainer_files import OPTIONS, adam, linear_ds
slow = lambda trainer, history: time.sleep(0.02)
adam().fit(linear_ds(), epochs=400, checkpoint=sys.argv[1], checkpoint_every=1, resume=True, callbacks=slow, progress=False, **OPTIONS)
"""


@pytest.mark.long
def test_a_killed_process_goes_on_bit_for_bit(ds, tmp_path):
    path = tmp_path / "run.zarr"
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)])
        deadline = time.monotonic() + 120
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2.0)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    trainer, again = adam(), adam()
    history = trainer.fit(ds, epochs=400, **OPTIONS)
    resumed = again.fit(ds, epochs=400, checkpoint=path, resume=True, **OPTIONS)
    assert np.isfinite(resumed.loss).all()
    same(again, resumed, (trainer, history))
