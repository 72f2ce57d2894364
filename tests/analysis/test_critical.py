"""Critical values against closed forms and the bifurcation points of the papers."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import brainunit as u
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.conftest import shared_path


def crossing(model, parameter, params=None, *, dt=0.1, **options):
    return xm.critical(xm.Simulator(model, dt=dt), parameter, params, **options)


class Normal(xm.NeuralMass):
    """A user's model with closed forms: a fold (c = 0), a transcritical (c = 1) or a pitchfork (c = 2)."""

    states: ClassVar = (xm.State("x", -0.5, "1"),)
    inputs: ClassVar = (xm.Input("x", "1/ms"),)

    a: Any = xm.parameter(-1.0, "1", "distance")
    shift: Any = xm.parameter(0.0, "1", "where it happens")
    c: Any = xm.parameter(0.0, "1", "which one")
    tau: Any = xm.parameter(1.0, "ms", "time constant")

    def drift(self, s, u):
        a = self.a - self.shift
        form = jnp.where(self.c == 0.0, a + s.x**2, jnp.where(self.c == 1.0, a * s.x - s.x**2, a * s.x - s.x**3))
        return dict(x=form / self.tau + u.x)


# ---------------------------------------------------------------------------------------------------------- one node
@pytest.mark.long
def test_the_kinds_are_told_apart_at_every_point_of_a_sweep():
    sweep = xr.Dataset({"c": ("c", [0.0, 1.0, 2.0]), "shift": ("shift", [-0.3, 0.0, 0.25])})
    found = crossing(Normal(), "a", sweep, bounds=(-1.0, 0.5), near={"x": xr.DataArray([-0.9, 0.0, 0.0], dims="c")})
    assert found.a.dims == ("c", "shift") and found.x.dims == ("c", "shift", "region")
    assert found.a.attrs["units"] == "1" and found.frequency.attrs["units"] == "Hz"
    # at the fold a step of 1e-10 of the range leaves an eigenvalue of 1e-5, whose square is what is extrapolated
    np.testing.assert_allclose(found.a, np.broadcast_to([-0.3, 0.0, 0.25], (3, 3)), atol=1e-9)
    np.testing.assert_allclose(found.x, 0.0, atol=1e-6)
    assert (found.frequency == 0).all()
    assert found.kind[:, 1].values.tolist() == ["fold", "pitchfork or transcritical", "pitchfork or transcritical"]
    assert (found.kind == found.kind[:, :1]).all()


def test_from_above_another_branch_is_followed():
    # x = +sqrt(-a) is unstable and ends in the same fold; from a = 0.5 on there is nothing
    found = crossing(Normal(), "a", bounds=(-1.0, 0.5), near={"x": 1.0})
    assert float(found.a) == pytest.approx(0.0, abs=1e-9) and str(found.kind.values) == "fold"
    with pytest.raises(ValueError, match=r"there is no fixed point at a=0\.5"):
        crossing(Normal(), "a", bounds=(0.5, -1.0))


@pytest.mark.parametrize(
    ("bounds", "value", "V"), [((0.0, 1.0), 0.72606, 0.27685), ((1.0, 2.0), 1.33155, 0.61203), ((2.0, 0.0), 1.33155, 0.61203)]
)
def test_fitzhugh_nagumo_starts_and_stops_oscillating(bounds, value, V):
    found = crossing(xm.FitzHughNagumoStep(), "inputs.V", bounds=bounds)
    assert float(found["inputs.V"]) == pytest.approx(value, abs=5e-6)
    assert found.V.item() == pytest.approx(V, abs=5e-6)
    assert str(found.kind.values) == "hopf"
    # there trace is 0 and the frequency the root of the determinant: J = [[e/tau, -1], [1/tau, -e/tau]], e = 1/2
    assert float(found.frequency) == pytest.approx(1000 / (2 * np.pi) * np.sqrt(1 / 20 - (0.5 / 20) ** 2), rel=1e-9)


@pytest.mark.parametrize(
    ("bounds", "near", "value", "hertz"),
    [
        ((50.0, 200.0), {"M": 0.1}, 89.829, 10.377),
        ((200.0, 400.0), {}, 315.696, 11.164),
        ((0.0, 200.0), {}, 113.586, 0.0),
        ((80.0, -100.0), {"M": 0.03}, -41.301, 0.0),
    ],
)
def test_jansen_rit_has_the_points_of_grimbert_and_faugeras(bounds, near, value, hertz):
    found = crossing(xm.JansenRitStep(), "inputs.E", bounds=bounds, near=near)
    assert found["inputs.E"].attrs["units"] == "Hz"
    assert float(found["inputs.E"]) == pytest.approx(value, abs=5.1e-4)
    assert float(found.frequency) == pytest.approx(hertz, abs=5.1e-4)
    assert str(found.kind.values) == ("hopf" if hertz else "fold")


