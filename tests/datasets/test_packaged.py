"""Real data from other packages: against those packages' own functions, with source and licence; without them, the extra is named."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
import pytest
import xarray as xr

import xmass as xm

NAMES = ["schaefer_100", "schaefer_400", "electrodes_1005", "dosenbach_2010", "power_2011"]
PACKAGE = {"schaefer": "brainspace", "electrodes": "mne", "dosenbach": "nilearn", "power": "nilearn"}


def package_of(name):
    return PACKAGE[name.partition("_")[0]]


@pytest.fixture
def offline(monkeypatch):
    """Nothing may open a connection."""
    import socket

    def refuse(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("offline")
@pytest.mark.filterwarnings("default")  # of the other packages
def test_they_say_where_they_come_from(name, tmp_path):
    if importlib.util.find_spec(package_of(name)) is None:
        pytest.skip(f"{package_of(name)} is in an extra")
    ds = xm.datasets.load_dataset(name)
    assert package_of(name) in ds.attrs["source"] and ds.attrs["licence"] and "doi:" in ds.attrs["references"]
    for variable in ds.data_vars.values():
        assert variable.dtype == np.float64 and np.isfinite(variable).all() and variable.attrs["units"] and variable.attrs["long_name"]
    assert len(set(ds[next(iter(ds.data_vars.values())).dims[0]].values.tolist())) == next(iter(ds.data_vars.values())).shape[0]
    xm.io.save(ds, tmp_path / "ds.zarr")
    xr.testing.assert_identical(xm.io.open(tmp_path / "ds.zarr").load(), ds)


def test_schaefer_parcels():
    pytest.importorskip("nibabel", reason="nibabel is in the extra 'data'")
    if importlib.util.find_spec("brainspace") is None:
        pytest.skip("brainspace is in the extra 'data'")
    ds = xm.datasets.load_dataset("schaefer_100")
    assert ds.sizes["region"] == 100 and (ds.hemisphere == "L").sum() == 50 and ds.region.values[[0, -1]].tolist() == ["L001", "R100"]
    np.testing.assert_array_equal(ds.fc, ds.fc.values.T)
    np.testing.assert_array_equal(np.diag(ds.fc), 1.0)
    assert (ds.centres.sel(xyz="x") < 0).sum() == 50 and bool(((ds.centres.sel(xyz="x") < 0) == (ds.hemisphere == "L")).all())
    # What is known of the cortex: a ratio between 1 and 2.5, a thickness of 2 to 3 mm.
    assert float(ds.t1wt2w.min()) > 1.2 and float(ds.t1wt2w.max()) < 2.5 and 2.0 < float(ds.thickness.mean()) < 3.0
    # The first gradient of FC goes with myelin, and both are smooth in space (-1/99 is expected of independent values).
    nulls = xm.spatial_nulls(ds.fc_gradient_1, ds.centres, n=20)
    found = xm.map_correlation(ds.fc_gradient_1, ds.t1wt2w, nulls)
    assert abs(float(found.correlation)) > 0.2
    assert float(xm.morans_i(ds.fc_gradient_1, ds.centres)) > 0.05
    gain = xm.head_lead_field(ds)
    assert gain.sizes == {"sensor": 21, "region": 100}
    a = xm.heterogeneity(ds.t1wt2w, (-0.1, 0.1), connectome=ds.fc.rename("weights").where(ds.fc > 0, 0.0))
    assert float(a.max()) == 0.1


@pytest.mark.filterwarnings("default")
def test_schaefer_is_that_of_brainspace_itself():
    loaders = pytest.importorskip("brainspace.datasets", reason="brainspace is in the extra 'data'", exc_type=ImportError)
    ds = xm.datasets.load_dataset("schaefer_200")
    np.testing.assert_array_equal(ds.fc, loaders.load_group_fc("schaefer", 200))
    keys, thick = loaders.load_parcellation("schaefer", 200, join=True), loaders.load_marker("thickness", join=True)
    own = thick[keys == 7]
    assert float(ds.thickness.sel(region="L007")) == pytest.approx(own[np.isfinite(own)].mean(), rel=1e-12)


@pytest.mark.filterwarnings("default")
def test_electrodes_are_those_of_mne():
    mne = pytest.importorskip("mne", reason="MNE is in the extra 'neuro'")
    ds = xm.datasets.load_dataset("electrodes_1005")
    name = ds.attrs["source"].rpartition(" ")[2]
    cz = mne.channels.make_standard_montage(name, head_size=None).get_positions()["ch_pos"]["Cz"]
    np.testing.assert_allclose(ds.location.sel(sensor="Cz"), 1000 * cz)
    x, y = (ds.location.sel(xyz=a) for a in "xy")
    assert x.sel(sensor="T8") > 60 > -60 > x.sel(sensor="T7") and y.sel(sensor="Fpz") > 60 > -60 > y.sel(sensor="Oz")  # right, front


@pytest.mark.filterwarnings("default")
def test_places_are_those_of_nilearn():
    nilearn = pytest.importorskip("nilearn.datasets", reason="nilearn is in the extra 'neuro'")
    ds, rois = xm.datasets.load_dataset("power_2011"), nilearn.fetch_coords_power_2011().rois
    np.testing.assert_array_equal(ds.centres.sel(region=17), rois.loc[rois.roi == 17, ["x", "y", "z"]].to_numpy()[0])
    ds = xm.datasets.load_dataset("dosenbach_2010")
    assert ds.sizes["region"] == 160 and len(set(ds.network.values.tolist())) == 6


@pytest.mark.parametrize("name", NAMES)
def test_without_the_package_the_error_names_the_extra(name, monkeypatch):
    real_import, real_spec, package = importlib.import_module, importlib.util.find_spec, package_of(name)

    def without(wanted, *more):
        if wanted.partition(".")[0] == package:
            raise ImportError(f"No module named {wanted!r}")
        return real_import(wanted, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == package else real_spec(n, *a))
    with pytest.raises(ImportError, match=rf"{package}.*pip install 'xmass\[(neuro|data)\]'"):
        xm.datasets.load_dataset(name)


def test_they_are_listed():
    assert set(NAMES) <= {name for name, _ in xm.datasets.list_datasets()}
