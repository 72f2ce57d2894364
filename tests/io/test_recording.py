"""read_recording: every format gives the Dataset that it was written from. Hostile and damaged files are in test_hostile.py."""

from __future__ import annotations

import json

import brainunit as u
import numpy as np
import pytest
import scipy.io
import xarray as xr

import xmass as xm

LABELS = ["A", "B", "C"]
X = np.random.default_rng(0).normal(size=(7, 3))
TR = 0.72


def check(ds, *, labels=LABELS, values=X, tr=TR, start=0.0, name="bold"):
    """The schema, and the numbers."""
    signal = ds[name]
    assert signal.dims == ("time", "region")
    assert signal.dtype == np.float64
    np.testing.assert_array_equal(signal.values, values)
    np.testing.assert_array_equal(signal.time.values, start + tr * np.arange(len(values)))
    assert {k: signal.time.attrs[k] for k in ("units", "axis")} == {"units": "s", "axis": "T"}
    if labels is None:
        assert "region" not in ds.indexes
    else:
        assert ds.region.values.tolist() == labels


def write(path, values=X):
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, tc=values, tr=TR)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"tc": values, "tr": TR}, do_compression=True)
    else:
        np.savetxt(path, values, delimiter={".csv": ",", ".tsv": "\t", ".txt": " "}[path.suffix], fmt="%.17e")
    return path


@pytest.mark.parametrize("ending", ["npy", "npz", "mat", "csv", "tsv", "txt"])
def test_matrices_say_which_axis_is_time(tmp_path, ending):
    path = write(tmp_path / f"tc.{ending}")
    check(xm.io.read_recording(path, rows="time", tr=TR), labels=None)
    check(xm.io.read_recording(path, rows="time", tr=TR, labels=LABELS))
    turned = write(tmp_path / f"turned.{ending}", X.T)
    check(xm.io.read_recording(turned, rows="region", tr=TR, labels=LABELS))
    with pytest.raises(
        ValueError, match=rf"tc.{ending}: it has 7 rows and 3 columns, and does not say which of them is time. Give rows='time'"
    ):
        xm.io.read_recording(path, tr=TR)
    with pytest.raises(ValueError, match=rf"tc.{ending}: it does not state the time between samples. Give tr= in seconds"):
        xm.io.read_recording(path, rows="time")
    with pytest.raises(ValueError, match=r"7 labels, 7 times and 3 regions with rows='time'. Are the rows the other\? Then rows='region'"):
        xm.io.read_recording(path, rows="time", tr=TR, labels=list("ABCDEFG"))


@pytest.mark.parametrize("form", ["header", "count", "count from 1", "rows", "clock"])
def test_labels_in_text_say_which_axis_is_time(tmp_path, form):
    lines = [",".join(map(repr, row)) for row in X.tolist()]
    if form == "header":
        lines = ["A,B,C", *lines]
    elif form.startswith("count"):
        first = form.endswith("1")
        lines = [",A,B,C", *(f"{i + first},{line}" for i, line in enumerate(lines))]  # as pandas writes it
    elif form == "clock":
        lines = ["A,time,B,C", *(f"{a},{9 + 0.5 * i},{b}" for i, (a, b) in enumerate(line.split(",", 1) for line in lines))]
    else:
        lines = [f"{label},{','.join(map(repr, column))}" for label, column in zip(LABELS, X.T.tolist(), strict=True)]
    (tmp_path / "tc.csv").write_text("\n".join(lines))
    ds = xm.io.read_recording(tmp_path / "tc.csv", tr=0.5)
    check(ds, tr=0.5, start=9.0 if form == "clock" else 0.0)
    other = "region" if form != "rows" else "time"
    with pytest.raises(ValueError, match=rf"its rows are .*s by its labels, and rows={other!r}. Leave rows= out"):
        xm.io.read_recording(tmp_path / "tc.csv", tr=0.5, rows=other)
    if form == "clock":
        check(xm.io.read_recording(tmp_path / "tc.csv"), tr=0.5, start=9.0)
        with pytest.raises(ValueError, match=r"it states 0.5 s between samples, and tr=0.72"):
            xm.io.read_recording(tmp_path / "tc.csv", tr=TR)


