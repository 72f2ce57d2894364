"""Losses and metrics: what a Trainer makes small, and what it reports beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from xmass.core.model import parameter
from xmass.fit.backend import extra

Weights = Mapping[str, jax.Array]


def _optax() -> Any:
    return extra("optax", "training by gradient descent", "training")


class Loss(eqx.Module):
    """A number to be made small, from outputs, targets and trained arrays.

    Outputs are ``(time, batch, output)``, without time where a layer ends it; targets have the same shape, or are whole numbers
    ``(time, batch)`` that count classes. A subclass is optional: any function ``f(output, target, weights)`` of arrays is a loss.

    Parameters
    ----------
    weight : float or DataArray
        Factor in the sum of losses.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> class Largest(xm.training.Loss):
    ...     def value(self, output, target, weights):
    ...         return jnp.max(jnp.abs(output - target))
    >>> float(Largest(weight=2.0)(jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 3.0]]), {}))
    4.0
    """

    of: ClassVar[str] = "numbers"
    """What targets it is made for: "numbers", "classes", or "nothing" where it reads the weights alone."""

    weight: Any = parameter(1.0, "1", "factor of this loss in the sum")

    def value(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """The loss before its factor."""
        raise NotImplementedError(f"{type(self).__name__} must define value(self, output, target, weights).")

    def __call__(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """The loss: a scalar."""
        return self.weight * self.value(output, target, weights)


class MeanSquaredError(Loss):
    """Mean of the squared difference over all entries.

    Parameters
    ----------
    weight : float or DataArray
        Factor in the sum of losses.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> float(xm.training.MeanSquaredError()(jnp.array([[1.0]]), jnp.array([[3.0]]), {}))
    4.0
    """

    def value(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """Mean of the squared difference."""
        return jnp.mean((output - target) ** 2)


class MeanAbsoluteError(Loss):
    """Mean of the absolute difference over all entries.

    Parameters
    ----------
    weight : float or DataArray
        Factor in the sum of losses.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> float(xm.training.MeanAbsoluteError()(jnp.array([[1.0]]), jnp.array([[3.0]]), {}))
    2.0
    """

    def value(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """Mean of the absolute difference."""
        return jnp.mean(jnp.abs(output - target))


class Huber(Loss):
    r"""Squared for small differences, absolute for large ones: the mean of :math:`d^2/2` below ``delta``,
    and of :math:`\delta (|d| - \delta/2)` above.

    Parameters
    ----------
    weight : float or DataArray
        Factor in the sum of losses.
    delta : float or DataArray
        Where it goes from one to the other, in the units of the targets.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> float(xm.training.Huber()(jnp.array([[1.0]]), jnp.array([[3.0]]), {}))
    1.5
    """

    delta: Any = parameter(1.0, "1", "difference from which on the loss is linear")

    def value(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """Mean of Huber's function of the difference."""
        with jax.numpy_dtype_promotion("standard"):  # optax is written for it
            return jnp.mean(_optax().huber_loss(output, target, delta=self.delta)).astype(output.dtype)


class CrossEntropy(Loss):
    """Cross-entropy of logits, the mean over the batch and, if the outputs have it, time.

    Parameters
    ----------
    weight : float or DataArray
        Factor in the sum of losses.
    label_smoothing : float
        Part of the probability that is spread evenly over all classes.

    Notes
    -----
    Targets are classes, or probabilities of them in as many columns as there are outputs.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> float(xm.training.CrossEntropy()(jnp.zeros((1, 4)), jnp.array([2]), {}) / jnp.log(4.0))
    1.0
    """

    of: ClassVar[str] = "classes"

    label_smoothing: Any = parameter(0.0, "1", "part of the probability that is spread over all classes")

    def __check_init__(self) -> None:
        part = self.label_smoothing
        if isinstance(part, (int, float)) and not 0 <= part < 1:
            raise ValueError(f"label_smoothing={part!r}, needs a part: from 0 to below 1.")

    def value(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """Mean cross-entropy."""
        _check_classes("CrossEntropy", output, target)
        optax = _optax()
        smooth = not isinstance(self.label_smoothing, (int, float)) or self.label_smoothing != 0
        with jax.numpy_dtype_promotion("standard"):  # optax is written for it
            if jnp.issubdtype(target.dtype, jnp.integer) and not smooth:
                return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(output, target))
            if jnp.issubdtype(target.dtype, jnp.integer):
                target = jax.nn.one_hot(target, output.shape[-1], dtype=output.dtype)
            target = optax.smooth_labels(target, self.label_smoothing).astype(output.dtype) if smooth else target
            return jnp.mean(optax.softmax_cross_entropy(output, target))


class L2(Loss):
    """Sum of the squares of all trained arrays, biases and initial states included, times ``weight``.

    Parameters
    ----------
    weight : float or DataArray
        Factor.

    Notes
    -----
    Trained parameters (:class:`~xmass.Param`) have units and are left out: they have a penalty of their own, ``reg=``.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> x = jnp.zeros((1, 1))
    >>> float(xm.training.L2(0.5)(x, x, {"linear.weight": jnp.array([[1.0, 3.0]])}))
    5.0
    """

    of: ClassVar[str] = "nothing"

    def value(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """Sum of squares."""
        return sum((jnp.sum(w**2) for w in weights.values()), jnp.zeros((), output.dtype))


class L1(Loss):
    """Sum of the absolute values of all trained arrays, times ``weight``.

    Parameters
    ----------
    weight : float or DataArray
        Factor.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> x = jnp.zeros((1, 1))
    >>> float(xm.training.L1(0.5)(x, x, {"linear.weight": jnp.array([[1.0, -3.0]])}))
    2.0
    """

    of: ClassVar[str] = "nothing"

    def value(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """Sum of absolute values."""
        return sum((jnp.sum(jnp.abs(w)) for w in weights.values()), jnp.zeros((), output.dtype))


class Accuracy(eqx.Module):
    """Part of the targets whose class has the largest output.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> float(xm.training.Accuracy()(jnp.array([[0.1, 2.0], [0.3, 0.1]]), jnp.array([1, 1]), {}))
    0.5
    """

    def __call__(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """Part of the targets that are met."""
        _check_classes("Accuracy", output, target)
        if not jnp.issubdtype(target.dtype, jnp.integer):
            target = jnp.argmax(target, axis=-1)
        return jnp.mean((jnp.argmax(output, axis=-1) == target).astype(output.dtype))


class R2(eqx.Module):
    """Coefficient of determination: 1 less the squared error over the variance of the targets, each output around its own mean.

    Examples
    --------
    >>> import jax.numpy as jnp, xmass as xm
    >>> float(xm.training.R2()(jnp.array([[1.0], [3.0]]), jnp.array([[0.0], [4.0]]), {}))
    0.75
    """

    def __call__(self, output: jax.Array, target: jax.Array, weights: Weights) -> jax.Array:
        """The coefficient."""
        around = target - jnp.mean(target, axis=tuple(range(target.ndim - 1)), keepdims=True)
        return 1.0 - jnp.sum((output - target) ** 2) / jnp.sum(around**2)


def _check_classes(name: str, output: jax.Array, target: jax.Array) -> None:
    """Refuse one column: the largest of one output is always that one."""
    if output.shape[-1] < 2:
        raise ValueError(
            f"{name} has one output and targets of {target.dtype}, needs classes: whole numbers, booleans or text, as in "
            "ds.y.astype(int), or a column of probabilities for each of two or more."
        )
