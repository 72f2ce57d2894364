"""A units string as a brainunit Unit and as a pint Unit, and the factor between two of them. Both libraries are imported on first use."""

from __future__ import annotations

import functools
import math
import sys
from typing import TYPE_CHECKING, Any

from xmass.labelled import unit_names

if TYPE_CHECKING:
    import pint

AnyUnit = Any  # str | brainunit.Unit | pint.Unit | None: brainunit is untyped and not imported here

_BRAINUNIT_NAMES = {"deg": "degree", "d": "day", "L": "l"}
_BRAINUNIT_ATTRIBUTES = {
    "rad": "radian",
    "deg": "degree",
    "s": "second",
    "m": "meter",
    "A": "amp",
    "V": "volt",
    "Hz": "Hz",
    "S": "siemens",
    "K": "kelvin",
    "T": "tesla",
    "min": "minute",
    "h": "hour",
}


def canonical(unit: AnyUnit) -> str:
    """The units string that is stored: as declared, in plain ASCII with short symbols, and ``"1"`` for no unit.

    Parameters
    ----------
    unit : str, brainunit Unit, pint Unit or None

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If the text is no unit, or a Unit has no name (brainunit's ``1 / (ms * Hz)`` is only ``10^3``): give a string.

    Examples
    --------
    >>> canonical("mm / ms"), canonical("1/(ms*Hz)"), canonical("µA/cm²"), canonical("dimensionless"), canonical(None)
    ('mm/ms', '1/(ms*Hz)', 'uA/cm^2', '1', '1')
    """
    if unit is None:
        return "1"
    if isinstance(unit, str):
        text = unit_names.normalise(unit)
        for symbol, _ in unit_names.parse(text):
            if symbol not in unit_names.COMMON:
                symbol_unit(symbol)
        return text
    if is_pint_unit(unit):
        return _pint_text(unit)
    if is_brainunit_unit(unit):
        return _brainunit_text(unit)
    raise TypeError(f"a unit is a string, a brainunit Unit or a pint Unit, not {type(unit).__name__} {unit!r}: for example '1/ms'.")


def to_unit(unit: AnyUnit) -> Any:
    """The brainunit Unit of a units string, a pint Unit, or None (no unit).

    Examples
    --------
    >>> to_unit("mm/ms")
    Unit("mm / ms")
    """
    return unit if is_brainunit_unit(unit) else _to_brainunit(canonical(unit))


def to_pint(unit: AnyUnit) -> pint.Unit:
    """The pint Unit, of pint-xarray's registry, of a units string, a brainunit Unit, or None (no unit).

    Raises
    ------
    ValueError
        If pint has no such unit, or another one under this name.

    Examples
    --------
    >>> f"{to_pint('1/(ms*Hz)'):~C}"
    '1/Hz/ms'
    """
    text = canonical(unit)
    try:
        found: pint.Unit = registry().parse_units(text)
    except pint_errors() as error:
        raise ValueError(f"pint cannot read the unit {text!r}: {error}") from error
    _check_agreement(found, to_unit(text), text)
    return found


def same_dimension(a: AnyUnit, b: AnyUnit) -> bool:
    """Whether two units measure the same thing, whatever their scale; an angle has no dimension.

    Examples
    --------
    >>> same_dimension("rad/ms", "1/s"), same_dimension("mV", "mm")
    (True, False)
    """
    return bool(to_unit(a).has_same_dim(to_unit(b)))


def factor(source: AnyUnit, target: AnyUnit) -> float:
    """What a number in ``source`` is multiplied by to be in ``target``, in float64.

    Raises
    ------
    ValueError
        If the dimensions differ, or one counts cycles (Hz) and the other radians.

    Examples
    --------
    >>> factor("s", "ms"), factor("Hz", "1/ms")
    (1000.0, 0.001)
    """
    reason = mismatch(source, target)
    if reason:
        raise ValueError(f"{label(source)} cannot be converted to {label(target)}: {reason}.")
    multiply, divide = ratio(source, target)
    return multiply / divide


def ratio(source: AnyUnit, target: AnyUnit) -> tuple[float, float]:
    """``factor`` as a product and a quotient, each exact for powers of ten: dividing by 1000 rounds once, multiplying by 0.001 twice."""
    return (1.0, 1.0) if _same_text(source, target) else _unit_ratio(to_unit(source), to_unit(target))


def mismatch(source: AnyUnit, target: AnyUnit) -> str | None:
    """Why ``source`` cannot be converted to ``target``, or None if it can."""
    if _same_text(source, target):
        return None
    if not same_dimension(source, target):
        return "the dimensions differ"
    given, needed = _kinds(source), _kinds(target)
    if given == {"cycles"} and needed == {"radians"}:
        return (
            "Hz counts cycles, rad radians (and brainunit makes 1/ms and kHz one unit). "
            "A frequency f is 2 * np.pi * f * u.radian; a rate r per ms is r * u.radian / u.ms"
        )
    if given == {"radians"} and needed == {"cycles"}:
        return "rad counts radians, Hz cycles. Divide by 2 * np.pi * u.radian"
    return None


def label(unit: AnyUnit) -> str:
    """A unit as messages show it, whatever it is."""
    try:
        return canonical(unit)
    except ValueError:
        return str(unit)


def expression(text: str) -> str:
    """Python that makes 1.5 of a unit: ``1.5 * u.mm / u.ms``."""
    u = _brainunit()
    code = "1.5"
    for symbol, power in unit_names.parse(text):
        name = symbol if hasattr(u, symbol) else _BRAINUNIT_ATTRIBUTES.get(symbol, "")
        if not hasattr(u, name):
            return f'1.5 * xm.units.to_unit("{text}")'
        code += f" {'*' if power > 0 else '/'} u.{name}" + (f"**{abs(power):g}" if abs(power) != 1 else "")
    return code


