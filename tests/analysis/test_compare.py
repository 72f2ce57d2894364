from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import xarray as xr

from tests.analysis.cases import REGIONS, cohort, series, sweep
from xmass import objectives
from xmass.analysis import compare, functional_connectivity, preprocess
from xmass.analysis.arrays import off_diagonal, pearson

SIMULATED, RECORDED = sweep(), cohort()
UPPER = np.triu_indices(6, 1)


def numpy_fc(x: xr.DataArray) -> np.ndarray:
    return np.corrcoef(x.transpose("time", "region").values.T)


def fc_side(side: xr.Dataset) -> xr.Dataset:
    return xr.Dataset({"fc": functional_connectivity(side.bold)})


def test_a_sweep_is_crossed_with_the_subjects_and_every_value_is_numpys():
    score = compare(SIMULATED, RECORDED, [objectives.fc_corr(), objectives.fc_rmse()])
    assert score.fc_corr.dims == ("sigma", "k", "subject") or score.fc_corr.dims == ("k", "sigma", "subject")
    assert not {"time", "region", "region_other", "hemisphere"} & set(score.variables)
    for k in SIMULATED.k.values:
        for sigma in SIMULATED.sigma.values:
            for subject in RECORDED.subject.values:
                a = numpy_fc(SIMULATED.bold.sel(k=k, sigma=sigma))[UPPER]
                b = numpy_fc(RECORDED.bold.sel(subject=subject))[UPPER]
                at = score.sel(k=k, sigma=sigma, subject=subject)
                np.testing.assert_allclose(at.fc_corr, np.corrcoef(a, b)[0, 1], rtol=1e-12)
                np.testing.assert_allclose(at.fc_rmse, np.sqrt(np.mean((a - b) ** 2)), rtol=1e-12)
    assert score.fc_corr.attrs["direction"] == "max"
    assert score.fc_rmse.attrs["direction"] == "min"
    assert sorted(json.loads(score.attrs["comparison"])["sweep_dims"]) == ["k", "sigma"]


def test_a_matrix_is_taken_as_it_is_and_a_series_becomes_its_fc():
    from_series = compare(SIMULATED, RECORDED, objectives.fc_corr())
    mixed = compare(fc_side(SIMULATED), RECORDED, objectives.fc_corr("fc", "bold"))
    xr.testing.assert_identical(from_series.drop_attrs(), mixed.drop_attrs())
    assert mixed.fc_corr.attrs["compares"] == "fc with bold"


def test_shared_dims_pair_by_label_in_whatever_order():
    simulated = xr.Dataset({"bold": RECORDED.bold.isel(subject=[2, 0, 1])})
    score = compare(simulated, RECORDED, objectives.fc_corr())
    assert score.fc_corr.dims == ("subject",)
    assert score.subject.values.tolist() == ["S3", "S1", "S2"]
    np.testing.assert_allclose(score.fc_corr, 1.0, rtol=1e-14)
    baselines = compare(RECORDED[["bold"]], RECORDED, objectives.fc_corr())
    for name in ("baseline_weights", "baseline_other_subjects", "ceiling_split_half"):
        np.testing.assert_allclose(score[name], baselines[name].sel(subject=score.subject), rtol=1e-12)


def test_regions_in_another_order_give_the_same_answer():
    order = [4, 2, 0, 5, 1, 3]
    every = [objectives.fc_corr(), objectives.fc_rmse(), objectives.mean_fc(), objectives.bold_sd_ratio()]
    expected = compare(SIMULATED, RECORDED, every)
    shuffled = RECORDED.isel(region=order, region_other=order[::-1])
    xr.testing.assert_allclose(compare(SIMULATED, shuffled, every), expected, rtol=1e-12)
    matrix = fc_side(RECORDED).isel(region=order, region_other=order[::-1])
    found = compare(SIMULATED, matrix, objectives.fc_corr("bold", "fc"))
    np.testing.assert_allclose(found.fc_corr, expected.fc_corr, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ds: ds.isel(region=slice(1, None)), "lacks 'A_L'"),
        (lambda ds: ds.assign_coords(region=["A_L", "A_L", *REGIONS[2:]]), "repeats 'A_L'"),
        (lambda ds: ds.assign_coords(region=["X", *REGIONS[1:]]), "lacks 'A_L' and has 'X' that simulated lacks"),
        (lambda ds: ds.drop_vars("region").isel(region=slice(1, None)), "6 entries in simulated and 5 in recorded"),
    ],
)
def test_a_missing_extra_or_repeated_region_is_named(change, words):
    recorded = change(RECORDED[["bold"]])
    with pytest.raises(ValueError, match=words):
        compare(SIMULATED, recorded, objectives.fc_corr())


