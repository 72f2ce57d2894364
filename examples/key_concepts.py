"""Key concepts: units, what a model declares, what a run takes and returns, banks and networks, a first fit.

Takes some seconds; writes ``delay.png``, ``outputs.png``, ``network.png`` and ``fit.png`` into the working folder.
"""

from types import SimpleNamespace

import brainunit as u
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import xmass as xm


def two_regions(distance: float, speed: object) -> xr.Dataset:
    """A sends to B over a fibre of some length; A gets a pulse of 1 ms at 5 ms."""
    labels = {"region": ["A", "B"], "region_other": ["A", "B"]}
    onto_from = {"dims": ("region", "region_other"), "coords": labels}  # the row receives, the column sends
    connectome = xr.Dataset(
        {
            "weights": xr.DataArray([[0.0, 0.0], [1.0, 0.0]], **onto_from),
            "distances": xr.DataArray([[0.0, distance], [distance, 0.0]], **onto_from, attrs={"units": "mm"}),
        }
    )
    coupling = xm.AdditiveCoupling(k=1 / u.ms, source="x", target="x")
    network = xm.Network(xm.LinearStep(gamma=-0.5), connectome, speed=speed, coupling=coupling)
    kick = xm.stimuli.pulse(1.0, onset=5 * u.ms, width=1 * u.ms, region=["A"])
    return xm.Simulator(network, dt=0.1 * u.ms).run(20 * u.ms, inputs={"x": kick}, initial={"x": 0.0})


def first_response(x: xr.DataArray) -> dict[str, float]:
    """When each region first leaves zero [ms]; a stamp is the end of a step."""
    return {str(r): float(x.time[np.flatnonzero(x.sel(region=r).values)[0]]) for r in x.region.values}


