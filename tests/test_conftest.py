"""The rules of tests/conftest.py hold, and can fail."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import pytest

from tests.conftest import find_shared

CONFTEST = Path(__file__).parent / "conftest.py"


def test_mixed_dtypes_are_an_error():
    with pytest.raises(ValueError, match="no available implicit dtype promotion path"):
        jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.int32)


def test_a_warning_is_an_error():
    with pytest.raises(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)


def test_shared_data_that_are_absent_skip_the_test(tmp_path):
    with pytest.raises(pytest.skip.Exception, match="not beside the repository"):
        find_shared(tmp_path / "shared", ("data",), required=False)


def test_shared_data_that_are_absent_fail_the_test_where_they_are_required(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="XMASS_REQUIRE_SHARED"):
        find_shared(tmp_path / "shared", ("data",), required=True)


def test_a_misspelt_shared_file_is_an_error_that_lists_what_is_there(tmp_path):
    (tmp_path / "tvb_76.nc").touch()
    assert find_shared(tmp_path, ("tvb_76.nc",), required=False).is_file()
    with pytest.raises(FileNotFoundError, match=r"no tvb_77.nc.*tvb_76.nc"):
        find_shared(tmp_path, ("tvb_77.nc",), required=False)


def test_a_test_that_leaves_float64_on_fails(tmp_path):
    # Two tests in a process of their own: the first leaves the switch on and must fail alone, the second must find it off.
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_leak.py").write_text(
        "import jax\ndef test_leaks(): jax.config.update('jax_enable_x64', True)\ndef test_after(): assert not jax.config.jax_enable_x64\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert "left jax_enable_x64 on" in done.stdout
    assert "2 passed, 1 error" in done.stdout
