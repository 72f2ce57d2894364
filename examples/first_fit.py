"""Fit your first subject: the coupling of a Wong-Wang network, from one recording, with figures. About a minute on two cores.

`python first_fit.py` uses the embedded example cohort; `python first_fit.py --data subject.nc` your own subject: a Dataset with `weights`
(region, region_other) and `bold` (time, region). Writes `first_fit.png`.
"""

from __future__ import annotations

import argparse

import brainunit as u
import matplotlib.pyplot as plt
import xarray as xr

import xmass as xm

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", help="a subject; by default S1 of the embedded cohort")
parser.add_argument("--steps", type=int, default=10, help="generations of the search")
options = parser.parse_args()

# one subject: a connectome and a recording, regions by label --------------------------------------------------------------
subject = xr.open_dataset(options.data) if options.data else xm.datasets.load_dataset("example_cohort").sel(subject="S1")
subject = subject.assign(weights=xm.normalize(subject.weights, "max"), bold=xm.preprocess(subject.bold))
limit = float(xm.critical_coupling(subject.weights))
print(f"{subject.sizes['region']} regions, {subject.bold.sizes['time']} volumes; the network is near rest below G = {limit:.3f}")

# the model, and what is searched: the coupling, and the noise; the inhibition follows from the coupling --------------------
node = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
network = xm.Network(node, subject[["weights"]], coupling=xm.AdditiveCoupling(source="S_e", target="coupling"))
simulator = xm.Simulator(network, dt=1.0 * u.ms)
# FC is made inside the run, with the preprocessing of the recording: its linear trends removed
tr = float(subject.bold.time.diff("time")[0]) * u.second
bold = xm.BOLDSignal(of="S_e", tr=tr)
run = dict(
    duration=60 * u.second + 300 * tr,
    transient=60 * u.second,
    monitors={"bold": bold, "fc": xm.FunctionalConnectivity(of=bold, detrend="linear")},
    seed=11,
)
fitter = xm.Fitter(
    simulator,
    objective=xm.objectives.fc_rmse("fc", "bold"),
    backend="cma",
    search={
        "coupling.k": xm.Param(0.5 * limit, bounds=(0.0, 1.3 * limit)),
        "noise_e.sigma": xm.Param(0.01, bounds=(0.002, 0.03), transform="log"),
    },
    derive={
        "J_i": lambda q: xm.inhibition_control(subject, q["coupling.k"]),
        "noise_i.sigma": lambda q: q["noise_e.sigma"],
    },
    run=run,
)
fit = fitter.fit(subject[["bold"]], n_steps=options.steps, seed=0, predict=True)
print(f"G = {float(fit['coupling.k']):.3f}, sigma = {float(fit['noise_e.sigma']):.4f}, FC differs by {float(fit.best_loss):.3f} (rms)")

# how sure: the loss over the coupling, everything else at its best: a sweep ------------------------------------------------
around = xr.DataArray(limit * xr.DataArray([0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2], dims="G"), dims="G")
params = xr.Dataset(
    {
        "coupling.k": around,
        "J_i": xm.inhibition_control(subject, around),
        "noise_e.sigma": fit["noise_e.sigma"],
        "noise_i.sigma": fit["noise_i.sigma"],
    }
)
profile = xm.compare(
    simulator.run(params=params, **run), subject[["bold"]], [xm.objectives.fc_rmse("fc", "bold"), xm.objectives.fc_corr("fc", "bold")]
)

# figures -------------------------------------------------------------------------------------------------------------------
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 3.9), layout="constrained")
xm.viz.plot_fit(fit, ax=left, title="smallest loss of every generation")
xm.viz.plot_comparison(fit.fc, xm.functional_connectivity(subject.bold), kind="scatter", ax=middle, title="FC of every pair of regions")
right.plot(around, profile.fc_rmse, "o-", color="black", ms=4)
right.axvline(float(fit["coupling.k"]), color="#c8102e", lw=1)
right.set(xlabel="coupling.k", ylabel="fc_rmse", title="the loss over the coupling")
figure.savefig("first_fit.png", dpi=120)
print(f"r = {float(xm.compare(fit[['fc']], subject[['bold']], xm.objectives.fc_corr('fc', 'bold')).fc_corr):.2f}; see first_fit.png")
