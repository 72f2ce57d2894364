"""The public API on one page: nodes, noise, sweeps, networks, cohorts, observables in the run, stores that resume, comparison.

It takes about two minutes on two cores, nearly all of it the two sweeps over a cohort, and leaves ``sweep.zarr`` in the working folder.
"""

import brainunit as u
import matplotlib
import numpy as np
import xarray as xr

import xmass as xm

matplotlib.use("agg")

# one node -------------------------------------------------------------------------------------------------
node = xm.HopfStep(a=0.25, w=0.3)  # frozen; fields are parameters
sim = xm.Simulator(node, dt=0.1 * u.ms)  # method="heun" | "euler" | "rk4" | "exp_euler"
ds = sim.run(200 * u.ms, monitors=["x", "y"], transient=20 * u.ms, initial={"x": 0.1})
print(ds.x.sizes, ds.time.attrs["units"])  # (time, region), ds.time in ms

# noise belongs to the model; trials are a dimension ----------------------------------------------------------
noisy = xm.HopfStep(a=-0.05, w=0.3, noise_x=xm.OUProcess(sigma=0.1, tau=20 * u.ms))
trials = xm.Simulator(noisy, dt=0.1 * u.ms).run(200 * u.ms, monitors=["x"], batch_size=12, seed=2)
print(trials.x.sizes, trials.seed.dims)  # (batch, time, region); trials.seed (batch)

# every parameter, as a Dataset: name, default, unit, meaning ----------------------------------------------
print(xm.Simulator(noisy, dt=0.1 * u.ms).parameters())  # Dataset: a, w, beta, noise_x.sigma, noise_x.tau with attrs

# a sweep is a parameter with a dimension -------------------------------------------------------------------
p = xr.Dataset({"a": ("a", np.linspace(-0.2, 0.4, 13))})
amp = sim.run(400 * u.ms, p, monitors=["x"], transient=200 * u.ms, initial={"x": 0.1}).x
(amp.max("time") - amp.min("time")).plot()  # the bifurcation diagram

# a network ------------------------------------------------------------------------------------------------
sc = xm.datasets.load_dataset("example_connectome")  # Dataset: weights, distances (region, region_other)
net = xm.Network(xm.HopfStep(a=0.2, w=0.3), sc, speed=10 * u.mm / u.ms, coupling=xm.DiffusiveCoupling(k=0.5, source="x", target="x"))
x0 = xr.DataArray(np.random.default_rng(0).normal(0, 0.1, 8), dims="region")
res = xm.Simulator(net, dt=0.1 * u.ms).run(300 * u.ms, monitors=["x"], transient=50 * u.ms, initial={"x": x0})
fc = xm.functional_connectivity(res.x)  # (region, region_other)
print(fc.sizes)

# observables are computed inside the run: no trajectory is kept --------------------------------------------
cohort = xm.datasets.load_dataset("example_cohort")  # weights, distances, bold: each with subject
wong = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
sim2 = xm.Simulator(xm.Network(wong, cohort, coupling=xm.AdditiveCoupling(source="S_e", target="coupling")), dt=1 * u.ms)
k = xr.DataArray(np.linspace(0.1, 0.5, 16), dims="k")  # inhibition that keeps every region near 3 Hz: a parameter like any other
sig = xr.DataArray([0.005, 0.01], dims="sigma")
p2 = xr.Dataset({"coupling.k": k, "noise_e.sigma": sig, "noise_i.sigma": sig, "J_i": xm.inhibition_control(cohort, k)})
bold = xm.BOLDSignal(of="S_e", tr=0.72 * u.second)
seen = {"bold": bold, "fc": xm.FunctionalConnectivity(of=bold)}
out = sim2.run(6 * u.minute, p2, monitors=seen, transient=1 * u.minute)  # bold: (k, sigma, subject, bold_time, region)
print(out.bold.sizes)

# out of core: lazy, or to a store that survives a crash ----------------------------------------------------
lazy = sim2.run(6 * u.minute, p2, monitors=seen, transient=1 * u.minute, chunks={"k": 8})  # dask-backed, nothing has run
print(lazy.bold.chunksizes["k"])
done = sim2.run_to_zarr("sweep.zarr", 6 * u.minute, p2, monitors=seen, transient=1 * u.minute, chunks={"k": 8}, seed=0)  # resumes if killed

# compare with recordings, fit to them ----------------------------------------------------------------------
score = xm.compare(done, cohort, [xm.objectives.fc_corr("fc", "bold"), xm.objectives.fcd_ks()])  # dims k, sigma, subject
print(score.fc_corr.sizes)
print(score.to_table())
fit = xm.Fitter(
    sim2,
    objective=xm.objectives.fc_corr(),
    backend="grad",
    search={"coupling.k": xm.Param(0.2, bounds=(0, 0.5))},
    derive={"J_i": lambda q: xm.inhibition_control(cohort, q["coupling.k"])},  # follows what is fitted
    run=dict(duration=2 * u.minute, transient=1 * u.minute, monitors={"bold": bold}),
).fit(cohort, n_steps=50)
print(fit["coupling.k"], fit.loss)  # (subject), (subject, step)
print(sim2.run(1 * u.minute, fit[["coupling.k", "J_i"]], monitors=["S_e"]).sizes)  # its parameters are a parameter Dataset again
