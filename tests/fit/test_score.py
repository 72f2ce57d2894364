from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.analysis.cases import REGIONS, cohort, series, sweep
from xmass import objectives as o
from xmass.fit import terms
from xmass.fit.score import Scorer

WINDOWS = {"window": 20.0, "step": 3.0}
SIMULATED = sweep()
RECORDED = cohort().isel(region=[3, 1, 0, 2, 5, 4])[["bold"]]  # another order of regions than the simulation's


def variance_ratio(simulated, recorded):
    """Squared logarithm of the ratio of variances."""
    return xr.ufuncs.log(simulated.bold.var("time").mean("region") / recorded.bold.var("time").mean("region")) ** 2


EVERY = [
    o.fc_corr(),
    o.fc_rmse(),
    o.mean_fc(),
    o.cosine_sim(),
    o.bold_sd_ratio(),
    o.edge_fc_corr(),
    o.metastability_diff(),
    o.spectrum_rmse(segment=10.0),
    o.spectrum_rmse(segment=10.0, band=(0.2, None), relative=True, name="spectrum_form"),
    o.lagged_cov(),
    o.lagged_cov(lag=[0.72, 2.16], name="two_lags"),
    o.fcd_ks(**WINDOWS),
    o.fcd_wasserstein(**WINDOWS),
    o.custom(variance_ratio),
    o.combine(o.fc_corr(), o.mean_fc(), weights=(1.0, 0.5)),
    o.combine(o.fc_rmse(), o.custom(variance_ratio), o.fc_corr()),
]


def runs(simulated: xr.Dataset) -> np.ndarray:
    """``(run, time, region)``, the last dim of the sweep fastest."""
    bold = simulated.bold.transpose(..., "time", "region")
    return bold.values.reshape(-1, *bold.shape[-2:])


def rows(scorer: Scorer, points: list[int]):
    return jax.tree.map(lambda a: a[np.array(points)], scorer.targets)


def losses_of_compare(simulated: xr.Dataset, recorded: xr.Dataset, objectives) -> np.ndarray:
    """``(point of the target, run, objective)``."""
    score = xm.compare(simulated, recorded, objectives)
    found = []
    for objective in objectives:
        value = score[objective.name].transpose("subject", "k", "sigma").values
        best = 0.0 if objective.best is None else objective.best
        found.append((value if objective.direction == "min" else best - value).reshape(len(value), -1))
    return np.stack(found, axis=-1)


PAIRED = [*EVERY, o.timeseries_rmse(), o.fcd(**WINDOWS)]
FEW = [o.fc_corr(), o.timeseries_rmse(), o.custom(variance_ratio)]
"""Enough for the default suite: a matrix, a series, and a function of two Datasets."""


def test_every_objective_equals_compare():
    recorded = RECORDED.isel(time=slice(0, 90))  # paired sample by sample
    scorer = Scorer(PAIRED, SIMULATED, recorded)
    assert scorer.names == tuple(objective.name for objective in PAIRED)
    assert (scorer.dims, scorer.sizes) == (("subject",), {"subject": 3})
    assert scorer.axes == {"bold": ("time", "region")}
    assert not scorer.masked.any()
    expected = losses_of_compare(SIMULATED, recorded, PAIRED)
    for point in range(3):  # sums of some thousand numbers of size 1, in another order
        np.testing.assert_allclose(scorer({"bold": runs(SIMULATED)}, rows(scorer, [point] * 6)), expected[point], rtol=0, atol=1e-12)


@pytest.mark.parametrize("objectives", [FEW, pytest.param(PAIRED, marks=pytest.mark.long)], ids=["few", "every"])
def test_jax_gives_the_numbers_of_compare(objectives):
    recorded = RECORDED.isel(time=slice(0, 90))
    scorer = Scorer(objectives, SIMULATED, recorded)
    expected = losses_of_compare(SIMULATED, recorded, objectives)
    with jax.enable_x64(True):
        for point in range(3):
            found = scorer.losses({"bold": runs(SIMULATED)}, rows(scorer, [point] * 6))
            np.testing.assert_allclose(found, expected[point], rtol=0, atol=1e-12)


SMOOTH = [objective for objective in PAIRED if objective.differentiable]


