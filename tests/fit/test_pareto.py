"""Several objectives: non-dominated points against brute force, a known front, trouble with one fit, resuming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.fit.problems import Analytic, Memory, check_resuming, finished
from xmass.fit.backend import Stop
from xmass.fit.pareto import Archive, ParetoBackend, dominated

A, B = np.array([0.3, 0.4, 0.3]), np.array([0.7, 0.6, 0.7])  # mirror images of one another in the centre of the box


def brute_force(losses):
    """Which points are dominated, by the definition, one pair at a time."""
    return [any(all(q <= p) and any(q < p) for q in losses) for p in losses]


# Few distinct values, so that ties and repeated points are common.
POINTS = hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(2, 3)), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan]))


@given(POINTS)
def test_dominated_is_the_definition(losses):
    losses = losses[~np.isnan(losses).any(axis=1)]
    assert dominated(losses, losses).tolist() == brute_force(losses)


@given(POINTS, st.integers(1, 5))
def test_an_archive_filled_in_pieces_holds_the_front_of_all_points(losses, pieces):
    c = np.arange(len(losses), dtype=float)[:, None]
    archive = Archive(1, losses.shape[1])
    for part in np.array_split(np.arange(len(losses)), pieces):
        archive.add(c[part], losses[part])
    front = archive.front()
    good = losses[~np.isnan(losses).any(axis=1)]
    expected = good[~np.array(brute_force(good), dtype=bool)] if len(good) else good
    np.testing.assert_array_equal(front.losses, np.unique(expected, axis=0).reshape(-1, losses.shape[1]))
    np.testing.assert_array_equal(losses[front.c[:, 0].astype(int)], front.losses)  # each point with its own losses
    for point, value in zip(front.c[:, 0], front.losses, strict=True):
        assert point == np.flatnonzero((losses == value).all(axis=1))[0]  # of equal ones the first


def test_the_known_front_of_two_distances():
    # The least of the squared distances to a and b: sqrt(f1) + sqrt(f2) = |a - b|, from points on the segment between them.
    problem = Analytic([A, B], kind="two")
    record, outcome = finished(ParetoBackend(), problem, 40)
    assert set(problem.calls) == {"losses"} and len(problem.calls) == 40 and set(problem.shapes) == {(2, 48, 3)}
    length = np.linalg.norm(B - A)
    for front in outcome.fronts:
        assert len(front.c) > 50
        np.testing.assert_array_equal(np.sort(front.losses[:, 0]), front.losses[:, 0])
        excess = np.sqrt(front.losses).sum(axis=1) / length - 1
        assert (excess > -1e-12).all() and np.median(excess) < 0.01  # generations 20 to 40 lower it from 0.01 to 0.003
        # It reaches from one end to the other without a wide gap.
        position = np.sort(np.sqrt(front.losses[:, 0]) / length)
        assert position[0] < 0.05 and position[-1] > 0.95 and np.diff(position).max() < 0.08
    every = np.concatenate(record.losses, axis=1)
    for k, front in enumerate(outcome.fronts):
        np.testing.assert_array_equal(front.losses, np.unique(every[k][~dominated(every[k], every[k])], axis=0))
    assert (record.points[0][:, 0] == 0.5).all()  # the start is evaluated


def test_one_number_and_three_objectives():
    _, outcome = finished(ParetoBackend(8), Analytic([[0.2]], kind="two"), 20)
    assert ((outcome.fronts[0].c > 0.19) & (outcome.fronts[0].c < 0.81)).mean() > 0.9

    class Three(Analytic):
        def __init__(self, optimum):
            super().__init__(optimum)
            self.objectives = 3

        def losses(self, c, *, draw=0):
            return np.stack([np.square(c - at).sum(-1) for at in (0.2, 0.5, 0.8)], axis=-1)

    _, outcome = finished(ParetoBackend(8), Three([[0.5, 0.5]]), 10)
    assert outcome.fronts[0].losses.shape[1] == 3


def test_nan_is_never_in_the_front_and_harms_no_other_fit():
    def nan(c):
        return np.stack([c[0, :, 0] > 0.5, np.ones(c.shape[1], bool), np.zeros(c.shape[1], bool)])

    _, outcome = finished(ParetoBackend(16), Analytic([A, A, A], kind="two", nan=nan), 12, [1, 2, 3])
    _, other = finished(ParetoBackend(16), Analytic([A], kind="two"), 12, [3])
    assert [ending.status for ending in outcome.endings] == ["steps", "diverged", "steps"]
    assert (outcome.fronts[0].c[:, 0] <= 0.5).all() and len(outcome.fronts[0].c) > 0
    assert outcome.fronts[1].c.shape == (0, 3)
    np.testing.assert_array_equal(outcome.fronts[2].losses, other.fronts[0].losses)


def test_the_seed_decides_and_global_generators_are_left_alone(capsys):
    runs = []
    for seed in (0, 0, 1):
        np.random.seed(len(runs))  # noqa: NPY002  must not matter
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        record, _ = finished(ParetoBackend(8), Analytic([A], kind="two"), 4, seed)
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
        runs.append(np.stack(record.points))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any() and capsys.readouterr() == ("", "")


def test_resuming_is_bit_for_bit():
    check_resuming(ParetoBackend(8), lambda: Analytic([A, B], kind="two", nan=lambda c: c[..., 0] > 0.8), 10, stop_after=4)
    _, outcome = finished(ParetoBackend(8), Analytic([A, B], kind="two"), 10)
    part, _ = finished(ParetoBackend(8), Analytic([A, B], kind="two"), 6)
    resumed = ParetoBackend(8).run(Analytic([A, B], kind="two"), Memory(state=part.state), 10, 0)
    for one, other in zip(outcome.fronts, resumed.fronts, strict=True):
        np.testing.assert_array_equal(one.c, other.c)


def test_a_stopped_fit_has_the_front_so_far():
    class Stopping(Memory):
        def evaluated(self, step, c, losses):
            super().evaluated(step, c, losses)
            if step == 2:
                raise Stop

    record = Stopping()
    with pytest.raises(Stop) as stopped:
        ParetoBackend(8).run(Analytic([A], kind="two"), record, 10, 0)
    every = np.concatenate(record.losses, axis=1)[0]
    np.testing.assert_array_equal(stopped.value.outcome.fronts[0].losses, np.unique(every[~dominated(every, every)], axis=0))


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match="two objectives at least"):
        finished(ParetoBackend(), Analytic([[0.3]]), 1)
    with pytest.raises(ValueError, match="p0 has no finite bounds, which a Pareto front needs"):
        finished(ParetoBackend(), Analytic([[0.3]], kind="two", upper=np.inf), 1)
    with pytest.raises(ValueError, match="population"):
        ParetoBackend(2)
