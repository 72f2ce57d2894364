"""Forward solutions: a plain mapping without MNE; with MNE, its sphere beside ours."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

CHANNELS = [("M1", 1, 112), ("G1", 1, 201), ("Fz", 2, 107), ("Cz", 2, 107), ("A1", 802, 107)]
DATA = np.arange(20.0).reshape(5, 4)


def forward(**changes):
    channels = [{"ch_name": n, "kind": k, "unit": u} for n, k, u in CHANNELS]
    solution = {"data": DATA, "row_names": [n for n, _, _ in CHANNELS]}
    return {"sol": solution, "info": {"chs": channels}, "source_ori": 1, "nsource": 4, **changes}


def test_regions_are_means_of_their_sources():
    gain = xm.io.read_lead_field(forward(), ["b", "a", None, "b"])
    assert gain.dims == ("sensor", "region") and gain.sensor.values.tolist() == ["Fz", "Cz"] and gain.region.values.tolist() == ["b", "a"]
    np.testing.assert_allclose(gain * 1e9, [[(8 + 11) / 2, 9], [(12 + 15) / 2, 13]], rtol=1e-14)
    assert gain.attrs["units"] == "V/(nA*m)"


def test_kinds_of_sensors():
    assert xm.io.read_lead_field(forward(), kind="meg").sensor.values.tolist() == ["M1"]  # without the gradiometer
    assert xm.io.read_lead_field(forward(), kind="meg").attrs["units"] == "T/(nA*m)"
    assert xm.io.read_lead_field(forward(), kind="seeg").shape == (1, 4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="3 entries"):
        xm.io.read_lead_field(forward(), ["a"] * 3)
    with pytest.raises(ValueError, match="no region"):
        xm.io.read_lead_field(forward(), [None] * 4)
    with pytest.raises(ValueError, match="kind"):
        xm.io.read_lead_field(forward(), kind="grad")
    with pytest.raises(ValueError, match="damaged"):
        xm.io.read_lead_field(forward(nsource=3))
    with pytest.raises(TypeError, match="forward solution"):
        xm.io.read_lead_field({"weights": 1})
    only = forward()
    only["sol"] = {"data": DATA[:1], "row_names": ["M1"]}
    with pytest.raises(ValueError, match="no eeg sensors"):
        xm.io.read_lead_field(only)


def metres(values, dim):
    return xr.DataArray(values, dims=(dim, "xyz"), attrs={"units": "m"})


def test_the_sphere_is_that_of_mne(tmp_path):
    mne = pytest.importorskip("mne")
    rng = np.random.default_rng(0)
    names = ["Fz", "Cz", "Pz", "Oz", "M1", "M2", "M3"]
    info = mne.create_info(names, 100.0, ["eeg"] * 4 + ["mag"] * 3)
    unit = rng.normal(size=(7, 3))
    unit[:, 2] = abs(unit[:, 2])
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    centre = np.array([0.0, 0.0, 0.04])
    fiducials = dict(nasion=[0, 0.09, 0.04], lpa=[-0.09, 0, 0.04], rpa=[0.09, 0, 0.04])
    info.set_montage(mne.channels.make_dig_montage(dict(zip(names[:4], 0.09 * unit[:4] + centre)), coord_frame="head", **fiducials))
    turned = np.linalg.qr(rng.normal(size=(3, 3, 3)))[0]
    with info._unlock():
        info["dev_head_t"] = mne.Transform("meg", "head", np.eye(4))
        for k in range(3):  # point magnetometers along the third axis of their frame
            frame = turned[k] * np.sign(np.linalg.det(turned[k]))
            info["chs"][4 + k].update(coil_type=2000, loc=np.concatenate([0.12 * unit[4 + k] + centre, *frame.T]))
            turned[k] = frame
    places, moments = rng.uniform(-0.04, 0.04, (5, 3)), rng.normal(size=(5, 3))
    moments /= np.linalg.norm(moments, axis=1, keepdims=True)
    # four layers of one conductivity are one sphere; MNE fits the potential of layers with three dipoles
    sphere = mne.make_sphere_model(centre, 0.09, sigmas=(0.33,) * 4, verbose="error")
    src = mne.setup_volume_source_space(pos={"rr": places + centre, "nn": moments}, sphere=sphere, sphere_units="m", verbose="error")
    made = mne.make_forward_solution(info, None, src, sphere, mindist=0.0, verbose="error")
    assert made["nsource"] == 5
    axes = xr.DataArray(moments, dims=("region", "xyz"))
    coils = xr.DataArray(turned[:, :, 2], dims=("sensor", "xyz"))
    potential = xm.sphere_lead_field(metres(0.09 * unit[:4], "sensor"), metres(places, "region"), axes)
    field = xm.sphere_lead_field(metres(0.12 * unit[4:], "sensor"), metres(places, "region"), axes, kind="meg", sensor_orientation=coils)
    free = {n: row.reshape(5, 3) for n, row in zip(made["sol"]["row_names"], made["sol"]["data"])}
    theirs = 1e-9 * np.einsum("snk,nk->sn", np.stack([free[n] for n in names]), moments)
    np.testing.assert_allclose(field, theirs[4:], rtol=1e-11, atol=1e-13 * abs(theirs[4:]).max())
    np.testing.assert_allclose(potential, theirs[:4], atol=1e-5 * abs(theirs[:4]).max())  # their fit
    # a solution of fixed orientation, written and read by MNE
    fixed = {
        **made,
        "source_ori": 1,
        "sol": {**made["sol"], "data": np.einsum("snk,nk->sn", made["sol"]["data"].reshape(7, 5, 3), moments)},
    }
    read = xm.io.read_lead_field(fixed, ["l", "l", "r", "r", "r"], kind="meg")
    np.testing.assert_allclose(read.sel(region="r"), theirs[4:, 2:].mean(axis=1), rtol=1e-12)
    mne.write_forward_solution(tmp_path / "s-fwd.fif", made, overwrite=True, verbose="error")
    turned_to_normals = xm.io.read_lead_field(tmp_path / "s-fwd.fif", kind="meg")
    np.testing.assert_allclose(turned_to_normals, theirs[4:], rtol=1e-4, atol=1e-6 * abs(theirs[4:]).max())  # float32 in the file
