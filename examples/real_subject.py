"""From one subject's connectome and recording to a model of its resting state, in small steps.

``python real_subject.py`` takes a subject of the synthetic cohort, ``python real_subject.py FILE.nc`` a recording of your own, with the
variables weights, distances and bold. The grids are coarse, so that it takes about a minute; ``python -m xmass demo`` has finer ones.
Figures go to the working folder.
"""

import sys

import brainunit as u
import matplotlib
import numpy as np
import xarray as xr

import xmass as xm
from xmass.io.netcdf import open_subjects

matplotlib.use("agg")

# 1. load; the same preprocessing on both sides, kept in attrs ----------------------------------------------------
cohort = open_subjects(sys.argv[1]) if len(sys.argv) > 1 else xm.datasets.load_dataset("example_cohort")
subject = xm.normalize(cohort.isel(subject=0), "max")
subject["bold"] = xm.preprocess(subject.bold)
recorded_fc = xm.functional_connectivity(subject.bold)
radius = float(xm.spectral_radius(subject.weights))
print(f"{subject.subject.item()}: {subject.sizes['region']} regions, spectral radius of the weights {radius:.3f}")
print("preprocessed:", subject.bold.attrs["preprocess"])

# 2. Wong-Wang E-I: rates without noise, with and without inhibition control -----------------------------------------
quiet = xm.Network(xm.WongWangExcInhStep(), subject, coupling=xm.AdditiveCoupling(source="S_e", target="coupling"))
G = xr.DataArray([0.15, 0.4], dims="G", coords={"G": [0.15, 0.4]})
rest = dict(monitors={"rate": xm.TemporalAverage(of="H_e", period=1 * u.second)}, transient=4 * u.second)
fixed = xm.Simulator(quiet, dt=1 * u.ms).run(5 * u.second, xr.Dataset({"coupling.k": G}), **rest)
controlled = xr.Dataset({"coupling.k": G, "J_i": xm.inhibition_control(subject, G)})
steady = xm.Simulator(quiet, dt=1 * u.ms).run(5 * u.second, controlled, **rest)
print("mean rate [Hz] without control", fixed.rate.mean(["rate_time", "region"]).round(1).values.tolist())
print("with control, least and most of all regions", float(steady.rate.min()), float(steady.rate.max()))

# 3. a sweep over coupling and noise, BOLD and FC in the run, stored; two seeds averaged -------------------------------
noise = dict(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
network = xm.Network(xm.WongWangExcInhStep(**noise), subject, coupling=xm.AdditiveCoupling(source="S_e", target="coupling"))
scaled = xr.DataArray([0.3, 0.7, 0.9, 1.0, 1.1, 1.2], dims="G_lmax", coords={"G_lmax": [0.3, 0.7, 0.9, 1.0, 1.1, 1.2]})
sigma = xr.DataArray([0.005, 0.01, 0.015], dims="sigma", coords={"sigma": [0.005, 0.01, 0.015]})
k = scaled / radius
sweep = xr.Dataset({"coupling.k": k, "noise_e.sigma": sigma, "noise_i.sigma": sigma, "J_i": xm.inhibition_control(subject, k)})
tr = float(np.diff(subject.time[:2])[0]) * u.second
bold = xm.BOLDSignal(of="S_e", tr=tr)
seen = {"bold": bold, "fc": xm.FunctionalConnectivity(of=bold, detrend="linear")}
sim = xm.Simulator(network, dt=1 * u.ms)
# at least a minute is left out: the decay of the haemodynamics alone correlates with recordings
done = sim.run_to_zarr("wong_wang.zarr", 500 * tr, sweep, monitors=seen, transient=84 * tr, batch_size=2, seed=0)
simulated = xm.average_fc(done.fc, "batch").compute()

# 4. compare; fc_corr alone likes over-synchronised networks, so it is ranked together with the mean FC ---------------
corr, mean = xm.objectives.fc_corr("fc", "bold"), xm.objectives.mean_fc("fc", "bold")
score = xm.compare(simulated[["fc"]], subject, [corr, mean, xm.objectives.combine(corr, mean, name="score")])
print(score.to_table().round(3).T.to_string())
best = score.score.argmax(...)
xm.viz.plot_sweep(score.score, x="G_lmax", y="sigma").savefig("wong_wang_score.png")
xm.viz.plot_fc_comparison(simulated.fc.isel(best), recorded_fc).savefig("wong_wang_fc.png")
xm.viz.plot_timeseries(done.bold.isel(batch=0, region=[0, 1, 2], **best)).figure.savefig("wong_wang_bold.png")

# 5. slow Hopf: x is the BOLD signal, each region at the frequency of its recording ----------------------------------
couplings = {name: xm.DiffusiveCoupling(source=name, target=name) for name in ("x", "y")}
hopf = xm.Network(xm.HopfStep.resting_fmri(w=xm.intrinsic_frequency(subject.bold)), subject, coupling=couplings)
strength = xr.DataArray([0.05, 0.3, 0.6, 1.0, 2.0, 4.0], dims="G", coords={"G": [0.05, 0.3, 0.6, 1.0, 2.0, 4.0]}, attrs={"units": "1/s"})
slow = xm.Subsample(of="x", period=tr)
runs = xm.Simulator(hopf, dt=tr / 10).run(
    500 * tr,
    xr.Dataset({"coupling.x.k": strength, "coupling.y.k": strength}),
    monitors={"bold": slow, "fc": xm.FunctionalConnectivity(of=slow, detrend="linear")},
    transient=84 * tr,
    batch_size=2,
    seed=0,
)
hopf_fc = xm.average_fc(runs.fc, "batch")
hopf_score = xm.compare(hopf_fc[["fc"]], subject, [corr, mean, xm.objectives.combine(corr, mean, name="score")])
print(hopf_score.fc_corr.round(2).to_series().to_string())
xm.viz.plot_sweep(hopf_score.score, x="G").savefig("hopf_score.png")
xm.viz.plot_fc_comparison(hopf_fc.fc.isel(hopf_score.score.argmax(...)), recorded_fc).savefig("hopf_fc.png")