def test_without_labels_regions_pair_by_position():
    found = compare(SIMULATED, RECORDED[["bold"]].drop_vars(["region", "hemisphere"]), objectives.fc_corr())
    np.testing.assert_allclose(found.fc_corr, compare(SIMULATED, RECORDED, objectives.fc_corr()).fc_corr, rtol=1e-14)


def test_another_set_of_subjects_is_an_error_and_so_are_labels_on_one_side():
    simulated = RECORDED[["bold"]].isel(subject=slice(0, 2))
    with pytest.raises(ValueError, match="has 'S3' that simulated lacks"):
        compare(simulated, RECORDED, objectives.fc_corr())
    with pytest.raises(ValueError, match="recorded has none"):
        compare(RECORDED[["bold"]], RECORDED.drop_vars("subject"), objectives.fc_corr())


def test_the_default_variable_is_the_one_that_both_have():
    with pytest.raises(ValueError, match=r"\['bold', 'fc'\] in common"):
        compare(SIMULATED.merge(fc_side(SIMULATED)), RECORDED.merge(fc_side(RECORDED)), objectives.fc_corr())
    with pytest.raises(ValueError, match="no variable"):
        compare(fc_side(SIMULATED), RECORDED, objectives.fc_corr())
    with pytest.raises(KeyError, match="'bolt'"):
        compare(SIMULATED, RECORDED, objectives.fc_corr("bolt", "bold"))
    # one name stands for both sides
    named = compare(SIMULATED, RECORDED, objectives.fc_corr("bold"))
    xr.testing.assert_identical(named, compare(SIMULATED, RECORDED, objectives.fc_corr()))


def test_a_dataset_is_needed_on_both_sides_and_names_are_different():
    with pytest.raises(TypeError, match="to_dataset"):
        compare(SIMULATED.bold, RECORDED, objectives.fc_corr())
    with pytest.raises(ValueError, match="more than once"):
        compare(SIMULATED, RECORDED, [objectives.fc_corr(), objectives.fc_corr("bold")])
    with pytest.raises(ValueError, match="no objectives"):
        compare(SIMULATED, RECORDED, [])


def test_a_combined_score_is_the_sum_of_its_terms():
    every = [objectives.fc_corr(), objectives.mean_fc(), objectives.fc_rmse(), objectives.bold_sd_ratio()]
    both = [objectives.combine(*every[:2], name="a"), objectives.combine(*every[2:], weights=(1, 2), name="b")]
    score = compare(SIMULATED, RECORDED, [*every, *both])
    np.testing.assert_allclose(score.a, score.fc_corr - score.mean_fc, rtol=1e-13)
    np.testing.assert_allclose(score.b, score.fc_rmse + 2 * score.bold_sd_ratio, rtol=1e-13)
    assert (score.a.attrs["direction"], score.b.attrs["direction"]) == ("max", "min")
    assert (score.a.attrs["best"], score.b.attrs["best"]) == (1.0, 0.0)
    assert (score.fc_corr.attrs["best"], score.mean_fc.attrs["best"]) == (1.0, 0.0)


def test_samples_pair_by_position_once_period_and_length_agree():
    recorded = cohort()[["bold"]]
    later = recorded.bold.assign_coords(time=("time", (recorded.time.values + 50) * 1000, {"units": "ms", "axis": "T"}))
    simulated = xr.Dataset({"bold": later.rename(time="bold_time") + 0.5})
    score = compare(simulated, recorded, objectives.timeseries_rmse())
    assert score.timeseries_rmse.dims == ("subject",)
    np.testing.assert_allclose(score.timeseries_rmse, 0.5, rtol=1e-12)
    with pytest.raises(ValueError, match=r"119 and 120"):
        compare(simulated.isel(bold_time=slice(1, None)), recorded, objectives.timeseries_rmse())
    slow = recorded.assign_coords(time=("time", recorded.time.values * 2, {"units": "s", "axis": "T"}))
    with pytest.raises(ValueError, match=r"0\.72 s and 1\.44 s"):
        compare(simulated, slow, objectives.timeseries_rmse())


