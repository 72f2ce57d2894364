"""Files that are on the disk when the call returns, whatever is switched off afterwards.

A file is written beside its place, forced to the disk, and renamed; the folder that holds its name is forced to the disk by
:func:`sync_folders`, once for many files. What follows in the program is thus later on the disk, too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

PARTIAL = ".partial"
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EISDIR, errno.EBADF, errno.EPERM}
"""What file systems say that cannot force a folder to the disk, and need not be asked to."""


def write_file(path: Path, data: bytes) -> set[Path]:
    """Write a file whole or not at all, and force its content to the disk.

    Parameters
    ----------
    path : Path
        Where; what was there is replaced. Folders are made.
    data : bytes
        The content.

    Returns
    -------
    set of Path
        Folders that have a new name, for :func:`sync_folders`: until then a power failure may take the name, never half the content.
    """
    changed = make_folders(path.parent) | {path.parent}
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        file = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            _write_all(file, data)
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    return changed


def make_folders(path: Path) -> set[Path]:
    """Make a folder and those above it; returns the folders that have a new name."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
    return {folder.parent for folder in missing}


def remove(path: Path) -> set[Path]:
    """Remove a file if it is there; returns the folders that lost a name."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {path.parent}


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file and force it to the disk. What cannot be written whole is taken back."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        before = os.fstat(file).st_size
        try:
            _write_all(file, data)
            os.fsync(file)
        except BaseException:  # a full disk, and Ctrl-C
            with contextlib.suppress(OSError):
                os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


def cut(path: Path, size: int) -> None:
    """Cut a file to a size, and force that to the disk."""
    file = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(file, size)
        os.fsync(file)
    finally:
        os.close(file)


def rename(old: Path, new: Path) -> None:
    """Give a file or folder its name, durably."""
    os.rename(old, new)
    sync_folders({old.parent, new.parent})


def sync_folders(folders: Iterable[Path]) -> None:
    """Force the names in folders to the disk."""
    for folder in sorted(set(folders), reverse=True):
        try:
            file = os.open(folder, os.O_RDONLY)
        except PermissionError:  # Windows has no such thing
            continue
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
        finally:
            os.close(file)


def sync_tree(folder: Path) -> None:
    """Force everything below a folder to the disk: contents, then names."""
    folders = [folder]
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            folders.append(path)
            continue
        file = os.open(path, os.O_RDWR)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    sync_folders(folders)


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
