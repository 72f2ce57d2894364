"""A Param counts as its value wherever a parameter may stand; free ones are found, converted and checked."""

import brainunit as u
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.labelled.free import declared, free_parameters
from xmass.labelled.parameters import Spec, system_parameters

REGIONS = [f"R{i}" for i in range(4)]
WEIGHTS = np.array([[0, 1, 0.5, 0], [0.3, 0, 0.2, 0], [0.9, 0.4, 0, 1], [0, 0, 1, 0]])
SC = xr.Dataset(
    {"weights": (("region", "region_other"), WEIGHTS), "distances": (("region", "region_other"), 4.0 * (WEIGHTS > 0))},
    {"region": REGIONS, "region_other": REGIONS},
)
A = xr.DataArray([-0.1, -0.2, -0.05, -0.1], dims="region", coords={"region": REGIONS})
P = xm.Param


def network(wrap):
    """One system, each of whose values goes through ``wrap``."""
    node = xm.HopfStep(
        a=wrap(A), w=wrap(0.3 * u.radian / u.ms), noise_x=xm.OUProcess(sigma=wrap(0.1), tau=wrap(0.02 * u.second)), beta=wrap(2.0)
    )
    return xm.Network(node, SC, speed=wrap(10 * u.meter / u.second), coupling=xm.DiffusiveCoupling(k=wrap(0.5), source="x", target="x"))


def both(build):
    return build(xm.Param), build(lambda value: value)


def monitors(wrap):
    bold = xm.BOLDSignal(of="x", tr=2.0, tau=wrap(980.0))
    return {"x": "x", "bold": bold, "fc": xm.FunctionalConnectivity(of=bold)}


# ---- a Param counts as its value
def test_a_run_its_record_and_its_repetition_are_those_of_the_value():
    mine, plain = both(network)
    runs = [
        xm.Simulator(s, dt=0.1).run(10, monitors=monitors(wrap), seed=1, initial={"x": wrap(0.1)})
        for s, wrap in ((mine, xm.Param), (plain, lambda v: v))
    ]
    xr.testing.assert_identical(*runs)  # attrs too: one configuration, one hash
    xr.testing.assert_identical(xm.rerun(runs[0]), runs[0])


def test_parameters_and_plan_and_repr_are_those_of_the_value():
    sims = [xm.Simulator(s, dt=0.1) for s in both(network)]
    xr.testing.assert_identical(sims[0].parameters(monitors(xm.Param)), sims[1].parameters(monitors(lambda v: v)))
    assert repr(xm.plan(sims[0], 10)) == repr(xm.plan(sims[1], 10))
    assert "Param" in repr(sims[0].system.node)


def test_a_dataset_wins_over_a_param():
    sims = [xm.Simulator(s, dt=0.1) for s in both(network)]
    p = xr.Dataset({"beta": ("beta", [1.0, 3.0]), "speed": 5.0})
    results = [sim.run(2, p, monitors=["x"], seed=1) for sim in sims]
    xr.testing.assert_identical(*results)


def test_a_bank_takes_its_regions_from_a_param():
    values = np.array([0.1, 0.2, 0.3])
    found = [
        xm.Simulator(xm.HopfStep(a=a), dt=0.1).run(1, monitors=["x"], initial={"x": 0.1})
        for a in (P(values, dims="region"), xr.DataArray(values, dims="region"), P(xr.DataArray(values, dims="region")))
    ]
    assert found[0].sizes["region"] == 3
    xr.testing.assert_identical(found[0], found[1])
    xr.testing.assert_identical(found[0], found[2])


def test_an_array_of_a_unit_with_dims():
    node = xm.HopfStep(a=P(np.array([100.0, 200.0]) * u.Hz, dims="region"))
    np.testing.assert_allclose(xm.Simulator(node, dt=0.1).parameters().a, [0.1, 0.2])


def test_fixed_points_and_the_linear_twin_are_those_of_the_value():
    sims = [xm.Simulator(xm.HopfStep(a=wrap(-0.1), noise_x=xm.WhiteNoise(sigma=wrap(0.1))), dt=0.1) for wrap in (xm.Param, lambda v: v)]
    xr.testing.assert_identical(*(xm.fixed_points(sim) for sim in sims))
    xr.testing.assert_identical(*(xm.linear_twin(sim).load() for sim in sims))


def test_several_models_and_a_noise_alone():
    assignment = xr.DataArray(["p", "q", "q", "p"], dims="region", coords={"region": REGIONS})
    net = xm.Network({"p": xm.HopfStep(a=P(0.1), noise_x=xm.WhiteNoise(sigma=P(0.1))), "q": xm.LinearStep()}, SC, assignment=assignment)
    assert list(free_parameters(net)) == ["p.a", "p.noise_x.sigma"]
    assert float(xm.Simulator(net, dt=0.1).parameters()["p.a"]) == 0.1
    assert list(free_parameters(xm.Simulator(xm.WhiteNoise(sigma=P(2.0)), dt=0.1).system)) == ["noise.sigma"]


