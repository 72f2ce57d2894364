"""The posterior density of one fit in unconstrained coordinates, as a function that JAX can trace."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xmass.fit.layout import Entry
from xmass.fit.statistics import filling
from xmass.fit.study import Study


class Density:
    """Logarithm of likelihood and prior, in coordinates that may be any numbers.

    Parameters
    ----------
    study : Study
        Whose objective has the residuals of a likelihood, in the space "free".
    sd : ndarray
        Standard deviation of the statistics, one number or one for each.

    Raises
    ------
    ValueError
        If a parameter has neither a prior nor two bounds.
    """

    def __init__(self, study: Study, sd: np.ndarray) -> None:
        self.study, self.problem = study, study.problem
        for entry in study.points.layout.entries:
            check_proper(entry)
        self.factor = filling(self.problem)
        count = self.factor.shape[1]
        rows = len(np.unique(self.problem.rows[0]))
        each = np.broadcast_to(sd, count // rows) if np.ndim(sd) else np.asarray(sd)
        self.sd = np.broadcast_to(np.tile(each, rows) if np.ndim(each) else each, count)

    def arrays(self, fit: int, offset: np.ndarray | None = None) -> dict[str, Any]:
        """What the density of one fit takes; ``offset`` is added to its residuals: another recording in place of its own."""
        factor = self.factor[fit]
        return {
            "fit": self.problem.one_fit(fit),
            "factor": factor,
            "weight": np.where(factor > 0, 1.0 / self.sd, 0.0),
            "constant": -float(np.log(self.sd[factor > 0]).sum()) - 0.5 * math.log(2 * math.pi) * float((factor > 0).sum()),
            "offset": np.zeros(factor.shape) if offset is None else offset,
        }

    def residuals(self, z: Any, arrays: dict[str, Any]) -> Any:
        """Simulated statistics less the recorded ones ``(statistics,)``."""
        found = self.problem.traced_residuals(z, arrays["fit"])
        return found * jnp.asarray(arrays["factor"], found.dtype) + jnp.asarray(arrays["offset"], found.dtype)

    def log_likelihood(self, z: Any, arrays: dict[str, Any]) -> Any:
        """Of the coordinates ``(size,)``."""
        residuals = self.residuals(z, arrays)
        scaled = residuals * jnp.asarray(arrays["weight"], residuals.dtype)
        return jnp.asarray(arrays["constant"], z.dtype) - 0.5 * jnp.sum(scaled * scaled).astype(z.dtype)

    def log_prior(self, z: Any) -> Any:
        """Of the coordinates: the prior of the values times the volume that the transform stretches. Not normalised where it is cut off."""
        layout = self.study.points.layout
        return layout.log_prior(z) + layout.log_det(z)

    def __call__(self, z: Any, arrays: dict[str, Any]) -> Any:
        """Logarithm of the density at ``z`` ``(size,)``, minus infinity where the run diverged."""
        found = self.log_likelihood(z, arrays) + self.log_prior(z)
        return jnp.where(jnp.isnan(found), -jnp.inf, found)


def check_proper(entry: Entry) -> None:
    """Nothing, if the values have a density that can be normalised and drawn from."""
    if entry.param.prior is not None or not np.isinf(entry.limits).any():
        return
    if not entry.transform.elementwise and entry.param.transform == "simplex":
        return
    raise ValueError(
        f"{entry.path} has no prior: give one, xm.Param(..., prior=xm.priors.Normal(0.1, 0.05)), or two bounds for a uniform one."
    )


_ATTEMPTS = 100


def prior_draws(study: Study, n: int, seed: int) -> dict[str, np.ndarray]:
    """Draws ``(n, *shape)`` of every free parameter by path: from its prior within its bounds, uniform where it has none."""
    return {e.path: _drawn(e, n, np.random.default_rng([seed, k])) for k, e in enumerate(study.points.layout.entries)}


def _drawn(entry: Entry, n: int, rng: np.random.Generator) -> np.ndarray:
    check_proper(entry)
    prior = entry.param.prior
    if prior is None and not entry.transform.elementwise:
        return rng.dirichlet(np.ones(entry.shape[-1]), (n, *entry.shape[:-1]))
    low, high = entry.limits
    if prior is None:
        found = rng.uniform(low, high, (n, entry.count))
    else:
        sample = getattr(prior, "sample", None)
        if not callable(sample):
            raise ValueError(f"the prior of {entry.path} has no sample(key, shape), which draws need: take one of xm.priors or of numpyro.")
        if not entry.transform.elementwise:
            raise ValueError(f"{entry.path} has a prior over values that its transform mixes, which cannot be drawn from.")

        def draw() -> np.ndarray:
            with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
                made = np.asarray(sample(jax.random.key(int(rng.integers(2**32))), (n, *entry.shape)), np.float64)
            return entry.picked(np.broadcast_to(made, (n, *entry.shape)))

        found = draw()
        for _ in range(_ATTEMPTS):
            outside = (found < low) | (found > high)
            if not outside.any():
                break
            found = np.where(outside, draw(), found)
        else:
            raise ValueError(f"the prior of {entry.path} has almost nothing between its bounds. Give other bounds, or another prior.")
    if entry.free is None:
        return found.reshape(n, *entry.shape)
    whole = np.broadcast_to(np.asarray(entry.param.value).reshape(-1, *entry.shape)[0], (n, *entry.shape)).copy()
    whole.reshape(n, -1)[:, np.flatnonzero(entry.free)] = found
    return whole
