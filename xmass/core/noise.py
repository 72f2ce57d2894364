"""Noise: counter-based normal numbers, and the processes made of them.

A draw is keyed by (seed, stream) and counted by (absolute step, region), so it does not depend on how a run is cut into
blocks, tiles or chunks. The generator is Threefry-2x32 with 20 rounds (Salmon et al. 2011, doi:10.1145/2063384.2063405),
turned into pairs of normal numbers by the transform of Box and Muller (1958, doi:10.1214/aoms/1177706645). Everything here
is float32, whatever the precision of the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from xmass.core.model import Value, parameter

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def key_words(seed: int, stream: str) -> np.ndarray:
    """Two 32-bit key words of a seed (any non-negative integer) and a stream name, made on the host."""
    digest = hashlib.blake2b(f"{int(seed)}/{stream}".encode(), digest_size=8, person=b"xmass-noise").digest()
    return np.frombuffer(digest, dtype="<u4").astype(np.uint32)


def trial_seeds(seed: int, n: int) -> np.ndarray:
    """The seeds of ``n`` trials: a hash of (seed, i), non-negative 63-bit integers."""
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(f"{int(seed)}/{i}".encode(), digest_size=8, person=b"xmass-trial").digest(), "little") >> 1
            for i in range(n)
        ],
        dtype=np.int64,
    )


def threefry(k0: jax.Array, k1: jax.Array, c0: jax.Array, c1: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Threefry-2x32, 20 rounds: two uint32 words of key ``(k0, k1)`` and counter ``(c0, c1)``, broadcast together."""
    k2 = k0 ^ k1 ^ _PARITY
    keys = (k0, k1, k2)
    x0, x1 = c0 + k0, c1 + k1
    for group in range(5):
        for r in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << np.uint32(r)) | (x1 >> np.uint32(32 - r))
            x1 = x0 ^ x1
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def _box_muller(a: jax.Array, b: jax.Array) -> jax.Array:
    """Two words to two independent standard normal numbers, as one complex number.

    The radius comes from the top 24 bits of ``a``; the angle from ``b``: 30 bits within ±pi/4 and two bits for the quadrant,
    so the polynomials need no range reduction.
    """
    f32 = np.float32
    uniform = ((a >> np.uint32(8)).astype(jnp.float32) + f32(0.5)) * f32(2.0**-24)
    radius = jnp.sqrt(f32(-2.0) * jnp.log(uniform))
    t = ((b & np.uint32(0x3FFFFFFF)).astype(jnp.float32) * f32(2.0**-30) - f32(0.5)) * f32(np.pi / 2)
    t2 = t * t
    sine = t * (f32(1.0) + t2 * (f32(-1 / 6) + t2 * (f32(1 / 120) + t2 * f32(-1 / 5040))))
    cosine = f32(1.0) + t2 * (f32(-0.5) + t2 * (f32(1 / 24) + t2 * (f32(-1 / 720) + t2 * f32(1 / 40320))))
    swap = (b >> np.uint32(31)) == np.uint32(1)
    sign = jnp.where((b >> np.uint32(30)) & np.uint32(1) == np.uint32(1), f32(-1.0), f32(1.0))
    x = jnp.where(swap, -sine, cosine) * sign * radius
    y = jnp.where(swap, cosine, sine) * sign * radius
    return lax.complex(x, y)


