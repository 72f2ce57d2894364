"""Maps over regions: every format gives the same numbers in the order of the parcellation, and every disagreement of labels is said."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import scipy.io
import xarray as xr

import xmass as xm
from tests.io.test_imaging import gifti, nibabel, parcels, write  # noqa: F401  (a fixture and what writes files)

REGIONS = ["V1", "M1", "PFC", "Hip"]
VALUES = np.array([1.31, 1.52, 1.07, 0.93])
FILED = ["PFC", "V1", "Hip", "M1"]  # the order of the files
FILED_VALUES = VALUES[[2, 0, 3, 1]]
SC = xr.Dataset({"weights": (("region", "region_other"), 1.0 - np.eye(4))}, coords={"region": REGIONS, "region_other": REGIONS})


def text(path, separator=",", header="region,myelin"):
    rows = [header.replace(",", separator)] if header else []
    path.write_text("\n".join(rows + [f"{n}{separator}{v}" for n, v in zip(FILED, FILED_VALUES, strict=True)]) + "\n")
    return path


def assert_is_the_map(found, name="myelin"):
    assert found.dims == ("region",) and found.region.values.tolist() == REGIONS and found.name == name
    np.testing.assert_array_equal(found, VALUES)
    assert found.attrs["units"] == "1" and found.attrs["long_name"]


# ---- formats
@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("tsv", "\t"), ("txt", " ")])
def test_text(tmp_path, ending, separator):
    found = xm.io.read_map(text(tmp_path / f"m.{ending}", separator), SC)
    assert_is_the_map(found)
    assert found.attrs["source_file"] == f"m.{ending}"
    assert_is_the_map(xm.io.read_map(text(tmp_path / f"bare.{ending}", separator, ""), SC), None)


def test_one_row_for_each_map_is_turned(tmp_path):
    (tmp_path / "wide.csv").write_text(",".join(FILED) + "\n" + ",".join(map(str, FILED_VALUES)) + "\n")
    assert_is_the_map(xm.io.read_map(tmp_path / "wide.csv", SC), None)
    (tmp_path / "two.csv").write_text(
        "," + ",".join(FILED) + "\nmyelin," + ",".join(map(str, FILED_VALUES)) + "\ntwice," + ",".join(map(str, 2 * FILED_VALUES)) + "\n"
    )
    two = xm.io.read_map(tmp_path / "two.csv", SC)
    np.testing.assert_array_equal(two.sel(map="twice", region="Hip"), 2 * 0.93)
    assert_is_the_map(xm.io.read_map(tmp_path / "two.csv", SC, variable="myelin"))


def test_several_maps_have_a_dim_of_their_own(tmp_path):
    rows = [f"{n},{v},{10 * v}" for n, v in zip(FILED, FILED_VALUES, strict=True)]
    (tmp_path / "receptors.csv").write_text("\n".join(["region,5HT1a,D2", *rows]))
    found = xm.io.read_map(tmp_path / "receptors.csv", SC)
    assert found.dims == ("map", "region") and found.map.values.tolist() == ["5HT1a", "D2"]
    np.testing.assert_allclose(found.sel(map="D2"), 10 * VALUES)
    assert_is_the_map(xm.io.read_map(tmp_path / "receptors.csv", SC, variable="5HT1a"), "5HT1a")
    both = xm.heterogeneity(found, (0.0, 1.0), connectome=SC)
    np.testing.assert_allclose(both.sel(map="D2"), (VALUES - 0.93) / (1.52 - 0.93))


def test_numpy_and_matlab(tmp_path):
    np.savez(tmp_path / "named.npz", myelin=FILED_VALUES, region=np.array(FILED))
    assert_is_the_map(xm.io.read_map(tmp_path / "named.npz", SC))
    np.savez(tmp_path / "bare.npz", myelin=FILED_VALUES, thickness=2 * FILED_VALUES)
    assert_is_the_map(xm.io.read_map(tmp_path / "bare.npz", SC, labels=FILED, variable="myelin"))
    assert xm.io.read_map(tmp_path / "bare.npz", SC, labels=FILED).sizes["map"] == 2
    np.save(tmp_path / "m.npy", VALUES)
    assert_is_the_map(xm.io.read_map(tmp_path / "m.npy", SC, labels=SC.region.values), None)
    np.save(tmp_path / "rows.npy", np.stack([VALUES, -VALUES], axis=1))
    np.testing.assert_array_equal(xm.io.read_map(tmp_path / "rows.npy", SC, labels=REGIONS).isel(map=1), -VALUES)
    scipy.io.savemat(tmp_path / "m.mat", {"myelin": FILED_VALUES})
    assert_is_the_map(xm.io.read_map(tmp_path / "m.mat", SC, labels=FILED))
    (tmp_path / "order.txt").write_text("\n".join(FILED))
    assert_is_the_map(xm.io.read_map(tmp_path / "m.mat", SC, labels=tmp_path / "order.txt"))


def test_labelled_sources(tmp_path):
    ds = xr.Dataset({"myelin": ("region", FILED_VALUES, {"units": "1", "long_name": "T1w/T2w"})}, coords={"region": FILED})
    assert_is_the_map(xm.io.read_map(ds, SC))
    assert_is_the_map(xm.io.read_map(ds.myelin, REGIONS))
    ds.to_netcdf(tmp_path / "m.nc", engine="h5netcdf")
    xm.io.save(ds, tmp_path / "m.zarr")
    for name in ("m.nc", "m.zarr"):
        found = xm.io.read_map(tmp_path / name, SC)
        assert_is_the_map(found)
        assert found.attrs["long_name"] == "T1w/T2w" and found.attrs["source_file"] == name
    subjects = ds.myelin.expand_dims(subject=["A", "B"]) * xr.DataArray([1.0, 2.0], dims="subject")
    assert xm.io.read_map(subjects, SC).dims == ("subject", "region")
    numbered = xr.DataArray(VALUES, dims="region", coords={"region": [3, 1, 0, 2]}, name="n")
    np.testing.assert_array_equal(xm.io.read_map(numbered, [0, 1, 2, 3]), VALUES[[2, 1, 3, 0]])


def test_cifti_over_parcels(tmp_path, nibabel):  # noqa: F811
    axis = parcels(nibabel, labels=FILED)
    scalar = nibabel.cifti2.ScalarAxis(["myelin"])
    path = write(nibabel, tmp_path / "m.pscalar.nii", FILED_VALUES[None], (scalar, axis))
    np.testing.assert_allclose(xm.io.read_map(path, SC), VALUES, rtol=1e-15)
    two = nibabel.cifti2.ScalarAxis(["myelin", "curvature"])
    path = write(nibabel, tmp_path / "two.pscalar.nii", np.stack([FILED_VALUES, -FILED_VALUES]), (two, axis))
    assert_is_the_map(xm.io.read_map(path, SC, variable="myelin"))
    assert xm.io.read_map(path, SC).map.values.tolist() == ["myelin", "curvature"]


def label_file(nibabel, path, keys, table):  # noqa: F811
    array = nibabel.gifti.GiftiDataArray(np.asarray(keys, np.int32), intent="NIFTI_INTENT_LABEL", datatype="NIFTI_TYPE_INT32")
    labels = nibabel.gifti.GiftiLabelTable()
    for key, name in table.items():
        label = nibabel.gifti.GiftiLabel(key, 0, 0, 0, 1)
        label.label = name
        labels.labels.append(label)
    nibabel.gifti.GiftiImage(darrays=[array], labeltable=labels).to_filename(path)
    return path


def shape_file(nibabel, path, values):  # noqa: F811
    array = nibabel.gifti.GiftiDataArray(np.asarray(values, np.float32), intent="NIFTI_INTENT_SHAPE")
    nibabel.gifti.GiftiImage(darrays=[array]).to_filename(path)
    return path


def test_gifti_is_averaged_over_the_labels_of_its_surface(tmp_path, nibabel):  # noqa: F811
    left = shape_file(nibabel, tmp_path / "L.shape.gii", [1.0, 3.0, 5.0, 100.0, 0.5])
    right = shape_file(nibabel, tmp_path / "R.shape.gii", [7.0, 9.0, 11.0])
    keys_left = label_file(nibabel, tmp_path / "L.label.gii", [1, 1, 2, 0, 2], {0: "???", 1: "V1", 2: "M1"})
    keys_right = label_file(nibabel, tmp_path / "R.label.gii", [1, 2, 2], {0: "???", 1: "PFC", 2: "Hip"})
    found = xm.io.read_map([left, right], SC, parcels=[keys_left, keys_right])
    np.testing.assert_allclose(found, [2.0, 2.75, 7.0, 10.0])
    assert found.attrs["parcels_file"] == "L.label.gii" and found.attrs["source_file"] == "L.shape.gii and R.shape.gii"
    holes = shape_file(nibabel, tmp_path / "hole.shape.gii", [1.0, np.nan, 5.0, np.nan, 0.5])
    with pytest.raises(ValueError, match=r"hole.shape.gii: vertices of 1 regions have no number, those of \['V1'\]"):
        xm.io.read_map(holes, ["V1", "M1"], parcels=keys_left)
    np.testing.assert_allclose(xm.io.read_map(holes, ["V1", "M1"], parcels=keys_left, missing="keep"), [1.0, 2.75])
    for arguments, said in (
        (dict(source=left), "needs a label file. Give parcels="),
        (dict(source=left, parcels=keys_right), "it has 5 vertices and R.label.gii 3"),
        (dict(source=[left, right], parcels=[keys_left]), "parcels has 1 files and source 2"),
        (dict(source=left, parcels=left), r"no table of labels|not whole numbers"),
        (dict(source=text(tmp_path / "m.csv"), parcels=keys_left), "needs no label file"),
    ):
        with pytest.raises(ValueError, match=said):
            xm.io.read_map(parcellation=SC, **arguments)


def test_dense_cifti_is_averaged_by_structure_and_vertex(tmp_path, nibabel):  # noqa: F811
    cortex = nibabel.cifti2.BrainModelAxis.from_mask(np.array([True, True, False, True, True]), name="cortex_left")
    whole = nibabel.cifti2.BrainModelAxis.from_mask(np.ones(5, bool), name="cortex_left")
    scalar, labels = nibabel.cifti2.ScalarAxis(["myelin"]), {0: ("???", (0, 0, 0, 0)), 4: ("V1", (1, 0, 0, 1)), 7: ("M1", (0, 1, 0, 1))}
    source = write(nibabel, tmp_path / "m.dscalar.nii", np.array([[1.0, 3.0, 5.0, 7.0]]), (scalar, cortex))
    table = nibabel.cifti2.LabelAxis(["parcels"], [labels])
    keys = write(nibabel, tmp_path / "p.dlabel.nii", np.array([[4.0, 4.0, 0.0, 7.0, 7.0]]), (table, whole))
    np.testing.assert_allclose(xm.io.read_map(source, ["M1", "V1"], parcels=keys), [6.0, 2.0])
    keys = write(nibabel, tmp_path / "over.dlabel.nii", np.array([[4.0, 4.0, 4.0, 7.0, 7.0]]), (table, whole))
    with pytest.raises(ValueError, match=r"vertices of 1 regions have no number, those of \['V1'\]"):
        xm.io.read_map(source, ["M1", "V1"], parcels=keys)
    keys = write(nibabel, tmp_path / "unnamed.dlabel.nii", np.array([[4.0, 4.0, 9.0, 7.0, 7.0]]), (table, whole))
    with pytest.raises(ValueError, match=r"it uses the labels \[9\], which its table does not name"):
        xm.io.read_map(source, ["M1", "V1"], parcels=keys)
    with pytest.raises(ValueError, match=r"its axes are .*BrainModelAxis.*needs .*LabelAxis"):
        xm.io.read_map(source, ["M1", "V1"], parcels=source)


# ---- labels
@pytest.mark.parametrize(
    ("labels", "options", "said"),
    [
        (["PFC", "V1", "Hip"], {}, r"lacks 1 of 4 regions: \['M1'\]"),
        (["PFC", "V1", "Hip", "m1"], {}, r"lacks 1 of 4 regions: \['M1'\].*did you mean 'm1'"),
        (["PFC", "V1", "Hip", "M1", "Thal"], {}, r"has 1 regions that the parcellation lacks: \['Thal'\]"),
        (["PFC", "V1", "V1", "M1"], {}, r"the labels \['V1'\] are there more than once"),
        (["a", "b", "c", "d"], {"missing": "keep", "extra": "drop"}, "lacks 4 of 4"),
        (["PFC", "", "Hip", "M1"], {}, "empty"),
    ],
)
def test_labels_that_disagree_are_named(tmp_path, labels, options, said):
    (tmp_path / "m.csv").write_text("\n".join(["region,myelin", *(f"{n},{i}.5" for i, n in enumerate(labels))]))
    with pytest.raises(ValueError, match=f"m.csv: .*{said}"):
        xm.io.read_map(tmp_path / "m.csv", SC, **options)


def test_other_labels_on_request(tmp_path):
    (tmp_path / "m.csv").write_text("region,myelin\nPFC,3\nThal,9\nV1,1\nHip,4\n")
    found = xm.io.read_map(tmp_path / "m.csv", SC, missing="keep", extra="drop")
    np.testing.assert_array_equal(found, [1.0, np.nan, 3.0, 4.0])
    assert found.attrs["dropped"] == 1
    with pytest.raises(ValueError, match="NaN or infinite"):
        xm.heterogeneity(found, (0, 1), connectome=SC)


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("1.0\n2.0\n3.0\n4.0\n", {}, "does not say which region is which, needs labels="),
        ("1.0\n2.0\n3.0\n", {"labels": REGIONS}, "there are 4 labels and 3 regions"),
        ("region,myelin\nPFC,3\nM1,n/a\nV1,1\nHip,4\n", {}, r"the values of 1 regions are NaN or infinite: \['M1'\]"),
        ("region,myelin\nPFC,3\nM1,inf\nV1,1\nHip,4\n", {"missing": "keep"}, r"\['M1'\]"),
        ("region,a,b\nPFC,3,1\nM1,1,1\nV1,1,1\nHip,4,1\n", {"variable": "c"}, r"it has the maps \['a', 'b'\], and no 'c'"),
        ("region,a,a\nPFC,3,1\nM1,1,1\nV1,1,1\nHip,4,1\n", {}, r"the labels \['a'\] are there more than once"),
        ("region,myelin\nPFC,3\nM1,high\n", {}, "'high' is no number"),
        (",myelin\n0,3\n1,2\n2,1\n3,4\n", {}, "does not say which region is which"),
        ("", {}, "it is empty"),
    ],
)
def test_text_that_is_no_map(tmp_path, content, options, said):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(ValueError, match=f"m.csv: .*{said}"):
        xm.io.read_map(tmp_path / "m.csv", SC, **options)


def test_arguments_that_make_no_sense(tmp_path):
    path = text(tmp_path / "m.csv")
    (tmp_path / "m.xyz").write_text("x")
    np.savez(tmp_path / "two.npz", a=np.zeros(4), b=np.zeros(5))
    for arguments, error, said in (
        (dict(source=path, parcellation=SC.weights.drop_vars("region")), ValueError, "no labels along 'region'"),
        (dict(source=path, parcellation=3), TypeError, "parcellation is a int"),
        (dict(source=path, parcellation=["V1", "V1"]), ValueError, "more than once"),
        (dict(source=3, parcellation=SC), TypeError, "source is a int"),
        (dict(source=path, parcellation=SC, missing="zero"), ValueError, "missing='zero'"),
        (dict(source=tmp_path / "m.xyz", parcellation=SC), ValueError, "its ending is '.xyz'"),
        (dict(source=tmp_path / "two.npz", parcellation=SC, labels=REGIONS), ValueError, "different lengths"),
        (dict(source=tmp_path / "none.csv", parcellation=SC), FileNotFoundError, "there is no file"),
        (dict(source=SC, parcellation=SC), ValueError, "it has the variables"),
        (
            dict(source=SC.weights.isel(region_other=0).rename("w"), parcellation=SC, labels=REGIONS),
            ValueError,
            "labels= and parcels= are for files",
        ),
        (dict(source=xr.DataArray(VALUES, dims="region"), parcellation=SC), ValueError, "one value per 'region' with labels"),
        (dict(source=SC.weights, parcellation=SC), ValueError, "one value per"),
        (dict(source=xr.DataArray(REGIONS, dims="region", coords={"region": REGIONS}), parcellation=SC), ValueError, "needs real numbers"),
    ):
        with pytest.raises(error, match=said):
            xm.io.read_map(**arguments)


# ---- files that are made to harm
class Payload:
    def __reduce__(self):
        return (open, ("the_pickle_ran", "w"))


def test_hostile_files_are_refused_and_nothing_is_run(tmp_path, refused, nibabel):  # noqa: F811
    np.savez(tmp_path / "pickled.npz", myelin=np.array([Payload()], dtype=object))
    np.save(tmp_path / "pickled.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Payload()))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "pickled.npz").read_bytes()[:60])
    (tmp_path / "binary.csv").write_bytes(b"\x00\x01\x02" * 50)
    (tmp_path / "text.nc").write_text("no netCDF")
    (tmp_path / "json.zarr").mkdir()
    (tmp_path / "json.zarr" / "zarr.json").write_text(json.dumps({"node_type": "group"}))
    axis, scalar = parcels(nibabel, labels=FILED), nibabel.cifti2.ScalarAxis(["myelin"])
    whole = write(nibabel, tmp_path / "whole.pscalar.nii", FILED_VALUES[None], (scalar, axis)).read_bytes()
    (tmp_path / "cut.pscalar.nii").write_bytes(whole[:-16])
    (tmp_path / "half.pscalar.nii").write_bytes(whole[: len(whole) // 2])
    write(nibabel, tmp_path / "other.pscalar.nii", np.eye(4), (axis, axis))
    for name in (
        "pickled.npz",
        "pickled.npy",
        "pickle.npz",
        "cut.npz",
        "binary.csv",
        "text.nc",
        "json.zarr",
        "cut.pscalar.nii",
        "half.pscalar.nii",
        "other.pscalar.nii",
    ):
        refused(tmp_path / name, readers=("map",))
    refused(text(tmp_path / "large.csv"), "needs at most 10", readers=("map",), max_bytes=10)


def test_label_files_that_are_made_to_harm(tmp_path, nibabel):  # noqa: F811
    values = shape_file(nibabel, tmp_path / "L.shape.gii", [1.0, 3.0, 5.0])
    good = label_file(nibabel, tmp_path / "L.label.gii", [1, 1, 2], {1: "V1", 2: "M1"}).read_text()
    body = good[good.index("<GIFTI") :]
    for name, content, said in (
        ("entity", '<?xml version="1.0"?><!DOCTYPE GIFTI [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + body, "declares entities"),
        ("outside", good.replace('Encoding="GZipBase64Binary"', 'Encoding="ExternalFileBinary"'), "ExternalFileBinary"),
        ("cut", good[:-300], "cannot be read as GIFTI"),
    ):
        (tmp_path / f"{name}.label.gii").write_text(content)
        with pytest.raises(ValueError, match=f"{name}.label.gii: .*{said}"):
            xm.io.read_map(values, ["V1", "M1"], parcels=tmp_path / f"{name}.label.gii")


@pytest.mark.long
def test_damaged_files_give_a_value_error_or_other_numbers_but_nothing_else(tmp_path, nibabel):  # noqa: F811
    np.savez(tmp_path / "a.npz", myelin=FILED_VALUES, region=np.array(FILED))
    text(tmp_path / "a.csv")
    write(nibabel, tmp_path / "a.pscalar.nii", FILED_VALUES[None], (nibabel.cifti2.ScalarAxis(["m"]), parcels(nibabel, labels=FILED)))
    shape_file(nibabel, tmp_path / "a.shape.gii", [1.0, 3.0, 5.0, 7.0])
    label_file(nibabel, tmp_path / "a.label.gii", [1, 2, 3, 4], dict(enumerate(["???", *REGIONS])))
    rng = np.random.default_rng(0)
    for name in ("a.npz", "a.csv", "a.pscalar.nii", "a.shape.gii", "a.label.gii"):
        data, bad, refusals = (tmp_path / name).read_bytes(), tmp_path / f"bad_{name}", 0
        for k in range(150):
            damaged = bytearray(data[: rng.integers(0, len(data))] if k % 3 == 0 else data)
            for _ in range(0 if k % 3 == 0 else rng.integers(1, 6)):
                damaged[rng.integers(0, len(damaged))] = rng.integers(0, 256)
            bad.write_bytes(bytes(damaged))
            source, labels = (
                (tmp_path / "a.shape.gii", bad) if "label" in name else (bad, tmp_path / "a.label.gii" if "shape" in name else None)
            )
            try:
                found = xm.io.read_map(source, SC, parcels=labels)
            except ValueError:
                refusals += 1
            else:
                assert found.region.values.tolist() == REGIONS and np.isfinite(found).all()
        assert refusals > 75