@pytest.mark.parametrize("times", [[0, 1, 3], [0, 0, 0], [2, 1, 0], ["n/a", 1, 2]])
def test_a_clock_that_is_not_even_is_an_error(tmp_path, times):
    (tmp_path / "tc.csv").write_text("time,A\n" + "".join(f"{t},1\n" for t in times))
    with pytest.raises(ValueError, match=r"tc.csv: its column 'time' is not an even, increasing clock in s"):
        xm.io.read_recording(tmp_path / "tc.csv")


def test_text_with_labels_on_both_axes_is_no_recording(tmp_path):
    (tmp_path / "tc.csv").write_text(",A,B\nt1,1,2\nt2,3,4\n")
    with pytest.raises(ValueError, match=r"tc.csv: it has labels on its rows \(\['t1', 't2'\]\) and its columns"):
        xm.io.read_recording(tmp_path / "tc.csv", tr=1)


def bids(folder, sidecars, *, name="sub-01_task-rest_seg-Two_timeseries.tsv", header="1\t2\t3"):
    (folder / "sub-01" / "func").mkdir(parents=True)
    (folder / "dataset_description.json").write_text("{}")
    path = folder / "sub-01" / "func" / name
    path.write_text(f"{header}\n" + "\n".join("\t".join(map(repr, row)) for row in X.tolist()))
    for place, content in sidecars.items():
        (folder / place).write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_bids_series_have_their_period_in_a_json_file_and_a_header_of_any_labels(tmp_path):
    near = "sub-01/func/sub-01_task-rest_seg-Two_timeseries.json"
    ds = xm.io.read_recording(bids(tmp_path, {near: {"RepetitionTime": TR, "Sources": ["a"], "Software": "x"}}))
    check(ds, labels=["1", "2", "3"])
    assert ds.attrs["bids_Software"] == "x"
    assert ds.attrs["tr"] == TR


def test_bids_metadata_are_inherited_and_the_nearest_wins(tmp_path):
    above = {"task-rest_timeseries.json": {"RepetitionTime": 9, "Level": "root"}, "task-other_timeseries.json": {"Level": "other"}}
    near = {"sub-01/func/sub-01_task-rest_seg-Two_timeseries.json": {"SamplingFrequency": 4, "RepetitionTime": 0.25}}
    ds = xm.io.read_recording(bids(tmp_path, above | near))
    check(ds, labels=["1", "2", "3"], tr=0.25)
    assert ds.attrs["bids_Level"] == "root"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"RepetitionTime": "2"}, "RepetitionTime='2', needs a positive number"),
        ({"RepetitionTime": True}, "RepetitionTime=True, needs"),
        ({"RepetitionTime": 0}, "RepetitionTime=0, needs"),
        ('{"RepetitionTime": NaN}', "RepetitionTime=nan, needs"),
        ({"RepetitionTime": 2, "SamplingFrequency": 2}, "contradict each other"),
        ([1, 2], "timeseries.json: it holds a JSON list, needs an object"),
        ('{"RepetitionTime": ', "timeseries.json: it cannot be read as JSON"),
        ("[" * 100_000, "timeseries.json: it cannot be read as JSON"),
        ("", "timeseries.json: it is empty"),
        ({}, "timeseries.tsv: it does not state the time between samples"),
    ],
)
def test_bids_metadata_that_are_wrong_are_errors(tmp_path, content, said):
    path = bids(tmp_path, {"sub-01/func/sub-01_task-rest_seg-Two_timeseries.json": content})
    with pytest.raises(ValueError, match=said):
        xm.io.read_recording(path)


def test_a_period_may_have_a_unit_and_must_be_positive():
    check(xm.io.read_recording(X, rows="time", tr=500 * u.ms, labels=LABELS), tr=0.5)
    for tr in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"tr"):
            xm.io.read_recording(X, rows="time", tr=tr)
    with pytest.raises(ValueError, match="tr"):
        xm.io.read_recording(X, rows="time", tr=1 * u.mV)


def test_masker_output_is_an_array_with_labels():
    ds = xm.io.read_recording(X.astype(np.float32), rows="time", tr=2, labels=np.array(LABELS), name="signal", units="mV")
    check(ds, values=X.astype(np.float32).astype(np.float64), tr=2, name="signal")
    assert ds.signal.attrs["units"] == "mV"
    with pytest.raises(ValueError, match=r"the array: it has shape \(2, 7, 3\), needs two axes"):
        xm.io.read_recording(np.stack([X, X]), rows="time", tr=2)
    with pytest.raises(ValueError, match="the array: it holds object, needs real numbers"):
        xm.io.read_recording(X.astype(object), rows="time", tr=2)
    with pytest.raises(TypeError, match="source is a DataFrame, needs a path"):
        xm.io.read_recording(xr.DataArray(X).to_pandas(), rows="time", tr=2)


