"""Which runs left the finite numbers, where the number of regions equals the number of runs in a tile."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from xmass.labelled.rebuild import DivergenceWarning


def test_only_the_run_that_diverged_is_marked_when_regions_equal_the_tile():
    sim = xm.Simulator(xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.1)), dt=1.0, regions=16)
    p = xr.Dataset({"a": ("a", [*np.linspace(-0.2, 0.1, 15), 50.0])})
    with pytest.warns(DivergenceWarning, match=r"1 of 16 runs"):
        run = sim.run(200.0, p, monitors={"fc": xm.FunctionalConnectivity(of="x")}, seed=0)
    np.testing.assert_array_equal(run.diverged, p.a == 50.0)
    assert np.isfinite(run.fc.sel(a=p.a[:-1])).all()


@pytest.mark.long
def test_too_many_connectomes_are_refused_before_memory_is_taken():
    sc = xm.datasets.load_dataset("example_connectome")
    sim = xm.Simulator(xm.Network(xm.HopfStep(), sc, speed=5.0, coupling=xm.DiffusiveCoupling(source="x", target="x")), dt=0.1)
    many = xr.Dataset({"speed": ("point", np.full(30_000_000, 5.0))})
    with pytest.raises(ValueError, match=r"30000000 connectomes.*in parts"):
        sim.run(1.0, many)
