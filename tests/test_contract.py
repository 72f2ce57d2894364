"""One contract for every exported model, coupling, noise, observation and objective, found through ``xmass.__all__``.

A new export is tested here without another line. What a class must hold is said by the name of each test.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import pkgutil
from types import ModuleType, SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
import xmass.couplings
import xmass.models
import xmass.observations
from tests.counting import compilations
from xmass.analysis.correlation import lagged_matrices
from xmass.core.model import Uniform, declared_parameters, noise_fields, parameter_value, replace
from xmass.core.noise import Noise
from xmass.labelled.free import free_parameters
from xmass.labelled.parameters import _between, system_parameters
from xmass.labelled.record import result_attrs
from xmass.labelled.resolve import Request, resolve
from xmass.labelled.units import to_unit

EXPORTS = {name: getattr(xm, name) for name in xm.__all__}
BASES = (xm.NeuralMass, xm.Coupling, Noise, xm.Observation)


def exported(base):
    return [c for c in EXPORTS.values() if inspect.isclass(c) and issubclass(c, base) and c not in BASES]


MODELS, COUPLINGS, NOISES, OBSERVATIONS = (exported(base) for base in BASES)
OBJECTIVES = [
    f
    for n, f in vars(xm.objectives).items()
    if inspect.isfunction(f) and not n.startswith("_") and not {"weights", "function"} & set(inspect.signature(f).parameters)
]
PARTS = [*MODELS, *COUPLINGS, *NOISES, *OBSERVATIONS]

LABELS = {"region": ["p", "q", "r"], "region_other": ["p", "q", "r"]}
STEPS = {xm.CoombesByrneSynapseStep: 0.01, xm.EpileptorStep: 0.01, xm.LorenzStep: 0.01}
"""Steps [ms] of models that need a smaller one than 0.1."""
WEIGHTS = np.array([[0.0, 1.0, 0.5], [0.3, 0.0, 0.2], [0.9, 0.4, 0.0]])
SHORT = {xm.FunctionalConnectivityDynamics: {"window": 1.0, "stride": 0.3}}
"""Times that fit into a run of 3 ms."""
GAIN = xr.DataArray([[1.0, -0.5, 0.2], [0.3, 0.4, 0.0]], dims=("sensor", "region"), coords={"region": LABELS["region"]})
SC = xr.Dataset({"weights": (("region", "region_other"), WEIGHTS), "distances": (("region", "region_other"), 4.0 * (WEIGHTS > 0))}, LABELS)


def classes(found):
    return pytest.mark.parametrize("cls", found, ids=[c.__name__ for c in found])


# ---- nothing is missed
def test_there_is_something_to_test():
    assert len(MODELS) >= 6 and len(COUPLINGS) >= 2 and len(NOISES) >= 2 and len(OBSERVATIONS) >= 4 and len(OBJECTIVES) >= 5


@pytest.mark.parametrize("package", [xmass.models, xmass.couplings, xmass.observations], ids=lambda p: p.__name__)
def test_every_class_of_a_package_is_exported(package: ModuleType):
    for module in pkgutil.iter_modules(package.__path__):
        for name, found in vars(__import__(f"{package.__name__}.{module.name}", fromlist=["_"])).items():
            if inspect.isclass(found) and issubclass(found, BASES) and found.__module__.startswith(package.__name__):
                assert EXPORTS.get(name) is found, f"{found.__module__}.{name} is not in xmass.__all__"


# ---- what is written
@classes(PARTS)
def test_the_docstring_has_parameters_an_example_and_a_source(cls):
    doc = inspect.getdoc(cls) or ""
    assert "Examples\n--------\n>>> import xmass as xm" in doc
    assert "Parameters\n----------" in doc
    for declared in declared_parameters(cls):
        assert f"{declared.name}" in doc.split("Parameters\n")[1], f"{declared.name} is not described"
    needs_source = (
        issubclass(cls, xm.NeuralMass | xm.Coupling)
        or getattr(cls, "reduces", False)
        or (issubclass(cls, xm.Observation) and declared_parameters(cls))
    )
    if needs_source:
        assert "doi:10." in doc
    if issubclass(cls, xm.NeuralMass | xm.Coupling):
        assert ":math:" in doc or ".. math::" in doc


@classes(PARTS)
def test_everything_declared_has_a_meaning_and_a_unit_that_can_be_read(cls):
    tokens = ("input", "input*ms^0.5", "input/ms^0.5")
    for declared in declared_parameters(cls):
        assert declared.meaning
        assert isinstance(declared.default, float) or declared.dims
        if declared.unit not in tokens:
            to_unit(_between(declared.unit, "mV", "1/ms"))
    for named in (*getattr(cls, "states", ()), *getattr(cls, "inputs", ()), *getattr(cls, "outputs", ())):
        to_unit(named.unit)
        assert named.meaning


@classes(MODELS)
def test_a_model_says_what_it_is_for(cls):
    assert cls.category and cls.use_case
    assert cls.__bases__ == (xm.NeuralMass,)


@classes(PARTS)
def test_a_part_is_frozen(cls):
    part = make(cls)
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.name = "other"


# ---- a part in a run
def amplitude(s):
    """One function, so that a second run finds the first one's program."""
    return 1.0 / (1.0 + s.x**2)


