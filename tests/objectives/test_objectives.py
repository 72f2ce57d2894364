from __future__ import annotations

import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.analysis.cases import series
from xmass import objectives
from xmass.analysis.arrays import pearson
from xmass.analysis.connectivity import correlation_matrix
from xmass.objectives import Objective

EVERY = [
    objectives.fc_corr,
    objectives.fc_rmse,
    objectives.mean_fc,
    objectives.cosine_sim,
    objectives.bold_sd_ratio,
    objectives.edge_fc_corr,
    objectives.metastability_diff,
    objectives.spectrum_rmse,
    objectives.timeseries_rmse,
]
ids = [make.__name__ for make in EVERY]
A, B = series(seed=1).values, 1.5 * series(seed=2).values
FC_A, FC_B = np.corrcoef(A.T), np.corrcoef(B.T)
UPPER = np.triu_indices(6, 1)


def inputs(objective: Objective) -> tuple[np.ndarray, np.ndarray]:
    if objective.takes == "spectrum":
        return np.exp(A), np.exp(B)  # power is positive
    return (FC_A, FC_B) if objective.takes == "fc" else (A, B)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (objectives.fc_corr(), np.corrcoef(FC_A[UPPER], FC_B[UPPER])[0, 1]),
        (objectives.fc_rmse(), np.sqrt(np.mean((FC_A[UPPER] - FC_B[UPPER]) ** 2))),
        (objectives.mean_fc(), abs(FC_A[UPPER].mean() - FC_B[UPPER].mean())),
        (objectives.bold_sd_ratio(), abs(np.log(A.std(0, ddof=1).mean() / B.std(0, ddof=1).mean()))),
        (objectives.timeseries_rmse(), np.sqrt(np.mean((A - B) ** 2))),
    ],
)
def test_value_against_plain_numpy_over_the_strict_upper_triangle(objective, expected):
    np.testing.assert_allclose(objective(*inputs(objective)), expected, rtol=1e-13)


@pytest.mark.parametrize("make", EVERY, ids=ids)
def test_equal_sides_are_the_best_there_is(make):
    objective = make()
    a, b = inputs(objective)
    best = 1.0 if objective.direction == "max" else 0.0
    np.testing.assert_allclose(objective(a, a), best, rtol=0, atol=1e-15)
    assert abs(float(objective(a, b)) - best) > 1e-3


def test_asymmetric_matrices_count_in_both_triangles():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 5))
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(objectives.fc_corr()(a, b), np.corrcoef(a[off], b[off])[0, 1], rtol=1e-13)
    np.testing.assert_allclose(objectives.fc_rmse()(a, b), np.sqrt(np.mean((a - b)[off] ** 2)), rtol=1e-13)


@pytest.mark.parametrize("make", EVERY, ids=ids)
def test_a_batch_equals_its_runs_and_sides_broadcast(make):
    objective = make()
    a, b = inputs(objective)
    many, others = np.stack([a, 0.5 * a + 0.5 * b, b]), np.stack([b, a])
    score = objective(many[:, None], others[None])
    assert score.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            np.testing.assert_allclose(score[i, j], objective(many[i], others[j]), rtol=1e-14, atol=1e-16)


