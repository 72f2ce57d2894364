"""What a result says of its own making: a configuration in JSON from which it can be made again, and versions beside it."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import importlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np
import xarray as xr

from xmass._version import __version__
from xmass.core.model import Uniform
from xmass.core.param import Param
from xmass.labelled.network import Network
from xmass.labelled.schema import LEAD_FIELD
from xmass.labelled.source import code_name, source_hash
from xmass.labelled.units import counted, dequantify, to_declared
from xmass.models.equations import Text, class_of, text_of

CONFIGURATION = "configuration"
CONFIG_HASH = "config_hash"
VERSIONS = "versions"
_INLINE_BYTES = 1_000_000
_FEW = 8
_LABELS = "labels"
_PACKAGES = ("jax", "jaxlib", "numpy", "xarray", "equinox")
_OWN = "xmass."


@functools.cache
def versions() -> dict[str, str]:
    """Versions of what computes."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES if _installed(name)}
    return {"python": platform.python_version(), "xmass": __version__, **found}


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


class Encoder:
    """Turns a configuration into JSON values. Arrays up to 1 MB in all are kept; larger ones become their sha256.

    JSON sorts its names, but the order of variables, monitors and couplings decides dims and sums: it is kept as a list beside them.
    """

    def __init__(self) -> None:
        self.inline = 0

    def encode(self, value: Any) -> Any:
        """A JSON value from which :func:`decode` makes the original."""
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, float | np.floating):
            return float(value) if np.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, xr.Dataset):
            value = dequantify(value)
            variables = {str(n): self.encode(v) for n, v in value.variables.items()}
            return {"dataset": variables, "order": list(variables), "coords": sorted(map(str, value.coords))}
        if isinstance(value, xr.Variable):
            attrs = {str(k): str(v) for k, v in value.attrs.items() if k in ("units", "axis", LEAD_FIELD)}
            return {"dims": list(map(str, value.dims)), "data": self.encode(np.asarray(value.values)), "attrs": attrs}
        if isinstance(value, xr.DataArray):
            value = dequantify(value)
            coords = {str(n): self.encode(c.variable) for n, c in value.coords.items() if n in value.dims}
            return {"dataarray": self.encode(value.variable), "coords": coords}
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, Param):
            return self.encode(counted(value))
        if isinstance(value, Uniform):
            return {"uniform": [value.low, value.high]}
        if isinstance(value, Network | eqx.Module):
            return self._module(value)
        if isinstance(value, Mapping):
            found = {str(k): self.encode(v) for k, v in value.items()}
            return {"mapping": found, "order": list(found)}
        if isinstance(value, list | tuple):
            return [self.encode(v) for v in value]
        if callable(value):
            return {"function": code_name(value), "source_sha256": source_hash(value)}
        return self._quantity(value)

    def _array(self, value: np.ndarray) -> Any:
        if value.dtype.kind in "OUT":
            labels = [v if isinstance(v, bool | int | float) else str(v) for v in value.ravel().tolist()]
            text = canonical_json(labels).encode()
            if self._has_room(len(text)):
                return {"labels": labels, "shape": list(value.shape)}
            return {"dtype": _LABELS, "shape": list(value.shape), "sha256": hashlib.sha256(text).hexdigest()}
        data = np.ascontiguousarray(value).reshape(value.shape)
        head = {"dtype": data.dtype.str, "shape": list(data.shape)}
        if self._has_room(data.nbytes):
            return {**head, "base64": base64.b64encode(data.tobytes()).decode()}
        return {**head, "sha256": hashlib.sha256(data.tobytes()).hexdigest()}

    def _has_room(self, count: int) -> bool:
        """Whether so many bytes more are kept; counts them if they are."""
        fits = self.inline + count <= _INLINE_BYTES
        self.inline += count if fits else 0
        return fits

    def _module(self, value: Any) -> Any:
        cls = type(value)
        found: dict[str, Any] = {"class": f"{cls.__module__}:{cls.__qualname__}"}
        text = text_of(cls)
        if text is not None:
            found["equations"] = text.record()
        elif not cls.__module__.startswith(_OWN):
            found["source_sha256"] = source_hash(cls)
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return {**found, "fields": {name: self.encode(v) for name, v in fields.items()}}

    def _quantity(self, value: Any) -> Any:
        unit = str(getattr(value, "unit", None) or getattr(value, "units", None) or "")
        if not unit:
            array = np.asarray(value)
            if array.dtype.kind in "fiub":
                return self.encode(array.item() if array.ndim == 0 else array)
            raise TypeError(f"a {type(value).__name__} cannot be part of a configuration: {value!r}.")
        return self.encode(xr.DataArray(np.asarray(to_declared(value, unit, "value")), attrs={"units": unit}))


