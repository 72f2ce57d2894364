"""``import xmass`` is cheap and changes nothing. How long it takes is measured by tests/benchmarks/bench_import.py."""

from __future__ import annotations

import json
import subprocess
import sys

BASE = "import jax, xarray, equinox"
REPORT = """
import json, sys
options = {name: str(holder.value) for name, holder in jax.config._value_holders.items()}
backends = bool(sys.modules["jax._src.xla_bridge"]._backends)
print(json.dumps({"modules": sorted(sys.modules), "options": options, "backends": backends}))
"""


def fresh(code: str) -> dict:
    """What a new interpreter has loaded and configured after ``code``."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code + REPORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def packages(modules: list[str]) -> set[str]:
    return {name.split(".")[0] for name in modules} - sys.stdlib_module_names


def test_importing_loads_no_package_beyond_jax_xarray_and_equinox():
    # brainunit (1.1 s), pint, matplotlib, zarr, dask, distributed, h5netcdf, scipy ... are imported by the functions that use them.
    extra = packages(fresh(f"{BASE}, xmass")["modules"]) - packages(fresh(BASE)["modules"])
    assert extra == {"xmass"}, f"import these inside the functions that need them: {sorted(extra - {'xmass'})}"


def test_the_check_sees_a_heavy_import():
    assert "scipy" in packages(fresh(f"{BASE}, scipy")["modules"]) - packages(fresh(BASE)["modules"])


def test_importing_configures_nothing_and_starts_no_backend():
    before, after = fresh(BASE), fresh(f"{BASE}, xmass")
    assert before["options"]["jax_enable_x64"] == "False"
    assert after["options"] == before["options"]
    assert not after["backends"], "importing xmass computed something: a jax array was made at import"
