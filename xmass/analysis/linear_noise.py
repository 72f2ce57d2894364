"""Spectral densities of noises, as they enter a linear system."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from xmass.core.coloured import ColoredNoise
from xmass.core.model import bound, declared_parameters
from xmass.core.multiplicative import ItoNoise, StratonovichNoise
from xmass.core.noise import BrownianNoise, GaussianNoise, Noise, OUProcess, WhiteNoise


@dataclasses.dataclass(frozen=True, eq=False)
class Density:
    """The two-sided density of a noise in the input's unit squared times ms; its integral over rad/ms is 2π times the variance."""

    process: Noise
    values: Mapping[str, np.ndarray]
    """Parameters ``(region,)``."""
    dt: float

    @property
    def rational(self) -> bool:
        """Whether the noise is white or the output of a linear equation, so that a Lyapunov equation holds."""
        return isinstance(self.process, WhiteNoise | OUProcess)

    @property
    def fastest(self) -> float:
        """The rate [rad/ms] above which the density falls; 0 for white noise."""
        if isinstance(self.process, OUProcess):
            return float((1.0 / self.values["tau"]).max())
        return 0.0 if isinstance(self.process, WhiteNoise) else 2.0 * np.pi / self.dt

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Density ``(frequency, region)`` at angular frequencies [rad/ms]."""
        w, sigma = np.asarray(w)[:, None], self.values["sigma"][None]
        if isinstance(self.process, WhiteNoise):
            return np.broadcast_to(sigma**2, (len(w), sigma.shape[1]))
        if isinstance(self.process, OUProcess):
            tau = self.values["tau"][None]
            return 2.0 * sigma**2 * tau / (1.0 + (w * tau) ** 2)
        held = self.dt * np.sinc(w * self.dt / (2.0 * np.pi)) ** 2  # a number that is held over each step
        if isinstance(self.process, GaussianNoise):
            return sigma**2 * held
        return held * self._coloured(w)

    def _coloured(self, w: np.ndarray) -> np.ndarray:
        """Squared gain of the recursion that :class:`ColoredNoise` is."""
        with jax.enable_x64(True):
            process = bound(self.process, "", {n: jnp.asarray(v[:, None]) for n, v in self.values.items()})
            factors = jax.tree.map(np.asarray, process.factors(jnp.asarray(self.dt, jnp.float64)))
        regions = len(self.values["sigma"])
        late = np.exp(-1j * w * self.dt)
        flat = {k: np.broadcast_to(factors[k].reshape(-1), (regions,)) for k in ("scale", "recent")}
        gain = flat["scale"] + flat["recent"] * late
        for kept, leak in zip(factors["kept"], factors["leak"]):
            gain = gain + kept.reshape(-1) * late**2 / (1.0 - (1.0 - leak.reshape(-1)) * late)
        return np.abs(gain) ** 2


def density(path: str, process: Noise, values: Mapping[str, np.ndarray], dt: float) -> Density:
    """The density of a noise of a model, if a linear system has one under it.

    Raises
    ------
    ValueError
        For noise that depends on the state, noise that does not stay, and a process that is not known here.
    """
    if isinstance(process, ItoNoise | StratonovichNoise):
        raise ValueError(
            f"{path} is {type(process).__name__}, whose size depends on the state: the covariance of a linear system needs noise of one "
            "size. Take xm.WhiteNoise with the size at the fixed point, or simulate."
        )
    if isinstance(process, BrownianNoise):
        raise ValueError(f"{path} is BrownianNoise, whose variance grows without bound: there is no covariance. Take xm.OUProcess.")
    if not isinstance(process, WhiteNoise | OUProcess | GaussianNoise | ColoredNoise):
        raise ValueError(
            f"{path} is {type(process).__name__}, whose spectrum is not known here. Take xm.WhiteNoise, xm.OUProcess, xm.GaussianNoise or "
            "xm.ColoredNoise."
        )
    return Density(process, {d.name: values[d.name] for d in declared_parameters(type(process))}, dt)
