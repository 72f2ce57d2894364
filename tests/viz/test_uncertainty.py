"""Figures of profiles and of the information: what is drawn where."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from xmass import viz

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def along(**extra):
    loss = xr.DataArray([[3.0, 1.0, 2.0], [1.0, 2.0, 9.0]], dims=("subject", "k"))
    coords = {"subject": ["A", "B"], "k": ("k", [0.0, 0.1, 0.2], {"units": "1/ms"})}
    return xr.Dataset({"loss": loss, **extra}, coords)


def test_a_profile_has_a_line_for_each_subject_and_marks_the_smallest():
    ax = viz.plot_profile(along())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("k [1/ms]", "smallest loss")
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose([line.get_ydata() for line in lines], along().loss)
    assert [float(line.get_xdata()[0]) for line in ax.lines if len(line.get_xdata()) == 1] == [0.1, 0.0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["A", "B"]


def test_a_deviance_is_drawn_with_its_level():
    one = along().isel(subject=0)
    ax = viz.plot_profile(one.assign(deviance=10 * (one.loss - 1)))
    assert ax.get_ylabel() == "deviance"
    assert any(np.allclose(line.get_ydata(), 3.8415, atol=1e-4) for line in ax.lines)
    assert ax.get_ylim() == (0, 20)


def test_sloppy_directions_are_red():
    known = xr.Dataset(
        {
            "eigenvalue": ("direction", [100.0, 0.0]),
            "sloppy": ("direction", [False, True]),
            "loading": (("direction", "parameter"), [[0.6, 0.8], [0.8, -0.6]]),
        },
        {"direction": [0, 1], "parameter": ["a", "b"]},
    )
    figure = viz.plot_identifiability(known)
    left, right = figure.axes[:2]
    assert [to_hex(line.get_color()) for line in left.lines] == ["#000000", "#c8102e"]
    np.testing.assert_allclose(right.images[0].get_array(), known.loading)
    assert [t.get_text() for t in right.get_xticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match=r"\.isel\(subject=0\)"):
        viz.plot_identifiability(known.expand_dims(subject=2))
    with pytest.raises(ValueError, match=r"xm\.profile"):
        viz.plot_profile(known)
    with pytest.raises(ValueError, match=r"xm\.identifiability"):
        viz.plot_identifiability(along())