def refused(call: object) -> str:
    """What a wrong call is answered with."""
    try:
        call()
    except (ValueError, TypeError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("this call should have been refused")


def hopf() -> xm.Simulator:
    """One oscillating node."""
    return xm.Simulator(xm.HopfStep(a=0.25, w=0.3), dt=0.1 * u.ms)


def noisy_bank() -> xr.Dataset:
    """Three regions that are not connected, each with noise of its own."""
    node = xm.HopfStep(a=-0.05, w=0.3, noise_x=xm.OUProcess(sigma=0.1, tau=20 * u.ms))
    return xm.Simulator(node, dt=0.1 * u.ms, regions=["left", "middle", "right"]).run(50 * u.ms, monitors=["x"], seed=1)


def network() -> xr.Dataset:
    """Oscillators on a connectome of eight regions, with delays."""
    connectome = xm.datasets.load_dataset("example_connectome")
    coupling = xm.DiffusiveCoupling(k=0.5, source="x", target="x")
    system = xm.Network(xm.HopfStep(a=0.2, w=0.3), connectome, speed=10 * u.mm / u.ms, coupling=coupling)
    start = xr.DataArray(np.random.default_rng(0).normal(0, 0.1, 8), dims="region")  # rest is exactly zero: it would stay there
    return xm.Simulator(system, dt=0.1 * u.ms).run(50 * u.ms, monitors=["x"], initial={"x": start})


BACKENDS = {
    "grad": "gradient descent with any optimiser of optax: many free numbers, smooth losses",
    "scipy": "quasi-Newton and least squares between bounds, with the same gradients: few free numbers, to the last digit",
    "cma": "evolution, the whole population in one run: a few to some tens of numbers, losses that are rough or have several minima",
    "nevergrad": "every optimiser of nevergrad, likewise in whole populations",
    "grid": "a sweep and its minimum, refined: one to three numbers, and a picture of the loss",
    "pareto": "several objectives that no weights should join: their front",
}


def smallest_fit() -> xr.Dataset:
    """The start of a decay from its course: one parameter, target 2, Adam."""
    decay = xm.Simulator(xm.LinearStep(gamma=-1.0), dt=0.1 * u.ms)
    run = dict(duration=1 * u.ms, monitors=["x"])
    recorded = decay.run(params=xr.Dataset({"initial.x": 2.0}), **run)
    search = {"initial.x": xm.Param(0.5, bounds=(0.0, 5.0))}
    return xm.Fitter(decay, objective=xm.objectives.timeseries_rmse(), search=search, run=run, backend="grad").fit(recorded, n_steps=80)


def main() -> None:
    # 1. units: a duration in steps, a distance over a speed is a delay, and a wrong dimension fails
    run = hopf().run(200 * u.ms, monitors=["x"], initial={"x": 0.1})
    print("steps in 200 ms of 0.1 ms:", run.sizes["time"])
    response = two_regions(30.0, 10 * u.mm / u.ms)
    print("30 mm at 10 mm/ms:", first_response(response.x))
    xm.viz.plot_timeseries(response.x, title="a pulse, and its arrival after 3 ms").figure.savefig("delay.png")
    print(refused(lambda: xm.Simulator(xm.HopfStep(), dt=0.1 * u.mV)))
    print(refused(lambda: two_regions(30.0, 10 * u.ms)))

    # 2. what a model declares, and all models
    node = xm.HopfStep()
    print("states:", [f"{s.name} [{s.unit}]" for s in node.states], "inputs:", [f"{i.name} [{i.unit}]" for i in node.inputs])
    for name, parameter in hopf().parameters().items():
        print(f"  {name} = {float(parameter):g} {parameter.attrs['units']}: {parameter.attrs['long_name']}")
    drift = xm.HopfStep(a=0.25, w=0.3).drift(SimpleNamespace(x=0.1, y=0.0), SimpleNamespace(x=0.0, y=0.0))
    print("drift at x = 0.1, y = 0:", drift)
    print(xm.list_models().to_table())

    # 3. a run: several states, outputs that are derived from states, a function of the state, a transient, fewer samples
    kept = hopf().run(100 * u.ms, monitors=["x", "y"], transient=20 * u.ms, initial={"x": 0.1})
    print("100 ms with a transient of 20 ms:", dict(kept.sizes), "thinned:", end=" ")
    thin = hopf().run(100 * u.ms, monitors={"r": lambda s: s.x**2 + s.y**2}, transient=20 * u.ms, sample_every=1 * u.ms, initial={"x": 0.1})
    print(dict(thin.sizes))
    eeg = xm.Simulator(xm.JansenRitStep(), dt=0.1 * u.ms).run(1000 * u.ms, monitors=["eeg"], inputs={"E": 220 * u.Hz}).eeg
    lfp = xm.Simulator(xm.EpileptorStep(), dt=0.1 * u.ms).run(3000 * u.ms, monitors=["lfp"], sample_every=1 * u.ms).lfp
    _, axes = plt.subplots(2, 1, figsize=(9, 5), layout="constrained")
    xm.viz.plot_timeseries(eeg, ax=axes[0], title="Jansen-Rit, eeg")
    xm.viz.plot_timeseries(lfp, ax=axes[1], title="Epileptor, lfp")
    plt.savefig("outputs.png")

    # 4. a bank of nodes, and a network
    print("bank:", dict(noisy_bank().x.sizes))
    coupled = network()
    print("network:", dict(coupled.x.sizes))
    xm.viz.plot_timeseries(coupled.x, title="eight coupled oscillators").figure.savefig("network.png")

    # 5. a fit of the smallest problem: one number, whose true value is 2; the reported value is the one whose loss is reported
    fit = smallest_fit()
    print(f"fitted: {float(fit['initial.x']):.4f} at step {int(fit.best_step)}, loss {float(fit.best_loss):.4f}")
    xm.viz.plot_fit(fit, title="a gradient descent by Adam").figure.savefig("fit.png")
    for name, what_for in BACKENDS.items():
        print(f"  {name}: {what_for}")


if __name__ == "__main__":
    main()
