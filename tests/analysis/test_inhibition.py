"""The witness of the closed form is a root of the 2 N equations as the paper writes them, found by scipy."""

from __future__ import annotations

import warnings

import brainunit as u
import jax
import numpy as np
import pytest
import xarray as xr
from scipy.optimize import brentq, root

from tests.conftest import shared_path
from xmass.analysis.inhibition import critical_coupling, inhibition_control
from xmass.core.model import declared_parameters
from xmass.datasets import make_cohort
from xmass.models.inhibition import ExcInhParameters, inhibition_weights, network_jacobian, operating_point, rest_rate, transfer
from xmass.models.wong_wang import WongWangExcInhStep

REST = 3.07732706  # Hz, of an uncoupled region


def rates(x, a, b, d):
    return (a * x - b) / -np.expm1(-d * (a * x - b))


def fields(state, weights, G, J_i, *, w_p=1.4, lamda=0.0, J_N=0.15):
    """Derivatives [1/ms] and excitatory rates [Hz] of the network, with the numbers of Deco et al. 2014."""
    S_e, S_i = np.split(state, 2)
    c = G * weights @ S_e
    H_e = rates(w_p * J_N * S_e - J_i * S_i + 0.382 + J_N * c, 310, 125, 0.16)
    H_i = rates(J_N * S_e - S_i + 0.7 * 0.382 + lamda * J_N * c, 615, 177, 0.087)
    return np.concatenate([-S_e / 100 + (1 - S_e) * 0.641e-3 * H_e, -S_i / 10 + 1e-3 * H_i]), H_e


def fixed_point_rates(weights, G, J_i, **parameters):
    n = len(weights)
    start = np.concatenate([np.full(n, 0.15), np.full(n, 0.04)])
    found = root(lambda s: fields(s, weights, G, J_i, **parameters)[0], start, tol=1e-14)
    assert np.abs(found.fun).max() < 1e-13
    return fields(found.x, weights, G, J_i, **parameters)[1]


def leading_eigenvalue(weights, G, J_i, rate, **parameters):
    """Of the Jacobian at the fixed point with excitatory rate ``rate``, by central differences of the equations."""
    n = len(weights)
    S_e = 0.0641 * rate / (1 + 0.0641 * rate)
    drive = 0.15 * (S_e + parameters.get("lamda", 0.0) * G * S_e * weights.sum(axis=1)) + 0.7 * 0.382
    S_i = [brentq(lambda S, x=x: S - 0.01 * rates(x - S, 615, 177, 0.087), 0, 1, xtol=1e-15) for x in drive]
    point = np.concatenate([np.full(n, S_e), S_i])
    assert np.abs(fields(point, weights, G, J_i, **parameters)[0]).max() < 1e-9
    steps = 1e-6 * np.eye(2 * n)

    def derivative(state):
        return fields(state, weights, G, J_i, **parameters)[0]

    columns = [(derivative(point + h) - derivative(point - h)) / 2e-6 for h in steps]
    return np.linalg.eigvals(np.array(columns).T).real.max()


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(n_subjects=2, n_regions=24, seed=3)


@pytest.fixture(scope="module")
def directed():
    weights = np.random.default_rng(5).lognormal(-3, 1.5, (12, 12))
    return xr.DataArray(weights, dims=("region", "region_other"), coords={"region": [f"N{i}" for i in range(12)]})


def recorded(subject):
    with xr.open_dataset(shared_path("data", f"hcp_subject_{subject}.nc"), engine="h5netcdf") as ds:
        mask = ds.cortical.values
        weights = ds.weights.values[mask][:, mask]
    return xr.DataArray(weights / weights.max(), dims=("region", "region_other"))


def test_defaults_are_those_of_the_model():
    declared = {p.name: p.default for p in declared_parameters(WongWangExcInhStep)}
    assert ExcInhParameters()._asdict() == declared


