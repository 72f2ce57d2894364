"""A batch is its runs, bit for bit at one tile; noise is data; what diverges is marked and nothing else changes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.counting import compilations
from tests.labelled.bad import X_TO_X, node, noisy, params
from tests.labelled.test_dims_of_results import COHORT, SC, START
from xmass.labelled.rebuild import DivergenceWarning

NOISY = xm.HopfStep(w=0.3, noise_x=xm.WhiteNoise(sigma=0.1), noise_y=xm.OUProcess(sigma=0.1, tau=5.0))


def wired(sc=SC, **arguments):
    return xm.Simulator(xm.Network(NOISY, sc, speed=5.0, coupling=X_TO_X), **{"dt": 0.1, "tile": 4, **arguments})


def bits(run):
    return run.x.reset_coords(drop=True)


# ---- batch and runs
@pytest.mark.long
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_batch_equals_its_runs(precision):
    sim = wired(precision=precision)
    p = params(a=("a", [-0.1, 0.0, 0.1]), **{"coupling.k": ("k", [0.2, 0.5])})
    batch = sim.run(8.0, p, monitors=["x"], initial=START, seed=3)
    assert batch.x.dtype == precision
    for a in batch.a.values:
        for k in p.k.values:
            alone = sim.run(8.0, params(a=a, **{"coupling.k": p["coupling.k"].isel(k=k).item()}), monitors=["x"], initial=START, seed=3)
            xr.testing.assert_identical(bits(batch.sel(a=a).isel(k=k)).drop_attrs(), bits(alone).drop_attrs())


@pytest.mark.long
def test_adding_runs_leaves_old_runs_alone():
    sim, a = wired(), np.linspace(-0.1, 0.2, 9)
    few = sim.run(8.0, params(a=("a", a[:3])), monitors=["x"], initial=START, seed=3)
    many = sim.run(8.0, params(a=("a", a)), monitors=["x"], initial=START, seed=3)
    xr.testing.assert_equal(bits(few), bits(many.isel(a=slice(0, 3))))


def test_subjects_do_not_see_each_other():
    both = wired(COHORT).run(8.0, params(a=("a", [0.0, 0.1])), monitors=["x"], initial=START, seed=3)
    assert both.x.dims == ("a", "subject", "time", "region")
    swapped = wired(COHORT.isel(subject=[1, 0])).run(8.0, params(a=("a", [0.0, 0.1])), monitors=["x"], initial=START, seed=3)
    xr.testing.assert_equal(bits(both.sel(subject="s1")), bits(swapped.sel(subject="s1")))
    alone = wired(COHORT.sel(subject="s2")).run(8.0, params(a=("a", [0.0, 0.1])), monitors=["x"], initial=START, seed=3)
    np.testing.assert_allclose(both.x.sel(subject="s2"), alone.x, rtol=2e-5, atol=1e-6)


def test_monitors_do_not_change_each_other():
    alone = wired().run(8.0, monitors=["x"], initial=START, seed=3)
    seen = {"x": "x", "y": "y", "b": xm.BOLDSignal(of="x", tr=2.0), "fc": xm.FunctionalConnectivity(of="y"), "r": lambda s: s.x**2}
    np.testing.assert_array_equal(alone.x, wired().run(8.0, monitors=seen, initial=START, seed=3).x)


# ---- noise
def test_one_seed_of_a_batch_repeats_its_trial():
    batch = wired().run(4.0, monitors=["x"], initial=START, batch_size=3, seed=2)
    assert batch.x.dims == ("batch", "time", "region") and len(np.unique(batch.seed)) == 3
    for i in range(3):
        alone = wired().run(4.0, monitors=["x"], initial=START, seed=int(batch.seed[i]))
        xr.testing.assert_equal(bits(batch.isel(batch=i)), bits(alone))
    more = wired().run(4.0, monitors=["x"], initial=START, batch_size=5, seed=2)
    np.testing.assert_array_equal(more.x[:3], batch.x)


def test_common_random_numbers_along_a_sweep_and_own_noise_along_the_dim_of_seed():
    same = params(a=("point", [0.1, 0.1]))
    run = noisy().run(3.0, same, monitors=["x"], seed=4)
    np.testing.assert_array_equal(run.x[0], run.x[1])
    run = noisy().run(3.0, same.assign(seed=("point", [4, 5])), monitors=["x"])
    assert (run.x[0] != run.x[1]).any()
    run = noisy().run(3.0, same, monitors=["x"], batch_size=2, seed=4)
    np.testing.assert_array_equal(run.x[0], run.x[1])
    assert (run.x[:, 0] != run.x[:, 1]).any()


def test_noise_does_not_depend_on_duration_precision_monitors_or_neighbours():
    short, long = noisy().run(2.0, monitors=["x"], seed=4), noisy().run(6.0, monitors=["x", "y"], seed=4)
    np.testing.assert_array_equal(short.x, long.x[:20])
    double = xm.Simulator(noisy().system, dt=0.1, precision="float64").run(2.0, monitors=["x"], seed=4)
    np.testing.assert_allclose(double.x, short.x, rtol=1e-4, atol=1e-6)  # the draws are equal, the sums are rounded


@pytest.mark.parametrize("noise", [xm.WhiteNoise(sigma=0.1), xm.OUProcess(sigma=0.1)], ids=["white", "ou"])
def test_noise_of_each_region_has_its_own_size(noise):
    bank = xm.Simulator(xm.HopfStep(w=0.3, noise_x=noise), dt=0.1, regions=3)  # odd: draws come in pairs of regions
    alike = bank.run(3.0, monitors=["x"], seed=1)
    sigma = xr.DataArray([0.1, 0.0, 0.1], dims="region")
    own = bank.run(3.0, params(**{"noise_x.sigma": sigma}), monitors=["x"], seed=1)
    np.testing.assert_array_equal(own.x[:, [0, 2]], alike.x[:, [0, 2]])
    assert not own.x[:, 1].any() and alike.x[:, 1].any()


def test_without_a_seed_two_runs_differ():
    assert (noisy().run(1.0, monitors=["x"]).x != noisy().run(1.0, monitors=["x"]).x).any()


def test_regions_and_streams_are_independent():
    bank = xm.Simulator(xm.LinearStep(noise_x=xm.WhiteNoise(sigma=1.0)), dt=0.1, regions=2, precision="float64")
    x = bank.run(2000.0, monitors=["x"], seed=0).x
    step = np.diff(x.values, axis=0)
    assert abs(np.corrcoef(step.T)[0, 1]) < 4 / np.sqrt(len(step))  # four standard errors of an empty correlation


# ---- divergence
def test_only_the_run_that_diverges_is_marked_with_one_warning():
    p = params(beta=("beta", [1.0, -5.0, 2.0]))
    sim = xm.Simulator(xm.HopfStep(a=0.1, w=0.3), dt=0.1, tile=4)
    with pytest.warns(DivergenceWarning, match=r"1 of 3 runs .*beta=-5\.0") as caught:
        run = sim.run(20.0, p, monitors=["x"], initial={"x": 1.0})
    assert len(caught) == 1
    assert run.diverged.dims == ("beta",) and run.diverged.values.tolist() == [False, True, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rest = sim.run(20.0, p.isel(beta=[0, 2]), monitors=["x"], initial={"x": 1.0})
    np.testing.assert_array_equal(run.x.isel(beta=[0, 2]), rest.x)
    assert np.isfinite(rest.x).all() and not np.isfinite(run.x.isel(beta=1)).all()


# ---- dtype
@pytest.mark.long
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_variable_has_the_precision_that_was_asked_for(precision):
    seen = {
        "x": "x",
        "b": xm.BOLDSignal(of="x", tr=1.0),
        "fc": xm.FunctionalConnectivity(of="x"),
        "m": xm.TemporalAverage(of="x", period=1.0),
    }
    run = wired(precision=precision).run(4.0, monitors={**seen, "r": lambda s: s.x**2}, initial=START, seed=0, restart=True)
    assert {str(v.dtype) for n, v in run.data_vars.items() if n != "initial.step"} == {precision}
    assert run["initial.step"].dtype == np.int64


# ---- units
def test_units_of_every_kind_give_the_same_run():
    import brainunit as u
    import pint_xarray  # noqa: F401

    def arguments(tau, speed, dt, duration, weights):
        model = xm.HopfStep(a=0.1, w=0.3, noise_x=xm.OUProcess(sigma=0.1, tau=tau))
        sim = xm.Simulator(xm.Network(model, SC.assign(weights=weights), speed=speed, coupling=X_TO_X), dt=dt)
        return sim.run(duration, monitors=["x"], initial=START, seed=1)

    plain = arguments(20.0, 10.0, 0.1, 4.0, SC.weights)
    quantity = arguments(0.02 * u.second, 10 * u.meter / u.second, 100 * u.us, 0.004 * u.second, SC.weights)
    attrs = arguments(
        xr.DataArray(0.02, attrs={"units": "s"}),
        xr.DataArray(1.0, attrs={"units": "cm/ms"}),
        xr.DataArray(1e-4, attrs={"units": "s"}),
        xr.DataArray(4000.0, attrs={"units": "us"}),
        SC.weights.assign_attrs(units="1"),
    )
    pint = arguments(
        xr.DataArray(0.02, attrs={"units": "s"}).pint.quantify(),
        xr.DataArray(1.0, attrs={"units": "cm/ms"}).pint.quantify(),
        xr.DataArray(0.1, attrs={"units": "ms"}).pint.quantify(),
        xr.DataArray(4.0, attrs={"units": "ms"}).pint.quantify(),
        SC.weights.assign_attrs(units="dimensionless"),
    )
    for other in (quantity, attrs, pint):
        np.testing.assert_array_equal(other.x, plain.x)
        xr.testing.assert_equal(other.time, plain.time)
    p = xr.Dataset({"a": ("a", [100.0, 200.0], {"units": "Hz"})})
    swept = [short_sweep(q) for q in (p, p.pint.quantify(), params(a=("a", [0.1, 0.2])))]
    np.testing.assert_array_equal(swept[0].x, swept[1].x)
    np.testing.assert_array_equal(swept[0].x, swept[2].x)


def short_sweep(p):
    return node().run(3.0, p, monitors=["x"], initial={"x": 0.1})


# ---- monitors
def test_outputs_and_functions_are_monitors():
    sim = xm.Simulator(xm.MontbrioPazoRoxinStep(), dt=0.01, regions=2)
    names = [o.name for o in xm.MontbrioPazoRoxinStep.outputs]
    states = [s.name for s in xm.MontbrioPazoRoxinStep.states]
    first = states[0]
    seen = {
        **{n: n for n in (*names, *states)},
        "double": lambda s: 2 * getattr(s, first),
        "centred": lambda s: getattr(s, first) - getattr(s, first).mean(),
    }
    run = sim.run(1.0, monitors=seen, initial={first: xr.DataArray([0.1, 0.3], dims="region")})
    np.testing.assert_array_equal(run.double, 2 * run[first])
    np.testing.assert_allclose(run.centred, run[first] - run[first].mean("region"), atol=1e-6)
    averaged = sim.run(
        1.0, monitors={"m": xm.TemporalAverage(of=lambda s: 2 * getattr(s, first), period=1.0)}, initial={first: 0.1}, seed=0
    )
    alone = sim.run(1.0, monitors=[first], initial={first: 0.1}, seed=0)[first]
    np.testing.assert_allclose(averaged.m[0], 2 * alone.mean("time"), rtol=1e-5)


def test_a_rate_that_reads_the_coupling_is_that_of_its_equation():
    sc = SC.drop_vars("distances")
    model = xm.WongWangExcInhStep()
    net = xm.Network(model, sc, coupling=xm.AdditiveCoupling(k=0.2, source="S_e", target="coupling"))
    run = xm.Simulator(net, dt=1.0, precision="float64").run(20.0, monitors=["S_e", "S_i", "H_e"])
    coupling = 0.2 * xr.dot(sc.weights, run.S_e.rename(region="region_other"), dim="region_other")
    x = model.w_p * model.J_N * run.S_e - model.J_i * run.S_i + model.I_o + model.J_N * coupling
    y = model.a_e * x - model.b_e
    np.testing.assert_allclose(run.H_e, (y / (1 - np.exp(-model.d_e * y))).transpose("time", "region"), rtol=1e-9)


def test_several_couplings_add_up():
    def run(coupling):
        sim = xm.Simulator(xm.Network(xm.HopfStep(w=0.3), SC, speed=5.0, coupling=coupling), dt=0.1, precision="float64")
        return sim.run(20.0, monitors=["x", "y"], initial=START)

    one = run(xm.DiffusiveCoupling(k=0.5, source="x", target="x"))
    two = run({"p": xm.DiffusiveCoupling(k=0.2, source="x", target="x"), "q": xm.DiffusiveCoupling(k=0.3, source="x", target="x")})
    np.testing.assert_allclose(one.x, two.x, rtol=1e-12, atol=1e-14)
    cross = run({"p": xm.DiffusiveCoupling(k=0.5, source="x", target="x"), "q": xm.AdditiveCoupling(k=0.4, source="y", target="y")})
    assert abs(cross.y - one.y).max() > 1e-3
    names = xm.Simulator(
        xm.Network(xm.HopfStep(), SC, coupling={"p": X_TO_X, "q": xm.AdditiveCoupling(source="y", target="y")}), dt=0.1
    ).parameters()
    assert {"coupling.p.k", "coupling.q.k", "coupling.q.b"} <= set(names.data_vars)


def test_what_varies_does_not_compile_again():
    sim = wired()
    sim.run(2.0, params(a=("a", [0.1, 0.2])), monitors=["x"], initial=START, seed=1)
    with compilations() as count:
        sim.run(2.0, params(w=("w", [0.1, 0.2, 0.3])), monitors=["x"], initial=START, seed=1)
        sim.run(2.0, params(**{"coupling.k": 0.2}), monitors=["x"], initial=START, seed=1)
    assert count.number == 0
