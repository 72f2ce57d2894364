"""The cases of ../shared/reference as objects of this library: what each file describes, simulated here, beside what it holds.

Used by the tests of agreement and by ``tests/oracles/accuracy_table.py``, which writes docs/accuracy.md.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import scipy.signal
import xarray as xr

import xmass as xm
from tests.conftest import shared_path

FLOAT32 = 1e-4
"""Of the range, for float32."""
FLOAT64 = 1e-9
"""Of the range, for float64 where scheme, step and rounding are the same."""

MODELS = (
    "coombes_byrne_2d_default",
    "epileptor_default",
    "fitzhugh_nagumo_oscillating",
    "generic_2d_oscillator_limit_cycle",
    "hopf_limit_cycle",
    "jansen_rit_alpha",
    "linear_decay",
    "lorenz_default",
    "montbrio_pazo_roxin_bistable",
    "reduced_wong_wang_low",
    "van_der_pol_relaxation",
    "wilson_cowan_default",
    "wong_wang_exc_inh_default",
)
NETWORKS = (
    "net5_kuramoto_all_to_all",
    "net76_g2d_linear_delay",
    "net76_g2d_linear_nodelay",
    "net76_jr_sigmoidal_delay",
    "net76_kuramoto_delay",
    "net76_mpr_linear_delay",
    "net76_wwei_linear_nodelay",
    "net80_hopf_diffusive_delay",
    "two_nodes_g2d_delay_history",
)


ANALYSIS64 = 1e-12
"""Of correlations of correlations of 83 samples in float64: two orders above what is measured."""


class Comparison(NamedTuple):
    """One run of a case: ours and theirs with the same dims, and the tolerance as a fraction of the range."""

    case: str
    run: str
    scheme: str
    ours: xr.DataArray
    theirs: xr.DataArray
    tolerance: float

    @property
    def deviation(self) -> float:
        """Largest difference of any variable, relative to that variable's range."""
        return deviation(self.ours, self.theirs)


def deviation(ours: xr.DataArray, theirs: xr.DataArray) -> float:
    """Largest absolute difference over the range of ``theirs``, the largest over the dim ``variable``."""
    dims = [d for d in theirs.dims if d != "variable"]
    xr.align(ours, theirs, join="exact")
    scale = theirs.max(dims) - theirs.min(dims)
    return float((abs(ours - theirs).max(dims) / scale).max())


def open_case(kind: str, case: str) -> xr.Dataset:
    """One file of ../shared/reference."""
    with xr.open_dataset(shared_path("reference", f"{kind}_{case}.nc"), engine="h5netcdf") as ds:
        return ds.load()


def runs_of(kind: str, case: str) -> list[str]:
    """Runs of a case that use one of our schemes."""
    ds = open_case(kind, case)
    return [str(r) for r in ds.run.values if str(r) != "exact"]