class Missing(LookupError):
    """Part of a configuration that the record does not hold: user code or a large array."""


def decode(value: Any) -> Any:
    """The object that :class:`Encoder` recorded. Raises :class:`Missing` for what it holds as a hash only."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float(value["float"])
    if "dataset" in value:
        variables = {n: _decode_variable(value["dataset"][n]) for n in value.get("order") or value["dataset"]}
        return xr.Dataset(variables).set_coords(value["coords"])
    if "dataarray" in value:
        variable = _decode_variable(value["dataarray"])
        return xr.DataArray(variable, coords={n: _decode_variable(c) for n, c in value["coords"].items()})
    if "labels" in value:
        return np.array(value["labels"], dtype=object).reshape(value["shape"])
    if "base64" in value:
        return np.frombuffer(base64.b64decode(value["base64"]), dtype=value["dtype"]).reshape(value["shape"]).copy()
    if "sha256" in value:
        raise Missing(f"an array of shape {tuple(value['shape'])}, kept as a hash only")
    if "uniform" in value:
        return Uniform(*value["uniform"])
    if "mapping" in value:
        return {k: decode(value["mapping"][k]) for k in value.get("order") or value["mapping"]}
    if "function" in value:
        raise Missing(f"the function {value['function']}")
    return _decode_module(value)


def _decode_variable(value: dict[str, Any]) -> xr.Variable:
    return xr.Variable(value["dims"], decode(value["data"]), value.get("attrs") or {})


def _decode_module(value: dict[str, Any]) -> Any:
    module, _, name = value["class"].partition(":")
    fields = value["fields"]
    if "equations" in value:
        return class_of(Text.of(value["equations"]))(**{n: decode(v) for n, v in fields.items()})
    if not module.startswith(_OWN):
        raise Missing(f"the class {value['class']}")
    cls = getattr(importlib.import_module(module), name)
    fields = {n: decode(v) for n, v in value["fields"].items()}
    return cls(**fields)


def config_hash(configuration: str) -> str:
    """Hash of a configuration."""
    return hashlib.sha256(configuration.encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


_WRAPPERS = ("dataset", "mapping", "fields", "dataarray", "data")


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Where two decoded JSON configurations differ, as ``path: old -> new``."""
    if old == new:
        return []
    if _is_array(old) and _is_array(new):
        return [f"{path}: {_arrays_differ(old, new)}"]
    if isinstance(old, dict) and isinstance(new, dict) and not (_is_array(old) or _is_array(new)):
        found = []
        for key in sorted(set(old) | set(new)):
            at = path if key in _WRAPPERS else f"{path}.{key}" if path else key
            if key == "order" and (_is_ordered(old) or _is_ordered(new)):
                found += _orders_differ(old.get(key, []), new.get(key, []), path)
            elif key not in old:
                found.append(f"{at}: absent -> {_short(new[key])}")
            elif key not in new:
                found.append(f"{at}: {_short(old[key])} -> absent")
            else:
                found += differences(old[key], new[key], at)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and any(isinstance(v, dict) for v in old):
        return [found for i, pair in enumerate(zip(old, new)) for found in differences(*pair, f"{path}[{i}]")]
    return [f"{path}: {_short(old)} -> {_short(new)}"]


def _is_ordered(value: dict[str, Any]) -> bool:
    return "dataset" in value or "mapping" in value


def _orders_differ(old: list[str], new: list[str], path: str) -> list[str]:
    """How the order of the names that both have differs."""
    before, after = [n for n in old if n in new], [n for n in new if n in old]
    return [] if before == after else [f"order of {path}: {_short(before)} -> {_short(after)}"]


def _is_array(value: Any) -> bool:
    return isinstance(value, dict) and "dtype" in value and "shape" in value


def _arrays_differ(old: dict[str, Any], new: dict[str, Any]) -> str:
    """How two recorded arrays differ, in numbers where both are kept."""
    if old["shape"] == new["shape"] and "base64" in old and "base64" in new:
        a, b = decode(old).ravel(), decode(new).ravel()
        if a.size > _FEW:
            first = int(np.flatnonzero(a != b)[0]) if (a != b).any() else 0
            return f"{int((a != b).sum())} of {a.size} values, the first at {first}: {a[first]} -> {b[first]}"
    return f"{_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        for key in ("dataarray", "data"):
            if key in value:
                return _short(value[key])
        if "base64" in value and np.prod(value["shape"]) <= _FEW:
            return str(decode(value).tolist())
        if _is_array(value):
            kept = f" with sha256 {value['sha256'][:8]}" if "sha256" in value else ""
            name = _LABELS if value["dtype"] == _LABELS else np.dtype(value["dtype"]).name
            return f"{name} of shape {tuple(value['shape'])}{kept}"
        if "class" in value:
            return value["class"].rpartition(":")[2]
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
