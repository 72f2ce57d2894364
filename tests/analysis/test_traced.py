"""Analyses of labelled arrays that JAX traces: the numbers of NumPy, and a derivative."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.analysis.cases import series

SIGNAL = xr.concat([series(seed=1), series(seed=2)], dim="run")
ANALYSES = {
    "functional_connectivity": xm.functional_connectivity,
    "shrinkage": lambda x: xm.functional_connectivity(x, shrinkage="ledoit_wolf"),
    "lagged_fc": lambda x: xm.lagged_fc(x, [0, 0.72, -1.44]),
    "fcd": lambda x: xm.fcd(x, window=20, step=5),
    "power_spectrum": lambda x: xm.power_spectrum(x, segment=20),
    "odd segment": lambda x: xm.power_spectrum(x, segment=10.8, overlap=0.3),
    "edge_series": xm.edge_series,
    "edge_fc": xm.edge_fc,
    "phase": xm.phase,
    "amplitude_envelope": xm.amplitude_envelope,
    "envelope_correlation": xm.envelope_correlation,
    "order_parameter": lambda x: xm.order_parameter(xm.phase(x)),
    "metastability": lambda x: xm.metastability(xm.phase(x)),
}
FEW = ("functional_connectivity", "power_spectrum", "metastability")


def of(values, analysis):
    return analysis(SIGNAL.copy(data=values)).data


@pytest.mark.parametrize("name", [n if n in FEW else pytest.param(n, marks=pytest.mark.long) for n in ANALYSES])
def test_labelled_arrays_of_jax_give_the_numbers_of_numpy_and_a_derivative(name):
    analysis = ANALYSES[name]
    expected = analysis(SIGNAL)
    towards = np.random.default_rng(0).normal(size=SIGNAL.shape)
    with jax.enable_x64(True):
        found, slope = jax.jit(lambda x, d: jax.jvp(lambda y: of(y, analysis), (x,), (d,)))(
            jnp.asarray(SIGNAL.values), jnp.asarray(towards)
        )
    np.testing.assert_allclose(found, expected.values, rtol=1e-10, atol=1e-12)
    h = 1e-6
    difference = analysis(SIGNAL + h * towards).values - analysis(SIGNAL - h * towards).values
    smooth = np.abs(difference) < 1.0  # a phase may step over pi
    assert smooth.mean() > 0.99
    np.testing.assert_allclose(np.asarray(slope)[smooth], (difference / (2 * h))[smooth], rtol=1e-4, atol=1e-6)


def test_what_has_no_twin_in_jax_says_so():
    with pytest.raises(TypeError, match="method='welch'"):
        jax.eval_shape(lambda x: of(x, lambda s: xm.power_spectrum(s, method="multitaper")), SIGNAL.values)
    with pytest.raises(TypeError, match="orthogonalise=False"):
        jax.eval_shape(lambda x: of(x, lambda s: xm.envelope_correlation(s, orthogonalise=True)), SIGNAL.values)