def normal_pairs(keys: jax.Array, first_step: jax.Array, n_steps: int, n_regions: int) -> jax.Array:
    """Complex ``(step, ceil(region / 2), run)``: the real parts belong to the first half of the regions."""
    half = -(-n_regions // 2)
    steps = first_step.astype(jnp.uint32) + lax.iota(jnp.uint32, n_steps)
    pairs = lax.iota(jnp.uint32, half)
    shape = (n_steps, half, keys.shape[1])
    k0 = jnp.broadcast_to(keys[0][None, None, :], shape)
    k1 = jnp.broadcast_to(keys[1][None, None, :], shape)
    c0 = jnp.broadcast_to(steps[:, None, None], shape)
    c1 = jnp.broadcast_to(pairs[None, :, None], shape)
    return _box_muller(*threefry(k0, k1, c0, c1))


def unpack(pairs: jax.Array, n_regions: int) -> jax.Array:
    """Normal numbers ``(region, run)`` of one step from its pairs."""
    return jnp.concatenate([pairs.real, pairs.imag], axis=0)[:n_regions]


def stationary_normals(keys: jax.Array, count: int, n_regions: int) -> jax.Array:
    """Normal numbers ``(count, region, run)`` for initial values, from counters that no step uses."""
    first = jnp.full((), 0x100000000 - count, jnp.uint32)
    pairs = normal_pairs(keys, first, count, n_regions)[::-1]
    return jnp.concatenate([pairs.real, pairs.imag], axis=1)[:, :n_regions]


def initial_uniform(keys: jax.Array, n_regions: int) -> jax.Array:
    """One uniform number in (0, 1) per region and run, float32."""
    shape = (n_regions, keys.shape[1])
    index = jnp.broadcast_to(lax.iota(jnp.uint32, n_regions)[:, None], shape)
    k0, k1 = jnp.broadcast_to(keys[0], shape), jnp.broadcast_to(keys[1], shape)
    word, _ = threefry(k0, k1, jnp.full(shape, 0xFFFFFFFE, jnp.uint32), index)
    return ((word >> np.uint32(8)).astype(jnp.float32) + np.float32(0.5)) * np.float32(2.0**-24)


Draw = Callable[[Any], Any]
"""The step's normal numbers, one per region and run, times what it is called with: a product that rounds alike in every run."""


class Noise(eqx.Module):
    """A noise on an input: what the engine asks of a process, which it does not know otherwise.

    A process takes one normal number per step, region and run. ``white`` noise turns it into an :meth:`increment` of the state of
    the input's name; other noise :meth:`advance` s what it has ``carried`` and gives a value that is added to the input and held over
    the step. All methods are pure functions of arrays ``(region, run)``; parameters are such arrays when they are called.

    ``covariance``, a matrix over regions in units of ``sigma`` squared, correlates the numbers of the regions; without it they are
    independent.
    """

    white: ClassVar[bool] = False
    looks_ahead: ClassVar[bool] = False
    """The increment depends on the state after all increments; the engine then asks a second time."""
    carried: ClassVar[dict[str, str]] = {}
    """Unit of each array that is carried from step to step, by its name; the one called "" goes by the name of the noise."""
    start_draws: ClassVar[int] = 0
    """Normal numbers per region and run that :meth:`start` takes."""

    covariance: Any = eqx.field(default=None, kw_only=True)

    def factors(self, dt: Any) -> dict[str, Any]:
        """What every step needs of the parameters, computed once."""
        return {}

    def start(self, dt: Any, draws: Any) -> dict[str, Any]:
        """What is carried into the first step, from ``draws`` of shape ``(start_draws, region, run)``."""
        return {}

    def advance(self, carry: dict[str, Any], draw: Draw, factors: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The value that is held over a step, and what is carried into the next."""
        raise NotImplementedError(f"{type(self).__name__} must define advance(self, carry, draw, factors), or be white.")

    def increment(self, draw: Draw, factors: dict[str, Any], s: SimpleNamespace, ahead: SimpleNamespace) -> Any:
        """What a step adds to the state ``s``. ``ahead`` is ``s`` with all increments, the first time that it is asked ``s`` itself."""
        raise NotImplementedError(f"{type(self).__name__} must define increment(self, draw, factors, s, ahead), or not be white.")


class WhiteNoise(Noise):
    r"""Additive white noise, :math:`dx = f\,dt + \sigma\,dW`.

    Only for an input that is added to the derivative of a state (one with the state's name). The increment of a step of
    length :math:`dt` is :math:`\sigma\sqrt{dt}\,\xi`; Heun's method uses the same increment in both stages.

    Parameters
    ----------
    sigma : float or DataArray
        Standard deviation per square root of time, in the input's unit times √ms.
    covariance : DataArray, optional
        Covariance between regions ``(region, region_other)``, in units of ``sigma`` squared; independent regions without it.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.HopfStep(noise_x=xm.WhiteNoise(sigma=0.01)).noise_x.sigma
    0.01
    """

    white: ClassVar[bool] = True
    sigma: Value = parameter(1.0, "input*ms^0.5", "noise amplitude")

    def factors(self, dt: Any) -> dict[str, Any]:
        return {"spread": self.sigma * jnp.sqrt(dt)}

    def increment(self, draw: Draw, factors: dict[str, Any], s: SimpleNamespace, ahead: SimpleNamespace) -> Any:
        return draw(factors["spread"])


class OUProcess(Noise):
    r"""Ornstein-Uhlenbeck noise, :math:`d\eta = (\mu-\eta)\,dt/\tau + \sigma\sqrt{2/\tau}\,dW`, advanced exactly.

    ``sigma`` is the stationary standard deviation. The process starts from its stationary distribution unless
    ``initial.noise_<input>`` is given, and is held over each step (Gillespie 1996, doi:10.1103/PhysRevE.54.2084).

    Parameters
    ----------
    sigma, mean : float or DataArray
        Stationary standard deviation and mean, in the input's unit.
    tau : float, Quantity or DataArray
        Correlation time [ms].
    covariance : DataArray, optional
        Covariance between regions ``(region, region_other)``, in units of ``sigma`` squared; independent regions without it.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.HopfStep(noise_x=xm.OUProcess(sigma=0.1, tau=20.0)).noise_x.tau
    20.0
    """

    carried: ClassVar[dict[str, str]] = {"": "input"}
    start_draws: ClassVar[int] = 1

    sigma: Value = parameter(1.0, "input", "stationary standard deviation")
    tau: Value = parameter(10.0, "ms", "correlation time")
    mean: Value = parameter(0.0, "input", "mean")

    def factors(self, dt: Any) -> dict[str, Any]:
        spread = self.sigma * jnp.sqrt(-jnp.expm1(-2.0 * dt / self.tau))
        return {"spread": spread, "decay": jnp.exp(-dt / self.tau), "mean": self.mean}

    def start(self, dt: Any, draws: Any) -> dict[str, Any]:
        return {"": self.mean + self.sigma * draws[0]}

    def advance(self, carry: dict[str, Any], draw: Draw, factors: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        mean = factors["mean"]
        return carry[""], {"": mean + (carry[""] - mean) * factors["decay"] + draw(factors["spread"])}


class BrownianNoise(Noise):
    r"""Brownian motion, :math:`d\eta = \sigma\,dW` from :math:`\eta(0) = 0`, added to an input.

    Advanced exactly and held over each step. Its variance :math:`\sigma^2 t` grows without bound: for a process that stays, take
    :class:`OUProcess` with a long ``tau``. Another start is ``initial.noise_<input>``.

    Parameters
    ----------
    sigma : float or DataArray
        Standard deviation per square root of time, in the input's unit per √ms.
    covariance : DataArray, optional
        Covariance between regions ``(region, region_other)``, in units of ``sigma`` squared; independent regions without it.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.Simulator(xm.HopfStep(noise_x=xm.BrownianNoise(sigma=0.01)), dt=0.1).parameters()["noise_x.sigma"].attrs["units"]
    '1/ms^1.5'
    """

    carried: ClassVar[dict[str, str]] = {"": "input"}

    sigma: Value = parameter(1.0, "input/ms^0.5", "noise amplitude")

    def factors(self, dt: Any) -> dict[str, Any]:
        return {"spread": self.sigma * jnp.sqrt(dt)}

    def start(self, dt: Any, draws: Any) -> dict[str, Any]:
        return {"": jnp.zeros_like(self.sigma)}

    def advance(self, carry: dict[str, Any], draw: Draw, factors: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return carry[""], {"": carry[""] + draw(factors["spread"])}


class GaussianNoise(Noise):
    r"""One independent number :math:`\sigma\xi` for each step, added to an input and held over the step.

    ``sigma`` is **not** scaled by :math:`\sqrt{dt}`: the effect on a state has the diffusion :math:`\sigma^2 dt` and vanishes with dt.
    A model's results then depend on dt; for noise that has a meaning of its own take :class:`WhiteNoise`, to which this is equal at
    one dt, :math:`\sigma_{white} = \sigma\sqrt{dt}`.

    Parameters
    ----------
    sigma : float or DataArray
        Standard deviation of each number, in the input's unit.
    covariance : DataArray, optional
        Covariance between regions ``(region, region_other)``, in units of ``sigma`` squared; independent regions without it.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.HopfStep(noise_x=xm.GaussianNoise(sigma=0.1)).noise_x.sigma
    0.1
    """

    sigma: Value = parameter(1.0, "input", "standard deviation in each step")

    def factors(self, dt: Any) -> dict[str, Any]:
        return {"spread": self.sigma}

    def advance(self, carry: dict[str, Any], draw: Draw, factors: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return draw(factors["spread"]), {}
