from __future__ import annotations

import warnings

import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.analysis.cases import cohort, series, sweep
from tests.oracles import references
from xmass import objectives
from xmass.analysis import compare, fcd, fcd_distribution, ks_distance, wasserstein_distance
from xmass.analysis.distributions import ks_statistic, wasserstein_statistic
from xmass.analysis.dynamic import Windows, fcd_matrix

SHORT = {"window": 14.4, "step": 3.6}  # 20 and 5 samples of 0.72 s


def plain_fcd(values: np.ndarray, length: int, step: int) -> np.ndarray:
    upper = np.triu_indices(values.shape[1], 1)
    return np.corrcoef([np.corrcoef(values[s : s + length].T)[upper] for s in range(0, len(values) - length + 1, step)])


def test_it_is_the_correlation_of_the_windows_upper_triangles():
    x = series()
    matrix = fcd(x, **SHORT)
    np.testing.assert_allclose(matrix.values, plain_fcd(x.values, 20, 5), rtol=0, atol=1e-14)
    assert (matrix.dims, matrix.name, matrix.attrs["units"]) == (("window", "window_other"), "fcd", "1")
    assert (matrix.attrs["window"], matrix.attrs["step"]) == (14.4, 3.6)
    # the middle of a window of 20 samples lies between its 10th and its 11th
    np.testing.assert_allclose(matrix.window, (9.5 + 5 * np.arange(21)) * 0.72, rtol=1e-12)
    assert matrix.window.attrs["units"] == "s"
    np.testing.assert_array_equal(matrix.window, matrix.window_other)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_it_is_that_of_the_reference(number):
    found = references.compare_fcd(number, precision="float64")
    assert found.deviation <= found.tolerance


@pytest.mark.parametrize("of", [references.compare_fc_distances, references.compare_fcd_distances])
def test_distances_between_subjects_are_those_of_the_reference(of):
    found = of(precision="float64")
    assert found.deviation <= found.tolerance


def test_windows_are_times_whatever_the_unit_of_the_coordinate():
    seconds = series(samples=300)
    milliseconds = seconds.assign_coords(time=("time", seconds.time.values * 1000, {"units": "ms", "axis": "T"}))
    by_default = fcd(seconds)
    assert (by_default.attrs["window"], by_default.attrs["step"]) == (pytest.approx(83 * 0.72), pytest.approx(4 * 0.72))
    np.testing.assert_array_equal(fcd(milliseconds), by_default)
    np.testing.assert_array_equal(fcd(milliseconds, window=60_000, step=3 * u.second), by_default)
    np.testing.assert_allclose(fcd(milliseconds).window, by_default.window * 1000)


def test_other_dims_are_kept_and_lazy_stays_lazy():
    bold = cohort().bold.transpose("region", "subject", "time")
    matrix = fcd(bold, **SHORT)
    assert matrix.dims == ("subject", "window", "window_other")
    for subject in bold.subject.values:
        one = fcd(bold.sel(subject=subject).transpose("time", "region"), **SHORT)
        xr.testing.assert_identical(matrix.sel(subject=subject), one)
    lazy = fcd(bold.chunk({"subject": 1, "time": 50, "region": 2}), **SHORT)
    assert lazy.chunks is not None
    assert (lazy.dtype, lazy.sizes) == (bold.dtype, matrix.sizes)
    xr.testing.assert_identical(lazy.compute(), matrix)
    parts = fcd_distribution(lazy, overlap=False)
    assert parts.chunks is not None
    xr.testing.assert_identical(parts.compute(), fcd_distribution(matrix, overlap=False))


def test_float32_stays_float32():
    x = series().astype(np.float32)
    assert fcd(x, **SHORT).dtype == np.float32
    np.testing.assert_allclose(fcd(x, **SHORT), plain_fcd(x.values.astype(float), 20, 5), rtol=0, atol=6e-8)  # half an ulp at 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_no_number_takes_the_windows_that_hold_it(value):
    x = series()
    x[47, 2] = value
    holds = [s <= 47 < s + 20 for s in range(0, 101, 5)]
    found = fcd(x, **SHORT)
    np.testing.assert_array_equal(np.isnan(np.diagonal(found)), holds)
    keep = ~np.array(holds)
    np.testing.assert_array_equal(found.values[np.ix_(keep, keep)], fcd(series(), **SHORT).values[np.ix_(keep, keep)])