def test_a_store_is_that_of_the_value(tmp_path):
    p = xr.Dataset({"beta": ("beta", [1.0, 3.0])})
    kept = [
        xm.Simulator(xm.HopfStep(a=a), dt=0.1)
        .run_to_zarr(tmp_path / "s.zarr", 2, p, monitors=["x"], initial={"x": 0.1}, seed=1, chunks={"beta": 1})
        .load()
        for a in (P(0.2, bounds=(0, 1)), 0.2)
    ]  # the second call finds the store of the same configuration
    xr.testing.assert_identical(*kept)


def test_equal_observations_run_once_also_with_params():
    one, two = (xm.BOLDSignal(of="x", tr=2.0, tau=P(980.0)) for _ in range(2))
    sim = xm.Simulator(xm.HopfStep(), dt=0.1)
    assert set(sim.run(4, monitors={"p": one, "q": two}, initial={"x": 0.1}).data_vars) == {"p", "q"}
    with pytest.raises(ValueError, match="is given by two Params"):
        free_parameters(sim.system, {"a": one, "b": two})
    assert list(free_parameters(sim.system, {"a": one, "b": one})) == ["bold.tau"]


@pytest.mark.parametrize(
    "call",
    [
        lambda sim: xm.Simulator(sim.system, dt=P(0.1)),
        lambda sim: sim.run(P(1.0)),
        lambda sim: sim.run(1.0, inputs={"x": P(1.0)}),
        lambda sim: sim.run(1.0, inputs={"x": xm.stimuli.pulse(P(1.0), onset=0.0, width=0.5)}),
        lambda sim: sim.run(10.0, monitors={"b": xm.BOLDSignal(of="x", tr=P(2.0))}),
    ],
)
def test_what_is_no_parameter_refuses_a_param(call):
    with pytest.raises(TypeError, match="is a Param, but no parameter"):
        call(xm.Simulator(xm.HopfStep(), dt=0.1))


# ---- free ones are found
def test_free_parameters_by_path():
    mine, plain = both(network)
    seen = monitors(xm.Param)
    assert free_parameters(plain) == {}
    found = free_parameters(mine, {"fc": seen["fc"]})  # the observation that it observes is searched
    assert list(found) == ["a", "w", "beta", "noise_x.sigma", "noise_x.tau", "coupling.k", "speed", "bold.tau"]
    assert found["coupling.k"] is mine.coupling.k
    assert list(free_parameters(mine, ["x"])) == list(found)[:-1]
    assert list(free_parameters(plain, initial={"x": P(0.1), "initial.y": P(0.2), "z": 0.0})) == ["initial.x", "initial.y"]


def test_held_ones_are_left_out_and_named_couplings_have_their_paths():
    coupling = {
        "fast": xm.AdditiveCoupling(k=P(1.0), source="x", target="x"),
        "slow": xm.AdditiveCoupling(k=P(1.0, fit=False), source="y", target="y"),
    }
    net = xm.Network(xm.HopfStep(), {"fast": SC, "slow": SC}, speed={"fast": P(7.0)}, coupling=coupling)
    assert list(free_parameters(net)) == ["coupling.fast.k", "coupling.fast.speed"]


# ---- in the declared unit
def test_units_become_numbers_of_the_declared_unit():
    specs = system_parameters(network(xm.Param))
    tau = declared(
        "noise_x.tau",
        P(0.02 * u.second, bounds=(1.0, 0.1 * u.second), prior=xm.priors.LogNormal(0.03 * u.second, 0.5)),
        specs["noise_x.tau"],
    )
    assert (tau.value, tau.bounds, tau.prior) == (20.0, (1.0, 100.0), xm.priors.LogNormal(30.0, 0.5))
    k = declared("coupling.k", P(xr.DataArray(500.0, attrs={"units": "1/s"})), specs["coupling.k"])
    assert float(k.value) == 0.5
    a = declared("a", P((A * 1000).assign_attrs(units="Hz"), bounds=(-300 * u.Hz, None)), Spec("a", 0.0, "1/ms", ""))
    xr.testing.assert_allclose(a.value, A)
    assert a.bounds == (-0.3, None)


def test_bounds_by_region_and_as_arrays():
    spec = Spec("a", 0.0, "1/ms", "")
    found = declared("a", P(0.5, bounds=(np.zeros(3), [1.0, 2.0, 3.0] * u.kHz), dims="region"), spec)
    xr.testing.assert_equal(found.bounds[1], xr.DataArray([1.0, 2.0, 3.0], dims="region"))
    assert declared("a", P(0.5, bounds=(-np.inf, np.inf)), spec).bounds is None
    assert declared("a", P(0.5, bounds=(0, np.inf)), spec).bounds == (0.0, None)


