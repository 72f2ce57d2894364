"""CMA-ES: known optima inside and at the bounds, one call per generation, trouble with one fit, determinism, resuming."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fit.problems import Analytic, Memory, check_resuming, finished
from xmass.fit.evolution import EvolutionBackend


@pytest.mark.parametrize("size", [1, 2, 5])
def test_quadratics_of_several_fits_are_found_in_one_call_per_generation(size):
    optimum = np.random.default_rng(size).uniform(0.1, 0.9, size=(3, size))
    optimum[0, 0] = 1.7  # the best allowed value is at the bound
    problem = Analytic(optimum)
    record, outcome = finished(EvolutionBackend(), problem, 60)
    # CMA-ES gains a digit in about 5 size generations on a quadratic; near a bound pycma's transformation is quadratic in the coordinate.
    np.testing.assert_allclose(record.best(), optimum.clip(0, 1), atol=1e-4)
    assert set(problem.calls) == {"losses"} and len(problem.calls) == len(record.steps) <= 60
    assert set(problem.shapes) == {(3, 16, size)}
    assert {ending.status for ending in outcome.endings} <= {"steps", "converged"}


def test_rosenbrock():
    record, outcome = finished(
        EvolutionBackend(), Analytic([[0.5, 0.4, 0.6], [0.2, 0.9, 0.1]], kind="rosenbrock", lower=-1.0, upper=2.0), 400
    )
    np.testing.assert_allclose(record.best(), [[0.5, 0.4, 0.6], [0.2, 0.9, 0.1]], atol=1e-4)
    assert [ending.status for ending in outcome.endings] == ["converged"] * 2


def test_numbers_without_bounds_and_with_one():
    for lower, upper in ((-np.inf, np.inf), (0.0, np.inf)):
        problem = Analytic([[4.0, 0.5]], lower=lower, upper=upper)
        record, _ = finished(EvolutionBackend(), problem, 80)
        np.testing.assert_allclose(record.best(), [[4.0, 0.5]], atol=1e-4)


def test_the_first_spread_is_the_fraction_of_the_box_asked_for():
    for sigma0 in (0.05, 0.1):
        record, _ = finished(EvolutionBackend(population=4000, sigma0=sigma0), Analytic([[0.5, 5.0]], lower=-10.0, upper=10.0), 1)
        # Standard error of a standard deviation from 4000 normal numbers: 1.1 %; the start is 5 sigma from the bounds.
        np.testing.assert_allclose(record.points[0][0].std(axis=0), 20 * sigma0, rtol=0.05)


def test_default_population_fills_whole_tiles():
    assert [EvolutionBackend().candidates(n) for n in (1, 54, 55, 68, 4000)] == [16, 16, 32, 32, 32]


def test_the_seed_decides_and_global_generators_are_left_alone(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = []
    for seed in (0, 0, 1, [7, 8]):
        np.random.seed(len(runs))  # noqa: NPY002  must not matter
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        record, _ = finished(EvolutionBackend(), Analytic([[0.3, 0.4], [0.3, 0.4]]), 4, seed)
        runs.append(np.stack(record.points))
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any() and (runs[0][:, 0] != runs[0][:, 1]).any()
    # With a seed for each fit it does not matter which others are beside it.
    alone, _ = finished(EvolutionBackend(), Analytic([[0.3, 0.4]]), 4, [8])
    np.testing.assert_array_equal(runs[3][:, 1], np.stack(alone.points)[:, 0])
    assert capsys.readouterr() == ("", "") and list(tmp_path.iterdir()) == []


def test_nan_is_told_as_the_worst_and_the_optimum_is_found_beside_it():
    # A third of the box diverges; the other fit is as if it were alone.
    def nan(c):
        return (c[..., 0] > 0.66) & (np.arange(2) == 0)[:, None]

    optimum = [[0.6, 0.2], [0.7, 0.3]]
    record, outcome = finished(EvolutionBackend(), Analytic(optimum, nan=nan), 60, [3, 4])
    alone, _ = finished(EvolutionBackend(), Analytic(optimum[1:]), 60, [4])
    np.testing.assert_allclose(record.best(), optimum, atol=1e-4)
    n = len(alone.points)
    np.testing.assert_array_equal(np.stack(record.points)[:n, 1], np.stack(alone.points)[:, 0])
    assert outcome.endings[0].note.endswith("had no finite loss") or outcome.endings[0].status == "converged"


def test_a_fit_without_any_finite_loss_ends_and_harms_no_other():
    def nan(c):
        return np.broadcast_to((np.arange(len(c)) == 0)[:, None], c.shape[:2])

    record, outcome = finished(EvolutionBackend(), Analytic([[0.6, 0.2], [0.7, 0.3]], nan=nan), 60)
    assert [ending.status for ending in outcome.endings] == ["diverged", "converged"]
    assert outcome.endings[0].note == "80 evaluations had no finite loss; the last 5 steps had none"
    assert np.isnan(np.stack(record.losses)[:, 0]).all()
    assert (np.stack(record.points)[5:, 0] == 0.5).all()  # it rests where it began
    problem = Analytic([[0.6, 0.2]], nan=nan)
    finished(EvolutionBackend(), problem, 60)
    assert len(problem.calls) == 5


@pytest.mark.parametrize("size", [1, 3, 12])
def test_resuming_is_bit_for_bit_and_evaluates_nothing_again(size):
    optimum = np.random.default_rng(0).uniform(size=(2, size))
    check_resuming(EvolutionBackend(), lambda: Analytic(optimum, nan=lambda c: c[..., 0] > 0.8), 12, stop_after=5)


def test_resuming_with_another_seed_or_population_is_refused():
    record, _ = finished(EvolutionBackend(), Analytic([[0.3, 0.4]]), 3)
    for backend, seed, message in ((EvolutionBackend(), 1, "other points in step 0"), (EvolutionBackend(20), 0, "other options")):
        with pytest.raises(ValueError, match=message):
            backend.run(Analytic([[0.3, 0.4]]), Memory(state=record.state), 6, seed)


def test_options_are_checked():
    for options, message in ((dict(population=3), "population"), (dict(sigma0=0.0), "sigma0"), (dict(tolerance=-1.0), "tolerance")):
        with pytest.raises(ValueError, match=message):
            EvolutionBackend(**options)
    with pytest.raises(ValueError, match="one for each of 1 fits"):
        finished(EvolutionBackend(), Analytic([[0.3]]), 1, [1, 2])
    with pytest.raises(ValueError, match="seed"):
        finished(EvolutionBackend(), Analytic([[0.3]]), 1, -1)