def test_scores_that_depend_on_the_unit_want_one_unit():
    raw = RECORDED.assign(bold=RECORDED.bold.assign_attrs(units="a.u."))
    with pytest.raises(ValueError, match=r"'1' and 'a\.u\.'"):
        compare(SIMULATED, raw, objectives.bold_sd_ratio())
    compare(SIMULATED, raw, objectives.fc_corr())


def test_sides_that_are_preprocessed_differently_are_an_error_that_names_both():
    clean = SIMULATED.assign(bold=preprocess(SIMULATED.bold))
    with pytest.raises(ValueError, match=r'simulated \[\{"detrend": "linear"\}\] and recorded not at all'):
        compare(clean, RECORDED, objectives.fc_corr())
    with pytest.raises(ValueError, match="preprocessed differently"):
        compare(fc_side(clean), RECORDED, objectives.fc_corr("fc", "bold"))
    both = RECORDED.assign(bold=preprocess(preprocess(RECORDED.bold, discard=7.2)))
    compare(clean, both, objectives.fc_corr())  # the start that is left out may differ, and a line is gone after the first time
    with pytest.raises(ValueError, match=r"0\.01, 0\.1"):
        compare(clean, RECORDED.assign(bold=preprocess(RECORDED.bold, band=(0.01, 0.1))), objectives.fc_corr())


def test_a_recording_made_with_a_seed_of_the_sweep_is_an_inverse_crime():
    simulated = SIMULATED.expand_dims(batch=2).assign_coords(seed=("batch", [3, 4])).assign_attrs(config_hash="abc")
    with pytest.warns(UserWarning, match=r"seeds in common \(4\) and one configuration \(abc\)"):
        compare(simulated, RECORDED.assign_coords(seed=4).assign_attrs(config_hash="abc"), objectives.fc_corr())
    with pytest.warns(UserWarning, match=r"seeds in common \(3\):"):
        compare(simulated, RECORDED.assign_attrs(seed=3), objectives.fc_corr())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = compare(simulated, RECORDED.assign_coords(seed=("subject", [5, 6, 7])), objectives.fc_corr())
    assert score.seed.dims == ("batch",)  # that of the simulation


def test_lazy_sides_give_a_lazy_result_with_the_same_bits():
    every = [objectives.fc_corr(), objectives.combine(objectives.fc_rmse(), objectives.bold_sd_ratio())]
    score = compare(SIMULATED.chunk({"k": 1, "time": 30}), RECORDED.chunk({"subject": 2, "region": 3}), every)
    assert all(score[name].chunks is not None for name in ("fc_corr", "baseline_weights", "ceiling_split_half"))
    xr.testing.assert_identical(score.compute(), compare(SIMULATED, RECORDED, every))


def test_baselines_are_numpys_and_have_no_sweep_dims():
    score = compare(SIMULATED, RECORDED, objectives.fc_corr())
    fcs = [numpy_fc(RECORDED.bold.sel(subject=s)) for s in RECORDED.subject.values]
    off = ~np.eye(6, dtype=bool)
    for i, fc in enumerate(fcs):
        weights = RECORDED.weights.values[i]
        np.testing.assert_allclose(score.baseline_weights[i], np.corrcoef(fc[off], weights[off])[0, 1], rtol=1e-12)
        edges = off & (weights > 0)
        assert edges.sum() == off.sum() - 1
        np.testing.assert_allclose(score.baseline_log_weights[i], np.corrcoef(fc[edges], np.log(weights[edges]))[0, 1], rtol=1e-12)
        others = [np.corrcoef(fc[UPPER], other[UPPER])[0, 1] for j, other in enumerate(fcs) if j != i]
        np.testing.assert_allclose(score.baseline_other_subjects[i], np.mean(others), rtol=1e-12)
        halves = [np.corrcoef(RECORDED.bold.values[i][half].T)[UPPER] for half in (slice(0, 60), slice(60, 120))]
        np.testing.assert_allclose(score.ceiling_split_half[i], np.corrcoef(*halves)[0, 1], rtol=1e-12)
    for name in ("baseline_weights", "baseline_log_weights", "baseline_other_subjects", "ceiling_split_half"):
        assert score[name].dims == ("subject",)
        assert name in score.coords


