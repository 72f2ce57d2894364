"""One-step cost beside brainmass and tvboptim on the same network, the same numbers, in turn.

Run with ``python tests/benchmarks/bench_peers.py --peers-python PATH``, where PATH is the python of an environment with
``pip install brainmass==0.1.1 tvboptim==0.4.0``. Needs a quiet machine; ``--rounds 3 --steps 1000`` for a look.

Hopf model, diffusive coupling of x, 80 regions, dense, dt 0.1 ms, float32; runs differ by their initial states; the trajectory of x of
all runs comes back on every side (here as a labelled Dataset). "heun" holds the coupling over the step on every side, as the peers do;
"heun, per stage" is our default. Times exclude compilation, which the first column of seconds states, and are medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import xarray as xr
from problems import delay_steps, hcp80, initial_states

import xmass as xm

HERE = Path(__file__).resolve().parent
MODEL = {"a": 0.05, "w": 0.3, "k": 0.05}
DT, SPEED = 0.1, 10.0
ROLL, CIRCULAR, WHOLE = "tvboptim roll", "tvboptim circular", "tvboptim preallocated"


class Peer:
    """A peer's process, spoken to line by line."""

    def __init__(self, python: str, script: str) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")}
        command = [python, str(HERE / script)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.versions = json.loads(self.process.stdout.readline())["versions"]

    def ask(self, **request: object) -> dict:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)


def exact_distances(network: xr.Dataset) -> xr.Dataset:
    """Distances a quarter of a step short of a whole number of steps, so that rounding to nearest and up give the same delays."""
    steps = np.maximum(np.rint(network.distances / (SPEED * DT)), 1)
    return network.assign(distances=xr.where(network.weights > 0, (steps - 0.25) * SPEED * DT, 0.0).assign_attrs(units="mm"))


def our_run(network: xr.Dataset, case: dict, initial: np.ndarray):
    """A function that runs the case with the public API, and its Simulator."""
    method, _, stage = case["method"].partition(", ")
    net = xm.Network(
        xm.HopfStep(a=MODEL["a"], w=MODEL["w"]),
        network,
        speed=SPEED if case["delayed"] else None,
        coupling=xm.DiffusiveCoupling(k=MODEL["k"], source="x", target="x"),
    )
    sim = xm.Simulator(net, dt=DT, method=method, frozen_coupling=method == "heun" and not stage)
    dims = ("run", "region") if case["runs"] > 1 else ("region",)
    coords = {"region": network.region}
    start = {n: xr.DataArray(v if case["runs"] > 1 else v[0], dims=dims, coords=coords) for n, v in zip("xy", initial, strict=True)}
    return lambda: sim.run(case["steps"] * DT, monitors=["x"], initial=start, progress=False)


def cases(steps: list[int]) -> list[dict]:
    found = []
    for count in steps:
        for runs in (1, 32) if count == min(steps) else (1,):
            for delayed in (True, False):
                for method in ("euler", "heun", "heun, per stage"):
                    if count == min(steps) or method == "euler":
                        found.append({"steps": count, "runs": runs, "delayed": delayed, "method": method})
    return found


def sides_of(case: dict, peers: dict[str, Peer]) -> list[tuple[str, Peer, str]]:
    """Every way in which a peer can run the case: name, process, option."""
    if "per stage" in case["method"]:
        return []
    ways = []
    if "brainmass" in peers:
        ways.append(("brainmass", peers["brainmass"], ""))
    if "tvboptim" in peers:
        options = ("circular", "roll", "preallocated") if case["delayed"] else ("roll",)
        # The whole trajectory as history, for 32 runs or 20 s, is copied at every step.
        options = [o for o in options if o != "preallocated" or (case["runs"] == 1 and case["steps"] < 20_000)]
        ways += [(f"tvboptim {o}" if case["delayed"] else "tvboptim", peers["tvboptim"], o) for o in options]
    return ways