def test_a_constant_region_leaves_no_fcd_and_is_never_dropped_in_silence():
    x = series()
    x[:, 1] = 3.3
    assert fcd(x, **SHORT).isnull().all()
    assert fcd(x.isel(region=[0, 2, 3, 4, 5]), **SHORT).notnull().all()


@given(st.integers(-40, 40), st.randoms(use_true_random=False))
def test_scaling_and_relabelling_regions_change_nothing(power, random):
    x = series(samples=60)
    order = random.sample(range(6), 6)
    reference = fcd(x, **SHORT).values
    np.testing.assert_array_equal(fcd(x * 2.0**power, **SHORT), reference)  # powers of two scale without rounding
    np.testing.assert_allclose(fcd(x.isel(region=order), **SHORT), reference, rtol=0, atol=1e-13)  # sums of another order
    np.testing.assert_array_equal(reference, reference.T)
    assert (np.diagonal(reference) == 1).all() and np.abs(reference).max() <= 1


@pytest.mark.long
def test_the_same_in_jax_and_differentiable():
    x = series(samples=60).values
    windows = Windows(20, 5, 9)
    with jax.enable_x64(True):
        np.testing.assert_allclose(fcd_matrix(jnp.asarray(x), windows), fcd_matrix(x, windows), rtol=0, atol=1e-13)
        toward = np.random.default_rng(1).normal(size=x.shape)
        slope = jax.jit(jax.grad(lambda t: fcd_matrix(jnp.asarray(x) + t * toward, windows).mean()))(0.0)
    h = 1e-6
    finite = (fcd_matrix(x + h * toward, windows).mean() - fcd_matrix(x - h * toward, windows).mean()) / (2 * h)
    np.testing.assert_allclose(float(slope), finite, rtol=1e-6)


@pytest.mark.parametrize(
    ("signal", "options", "error", "words"),
    [
        (series(), {"window": 1.4}, ValueError, "window of 1.4 s has 2 samples"),
        (series(), {"window": -5.0}, ValueError, "0 samples"),
        (series(), SHORT | {"step": 0.3}, ValueError, "less than half the period"),
        (series(samples=80), {}, ValueError, "0 windows of 59.76 s"),
        (series(samples=85), {}, ValueError, "1 windows"),
        (series(), {"window": 5 * u.mV}, ValueError, "window"),
        (series(unit="mV"), SHORT, ValueError, "needs 'ms' or 's'"),
        (series().drop_vars("time"), SHORT, ValueError, "no coordinate on 'time'"),
        (series().isel(region=[0, 1]), SHORT, ValueError, "2 regions"),
        (series().rename(region="node"), SHORT, ValueError, "needs 'region'"),
        (series().values, SHORT, TypeError, "DataArray"),
        (series().expand_dims(window=2), SHORT, ValueError, "'window' already"),
        (
            series().assign_coords(time=np.arange(120) ** 2.0).assign_coords(time=lambda d: d.time.assign_attrs(units="s")),
            SHORT,
            ValueError,
            "evenly",
        ),
    ],
)
def test_what_has_no_fcd_is_refused_with_the_fix(signal, options, error, words):
    with pytest.raises(error, match=words):
        fcd(signal, **options)


def test_two_time_dims_are_an_error_that_dim_settles():
    x = series().expand_dims(bold_time=2).assign_coords(bold_time=("bold_time", [0.0, 1.0], {"axis": "T", "units": "s"}))
    with pytest.raises(ValueError, match="two time dimensions"):
        fcd(x, **SHORT)
    assert fcd(x, dim="time", **SHORT).dims == ("bold_time", "window", "window_other")