@pytest.mark.long
def test_larter_breakspear_starts_to_oscillate():
    found = crossing(xm.LarterBreakspearStep(), "d_V", bounds=(0.45, 0.6))
    assert float(found.d_V) == pytest.approx(0.515272, abs=5e-7)
    assert found.V.item() == pytest.approx(-0.18125, abs=5e-6)
    assert float(found.frequency) == pytest.approx(1000 * 0.6788 / (2 * np.pi), abs=0.01)


@pytest.mark.long
def test_lorenz_has_its_pitchfork_and_its_hopf_point():
    # rho = 1, and sigma (sigma + beta + 3) / (sigma - beta - 1) with frequency sqrt(beta (sigma + rho))
    first = crossing(xm.LorenzStep(), "rho", bounds=(0.5, 40.0), dt=0.01)
    assert float(first.rho) == pytest.approx(1.0, abs=1e-9) and str(first.kind.values) == "pitchfork or transcritical"
    wing = crossing(xm.LorenzStep(), "rho", bounds=(2.0, 40.0), near={"x": 1.6}, dt=0.01)
    rho = 10 * (10 + 8 / 3 + 3) / (10 - 8 / 3 - 1)
    assert float(wing.rho) == pytest.approx(rho, rel=1e-10) and str(wing.kind.values) == "hopf"
    assert float(wing.frequency) == pytest.approx(1000 / (2 * np.pi) * np.sqrt(8 / 3 * (10 + rho)), rel=1e-9)


def test_the_active_branch_of_montbrio_ends():
    found = crossing(xm.MontbrioPazoRoxinStep(), "J", bounds=(21.0, 10.0), near={"r": 1.85}, dt=0.01)
    assert float(found.J) == pytest.approx(13.97773, abs=5e-6) and str(found.kind.values) == "fold"


@pytest.mark.long
def test_the_result_is_a_parameter_dataset_at_which_an_eigenvalue_is_zero():
    sim = xm.Simulator(xm.WilsonCowanStep(), dt=0.1)
    sweep = xr.Dataset({"w_ei": ("w_ei", [3.0, 4.0, 5.0])})
    found = xm.critical(sim, "w_ee", sweep, bounds=(20.0, 5.0), near={"rE": 0.5})
    either_side = [xm.fixed_points(sim, sweep.assign(w_ee=found.w_ee + gap)).rE.count("fixed_point") for gap in (1e-6, -1e-6)]
    np.testing.assert_array_equal(either_side[0] - either_side[1], 2)  # the active state and the saddle meet there
    assert sim.run(1.0, found[["w_ee"]].assign_coords(w_ei=sweep.w_ei)).rE.dims == ("w_ei", "time", "region")


# ---------------------------------------------------------------------------------------------------------- networks
SC = xm.datasets.load_dataset("example_connectome")


def test_a_diffusive_hopf_network_oscillates_when_its_nodes_do():
    net = xm.Network(xm.HopfStep(w=0.3), SC, speed=10.0, coupling=xm.DiffusiveCoupling(k=0.05, source="x", target="x"))
    found = crossing(net, "a", bounds=(-0.5, 0.3))
    assert float(found.a) == pytest.approx(0.0, abs=1e-12)
    assert float(found.frequency) == pytest.approx(1000 * 0.3 / (2 * np.pi), rel=1e-9)
    assert found.a.dims == () and found.x.dims == ("region",)


@pytest.mark.long
def test_an_additive_hopf_network_oscillates_before_its_nodes():
    # Of the mode of W with eigenvalue l: [[a + k l, -w], [w, a]] has trace 2 a + k l, determinant w^2 - (k l / 2)^2 at trace 0.
    net = xm.Network(xm.HopfStep(w=0.3), SC, coupling=xm.AdditiveCoupling(source="x", target="x"))
    k = np.array([0.02, 0.05])
    found = crossing(net, "a", xr.Dataset({"coupling.k": ("k", k)}), bounds=(-0.5, 0.3))
    largest = np.linalg.eigvals(SC.weights.values).real.max()
    np.testing.assert_allclose(found.a, -k * largest / 2, rtol=1e-9)
    np.testing.assert_allclose(found.frequency, 1000 / (2 * np.pi) * np.sqrt(0.3**2 - (k * largest / 2) ** 2), rtol=1e-9)
    again = crossing(
        net, "coupling.k", xr.Dataset({"a": found.a.drop_vars("coupling.k", errors="ignore").rename({"k": "point"})}), bounds=(0.0, 0.1)
    )
    np.testing.assert_allclose(again["coupling.k"], k, rtol=1e-9)