# ------------------------------------------------------------------------------------------------------------------ models
def node(model: str, parameters: dict[str, Any]) -> tuple[xm.NeuralMass, dict[str, str], dict[str, float]]:
    """The model of a case, the names here of its variables, and its constant inputs."""
    p = dict(parameters)
    if model == "generic_2d_oscillator":
        return xm.Generic2dOscillatorStep(c2=p.pop("c"), **p), {"V": "V", "W": "W"}, {}
    if model == "hopf":
        inputs = {"x": p["I_x"], "y": p["I_y"]}
        return xm.HopfStep(a=p["a"], w=p["omega"], beta=1.0), {"x": "x", "y": "y"}, inputs
    if model == "fitzhugh_nagumo":
        inputs = {"V": p.pop("I_x"), "w": p.pop("I_y")}
        return xm.FitzHughNagumoStep(**p), {"x": "V", "y": "w"}, inputs
    if model == "van_der_pol":
        return xm.VanDerPolStep(mu=p["mu"]), {"x": "x", "y": "y"}, {"x": p["I_x"], "y": p["I_y"]}
    if model == "lorenz":
        return xm.LorenzStep(**p), {"x": "x", "y": "y", "z": "z"}, {}
    if model == "coombes_byrne_2d":
        return xm.CoombesByrneStep(**p), {"r": "r", "V": "v"}, {}
    if model == "epileptor":
        return xm.EpileptorStep(**p), {v: v for v in ("x1", "y1", "z", "x2", "y2", "g")}, {}
    if model == "linear":
        return xm.LinearStep(gamma=p["gamma"]), {"x": "x"}, {}
    if model == "montbrio_pazo_roxin":
        made = xm.MontbrioPazoRoxinStep(tau=p["tau"], Delta=p["Delta"], eta=p["eta"], J=p["J"])
        return made, {"r": "r", "V": "v"}, {"I": p["I"]}
    if model == "wilson_cowan":
        same = ("tau_e", "tau_i", "a_e", "a_i", "r_e", "r_i", "k_e", "k_i", "c_e", "c_i", "alpha_e", "alpha_i", "P", "Q")
        weights = {f"w_{t}{s}": p[f"c_{t}{s}"] for t in "ei" for s in "ei"}
        thresholds = {"theta_e": p["b_e"], "theta_i": p["b_i"], "offset_e": p["theta_e"], "offset_i": p["theta_i"]}
        shift = bool(p["shift_sigmoid"])
        made = xm.WilsonCowanStep(**{n: p[n] for n in same}, **weights, **thresholds, shift_sigmoid=shift)
        return made, {"E": "rE", "I": "rI"}, {}
    if model == "wong_wang_exc_inh":
        p.pop("G")  # a factor of the network's coupling.k here
        return xm.WongWangExcInhStep(**p), {"S_e": "S_e", "S_i": "S_i"}, {}
    if model == "jansen_rit":  # theirs per ms, ours per s
        made = xm.JansenRitStep(
            Ae=p["A"],
            Ai=p["B"],
            be=1e3 * p["a"],
            bi=1e3 * p["b"],
            C=p["J"],
            a1=p["a_1"],
            a2=p["a_2"],
            a3=p["a_3"],
            a4=p["a_4"],
            s_max=2e3 * p["nu_max"],
            v0=p["v0"],
            r=p["r"],
            p=1e3 * p["mu"],
        )
        return made, dict(zip(("y0", "y1", "y2", "y3", "y4", "y5"), ("M", "E", "I", "Mv", "Ev", "Iv"))), {}
    if model == "reduced_wong_wang":
        return xm.ReducedWongWangStep(**p), {"S": "S"}, {}
    if model == "kuramoto":
        return xm.KuramotoStep(omega=p["omega"]), {"theta": "theta"}, {}
    raise ValueError(f"no model here for {model!r}")


def _stack(run: xr.Dataset, initial: dict[str, xr.DataArray], names: dict[str, str]) -> xr.DataArray:
    """Trajectory with its initial sample in front, over ``variable`` as the file names it."""
    series = []
    for own in names.values():
        start = initial[own].broadcast_like(run[own].isel(time=0, drop=True)).expand_dims(time=[0.0])
        series.append(xr.concat([start, run[own].drop_attrs().reset_coords(drop=True)], "time", coords="minimal", compat="override"))
    return xr.concat(series, "variable").assign_coords(variable=list(names))


def scales(ds: xr.Dataset) -> xr.DataArray:
    """Our numbers over theirs, by variable: velocities of the Jansen-Rit model are in mV/s here and in mV/ms there."""
    per_second = ds.attrs["model"] == "jansen_rit"
    return xr.DataArray(
        [1e3 if per_second and v in ("y3", "y4", "y5") else 1.0 for v in ds.variable.values], {"variable": ds.variable.values}
    )


def _initial(ds: xr.Dataset, names: dict[str, str]) -> dict[str, xr.DataArray]:
    return {own: (ds.initial * scales(ds)).sel(variable=theirs, drop=True) for theirs, own in names.items()}


def bare(data: xr.DataArray) -> xr.DataArray:
    """Without coordinates other than ``variable``: samples and nodes pair by position."""
    return data.drop_vars([c for c in data.coords if c != "variable"]).astype(np.float64)


def simulate_model(case: str, scheme: str, *, precision: str = "float64", dt: float | None = None) -> xr.DataArray:
    """Trajectory ``(variable, time, trial)`` of an isolated node, at the file's step or at a given one."""
    ds = open_case("model", case)
    model, names, inputs = node(ds.attrs["model"], json.loads(ds.attrs["parameters"]))
    initial = _initial(ds, names)
    dt_file, steps, every = float(ds.attrs["dt"]), int(ds.attrs["steps"]), int(ds.attrs["stored_every"])
    finer = round(dt_file / dt) if dt is not None else 1
    simulator = xm.Simulator(model, dt=dt_file / finer, method=scheme, precision=precision)
    run = simulator.run(dt_file * steps, sample_every=every * finer, initial=initial, inputs=inputs)
    return bare(_stack(run, initial, names).isel(region=0)) / scales(ds)