def test_baselines_are_there_where_the_recording_has_what_they_take():
    one = compare(SIMULATED, RECORDED[["bold"]].isel(subject=0, drop=True), objectives.fc_corr())
    assert {"ceiling_split_half"} == {c for c in one.coords if str(c).startswith(("base", "ceil"))}
    matrix = compare(SIMULATED, fc_side(RECORDED), objectives.fc_corr("bold", "fc"))
    assert {"baseline_other_subjects"} == {c for c in matrix.coords if str(c).startswith(("base", "ceil"))}
    beside = compare(SIMULATED, fc_side(RECORDED).assign(bold=RECORDED.bold), objectives.fc_corr("bold", "fc"))
    assert "ceiling_split_half" in beside.coords
    plain = compare(SIMULATED, RECORDED, objectives.bold_sd_ratio())
    assert not {c for c in plain.coords if str(c).startswith(("base", "ceil"))}


def test_an_objective_of_ones_own_works_and_a_wrong_shape_is_explained():
    def worst(simulated, recorded):
        return np.abs(off_diagonal(simulated) - off_diagonal(recorded)).max(axis=-1)

    mine = objectives.Objective(worst, name="worst", direction="min", takes="fc")
    score = compare(SIMULATED, RECORDED, [mine, objectives.combine(objectives.fc_corr(), mine, weights=(1, 0.1), name="both")])
    a, b = numpy_fc(SIMULATED.bold.isel(k=1, sigma=0)), numpy_fc(RECORDED.bold.isel(subject=2))
    assert "best" not in score.worst.attrs and "best" not in score.both.attrs  # nobody said
    np.testing.assert_allclose(score.worst.isel(k=1, sigma=0, subject=2), np.abs(a - b).max(), rtol=1e-12)
    np.testing.assert_allclose(score.both, compare(SIMULATED, RECORDED, objectives.fc_corr()).fc_corr - 0.1 * score.worst, rtol=1e-12)
    wrong = objectives.Objective(lambda a, b: (a - b).max(), name="wrong", direction="min")
    with pytest.raises(ValueError, match="reduce the last two axes"):
        compare(SIMULATED, RECORDED, wrong)


def test_a_series_score_refuses_a_matrix():
    with pytest.raises(ValueError, match="takes series"):
        compare(fc_side(SIMULATED), RECORDED, objectives.bold_sd_ratio("fc", "bold"))


def test_a_diverged_run_has_no_score_and_leaves_the_others_alone():
    broken = SIMULATED.copy(deep=True)
    broken.bold[{"k": 1, "sigma": 0, "time": slice(10, None)}] = np.nan
    score = compare(broken, RECORDED, [objectives.fc_corr(), objectives.fc_rmse(), objectives.bold_sd_ratio()])
    for name, values in compare(SIMULATED, RECORDED, [objectives.fc_corr(), objectives.fc_rmse(), objectives.bold_sd_ratio()]).items():
        assert score[name].isel(k=1, sigma=0).isnull().all()
        keep = values.where((values.k != values.k[1]) | (values.sigma != values.sigma[0]))
        xr.testing.assert_identical(score[name].drop_attrs(), keep.drop_attrs())


def test_pint_quantified_sides_are_taken_too():
    from xmass.labelled.units import quantify

    score = compare(quantify(SIMULATED), quantify(RECORDED), objectives.bold_sd_ratio())
    xr.testing.assert_allclose(score, compare(SIMULATED, RECORDED, objectives.bold_sd_ratio()))


def test_the_correlation_of_a_thousand_regions_with_a_cohort_makes_no_crossed_copy():
    # 500 runs x 40 subjects x 1560 edges would be 250 MB in double precision
    import tracemalloc

    rng = np.random.default_rng(0)
    runs, subjects = rng.normal(size=(500, 1, 1560)), rng.normal(size=(1, 40, 1560))
    tracemalloc.start()
    pearson(runs, subjects)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_series_of_one_node_and_recordings_with_more_dims():
    recorded = cohort().bold.expand_dims(session=["one", "two"]).to_dataset()
    score = compare(SIMULATED, recorded, objectives.fc_corr())
    assert set(score.fc_corr.dims) == {"k", "sigma", "session", "subject"}
    assert set(score.ceiling_split_half.dims) == {"session", "subject"}
    single = xr.Dataset({"x": series(regions=["A_L"])})
    assert float(compare(single + 1, single, objectives.timeseries_rmse()).timeseries_rmse) == pytest.approx(1.0)