# ---- the distribution
def test_pairs_that_overlap_can_be_left_out():
    matrix = fcd(series(), **SHORT)  # 21 windows of 20 samples, every 5: windows 4 apart share none
    every, apart = fcd_distribution(matrix), fcd_distribution(matrix, overlap=False)
    np.testing.assert_array_equal(every, matrix.values[np.triu_indices(21, 1)])
    np.testing.assert_array_equal(apart, matrix.values[np.triu_indices(21, 4)])
    assert float((apart.window_other - apart.window).min()) == pytest.approx(14.4)
    assert apart.dims == ("pair",)


@pytest.mark.parametrize(
    ("matrix", "options", "error", "words"),
    [
        (series(), {}, ValueError, "window_other"),
        (series().values, {}, TypeError, "DataArray"),
        (fcd(series(), **SHORT).drop_attrs(), {"overlap": False}, ValueError, "which windows overlap is not known"),
        (fcd(series(samples=30), **SHORT), {"overlap": False}, ValueError, "no pair that does not overlap"),
    ],
)
def test_what_has_no_distribution_is_refused(matrix, options, error, words):
    with pytest.raises(error, match=words):
        fcd_distribution(matrix, **options)


# ---- distances: scipy is the witness
def samples():
    # few distinct values, so that ties within and across the sides are common
    numbers = st.one_of(st.integers(-3, 3).map(float), st.floats(-1, 1, allow_subnormal=False))
    return hnp.arrays(np.float64, st.integers(1, 12), elements=numbers)


@given(samples(), samples())
def test_distances_are_those_of_scipy(a, b):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of scipy's p-value, which nobody asks for
        expected = scipy.stats.ks_2samp(a, b).statistic
    assert float(ks_statistic(a, b)) == pytest.approx(expected, abs=1e-14)
    assert float(wasserstein_statistic(a, b)) == pytest.approx(scipy.stats.wasserstein_distance(a, b), abs=1e-14)


def test_distances_are_the_same_in_jax():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (3, 1, 20)) / 4, rng.normal(size=(2, 15))
    with jax.enable_x64(True):
        for distance in (ks_statistic, wasserstein_statistic):
            np.testing.assert_allclose(distance(jnp.asarray(a), jnp.asarray(b)), distance(a, b), rtol=0, atol=1e-14)


def test_distances_cross_dims_and_stay_lazy():
    rng = np.random.default_rng(0)
    a = xr.DataArray(rng.normal(size=(3, 50)), dims=("k", "pair"), attrs={"units": "1"})
    b = xr.DataArray(rng.normal(0.3, 1, size=(2, 40)), dims=("subject", "pair"), coords={"subject": ["S1", "S2"]}, attrs={"units": "1"})
    for distance, witness in (
        (ks_distance, lambda x, y: scipy.stats.ks_2samp(x, y).statistic),
        (wasserstein_distance, scipy.stats.wasserstein_distance),
    ):
        found = distance(a.chunk({"k": 1, "pair": 20}), b)
        assert found.chunks is not None and found.dims == ("k", "subject") and found.attrs["units"] == "1"
        np.testing.assert_allclose(found, [[witness(x, y) for y in b.values] for x in a.values], rtol=1e-13)


def test_a_nan_in_a_distribution_is_not_hidden():
    a = np.array([0.1, np.nan, 0.3])
    assert np.isnan(ks_statistic(a, a[[0, 2]])) and np.isnan(wasserstein_statistic(a[[0, 2]], a))


@pytest.mark.parametrize(
    ("second", "error", "words"),
    [
        (xr.DataArray([1.0], dims="edge"), ValueError, "along 'pair'"),
        (xr.DataArray([True], dims="pair"), TypeError, "real numbers"),
        (np.ones(3), TypeError, "DataArray"),
        (xr.DataArray([1.0], dims="pair", attrs={"units": "mV"}), ValueError, "'1' and 'mV'"),
    ],
)
def test_what_is_no_distribution_is_refused(second, error, words):
    with pytest.raises(error, match=words):
        wasserstein_distance(xr.DataArray([1.0, 2.0], dims="pair", attrs={"units": "1"}), second)


