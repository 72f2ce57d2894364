"""The figures beside those of test_viz.py: they draw what they got, with units, in panels, on axes that were given."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure

import xmass as xm
from tests.analysis.cases import REGIONS, cohort, series, sweep
from xmass import viz
from xmass.viz.style import COLOURS, MANY, looks

TIME = {"units": "ms", "axis": "T"}


@pytest.fixture(autouse=True)
def no_window():
    mpl.use("agg")
    yield
    plt.close("all")


def pair(**dims: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Two states of one run, 20 samples."""
    rng = np.random.default_rng(3)
    sizes = {**dims, "time": 20}
    made = [
        xr.DataArray(rng.normal(size=tuple(sizes.values())), dims=tuple(sizes), coords={"time": ("time", np.arange(20.0), TIME)})
        for _ in "xy"
    ]
    return made[0].rename("v").assign_attrs(units="mV"), made[1].rename("r").assign_attrs(units="Hz")


def spectrum() -> xr.DataArray:
    f = np.arange(0.0, 51.0)
    power = 1 / (1 + (f - np.array([[10.0], [20.0]])) ** 2)
    coords = {"region": ["A", "B"], "frequency": ("frequency", f, {"units": "Hz"})}
    return xr.DataArray(power, dims=("region", "frequency"), coords=coords, name="power", attrs={"units": "mV^2/Hz"})


def placed() -> xr.Dataset:
    """Five regions with coordinates in mm."""
    rng = np.random.default_rng(1)
    weights = rng.gamma(2.0, size=(5, 5)) * (1 - np.eye(5))
    ds = xr.Dataset(
        {"weights": (("region", "region_other"), weights), "centres": (("region", "xyz"), rng.normal(0, 30, (5, 3)), {"units": "mm"})}
    )
    return ds.assign_coords(region=list("ABCDE"), region_other=list("ABCDE"), xyz=["x", "y", "z"])


