"""Interactive figures: the values of the array, its units on the axes, a slider for each further dim."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.analysis.cases import REGIONS, cohort, series, sweep
from xmass import viz


def test_without_hvplot_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hvplot", None)
    monkeypatch.setitem(sys.modules, "hvplot.xarray", None)
    with pytest.raises(ImportError, match=r"pip install 'xmass\[interactive\]'"):
        viz.interactive(series())


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: viz.interactive(series(), "surface"), "needs one of"),
        (lambda: viz.interactive(series(), "matrix"), "region_other"),
        (lambda: viz.interactive(series(), "spectrum"), "frequency"),
        (lambda: viz.interactive(xm.functional_connectivity(series()), "timeseries"), "'time'"),
        (lambda: viz.interactive(xr.DataArray(1.0)), "got one number"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()


def test_a_dataset_is_refused():
    with pytest.raises(TypeError, match="take one"):
        viz.interactive(cohort())


# ------------------------------------------------------------------------------------------------------------ with hvplot
@pytest.fixture(scope="module", name="hv")
def hv_fixture():
    pytest.importorskip("hvplot.xarray", reason="the extra 'interactive' is not installed")
    return pytest.importorskip("holoviews")


def values(element) -> np.ndarray:
    """What a HoloViews element holds as its value dimension."""
    return element.dimension_values(element.vdims[0])


def test_a_series_has_a_line_for_each_region_and_units_on_the_axes(hv):
    x = series().rename("eeg").assign_attrs(units="mV")
    figure = viz.interactive(x)
    assert isinstance(figure, hv.NdOverlay)
    assert list(figure.keys()) == REGIONS
    for region in REGIONS:
        np.testing.assert_array_equal(values(figure[region]), x.sel(region=region))
    drawn = hv.render(figure)
    assert (drawn.xaxis[0].axis_label, drawn.yaxis[0].axis_label) == ("time [s]", "eeg [mV]")


def test_further_dims_are_sliders(hv):
    recorded = cohort().bold
    figure = recorded.xmass.interactive()
    assert isinstance(figure, hv.DynamicMap)
    assert [d.name for d in figure.kdims] == ["subject"]
    assert figure.kdims[0].values == ["S1", "S2", "S3"]
    np.testing.assert_array_equal(values(figure["S2"][REGIONS[0]]), recorded.sel(subject="S2").isel(region=0))


def test_a_matrix_has_its_first_row_on_top_and_fc_colours_about_zero(hv):
    fc = xm.functional_connectivity(series())
    figure = viz.interactive(fc, "fc")
    table = figure.dframe().set_index(["region", "region_other"]).iloc[:, 0]
    for a in REGIONS:
        for b in REGIONS:
            assert table[a, b] == float(fc.sel(region=a, region_other=b))
    drawn = hv.render(figure)
    assert list(drawn.x_range.factors) == REGIONS
    assert hv.Store.lookup_options("bokeh", figure, "plot").kwargs["invert_yaxis"]
    mapper = next(r.glyph.fill_color.transform for r in drawn.renderers if hasattr(r.glyph, "fill_color"))
    assert (mapper.low, mapper.high) == (-1, 1)
    assert viz.interactive(series(), "fc").dframe().equals(figure.dframe())


def test_fcd_has_times_on_both_axes(hv):
    fcd = xm.fcd(series(samples=400), window=60, step=3)
    drawn = hv.render(viz.interactive(fcd))
    assert (drawn.xaxis[0].axis_label, drawn.yaxis[0].axis_label) == ("window_other [s]", "window [s]")


def test_a_spectrum_and_a_sweep(hv):
    spectrum = xm.power_spectrum(series())
    drawn = hv.render(viz.interactive(spectrum))
    assert drawn.xaxis[0].axis_label == "frequency [Hz]"
    assert type(drawn.y_scale).__name__ == "LogScale"
    score = xm.compare(sweep(), cohort(), xm.objectives.fc_corr()).fc_corr
    figure = viz.interactive(score)
    assert [d.name for d in figure.kdims] == ["subject"]
    cells = figure["S3"].dframe().set_index(["k", "sigma"])
    assert cells.loc[("0.2", "0.01")].iloc[-1] == float(score.sel(k=0.2, sigma=0.01, subject="S3"))
    line = viz.interactive(score.sel(sigma=0.01, subject="S1", drop=True))
    np.testing.assert_array_equal(values(line), score.sel(sigma=0.01, subject="S1"))


def test_a_lazy_array_and_an_array_without_coordinates(hv):
    plain = xr.DataArray(np.arange(12.0).reshape(2, 3, 2), dims=("trial", "time", "region")).chunk()
    figure = viz.interactive(plain)
    np.testing.assert_array_equal(values(figure[1][0]), plain[1, :, 0])
