"""CIFTI and GIFTI: written by nibabel, read by xmass. Without nibabel, the error names the extra."""

from __future__ import annotations

import base64
import importlib
import zlib

import numpy as np
import pytest

import xmass as xm

LABELS = ["left visual", "right visual", "both", "thalamus"]
W = np.array([[0.0, 1.0, 2.0, 3.0], [4.0, 0.0, 5.0, 6.0], [7.0, 8.0, 0.0, 9.0], [1.5, 2.5, 3.5, 0.0]])
X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
REASON = "nibabel is in the extra 'neuro'"


@pytest.fixture
def nibabel():
    return pytest.importorskip("nibabel", reason=REASON)


def parcels(nibabel, *, labels=LABELS, voxels_only=False):
    left, right = "CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"
    vertices = [{left: np.arange(3)}, {right: np.arange(4)}, {left: np.arange(3, 5), right: np.arange(4, 6)}, {}]
    voxels = [np.zeros((0, 3), int)] * 3 + [np.array([[1, 2, 3], [3, 2, 1]])]
    if voxels_only:
        vertices = [{}] * 4
        voxels = [np.array([[i, 0, 0], [i, 2, 0]]) for i in range(4)]
    return nibabel.cifti2.ParcelsAxis(
        labels, voxels, vertices, affine=np.diag([2.0, 2.0, 2.0, 1.0]), volume_shape=(8, 8, 8), nvertices={left: 10, right: 10}
    )


def write(nibabel, path, values, axes):
    image = nibabel.Cifti2Image(values, header=nibabel.cifti2.Cifti2Header.from_axes(axes))
    image.to_filename(path)
    return path


def test_a_parcellated_connectome(tmp_path, nibabel):
    axis = parcels(nibabel)
    path = write(nibabel, tmp_path / "sc.pconn.nii", W, (axis, axis))
    ds = xm.io.read_connectome(path)
    np.testing.assert_array_equal(ds.weights, W)
    assert ds.region.values.tolist() == ds.region_other.values.tolist() == LABELS
    assert ds.hemisphere.values.tolist() == ["L", "R", "", ""]
    assert "centres" not in ds
    np.testing.assert_array_equal(xm.io.read_connectome(path, row="source").weights, W.T)


def test_parcels_of_voxels_have_positions(tmp_path, nibabel):
    axis = parcels(nibabel, voxels_only=True)
    ds = xm.io.read_connectome(write(nibabel, tmp_path / "sc.pconn.nii", W, (axis, axis)))
    np.testing.assert_allclose(ds.centres, [[2 * i, 2, 0] for i in range(4)])  # the mean of two voxels of 2 mm
    assert ds.centres.attrs["units"] == "mm"
    assert "hemisphere" not in ds.coords


def test_a_parcellated_series_has_its_clock(tmp_path, nibabel):
    series = nibabel.cifti2.SeriesAxis(start=1.44, step=0.72, size=6)
    path = write(nibabel, tmp_path / "bold.ptseries.nii", X, (series, parcels(nibabel)))
    ds = xm.io.read_recording(path)
    assert ds.bold.dims == ("time", "region")
    np.testing.assert_array_equal(ds.bold, X.astype(np.float64))
    np.testing.assert_allclose(ds.time, 1.44 + 0.72 * np.arange(6), rtol=1e-12)
    assert ds.time.attrs["units"] == "s"
    assert ds.region.values.tolist() == LABELS
    assert ds.hemisphere.values.tolist() == ["L", "R", "", ""]
    with pytest.raises(ValueError, match=r"it states 0.72 s between samples, and tr=2"):
        xm.io.read_recording(path, tr=2)


