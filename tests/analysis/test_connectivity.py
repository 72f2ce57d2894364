from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.analysis.cases import REGIONS, cohort, series
from xmass.analysis import average_fc, functional_connectivity
from xmass.analysis.connectivity import correlation_matrix


def values_of():
    shapes = st.tuples(st.integers(3, 12), st.integers(1, 5))
    numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
    return shapes.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=numbers))


def as_series(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "region"), coords={"region": [f"R{i}" for i in range(values.shape[1])]})


def test_it_is_numpys_corrcoef_with_labels():
    x = series()
    fc = functional_connectivity(x)
    np.testing.assert_allclose(fc.values, np.corrcoef(x.values.T), rtol=0, atol=1e-15)
    assert fc.dims == ("region", "region_other")
    assert fc.name == "fc"
    assert fc.attrs["units"] == "1"
    assert fc.region.values.tolist() == fc.region_other.values.tolist() == REGIONS
    assert fc.hemisphere.dims == ("region",)


def test_other_dims_are_kept_wherever_they_are_and_each_matrix_is_that_of_its_own_series():
    bold = cohort().bold.transpose("region", "subject", "time")
    fc = functional_connectivity(bold)
    assert fc.dims == ("subject", "region", "region_other")
    for subject in bold.subject.values:
        xr.testing.assert_identical(
            fc.sel(subject=subject, drop=True), functional_connectivity(bold.sel(subject=subject, drop=True).transpose("time", "region"))
        )


def test_lazy_in_lazy_out_with_the_same_bits_however_it_is_chunked():
    bold = cohort().bold
    lazy = functional_connectivity(bold.chunk({"subject": 1, "time": 50, "region": 2}))
    assert lazy.chunks is not None
    assert (lazy.dtype, lazy.dims) == (bold.dtype, ("subject", "region", "region_other"))
    xr.testing.assert_identical(lazy.compute(), functional_connectivity(bold))


def test_a_mean_far_above_the_sd_costs_only_what_the_samples_have_lost():
    x = series(samples=400)
    shifted = x + 1e10
    lost = 1e10 * np.finfo(float).eps / x.values.std()  # relative size of the rounding of each sample, 1e-6
    exact = np.corrcoef((shifted - 1e10).values.T)  # the subtraction is exact: both have one exponent range
    np.testing.assert_allclose(functional_connectivity(shifted).values, exact, rtol=0, atol=1e-14)
    assert np.abs(exact - np.corrcoef(x.values.T)).max() < 10 * lost


def test_float32_stays_float32_and_is_computed_in_double():
    x = (series(samples=400) + 1000).astype(np.float32)
    fc = functional_connectivity(x)
    assert fc.dtype == np.float32
    np.testing.assert_allclose(fc.values, np.corrcoef(x.values.T.astype(np.float64)), rtol=0, atol=6e-8)  # half an ulp at 1


@pytest.mark.parametrize("value", [np.nan, np.inf, "constant"])
def test_a_dead_region_has_a_row_and_a_column_of_nan_and_the_others_do_not_notice(value):
    x = series()
    dead = x.copy()
    dead[:, 2] = 0.1 if value == "constant" else dead[:, 2].where(dead.time != dead.time[5], value)
    fc = functional_connectivity(dead)
    keep = [0, 1, 3, 4, 5]
    assert fc[2].isnull().all()
    assert fc[:, 2].isnull().all()
    np.testing.assert_array_equal(fc.values[np.ix_(keep, keep)], functional_connectivity(x).values[np.ix_(keep, keep)])


@given(values_of())
def test_it_is_symmetric_between_minus_one_and_one_with_ones_on_the_diagonal(values):
    fc = functional_connectivity(as_series(values)).values
    np.testing.assert_array_equal(fc, fc.T)
    assert np.nanmax(np.abs(fc), initial=0) <= 1
    diagonal = np.diagonal(fc)
    np.testing.assert_array_equal(np.isnan(diagonal), np.ptp(values, axis=0) == 0)
    assert (diagonal[~np.isnan(diagonal)] == 1).all()


@given(values_of(), st.integers(-40, 40))
def test_it_does_not_change_by_positive_scaling(values, power):
    # powers of two scale without rounding, so that the result is the same to the last bit
    x = as_series(values)
    xr.testing.assert_identical(functional_connectivity(x * 2.0**power), functional_connectivity(x))


@given(values_of(), st.randoms(use_true_random=False))
def test_relabelling_regions_relabels_the_matrix(values, random):
    x = as_series(values)
    order = random.sample(range(x.sizes["region"]), x.sizes["region"])
    fc, other = functional_connectivity(x), functional_connectivity(x.isel(region=order))
    aligned = other.sel(region=fc.region, region_other=fc.region_other)
    np.testing.assert_allclose(aligned.values, fc.values, rtol=0, atol=1e-14)  # sums of another order