# ---- the objectives in compare
EVERY = [objectives.fcd_ks, objectives.fcd_wasserstein]


def expected_score(name: str, a: np.ndarray, b: np.ndarray) -> float:
    a, b = (x[np.triu_indices(len(x), 1)] for x in (a, b))
    return {
        "fcd_ks": scipy.stats.ks_2samp(a, b, method="asymp").statistic,
        "fcd_wasserstein": scipy.stats.wasserstein_distance(a, b),
    }[name]


@pytest.mark.parametrize("make", EVERY, ids=lambda f: f.__name__)
def test_a_sweep_against_a_cohort_with_series_of_another_length(make):
    simulated, recorded = sweep(), cohort()
    score = compare(simulated, recorded, make(window=14.4 * u.second, step=3.6))[make.__name__]
    assert score.dims == ("k", "sigma", "subject") and score.attrs["direction"] == "min"
    a, b = plain_fcd(simulated.bold.values[2, 1], 20, 5), plain_fcd(recorded.bold.values[0], 20, 5)
    assert a.shape != b.shape
    assert float(score[2, 1, 0]) == pytest.approx(expected_score(make.__name__, a, b), abs=1e-13)


@pytest.mark.parametrize("make", EVERY, ids=lambda f: f.__name__)
def test_a_series_or_its_fcd_on_either_side_give_the_same(make):
    simulated, recorded = sweep().isel(sigma=0), cohort()
    direct = compare(simulated, recorded, make(**SHORT))[make.__name__]
    ours, theirs = simulated.assign(fcd=fcd(simulated.bold, **SHORT)), recorded.assign(fcd=fcd(recorded.bold, **SHORT))
    for a, b in (("fcd", "fcd"), ("fcd", "bold"), ("bold", "fcd")):
        xr.testing.assert_allclose(compare(ours, theirs, make(a, b, **SHORT))[make.__name__], direct, rtol=1e-13)
    lazy = compare(ours.chunk({"k": 1}), theirs, make("bold", "fcd", **SHORT))[make.__name__]
    assert lazy.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), direct, rtol=1e-13)


def test_fcd_pairs_windows_and_wants_as_many_on_both_sides():
    simulated, recorded = cohort()[["bold"]].isel(subject=0, drop=True), cohort()
    score = compare(simulated, recorded, objectives.fcd(**SHORT)).fcd
    upper = np.triu_indices(21, 1)
    a, b = (plain_fcd(recorded.bold.values[i], 20, 5)[upper] for i in (0, 1))
    assert score.attrs["direction"] == "max"
    np.testing.assert_allclose(score[:2], [1.0, np.corrcoef(a, b)[0, 1]], rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="pairs windows, and there are 15 in simulated and 21"):
        compare(sweep(), recorded, objectives.fcd(**SHORT))


def test_windows_of_another_length_are_not_comparable():
    ds = cohort()
    ours, theirs = (xr.Dataset({"fcd": fcd(ds.bold, window=w, step=3.6)}) for w in (14.4, 28.8))
    with pytest.raises(ValueError, match=r"14.4 s and 28.8 s"):
        compare(ours, theirs, objectives.fcd_ks())


def test_one_fc_over_all_time_is_no_fcd():
    ds = cohort().assign(fc=cohort().bold.xmass.fc())
    with pytest.raises(ValueError, match="one FC over all of it"):
        compare(ds, ds, objectives.fcd_ks("fc", "bold"))


@pytest.mark.parametrize("make", [objectives.fcd, *EVERY], ids=lambda f: f.__name__)
def test_windows_of_an_objective_are_checked(make):
    with pytest.raises(ValueError, match="positive"):
        make(window=0)
    with pytest.raises(ValueError, match="window"):
        make(window=3 * u.mV)
    assert hash(make(window=30 * u.second)) == hash(make(window=30.0))


def test_the_accessor_has_it():
    xr.testing.assert_identical(series().xmass.fcd(**SHORT), fcd(series(), **SHORT))
