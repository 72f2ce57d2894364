from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import LogNorm

from tests.analysis.cases import REGIONS, cohort, series, sweep
from xmass import objectives, viz
from xmass.analysis import compare, functional_connectivity
from xmass.viz.style import ticks_that_fit

MANY = [f"region_with_a_long_name_{i}" for i in range(94)]


@pytest.fixture(autouse=True)
def no_window():
    import matplotlib.pyplot as plt

    mpl.use("agg")
    yield
    plt.close("all")


def texts(ticks) -> list[str]:
    return [label.get_text() for label in ticks]


def test_fc_has_labels_on_both_axes_and_colours_centred_at_zero():
    ax = viz.plot_functional_connectivity(functional_connectivity(series()), title="S1")
    assert texts(ax.get_xticklabels()) == texts(ax.get_yticklabels()) == REGIONS
    assert (ax.get_ylabel(), ax.get_xlabel(), ax.get_title()) == ("region", "region_other", "S1")
    assert ax.images[0].get_clim() == (-1, 1)
    np.testing.assert_allclose(ax.images[0].get_array(), np.corrcoef(series().values.T), atol=1e-14)


def test_fc_of_a_series_and_on_axes_of_ones_own():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert viz.plot_functional_connectivity(series(), ax=ax) is ax


def overlaps(ax, labels) -> bool:
    """Whether neighbouring labels lie on each other once drawn."""
    ax.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    return any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_the_labels_of_94_regions_do_not_lie_on_each_other():
    fc = functional_connectivity(series(regions=MANY))
    ax = viz.plot_functional_connectivity(fc)
    assert not overlaps(ax, ax.get_yticklabels())
    assert not overlaps(ax, ax.get_xticklabels())
    assert not overlaps(ax, ax.get_yticklabels())
    bold = viz.plot_bold(series(regions=MANY))
    assert not overlaps(bold, bold.get_yticklabels())


@pytest.mark.parametrize("count", [1, 10, 80, 400, 1000])
def test_labels_get_smaller_then_fewer(count):
    at, size = ticks_that_fit(count, 5.0)
    assert at[0] == 0
    assert len(at) * size <= 72 * 5.0
    assert 3.5 <= size <= 7


def test_a_connectome_shows_weights_on_a_logarithmic_scale_beside_distances():
    ds = cohort().isel(subject=0)
    ds["distances"] = ds.weights.copy(data=10 + 50 * ds.weights.values).assign_attrs(units="mm")
    heavy = ds.assign(weights=ds.weights**8)
    figure = viz.plot_connectome(heavy)
    weights, distances, *bars = figure.axes
    assert isinstance(weights.images[0].norm, LogNorm)
    assert not isinstance(distances.images[0].norm, LogNorm)
    assert [bar.get_ylabel() for bar in bars] == ["weights", "distances [mm]"]
    assert weights.images[0].get_array().mask[0, 1]  # no edge there
    assert not isinstance(viz.plot_connectome(ds.assign(weights=ds.weights + 5)).axes[0].images[0].norm, LogNorm)


def test_a_sweep_marks_the_optimum_of_every_subject():
    score = compare(sweep(), cohort(), [objectives.fc_corr(), objectives.fc_rmse()])
    for name in ("fc_corr", "fc_rmse"):
        figure = viz.plot_sweep(score[name], x="k", y="sigma")
        panels = [ax for ax in figure.axes if ax.images and ax.lines]
        assert len(panels) == 3
        for ax, subject in zip(panels, ("S1", "S2", "S3"), strict=True):
            own = score[name].sel(subject=subject)
            at = own.argmax(...) if name == "fc_corr" else own.argmin(...)
            assert (ax.lines[0].get_xdata()[0], ax.lines[0].get_ydata()[0]) == (int(at["k"]), int(at["sigma"]))
            assert ax.get_title().startswith(f"subject {subject}: best ")
            np.testing.assert_array_equal(ax.images[0].get_array(), own.transpose("sigma", "k"))
        assert panels[0].get_xlabel() == "k"
        assert panels[0].get_ylabel() == "sigma"


