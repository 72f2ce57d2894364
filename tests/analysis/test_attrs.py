"""What the coordinates of a series say of themselves, its results say too: units and the mark of the time axis among them."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.analysis.cases import cohort, series

FUNCTIONS = {
    "fc": xm.functional_connectivity,
    "partial_correlation": xm.partial_correlation,
    "lagged_fc": lambda x: xm.lagged_fc(x, 0.72),
    "seed_map": lambda x: xm.seed_map(x, "A_L"),
    "edge_series": xm.edge_series,
    "edge_fc": xm.edge_fc,
    "fcd": lambda x: xm.fcd(x, window=14.4, step=3.6),
    "fcd_distribution": lambda x: xm.fcd_distribution(xm.fcd(x, window=14.4, step=3.6)),
    "ks_distance": lambda x: xm.ks_distance(x.stack(pair=["time", "region"]), x.stack(pair=["time", "region"])),
    "sc_fc_coupling": lambda x: xm.sc_fc_coupling(xm.functional_connectivity(x) ** 2, xm.functional_connectivity(x)).coupling,
    "average_fc": lambda x: xm.average_fc(xm.functional_connectivity(x.expand_dims(batch=2)), "batch").fc,
    "power_spectrum": xm.power_spectrum,
    "peak_frequency": lambda x: xm.peak_frequency(xm.power_spectrum(x)),
    "intrinsic_frequency": lambda x: xm.intrinsic_frequency(x, (0.05, 0.3)),
    "band_pass": lambda x: xm.band_pass(x, (0.05, 0.3)),
    "phase": xm.phase,
    "amplitude_envelope": xm.amplitude_envelope,
    "envelope_correlation": xm.envelope_correlation,
    "order_parameter": lambda x: xm.order_parameter(xm.phase(x)),
    "metastability": lambda x: xm.metastability(xm.phase(x)),
    "avalanches": lambda x: xm.avalanches(x, threshold=1.5)["size"],
    "graph_measures": lambda x: xm.graph_measures(abs(xm.functional_connectivity(x))).strength_in,
    "gradients": lambda x: xm.connectivity_gradients(xm.functional_connectivity(x), components=2, sparsity=0.0).gradient,
    "phase_locking": lambda x: xm.phase_locking(xm.phase(x)),
}


def refuse(*args, **kwargs):
    raise AssertionError("something was computed before it was asked for")


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
def test_coordinates_keep_their_attributes(function, lazy):
    k = ("k", [0.1, 0.2], {"units": "1/ms", "long_name": "coupling"})
    x = xr.concat([series(seed=i) for i in range(2)], dim="k").assign_coords(k=k)
    if lazy:
        with dask.config.set(scheduler=refuse):
            found = function(x.chunk({"k": 1, "time": 50, "region": 2}))
        assert found.chunks is not None
        xr.testing.assert_allclose(found.compute(), function(x), rtol=1e-10)
    else:
        found = function(x)
    assert found.k.attrs == x.k.attrs
    if "time" in found.dims:
        assert found.time.attrs == x.time.attrs
    if "region" in found.dims and "hemisphere" in x.coords:
        assert found.hemisphere.dims == ("region",)


def test_a_comparison_keeps_the_units_of_what_is_swept():
    bold = xr.concat([series(seed=i) for i in range(2)], dim="k").assign_coords(k=("k", [0.1, 0.2], {"units": "1/ms"}))
    score = xm.compare(xr.Dataset({"bold": bold}), cohort(), [xm.objectives.fc_corr(), xm.objectives.fc_rmse()])
    assert score.k.attrs == {"units": "1/ms"}
    assert score.fc_corr.attrs["units"] == "1" and "preprocess" not in score.fc_corr.attrs
    assert np.isfinite(score.fc_corr).all()