def make(cls, **values):
    required = {}
    for f in dataclasses.fields(cls):
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            required[f.name] = 1.0 if f.metadata.get("time") else "x"
        if f.metadata.get("of_state"):
            required[f.name] = amplitude
        if "input" in f.metadata.get("dims", ()):
            required[f.name] = GAIN.rename(sensor=f"{cls.__name__}_sensor") * 1.0
            required["dim"] = f"{cls.__name__}_sensor"
        elif f.metadata.get("dims"):
            required[f.name] = 0.04
    return cls(**{**required, **SHORT.get(cls, {}), **values})


def simulator(cls, **options):
    """A short simulation in which the part takes part, and the paths of its parameters."""
    model, coupling, monitors = xm.HopfStep(w=0.3), xm.DiffusiveCoupling(k=0.1, source="x", target="x"), ["x"]
    if issubclass(cls, xm.NeuralMass):
        own = [s.name for s in cls.states]
        model, monitors = cls(), [*own, *(o.name for o in cls.outputs)]
        system = xm.Network(model, SC, speed=10.0, coupling=xm.AdditiveCoupling(k=0.1, source=own[0], target=own[0]))
        paths = [d.name for d in declared_parameters(cls)]
    elif issubclass(cls, xm.Coupling):
        system = xm.Network(model, SC, speed=10.0, coupling=make(cls, source="x", target="x"))
        paths = [f"coupling.{d.name}" for d in declared_parameters(cls)]
    elif issubclass(cls, Noise):
        system = xm.Network(xm.HopfStep(w=0.3, noise_x=make(cls)), SC, coupling=coupling)
        paths = [f"noise_x.{d.name}" for d in declared_parameters(cls)]
    else:
        system, monitors = xm.Network(model, SC, coupling=coupling), {"seen": make(cls)}
        paths = [f"{make(cls).name}.{d.name}" for d in declared_parameters(cls)]
    sim = xm.Simulator(system, **{"dt": STEPS.get(cls, 0.1), "tile": 2, **options})
    return sim, monitors, paths


def run(cls, p=None, **options):
    sim, monitors, _ = simulator(cls, **options)
    start = {s.name: xr.DataArray([0.1, 0.3, 0.2], dims="region") for s in sim.system.node.states}
    return sim.run(3.0, p, monitors=monitors, initial=start, seed=1)


def sweep(cls):
    """Two values of the first parameter; of the initial state where a part has none."""
    sim, monitors, paths = simulator(cls)
    if not paths:
        return xr.Dataset({"coupling.k": ("point", [0.1, 0.2])})
    value = float(sim.parameters(monitors)[paths[0]].mean())
    return xr.Dataset({paths[0]: ("point", [value or 0.1, 1.5 * value or 0.2])})


@pytest.mark.long
@classes(PARTS)
def test_outputs_are_finite_and_have_the_dtype_that_was_asked_for(cls):
    for precision in ("float32", "float64"):
        check_outputs(run(cls, sweep(cls).isel(point=0), precision=precision), precision)


def check_outputs(found, precision):
    for name, values in found.data_vars.items():
        assert values.dtype == precision, name
        assert np.isfinite(values).all(), name
        assert values.attrs["units"], name


@classes(PARTS)
def test_a_batch_equals_its_runs_and_a_second_call_compiles_nothing(cls):
    precision = "float64" if issubclass(cls, xm.Observation) else "float32"  # 3 ms of BOLD are below the last bit of float32
    batch = run(cls, sweep(cls), precision=precision)
    check_outputs(batch, precision)
    with compilations() as count:
        run(cls, sweep(cls) * 1.01, precision=precision)
    assert count.number == 0
    for i in range(2):
        alone = run(cls, sweep(cls).isel(point=i), precision=precision)
        for name in batch.data_vars:
            np.testing.assert_array_equal(batch[name].isel(point=i), alone[name])
    assert any((batch[name].isel(point=0) != batch[name].isel(point=1)).any() for name in batch.data_vars)


