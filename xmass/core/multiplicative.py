"""White noise whose size is a function of the state, in the two calculi."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from xmass.core.model import Value, parameter
from xmass.core.noise import Draw, Noise

Amplitude = Callable[[Any], Any]
"""The factor of the noise of one region: a function of its state, ``s.x`` a number."""


class ItoNoise(Noise):
    r"""White noise of the size of a function of the state, in the sense of Itô: :math:`dx = f\,dt + \sigma\,g(x)\,dW`.

    The increment of a step, :math:`\sigma\,g(x_n)\sqrt{dt}\,\xi`, has the size at its start and is used in every stage of the scheme.
    Only for an input that is added to the derivative of a state.

    Parameters
    ----------
    sigma : float or DataArray
        Standard deviation per square root of time where the amplitude is 1, in the input's unit times √ms.
    amplitude : callable
        :math:`g`, a function of the state of a region, ``lambda s: s.x``, written with :mod:`jax.numpy`. It is given the states as plain
        numbers in their units and returns a number without unit. It sees one region of one run.
    covariance : DataArray, optional
        Covariance between regions ``(region, region_other)``, in units of ``sigma`` squared; independent regions without it.

    References
    ----------
    Kloeden and Platen (1992), doi:10.1007/978-3-662-12616-5.

    Examples
    --------
    >>> import xmass as xm
    >>> node = xm.LinearStep(gamma=-0.1, noise_x=xm.ItoNoise(sigma=0.3, amplitude=lambda s: s.x))
    >>> xm.Simulator(node, dt=0.1).run(10.0, seed=1).x.sizes["time"]
    100
    """

    white: ClassVar[bool] = True

    sigma: Value = parameter(1.0, "input*ms^0.5", "noise amplitude where the function of the state is 1")
    amplitude: Amplitude | None = eqx.field(default=None, kw_only=True, static=True, metadata={"of_state": True})

    def factors(self, dt: Any) -> dict[str, Any]:
        return {"spread": self.sigma * jnp.sqrt(dt)}

    def increment(self, draw: Draw, factors: dict[str, Any], s: SimpleNamespace, ahead: SimpleNamespace) -> Any:
        return draw(factors["spread"] * _each(self.amplitude, s))


class StratonovichNoise(Noise):
    r"""White noise of the size of a function of the state, in the sense of Stratonovich: :math:`dx = f\,dt + \sigma\,g(x)\circ dW`.

    What the limit of fast noise with a correlation time gives. The increment of a step is
    :math:`\tfrac12\sigma\,(g(x_n) + g(x_n + \Delta_n))\sqrt{dt}\,\xi`, where :math:`\Delta_n` is the step that
    all white noises would take with the size that they have at :math:`x_n`; it is used in every stage of the scheme. Only for an
    input that is added to the derivative of a state.

    Parameters
    ----------
    sigma : float or DataArray
        Standard deviation per square root of time where the amplitude is 1, in the input's unit times √ms.
    amplitude : callable
        :math:`g`, a function of the state of a region, ``lambda s: s.x``, written with :mod:`jax.numpy`. It is given the states as plain
        numbers in their units and returns a number without unit. It sees one region of one run.
    covariance : DataArray, optional
        Covariance between regions ``(region, region_other)``, in units of ``sigma`` squared; independent regions without it.

    References
    ----------
    Kloeden and Platen (1992), doi:10.1007/978-3-662-12616-5.

    Examples
    --------
    >>> import xmass as xm
    >>> node = xm.LinearStep(gamma=-0.1, noise_x=xm.StratonovichNoise(sigma=0.3, amplitude=lambda s: s.x))
    >>> xm.Simulator(node, dt=0.1).run(10.0, seed=1).x.sizes["time"]
    100
    """

    white: ClassVar[bool] = True
    looks_ahead: ClassVar[bool] = True

    sigma: Value = parameter(1.0, "input*ms^0.5", "noise amplitude where the function of the state is 1")
    amplitude: Amplitude | None = eqx.field(default=None, kw_only=True, static=True, metadata={"of_state": True})

    def factors(self, dt: Any) -> dict[str, Any]:
        return {"spread": self.sigma * jnp.sqrt(dt)}

    def increment(self, draw: Draw, factors: dict[str, Any], s: SimpleNamespace, ahead: SimpleNamespace) -> Any:
        return draw(factors["spread"] * (0.5 * (_each(self.amplitude, s) + _each(self.amplitude, ahead))))


def _each(amplitude: Amplitude | None, s: SimpleNamespace) -> Any:
    """The amplitude of every region and run by itself, so that it cannot mix them."""
    assert amplitude is not None

    def one(states: dict[str, Any]) -> Any:
        like = next(iter(states.values()))
        return jnp.asarray(amplitude(SimpleNamespace(**states))).astype(like.dtype)

    return jax.vmap(jax.vmap(one))(vars(s))
