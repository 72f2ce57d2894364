"""Optimisers: those of optax, with a learning rate that can be read and that may differ between runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from xmass.fit.backend import extra

NAMES = ("adam", "adamw", "adagrad", "adadelta", "adan", "lamb", "lars", "lion", "nadam", "radam", "rmsprop", "sgd", "sm3")


def optax() -> Any:
    """The module, or what to install."""
    return extra("optax", "training by gradient descent", "training")


@dataclass(frozen=True)
class adam:
    r"""Adam with its constant where you say it is; a function of the learning rate, for ``Trainer(optimizer=...)``.

    Parameters
    ----------
    b1, b2 : float
        Decay of the means of gradients and of their squares.
    eps, eps_root : float
        The form of optax and of the paper's Algorithm 1: :math:`\hat m / (\sqrt{\hat v + \epsilon_{root}} + \epsilon)`.
    eps_hat : float, optional
        The other form, in which the constant is added before the correction of the bias,
        :math:`\sqrt{1-\beta_2^t}/(1-\beta_1^t)\; m / (\sqrt v + \hat\epsilon)`. The two agree for tiny constants only: at 0.1 early
        steps differ up to 30 times.

    Raises
    ------
    ValueError
        If both forms are given, or a number is out of its range.

    References
    ----------
    Kingma and Ba (2015), section 2, arXiv:1412.6980.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.training.adam(eps_hat=0.1)
    adam(b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, eps_hat=0.1)
    """

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    eps_root: float = 0.0
    eps_hat: float | None = None

    def __post_init__(self) -> None:
        for name in ("b1", "b2"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name}={getattr(self, name)!r}, needs a number from 0 to below 1.")
        for name in ("eps", "eps_root", "eps_hat"):
            if getattr(self, name) is not None and not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}={getattr(self, name)!r}, needs a number that is not negative.")
        if self.eps_hat is not None and (self.eps != 1e-8 or self.eps_root != 0.0):
            raise ValueError("eps_hat= is another form than eps= and eps_root=: give one of them.")

    def __call__(self, learning_rate: Any) -> Any:
        """The gradient transformation."""
        if self.eps_hat is None:
            return optax().adam(learning_rate, b1=self.b1, b2=self.b2, eps=self.eps, eps_root=self.eps_root)
        return optax().chain(self._hat(self.eps_hat), optax().scale_by_learning_rate(learning_rate))

    def _hat(self, eps_hat: float) -> Any:
        def init(params: Any) -> Any:
            zeros = jax.tree.map(jnp.zeros_like, params)
            return optax().ScaleByAdamState(jnp.zeros([], jnp.int32), zeros, zeros)

        def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            count = state.count + jnp.ones_like(state.count)
            mu = jax.tree.map(lambda m, g: self.b1 * m + (1.0 - self.b1) * g, state.mu, gradient)
            nu = jax.tree.map(lambda v, g: self.b2 * v + (1.0 - self.b2) * g**2, state.nu, gradient)

            def step(m: jax.Array, v: jax.Array) -> jax.Array:
                t = count.astype(m.dtype)
                correction = jnp.sqrt(1.0 - self.b2**t) / (1.0 - self.b1**t)
                return correction * m / (jnp.sqrt(v) + eps_hat)

            return jax.tree.map(step, mu, nu), optax().ScaleByAdamState(count, mu, nu)

        return optax().GradientTransformation(init, update)


def is_transformation(given: Any) -> bool:
    """Whether something is an optimiser already, not a function that makes one."""
    return callable(getattr(given, "init", None)) and callable(getattr(given, "update", None))


def factory_of(optimizer: Any) -> Callable[[Any], Any]:
    """The function of the learning rate that a name or a function stands for."""
    if isinstance(optimizer, str):
        if optimizer not in NAMES:
            raise ValueError(
                f"optimizer={optimizer!r}, needs one of {', '.join(map(repr, NAMES))}, or a function such as optax.{NAMES[0]}."
            )
        return adam() if optimizer == "adam" else getattr(optax(), optimizer)
    if optimizer is adam:
        raise TypeError("optimizer is the class adam, needs an object: xm.training.adam().")
    if not callable(optimizer):
        raise TypeError(
            f"optimizer is {optimizer!r}, needs an optimiser of optax (optax.adam(1e-3)), a function of the learning rate "
            "(optax.adam), or a name."
        )
    return optimizer


def built(optimizer: Any, learning_rate: Any, dtype: Any) -> Any:
    """The gradient transformation; its state holds the learning rate, unless it was given whole.

    ``learning_rate`` is a number, which the state of each run may replace, or a schedule: update t takes ``schedule(t - 1)``.
    """
    if is_transformation(optimizer):
        return optax().with_extra_args_support(optimizer)
    factory = factory_of(optimizer)

    def made(learning_rate: Any) -> Any:
        found = factory(learning_rate)
        if not is_transformation(found):
            raise TypeError(f"optimizer={optimizer!r} made a {type(found).__name__} of a learning rate, needs an optimiser of optax.")
        return found

    return optax().inject_hyperparams(made, hyperparam_dtype=dtype)(learning_rate=learning_rate)


def rate_in(state: Any) -> Any:
    """The learning rate of the last update in the state of an optimiser, None if it is not there."""
    found = getattr(state, "hyperparams", None)
    if isinstance(found, dict) and "learning_rate" in found:
        return found["learning_rate"]
    if isinstance(state, tuple):
        return next((r for part in state if (r := rate_in(part)) is not None), None)
    return None


def with_rate(state: Any, rate: Any) -> Any:
    """The state of an optimiser with another learning rate."""
    return state._replace(hyperparams={**state.hyperparams, "learning_rate": rate})
