"""The grid and its zoom: points, resolution, refusals, resuming."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fit.problems import Analytic, check_resuming, finished
from xmass.fit.grid import GridBackend


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("points", [5, 11])
def test_the_zoom_reaches_its_stated_resolution(size, points):
    optimum = np.random.default_rng(size).uniform(size=(5, size))
    optimum[0] = 1.4  # beyond the bound
    problem = Analytic(optimum)
    record, outcome = finished(GridBackend(points, levels=4), problem, 10)
    step = (2 / (points - 1)) ** 3 / (points - 1)
    # The loss is separable, so on every axis the nearest point wins: at most half a step away.
    assert np.abs(record.best() - optimum.clip(0, 1)).max() <= 0.5 * step + 1e-12
    assert problem.calls == ["losses"] * 4 and set(problem.shapes) == {(5, points**size, size)}
    assert all(ending.status == "steps" for ending in outcome.endings)


def test_one_level_is_a_sweep():
    record, _ = finished(GridBackend(5, levels=3), Analytic([[0.3, 0.3]], lower=-1.0, upper=3.0), 1)
    expected = np.stack(np.meshgrid(np.linspace(-1, 3, 5), np.linspace(-1, 3, 5), indexing="ij"), -1).reshape(-1, 2)
    np.testing.assert_array_equal(record.points[0][0], expected)


def test_points_without_a_finite_loss_lose():
    # Everything left of 0.6 diverges in the first fit, everything in the second: the third is as if it were alone.
    def nan(c):
        return np.stack([c[0, :, 0] < 0.6, np.ones(c.shape[1], bool), np.zeros(c.shape[1], bool)])

    record, outcome = finished(GridBackend(levels=4), Analytic([[0.2], [0.2], [0.2]], nan=nan), 10)
    # From inside, the edge is reached to the resolution of the last grid; the best point of all is the first one beyond it.
    c = np.concatenate(record.points, axis=1)
    losses = np.concatenate(record.losses, axis=1)[..., 0]
    assert 0.6 <= c[0, np.nanargmin(losses[0]), 0] < 0.6 + 0.2**3 / 10 + 1e-12
    np.testing.assert_allclose(c[2, np.nanargmin(losses[2]), 0], 0.2, atol=0.2**3 / 20 + 1e-12)
    assert [ending.status for ending in outcome.endings] == ["steps", "diverged", "steps"]
    problem = Analytic([[0.2]], nan=lambda c: np.ones(c.shape[:-1], bool))
    finished(GridBackend(), problem, 10)
    assert len(problem.calls) == 1


def test_resuming_is_bit_for_bit():
    check_resuming(GridBackend(levels=4), lambda: Analytic([[0.31, 0.77], [0.1, 0.2]]), 10, stop_after=2)


def test_what_a_grid_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"this fit has 4: 11 points along each axis would be 11\*\*4 runs"):
        finished(GridBackend(), Analytic([[0.1] * 4]), 1)
    with pytest.raises(ValueError, match=r"p0 has no finite bounds.*bounds=\(low, high\)"):
        finished(GridBackend(), Analytic([[0.1]], upper=np.inf), 1)
    with pytest.raises(ValueError, match="points"):
        GridBackend(points=3)
    with pytest.raises(ValueError, match="levels"):
        GridBackend(levels=0)
    with pytest.raises(ValueError, match="one objective"):
        finished(GridBackend(), Analytic([[0.3]], kind="two"), 1)
