"""A network integrated by a plain loop over steps in numpy, float64: no ring, no blocks, every past state kept.

Written from the definitions alone, as the oracle of the block engine. ``drift(states, inputs)`` works on dicts of arrays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

States = dict[str, np.ndarray]


Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Edges:
    """One coupling: weights and whole delays ``(target, source)``, the source, the target input, and k.

    The current into a target is ``k * post(sum over edges of weight * carried(x_j then, x_i now))``. ``source`` is a state, or a function
    of all states. A diffusive coupling carries ``x_j - x_i``.
    """

    weights: np.ndarray
    steps: np.ndarray
    source: str | Callable[[States], Array]
    target: str
    k: float
    diffusive: bool = False
    carried: Callable[[Array, Array], Array] | None = None
    post: Callable[[Array], Array] | None = None

    def read(self, s: States) -> Array:
        """The source, from the states."""
        return s[self.source] if isinstance(self.source, str) else self.source(s)

    def carry(self, x: Array, own: Array) -> Array:
        """What edges carry: from the values ``x`` of their sources then and ``own`` of their targets now."""
        if self.carried is not None:
            return self.carried(x, own)
        return x - own if self.diffusive else x


def integrate(
    drift: Callable[[States, States], States],
    initial: States,
    couplings: list[Edges],
    *,
    dt: float,
    count: int,
    scheme: str = "heun",
    frozen: bool = False,
    history: Callable[[int], States] | None = None,
    held: Callable[[int], States] | None = None,
    white: Callable[[int], States] | None = None,
    jacobian: Callable[[States, States], States] | None = None,
) -> States:
    """States after each of ``count`` steps, ``(step, region)``. ``history(n)`` gives the states at step -n.

    ``held(n)`` gives inputs held over step n, ``white(n)`` the noise increments, ``jacobian`` the diagonal for exp_euler.
    """
    used = [(*np.nonzero(c.weights), c.weights[c.weights != 0.0], c.steps[c.weights != 0.0]) for c in couplings]
    longest = max((int(d.max(initial=0)) for *_, d in used), default=0)
    path = {k: np.empty((longest + count + 1, np.size(v))) for k, v in initial.items()}
    for n in range(longest + 1):
        for name, value in (history(longest - n) if history is not None and n < longest else initial).items():
            path[name][n] = value
    now = longest  # row of the state at the start of the step

    def current(which: int, own: States, at: int) -> np.ndarray:
        """Sum over sources as of ``at`` steps after the start of the step; an undelayed edge reads ``own``."""
        edges, (target, source, weight, delay) = couplings[which], used[which]
        row = now + at - np.maximum(delay, at)
        x = edges.read({n: np.where(delay == 0, own[n][source], v[row, source]) for n, v in path.items()})
        total = np.zeros(len(edges.weights))
        np.add.at(total, target, weight * edges.carry(x, edges.read({n: v[target] for n, v in own.items()})))
        return total

    def inputs(own: States, stage: float, fixed: States) -> States:
        found = dict(fixed)
        for which, edges in enumerate(couplings):
            if stage == 0.5:
                value = 0.5 * (current(which, own, 0) + current(which, own, 1))
            else:
                value = current(which, own, int(stage))
            found[edges.target] = found.get(edges.target, 0.0) + edges.k * (value if edges.post is None else edges.post(value))
        return found

    for step in range(count):
        s = {n: v[now] for n, v in path.items()}
        fixed = dict(held(step)) if held is not None else {}
        once = inputs(s, 0.0, fixed) if frozen else None

        def f(x: States, stage: float, fixed: States = fixed, once: States | None = once) -> States:
            return drift(x, once if once is not None else inputs(x, stage, fixed))

        w = white(step) if white is not None else {}

        def moved(base: States, by: float, k: States, noise: States) -> States:
            return {n: base[n] + by * k[n] + noise.get(n, 0.0) for n in base}

        if scheme == "euler":
            new = moved(s, dt, f(s, 0.0), w)
        elif scheme == "heun":
            k0 = f(s, 0.0)
            k1 = f(moved(s, dt, k0, w), 1.0)
            new = moved(s, dt / 2, {n: k0[n] + k1[n] for n in s}, w)
        elif scheme == "rk4":
            k0 = f(s, 0.0)
            k1 = f(moved(s, dt / 2, k0, {}), 0.5)
            k2 = f(moved(s, dt / 2, k1, {}), 0.5)
            k3 = f(moved(s, dt, k2, {}), 1.0)
            new = moved(s, dt / 6, {n: k0[n] + 2 * k1[n] + 2 * k2[n] + k3[n] for n in s}, w)
        elif scheme == "exp_euler":
            assert jacobian is not None
            u = inputs(s, 0.0, fixed)
            k0, slope = drift(s, u), jacobian(s, u)
            new = {n: s[n] + np.expm1(dt * slope[n]) / slope[n] * k0[n] + w.get(n, 0.0) for n in s}
        else:
            raise ValueError(scheme)
        now += 1
        for name, value in new.items():
            path[name][now] = value
    return {n: v[longest + 1 :] for n, v in path.items()}


def logistic(u: Array) -> Array:
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-u))


def laplacian(weights: Array) -> Array:
    """W - D, with the row sums in D."""
    return weights - np.diag(weights.sum(axis=1))


def hopf(a: float, w: float, beta: float = 1.0) -> Callable[[States, States], States]:
    """The Hopf normal form."""

    def drift(s: States, u: States) -> States:
        growth = a - beta * (s["x"] ** 2 + s["y"] ** 2)
        return {"x": growth * s["x"] - w * s["y"] + u.get("x", 0.0), "y": growth * s["y"] + w * s["x"] + u.get("y", 0.0)}

    return drift


def hopf_diagonal(a: float, w: float, beta: float = 1.0) -> Callable[[States, States], States]:
    """Each state's own derivative in the Hopf normal form."""

    def jacobian(s: States, u: States) -> States:
        r2 = s["x"] ** 2 + s["y"] ** 2
        return {"x": a - beta * (r2 + 2 * s["x"] ** 2), "y": a - beta * (r2 + 2 * s["y"] ** 2)}

    return jacobian
