"""Fixed points against closed forms, roots of polynomials, and the numbers of the papers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm


def points(model, params=None, *, dt=0.1, **options):
    return xm.fixed_points(xm.Simulator(model, dt=dt), params, **options)


def values(ds, name):
    """Of one system, as a list."""
    return ds[name].isel(region=0).values


class Own(xm.NeuralMass):
    """A user's model with closed forms: saddle-node, pitchfork and a linear companion that sees the first state delayed."""

    states: ClassVar = (xm.State("x", 0.05, "1"), xm.State("y", 0.0, "1"))
    inputs: ClassVar = (xm.Input("x", "1/ms"), xm.Input("y", "1/ms"))
    past: ClassVar = (xm.Past("x_then", "x", "delay"),)

    noise_x: Any = None
    a: Any = xm.parameter(1.0, "1", "distance")
    tau: Any = xm.parameter(2.0, "ms", "time constant")
    delay: Any = xm.parameter(3.0, "ms", "how late y sees x")

    def drift(self, s, u):
        return dict(x=(self.a * s.x - s.x**3) / self.tau + u.x, y=(2.0 * s.x_then - s.y) / self.tau + u.y)


# ---------------------------------------------------------------------------------------------------------- one node
def test_generic_2d_has_a_stable_focus_by_default():
    found = points(xm.Generic2dOscillatorStep())
    np.testing.assert_allclose(values(found, "V"), [-0.18865], atol=5e-6)
    np.testing.assert_allclose(values(found, "W"), [-0.11348], atol=5e-6)
    np.testing.assert_allclose(found.eigenvalues[0], [-0.02239 + 0.06320j, -0.02239 - 0.06320j], atol=5e-6)
    assert found.stable.values.tolist() == [True]


def test_generic_2d_bistable_has_node_saddle_and_focus():
    found = points(xm.Generic2dOscillatorStep(a=1.0, b=0.0, c2=-5.0, d=0.02))
    np.testing.assert_allclose(values(found, "V"), [-1.61803399, -1.0, 0.61803399], atol=1e-8)
    np.testing.assert_allclose(values(found, "W"), [-12.09016994, -4.0, -0.90983006], atol=1e-8)
    assert found.stable.values.tolist() == [True, False, False]
    assert (found.eigenvalues.imag != 0).any("mode").values.tolist() == [False, False, True]
    saddle, focus = found.eigenvalues.isel(fixed_point=1).real, found.eigenvalues.isel(fixed_point=2).real
    assert sorted(np.sign(saddle)) == [-1, 1] and (focus > 0).all()


@pytest.mark.long
def test_generic_2d_over_a_sweep_has_the_roots_of_its_cubic():
    # W = (a + b V + c V^2) / beta in the nullcline of V: -f V^3 + (e + c) V^2 + (g + b) V + a + I = 0 with alpha = beta = gamma = 1
    a, c2 = np.linspace(-4, 4, 9), np.linspace(-5.0, 1.0, 4)
    sweep = xr.Dataset({"a": ("a", a), "c2": ("c2", c2), "b": 1.5})
    found = points(xm.Generic2dOscillatorStep(), sweep)
    assert found.V.dims == ("a", "c2", "fixed_point", "region")
    assert found.eigenvalues.dims == ("a", "c2", "fixed_point", "mode")
    for i, j in np.ndindex(9, 4):
        roots = np.roots([-1.0, 3.0 + c2[j], 1.5, a[i]])
        real = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
        here = found.isel(a=i, c2=j, region=0)
        np.testing.assert_allclose(here.V[: len(real)], real, rtol=1e-9, atol=1e-12)
        assert here.V[len(real) :].isnull().all() and not here.stable[len(real) :].any()
        np.testing.assert_allclose(here.W[: len(real)], a[i] + 1.5 * real + c2[j] * real**2, rtol=1e-9, atol=1e-11)


