"""The raw files of a subject and of TVB's connectome give the Datasets that were prepared from them by other code, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm


@pytest.fixture(scope="module")
def prepared(shared_path):
    return lambda name: xr.load_dataset(shared_path("data", name), engine="h5netcdf")


def same_units(got, wanted):
    for name in wanted.variables:
        assert got[name].attrs.get("units") == wanted[name].attrs.get("units"), name


def test_the_connectome_of_tvb(shared_path, prepared):
    got, wanted = xm.io.read_connectome(shared_path("data", "raw", "connectivity_76.zip")), prepared("tvb_76.nc")
    xr.testing.assert_equal(got, wanted)  # all variables and coordinates, to the last bit
    assert set(got.variables) == set(wanted.variables)
    same_units(got, wanted)
    assert not np.array_equal(got.weights, got.weights.values.T)  # so that a transposed one would have been seen


def test_subject_1_of_hcp(shared_path, prepared):
    raw, wanted = shared_path("data", "raw"), prepared("hcp_subject_1.nc")
    labels = wanted.region.values.tolist()  # of the atlas: the raw files hold none
    connectome = xm.io.read_connectome(raw / "hcp_subject_1_DTI_CM.mat", distances=raw / "hcp_subject_1_DTI_LEN.mat", labels=labels)
    recording = xm.io.read_recording(raw / "hcp_subject_1_BOLD.mat", rows="region", tr=0.72, labels=labels)
    got = connectome.merge(recording, combine_attrs="drop_conflicts")
    from_the_atlas = ["waytotal", "nvoxel", "cortical", "hemisphere"]
    xr.testing.assert_equal(got, wanted.drop_vars(from_the_atlas))  # to the last bit
    same_units(got, wanted.drop_vars(from_the_atlas))
    assert got.bold.time.attrs["axis"] == "T"


def test_the_prepared_files_are_read_as_well(shared_path, prepared):
    wanted = prepared("hcp_subject_1.nc")
    xr.testing.assert_equal(xm.io.read_connectome(shared_path("data", "hcp_subject_1.nc")), wanted.drop_vars(["bold", "time"]))
    recording = xm.io.read_recording(shared_path("data", "hcp_subject_1.nc"), tr=0.72)
    xr.testing.assert_equal(recording.bold, wanted.bold)


def test_a_matrix_with_its_labels_in_another_file(shared_path):
    raw = shared_path("data", "raw")
    ds = xm.io.read_connectome(raw / "strucMatrix_ctx_schaefer_100.csv", labels=raw / "strucLabels_ctx_schaefer_100.csv")
    assert ds.sizes == {"region": 100, "region_other": 100}
    assert ds.region.values[0] == "7Networks_LH_Vis_1"
    np.testing.assert_array_equal(ds.weights, np.loadtxt(raw / "strucMatrix_ctx_schaefer_100.csv", delimiter=","))