def compare_model(case: str, run: str, *, precision: str = "float64") -> Comparison:
    """A run of a ``model_*`` file beside ours."""
    ds = open_case("model", case).sel(run=run)
    scheme = str(ds.scheme.values)
    # In one trial the Epileptor discharges, where f1 jumps at x1 = 0 and the phase depends on z, whose increments per step are 1e-5.
    tolerance = FLOAT64 if precision == "float64" else FLOAT32 * (50 if case == "epileptor_default" else 1)
    return Comparison(f"model_{case}", run, scheme, simulate_model(case, scheme, precision=precision), bare(ds.trajectory), tolerance)


# ---------------------------------------------------------------------------------------------------------------- networks
def coupling_of(ds: xr.Dataset) -> xm.Coupling:
    """The coupling of a network case. TVB's linear coupling a, b is our additive k, b; G of the Wong-Wang model is part of k."""
    p, model = json.loads(ds.attrs["coupling_parameters"]), ds.attrs["model"]
    if ds.attrs["coupling_kind"] == "kuramoto":
        return xm.SineCoupling(k=p["a"])
    if ds.attrs["coupling_kind"] == "sigmoidal_jr":  # of y1 - y2, the eeg; their rates are per ms
        return xm.SigmoidalJansenRitCoupling(k=p["a"], c_min=1e3 * p["cmin"], c_max=1e3 * p["cmax"], midpoint=p["midpoint"], r=p["r"])
    source = json.loads(ds.attrs["coupling_variables"])[0]
    target = {"generic_2d_oscillator": "c", "hopf": "x", "montbrio_pazo_roxin": "I", "wong_wang_exc_inh": "coupling"}[model]
    if ds.attrs["coupling_kind"] == "difference":
        return xm.DiffusiveCoupling(k=p["a"], source=source, target=target)
    k = p["a"] * json.loads(ds.attrs["parameters"]).get("G", 1.0)
    return xm.AdditiveCoupling(k=k, b=p["b"], source=source, target=target)


def connectome_of(ds: xr.Dataset) -> xr.Dataset:
    """Weights and, where there are delays, distances; row receives, column sends."""
    names = {"weights": ds.weights}
    if "lengths" in ds:
        names["distances"] = ds.lengths.assign_attrs(units="mm")
    renamed = {n: v.rename(target="region", source="region_other").drop_vars("run", errors="ignore") for n, v in names.items()}
    return xr.Dataset(renamed)


def parameters_of(ds: xr.Dataset) -> dict[str, Any]:
    """Parameters of a network's nodes; those that differ between nodes are variables of the file."""
    own = {str(n).removeprefix("parameter_"): ds[n].rename(node="region") for n in ds.data_vars if str(n).startswith("parameter_")}
    return {**json.loads(ds.attrs["parameters"]), **own}


def simulate_network(ds: xr.Dataset, scheme: str, *, precision: str = "float64", frozen: bool = True, finer: int = 1) -> xr.DataArray:
    """Trajectory ``(variable, time, node)`` of a network case, in steps of the file's or ``finer`` times shorter ones."""
    model, names, inputs = node(ds.attrs["model"], parameters_of(ds))
    speed = float(ds.attrs["speed"]) if "lengths" in ds else None
    net = xm.Network(model, connectome_of(ds), speed=speed, coupling=coupling_of(ds))
    at_zero = {k: v.rename(node="region") for k, v in _initial(ds, names).items()}
    initial = dict(at_zero)
    if "history" in ds:
        for theirs, own in names.items():
            past = ds.history.sel(variable=theirs, drop=True).rename(node="region", history_time="lag")
            initial[own] = past.assign_coords(lag=("lag", -past.lag.values, {"units": "ms"}))
    dt = float(ds.attrs["dt"])
    simulator = xm.Simulator(net, dt=dt / finer, method=scheme, precision=precision, frozen_coupling=frozen)
    run = simulator.run(dt * int(ds.attrs["steps"]), sample_every=finer * int(ds.attrs["stored_every"]), initial=initial, inputs=inputs)
    return bare(_stack(run, at_zero, names).rename(region="node")) / scales(ds)


