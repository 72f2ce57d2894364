"""Networks whose regions have different models."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.linalg import expm

import xmass as xm

REGIONS = ["a", "b", "c", "d", "e"]
DIMS = ("region", "region_other")
WEIGHTS = np.array(
    [[0.0, 0.5, 0.2, 0.1, 0.4], [0.3, 0.0, 0.6, 0.2, 0.1], [0.1, 0.2, 0.0, 0.9, 0.3], [0.4, 0.1, 0.5, 0.0, 0.2], [0.2, 0.8, 0.1, 0.3, 0.0]]
)
SC = xr.Dataset({"weights": (DIMS, WEIGHTS), "distances": (DIMS, 3.0 * (WEIGHTS > 0))}, dict.fromkeys(DIMS, REGIONS))
KINDS = xr.DataArray(["fast", "slow", "fast", "slow", "slow"], dims="region", coords={"region": REGIONS})
FAST, SLOW = [0, 2], [1, 3, 4]


def linear(speed=None, **noises):
    """Two linear models with different rates and four couplings: all pairs of models."""
    pairs = {f"{s}_{t}": xm.AdditiveCoupling(k=0.1, source=f"{s}.x", target=f"{t}.x") for s in ("fast", "slow") for t in ("fast", "slow")}
    models = {"fast": xm.LinearStep(gamma=-1.0, **noises), "slow": xm.LinearStep(gamma=-0.2)}
    return xm.Network(models, SC, speed=speed, coupling=pairs, assignment=KINDS)


def total(ds, names=("fast.x", "slow.x")):
    """One variable over all regions."""
    first, second = (ds[n] for n in names)
    return first.fillna(second)


def test_two_linear_models_follow_the_matrix_exponential():
    start = xr.DataArray([1.0, -0.5, 0.3, 0.8, -1.0], dims="region")
    sim = xm.Simulator(linear(), dt=0.01, method="rk4", precision="float64")
    run = sim.run(5.0, initial={"fast.x": start, "slow.x": start})
    rates = np.where(KINDS.values == "fast", -1.0, -0.2)
    exact = expm(5.0 * (np.diag(rates) + 0.1 * WEIGHTS)) @ start.values
    np.testing.assert_allclose(total(run).isel(time=-1), exact, rtol=1e-9)  # fourth order at dt 0.01


def test_one_model_under_two_names_is_the_network_of_one_model():
    hopf = {"a": 0.1, "w": 0.3}
    start = xr.DataArray(np.linspace(-0.3, 0.4, 5), dims="region")
    coupling = xm.AdditiveCoupling(k=0.2, source="x", target="x")
    plain = xm.Network(xm.HopfStep(**hopf), SC, speed=2.0, coupling=coupling)
    pairs = {f"{s}_{t}": xm.AdditiveCoupling(k=0.2, source=f"{s}.x", target=f"{t}.x") for s in ("fast", "slow") for t in ("fast", "slow")}
    split = xm.Network({"fast": xm.HopfStep(**hopf), "slow": xm.HopfStep(**hopf)}, SC, speed=2.0, coupling=pairs, assignment=KINDS)
    one = xm.Simulator(plain, dt=0.1, precision="float64").run(30.0, initial={"x": start})
    two = xm.Simulator(split, dt=0.1, precision="float64").run(30.0, initial={"fast.x": start, "slow.x": start})
    np.testing.assert_allclose(total(two), one.x, rtol=0, atol=1e-13)  # the same sums in another order


def test_values_are_on_the_models_own_regions():
    run = xm.Simulator(linear(), dt=0.1).run(2.0, initial={"fast.x": 1.0, "slow.x": 1.0})
    assert run["fast.x"].isel(time=-1).notnull().values.tolist() == [True, False, True, False, False]
    assert run["slow.x"].isel(time=-1).notnull().values.tolist() == [False, True, False, True, True]


def test_parameters_take_values_of_the_models_regions_by_label():
    sim = xm.Simulator(linear(), dt=0.05, precision="float64")
    gamma = xr.DataArray([-0.3, -0.5], dims="region", coords={"region": ["c", "a"]})
    p = xr.Dataset({"fast.gamma": gamma, "coupling.fast_fast.k": 0.0, "coupling.slow_fast.k": 0.0})
    run = sim.run(4.0, p, initial={"fast.x": 1.0, "slow.x": 0.0})
    # Heun on x' = gamma x multiplies by 1 + z + z^2/2 per step
    z = 0.05 * np.array([-0.5, -0.3])
    np.testing.assert_allclose(run["fast.x"].isel(time=-1, region=FAST), (1 + z + z**2 / 2) ** 80, rtol=1e-12)
    everywhere = gamma.reindex(region=REGIONS)  # NaN where the model is not
    again = sim.run(4.0, p.drop_vars(["fast.gamma", "region"]).assign({"fast.gamma": everywhere}), initial={"fast.x": 1.0, "slow.x": 0.0})
    np.testing.assert_array_equal(again["fast.x"], run["fast.x"])


def test_noise_stays_in_its_model_and_is_that_of_the_region():
    run = xm.Simulator(linear(noise_x=xm.WhiteNoise(sigma=0.1)), dt=0.1).run(
        5.0, xr.Dataset({f"coupling.{s}_{t}.k": 0.0 for s in ("fast", "slow") for t in ("fast", "slow")}), seed=3, initial={"slow.x": 0.0}
    )
    assert bool((run["slow.x"].isel(region=SLOW) == 0).all())
    assert float(run["fast.x"].isel(region=FAST).std()) > 0.02


def test_a_run_continues_bit_for_bit_and_is_made_again():
    sim = xm.Simulator(linear(speed=2.0, noise_x=xm.OUProcess(sigma=0.1, tau=3.0)), dt=0.1)
    p = xr.Dataset({"slow.gamma": ("rate", [-0.2, -0.4])})
    whole = sim.run(12.0, p, seed=1)
    first = sim.run(7.0, p, seed=1, restart=True)
    rest = sim.run(5.0, p, initial=first)
    for name in ("fast.x", "slow.x"):
        np.testing.assert_array_equal(whole[name].isel(time=slice(70, None)), rest[name])
    xr.testing.assert_identical(xm.rerun(rest), rest)


def test_a_store_and_a_lazy_result_hold_the_same(tmp_path):
    sim = xm.Simulator(linear(speed=2.0), dt=0.1)
    p = xr.Dataset({"slow.gamma": ("rate", [-0.2, -0.4, -0.6])})
    call = {"duration": 3.0, "params": p, "monitors": ["fast.x", "slow.x"], "initial": {"fast.x": 1.0, "slow.x": 0.5}}
    whole = sim.run(**call)
    xr.testing.assert_equal(sim.run(**call, chunks={"rate": 1}).compute(), whole)
    xr.testing.assert_equal(sim.run_to_zarr(tmp_path / "s.zarr", **call, chunks={"rate": 2}).load(), whole)


def join(s):
    return jnp.where(jnp.isnan(s.fast.x), s.slow.x, s.fast.x)


def test_observations_and_functions_of_several_models():
    sim = xm.Simulator(linear(), dt=0.1, precision="float64")
    fc = xm.FunctionalConnectivity(of="fast.x")
    seen = {"fc": fc, "fast.x": "fast.x", "slow.x": "slow.x", "all": join, "square": lambda s: s.fast.x**2}
    run = sim.run(20.0, monitors=seen, initial={"fast.x": xr.DataArray([1.0, 0, -1, 0, 0], dims="region"), "slow.x": 0.5})
    own = xm.functional_connectivity(run["fast.x"].isel(region=FAST))
    np.testing.assert_allclose(run.fc.isel(region=FAST, region_other=FAST), own, rtol=0, atol=1e-12)
    assert int(run.fc.notnull().sum()) == 4
    np.testing.assert_array_equal(run["all"], total(run))
    np.testing.assert_array_equal(run["square"].isnull(), run["fast.x"].isnull())
    assert not run.diverged
    states = run[["fast.x", "slow.x"]]
    stored = xm.observe(states, {n: seen[n] for n in ("fc", "all", "square")})  # what a run gives, a stored trajectory gives
    for name in stored:
        np.testing.assert_allclose(stored[name], run[name], rtol=0, atol=1e-12)


def test_an_observation_does_not_diverge_where_its_model_is_not():
    # BOLD of a constant of -3 leaves the finite numbers. In regions of another model a state stays at its initial value.
    sim = xm.Simulator(linear(), dt=0.1)
    zero = xr.Dataset({f"coupling.{s}_{t}.k": 0.0 for s in ("fast", "slow") for t in ("fast", "slow")})
    run = sim.run(3000.0, zero, monitors={"bold": xm.BOLDSignal(of="fast.x", tr=500.0)}, initial={"fast.x": -3.0})
    assert run.bold.notnull().any("bold_time").values.tolist() == [True, False, True, False, False]
    assert not run.diverged


def test_covariance_between_the_regions_of_one_model():
    own = xr.DataArray([[1.0, 0.9], [0.9, 1.0]], dims=DIMS, coords={"region": ["c", "a"], "region_other": ["c", "a"]})
    every = own.reindex(region=REGIONS, region_other=REGIONS)  # NaN where the model is not
    plain = xr.DataArray(np.where(np.eye(2, dtype=bool), 1.0, 0.9), dims=DIMS)
    runs = []
    for covariance in (own, every, plain):
        net = linear(noise_x=xm.WhiteNoise(sigma=0.1, covariance=covariance))
        runs.append(xm.Simulator(net, dt=0.1).run(2000.0, monitors=["fast.x"], seed=3)["fast.x"])
        np.testing.assert_array_equal(runs[0], runs[-1])
    # sampling error of a correlation of 0.9 over 2000 / 1 ms correlation time: 0.19 / sqrt(1000) = 0.006; weak coupling adds as much
    assert abs(float(xr.corr(runs[0][:, 0], runs[0][:, 2])) - 0.9) < 0.03


def test_a_network_keeps_the_models_and_couplings_that_it_was_given():
    models = {"fast": xm.LinearStep(gamma=-1.0), "slow": xm.LinearStep(gamma=-0.2)}
    coupling = {"one": xm.AdditiveCoupling(k=0.1, source="fast.x", target="slow.x")}
    net = xm.Network(models, SC, coupling=coupling, assignment=KINDS)
    models["slow"], coupling["two"] = xm.HopfStep(), coupling["one"]
    assert [s.name for s in net.model.states] == ["fast.x", "slow.x"] and list(net.couplings) == ["coupling.one"]


def test_an_unknown_initial_state_of_a_model_is_named():
    with pytest.raises(KeyError, match=r"initial has 'initial.fast.z', which is unknown.*initial.fast.x"):
        xm.Simulator(linear(), dt=0.1).run(1.0, initial={"fast.z": 0.0})
    with pytest.raises(KeyError, match="inputs has 'x', which the network lacks"):
        xm.Simulator(linear(), dt=0.1).run(1.0, inputs={"x": 0.0})


def test_a_stimulus_reaches_the_models_regions():
    sim = xm.Simulator(linear(), dt=0.1, precision="float64")
    zero = xr.Dataset({f"coupling.{s}_{t}.k": 0.0 for s in ("fast", "slow") for t in ("fast", "slow")})
    drive = xr.DataArray([1.0, 3.0], dims="region", coords={"region": ["c", "a"]})
    run = sim.run(100.0, zero, inputs={"fast.x": drive}, initial={"fast.x": 0.0, "slow.x": 0.0})
    np.testing.assert_allclose(run["fast.x"].isel(time=-1, region=FAST), [3.0, 1.0], rtol=1e-9)  # x* = I / 1
    assert bool((run["slow.x"].isel(region=SLOW) == 0).all())


def test_seconds_and_milliseconds_go_together():
    # A Jansen-Rit column counts in seconds; beside another model it is the column of its own network.
    sc = SC.isel(region=[0, 1], region_other=[0, 1])
    kinds = xr.DataArray(["jr", "hopf"], dims="region")
    mixed = xm.Network({"jr": xm.JansenRitStep.alpha(), "hopf": xm.HopfStep(a=-0.1, w=0.3)}, sc, assignment=kinds)
    run = xm.Simulator(mixed, dt=0.1, precision="float64").run(200.0, monitors=["jr.eeg", "jr.Ev"])
    alone = xm.Simulator(xm.JansenRitStep.alpha(), dt=0.1, precision="float64").run(200.0, monitors=["eeg", "Ev"])
    np.testing.assert_allclose(run["jr.eeg"].isel(region=0), alone.eeg.isel(region=0), rtol=1e-12)
    np.testing.assert_allclose(run["jr.Ev"].isel(region=0), alone.Ev.isel(region=0), rtol=1e-12, atol=1e-9)


BAD = {
    "no assignment": (lambda: xm.Network({"fast": xm.LinearStep()}, SC), TypeError, "assignment, a DataArray over 'region'"),
    "an unknown name": (
        lambda: xm.Network({"fast": xm.LinearStep()}, SC, assignment=KINDS),
        ValueError,
        r"names unknown models \['slow'\]",
    ),
    "a model without a region": (
        lambda: xm.Network({"fast": xm.LinearStep(), "slow": xm.LinearStep(), "third": xm.LinearStep()}, SC, assignment=KINDS),
        ValueError,
        r"gives no region to \['third'\]",
    ),
    "assignment with one model": (lambda: xm.Network(xm.LinearStep(), SC, assignment=KINDS), ValueError, "with one model"),
    "regions that are not there": (
        lambda: xm.Network({"fast": xm.LinearStep(), "slow": xm.LinearStep()}, SC, assignment=KINDS.assign_coords(region=list("abcdz"))),
        ValueError,
        "assignment lacks",
    ),
    "a scheme of its own": (
        lambda: xm.Network({"fast": xm.HORNStep(), "slow": xm.LinearStep()}, SC, assignment=KINDS),
        ValueError,
        "symplectic_euler",
    ),
    "a difference between models": (
        lambda: xm.Network(
            {"fast": xm.LinearStep(), "slow": xm.LinearStep()},
            SC,
            assignment=KINDS,
            coupling=xm.DiffusiveCoupling(source="fast.x", target="slow.x"),
        ),
        ValueError,
        "regions of 'slow' have no 'fast.x'",
    ),
    "a source without a model": (
        lambda: xm.Network(
            {"fast": xm.LinearStep(), "slow": xm.LinearStep()},
            SC,
            assignment=KINDS,
            coupling=xm.AdditiveCoupling(source="x", target="fast.x"),
        ),
        ValueError,
        "source='x', which the network lacks",
    ),
    "a name that is taken": (lambda: xm.Network({"seed": xm.LinearStep()}, SC, assignment=KINDS), ValueError, "a model is called 'seed'"),
    "values of too few regions": (
        lambda: xm.Simulator(linear(), dt=0.1).run(1.0, xr.Dataset({"slow.gamma": ("region", [-1.0, -2.0])})),
        ValueError,
        "slow.gamma has 2 regions without labels, the system has 3",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_said(case):
    call, error, words = BAD[case]
    with pytest.raises(error, match=words):
        call()