def test_transfer_is_smooth_through_its_singularity():
    x = np.linspace(-60, 60, 4001)  # H(x; 1, 0, 1) = x / (1 - exp(-x)), exact to rounding except near 0, where it is 1 + x/2 + x^2/12
    value, slope = transfer(x, 1.0, 0.0, 1.0)
    np.testing.assert_allclose(value[x != 0], x[x != 0] / -np.expm1(-x[x != 0]), rtol=1e-11)
    assert value[2000] == 1.0
    assert slope[2000] == 0.5
    np.testing.assert_allclose(slope[1:-1], np.gradient(value, x)[1:-1], atol=2e-5)  # central differences over 0.03
    silent, flat = transfer(np.array(-1e6), 1.0, 0.0, 1.0)
    assert silent == 0
    assert flat == 0


def test_the_rest_of_an_uncoupled_region_and_the_published_slope():
    assert float(rest_rate(ExcInhParameters())) == pytest.approx(REST, abs=1e-7)
    assert float(inhibition_weights(1.0, 1.0)) == pytest.approx(1.63015, abs=5e-6)
    assert float(inhibition_weights(0.0, 1.0)) == pytest.approx(1, abs=1e-12)


def test_every_region_fires_at_the_rate_of_an_uncoupled_one(cohort):
    J_i = inhibition_control(cohort, 0.4)
    assert J_i.dims == ("subject", "region")
    for subject in cohort.subject.values:
        found = fixed_point_rates(cohort.weights.sel(subject=subject).values, 0.4, J_i.sel(subject=subject).values)
        np.testing.assert_allclose(found, REST, atol=1e-7)


def test_every_region_of_a_recorded_connectome_fires_at_that_rate():
    weights = recorded(1)
    found = fixed_point_rates(weights.values, 0.4, inhibition_control(weights, 0.4).values)
    np.testing.assert_allclose(found, 3.0773, atol=1e-4)
    assert np.ptp(fixed_point_rates(weights.values, 0.1, np.ones(80))) > 0.5  # without control they differ


def test_another_target_and_other_parameters(directed):
    parameters = {"w_p": 1.2, "lamda": 0.1}
    J_i = inhibition_control(directed, 0.3, target_rate=5.0, parameters=parameters)
    np.testing.assert_allclose(fixed_point_rates(directed.values, 0.3, J_i.values, **parameters), 5.0, atol=1e-7)


def test_target_and_parameters_may_differ_between_regions(directed):
    target = xr.DataArray(np.linspace(2.5, 6, 12), dims="region", coords={"region": directed.region})
    w_p = xr.DataArray(np.linspace(1.4, 1.0, 12), dims="region")
    J_i = inhibition_control(directed, 0.2, target_rate=target.isel(region=slice(None, None, -1)), parameters={"w_p": w_p})
    np.testing.assert_allclose(fixed_point_rates(directed.values, 0.2, J_i.values, w_p=w_p.values), target, atol=1e-7)
    rates_hz = inhibition_control(directed, 0.1, target_rate=xr.DataArray([3.0, 5.0], dims="rate"))
    assert rates_hz.dims == ("rate", "region")


def test_dims_are_those_of_the_coupling_the_connectome_and_the_regions(cohort):
    G = xr.DataArray(np.linspace(0, 0.4, 200), dims="k", coords={"k": np.linspace(0, 0.4, 200)})
    J_i = inhibition_control(cohort, G)
    assert J_i.name == "J_i"
    assert J_i.attrs["units"] == "nA"
    assert J_i.dims == ("k", "subject", "region")
    assert set(J_i.coords) == {"k", "subject", "region"}  # positions and flags of regions stay behind
    strength = cohort.weights.sum("region_other").drop_vars(["hemisphere", "cortical"])
    xr.testing.assert_allclose(J_i.transpose(*(1 + 0.63015 * G * strength).dims), 1 + 0.63015 * G * strength, rtol=1e-5)
    own = inhibition_control(cohort, xr.DataArray([0.4, 0.1], dims="subject", coords={"subject": ["S2", "S1"]}))
    xr.testing.assert_allclose(own.sel(subject="S2"), inhibition_control(cohort, 0.4).sel(subject="S2"))
    xr.testing.assert_allclose(own.sel(subject="S1"), inhibition_control(cohort, 0.1).sel(subject="S1"))
    xr.testing.assert_identical(inhibition_control(cohort.weights, G), J_i)
    assert inhibition_control(cohort, G.chunk({"k": 50})).chunks is not None