@pytest.mark.long
def test_the_array_core_is_the_same_in_jax_and_differentiable():
    x = series().values
    with jax.enable_x64(True):
        fc = correlation_matrix(jnp.asarray(x))
        np.testing.assert_allclose(np.asarray(fc), np.corrcoef(x.T), rtol=0, atol=1e-14)

        def mean_of(shift):
            return correlation_matrix(jnp.asarray(x) + shift * jnp.asarray(x[:, ::-1])).mean()

        step = 1e-5
        slope = (mean_of(step) - mean_of(-step)) / (2 * step)
        np.testing.assert_allclose(float(jax.grad(mean_of)(0.0)), float(slope), rtol=1e-7)


@pytest.mark.parametrize(
    ("signal", "error", "words"),
    [
        (series(samples=2), ValueError, "2 samples"),
        (series().rename(region="node"), ValueError, "needs 'region'"),
        (series().rename(time="t").drop_vars("t"), ValueError, "none of which is time"),
        (series().values, TypeError, "needs an xarray.DataArray"),
        (series() > 0, TypeError, "bool"),
        (series().assign_coords(region_other=1), ValueError, "drop_vars"),
    ],
)
def test_what_is_not_a_series_is_refused_with_the_fix(signal, error, words):
    with pytest.raises(error, match=words):
        functional_connectivity(signal)


def test_two_time_dims_are_an_error_that_dim_settles():
    x = series().expand_dims(bold_time=3).assign_coords(bold_time=("bold_time", [0.0, 1.0, 2.0], {"axis": "T", "units": "s"}))
    with pytest.raises(ValueError, match=r"'bold_time'.*'time'|'time'.*'bold_time'"):
        functional_connectivity(x)
    assert functional_connectivity(x, dim="time").dims == ("bold_time", "region", "region_other")


def test_the_preprocessing_of_the_series_is_told_by_its_fc():
    x = series().assign_attrs(preprocess='[{"detrend": "linear"}]')
    assert functional_connectivity(x).attrs["preprocess"] == '[{"detrend": "linear"}]'


def test_average_is_the_mean_through_fisher_z():
    fc = functional_connectivity(cohort().bold)
    averaged = average_fc(fc, "subject")
    off = ~np.eye(6, dtype=bool)
    z = np.arctanh(fc.values[:, off])
    np.testing.assert_allclose(averaged.fc.values[off], np.tanh(z.mean(0)), rtol=1e-13)
    error = z.std(0, ddof=1) / np.sqrt(3) * (1 - np.tanh(z.mean(0)) ** 2)
    np.testing.assert_allclose(averaged.fc_se.values[off], error, rtol=1e-12)
    assert (np.diagonal(averaged.fc) == 1).all()
    assert (np.diagonal(averaged.fc_se) == 0).all()
    assert averaged.fc.attrs["averaged_over"] == "subject (3)"


@pytest.mark.long
def test_the_standard_error_covers_the_truth_as_often_as_it_says():
    # 400 experiments of 20 correlated pairs: the true r lies within one standard error in 67 % (t with 19 degrees) of them
    truth, rng = 0.6, np.random.default_rng(1)
    common = rng.multivariate_normal([0, 0], [[1, truth], [truth, 1]], size=(400, 20, 300))
    fc = functional_connectivity(xr.DataArray(common, dims=("experiment", "batch", "time", "region")))
    averaged = average_fc(fc, "batch").isel(region=0, region_other=1)
    inside = float((abs(averaged.fc - truth) < averaged.fc_se).mean())
    assert abs(inside - 0.67) < 3 * np.sqrt(0.67 * 0.33 / 400)


def test_one_run_has_no_standard_error_and_a_nan_is_not_skipped():
    fc = functional_connectivity(cohort(2).bold)
    single = average_fc(fc.isel(subject=[0]), "subject")
    assert single.fc_se.isnull().all()
    np.testing.assert_allclose(single.fc, fc[0], rtol=1e-13)
    assert average_fc(fc.where(fc.subject == "S1"), "subject").fc.isnull().all()


@pytest.mark.parametrize("dim", ["region", "seed", []])
def test_averaging_over_what_is_not_there_is_an_error(dim):
    with pytest.raises(ValueError, match="average_fc"):
        average_fc(functional_connectivity(cohort().bold), dim)


def test_averaging_is_lazy_over_several_dims():
    fc = functional_connectivity(cohort().bold.expand_dims(batch=2))
    lazy = average_fc(fc.chunk({"subject": 1}), ["subject", "batch"])
    assert lazy.fc.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), average_fc(fc, ["subject", "batch"]), rtol=1e-13)
