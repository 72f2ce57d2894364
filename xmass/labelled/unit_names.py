"""How a unit is written: the grammar of the ``units`` strings. Pure text, no unit library."""

from __future__ import annotations

import functools
import re

Symbols = tuple[tuple[str, float], ...]
"""What a unit is made of, such as ``(("mm", 1), ("ms", -1))``."""

_WHOLE = {
    "": "1",
    "none": "1",
    "unitless": "1",
    "dimensionless": "1",
    "a.u.": "1",
    "spikes/s": "Hz",
    "spike/s": "Hz",
    "beats/min": "1/min",
}
CHARACTERS = str.maketrans({"µ": "u", "μ": "u", "²": "^2", "³": "^3", "·": "*", "\u22c5": "*", "\u03a9": "ohm", "\u2126": "ohm"})
_PREFIX_NAMES = {"": "", "femto": "f", "pico": "p", "nano": "n", "micro": "u", "milli": "m", "centi": "c", "kilo": "k", "mega": "M"}
_BASE_NAMES = {
    "second": "s",
    "sec": "s",
    "hertz": "Hz",
    "meter": "m",
    "metre": "m",
    "volt": "V",
    "ampere": "A",
    "amp": "A",
    "siemens": "S",
    "farad": "F",
    "tesla": "T",
    "ohm": "ohm",
    "molar": "M",
    "radian": "rad",
    "kelvin": "K",
}
_LONG = {p + b + plural: ps + bs for p, ps in _PREFIX_NAMES.items() for b, bs in _BASE_NAMES.items() for plural in ("", "s")} | {
    "msec": "ms",
    "usec": "us",
    "minute": "min",
    "minutes": "min",
    "hr": "h",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
    "micron": "um",
    "microns": "um",
    "degree": "deg",
    "degrees": "deg",
    "°": "deg",
    "percent": "%",
    "spike": "1",
    "spikes": "1",
    "unitless": "1",
    "dimensionless": "1",
}
PREFIXES = {"f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "c": -2, "d": -1, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
COMMON = frozenset(p + b for p in PREFIXES for b in ("s", "m", "A", "V", "Hz", "S", "F", "T", "ohm", "g")) | {
    "rad",
    "deg",
    "min",
    "h",
    "%",
    "K",
    "mol",
}
"""Symbols that need no look-up: brainunit and pint both have them, with one meaning."""

_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_SYMBOL = r"[A-Za-z_%°]+"
_TOKEN = re.compile(
    rf"\s*(?:(?P<symbol>{_SYMBOL})(?P<power>\s*(?:\^|\*\*)\s*{_NUMBER}|{_NUMBER})?|(?P<one>1(?:\.0)?(?![\d.^]))|(?P<operator>[*/()]))"
)
_FACTOR = rf"{_SYMBOL}(?:\^-?\d+(?:\.\d+)?)?"
_GROUP = rf"\({_FACTOR}(?:\*{_FACTOR})*\)"
_PLAIN = re.compile(rf"(?:1(?=/)|{_FACTOR})(?:[*/](?:{_FACTOR}|{_GROUP}))*")


@functools.lru_cache(maxsize=1024)
def normalise(text: str) -> str:
    """The string that is stored: as written, with plain ASCII operators, short symbols, no spaces, and ``"1"`` for no unit.

    Raises
    ------
    ValueError
        If the text is not a product of powers of unit symbols.

    Examples
    --------
    >>> normalise("mm / ms"), normalise("mm ms-1"), normalise("1/ms**0.5"), normalise("")
    ('mm/ms', 'mm/ms', '1/ms^0.5', '1')
    """
    text = text.strip()
    text = _WHOLE.get(text.lower(), text).translate(CHARACTERS)
    symbols = parse(text)
    short = re.sub(r"\s*([*/^()])\s*", r"\1", text.replace("**", "^"))
    short = re.sub(_SYMBOL, lambda found: _LONG.get(found[0], found[0]), short)
    return short if _PLAIN.fullmatch(short) else spell(symbols)


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Symbols:
    """The symbols of a unit and their powers, each symbol once, in the order of the text.

    Examples
    --------
    >>> parse("1/(ms*Hz)")
    (('ms', -1), ('Hz', -1))
    """
    powers: dict[str, float] = {}
    signs, sign, position, operand = [1], 1, 0, True
    text = text.strip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ValueError(unreadable(text))
        position = found.end()
        operator = found["operator"]
        if operator in ("*", "/"):
            if operand:
                raise ValueError(unreadable(text))
            sign, operand = (1 if operator == "*" else -1), True
        elif operator == "(":
            signs.append(signs[-1] * sign)
            sign, operand = 1, True
        elif operator == ")":
            if operand or len(signs) == 1:
                raise ValueError(unreadable(text))
            signs.pop()
            sign = 1
        else:
            symbol = _LONG.get(found["symbol"], found["symbol"]) if found["symbol"] else "1"
            if symbol != "1":
                power = float(re.sub(r"[\s^*]", "", found["power"])) if found["power"] else 1.0
                powers[symbol] = powers.get(symbol, 0.0) + signs[-1] * sign * power
            sign, operand = 1, False
    if operand or len(signs) != 1:
        raise ValueError(unreadable(text))
    return tuple((symbol, int(p) if p == int(p) else p) for symbol, p in powers.items() if p)


def spell(symbols: Symbols) -> str:
    """A unit string from symbols and powers.

    Examples
    --------
    >>> spell((("Hz", 1), ("nA", -1), ("ms", -0.5)))
    'Hz/(nA*ms^0.5)'
    """
    above = [_power(symbol, p) for symbol, p in symbols if p > 0]
    below = [_power(symbol, -p) for symbol, p in symbols if p < 0]
    text = "*".join(above) or "1"
    if not below:
        return text
    return f"{text}/{below[0]}" if len(below) == 1 else f"{text}/({'*'.join(below)})"


def times(left: Symbols, right: Symbols, sign: int = 1) -> Symbols:
    """The symbols of a product (``sign=1``) or a quotient (``sign=-1``)."""
    powers = dict(left)
    for symbol, p in right:
        powers[symbol] = powers.get(symbol, 0) + sign * p
    return tuple((symbol, p) for symbol, p in powers.items() if abs(p) > 1e-12)


def to_power(symbols: Symbols, exponent: float) -> Symbols:
    """The symbols of a power."""
    return tuple((symbol, p * exponent) for symbol, p in symbols if p * exponent)


def unreadable(text: str) -> str:
    """The message for a unit that cannot be read."""
    return f"the unit {text!r} cannot be read: write it like 'mV', 'mm/ms', '1/ms^0.5' or '1/(ms*Hz)', and '1' for no unit."


def _power(symbol: str, exponent: float) -> str:
    return symbol if exponent == 1 else f"{symbol}^{exponent:g}"