def test_the_coupling_can_be_differentiated(cohort):
    total = cohort.weights.sum().item()
    slope = jax.grad(lambda G: inhibition_control(cohort, xr.DataArray(G)).data.sum())(0.3)
    assert float(slope) == pytest.approx(0.63015 * total, rel=1e-5)


def test_quantities_are_converted(cohort):
    in_milliamperes = inhibition_control(cohort, 0.3, target_rate=0.004 * u.kHz, parameters={"J_N": 150 * u.pA})
    xr.testing.assert_allclose(in_milliamperes, inhibition_control(cohort, 0.3, target_rate=4.0), rtol=1e-12)
    with pytest.raises(ValueError, match="J_N"):
        inhibition_control(cohort, 0.3, parameters={"J_N": 150 * u.mV})


def test_critical_couplings_of_the_recorded_connectomes():
    # values computed beforehand with independent code
    for subject, expected in {1: 0.567, 2: 0.559, 3: 0.530, 4: 0.548}.items():
        assert float(critical_coupling(recorded(subject))) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("connectome", "target", "parameters"),
    [("cohort", REST, {}), ("directed", REST, {}), ("cohort", 5.0, {"lamda": 0.05}), ("directed", 4.0, {"w_p": 1.2})],
)
def test_an_eigenvalue_of_the_equations_is_zero_at_the_critical_coupling(connectome, target, parameters, request):
    weights = request.getfixturevalue(connectome)
    weights = weights.weights.isel(subject=0) if connectome == "cohort" else weights
    critical = float(critical_coupling(weights, target_rate=target, parameters=parameters))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this is beyond the critical coupling is the point
        values = []
        for G in (0.99 * critical, critical, 1.01 * critical):
            J_i = inhibition_control(weights, G, target_rate=target, parameters=parameters).values
            values.append(leading_eigenvalue(weights.values, G, J_i, target, **parameters))
    assert values[0] < 0 < values[2]
    assert abs(values[1]) < 0.05 * min(-values[0], values[2])  # central differences are exact to about 1e-8 per ms


def test_oscillations_that_come_first_are_found():
    # With a slow inhibitory population an E-I oscillation grows before any eigenvalue is zero.
    pair = xr.DataArray([[0.0, 1.0], [1.0, 0.0]], dims=("region", "region_other"))
    slow = {"tau_i": 1000.0, "gamma_i": 1e-5}  # the same S_I at rest
    real = float(critical_coupling(pair))
    oscillating = float(critical_coupling(pair, parameters=slow))
    assert 0 < oscillating < 0.5 * real
    # Of the symmetric mode v, mu^2 - T mu + D = 0; at the onset the trace T is zero: G v^T W v = G is where E's growth equals I's decay.
    S_e, x = 0.0641 * REST / (1 + 0.0641 * REST), 0.37738056
    slope_e = 0.641e-3 * (1 - S_e) * (rates(x + 1e-6, 310, 125, 0.16) - rates(x - 1e-6, 310, 125, 0.16)) / 2e-6
    x_i = 0.15 * S_e + 0.7 * 0.382 - 0.03921845
    slope_i = 1e-5 * (rates(x_i + 1e-6, 615, 177, 0.087) - rates(x_i - 1e-6, 615, 177, 0.087)) / 2e-6
    growth = -1 / 100 - 0.641e-3 * REST + slope_e * 0.15 * 1.4
    assert oscillating == pytest.approx((1 / 1000 + slope_i - growth) / (slope_e * 0.15), rel=1e-4)


