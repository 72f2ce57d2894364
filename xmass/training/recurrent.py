"""Linear layers, recurrent cells, and what ends time."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.nn import initializers

from xmass.core.model import declared_parameters, parameter_value
from xmass.core.param import Param
from xmass.training.sequential import Arrays, Initializer, Layer, Record, Recurrent, Weight

Activation = Literal["relu", "tanh"] | Callable[[jax.Array], jax.Array]
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"relu": jax.nn.relu, "tanh": jnp.tanh}
ENDS = ("last", "max", "mean")
GLOROT, ORTHOGONAL = initializers.glorot_normal(), initializers.orthogonal()


def check_units(layer: Any, units: Any, what: str = "units") -> None:
    """Refuse a number of units, or of something else, that is no positive whole number."""
    kind = type(layer).__name__
    try:
        number = 0 if isinstance(units, bool) else operator.index(units)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{what}={units!r}, needs a whole number, at least 1: xm.training.{kind}(..., {what}=10).")


def check_initialisers(**given: Any) -> None:
    """Refuse what is no function ``(key, shape, dtype)``."""
    for name, init in given.items():
        if not callable(init):
            raise TypeError(
                f"{name} is {init!r}, needs a function of (key, shape, dtype), as those of jax.nn.initializers: "
                f"{name}=jax.nn.initializers.constant({init!r})."
                if isinstance(init, int | float)
                else f"{name} is a {type(init).__name__}, needs a function of (key, shape, dtype): "
                f"{name}=jax.nn.initializers.glorot_normal()."
            )


def check_values(of: Any, units: int) -> None:
    """Refuse arrays of parameters that are neither one number nor one for each unit."""
    for d in declared_parameters(of):
        value = parameter_value(of, d.name)
        own = value.value if isinstance(value, Param) else value
        if isinstance(own, xr.DataArray):
            continue
        shape = np.shape(own) if isinstance(own, list | tuple) else tuple(getattr(own, "shape", ()))
        if shape and isinstance(value, Param):
            raise ValueError(f"{d.name} is a Param of shape {shape}, needs one number, which counts for all units: xm.Param(1.0).")
        if shape not in ((), (units,)):
            raise ValueError(f"{d.name} has shape {shape}, needs one number, or an array of shape {(units,)} with one for each unit.")


def tiled(w: Arrays, name: str, units: int, batch: int, dtype: Any) -> jax.Array:
    """An initial state ``(batch, unit)``: the array of that name for every one of the batch, zeros if the layer has none."""
    return jnp.broadcast_to(w[name], (batch, units)) if name in w else jnp.zeros((batch, units), dtype)


class Linear(Layer):
    """Weighted sums of the inputs of the same time, ``y = x W + b``.

    Parameters
    ----------
    units : int, optional
        How many outputs. Without it the layer is the last one, and the Trainer takes as many as the data have.
    bias : bool
        Whether there is a ``b``.
    init, bias_init : callable
        Initialisers ``(key, shape, dtype)``, by default Glorot's normal one and zeros.

    Raises
    ------
    ValueError, TypeError
        For a number of units that is no positive whole number, or something that is no initialiser.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.training.Linear(3).weights(2)["weight"].shape
    (2, 3)
    """

    units: int | None = eqx.field(default=None, static=True)
    bias: bool = eqx.field(default=True, static=True, kw_only=True)
    init: Initializer = eqx.field(default=GLOROT, static=True, kw_only=True)
    bias_init: Initializer = eqx.field(default=initializers.zeros, static=True, kw_only=True)

    def __check_init__(self) -> None:
        if self.units is not None:
            check_units(self, self.units)
        check_initialisers(init=self.init, bias_init=self.bias_init)

    def size(self, inputs: int) -> int:
        """The number of units."""
        if self.units is None:
            raise ValueError(
                "Linear() has no number of units, needs one: xm.training.Linear(10). Only the last layer may leave it to the data."
            )
        return self.units

    def weights(self, inputs: int) -> dict[str, Weight]:
        """``weight (input, unit)`` and ``bias (unit)``."""
        units = self.size(inputs)
        found = {"weight": Weight(("input", "unit"), (inputs, units), self.init)}
        return found | ({"bias": Weight(("unit",), (units,), self.bias_init)} if self.bias else {})

    def run(self, w: Arrays, x: jax.Array, dt: Any) -> tuple[jax.Array, Arrays]:
        """``x W + b``."""
        y = x @ w["weight"]
        return (y + w["bias"] if self.bias else y), {}


class OverTime(Layer):
    """Ends time: what comes after has one value for a series.

    Parameters
    ----------
    how : "last", "max" or "mean"
        Which value of each unit.

    Raises
    ------
    ValueError
        For another word.

    Examples
    --------
    >>> import numpy as np
    >>> import xmass as xm
    >>> series = np.array([1.0, 5.0, 3.0], "float32").reshape(3, 1, 1)  # time, batch, unit
    >>> float(xm.training.OverTime("mean").run({}, series, 1.0)[0][0, 0])
    3.0
    """

    how: Literal["last", "max", "mean"] = eqx.field(default="last", static=True)

    def __check_init__(self) -> None:
        if self.how not in ENDS:
            raise ValueError(f"how={self.how!r}, needs one of {', '.join(map(repr, ENDS))}: xm.training.OverTime('last').")

    def size(self, inputs: int) -> int:
        """As many as there are inputs."""
        return inputs

    def run(self, w: Arrays, x: jax.Array, dt: Any) -> tuple[jax.Array, Arrays]:
        """``(batch, unit)``."""
        if x.ndim != 3:
            raise ValueError(f"OverTime({self.how!r}) came after a layer that ended time already: leave one of the two out.")
        return {"last": lambda v: v[-1], "max": lambda v: v.max(axis=0), "mean": lambda v: v.mean(axis=0)}[self.how](x), {}


class RNN(Recurrent):
    r"""Recurrent network, :math:`h_t = f(x_t W_x + h_{t-1} W_h + b)`, whose output is the state.

    Parameters
    ----------
    units : int
        How many units.
    activation : "relu", "tanh" or callable
        The function f of an array.
    train_initial : bool
        Whether the state before the first sample is trained, one value for each unit and the same for every series; else it is 0.
    bias : bool
        Whether there is a ``b``.
    input_init, recurrent_init, bias_init, initial_init : callable
        Initialisers ``(key, shape, dtype)``, by default Glorot's normal one for both matrices and zeros.

    Raises
    ------
    ValueError, TypeError
        For a number of units that is no positive whole number, an activation or initialiser that is none.

    Examples
    --------
    >>> import xmass as xm
    >>> layer = xm.training.RNN(100, activation="tanh", train_initial=True)
    >>> {name: w.shape for name, w in layer.weights(2).items()}
    {'input': (2, 100), 'recurrent': (100, 100), 'bias': (100,), 'initial': (100,)}
    """

    records: ClassVar[tuple[Record, ...]] = (Record("h", "1", "state"),)

    units: int = eqx.field(static=True)
    activation: Activation = eqx.field(default="relu", static=True, kw_only=True)
    train_initial: bool = eqx.field(default=False, static=True, kw_only=True)
    bias: bool = eqx.field(default=True, static=True, kw_only=True)
    input_init: Initializer = eqx.field(default=GLOROT, static=True, kw_only=True)
    recurrent_init: Initializer = eqx.field(default=GLOROT, static=True, kw_only=True)
    bias_init: Initializer = eqx.field(default=initializers.zeros, static=True, kw_only=True)
    initial_init: Initializer = eqx.field(default=initializers.zeros, static=True, kw_only=True)

    def __check_init__(self) -> None:
        check_units(self, self.units)
        if not callable(self.activation) and self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation={self.activation!r}, needs one of {', '.join(map(repr, ACTIVATIONS))} or a function: "
                "activation=jax.nn.softplus."
            )
        check_initialisers(
            input_init=self.input_init, recurrent_init=self.recurrent_init, bias_init=self.bias_init, initial_init=self.initial_init
        )

    def size(self, inputs: int) -> int:
        """The number of units."""
        return self.units

    def weights(self, inputs: int) -> dict[str, Weight]:
        """``input (input, unit)``, ``recurrent (unit_from, unit)``, ``bias (unit)`` and ``initial (unit)``."""
        n = self.units
        found = {
            "input": Weight(("input", "unit"), (inputs, n), self.input_init),
            "recurrent": Weight(("unit_from", "unit"), (n, n), self.recurrent_init),
        }
        found |= {"bias": Weight(("unit",), (n,), self.bias_init)} if self.bias else {}
        return found | ({"initial": Weight(("unit",), (n,), self.initial_init)} if self.train_initial else {})

    def start(self, w: Arrays, batch: int, dtype: Any) -> jax.Array:
        """The initial state of every series."""
        return tiled(w, "initial", self.units, batch, dtype)

    def drive(self, w: Arrays, x: jax.Array) -> jax.Array:
        """``x W + b`` at all times."""
        return x @ w["input"] + w["bias"] if self.bias else x @ w["input"]

    def step(self, w: Arrays, state: jax.Array, drive: jax.Array, dt: Any) -> tuple[jax.Array, jax.Array, Arrays]:
        """The state after one sample."""
        f = self.activation if callable(self.activation) else ACTIVATIONS[self.activation]
        h = f(drive + state @ w["recurrent"])
        return h, h, {"h": h}


def _gated(gates: tuple[str, ...], inputs: int, units: int, input_init: Initializer, recurrent_init: Initializer) -> dict[str, Weight]:
    """``<gate>_input``, ``<gate>_recurrent`` and ``<gate>_bias`` of every gate, each drawn on its own."""
    found = {}
    for gate in gates:
        found[f"{gate}_input"] = Weight(("input", "unit"), (inputs, units), input_init)
        found[f"{gate}_recurrent"] = Weight(("unit_from", "unit"), (units, units), recurrent_init)
        found[f"{gate}_bias"] = Weight(("unit",), (units,), initializers.zeros)
    return found


def _stacked(w: Arrays, gates: tuple[str, ...], what: str) -> jax.Array:
    """An array of all gates one after another, rows for units, as the cells of equinox have it."""
    return jnp.concatenate([w[f"{gate}_{what}"].T for gate in gates])


class GRU(Recurrent):
    r"""Gated recurrent units, the cell of ``equinox.nn.GRUCell``.

    .. math::
        r = \sigma(x W_r + h U_r + b_r), \quad z = \sigma(x W_z + h U_z + b_z), \quad
        n = \tanh(x W_n + b_n + r (h U_n + b_h)), \quad h^+ = (1-z) n + z h

    Where a source writes :math:`(1-z) h + z n`, its update gate has the opposite sign in weights and bias; where it multiplies the state
    by r before the matrix :math:`U_n`, the two agree for one unit only.

    Parameters
    ----------
    units : int
        How many units.
    train_initial : bool
        Whether the state before the first sample is trained, the same for every series; else it is 0.
    input_init, recurrent_init : callable
        Initialisers ``(key, shape, dtype)`` of each gate's matrices, by default Glorot's normal one and orthogonal matrices. Biases start
        at 0.

    Raises
    ------
    ValueError, TypeError
        For a number of units that is no positive whole number, or something that is no initialiser.

    References
    ----------
    Cho et al. (2014), doi:10.3115/v1/D14-1179.

    Examples
    --------
    >>> import xmass as xm
    >>> [name for name in xm.training.GRU(8).weights(2) if name.startswith("reset")]
    ['reset_input', 'reset_recurrent', 'reset_bias']
    """

    records: ClassVar[tuple[Record, ...]] = (Record("h", "1", "state"),)
    gates: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate")

    units: int = eqx.field(static=True)
    train_initial: bool = eqx.field(default=False, static=True, kw_only=True)
    input_init: Initializer = eqx.field(default=GLOROT, static=True, kw_only=True)
    recurrent_init: Initializer = eqx.field(default=ORTHOGONAL, static=True, kw_only=True)

    def __check_init__(self) -> None:
        check_units(self, self.units)
        check_initialisers(input_init=self.input_init, recurrent_init=self.recurrent_init)

    def size(self, inputs: int) -> int:
        """The number of units."""
        return self.units

    def weights(self, inputs: int) -> dict[str, Weight]:
        """Three arrays of every gate, ``candidate_recurrent_bias`` and ``initial``."""
        found = _gated(self.gates, inputs, self.units, self.input_init, self.recurrent_init)
        one = Weight(("unit",), (self.units,), initializers.zeros)
        return found | {"candidate_recurrent_bias": one} | ({"initial": one} if self.train_initial else {})

    def start(self, w: Arrays, batch: int, dtype: Any) -> jax.Array:
        """The initial state of every series."""
        return tiled(w, "initial", self.units, batch, dtype)

    def step(self, w: Arrays, state: jax.Array, drive: jax.Array, dt: Any) -> tuple[jax.Array, jax.Array, Arrays]:
        """The state after one sample."""
        arrays = (*(_stacked(w, self.gates, what) for what in ("input", "recurrent", "bias")), w["candidate_recurrent_bias"])
        cell = eqx.filter_eval_shape(eqx.nn.GRUCell, drive.shape[-1], self.units, key=jax.random.key(0))
        cell = eqx.tree_at(lambda c: (c.weight_ih, c.weight_hh, c.bias, c.bias_n), cell, arrays)
        h = jax.vmap(cell)(drive, state)
        return h, h, {"h": h}


class LSTM(Recurrent):
    r"""Long short-term memory, the cell of ``equinox.nn.LSTMCell``; its output is h.

    .. math::
        i, f, o = \sigma(x W + h U + b), \quad g = \tanh(x W_g + h U_g + b_g), \quad c^+ = f c + i g, \quad h^+ = o \tanh c^+

    Parameters
    ----------
    units : int
        How many units.
    train_initial : bool
        Whether h and c before the first sample are trained, the same for every series; else they are 0.
    forget_bias : float
        Where the bias of the forget gate starts, the others at 0. It is in the bias itself; nothing is added when the layer runs.
    input_init, recurrent_init : callable
        Initialisers ``(key, shape, dtype)`` of each gate's matrices, by default Glorot's normal one and orthogonal matrices.

    Raises
    ------
    ValueError, TypeError
        For a number of units that is no positive whole number, or something that is no initialiser.

    References
    ----------
    Hochreiter, Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735; the forget gate: Gers, Schmidhuber, Cummins (2000),
    doi:10.1162/089976600300015015.

    Examples
    --------
    >>> import jax
    >>> import xmass as xm
    >>> net = xm.training.Sequential(xm.training.LSTM(4))
    >>> net.init(2, jax.random.key(0))["lstm.forget_bias"].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    records: ClassVar[tuple[Record, ...]] = (Record("h", "1", "output"), Record("c", "1", "memory"))
    gates: ClassVar[tuple[str, ...]] = ("write", "forget", "candidate", "read")

    units: int = eqx.field(static=True)
    train_initial: bool = eqx.field(default=False, static=True, kw_only=True)
    forget_bias: float = eqx.field(default=1.0, static=True, kw_only=True)
    input_init: Initializer = eqx.field(default=GLOROT, static=True, kw_only=True)
    recurrent_init: Initializer = eqx.field(default=ORTHOGONAL, static=True, kw_only=True)

    def __check_init__(self) -> None:
        check_units(self, self.units)
        check_initialisers(input_init=self.input_init, recurrent_init=self.recurrent_init)

    def size(self, inputs: int) -> int:
        """The number of units."""
        return self.units

    def weights(self, inputs: int) -> dict[str, Weight]:
        """Three arrays of the gates write (i), forget (f), candidate (g) and read (o), ``initial`` and ``initial_memory``."""
        found = _gated(self.gates, inputs, self.units, self.input_init, self.recurrent_init)
        found["forget_bias"] = Weight(("unit",), (self.units,), initializers.constant(self.forget_bias))
        one = Weight(("unit",), (self.units,), initializers.zeros)
        return found | ({"initial": one, "initial_memory": one} if self.train_initial else {})

    def start(self, w: Arrays, batch: int, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """Initial h and c of every series."""
        return tiled(w, "initial", self.units, batch, dtype), tiled(w, "initial_memory", self.units, batch, dtype)

    def step(self, w: Arrays, state: Any, drive: jax.Array, dt: Any) -> tuple[Any, jax.Array, Arrays]:
        """Both states after one sample."""
        arrays = tuple(_stacked(w, self.gates, what) for what in ("input", "recurrent", "bias"))
        cell = eqx.filter_eval_shape(eqx.nn.LSTMCell, drive.shape[-1], self.units, key=jax.random.key(0))
        cell = eqx.tree_at(lambda c: (c.weight_ih, c.weight_hh, c.bias), cell, arrays)
        h, c = jax.vmap(cell)(drive, state)
        return (h, c), h, {"h": h, "c": c}