def compare_network(case: str, run: str, *, precision: str = "float64") -> Comparison:
    """A run of a ``network_*`` file beside ours. TVB sums couplings in float32: its runs hold to the file's ``suggested_atol``."""
    ds = open_case("network", case)
    theirs = bare(ds.trajectory.sel(run=run))
    ours = simulate_network(ds, str(ds.scheme.sel(run=run).values), precision=precision)
    # Free-running columns near 11 Hz: float32 moves their phases, and what it adds grows with time (5000 steps).
    tolerance = FLOAT64 if precision == "float64" else FLOAT32 * (5 if case == "net76_jr_sigmoidal_delay" else 1)
    if run.startswith("tvb"):
        dims = [d for d in theirs.dims if d != "variable"]
        smallest = float((theirs.max(dims) - theirs.min(dims)).min())
        tolerance = max(tolerance, float(ds.suggested_atol.sel(run=run)) / smallest)
    return Comparison(f"network_{case}", run, str(ds.scheme.sel(run=run).values), ours, theirs, tolerance)


# ---------------------------------------------------------------------------------------------------------------- stimulus
def compare_stimulus(run: str, *, precision: str = "float64") -> Comparison:
    """The stimulus case: a series held over each step, added to the derivative of V."""
    ds = open_case("stimulus", "generic_2d_oscillator")
    model, names, _ = node(ds.attrs["model"], json.loads(ds.attrs["parameters"]))
    dt, steps = float(ds.attrs["dt"]), int(ds.attrs["steps"])
    initial = {k: v.rename(node="region") for k, v in _initial(ds, names).items()}
    times = xr.DataArray(np.arange(steps) * dt, dims="time", attrs={"units": "ms"})
    drive = (ds.stimulus.rename(step="time").assign_coords(time=times) * ds.stimulus_weight).rename(node="region")
    simulator = xm.Simulator(model, dt=dt, method="heun", regions=3, precision=precision)
    got = simulator.run(dt * steps, sample_every=int(ds.attrs["stored_every"]), initial=initial, inputs={"V": drive})
    ours = bare(_stack(got, initial, names).rename(region="node"))
    tolerance = FLOAT64 if precision == "float64" else FLOAT32
    return Comparison("stimulus_generic_2d_oscillator", run, "heun", ours, bare(ds.trajectory.sel(run=run)), tolerance)


# ------------------------------------------------------------------------------------------------------------ observations
def drive(t: np.ndarray) -> np.ndarray:
    """The three inputs ``(time, node)`` of the observation files at times t [s]."""
    box = np.where((t >= 2) & (t < 5), 0.2, 0.0)
    return np.stack([box, 0.3 * np.exp(-(((t - 4) / 1.5) ** 2)), 0.15 * (1 + np.sin(2 * np.pi * 0.1 * t))], axis=1)


def stored(values: dict[str, np.ndarray], dt: float, dtype: str = "float64") -> xr.Dataset:
    """A stored trajectory: sample k (from 0) is the state at the end of step k."""
    count = len(next(iter(values.values())))
    stamps = ("time", np.arange(1, count + 1) * dt, {"units": "ms", "axis": "T"})
    return xr.Dataset({n: (("time", "region"), v.astype(dtype)) for n, v in values.items()}, coords={"time": stamps})


def compare_balloon(run: str, *, precision: str = "float64", dt: float = 1.0, tr: float = 1.0) -> Comparison:
    """The Balloon-Windkessel case. Sample k drives step k; with ``tr=dt`` nothing is averaged, as in ``numpy_heun``."""
    ds = open_case("observation", "balloon_windkessel")
    p, stop = json.loads(ds.attrs["parameters"]), 30.0
    count = round(stop * 1000 / dt)
    z = drive(np.arange(count) * dt / 1000)
    bold = xm.BOLDSignal(of="z", tr=tr, kappa=p["kappa"], gamma=p["gamma"], tau=p["tau"], alpha=p["alpha"], rho=p["rho"], V0=p["V0"])
    seen = xm.observe(stored({"z": z}, dt, precision), {"bold": bold}).bold
    thin = seen.isel(bold_time=slice(round(10 / tr) - 1, None, round(10 / tr)))
    ours = bare(thin.rename(bold_time="time", region="node"))
    theirs = bare(ds.bold.sel(run=run)).isel(time=slice(1, None))
    # float32 in steps of 1 ms near f = v = q = 1 loses increments below 6e-8: 3e-4 of a range of about 0.02.
    return Comparison("observation_balloon_windkessel", run, "heun", ours, theirs, FLOAT64 if precision == "float64" else 3 * FLOAT32)


