"""Covariances and cross-spectra between different states: the Lyapunov equation of the whole, and balances that hold with delays."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import solve_continuous_lyapunov

import xmass as xm

SC = xm.datasets.load_dataset("example_connectome").isel(region=[0, 1, 2], region_other=[0, 1, 2])
N, A, W, K, SIGMA = 3, -0.1, 0.3, 0.02, 0.02
HOPF = xm.HopfStep(a=A, w=W, noise_x=xm.WhiteNoise(sigma=SIGMA), noise_y=xm.WhiteNoise(sigma=SIGMA))


def network(speed=None, node=HOPF):
    return xm.Simulator(xm.Network(node, SC, speed=speed, coupling=xm.AdditiveCoupling(k=K, source="x", target="x")), dt=0.1)


def test_without_delays_it_is_the_block_of_the_lyapunov_equation():
    one = np.eye(N)
    whole = np.block([[A * one + K * SC.weights.values, -W * one], [W * one, A * one]])
    exact = solve_continuous_lyapunov(whole, -(SIGMA**2) * np.eye(2 * N))
    twin = xm.linear_twin(network(), pairs=[("x", "y"), ("y", "x")])
    assert "Lyapunov" in twin.attrs["method"]
    np.testing.assert_allclose(twin["covariance.x.y"], exact[:N, N:], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(twin["covariance.y.x"], exact[N:, :N], rtol=1e-9, atol=1e-14)
    sd = np.sqrt(np.diag(exact))
    np.testing.assert_allclose(twin["fc.x.y"], exact[:N, N:] / np.outer(sd[:N], sd[N:]), atol=1e-10)
    plain = xm.linear_twin(network())
    xr.testing.assert_allclose(twin["covariance.x"], plain["covariance.x"])
    assert twin["covariance.x.y"].dims == ("region", "region_other") and not [n for n in plain if ".x.y" in str(n)]


def test_with_delays_the_balance_of_y_holds():
    # y' = a y + w x + noise, whatever arrives late in x: d<y_i y_j>/dt = 2 a C_yy + w (C_xy + C_xy') + sigma^2 = 0.
    twin = xm.linear_twin(network(speed=5.0), pairs=[("x", "y")], tolerance=1e-6)
    assert "integral" in twin.attrs["method"]
    xy, yy = twin["covariance.x.y"].values, twin["covariance.y"].values
    balance = 2 * A * yy + W * (xy + xy.T) + SIGMA**2 * np.eye(N)
    np.testing.assert_allclose(balance, 0.0, atol=1e-5 * SIGMA**2)


def test_the_cross_spectrum_is_that_of_the_filter_between_them():
    # Without noise of its own y is x behind the filter w / (i omega - a).
    node = xm.HopfStep(a=A, w=W, noise_x=xm.WhiteNoise(sigma=SIGMA))
    hertz = np.array([0.0, 10.0, 47.0, 90.0])
    twin = xm.linear_twin(network(5.0, node), pairs=[("y", "x"), ("x", "y")], frequencies=hertz)
    filtering = W / (2e-3j * np.pi * hertz - A)
    expected = filtering[:, None, None] * twin["spectrum.x"].values
    np.testing.assert_allclose(twin["spectrum.y.x"], expected, rtol=1e-9)
    np.testing.assert_allclose(twin["spectrum.x.y"], np.conj(expected.transpose(0, 2, 1)), rtol=1e-9)
    assert twin["spectrum.x.y"].dims == ("frequency", "region", "region_other")


def test_the_density_integrates_to_the_covariance():
    hertz = np.linspace(0.0, 1000.0, 5001)
    twin = xm.linear_twin(network(5.0), pairs=[("x", "y")], frequencies=hertz)
    total = np.trapezoid(twin["spectrum.x.y"].real, hertz, axis=0)
    np.testing.assert_allclose(total, twin["covariance.x.y"], atol=0.01 * float(abs(twin["covariance.x"]).max()))  # what is above 1 kHz


@pytest.mark.long
def test_bold_and_its_source_and_units():
    node = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.002), noise_i=xm.WhiteNoise(sigma=0.002))
    sim = xm.Simulator(xm.Network(node, SC, coupling=xm.AdditiveCoupling(k=0.05, source="S_e", target="coupling")), dt=1.0)
    bold = xm.BOLDSignal(of="S_e", tr=720.0)
    twin = xm.linear_twin(sim, of=["S_e", "S_i"], bold=bold, pairs=[("S_e", "bold"), ("S_e", "S_i")])
    fc = twin["fc.S_e.bold"]
    assert (abs(fc) <= 1).all() and float(fc[0, 0]) > 0  # BOLD follows what drives it, smoothed
    assert {"covariance.S_e.S_i", "fc.S_e.S_i"} <= set(twin.data_vars)


@pytest.mark.long
def test_units_of_an_output_with_a_state():
    jansen = xm.JansenRitStep(noise_E=xm.OUProcess(sigma=1.0, tau=10.0))
    twin = xm.linear_twin(xm.Simulator(jansen, dt=0.1), pairs=[("E", "eeg")], of=["E", "eeg"], frequencies=[10.0])
    units = [twin[f"covariance.{n}"].attrs["units"] for n in ("E", "eeg", "E.eeg")]
    assert units[2] and units[1].startswith("mV") and twin["covariance.eeg"].item() > 0
    assert abs(twin["fc.E.eeg"].item()) <= 1 and "E and eeg" in twin["spectrum.E.eeg"].attrs["long_name"]


def test_sweeps_have_pairs_too():
    p = xr.Dataset({"coupling.k": ("k", [0.0, 0.02])})
    twin = xm.linear_twin(network(), p, pairs=[("x", "y")])
    assert twin["fc.x.y"].dims == ("k", "region", "region_other")
    # Alone: a Hopf node has <x y> = 0 by its symmetry under turns.
    np.testing.assert_allclose(twin["covariance.x.y"].isel(k=0), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("pairs", "error", "said"),
    [
        (["xy"], TypeError, "needs pairs of names"),
        ([("x", "y", "x")], TypeError, "needs pairs of names"),
        ([("x", "z")], KeyError, "'z', which is not among"),
        ([("x", "x")], ValueError, "two different names"),
    ],
)
def test_what_it_refuses(pairs, error, said):
    with pytest.raises(error, match=said):
        xm.linear_twin(network(), pairs=pairs)
