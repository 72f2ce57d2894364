"""The benchmark's fit in brainmass. Runs in an environment that has it and nevergrad; bench_population.py starts it.

``prediction`` of the case is "run", ``brainmass.Simulator.run`` as its documentation writes it, which compiles at every call, or
"compiled", the same loop compiled once. brainmass evaluates the candidates of a generation one by one on either way.
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

warnings.filterwarnings("ignore")


def build(case: dict):
    data = np.load(case["file"])
    weights, (x0, y0), target = data["weights"], jnp.asarray(data["initial"]), jnp.asarray(data["target"])
    dt, steps = case["dt"] * u.ms, len(data["target"])
    brainstate.environ.set(dt=dt)
    a, k = (brainstate.nn.Param(value, t=brainstate.nn.SigmoidT(*case["bounds"][n])) for n, value in case["start"].items())
    node = brainmass.HopfStep(weights.shape[0], a=a, w=case["w"], beta=1.0, method="rk2")
    network = brainmass.Network(node, conn=weights, coupling="diffusive", coupled_var="x", k=k, delay_init=0.0)
    brainstate.nn.init_all_states(network)
    states = {str(path[-1]): state for path, state in network.states().items() if str(path[-1]) in ("history", "write_ptr")}
    past, pointer = states["history"].value.shape, states["write_ptr"].value

    def step(i):
        with brainstate.environ.context(i=i, t=i * dt):
            network.update()
        return node.x.value

    def loop(values_a, values_k):
        a.set_value(values_a)
        k.set_value(values_k)
        return brainstate.transform.for_loop(step, np.arange(steps))

    compiled = brainstate.transform.jit(loop)

    def predict(_):
        node.x.value, node.y.value = x0, y0
        states["history"].value, states["write_ptr"].value = jnp.broadcast_to(x0, past), pointer
        if case["prediction"] == "compiled":
            return compiled(a.value(), k.value())
        found = brainmass.Simulator(network, dt=dt).run(steps * dt, monitors={"x": lambda _: node.x.value}, init_states=False)
        return found["x"]

    def run():
        options = {"method": "DE", "n_sample": case["candidates"], "seed": 0}
        objective = brainmass.objectives.timeseries_rmse()
        fitter = brainmass.Fitter(network, options, objective=objective, predict=predict, backend="nevergrad")
        return fitter.fit(target, n_steps=case["generations"])

    def losses(_):
        found = []
        for value_a, value_k in data["points"]:
            a.set_value(value_a)
            k.set_value(value_k)
            found.append(float(brainmass.objectives.timeseries_rmse()(predict(network), target)))
        return np.array(found)

    return run, losses


if __name__ == "__main__":
    serve(build, {"brainmass": version("brainmass"), "jax": jax.__version__})