@pytest.mark.parametrize("smooth", [FEW, pytest.param(SMOOTH, marks=pytest.mark.long)], ids=["few", "every"])
def test_gradients_are_those_of_finite_differences(smooth):
    scorer = Scorer(smooth, SIMULATED, RECORDED.isel(time=slice(0, 90)))
    scorer.check_differentiable()
    at = runs(SIMULATED)[:2]
    targets = rows(scorer, [0, 2])
    towards = np.random.default_rng(0).normal(size=at.shape)

    def loss(values):
        return scorer({"bold": values}, targets)

    with jax.enable_x64(True):
        slope = np.asarray(jax.jit(lambda x, d: jax.jvp(loss, (x,), (d,))[1])(jnp.asarray(at), jnp.asarray(towards)))
        back = np.asarray(jax.jit(jax.grad(lambda x: (loss(x) * jnp.arange(1.0, len(smooth) + 1)).sum()))(jnp.asarray(at)))
    h = 1e-5  # errors of h^2 and of 1e-16 / h, both near 1e-11
    finite = (loss(at + h * towards) - loss(at - h * towards)) / (2 * h)
    np.testing.assert_allclose(slope, finite, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose((back * towards).sum(), (finite * np.arange(1.0, len(smooth) + 1)).sum(), rtol=1e-6)


def edge_cases() -> dict[str, np.ndarray]:
    """Runs on which a naive derivative is NaN: constant, equal and opposite regions, silence, NaN and infinite samples."""
    found = {}
    for name, change in {
        "constant region": lambda x: x.__setitem__((slice(None), 2), 0.1),
        "r is 1": lambda x: x.__setitem__((slice(None), 2), x[:, 3]),
        "r is -1": lambda x: x.__setitem__((slice(None), 2), -x[:, 3]),
        "silence": lambda x: x.fill(0.0),
        "NaN": lambda x: x.__setitem__((3, 2), np.nan),
        "infinite": lambda x: x.__setitem__((3, 2), np.inf),
    }.items():
        found[name] = runs(SIMULATED)[0].copy()
        change(found[name])
    return found


SAFE = [objective for objective in SMOOTH if len(objective.terms) == 1 and objective.name != "variance_ratio"]


@pytest.mark.parametrize("smooth", [FEW[:2], pytest.param(SAFE, marks=pytest.mark.long)], ids=["few", "every"])
def test_gradients_are_finite_everywhere_and_a_broken_run_harms_no_other(smooth):
    scorer = Scorer(smooth, SIMULATED, RECORDED.isel(time=slice(0, 90)))
    cases = edge_cases()
    batch = np.stack([*cases.values(), runs(SIMULATED)[1], RECORDED.bold.isel(subject=0, time=slice(0, 90)).sel(region=REGIONS).values])
    targets = rows(scorer, [0] * len(batch))
    with jax.enable_x64(True):
        value = jax.jit(lambda x: scorer({"bold": x}, targets))
        slopes = jax.jit(jax.jacrev(lambda x: scorer({"bold": x}, targets).sum(0)))
        losses, slopes = np.asarray(value(jnp.asarray(batch))), np.asarray(slopes(jnp.asarray(batch)))
        alone = scorer({"bold": batch[-2:]}, rows(scorer, [0, 0]))
    assert np.isfinite(slopes).all()
    of = dict(zip(cases, losses, strict=False))
    for name in ("silence", "NaN", "infinite"):
        assert np.isnan(of[name][[n != "timeseries_rmse" for n in scorer.names]]).all(), name
    for name in ("r is 1", "r is -1"):
        assert np.isfinite(of[name]).all(), name
    assert np.isnan(of["constant region"][scorer.names.index("fc_corr")])
    np.testing.assert_allclose(losses[-2:], alone, rtol=0, atol=1e-12)


def test_runs_and_targets_may_be_float32_under_strict_promotion():
    scorer = Scorer([o.mean_fc(), o.bold_sd_ratio()], SIMULATED, RECORDED)
    loss = jax.jit(scorer)({"bold": jnp.asarray(runs(SIMULATED)[:3], jnp.float32)}, rows(scorer, [0, 1, 2]))
    assert loss.dtype == jnp.float32
    exact = scorer({"bold": runs(SIMULATED)[:3]}, rows(scorer, [0, 1, 2]))
    np.testing.assert_allclose(loss, exact, rtol=2e-5, atol=2e-5)  # some hundred roundings of 6e-8


def test_many_runs_are_scored_in_parts(monkeypatch):
    monkeypatch.setattr(terms, "NUMBERS_AT_ONCE", 10)
    scorer = Scorer(o.bold_sd_ratio(), SIMULATED, RECORDED)
    arrays, targets = {"bold": runs(SIMULATED)}, rows(scorer, [0, 1, 2, 0, 1, 2])
    with jax.enable_x64(True):
        assert "scan" in str(jax.make_jaxpr(scorer)(arrays, targets))
        np.testing.assert_allclose(scorer.losses(arrays, targets), scorer(arrays, targets), rtol=1e-12)


# ------------------------------------------------------------------------------------------------------------ points and labels
def test_points_follow_the_labels_of_the_run_where_it_shares_them():
    own = xr.Dataset({"bold": RECORDED.bold.isel(subject=[2, 0, 1])})
    scorer = Scorer(o.fc_corr(), own, RECORDED)
    for i, label in enumerate(own.subject.values):
        values = own.bold.isel(subject=[i]).transpose("subject", "time", "region").values
        assert abs(scorer({"bold": values}, rows(scorer, [i]))[0, 0]) < 1e-12, label  # its own recording
    np.testing.assert_array_equal(scorer.masked.subject, own.subject)


def test_several_dims_make_points_in_the_order_that_is_asked_for():
    sessions = xr.concat([RECORDED.bold, RECORDED.bold * 2 + xr.DataArray(np.arange(120.0), dims="time")], dim="session")
    target = xr.Dataset({"bold": sessions.transpose("time", "session", "region", "subject")})
    scorer = Scorer(o.fc_rmse(), SIMULATED, target, ["subject", "session"])
    assert scorer.sizes == {"subject": 3, "session": 2}
    expected = xm.compare(SIMULATED, target, o.fc_rmse()).fc_rmse.isel(k=1, sigma=0)
    values = SIMULATED.bold.isel(k=1, sigma=0).transpose("time", "region").values
    found = scorer({"bold": np.stack([values] * 6)}, scorer.targets)
    np.testing.assert_allclose(found[:, 0].reshape(3, 2), expected.transpose("subject", "session"), rtol=1e-12)
    with pytest.raises(ValueError, match=r"has the dims \['session'\].*select one entry"):
        Scorer(o.fc_rmse(), SIMULATED, target, ["subject"])


def test_matrices_and_arrays_in_another_order_of_dims():
    fc = xm.functional_connectivity(SIMULATED.bold)
    simulated = xr.Dataset({"fc": fc, "bold": SIMULATED.bold.transpose("k", "sigma", "region", "time")})
    scorer = Scorer([o.fc_rmse("fc", "bold"), o.edge_fc_corr("bold", "bold")], simulated, RECORDED)
    assert scorer.axes == {"fc": ("region", "region_other"), "bold": ("region", "time")}
    arrays = {"fc": fc.values.reshape(6, 6, 6), "bold": simulated.bold.values.reshape(6, 6, 90)}
    expected = losses_of_compare(SIMULATED, RECORDED, [o.fc_rmse(), o.edge_fc_corr()])[1]
    np.testing.assert_allclose(scorer(arrays, rows(scorer, [1] * 6)), expected, rtol=1e-12)


def test_sensors_are_scored_as_regions_are():
    ours, theirs = (side[["bold"]].drop_vars("hemisphere").rename(region="sensor") for side in (SIMULATED, with_holes()))
    objectives = [
        o.fc_corr(),
        o.fcd_wasserstein(**WINDOWS),
        o.custom(lambda a, b: abs(a.bold.mean(("time", "sensor")) - b.bold.mean(("time", "sensor")))),
    ]
    scorer = Scorer(objectives[:2], ours, theirs)
    assert scorer.axes == {"bold": ("time", "sensor")} and scorer.masked.dims == ("subject", "sensor")
    regions = Scorer(objectives[:2], SIMULATED, with_holes())
    np.testing.assert_array_equal(scorer.masked, regions.masked)
    arrays, targets = {"bold": runs(SIMULATED)[:3]}, rows(scorer, [0, 1, 2])
    np.testing.assert_array_equal(scorer(arrays, targets), regions(arrays, targets))
    assert Scorer(objectives[2], ours, theirs)(arrays, Scorer(objectives[2], ours, theirs).targets).shape == (3, 1)
    np.testing.assert_array_equal(
        xm.compare(ours, theirs.isel(subject=[0]), o.lagged_cov()).lagged_cov,
        xm.compare(SIMULATED, with_holes().isel(subject=[0]), o.lagged_cov()).lagged_cov,
    )


def test_the_values_of_the_form_are_not_read():
    empty = SIMULATED.copy(data={"bold": np.full_like(SIMULATED.bold, np.nan)})
    first, second = (Scorer([o.fc_corr(), o.fcd_ks(**WINDOWS)], form, RECORDED) for form in (empty, SIMULATED))
    targets = rows(second, [0, 1])
    np.testing.assert_array_equal(first({"bold": runs(SIMULATED)[:2]}, targets), second({"bold": runs(SIMULATED)[:2]}, targets))
    with pytest.raises(ValueError, match="recorded lacks 'A_L'"):
        Scorer(o.fc_corr(), empty, RECORDED.sel(region=REGIONS[1:]))
    with pytest.raises(KeyError, match="there are arrays of"):
        first({"fc": runs(SIMULATED)}, targets)


# ------------------------------------------------------------------------------------------------------------ masks
MASKED = [
    o.fc_corr(),
    o.fc_rmse(),
    o.edge_fc_corr(),
    o.bold_sd_ratio(),
    o.spectrum_rmse(segment=10.0),
    o.lagged_cov(),
    o.fcd_wasserstein(**WINDOWS),
]
WITHOUT = {"S1": ["C_L"], "S2": ["B_L"], "S3": ["A_R", "C_R"]}


def with_holes() -> xr.Dataset:
    bold = RECORDED.bold.copy()
    for subject, names in WITHOUT.items():
        bold.loc[{"subject": subject, "region": names}] = np.nan
    return xr.Dataset({"bold": bold})


def without_holes(point: int, names: list[str], objectives) -> np.ndarray:
    left = [name for name in REGIONS if name not in names]
    return losses_of_compare(SIMULATED.sel(region=left), RECORDED.sel(region=left), objectives)[point]


def test_a_region_that_is_nan_is_left_out_of_that_point_and_reported():
    scorer = Scorer(MASKED, SIMULATED, with_holes())
    for point, (subject, names) in enumerate(WITHOUT.items()):
        assert scorer.masked.region[scorer.masked.sel(subject=subject)].values.tolist() == names
        found = scorer({"bold": runs(SIMULATED)}, rows(scorer, [point] * 6))
        np.testing.assert_allclose(found, without_holes(point, names, MASKED), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "objectives", [[o.timeseries_rmse()], pytest.param([MASKED[0], *MASKED[-3:]], marks=pytest.mark.long)], ids=["few", "more"]
)
def test_jax_leaves_out_what_numpy_does_and_derivatives_there_are_zero(objectives):
    scorer = Scorer(objectives, SIMULATED, with_holes().isel(time=slice(0, 90)))
    values, targets = runs(SIMULATED)[:3].copy(), rows(scorer, [0, 1, 2])
    values[1, :, REGIONS.index("B_L")] = np.nan  # where nothing was recorded, nothing is compared

    def total(x):
        losses = scorer({"bold": x}, targets)
        return losses.sum(), losses

    with jax.enable_x64(True):
        (_, losses), slopes = jax.jit(jax.value_and_grad(total, has_aux=True))(jnp.asarray(values))
    np.testing.assert_allclose(losses, scorer({"bold": values}, targets), rtol=0, atol=1e-12)
    still = np.abs(np.asarray(slopes)).max(axis=1) == 0
    assert np.isfinite(slopes).all() and np.isfinite(losses).all()
    assert [[name for name, zero in zip(REGIONS, row, strict=True) if zero] for row in still] == list(WITHOUT.values())


def test_a_simulated_fcd_cannot_leave_regions_out():
    ours = xr.Dataset({"fcd": xm.fcd(SIMULATED.bold, window=20, step=3)})
    whole = Scorer(o.fcd_wasserstein("fcd", "bold", **WINDOWS), ours, RECORDED)
    assert whole.axes == {"fcd": ("window", "window_other")}
    values = ours.fcd.values.reshape(6, *ours.fcd.shape[-2:])
    expected = losses_of_compare(SIMULATED, RECORDED, [o.fcd_wasserstein(**WINDOWS)])[0]
    np.testing.assert_allclose(whole({"fcd": values}, rows(whole, [0] * 6)), expected, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="lacks regions at some points"):
        Scorer(o.fcd_wasserstein("fcd", "bold", **WINDOWS), ours, with_holes())


def test_rows_of_a_matrix_and_constant_regions_are_left_out():
    bold = RECORDED.bold.copy()
    bold.loc[{"subject": "S2", "region": "B_L"}] = 4.2
    fc = xm.functional_connectivity(bold)
    left = [name for name in REGIONS if name != "B_L"]
    values = runs(SIMULATED)
    expected = losses_of_compare(SIMULATED.sel(region=left), RECORDED.sel(region=left), [o.fc_corr()])[1]
    for target, names in (({"bold": bold}, ()), ({"fc": fc}, ("bold", "fc"))):
        scorer = Scorer(o.fc_corr(*names), SIMULATED, xr.Dataset(target))
        assert scorer.masked.region[scorer.masked.sel(subject="S2")].values.tolist() == ["B_L"]
        np.testing.assert_allclose(scorer({"bold": values}, rows(scorer, [1] * 6)), expected, rtol=0, atol=1e-12)


def test_a_point_without_regions_has_no_loss_and_no_point_at_all_is_an_error():
    bold = RECORDED.bold.where(RECORDED.subject != "S2")
    scorer = Scorer([o.mean_fc(), o.bold_sd_ratio()], SIMULATED, xr.Dataset({"bold": bold}))
    assert scorer.masked.sel(subject="S2").all() and scorer.masked.sum() == 6
    loss = scorer({"bold": runs(SIMULATED)[:3]}, rows(scorer, [0, 1, 2]))
    assert np.isnan(loss).tolist() == [[False, False], [True, True], [False, False]]
    with jax.enable_x64(True):
        np.testing.assert_allclose(scorer.losses({"bold": runs(SIMULATED)[:3]}, rows(scorer, [0, 1, 2])), loss, rtol=1e-12)
    with pytest.raises(ValueError, match="no region with finite, varying values at any point"):
        Scorer(o.fc_corr(), SIMULATED, xr.Dataset({"bold": bold * np.nan}))


def test_some_missing_samples_are_an_error_that_says_where():
    bold = RECORDED.bold.copy()
    bold.loc[{"subject": "S2", "region": "B_L"}][3:5] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinite in .*'S2'.*'B_L'.*Fill the gaps"):
        Scorer(o.fc_corr(), SIMULATED, xr.Dataset({"bold": bold}))
    fc = xm.functional_connectivity(RECORDED.bold).copy()
    fc[0, 1, 2] = np.nan
    with pytest.raises(ValueError, match="samples that are NaN or infinite"):
        Scorer(o.fc_corr("bold", "fc"), SIMULATED, xr.Dataset({"fc": fc}))


# ------------------------------------------------------------------------------------------------------------ residuals
@pytest.mark.parametrize(
    "objective", [o.fc_rmse(), o.spectrum_rmse(segment=10.0), o.lagged_cov(), o.timeseries_rmse()], ids=lambda x: x.name
)
@pytest.mark.parametrize("holes", [False, True], ids=["whole", "holes"])
def test_the_mean_square_of_the_residuals_is_the_square_of_the_loss(objective, holes):
    target = (with_holes() if holes else RECORDED).isel(time=slice(0, 90))
    scorer = Scorer(objective, SIMULATED, target)
    scorer.check_residuals()
    arrays, targets = {"bold": runs(SIMULATED)[:3]}, rows(scorer, [0, 1, 2])
    residuals = scorer.residuals(arrays, targets)
    assert residuals.shape[0] == 3 and residuals.ndim == 2
    np.testing.assert_allclose(np.sqrt((residuals**2).mean(axis=1)), scorer(arrays, targets)[:, 0], rtol=1e-12)


@pytest.mark.long
def test_jax_gives_the_same_residuals():
    scorer = Scorer(o.fc_rmse(), SIMULATED, with_holes())
    arrays, targets = {"bold": runs(SIMULATED)[:3]}, rows(scorer, [0, 1, 2])
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(scorer.residuals)(arrays, targets), scorer.residuals(arrays, targets), rtol=1e-12, atol=1e-14)