def test_an_unstable_interval_between_stable_ones_is_found():
    # With feed-forward inhibition a strong coupling is stable again.
    weights = np.random.default_rng(5).lognormal(-3, 1.5, (12, 12))
    p = ExcInhParameters(lamda=0.38)
    grid = np.linspace(0, 10, 101)
    unstable = [np.linalg.eigvals(network_jacobian(p, operating_point(p), weights, G)).real.max() >= 0 for G in grid]
    assert not unstable[-1]
    critical = critical_coupling(xr.DataArray(weights, dims=("region", "region_other")), parameters={"lamda": 0.38})
    assert grid[np.argmax(unstable) - 1] < float(critical) <= grid[np.argmax(unstable)]


def test_no_coupling_is_critical_without_connections():
    none = xr.DataArray(np.zeros((3, 3)), dims=("region", "region_other"))
    assert np.isinf(critical_coupling(none))
    xr.testing.assert_allclose(inhibition_control(none, 100.0), xr.DataArray(np.ones(3), dims="region"))


def test_it_warns_beyond_the_critical_coupling_and_names_it(cohort):
    critical = critical_coupling(cohort)
    inhibition_control(cohort, 0.999 * critical)
    first = 1.01 * critical.where(critical.subject == "S1", 0)
    with pytest.warns(UserWarning, match=rf"critical coupling {float(critical[0]):.4g} \(subject=S1\): there"):
        inhibition_control(cohort, first)
    with pytest.warns(UserWarning, match="G = 2 is beyond"):
        inhibition_control(cohort.weights.isel(subject=0), xr.DataArray([0.1, 2.0], dims="k"))


def test_bad_input_is_named(cohort):
    with pytest.raises(TypeError, match=r"G is an array of shape \(2,\) without named dims"):
        inhibition_control(cohort, np.array([0.1, 0.2]))
    with pytest.raises(TypeError, match="G is True"):
        inhibition_control(cohort, True)
    with pytest.raises(TypeError, match="connectome is a ndarray"):
        inhibition_control(np.eye(3), 0.1)
    with pytest.raises(ValueError, match="G has NaN"):
        inhibition_control(cohort, xr.DataArray([0.1, np.nan], dims="k"))
    with pytest.raises(ValueError, match="needs one global coupling"):
        inhibition_control(cohort, xr.DataArray(np.ones(24), dims="region"))
    with pytest.raises(ValueError, match=r"different labels in 'subject' \(\['S2', 'S9'\]\)"):
        inhibition_control(cohort, xr.DataArray([0.1, 0.2], dims="subject", coords={"subject": ["S1", "S9"]}))
    with pytest.raises(ValueError, match="G has 3 values along 'subject', needs 2"):
        inhibition_control(cohort, xr.DataArray([0.1, 0.2, 0.3], dims="subject"))
    with pytest.raises(KeyError, match="did you mean 'tau_e'"):
        inhibition_control(cohort, 0.1, parameters={"tau_ee": 90.0})
    with pytest.raises(ValueError, match="target_rate is -1 Hz"):
        inhibition_control(cohort, 0.1, target_rate=-1.0)
    with pytest.raises(ValueError, match=r"J_i = -.* 'region': 'L01'}"):
        inhibition_control(cohort, 0.0, target_rate=300.0)
    with pytest.raises(ValueError, match=r"S_i = \d\.\d+ at \{'subject': 'S1'.*the bound of the model"):
        inhibition_control(cohort, 0.5, target_rate=10.0, parameters={"lamda": 40.0})
    bad = cohort.copy(deep=True)
    bad.weights[0, 1, 2] = np.nan
    with pytest.raises(ValueError, match="region=L02, region_other=L03"):
        inhibition_control(bad, 0.1)
