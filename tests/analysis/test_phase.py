from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import scipy.signal
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xmass as xm
from tests.analysis.cases import REGIONS, cohort, series
from tests.oracles import references
from xmass.analysis import amplitude_envelope, band_pass, envelope_correlation, metastability, order_parameter, phase, phase_locking

OF_SIGNALS = {
    "phase": phase,
    "amplitude_envelope": amplitude_envelope,
    "envelope_correlation": envelope_correlation,
    "orthogonalised": lambda x, **o: envelope_correlation(x, orthogonalise=True, **o),
}
OF_PHASES = {"order_parameter": order_parameter, "metastability": metastability, "phase_locking": phase_locking}
EVERY = OF_SIGNALS | {name: (lambda x, f=f: f(phase(x))) for name, f in OF_PHASES.items()}


def functions(found):
    return pytest.mark.parametrize("function", found.values(), ids=found)


def as_phases(values, *dims: str, unit: str | None = "rad") -> xr.DataArray:
    return xr.DataArray(np.asarray(values), dims=dims, attrs={} if unit is None else {"units": unit})


# ---- what all have in common
@functions(EVERY)
def test_other_dims_are_kept_and_lazy_stays_lazy(function):
    bold = cohort().bold.transpose("region", "time", "subject")
    found = function(bold)
    for subject in bold.subject.values:
        one = function(bold.sel(subject=subject).transpose("time", "region"))
        xr.testing.assert_allclose(found.sel(subject=subject).transpose(*one.dims), one, rtol=1e-12)
    lazy = function(bold.chunk({"subject": 1, "time": 50, "region": 2}))
    assert lazy.chunks is not None
    assert (lazy.dtype, lazy.dims, lazy.attrs) == (bold.dtype, found.dims, found.attrs)
    xr.testing.assert_allclose(lazy.compute(), found, rtol=1e-12)


@functions(EVERY)
def test_float32_stays_float32_and_preprocessing_is_told(function):
    x = series().astype(np.float32).assign_attrs(preprocess='[{"detrend": "linear"}]')
    found = function(x)
    assert (found.dtype, found.attrs["preprocess"]) == (np.float32, x.attrs["preprocess"])
    np.testing.assert_allclose(found, function(x.astype(np.float64)), rtol=1e-5, atol=1e-6)


@given(st.sampled_from(sorted(EVERY)), st.integers(-30, 30), st.randoms(use_true_random=False))
def test_positive_scaling_changes_nothing_but_amplitudes_and_relabelling_relabels(name, power, random):
    function, x = EVERY[name], series(samples=40)
    found = function(x)
    by = 2.0**power
    np.testing.assert_allclose(function(x * by), found * (by if name == "amplitude_envelope" else 1), rtol=1e-12, atol=1e-14)
    order = random.sample(range(6), 6)
    other = function(x.isel(region=order))
    other = other.sel({d: found[d] for d in ("region", "region_other") if d in found.dims})
    np.testing.assert_allclose(other, found, rtol=0, atol=1e-12)


@functions(EVERY)
@pytest.mark.parametrize("value", [np.nan, np.inf, "constant"])
def test_a_dead_region_is_nan(function, value):
    x = series()
    x[:, 2] = 0.1 if value == "constant" else x[:, 2].where(x.time != x.time[5], value)
    found = function(x)
    if "region" not in found.dims:  # over all regions: nothing is left out in silence
        assert found.isnull().all()
        return
    keep = [r for r in REGIONS if r != "B_L"]
    assert found.sel(region="B_L").isnull().all()
    labels = {d: keep for d in ("region", "region_other") if d in found.dims}
    np.testing.assert_allclose(found.sel(labels), function(series().sel(region=keep)), rtol=0, atol=1e-12)


@functions(OF_SIGNALS)
@pytest.mark.parametrize(
    ("signal", "error", "words"),
    [
        (series(samples=2), ValueError, "2 samples"),
        (series().rename(time="t").drop_vars("t"), ValueError, "none of which is time"),
        (series().values, TypeError, "DataArray"),
        (series() > 0, TypeError, "bool"),
        (series().expand_dims(t=2).assign_coords(t=("t", [0.0, 1.0], {"axis": "T"})), ValueError, "two time dimensions"),
    ],
)
def test_what_is_no_series_is_refused(function, signal, error, words):
    with pytest.raises(error, match=words):
        function(signal)


