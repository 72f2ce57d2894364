from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from tests.analysis.cases import cohort, sweep
from xmass import objectives
from xmass.analysis import compare, functional_connectivity

RECORDED = cohort()[["bold"]]


def own() -> xr.Dataset:
    """One simulated series for each subject and each k, the subjects in another order than the recording's."""
    bold = sweep().bold.isel(sigma=0, drop=True)
    return xr.Dataset({"bold": xr.concat([bold + 0.1 * i * np.sin(bold) for i in range(3)], dim="subject")}).assign_coords(
        subject=["S3", "S1", "S2"]
    )


def mine(simulated, recorded):
    return ((functional_connectivity(simulated.bold) - functional_connectivity(recorded.bold)) ** 2).mean(("region", "region_other"))


@pytest.mark.parametrize(
    "objective", [objectives.fc_corr(), objectives.bold_sd_ratio(), mine], ids=["fc_corr", "bold_sd_ratio", "function"]
)
def test_dim_pairs_by_label_and_crosses_everything_else(objective):
    sessions = xr.Dataset({"bold": xr.concat([RECORDED.bold, RECORDED.bold**3], dim="session")})
    score = compare(own(), sessions, objective, dim="subject")
    value = next(iter(score.data_vars.values()))
    assert set(value.dims) == {"k", "subject", "session"}
    assert score.subject.values.tolist() == ["S3", "S1", "S2"]
    for subject in ("S1", "S2", "S3"):
        alone = compare(own().sel(subject=subject), sessions.sel(subject=subject), objective)[value.name]
        np.testing.assert_allclose(value.sel(subject=subject).transpose("k", "session"), alone.transpose("k", "session"), rtol=1e-12)
    every = compare(own(), sessions, objective)
    xr.testing.assert_identical(score, every)  # all that is shared is paired without it, too


def test_several_dims_may_pair():
    both = xr.concat([RECORDED.bold, RECORDED.bold**3], dim="session").assign_coords(session=["rest", "task"])
    ours = xr.concat([own().bold, own().bold ** 2], dim="session").assign_coords(session=["task", "rest"])
    score = compare(xr.Dataset({"bold": ours}), xr.Dataset({"bold": both}), objectives.fc_rmse(), dim=["subject", "session"])
    one = compare(own().sel(subject="S2"), xr.Dataset({"bold": both.sel(subject="S2", session="task")}), objectives.fc_rmse())
    np.testing.assert_allclose(score.fc_rmse.sel(subject="S2", session="task"), one.fc_rmse, rtol=1e-12)


@pytest.mark.parametrize("objective", [objectives.fc_corr(), mine], ids=["fc_corr", "function"])
def test_a_dim_that_is_not_shared_is_an_error(objective):
    with pytest.raises(ValueError, match=r"dim=\['subject'\].*is not a dim of both sides, which share none"):
        compare(sweep(), RECORDED, objective, dim="subject")
    with pytest.raises(ValueError, match=r"\['session'\] is not a dim of both sides, which share \['subject'\]"):
        compare(own(), RECORDED, objective, dim=["subject", "session"])
    with pytest.raises(ValueError, match=r"is not a dim of both sides"):
        compare(own(), RECORDED, objective, dim="region")


@pytest.mark.parametrize("objective", [objectives.fc_corr(), mine], ids=["fc_corr", "function"])
def test_a_dim_that_is_shared_and_not_named_is_an_error(objective):
    ours = own().rename(k="session").assign_coords(session=[0, 1, 2])
    theirs = xr.concat([RECORDED] * 3, dim="session").assign_coords(session=[0, 1, 2])
    with pytest.raises(ValueError, match=r"both sides have \['session'\] too.*dim=\['subject', 'session'\]"):
        compare(ours, theirs, objective, dim="subject")
    with pytest.raises(ValueError, match=r"both sides have \['subject'\] too"):
        compare(own(), RECORDED, objective, dim=())
    crossed = compare(own(), RECORDED.rename(subject="recorded_subject"), objective, dim=())
    assert set(next(iter(crossed.data_vars.values())).dims) == {"k", "subject", "recorded_subject"}