@pytest.mark.long
def test_wilson_cowan_is_bistable_with_a_saddle_between():
    found = points(xm.WilsonCowanStep())
    np.testing.assert_allclose(values(found, "rE"), [0.0, 0.178037, 0.462465], atol=1e-6)
    np.testing.assert_allclose(values(found, "rI"), [0.0, 0.062801, 0.243364], atol=1e-6)
    assert found.stable.values.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("J", "r", "focus"),
    [
        (14.0, (0.08017043, 0.66133975, 0.74220586), -0.4289 + 0.9827j),
        (15.0, (0.08113444, 0.47298034, 1.03059680), -0.3089 + 3.3186j),
        (21.0, (0.08878608, 0.24699571, 1.85505157), -0.1716 + 7.6119j),
    ],
)
def test_montbrio_has_node_saddle_and_focus(J, r, focus):
    found = points(xm.MontbrioPazoRoxinStep(J=J), dt=0.01)
    np.testing.assert_allclose(values(found, "r"), r, atol=5e-9)
    np.testing.assert_allclose(values(found, "v"), -1.0 / (2.0 * np.pi * np.array(r)), rtol=1e-6)
    assert found.stable.values.tolist() == [True, False, True]
    np.testing.assert_allclose(found.eigenvalues[2], [focus, np.conj(focus)], atol=5e-5)
    assert (found.eigenvalues[:2].imag == 0).all()


@pytest.mark.long
def test_montbrio_has_every_real_root_of_its_quartic():
    # With v = -Delta / (2 pi r): r^4 - J/pi^2 r^3 - eta/pi^2 r^2 - Delta^2 / (4 pi^4) = 0; one root is a negative rate,
    # out of the declared bounds of r and there without them.
    J = np.linspace(12.0, 22.0, 6)
    p = xr.Dataset({"J": ("J", J)})
    found = points(xm.MontbrioPazoRoxinStep(), p, dt=0.01).squeeze("region")
    unbound = xm.fixed_points(xm.Simulator(xm.MontbrioPazoRoxinStep(), dt=0.01, bounds=False), p).squeeze("region")
    for i, j in enumerate(J):
        roots = np.roots([1.0, -j / np.pi**2, 5.0 / np.pi**2, 0.0, -1.0 / (4 * np.pi**4)])
        every = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
        np.testing.assert_allclose(unbound.r[i, : len(every)], every, rtol=1e-8)
        real = every[every > 0]
        np.testing.assert_allclose(found.r[i, : len(real)], real, rtol=1e-8)
        assert found.r[i].count() == len(real)


def test_lorenz_has_its_three_points():
    found = points(xm.LorenzStep(), dt=0.01)
    wing = np.sqrt(8.0 / 3.0 * 27.0)
    np.testing.assert_allclose(values(found, "x"), [-wing, 0.0, wing], atol=1e-10)
    np.testing.assert_allclose(values(found, "z"), [27.0, 0.0, 27.0], atol=1e-10)
    assert not found.stable.any()


@pytest.mark.long
def test_jansen_rit_between_its_saddle_nodes():
    # Grimbert and Faugeras 2006: three branches between -41.3 and 113.6 Hz; the upper one is stable up to 89.83 Hz.
    drive = xr.DataArray([-60.0, 0.0, 80.0, 100.0, 120.0], dims="p")
    found = points(xm.JansenRitStep(), inputs={"E": drive})
    assert found.M.count("fixed_point").values.ravel().tolist() == [1, 3, 3, 3, 1]
    assert found.stable.values.tolist() == [
        [True, False, False],
        [True, False, True],
        [True, False, True],
        [True, False, False],
        [False, False, False],
    ]
    rest = found.isel(p=1, fixed_point=0, region=0)
    assert float(rest.E - rest.I) == pytest.approx(-1.9038, abs=5e-5)


def test_linear_and_hopf_nodes_are_exact():
    linear = points(xm.LinearStep(), inputs={"x": 5.0})
    np.testing.assert_allclose(values(linear, "x"), [0.5], rtol=1e-14)
    np.testing.assert_allclose(linear.eigenvalues, [[-10.0]])
    hopf = points(xm.HopfStep(a=-0.1, w=0.3))
    assert values(hopf, "x").tolist() == [0.0] and hopf.stable.values.tolist() == [True]
    np.testing.assert_allclose(hopf.eigenvalues[0], [-0.1 + 0.3j, -0.1 - 0.3j], rtol=1e-14)


def test_wong_wang_rests_at_3_hz():
    found = points(xm.WongWangExcInhStep(), dt=1.0)
    np.testing.assert_allclose(values(found, "S_e"), [0.16475721], atol=5e-9)
    np.testing.assert_allclose(values(found, "S_i"), [0.03921845], atol=5e-9)