def compare_average(kind: str, *, precision: str = "float64") -> Comparison:
    """Temporal averages and subsamples. TVB stamps the middle of a window, we its end; the values pair by position."""
    ds = open_case("observation", "averages")
    dt, steps, period = float(ds.attrs["dt"]), int(ds.attrs["steps"]), float(ds.attrs["period_ms"])
    z = drive(np.arange(1, steps + 1) * dt / 1000)
    trajectory = stored({"var0": z, "var1": 0.5 * z + 0.1}, dt, precision)
    make = {"temporal_average": xm.TemporalAverage, "subsample": xm.Subsample}[kind]
    monitors = {f"{kind}_{v}": make(of=v, period=period, name=f"{kind}_{v}") for v in ("var0", "var1")}
    seen = xm.observe(trajectory, monitors)
    parts = [bare(seen[m].rename({f"{m}_time": f"time_{kind}", "region": "node"})) for m in monitors]
    ours = xr.concat(parts, "variable").assign_coords(variable=["var0", "var1"])
    return Comparison("observation_averages", f"tvb_{kind}", kind, ours, bare(ds[kind]), FLOAT64 if precision == "float64" else FLOAT32)


def compare_fc(number: int, *, precision: str = "float64") -> Comparison:
    """FC of a recording."""
    ds = open_case("analysis", f"fc_fcd_hcp_subject_{number}")
    ours = xm.functional_connectivity(recording(number, precision))
    theirs = ds.fc.rename(region_2="region_other")
    tolerance = ANALYSIS64 if precision == "float64" else FLOAT32
    return Comparison(f"analysis_fc_fcd_hcp_subject_{number}", "fc", "FC", bare(ours), bare(theirs), tolerance)


def compare_fc_distances(*, precision: str = "float64") -> Comparison:
    """Kolmogorov-Smirnov distances between the FC of three recordings, strict upper triangles."""
    ds = open_case("analysis", "between_subjects")
    matrices = [xm.functional_connectivity(recording(n, precision)) for n in (1, 2, 3)]
    rows, columns = np.triu_indices(matrices[0].sizes["region"], 1)
    pairs = {"region": xr.DataArray(rows, dims="pair"), "region_other": xr.DataArray(columns, dims="pair")}
    entries = xr.concat([m.drop_vars(list(m.coords)).isel(pairs) for m in matrices], "subject")
    ours = xm.ks_distance(entries, entries.rename(subject="subject_2"))
    tolerance = ANALYSIS64 if precision == "float64" else FLOAT32
    return Comparison("analysis_between_subjects", "fc_ks", "KS distance", bare(ours), bare(ds.fc_ks), tolerance)


def compare_fcd(number: int, *, precision: str = "float64") -> Comparison:
    """FCD of a recording, windows of 83 samples every 28; the strict upper triangles are correlated."""
    ds = open_case("analysis", f"fc_fcd_hcp_subject_{number}")
    ours = xm.fcd(recording(number, precision), window=83 * 0.72, step=28 * 0.72)
    names = {"window_all": "window", "window_all_2": "window_other"}
    theirs = ds.fcd_upper_triangle.rename(names)
    tolerance = ANALYSIS64 if precision == "float64" else FLOAT32
    return Comparison(f"analysis_fc_fcd_hcp_subject_{number}", "fcd_upper_triangle", "FCD", bare(ours), bare(theirs), tolerance)


def compare_fcd_distances(*, precision: str = "float64") -> Comparison:
    """Kolmogorov-Smirnov distances between the FCD of three recordings."""
    ds = open_case("analysis", "between_subjects")
    matrices = [xm.fcd(recording(n, precision), window=83 * 0.72, step=28 * 0.72) for n in (1, 2, 3)]
    entries = xm.fcd_distribution(xr.concat(matrices, "subject"))
    ours = xm.ks_distance(entries, entries.rename(subject="subject_2"))
    tolerance = ANALYSIS64 if precision == "float64" else FLOAT32
    return Comparison("analysis_between_subjects", "fcd_ks_upper", "KS distance", bare(ours), bare(ds.fcd_ks_upper), tolerance)


def compare_power(*, precision: str = "float64") -> Comparison:
    """Mean over regions of the Welch spectrum, segments of 144 s. Theirs is not per Hz but per noise bandwidth of the window."""
    ds = open_case("analysis", "between_subjects")
    spectrum = xm.power_spectrum(recording(1, precision), segment=144.0)
    bandwidth = 1.5 / 144.0  # of a Hann window: 1.5 over its length
    ours = bare(spectrum.mean("region").isel(frequency=slice(0, ds.sizes["frequency"])) * bandwidth)
    theirs = bare(ds.power)
    return Comparison(
        "analysis_between_subjects", "power", "Welch spectrum", ours, theirs, ANALYSIS64 if precision == "float64" else FLOAT32
    )


