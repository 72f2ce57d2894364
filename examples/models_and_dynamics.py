"""Models and dynamics: the catalogue, a bifurcation, a limit cycle in its phase plane, two bistable models.

Takes some seconds; writes ``bifurcation.png``, ``fitzhugh_nagumo.png``, ``wilson_cowan.png`` and ``montbrio.png`` into the working folder.
"""

import brainunit as u
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import xmass as xm


def hopf_amplitude() -> xr.DataArray:
    """Peak-to-peak amplitude of a Hopf oscillator against its bifurcation parameter: the sweep is one run."""
    simulator = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1 * u.ms)
    sweep = xr.Dataset({"a": ("a", np.linspace(-0.2, 0.4, 13))})
    x = simulator.run(400 * u.ms, sweep, monitors=["x"], transient=200 * u.ms, initial={"x": 0.1}).x
    return (x.max("time") - x.min("time")).squeeze("region").rename("amplitude")


def fitzhugh_nagumo(current: float = 1.0) -> xr.Dataset:
    """A FitzHugh-Nagumo node with a constant input."""
    simulator = xm.Simulator(xm.FitzHughNagumoStep(), dt=0.1 * u.ms)
    run = simulator.run(400 * u.ms, monitors=["V", "w"], transient=100 * u.ms, inputs={"V": current}, initial={"V": 0.0, "w": 0.0})
    return run.squeeze("region")


def period_of(x: xr.DataArray) -> float:
    """Mean time between upward crossings of the middle of its range [ms], each interpolated between two samples."""
    level, t = float(x.max() + x.min()) / 2, x.time.values
    y = x.values.astype(float) - level
    up = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    crossings = t[up] - y[up] * (t[up + 1] - t[up]) / (y[up + 1] - y[up])
    return float(np.diff(crossings).mean())


def wilson_cowan() -> xr.Dataset:
    """A Wilson-Cowan node from two initial rates: the start is a parameter with a dim, like any other."""
    start = xr.DataArray([0.1, 0.3], dims="start", coords={"start": [0.1, 0.3]})
    return xm.Simulator(xm.WilsonCowanStep(), dt=0.1 * u.ms).run(60 * u.ms, initial={"rE": start}).squeeze("region")


def montbrio(pulse: xm.stimuli.Stimulus, J: list[float]) -> xr.Dataset:
    """A population of spiking neurons from rest, with a current pulse, for several synaptic weights J."""
    simulator = xm.Simulator(xm.MontbrioPazoRoxinStep(Delta=1.0, tau=1 * u.ms, eta=-5.0), dt=0.01 * u.ms)
    sweep = xr.Dataset({"J": ("J", J)})
    return simulator.run(120 * u.ms, sweep, inputs={"I": pulse}, initial={"r": 0.05, "v": 0.02}).squeeze("region")


def main() -> None:
    # 1. the catalogue: every model, what family it belongs to and what it is for
    records = xm.list_models()
    print(records.to_table())
    for family in ("phenomenological", "physiological", "network"):
        print(f"{family}: {', '.join(r.name for r in records if r.category == family)}")

    # 2. the Hopf bifurcation. Beyond a = 0 the cycle has the radius sqrt(a); at a = 0 itself the decay is slow, not exponential
    amplitude = hopf_amplitude()
    _, ax = plt.subplots(layout="constrained")
    amplitude.plot(ax=ax, marker="o", linestyle="none", label="simulated")
    fine = np.linspace(0, 0.4, 200)
    ax.plot(fine, 2 * np.sqrt(fine), label="exact, 2 sqrt(a)")
    ax.set(title="Hopf bifurcation", xlabel="a [1/ms]", ylabel="peak-to-peak amplitude of x")
    ax.legend()
    plt.savefig("bifurcation.png")
    print("a = 0.2:", round(float(amplitude.sel(a=0.2, method="nearest")), 4), "exact", round(2 * np.sqrt(0.2), 4))

    # 3. FitzHugh-Nagumo with an input of 1 per ms: a closed loop in the phase plane
    run = fitzhugh_nagumo()
    _, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(2, 1), layout="constrained")
    run.V.plot(ax=left, label="V")
    run.w.plot(ax=left, label="w")
    left.set(title="FitzHugh-Nagumo, input 1 per ms", ylabel="V, w")
    left.legend()
    right.plot(run.V, run.w)
    right.set(xlabel="V", ylabel="w", title="phase plane")
    plt.savefig("fitzhugh_nagumo.png")
    print(f"V from {float(run.V.min()):.4f} to {float(run.V.max()):.4f}, period {period_of(run.V):.2f} ms")

    # 4. Wilson-Cowan is bistable: where it ends depends on where it starts
    rates = wilson_cowan()
    _, axes = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained", sharey=True)
    for ax, (start, one) in zip(axes, rates.groupby("start"), strict=True):
        one.rE.squeeze().plot(ax=ax, label="rE")
        one.rI.squeeze().plot(ax=ax, label="rI")
        ax.set(title=f"from rE = {start:g}", ylabel="rate")
        ax.legend()
    plt.savefig("wilson_cowan.png")
    print("ends at", rates[["rE", "rI"]].isel(time=-1).to_dataframe()[["rE", "rI"]].round(5).to_dict("index"))

    # 5. Montbrio-Pazo-Roxin: a pulse of 20 ms. With J = 14 the population falls back, with 15 and 21 it stays active.
    # Rates count in 1 / tau and times in tau. The run has tau = 1 ms; at the tau = 10 ms of neurons, r per ms times 100 is a rate in Hz.
    pulse = xm.stimuli.pulse(3.0, onset=20 * u.ms, width=20 * u.ms)
    population = montbrio(pulse, [14.0, 15.0, 21.0])
    rate = (100 * population.r).assign_coords(time=10 * population.time).assign_attrs(units="Hz", long_name="rate")
    _, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
    rate.plot.line(x="time", ax=ax)
    ax.axvspan(200, 400, color="0.9", zorder=0)
    ax.set(title="Montbrio-Pazo-Roxin at tau = 10 ms, a pulse of 200 ms", xlabel="time [ms]")
    plt.savefig("montbrio.png")
    for t in (19.9, 119.9):
        print(f"r per ms at {t:g} ms of tau = 1 ms:", population.r.sel(time=t, method="nearest").values)


if __name__ == "__main__":
    main()