@functools.lru_cache(maxsize=1024)
def symbol_unit(symbol: str) -> Any:
    """The brainunit Unit of one symbol; what brainunit does not know, pint may."""
    u = _brainunit()
    if symbol == "%":
        return u.Unit(scale=-2)
    try:
        return u.parse_unit(_BRAINUNIT_NAMES.get(symbol, symbol))
    except ValueError:
        pass
    try:
        found = registry().parse_units(symbol)
        unit = u.parse_unit(f"{found:~C}".translate(unit_names.CHARACTERS))
    except pint_errors() as error:
        raise ValueError(unit_names.unreadable(symbol)) from error
    _check_agreement(found, unit, symbol)
    return unit


def is_brainunit(value: object, kind: str) -> bool:
    """Whether a value is brainunit's ``Quantity`` or ``Unit``, without importing brainunit."""
    modules = (sys.modules.get(name) for name in ("brainunit", "saiunit"))
    return any(module is not None and isinstance(value, getattr(module, kind)) for module in modules)


def is_brainunit_unit(value: object) -> bool:
    """Whether a value is a brainunit Unit."""
    return is_brainunit(value, "Unit")


def is_pint(value: object, kind: str) -> bool:
    """Whether a value is pint's ``Quantity`` or ``Unit``, without importing pint."""
    module = sys.modules.get("pint")
    return module is not None and isinstance(value, getattr(module, kind))


def is_pint_unit(value: object) -> bool:
    """Whether a value is a pint Unit."""
    return is_pint(value, "Unit")


def registry() -> Any:
    """The registry that pint-xarray uses."""
    import pint_xarray

    return pint_xarray.unit_registry


def pint_errors() -> tuple[type[Exception], ...]:
    """What pint raises for text that it cannot read."""
    import pint

    return (pint.errors.PintError, TypeError, ValueError, AttributeError, AssertionError)


def _brainunit() -> Any:  # Any: brainunit re-exports without saying so, which type checkers refuse
    import brainunit

    return brainunit


@functools.lru_cache(maxsize=1024)
def _to_brainunit(text: str) -> Any:
    u = _brainunit()
    unit = u.UNITLESS
    for symbol, power in unit_names.parse(text):
        unit = unit * symbol_unit(symbol) ** power
    return unit


def _same_text(source: AnyUnit, target: AnyUnit) -> bool:
    return isinstance(source, str) and isinstance(target, str) and unit_names.normalise(source) == unit_names.normalise(target)


@functools.lru_cache(maxsize=1024)
def _unit_ratio(source: Any, target: Any) -> tuple[float, float]:
    power = source.scale - target.scale
    if source.base != target.base or abs(power - round(power)) > 1e-9:  # roots of units: scales such as 1.5
        return source.magnitude / target.magnitude, 1.0
    power = round(power)
    return source.factor * float(10 ** max(power, 0)), target.factor * float(10 ** max(-power, 0))


def _kinds(unit: AnyUnit) -> set[str]:
    """Whether the unit is written in cycles, in radians, in both or in neither."""
    try:
        symbols = unit_names.parse(unit_names.normalise(str(unit) if is_brainunit_unit(unit) else canonical(unit)))
    except ValueError:  # a Unit without a name
        return set()
    kinds = {"Hz": "cycles", "rad": "radians", "deg": "radians"}
    return {kind for symbol, _ in symbols for end, kind in kinds.items() if symbol.endswith(end)}


def _brainunit_text(unit: Any) -> str:
    try:
        text = unit_names.normalise(str(unit))
        if _equal(_to_brainunit(text), unit):
            return text
    except ValueError:
        pass
    base = unit_names.parse(unit_names.normalise(str(unit.dim)))
    scale = math.log10(unit.magnitude)
    if not base and abs(scale + 2) < 1e-9:
        return "%"
    for chosen, power in base:  # put the whole scale into the prefix of one symbol: 10^1.5 * s^-0.5 is ms^-0.5
        symbol, own = ("g", 3) if chosen == "kg" else (chosen, 0)
        for prefix, exponent in unit_names.PREFIXES.items():
            if abs((exponent - own) * power - scale) < 1e-9:
                return unit_names.spell(tuple((prefix + symbol if name == chosen else name, p) for name, p in base))
    raise ValueError(f"the brainunit Unit {unit} has no name: give the unit as a string, for example '1/(ms*Hz)'.")


def _equal(a: Any, b: Any) -> bool:
    return bool(a.has_same_dim(b)) and math.isclose(a.magnitude, b.magnitude, rel_tol=1e-12)


def _pint_text(unit: pint.Unit) -> str:
    text = unit_names.normalise(f"{unit:~C}")
    _check_agreement(unit, _to_brainunit(text), text)
    return text


def _check_agreement(pint_unit: pint.Unit, unit: Any, text: str) -> None:
    """Both libraries must mean the same by a name (``mcd`` is a millicandela to one and a microday to the other)."""
    si = unit_names.spell(unit_names.parse(unit_names.normalise(str(unit.dim))))
    try:
        magnitude = (1.0 * pint_unit).to(si).magnitude
    except pint_errors() as error:
        raise ValueError(f"pint and brainunit mean different units by {text!r}: {error}") from error
    if not math.isclose(magnitude, unit.magnitude, rel_tol=1e-9):
        raise ValueError(f"pint and brainunit mean different units by {text!r}: {magnitude:g} and {unit.magnitude:g} {si}.")
