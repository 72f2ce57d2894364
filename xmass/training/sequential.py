"""Layers that map whole series, and networks of them: what the Trainer trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from xmass.core.model import declared_parameters, replace

Arrays = dict[str, jax.Array]
Initializer = Callable[..., Any]
"""``init(key, shape, dtype)``, as those of ``jax.nn.initializers``."""


class Weight(NamedTuple):
    """An array of a layer: its dims ("input", "unit", "unit_from"), shape, initialiser and unit; ``fixed`` ones are not trained."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    init: Initializer
    unit: str = "1"
    fixed: bool = False


class Record(NamedTuple):
    """Something inside a layer that ``predict(record=...)`` can show, ``(time, batch, unit)``."""

    name: str
    unit: str
    meaning: str = ""


class Layer(eqx.Module):
    """A map from series ``(time, batch, input)`` to series ``(time, batch, output)``, every one from its own start.

    A subclass says which arrays it has for a number of inputs, and what it does with them. Fields declared with
    :func:`xmass.core.model.parameter` are its parameters: when :meth:`run` is called they are numbers in their declared unit.

    Examples
    --------
    >>> import xmass as xm
    >>> class Differences(xm.training.Layer):
    ...     def size(self, inputs):
    ...         return inputs
    ...
    ...     def run(self, w, x, dt):
    ...         return x - x[:1], {}
    >>> xm.training.Sequential(Differences(), xm.training.Linear(2)).names
    ('differences', 'linear')
    """

    records: ClassVar[tuple[Record, ...]] = ()
    uses_time: ClassVar[bool] = False
    """Whether :meth:`run` reads ``dt`` in ms: then the data must have time in a unit of time."""

    name: str | None = eqx.field(default=None, static=True, kw_only=True)

    def size(self, inputs: int) -> int:
        """How many outputs there are for a number of inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define size(self, inputs).")

    def weights(self, inputs: int) -> dict[str, Weight]:
        """The arrays that belong to the layer, by name."""
        return {}

    def run(self, w: Arrays, x: jax.Array, dt: Any) -> tuple[jax.Array, Arrays]:
        """Outputs, and every record ``(time, batch, unit)`` by name; outputs without time if the layer ends it."""
        raise NotImplementedError(f"{type(self).__name__} must define run(self, w, x, dt).")


class Recurrent(Layer):
    """A layer that goes through time step by step; what does not depend on the state is computed for all times at once."""

    def start(self, w: Arrays, batch: int, dtype: Any) -> Any:
        """The state before the first sample: arrays ``(batch, unit)``."""
        raise NotImplementedError(f"{type(self).__name__} must define start(self, w, batch, dtype).")

    def drive(self, w: Arrays, x: jax.Array) -> jax.Array:
        """What :meth:`step` takes of the inputs ``(time, batch, input)``, by default themselves."""
        return x

    def step(self, w: Arrays, state: Any, drive: jax.Array, dt: Any) -> tuple[Any, jax.Array, Arrays]:
        """The state, the output and the records after one sample."""
        raise NotImplementedError(f"{type(self).__name__} must define step(self, w, state, drive, dt).")

    def run(self, w: Arrays, x: jax.Array, dt: Any) -> tuple[jax.Array, Arrays]:
        """All steps, in one scan."""
        if x.ndim != 3:
            raise ValueError(f"{type(self).__name__} goes through time, and a layer before it ended time: put OverTime behind it.")

        def body(state: Any, drive: jax.Array) -> tuple[Any, tuple[jax.Array, Arrays]]:
            state, y, seen = self.step(w, state, drive, dt)
            return state, (y, seen)

        return lax.scan(body, self.start(w, x.shape[1], x.dtype), self.drive(w, x))[1]


class Sequential(eqx.Module):
    """Layers one after another.

    Parameters
    ----------
    *layers : Layer
        In the order of the signal. Each is called by its ``name``, or by its class in lower case, numbered where there are several.

    Raises
    ------
    TypeError, ValueError
        For something that is no layer, no layer at all, or a name given twice.

    Examples
    --------
    >>> import xmass as xm
    >>> t = xm.training
    >>> t.Sequential(t.RNN(100), t.Linear()).names
    ('rnn', 'linear')
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"a {type(layer).__name__} is no layer: xm.training.Sequential(xm.training.RNN(100), xm.training.Linear())."
                )
        if not layers:
            raise ValueError("a network needs at least one layer: xm.training.Sequential(xm.training.Linear()).")
        self.layers = tuple(layers)
        wrong = [name for name in self.names if not name or any(c in name for c in "/.")]
        if wrong:
            raise ValueError(f"a layer is named {wrong[0]!r}, needs a name without '/' and '.', which part the names of arrays.")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"the layers are named {list(self.names)}, needs different names: give them with name=.")

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each layer."""
        plain = [layer.name or type(layer).__name__.lower() for layer in self.layers]
        given = [layer.name is not None for layer in self.layers]
        made, seen = [], dict.fromkeys(plain, 0)
        for name, own in zip(plain, given, strict=True):
            count = sum(n == name and not g for n, g in zip(plain, given, strict=True))
            made.append(name if own or count == 1 else f"{name}_{seen[name]}")
            seen[name] += not own
        return tuple(made)

    def weights(self, inputs: int) -> dict[str, Weight]:
        """Every array of every layer by ``<layer>.<array>``, for a number of inputs."""
        found: dict[str, Weight] = {}
        for name, layer in zip(self.names, self.layers, strict=True):
            found |= {f"{name}.{own}": weight for own, weight in layer.weights(inputs).items()}
            inputs = layer.size(inputs)
        return found

    def init(self, inputs: int, key: jax.Array, dtype: Any = jnp.float32) -> Arrays:
        """Draw all arrays; each has a key of its own."""
        declared = self.weights(inputs)
        keys = jax.random.split(key, max(len(declared), 1))
        return {path: jnp.asarray(w.init(k, w.shape, dtype), dtype) for (path, w), k in zip(declared.items(), keys, strict=False)}

    def apply(self, values: Mapping[str, Any], x: jax.Array, dt: Any) -> tuple[jax.Array, Arrays]:
        """Outputs and records of inputs ``(time, batch, input)``.

        Parameters
        ----------
        values : mapping
            Arrays by ``<layer>.<array>``, and every declared parameter whose value is to be replaced by ``<layer>.<parameter>``.
        x : Array
            The inputs.
        dt : float
            The time between samples, in ms for layers that use time.

        Returns
        -------
        tuple
            The last layer's outputs, and records by ``<layer>.<record>``.
        """
        records: Arrays = {}
        for name, layer in zip(self.names, self.layers, strict=True):
            own = {path.removeprefix(f"{name}."): v for path, v in values.items() if path.startswith(f"{name}.")}
            numbers = {d.name: own.pop(d.name) for d in declared_parameters(layer) if d.name in own}
            x, seen = (replace(layer, numbers) if numbers else layer).run(own, x, dt)
            records |= {f"{name}.{what}": value for what, value in seen.items()}
        return x, records