def with_params(part):
    """The part with a Param in place of every value."""
    return replace(part, {d.name: xm.Param(parameter_value(part, d.name), reg=1.0) for d in declared_parameters(part)})


@classes(PARTS)
def test_a_param_counts_as_its_value(cls):
    sim, monitors, paths = simulator(cls)
    system, seen = sim.system, monitors
    if issubclass(cls, xm.NeuralMass):
        system = dataclasses.replace(system, node=with_params(system.node))
    elif issubclass(cls, xm.Coupling):
        system = dataclasses.replace(system, coupling=with_params(system.coupling))
    elif issubclass(cls, Noise):
        system = dataclasses.replace(system, node=replace(system.node, {"noise_x": with_params(system.node.noise_x)}))
    else:
        seen = {name: with_params(what) for name, what in monitors.items()}
    other = xm.Simulator(system, dt=sim.dt, tile=2)
    assert set(paths) <= set(free_parameters(system, seen))
    xr.testing.assert_identical(other.parameters(seen), sim.parameters(monitors))
    records = [result_attrs(resolve(s.config, Request(3.0, monitors=m, seed=1))) for s, m in ((other, seen), (sim, monitors))]
    assert records[0] == records[1]


# ---- equations
def states_of(model, value=None):
    given = {}
    for s in model.states:
        start = 0.5 * (s.initial.low + s.initial.high) if isinstance(s.initial, Uniform) else s.initial
        given[s.name] = jnp.asarray(start if value is None else value, jnp.float64)
    return given


def equation(cls):
    """``drift`` as a function of parameters, states and inputs."""
    model = cls()
    bare = replace(model, {path: None for path, _, _ in noise_fields(model)})

    def rates(p, s, u):
        past = {then.name: s[then.state] for then in cls.past}
        made = replace(bare, p).drift(SimpleNamespace(**s, **past), SimpleNamespace(**u))
        return {name: jnp.asarray(made[name], jnp.float64) for name in s}

    return rates


@functools.cache
def slopes_of(cls):
    """The derivatives of ``drift`` by parameters, states and inputs, compiled once."""
    return jax.jit(jax.jacrev(equation(cls), argnums=(0, 1, 2)))


@classes(MODELS)
@pytest.mark.parametrize("at", [None, 0.0, 0.5], ids=["initial", "zero", "half"])
def test_gradients_of_the_drift_are_finite(cls, at):
    with jax.enable_x64(True):
        p = {d.name: jnp.asarray(d.default, jnp.float64) for d in declared_parameters(cls)}
        u = {i.name: jnp.asarray(0.0, jnp.float64) for i in cls.inputs}
        by = slopes_of(cls)(p, states_of(cls(), at), u)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(by))


@classes(MODELS)
def test_gradients_of_the_drift_equal_finite_differences(cls):
    with jax.enable_x64(True):
        p = {d.name: jnp.asarray(d.default, jnp.float64) for d in declared_parameters(cls)}
        s, u = states_of(cls(), 0.37), {i.name: jnp.asarray(0.01, jnp.float64) for i in cls.inputs}
        rates = jax.jit(equation(cls))
        by = slopes_of(cls)(p, s, u)
        scale = max(float(abs(r)) for r in rates(p, s, u).values())
        for name, value in p.items():
            h = 1e-5 * max(abs(float(value)), 1e-2)
            up, down = (rates({**p, name: value + sign * h}, s, u) for sign in (1, -1))
            for state in s:
                difference = (float(up[state]) - float(down[state])) / (2 * h)
                # second-order differences of a step of 1e-5: rounding 1e-16 * scale / h, truncation h^2
                assert float(by[state][0][name]) == pytest.approx(difference, rel=1e-5, abs=1e-7 * max(scale / h * 1e-4, 1.0)), (
                    state,
                    name,
                )


@classes(MODELS)
def test_the_input_of_a_state_is_added_to_its_derivative(cls):
    with jax.enable_x64(True):
        p = {d.name: jnp.asarray(d.default, jnp.float64) for d in declared_parameters(cls)}
        u = {i.name: jnp.asarray(0.0, jnp.float64) for i in cls.inputs}
        by = slopes_of(cls)(p, states_of(cls(), 0.3), u)
    direct = [s.name for s in cls.states if s.name not in cls.indirect]
    assert direct
    for state in (s.name for s in cls.states):
        assert all(float(by[state][2][name]) == float(state == name) for name in direct), state
        assert state in direct or all(float(slope) == 0 for slope in by[state][2].values()), f"{state} is indirect and takes an input"