def test_residuals_are_refused_where_there_are_none():
    for objective in (o.fc_corr(), o.combine(o.fc_rmse(), o.mean_fc()), [o.fc_rmse(), o.lagged_cov()], variance_ratio):
        with pytest.raises(ValueError, match="least squares needs one objective that is a root mean square"):
            Scorer(objective, SIMULATED, RECORDED).check_residuals()
    with pytest.raises(ValueError, match="no residuals"):
        o.fc_corr().residuals(np.eye(3), np.eye(3))


# ------------------------------------------------------------------------------------------------------------ gradients that do not exist
def test_objectives_without_a_gradient_are_refused_by_name():
    for objective in (o.fcd_ks(**WINDOWS), o.combine(o.fc_rmse(), o.fcd_ks(**WINDOWS))):
        assert not objective.differentiable
        with pytest.raises(ValueError, match=r"'fcd_ks' has no gradient.*fcd_wasserstein"):
            Scorer(objective, SIMULATED, RECORDED).check_differentiable()


def test_a_function_that_leaves_jax_is_scored_by_numpy_and_refused_under_the_gradient():
    def logarithm(simulated, recorded):
        return np.log(simulated.bold.var("time").mean("region") / recorded.bold.var("time").mean("region")) ** 2

    scorer = Scorer([logarithm, o.fc_rmse()], SIMULATED, RECORDED)
    expected = Scorer([variance_ratio, o.fc_rmse()], SIMULATED, RECORDED)
    arrays, targets = {"bold": runs(SIMULATED)}, rows(scorer, [0, 1, 2, 0, 1, 2])
    with jax.enable_x64(True):
        np.testing.assert_allclose(scorer.losses(arrays, targets), expected.losses(arrays, targets), rtol=1e-12)
    expected.check_differentiable()
    with pytest.raises(TypeError, match=r"'logarithm' has no gradient.*xr\.ufuncs"):
        scorer.check_differentiable()


