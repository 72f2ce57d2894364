"""SciPy's optimisers side by side: the same path as scipy.optimize alone, bounds, trouble with one fit, resuming, no thread left."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy import optimize

from tests.fit.problems import Analytic, Interrupted, Memory, check_resuming, finished
from xmass.fit.scipy_backend import ScipyBackend

ALL = ("L-BFGS-B", "TNC", "SLSQP", "least_squares", "Nelder-Mead", "Powell")
SLOPE = ALL[:3]
OPTIMUM = np.array([[0.3, 0.8], [0.55, 0.45], [0.9, 0.1]])


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


# SciPy's Powell stops early in the curved valley between bounds; that our path is SciPy's is the next test.
@pytest.mark.parametrize(
    ("method", "kind"), [(m, k) for m in ALL for k in ("quadratic", "rosenbrock") if (m, k) != ("Powell", "rosenbrock")]
)
def test_every_method_finds_the_optimum_of_each_fit(method, kind):
    problem = Analytic(OPTIMUM, kind=kind, lower=-1.0, upper=2.0)
    record, outcome = finished(ScipyBackend(method, tolerance=1e-10), problem, 2000)
    np.testing.assert_allclose(record.best(), OPTIMUM, atol=1e-4)  # square root of the tolerance of the loss, times the valley's length
    assert [ending.status for ending in outcome.endings] == ["converged"] * 3
    kinds = {"least_squares": {"residuals", "jacobian"}, "Nelder-Mead": {"losses"}, "Powell": {"losses"}}
    assert set(problem.calls) == kinds.get(method, {"gradient"})
    assert sum(name != "jacobian" for name in problem.calls) == len(record.steps)
    assert set(problem.draws) == {0}


@pytest.mark.parametrize("method", [method for method in ALL if method != "least_squares"])
def test_each_fit_takes_the_path_of_scipy_alone(method):
    problem = Analytic(OPTIMUM, kind="rosenbrock", lower=-1.0, upper=2.0)
    record, _ = finished(ScipyBackend(method), problem, 500)
    for k in range(3):
        alone, path = Analytic(OPTIMUM[k], kind="rosenbrock", lower=-1.0, upper=2.0), []

        def call(c, alone=alone, path=path):
            path.append(c.copy())
            if method not in SLOPE:
                return alone.losses(c[None, None])[0, 0, 0]
            loss, slope = alone.gradient(c[None])
            return loss[0], slope[0]

        optimize.minimize(call, [0.5, 0.5], jac=True if method in SLOPE else None, method=method, bounds=[(-1.0, 2.0)] * 2)
        np.testing.assert_array_equal(np.stack(record.points)[: len(path), k, 0], np.stack(path))


@pytest.mark.parametrize("method", ALL)
def test_an_optimum_beyond_the_bound_is_found_at_the_bound(method):
    record, _ = finished(ScipyBackend(method, tolerance=1e-10), Analytic([[1.5, 0.4], [-3.0, 0.7]]), 2000)
    np.testing.assert_allclose(record.best(), [[1.0, 0.4], [0.0, 0.7]], atol=1e-4)


@pytest.mark.parametrize("method", ["L-BFGS-B", "least_squares"])
def test_no_bounds_and_many_numbers(method):
    optimum = np.random.default_rng(0).normal(size=(2, 68))
    record, _ = finished(ScipyBackend(method, tolerance=1e-10), Analytic(optimum, lower=-np.inf, upper=np.inf), 200)
    np.testing.assert_allclose(record.best(), optimum, atol=1e-4)


def test_the_reported_loss_of_least_squares_is_the_root_mean_square():
    problem = Analytic(OPTIMUM)
    record, _ = finished(ScipyBackend("least_squares"), problem, 5)
    expected = np.sqrt(np.mean(problem.residuals(record.points[0][:, 0])[1] ** 2, axis=1))
    np.testing.assert_allclose(record.losses[0][:, 0, 0], expected, rtol=1e-14)


@pytest.mark.parametrize("method", SLOPE)
def test_line_searches_step_back_from_nan(method):
    # The first full step from the start lands beyond 0.75, where the loss is NaN.
    problem = Analytic([[0.7, 0.5], [0.3, 0.8]], start=0.05, nan=lambda c: (c[..., 0] > 0.75) & (np.arange(2) == 0))
    record, outcome = finished(ScipyBackend(method), problem, 200)
    np.testing.assert_allclose(record.best(), [[0.7, 0.5], [0.3, 0.8]], atol=1e-3)
    assert outcome.endings[1].status == "converged"


@pytest.mark.parametrize("method", ALL)
def test_a_fit_without_a_finite_loss_ends_and_harms_no_other(method):
    def nan(c):
        return np.broadcast_to((np.arange(3) == 1).reshape(3, *[1] * (c.ndim - 2)), c.shape[:-1])

    record, outcome = finished(ScipyBackend(method), Analytic(OPTIMUM, nan=nan), 500)
    assert [ending.status for ending in outcome.endings] == ["converged", "diverged", "converged"]
    alone, _ = finished(ScipyBackend(method), Analytic(OPTIMUM[[0, 2]]), 500)
    np.testing.assert_array_equal(np.stack(record.points)[: len(alone.points), [0, 2]], np.stack(alone.points))
    assert np.isnan(np.stack(record.losses)[:, 1]).all()


@pytest.mark.parametrize("method", ALL)
def test_steps_end_the_fit(method):
    record, outcome = finished(ScipyBackend(method), Analytic(OPTIMUM, kind="rosenbrock", lower=-1.0, upper=2.0), 3)
    assert len(record.steps) == 3 and [ending.status for ending in outcome.endings] == ["steps"] * 3


@pytest.mark.parametrize("method", ALL)
def test_resuming_is_bit_for_bit(method):
    def problem():
        return Analytic(OPTIMUM, kind="rosenbrock", lower=-1.0, upper=2.0, nan=lambda c: c[..., 0] < -0.5)

    check_resuming(ScipyBackend(method), problem, 14, stop_after=6, repeats=method == "least_squares")


def test_an_error_in_an_evaluation_ends_all_threads():
    class Failing(Analytic):
        def gradient(self, c, *, draw=0):
            if len(self.calls) == 4:
                raise RuntimeError("out of memory")
            return super().gradient(c, draw=draw)

    with pytest.raises(RuntimeError, match="out of memory"):
        finished(ScipyBackend(), Failing(OPTIMUM, kind="rosenbrock"), 50)
    with pytest.raises(Interrupted):
        ScipyBackend().run(Analytic(OPTIMUM, kind="rosenbrock"), Memory(stop_after=3), 50, 0)


def test_options_are_checked():
    with pytest.raises(ValueError, match="'BFGS', needs one of 'L-BFGS-B'"):
        ScipyBackend("BFGS")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tolerance"):
        ScipyBackend(tolerance=0)
    with pytest.raises(ValueError, match="p0 starts at the coordinate 2"):
        finished(ScipyBackend(), Analytic([[0.3]], start=2.0), 1)