def test_a_linear_network_with_a_sweep_of_connectomes():
    # x' = gamma x + k W x: k = 1 / l for gamma = -1; nothing but the weights differs between subjects
    weights = SC.weights * xr.DataArray([1.0, 2.0], dims="subject", coords={"subject": ["S1", "S2"]})
    net = xm.Network(xm.LinearStep(gamma=-1.0), SC.assign(weights=weights), coupling=xm.AdditiveCoupling(source="x", target="x"))
    # a field keeps the fixed point of the critical mode from being any: at 0 for every k below it is one
    found = crossing(net, "coupling.k", bounds=(0.0, 3.0))
    largest = np.linalg.eigvals(SC.weights.values).real.max()
    assert found["coupling.k"].dims == ("subject",) and found.subject.values.tolist() == ["S1", "S2"]
    np.testing.assert_allclose(found["coupling.k"], [1 / largest, 0.5 / largest], rtol=1e-9)


@pytest.mark.long
def test_inhibition_that_follows_the_coupling_holds_up_to_the_known_value():
    # With J_i in closed form every region stays at 3.08 Hz; an eigenvalue reaches zero at G = 0.567 (subject 1, weights / max).
    with xr.open_dataset(shared_path("data", "hcp_subject_1.nc"), engine="h5netcdf") as ds:
        mask = ds.cortical.values
        weights = ds.weights.values[mask][:, mask]
    sc = xr.Dataset({"weights": (("region", "region_other"), weights / weights.max())})
    sim = xm.Simulator(xm.Network(xm.WongWangExcInhStep(), sc, coupling=xm.AdditiveCoupling(source="S_e", target="coupling")), dt=1.0)
    follow = {"J_i": lambda q: xm.inhibition_control(sc, q["coupling.k"])}
    found = xm.critical(sim, "coupling.k", bounds=(0.4, 0.6), derive=follow, steps=4)
    assert float(found["coupling.k"]) == pytest.approx(0.567, abs=5e-4)
    # the two branches that cross there are parted by the rounding of J_i, 1e-13, whose root is the error
    assert float(found["coupling.k"]) == pytest.approx(float(xm.critical_coupling(sc)), abs=1e-6)
    np.testing.assert_allclose(found.S_e, 0.16475721, atol=1e-6)


@pytest.mark.long
def test_a_derived_parameter_has_the_subjects_of_the_connectome():
    weights = SC.weights * xr.DataArray([1.0, 2.0], dims="subject", coords={"subject": ["S1", "S2"]})
    cohort = SC.assign(weights=weights)[["weights"]]
    net = xm.Network(xm.HopfStep(w=0.3, a=-0.1), cohort, coupling=xm.DiffusiveCoupling(source="x", target="x"))
    # a follows k differently in each subject and region: a = -0.1 + k on average over subjects 1 and 2
    slope = xr.DataArray([1.0, 2.0], dims="subject", coords={"subject": ["S2", "S1"]})
    found = crossing(net, "coupling.k", bounds=(0.0, 0.3), derive={"a": lambda q: -0.1 + slope * q["coupling.k"]})
    np.testing.assert_allclose(found["coupling.k"].sel(subject=["S1", "S2"]), [0.05, 0.1], rtol=1e-9)


@pytest.mark.long
def test_each_region_of_a_bank_has_its_own_value():
    shift = xr.DataArray([-0.5, 0.0, 0.2], dims="region")
    found = crossing(Normal(shift=shift), "a", bounds=(-1.0, 0.5))
    assert found.a.dims == ("region",)
    np.testing.assert_allclose(found.a, shift, atol=1e-9)