def measure(case: dict, network: xr.Dataset, peers: dict[str, Peer], rounds: int, folder: Path) -> dict:
    """Compile, check that all sides give the same numbers, then time them in turn."""
    initial = initial_states(network.sizes["region"], case["runs"])
    file = folder / "case.npz"
    steps = np.where(network.weights > 0, np.rint(network.distances / (SPEED * DT) + 0.25), 0)
    arrays = {"weights": network.weights, "distances": network.distances, "delays": steps * DT}
    np.savez(file, initial=initial, **{n: np.asarray(v, np.float32) for n, v in arrays.items()})
    ours = our_run(network, case, initial)
    start = time.perf_counter()
    result = ours()
    sides = {"xmass": {"first": time.perf_counter() - start, "seconds": []}}
    trajectory = result.x.values.reshape(case["runs"], case["steps"], -1)
    full = case | MODEL | {"dt": DT, "speed": SPEED, "file": str(file)}
    for name, peer, option in sides_of(case, peers):
        # Processes hold one case at a time: every option is timed in turn with ours before the next is prepared.
        answer = peer.ask(do="prepare", case=full | {"option": option})
        if "error" in answer:
            sides[name] = {"error": answer["error"]}
            continue
        peer.ask(do="save", file=str(folder / "peer.npy"))
        theirs = np.load(folder / "peer.npy")
        window = slice(0, 1000)  # float32 rounding grows along a trajectory
        difference = float(np.abs(theirs[:, window] - trajectory[:, window]).max() / np.abs(trajectory[:, window]).max())
        sides[name] = {"first": answer["seconds"], "seconds": [], "difference": difference}
        for _ in range(rounds):
            start = time.perf_counter()
            ours()
            sides["xmass"]["seconds"].append(time.perf_counter() - start)
            sides[name]["seconds"].append(peer.ask(do="time")["seconds"])
    while len(sides["xmass"]["seconds"]) < rounds:
        start = time.perf_counter()
        ours()
        sides["xmass"]["seconds"].append(time.perf_counter() - start)
    for side in sides.values():
        if "seconds" in side:
            per = np.array(side["seconds"]) / case["steps"] / case["runs"] * 1e6
            side |= {"median": float(np.median(per)), "least": float(per.min()), "most": float(per.max())}
    return case | {"sides": sides}


def table(found: list[dict]) -> str:
    """A Markdown table: a row per case, medians in us per step and run (least to most), and the fastest peer over ours."""
    lines = ["| runs | steps | delays | scheme | xmass | fastest peer | others | ratio |", "|---|---|---|---|---|---|---|---|"]

    def said(side: dict) -> str:
        return f"{side['median']:.3g} ({side['least']:.3g}–{side['most']:.3g})"

    for case in found:
        sides = dict(case["sides"])
        ours = sides.pop("xmass")
        failed = [n for n, s in sides.items() if "error" in s]
        timed = sorted((n for n in sides if n not in failed), key=lambda n: sides[n]["median"])
        first = f"{said(sides[timed[0]])} {timed[0]}" if timed else "–"
        others = ", ".join([f"{sides[n]['median']:.3g} {n}" for n in timed[1:]] + [f"{n}: failed" for n in failed]) or "–"
        ratio = f"{sides[timed[0]]['median'] / ours['median']:.1f}" if timed else "–"
        delays = "yes" if case["delayed"] else "no"
        lines.append(f"| {case['runs']} | {case['steps']} | {delays} | {case['method']} | {said(ours)} | {first} | {others} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", required=True, help="python of the environment with the peers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[6720, 200_000], help="all cases with the least, one run by Euler with the others"
    )
    parser.add_argument("--only", nargs="+", default=["brainmass", "tvboptim"], help="peers")
    parser.add_argument("--out", type=Path, default=Path("bench_peers.json"))
    options = parser.parse_args()
    network = exact_distances(hcp80())
    delays = delay_steps(network, SPEED, DT)
    sizes = f"{network.sizes['region']} regions, {len(delays)} edges, delays {delays[0]} / {np.median(delays):.0f} / {delays[-1]} steps"
    print(f"{network.attrs['name']}: {sizes}")
    peers = {name: Peer(options.peers_python, f"peer_{name}.py") for name in options.only}
    versions = {"xmass": version("xmass") if _installed() else "source", "jax": version("jax"), "python": platform.python_version()}
    for peer in peers.values():
        versions |= {n: v for n, v in peer.versions.items() if n not in versions}
    found = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for case in cases(options.steps):
                found.append(measure(case, network, peers, options.rounds, Path(folder)))
                print(json.dumps({k: v for k, v in found[-1].items() if k != "sides"}), file=sys.stderr)
                for name, side in found[-1]["sides"].items():
                    print("   ", name, {k: v for k, v in side.items() if k != "seconds"}, file=sys.stderr)
                options.out.write_text(json.dumps({"versions": versions, "network": network.attrs["name"], "cases": found}, indent=1))
    finally:
        for peer in peers.values():
            peer.close()
    print(versions)
    print(table(found))


def _installed() -> bool:
    try:
        version("xmass")
    except ModuleNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