@classes(MODELS)
def test_every_parameter_has_an_effect(cls):
    """A parameter that changes nothing at any of some states is a leftover. Delays act through time alone."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        p = {d.name: jnp.asarray(d.default + 0.01, jnp.float64) for d in declared_parameters(cls)}
        used = dict.fromkeys(p, False)
        for _ in range(5):
            s = {n: jnp.asarray(rng.uniform(-0.9, 0.9), jnp.float64) for n in states_of(cls())}  # both branches
            u = {i.name: jnp.asarray(rng.uniform(0.1, 0.9), jnp.float64) for i in cls.inputs}
            by = slopes_of(cls)(p, s, u)
            for name in p:
                used[name] |= any(bool(by[state][0][name] != 0) for state in s)
    delays = {then.delay for then in cls.past}
    assert [name for name, effect in used.items() if not effect and name not in delays] == []


@classes(COUPLINGS)
def test_gradients_of_a_coupling_are_finite(cls):
    with jax.enable_x64(True):
        p = {d.name: jnp.asarray(d.default, jnp.float64) for d in declared_parameters(cls)}

        def current(p, total, own, strength):
            made = replace(make(cls), p)
            sent = made.pre(total)
            return made.post(sent, own, strength)

        slopes = jax.jit(jax.jacrev(current, argnums=(0, 1, 2, 3)))
        for x in (0.0, 0.3, -2.0):
            arguments = [jnp.asarray(v, jnp.float64) for v in (x, 0.5 * x, 1.0)]
            by = slopes(p, *arguments)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(by))


# ---- noises
@classes(NOISES)
def test_every_parameter_of_a_noise_has_an_effect(cls):
    sim, _, paths = simulator(cls)
    values = sim.parameters()
    points = {
        path: ("point", [float(values[path]) + (0.5 if i == j else 0.0) for j in range(-1, len(paths))]) for i, path in enumerate(paths)
    }
    found = run(cls, xr.Dataset(points)).x
    for i, path in enumerate(paths):
        assert (found.isel(point=i + 1) != found.isel(point=0)).any(), path


@classes(NOISES)
def test_gradients_of_a_noise_are_finite(cls):
    with jax.enable_x64(True):
        zero = jnp.zeros((1, 1))
        p = {d.name: jnp.full((1, 1), d.default) for d in declared_parameters(cls)}
        s, ahead = SimpleNamespace(x=zero), SimpleNamespace(x=zero + 0.1)

        def two_steps(p):
            process = replace(make(cls), p)
            factors, draw = process.factors(0.1), lambda size: 0.7 * size
            if process.white:
                return process.increment(draw, factors, s, ahead).sum()
            carry = process.start(0.1, jnp.full((process.start_draws, 1, 1), 0.3) if process.start_draws else None)
            first, carry = process.advance(carry, draw, factors)
            second, _ = process.advance(carry, draw, factors)
            return (first + second).sum()

        slopes = jax.jit(jax.grad(two_steps))
        special = [{}, *({"exponent": zero + e} for e in (-2.0, -1.0, 0.0, 1.0, 2.0) if "exponent" in p), {"sigma": zero}]
        for values in special:
            assert all(np.isfinite(by).all() for by in slopes({**p, **values}).values()), values


# ---- observations
def series(rows=40):
    t = np.arange(1, rows + 1) * 0.1
    x = 0.3 + 0.1 * np.sin(0.5 * t)[:, None] * [1.0, -0.4, 0.2] + 0.02 * np.cos(2 * t)[:, None] * [0.1, 1.0, 0.7]
    coords = {"time": ("time", t, {"units": "ms", "axis": "T"}), "region": LABELS["region"], "seed": 1}
    return xr.Dataset({"x": (("time", "region"), x)}, coords)


@classes(OBSERVATIONS)
def test_an_observation_of_a_run_is_that_of_the_stored_trajectory(cls):
    sim, _, _ = simulator(cls, precision="float64")
    start = {"x": xr.DataArray([0.1, 0.3, 0.2], dims="region")}
    both = sim.run(4.0, monitors={"seen": make(cls), "x": "x"}, initial=start)
    stored = xm.observe(both[["x"]], {"seen": make(cls)})
    # the same code on other block lengths: sums of up to 40 rows in another order
    np.testing.assert_allclose(both.seen, stored.seen, rtol=1e-12, atol=1e-14)


@classes(OBSERVATIONS)
def test_observing_a_second_time_compiles_nothing(cls):
    xm.observe(series(), {"seen": make(cls)})
    values = {d.name: 1.01 * parameter_value(make(cls), d.name) for d in declared_parameters(cls)}
    with compilations() as count:
        xm.observe(2 * series().assign_coords(time=series().time), {"seen": make(cls, **values)})
    assert count.number == 0


@classes(OBSERVATIONS)
def test_gradients_of_an_observation_are_finite(cls):
    from xmass.core.observe import Block

    rows = 40
    with jax.enable_x64(True):
        x = jnp.asarray(series(rows).x.values[:, :, None])
        values = {d.name: np.asarray(parameter_value(make(cls), d.name)) for d in declared_parameters(cls)}
        p = {name: jnp.asarray(v.reshape(-1, 1) if v.ndim else v, jnp.float64) for name, v in values.items()}

        def seen(p, x):
            observation = replace(make(cls).fitted(0.1, 0, rows), p)
            timing = observation.timing(0.1)
            zero = jnp.int32(0)
            block = Block(x, zero, jnp.int32(rows), zero, zero, jnp.bool_(True), jnp.ones_like(x))
            state, out = observation.step(observation.init(x[0]), block, timing, jnp.asarray(0.1))
            return observation.value(state).sum() if cls.reduces else out.sum()

        slope = jax.jit(lambda p, x, dp, dx: jax.jvp(seen, (p, x), (dp, dx)))  # forwards: the length of a block is not static
        still = jax.tree.map(jnp.zeros_like, p)
        for name in p:
            assert np.isfinite(slope(p, x, {**still, name: jnp.ones_like(p[name])}, jnp.zeros_like(x))).all(), name
        assert np.isfinite(slope(p, x, still, jnp.ones_like(x))).all()


# ---- objectives
def functions():
    return pytest.mark.parametrize("build", OBJECTIVES, ids=[f.__name__ for f in OBJECTIVES])


def pair(takes, lead=()):
    rng = np.random.default_rng(0)
    simulated, recorded = (rng.normal(size=(*lead, 30, 4)).cumsum(axis=-2) for _ in range(2))
    if takes == "lagged":
        return tuple(lagged_matrices(v, [0, 1]) for v in (simulated, recorded))
    if takes in ("fc", "fcd"):
        return tuple(np.stack([np.corrcoef(s.T) for s in v.reshape(-1, 30, 4)]).reshape(*lead, 4, 4) for v in (simulated, recorded))
    return (np.exp(simulated), np.exp(recorded)) if takes == "spectrum" else (simulated, recorded)


@functions()
def test_an_objective_is_best_for_equal_data(build):
    score = build()
    simulated, recorded = pair(score.takes)
    equal, other = float(score(recorded, recorded)), float(score(simulated, recorded))
    assert equal > other if score.direction == "max" else equal < other
    assert equal == pytest.approx(score.best, abs=1e-12)  # sums of some hundred numbers of size 1
    assert score.name and score.meaning


@functions()
def test_a_batch_of_scores_is_its_scores(build):
    score = build()
    simulated, recorded = pair(score.takes, (3,))
    scores = score(simulated, recorded[0])
    np.testing.assert_allclose(scores, [score(s, recorded[0]) for s in simulated], rtol=1e-13)


@functions()
def test_gradients_of_an_objective_are_finite_and_right(build):
    score = build()
    simulated, recorded = pair(score.takes)
    with jax.enable_x64(True):
        by = jax.grad(lambda s: score(s, jnp.asarray(recorded)))(jnp.asarray(simulated))
        assert np.isfinite(by).all()
        toward = np.random.default_rng(1).normal(size=simulated.shape)
        h = 1e-6
        difference = (score(simulated + h * toward, recorded) - score(simulated - h * toward, recorded)) / (2 * h)
        assert float((np.asarray(by) * toward).sum()) == pytest.approx(float(difference), rel=1e-6, abs=1e-9)
        at_best = jax.grad(lambda s: score(s, jnp.asarray(recorded)))(jnp.asarray(recorded))
        assert np.isfinite(at_best).all()


@functions()
def test_an_objective_keeps_the_dtype(build):
    score = build()
    simulated, recorded = (jnp.asarray(v, jnp.float32) for v in pair(score.takes))
    assert score(simulated, recorded).dtype == jnp.float32


@functions()
def test_the_docstring_of_an_objective_has_an_example(build):
    doc = inspect.getdoc(build) or ""
    assert ">>>" in doc and "Parameters\n----------" in doc


def test_every_parameter_of_a_system_is_listed_with_unit_and_meaning():
    for cls in MODELS:
        sim, _, _ = simulator(cls)
        listed = sim.parameters()
        for path in system_parameters(sim.system):
            if not path.startswith("initial."):
                assert listed[path].attrs["units"] and listed[path].attrs["long_name"], path
