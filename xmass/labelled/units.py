"""The one place that converts units: numbers, brainunit and pint quantities and DataArrays in, float64 in a declared unit out.

Datasets hold plain numbers and ``attrs["units"]``, a string. brainunit and pint are imported by the functions that need them:
a bare number, and data that already have the declared unit, need neither.
"""

from __future__ import annotations

import math
import sys
from typing import Any, TypeVar, overload

import numpy as np
import pandas as pd
import xarray as xr

from xmass.core.param import Param
from xmass.labelled.schema import UNITS
from xmass.labelled.unit_bridge import (
    canonical,
    expression,
    factor,
    is_brainunit,
    is_pint,
    label,
    mismatch,
    ratio,
    registry,
    same_dimension,
    to_pint,
    to_unit,
)

__all__ = [
    "canonical",
    "counted",
    "dequantify",
    "factor",
    "in_unit",
    "milliseconds",
    "quantify",
    "same_dimension",
    "to_declared",
    "to_pint",
    "to_unit",
]

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)
_WRITTEN = "xmass_units"  # encoding key under which quantify keeps the units string as it was written


def counted(value: Any) -> Any:
    """The value that a Param counts as: its own, as a DataArray where it is an array and the Param has its dims. Others as they are."""
    if not isinstance(value, Param):
        return value
    own = value.value
    if isinstance(own, xr.DataArray) or not value.dims:
        return own
    numbers, given = _split(own, "the value of a Param", "1")
    if not np.ndim(numbers):
        return own
    if np.ndim(numbers) != len(value.dims):
        raise ValueError(
            f"the value of a Param is an array of shape {np.shape(numbers)} and dims={value.dims!r}: needs a name for each axis, or one "
            "number for all."
        )
    return xr.DataArray(np.asarray(numbers), dims=value.dims, attrs={} if given is None else {UNITS: canonical(given)})


@overload
def to_declared(value: xr.DataArray, unit: str, name: str) -> xr.DataArray: ...
@overload
def to_declared(value: Any, unit: str, name: str) -> Any: ...
def to_declared(value: Any, unit: str, name: str) -> Any:
    """A value in the unit that a parameter declares, as float64.

    Parameters
    ----------
    value : number, array, brainunit or pint quantity, or DataArray
        A number or array without a unit, and a DataArray without ``attrs["units"]``, are in the declared unit already.
    unit : str
        The declared unit.
    name : str
        What the errors call the value.

    Returns
    -------
    ndarray or DataArray
        float64. For a DataArray a DataArray with the same name, coords and dims and ``attrs["units"] = unit``, lazy if it was;
        for everything else a numpy array, 0-d for a number.

    Raises
    ------
    TypeError
        For text, booleans, complex numbers, dates, and lists of quantities.
    ValueError
        If the unit has another dimension, or cannot be read.

    Examples
    --------
    >>> import brainunit as u
    >>> to_declared(2 * u.second, "ms", "tau")
    array(2000.)
    >>> to_declared([0.1, 0.2], "1/ms", "a")
    array([0.1, 0.2])
    """
    if isinstance(value, xr.DataArray):
        return _declared_array(value, unit, name)
    numbers, given = _split(value, name, unit)
    array = _float64(numbers, name, unit)
    return array if given is None else np.asarray(_convert(array, given, unit, name))


def in_unit(value: Any, unit: str, name: str) -> float:
    """One finite number in the unit that is declared.

    Parameters
    ----------
    value : number, brainunit or pint quantity, or 0-d array or DataArray
        A bare number is in ``unit``.
    unit, name : str
        The unit, and what the errors call the value.

    Raises
    ------
    TypeError, ValueError
        As ``to_declared``; ValueError also for more than one number, NaN and infinity.

    Examples
    --------
    >>> import brainunit as u
    >>> in_unit(10 * u.meter / u.second, "mm/ms", "speed")
    10.0
    """
    array = np.asarray(to_declared(value, unit, name))
    if array.ndim:
        raise ValueError(f"{name} has shape {array.shape}, needs one number: {_example(unit)}.")
    number = float(array)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}, needs a finite number: {_example(unit)}.")
    return number


def milliseconds(value: Any, name: str) -> float:
    """A time in ms; a bare number is in ms already. Raises as ``in_unit``.

    Examples
    --------
    >>> import brainunit as u
    >>> milliseconds(0.72 * u.second, "tr"), milliseconds(0.1, "dt")
    (720.0, 0.1)
    """
    return in_unit(value, "ms", name)


def quantify(data: Labelled) -> Labelled:
    """The same data as pint quantities (pint-xarray); coordinates stay plain, so that ``.sel(time=1.0)`` works. Lazy data stay lazy.

    Raises
    ------
    ValueError
        If a ``units`` string cannot be read; the message names the variable.

    Examples
    --------
    >>> da = xr.DataArray([1.0, 2.0], dims="time", attrs={"units": "mV"})
    >>> dequantify(quantify(da) * 2).attrs["units"]
    'mV'
    """
    if isinstance(data, xr.Dataset):
        return data.assign({name: quantify(data[name]) for name in data.data_vars})
    text = data.attrs.get(UNITS)
    if text is None or is_pint(data.data, "Quantity") or data.dtype.kind not in "iufc":
        return data
    values = data.data if isinstance(data.data, np.ndarray) or data.chunks is not None else np.asarray(data.data)
    try:
        unit = to_pint(_attribute(text, str(data.name)))
    except ValueError as error:
        raise ValueError(f"{data.name}: {error}") from error
    result = data.copy(data=registry().Quantity(values, unit))
    result.attrs = {key: value for key, value in data.attrs.items() if key != UNITS}
    result.encoding = {**data.encoding, _WRITTEN: text}
    return result


