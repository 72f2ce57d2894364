"""Correlations beside FC: partial, shrunk, lagged, with a seed, of edges, and of structure with function."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.cases import REGIONS, cohort, series
from tests.conftest import shared_path
from xmass.analysis import edge_fc, edge_series, functional_connectivity, lagged_fc, partial_correlation, sc_fc_coupling, seed_map

FUNCTIONS = {
    "shrunk": lambda x: functional_connectivity(x, shrinkage="ledoit_wolf"),
    "partial": partial_correlation,
    "lagged": lambda x: lagged_fc(x, [0, 1.44, -2.16]),
    "seed": lambda x: seed_map(x, ["A_L", "B_R"]),
    "edge_series": edge_series,
    "edge_fc": edge_fc,
}


def functions():
    return pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


# ---- what all have in common
@functions()
def test_other_dims_are_kept_and_lazy_stays_lazy(function):
    bold = cohort().bold.transpose("region", "subject", "time")
    found = function(bold)
    for subject in bold.subject.values:
        one = function(bold.sel(subject=subject).transpose("time", "region"))
        xr.testing.assert_identical(found.sel(subject=subject).drop_attrs(), one.drop_attrs())
    lazy = function(bold.chunk({"subject": 1, "time": 50, "region": 2}))
    assert lazy.chunks is not None
    assert (lazy.dtype, lazy.dims, lazy.attrs["units"]) == (bold.dtype, found.dims, "1")
    xr.testing.assert_identical(lazy.compute(), found)
    if "region" in found.dims:
        assert found.hemisphere.dims == ("region",)


@functions()
def test_float32_stays_float32_and_preprocessing_is_told(function):
    x = series().astype(np.float32).assign_attrs(preprocess='[{"detrend": "linear"}]')
    found = function(x)
    assert (found.dtype, found.attrs["preprocess"]) == (np.float32, x.attrs["preprocess"])
    # one rounding at the end; edge series reach 10
    np.testing.assert_allclose(found, function(x.astype(np.float64)), rtol=1e-6, atol=1e-7)


@given(st.sampled_from(sorted(FUNCTIONS)), st.integers(-40, 40), st.randoms(use_true_random=False))
def test_scaling_changes_nothing_and_relabelling_relabels(name, power, random):
    function, x = FUNCTIONS[name], series(samples=40)
    found = function(x)
    if name != "seed":  # the mean over a seed's regions has their scale, which is common here
        scale = xr.DataArray(2.0 ** np.array([power, 0, 3, -5, 1, -power]), dims="region")
        np.testing.assert_allclose(function(x * scale), found, rtol=0, atol=1e-12)
    np.testing.assert_allclose(function(x * 2.0**power), found, rtol=0, atol=1e-12)
    if name != "edge_series":
        assert float(abs(found).max()) <= 1
    if not name.startswith("edge"):
        order = random.sample(range(6), 6)
        other = function(x.isel(region=order))
        matched = other.sel({d: found[d] for d in ("region", "region_other") if d in found.dims})
        np.testing.assert_allclose(matched, found, rtol=0, atol=1e-12)


@functions()
@pytest.mark.parametrize("value", [np.nan, np.inf, "constant"])
def test_a_dead_region_is_nan_and_the_others_do_not_notice(function, value):
    x, keep = series(), ["A_L", "A_R", "B_R", "C_L", "C_R"]
    x[:, 2] = 0.1 if value == "constant" else x[:, 2].where(x.time != x.time[5], value)
    found, alone = function(x), function(x.sel(region=keep))
    if "edge" in found.dims:
        dead = ((found.edge_region == "B_L") | (found.edge_region_other == "B_L")).values
        assert found.isel(edge=dead).isnull().all()
        living = found.isel(edge=~dead)
        living = living.isel(edge_other=~dead) if "edge_other" in found.dims else living
        np.testing.assert_allclose(living, alone, rtol=0, atol=1e-12)
        return
    assert found.sel(region="B_L").isnull().all()
    labels = {d: keep for d in ("region", "region_other") if d in found.dims}
    np.testing.assert_allclose(found.sel(labels), alone, rtol=0, atol=1e-12)  # sums over fewer regions


@functions()
@pytest.mark.parametrize(
    ("signal", "error", "words"),
    [
        (series(samples=2), ValueError, "2 samples"),
        (series().rename(region="node"), ValueError, "needs 'region'"),
        (series().rename(time="t").drop_vars("t"), ValueError, "none of which is time"),
        (series().values, TypeError, "DataArray"),
        (series() > 0, TypeError, "bool"),
        (series().expand_dims(t=2).assign_coords(t=("t", [0.0, 1.0], {"axis": "T"})), ValueError, "two time dimensions"),
    ],
)
def test_what_is_not_a_series_is_refused(function, signal, error, words):
    with pytest.raises(error, match=words):
        function(signal)


# ---- partial
def test_partial_is_the_correlation_of_the_residuals_of_regressions():
    x = series().values
    found = partial_correlation(series())
    assert (found.name, found.region_other.values.tolist()) == ("partial_correlation", REGIONS)
    for i, j in ((0, 1), (2, 5)):
        others = np.column_stack([np.ones(len(x)), np.delete(x, [i, j], axis=1)])
        a, b = (x[:, k] - others @ np.linalg.lstsq(others, x[:, k], rcond=None)[0] for k in (i, j))
        np.testing.assert_allclose(found[i, j], np.corrcoef(a, b)[0, 1], rtol=1e-11)
    np.testing.assert_array_equal(found, found.T)
    assert (np.diagonal(found) == 1).all()


def test_partial_finds_a_chain_where_plain_correlation_sees_all_pairs():
    # a drives b drives c: the partial correlation of a and c is 0, within 4 standard errors
    rng, n = np.random.default_rng(0), 40_000
    a = rng.normal(size=n)
    b = a + rng.normal(size=n)
    c = b + rng.normal(size=n)
    x = xr.DataArray(np.stack([a, b, c], axis=1), dims=("time", "region"))
    assert functional_connectivity(x)[0, 2] > 0.5
    assert abs(partial_correlation(x)[0, 2]) < 4 / np.sqrt(n)
    # cov = [[1, 1, 1], [1, 2, 2], [1, 2, 3]], precision = [[2, -1, 0], [-1, 2, -1], [0, -1, 1]]
    np.testing.assert_allclose(partial_correlation(x).values[[0, 1], [1, 2]], [0.5, np.sqrt(0.5)], atol=4 / np.sqrt(n))


def test_partial_needs_samples_or_shrinkage():
    x = series(samples=7)
    with pytest.raises(ValueError, match="7 samples and 6 regions"):
        partial_correlation(x)
    assert partial_correlation(x, shrinkage="ledoit_wolf").notnull().all()
    assert partial_correlation(x, shrinkage=0.2).notnull().all()


def test_partial_of_dependent_regions_is_nan_without_shrinkage():
    x = series()
    x = x - x.mean("region")
    assert partial_correlation(x).isnull().all()
    assert partial_correlation(x, shrinkage="ledoit_wolf").notnull().all()


# ---- shrinkage
@pytest.mark.parametrize("samples", [5, 12, 120])
def test_shrinkage_is_that_of_scikit_learn(samples):
    covariance = pytest.importorskip("sklearn.covariance")
    x = series(samples=samples)
    standard = (x.values - x.values.mean(0)) / x.values.std(0)
    expected, amount = covariance.ledoit_wolf(standard)
    assert 0 < amount < 1
    np.testing.assert_allclose(functional_connectivity(x, shrinkage="ledoit_wolf"), expected, rtol=0, atol=1e-14)
    precision = np.linalg.inv(expected)
    scale = np.sqrt(np.diagonal(precision))
    off = ~np.eye(6, dtype=bool)
    np.testing.assert_allclose(
        partial_correlation(x, shrinkage="ledoit_wolf").values[off], (-precision / np.outer(scale, scale))[off], rtol=0, atol=1e-13
    )


def test_shrinkage_by_the_published_sums():
    # Ledoit and Wolf 2004, section 3.2, with standardised series so that mu = 1: d2 = ||S - I||2, b2 = sum ||x x' - S||2 / n2, one by one
    x = series(samples=15).values
    z = (x - x.mean(0)) / x.std(0)
    sample = z.T @ z / len(z)
    d2 = ((sample - np.eye(6)) ** 2).sum()
    b2 = min(sum(((np.outer(row, row) - sample) ** 2).sum() for row in z) / len(z) ** 2, d2)
    expected = b2 / d2 * np.eye(6) + (1 - b2 / d2) * sample
    np.testing.assert_allclose(functional_connectivity(series(samples=15), shrinkage="ledoit_wolf"), expected, rtol=0, atol=1e-14)


def test_shrinkage_brings_few_samples_nearer_to_the_truth():
    truth = functional_connectivity(series(samples=100_000, seed=3))
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(np.zeros(6), truth.values, size=(200, 10))
    x = xr.DataArray(draws, dims=("run", "time", "region"))
    errors = [float(((functional_connectivity(x, shrinkage=s) - truth.values) ** 2).mean()) for s in (None, "ledoit_wolf")]
    assert errors[1] < 0.9 * errors[0]


def test_a_fraction_scales_what_is_off_the_diagonal():
    fc = functional_connectivity(series())
    xr.testing.assert_equal(functional_connectivity(series(), shrinkage=0), fc)
    np.testing.assert_allclose(functional_connectivity(series(), shrinkage=0.25), 0.75 * fc + 0.25 * np.eye(6), rtol=1e-14)


@pytest.mark.parametrize("shrinkage", ["oas", 1.5, -0.1, True])
def test_a_shrinkage_that_is_none_is_refused(shrinkage):
    for function in (functional_connectivity, partial_correlation):
        with pytest.raises(ValueError, match="needs 'ledoit_wolf'"):
            function(series(), shrinkage=shrinkage)


# ---- lagged
def test_lagged_is_numpys_corrcoef_of_shifted_series():
    x = series()
    found = lagged_fc(x, [-2.16, 0, 1.44])
    np.testing.assert_allclose(found.lag, [-2.16, 0, 1.44], rtol=1e-12)
    assert (found.dims, found.lag.attrs["units"]) == (("lag", "region", "region_other"), "s")
    for k, shift in enumerate((-3, 0, 2)):
        for i, j in ((0, 0), (0, 3), (3, 0)):
            now, past = x.values[:, i], x.values[:, j]
            pair = (now[shift:], past[: len(past) - shift]) if shift >= 0 else (now[:shift], past[-shift:])
            np.testing.assert_allclose(found[k, i, j], np.corrcoef(*pair)[0, 1], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(found[1], functional_connectivity(x))


def test_the_sender_leads_at_positive_lags_and_the_negative_lag_is_the_transpose():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=405)
    values = np.stack([noise[5:], noise[:-5]], axis=1)
    x = xr.DataArray(values, dims=("time", "region"), coords={"time": ("time", np.arange(400) * 2.0, {"units": "ms", "axis": "T"})})
    found = lagged_fc(x, np.arange(-6, 7) * 2 * u.ms)
    assert float(found.sel(region=1, region_other=0).idxmax("lag")) == 10.0
    np.testing.assert_allclose(found[::-1].transpose("lag", "region_other", "region"), found, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("lags", "words"),
    [
        ([0.0, 0.1], "each may occur once"),
        (90.0, "leaves 0 of"),
        ([[1.0, 2.0]], "one time or a sequence"),
        (1 * u.mV, "lags"),
        ([], "one time"),
    ],
)
def test_lags_that_make_no_sense_are_refused(lags, words):
    with pytest.raises(ValueError, match=words):
        lagged_fc(series(), lags)


# ---- seed
def test_a_seed_map_is_a_row_of_fc_or_the_correlation_with_a_mean():
    x = series()
    np.testing.assert_allclose(seed_map(x, "B_L"), functional_connectivity(x).sel(region_other="B_L"), rtol=0, atol=1e-14)
    mean = x.values[:, [0, 3]].mean(1)
    np.testing.assert_allclose(seed_map(x, ["A_L", "B_R"]), [np.corrcoef(mean, x.values[:, k])[0, 1] for k in range(6)], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(seed_map(x.drop_vars("region"), 2), seed_map(x, "B_L"))


def test_a_dead_seed_has_no_map():
    x = series()
    x[3, 0] = np.nan
    assert seed_map(x, ["A_L", "B_R"]).isnull().all()


@pytest.mark.parametrize("seed", ["D_L", ["A_L", "D_L"], 0, []])
def test_a_seed_that_is_no_region_is_refused(seed):
    with pytest.raises(KeyError, match="not among the regions"):
        seed_map(series(), seed)


# ---- edges
def test_edge_series_are_products_of_scores_whose_mean_is_fc():
    x = series()
    found = edge_series(x)
    z = scipy.stats.zscore(x.values, axis=0)
    rows, columns = np.triu_indices(6, 1)
    np.testing.assert_allclose(found, z[:, rows] * z[:, columns], rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.mean("time"), functional_connectivity(x).values[rows, columns], rtol=0, atol=1e-14)
    assert found.edge_region.values.tolist() == [REGIONS[i] for i in rows]
    assert found.edge_region_other.values.tolist() == [REGIONS[j] for j in columns]
    np.testing.assert_array_equal(found.time, x.time)


def test_edge_fc_is_the_cosine_of_edge_series():
    found, edges = edge_fc(series()), edge_series(series()).values
    length = np.sqrt((edges**2).sum(0))
    np.testing.assert_allclose(found, edges.T @ edges / np.outer(length, length), rtol=0, atol=1e-14)
    np.testing.assert_array_equal(found, found.T)
    assert (np.diagonal(found) == 1).all()


def test_an_edge_needs_two_regions():
    with pytest.raises(ValueError, match="joins two"):
        edge_series(series().isel(region=[0]))


# ---- structure and function
def test_coupling_is_scipys_over_the_pairs_that_count():
    ds = cohort()
    fc = functional_connectivity(ds.bold)
    off = ~np.eye(6, dtype=bool)
    for method, witness in (("pearson", scipy.stats.pearsonr), ("spearman", scipy.stats.spearmanr)):
        for edges in ("all", "existing"):
            found = sc_fc_coupling(ds.weights, fc, method=method, edges=edges)
            w, f = ds.weights.values[1], fc.values[1]
            counts = off & (w > 0) if edges == "existing" else off
            assert float(found.coupling[1]) == pytest.approx(witness(w[counts], f[counts]).statistic, abs=1e-13)
            expected = [witness(w[i, counts[i]], f[i, counts[i]]).statistic for i in range(6)]
            np.testing.assert_allclose(found.regional_coupling[1], expected, rtol=0, atol=1e-13)
    assert found.coupling.dims == ("subject",) and found.regional_coupling.dims == ("subject", "region")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_coupling_is_that_of_the_reference(number):
    with xr.open_dataset(shared_path("reference", f"analysis_fc_fcd_hcp_subject_{number}.nc"), engine="h5netcdf") as file:
        expected, fc = file.attrs["sc_fc_correlation"], file.fc.load().rename(region_2="region_other")
    with xr.open_dataset(shared_path("data", f"hcp_subject_{number}.nc"), engine="h5netcdf") as file:
        keep = np.flatnonzero(file.cortical.values)
        weights = file.weights.isel(region=keep, region_other=keep).load()
    assert float(sc_fc_coupling(weights, fc).coupling) == pytest.approx(expected, abs=1e-14)


def test_coupling_aligns_by_label_crosses_dims_and_stays_lazy():
    ds = cohort()
    fc = functional_connectivity(ds.bold)
    shuffled = fc.isel(region=[3, 1, 0, 5, 4, 2], region_other=[0, 2, 4, 1, 3, 5], subject=[2, 0, 1])
    expected = sc_fc_coupling(ds.weights, fc)
    xr.testing.assert_allclose(sc_fc_coupling(ds.weights, shuffled), expected, rtol=1e-13)
    crossed = sc_fc_coupling(ds.weights.isel(subject=0, drop=True), fc.expand_dims(k=2))
    assert crossed.regional_coupling.dims == ("k", "subject", "region")
    lazy = sc_fc_coupling(ds.weights, fc.chunk({"subject": 1, "region": 2}))
    assert lazy.coupling.chunks is not None
    xr.testing.assert_identical(lazy.compute(), expected)


def test_a_dead_region_has_no_coupling_and_the_others_leave_it_out():
    ds = cohort().isel(subject=0)
    fc = functional_connectivity(ds.bold)
    dead = fc.where((fc.region != "B_L") & (fc.region_other != "B_L"))
    found = sc_fc_coupling(ds.weights, dead)
    keep = {"region": [r for r in REGIONS if r != "B_L"], "region_other": [r for r in REGIONS if r != "B_L"]}
    alone = sc_fc_coupling(ds.weights.sel(keep), fc.sel(keep))
    assert np.isnan(found.regional_coupling.sel(region="B_L"))
    xr.testing.assert_allclose(found.sel(region=keep["region"]), alone, rtol=1e-13)


@pytest.mark.parametrize(
    ("fc", "options", "error", "words"),
    [
        (series(), {}, ValueError, "xm.functional_connectivity"),
        (functional_connectivity(series()), {"method": "kendall"}, ValueError, "needs 'pearson'"),
        (functional_connectivity(series()), {"edges": "positive"}, ValueError, "needs 'all'"),
        (functional_connectivity(series()).isel(region=slice(5), region_other=slice(5)), {}, ValueError, "C_R"),
        (np.eye(6), {}, TypeError, "DataArray"),
    ],
)
def test_what_has_no_coupling_is_refused(fc, options, error, words):
    with pytest.raises(error, match=words):
        sc_fc_coupling(cohort().weights.isel(subject=0), fc, **options)