def test_a_sweep_over_one_parameter_is_a_line_logarithmic_for_ratios():
    values = np.geomspace(0.02, 5, 9)
    score = xr.DataArray(-((np.log(values) - np.log(values[3])) ** 2), dims="k", coords={"k": ("k", values, {"units": "1/s"})}, name="r")
    ax = viz.plot_sweep(score).axes[0]
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("k [1/s]", "r")
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [values[3]])
    linear = viz.plot_sweep(score.assign_coords(k=np.arange(9.0)), direction="min").axes[0]
    assert linear.get_xscale() == "linear"
    np.testing.assert_allclose(linear.lines[1].get_xdata(), [8.0])


def test_a_sweep_without_a_finite_value_says_so():
    score = xr.DataArray(np.full((2, 3), np.nan), dims=("a", "b"))
    assert viz.plot_sweep(score).axes[0].get_title() == "no finite value"


def test_a_comparison_pairs_regions_by_label():
    x, y = series(seed=1), series(seed=2)
    figure = viz.plot_fc_comparison(x, y.isel(region=[3, 1, 0, 2, 5, 4]))
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), np.corrcoef(y.values.T), atol=1e-14)
    upper = np.triu_indices(6, 1)
    r = np.corrcoef(np.corrcoef(x.values.T)[upper], np.corrcoef(y.values.T)[upper])[0, 1]
    assert figure.axes[2].get_title().startswith(f"r = {r:.2f}, mean FC simulated ")
    with pytest.raises(ValueError, match="lacks 'A_L'"):
        viz.plot_fc_comparison(x, y.isel(region=slice(1, None)))


def test_time_series_have_units_and_one_line_each():
    x = series().assign_attrs(units="mV")
    ax = viz.plot_timeseries(x, title="raw")
    assert (ax.get_xlabel(), ax.get_ylabel(), len(ax.lines)) == ("time [s]", "bold [mV]", 6)
    assert texts(ax.get_legend().get_texts()) == REGIONS
    assert viz.plot_timeseries(series(regions=MANY)).get_legend() is None
    assert len(viz.plot_timeseries(x[:, 0]).lines) == 1
    assert len(viz.plot_timeseries(x.expand_dims(batch=3)[:, :, [0]]).lines) == 3


def test_bold_is_a_carpet_of_z_scores():
    x = series()
    x[:, 2] = 4.0
    ax = viz.plot_bold(x)
    z = ((x - x.mean("time")) / x.std("time")).values.T
    shown = ax.images[0].get_array()
    keep = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(shown[keep], z[keep], atol=1e-12)
    assert np.ma.getmaskarray(shown)[2].all()
    assert texts(ax.get_yticklabels()) == REGIONS


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: viz.plot_functional_connectivity(cohort().bold), r"isel\(subject=0\)"),
        (lambda: viz.plot_bold(cohort().bold), r"isel\(subject=0\)"),
        (lambda: viz.plot_timeseries(cohort().bold), "isel"),
        (lambda: viz.plot_connectome(cohort()), r"isel\(subject=0\)"),
        (lambda: viz.plot_sweep(compare(sweep(), cohort(), objectives.fc_corr()).fc_corr.expand_dims(batch=2)), "one to three"),
        (lambda: viz.plot_sweep(xr.DataArray(np.zeros(3), dims="k"), x="q"), "different dims out of"),
        (lambda: viz.plot_sweep(xr.DataArray(np.zeros(3), dims="k"), direction="up"), "'max' or 'min'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_fix(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()


def test_a_dataset_where_a_variable_is_needed_and_the_other_way_round():
    for draw in (viz.plot_functional_connectivity, viz.plot_bold, viz.plot_timeseries, viz.plot_sweep):
        with pytest.raises(TypeError, match="take one"):
            draw(cohort())
    with pytest.raises(KeyError, match="weights"):
        viz.plot_connectome(cohort()[["bold"]])


def test_fc_and_fcd_of_sensors():
    time = ("time", np.arange(400.0), {"units": "s", "axis": "T"})
    x = xr.DataArray(
        np.random.default_rng(0).normal(size=(400, 4)), dims=("time", "sensor"), coords={"time": time, "sensor": ["Fz", "Cz", "Pz", "Oz"]}
    )
    for drawn in (x, functional_connectivity(x)):
        ax = viz.plot_functional_connectivity(drawn)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("sensor_other", "sensor")
        assert [label.get_text() for label in ax.get_yticklabels()] == ["Fz", "Cz", "Pz", "Oz"]
    assert viz.plot_fcd(x).get_xlabel() == "window [s]"
    with pytest.raises(ValueError, match="needs"):
        viz.plot_functional_connectivity(x.expand_dims(subject=2))