# ---------------------------------------------------------------------------------------------------------- units, errors
def test_bounds_and_inputs_have_units():
    found = crossing(xm.JansenRitStep(), "inputs.E", bounds=(0.2 * u.kHz, 0.4 * u.kHz), inputs={"M": 0.0 * u.mV})
    assert float(found["inputs.E"]) == pytest.approx(315.696, abs=5e-4)
    tau = crossing(xm.FitzHughNagumoStep(), "tau", bounds=(1.0 * u.ms, 0.1 * u.second), inputs={"V": 0.75})
    assert tau.tau.attrs["units"] == "ms" and 1.0 < float(tau.tau) < 100.0
    with pytest.raises(ValueError, match="bounds came in mV, needs Hz"):
        crossing(xm.JansenRitStep(), "inputs.E", bounds=(0.0 * u.mV, 1.0 * u.mV))


def test_nothing_that_crosses_is_an_error_that_says_what_was_found():
    with pytest.raises(ValueError, match=r"goes from 0\.1251 per ms at inputs\.V=1 to 0\.1187 at 1\.1, where .*without crossing zero"):
        crossing(xm.FitzHughNagumoStep(), "inputs.V", bounds=(1.0, 1.1))


def test_points_without_a_crossing_are_nan_with_one_warning():
    with pytest.warns(UserWarning, match=r"no critical a at 1 of 2 points \(by position: \[\{'shift': 1\}\]\)") as said:
        found = crossing(Normal(), "a", xr.Dataset({"shift": ("shift", [0.0, 9.0])}), bounds=(-1.0, 0.5))
    assert len(said) == 1
    np.testing.assert_allclose(found.a, [0.0, np.nan], atol=1e-9)
    assert found.kind.values.tolist() == ["fold", ""] and found.x[1].isnull().all()


def test_a_state_that_reaches_its_bound_is_no_fold():
    class Held(xm.NeuralMass):
        states: ClassVar = (xm.State("x", 0.5, "1", bounds=(0.0, 1.0)),)
        inputs: ClassVar = (xm.Input("x", "1/ms"),)
        a: Any = xm.parameter(0.5, "1", "rest")
        tau: Any = xm.parameter(1.0, "ms", "time constant")

        def drift(self, s, u):
            return dict(x=(self.a - s.x) / self.tau + u.x)

    with pytest.raises(ValueError, match="leaves the bounds of the states"):
        crossing(Held(), "a", bounds=(0.5, 2.0))


def test_bad_arguments_are_named():
    with pytest.raises(KeyError, match=r"parameter='aa'.*did you mean 'a'"):
        crossing(xm.HopfStep(), "aa", bounds=(0, 1))
    noisy = xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1))
    for name in ("noise_x.sigma", "initial.x"):
        with pytest.raises(KeyError, match=f"{name} is no number in the equations"):
            crossing(noisy, name, bounds=(0, 1))
    with pytest.raises(ValueError, match="a is given and looked for"):
        crossing(xm.HopfStep(), "a", xr.Dataset({"a": 0.1}), bounds=(0, 1))
    with pytest.raises(ValueError, match=r"inputs\.x is given and looked for"):
        crossing(xm.HopfStep(), "inputs.x", inputs={"x": 0.1}, bounds=(0, 1))
    with pytest.raises(ValueError, match=r"\['w'\] are given in params and in derive"):
        crossing(xm.HopfStep(), "a", xr.Dataset({"w": 0.1}), derive={"w": lambda q: q.a}, bounds=(0, 1))
    with pytest.raises(TypeError, match=r"derive\['w'\] is a float"):
        crossing(xm.HopfStep(), "a", derive={"w": 0.1}, bounds=(0, 1))
    with pytest.raises(ValueError, match="bounds=1, needs where to begin"):
        crossing(xm.HopfStep(), "a", bounds=1)
    with pytest.raises(ValueError, match="are equal"):
        crossing(xm.HopfStep(), "a", bounds=(1, 1))
    with pytest.raises(ValueError, match="steps=0"):
        crossing(xm.HopfStep(), "a", bounds=(-1, 1), steps=0)
    with pytest.raises(KeyError, match="near has 'z'"):
        crossing(xm.HopfStep(), "a", bounds=(-1, 1), near={"z": 0})
    with pytest.raises(TypeError, match="has a step of its own and no drift"):
        xm.fixed_points(xm.Simulator(xm.WhiteNoise(), dt=0.1))


def test_warnings_of_a_derived_parameter_are_not_shown():
    def noisy(q):
        warnings.warn("beyond", UserWarning, stacklevel=1)
        return 0.3 + 0.0 * q.a

    found = crossing(xm.HopfStep(), "a", bounds=(-0.2, 0.3), derive={"w": noisy})
    assert float(found.frequency) == pytest.approx(300 / (2 * np.pi), rel=1e-9)