def test_a_phase_portrait_draws_one_state_against_the_other():
    v, r = pair(region=3)
    ax = viz.plot_phase_portrait(v, r.transpose("time", "region"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("v [mV]", "r [Hz]")
    for i in range(3):  # of each: the line, where it begins, where it ends
        line, first, last = ax.lines[3 * i : 3 * i + 3]
        np.testing.assert_array_equal(line.get_xydata(), np.stack([v[i], r[i]], axis=1))
        np.testing.assert_array_equal(first.get_xydata()[0], [v[i, 0], r[i, 0]])
        np.testing.assert_array_equal(last.get_xydata()[0], [v[i, -1], r[i, -1]])


def test_a_phase_portrait_marks_fixed_points_by_stability():
    v, r = pair()
    points = xr.Dataset(
        {"v": ("fixed_point", [1.0, 2.0, 3.0]), "r": ("fixed_point", [4.0, 5.0, 6.0]), "stable": ("fixed_point", [True, False, True])}
    )
    ax = viz.plot_phase_portrait(v, r, fixed_points=points)
    stable, unstable = ax.lines[-2:]
    np.testing.assert_array_equal(stable.get_xydata(), [[1, 4], [np.nan, np.nan], [3, 6]])
    np.testing.assert_array_equal(unstable.get_xydata(), [[np.nan, np.nan], [2, 5], [np.nan, np.nan]])
    assert stable.get_markerfacecolor() != unstable.get_markerfacecolor() == "white"
    with pytest.raises(KeyError, match="stable"):
        viz.plot_phase_portrait(v, r, fixed_points=points.drop_vars("stable"))


def test_a_spectrum_has_hertz_and_density_on_its_axes():
    ax = viz.plot_power_spectrum(spectrum())
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("frequency [Hz]", "power [mV^2/Hz]", "log")
    for line, own in zip(ax.lines, spectrum(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), own)
        np.testing.assert_array_equal(line.get_xdata(), own.frequency)
    both = viz.plot_power_spectrum(spectrum(), log="both")
    assert both.lines[0].get_xdata()[0] == 1.0  # 0 Hz has no place there
    both.figure.draw_without_rendering()
    written = [label.get_text() for label in both.get_xticklabels(which="both")]
    assert {"1", "2", "5", "10", "20", "50"} <= set(written)
    assert not {"3", "4", "30"} & set(written)  # they would lie on each other
    band = viz.plot_power_spectrum(spectrum(), band=(8, 12), log="none")
    np.testing.assert_array_equal(band.lines[0].get_xdata(), np.arange(8.0, 13.0))
    assert band.get_yscale() == "linear"


def test_the_spectrum_of_a_series_in_milliseconds_peaks_where_its_sine_is():
    t = np.arange(0, 8000, 4.0)
    x = xr.DataArray(np.sin(2 * np.pi * 0.010 * t), dims="time", coords={"time": ("time", t, TIME)}, name="v", attrs={"units": "mV"})
    ax = viz.plot_power_spectrum(x)
    line = ax.lines[0]
    assert line.get_xdata()[np.argmax(line.get_ydata())] == pytest.approx(10.0)  # a bin of 1 Hz lies there
    assert ax.get_ylabel() == "power [mV^2/Hz]"


def test_fcd_has_times_on_both_axes():
    x = series(samples=400)
    matrix = xm.fcd(x, window=60, step=20)
    for data, expected in ((matrix, matrix), (x, xm.fcd(x))):
        ax = viz.plot_fcd(data)
        np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.images[0].get_clim()) == ("window [s]", "window [s]", (-1, 1))
        step = float(expected.window[1] - expected.window[0])
        left, right, bottom, top = ax.images[0].get_extent()
        np.testing.assert_allclose([left, top], float(expected.window[0]) - step / 2)
        np.testing.assert_allclose([right, bottom], float(expected.window[-1]) + step / 2)


def test_connectivity_is_signed_logarithmic_or_plain_as_its_values_are():
    weights = cohort().weights.isel(subject=0).assign_attrs(units="1")
    plain = viz.plot_connectivity(weights)
    np.testing.assert_array_equal(plain.images[0].get_array(), weights)
    assert isinstance(viz.plot_connectivity(weights**8).images[0].norm, LogNorm)
    assert not isinstance(viz.plot_connectivity(weights**8, log=False).images[0].norm, LogNorm)
    signed = viz.plot_connectivity(weights - 1).images[0]
    assert signed.norm.vmin == -signed.norm.vmax
    assert signed.get_cmap().name == "RdBu_r"
    lengths = viz.plot_connectivity(weights.rename("distances").assign_attrs(units="mm"))
    assert lengths.figure.axes[-1].get_ylabel() == "distances [mm]"
    with pytest.raises(ValueError, match="log=True"):
        viz.plot_connectivity(weights - 1, log=True)


def test_a_connectome_with_coordinates_is_drawn_in_three_planes():
    ds = placed()
    figure = viz.plot_connectome(ds, edges=4)
    both = 0.5 * (ds.weights.values + ds.weights.values.T)[np.triu_indices(5, 1)]
    for ax, (across, up) in zip(figure.axes, (("x", "y"), ("x", "z"), ("y", "z")), strict=False):
        assert (ax.get_xlabel(), ax.get_ylabel()) == (f"{across} [mm]", f"{up} [mm]")
        lines, nodes = ax.collections
        np.testing.assert_allclose(lines.get_array(), np.sort(both)[-4:])
        at = ds.centres.sel(xyz=[across, up]).values
        np.testing.assert_allclose(np.sort(nodes.get_offsets(), axis=0), np.sort(at, axis=0))
        for segment in lines.get_segments():
            assert all((np.abs(at - end).max(1) < 1e-12).any() for end in segment)
        assert sorted(text.get_text() for text in ax.texts) == list("ABCDE")
    strength = ds.weights.sum("region_other").values
    sizes = figure.axes[0].collections[1].get_sizes()
    np.testing.assert_array_equal(
        np.argsort(np.argsort(strength))[np.argsort(ds.centres.sel(xyz="z").values)], np.argsort(np.argsort(sizes))
    )
    shuffled = viz.plot_connectome(ds.isel(xyz=[2, 0, 1]), edges=4).axes[0].collections[1].get_offsets()
    np.testing.assert_array_equal(shuffled, figure.axes[0].collections[1].get_offsets())
    assert len(viz.plot_connectome(ds, view="matrices").axes) == 2
    with pytest.raises(KeyError, match="centres"):
        viz.plot_connectome(ds.drop_vars("centres"), view="planes")
    with pytest.raises(ValueError, match="x, y and z"):
        viz.plot_connectome(ds.assign_coords(xyz=["a", "b", "c"]))


def test_planes_without_a_single_edge():
    ds = placed()
    assert len(viz.plot_connectome(ds.assign(weights=0 * ds.weights)).axes) == 3
    assert len(viz.plot_connectome(ds, edges=0).axes) == 3


def test_pairs_of_fc_lie_on_either_side_of_the_diagonal():
    x, y = (xm.functional_connectivity(series(seed=s)) for s in (1, 2))
    ax = viz.plot_comparison(x, y.isel(region=[3, 1, 0, 2, 5, 4], region_other=[1, 0, 2, 3, 4, 5]))
    shown = np.ma.getdata(ax.images[0].get_array())
    lower, upper = np.tril_indices(6, -1), np.triu_indices(6, 1)
    np.testing.assert_array_equal(shown[lower], x.values[lower])
    np.testing.assert_array_equal(shown[upper], y.values[upper])
    assert np.isnan(np.diagonal(shown)).all()


def test_scatter_and_distributions_of_fc_are_those_of_the_pairs():
    x, y = (xm.functional_connectivity(series(seed=s)) for s in (1, 2))
    a, b = (m.values[np.triu_indices(6, 1)] for m in (x, y))
    scatter = viz.plot_comparison(x, y, kind="scatter")
    np.testing.assert_array_equal(scatter.collections[0].get_offsets(), np.stack([b, a], axis=1))
    assert f"r = {np.corrcoef(a, b)[0, 1]:.2f}" in scatter.texts[0].get_text()
    assert (scatter.get_xlabel(), scatter.get_ylabel()) == ("recorded FC", "simulated FC")
    ax = viz.plot_comparison(x, y, kind="distributions")
    for patch, values in zip(ax.patches, (b, a), strict=True):
        density, edges, _ = patch.get_data()
        np.testing.assert_allclose(density, np.histogram(values, bins=edges, density=True)[0])
        np.testing.assert_allclose((density * np.diff(edges)).sum(), 1)  # no pair lies outside
    every = np.sort(np.concatenate([a, b]))
    ks = np.abs([(a <= v).mean() - (b <= v).mean() for v in every]).max()
    assert ax.texts[0].get_text() == f"KS = {ks:.2f}"
    assert ax.patches[0].get_linestyle() != ax.patches[1].get_linestyle()


def test_a_bifurcation_diagram_has_points_by_stability_and_the_range_of_runs():
    p = ("p", [1.0, 2.0, 3.0], {"units": "Hz"})
    points = xr.DataArray(
        [[0.0, 1.0], [0.5, np.nan], [2.0, 3.0]], dims=("p", "fixed_point"), coords={"p": p}, name="v", attrs={"units": "mV"}
    )
    stable = xr.DataArray([[True, False], [True, False], [False, True]], dims=("p", "fixed_point"), coords={"p": p})
    runs = pair(p=3)[0].assign_coords(p=p)
    ax = viz.plot_bifurcation(points.expand_dims(region=1), stable=stable, runs=runs)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("p [Hz]", "v [mV]")
    low, high, filled, hollow = ax.lines
    np.testing.assert_array_equal(low.get_ydata(), runs.min("time"))
    np.testing.assert_array_equal(high.get_ydata(), runs.max("time"))
    drawn = [{tuple(xy) for xy in line.get_xydata() if np.isfinite(xy).all()} for line in (filled, hollow)]
    assert drawn == [{(1, 0), (2, 0.5), (3, 3)}, {(1, 1), (3, 2)}]
    assert (filled.get_markerfacecolor(), hollow.get_markerfacecolor()) == ("black", "white")
    alone = viz.plot_bifurcation(runs)
    assert [len(line.get_xdata()) for line in alone.lines] == [3, 3]
    assert alone.get_xlabel() == "p [Hz]"


def test_a_stimulus_and_its_samples_hold_until_the_next_step():
    drive = xm.stimuli.pulse(xr.DataArray([1.0, 2.0], dims="region", coords={"region": ["A", "B"]}), onset=2, width=3)
    ax = viz.plot_stimulus(drive, duration=8, dt=1, title="kick")
    samples = drive.at(np.arange(8.0)).assign_attrs(units="mV")
    own = viz.plot_stimulus(samples)
    for one, other, values in zip(ax.patches, own.patches, samples.transpose("region", "time"), strict=True):
        for patch in (one, other):
            np.testing.assert_array_equal(patch.get_data().values, values)
            np.testing.assert_array_equal(patch.get_data().edges, np.arange(9.0))
    assert (own.get_xlabel(), own.get_ylabel(), ax.get_title(loc="left")) == ("time [ms]", "stimulus [mV]", "kick")
    assert len({str(patch.get_linestyle()) for patch in ax.patches}) == 2


FACETED = {
    "timeseries": (lambda ds, **more: viz.plot_timeseries(ds.bold, **more), lambda ax: ax.lines),
    "fc": (lambda ds, **more: viz.plot_functional_connectivity(ds.bold, **more), lambda ax: ax.images),
    "fcd": (lambda ds, **more: viz.plot_fcd(ds.bold, **more), lambda ax: ax.images),
    "connectivity": (lambda ds, **more: viz.plot_connectivity(ds.weights, **more), lambda ax: ax.images),
    "spectrum": (lambda ds, **more: viz.plot_power_spectrum(ds.bold, **more), lambda ax: ax.lines),
    "portrait": (lambda ds, **more: viz.plot_phase_portrait(ds.bold, 2 * ds.bold, **more), lambda ax: ax.lines),
    "pairs": (lambda ds, **more: viz.plot_comparison(ds.bold, series(seed=9), **more), lambda ax: ax.images),
    "scatter": (lambda ds, **more: viz.plot_comparison(ds.bold, ds.bold, kind="scatter", **more), lambda ax: ax.collections),
}


@pytest.mark.long
@pytest.mark.parametrize("name", FACETED)
def test_col_makes_a_panel_for_each_label_as_it_would_be_alone(name):
    draw, artists = FACETED[name]
    ds = cohort()
    ds = ds.assign(bold=ds.bold.copy(data=np.tile(ds.bold.values, (1, 2, 1))[:, :120]))
    figure = draw(ds, col="subject")
    assert isinstance(figure, Figure)
    panels = [ax for ax in figure.axes if ax.get_title().startswith("subject ")]
    assert [ax.get_title() for ax in panels] == ["subject S1", "subject S2", "subject S3"]
    for i, panel in enumerate(panels):
        alone = draw(ds.isel(subject=i))
        assert isinstance(alone, Axes)
        assert len(artists(panel)) == len(artists(alone)) > 0
        for one, other in zip(artists(panel), artists(alone), strict=True):
            values = [
                a.get_xydata() if hasattr(a, "get_xydata") else a.get_array() if a.get_array() is not None else a.get_offsets()
                for a in (one, other)
            ]
            np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("name", FACETED)
def test_given_axes_are_used_one_or_one_for_each_panel(name):
    draw, _ = FACETED[name]
    _, ax = plt.subplots()
    before = plt.get_fignums()
    assert draw(cohort().isel(subject=0), ax=ax) is ax
    figure, axes = plt.subplots(1, 3)
    assert draw(cohort(), col="subject", ax=axes) is figure
    assert all(panel.has_data() for panel in axes)
    assert plt.get_fignums() == [*before, figure.number]  # no other figure was made
    with pytest.raises(ValueError, match="2 Axes for 3 panels"):
        draw(cohort(), col="subject", ax=axes[:2])


def test_figures_of_several_panels_take_as_many_axes():
    figure, axes = plt.subplots(1, 3)
    assert viz.plot_fc_comparison(series(), series(seed=1), ax=axes) is figure
    assert viz.plot_connectome(placed(), ax=plt.subplots(1, 3)[1]).axes[0].collections
    score = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("a", "b"))
    _, ax = plt.subplots()
    assert viz.plot_sweep(score, ax=ax) is ax.figure
    np.testing.assert_array_equal(np.ma.getdata(ax.images[0].get_array()).ravel(), score.transpose("a", "b").values.ravel())
    for draw in (viz.plot_bifurcation, viz.plot_stimulus):
        _, ax = plt.subplots()
        data = pair(p=3)[0] if draw is viz.plot_bifurcation else pair()[0]
        assert draw(data, ax=ax) is ax


