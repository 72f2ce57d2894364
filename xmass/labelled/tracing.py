"""A user's function tried on shapes alone, with errors that say what to change instead of JAX's."""

from __future__ import annotations

import dataclasses
import linecache
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax

from xmass.labelled.suggest import nearest

_NOT_TRACEABLE = (
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.ConcretizationTypeError,
)


def trace(function: Callable[..., Any], *arguments: Any, where: str) -> Any:
    """The shapes that ``function`` returns for arguments of the given shapes; ``where`` names it in errors.

    Raises
    ------
    TypeError
        If it takes values where JAX has none yet: numpy functions, ``if`` or ``float`` on states.
    ValueError
        If it uses a state, input or parameter that does not exist; the message has those that do.
    """
    try:
        return jax.eval_shape(function, *arguments)
    except (TypeError, ValueError, IndexError, NotImplementedError) as error:
        if not isinstance(error, _NOT_TRACEABLE) and "truth value of an array" not in str(error):
            raise ValueError(f"{where} cannot be evaluated ({_last_line(error)}): {str(error).splitlines()[0]}") from error
        raise TypeError(
            f"{where} needs the values of its arguments while it is compiled ({_last_line(error)}). Use jax.numpy in place of numpy and of "
            "math, and jnp.where(condition, a, b) in place of if."
        ) from None
    except AttributeError as error:
        known: list[str] | None = None
        if isinstance(error.obj, SimpleNamespace):
            known = list(vars(error.obj))
        elif isinstance(error.obj, eqx.Module):
            known = [f.name for f in dataclasses.fields(error.obj)]
        if known is None:
            raise
        raise ValueError(f"{where} uses {error.name!r}, which does not exist{nearest(str(error.name), known)}") from None


def _last_line(error: BaseException) -> str:
    """The user's line, innermost outside of the libraries."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename and __file__ != f.filename]
    if not frames:
        return "its source is not known"
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    return f"line {frames[-1].lineno}: {line}" if line else f"line {frames[-1].lineno}"
