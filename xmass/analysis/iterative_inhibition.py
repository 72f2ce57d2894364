"""Feedback inhibition control by iteration: the simulator measures the rates, under its own noise, and the inhibition follows."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import xarray as xr

from xmass.analysis.inhibition import FIELDS, WorkingPoint, controlled, inhibitory_gating, operating_point, working_point
from xmass.couplings import AdditiveCoupling
from xmass.labelled.network import Network
from xmass.labelled.progress import Bar
from xmass.labelled.schema import INITIAL, LONG_NAME, REGION, SEED, TIME, UNITS, WEIGHTS
from xmass.labelled.units import in_unit, milliseconds, to_declared
from xmass.models.wong_wang import WongWangExcInhStep
from xmass.observations import TemporalAverage
from xmass.simulator import Simulator

ITERATION = "iteration"
MEAN = "mean_H_e"
FASTER, SLOWER, FASTEST = 1.2, 0.5, 2.0
"""Factors on a region's step while its error keeps its sign and when it changes it, and the largest step."""


def iterative_inhibition_control(
    sim: Simulator,
    params: xr.Dataset | None = None,
    *,
    target_rate: float | xr.DataArray = 3.0,
    tolerance: Any = 0.1,
    duration: Any = 70_000.0,
    transient: Any = 10_000.0,
    max_iterations: int = 30,
    start: float | xr.DataArray | None = None,
    seed: Any = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    r"""The ``J_i`` at which every region of a simulated Wong-Wang network has one mean rate, found by running it again and again.

    Noise raises the rates above those that :func:`inhibition_control` gives, which knows nothing of it. Here the mean of ``H_e`` is
    measured in a run, inhibition is raised where it is above the target and lowered where it is below, and so on until every region
    is within the tolerance. All iterations see the same noise, that of ``seed``.

    Parameters
    ----------
    sim : Simulator
        A network of ``WongWangExcInhStep`` with its noise, dt and method.
    params : Dataset, optional
        Parameters as for :meth:`Simulator.run`, all but ``J_i``: a sweep over ``coupling.k``, ``noise_e.sigma`` or subjects gives a
        ``J_i`` for each point. A dim that only ``seed`` has is trials: their mean rate counts.
    target_rate : float or DataArray
        Wanted mean rate of the excitatory populations [Hz], with ``region`` or any other dims.
    tolerance : float or Quantity
        Largest difference from it in any region [Hz].
    duration, transient : float or Quantity
        Length of each run, and of the part at its start that does not count [ms].
    max_iterations : int
        Runs at most.
    start : float or DataArray, optional
        Inhibition to start from [nA]; by default that of :func:`inhibition_control` for this target.
    seed, batch_size
        As for :meth:`Simulator.run`; with ``batch_size`` the mean over the trials counts.
    progress : bool, optional
        Show a progress bar; by default for more than a few seconds.

    Returns
    -------
    Dataset
        ``J_i(..., region)`` [nA], to be handed to ``run``; ``H_e(iteration, ..., region)`` [Hz], the mean rates that were measured,
        the last of them with ``J_i``; ``converged(...)``; and ``seed``.

    Warns
    -----
    UserWarning
        Where rates are not within the tolerance after ``max_iterations``.

    Raises
    ------
    TypeError
        If ``sim`` does not simulate a network of ``WongWangExcInhStep``.
    ValueError
        If ``params`` has ``J_i``, a number is out of range, or the couplings are such that the closed form does not hold and ``start`` is
        not given; and whatever ``run`` raises.

    Notes
    -----
    The rule is that of Deco et al. (2014) with another step: with the transfer function :math:`H`,
    :math:`\Delta J_i = g_i\,(H^{-1}(r_i) - H^{-1}(r^*)) / S_I^*`, the inhibition that would take the excess out of the current of region i
    alone. The gain :math:`g_i` is halved when the error of the region changes its sign, and grows by a fifth otherwise.

    A mean over a finite run has an error of its own: about 0.065 Hz for 60 s at ``sigma=0.01``, less by the root of the length. In another
    run, with other noise, the rates scatter by that around the target, whatever the tolerance.

    References
    ----------
    Deco et al. 2014, J Neurosci 34:7886, doi:10.1523/JNEUROSCI.5068-13.2014.

    Examples
    --------
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome")
    >>> noisy = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
    >>> net = xm.Network(noisy, sc, coupling=xm.AdditiveCoupling(k=0.2, source="S_e", target="coupling"))
    >>> found = xm.iterative_inhibition_control(xm.Simulator(net, dt=1.0), duration=20_000.0, transient=5000.0, seed=0)
    >>> bool(found.converged), bool((abs(found.H_e.isel(iteration=-1) - 3.0) <= 0.1).all())
    (True, True)
    """
    net = _network(sim)
    if params is not None and "J_i" in params.variables:
        raise ValueError(
            "params has J_i, which is what is looked for. Give it as start=params.J_i and take it out: params.drop_vars('J_i')."
        )
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int | np.integer) or max_iterations < 1:
        raise ValueError(f"max_iterations={max_iterations!r}, needs a positive whole number.")
    within = in_unit(tolerance, "Hz", "tolerance")
    if within <= 0:
        raise ValueError(f"tolerance={within:g} Hz, needs more than 0.")
    work, J_i = _start(sim, net, params, target_rate, start)
    gating = inhibitory_gating(work)
    options = dict(monitors={MEAN: _mean_of_run(sim, duration, transient)}, transient=transient, progress=False)
    noise: dict[str, Any] = dict(seed=seed, batch_size=batch_size)
    history: list[xr.DataArray] = []
    gain: Any = 1.0
    with Bar(max_iterations, "inhibition control", progress) as bar:
        while True:
            # without attrs: arithmetic in xarray keeps those of its operands, units of a gain for one
            given = (xr.Dataset() if params is None else params).assign(J_i=J_i.drop_attrs(deep=False))
            run = sim.run(duration, given, **noise, **options).load()
            if SEED in run.coords and SEED not in given.variables:  # drawn or made once; the same noise from here on
                noise = dict(seed=_bare(run[SEED]))
            rate = _bare(run[MEAN].astype(np.float64).mean([f"{MEAN}_time", *_trials(run, sim, given)]))
            J_i, rate = xr.broadcast(J_i, rate)
            error = rate - work.point.rate
            converged = (abs(error) <= within).all(REGION)
            history.append(rate)
            bar.add(1)
            if bool(converged.all()) or len(history) == max_iterations:
                break
            if len(history) > 1:
                gain = xr.where(np.sign(error) == np.sign(history[-2] - work.point.rate), np.minimum(FASTER * gain, FASTEST), SLOWER * gain)
            excess = operating_point(work.p, rate.clip(min=1e-3).fillna(1.0)).current - work.point.current
            J_i = (J_i + (gain * excess / gating).where(~converged & np.isfinite(rate), 0.0)).clip(min=0.0)
    if not bool(converged.all()):
        _warn(error, converged, within, max_iterations)
    said = {"tolerance": within, "duration": milliseconds(duration, "duration"), "transient": milliseconds(transient, "transient")}
    return _result(J_i, history, converged, run, said)