@pytest.mark.long
@pytest.mark.parametrize("make", EVERY, ids=ids)
def test_jax_gives_the_same_numbers_and_the_gradients_of_finite_differences(make):
    objective = make()
    a, b = inputs(objective)
    direction = np.random.default_rng(3).normal(size=a.shape)
    with jax.enable_x64(True):
        a_, b_, d_ = jnp.asarray(a), jnp.asarray(b), jnp.asarray(direction)
        np.testing.assert_allclose(float(jax.jit(objective)(a_, b_)), objective(a, b), rtol=1e-13)
        slope = float(jax.grad(lambda t: objective(a_ + t * d_, b_))(0.0))
    step = 1e-6
    finite = (objective(a + step * direction, b) - objective(a - step * direction, b)) / (2 * step)
    np.testing.assert_allclose(slope, finite, rtol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("make", EVERY, ids=ids)
def test_gradients_are_finite_where_both_sides_are_equal(make):
    objective = make()
    a = jnp.asarray(inputs(objective)[0], dtype=jnp.float32)
    gradient = jax.grad(lambda x: objective(x, a))(a)
    assert gradient.dtype == jnp.float32
    assert bool(jnp.isfinite(gradient).all())


@pytest.mark.long
@pytest.mark.parametrize("make", EVERY, ids=ids)
def test_float32_stays_float32_in_numpy_and_jax(make):
    objective = make()
    a, b = (x.astype(np.float32) for x in inputs(objective))
    assert objective(a, b).dtype == np.float32
    assert objective(jnp.asarray(a), jnp.asarray(b)).dtype == jnp.float32


def test_a_nan_is_not_hidden_and_a_constant_side_has_no_correlation():
    broken = FC_A.copy()
    broken[0, 1] = np.nan
    for make in (objectives.fc_corr, objectives.fc_rmse, objectives.mean_fc):
        assert np.isnan(make()(broken, FC_B))
    assert np.isnan(objectives.fc_corr()(np.full((6, 6), 0.3), FC_B))
    assert np.isnan(objectives.bold_sd_ratio()(np.zeros_like(A), B))


@pytest.mark.long
def test_an_fc_objective_is_differentiable_through_the_series():
    with jax.enable_x64(True):
        recorded = jnp.asarray(FC_B)

        def loss(series_):
            return objectives.fc_corr()(correlation_matrix(series_), recorded)

        gradient = jax.grad(loss)(jnp.asarray(A))
    step = 1e-6
    for place in ((3, 1), (40, 5)):
        up, down = A.copy(), A.copy()
        up[place] += step
        down[place] -= step
        finite = (objectives.fc_corr()(np.corrcoef(up.T), FC_B) - objectives.fc_corr()(np.corrcoef(down.T), FC_B)) / (2 * step)
        np.testing.assert_allclose(float(gradient[place]), finite, rtol=1e-5)


@pytest.mark.parametrize("make", EVERY, ids=ids)
def test_an_objective_is_frozen_hashable_and_pickles(make):
    objective = make("fc", "bold", name="mine")
    assert (objective.name, objective.variables, objective.variables.recorded) == ("mine", ("fc", "bold"), "bold")
    assert make().variables == (None, None)
    assert objective == make("fc", "bold", name="mine")
    assert hash(objective) == hash(make("fc", "bold", name="mine"))
    assert pickle.loads(pickle.dumps(objective)) == objective
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective.name = "other"


def test_combined_scores_reward_what_each_term_rewards():
    up = objectives.combine(objectives.fc_corr(), objectives.mean_fc())
    assert (up.name, up.direction) == ("fc_corr-mean_fc", "max")
    expected = objectives.fc_corr()(FC_A, FC_B) - objectives.mean_fc()(FC_A, FC_B)
    np.testing.assert_allclose(up((FC_A, FC_B), (FC_A, FC_B)), expected, rtol=1e-14)
    down = objectives.combine(objectives.fc_rmse(), objectives.bold_sd_ratio(), weights=(1, 0.5), name="both")
    assert (down.name, down.direction) == ("both", "min")
    expected = objectives.fc_rmse()(FC_A, FC_B) + 0.5 * objectives.bold_sd_ratio()(A, B)
    np.testing.assert_allclose(down((FC_A, FC_B), (A, B)), expected, rtol=1e-14)


def test_combined_scores_combine_again():
    inner = objectives.combine(objectives.fc_rmse(), objectives.fc_corr(), weights=(2, 3))
    outer = objectives.combine(objectives.mean_fc(), inner, weights=(1, 10))
    assert [(factor, term.name) for factor, term in outer.terms] == [(1, "mean_fc"), (20, "fc_rmse"), (-30, "fc_corr")]


@pytest.mark.parametrize(
    ("arguments", "weights", "words"),
    [
        ([objectives.fc_corr()], None, "two or more"),
        ([objectives.fc_corr(), objectives.mean_fc()], (1, -1), "one positive number for each"),
        ([objectives.fc_corr(), objectives.mean_fc()], (1,), "one positive number for each"),
    ],
)
def test_sums_that_make_no_sense_are_refused(arguments, weights, words):
    with pytest.raises(ValueError, match=words):
        objectives.combine(*arguments, weights=weights)


def test_a_combined_objective_wants_one_pair_per_term():
    with pytest.raises(ValueError, match="needs 2"):
        objectives.combine(objectives.fc_corr(), objectives.mean_fc())((FC_A, FC_B))


@pytest.mark.parametrize("options", [{"direction": "up"}, {"takes": "matrix"}, {"name": ""}])
def test_an_objective_that_is_not_one_is_refused(options):
    with pytest.raises(ValueError, match="needs"):
        Objective(np.subtract, **({"name": "mine", "direction": "min"} | options))


def test_a_mask_leaves_entries_out_of_both_sides():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 40))
    keep = rng.random((3, 40)) > 0.4
    with np.errstate(all="raise"):
        found = pearson(a, np.where(keep, b, np.nan), where=keep)
    expected = [np.corrcoef(x[k], y[k])[0, 1] for x, y, k in zip(a, b, keep, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert np.isnan(pearson(a[0], b[0], where=np.zeros(40, dtype=bool)))