def test_labels_of_a_paired_dim_must_agree():
    for objective in (objectives.fc_corr(), mine):
        with pytest.raises(ValueError, match="lacks 'S3'"):
            compare(own(), RECORDED.isel(subject=[0, 1]), objective, dim="subject")
        with pytest.raises(ValueError, match="cannot be paired by label"):
            compare(own(), RECORDED.drop_vars("subject"), objective, dim="subject")


# ------------------------------------------------------------------------------------------------------------ functions of two Datasets
def test_a_plain_function_is_an_objective_where_small_is_good():
    score = compare(sweep(), RECORDED, [mine, objectives.custom(mine, name="square", best=0.0, direction="min"), objectives.fc_rmse()])
    assert score.mine.attrs["direction"] == "min" and "best" not in score.mine.attrs
    assert score.square.attrs["best"] == 0.0 and score.square.dtype == np.float64
    # the diagonal is 1 on both sides: 30 of 36 entries differ
    np.testing.assert_allclose(score.square, score.fc_rmse**2 * 30 / 36, rtol=1e-12)
    assert score.to_table().query("best_by == 'mine'").shape[0] == 3


def test_a_function_sees_regions_in_one_order_and_keeps_lazy_data_lazy():
    shuffled = RECORDED.isel(region=[5, 3, 1, 0, 2, 4])

    def difference(simulated, recorded):
        return abs(simulated.bold.mean("time") - recorded.bold.mean("time")).max("region")

    expected = compare(sweep(), RECORDED, difference).difference
    found = compare(sweep().chunk(k=1), shuffled, difference).difference
    assert found.chunks is not None
    np.testing.assert_allclose(found.compute(), expected, rtol=1e-12)


def test_a_function_over_jax_is_computed_in_float64():
    def cubes(simulated, recorded):
        a, b = (
            xr.apply_ufunc(lambda x: jnp.mean(x**3, axis=(-2, -1)), side.bold, input_core_dims=[["time", "region"]])
            for side in (simulated, recorded)
        )
        return abs(a - b)

    def plain(simulated, recorded):
        return abs((simulated.bold**3).mean(("time", "region")) - (recorded.bold**3).mean(("time", "region")))

    score = compare(sweep(), RECORDED, [cubes, plain])
    assert score.cubes.dtype == np.float64 and isinstance(score.cubes.data, np.ndarray)
    np.testing.assert_allclose(score.cubes, score.plain, rtol=0, atol=1e-13)  # differences of numbers near 1


def test_functions_are_combined_with_objectives():
    half = objectives.combine(objectives.fc_corr(), objectives.custom(mine), weights=(1, 0.5), name="half")
    score = compare(sweep(), RECORDED, [half, objectives.fc_corr(), mine])
    np.testing.assert_allclose(score.half, score.fc_corr - 0.5 * score.mine, rtol=1e-12)
    assert half.best is None and half.differentiable


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda a, b: 1.0, TypeError, "returned a float, needs an xarray.DataArray"),
        (lambda a, b: a.bold.mean("time") - b.bold.mean("time"), ValueError, r"must reduce \['region'\]"),
        (lambda a, b: (a.bold - b.bold).mean(("time", "region")), ValueError, "Only equal labels are paired.*drop_vars"),
        (lambda a, b: a.bold.mean(), ValueError, r"the runs have \['k', 'sigma'\] too"),
        (lambda a, b: a.bold.mean(("time", "region")) * (1 + 1j), TypeError, "returned dtype complex128"),
    ],
    ids=["a number", "regions", "stamps", "no runs", "complex"],
)
def test_what_a_function_may_not_return(function, error, words):
    with pytest.raises(error, match=words):
        compare(sweep(), RECORDED, function)


def test_an_objective_needs_a_function_a_name_and_a_direction():
    with pytest.raises(TypeError, match="needs a function f"):
        objectives.custom(3)
    with pytest.raises(ValueError, match="needs 'max' or 'min'"):
        objectives.custom(mine, direction="up")
    with pytest.raises(ValueError, match="empty name"):
        objectives.custom(mine, name="")
