"""Fingerprint of the code behind a number: what a cell's module imports, docstrings left out.

Two texts that differ in comments, docstrings or layout have one fingerprint. The runner, figures,
command line, published results and the machinery of claims do not count: no number of a cell
depends on them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["code_hash", "sources"]

_NAME = "companion"
_PACKAGE = Path(__file__).resolve().parents[1]
_IGNORED = tuple(
    f"{_NAME}.{part}"
    for part in ("sweeps", "plots", "cli", "results", "papers.claims", "_checkout", "_optional")
)
# Fields of a syntax tree that say nothing about what the code does, or not in every Python.
_SILENT = {"ctx", "kind", "type_comment", "type_ignores", "type_params"}


@cache
def code_hash(module: str, package: Path | None = None) -> str:
    """Fingerprint of ``module`` and of all it imports, directly or not, inside ``companion``.

    Parameters
    ----------
    module : str
        Full name of an imported module; it may lie outside the package.
    package : Path, optional
        Folder of the package, default the one of this file.

    Returns
    -------
    str
        SHA-256 in hexadecimal.

    Raises
    ------
    ValueError
        If the module has no source file.
    """
    digest = hashlib.sha256()
    for name, path in sorted(sources(module, package).items()):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        digest.update(json.dumps([name, _canonical(tree)]).encode())
    return digest.hexdigest()


def sources(module: str, package: Path | None = None) -> dict[str, Path]:
    """Source files behind ``module``, by module name.

    The ``__init__`` of a package counts only if something is imported from it: what else it
    imports, its modules do not use.
    """
    root = package or _PACKAGE
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name.startswith(_IGNORED):
            continue
        path = _file(name, root) or _outside(name)
        found[name] = path
        waiting += _imports(path, name, root)
    return found


def _imports(path: Path, name: str, root: Path) -> Iterator[str]:
    """Modules of the package that a file imports, anywhere in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            names = [f"{origin}.{alias.name}" for alias in node.names]
            wanted = [full if _file(full, root) else origin for full in names]
        else:
            continue
        yield from (full for full in wanted if full.split(".")[0] == _NAME and _file(full, root))


def _file(name: str, root: Path) -> Path | None:
    """Source file of a module of the package."""
    first, *rest = name.split(".")
    if first != _NAME:
        return None
    stem = root.joinpath(*rest)
    choices = [stem / "__init__.py"] + ([stem.with_suffix(".py")] if rest else [])
    return next((path for path in choices if path.is_file()), None)


def _outside(name: str) -> Path:
    path = getattr(importlib.import_module(name), "__file__", None)
    if not path or not Path(path).is_file():
        raise ValueError(
            f"the module {name!r} of the cell has no source file, so a change of its code could "
            "not be seen; define the cell in a file."
        )
    return Path(path)


def _canonical(node: Any) -> Any:
    """Syntax tree as nested lists, without positions, comments and bare strings (docstrings)."""
    if isinstance(node, list):
        return [_canonical(item) for item in node if not _bare_string(item)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        [name, _canonical(value)]
        for name, value in ast.iter_fields(node)
        if name not in _SILENT and value is not None and value != []
    )
    return [type(node).__name__, *fields]


def _bare_string(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
