"""What XLA's CPU compiler is told: options of one compilation, and which loops it makes one kernel. Nothing here is global.

The names are XLA's own and may change; where they are unknown the results are the same and slower. docs/performance.md has the
measurements.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun, subjaxprs

_ONE_KERNEL = {"inlineable": "false", "xla_cpu_small_call": "true"}
# What the compiler can put into one kernel. A loop that holds anything else (a sort, a scatter, a callback) stays as it is.
_PLAIN_NAMES = (
    "abs acos acosh add and asin asinh atan atan2 atanh bitcast_convert_type broadcast_in_dim cbrt ceil clamp complex concatenate "
    "convert_element_type copy cos cosh custom_jvp_call div dot_general dynamic_slice dynamic_update_slice eq erf erf_inv erfc exp "
    "exp2 expm1 floor ge gt imag integer_pow iota is_finite jit le log log1p logistic lt max min mul ne neg nextafter not "
    "optimization_barrier or pjit pow real rem reshape round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign "
    "sin sinh slice sqrt square squeeze stop_gradient sub tan tanh transpose while xor add_any "
)
_PLAIN = frozenset(_PLAIN_NAMES.split())


@functools.cache
def compile_options(platform: str, width: int) -> dict[str, Any] | None:
    """Options of :func:`jax.jit` for tiles of ``width`` runs.

    On a CPU loops are not split over threads (tiles are), and vectors have full width where the processor has it. At the
    compiler's highest level rows of up to 16 runs are unrolled before they are vectorised and become scalar code.
    """
    if platform != "cpu":
        return None
    options: dict[str, Any] = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
    if width > 1:
        options["xla_backend_optimization_level"] = 2
    else:
        options["xla_cpu_experimental_ynn_fusion_type"] = ""
    flags = Path("/proc/cpuinfo")
    if flags.exists() and "avx512f" in flags.read_text():
        options["xla_cpu_prefer_vector_width"] = 512
    return options if _accepted(options) else {name: v for name, v in options.items() if _accepted({name: v})}


def _accepted(options: dict[str, Any]) -> bool:
    """Whether the installed compiler knows these options: found out on a function of one addition."""
    try:
        jax.jit(lambda x: x + x, compiler_options=options).lower(jax.ShapeDtypeStruct((), "float32")).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def all_ones(dtype: str) -> Any:
    """The mask that :func:`rounded` needs as an argument of the compiled function."""
    return np.uint32(0xFFFFFFFF) if dtype == "float32" else np.uint64(0xFFFFFFFFFFFFFFFF)


@jax.custom_jvp
def rounded(x: jax.Array, ones: jax.Array) -> jax.Array:
    """``x`` rounded here: a product that is added later is not contracted into one operation with the sum.

    Whether the compiler contracts depends on the shapes around, so without this a number that runs share and one that each run
    has would differ in the last bit. ``ones`` must be an argument, or the compiler would see that nothing is masked.
    """
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, ones.dtype) & ones, x.dtype)


@rounded.defjvp
def _rounded_jvp(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, Any]) -> tuple[jax.Array, jax.Array]:
    return rounded(*primals), tangents[0]


def one_kernel(function: Callable[..., Any], first: Any, *args: Any) -> Any:
    """Call a function of a whole number and more, compiled into one kernel on a CPU.

    The operations of a single run's step are so small that a loop spends most of its time between them. Worth it only there.
    """
    if jax.default_backend() != "cpu":
        return function(first, *args)
    closed, form = jax.make_jaxpr(function, return_shape=True)(first, *args)
    if not _plain(closed.jaxpr):
        return function(first, *args)
    # The compiler ends the process where a kernel, or a function called in it, is given an array that is not read, as the states of a
    # linear model in its derivative. So all are read; they are not known as constants; and what is called was traced before, outside of
    # the attributes, and is not a kernel of its own.
    zero, consts = lax.optimization_barrier((jnp.int32(0), closed.consts))

    def kernel(zero: jax.Array, consts: list[jax.Array], first: jax.Array, *leaves: jax.Array) -> list[jax.Array]:
        read = sum(((x.ravel()[0] != jnp.zeros((), x.dtype)).astype(jnp.int32) for x in consts if x.size), jnp.int32(0))
        return jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, consts))(first + (read & zero), *leaves)

    with set_xla_metadata(**_ONE_KERNEL):
        found = jax.jit(kernel)(zero, consts, first, *jax.tree.leaves(args))
    return jax.tree.unflatten(jax.tree.structure(form), found)


def _plain(jaxpr: Any) -> bool:
    """Whether every operation, inner functions included, is one that the compiler can put into one kernel."""
    return all(_allowed(e) for e in jaxpr.eqns) and all(_plain(j) for j in subjaxprs(jaxpr))


def _allowed(equation: Any) -> bool:
    """Of sums over an axis only those of one term, which are no sums for the compiler."""
    if equation.primitive.name == "reduce_sum":
        shape = equation.invars[0].aval.shape
        return all(shape[axis] == 1 for axis in equation.params["axes"])
    return equation.primitive.name in _PLAIN