def compare_order_parameter(*, precision: str = "float64") -> Comparison:
    """Order parameter of a recording from 0.04 to 0.07 Hz."""
    ds = open_case("analysis", "between_subjects")
    ours = xm.order_parameter(phases_without_centring(precision))
    theirs = ds.order_parameter.rename(sample="time")
    tolerance = 1e-10 if precision == "float64" else FLOAT32  # filtering loses some digits of a mean 200 times the deviation
    return Comparison("analysis_between_subjects", "order_parameter", "order parameter", bare(ours), bare(theirs), tolerance)


def phases_without_centring(precision: str) -> xr.DataArray:
    """Phases as in the file: xm.phase also removes the mean that is left after the filter."""
    filtered = xm.band_pass(recording(1, precision), (0.04, 0.07))
    analytic = scipy.signal.hilbert(filtered.transpose("time", "region").astype(np.float64), axis=0)
    return xr.DataArray(np.angle(analytic).astype(precision), dims=("time", "region"), attrs={"units": "rad"})


def recording(number: int, precision: str) -> xr.DataArray:
    """The BOLD of the cortical regions of a subject."""
    with xr.open_dataset(shared_path("data", f"hcp_subject_{number}.nc"), engine="h5netcdf") as file:
        bold = file.bold.isel(region=np.flatnonzero(file.cortical.values)).load()
    return bold.astype(precision, keep_attrs=True)


def compare_hrf(case: str, *, precision: str = "float64") -> Comparison:
    """BOLD by convolution, in the convention of The Virtual Brain."""
    ds = open_case("observation", f"bold_hrf_{case}")
    dt, steps, tr = float(ds.attrs["dt"]), int(ds.attrs["steps"]), float(ds.attrs["TR_ms"])
    p = json.loads(ds.attrs["kernel_parameters"])
    kernels = {"first_order_volterra": (xm.FirstOrderVolterra, ("tau_s", "tau_f")), "gamma": (xm.Gamma, ("tau", "n", "a"))}
    make, names = kernels[case]
    kernel, scale = make(**{n: p[n] for n in names}), {n: p[n] for n in ("k_1", "V_0") if n in p}
    z = drive(np.arange(1, steps + 1) * dt / 1000)
    trajectory = stored({"var0": z, "var1": 0.5 * z + 0.1}, dt, precision)
    monitors = {f"hrf_{v}": xm.HRFBold(of=v, tr=tr, kernel=kernel, convention="tvb", name=f"hrf_{v}", **scale) for v in ("var0", "var1")}
    seen = xm.observe(trajectory, monitors)
    parts = [bare(seen[m].rename({f"{m}_time": "time", "region": "node"})) for m in monitors]
    ours = xr.concat(parts, "variable").assign_coords(variable=["var0", "var1"])
    return Comparison(
        f"observation_bold_hrf_{case}", "tvb", "convolution", ours, bare(ds.bold), FLOAT64 if precision == "float64" else FLOAT32
    )


def compare_lead_field(*, precision: str = "float64") -> Comparison:
    """The potential of dipoles in the conductor without a boundary of the file's formula, 1 S/m; theirs is per mm^2."""
    ds = open_case("observation", "eeg_leadfield_sphere")
    with xr.open_dataset(shared_path("data", ds.attrs["connectome"]), engine="h5netcdf") as file:
        tvb = file[["centres", "orientations"]].load()
    with xr.open_dataset(shared_path("data", ds.attrs["sensors"]), engine="h5netcdf") as file:
        location = file.location.load()
    middle = tvb.centres.mean("region")
    radius = 1.05125 * float(np.sqrt(((tvb.centres - middle) ** 2).sum("xyz")).max())
    sensors = location / np.sqrt((location**2).sum("xyz")) * radius + middle
    placed = (sensors.astype(precision), tvb.centres.astype(precision, keep_attrs=True), tvb.orientations.astype(precision))
    gain = xm.unbounded_lead_field(*placed, conductivity=1.0) * 1e3
    # 65 x 76 numbers of float32 positions: rounding of 1e-7 over a distance of some mm
    tolerance = FLOAT64 if precision == "float64" else FLOAT32
    return Comparison("observation_eeg_leadfield_sphere", "tvb", "closed form", bare(gain), bare(ds.leadfield), tolerance)
