"""A directed connectome is recovered from FC and lagged covariances, by gradients through the simulation."""

from __future__ import annotations

import numpy as np
import optax
import pytest
import scipy.linalg
import xarray as xr

import xmass as xm

pytestmark = pytest.mark.long

N, A, W, K, LAG, DT = 10, -0.2, 0.1, 0.1, 5.0, 1.0
REGIONS = [f"R{i}" for i in range(N)]
DIMS = ("region", "region_other")


def connectome():
    """Edges run both ways, as tractography sees them, with weights of their own in each direction."""
    rng = np.random.default_rng(3)
    upper = np.triu(rng.uniform(size=(N, N)) < 0.35, 1)
    weights = np.where(upper | upper.T, rng.uniform(0.05, 1.0, (N, N)), 0.0)
    return xr.DataArray(weights, dims=DIMS, coords=dict.fromkeys(DIMS, REGIONS))


def exact(weights):
    """FC and lagged correlation of x for linear Heun steps z' = P z + R noise: C solves C = P C P' + R R', C(k steps) = P^k C."""
    eye = np.eye(N)
    matrix = DT * np.block([[A * eye + K * weights, -W * eye], [W * eye, A * eye]])
    step = np.eye(2 * N) + matrix + matrix @ matrix / 2
    noise = np.eye(2 * N) + matrix / 2
    covariance = scipy.linalg.solve_discrete_lyapunov(step, noise @ noise.T)
    lagged = (np.linalg.matrix_power(step, round(LAG / DT)) @ covariance)[:N, :N]
    sd = np.sqrt(np.diag(covariance)[:N])
    found = np.stack([covariance[:N, :N], lagged]) / np.outer(sd, sd)
    lag = xr.DataArray([0.0, LAG], dims="lag", attrs={"units": "ms"})
    return xr.DataArray(found, dims=("lag", *DIMS), coords={"lag": lag} | dict.fromkeys(DIMS, REGIONS), name="x")


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1]


# Simulated are 32 s, some 5,000 correlation times: linearised, this leaves an error of 0.05 of a weight. Gauss-Newton steps arrive there in
# about 9. Gradient descent is slow along the direction in which all weights together change little: its weights are still too equal.
METHODS = {
    "least squares": (xm.fit.ScipyBackend("least_squares"), 12, 0.95, 0.9),
    "gradient descent": (xm.fit.GradientBackend(optax.adam(optax.cosine_decay_schedule(0.1, 100))), 100, 0.9, 0.75),
}


@pytest.mark.parametrize("method", METHODS)
def test_an_asymmetric_network_of_ten_hopf_nodes_is_recovered(method):
    backend, steps, among_edges, asymmetry = METHODS[method]
    truth = connectome()
    noise = xm.WhiteNoise(sigma=0.01)  # a radius of 0.02: the cubic term is 4e-4 beside a = -0.2, so the network is linear
    start = xr.where(truth > 0, 0.5, 0.0)
    network = xm.Network(
        xm.HopfStep(a=A, w=W, noise_x=noise, noise_y=noise),
        start.to_dataset(name="weights"),
        coupling=xm.AdditiveCoupling(k=K, source="x", target="x"),
    )
    fitter = xm.Fitter(
        xm.Simulator(network, dt=DT, precision="float64"),
        objective=xm.objectives.lagged_cov(lag=LAG * 1e-3),
        search={"weights": xm.Param(start, bounds=(0.0, None))},
        run=dict(duration=32200.0, transient=200.0, monitors=["x"], seed=1),
        backend=backend,
    )
    fit = fitter.fit(exact(truth.values).to_dataset(), n_steps=steps, seed=0)
    found, known, edges = fit.weights.values, truth.values, truth.values > 0
    assert (found[~edges] == 0).all()  # what is no edge stays none
    off_diagonal = ~np.eye(N, dtype=bool)
    assert correlation(found[off_diagonal], known[off_diagonal]) > 0.95
    # The zeros are known to the fit; so the edges alone, and the differences between the two directions, of which the start has none.
    assert correlation(found[edges], known[edges]) > among_edges
    pairs = np.triu(edges)
    assert correlation((found - found.T)[pairs], (known - known.T)[pairs]) > asymmetry
