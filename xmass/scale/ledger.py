"""What a store knows of its chunks: one line for each that is done, with a checksum of every file, added after the files are durable.

The ledger is ``status/ledger.jsonl`` in the store, so that it travels with it and nobody who opens the store with other tools
stumbles on it. A line is the CRC-32 of a JSON object, a space, and the object:

- the first says what the store is: format, configuration, sizes, chunks, and checksums of metadata and coordinates;
- ``{"session": ...}`` begins a call that writes: who, and when;
- ``{"chunk": [0, 1], "files": {"x/c/0/1/0/0": [size, sha256]}, ...}`` is a chunk that is whole on the disk;
- ``{"void": [[0, 1]]}`` takes chunks back, before they are written again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import socket
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xmass.scale import durable

FORMAT = 2
"""Of a store: 1 had no ledger, and so no checksums."""
NAME = "status/ledger.jsonl"
_DIGITS = 32
"""Hexadecimal digits of a sha256 that are kept: 128 bits."""

At = tuple[int, ...]
"""Place of a chunk in the grid of chunks."""
Files = Mapping[str, tuple[int, str]]
"""Size and checksum by name."""


@dataclasses.dataclass(frozen=True)
class Record:
    """What the ledger holds of a chunk."""

    chunk: At
    files: Files | None
    """None if the chunk is older than the ledger."""
    counts: Mapping[int, int]
    """Runs by status."""
    failed: tuple[tuple[int, int, str], ...] = ()
    """Place in the chunk (C order), status and reason of runs that failed."""
    at: float = 0.0
    """When it was written, in seconds since 1970."""

    def line(self) -> bytes:
        """As it stands in the ledger."""
        files = None if self.files is None else {n: list(f) for n, f in self.files.items()}
        counts = {str(code): n for code, n in self.counts.items()}
        body: dict[str, Any] = {"chunk": list(self.chunk), "runs": counts, "at": round(self.at, 3), "files": files}
        return _line(body | ({"failed": [list(f) for f in self.failed]} if self.failed else {}))


@dataclasses.dataclass(frozen=True)
class Header:
    """What the ledger says of the store itself."""

    config_hash: str
    sizes: dict[str, int]
    chunk: dict[str, int]
    arrays: tuple[str, ...]
    """Arrays that are written chunk by chunk."""
    files: Files
    """Everything else: metadata and coordinates."""

    def line(self) -> bytes:
        """As it stands in the ledger."""
        body = {"format": FORMAT, "config_hash": self.config_hash, "sizes": self.sizes, "chunk": self.chunk, "arrays": list(self.arrays)}
        return _line(body | {"files": {n: list(f) for n, f in self.files.items()}})


@dataclasses.dataclass(frozen=True)
class Session:
    """A call that wrote to the store."""

    pid: int
    host: str
    at: float


@dataclasses.dataclass(frozen=True)
class Ledger:
    """A ledger as it was read: the last word on every chunk, and what cannot be read."""

    header: Header | None
    records: dict[At, Record]
    sessions: tuple[tuple[Session, tuple[Record, ...]], ...]
    """Calls, and what each has added, in their order."""
    damaged: tuple[int, ...]
    """Lines whose checksum is wrong, from 1."""
    torn: bool
    """Whether the last line ends in the middle, as it does while it is written, and after a kill."""
    whole: int
    """Bytes before a torn line."""


def checksum(data: bytes) -> tuple[int, str]:
    """Size and sha256 (its first 32 hexadecimal digits) of a file's content."""
    return len(data), hashlib.sha256(data).hexdigest()[:_DIGITS]


def checksums(folder: Path) -> dict[str, tuple[int, str]]:
    """Of every file below a folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): checksum(p.read_bytes()) for p in files}


def read(store: Path) -> Ledger | None:
    """The ledger of a store; None if it has none."""
    try:
        data = (store / NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    header, damaged = None, []
    records: dict[At, Record] = {}
    sessions: list[tuple[Session, list[Record]]] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        body = _parsed(line)
        try:
            if body is None:
                damaged.append(number)
            elif "format" in body:
                header = Header(body["config_hash"], body["sizes"], body["chunk"], tuple(body["arrays"]), _files(body["files"]))
            elif "session" in body:
                sessions.append((Session(body["session"]["pid"], body["session"]["host"], body["at"]), []))
            elif "void" in body:
                for chunk in body["void"]:
                    records.pop(tuple(chunk), None)
            else:
                record = _record(body)
                records[record.chunk] = record
                if sessions:
                    sessions[-1][1].append(record)
        except (KeyError, TypeError, ValueError, AttributeError):
            damaged.append(number)
    torn = bool(lines[-1])
    return Ledger(header, records, tuple((s, tuple(r)) for s, r in sessions), tuple(damaged), torn, len(data) - len(lines[-1]))


def mend(store: Path, header: Header) -> None:
    """Write the ledger anew without the lines that cannot be read; with a first line, if it was one of them."""
    kept = [line for line in (store / NAME).read_bytes().split(b"\n")[:-1] if _parsed(line) is not None]
    found = read(store)
    first = [] if found is not None and found.header is not None else [header.line()]
    durable.sync_folders(durable.write_file(store / NAME, b"".join([*first, *(line + b"\n" for line in kept)])))


def create(store: Path, header: Header, records: Iterable[Record] = ()) -> None:
    """Make a ledger with its first lines, durable."""
    durable.sync_folders(durable.write_file(store / NAME, b"".join([header.line(), *(r.line() for r in records)])))


def begin(store: Path, void: Iterable[At] = ()) -> None:
    """Cut off what a killed process has left in the middle of a line, say who writes, and take back chunks that are written again."""
    found = read(store)
    if found is not None and found.torn:
        durable.cut(store / NAME, found.whole)
    session = {"session": {"pid": os.getpid(), "host": socket.gethostname()}, "at": round(time.time(), 3)}
    back = [list(at) for at in void]
    durable.append(store / NAME, _line(session) + (_line({"void": back}) if back else b""))


def add(store: Path, record: Record) -> None:
    """Say that a chunk is there. Its files must be durable."""
    durable.append(store / NAME, record.line())


def _line(body: Mapping[str, Any]) -> bytes:
    text = json.dumps(body, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object of a line; None if its checksum is wrong."""
    crc, space, text = line[:8], line[8:9], line[9:]
    if space != b" " or crc != b"%08x" % zlib.crc32(text):
        return None
    body = json.loads(text)
    return body if isinstance(body, dict) else None


def _files(found: Mapping[str, Any] | None) -> dict[str, tuple[int, str]]:
    return {str(n): (int(size), str(digest)) for n, (size, digest) in (found or {}).items()}


def _record(body: Mapping[str, Any]) -> Record:
    files = None if body["files"] is None else _files(body["files"])
    counts = {int(code): int(n) for code, n in body["runs"].items()}
    failed = tuple((int(i), int(code), str(why)) for i, code, why in body.get("failed", ()))
    return Record(tuple(int(i) for i in body["chunk"]), files, counts, failed, float(body["at"]))