def dequantify(data: Labelled) -> Labelled:
    """Plain data with ``attrs["units"]`` from pint quantities, as xmass keeps and stores them; undoes ``quantify`` exactly.

    Coordinates that ``data.pint.quantify()`` made quantities become plain too.

    Examples
    --------
    >>> da = xr.DataArray([1.0, 2.0], dims="time", attrs={"units": "nA*ms^0.5"})
    >>> dequantify(quantify(da)).identical(da)
    True
    """
    if "pint" not in sys.modules:
        return data
    data = _dequantify_coords(data)
    if isinstance(data, xr.Dataset):
        quantities = [name for name in data.data_vars if is_pint(data[name].data, "Quantity")]
        return data.assign({name: dequantify(data[name]) for name in quantities}) if quantities else data
    if not is_pint(data.data, "Quantity"):
        return data
    unit, written = data.data.units, data.encoding.get(_WRITTEN)
    result = data.copy(data=data.data.magnitude)
    kept = written is not None and to_pint(written) == unit
    result.attrs = {**data.attrs, UNITS: written if kept else canonical(unit)}
    result.encoding = {key: value for key, value in data.encoding.items() if key != _WRITTEN}
    return result


def _dequantify_coords(data: Labelled) -> Labelled:
    units = {name: canonical(coord.data.units) for name, coord in data.coords.items() if is_pint(coord.data, "Quantity")}
    if not units:
        return data
    plain = data.coords.to_dataset().pint.dequantify(format="~C")
    return data.drop_indexes([name for name in units if name in data.xindexes]).assign_coords(
        {name: plain[name].assign_attrs({UNITS: text}) for name, text in units.items()}
    )


def _declared_array(value: xr.DataArray, unit: str, name: str) -> xr.DataArray:
    value = dequantify(value)
    _check_kind(value.dtype, name, unit)
    given = value.attrs.get(UNITS)
    if given == unit and value.dtype == np.float64 and isinstance(value.data, np.ndarray) and not value.encoding:
        return value
    numbers = value.data.astype(np.float64) if value.chunks is not None else _float64(value.data, name, unit)
    if given is not None:
        numbers = _convert(numbers, _attribute(given, name), unit, name)
    result = value.copy(data=numbers)
    result.attrs = {**value.attrs, UNITS: unit}
    result.encoding = {}
    return result


def _split(value: Any, name: str, unit: str) -> tuple[Any, Any]:
    """The numbers of a value, and its unit, None if it has none."""
    if isinstance(value, Param):
        raise TypeError(f"{name} is a Param, but no parameter of the system or its monitors, so it cannot be fitted: {_example(unit)}.")
    if is_brainunit(value, "Quantity"):
        return value.mantissa, value.unit
    if is_pint(value, "Quantity"):
        return value.magnitude, value.units
    if is_brainunit(value, "Unit") or is_pint(value, "Unit"):
        raise TypeError(f"{name} is the unit {label(value)}, needs a quantity: {_example(unit)}.")
    if isinstance(value, (list, tuple)):
        for item in value:
            if _split(item, name, unit)[1] is not None:
                raise TypeError(
                    f"{name} is a {type(value).__name__} of quantities, needs one quantity: for example np.array([1, 2]) * u.ms."
                )
    elif value is None or isinstance(value, (str, bytes, bool, xr.Dataset, xr.Variable, pd.Series, pd.DataFrame)):
        labelled = isinstance(value, (pd.Series, pd.DataFrame, xr.Dataset, xr.Variable))
        way = "make it a DataArray, with .to_xarray() or ds[...]" if labelled else _example(unit)
        raise TypeError(
            f"{name} is {type(value).__name__}{'' if labelled else f' {value!r}'}, needs a number, an array or a quantity: {way}."
        )
    return value, None


def _float64(numbers: Any, name: str, unit: str) -> np.ndarray:
    try:
        array = np.asarray(numbers)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} cannot be read as an array of numbers ({error}): {_example(unit)}.") from error
    _check_kind(array.dtype, name, unit)
    return array.astype(np.float64)


def _check_kind(dtype: np.dtype, name: str, unit: str) -> None:
    kinds = {"b": "booleans", "c": "complex numbers", "m": "time differences", "M": "dates", "O": "objects"}
    if dtype.kind not in "iuf" and dtype.name != "bfloat16":
        raise TypeError(f"{name} came as {kinds.get(dtype.kind, 'text')} ({dtype}), needs real numbers: {_example(unit)}.")


def _convert(numbers: Any, given: Any, unit: str, name: str) -> Any:
    try:
        reason = mismatch(given, unit)
    except ValueError as error:
        raise ValueError(f"{name}: {error} It needs {unit}: {_example(unit)}.") from error
    if reason:
        raise ValueError(f"{name} came in {label(given)}, needs {unit}: {reason}. Give {_example(unit)}.")
    multiply, divide = ratio(given, unit)
    if multiply != 1.0:
        numbers = numbers * multiply
    return numbers / divide if divide != 1.0 else numbers


def _attribute(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{name} has attrs['units'] = {text!r}, needs a string such as 'mV': {name}.attrs['units'] = '1' for no unit.")
    return text


def _example(unit: str) -> str:
    if canonical(unit) == "1":
        return "for example the bare number 1.5"
    code = expression(unit)
    imports = " (import brainunit as u)" if " u." in code else ""
    return f"for example {code}{imports}, or the bare number 1.5, in {unit}"