def test_lazy_arrays_are_drawn():
    pytest.importorskip("dask")
    lazy = cohort().chunk(subject=1)
    for name in FACETED:
        assert isinstance(FACETED[name][0](lazy, col="subject"), Figure)


def test_legends_and_panels_carry_the_unit_of_their_dim():
    v, r = (a.assign_coords(p=("p", [60.0, 120.0], {"units": "Hz"})) for a in pair(p=2))
    assert viz.plot_timeseries(v).get_legend().get_title().get_text() == "p [Hz]"
    assert viz.plot_phase_portrait(v, r).get_legend().get_title().get_text() == "p [Hz]"
    assert [ax.get_title() for ax in viz.plot_timeseries(v, col="p").axes] == ["p [Hz] 60", "p [Hz] 120"]


def test_the_legend_of_distributions_lies_above_them():
    every = cohort().bold
    for order in ([0, 1, 2], [2, 1, 0]):
        for ax in viz.plot_comparison(every.isel(subject=order), series(seed=2), kind="distributions", col="subject").axes:
            assert ax.get_ylim()[1] >= 1.2 * max(patch.get_data().values.max() for patch in ax.patches)


def test_a_sweep_beside_what_it_is_held_against():
    score = xm.compare(sweep(), cohort(), xm.objectives.fc_corr()).fc_corr
    line = score.sel(subject="S1").max("sigma", keep_attrs=True)
    ax = viz.plot_sweep(line, against=True).axes[0]
    drawn = {
        entry.get_label(): entry.get_ydata()[0] for entry in ax.lines if len(set(entry.get_ydata())) == 1 and len(entry.get_xdata()) == 2
    }
    names = {"connectome": "weights", "log connectome": "log_weights", "other subjects": "other_subjects"}
    expected = {label: float(line[f"baseline_{name}"]) for label, name in names.items()} | {
        "its two halves": float(line.ceiling_split_half)
    }
    assert drawn == expected
    panels = viz.plot_sweep(score, against=True).axes[:3]
    for panel, subject in zip(panels, score.subject.values, strict=True):
        assert f"other subjects {float(score.sel(subject=subject).baseline_other_subjects):.2f}" in panel.get_title()
    with pytest.raises(ValueError, match="against=True"):
        viz.plot_sweep(score.drop_vars(expected_coords(score)), against=True)