def test_functions_of_datasets_see_labels_units_and_other_variables():
    seen = {}

    def mine(simulated, recorded):
        seen["sides"] = (simulated, recorded)
        fc, other = (xm.functional_connectivity(side.bold) for side in (simulated, recorded))
        return (recorded.weights * (fc - other) ** 2).mean(("region", "region_other"))

    target = cohort().isel(region=[3, 1, 0, 2, 5, 4], region_other=[5, 0, 1, 2, 3, 4])
    scorer = Scorer(mine, SIMULATED, target)
    simulated, recorded = seen["sides"]
    assert simulated.bold.dims == recorded.bold.dims == ("run", "time", "region")
    assert recorded.region.values.tolist() == simulated.region.values.tolist() == REGIONS
    assert simulated.time.attrs["units"] == "s" and simulated.bold.attrs["units"] == "1"
    expected = xm.compare(SIMULATED, cohort(), mine).mine
    found = scorer({"bold": runs(SIMULATED)}, rows(scorer, [2] * 6))[:, 0]
    np.testing.assert_allclose(found, expected.sel(subject="S3").values.ravel(), rtol=1e-12)


def test_one_run_and_one_recording_and_no_objective():
    with pytest.raises(ValueError, match="there are no objectives"):
        Scorer([], SIMULATED, RECORDED)
    one = xr.Dataset({"bold": series(seed=3, samples=90)})  # one run and one recording: no dims
    scorer = Scorer(o.fc_rmse(), one, RECORDED.isel(subject=0, drop=True))
    assert scorer.dims == () and scorer.masked.dims == ("region",)
    expected = xm.compare(one, RECORDED.isel(subject=0, drop=True), o.fc_rmse()).fc_rmse
    np.testing.assert_allclose(scorer({"bold": one.bold.values[None]}, scorer.targets)[0, 0], expected, rtol=1e-12)
