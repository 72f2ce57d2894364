from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

import xmass.accessor  # noqa: F401  registers the accessors
from tests.analysis.cases import cohort, series, sweep
from xmass import objectives
from xmass.analysis import compare, functional_connectivity, intrinsic_frequency, preprocess


@pytest.fixture(autouse=True)
def no_window():
    import matplotlib.pyplot as plt

    mpl.use("agg")
    yield
    plt.close("all")


def test_a_dataarray_has_the_functions_of_a_series():
    x = series(samples=600)
    xr.testing.assert_identical(x.xmass.fc(), functional_connectivity(x))
    xr.testing.assert_identical(x.xmass.preprocess(discard=7.2, detrend=None), preprocess(x, discard=7.2, detrend=None))
    xr.testing.assert_identical(x.xmass.intrinsic_frequency((0.03, 0.08)), intrinsic_frequency(x, (0.03, 0.08)))


def test_units_come_and_go():
    ds = cohort().assign(bold=cohort().bold.assign_attrs(units="mV"))
    quantified = ds.bold.xmass.quantify()
    assert str(quantified.data.units) == "millivolt"
    xr.testing.assert_identical(quantified.xmass.dequantify(), ds.bold)
    xr.testing.assert_identical(ds.xmass.quantify().xmass.dequantify(), ds)


def test_figures_are_those_of_viz():
    one = cohort().isel(subject=0)
    assert one.bold.xmass.plot_functional_connectivity().get_xlabel() == "region_other"
    assert len(one.bold.xmass.plot_timeseries().lines) == 6
    assert one.bold.xmass.plot_bold().get_ylabel() == "region"
    assert len(one.xmass.plot_connectome().axes) == 2
    score = compare(sweep(), cohort(), objectives.fc_corr())
    assert len(score.fc_corr.xmass.plot_sweep().axes) == 4
    assert np.isfinite(score.to_table().fc_corr).all()