@functions(OF_PHASES)
@pytest.mark.parametrize(
    ("phases", "error", "words"),
    [
        (as_phases(np.ones((5, 2)), "time", "region", unit="mV"), ValueError, "'mV', needs an angle"),
        (as_phases(np.ones((5, 2)), "time", "region", unit="1"), ValueError, "units='rad'"),
        (as_phases(np.ones((5, 2)), "time", "channel"), ValueError, "needs 'region'"),
        (as_phases(np.ones((5, 2)) * 1j, "time", "region"), TypeError, "angles, not exp"),
        (np.ones((5, 2)), TypeError, "xm.phase"),
    ],
)
def test_what_is_no_phase_is_refused(function, phases, error, words):
    with pytest.raises(error, match=words):
        function(phases)


@pytest.mark.parametrize("function", [metastability, phase_locking])
def test_time_is_needed_and_said_where_there_are_two(function):
    with pytest.raises(ValueError, match="2 samples"):
        function(as_phases(np.ones((2, 2)), "time", "region"))
    with pytest.raises(ValueError, match="none of which is time"):
        function(as_phases(np.ones((5, 2)), "step", "region"))
    assert function(as_phases(np.ones((5, 4, 2)), "time", "batch", "region"), dim="batch").sizes["time"] == 5


# ---- phases and envelopes
def test_phase_and_envelope_of_a_modulated_carrier_are_known():
    # carrier 40 cycles, modulation 3 cycles in the window: periodic, so the Hilbert transform is exact (Bedrosian)
    t = np.arange(1000) / 1000
    envelope, angle = 1 + 0.5 * np.cos(2 * np.pi * 3 * t), 2 * np.pi * 40 * t + 0.4
    x = xr.DataArray((envelope * np.cos(angle))[:, None], dims=("time", "sensor"), attrs={"units": "fT"})
    np.testing.assert_allclose(amplitude_envelope(x)[:, 0], envelope, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.exp(1j * phase(x)[:, 0]), np.exp(1j * angle), rtol=0, atol=1e-12)
    assert (phase(x).attrs["units"], amplitude_envelope(x).attrs["units"]) == ("rad", "fT")
    assert float(abs(phase(x)).max()) <= np.pi


def test_they_are_scipys_with_the_mean_removed():
    x = series() + 100
    analytic = scipy.signal.hilbert(x.values - x.values.mean(0), axis=0)
    np.testing.assert_allclose(phase(x), np.angle(analytic), rtol=0, atol=1e-10)
    np.testing.assert_allclose(amplitude_envelope(x), abs(analytic), rtol=1e-10)


# ---- envelope correlation
def test_envelope_correlation_is_numpys_corrcoef_of_envelopes():
    x = series()
    found = envelope_correlation(x)
    np.testing.assert_allclose(found, np.corrcoef(abs(scipy.signal.hilbert(x - x.mean("time"), axis=0)).T), rtol=0, atol=1e-13)
    assert (found.name, found.region_other.values.tolist(), found.attrs["units"]) == ("envelope_correlation", REGIONS, "1")


def test_orthogonalised_is_the_published_pairwise_formula():
    x = series()
    z = scipy.signal.hilbert(x.values - x.values.mean(0), axis=0)
    found = envelope_correlation(x, orthogonalise=True)
    for i, j in ((0, 1), (2, 5)):
        a, b = z[:, i], z[:, j]
        both = []
        for one, other in ((a, b), (b, a)):
            # what remains of the other perpendicular to one, as vectors in the complex plane at each time
            along = np.real(other * one.conj()) / abs(one) ** 2 * one
            both.append(np.corrcoef(abs(one), abs(other - along))[0, 1])
        np.testing.assert_allclose(found[i, j], np.mean(both), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found, found.T)
    assert np.isnan(np.diagonal(found)).all()
    assert float(abs(found).max()) <= 1


def test_orthogonalising_removes_field_spread_and_keeps_a_common_modulation():
    rng, n = np.random.default_rng(0), 60_000
    time = ("time", np.arange(n) * 0.004, {"units": "s"})
    noise = xr.DataArray(rng.normal(size=(n, 2)), dims=("time", "region"), coords={"time": time})
    alpha = band_pass(noise, (8, 12))
    spread = alpha + 0.6 * alpha.isel(region=[1, 0])
    # independent sources: about 250 s times 4 Hz of independent envelope samples, so 0.1 is three standard errors
    assert float(envelope_correlation(spread)[0, 1]) > 0.4
    assert abs(float(envelope_correlation(spread, orthogonalise=True)[0, 1])) < 0.1
    common = alpha * (1 + 0.8 * np.sin(2 * np.pi * 0.1 * alpha.time))
    assert float(envelope_correlation(common, orthogonalise=True)[0, 1]) > 0.2


