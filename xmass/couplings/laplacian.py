"""Coupling through the Laplacian of the connectome."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from xmass.core.coupling import Coupling
from xmass.core.model import Value, parameter


class LaplacianCoupling(Coupling):
    r"""Weighted sum with the Laplacian of the connectome, :math:`k\sum_j L_{ij}\,x_j(t-\tau_{ij})`.

    .. math::
        L = W - D \quad\text{("none")}, \qquad L = D^{-1} W - 1 \quad\text{("random_walk")}, \qquad
        L = D^{-1/2} W D^{-1/2} - 1 \quad\text{("symmetric")}

    with the row sums of the weights in the diagonal matrix D. The sign is that of diffusion: the rows of the first two sum to zero. A
    region whose row sum is zero receives nothing, and with "symmetric" sends nothing either. The diagonal has the delay of the diagonal
    of ``distances``, usually none. With "none" the result is that of :class:`DiffusiveCoupling`.

    Parameters
    ----------
    k : float, Quantity or DataArray
        Global strength, in units of the target input per unit of the source.
    normalization : {"none", "random_walk", "symmetric"}
        Which Laplacian.
    source : str
        State or output of the sending regions.
    target : str
        Input of the receiving regions.

    Raises
    ------
    ValueError
        For an unknown normalization, or a negative row sum with one that divides by it.

    References
    ----------
    Abdelnour, Voss, Raj (2014), doi:10.1016/j.neuroimage.2013.12.039.

    Examples
    --------
    >>> import xmass as xm
    >>> import numpy as np
    >>> xm.LaplacianCoupling(k=0.5, source="x", target="x").weighting(np.array([[0.0, 2.0], [1.0, 0.0]]))
    array([[-2.,  2.],
           [ 1., -1.]])
    """

    k: Value = parameter(1.0, "target/source", "global strength")
    normalization: Literal["none", "random_walk", "symmetric"] = eqx.field(default="none", static=True, kw_only=True)
    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)

    def __check_init__(self) -> None:
        if self.normalization not in ("none", "random_walk", "symmetric"):
            raise ValueError(f"normalization={self.normalization!r}, needs 'none', 'random_walk' or 'symmetric'.")

    def weighting(self, weights: np.ndarray) -> np.ndarray:
        """The Laplacian of matrices ``(..., region, region_other)``."""
        host = isinstance(weights, np.ndarray)
        xp: Any = np if host else jnp  # traced weights, of which nothing can be checked
        strength = weights.sum(axis=-1)
        identity = xp.eye(weights.shape[-1], dtype=None if host else weights.dtype)
        if self.normalization == "none":
            return weights - strength[..., None] * identity
        if host and (strength < 0).any():
            raise ValueError(
                f"normalization={self.normalization!r} divides by the row sums of the weights, and one is {strength.min():g}. Take "
                "normalization='none', or weights of zero or more."
            )
        connected = strength > 0
        inverse = 1.0 / xp.where(connected, strength, 1.0)
        if self.normalization == "random_walk":
            scaled = xp.where(connected, inverse, 0.0)[..., None] * weights
        else:
            root = xp.where(connected, xp.sqrt(inverse), 0.0)
            scaled = root[..., None] * weights * root[..., None, :]
        return scaled - xp.where(connected[..., None], identity, 0.0)

    def post(self, total: Any, own: Any, strength: Any) -> Any:
        return self.k * total
