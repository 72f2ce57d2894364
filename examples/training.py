"""Train dynamical systems on series and tasks: a next-generation reservoir, a recurrent, a spiking and an oscillator network.

`python training.py` takes about three minutes on two cores, most of them for the spiking network at steps of 0.1 ms. Writes
`training_series.png` and `training_networks.png`.
"""

from __future__ import annotations

import argparse
import time

import jax
import matplotlib.pyplot as plt
import optax
import xarray as xr

import xmass as xm

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--spiking-updates", type=int, default=1500, help="updates of the spiking network")
options = parser.parse_args()
t = xm.training

# 1. Lorenz with next-generation reservoir computing: 1, 10 and 100 steps ahead --------------------------------------------
lorenz = xm.datasets.lorenz(dt=0.01, duration=100.0)
names, later = ["x", "y", "z"], ["x_ahead", "y_ahead", "z_ahead"]
train = t.forecast_pairs(lorenz.sel(time=slice(20, 80)), horizon=[1, 10, 100])
test = t.forecast_pairs(lorenz.sel(time=slice(80, 100)), horizon=[1, 10, 100])
reservoir = t.NVAR(delay=4, stride=5, orders=2).fit(train, x=names, y=later, readout=t.Ridge(alpha=1e-6))
ahead = reservoir.predict(test)
error = ((ahead - test)[later] ** 2).mean("time").to_dataarray().mean("variable")
for value in error:
    print(f"Lorenz, {int(value.horizon):3d} steps ahead: mean squared error {float(value):.2g}")

# 2. a recurrent network with a trained initial state integrates white noise ----------------------------------------------
source = xm.datasets.white_noise_generator(n_trials=128)  # fresh trials for every update
held_out = xm.datasets.white_noise_task(n_trials=512, seed=1)
integrator = t.Trainer(
    t.Sequential(t.RNN(100, train_initial=True), t.Linear()),
    loss={"mse": t.MeanSquaredError(), "l2": t.L2(2e-4)},
    optimizer=t.adam(eps_hat=0.1),
    learning_rate=optax.exponential_decay(0.025, 1, 0.99975),
)
began = time.perf_counter()
integration = integrator.fit(source, x="input", y="target", steps=3000, validation=held_out, seed=0)
last = integration.isel(epoch=-1)
print(
    f"white noise: loss {float(last.loss.sel(split='train')):.4f} after 3000 updates, of which the error is "
    f"{float(last['loss.mse'].sel(split='validation')):.1e}; {time.perf_counter() - began:.0f} s"
)

# 3. a spiking network learns random spike trains by heart ----------------------------------------------------------------
spikes = xm.datasets.random_spike_trains()
scaled = jax.nn.initializers.variance_scaling(20.0, "fan_in", "truncated_normal")
spiking = t.Trainer(
    t.Sequential(
        t.LIF(10, tau=10.0, synapse=t.Exponential(10.0), init=scaled),
        t.LeakyReadout(tau=5.0, synapse=t.Exponential(10.0), latency=1, init=scaled),
        t.OverTime("max"),
    ),
    loss=t.CrossEntropy(),
    learning_rate=2e-3,
    metrics={"accuracy": t.Accuracy()},
)
began = time.perf_counter()
memorised = spiking.fit(spikes, x="spike", y="label", steps=options.spiking_updates, seed=0, report_every=50)
print(
    f"spikes: {100 * float(spiking.evaluate(spikes).accuracy):.1f} % of the labels known by heart after {options.spiking_updates} "
    f"updates; {time.perf_counter() - began:.0f} s"
)
inside = spiking.predict(spikes.isel(trial=slice(0, 1)), record=["spike", "v"]).isel(trial=0)

# 4. oscillators remember a cue -------------------------------------------------------------------------------------------
trials = xm.datasets.delayed_match_task(n_trials=320, n_steps=8, n_symbols=2, seed=0)
horn = t.Trainer(xm.HORNSeqNetwork(64, alpha=0.2), loss=t.CrossEntropy(), learning_rate=3e-2, metrics={"accuracy": t.Accuracy()})
matched = horn.fit(
    trials.isel(trial=slice(0, 256)),
    x="stimulus",
    y="match",
    epochs=20,
    batch_size=32,
    validation=trials.isel(trial=slice(256, None)),
    seed=xr.DataArray(range(8), dims="seed"),  # eight networks at once
)
final = matched.accuracy.sel(split="validation").isel(epoch=-1)
print(f"delayed match: test accuracy of eight oscillator networks {final.values.round(3).tolist()}")
orbit = horn.predict(trials.isel(trial=slice(0, 1)), record=["x"]).isel(trial=0, seed=0)

# figures -----------------------------------------------------------------------------------------------------------------
figure, axes = plt.subplots(3, 1, figsize=(10, 6), sharex=True, layout="constrained")
for axis, horizon in zip(axes, ahead.horizon.values, strict=True):
    test.x_ahead.sel(horizon=horizon).sel(time=slice(85, 95)).plot(ax=axis, color="0.7", lw=3, label="truth")
    ahead.x_ahead.sel(horizon=horizon).sel(time=slice(85, 95)).plot(ax=axis, color="#c8102e", lw=1, label="prediction")
    axis.set(title=f"Lorenz, {horizon} steps ahead", xlabel="", ylabel="x")
axes[0].legend(loc="upper right")
axes[-1].set_xlabel("time of the input")
figure.savefig("training_series.png", dpi=120)

figure, axes = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
(a, b, c), (d, e, f) = axes
integration.loss.plot.line(x="step", ax=a)
a.set(yscale="log", title="white noise: loss")
shown = held_out.isel(trial=slice(0, 4))
shown.target.plot.line(x="time", ax=d, color="black", add_legend=False)
integrator.predict(shown).target.plot.line(x="time", ax=d, color="#c8102e", ls="--", add_legend=False)
d.set_title("integral (black) and network")
memorised.loss.sel(split="train").plot(x="step", ax=b)
b.set_title("spikes: loss")
inside["lif.v"].plot.line(x="time", ax=e, add_legend=False, lw=0.8)
fired = inside["lif.spike"].stack(event=("time", "lif_unit"))
fired = fired[fired > 0]
e.plot(fired.time, 1.15 + 0.05 * fired.lif_unit, "|", color="black")
e.set_title("membranes of one trial, spikes above")
matched.accuracy.sel(split="validation").plot.line(x="epoch", ax=c, add_legend=False)
c.set_title("delayed match: test accuracy of 8 seeds")
orbit["horn.x"].plot.line(x="time", ax=f, add_legend=False, lw=0.6)
f.set_title("oscillators in one trial")
figure.savefig("training_networks.png", dpi=120)
print("see training_series.png and training_networks.png")
