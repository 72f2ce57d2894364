"""Candidates per second: a batched population against one by one, and beside brainmass's nevergrad backend on the same problem.

Run with ``python tests/benchmarks/bench_population.py``, and ``--peers-python PATH``, the python of an environment with
``pip install brainmass==0.1.1 nevergrad``. Needs a quiet machine.

80 Hopf nodes, all connected, diffusive coupling of x, no delays, Heun's method with the coupling held over the step, dt 0.1 ms, float32,
a recording of x made with known a and k, ``timeseries_rmse``, 64 candidates of (a, k) in each generation of nevergrad's DE. The losses of
both sides at the same eight points are compared. Rounds are taken in turn; compilation is left out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr
from bench_peers import Peer
from problems import hcp80, initial_states

import xmass as xm
from xmass.fit.study import Study

DT, W = 0.1, 0.3
KNOWN = {"a": 0.05, "k": 0.05}
START = {"a": 0.1, "k": 0.1}
BOUNDS = {"a": (-0.2, 0.3), "k": (0.0, 0.2)}


class OneByOne:
    """A problem that evaluates the candidates of a population one after the other."""

    def __init__(self, problem: object) -> None:
        self.problem = problem

    def __getattr__(self, name: str) -> object:
        return getattr(self.problem, name)

    def losses(self, c: np.ndarray, *, draw: int = 0) -> np.ndarray:
        return np.concatenate([self.problem.losses(c[:, i : i + 1], draw=draw) for i in range(c.shape[1])], axis=1)


class Silent:
    """A recorder that keeps nothing."""

    def evaluated(self, step: int, c: np.ndarray, losses: np.ndarray) -> None: ...

    def saved(self) -> None:
        return None

    def save(self, step: int, state: dict) -> None: ...


def our_problem(network: xr.Dataset, initial: np.ndarray, steps: int, candidates: int) -> tuple[Study, xr.Dataset]:
    node = xm.HopfStep(a=START["a"], w=W)
    net = xm.Network(node, network[["weights"]], coupling=xm.DiffusiveCoupling(k=START["k"], source="x", target="x"))
    sim = xm.Simulator(net, dt=DT, method="heun", frozen_coupling=True)
    start = {n: xr.DataArray(v[0], dims="region", coords={"region": network.region}) for n, v in zip("xy", initial, strict=True)}
    run = dict(duration=steps * DT, monitors=["x"], initial=start)
    recorded = sim.run(params=xr.Dataset({"a": KNOWN["a"], "coupling.k": KNOWN["k"]}), progress=False, **run)
    search = {"a": xm.Param(START["a"], bounds=BOUNDS["a"]), "coupling.k": xm.Param(START["k"], bounds=BOUNDS["k"])}
    backend = xm.fit.NevergradBackend("DE", population=candidates)
    fitter = xm.Fitter(sim, objective=xm.objectives.timeseries_rmse(), backend=backend, search=search, run=run)
    return Study(fitter, recorded[["x"]], 1, 1, 0), recorded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", help="python of the environment with brainmass and nevergrad")
    parser.add_argument("--predictions", nargs="+", default=["compiled", "run"], help="ways of brainmass to simulate")
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--generations", type=int, default=5)
    options = parser.parse_args()
    network = hcp80()
    initial = initial_states(network.sizes["region"], 1)
    study, recorded = our_problem(network, initial, options.steps, options.candidates)
    problem, backend = study.problem, study.fitter.method
    names = list(problem.names)

    def fit(of: object, generations: int) -> float:
        """Candidates per second."""
        began = time.perf_counter()
        backend.run(of, Silent(), generations, 0)
        return generations * options.candidates / (time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.npz"
        low, high = (np.array([BOUNDS[n][side] for n in ("a", "k")]) for side in (0, 1))
        unit = np.random.default_rng(0).uniform(size=(8, 2))
        np.savez(
            file,
            weights=network.weights.values.astype(np.float32),
            initial=initial[:, 0],
            target=recorded.x.values,
            points=low + unit * (high - low),
        )
        ours = problem.losses(unit[None][..., [("a", "coupling.k").index(n) for n in names]])[0, :, 0]
        ways = {"xmass, batched": lambda: fit(problem, options.generations), "xmass, one by one": lambda: fit(OneByOne(problem), 1)}
        peers = []
        for prediction, generations in ((p, 1) for p in options.predictions) if options.peers_python else ():
            peer = Peer(options.peers_python, "peer_population.py")
            peers.append(peer)
            case = {"file": str(file), "dt": DT, "w": W, "bounds": BOUNDS, "start": START, "candidates": options.candidates}
            answer = peer.ask(do="prepare", case=case | {"generations": generations, "prediction": prediction})
            if "error" in answer:
                print(f"brainmass, {prediction}: {answer['error']}", flush=True)
                continue
            answer = peer.ask(do="save", file=f"{folder}/losses.npy")
            if "error" in answer:
                print(f"brainmass, {prediction}: {answer['error']}", flush=True)
                continue
            theirs = np.load(f"{folder}/losses.npy")
            print(f"brainmass, {prediction}: losses differ by {np.abs(theirs / ours - 1).max():.1e} of ours", flush=True)
            ways[f"brainmass, {prediction}"] = lambda p=peer, g=generations: g * options.candidates / p.ask(do="time")["seconds"]
        found: dict[str, list[float]] = {name: [] for name in ways}
        for way in list(ways.values())[:2]:
            way()
        for _ in range(options.rounds):
            for name, way in ways.items():
                found[name].append(way())
        for peer in peers:
            peer.close()
    print(
        f"load {os.getloadavg()[0]:.0f}\n| evaluation of {options.steps} steps | candidates per second | batched over it |\n|---|---|---|"
    )
    batched = np.array(found["xmass, batched"])
    for name, rates in found.items():
        ratio = np.median(batched / np.array(rates))  # of rounds, so that load on the machine falls on both
        print(f"| {name} | {np.median(rates):.3g} ({min(rates):.3g}–{max(rates):.3g}) | {ratio:.1f} |")


if __name__ == "__main__":
    main()
