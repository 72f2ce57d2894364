"""For all tests of readers: what a refusal must look like."""

from __future__ import annotations

import stat
import warnings

import pytest

import xmass as xm

READERS = {
    "connectome": xm.io.read_connectome,
    "recording": lambda path, **options: xm.io.read_recording(path, rows="time", tr=1, **options),
}
MAPS = {"map": lambda path, **options: xm.io.read_map(path, ["V1", "M1", "PFC", "Hip"], **options)}
"""Read where a test names it."""
MARK = "the_pickle_ran"


def snapshot(folder):
    """Everything below a folder: kind, size, time of the last change, content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size < 10_000_000 else None
        found[str(path.relative_to(folder))] = (stat.S_IFMT(status.st_mode), status.st_size, status.st_mtime_ns, content)
    return found


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Asserts that reading a file is a ValueError with its name, and changes nothing beside it, in the working folder or in TMPDIR."""
    working = tmp_path / "working"
    temporary = tmp_path / "temporary"
    working.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)

    def check(path, said=None, *, readers=tuple(READERS), error=ValueError, **options):
        before = snapshot(tmp_path)
        for name in readers:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(error, match=said) as caught:
                    (READERS | MAPS)[name](path, **options)
            assert str(caught.value).startswith(f"{path.name}: ") or repr(str(path)) in str(caught.value)
            assert "needs" in str(caught.value)
        after = snapshot(tmp_path)
        assert after == before
        assert not list(tmp_path.rglob(MARK))

    return check