def test_a_number_that_is_no_parameter_has_no_unit():
    assert declared("b0", P(0.3, bounds=(0, 1))).value == 0.3
    assert declared("b0", P(xr.DataArray([0.3, 0.1], dims="network"))).value.dims == ("network",)
    with pytest.raises(ValueError, match="b0 came in ms, needs 1"):
        declared("b0", P(0.3 * u.ms))


MATRIX = xr.DataArray(WEIGHTS, dims=("region", "region_other"))
BAD = [
    ("a", P(1.0 * u.mV), "a came in mV, needs 1/ms"),
    ("a", P(0.1, bounds=(0 * u.mV, None)), "the lower bound of a came in mV, needs 1/ms"),
    ("a", P(0.1, bounds=(None, 1 * u.mV)), "the upper bound of a came in mV, needs 1/ms"),
    ("a", P(0.1, prior=xm.priors.Normal(1 * u.mV, 1 * u.mV)), "mean of the prior of a came in mV, needs 1/ms"),
    ("a", P(0.1, bounds=(1, 1)), "the bounds of a are 1 and 1, needs the lower one below"),
    ("a", P(0.1, bounds=(1, 0)), "the bounds of a are 1 and 0"),
    ("a", P(A, bounds=(A, A + xr.DataArray([1, 1, 0, 1], dims="region"))), "the bounds of a are -0.2 to -0.05 and"),
    ("a", P(2.0, bounds=(0, 1)), "a starts at 2, beyond its upper bound 1"),
    ("a", P(A, bounds=(-0.15, None)), "a starts at -0.2 to -0.05, beyond its lower bound -0.15"),
    ("a", P(np.nan), "a holds NaN or infinity"),
    ("a", P(xr.where(A == -0.2, np.nan, A)), "a holds NaN or infinity"),
    ("a", P(0.1, bounds=(np.nan, 1)), "the lower bound of a holds NaN"),
    ("a", P(0.1, bounds=(np.inf, None)), "the lower bound of a is inf, which no value keeps"),
    ("a", P(0.1, prior=xm.priors.Normal(np.nan, 1)), "mean of the prior of a holds NaN"),
    ("a", P(np.zeros(4)), "a is an array of shape .4,. without dims"),
    ("a", P(0.1, bounds=(None, A)), "the upper bound of a has the dim 'region', which the value has not: add dims=.'region',."),
    ("a", P(0.1, dims="time"), "a has the dim 'time'; only inputs and weights"),
    ("a", P(A.expand_dims(lag=2)), "a has the dim 'lag'; only initial states"),
    ("a", P(MATRIX), "a has dims .'region', 'region_other'.; only weights and distances"),
    ("speed", P(5.0, dims="region"), "speed has dims .'region',., needs one speed per run"),
    ("weights", P(0.1, dims="region"), "weights has dims .'region',., needs .'region', 'region_other'"),
    ("weights", P(0.1), "weights has dims .., needs .'region', 'region_other'"),
    ("a", P(0.1, bounds=(0, None), transform="logit"), "a: transform='logit' needs two finite bounds"),
    ("a", P(0.1, bounds=(-1, 1), transform="log"), "a: transform='log' is for positive values"),
]


@pytest.mark.parametrize(("path", "param", "message"), BAD, ids=[m[:40] for _, _, m in BAD])
def test_errors_name_the_parameter(path, param, message):
    with pytest.raises(ValueError, match=message):
        declared(path, param, system_parameters(network(xm.Param))[path])


class Halved:
    def forward(self, z):
        return z / 2

    def inverse(self, value):
        return 2 * value


class Numpy(Halved):
    def forward(self, z):
        return np.sinh(np.asarray(z))


class Sum(Halved):
    def forward(self, z):
        return jnp.sum(z)[None]


def test_code_of_ones_own_is_tried_before_a_fit():
    spec = Spec("a", 0.0, "1/ms", "")
    assert declared("a", P(0.1, transform=Halved(), reg=jnp.abs), spec).transform is not None
    with pytest.raises(TypeError, match=r"forward of the transform of a needs the values.*jax.numpy"):
        declared("a", P(0.1, transform=Numpy()), spec)
    with pytest.raises(ValueError, match=r"forward of the transform of a makes \(1,\) of the shape \(\)"):
        declared("a", P(0.1, transform=Sum()), spec)
    with pytest.raises(TypeError, match="reg of a needs the values"):
        declared("a", P(0.1, reg=lambda v: float(v)), spec)


def test_a_distribution_of_numpyro_is_a_prior():
    distributions = pytest.importorskip("numpyro.distributions")
    found = declared("a", P(0.1, prior=distributions.Normal(0.0, 2.0)), Spec("a", 0.0, "1/ms", ""))
    assert float(found.prior.log_prob(0.0)) == pytest.approx(-0.5 * np.log(2 * np.pi * 4), rel=1e-6)
