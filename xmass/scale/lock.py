"""An advisory lock: a file beside the store that says which process writes to it."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class Lock:
    """Held while a store is written. The lock of a process that is gone, on this machine, is taken over.

    Parameters
    ----------
    path : Path
        The lock file.

    Raises
    ------
    BlockingIOError
        If another process holds it, or one of another machine, which cannot be asked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Lock:
        if not self._take():
            self._remove_stale()
            if not self._take():
                raise self._held(self.holder())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.path.unlink(missing_ok=True)

    def _take(self) -> bool:
        """Create the file; False if it exists. It is linked to its place with its content: a kill leaves no lock without a name."""
        made = self.path.with_name(f"{self.path.name}.new-{os.getpid()}-{threading.get_ident()}")
        said = {"pid": os.getpid(), "host": socket.gethostname(), "began": _began(os.getpid()), "since": round(time.time(), 3)}
        try:
            made.write_text(json.dumps(said))
            try:
                os.link(made, self.path)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                return self._take_without_links(made.read_bytes())
        finally:
            made.unlink(missing_ok=True)
        return True

    def _take_without_links(self, said: bytes) -> bool:
        try:
            file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(file, said)
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
        return True

    def holder(self) -> dict[str, Any]:
        """What the lock says of the process that holds it; empty if there is no lock, or it says nothing."""
        try:
            return json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}

    def _remove_stale(self) -> None:
        """Put a dead process's lock away; by renaming, so that of two that try only one does it."""
        holder = self.holder()
        if not holder or not gone(holder):
            raise self._held(holder)
        aside = self.path.with_name(f"{self.path.name}.stale-{os.getpid()}")
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return
        moved = Lock(aside).holder()
        if moved != holder:
            os.rename(aside, self.path)
            raise self._held(moved)
        aside.unlink(missing_ok=True)

    def _held(self, holder: dict[str, Any]) -> BlockingIOError:
        who = f"process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= set(holder) else "a process that left no name"
        if isinstance(holder.get("since"), int | float):
            who += f" (since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(holder['since']))})"
        return BlockingIOError(f"{who} is writing to this store. Wait for it; if it no longer runs, delete {self.path} and call again.")


def gone(holder: dict[str, Any]) -> bool:
    """Whether a holder ran on this machine and has ended."""
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _began(pid) != holder.get("began")


def _began(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: the same number can be another process by now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