def _network(sim: Simulator) -> Network:
    system = sim.system if isinstance(sim, Simulator) else None
    if not isinstance(system, Network) or not isinstance(system.node, WongWangExcInhStep):
        what = type(sim).__name__ if system is None else type(system.node if isinstance(system, Network) else system).__name__
        raise TypeError(
            f"sim is a simulator of {what}, needs one of a network of WongWangExcInhStep: "
            "xm.Simulator(xm.Network(xm.WongWangExcInhStep(), connectome, coupling=...), dt=1.0)."
        )
    return system


def _start(sim: Simulator, net: Network, params: xr.Dataset | None, target_rate: Any, start: Any) -> tuple[WorkingPoint, xr.DataArray]:
    """The working point, and the inhibition to start from."""
    listed = sim.parameters()

    def value(path: str) -> Any:
        return params[path] if params is not None and path in params.variables else listed[path]

    own = {name: value(name) for name in FIELDS if name != "J_i"}
    into = {path: c for path, c in net.couplings.items() if c.target == "coupling"}
    linear = len(into) == 1 and all(isinstance(c, AdditiveCoupling) and c.source == "S_e" for c in into.values())
    if start is None and not linear:
        raise ValueError(
            f"the couplings {sorted(net.couplings)} are not one AdditiveCoupling from S_e to the input 'coupling', so no closed form "
            "is there to start from. Give start=, for example start=1.0."
        )
    prefix = net.prefix_of(next(iter(into))) if into else next(iter(net.connectomes))
    weights = value(f"{prefix}{WEIGHTS}")
    G = value(f"{next(iter(into))}.k") if start is None else 0.0
    if TIME in weights.dims:
        weights = weights.mean(TIME)
    work = working_point(weights, G, target_rate, own)
    if start is None:
        return work, controlled(work).clip(min=0.0)
    J_i = xr.DataArray(to_declared(start, "nA", "start")).clip(min=0.0)
    return work, xr.broadcast(J_i, work.point.rate)[0]