def test_delayed_reads_of_a_region_s_own_states_change_no_fixed_point():
    found, delayed = points(xm.WilsonCowanStep()), points(xm.WilsonCowanDelayedStep())
    np.testing.assert_allclose(delayed.rE, found.rE, atol=1e-12)
    np.testing.assert_allclose(delayed.rI, found.rI, atol=1e-12)


@pytest.mark.parametrize("cls", [xm.FitzHughNagumoStep, xm.WilsonCowanStep, xm.JansenRitStep], ids=lambda c: c.__name__)
def test_rates_vanish_and_eigenvalues_are_those_of_finite_differences(cls):
    model = cls()
    found = points(model).isel(region=0)
    names, per_ms = [s.name for s in model.states], 1e-3 if model.time_unit == "s" else 1.0
    inputs = SimpleNamespace(**{i.name: 0.0 for i in model.inputs})

    def rates(x):
        with jax.enable_x64(True):
            made = model.drift(SimpleNamespace(**dict(zip(names, jnp.asarray(x)))), inputs)
            return per_ms * np.array([float(made[n]) for n in names])

    for k in range(found.sizes["fixed_point"]):
        x = np.array([float(found[n][k]) for n in names])
        steps = 1e-5 * np.maximum(np.abs(x), 1.0)
        jacobian = np.stack([(rates(x + h) - rates(x - h)) / (2 * s) for h, s in zip(np.diag(steps), steps)], axis=1)
        # eleven digits of the terms that cancel
        assert np.abs(rates(x)).max() < 1e-11 * max(1.0, np.abs(jacobian).max() * np.abs(x).max())
        expected = np.sort_complex(np.linalg.eigvals(jacobian))
        # central differences: the step's square times the third derivative of a steep sigmoid, and rounding over the step
        np.testing.assert_allclose(np.sort_complex(found.eigenvalues[k].values), expected, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------------------------------------------- a user's model
def test_a_user_s_model_with_its_pitchfork_and_its_delay():
    found = points(Own(noise_x=xm.WhiteNoise(sigma=0.1)), xr.Dataset({"a": ("a", [-1.0, 0.25, 4.0])})).squeeze("region")
    np.testing.assert_allclose(found.x, [[0.0, np.nan, np.nan], [-0.5, 0.0, 0.5], [-2.0, 0.0, 2.0]], atol=1e-12)
    np.testing.assert_allclose(found.y, 2.0 * found.x, atol=1e-12)
    np.testing.assert_array_equal(found.stable, [[True, False, False], [True, False, True], [True, False, True]])
    # the first state alone: a / tau at 0, -2 a / tau beside; the second decays with tau, whatever it saw how late
    np.testing.assert_allclose(found.eigenvalues[2], [[-0.5, -4.0], [2.0, -0.5], [-0.5, -4.0]], atol=1e-12)


def test_parameters_and_inputs_have_units_and_labels():
    tau = xr.DataArray([2000.0, 4000.0], dims="pace", coords={"pace": ["fast", "slow"]}, attrs={"units": "us"})
    found = points(Own(), xr.Dataset({"tau": tau}))
    assert found.pace.values.tolist() == ["fast", "slow"] and found.tau.values.tolist() == [2.0, 4.0]
    np.testing.assert_allclose(found.eigenvalues.sel(pace="slow").isel(fixed_point=0).real, [-0.25, -0.5])
    assert found.eigenvalues.attrs["units"] == "1/ms" and found.x.attrs["units"] == "1"
    in_khz = points(xm.JansenRitStep(), inputs={"E": 0.12 * u.kHz})
    np.testing.assert_allclose(in_khz.M, points(xm.JansenRitStep(), inputs={"E": 120.0}).M, rtol=1e-12)


def test_every_dim_of_a_parameter_is_one_of_the_result():
    noisy = Own(noise_x=xm.OUProcess(sigma=0.1, tau=5.0))
    sweep = xr.Dataset({"noise_x.sigma": ("sigma", [0.1, 0.2]), "a": ("a", [-1.0, 1.0]), "seed": ("batch", [1, 2, 3])})
    found = points(noisy, sweep)
    assert found.x.dims == ("sigma", "a", "batch", "fixed_point", "region")
    xr.testing.assert_identical(found.x.isel(sigma=0, batch=0, drop=True), found.x.isel(sigma=1, batch=2, drop=True))


def test_ranges_restrict_what_is_found():
    found = points(Own(), search={"x": (0.5, 2.0)})
    np.testing.assert_allclose(values(found, "x"), [1.0])
    everywhere = points(Own(), search={"x": (-2.0, 2.0)}, starts=32)
    np.testing.assert_allclose(values(everywhere, "x"), [-1.0, 0.0, 1.0], atol=1e-12)


def test_declared_bounds_hold_unless_they_are_switched_off():
    class Held(xm.NeuralMass):
        states: ClassVar = (xm.State("x", 0.5, "1", bounds=(0.0, 1.0)),)
        inputs: ClassVar = (xm.Input("x", "1/ms"),)
        tau: Any = xm.parameter(1.0, "ms", "time constant")

        def drift(self, s, u):
            return dict(x=-(s.x + 0.5) * (s.x - 0.25) * (s.x - 2.0) / self.tau + u.x)

    np.testing.assert_allclose(values(points(Held()), "x"), [0.25])
    free = xm.fixed_points(xm.Simulator(Held(), dt=0.1, bounds=False))
    np.testing.assert_allclose(values(free, "x"), [-0.5, 0.25, 2.0])


# ---------------------------------------------------------------------------------------------------------- several regions
WEIGHTS = np.array([[0.0, 1.0, 0.5], [0.3, 0.0, 0.2], [0.9, 0.4, 0.0]])
SC = xr.Dataset(
    {"weights": (("region", "region_other"), WEIGHTS), "distances": (("region", "region_other"), 40.0 * (WEIGHTS > 0))},
    {"region": ["p", "q", "r"], "region_other": ["p", "q", "r"]},
)


def network(model, coupling, **options):
    return xm.Simulator(xm.Network(model, SC, coupling=coupling, **options), dt=0.1)


def test_a_linear_network_is_solved_exactly_with_and_without_delays():
    # x' = gamma x + k W x + I: x = -(gamma + k W)^-1 I, eigenvalues of the matrix
    drive = xr.DataArray([1.0, 2.0, 3.0], dims="region", coords={"region": ["p", "q", "r"]})
    matrix = -1.0 * np.eye(3) + 0.4 * WEIGHTS
    for options in ({}, {"speed": 10.0}):
        coupling = xm.AdditiveCoupling(k=0.4, source="x", target="x")
        found = xm.fixed_points(network(xm.LinearStep(gamma=-1.0), coupling, **options), inputs={"x": drive})
        np.testing.assert_allclose(found.x.isel(fixed_point=0), np.linalg.solve(-matrix, drive), rtol=1e-12)
        np.testing.assert_allclose(np.sort_complex(found.eigenvalues[0].values), np.sort_complex(np.linalg.eigvals(matrix)), rtol=1e-12)
        assert found.eigenvalues.dims == ("fixed_point", "mode") and found.region.values.tolist() == ["p", "q", "r"]
        assert "without delays" in found.eigenvalues.attrs["long_name"]


def test_a_diffusive_network_keeps_the_points_of_its_nodes_and_loses_their_combinations():
    # Uniform states feel no diffusive coupling. Strong coupling leaves these three alone of the 27 without coupling.
    strong = xm.fixed_points(network(Own(), xm.DiffusiveCoupling(k=20.0, source="x", target="x")))
    np.testing.assert_allclose(strong.x, np.array([[-1.0], [0.0], [1.0]]) * np.ones(3), atol=1e-10)
    assert strong.stable.values.tolist() == [True, False, True]
    laplacian = np.diag(WEIGHTS.sum(axis=1)) - WEIGHTS
    modes = np.sort_complex(np.concatenate([-1.0 - 20.0 * np.linalg.eigvals(laplacian), np.full(3, -0.5)]))
    np.testing.assert_allclose(np.sort_complex(strong.eigenvalues[0].values), modes, rtol=1e-10)
    none = xm.fixed_points(network(Own(), xm.DiffusiveCoupling(k=0.0, source="x", target="x")), starts=4096)
    assert none.sizes["fixed_point"] == 27 and int(none.stable.sum()) == 8


def test_regions_are_aligned_by_label_and_weights_may_vary():
    a = xr.DataArray([4.0, 1.0, 0.25], dims="region", coords={"region": ["r", "q", "p"]})
    scale = xr.DataArray([0.0, 1.0], dims="s")
    found = xm.fixed_points(
        network(Own(), xm.AdditiveCoupling(k=0.01, source="x", target="x")),
        xr.Dataset({"a": a, "weights": scale * SC.weights}),
        search={"x": (0.3, 5.0)},
    )
    assert found.x.dims == ("s", "fixed_point", "region")
    np.testing.assert_allclose(found.x.isel(s=0, fixed_point=0), [0.5, 1.0, 2.0], rtol=1e-12)
    coupled = found.x.isel(s=1, fixed_point=0).values
    np.testing.assert_allclose(([0.25, 1.0, 4.0] * coupled - coupled**3) / 2.0 + 0.01 * WEIGHTS @ coupled, 0.0, atol=1e-12)


def test_each_region_of_a_bank_is_a_system_of_its_own():
    a = xr.DataArray([-1.0, 1.0, 4.0], dims="region")
    found = points(Own(a=a), xr.Dataset({"tau": ("tau", [1.0, 2.0])}))
    assert found.x.dims == ("tau", "fixed_point", "region")
    assert found.eigenvalues.dims == ("tau", "fixed_point", "region", "mode") and found.stable.dims == ("tau", "fixed_point", "region")
    np.testing.assert_allclose(found.x[0].T, [[0.0, np.nan, np.nan], [-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0]], atol=1e-12)


def test_couplings_with_several_signals_and_own_functions_are_followed():
    # Two phases with sine coupling: theta' = omega + k sin(theta_j - theta_i); in phase or in antiphase, each along a line.
    pair = SC.isel(region=slice(2), region_other=slice(2)).assign(weights=(("region", "region_other"), np.array([[0.0, 1.0], [1.0, 0.0]])))
    sim = xm.Simulator(xm.Network(xm.KuramotoStep(), pair, coupling=xm.SineCoupling(k=0.1, source="theta", target="theta")), dt=0.1)
    with pytest.raises(ValueError, match="along a line"):
        xm.fixed_points(sim)


def test_regions_with_different_models_have_their_own_states():
    # p and r are linear and rest at their input; q, a pitchfork, gets their sum and has the roots of its cubic.
    kinds = xr.DataArray(["slow", "fork", "slow"], dims="region", coords={"region": ["p", "q", "r"]})
    net = xm.Network(
        {"slow": xm.LinearStep(gamma=-1.0), "fork": Own(a=1.0)},
        SC,
        coupling=xm.AdditiveCoupling(k=0.1, source="slow.x", target="fork.x"),
        assignment=kinds,
    )
    drive = xr.DataArray([0.5, 1.0], dims="region", coords={"region": ["p", "r"]})
    found = xm.fixed_points(xm.Simulator(net, dt=0.1), inputs={"slow.x": drive})
    received = 0.1 * (0.3 * 0.5 + 0.2 * 1.0)
    roots = np.sort(np.roots([-1.0, 0.0, 1.0, 2.0 * received]).real)
    assert found["fork.x"].dims == ("fixed_point", "region")
    np.testing.assert_allclose(found["fork.x"].sel(region="q"), roots, rtol=1e-10)
    np.testing.assert_allclose(found["slow.x"].sel(region=["p", "r"]), np.tile([0.5, 1.0], (3, 1)), rtol=1e-12)
    assert found["slow.x"].sel(region="q").isnull().all() and found["fork.x"].sel(region=["p", "r"]).isnull().all()
    assert found.sizes["mode"] == 4 and found.stable.values.tolist() == [True, False, True]
    modes = [-1.0, -1.0, -0.5, (1.0 - 3.0 * roots[0] ** 2) / 2.0]
    np.testing.assert_allclose(np.sort(found.eigenvalues[0].real), np.sort(modes), rtol=1e-9)


def test_couplings_with_connectomes_of_their_own():
    # x' = gamma x + (k1 W + k2 W^T) x + I
    back = SC.assign(weights=(("region", "region_other"), WEIGHTS.T))
    pair = {n: xm.AdditiveCoupling(k=k, source="x", target="x") for n, k in (("there", 0.3), ("back", 0.1))}
    net = xm.Network(xm.LinearStep(gamma=-1.0), {"there": SC, "back": back}, coupling=pair)
    found = xm.fixed_points(xm.Simulator(net, dt=0.1), xr.Dataset({"coupling.back.k": ("k", [0.1, 0.2])}), inputs={"x": 1.0})
    for i, k in enumerate((0.1, 0.2)):
        exact = np.linalg.solve(np.eye(3) - 0.3 * WEIGHTS - k * WEIGHTS.T, np.ones(3))
        np.testing.assert_allclose(found.x[i, 0], exact, rtol=1e-12)


def test_a_laplacian_coupling_sums_with_its_own_matrix():
    sim = network(xm.LinearStep(gamma=-1.0), xm.LaplacianCoupling(k=0.4, source="x", target="x"))
    found = xm.fixed_points(sim, inputs={"x": xr.DataArray([1.0, 2.0, 4.0], dims="region")})
    laplacian = WEIGHTS - np.diag(WEIGHTS.sum(axis=1))
    np.testing.assert_allclose(found.x[0], np.linalg.solve(np.eye(3) - 0.4 * laplacian, [1.0, 2.0, 4.0]), rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------- what cannot be
class Drift(xm.NeuralMass):
    states: ClassVar = (xm.State("x", 0.0, "1"),)
    inputs: ClassVar = (xm.Input("x", "1/ms"),)
    k: Any = xm.parameter(1.0, "1/ms", "rate")

    def drift(self, s, u):
        return dict(x=self.k * jnp.exp(-s.x) + u.x)


def test_rest_at_infinity_is_not_taken_for_a_point():
    with pytest.raises(ValueError, match=r"no fixed point of Drift was found from 512 starts.*search=\{'x': \(low, high\)\}"):
        points(Drift())
    np.testing.assert_allclose(values(points(Drift(), inputs={"x": -0.5}), "x"), [np.log(2.0)])


def test_a_line_of_points_is_named():
    with pytest.raises(ValueError, match="LinearStep has fixed points along a line"):
        points(xm.LinearStep(gamma=0.0))


def test_bad_arguments_are_named():
    sim = xm.Simulator(Own(), dt=0.1)
    with pytest.raises(TypeError, match="sim is a Own, needs a Simulator"):
        xm.fixed_points(Own())
    with pytest.raises(KeyError, match=r"search has 'z'.*it has 'x', 'y'"):
        xm.fixed_points(sim, search={"z": (0, 1)})
    with pytest.raises(ValueError, match="lower value first"):
        xm.fixed_points(sim, search={"x": (1, 0)})
    with pytest.raises(ValueError, match=r"search\['x'\]=3, needs the lowest and the highest"):
        xm.fixed_points(sim, search={"x": 3})
    with pytest.raises(ValueError, match="starts=0"):
        xm.fixed_points(sim, starts=0)
    timed = SC.weights.expand_dims(time=[0.0, 10.0])
    with pytest.raises(ValueError, match="weights that do not change"):
        xm.fixed_points(network(Own(), xm.AdditiveCoupling(source="x", target="x")), xr.Dataset({"weights": timed}))
    series = xr.DataArray([0.0, 1.0], dims="time", coords={"time": [0.0, 10.0]})
    with pytest.raises(ValueError, match=r"inputs\['x'\] varies in time"):
        xm.fixed_points(sim, inputs={"x": series})
    with pytest.raises(ValueError, match=r"inputs\['x'\] varies in time"):
        xm.fixed_points(sim, inputs={"x": lambda t: 0.0 * t})
    with pytest.raises(KeyError, match="params has 'aa'"):
        xm.fixed_points(sim, xr.Dataset({"aa": 1.0}))


def test_the_result_says_what_it_is_and_is_the_same_again():
    sim = xm.Simulator(Own(), dt=0.1)
    found, again = xm.fixed_points(sim), xm.fixed_points(sim)
    xr.testing.assert_identical(found, again)
    assert "Newton" in found.attrs["method"] and "fixed_points" in found.attrs
    assert not jax.config.jax_enable_x64
