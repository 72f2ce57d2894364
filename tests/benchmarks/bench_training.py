"""Training beside BrainPy: the same data, the same initial weights, the same losses, in turn.

Run with ``python tests/benchmarks/bench_training.py --peer-python PATH``, where PATH is the python of an environment with
``pip install brainpy==2.8.0``. Needs a quiet machine, about five minutes; ``--rounds 1 --only NG-RC RNN`` for a look.

Single precision in training on both sides. NG-RC: four delays of the Lorenz system, five samples apart, and their products of two; ridge
regression on 6000 rows and prediction of 2000. RNN: the white-noise task, 100 units whose initial state is a parameter, batches of 128
trials out of 12,800 in memory, 200 updates; "RNN, zero start" has no such parameter. GRU: the same with another cell (the two libraries
have different ones, so losses are not compared). Spiking: 256 trials of 2000 steps, 100 - 10 - 2 units, BrainPy with the
neuron and synapse models of its example; "lean" has it as matrices and exponential filters. Seconds are of the updates, on both sides
without reading the data and with what was compiled before; the column "first fit" includes both. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optax
import xarray as xr
from bench_peers import Peer

import xmass as xm

t = xm.training
XYZ = ["x", "y", "z"]
ZERO = "RNN, zero start"
LEAN = "spiking, lean"
AHEAD = [f"{v}_ahead" for v in XYZ]


def reservoir(folder: Path, updates: int) -> tuple[dict, Callable[[], tuple[np.ndarray, float]]]:
    """One fit and one prediction."""
    pairs = t.forecast_pairs(xm.datasets.lorenz(), horizon=1).isel(horizon=0, drop=True)
    train, test = pairs.isel(time=slice(1985, 8000)), pairs.isel(time=slice(7985, None))
    arrays = {"train": train[XYZ], "target": train[AHEAD], "test": test[XYZ]}
    np.savez(folder / "case.npz", **{k: _columns(v) for k, v in arrays.items()})
    layer, readout, truth = t.NVAR(delay=4, stride=5, orders=[2]), t.Ridge(alpha=1e-6), _columns(test[AHEAD])[15:]

    def run() -> tuple[np.ndarray, float]:
        start = time.perf_counter()
        wrong = ((_columns(layer.fit(train, x=XYZ, y=AHEAD, readout=readout).predict(test)[AHEAD]) - truth) ** 2).mean(keepdims=True)[0]
        return wrong, time.perf_counter() - start

    return {"name": "NG-RC", "alpha": 1e-6, "truth": truth.tolist()}, run


def recurrent(folder: Path, updates: int, name: str = "RNN") -> tuple[dict, Callable[[], tuple[np.ndarray, float]]]:
    """The white-noise task with the constants of the published example."""
    batch, batches = 128, 100
    ds = xm.datasets.white_noise_task(n_trials=batch * batches)
    rate, decay, eps, l2 = 0.025, 0.99975, 0.1, 2e-4
    trainer = t.Trainer(
        t.Sequential(t.GRU(100) if name == "GRU" else t.RNN(100, train_initial=name == "RNN"), t.Linear()),
        {"mse": t.MeanSquaredError(), "l2": t.L2(l2)},
        t.adam(eps_hat=eps),
        optax.exponential_decay(rate, 1, decay),
        frozen="rnn.initial" if name == "RNN" else (),  # which BrainPy sets back to zero before every batch, and never trains
    )
    case = {"rate": rate, "decay": decay, "eps": eps, "l2": l2, "batch": batch, "epochs": updates // batches}
    options = {"x": "input", "y": "target", "batch_size": batch, "shuffle": False}
    return _training(folder, {"name": name, **case}, trainer, ds, ["input", "target"], options, {})


def spiking(folder: Path, updates: int, name: str = "spiking") -> tuple[dict, Callable[[], tuple[np.ndarray, float]]]:
    """Random spikes with random labels, with the constants of the published example."""
    ds = xm.datasets.random_spike_trains()
    unit = t.LIF(10, synapse=t.Exponential(10.0))
    model = t.Sequential(unit, t.LeakyReadout(tau=5.0, synapse=t.Exponential(10.0), latency=1), t.OverTime("max"))
    trainer = t.Trainer(model, t.CrossEntropy(), "adam", 2e-3)
    options = {"x": "spike", "y": "label", "features": "neuron"}
    scale = {"lif.weight": (20 / 100) ** 0.5, "leakyreadout.weight": (20 / 10) ** 0.5}  # variance 20 / inputs
    return _training(
        folder, {"name": "spiking", "rate": 2e-3, "dt": 0.1, "epochs": updates}, trainer, ds, ["spike", "label"], options, scale
    )


def _columns(ds: xr.Dataset) -> np.ndarray:
    return ds.to_dataarray().transpose("time", "variable").values


def _training(
    folder: Path, case: dict, trainer: t.Trainer, ds: xr.Dataset, names: list[str], options: dict, scale: dict[str, float]
) -> tuple[dict, Callable[[], tuple[np.ndarray, float]]]:
    """Weights drawn here for both sides, and a fit that gives the losses of its epochs."""
    few = {"trial": slice(0, 4), "time": slice(0, 4)}
    drawn = t.Trainer(trainer.model, trainer.losses, "sgd", 0.0)
    drawn.fit(ds.isel(few), **{**options, "batch_size": 4}, epochs=1, progress=False)
    weights, rng = drawn.weights, np.random.default_rng(0)
    initial = weights.assign({n: w.copy(data=scale[n] * rng.standard_normal(w.shape)) if n in scale else w for n, w in weights.items()})
    np.savez(folder / "case.npz", **{n: ds[n].values for n in names}, **{str(n): w.values for n, w in initial.items()})

    def run() -> tuple[np.ndarray, float]:
        history = trainer.fit(ds, **options, initial=initial, epochs=case["epochs"], progress=False)
        return history.loss.sel(split="train").values, float(history.seconds.sum())

    return case, run


CASES = {
    "NG-RC": (reservoir, 1),
    "RNN": (recurrent, 200),
    ZERO: (partial(recurrent, name=ZERO), 200),
    "GRU": (partial(recurrent, name="GRU"), 200),
    "spiking": (spiking, 5),
    LEAN: (partial(spiking, name=LEAN), 5),
}


def agreement(case: dict, ours: np.ndarray, theirs: np.ndarray) -> tuple[str, float, float]:
    """What is compared, ours and theirs."""
    if case["name"] == "NG-RC":
        return "test error", float(ours[0]), float(((theirs[15:] - np.array(case["truth"])) ** 2).mean())
    theirs = theirs.reshape(case["epochs"], -1).mean(axis=1)
    # Only the first epoch: rounding grows.
    if case["name"] != "GRU" and not np.isclose(ours[0], theirs[0], rtol=0.01):
        raise RuntimeError(f"{case['name']}: the losses are {ours} here and {theirs} in BrainPy.")
    return "first epoch's loss", float(ours[0]), float(theirs[0])


def measure(name: str, peer: Peer, rounds: int, folder: Path) -> dict:
    """Compile, compare the losses, then time both in turn."""
    build, updates = CASES[name]
    case, ours = build(folder, updates)
    start = time.perf_counter()
    losses, _ = ours()
    first = time.perf_counter() - start
    sent = {k: v for k, v in case.items() if k != "truth"} | {"file": str(folder / "case.npz")}
    prepared = _asked(peer, do="prepare", case=sent)
    _asked(peer, do="save", file=str(folder / "peer.npy"))
    what, here, there = agreement(case, losses, np.load(folder / "peer.npy"))
    seconds: dict[str, list[float]] = {"xmass": [], "brainpy": []}
    for _ in range(rounds):
        seconds["xmass"].append(ours()[1])
        seconds["brainpy"].append(_asked(peer, do="time"))
    medians = {side: float(np.median(s)) for side, s in seconds.items()}
    return {
        "case": name,
        "updates": updates,
        "seconds": seconds,
        "first": {"xmass": first, "brainpy": prepared},
        "median": medians,
        "ratio": medians["brainpy"] / medians["xmass"],
        "compared": {"what": what, "xmass": here, "brainpy": there},
    }


def _asked(peer: Peer, **request: Any) -> float:
    answer = peer.ask(**request)
    if "error" in answer:
        raise RuntimeError(f"BrainPy cannot: {answer['error']}")
    return answer["seconds"]


def table(found: list[dict]) -> str:
    """A Markdown table."""
    lines = ["| task | updates | xmass | BrainPy | ratio | first fit | compared |", "|---|---|---|---|---|---|---|"]
    for f in found:
        ours, theirs = (f"{f['median'][s]:.3g} ({min(f['seconds'][s]):.3g}–{max(f['seconds'][s]):.3g})" for s in ("xmass", "brainpy"))
        first, same = f["first"], f["compared"]
        once = f"{first['xmass']:.2g} / {first['brainpy']:.2g}"
        check = f"{same['what']} {same['xmass']:.3g} / {same['brainpy']:.3g}"
        lines.append(f"| {f['case']} | {f['updates']} | {ours} | {theirs} | {f['ratio']:.1f} | {once} | {check} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="python of the environment with BrainPy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--out", type=Path, default=Path("bench_training.json"))
    options = parser.parse_args()
    found = []
    for name in options.only:
        peer = Peer(options.peer_python, "peer_brainpy.py")
        try:
            with tempfile.TemporaryDirectory() as folder:
                found.append(measure(name, peer, options.rounds, Path(folder)))
        finally:
            peer.close()
        print(json.dumps(found[-1]), file=sys.stderr)
        options.out.write_text(json.dumps({"python": platform.python_version(), "peer": peer.versions, "cases": found}, indent=1))
    print({"jax": version("jax"), **peer.versions})
    print(table(found))


if __name__ == "__main__":
    main()