def test_missing_values_are_named_or_kept():
    values = X.copy()
    values[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"the array: the values are NaN or infinite at 1 places, in the regions \['B'\].*missing='keep'"):
        xm.io.read_recording(values, rows="time", tr=1, labels=LABELS)
    kept = xm.io.read_recording(values, rows="time", tr=1, labels=LABELS, missing="keep")
    assert kept.bold.dropna("region").region.values.tolist() == ["A", "C"]
    values[2, 1] = np.inf
    with pytest.raises(ValueError, match=r"infinite at 1 places"):
        xm.io.read_recording(values, rows="time", tr=1, labels=LABELS, missing="keep")


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_labelled_files(tmp_path, ending):
    time = ("t", 5 + 2.0 * np.arange(7), {"units": "s", "axis": "T"})
    ds = xr.Dataset({"signal": (("region", "t"), X.T, {"units": "mV"})}, coords={"t": time, "region": LABELS})
    path = tmp_path / f"rec.{ending}"
    if ending == "nc":
        ds.to_netcdf(path, engine="h5netcdf")
    else:
        xm.io.save(ds, path)
    got = xm.io.read_recording(path, variable="signal")
    check(got, tr=2, start=5.0)
    assert got.bold.attrs["units"] == "mV"
    check(xm.io.read_recording(path, variable="signal", tr=2), tr=2, start=5.0)
    with pytest.raises(ValueError, match=r"it states 2 s between samples, and tr=0.5"):
        xm.io.read_recording(path, variable="signal", tr=0.5)
    with pytest.raises(ValueError, match=r"it has the variables \['signal'\], and no 'bold'. Give variable="):
        xm.io.read_recording(path)
    with pytest.raises(ValueError, match="its dims are labelled"):
        xm.io.read_recording(path, variable="signal", rows="time")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ds: ds.assign_coords(time=("time", np.arange(7.0))), "its times have no unit"),
        (lambda ds: ds.isel(time=[0, 2, 1, 3, 4, 5, 6]), "not finite, increasing"),
        (lambda ds: ds.rename(time="t").drop_vars("t"), "none of which is time"),
        (lambda ds: ds.rename(region="node"), "needs time and one of 'region', 'sensor'"),
        (lambda ds: ds.assign_coords(region=["A", "A", "B"]), r"the labels \['A'\] are there more than once"),
        (lambda ds: ds.drop_vars("time"), "does not state the time between samples"),
        (lambda ds: ds.astype(str), "holds <U"),
    ],
)
def test_labelled_files_that_are_no_recording(tmp_path, change, said):
    ds = xm.io.read_recording(X, rows="time", tr=TR, labels=LABELS)
    change(ds).to_netcdf(tmp_path / "rec.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=f"rec.nc: .*{said}"):
        xm.io.read_recording(tmp_path / "rec.nc")


def test_connectome_and_recording_join_by_their_labels():
    both = xm.io.read_connectome(np.ones((3, 3)), labels=LABELS).merge(
        xm.io.read_recording(X, rows="time", tr=TR, labels=LABELS), combine_attrs="drop_conflicts"
    )
    assert set(both.data_vars) == {"weights", "bold"}
    assert xm.functional_connectivity(both.bold).dims == ("region", "region_other")


class Raw:
    """The public face of an MNE recording, without MNE."""

    def __init__(self, kinds, values, *, events=None):
        self.ch_names = [f"{kind.upper()}{i}" for i, kind in enumerate(kinds)]
        self.kinds, self.values = kinds, values
        self.times = np.arange(values.shape[-1]) / 100 - 0.02
        places = np.arange(3 * len(kinds), dtype=float).reshape(-1, 3) / 1000 + 0.001
        channels = [{"ch_name": n, "loc": np.r_[p, np.zeros(9)]} for n, p in zip(self.ch_names, places, strict=True)]
        self.info = {"bads": self.ch_names[1:2], "sfreq": 100.0, "chs": channels}
        self.events = events

    def _choose(self, picks):
        if picks is None:
            return list(range(len(self.kinds)))
        found = [i for i, (n, k) in enumerate(zip(self.ch_names, self.kinds, strict=True)) if picks == k or n == picks or n in list(picks)]
        if not found:
            raise ValueError(f"picks {picks} yielded no channels")
        return found

    def get_data(self, picks=None):
        return self.values[..., self._choose(picks), :]

    def get_channel_types(self, picks=None):
        return [self.kinds[i] for i in self._choose(picks)]


def test_mne_recordings_keep_their_sensors_units_and_positions():
    values = np.arange(4 * 6, dtype=float).reshape(4, 6)
    raw = Raw(["eeg", "eeg", "grad", "eeg"], values)
    ds = xm.io.read_recording(raw, picks="eeg")
    assert ds.eeg.dims == ("time", "sensor")
    np.testing.assert_array_equal(ds.eeg, values[[0, 1, 3]].T)
    assert ds.eeg.attrs["units"] == "V"
    assert ds.sensor.values.tolist() == ["EEG0", "EEG1", "EEG3"]
    assert ds.bad.values.tolist() == [False, True, False]
    np.testing.assert_allclose(ds.location.sel(sensor="EEG3"), [10, 11, 12], rtol=1e-12)  # mm
    np.testing.assert_array_equal(ds.time, raw.times)
    assert ds.time.attrs["axis"] == "T"
    assert ds.attrs["sampling_frequency"] == 100
    grad = xm.io.read_recording(raw, picks=["GRAD2"])
    assert grad.meg.attrs["units"] == "T/m"
    with pytest.raises(ValueError, match=r"Raw: it has channels of the types \['eeg', 'grad'\], needs one. Give picks="):
        xm.io.read_recording(raw)
    with pytest.raises(ValueError, match=r"Raw: picks='seeg' choose no channels"):
        xm.io.read_recording(raw, picks="seeg")
    with pytest.raises(ValueError, match="have no meaning for an MNE object"):
        xm.io.read_recording(raw, picks="eeg", tr=0.01)
    with pytest.raises(ValueError, match="is for MNE objects"):
        xm.io.read_recording(X, rows="time", tr=1, picks="eeg")


def test_mne_epochs_have_a_dim_of_their_own():
    values = np.random.default_rng(0).normal(size=(5, 2, 6))
    ds = xm.io.read_recording(Raw(["mag", "mag"], values, events=np.array([[0, 0, e] for e in (1, 2, 1, 2, 1)])))
    assert ds.meg.dims == ("epoch", "time", "sensor")
    np.testing.assert_array_equal(ds.meg, values.swapaxes(1, 2))
    assert ds.event.values.tolist() == [1, 2, 1, 2, 1]
    assert float(ds.time[0]) == -0.02


def test_mne_positions_that_are_unknown_and_values_that_are_no_numbers():
    raw = Raw(["eeg", "eeg"], np.zeros((2, 6)))
    raw.info["chs"][0]["loc"][:] = np.nan
    assert "location" not in xm.io.read_recording(raw)
    raw.values[1, 3] = np.nan
    with pytest.raises(ValueError, match=r"Raw: the channels \['EEG1'\] have NaN"):
        xm.io.read_recording(raw)
    with pytest.raises(ValueError, match="its channels are of type 'stim'"):
        xm.io.read_recording(Raw(["stim"], np.zeros((1, 6))))


def test_objects_of_mne_itself():
    mne = pytest.importorskip("mne", reason="MNE is in the extra 'neuro'")
    values = np.random.default_rng(0).normal(size=(4, 300)) * 1e-6
    info = mne.create_info(["Fz", "Cz", "Pz", "STI"], 100.0, ["eeg", "eeg", "eeg", "stim"])
    raw = mne.io.RawArray(values, info, verbose="error")
    raw.set_montage("standard_1020", on_missing="ignore", verbose="error")
    raw.info["bads"] = ["Cz"]
    ds = xm.io.read_recording(raw, picks="eeg")
    np.testing.assert_array_equal(ds.eeg, values[:3].T)
    assert ds.sensor.values.tolist() == ["Fz", "Cz", "Pz"]
    assert ds.bad.values.tolist() == [False, True, False]
    assert (np.linalg.norm(ds.location, axis=1) > 50).all()  # mm: on a head
    epochs = mne.make_fixed_length_epochs(raw, duration=1.0, preload=True, verbose="error")
    got = xm.io.read_recording(epochs, picks=["Pz", "Fz"])
    np.testing.assert_array_equal(got.eeg, values[[2, 0]].reshape(2, 3, 100).transpose(1, 2, 0))
    assert got.sensor.values.tolist() == ["Pz", "Fz"]
