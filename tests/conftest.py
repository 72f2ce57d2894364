"""What every test runs under: strict dtype promotion, the global float64 switch off, warnings as errors (pyproject.toml).

``shared_path(*parts)`` finds the data that lie beside the repository, as a fixture or by ``from tests.conftest import shared_path``.
"""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import jax
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
REQUIRE_SHARED = "XMASS_REQUIRE_SHARED"

hypothesis.settings.register_profile("xmass", deadline=None, max_examples=25, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("xmass")


def find_shared(folder: Path, parts: tuple[str, ...], *, required: bool) -> Path:
    """The file or folder ``parts`` below ``folder``; skips the test if ``folder`` is absent, fails it if ``required``."""
    if not folder.is_dir():
        reason = f"the shared data folder ../{folder.name} is not beside the repository"
        if required:
            pytest.fail(f"{reason}, and {REQUIRE_SHARED}=1 requires it", pytrace=False)
        pytest.skip(reason, allow_module_level=True)
    path = folder.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"../{folder.name} has no {'/'.join(parts)}; it has {sorted(p.name for p in path.parent.glob('*'))}.")
    return path


def shared_path(*parts: str) -> Path:
    """The path of a shared file: ``shared_path("data", "hcp_subject_1.nc")``. Skips the test where the folder is absent."""
    return find_shared(SHARED, parts, required=os.environ.get(REQUIRE_SHARED) == "1")


@pytest.fixture(name="shared_path", scope="session")
def shared_path_fixture():
    return shared_path


@pytest.fixture(autouse=True)
def strict_promotion():
    """A sum of float32 and float64, or of float and int arrays, is an error: dtypes are chosen, never promoted by accident."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(autouse=True)
def global_x64_stays_off():
    """float64 is asked for by ``precision="float64"`` or entered locally; no code may leave the global switch on."""
    yield
    if jax.config.jax_enable_x64:
        jax.config.update("jax_enable_x64", False)  # so that only the test that left it on fails
        pytest.fail(
            "the test left jax_enable_x64 on: enter `with jax.enable_x64(True):` locally, or use precision='float64'", pytrace=False
        )
