"""What a user's function or class does, as a hash: its text, and the values that it reads from around it."""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import inspect
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

import jax
import numpy as np
import xarray as xr


def code_name(value: Any) -> str:
    """Module and name of a function or class; of an object those of its class."""
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', type(value).__qualname__)}"


def source_hash(value: Any) -> str:
    """Hash of the source text (of the compiled code where there is no text) and of what is read from around it.

    That is, numbers, text, arrays and tuples of them in closures, defaults, globals and attributes, and functions with all of these.
    Lists and dicts change while a program runs and are left out.
    """
    return _hash(value, ())


def surroundings(value: Any) -> str:
    """What a function, a class or an object that is called reads now from around its text; empty if nothing."""
    return _read(value, ())


def read_by(modules: Iterable[Any]) -> str:
    """What the user's own code among the modules of a program reads from around its text: that is compiled in."""
    found = []
    for module in modules:
        if not type(module).__module__.startswith("xmass."):
            found.append(surroundings(type(module)))
        fields = (getattr(module, f.name) for f in dataclasses.fields(module))
        found += [surroundings(v) for v in fields if callable(v) and not dataclasses.is_dataclass(v)]
    return "\n".join(found)


def _hash(value: Any, inside: tuple[int, ...]) -> str:
    target = value.func if isinstance(value, functools.partial) else value
    try:
        text = inspect.getsource(target if isinstance(target, type) or hasattr(target, "__name__") else type(target))
    except (OSError, TypeError):
        names = sorted(vars(target)) if isinstance(target, type) else []
        codes = [getattr(getattr(target, name, None), "__code__", None) for name in names] + [getattr(target, "__code__", None)]
        text = "".join(_code_text(c) for c in codes if c is not None) or repr(value)
    return hashlib.sha256((text + _read(value, inside)).encode()).hexdigest()


def _read(value: Any, inside: tuple[int, ...]) -> str:
    inside, found = (*inside, id(value)), []
    for function in _functions(value):
        found += [(f"{function.__name__} {name}", _said(held, function, inside)) for name, held in _around(function)]
    if isinstance(value, functools.partial):
        held = [*enumerate(value.args), *value.keywords.items(), ("", value.func)]
        found += [(str(name), _said(v, value.func, inside)) for name, v in held]
    elif not isinstance(value, type | FunctionType):
        found += [(str(name), _said(v, value, inside)) for name, v in getattr(value, "__dict__", {}).items()]
    return "".join(f"\n{name}={said}" for name, said in found if said)


def _functions(value: Any) -> Iterator[FunctionType]:
    """The function itself, or the functions that a class, or that of an object, defines."""
    value = value if isinstance(value, type | FunctionType | functools.partial) else type(value)
    members = [value] if isinstance(value, FunctionType) else vars(value).values() if isinstance(value, type) else []
    for member in members:
        member = getattr(member, "__func__", None) or getattr(member, "fget", None) or getattr(member, "__wrapped__", None) or member
        if isinstance(member, FunctionType):
            yield member


def _around(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Values that a function has from outside of its text."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not filled yet
            continue
    yield from ((f"default {i}", v) for i, v in enumerate(function.__defaults__ or ()))
    yield from (function.__kwdefaults__ or {}).items()
    for name in sorted(set(_global_names(function.__code__))):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _global_names(code: CodeType) -> Iterator[str]:
    yield from (i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _said(value: Any, reader: Any, inside: tuple[int, ...]) -> str:
    """A value in words; empty for what is left out."""
    if value is None or isinstance(value, bool | int | float | complex | str | np.generic):
        return repr(value)
    if isinstance(value, tuple):
        return "".join(f"({_said(v, reader, inside)})" for v in value)
    if isinstance(value, xr.DataArray):
        parts = [_said(np.asarray(v.values), reader, inside) for v in (value, *(value[d] for d in value.dims if d in value.coords))]
        return f"{value.dims} {value.attrs.get('units')} {parts}"
    if isinstance(value, np.ndarray | jax.Array):
        array = np.asarray(value)
        data = repr(array.tolist()).encode() if array.dtype.kind == "O" else np.ascontiguousarray(array).tobytes()
        return f"{array.dtype} {array.shape} {hashlib.sha256(data).hexdigest()}"
    if isinstance(value, FunctionType) and value.__module__ == getattr(reader, "__module__", "") and id(value) not in inside:
        return f"{code_name(value)} {_hash(value, inside)}"
    return ""


def _code_text(code: CodeType) -> str:
    """What a compiled function does, without where it lies in memory or in a file."""
    constants = [_code_text(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_name}:{code.co_code.hex()}:{code.co_names}:{code.co_varnames}:{constants}"
