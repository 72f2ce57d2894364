from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmass.accessor  # noqa: F401  registers .to_table()
from tests.analysis.cases import cohort, sweep
from xmass import objectives
from xmass.analysis import compare

EVERY = [objectives.fc_corr(), objectives.fc_rmse()]


def test_every_recording_has_one_row_per_objective_with_the_best_point():
    score = compare(sweep(), cohort(), EVERY)
    table = score.to_table()
    assert isinstance(table, pd.DataFrame)
    assert table[["subject", "best_by"]].values.tolist() == [[s, o] for s in ("S1", "S2", "S3") for o in ("fc_corr", "fc_rmse")]
    for _, row in table.iterrows():
        own = score.sel(subject=row.subject)
        best = own.fc_corr.max() if row.best_by == "fc_corr" else own.fc_rmse.min()
        assert row[row.best_by] == float(best)
        here = own.sel(k=row.k, sigma=row.sigma)
        assert (row.fc_corr, row.fc_rmse) == (float(here.fc_corr), float(here.fc_rmse))
        for name in ("baseline_weights", "baseline_log_weights", "baseline_other_subjects", "ceiling_split_half"):
            assert row[name] == float(own[name])


def planted(best_k: int, best_sigma: int) -> xr.Dataset:
    """A comparison with its optimum at a chosen point."""
    score = compare(sweep(), cohort(), EVERY)
    values = xr.zeros_like(score.fc_corr)
    values[{"k": best_k, "sigma": best_sigma}] = 1.0
    return score.assign(fc_corr=values.assign_attrs(score.fc_corr.attrs))


@pytest.mark.parametrize(("k", "at_edge"), [(0, True), (1, False), (2, True)])
def test_an_optimum_at_the_edge_of_the_grid_is_marked(k, at_edge):
    table = planted(k, 1).to_table()
    assert (table[table.best_by == "fc_corr"].at_edge == at_edge).all()


def test_trials_are_averaged_before_the_best_point_is_looked_for():
    rng = np.random.default_rng(0)
    simulated = sweep()
    noisy = simulated.bold.expand_dims(batch=4).copy() + rng.normal(size=(4, *simulated.bold.shape))
    score = compare(xr.Dataset({"bold": noisy}).assign_coords(batch=range(4), seed=("batch", range(4))), cohort(), EVERY)
    assert "batch" in score.fc_corr.dims
    table = score.to_table()
    assert not {"batch", "seed"} & set(table.columns)
    mean = score.fc_corr.mean("batch").sel(subject="S2")
    row = table[(table.subject == "S2") & (table.best_by == "fc_corr")].iloc[0]
    assert row.fc_corr == pytest.approx(float(mean.max()))
    assert float(mean.sel(k=row.k, sigma=row.sigma)) == pytest.approx(float(mean.max()))


def test_parameters_along_a_point_dim_are_columns_and_properties_of_subjects_are_not():
    simulated = sweep().stack(point=("k", "sigma")).reset_index("point").rename(k="coupling.k")
    recorded = cohort().assign_coords(age=("subject", [20, 30, 40]))
    table = compare(simulated, recorded, objectives.fc_corr()).to_table()
    assert {"point", "coupling.k", "sigma"} <= set(table.columns)
    assert "age" not in table.columns
    direct = compare(sweep(), cohort(), objectives.fc_corr()).to_table()
    np.testing.assert_array_equal(table["coupling.k"], direct["k"])


def test_what_was_added_to_a_comparison_stands_beside_the_scores_with_its_unit():
    score = compare(sweep(), cohort(), EVERY)
    rate = xr.DataArray(np.arange(6.0).reshape(3, 2), dims=("k", "sigma"), attrs={"units": "Hz"})
    added = score.assign(rate=rate, size=score.fc_corr.subject.astype(str), apart=("other", [1.0, 2.0])).to_table()
    for _, row in added.iterrows():
        assert row.rate == float(rate.assign_coords(k=score.k, sigma=score.sigma).sel(k=row.k, sigma=row.sigma))
    assert added.attrs["units"] == {"rate": "Hz"}
    pd.testing.assert_frame_equal(added.drop(columns="rate"), score.to_table(), check_flags=False)


def test_a_parameter_that_repeats_its_dim_has_no_column_of_its_own():
    score = compare(sweep(), cohort(), EVERY)
    named = score.assign_coords({"noise_e.sigma": ("sigma", score.sigma.values), "coupling.k": ("k", 2 * score.k.values)})
    table = named.to_table()
    assert "noise_e.sigma" not in table.columns
    np.testing.assert_array_equal(table["coupling.k"], 2 * table.k)


def test_without_a_finite_value_there_is_no_best_point():
    score = planted(1, 1)
    empty = score.assign(fc_corr=score.fc_corr.where(score.subject != "S2"))
    table = empty.to_table()
    row = table[(table.subject == "S2") & (table.best_by == "fc_corr")].iloc[0]
    assert np.isnan(row.k)
    assert np.isnan(row.fc_corr)
    assert table[(table.subject == "S1") & (table.best_by == "fc_corr")].iloc[0].k == 0.2


def test_a_single_recording_and_a_lazy_comparison():
    recorded = cohort().isel(subject=0, drop=True)
    table = compare(sweep().chunk(), recorded, EVERY).to_table()
    assert table.best_by.tolist() == ["fc_corr", "fc_rmse"]
    assert "subject" not in table.columns


def test_a_comparison_survives_selection_and_a_netcdf_file(tmp_path):
    score = compare(sweep(), cohort(), EVERY)
    score.to_netcdf(tmp_path / "score.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "score.nc", engine="h5netcdf") as stored:
        pd.testing.assert_frame_equal(stored.to_table(), score.to_table())
    assert set(score.sel(sigma=0.01, drop=True).to_table().columns) >= {"subject", "k"}


def test_another_dataset_has_no_such_table():
    with pytest.raises(ValueError, match="is not a comparison"):
        cohort().to_table()
