"""nevergrad's optimisers: known optima, batches, bounds, trouble with one fit, determinism, resuming."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fit.problems import Analytic, check_resuming, finished
from xmass.fit.nevergrad_backend import NevergradBackend


@pytest.mark.parametrize(("optimizer", "n_steps", "error"), [("LhsDE", 20, 0.04), ("CMA", 20, 0.01)])
def test_quadratics_of_several_fits_are_found_in_one_call_per_step(optimizer, n_steps, error):
    # The best of 320 guesses at random would be off by about 0.03 in each of two numbers.
    problem = Analytic([[0.31, 0.62], [0.7, 0.2]])
    record, outcome = finished(NevergradBackend(optimizer), problem, n_steps)
    np.testing.assert_allclose(record.best(), problem.optimum, atol=error)
    assert problem.calls == ["losses"] * n_steps and set(problem.shapes) == {(2, 16, 2)}
    assert [ending.status for ending in outcome.endings] == ["steps"] * 2


def test_an_optimum_beyond_the_bound_and_numbers_without_bounds():
    at_bound, _ = finished(NevergradBackend("CMA"), Analytic([[1.5, 0.5]]), 20)
    np.testing.assert_allclose(at_bound.best(), [[1.0, 0.5]], atol=0.02)
    mixed = Analytic([[3.0, 0.4]])
    mixed.lower, mixed.upper = np.array([-np.inf, 0.0]), np.array([np.inf, 1.0])
    record, _ = finished(NevergradBackend("CMA"), mixed, 20)
    np.testing.assert_allclose(record.best(), [[3.0, 0.4]], atol=0.02)


def test_a_fit_without_a_finite_loss_ends_and_harms_no_other():
    def nan(c):
        return np.stack([np.ones(c.shape[1], bool), c[1, :, 0] > 0.8])

    record, outcome = finished(NevergradBackend(population=8), Analytic([[0.3, 0.4], [0.7, 0.2]], nan=nan), 20)
    assert [ending.status for ending in outcome.endings] == ["diverged", "steps"]
    assert np.abs(record.best()[1] - [0.7, 0.2]).max() < 0.2
    assert np.isnan(np.stack(record.losses)[:, 0]).all()


@pytest.mark.parametrize("optimizer", ["DE", "PSO", "CMA", "OnePlusOne"])
def test_resuming_is_bit_for_bit_and_global_generators_do_not_matter(optimizer):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    whole = check_resuming(NevergradBackend(optimizer, population=4), lambda: Analytic([[0.3, 0.8], [0.6, 0.1]]), 10, stop_after=4)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    again, _ = finished(NevergradBackend(optimizer, population=4), Analytic([[0.3, 0.8], [0.6, 0.1]]), 10)
    np.testing.assert_array_equal(np.stack(whole.points), np.stack(again.points))
    other, _ = finished(NevergradBackend(optimizer, population=4), Analytic([[0.3, 0.8], [0.6, 0.1]]), 10, seed=1)
    assert (np.stack(whole.points) != np.stack(other.points)).any()


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"no optimiser 'DEE' \(did you mean .*'DE'.*sorted\(nevergrad\.optimizers\.registry\)"):
        finished(NevergradBackend("DEE"), Analytic([[0.3]]), 1)
    with pytest.raises(ValueError, match="Powell takes candidates one after the other"):
        finished(NevergradBackend("Powell"), Analytic([[0.3]]), 1)
    with pytest.raises(ValueError, match="population"):
        NevergradBackend(population=0)
    with pytest.raises(ValueError, match="name of an optimiser"):
        NevergradBackend(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one objective"):
        finished(NevergradBackend(), Analytic([[0.3]], kind="two"), 1)


def test_one_after_the_other_with_a_population_of_one():
    record, _ = finished(NevergradBackend("NelderMead", population=1), Analytic([[0.3, 0.6]]), 60)
    assert record.least()[0] < 0.2 * record.losses[0][0, 0, 0]


def test_an_optimiser_that_fails_says_which_ones_work_before_anything_is_simulated(monkeypatch):
    import nevergrad as ng

    class Broken:
        """Stands for an optimiser that the installed numpy breaks, as 2.4 does with those that learn a model of the loss."""

        no_parallelization = False

        def __init__(self, parametrization, **options):
            self.inner = ng.optimizers.RandomSearch(parametrization, **options)
            self.told = 0

        def ask(self):
            return self.inner.ask()

        def tell(self, candidate, loss):
            self.told += 1
            if self.told > 16:
                raise TypeError("only 0-dimensional arrays can be converted to Python scalars")

    monkeypatch.setitem(ng.optimizers.registry, "Broken", Broken)
    problem = Analytic([[0.3, 0.6]])
    with pytest.raises(RuntimeError, match=r"optimiser 'Broken' fails \(TypeError: only 0-dim.*'TwoPointsDE'"):
        finished(NevergradBackend("Broken"), problem, 10)
    assert problem.calls == []
