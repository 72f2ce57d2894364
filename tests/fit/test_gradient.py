"""Gradient descent: known optima, independence of the fits, trouble with one of them, resuming."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import optax
import pytest

from tests.fit.problems import Analytic, Memory, check_resuming, finished
from xmass.fit.gradient import GradientBackend

ADAM, DESCENT = optax.adam(0.1), optax.sgd(0.1)
FREE = dict(space="free", lower=-np.inf, upper=np.inf, start=0.0)


@pytest.mark.parametrize("size", [1, 68])
def test_quadratics_of_several_fits_are_found_in_one_call_per_step(size):
    optimum = np.random.default_rng(0).normal(size=(4, size))
    problem = Analytic(optimum, **FREE)
    record, outcome = finished(GradientBackend(ADAM), problem, 300)
    # Adam of rate 0.1 rings around the optimum with an amplitude that decays; after 300 steps it is far below 1e-3.
    np.testing.assert_allclose(record.best(), optimum, atol=1e-3)
    assert problem.calls == ["gradient"] * 300
    assert problem.shapes[0] == (4, size)
    assert [ending.status for ending in outcome.endings] == ["steps"] * 4
    assert record.points[0].shape == (4, 1, size) and record.losses[0].shape == (4, 1, 1)


def test_plain_descent_is_the_recurrence():
    # Gradient descent on sum s (c - m)^2: each error is multiplied by 1 - 2 s rate.
    optimum = np.array([[1.0, -2.0]])
    problem = Analytic(optimum, **FREE)
    record, _ = finished(GradientBackend(optax.sgd(0.05)), problem, 11)
    errors = np.stack(record.points)[:, 0, 0] - optimum
    expected = -optimum * (1 - 2 * problem.scale * 0.05) ** np.arange(11)[:, None]
    np.testing.assert_allclose(errors, expected, rtol=1e-12)  # float64 throughout


def test_a_schedule_counts_steps():
    rate = optax.piecewise_constant_schedule(0.1, {3: 0.0})
    record, _ = finished(GradientBackend(optax.sgd(rate)), Analytic([[1.0]], **FREE), 8)
    moved = np.diff(np.stack(record.points)[:, 0, 0, 0])
    assert (moved[:3] > 0).all() and (moved[3:] == 0).all()


def test_a_global_norm_is_that_of_one_fit():
    clipped = GradientBackend(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)))
    both, _ = finished(clipped, Analytic([[1e6, 1e6], [0.2, 0.1]], **FREE), 3)
    for k, optimum in enumerate(([[1e6, 1e6]], [[0.2, 0.1]])):
        alone, _ = finished(clipped, Analytic(optimum, **FREE), 3)
        np.testing.assert_array_equal(np.stack(both.points)[:, k], np.stack(alone.points)[:, 0])
    np.testing.assert_allclose(np.linalg.norm(np.diff(np.stack(both.points)[:, 0, 0], axis=0), axis=1), 0.1, rtol=1e-12)


def test_optimisers_that_ask_for_the_loss_are_given_it():
    record, _ = finished(GradientBackend(optax.polyak_sgd()), Analytic([[1.0, -1.0]], **FREE), 60)
    np.testing.assert_allclose(record.best(), [[1.0, -1.0]], atol=1e-6)


def test_an_optimiser_that_evaluates_on_its_own_is_refused():
    with pytest.raises(TypeError, match="backend='scipy'"):
        finished(GradientBackend(optax.lbfgs()), Analytic([[1.0]], **FREE), 2)


def test_a_fit_without_a_finite_gradient_steps_back_and_goes_on():
    # The first step of rate 1 overshoots into NaN; half of it does not.
    problem = Analytic([[1.0], [1.0]], nan=lambda c: (c[..., 0] > 1.5) & (np.arange(2) == 0), **FREE)
    record, outcome = finished(GradientBackend(optax.sgd(0.9)), problem, 4)
    points = np.stack(record.points)[:, :, 0, 0]
    np.testing.assert_allclose(points[:3, 0], [0.0, 1.8, 0.9])
    np.testing.assert_allclose(points[:3, 1], [0.0, 1.8, 1.8 - 0.9 * 2 * 0.8])  # the other fit has not noticed
    assert outcome.endings[0].note == "1 steps had no finite gradient and were skipped" and outcome.endings[1].note == ""


def test_a_fit_that_never_has_a_gradient_ends_and_harms_no_other():
    def first(c):
        return np.arange(len(c)) == 0

    optimum = [[0.5, 0.5], [1.0, -1.0]]
    record, outcome = finished(GradientBackend(ADAM), Analytic(optimum, nan=first, **FREE), 200)
    alone, _ = finished(GradientBackend(ADAM), Analytic(optimum[1:], **FREE), 200)
    assert [ending.status for ending in outcome.endings] == ["diverged", "steps"]
    assert "the last 5 in a row" in outcome.endings[0].note
    np.testing.assert_array_equal(np.stack(record.points)[:, 1], np.stack(alone.points)[:, 0])
    assert np.isnan(np.stack(record.losses)[:, 0]).all()
    problem = Analytic(optimum[:1], nan=first, **FREE)
    finished(GradientBackend(), problem, 200)
    assert len(problem.calls) == 5  # nothing is left to do


def test_a_fit_at_a_cliff_stalls_at_its_last_good_point():
    calls = []

    def cliff(c):  # finite at the start, nowhere else
        calls.append(0)
        return (c != 0).any(-1)

    record, outcome = finished(GradientBackend(DESCENT), Analytic([[1.0]], nan=cliff, **FREE), 50)
    assert outcome.endings[0].status == "stalled" and len(calls) == 6
    np.testing.assert_array_equal(record.best(), [[0.0]])


def test_tolerance_ends_each_fit_on_its_own():
    problem = Analytic([[0.0], [5.0]], **FREE)
    record, outcome = finished(GradientBackend(ADAM, tolerance=1e-3, patience=10), problem, 1000)
    assert [ending.status for ending in outcome.endings] == ["converged"] * 2
    assert 60 < len(problem.calls) < 400
    points = np.stack(record.points)[:, 0, 0, 0]
    assert (points == points[0]).all()  # the fit that began at its optimum rests


@pytest.mark.parametrize(
    "optimizer", [None, optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(0.2, 20)))]
)
def test_resuming_is_bit_for_bit(optimizer):
    def problem():
        return Analytic([[0.3, 0.8], [0.1, 0.2]], nan=lambda c: (c[..., 0] > 0.25) & (np.arange(2) == 0), **FREE)

    check_resuming(GradientBackend(optimizer, tolerance=1e-12), problem, 25, stop_after=11)


def test_the_state_of_another_optimiser_is_refused():
    record, _ = finished(GradientBackend(ADAM), Analytic([[0.3]], **FREE), 3)
    with pytest.raises(ValueError, match="another optimizer"):
        GradientBackend(DESCENT).run(Analytic([[0.3]], **FREE), Memory(state=record.state), 5, 0)
    with pytest.raises(ValueError, match="another problem"):
        GradientBackend(ADAM).run(Analytic([[0.3, 0.1]], **FREE), Memory(state=record.state), 5, 0)


def test_a_huge_gradient_does_not_spoil_the_memory_of_the_optimiser():
    # Adam squares 1e200: its second moment would be infinite for good, and every later update 0.
    class Huge(Analytic):
        def gradient(self, c, *, draw=0):
            loss, slope = super().gradient(c, draw=draw)
            return loss, slope * np.where(len(self.calls) == 3, 1e200, 1.0)

    record, outcome = finished(GradientBackend(ADAM), Huge([[1.0]], **FREE), 200)
    np.testing.assert_allclose(record.best(), 1.0, atol=1e-3)
    assert outcome.endings[0].note.startswith("1 steps")


def scheduled(norm=1.0, rate=0.2, steps=30, b1=0.9):
    return optax.chain(optax.clip_by_global_norm(norm), optax.adamw(optax.cosine_decay_schedule(rate, steps), b1=b1))


def test_the_text_of_an_optimiser_tells_others_apart():
    others = [scheduled(), scheduled(norm=2.0), scheduled(rate=0.3), scheduled(steps=31), scheduled(b1=0.8)]
    own = [optax.sgd(lambda step: 0.1 * 0.9**step), optax.sgd(lambda step: 0.1 * 0.8**step)]
    held = [optax.multi_transform({"a": optax.sgd(rate)}, {"x": "a"}) for rate in (0.1, 0.2)]
    found = [repr(GradientBackend(o)) for o in (None, *others, *own, *held)]
    assert len(set(found)) == len(found)
    assert repr(GradientBackend(scheduled())) == found[1]


@pytest.mark.long
@pytest.mark.parametrize("seed", ["0", "1"])  # of Python's hashes, which decide the order of sets
def test_the_text_of_an_optimiser_is_the_same_in_every_process(seed):
    code = "from tests.fit.test_gradient import *; print(GradientBackend(scheduled()))"
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == repr(GradientBackend(scheduled()))


def test_options_are_checked():
    with pytest.raises(TypeError, match=r"optax\.adam"):
        GradientBackend("adam")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tolerance"):
        GradientBackend(tolerance=0.0)
    with pytest.raises(ValueError, match="patience"):
        GradientBackend(patience=0)
    with pytest.raises(ValueError, match="n_steps"):
        finished(GradientBackend(), Analytic([[0.3]], **FREE), 0)
    with pytest.raises(ValueError, match="p0 starts"):
        finished(GradientBackend(), Analytic([[0.3]], **(FREE | {"start": np.nan})), 1)
    with pytest.raises(ValueError, match="backend='pareto'"):
        finished(GradientBackend(), Analytic([[0.3]], kind="two"), 1)
