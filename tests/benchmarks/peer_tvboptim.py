"""The benchmark's network in tvboptim. Runs in an environment that has it; bench_peers.py starts it.

The Hopf oscillator is written as a user's model, so that only x is coupled, as on the other sides (the one that tvboptim
brings couples x and y). Runs at once are ``jax.vmap`` over initial states and histories. The trajectory is of x alone.
"""

from __future__ import annotations

from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from peer_protocol import serve
from tvboptim.experimental.network_dynamics import Bunch, DenseDelayGraph, DenseGraph, Network, prepare
from tvboptim.experimental.network_dynamics.coupling import DelayedDifferenceCoupling, DifferenceCoupling
from tvboptim.experimental.network_dynamics.dynamics.base import AbstractDynamics
from tvboptim.experimental.network_dynamics.solvers import Euler, Heun


class Hopf(AbstractDynamics):
    """Normal form of the Hopf bifurcation, coupled through x."""

    STATE_NAMES = ("x", "y")
    INITIAL_STATE = (0.0, 0.0)
    DEFAULT_PARAMS = Bunch(a=0.05, w=0.3)
    COUPLING_INPUTS = {"network": 1}  # noqa: RUF012  as the base class declares it

    def dynamics(self, t, state, params, coupling, external):
        x, y = state[0], state[1]
        growth = params.a - (x * x + y * y)
        return jnp.array([growth * x - params.w * y + coupling.network[0], growth * y + params.w * x])


def build(case: dict):
    data = np.load(case["file"])
    weights, delays, initial = jnp.asarray(data["weights"]), data["delays"], jnp.asarray(data["initial"])
    names = {"incoming_states": "x", "local_states": "x", "G": case["k"]}
    if case["delayed"]:
        graph = DenseDelayGraph(weights, jnp.asarray(delays))
        coupling = DelayedDifferenceCoupling(buffer_strategy=case["option"], **names)
    else:
        graph, coupling = DenseGraph(weights), DifferenceCoupling(**names)
    network = Network(Hopf(a=case["a"], w=case["w"], VARIABLES_OF_INTEREST=("x",)), coupling, graph)
    solver = Euler() if case["method"] == "euler" else Heun()
    solve, config = prepare(network, solver, t0=0.0, t1=case["steps"] * case["dt"], dt=case["dt"])

    def start(x0):
        """The configuration with another initial state, and with it as the history before the start."""
        new = config.copy()
        state = config.initial_state
        if isinstance(state, Bunch):
            state = state.copy()
            state.dynamics = x0
            state.coupling = jax.tree.map(lambda a: a, state.coupling)
            for name in list(state.coupling):
                held = state.coupling[name]
                if "history" in held:
                    history = held.history
                    rows = history.shape[0] - (case["steps"] if case["option"] == "preallocated" else 0)
                    held.history = history.at[:rows].set(jnp.broadcast_to(x0[:1], (rows, *history.shape[1:])))
        else:
            state = x0
        new.initial_state = state
        return new

    def one(x0):
        return solve(start(x0)).ys

    compiled = jax.jit(jax.vmap(one) if case["runs"] > 1 else one)
    states = initial.transpose(1, 0, 2) if case["runs"] > 1 else initial[:, 0]

    def run():
        return jax.block_until_ready(compiled(states))

    def trajectory(ys):
        return np.asarray(ys).reshape(case["runs"], case["steps"], -1, weights.shape[0])[:, :, 0]

    return run, trajectory


if __name__ == "__main__":
    serve(build, {"tvboptim": version("tvboptim"), "jax": version("jax")})
