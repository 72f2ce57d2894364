"""The training benchmarks in BrainPy 2.8.0. Runs in an environment that has it; bench_training.py starts it.

Data, initial weights and hyper-parameters come from the other side, so that the losses can be compared update by update. What a
request for the time does is one more ``fit`` with the compiled trainer, from the weights that are there.
"""

from __future__ import annotations

from importlib.metadata import version

import brainpy as bp
import brainpy.math as bm
import jax
import numpy as np
from peer_protocol import serve


def reservoir(case: dict):
    """Delays and their products of the Lorenz system, ridge regression by RidgeTrainer, prediction of the rest."""
    data = np.load(case["file"])
    train, target, test = (bm.asarray(data[name], dtype=bm.float32)[None] for name in ("train", "target", "test"))

    class Net(bp.DynamicalSystem):
        def __init__(self) -> None:
            super().__init__()
            self.features = bp.dyn.NVAR(3, delay=4, order=2, stride=5, mode=bm.batching_mode)
            self.readout = bp.dnn.Dense(self.features.num_out, 3, mode=bm.training_mode)

        def update(self, u):
            return self.readout(self.features(u))

    with bm.environment(bm.batching_mode):
        net = Net()
        trainer = bp.RidgeTrainer(net, alpha=case["alpha"], progress_bar=False)

    def run():
        net.reset(1)
        trainer.fit([train, target])
        return jax.block_until_ready(bm.as_jax(trainer.predict(test)))

    return run, lambda said: np.asarray(said)[0]


def trained(case: dict, net, weights: dict, loss, optimizer, batches: list):
    """What trains a network for some epochs, and the losses of its first fit."""
    for place, name in weights.items():
        variable = net
        for part in place.split("."):
            variable = getattr(variable, part)
        variable.value = bm.asarray(np.load(case["file"])[name], dtype=bm.float32)
    trainer = bp.BPTT(net, loss_fun=loss, optimizer=optimizer, progress_bar=False)
    losses: list[np.ndarray] = []

    def run():
        trainer.fit(batches, num_epoch=case["epochs"])
        if not losses:
            losses.append(np.asarray(trainer.get_hist_metric(phase="fit", metric="loss", which="detailed")))
        return jax.block_until_ready([bm.as_jax(v.value) for v in net.train_vars().unique().values()])

    return run, lambda _: losses[0]


def recurrent(case: dict):
    """The white-noise task: RNN of 100 units and a linear layer, mean square error and a penalty on all weights."""
    data = np.load(case["file"])
    cell = bp.dyn.GRUCell if case["name"] == "GRU" else bp.dyn.RNNCell

    class Net(bp.DynamicalSystem):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell(1, 100, train_state=case["name"] == "RNN")
            self.readout = bp.dnn.Dense(100, 1)

        def update(self, u):
            return self.readout(self.cell(u))

    with bm.training_environment():
        net = Net()
    variables = net.train_vars().unique()

    def loss(said, target):
        squares = bp.losses.mean_squared_error(said, target)
        return squares + case["l2"] * sum((v**2).sum() for v in variables.values())

    rate = bp.optim.ExponentialDecayLR(lr=case["rate"], decay_steps=1, decay_rate=case["decay"])
    optimizer = bp.optim.Adam(lr=rate, train_vars=variables, eps=case["eps"])
    x, y = (bm.asarray(data[name], dtype=bm.float32)[..., None] for name in ("input", "target"))
    size = case["batch"]
    batches = [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
    names = {"cell.Wi": "rnn.input", "cell.Wh": "rnn.recurrent", "readout.W": "linear.weight"} if case["name"] != "GRU" else {}
    return trained(case, net, names, loss, optimizer, batches)


def spiking(case: dict):
    """Random spikes with random labels: synapse, 10 units with a hard reset, synapse, leaky readout; cross-entropy of its maximum."""
    data = np.load(case["file"])

    class Net(bp.DynamicalSystem):
        def __init__(self) -> None:
            super().__init__()
            self.into = bp.dnn.Dense(100, 10, b_initializer=None)
            self.synapse = bp.dyn.Expon(10, tau=10.0)
            unit = dict(tau=10.0, V_rest=0.0, V_reset=0.0, V_th=1.0)
            self.unit = bp.dyn.Lif(10, **unit, spk_reset="hard", detach_spk=True, spk_fun=bm.surrogate.InvSquareGrad(alpha=100.0))
            self.out = bp.dnn.Dense(10, 2, b_initializer=None)
            self.late = bp.dyn.Expon(2, tau=10.0)
            self.readout = bp.dyn.Integrator(2, tau=5.0)

        def update(self, spikes):
            seen = self.unit.spike.value  # those of the step before
            self.unit(self.synapse(self.into(spikes)))
            return self.readout(self.late(self.out(seen)))

    class Whole(bp.DynamicalSystem):
        """The same of the neuron and synapse models that the published example takes, initialised from the same file."""

        def __init__(self) -> None:
            super().__init__()
            self.source = bp.neurons.InputGroup(100)
            self.source.spike = bm.Variable(bm.zeros((1, 100)), batch_axis=0)  # which its synapses ask for
            self.unit = bp.neurons.LIF(10, tau=10.0, V_rest=0.0, V_reset=0.0, V_th=1.0)
            self.readout = bp.neurons.LeakyIntegrator(2, tau=5.0)
            first, second = (bm.asarray(data[name], dtype=bm.float32) for name in ("lif.weight", "leakyreadout.weight"))
            current = dict(conn=bp.conn.All2All(), tau=10.0)
            self.into = bp.synapses.Exponential(self.source, self.unit, output=bp.synouts.CUBA(), g_max=first, **current)
            self.out = bp.synapses.Exponential(self.unit, self.readout, output=bp.synouts.CUBA(), g_max=second, **current)

        def update(self, spikes):
            self.into(spikes)
            self.out()
            self.unit()
            self.readout()
            return self.readout.V.value

    whole = case["name"] == "spiking"
    with bm.environment(mode=bm.training_mode, dt=case["dt"]):
        net = Whole() if whole else Net()

    def loss(said, target):
        return bp.losses.cross_entropy_loss(bm.max(said, axis=1), target)

    bm.set_dt(case["dt"])
    optimizer = bp.optim.Adam(lr=case["rate"], train_vars=net.train_vars().unique())
    batches = [(bm.asarray(data["spike"], dtype=bm.float32), bm.asarray(data["label"]))]
    names = {} if whole else {"into.W": "lif.weight", "out.W": "leakyreadout.weight"}
    return trained(case, net, names, loss, optimizer, batches)


BUILD = {"NG-RC": reservoir, "RNN": recurrent, "RNN, zero start": recurrent, "GRU": recurrent, "spiking": spiking, "spiking, lean": spiking}

if __name__ == "__main__":
    serve(lambda case: BUILD[case["name"]](case), {"brainpy": version("brainpy"), "jax": version("jax")})
