"""Imports point one way, labels stay above arrays, and nothing is configured globally: read from the source by ``ast``.

The order is that of the table in docs/contributing.md. A module may import what stands above it in ``LAYERS``, never what stands beside
or below it; imports inside functions and under ``TYPE_CHECKING`` count as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "xmass"
LAYERS = (
    ("_version",),
    ("core",),
    ("models", "couplings", "observations"),
    ("labelled",),
    ("stimuli",),
    ("scale",),
    ("simulator",),
    ("analysis",),
    ("objectives",),
    ("fit",),
    ("training",),
    ("io",),
    ("datasets",),
    ("viz",),
    ("accessor",),
    ("__init__",),
    ("testing",),
    ("demo",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ARRAYS_ONLY = ("core", "models", "couplings", "observations")
LABELS = ("xarray", "pandas", "dask", "zarr", "pint", "pint_xarray")
MAX_LINES = 600


def layer_of(path: Path, root: Path) -> str:
    """The package or module directly below ``root`` that ``path`` belongs to."""
    return path.relative_to(root).with_suffix("").parts[0]


def imports(tree: ast.AST, path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that a module imports; for ``from a import b`` the name is ``a.b``."""
    package = (root.name, *path.relative_to(root).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def target_layer(name: str, root: Path) -> str | None:
    """The layer of an imported name, ``"__init__"`` for a public name of the package itself, None if it is another package."""
    parts = name.split(".")
    if parts[0] != root.name:
        return None
    if len(parts) == 1:
        return "__init__"
    is_module = (root / parts[1]).is_dir() or (root / f"{parts[1]}.py").is_file()
    return parts[1] if is_module else "__init__"


def sets_jax_config(node: ast.AST) -> bool:
    """Whether a node is ``jax.config.update(...)``, ``config.update(...)`` or an assignment to ``jax.config.<name>``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return ast.unparse(node.func) in ("jax.config.update", "config.update")
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(ast.unparse(target).startswith("jax.config.") for target in targets)


def faults(root: Path) -> list[str]:
    """Every broken rule below ``root``, as ``file:line: what``."""
    found = []
    for path in sorted(root.rglob("*.py")):
        text, layer, where = path.read_text(encoding="utf-8"), layer_of(path, root), path.relative_to(root.parent)
        tree = ast.parse(text, filename=str(path))
        if len(text.splitlines()) > MAX_LINES:
            found.append(f"{where}:{MAX_LINES}: longer than {MAX_LINES} lines, split it by idea")
        if layer not in RANK:
            found.append(f"{where}:1: {layer} has no place in LAYERS, give it one")
            continue
        for line, name in imports(tree, path, root):
            other = target_layer(name, root)
            if other is None:
                if layer in ARRAYS_ONLY and name.split(".")[0] in LABELS:
                    found.append(f"{where}:{line}: {layer} imports {name}, but holds arrays only")
            elif other != layer and RANK.get(other, len(LAYERS)) >= RANK[layer]:
                found.append(f"{where}:{line}: {layer} imports {name}, which is {other}: not above it in LAYERS")
        for node in ast.walk(tree):
            if sets_jax_config(node):
                found.append(f"{where}:{node.lineno}: sets jax.config, which is the user's")
            if isinstance(node, ast.Global):
                found.append(f"{where}:{node.lineno}: global {', '.join(node.names)}")
    return found


def test_every_module_keeps_the_rules():
    assert len(list(ROOT.rglob("*.py"))) > 5, f"{ROOT} is not the package"
    assert faults(ROOT) == []


GOOD = {
    "core/a.py": "import jax\nfrom xmass.core.b import f\nfrom . import b\n",
    "core/b.py": "f = 1\n",
    "models/m.py": "from xmass.core import b\nfrom ..core.a import f\n",
    "labelled/n.py": "import xarray\nfrom xmass import core\n",
    "__init__.py": "from xmass.core.b import f\nfrom .labelled import n\n",
    "__main__.py": "import xmass\nfrom xmass import f\n",
}
BAD = {
    "down": ("core/c.py", "from xmass.labelled import n\n", "core imports xmass.labelled.n"),
    "down, relative": ("core/c.py", "from ..labelled import n\n", "core imports xmass.labelled.n"),
    "down, relative, bare": ("core/c.py", "from .. import labelled\n", "core imports xmass.labelled"),
    "down, through the package": ("core/c.py", "from xmass import labelled\n", "core imports xmass.labelled"),
    "down, inside a function": ("core/c.py", "def f():\n    import xmass.models.m\n", "core imports xmass.models.m"),
    "down, for types only": ("core/c.py", "if TYPE_CHECKING:\n    from xmass.models.m import M\n", "core imports xmass.models.m.M"),
    "beside": ("couplings/c.py", "from xmass.models import m\n", "couplings imports xmass.models.m"),
    "a public name": ("labelled/c.py", "from xmass import HopfStep\n", "which is __init__"),
    "the whole package": ("scale.py", "import xmass as xm\n", "which is __init__"),
    "labels among arrays": ("models/c.py", "def f():\n    from xarray.core import types\n", "models imports xarray.core.types"),
    "jax.config.update": ("simulator.py", "import jax\njax.config.update('jax_enable_x64', True)\n", "simulator.py:2: sets jax.config"),
    "config.update": ("simulator.py", "from jax import config\nconfig.update('jax_enable_x64', True)\n", "sets jax.config"),
    "jax.config.x = ...": ("simulator.py", "jax.config.jax_enable_x64 = True\n", "sets jax.config"),
    "global": ("simulator.py", "def f():\n    global state\n", "global state"),
    "no layer": ("helpers.py", "x = 1\n", "helpers has no place"),
    "too long": ("io/c.py", "x = 1\n" * (MAX_LINES + 1), "longer than"),
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "xmass" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "xmass"


def test_a_tree_that_keeps_the_rules_passes(tmp_path):
    assert faults(write(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("name", "text", "message"), BAD.values(), ids=BAD)
def test_each_broken_rule_is_found(tmp_path, name, text, message):
    found = faults(write(tmp_path, GOOD | {name: text}))
    assert len(found) == 1
    assert message in found[0]
