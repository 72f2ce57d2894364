"""What an optimiser is, in words that are the same in every process: its record, and how a stored fit knows that it is the same.

An optimiser of optax is a pair of functions; its rates and schedules are in their closures, often several functions deep.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

import jax
import numpy as np

from xmass.labelled.source import code_name, source_hash


def fingerprint(value: Any) -> str:
    """Twelve digits that differ where the code, a number or a schedule of an optimiser differs.

    Examples
    --------
    >>> import optax, xmass as xm
    >>> from xmass.fit.fingerprint import fingerprint
    >>> fingerprint(optax.adam(0.1)) == fingerprint(optax.adam(0.1)), fingerprint(optax.adam(0.1)) == fingerprint(optax.adam(0.2))
    (True, False)
    """
    return hashlib.sha256(_said(value, ()).encode()).hexdigest()[:12]


def _said(value: Any, inside: tuple[int, ...]) -> str:
    """A value in words, with everything that it holds; what it is inside of is not said again."""
    if value is None or value is ... or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        return repr(value)
    if isinstance(value, np.ndarray | jax.Array):
        array = np.ascontiguousarray(value)
        return f"{array.dtype} {np.shape(value)} {hashlib.sha256(array.tobytes()).hexdigest()}"
    if id(value) in inside:
        return "itself"
    inside = (*inside, id(value))
    if isinstance(value, tuple | list | set | frozenset):
        parts = [_said(v, inside) for v in value]
        return f"{type(value).__name__}({','.join(sorted(parts) if isinstance(value, set | frozenset) else parts)})"
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{k!r}:{_said(v, inside)}' for k, v in value.items()))}}}"
    if isinstance(value, functools.partial):
        return f"partial({_said(value.func, inside)},{_said(value.args, inside)},{_said(value.keywords, inside)})"
    if isinstance(value, FunctionType):
        return f"{code_name(value)} {source_hash(value)} {_constants(value.__code__)} {_said(_held(value), inside)}"
    if isinstance(value, type):
        return code_name(value)
    if callable(getattr(value, "__wrapped__", None)):
        return _said(value.__wrapped__, inside)
    return f"{code_name(type(value))}({_said(getattr(value, '__dict__', {}), inside)})"


def _constants(code: CodeType) -> str:
    """Numbers and names in compiled code: two functions of one line have the same text."""
    held = [_constants(c) if isinstance(c, CodeType) else _said(c, ()) for c in code.co_consts]
    return f"{' '.join(held)} {code.co_names}"


def _held(function: FunctionType) -> tuple[Any, ...]:
    """What a function holds: its closure and its defaults."""
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # not filled
            continue
    return (*cells, *(function.__defaults__ or ()), function.__kwdefaults__)
