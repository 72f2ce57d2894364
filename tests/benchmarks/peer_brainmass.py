"""The benchmark's network in brainmass. Runs in an environment that has it; bench_peers.py starts it.

``brainmass.Simulator.run`` compiles anew at every call, so this calls the same loop compiled once: set the states, then
``for_loop`` over ``network.update``. Runs at once are ``brainstate.transform.vmap2`` over initial states, because ``batch_size``
fails for a delayed network. The trajectory is of x alone.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version

import brainmass
import brainstate
import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
from peer_protocol import serve

warnings.filterwarnings("ignore", message=r"(?s).*is written with a batched value")
METHODS = {"euler": "euler", "heun": "rk2"}


def build(case: dict):
    data = np.load(case["file"])
    weights, initial = data["weights"], jnp.asarray(data["initial"])
    dt = case["dt"] * u.ms
    delayed = {"distance": data["distances"], "speed": case["speed"]} if case["delayed"] else {}
    with brainstate.environ.context(dt=dt):
        node = brainmass.HopfStep(weights.shape[0], a=case["a"], w=case["w"], beta=1.0, method=METHODS[case["method"]])
        network = brainmass.Network(node, conn=weights, coupling="diffusive", coupled_var="x", k=case["k"], delay_init=0.0, **delayed)
        brainstate.nn.init_all_states(network)
    states = {str(path[-1]): state for path, state in network.states().items()}
    past, pointer = states["history"].value.shape, states["write_ptr"].value

    def step(i):
        with brainstate.environ.context(i=i, t=i * dt):
            network.update()
        return node.x.value

    def one(x, y):
        node.x.value, node.y.value = x, y
        states["history"].value = jnp.broadcast_to(x, past)
        states["write_ptr"].value = pointer
        return brainstate.transform.for_loop(step, np.arange(case["steps"]))

    many = case["runs"] > 1
    compiled = brainstate.transform.jit(lambda x, y: brainstate.transform.vmap2(one)(x, y)) if many else brainstate.transform.jit(one)
    x, y = initial if many else initial[:, 0]

    def run():
        with brainstate.environ.context(dt=dt):
            return jax.block_until_ready(compiled(x, y))

    return run, lambda xs: np.asarray(xs).reshape(case["runs"], case["steps"], -1)


if __name__ == "__main__":
    serve(build, {"brainmass": version("brainmass"), "jax": version("jax")})
