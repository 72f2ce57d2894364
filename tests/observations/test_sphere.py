"""Dipoles in a sphere: series, boundary condition, Biot-Savart, and The Virtual Brain's file."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.special
import xarray as xr

import xmass as xm
from tests.oracles import references
from xmass.observations.sphere import sphere_field, sphere_potential, unbounded_potential

R, SIGMA = 0.09, 0.33
RNG = np.random.default_rng(3)


def directions(count):
    v = RNG.normal(size=(count, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


SURFACE = R * directions(40)
SOURCES = directions(6) * np.array([0.01, 0.02, 0.04, 0.06, 0.07, 0.08])[:, None]
MOMENTS = RNG.normal(size=(6, 3))


def series(sensor, source, moment, terms=400):
    """Potential on the surface by Legendre functions: a radial and a tangential part for each order."""
    depth = np.linalg.norm(source)
    axis = source / depth
    radial = moment @ axis
    tangential = moment - radial * axis
    size = np.linalg.norm(tangential)
    unit = sensor / np.linalg.norm(sensor)
    c = unit @ axis
    across = unit - c * axis
    azimuth = across @ tangential / size / np.linalg.norm(across)
    n = np.arange(1, terms + 1)
    legendre = np.array([scipy.special.eval_legendre(k, c) for k in n])
    slope = np.array([k * (c * scipy.special.eval_legendre(k, c) - scipy.special.eval_legendre(k - 1, c)) / (c**2 - 1) for k in n])
    first = np.sqrt(1 - c**2) * slope  # P_n^1 without the phase of Condon and Shortley
    weight = (2 * n + 1) / n * (depth / R) ** (n - 1)
    return (weight * (n * radial * legendre + size * azimuth * first)).sum() / (4 * np.pi * SIGMA * R**2)


def test_the_potential_is_the_series_of_legendre_functions():
    closed = sphere_potential(SURFACE, SOURCES[:5], MOMENTS[:5], radius=R, conductivity=SIGMA)
    expected = np.array([[series(r, s, q) for s, q in zip(SOURCES[:5], MOMENTS[:5])] for r in SURFACE])
    # (0.07 / 0.09)^400 is 1e-44; the slope of the Legendre functions cancels to about 1e-12
    np.testing.assert_allclose(closed, expected, rtol=1e-9, atol=1e-9 * abs(expected).max())


def test_a_dipole_in_the_middle():
    v = sphere_potential(SURFACE, np.zeros((1, 3)), MOMENTS[:1], radius=R, conductivity=SIGMA)
    np.testing.assert_allclose(v[:, 0], 3 * SURFACE @ MOMENTS[0] / (4 * np.pi * SIGMA * R**3), rtol=1e-12)


def test_no_current_leaves_the_sphere():
    # Richardson-extrapolated one-sided differences of step h: error of order h^3 at a scale of 1 cm.
    h = 1e-4
    v = [sphere_potential(SURFACE * (1 - k * h / R), SOURCES, MOMENTS, radius=R, conductivity=SIGMA) for k in range(4)]
    normal = (11 * v[0] - 18 * v[1] + 9 * v[2] - 2 * v[3]) / (6 * h)
    unbounded = [unbounded_potential(SURFACE * (1 - k * h / R), SOURCES, MOMENTS, conductivity=SIGMA) for k in range(4)]
    leaving = (11 * unbounded[0] - 18 * unbounded[1] + 9 * unbounded[2] - 2 * unbounded[3]) / (6 * h)
    assert abs(normal).max() < 1e-4 * abs(leaving).max()


def test_the_induced_part_is_harmonic_inside_and_the_mean_over_the_surface_is_zero():
    h, inside = 1e-4, 0.6 * SURFACE

    def induced(r):
        whole = sphere_potential(r, SOURCES, MOMENTS, radius=R, conductivity=SIGMA)
        return whole - unbounded_potential(r, SOURCES, MOMENTS, conductivity=SIGMA)

    around = sum(induced(inside + sign * h * e) for e in np.eye(3) for sign in (1, -1))
    second = abs(induced(inside + h * np.eye(3)[0]) - 2 * induced(inside) + induced(inside - h * np.eye(3)[0])).max() / h**2
    assert abs(around - 6 * induced(inside)).max() / h**2 < 1e-3 * second
    nodes, weights = np.polynomial.legendre.leggauss(60)
    angle = np.arange(120) * 2 * np.pi / 120
    ring = np.sqrt(1 - nodes**2)
    grid = np.stack([np.outer(ring, np.cos(angle)), np.outer(ring, np.sin(angle)), np.outer(nodes, np.ones(120))], -1).reshape(-1, 3)
    v = sphere_potential(R * grid, SOURCES[:4], MOMENTS[:4], radius=R, conductivity=SIGMA)
    mean = (np.repeat(weights, 120)[:, None] * v).sum(axis=0) / 240
    assert abs(mean).max() < 1e-9 * abs(v).max()  # degree 119 of the product rule, (2/3)^120 is 1e-21


def test_a_large_sphere_has_no_boundary():
    near = 0.02 * directions(5)
    large = sphere_potential(near, SOURCES[3:], MOMENTS[3:], radius=1e4, conductivity=SIGMA)
    np.testing.assert_allclose(large, unbounded_potential(near, SOURCES[3:], MOMENTS[3:], conductivity=SIGMA), rtol=1e-9)


# ---- magnetic field
OUTSIDE = SURFACE * 1.3


def test_the_radial_field_is_that_of_the_dipole_alone():
    # Volume currents of a sphere have no radial field outside (Sarvas 1987): what remains is the law of Biot and Savart.
    unit = OUTSIDE / np.linalg.norm(OUTSIDE, axis=1, keepdims=True)
    radial = (sphere_field(OUTSIDE, SOURCES, MOMENTS) * unit[:, None]).sum(axis=-1)
    apart = OUTSIDE[:, None] - SOURCES[None]
    primary = 1e-7 * np.cross(MOMENTS[None], apart) / np.linalg.norm(apart, axis=-1, keepdims=True) ** 3
    np.testing.assert_allclose(radial, (primary * unit[:, None]).sum(axis=-1), rtol=1e-11, atol=1e-12 * abs(radial).max())


def test_a_radial_dipole_has_no_field():
    field = sphere_field(OUTSIDE, SOURCES, SOURCES)
    tangential = sphere_field(OUTSIDE, SOURCES, np.cross(SOURCES, [0.0, 0.0, 1.0]))
    assert abs(field).max() < 1e-14 * abs(tangential).max()


def test_the_field_outside_has_neither_sources_nor_curl():
    h = 1e-4
    slopes = np.stack(
        [(sphere_field(OUTSIDE + h * e, SOURCES, MOMENTS) - sphere_field(OUTSIDE - h * e, SOURCES, MOMENTS)) / (2 * h) for e in np.eye(3)]
    )
    scale = abs(slopes).max()
    divergence = sum(slopes[i, ..., i] for i in range(3))
    curl = max(abs(slopes[i, ..., j] - slopes[j, ..., i]).max() for i in range(3) for j in range(3))
    assert abs(divergence).max() < 1e-4 * scale and curl < 1e-4 * scale  # central differences: (h / 3 cm)^2


# ---- labels and units
def positions(values, dim, labels=None, unit="mm"):
    coords = {dim: labels} if labels is not None else {}
    return xr.DataArray(values, dims=(dim, "xyz"), coords=coords, attrs={"units": unit})


SENSORS = positions(SURFACE[:4] * 1e3, "sensor", ["Fz", "Cz", "Pz", "Oz"])
PLACES = positions(SOURCES[:3] * 1e3, "region", ["a", "b", "c"])
POINTING = positions(MOMENTS[:3], "region", ["a", "b", "c"], "1")


def test_gains_have_labels_units_and_si_values():
    gain = xm.sphere_lead_field(SENSORS, PLACES, POINTING)
    assert (
        gain.dims == ("sensor", "region") and gain.attrs["units"] == "V/(nA*m)" and gain.sensor.values.tolist() == ["Fz", "Cz", "Pz", "Oz"]
    )
    np.testing.assert_allclose(
        gain, 1e-9 * sphere_potential(SURFACE[:4], SOURCES[:3], MOMENTS[:3], radius=R, conductivity=SIGMA), rtol=1e-9
    )
    metres = xm.sphere_lead_field(positions(SURFACE[:4], "sensor", unit="m"), positions(SOURCES[:3], "region", unit="m"), POINTING)
    np.testing.assert_allclose(metres, gain, rtol=1e-12)
    np.testing.assert_allclose(xm.sphere_lead_field(SENSORS, PLACES, POINTING, conductivity=0.66), gain / 2, rtol=1e-12)
    shift = xr.DataArray([5.0, -3.0, 2.0], dims="xyz")
    moved = xm.sphere_lead_field(SENSORS + shift, PLACES + shift, POINTING, centre=shift)
    np.testing.assert_allclose(moved, gain, rtol=1e-12)
    field = xm.sphere_lead_field(1.3 * SENSORS, PLACES, POINTING, kind="meg")
    assert field.attrs["units"] == "T/(nA*m)"
    # a cortical patch of 10 nA m gives some 100 fT
    assert 1e-16 < abs(field).max() < 1e-12


def test_subjects_have_gains_of_their_own():
    cohort = xr.concat([PLACES, 0.9 * PLACES], "subject")
    gain = xm.sphere_lead_field(SENSORS, cohort, POINTING)
    assert gain.dims == ("subject", "sensor", "region")
    np.testing.assert_allclose(gain[1], xm.sphere_lead_field(SENSORS, 0.9 * PLACES, POINTING), rtol=1e-12)


def test_components_are_taken_by_label():
    turned = PLACES.assign_coords(xyz=["x", "y", "z"]).isel(xyz=[2, 0, 1])
    np.testing.assert_array_equal(xm.sphere_lead_field(SENSORS, turned, POINTING), xm.sphere_lead_field(SENSORS, PLACES, POINTING))


def test_positions_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="outside of radius"):
        xm.sphere_lead_field(SENSORS, 3 * PLACES, POINTING)
    with pytest.raises(ValueError, match="on no sphere"):
        xm.sphere_lead_field(SENSORS * positions([[1.0] * 3, [1.1] * 3, [1.0] * 3, [1.0] * 3], "sensor", unit="1"), PLACES, POINTING)
    with pytest.raises(ValueError, match="no current flows"):
        xm.sphere_lead_field(SENSORS, PLACES, POINTING, radius=85.0)
    with pytest.raises(ValueError, match="sensors are outside"):
        xm.sphere_lead_field(0.3 * SENSORS, PLACES, POINTING, kind="meg")
    with pytest.raises(ValueError, match="infinite"):
        xm.unbounded_lead_field(PLACES.rename(region="sensor"), PLACES, POINTING)
    with pytest.raises(ValueError, match="xyz"):
        xm.sphere_lead_field(SENSORS.rename(xyz="axis"), PLACES, POINTING)
    with pytest.raises(TypeError, match="DataArray"):
        xm.sphere_lead_field(SURFACE, PLACES, POINTING)
    with pytest.raises(ValueError, match="mm"):
        xm.sphere_lead_field(SENSORS.assign_attrs(units="ms"), PLACES, POINTING)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_unbounded_gain_is_that_of_the_virtual_brain(precision):
    # Their file is called a sphere, and its formula has no boundary.
    found = references.compare_lead_field(precision=precision)
    assert found.deviation < found.tolerance


# ---- electrodes
def angle(a, b):
    unit = xm.electrodes_1020(1.0)
    return np.rad2deg(np.arccos(np.clip(float((unit.sel(sensor=a) * unit.sel(sensor=b)).sum()), -1, 1)))


def test_electrodes_are_where_the_system_puts_them():
    where = xm.electrodes_1020()
    np.testing.assert_allclose((where**2).sum("xyz") ** 0.5, 90.0, rtol=1e-14)
    line = ["Fpz", "Fz", "Cz", "Pz", "Oz"], ["T7", "C3", "Cz", "C4", "T8"]
    for names in line:  # 20 % of a half circle each, and 10 % to its ends
        assert [angle(a, b) for a, b in itertools.pairwise(names)] == pytest.approx([36.0] * 4)
    assert (where.sel(sensor="Fpz")[1], where.sel(sensor="T8")[0]) > (0, 0)  # front, right
    mirrored = {"F": "34", "P": "34", "C": "34"}
    for letter, (odd, even) in mirrored.items():
        left, right = where.sel(sensor=letter + odd).values, where.sel(sensor=letter + even).values
        np.testing.assert_allclose(left * [-1, 1, 1], right, atol=1e-13)
    assert angle("F3", "F7") == pytest.approx(angle("F3", "Fz"))
    turn = np.rad2deg(np.arctan2(where.sel(sensor="F7")[0], where.sel(sensor="F7")[1]))
    assert float(turn) == pytest.approx(-54.0)  # 30 % of the way from the front to the back


def test_the_built_in_lead_field_needs_positions_alone():
    sc = xm.datasets.load_dataset("example_connectome")
    gain = xm.sphere_lead_field(xm.electrodes_1020(), sc.centres)
    assert gain.sizes == {"sensor": 21, "region": 8} and gain.region.values.tolist() == sc.region.values.tolist()
    outward = (sc.centres / (sc.centres**2).sum("xyz") ** 0.5).drop_attrs()
    np.testing.assert_allclose(gain, xm.sphere_lead_field(xm.electrodes_1020(), sc.centres, outward), rtol=1e-12)
    with pytest.raises(ValueError, match="no magnetic field"):
        xm.sphere_lead_field(xm.electrodes_1020(120.0), sc.centres, kind="meg")
    with pytest.raises(ValueError, match="in the centre"):
        xm.sphere_lead_field(xm.electrodes_1020(), 0 * sc.centres)
    net = xm.Network(xm.JansenRitStep(), sc[["weights"]], coupling=xm.SigmoidalJansenRitCoupling())
    eeg = xm.EEG(of="eeg", gain=gain, reference="average")
    assert xm.Simulator(net, dt=1.0).run(20.0, monitors={"scalp": eeg}).scalp.sizes == {"scalp_time": 20, "sensor": 21}