# ---- synchrony
def test_order_parameter_of_known_phases():
    # evenly spread: 0; N phases at two opposite points, m at one: |2 m - N| / N; all alike: 1
    spread = 2 * np.pi * np.arange(5) / 5
    halves = np.pi * np.array([0, 0, 0, 0, 1])
    found = order_parameter(as_phases([spread, halves, np.full(5, 7.0)], "time", "region"))
    np.testing.assert_allclose(found, [0, 0.6, 1], rtol=0, atol=1e-15)
    assert (found.name, found.attrs["units"], found.dims) == ("order_parameter", "1", ("time",))


def test_phases_may_be_degrees_unwrapped_integers_or_without_unit():
    rad = np.deg2rad([[10, 100, 400], [20, 20, 350], [0, 90, 180]])
    expected = abs(np.exp(1j * rad).mean(1))
    for phases in (
        as_phases(rad, "time", "region", unit=None),
        as_phases([[10, 100, 400], [20, 20, 350], [0, 90, 180]], "time", "region", unit="deg"),
    ):
        np.testing.assert_allclose(order_parameter(phases), expected, rtol=0, atol=1e-14)


@given(st.floats(-10, 10), st.integers(-3, 3))
def test_synchrony_does_not_change_with_a_common_shift_or_whole_turns(shift, turns):
    base = phase(series(samples=30))
    moved = (base + shift + 2 * np.pi * turns * xr.DataArray([0, 1, 0, 2, 0, -1], dims="region")).assign_attrs(units="rad")
    for function in OF_PHASES.values():
        np.testing.assert_allclose(function(moved), function(base), rtol=0, atol=1e-12)
        assert float(function(base).min()) >= 0 and float(function(base).max()) <= 1


def test_order_parameter_is_that_of_the_reference():
    found = references.compare_order_parameter(precision="float64")
    assert found.deviation <= found.tolerance


def test_synchrony_and_metastability_are_those_of_the_reference():
    phases = references.phases_without_centring("float64")
    attrs = references.open_case("analysis", "between_subjects").attrs
    assert float(order_parameter(phases).mean()) == pytest.approx(attrs["synchrony"], abs=1e-12)
    assert float(metastability(phases)) == pytest.approx(attrs["metastability_std"], abs=1e-12)


def test_removing_the_mean_after_the_filter_makes_little_difference():
    theirs = references.phases_without_centring("float64")
    ours = phase(band_pass(references.recording(1, "float64"), (0.04, 0.07)))
    assert 1e-5 < abs(float(order_parameter(ours).mean() - order_parameter(theirs).mean())) < 1e-4


def test_metastability_of_two_drifting_oscillators_is_known():
    # order |cos(d / 2)| with d uniform: mean 2 / pi, mean square 1 / 2
    d = 2 * np.pi * (np.arange(2000) + 0.5) / 2000
    phases = as_phases(np.stack([0 * d, d], axis=1), "time", "region")
    assert float(metastability(phases)) == pytest.approx(np.sqrt(0.5 - (2 / np.pi) ** 2), abs=1e-6)


def test_phase_locking_of_known_differences():
    # differences constant, uniform over the circle, and +-w with equal weight, of which the mean is cos w
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 2 * np.pi, 400)
    turn = 2 * np.pi * np.arange(400) / 400
    swing = np.where(np.arange(400) % 2, 0.7, -0.7)
    found = phase_locking(as_phases(np.stack([start, start + 1, start + turn, start + swing], axis=1), "time", "region"))
    np.testing.assert_allclose(found[0], [1, 1, 0, np.cos(0.7)], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(found, found.T)
    assert (np.diagonal(found) == 1).all()


def test_a_kuramoto_network_is_measured_as_it_runs():
    # two regions with detuning below the critical coupling k = detuning / 2 drift, above it they lock
    sc = xr.Dataset({"weights": (("region", "region_other"), [[0.0, 1.0], [1.0, 0.0]])}, {"region": ["a", "b"], "region_other": ["a", "b"]})
    omega = xr.DataArray([0.1, 0.2], dims="region", coords={"region": ["a", "b"]})
    net = xm.Network(xm.KuramotoStep(), sc, coupling=xm.SineCoupling(source="theta", target="theta"))
    k = xr.DataArray([0.02, 0.1], dims="k")
    theta = (
        xm.Simulator(net, dt=0.1 * u.ms)
        .run(2000, xr.Dataset({"coupling.k": k, "omega": omega}), monitors=["theta"], transient=500, initial={"theta": 0.0})
        .theta
    )
    locked = phase_locking(theta).isel(region=0, region_other=1)
    assert float(locked[1]) == pytest.approx(1, abs=1e-4) and float(locked[0]) < 0.6
    assert float(metastability(theta)[1]) < 1e-4 < float(metastability(theta)[0])
