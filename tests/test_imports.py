"""The layers of the package, and what a plain import may cost."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A module imports only modules above it. What a helper with a leading underscore imports counts as
# imported by each module that uses the helper.
LAYERS = [
    "montecarlo",
    "activations",
    "weights",
    "architecture",
    "kernels",
    "response",
    "depthlimits",
    "loggaussian",
    "expansion",
    "recommend",
    "regression",
    "datasets",
    "simulate",
    "training",
    "diagnose",
    "sweeps",
    "papers",
    "results",
    "evidence",
    "plots",
    "cli",
]
EVERYWHERE = {"numpy", "scipy"}
LIBRARIES = {
    "torch": {"simulate", "training", "diagnose"},
    "sklearn": {"regression", "datasets"},
    "pooch": {"datasets", "results"},
    "pandas": {"sweeps", "papers", "results", "evidence", "cli"},
    "pyarrow": {"sweeps", "papers", "cli"},
    "joblib": {"sweeps", "papers"},
    "distributed": {"sweeps"},
    "tqdm": {"training", "sweeps", "papers", "cli"},
    "click": {"cli"},
    "matplotlib": {"plots"},
    "seaborn": {"plots"},
    "plotly": {"plots"},
    "IPython": {"plots"},
}
HEAVY = ["torch", "pandas", "sklearn", "matplotlib", "seaborn", "plotly", "pyarrow"]
LIGHT_MODULES = LAYERS[: LAYERS.index("regression")]


def violations(package: Path) -> list[str]:
    """Return each import in `package` that breaks the layers or the places of the libraries."""
    return [
        problem
        for path in sorted(package.rglob("*.py"))
        if not layer_of(path, package).startswith("_")
        for name in reachable(path, package)
        if (problem := judge(layer_of(path, package), name, path.name))
    ]


def layer_of(path: Path, package: Path) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


def reachable(path: Path, package: Path) -> set[str]:
    """Return what a file imports, itself or through the package's private helpers."""
    found: set[str] = set()
    files, seen = [path], {path}
    while files:
        for name in imported(files.pop(), package):
            found.add(name)
            helper = package / f"{own_module(name)}.py"
            if own_module(name).startswith("_") and helper.is_file() and helper not in seen:
                seen.add(helper)
                files.append(helper)
    return found


def own_module(name: str) -> str:
    """Return the module of this package in a full name; nothing for names of elsewhere."""
    parts = name.split(".")
    return parts[1] if parts[0] == "companion" and len(parts) > 1 else ""


def imported(path: Path, package: Path) -> Iterator[str]:
    """Yield the full name of everything imported in a file, also inside functions.

    A library that is imported for annotations only is never loaded, and is left out.
    """
    base = ["companion", *path.relative_to(package).parent.parts]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    unloaded = {
        node
        for block in blocks
        if ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        names = list(names_in(node, base))
        yield from (name for name in names if node not in unloaded or own_module(name))


def names_in(node: ast.AST, base: list[str]) -> Iterator[str]:
    """Yield what one statement imports into a module of the package `base`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        prefix = base[: len(base) - node.level + 1] if node.level else []
        source = ".".join([*prefix, *([node.module] if node.module else [])])
        yield from (f"{source}.{alias.name}" for alias in node.names)


def judge(layer: str, name: str, file: str) -> str:
    """Say why a module of `layer` must not import `name`; nothing if it may."""
    library = name.split(".", maxsplit=1)[0]
    if library == "companion":
        target = own_module(name)  # else a name of the package itself, such as its version
        above = target not in LAYERS or LAYERS.index(target) <= LAYERS.index(layer)
        return "" if above else f"{file} imports {target}, which stands below it"
    if library in EVERYWHERE or library in sys.stdlib_module_names:
        return ""
    allowed = LIBRARIES.get(library, set())
    return "" if layer in allowed else f"{file} imports {library}, meant for {sorted(allowed)}"


def test_imports_respect_the_layers(root: Path) -> None:
    package = root / "src" / "companion"
    modules = {layer_of(path, package) for path in package.rglob("*.py")}
    unknown = {name for name in modules if not name.startswith("_")} - set(LAYERS)
    assert not unknown, f"give these modules a place in the list of layers: {unknown}"
    assert violations(package) == []


@pytest.mark.parametrize(
    ("module", "code", "complaint"),
    [
        ("activations.py", "from companion.plots import palette", "plots, which stands below"),
        ("activations.py", "from . import plots", "plots, which stands below"),
        ("activations.py", "from .plots import palette", "plots, which stands below"),
        ("papers/one.py", "from ..cli import main", "cli, which stands below"),
        ("loggaussian.py", "def f():\n    import torch", "imports torch"),
        ("simulate/dense.py", "import pandas as pd", "imports pandas"),
        (
            "kernels.py",
            "if TYPE_CHECKING:\n    from companion import cli",
            "cli, which stands below",
        ),
        ("plots.py", "if slow:\n    import torch", "imports torch"),
        ("kernels.py", "import jax.numpy as jnp", "imports jax"),
    ],
)
def test_a_forbidden_import_is_found(
    tmp_path: Path, module: str, code: str, complaint: str
) -> None:
    path = tmp_path / module
    path.parent.mkdir(exist_ok=True)
    path.write_text(code)
    (found,) = violations(tmp_path)
    assert complaint in found


def test_an_import_through_a_helper_is_found(tmp_path: Path) -> None:
    (tmp_path / "_inner.py").write_text("from companion import kernels")
    (tmp_path / "_outer.py").write_text("from companion._inner import something")
    (tmp_path / "weights.py").write_text("from companion._outer import something")
    (tmp_path / "plots.py").write_text("from companion._outer import something")
    (found,) = violations(tmp_path)
    assert found == "weights.py imports kernels, which stands below it"


def test_allowed_imports_are_not_complained_about(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "one.py").write_text(
        "import json\nimport pandas\nfrom companion import REPOSITORY_URL, montecarlo\n"
        "from companion._guards import check\nfrom .two import claims\n"
        "if TYPE_CHECKING:\n    import matplotlib\n"
    )
    assert violations(tmp_path) == []


_MEASURE = """
import json, sys, time
import numpy, scipy
start = time.perf_counter()
import companion
for name in {modules}:
    __import__("companion." + name)
seconds = time.perf_counter() - start
print(json.dumps([seconds, [name for name in {heavy} if name in sys.modules]]))
"""


def measure(code: str) -> tuple[float, list[str]]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, loaded = json.loads(done.stdout)
    return seconds, loaded


def existing_light_modules(root: Path) -> list[str]:
    package = root / "src" / "companion"
    return [name for name in LIGHT_MODULES if (package / f"{name}.py").exists()]


def test_the_theory_loads_no_heavy_library(root: Path) -> None:
    code = _MEASURE.format(modules=existing_light_modules(root), heavy=HEAVY)
    assert measure(code)[1] == []


def test_a_heavy_library_would_be_noticed() -> None:
    code = _MEASURE.format(modules=[], heavy=HEAVY).replace(
        "import companion", "import companion, pandas"
    )
    assert "pandas" in measure(code)[1]


def test_import_costs_little_beyond_numpy_and_scipy(root: Path) -> None:
    code = _MEASURE.format(modules=existing_light_modules(root), heavy=[])
    # The least of several runs: other work on the machine can only add to the time.
    assert min(measure(code)[0] for _ in range(5)) < 0.3