def _mean_of_run(sim: Simulator, duration: Any, transient: Any) -> TemporalAverage:
    """Averages over windows that fit both the transient and the run."""
    steps = [round(milliseconds(value, name) / sim.dt) for value, name in ((duration, "duration"), (transient, "transient"))]
    return TemporalAverage(of="H_e", period=math.gcd(*steps) * sim.dt)


def _trials(run: xr.Dataset, sim: Simulator, given: xr.Dataset) -> list[str]:
    """Dims of the result that nothing but ``seed`` has."""
    listed = sim.parameters()
    paths = [name for name in given.variables if name in given.data_vars or name in listed or str(name).startswith(f"{INITIAL}.")]
    values = [*listed.data_vars.values(), *(given[name] for name in paths if name != SEED)]
    others = {d for v in values for d in v.dims} | {REGION, f"{MEAN}_time"}
    return [str(d) for d in run[MEAN].dims if d not in others]


def _bare(data: xr.DataArray) -> xr.DataArray:
    """Without coordinates that are no labels of a dim."""
    return data.drop_vars([c for c in data.coords if c not in data.dims])


def _warn(error: xr.DataArray, converged: xr.DataArray, within: float, count: int) -> None:
    worst = abs(error).max(REGION, skipna=False)
    flat = np.argwhere(~converged.values)
    shown = []
    for index in flat[:3]:
        at = {d: worst[d].values[i].item() if d in worst.coords else int(i) for d, i in zip(worst.dims, index, strict=True)}
        place = f" ({', '.join(f'{d}={v}' for d, v in at.items())})" if at else ""
        shown.append(f"{float(worst.values[tuple(index)]):.2g} Hz{place}")
    more = f" and {len(flat) - 3} more" if len(flat) > 3 else ""
    warnings.warn(
        f"after {count} iterations rates are still off by {', '.join(shown)}{more}, needs {within:g} Hz. Raise max_iterations, "
        "or lower the coupling; see converged.",
        stacklevel=3,
    )


def _result(J_i: xr.DataArray, history: list[xr.DataArray], converged: xr.DataArray, run: xr.Dataset, said: dict[str, Any]) -> xr.Dataset:
    dims = [*(d for d in J_i.dims if d != REGION), REGION]
    iterations = xr.DataArray(np.arange(1, len(history) + 1), dims=ITERATION, name=ITERATION)
    found = xr.Dataset(
        {"J_i": J_i.transpose(*dims), "H_e": xr.concat(history, iterations).transpose(ITERATION, *dims), "converged": converged}
    )
    found = found.assign_attrs(said)
    found.J_i.attrs = {UNITS: "nA", LONG_NAME: "local inhibition that keeps the target rate under noise"}
    found.H_e.attrs = {UNITS: "Hz", LONG_NAME: "mean excitatory rate"}
    found.converged.attrs = {LONG_NAME: "every region is within the tolerance"}
    # parameters as coordinates of J_i would clash with those of the Dataset that it is put into, and a seed would be set by it
    return found.assign({SEED: _bare(run[SEED])}) if SEED in run.coords else found