def test_other_kinds_of_cifti_are_named(tmp_path, nibabel):
    axis = parcels(nibabel)
    series = nibabel.cifti2.SeriesAxis(start=0, step=0.72, size=6)
    frequency = nibabel.cifti2.SeriesAxis(start=0, step=0.72, size=6, unit="HERTZ")
    both = write(nibabel, tmp_path / "sc.pconn.nii", W, (axis, axis))
    with pytest.raises(
        ValueError, match=r"sc.pconn.nii: its axes are \['ParcelsAxis', 'ParcelsAxis'\], needs \['SeriesAxis', 'ParcelsAxis'\]"
    ):
        xm.io.read_recording(both)
    path = write(nibabel, tmp_path / "bold.ptseries.nii", X, (series, axis))
    with pytest.raises(ValueError, match=r"needs \['ParcelsAxis', 'ParcelsAxis'\] .*cifti-parcellate"):
        xm.io.read_connectome(path)
    with pytest.raises(ValueError, match="its series is in HERTZ, needs SECOND"):
        xm.io.read_recording(write(nibabel, tmp_path / "f.ptseries.nii", X, (frequency, axis)))
    nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)).to_filename(tmp_path / "t1.nii")
    with pytest.raises(ValueError, match=r"t1.nii: it is a Nifti1Image, needs a CIFTI-2 file over parcels"):
        xm.io.read_connectome(tmp_path / "t1.nii")


def test_repeated_parcels_are_refused_and_can_be_renamed(tmp_path, nibabel):
    axis = parcels(nibabel, labels=["a", "b", "a", "c"])
    path = write(nibabel, tmp_path / "sc.pconn.nii", W, (axis, axis))
    with pytest.raises(ValueError, match=r"sc.pconn.nii: the labels \['a'\] are there more than once"):
        xm.io.read_connectome(path)
    assert xm.io.read_connectome(path, labels=LABELS).region.values.tolist() == LABELS


def test_cifti_that_ends_too_early_or_is_too_large(tmp_path, nibabel, refused):
    axis = parcels(nibabel)
    data = write(nibabel, tmp_path / "whole.pconn.nii", W, (axis, axis)).read_bytes()
    for share in (0, 0.01, 0.2, 0.6, 0.9, 0.99):
        path = tmp_path / "cut.pconn.nii"
        path.write_bytes(data[: int(share * len(data))])
        refused(path)
    refused(tmp_path / "whole.pconn.nii", "has 128 bytes|bytes, needs at most 100", max_bytes=100)


def test_cifti_with_entities_is_not_read(tmp_path, nibabel, refused):
    axis = parcels(nibabel)
    data = write(nibabel, tmp_path / "good.pconn.nii", W, (axis, axis)).read_bytes()
    at = data.index(b"<CIFTI")
    evil = b'<!DOCTYPE CIFTI [<!ENTITY a "aaaaaaaaaaaa">]>'
    (tmp_path / "evil.pconn.nii").write_bytes(data[:at] + evil + data[at + len(evil) :])
    refused(tmp_path / "evil.pconn.nii", "its XML declares entities")


def gifti(nibabel, arrays, meta=None, encoding="GIFTI_ENCODING_B64GZ"):
    made = [nibabel.gifti.GiftiDataArray(np.asarray(a, np.float32), intent="NIFTI_INTENT_TIME_SERIES", encoding=encoding) for a in arrays]
    for array in made:
        array.meta.update(meta or {})
    return nibabel.gifti.GiftiImage(darrays=made, meta=nibabel.gifti.GiftiMetaData({"AnatomicalStructurePrimary": "CortexLeft"}))


@pytest.mark.parametrize("encoding", ["GIFTI_ENCODING_B64GZ", "GIFTI_ENCODING_B64BIN", "GIFTI_ENCODING_ASCII"])
def test_series_on_a_surface(tmp_path, nibabel, encoding):
    gifti(nibabel, X, {"TimeStep": "720.0"}, encoding).to_filename(tmp_path / "L.func.gii")
    ds = xm.io.read_recording(tmp_path / "L.func.gii")
    np.testing.assert_allclose(ds.bold, X, atol=1e-6)  # ASCII has six decimals
    np.testing.assert_allclose(ds.time, 0.72 * np.arange(6), rtol=1e-12)
    assert ds.region.values.tolist() == ["L0", "L1", "L2", "L3"]
    assert set(ds.hemisphere.values) == {"L"}
    gifti(nibabel, X).to_filename(tmp_path / "L.func.gii")
    with pytest.raises(ValueError, match=r"L.func.gii: it does not state the time between samples. Give tr="):
        xm.io.read_recording(tmp_path / "L.func.gii")


