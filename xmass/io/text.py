"""Tables of numbers from text: comma, tab or white space between them, with or without labels."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xmass.io.guard import KINDS, Source, content, existing, fault, too_large
from xmass.labelled.regions import repeated_labels

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": None}  # None: any white space
CELLS = 10
"""Bytes that a table takes in memory over the bytes of its text."""
MISSING = ("", "n/a", "na", "nan")  # n/a is what BIDS writes
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
UNUSUAL = re.compile(r"[^0-9eE+.-]")
COMMA_DECIMAL = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?", re.ASCII)
CORNERS = ("", "node", "region", "label", "name", "index")
UTF_16_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
ENCODING = "Save it as text in UTF-8 (open(path, 'w', encoding='utf-8'))."


class Table(NamedTuple):
    """Numbers with the labels that their file has."""

    values: np.ndarray
    rows: list[str] | None
    columns: list[str] | None


def read_table(file: Path, max_bytes: int, *, header: bool | None = None) -> Table:
    """The numbers of a text file and their labels.

    Parameters
    ----------
    file : Path
        ``.csv`` (commas), ``.tsv`` (tabs) or ``.txt`` (white space).
    max_bytes : int
        Largest size of the file.
    header : bool, optional
        Whether the first line holds labels; by default if something in it is no number.

    Returns
    -------
    Table
        Missing values are NaN. A first column of labels is found by what is not a number in it, or by an empty corner, or one called
        node, region, label, name or index.

    Raises
    ------
    ValueError
        If it is not UTF-8, has lines of different lengths, or something that is no number.
    """
    data = content(file, max_bytes)
    check_room(file, data, max_bytes)
    return table(file, decode(file, data), DELIMITERS[file.suffix.lower()], header=header)


def check_room(file: Path, data: bytes, max_bytes: int) -> None:
    """There is room for the cells of a table, which take several times its text."""
    if CELLS * len(data) > max_bytes:
        raise too_large(file, "its table, in memory,", CELLS * len(data), max_bytes)


def decode(file: Path, data: bytes, name: str | None = None) -> str:
    """Text in UTF-8, with or without a byte order mark; ``name`` is that of the entry in an archive."""
    what = "it" if name is None else f"its entry {name!r}"
    if data.startswith(UTF_16_32):
        raise fault(file, f"{what} is UTF-16 or UTF-32, needs UTF-8. {ENCODING}")
    if b"\0" in data:
        kind = next((f", {said}" for start, said in KINDS if data.startswith(start)), "")
        raise fault(file, f"{what} is not text (it holds NUL bytes{kind}), needs text in UTF-8. {ENCODING}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fault(file, f"{what} is not UTF-8 (byte {error.start} is {data[error.start]:#04x}), needs UTF-8. {ENCODING}") from error


def table(file: Path, text: str, delimiter: str | None, *, header: bool | None = None) -> Table:
    """The numbers and labels of a text, see :func:`read_table`."""
    cells = split(file, text, delimiter)
    first = cells[0]
    has_header = _is_header(cells) if header is None else header
    if has_header and len(cells) > 1 and len(cells[1]) == len(first) + 1:
        first = ["", *first]  # R writes no corner
    body = cells[1:] if has_header else cells
    if not body:
        raise fault(file, "it has labels and no numbers, needs a line of numbers for each row.")
    width = len(first) if has_header else len(body[0])
    for line, row in enumerate(body, start=1 + has_header):
        if len(row) != width:
            raise fault(file, f"line {line} has {len(row)} values and the first line {width}, needs as many in each.{_semicolons(row)}")
    corner = has_header and first[0].lower() in CORNERS
    has_rows = width > 1 and (corner or all(_is_text(row[0]) for row in body))
    values = np.array([_numbers(file, row, line, skip=int(has_rows)) for line, row in enumerate(body, start=1 + has_header)])
    return Table(values, [row[0] for row in body] if has_rows else None, first[has_rows:] if has_header else None)


def split(file: Path, text: str, delimiter: str | None) -> list[list[str]]:
    """The cells of each line that is not empty, without white space around them."""
    if not text.strip():
        raise fault(file, "it is empty, needs data. Export or copy it again.")
    try:
        rows = (
            [line.split() for line in text.splitlines()]
            if delimiter is None
            else list(csv.reader(text.splitlines(), delimiter=delimiter, strict=True))
        )
    except csv.Error as error:
        raise fault(file, f"it cannot be read as a table ({error}), needs quotes in pairs. Export it again.") from error
    cells = [[cell.strip() for cell in row] for row in rows]
    if delimiter is not None:
        cells = [row[:-1] if len(row) > 1 and row[-1] == "" and _all_end_empty(cells) else row for row in cells]
    return [row for row in cells if any(row)]


def read_labels(file: Path, max_bytes: int) -> list[str]:
    """The labels in a file of one row or one column of text."""
    suffix = file.suffix.lower()
    if suffix not in DELIMITERS:
        raise fault(file, f"labels are in a file {suffix or 'without ending'!r}, needs one of {', '.join(DELIMITERS)}.")
    text = decode(file, content(file, max_bytes))
    cells = split(file, text, DELIMITERS[suffix]) if suffix != ".txt" else [[line.strip()] for line in text.splitlines() if line.strip()]
    if len(cells) > 1 and any(len(row) > 1 for row in cells):
        raise fault(file, f"it has {len(cells)} rows of up to {max(map(len, cells))} cells, needs labels in one row or in one column.")
    return [cell for row in cells for cell in row]


def given_labels(labels: Sequence[str] | Source | None, max_bytes: int) -> list[str] | None:
    """Labels as they were given, or from the file that was."""
    if isinstance(labels, str | os.PathLike):
        return read_labels(existing(labels), max_bytes)
    return None if labels is None else list(labels)


def check_labels(source: str, labels: Sequence[object], n: int, what: str = "regions") -> list[str]:
    """Labels as strings, one for each of ``n`` regions, none empty and none twice."""
    if isinstance(labels, str):
        raise ValueError(f"{source}: labels is one string {labels[:40]!r}, needs one label for each of the {n} {what}.")
    names = [label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label) for label in labels]
    names = [name.strip() for name in names]
    if len(names) != n:
        raise ValueError(f"{source}: there are {len(names)} labels and {n} {what}, needs one for each, in their order.")
    if empty := [i for i, name in enumerate(names) if not name]:
        raise ValueError(f"{source}: the labels at {empty[:5]} (from 0) are empty, needs a name for each. Give labels=[...].")
    if odd := [name for name in names if not name.isprintable()]:
        raise ValueError(f"{source}: the labels {odd[:5]} have characters that cannot be printed, needs plain names. Give labels=[...].")
    if again := repeated_labels(names):
        raise ValueError(
            f"{source}: the labels {again[:5]} are there more than once, needs each once. "
            "Give other ones, in the order of the file: labels=[...]."
        )
    return names


def _is_header(cells: list[list[str]]) -> bool:
    """Whether the first line holds labels: text in it, if only in its first cell then not because that is the label of a row."""
    first = cells[0]
    if any(_is_text(cell) for cell in first[1:]):
        return True
    if first[0] == "" and len(first) > 1:
        return is_count(first[1:])  # how pandas writes columns without names
    below = cells[1][0] if len(cells) > 1 else ""
    return _is_text(first[0]) and (first[0].lower() in (*CORNERS, "time") or not _is_text(below))


def is_count(labels: list[str]) -> bool:
    """Whether labels only count, from 0 or 1."""
    return labels in ([str(i) for i in range(len(labels))], [str(i + 1) for i in range(len(labels))])


def _is_text(cell: str) -> bool:
    return cell.lower() not in MISSING and not NUMBER.fullmatch(cell) and not COMMA_DECIMAL.fullmatch(cell)


def _numbers(file: Path, row: list[str], line: int, *, skip: int) -> np.ndarray:
    """The numbers of a line, its first cell left out if ``skip`` is 1."""
    cells = row[skip:]
    if all(cells) and not UNUSUAL.search("".join(cells)):
        try:
            return np.array([float(cell) for cell in cells])
        except ValueError:
            pass  # found and named below
    return np.array([_number(file, cell, line, place) for place, cell in enumerate(cells, start=1 + skip)])


def _number(file: Path, cell: str, line: int, place: int) -> float:
    if cell.lower() in MISSING:
        return math.nan
    if NUMBER.fullmatch(cell):
        return float(cell.lower().replace("d", "e"))
    where = f"line {line}, column {place}"
    if COMMA_DECIMAL.fullmatch(cell):
        raise fault(file, f"{where}: {cell!r} has a decimal comma, needs a decimal point. {_PANDAS}")
    if ";" in cell:
        raise fault(file, f"{where}: {cell[:40]!r} has semicolons, needs {_SEPARATORS}. {_PANDAS}")
    raise fault(file, f"{where}: {cell[:40]!r} is no number, needs numbers below and to the right of the labels.")


_SEPARATORS = "commas in .csv, tabs in .tsv, white space in .txt"
_PANDAS = "Read it with pandas.read_csv(path, sep=..., decimal=...) and give its .to_numpy() in place of the path, with labels=."


def _semicolons(row: list[str]) -> str:
    joined = "".join(row)
    if ";" in joined:
        return f" It has semicolons: it needs {_SEPARATORS}, and decimal points. {_PANDAS}"
    return ""


def _all_end_empty(cells: list[list[str]]) -> bool:
    return all(row[-1] == "" for row in cells if any(row))