def expected_coords(score):
    return [name for name in score.coords if str(name).startswith(("baseline_", "ceiling_"))]


def luminance(colour: str) -> float:
    red, green, blue = (int(to_hex(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_few_lines_differ_in_colour_and_from_their_neighbours_in_dashes():
    several = looks(MANY)
    assert len({look.color for look in several}) == MANY
    assert all(str(a.linestyle) != str(b.linestyle) for a, b in itertools.pairwise(several))
    assert max(luminance(c) for c in COLOURS) < 0.75  # none is lost on white paper


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: viz.plot_phase_portrait(*pair(k=2, region=3)), "col='k'"),
        (lambda: viz.plot_phase_portrait(pair(region=2)[0], pair()[1]), "needs the same"),
        (lambda: viz.plot_phase_portrait(pair()[0], pair()[1].isel(time=slice(0, 5))), "different coordinates"),
        (lambda: viz.plot_power_spectrum(spectrum().expand_dims(k=2)), "col='k'"),
        (lambda: viz.plot_power_spectrum(spectrum(), band=(100, 200)), "between 0 and 50 Hz"),
        (lambda: viz.plot_power_spectrum(spectrum(), log="x"), "'power', 'both' or 'none'"),
        (lambda: viz.plot_fcd(cohort().bold), "col='subject'|isel"),
        (lambda: viz.plot_fcd(xm.functional_connectivity(series())), "window"),
        (lambda: viz.plot_connectivity(cohort().weights), r"isel\(subject=0\)"),
        (lambda: viz.plot_connectivity(series()), "region_other"),
        (lambda: viz.plot_timeseries(series(), col="subject"), "col='subject'"),
        (lambda: viz.plot_comparison(series(), series(), kind="box"), "'pairs', 'scatter'"),
        (lambda: viz.plot_comparison(series(), series(regions=list("abcdef"))), "lacks"),
        (lambda: viz.plot_bifurcation(pair(p=2, region=2)[0]), "one parameter"),
        (lambda: viz.plot_bifurcation(pair(p=2)[0].assign_coords(p=["a", "b"])), "needs numbers"),
        (lambda: viz.plot_bifurcation(pair(p=2)[0], stable=pair(p=2)[0] > 0), "fixed points"),
        (lambda: viz.plot_stimulus(pair()[0], duration=5), "times of their own"),
        (lambda: viz.plot_stimulus(pair(k=2, region=2)[0]), "at most one dim"),
        (lambda: viz.plot_connectome(placed(), edges=-1), "0 or more"),
        (lambda: viz.plot_connectome(placed(), view="side"), "'planes' or 'matrices'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_fix(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()


def test_a_dataset_where_a_series_is_needed():
    for draw in (viz.plot_power_spectrum, viz.plot_fcd, viz.plot_connectivity, viz.plot_bifurcation):
        with pytest.raises(TypeError, match="take one"):
            draw(cohort())
    with pytest.raises(TypeError, match=r"stimulus of xm\.stimuli"):
        viz.plot_stimulus(cohort())
    with pytest.raises(TypeError, match="take one"):
        viz.plot_comparison(cohort(), cohort())


def test_every_figure_is_a_method_of_the_accessor_and_in_the_gallery():
    names = {name for name in dir(viz) if name.startswith("plot_")}
    methods = set(dir(xr.DataArray(0.0).xmass)) | set(dir(xr.Dataset().xmass))
    assert names <= methods
    page = (Path(__file__).parents[2] / "docs" / "gallery.md").read_text(encoding="utf-8")
    code = "".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    assert names == {name for name in names if f"viz.{name}(" in code}
    v, r = pair()
    assert v.xmass.plot_phase_portrait(r).get_ylabel() == "r [Hz]"
    assert series().xmass.plot_comparison(series(seed=1), kind="scatter").get_xlabel() == "recorded FC"
    assert spectrum().xmass.plot_power_spectrum(band=(1, 5)).get_xlim() == (1, 5)
    assert isinstance(cohort().bold.xmass.plot_functional_connectivity(col="subject"), Figure)
    assert len(REGIONS) == len(series().xmass.plot_timeseries().lines)
