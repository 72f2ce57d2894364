"""Leaky echo state network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.core.delay import sparse_plan, sparse_product
from xmass.training.layer import FeatureLayer, Fixed, scan

FEW_UNITS = 300
FEW_ENTRIES = 0.03
"""From how many units on, and up to which share of entries that are not zero, edges are faster than the matrix."""


@dataclass(frozen=True, kw_only=True)
class Reservoir(FeatureLayer):
    r"""Echo state network: a random recurrent layer with leak, of which only the readout is fitted.

    With ``leak_at="output"`` the unit leaks behind its nonlinearity,

    .. math:: r^+ = (1 - a)\, r + a \tanh(u W_{in} + r W + b + \eta),

    with ``leak_at="input"`` before it, which takes two variables:

    .. math:: v^+ = (1 - a)\, v + a\, (u W_{in} + r W + b + \eta), \qquad r^+ = \tanh v^+ .

    Inputs are numbers in their own unit: scale them to the order of 1 by ``input_scaling``. r has no unit.

    Parameters
    ----------
    units : int
        How many.
    leak : float
        a, in (0, 1].
    spectral_radius : float
        Largest absolute eigenvalue of W.
    connectivity, input_connectivity : float
        Share of the entries of W and W_in that are not zero, in (0, 1].
    input_scaling : float or sequence of float
        W_in is uniform between plus and minus this; one number, or one for each input.
    bias_scaling : float
        The same for b.
    leak_at : "output" or "input"
        Where a unit leaks.
    noise : float
        Standard deviation of :math:`\eta` while the readout is fitted; none in predictions.
    noise_type : "normal" or "uniform"
        Its distribution.
    washout : int
        Samples at the start of each series in which the reservoir forgets its start from zero.
    seed : int
        Of all that is drawn.

    Every number but ``units`` and ``washout`` may be a DataArray: its dims become dims of features, weights, history and predictions.

    Raises
    ------
    ValueError
        If a number is out of its range, or W has no eigenvalue but zero.

    References
    ----------
    Jaeger (2001), GMD Report 148; Jaeger, Lukosevicius, Popovici & Siewert (2007), doi:10.1016/j.neunet.2007.04.016.

    Examples
    --------
    >>> import xmass as xm
    >>> ds = xm.datasets.lorenz(duration=30.0)
    >>> layer = xm.training.Reservoir(units=100, input_scaling=0.05, seed=0)
    >>> model = layer.fit(ds.sel(time=slice(0, 20)), x=["x", "y", "z"])
    >>> error = model.predict(ds.sel(time=slice(20, 30))) - ds
    >>> bool((error.x**2).mean() < 1e-3 * ds.x.var())
    True
    """

    units: int = 100
    leak: float | xr.DataArray = 0.3
    spectral_radius: float | xr.DataArray = 0.9
    connectivity: float | xr.DataArray = 0.1
    input_connectivity: float | xr.DataArray = 1.0
    input_scaling: float | Sequence[float] | xr.DataArray = 1.0
    bias_scaling: float | xr.DataArray = 0.0
    leak_at: Literal["output", "input"] = "output"
    noise: float | xr.DataArray = 0.0
    noise_type: Literal["normal", "uniform"] = "normal"
    washout: int = 100
    seed: int | xr.DataArray = 0

    def __post_init__(self) -> None:
        for name in ("leak", "spectral_radius", "connectivity", "input_connectivity", "input_scaling", "bias_scaling", "noise", "seed"):
            value = getattr(self, name)
            if isinstance(value, xr.DataArray) and not value.ndim:
                object.__setattr__(self, name, value.item())
        if np.ndim(self.input_scaling) and not isinstance(self.input_scaling, xr.DataArray):
            object.__setattr__(self, "input_scaling", tuple(float(v) for v in np.asarray(self.input_scaling).ravel()))
        for name in ("leak", "connectivity", "input_connectivity"):
            value = np.asarray(getattr(self, name))
            if not ((value > 0) & (value <= 1)).all():
                raise ValueError(f"{name}={getattr(self, name)!r}, needs a number above 0, at most 1.")
        for name in ("spectral_radius", "bias_scaling", "noise"):
            value = np.asarray(getattr(self, name))
            if not (np.isfinite(value) & (value >= 0)).all():
                raise ValueError(f"{name}={getattr(self, name)!r}, needs a number of 0 or more.")
        for name, least in (("units", 1), ("washout", 0), ("seed", 0)):
            value = getattr(self, name)
            many = name == "seed" and isinstance(value, xr.DataArray) and value.dtype.kind in "iu" and bool((value >= least).all())
            if not many and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least):
                raise ValueError(f"{name}={value!r}, needs a whole number of {least} or more.")
        if self.leak_at not in ("output", "input") or self.noise_type not in ("normal", "uniform"):
            raise ValueError(
                f"leak_at={self.leak_at!r} and noise_type={self.noise_type!r}, need 'output' or 'input', and 'normal' or 'uniform'."
            )

    @property
    def memory(self) -> int:
        """The washout."""
        return self.washout

    @property
    def kernel(self) -> Reservoir:
        """A layer that steps like this one: only where a unit leaks counts, all else is in ``fixed``."""
        return Reservoir(units=self.units, leak_at=self.leak_at)

    def names(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """``r0``, ``r1``, ..."""
        return tuple(f"r{i}" for i in range(self.units))

    def fixed(self, inputs: int) -> dict[str, Any]:
        """``input (input, unit)``, ``recurrent (unit, unit)`` from row to column, its edges if they are few, ``bias (unit,)``; ``leak``."""
        scale = np.asarray(self.input_scaling, dtype=np.float64)
        if scale.ndim and scale.size != inputs:
            raise ValueError(f"input_scaling has {scale.size} numbers for {inputs} inputs, needs one, or one for each.")
        rng = np.random.default_rng(self.seed)
        n = self.units
        w_in = rng.uniform(-1, 1, (inputs, n)) * (rng.random((inputs, n)) < self.input_connectivity)
        w = rng.standard_normal((n, n)) * (rng.random((n, n)) < self.connectivity)
        bias = rng.uniform(-1, 1, n) * self.bias_scaling
        if self.spectral_radius > 0:
            radius = _radius(w)
            if radius < 1e-9 * np.abs(w).max(initial=1.0):
                raise ValueError(
                    f"the recurrent weights of {n} units at connectivity={self.connectivity} have no eigenvalue but zero, so that they "
                    "cannot be scaled to a spectral radius: raise connectivity or units, or take another seed."
                )
            w = w * (self.spectral_radius / radius)
        else:
            w = np.zeros_like(w)
        found = {"input": w_in * (scale[:, None] if scale.ndim else scale), "bias": bias, "leak": np.float64(self.leak)}
        if n >= FEW_UNITS and np.count_nonzero(w) <= FEW_ENTRIES * n * n:
            (plan,) = sparse_plan([w.T])
            return found | {"recurrent": {k: plan[k] for k in ("source", "weight", "inverse")}}
        return found | {"recurrent": w}

    def start(self, batch: int, inputs: int) -> np.ndarray:
        """Zeros: r, or v."""
        return np.zeros((batch, self.units))

    def step(self, fixed: Fixed, state: Any, u: Any, noise: Any) -> tuple[Any, Any]:
        """State and r after the inputs ``u (batch, input)``."""
        r = state if self.leak_at == "output" else jnp.tanh(state)
        w = fixed["recurrent"]
        recurrent = sparse_product(w, r.T).T if isinstance(w, dict) else r @ w
        drive = u @ fixed["input"] + recurrent + fixed["bias"] + noise
        leak = fixed["leak"]
        if self.leak_at == "output":
            r = (1 - leak) * r + leak * jnp.tanh(drive)
            return r, r
        state = (1 - leak) * state + leak * drive
        return state, jnp.tanh(state)

    def run(self, u: np.ndarray, *, training: bool = False) -> np.ndarray:
        """Activity r ``(batch, time, unit)``, every series from zero; with noise while training."""
        batch, length, inputs = u.shape
        eta = self.draw((length, batch, self.units)) if training and self.noise else np.zeros((length, 1, 1))
        with jax.enable_x64(True):
            _, r = scan(self.kernel, self.fixed(inputs), self.start(batch, inputs), np.moveaxis(u, 1, 0), eta)
            return np.moveaxis(np.asarray(r), 0, 1)

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Noise of this layer's type and standard deviation."""
        rng, size = np.random.default_rng([int(self.seed), 1]), float(self.noise)
        if self.noise_type == "normal":
            return size * rng.standard_normal(shape)
        return size * np.sqrt(3) * rng.uniform(-1, 1, shape)


def _radius(w: np.ndarray) -> float:
    """Largest absolute eigenvalue; of large matrices by Arnoldi iterations for several at once, so that none of equal size is missed."""
    if len(w) >= FEW_UNITS and np.count_nonzero(w) >= 2 * len(w):
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import ArpackError, eigs

        try:
            start = np.full(len(w), len(w) ** -0.5)
            return float(np.abs(eigs(csr_array(w), k=6, ncv=40, v0=start, return_eigenvectors=False)).max())
        except ArpackError:
            pass
    return float(np.abs(np.linalg.eigvals(w)).max())
