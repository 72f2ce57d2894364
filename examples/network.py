"""Building a network: a connectome, coupled oscillators with delays, functional connectivity; then noise, then another connectome.

Takes some seconds; writes ``connectome.png``, ``series.png``, ``fc.png`` and ``noisy.png`` into the working folder.
"""

import brainunit as u
import matplotlib
import numpy as np
import xarray as xr

import xmass as xm

matplotlib.use("agg")


def oscillators(connectome: xr.Dataset) -> xr.Dataset:
    """Hopf oscillators on a connectome, diffusive coupling through x, delays at 10 mm/ms."""
    network = xm.Network(
        xm.HopfStep(a=0.2, w=0.3),
        connectome,
        speed=10 * u.mm / u.ms,
        coupling=xm.DiffusiveCoupling(k=0.5, source="x", target="x"),
    )
    # the rest state is exactly zero, and a network without noise would stay there
    start = xr.DataArray(np.random.default_rng(0).normal(0, 0.1, connectome.sizes["region"]), dims="region")
    simulator = xm.Simulator(network, dt=0.1 * u.ms)
    return simulator.run(300 * u.ms, monitors=["x"], transient=50 * u.ms, initial={"x": start})


# 1. the connectome: labels, symmetric weights without self-connections, fibre lengths in mm
connectome = xm.datasets.load_dataset("example_connectome")
print(connectome)
xm.viz.plot_connectome(connectome).savefig("connectome.png")

# 2. the network
run = oscillators(connectome)
assert dict(run.x.sizes) == {"time": 2500, "region": 8}
xm.viz.plot_timeseries(run.x).figure.savefig("series.png")

# 3. functional connectivity: of a 48 Hz oscillation over 250 ms, twelve cycles. It is not the FC of a BOLD signal: all regions lock, and
# it is close to 1 everywhere.
fc = xm.functional_connectivity(run.x)
xm.viz.plot_functional_connectivity(fc).figure.savefig("fc.png")
print("smallest and mean FC", round(float(fc.min()), 3), round(float(fc.where(fc.region != fc.region_other).mean()), 3))

# 4. a noisy Wilson-Cowan network, coupled through rE
noise = xm.OUProcess(sigma=0.1, tau=50 * u.ms)
wilson_cowan = xm.Network(
    xm.WilsonCowanStep(noise_rE=noise), connectome, speed=10 * u.mm / u.ms, coupling=xm.AdditiveCoupling(k=0.1, source="rE", target="rE")
)
noisy = xm.Simulator(wilson_cowan, dt=0.1 * u.ms).run(300 * u.ms, monitors=["rE"], seed=0)
xm.viz.plot_timeseries(noisy.rE).figure.savefig("noisy.png")

# 5. another connectome is another line: one subject of a cohort, 68 regions
subject = xm.datasets.load_dataset("example_cohort").sel(subject="S1")
print(oscillators(subject).x.sizes)
