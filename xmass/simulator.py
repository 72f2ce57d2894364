"""The Simulator: a system, a time step and a scheme; a run maps a Dataset of parameters to a Dataset of trajectories."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.core.integrate import SCHEMES
from xmass.core.model import NeuralMass, noise_fields
from xmass.core.noise import Noise
from xmass.labelled.checks import check_system, warn_exp_euler
from xmass.labelled.execute import execute
from xmass.labelled.head import places_in, with_lead_fields
from xmass.labelled.monitors import Monitors, build_graph
from xmass.labelled.network import Network
from xmass.labelled.noises import alone
from xmass.labelled.parameters import System, node_of, observation_parameters, system_parameters
from xmass.labelled.progress import Bar
from xmass.labelled.provenance import CONFIG_HASH, CONFIGURATION, Missing, decode
from xmass.labelled.rebuild import labelled, warn_diverged
from xmass.labelled.record import result_attrs
from xmass.labelled.resolve import Config, Request, Resolved, resolve
from xmass.labelled.schema import DIVERGED, INITIAL, LAG, LONG_NAME, REGION, REGION_OTHER, SEED, TIME, UNITS
from xmass.labelled.units import counted, milliseconds, to_declared

Method = Literal["heun", "euler", "rk4", "exp_euler"]
Precision = Literal["float32", "float64"]


@dataclasses.dataclass(frozen=True, eq=False)
class Simulator:
    """A system with a time step and an integration scheme.

    Parameters
    ----------
    system : NeuralMass, Network or Noise
        One node model (a lone node has one region, a bank as many as ``regions``), a network, or a noise alone: its run has the
        variable ``noise``, what it adds to an input in each step (white noise as the mean over the step), its parameters are
        ``noise.sigma``.
    dt : float or Quantity
        Time step [ms].
    method : {"heun", "euler", "rk4", "exp_euler"}, optional
        Integration scheme; Heun's method in two stages by default, stochastic Heun where there is noise. A model with a scheme of its
        own takes none.
    regions : int or sequence of labels, optional
        Size or labels of a bank of uncoupled nodes. A network has those of its connectome.
    precision : {"float32", "float64"}
        Number type of the state.
    tile : int, optional
        Runs that are computed together. 1 where each connectome has one run, else 16.
    frozen_coupling : bool
        Take the coupling once per step, at its start, instead of at each stage's own time.
    bounds : bool
        Hold each state in the interval that its model declares, after every step.

    Raises
    ------
    TypeError, ValueError
        For a system that is no model or network, a non-positive dt, an unknown method or precision, or equations whose units
        do not match.

    Examples
    --------
    >>> import xarray as xr, xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1)
    >>> sweep = sim.run(100.0, xr.Dataset({"a": ("a", [-0.1, 0.1, 0.2])}), monitors=["x"], initial={"x": 0.1})
    >>> dict(sweep.x.sizes)
    {'a': 3, 'time': 1000, 'region': 1}
    """

    system: System | Noise
    dt: Any = dataclasses.field(kw_only=True)
    method: Method | None = dataclasses.field(default=None, kw_only=True)
    regions: int | Iterable[Any] | None = dataclasses.field(default=None, kw_only=True)
    precision: Precision = dataclasses.field(default="float32", kw_only=True)
    tile: int | None = dataclasses.field(default=None, kw_only=True)
    frozen_coupling: bool = dataclasses.field(default=False, kw_only=True)
    bounds: bool = dataclasses.field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.system, Noise):
            object.__setattr__(self, "system", alone(self.system))
        if not isinstance(self.system, NeuralMass | Network):
            raise TypeError(f"system is a {type(self.system).__name__}, needs a model such as xm.HopfStep(), an xm.Network or a noise.")
        dt = _decimal(milliseconds(self.dt, "dt"), self.dt)
        if dt <= 0:
            raise ValueError(f"dt={dt:g} ms, needs a positive time step, for example dt=0.1 * u.ms.")
        object.__setattr__(self, "dt", dt)
        object.__setattr__(self, "method", self._scheme())
        if self.precision not in ("float32", "float64"):
            raise ValueError(f"precision={self.precision!r}, needs one of 'float32', 'float64'.")
        for name, flag in (("frozen_coupling", self.frozen_coupling), ("bounds", self.bounds)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name}={flag!r}, needs True or False.")
        if self.tile is not None and (isinstance(self.tile, bool) or not isinstance(self.tile, int | np.integer) or self.tile < 1):
            raise ValueError(f"tile={self.tile!r}, needs a positive whole number of runs.")
        object.__setattr__(self, "regions", self._region_labels())
        check_system(self._system)
        warn_exp_euler(self._system, str(self.method), dt)

    def _scheme(self) -> str:
        """The scheme: what was asked for, else that of the model, else Heun's."""
        model = node_of(self._system)
        own, known = model.scheme, tuple(SCHEMES)
        if own:
            if self.method not in (None, own):
                raise ValueError(f"method={self.method!r}: {type(model).__name__} has a scheme of its own, {own!r}. Leave method out.")
            return own
        method = "heun" if self.method is None else self.method
        if method not in known:
            raise ValueError(f"method={method!r}, needs one of {', '.join(map(repr, known))}.")
        return str(method)

    def _region_labels(self) -> np.ndarray:
        if isinstance(self._system, Network):
            if self.regions is not None:
                raise ValueError("regions= is for a bank of uncoupled nodes; a network has the regions of its connectome.")
            return self._system.regions
        if self.regions is None:
            bank = {len(v[REGION]) for v in _field_arrays(self._system) if REGION in v.dims}
            if len(bank) > 1:
                raise ValueError(f"the model's parameters have different numbers of regions: {sorted(bank)}.")
            labelled = [v[REGION].values for v in _field_arrays(self._system) if REGION in v.coords]
            return labelled[0] if labelled else np.arange(bank.pop() if bank else 1)
        if isinstance(self.regions, int | np.integer) and not isinstance(self.regions, bool):
            if self.regions < 1:
                raise ValueError(f"regions={self.regions}, needs at least one region.")
            return np.arange(int(self.regions))
        if isinstance(self.regions, str | bool) or not isinstance(self.regions, Iterable):
            raise TypeError(
                f"regions={self.regions!r}, needs a whole number of regions or their labels: regions=3, regions=['left', 'right']."
            )
        labels = np.asarray(list(self.regions))
        if labels.ndim != 1 or len(labels) == 0 or len(set(labels.tolist())) != len(labels):
            raise ValueError(f"regions={list(labels)!r}, needs different labels, or a number.")
        return labels.astype(object) if labels.dtype.kind == "U" else labels

    @property
    def _system(self) -> System:
        """The system; a noise alone has become one."""
        assert not isinstance(self.system, Noise)
        return self.system

    @property
    def config(self) -> Config:
        """The same, as the resolver takes it."""
        assert isinstance(self.regions, np.ndarray)
        return Config(self._system, self.dt, str(self.method), self.regions, self.tile, self.precision, self.frozen_coupling, self.bounds)

    def parameters(self, monitors: Monitors = None) -> xr.Dataset:
        """Every parameter by its path, with value, unit and meaning; those of the monitors' observations too.

        Examples
        --------
        >>> import xmass as xm
        >>> xm.Simulator(xm.HopfStep(a=0.1), dt=0.1).parameters().a.attrs["units"]
        '1/ms'
        """
        specs = system_parameters(self._system)
        if monitors is not None:
            graph = build_graph(node_of(self._system), with_lead_fields(monitors, places_in(self._system)), self.dt, 1)
            specs |= observation_parameters(graph.observed)
        found = {}
        for path, spec in specs.items():
            if path.startswith(f"{INITIAL}.") or spec.value is None:
                continue
            value = to_declared(spec.value, spec.unit, path)
            data = value if isinstance(value, xr.DataArray) else xr.DataArray(value)
            found[path] = data.drop_vars([c for c in data.coords if c not in data.dims]).assign_attrs(
                {UNITS: spec.unit, LONG_NAME: spec.meaning}
            )
        return xr.Dataset(found)

    def run(
        self,
        duration: Any,
        params: xr.Dataset | None = None,
        *,
        monitors: Monitors = None,
        transient: Any = 0.0,
        sample_every: Any = None,
        batch_size: int | None = None,
        seed: Any = None,
        inputs: Mapping[str, Any] | None = None,
        initial: Any = None,
        restart: bool = False,
        chunks: Mapping[str, int] | None = None,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """Simulate. Every dimension that a parameter has, the result has.

        Parameters
        ----------
        duration : float or Quantity
            Simulated time [ms], ``transient`` included; a multiple of dt.
        params : Dataset, optional
            Parameters by path (``a``, ``coupling.k``, ``noise_x.sigma``, ``weights``, ``seed``, ``initial.x``); a variable or a
            coordinate of that name sets it. Different dims combine, a shared dim pairs by label.
        monitors : list of str, or mapping of str to name, Observation or function of the state, optional
            What is returned; all states by default.
        transient : float or Quantity
            Time at the start that is simulated and not returned [ms].
        sample_every : int or Quantity, optional
            Keep every n-th step of states and outputs, n given as a number or as a time.
        batch_size : int, optional
            Trials: the dim ``batch`` with one seed each.
        seed : int or DataArray of int, optional
            Seed of all randomness; drawn and recorded if there is none.
        inputs : mapping of str to DataArray, Quantity or function, optional
            What drives each input: a number, a stimulus of :mod:`xmass.stimuli`, a DataArray over ``time`` (each sample holds until
            the next) and ``region``, or a function of an array of times in ms.
        initial : mapping or Dataset, optional
            Initial states (a DataArray over ``lag`` is a history), or a result of ``restart=True`` to continue.
        restart : bool
            Add the end state, from which another run can continue.
        chunks : mapping of str to int, optional
            Lazy result: runs per chunk along run dims.
        progress : bool, optional
            Show a progress bar; by default for runs of more than a few seconds.

        Returns
        -------
        Dataset
            Run dims, then time and region. Coordinates: varied parameters, ``seed``, ``diverged``. attrs: the configuration.

        Raises
        ------
        ValueError, KeyError, TypeError
            For anything that does not fit, before compilation, with the call that fixes it.

        Examples
        --------
        >>> import xmass as xm
        >>> sim = xm.Simulator(xm.HopfStep(noise_x=xm.OUProcess(sigma=0.1, tau=20.0)), dt=0.1)
        >>> dict(sim.run(20.0, monitors=["x"], batch_size=3, seed=2).x.sizes)
        {'batch': 3, 'time': 200, 'region': 1}
        """
        request = Request(duration, params, monitors, transient, sample_every, batch_size, seed, inputs, initial, restart)
        chunks = _chunks_of(params) if chunks is None else chunks
        resolved = resolve(self.config, request)
        attrs = result_attrs(resolved)
        if chunks is not None:
            from xmass.scale.lazy import lazy_run

            return lazy_run(resolved, attrs, chunks)
        return _simulate(resolved, attrs, progress)

    def run_to_zarr(
        self,
        store: str | Path,
        duration: Any,
        params: xr.Dataset | None = None,
        *,
        monitors: Monitors = None,
        transient: Any = 0.0,
        sample_every: Any = None,
        batch_size: int | None = None,
        seed: Any = None,
        inputs: Mapping[str, Any] | None = None,
        initial: Any = None,
        restart: bool = False,
        chunks: Mapping[str, int] | None = None,
        progress: bool | None = None,
        resume: bool | Literal["failed"] = True,
    ) -> xr.Dataset:
        """Simulate into a zarr store, chunk by chunk; called again it continues where it stopped.

        Takes what :meth:`run` takes. ``seed``, where it is not given, is the store's on a second call.

        Parameters
        ----------
        store : str or Path
            Directory of the store; made if it does not exist.
        resume : bool or "failed"
            Continue an unfinished store of the same configuration. With False, an existing store is an error; with ``"failed"``, runs
            that raised an error or ran out of memory are tried again too.

        Returns
        -------
        Dataset
            The opened store, lazy.

        Raises
        ------
        ValueError
            If the store has another configuration (the differences are named) or is not one of xmass.
        FileExistsError
            If it exists and ``resume`` is False.

        Examples
        --------
        >>> import tempfile, xarray as xr, xmass as xm
        >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=0.1)
        >>> p = xr.Dataset({"a": ("a", [0.1, 0.2])})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = sim.run_to_zarr(f"{folder}/sweep.zarr", 20.0, p, monitors=["x"], initial={"x": 0.1}).load()
        >>> dict(done.x.sizes)
        {'a': 2, 'time': 200, 'region': 1}
        """
        from xmass.scale.store import run_to_store

        request = Request(duration, params, monitors, transient, sample_every, batch_size, seed, inputs, initial, restart)
        return run_to_store(self.config, request, Path(store), _chunks_of(params) if chunks is None else chunks, resume, progress)


def _decimal(number: float, given: Any) -> float:
    """``number``; where it was given in less than double precision, the decimal that was meant: 0.1, not 0.10000000149."""
    dtype = getattr(getattr(given, "mantissa", getattr(given, "magnitude", given)), "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize < 8:
        return float(str(dtype.type(number)))
    return number


def _simulate(resolved: Resolved, attrs: dict[str, Any], progress: bool | None) -> xr.Dataset:
    """All runs, in memory, with a progress bar and one warning if some diverged."""
    with Bar((resolved.stop - resolved.start) * resolved.runs, "simulating", progress) as bar:
        arrays = execute(resolved, np.arange(resolved.runs), report=bar.add)
    ds = labelled(resolved, arrays, attrs)
    warn_diverged(ds[DIVERGED])
    return ds


def _field_arrays(model: NeuralMass) -> list[xr.DataArray]:
    parts = (model, *(process for _, _, process in noise_fields(model) if isinstance(process, Noise)))
    return [v for part in parts for f in dataclasses.fields(part) if isinstance(v := counted(getattr(part, f.name)), xr.DataArray)]


def _chunks_of(params: xr.Dataset | None) -> dict[str, int] | None:
    """Chunks that a chunked variable of the parameter Dataset asks for along run dims."""
    if not isinstance(params, xr.Dataset):
        return None
    found = {str(d): int(c[0]) for d, c in params.chunksizes.items() if d not in (REGION, REGION_OTHER, LAG, TIME)}
    return found or None


def rerun(
    ds: xr.Dataset,
    *,
    sim: Simulator | None = None,
    params: xr.Dataset | None = None,
    monitors: Monitors = None,
    inputs: Mapping[str, Any] | None = None,
    initial: Any = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Make a result again from its own record.

    Parameters
    ----------
    ds : Dataset
        A result of ``run`` or ``run_to_zarr``.
    sim, params, monitors, inputs, initial
        What the record cannot rebuild (user code, arrays of more than 1 MB), as the run was given it; checked by hash.

    Returns
    -------
    Dataset
        The same values, on the same machine and versions bit for bit.

    Raises
    ------
    ValueError
        If ``ds`` has no record, something is missing, or what is given is not what the record holds.

    Examples
    --------
    >>> import xmass as xm
    >>> first = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1).run(10.0, monitors=["x"])
    >>> bool((xm.rerun(first).x == first.x).all())
    True
    """
    if CONFIGURATION not in ds.attrs:
        raise ValueError("the Dataset has no 'configuration' in its attrs: it is not a result of Simulator.run, or its attrs were dropped.")
    record = json.loads(ds.attrs[CONFIGURATION])
    made = sim if sim is not None else _decode_part(record, "system", "sim", _simulator_of)
    request = Request(
        duration=record["duration"],
        params=_recorded(record, "parameters", "params") if params is None else params,
        monitors=_recorded(record, "monitors", "monitors") if monitors is None else monitors,
        transient=record["transient"],
        sample_every=record["sample_every"],
        batch_size=record["batch_size"],
        seed=_recorded_seed(record, ds),
        inputs=_recorded(record, "inputs", "inputs") if inputs is None else inputs,
        initial=_recorded(record, "initial", "initial") if initial is None else initial,
        restart=record["restart"],
    )
    resolved = resolve(made.config, request)
    attrs = result_attrs(resolved)
    if attrs[CONFIG_HASH] != ds.attrs[CONFIG_HASH]:
        from xmass.labelled.provenance import differences

        said = "; ".join(differences(record, json.loads(attrs[CONFIGURATION]))[:5])
        raise ValueError(f"what is given is not what the result was made from: {said}.")
    return _simulate(resolved, attrs, progress)


def _simulator_of(record: dict[str, Any]) -> Simulator:
    system = decode(record["system"])
    return Simulator(
        system,
        dt=record["dt"],
        method=record["method"],
        regions=None if isinstance(system, Network) else decode(record["regions"]),
        precision=record["precision"],
        tile=record["tile"],
        frozen_coupling=record["frozen_coupling"],
        bounds=record["bounds"],
    )


def _decode_part(record: dict[str, Any], part: str, argument: str, make: Any) -> Any:
    try:
        return make(record)
    except Missing as missing:
        raise ValueError(f"the record's {part} has {missing}. Give it: xm.rerun(ds, {argument}=...).") from None


def _recorded(record: dict[str, Any], part: str, argument: str) -> Any:
    return _decode_part(record, part, argument, lambda r: decode(r[part]))


def _recorded_seed(record: dict[str, Any], ds: xr.Dataset) -> Any:
    """The seed of the record; where that holds many as a hash only, those that the result has beside its data."""
    try:
        return decode(record["seed"])
    except Missing as missing:
        if SEED not in ds.coords:
            raise ValueError(f"the record's seed has {missing}, and ds has no coordinate 'seed' to take them from.") from None
        return ds[SEED].drop_vars([c for c in ds[SEED].coords if c not in ds[SEED].dims])


def observe(ds: xr.Dataset, monitors: Monitors) -> xr.Dataset:
    """Apply observations to a stored trajectory; the numbers are those that the run itself would have given.

    A run observes from time 0 and cuts the transient from the result. So a trajectory without its transient serves samples, and
    averages where it starts at a multiple of their window; an observation with a state, such as :class:`BOLDSignal`, which starts
    at rest at time 0, needs the whole: run with ``transient=0`` and cut the result. A reduction counts every sample.

    Parameters
    ----------
    ds : Dataset
        Trajectories ``(..., time, region)`` with a uniform time coordinate. A run with NaN gives NaN and changes no other.
    monitors : list of str, or mapping of str to name, Observation or function
        As in :meth:`Simulator.run`; names, also those in ``of=``, are variables of ``ds`` with one time dim, and a function is
        given them all.

    Returns
    -------
    Dataset
        One variable per monitor, other dims kept. Without the configuration of ``ds``, from which this result cannot be made.

    Raises
    ------
    ValueError, KeyError, TypeError
        For anything that does not fit, such as a start within a window, with the call that fixes it.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.HopfStep(), dt=0.1, regions=3).run(20.0, monitors=["x"], initial={"x": 0.1})
    >>> dict(xm.observe(run, {"mean": xm.TemporalAverage(of="x", period=4.0)}).sizes)
    {'mean_time': 5, 'region': 3}
    """
    from xmass.labelled.posthoc import observe_stored

    return observe_stored(ds, monitors)
