"""A disk whose power can be cut: it remembers what was only written, and what was forced to last.

Files are contents behind names. ``fsync`` of a file makes its present content last, ``fsync`` of a folder its present names. After a cut
a file has the content that lasts or what was written since, a folder its old names or the new ones: each is the disk's choice.
"""

from __future__ import annotations

import copy
import os as real
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class File:
    def __init__(self) -> None:
        self.now = b""
        self.lasts = b""


class Folder:
    def __init__(self) -> None:
        self.now: dict[str, File | Folder] = {}
        self.lasts: dict[str, File | Folder] = {}


Choice = Callable[[File | Folder], bool]
"""Whether what was done to a file or folder since its last ``fsync`` has reached the disk."""

CUTS: dict[str, Choice] = {
    "only what was forced": lambda node: False,
    "everything (a kill)": lambda node: True,
    "names, not contents": lambda node: isinstance(node, Folder),
    "contents, not names": lambda node: isinstance(node, File),
}


def by_chance(seed: int) -> Choice:
    rng = random.Random(seed)
    return lambda node: rng.random() < 0.5


class Disk:
    """Stands for the module ``os``: does what it is told below ``root``, and keeps a copy of the disk after every step."""

    def __init__(self, root: Path) -> None:
        self.root, self.top = root, Folder()
        self.steps: list[tuple[str, str, Folder]] = []
        self.open_files: dict[int, Path] = {}
        self.lax = False
        """Whether ``fsync`` does nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(real, name)

    # what the library calls -------------------------------------------------------------------------------------------------
    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        file = real.open(path, flags, mode)
        self.open_files[file] = Path(path)
        if flags & real.O_CREAT:
            self._folder(Path(path).parent).now.setdefault(Path(path).name, File())
            self._step("create", path)
        return file

    def close(self, file: int) -> None:
        self.open_files.pop(file)
        real.close(file)

    def write(self, file: int, data: Any) -> int:
        data = bytes(data)[: max(len(data) // 2, 1)]  # in two halves or more, as a kernel may
        count = real.write(file, data)
        self._read(self.open_files[file])
        self._step("write", self.open_files[file])
        return count

    def ftruncate(self, file: int, size: int) -> None:
        real.ftruncate(file, size)
        self._read(self.open_files[file])
        self._step("truncate", self.open_files[file])

    def fsync(self, file: int) -> None:
        path = self.open_files[file]
        if self.lax:
            return
        if path.is_dir():
            folder = self._folder(path)
            folder.lasts = dict(folder.now)
        else:
            node = self._read(path)
            node.lasts = node.now
        self._step("fsync", path)

    def mkdir(self, path: Any) -> None:
        real.mkdir(path)
        self._folder(Path(path))
        self._step("mkdir", path)

    def unlink(self, path: Any) -> None:
        real.unlink(path)
        self._folder(Path(path).parent).now.pop(Path(path).name, None)
        self._step("unlink", path)

    def replace(self, old: Any, new: Any) -> None:
        self._move(Path(old), Path(new))
        real.replace(old, new)
        self._step("rename", new)

    def rename(self, old: Any, new: Any) -> None:
        self._move(Path(old), Path(new))
        real.rename(old, new)
        self._step("rename", new)

    # the model --------------------------------------------------------------------------------------------------------------
    def _move(self, old: Path, new: Path) -> None:
        node = self._folder(old) if old.is_dir() else self._read(old)  # also what others have written there
        if isinstance(node, Folder):
            self._look(old, node)
        self._folder(old.parent).now.pop(old.name, None)
        self._folder(new.parent).now[new.name] = node

    def _look(self, path: Path, folder: Folder) -> None:
        for below in path.iterdir():
            if below.is_dir():
                self._look(below, self._folder(below))
            else:
                self._read(below)

    def _folder(self, path: Path) -> Folder:
        node = self.top
        for part in path.relative_to(self.root).parts:
            found = node.now.setdefault(part, Folder())
            assert isinstance(found, Folder)
            node = found
        return node

    def _read(self, path: Path) -> File:
        node = self._folder(path.parent).now.setdefault(path.name, File())
        assert isinstance(node, File)
        node.now = path.read_bytes()
        return node

    def _step(self, what: str, path: Any) -> None:
        self.steps.append((what, str(Path(path).relative_to(self.root)), copy.deepcopy(self.top)))


def after_cut(top: Folder, chosen: Choice) -> dict[str, bytes | None]:
    """What a disk holds after a cut: contents by path, None for a folder."""
    return dict(_below(top, chosen, ""))


def _below(folder: Folder, chosen: Choice, at: str) -> Iterator[tuple[str, bytes | None]]:
    for name, node in (folder.now if chosen(folder) else folder.lasts).items():
        if isinstance(node, Folder):
            yield f"{at}{name}", None
            yield from _below(node, chosen, f"{at}{name}/")
        else:
            yield f"{at}{name}", node.now if chosen(node) else node.lasts


def put(files: dict[str, bytes | None], root: Path) -> None:
    """Write what a disk holds to a folder."""
    for name, content in files.items():
        path = root / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
