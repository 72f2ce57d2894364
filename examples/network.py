"""Building a network: a connectome, coupled oscillators with delays, functional connectivity, noise; then the same on a real connectome.

Takes some seconds; writes four figures for each connectome into the working folder. The real one is The Virtual Brain's of 76 regions if
the folder ``shared/data`` lies beside the repository, else a synthetic subject of 68 regions that comes with xmass.
"""

from pathlib import Path

import brainunit as u
import matplotlib

matplotlib.use("agg")
import numpy as np
import xarray as xr

import xmass as xm

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw" / "connectivity_76.zip"


def oscillators(connectome: xr.Dataset, k: float = 0.5) -> xr.Dataset:
    """Hopf oscillators on a connectome, diffusive coupling through x, delays at 10 mm/ms."""
    network = xm.Network(
        xm.HopfStep(a=0.2, w=0.3),
        connectome,
        speed=10 * u.mm / u.ms,
        coupling=xm.DiffusiveCoupling(k=k, source="x", target="x"),
    )
    # the rest state is exactly zero, and a network without noise would stay there
    start = xr.DataArray(np.random.default_rng(0).normal(0, 0.1, connectome.sizes["region"]), dims="region")
    return xm.Simulator(network, dt=0.1 * u.ms).run(300 * u.ms, monitors=["x"], transient=50 * u.ms, initial={"x": start})


def noisy_rates(connectome: xr.Dataset) -> xr.Dataset:
    """Wilson-Cowan regions with Ornstein-Uhlenbeck noise, coupled through their excitatory rates."""
    network = xm.Network(
        xm.WilsonCowanStep(noise_rE=xm.OUProcess(sigma=0.1, tau=50 * u.ms)),
        connectome,
        speed=10 * u.mm / u.ms,
        coupling=xm.AdditiveCoupling(k=0.1, source="rE", target="rE"),
    )
    return xm.Simulator(network, dt=0.1 * u.ms).run(300 * u.ms, monitors=["rE"], seed=0)


def frequency(x: xr.DataArray) -> xr.DataArray:
    """Cycles per second of each region [Hz]: upward crossings of zero after the first 100 ms, over the time between first and last."""
    t, y = x.sel(time=slice(100, None)).time.values, x.sel(time=slice(100, None)).transpose("region", "time").values
    up = [t[1:][(one[:-1] < 0) & (one[1:] >= 0)] for one in y]
    found = [1000 * (at.size - 1) / (at[-1] - at[0]) if at.size > 1 else np.nan for at in up]
    return xr.DataArray(found, dims="region", coords={"region": x.region}, name="frequency", attrs={"units": "Hz"})


def real_connectome() -> xr.Dataset:
    """The Virtual Brain's connectome with a spectral radius of 1, where it is; else a synthetic one."""
    if REAL.exists():
        return xm.normalize(xm.io.read_connectome(REAL), "spectral")
    print(f"there is no {'/'.join(REAL.parts[-4:])} beside the repository: a subject of example_cohort instead, which is synthetic")
    return xm.datasets.load_dataset("example_cohort").sel(subject="S1")


def page(connectome: xr.Dataset, name: str) -> None:
    # 1. the connectome: labels, weights, fibre lengths in mm
    regions = connectome.region.values
    print(f"{name}: {regions.size} regions {regions[0]} to {regions[-1]}, fibres up to {float(connectome.distances.max()):.0f} mm")
    xm.viz.plot_connectome(connectome, view="matrices", title=name).savefig(f"{name}_connectome.png")

    # 2. the network, 300 ms of which the first 50 are left out
    run = oscillators(connectome)
    print("oscillators:", dict(run.x.sizes))
    xm.viz.plot_timeseries(run.x).figure.savefig(f"{name}_series.png")

    # 3. functional connectivity. A node by itself turns at w / 2π = 48 Hz, twelve times in 250 ms; coupling with delays slows it down.
    # This is the FC of a fast oscillation over a few cycles. It is not the FC of BOLD, which takes minutes: see real_subject.py
    fc = xm.functional_connectivity(run.x)
    off = fc.where(fc.region != fc.region_other)
    alone, coupled = (float(frequency(oscillators(connectome, k).x).median()) for k in (0.0, 0.5))
    print(f"alone {alone:.1f} Hz, coupled {coupled:.1f} Hz (median of the regions)")
    print(f"FC between different regions from {float(off.min()):.3f} to {float(off.max()):.3f}, mean {float(off.mean()):.3f}")
    xm.viz.plot_functional_connectivity(fc, title="FC of x over 250 ms").figure.savefig(f"{name}_fc.png")

    # 4. a noisy network of another model
    noisy = noisy_rates(connectome)
    print("noisy rates:", dict(noisy.rE.sizes), f"sd {float(noisy.rE.std()):.3f}")
    xm.viz.plot_timeseries(noisy.rE).figure.savefig(f"{name}_noisy.png")


def main() -> None:
    page(xm.datasets.load_dataset("example_connectome"), "example")
    # 5. another connectome is another line
    page(real_connectome(), "real")


if __name__ == "__main__":
    main()