def test_a_document_type_is_accepted_and_not_fetched(tmp_path, nibabel):
    data = gifti(nibabel, X, {"TimeStep": "720"}).to_bytes()
    assert b"<!DOCTYPE GIFTI SYSTEM" in data  # all programs write it
    (tmp_path / "L.func.gii").write_bytes(data)
    np.testing.assert_array_equal(xm.io.read_recording(tmp_path / "L.func.gii").bold, X.astype(np.float64))


def test_gifti_that_is_no_series(tmp_path, nibabel, refused):
    gifti(nibabel, [np.zeros(3), np.zeros(4)]).to_filename(tmp_path / "x.gii")
    refused(tmp_path / "x.gii", r"its arrays have the shapes \[\(3,\), \(4,\)\]", readers=("recording",))
    gifti(nibabel, []).to_filename(tmp_path / "none.gii")
    refused(tmp_path / "none.gii", "it has 0 arrays", readers=("recording",))
    gifti(nibabel, X, {"TimeStep": "-1"}).to_filename(tmp_path / "step.gii")
    refused(tmp_path / "step.gii", "its TimeStep is -1.0", readers=("recording",))


def test_gifti_that_is_made_to_harm(tmp_path, nibabel, refused):
    good = gifti(nibabel, X).to_bytes().decode()
    body = good[good.index("<GIFTI") :]
    entity = '<?xml version="1.0"?><!DOCTYPE GIFTI [<!ENTITY a "aa"><!ENTITY b SYSTEM "file:///etc/passwd">]>' + body
    outside = good.replace('Encoding="GZipBase64Binary"', 'Encoding="ExternalFileBinary"').replace(
        'ExternalFileName=""', 'ExternalFileName="/etc/passwd"'
    )
    packed = good[good.index("<Data>") + 6 : good.index("</Data>")]
    bomb = good.replace(packed, base64.b64encode(zlib.compress(bytes(50_000_000))).decode())
    large = good.replace('Dim0="4"', 'Dim0="4000000000"')
    cases = {
        "entity": (entity, "its XML declares entities"),
        "outside": (outside, "encoding 'ExternalFileBinary', needs its data in this file"),
        "bomb": (bomb, "an array has 17 bytes or more, and should have 16"),
        "large": (large, "its content has 32,000,000,000 bytes"),
        "cut": (good[:-400], "cannot be read as GIFTI"),
        "type": (good.replace("NIFTI_TYPE_FLOAT32", "NIFTI_TYPE_RGBA32"), "has the type 'NIFTI_TYPE_RGBA32'"),
        "text": ("just text", "cannot be read as GIFTI"),
    }
    for name, (content, said) in cases.items():
        assert content != good
        (tmp_path / f"{name}.func.gii").write_text(content)
        refused(tmp_path / f"{name}.func.gii", said, readers=("recording",))


def test_without_nibabel_the_error_names_the_extra(tmp_path, monkeypatch):
    real = importlib.import_module

    def without(name, *more):
        if name == "nibabel":
            raise ImportError("No module named 'nibabel'")
        return real(name, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    for name, reader in (
        ("a.pconn.nii", xm.io.read_connectome),
        ("a.func.gii", xm.io.read_recording),
        ("a.ptseries.nii", xm.io.read_recording),
    ):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ImportError, match=r"pip install 'xmass\[neuro\]'"):
            reader(tmp_path / name)
