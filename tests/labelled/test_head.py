"""The embedded head: what EEG and MEG take where they are given no gain, and what they ask for where there are no positions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

SC = xm.datasets.load_dataset("example_connectome")
NODE = xm.HopfStep(a=-0.05, w=0.1, noise_x=xm.WhiteNoise(sigma=0.05))


def network(connectome=SC):
    return xm.Simulator(xm.Network(NODE, connectome), dt=1.0, precision="float64")


def radial(centres):
    return (centres / (centres**2).sum("xyz") ** 0.5).drop_attrs()


def test_the_default_gain_is_the_sphere_around_the_regions():
    # By hand: the middle of the range, 92/80 of the largest distance from it, electrodes of the 10-20 system on that sphere.
    points = SC.centres.values
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = np.linalg.norm(points - middle, axis=1).max() * 92 / 80
    wanted = xm.sphere_lead_field(xm.electrodes_1020(radius), (SC.centres - middle).assign_attrs(units="mm"))
    seen = {"x": "x", "v": xm.EEG(of="x", scale=2.0)}
    seen["fc"] = xm.FunctionalConnectivity(of=xm.TemporalAverage(of=xm.EEG(of="x", scale=2.0), period=2.0))
    run = network().run(60.0, monitors=seen, seed=1)
    np.testing.assert_allclose(run.v, 2.0 * run.x.values @ wanted.values.T, rtol=1e-12, atol=1e-20)
    assert run.v.attrs["units"] == "V" and run.sensor.values.tolist() == wanted.sensor.values.tolist()
    for name in ("v", "fc"):
        assert run[name].attrs["lead_field"].startswith(f"sphere of {radius:.1f} mm") and "10-20" in run[name].attrs["lead_field"]
    assert "lead_field" not in run.x.attrs
    again = xm.rerun(run)
    xr.testing.assert_identical(again.v, run.v)


def test_axes_are_turned_to_right_front_up():
    # The same places, written with x to the front and y to the left, have the same gain.
    turned = SC.assign(centres=SC.centres.copy(data=np.stack([SC.centres[:, 1], -SC.centres[:, 0], SC.centres[:, 2]], axis=1)))
    turned.centres.attrs["axes"] = "ALS"
    xr.testing.assert_allclose(xm.head_lead_field(turned), xm.head_lead_field(SC), rtol=1e-12)
    front = xm.head_lead_field(SC).isel(region=int(SC.centres.sel(xyz="y").argmax("region")))
    assert float(front.sel(sensor="Fpz")) > float(front.sel(sensor="Oz"))


def test_orientations_give_the_dipoles_and_the_magnetic_field():
    normals = xr.DataArray(np.cross(radial(SC.centres), [0.0, 0.6, 0.8]), dims=("region", "xyz"), coords=SC.centres.coords)
    ds = SC.assign(orientations=normals.assign_attrs(units="1"))
    middle = (SC.centres.min("region") + SC.centres.max("region")) / 2
    places = (SC.centres - middle).assign_attrs(units="mm")
    radius = float(((places**2).sum("xyz") ** 0.5).max()) * 92 / 80
    coils = xm.electrodes_1020(radius + 20.0)
    field = xm.sphere_lead_field(coils, places, normals, kind="meg")
    run = network(ds).run(30.0, monitors={"x": "x", "v": xm.EEG(of="x"), "b": xm.MEG(of="x", dim="coil")}, seed=1)
    np.testing.assert_allclose(run.b, run.x.values @ field.values.T, rtol=1e-12, atol=1e-26)
    potential = xm.sphere_lead_field(xm.electrodes_1020(radius), places, normals)
    np.testing.assert_allclose(run.v, run.x.values @ potential.values.T, rtol=1e-12, atol=1e-20)
    assert run.b.attrs["units"] == "T" and "magnetometers" in run.b.attrs["lead_field"] and "orientations" in run.v.attrs["lead_field"]


def test_a_stored_run_takes_the_head_of_its_own_centres():
    run = network().run(30.0, monitors=["x"], seed=1)
    with pytest.raises(KeyError, match="no centres"):
        xm.observe(run, {"v": xm.EEG(of="x")})
    stored = xm.observe(run.assign(centres=SC.centres), {"v": xm.EEG(of="x")})
    direct = network().run(30.0, monitors={"v": xm.EEG(of="x")}, seed=1)
    np.testing.assert_allclose(stored.v, direct.v, rtol=1e-12, atol=1e-22)
    assert stored.v.attrs["lead_field"] == direct.v.attrs["lead_field"]


def test_the_gain_is_a_parameter_like_any_other():
    listed = network().parameters(monitors={"v": xm.EEG(of="x")})
    xr.testing.assert_allclose(listed["eeg.gain"].drop_attrs(), xm.head_lead_field(SC).drop_attrs())
    p = xr.Dataset({"eeg.scale": ("scale", [1.0, 3.0])})
    run = network().run(20.0, p, monitors={"v": xm.EEG(of="x")}, seed=1)
    np.testing.assert_allclose(run.v.isel(scale=1), 3 * run.v.isel(scale=0), rtol=1e-12)


def bad(**change):
    ds = SC.copy(deep=True)
    ds["centres"].attrs.update(change)
    return ds


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: network(SC.drop_vars("centres")).run(5.0, monitors={"v": xm.EEG(of="x")}), KeyError, "monitor 'v' is given no gain"),
        (lambda: xm.Simulator(NODE, dt=1.0, regions=3).run(5.0, monitors={"v": xm.EEG(of="x")}), KeyError, "centres"),
        (lambda: network().run(5.0, monitors={"v": xm.MEG(of="x")}), KeyError, "no magnetic field"),
        (lambda: network().run(5.0, monitors={"v": xm.EEG(of="x", gain="cube")}), ValueError, "gain='cube'"),
        (lambda: network().run(5.0, monitors={"v": xm.SEEG(of="x", gain="sphere")}), TypeError, "needs a DataArray"),
        (lambda: network(bad(axes="RAR")).run(5.0, monitors={"v": xm.EEG(of="x")}), ValueError, "monitor 'v'.*axes 'RAR'"),
        (lambda: xm.head_lead_field(bad(units="cm")), ValueError, "not the size of a head"),
        (lambda: xm.head_lead_field(bad(units="ms")), ValueError, "centres"),
        (lambda: xm.head_lead_field(SC.weights), TypeError, "Dataset"),
        (lambda: xm.head_lead_field(SC, kind="sphere"), ValueError, "kind"),
    ],
)
def test_what_is_missing_is_said(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_axes_have_to_be_known_and_agree_with_the_hemispheres():
    unknown = SC.copy(deep=True)
    del unknown.centres.attrs["axes"]
    with pytest.raises(ValueError, match=r"do not say where their axes point.*attrs\['axes'\] = 'RAS'"):
        xm.head_lead_field(unknown)
    cohort = xm.datasets.load_dataset("example_cohort")
    assert "hemisphere" in cohort.coords
    xm.head_lead_field(cohort)
    cohort.centres.attrs["axes"] = "LAS"
    with pytest.raises(ValueError, match="left hemisphere"):
        xm.head_lead_field(cohort)


def test_regions_of_a_real_brain_are_strongest_at_the_electrodes_above_them(shared_path):
    # What the 10-20 system is known to lie over: O1, O2 the visual, C3 the left motor, T8 the right temporal, Fp2 the right frontal pole.
    brain = xm.io.read_connectome(shared_path("data", "raw", "connectivity_76.zip"))
    brain.centres.attrs["axes"] = "ALS"  # x to the front, y to the left
    gain = xm.head_lead_field(brain.drop_vars("orientations"))
    above = {"rV1": "O2", "lV1": "O1", "lM1": "C3", "rTCC": "T8", "rPFCPOL": "Fp2"}
    assert {region: str(gain.sensor[int(gain.sel(region=region).argmax("sensor"))].item()) for region in above} == above
    assert 80.0 < float(gain.attrs["lead_field"].split()[2]) < 100.0  # an adult head
    assert "orientations" in xm.head_lead_field(brain, kind="meg").attrs["lead_field"]
